#include "server_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_csr.h"

struct mu_err sw_err;

struct mu_pki_key *sw_key(enum sw_key which)
{
    static struct mu_pki_key *keys[SW_KEYS];
    const struct mu_pki_key_spec rsa = {MU_PKI_KEY_RSA, 2048}, ec = {MU_PKI_KEY_EC, 256};

    if (keys[which] == NULL)
        sw_ok(mu_pki_key_generate(which == SW_RSA ? &rsa : &ec, &keys[which], &sw_err));
    return keys[which];
}

static int64_t clock_of(void *ctx)
{
    return ((const struct sw *)ctx)->now_s;
}

static bool random_of(void *ctx, uint8_t *p, size_t n)
{
    struct sw *w = ctx;
    uint8_t digest[64];

    for (size_t i = 0; i < n; i++) {
        w->counter++;
        mu_pki_digest(MU_PKI_SHA256, mu_bytes(&w->counter, sizeof w->counter), digest);
        p[i] = digest[0];
    }
    return true;
}

static struct mu_pki_cert *make_cert(const char *name, const char *by, enum sw_key key,
    enum sw_key by_key, unsigned usage, unsigned eku, bool is_ca)
{
    static uint8_t serial = 0x10;
    struct mu_buf subject = {0}, issuer = {0}, exts = {0}, der = {0};
    struct mu_pki_cert *cert = NULL;
    uint8_t id[20], number[2] = {0x12, serial++};
    size_t mark;

    sw_ok(mu_pki_name_parse(name, &subject, &sw_err));
    sw_ok(mu_pki_name_parse(by, &issuer, &sw_err));
    assert_true(mu_pki_key_id(mu_pki_key_spki(sw_key(key)), id));
    mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    if (is_ca)
        mu_pki_ext_put_basic(&exts, true, true, -1);
    mu_pki_ext_put_key_usage(&exts, true, usage);
    mu_pki_ext_put_skid(&exts, id);
    if (eku != 0)
        mu_pki_ext_put_eku(&exts, eku);
    mu_der_close(&exts, mark);
    const struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(number, 2),
        .issuer = mu_buf_bytes(&issuer),
        .subject = mu_buf_bytes(&subject),
        .not_before_s = SW_NOW - 86400,
        .not_after_s = SW_NOW + 86400 * INT64_C(365),
        .spki = mu_pki_key_spki(sw_key(key)),
        .extensions = mu_buf_bytes(&exts)};
    sw_ok(mu_pki_cert_make(&tbs, sw_key(by_key), MU_PKI_DIGEST_NONE, &der, &sw_err));
    sw_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &sw_err));
    mu_buf_clear(&subject);
    mu_buf_clear(&issuer);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return cert;
}

#define CA_NAME "/CN=fac.root"

void sw_init(struct sw *w)
{
    memset(w, 0, sizeof *w);
    w->now_s = SW_NOW;
    w->env = (struct mu_env){.now = clock_of, .random = random_of, .ctx = w};
    w->ca = make_cert(CA_NAME, CA_NAME, SW_CA, SW_CA,
        MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN, 0, true);
    w->ra = make_cert("/CN=ra", CA_NAME, SW_RA, SW_CA, MU_KU_DIGITAL_SIGNATURE, MU_EKU_CMC_RA, false);
    w->client = make_cert("/CN=device", CA_NAME, SW_CLIENT, SW_CA,
        MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_AGREEMENT, 0, false);
    w->rsa = make_cert("/CN=device", CA_NAME, SW_RSA, SW_CA,
        MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT, 0, false);
    w->rogue = make_cert("/CN=rogue", "/CN=rogue", SW_ROGUE, SW_ROGUE, MU_KU_DIGITAL_SIGNATURE, 0, false);
    sw_ok(mu_pki_certs_add(&w->chain, w->ca, &sw_err));
    sw_ok(mu_secret_set(&w->secret, mu_bytes_str("fortinet1"), &sw_err));
    w->credential = (struct mu_credential){.key = sw_key(SW_CA), .cert = w->ca,
        .ca_chain = &w->chain, .ca_key = sw_key(SW_CA), .confirm_wait_s = 300};
    w->verdict = MU_VERDICT_ISSUED;
    w->target = "/.well-known/cmp";
}

