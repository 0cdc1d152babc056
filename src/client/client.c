/*
 * The driver: does what an engine wants and tells it what came of it. At any time it waits for one
 * thing only: an exchange, its timer, or an answer of the host. Answers and the end come through
 * the timer too, so that nobody is called from inside his own call.
 */
#include "client/client.h"

#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "client/client_proto.h"

enum { RETRY_AFTER_MAX_S = 30 * 86400 };

static const struct mu_client_proto *const protos[] = {
    &mu_client_proto_scep,
    &mu_client_proto_est,
    &mu_client_proto_cmp,
};

struct mu_client {
    const struct mu_env *env;
    struct mu_loop *loop;
    struct mu_client_host host;
    const struct mu_client_proto *proto;
    void *engine;
    struct mu_http_session *session;
    struct mu_loop_timer *timer;
    struct mu_pki_key *key;   /* the config's, for hosts without on_key */
    struct mu_step step;      /* what the engine wants now */
    struct mu_err err;        /* at the end */
    bool yes;                 /* the host's answer to TRUST */
    struct mu_pki_key *given; /* and to KEY */
    int64_t server_date_s, answer_at_s, retry_after_s;
    uint8_t binding[64];      /* of the connection the last answer came on; n 0: none */
    size_t binding_n;
};

static void finish(struct mu_client *client, enum mu_code rc);
static void go_on(struct mu_client *client, enum mu_code rc);

const struct mu_client_proto *mu_client_proto_find(enum mu_proto proto)
{
    for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
        if (protos[i]->proto == proto)
            return protos[i];
    return NULL;
}

/* ---- the timer, the only way to be called later ---- */

static void timer_stop(struct mu_client *client)
{
    mu_loop_timer_free(client->loop, client->timer);
    client->timer = NULL;
}

static void later(struct mu_client *client, int64_t ms, mu_loop_call *call)
{
    timer_stop(client);
    client->timer = mu_loop_after(client->loop, ms, call, client);
    if (client->timer != NULL)
        return;
    mu_err_set(&client->err, MU_MEMORY, MU_REASON_NONE, "no memory for a timer");
    client->host.on_done(client->host.ctx, client, &client->err);
}

/* ---- answers to the engine ---- */

static enum mu_code tell(struct mu_client *client, const struct mu_event *event)
{
    struct mu_step next = {0};
    enum mu_code rc = client->proto->step(client->engine, event, &next, &client->err);

    client->step = next;
    return rc;
}

static void on_time(void *cookie)
{
    struct mu_client *client = cookie;
    struct mu_event event = {.type = MU_EVENT_TIME};

    timer_stop(client);
    go_on(client, tell(client, &event));
}

static void on_trust_answer(void *cookie)
{
    struct mu_client *client = cookie;
    struct mu_event event = {.type = MU_EVENT_TRUST, .yes = client->yes};

    timer_stop(client);
    go_on(client, tell(client, &event));
}

static void on_key_answer(void *cookie)
{
    struct mu_client *client = cookie;
    struct mu_event event = {.type = MU_EVENT_KEY, .key = client->given};
    enum mu_code rc;

    timer_stop(client);
    rc = tell(client, &event);
    mu_pki_key_free(client->given);
    client->given = NULL;
    go_on(client, rc);
}

static void on_end(void *cookie)
{
    struct mu_client *client = cookie;

    timer_stop(client);
    if (client->proto->proto == MU_PROTO_CMP) { /* C045: closed, then the result */
        mu_transport_close(client->session);
        client->session = NULL;
    }
    client->host.on_done(
        client->host.ctx, client, client->err.code == MU_OK ? NULL : &client->err);
}

/* What ties a request to this connection: tls-unique, which TLS 1.3 no longer has, or the exporter
 * (RFC 7030 3.5, RFC 9266). */
static void keep_binding(struct mu_client *client, const struct mu_http_facts *facts)
{
    struct mu_bytes b = {0};

    if (facts != NULL)
        b = facts->tls_unique.n > 0 ? facts->tls_unique : facts->tls_exporter;
    client->binding_n = b.n <= sizeof(client->binding) ? b.n : 0;
    if (client->binding_n > 0)
        memcpy(client->binding, b.p, b.n);
}

