/*
 * The configuration written back: one value, every other byte as it was, the whole of it checked before
 * the rename. The lock of the file's directory is held meanwhile, so that two who change do it in turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_config_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore.h"
#include "keystore/keystore_place.h"

struct change {
    const char *path; /* muster.conf */
    const char *section, *name, *key, *value;
    struct mu_buf file; /* that is changed */
    struct mu_buf text; /* what it will be */
};

static enum mu_code make_dir(const char *dir, struct mu_err *err)
{
    if (mkdir(dir, 0755) == 0 || errno == EEXIST)
        return MU_OK;
    return mu_err_set(err, MU_STORAGE, MU_M(702), "Cannot write %s: %s", dir, strerror(errno));
}

static void put_dir(const char *path, struct mu_buf *out)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        mu_buf_put_str(out, "./");
    else
        mu_buf_put(out, path, (size_t)(slash - path) + 1);
}

/* Sections that stand for one thing have a file of their own; the general ones are in the main file. */
static enum mu_code usual_place(struct change *c, struct mu_err *err)
{
    struct mu_buf dir = {0};
    enum mu_code rc = MU_OK;

    mu_buf_reset(&c->file);
    if (c->name[0] == '\0') {
        mu_buf_put_str(&c->file, c->path);
        return mu_buf_check(&c->file, "path", err);
    }
    put_dir(c->path, &dir);
    mu_buf_put_str(&dir, "certs.d");
    if ((rc = mu_buf_check(&dir, "path", err)) == MU_OK)
        rc = make_dir(mu_buf_str(&dir), err);
    mu_buf_putf(&c->file, "%s/%s.conf", mu_buf_str(&dir), c->name);
    mu_buf_clear(&dir);
    return rc == MU_OK ? mu_buf_check(&c->file, "path", err) : rc;
}

static enum mu_code read_ini(const char *path, struct mu_ini **out, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_INI, .secret = true};
    enum mu_code rc = mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &text, err);

    if (rc == MU_OK)
        rc = mu_ini_parse(mu_buf_bytes(&text), path, MU_INI_SECTIONS, out, err);
    mu_buf_clear(&text);
    return rc;
}

/* Of all files, the last that says something of the key, or at least of its section. */
static enum mu_code find_place(
    struct change *c, const struct mu_agent_config *config, bool *has_key, struct mu_err *err)
{
    const char *of_section = NULL;
    struct mu_ini_header h;

    *has_key = false;
    for (size_t i = config->file_n; i-- > 0 && !*has_key;) {
        struct mu_ini *ini = NULL;

        if (read_ini(config->files[i], &ini, NULL) != MU_OK)
            continue; /* a file that cannot be read as a whole is not changed either */
        *has_key = mu_ini_get(ini, c->section, c->name, c->key) != NULL;
        for (size_t k = 1; of_section == NULL && mu_ini_header_at(ini, k, &h); k++)
            if (strcmp(h.section, c->section) == 0 && strcmp(h.name, c->name) == 0)
                of_section = config->files[i];
        if (*has_key)
            of_section = config->files[i];
        mu_ini_free(ini);
    }
    if (of_section == NULL || (!*has_key && strcmp(c->section, "certificate") == 0))
        return usual_place(c, err);
    mu_buf_reset(&c->file);
    mu_buf_put_str(&c->file, of_section);
    return mu_buf_check(&c->file, "path", err);
}

static enum mu_code make_text(struct change *c, struct mu_err *err)
{
    struct mu_ini *ini = NULL;
    enum mu_code rc = read_ini(mu_buf_str(&c->file), &ini, err);

    if (rc == MU_NOT_FOUND) {
        mu_err_clear(err);
        rc = mu_ini_parse(mu_bytes_str(""), mu_buf_str(&c->file), MU_INI_SECTIONS, &ini, err);
    }
    if (rc == MU_OK)
        rc = mu_ini_set(ini, c->section, c->name, c->key, c->value, err);
    if (rc == MU_OK) {
        mu_buf_reset(&c->text);
        mu_ini_format(ini, &c->text);
        rc = mu_buf_check(&c->text, mu_buf_str(&c->file), err);
    }
    mu_ini_free(ini);
    return rc;
}

