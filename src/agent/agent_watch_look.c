/* One look at an entry: what the files say now, what is to be told, what is to be done. */
#include "agent/agent_watch_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    UNSAVED_S = 10 * MINUTE_S, /* records that could not be written yet are written within so long */
};

/* What is said once for each certificate; the bits of mu_agent_life.told. */
enum told {
    TOLD_EXPIRED = 1 << 0,
    TOLD_602 = 1 << 1,
    TOLD_603 = 1 << 2,
    TOLD_607 = 1 << 3,
    TOLD_606 = 1 << 4,
};

/* ---- telling ---- */

void mu_agent_watch_emit(struct mu_agent_watch *watch, const char *name, enum mu_agent_event_kind kind,
    enum mu_reason code, int days, const char *detail)
{
    const struct mu_err_row *row = mu_err_row(code);
    const struct mu_agent_event event = {.kind = kind,
        .at_s = mu_env_now(watch->own.env),
        .name = name,
        .code = code,
        .days = days,
        .detail = detail,
        .reason = row != NULL ? row->what : NULL,
        .hint = row != NULL ? row->next : NULL};

    mu_agent_event_emit(&watch->own.events, &event);
}

/* The same as an error, for a script that is told of it. */
static void hook(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    enum mu_agent_hook_event event, enum mu_reason code)
{
    const struct mu_err_row *row = mu_err_row(code);
    struct mu_err err = {0};

    mu_err_set(&err, MU_DENIED, code, "%s", row != NULL ? row->what : "");
    mu_agent_watch_run_hook(watch, entry, event, &err);
}

static bool tell_once(struct mu_agent_watch *watch, const struct mu_watch_entry *entry,
    struct mu_watch_look *look, enum told bit, enum mu_agent_event_kind kind, enum mu_reason code)
{
    if ((look->life.told & (uint32_t)bit) != 0)
        return false;
    look->life.told |= (uint32_t)bit;
    if (!look->is_dry)
        mu_agent_watch_emit(watch, entry->name, kind, code, 0, NULL);
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
    if (end_s != 0 && now_s >= end_s
        && tell_once(watch, entry, look, TOLD_EXPIRED, MU_AGENT_EVENT_EXPIRED, MU_M(601))) {
        told = true;
        if (!look->is_dry)
            hook(watch, entry, MU_AGENT_HOOK_EXPIRED, MU_M(601));
    }
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

    if (days < 0)
        return false;
    if (look->is_dry)
        return true;
    r->warned_s = now_s;
    mu_agent_watch_emit(watch, entry->name, MU_AGENT_EVENT_WARNING, code, days, NULL);
    hook(watch, entry, MU_AGENT_HOOK_WARNING, code);
    return true;
}

/* M801: one clock for all, so it is said once until it is right again. */
static void tell_clock(struct mu_agent_watch *watch, struct mu_watch_entry *entry, enum mu_reason why)
{
    if (why != MU_M(801)) {
        watch->clock_told = false;
        return;
    }
    if (!watch->clock_told)
        mu_agent_watch_emit(watch, NULL, MU_AGENT_EVENT_CLOCK, MU_M(801), 0, NULL);
    watch->clock_told = true;
    mu_agent_watch_run_clock(watch, entry->name);
}

/* ---- the record ---- */

bool mu_agent_watch_save(struct mu_agent_watch *watch, const char *name, const struct mu_agent_life *life)
{
    struct mu_keystore_lock *lock = NULL;
    struct mu_err err = {0};
    enum mu_code rc = mu_keystore_lock(watch->own.store, name, &lock, &err);

    if (rc == MU_OK)
        rc = mu_agent_life_write(watch->own.store, name, life, &err);
    mu_keystore_unlock(lock);
    if (rc != MU_OK && rc != MU_BUSY)
        mu_agent_watch_note(watch, name, &err);
    return rc == MU_OK;
}

/* A kill left the key of a request that is done, or was never sent: nobody will ask for it. While a
 * job runs it has the lock. */
static bool has_orphan(struct mu_agent_watch *watch, const char *name)
{
    return mu_keystore_has(watch->own.store, MU_KEYSTORE_STATE, name, "key")
        && !mu_keystore_has(watch->own.store, MU_KEYSTORE_STATE, name, "pending");
}

