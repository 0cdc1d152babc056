/* Settings of one enrollment. */
#include "cmd/muster/cmd_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_config.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_serial.h"

static enum mu_code set(struct mu_agent_settings *settings, const char *key, const char *value,
    const char *option, struct mu_err *err)
{
    if (value == NULL)
        return MU_OK;
    if (mu_agent_settings_set(settings, key, value, err) == MU_OK)
        return MU_OK;
    return mu_err_context(err, "--%s %s", option, value);
}

/* Files are remembered with the entry, so their place must not depend on where we stand. */
static enum mu_code set_file(struct mu_agent_settings *settings, const char *key, const char *value,
    const char *option, struct mu_err *err)
{
    enum mu_code rc;
    char *whole;

    if (value == NULL || mu_text_starts(value, "pkcs11:"))
        return set(settings, key, value, option, err);
    if ((whole = realpath(value, NULL)) == NULL)
        return mu_err_set(
            err, MU_STORAGE, MU_M(704), "--%s %s: %s", option, value, strerror(errno));
    rc = set(settings, key, whole, option, err);
    free(whole);
    return rc;
}

/* An address that can be asked; the rest of it is judged when it is. */
static enum mu_code check_url(const char *url, struct mu_err *err)
{
    if (url == NULL || strncasecmp(url, "http://", 7) == 0
        || strncasecmp(url, "https://", 8) == 0)
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--url %s does not begin with http:// or https://",
        url);
    if (strstr(url, "://") == NULL)
        mu_err_next(err, "--url http://%s", url);
    return MU_INPUT;
}

static enum mu_code set_key(
    const struct mu_cmd_args *args, struct mu_agent_settings *settings, struct mu_err *err)
{
    enum mu_code rc;

    if (args->key != NULL && args->key_file != NULL)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "--key makes a key, --key-file takes one: not both");
    if (args->rekey && args->reuse_key)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "--rekey and --reuse-key exclude each other");
    if (args->key != NULL && mu_text_starts(args->key, "pkcs11:")) {
        rc = set(settings, "key-file", args->key, "key", err);
    } else if (args->key != NULL) {
        struct mu_pki_key_spec spec;
        bool legacy = args->allow_legacy || settings->allow_legacy > 0;

        if ((rc = mu_pki_key_spec_parse(args->key, legacy, &spec, err)) != MU_OK)
            return mu_err_context(err, "--key");
        rc = set(settings, "key", args->key, "key", err);
    } else {
        rc = set_file(settings, "key-file", args->key_file, "key-file", err);
    }
    if (rc == MU_OK && (args->rekey || args->reuse_key))
        rc = set(settings, "reuse-key", args->reuse_key ? "yes" : "no", "reuse-key", err);
    return rc;
}

