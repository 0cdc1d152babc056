/* muster-ca.conf. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster-ca/instance.h"
#include "keystore/keystore.h"

#define SYSTEM_CONFIG "/etc/muster-ca/muster-ca.conf"
#define SYSTEM_DIR "/var/lib/muster-ca"
#define SYSTEM_ADMIN "/run/muster-ca/admin.sock"

void instance_conf_clear(struct instance_conf *conf)
{
    for (size_t i = 0; i < conf->listen_n; i++)
        free(conf->listen[i].address);
    free(conf->dir);
    free(conf->file);
    free(conf->database);
    free(conf->keys);
    free(conf->hash_key);
    free(conf->admin);
    free(conf->log);
    free(conf->log_level);
    free(conf->record);
    free(conf->tls_cert);
    free(conf->tls_key);
    free(conf->tls_ca);
    free(conf->tls_names);
    *conf = (struct instance_conf){0};
}

enum mu_code instance_conf_path(
    const struct instance_conf *conf, char **member, const char *value, struct mu_err *err)
{
    char path[PATH_MAX], *copy = NULL;
    bool as_is = value[0] == '/' || conf->dir == NULL;
    int n = snprintf(path, sizeof path, "%s%s%s", as_is ? "" : conf->dir, as_is ? "" : "/", value);
    enum mu_code rc;

    if (n < 0 || n >= (int)sizeof path)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a path is too long");
    if ((rc = mu_text_dup(path, &copy, err)) != MU_OK)
        return rc;
    free(*member);
    *member = copy;
    return MU_OK;
}

enum mu_code instance_conf_defaults(
    const struct cmd_context *ctx, struct instance_conf *conf, struct mu_err *err)
{
    struct instance_conf c = {0};
    const char *file = ctx->dir != NULL ? "muster-ca.conf" : SYSTEM_CONFIG;
    enum mu_code rc;

    if ((rc = mu_text_dup(ctx->dir != NULL ? ctx->dir : SYSTEM_DIR, &c.dir, err)) != MU_OK)
        goto out;
    if (ctx->config != NULL)
        rc = mu_text_dup(ctx->config, &c.file, err); /* as typed: below where we are */
    else
        rc = instance_conf_path(&c, &c.file, file, err);
    if (rc != MU_OK)
        goto out;
    if ((rc = instance_conf_path(&c, &c.database, "muster-ca.db", err)) != MU_OK)
        goto out;
    if ((rc = instance_conf_path(&c, &c.keys, "keys", err)) != MU_OK)
        goto out;
    if ((rc = instance_conf_path(&c, &c.hash_key, "hash.key", err)) != MU_OK)
        goto out;
    if ((rc = instance_conf_path(&c, &c.admin, ctx->dir != NULL ? "admin.sock" : SYSTEM_ADMIN, err))
        != MU_OK)
        goto out;
    *conf = c;
    c = (struct instance_conf){0};
out:
    instance_conf_clear(&c);
    return rc;
}

/* "[::1]:8080", "127.0.0.1:8080" */
static enum mu_code listen_add(
    struct instance_conf *conf, char *word, bool tls, struct mu_err *err)
{
    char *colon = strrchr(word, ':'), *address = word;
    int64_t port;
    size_t n;

    if (conf->listen_n == INSTANCE_MAX_LISTEN)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "more than %d addresses to listen on",
            INSTANCE_MAX_LISTEN);
    if (colon == NULL || mu_text_int(colon + 1, 0, 65535, &port, NULL) != MU_OK)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "'%s' is not an address with a port like 127.0.0.1:8080 or [::]:8080", word);
    *colon = '\0';
    n = strlen(address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address[n - 1] = '\0';
        address++;
    }
    conf->listen[conf->listen_n].port = (uint16_t)port;
    conf->listen[conf->listen_n].tls = tls;
    if (mu_text_dup(address, &conf->listen[conf->listen_n].address, err) != MU_OK)
        return MU_MEMORY;
    conf->listen_n++;
    return MU_OK;
}

static void listen_clear(struct instance_conf *conf, bool tls)
{
    size_t kept = 0;

    for (size_t i = 0; i < conf->listen_n; i++) {
        if (conf->listen[i].tls == tls)
            free(conf->listen[i].address);
        else
            conf->listen[kept++] = conf->listen[i];
    }
    conf->listen_n = kept;
}

enum mu_code instance_conf_listen(
    struct instance_conf *conf, const char *words, bool tls, struct mu_err *err)
{
    char *copy = NULL, *word, *rest = NULL;
    enum mu_code rc = mu_text_dup(words, &copy, err);

    size_t before;

    listen_clear(conf, tls);
    before = conf->listen_n;
    if (rc != MU_OK)
        return rc;
    if (strcmp(words, "none") == 0) {
        free(copy);
        return MU_OK;
    }
    for (word = strtok_r(copy, ", \t\n", &rest); word != NULL && rc == MU_OK;
         word = strtok_r(NULL, ", \t\n", &rest))
        rc = listen_add(conf, word, tls, err);
    if (rc == MU_OK && conf->listen_n == before)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no address to listen on");
    free(copy);
    return rc;
}

static enum mu_code text_set(char **member, const char *value, struct mu_err *err)
{
    char *copy = NULL;
    enum mu_code rc = mu_text_dup(value, &copy, err);

    if (rc != MU_OK)
        return rc;
    free(*member);
    *member = copy;
    return MU_OK;
}

static enum mu_code yes_no(bool *member, const char *value, struct mu_err *err)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the value is neither yes nor no");
    *member = strcmp(value, "yes") == 0;
    return MU_OK;
}

