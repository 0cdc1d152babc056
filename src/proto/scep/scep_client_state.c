/*
 * The engine as bytes: everything a later process needs to go on with the same transaction, and
 * nothing it gets again from its configuration. A DER SEQUENCE with a version in front and a
 * SHA-256 over the rest behind, so that damage is found before anything is believed.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/scep/scep_client_internal.h"

/* Version 1 did not tell how long had been waited. */
enum { VERSION = 2, NUMBERS = 14, STATE_MAX = 512 * 1024, INDEX_NONE = -1, INDEX_CONFIG = -2 };
enum { FLAG_CAPS = 1, FLAG_POST = 2, FLAG_PENDING = 4, FLAG_414 = 8, FLAG_GIVEN = 16,
    FLAG_TRIED_LEGACY = 32, FLAG_ALL = 63 };
/* Where each number stands. */
enum { N_OP, N_TYPE, N_DIGEST, N_CIPHER, N_CAPS, N_FLAGS, N_POLLS, N_REPLY_TYPE, N_TRUST, N_CA,
    N_RA_SIGN, N_RA_ENCRYPT, N_PKI_STATUS, N_WAITED };

static int64_t index_of(const struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    size_t i;

    if (cert == NULL)
        return INDEX_NONE;
    for (i = 0; i < c->ca_certs.n; i++) {
        if (c->ca_certs.v[i] == cert)
            return (int64_t)i;
    }
    return INDEX_CONFIG;
}

static void put_certs(struct mu_buf *b, const struct mu_pki_certs *list)
{
    size_t mark = mu_der_open(b, MU_DER_SEQUENCE), i;

    for (i = 0; i < list->n; i++)
        mu_buf_put_bytes(b, list->v[i]->der);
    mu_der_close(b, mark);
}

static void put_body(const struct mu_scep_client *c, struct mu_buf *b)
{
    int64_t v[NUMBERS] = {
        [N_OP] = c->config.op, [N_TYPE] = c->type, [N_DIGEST] = c->digest,
        [N_CIPHER] = c->cipher, [N_CAPS] = c->caps, [N_POLLS] = c->polls,
        [N_REPLY_TYPE] = c->reply_type, [N_TRUST] = c->trust, [N_CA] = index_of(c, c->ca),
        [N_RA_SIGN] = index_of(c, c->ra_sign), [N_RA_ENCRYPT] = index_of(c, c->ra_encrypt),
        [N_PKI_STATUS] = c->pki_status, [N_WAITED] = c->waited_s,
    };
    size_t i;

    v[N_FLAGS] = (c->has_caps ? FLAG_CAPS : 0) | (c->use_post ? FLAG_POST : 0)
        | (c->pending ? FLAG_PENDING : 0) | (c->post_after_get ? FLAG_414 : 0)
        | (c->ca_given ? FLAG_GIVEN : 0) | (c->tried_legacy ? FLAG_TRIED_LEGACY : 0);
    for (i = 0; i < NUMBERS; i++)
        mu_der_put_int(b, v[i]);
    mu_der_put(b, MU_DER_UTF8_STRING, mu_bytes_str(c->transaction_id));
    mu_der_put(b, MU_DER_OCTET_STRING, c->csr != NULL ? c->csr->der : mu_bytes(NULL, 0));
    mu_der_put(b, MU_DER_OCTET_STRING,
        c->self_signed != NULL ? c->self_signed->der : mu_bytes(NULL, 0));
    put_certs(b, &c->ca_certs);
    put_certs(b, &c->anchors);
}

enum mu_code mu_scep_client_store(
    const struct mu_scep_client *c, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf b = {.max = 0};
    uint8_t digest[64];
    size_t outer, inner, start;
    enum mu_code rc;

    mu_buf_init_secret(&b, STATE_MAX);
    outer = mu_der_open(&b, MU_DER_SEQUENCE);
    mu_der_put_int(&b, VERSION);
    start = b.n;
    inner = mu_der_open(&b, MU_DER_SEQUENCE);
    put_body(c, &b);
    mu_der_close(&b, inner);
    rc = mu_buf_check(&b, "stored request", err);
    if (rc != MU_OK)
        goto out;
    if (mu_pki_digest(MU_PKI_SHA256, mu_bytes(b.p + start, b.n - start), digest) == 0) {
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "scep: SHA-256 failed");
        goto out;
    }
    mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(digest, 32));
    mu_der_close(&b, outer);
    mu_buf_put_bytes(out, mu_buf_bytes(&b));
    rc = mu_buf_check(&b, "stored request", err);
    if (rc == MU_OK)
        rc = mu_buf_check(out, "stored request", err);
