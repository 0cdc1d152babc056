/* Keys in a PKCS#11 token: softhsm2 with a token made in a temporary directory. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"
#include "pki/pki_token.h"
#include "pki/pki_token_uri.h"

static const char module[] = "/usr/lib/softhsm/libsofthsm2.so";
static char dir[] = "/tmp/muster-token-XXXXXX";

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int make_token(void **state)
{
    char path[128], command[512];
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/softhsm2.conf", dir);
    FILE *f = fopen(path, "w");
    if (!f)
        return -1;
    fprintf(f, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", dir);
    fclose(f);
    setenv("SOFTHSM2_CONF", path, 1);
    snprintf(command, sizeof(command),
        "softhsm2-util --init-token --free --label muster --pin 1234 --so-pin 5678 >/dev/null");
    run(command);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int remove_token(void **state)
{
    mu_pki_token_shutdown();
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct mu_secret pin(const char *text)
{
    struct mu_secret s = {0};
    kit_ok(mu_secret_set(&s, kit_str(text), kit_err_));
    return s;
}

static void generated_keys_sign_and_decrypt(void **state)
{
    static const struct {
        const char *uri, *type;
        bool decrypts;
    } rows[] = {
        {"pkcs11:token=muster;object=rsa%2done", "rsa:2048", true},
        {"pkcs11:token=muster;object=ec;id=%01%02", "ec:P-256", false},
        {"pkcs11:object=ec384", "ec:P-384", false},
    };
    struct mu_secret good = pin("1234");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_pki_key_spec spec, got;
        struct mu_pki_key *made, *opened;
        struct mu_buf der = {0};
        struct mu_pki_csr *csr;
        kit_ok(mu_pki_key_spec_parse(rows[i].type, false, &spec, kit_err_));
        kit_ok(mu_pki_token_generate(rows[i].uri, module, &good, &spec, &made, kit_err_));
        kit_ok(mu_pki_token_open(rows[i].uri, module, &good, &opened, kit_err_));
        assert_true(mu_pki_key_equal(made, opened));
        assert_true(mu_pki_key_is_token(opened));
        assert_true(mu_pki_key_has_private(opened));
        mu_pki_key_spec_of(opened, &got);
        assert_int_equal(got.type, spec.type);
        assert_int_equal(got.bits, spec.bits);
        /* a request signed in the token */
        kit_ok(mu_pki_csr_make(
            &(struct mu_pki_csr_params){.subject = kit_name("/CN=token")}, opened, &der, kit_err_));
        kit_ok(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, kit_err_));
        kit_ok(mu_pki_csr_verify(csr, false, NULL, kit_err_));
        mu_pki_csr_free(csr);
        /* it stays where it is */
        struct mu_buf pem = {.secret = true};
        assert_int_equal(mu_pki_key_encode(opened, NULL, &pem, kit_err()), MU_UNSUPPORTED);
        if (rows[i].decrypts) {
            struct mu_pki_cert *cert =
                kit_cert(&(struct kit_cert){.subject = "/CN=token", .key = opened});
            const struct mu_pki_enveloped_params params = {.recipient = cert,
                .cipher = MU_PKI_AES128_CBC};
            struct mu_pki_enveloped e;
            mu_buf_reset(&der);
            kit_ok(mu_pki_enveloped_encode(&params, kit_str("for the token"), kit_env(), &der,
                kit_err_));
            kit_ok(mu_pki_enveloped_decode(mu_buf_bytes(&der), &e, kit_err_));
            kit_ok(mu_pki_enveloped_open(&e, opened, false, &pem, kit_err_));
            assert_true(mu_bytes_equal(mu_buf_bytes(&pem), kit_str("for the token")));
            mu_pki_enveloped_clear(&e);
            mu_pki_cert_free(cert);
        }
        mu_buf_clear(&pem);
        mu_buf_clear(&der);
        mu_pki_key_free(made);
        mu_pki_key_free(opened);
    }
    mu_secret_clear(&good);
}

