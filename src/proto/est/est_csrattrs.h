/*
 * CSR attributes (RFC 7030 4.5, 8951 4, 9908): what a CA wishes to find in a request. Both
 * directions: bare OIDs, attributes with values, extension requests, and the template of RFC 9908
 * (est_template.c), which a client that knows it uses alone.
 */
#ifndef MU_PROTO_EST_CSRATTRS_H
#define MU_PROTO_EST_CSRATTRS_H

#include "pki/pki_ext.h"
#include "pki/pki_key.h"
#include "pki/pki_name.h"

#define MU_EST_OID_CHALLENGE_PASSWORD "1.2.840.113549.1.9.7"
#define MU_EST_OID_EXTENSION_REQUEST "1.2.840.113549.1.9.14"
#define MU_EST_OID_TEMPLATE "1.2.840.113549.1.9.16.2.61"
#define MU_EST_OID_EXTENSION_TEMPLATE "1.2.840.113549.1.9.16.2.62"
#define MU_EST_OID_SAN "2.5.29.17"

enum { MU_EST_CSRATTRS_MAX = 64, MU_EST_WISHES_MAX = 32 };

/* One extension wished for. Views. */
struct mu_est_ext_wish {
    struct mu_bytes oid;      /* content octets */
    bool critical;
    bool fill;                /* the client is to find the value */
    struct mu_bytes value;    /* extnValue content; n 0 with fill */
};

/* What it all comes to. Views into what was decoded. */
struct mu_est_csrattrs {
    bool link;                       /* challengePassword: link to the TLS session (EST-55) */
    bool has_key;
    struct mu_pki_key_spec key;      /* type OTHER: one not known here. bits 0: any */
    enum mu_pki_digest digest;       /* of the signature; NONE: no wish */
    struct mu_est_ext_wish exts[MU_EST_WISHES_MAX];
    size_t ext_n;
    bool is_template;                /* by RFC 9908: nothing else counts then (EST-71) */
    struct mu_bytes subject;         /* of a template: its NameTemplate; n 0: no wishes */
    bool bad_extensions;             /* an extension request that is none, as in RFC 7030's example */
};

/* der is one CsrAttrs; n 0 is an empty one. What is not known is left out; only what is no
 * CsrAttrs at all, or too big, is MU_INPUT. */
enum mu_code mu_est_csrattrs_decode(struct mu_bytes der, struct mu_est_csrattrs *out,
    struct mu_err *err) MU_CHECK;
/* For people, each element: "1.3.132.0.34", "secp384r1" ("undefined" if not known), and words for
 * its values, "" if none. False if der is none. */
typedef void mu_est_csrattrs_call(void *cookie, const char *oid, const char *name, const char *values);
bool mu_est_csrattrs_each(struct mu_bytes der, mu_est_csrattrs_call *call, void *cookie);
/* The name of an OID's content octets, "undefined" if not known. */
const char *mu_est_csrattrs_name(struct mu_bytes oid);
/* One RDN of a NameTemplate: value p NULL means to be filled in. type is the short word or OID. */
typedef void mu_est_template_call(void *cookie, const char *type, const char *value);
bool mu_est_template_subject(struct mu_bytes name_template, mu_est_template_call *call, void *cookie);

/* ---- for servers ---- */

struct mu_est_csrattrs_params {
    bool link;
    const char *const *oids;         /* bare ones, dotted, ends with NULL; may be NULL */
    struct mu_pki_key_spec key;      /* type OTHER: no wish. bits 0: any size (RSA) */
    enum mu_pki_digest digest;       /* signature with this key type; NONE: no wish */
    struct mu_bytes extensions;      /* Extensions DER with values; n 0: none */
    const char *const *fill;         /* extensions the client is to fill in; ends with NULL */
    bool with_template;              /* besides the other style (RFC 9908 4) */
    const struct mu_pki_name_part *subject; /* template: value NULL: to be filled in */
    size_t subject_n;
};
/* Nothing wished for: out stays empty, which is 204. */
enum mu_code mu_est_csrattrs_encode(const struct mu_est_csrattrs_params *params, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
/* attrs with this bare OID in it, once; attrs n 0: a list of one. */
enum mu_code mu_est_csrattrs_add(struct mu_bytes attrs, const char *oid, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;

/* ---- est_template.c ---- */

/* Value of the attribute MU_EST_OID_TEMPLATE. */
bool mu_est_template_decode(struct mu_bytes value, struct mu_est_csrattrs *out);
void mu_est_template_put(const struct mu_est_csrattrs_params *params, struct mu_buf *out);
/* Key algorithm (OID content) and its parameter element or curve OID, bits, to a spec. */
void mu_est_csrattrs_key(struct mu_bytes oid, const struct mu_der *value, struct mu_est_csrattrs *out);
/* One more extension wish; the first of an OID counts. */
void mu_est_csrattrs_wish(struct mu_est_csrattrs *out, const struct mu_est_ext_wish *wish);
/* OID of a curve or key type, NULL if none. */
const char *mu_est_csrattrs_key_oid(const struct mu_pki_key_spec *spec, const char **curve);

#endif
