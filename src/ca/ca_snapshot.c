/* The configuration in use: CAs with their keys, profiles, services, read from the store. */
#include "ca/ca_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/ini.h"
#include "base/text.h"

/* ---- settings of a CA ---- */

enum kind { TEXT, DURATION, COUNT, YES_NO };
static const struct {
    const char *key;
    enum kind kind;
    size_t offset;
    const char *standard;
} keys[] = {
    {"crl-url", TEXT, offsetof(struct mu_ca_one, crl_url), ""},
    {"ocsp-url", TEXT, offsetof(struct mu_ca_one, ocsp_url), ""},
    {"ca-issuers-url", TEXT, offsetof(struct mu_ca_one, ca_issuers_url), ""},
    {"no-challenge", TEXT, offsetof(struct mu_ca_one, no_challenge), ""},
    {"crl-lifetime", DURATION, offsetof(struct mu_ca_one, crl_lifetime_s), "7d"},
    {"crl-renew", DURATION, offsetof(struct mu_ca_one, crl_renew_s), "1d"},
    {"pending-max", COUNT, offsetof(struct mu_ca_one, pending_max), "1000"},
    {"pending-age", DURATION, offsetof(struct mu_ca_one, pending_age_s), "7d"},
    {"retransmit", DURATION, offsetof(struct mu_ca_one, retransmit_s), "7d"},
    {"allow-legacy", YES_NO, offsetof(struct mu_ca_one, allow_legacy), "no"},
    {"single-ca-cert", YES_NO, offsetof(struct mu_ca_one, single_ca_cert), "no"},
    {"sign-alg-rsa-encryption", YES_NO, offsetof(struct mu_ca_one, sign_alg_rsa_encryption), "yes"},
    {"caps-sha384", YES_NO, offsetof(struct mu_ca_one, caps_sha384), "yes"},
    {"est", TEXT, offsetof(struct mu_ca_one, est), ""},
    {"labels", TEXT, offsetof(struct mu_ca_one, label_list), ""},
    {"client-ca", TEXT, offsetof(struct mu_ca_one, client_ca_text), ""},
    {"client-crl", TEXT, offsetof(struct mu_ca_one, client_crl), ""},
    {"cmp-confirm-wait", DURATION, offsetof(struct mu_ca_one, confirm_wait_s), "5min"},
    {"cmp-check-after", DURATION, offsetof(struct mu_ca_one, check_after_s), "60s"},
    {"cmp-time-slack", DURATION, offsetof(struct mu_ca_one, time_slack_s), "0"},
    {"cmp-implicit-confirm", YES_NO, offsetof(struct mu_ca_one, implicit_confirm), "yes"},
    {"cmp-ra", TEXT, offsetof(struct mu_ca_one, cmp_ra_text), ""},
    {"client-profile", TEXT, offsetof(struct mu_ca_one, client_profile), ""},
    {"default", YES_NO, offsetof(struct mu_ca_one, is_default), "no"},
};
enum { KEY_N = sizeof keys / sizeof keys[0] };

static enum mu_code set_yes_no(bool *out, const char *value, struct mu_err *err)
{
    if (!mu_text_equal_nocase(value, "yes") && !mu_text_equal_nocase(value, "no"))
        return mu_err_set(err, MU_INPUT, MU_M(706), "the value is neither yes nor no");
    *out = mu_text_equal_nocase(value, "yes");
    return MU_OK;
}

static enum mu_code set_one(
    struct mu_ca_one *one, size_t key, const char *value, struct mu_err *err)
{
    char *member = (char *)one + keys[key].offset, *copy = NULL;
    enum mu_code rc;

    switch (keys[key].kind) {
    case DURATION:
        return mu_text_duration(value, (int64_t *)(void *)member, err);
    case COUNT:
        return mu_text_int(value, 1, 1000000, (int64_t *)(void *)member, err);
    case YES_NO:
        return set_yes_no((bool *)member, value, err);
    case TEXT:
        break;
    }
    if ((rc = mu_text_dup(mu_text_equal_nocase(value, "none") ? "" : value, &copy, err)) != MU_OK)
        return rc;
    free(*(char **)(void *)member);
    *(char **)(void *)member = copy;
    return MU_OK;
}

