/* What the agent's tests share. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_trust(void *ctx, struct mu_agent_job *job, const struct mu_agent_trust *question)
{
    struct world *w = ctx;

    w->trust_asked++;
    snprintf(w->trust_name, sizeof(w->trust_name), "%s", question->name);
    snprintf(w->trust_sha256, sizeof(w->trust_sha256), "%s", question->sha256);
    w->asking = job;
    if (!w->trust_later)
        mu_agent_job_trust(job, w->trust_yes);
}

static void on_step(void *ctx, enum mu_agent_step step, const char *text)
{
    struct world *w = ctx;

    if (step == MU_AGENT_STEP_REQUEST && w->lose_answer)
        mu_fake_transport_lose_answers(w->transport, 1);
    mu_buf_putf(&w->steps, "%s: %s\n", mu_agent_step_word(step), text);
}

static void on_done(void *ctx, const struct mu_agent_outcome *o, const struct mu_err *err)
{
    struct world *w = ctx;

    w->dones++;
    w->result = o->result;
    w->err = err != NULL ? *err : (struct mu_err){0};
    snprintf(w->why, sizeof(w->why), "%s", o->why != NULL ? o->why : "");
    snprintf(w->replaced, sizeof(w->replaced), "%s", o->replaced != NULL ? o->replaced : "");
    snprintf(w->file, sizeof(w->file), "%s", o->file != NULL ? o->file : "");
    snprintf(w->url, sizeof(w->url), "%s", o->url != NULL ? o->url : "");
    snprintf(w->txn, sizeof(w->txn), "%s",
        o->answer != NULL && o->answer->transaction_id != NULL ? o->answer->transaction_id : "");
    w->answer_certs = o->answer != NULL && o->answer->ca_certs != NULL ? o->answer->ca_certs->n : 0;
    w->has_clock = o->has_clock;
}

static void agent_make(struct world *w)
{
    w->agent = (struct mu_agent){w->kit->store, mu_fake_loop_env(w->loop), w->loop, w->transport, false};
    w->host = (struct mu_agent_host){
        .ctx = w, .on_trust = on_trust, .on_step = on_step, .on_done = on_done};
}

static void set(struct world *w, const char *key, const char *value)
{
    assert_int_equal(mu_agent_settings_set(&w->settings, key, value, NULL), MU_OK);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    void *kit = NULL;

    assert_non_null(w);
    kit_setup(&kit);
    w->kit = kit;
    w->loop = mu_fake_loop_new();
    peer_init(&w->peer, mu_fake_loop_env(w->loop));
    w->transport = mu_fake_transport_new(w->loop, peer_serve, &w->peer);
    mu_fake_transport_strip(w->transport);
    w->trust_yes = true;
    set(w, "protocol", "scep");
    set(w, "url", "http://ca.example/app/cert/scep/");
    set(w, "subject", "/C=NL/CN=myvpn");
    agent_make(w);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    void *kit = w->kit;

    assert_int_equal(mu_fake_transport_sessions(w->transport), 0);
    mu_fake_transport_free(w->transport);
    mu_agent_settings_clear(&w->settings);
    mu_buf_clear(&w->steps);
    peer_clear(&w->peer);
    mu_fake_loop_free(w->loop);
    kit_teardown(&kit);
    free(w);
    return 0;
}

void world_restart(struct world *w)
{
    kit_reopen(w->kit);
    agent_make(w);
}

static void begin(struct world *w)
{
    mu_buf_reset(&w->steps);
    w->dones = 0;
    w->result = MU_AGENT_NOTHING;
    mu_err_clear(&w->err);
}

static void finish(struct world *w, enum mu_code rc, const struct mu_err *err)
{
    if (rc != MU_OK) {
        assert_int_equal(rc, err->code);
        w->err = *err;
        return;
    }
    mu_fake_loop_run_until_idle(w->loop);
    assert_int_equal(w->dones, w->trust_later ? 0 : 1);
}

void world_enroll(struct world *w, const char *name, struct mu_agent_enroll request)
{
    struct mu_err err = {0};

    begin(w);
    request.name = name;
    finish(w, mu_agent_enroll(&w->agent, &request, &w->host, NULL, &err), &err);
}

void world_renew(struct world *w, const char *name, struct mu_agent_renew request)
{
    struct mu_err err = {0};

    begin(w);
    request.name = name;
    finish(w, mu_agent_renew(&w->agent, &request, &w->host, NULL, &err), &err);
}

void world_poll(struct world *w, const char *name, bool no_wait)
{
    struct mu_err err = {0};

    begin(w);
    finish(w, mu_agent_poll(&w->agent, name, no_wait, NULL, &w->host, NULL, &err), &err);
}

void world_query(struct world *w, struct mu_agent_query query)
{
    struct mu_err err = {0};

    begin(w);
    finish(w, mu_agent_query(&w->agent, &query, &w->host, NULL, &err), &err);
}

void world_expect(struct world *w, enum mu_agent_result result)
{
    if (w->err.code != MU_OK)
        fail_msg("M%d %s", (int)w->err.reason, w->err.what);
    assert_int_equal(w->result, result);
}

struct mu_pki_cert *world_latest(struct world *w, const char *name)
{
    struct mu_buf text = {.secret = true}, pem = {0};
    struct mu_pki_certs certs = {0};
    struct mu_pki_key *key = NULL;
    struct mu_pki_cert *cert;
    char path[128];

    snprintf(path, sizeof(path), "certs/%s/latest.crt", name);
    kit_file(w->kit, path, &pem);
    snprintf(path, sizeof(path), "certs/%s/latest.key", name);
    kit_file(w->kit, path, &text);
    assert_int_equal(mu_pki_certs_decode(mu_buf_bytes(&pem), &certs, NULL), MU_OK);
    assert_int_equal(mu_keystore_key_parse(mu_buf_bytes(&text), NULL, &key, NULL), MU_OK);
    assert_true(mu_bytes_equal(certs.v[0]->spki, mu_pki_key_spki(key)));
    cert = mu_pki_cert_ref(certs.v[0]);
    mu_pki_key_free(key);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&text);
    mu_buf_clear(&pem);
    return cert;
}
