/* What all stores share: waiting for a change. */
#include "store/store.h"

#include <pthread.h>

const char *mu_store_lost_text(enum mu_store_lost lost)
{
    static const char *const texts[] = {
        [MU_STORE_LOST_NONE] = "",
        [MU_STORE_LOST_TRANSACTION] = "this transaction is recorded already",
        [MU_STORE_LOST_STATE] = "the request is not waiting any more",
        [MU_STORE_LOST_CHALLENGE] = "the enrollment password is used, expired, disabled or gone",
        [MU_STORE_LOST_PENDING] = "too many requests are waiting",
        [MU_STORE_LOST_ALIVE] = "there are too many live certificates of this subject",
        [MU_STORE_LOST_RATE] = "there were too many requests for this subject in the last hour",
        [MU_STORE_LOST_SERIAL] = "the serial number is taken",
        [MU_STORE_LOST_REVOKED] = "there is no such certificate, or it is revoked already",
        [MU_STORE_LOST_EXISTS] = "the name or the password is taken",
        [MU_STORE_LOST_MISSING] = "there is nothing of this name",
        [MU_STORE_LOST_CONFIRM] = "no confirmation of this certificate is waited for",
        [MU_STORE_LOST_NUMBER] = "the CRL number is not above the last one",
    };

    return (size_t)lost < sizeof texts / sizeof texts[0] ? texts[lost] : "";
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_done;
    struct mu_store_result result;
    struct mu_err err;
};

static void wake(void *cookie, const struct mu_store_result *result)
{
    struct waiter *w = cookie;

    pthread_mutex_lock(&w->lock);
    w->result = *result;
    w->result.request = NULL;
    w->result.cert = NULL;
    w->result.entry = NULL;
    w->result.err = NULL;
    if (result->err != NULL)
        w->err = *result->err;
    w->is_done = true;
    pthread_cond_signal(&w->ready);
    pthread_mutex_unlock(&w->lock);
}

enum mu_code mu_store_submit_wait(struct mu_store *store, struct mu_store_change *change,
    struct mu_store_result *out, struct mu_err *err)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};

    change->done = wake;
    change->cookie = &w;
    change->any_thread = true;
    mu_store_submit(store, change);
    mu_store_flush(store);
    pthread_mutex_lock(&w.lock);
    while (!w.is_done)
        pthread_cond_wait(&w.ready, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.ready);
    pthread_mutex_destroy(&w.lock);
    if (out != NULL)
        *out = w.result;
    if (w.result.code != MU_OK && err != NULL)
        *err = w.err;
    return w.result.code;
}
