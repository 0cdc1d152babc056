/* Generated keys on their way: CMP-81, CMP-82, EST-75. */
#include <string.h>

#include "kit.h"
#include "pki/pki_key_package.h"

static const char *const kinds[] = {"rsa:2048", "ec:P-256", "ed25519"};

static struct mu_pki_cert *signer(void)
{
    return kit_cert(
        &(struct kit_cert){.subject = "/CN=kga", .key = kit_key("ec:P-256", 2), .serial = "77"});
}

static void make(struct mu_pki_key *key, struct mu_pki_enveloped_params to, struct mu_buf *out)
{
    struct mu_pki_cert *kga = signer();
    const struct mu_pki_key_package_params params = {
        .key = key, .signer_key = kit_key("ec:P-256", 2), .signer = kga, .to = to};
    kit_ok(mu_pki_key_package_make(&params, kit_env(), out, kit_err_));
    mu_pki_cert_free(kga);
}

static void a_package_holds_one_key_with_its_public_part(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct mu_pki_key *key = kit_key(kinds[i], 0), *again;
        struct mu_buf der = {.secret = true}, two = {.secret = true};
        struct mu_der seq, one, version;
        int64_t v;
        kit_ok(mu_pki_key_package_encode(key, &der, kit_err_));
        assert_true(mu_der_valid(kit_bytes_of(&der), 16));
        assert_true(mu_der_only(kit_bytes_of(&der), MU_DER_SEQUENCE, &seq));
        assert_true(mu_der_only(seq.value, MU_DER_SEQUENCE, &one));
        struct mu_bytes rest = one.value;
        assert_true(mu_der_get(&rest, MU_DER_INTEGER, &version));
        assert_true(mu_der_int(version.value, &v));
        assert_int_equal(v, 1); /* CMP-81: v2 */
        kit_ok(mu_pki_key_package_decode(kit_bytes_of(&der), &again, kit_err_));
        assert_true(mu_pki_key_equal(key, again));
        assert_true(mu_pki_key_has_private(again));
        mu_pki_key_free(again);
        size_t package = mu_der_open(&two, MU_DER_SEQUENCE);
        mu_buf_put_bytes(&two, one.whole);
        mu_buf_put_bytes(&two, one.whole);
        mu_der_close(&two, package);
        assert_int_equal(
            mu_pki_key_package_decode(kit_bytes_of(&two), &again, kit_err()), MU_INPUT);
        assert_true(kit_says("more than one key"));
        der.p[der.n - 1] ^= 1; /* of publicKey */
        assert_int_equal(
            mu_pki_key_package_decode(kit_bytes_of(&der), &again, kit_err()), MU_INPUT);
        assert_true(kit_says("another key's"));
        mu_buf_clear(&der);
        mu_buf_clear(&two);
    }
}

static void delivered_by_each_kind_of_recipient(void **state)
{
    struct mu_secret password = {0}, kek = {0};
    struct mu_pki_cert *rsa = kit_cert(&(struct kit_cert){.subject = "/CN=r", .key = kit_key("rsa:2048", 1)});
    struct mu_pki_cert *ec = kit_cert(&(struct kit_cert){.subject = "/CN=e", .key = kit_key("ec:P-256", 1)});
    kit_ok(mu_secret_set(&password, kit_str("fortinet1"), kit_err_));
    kit_ok(mu_secret_set(&kek, kit_str("0123456789abcdef"), kit_err_));
    const struct {
        struct mu_pki_enveloped_params to;
        struct mu_pki_key_package_opener with, without;
    } rows[] = {
        {{.recipient = rsa, .rid_by_skid = true, .cipher = MU_PKI_AES256_CBC, .bare = true},
            {.key = kit_key("rsa:2048", 1), .bare = true}, {.password = &password, .bare = true}},
        {{.recipient = ec, .rid_by_skid = true, .cipher = MU_PKI_AES256_CBC, .bare = true},
            {.key = kit_key("ec:P-256", 1), .bare = true}, {.key = kit_key("ec:P-256", 0), .bare = true}},
        {{.password = &password, .aes_wrap = true, .cipher = MU_PKI_AES128_CBC, .bare = true},
            {.password = &password, .bare = true}, {.key = kit_key("ec:P-256", 0), .bare = true}},
        {{.kek = &kek, .kek_id = mu_bytes_str("id"), .cipher = MU_PKI_AES128_CBC},
            {.kek = &kek}, {.password = &password}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_buf der = {0};
        struct mu_pki_key_package package;
        struct mu_pki_cert *kga = signer();
        make(kit_key("ec:P-384", 0), rows[i].to, &der);
        assert_true(mu_der_valid(kit_bytes_of(&der), 32));
        kit_ok(mu_pki_key_package_open(kit_bytes_of(&der), &rows[i].with, &package, kit_err_));
        assert_true(mu_pki_key_equal(package.key, kit_key("ec:P-384", 0)));
        assert_true(mu_pki_serial_equal(package.signer->serial, kga->serial)); /* CMP-82 */
        assert_ptr_equal(package.certs.v[0], package.signer);
        mu_pki_key_package_clear(&package);
        assert_int_not_equal(
            mu_pki_key_package_open(kit_bytes_of(&der), &rows[i].without, &package, kit_err()),
            MU_OK);
        mu_pki_cert_free(kga);
        mu_buf_clear(&der);
    }
    mu_secret_clear(&password);
    mu_secret_clear(&kek);
    mu_pki_cert_free(rsa);
    mu_pki_cert_free(ec);
}

/* The signature covers the key: whoever could write to the recipient cannot slip one in. */
static void a_package_signed_by_nobody_is_refused(void **state)
{
    struct mu_secret password = {0};
    struct mu_buf package = {.secret = true}, der = {0};
    struct mu_pki_key_package out;
    kit_ok(mu_secret_set(&password, kit_str("fortinet1"), kit_err_));
    kit_ok(mu_pki_key_package_encode(kit_key("ec:P-384", 0), &package, kit_err_));
    const struct mu_pki_enveloped_params to = {
        .password = &password, .aes_wrap = true, .cipher = MU_PKI_AES128_CBC, .bare = true};
    const struct mu_pki_key_package_opener with = {.password = &password, .bare = true};
    kit_ok(mu_pki_enveloped_encode(&to, kit_bytes_of(&package), kit_env(), &der, kit_err_));
    assert_int_equal(
        mu_pki_key_package_open(kit_bytes_of(&der), &with, &out, kit_err()), MU_INPUT);
    mu_secret_clear(&password);
    mu_buf_clear(&package);
    mu_buf_clear(&der);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_package_holds_one_key_with_its_public_part),
        cmocka_unit_test(delivered_by_each_kind_of_recipient),
        cmocka_unit_test(a_package_signed_by_nobody_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
