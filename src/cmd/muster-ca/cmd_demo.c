/* muster-ca demo: a CA of fixed properties (ACCEPTANCE "Fixture") on loopback. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/text.h"
#include "cmd/muster-ca/files.h"
#include "cmd/muster-ca/server.h"
#include "keystore/keystore.h"

#define CMP_PATH "/app/cert/cmp2"

static const struct cmd_opt options[] = {
    {0, "dir", "DIR", "where it keeps its files (demo)"},
    {'p', "port", "N", "on 127.0.0.1; 0 takes any free one (8080)"},
    {0, "est-port", "N", "the same for EST, with TLS (8443; 0 with --port 0)"},
    {0, "sqlite", NULL, "records in DIR/muster-ca.db, kept for the next start (default)"},
    {0, "memory", NULL, "records and keys in memory: a new CA at each start"},
    {0, "allow-legacy", NULL, "take MD5, SHA-1, DES, 3DES and small keys from clients"},
    {'v', "verbose", NULL, "the trace of every message in the log"},
    {0, "debug", "PROTO", "the same for one protocol: scep, est, cmp"},
    {'q', "quiet", NULL, "only warnings in the log"},
    {0, "workers", "N", "threads; 0: one per core"},
    {0, "log", "FILE", "instead of stderr"},
    {0, "record", "DIR", "keep every request and answer as files there"},
    {0, NULL, NULL, NULL},
};

static const struct cmd_spec spec = {
    .usage = "demo [option...]",
    .about =
        "A CA to try things with: loopback only, no configuration, until Ctrl-C. Its challenge\n"
        "passwords are examples and are found in DIR/credentials: challenge1 is signed at\n"
        "once, challenge2 and no challenge wait for 'muster-ca --dir DIR queue approve'; EST\n"
        "takes estuser and, by TLS-SRP, srpuser; CMP the reference fgt100f.",
    .opts = options,
};

struct demo {
    const struct instance_conf *conf;
    bool allow_legacy;
};

static enum mu_code put(const struct instance_conf *conf, const char *name, const char *text,
    unsigned mode, struct mu_err *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s", conf->dir, name) >= (int)sizeof path)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--dir is too long");
    return mu_keystore_file_write(path, mode, mu_bytes_str(text), err);
}

/* ---- allow-legacy: of the CA and of every profile ---- */

static enum mu_code with_legacy(
    const char *settings, bool allow, struct mu_buf *out, struct mu_err *err)
{
    struct mu_ini *ini = NULL;
    enum mu_code rc = mu_ini_parse(mu_bytes_str(settings), "settings", MU_INI_SECTIONS, &ini, err);

    if (rc != MU_OK)
        return rc;
    rc = mu_ini_set(ini, "", NULL, "allow-legacy", allow ? "yes" : "no", err);
    if (rc == MU_OK) {
        mu_ini_format(ini, out);
        rc = mu_buf_check(out, "settings", err);
    }
    mu_ini_free(ini);
    return rc;
}

enum { MAX_PROFILES = 64 };

struct profiles {
    char *name[MAX_PROFILES], *settings[MAX_PROFILES];
    size_t n;
};

static bool profile_copy(void *cookie, const struct mu_enroll_profile *profile)
{
    struct profiles *p = cookie;
    struct mu_buf text = {0};

    if (p->n == MAX_PROFILES)
        return false;
    mu_enroll_profile_format(profile, &text);
    if (mu_text_dup(profile->name, &p->name[p->n], NULL) == MU_OK
        && mu_text_dup(mu_buf_str(&text), &p->settings[p->n], NULL) == MU_OK)
        p->n++;
    mu_buf_clear(&text);
    return true;
}

static bool settings_copy(void *cookie, const struct mu_ca_view *view)
{
    if (strcmp(view->name, MU_CA_DEMO_NAME) != 0)
        return true;
    mu_buf_put_str(cookie, view->settings != NULL ? view->settings : "");
    return false;
}

/* allow-legacy = yes stands in the settings, as format writes them. */
static bool is_legacy(const char *settings)
{
    return strstr(settings, "allow-legacy = yes") != NULL;
}

static enum mu_code profiles_legacy(
    struct mu_ca *ca, const struct profiles *p, bool allow, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < p->n && rc == MU_OK; i++) {
        struct mu_buf text = {0};

        if (is_legacy(p->settings[i]) != allow
            && (rc = with_legacy(p->settings[i], allow, &text, err)) == MU_OK)
            rc = mu_ca_profile_put(ca, p->name[i], mu_buf_str(&text), false, "demo", err);
        mu_buf_clear(&text);
    }
    return rc;
}

static enum mu_code legacy_set(struct mu_ca *ca, bool allow, struct mu_err *err)
{
    struct mu_buf old = {0}, text = {0};
    struct profiles p = {0};
    enum mu_code rc = MU_OK;