/* Seconds or a date (RFC 9110 10.2.3); what cannot be read says nothing. */
static int64_t retry_after(
    const struct mu_http_response *response, const struct mu_http_facts *facts, int64_t now_s)
{
    const char *value = mu_http_header_get(response->headers, response->header_n, "Retry-After");
    int64_t v;

    if (value == NULL)
        return 0;
    if (mu_text_int(value, 0, RETRY_AFTER_MAX_S, &v, NULL) == MU_OK)
        return v;
    if (!mu_time_parse_http(value, &v))
        return 0;
    v -= facts != NULL && facts->server_date_s != 0 ? facts->server_date_s : now_s;
    return v < 0 ? 0 : v > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : v;
}

static void on_exchange(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *err)
{
    struct mu_client *client = cookie;
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = response, .facts = facts};

    if (err != NULL)
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = err};
    client->retry_after_s
        = err == NULL ? retry_after(response, facts, mu_env_now(client->env)) : 0;
    keep_binding(client, err == NULL ? facts : NULL);
    if (facts != NULL && facts->server_date_s != 0) {
        client->server_date_s = facts->server_date_s;
        client->answer_at_s = mu_env_now(client->env);
    }
    go_on(client, tell(client, &event));
}

/* ---- what the engine wants ---- */

/* The engine's bytes to the host. */
static enum mu_code keep(struct mu_client *client, struct mu_err *err)
{
    struct mu_buf bytes = {.secret = true};
    enum mu_code rc;

    if (client->host.on_state == NULL)
        return MU_OK;
    rc = client->proto->store(client->engine, &bytes, err);
    if (rc == MU_OK)
        rc = client->host.on_state(client->host.ctx, mu_buf_bytes(&bytes), err);
    mu_buf_clear(&bytes);
    return rc;
}

/* True: the exchange is under way. False: *rc says how the engine took its failure. */
static bool do_send(struct mu_client *client, enum mu_code *rc)
{
    struct mu_err failed = {0};
    struct mu_event event = {.type = MU_EVENT_SEND_FAILED, .failed = &failed};

    if (client->step.remember && (*rc = keep(client, &client->err)) != MU_OK)
        return false;
    if (mu_transport_send(client->session, &client->step.request, on_exchange, client, &failed)
        == MU_OK)
        return true;
    *rc = tell(client, &event);
    return false;
}

static enum mu_code do_save(struct mu_client *client)
{
    struct mu_event event = {.type = MU_EVENT_SAVED};
    struct mu_err failed = {0};
    enum mu_code rc;

    if (client->host.on_save == NULL)
        return tell(client, &event);
    if (client->host.on_save(client->host.ctx, client->step.certs, &failed) == MU_OK)
        return tell(client, &event);
    event.failed = &failed;
    rc = tell(client, &event);
    /* Whatever the engine makes of it: it is not saved, and that is the error. */
    client->err = failed;
    return rc != MU_OK ? rc : failed.code;
}

/* True: the host was asked, or the timer runs. */
static bool do_wait(struct mu_client *client, enum mu_code *rc)
{
    /* A restart shall ask, not request again. */
    if ((*rc = keep(client, &client->err)) != MU_OK)
        return false;
    later(client, client->step.wait_s * 1000, on_time);
    if (client->timer != NULL && client->host.on_wait != NULL)
        client->host.on_wait(client->host.ctx, client->step.wait_s, client->step.wait_limit_s);
    return true;
}

static void do_key(struct mu_client *client)
{
    if (client->host.on_key != NULL)
        client->host.on_key(client->host.ctx, client, &client->step.key);
    else
        mu_client_key(client, client->key, NULL);
}

static void do_trust(struct mu_client *client)
{
    if (client->host.on_trust != NULL)
        client->host.on_trust(client->host.ctx, client, client->step.certs);
    else
        mu_client_trust(client, false);
}

static void go_on(struct mu_client *client, enum mu_code rc)
{
    struct mu_event binding = {.type = MU_EVENT_BINDING};

    while (rc == MU_OK) {
        switch (client->step.want) {
        case MU_WANT_SEND:
            if (do_send(client, &rc))
                return;
            break;
        case MU_WANT_WAIT:
            if (do_wait(client, &rc))
                return;
            break;
        case MU_WANT_KEY:
            do_key(client);
            return;
        case MU_WANT_TRUST:
            do_trust(client);
            return;
        case MU_WANT_BINDING:
            binding.binding = mu_bytes(client->binding, client->binding_n);
            rc = tell(client, &binding);
            break;
        case MU_WANT_SAVE:
            rc = do_save(client);
            break;
        case MU_WANT_DONE:
            finish(client, MU_OK);
            return;
        }
    }
    finish(client, rc);
}

