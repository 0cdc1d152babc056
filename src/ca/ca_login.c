/*
 * Who a message says he is, looked up before its engine reads on: the password of the entry it
 * names, and whether its certificate is one of ours. Wrong passwords are counted by address and by
 * the name they were tried on; nothing here is slow on purpose.
 */
#include <stdio.h>

#include "base/text.h"
#include "ca/ca_job.h"
#include "ca/ca_seal.h"
#include "pki/pki_name.h"

static bool is_for(const struct mu_ca_job *job, const struct mu_record_entry *entry)
{
    return entry != NULL && (entry->protocols & (MU_RECORD_ENTRY_SRP | MU_RECORD_ENTRY_KEY)) == 0 && entry->sealed.n != 0
        && (*entry->ca == '\0' || strcmp(entry->ca, job->one->name) == 0);
}

static void on_looked(void *cookie)
{
    struct mu_ca_job *job = cookie;

    job->logged_in(job);
}

/* A stranger's certificate may be in the record of another CA of ours. */
static void go_on(struct mu_ca_job *job)
{
    if (job->is_recorded)
        job->logged_in(job);
    else
        mu_ca_stranger_look(job, on_looked, job);
}

/* Whether an entry is disabled or used up is said later, to who knows its password. */
static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct mu_ca_job *job = cookie;
    struct mu_err why = {0};

    if (facts->err != NULL) {
        why = *facts->err;
        mu_err_narrow(&why, MU_REFUSE_INTERNAL);
        mu_ca_job_refuse(job, &why);
        return;
    }
    if (facts->cert != NULL && mu_bytes_equal(facts->cert->der, job->claim.signer->der)) {
        job->is_recorded = true;
        job->is_revoked = facts->cert->revoked_s != 0;
    }
    if (is_for(job, facts->entry)
        && mu_ca_unseal(job->ca, MU_CA_SEAL_ENTRY, facts->entry->name, facts->entry->sealed,
               &job->password, &why)
            == MU_OK)
        job->credential.password = &job->password;
    else if (why.code != MU_OK)
        mu_ca_record_said(job, "password", why.what);
    else if (facts->entry != NULL && facts->entry->sealed.n == 0)
        mu_ca_record_said(job, "password", "the entry was made before passwords were sealed: "
                                           "muster-ca entry passwd gives it one");
    go_on(job);
}

void mu_ca_login(struct mu_ca_job *job, void (*next)(struct mu_ca_job *))
{
    const struct mu_pki_cert *signer = job->claim.signer;
    struct mu_store_ask ask = {.ca = job->one->name, .proto = job->way->proto};

    job->logged_in = next;
    if (job->claim.entry != NULL) {
        if (!mu_ca_rate_may_guess(job->ca->rate, job->address, job->now_s)
            || !mu_ca_rate_may_guess_of(job->ca->rate, job->claim.entry, job->now_s)) {
            mu_ca_record_refuse(job, MU_REFUSE_RATE);
            return;
        }
        ask.entry_name = job->claim.entry;
    }
    if (signer != NULL && mu_pki_name_equal(signer->issuer, job->one->ca.certs.v[0]->subject))
        ask.serial = mu_enroll_record_serial(signer->serial);
    if (ask.entry_name == NULL && ask.serial.n == 0)
        go_on(job);
    else
        job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, job);
}

void mu_ca_login_failed(struct mu_ca_job *job)
{
    char shown[120];

    mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
    if (job->claim.entry == NULL)
        return;
    mu_ca_rate_wrong_guess_of(job->ca->rate, job->claim.entry, job->now_s);
    snprintf(job->hint, sizeof job->hint, "It was tried as user '%s'.",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(job->claim.entry)));
}

void mu_ca_login_srp_right(struct mu_ca_job *job)
{
    mu_ca_rate_right_guess_of(job->ca->rate, job->claim.entry, job->now_s);
}

/* ---- TLS-SRP ---- */

struct srp {
    const struct mu_ca *ca;
    struct mu_secret *password;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done, ok;
};

static bool may_log_in(const struct mu_record_entry *e, int64_t now_s)
{
    return e != NULL && e->protocols & MU_RECORD_ENTRY_SRP && !e->disabled
        && (e->expires_s == 0 || e->expires_s > now_s);
}

static void on_srp(void *cookie, const struct mu_store_facts *facts)
{
    struct srp *x = cookie;
    const struct mu_record_entry *e = facts->entry;

    x->ok = facts->err == NULL;
    if (x->ok && may_log_in(e, mu_env_now(x->ca->config.env)))
        (void)!mu_ca_unseal(x->ca, MU_CA_SEAL_ENTRY, e->name, e->sealed, x->password, NULL);
    pthread_mutex_lock(&x->lock);
    x->is_done = true;
    pthread_cond_signal(&x->ready);
    pthread_mutex_unlock(&x->lock);
}

bool mu_ca_srp(struct mu_ca *ca, const char *user, uint8_t salt[MU_CA_SRP_SALT],
    struct mu_secret *password)
{
    struct srp x = {
        ca, password, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
    const struct mu_store_ask ask = {.proto = MU_PROTO_EST, .entry_name = user};

    if (mu_ca_seal_salt(ca, user, salt, NULL) != MU_OK)
        return false;
    if (!mu_ca_rate_may_guess_of(ca->rate, user, mu_env_now(ca->config.env)))
        return true; /* as if nobody had this name */
    /* How the handshake ends is not told here, so each counts until a request comes through it. */
    mu_ca_rate_wrong_guess_of(ca->rate, user, mu_env_now(ca->config.env));
    ca->config.store->ops->ask(ca->config.store, &ask, on_srp, &x);
    pthread_mutex_lock(&x.lock);
    while (!x.is_done)
        pthread_cond_wait(&x.ready, &x.lock);
    pthread_mutex_unlock(&x.lock);
    return x.ok;
}
