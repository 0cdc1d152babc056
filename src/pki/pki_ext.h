/* X.509 extensions: reading the ones that decide something, writing the ones we ask for or issue. */
#ifndef MU_PKI_EXT_H
#define MU_PKI_EXT_H

#include "base/buf.h"
#include "base/der.h"

/* RFC 5280 4.2.1.3, bit n of the BIT STRING is 1 << n. */
enum {
    MU_KU_DIGITAL_SIGNATURE = 1 << 0, MU_KU_NON_REPUDIATION = 1 << 1, MU_KU_KEY_ENCIPHERMENT = 1 << 2,
    MU_KU_DATA_ENCIPHERMENT = 1 << 3, MU_KU_KEY_AGREEMENT = 1 << 4, MU_KU_KEY_CERT_SIGN = 1 << 5,
    MU_KU_CRL_SIGN = 1 << 6, MU_KU_ENCIPHER_ONLY = 1 << 7, MU_KU_DECIPHER_ONLY = 1 << 8,
};
/* Extended key usages that policy knows; others are kept by OID only. */
enum {
    MU_EKU_SERVER_AUTH = 1 << 0, MU_EKU_CLIENT_AUTH = 1 << 1, MU_EKU_CODE_SIGNING = 1 << 2,
    MU_EKU_EMAIL = 1 << 3, MU_EKU_TIME_STAMPING = 1 << 4, MU_EKU_OCSP_SIGNING = 1 << 5,
    MU_EKU_IPSEC_IKE = 1 << 6, MU_EKU_SMARTCARD_LOGON = 1 << 7, MU_EKU_CMC_CA = 1 << 8,
    MU_EKU_CMC_RA = 1 << 9, MU_EKU_CM_KGA = 1 << 10, MU_EKU_ANY = 1 << 11, MU_EKU_OTHER = 1 << 30,
};

/* Views into one Extensions SEQUENCE. The *_raw are extnValue contents, p NULL if absent. */
struct mu_pki_exts {
    struct mu_bytes all; /* whole Extensions DER, p NULL if none */
    bool has_basic, is_ca;
    int path_len;        /* -1: none */
    bool has_key_usage;
    unsigned key_usage;
    bool has_eku;
    unsigned eku;
    struct mu_bytes san; /* GeneralNames */
    struct mu_bytes skid, akid; /* key identifier octets */
    struct mu_bytes template_name_raw; /* 1.3.6.1.4.1.311.20.2 */
    struct mu_bytes eku_raw;
    bool unknown_critical;
};
/* Extensions given twice, or malformed known ones, are MU_INPUT. */
enum mu_code mu_pki_exts_decode(struct mu_bytes extensions, struct mu_pki_exts *out,
    struct mu_err *err) MU_CHECK;
typedef void mu_pki_ext_each_call(void *cookie, const char *oid, bool critical, struct mu_bytes value);
bool mu_pki_ext_each(struct mu_bytes extensions, mu_pki_ext_each_call *call, void *cookie);
/* For people: "X509v3 Key Usage" and "Digital Signature, Key Encipherment"; hex if unknown. */
const char *mu_pki_ext_title(const char *oid, char buf[64]);
bool mu_pki_ext_format(const char *oid, struct mu_bytes value, struct mu_buf *out);

/* 'digitalSignature, keyEncipherment' / 'clientAuth, serverAuth, 1.2.3'. Unknown words: nearest.
 * EKU OIDs that have no bit go to oids (space separated) if it is not NULL, else an error. */
enum mu_code mu_pki_key_usage_parse(const char *words, unsigned *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_eku_parse(const char *words, unsigned *out, struct mu_err *err) MU_CHECK;
bool mu_pki_key_usage_format(unsigned bits, struct mu_buf *out);
bool mu_pki_eku_format(unsigned bits, struct mu_buf *out);

/* Writers: each appends one Extension to an Extensions SEQUENCE that the caller opened with
 * mu_der_open(b, MU_DER_SEQUENCE). */
void mu_pki_ext_put(struct mu_buf *b, const char *oid, bool critical, struct mu_bytes value);
void mu_pki_ext_put_basic(struct mu_buf *b, bool critical, bool is_ca, int path_len);
void mu_pki_ext_put_key_usage(struct mu_buf *b, bool critical, unsigned bits);
void mu_pki_ext_put_eku(struct mu_buf *b, unsigned bits);
void mu_pki_ext_put_san(struct mu_buf *b, bool critical, struct mu_bytes general_names);
void mu_pki_ext_put_skid(struct mu_buf *b, const uint8_t id[20]);
void mu_pki_ext_put_akid(struct mu_buf *b, struct mu_bytes id);
void mu_pki_ext_put_template_name(struct mu_buf *b, const char *utf8); /* BMPString */
void mu_pki_ext_put_crl_dp(struct mu_buf *b, const char *url);
void mu_pki_ext_put_aia(struct mu_buf *b, const char *ocsp_url, const char *ca_issuers_url);

#endif
