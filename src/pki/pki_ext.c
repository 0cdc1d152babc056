/* X.509 extensions: decoding those that decide something, and writing those we send. Their text
 * is pki_ext_text.c. */
#include "pki/pki_ext.h"

#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_words.h"

enum { EXTENSIONS_MAX = 64 };

/* Last arc of 2.5.29.x. */
enum {
    ID_SKID = 14, ID_KEY_USAGE = 15, ID_SAN = 17, ID_BASIC = 19, ID_NAME_CONSTRAINTS = 30,
    ID_CRL_DP = 31, ID_POLICIES = 32, ID_POLICY_MAPPINGS = 33, ID_AKID = 35,
    ID_POLICY_CONSTRAINTS = 36, ID_EKU = 37, ID_INHIBIT_ANY = 54,
};

/* ---- reading ---- */

struct extension {
    struct mu_bytes oid, value;
    bool critical;
};

static bool extension_next(struct mu_bytes *in, struct extension *out)
{
    struct mu_der seq, oid, critical, value;
    if (!mu_der_get(in, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_OID, &oid)
        || !mu_der_optional(&seq.value, MU_DER_BOOLEAN, &critical)
        || !mu_der_get(&seq.value, MU_DER_OCTET_STRING, &value) || seq.value.n)
        return false;
    if (critical.whole.p && critical.value.n != 1)
        return false;
    *out = (struct extension){oid.value, value.value, critical.whole.p && critical.value.p[0]};
    return true;
}

static bool basic_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der seq, ca, len;
    int64_t path_len;
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq)
        || !mu_der_optional(&seq.value, MU_DER_BOOLEAN, &ca)
        || !mu_der_optional(&seq.value, MU_DER_INTEGER, &len) || seq.value.n)
        return false;
    if (ca.whole.p && ca.value.n != 1)
        return false;
    if (len.whole.p) {
        if (!mu_der_int(len.value, &path_len) || path_len < 0 || path_len > 1000)
            return false;
        out->path_len = (int)path_len;
    }
    out->has_basic = true;
    out->is_ca = ca.whole.p && ca.value.p[0];
    return true;
}

static bool key_usage_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der bits;
    if (!mu_der_only(value, MU_DER_BIT_STRING, &bits) || bits.value.n < 1 || bits.value.n > 4
        || bits.value.p[0] > 7)
        return false;
    for (unsigned i = 0; i < 9 && 1 + i / 8 < bits.value.n; i++)
        if (bits.value.p[1 + i / 8] & (0x80 >> i % 8))
            out->key_usage |= 1u << i;
    out->has_key_usage = true;
    return true;
}

static bool eku_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der seq, oid;
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq) || seq.value.n == 0)
        return false;
    while (seq.value.n) {
        if (!mu_der_get(&seq.value, MU_DER_OID, &oid))
            return false;
        out->eku |= mu_pki_eku_bit(oid.value);
    }
    out->has_eku = true;
    out->eku_raw = value;
    return true;
}

static bool san_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der seq, name;
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    while (seq.value.n)
        if (!mu_der_next(&seq.value, &name))
            return false;
    out->san = value;
    return true;
}

static bool skid_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der id;
    if (!mu_der_only(value, MU_DER_OCTET_STRING, &id))
        return false;
    out->skid = id.value;
    return true;
}

static bool akid_decode(struct mu_bytes value, struct mu_pki_exts *out)
{
    struct mu_der seq, id;
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq)
        || !mu_der_optional(&seq.value, MU_DER_CONTEXT(0), &id))
        return false;
    if (id.whole.p)
        out->akid = id.value;
    return true;
}

/* One of 2.5.29.x. */
static bool standard_decode(const struct extension *ext, struct mu_pki_exts *out)
{
    switch (ext->oid.p[2]) {
    case ID_BASIC:
        return basic_decode(ext->value, out);
    case ID_KEY_USAGE:
        return key_usage_decode(ext->value, out);
    case ID_EKU:
        return eku_decode(ext->value, out);
    case ID_SAN:
        return san_decode(ext->value, out);
    case ID_SKID:
        return skid_decode(ext->value, out);
    case ID_AKID:
        return akid_decode(ext->value, out);
    case ID_NAME_CONSTRAINTS: /* judged in path validation */
    case ID_CRL_DP:
    case ID_POLICIES:
    case ID_POLICY_MAPPINGS:
    case ID_POLICY_CONSTRAINTS:
    case ID_INHIBIT_ANY:
        return true;
    default:
        out->unknown_critical |= ext->critical;
        return true;
    }
}

