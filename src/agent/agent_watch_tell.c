/* What the rules of time say of an entry, told when it comes about: as an event, to a script, once. */
#include "agent/agent_watch_internal.h"

#include <stdio.h>

#include "agent/agent_status.h"

enum { DAY_S = 86400 };

/* What is said once for each certificate; the bits of mu_agent_life.told. */
enum told {
    TOLD_EXPIRED = 1 << 0,
    TOLD_602 = 1 << 1,
    TOLD_603 = 1 << 2,
    TOLD_607 = 1 << 3,
    TOLD_606 = 1 << 4,
};

void mu_agent_watch_emit(struct mu_agent_watch *watch, const char *name, enum mu_agent_event_kind kind,
    const struct mu_err *what, int days)
{
    bool is_coded = what->reason != MU_REASON_NONE;
    const struct mu_agent_event event = {.kind = kind,
        .at_s = mu_env_now(watch->own.env),
        .name = name,
        .code = what->reason,
        .days = days,
        .reason = is_coded ? what->what : NULL,
        .hint = is_coded ? mu_err_next_text(what) : NULL};

    mu_agent_event_emit(&watch->own.events, &event);
}

/* The sentence that 'muster status' has for it: with the numbers of this look. MU_REASON_NONE: none. */
static struct mu_err sentence(
    struct mu_agent_watch *watch, const char *name, const struct mu_watch_look *look, enum mu_reason code)
{
    const struct mu_lifecycle *r = &look->life.life;
    const struct mu_lifecycle_policy *p = &look->policy;
    int64_t now_s = mu_env_now(watch->own.env), left_s = r->not_after_s - now_s;
    struct mu_agent_facts facts = {.not_before_s = r->not_before_s,
        .not_after_s = r->not_after_s,
        .days_left = (int)(left_s >= 0 ? left_s / DAY_S : -((-left_s + DAY_S - 1) / DAY_S)),
        .renew_days = p->renew_days,
        .renew_percent = p->renew_percent,
        .attempts = r->refused + r->unreached,
        .ca_not_after_s = look->life.ca_not_after_s,
        .ca_window_s = p->ca_window_s,
        .no_left_s = r->no_left_s,
        .yes_left_s = r->yes_left_s,
        .await_limit_s = mu_enroll_lifecycle_await_end(r, p) - r->pending_since_s};
    struct mu_err err = {0};

    snprintf(facts.name, sizeof(facts.name), "%s", name);
    (void)mu_agent_status_say(&facts, code, now_s, &err);
    return err;
}

static bool tell_once(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    struct mu_watch_look *look, enum told bit, enum mu_agent_event_kind kind, enum mu_reason code)
{
    struct mu_err what;

    if ((look->life.told & (uint32_t)bit) != 0)
        return false;
    look->life.told |= (uint32_t)bit;
    if (look->is_dry)
        return true;
    what = sentence(watch, entry->name, look, code);
    mu_agent_watch_emit(watch, entry->name, kind, &what, 0);
    if (bit == TOLD_EXPIRED)
        mu_agent_watch_run_hook(watch, entry, MU_AGENT_HOOK_EXPIRED, &what);
    return true;
}

static bool tell_rules(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct mu_agent_life *life = &look->life;
    int64_t now_s = mu_env_now(watch->own.env), end_s = life->life.not_after_s;
    bool told = false;

    if (look->decision.why == MU_M(602))
        told |= tell_once(watch, entry, look, TOLD_602, MU_AGENT_EVENT_HELD, MU_M(602));
    if (look->decision.why == MU_M(603))
        told |= tell_once(watch, entry, look, TOLD_603, MU_AGENT_EVENT_HELD, MU_M(603));
    if (look->decision.why == MU_M(607))
        told |= tell_once(watch, entry, look, TOLD_607, MU_AGENT_EVENT_EXPIRED, MU_M(607));
    if (life->ca_not_after_s != 0 && now_s + (end_s - life->life.not_before_s) > life->ca_not_after_s
        && end_s != 0 && look->decision.action == MU_LIFECYCLE_RENEW)
        told |= tell_once(watch, entry, look, TOLD_606, MU_AGENT_EVENT_CA_CHANGED, MU_M(606));
    if (end_s != 0 && now_s >= end_s)
        told |= tell_once(watch, entry, look, TOLD_EXPIRED, MU_AGENT_EVENT_EXPIRED, MU_M(601));
    return told;
}

/* M604: nobody renews it; M605: we try and fail. */
static bool tell_days(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct mu_lifecycle *r = &look->life.life;
    int64_t now_s = mu_env_now(watch->own.env);
    int days = mu_enroll_lifecycle_warning(r, &look->policy, now_s);
    enum mu_reason code = look->policy.renew_days == 0 && look->policy.renew_percent <= 0
        ? MU_M(604)
        : r->refused + r->unreached > 0 ? MU_M(605)
                                        : MU_REASON_NONE;
    struct mu_err what;

    if (days < 0)
        return false;
    if (look->is_dry)
        return true;
    r->warned_s = now_s;
    what = sentence(watch, entry->name, look, code);
    mu_agent_watch_emit(watch, entry->name, MU_AGENT_EVENT_WARNING, &what, days);
    mu_agent_watch_run_hook(watch, entry, MU_AGENT_HOOK_WARNING, &what);
    return true;
}

void mu_agent_watch_tell_clock(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, const struct mu_watch_look *look)
{
    struct mu_err what;

    if (look->decision.why != MU_M(801)) {
        watch->clock_told = false;
        return;
    }
    if (!watch->clock_told) {
        what = sentence(watch, entry->name, look, MU_M(801));
        mu_agent_watch_emit(watch, NULL, MU_AGENT_EVENT_CLOCK, &what, 0);
    }
    watch->clock_told = true;
    mu_agent_watch_run_clock(watch, entry->name);
}

/* max-await-result is over; it stays so across a restart of others, not of ours. */
static bool give_up(
    struct mu_agent_watch *watch, const struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    const struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_GAVE_UP};
    struct mu_err said;

    if (look->decision.why != MU_M(313) || look->life.life.stopped)
        return false;
    (void)mu_enroll_lifecycle_apply(&look->life.life, &what, &look->policy, 0);
    if (!look->is_dry) {
        said = sentence(watch, entry->name, look, MU_M(313));
        mu_agent_watch_emit(watch, entry->name, MU_AGENT_EVENT_PENDING, &said, 0);
    }
    return true;
}

static bool resume(struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    const struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_RESUME};

    if (!entry->resume || !look->life.life.stopped || look->is_dry) {
        entry->resume = entry->resume && look->life.life.stopped;
        return entry->resume;
    }
    entry->resume = false;
    (void)mu_enroll_lifecycle_apply(
        &look->life.life, &what, &look->policy, mu_env_now(watch->own.env));
    return true;
}

bool mu_agent_watch_tell(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct mu_agent_life before = look->life;
    bool changed;

    look->is_dry = watch->saves_left == 0;
    if ((changed = resume(watch, entry, look)))
        mu_enroll_lifecycle_decide(
            &look->life.life, &look->policy, mu_env_now(watch->own.env), &look->decision);
    changed |= give_up(watch, entry, look);
    changed |= tell_rules(watch, entry, look);
    changed |= tell_days(watch, entry, look);
    if (!changed)
        return true;
    watch->saves_left -= !look->is_dry;
    if (!look->is_dry && mu_agent_watch_save(watch, entry->name, &look->life))
        return true;
    look->life = before;
    return false;
}
