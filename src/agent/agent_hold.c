/*
 * A pair that is saved and not switched to until it is deployed: a script of hooks.d/pre is still to be
 * asked, or its time has not come (M802). The keystore keeps it as the one that waits; state/<name>.deploy
 * says that it waits for this, and not for the end of the present one.
 */
#include <stdio.h>

#include "agent/agent_deploy_internal.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "base/time.h"

bool mu_agent_hold_wanted(const struct mu_agent *agent, const struct mu_pki_cert *cert)
{
    return agent->deploys
        && (cert->not_before_s > mu_env_now(agent->env) + MU_AGENT_DEPLOY_SOON_S
            || mu_agent_deploy_has_pre(agent));
}

enum mu_code mu_agent_hold_mark(
    struct mu_agent *agent, const char *name, const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_agent_deploy_record record;
    struct mu_buf serial = {.max = MU_KEYSTORE_STEM};
    enum mu_code rc;

    mu_pki_cert_serial_hex(cert->serial, &serial);
    rc = mu_buf_check(&serial, "a serial number", err);
    if (rc == MU_OK && (rc = mu_agent_deploy_record_load(agent->store, name, &record, err)) == MU_OK) {
        snprintf(record.held, sizeof(record.held), "%s", mu_buf_str(&serial));
        rc = mu_agent_deploy_record_store(agent->store, name, &record, err);
        mu_agent_deploy_record_clear(&record);
    }
    mu_buf_clear(&serial);
    return rc;
}

bool mu_agent_hold_load(struct mu_agent *agent, const char *name, struct mu_keystore_entry *out)
{
    struct mu_agent_deploy_record record;
    struct mu_buf serial = {.max = MU_KEYSTORE_STEM};
    char stem[MU_KEYSTORE_STEM];
    bool held = false;

    if (!mu_keystore_next(agent->store, name, stem)
        || mu_agent_deploy_record_load(agent->store, name, &record, NULL) != MU_OK)
        return false;
    if (record.held[0] != '\0' && mu_keystore_load_serial(agent->store, name, stem, out, NULL) == MU_OK) {
        mu_pki_cert_serial_hex(out->cert->serial, &serial);
        held = strcmp(mu_buf_str(&serial), record.held) == 0;
        if (!held)
            mu_keystore_entry_clear(out);
    }
    mu_agent_deploy_record_clear(&record);
    mu_buf_clear(&serial);
    return held;
}

bool mu_agent_deploy_held(struct mu_agent *agent, const char *name, char stem[MU_KEYSTORE_STEM])
{
    struct mu_keystore_entry entry = {.stem = ""};
    bool held = mu_agent_hold_load(agent, name, &entry);

    if (held && stem != NULL)
        snprintf(stem, MU_KEYSTORE_STEM, "%s", entry.stem);
    mu_keystore_entry_clear(&entry);
    return held;
}

/* The lifecycle record knows this certificate since it was saved. */
static void life_switched(struct mu_agent *agent, const char *name)
{
    struct mu_agent_life life;

    if (mu_agent_life_read(agent->store, name, &life, NULL) == MU_OK && !life.is_missing
        && mu_keystore_stamp(agent->store, name, &life.cert)
        && mu_agent_life_write(agent->store, name, &life, NULL) == MU_OK)
        return;
    /* It is seen as a change from outside, which comes to the same. */
}

enum mu_code mu_agent_hold_switch(
    struct mu_agent *agent, const char *name, struct mu_keystore_saved *saved, struct mu_err *err)
{
    enum mu_code rc = mu_keystore_activate(agent->store, name, saved, err);

    if (rc == MU_OK)
        life_switched(agent, name);
    return rc;
}

void mu_agent_hold_tell(struct mu_agent_job *job)
{
    struct mu_keystore_entry entry = {.stem = ""};
    char until[MU_TIME_TEXT], from[MU_TIME_TEXT];

    if (!mu_agent_hold_load(job->agent, job->name, &entry))
        return;
    mu_agent_job_step(job, MU_AGENT_STEP_STATUS, "SUCCESS");
    mu_agent_job_step(job, MU_AGENT_STEP_ISSUED, "serial %s, until %s", entry.stem,
        mu_time_plain(entry.cert->not_after_s, until));
    if (job->changed != NULL)
        mu_agent_job_step(job, MU_AGENT_STEP_CHANGED, "the CA: %s", job->changed);
    if (entry.cert->not_before_s > mu_env_now(job->agent->env))
        mu_agent_job_step(job, MU_AGENT_STEP_SAVED, "%s: %s.crt, %s.key (0600), M802: not valid before %s",
            job->name, entry.stem, entry.stem, mu_time_plain(entry.cert->not_before_s, from));
    else
        mu_agent_job_step(job, MU_AGENT_STEP_SAVED, "%s: %s.crt, %s.key (0600), not yet in use: hooks.d/pre is asked",
            job->name, entry.stem, entry.stem);
    mu_keystore_entry_clear(&entry);
}
