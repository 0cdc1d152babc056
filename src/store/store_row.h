/* Rows that own what they point at: one block of memory each. Used by the memory store and by
 * whoever has to keep a row beyond its callback. */
#ifndef MU_STORE_STORE_ROW_H
#define MU_STORE_STORE_ROW_H

#include "enroll/enroll_record.h"

enum mu_store_row {
    MU_STORE_ROW_CA,
    MU_STORE_ROW_PROFILE,
    MU_STORE_ROW_ENTRY,
    MU_STORE_ROW_CERT,
    MU_STORE_ROW_REQUEST,
    MU_STORE_ROW_AUDIT,
    MU_STORE_ROW_CRL,
};

/* A copy of the struct mu_record_* with all its texts and octets behind it; mu_store_row_free
 * gives all of it back. Texts that are NULL become "". NULL if row is NULL or memory is short. */
void *mu_store_row_copy(enum mu_store_row kind, const void *row);
/* Wipes and frees a copy; NULL is fine. */
void mu_store_row_free(enum mu_store_row kind, const void *copy);

#endif
