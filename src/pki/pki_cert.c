/* One certificate: decoding, its key, its texts. Lists: pki_certs.c, making: pki_cert_make.c. */
#include "pki/pki_cert.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"
#include "pki/pki_pem.h"

/* What callers see, with the count, the key and the octets behind it: one allocation. */
struct box {
    struct mu_pki_cert cert;
    atomic_uint refs;
    _Atomic(struct mu_pki_key *) key; /* NULL until somebody asks */
    uint8_t der[];
};

static struct box *box_of(struct mu_pki_cert *cert)
{
    return (struct box *)((char *)cert - offsetof(struct box, cert));
}

/* ---- decoding ---- */

static enum mu_code bad_field(const char *field, struct mu_err *err)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_MALFORMED, "malformed certificate: %s (RFC 5280 4.1)", field);
}

static bool take_time(struct mu_bytes *in, int64_t *out)
{
    struct mu_der el;
    return mu_der_next(in, &el) && mu_der_time(&el, out);
}

/* issuerUniqueID and subjectUniqueID are skipped; extensions are decoded. */
static enum mu_code tail_decode(struct mu_bytes in, struct mu_pki_cert *c, struct mu_err *err)
{
    struct mu_der id, wrapped;
    c->exts.path_len = -1;
    if (!mu_der_optional(&in, MU_DER_CONTEXT(1), &id)
        || !mu_der_optional(&in, MU_DER_CONTEXT(2), &id)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(3), &wrapped) || in.n)
        return bad_field("extensions", err);
    return wrapped.whole.p ? mu_pki_exts_decode(wrapped.value, &c->exts, err) : MU_OK;
}

static enum mu_code tbs_decode(struct mu_bytes in, struct mu_pki_cert *c, struct mu_err *err)
{
    struct mu_der el, version;
    struct mu_bytes inner_alg;
    int64_t v = 0;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || (el.whole.p
            && (!mu_der_only(el.value, MU_DER_INTEGER, &version) || !mu_der_int(version.value, &v)))
        || v < 0 || v > 2)
        return bad_field("version", err);
    c->version = (int)v + 1;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || el.value.n == 0)
        return bad_field("serialNumber", err);
    c->serial = el.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad_field("signature", err);
    inner_alg = el.whole;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || !mu_pki_name_valid(el.whole))
        return bad_field("issuer", err);
    c->issuer = el.whole;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || !take_time(&el.value, &c->not_before_s)
        || !take_time(&el.value, &c->not_after_s) || el.value.n)
        return bad_field("validity", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || !mu_pki_name_valid(el.whole))
        return bad_field("subject", err);
    c->subject = el.whole;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return bad_field("subjectPublicKeyInfo", err);
    c->spki = el.whole;
    /* CA-02: what is signed says how it is signed */
    if (!mu_bytes_equal(inner_alg, c->sig_alg))
        return bad_field("signature and signatureAlgorithm differ", err);
    return tail_decode(in, c, err);
}

static enum mu_code cert_decode(struct mu_pki_cert *c, struct mu_err *err)
{
    struct mu_der whole, tbs, alg, bits;
    uint8_t digest[64];
    if (!mu_der_only(c->der, MU_DER_SEQUENCE, &whole))
        return bad_field("no DER SEQUENCE", err);
    struct mu_bytes in = whole.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &tbs))
        return bad_field("tbsCertificate", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &alg))
        return bad_field("signatureAlgorithm", err);
    if (!mu_der_get(&in, MU_DER_BIT_STRING, &bits) || in.n
        || !mu_der_bits(bits.value, &c->signature))
        return bad_field("signatureValue", err);
    c->tbs = tbs.whole;
    c->sig_alg = alg.whole;
    enum mu_code rc = tbs_decode(tbs.value, c, err);
    if (rc != MU_OK)
        return rc;
    if (mu_pki_digest(MU_PKI_SHA256, c->der, digest) != sizeof(c->sha256))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "SHA-256 failed");
    memcpy(c->sha256, digest, sizeof(c->sha256));
    return MU_OK;
}

enum mu_code mu_pki_cert_decode(struct mu_bytes der, struct mu_pki_cert **out, struct mu_err *err)
{
    if (der.n > MU_LIMIT_MESSAGE)
        return bad_field("too long", err);
    struct box *box = calloc(1, sizeof(*box) + der.n);
    if (!box)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a certificate");
    atomic_init(&box->refs, 1);
    atomic_init(&box->key, NULL);
    if (der.n)
        memcpy(box->der, der.p, der.n);
    box->cert.der = mu_bytes(box->der, der.n);
    enum mu_code rc = cert_decode(&box->cert, err);
    if (rc != MU_OK) {
        free(box);
        return rc;
    }
    *out = &box->cert;
    return MU_OK;
}

struct mu_pki_cert *mu_pki_cert_ref(struct mu_pki_cert *cert)
{
    atomic_fetch_add_explicit(&box_of(cert)->refs, 1, memory_order_relaxed);
    return cert;
}

void mu_pki_cert_free(struct mu_pki_cert *cert)
{
    if (!cert)
        return;
    struct box *box = box_of(cert);
    if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) != 1)
        return;
    mu_pki_key_free(atomic_load(&box->key));
    free(box);
}

