/* sscep's option table, its configuration keys, and the exit codes. */
#include "cmd/muster/sscep_options.h"

#include <getopt.h>
#include <stdio.h>

#include "base/text.h"

enum kind { FLAG, TEXT };
enum {
    GETCA = MU_SSCEP_GETCA,
    ENROLL = MU_SSCEP_ENROLL,
    GETCERT = MU_SSCEP_GETCERT,
    GETCRL = MU_SSCEP_GETCRL,
    ALL = MU_SSCEP_ALL,
};

struct row {
    char letter; /* 0: only in the configuration file, or a long option */
    const char *key; /* in the configuration file; NULL: none */
    enum kind kind;
    unsigned ops; /* that use it */
    unsigned needed; /* that cannot do without */
    size_t offset;
    const char *value; /* placeholder */
    const char *help;
    const char *what; /* for 'missing <what> (-x)' */
};

#define AT(field) offsetof(struct mu_sscep_text, field)

static const struct row rows[] = {
    {'u', "URL", TEXT, ALL, ALL, AT(url), "<url>", "address of the SCEP server", "URL"},
    {'p', "Proxy", TEXT, ALL, 0, AT(proxy), "<host:port>", "go through this HTTP proxy", NULL},
    {'g', "Engine", TEXT, ALL, 0, AT(engine), "<engine>",
        "cryptographic engine or provider, or pkcs11", NULL},
    {'f', NULL, TEXT, ALL, 0, AT(config), "<file>", "read settings from a file; options win", NULL},
    {'c', "CACertFile", TEXT, ALL, GETCA | ENROLL | GETCERT | GETCRL, AT(ca_file), "<file>",
        "CA certificate; getca writes it, several as <file>-0, <file>-1, ...",
        "CA certificate file"},
    {'E', "EncAlgorithm", TEXT, ALL, 0, AT(cipher), "<name>",
        "encryption: des|3des|blowfish|aes[128]|aes192|aes256", NULL},
    {'S', "SigAlgorithm", TEXT, ALL, 0, AT(digest), "<name>",
        "signature: md5|sha1|sha224|sha256|sha384|sha512", NULL},
    {'v', "Verbose", FLAG, ALL, 0, AT(verbose), NULL, "show the settings in use", NULL},
    {'d', "Debug", FLAG, ALL, 0, AT(debug), NULL, "show every step", NULL},
    {0, "AllowLegacy", FLAG, ALL, 0, AT(allow_legacy), NULL,
        "take des, 3des, blowfish, md5 and sha1, with a warning", NULL},

    {'i', "CAIdentifier", TEXT, GETCA, 0, AT(ca_identifier), "<string>", "CA identifier", NULL},
    {'F', "FingerPrint", TEXT, GETCA, 0, AT(fingerprint), "<name>",
        "fingerprint: md5|sha1|sha224|sha256|sha384|sha512, default sha256", NULL},

    {'k', "PrivateKeyFile", TEXT, ENROLL | GETCERT | GETCRL, ENROLL | GETCERT | GETCRL,
        AT(key_file), "<file>", "private key", "private key file"},
    {'r', "CertReqFile", TEXT, ENROLL, ENROLL, AT(request_file), "<file>",
        "certificate request (PKCS #10)", "request file"},
    {'K', "SignKeyFile", TEXT, ENROLL, 0, AT(sign_key_file), "<file>",
        "key that signs, together with -O", NULL},
    {'O', "SignCertFile", TEXT, ENROLL, 0, AT(sign_cert_file), "<file>",
        "certificate that signs instead of a self-signed one, together with -K", NULL},
    {'l', "LocalCertFile", TEXT, ENROLL | GETCERT | GETCRL, ENROLL | GETCERT | GETCRL,
        AT(cert_file), "<file>", "local certificate; enroll writes it", "local certificate file"},
    {'e', "EncCertFile", TEXT, ENROLL, 0, AT(encrypt_file), "<file>",
        "encrypt to this CA certificate", NULL},
    {'L', "SelfSignedFile", TEXT, ENROLL, 0, AT(self_signed_file), "<file>",
        "write the self-signed certificate", NULL},
    {'t', "PollInterval", TEXT, ENROLL, 0, AT(poll_interval), "<secs>",
        "pause between polls, default 300", NULL},
    {'T', "MaxPollTime", TEXT, ENROLL, 0, AT(poll_time), "<secs>",
        "longest time of polling, default 28800", NULL},
    {'n', "MaxPollCount", TEXT, ENROLL, 0, AT(poll_count), "<count>", "most polls, default 256",
        NULL},
    {'R', "Resume", FLAG, ENROLL, 0, AT(resume), NULL, "go on with an interrupted enrollment",
        NULL},

    {'s', "GetCertSerial", TEXT, GETCERT, GETCERT, AT(serial), "<number>",
        "serial number, decimal, or hex with colons", "serial number"},
    {'w', NULL, TEXT, GETCERT | GETCRL, GETCERT | GETCRL, AT(write_file), "<file>",
        "write the certificate or the CRL here", "output file"},
    {0, "GetCertFile", TEXT, GETCERT, 0, AT(write_cert_file), NULL, NULL, NULL},
    {0, "GetCrlFile", TEXT, GETCRL, 0, AT(write_crl_file), NULL, NULL, NULL},
    {'h', NULL, FLAG, ALL, 0, AT(help), NULL, "this text", NULL},
};

