/* sscep's options, configuration file and exit codes: rows R058 to R093. */
#include "cmd/muster/sscep_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* Splits at blanks, puts the operation's place in front, parses. */
static enum mu_code parse(
    struct mu_sscep_text *text, const char *line, char *store, struct mu_err *err)
{
    static char operation[] = "enroll";
    char *argv[80] = {operation};
    int argc = 1;
    char *p = store;

    snprintf(store, 512, "%s", line);
    while (*p != '\0' && argc < 79) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p != '\0')
            *p++ = '\0';
    }
    memset(text, 0, sizeof *text);
    return mu_sscep_options_parse(text, argc, argv, err);
}

#define BASE "-u http://ca/ -c ca -k key -r csr -l crt -s 1 -w out "

static enum mu_code check(enum mu_sscep_op op, const char *line, struct mu_sscep_options *out,
    int *exit_code, struct mu_err *err)
{
    static char store[512];
    struct mu_sscep_text text;
    enum mu_code rc = parse(&text, line, store, err);

    *exit_code = 1;
    return rc != MU_OK ? rc : mu_sscep_options_check(op, &text, out, exit_code, err);
}

static void operations_have_names(void **state)
{
    static const char *const names[] = {"getca", "enroll", "getcert", "getcrl", "getcaps"};
    size_t i;

    for (i = 0; i < 5; i++) {
        assert_int_not_equal(mu_sscep_options_op(names[i]), MU_SSCEP_NONE);
        assert_string_equal(mu_sscep_options_op_name(mu_sscep_options_op(names[i])), names[i]);
    }
    assert_int_equal(mu_sscep_options_op("GETCA"), MU_SSCEP_NONE);
    assert_int_equal(mu_sscep_options_op("-u"), MU_SSCEP_NONE);
}

static void R058_usage_lists_all_of_I11(void **state)
{
    static const char *const all[] = {"getca", "enroll", "getcert", "getcrl", "getcaps", "-u <url>",
        "-p <host:port>", "-g <engine>", "-f <file>", "-c <file>", "-E <name>", "-S <name>", "-v",
        "-d", "-i <string>", "-F <name>", "-k <file>", "-r <file>", "-K <file>", "-O <file>",
        "-l <file>", "-e <file>", "-L <file>", "-t <secs>", "-T <secs>", "-n <count>", "-R",
        "-s <number>", "-w <file>", "des|3des|blowfish|aes[128]|aes192|aes256",
        "md5|sha1|sha224|sha256|sha384|sha512", "--allow-legacy"};
    struct mu_buf text = {0};
    size_t i;

    assert_true(mu_sscep_options_usage(&text));
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strstr(mu_buf_str(&text), all[i]) == NULL)
            fail_msg("the usage has no %s", all[i]);
    }
    mu_buf_clear(&text);
}

static void every_letter_reaches_its_place(void **state)
{
    struct mu_sscep_text t;
    struct mu_err err = {0};
    char store[512];

    assert_int_equal(
        parse(&t,
            "-u U -p P -g G -f F -c C -E aes -S sha256 -vd -i I -F sha512 -k K -r R -K SK "
            "-O SO -l L -e E -L LL -t 1 -T 2 -n 3 -R -s 4 -w W --allow-legacy",
            store, &err),
        MU_OK);
    assert_string_equal(t.url, "U");
    assert_string_equal(t.proxy, "P");
    assert_string_equal(t.engine, "G");
    assert_string_equal(t.config, "F");
    assert_string_equal(t.ca_file, "C");
    assert_string_equal(t.cipher, "aes");
    assert_string_equal(t.digest, "sha256");
    assert_true(t.verbose && t.debug && t.resume && t.allow_legacy);
    assert_string_equal(t.ca_identifier, "I");
    assert_string_equal(t.fingerprint, "sha512");
    assert_string_equal(t.key_file, "K");
    assert_string_equal(t.request_file, "R");
    assert_string_equal(t.sign_key_file, "SK");
    assert_string_equal(t.sign_cert_file, "SO");
    assert_string_equal(t.cert_file, "L");
    assert_string_equal(t.encrypt_file, "E");
    assert_string_equal(t.self_signed_file, "LL");
    assert_string_equal(t.poll_interval, "1");
    assert_string_equal(t.poll_time, "2");
    assert_string_equal(t.poll_count, "3");
    assert_string_equal(t.serial, "4");
    assert_string_equal(t.write_file, "W");
}

