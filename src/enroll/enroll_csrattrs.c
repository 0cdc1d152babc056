#include "enroll/enroll_csrattrs.h"

#include <stdlib.h>

#include "base/der.h"
#include "base/text.h"
#include "pki/pki_ext.h"
#include "pki/pki_key.h"
#include "pki/pki_words.h"

enum { DEPTH = 12 };

struct work {
    struct mu_buf *out; /* elements of the CsrAttrs */
    struct mu_buf extensions; /* of the one extensionRequest */
    bool has_key;
};

static const struct {
    const char *word, *oid;
} names[] = {
    {"secp256r1", "1.2.840.10045.3.1.7"},
    {"secp384r1", "1.3.132.0.34"},
    {"secp521r1", "1.3.132.0.35"},
    {"sha256", "2.16.840.1.101.3.4.2.1"},
    {"sha384", "2.16.840.1.101.3.4.2.2"},
    {"sha512", "2.16.840.1.101.3.4.2.3"},
    {"ecdsa-with-SHA256", "1.2.840.10045.4.3.2"},
    {"ecdsa-with-SHA384", "1.2.840.10045.4.3.3"},
    {"ecdsa-with-SHA512", "1.2.840.10045.4.3.4"},
    {"sha256WithRSAEncryption", "1.2.840.113549.1.1.11"},
    {"sha384WithRSAEncryption", "1.2.840.113549.1.1.12"},
    {"sha512WithRSAEncryption", "1.2.840.113549.1.1.13"},
    {"ed25519", "1.3.101.112"},
    {"emailAddress", "1.2.840.113549.1.9.1"},
    {"challengePassword", "1.2.840.113549.1.9.7"},
    {"macAddress", "1.3.6.1.1.1.1.22"},
    {"subjectAltName", "2.5.29.17"},
    {"serialNumber", "2.5.4.5"},
};

static enum mu_code bad(struct mu_err *err, const char *word)
{
    char shown[120];

    mu_err_set(err, MU_INPUT, MU_M(706), "'%s' is no attribute known here",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
    mu_err_next(err,
        "Take an OID like 1.3.6.1.1.1.1.22, a name like secp384r1 or sha384, key=ec:P-384, "
        "keyUsage=digitalSignature, extendedKeyUsage=clientAuth, or base64 of the whole.");
    return MU_INPUT;
}

static enum mu_code put_name(struct work *w, const char *word, struct mu_err *err)
{
    uint8_t oid[MU_DER_OID_MAX];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mu_text_equal_nocase(word, names[i].word))
            word = names[i].oid;
    if (mu_der_oid_encode(word, oid, sizeof oid) == 0)
        return bad(err, word);
    mu_der_put_oid(w->out, word);
    return MU_OK;
}

/* EST-65: one attribute of the key's type, its value the curve, the RSA bits, or none. */
static enum mu_code put_key(struct work *w, const char *value, struct mu_err *err)
{
    struct mu_pki_key_spec spec;
    size_t attribute, set;
    enum mu_code rc = mu_pki_key_spec_parse(value, false, &spec, err);

    if (rc != MU_OK)
        return rc;
    if (w->has_key)
        return mu_err_set(err, MU_INPUT, MU_M(706), "csrattrs wishes for two keys (RFC 9908 3.2)");
    w->has_key = true;
    attribute = mu_der_open(w->out, MU_DER_SEQUENCE);
    mu_der_put_oid(w->out,
        spec.type == MU_PKI_KEY_RSA          ? "1.2.840.113549.1.1.1"
            : spec.type == MU_PKI_KEY_EC     ? "1.2.840.10045.2.1"
            : spec.type == MU_PKI_KEY_ED25519 ? "1.3.101.112"
                                             : "1.3.101.113");
    set = mu_der_open(w->out, MU_DER_SET);
    if (spec.type == MU_PKI_KEY_RSA)
        mu_der_put_int(w->out, spec.bits);
    else if (spec.type == MU_PKI_KEY_EC)
        mu_der_put_oid(w->out,
            spec.bits == 256       ? "1.2.840.10045.3.1.7"
                : spec.bits == 384 ? "1.3.132.0.34"
                                   : "1.3.132.0.35");
    mu_der_close(w->out, set);
    mu_der_close(w->out, attribute);
    return MU_OK;
}

