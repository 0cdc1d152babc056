/* The table of requests, and those that need no file of their own. */
#include "web/agent/web_agent.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "web/agent/web_agent_internal.h"

int64_t mu_web_agent_now(const struct mu_web_agent *web)
{
    return mu_env_now(web->agent->env);
}

bool mu_web_agent_takes(struct mu_kit_call *call, const char *const *known)
{
    struct mu_err err = {0};

    if (mu_kit_json_check(call->in, known, &err) == MU_OK)
        return true;
    mu_kit_call_fail(call, &err);
    return false;
}

void mu_web_agent_answer(struct mu_kit_call *call, struct mu_agent_json *j)
{
    mu_agent_json_close(j, '}');
    mu_buf_put_byte(j->out, '\n');
    mu_kit_call_answer_text(call, "application/json", j->out);
}

/* ---- status ---- */

static void count(void *cookie, const char *name)
{
    ++*(int64_t *)cookie;
}

static void fault_json(struct mu_agent_json *j, const struct mu_err *err)
{
    char code[8];

    if (err == NULL) {
        mu_agent_json_null(j, "fault");
        return;
    }
    mu_agent_json_open(j, "fault", '{');
    mu_err_code_text(err, code);
    mu_agent_json_text(j, "code", code[0] != '\0' ? code : NULL);
    mu_agent_json_text(j, "what", err->what);
    mu_agent_json_text(j, "likely", mu_err_likely_text(err));
    mu_agent_json_text(j, "do", mu_err_next_text(err));
    mu_agent_json_close(j, '}');
}

static void status_json(const struct mu_web_agent *web, struct mu_agent_json *j)
{
    struct mu_web_agent_status s = {0};
    int64_t certificates = 0;
    struct mu_err err = {0};

    web->host.on_status(web->host.ctx, &s);
    if (mu_agent_entry_each(web->agent, count, &certificates, &err) != MU_OK && s.fault == NULL)
        s.fault = &err;
    mu_agent_json_open(j, "agent", '{');
    mu_agent_json_text(j, "version", MUSTER_VERSION);
    mu_agent_json_int(j, "pid", s.pid);
    mu_agent_json_int(j, "uid", s.uid);
    mu_agent_json_time(j, "started", s.started_s);
    mu_agent_json_text(j, "store", mu_keystore_root(web->agent->store));
    mu_agent_json_text(j, "config", s.config);
    mu_agent_json_time(j, "reloaded", s.reloaded_s);
    mu_agent_json_text(j, "socket", s.socket);
    mu_agent_json_text(j, "metrics", s.metrics);
    mu_agent_json_text(j, "notify", s.notify);
    mu_agent_json_int(j, "clock_shift", mu_env_system_shift());
    mu_agent_json_int(j, "certificates", certificates);
    mu_agent_json_int(j, "jobs", s.jobs);
    mu_agent_json_int(j, "unseen", s.unseen);
    mu_agent_json_time(j, "next", s.next_s);
    mu_agent_json_text(j, "restart", s.restart);
    fault_json(j, s.fault);
    mu_agent_json_close(j, '}');
}

static void status(struct mu_kit_call *call)
{
    static const char *const known[] = {NULL};
    const struct mu_web_agent *web = call->context;
    struct mu_buf text = {0};
    struct mu_agent_json j;

    if (!mu_web_agent_takes(call, known))
        return;
    mu_agent_json_begin(&j, &text, mu_web_agent_now(web));
    status_json(web, &j);
    mu_web_agent_answer(call, &j);
    mu_buf_clear(&text);
}

/* ---- wishes ---- */

static const char *wish_word(enum mu_agent_watch_wish wish)
{
    switch (wish) {
    case MU_AGENT_WISH_RENEW: return "renew";
    case MU_AGENT_WISH_RENEW_FORCE: return "renew --force";
    case MU_AGENT_WISH_REGENERATE: return "regenerate";
    case MU_AGENT_WISH_REKEY: return "regenerate --rekey";
    case MU_AGENT_WISH_POLL: return "poll";
    case MU_AGENT_WISH_CANCEL: return "cancel";
    case MU_AGENT_WISH_DEPLOY: return "deploy";
    case MU_AGENT_WISH_VERIFY: return "deploy --verify";
    }
    return "";
}

/* The place in the log is that of before, so that who follows from there misses nothing. */
static void place_json(const struct mu_web_agent *web, struct mu_agent_json *j)
{
    const struct mu_agent_log_filter none = {.name = ""};
    struct mu_keystore_log_place place = {0};
    char text[MU_KEYSTORE_LOG_PLACE];

    if (mu_agent_log_read(web->agent->store, &none, 0, &place, NULL, NULL, NULL) == MU_OK)
        mu_agent_json_text(j, "place", mu_keystore_log_place_format(&place, text));
    else
        mu_agent_json_null(j, "place");
}

static void wish(struct mu_kit_call *call, enum mu_agent_watch_wish what)
{
    const struct mu_web_agent *web = call->context;
    struct mu_buf text = {0};
    struct mu_agent_json j;
    struct mu_err err = {0};

    mu_agent_json_begin(&j, &text, mu_web_agent_now(web));
    mu_agent_json_text(&j, "name", call->arg);
    mu_agent_json_text(&j, "wish", wish_word(what));
    place_json(web, &j);
    if (!mu_text_is_entry_name(call->arg)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "request: that is no name of a certificate");
        mu_kit_call_fail(call, &err);
    } else if (web->host.on_wish(web->host.ctx, call->arg, what, &err) != MU_OK) {
        mu_kit_call_fail(call, &err);
    } else {
        mu_web_agent_answer(call, &j);
    }
    mu_buf_clear(&text);
}

