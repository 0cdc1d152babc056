/* CA certificates that are trusted here, and CRLs. */
#include "keystore/keystore_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"

static enum mu_code ca_read(struct mu_keystore *store, const char *name, struct mu_pki_cert **out,
    struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    struct mu_pki_certs certs = {0};
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc;

    snprintf(file, sizeof(file), "%s.crt", name);
    rc = mu_keystore_dir_get(&store->ca, file, &text, err);
    if (rc == MU_OK && (rc = mu_pki_certs_decode(mu_buf_bytes(&text), &certs, err)) != MU_OK)
        mu_err_context(err, "%s/%s", store->ca.path, file);
    if (rc == MU_OK)
        *out = mu_pki_cert_ref(certs.v[0]);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&text);
    return rc;
}

struct ca_each {
    struct mu_keystore *store;
    mu_keystore_ca_call *call;
    void *cookie;
};

/* A file that is no certificate is not trusted; that is all that follows. */
static void ca_each_one(void *cookie, const char *file)
{
    struct ca_each *each = cookie;
    struct mu_pki_cert *cert = NULL;
    char name[MU_KEYSTORE_NAME];
    size_t n = strlen(file);

    if (n <= 4 || n - 4 >= sizeof(name) || strcmp(file + n - 4, ".crt") != 0)
        return;
    memcpy(name, file, n - 4);
    name[n - 4] = '\0';
    if (!mu_text_is_entry_name(name) || ca_read(each->store, name, &cert, NULL) != MU_OK)
        return;
    each->call(each->cookie, name, cert);
    mu_pki_cert_free(cert);
}

enum mu_code mu_keystore_ca_each(
    struct mu_keystore *store, mu_keystore_ca_call *call, void *cookie, struct mu_err *err)
{
    struct ca_each each = {store, call, cookie};

    return mu_keystore_dir_each(&store->ca, ca_each_one, &each, err);
}

struct ca_find {
    const struct mu_pki_cert *cert;
    char name[MU_KEYSTORE_NAME];
};

static void find_one(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct ca_find *find = cookie;

    if (find->name[0] == '\0' && mu_pki_cert_equal(cert, find->cert))
        snprintf(find->name, sizeof(find->name), "%s", name);
}

bool mu_keystore_ca_name(
    struct mu_keystore *store, const struct mu_pki_cert *cert, char name[MU_KEYSTORE_NAME])
{
    struct ca_find find = {.cert = cert};

    if (mu_keystore_ca_each(store, find_one, &find, NULL) != MU_OK || find.name[0] == '\0')
        return false;
    memcpy(name, find.name, sizeof(find.name));
    return true;
}

/* CA_Cert_<n> with the first n that is free. */
static void ca_name_free(struct mu_keystore *store, char name[MU_KEYSTORE_NAME])
{
    for (unsigned i = 1;; i++) {
        struct mu_pki_cert *taken = NULL;
        enum mu_code rc;

        snprintf(name, MU_KEYSTORE_NAME, "CA_Cert_%u", i);
        rc = ca_read(store, name, &taken, NULL);
        mu_pki_cert_free(taken);
        if (rc == MU_NOT_FOUND)
            return;
    }
}

static enum mu_code ca_write(struct mu_keystore *store, const char *name, struct mu_pki_cert *cert,
    struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    struct mu_buf pem = {0};
    enum mu_code rc;

    snprintf(file, sizeof(file), "%s.crt", name);
    mu_keystore_dir_tidy_dead(&store->ca);
    mu_pki_cert_to_pem(cert, &pem);
    if ((rc = mu_buf_check(&pem, "a CA certificate", err)) == MU_OK)
        rc = mu_keystore_dir_put(&store->ca, file, 0644, mu_buf_bytes(&pem), err);
    if (rc == MU_OK)
        rc = mu_keystore_dir_sync(&store->ca, err);
    mu_buf_clear(&pem);
    return rc;
}