static void wrong_lines_are_named(void **state)
{
    static const struct {
        const char *line, *what;
    } cases[] = {
        {"-Z", "unknown option -Z"},
        {"-u", "option -u needs a value"},
        {"-u x word", "'word'"},
        {"--legacy", "unknown option"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_sscep_text t;
        struct mu_err err = {0};
        char store[512];

        assert_int_equal(parse(&t, cases[i].line, store, &err), MU_INPUT);
        assert_non_null(strstr(err.what, cases[i].what));
    }
}

/* R062, R063, R064, R066, R070, R077, R088, R089: what is missing is named, exit code 1. */
static void what_is_missing_is_named(void **state)
{
    static const struct {
        enum mu_sscep_op op;
        const char *line, *what;
    } cases[] = {
        {MU_SSCEP_GETCAPS, "-c x", "missing URL (-u)"},
        {MU_SSCEP_GETCA, "-u x", "missing CA certificate file (-c)"},
        {MU_SSCEP_ENROLL, "-u x -k k -r r -l l", "(-c)"},
        {MU_SSCEP_ENROLL, "-u x -c c -r r -l l", "missing private key file (-k)"},
        {MU_SSCEP_ENROLL, "-u x -c c -k k -l l", "missing request file (-r)"},
        {MU_SSCEP_ENROLL, "-u x -c c -k k -r r", "missing local certificate file (-l)"},
        {MU_SSCEP_GETCERT, "-u x -c c -l l -s 1 -w w", "(-k)"},
        {MU_SSCEP_GETCERT, "-u x -c c -k k -s 1 -w w", "(-l)"},
        {MU_SSCEP_GETCERT, "-u x -c c -k k -l l -w w", "missing serial number (-s)"},
        {MU_SSCEP_GETCERT, "-u x -c c -k k -l l -s 1", "missing output file (-w)"},
        {MU_SSCEP_GETCRL, "-u x -c c -l l -w w", "(-k)"},
        {MU_SSCEP_GETCRL, "-u x -c c -k k -w w", "(-l)"},
        {MU_SSCEP_GETCRL, "-u x -c c -k k -l l", "(-w)"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_sscep_options o;
        struct mu_err err = {0};
        int exit_code = -1;

        assert_int_equal(check(cases[i].op, cases[i].line, &o, &exit_code, &err), MU_INPUT);
        assert_int_equal(exit_code, 1);
        if (strstr(err.what, cases[i].what) == NULL)
            fail_msg("%s: %s", cases[i].line, err.what);
    }
}

static void R079_signature_key_and_certificate_belong_together(void **state)
{
    struct mu_sscep_options o;
    struct mu_err err = {0};
    int exit_code = -1;

    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-K k", &o, &exit_code, &err), MU_INPUT);
    assert_int_equal(exit_code, 93);
    assert_non_null(strstr(err.what, "-O"));
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-O c", &o, &exit_code, &err), MU_INPUT);
    assert_int_equal(exit_code, 93);
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-O c -K k", &o, &exit_code, &err), MU_OK);
}

static void R071_encryption_words(void **state)
{
    static const struct {
        const char *word;
        enum mu_pki_cipher cipher;
        bool is_legacy;
    } cases[] = {
        {"des", MU_PKI_DES_CBC, true},
        {"3des", MU_PKI_DES3_CBC, true},
        {"blowfish", MU_PKI_BLOWFISH_CBC, true},
        {"aes", MU_PKI_AES128_CBC, false},
        {"aes128", MU_PKI_AES128_CBC, false},
        {"aes192", MU_PKI_AES192_CBC, false},
        {"aes256", MU_PKI_AES256_CBC, false},
    };
    struct mu_sscep_options o;
    struct mu_err err = {0};
    char line[200];
    int exit_code;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(line, sizeof line, BASE "-E %s", cases[i].word);
        if (cases[i].is_legacy) {
            assert_int_equal(check(MU_SSCEP_ENROLL, line, &o, &exit_code, &err), MU_UNSUPPORTED);
            assert_int_equal(err.reason, 705);
            assert_non_null(strstr(err.next, "--allow-legacy"));
            assert_int_equal(exit_code, 1);
            snprintf(line, sizeof line, BASE "-E %s --allow-legacy", cases[i].word);
        }
        assert_int_equal(check(MU_SSCEP_ENROLL, line, &o, &exit_code, &err), MU_OK);
        assert_int_equal(o.cipher, cases[i].cipher);
    }
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-E rc4", &o, &exit_code, &err), MU_INPUT);
    assert_int_equal(exit_code, 1);
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE, &o, &exit_code, &err), MU_OK);
    assert_int_equal(o.cipher, MU_PKI_CIPHER_NONE);
}

