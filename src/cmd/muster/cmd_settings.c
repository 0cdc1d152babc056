/* Settings of one enrollment. */
#include "cmd/muster/cmd_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_entry.h"
#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

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
static enum mu_code check_url(const char *url, bool is_est, struct mu_err *err)
{
    if (url == NULL || strncasecmp(url, "http://", 7) == 0
        || strncasecmp(url, "https://", 8) == 0)
        return MU_OK;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--url %s does not begin with http:// or https://",
        url);
    if (strstr(url, "://") == NULL)
        mu_err_next(err, "--url http%s://%s", is_est ? "s" : "", url);
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

enum mu_code mu_cmd_settings_via(const struct mu_cmd_args *args, struct mu_err *err)
{
    if (args->via == NULL || mu_proto_parse(args->via) == MU_PROTO_SCEP
        || mu_proto_parse(args->via) == MU_PROTO_EST || mu_proto_parse(args->via) == MU_PROTO_CMP)
        return MU_OK;
    return mu_err_set(
        err, MU_UNSUPPORTED, MU_REASON_NONE, "--via %s: known are scep, est, cmp", args->via);
}

/* Where a name of this host's store would do, a file is one with a slash. */
static enum mu_code set_name_or_file(struct mu_agent_settings *settings, const char *key,
    const char *value, const char *option, struct mu_err *err)
{
    if (value != NULL && (strchr(value, '/') != NULL || !mu_text_is_entry_name(value)))
        return set_file(settings, key, value, option, err);
    return set(settings, key, value, option, err);
}

/* CMP's address may stand without a scheme (C012). */
static enum mu_code set_url(
    const char *url, struct mu_agent_settings *settings, struct mu_err *err)
{
    struct mu_buf whole = {.max = 8 * 1024};
    enum mu_code rc;

    if (url == NULL)
        return MU_OK;
    if (mu_agent_settings_is_cmp(settings) && strstr(url, "://") == NULL)
        mu_buf_put_str(&whole, "http://");
    mu_buf_put_str(&whole, url);
    rc = mu_buf_check(&whole, "URL", err);
    if (rc == MU_OK)
        rc = check_url(mu_buf_str(&whole), mu_agent_settings_is_est(settings), err);
    if (rc == MU_OK)
        rc = set(settings, "url", mu_buf_str(&whole), "url", err);
    mu_buf_clear(&whole);
    return rc;
}

static enum mu_code set_all(
    const struct mu_cmd_args *args, struct mu_agent_settings *settings, struct mu_err *err)
{
    const struct {
        const char *key, *value, *option;
    } plain[] = {
        {"ref", args->ref, "ref"},
        {"path", args->path, "path"},
        {"mac", args->mac, "mac"},
        {"cmp-request", args->cmp_request, "cmp-request"},
        {"implicit-confirm", args->implicit_confirm ? "yes" : NULL, "implicit-confirm"},
        {"mac-iterations", args->mac_iterations, "mac-iterations"},
        {"pop", args->pop, "pop"},
        {"mac-owf", args->mac_owf, "mac-owf"},
        {"mac-hmac", args->mac_hmac, "mac-hmac"},
        {"no-confirm", args->no_confirm ? "yes" : NULL, "no-confirm"},
        {"ignore-key-usage", args->ignore_key_usage ? "yes" : NULL, "ignore-key-usage"},
        {"rsa-pss", args->rsa_pss ? "yes" : NULL, "rsa-pss"},
        {"ask-template", args->ask_template ? "yes" : NULL, "ask-template"},
        {"trust-ca-pubs", args->trust_ca_pubs ? "yes" : NULL, "trust-ca-pubs"},
        {"ca-identifier", args->label, "label"},
        {"pin-sha256", args->pin, "pin"},
        {"server-name", args->server_name, "server-name"},
        {"tls-min", args->tls_min, "tls-min"},
        {"csrattrs", args->csrattrs, "csrattrs"},
        {"renew-auth", args->renew_auth, "renew-auth"},
        {"user", args->user, "user"},
        {"srp-user", args->srp_user, "srp-user"},
        {"server-key", args->server_key || args->server_key_to != NULL ? "yes" : NULL, "server-key"},
        {"server-key-to", args->server_key_to, "server-key-to"},
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
        {"deploy", args->deploy, "deploy"},
        {"success-script", args->success_script, "success-script"},
        {"failure-script", args->failure_script, "failure-script"},
        {"verify", args->verify, "verify"},
    };
    enum mu_code rc;
    size_t i;

    if ((rc = mu_cmd_settings_via(args, err)) != MU_OK)
        return rc;
    if ((rc = set(settings, "protocol", args->via, "via", err)) != MU_OK)
        return rc;
    if (settings->protocol == NULL && (rc = set(settings, "protocol", "scep", "via", err)) != MU_OK)
        return rc;
    if ((rc = set_url(args->url, settings, err)) != MU_OK)
        return rc;
    for (i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if ((rc = set(settings, plain[i].key, plain[i].value, plain[i].option, err)) != MU_OK)
            return rc;
    }
    if ((rc = set_name_or_file(settings, "trust", args->ca_cert, "ca-cert", err)) != MU_OK
        || (rc = set_name_or_file(settings, "client-cert", args->client_cert, "client-cert", err))
            != MU_OK
        || (rc = set_name_or_file(settings, "server-cert", args->server_cert, "server-cert", err))
            != MU_OK
        || (rc = set_file(settings, "ra-cert", args->ra_cert, "ra-cert", err)) != MU_OK
        || (rc = set_key(args, settings, err)) != MU_OK)
        return rc;
    return set_subject(args, settings, err);
}

