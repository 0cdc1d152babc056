/* The memory store's inside: rows in lists, found by chains of boxes. Shared by store_memory*.c. */
#ifndef MU_STORE_STORE_MEMORY_DB_H
#define MU_STORE_STORE_MEMORY_DB_H

#include <pthread.h>

#include "store/store.h"

enum { BUCKETS = 1 << 14 };

struct mu_memory_list {
    void **v; /* rows in the order of their id; NULL where one went */
    size_t n, cap;
};

/* Certificates and requests are found by chains of boxes, newest first. */
struct mu_memory_cert_box {
    struct mu_record_cert *row;
    struct mu_memory_cert_box *by_serial, *by_subject, *by_key;
};
struct mu_memory_request_box {
    struct mu_record_request *row; /* NULL: gone */
    struct mu_memory_request_box *by_signer;
};

struct mu_memory_setting {
    char *key, *value;
};

struct mu_memory {
    struct mu_store base;
    pthread_mutex_t lock;
    struct mu_memory_list certs; /* cert_box; id is the index + 1 */
    struct mu_memory_list requests; /* request_box; likewise */
    struct mu_memory_list audits, cas, profiles, entries, crls;
    struct mu_memory_list settings;
    struct mu_memory_cert_box *serials[BUCKETS], *subjects[BUCKETS], *keys[BUCKETS];
    struct mu_memory_request_box *signers[BUCKETS];
    int64_t pending;
};

static inline struct mu_memory *mu_memory_of(struct mu_store *store)
{
    return (struct mu_memory *)(void *)store;
}

/* What a batch lost and to whom; rows are the store's own until copied. */
struct mu_memory_verdict {
    enum mu_store_lost lost;
    struct mu_record_request *request;
    struct mu_record_cert *cert;
    struct mu_record_entry *entry;
};

/* Rows copied before anything is changed, so that applying cannot fail. */
struct mu_memory_prepared {
    struct mu_memory_request_box *request;
    struct mu_memory_cert_box *cert;
    struct mu_record_request *settled, *kept;
    struct mu_record_cert *renewed;
    void *ca, *profile, *entry, *crl;
    struct mu_memory_setting *setting;
    void **audits;
};

unsigned mu_memory_bucket(struct mu_bytes v);
bool mu_memory_same(const char *a, const char *b); /* NULL is "" */

/* ---- finding; NULL if it is not there ---- */
struct mu_memory_cert_box *mu_memory_cert(
    struct mu_memory *m, const char *ca, struct mu_bytes serial);
struct mu_memory_request_box *mu_memory_request(
    struct mu_memory *m, const struct mu_record_request *like);
/* The newest of the same protocol, CA and transaction id, whoever signed it; settled ones only since
 * then. */
struct mu_record_request *mu_memory_request_live(
    struct mu_memory *m, const struct mu_record_request *like, int64_t since_s);
struct mu_memory_request_box *mu_memory_request_by_id(struct mu_memory *m, int64_t id);
struct mu_record_entry *mu_memory_entry(struct mu_memory *m, const char *name, size_t *at);
struct mu_record_entry *mu_memory_entry_by_password(struct mu_memory *m, struct mu_bytes hash);
/* ca and profile rows begin with their name. */
void *mu_memory_named(const struct mu_memory_list *list, const char *name, size_t *at);
struct mu_record_crl *mu_memory_crl(struct mu_memory *m, const char *ca, size_t *at);
struct mu_record_cert *mu_memory_cert_of(struct mu_memory *m, const struct mu_record_request *r);

/* ---- a batch: judged as a whole, prepared, applied ---- */
void mu_memory_judge(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_verdict *v);
bool mu_memory_room(struct mu_memory *m, const struct mu_store_change *c);
bool mu_memory_prepare(
    struct mu_memory *m, const struct mu_store_change *c, struct mu_memory_prepared *p);
void mu_memory_apply(struct mu_memory *m, const struct mu_store_change *c,
    struct mu_memory_prepared *p, int64_t *id);
void mu_memory_prepared_free(struct mu_memory_prepared *p, size_t audit_n);

/* store_memory_read.c: all but submit and close */
extern const struct mu_store_ops mu_memory_read_ops;

#endif