static void finish(struct mu_client *client, enum mu_code rc)
{
    /* Still pending: the next run asks instead of requesting again. What was kept before serves
     * as well if this fails. */
    if (rc == MU_PENDING && keep(client, NULL) != MU_OK)
        client->err.code = MU_PENDING;
    if (rc == MU_OK)
        mu_err_clear(&client->err);
    else
        client->err.code = rc;
    later(client, 0, on_end);
}

/* ---- for the host ---- */

static enum mu_code session_open(
    struct mu_client *client, const struct mu_client_config *config, struct mu_err *err)
{
    const struct mu_http_session_spec spec = {
        .identity = config->identity,
        .proxy = config->proxy,
        .no_proxy = config->no_proxy,
        .source_ip = config->source_ip,
        .timeout_s = config->timeout_s,
        .max_body = config->max_body,
        .entry = config->entry,
        .proto = (int)config->proto,
        .env = config->env,
    };

    return mu_transport_open(config->transport, &spec, &client->session, err);
}

enum mu_code mu_client_new(
    const struct mu_client_config *config, struct mu_client **out, struct mu_err *err)
{
    const struct mu_client_proto *proto = mu_client_proto_find(config->proto);
    struct mu_client *client;
    enum mu_code rc;

    if (proto == NULL)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "enrollment over %s is not available",
            config->proto == MU_PROTO_NONE ? "no protocol" : mu_proto_name(config->proto));
    if ((client = calloc(1, sizeof(*client))) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a client");
    client->env = config->env;
    client->loop = config->loop;
    client->host = config->host;
    client->proto = proto;
    client->key = config->key != NULL ? mu_pki_key_ref(config->key) : NULL;
    if ((rc = proto->open(config, &client->engine, err)) == MU_OK)
        rc = session_open(client, config, err);
    if (rc != MU_OK) {
        mu_client_free(client);
        return rc;
    }
    *out = client;
    return MU_OK;
}

void mu_client_free(struct mu_client *client)
{
    if (client == NULL)
        return;
    timer_stop(client);
    mu_transport_close(client->session);
    if (client->engine != NULL)
        client->proto->free(client->engine);
    mu_pki_key_free(client->key);
    mu_pki_key_free(client->given);
    free(client);
}

static void on_start(void *cookie)
{
    struct mu_client *client = cookie;
    struct mu_step next = {0};
    enum mu_code rc;

    timer_stop(client);
    rc = client->proto->start(client->engine, &next, &client->err);
    client->step = next;
    go_on(client, rc);
}

enum mu_code mu_client_start(struct mu_client *client, struct mu_err *err)
{
    client->timer = mu_loop_after(client->loop, 0, on_start, client);
    if (client->timer == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a timer");
    return MU_OK;
}

void mu_client_key(struct mu_client *client, struct mu_pki_key *key, const struct mu_err *err)
{
    if (key != NULL) {
        client->given = mu_pki_key_ref(key);
        later(client, 0, on_key_answer);
        return;
    }
    if (err != NULL)
        client->err = *err;
    else
        mu_err_set(&client->err, MU_INPUT, MU_REASON_NONE, "there is no key for the request");
    later(client, 0, on_end);
}

void mu_client_trust(struct mu_client *client, bool yes)
{
    client->yes = yes;
    later(client, 0, on_trust_answer);
}

void mu_client_poll(struct mu_client *client)
{
    if (client->step.want == MU_WANT_WAIT && client->timer != NULL && client->err.code == MU_OK)
        later(client, 0, on_time);
}

void mu_client_result(const struct mu_client *client, struct mu_client_result *out)
{
    client->proto->result(client->engine, out);
    if (out->server_date_s == 0)
        out->server_date_s = client->server_date_s;
    out->answer_at_s = client->answer_at_s;
    if (out->retry_after_s == 0)
        out->retry_after_s = client->retry_after_s;
}
