/* Drives the engine: its wants become exchanges and timers, their ends become events. */
#include "cmd/muster/sscep_run.h"

#include <stdio.h>

struct driver {
    const struct mu_sscep_run *run;
    struct mu_http_session *session;
    struct mu_loop_timer *timer;
    struct mu_step step;
    enum mu_code rc;
    struct mu_err err;
};

static void follow(struct driver *d);

static void finish(struct driver *d, enum mu_code rc)
{
    d->rc = rc;
    mu_loop_stop(d->run->loop);
}

static void feed(struct driver *d, const struct mu_event *event)
{
    enum mu_code rc = mu_scep_client_step(d->run->engine, event, &d->step, &d->err);

    if (rc != MU_OK)
        finish(d, rc);
    else
        follow(d);
}

static void on_response(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *failed)
{
    const struct mu_event event = {
        .type = response != NULL ? MU_EVENT_RESPONSE : MU_EVENT_SEND_FAILED,
        .response = response,
        .facts = facts,
        .failed = failed,
    };

    feed(cookie, &event);
}

static void on_time(void *cookie)
{
    struct driver *d = cookie;
    const struct mu_event event = {.type = MU_EVENT_TIME};

    mu_loop_timer_free(d->run->loop, d->timer);
    d->timer = NULL;
    feed(d, &event);
}

static void wait_for(struct driver *d)
{
    struct mu_scep_client_result result;

    mu_scep_client_result(d->run->engine, &result);
    if (d->run->on_wait != NULL)
        d->run->on_wait(d->run->ctx, d->step.wait_s, result.polls);
    d->timer = mu_loop_after(d->run->loop, d->step.wait_s * 1000, on_time, d);
    if (d->timer == NULL)
        finish(d, mu_err_set(&d->err, MU_MEMORY, MU_REASON_NONE, "no memory for a timer"));
}

static void send_request(struct driver *d)
{
    enum mu_code rc = MU_OK;

    if (d->step.remember && d->run->before_send != NULL)
        rc = d->run->before_send(d->run->ctx, &d->err);
    if (rc == MU_OK)
        rc = mu_transport_send(d->session, &d->step.request, on_response, d, &d->err);
    if (rc != MU_OK)
        finish(d, rc);
}

/* Does what the engine wants. Answers that are known here go straight back. */
static void follow(struct driver *d)
{
    struct mu_event event = {0};

    switch (d->step.want) {
    case MU_WANT_SEND:
        send_request(d);
        return;
    case MU_WANT_WAIT:
        wait_for(d);
        return;
    case MU_WANT_DONE:
        finish(d, MU_OK);
        return;
    case MU_WANT_TRUST:
        event.type = MU_EVENT_TRUST;
        event.yes = true;
        break;
    case MU_WANT_SAVE:
        event.type = MU_EVENT_SAVED;
        break;
    default:
        finish(d,
            mu_err_set(&d->err, MU_INTERNAL, MU_REASON_NONE,
                "sscep: the engine wants what SCEP does not have"));
        return;
    }
    feed(d, &event);
}

static void begin(void *cookie)
{
    struct driver *d = cookie;
    enum mu_code rc = mu_scep_client_start(d->run->engine, &d->step, &d->err);

    if (rc != MU_OK)
        finish(d, rc);
    else
        follow(d);
}

enum mu_code mu_sscep_run(const struct mu_sscep_run *run, struct mu_err *err)
{
    struct driver d = {.run = run, .rc = MU_INTERNAL};
    const struct mu_http_session_spec spec = {.identity = run->identity,
        .proxy = run->proxy,
        .entry = "sscep",
        .proto = MU_PROTO_SCEP,
        .env = run->env};
    enum mu_code rc;

    if ((rc = mu_transport_open(run->transport, &spec, &d.session, err)) != MU_OK)
        return rc;
    if ((rc = mu_loop_post(run->loop, begin, &d)) == MU_OK) {
        mu_loop_run(run->loop);
        rc = d.rc;
        if (rc != MU_OK && err != NULL)
            *err = d.err;
    } else {
        mu_err_set(err, rc, MU_REASON_NONE, "the event loop takes no work");
    }
    mu_loop_timer_free(run->loop, d.timer);
    mu_transport_close(d.session);
    return rc;
}
