/*
 * Who sent a CMP message: an enrollment entry, found by the reference that the message names; a
 * certificate of ours, byte for byte as it stands in the record; or one below the CA's client-ca.
 * A reference that nobody has and a wrong MAC say little to the sender and all to the operator.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_cmp.h"
#include "ca/ca_seal.h"
#include "pki/pki_name.h"
#include "proto/cmp/cmp_server.h"
#include "store/store_row.h"

enum { NEAR_MAX = 1000, POLL_WINDOW_S = 30 * 86400, DEVICE_OCTETS = 15 };

/* A lookup under way. */
struct who {
    struct mu_ca_job *job;
    void (*next)(struct mu_ca_job *job);
    char *names[NEAR_MAX + 1]; /* of the other entries */
    size_t n;
};

static void who_free(struct who *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->names[i]);
    free(w);
}

/* Guesses are counted by address and by reference: many addresses guess no better at one entry. */
static bool may_guess(const struct mu_ca_job *job)
{
    return mu_ca_rate_may_guess(job->ca->rate, job->address, job->now_s)
        && (job->claim.entry == NULL
            || mu_ca_rate_may_guess_of(job->ca->rate, job->claim.entry, job->now_s));
}

void mu_ca_cmp_who_guessed(struct mu_ca_job *job)
{
    mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
    mu_ca_rate_wrong_guess_of(job->ca->rate, job->claim.entry, job->now_s);
    mu_ca_record_said(job, "MAC", "wrong");
}

/* ---- entries ---- */