/* Settled again under the lock: whoever had it may have written meanwhile. */
static bool settle_and_save(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_agent_life *life)
{
    struct mu_keystore_lock *lock = NULL;
    struct mu_err err = {0};
    enum mu_code rc = mu_keystore_lock(watch->own.store, entry->name, &lock, &err);

    if (rc == MU_OK)
        rc = mu_agent_life_read(watch->own.store, entry->name, life, &err);
    if (rc == MU_OK && has_orphan(watch, entry->name))
        rc = mu_keystore_remove(watch->own.store, MU_KEYSTORE_STATE, entry->name, "key", &err);
    if (rc == MU_OK && mu_agent_life_settle(&watch->own, entry->name, life))
        rc = mu_agent_life_write(watch->own.store, entry->name, life, &err);
    if (rc == MU_OK && life->is_damaged) {
        mu_err_set(&err, MU_STORAGE, MU_REASON_NONE,
            "the record of %s (state/%s.life) was damaged and is made anew from the certificate; "
            "nothing is asked for until tomorrow", entry->name, entry->name);
        mu_agent_watch_note(watch, entry->name, &err);
    } else if (rc != MU_OK && rc != MU_BUSY) {
        mu_agent_watch_note(watch, entry->name, &err);
    }
    mu_keystore_unlock(lock);
    return rc == MU_OK;
}

static enum mu_code life_read(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look, bool *unsaved)
{
    struct mu_agent_life *life = &look->life;
    struct mu_err err = {0};
    enum mu_code rc = mu_agent_life_read(watch->own.store, entry->name, life, &err);

    *unsaved = false;
    if (rc != MU_OK) {
        mu_agent_watch_note(watch, entry->name, &err);
        return rc;
    }
    if (!mu_agent_life_settle(&watch->own, entry->name, life) && !has_orphan(watch, entry->name))
        return MU_OK;
    *unsaved = true;
    if (watch->saves_left > 0) {
        watch->saves_left--;
        *unsaved = !settle_and_save(watch, entry, life);
    }
    return MU_OK;
}

/* ---- the decision ---- */

struct facts {
    bool automation, online;
};

/* Without a protocol and a place to ask there is nothing to do by itself: made by file, or adopted.
 * Configured ones have both. */
static enum mu_code plan_read(struct mu_agent_watch *watch, struct mu_watch_entry *entry,
    struct mu_watch_look *look, struct facts *facts, struct mu_err *err)
{
    struct mu_agent_config_entry plan = {0};
    bool expired = mu_env_now(watch->own.env) >= look->life.life.not_after_s;
    enum mu_code rc;

    *facts = (struct facts){true, true};
    if (mu_agent_config_policy(
            watch->config.config, entry->name, &look->policy, &facts->automation)
        && !expired) /* only who has expired needs to know of a password */
        return MU_OK;
    if ((rc = mu_agent_life_policy(&watch->own, entry->name, &look->policy, err)) != MU_OK)
        return rc;
    if ((rc = mu_agent_entry_peek(&watch->own, entry->name, &plan, err)) != MU_OK)
        return rc;
    facts->automation = plan.automation;
    facts->online = plan.settings.protocol != NULL && plan.settings.url != NULL;
    mu_agent_config_entry_clear(&plan);
    return MU_OK;
}

/* A pair of the next CA is here already: it takes over when the present one ends. */
static bool next_waits(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct mu_keystore_saved saved;
    char stem[MU_KEYSTORE_STEM];
    int64_t now_s = mu_env_now(watch->own.env);

    if (look->decision.action != MU_LIFECYCLE_RENEW
        || !mu_keystore_next(watch->own.store, entry->name, stem))
        return false;
    look->decision.action = MU_LIFECYCLE_WAIT;
    look->decision.at_s = look->life.life.not_after_s + 1;
    if (now_s > look->life.life.not_after_s) {
        /* the next look adopts it */
        look->decision.at_s = now_s
            + (mu_agent_activate(&watch->own, entry->name, true, &saved, NULL) == MU_OK ? 0
                                                                                        : MINUTE_S);
    }
    return true;
}

/* max-await-result is over; it stays so across a restart of others, not of ours. */
static bool give_up(struct mu_watch_look *look)
{
    const struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_GAVE_UP};

    if (look->decision.why != MU_M(313) || look->life.life.stopped)
        return false;
    (void)mu_enroll_lifecycle_apply(&look->life.life, &what, &look->policy, 0);
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