static enum mu_code set_item(struct mu_ca_one *one, const struct mu_ini *ini,
    const struct mu_ini_item *item, struct mu_err *err)
{
    const char *words[KEY_N + 1] = {0}, *nearest;
    enum mu_code rc;

    for (size_t i = 0; i < KEY_N; i++) {
        words[i] = keys[i].key;
        if (item->section[0] != '\0' || strcmp(item->key, keys[i].key) != 0)
            continue;
        if ((rc = set_one(one, i, item->value, err)) != MU_OK)
            return mu_err_context(err, "%s:%u: %s", mu_ini_file(ini), item->line, item->key);
        return MU_OK;
    }
    nearest = mu_text_nearest(item->key, words);
    mu_err_set(err, MU_INPUT, MU_M(706), "%s:%u: a CA has no setting '%s'", mu_ini_file(ini),
        item->line, item->key);
    if (nearest != NULL)
        mu_err_next(err, "Did you mean %s?", nearest);
    return MU_INPUT;
}

static void one_clear(struct mu_ca_one *one)
{
    struct mu_ca_pair *pairs[] = {&one->ca, &one->ra, &one->next, &one->kga};

    for (size_t i = 0; i < 4; i++) {
        mu_pki_key_free(pairs[i]->key);
        mu_pki_certs_clear(&pairs[i]->certs);
    }
    free(one->name);
    free(one->settings);
    free(one->key_ref);
    free(one->ra_key_ref);
    free(one->next_key_ref);
    free(one->subject);
    free(one->crl_url);
    free(one->ocsp_url);
    free(one->ca_issuers_url);
    free(one->no_challenge);
    mu_ca_label_clear(one);
    mu_pki_certs_clear(&one->links);
    free(one->client_profile);
    mu_ca_stranger_clear(one);
}

enum mu_code mu_ca_settings_parse(
    const char *name, const char *settings, struct mu_ca_one *one, struct mu_err *err)
{
    struct mu_ca_one spare = {0};
    struct mu_ini *ini = NULL;
    char file[96];
    enum mu_code rc;

    if (one == NULL)
        one = &spare;
    snprintf(file, sizeof file, "CA '%.64s'", name);
    rc = mu_ini_parse(mu_bytes_str(settings), file, MU_INI_SECTIONS, &ini, err);
    for (size_t i = 0; rc == MU_OK && i < KEY_N; i++)
        rc = set_one(one, i, keys[i].standard, err);
    for (size_t i = 0; rc == MU_OK && i < mu_ini_count(ini); i++)
        rc = set_item(one, ini, mu_ini_at(ini, i), err);
    if (rc == MU_OK)
        rc = mu_ca_label_parse(one, err);
    mu_ini_free(ini);
    one_clear(&spare);
    return rc;
}

/* ---- CAs ---- */

/* Certificates one behind the other; their keys are decoded now, not under load. */
static enum mu_code decode_chain(struct mu_bytes der, struct mu_pki_certs *out, struct mu_err *err)
{
    struct mu_pki_cert *cert;
    struct mu_pki_key *key;
    struct mu_der el;
    enum mu_code rc;

