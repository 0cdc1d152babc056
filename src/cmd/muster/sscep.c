/*
 * sscep: reads the options, sets up the engine, runs it, writes the answer. What it did goes to
 * stdout in the original's words; errors, settings (-v) and the trace (-d) go to stderr. It keeps
 * no state: the transaction id comes from the key alone, so -R finds its request again.
 */
#include "cmd/muster/sscep.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/sscep_files.h"
#include "cmd/muster/sscep_options.h"
#include "cmd/muster/sscep_run.h"
#include "keystore/keystore.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "pki/pki_token.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_msg.h"

struct sscep {
    struct mu_sscep_options options;
    struct mu_env env;
    struct mu_buf config_text;
    struct mu_ini *config;
    /* what the files hold */
    struct mu_pki_certs ca;
    struct mu_pki_key *key, *sign_key;
    struct mu_pki_cert *sign_cert, *local_cert, *encrypt_to, *self_signed;
    struct mu_pki_csr *csr;
    struct mu_buf serial;
    /* what runs */
    struct mu_tls_identity identity;
    struct mu_loop *loop;
    struct mu_transport *transport;
    struct mu_scep_client *engine;
    bool self_signed_written;
    enum mu_sscep_phase phase;
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("sscep: ", stdout);
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
    fflush(stdout);
}

/* The three parts; cause and next step are hints of ours and come with -v or when they name a way
 * out of a refusal of our own. */
static void complain(const struct mu_err *err, bool verbose)
{
    char code[8];

    mu_err_code_text(err, code);
    fprintf(stderr, "sscep: %s%s%s\n", code, code[0] != '\0' ? ": " : "", err->what);
    if (verbose && mu_err_likely_text(err)[0] != '\0')
        fprintf(stderr, "  likely    %s\n", mu_err_likely_text(err));
    if ((verbose || err->next[0] != '\0') && mu_err_next_text(err)[0] != '\0')
        fprintf(stderr, "  do        %s\n", mu_err_next_text(err));
}

static void trace_line(void *ctx, const struct mu_trace_event *event)
{
    const char *proto = mu_proto_name(event->proto);

    fprintf(stderr, "%s%s%s: %s\n", proto, proto[0] != '\0' ? " " : "",
        mu_trace_step_name(event->step), event->text);
}

static enum mu_code read_config(struct sscep *s, struct mu_sscep_text *text, struct mu_err *err)
{
    struct mu_buf unknown = {0};
    enum mu_code rc;

    if (text->config == NULL)
        return MU_OK;
    s->phase = MU_SSCEP_PHASE_FILES;
    if ((rc = mu_keystore_file_read(text->config, MU_KEYSTORE_PUBLIC, &s->config_text, err))
        != MU_OK)
        return rc;
    s->phase = MU_SSCEP_PHASE_OPTIONS;
    if ((rc = mu_ini_parse(
             mu_buf_bytes(&s->config_text), text->config, MU_INI_BARE, &s->config, err))
        == MU_OK)
        rc = mu_sscep_options_config(text, s->config, &unknown, err);
    if (unknown.n > 0)
        fprintf(stderr, "sscep: %s", mu_buf_str(&unknown));
    mu_buf_clear(&unknown);
    return rc;
}

/* A key file, or a pkcs11: URI; a password that is missing is asked for on a terminal. */
static enum mu_code read_key(const char *path, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_secret password = {0};
    enum mu_code rc = mu_keystore_key_read(path, NULL, out, err);

    if (rc != MU_OK && err->reason == MU_M(703) && mu_cmd_ask_possible()
        && mu_cmd_ask_secret("Password of the private key: ", &password, NULL) == MU_OK)
        rc = mu_keystore_key_read(path, &password, out, err);
    mu_secret_clear(&password);
    return rc;
}

static enum mu_code read_request(struct sscep *s, struct mu_err *err)
{
    struct mu_buf file = {.secret = true};
    enum mu_code rc;

    if ((rc = mu_keystore_file_read(s->options.text.request_file, MU_KEYSTORE_PUBLIC, &file, err))
            == MU_OK
        && (rc = mu_pki_csr_decode(mu_buf_bytes(&file), &s->csr, err)) == MU_OK
        && !mu_bytes_equal(s->csr->spki, mu_pki_key_spki(s->key)))
        rc = mu_err_set(err, MU_INPUT, MU_M(708), "The request %s does not belong to the key %s",
            s->options.text.request_file, s->options.text.key_file);
    mu_buf_clear(&file);
    return rc;
}

static enum mu_code read_files(struct sscep *s, struct mu_err *err)
{
    const struct mu_sscep_text *t = &s->options.text;
    enum mu_sscep_op op = s->options.op;
    enum mu_code rc = MU_OK;