enum { ROW_N = sizeof rows / sizeof rows[0] };

static const struct {
    enum mu_sscep_op op;
    const char *name, *help;
} ops[] = {
    {MU_SSCEP_GETCA, "getca", "get the CA and RA certificates"},
    {MU_SSCEP_ENROLL, "enroll", "enroll a certificate"},
    {MU_SSCEP_GETCERT, "getcert", "query a certificate"},
    {MU_SSCEP_GETCRL, "getcrl", "query the CRL"},
    {MU_SSCEP_GETCAPS, "getcaps", "query the capabilities"},
};

enum { OP_N = sizeof ops / sizeof ops[0] };

enum mu_sscep_op mu_sscep_options_op(const char *word)
{
    size_t i;

    for (i = 0; i < OP_N; i++) {
        if (strcmp(ops[i].name, word) == 0)
            return ops[i].op;
    }
    return MU_SSCEP_NONE;
}

const char *mu_sscep_options_op_name(enum mu_sscep_op op)
{
    size_t i;

    for (i = 0; i < OP_N; i++) {
        if (ops[i].op == op)
            return ops[i].name;
    }
    return "";
}

static const char **text_at(struct mu_sscep_text *text, const struct row *row)
{
    return (const char **)(void *)((char *)text + row->offset);
}

static const char *text_of(const struct mu_sscep_text *text, const struct row *row)
{
    return *(const char *const *)(const void *)((const char *)text + row->offset);
}

static bool flag_of(const struct mu_sscep_text *text, const struct row *row)
{
    return *(const bool *)((const char *)text + row->offset);
}

static const struct row *row_of_letter(int letter)
{
    size_t i;

    for (i = 0; i < ROW_N; i++) {
        if (rows[i].letter != 0 && rows[i].letter == letter)
            return &rows[i];
    }
    return NULL;
}

enum mu_code mu_sscep_options_parse(
    struct mu_sscep_text *text, int argc, char *const *argv, struct mu_err *err)
{
    static const struct option longs[] = {
        {"allow-legacy", no_argument, NULL, 1}, {"help", no_argument, NULL, 'h'}, {0}};
    char letters[2 * ROW_N + 2] = ":";
    size_t i, n = 1;
    int c;

    for (i = 0; i < ROW_N; i++) {
        if (rows[i].letter == 0)
            continue;
        letters[n++] = rows[i].letter;
        if (rows[i].kind == TEXT)
            letters[n++] = ':';
    }
    letters[n] = '\0';
    opterr = 0;
    optind = 0; /* begin anew, whatever was read before */
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct row *row = row_of_letter(c);

