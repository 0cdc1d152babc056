/*
 * Profiles: what is issued and when. One decision for all protocols (INTEROP 5.7), pure: facts in,
 * subject, extensions and validity out, or a refusal; each rule is traced as "rule: result".
 *
 * Keys of a profile, as 'key = value' lines (PRODUCT 'Profile key'):
 *   protocols            all | scep, est, cmp
 *   ca                   name of the CA; empty: the only one
 *   approval             auto | manual (what is no renewal) | always (renewals too)
 *   password             random once | random reusable | given | none   (for 'entry new')
 *   wildcard             no | yes
 *   subject              accept | fixed DN | a pattern: CN=*.branch.example (each part named must
 * be there and fit; '*' stands for any characters but '*') subject-drop         attribute types, by
 * comma: C, DC subject-set          a DN whose parts replace those of the same type: OU=AS
 *   subject-differs      override | refuse | accept: when the rules would change what was asked for
 *   san                  accept | drop | refuse | patterns by comma: DNS:*.branch.example
 *   lifetime, backdate   365d, 5min
 *   keys                 rsa:2048 (at least), ec:P-256, ec:P-384, ec:P-521 (exactly), ed25519
 *   key-seen             accept | refuse: a key that has a certificate under another name
 *   key-usage, eku       digitalSignature, clientAuth; none: no such extension
 *   usage-from-request   no | yes: what was asked for and is not special wins
 *   critical             basic, key-usage; none
 *   pointers             yes | no: the CA's CRL and issuer addresses
 *   template-name        value of extension 1.3.6.1.4.1.311.20.2 that chooses this profile (SCEP), or
 *                        name that a certProfile of CMP chooses it by
 *   renew-before         30d | any;  renew-after 0
 *   renew-key            either | new | same
 *   renew-challenge, revoke-old     no, no
 *   max-alive            0: no limit, live certificates per subject
 *   max-requests         6/h; 0: no limit, requests per subject
 *   csrattrs             what EST's csrattrs answers, see enroll_csrattrs.h; none: 204
 *   est                  switches of EST for who asks under this profile's label, by comma:
 *                        link (proof of possession has to be linked to the TLS session), both (a
 *                        client certificate and a password), one-line (base64 without line
 *                        breaks), chain (the CA beside the certificate), challenge (the
 *                        challengePassword is the password of an entry); none
 *   keygen               no | yes: the CA makes keys on request (EST serverkeygen)
 *   name-change          no | yes: a renewal may ask for another name (RFC 6402 2.8)
 *   ca-in-reply          yes
 *   allow-legacy         no: smaller keys, SHA-1
 */
#ifndef MU_ENROLL_PROFILE_H
#define MU_ENROLL_PROFILE_H

#include "base/env.h"
#include "pki/pki_cert.h"
#include "pki/pki_csr.h"

enum mu_profile_subject {
    MU_PROFILE_SUBJECT_ACCEPT,
    MU_PROFILE_SUBJECT_FIXED,
    MU_PROFILE_SUBJECT_PATTERN
};
enum mu_profile_differs { MU_PROFILE_OVERRIDE, MU_PROFILE_REFUSE, MU_PROFILE_KEEP };
enum mu_profile_san {
    MU_PROFILE_SAN_ACCEPT,
    MU_PROFILE_SAN_DROP,
    MU_PROFILE_SAN_REFUSE,
    MU_PROFILE_SAN_PATTERN
};
enum mu_profile_renew_key { MU_PROFILE_KEY_EITHER, MU_PROFILE_KEY_NEW, MU_PROFILE_KEY_SAME };
enum mu_profile_password {
    MU_PROFILE_PASSWORD_ONCE,
    MU_PROFILE_PASSWORD_REUSABLE,
    MU_PROFILE_PASSWORD_GIVEN,
    MU_PROFILE_PASSWORD_NONE,
};
enum { MU_PROFILE_CRITICAL_BASIC = 1, MU_PROFILE_CRITICAL_KEY_USAGE = 2 };
enum { MU_PROFILE_RENEW_ANY = -1 };
enum {
    MU_PROFILE_EST_LINK = 1,
    MU_PROFILE_EST_BOTH = 2,
    MU_PROFILE_EST_ONE_LINE = 4,
    MU_PROFILE_EST_CHAIN = 8,
    MU_PROFILE_EST_CHALLENGE = 16,
};

struct mu_profile_pattern {
    char *type; /* "CN"; SAN patterns: NULL */
    char *glob;
};

