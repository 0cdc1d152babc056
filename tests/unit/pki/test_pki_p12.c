/* PKCS #12: what is written reads back with the password, and with no other. */
#include "pki/pki_p12.h"

#include "kit.h"

#include <openssl/pkcs12.h>
#include <string.h>

static struct mu_secret secret(const char *text)
{
    struct mu_secret s = {0};

    assert_int_equal(mu_secret_set(&s, mu_bytes_str(text), NULL), MU_OK);
    return s;
}

/* By OpenSSL's own reader. False: it does not open. */
static bool reads(const struct mu_buf *der, const char *password, const struct mu_pki_cert *cert, const struct mu_pki_key *key,
    int chain_n)
{
    const uint8_t *p = der->p;
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)der->n);
    EVP_PKEY *pkey = NULL;
    X509 *own = NULL;
    STACK_OF(X509) *more = NULL;
    uint8_t *text = NULL;
    int n;
    bool ok = p12 != NULL && PKCS12_parse(p12, password, &pkey, &own, &more) == 1;

    if (ok) {
        n = i2d_X509(own, &text);
        assert_true(mu_bytes_equal(mu_bytes(text, (size_t)n), cert->der));
        OPENSSL_free(text);
        text = NULL;
        n = i2d_PUBKEY(pkey, &text);
        assert_true(mu_bytes_equal(mu_bytes(text, (size_t)n), mu_pki_key_spki(key)));
        OPENSSL_free(text);
        assert_int_equal(more != NULL ? sk_X509_num(more) : 0, chain_n);
    }
    PKCS12_free(p12);
    EVP_PKEY_free(pkey);
    X509_free(own);
    sk_X509_pop_free(more, X509_free);
    return ok;
}

static void it_opens_with_its_password_alone(void **state)
{
    static const char *const words[] = {"ec:P-256", "rsa:2048"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct mu_pki_key *key = kit_key(words[i], 0);
        struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .key = key}),
                           *ca = kit_cert(&(struct kit_cert){.subject = "/CN=ca", .key = key});
        struct mu_secret password = secret("pass w\xc3\xb6rd");
        struct mu_pki_certs chain = {0};
        struct mu_buf out = {.secret = true};

        assert_int_equal(mu_pki_certs_add(&chain, ca, NULL), MU_OK);
        assert_int_equal(mu_pki_p12_encode(key, cert, &chain, "leaf", &password, &out, NULL), MU_OK);
        assert_true(reads(&out, "pass w\xc3\xb6rd", cert, key, 1));
        assert_false(reads(&out, "pass word", cert, key, 1));
        assert_false(reads(&out, "", cert, key, 1));
        assert_false(reads(&out, NULL, cert, key, 1));
        mu_buf_clear(&out);
        mu_secret_clear(&password);
        mu_pki_certs_clear(&chain);
        mu_pki_cert_free(ca);
        mu_pki_cert_free(cert);
    }
}

static void passwords_that_are_none_are_refused(void **state)
{
    struct mu_pki_key *key = kit_key("ec:P-256", 0);
    struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .key = key});
    struct mu_secret none = {0}, empty = secret(""), binary = secret("\xff");
    const struct mu_secret *bad[] = {&none, &empty, &binary};
    const struct mu_pki_certs chain = {0};
    struct mu_buf out = {.secret = true};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mu_err err = {0};

        assert_int_equal(mu_pki_p12_encode(key, cert, &chain, "leaf", bad[i], &out, &err), MU_INPUT);
        assert_int_equal(out.n, 0);
    }
    mu_secret_clear(&empty);
    mu_secret_clear(&binary);
    mu_pki_cert_free(cert);
}

/* A key without its private half makes nothing. */
static void a_public_key_is_refused(void **state)
{
    struct mu_pki_key *key = kit_key("ec:P-256", 0), *half = NULL;
    struct mu_pki_cert *cert = kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .key = key});
    struct mu_secret password = secret("x");
    const struct mu_pki_certs chain = {0};
    struct mu_buf out = {.secret = true};

    assert_int_equal(mu_pki_key_from_spki(mu_pki_key_spki(key), &half, NULL), MU_OK);
    assert_int_equal(mu_pki_p12_encode(half, cert, &chain, "leaf", &password, &out, NULL), MU_UNSUPPORTED);
    mu_secret_clear(&password);
    mu_pki_cert_free(cert);
    mu_pki_key_free(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_opens_with_its_password_alone),
        cmocka_unit_test(passwords_that_are_none_are_refused), cmocka_unit_test(a_public_key_is_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