/* R072, R076 */
static void signature_and_fingerprint_words(void **state)
{
    static const struct {
        const char *word;
        enum mu_pki_digest digest;
        bool is_legacy;
    } cases[] = {
        {"md5", MU_PKI_MD5, true},
        {"sha1", MU_PKI_SHA1, true},
        {"sha224", MU_PKI_SHA224, false},
        {"sha256", MU_PKI_SHA256, false},
        {"sha384", MU_PKI_SHA384, false},
        {"sha512", MU_PKI_SHA512, false},
    };
    struct mu_sscep_options o;
    struct mu_err err = {0};
    char line[200];
    int exit_code;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(line, sizeof line, BASE "-S %s", cases[i].word);
        assert_int_equal(check(MU_SSCEP_GETCA, line, &o, &exit_code, &err),
            cases[i].is_legacy ? MU_UNSUPPORTED : MU_OK);
        snprintf(line, sizeof line, BASE "-F %s", cases[i].word);
        assert_int_equal(check(MU_SSCEP_GETCA, line, &o, &exit_code, &err),
            cases[i].is_legacy ? MU_UNSUPPORTED : MU_OK);
        snprintf(
            line, sizeof line, BASE "-S %s -F %s --allow-legacy", cases[i].word, cases[i].word);
        assert_int_equal(check(MU_SSCEP_GETCA, line, &o, &exit_code, &err), MU_OK);
        assert_int_equal(o.digest, cases[i].digest);
        assert_int_equal(o.fingerprint, cases[i].digest);
    }
    assert_int_equal(check(MU_SSCEP_GETCA, BASE, &o, &exit_code, &err), MU_OK);
    assert_int_equal(o.fingerprint, MU_PKI_SHA256);
    assert_int_equal(check(MU_SSCEP_GETCA, BASE "-F crc32", &o, &exit_code, &err), MU_INPUT);
}

/* R084, R085, R086 */
static void polling_defaults_and_numbers(void **state)
{
    struct mu_sscep_options o;
    struct mu_err err = {0};
    int exit_code;

    assert_int_equal(check(MU_SSCEP_ENROLL, BASE, &o, &exit_code, &err), MU_OK);
    assert_int_equal(o.poll_interval_s, 300);
    assert_int_equal(o.poll_time_s, 28800);
    assert_int_equal(o.poll_count, 256);
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-t 2 -T 60 -n 10", &o, &exit_code, &err), MU_OK);
    assert_int_equal(o.poll_interval_s, 2);
    assert_int_equal(o.poll_time_s, 60);
    assert_int_equal(o.poll_count, 10);
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-t abc", &o, &exit_code, &err), MU_INPUT);
    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-n -1", &o, &exit_code, &err), MU_INPUT);
    assert_int_equal(exit_code, 1);
}

static struct mu_ini *ini_of(const char *text)
{
    struct mu_ini *ini = NULL;
    struct mu_err err = {0};

    assert_int_equal(
        mu_ini_parse(mu_bytes_str(text), "sscep.conf", MU_INI_BARE, &ini, &err), MU_OK);
    return ini;
}