struct mu_pki_cert *sw_link(struct sw *w, bool new_with_old)
{
    (void)w;
    return new_with_old ? make_cert("/CN=rogue", CA_NAME, SW_ROGUE, SW_CA, MU_KU_KEY_CERT_SIGN, 0, true)
                        : make_cert(CA_NAME, "/CN=rogue", SW_CA, SW_ROGUE, MU_KU_KEY_CERT_SIGN, 0, true);
}

struct mu_pki_cert *sw_next_root(void)
{
    return make_cert("/CN=rogue", "/CN=rogue", SW_ROGUE, SW_ROGUE, MU_KU_KEY_CERT_SIGN, 0, true);
}

static void forget_answer(struct sw *w)
{
    if (w->has_answer)
        mu_cmp_msg_clear(&w->answer);
    w->has_answer = false;
    mu_http_response_clear(&w->response);
}

void sw_clear(struct sw *w)
{
    forget_answer(w);
    mu_pki_cert_free(w->ca);
    mu_pki_cert_free(w->ra);
    mu_pki_cert_free(w->client);
    mu_pki_cert_free(w->rsa);
    mu_pki_cert_free(w->rogue);
    mu_pki_cert_free(w->issued);
    mu_pki_certs_clear(&w->chain);
    mu_pki_certs_clear(&w->extra);
    mu_secret_clear(&w->secret);
    mu_cmp_protect_mac_clear(&w->mac);
    mu_buf_clear(&w->kept);
    mu_buf_clear(&w->subject);
    mu_buf_clear(&w->request);
    mu_buf_clear(&w->signature);
    mu_buf_clear(&w->alg);
    mu_buf_clear(&w->spare);
}

/* ---- the CA ---- */

static void issue(struct sw *w, const struct mu_pki_csr *csr)
{
    struct mu_buf der = {0};
    uint8_t serial[2] = {0x44, 0x01};
    const struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, 2),
        .issuer = w->ca->subject,
        .subject = csr->subject,
        .not_before_s = SW_NOW,
        .not_after_s = SW_NOW + 86400,
        .spki = w->generated != NULL ? mu_pki_key_spki(w->generated) : csr->spki};

    mu_pki_cert_free(w->issued);
    w->issued = NULL;
    sw_ok(mu_pki_cert_make(&tbs, w->issuer_key != NULL ? w->issuer_key : sw_key(SW_CA),
        MU_PKI_DIGEST_NONE, &der, &sw_err));
    sw_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &w->issued, &sw_err));
    mu_buf_clear(&der);
}

static void decide(struct sw *w, const struct mu_question *q, struct mu_decision *d)
{
    w->op = q->op;
    w->confirm_accepted = q->confirm_accepted;
    snprintf(w->words_seen, sizeof w->words_seen, "%s", q->words != NULL ? q->words : "");
    snprintf(w->profile, sizeof w->profile, "%s", q->profile_name != NULL ? q->profile_name : "");
    w->key_type = q->key_spec.type;
    w->revoke_reason = q->revoke_reason;
    d->verdict = q->op == MU_OP_ENROLL || q->op == MU_OP_POLL || q->op == MU_OP_KEYGEN
            || w->verdict == MU_VERDICT_REFUSED
        ? w->verdict
        : MU_VERDICT_DATA;
    if (d->verdict == MU_VERDICT_REFUSED)
        mu_err_set(&d->refusal, MU_DENIED, w->refuse, "%s", w->words != NULL ? w->words : "no");
    if (q->op == MU_OP_ENROLL || q->op == MU_OP_KEYGEN) {
        assert_non_null(q->csr);
        issue(w, q->csr);
    }
    d->cert = w->issued;
    d->chain = &w->chain;
    d->modified = w->modified;
    d->retry_after_s = 30;
    d->key = q->op == MU_OP_KEYGEN ? w->generated : NULL;
    d->crl = w->crl;
    d->csr_attrs = w->csr_attrs;
}

