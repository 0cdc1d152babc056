/*
 * The key generation authority of a CA (RFC 9483 4.1.6, RFC 9810 4.5): a key of its own, whose
 * certificate says by cmKGA what it may sign, so that neither the CA's nor the RA's key has to
 * vouch for keys made for clients. Kept as a setting, kga.<CA>: its key's reference, a blank, the
 * certificate in base64.
 */
#include <stdio.h>

#include "base/text.h"
#include "ca/ca_internal.h"

enum { LIFETIME_S = 1825 * 86400 };

bool mu_ca_kga_is(struct mu_ca *ca, const char *name)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    bool is = one != NULL && one->kga.certs.n != 0;

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

enum mu_code mu_ca_kga(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf value = {0};
    char key[80], ref[96];
    struct mu_store_change change = {.setting_key = key};
    enum mu_code rc;

    if (one == NULL) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name);
    } else if (one->ca.key == NULL) {
        rc = mu_err_set(
            err, MU_DENIED, MU_REASON_NONE, "CA '%s' has no key here: %s", one->name, one->why);
    } else {
        snprintf(key, sizeof key, "kga.%.64s", one->name);
        snprintf(ref, sizeof ref, "%.48s-kga-%lld", one->name,
            (long long)mu_env_now(ca->config.env));
        if ((rc = make(ca, one, ref, &value, err)) == MU_OK) {
            change.setting_value = mu_buf_str(&value);
            rc = mu_ca_change(ca, &change, true, "ca", operator, err,
                "CA '%s': key generation authority made", one->name);
        }
    }
    mu_buf_clear(&value);
    mu_ca_snapshot_free(s);
    return rc;
}

bool mu_ca_kga_read(const char *setting, char ref[96], struct mu_buf *der)
{
    const char *blank = strchr(setting, ' ');
    size_t n = blank != NULL ? (size_t)(blank - setting) : 0;

    if (n == 0 || n >= 96 || mu_text_unbase64(mu_bytes_str(blank + 1), der, NULL) != MU_OK)
        return false;
    memcpy(ref, setting, n);
    ref[n] = '\0';
    return true;
}
