/* The environment of hooks, and which hooks there are. */
#include "agent/agent_hook.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "pki/pki_name.h"
#include "pki/pki_ext.h"
#include "agent/agent_internal.h"

#define HOOKS_DIR "/etc/muster/hooks.d"
#define HOOK_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { SCRIPTS_MAX = 64, DAY_S = 86400, CHAIN_MAX = 16 };

const char *mu_agent_hook_event_word(enum mu_agent_hook_event event)
{
    static const char *const words[] = {
        "enrolled", "renewed", "regenerated", "failed", "warning", "expired", "ca-changed", "test"};

    return words[event];
}

/* ---- the environment ---- */

void mu_agent_hook_put(struct mu_agent_hook_env *env, const char *name, const char *value)
{
    size_t n;
    char *text;

    if (value == NULL || value[0] == '\0')
        return;
    n = strlen(name) + strlen(value) + 2;
    text = env->n < MU_AGENT_HOOK_VARS ? malloc(n) : NULL;
    if (text == NULL) {
        env->failed = true;
        return;
    }
    snprintf(text, n, "%s=%s", name, value);
    env->v[env->n++] = text;
}

void mu_agent_hook_env_clear(struct mu_agent_hook_env *env)
{
    while (env->n > 0)
        free(env->v[--env->n]);
    env->v[0] = NULL;
    env->failed = false;
}

static void put_time(struct mu_agent_hook_env *env, const char *name, int64_t t)
{
    char text[MU_TIME_TEXT];

    if (t != 0)
        mu_agent_hook_put(env, name, mu_time_rfc3339(t, text));
}

static void put_number(struct mu_agent_hook_env *env, const char *name, long long n)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", n);
    mu_agent_hook_put(env, name, text);
}

/* Text of a certificate: what is no plain UTF-8 is escaped, and no line end gets through. */
static void put_remote(struct mu_agent_hook_env *env, const char *name, const char *value)
{
    struct mu_buf text = {.max = 64 * 1024};
    size_t room;

    if (value == NULL)
        return;
    room = 4 * strlen(value) + 1;
    if (mu_buf_grow(&text, room) != NULL)
        mu_agent_hook_put(env, name, mu_text_escape_to((char *)text.p, room, mu_bytes_str(value)));
    mu_buf_clear(&text);
}

static void put_file(struct mu_agent_hook_env *env, const char *name, const char *path)
{
    if (path != NULL && access(path, F_OK) == 0)
        mu_agent_hook_put(env, name, path);
}

/* ca.crt-0 and so on of one generation, issuer first. */
static void put_chain(struct mu_agent *agent, const struct mu_agent_hook_about *about, const char *stem,
    struct mu_agent_hook_env *env)
{
    struct mu_buf list = {.max = 64 * 1024}, path = {.max = 8192};
    char file[MU_KEYSTORE_STEM + 32];
    unsigned i;

    for (i = 0; i < CHAIN_MAX; i++) {
        mu_buf_reset(&path);
        snprintf(file, sizeof file, ".gen/%s/ca.crt-%u", stem, i);
        if (mu_keystore_path(agent->store, about->name, file, &path, NULL) != MU_OK
            || access(mu_buf_str(&path), F_OK) != 0)
            break;
        mu_buf_putf(&list, "%s%s", i > 0 ? " " : "", mu_buf_str(&path));
    }
    mu_agent_hook_put(env, "MUSTER_CHAIN", mu_buf_str(&list));
    mu_buf_clear(&list);
    mu_buf_clear(&path);
}

static bool is_same_key(struct mu_agent *agent, const struct mu_agent_hook_about *about,
    const struct mu_pki_cert *cert)
{
    struct mu_keystore_entry old = {.stem = ""};
    bool same = false;

    if (about->old_stem == NULL || about->old_stem[0] == '\0'
        || mu_keystore_load_serial(agent->store, about->name, about->old_stem, &old, NULL) != MU_OK)
        return false;
    same = mu_bytes_equal(old.cert->spki, cert->spki);
    mu_keystore_entry_clear(&old);
    return same;
}