void sw_serve(struct sw *w, const struct mu_http_request *request)
{
    struct mu_cmp_server *server;
    struct mu_question question;
    struct mu_decision decision = {.verdict = MU_VERDICT_REFUSED};
    struct mu_buf kept = {0};
    struct mu_claim claim;
    struct mu_err err = {0};
    enum mu_code rc = mu_cmp_server_open(&w->env, request, &server, &claim, &err);

    w->read_ok = false;
    w->failed = MU_REASON_NONE;
    if (server == NULL) {
        w->failed = err.reason;
        sw_ok(mu_cmp_server_http_error(&err, &w->response, &sw_err));
        return;
    }
    w->claim = claim;
    w->credential.password
        = claim.entry != NULL && strcmp(claim.entry, "fgt100f") == 0 ? &w->secret : NULL;
    w->credential.kept = mu_buf_bytes(&w->kept);
    w->credential.issued = w->issued != NULL ? w->issued->der : mu_bytes(NULL, 0);
    w->credential.allow_implicit_confirm = w->implicit_ok;
    if (rc == MU_OK)
        rc = mu_cmp_server_read(server, &w->credential, &question, &err);
    if (rc == MU_OK) {
        w->read_ok = true;
        decide(w, &question, &decision);
    } else {
        w->failed = err.reason;
        decision.refusal = err;
    }
    sw_ok(mu_cmp_server_write(server, &w->credential, &decision, &w->response, &kept, &sw_err));
    if (kept.n != 0) {
        mu_buf_reset(&w->kept);
        mu_buf_put_bytes(&w->kept, mu_buf_bytes(&kept));
    }
    mu_buf_clear(&kept);
    mu_cmp_server_free(server);
}

/* ---- requests ---- */

void sw_begin(struct sw *w)
{
    w->env.random(w, w->transaction, sizeof w->transaction);
    w->env.random(w, w->nonce, sizeof w->nonce);
    w->header = (struct mu_cmp_header){.pvno = 2, .recipient = w->ca->subject, .has_time = true,
        .time_s = w->now_s, .transaction_id = mu_bytes(w->transaction, 16),
        .sender_nonce = mu_bytes(w->nonce, 16)};
    mu_buf_reset(&w->kept);
}

void sw_by_mac(struct sw *w, const char *text)
{
    struct mu_secret secret = {0};
    struct mu_pki_mac params;

    sw_ok(mu_secret_set(&secret, mu_bytes_str(text), &sw_err));
    mu_cmp_protect_mac_clear(&w->mac);
    sw_ok(mu_pki_mac_init(&params, MU_PKI_MAC_PBM, 100, &w->env, &sw_err));
    sw_ok(mu_cmp_protect_mac_derive(&w->mac, &params, &secret, &sw_err));
    mu_secret_clear(&secret);
    mu_pki_certs_clear(&w->extra);
    w->how = (struct mu_cmp_protector){.mac = &w->mac, .reference = mu_bytes_str("fgt100f")};
}

void sw_by_cert(struct sw *w, struct mu_pki_cert *cert, enum sw_key key)
{
    mu_pki_certs_clear(&w->extra);
    sw_ok(mu_pki_certs_add(&w->extra, cert, &sw_err));
    w->how = (struct mu_cmp_protector){.key = sw_key(key), .cert = cert};
}

void sw_prove(struct sw *w, enum sw_key key)
{
    struct mu_cmp_cert_req *req = &w->body.u.req.req;

    mu_buf_reset(&w->request);
    mu_buf_reset(&w->signature);
    mu_buf_reset(&w->alg);
    req->cert_req = mu_bytes(NULL, 0);
    mu_cmp_crmf_request_encode(req, &w->request);
    mu_pki_key_sign_alg(sw_key(key), mu_pki_key_default_digest(sw_key(key)), &w->alg);
    sw_ok(mu_pki_key_sign(sw_key(key), mu_pki_key_default_digest(sw_key(key)),
        mu_buf_bytes(&w->request), &w->signature, &sw_err));
    req->popo = MU_CMP_POPO_SIGNATURE;
    req->popo_alg = mu_buf_bytes(&w->alg);
    req->popo_signature = mu_buf_bytes(&w->signature);
}