static enum mu_code level_set(struct instance_conf *conf, const char *value, struct mu_err *err)
{
    if (strcmp(value, "info") != 0 && strcmp(value, "notice") != 0 && strcmp(value, "warning") != 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "log-level is info, notice or warning");
    free(conf->log_level);
    conf->log_level = NULL;
    return mu_text_dup(value, &conf->log_level, err);
}

static enum mu_code setting(
    struct instance_conf *conf, const char *key, const char *value, struct mu_err *err)
{
    static const char *const known[] = {"listen", "database", "keys", "hash-key", "admin-socket",
        "workers", "max-connections", "log", "log-level", "record", "rate-burst", "rate-per-second",
        "password-attempts", "demo", "listen-tls", "tls-cert", "tls-key", "tls-ca", "tls-names",
        "tls-srp", "tls-send-root", NULL};
    struct {
        const char *key;
        char **member;
    } paths[] = {{"database", &conf->database}, {"keys", &conf->keys},
        {"hash-key", &conf->hash_key}, {"admin-socket", &conf->admin}, {"log", &conf->log},
        {"record", &conf->record}, {"tls-cert", &conf->tls_cert}, {"tls-key", &conf->tls_key}};
    struct {
        const char *key;
        int64_t *member, min, max;
    } numbers[] = {{"workers", &conf->workers, 0, 256},
        {"max-connections", &conf->max_connections, 0, 100000},
        {"rate-burst", &conf->rate_burst, -1, 1000000},
        {"rate-per-second", &conf->rate_per_s, 0, 1000000},
        {"password-attempts", &conf->password_attempts, -1, 1000000}};
    const char *near_word;

    if (strcmp(key, "listen") == 0)
        return instance_conf_listen(conf, value, false, err);
    if (strcmp(key, "listen-tls") == 0)
        return instance_conf_listen(conf, value, true, err);
    if (strcmp(key, "tls-ca") == 0)
        return text_set(&conf->tls_ca, value, err);
    if (strcmp(key, "tls-names") == 0)
        return text_set(&conf->tls_names, value, err);
    if (strcmp(key, "tls-srp") == 0)
        return yes_no(&conf->tls_srp, value, err);
    if (strcmp(key, "tls-send-root") == 0)
        return yes_no(&conf->tls_send_root, value, err);
    if (strcmp(key, "log-level") == 0)
        return level_set(conf, value, err);
    if (strcmp(key, "demo") == 0) {
        conf->demo = strcmp(value, "yes") == 0;
        return MU_OK;
    }
    if (strcmp(key, "database") == 0 && strcmp(value, "memory") == 0) {
        free(conf->database);
        conf->database = NULL;
        return mu_text_dup("memory", &conf->database, err);
    }
    if (strcmp(key, "log") == 0 && strcmp(value, "stderr") == 0)
        return MU_OK;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(key, paths[i].key) == 0)
            return instance_conf_path(conf, paths[i].member, value, err);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(key, numbers[i].key) == 0)
            return mu_text_int(value, numbers[i].min, numbers[i].max, numbers[i].member, err);
    near_word = mu_text_nearest(key, known);
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown key '%s'", key);
    if (near_word != NULL)
        mu_err_next(err, "Did you mean %s?", near_word);
    return MU_INPUT;
}

static enum mu_code at_line(const struct instance_conf *conf, unsigned line, struct mu_err *err)
{
    mu_err_context(err, "%s:%u", conf->file, line);
    mu_err_narrow(err, MU_M(706));
    return MU_INPUT;
}

static enum mu_code settings_apply(
    struct instance_conf *conf, const struct mu_ini *ini, struct mu_err *err)
{
    const struct mu_ini_item *dir = mu_ini_get(ini, "server", NULL, "dir");
    struct cmd_context moved = {.config = conf->file};

    if (dir != NULL) { /* the defaults are below it */
        struct instance_conf fresh = {0};
        enum mu_code rc;

        moved.dir = dir->value;
        if ((rc = instance_conf_defaults(&moved, &fresh, err)) != MU_OK)
            return rc;
        instance_conf_clear(conf);
        *conf = fresh;
    }
    for (size_t i = 0; i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);

        if (strcmp(item->section, "server") != 0 || item->name[0] != '\0') {
            mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown section [%s]", item->section);
            mu_err_next(
                err, "There is only [server]: CAs, profiles and entries are in the database.");
            return at_line(conf, item->line, err);
        }
        if (strcmp(item->key, "dir") != 0 && setting(conf, item->key, item->value, err) != MU_OK)
            return at_line(conf, item->line, err);
    }
    return MU_OK;
}

enum mu_code instance_conf_load(
    const struct cmd_context *ctx, struct instance_conf *conf, struct mu_err *err)
{
    struct instance_conf c = {0};
    struct mu_ini *ini = NULL;
    struct mu_buf text;
    enum mu_code rc;

    mu_buf_init(&text, MU_LIMIT_INI);
    if ((rc = instance_conf_defaults(ctx, &c, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_file_read(c.file, MU_KEYSTORE_PUBLIC, &text, err)) != MU_OK)
        goto out;
    if ((rc = mu_ini_parse(mu_buf_bytes(&text), c.file, MU_INI_SECTIONS, &ini, err)) != MU_OK)
        goto out;
    if ((rc = settings_apply(&c, ini, err)) != MU_OK)
        goto out;
    *conf = c;
    c = (struct instance_conf){0};
out:
    mu_ini_free(ini);
    mu_buf_clear(&text);
    instance_conf_clear(&c);
    return rc;
}