/* '*' stands for any characters. */
bool mu_ca_cmp_who_fits(const char *glob, const char *name)
{
    const char *star = NULL, *back = NULL;

    while (*name != '\0') {
        if (*glob == '*') {
            star = glob++;
            back = name;
        } else if (*glob == *name) {
            glob++;
            name++;
        } else if (star != NULL) {
            glob = star + 1;
            name = ++back;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

/* D10: each device of a wildcard entry has a secret of its own, so one that is lost speaks for no
 * other. 120 bits in lower-case base32. */
enum mu_code mu_ca_cmp_who_derive(
    struct mu_bytes master, const char *reference, struct mu_secret *out, struct mu_err *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    char label[96], text[DEVICE_OCTETS * 8 / 5];
    uint8_t mac[32];
    enum mu_code rc;

    snprintf(label, sizeof label, "cmp device %.80s", reference);
    if (!mu_pki_hmac_sha256(master, mu_bytes_str(label), mac))
        return mu_err_set(err, MU_INTERNAL, MU_REFUSE_INTERNAL, "HMAC-SHA-256 failed");
    for (size_t i = 0; i < sizeof text; i++) {
        unsigned pair = (unsigned)mac[i * 5 / 8] << 8 | mac[i * 5 / 8 + 1];

        text[i] = alphabet[pair >> (11 - i * 5 % 8) & 31];
    }
    rc = mu_secret_set(out, mu_bytes(text, sizeof text), err);
    mu_bytes_wipe(mac, sizeof mac);
    mu_bytes_wipe(text, sizeof text);
    return rc;
}

static bool is_for_us(const struct mu_ca_job *job, const struct mu_record_entry *e)
{
    return (e->protocols == 0 || (e->protocols & (1u << MU_PROTO_CMP)))
        && (*e->ca == '\0' || strcmp(e->ca, job->one->name) == 0);
}

static void go_on(struct who *w)
{
    struct mu_ca_job *job = w->job;
    void (*next)(struct mu_ca_job *) = w->next;

    who_free(w);
    next(job);
}

/* The refusal takes as long as a wrong MAC of a known reference: its key is derived and its MAC
 * computed, with a secret that nobody was given. */
static void refuse_unknown(struct who *w, const char *hint)
{
    struct mu_ca_job *job = w->job;
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_err err = {0};

    snprintf(job->hint, sizeof job->hint, "%s", hint);
    mu_ca_rate_wrong_guess(job->ca->rate, job->address, job->now_s);
    mu_secret_clear(&cmp->password);
    if (mu_ca_cmp_who_derive(mu_secret_bytes(&job->ca->secret),
            job->claim.entry != NULL ? job->claim.entry : "", &cmp->password, &err)
        != MU_OK) {
        who_free(w);
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    cmp->is_unknown = true;
    job->credential.password = &cmp->password;
    go_on(w);
}

/* The secret of the entry, which the engine will check the MAC with. */
static void use_entry(struct who *w)
{
    struct mu_ca_job *job = w->job;
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_entry *e = cmp->entry;
    struct mu_secret own = {0};
    struct mu_err err = {0};
    char hint[sizeof job->hint];
    enum mu_code rc;

    if (!is_for_us(job, e)) {
        snprintf(hint, sizeof hint, "Entry \"%.64s\" is not for CMP, or for another CA.", e->name);
        refuse_unknown(w, hint);
        return;
    }
    rc = mu_ca_unseal(job->ca, MU_CA_SEAL_ENTRY, e->name, e->sealed, &own, &err);
    if (rc == MU_OK && strchr(e->name, '*') != NULL)
        rc = mu_ca_cmp_who_derive(mu_secret_bytes(&own), job->claim.entry, &cmp->password, &err);
    else if (rc == MU_OK)
        rc = mu_secret_set(&cmp->password, mu_secret_bytes(&own), &err);
    mu_secret_clear(&own);
    if (rc != MU_OK) {
        snprintf(job->hint, sizeof job->hint,
            "Entry \"%.64s\" has no secret to compute a MAC with; give it one: muster-ca entry "
            "passwd",
            e->name);
        who_free(w);
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    job->credential.password = &cmp->password;
    go_on(w);
}

/* Of the names, that which begins most like the reference: what people mistype is the end. */
static const char *by_beginning(const struct who *w, const char *reference)
{
    const char *best = NULL;
    size_t most = 2, n;

    for (size_t i = 0; i < w->n; i++) {
        for (n = 0; reference[n] != '\0' && reference[n] == w->names[i][n]; n++)
            ;
        if (n > most) {
            most = n;
            best = w->names[i];
        }
    }
    return best;
}

static bool on_name(void *cookie, const struct mu_record_entry *row, const struct mu_err *err)
{
    struct who *w = cookie;
    struct mu_ca_job *job = w->job;
    char asked[80], hint[sizeof job->hint];
    const char *near;

    if (row != NULL && w->n < NEAR_MAX) {
        w->n += mu_text_dup(row->name, &w->names[w->n], NULL) == MU_OK;
        return true;
    }
    near = mu_text_nearest(job->claim.entry, (const char *const *)w->names);
    if (near == NULL)
        near = by_beginning(w, job->claim.entry);
    mu_text_escape_to(asked, sizeof asked, mu_bytes_str(job->claim.entry));
    snprintf(hint, sizeof hint, near != NULL ? "Reference \"%s\"; near: \"%.64s\"."
                                             : "Reference \"%s\"; no name is near.",
        asked, near);
    refuse_unknown(w, hint);
    return false;
}

static bool on_wildcard(void *cookie, const struct mu_record_entry *row, const struct mu_err *err)
{
    struct who *w = cookie;
    struct mu_ca_job *job = w->job;
    const struct mu_enroll_profile *profile;

    if (row != NULL) {
        profile = mu_ca_snapshot_profile(job->snapshot, row->profile);
        if (profile == NULL || !profile->wildcard || !mu_ca_cmp_who_fits(row->name, job->claim.entry)
            || !mu_text_is_entry_name(job->claim.entry))
            return true;
        mu_ca_cmp_of(job)->entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, row);
        if (mu_ca_cmp_of(job)->entry == NULL)
            return true;
        use_entry(w);
        return false;
    }
    job->ca->config.store->ops->entries(
        job->ca->config.store, &(struct mu_store_filter){.limit = NEAR_MAX}, on_name, w);
    return false;
}

static void find_entry(struct who *w)
{
    struct mu_ca_job *job = w->job;
    const struct mu_store_filter filter = {.only_wildcard = true};

    if (mu_ca_cmp_of(job)->entry != NULL)
        use_entry(w);
    else if (job->claim.entry == NULL)
        refuse_unknown(w, "The message names no reference.");
    else
        job->ca->config.store->ops->entries(job->ca->config.store, &filter, on_wildcard, w);
}

/* ---- certificates ---- */

static bool is_named_ra(const struct mu_ca_job *job, const struct mu_pki_cert *cert)
{
    for (size_t i = 0; i < job->one->cmp_ra.n; i++)
        if (mu_pki_cert_equal(cert, job->one->cmp_ra.v[i]))
            return true;
    return false;
}

/* One of ours with cmcRA, in force: only an operator's approval makes such certificates (CMP-59). Or
 * one that the configuration names, whoever issued it; of ours, it must not be revoked. */
static bool is_ra(const struct mu_ca_job *job, const struct mu_pki_cert *cert,
    const struct mu_record_cert *row, bool is_ours)
{
    bool is_named = is_named_ra(job, cert);

    if (cert->not_before_s > job->now_s || job->now_s > cert->not_after_s)
        return false;
    if (is_named && !is_ours)
        return true;
    return row != NULL && mu_bytes_equal(row->der, cert->der) && row->revoked_s == 0
        && (is_named || (cert->exts.has_eku && (cert->exts.eku & MU_EKU_CMC_RA)));
}

/* CMP-23. Whether it is still valid is asked where it matters: a certConf may be signed by one that
 * its successor has revoked. */
static enum mu_code check_signer(struct mu_ca_job *job, struct mu_err *err)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_pki_cert *signer = job->claim.signer;

    if (job->is_ours) {
        if (cmp->signer_row == NULL || !mu_bytes_equal(cmp->signer_row->der, signer->der))
            return mu_ca_refusal(err, MU_REFUSE_SIGNER_UNTRUSTED);
        cmp->is_ra = is_ra(job, signer, cmp->signer_row, true);
        if (job->claim.outer == NULL)
            job->credential.ra_verified_ok = cmp->is_ra;
        return MU_OK;
    }
    cmp->is_external = true;
    cmp->is_ra = is_ra(job, signer, NULL, false);
    if (cmp->is_ra && job->claim.outer == NULL)
        job->credential.ra_verified_ok = true;
    if (cmp->is_ra)
        return MU_OK;
    if (cmp->kept_signer != NULL) /* looked at when the transaction began */
        return MU_OK;
    if (job->one->client_ca.n == 0)
        return mu_ca_refusal(err, MU_REFUSE_SIGNER_UNTRUSTED);
    if (mu_ca_stranger_check(job, job->one->allow_legacy, err) != MU_OK) {
        if (err->reason != MU_REFUSE_SIGNER_REVOKED)
            mu_err_narrow(err, MU_REFUSE_SIGNER_UNTRUSTED);
        return MU_DENIED;
    }
    return MU_OK;
}

static bool is_ours(const struct mu_ca_job *job, const struct mu_pki_cert *cert)
{
    return mu_pki_name_equal(cert->issuer, job->one->ca.certs.v[0]->subject);
}

static void on_looked(void *cookie)
{
    struct who *w = cookie;
    struct mu_ca_job *job = w->job;
    struct mu_err err = {0};

    if (job->claim.signer != NULL && check_signer(job, &err) != MU_OK) {
        who_free(w);
        mu_ca_job_refuse(job, &err);
    } else {
        go_on(w);
    }
}

static void go_on_signed(struct who *w)
{
    struct mu_ca_job *job = w->job;

    if (job->claim.signer == NULL || job->is_ours || mu_ca_cmp_of(job)->kept_signer != NULL)
        on_looked(w);
    else
        mu_ca_stranger_look(job, on_looked, w);
}

/* ---- a signer that only the first message has brought (CMP-35) ---- */

static void on_kept_signer(void *cookie, const struct mu_store_facts *facts)
{
    struct who *w = cookie;
    struct mu_ca_job *job = w->job;
    struct mu_err err = {0};

    if (facts->err != NULL) {
        err = *facts->err;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        who_free(w);
        mu_ca_job_refuse(job, &err);
        return;
    }
    mu_ca_cmp_of(job)->signer_row = mu_store_row_copy(MU_STORE_ROW_CERT, facts->cert);
    go_on_signed(w);
}

/* What the record has of it, so that it can be seen whether it was revoked meanwhile; whether it
 * signed this message too is for the engine to find. */
static void find_kept_signer(struct who *w)
{
    struct mu_ca_job *job = w->job;
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_bytes der = cmp->latest != NULL ? mu_cmp_server_kept_signer(cmp->latest->kept)
                                              : (struct mu_bytes){0};
    struct mu_store_ask ask = {.ca = job->one->name, .proto = MU_PROTO_CMP};

    if (der.n == 0 || mu_pki_cert_decode(der, &cmp->kept_signer, NULL) != MU_OK) {
        go_on(w); /* the engine refuses it */
        return;
    }
    job->claim.signer = cmp->kept_signer;
    job->is_ours = is_ours(job, cmp->kept_signer);
    if (!job->is_ours) {
        go_on_signed(w);
        return;
    }
    ask.serial = cmp->kept_signer->serial;
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_kept_signer, w);
}

/* ---- both ---- */

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct who *w = cookie;
    struct mu_ca_job *job = w->job;
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    struct mu_err err = {0};

    if (facts->err != NULL) {
        err = *facts->err;
        mu_err_narrow(&err, MU_REFUSE_INTERNAL);
        who_free(w);
        mu_ca_job_refuse(job, &err);
        return;
    }
    cmp->entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, facts->entry);
    cmp->latest = mu_store_row_copy(MU_STORE_ROW_REQUEST, facts->latest);
    cmp->latest_cert = mu_store_row_copy(MU_STORE_ROW_CERT, facts->latest_cert);
    cmp->signer_row = mu_store_row_copy(MU_STORE_ROW_CERT, facts->cert);
    if (job->claim.outer != NULL) /* CMP-107 */
        job->credential.ra_verified_ok
            = is_ra(job, job->claim.outer, facts->other_cert, is_ours(job, job->claim.outer));
    if (job->claim.auth == MU_AUTH_MAC)
        find_entry(w);
    else if (job->claim.auth == MU_AUTH_CERT && job->claim.signer == NULL)
        find_kept_signer(w);
    else
        go_on_signed(w);
}