    while (der.n != 0) {
        if (!mu_der_next(&der, &el))
            return mu_err_set(
                err, MU_STORAGE, MU_REASON_NONE, "a certificate in the store is damaged");
        if ((rc = mu_pki_cert_decode(el.whole, &cert, err)) != MU_OK)
            return rc;
        if ((rc = mu_pki_cert_key(cert, &key, err)) == MU_OK)
            rc = mu_pki_certs_add(out, cert, err);
        mu_pki_cert_free(cert);
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

/* A key that cannot be loaded leaves the CA there, without serving; why says so. */
static enum mu_code load_pair(const struct mu_ca_config *config, struct mu_ca_one *one,
    struct mu_bytes chain, const char *ref, struct mu_ca_pair *pair, struct mu_err *err)
{
    struct mu_pki_key *key = NULL, *certified;
    struct mu_err local = {0};
    enum mu_code rc;

    if (chain.n == 0)
        return MU_OK;
    if ((rc = decode_chain(chain, &pair->certs, err)) != MU_OK)
        return rc;
    rc = config->key_load(config->key_cookie, ref, &key, &local);
    if (rc == MU_OK && (rc = mu_pki_cert_key(pair->certs.v[0], &certified, &local)) == MU_OK
        && !mu_pki_key_equal(key, certified))
        rc =
            mu_err_set(&local, MU_INPUT, MU_M(708), "key '%s' is not that of the certificate", ref);
    if (rc != MU_OK) {
        mu_pki_key_free(key);
        snprintf(one->why, sizeof one->why, "%.250s", local.what);
        return MU_OK;
    }
    pair->key = key;
    return MU_OK;
}

static enum mu_code load_one(const struct mu_ca_config *config, const struct mu_record_ca *row,
    struct mu_ca_one *one, struct mu_err *err)
{
    struct mu_buf subject = {0};
    enum mu_code rc;

    one->created_s = row->created_s;
    if ((rc = mu_text_dup(row->name, &one->name, err)) != MU_OK
        || (rc = mu_text_dup(row->settings, &one->settings, err)) != MU_OK
        || (rc = mu_text_dup(row->key_ref, &one->key_ref, err)) != MU_OK
        || (rc = mu_text_dup(row->ra_key_ref, &one->ra_key_ref, err)) != MU_OK
        || (rc = mu_text_dup(row->next_key_ref, &one->next_key_ref, err)) != MU_OK
        || (rc = mu_ca_settings_parse(row->name, row->settings, one, err)) != MU_OK
        || (rc = load_pair(config, one, row->chain, row->key_ref, &one->ca, err)) != MU_OK
        || (rc = load_pair(config, one, row->ra, row->ra_key_ref, &one->ra, err)) != MU_OK
        || (rc = load_pair(config, one, row->next, row->next_key_ref, &one->next, err)) != MU_OK)
        return rc;
    for (size_t i = 0; i < one->next.certs.n; i++)
        if ((rc = mu_pki_certs_add(&one->links, one->next.certs.v[i], err)) != MU_OK)
            return rc;
    if (one->ca.certs.n == 0)
        return mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "CA '%s' has no certificate", one->name);
    if (!mu_ca_subject_text(one->ca.certs.v[0]->subject, &subject))
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CA");
    mu_ca_stranger_load(config, one);
    rc = mu_text_dup(mu_buf_str(&subject), &one->subject, err);
    mu_buf_clear(&subject);
    return rc;
}

/* ---- the whole ---- */

struct loading {
    const struct mu_ca_config *config;
    struct mu_ca_snapshot *snapshot;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done;
    enum mu_code rc;
    struct mu_err err;
};

static void loading_end(struct loading *l, const struct mu_err *err)
{
    pthread_mutex_lock(&l->lock);
    if (err != NULL && l->rc == MU_OK) {
        l->err = *err;
        l->rc = err->code;
    }
    l->is_done = true;
    pthread_cond_signal(&l->ready);
    pthread_mutex_unlock(&l->lock);
}

static bool on_ca(void *cookie, const struct mu_record_ca *row, const struct mu_err *err)
{
    struct loading *l = cookie;
    struct mu_ca_snapshot *s = l->snapshot;
    struct mu_ca_one *more;

    if (row != NULL) {
        if ((more = reallocarray(s->cas, s->ca_n + 1, sizeof *more)) == NULL) {
            l->rc = mu_err_set(&l->err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CA");
        } else {
            s->cas = more;
            more[s->ca_n] = (struct mu_ca_one){0};
            l->rc = load_one(l->config, row, &more[s->ca_n++], &l->err);
        }
        if (l->rc == MU_OK)
            return true;
    }
    loading_end(l, err);
    return false;
}

static bool on_profile(void *cookie, const struct mu_record_profile *row, const struct mu_err *err)
{
    struct loading *l = cookie;
    struct mu_ca_snapshot *s = l->snapshot;
    struct mu_enroll_profile **more;

    if (row != NULL) {
        if ((more = reallocarray(s->profiles, s->profile_n + 1, sizeof *more)) == NULL) {
            l->rc = mu_err_set(&l->err, MU_MEMORY, MU_REASON_NONE, "out of memory for a profile");
        } else {
            s->profiles = more;
            l->rc = mu_enroll_profile_parse(row->name, row->settings, &more[s->profile_n], &l->err);
            if (l->rc == MU_OK)
                s->keys_matter |= more[s->profile_n++]->refuse_key_seen;
        }
        if (l->rc == MU_OK)
            return true;
    }
    loading_end(l, err);
    return false;
}

/* Without its key, or below a CA that is no longer the present one, it is not used. */
static enum mu_code load_kga(const struct mu_ca_config *config, struct mu_ca_one *one,
    const char *setting, struct mu_err *err)
{
    struct mu_buf der = {0};
    char ref[96], why[sizeof one->why];
    enum mu_code rc = MU_OK;

    memcpy(why, one->why, sizeof why); /* the CA serves without it */
    if (mu_ca_kga_read(setting, ref, &der, &one->kga_is_given))
        rc = load_pair(config, one, mu_buf_bytes(&der), ref, &one->kga, err);
    memcpy(one->why, why, sizeof why);
    mu_buf_clear(&der);
    return rc;
}

static bool on_setting(void *cookie, const char *key, const char *value, const struct mu_err *err)
{
    struct loading *l = cookie;

    if (key != NULL) {
        if (mu_text_starts(key, "service."))
            l->snapshot->off[mu_proto_parse(key + 8)] = strcmp(value, "off") == 0;
        for (size_t i = 0; mu_text_starts(key, "kga.") && i < l->snapshot->ca_n; i++)
            if (l->rc == MU_OK && strcmp(l->snapshot->cas[i].name, key + 4) == 0)
                l->rc = load_kga(l->config, &l->snapshot->cas[i], value, &l->err);
        for (size_t i = 0; mu_text_starts(key, "links.") && i < l->snapshot->ca_n; i++)
            if (l->rc == MU_OK && strcmp(l->snapshot->cas[i].name, key + 6) == 0)
                l->rc = mu_ca_links_read(
                    &l->snapshot->cas[i], value, mu_env_now(l->config->env), &l->err);
        return true;
    }
    loading_end(l, err);
    return false;
}

static enum mu_code loading_wait(struct loading *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->is_done)
        pthread_cond_wait(&l->ready, &l->lock);
    l->is_done = false;
    pthread_mutex_unlock(&l->lock);
    return l->rc;
}

enum mu_code mu_ca_snapshot_load(
    const struct mu_ca_config *config, struct mu_ca_snapshot **out, struct mu_err *err)
{
    struct loading l = {
        .config = config, .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    struct mu_store *store = config->store;
    enum mu_code rc;

    if ((l.snapshot = calloc(1, sizeof *l.snapshot)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for the configuration");
    atomic_init(&l.snapshot->refs, 1);
    store->ops->cas(store, on_ca, &l);
    if ((rc = loading_wait(&l)) == MU_OK) {
        store->ops->profiles(store, on_profile, &l);
        rc = loading_wait(&l);
    }
    if (rc == MU_OK) {
        store->ops->settings(store, on_setting, &l);
        rc = loading_wait(&l);
    }
    if (rc != MU_OK) {
        if (err != NULL)
            *err = l.err;
        mu_ca_snapshot_free(l.snapshot);
        return rc;
    }
    *out = l.snapshot;
    return MU_OK;
}

void mu_ca_snapshot_free(struct mu_ca_snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->ca_n; i++)
        one_clear(&s->cas[i]);
    for (size_t i = 0; i < s->profile_n; i++)
        mu_enroll_profile_free(s->profiles[i]);
    free(s->cas);
    free(s->profiles);
    free(s);
}

struct mu_ca_one *mu_ca_snapshot_find(const struct mu_ca_snapshot *s, const char *name)
{
    bool any = name == NULL || *name == '\0';

    for (size_t i = 0; i < s->ca_n; i++)
        if (any ? s->cas[i].is_default : strcmp(s->cas[i].name, name) == 0)
            return &s->cas[i];
    return any && s->ca_n != 0 ? &s->cas[0] : NULL;
}

const struct mu_enroll_profile *mu_ca_snapshot_profile(
    const struct mu_ca_snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->profile_n; i++)
        if (strcmp(s->profiles[i]->name, name) == 0)
            return s->profiles[i];
    return NULL;
}
