/*
 * Files that other programs read: settings with a certificate in them, copies of a pair. They lie in
 * directories that may belong to somebody else, so the way there is walked step by step: a link in the
 * directory part is followed only where none but root or we ourselves could have put it there, and the
 * file itself may be a link only to a neighbor in its directory. What is written is written beside it, synced and
 * renamed, with owner and mode set before it has its name.
 */
#ifndef MU_KEYSTORE_PLACE_H
#define MU_KEYSTORE_PLACE_H

#include <sys/types.h>

#include "base/buf.h"

struct mu_keystore_place;

/* Opens the directory and locks it, waiting at most 10 s (then MU_BUSY). The file need not exist. */
enum mu_code mu_keystore_place_open(
    const char *path, struct mu_keystore_place **out, struct mu_err *err) MU_CHECK;
void mu_keystore_place_close(struct mu_keystore_place *place);
/* The whole path, also where a relative one was given. */
const char *mu_keystore_place_path(const struct mu_keystore_place *place);
bool mu_keystore_place_exists(const struct mu_keystore_place *place);
/* Appends what is in it: a regular file of at most MU_LIMIT_FILE octets, else MU_INPUT. */
enum mu_code mu_keystore_place_read(
    struct mu_keystore_place *place, struct mu_buf *out, struct mu_err *err) MU_CHECK;

struct mu_keystore_place_how {
    bool has_uid, has_gid, has_mode; /* else as the present file; without one ours, 0600 */
    uid_t uid;
    gid_t gid;
    mode_t mode;
    bool keep_old; /* as .NAME.muster-old; one that is there already stays: it is the last that was good */
};
/* M702 leaves the present file. */
enum mu_code mu_keystore_place_write(struct mu_keystore_place *place,
    const struct mu_keystore_place_how *how, struct mu_bytes content, struct mu_err *err) MU_CHECK;
/* The kept one gets its name again; MU_NOT_FOUND if none was kept. */
enum mu_code mu_keystore_place_back(struct mu_keystore_place *place, struct mu_err *err) MU_CHECK;
/* Takes away the kept one; none is success. */
enum mu_code mu_keystore_place_forget(struct mu_keystore_place *place, struct mu_err *err) MU_CHECK;

#endif
