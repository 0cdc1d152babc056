/* Which files are read, in which order, and what they come to: sections of one name become one. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/agent_config_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "keystore/keystore.h"


static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for the configuration");
}

static enum mu_code read_text(
    struct mu_agent_config_reader *r, const char *path, struct mu_buf *text, struct mu_err *err)
{
    if (r->instead == NULL || strcmp(r->instead->path, path) != 0)
        return mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, text, err);
    mu_buf_put_bytes(text, r->instead->text);
    return mu_buf_check(text, path, err);
}

static enum mu_code add_file(struct mu_agent_config *c, const char *path, struct mu_err *err)
{
    void *list;
    char *copy;

    if (c->file_n == MU_LIMIT_CONFIG_FILES)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "more than %d configuration files", MU_LIMIT_CONFIG_FILES);
    if ((c->file_n & (c->file_n - 1)) == 0) {
        if ((list = realloc(c->files, (c->file_n != 0 ? 2 * c->file_n : 1) * sizeof *c->files)) == NULL)
            return no_memory(err);
        c->files = list;
    }
    if ((copy = strdup(path)) == NULL)
        return no_memory(err);
    c->files[c->file_n++] = copy;
    return MU_OK;
}

/* Whoever may write a file of ours says what root runs. */
static bool is_everybodys(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH) != 0;
}

struct faults {
    struct mu_agent_config_reader *reader;
    uint16_t file;
};

/* It names the line itself. */
static void on_fault(void *cookie, const struct mu_err *fault)
{
    const struct faults *f = cookie;

    mu_agent_config_fault(f->reader, f->file, 0, fault);
}

/* What is wrong inside the file is told; only what ends the reading is returned. */
static enum mu_code read_file(struct mu_agent_config_reader *r, const char *path, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_INI, .secret = true};
    struct mu_err inside = {0};
    struct mu_ini *ini = NULL;
    enum mu_code rc = add_file(r->config, path, err);
    uint16_t file = (uint16_t)(r->config->file_n - 1);

    if (rc != MU_OK)
        return rc;
    if (read_text(r, path, &text, &inside) != MU_OK) {
        mu_agent_config_fault(r, file, 0, &inside);
        goto out;
    }
    if (is_everybodys(path)) {
        mu_err_set(&inside, MU_DENIED, MU_M(701), "%s may be written by everybody", path);
        mu_err_next(&inside, "chmod o-w %s", path);
        mu_agent_config_fault(r, file, 0, &inside);
    }
    if ((r->config->octets += text.n) > MU_LIMIT_CONFIG) {
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "%s: the configuration is larger than %d MiB", path,
            MU_LIMIT_CONFIG >> 20);
        goto out;
    }
    rc = mu_ini_parse_all(mu_buf_bytes(&text), path, MU_INI_SECTIONS, on_fault,
        &(struct faults){r, file}, &ini, &inside);
    if (rc != MU_OK) {
        if (rc != MU_INPUT)
            mu_agent_config_fault(r, file, 0, &inside);
        rc = MU_OK;
        goto out;
    }
    rc = mu_agent_config_take(r, file, ini, err);
out:
    mu_ini_free(ini);
    mu_buf_clear(&text);
    return rc;
}

/* ---- all files ---- */

static int is_conf(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* whatever the locale */
}

static bool is_listed(struct dirent *const *list, int n, const char *file)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i]->d_name, file) == 0)
            return true;
    return false;
}

/* certs.d/NAME.conf in order of their names, a file that is not there yet in its place. */
static enum mu_code read_dir(struct mu_agent_config_reader *r, const char *dir, struct mu_err *err)
{
    const char *fresh = NULL;
    struct mu_buf path = {0};
    struct dirent **list = NULL;
    int n = scandir(dir, &list, is_conf, by_name), i;
    enum mu_code rc = MU_OK;

    if (n < 0)
        n = 0;
    if (r->instead != NULL && mu_text_starts(r->instead->path, dir)
        && !is_listed(list, n, r->instead->path + strlen(dir) + 1))
        fresh = r->instead->path + strlen(dir) + 1;
    for (i = 0; rc == MU_OK && i < n; i++) {
        if (fresh != NULL && strcmp(fresh, list[i]->d_name) < 0) {
            rc = read_file(r, r->instead->path, err);
            fresh = NULL;
        }
        mu_buf_reset(&path);
        mu_buf_putf(&path, "%s/%s", dir, list[i]->d_name);
        if (rc == MU_OK && (rc = mu_buf_check(&path, "path", err)) == MU_OK)
            rc = read_file(r, mu_buf_str(&path), err);
    }
    if (rc == MU_OK && fresh != NULL)
        rc = read_file(r, r->instead->path, err);
    for (i = 0; i < n; i++)
        free(list[i]);
    free(list);
    mu_buf_clear(&path);
    return rc;
}

