/*
 * The SCEP client engine: GetCACaps, GetCACert, then PKCSReq or RenewalReq with polling, or one of
 * the queries. Emits the trace of ACCEPTANCE S027..S067 in that order. See enroll/enroll_engine.h.
 */
#ifndef MU_PROTO_SCEP_CLIENT_H
#define MU_PROTO_SCEP_CLIENT_H

#include "enroll/enroll_engine.h"
#include "pki/pki_cms.h"
#include "pki/pki_csr.h"

enum mu_scep_client_op {
    MU_SCEP_CLIENT_CAPS,    /* GetCACaps only */
    MU_SCEP_CLIENT_CA,      /* GetCACaps, GetCACert: result ca_certs */
    MU_SCEP_CLIENT_NEXT_CA, /* GetNextCACert, verified with the trusted CA */
    MU_SCEP_CLIENT_ENROLL,  /* PKCSReq; with signer_cert a renewal: 17 where offered, else 19 */
    MU_SCEP_CLIENT_POLL,    /* CertPoll at once for a pending transaction (sscep -R; muster: restore instead) */
    MU_SCEP_CLIENT_CERT,    /* GetCert by serial */
    MU_SCEP_CLIENT_CRL,     /* GetCRL */
};
enum mu_scep_method { MU_SCEP_METHOD_AUTO, MU_SCEP_METHOD_GET, MU_SCEP_METHOD_POST };

/* All of it is borrowed for the time of the call to new/restore; the engine copies or counts. */
struct mu_scep_client_config {
    const struct mu_env *env;          /* must outlive the engine */
    enum mu_scep_client_op op;
    const char *url;
    const char *entry;                 /* for 'start: PKCSReq for <entry>' */
    const char *ca_identifier;         /* NULL: none */

    struct mu_bytes csr;               /* ENROLL, POLL: DER, signed */
    struct mu_pki_key *key;            /* its private key; queries: the signer's */
    struct mu_pki_cert *signer_cert;   /* signs instead of a self-signed one (renewal, -O); queries: needed */
    struct mu_pki_key *signer_key;     /* its key */
    bool plain_pkcs_req;               /* type 19 even with signer_cert and Renewal offered */
    bool has_challenge;                /* a challenge is in the CSR, for the trace */
    struct mu_bytes serial;            /* CERT: INTEGER content octets; CRL: none (signer's) */

    /* Which CA is ours: the pin decides if there is one; else the CA has to lead up to one of
     * trusted, with its root; else ca_certs are trusted because they were given; else WANT_TRUST. */
    const struct mu_pki_certs *trusted; /* CA certificates known here; NULL: none */
    const char *trusted_as;            /* name for the trace, NULL: none */
    const uint8_t *pin_sha256;         /* 32 octets the CA must have; NULL: none */
    const struct mu_pki_certs *ca_certs; /* given: GetCACert is skipped */
    bool skip_caps;                    /* with known_caps */
    unsigned known_caps;
    struct mu_pki_cert *encrypt_to;    /* instead of the choice by key usage (ra-cert, -e) */

    enum mu_pki_digest digest;         /* NONE: by capabilities, SHA-256 first */
    enum mu_pki_cipher cipher;         /* NONE: by capabilities, AES-128 first */
    enum mu_scep_method method;
    bool allow_legacy;
    bool nonce_warn_only;
    bool expect_standard;              /* abort if SCEPStandard is missing (SCEP-23) */
    bool compat_iis;                   /* SCEP-25 */

    int64_t await_s, max_await_s;      /* polling: 0 are 60 and 3600 */
    unsigned max_polls;                /* 0: no limit but the time */
    bool no_wait;                      /* stop with MU_PENDING at the first PENDING; resume later */
    const char *transaction_id;        /* NULL: derived with a salt (SCEP-50) */
    bool transaction_id_from_key;      /* derived from the key alone (sscep) */
    struct mu_pki_cert *self_signed;   /* to sign with instead of one made here (resume) */
};

struct mu_scep_client;

enum mu_code mu_scep_client_new(const struct mu_scep_client_config *config,
    struct mu_scep_client **out, struct mu_err *err) MU_CHECK;
void mu_scep_client_free(struct mu_scep_client *client);
/* First step; then one call per event. WANT_TRUST shows the certificate that trust will rest on
 * first, then those below it down to the issuing CA. An error is final. Refused by the CA: MU_DENIED with M311..M319
 * as far as the answer tells; pending beyond the limits or no_wait: MU_PENDING (M313 / none). */
enum mu_code mu_scep_client_start(struct mu_scep_client *client, struct mu_step *next,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_scep_client_step(struct mu_scep_client *client, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err) MU_CHECK;

/* The engine as bytes, to go on after a restart: no private key in it, but a challenge may be in
 * the CSR, so it is a secret. restore takes a config with the keys and settings again and goes on:
 * no answer seen: the same request again; PENDING seen: a poll (SCEP-65). */
enum mu_code mu_scep_client_store(const struct mu_scep_client *client, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_scep_client_restore(const struct mu_scep_client_config *config, struct mu_bytes state,
    struct mu_scep_client **out, struct mu_err *err) MU_CHECK;

/* What is known so far; views. */
struct mu_scep_client_result {
    bool has_caps;
    unsigned caps;
    const struct mu_pki_certs *ca_certs;   /* all that GetCACert gave, in its order */
    struct mu_pki_cert *ca;                /* the issuing CA among them, NULL if not known */
    struct mu_pki_cert *ra_sign, *ra_encrypt;
    int reply_type;                        /* 1 or 3, as the trace tells it */
    const char *transaction_id;            /* NULL before the request */
    struct mu_pki_cert *self_signed;       /* made for the request, NULL if not */
    struct mu_pki_cert *cert;              /* issued, or of GetCert */
    const struct mu_pki_certs *chain;      /* of it, issuer first */
    struct mu_bytes crl;                   /* DER */
    bool pending;                          /* the CA has said PENDING */
    unsigned polls;
    int fail_info;                         /* -1: none seen */
    int pki_status;                        /* -1: none seen */
    enum mu_pki_digest digest;             /* chosen */
    enum mu_pki_cipher cipher;
    bool used_post, used_renewal;
    const char *warnings;                  /* lines, "" if none: legacy in use, degraded, nonce missing */
    int64_t server_date_s;                 /* 0: unknown */
};
void mu_scep_client_result(const struct mu_scep_client *client, struct mu_scep_client_result *out);

#endif