out:
    mu_buf_clear(&b);
    return rc;
}

/* The parts of a stored engine, views into it. */
struct parts {
    int64_t v[NUMBERS];
    struct mu_bytes transaction_id, csr, self_signed, ca_certs, anchors;
};

static bool get_parts(struct mu_bytes state, struct parts *out)
{
    struct mu_der outer, el, body, sum;
    struct mu_bytes in;
    uint8_t digest[64];
    int64_t version;
    size_t i;

    if (!mu_der_only(state, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &version)
        || version < 1 || version > VERSION || !mu_der_get(&in, MU_DER_SEQUENCE, &body)
        || !mu_der_get(&in, MU_DER_OCTET_STRING, &sum) || in.n != 0
        || mu_pki_digest(MU_PKI_SHA256, body.whole, digest) == 0
        || !mu_bytes_equal(sum.value, mu_bytes(digest, 32)))
        return false;
    in = body.value;
    for (i = 0; i < NUMBERS; i++) {
        if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &out->v[i]))
            return false;
    }
    if (!mu_der_get(&in, MU_DER_UTF8_STRING, &el))
        return false;
    out->transaction_id = el.value;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &el))
        return false;
    out->csr = el.value;
    if (!mu_der_get(&in, MU_DER_OCTET_STRING, &el))
        return false;
    out->self_signed = el.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el))
        return false;
    out->ca_certs = el.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &el) || in.n != 0)
        return false;
    out->anchors = el.value;
    return true;
}

static bool in_range(int64_t v, int64_t min, int64_t max)
{
    return v >= min && v <= max;
}

static bool numbers_valid(const int64_t v[NUMBERS])
{
    return in_range(v[N_OP], MU_SCEP_CLIENT_CAPS, MU_SCEP_CLIENT_CRL)
        && (v[N_TYPE] == 0 || in_range(v[N_TYPE], MU_SCEP_RENEWAL_REQ, MU_SCEP_GET_CRL))
        && in_range(v[N_DIGEST], MU_PKI_DIGEST_NONE, MU_PKI_SHA512)
        && in_range(v[N_CIPHER], MU_PKI_CIPHER_NONE, MU_PKI_AES256_CBC)
        && in_range(v[N_CAPS], 0, 0x7fffffff) && in_range(v[N_FLAGS], 0, FLAG_ALL)
        && in_range(v[N_POLLS], 0, 0x7fffffff) && in_range(v[N_REPLY_TYPE], 0, 3)
        && in_range(v[N_TRUST], MU_SCEP_TRUST_NONE, MU_SCEP_TRUST_GIVEN)
        && in_range(v[N_CA], INDEX_NONE, MU_LIMIT_CERTS)
        && in_range(v[N_RA_SIGN], INDEX_NONE, MU_LIMIT_CERTS)
        && in_range(v[N_RA_ENCRYPT], INDEX_CONFIG, MU_LIMIT_CERTS)
        && in_range(v[N_PKI_STATUS], -1, MU_SCEP_PENDING)
        && in_range(v[N_WAITED], 0, INT64_MAX);
}

static enum mu_code get_certs(
    struct mu_bytes in, struct mu_pki_certs *list, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    mu_pki_certs_clear(list);
    while (in.n != 0 && rc == MU_OK) {
        struct mu_pki_cert *cert = NULL;
        struct mu_der el;

        if (list->n == MU_LIMIT_CERTS || !mu_der_get(&in, MU_DER_SEQUENCE, &el))
            return MU_INPUT;
        rc = mu_pki_cert_decode(el.whole, &cert, err);
        if (rc == MU_OK)
            rc = mu_pki_certs_add(list, cert, err);
        mu_pki_cert_free(cert);
    }
    return rc;
}

static bool pick(const struct mu_scep_client *c, int64_t index, struct mu_pki_cert **out)
{
    if (index == INDEX_NONE)
        *out = NULL;
    else if (index == INDEX_CONFIG)
        *out = c->config.encrypt_to;
    else if ((size_t)index < c->ca_certs.n)
        *out = c->ca_certs.v[index];
    else
        return false;
    return index == INDEX_NONE || *out != NULL;
}

static enum mu_code refuse_damaged(struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "scep: the stored request is damaged or of another version; it cannot be resumed");
}

static enum mu_code apply(struct mu_scep_client *c, const struct parts *parts, struct mu_err *err)
{
    const int64_t *v = parts->v;
    char text[MU_LIMIT_TRANSACTION_ID + 1];
    enum mu_code rc;