static enum mu_code put_extension(
    struct work *w, const char *name, char *value, struct mu_err *err)
{
    unsigned bits = 0;
    enum mu_code rc;

    for (char *p = value; *p != '\0'; p++)
        if (*p == '+')
            *p = ',';
    if (mu_text_equal_nocase(name, "keyUsage")) {
        if ((rc = mu_pki_key_usage_parse(value, &bits, err)) == MU_OK)
            mu_pki_ext_put_key_usage(&w->extensions, true, bits);
        return rc;
    }
    if (!mu_text_equal_nocase(name, "extendedKeyUsage"))
        return bad(err, name);
    if ((rc = mu_pki_eku_parse(value, &bits, err)) == MU_OK)
        mu_pki_ext_put_eku(&w->extensions, bits);
    return rc;
}

static enum mu_code put_word(struct work *w, char *word, struct mu_err *err)
{
    char *value = strchr(word, '=');

    if (value == NULL)
        return put_name(w, word, err);
    *value++ = '\0';
    return strcmp(word, "key") == 0 ? put_key(w, value, err) : put_extension(w, word, value, err);
}

static void put_request(struct work *w)
{
    size_t attribute = mu_der_open(w->out, MU_DER_SEQUENCE), set, extensions;

    mu_der_put_oid(w->out, "1.2.840.113549.1.9.14");
    set = mu_der_open(w->out, MU_DER_SET);
    extensions = mu_der_open(w->out, MU_DER_SEQUENCE);
    mu_buf_put_bytes(w->out, mu_buf_bytes(&w->extensions));
    mu_der_close(w->out, extensions);
    mu_der_close(w->out, set);
    mu_der_close(w->out, attribute);
}

static enum mu_code put_words(const char *value, struct mu_buf *out, struct mu_err *err)
{
    size_t whole = mu_der_open(out, MU_DER_SEQUENCE);
    struct work w = {.out = out};
    char *copy = NULL, *next, *word;
    enum mu_code rc;

    if ((rc = mu_text_dup(value, &copy, err)) != MU_OK)
        return rc;
    for (next = copy; rc == MU_OK && (word = strsep(&next, ",")) != NULL;) {
        word = mu_text_trim(word);
        if (*word != '\0')
            rc = put_word(&w, word, err);
    }
    if (rc == MU_OK && w.extensions.n != 0)
        put_request(&w);
    mu_der_close(out, whole);
    if (rc == MU_OK && w.extensions.failed)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for csrattrs");
    mu_buf_clear(&w.extensions);
    free(copy);
    return rc == MU_OK ? mu_buf_check(out, "csrattrs", err) : rc;
}

/* "MC..." is base64 of a SEQUENCE; no word begins so. */
static bool is_base64(const char *value)
{
    return value[0] == 'M' && strlen(value) >= 8 && strspn(value, "0123456789+/=abcdefghijklmnopqrstuvwxyz"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ \t\n") == strlen(value);
}

enum mu_code mu_enroll_csrattrs_parse(const char *value, struct mu_buf *out, struct mu_err *err)
{
    struct mu_bytes der;
    struct mu_der el;
    enum mu_code rc;

    mu_buf_reset(out);
    if (*value == '\0' || mu_text_equal_nocase(value, "none"))
        return MU_OK;
    if (!is_base64(value)) {
        rc = put_words(value, out, err);
    } else if ((rc = mu_text_unbase64(mu_bytes_str(value), out, err)) == MU_OK) {
        der = mu_buf_bytes(out);
        if (!mu_der_valid(der, DEPTH) || !mu_der_only(der, MU_DER_SEQUENCE, &el))
            rc = mu_err_set(err, MU_INPUT, MU_M(706),
                "csrattrs is not the base64 of a CsrAttrs (RFC 8951 4)");
    }
    if (rc != MU_OK)
        mu_buf_reset(out);
    return rc;
}