static bool is_there(const struct mu_agent_config_reader *r, const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 || (r->instead != NULL && strcmp(r->instead->path, path) == 0);
}

static enum mu_code read_all(struct mu_agent_config_reader *r, bool must_be_there, struct mu_err *err)
{
    const char *path = r->config->path, *slash = strrchr(path, '/');
    struct mu_buf dir = {0};
    enum mu_code rc = MU_OK;

    if (must_be_there || is_there(r, path))
        rc = read_file(r, path, err);
    if (slash == NULL)
        mu_buf_put_str(&dir, "./certs.d");
    else
        mu_buf_putf(&dir, "%.*scerts.d", (int)(slash - path) + 1, path);
    if (rc == MU_OK && (rc = mu_buf_check(&dir, "path", err)) == MU_OK)
        rc = read_dir(r, mu_buf_str(&dir), err);
    mu_buf_clear(&dir);
    return rc;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const struct mu_agent_config_section *x = a, *y = b;
    int order = (int)x->kind - (int)y->kind;

    if (order == 0)
        order = strcmp(x->name, y->name);
    return order != 0 ? order : x->order < y->order ? -1 : 1;
}

/* Sections of one name become one, its values in the order in which they were read. */
static enum mu_code merge(struct mu_agent_config *c, struct mu_err *err)
{
    struct mu_agent_config_value *values = calloc(c->value_n + 1, sizeof *values);
    struct mu_agent_config_section *to = c->sections;
    uint32_t n = 0;

    if (values == NULL)
        return no_memory(err);
    if (c->section_n > 1)
        qsort(c->sections, c->section_n, sizeof *c->sections, by_kind_and_name);
    for (size_t i = 0; i < c->section_n; i++) {
        const struct mu_agent_config_section from = c->sections[i];

        if (i == 0 || from.kind != to->kind || strcmp(from.name, to->name) != 0) {
            to += i > 0;
            *to = from;
            to->first = n;
            to->n = 0;
        }
        if (from.n > 0)
            memcpy(values + n, c->values + from.first, from.n * sizeof *values);
        to->n += from.n;
        n += from.n;
    }
    if (c->section_n > 0)
        c->section_n = (size_t)(to - c->sections) + 1;
    free(c->values);
    c->values = values;
    return MU_OK;
}

/* is_tolerant: what is wrong inside is passed over. */
static enum mu_code load(struct mu_agent_config_reader *r, const char *path, bool is_tolerant,
    struct mu_agent_config **out, struct mu_err *err)
{
    enum mu_code rc;

    *out = NULL;
    r->config = calloc(1, sizeof *r->config);
    if (r->config == NULL || (r->config->path = strdup(path != NULL ? path : MU_AGENT_CONFIG_FILE)) == NULL) {
        free(r->config);
        return no_memory(err);
    }
    r->config->references = 1;
    rc = read_all(r, path != NULL && strcmp(path, MU_AGENT_CONFIG_FILE) != 0 && !is_tolerant, err);
    if (rc == MU_OK && (rc = merge(r->config, err)) == MU_OK) {
        mu_agent_config_check(r);
        rc = r->errors > 0 && !is_tolerant ? r->rc : MU_OK;
    }
    if (rc != MU_OK) {
        mu_agent_config_free(r->config);
        return rc;
    }
    *out = r->config;
    return MU_OK;
}

enum mu_code mu_agent_config_load_instead(const char *path, const struct mu_agent_config_instead *instead,
    struct mu_agent_config **out, mu_agent_config_call *call, void *cookie, struct mu_err *err)
{
    struct mu_agent_config_reader r = {.instead = instead, .call = call, .cookie = cookie, .err = err};

    return load(&r, path, false, out, err);
}

enum mu_code mu_agent_config_load_anyway(const char *path, struct mu_agent_config **out, struct mu_err *err)
{
    struct mu_agent_config_reader r = {0};

    return load(&r, path, true, out, err);
}

enum mu_code mu_agent_config_load(const char *path, struct mu_agent_config **out,
    mu_agent_config_call *call, void *cookie, struct mu_err *err)
{
    return mu_agent_config_load_instead(path, NULL, out, call, cookie, err);
}

struct mu_agent_config *mu_agent_config_ref(struct mu_agent_config *config)
{
    if (config != NULL)
        config->references++;
    return config;
}

void mu_agent_config_free(struct mu_agent_config *config)
{
    if (config == NULL || --config->references > 0)
        return;
    mu_agent_config_texts_free(config);
    for (size_t i = 0; i < config->file_n; i++)
        free(config->files[i]);
    free(config->files);
    free(config->sections);
    free(config->values);
    free(config->path);
    free(config);
}