static enum mu_code name_is_taken(const char *name, const struct mu_pki_cert *by,
    const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf is = {0}, was = {0};

    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &is);
    mu_pki_cert_fingerprint(by, MU_PKI_SHA256, &was);
    mu_err_set(err, MU_AUTH, MU_M(211), "the CA's SHA-256 is %s, '%s' is %s", mu_buf_str(&is), name,
        mu_buf_str(&was));
    mu_buf_clear(&is);
    mu_buf_clear(&was);
    return MU_AUTH;
}

enum mu_code mu_keystore_ca_add(struct mu_keystore *store, const char *name, struct mu_pki_cert *cert,
    bool replace, char used[MU_KEYSTORE_NAME], struct mu_err *err)
{
    struct mu_pki_cert *present = NULL;
    char own[MU_KEYSTORE_NAME];
    enum mu_code rc;

    if (name == NULL) {
        if (mu_keystore_ca_name(store, cert, used))
            return MU_OK;
        ca_name_free(store, own);
    } else {
        if ((rc = mu_keystore_name_check(name, err)) != MU_OK)
            return rc;
        snprintf(own, sizeof(own), "%s", name);
        if (ca_read(store, own, &present, NULL) == MU_OK && !mu_pki_cert_equal(present, cert)
            && !replace)
            rc = name_is_taken(own, present, cert, err);
        mu_pki_cert_free(present);
        if (rc != MU_OK)
            return rc;
    }
    if ((rc = ca_write(store, own, cert, err)) == MU_OK)
        memcpy(used, own, sizeof(own));
    return rc;
}

/* ---- where it was learned from ---- */

bool mu_keystore_ca_from_get(struct mu_keystore *store, const char *name, struct mu_buf *lines)
{
    char file[MU_KEYSTORE_FILE_NAME];

    snprintf(file, sizeof(file), "%s.from", name);
    return mu_keystore_dir_get(&store->ca, file, lines, NULL) == MU_OK;
}

static bool has_line(const struct mu_buf *lines, const char *line)
{
    const char *at = mu_buf_str(lines);
    size_t n = strlen(line);

    for (; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n')
        if (strncmp(at, line, n) == 0 && at[n] == '\n')
            return true;
    return false;
}

enum mu_code mu_keystore_ca_from_put(
    struct mu_keystore *store, const char *name, const char *line, struct mu_err *err)
{
    struct mu_buf lines = {.max = MU_LIMIT_FILE};
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = MU_OK;

    snprintf(file, sizeof(file), "%s.from", name);
    if (mu_keystore_ca_from_get(store, name, &lines) && has_line(&lines, line))
        goto out;
    mu_keystore_dir_tidy_dead(&store->ca); /* of one that was killed here */
    mu_buf_putf(&lines, "%s\n", line);
    if ((rc = mu_buf_check(&lines, "where a CA comes from", err)) == MU_OK)
        rc = mu_keystore_dir_put(&store->ca, file, 0644, mu_buf_bytes(&lines), err);
    if (rc == MU_OK)
        rc = mu_keystore_dir_sync(&store->ca, err);
out:
    mu_buf_clear(&lines);
    return rc;
}

/* Another certificate under the name comes from somewhere else. */
static enum mu_code from_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    struct mu_buf lines = {0};
    enum mu_code rc = MU_OK;

    if (mu_keystore_ca_from_get(store, name, &lines)) {
        snprintf(file, sizeof(file), "%s.from", name);
        rc = mu_keystore_dir_remove(&store->ca, file, err);
    }
    mu_buf_clear(&lines);
    return rc;
}

static void known_one(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct mu_buf *known = cookie;

    if (known->n < 200)
        mu_buf_putf(known, "%s%s", known->n > 0 ? ", " : "", name);
}

static enum mu_code ca_unknown(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    struct mu_buf known = {0};
    char shown[100];

    mu_err_set(err, MU_NOT_FOUND, MU_M(210), "there is no CA certificate \"%s\" here",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(name)));
    if (mu_keystore_ca_each(store, known_one, &known, NULL) == MU_OK)
        mu_err_next(err, "known: %s. Import: muster ca trust FILE --name %s",
            known.n > 0 ? mu_buf_str(&known) : "none", shown);
    mu_buf_clear(&known);
    return MU_NOT_FOUND;
}

