/*
 * What was said to a CA and what it answered, exchange by exchange: log/trace/<entry>.<time>, 0600, below the
 * store. Together they are a ring: when they outgrow trace-size, the oldest go. They are for people: nothing is
 * synced, and a full disk loses lines, never more. Secrets are masked by whoever makes the lines.
 */
#ifndef MU_KEYSTORE_TRACE_H
#define MU_KEYSTORE_TRACE_H

#include "keystore/keystore.h"

enum {
    MU_KEYSTORE_TRACE = 112,            /* room for a name: entry, ".20251120T174005Z", "-2", NUL */
    MU_KEYSTORE_TRACE_FILE = 1 << 20,   /* octets of one: some hundred polls; what comes behind is left out */
};

/* Makes an empty one; two of one second differ by "-2". M702 if it cannot be made. */
enum mu_code mu_keystore_trace_new(struct mu_keystore *store, const char *entry, int64_t at_s,
    char name[MU_KEYSTORE_TRACE], struct mu_err *err) MU_CHECK;
/* Is it the name of a trace, of this entry (NULL: of any)? Names come out of files. */
bool mu_keystore_trace_is_name(const char *name, const char *entry);
/* Whole lines. One that fell out of the ring meanwhile begins anew. */
enum mu_code mu_keystore_trace_append(struct mu_keystore *store, const char *name, struct mu_bytes lines,
    struct mu_err *err) MU_CHECK;
/* The oldest go until all together have at most max octets. */
enum mu_code mu_keystore_trace_prune(struct mu_keystore *store, int64_t max, struct mu_err *err) MU_CHECK;
/* Those of an entry (NULL: all), oldest first. */
enum mu_code mu_keystore_trace_each(struct mu_keystore *store, const char *entry, mu_keystore_each_call *call,
    void *cookie, struct mu_err *err) MU_CHECK;
/* Its lines from offset on. MU_NOT_FOUND: it fell out of the ring. */
enum mu_code mu_keystore_trace_read(struct mu_keystore *store, const char *name, uint64_t offset,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* All of an entry's. */
enum mu_code mu_keystore_trace_remove(struct mu_keystore *store, const char *entry, struct mu_err *err) MU_CHECK;

#endif
