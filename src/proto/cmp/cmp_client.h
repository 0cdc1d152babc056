/*
 * The CMP client engine (RFC 9810, 9811, 9483): ir, cr, p10cr, kur with polling and confirmation,
 * rr, genm. Emits the trace of ACCEPTANCE C022..C045 in that order. See enroll/enroll_engine.h.
 */
#ifndef MU_PROTO_CMP_CLIENT_H
#define MU_PROTO_CMP_CLIENT_H

#include "base/secret.h"
#include "enroll/enroll_engine.h"
#include "pki/pki_csr.h"

enum mu_cmp_client_op {
    MU_CMP_CLIENT_IR, MU_CMP_CLIENT_CR, MU_CMP_CLIENT_P10CR, MU_CMP_CLIENT_KUR, MU_CMP_CLIENT_RR,
    MU_CMP_CLIENT_CA,          /* genm caCerts */
    MU_CMP_CLIENT_ROOT_UPDATE, /* genm rootCaCert */
    MU_CMP_CLIENT_TEMPLATE,    /* genm certReqTemplate */
    MU_CMP_CLIENT_CRL,         /* genm crlStatusList */
    MU_CMP_CLIENT_PROBE,       /* genm caCerts, without protection if nothing is given to protect it by:
                                * what answers is told, and nothing of it is believed */
};
enum mu_cmp_mac { MU_CMP_MAC_PBM, MU_CMP_MAC_PBMAC1 };

/* All of it is borrowed for the time of the call to new/restore; the engine copies or counts. */
struct mu_cmp_client_config {
    const struct mu_env *env;          /* must outlive the engine */
    enum mu_cmp_client_op op;
    const char *url;                   /* whole: http://host:port/app/cert/cmp2 */
    const char *entry;                 /* for 'start: ir for <entry>' */

    struct mu_bytes subject, extensions; /* Name DER; Extensions DER, n 0: none */
    struct mu_bytes csr;               /* P10CR: DER */
    struct mu_pki_key *key;            /* of the certificate asked for; NULL with central_keygen */
    bool central_keygen;
    bool indirect;                     /* RSA, EC: possession is shown by opening the certificate, which
                                        * comes encrypted (RFC 9810 5.2.8.3.2), instead of by a signature */
    const char *cert_profile;          /* NULL: none */

    /* Protection: a secret, or a certificate. */
    const char *ref;
    const struct mu_secret *secret;
    enum mu_cmp_mac mac;
    int mac_iterations;                /* 0: default */
    enum mu_pki_digest mac_owf, mac_hmac; /* NONE: SHA-256; owf is PBMAC1's PRF (IOP-35) */
    struct mu_pki_cert *signer_cert;   /* KUR, RR: the current certificate */
    const struct mu_pki_certs *signer_chain;
    struct mu_pki_key *signer_key;
    enum mu_pki_digest digest;         /* of our signatures; NONE: the key's default */

    struct mu_bytes recipient;         /* Name DER; n 0: the CA's if known, else NULL-DN */
    const struct mu_pki_certs *server_certs; /* expected from the server (server-cert); NULL: any below trusted */
    const char *server_cert_as;        /* its name for the trace */
    const struct mu_pki_certs *trusted;
    const char *trusted_as;
    bool trust_ca_pubs;                /* MAC: caPubs may bring the anchor */

    struct mu_pki_cert *old_cert;      /* KUR: oldCertID; RR: what to revoke, if not the signer */
    int revoke_reason;
    bool implicit_confirm;             /* ask for it */
    bool disable_confirm;              /* IOP-36 */
    bool ignore_key_usage;             /* IOP-34 */
    bool rsa_pss;                      /* messages are signed by RSASSA-PSS */
    bool allow_legacy;

    int64_t await_s, max_await_s;      /* polling: 0 are 60 and 3600 */
    bool no_wait;
    const char *transaction_id;        /* hex; NULL: 128 random bits */
};

struct mu_cmp_client;

enum mu_code mu_cmp_client_new(const struct mu_cmp_client_config *config,
    struct mu_cmp_client **out, struct mu_err *err) MU_CHECK;
void mu_cmp_client_free(struct mu_cmp_client *client);
enum mu_code mu_cmp_client_start(struct mu_cmp_client *client, struct mu_step *next,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_client_step(struct mu_cmp_client *client, const struct mu_event *event,
    struct mu_step *next, struct mu_err *err) MU_CHECK;
/* As bytes, to go on after a restart: no secret and no private key in it. restore: no answer seen:
 * the same request again; waiting seen: a pollReq; issued and saved: the certConf. */
enum mu_code mu_cmp_client_store(const struct mu_cmp_client *client, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_cmp_client_restore(const struct mu_cmp_client_config *config, struct mu_bytes state,
    struct mu_cmp_client **out, struct mu_err *err) MU_CHECK;

/* What is known so far; views. */
struct mu_cmp_client_result {
    const char *transaction_id;            /* hex, upper case; NULL before the request */
    const struct mu_pki_certs *ca_certs;   /* caPubs, or genp caCerts; NULL: none */
    struct mu_pki_cert *cert;
    const struct mu_pki_certs *chain;      /* issuer first */
    struct mu_pki_key *key;                /* central_keygen */
    struct mu_bytes crl;                   /* DER */
    struct mu_bytes cert_template;         /* DER CertReqTemplateValue; n 0: no wishes */
    const struct mu_pki_key_spec *template_keys; /* those of it that can be made here, in its order */
    size_t template_key_n;
    struct mu_bytes template_subject, template_extensions; /* Name, Extensions; n 0: none */
    bool pending, confirmed, implicit, granted_with_mods;
    bool rejected;                         /* by us: the transaction is over */
    unsigned polls;
    int64_t check_after_s;                 /* of the last pollRep; 0: none */
    int pki_status;                        /* -1: none seen */
    int fail_bit;                          /* -1: none seen */
    const char *refusal;                   /* the wire's words: "badPOP"; NULL: none */
    const char *warnings;                  /* lines, "" if none */
    /* PROBE: version and what was answered; how the answer is protected; what a request needs; "" */
    const char *offers, *protection, *needs;
    int64_t server_date_s;
};
void mu_cmp_client_result(const struct mu_cmp_client *client, struct mu_cmp_client_result *out);

#endif
