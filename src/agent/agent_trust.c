/* A CA that is not known here: which certificate is asked about, its name, and keeping it. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/text.h"
#include "pki/pki_name.h"

/* Root if it is among them, else the first CA, else the first. */
static struct mu_pki_cert *trust_choose(const struct mu_pki_certs *certs)
{
    struct mu_pki_cert *ca = NULL;

    for (size_t i = 0; i < certs->n; i++) {
        if (mu_pki_cert_is_ca(certs->v[i]) && mu_pki_cert_is_self_signed(certs->v[i]))
            return certs->v[i];
        if (ca == NULL && mu_pki_cert_is_ca(certs->v[i]))
            ca = certs->v[i];
    }
    return ca != NULL ? ca : certs->n > 0 ? certs->v[0] : NULL;
}

/* "Corp CA 1" becomes Corp-CA-1; without a usable CN it is CA_Cert_N, chosen when it is stored. */
void mu_agent_trust_name(const struct mu_pki_cert *ca, char name[MU_KEYSTORE_NAME])
{
    struct mu_buf cn = {0};
    size_t n = 0;

    if (mu_pki_name_get(ca->subject, "CN", &cn)) {
        for (size_t i = 0; i < cn.n && n < 64; i++) {
            char c = (char)cn.p[i];
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                || strchr("._-", c) != NULL;

            if (plain && c != '\0')
                name[n++] = c;
            else if (n > 0 && name[n - 1] != '-')
                name[n++] = '-';
        }
        while (n > 0 && name[n - 1] == '-')
            n--;
    }
    name[n] = '\0';
    if (!mu_text_is_entry_name(name))
        name[0] = '\0';
    mu_buf_clear(&cn);
}

/* Another CA has this name already: then a number. */
static void trust_name_settle(struct mu_agent_job *job, const struct mu_pki_cert *ca)
{
    struct mu_pki_cert *present = NULL;

    mu_agent_trust_name(ca, job->trust_name);
    if (job->trust_name[0] != '\0'
        && mu_keystore_ca_get(job->agent->store, job->trust_name, &present, NULL) == MU_OK
        && !mu_pki_cert_equal(present, ca))
        job->trust_name[0] = '\0';
    mu_pki_cert_free(present);
}

void mu_agent_job_ask_trust(
    struct mu_agent_job *job, struct mu_client *client, const struct mu_pki_certs *certs)
{
    struct mu_pki_cert *ca = trust_choose(certs);
    struct mu_agent_trust question = {.ca = ca};
    char *subject = NULL, *sha256 = NULL;

    if (ca == NULL || mu_agent_name_text(ca->subject, false, &subject, NULL) != MU_OK
        || mu_agent_fingerprint(ca, &sha256, NULL) != MU_OK) {
        mu_client_trust(client, false);
    } else {
        mu_pki_cert_free(job->trust_ca);
        job->trust_ca = mu_pki_cert_ref(ca);
        trust_name_settle(job, ca);
        question.subject = subject;
        question.sha256 = sha256;
        question.name = job->trust_name[0] != '\0' ? job->trust_name : "CA_Cert";
        if (job->host.on_trust != NULL)
            job->host.on_trust(job->host.ctx, job, &question);
        else
            mu_client_trust(client, false);
    }
    free(subject);
    free(sha256);
}

/* Kept before it is used, and named in the entry's settings. */
static enum mu_code trust_keep(struct mu_agent_job *job, struct mu_err *err)
{
    const char *name = job->trust_name[0] != '\0' ? job->trust_name : NULL;
    char used[MU_KEYSTORE_NAME], both[512];
    enum mu_code rc;

    rc = mu_keystore_ca_add(job->agent->store, name, job->trust_ca, false, used, err);
    if (rc != MU_OK)
        return rc;
    snprintf(job->trust_name, sizeof(job->trust_name), "%s", used);
    snprintf(both, sizeof(both), "%s%s%s", job->settings.trust != NULL ? job->settings.trust : "",
        job->settings.trust != NULL ? ", " : "", used);
    if ((rc = mu_agent_settings_set(&job->settings, "trust", both, err)) != MU_OK)
        return rc;
    return mu_agent_settings_store(job->agent->store, job->name, &job->settings, err);
}

enum mu_code mu_agent_job_trust_pinned(
    struct mu_agent_job *job, const struct mu_pki_certs *certs, struct mu_err *err)
{
    for (size_t i = 0; i < certs->n; i++) {
        if (memcmp(certs->v[i]->sha256, job->trusted.pin, sizeof(job->trusted.pin)) != 0)
            continue;
        mu_pki_cert_free(job->trust_ca);
        job->trust_ca = mu_pki_cert_ref(certs->v[i]);
        trust_name_settle(job, certs->v[i]);
        job->trust_given = true;
        return trust_keep(job, err);
    }
    return mu_err_set(err, MU_AUTH, MU_M(211), "no CA certificate of the server has the pinned SHA-256");
}

void mu_agent_job_trust(struct mu_agent_job *job, bool yes)
{
    if (job->client == NULL)
        return;
    if (yes && job->trust_ca != NULL && trust_keep(job, &job->err) != MU_OK)
        yes = false; /* job->err tells why at the end */
    job->trust_given = yes && job->trust_ca != NULL;
    mu_client_trust(job->client, yes);
}
