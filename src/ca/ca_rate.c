/*
 * Tokens per address in a table of fixed size: who comes after the table is full takes the place
 * of the one that has been quiet longest among its neighbors. An IPv6 peer counts by its /64.
 */
#include "ca/ca_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* A name may be guessed at from many addresses before its owner is shut out too. */
enum { SLOTS = 4096, WAYS = 8, GUESS_WINDOW_S = 3600, OF_ONE_NAME = 5 };

struct slot {
    uint64_t key; /* 0: free */
    double tokens;
    int64_t seen_s;
    int guesses;
    int64_t guess_s; /* when the first of them was */
};

struct mu_ca_rate {
    pthread_mutex_t lock;
    double burst, per_s;
    int attempts;
    struct slot slots[SLOTS];
};

struct mu_ca_rate *mu_ca_rate_new(int burst, double per_s, int attempts)
{
    struct mu_ca_rate *rate = calloc(1, sizeof *rate);

    if (rate == NULL)
        return NULL;
    pthread_mutex_init(&rate->lock, NULL);
    rate->burst = burst == 0 ? 200 : burst;
    rate->per_s = per_s > 0 ? per_s : 5;
    rate->attempts = attempts == 0 ? 20 : attempts;
    return rate;
}

void mu_ca_rate_free(struct mu_ca_rate *rate)
{
    if (rate == NULL)
        return;
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

/* FNV-1a of what counts as one peer; never 0. */
static uint64_t key_of(const char *address)
{
    uint64_t h = 14695981039346656037u;
    uint8_t octets[16];
    const uint8_t *p = (const uint8_t *)address;
    size_t n = strlen(address);

    if (inet_pton(AF_INET6, address, octets) == 1) {
        p = octets;
        n = 8;
    }
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h != 0 ? h : 1;
}

/* The address's slot, with its tokens of now. Called with the lock. */
static struct slot *slot_of(struct mu_ca_rate *rate, const char *address, int64_t now_s)
{
    uint64_t key = key_of(address);
    struct slot *row = &rate->slots[key % (SLOTS / WAYS) * WAYS], *oldest = row;

    for (size_t i = 0; i < WAYS; i++) {
        if (row[i].key == key) {
            if (now_s > row[i].seen_s)
                row[i].tokens += (double)(now_s - row[i].seen_s) * rate->per_s;
            if (row[i].tokens > rate->burst)
                row[i].tokens = rate->burst;
            row[i].seen_s = now_s;
            return &row[i];
        }
        if (row[i].key == 0 || (oldest->key != 0 && row[i].seen_s < oldest->seen_s))
            oldest = &row[i];
    }
    *oldest = (struct slot){.key = key, .tokens = rate->burst, .seen_s = now_s};
    return oldest;
}

bool mu_ca_rate_take(struct mu_ca_rate *rate, const char *address, int64_t now_s, int64_t *wait_s)
{
    struct slot *slot;
    bool ok;

    *wait_s = 0;
    if (rate->burst < 0 || *address == '\0')
        return true;
    pthread_mutex_lock(&rate->lock);
    slot = slot_of(rate, address, now_s);
    ok = slot->tokens >= 1;
    if (ok)
        slot->tokens -= 1;
    else
        *wait_s = (int64_t)((1 - slot->tokens) / rate->per_s) + 1;
    pthread_mutex_unlock(&rate->lock);
    return ok;
}

void mu_ca_rate_give_back(struct mu_ca_rate *rate, const char *address, int64_t now_s)
{
    if (rate->burst < 0 || *address == '\0')
        return;
    pthread_mutex_lock(&rate->lock);
    slot_of(rate, address, now_s)->tokens += 1;
    pthread_mutex_unlock(&rate->lock);
}

static bool may_guess(struct mu_ca_rate *rate, const char *key, int64_t now_s, int factor)
{
    struct slot *slot;
    bool ok;

    if (rate->attempts < 0 || *key == '\0')
        return true;
    pthread_mutex_lock(&rate->lock);
    slot = slot_of(rate, key, now_s);
    if (now_s - slot->guess_s >= GUESS_WINDOW_S)
        slot->guesses = 0;
    ok = slot->guesses / factor < rate->attempts;
    pthread_mutex_unlock(&rate->lock);
    return ok;
}

bool mu_ca_rate_may_guess(struct mu_ca_rate *rate, const char *address, int64_t now_s)
{
    return may_guess(rate, address, now_s, 1);
}

void mu_ca_rate_wrong_guess(struct mu_ca_rate *rate, const char *address, int64_t now_s)
{
    struct slot *slot;

    if (rate->attempts < 0 || *address == '\0')
        return;
    pthread_mutex_lock(&rate->lock);
    slot = slot_of(rate, address, now_s);
    if (slot->guesses == 0 || now_s - slot->guess_s >= GUESS_WINDOW_S) {
        slot->guesses = 0;
        slot->guess_s = now_s;
    }
    slot->guesses++;
    pthread_mutex_unlock(&rate->lock);
}

/* No address has a blank in it. */
static const char *name_key(const char *entry, char out[320])
{
    snprintf(out, 320, "entry %.300s", entry);
    return out;
}

bool mu_ca_rate_may_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s)
{
    char key[320];

    return may_guess(rate, name_key(entry, key), now_s, OF_ONE_NAME);
}

void mu_ca_rate_wrong_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s)
{
    char key[320];

    mu_ca_rate_wrong_guess(rate, name_key(entry, key), now_s);
}

void mu_ca_rate_right_guess_of(struct mu_ca_rate *rate, const char *entry, int64_t now_s)
{
    struct slot *slot;
    char key[320];

    pthread_mutex_lock(&rate->lock);
    slot = slot_of(rate, name_key(entry, key), now_s);
    if (slot->guesses > 0)
        slot->guesses--;
    pthread_mutex_unlock(&rate->lock);
}
