/* AES keys shared with clients: made, kept, looked up. See ca_shared.h. */
#include "ca/ca_shared.h"

#include <stdlib.h>

#include "base/text.h"

enum { KEY_OCTETS = 32 };

/* ---- kept ---- */

static enum mu_code random_key(struct mu_ca *ca, struct mu_secret *out, struct mu_err *err)
{
    uint8_t random[KEY_OCTETS] = {0};
    struct mu_buf text = {.max = MU_LIMIT_KEK_TEXT, .secret = true};
    enum mu_code rc = mu_env_random(ca->config.env, random, sizeof random, err);

    if (rc == MU_OK && !mu_text_hex_lower(&text, mu_bytes(random, sizeof random), 0))
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for a key");
    if (rc == MU_OK)
        rc = mu_secret_set(out, mu_buf_bytes(&text), err);
    mu_bytes_wipe(random, sizeof random);
    mu_buf_clear(&text);
    return rc;
}

/* What is wrong is not repeated: it may be the key but for a typing error. */
static enum mu_code read_key(const struct mu_secret *text, struct mu_buf *key, struct mu_err *err)
{
    const char *digits = (const char *)mu_secret_bytes(text).p;

    if (text->n <= MU_LIMIT_KEK_TEXT && mu_text_unhex(digits, key, NULL) == MU_OK && !key->failed
        && (key->n == 16 || key->n == 24 || key->n == 32))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "a shared key is an AES key: 32, 48 or 64 hex digits (RFC 3394)");
}

enum mu_code mu_ca_shared_keep(struct mu_ca *ca, const char *name, const struct mu_secret *given,
    struct mu_secret *made, struct mu_ca_kept *kept, struct mu_err *err)
{
    struct mu_buf key = {.max = MU_LIMIT_KEK_TEXT, .secret = true};
    struct mu_buf sealed = {.max = sizeof kept->sealed};
    enum mu_code rc = MU_OK;

    if (given == NULL) {
        rc = random_key(ca, made, err);
        given = made;
    }
    if (rc == MU_OK && (rc = read_key(given, &key, err)) == MU_OK
        && (rc = mu_ca_seal(ca, MU_CA_SEAL_ENTRY, name, mu_buf_bytes(&key), &sealed, err)) == MU_OK) {
        kept->no_hash = true;
        memcpy(kept->sealed, sealed.p, kept->sealed_n = sealed.n);
    }
    mu_buf_clear(&key);
    mu_buf_clear(&sealed);
    return rc;
}

/* ---- looked up ---- */

struct look {
    struct mu_ca_job *job;
    struct mu_secret *kek;
    struct mu_bytes id;
    void (*next)(struct mu_ca_job *job);
    char name[MU_LIMIT_KEK_ID + 1];
};

static bool is_in_force(const struct mu_ca_job *job, const struct mu_record_entry *e)
{
    return e != NULL && e->protocols & MU_RECORD_ENTRY_KEY && !e->disabled
        && (e->expires_s == 0 || e->expires_s > job->now_s)
        && (*e->ca == '\0' || strcmp(e->ca, job->one->name) == 0);
}

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct look *look = cookie;
    struct mu_ca_job *job = look->job;
    void (*next)(struct mu_ca_job *) = look->next;
    const struct mu_record_entry *e = facts->entry;
    struct mu_err why = {0};

    if (facts->err != NULL) {
        why = *facts->err;
        mu_err_narrow(&why, MU_REFUSE_INTERNAL);
        free(look);
        mu_ca_job_refuse(job, &why);
        return;
    }
    if (is_in_force(job, e)
        && mu_ca_unseal(job->ca, MU_CA_SEAL_ENTRY, e->name, e->sealed, look->kek, &why) == MU_OK) {
        job->credential.kek = look->kek;
        job->credential.kek_id = look->id;
    }
    mu_ca_record_said(job, "shared key", job->credential.kek != NULL ? "known"
            : why.code != MU_OK                                      ? why.what
                                                                     : "no entry of that name is one");
    free(look);
    next(job);
}

void mu_ca_shared_look(struct mu_ca_job *job, struct mu_bytes id, struct mu_secret *kek,
    void (*next)(struct mu_ca_job *job))
{
    struct mu_store_ask ask = {.ca = job->one->name, .proto = job->way->proto};
    struct look *look;

    if (id.n == 0 || id.n > MU_LIMIT_KEK_ID || memchr(id.p, '\0', id.n) != NULL) {
        next(job);
        return;
    }
    if ((look = calloc(1, sizeof *look)) == NULL) {
        mu_ca_record_refuse(job, MU_REFUSE_INTERNAL);
        return;
    }
    *look = (struct look){.job = job, .kek = kek, .id = id, .next = next};
    memcpy(look->name, id.p, id.n);
    if (!mu_text_is_entry_name(look->name)) {
        free(look);
        next(job);
        return;
    }
    ask.entry_name = look->name;
    job->ca->config.store->ops->ask(job->ca->config.store, &ask, on_facts, look);
}
