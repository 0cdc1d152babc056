/*
 * Keys of MACs between the messages of a transaction. Deriving one costs whatever the client chose,
 * up to 100,000 iterations (CMP-28); clients that keep salt and count within a transaction (CMP-29)
 * pay us with one derivation instead of one per message. A key is found by a keyed hash over
 * transaction, parameters and secret, so that a changed secret finds nothing; it is kept only after
 * its MAC was right, so that nobody learns from the time an answer takes whether a reference exists.
 */
#include <stdlib.h>

#include "ca/ca_cmp.h"

enum { SLOTS = 512, LIFE_S = 600, KEY_MAX = 64 };

struct mu_ca_mac {
    pthread_mutex_t lock;
    struct slot {
        uint8_t name[32], key[KEY_MAX];
        size_t n; /* 0: empty */
        int64_t until_s;
    } slots[SLOTS];
};

struct mu_ca_mac *mu_ca_mac_new(void)
{
    struct mu_ca_mac *m = calloc(1, sizeof *m);

    if (m != NULL)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void mu_ca_mac_free(struct mu_ca_mac *m)
{
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    mu_bytes_wipe(m->slots, sizeof m->slots);
    free(m);
}

void mu_ca_mac_tick(struct mu_ca_mac *m, int64_t now_s)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < SLOTS; i++)
        if (m->slots[i].n != 0 && m->slots[i].until_s <= now_s)
            mu_bytes_wipe(&m->slots[i], sizeof m->slots[i]);
    pthread_mutex_unlock(&m->lock);
}

static bool name_of(const struct mu_ca_job *job, uint8_t out[32])
{
    struct mu_buf b = {0};
    bool ok;

    if (job->claim.auth != MU_AUTH_MAC || job->claim.transaction_id == NULL)
        return false;
    mu_buf_init_secret(&b, 4096);
    mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes_str(job->claim.transaction_id));
    mu_buf_put_bytes(&b, job->claim.mac_alg);
    mu_der_put(&b, MU_DER_OCTET_STRING, mu_secret_bytes(&mu_ca_cmp_of(job)->password));
    ok = !b.failed
        && mu_pki_hmac_sha256(mu_secret_bytes(&job->ca->secret), mu_buf_bytes(&b), out);
    mu_buf_clear(&b);
    return ok;
}

static struct slot *slot_of(struct mu_ca_mac *m, const uint8_t name[32])
{
    return &m->slots[((size_t)name[0] << 8 | name[1]) % SLOTS];
}

bool mu_ca_mac_get(const struct mu_ca_job *job, struct mu_secret *out)
{
    struct mu_ca_mac *m = job->ca->mac;
    uint8_t name[32];
    struct slot *slot;
    bool found;

    /* a first message has none */
    if (mu_ca_cmp_of(job)->latest == NULL || !name_of(job, name))
        return false;
    slot = slot_of(m, name);
    pthread_mutex_lock(&m->lock);
    found = slot->n != 0 && slot->until_s > job->now_s
        && mu_bytes_equal_secret(mu_bytes(slot->name, 32), mu_bytes(name, 32))
        && mu_secret_set(out, mu_bytes(slot->key, slot->n), NULL) == MU_OK;
    if (found && job->claim.op == MU_OP_CONFIRM)
        mu_bytes_wipe(slot, sizeof *slot);
    pthread_mutex_unlock(&m->lock);
    return found;
}

void mu_ca_mac_put(const struct mu_ca_job *job)
{
    struct mu_ca_mac *m = job->ca->mac;
    const struct mu_secret *key = job->question.mac_key;
    enum mu_op op = job->claim.op;
    uint8_t name[32];
    struct slot *slot;

    if ((op != MU_OP_ENROLL && op != MU_OP_KEYGEN && op != MU_OP_POLL) || key == NULL
        || key->n > KEY_MAX || !name_of(job, name))
        return;
    slot = slot_of(m, name);
    pthread_mutex_lock(&m->lock);
    memcpy(slot->name, name, sizeof name);
    memcpy(slot->key, mu_secret_bytes(key).p, key->n);
    slot->n = key->n;
    slot->until_s = job->now_s + LIFE_S;
    pthread_mutex_unlock(&m->lock);
}
