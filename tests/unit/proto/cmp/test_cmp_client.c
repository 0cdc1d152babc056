/* The client engine against the server engine by function calls: each operation to its end, and
 * what must not be believed on the way. */
#include "server_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "proto/cmp/cmp_client.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_http.h"

struct run {
    struct sw w;
    struct mu_cmp_client_config config;
    struct mu_pki_certs trusted;
    struct mu_secret secret;
    struct mu_buf subject, trace, state;
    struct mu_cmp_client *client;
    void (*tamper)(struct run *r, unsigned n, struct mu_http_response *response);
    bool tampered;
    unsigned sent, saved, waited, pending_n, stop_after; /* stop_after: no more after so many answers */
    struct mu_err err;
    enum mu_code rc;
};

static void on_trace(void *ctx, const struct mu_trace_event *event)
{
    struct run *r = (struct run *)((char *)ctx - offsetof(struct run, w));

    mu_buf_putf(&r->trace, "%s: %s\n", mu_trace_step_name(event->step), event->text);
}

static void begin(struct run *r)
{
    memset(r, 0, sizeof *r);
    sw_init(&r->w);
    r->w.env.trace = on_trace;
    sw_ok(mu_pki_certs_add(&r->trusted, r->w.ca, &sw_err));
    sw_ok(mu_secret_set(&r->secret, mu_bytes_str("fortinet1"), &sw_err));
    sw_ok(mu_pki_name_parse("/CN=device", &r->subject, &sw_err));
    r->config = (struct mu_cmp_client_config){
        .env = &r->w.env,
        .op = MU_CMP_CLIENT_IR,
        .url = "http://127.0.0.1:8080/app/cert/cmp2",
        .entry = "cmptest1",
        .subject = mu_buf_bytes(&r->subject),
        .key = sw_key(SW_NEW),
        .ref = "fgt100f",
        .secret = &r->secret,
        .mac_iterations = 100,
        .trusted = &r->trusted,
        .trusted_as = "fac.root",
    };
}

static void by_cert(struct run *r, enum mu_cmp_client_op op)
{
    r->config.op = op;
    r->config.ref = NULL;
    r->config.secret = NULL;
    r->config.signer_cert = r->w.client;
    r->config.signer_key = sw_key(SW_CLIENT);
}

static void end(struct run *r)
{
    mu_cmp_client_free(r->client);
    mu_pki_certs_clear(&r->trusted);
    mu_secret_clear(&r->secret);
    mu_buf_clear(&r->subject);
    mu_buf_clear(&r->trace);
    mu_buf_clear(&r->state);
    mu_http_response_clear(&r->w.response);
    sw_clear(&r->w);
}

static void exchange(struct run *r, const struct mu_step *step, struct mu_event *event)
{
    struct mu_http_request request = step->request;

    assert_string_equal(request.method, "POST");
    assert_true(mu_cmp_http_media_is(mu_http_header_get(request.headers, request.header_n, "Content-Type")));
    request.target = strstr(step->request.target, "//") + 2;
    request.target = strchr(request.target, '/');
    for (size_t i = 0; i < request.note_n; i++)
        mu_buf_putf(&r->trace, "%s: %s\n", mu_trace_step_name(request.notes[i].step), request.notes[i].text);
    r->sent++;
    mu_http_response_clear(&r->w.response);
    if (r->w.verdict == MU_VERDICT_PENDING && r->sent > r->pending_n)
        r->w.verdict = MU_VERDICT_ISSUED;
    sw_serve(&r->w, &request);
    if (r->tamper != NULL)
        r->tamper(r, r->sent, &r->w.response);
    event->type = MU_EVENT_RESPONSE;
    event->response = &r->w.response;
}

/* To the end, or until stop_after. */
static void drive(struct run *r)
{
    struct mu_step step = {.want = MU_WANT_DONE};

    if (r->client == NULL) {
        r->rc = mu_cmp_client_new(&r->config, &r->client, &r->err);
        if (r->rc != MU_OK)
            return;
    }
    r->rc = mu_cmp_client_start(r->client, &step, &r->err);
    while (r->rc == MU_OK && step.want != MU_WANT_DONE) {
        struct mu_event event = {.type = MU_EVENT_TIME};
        struct mu_step next = {.want = MU_WANT_DONE};

        if (step.want == MU_WANT_SEND) {
            if (step.remember || r->stop_after != 0) {
                mu_buf_reset(&r->state);
                sw_ok(mu_cmp_client_store(r->client, &r->state, &sw_err));
            }
            if (r->stop_after != 0 && r->sent == r->stop_after) {
                r->rc = MU_BUSY;
                return;
            }
            exchange(r, &step, &event);
        } else if (step.want == MU_WANT_SAVE) {
            r->saved++;
            assert_true(step.certs->n >= 1);
            event.type = MU_EVENT_SAVED;
        } else {
            assert_int_equal(step.want, MU_WANT_WAIT);
            r->waited++;
            mu_buf_reset(&r->state);
            sw_ok(mu_cmp_client_store(r->client, &r->state, &sw_err));
        }
        r->rc = mu_cmp_client_step(r->client, &event, &next, &r->err);
        step = next;
    }
}

static void again(struct run *r)
{
    mu_cmp_client_free(r->client);
    r->client = NULL;
    sw_ok(mu_cmp_client_restore(&r->config, mu_buf_bytes(&r->state), &r->client, &sw_err));
}

static void is_done(struct run *r)
{
    if (r->rc != MU_OK)
        fail_msg("%d: %s\n%s", (int)r->rc, r->err.what, mu_buf_str(&r->trace));
}

static void failed(struct run *r, enum mu_code rc, int m, const char *part)
{
    if (r->rc != rc || (m != 0 && r->err.reason != MU_M(m)) || strstr(r->err.what, part) == NULL)
        fail_msg("%d M%d: %s\n%s", (int)r->rc, (int)r->err.reason, r->err.what, mu_buf_str(&r->trace));
}

