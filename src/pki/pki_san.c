/* General names (RFC 5280 4.2.1.6): 'DNS:a,IP:192.0.2.1' to DER and back, and comparing them. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

enum {
    OTHER_NAME = MU_DER_CONTEXT_CONSTRUCTED(0),
    RFC822_NAME = MU_DER_CONTEXT(1),
    DNS_NAME = MU_DER_CONTEXT(2),
    DIRECTORY_NAME = MU_DER_CONTEXT_CONSTRUCTED(4),
    URI_NAME = MU_DER_CONTEXT(6),
    IP_ADDRESS = MU_DER_CONTEXT(7),
    REGISTERED_ID = MU_DER_CONTEXT(8),
};

static const struct prefix_row {
    const char *prefix;
    unsigned tag;
} prefixes[] = {
    {"DNS", DNS_NAME},
    {"IP", IP_ADDRESS},
    {"email", RFC822_NAME},
    {"URI", URI_NAME},
    {"RID", REGISTERED_ID},
    {"dirName", DIRECTORY_NAME},
    {"otherName", OTHER_NAME},
};
enum { PREFIXES = sizeof(prefixes) / sizeof(prefixes[0]) };

/* ---- parsing ---- */

static bool is_ia5(const char *s, bool blanks)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x7f || (unsigned char)*s < (blanks ? 0x20 : 0x21))
            return false;
    return true;
}

static bool put_ip(const char *value, struct mu_buf *der)
{
    uint8_t ip[16];
    bool v6 = strchr(value, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, value, ip) != 1)
        return false;
    mu_der_put(der, IP_ADDRESS, mu_bytes(ip, v6 ? 16 : 4));
    return true;
}

static bool put_oid_as(struct mu_buf *der, unsigned tag, const char *dotted)
{
    struct mu_buf oid;
    struct mu_der el;
    mu_buf_init(&oid, 256);
    mu_der_put_oid(&oid, dotted);
    bool ok = !oid.failed && mu_der_only(mu_buf_bytes(&oid), MU_DER_OID, &el);
    if (ok)
        mu_der_put(der, tag, el.value);
    mu_buf_clear(&oid);
    return ok;
}

/* "OID;UTF8:text", IA5: likewise, or DER: with the value in hex. */
static bool put_other(const char *value, struct mu_buf *der)
{
    static const struct {
        const char *word;
        unsigned tag;
    } kinds[] = {
        {"UTF8:", MU_DER_UTF8_STRING},
        {"UTF8String:", MU_DER_UTF8_STRING},
        {"IA5:", MU_DER_IA5_STRING},
        {"PRINTABLE:", MU_DER_PRINTABLE_STRING},
        {"DER:", 0},
    };
    char oid[128];
    const char *semicolon = strchr(value, ';');
    if (!semicolon || (size_t)(semicolon - value) >= sizeof(oid))
        return false;
    memcpy(oid, value, (size_t)(semicolon - value));
    oid[semicolon - value] = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = strlen(kinds[i].word);
        if (strncasecmp(semicolon + 1, kinds[i].word, n) != 0)
            continue;
        const char *text = semicolon + 1 + n;
        bool ok = true;
        size_t name = mu_der_open(der, OTHER_NAME);
        mu_der_put_oid(der, oid);
        size_t inner = mu_der_open(der, MU_DER_CONTEXT_CONSTRUCTED(0));
        if (kinds[i].tag) {
            mu_der_put(der, kinds[i].tag, mu_bytes_str(text));
            ok = mu_text_is_utf8(mu_bytes_str(text));
        } else {
            struct mu_buf raw;
            mu_buf_init(&raw, MU_LIMIT_NAME);
            ok = mu_text_unhex(text, &raw, NULL) == MU_OK
                && mu_der_valid(mu_buf_bytes(&raw), MU_LIMIT_DEPTH);
            mu_buf_put_bytes(der, mu_buf_bytes(&raw));
            mu_buf_clear(&raw);
        }
        mu_der_close(der, inner);
        mu_der_close(der, name);
        return ok && !der->failed;
    }
    return false;
}

