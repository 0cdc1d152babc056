/*
 * The parts of CMS (RFC 5652) that enrollment uses: SignedData with one signer, EnvelopedData with
 * one recipient, certs-only. BER is taken, DER is sent. Our own DER code around OpenSSL's keys,
 * digests and ciphers; legacy ciphers come from a library context of their own.
 */
#ifndef MU_PKI_CMS_H
#define MU_PKI_CMS_H

#include "base/env.h"
#include "pki/pki_cert.h"
#include "pki/pki_crl.h"

struct mu_pki_attr {
    const char *oid;        /* dotted */
    struct mu_bytes value;  /* one whole DER element */
};

/* ---- SignedData ---- */
struct mu_pki_signed {
    struct mu_buf der;              /* owned, DER even if BER came; views below point into it */
    struct mu_bytes content_type;   /* OID content octets of eContentType */
    struct mu_bytes content;        /* eContent octets; p NULL if absent */
    struct mu_pki_certs certs;
    struct mu_bytes crls;           /* content of [1], n 0 if none */
    size_t signer_count;
    /* of the one signer, if signer_count == 1 */
    struct mu_bytes sid_issuer, sid_serial, sid_skid;
    enum mu_pki_digest digest;
    struct mu_bytes signed_attrs;   /* content of [0], p NULL if absent */
    struct mu_bytes sig_alg, signature;
};
/* More than one signer is MU_INPUT. Bounds: MU_LIMIT_MESSAGE, _DEPTH, _CERTS. */
enum mu_code mu_pki_signed_decode(struct mu_bytes in, struct mu_pki_signed *out, struct mu_err *err)
    MU_CHECK;
/* SignedData by itself, as an encrypted key package is. */
enum mu_code mu_pki_signed_decode_bare(struct mu_bytes in, struct mu_pki_signed *out,
    struct mu_err *err) MU_CHECK;
void mu_pki_signed_clear(struct mu_pki_signed *s);
/* Value of a signed attribute. *out is the one DER element; p NULL if absent.
 * Present twice or not exactly one value: MU_INPUT. */
enum mu_code mu_pki_signed_attr(const struct mu_pki_signed *s, const char *oid,
    struct mu_bytes *out, struct mu_err *err) MU_CHECK;
/* The included certificate that the sid names; NULL if none. Borrowed. */
struct mu_pki_cert *mu_pki_signed_signer(const struct mu_pki_signed *s);
bool mu_pki_signed_sid_is(const struct mu_pki_signed *s, const struct mu_pki_cert *cert);
/* contentType and messageDigest attributes, then the signature over the SET OF (COM-03..06). */
enum mu_code mu_pki_signed_verify(const struct mu_pki_signed *s, struct mu_pki_cert *signer,
    bool allow_legacy, struct mu_err *err) MU_CHECK;

