/* Extensions as words: what configuration says and what people read. */
#include <ctype.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_ext.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"
#include "pki/pki_words.h"

struct word_row {
    unsigned bit;
    const char *word, *title, *oid;
};

static const struct word_row key_usages[] = {
    {MU_KU_DIGITAL_SIGNATURE, "digitalSignature", "Digital Signature", NULL},
    {MU_KU_NON_REPUDIATION, "nonRepudiation", "Non Repudiation", NULL},
    {MU_KU_KEY_ENCIPHERMENT, "keyEncipherment", "Key Encipherment", NULL},
    {MU_KU_DATA_ENCIPHERMENT, "dataEncipherment", "Data Encipherment", NULL},
    {MU_KU_KEY_AGREEMENT, "keyAgreement", "Key Agreement", NULL},
    {MU_KU_KEY_CERT_SIGN, "keyCertSign", "Certificate Sign", NULL},
    {MU_KU_CRL_SIGN, "cRLSign", "CRL Sign", NULL},
    {MU_KU_ENCIPHER_ONLY, "encipherOnly", "Encipher Only", NULL},
    {MU_KU_DECIPHER_ONLY, "decipherOnly", "Decipher Only", NULL},
    {0, NULL, NULL, NULL},
};

static const struct word_row ekus[] = {
    {MU_EKU_SERVER_AUTH, "serverAuth", "TLS Web Server Authentication", "1.3.6.1.5.5.7.3.1"},
    {MU_EKU_CLIENT_AUTH, "clientAuth", "TLS Web Client Authentication", "1.3.6.1.5.5.7.3.2"},
    {MU_EKU_CODE_SIGNING, "codeSigning", "Code Signing", "1.3.6.1.5.5.7.3.3"},
    {MU_EKU_EMAIL, "emailProtection", "E-mail Protection", "1.3.6.1.5.5.7.3.4"},
    {MU_EKU_TIME_STAMPING, "timeStamping", "Time Stamping", "1.3.6.1.5.5.7.3.8"},
    {MU_EKU_OCSP_SIGNING, "OCSPSigning", "OCSP Signing", "1.3.6.1.5.5.7.3.9"},
    {MU_EKU_IPSEC_IKE, "ipsecIKE", "IPsec IKE", "1.3.6.1.5.5.7.3.17"},
    {MU_EKU_SMARTCARD_LOGON, "smartcardLogon", "Smartcard Logon", "1.3.6.1.4.1.311.20.2.2"},
    {MU_EKU_CMC_CA, "cmcCA", "CMC Certificate Authority", "1.3.6.1.5.5.7.3.27"},
    {MU_EKU_CMC_RA, "cmcRA", "CMC Registration Authority", "1.3.6.1.5.5.7.3.28"},
    {MU_EKU_CM_KGA, "cmKGA", "Certificate Management Key Generation Authority",
        "1.3.6.1.5.5.7.3.32"},
    {MU_EKU_ANY, "anyExtendedKeyUsage", "Any Extended Key Usage", "2.5.29.37.0"},
    {0, NULL, NULL, NULL},
};

unsigned mu_pki_eku_bit(struct mu_bytes oid)
{
    for (const struct word_row *row = ekus; row->word; row++)
        if (mu_der_oid_is(oid, row->oid))
            return row->bit;
    return MU_EKU_OTHER;
}

const char *mu_pki_eku_oid(unsigned bit)
{
    for (const struct word_row *row = ekus; row->word; row++)
        if (row->bit == bit)
            return row->oid;
    return NULL;
}

/* ---- words ---- */

static enum mu_code word_unknown(const char *what, const char *word, const struct word_row *rows,
    struct mu_err *err)
{
    const char *words[16];
    size_t n = 0;
    char shown[64];
    struct mu_buf known;
    mu_buf_init(&known, 512);
    for (; rows->word; rows++) {
        mu_buf_putf(&known, "%s%s", n ? ", " : "", rows->word);
        words[n++] = rows->word;
    }
    words[n] = NULL;
    const char *near = mu_text_nearest(word, words);
    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(word));
    if (near)
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown %s '%s': did you mean '%s'?", what,
            shown, near);
    else
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown %s '%s'; known are %s", what, shown,
            mu_buf_str(&known));
    mu_buf_clear(&known);
    return MU_INPUT;
}