static bool extension_decode(const struct extension *ext, struct mu_pki_exts *out)
{
    if (ext->oid.n == 3 && ext->oid.p[0] == 0x55 && ext->oid.p[1] == 0x1d)
        return standard_decode(ext, out);
    if (mu_der_oid_is(ext->oid, MU_OID_TEMPLATE_NAME))
        out->template_name_raw = ext->value;
    else
        out->unknown_critical |= ext->critical;
    return true;
}

enum mu_code mu_pki_exts_decode(struct mu_bytes extensions, struct mu_pki_exts *out,
    struct mu_err *err)
{
    struct mu_pki_exts exts = {.all = extensions, .path_len = -1};
    struct mu_bytes seen[EXTENSIONS_MAX];
    struct mu_der seq;
    size_t n = 0;
    char oid[80], title[64];
    if (!mu_der_only(extensions, MU_DER_SEQUENCE, &seq))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "malformed extensions (RFC 5280 4.1.2.9)");
    while (seq.value.n) {
        struct extension ext;
        if (n == EXTENSIONS_MAX || !extension_next(&seq.value, &ext))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "malformed extension, or more than %d (RFC 5280 4.2)", (int)EXTENSIONS_MAX);
        for (size_t i = 0; i < n; i++)
            if (mu_bytes_equal(seen[i], ext.oid))
                return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                    "extension %s is there twice (RFC 5280 4.2)",
                    mu_pki_oid_text(ext.oid, oid, sizeof(oid)));
        seen[n++] = ext.oid;
        if (!extension_decode(&ext, &exts))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "malformed extension %s (RFC 5280 4.2.1)",
                mu_pki_ext_title(mu_pki_oid_text(ext.oid, oid, sizeof(oid)), title));
    }
    *out = exts;
    return MU_OK;
}

bool mu_pki_ext_each(struct mu_bytes extensions, mu_pki_ext_each_call *call, void *cookie)
{
    struct mu_der seq;
    struct extension ext;
    char oid[128];
    if (!mu_der_only(extensions, MU_DER_SEQUENCE, &seq))
        return false;
    while (seq.value.n) {
        if (!extension_next(&seq.value, &ext))
            return false;
        call(cookie, mu_pki_oid_text(ext.oid, oid, sizeof(oid)), ext.critical, ext.value);
    }
    return true;
}

/* ---- writing ---- */

/* Opens Extension up to the content of extnValue. */
struct open_ext {
    size_t seq, value;
};

static struct open_ext ext_open(struct mu_buf *b, const char *oid, bool critical)
{
    struct open_ext open;
    open.seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    if (critical)
        mu_der_put_bool(b, true);
    open.value = mu_der_open(b, MU_DER_OCTET_STRING);
    return open;
}

static void ext_close(struct mu_buf *b, struct open_ext open)
{
    mu_der_close(b, open.value);
    mu_der_close(b, open.seq);
}

void mu_pki_ext_put(struct mu_buf *b, const char *oid, bool critical, struct mu_bytes value)
{
    struct open_ext ext = ext_open(b, oid, critical);
    mu_buf_put_bytes(b, value);
    ext_close(b, ext);
}

void mu_pki_ext_put_basic(struct mu_buf *b, bool critical, bool is_ca, int path_len)
{
    struct open_ext ext = ext_open(b, "2.5.29.19", critical);
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    if (is_ca)
        mu_der_put_bool(b, true);
    if (is_ca && path_len >= 0)
        mu_der_put_int(b, path_len);
    mu_der_close(b, seq);
    ext_close(b, ext);
}