struct mu_pki_signed_params {
    struct mu_bytes content;               /* p NULL: eContent absent */
    const char *content_type;              /* NULL: id-data */
    const struct mu_pki_key *key;
    const struct mu_pki_cert *cert;        /* of the signer */
    enum mu_pki_digest digest;
    const struct mu_pki_attr *attrs;       /* besides contentType and messageDigest */
    size_t attr_n;
    const struct mu_pki_certs *certs;      /* to include, in this order, NULL: none */
    int64_t signing_time_s;                /* 0: no signingTime */
    bool sign_alg_rsa_encryption;          /* plain rsaEncryption in SignerInfo: strongSwan 5.9.8 */
    bool sid_by_skid;                      /* SignerInfo v3, if the certificate has a key identifier */
    bool bare;                             /* SignedData without ContentInfo around it */
};
enum mu_code mu_pki_signed_encode(const struct mu_pki_signed_params *params, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

/* ---- EnvelopedData ---- */
enum mu_pki_recipient {
    MU_PKI_RECIPIENT_KTRI, /* RSA */
    MU_PKI_RECIPIENT_PWRI, /* password */
    MU_PKI_RECIPIENT_OTHER,
    MU_PKI_RECIPIENT_KARI, /* ECDH */
    MU_PKI_RECIPIENT_KEK,  /* a key that both sides have */
};
struct mu_pki_enveloped {
    struct mu_buf der;
    enum mu_pki_recipient kind;
    int version;
    struct mu_bytes rid_issuer, rid_serial, rid_skid;
    struct mu_bytes key_alg, encrypted_key;
    struct mu_bytes kdf_alg;          /* PWRI */
    struct mu_bytes kek_id;           /* KEK: keyIdentifier */
    /* KARI: the originator's key, or its certificate by name or key identifier */
    struct mu_bytes originator_alg, originator_bits;
    struct mu_bytes originator_issuer, originator_serial, originator_skid;
    struct mu_bytes ukm;
    struct mu_bytes content_type;     /* OID content octets, of what is encrypted */
    enum mu_pki_cipher cipher;
    struct mu_bytes iv, ciphertext, mac /* GCM */, auth_attrs;
};
/* ContentInfo. More than one recipient is MU_INPUT (decryption oracle). An unknown cipher is
 * MU_UNSUPPORTED. */
enum mu_code mu_pki_enveloped_decode(struct mu_bytes in, struct mu_pki_enveloped *out,
    struct mu_err *err) MU_CHECK;
/* EnvelopedData by itself, a SEQUENCE or what an IMPLICIT tag stands around, as CMP carries it. */
enum mu_code mu_pki_enveloped_decode_bare(struct mu_bytes in, struct mu_pki_enveloped *out,
    struct mu_err *err) MU_CHECK;
void mu_pki_enveloped_clear(struct mu_pki_enveloped *e);
/* Recipient named by this certificate; name encodings and leading zeros are forgiven (INTEROP 3.8). */
bool mu_pki_enveloped_is_for(const struct mu_pki_enveloped *e, const struct mu_pki_cert *cert);
/* KTRI and KARI. All failures are the same MU_AUTH, MU_REFUSE_SIGNATURE. Ciphers that are legacy
 * need the switch (MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, before any key is used). out should be
 * secret. open_from: the originator of a KARI may be a certificate of this list (NULL: none). */
enum mu_code mu_pki_enveloped_open(const struct mu_pki_enveloped *e, const struct mu_pki_key *key,
    bool allow_legacy, struct mu_buf *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_enveloped_open_from(const struct mu_pki_enveloped *e,
    const struct mu_pki_key *key, const struct mu_pki_certs *originators, bool allow_legacy,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_enveloped_open_password(const struct mu_pki_enveloped *e,
    const struct mu_secret *password, bool allow_legacy, struct mu_buf *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_pki_enveloped_open_kek(const struct mu_pki_enveloped *e,
    const struct mu_secret *kek, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* To one of: recipient, kek, password. */
struct mu_pki_enveloped_params {
    struct mu_pki_cert *recipient;       /* RSA: KTRI; EC: KARI, ephemeral-static (RFC 5753) */
    bool rid_by_skid;                    /* named by key identifier, if the certificate has one */
    const struct mu_secret *kek;         /* 16, 24 or 32 octets, AES key wrap */
    struct mu_bytes kek_id;
    const struct mu_secret *password;    /* PWRI, PBKDF2-SHA-256, id-alg-PWRI-KEK */
    bool aes_wrap;                       /* PWRI: AES key wrap instead of PWRI-KEK (RFC 9481 4.3) */
    enum mu_pki_cipher cipher;
    bool allow_legacy;
    const char *content_type;            /* NULL: id-data */
    bool bare;                           /* EnvelopedData without ContentInfo around it */
};
enum mu_code mu_pki_enveloped_encode(const struct mu_pki_enveloped_params *params,
    struct mu_bytes plain, const struct mu_env *env, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* ---- certs-only (COM-08) ---- */
/* Keeps the order of certs. crl may be n 0. */
void mu_pki_certs_only_encode(const struct mu_pki_certs *certs, struct mu_bytes crl,
    struct mu_buf *out);
/* Appends certificates; *crl (may be NULL) gets the first CRL, a view into in — or, if in was BER,
 * copied to keep. keep holds what the view needs and must outlive it. */
enum mu_code mu_pki_certs_only_decode(struct mu_bytes in, struct mu_pki_certs *certs,
    struct mu_bytes *crl, struct mu_buf *keep, struct mu_err *err) MU_CHECK;

#endif