static enum mu_code words_parse(const char *what, const char *words, const struct word_row *rows,
    unsigned *out, struct mu_err *err)
{
    static const char separators[] = ", \t\n";
    unsigned bits = 0;
    char word[64];
    for (const char *p = words + strspn(words, separators); *p; p += strspn(p, separators)) {
        size_t n = strcspn(p, separators);
        const struct word_row *row = rows;
        snprintf(word, sizeof(word), "%.*s", (int)(n < sizeof(word) ? n : sizeof(word) - 1), p);
        while (row->word && !mu_text_equal_nocase(row->word, word)
            && !(row->oid && strcmp(row->oid, word) == 0))
            row++;
        if (!row->word)
            return word_unknown(what, word, rows, err);
        bits |= row->bit;
        p += n;
    }
    *out = bits;
    return MU_OK;
}

enum mu_code mu_pki_key_usage_parse(const char *words, unsigned *out, struct mu_err *err)
{
    return words_parse("key usage", words, key_usages, out, err);
}

enum mu_code mu_pki_eku_parse(const char *words, unsigned *out, struct mu_err *err)
{
    return words_parse("extended key usage", words, ekus, out, err);
}

static bool bits_format(unsigned bits, const struct word_row *rows, bool titles, struct mu_buf *out)
{
    for (bool first = true; rows->word; rows++) {
        if (!(bits & rows->bit))
            continue;
        mu_buf_putf(out, "%s%s", first ? "" : ", ", titles ? rows->title : rows->word);
        first = false;
    }
    return !out->failed;
}

bool mu_pki_key_usage_format(unsigned bits, struct mu_buf *out)
{
    return bits_format(bits, key_usages, false, out);
}

bool mu_pki_eku_format(unsigned bits, struct mu_buf *out)
{
    return bits_format(bits, ekus, false, out);
}

/* ---- for people ---- */

static bool format_basic(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    mu_buf_put_str(out, exts->is_ca ? "CA:TRUE" : "CA:FALSE");
    return exts->path_len < 0 || mu_buf_putf(out, ", pathlen:%d", exts->path_len);
}

static bool format_key_usage(struct mu_bytes value, const struct mu_pki_exts *exts,
    struct mu_buf *out)
{
    return bits_format(exts->key_usage, key_usages, true, out);
}

static bool format_eku(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    struct mu_der seq, oid;
    char text[80];
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    for (bool first = true; seq.value.n; first = false) {
        if (!mu_der_get(&seq.value, MU_DER_OID, &oid))
            return false;
        const struct word_row *row = ekus;
        while (row->word && !mu_der_oid_is(oid.value, row->oid))
            row++;
        mu_buf_putf(out, "%s%s", first ? "" : ", ",
            row->word ? row->title : mu_pki_oid_text(oid.value, text, sizeof(text)));
    }
    return !out->failed;
}

static void append_spaced(void *cookie, const char *text, struct mu_bytes general_name)
{
    struct mu_buf *out = cookie;
    mu_buf_putf(out, "%s%s", out->n ? ", " : "", text);
}