    mu_ca_each(ca, settings_copy, &old);
    mu_ca_profile_each(ca, profile_copy, &p);
    if (is_legacy(mu_buf_str(&old)) != allow
        && (rc = with_legacy(mu_buf_str(&old), allow, &text, err)) == MU_OK)
        rc = mu_ca_set(ca, MU_CA_DEMO_NAME, mu_buf_str(&text), "demo", err);
    if (rc == MU_OK)
        rc = profiles_legacy(ca, &p, allow, err);
    for (size_t i = 0; i < p.n; i++) {
        free(p.name[i]);
        free(p.settings[i]);
    }
    mu_buf_clear(&old);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code prepare(void *cookie, struct instance *instance, struct mu_err *err)
{
    const struct demo *d = cookie;
    enum mu_code rc = mu_ca_demo(instance->ca, err);

    return rc == MU_OK ? legacy_set(instance->ca, d->allow_legacy, err) : rc;
}

/* ---- what is found in DIR ---- */

struct root {
    struct mu_buf pem, sha256;
};

static bool root_copy(void *cookie, const struct mu_ca_view *view)
{
    struct root *r = cookie;

    if (strcmp(view->name, MU_CA_DEMO_NAME) != 0 || view->chain->n == 0)
        return true;
    mu_pki_cert_to_pem(view->chain->v[view->chain->n - 1], &r->pem);
    mu_pki_cert_fingerprint(view->chain->v[view->chain->n - 1], MU_PKI_SHA256, &r->sha256);
    return false;
}

/* The example passwords are public: everyone who reads the manual knows them. They are handled
 * like real ones so that what one learns here is right elsewhere. */
static enum mu_code credentials_put(const struct instance_conf *conf, struct mu_err *err)
{
    static const char *const names[] = {"challenge1", "challenge2", "estpwd", "srppwd", "fortinet1"};
    char line[32];
    enum mu_code rc;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(line, sizeof line, "%s\n", names[i]);
        if ((rc = put(conf, names[i], line, 0600, err)) != MU_OK)
            return rc;
    }
    return put(conf, "credentials",
        "# Example passwords of muster-ca demo.\n"
        "# challenge1 is signed at once; challenge2 waits for approval.\n"
        "challenge1=challenge1\n"
        "challenge2=challenge2\n"
        "# EST: user estuser by HTTP, srpuser by TLS-SRP.\n"
        "estuser=estpwd\n"
        "srpuser=srppwd\n"
        "# CMP: reference fgt100f with this password, for any number of certificates.\n"
        "fgt100f=fortinet1\n",
        0600, err);
}

static enum mu_code files_put(const struct instance_conf *conf, const struct root *root,
    const char *url, const uint16_t *ports, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    if ((rc = put(conf, "root.pem", mu_buf_str(&root->pem), 0644, err)) != MU_OK)
        goto out;
    if ((rc = credentials_put(conf, err)) != MU_OK)
        goto out;
    mu_buf_putf(&text,
        "# Written by muster-ca demo at each start; read by muster ... --demo.\n"
        "[demo]\nscep-url = %s\nroot = root.pem\nroot-sha256 = %s\nchallenge-file = challenge1\n",
        url, mu_buf_str(&root->sha256));
    mu_buf_putf(&text,
        "est-url = https://127.0.0.1:%u\nest-user = estuser\nest-password-file = estpwd\n"
        "est-srp-user = srpuser\nest-srp-password-file = srppwd\n",
        ports[1]);
    mu_buf_putf(&text,
        "cmp-url = http://127.0.0.1:%u" CMP_PATH "\ncmp-reference = fgt100f\n"
        "cmp-password-file = fortinet1\n",
        ports[0]);
    if ((rc = mu_buf_check(&text, "demo.conf", err)) != MU_OK)
        goto out;
    if ((rc = put(conf, "demo.conf", mu_buf_str(&text), 0644, err)) != MU_OK)
        goto out;
    mu_buf_reset(&text);
    mu_buf_putf(&text,
        "# Written by muster-ca demo at each start.\n"
        "[server]\ndemo = yes\nlisten = 127.0.0.1:%u\nlisten-tls = 127.0.0.1:%u\ntls-srp = yes\n"
        "tls-send-root = yes\ndatabase = %s\n",
        ports[0], ports[1], strcmp(conf->database, "memory") == 0 ? "memory" : "muster-ca.db");
    rc = put(conf, "muster-ca.conf", mu_buf_str(&text), 0644, err);
out:
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code ready(
    void *cookie, struct instance *instance, const uint16_t *ports, struct mu_err *err)
{
    const struct instance_conf *conf = instance->conf;
    struct root root = {0};
    char url[64];
    enum mu_code rc;

    mu_ca_each(instance->ca, root_copy, &root);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/app/cert/scep/", ports[0]);
    if ((rc = files_put(conf, &root, url, ports, err)) != MU_OK)
        goto out;
    printf("SCEP  %s\n", url);
    printf("EST   https://127.0.0.1:%u\n", ports[1]);
    printf("CMP   http://127.0.0.1:%u%s     reference fgt100f\n", ports[0], CMP_PATH);
    printf("root  %s/root.pem  SHA-256 %s     example passwords: %s/credentials (0600)\n",
        conf->dir, mu_buf_str(&root.sha256), conf->dir);
    if (strcmp(conf->dir, "demo") == 0)
        printf("try   muster enroll t1 --demo\n");
    else
        printf("try   MUSTER_DEMO=%s muster enroll t1 --demo\n", conf->dir);
    if (fflush(stdout) != 0)
        rc = mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "cannot write to stdout");
out:
    mu_buf_clear(&root.pem);
    mu_buf_clear(&root.sha256);
    return rc;
}

