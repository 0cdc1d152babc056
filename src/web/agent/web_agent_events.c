/*
 * Events: the last of them, or those behind a place; whoever finds none may wait for the next. The log in
 * the store is what all work on, so those of a command by hand are here too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "web/agent/web_agent_internal.h"

enum { LOOK_MS = 1000, DEFAULT_N = 100 };

struct question {
    struct mu_agent_log_filter filter; /* views into the call */
    struct mu_keystore_log_place place;
    int64_t n, wait_s;
    bool lines;
};

struct mu_web_agent_follower {
    struct mu_web_agent_follower *next;
    struct mu_web_agent *web;
    struct mu_kit_call *call;
    struct question q;
    struct mu_loop_timer *timer;
};

static void put_event(
    void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    mu_agent_log_json(cookie, NULL, line);
}

static void put_line(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct mu_buf text = {.max = MU_KEYSTORE_LOG_LINE};

    mu_buf_put_bytes(&text, line);
    mu_agent_json_text(cookie, NULL, mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* The answer to what is there now. *any: is there anything? */
static enum mu_code answer_make(const struct mu_web_agent *web, struct question *q, struct mu_buf *text,
    struct mu_agent_json *j, bool *any, struct mu_err *err)
{
    char place[MU_KEYSTORE_LOG_PLACE];
    enum mu_code rc;

    mu_agent_json_begin(j, text, mu_web_agent_now(web));
    mu_agent_json_open(j, "events", '[');
    rc = mu_agent_log_read(web->agent->store, &q->filter, (size_t)q->n, &q->place,
        q->lines ? put_line : put_event, j, err);
    *any = j->comma;
    mu_agent_json_close(j, ']');
    mu_agent_json_text(j, "place", mu_keystore_log_place_format(&q->place, place));
    return rc;
}

static void follower_free(struct mu_web_agent_follower *f)
{
    struct mu_web_agent_follower **p = &f->web->followers;

    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
    f->web->follower_n--;
    mu_loop_timer_free(f->web->agent->loop, f->timer);
    free(f);
}

/* Answers if there is something, or if it must be now. */
static void follower_look(struct mu_web_agent_follower *f, bool must)
{
    struct mu_buf text = {.max = MU_WEB_AGENT_ANSWER};
    struct mu_agent_json j;
    struct mu_err err = {0};
    bool any = false;
    enum mu_code rc = answer_make(f->web, &f->q, &text, &j, &any, &err);

    if (rc != MU_OK || any || must) {
        if (rc != MU_OK)
            mu_kit_call_fail(f->call, &err);
        else
            mu_web_agent_answer(f->call, &j);
        follower_free(f);
    }
    mu_buf_clear(&text);
}

static void on_time(void *cookie)
{
    follower_look(cookie, true);
}

void mu_web_agent_happened(struct mu_web_agent *web)
{
    struct mu_web_agent_follower *f, *next;

    for (f = web->followers; f != NULL; f = next) {
        next = f->next;
        if (mu_keystore_log_grew(web->agent->store, &f->q.place))
            follower_look(f, false);
    }
}

/* Other processes write events too. */
static void on_look(void *cookie)
{
    struct mu_web_agent *web = cookie;

    mu_loop_timer_free(web->agent->loop, web->look);
    web->look = NULL;
    mu_web_agent_happened(web);
    if (web->followers != NULL)
        web->look = mu_loop_after(web->agent->loop, LOOK_MS, on_look, web);
}

/* ---- the question ---- */

/* A point in time, or a duration back from now. */
static enum mu_code since_read(
    const struct mu_web_agent *web, const char *text, int64_t *out, struct mu_err *err)
{
    int64_t back_s;
    enum mu_code rc;

    if (text == NULL || mu_time_parse_rfc3339(text, out))
        return MU_OK;
    if ((rc = mu_text_duration(text, &back_s, err)) == MU_OK)
        *out = mu_web_agent_now(web) - back_s;
    return rc;
}

static enum mu_code question_read(struct mu_kit_call *call, struct question *q, struct mu_err *err)
{
    const struct {
        const char *key;
        const char **to;
    } words[] = {{"name", &q->filter.name}, {"action", &q->filter.action},
        {"subtype", &q->filter.subtype}, {"level", &q->filter.level}, {"status", &q->filter.status}};
    const char *after = NULL, *since = NULL;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < sizeof words / sizeof words[0]; i++)
        rc = mu_kit_json_text(call->in, words[i].key, false, words[i].to, err);
    if (rc != MU_OK || (rc = mu_kit_json_text(call->in, "after", false, &after, err)) != MU_OK
        || (rc = mu_kit_json_text(call->in, "since", false, &since, err)) != MU_OK
        || (rc = since_read(call->context, since, &q->filter.since_s, err)) != MU_OK)
        return rc;
    if (after != NULL && !mu_keystore_log_place_parse(after, &q->place))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: 'after' is no place in the log");
    q->n = after != NULL ? 0 : DEFAULT_N;
    if ((rc = mu_kit_json_int(call->in, "n", 0, INT32_MAX, &q->n, err)) != MU_OK
        || (rc = mu_kit_json_bool(call->in, "lines", &q->lines, err)) != MU_OK)
        return rc;
    return mu_kit_json_int(call->in, "wait", 0, MU_WEB_AGENT_WAIT_S, &q->wait_s, err);
}

static enum mu_code follower_new(struct mu_kit_call *call, const struct question *q, struct mu_err *err)
{
    struct mu_web_agent *web = call->context;
    struct mu_web_agent_follower *f;

    if (web->follower_n == MU_WEB_AGENT_FOLLOWERS)
        return mu_err_set(err, MU_BUSY, MU_REASON_NONE,
            "request: %d wait for events already, ask without 'wait'", MU_WEB_AGENT_FOLLOWERS);
    if ((f = calloc(1, sizeof *f)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    *f = (struct mu_web_agent_follower){.web = web, .call = call, .q = *q, .next = web->followers};
    f->timer = mu_loop_after(web->agent->loop, q->wait_s * 1000, on_time, f);
    if (f->timer == NULL) {
        free(f);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    }
    web->followers = f;
    web->follower_n++;
    if (web->look == NULL)
        web->look = mu_loop_after(web->agent->loop, LOOK_MS, on_look, web);
    return MU_OK;
}

void mu_web_agent_events(struct mu_kit_call *call)
{
    static const char *const known[] = {
        "n", "after", "wait", "name", "action", "subtype", "level", "status", "since", "lines",
        NULL};
    struct mu_buf text = {.max = MU_WEB_AGENT_ANSWER};
    struct question q = {0};
    struct mu_agent_json j;
    struct mu_err err = {0};
    bool any = false;
    enum mu_code rc;

    if (!mu_web_agent_takes(call, known))
        return;
    if ((rc = question_read(call, &q, &err)) == MU_OK)
        rc = answer_make(call->context, &q, &text, &j, &any, &err);
    if (rc == MU_OK && !any && q.wait_s > 0)
        rc = follower_new(call, &q, &err);
    else if (rc == MU_OK)
        mu_web_agent_answer(call, &j);
    if (rc != MU_OK)
        mu_kit_call_fail(call, &err);
    mu_buf_clear(&text);
}

void mu_web_agent_events_end(struct mu_web_agent *web)
{
    while (web->followers != NULL)
        follower_look(web->followers, true);
    mu_loop_timer_free(web->agent->loop, web->look);
    web->look = NULL;
}
