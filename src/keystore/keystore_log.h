/*
 * What happened, one line each, in log/events below the store: whoever works on the store appends, agent
 * and hand alike, and 'muster log' and the control socket read. Two files of half a MiB at most, the older
 * as log/events.1. It is a record for people, not for recovery: it is not synced, and a full disk loses
 * lines, never more.
 */
#ifndef MU_KEYSTORE_LOG_H
#define MU_KEYSTORE_LOG_H

#include "keystore/keystore.h"

enum {
    MU_KEYSTORE_LOG_MAX = 512 * 1024, /* octets of one of the two files: some 1,500 events */
    MU_KEYSTORE_LOG_LINE = 8 * 1024,  /* of one line: a CA's words have 512, the rest is short */
};

/* How far somebody has read; {0}: nothing yet. As text "FILE-OFFSET", for a caller that comes back. */
struct mu_keystore_log_place {
    uint64_t file, offset;
};
enum { MU_KEYSTORE_LOG_PLACE = 44 };
const char *mu_keystore_log_place_format(
    const struct mu_keystore_log_place *place, char buf[MU_KEYSTORE_LOG_PLACE]);
bool mu_keystore_log_place_parse(const char *text, struct mu_keystore_log_place *out);

/* One line without its end; a line end inside becomes a blank. M702 if it cannot be written: the log is
 * as before. */
enum mu_code mu_keystore_log_append(struct mu_keystore *store, struct mu_bytes line, struct mu_err *err)
    MU_CHECK;
/* Calls for each whole line behind *place, oldest first, and moves it; after is the place behind that
 * line. A place in a file that is gone begins at the oldest line. No log yet: nothing, MU_OK. */
typedef void mu_keystore_log_call(
    void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after);
enum mu_code mu_keystore_log_read(struct mu_keystore *store, struct mu_keystore_log_place *place,
    mu_keystore_log_call *call, void *cookie, struct mu_err *err) MU_CHECK;
/* Is there anything behind place? Reads no line. */
bool mu_keystore_log_grew(struct mu_keystore *store, const struct mu_keystore_log_place *place);

#endif
