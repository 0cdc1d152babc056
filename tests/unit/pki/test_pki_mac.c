/* MACs by password: CMP-25..CMP-31, against OpenSSL's PasswordBasedMac and against numbers that
 * another program computed. */
#include <openssl/crmf.h>
#include <string.h>

#include "kit.h"
#include "pki/pki_mac.h"

static struct mu_bytes data(void)
{
    return mu_bytes_str("what is protected");
}

static struct mu_secret password(const char *text)
{
    struct mu_secret s = {0};
    kit_ok(mu_secret_set(&s, kit_str(text), kit_err_));
    return s;
}

static void compute(const struct mu_pki_mac *mac, const char *text, uint8_t out[64], size_t *n)
{
    struct mu_secret secret = password(text), key = {0};
    kit_ok(mu_pki_mac_derive(mac, &secret, &key, kit_err_));
    kit_ok(mu_pki_mac_make(mac, &key, data(), out, n, kit_err_));
    kit_ok(mu_pki_mac_verify(mac, &key, data(), mu_bytes(out, *n), kit_err_));
    mu_secret_clear(&secret);
    mu_secret_clear(&key);
}

/* CMP-26, CMP-27: the same octets as OSSL_CRMF_pbm_new for what `openssl cmp` sends. */
static void password_based_mac_is_that_of_openssl(void **state)
{
    static const struct {
        int owf, mac;
        size_t iterations;
        bool legacy;
    } rows[] = {
        {NID_sha256, NID_hmac_sha1, 500, false}, /* openssl cmp 3.0 as it comes (C056) */
        {NID_sha256, NID_hmacWithSHA256, 100, false},
        {NID_sha512, NID_hmacWithSHA512, 1000, false},
        {NID_sha1, NID_hmac_sha1, 1024, true}, /* RFC 4210 */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        OSSL_CRMF_PBMPARAMETER *param =
            OSSL_CRMF_pbmp_new(NULL, 16, rows[i].owf, rows[i].iterations, rows[i].mac);
        X509_ALGOR *alg = X509_ALGOR_new();
        ASN1_STRING *packed = NULL;
        uint8_t *theirs, *der = NULL, own[64];
        size_t theirs_n, n;
        struct mu_pki_mac mac;
        struct mu_err err = {0};
        assert_int_equal(OSSL_CRMF_pbm_new(NULL, NULL, param, data().p, data().n,
                             (const uint8_t *)"fortinet1", 9, &theirs, &theirs_n),
            1);
        assert_non_null(ASN1_item_pack(param, ASN1_ITEM_rptr(OSSL_CRMF_PBMPARAMETER), &packed));
        X509_ALGOR_set0(alg, OBJ_nid2obj(NID_id_PasswordBasedMAC), V_ASN1_SEQUENCE, packed);
        int der_n = i2d_X509_ALGOR(alg, &der);
        struct mu_bytes identifier = mu_bytes(der, (size_t)der_n);
        assert_true(mu_pki_mac_is(identifier));
        if (rows[i].legacy) {
            assert_int_equal(mu_pki_mac_decode(identifier, false, &mac, &err), MU_UNSUPPORTED);
            assert_int_equal(err.reason, MU_REFUSE_ALGORITHM);
        }
        kit_ok(mu_pki_mac_decode(identifier, rows[i].legacy, &mac, kit_err_));
        assert_int_equal(mac.kind, MU_PKI_MAC_PBM);
        assert_int_equal(mac.iterations, rows[i].iterations);
        compute(&mac, "fortinet1", own, &n);
        assert_true(mu_bytes_equal(mu_bytes(own, n), mu_bytes(theirs, theirs_n)));
        OPENSSL_free(theirs);
        OPENSSL_free(der);
        X509_ALGOR_free(alg);
        OSSL_CRMF_PBMPARAMETER_free(param);
    }
}