        if (c == ':')
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "option -%c needs a value: %s", optopt,
                row_of_letter(optopt)->value);
        if (c == 1)
            text->allow_legacy = true;
        else if (row == NULL)
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown option -%c",
                optopt > ' ' && optopt <= '~' ? optopt : '-');
        else if (row->kind == TEXT)
            *text_at(text, row) = optarg;
        else
            *(bool *)((char *)text + row->offset) = true;
    }
    if (optind < argc)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not an option: '%s'", argv[optind]);
    return MU_OK;
}

static enum mu_code config_flag(
    const struct mu_ini *ini, const struct mu_ini_item *item, bool *out, struct mu_err *err)
{
    if (mu_text_equal_nocase(item->value, "yes") || mu_text_equal_nocase(item->value, "true")
        || strcmp(item->value, "1") == 0)
        *out = true;
    else if (!mu_text_equal_nocase(item->value, "no") && !mu_text_equal_nocase(item->value, "false")
        && strcmp(item->value, "0") != 0)
        return mu_err_set(err, MU_INPUT, MU_M(706), "%s:%u: %s is \"yes\" or \"no\"",
            mu_ini_file(ini), item->line, item->key);
    return MU_OK;
}

static const struct row *row_of_key(const char *key)
{
    size_t i;

    /* Older files say SignCertKey for what the table calls SignKeyFile. */
    if (mu_text_equal_nocase(key, "SignCertKey"))
        key = "SignKeyFile";
    for (i = 0; i < ROW_N; i++) {
        if (rows[i].key != NULL && mu_text_equal_nocase(rows[i].key, key))
            return &rows[i];
    }
    return NULL;
}

enum mu_code mu_sscep_options_config(struct mu_sscep_text *text, const struct mu_ini *ini,
    struct mu_buf *unknown, struct mu_err *err)
{
    const struct mu_sscep_text line = *text;
    enum mu_code rc;
    size_t i;

    for (i = 0; i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);
        const struct row *row = row_of_key(item->key);

        if (row == NULL) {
            mu_buf_putf(
                unknown, "%s:%u: unknown key %s\n", mu_ini_file(ini), item->line, item->key);
        } else if (row->kind == TEXT) {
            if (text_of(&line, row) == NULL)
                *text_at(text, row) = item->value;
        } else if ((rc = config_flag(ini, item, (bool *)((char *)text + row->offset), err))
            != MU_OK) {
            return rc;
        }
    }
    if (text->write_file == NULL && text->write_cert_file != NULL && text->write_crl_file == NULL)
        text->write_file = text->write_cert_file;
    return mu_buf_check(unknown, "configuration", err);
}

static enum mu_code check_needed(
    enum mu_sscep_op op, const struct mu_sscep_text *text, struct mu_err *err)
{
    size_t i;

    for (i = 0; i < ROW_N; i++) {
        const struct row *row = &rows[i];

        if ((row->needed & op) != 0
            && (text_of(text, row) == NULL || text_of(text, row)[0] == '\0'))
            return mu_err_set(
                err, MU_INPUT, MU_REASON_NONE, "missing %s (-%c)", row->what, row->letter);
    }
    return MU_OK;
}

/* The six words of -S and -F. */
static enum mu_code check_digest(
    const char *word, char letter, bool allow_legacy, enum mu_pki_digest *out, struct mu_err *err)
{
    if (word == NULL)
        return MU_OK;
    if (!mu_pki_digest_parse(word, out) || *out == MU_PKI_DIGEST_NONE)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "-%c %s: known are md5, sha1, sha224, sha256, sha384, sha512", letter, word);
    if (mu_pki_digest_is_legacy(*out) && !allow_legacy) {
        mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "-%c %s is weak or legacy", letter, word);
        mu_err_next(err, "Take sha256, or add --allow-legacy.");
        return MU_UNSUPPORTED;
    }
    return MU_OK;
}

