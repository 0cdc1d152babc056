/* muster-ca init: a lasting CA. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/muster-ca/files.h"
#include "cmd/muster-ca/instance.h"
#include "keystore/keystore.h"
#include "pki/pki_name.h"

static const struct cmd_opt options[] = {
    {0, "dir", "DIR", "its directory (/var/lib/muster-ca, with /etc/muster-ca/muster-ca.conf)"},
    {0, "name", "NAME", "name of the CA here and in URLs (ca)"},
    {0, "cn", "TEXT",
        "common name; the root adds ' Root CA', the issuing CA ' Issuing CA' (Muster)"},
    {0, "subject", "DN", "whole subject of the root instead"},
    {0, "issuing-subject", "DN", "whole subject of the issuing CA instead"},
    {0, "key", "SPEC", "of root and issuing CA: rsa:2048...4096, ec:P-256, ec:P-384 (rsa:2048)"},
    {0, "root-key", "SPEC", "of the root alone"},
    {0, "ra-key", "SPEC", "of the RA: ec:P-256 makes CMP faster, but SCEP needs RSA (rsa:2048)"},
    {0, "lifetime", "DURATION", "of the root (3650d)"},
    {0, "issuing-lifetime", "DURATION", "of the issuing CA (1825d)"},
    {0, "no-issuing", NULL, "the root issues by itself"},
    {0, "no-ra", NULL,
        "no RA certificate: the issuing CA, which must be RSA then, answers clients"},
    {0, "listen", "ADDR:PORT,...", "written into the configuration (127.0.0.1:8080)"},
    {0, "listen-tls", "ADDR:PORT,...", "the same for EST, with TLS (none)"},
    {0, NULL, NULL, NULL},
};

static const struct cmd_spec spec = {
    .usage = "init [option...]",
    .about =
        "Makes root, issuing CA and RA certificate with their keys (0600), the database, the key\n"
        "of the challenge hashes and muster-ca.conf. Never writes over a CA that is there.\n"
        "An EC key for the CAs makes issuing faster; the RA's is RSA for SCEP unless --ra-key says.",
    .opts = options,
};

struct plan {
    struct mu_ca_init init;
    char root[256], issuing[256];
};

static enum mu_code lifetime_get(
    const struct cmd_args *args, const char *name, int64_t *out, struct mu_err *err)
{
    const char *value = cmd_get(args, name);

    return value == NULL ? MU_OK : mu_text_duration(value, out, err);
}

static enum mu_code plan_make(const struct cmd_args *args, struct plan *p, struct mu_err *err)
{
    const char *cn = cmd_get(args, "cn"), *key = cmd_get(args, "key");
    const char *root_key = cmd_get(args, "root-key"), *name = cmd_get(args, "name");
    const char *ra_key = cmd_get(args, "ra-key");
    enum mu_code rc;

    if (cn == NULL)
        cn = "Muster";
    if (strpbrk(cn, "/\\,=") != NULL || strlen(cn) > 64)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "--cn is a plain name of at most 64 characters; --subject takes a whole one");
    snprintf(p->root, sizeof p->root, "/CN=%s Root CA", cn);
    snprintf(p->issuing, sizeof p->issuing, "/CN=%s Issuing CA", cn);
    p->init.name = name != NULL ? name : "ca";
    p->init.root_subject = cmd_has(args, "subject") ? cmd_get(args, "subject") : p->root;
    p->init.issuing_subject =
        cmd_has(args, "issuing-subject") ? cmd_get(args, "issuing-subject") : p->issuing;
    if (cmd_has(args, "no-issuing"))
        p->init.issuing_subject = NULL;
    p->init.with_ra = !cmd_has(args, "no-ra");
    p->init.operator= geteuid() == 0 ? "root" : "init";
    if (key != NULL && (rc = mu_pki_key_spec_parse(key, false, &p->init.root_key, err)) != MU_OK)
        return rc;
    p->init.issuing_key = p->init.root_key;
    if (root_key != NULL
        && (rc = mu_pki_key_spec_parse(root_key, false, &p->init.root_key, err)) != MU_OK)
        return rc;
    if (ra_key != NULL && (rc = mu_pki_key_spec_parse(ra_key, false, &p->init.ra_key, err)) != MU_OK)
        return rc;
    if ((rc = lifetime_get(args, "lifetime", &p->init.root_lifetime_s, err)) != MU_OK)
        return rc;
    return lifetime_get(args, "issuing-lifetime", &p->init.issuing_lifetime_s, err);
}

static bool any_view(void *cookie, const struct mu_ca_view *view)
{
    *(bool *)cookie = true;
    return false;
}

static enum mu_code config_put(const struct cmd_context *ctx, const struct instance_conf *conf,
    const char *listen, const char *listen_tls, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    if (files_exist(conf->file)) /* of an init that was interrupted, or the operator's own */
        return MU_OK;
    if (ctx->dir == NULL && ctx->config == NULL
        && (rc = files_mkdir("/etc/muster-ca", 0755, err)) != MU_OK)
        return rc;
    mu_buf_putf(&text,
        "# muster-ca: where it listens, its database and keys. CAs, profiles and entries are in "
        "the\n"
        "# database: muster-ca ca, profile, entry. All keys: muster-ca(8).\n"
        "[server]\nlisten = %s\n",
        listen);
    if (listen_tls != NULL)
        mu_buf_putf(&text, "listen-tls = %s\n", listen_tls);
    else
        mu_buf_put_str(&text, "# listen-tls = 127.0.0.1:8443\n");
    if (ctx->dir == NULL)
        mu_buf_put_str(
            &text, "# dir = /var/lib/muster-ca\n# admin-socket = /run/muster-ca/admin.sock\n");
    mu_buf_put_str(&text, "# database = muster-ca.db\n# keys = keys\n# hash-key = hash.key\n");
    if ((rc = mu_buf_check(&text, "configuration", err)) == MU_OK)
        rc = files_create(conf->file, mu_buf_bytes(&text), 0644, err);
    mu_buf_clear(&text);
    return rc;
}

