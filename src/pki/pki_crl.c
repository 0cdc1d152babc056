/* Certificate revocation lists: reading, looking up, making. */
#include "pki/pki_crl.h"

#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"
#include "pki/pki_pem.h"

struct box {
    struct mu_pki_crl crl;
    struct mu_buf der;
};

static enum mu_code bad(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "malformed CRL: %s (RFC 5280 5.1)", what);
}

/* ---- decoding ---- */

static void extension_seen(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct mu_pki_crl *crl = cookie;
    struct mu_der el, id;
    if (strcmp(oid, "2.5.29.20") == 0 && mu_der_only(value, MU_DER_INTEGER, &el))
        crl->number = el.value;
    if (strcmp(oid, "2.5.29.35") == 0 && mu_der_only(value, MU_DER_SEQUENCE, &el)
        && mu_der_optional(&el.value, MU_DER_CONTEXT(0), &id) && id.whole.p)
        crl->akid = id.value;
}

static bool is_time(int tag)
{
    return tag == MU_DER_UTC_TIME || tag == MU_DER_GENERALIZED_TIME;
}

static enum mu_code tbs_decode(struct mu_bytes in, struct mu_pki_crl *crl, struct mu_err *err)
{
    struct mu_der el;
    if (!mu_der_optional(&in, MU_DER_INTEGER, &el))
        return bad("version", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || !mu_bytes_equal(el.whole, crl->sig_alg))
        return bad("signature", err);
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || !mu_pki_name_valid(el.whole))
        return bad("issuer", err);
    crl->issuer = el.whole;
    if (!mu_der_next(&in, &el) || !mu_der_time(&el, &crl->this_update_s))
        return bad("thisUpdate", err);
    if (is_time(mu_der_peek(in))
        && (!mu_der_next(&in, &el) || !mu_der_time(&el, &crl->next_update_s)))
        return bad("nextUpdate", err);
    if (!mu_der_optional(&in, MU_DER_SEQUENCE, &el))
        return bad("revokedCertificates", err);
    if (el.whole.p)
        crl->revoked = el.value;
    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el) || in.n
        || (el.whole.p && !mu_pki_ext_each(el.value, extension_seen, crl)))
        return bad("crlExtensions", err);
    return MU_OK;
}

struct entry {
    struct mu_bytes serial;
    struct mu_der when;
    struct mu_bytes extensions;
};

static bool entry_next(struct mu_bytes *in, struct entry *out)
{
    struct mu_der seq, el;
    if (!mu_der_get(in, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_INTEGER, &el))
        return false;
    out->serial = el.value;
    if (!mu_der_next(&seq.value, &out->when) || !is_time((int)out->when.tag)
        || !mu_der_optional(&seq.value, MU_DER_SEQUENCE, &el) || seq.value.n)
        return false;
    out->extensions = el.whole;
    return true;
}

static enum mu_code crl_decode(struct mu_pki_crl *crl, struct mu_err *err)
{
    struct mu_der whole, tbs, alg, bits;
    struct entry entry;
    if (!mu_der_only(crl->der, MU_DER_SEQUENCE, &whole))
        return bad("no DER SEQUENCE", err);
    struct mu_bytes in = whole.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &tbs) || !mu_der_get(&in, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&in, MU_DER_BIT_STRING, &bits) || in.n
        || !mu_der_bits(bits.value, &crl->signature))
        return bad("CertificateList", err);
    crl->tbs = tbs.whole;
    crl->sig_alg = alg.whole;
    enum mu_code rc = tbs_decode(tbs.value, crl, err);
    for (in = crl->revoked; rc == MU_OK && in.n;)
        if (!entry_next(&in, &entry))
            rc = bad("revokedCertificates", err);
    return rc;
}

static enum mu_code unwrap(struct mu_bytes file, struct mu_buf *der, struct mu_err *err)
{
    struct mu_bytes text = file, label;
    bool malformed;
    if (!mu_pki_pem_is(file)) {
        mu_buf_put_bytes(der, file);
        return mu_buf_check(der, "CRL", err);
    }
    while (mu_pki_pem_next(&text, &label, der, &malformed))
        if (mu_bytes_equal(label, mu_bytes_str("X509 CRL")))
            return MU_OK;
    return bad(malformed ? "broken PEM" : "no X509 CRL in the PEM text", err);
}

enum mu_code mu_pki_crl_decode(struct mu_bytes file, struct mu_pki_crl **out, struct mu_err *err)
{
    struct box *box = calloc(1, sizeof(*box));
    if (!box)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CRL");
    mu_buf_init(&box->der, MU_LIMIT_CRL);
    enum mu_code rc = unwrap(file, &box->der, err);
    if (rc == MU_OK) {
        box->crl.der = mu_buf_bytes(&box->der);
        rc = crl_decode(&box->crl, err);
    }
    if (rc != MU_OK) {
        mu_pki_crl_free(&box->crl);
        return rc;
    }
    *out = &box->crl;
    return MU_OK;
}

void mu_pki_crl_free(struct mu_pki_crl *crl)
{
    if (!crl)
        return;
    struct box *box = (struct box *)crl; /* its first member */
    mu_buf_clear(&box->der);
    free(box);
}

