/* Names: distinguished names and general names, DER on one side and what people type on the other. */
#ifndef MU_PKI_NAME_H
#define MU_PKI_NAME_H

#include "base/buf.h"
#include "base/der.h"

/* '/CN=x/O=y' (a backslash escapes, white space is kept) or 'CN=x,O=y' (RFC 4514 escapes, but in
 * the order typed). Known types: CN O OU L ST C DC emailAddress SN(serialNumber as 'serialNumber')
 * UID street postalCode title GN surname unstructuredName unstructuredAddress, or dotted OIDs.
 * Country has two letters. An unknown type names the nearest known one. Empty text: empty Name. */
enum mu_code mu_pki_name_parse(const char *text, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* Adds one RDN to a Name under construction: see mu_pki_name_builder users. type as in parse. */
struct mu_pki_name_part { const char *type; const char *value; };
enum mu_code mu_pki_name_build(const struct mu_pki_name_part *parts, size_t n, struct mu_buf *der,
    struct mu_err *err) MU_CHECK;

enum mu_pki_name_style {
    MU_PKI_NAME_SLASH,  /* /C=NL/O=Example/CN=x */
    MU_PKI_NAME_COMMA,  /* CN=x,O=y in the order of the encoding, RFC 4514 escapes */
    MU_PKI_NAME_SPACED, /* CN = x, O = y */
};
/* Escapes control characters; never fails for a valid Name; "" for an empty one. */
bool mu_pki_name_format(struct mu_bytes name_der, enum mu_pki_name_style style, struct mu_buf *out);
/* RFC 5280 7.1: case and blanks do not count, string types neither. */
bool mu_pki_name_equal(struct mu_bytes a, struct mu_bytes b);
bool mu_pki_name_is_empty(struct mu_bytes name_der);
bool mu_pki_name_valid(struct mu_bytes name_der);
/* First value of this attribute type ("CN") as UTF-8; false if there is none. */
bool mu_pki_name_get(struct mu_bytes name_der, const char *type, struct mu_buf *out);
/* Calls for each attribute in order. type is the short word or the dotted OID. */
typedef void mu_pki_name_each_call(void *cookie, const char *type, const char *value);
bool mu_pki_name_each(struct mu_bytes name_der, mu_pki_name_each_call *call, void *cookie);

/* 'DNS:a,IP:192.0.2.1,email:x@y,URI:..,RID:1.2.3,dirName:/C=NL/CN=x,otherName:OID;UTF8:v' to
 * GeneralNames DER (SEQUENCE OF). An unknown prefix lists the known ones. */
enum mu_code mu_pki_san_parse(const char *text, struct mu_buf *der, struct mu_err *err) MU_CHECK;
/* The same form back. */
bool mu_pki_san_format(struct mu_bytes general_names, struct mu_buf *out);
/* As sets, by value. */
bool mu_pki_san_equal(struct mu_bytes a, struct mu_bytes b);
/* Every element of sub is in all. */
bool mu_pki_san_subset(struct mu_bytes sub, struct mu_bytes all);
/* Each name once: "DNS:a.example". */
typedef void mu_pki_san_each_call(void *cookie, const char *text, struct mu_bytes general_name);
bool mu_pki_san_each(struct mu_bytes general_names, mu_pki_san_each_call *call, void *cookie);

#endif
