#include "conf.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void conf_open(struct conf *conf)
{
    char sub[96];

    *conf = (struct conf){0};
    snprintf(conf->dir, sizeof conf->dir, "/tmp/muster-conf-XXXXXX");
    assert_non_null(mkdtemp(conf->dir));
    snprintf(conf->main, sizeof conf->main, "%s/muster.conf", conf->dir);
    snprintf(sub, sizeof sub, "%s/certs.d", conf->dir);
    assert_int_equal(mkdir(sub, 0755), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void conf_close(struct conf *conf)
{
    mu_agent_config_free(conf->config);
    conf->config = NULL;
    nftw(conf->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void path_of(const struct conf *conf, const char *file, char path[200])
{
    snprintf(path, 200, "%s/%s", conf->dir, file);
}

void conf_write(struct conf *conf, const char *file, unsigned mode, const char *text)
{
    char path[200];

    path_of(conf, file, path);
    assert_int_equal(
        mu_keystore_file_write(path, mode, mu_bytes_str(text), &conf->err), MU_OK);
    assert_int_equal(chmod(path, mode), 0);
}

void conf_read(const struct conf *conf, const char *file, char *text, size_t size)
{
    struct mu_buf buf = {0};
    struct mu_err err = {0};
    char path[200];

    path_of(conf, file, path);
    assert_int_equal(mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &buf, &err), MU_OK);
    snprintf(text, size, "%s", mu_buf_str(&buf));
    mu_buf_clear(&buf);
}

static void on_note(void *cookie, const struct mu_agent_config_note *note)
{
    struct conf *conf = cookie;
    size_t n = strlen(conf->told);
    const char *file = note->file;

    conf->errors += note->is_error;
    conf->advices += !note->is_error;
    if (strncmp(file, conf->dir, strlen(conf->dir)) == 0)
        file += strlen(conf->dir) + 1;
    snprintf(conf->told + n, sizeof conf->told - n, "%s:%u: %s\n", file, note->line, note->text);
}

enum mu_code conf_load(struct conf *conf)
{
    mu_agent_config_free(conf->config);
    conf->config = NULL;
    conf->errors = conf->advices = 0;
    conf->told[0] = '\0';
    conf->err = (struct mu_err){0};
    return mu_agent_config_load(conf->main, &conf->config, on_note, conf, &conf->err);
}

enum mu_code conf_try(struct conf *conf, const char *text)
{
    conf_write(conf, "muster.conf", 0600, text);
    return conf_load(conf);
}

void conf_with(struct conf *conf, const char *text)
{
    conf_open(conf);
    if (conf_try(conf, text) != MU_OK)
        fail_msg("%s", conf->told);
}