static bool format_san(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    struct mu_buf text;
    mu_buf_init(&text, MU_LIMIT_MESSAGE);
    bool ok = mu_pki_san_each(value, append_spaced, &text);
    mu_buf_put_bytes(out, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return ok && !out->failed;
}

static bool format_skid(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    return mu_text_hex(out, exts->skid, ':');
}

static bool format_akid(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    return exts->akid.n && mu_text_hex(out, exts->akid, ':');
}

static bool format_template(struct mu_bytes value, const struct mu_pki_exts *exts,
    struct mu_buf *out)
{
    struct mu_der el;
    struct mu_buf text;
    struct mu_bytes in = value;
    mu_buf_init(&text, MU_LIMIT_NAME);
    bool ok = mu_der_next(&in, &el) && in.n == 0 && mu_der_string(&el, &text)
        && mu_text_escape(out, mu_buf_bytes(&text), MU_LIMIT_NAME);
    mu_buf_clear(&text);
    return ok;
}

/* Every URI in it, wherever it is nested: enough for distribution points. */
static void format_uris(struct mu_bytes in, unsigned depth, size_t before, struct mu_buf *out)
{
    struct mu_der el;
    while (depth && in.n && mu_der_next(&in, &el)) {
        if (el.tag == MU_DER_CONTEXT(6)) {
            mu_buf_put_str(out, out->n > before ? ", URI:" : "URI:");
            mu_text_escape(out, el.value, MU_LIMIT_NAME);
        } else if (el.tag & 0x20) {
            format_uris(el.value, depth - 1, before, out);
        }
    }
}

static bool format_crl_dp(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    size_t before = out->n;
    format_uris(value, 8, before, out);
    return out->n > before;
}

static bool format_aia(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out)
{
    struct mu_der seq, access, method, place;
    char text[80];
    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    for (bool first = true; seq.value.n; first = false) {
        if (!mu_der_get(&seq.value, MU_DER_SEQUENCE, &access)
            || !mu_der_get(&access.value, MU_DER_OID, &method)
            || !mu_der_next(&access.value, &place))
            return false;
        mu_buf_putf(out, "%s%s - ", first ? "" : ", ",
            mu_der_oid_is(method.value, MU_OID_OCSP)             ? "OCSP"
                : mu_der_oid_is(method.value, MU_OID_CA_ISSUERS) ? "CA Issuers"
                                                                 : mu_pki_oid_text(method.value,
                                                                       text, sizeof(text)));
        if (place.tag == MU_DER_CONTEXT(6)) {
            mu_buf_put_str(out, "URI:");
            mu_text_escape(out, place.value, MU_LIMIT_NAME);
        } else {
            mu_text_hex(out, place.whole, 0);
        }
    }
    return !out->failed;
}

static const struct title_row {
    const char *oid, *title;
    bool (*format)(struct mu_bytes value, const struct mu_pki_exts *exts, struct mu_buf *out);
} titles[] = {
    {"2.5.29.19", "X509v3 Basic Constraints", format_basic},
    {"2.5.29.15", "X509v3 Key Usage", format_key_usage},
    {"2.5.29.37", "X509v3 Extended Key Usage", format_eku},
    {"2.5.29.17", "X509v3 Subject Alternative Name", format_san},
    {"2.5.29.18", "X509v3 Issuer Alternative Name", format_san},
    {"2.5.29.14", "X509v3 Subject Key Identifier", format_skid},
    {"2.5.29.35", "X509v3 Authority Key Identifier", format_akid},
    {"2.5.29.31", "X509v3 CRL Distribution Points", format_crl_dp},
    {"2.5.29.46", "X509v3 Freshest CRL", format_crl_dp},
    {"2.5.29.30", "X509v3 Name Constraints", NULL},
    {"2.5.29.32", "X509v3 Certificate Policies", NULL},
    {"2.5.29.20", "X509v3 CRL Number", NULL},
    {MU_OID_AIA, "Authority Information Access", format_aia},
    {MU_OID_TEMPLATE_NAME, "Certificate Template Name", format_template},
    {"1.3.6.1.5.5.7.1.24", "TLS Feature", NULL},
};
enum { TITLES = sizeof(titles) / sizeof(titles[0]) };

const char *mu_pki_ext_title(const char *oid, char buf[64])
{
    for (size_t i = 0; i < TITLES; i++)
        if (strcmp(titles[i].oid, oid) == 0)
            return titles[i].title;
    snprintf(buf, 64, "%s", oid);
    return buf;
}

bool mu_pki_ext_format(const char *oid, struct mu_bytes value, struct mu_buf *out)
{
    struct mu_buf one;
    struct mu_pki_exts exts = {0};
    size_t before = out->n;
    bool ok = false;
    mu_buf_init(&one, MU_LIMIT_MESSAGE);
    size_t seq = mu_der_open(&one, MU_DER_SEQUENCE);
    mu_pki_ext_put(&one, oid, false, value);
    mu_der_close(&one, seq);
    for (size_t i = 0; i < TITLES && !one.failed; i++)
        if (strcmp(titles[i].oid, oid) == 0 && titles[i].format
            && mu_pki_exts_decode(mu_buf_bytes(&one), &exts, NULL) == MU_OK)
            ok = titles[i].format(value, &exts, out);
    mu_buf_clear(&one);
    if (ok)
        return true;
    mu_pki_cut(out, before);
    return mu_text_hex(out, value, ':');
}