/* CMP-25: python: hmac.new(hashlib.pbkdf2_hmac('sha256', b'fortinet1', b'0123456789abcdef', 10000,
 * 32), b'what is protected', 'sha256').hexdigest() */
static void pbmac1_is_what_another_program_computed(void **state)
{
    struct mu_pki_mac mac = {.kind = MU_PKI_MAC_PBMAC1,
        .owf = MU_PKI_SHA256,
        .hash = MU_PKI_SHA256,
        .salt = "0123456789abcdef",
        .salt_n = 16,
        .iterations = 10000,
        .key_length = 32};
    struct mu_buf hex = {0};
    uint8_t own[64];
    size_t n;
    compute(&mac, "fortinet1", own, &n);
    for (size_t i = 0; i < n; i++)
        mu_buf_putf(&hex, "%02x", own[i]);
    assert_string_equal(mu_buf_str(&hex), "db40c02cbb1af699ad30e853660786dd61cc374e11ee0c19d6ad9e57a63cf3dc");
    mu_buf_clear(&hex);
}

/* IOP-35: functions of one's choice, both kinds; SHA-1 and MD5 are not chosen by mistake */
static void functions_may_be_chosen(void **state)
{
    static const enum mu_pki_digest all[] = {MU_PKI_SHA256, MU_PKI_SHA384, MU_PKI_SHA512, MU_PKI_SHA1};

    for (int kind = MU_PKI_MAC_PBM; kind <= MU_PKI_MAC_PBMAC1; kind++) {
        for (size_t i = 0; i < 16; i++) {
            enum mu_pki_digest owf = all[i / 4], hash = all[i % 4];
            bool weak = owf == MU_PKI_SHA1 || hash == MU_PKI_SHA1;
            struct mu_pki_mac a, b;
            struct mu_buf der = {0};
            uint8_t value[64];
            size_t n;

            kit_ok(mu_pki_mac_init(&a, (enum mu_pki_mac_kind)kind, 100, kit_env(), kit_err_));
            if (weak) {
                struct mu_err err = {0};

                assert_int_equal(mu_pki_mac_choose(&a, owf, hash, false, &err), MU_UNSUPPORTED);
                assert_int_equal(err.reason, 705);
            }
            kit_ok(mu_pki_mac_choose(&a, owf, hash, weak, kit_err_));
            assert_true(a.owf == owf && a.hash == hash);
            compute(&a, "secret", value, &n);
            assert_int_equal(n, mu_pki_digest_size(hash));
            mu_pki_mac_encode(&a, &der);
            kit_ok(mu_pki_mac_decode(kit_bytes_of(&der), weak, &b, kit_err_));
            assert_true(mu_pki_mac_equal(&a, &b));
            assert_int_equal(mu_pki_mac_choose(&a, MU_PKI_MD5, hash, true, kit_err()), MU_UNSUPPORTED);
            mu_buf_clear(&der);
        }
    }
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    for (int kind = MU_PKI_MAC_PBM; kind <= MU_PKI_MAC_PBMAC1; kind++) {
        struct mu_pki_mac a, b;
        struct mu_buf der = {0}, again = {0};
        kit_ok(mu_pki_mac_init(&a, (enum mu_pki_mac_kind)kind, 0, kit_env(), kit_err_));
        assert_int_equal(a.iterations, MU_PKI_MAC_ITERATIONS);
        mu_pki_mac_encode(&a, &der);
        assert_true(mu_der_valid(kit_bytes_of(&der), 8));
        kit_ok(mu_pki_mac_decode(kit_bytes_of(&der), false, &b, kit_err_));
        assert_true(mu_pki_mac_equal(&a, &b));
        mu_pki_mac_encode(&b, &again);
        assert_true(mu_bytes_equal(kit_bytes_of(&der), kit_bytes_of(&again)));
        b.salt[0] ^= 1;
        assert_false(mu_pki_mac_equal(&a, &b));
        mu_buf_clear(&der);
        mu_buf_clear(&again);
    }
}

