/*
 * Certificates: a decoded view over owned DER, counted and immutable; lists of them; PEM and
 * PKCS#7 files; path validation (by OpenSSL, with our clock).
 */
#ifndef MU_PKI_CERT_H
#define MU_PKI_CERT_H

#include "pki/pki_ext.h"
#include "pki/pki_key.h"

struct mu_pki_cert {
    struct mu_bytes der, tbs;
    int version;             /* 1..3 */
    struct mu_bytes serial;  /* INTEGER content octets as encoded */
    struct mu_bytes issuer, subject; /* Name DER */
    struct mu_bytes spki;
    struct mu_bytes sig_alg, signature; /* AlgorithmIdentifier; octets of the BIT STRING */
    int64_t not_before_s, not_after_s;
    struct mu_pki_exts exts;
    uint8_t sha256[32];      /* over der */
};

struct mu_pki_certs {
    struct mu_pki_cert **v; /* each counted */
    size_t n;
};

/* Copies der. Accepts odd serials; refuses garbage with the field's name. */
enum mu_code mu_pki_cert_decode(struct mu_bytes der, struct mu_pki_cert **out, struct mu_err *err)
    MU_CHECK;
struct mu_pki_cert *mu_pki_cert_ref(struct mu_pki_cert *cert);
void mu_pki_cert_free(struct mu_pki_cert *cert);
/* The key, decoded at the first call and kept. Borrowed. */
enum mu_code mu_pki_cert_key(struct mu_pki_cert *cert, struct mu_pki_key **out, struct mu_err *err)
    MU_CHECK;
bool mu_pki_cert_equal(const struct mu_pki_cert *a, const struct mu_pki_cert *b);
bool mu_pki_cert_is_self_signed(struct mu_pki_cert *cert); /* verifies with its own key */
bool mu_pki_cert_is_ca(const struct mu_pki_cert *cert);    /* cA, or v1 self-issued */
/* Signature of cert by issuer's key; names too. MU_AUTH if not. allow_legacy for SHA-1. */
enum mu_code mu_pki_cert_verify(struct mu_pki_cert *cert, struct mu_pki_cert *issuer,
    bool allow_legacy, struct mu_err *err) MU_CHECK;
/* "4A96E1736D": upper-case hex without colons, as openssl x509 -serial prints it. */
bool mu_pki_cert_serial_hex(struct mu_bytes serial, struct mu_buf *out);
/* Up to 63 bits "476823 (0x74697)", else lower-case colon hex. */
bool mu_pki_cert_serial_trace(struct mu_bytes serial, struct mu_buf *out);
/* Decimal or hex (with colons or 0x) to INTEGER content octets. */
enum mu_code mu_pki_serial_parse(const char *text, struct mu_buf *out, struct mu_err *err) MU_CHECK;
bool mu_pki_serial_equal(struct mu_bytes a, struct mu_bytes b); /* leading zeros do not count */
/* "9B:07:...": SHA-256 over the DER unless another digest is asked for. */
bool mu_pki_cert_fingerprint(const struct mu_pki_cert *cert, enum mu_pki_digest d, struct mu_buf *out);
bool mu_pki_cert_to_pem(const struct mu_pki_cert *cert, struct mu_buf *out);

/* Lists own one count of each element. add takes its own count. */
enum mu_code mu_pki_certs_add(struct mu_pki_certs *list, struct mu_pki_cert *cert, struct mu_err *err)
    MU_CHECK;
void mu_pki_certs_clear(struct mu_pki_certs *list);
/* One DER certificate, PEM certificates (other PEM blocks skipped), or certs-only PKCS#7 in DER
 * or PEM. At most MU_LIMIT_CERTS, appended. */
enum mu_code mu_pki_certs_decode(struct mu_bytes file, struct mu_pki_certs *list, struct mu_err *err)
    MU_CHECK;
/* The one whose public key this is; by issuer and serial; NULL if none. Borrowed. */
struct mu_pki_cert *mu_pki_certs_by_key(const struct mu_pki_certs *list, struct mu_bytes spki);
struct mu_pki_cert *mu_pki_certs_by_serial(const struct mu_pki_certs *list, struct mu_bytes issuer,
    struct mu_bytes serial);
/* leaf's chain out of pool, issuer first, self-signed root included if there; appended to out. */
enum mu_code mu_pki_certs_chain(struct mu_pki_cert *leaf, const struct mu_pki_certs *pool,
    struct mu_pki_certs *out, struct mu_err *err) MU_CHECK;

struct mu_pki_path_opts {
    int64_t now_s;
    bool partial;      /* an anchor need not be self-signed */
    bool allow_legacy; /* SHA-1 and MD5 in the path; small keys */
    bool any_time;     /* do not check validity */
};
/* RFC 5280 path validation of leaf with intermediates up to anchors. MU_AUTH with the sentence:
 * issuer missing is M212 (names the missing issuer) if an intermediate is there and its root not,
 * else M213; expiry and clock name the date. */
enum mu_code mu_pki_path_check(struct mu_pki_cert *leaf, const struct mu_pki_certs *intermediates,
    const struct mu_pki_certs *anchors, const struct mu_pki_path_opts *opts, struct mu_err *err)
    MU_CHECK;

/* ---- making them ---- */
struct mu_pki_tbs {
    struct mu_bytes serial_magnitude; /* big endian, positive */
    struct mu_bytes issuer, subject;  /* Name DER */
    int64_t not_before_s, not_after_s;
    struct mu_bytes spki;
    struct mu_bytes extensions; /* whole Extensions SEQUENCE, or n 0 */
};
/* Encodes and signs; der gets the certificate. */
enum mu_code mu_pki_cert_make(const struct mu_pki_tbs *tbs, const struct mu_pki_key *issuer_key,
    enum mu_pki_digest digest, struct mu_buf *der, struct mu_err *err) MU_CHECK;

#endif