void sw_crmf(struct sw *w, enum mu_cmp_type type, enum sw_key key)
{
    mu_buf_reset(&w->subject);
    sw_ok(mu_pki_name_parse("/CN=device", &w->subject, &sw_err));
    memset(&w->body, 0, sizeof w->body);
    w->body.type = type;
    w->body.u.req.n = 1;
    w->body.u.req.req.tmpl.version = -1;
    w->body.u.req.req.tmpl.subject = mu_buf_bytes(&w->subject);
    w->body.u.req.req.tmpl.spki = mu_pki_key_spki(sw_key(key));
    sw_prove(w, key);
}

void sw_p10(struct sw *w, enum sw_key key)
{
    mu_buf_reset(&w->subject);
    mu_buf_reset(&w->request);
    sw_ok(mu_pki_name_parse("/CN=device", &w->subject, &sw_err));
    const struct mu_pki_csr_params params = {.subject = mu_buf_bytes(&w->subject)};
    sw_ok(mu_pki_csr_make(&params, sw_key(key), &w->request, &sw_err));
    memset(&w->body, 0, sizeof w->body);
    w->body.type = MU_CMP_P10CR;
    w->body.u.p10 = mu_buf_bytes(&w->request);
}

void sw_follow(struct sw *w)
{
    mu_buf_reset(&w->spare);
    mu_buf_put_bytes(&w->spare, w->answer.header.sender_nonce);
    w->header.recip_nonce = mu_buf_bytes(&w->spare);
    w->env.random(w, w->nonce, sizeof w->nonce);
}

void sw_conf(struct sw *w)
{
    uint8_t hash[64];
    size_t n = mu_pki_digest(MU_PKI_SHA256, w->issued->der, hash);
    int64_t id = w->answer.body.u.rep.response.cert_req_id;

    sw_follow(w);
    mu_buf_reset(&w->request);
    mu_buf_put(&w->request, hash, n);
    memset(&w->body, 0, sizeof w->body);
    w->body.type = MU_CMP_CERT_CONF;
    w->body.u.conf.n = 1;
    w->body.u.conf.status.cert_hash = mu_buf_bytes(&w->request);
    w->body.u.conf.status.cert_req_id = id;
}

void sw_poll(struct sw *w)
{
    sw_follow(w);
    memset(&w->body, 0, sizeof w->body);
    w->body.type = MU_CMP_POLL_REQ;
    w->body.u.poll_req.n = 1;
}

void sw_genm(struct sw *w, int it, struct mu_bytes value)
{
    memset(&w->body, 0, sizeof w->body);
    w->body.type = MU_CMP_GENM;
    w->body.u.gen.n = 1;
    w->body.u.gen.v[0] = (struct mu_cmp_info){.oid = mu_cmp_it_oid(it), .value = value};
}

void sw_encode(struct sw *w, struct mu_buf *out)
{
    sw_ok(mu_cmp_protect_encode(&w->header, &w->body, &w->how, &w->extra, out, &sw_err));
}

void sw_post(struct sw *w, struct mu_bytes message)
{
    static const struct mu_http_header headers[] = {{"Content-Type", "application/pkixcmp"}};
    const struct mu_http_request request = {.method = "POST", .target = w->target, .minor = 1,
        .headers = headers, .header_n = 1, .body = message};

    forget_answer(w);
    sw_serve(w, &request);
    if (w->response.status != 200)
        return;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&w->response.body), &w->answer, &sw_err));
    w->has_answer = true;
    assert_true(mu_der_valid(mu_buf_bytes(&w->response.body), 32));
    /* CMP-115: in every answer */
    assert_true(mu_bytes_equal(w->answer.header.transaction_id, w->header.transaction_id));
    assert_true(mu_bytes_equal(w->answer.header.recip_nonce, w->header.sender_nonce));
    assert_int_equal(w->answer.header.sender_nonce.n, w->answer.header.pvno > 0 ? 16 : 0);
}

void sw_send(struct sw *w)
{
    struct mu_buf message = {0};

    sw_encode(w, &message);
    sw_post(w, mu_buf_bytes(&message));
    mu_buf_clear(&message);
}