void mu_pki_ext_put_key_usage(struct mu_buf *b, bool critical, unsigned bits)
{
    uint8_t content[3] = {0, 0, 0};
    unsigned last = 0;
    for (unsigned i = 0; i < 9; i++) {
        if (bits & (1u << i)) {
            content[1 + i / 8] |= (uint8_t)(0x80 >> i % 8);
            last = i;
        }
    }
    content[0] = (uint8_t)(7 - last % 8);
    struct open_ext ext = ext_open(b, "2.5.29.15", critical);
    if (bits)
        mu_der_put(b, MU_DER_BIT_STRING, mu_bytes(content, 2 + last / 8));
    else
        mu_der_put(b, MU_DER_BIT_STRING, mu_bytes("", 1));
    ext_close(b, ext);
}

void mu_pki_ext_put_eku(struct mu_buf *b, unsigned bits)
{
    struct open_ext ext = ext_open(b, "2.5.29.37", false);
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    for (unsigned i = 0; i < 30; i++)
        if (bits & (1u << i) && mu_pki_eku_oid(1u << i))
            mu_der_put_oid(b, mu_pki_eku_oid(1u << i));
    mu_der_close(b, seq);
    ext_close(b, ext);
}

void mu_pki_ext_put_san(struct mu_buf *b, bool critical, struct mu_bytes general_names)
{
    mu_pki_ext_put(b, "2.5.29.17", critical, general_names);
}

void mu_pki_ext_put_skid(struct mu_buf *b, const uint8_t id[20])
{
    struct open_ext ext = ext_open(b, "2.5.29.14", false);
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(id, 20));
    ext_close(b, ext);
}

void mu_pki_ext_put_akid(struct mu_buf *b, struct mu_bytes id)
{
    struct open_ext ext = ext_open(b, "2.5.29.35", false);
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put(b, MU_DER_CONTEXT(0), id);
    mu_der_close(b, seq);
    ext_close(b, ext);
}

/* BMPString: UTF-16, big endian. */
static void put_bmp(struct mu_buf *b, const char *utf8)
{
    size_t mark = mu_der_open(b, MU_DER_BMP_STRING);
    const uint8_t *p = (const uint8_t *)utf8;
    while (*p) {
        unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        uint32_t c = more ? *p & (0x3fu >> more) : *p;
        for (p++; more && (*p & 0xc0) == 0x80; more--)
            c = c << 6 | (*p++ & 0x3fu);
        if (c > 0xffff) {
            c -= 0x10000;
            mu_buf_put(b, (uint8_t[]){(uint8_t)(0xd8 | c >> 18), (uint8_t)(c >> 10)}, 2);
            c = 0xdc00 | (c & 0x3ff);
        }
        mu_buf_put(b, (uint8_t[]){(uint8_t)(c >> 8), (uint8_t)c}, 2);
    }
    mu_der_close(b, mark);
}

void mu_pki_ext_put_template_name(struct mu_buf *b, const char *utf8)
{
    struct open_ext ext = ext_open(b, MU_OID_TEMPLATE_NAME, false);
    put_bmp(b, utf8);
    ext_close(b, ext);
}

void mu_pki_ext_put_crl_dp(struct mu_buf *b, const char *url)
{
    struct open_ext ext = ext_open(b, "2.5.29.31", false);
    size_t points = mu_der_open(b, MU_DER_SEQUENCE), point = mu_der_open(b, MU_DER_SEQUENCE);
    size_t name = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    size_t full = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    mu_der_put(b, MU_DER_CONTEXT(6), mu_bytes_str(url));
    mu_der_close(b, full);
    mu_der_close(b, name);
    mu_der_close(b, point);
    mu_der_close(b, points);
    ext_close(b, ext);
}

static void put_access(struct mu_buf *b, const char *method, const char *url)
{
    if (!url || !*url)
        return;
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, method);
    mu_der_put(b, MU_DER_CONTEXT(6), mu_bytes_str(url));
    mu_der_close(b, seq);
}

void mu_pki_ext_put_aia(struct mu_buf *b, const char *ocsp_url, const char *ca_issuers_url)
{
    struct open_ext ext = ext_open(b, MU_OID_AIA, false);
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    put_access(b, MU_OID_OCSP, ocsp_url);
    put_access(b, MU_OID_CA_ISSUERS, ca_issuers_url);
    mu_der_close(b, seq);
    ext_close(b, ext);
}