    if (op == MU_SSCEP_GETCA || op == MU_SSCEP_GETCAPS)
        return MU_OK;
    if ((rc = mu_sscep_files_ca(t->ca_file, &s->ca, err)) != MU_OK
        || (rc = read_key(t->key_file, &s->key, err)) != MU_OK)
        return rc;
    if (op != MU_SSCEP_ENROLL)
        return mu_sscep_files_cert(t->cert_file, &s->local_cert, err);
    if ((rc = read_request(s, err)) != MU_OK)
        return rc;
    if (t->sign_key_file != NULL
        && ((rc = read_key(t->sign_key_file, &s->sign_key, err)) != MU_OK
            || (rc = mu_sscep_files_cert(t->sign_cert_file, &s->sign_cert, err)) != MU_OK))
        return rc;
    if (s->sign_cert != NULL && !mu_bytes_equal(s->sign_cert->spki, mu_pki_key_spki(s->sign_key)))
        return mu_err_set(err, MU_INPUT, MU_M(708),
            "The certificate %s does not belong to the key %s", t->sign_cert_file,
            t->sign_key_file);
    if (t->encrypt_file != NULL
        && (rc = mu_sscep_files_cert(t->encrypt_file, &s->encrypt_to, err)) != MU_OK)
        return rc;
    /* An interrupted enrollment goes on with the certificate that it began with, if it was kept. */
    if (t->resume && t->self_signed_file != NULL
        && mu_sscep_files_cert(t->self_signed_file, &s->self_signed, NULL) == MU_OK)
        s->self_signed_written = true;
    return MU_OK;
}

static enum mu_scep_client_op engine_op(const struct mu_sscep_options *o)
{
    switch (o->op) {
    case MU_SSCEP_GETCAPS:
        return MU_SCEP_CLIENT_CAPS;
    case MU_SSCEP_GETCA:
        return MU_SCEP_CLIENT_CA;
    case MU_SSCEP_GETCERT:
        return MU_SCEP_CLIENT_CERT;
    case MU_SSCEP_GETCRL:
        return MU_SCEP_CLIENT_CRL;
    default:
        return o->text.resume ? MU_SCEP_CLIENT_POLL : MU_SCEP_CLIENT_ENROLL;
    }
}

static enum mu_code make_engine(struct sscep *s, struct mu_err *err)
{
    const struct mu_sscep_options *o = &s->options;
    struct mu_scep_client_config config = {
        .env = &s->env,
        .op = engine_op(o),
        .url = o->text.url,
        .entry = "sscep",
        .ca_identifier = o->text.ca_identifier,
        .key = s->key,
        .signer_cert = s->sign_cert != NULL ? s->sign_cert : s->local_cert,
        .signer_key = s->sign_key != NULL ? s->sign_key
            : s->local_cert != NULL       ? s->key
                                          : NULL,
        .plain_pkcs_req = true, /* as the original: type 19 whoever signs (IOP-11) */
        .encrypt_to = s->encrypt_to,
        .digest = o->digest,
        .cipher = o->cipher,
        .allow_legacy = o->text.allow_legacy,
        .await_s = o->poll_interval_s > 0 ? o->poll_interval_s : 1,
        .max_await_s = o->poll_time_s > 0 ? o->poll_time_s : 1,
        .max_polls = (unsigned)o->poll_count,
        .no_wait = o->poll_count == 0 || o->poll_time_s == 0,
        .transaction_id_from_key = true,
        .self_signed = s->self_signed,
    };
    enum mu_code rc;

    if (s->csr != NULL) {
        config.csr = s->csr->der;
        config.has_challenge = mu_secret_is_set(&s->csr->challenge);
    }
    if (s->ca.n > 0) {
        config.trusted = config.ca_certs = &s->ca;
        config.trusted_as = o->text.ca_file;
    }
    if (o->op == MU_SSCEP_GETCERT) {
        if ((rc = mu_pki_serial_parse(o->text.serial, &s->serial, err)) != MU_OK)
            return mu_err_context(err, "-s %s", o->text.serial);
        config.serial = mu_buf_bytes(&s->serial);
    }
    return mu_scep_client_new(&config, &s->engine, err);
}

/* -L: on disk before the CA has the request, so that -R can go on with it. */
static enum mu_code write_self_signed(void *ctx, struct mu_err *err)
{
    struct sscep *s = ctx;
    const char *path = s->options.text.self_signed_file;
    struct mu_scep_client_result result;
    enum mu_code rc;

