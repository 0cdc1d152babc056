/* Private keys as files: PEM and DER in, PKCS#8 PEM out. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "base/limits.h"
#include "pki/pki_internal.h"
#include "pki/pki_pem.h"

enum { PBKDF2_ITERATIONS = 100000 };

/* ---- reading ---- */

struct password_call {
    const struct mu_secret *password;
    bool asked;
};

static int give_password(char *buf, int size, int rwflag, void *cookie)
{
    struct password_call *call = cookie;
    call->asked = true;
    if (!call->password || !call->password->p || call->password->n > (size_t)size)
        return -1;
    memcpy(buf, call->password->p, call->password->n);
    return (int)call->password->n;
}

static EVP_PKEY *decode_known_der(
    struct mu_bytes der, struct mu_buf *spki, enum mu_pki_key_type *type)
{
    EVP_PKEY *evp = mu_pki_rsa_private(der, spki);
    *type = MU_PKI_KEY_RSA;
    if (!evp) {
        mu_buf_reset(spki);
        evp = mu_pki_ec_private(der, spki);
        *type = MU_PKI_KEY_EC;
    }
    return evp;
}

/* The common case, an RSA or EC key without a password; NULL: OpenSSL shall look at it. */
static EVP_PKEY *decode_known(
    struct mu_bytes text, struct mu_buf *spki, enum mu_pki_key_type *type)
{
    struct mu_buf der = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_bytes label;
    bool bad;
    EVP_PKEY *evp = NULL;
    if (!mu_pki_pem_is(text))
        return decode_known_der(text, spki, type);
    if (mu_pki_pem_next(&text, &label, &der, &bad)
        && (mu_bytes_equal(label, mu_bytes_str("PRIVATE KEY"))
            || mu_bytes_equal(label, mu_bytes_str("RSA PRIVATE KEY"))
            || mu_bytes_equal(label, mu_bytes_str("EC PRIVATE KEY"))))
        evp = decode_known_der(mu_buf_bytes(&der), spki, type);
    mu_buf_clear(&der);
    return evp;
}

static EVP_PKEY *decode_der(struct mu_bytes der, struct password_call *call)
{
    const uint8_t *p = der.p;
    EVP_PKEY *evp = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
    if (evp)
        return evp;
    BIO *bio = BIO_new_mem_buf(der.p, (int)der.n);
    if (bio)
        evp = d2i_PKCS8PrivateKey_bio(bio, NULL, give_password, call);
    BIO_free(bio);
    return evp;
}

enum mu_code mu_pki_key_decode(struct mu_bytes text, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err)
{
    struct password_call call = {password, false};
    struct mu_buf spki = {0};
    if (text.n > MU_LIMIT_FILE)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "private key file is too long");
    enum mu_pki_key_type type;
    EVP_PKEY *evp = decode_known(text, &spki, &type);
    if (evp) {
        enum mu_code rc = mu_buf_check(&spki, "public key", err);
        if (rc == MU_OK)
            rc = mu_pki_key_new(evp, mu_buf_bytes(&spki), type, true, out, err);
        else
            EVP_PKEY_free(evp);
        mu_buf_clear(&spki);
        return rc;
    }
    ERR_clear_error();
    if (mu_pki_pem_is(text)) {
        BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
        if (bio)
            evp = PEM_read_bio_PrivateKey(bio, NULL, give_password, &call);
        BIO_free(bio);
    } else if (text.n) {
        evp = decode_der(text, &call);
    }
    if (evp) {
        ERR_clear_error();
        return mu_pki_key_wrap(evp, true, false, out, err);
    }
    ERR_clear_error();
    if (call.asked)
        return mu_err_set(err, MU_INPUT, MU_M(703),
            password && password->p ? "the private key's password is wrong"
                                    : "the private key is encrypted and no password was given");
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no private key in the file");
}

/* ---- writing ---- */

static X509_SIG *encrypt_pkcs8(const EVP_PKEY *evp, const struct mu_secret *password)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(evp);
    X509_ALGOR *pbe = info ? PKCS5_pbe2_set_iv(mu_pki_alg_cipher(MU_PKI_AES256_CBC),
                                 PBKDF2_ITERATIONS, NULL, 0, NULL, NID_hmacWithSHA256)
                           : NULL;
    X509_SIG *sig = NULL;
    if (pbe)
        sig = PKCS8_set0_pbe((const char *)password->p, (int)password->n, info, pbe);
    if (!sig)
        X509_ALGOR_free(pbe);
    PKCS8_PRIV_KEY_INFO_free(info);
    return sig;
}

enum mu_code mu_pki_key_encode(const struct mu_pki_key *key, const struct mu_secret *password,
    struct mu_buf *out, struct mu_err *err)
{
    if (mu_pki_key_is_token(key) || !mu_pki_key_has_private(key))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            mu_pki_key_is_token(key) ? "a key in a token cannot be written to a file"
                          : "this key has no private part");
    BIO *bio = BIO_new(BIO_s_secmem());
    X509_SIG *sig = NULL;
    int ok = 0;
    if (bio && password && password->p) {
        sig = encrypt_pkcs8(mu_pki_key_evp(key), password);
        ok = sig && PEM_write_bio_PKCS8(bio, sig);
    } else if (bio) {
        ok = PEM_write_bio_PKCS8PrivateKey(bio, mu_pki_key_evp(key), NULL, NULL, 0, NULL, NULL);
    }
    enum mu_code rc = MU_OK;
    if (ok) {
        char *p;
        long n = BIO_get_mem_data(bio, &p);
        mu_buf_put(out, p, (size_t)n);
        rc = mu_buf_check(out, "private key", err);
    } else {
        rc = mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cannot write the private key");
    }
    X509_SIG_free(sig);
    BIO_free(bio);
    return rc;
}
