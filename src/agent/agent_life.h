/*
 * The lifecycle record of an entry on disk, state/<name>.life: what enroll/enroll_lifecycle.h remembers,
 * and beside it what saves looking: whose facts these are (the certificate file's stamp), so that nothing
 * is decoded while nothing changed. Each job updates it under the entry's lock, whoever started it, so that
 * agent, timer, cron and hand see one history.
 */
#ifndef MU_AGENT_LIFE_H
#define MU_AGENT_LIFE_H

#include "agent/agent.h"
#include "enroll/enroll_lifecycle.h"

struct mu_agent_life {
    struct mu_lifecycle life;
    bool asked_by_person;     /* the request that is out */
    uint32_t told;            /* bits of what was said since this certificate came; the watch's own */
    int64_t ca_not_after_s;   /* the nearest end among the CA certificates of its chain; 0: not known */
    int64_t ca_looked_s;      /* when a successor was asked for */
    struct mu_keystore_stamp cert; /* the facts of life are of this file */
    /* as it was read */
    bool is_missing, is_damaged;
};

/* A name without a record: is_missing, MU_OK. One that cannot be read as a whole: is_damaged, MU_OK,
 * nothing but that. */
enum mu_code mu_agent_life_read(struct mu_keystore *store, const char *name,
    struct mu_agent_life *out, struct mu_err *err) MU_CHECK;
/* The caller holds the entry's lock. */
enum mu_code mu_agent_life_write(struct mu_keystore *store, const char *name,
    const struct mu_agent_life *life, struct mu_err *err) MU_CHECK;
/* Brings a record in line with the files: a certificate that somebody else put there or took away, a
 * request that a kill left or took, a clock that went back. After damage the cap of the day counts as
 * used up. True if it should be written. Decodes only what changed. */
bool mu_agent_life_settle(struct mu_agent *agent, const char *name, struct mu_agent_life *life);
/* Read, settled, told what happened (NULL: nothing but what the files say), written; the caller holds the entry's lock. */
enum mu_code mu_agent_life_happened(struct mu_agent *agent, const char *name,
    const struct mu_lifecycle_happened *what, struct mu_err *err) MU_CHECK;

/* For status and metrics. A name without one: {0}, MU_OK. */
enum mu_code mu_agent_life_load(struct mu_keystore *store, const char *name, struct mu_lifecycle *out,
    struct mu_err *err) MU_CHECK;
/* The caller holds the entry's lock. */
enum mu_code mu_agent_life_store(struct mu_keystore *store, const char *name,
    const struct mu_lifecycle *record, struct mu_err *err) MU_CHECK;

/* Policy of an entry: by the configuration, or, for one made by hand, by its settings. */
enum mu_code mu_agent_life_policy(struct mu_agent *agent, const char *name,
    struct mu_lifecycle_policy *out, struct mu_err *err) MU_CHECK;
/* The same where the entry is at hand; NULL: the configuration does not have it. */
enum mu_code mu_agent_life_policy_of(struct mu_agent *agent, const char *name,
    const struct mu_agent_config_entry *entry, struct mu_lifecycle_policy *out, struct mu_err *err)
    MU_CHECK;
/* Has something to be done with a certificate of this entry (hooks, recipes, checks)? */
bool mu_agent_life_needs_deploy(const struct mu_agent_config_entry *entry);
/* Seconds since 1970 behind "allowed from" in a CA's words; 0: it names none. */
int64_t mu_agent_life_allowed_from(const char *words);

#endif
