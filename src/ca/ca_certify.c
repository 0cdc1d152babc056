/* Certificates of the CA's own: root, issuing CA, RA, key generation authority; and their keys. */
#include "base/text.h"
#include "ca/ca_internal.h"
#include "pki/pki_name.h"

static void put_extensions(const struct mu_ca_plan *p, const uint8_t skid[20], struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_pki_ext_put_basic(out, true, p->is_ca, p->is_ca ? p->path_len : -1);
    mu_pki_ext_put_key_usage(out, true, p->key_usage);
    if (p->eku != 0)
        mu_pki_ext_put_eku(out, p->eku);
    mu_pki_ext_put_skid(out, skid);
    mu_pki_ext_put_akid(out, p->issuer != NULL ? p->issuer->exts.skid : mu_bytes(skid, 20));
    mu_der_close(out, mark);
}

enum mu_code mu_ca_certify(
    struct mu_ca *ca, const struct mu_ca_plan *p, struct mu_pki_cert **out, struct mu_err *err)
{
    struct mu_buf extensions = {0}, der = {0};
    uint8_t serial[16] = {0}, skid[20];
    int64_t now_s = mu_env_now(ca->config.env);
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = p->issuer != NULL ? p->issuer->subject : p->subject,
        .subject = p->subject,
        .not_before_s = now_s - MU_CA_BACKDATE_S,
        .not_after_s = now_s + p->lifetime_s,
        .spki = mu_pki_key_spki(p->key)};
    enum mu_code rc;

    if (p->issuer != NULL && tbs.not_after_s > p->issuer->not_after_s)
        tbs.not_after_s = p->issuer->not_after_s;
    if ((rc = mu_env_random(ca->config.env, serial, sizeof serial, err)) != MU_OK)
        return rc;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    if (!mu_pki_key_id(tbs.spki, skid))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "the key has no identifier");
    put_extensions(p, skid, &extensions);
    tbs.extensions = mu_buf_bytes(&extensions);
    if ((rc = mu_buf_check(&extensions, "extensions", err)) == MU_OK
        && (rc = mu_pki_cert_make(
                &tbs, p->issuer_key, mu_pki_key_default_digest(p->issuer_key), &der, err))
            == MU_OK)
        rc = mu_pki_cert_decode(mu_buf_bytes(&der), out, err);
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_ca_certify_key(struct mu_ca *ca, const struct mu_pki_key_spec *spec, const char *ref,
    struct mu_pki_key **out, struct mu_err *err)
{
    static const struct mu_pki_key_spec standard = {MU_PKI_KEY_RSA, 2048};
    struct mu_pki_key *key = NULL;
    enum mu_code rc;

    if (ca->config.key_save == NULL)
        return mu_err_set(
            err, MU_UNSUPPORTED, MU_REASON_NONE, "there is no place for new keys here");
    if ((rc = mu_pki_key_generate(spec->type != 0 ? spec : &standard, &key, err)) != MU_OK)
        return rc;
    if ((rc = ca->config.key_save(ca->config.key_cookie, ref, key, err)) != MU_OK) {
        mu_pki_key_free(key);
        return rc;
    }
    *out = key;
    return MU_OK;
}

enum mu_code mu_ca_certify_subject(
    struct mu_bytes ca_name, const char *role, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf cn = {0}, text = {0}, settings = {0};
    struct mu_pki_name_part part;
    struct mu_der name, rdn;
    struct mu_bytes in;
    enum mu_code rc;
    size_t mark;

    if (!mu_pki_name_get(ca_name, "CN", &cn))
        mu_buf_put_str(&cn, "CA");
    mu_buf_putf(&cn, " %s", role);
    part = (struct mu_pki_name_part){"CN", mu_buf_str(&cn)};
    if ((rc = mu_pki_name_build(&part, 1, &text, err)) != MU_OK
        || !mu_der_only(ca_name, MU_DER_SEQUENCE, &name))
        goto out;
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    for (in = name.value; mu_der_next(&in, &rdn);) {
        mu_buf_reset(&settings);
        mu_der_put(&settings, MU_DER_SEQUENCE, rdn.whole); /* a Name of this RDN alone */
        mu_buf_reset(&cn);
        if (!mu_pki_name_get(mu_buf_bytes(&settings), "CN", &cn))
            mu_buf_put_bytes(out, rdn.whole);
    }
    if (mu_der_only(mu_buf_bytes(&text), MU_DER_SEQUENCE, &name))
        mu_buf_put_bytes(out, name.value);
    mu_der_close(out, mark);
    rc = mu_buf_check(out, "subject", err);
out:
    mu_buf_clear(&cn);
    mu_buf_clear(&text);
    mu_buf_clear(&settings);
    return rc;
}