static void the_pin_may_stand_in_the_uri_or_a_file(void **state)
{
    char uri[256], path[128];
    struct mu_pki_key *key;
    kit_ok(mu_pki_token_open("pkcs11:token=muster;object=ec?pin-value=1234", module, NULL, &key,
        kit_err_));
    mu_pki_key_free(key);
    snprintf(path, sizeof(path), "%s/pin", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("1234\n", f);
    fclose(f);
    snprintf(uri, sizeof(uri), "pkcs11:token=muster;object=ec?pin-source=file:%s&module-path=%s",
        path, module);
    kit_ok(mu_pki_token_open(uri, NULL, NULL, &key, kit_err_));
    mu_pki_key_free(key);
}

static void what_is_missing_is_said(void **state)
{
    struct mu_pki_key_spec ec = {MU_PKI_KEY_EC, 256}, ed = {MU_PKI_KEY_ED25519, 0};
    struct mu_pki_key *key = NULL;
    struct mu_secret good = pin("1234"), wrong = pin("9999");
    struct mu_err err = {0};
    assert_int_equal(
        mu_pki_token_open("pkcs11:token=muster;object=nobody", module, &good, &key, &err),
        MU_NOT_FOUND);
    assert_int_equal(mu_pki_token_open("file:/x", module, &good, &key, kit_err()), MU_INPUT);
    assert_true(kit_says("pkcs11: URI"));
    assert_int_equal(
        mu_pki_token_open("pkcs11:object=%zz", module, &good, &key, kit_err()), MU_INPUT);
    assert_int_equal(
        mu_pki_token_generate("pkcs11:token=muster;object=ec", module, &good, &ec, &key, kit_err()),
        MU_INPUT);
    assert_true(kit_says("has a key 'ec' already"));
    assert_int_equal(
        mu_pki_token_generate("pkcs11:token=muster", module, &good, &ec, &key, kit_err()),
        MU_INPUT);
    assert_int_equal(
        mu_pki_token_generate("pkcs11:token=x;object=y", module, &good, &ec, &key, kit_err()),
        MU_NOT_FOUND);
    assert_int_equal(mu_pki_token_generate("pkcs11:object=y", module, &good, &ed, &key, kit_err()),
        MU_UNSUPPORTED);
    assert_int_equal(
        mu_pki_token_generate("pkcs11:object=y", "/nonexistent.so", &good, &ec, &key, &err),
        MU_NOT_FOUND);
    assert_int_equal(err.reason, MU_M(709));
    assert_null(key);
    mu_secret_clear(&good);
    mu_secret_clear(&wrong);
}

static void engines_and_providers_are_chosen_by_name(void **state)
{
    struct mu_err err = {0};
    assert_int_equal(mu_pki_token_use("no-such-thing", &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_M(709)); /* lists what is installed */
    assert_non_null(strstr(err.what, "\"no-such-thing\" is not available; installed: "));
    assert_non_null(strstr(err.what, "pkcs11"));
    /* OpenSSL's legacy provider is no token, and must not enter the default context */
    assert_int_equal(mu_pki_token_use("legacy", &err), MU_UNSUPPORTED);
    assert_int_equal(mu_pki_token_use("", &err), MU_UNSUPPORTED);
    kit_ok(mu_pki_token_use("pkcs11", kit_err_));
    struct mu_pki_key *key;
    kit_ok(mu_pki_token_open("pkcs11:token=muster;object=ec?pin-value=1234", module, NULL, &key,
        kit_err_));
    mu_pki_key_free(key);
}

static void uris_are_taken_apart(void **state)
{
    struct mu_pki_token_uri uri;
    kit_ok(mu_pki_token_uri_parse("pkcs11:token=My%20Token;object=a;type=private;id=%00%ff"
                                  "?module-path=/x/y.so&pin-value=1%3b2",
        &uri, kit_err_));
    assert_string_equal(mu_buf_str(&uri.token), "My Token");
    assert_string_equal(mu_buf_str(&uri.object), "a");
    assert_string_equal(mu_buf_str(&uri.module), "/x/y.so");
    assert_true(mu_bytes_equal(mu_buf_bytes(&uri.id), mu_bytes("\0\xff", 2)));
    assert_true(mu_bytes_equal(mu_secret_bytes(&uri.pin), kit_str("1;2")));
    mu_pki_token_uri_clear(&uri);
    static const char *const bad[] = {"", "pkcs12:object=a", "pkcs11:object=%", "pkcs11:object=%1",
        "pkcs11:pin-value=%g0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mu_pki_token_uri_parse(bad[i], &uri, kit_err()), MU_INPUT);
    assert_int_equal(
        mu_pki_token_uri_parse("pkcs11:a?pin-source=file:/nonexistent", &uri, kit_err()),
        MU_STORAGE);
}

/* It is not told as a key that is not there. */
static void a_module_that_cannot_be_loaded_is_told(void **state)
{
    struct mu_pki_key *key = NULL;
    struct mu_err err = {0};
    assert_int_equal(mu_pki_token_open("pkcs11:object=x", "/nonexistent.so", NULL, &key, &err), MU_UNSUPPORTED);
    assert_int_equal(err.reason, MU_M(709));
    assert_non_null(strstr(err.what, "/nonexistent.so"));
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris_are_taken_apart),
        cmocka_unit_test(a_module_that_cannot_be_loaded_is_told), /* before the engine has one */
        cmocka_unit_test(generated_keys_sign_and_decrypt),
        cmocka_unit_test(the_pin_may_stand_in_the_uri_or_a_file),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(engines_and_providers_are_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, make_token, remove_token);
}