enum mu_code mu_pki_cert_key(struct mu_pki_cert *cert, struct mu_pki_key **out, struct mu_err *err)
{
    struct box *box = box_of(cert);
    struct mu_pki_key *key = atomic_load(&box->key), *nobody = NULL;
    if (!key) {
        enum mu_code rc = mu_pki_key_from_spki(cert->spki, &key, err);
        if (rc != MU_OK)
            return rc;
        if (!atomic_compare_exchange_strong(&box->key, &nobody, key)) {
            mu_pki_key_free(key); /* another thread was first */
            key = nobody;
        }
    }
    *out = key;
    return MU_OK;
}

/* ---- facts ---- */

bool mu_pki_cert_equal(const struct mu_pki_cert *a, const struct mu_pki_cert *b)
{
    return mu_bytes_equal(a->der, b->der);
}

bool mu_pki_cert_is_self_signed(struct mu_pki_cert *cert)
{
    return mu_pki_cert_verify(cert, cert, true, NULL) == MU_OK;
}

bool mu_pki_cert_is_ca(const struct mu_pki_cert *cert)
{
    if (cert->version < 3)
        return mu_pki_name_equal(cert->issuer, cert->subject);
    return cert->exts.is_ca;
}

enum mu_code mu_pki_cert_verify(struct mu_pki_cert *cert, struct mu_pki_cert *issuer,
    bool allow_legacy, struct mu_err *err)
{
    const struct mu_pki_verify_opts opts = {.allow_legacy = allow_legacy};
    struct mu_pki_key *key;
    char subject[160];
    if (!mu_pki_name_equal(cert->issuer, issuer->subject))
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE, "the certificate was not issued by \"%s\"",
            mu_pki_name_text(issuer->subject, subject, sizeof(subject)));
    enum mu_code rc = mu_pki_cert_key(issuer, &key, err);
    if (rc != MU_OK)
        return rc;
    rc = mu_pki_key_verify(key, cert->sig_alg, cert->tbs, cert->signature, &opts, NULL, err);
    if (rc != MU_OK)
        mu_err_context(err, "certificate \"%s\"",
            mu_pki_name_text(cert->subject, subject, sizeof(subject)));
    return rc;
}

/* ---- texts ---- */

/* Magnitude without leading zeros; negative ones are shown as they are encoded. */
static struct mu_bytes without_zeros(struct mu_bytes v)
{
    while (v.n > 1 && v.p[0] == 0)
        v = mu_bytes(v.p + 1, v.n - 1);
    return v;
}

bool mu_pki_serial_equal(struct mu_bytes a, struct mu_bytes b)
{
    return mu_bytes_equal(without_zeros(a), without_zeros(b));
}

bool mu_pki_cert_serial_hex(struct mu_bytes serial, struct mu_buf *out)
{
    return mu_text_hex(out, without_zeros(serial), 0);
}

bool mu_pki_cert_serial_trace(struct mu_bytes serial, struct mu_buf *out)
{
    int64_t small;
    if (mu_der_int(serial, &small) && small >= 0)
        return mu_buf_putf(out, "%lld (0x%llx)", (long long)small, (unsigned long long)small);
    return mu_text_hex_lower(out, without_zeros(serial), ':');
}

/* Digits of base 10 into octets, as by hand. */
static bool decimal_to_octets(const char *text, uint8_t *octets, size_t n)
{
    memset(octets, 0, n);
    for (; *text; text++) {
        unsigned carry = (unsigned)(*text - '0');
        for (size_t i = n; i-- > 0;) {
            carry += octets[i] * 10u;
            octets[i] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            return false;
    }
    return true;
}

enum mu_code mu_pki_serial_parse(const char *text, struct mu_buf *out, struct mu_err *err)
{
    uint8_t octets[40];
    struct mu_buf hex;
    struct mu_bytes magnitude = {0};
    char shown[64];
    mu_buf_init(&hex, sizeof(octets));
    bool is_hex = mu_text_starts(text, "0x") || mu_text_starts(text, "0X");
    if (*text && !is_hex && strspn(text, "0123456789") == strlen(text)) {
        if (decimal_to_octets(text, octets, sizeof(octets)))
            magnitude = without_zeros(mu_bytes(octets, sizeof(octets)));
    } else {
        const char *digits = text + (is_hex ? 2 : 0);
        struct mu_buf even;
        mu_buf_init(&even, 128);
        if (!strchr(digits, ':') && strlen(digits) % 2)
            mu_buf_put_byte(&even, '0');
        mu_buf_put_str(&even, digits);
        if (!even.failed && mu_text_unhex(mu_buf_str(&even), &hex, NULL) == MU_OK && hex.n)
            magnitude = without_zeros(mu_buf_bytes(&hex));
        mu_buf_clear(&even);
    }
    enum mu_code rc = MU_OK;
    if (magnitude.n == 0) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "'%s' is no serial number: decimal, or hex with 0x or colons",
            mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(text)));
    } else {
        if (magnitude.p[0] & 0x80)
            mu_buf_put_byte(out, 0);
        mu_buf_put_bytes(out, magnitude);
        rc = mu_buf_check(out, "serial number", err);
    }
    mu_buf_clear(&hex);
    return rc;
}

bool mu_pki_cert_fingerprint(const struct mu_pki_cert *cert, enum mu_pki_digest d,
    struct mu_buf *out)
{
    uint8_t digest[64];
    size_t n = mu_pki_digest(d == MU_PKI_DIGEST_NONE ? MU_PKI_SHA256 : d, cert->der, digest);
    return n && mu_text_hex(out, mu_bytes(digest, n), ':');
}

bool mu_pki_cert_to_pem(const struct mu_pki_cert *cert, struct mu_buf *out)
{
    return mu_pki_pem_put(out, "CERTIFICATE", cert->der);
}