static void traced(const struct run *r, const char *part)
{
    if (strstr(mu_buf_str(&r->trace), part) == NULL)
        fail_msg("no \"%s\" in\n%s", part, mu_buf_str(&r->trace));
}

/* CMP-13, CMP-19, CMP-25, CMP-49, CMP-61, CMP-73, CMP-75, CMP-78 */
static void each_request_is_issued_and_confirmed(void **state)
{
    static const struct { enum mu_cmp_client_op op; bool mac; enum mu_cmp_mac kind; } rows[] = {
        {MU_CMP_CLIENT_IR, true, MU_CMP_MAC_PBM}, {MU_CMP_CLIENT_IR, true, MU_CMP_MAC_PBMAC1},
        {MU_CMP_CLIENT_CR, true, MU_CMP_MAC_PBM}, {MU_CMP_CLIENT_P10CR, true, MU_CMP_MAC_PBMAC1},
        {MU_CMP_CLIENT_IR, false, 0}, {MU_CMP_CLIENT_CR, false, 0}, {MU_CMP_CLIENT_P10CR, false, 0},
        {MU_CMP_CLIENT_KUR, false, 0},
    };
    struct mu_cmp_client_result result;
    struct mu_buf csr = {0};
    struct run r;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&r);
        r.config.op = rows[i].op;
        r.config.mac = rows[i].kind;
        if (!rows[i].mac)
            by_cert(&r, rows[i].op);
        if (rows[i].op == MU_CMP_CLIENT_P10CR) {
            const struct mu_pki_csr_params params = {.subject = mu_buf_bytes(&r.subject)};

            mu_buf_reset(&csr);
            sw_ok(mu_pki_csr_make(&params, sw_key(SW_NEW), &csr, &sw_err));
            r.config.csr = mu_buf_bytes(&csr);
        }
        drive(&r);
        is_done(&r);
        mu_cmp_client_result(r.client, &result);
        assert_true(result.confirmed && !result.implicit);
        assert_int_equal(r.sent, 2);
        assert_int_equal(r.saved, 1);
        assert_true(r.w.op == MU_OP_CONFIRM && r.w.confirm_accepted);
        assert_true(mu_pki_cert_equal(result.cert, r.w.issued));
        end(&r);
    }
    mu_buf_clear(&csr);
}

/* C022..C045: what the engine tells, in its order */
static void clear_text(struct run *r, unsigned n, struct mu_http_response *response)
{
    if (n != 1)
        return;
    r->tampered = memmem(response->body.p, response->body.n, r->w.issued->der.p, r->w.issued->der.n) != NULL;
}

/* CMP-66 (RFC 9810 5.2.8.3.2): the certificate comes encrypted to its key; its confirmation is the
 * proof, and goes out in any case */
static void a_certificate_comes_encrypted_to_its_key(void **state)
{
    static const struct { enum mu_cmp_client_op op; bool mac; enum sw_key key; } rows[] = {
        {MU_CMP_CLIENT_IR, true, SW_NEW}, {MU_CMP_CLIENT_IR, true, SW_RSA}, {MU_CMP_CLIENT_CR, false, SW_RSA},
        {MU_CMP_CLIENT_KUR, false, SW_NEW},
    };
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&r);
        r.config.op = rows[i].op;
        if (!rows[i].mac)
            by_cert(&r, rows[i].op);
        r.config.key = sw_key(rows[i].key);
        r.config.indirect = true;
        r.config.implicit_confirm = r.w.implicit_ok = true; /* neither asked for nor granted */
        r.tamper = clear_text;
        drive(&r);
        is_done(&r);
        assert_false(r.tampered);
        mu_cmp_client_result(r.client, &result);
        assert_true(result.confirmed && !result.implicit);
        assert_true(mu_pki_cert_equal(result.cert, r.w.issued));
        assert_int_equal(r.saved, 1);
        traced(&r, "cert: came encrypted, opened with our key");
        end(&r);
    }
    begin(&r);
    r.config.indirect = true;
    r.config.key = NULL;
    r.config.central_keygen = true; /* which leaves nothing to prove */
    r.w.generated = sw_key(SW_ROGUE);
    drive(&r);
    is_done(&r);
    end(&r);
    begin(&r);
    r.config.indirect = r.config.disable_confirm = true;
    drive(&r);
    failed(&r, MU_INPUT, 0, "which is the proof of possession");
    end(&r);
}

/* IOP-35, IOP-39: the responder answers by the functions that the client chose */
static void the_mac_is_of_the_functions_chosen(void **state)
{
    static const struct { enum mu_cmp_mac kind; enum mu_pki_digest owf, hmac; bool legacy; } rows[] = {
        {MU_CMP_MAC_PBM, MU_PKI_SHA512, MU_PKI_SHA512, false}, {MU_CMP_MAC_PBM, MU_PKI_SHA384, 0, false},
        {MU_CMP_MAC_PBMAC1, MU_PKI_SHA384, MU_PKI_SHA512, false}, {MU_CMP_MAC_PBMAC1, 0, MU_PKI_SHA384, false},
        {MU_CMP_MAC_PBM, MU_PKI_SHA256, MU_PKI_SHA1, true},
    };
    struct run r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&r);
        r.config.mac = rows[i].kind;
        r.config.mac_owf = rows[i].owf;
        r.config.mac_hmac = rows[i].hmac;
        r.config.allow_legacy = rows[i].legacy;
        drive(&r);
        is_done(&r);
        assert_true(r.w.op == MU_OP_CONFIRM && r.w.confirm_accepted);
        end(&r);
    }
    begin(&r);
    r.config.mac_hmac = MU_PKI_SHA1;
    drive(&r);
    failed(&r, MU_UNSUPPORTED, 705, "SHA-1");
    assert_int_equal(r.sent, 0);
    end(&r);
}