static enum mu_code check_cipher(
    const char *word, bool allow_legacy, enum mu_pki_cipher *out, struct mu_err *err)
{
    if (word == NULL)
        return MU_OK;
    if (!mu_pki_cipher_parse(word, out) || *out == MU_PKI_AES128_GCM || *out == MU_PKI_AES256_GCM)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "-E %s: known are des, 3des, blowfish, aes, aes128, aes192, aes256", word);
    if (mu_pki_cipher_is_legacy(*out) && !allow_legacy) {
        mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "-E %s is weak or legacy", word);
        mu_err_next(err, "Take aes128, or add --allow-legacy.");
        return MU_UNSUPPORTED;
    }
    return MU_OK;
}

static enum mu_code check_number(
    const char *word, char letter, int64_t otherwise, int64_t *out, struct mu_err *err)
{
    *out = otherwise;
    if (word == NULL)
        return MU_OK;
    if (mu_text_int(word, 0, INT32_MAX, out, NULL) != MU_OK)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "-%c %s: a whole number is needed", letter, word);
    return MU_OK;
}

enum mu_code mu_sscep_options_check(enum mu_sscep_op op, const struct mu_sscep_text *given,
    struct mu_sscep_options *out, int *exit_code, struct mu_err *err)
{
    struct mu_sscep_options o = {.op = op, .text = *given, .fingerprint = MU_PKI_SHA256};
    struct mu_sscep_text *text = &o.text;
    enum mu_code rc;

    *exit_code = MU_SSCEP_EXIT_USAGE;
    if (text->write_file == NULL)
        text->write_file = op == MU_SSCEP_GETCRL ? text->write_crl_file : text->write_cert_file;
    if (op == MU_SSCEP_ENROLL && (text->sign_key_file == NULL) != (text->sign_cert_file == NULL)) {
        *exit_code = MU_SSCEP_EXIT_FILE;
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "missing signature %s: -K and -O belong together",
            text->sign_key_file == NULL ? "key file (-K)" : "certificate file (-O)");
    }
    if ((rc = check_needed(op, text, err)) != MU_OK
        || (rc = check_cipher(text->cipher, text->allow_legacy, &o.cipher, err)) != MU_OK
        || (rc = check_digest(text->digest, 'S', text->allow_legacy, &o.digest, err)) != MU_OK
        || (rc = check_digest(text->fingerprint, 'F', text->allow_legacy, &o.fingerprint, err))
            != MU_OK
        || (rc = check_number(text->poll_interval, 't', 300, &o.poll_interval_s, err)) != MU_OK
        || (rc = check_number(text->poll_time, 'T', 28800, &o.poll_time_s, err)) != MU_OK
        || (rc = check_number(text->poll_count, 'n', 256, &o.poll_count, err)) != MU_OK)
        return rc;
    *out = o;
    return MU_OK;
}

static void usage_rows(struct mu_buf *out, const char *title, unsigned op, bool shared)
{
    size_t i;

    mu_buf_putf(out, "\n%s\n", title);
    for (i = 0; i < ROW_N; i++) {
        const struct row *row = &rows[i];

        if (row->help == NULL || (row->ops == ALL) != shared || (row->ops & op) == 0)
            continue;
        if (row->letter != 0)
            mu_buf_putf(out, "  -%c %-15s %s\n", row->letter, row->value != NULL ? row->value : "",
                row->help);
        else
            mu_buf_putf(out, "  %-18s %s\n", "--allow-legacy", row->help);
    }
}

bool mu_sscep_options_usage(struct mu_buf *out)
{
    char title[40];
    size_t i;

    mu_buf_putf(out,
        "sscep, a face of muster %s\n\nUsage: sscep OPERATION [OPTIONS]\n\nOperations\n",
        MUSTER_VERSION);
    for (i = 0; i < OP_N; i++)
        mu_buf_putf(out, "  %-18s %s\n", ops[i].name, ops[i].help);
    usage_rows(out, "Options of every operation", ALL, true);
    for (i = 0; i < OP_N; i++) {
        if (ops[i].op == MU_SSCEP_GETCAPS)
            continue;
        snprintf(title, sizeof title, "Options of %s", ops[i].name);
        usage_rows(out, title, ops[i].op, false);
    }
    return !out->failed;
}

