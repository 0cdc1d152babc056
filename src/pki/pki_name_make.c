/* Distinguished names from what people type: attribute types, escapes, DER. Reading names is
 * pki_name.c. */
#include "pki/pki_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_words.h"

enum string_kind { ANY_STRING, PRINTABLE, IA5 };

static const struct type_row {
    const char *word, *oid;
    enum string_kind kind;
} types[] = {
    {"CN", "2.5.4.3", ANY_STRING},
    {"O", "2.5.4.10", ANY_STRING},
    {"OU", "2.5.4.11", ANY_STRING},
    {"L", "2.5.4.7", ANY_STRING},
    {"ST", "2.5.4.8", ANY_STRING},
    {"C", "2.5.4.6", PRINTABLE},
    {"DC", "0.9.2342.19200300.100.1.25", IA5},
    {"emailAddress", "1.2.840.113549.1.9.1", IA5},
    {"serialNumber", "2.5.4.5", PRINTABLE},
    {"UID", "0.9.2342.19200300.100.1.1", ANY_STRING},
    {"street", "2.5.4.9", ANY_STRING},
    {"postalCode", "2.5.4.17", ANY_STRING},
    {"title", "2.5.4.12", ANY_STRING},
    {"GN", "2.5.4.42", ANY_STRING},
    {"surname", "2.5.4.4", ANY_STRING},
    {"unstructuredName", "1.2.840.113549.1.9.2", ANY_STRING},
    {"unstructuredAddress", "1.2.840.113549.1.9.8", ANY_STRING},
    {"dnQualifier", "2.5.4.46", PRINTABLE},
    {"initials", "2.5.4.43", ANY_STRING},
    {"pseudonym", "2.5.4.65", ANY_STRING},
    {"organizationIdentifier", "2.5.4.97", ANY_STRING},
    /* other words for the same; never written */
    {"E", "1.2.840.113549.1.9.1", IA5},
    {"email", "1.2.840.113549.1.9.1", IA5},
    {"S", "2.5.4.8", ANY_STRING},
    {"SN", "2.5.4.4", ANY_STRING},
    {"givenName", "2.5.4.42", ANY_STRING},
    {"commonName", "2.5.4.3", ANY_STRING},
    {"organizationName", "2.5.4.10", ANY_STRING},
    {"organizationalUnitName", "2.5.4.11", ANY_STRING},
    {"localityName", "2.5.4.7", ANY_STRING},
    {"stateOrProvinceName", "2.5.4.8", ANY_STRING},
    {"countryName", "2.5.4.6", PRINTABLE},
    {"domainComponent", "0.9.2342.19200300.100.1.25", IA5},
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static const char known_types[] =
    "known are CN O OU L ST C DC emailAddress serialNumber UID street "
    "postalCode title GN surname unstructuredName "
    "unstructuredAddress, or a dotted OID";

static const struct type_row *type_by_word(const char *word)
{
    for (size_t i = 0; i < TYPES; i++)
        if (mu_text_equal_nocase(types[i].word, word))
            return &types[i];
    return NULL;
}

const char *mu_pki_name_type_word(struct mu_bytes oid, char buf[MU_OID_TEXT])
{
    for (size_t i = 0; i < TYPES; i++)
        if (mu_der_oid_is(oid, types[i].oid))
            return types[i].word;
    return mu_pki_oid_text(oid, buf, MU_OID_TEXT);
}

const char *mu_pki_name_type_oid(const char *word)
{
    const struct type_row *row = type_by_word(word);
    return row ? row->oid : word;
}

/* "2.5.4.05" is the same OID as "2.5.4.5", so the encodings are compared. */
static const struct type_row *type_by_dotted(const char *dotted)
{
    const struct type_row *row = NULL;
    struct mu_buf der;
    struct mu_der oid;
    mu_buf_init(&der, 256);
    mu_der_put_oid(&der, dotted);
    if (mu_der_only(mu_buf_bytes(&der), MU_DER_OID, &oid))
        for (size_t i = 0; !row && i < TYPES; i++)
            if (mu_der_oid_is(oid.value, types[i].oid))
                row = &types[i];
    mu_buf_clear(&der);
    return row;
}

static bool is_dotted(const char *s)
{
    size_t n = strlen(s);
    return n && n < MU_OID_TEXT && strspn(s, "0123456789.") == n && strchr(s, '.');
}

/* ---- writing ---- */

static bool is_printable_string(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(" '()+,-./:=?", *s))
            return false;
    return true;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static enum mu_code type_unknown(const char *word, struct mu_err *err)
{
    const char *words[TYPES + 1];
    char shown[64];
    for (size_t i = 0; i < TYPES; i++)
        words[i] = types[i].word;
    words[TYPES] = NULL;
    const char *near = mu_text_nearest(word, words);
    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(word));
    if (near)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "unknown name type '%s': did you mean '%s'? (%s)", shown, near, known_types);
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown name type '%s': %s", shown,
        known_types);
}