static void the_trace_of_an_ir(void **state)
{
    static const char *const lines[] = {"start: ir for 'cmptest1'\n",
        "trust: fac.root expected from the server, fac.root trusted\n",
        "auth: reference fgt100f, secret *\n", "request: transaction id: ",
        "reply: ip, protection ok, pkistatus: SUCCESS\n", "confirm: needed\n",
        "confirm: certConf sent\n", "confirm: accepted\n"};
    struct run r;
    const char *at;
    size_t i;

    (void)state;
    begin(&r);
    drive(&r);
    is_done(&r);
    at = mu_buf_str(&r.trace);
    for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        at = strstr(at, lines[i]);
        if (at == NULL)
            fail_msg("no \"%s\" in this place of\n%s", lines[i], mu_buf_str(&r.trace));
    }
    assert_null(strstr(mu_buf_str(&r.trace), "fortinet1"));
    end(&r);
}

/* CMP-15, CMP-73, CMP-74 */
static void implicit_confirmation_ends_with_the_answer(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    r.config.implicit_confirm = true;
    r.w.implicit_ok = true;
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_true(result.implicit && !result.confirmed);
    assert_int_equal(r.sent, 1);
    assert_int_equal(r.saved, 1);
    end(&r);
}

/* CMP-100..CMP-104: and each time with a new process in between */
static void waiting_survives_restarts(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.w.verdict = MU_VERDICT_PENDING;
    r.pending_n = 2;
    r.config.no_wait = true;
    drive(&r);
    failed(&r, MU_PENDING, 509, "wait 60 s"); /* an ip says no time */
    mu_buf_reset(&r.state);
    sw_ok(mu_cmp_client_store(r.client, &r.state, &sw_err));
    again(&r);
    drive(&r);
    assert_int_equal(r.rc, MU_PENDING);
    mu_buf_reset(&r.state);
    sw_ok(mu_cmp_client_store(r.client, &r.state, &sw_err));
    again(&r);
    drive(&r);
    is_done(&r);
    traced(&r, "start: pollReq for 'cmptest1'");
    assert_int_equal(r.sent, 4);
    end(&r);
}

static void the_same_request_goes_again_after_a_kill(void **state)
{
    struct run r;
    uint8_t before[64], after[64];

    (void)state;
    begin(&r);
    sw_ok(mu_cmp_client_new(&r.config, &r.client, &sw_err));
    {
        struct mu_step step = {.want = MU_WANT_DONE};

        sw_ok(mu_cmp_client_start(r.client, &step, &sw_err));
        assert_true(step.want == MU_WANT_SEND && step.remember);
        mu_pki_digest(MU_PKI_SHA256, step.request.body, before);
        sw_ok(mu_cmp_client_store(r.client, &r.state, &sw_err));
        again(&r);
        sw_ok(mu_cmp_client_start(r.client, &step, &sw_err));
        mu_pki_digest(MU_PKI_SHA256, step.request.body, after);
        assert_memory_equal(before, after, 32);
    }
    assert_null(memmem(r.state.p, r.state.n, "fortinet1", 9));
    end(&r);
}

static void the_confirmation_goes_again_after_a_kill(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    r.stop_after = 1;
    drive(&r);
    assert_int_equal(r.rc, MU_BUSY);
    assert_int_equal(r.saved, 1);
    again(&r);
    r.stop_after = 0;
    drive(&r);
    is_done(&r);
    traced(&r, "start: certConf for 'cmptest1'");
    mu_cmp_client_result(r.client, &result);
    assert_true(result.confirmed);
    assert_int_equal(r.saved, 1);
    end(&r);
}

static void a_stored_engine_that_was_damaged_is_refused(void **state)
{
    struct run r;
    struct mu_cmp_client *other = NULL;
    size_t i;

    (void)state;
    begin(&r);
    r.stop_after = 1;
    drive(&r);
    for (i = 0; i < r.state.n; i++) {
        r.state.p[i] ^= 0x40;
        assert_int_equal(mu_cmp_client_restore(&r.config, mu_buf_bytes(&r.state), &other, &r.err), MU_INPUT);
        assert_null(other);
        r.state.p[i] ^= 0x40;
    }
    end(&r);
}

/* C017, M502; CMP-32: the error is signed, not protected by the secret */
static void a_wrong_secret_is_M502(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    mu_secret_clear(&r.secret);
    sw_ok(mu_secret_set(&r.secret, mu_bytes_str("fortinet2"), &sw_err));
    drive(&r);
    failed(&r, MU_AUTH, 502, "");
    assert_non_null(strstr(r.err.next, "fgt100f"));
    assert_int_equal(r.saved, 0);
    end(&r);
}

/* C005, M505: the reference is unknown, the CA signs its error, and we can check that */
static void enrollment_not_found_is_M505(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.w.verdict = MU_VERDICT_REFUSED;
    r.w.refuse = MU_REFUSE_ENTRY_UNKNOWN;
    r.w.words = "Enrollment not found.";
    drive(&r);
    failed(&r, MU_DENIED, 505, "Enrollment not found.");
    end(&r);
}

/* CMP-40, CMP-44: the CA's bit and words */
static void a_refusal_is_told(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    r.w.verdict = MU_VERDICT_REFUSED;
    r.w.refuse = MU_REFUSE_NAME;
    r.w.words = "this name is taken";
    drive(&r);
    failed(&r, MU_DENIED, 0, "this name is taken");
    mu_cmp_client_result(r.client, &result);
    assert_string_equal(result.refusal, "badCertTemplate");
    end(&r);
}

static void strip(struct run *r, unsigned n, struct mu_http_response *response)
{
    struct mu_cmp_msg msg;
    struct mu_buf part = {0}, out = {0};

    (void)r;
    (void)n;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    msg.header.protection_alg = mu_bytes(NULL, 0);
    mu_cmp_msg_encode_part(&msg.header, &msg.body, &part);
    sw_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), mu_bytes(NULL, 0), NULL, &out, &sw_err));
    mu_buf_reset(&response->body);
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&part);
    mu_buf_clear(&out);
}