static enum mu_code put_general_name(unsigned tag, const char *value, struct mu_buf *der,
    struct mu_err *err)
{
    char shown[96];
    const char *why = NULL;
    enum mu_code rc;
    size_t mark;
    if (!*value)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "an alternative name is empty (RFC 5280 4.2.1.6)");
    switch (tag) {
    case DNS_NAME:
        if (!is_ia5(value, false))
            why = "is no DNS name";
        else
            mu_der_put(der, tag, mu_bytes_str(value));
        break;
    case RFC822_NAME:
        if (!is_ia5(value, false) || !strchr(value, '@'))
            why = "is no mail address";
        else
            mu_der_put(der, tag, mu_bytes_str(value));
        break;
    case URI_NAME:
        if (!is_ia5(value, false) || !strchr(value, ':'))
            why = "is no URI with a scheme";
        else
            mu_der_put(der, tag, mu_bytes_str(value));
        break;
    case IP_ADDRESS:
        if (!put_ip(value, der))
            why = "is no IP address";
        break;
    case REGISTERED_ID:
        if (!put_oid_as(der, tag, value))
            why = "is no dotted OID";
        break;
    case DIRECTORY_NAME:
        mark = mu_der_open(der, tag);
        rc = mu_pki_name_parse(value, der, err);
        mu_der_close(der, mark);
        return rc;
    default:
        if (!put_other(value, der))
            why = "is not of the form OID;UTF8:text";
    }
    if (!why)
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "alternative name '%s' %s",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(value)), why);
}

/* A comma ends a name only where the next one begins: "dirName:/O=a, b/CN=x,DNS:y". */
static bool at_prefix(const char *s)
{
    s += strspn(s, " \t\n");
    size_t n = 0;
    while (isalpha((unsigned char)s[n]))
        n++;
    return n && s[n] == ':';
}

static const struct prefix_row *take_prefix(const char **p, struct mu_err *err)
{
    char shown[64];
    *p += strspn(*p, " \t\n");
    size_t n = strcspn(*p, ":,");
    for (size_t i = 0; i < PREFIXES && (*p)[n] == ':'; i++) {
        if (strlen(prefixes[i].prefix) == n && strncasecmp(*p, prefixes[i].prefix, n) == 0) {
            *p += n + 1;
            return &prefixes[i];
        }
    }
    mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "alternative name '%s' has an unknown prefix; known are DNS: IP: email: URI: RID: dirName: "
        "otherName:",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes(*p, strcspn(*p, ","))));
    return NULL;
}

/* One name's value into value; *p behind it. "\," and "\\" are taken back, other backslashes stay
 * for the directory name's own parser. */
static void take_value(const char **p, struct mu_buf *value)
{
    mu_buf_reset(value);
    while (**p && !(**p == ',' && at_prefix(*p + 1))) {
        if ((*p)[0] == '\\' && (*p)[1] == ',')
            ++*p;
        mu_buf_put_byte(value, (uint8_t)*(*p)++);
    }
    while (value->n && (value->p[value->n - 1] == ' ' || value->p[value->n - 1] == '\n'))
        value->p[--value->n] = 0;
}

enum mu_code mu_pki_san_parse(const char *text, struct mu_buf *der, struct mu_err *err)
{
    struct mu_err local = {0};
    struct mu_buf out, value;
    enum mu_code rc = MU_OK;
    const char *p = text;
    if (!err)
        err = &local;
    mu_buf_init(&out, MU_LIMIT_NAME);
    mu_buf_init(&value, MU_LIMIT_NAME);
    size_t seq = mu_der_open(&out, MU_DER_SEQUENCE);
    if (!p[strspn(p, " \t\n")])
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "no alternative name given");
    while (rc == MU_OK && *p) {
        const struct prefix_row *row = take_prefix(&p, err);
        if (!row) {
            rc = err->code;
            break;
        }
        take_value(&p, &value);
        rc = put_general_name(row->tag, mu_buf_str(&value), &out, err);
        if (*p == ',')
            p++;
    }
    mu_der_close(&out, seq);
    if (rc == MU_OK)
        rc = mu_buf_check(&out, "alternative names", err);
    if (rc == MU_OK) {
        mu_buf_put_bytes(der, mu_buf_bytes(&out));
        rc = mu_buf_check(der, "alternative names", err);
    }
    mu_buf_clear(&out);
    mu_buf_clear(&value);
    return rc;
}

/* ---- formatting ---- */

static void format_ip(struct mu_bytes v, struct mu_buf *out)
{
    char text[INET6_ADDRSTRLEN];
    if ((v.n == 4 || v.n == 16)
        && inet_ntop(v.n == 4 ? AF_INET : AF_INET6, v.p, text, sizeof(text)))
        mu_buf_put_str(out, text);
    else
        mu_text_hex(out, v, 0);
}

static void format_other(struct mu_bytes v, struct mu_buf *out)
{
    struct mu_der oid, wrapped, inner;
    char text[128];
    if (!mu_der_get(&v, MU_DER_OID, &oid)
        || !mu_der_only(v, MU_DER_CONTEXT_CONSTRUCTED(0), &wrapped)) {
        mu_buf_put_str(out, "(malformed)");
        return;
    }
    mu_buf_putf(out, "%s;", mu_pki_oid_text(oid.value, text, sizeof(text)));
    if (mu_der_only(wrapped.value, MU_DER_UTF8_STRING, &inner)) {
        mu_buf_put_str(out, "UTF8:");
        mu_text_escape(out, inner.value, MU_LIMIT_MESSAGE);
    } else if (mu_der_only(wrapped.value, MU_DER_IA5_STRING, &inner)) {
        mu_buf_put_str(out, "IA5:");
        mu_text_escape(out, inner.value, MU_LIMIT_MESSAGE);
    } else {
        mu_buf_put_str(out, "DER:");
        mu_text_hex(out, wrapped.value, 0);
    }
}

