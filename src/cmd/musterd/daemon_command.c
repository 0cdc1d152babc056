/* Events handed to a program. */
#include "cmd/musterd/daemon_command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { WAITING_MAX = 256, OUTPUT_MAX = 4096 };

/* NAME=value, each with its NUL; an empty one behind the last. */
struct waiting {
    struct waiting *next;
    struct mu_buf env;
};

struct mu_daemon_command {
    char *path, *user;
    int64_t limit_ms;
    struct mu_loop *loop;
    struct mu_loop_child *child;
    struct waiting *first, **last;
    unsigned waiting_n;
    bool dropped; /* told once until one is taken again */
};

void mu_daemon_command_key(char *out, size_t size, enum mu_agent_event_field field)
{
    size_t n = strlen(out);

    for (const char *p = mu_agent_event_field_name(field); *p != '\0' && n + 1 < size; p++)
        out[n++] = (char)toupper((unsigned char)*p);
    out[n] = '\0';
}

enum mu_code mu_daemon_command_new(const char *path, const struct mu_agent_config_agent *conf,
    struct mu_loop *loop, struct mu_daemon_command **out, struct mu_err *err)
{
    struct mu_daemon_command *c = calloc(1, sizeof *c);
    enum mu_code rc;

    if (c == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    c->loop = loop;
    c->last = &c->first;
    c->limit_ms = conf->hook_timeout_s * 1000;
    if ((rc = mu_text_dup(path, &c->path, err)) != MU_OK
        || (conf->hook_user != NULL && geteuid() == 0
            && (rc = mu_text_dup(conf->hook_user, &c->user, err)) != MU_OK)) {
        mu_daemon_command_free(c);
        return rc;
    }
    *out = c;
    return MU_OK;
}

static void waiting_free(struct waiting *w)
{
    mu_buf_clear(&w->env);
    free(w);
}

void mu_daemon_command_free(struct mu_daemon_command *c)
{
    struct waiting *w, *next;

    if (c == NULL)
        return;
    mu_loop_child_free(c->loop, c->child);
    for (w = c->first; w != NULL; w = next) {
        next = w->next;
        waiting_free(w);
    }
    free(c->path);
    free(c->user);
    free(c);
}

static void run_next(struct mu_daemon_command *c);

static void on_exit_of(void *cookie, const struct mu_loop_exit *exit)
{
    struct mu_daemon_command *c = cookie;
    char shown[200];

    if (exit->exit_code != 0)
        mu_daemon_log_line(MU_DAEMON_WARNING, "notify", "%s %s%d%s%s", c->path,
            exit->is_late ? "did not end in time, signal " : exit->exit_code < 0 ? "ended by signal " : "ended with ",
            exit->exit_code < 0 ? exit->signal : exit->exit_code, exit->last_line[0] != '\0' ? ": " : "",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(exit->last_line)));
    mu_loop_child_free(c->loop, c->child);
    c->child = NULL;
    run_next(c);
}

static void run_next(struct mu_daemon_command *c)
{
    const char *argv[] = {c->path, NULL}, *env[MU_AGENT_EVENT_FIELDS + 3];
    struct mu_loop_spawn spawn = {.argv = argv,
        .env = env,
        .cwd = "/",
        .user = c->user,
        .limit_ms = c->limit_ms,
        .output_max = OUTPUT_MAX};
    struct waiting *w = c->first;
    struct mu_err err = {0};
    size_t n = 0;

    if (w == NULL || c->child != NULL)
        return;
    c->first = w->next;
    if (c->first == NULL)
        c->last = &c->first;
    c->waiting_n--;
    for (const char *p = mu_buf_str(&w->env); *p != '\0' && n + 1 < sizeof env / sizeof env[0]; p += strlen(p) + 1)
        env[n++] = p;
    env[n] = NULL;
    if (mu_loop_spawn(c->loop, &spawn, on_exit_of, c, &c->child, &err) != MU_OK)
        mu_daemon_log_error("notify", &err); /* the next one may do better */
    waiting_free(w);
}

static void put_env(struct mu_buf *env, const struct mu_daemon_record *record)
{
    mu_buf_put_str(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    mu_buf_put_byte(env, '\0');
    for (int i = 0; i < MU_AGENT_EVENT_FIELDS; i++) {
        char key[40] = "MUSTER_";

        if (record->row->field[i] == NULL)
            continue;
        mu_daemon_command_key(key, sizeof key, (enum mu_agent_event_field)i);
        mu_buf_putf(env, "%s=%s", key, record->row->field[i]);
        mu_buf_put_byte(env, '\0');
    }
    mu_buf_putf(env, "MUSTER_LINE=%s", record->line);
    mu_buf_put_byte(env, '\0');
}

/* What the agent says of itself is not for it: a line about this very program would run it again. */
void mu_daemon_command_put(struct mu_daemon_command *c, const struct mu_daemon_record *record)
{
    struct waiting *w;

    if (record->row->field[MU_AGENT_EVENT_NAME] == NULL)
        return;
    if (c->waiting_n == WAITING_MAX || (w = calloc(1, sizeof *w)) == NULL) {
        if (!c->dropped)
            mu_daemon_log_line(
                MU_DAEMON_WARNING, "notify", "%s is too slow: events are not handed to it", c->path);
        c->dropped = true;
        return;
    }
    c->dropped = false;
    w->env.max = 64 * 1024;
    put_env(&w->env, record);
    *c->last = w;
    c->last = &w->next;
    c->waiting_n++;
    run_next(c);
}