/* The lock of the directory is held; what it was read from is still what is replaced. */
static enum mu_code write_checked(const char *path, struct mu_keystore_place *place, const char *file,
    struct mu_bytes text, mu_agent_config_call *call, void *cookie, struct mu_err *err)
{
    const struct mu_agent_config_instead instead = {file, text};
    const struct mu_keystore_place_how how = {
        .has_mode = !mu_keystore_place_exists(place), .mode = MU_AGENT_CONFIG_MODE};
    struct mu_agent_config *whole = NULL;
    enum mu_code rc = mu_agent_config_load_instead(path, &instead, &whole, call, cookie, err);

    mu_agent_config_free(whole);
    return rc == MU_OK ? mu_keystore_place_write(place, &how, text, err) : rc;
}

enum mu_code mu_agent_config_replace(const char *path, const char *file, struct mu_bytes text,
    mu_agent_config_call *call, void *cookie, struct mu_err *err)
{
    struct mu_keystore_place *place = NULL;
    enum mu_code rc = mu_keystore_place_open(file, &place, err);

    if (rc != MU_OK)
        return rc;
    rc = write_checked(path != NULL ? path : MU_AGENT_CONFIG_FILE, place, file, text, call, cookie, err);
    mu_keystore_place_close(place);
    return rc;
}

/* One file; *more: the value was taken away here and may be somewhere else too. */
static enum mu_code change_one(struct change *c, bool *more, struct mu_err *err)
{
    struct mu_agent_config *config = NULL;
    struct mu_keystore_place *place = NULL;
    bool has_key = false;
    enum mu_code rc = mu_agent_config_load_anyway(c->path, &config, err);

    if (rc == MU_OK)
        rc = find_place(c, config, &has_key, err);
    mu_agent_config_free(config);
    *more = c->value == NULL && has_key;
    if (rc != MU_OK || (c->value == NULL && !has_key))
        return rc;
    if ((rc = mu_keystore_place_open(mu_buf_str(&c->file), &place, err)) != MU_OK)
        return rc;
    if ((rc = make_text(c, err)) == MU_OK)
        rc = write_checked(c->path, place, mu_buf_str(&c->file), mu_buf_bytes(&c->text), NULL, NULL, err);
    mu_keystore_place_close(place);
    return rc;
}

static enum mu_code check_word(const struct change *c, struct mu_err *err)
{
    unsigned kind = mu_agent_config_kind_parse(c->section);
    int word = mu_agent_config_word_find(c->key);
    const char *near;

    if (kind == 0)
        return mu_err_set(err, MU_INPUT, MU_M(706), "there is no section [%.40s]", c->section);
    if (word < 0 || (mu_agent_config_word_at((size_t)word)->kinds & kind) == 0) {
        mu_err_set(err, MU_INPUT, MU_M(706), "there is no '%.60s' in [%s]", c->key, c->section);
        if ((near = mu_agent_config_word_nearest(c->key, kind)) != NULL)
            mu_err_next(err, "did you mean %s?", near);
        return MU_INPUT;
    }
    if (c->name[0] != '\0' && mu_agent_value_name(c->name, err) != MU_OK)
        return MU_INPUT;
    if (c->value == NULL || mu_agent_config_word_check(word, c->value, err) == MU_OK)
        return MU_OK;
    mu_err_narrow(err, MU_M(706));
    return MU_INPUT;
}