static void put_certificate(struct mu_agent *agent, const struct mu_agent_hook_about *about,
    const struct mu_keystore_entry *entry, struct mu_agent_hook_env *env)
{
    const struct mu_pki_cert *cert = entry->cert;
    struct mu_buf serial = {.max = 256}, san = {.max = 64 * 1024};
    int64_t left = cert->not_after_s - mu_env_now(agent->env);
    char *subject = NULL;

    put_file(env, "MUSTER_CERT", entry->cert_file);
    put_file(env, "MUSTER_KEY", entry->key_file);
    put_chain(agent, about, entry->stem, env);
    mu_pki_cert_serial_hex(cert->serial, &serial);
    mu_agent_hook_put(env, "MUSTER_SERIAL", mu_buf_str(&serial));
    if (mu_agent_name_text(cert->subject, false, &subject, NULL) == MU_OK)
        put_remote(env, "MUSTER_SUBJECT", subject);
    if (cert->exts.san.n > 0 && mu_pki_san_format(cert->exts.san, &san))
        put_remote(env, "MUSTER_SANS", mu_buf_str(&san));
    put_time(env, "MUSTER_NOT_BEFORE", cert->not_before_s);
    put_time(env, "MUSTER_NOT_AFTER", cert->not_after_s);
    put_number(env, "MUSTER_DAYS_LEFT", left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S));
    mu_agent_hook_put(env, "MUSTER_KEY_CHANGED", is_same_key(agent, about, cert) ? "0" : "1");
    free(subject);
    mu_buf_clear(&serial);
    mu_buf_clear(&san);
}

void mu_agent_hook_put_try(struct mu_agent_hook_env *env, unsigned attempt, int64_t next_try_s)
{
    put_number(env, "MUSTER_ATTEMPT", attempt);
    put_time(env, "MUSTER_NEXT_TRY", next_try_s);
}

static void put_failure(const struct mu_agent_hook_about *about, struct mu_agent_hook_env *env)
{
    char code[8];

    if (about->failed == NULL)
        return;
    mu_agent_hook_put(env, "MUSTER_ERROR_CODE", mu_err_code_text(about->failed, code));
    put_remote(env, "MUSTER_ERROR_TEXT", about->failed->what);
    put_remote(env, "MUSTER_ERROR_HINT", mu_err_next_text(about->failed));
    mu_agent_hook_put_try(env, about->attempt, about->next_try_s);
}

static void put_entry(struct mu_agent *agent, const struct mu_agent_hook_about *about,
    struct mu_agent_hook_env *env)
{
    const struct mu_agent_config_entry *plan = about->plan;
    struct mu_buf dir = {.max = 8192};

    mu_agent_hook_put(env, "PATH", HOOK_PATH);
    mu_agent_hook_put(env, "MUSTER_EVENT", mu_agent_hook_event_word(about->event));
    mu_agent_hook_put(env, "MUSTER_NAME", about->name);
    mu_agent_hook_put(env, "MUSTER_CA", about->ca != NULL ? about->ca : plan->ca);
    mu_agent_hook_put(env, "MUSTER_PROTOCOL", plan->settings.protocol);
    mu_agent_hook_put(env, "MUSTER_KEY_OWNER", plan->key_owner);
    mu_agent_hook_put(env, "MUSTER_KEY_GROUP", plan->key_group);
    mu_agent_hook_put(env, "MUSTER_KEY_MODE", plan->key_mode);
    if (mu_keystore_path(agent->store, about->name, "", &dir, NULL) == MU_OK) {
        while (dir.n > 1 && dir.p[dir.n - 1] == '/')
            dir.n--;
        put_file(env, "MUSTER_DIR", mu_buf_str(&dir));
    }
    if (about->old_stem != NULL)
        mu_agent_hook_put(env, "MUSTER_OLD_SERIAL", about->old_stem);
    mu_agent_hook_put(env, "MUSTER_TRANSACTION", about->transaction);
    mu_agent_hook_put(env, "MUSTER_TRACE", about->trace);
    mu_buf_clear(&dir);
}