static void R069_file_gives_what_the_line_leaves_out(void **state)
{
    struct mu_ini *ini = ini_of("# settings\n"
                                "URL http://file/\nCACertFile \"./my ca.crt\"\nProxy "
                                "localhost:3128\nPrivateKeyFile k\nLocalCertFile l\n"
                                "CertReqFile r\nEncAlgorithm aes256\nSigAlgorithm "
                                "sha512\nFingerPrint sha384\nSelfSignedFile L\n"
                                "EncCertFile e\nSignKeyFile K\nSignCertFile O\nPollInterval "
                                "60\nMaxPollTime 28800\nMaxPollCount 50\n"
                                "GetCertFile gc\nGetCertSerial 12\nGetCrlFile gl\nCAIdentifier "
                                "dom\nVerbose yes\nDebug no\n");
    struct mu_sscep_text t;
    struct mu_sscep_options o;
    struct mu_buf unknown = {0};
    struct mu_err err = {0};
    char store[512];
    int exit_code;

    assert_int_equal(parse(&t, "-u http://line/ -S sha256", store, &err), MU_OK);
    assert_int_equal(mu_sscep_options_config(&t, ini, &unknown, &err), MU_OK);
    assert_int_equal(unknown.n, 0);
    assert_string_equal(t.url, "http://line/"); /* options win */
    assert_string_equal(t.digest, "sha256");
    assert_string_equal(t.ca_file, "./my ca.crt");
    assert_string_equal(t.proxy, "localhost:3128");
    assert_string_equal(t.key_file, "k");
    assert_string_equal(t.cert_file, "l");
    assert_string_equal(t.request_file, "r");
    assert_string_equal(t.cipher, "aes256");
    assert_string_equal(t.fingerprint, "sha384");
    assert_string_equal(t.self_signed_file, "L");
    assert_string_equal(t.encrypt_file, "e");
    assert_string_equal(t.sign_key_file, "K");
    assert_string_equal(t.sign_cert_file, "O");
    assert_string_equal(t.poll_interval, "60");
    assert_string_equal(t.poll_time, "28800");
    assert_string_equal(t.poll_count, "50");
    assert_string_equal(t.serial, "12");
    assert_string_equal(t.ca_identifier, "dom");
    assert_true(t.verbose);
    assert_false(t.debug);
    assert_int_equal(mu_sscep_options_check(MU_SSCEP_GETCERT, &t, &o, &exit_code, &err), MU_OK);
    assert_string_equal(o.text.write_file, "gc");
    assert_int_equal(mu_sscep_options_check(MU_SSCEP_GETCRL, &t, &o, &exit_code, &err), MU_OK);
    assert_string_equal(o.text.write_file, "gl");
    mu_ini_free(ini);
    mu_buf_clear(&unknown);
}

static void configuration_faults_are_told(void **state)
{
    struct mu_ini *ini = ini_of("URL http://x/\nPolInterval 3\n");
    struct mu_sscep_text t = {0};
    struct mu_buf unknown = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_sscep_options_config(&t, ini, &unknown, &err), MU_OK);
    assert_string_equal(mu_buf_str(&unknown), "sscep.conf:2: unknown key PolInterval\n");
    mu_ini_free(ini);
    mu_buf_clear(&unknown);
    ini = ini_of("Debug perhaps\n");
    assert_int_equal(mu_sscep_options_config(&t, ini, &unknown, &err), MU_INPUT);
    assert_int_equal(err.reason, 706);
    mu_ini_free(ini);
    mu_buf_clear(&unknown);
}

