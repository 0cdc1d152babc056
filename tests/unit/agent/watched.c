#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[MU_AGENT_EVENT_KINDS] = {"LOADED", "SIGNED", "CONNECT_FAILED",
    "SIGN_FAILED", "WARNING", "PENDING", "HELD", "CLOCK", "DEPLOYED", "DEPLOY_FAILED", "STALE",
    "CA_CHANGED", "EXPIRED"};

static void on_event(void *cookie, const struct mu_agent_event *event)
{
    struct watched *t = cookie;

    /* what is told has its numbers: '<l>' is for the catalog */
    if ((event->reason != NULL && strchr(event->reason, '<') != NULL)
        || (event->hint != NULL && strchr(event->hint, '<') != NULL))
        fail_msg("%s: %s (%s)", kinds[event->kind], event->reason, event->hint);
    if (event->reason != NULL && event->code != MU_REASON_NONE)
        mu_buf_putf(&t->said, "M%d %s. %s\n", (int)event->code, event->reason,
            event->hint != NULL ? event->hint : "");
    mu_buf_putf(&t->events, "%s %s M%d %d\n", kinds[event->kind],
        event->name != NULL ? event->name : "-", (int)event->code, event->days);
}

static void on_job(void *listener, const char *name, const struct mu_agent_outcome *outcome,
    const struct mu_err *err)
{
    struct watched *t = listener;

    (void)name;
    (void)outcome;
    t->jobs++;
    t->failures += err != NULL;
}

static void on_note(void *listener, const char *name, const struct mu_err *err)
{
    struct watched *t = listener;

    mu_buf_putf(&t->notes, "%s: M%d %s\n", name != NULL ? name : "-", (int)err->reason, err->what);
}

/* ---- deployment ---- */

struct mu_agent_deploy {
    struct watched *t;
    struct mu_agent_deploy_host host;
    struct mu_loop_timer *timer;
    bool ok;
};

static void deploy_end(void *cookie)
{
    struct mu_agent_deploy *d = cookie;
    const struct mu_agent_deploy_outcome outcome = {.ok = d->ok};

    mu_loop_timer_free(d->t->w->loop, d->timer);
    d->host.on_done(d->host.ctx, &outcome, NULL);
    free(d);
}

static enum mu_code deploy_start(struct mu_agent *agent, const struct mu_agent_deploy_request *request,
    const struct mu_agent_deploy_host *host, struct mu_agent_deploy **out, struct mu_err *err)
{
    struct watched *t = agent->events.cookie;
    struct mu_agent_deploy *d = calloc(1, sizeof(*d));

    (void)err;
    assert_non_null(d);
    *d = (struct mu_agent_deploy){.t = t, .host = *host, .ok = true};
    if (request->event == MU_AGENT_HOOK_CA_CHANGED) {
        t->ca_changed++;
        assert_null(request->failed);
    } else if (request->event >= MU_AGENT_HOOK_FAILED) {
        t->told++;
        t->last_told = request->event;
        assert_non_null(request->failed);
    } else {
        t->deploys++;
        t->last_deploy = request->event;
        d->ok = t->deploy_fails == 0;
        t->deploy_fails -= t->deploy_fails > 0;
    }
    t->last_attempt = request->attempt;
    d->timer = mu_loop_after(t->w->loop, 1000, deploy_end, d);
    *out = d;
    return MU_OK;
}

static void deploy_cancel(struct mu_agent_deploy *d)
{
    mu_loop_timer_free(d->t->w->loop, d->timer);
    free(d);
}

/* ---- */