enum mu_code mu_agent_hook_environment(struct mu_agent *agent, const struct mu_agent_hook_about *about,
    struct mu_agent_hook_env *out, struct mu_err *err)
{
    struct mu_keystore_entry entry = {.stem = ""};
    enum mu_code rc = about->stem != NULL && about->stem[0] != '\0'
        ? mu_keystore_load_serial(agent->store, about->name, about->stem, &entry, err)
        : mu_keystore_load(agent->store, about->name, &entry, err);

    if (rc == MU_NOT_FOUND && (about->stem == NULL || about->stem[0] == '\0')) {
        mu_err_clear(err); /* nothing was ever issued: a failed enrollment */
        rc = MU_OK;
    }
    if (rc != MU_OK)
        return rc;
    *out = (struct mu_agent_hook_env){.n = 0};
    put_entry(agent, about, out);
    if (entry.cert != NULL)
        put_certificate(agent, about, &entry, out);
    put_failure(about, out);
    mu_keystore_entry_clear(&entry);
    if (out->failed) {
        mu_agent_hook_env_clear(out);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    }
    return MU_OK;
}

/* ---- what they print ---- */

static const char key_mark[] = "PRIVATE KEY-----";

bool mu_agent_hook_shows_key(struct mu_bytes output)
{
    return output.n > 0 && memmem(output.p, output.n, key_mark, sizeof key_mark - 1) != NULL;
}

void mu_agent_hook_lines(struct mu_bytes output, mu_agent_hook_line_call *call, void *cookie)
{
    bool in_key = false;
    char line[400];

    while (output.n > 0) {
        const uint8_t *end = memchr(output.p, '\n', output.n);
        struct mu_bytes one = mu_bytes(output.p, end != NULL ? (size_t)(end - output.p) : output.n);

        if (mu_agent_hook_shows_key(one)) {
            in_key = memmem(one.p, one.n, "-----BEGIN", 10) != NULL;
            call(cookie, "*");
        } else if (!in_key && one.n > 0) {
            call(cookie, mu_text_escape_to(line, sizeof line, one));
        }
        output = mu_bytes(output.p + one.n + (end != NULL), output.n - one.n - (end != NULL));
    }
}

struct said {
    enum mu_reason code;
    char *sentence;
    size_t size;
};

static void find_said(void *cookie, const char *line)
{
    struct said *said = cookie;
    const char *at = strstr(line, ": M9");
    char *end = NULL;
    unsigned long code = at != NULL ? strtoul(at + 3, &end, 10) : 0;

    if (at == NULL || end != at + 6 || end[0] != ':' || end[1] != ' ' || memchr(line, ' ', (size_t)(at - line)) != NULL)
        return;
    said->code = MU_M((unsigned)code);
    snprintf(said->sentence, said->size, "%s", end + 2);
}

enum mu_reason mu_agent_hook_said(struct mu_bytes output, char *sentence, size_t size)
{
    struct said said = {MU_REASON_NONE, sentence, size};

    mu_agent_hook_lines(output, find_said, &said);
    return said.code;
}

/* ---- the scripts ---- */

enum mu_code mu_agent_hook_check(const char *path, struct mu_err *err)
{
    struct stat st;
    const char *why = NULL;

