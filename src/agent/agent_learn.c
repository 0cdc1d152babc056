/*
 * CA certificates that a server hands out about itself (EST's cacerts): those that a CA known here
 * vouches for are kept with it, with the server they came from (E048, E054; RFC 7030 4.1.3).
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "pki/pki_name.h"

static bool verifies(
    struct mu_agent_job *job, const struct mu_pki_certs *all, struct mu_pki_cert *cert)
{
    const struct mu_pki_path_opts opts = {.now_s = mu_env_now(job->agent->env),
        .partial = true,
        .allow_legacy = job->agent->allow_legacy || job->settings.allow_legacy > 0};

    return mu_pki_path_check(cert, all, &job->trusted.certs, &opts, NULL) == MU_OK;
}

/* A new root is vouched for by its twin NewWithOld: same name, same key, signed by the old one
 * (EST-35, RFC 9810 4.4.2). */
static bool vouched_for(
    struct mu_agent_job *job, const struct mu_pki_certs *all, struct mu_pki_cert *cert)
{
    if (verifies(job, all, cert))
        return true;
    if (!mu_pki_cert_is_self_signed(cert))
        return false;
    for (size_t i = 0; i < all->n; i++) {
        struct mu_pki_cert *twin = all->v[i];

        if (!mu_pki_cert_is_self_signed(twin) && mu_pki_name_equal(twin->subject, cert->subject)
            && mu_bytes_equal(twin->spki, cert->spki) && verifies(job, all, twin))
            return true;
    }
    return false;
}

/* Links between an old and a new root are no CAs of their own. */
static bool is_link(struct mu_pki_cert *cert)
{
    return !mu_pki_cert_is_self_signed(cert) && mu_pki_name_equal(cert->subject, cert->issuer);
}

bool mu_agent_job_may_learn(
    struct mu_agent_job *job, const struct mu_pki_certs *all, struct mu_pki_cert *cert)
{
    return mu_pki_cert_is_ca(cert) && !is_link(cert) && vouched_for(job, all, cert);
}

static enum mu_code learn_one(struct mu_agent_job *job, struct mu_pki_cert *cert, struct mu_err *err)
{
    const struct mu_agent_settings *s = &job->settings;
    char used[MU_KEYSTORE_NAME], name[MU_KEYSTORE_NAME], from[2400];
    struct mu_pki_cert *present = NULL;
    enum mu_code rc = MU_OK;

    if (!mu_keystore_ca_name(job->agent->store, cert, used)) {
        mu_agent_trust_name(cert, name);
        if (name[0] != '\0' && mu_keystore_ca_get(job->agent->store, name, &present, NULL) == MU_OK)
            name[0] = '\0'; /* another one's */
        mu_pki_cert_free(present);
        rc = mu_keystore_ca_add(
            job->agent->store, name[0] != '\0' ? name : NULL, cert, false, used, err);
        if (rc == MU_OK && job->has_entry)
            mu_agent_job_event_ca(job, used);
    }
    if (rc != MU_OK)
        return rc;
    snprintf(from, sizeof(from), "%s %s, source address %s, CA identifier %s", s->protocol,
        s->url,
        s->source_ip != NULL ? s->source_ip : "none",
        s->ca_identifier != NULL ? s->ca_identifier : "none");
    return mu_keystore_ca_from_put(job->agent->store, used, from, err);
}

/* CMP-71: the engine has found that the new certificate leads up to one of these, and its MAC vouches
 * for them. */
static enum mu_code learn_ca_pubs(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_result r;
    enum mu_code rc = MU_OK;

    if (job->settings.trust_ca_pubs <= 0 || job->settings.client_cert != NULL || job->has_entry)
        return MU_OK;
    mu_client_result(job->client, &r);
    if (r.ca_certs == NULL || r.cert == NULL || r.over)
        return MU_OK;
    job->learned = true;
    for (size_t i = 0; rc == MU_OK && i < r.ca_certs->n; i++) {
        struct mu_pki_cert *cert = r.ca_certs->v[i];

        if (mu_pki_cert_is_ca(cert) && mu_pki_cert_is_self_signed(cert))
            rc = learn_one(job, cert, err);
    }
    return rc;
}

enum mu_code mu_agent_job_learn(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_result r;
    enum mu_code rc = MU_OK;

    if (job->learned || job->bootstrap)
        return MU_OK;
    if (mu_agent_settings_is_cmp(&job->settings))
        return learn_ca_pubs(job, err);
    if (!mu_agent_settings_is_est(&job->settings))
        return MU_OK;
    mu_client_result(job->client, &r);
    if (r.ca_certs == NULL)
        return MU_OK;
    job->learned = true;
    for (size_t i = 0; rc == MU_OK && i < r.ca_certs->n; i++) {
        struct mu_pki_cert *cert = r.ca_certs->v[i];

        if (mu_agent_job_may_learn(job, r.ca_certs, cert))
            rc = learn_one(job, cert, err);
    }
    return rc;
}
