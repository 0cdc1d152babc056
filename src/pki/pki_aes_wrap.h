/* Inside src/pki: AES key wrap (RFC 3394) by its AlgorithmIdentifiers (RFC 3565 2.3.2). */
#ifndef MU_PKI_AES_WRAP_H
#define MU_PKI_AES_WRAP_H

#include "base/secret.h"
#include "pki/pki_alg.h"

/* Size of the key encryption key, 0 for another OID. */
size_t mu_pki_aes_wrap_size(struct mu_bytes oid);
/* The wrap whose key is as long as that of the cipher: RFC 9481 4.3 wants the same size. */
size_t mu_pki_aes_wrap_size_for(enum mu_pki_cipher content);
/* Appends the AlgorithmIdentifier, parameters absent. */
void mu_pki_aes_wrap_put(struct mu_buf *b, size_t kek_size);
/* False for every damage. */
bool mu_pki_aes_unwrap(const uint8_t *kek, size_t kek_size, struct mu_bytes wrapped,
    struct mu_secret *content_key);
bool mu_pki_aes_wrap(const uint8_t *kek, size_t kek_size, struct mu_bytes content_key,
    struct mu_buf *out);

#endif