    mu_scep_client_result(s->engine, &result);
    if (path == NULL || s->self_signed_written || result.self_signed == NULL)
        return MU_OK;
    s->self_signed_written = true;
    if ((rc = mu_sscep_files_cert_write(path, result.self_signed, err)) == MU_OK)
        say("self-signed certificate written as %s", path);
    return rc;
}

static void tell_wait(void *ctx, int64_t wait_s, unsigned polls)
{
    say("pkistatus: PENDING");
    say("requesting certificate (#%u) in %lld s", polls + 1, (long long)wait_s);
}

static void describe(struct mu_pki_cert *cert, enum mu_pki_digest digest)
{
    struct mu_buf text = {0};

    mu_pki_name_format(cert->subject, MU_PKI_NAME_SLASH, &text);
    printf("  subject: %s\n", mu_buf_str(&text));
    mu_buf_reset(&text);
    mu_pki_name_format(cert->issuer, MU_PKI_NAME_SLASH, &text);
    printf("  issuer: %s\n", mu_buf_str(&text));
    mu_buf_reset(&text);
    if (cert->exts.has_key_usage && mu_pki_key_usage_format(cert->exts.key_usage, &text))
        printf("  usage: %s\n", mu_buf_str(&text));
    mu_buf_reset(&text);
    mu_pki_cert_fingerprint(cert, digest, &text);
    printf("  %s fingerprint: %s\n", mu_pki_digest_word(digest), mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void tell_ca(void *cookie, const char *path, struct mu_pki_cert *cert)
{
    const struct sscep *s = cookie;

    say("found certificate with");
    describe(cert, s->options.fingerprint);
    say("CA certificate written as %s", path);
}

static void print_caps(const struct mu_scep_client_result *result)
{
    struct mu_buf text = {0};

    mu_scep_caps_format(result->caps, &text);
    fputs(mu_buf_str(&text), stdout);
    mu_buf_clear(&text);
}

static enum mu_code write_answer(struct sscep *s, struct mu_err *err)
{
    const struct mu_sscep_text *t = &s->options.text;
    struct mu_scep_client_result result;
    enum mu_code rc = MU_OK;

    mu_scep_client_result(s->engine, &result);
    switch (s->options.op) {
    case MU_SSCEP_GETCAPS:
        print_caps(&result);
        return MU_OK;
    case MU_SSCEP_GETCA:
        return mu_sscep_files_ca_write(t->ca_file, result.ca_certs, tell_ca, s, err);
    case MU_SSCEP_GETCRL:
        if ((rc = mu_sscep_files_crl_write(t->write_file, result.crl, err)) == MU_OK)
            say("CRL written as %s", t->write_file);
        return rc;
    case MU_SSCEP_GETCERT:
        if ((rc = mu_sscep_files_cert_write(t->write_file, result.cert, err)) == MU_OK)
            say("certificate written as %s", t->write_file);
        return rc;
    default:
        say("pkistatus: SUCCESS");
        if ((rc = mu_sscep_files_cert_write(t->cert_file, result.cert, err)) == MU_OK)
            say("certificate written as %s", t->cert_file);
        return rc;
    }
}

static const char *greeting(const struct mu_sscep_options *o)
{
    switch (o->op) {
    case MU_SSCEP_GETCA:
        return "requesting CA certificate";
    case MU_SSCEP_GETCERT:
        return "requesting certificate";
    case MU_SSCEP_GETCRL:
        return "requesting CRL";
    default:
        return o->text.resume ? "resuming: requesting certificate" : "sending certificate request";
    }
}

/* Warnings of the engine: legacy in use, degraded, a nonce that is missing. */
static void warn(const char *lines)
{
    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n");

        fprintf(stderr, "sscep: warning: %.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

/* What an error of the exchange was about: making the self-signed certificate, if there should be
 * one, no message has gone out, and nothing else can have failed. */
static void find_phase(struct sscep *s, const struct mu_scep_client_result *result, enum mu_code rc)
{
    if (s->options.op == MU_SSCEP_ENROLL && s->sign_cert == NULL && result->self_signed == NULL
        && result->has_caps && (rc == MU_INTERNAL || rc == MU_MEMORY))
        s->phase = MU_SSCEP_PHASE_SELF_SIGNED;
}

static enum mu_code exchange(struct sscep *s, int *fail_info, struct mu_err *err)
{
    struct mu_sscep_run run = {
        .env = &s->env,
        .proxy = s->options.text.proxy,
        .identity = &s->identity,
        .before_send = write_self_signed,
        .on_wait = tell_wait,
        .ctx = s,
    };
    struct mu_scep_client_result result;
    enum mu_code rc;

    if ((rc = mu_net_loop_new(&s->loop, err)) != MU_OK
        || (rc = mu_net_client_new(s->loop, &s->transport, err)) != MU_OK)
        return rc;
    s->identity.use_system_anchors = true;
    s->identity.env = &s->env;
    run.loop = s->loop;
    run.transport = s->transport;
    run.engine = s->engine;
    if (s->options.op != MU_SSCEP_GETCAPS)
        say("%s", greeting(&s->options));
    rc = mu_sscep_run(&run, err);
    mu_scep_client_result(s->engine, &result);
    warn(result.warnings);
    *fail_info = result.fail_info;
    if (rc != MU_OK && result.pki_status >= 0)
        say("pkistatus: %s", mu_scep_status_name(result.pki_status));
    if (rc != MU_OK)
        find_phase(s, &result, rc);
    return rc;
}

static void clear(struct sscep *s)
{
    mu_scep_client_free(s->engine);
    if (s->transport != NULL)
        mu_net_client_free(s->transport);
    if (s->loop != NULL)
        mu_net_loop_free(s->loop);
    mu_buf_clear(&s->serial);
    mu_pki_csr_free(s->csr);
    mu_pki_cert_free(s->self_signed);
    mu_pki_cert_free(s->encrypt_to);
    mu_pki_cert_free(s->local_cert);
    mu_pki_cert_free(s->sign_cert);
    mu_pki_key_free(s->sign_key);
    mu_pki_key_free(s->key);
    mu_pki_certs_clear(&s->ca);
    mu_ini_free(s->config);
    mu_buf_clear(&s->config_text);
    mu_pki_token_shutdown();
}

static void show_settings(const struct mu_sscep_options *options)
{
    struct mu_buf text = {0};
    const char *line;

    mu_sscep_options_settings(options, &text);
    for (line = mu_buf_str(&text); *line != '\0';) {
        size_t n = strcspn(line, "\n");

        fprintf(stderr, "sscep: %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
    mu_buf_clear(&text);
}

/* Everything up to the exit code; *verbose and *fail_info as far as they are known. */
static enum mu_code operate(struct sscep *s, enum mu_sscep_op op, struct mu_sscep_text *text,
    int *exit_code, int *fail_info, struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = read_config(s, text, err)) != MU_OK)
        return rc;
    if ((rc = mu_sscep_options_check(op, text, &s->options, exit_code, err)) != MU_OK)
        return rc;
    *exit_code = -1;
    if (s->options.text.verbose)
        show_settings(&s->options);
    if (s->options.text.debug)
        s->env.trace = trace_line;
    if (s->options.text.engine != NULL
        && (rc = mu_pki_token_use(s->options.text.engine, err)) != MU_OK)
        return rc;
    s->phase = MU_SSCEP_PHASE_FILES;
    if ((rc = read_files(s, err)) != MU_OK)
        return rc;
    s->phase = MU_SSCEP_PHASE_OPTIONS;
    if ((rc = make_engine(s, err)) != MU_OK)
        return rc;
    s->phase = MU_SSCEP_PHASE_EXCHANGE;
    if ((rc = exchange(s, fail_info, err)) != MU_OK)
        return rc;
    return write_answer(s, err);
}

static int usage(FILE *to, int exit_code)
{
    struct mu_buf text = {0};

    mu_sscep_options_usage(&text);
    fputs(mu_buf_str(&text), to);
    mu_buf_clear(&text);
    return exit_code;
}

int mu_sscep_main(int argc, char **argv)
{
    struct sscep s = {.env = mu_env_system(), .phase = MU_SSCEP_PHASE_OPTIONS};
    struct mu_sscep_text text = {0};
    struct mu_err err = {0};
    enum mu_sscep_op op;
    int exit_code = -1, fail_info = -1;
    enum mu_code rc;

    if (argc < 2 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
        return usage(stdout, MU_SSCEP_EXIT_OK);
    if ((op = mu_sscep_options_op(argv[1])) == MU_SSCEP_NONE) {
        fprintf(stderr, "sscep: unknown operation '%s'\n", argv[1]);
        return usage(stderr, MU_SSCEP_EXIT_USAGE);
    }
    if ((rc = mu_sscep_options_parse(&text, argc - 1, argv + 1, &err)) == MU_OK) {
        if (text.help)
            return usage(stdout, MU_SSCEP_EXIT_OK);
        rc = operate(&s, op, &text, &exit_code, &fail_info, &err);
    }
    if (rc != MU_OK) {
        complain(&err, text.verbose);
        if (exit_code < 0)
            exit_code = mu_sscep_options_exit(&err, s.phase, fail_info);
    } else {
        exit_code = MU_SSCEP_EXIT_OK;
        if (text.debug)
            fputs("Done.\n", stderr);
    }
    clear(&s);
    return exit_code;
}