/* ---- options ---- */

static enum mu_code is_ours(const struct instance_conf *conf, struct mu_err *err)
{
    char marker[PATH_MAX];

    snprintf(marker, sizeof marker, "%s/demo.conf", conf->dir);
    if (!files_exist(conf->file) || files_exist(marker))
        return MU_OK;
    mu_err_set(err, MU_DENIED, MU_REASON_NONE, "%s holds a CA that is not a demo", conf->dir);
    mu_err_next(err, "Take another directory: muster-ca demo --dir DIR.");
    return MU_DENIED;
}

static enum mu_code conf_make(const struct cmd_args *args, struct cmd_context *ctx,
    struct instance_conf *conf, struct mu_err *err)
{
    const char *value, *port = cmd_get(args, "port"), *est_port = cmd_get(args, "est-port");
    struct instance_conf here = {0};
    char address[64];
    int64_t number = 8080, est_number;
    enum mu_code rc;

    if (port != NULL && (rc = mu_text_int(port, 0, 65535, &number, err)) != MU_OK)
        return rc;
    est_number = number == 0 ? 0 : 8443;
    if (est_port != NULL && (rc = mu_text_int(est_port, 0, 65535, &est_number, err)) != MU_OK)
        return rc;
    if ((rc = instance_conf_defaults(ctx, conf, err)) != MU_OK)
        return rc;
    conf->demo = conf->tls_srp = conf->tls_send_root = true;
    snprintf(address, sizeof address, "127.0.0.1:%lld", (long long)number);
    if ((rc = instance_conf_listen(conf, address, false, err)) != MU_OK)
        return rc;
    snprintf(address, sizeof address, "127.0.0.1:%lld", (long long)est_number);
    if ((rc = instance_conf_listen(conf, address, true, err)) != MU_OK)
        return rc;
    if (cmd_has(args, "memory")) {
        free(conf->database);
        conf->database = NULL;
        if ((rc = mu_text_dup("memory", &conf->database, err)) != MU_OK)
            return rc;
    }
    if ((value = cmd_get(args, "workers")) != NULL
        && (rc = mu_text_int(value, 0, 256, &conf->workers, err)) != MU_OK)
        return rc;
    if ((value = cmd_get(args, "log")) != NULL
        && (rc = instance_conf_path(&here, &conf->log, value, err)) != MU_OK)
        return rc;
    if ((value = cmd_get(args, "record")) != NULL
        && (rc = instance_conf_path(&here, &conf->record, value, err)) != MU_OK)
        return rc;
    return is_ours(conf, err);
}

int cmd_demo(struct cmd_context *ctx, int argc, char **argv)
{
    struct instance_conf conf = {0};
    struct mu_err err = {0};
    struct cmd_args args;
    const char *debug;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (cmd_has(&args, "memory") && cmd_has(&args, "sqlite"))
        return cmd_usage("--memory or --sqlite, not both");
    if (cmd_has(&args, "dir"))
        ctx->dir = cmd_get(&args, "dir");
    else if (ctx->dir == NULL)
        ctx->dir = "demo";
    debug = cmd_get(&args, "debug");
    if (debug != NULL && mu_proto_parse(debug) == MU_PROTO_NONE)
        return cmd_usage("--debug knows scep, est, cmp");
    struct demo d = {.conf = &conf, .allow_legacy = cmd_has(&args, "allow-legacy")};
    struct server_options o = {.conf = &conf,
        .create = true,
        .debug = debug != NULL || cmd_has(&args, "verbose"),
        .only = debug != NULL && !cmd_has(&args, "verbose") ? mu_proto_parse(debug) : MU_PROTO_NONE,
        .quiet = cmd_has(&args, "quiet"),
        .prepare = prepare,
        .ready = ready,
        .cookie = &d};
    code = 0;
    if (conf_make(&args, ctx, &conf, &err) != MU_OK || server_run(&o, &err) != MU_OK)
        code = cmd_fail(ctx, &err);
    instance_conf_clear(&conf);
    return code;
}