static enum mu_code set_subject(
    const struct mu_cmd_args *args, struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf text = {0};
    struct mu_buf der = {0};
    enum mu_code rc;

    if ((rc = mu_cmd_args_subject(args, &text, err)) != MU_OK)
        goto out;
    if (text.n > 0
        && ((rc = mu_pki_name_parse(mu_buf_str(&text), &der, err)) != MU_OK
            || (rc = set(settings, "subject", mu_buf_str(&text), "subject", err)) != MU_OK))
        goto out;
    mu_buf_reset(&text);
    mu_buf_reset(&der);
    if (!mu_cmd_args_san(args, &text)) {
        rc = mu_buf_check(&text, "alternative names", err);
        goto out;
    }
    if (text.n > 0 && (rc = mu_pki_san_parse(mu_buf_str(&text), &der, err)) == MU_OK)
        rc = set(settings, "san", mu_buf_str(&text), "san", err);
out:
    mu_buf_clear(&text);
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_cmd_settings_args(
    const struct mu_cmd_args *args, struct mu_agent_settings *settings, struct mu_err *err)
{
    const struct {
        const char *key, *value, *option;
    } plain[] = {
        {"url", args->url, "url"},
        {"ca-identifier", args->label, "label"},
        {"pin-sha256", args->pin, "pin"},
        {"digest", args->digest, "digest"},
        {"cipher", args->cipher, "cipher"},
        {"method", args->method, "method"},
        {"nonce-check", args->nonce_check, "nonce-check"},
        {"scep-standard", args->expect_standard ? "expect" : NULL, "expect-standard"},
        {"compat", args->compat, "compat"},
        {"key-usage", args->key_usage, "key-usage"},
        {"eku", args->eku, "eku"},
        {"template-name", args->template_name, "template-name"},
        {"await-result", args->await_result, "await-result"},
        {"max-await-result", args->max_await_result, "max-await-result"},
        {"timeout", args->timeout, "timeout"},
        {"proxy", args->proxy, "proxy"},
        {"source-ip", args->source_ip, "source-ip"},
        {"allow-legacy", args->allow_legacy ? "yes" : NULL, "allow-legacy"},
    };
    enum mu_code rc;
    size_t i;

    if (args->via != NULL && strcmp(args->via, "scep") != 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            mu_proto_parse(args->via) != MU_PROTO_NONE
                ? "--via %s: not available in this version, only scep"
                : "--via %s: known are scep, est, cmp",
            args->via);
    if (settings->protocol == NULL && (rc = set(settings, "protocol", "scep", "via", err)) != MU_OK)
        return rc;
    if ((rc = check_url(args->url, err)) != MU_OK)
        return rc;
    for (i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if ((rc = set(settings, plain[i].key, plain[i].value, plain[i].option, err)) != MU_OK)
            return rc;
    }
    if ((rc = set_file(settings, "ra-cert", args->ra_cert, "ra-cert", err)) != MU_OK
        || (rc = set_key(args, settings, err)) != MU_OK)
        return rc;
    return set_subject(args, settings, err);
}

enum mu_code mu_cmd_settings_key_password(
    struct mu_cmd *cmd, struct mu_secret *password, struct mu_err *err)
{
    struct mu_buf file = {.secret = true};
    enum mu_code rc;

    if (cmd->args.key_pass_file == NULL)
        return MU_OK;
    if ((rc = mu_keystore_file_read(cmd->args.key_pass_file, MU_KEYSTORE_SECRET, &file, err))
        == MU_OK)
        rc = mu_secret_set(password, mu_buf_bytes(&file), err);
    mu_buf_clear(&file);
    return rc;
}

static enum mu_code challenge_of_file(
    const char *path, struct mu_secret *challenge, struct mu_err *err)
{
    struct mu_buf file = {.secret = true};
    const uint8_t *end;
    enum mu_code rc;

    if ((rc = mu_keystore_file_read(path, MU_KEYSTORE_SECRET, &file, err)) == MU_OK) {
        end = file.n > 0 ? memchr(file.p, '\n', file.n) : NULL;
        rc = mu_secret_set(
            challenge, mu_bytes(file.p, end != NULL ? (size_t)(end - file.p) : file.n), err);
    }
    mu_buf_clear(&file);
    return rc;
}

enum mu_code mu_cmd_settings_challenge(
    struct mu_cmd *cmd, struct mu_secret *challenge, struct mu_err *err)
{
    if (cmd->args.no_challenge)
        return MU_OK;
    if (cmd->args.challenge_file != NULL)
        return challenge_of_file(cmd->args.challenge_file, challenge, err);
    if (cmd->args.challenge_fd != NULL)
        return mu_cmd_ask_fd(cmd->args.challenge_fd, challenge, err);
    if (!mu_secret_is_set(&cmd->challenge_env))
        return MU_OK;
    mu_cmd_print_line(cmd, "warning",
        "the challenge comes from MUSTER_SECRET_CHALLENGE: others may see an environment, a file "
        "is safer");
    return mu_secret_set(challenge, mu_secret_bytes(&cmd->challenge_env), err);
}

/* A challenge as the configuration writes it. */
static enum mu_code challenge_of_config(
    const char *text, struct mu_secret *challenge, struct mu_err *err)
{
    if (mu_text_starts(text, "file:"))
        return challenge_of_file(text + 5, challenge, err);
    if (mu_text_starts(text, "credential:") || mu_text_starts(text, "secret:"))
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(706),
            "challenge: only file:PATH is available in this version");
    return mu_secret_set(challenge, mu_bytes_str(text), err);
}

static const char *demo_dir(void)
{
    const char *dir = getenv("MUSTER_DEMO");

    return dir != NULL && dir[0] != '\0' ? dir : "demo";
}

/* A path in demo.conf is whole, or beside the file. */
static void demo_path(const char *dir, const char *value, struct mu_buf *out)
{
    if (value[0] == '/')
        mu_buf_put_str(out, value);
    else
        mu_buf_putf(out, "%s/%s", dir, value);
}

