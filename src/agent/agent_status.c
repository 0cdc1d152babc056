/* The state of an entry as people see it (PRODUCT "Sessions", States). */
#include "agent/agent_status.h"

#include <string.h>

const char *mu_agent_state_word(enum mu_agent_state state)
{
    static const char *const words[] = {
        [MU_AGENT_NEW] = "NEW",
        [MU_AGENT_PENDING] = "PENDING",
        [MU_AGENT_OK] = "OK",
        [MU_AGENT_DUE] = "DUE",
        [MU_AGENT_RENEWING] = "RENEWING",
        [MU_AGENT_EXPIRED] = "EXPIRED",
        [MU_AGENT_FAILED] = "FAILED",
        [MU_AGENT_REQUESTING] = "REQUESTING",
        [MU_AGENT_RETRYING] = "RETRYING",
        [MU_AGENT_HELD] = "HELD",
        [MU_AGENT_RENEWED_STALE] = "RENEWED-STALE",
        [MU_AGENT_REJECTED] = "REJECTED",
        [MU_AGENT_DISABLED] = "DISABLED",
    };

    return words[state];
}

static bool is_word(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

/* Has the CA the request, and takes its time? Else it is under way, or was cut off. */
static bool is_waiting(const struct mu_agent_facts *f, const struct mu_lifecycle *life)
{
    return f->is_by_file || is_word(f->last_result, "pending")
        || (life != NULL && life->pending_since_s != 0);
}

static enum mu_agent_state without_certificate(
    const struct mu_agent_facts *f, const struct mu_lifecycle *life)
{
    if (f->is_pending && is_waiting(f, life))
        return MU_AGENT_PENDING;
    if (f->is_pending)
        return f->attempts > 0 ? MU_AGENT_RETRYING : MU_AGENT_REQUESTING;
    if (f->next_held) /* there is one, and it is not in use */
        return MU_AGENT_RENEWED_STALE;
    if (!f->automation && f->attempts == 0)
        return MU_AGENT_DISABLED;
    if (f->attempts == 0)
        return MU_AGENT_NEW;
    if (is_word(f->last_result, "refused"))
        return MU_AGENT_REJECTED;
    return f->is_configured && f->automation ? MU_AGENT_RETRYING : MU_AGENT_FAILED;
}

static bool is_stale(const struct mu_agent_facts *f, const struct mu_lifecycle *life)
{
    for (size_t i = 0; i < f->deploy_n; i++)
        if (!f->deploy[i].match)
            return true;
    return life != NULL && life->not_deployed > 0;
}

static enum mu_agent_state with_certificate(
    const struct mu_agent_facts *f, const struct mu_lifecycle *life, int64_t now_s)
{
    if (now_s > f->not_after_s)
        return !f->is_pending ? MU_AGENT_EXPIRED
            : is_waiting(f, life) ? MU_AGENT_PENDING
            : f->attempts > 0     ? MU_AGENT_EXPIRED
                                  : MU_AGENT_RENEWING;
    if (f->is_pending && (f->attempts == 0 || is_waiting(f, life)))
        return MU_AGENT_RENEWING;
    if (f->attempts > 0 && f->due_since_s != 0)
        return MU_AGENT_RETRYING;
    if (is_stale(f, life))
        return MU_AGENT_RENEWED_STALE;
    if (!f->automation)
        return MU_AGENT_DISABLED;
    if (f->held)
        return MU_AGENT_HELD;
    return f->due_since_s != 0 ? MU_AGENT_DUE : MU_AGENT_OK;
}

/* A record that is behind the files, or missing: what the files say counts. */
static struct mu_lifecycle record_of(const struct mu_agent_facts *f, const struct mu_lifecycle *life)
{
    struct mu_lifecycle record = life != NULL ? *life : (struct mu_lifecycle){0};

    if (f->serial != NULL && (record.not_after_s != f->not_after_s || record.not_after_s == 0)) {
        record.not_before_s = f->not_before_s;
        record.not_after_s = f->not_after_s;
        if (record.state == MU_LIFECYCLE_NEW)
            record.state = MU_LIFECYCLE_INSTALLED;
    }
    return record;
}

void mu_agent_status_decide(struct mu_agent_facts *f, const struct mu_lifecycle *life,
    const struct mu_lifecycle_policy *policy, int64_t now_s)
{
    struct mu_lifecycle record = record_of(f, life);
    struct mu_lifecycle_decision decision;

    if (record.refused + record.unreached > f->attempts)
        f->attempts = record.refused + record.unreached;
    mu_enroll_lifecycle_decide(&record, policy, now_s, &decision);
    f->held = decision.held;
    f->why = decision.why;
    f->is_stopped = record.stopped;
    f->is_capped = decision.capped;
    f->yes_left_s = record.yes_left_s;
    f->no_left_s = record.no_left_s;
    f->issued_s = record.issued_s;
    f->due_since_s = f->serial != NULL && f->renew_from_s != 0 && f->renew_from_s <= now_s
        ? f->renew_from_s
        : 0;
    f->state = f->serial != NULL ? with_certificate(f, life, now_s) : without_certificate(f, life);
    f->next_try_s = 0;
    if (f->automation && decision.at_s != INT64_MAX && f->state != MU_AGENT_OK
        && f->state != MU_AGENT_DISABLED)
        f->next_try_s = decision.action == MU_LIFECYCLE_WAIT ? decision.at_s : now_s;
}

int mu_agent_status_class(const struct mu_agent_facts *f)
{
    switch (f->state) {
    case MU_AGENT_OK:
        return 0;
    case MU_AGENT_DISABLED:
    case MU_AGENT_HELD: /* until a third of the lifetime is left nothing is lost */
        return 0;
    case MU_AGENT_PENDING:
        return f->is_stopped || is_word(f->last_code, "M313") ? 2 : 1;
    case MU_AGENT_RENEWING:
    case MU_AGENT_REQUESTING:
        return 1;
    default:
        return 2;
    }
}

/* "M312" to its number. */
static enum mu_reason code_of(const char *text)
{
    unsigned n = 0;

    for (text += text != NULL && *text == 'M'; text != NULL && *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (unsigned)(*text - '0');
    return n >= 100 && n < 1000 ? MU_M(n) : MU_REASON_NONE;
}

enum mu_reason mu_agent_status_code(const struct mu_agent_facts *f)
{
    if (f->state == MU_AGENT_RENEWED_STALE) {
        for (size_t i = 0; i < f->deploy_n; i++)
            if (!f->deploy[i].match)
                return f->deploy[i].code != MU_REASON_NONE ? f->deploy[i].code : MU_M(902);
    }
    if (f->attempts > 0 && f->last_code != NULL && f->why != MU_M(607))
        return code_of(f->last_code);
    if (f->why == MU_REASON_NONE && f->state == MU_AGENT_EXPIRED)
        return f->renew_days == 0 ? MU_M(604) : MU_M(601);
    return f->why;
}

/* ---- the router's two lines ---- */

const char *mu_agent_status_router_module(const struct mu_agent_facts *f)
{
    bool runs = !f->is_stopped /* M313: nobody asks any more, R014 */
        && (f->state == MU_AGENT_REQUESTING || f->state == MU_AGENT_PENDING
            || f->state == MU_AGENT_RENEWING);

    return !f->automation ? "Module scepClient disabled"       /* R047 */
        : runs            ? "Module scepClient running"        /* R048 */
                          : "Module scepClient not running";   /* R049 */
}

bool mu_agent_status_router_certificate(const struct mu_agent_facts *f, struct mu_buf *out)
{
    bool runs = !f->is_stopped && (f->state == MU_AGENT_REQUESTING || f->state == MU_AGENT_PENDING);

    if (f->state == MU_AGENT_RENEWING || (runs && f->serial != NULL))
        return mu_buf_put_str(out, "Certificate re-enrollment"); /* R052 */
    if (runs)
        return mu_buf_put_str(out, "Certificate enrollment"); /* R051 */
    if (f->serial != NULL && f->state != MU_AGENT_EXPIRED)
        return mu_buf_putf(out, "Certificate enrolled %s", f->stem); /* R053 */
    return mu_buf_put_str(out, "Certificate not enrolled"); /* R050 */
}