enum mu_code mu_pki_crl_verify(const struct mu_pki_crl *crl, struct mu_pki_cert *issuer,
    bool allow_legacy, struct mu_err *err)
{
    const struct mu_pki_verify_opts opts = {.allow_legacy = allow_legacy};
    struct mu_pki_key *key;
    char name[160];
    if (!mu_pki_name_equal(crl->issuer, issuer->subject))
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE, "the CRL was not issued by \"%s\"",
            mu_pki_name_text(issuer->subject, name, sizeof(name)));
    if (issuer->exts.has_key_usage && !(issuer->exts.key_usage & MU_KU_CRL_SIGN))
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "\"%s\" may not sign CRLs (RFC 5280 4.2.1.3)",
            mu_pki_name_text(issuer->subject, name, sizeof(name)));
    enum mu_code rc = mu_pki_cert_key(issuer, &key, err);
    if (rc == MU_OK)
        rc = mu_pki_key_verify(key, crl->sig_alg, crl->tbs, crl->signature, &opts, NULL, err);
    if (rc != MU_OK)
        mu_err_context(err, "CRL");
    return rc;
}

/* ---- looking up ---- */

static void reason_seen(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct mu_der el;
    int64_t reason;
    if (strcmp(oid, "2.5.29.21") == 0 && mu_der_only(value, MU_DER_ENUMERATED, &el)
        && mu_der_int(el.value, &reason) && reason >= 0 && reason <= 10)
        *(int *)cookie = (int)reason;
}

bool mu_pki_crl_has(const struct mu_pki_crl *crl, struct mu_bytes serial, int64_t *when_s,
    int *reason)
{
    struct mu_bytes in = crl->revoked;
    struct entry entry;
    while (in.n && entry_next(&in, &entry)) {
        if (!mu_pki_serial_equal(entry.serial, serial))
            continue;
        int found = -1;
        if (entry.extensions.p)
            mu_pki_ext_each(entry.extensions, reason_seen, &found);
        if (reason)
            *reason = found;
        if (when_s && !mu_der_time(&entry.when, when_s))
            *when_s = 0;
        return true;
    }
    return false;
}

size_t mu_pki_crl_count(const struct mu_pki_crl *crl)
{
    struct mu_bytes in = crl->revoked;
    struct entry entry;
    size_t n = 0;
    while (in.n && entry_next(&in, &entry))
        n++;
    return n;
}

/* ---- making ---- */

static void entry_put(struct mu_buf *b, const struct mu_pki_crl_entry *entry)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_unsigned(b, entry->serial);
    mu_der_put_time(b, entry->when_s);
    if (entry->reason > 0) { /* CA-17: unspecified is left out */
        uint8_t value[3] = {MU_DER_ENUMERATED, 1, (uint8_t)entry->reason};
        size_t extensions = mu_der_open(b, MU_DER_SEQUENCE);
        mu_pki_ext_put(b, "2.5.29.21", false, mu_bytes(value, sizeof(value)));
        mu_der_close(b, extensions);
    }
    mu_der_close(b, seq);
}

static void extensions_put(struct mu_buf *b, const struct mu_pki_crl_params *p)
{
    uint8_t number[8];
    struct mu_buf value;
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(p->number >> (56 - 8 * i));
    mu_buf_init(&value, 32);
    mu_der_put_unsigned(&value, mu_bytes(number, sizeof(number)));
    size_t wrapped = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    if (p->issuer_skid.n)
        mu_pki_ext_put_akid(b, p->issuer_skid);
    mu_pki_ext_put(b, "2.5.29.20", false, mu_buf_bytes(&value));
    mu_der_close(b, seq);
    mu_der_close(b, wrapped);
    mu_buf_clear(&value);
}

static void tbs_put(struct mu_buf *b, const struct mu_pki_crl_params *p, struct mu_bytes sig_alg)
{
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_int(b, 1); /* v2 */
    mu_buf_put_bytes(b, sig_alg);
    mu_buf_put_bytes(b, p->issuer);
    mu_der_put_time(b, p->this_update_s);
    mu_der_put_time(b, p->next_update_s);
    if (p->n) { /* CA-15: absent when empty */
        size_t revoked = mu_der_open(b, MU_DER_SEQUENCE);
        for (size_t i = 0; i < p->n; i++)
            entry_put(b, &p->entries[i]);
        mu_der_close(b, revoked);
    }
    extensions_put(b, p);
    mu_der_close(b, seq);
}

enum mu_code mu_pki_crl_make(const struct mu_pki_crl_params *params, const struct mu_pki_key *key,
    enum mu_pki_digest digest, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf tbs, sig_alg;
    if (digest == MU_PKI_DIGEST_NONE)
        digest = mu_pki_key_default_digest(key);
    mu_buf_init(&tbs, MU_LIMIT_CRL);
    mu_buf_init(&sig_alg, 64);
    mu_pki_key_sign_alg(key, digest, &sig_alg);
    enum mu_code rc = MU_OK;
    if (sig_alg.failed)
        rc = mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "this key cannot sign with the digest asked for");
    if (rc == MU_OK) {
        tbs_put(&tbs, params, mu_buf_bytes(&sig_alg));
        rc = mu_buf_check(&tbs, "CRL", err);
    }
    if (rc == MU_OK)
        rc = mu_pki_sign_wrap(mu_buf_bytes(&tbs), mu_buf_bytes(&sig_alg), key, digest, der, err);
    mu_buf_clear(&tbs);
    mu_buf_clear(&sig_alg);
    return rc;
}

bool mu_pki_crl_to_pem(struct mu_bytes der, struct mu_buf *out)
{
    return mu_pki_pem_put(out, "X509 CRL", der);
}