/* M501, CMP-39 */
static void without_protection_nothing_is_believed(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.tamper = strip;
    drive(&r);
    failed(&r, MU_AUTH, 502, "not protected");
    assert_int_equal(r.saved, 0);
    end(&r);
    begin(&r);
    r.tamper = strip;
    r.w.verdict = MU_VERDICT_REFUSED;
    r.w.refuse = MU_REFUSE_ENTRY_UNKNOWN;
    r.w.words = "Enrollment not found.";
    mu_secret_clear(&r.secret);
    sw_ok(mu_secret_set(&r.secret, mu_bytes_str("x"), &sw_err));
    drive(&r);
    failed(&r, MU_AUTH, 501, "not authenticated");
    end(&r);
}

/* M503: signed by somebody whom nothing here knows */
static void an_error_that_cannot_be_checked_is_M503(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    mu_pki_certs_clear(&r.trusted);
    sw_ok(mu_pki_certs_add(&r.trusted, r.w.rogue, &sw_err));
    mu_secret_clear(&r.secret);
    sw_ok(mu_secret_set(&r.secret, mu_bytes_str("x"), &sw_err));
    drive(&r);
    failed(&r, MU_AUTH, 503, "");
    assert_non_null(strstr(r.err.next, "Unverified"));
    end(&r);
}

/* CMP-23, CMP-33: a certificate below the trusted CA is not the CA's word by itself */
static void an_ordinary_certificate_does_not_answer_for_the_ca(void **state)
{
    enum { PLAIN, PINNED, NAMED, RA, UNDER_PINNED, ROWS };
    struct mu_pki_certs server = {0};
    struct mu_buf name = {0};
    struct run r;
    int i;

    (void)state;
    for (i = PLAIN; i < ROWS; i++) {
        begin(&r);
        by_cert(&r, MU_CMP_CLIENT_CR);
        r.w.credential.key = sw_key(i == RA ? SW_RA : SW_RSA);
        r.w.credential.cert = i == RA ? r.w.ra : r.w.rsa;
        if (i == PINNED || i == UNDER_PINNED) {
            sw_ok(mu_pki_certs_add(&server, i == PINNED ? r.w.rsa : r.w.ca, &sw_err));
            r.config.server_certs = &server;
        }
        if (i == NAMED) {
            sw_ok(mu_pki_name_parse("/CN=device", &name, &sw_err));
            r.config.recipient = mu_buf_bytes(&name);
        }
        drive(&r);
        if (i == PLAIN || i == UNDER_PINNED) {
            failed(&r, MU_AUTH, 502, "may not answer for it");
            assert_int_equal(r.saved, 0);
        } else {
            is_done(&r);
        }
        end(&r);
        mu_pki_certs_clear(&server);
    }
    mu_buf_clear(&name);
}

/* A signed error "wait" in the place of the answer. */
static void signed_wait(struct run *r, unsigned n, struct mu_http_response *response)
{
    const struct mu_cmp_protector how = {.key = sw_key(SW_CA), .cert = r->w.ca};
    struct mu_cmp_body body = {.type = MU_CMP_ERROR};
    struct mu_pki_certs extra = {0};
    struct mu_cmp_msg msg;
    struct mu_buf out = {0};

    (void)n;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    body.u.error.status.status = MU_CMP_WAITING;
    msg.header.sender = msg.header.sender_kid = mu_bytes(NULL, 0);
    sw_ok(mu_pki_certs_add(&extra, r->w.ca, &sw_err));
    sw_ok(mu_cmp_protect_encode(&msg.header, &body, &how, &extra, &out, &sw_err));
    mu_buf_reset(&response->body);
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_pki_certs_clear(&extra);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&out);
}

/* CMP-19, CMP-100: a refusal may be signed, what goes on by password may not */
static void a_signed_wait_is_none_by_password(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.tamper = signed_wait;
    drive(&r);
    failed(&r, MU_AUTH, 502, "asks to wait");
    assert_int_equal(r.waited, 0);
    end(&r);
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_CR);
    r.tamper = signed_wait;
    r.config.no_wait = true;
    drive(&r);
    failed(&r, MU_PENDING, 509, "wait");
    end(&r);
}

static void spoil_id(struct mu_cmp_header *h, uint8_t *p) { memset(p, 7, 16); h->transaction_id = mu_bytes(p, 16); }
static void spoil_nonce(struct mu_cmp_header *h, uint8_t *p) { memset(p, 7, 16); h->recip_nonce = mu_bytes(p, 16); }
static void drop_nonce(struct mu_cmp_header *h, uint8_t *p) { (void)p; h->recip_nonce = mu_bytes(NULL, 0); }
static void short_nonce(struct mu_cmp_header *h, uint8_t *p) { memset(p, 7, 8); h->sender_nonce = mu_bytes(p, 8); }
static void old_version(struct mu_cmp_header *h, uint8_t *p) { (void)p; h->pvno = 1; }

static void (*spoil)(struct mu_cmp_header *h, uint8_t *p);

/* The answer made again with another header, rightly protected. */
static void remake(struct run *r, unsigned n, struct mu_http_response *response)
{
    struct mu_cmp_msg msg;
    struct mu_buf out = {0};
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};
    struct mu_cmp_protector how = {.mac = &mac, .reference = mu_bytes_str("x")};
    uint8_t octets[16];

    (void)n;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    sw_ok(mu_cmp_protect_verify_mac(&msg, &r->w.secret, true, &mac, &sw_err));
    spoil(&msg.header, octets);
    sw_ok(mu_cmp_protect_encode(&msg.header, &msg.body, &how, &msg.extra, &out, &sw_err));
    mu_buf_reset(&response->body);
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_cmp_protect_mac_clear(&mac);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&out);
}

