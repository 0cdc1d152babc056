/* Any octets as SignedData, EnvelopedData and certs-only; what is inside is decoded in turn, as a
 * responder does it. */
#include <stdlib.h>

#include "pki/pki_cms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mu_pki_key *key;

static void forget(void)
{
    mu_pki_key_free(key);
}

static void enveloped(struct mu_bytes in)
{
    struct mu_pki_enveloped e;
    struct mu_secret password = {0};
    struct mu_buf out = {.secret = true};
    struct mu_err err;
    if (mu_pki_enveloped_decode(in, &e, &err) != MU_OK)
        return;
    if (e.kind == MU_PKI_RECIPIENT_KTRI)
        (void)!mu_pki_enveloped_open(&e, key, true, &out, &err);
    /* the derivation's cost is chosen by the sender, within bounds: too slow to fuzz */
    if (e.kind == MU_PKI_RECIPIENT_PWRI && e.kdf_alg.n < 8
        && mu_secret_set(&password, mu_bytes_str("pw"), &err) == MU_OK)
        (void)!mu_pki_enveloped_open_password(&e, &password, true, &out, &err);
    mu_secret_clear(&password);
    mu_buf_clear(&out);
    mu_pki_enveloped_clear(&e);
}

static void signed_data(struct mu_bytes in)
{
    struct mu_pki_signed s;
    struct mu_bytes value;
    struct mu_err err;
    if (mu_pki_signed_decode(in, &s, &err) != MU_OK)
        return;
    struct mu_pki_cert *signer = mu_pki_signed_signer(&s);
    if (signer)
        (void)!mu_pki_signed_verify(&s, signer, true, &err);
    (void)!mu_pki_signed_attr(&s, "2.16.840.1.113733.1.9.2", &value, &err);
    if (s.content.n)
        enveloped(s.content);
    mu_pki_signed_clear(&s);
}

static void certs_only(struct mu_bytes in)
{
    struct mu_pki_certs certs = {0};
    struct mu_pki_crl *decoded = NULL;
    struct mu_bytes crl = {0};
    struct mu_buf keep = {0};
    struct mu_err err;
    if (mu_pki_certs_only_decode(in, &certs, &crl, &keep, &err) == MU_OK && crl.n
        && mu_pki_crl_decode(crl, &decoded, &err) == MU_OK)
        mu_pki_crl_free(decoded);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    struct mu_err err;
    if (!key) {
        if (mu_pki_key_generate(&spec, &key, &err) != MU_OK)
            abort();
        atexit(forget);
    }
    signed_data(mu_bytes(data, size));
    enveloped(mu_bytes(data, size));
    certs_only(mu_bytes(data, size));
    return 0;
}