void mu_agent_watch_hold(struct mu_agent_watch *watch, struct mu_watch_entry *entry, int64_t least_s)
{
    int64_t pause_s = MINUTE_S;

    for (unsigned i = 0; i < entry->holds && pause_s < HOUR_S; i++)
        pause_s *= 2;
    if (entry->holds < UINT8_MAX)
        entry->holds++;
    pause_s = pause_s < least_s ? least_s : pause_s > HOUR_S ? HOUR_S : pause_s;
    entry->hold_until_s = mu_env_now(watch->own.env) + pause_s
        + mu_enroll_lifecycle_share(
            mu_enroll_lifecycle_spread("", entry->name), entry->holds, pause_s / 5 + 1);
}

/* What is told has to be written, or it is told again; so it may have to wait for its turn. */
static void tell(struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look,
    bool *unsaved)
{
    struct mu_agent_life before = look->life;
    bool changed;

    look->is_dry = watch->saves_left == 0;
    if ((changed = resume(watch, entry, look)))
        mu_enroll_lifecycle_decide(
            &look->life.life, &look->policy, mu_env_now(watch->own.env), &look->decision);
    if (give_up(look)) {
        if (!look->is_dry)
            mu_agent_watch_emit(watch, entry->name, MU_AGENT_EVENT_PENDING, MU_M(313), 0, NULL);
        changed = true;
    }
    changed |= tell_rules(watch, entry, look);
    changed |= tell_days(watch, entry, look);
    if (!changed)
        return;
    watch->saves_left -= !look->is_dry;
    if (!look->is_dry && mu_agent_watch_save(watch, entry->name, &look->life))
        return;
    look->life = before;
    *unsaved = true;
}

static void decide(struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look,
    const struct facts *facts, bool *unsaved)
{
    int64_t now_s = mu_env_now(watch->own.env);

    if (look->life.life.sure_s > watch->sure_s)
        watch->sure_s = look->life.life.sure_s;
    look->policy.built_s = watch->config.built_s > watch->sure_s ? watch->config.built_s
                                                                 : watch->sure_s;
    mu_enroll_lifecycle_decide(&look->life.life, &look->policy, now_s, &look->decision);
    tell_clock(watch, entry, look->decision.why);
    if (look->decision.why == MU_M(801) && look->decision.action == MU_LIFECYCLE_WAIT)
        return; /* by this clock nothing is told either */
    tell(watch, entry, look, unsaved);
    if (!facts->automation || !facts->online) {
        look->decision.action = MU_LIFECYCLE_WAIT;
        look->decision.at_s = INT64_MAX;
    }
    (void)next_waits(watch, entry, look);
    if (look->decision.action != MU_LIFECYCLE_WAIT && entry->hold_until_s > now_s) {
        look->decision.action = MU_LIFECYCLE_WAIT;
        look->decision.at_s = entry->hold_until_s;
    }
}

enum mu_lifecycle_action mu_agent_watch_look(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct facts facts = {false, false};
    struct mu_err err = {0};
    int64_t now_s = mu_env_now(watch->own.env), at_s;
    bool unsaved = false;

    *look = (struct mu_watch_look){.decision = {.action = MU_LIFECYCLE_WAIT, .at_s = INT64_MAX}};
    entry->is_seen = true;
    if (life_read(watch, entry, look, &unsaved) != MU_OK) {
        mu_agent_watch_schedule(watch, entry, now_s + MINUTE_S);
        return MU_LIFECYCLE_WAIT;
    }
    if (plan_read(watch, entry, look, &facts, &err) != MU_OK) {
        mu_agent_watch_note(watch, entry->name, &err);
        mu_agent_watch_hold(watch, entry, 0);
        mu_agent_watch_schedule(watch, entry, entry->hold_until_s);
        return MU_LIFECYCLE_WAIT;
    }
    decide(watch, entry, look, &facts, &unsaved);
    if (entry->run != NULL) { /* a script is told; what is to be done comes behind it */
        mu_agent_watch_heap_take(&watch->heap, entry);
        mu_agent_watch_heap_take(&watch->ready, entry);
        return MU_LIFECYCLE_WAIT;
    }
    if (look->decision.action != MU_LIFECYCLE_WAIT)
        return look->decision.action;
    at_s = look->decision.at_s;
    if (unsaved) {
        int64_t soon_s = now_s + 1
            + mu_enroll_lifecycle_share(
                mu_enroll_lifecycle_spread("", entry->name), (uint64_t)now_s,
                watch->entry_n > 1000 ? UNSAVED_S : MINUTE_S);

        at_s = at_s < soon_s ? at_s : soon_s;
    }
    mu_agent_watch_schedule(watch, entry, at_s);
    return MU_LIFECYCLE_WAIT;
}