/* Commas before something like a prefix get their backslash back. */
static void format_text(struct mu_bytes v, struct mu_buf *out)
{
    struct mu_buf text;
    mu_buf_init(&text, MU_LIMIT_MESSAGE);
    mu_text_escape(&text, v, MU_LIMIT_MESSAGE);
    for (const char *s = mu_buf_str(&text); *s; s++) {
        if (*s == ',' && at_prefix(s + 1))
            mu_buf_put_byte(out, '\\');
        mu_buf_put_byte(out, (uint8_t)*s);
    }
    mu_buf_clear(&text);
}

static bool format_one(const struct mu_der *name, struct mu_buf *out)
{
    char text[128];
    for (size_t i = 0; i < PREFIXES; i++)
        if (prefixes[i].tag == name->tag)
            mu_buf_putf(out, "%s:", prefixes[i].prefix);
    switch (name->tag) {
    case DNS_NAME:
    case RFC822_NAME:
    case URI_NAME:
        format_text(name->value, out);
        break;
    case IP_ADDRESS:
        format_ip(name->value, out);
        break;
    case REGISTERED_ID:
        mu_buf_put_str(out, mu_pki_oid_text(name->value, text, sizeof(text)));
        break;
    case DIRECTORY_NAME:
        if (!mu_pki_name_format(name->value, MU_PKI_NAME_SLASH, out))
            mu_buf_put_str(out, "(malformed)");
        break;
    case OTHER_NAME:
        format_other(name->value, out);
        break;
    default:
        mu_buf_putf(out, "[%u]:", name->tag & 0x1f);
        mu_text_hex(out, name->value, 0);
    }
    return !out->failed;
}

bool mu_pki_san_each(struct mu_bytes general_names, mu_pki_san_each_call *call, void *cookie)
{
    struct mu_der seq, name;
    struct mu_buf text;
    bool ok = mu_der_only(general_names, MU_DER_SEQUENCE, &seq);
    mu_buf_init(&text, MU_LIMIT_MESSAGE);
    while (ok && seq.value.n) {
        mu_buf_reset(&text);
        ok = mu_der_next(&seq.value, &name) && format_one(&name, &text);
        if (ok)
            call(cookie, mu_buf_str(&text), name.whole);
    }
    mu_buf_clear(&text);
    return ok;
}

static void append(void *cookie, const char *text, struct mu_bytes general_name)
{
    struct mu_buf *out = cookie;
    if (out->n)
        mu_buf_put_byte(out, ',');
    mu_buf_put_str(out, text);
}

bool mu_pki_san_format(struct mu_bytes general_names, struct mu_buf *out)
{
    struct mu_buf text;
    mu_buf_init(&text, MU_LIMIT_MESSAGE);
    bool ok = mu_pki_san_each(general_names, append, &text) && !text.failed
        && mu_buf_put_bytes(out, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return ok;
}

/* ---- comparing ---- */

static bool equal_nocase(struct mu_bytes a, struct mu_bytes b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp((const char *)a.p, (const char *)b.p, a.n) == 0);
}

static bool name_equal(const struct mu_der *a, const struct mu_der *b)
{
    if (a->tag != b->tag)
        return false;
    if (a->tag == DNS_NAME)
        return equal_nocase(a->value, b->value);
    if (a->tag == DIRECTORY_NAME)
        return mu_pki_name_equal(a->value, b->value);
    return mu_bytes_equal(a->value, b->value);
}

bool mu_pki_san_subset(struct mu_bytes sub, struct mu_bytes all)
{
    struct mu_der sub_seq, all_seq, wanted, name;
    if (!mu_der_only(sub, MU_DER_SEQUENCE, &sub_seq)
        || !mu_der_only(all, MU_DER_SEQUENCE, &all_seq))
        return false;
    while (sub_seq.value.n) {
        struct mu_bytes in = all_seq.value;
        bool found = false;
        if (!mu_der_next(&sub_seq.value, &wanted))
            return false;
        while (!found && in.n) {
            if (!mu_der_next(&in, &name))
                return false;
            found = name_equal(&wanted, &name);
        }
        if (!found)
            return false;
    }
    return true;
}

bool mu_pki_san_equal(struct mu_bytes a, struct mu_bytes b)
{
    return mu_pki_san_subset(a, b) && mu_pki_san_subset(b, a);
}