bool mu_sscep_options_settings(const struct mu_sscep_options *options, struct mu_buf *out)
{
    size_t i;

    mu_buf_putf(out, "operation: %s\n", mu_sscep_options_op_name(options->op));
    for (i = 0; i < ROW_N; i++) {
        const struct row *row = &rows[i];
        const char *name = row->key != NULL ? row->key
            : row->letter == 'w'            ? "output file"
                                            : "configuration";

        if ((row->ops & options->op) == 0 || row->letter == 'h')
            continue;
        if (row->kind == TEXT && text_of(&options->text, row) != NULL)
            mu_buf_putf(out, "%s: %s\n", name, text_of(&options->text, row));
        else if (row->kind == FLAG && flag_of(&options->text, row))
            mu_buf_putf(out, "%s: yes\n", name);
    }
    if (options->op == MU_SSCEP_ENROLL)
        mu_buf_putf(out, "polling: every %lld s, for at most %lld s, at most %lld times\n",
            (long long)options->poll_interval_s, (long long)options->poll_time_s,
            (long long)options->poll_count);
    return !out->failed;
}

/* Exit code by M-number, for what an exchange can end with. */
static const struct {
    int reason, exit_code;
} by_reason[] = {
    {103, MU_SSCEP_EXIT_TIMEOUT},
    {302, MU_SSCEP_EXIT_BAD_MESSAGE_CHECK},
    {303, MU_SSCEP_EXIT_BAD_ALG},
    {304, MU_SSCEP_EXIT_NETWORK},
    {317, MU_SSCEP_EXIT_BAD_TIME},
    {318, MU_SSCEP_EXIT_BAD_CERT_ID},
    {313, MU_SSCEP_EXIT_PENDING},
    {321, MU_SSCEP_EXIT_PKCS7},
    {322, MU_SSCEP_EXIT_PKCS7},
    {323, MU_SSCEP_EXIT_PKCS7},
    {324, MU_SSCEP_EXIT_PKCS7},
    {325, MU_SSCEP_EXIT_PKCS7},
};

static int exit_of_exchange(const struct mu_err *err, int fail_info)
{
    size_t i;

    if (err->code == MU_PENDING)
        return MU_SSCEP_EXIT_PENDING;
    if (fail_info >= 0 && fail_info <= 4)
        return MU_SSCEP_EXIT_BAD_ALG + fail_info;
    /* The one fault of an answer with a code of its own; its reason is that of all bad answers. */
    if (err->code == MU_INPUT && strstr(err->what, "without pkiStatus") != NULL)
        return MU_SSCEP_EXIT_NO_STATUS;
    for (i = 0; i < sizeof by_reason / sizeof by_reason[0]; i++) {
        if ((int)err->reason == by_reason[i].reason)
            return by_reason[i].exit_code;
    }
    switch (err->code) {
    case MU_DENIED:
        return MU_SSCEP_EXIT_FAILURE;
    case MU_NETWORK:
    case MU_BUSY:
        return MU_SSCEP_EXIT_NETWORK;
    case MU_INPUT:
    case MU_AUTH:
        return MU_SSCEP_EXIT_PKCS7;
    default:
        return MU_SSCEP_EXIT_USAGE;
    }
}

int mu_sscep_options_exit(const struct mu_err *err, enum mu_sscep_phase phase, int fail_info)
{
    if (err->code == MU_OK)
        return MU_SSCEP_EXIT_OK;
    if (err->code == MU_STORAGE)
        return MU_SSCEP_EXIT_FILE;
    switch (phase) {
    case MU_SSCEP_PHASE_OPTIONS:
        return MU_SSCEP_EXIT_USAGE;
    case MU_SSCEP_PHASE_FILES:
        return MU_SSCEP_EXIT_FILE;
    case MU_SSCEP_PHASE_SELF_SIGNED:
        return MU_SSCEP_EXIT_SELF_SIGNED;
    default:
        return exit_of_exchange(err, fail_info);
    }
}
