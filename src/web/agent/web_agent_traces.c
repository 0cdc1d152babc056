/* Traces: the names of all that are kept, or the lines of those asked for. */
#include "agent/agent_trace.h"
#include "web/agent/web_agent_internal.h"

struct telling {
    const struct mu_web_agent *web;
    struct mu_agent_json *j;
    bool names_only;
};

static void trace_put(void *cookie, const char *name)
{
    const struct telling *t = cookie;

    if (t->names_only)
        mu_agent_json_text(t->j, NULL, name);
    else if (mu_agent_trace_json(t->web->agent->store, name, t->j, NULL) != MU_OK)
        return; /* it fell out of the ring meanwhile */
}

void mu_web_agent_traces(struct mu_kit_call *call)
{
    static const char *const known[] = {"word", "id", "last", NULL};
    const struct mu_web_agent *web = call->context;
    struct mu_agent_trace_choice choice = {.word = NULL};
    struct mu_buf text = {.max = MU_WEB_AGENT_ANSWER};
    struct mu_agent_json j;
    struct telling t = {web, &j, false};
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    mu_agent_json_begin(&j, &text, mu_web_agent_now(web));
    mu_agent_json_open(&j, "traces", '[');
    if (mu_kit_json_text(call->in, "word", false, &choice.word, &err) != MU_OK
        || mu_kit_json_text(call->in, "id", false, &choice.id, &err) != MU_OK
        || mu_kit_json_bool(call->in, "last", &choice.last, &err) != MU_OK
        || (t.names_only = choice.word == NULL && choice.id == NULL && !choice.last,
            mu_agent_trace_each(web->agent->store, &choice, trace_put, &t, &err) != MU_OK)) {
        mu_kit_call_fail(call, &err);
    } else {
        mu_agent_json_close(&j, ']');
        mu_web_agent_answer(call, &j);
    }
    mu_buf_clear(&text);
}
