/* Lines of a job's exchange on their way into the store. */
#include "agent/agent_trace.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/agent.h"
#include "agent/agent_json.h"
#include "base/text.h"
#include "base/time.h"

enum { FLUSH_AT = 8 * 1024, LINES_MAX = 512 * 1024 };

static int64_t now(void *ctx)
{
    const struct mu_agent_trace *trace = ctx;

    return mu_env_now(trace->outer);
}

static bool draw(void *ctx, uint8_t *p, size_t n)
{
    const struct mu_agent_trace *trace = ctx;

    return trace->outer->random(trace->outer->ctx, p, n);
}

static void take(void *ctx, const struct mu_trace_event *event)
{
    struct mu_agent_trace *trace = ctx;
    const char *proto = mu_proto_name(event->proto);
    char time[MU_TIME_TEXT];

    if (trace->outer->trace != NULL)
        trace->outer->trace(trace->outer->ctx, event);
    if (trace->max == 0)
        return;
    mu_buf_putf(&trace->lines, "%s %s %s%s%s: %s\n", mu_time_rfc3339(now(trace), time), trace->entry, proto,
        proto[0] != '\0' ? " " : "", mu_trace_step_name(event->step), event->text);
    if (trace->lines.n >= FLUSH_AT)
        mu_agent_trace_flush(trace);
}

void mu_agent_trace_init(struct mu_agent_trace *trace, const struct mu_agent *agent, const char *entry)
{
    *trace = (struct mu_agent_trace){.outer = agent->env, .store = agent->store, .lines.max = LINES_MAX};
    if (entry != NULL && agent->keeps_traces)
        trace->max = mu_agent_config_agent(agent->config)->trace_size;
    snprintf(trace->entry, sizeof(trace->entry), "%s", entry != NULL ? entry : "");
    trace->env = (struct mu_env){.now = now, .random = draw, .ctx = trace,
        .trace = trace->max > 0 || agent->env->trace != NULL ? take : NULL};
}

void mu_agent_trace_resume(struct mu_agent_trace *trace, const char *name)
{
    if (trace->max > 0 && mu_keystore_trace_is_name(name, trace->entry))
        snprintf(trace->name, sizeof(trace->name), "%s", name);
}

void mu_agent_trace_flush(struct mu_agent_trace *trace)
{
    char name[MU_KEYSTORE_TRACE];

    if (trace->lines.n == 0)
        return;
    if (trace->name[0] == '\0'
        && mu_keystore_trace_new(trace->store, trace->entry, now(trace), name, NULL) == MU_OK)
        memcpy(trace->name, name, sizeof(name));
    if (trace->name[0] != '\0'
        && mu_keystore_trace_append(trace->store, trace->name, mu_buf_bytes(&trace->lines), NULL) != MU_OK)
        mu_buf_reset(&trace->lines); /* the disk is full, or not ours: the lines are lost */
    mu_buf_clear(&trace->lines);
}

void mu_agent_trace_end(struct mu_agent_trace *trace)
{
    int64_t max = trace->max;

    mu_agent_trace_flush(trace);
    trace->max = 0; /* the result closes it */
    if (trace->name[0] != '\0' && mu_keystore_trace_prune(trace->store, max, NULL) != MU_OK)
        return; /* tried again after the next exchange */
}

void mu_agent_trace_clear(struct mu_agent_trace *trace)
{
    mu_agent_trace_flush(trace);
}

/* ---- for those who look ---- */

bool mu_agent_trace_has(struct mu_bytes text, const char *transaction)
{
    static const char words[] = "transaction id: ";
    const char *at = (const char *)text.p;
    size_t left = text.n, n = strlen(transaction);

    while (left > 0 && (at = memmem(at, left, words, sizeof(words) - 1)) != NULL) {
        at += sizeof(words) - 1;
        left = (size_t)((const char *)text.p + text.n - at);
        if (left > n && strncasecmp(at, transaction, n) == 0 && strchr(",\n ", at[n]) != NULL)
            return true;
    }
    return false;
}

struct choosing {
    struct mu_keystore *store;
    const struct mu_agent_trace_choice *choice;
    const char *id;
    mu_keystore_each_call *call;
    void *cookie;
    char last[MU_KEYSTORE_TRACE];
    size_t n;
};

static void choose(void *cookie, const char *name)
{
    struct choosing *c = cookie;
    struct mu_buf text = {.max = MU_KEYSTORE_TRACE_FILE};
    bool fits = c->id == NULL
        || (mu_keystore_trace_read(c->store, name, 0, &text, NULL) == MU_OK
            && mu_agent_trace_has(mu_buf_bytes(&text), c->id));

    mu_buf_clear(&text);
    if (!fits)
        return;
    c->n++;
    snprintf(c->last, sizeof(c->last), "%s", name);
    if (!c->choice->last)
        c->call(c->cookie, name);
}

static void count(void *cookie, const char *name)
{
    (void)name;
    ++*(size_t *)cookie;
}

/* A word is first of all a certificate's name. */
static bool is_entry(struct mu_keystore *store, const char *word)
{
    size_t n = 0;

    return mu_text_is_entry_name(word)
        && (mu_keystore_has(store, MU_KEYSTORE_STATE, word, "life")
            || (mu_keystore_trace_each(store, word, count, &n, NULL) == MU_OK && n > 0));
}

enum mu_code mu_agent_trace_each(struct mu_keystore *store, const struct mu_agent_trace_choice *choice,
    mu_keystore_each_call *call, void *cookie, struct mu_err *err)
{
    struct choosing c = {.store = store, .choice = choice, .id = choice->id, .call = call, .cookie = cookie};
    const char *entry = NULL;
    char shown[160] = "";
    enum mu_code rc;

    if (choice->word != NULL && is_entry(store, choice->word))
        entry = choice->word;
    else if (choice->word != NULL && !mu_keystore_trace_is_name(choice->word, NULL))
        c.id = choice->word;
    if (choice->word != NULL && entry == NULL && c.id == choice->id) {
        struct mu_buf text = {.max = MU_KEYSTORE_TRACE_FILE};

        rc = mu_keystore_trace_read(store, choice->word, 0, &text, NULL);
        mu_buf_clear(&text);
        if (rc == MU_OK)
            choose(&c, choice->word);
    } else {
        rc = mu_keystore_trace_each(store, entry, choose, &c, err);
        if (rc != MU_OK)
            return rc;
    }
    if (c.n > 0 && choice->last)
        call(cookie, c.last);
    if (c.n > 0)
        return MU_OK;
    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(c.id != NULL ? c.id : choice->word != NULL ? choice->word : ""));
    mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, shown[0] != '\0' ? "no trace of %s is kept" : "no trace is kept%s", shown);
    mu_err_next(err, "Name a certificate, a transaction id or a trace that 'muster trace' lists; the oldest go when all together "
                     "pass trace-size");
    return MU_NOT_FOUND;
}

enum mu_code mu_agent_trace_json(
    struct mu_keystore *store, const char *name, struct mu_agent_json *j, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_KEYSTORE_TRACE_FILE};
    enum mu_code rc = mu_keystore_trace_read(store, name, 0, &text, err);

    if (rc == MU_OK) {
        mu_agent_json_open(j, NULL, '{');
        mu_agent_json_text(j, "trace", name);
        mu_agent_json_list(j, "lines", mu_buf_str(&text), "\n");
        mu_agent_json_close(j, '}');
    }
    mu_buf_clear(&text);
    return rc;
}