static enum mu_code demo_trust(struct mu_cmd *cmd, const char *path, struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    struct mu_buf fingerprint = {0}, line = {0};
    char name[MU_KEYSTORE_NAME];
    enum mu_code rc;

    if ((rc = mu_keystore_certs_read(path, &certs, err)) != MU_OK)
        return rc;
    if (certs.n == 0) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no certificate in %s", path);
    } else if (!mu_keystore_ca_name(cmd->store, certs.v[0], name)) {
        rc = mu_keystore_ca_add(cmd->store, "demo", certs.v[0], true, name, err);
        mu_pki_cert_fingerprint(certs.v[0], MU_PKI_SHA256, &fingerprint);
        mu_buf_putf(&line, "%s of the demo, now trusted as \"%s\", SHA-256 %s", path, name,
            mu_buf_str(&fingerprint));
        if (rc == MU_OK)
            mu_cmd_print_line(cmd, "CA", mu_buf_str(&line));
    }
    mu_buf_clear(&fingerprint);
    mu_buf_clear(&line);
    mu_pki_certs_clear(&certs);
    return rc;
}

enum mu_code mu_cmd_settings_demo(
    struct mu_cmd *cmd, struct mu_buf *url, struct mu_buf *challenge_file, struct mu_err *err)
{
    const char *dir = demo_dir();
    const struct mu_ini_item *item;
    struct mu_buf path = {0}, text = {0};
    struct mu_ini *ini = NULL;
    enum mu_code rc;

    mu_buf_putf(&path, "%s/demo.conf", dir);
    if ((rc = mu_keystore_file_read(mu_buf_str(&path), MU_KEYSTORE_PUBLIC, &text, err)) != MU_OK) {
        mu_err_context(err, "no demo in '%s'", dir);
        mu_err_next(err,
            "Start `muster-ca demo` here in another terminal, or set MUSTER_DEMO to its "
            "directory.");
        goto out;
    }
    if ((rc = mu_ini_parse(mu_buf_bytes(&text), mu_buf_str(&path), MU_INI_SECTIONS, &ini, err))
        != MU_OK)
        goto out;
    if ((item = mu_ini_get(ini, "demo", NULL, "scep-url")) == NULL) {
        rc = mu_err_set(err, MU_INPUT, MU_M(706), "%s: no scep-url", mu_buf_str(&path));
        goto out;
    }
    mu_buf_put_str(url, item->value);
    if (challenge_file != NULL && (item = mu_ini_get(ini, "demo", NULL, "challenge-file")) != NULL)
        demo_path(dir, item->value, challenge_file);
    if ((item = mu_ini_get(ini, "demo", NULL, "root")) != NULL) {
        mu_buf_reset(&path);
        demo_path(dir, item->value, &path);
        rc = demo_trust(cmd, mu_buf_str(&path), err);
    }
out:
    mu_ini_free(ini);
    mu_buf_clear(&text);
    mu_buf_clear(&path);
    return rc;
}

static enum mu_code demo(struct mu_cmd *cmd, struct mu_agent_settings *settings,
    struct mu_buf *challenge_file, struct mu_err *err)
{
    struct mu_buf url = {0};
    enum mu_code rc;

    if ((rc = mu_cmd_settings_demo(cmd, &url, challenge_file, err)) == MU_OK
        && (rc = set(settings, "url", mu_buf_str(&url), "demo", err)) == MU_OK)
        rc = set(settings, "trust", "demo", "demo", err);
    mu_buf_clear(&url);
    return rc;
}

/* --ca names a section of the configuration; without one, a CA of the store to trust, and only
 * that one. */
static enum mu_code named_ca(struct mu_cmd *cmd, struct mu_agent_settings *settings,
    const char **challenge, struct mu_err *err)
{
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if (cmd->args.ca == NULL)
        return MU_OK;
    if (mu_cmd_config_has_ca(cmd->config, cmd->args.ca))
        return mu_cmd_config_ca(cmd->config, cmd->args.ca, settings, challenge, err);
    if ((rc = mu_keystore_ca_get(cmd->store, cmd->args.ca, &cert, err)) == MU_OK)
        rc = set(settings, "trust", cmd->args.ca, "ca", err);
    mu_pki_cert_free(cert);
    return rc;
}

