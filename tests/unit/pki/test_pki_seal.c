/* Secrets at rest: open with the same key and place, and with nothing else. */
#include "kit.h"
#include "pki/pki_seal.h"

static const struct mu_bytes place = {(const uint8_t *)"entry\0door", 10};

static struct mu_env env;

static void key_make(const char *label, uint8_t key[MU_PKI_SEAL_KEY])
{
    assert_int_equal(
        mu_pki_seal_key(mu_bytes_str("0123456789abcdef"), label, key, NULL), MU_OK);
}

static void what_was_sealed_opens(void **state)
{
    static const size_t sizes[] = {0, 1, 16, 26, 255, MU_PKI_SEAL_MAX};
    static uint8_t plain[MU_PKI_SEAL_MAX];
    uint8_t key[MU_PKI_SEAL_KEY];
    key_make("a", key);
    memset(plain, 'p', sizeof(plain));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct mu_buf sealed = {0};
        struct mu_secret open = {0};
        mu_buf_put_str(&sealed, "before"); /* it appends */
        assert_int_equal(mu_pki_seal(key, place, mu_bytes(plain, sizes[i]), &env, &sealed, NULL),
            MU_OK);
        assert_int_equal(sealed.n, 6 + sizes[i] + MU_PKI_SEAL_OVERHEAD);
        assert_int_equal(mu_pki_seal_open(key, place, mu_bytes(sealed.p + 6, sealed.n - 6), &open,
                             NULL), MU_OK);
        assert_int_equal(open.n, sizes[i]);
        assert_memory_equal(open.p, plain, sizes[i]);
        mu_secret_clear(&open);
        mu_buf_clear(&sealed);
    }
}

/* The value is that of "openssl kdf HKDF" with salt "label" and no info. */
static void keys_are_hkdf_of_the_secret(void **state)
{
    uint8_t a[MU_PKI_SEAL_KEY], b[MU_PKI_SEAL_KEY], hash[32];
    static const uint8_t want[] = {
        0x62, 0xfb, 0x4c, 0xa8, 0x81, 0x66, 0x22, 0xa5, 0x91, 0x27, 0x7e, 0xf5, 0x5d, 0xe5,
        0x76, 0x84, 0x1b, 0x50, 0xc1, 0x60, 0x5f, 0x98, 0x0a, 0x38, 0x26, 0x3b, 0xaf, 0x04,
        0x47, 0xdc, 0xf9, 0x1a
    };
    key_make("label", a);
    assert_memory_equal(a, want, sizeof(want));
    key_make("labels", b);
    assert_memory_not_equal(a, b, sizeof(a));
    /* nor is it what a password equal to the label would be found by */
    assert_true(mu_pki_hmac_sha256(mu_bytes_str("0123456789abcdef"), mu_bytes_str("label"), hash));
    assert_memory_not_equal(a, hash, sizeof(a));
}

static void refused(const uint8_t *key, struct mu_bytes where, struct mu_bytes sealed)
{
    struct mu_secret open = {0};
    struct mu_err err = {0};
    assert_int_equal(mu_pki_seal_open(key, where, sealed, &open, &err), MU_AUTH);
    assert_false(mu_secret_is_set(&open));
    assert_string_equal(err.what, "a sealed secret cannot be opened");
}

static void another_key_place_or_bit_opens_nothing(void **state)
{
    uint8_t key[MU_PKI_SEAL_KEY], other[MU_PKI_SEAL_KEY];
    struct mu_buf sealed = {0};
    key_make("a", key);
    key_make("b", other);
    assert_int_equal(mu_pki_seal(key, place, mu_bytes_str("s3cret"), &env, &sealed, NULL), MU_OK);
    struct mu_bytes whole = mu_buf_bytes(&sealed);
    refused(other, place, whole);
    refused(key, mu_bytes_str("entry"), whole);
    refused(key, mu_bytes("entry\0doorx", 11), whole);
    refused(key, (struct mu_bytes){0}, whole);
    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
        refused(key, place, whole);
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t n = 0; n < sealed.n; n++)
        refused(key, place, mu_bytes(sealed.p, n));
    mu_buf_put_byte(&sealed, 0);
    refused(key, place, mu_buf_bytes(&sealed));
    mu_buf_clear(&sealed);
}

static void the_same_secret_looks_different_each_time(void **state)
{
    uint8_t key[MU_PKI_SEAL_KEY];
    struct mu_buf a = {0}, b = {0};
    key_make("a", key);
    assert_int_equal(mu_pki_seal(key, place, mu_bytes_str("s3cret"), &env, &a, NULL), MU_OK);
    assert_int_equal(mu_pki_seal(key, place, mu_bytes_str("s3cret"), &env, &b, NULL), MU_OK);
    assert_memory_not_equal(a.p + 13, b.p + 13, 6);
    mu_buf_clear(&a);
    mu_buf_clear(&b);
}

static bool no_random(void *ctx, uint8_t *p, size_t n)
{
    return false;
}

static void what_cannot_be_sealed_leaves_the_buffer_as_it_was(void **state)
{
    static uint8_t plain[MU_PKI_SEAL_MAX + 1];
    uint8_t key[MU_PKI_SEAL_KEY];
    struct mu_buf out = {.max = 30};
    struct mu_env dead = env;
    key_make("a", key);
    dead.random = no_random;
    assert_int_equal(mu_pki_seal(key, place, mu_bytes_str("x"), &dead, &out, NULL), MU_INTERNAL);
    assert_int_equal(out.n, 0);
    assert_int_equal(mu_pki_seal(key, place, mu_bytes(plain, sizeof(plain)), &env, &out, NULL),
        MU_INPUT);
    assert_int_equal(out.n, 0);
    assert_int_equal(mu_pki_seal(key, place, mu_bytes_str("too long"), &env, &out, NULL),
        MU_MEMORY);
    mu_buf_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(keys_are_hkdf_of_the_secret),
        cmocka_unit_test(another_key_place_or_bit_opens_nothing),
        cmocka_unit_test(the_same_secret_looks_different_each_time),
        cmocka_unit_test(what_cannot_be_sealed_leaves_the_buffer_as_it_was),
    };
    env = mu_env_system();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
