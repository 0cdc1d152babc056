/*
 * From an old root to its successor: each certified by the other (RFC 9810 4.4.2), so that whoever
 * trusts one of them comes to trust the other. EST hands them out with cacerts (RFC 7030 4.1.3).
 * They are kept as a setting, links.<CA>, until the old root ends.
 */
#include <stdio.h>

#include "base/text.h"
#include "ca/ca_internal.h"

struct copy {
    struct mu_buf *out;
};

static void copy_extension(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct copy *c = cookie;

    if (strcmp(oid, "2.5.29.35") != 0)
        mu_pki_ext_put(c->out, oid, critical, value);
}

/* name and key of subject, signed by issuer; for as long as both are valid. */
static enum mu_code certify(const struct mu_env *env, const struct mu_pki_cert *subject,
    const struct mu_ca_pair *issuer, struct mu_buf *out, struct mu_err *err)
{
    const struct mu_pki_cert *by = issuer->certs.v[0];
    struct mu_buf extensions = {0}, der = {0};
    struct copy copy = {&extensions};
    uint8_t serial[16] = {0};
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = by->subject,
        .subject = subject->subject,
        .not_before_s = subject->not_before_s,
        .not_after_s =
            subject->not_after_s < by->not_after_s ? subject->not_after_s : by->not_after_s,
        .spki = subject->spki};
    size_t mark = mu_der_open(&extensions, MU_DER_SEQUENCE);
    enum mu_code rc = mu_env_random(env, serial, sizeof serial, err);

    serial[0] = (serial[0] & 0x7f) | 0x40;
    mu_pki_ext_each(subject->exts.all, copy_extension, &copy);
    mu_pki_ext_put_akid(&extensions, by->exts.skid);
    mu_der_close(&extensions, mark);
    tbs.extensions = mu_buf_bytes(&extensions);
    if (rc == MU_OK)
        rc = mu_pki_cert_make(
            &tbs, issuer->key, mu_pki_key_default_digest(issuer->key), &der, err);
    mu_buf_put_bytes(out, mu_buf_bytes(&der));
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return rc == MU_OK ? mu_buf_check(out, "links", err) : rc;
}

static enum mu_code make(const struct mu_env *env, const struct mu_ca_one *one, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_buf der = {0};
    enum mu_code rc;

    mu_buf_put_bytes(&der, one->ca.certs.v[0]->der); /* OldWithOld */
    if ((rc = certify(env, one->ca.certs.v[0], &one->next, &der, err)) == MU_OK
        && (rc = certify(env, one->next.certs.v[0], &one->ca, &der, err)) == MU_OK
        && !mu_text_base64(out, mu_buf_bytes(&der), 0))
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for links");
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_ca_links_make(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf text = {0};
    char key[80];
    struct mu_store_change change = {.setting_key = key};
    enum mu_code rc = MU_OK;

    /* Below a root that stays there is nothing to bridge. */
    if (one != NULL && one->ca.certs.n == 1 && one->next.certs.n == 1 && one->ca.key != NULL
        && one->next.key != NULL && (rc = make(ca->config.env, one, &text, err)) == MU_OK) {
        snprintf(key, sizeof key, "links.%.64s", one->name);
        change.setting_value = mu_buf_str(&text);
        rc = mu_ca_change(ca, &change, true, "ca", operator, err,
            "CA '%s': its successor and it certified each other", one->name);
    }
    mu_buf_clear(&text);
    mu_ca_snapshot_free(s);
    return rc;
}

/* ---- reading ---- */

static bool has(const struct mu_pki_certs *list, const struct mu_pki_cert *cert)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_pki_cert_equal(list->v[i], cert))
            return true;
    return false;
}

static enum mu_code add(
    struct mu_ca_one *one, struct mu_pki_cert *cert, int64_t now_s, struct mu_err *err)
{
    if (cert->not_after_s <= now_s || has(&one->ca.certs, cert) || has(&one->links, cert))
        return MU_OK;
    return mu_pki_certs_add(&one->links, cert, err);
}

enum mu_code mu_ca_links_read(
    struct mu_ca_one *one, const char *setting, int64_t now_s, struct mu_err *err)
{
    struct mu_buf der = {0};
    struct mu_bytes in;
    struct mu_der el;
    enum mu_code rc = mu_text_unbase64(mu_bytes_str(setting), &der, err);

    in = mu_buf_bytes(&der);
    while (rc == MU_OK && mu_der_next(&in, &el)) {
        struct mu_pki_cert *cert = NULL;

        if ((rc = mu_pki_cert_decode(el.whole, &cert, err)) == MU_OK)
            rc = add(one, cert, now_s, err);
        mu_pki_cert_free(cert);
    }
    mu_buf_clear(&der);
    return rc;
}