enum mu_code mu_cmd_settings_args(struct mu_cmd *cmd, struct mu_agent_settings *settings, struct mu_err *err)
{
    return set_all(&cmd->args, settings, err) == MU_OK ? MU_OK : mu_cmd_wrong_value(cmd, err);
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

/* name: what it is trusted as, which may be from before the demo. */
static enum mu_code demo_trust(
    struct mu_cmd *cmd, const char *path, char name[MU_KEYSTORE_NAME], struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    struct mu_buf fingerprint = {0}, line = {0};
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

/* demo.conf, which muster-ca keeps beside its data. */
static enum mu_code demo_read(const char *dir, struct mu_ini **ini, struct mu_err *err)
{
    struct mu_buf path = {0}, text = {0};
    enum mu_code rc;

    mu_buf_putf(&path, "%s/demo.conf", dir);
    if ((rc = mu_keystore_file_read(mu_buf_str(&path), MU_KEYSTORE_PUBLIC, &text, err)) != MU_OK) {
        mu_err_context(err, "no demo in '%s'", dir);
        mu_err_next(err,
            "Start `muster-ca demo` here in another terminal, or set MUSTER_DEMO to its "
            "directory.");
    } else {
        rc = mu_ini_parse(mu_buf_bytes(&text), mu_buf_str(&path), MU_INI_SECTIONS, ini, err);
    }
    mu_buf_clear(&text);
    mu_buf_clear(&path);
    return rc;
}

static const char *demo_value(const struct mu_ini *ini, const char *key)
{
    const struct mu_ini_item *item = mu_ini_get(ini, "demo", NULL, key);

    return item != NULL ? item->value : NULL;
}

/* The URL of the protocol; the root becomes trusted as "demo", unless it is already under another
 * name. */
static enum mu_code demo_use(struct mu_cmd *cmd, const struct mu_ini *ini, const char *proto,
    struct mu_buf *url, char trust[MU_KEYSTORE_NAME], struct mu_err *err)
{
    struct mu_buf path = {0};
    const char *value;
    char key[32];
    enum mu_code rc = MU_OK;

    snprintf(key, sizeof key, "%s-url", proto);
    if ((value = demo_value(ini, key)) == NULL)
        return mu_err_set(err, MU_INPUT, MU_M(706), "%s: no %s", mu_ini_file(ini), key);
    mu_buf_put_str(url, value);
    snprintf(trust, MU_KEYSTORE_NAME, "demo");
    if ((value = demo_value(ini, "root")) != NULL) {
        demo_path(demo_dir(), value, &path);
        rc = demo_trust(cmd, mu_buf_str(&path), trust, err);
    }
    mu_buf_clear(&path);
    return rc;
}

enum mu_code mu_cmd_settings_demo(struct mu_cmd *cmd, struct mu_buf *url, struct mu_err *err)
{
    struct mu_ini *ini = NULL;
    char trust[MU_KEYSTORE_NAME];
    enum mu_code rc = demo_read(demo_dir(), &ini, err);

    if (rc == MU_OK)
        rc = demo_use(cmd, ini, cmd->args.via != NULL ? cmd->args.via : "scep", url, trust, err);
    mu_ini_free(ini);
    return rc;
}

/* As the configuration would write them: file:PATH. */
struct demo_secrets {
    struct mu_buf challenge, password, secret;
};

static void demo_secret(const struct mu_ini *ini, const char *key, struct mu_buf *text, const char **to)
{
    const char *value = demo_value(ini, key);

    if (value == NULL || *to != NULL)
        return;
    mu_buf_put_str(text, "file:");
    demo_path(demo_dir(), value, text);
    *to = mu_buf_str(text);
}

static enum mu_code demo(struct mu_cmd *cmd, struct mu_agent_settings *settings,
    struct demo_secrets *kept, struct mu_agent_config_secrets *secrets, struct mu_err *err)
{
    const char *proto = cmd->args.via != NULL ? cmd->args.via : "scep";
    struct mu_buf url = {0};
    struct mu_ini *ini = NULL;
    char trust[MU_KEYSTORE_NAME];
    enum mu_code rc;

    if ((rc = demo_read(demo_dir(), &ini, err)) != MU_OK
        || (rc = demo_use(cmd, ini, proto, &url, trust, err)) != MU_OK
        || (rc = set(settings, "url", mu_buf_str(&url), "demo", err)) != MU_OK
        || (rc = set(settings, "trust", trust, "demo", err)) != MU_OK)
        goto out;
    if (strcmp(proto, "scep") == 0)
        demo_secret(ini, "challenge-file", &kept->challenge, &secrets->challenge);
    if (strcmp(proto, "est") == 0 && cmd->args.user == NULL && cmd->args.srp_user == NULL
        && cmd->args.client_cert == NULL && demo_value(ini, "est-user") != NULL) {
        rc = set(settings, "user", demo_value(ini, "est-user"), "demo", err);
        demo_secret(ini, "est-password-file", &kept->password, &secrets->password);
    }
    if (strcmp(proto, "cmp") == 0 && cmd->args.ref == NULL && cmd->args.client_cert == NULL
        && demo_value(ini, "cmp-reference") != NULL) {
        rc = set(settings, "ref", demo_value(ini, "cmp-reference"), "demo", err);
        demo_secret(ini, "cmp-password-file", &kept->secret, &secrets->secret);
    }
out:
    mu_ini_free(ini);
    mu_buf_clear(&url);
    return rc;
}

/* --ca names a section of the configuration; without one, a CA of the store to trust, and only
 * that one. */
static enum mu_code named_ca(struct mu_cmd *cmd, struct mu_agent_settings *settings,
    struct mu_agent_config_secrets *secrets, struct mu_err *err)
{
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if (cmd->args.ca == NULL)
        return MU_OK;
    if (mu_agent_config_has_ca(cmd->config, cmd->args.ca))
        return mu_agent_config_ca(cmd->config, cmd->args.ca, settings, secrets, err);
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

/* What the configuration says of the name; else what it was enrolled with. */
static enum mu_code known(struct mu_cmd *cmd, const char *name, struct mu_agent_settings *settings,
    struct mu_agent_config_secrets *secrets, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {0};
    enum mu_code rc;

    if (!mu_agent_config_has_entry(cmd->config, name)) {
        rc = begins_anew(cmd, name) ? MU_OK : mu_agent_settings_load(cmd->store, name, settings, err);
        return rc == MU_NOT_FOUND ? MU_OK : rc;
    }
    if ((rc = mu_agent_config_entry(cmd->config, name, 0, &entry, err)) != MU_OK)
        return rc;
    *secrets = entry.secrets;
    mu_agent_config_entry_clear(&entry);
    return mu_agent_entry_settings(&cmd->agent, name, settings, err);
}

static enum mu_code settings_of(struct mu_cmd *cmd, const char *name, bool is_new,
    struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    struct mu_agent_settings made = {0};
    struct mu_agent_config_secrets configured = {0};
    struct demo_secrets of_demo = {0};
    enum mu_code rc;

    if ((rc = known(cmd, name, &made, &configured, err)) != MU_OK
        || (rc = named_ca(cmd, &made, &configured, err)) != MU_OK
        || (cmd->args.demo && (rc = demo(cmd, &made, &of_demo, &configured, err)) != MU_OK)
        || (rc = mu_cmd_settings_args(cmd, &made, err)) != MU_OK
        || (is_new && (rc = mu_agent_entry_subject(&cmd->agent, name, &made, err)) != MU_OK)
        || (rc = check_whole(&made, name, err)) != MU_OK
        || (rc = mu_cmd_secrets_take(cmd, &configured, secrets, err)) != MU_OK
        || (is_new && (rc = mu_cmd_secrets_ask(cmd, name, &made, secrets, err)) != MU_OK))
        goto out;
    *settings = made;
    made = (struct mu_agent_settings){0};
out:
    mu_buf_clear(&of_demo.challenge);
    mu_buf_clear(&of_demo.password);
    mu_buf_clear(&of_demo.secret);
    mu_agent_settings_clear(&made);
    return rc;
}

enum mu_code mu_cmd_settings_enroll(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    return settings_of(cmd, name, true, settings, secrets, err);
}

enum mu_code mu_cmd_settings_adopt(struct mu_cmd *cmd, const char *name,
    struct mu_agent_settings *settings, struct mu_cmd_secrets *secrets, struct mu_err *err)
{
    return settings_of(cmd, name, false, settings, secrets, err);
}
