/*
 * The engine as bytes: the names asked for, the key by its digest, and how long was waited. The
 * request itself is made anew, since csrattrs and the TLS session may have changed (EST-51); the
 * server knows it again by who asks and by the key (EST-50). A DER SEQUENCE with a version in
 * front and a SHA-256 over the rest behind.
 */
#include "base/limits.h"
#include "proto/est/est_client_internal.h"

enum { VERSION = 1, STATE_MAX = 256 * 1024 };
enum { FLAG_REENROLL = 1, FLAG_PENDING = 2, FLAG_ALL = 3 };

static enum mu_code put_body(const struct mu_est_client *c, struct mu_buf *b, struct mu_err *err)
{
    uint8_t digest[64];
    size_t n = 0;

    if (c->key != NULL) {
        n = mu_pki_digest(MU_PKI_SHA256, mu_pki_key_spki(c->key), digest);
        if (n == 0)
            return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "est: SHA-256 failed");
    }
    mu_der_put_int(b, c->config.op);
    mu_der_put_int(b, (c->config.reenroll ? FLAG_REENROLL : 0) | (c->pending ? FLAG_PENDING : 0));
    mu_der_put_int(b, c->polls);
    mu_der_put_int(b, c->waited_s);
    mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(&c->subject));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(&c->extensions));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(digest, n));
    return MU_OK;
}

enum mu_code mu_est_client_store(
    const struct mu_est_client *c, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf b = {.max = STATE_MAX};
    uint8_t digest[64];
    size_t outer, inner, start;
    enum mu_code rc;

    outer = mu_der_open(&b, MU_DER_SEQUENCE);
    mu_der_put_int(&b, VERSION);
    start = b.n;
    inner = mu_der_open(&b, MU_DER_SEQUENCE);
    rc = put_body(c, &b, err);
    mu_der_close(&b, inner);
    if (rc == MU_OK)
        rc = mu_buf_check(&b, "stored request", err);
    if (rc == MU_OK && mu_pki_digest(MU_PKI_SHA256, mu_bytes(b.p + start, b.n - start), digest) == 0)
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "est: SHA-256 failed");
    if (rc == MU_OK) {
        mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(digest, 32));
        mu_der_close(&b, outer);
        mu_buf_put_bytes(out, mu_buf_bytes(&b));
        rc = mu_buf_check(&b, "stored request", err);
    }
    if (rc == MU_OK)
        rc = mu_buf_check(out, "stored request", err);
    mu_buf_clear(&b);
    return rc;
}

/* The parts of a stored engine, views into it. */
struct parts {
    int64_t op, flags, polls, waited_s;
    struct mu_bytes subject, extensions, key_digest;
};

static bool get_int(struct mu_bytes *in, int64_t min, int64_t max, int64_t *out)
{
    struct mu_der el;

    return mu_der_get(in, MU_DER_INTEGER, &el) && mu_der_int(el.value, out) && *out >= min
        && *out <= max;
}

static bool get_octets(struct mu_bytes *in, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_get(in, MU_DER_OCTET_STRING, &el))
        return false;
    *out = el.value;
    return true;
}

static bool get_parts(struct mu_bytes state, struct parts *out)
{
    struct mu_der outer, body, sum;
    struct mu_bytes in;
    uint8_t digest[64];
    int64_t version;

    if (!mu_der_only(state, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    if (!get_int(&in, VERSION, VERSION, &version) || !mu_der_get(&in, MU_DER_SEQUENCE, &body)
        || !mu_der_get(&in, MU_DER_OCTET_STRING, &sum) || in.n != 0
        || mu_pki_digest(MU_PKI_SHA256, body.whole, digest) == 0
        || !mu_bytes_equal(sum.value, mu_bytes(digest, 32)))
        return false;
    in = body.value;
    return get_int(&in, MU_EST_CLIENT_CA, MU_EST_CLIENT_KEYGEN, &out->op)
        && get_int(&in, 0, FLAG_ALL, &out->flags) && get_int(&in, 0, 0x7fffffff, &out->polls)
        && get_int(&in, 0, INT64_MAX, &out->waited_s) && get_octets(&in, &out->subject)
        && get_octets(&in, &out->extensions) && get_octets(&in, &out->key_digest) && in.n == 0
        && (out->key_digest.n == 0 || out->key_digest.n == 32);
}

enum mu_code mu_est_client_restore(const struct mu_est_client_config *config,
    struct mu_bytes state, struct mu_est_client **out, struct mu_err *err)
{
    struct mu_est_client_config with = *config;
    struct mu_est_client *c = NULL;
    struct parts parts;
    enum mu_code rc;

    if (!get_parts(state, &parts))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: the stored request is damaged");
    if (parts.op != (int64_t)config->op || ((parts.flags & FLAG_REENROLL) != 0) != config->reenroll)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "est: the stored request is of another kind than the one to be resumed");
    with.subject = parts.subject;
    with.extensions = parts.extensions;
    rc = mu_est_client_new(&with, &c, err);
    if (rc != MU_OK)
        return rc;
    c->pending = (parts.flags & FLAG_PENDING) != 0;
    c->polls = (unsigned)parts.polls + (c->pending ? 1 : 0);
    c->waited_s = parts.waited_s;
    if (parts.key_digest.n != 0 && c->config.op != MU_EST_CLIENT_KEYGEN) {
        memcpy(c->key_digest, parts.key_digest.p, sizeof c->key_digest);
        c->has_key_digest = true;
    }
    *out = c;
    return MU_OK;
}
