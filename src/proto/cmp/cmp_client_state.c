/*
 * The engine as bytes: what a later process needs to go on with the same transaction, and nothing
 * it gets again from its configuration: no secret, no private key. A DER SEQUENCE with a version
 * in front and a SHA-256 over the rest behind, so that damage is found before anything is believed.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

enum { VERSION = 1, STATE_MAX = 512 * 1024 };
enum { FLAG_PENDING = 1, FLAG_FIRST_SENT = 2, FLAG_ISSUED = 4, FLAG_ALL = 7 };
enum { N_OP, N_PHASE, N_TYPE, N_FLAGS, N_POLL_ID, N_POLLS, N_WAITED, NUMBERS };

static void put_certs(struct mu_buf *b, const struct mu_pki_certs *list)
{
    size_t mark = mu_der_open(b, MU_DER_SEQUENCE);

    mu_cmp_msg_put_certs(b, list);
    mu_der_close(b, mark);
}

static void put_body(const struct mu_cmp_client *c, struct mu_buf *b)
{
    bool request = c->phase == MU_CMP_PHASE_REQUEST && !c->pending && c->cert == NULL;
    int64_t v[NUMBERS] = {
        [N_OP] = c->config.op, [N_PHASE] = c->phase, [N_TYPE] = c->request_type,
        [N_FLAGS] = (c->pending ? FLAG_PENDING : 0) | (c->first_sent ? FLAG_FIRST_SENT : 0)
            | (c->cert != NULL ? FLAG_ISSUED : 0),
        [N_POLL_ID] = c->poll_id, [N_POLLS] = c->polls, [N_WAITED] = c->waited_s,
    };
    size_t i;

    for (i = 0; i < NUMBERS; i++)
        mu_der_put_int(b, v[i]);
    mu_der_put(b, MU_DER_OCTET_STRING, mu_buf_bytes(&c->transaction_id));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(c->nonce, sizeof c->nonce));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(c->first_nonce, sizeof c->first_nonce));
    mu_der_put(b, MU_DER_OCTET_STRING, mu_bytes(c->peer_nonce, c->peer_nonce_n));
    mu_der_put(b, MU_DER_OCTET_STRING, request ? mu_buf_bytes(&c->message) : mu_bytes(NULL, 0));
    put_certs(b, &c->save);
    put_certs(b, &c->peer);
}

enum mu_code mu_cmp_client_store(
    const struct mu_cmp_client *c, struct mu_buf *out, struct mu_err *err)
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
    if (rc == MU_OK
        && mu_pki_digest(MU_PKI_SHA256, mu_bytes(b.p + start, b.n - start), digest) == 0)
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "cmp: SHA-256 failed");
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
    int64_t v[NUMBERS];
    struct mu_bytes transaction_id, nonce, first_nonce, peer_nonce, message, save, peer;
};

static bool get_octets(struct mu_bytes *in, size_t min, size_t max, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_get(in, MU_DER_OCTET_STRING, &el) || el.value.n < min || el.value.n > max)
        return false;
    *out = el.value;
    return true;
}

static bool get_list(struct mu_bytes *in, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_get(in, MU_DER_SEQUENCE, &el))
        return false;
    *out = el.value;
    return true;
}

static bool numbers_valid(const int64_t *v)
{
    bool issued = (v[N_FLAGS] & FLAG_ISSUED) != 0;

    return v[N_OP] >= 0 && v[N_OP] <= MU_CMP_CLIENT_CRL && v[N_PHASE] >= 0
        && v[N_PHASE] <= MU_CMP_PHASE_CONFIRM && v[N_TYPE] >= 0 && v[N_TYPE] < MU_CMP_TYPES
        && v[N_FLAGS] >= 0 && v[N_FLAGS] <= FLAG_ALL && (v[N_PHASE] != MU_CMP_PHASE_CONFIRM || issued)
        && v[N_POLLS] >= 0 && v[N_POLLS] < INT32_MAX && v[N_WAITED] >= 0;
}

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
        || version != VERSION || !mu_der_get(&in, MU_DER_SEQUENCE, &body)
        || !mu_der_get(&in, MU_DER_OCTET_STRING, &sum) || in.n != 0
        || mu_pki_digest(MU_PKI_SHA256, body.whole, digest) == 0
        || !mu_bytes_equal(sum.value, mu_bytes(digest, 32)))
        return false;
    in = body.value;
    for (i = 0; i < NUMBERS; i++) {
        if (!mu_der_get(&in, MU_DER_INTEGER, &el) || !mu_der_int(el.value, &out->v[i]))
            return false;
    }
    return get_octets(&in, 0, MU_LIMIT_TRANSACTION_ID, &out->transaction_id)
        && get_octets(&in, MU_CMP_NONCE, MU_CMP_NONCE, &out->nonce)
        && get_octets(&in, MU_CMP_NONCE, MU_CMP_NONCE, &out->first_nonce)
        && get_octets(&in, 0, MU_LIMIT_NONCE, &out->peer_nonce)
        && get_octets(&in, 0, MU_LIMIT_MESSAGE, &out->message) && get_list(&in, &out->save)
        && get_list(&in, &out->peer) && in.n == 0 && numbers_valid(out->v);
}

static enum mu_code refuse_damaged(struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "cmp: the stored request is damaged or of another version; it cannot be resumed");
}

static enum mu_code apply_cert(
    struct mu_cmp_client *c, const struct parts *parts, struct mu_err *err)
{
    enum mu_code rc;
    size_t i;

    if (mu_cmp_msg_get_certs(parts->save, &c->save, NULL, err) != MU_OK
        || mu_cmp_msg_get_certs(parts->peer, &c->peer, NULL, err) != MU_OK)
        return refuse_damaged(err);
    if ((parts->v[N_FLAGS] & FLAG_ISSUED) == 0)
        return MU_OK;
    if (c->save.n == 0)
        return refuse_damaged(err);
    c->cert = mu_pki_cert_ref(c->save.v[0]);
    for (i = 1; i < c->save.n; i++) {
        rc = mu_pki_certs_add(&c->chain, c->save.v[i], err);
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

static enum mu_code apply(struct mu_cmp_client *c, const struct parts *parts, struct mu_err *err)
{
    struct mu_buf hex = {.max = 2 * MU_LIMIT_TRANSACTION_ID + 1};
    const int64_t *v = parts->v;
    enum mu_code rc;

    mu_buf_put_bytes(&c->transaction_id, parts->transaction_id);
    mu_text_hex(&hex, parts->transaction_id, 0);
    rc = mu_text_dup(mu_buf_str(&hex), &c->transaction_hex, err);
    mu_buf_clear(&hex);
    if (rc == MU_OK)
        rc = apply_cert(c, parts, err);
    if (rc != MU_OK)
        return rc;
    memcpy(c->nonce, parts->nonce.p, sizeof c->nonce);
    memcpy(c->first_nonce, parts->first_nonce.p, sizeof c->first_nonce);
    memcpy(c->peer_nonce, parts->peer_nonce.p, parts->peer_nonce.n);
    c->peer_nonce_n = parts->peer_nonce.n;
    mu_buf_put_bytes(&c->message, parts->message);
    c->phase = (enum mu_cmp_client_phase)v[N_PHASE];
    c->request_type = (enum mu_cmp_type)v[N_TYPE];
    c->pending = (v[N_FLAGS] & FLAG_PENDING) != 0;
    c->first_sent = (v[N_FLAGS] & FLAG_FIRST_SENT) != 0;
    c->poll_id = v[N_POLL_ID];
    c->polls = (unsigned)v[N_POLLS];
    c->waited_s = v[N_WAITED];
    /* Issued and not known to be saved, or no request there to repeat: a new transaction is
     * cheaper than guessing. */
    if (c->phase == MU_CMP_PHASE_REQUEST && !c->pending && (c->cert != NULL || c->message.n == 0))
        return refuse_damaged(err);
    c->resumed = true;
    return MU_OK;
}

enum mu_code mu_cmp_client_restore(const struct mu_cmp_client_config *config,
    struct mu_bytes state, struct mu_cmp_client **out, struct mu_err *err)
{
    struct mu_cmp_client *c = NULL;
    struct parts parts;
    enum mu_code rc;

    if (!get_parts(state, &parts))
        return refuse_damaged(err);
    if (parts.v[N_OP] != (int64_t)config->op)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "cmp: the stored request is of another kind than the one to be resumed");
    rc = mu_cmp_client_new(config, &c, err);
    if (rc == MU_OK && parts.transaction_id.n != 0)
        rc = apply(c, &parts, err);
    if (rc == MU_OK)
        *out = c;
    else
        mu_cmp_client_free(c);
    return rc;
}
