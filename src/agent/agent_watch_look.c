/* One look at an entry: what the files say now, what is to be told, what is to be done. */
#include "agent/agent_watch_internal.h"

#include <stdlib.h>

#include "agent/agent_entry.h"

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    UNSAVED_S = 10 * MINUTE_S, /* records that could not be written yet are written within so long */
};

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

/* A pair of the next CA is here already: it takes over when the present one ends. Not so one whose
 * request is still out: a kill came between its saving and its confirmation. */
static bool next_waits(
    struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look)
{
    struct mu_keystore_saved saved;
    char stem[MU_KEYSTORE_STEM];
    int64_t now_s = mu_env_now(watch->own.env);

    if (look->decision.action != MU_LIFECYCLE_RENEW
        || !mu_keystore_next(watch->own.store, entry->name, stem)
        || mu_keystore_has(watch->own.store, MU_KEYSTORE_STATE, entry->name, "pending"))
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

static void decide(struct mu_agent_watch *watch, struct mu_watch_entry *entry, struct mu_watch_look *look,
    const struct facts *facts, bool *unsaved)
{
    int64_t now_s = mu_env_now(watch->own.env);

    if (look->life.life.sure_s > watch->sure_s)
        watch->sure_s = look->life.life.sure_s;
    look->policy.built_s = watch->config.built_s > watch->sure_s ? watch->config.built_s
                                                                 : watch->sure_s;
    mu_enroll_lifecycle_decide(&look->life.life, &look->policy, now_s, &look->decision);
    mu_agent_watch_tell_clock(watch, entry, look);
    if (look->decision.why == MU_M(801) && look->decision.action == MU_LIFECYCLE_WAIT)
        return; /* by this clock nothing is told either */
    if (!mu_agent_watch_tell(watch, entry, look))
        *unsaved = true;
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
    if (entry->ca_changed) {
        entry->ca_changed = false;
        mu_agent_watch_run_hook(watch, entry, MU_AGENT_HOOK_CA_CHANGED, NULL);
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