    if (parts->transaction_id.n == 0 || parts->transaction_id.n >= sizeof text
        || memchr(parts->transaction_id.p, 0, parts->transaction_id.n) != NULL)
        return refuse_damaged(err);
    memcpy(text, parts->transaction_id.p, parts->transaction_id.n);
    text[parts->transaction_id.n] = '\0';
    rc = mu_text_dup(text, &c->transaction_id, err);
    if (rc != MU_OK)
        return rc;
    if (get_certs(parts->ca_certs, &c->ca_certs, err) != MU_OK
        || get_certs(parts->anchors, &c->anchors, err) != MU_OK
        || !pick(c, v[N_CA], &c->ca) || c->ca == NULL || !pick(c, v[N_RA_SIGN], &c->ra_sign)
        || !pick(c, v[N_RA_ENCRYPT], &c->ra_encrypt))
        return refuse_damaged(err);
    mu_pki_cert_free(c->self_signed);
    c->self_signed = NULL;
    if (parts->self_signed.n != 0
        && mu_pki_cert_decode(parts->self_signed, &c->self_signed, err) != MU_OK)
        return refuse_damaged(err);
    c->type = (int)v[N_TYPE];
    c->digest = (enum mu_pki_digest)v[N_DIGEST];
    c->cipher = (enum mu_pki_cipher)v[N_CIPHER];
    c->caps = (unsigned)v[N_CAPS];
    c->has_caps = (v[N_FLAGS] & FLAG_CAPS) != 0;
    c->use_post = (v[N_FLAGS] & FLAG_POST) != 0;
    c->pending = (v[N_FLAGS] & FLAG_PENDING) != 0;
    c->post_after_get = (v[N_FLAGS] & FLAG_414) != 0;
    c->ca_given = (v[N_FLAGS] & FLAG_GIVEN) != 0;
    c->tried_legacy = (v[N_FLAGS] & FLAG_TRIED_LEGACY) != 0;
    c->reply_type = (int)v[N_REPLY_TYPE];
    c->trust = (enum mu_scep_client_trust)v[N_TRUST];
    c->pki_status = (int)v[N_PKI_STATUS];
    c->polls = (unsigned)v[N_POLLS];
    c->waited_s = v[N_WAITED];
    if (c->type == 0 || c->cipher == MU_PKI_CIPHER_NONE || c->anchors.n == 0
        || mu_scep_client_signer(c) == NULL)
        return refuse_damaged(err);
    c->resumed = true;
    return MU_OK;
}

/* The keys and switches given now have to fit the request made then. */
static enum mu_code check_fits(const struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_pki_cert *signer = mu_scep_client_signer(c);

    if (mu_scep_client_ca_pin(c, err) != MU_OK) {
        mu_err_context(err, "the stored request is for another CA");
        return MU_AUTH;
    }
    if (!mu_bytes_equal(signer->spki, mu_pki_key_spki(mu_scep_client_signer_key(c))))
        return mu_err_set(err, MU_INPUT, MU_M(708),
            "scep: the stored request was signed with another key than the one given");
    if (!c->config.allow_legacy
        && (mu_pki_digest_is_legacy(c->digest) || mu_pki_cipher_is_legacy(c->cipher)))
        return mu_err_set(err, MU_UNSUPPORTED, MU_M(705),
            "scep: the stored request uses %s and %s, which need allow-legacy",
            mu_pki_cipher_title(c->cipher), mu_pki_digest_title(c->digest));
    return MU_OK;
}

enum mu_code mu_scep_client_restore(const struct mu_scep_client_config *config,
    struct mu_bytes state, struct mu_scep_client **out, struct mu_err *err)
{
    struct mu_scep_client_config with = *config;
    struct mu_scep_client *c = NULL;
    struct parts parts;
    enum mu_code rc;

    if (!get_parts(state, &parts) || !numbers_valid(parts.v))
        return refuse_damaged(err);
    if (parts.v[N_OP] != (int64_t)config->op)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "scep: the stored request is of another kind than the one to be resumed");
    if (parts.csr.n != 0) {
        if (config->csr.n != 0 && !mu_bytes_equal(config->csr, parts.csr))
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
                "scep: the stored request holds another certificate request than the one given");
        with.csr = parts.csr;
    }
    rc = mu_scep_client_new(&with, &c, err);
    /* Stored before there was a transaction: begin anew. */
    if (rc == MU_OK && parts.transaction_id.n != 0) {
        rc = apply(c, &parts, err);
        if (rc == MU_OK)
            rc = check_fits(c, err);
    }
    if (rc == MU_OK)
        *out = c;
    else
        mu_scep_client_free(c);
    return rc;
}