/* CMP-10, CMP-13, CMP-14, M507 */
static void the_header_has_to_be_an_answer_to_ours(void **state)
{
    static const struct {
        void (*spoil)(struct mu_cmp_header *h, uint8_t *p);
        int m;
        const char *part;
    } rows[] = {{spoil_id, 0, "another transaction"}, {spoil_nonce, 0, "does not repeat our nonce"},
        {drop_nonce, 0, "no recipNonce"}, {short_nonce, 0, "senderNonce of 8 octets"},
        {old_version, 507, "version 1"}};
    struct run r;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&r);
        spoil = rows[i].spoil;
        r.tamper = remake;
        drive(&r);
        assert_int_not_equal(r.rc, MU_OK);
        failed(&r, r.rc, rows[i].m, rows[i].part);
        assert_int_equal(r.saved, 0);
        end(&r);
    }
}

static void other_answer(struct mu_cmp_header *h, uint8_t *p)
{
    spoil_id(h, p);
    h->recip_nonce = mu_bytes(NULL, 0);
}

/* An error that was refused, without protection, its header changed by spoil. */
static void strip_and_spoil(struct run *r, unsigned n, struct mu_http_response *response)
{
    struct mu_cmp_msg msg;
    struct mu_buf part = {0}, out = {0};
    uint8_t octets[16];

    (void)r;
    (void)n;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    msg.header.protection_alg = mu_bytes(NULL, 0);
    spoil(&msg.header, octets);
    mu_cmp_msg_encode_part(&msg.header, &msg.body, &part);
    sw_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), mu_bytes(NULL, 0), NULL, &out, &sw_err));
    mu_buf_reset(&response->body);
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&part);
    mu_buf_clear(&out);
}

/* IOP-30, IOP-31: an error that does not even fit is still told, and nothing else follows from it */
static void errors_that_do_not_fit_are_told(void **state)
{
    static const struct {
        void (*spoil)(struct mu_cmp_header *h, uint8_t *p);
        int m;
    } rows[] = {{other_answer, 501}, {old_version, 507}};
    struct run r;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin(&r);
        spoil = rows[i].spoil;
        r.tamper = strip_and_spoil;
        r.w.verdict = MU_VERDICT_REFUSED;
        r.w.refuse = MU_REFUSE_ENTRY_UNKNOWN;
        r.w.words = "Enrollment not found.";
        drive(&r);
        assert_int_not_equal(r.rc, MU_OK);
        failed(&r, r.rc, rows[i].m, "Enrollment not found.");
        traced(&r, "not authenticated: \"");
        assert_int_equal(r.sent, 1);
        end(&r);
    }
}

static void id_zero(struct run *r, unsigned n, struct mu_http_response *response)
{
    struct mu_cmp_msg msg;
    struct mu_buf out = {0};
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};
    struct mu_cmp_protector how = {.mac = &mac, .reference = mu_bytes_str("x")};

    if (n != 1)
        return;
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    sw_ok(mu_cmp_protect_verify_mac(&msg, &r->w.secret, true, &mac, &sw_err));
    assert_int_equal(msg.body.u.rep.response.cert_req_id, -1);
    msg.body.u.rep.response.cert_req_id = 0;
    sw_ok(mu_cmp_protect_encode(&msg.header, &msg.body, &how, &msg.extra, &out, &sw_err));
    mu_buf_reset(&response->body);
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_cmp_protect_mac_clear(&mac);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&out);
}

/* CMP-56, CMP-101, IOP-32: -1 throughout for p10cr, polls and certConf included (the server insists);
 * 0 in an old server's answer is taken, in that to an ir nothing but 0 */
static void p10cr_is_minus_one_throughout(void **state)
{
    struct mu_buf csr = {0};
    struct run r;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin(&r);
        r.config.op = MU_CMP_CLIENT_P10CR;
        const struct mu_pki_csr_params params = {.subject = mu_buf_bytes(&r.subject)};
        mu_buf_reset(&csr);
        sw_ok(mu_pki_csr_make(&params, sw_key(SW_NEW), &csr, &sw_err));
        r.config.csr = mu_buf_bytes(&csr);
        if (i == 0)
            r.tamper = id_zero;
        else
            r.w.verdict = MU_VERDICT_PENDING;
        r.pending_n = 2;
        r.config.await_s = 5;
        r.config.max_await_s = 600;
        drive(&r);
        is_done(&r);
        assert_int_equal(r.sent, i == 0 ? 2 : 4);
        assert_true(r.w.op == MU_OP_CONFIRM && r.w.confirm_accepted);
        end(&r);
    }
    mu_buf_clear(&csr);
}

static void free_again(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)n;
    (void)response;
    r->w.verdict = MU_VERDICT_ISSUED;
}

/* CMP-12: once, in a new transaction that answers nothing */
static void an_id_in_use_is_exchanged(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;
    const char *first, *second;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin(&r);
        r.w.verdict = MU_VERDICT_REFUSED;
        r.w.refuse = MU_REFUSE_TRANSACTION;
        if (i == 0)
            r.tamper = free_again;
        drive(&r);
        if (i == 0) {
            is_done(&r);
            mu_cmp_client_result(r.client, &result);
            assert_true(result.confirmed);
        } else {
            failed(&r, MU_DENIED, 0, "transactionIdInUse");
        }
        assert_int_equal(r.sent, i == 0 ? 3 : 2);
        first = strstr(mu_buf_str(&r.trace), "request: transaction id: ");
        second = strstr(strstr(first, "is in use, another one"), "request: transaction id: ");
        assert_memory_not_equal(first + 25, second + 25, 32);
        end(&r);
    }
}