void sw_send_raw(struct sw *w, struct mu_bytes body)
{
    struct mu_cmp_header h = w->header;
    struct mu_buf alg = {0}, name = {0}, part = {0}, out = {0};
    uint8_t mac[MU_PKI_MAC_SIZE];
    size_t n, mark;

    mu_pki_mac_encode(&w->mac.mac, &alg);
    sw_ok(mu_pki_name_parse("/CN=fgt100f", &name, &sw_err));
    h.protection_alg = mu_buf_bytes(&alg);
    h.sender = mu_buf_bytes(&name);
    h.sender_kid = mu_bytes_str("fgt100f");
    mark = mu_der_open(&part, MU_DER_SEQUENCE);
    mu_cmp_header_encode(&h, &part);
    mu_buf_put_bytes(&part, body);
    mu_der_close(&part, mark);
    sw_ok(mu_pki_mac_make(&w->mac.mac, &w->mac.key, mu_buf_bytes(&part), mac, &n, &sw_err));
    sw_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), mu_bytes(mac, n), NULL, &out, &sw_err));
    sw_post(w, mu_buf_bytes(&out));
    mu_buf_clear(&alg);
    mu_buf_clear(&name);
    mu_buf_clear(&part);
    mu_buf_clear(&out);
}

/* ---- expectations ---- */

static void expect_rejected(const struct mu_cmp_status *status, int bit)
{
    assert_int_equal(status->status, MU_CMP_REJECTION);
    assert_true(status->has_fail);
    if (mu_cmp_status_fail_bit(status) != bit) {
        struct mu_buf text = {0};
        mu_cmp_text_format(status->text, &text);
        fail_msg("%s instead of %s: %s", mu_cmp_fail_name(mu_cmp_status_fail_bit(status)),
            mu_cmp_fail_name(bit), mu_buf_str(&text));
    }
    assert_true(status->text.n != 0);
}

void sw_expect_error(const struct sw *w, int bit)
{
    assert_true(w->has_answer);
    assert_string_equal(mu_cmp_type_name(w->answer.body.type), "error");
    expect_rejected(&w->answer.body.u.error.status, bit);
}

void sw_expect_rejection(const struct sw *w, enum mu_cmp_type type, int bit)
{
    assert_true(w->has_answer);
    assert_string_equal(mu_cmp_type_name(w->answer.body.type), mu_cmp_type_name(type));
    if (type == MU_CMP_RP) {
        expect_rejected(&w->answer.body.u.rp.status, bit);
        return;
    }
    assert_null(w->answer.body.u.rep.response.cert.p); /* CMP-70 */
    expect_rejected(&w->answer.body.u.rep.response.status, bit);
}

void sw_expect_issued(const struct sw *w, enum mu_cmp_type type)
{
    const struct mu_cmp_cert_response *r = &w->answer.body.u.rep.response;

    assert_true(w->has_answer);
    if (w->answer.body.type == MU_CMP_ERROR) {
        struct mu_buf text = {0};
        mu_cmp_text_format(w->answer.body.u.error.status.text, &text);
        fail_msg("error: %s", mu_buf_str(&text));
    }
    assert_string_equal(mu_cmp_type_name(w->answer.body.type), mu_cmp_type_name(type));
    if (r->status.status == MU_CMP_REJECTION) {
        struct mu_buf text = {0};
        mu_cmp_text_format(r->status.text, &text);
        fail_msg("rejected: %s", mu_buf_str(&text));
    }
    assert_int_equal(w->answer.body.u.rep.n, 1); /* CMP-69 */
    assert_false(r->status.has_fail); /* CMP-42 */
    assert_true(mu_bytes_equal(r->cert, w->issued->der));
}

void sw_expect_protection(struct sw *w, enum mu_cmp_protection kind)
{
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};

    assert_int_equal(mu_cmp_protect_kind(&w->answer), kind);
    if (kind == MU_CMP_BY_MAC)
        sw_ok(mu_cmp_protect_verify_mac(&w->answer, &w->secret, true, &mac, &sw_err));
    if (kind == MU_CMP_BY_SIGNATURE) {
        assert_ptr_equal(mu_cmp_protect_signer(&w->answer, NULL), w->answer.extra.v[0]);
        sw_ok(mu_cmp_protect_verify_signature(&w->answer, w->ca, NULL, &sw_err));
    }
    mu_cmp_protect_mac_clear(&mac);
}
