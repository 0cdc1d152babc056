/* PKCS #12 by OpenSSL: the format is old and full of special cases that are its business. */
#include "pki/pki_p12.h"

#include <openssl/pkcs12.h>

#include "base/text.h"
#include "pki/pki_internal.h"

enum { ITERATIONS = 100000 }; /* of the keys and of the MAC: OpenSSL's own 2048 are few for a file that travels */

static X509 *x509_of(const struct mu_pki_cert *cert)
{
    const uint8_t *p = cert->der.p;

    return d2i_X509(NULL, &p, (long)cert->der.n);
}

static STACK_OF(X509) *chain_of(const struct mu_pki_certs *chain)
{
    STACK_OF(X509) *out = sk_X509_new_null();

    for (size_t i = 0; out != NULL && i < chain->n; i++) {
        X509 *x = x509_of(chain->v[i]);

        if (x == NULL || sk_X509_push(out, x) == 0) {
            X509_free(x);
            sk_X509_pop_free(out, X509_free);
            return NULL;
        }
    }
    return out;
}

/* OpenSSL wants a C string. */
static enum mu_code password_text(const struct mu_secret *password, struct mu_buf *out, struct mu_err *err)
{
    struct mu_bytes octets = mu_secret_bytes(password);

    if (octets.n == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "PKCS #12 needs a password");
    if (memchr(octets.p, 0, octets.n) != NULL || !mu_text_is_utf8(octets))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the password of a PKCS #12 has to be UTF-8 text (RFC 7292 B.1)");
    mu_buf_put_bytes(out, octets);
    return mu_buf_check(out, "password", err);
}

static enum mu_code take(PKCS12 *p12, struct mu_buf *out, struct mu_err *err)
{
    uint8_t *der = NULL;
    int n = i2d_PKCS12(p12, &der);

    if (n <= 0)
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "PKCS #12 cannot be encoded");
    mu_buf_put(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return mu_buf_check(out, "PKCS #12", err);
}

enum mu_code mu_pki_p12_encode(const struct mu_pki_key *key, const struct mu_pki_cert *cert,
    const struct mu_pki_certs *chain, const char *label, const struct mu_secret *password, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_buf text = {.max = 4096, .secret = true};
    STACK_OF(X509) *more = NULL;
    X509 *own = NULL;
    PKCS12 *p12 = NULL;
    enum mu_code rc;

    if (!mu_pki_key_has_private(key) || mu_pki_key_is_token(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "the private key is in a token, and stays there");
    if ((rc = password_text(password, &text, err)) != MU_OK)
        goto out;
    own = x509_of(cert);
    more = chain_of(chain);
    if (own != NULL && more != NULL)
        p12 = PKCS12_create(mu_buf_str(&text), label, mu_pki_key_evp(key), own, more, NID_aes_256_cbc, NID_aes_256_cbc,
            ITERATIONS, -1, 0);
    if (p12 == NULL || PKCS12_set_mac(p12, mu_buf_str(&text), (int)text.n, NULL, 0, ITERATIONS, EVP_sha256()) != 1)
        rc = mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "PKCS #12 cannot be made");
    else
        rc = take(p12, out, err);
out:
    PKCS12_free(p12);
    X509_free(own);
    sk_X509_pop_free(more, X509_free);
    mu_buf_clear(&text);
    return rc;
}