/* CMP-47, CMP-102: the pauses are the server's, their sum is bounded here */
static void waiting_has_an_end(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.w.verdict = MU_VERDICT_PENDING;
    r.pending_n = 1000;
    r.config.await_s = 5;
    r.config.max_await_s = 100;
    drive(&r);
    failed(&r, MU_PENDING, 313, "still pending after 100 s");
    assert_int_equal(r.waited, 5); /* 5 s to begin with, then 30 s each, as the server says, and the rest */
    end(&r);
}

/* IOP-38, CMP-72 */
static void a_certificate_for_another_key_is_rejected(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.w.generated = sw_key(SW_ROGUE); /* what the CA certifies instead */
    drive(&r);
    failed(&r, MU_AUTH, 214, "another key");
    assert_int_equal(r.saved, 0);
    assert_int_equal(r.sent, 2);
    assert_true(r.w.op == MU_OP_CONFIRM && !r.w.confirm_accepted);
    assert_non_null(strstr(r.w.words_seen, "another key"));
    end(&r);
}

/* CMP-71: nothing but trusted counts, unless caPubs were asked for */
static void a_certificate_that_leads_nowhere_is_rejected(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    mu_pki_certs_clear(&r.trusted);
    sw_ok(mu_pki_certs_add(&r.trusted, r.w.rogue, &sw_err));
    drive(&r);
    assert_int_equal(r.rc, MU_AUTH);
    assert_int_equal(r.saved, 0);
    assert_true(r.w.op == MU_OP_CONFIRM && !r.w.confirm_accepted);
    end(&r);
}

static void refuse_second(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)response;
    if (n == 1) {
        r->w.verdict = MU_VERDICT_REFUSED;
        r->w.refuse = MU_REFUSE_CERT_ID;
        r->w.words = "too late";
    }
}

/* M508 */
static void a_confirmation_that_is_not_accepted_is_M508(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.tamper = refuse_second;
    drive(&r);
    failed(&r, MU_DENIED, 508, "not accepted");
    assert_int_equal(r.saved, 1);
    end(&r);
}

static void confirmed_second(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)response;
    if (n == 1) {
        r->w.verdict = MU_VERDICT_REFUSED;
        r->w.refuse = MU_REFUSE_CONFIRMED;
        r->w.words = "confirmed already";
    }
}

/* A kill between the confirmation and its answer: it goes again, and the CA has it. */
static void what_the_ca_has_confirmed_already_is_accepted(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    r.tamper = confirmed_second;
    drive(&r);
    is_done(&r);
    traced(&r, "confirm: accepted before");
    mu_cmp_client_result(r.client, &result);
    assert_true(result.confirmed);
    assert_int_equal(r.saved, 1);
    end(&r);
}

static void not_found(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)r;
    (void)n;
    mu_http_response_clear(response);
    sw_ok(mu_http_response_set(response, 404, "text/html", mu_bytes_str("<html>"), &sw_err));
}

static void a_page(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)r;
    (void)n;
    mu_http_response_clear(response);
    sw_ok(mu_http_response_set(
        response, 200, "text/html", mu_bytes_str("<html><title>Log\x1bin</title>"), &sw_err));
}

static void elsewhere(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)r;
    (void)n;
    mu_http_response_clear(response);
    sw_ok(mu_http_response_set(response, 302, "text/html", mu_bytes_str("x"), &sw_err));
    sw_ok(mu_http_response_add(response, "Location", "http://other/", &sw_err));
}

static void status_500(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)r;
    (void)n;
    response->status = 500;
}

/* M504, M105, M107; CMP-118, CMP-119 */
static void what_http_says_besides(void **state)
{
    static const struct {
        void (*tamper)(struct run *r, unsigned n, struct mu_http_response *response);
        int m;
        const char *part;
    } rows[] = {{not_found, 504, "HTTP 404"}, {a_page, 105, "Log"}, {elsewhere, 107, "http://other/"}};
    struct run r;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&r);
        r.tamper = rows[i].tamper;
        drive(&r);
        assert_int_not_equal(r.rc, MU_OK);
        failed(&r, r.rc, rows[i].m, rows[i].part);
        end(&r);
    }
    begin(&r); /* a PKIMessage is one whatever the status */
    r.tamper = status_500;
    drive(&r);
    is_done(&r);
    end(&r);
}

/* CMP-87, CMP-88 */
static void a_revocation_is_signed_by_the_certificate(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_RR);
    r.config.revoke_reason = 4;
    drive(&r);
    is_done(&r);
    assert_int_equal(r.w.op, MU_OP_REVOKE);
    traced(&r, "reply: rp, protection ok, pkistatus: SUCCESS");
    end(&r);
}

/* CMP-91, CMP-92, CMP-94, CMP-97 */
static void questions_have_their_answers(void **state)
{
    struct mu_cmp_client_result result;
    static const uint8_t crl[] = {0x30, 0x03, 0x02, 0x01, 0x05}; /* nobody here reads it */
    struct mu_cmp_req_template tmpl = {.tmpl = {.version = -1}, .key_spec_n = 2,
        .key_specs = {{MU_PKI_KEY_RSA, 3072}, {MU_PKI_KEY_EC, 384}}};
    struct mu_buf wishes = {0};
    struct run r;

    (void)state;
    begin(&r);
    r.config.op = MU_CMP_CLIENT_CA;
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_non_null(result.ca_certs);
    assert_true(mu_pki_cert_equal(result.ca_certs->v[0], r.w.ca));
    end(&r);
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_TEMPLATE);
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_true(result.cert_template.n == 0 && result.template_key_n == 0);
    end(&r);
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_TEMPLATE);
    tmpl.tmpl.subject = mu_buf_bytes(&r.subject);
    mu_cmp_genm_template_encode(&tmpl, &wishes);
    r.w.csr_attrs = mu_buf_bytes(&wishes);
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_int_equal(result.template_key_n, 2);
    assert_true(result.template_keys[0].type == MU_PKI_KEY_RSA && result.template_keys[1].type == MU_PKI_KEY_EC);
    assert_true(mu_pki_name_equal(result.template_subject, mu_buf_bytes(&r.subject)));
    traced(&r, "csrattrs: template: key ");
    end(&r);
    mu_buf_clear(&wishes);
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_CRL);
    r.w.crl = mu_bytes(crl, sizeof crl);
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_true(mu_bytes_equal(result.crl, mu_bytes(crl, sizeof crl)));
    end(&r);
}

