/*
 * How a client asks for its key to be encrypted beyond TLS (RFC 7030 4.4.1), for both roles: the
 * identifier of a key it has, DecryptKeyIdentifier or AsymmetricDecryptKeyIdentifier, and the
 * algorithms it knows, SMIMECapabilities.
 */
#ifndef MU_PROTO_EST_KEYGEN_H
#define MU_PROTO_EST_KEYGEN_H

#include "pki/pki_cms.h"
#include "pki/pki_csr.h"

#define MU_EST_OID_DECRYPT_KEY "1.2.840.113549.1.9.16.2.37"
#define MU_EST_OID_ASYMMETRIC_DECRYPT_KEY "1.2.840.113549.1.9.16.2.54"
#define MU_EST_OID_SMIME_CAPABILITIES "1.2.840.113549.1.9.15"

enum mu_est_keygen_to { MU_EST_KEYGEN_PLAIN, MU_EST_KEYGEN_SECRET, MU_EST_KEYGEN_CERT };

struct mu_est_keygen {
    enum mu_est_keygen_to to;
    struct mu_bytes id;         /* of the key to encrypt to; view */
    enum mu_pki_cipher cipher;  /* the best of those listed */
    bool wraps[3];              /* AES-128, -192, -256 key wrap is listed */
};

/* Attributes of a CSR, one behind the other; nothing for PLAIN. */
void mu_est_keygen_put(enum mu_est_keygen_to to, struct mu_bytes id, struct mu_buf *out);
/* What a CSR asks for. Both identifiers, one that is no OCTET STRING, or no algorithm in common is
 * MU_INPUT or MU_UNSUPPORTED. */
enum mu_code mu_est_keygen_get(const struct mu_pki_csr *csr, struct mu_est_keygen *out,
    struct mu_err *err) MU_CHECK;
/* Is this certificate the one that an identifier names: by its own key identifier, or by its key's? */
bool mu_est_keygen_names(struct mu_bytes id, const struct mu_pki_cert *cert);
/* The identifier by which to name a certificate: 20 octets if it has none of its own. */
struct mu_bytes mu_est_keygen_id(const struct mu_pki_cert *cert, uint8_t room[20]);

#endif
