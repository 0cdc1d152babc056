/* Words, titles and AlgorithmIdentifiers of digests and ciphers (COM-16). */
#include <string.h>

#include "base/text.h"
#include <openssl/hmac.h>

#include "kit.h"

static void words_and_titles_parse_back(void **state)
{
    static const struct {
        const char *word;
        enum mu_pki_digest digest;
    } rows[] = {
        {"md5", MU_PKI_MD5}, {"MD5", MU_PKI_MD5}, {"sha1", MU_PKI_SHA1}, {"SHA-1", MU_PKI_SHA1},
        {"sha224", MU_PKI_SHA224}, {"Sha256", MU_PKI_SHA256}, {"SHA-256", MU_PKI_SHA256},
        {"sha384", MU_PKI_SHA384}, {"SHA-512", MU_PKI_SHA512},
    };
    enum mu_pki_digest d;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(mu_pki_digest_parse(rows[i].word, &d));
        assert_int_equal(d, rows[i].digest);
    }
    assert_false(mu_pki_digest_parse("sha3", &d));
    assert_false(mu_pki_digest_parse("", &d));
    assert_string_equal(mu_pki_digest_word(MU_PKI_SHA384), "sha384");
    assert_string_equal(mu_pki_digest_title(MU_PKI_SHA384), "SHA-384");
    assert_null(mu_pki_digest_word(MU_PKI_DIGEST_NONE));
}

static void cipher_words_of_sscep_parse(void **state)
{
    static const struct {
        const char *word;
        enum mu_pki_cipher cipher;
        bool legacy;
        size_t key_size;
    } rows[] = {
        {"des", MU_PKI_DES_CBC, true, 8}, {"3des", MU_PKI_DES3_CBC, true, 24},
        {"blowfish", MU_PKI_BLOWFISH_CBC, true, 16}, {"aes", MU_PKI_AES128_CBC, false, 16},
        {"aes128", MU_PKI_AES128_CBC, false, 16}, {"aes192", MU_PKI_AES192_CBC, false, 24},
        {"AES256", MU_PKI_AES256_CBC, false, 32}, {"AES-256-CBC", MU_PKI_AES256_CBC, false, 32},
    };
    enum mu_pki_cipher c;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(mu_pki_cipher_parse(rows[i].word, &c));
        assert_int_equal(c, rows[i].cipher);
        assert_int_equal(mu_pki_cipher_is_legacy(c), rows[i].legacy);
        assert_int_equal(mu_pki_cipher_key_size(c), rows[i].key_size);
        assert_non_null(mu_pki_alg_cipher(c));
    }
    assert_false(mu_pki_cipher_parse("rc4", &c));
}

static void sha2_identifiers_are_sent_without_parameters(void **state)
{
    struct mu_buf b = {0};
    mu_pki_digest_encode(&b, MU_PKI_SHA256); /* COM-16 */
    assert_int_equal(b.n, 13);
    assert_memory_equal(b.p, "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", 13);
    mu_buf_reset(&b);
    mu_pki_digest_encode(&b, MU_PKI_SHA1);
    assert_memory_equal(b.p, "\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00", 11);
    mu_buf_clear(&b);
}

static void identifiers_are_read_with_and_without_null(void **state)
{
    static const struct {
        const char *der;
        size_t n;
        bool ok;
    } rows[] = {
        {"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", 13, true},
        {"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00", 15, true},
        {"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x00", 15, false},
        {"\x30\x0f\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x02\x00\x00", 17, false},
        {"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x09", 13, false}, /* SHA3-384 */
        {"\x30\x00", 2, false},
        {"", 0, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum mu_pki_digest d = MU_PKI_DIGEST_NONE;
        assert_int_equal(mu_pki_digest_decode(mu_bytes(rows[i].der, rows[i].n), &d), rows[i].ok);
        assert_int_equal(d, rows[i].ok ? MU_PKI_SHA256 : MU_PKI_DIGEST_NONE);
    }
}

static void digests_give_their_published_values(void **state)
{
    static const struct {
        enum mu_pki_digest digest;
        const char *hex; /* of "abc", FIPS 180-4 and RFC 1321 */
    } rows[] = {
        {MU_PKI_MD5, "900150983cd24fb0d6963f7d28e17f72"},
        {MU_PKI_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {MU_PKI_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    uint8_t out[64];
    struct mu_buf hex = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mu_buf_reset(&hex);
        size_t n = mu_pki_digest(rows[i].digest, kit_str("abc"), out);
        assert_int_equal(n, mu_pki_digest_size(rows[i].digest));
        mu_text_hex_lower(&hex, mu_bytes(out, n), 0);
        assert_string_equal(mu_buf_str(&hex), rows[i].hex);
    }
    /* RFC 4231 test case 2 */
    assert_true(mu_pki_hmac_sha256(kit_str("Jefe"), kit_str("what do ya want for nothing?"), out));
    mu_buf_reset(&hex);
    mu_text_hex_lower(&hex, mu_bytes(out, 32), 0);
    assert_string_equal(mu_buf_str(&hex),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    mu_buf_clear(&hex);
}

/* Against OpenSSL's: keys shorter, as long as and longer than a block, and none at all. */
static void hmac_is_that_of_openssl(void **state)
{
    static const enum mu_pki_digest digests[] = {
        MU_PKI_SHA1, MU_PKI_SHA224, MU_PKI_SHA256, MU_PKI_SHA384, MU_PKI_SHA512};
    static const size_t lengths[] = {0, 1, 20, 63, 64, 65, 127, 128, 129, 200};
    static const uint8_t key[200] = "key of the tests, and nothing behind it";
    for (size_t d = 0; d < 5; d++) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            uint8_t own[64], theirs[64];
            unsigned n = 0;
            struct mu_bytes data = mu_bytes(key, i % 2 ? sizeof(key) : 0);
            assert_non_null(HMAC(mu_pki_alg_md(digests[d]), key, (int)lengths[i], key, data.n, theirs, &n));
            assert_int_equal(mu_pki_hmac(digests[d], mu_bytes(key, lengths[i]), data, own), n);
            assert_memory_equal(own, theirs, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_is_that_of_openssl),
        cmocka_unit_test(words_and_titles_parse_back),
        cmocka_unit_test(cipher_words_of_sscep_parse),
        cmocka_unit_test(sha2_identifiers_are_sent_without_parameters),
        cmocka_unit_test(identifiers_are_read_with_and_without_null),
        cmocka_unit_test(digests_give_their_published_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
