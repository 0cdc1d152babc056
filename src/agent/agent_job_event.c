/* Which events a job makes of how it went (PRODUCT "Events"), after everything is on disk. */
#include <stdio.h>

#include "agent/agent_internal.h"
#include "base/text.h"

static const char *method(const struct mu_agent_job *job)
{
    return job->pending.operation == MU_AGENT_RENEW ? job->regenerates ? "regenerate" : "renew"
        : job->pending.operation == MU_AGENT_BY_FILE ? "install"
                                                     : "enroll";
}

static void emit(const struct mu_agent_job *job, struct mu_agent_event event)
{
    event.at_s = mu_env_now(job->agent->env);
    event.name = job->name;
    event.proto = job->settings.protocol;
    event.method = method(job);
    event.transaction = job->pending.transaction;
    mu_agent_event_emit(&job->agent->events, &event);
}

/* Was the server never reached, as far as a request is concerned? TLS that failed is no connection. */
static bool is_unreached(const struct mu_err *err)
{
    return err->code == MU_NETWORK || (err->reason >= MU_M(101) && err->reason <= MU_M(104))
        || (err->reason >= MU_M(202) && err->reason <= MU_M(207));
}

/* S084: the causes, ranked, and what to do, with transaction and time. */
static void hint_of(const struct mu_err *err, struct mu_buf *out)
{
    const char *likely = mu_err_likely_text(err), *next = mu_err_next_text(err);

    mu_buf_putf(out, "%s%s%s", likely, likely[0] != '\0' && next[0] != '\0' ? " " : "", next);
}

static void failed_emit(const struct mu_agent_job *job, const struct mu_err *err)
{
    struct mu_agent_event event = {.kind = MU_AGENT_EVENT_SIGN_FAILED, .code = err->reason};
    struct mu_buf hint = {.max = 1024};

    if (is_unreached(err))
        event.kind = MU_AGENT_EVENT_CONNECT_FAILED;
    /* A refusal without words stays without (S082); what failed here is said in ours. */
    if (err->said[0] != '\0')
        event.reason = err->said;
    else if (err->code != MU_DENIED)
        event.reason = err->what;
    hint_of(err, &hint);
    event.hint = mu_buf_str(&hint);
    emit(job, event);
    mu_buf_clear(&hint);
}

void mu_agent_job_event_pending(struct mu_agent_job *job, const struct mu_err *err)
{
    bool is_over = err != NULL && err->reason == MU_M(313);

    if (!is_over && (job->told_pending || job->resumed))
        return;
    job->told_pending = true;
    emit(job, (struct mu_agent_event){.kind = MU_AGENT_EVENT_PENDING,
        .code = err != NULL ? err->reason : MU_REASON_NONE,
        .reason = err != NULL && err->reason != MU_REASON_NONE ? err->what : NULL,
        .hint = is_over ? mu_err_next_text(err) : NULL});
}

void mu_agent_job_event_end(
    struct mu_agent_job *job, const struct mu_agent_facts *facts, const struct mu_err *err)
{
    const char *serial = facts != NULL ? facts->serial : NULL;

    if (err != NULL && err->code == MU_PENDING) {
        mu_agent_job_event_pending(job, err);
    } else if (err != NULL) {
        failed_emit(job, err);
    } else {
        emit(job, (struct mu_agent_event){.kind = MU_AGENT_EVENT_SIGNED,
            .serial = job->holds ? job->saved.stem : serial});
        if (!job->saved.waits)
            emit(job, (struct mu_agent_event){.kind = MU_AGENT_EVENT_LOADED, .serial = serial});
    }
}

void mu_agent_job_event_ca(struct mu_agent_job *job, const char *ca)
{
    job->ca_changed = true;
    emit(job, (struct mu_agent_event){.kind = MU_AGENT_EVENT_CA_CHANGED, .detail = ca});
}

void mu_agent_event_loaded(
    struct mu_agent *agent, const char *name, const char *method, const char *serial)
{
    struct mu_agent_event event = {.kind = MU_AGENT_EVENT_LOADED, .name = name, .method = method,
        .serial = serial, .at_s = mu_env_now(agent->env)};

    mu_agent_event_emit(&agent->events, &event);
}