void mu_ca_cmp_who(struct mu_ca_job *job, void (*next)(struct mu_ca_job *job))
{
    const struct mu_pki_cert *signer = job->claim.signer;
    struct mu_store_ask ask = {.ca = job->one->name,
        .proto = MU_PROTO_CMP,
        .transaction_id = job->claim.transaction_id,
        .any_signer = job->claim.transaction_id != NULL,
        .since_s = job->now_s - POLL_WINDOW_S};
    struct who *w;

    job->is_ours = signer != NULL && !job->claim.signer_is_self_signed
        && is_ours(job, signer);
    if (job->is_ours)
        ask.serial = signer->serial;
    if (job->claim.outer != NULL && is_ours(job, job->claim.outer))
        ask.other_serial = job->claim.outer->serial;
    if (job->claim.auth == MU_AUTH_MAC) {
        ask.entry_name = job->claim.entry;
        if (!may_guess(job)) {
            mu_ca_record_refuse(job, MU_REFUSE_RATE);
            return;
        }
    }
    if ((w = calloc(1, sizeof *w)) == NULL) {
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    w->job = job;
    w->next = next;
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, w);
}

enum mu_reason mu_ca_cmp_who_may_ask(struct mu_ca_job *job)
{
    struct mu_ca_cmp *cmp = mu_ca_cmp_of(job);
    const struct mu_record_entry *e = cmp->entry;

    if (job->claim.auth == MU_AUTH_MAC) {
        strncpy(job->entry, e->name, sizeof job->entry - 1);
        if (e->disabled || (e->expires_s != 0 && e->expires_s <= job->now_s))
            return mu_ca_record_challenge_reason(e, job->now_s);
        return MU_REASON_NONE;
    }
    if (job->claim.signer == NULL)
        return MU_REFUSE_SIGNER_UNTRUSTED;
    if (cmp->signer_row != NULL && cmp->signer_row->revoked_s != 0)
        return MU_REFUSE_SIGNER_REVOKED;
    return MU_REASON_NONE;
}