static struct mu_buf encoded(enum mu_pki_mac_kind kind, size_t salt_n, unsigned iterations,
    unsigned key_length)
{
    struct mu_pki_mac mac = {.kind = kind, .owf = MU_PKI_SHA256, .hash = MU_PKI_SHA256,
        .salt = "0123456789abcdef", .salt_n = salt_n, .iterations = iterations,
        .key_length = key_length};
    struct mu_buf der = {0};
    mu_pki_mac_encode(&mac, &der);
    return der;
}

/* CMP-28 and the iteration count of 2^31: refused before any work. */
static void parameters_out_of_bounds_are_refused(void **state)
{
    static const struct {
        size_t salt_n;
        unsigned iterations, key_length;
        const char *words;
    } rows[] = {
        {7, 1000, 32, "salt of 7 octets"},
        {16, 99, 32, "99 iterations"},
        {16, 100001, 32, "100001 iterations"},
        {16, 1U << 31, 32, "2147483648 iterations"},
        {16, 1000, 15, "key of 15 octets"},
        {16, 1000, 65, "key of 65 octets"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int kind = MU_PKI_MAC_PBM; kind <= MU_PKI_MAC_PBMAC1; kind++) {
            struct mu_buf der = encoded(
                (enum mu_pki_mac_kind)kind, rows[i].salt_n, rows[i].iterations, rows[i].key_length);
            struct mu_pki_mac mac;
            if (kind == MU_PKI_MAC_PBM && rows[i].key_length != 32) {
                mu_buf_clear(&der);
                continue;
            }
            struct mu_err *err = kit_err();
            assert_int_equal(mu_pki_mac_decode(kit_bytes_of(&der), true, &mac, err), MU_INPUT);
            assert_true(kit_says(rows[i].words));
            assert_int_equal(err->reason, MU_REFUSE_ALGORITHM);
            mu_buf_clear(&der);
        }
    }
}

/* A count too long for any number of ours, and parameters that are no SEQUENCE at all. */
static void malformed_parameters_are_refused(void **state)
{
    struct mu_buf der = encoded(MU_PKI_MAC_PBM, 16, 1000, 0);
    struct mu_pki_mac mac;
    for (size_t cut = 1; cut < der.n; cut++)
        assert_int_not_equal(
            mu_pki_mac_decode(mu_bytes(der.p, der.n - cut), true, &mac, kit_err()), MU_OK);
    for (size_t i = 0; i < der.n; i++) { /* whatever comes of it, it must not be work */
        der.p[i] ^= 0x55;
        if (mu_pki_mac_decode(kit_bytes_of(&der), true, &mac, kit_err()) == MU_OK)
            assert_in_range(mac.iterations, MU_PKI_MAC_ITERATIONS_MIN, MU_PKI_MAC_ITERATIONS_MAX);
        der.p[i] ^= 0x55;
    }
    mu_buf_clear(&der);
    size_t seq = mu_der_open(&der, MU_DER_SEQUENCE);
    mu_der_put_oid(&der, "1.2.840.113533.7.66.13");
    mu_der_put(&der, MU_DER_OCTET_STRING, kit_str("no SEQUENCE"));
    mu_der_close(&der, seq);
    assert_int_equal(mu_pki_mac_decode(kit_bytes_of(&der), true, &mac, kit_err()), MU_INPUT);
    mu_buf_clear(&der);
    seq = mu_der_open(&der, MU_DER_SEQUENCE); /* CMP-26: DHBasedMac is not served */
    mu_der_put_oid(&der, "1.2.840.113533.7.66.30");
    mu_der_close(&der, seq);
    assert_false(mu_pki_mac_is(kit_bytes_of(&der)));
    assert_int_equal(mu_pki_mac_decode(kit_bytes_of(&der), true, &mac, kit_err()), MU_UNSUPPORTED);
    mu_buf_clear(&der);
}