static void plain_wish(struct mu_kit_call *call, enum mu_agent_watch_wish what)
{
    static const char *const known[] = {NULL};

    if (mu_web_agent_takes(call, known))
        wish(call, what);
}

static bool flag(struct mu_kit_call *call, const char *key, bool *out)
{
    struct mu_err err = {0};

    if (mu_kit_json_bool(call->in, key, out, &err) == MU_OK)
        return true;
    mu_kit_call_fail(call, &err);
    return false;
}

static void renew(struct mu_kit_call *call)
{
    static const char *const known[] = {"force", NULL};
    bool force = false;

    if (mu_web_agent_takes(call, known) && flag(call, "force", &force))
        wish(call, force ? MU_AGENT_WISH_RENEW_FORCE : MU_AGENT_WISH_RENEW);
}

static void regenerate(struct mu_kit_call *call)
{
    static const char *const known[] = {"rekey", NULL};
    bool rekey = false;

    if (mu_web_agent_takes(call, known) && flag(call, "rekey", &rekey))
        wish(call, rekey ? MU_AGENT_WISH_REKEY : MU_AGENT_WISH_REGENERATE);
}

static void poll(struct mu_kit_call *call)
{
    plain_wish(call, MU_AGENT_WISH_POLL);
}

static void cancel(struct mu_kit_call *call)
{
    plain_wish(call, MU_AGENT_WISH_CANCEL);
}

static void deploy(struct mu_kit_call *call)
{
    plain_wish(call, MU_AGENT_WISH_DEPLOY);
}

static void verify(struct mu_kit_call *call)
{
    plain_wish(call, MU_AGENT_WISH_VERIFY);
}

/* ---- the rest ---- */

static void reload(struct mu_kit_call *call)
{
    static const char *const known[] = {NULL};
    const struct mu_web_agent *web = call->context;
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    if (web->host.on_reload(web->host.ctx, &err) != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        status(call);
}

static void touch(struct mu_kit_call *call)
{
    static const char *const known[] = {"name", NULL};
    struct mu_web_agent *web = call->context;
    const char *name = NULL;
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    if (mu_kit_json_text(call->in, "name", false, &name, &err) != MU_OK) {
        mu_kit_call_fail(call, &err);
        return;
    }
    if (name != NULL && !mu_text_is_entry_name(name)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "request: that is no name of a certificate");
        mu_kit_call_fail(call, &err);
        return;
    }
    web->host.on_touch(web->host.ctx, name);
    mu_kit_call_answer(call, json_object());
    mu_web_agent_happened(web);
}

static void metrics(struct mu_kit_call *call)
{
    static const char *const known[] = {NULL};
    const struct mu_web_agent *web = call->context;
    struct mu_buf text = {.max = MU_WEB_AGENT_ANSWER};
    struct mu_err err = {0};

    if (!mu_web_agent_takes(call, known))
        return;
    if (web->host.on_metrics(web->host.ctx, &text, &err) != MU_OK)
        mu_kit_call_fail(call, &err);
    else
        mu_kit_call_answer_text(call, "text/plain; version=0.0.4", &text);
    mu_buf_clear(&text);
}

static const struct mu_kit_route routes[] = {
    {"GET", "/v1/status", status},
    {"GET", "/v1/certificates", mu_web_agent_certs_list},
    {"GET", "/v1/certificates/{}", mu_web_agent_certs_show},
    {"POST", "/v1/certificates/{}/renew", renew},
    {"POST", "/v1/certificates/{}/regenerate", regenerate},
    {"POST", "/v1/certificates/{}/poll", poll},
    {"POST", "/v1/certificates/{}/cancel", cancel},
    {"POST", "/v1/certificates/{}/deploy", deploy},
    {"POST", "/v1/certificates/{}/verify", verify},
    {"GET", "/v1/events", mu_web_agent_events},
    {"GET", "/v1/traces", mu_web_agent_traces},
    {"GET", "/v1/metrics", metrics},
    {"POST", "/v1/reload", reload},
    {"POST", "/v1/touch", touch},
    {NULL, NULL, NULL},
};

enum mu_code mu_web_agent_new(struct mu_agent *agent, const struct mu_web_agent_host *host,
    int64_t owner_uid, const char *readers, struct mu_web_agent **out, struct mu_err *err)
{
    struct mu_web_agent *web = calloc(1, sizeof *web);

    if (web == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    web->agent = agent;
    web->host = *host;
    web->router = (struct mu_kit_router){
        .routes = routes, .context = web, .owner_uid = owner_uid, .readers = readers};
    *out = web;
    return MU_OK;
}

void mu_web_agent_free(struct mu_web_agent *web)
{
    if (web == NULL)
        return;
    mu_web_agent_certs_end(web);
    mu_web_agent_events_end(web);
    free(web);
}

const struct mu_kit_router *mu_web_agent_router(const struct mu_web_agent *web)
{
    return &web->router;
}