struct result {
    json_t *out;
    const struct instance_conf *conf;
};

static void certs_put(json_t *list, const char *role, const struct mu_pki_certs *certs, size_t from)
{
    for (size_t i = from; certs != NULL && i < certs->n; i++) {
        json_t *o = json_object();
        struct mu_buf text = {0};

        mu_pki_cert_fingerprint(certs->v[i], MU_PKI_SHA256, &text);
        (void)json_object_set_new(o, "role",
            json_string(role != NULL    ? role
                    : i + 1 == certs->n ? "root"
                                        : "issuing"));
        (void)json_object_set_new(o, "sha256", json_string(mu_buf_str(&text)));
        mu_buf_reset(&text);
        mu_pki_name_format(certs->v[i]->subject, MU_PKI_NAME_COMMA, &text);
        (void)json_object_set_new(o, "subject", json_string(mu_buf_str(&text)));
        (void)json_array_append_new(list, o);
        mu_buf_clear(&text);
    }
}

static bool root_write(void *cookie, const struct mu_ca_view *view)
{
    struct result *r = cookie;
    json_t *list = json_array();
    struct mu_buf pem = {0};
    char path[PATH_MAX];
    struct mu_err err = {0};

    certs_put(list, NULL, view->chain, 0);
    certs_put(list, "ra", view->ra, 0);
    (void)json_object_set_new(r->out, "certificates", list);
    snprintf(path, sizeof path, "%s/root.pem", r->conf->dir);
    mu_pki_cert_to_pem(view->chain->v[view->chain->n - 1], &pem);
    if (mu_keystore_file_write(path, 0644, mu_buf_bytes(&pem), &err) == MU_OK)
        (void)json_object_set_new(r->out, "root_file", json_string(path));
    mu_buf_clear(&pem);
    return false;
}

static enum mu_code make(
    struct cmd_context *ctx, const struct cmd_args *args, json_t *out, struct mu_err *err)
{
    struct instance_options open = {.create = true};
    struct instance instance = {.lock_fd = -1};
    struct instance_conf conf = {0};
    const char *listen = cmd_get(args, "listen"), *listen_tls = cmd_get(args, "listen-tls");
    struct result result = {.out = out, .conf = &conf};
    struct plan plan = {0};
    bool there = false;
    enum mu_code rc;

    if ((rc = plan_make(args, &plan, err)) != MU_OK)
        goto out;
    if ((rc = instance_conf_defaults(ctx, &conf, err)) != MU_OK)
        goto out;
    if (listen == NULL)
        listen = "127.0.0.1:8080";
    if ((rc = instance_conf_listen(&conf, listen, false, err)) != MU_OK)
        goto out;
    if (listen_tls != NULL && (rc = instance_conf_listen(&conf, listen_tls, true, err)) != MU_OK)
        goto out;
    if ((rc = instance_open(&conf, &open, &instance, err)) != MU_OK)
        goto out;
    mu_ca_each(instance.ca, any_view, &there);
    if (there) {
        rc = mu_err_set(
            err, MU_STORAGE, MU_M(702), "%s holds a CA already, nothing was changed", conf.dir);
        mu_err_likely(err, "It was made before.");
        mu_err_next(err, "Take another directory, or add a CA: muster-ca ca new.");
        goto out;
    }
    if ((rc = mu_ca_init(instance.ca, &plan.init, err)) != MU_OK)
        goto out;
    if ((rc = config_put(ctx, &conf, listen, listen_tls, err)) != MU_OK)
        goto out;
    mu_ca_each(instance.ca, root_write, &result);
    (void)json_object_set_new(out, "schema", json_string("muster/1"));
    (void)json_object_set_new(out, "dir", json_string(conf.dir));
    (void)json_object_set_new(out, "config", json_string(conf.file));
    (void)json_object_set_new(out, "name", json_string(plan.init.name));
out:
    instance_close(&instance);
    instance_conf_clear(&conf);
    return rc;
}

int cmd_init(struct cmd_context *ctx, int argc, char **argv)
{
    struct mu_err err = {0};
    struct cmd_args args;
    json_t *out, *row;
    size_t i;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    if (cmd_has(&args, "dir"))
        ctx->dir = cmd_get(&args, "dir");
    out = json_object();
    if (make(ctx, &args, out, &err) != MU_OK) {
        json_decref(out);
        return cmd_fail(ctx, &err);
    }
    if (ctx->json) {
        code = cmd_put_json(out);
        json_decref(out);
        return code;
    }
    json_array_foreach(json_object_get(out, "certificates"), i, row)
        printf("%-8s %s\n         SHA-256 %s\n", cmd_text(row, "role"), cmd_text(row, "subject"),
            cmd_text(row, "sha256"));
    printf("root     %s\nconfig   %s\n", cmd_text(out, "root_file"), cmd_text(out, "config"));
    if (ctx->dir != NULL)
        printf("next     muster-ca --dir %s serve\n         muster-ca --dir %s entry new NAME\n",
            ctx->dir, ctx->dir);
    else
        printf("next     muster-ca serve\n         muster-ca entry new NAME\n");
    json_decref(out);
    return 0;
}
