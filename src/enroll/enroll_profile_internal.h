/* What the files of profiles share: enroll_profile.c reads and shows them, enroll_profile_set.c has the
 * keys and their setters, enroll_profile_set_name.c those for subjects and SANs. */
#ifndef MU_ENROLL_PROFILE_INTERNAL_H
#define MU_ENROLL_PROFILE_INTERNAL_H

#include "enroll/enroll_profile.h"

/* Sets what a key says. Called once with what stands where the key is not given. */
typedef enum mu_code mu_profile_set(
    struct mu_enroll_profile *, size_t offset, const char *value, struct mu_err *);

struct mu_profile_key {
    const char *name;
    const char *standard; /* as if it had been given */
    mu_profile_set *set;
    size_t offset; /* of the member a generic setter writes */
};

enum { MU_PROFILE_KEYS = 33 };
extern const struct mu_profile_key mu_profile_keys[];

/* "'value' is not wanted." M706. */
enum mu_code mu_profile_bad(struct mu_err *err, const char *value, const char *wanted);
/* Calls for each word of a comma list, trimmed; empty ones are skipped. */
enum mu_code mu_profile_each_word(const char *list,
    enum mu_code (*call)(void *, char *, struct mu_err *), void *cookie, struct mu_err *err);
/* *out becomes the index of value among words, which end with NULL. */
enum mu_code mu_profile_set_choice(
    int *out, const char *value, const char *const *words, const char *wanted, struct mu_err *err);

mu_profile_set mu_profile_set_subject, mu_profile_set_drop, mu_profile_set_set, mu_profile_set_san;
void mu_profile_patterns_free(struct mu_profile_pattern **v, size_t *n);

#endif
