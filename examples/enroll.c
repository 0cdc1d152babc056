/* Enrolls and prints key and certificate: enroll PROTOCOL URL SUBJECT [OPTION VALUE]...
 * challenge WORD (SCEP), login USER:PASSWORD (EST) or REFERENCE:SECRET (CMP), pin SHA256, trust FILE,
 * label WORD, server-key yes. A program of its own would not take secrets from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/net.h>

/* Without a fingerprint on the command line, somebody has to look at it. */
static bool trust(void *context, const char *ca_pem, const char *sha256)
{
    fprintf(stderr, "The CA's SHA-256 is %s\nIs that right? (y/n) ", sha256);
    return getchar() == 'y';
}

static enum muster_code trust_file(
    struct muster_enrollment *e, const char *path, struct muster_error *err)
{
    char pem[65536] = "";
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(pem, 1, sizeof(pem) - 1, f) : 0;

    if (f != NULL)
        fclose(f);
    pem[n] = '\0';
    return muster_enrollment_add_trusted(e, pem, err);
}

static enum muster_code login(
    struct muster_enrollment *e, const char *both, struct muster_error *err)
{
    const char *colon = strchr(both, ':');
    char user[128] = "";

    if (colon == NULL || (size_t)(colon - both) >= sizeof(user))
        return muster_enrollment_set_login(e, both, "", err);
    memcpy(user, both, (size_t)(colon - both));
    return muster_enrollment_set_login(e, user, colon + 1, err);
}

static enum muster_code set(
    struct muster_enrollment *e, const char *option, const char *value, struct muster_error *err)
{
    if (strcmp(option, "challenge") == 0)
        return muster_enrollment_set_challenge(e, value, err);
    if (strcmp(option, "login") == 0)
        return login(e, value, err);
    if (strcmp(option, "pin") == 0)
        return muster_enrollment_set_pin(e, value, err);
    if (strcmp(option, "trust") == 0)
        return trust_file(e, value, err);
    if (strcmp(option, "label") == 0)
        return muster_enrollment_set_ca_identifier(e, value, err);
    if (strcmp(option, "server-key") != 0)
        return MUSTER_INPUT;
    muster_enrollment_set_server_key(e, true);
    return MUSTER_OK;
}

static enum muster_code configure(
    struct muster_enrollment *e, int argc, char **argv, struct muster_error *err)
{
    enum muster_code rc = muster_enrollment_set_url(e, argv[2], err);

    if (rc == MUSTER_OK)
        rc = muster_enrollment_set_subject(e, argv[3], err);
    for (int i = 4; rc == MUSTER_OK && i + 1 < argc; i += 2)
        rc = set(e, argv[i], argv[i + 1], err);
    return rc;
}

int main(int argc, char **argv)
{
    const struct muster_net_options options = {.trust = trust};
    struct muster_enrollment *e = NULL;
    struct muster_error err = {0};
    enum muster_code rc;

    if (argc < 4) {
        fprintf(stderr, "usage: enroll scep|est|cmp URL SUBJECT [OPTION VALUE]...\n");
        return 64;
    }
    rc = muster_enrollment_new(argv[1], &e, &err);
    if (rc == MUSTER_OK)
        rc = configure(e, argc, argv, &err);
    if (rc == MUSTER_OK)
        rc = muster_enrollment_run(e, &options, &err);
    if (rc == MUSTER_OK)
        printf("%s%s", muster_enrollment_key_pem(e), muster_enrollment_certificate_pem(e));
    else
        fprintf(stderr, "%s\n", err.what);
    muster_enrollment_free(e);
    return rc == MUSTER_OK ? 0 : 1;
}
