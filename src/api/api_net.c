/* The public enrollment over the network: our loop and HTTP client around the public steps. */
#include <stdio.h>
#include <stdlib.h>

#include "muster/net.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "pki/pki_cert.h"
#include "pki/pki_identity.h"

struct run {
    struct muster_enrollment *enrollment;
    struct muster_net_options options;
    struct mu_env env;
    struct mu_loop *loop;
    struct mu_transport *transport;
    struct mu_http_session *session;
    bool is_unverified, is_tls_1_2; /* the session's */
    struct mu_loop_timer *timer;
    struct muster_step step;
    struct muster_error err;
    enum muster_code code;
};

static void go_on(void *cookie);

static void run_trace(void *ctx, const struct mu_trace_event *event)
{
    struct run *run = ctx;
    char line[1024];

    snprintf(line, sizeof(line), "%s %s: %s", mu_proto_name(event->proto),
        mu_trace_step_name(event->step), event->text);
    run->options.trace(run->options.context, line);
}

static int64_t run_now(void *ctx)
{
    struct mu_env system = mu_env_system();

    return mu_env_now(&system);
}

static bool run_random(void *ctx, uint8_t *p, size_t n)
{
    struct mu_env system = mu_env_system();

    return mu_env_random(&system, p, n, NULL) == MU_OK;
}

static enum muster_code failed(struct run *run, const struct mu_err *err)
{
    run->code = (enum muster_code)err->code;
    run->err = (struct muster_error){.code = run->code};
    if (err->reason >= 100 && err->reason < 1000)
        run->err.reason = (int)err->reason;
    snprintf(run->err.what, sizeof(run->err.what), "%s", err->what);
    snprintf(run->err.likely, sizeof(run->err.likely), "%s", mu_err_likely_text(err));
    snprintf(run->err.next, sizeof(run->err.next), "%s", mu_err_next_text(err));
    return run->code;
}

static enum muster_code refused(struct run *run, const char *what)
{
    struct mu_err err = {0};

    mu_err_set(&err, MU_STORAGE, MU_REASON_NONE, "%s", what);
    return failed(run, &err);
}

static void call_later(struct run *run, int64_t ms, mu_loop_call *call)
{
    struct mu_err err = {0};

    mu_loop_timer_free(run->loop, run->timer);
    run->timer = mu_loop_after(run->loop, ms, call, run);
    if (run->timer != NULL)
        return;
    mu_err_set(&err, MU_MEMORY, MU_REASON_NONE, "no memory for a timer");
    failed(run, &err);
    mu_loop_stop(run->loop);
}

static void tell(struct run *run, const struct muster_event *event)
{
    run->code = muster_enrollment_step(run->enrollment, event, &run->step, &run->err);
}

static void put_binding(const struct mu_http_facts *facts, struct muster_event *event)
{
    const struct mu_bytes *b = facts == NULL ? NULL
        : facts->tls_unique.n > 0            ? &facts->tls_unique
                                             : &facts->tls_exporter;

    if (b == NULL || b->n == 0)
        return;
    event->tls_binding = b->p;
    event->tls_binding_n = b->n;
}

static void on_exchange(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *err)
{
    struct run *run = cookie;
    struct muster_header headers[MU_HTTP_MAX_HEADERS];
    struct muster_error why;
    struct muster_event event = {.type = MUSTER_EVENT_RESPONSE, .headers = headers};

    if (err != NULL) {
        failed(run, err);
        why = run->err;
        event = (struct muster_event){.type = MUSTER_EVENT_SEND_FAILED, .failed = &why};
    } else {
        event.status = response->status;
        event.body = response->body.p;
        event.body_n = response->body.n;
        for (size_t i = 0; i < response->header_n && i < MU_HTTP_MAX_HEADERS; i++)
            headers[event.header_n++] =
                (struct muster_header){response->headers[i].name, response->headers[i].value};
        put_binding(facts, &event);
    }
    tell(run, &event);
    call_later(run, 0, go_on);
}

/* ---- the connection ---- */

static enum mu_code read_certs(const char *pem, struct mu_pki_certs *certs, struct mu_err *err)
{
    return pem != NULL ? mu_pki_certs_decode(mu_bytes_str(pem), certs, err) : MU_OK;
}

static enum mu_code identity_fill(struct run *run, struct mu_tls_identity *identity, struct mu_err *err)
{
    struct muster_enrollment *e = run->enrollment;
    const char *trusted = muster_enrollment_tls_trusted_pem(e), *key = muster_enrollment_tls_key_pem(e);
    enum mu_code rc;

    identity->env = &run->env;
    identity->use_system_anchors = run->options.tls_pem == NULL && trusted == NULL;
    identity->insecure_bootstrap = run->step.tls_unverified;
    identity->max_version = run->step.tls_1_2 ? 0x0303 : 0;
    if ((rc = read_certs(run->options.tls_pem, &identity->anchors, err)) == MU_OK
        && (rc = read_certs(trusted, &identity->anchors, err)) == MU_OK && key != NULL
        && (rc = mu_pki_key_decode(mu_bytes_str(key), NULL, &identity->key, err)) == MU_OK)
        rc = read_certs(muster_enrollment_tls_certificate_pem(e), &identity->chain, err);
    return rc;
}

static void identity_clear(struct mu_tls_identity *identity)
{
    mu_pki_key_free(identity->key);
    mu_pki_certs_clear(&identity->anchors);
    mu_pki_certs_clear(&identity->chain);
}