/* CMP-30, CMP-128: no AES-GMAC as MAC or as PRF, no MAC by KEM. */
static void other_macs_are_not_served(void **state)
{
    static const uint8_t hmac[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09};
    static const uint8_t gmac[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x09};
    for (int kind = MU_PKI_MAC_PBM; kind <= MU_PKI_MAC_PBMAC1; kind++) {
        struct mu_buf der = encoded((enum mu_pki_mac_kind)kind, 16, 1000, 32), other = {0};
        struct mu_pki_mac mac;
        size_t at = der.n;
        kit_ok(mu_pki_mac_decode(kit_bytes_of(&der), false, &mac, kit_err_));
        /* each HMAC identifier in turn exchanged for one of the same length */
        for (size_t i = 0; i + sizeof hmac <= der.n; i++)
            if (memcmp(der.p + i, hmac, 7) == 0 && der.p[i - 1] == 8) {
                at = i;
                mu_buf_reset(&other);
                mu_buf_put(&other, der.p, der.n);
                memcpy(other.p + at, gmac, 8);
                assert_int_equal(
                    mu_pki_mac_decode(kit_bytes_of(&other), true, &mac, kit_err()), MU_UNSUPPORTED);
            }
        assert_true(kind == MU_PKI_MAC_PBM || at != der.n);
        mu_buf_clear(&der);
        mu_buf_clear(&other);
    }
    struct mu_buf der = {0};
    struct mu_pki_mac mac;
    size_t seq = mu_der_open(&der, MU_DER_SEQUENCE);
    mu_der_put_oid(&der, "1.2.840.113533.7.66.16");
    mu_der_put(&der, MU_DER_SEQUENCE, mu_bytes(NULL, 0));
    mu_der_close(&der, seq);
    assert_false(mu_pki_mac_is(kit_bytes_of(&der)));
    assert_int_equal(mu_pki_mac_decode(kit_bytes_of(&der), true, &mac, kit_err()), MU_UNSUPPORTED);
    mu_buf_clear(&der);
}

static void a_wrong_secret_or_a_changed_octet_is_told(void **state)
{
    struct mu_pki_mac mac;
    struct mu_secret right = password("right"), wrong = password("Right"), key = {0};
    uint8_t value[64];
    size_t n;
    struct mu_err err = {0};
    kit_ok(mu_pki_mac_init(&mac, MU_PKI_MAC_PBM, 100, kit_env(), kit_err_));
    kit_ok(mu_pki_mac_derive(&mac, &right, &key, kit_err_));
    kit_ok(mu_pki_mac_make(&mac, &key, data(), value, &n, kit_err_));
    for (size_t i = 0; i < n; i++) {
        value[i] ^= 0x80;
        assert_int_equal(
            mu_pki_mac_verify(&mac, &key, data(), mu_bytes(value, n), &err), MU_AUTH);
        value[i] ^= 0x80;
    }
    assert_int_equal(err.reason, MU_REFUSE_SIGNATURE);
    assert_int_equal(
        mu_pki_mac_verify(&mac, &key, data(), mu_bytes(value, n - 1), &err), MU_AUTH);
    kit_ok(mu_pki_mac_derive(&mac, &wrong, &key, kit_err_));
    assert_int_equal(mu_pki_mac_verify(&mac, &key, data(), mu_bytes(value, n), &err), MU_AUTH);
    mu_secret_clear(&right);
    mu_secret_clear(&wrong);
    mu_secret_clear(&key);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(password_based_mac_is_that_of_openssl),
        cmocka_unit_test(pbmac1_is_what_another_program_computed),
        cmocka_unit_test(functions_may_be_chosen),
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(parameters_out_of_bounds_are_refused),
        cmocka_unit_test(malformed_parameters_are_refused),
        cmocka_unit_test(other_macs_are_not_served),
        cmocka_unit_test(a_wrong_secret_or_a_changed_octet_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
