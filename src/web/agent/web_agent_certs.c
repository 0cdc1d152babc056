/*
 * Certificates. A long list is made in slices from the loop: reading one takes a tenth of a millisecond and
 * more, and renewals must not wait for ten thousand of them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "web/agent/web_agent_internal.h"

struct mu_web_agent_list {
    struct mu_web_agent_list *next;
    struct mu_web_agent *web;
    struct mu_kit_call *call;
    struct mu_buf names; /* each with its NUL */
    size_t at;
    int64_t left;        /* of limit */
    struct mu_buf text;
    struct mu_agent_json j;
    struct mu_loop_timer *timer;
};

static void list_free(struct mu_web_agent_list *l)
{
    struct mu_web_agent_list **p = &l->web->lists;

    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
    l->web->list_n--;
    mu_loop_timer_free(l->web->agent->loop, l->timer);
    mu_buf_clear(&l->names);
    mu_buf_clear(&l->text);
    free(l);
}

static void list_done(struct mu_web_agent_list *l, const char *next)
{
    mu_agent_json_close(&l->j, ']');
    mu_agent_json_text(&l->j, "next", next);
    mu_web_agent_answer(l->call, &l->j);
    list_free(l);
}

static void list_slice(void *cookie)
{
    struct mu_web_agent_list *l = cookie;
    struct mu_web_agent *web = l->web;
    const char *last = NULL;

    for (int i = 0; i < MU_WEB_AGENT_SLICE && l->at < l->names.n && l->left > 0; i++, l->left--) {
        struct mu_agent_facts facts = {0};

        last = (const char *)l->names.p + l->at;
        l->at += strlen(last) + 1;
        mu_agent_show_or_failed(web->agent, last, &facts);
        mu_agent_json_facts(&l->j, NULL, &facts, mu_web_agent_now(web));
        mu_agent_facts_clear(&facts);
    }
    if (l->at == l->names.n || l->left == 0) {
        list_done(l, l->at < l->names.n ? last : NULL);
        return;
    }
    mu_loop_timer_free(web->agent->loop, l->timer);
    l->timer = mu_loop_after(web->agent->loop, 0, list_slice, l);
    if (l->timer == NULL) { /* no memory: what there is of it would pass for all */
        struct mu_err err = {0};

        mu_err_set(&err, MU_MEMORY, MU_REASON_NONE, "out of memory");
        mu_kit_call_fail(l->call, &err);
        list_free(l);
    }
}

struct behind {
    struct mu_buf *names;
    const char *after;
};

static void collect(void *cookie, const char *name)
{
    const struct behind *b = cookie;

    if (b->after == NULL || strcmp(name, b->after) > 0)
        mu_buf_put(b->names, name, strlen(name) + 1);
}

static enum mu_code list_new(struct mu_kit_call *call, struct mu_web_agent_list **out, struct mu_err *err)
{
    struct mu_web_agent *web = call->context;
    struct mu_web_agent_list *l;
    struct behind b = {0};
    enum mu_code rc;

    if (web->list_n == MU_WEB_AGENT_LISTS)
        return mu_err_set(
            err, MU_BUSY, MU_REASON_NONE, "request: too many lists are being made, ask again");
    if ((l = calloc(1, sizeof *l)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    l->web = web;
    l->call = call;
    l->left = INT64_MAX;
    l->next = web->lists;
    web->lists = l;
    web->list_n++;
    mu_buf_init(&l->names, MU_WEB_AGENT_ANSWER);
    mu_buf_init(&l->text, MU_WEB_AGENT_ANSWER);
    b.names = &l->names;
    if ((rc = mu_kit_json_int(call->in, "limit", 1, INT64_MAX, &l->left, err)) != MU_OK
        || (rc = mu_kit_json_text(call->in, "after", false, &b.after, err)) != MU_OK
        || (rc = mu_agent_entry_each(web->agent, collect, &b, err)) != MU_OK
        || (rc = mu_buf_check(&l->names, "names", err)) != MU_OK) {
        list_free(l);
        return rc;
    }
    *out = l;
    return MU_OK;
}

void mu_web_agent_certs_list(struct mu_kit_call *call)
{
    static const char *const known[] = {"after", "limit", NULL};
    struct mu_web_agent_list *l = NULL;
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    if (list_new(call, &l, &err) != MU_OK) {
        mu_kit_call_fail(call, &err);
        return;
    }
    mu_agent_json_begin(&l->j, &l->text, mu_web_agent_now(l->web));
    mu_agent_json_open(&l->j, "certificates", '[');
    list_slice(l);
}

void mu_web_agent_certs_show(struct mu_kit_call *call)
{
    static const char *const known[] = {NULL};
    const struct mu_web_agent *web = call->context;
    struct mu_agent_facts facts = {0};
    struct mu_buf text = {0};
    struct mu_agent_json j;
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    if (mu_agent_show(web->agent, call->arg, &facts, &err) != MU_OK) {
        mu_kit_call_fail(call, &err);
        return;
    }
    mu_agent_json_begin(&j, &text, mu_web_agent_now(web));
    mu_agent_json_open(&j, "certificates", '[');
    mu_agent_json_facts(&j, NULL, &facts, mu_web_agent_now(web));
    mu_agent_json_close(&j, ']');
    mu_web_agent_answer(call, &j);
    mu_agent_facts_clear(&facts);
    mu_buf_clear(&text);
}

void mu_web_agent_certs_end(struct mu_web_agent *web)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_BUSY, MU_REASON_NONE, "the agent stops");
    while (web->lists != NULL) {
        mu_kit_call_fail(web->lists->call, &err);
        list_free(web->lists);
    }
}
