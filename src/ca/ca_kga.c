/*
 * The key generation authority of a CA (RFC 9483 4.1.6, RFC 9810 4.5): a key of its own, whose
 * certificate says by cmKGA what it may sign, so that neither the CA's nor the RA's key has to
 * vouch for keys made for clients. Kept as a setting, kga.<CA>: its key's reference, a blank, the
 * certificates in base64. It is made below the CA, or made elsewhere and given to us.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "ca/ca_internal.h"

#define GIVEN "-kga-given-" /* in the reference of a key that was given to us */

enum { LIFETIME_S = 1825 * 86400 };

bool mu_ca_kga_is(struct mu_ca *ca, const char *name)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    bool is = one != NULL && one->kga.certs.n != 0 && !one->kga_is_given;

    mu_ca_snapshot_free(s);
    return is;
}

static enum mu_code make(struct mu_ca *ca, const struct mu_ca_one *one, const char *ref,
    struct mu_buf *value, struct mu_err *err)
{
    static const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256}; /* it signs only */
    struct mu_pki_key *key = NULL;
    struct mu_pki_cert *cert = NULL;
    struct mu_buf subject = {0};
    struct mu_ca_plan plan = {.issuer = one->ca.certs.v[0],
        .issuer_key = one->ca.key,
        .key_usage = MU_KU_DIGITAL_SIGNATURE,
        .eku = MU_EKU_CM_KGA,
        .lifetime_s = LIFETIME_S};
    enum mu_code rc;

    if ((rc = mu_ca_certify_subject(one->ca.certs.v[0]->subject, "KGA", &subject, err)) == MU_OK
        && (rc = mu_ca_certify_key(ca, &spec, ref, &key, err)) == MU_OK) {
        plan.subject = mu_buf_bytes(&subject);
        plan.key = key;
        rc = mu_ca_certify(ca, &plan, &cert, err);
    }
    if (rc == MU_OK) {
        mu_buf_putf(value, "%s ", ref);
        if (!mu_text_base64(value, cert->der, 0))
            rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a certificate");
    }
    mu_buf_clear(&subject);
    mu_pki_key_free(key);
    mu_pki_cert_free(cert);
    return rc;
}

/* To the store, and into use. */
static enum mu_code keep(struct mu_ca *ca, const struct mu_ca_one *one, const struct mu_buf *value,
    const char *operator, const char *what, struct mu_err *err)
{
    char key[80];
    struct mu_store_change change = {.setting_key = key, .setting_value = mu_buf_str(value)};

    snprintf(key, sizeof key, "kga.%.64s", one->name);
    return mu_ca_change(ca, &change, true, "ca", operator, err, "CA '%s': key generation authority %s",
        one->name, what);
}

static enum mu_code no_such(const char *name, struct mu_err *err)
{
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name);
}

enum mu_code mu_ca_kga(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf value = {0};
    char ref[96];
    enum mu_code rc;

    if (one == NULL) {
        rc = no_such(name, err);
    } else if (one->ca.key == NULL) {
        rc = mu_err_set(
            err, MU_DENIED, MU_REASON_NONE, "CA '%s' has no key here: %s", one->name, one->why);
    } else {
        snprintf(ref, sizeof ref, "%.48s-kga-%lld", one->name,
            (long long)mu_env_now(ca->config.env));
        if ((rc = make(ca, one, ref, &value, err)) == MU_OK)
            rc = keep(ca, one, &value, operator, "made", err);
    }
    mu_buf_clear(&value);
    mu_ca_snapshot_free(s);
    return rc;
}

/* ---- one made elsewhere ---- */

/* RFC 9483 4.1.6: what a client will ask of it, but for the way to a root of his. */
static enum mu_code check_given(
    const struct mu_pki_cert *cert, const struct mu_pki_key *key, int64_t now_s, struct mu_err *err)
{
    const char *why = NULL;

    if (!mu_bytes_equal(cert->spki, mu_pki_key_spki(key)))
        return mu_err_set(err, MU_INPUT, MU_M(708), "the key is not that of the first certificate");
    if (!cert->exts.has_eku || (cert->exts.eku & MU_EKU_CM_KGA) == 0)
        why = "has no extended key usage cmKGA (RFC 9483 4.1.6)";
    else if (cert->exts.has_key_usage && (cert->exts.key_usage & MU_KU_DIGITAL_SIGNATURE) == 0)
        why = "may not sign: its key usage lacks digitalSignature";
    else if (now_s < cert->not_before_s || now_s > cert->not_after_s)
        why = "is not valid now";
    return why == NULL
        ? MU_OK
        : mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the certificate for generated keys %s", why);
}

static enum mu_code take_given(struct mu_ca *ca, const struct mu_ca_kga_given *given, const char *ref,
    struct mu_buf *value, struct mu_err *err)
{
    struct mu_pki_key *key = NULL;
    struct mu_pki_certs certs = {0};
    struct mu_buf all = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;

    if (ca->config.key_save == NULL)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "there is no place for new keys here");
    if ((rc = mu_pki_certs_decode(given->certs, &certs, err)) != MU_OK
        || (rc = mu_pki_key_decode(given->key, NULL, &key, err)) != MU_OK
        || (rc = check_given(certs.v[0], key, mu_env_now(ca->config.env), err)) != MU_OK)
        goto out;
    for (size_t i = 0; i < certs.n; i++)
        mu_buf_put_bytes(&all, certs.v[i]->der);
    mu_buf_putf(value, "%s ", ref);
    if (all.failed || !mu_text_base64(value, mu_buf_bytes(&all), 0))
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "too much for a chain of certificates");
    else
        rc = ca->config.key_save(ca->config.key_cookie, ref, key, err);
out:
    mu_pki_key_free(key);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&all);
    return rc;
}

enum mu_code mu_ca_kga_give(struct mu_ca *ca, const char *name, const struct mu_ca_kga_given *given,
    const char *operator, struct mu_err * err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf value = {0};
    char ref[96];
    enum mu_code rc;

    if (one == NULL) {
        rc = no_such(name, err);
    } else {
        snprintf(ref, sizeof ref, "%.48s" GIVEN "%lld", one->name, (long long)mu_env_now(ca->config.env));
        if ((rc = take_given(ca, given, ref, &value, err)) == MU_OK)
            rc = keep(ca, one, &value, operator, "given", err);
    }
    mu_buf_clear(&value);
    mu_ca_snapshot_free(s);
    return rc;
}

bool mu_ca_kga_read(const char *setting, char ref[96], struct mu_buf *der, bool *is_given)
{
    const char *blank = strchr(setting, ' ');
    size_t n = blank != NULL ? (size_t)(blank - setting) : 0;

    if (n == 0 || n >= 96 || mu_text_unbase64(mu_bytes_str(blank + 1), der, NULL) != MU_OK)
        return false;
    memcpy(ref, setting, n);
    ref[n] = '\0';
    *is_given = strstr(ref, GIVEN) != NULL;
    return true;
}
