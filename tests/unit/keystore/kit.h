/* A store in a fresh directory, and certificates to put into it. */
#ifndef KEYSTORE_KIT_H
#define KEYSTORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keystore/keystore.h"

struct kit {
    char root[64];
    struct mu_keystore *store;
};

int kit_setup(void **state);    /* *state: struct kit, store open */
int kit_teardown(void **state); /* removes it with all its files */
void kit_reopen(struct kit *kit);

/* A fresh EC key with a certificate of this serial, signed by itself. */
struct kit_pair {
    struct mu_pki_key *key;
    struct mu_pki_cert *cert;
    struct mu_buf key_pem;
};
void kit_pair_make(struct kit_pair *pair, const char *cn, uint8_t serial);
void kit_pair_clear(struct kit_pair *pair);
/* Saves it with these chain certificates; aborts the test if that fails. */
void kit_save(struct kit *kit, const char *name, const struct kit_pair *pair,
    const struct mu_pki_certs *chain, struct mu_keystore_saved *saved);

/* Content of a file below the root ("certs/a/latest.crt"); owned by the buffer. */
void kit_file(const struct kit *kit, const char *path, struct mu_buf *out);
bool kit_has(const struct kit *kit, const char *path);
unsigned kit_mode(const struct kit *kit, const char *path);
/* Counts files below the root whose name begins with prefix. */
unsigned kit_count(const struct kit *kit, const char *prefix);

#endif