static void strip(struct run *r, unsigned n, struct mu_http_response *response);
static void not_found(struct run *r, unsigned n, struct mu_http_response *response);

static void probed(struct run *r, const char *offers, const char *protection, const char *needs)
{
    struct mu_cmp_client_result result;

    drive(r);
    assert_int_equal(r->rc, MU_OK);
    assert_int_equal(r->saved, 0);
    mu_cmp_client_result(r->client, &result);
    assert_string_equal(result.offers, offers);
    assert_non_null(strstr(result.protection, protection));
    assert_non_null(strstr(result.needs, needs));
    mu_cmp_client_free(r->client);
    r->client = NULL;
}

/* CMP-39, CMP-92: what answers is told whatever it is, and nothing of it is believed */
static void a_probe_tells_what_answers(void **state)
{
    struct mu_secret other = {0};
    struct run r;

    (void)state;
    begin(&r);
    r.config.op = MU_CMP_CLIENT_PROBE;
    probed(&r, "version 2, genm, caCerts", "by the secret of fgt100f, and that is right", "nothing more");
    sw_ok(mu_secret_set(&other, mu_bytes_str("another"), &sw_err));
    r.config.secret = &other;
    probed(&r, "version 2", "signed by \"CN = ", "another reference or secret");
    r.config.secret = NULL;
    r.config.ref = NULL;
    probed(&r, "version 2", "who may answer for a CA known here", "a reference and its secret, or a certificate");
    traced(&r, "auth: none, the question is not protected");
    r.config.trusted = NULL;
    probed(&r, "version 2", "no CA is known here to check that by", "a reference and its secret");
    r.tamper = strip;
    probed(&r, "version 2", "none: anybody on the way", "a reference and its secret");
    r.tamper = NULL;
    by_cert(&r, MU_CMP_CLIENT_PROBE);
    probed(&r, "version 2, genm, caCerts", "signed by \"CN = ", "nothing more");
    r.tamper = not_found;
    drive(&r);
    failed(&r, MU_NOT_FOUND, 504, "CMP is not served at");
    mu_secret_clear(&other);
    end(&r);
}

static enum { LINK_MISSING, LINK_OF_ANOTHER, LINK_SIGNED_BY_ANOTHER, LINK_RIGHT } link_kind;

/* The genp made again with this newWithOld. */
static void relink(struct run *r, unsigned n, struct mu_http_response *response)
{
    struct mu_cmp_msg msg;
    struct mu_buf value = {0}, out = {0};
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};
    struct mu_cmp_protector how = {.mac = &mac, .reference = mu_bytes_str("x")};
    struct mu_pki_cert *root = sw_next_root();
    struct mu_cmp_root_update update = {.new_with_new = root->der};
    struct mu_pki_cert *right = sw_link(&r->w, true), *wrong = sw_link(&r->w, false);

    (void)n;
    if (link_kind == LINK_RIGHT)
        update.new_with_old = right->der;
    else if (link_kind == LINK_OF_ANOTHER) /* signed by the old root, with another's key in it */
        update.new_with_old = r->w.rsa->der;
    else if (link_kind == LINK_SIGNED_BY_ANOTHER)
        update.new_with_old = wrong->der;
    mu_cmp_genm_root_update_encode(&update, &value);
    sw_ok(mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, &sw_err));
    sw_ok(mu_cmp_protect_verify_mac(&msg, &r->w.secret, true, &mac, &sw_err));
    msg.body.u.gen.v[0].value = mu_buf_bytes(&value);
    sw_ok(mu_cmp_protect_encode(&msg.header, &msg.body, &how, &msg.extra, &out, &sw_err));
    mu_buf_clear(&response->body);
    response->body = (struct mu_buf){0};
    mu_buf_put_bytes(&response->body, mu_buf_bytes(&out));
    mu_pki_cert_free(root);
    mu_cmp_protect_mac_clear(&mac);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&value);
    mu_buf_clear(&out);
    mu_pki_cert_free(right);
    mu_pki_cert_free(wrong);
}

/* CMP-93: a new root is believed by newWithOld alone, under a right MAC too */
static void a_root_that_the_old_one_does_not_vouch_for(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    for (link_kind = LINK_MISSING; link_kind <= LINK_RIGHT; link_kind++) {
        begin(&r);
        r.config.op = MU_CMP_CLIENT_ROOT_UPDATE;
        r.tamper = relink;
        drive(&r);
        mu_cmp_client_result(r.client, &result);
        if (link_kind == LINK_RIGHT) {
            is_done(&r);
            assert_true(mu_bytes_equal(result.ca_certs->v[0]->spki, r.w.rogue->spki));
        } else {
            if (r.rc != MU_AUTH)
                fail_msg("%d: %d: %s", (int)link_kind, (int)r.rc, r.err.what);
            assert_true(result.ca_certs == NULL || result.ca_certs->n == 0);
        }
        end(&r);
    }
}

/* CMP-80..CMP-86: the key comes by the secret */
static void a_key_made_by_the_ca_comes_by_the_secret(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    r.config.key = NULL;
    r.config.central_keygen = true;
    r.w.generated = sw_key(SW_ROGUE);
    drive(&r);
    is_done(&r);
    mu_cmp_client_result(r.client, &result);
    assert_non_null(result.key);
    assert_true(mu_pki_key_equal(result.key, sw_key(SW_ROGUE)));
    assert_true(mu_pki_key_has_private(result.key));
    assert_true(result.confirmed);
    end(&r);
}