enum mu_code mu_agent_config_set(const char *path, const char *section, const char *name, const char *key,
    const char *value, struct mu_buf *file, struct mu_err *err)
{
    struct change c = {.path = path != NULL ? path : MU_AGENT_CONFIG_FILE, .section = section,
        .name = name != NULL ? name : "", .key = key, .value = value,
        .text = {.max = MU_LIMIT_INI, .secret = true}};
    struct mu_buf dir = {0};
    bool more = true;
    enum mu_code rc;

    if ((rc = check_word(&c, err)) != MU_OK)
        return rc;
    put_dir(c.path, &dir);
    if ((rc = mu_buf_check(&dir, "path", err)) == MU_OK)
        rc = make_dir(mu_buf_str(&dir), err);
    for (size_t i = 0; rc == MU_OK && more && i < MU_LIMIT_CONFIG_FILES; i++) {
        more = false;
        rc = change_one(&c, &more, err);
    }
    if (rc == MU_OK && file != NULL && mu_buf_put_bytes(file, mu_buf_bytes(&c.file)))
        rc = mu_buf_check(file, "path", err);
    mu_buf_clear(&dir);
    mu_buf_clear(&c.file);
    mu_buf_clear(&c.text);
    return rc;
}

/* ---- a whole certificate ---- */

/* Is there anything that somebody may want to keep? Comments are, but not in a file of its own. */
static bool holds_nothing(const struct mu_ini *ini, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    char own[300];

    snprintf(own, sizeof own, "%.250s.conf", name);
    return mu_ini_count(ini) == 0 && !mu_ini_header_at(ini, 1, &(struct mu_ini_header){.line = 0})
        && slash != NULL && strcmp(slash + 1, own) == 0;
}

static bool has_section(const struct mu_ini *ini, const char *name)
{
    struct mu_ini_header h;

    for (size_t i = 1; mu_ini_header_at(ini, i, &h); i++)
        if (strcmp(h.section, "certificate") == 0 && strcmp(h.name, name) == 0)
            return true;
    return false;
}

/* Out of one file, if the rest is a configuration without it. *has: it is in there. */
static enum mu_code remove_from(const char *path, const char *file, const char *name, bool *has, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_INI, .secret = true};
    struct mu_keystore_place *place = NULL;
    struct mu_ini *ini = NULL;
    enum mu_code rc = mu_keystore_place_open(file, &place, err);

    if (rc == MU_OK)
        rc = read_ini(file, &ini, err);
    *has = rc == MU_OK && has_section(ini, name);
    if (!*has)
        goto out;
    if ((rc = mu_ini_remove(ini, "certificate", name, err)) != MU_OK)
        goto out;
    mu_ini_format(ini, &text);
    rc = mu_buf_check(&text, file, err);
    if (rc == MU_OK)
        rc = write_checked(path, place, file, mu_buf_bytes(&text), NULL, NULL, err);
    if (rc == MU_OK && holds_nothing(ini, file, name) && unlink(file) != 0)
        rc = mu_err_set(err, MU_STORAGE, MU_M(702), "Cannot remove %s: %s", file, strerror(errno));
out:
    mu_keystore_place_close(place);
    mu_ini_free(ini);
    mu_buf_clear(&text);
    return rc;
}

/* Over all files once. What is left of it elsewhere may not be able to stand alone: *left, and the next round. */
static enum mu_code remove_round(const char *path, const char *name, size_t *left, size_t *done,
    mu_agent_config_file_call *call, void *cookie, struct mu_err *err)
{
    struct mu_agent_config *config = NULL;
    enum mu_code rc = mu_agent_config_load_anyway(path, &config, err), last = rc;

    *left = *done = 0;
    if (rc != MU_OK)
        return rc;
    for (size_t i = config->file_n; i-- > 0;) {
        bool has = false;

        if ((rc = remove_from(path, config->files[i], name, &has, err)) != MU_OK) {
            *left += has;
            last = has ? rc : last;
        } else if (has) {
            ++*done;
            call(cookie, config->files[i]);
        }
    }
    mu_agent_config_free(config);
    return last;
}

enum mu_code mu_agent_config_remove(const char *path, const char *name, mu_agent_config_file_call *call, void *cookie,
    struct mu_err *err)
{
    const char *main_file = path != NULL ? path : MU_AGENT_CONFIG_FILE;
    size_t left = 1, done = 1, all = 0;
    enum mu_code rc = MU_OK;

    while (left > 0 && done > 0) {
        rc = remove_round(main_file, name, &left, &done, call, cookie, err);
        all += done;
    }
    if (rc == MU_OK && all == 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "the configuration has no certificate '%s'", name);
    return rc;
}