static enum mu_code value_check(const struct type_row *row, const char *value, struct mu_err *err)
{
    char shown[96];
    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(value));
    if (!mu_text_is_utf8(mu_bytes_str(value)))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "name value '%s' is not UTF-8", shown);
    if (!row)
        return MU_OK;
    if (strcmp(row->oid, "2.5.4.6") == 0
        && (strlen(value) != 2 || !isalpha((unsigned char)value[0])
            || !isalpha((unsigned char)value[1])))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "country '%s' must have two letters (RFC 5280 appendix A, X520countryName)", shown);
    if ((row->kind == PRINTABLE && !is_printable_string(value))
        || (row->kind == IA5 && !is_ascii(value)))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s '%s' has characters it may not have",
            row->word, shown);
    return MU_OK;
}

/* AttributeTypeAndValue into an open RDN. */
static enum mu_code attribute_put(struct mu_buf *der, const char *type, const char *value,
    struct mu_err *err)
{
    const struct type_row *row = type_by_word(type);
    if (!row && !is_dotted(type))
        return type_unknown(type, err);
    if (!row)
        row = type_by_dotted(type);
    enum mu_code rc = value_check(row, value, err);
    if (rc != MU_OK)
        return rc;
    size_t seq = mu_der_open(der, MU_DER_SEQUENCE);
    mu_der_put_oid(der, row ? row->oid : type);
    if (row && row->kind == IA5)
        mu_der_put(der, MU_DER_IA5_STRING, mu_bytes_str(value));
    else
        mu_der_put_string(der, value);
    mu_der_close(der, seq);
    return der->failed
        ? mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the name is too long, or '%s' is no OID",
              row ? row->oid : type)
        : MU_OK;
}

enum mu_code mu_pki_name_build(const struct mu_pki_name_part *parts, size_t n, struct mu_buf *der,
    struct mu_err *err)
{
    struct mu_buf out;
    enum mu_code rc = MU_OK;
    mu_buf_init(&out, MU_LIMIT_NAME);
    size_t seq = mu_der_open(&out, MU_DER_SEQUENCE);
    for (size_t i = 0; i < n && rc == MU_OK; i++) {
        size_t set = mu_der_open(&out, MU_DER_SET);
        rc = attribute_put(&out, parts[i].type, parts[i].value, err);
        mu_der_close(&out, set);
    }
    mu_der_close(&out, seq);
    if (rc == MU_OK)
        rc = mu_buf_check(&out, "name", err);
    if (rc == MU_OK) {
        mu_buf_put_bytes(der, mu_buf_bytes(&out));
        rc = mu_buf_check(der, "name", err);
    }
    mu_buf_clear(&out);
    return rc;
}

/* ---- parsing ---- */

struct parser {
    const char *p;        /* what is left */
    bool slash;           /* '/CN=x' form */
    struct mu_buf type, value;
};