/* Immutable after parse; shared by threads. */
struct mu_enroll_profile {
    char *name;
    unsigned protocols; /* 1 << enum mu_proto; 0: all */
    char *ca; /* "": the only one */
    bool manual, manual_renewal, wildcard;
    enum mu_profile_password password;
    enum mu_profile_subject subject_rule;
    enum mu_profile_differs subject_differs;
    struct mu_buf subject_fixed; /* Name DER */
    struct mu_profile_pattern *subject_patterns;
    size_t subject_pattern_n;
    struct mu_buf subject_drop; /* OID elements, one behind the other */
    struct mu_buf subject_set; /* RDNs, one behind the other */
    enum mu_profile_san san_rule;
    struct mu_profile_pattern *san_patterns;
    size_t san_pattern_n;
    int64_t lifetime_s, backdate_s;
    unsigned rsa_min; /* 0: no RSA */
    unsigned ec_curves; /* 1: P-256, 2: P-384, 4: P-521 */
    bool ed25519, ed448;
    bool refuse_key_seen;
    bool has_key_usage, has_eku;
    unsigned key_usage, eku;
    bool usage_from_request;
    unsigned critical;
    bool pointers;
    char *template_name; /* NULL: none */
    int64_t renew_before_s, renew_after_s; /* before: MU_PROFILE_RENEW_ANY */
    enum mu_profile_renew_key renew_key;
    bool renew_challenge, revoke_old;
    int64_t max_alive, max_requests; /* 0: no limit; requests per hour */
    char *csrattrs;
    struct mu_buf csrattrs_der; /* CsrAttrs; n 0: no wishes */
    unsigned est; /* MU_PROFILE_EST_* */
    bool keygen, name_change;
    bool ca_in_reply, allow_legacy;
    char *text; /* what parse was given, for show */
};

/* settings: 'key = value' lines, in the syntax of base/ini.h without sections. Unknown keys are
 * M706 with the nearest word. The name must be fit for a file name. */
enum mu_code mu_enroll_profile_parse(const char *name, const char *settings,
    struct mu_enroll_profile **out, struct mu_err *err) MU_CHECK;
void mu_enroll_profile_free(struct mu_enroll_profile *profile);
/* One key and its value as people read it; also those at their default. */
typedef void mu_enroll_profile_each_call(void *cookie, const char *key, const char *value);
void mu_enroll_profile_each(
    const struct mu_enroll_profile *profile, mu_enroll_profile_each_call *call, void *cookie);
/* Words of the key "est" to bits; words by comma or '+'. */
enum mu_code mu_enroll_profile_est(const char *words, unsigned *out, struct mu_err *err) MU_CHECK;
/* The same as 'key = value' lines: parses back to an equal profile. */
bool mu_enroll_profile_format(const struct mu_enroll_profile *profile, struct mu_buf *out);
/* Presets of the profile form: "https-server", "vpn-gateway", "eap-tls-client",
 * "radius-server"; the i-th, NULL behind the last. */
const char *mu_enroll_profile_preset(size_t i, const char **title, const char **settings);

/* Facts a decision is made of. */
struct mu_enroll_facts {
    enum mu_proto proto;
    const struct mu_pki_csr *csr; /* proof of possession verified */
    const struct mu_pki_cert
        *renews; /* the certificate that signed, one of ours; NULL: a first request */
    bool renews_revoked;
    bool has_challenge; /* a challenge was given and is right */
    bool new_name; /* the request asks to change the name of what it renews, in RFC 6402's form */
    bool approved; /* an operator has said yes: approval and renewal window are settled */
    const struct mu_pki_cert *issuer;
    const char *crl_url, *ocsp_url, *ca_issuers_url; /* of the CA; NULL: none */
    const char
        *key_seen_as; /* subject (comma form) of another certificate of this key; NULL: none */
};

struct mu_enroll_grant {
    struct mu_buf subject; /* Name DER */
    struct mu_buf extensions; /* Extensions DER */
    int64_t not_before_s, not_after_s;
    bool manual; /* all is well, but a person has to decide */
};

/* MU_OK: *grant is filled (clear it). Else a refusal MU_REFUSE_* with its sentence. */
enum mu_code mu_enroll_profile_decide(const struct mu_enroll_profile *profile,
    const struct mu_enroll_facts *facts, const struct mu_env *env, struct mu_enroll_grant *grant,
    struct mu_err *err) MU_CHECK;
void mu_enroll_grant_clear(struct mu_enroll_grant *grant);
/* What a CSR asks for by extension 1.3.6.1.4.1.311.20.2, any string type; false if nothing. */
bool mu_enroll_profile_template(const struct mu_pki_csr *csr, struct mu_buf *out);

#endif