/* A session for the step: the one there is, or a new one where it needs another. */
static enum mu_code session_open(struct run *run, struct mu_err *err)
{
    struct mu_tls_identity identity = {0};
    const struct mu_http_session_spec spec = {
        .identity = &identity,
        .proxy = run->options.proxy,
        .source_ip = run->options.source_ip,
        .timeout_s = run->options.timeout_s,
        .entry = "muster",
        .proto = mu_proto_parse(muster_enrollment_protocol(run->enrollment)),
        .env = &run->env,
    };
    enum mu_code rc;

    if (run->session != NULL && run->is_unverified == run->step.tls_unverified
        && run->is_tls_1_2 == run->step.tls_1_2)
        return MU_OK;
    mu_transport_close(run->session);
    run->session = NULL;
    run->is_unverified = run->step.tls_unverified;
    run->is_tls_1_2 = run->step.tls_1_2;
    if ((rc = identity_fill(run, &identity, err)) == MU_OK)
        rc = mu_transport_open(run->transport, &spec, &run->session, err);
    identity_clear(&identity);
    return rc;
}

static enum mu_code send_step(struct run *run, struct mu_err *err)
{
    struct mu_http_header headers[MU_HTTP_MAX_HEADERS];
    const struct mu_http_request request = {
        .method = run->step.method,
        .target = run->step.url,
        .minor = 1,
        .headers = headers,
        .header_n = run->step.header_n,
        .body = mu_bytes(run->step.body, run->step.body_n),
        .same_connection = run->step.same_connection,
        .explicit_anchor = run->step.needs_named_anchor,
    };
    enum mu_code rc = session_open(run, err);

    for (size_t i = 0; i < run->step.header_n && i < MU_HTTP_MAX_HEADERS; i++)
        headers[i] = (struct mu_http_header){run->step.headers[i].name, run->step.headers[i].value};
    return rc == MU_OK ? mu_transport_send(run->session, &request, on_exchange, run, err) : rc;
}

/* ---- the steps ---- */

/* False: it cannot be sent; code and err say why. */
static bool do_send(struct run *run)
{
    const void *state = NULL;
    size_t state_n = 0;
    struct mu_err err = {0};

    if (run->step.remember && run->options.state != NULL) {
        run->code = muster_enrollment_state(run->enrollment, &state, &state_n, &run->err);
        if (run->code == MUSTER_OK && !run->options.state(run->options.context, state, state_n))
            refused(run, "the state of the request could not be kept");
        if (run->code != MUSTER_OK)
            return false;
    }
    if (send_step(run, &err) == MU_OK)
        return true;
    failed(run, &err);
    return false;
}

static void do_trust(struct run *run)
{
    struct muster_event event = {.type = MUSTER_EVENT_TRUST};

    event.yes = run->options.trust != NULL
        && run->options.trust(run->options.context, run->step.ca_pem, run->step.ca_sha256);
    tell(run, &event);
}

static void do_save(struct run *run)
{
    struct muster_event event = {.type = MUSTER_EVENT_SAVED};

    if (run->options.save != NULL && !run->options.save(run->options.context, run->enrollment))
        refused(run, "the certificate could not be saved");
    else
        tell(run, &event);
}

static void on_time(void *cookie)
{
    struct run *run = cookie;
    struct muster_event event = {.type = MUSTER_EVENT_TIME};

    tell(run, &event);
    go_on(run);
}

static void go_on(void *cookie)
{
    struct run *run = cookie;

    while (run->code == MUSTER_OK) {
        switch (run->step.want) {
        case MUSTER_WANT_SEND:
            if (do_send(run))
                return;
            break;
        case MUSTER_WANT_WAIT:
            if (run->options.wait != NULL)
                run->options.wait(run->options.context, run->step.wait_s);
            call_later(run, run->step.wait_s * 1000, on_time);
            return;
        case MUSTER_WANT_TRUST:
            do_trust(run);
            break;
        case MUSTER_WANT_SAVE:
            do_save(run);
            break;
        case MUSTER_WANT_DONE:
            mu_loop_stop(run->loop);
            return;
        }
    }
    mu_loop_stop(run->loop);
}

static void first(void *cookie)
{
    struct run *run = cookie;

    run->code = muster_enrollment_start(run->enrollment, &run->step, &run->err);
    go_on(run);
}

static enum mu_code open_all(struct run *run, struct mu_err *err)
{
    enum mu_code rc;

    run->env = (struct mu_env){.now = run_now, .random = run_random, .ctx = run,
        .trace = run->options.trace != NULL ? run_trace : NULL};
    rc = mu_net_loop_new(&run->loop, err);
    if (rc == MU_OK)
        rc = mu_net_client_new(run->loop, &run->transport, err);
    return rc;
}

static void close_all(struct run *run)
{
    if (run->loop != NULL)
        mu_loop_timer_free(run->loop, run->timer);
    mu_transport_close(run->session);
    if (run->transport != NULL)
        mu_net_client_free(run->transport);
    if (run->loop != NULL)
        mu_net_loop_free(run->loop);
}

enum muster_code muster_enrollment_run(struct muster_enrollment *enrollment,
    const struct muster_net_options *options, struct muster_error *err)
{
    struct run run = {.enrollment = enrollment};
    struct mu_err why = {0};

    if (options != NULL)
        run.options = *options;
    if (open_all(&run, &why) != MU_OK) {
        failed(&run, &why);
    } else {
        call_later(&run, 0, first);
        if (run.timer != NULL)
            mu_loop_run(run.loop);
    }
    close_all(&run);
    if (err != NULL && run.code != MUSTER_OK)
        *err = run.err;
    return run.code;
}