static bool at_type(const char *s)
{
    size_t n = strspn(s, " ");
    size_t word = strspn(s + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.");
    return word && s[n + word + strspn(s + n + word, " ")] == '=';
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0'
        : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                     : -1;
}

/* One escaped character behind the backslash: "\2C" is an octet in RFC 4514's form only. */
static void take_escaped(struct parser *in)
{
    int high = in->slash ? -1 : hex_digit(in->p[0]), low = high < 0 ? -1 : hex_digit(in->p[1]);
    if (low >= 0) {
        mu_buf_put_byte(&in->value, (uint8_t)(high << 4 | low));
        in->p += 2;
    } else if (*in->p) {
        mu_buf_put_byte(&in->value, (uint8_t)*in->p++);
    }
}

static bool at_end_of_value(const struct parser *in)
{
    if (in->slash)
        return *in->p == '/';
    return *in->p == ',' || *in->p == ';' || (*in->p == '+' && at_type(in->p + 1));
}

/* Value into in->value; unescaped blanks at both ends go, except in the slash form (R018). */
static enum mu_code take_value(struct parser *in, struct mu_err *err)
{
    bool quoted = false;
    size_t keep = 0;
    mu_buf_reset(&in->value);
    if (!in->slash)
        in->p += strspn(in->p, " ");
    while (*in->p && (quoted || !at_end_of_value(in))) {
        if (*in->p == '\\') {
            in->p++;
            take_escaped(in);
            keep = in->value.n;
        } else if (*in->p == '"' && !in->slash) {
            quoted = !quoted;
            in->p++;
            keep = in->value.n;
        } else {
            if (*in->p != ' ' || in->slash || quoted)
                keep = in->value.n + 1;
            mu_buf_put_byte(&in->value, (uint8_t)*in->p++);
        }
    }
    if (quoted)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a quote in the name has no end");
    if (in->value.failed || strlen(mu_buf_str(&in->value)) < keep)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "a value of the name is too long or has a NUL in it");
    mu_pki_cut(&in->value, keep);
    return MU_OK;
}

static enum mu_code take_attribute(struct parser *in, struct mu_buf *out, struct mu_err *err)
{
    char shown[64];
    const char *equals = strchr(in->p, '=');
    if (!at_type(in->p))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "'%s' in the name has no type=value; put a backslash before a '%c' that belongs to a "
            "value",
            mu_text_escape_to(shown, sizeof(shown),
                mu_bytes(in->p, strcspn(in->p, in->slash ? "/" : ","))),
            in->slash ? '/' : ',');
    const char *word = in->p + strspn(in->p, " ");
    mu_buf_reset(&in->type);
    mu_buf_put(&in->type, word, strcspn(word, " ="));
    in->p = equals + 1;
    enum mu_code rc = take_value(in, err);
    if (rc != MU_OK)
        return rc;
    return attribute_put(out, mu_buf_str(&in->type), mu_buf_str(&in->value), err);
}

static enum mu_code take_rdn(struct parser *in, struct mu_buf *out, struct mu_err *err)
{
    size_t set = mu_der_open(out, MU_DER_SET);
    enum mu_code rc = take_attribute(in, out, err);
    while (rc == MU_OK && *in->p == '+' && !in->slash) {
        in->p++;
        rc = take_attribute(in, out, err);
    }
    mu_der_close_set_of(out, set);
    return rc;
}

enum mu_code mu_pki_name_parse(const char *text, struct mu_buf *der, struct mu_err *err)
{
    struct parser in = {.p = text};
    struct mu_buf out;
    enum mu_code rc = MU_OK;
    mu_buf_init(&out, MU_LIMIT_NAME);
    mu_buf_init(&in.type, 256);
    mu_buf_init(&in.value, MU_LIMIT_NAME);
    in.slash = text[0] == '/';
    if (in.slash && text[1])
        in.p++;
    else if (in.slash || text[strspn(text, " ")] == 0)
        in.p = ""; /* "/" is how an empty name is typed */
    size_t seq = mu_der_open(&out, MU_DER_SEQUENCE);
    while (*in.p && rc == MU_OK) {
        rc = take_rdn(&in, &out, err);
        if (rc == MU_OK && *in.p && !*++in.p)
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the name ends with a separator");
    }
    mu_der_close(&out, seq);
    if (rc == MU_OK)
        rc = mu_buf_check(&out, "name", err);
    if (rc == MU_OK) {
        mu_buf_put_bytes(der, mu_buf_bytes(&out));
        rc = mu_buf_check(der, "name", err);
    }
    mu_buf_clear(&out);
    mu_buf_clear(&in.type);
    mu_buf_clear(&in.value);
    return rc;
}