static void R093_exit_codes(void **state)
{
    static const struct {
        enum mu_code code;
        int reason;
        enum mu_sscep_phase phase;
        int fail_info, want;
        const char *what;
    } cases[] = {
        {MU_OK, 0, MU_SSCEP_PHASE_EXCHANGE, -1, 0, ""},
        {MU_INPUT, 0, MU_SSCEP_PHASE_OPTIONS, -1, 1, ""},
        {MU_NOT_FOUND, 709, MU_SSCEP_PHASE_OPTIONS, -1, 1, ""},
        {MU_DENIED, 312, MU_SSCEP_PHASE_EXCHANGE, -1, 2, ""},
        {MU_PENDING, 313, MU_SSCEP_PHASE_EXCHANGE, -1, 3, ""},
        {MU_PENDING, 0, MU_SSCEP_PHASE_EXCHANGE, -1, 3, ""},
        {MU_DENIED, 303, MU_SSCEP_PHASE_EXCHANGE, 0, 70, ""},
        {MU_DENIED, 302, MU_SSCEP_PHASE_EXCHANGE, 1, 71, ""},
        {MU_DENIED, 311, MU_SSCEP_PHASE_EXCHANGE, 2, 72, ""},
        {MU_DENIED, 317, MU_SSCEP_PHASE_EXCHANGE, 3, 73, ""},
        {MU_DENIED, 318, MU_SSCEP_PHASE_EXCHANGE, 4, 74, ""},
        {MU_NETWORK, 103, MU_SSCEP_PHASE_EXCHANGE, -1, 89, ""},
        {MU_INTERNAL, 0, MU_SSCEP_PHASE_SELF_SIGNED, -1, 91, ""},
        {MU_STORAGE, 702, MU_SSCEP_PHASE_EXCHANGE, -1, 93, ""},
        {MU_STORAGE, 704, MU_SSCEP_PHASE_FILES, -1, 93, ""},
        {MU_INPUT, 708, MU_SSCEP_PHASE_FILES, -1, 93, ""},
        {MU_NETWORK, 101, MU_SSCEP_PHASE_EXCHANGE, -1, 95, ""},
        {MU_NETWORK, 102, MU_SSCEP_PHASE_EXCHANGE, -1, 95, ""},
        {MU_NOT_FOUND, 304, MU_SSCEP_PHASE_EXCHANGE, -1, 95, ""},
        {MU_AUTH, 321, MU_SSCEP_PHASE_EXCHANGE, -1, 97, ""},
        {MU_INPUT, 322, MU_SSCEP_PHASE_EXCHANGE, -1, 97, ""},
        {MU_AUTH, 323, MU_SSCEP_PHASE_EXCHANGE, -1, 97, ""},
        {MU_INPUT, 322, MU_SSCEP_PHASE_EXCHANGE, -1, 99,
            "scep: CertRep without pkiStatus (RFC 8894 3.2.1.3)"},
        {MU_INPUT, 322, MU_SSCEP_PHASE_EXCHANGE, -1, 97,
            "scep: pkiStatus 9 is unknown (RFC 8894 3.2.1.3)"},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_err err = {.code = cases[i].code, .reason = (enum mu_reason)cases[i].reason};
        int got;

        snprintf(err.what, sizeof err.what, "%s", cases[i].what);
        got = mu_sscep_options_exit(&err, cases[i].phase, cases[i].fail_info);
        if (got != cases[i].want)
            fail_msg("row %zu: exit code %d, not %d", i, got, cases[i].want);
    }
}

static void R073_settings_for_verbose(void **state)
{
    struct mu_sscep_options o;
    struct mu_err err = {0};
    struct mu_buf text = {0};
    int exit_code;

    assert_int_equal(check(MU_SSCEP_ENROLL, BASE "-t 2 -R", &o, &exit_code, &err), MU_OK);
    assert_true(mu_sscep_options_settings(&o, &text));
    assert_non_null(strstr(mu_buf_str(&text), "operation: enroll\n"));
    assert_non_null(strstr(mu_buf_str(&text), "URL: http://ca/\n"));
    assert_non_null(strstr(mu_buf_str(&text), "PrivateKeyFile: key\n"));
    assert_non_null(strstr(mu_buf_str(&text), "Resume: yes\n"));
    assert_non_null(strstr(mu_buf_str(&text), "polling: every 2 s"));
    assert_null(strstr(mu_buf_str(&text), "GetCertSerial"));
    mu_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_have_names),
        cmocka_unit_test(R058_usage_lists_all_of_I11),
        cmocka_unit_test(every_letter_reaches_its_place),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(R079_signature_key_and_certificate_belong_together),
        cmocka_unit_test(R071_encryption_words),
        cmocka_unit_test(signature_and_fingerprint_words),
        cmocka_unit_test(polling_defaults_and_numbers),
        cmocka_unit_test(R069_file_gives_what_the_line_leaves_out),
        cmocka_unit_test(configuration_faults_are_told),
        cmocka_unit_test(R093_exit_codes),
        cmocka_unit_test(R073_settings_for_verbose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