static void key_make(struct watched *t)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    struct mu_pki_key *key = NULL;
    struct mu_buf text = {.secret = true};
    char path[128], used[MU_KEYSTORE_NAME];

    assert_int_equal(mu_pki_key_generate(&spec, &key, NULL), MU_OK);
    assert_int_equal(mu_keystore_key_text(key, NULL, NULL, &text, NULL), MU_OK);
    snprintf(path, sizeof(path), "%s/own.key", t->w->kit->root);
    assert_int_equal(mu_keystore_file_write(path, 0600, mu_buf_bytes(&text), NULL), MU_OK);
    assert_int_equal(
        mu_keystore_ca_add(t->w->kit->store, "sceptest", t->w->peer.cert, false, used, NULL), MU_OK);
    assert_int_equal(mu_agent_settings_set(&t->w->settings, "key-file", path, NULL), MU_OK);
    mu_pki_key_free(key);
    mu_buf_clear(&text);
}

int watched_setup(void **state)
{
    struct watched *t = calloc(1, sizeof(*t));
    void *w = NULL;

    assert_non_null(t);
    world_setup(&w);
    t->w = w;
    conf_open(&t->conf);
    key_make(t);
    *state = t;
    return 0;
}

int watched_teardown(void **state)
{
    struct watched *t = *state;
    void *w = t->w;

    mu_agent_watch_free(t->watch);
    conf_close(&t->conf);
    mu_buf_clear(&t->events);
    mu_buf_clear(&t->said);
    mu_buf_clear(&t->notes);
    world_teardown(&w);
    free(t);
    return 0;
}

static void watch_make(struct watched *t)
{
    const struct mu_agent_watch_config config = {.agent = &t->w->agent,
        .config = t->conf.config,
        .host = "host",
        .built_s = MU_FAKE_LOOP_START_S - 30 * DAY,
        .listener = t,
        .on_job = on_job,
        .on_note = on_note,
        .deploy_start = deploy_start,
        .deploy_cancel = deploy_cancel};
    struct mu_err err = {0};

    t->w->agent.events = (struct mu_agent_events){on_event, t};
    t->w->agent.config = t->conf.config;
    mu_agent_watch_free(t->watch);
    t->watch = NULL;
    if (mu_agent_watch_new(&config, &t->watch, &err) != MU_OK)
        fail_msg("%s", err.what);
    mu_agent_watch_start(t->watch);
}

void watched_config(struct watched *t, const char *text)
{
    char all[16384];

    snprintf(all, sizeof(all),
        "[ca \"a\"]\nprotocol = scep\nurl = http://ca.example/app/cert/scep/\n"
        "[defaults]\nkey-file = %s/own.key\n%s",
        t->w->kit->root, text);
    mu_agent_watch_free(t->watch);
    t->watch = NULL;
    if (conf_try(&t->conf, all) != MU_OK)
        fail_msg("%s", t->conf.told);
    watch_make(t);
}

void watched_restart(struct watched *t)
{
    mu_agent_watch_free(t->watch);
    t->watch = NULL;
    world_restart(t->w);
    watch_make(t);
}

/* In steps: the fake loop counts its calls. */
void watched_run(struct watched *t, int64_t seconds)
{
    for (; seconds > 0; seconds -= DAY)
        mu_fake_loop_run_for(t->w->loop, (seconds < DAY ? seconds : DAY) * 1000);
}

int64_t watched_now(struct watched *t)
{
    return mu_env_now(t->w->agent.env);
}

struct mu_agent_life watched_life(struct watched *t, const char *name)
{
    struct mu_agent_life life = {0};

    assert_int_equal(mu_agent_life_read(t->w->kit->store, name, &life, NULL), MU_OK);
    return life;
}

bool watched_heard(struct watched *t, const char *line)
{
    return strstr(mu_buf_str(&t->events), line) != NULL;
}

bool watched_said(struct watched *t, const char *words)
{
    return strstr(mu_buf_str(&t->said), words) != NULL;
}

unsigned watched_count(struct watched *t, const char *word)
{
    unsigned n = 0;

    for (const char *p = mu_buf_str(&t->events); (p = strstr(p, word)) != NULL; p++)
        n++;
    return n;
}

unsigned watched_answers(const struct mu_agent_life *life, int64_t since_s)
{
    unsigned n = 0;

    for (int i = 0; i < MU_LIFECYCLE_ANSWERS; i++)
        n += life->life.answered_s[i] > since_s;
    return n;
}