enum mu_code mu_keystore_ca_get(struct mu_keystore *store, const char *name, struct mu_pki_cert **out,
    struct mu_err *err)
{
    enum mu_code rc;

    if (!mu_text_is_entry_name(name))
        return ca_unknown(store, name, err);
    rc = ca_read(store, name, out, err);
    if (rc == MU_NOT_FOUND && mu_text_starts(name, "G_"))
        rc = ca_read(store, name + 2, out, err);
    if (rc == MU_OK)
        mu_err_clear(err); /* the first place may have had none */
    return rc == MU_NOT_FOUND ? ca_unknown(store, name, err) : rc;
}

enum mu_code mu_keystore_ca_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
{
    struct mu_pki_cert *cert = NULL;
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = mu_keystore_ca_get(store, name, &cert, err);

    mu_pki_cert_free(cert);
    /* One that cannot be read any more may be removed too. */
    if (rc == MU_NOT_FOUND || !mu_text_is_entry_name(name))
        return rc;
    cert = NULL;
    if (ca_read(store, name, &cert, NULL) == MU_NOT_FOUND)
        name += 2;
    mu_pki_cert_free(cert);
    if ((rc = from_remove(store, name, err)) != MU_OK)
        return rc;
    snprintf(file, sizeof(file), "%s.crt", name);
    return mu_keystore_dir_remove(&store->ca, file, err);
}

struct ca_load {
    struct mu_pki_certs *out;
    struct mu_err *err;
    enum mu_code rc;
};

static void load_one(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct ca_load *load = cookie;

    if (load->rc == MU_OK)
        load->rc = mu_pki_certs_add(load->out, cert, load->err);
}

static enum mu_code load_word(struct mu_keystore *store, const char *word, struct mu_pki_certs *out,
    struct mu_err *err)
{
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if (strchr(word, '/') != NULL)
        return mu_keystore_certs_read(word, out, err);
    if ((rc = mu_keystore_ca_get(store, word, &cert, err)) != MU_OK)
        return rc;
    rc = mu_pki_certs_add(out, cert, err);
    mu_pki_cert_free(cert);
    return rc;
}

enum mu_code mu_keystore_ca_load(struct mu_keystore *store, const char *names,
    struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_pki_certs found = {0};
    struct ca_load load = {&found, err, MU_OK};
    char *copy = NULL, *rest = NULL;
    enum mu_code rc;

    if (names == NULL) {
        rc = mu_keystore_ca_each(store, load_one, &load, err);
        if (rc == MU_OK)
            rc = load.rc;
    } else if ((rc = mu_text_dup(names, &copy, err)) == MU_OK) {
        for (char *word = strtok_r(copy, ", \t\n", &rest); rc == MU_OK && word != NULL;
             word = strtok_r(NULL, ", \t\n", &rest))
            rc = load_word(store, word, &found, err);
    }
    for (size_t i = 0; rc == MU_OK && i < found.n; i++)
        rc = mu_pki_certs_add(out, found.v[i], err);
    mu_pki_certs_clear(&found);
    free(copy);
    return rc;
}

enum mu_code mu_keystore_crl_put(struct mu_keystore *store, const char *name, struct mu_bytes der,
    struct mu_buf *path, struct mu_err *err)
{
    char file[MU_KEYSTORE_FILE_NAME];
    enum mu_code rc = mu_keystore_name_check(name, err);

    if (rc != MU_OK)
        return rc;
    snprintf(file, sizeof(file), "%s.crl", name);
    mu_keystore_dir_tidy_dead(&store->crl);
    if ((rc = mu_keystore_dir_put(&store->crl, file, 0644, der, err)) == MU_OK)
        rc = mu_keystore_dir_sync(&store->crl, err);
    if (rc == MU_OK) {
        mu_buf_putf(path, "%s/%s", store->crl.path, file);
        rc = mu_buf_check(path, "a path", err);
    }
    return rc;
}