/* KTRI and KARI */
static void a_key_made_by_the_ca_comes_by_the_certificate(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;
    int rsa;

    (void)state;
    for (rsa = 0; rsa < 2; rsa++) {
        begin(&r);
        by_cert(&r, MU_CMP_CLIENT_CR);
        if (rsa) {
            r.config.signer_cert = r.w.rsa;
            r.config.signer_key = sw_key(SW_RSA);
        }
        r.config.key = NULL;
        r.config.central_keygen = true;
        r.w.generated = sw_key(SW_ROGUE);
        drive(&r);
        is_done(&r);
        mu_cmp_client_result(r.client, &result);
        assert_non_null(result.key);
        assert_true(mu_pki_key_equal(result.key, sw_key(SW_ROGUE)));
        end(&r);
    }
}

/* CMP-72, CMP-86: a key that nobody with cmKGA vouches for is refused, and the CA hears of it. */
static void a_key_from_who_may_not_make_keys_is_rejected(void **state)
{
    struct mu_cmp_client_result result;
    struct run r;

    (void)state;
    begin(&r);
    by_cert(&r, MU_CMP_CLIENT_CR);
    r.config.key = NULL;
    r.config.central_keygen = true;
    r.w.generated = sw_key(SW_ROGUE);
    r.w.credential.kga_key = sw_key(SW_RA);
    r.w.credential.kga_cert = r.w.ra;
    drive(&r);
    failed(&r, MU_AUTH, 0, "no key generation authority");
    mu_cmp_client_result(r.client, &result);
    assert_true(result.rejected && result.key == NULL);
    assert_int_equal(r.saved, 0);
    assert_true(r.w.op == MU_OP_CONFIRM && !r.w.confirm_accepted);
    end(&r);
}

/* Each octet of the answer changed: nothing of it is ever saved (CMP-20). */
static unsigned flip_at;
static void flip(struct run *r, unsigned n, struct mu_http_response *response)
{
    (void)r;
    if (n == 1 && flip_at < response->body.n)
        response->body.p[flip_at] ^= 0x01;
}

static void a_changed_answer_is_never_saved(void **state)
{
    struct run r;
    size_t protected_n;

    (void)state;
    begin(&r);
    drive(&r);
    is_done(&r);
    end(&r);
    protected_n = 700;
    for (flip_at = 0; flip_at < protected_n; flip_at += 3) {
        begin(&r);
        r.tamper = flip;
        drive(&r);
        /* behind the protection stand the extraCerts, which nothing covers */
        if (r.rc == MU_OK)
            assert_true(r.saved == 1 && flip_at > 400);
        end(&r);
    }
}

static void what_an_operation_needs_is_asked_for(void **state)
{
    struct run r;

    (void)state;
    begin(&r);
    r.config.secret = NULL;
    drive(&r);
    failed(&r, MU_INPUT, 0, "a reference and a secret");
    r.config.secret = &r.secret;
    r.config.op = MU_CMP_CLIENT_KUR;
    drive(&r);
    failed(&r, MU_INPUT, 0, "the certificate in question");
    r.config.op = MU_CMP_CLIENT_IR;
    r.config.key = NULL;
    drive(&r);
    failed(&r, MU_INPUT, 0, "a private key");
    r.config.op = MU_CMP_CLIENT_P10CR;
    drive(&r);
    failed(&r, MU_INPUT, 0, "a certificate request");
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_issued_and_confirmed),
        cmocka_unit_test(the_trace_of_an_ir),
        cmocka_unit_test(implicit_confirmation_ends_with_the_answer),
        cmocka_unit_test(waiting_survives_restarts),
        cmocka_unit_test(the_same_request_goes_again_after_a_kill),
        cmocka_unit_test(the_confirmation_goes_again_after_a_kill),
        cmocka_unit_test(a_stored_engine_that_was_damaged_is_refused),
        cmocka_unit_test(a_wrong_secret_is_M502),
        cmocka_unit_test(enrollment_not_found_is_M505),
        cmocka_unit_test(a_refusal_is_told),
        cmocka_unit_test(without_protection_nothing_is_believed),
        cmocka_unit_test(an_error_that_cannot_be_checked_is_M503),
        cmocka_unit_test(an_ordinary_certificate_does_not_answer_for_the_ca),
        cmocka_unit_test(a_signed_wait_is_none_by_password),
        cmocka_unit_test(the_header_has_to_be_an_answer_to_ours),
        cmocka_unit_test(errors_that_do_not_fit_are_told),
        cmocka_unit_test(p10cr_is_minus_one_throughout),
        cmocka_unit_test(an_id_in_use_is_exchanged),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(a_certificate_for_another_key_is_rejected),
        cmocka_unit_test(a_certificate_that_leads_nowhere_is_rejected),
        cmocka_unit_test(a_confirmation_that_is_not_accepted_is_M508),
        cmocka_unit_test(what_the_ca_has_confirmed_already_is_accepted),
        cmocka_unit_test(what_http_says_besides),
        cmocka_unit_test(a_revocation_is_signed_by_the_certificate),
        cmocka_unit_test(a_certificate_comes_encrypted_to_its_key),
        cmocka_unit_test(the_mac_is_of_the_functions_chosen),
        cmocka_unit_test(questions_have_their_answers),
        cmocka_unit_test(a_probe_tells_what_answers),
        cmocka_unit_test(a_root_that_the_old_one_does_not_vouch_for),
        cmocka_unit_test(a_key_made_by_the_ca_comes_by_the_secret),
        cmocka_unit_test(a_key_made_by_the_ca_comes_by_the_certificate),
        cmocka_unit_test(a_key_from_who_may_not_make_keys_is_rejected),
        cmocka_unit_test(a_changed_answer_is_never_saved),
        cmocka_unit_test(what_an_operation_needs_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