static enum mu_code check_whole(
    const struct mu_agent_settings *settings, const char *name, struct mu_err *err)
{
    if (settings->url != NULL)
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' has no CA to ask: no URL was given", name);
    mu_err_next(err, "Add --url URL, --ca CA of the configuration, or --demo.");
    return MU_INPUT;
}

/* What an earlier try was given that led to nothing: a new command that names its CA begins anew,
 * so that a wrong --pin or --key of then does not shine through. */
static bool begins_anew(struct mu_cmd *cmd, const char *name)
{
    char stem[MU_KEYSTORE_STEM];

    return (cmd->args.url != NULL || cmd->args.ca != NULL || cmd->args.demo)
        && !mu_keystore_current(cmd->store, name, stem)
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_STATE, name, "pending")
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_STATE, name, "key");
}

static enum mu_code stored(
    struct mu_cmd *cmd, const char *name, struct mu_agent_settings *settings, struct mu_err *err)
{
    if (begins_anew(cmd, name))
        return MU_OK;
    enum mu_code rc = mu_agent_settings_load(cmd->store, name, settings, err);

    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

enum mu_code mu_cmd_settings_subject(
    struct mu_cmd *cmd, const char *name, struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf serial = {0}, text = {0};
    enum mu_code rc = MU_OK;

    if (settings->subject == NULL) {
        mu_buf_putf(&text, "/CN=%s", name);
        rc = set(settings, "subject", mu_buf_str(&text), "subject", err);
    } else if (mu_cmd_serial_is_in(settings->subject)) {
        rc = mu_cmd_serial_read(mu_cmd_config_agent(cmd->config, "serial-source"), &serial, err);
        if (rc == MU_OK && !mu_cmd_serial_expand(settings->subject, mu_buf_str(&serial), &text))
            rc = mu_buf_check(&text, "subject", err);
        if (rc == MU_OK)
            rc = set(settings, "subject", mu_buf_str(&text), "subject", err);
    }
    mu_buf_clear(&serial);
    mu_buf_clear(&text);
    return rc;
}

/* A valid certificate and a pending request need no password: nobody is asked for one then. */
static bool would_ask(struct mu_cmd *cmd, const char *name)
{
    char stem[MU_KEYSTORE_STEM];

    return mu_cmd_ask_possible() && !cmd->args.no_input && !cmd->args.no_challenge
        && (cmd->args.replace || cmd->args.fresh || !mu_keystore_current(cmd->store, name, stem))
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_SECRETS, name, "challenge")
        && !mu_keystore_has(cmd->store, MU_KEYSTORE_STATE, name, "pending");
}

/* Nothing typed means none. */
static enum mu_code ask_challenge(struct mu_secret *challenge, struct mu_err *err)
{
    enum mu_code rc = mu_cmd_ask_secret("  Challenge password (empty: none): ", challenge, err);

    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

enum mu_code mu_cmd_settings_enroll(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_secret *challenge, struct mu_err *err)
{
    struct mu_agent_settings made = {0};
    struct mu_buf demo_challenge = {0};
    const char *configured = NULL;
    enum mu_code rc;

    if ((rc = stored(cmd, name, &made, err)) != MU_OK
        || (rc = mu_cmd_config_entry(cmd->config, name, &made, &configured, err)) != MU_OK
        || (rc = named_ca(cmd, &made, &configured, err)) != MU_OK
        || (cmd->args.demo && (rc = demo(cmd, &made, &demo_challenge, err)) != MU_OK)
        || (rc = mu_cmd_settings_args(&cmd->args, &made, err)) != MU_OK
        || (rc = mu_cmd_settings_subject(cmd, name, &made, err)) != MU_OK
        || (rc = check_whole(&made, name, err)) != MU_OK
        || (rc = mu_cmd_settings_challenge(cmd, challenge, err)) != MU_OK)
        goto out;
    if (!mu_secret_is_set(challenge) && !cmd->args.no_challenge) {
        if (demo_challenge.n > 0)
            rc = challenge_of_file(mu_buf_str(&demo_challenge), challenge, err);
        else if (configured != NULL)
            rc = challenge_of_config(configured, challenge, err);
        else if (would_ask(cmd, name))
            rc = ask_challenge(challenge, err);
    }
    if (rc == MU_OK) {
        *settings = made;
        made = (struct mu_agent_settings){0};
    }
out:
    mu_buf_clear(&demo_challenge);
    mu_agent_settings_clear(&made);
    return rc;
}
