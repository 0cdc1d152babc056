/* Enrolls over SCEP and prints the certificate: enroll URL [SUBJECT [CHALLENGE [SHA256]]] */
#include <stdio.h>

#include <muster/net.h>

/* Without a fingerprint on the command line, somebody has to look at it. */
static bool trust(void *context, const char *ca_pem, const char *sha256)
{
    fprintf(stderr, "The CA's SHA-256 is %s\nIs that right? (y/n) ", sha256);
    return getchar() == 'y';
}

static enum muster_code configure(
    struct muster_enrollment *e, int argc, char **argv, struct muster_error *err)
{
    enum muster_code rc = muster_enrollment_set_url(e, argv[1], err);

    if (rc == MUSTER_OK)
        rc = muster_enrollment_set_subject(e, argc > 2 ? argv[2] : "/CN=example", err);
    if (rc == MUSTER_OK && argc > 3)
        rc = muster_enrollment_set_challenge(e, argv[3], err);
    if (rc == MUSTER_OK && argc > 4)
        rc = muster_enrollment_set_pin(e, argv[4], err);
    return rc;
}

int main(int argc, char **argv)
{
    const struct muster_net_options options = {.trust = trust};
    struct muster_enrollment *e = NULL;
    struct muster_error err = {0};
    enum muster_code rc = argc < 2 ? MUSTER_INPUT : muster_enrollment_new("scep", &e, &err);

    if (rc == MUSTER_OK)
        rc = configure(e, argc, argv, &err);
    if (rc == MUSTER_OK)
        rc = muster_enrollment_run(e, &options, &err);
    if (rc == MUSTER_OK)
        printf("%s", muster_enrollment_certificate_pem(e));
    else
        fprintf(stderr, "%s\n", argc < 2 ? "usage: enroll URL [SUBJECT [CHALLENGE [SHA256]]]" : err.what);
    muster_enrollment_free(e);
    return rc == MUSTER_OK ? 0 : 1;
}