    if (lstat(path, &st) != 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_M(901), "%s cannot be run: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        why = "it is no regular file";
    else if (st.st_uid != 0 && st.st_uid != geteuid())
        why = "it belongs to somebody else";
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        why = "others may write it";
    else if (access(path, X_OK) != 0)
        why = "it is not executable";
    if (why == NULL)
        return MU_OK;
    mu_err_set(err, MU_DENIED, MU_M(901), "%s is not run: %s", path, why);
    mu_err_next(err, "A hook is an executable file of root (or of the user that the agent runs as) that nobody "
                     "else can write: chmod 755.");
    return MU_DENIED;
}

/* Who may write the directory may put a hook there. Not there: fine, no hooks. */
static enum mu_code check_dir(const char *path, struct mu_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return MU_OK;
    if ((st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return MU_OK;
    mu_err_set(err, MU_DENIED, MU_M(901), "Nothing in %s is run: others may write it", path);
    mu_err_next(err, "chown root %s, chmod 755 %s.", path, path);
    return MU_DENIED;
}

static int is_script(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    /* What editors and packages leave behind is no hook. */
    return e->d_name[0] != '.' && e->d_name[n - 1] != '~' && strchr(e->d_name, '#') == NULL
        && (n < 5 || strcmp(e->d_name + n - 4, ".bak") != 0) && strstr(e->d_name, ".dpkg-") == NULL;
}

enum mu_code mu_agent_hook_each(const struct mu_agent *agent, const char *phase,
    mu_agent_hook_script_call *call, void *cookie, struct mu_buf *warnings, struct mu_err *err)
{
    const char *root = agent->hooks_dir != NULL ? agent->hooks_dir : HOOKS_DIR;
    struct mu_buf path = {.max = 8192};
    struct dirent **list = NULL;
    struct mu_err why = {.code = MU_OK};
    enum mu_code rc = MU_OK;
    int n, i;

    mu_buf_putf(&path, "%s/%s", root, phase);
    if ((rc = check_dir(mu_buf_str(&path), err)) != MU_OK) {
        mu_buf_clear(&path);
        return rc;
    }
    n = scandir(mu_buf_str(&path), &list, is_script, alphasort);
    if (n < 0 && errno != ENOENT && errno != ENOTDIR)
        rc = mu_err_set(err, MU_STORAGE, MU_M(901), "%s cannot be read: %s", mu_buf_str(&path), strerror(errno));
    for (i = 0; i < n; i++) {
        mu_buf_reset(&path);
        mu_buf_putf(&path, "%s/%s/%s", root, phase, list[i]->d_name);
        if (i >= SCRIPTS_MAX)
            mu_buf_putf(warnings, "M901: more than %d scripts in %s/%s\n", SCRIPTS_MAX, root, phase);
        else if (mu_agent_hook_check(mu_buf_str(&path), &why) != MU_OK)
            mu_buf_putf(warnings, "M901: %s\n", why.what);
        else
            call(cookie, mu_buf_str(&path));
        free(list[i]);
    }
    free(list);
    mu_buf_clear(&path);
    return rc;
}

static const char *recipes_dir(const struct mu_agent *agent)
{
#ifdef MU_TEST_BUILD /* other builds take what is installed */
    const char *of_test = getenv("MUSTER_RECIPES");

    if (agent->recipes_dir == NULL && of_test != NULL)
        return of_test;
#endif
    return agent->recipes_dir != NULL ? agent->recipes_dir : MUSTER_RECIPES;
}

static int is_recipe(const struct dirent *e)
{
    return e->d_name[0] != '.' && strchr(e->d_name, '.') == NULL && strchr(e->d_name, '~') == NULL;
}

static enum mu_code no_recipe(const struct mu_agent *agent, struct mu_bytes name, struct mu_err *err)
{
    struct mu_buf known = {.max = 4096};
    struct dirent **list = NULL;
    int n = scandir(recipes_dir(agent), &list, is_recipe, alphasort), i;
    char shown[80];

    for (i = 0; i < n; i++) {
        mu_buf_putf(&known, "%s%s", i > 0 ? ", " : "", list[i]->d_name);
        free(list[i]);
    }
    free(list);
    mu_err_set(err, MU_NOT_FOUND, MU_M(901), "There is no recipe \"%s\" in %s",
        mu_text_escape_to(shown, sizeof shown, name), recipes_dir(agent));
    mu_err_next(err, "Known: %s.", known.n > 0 ? mu_buf_str(&known) : "none");
    mu_buf_clear(&known);
    return MU_NOT_FOUND;
}

enum mu_code mu_agent_hook_recipe(const struct mu_agent *agent, struct mu_bytes name, struct mu_buf *path,
    struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    for (i = 0; i < name.n; i++) {
        char c = (char)name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return no_recipe(agent, name, err);
    }
    mu_buf_putf(path, "%s/%.*s", recipes_dir(agent), (int)name.n, (const char *)name.p);
    if ((rc = mu_buf_check(path, "path of a recipe", err)) != MU_OK)
        return rc;
    if (name.n == 0 || access(mu_buf_str(path), F_OK) != 0)
        return no_recipe(agent, name, err);
    if ((rc = check_dir(recipes_dir(agent), err)) != MU_OK)
        return rc;
    return mu_agent_hook_check(mu_buf_str(path), err);
}
