#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pki/pki_crl.h"
#include "world_keys.h"

struct mu_err world_err;

struct mu_pki_key *world_key(enum world_key which)
{
    static const char *const pem[KEY_N]
        = {key_ca, key_ra, key_client, key_other, key_ec, key_ec_ca};
    static struct mu_pki_key *keys[KEY_N];

    if (keys[which] == NULL)
        world_ok(mu_pki_key_decode(mu_bytes_str(pem[which]), NULL, &keys[which], &world_err));
    return keys[which];
}

struct mu_pki_cert *world_cert(const struct world_cert *what)
{
    struct mu_buf subject = {0}, issuer = {0}, exts = {0}, der = {0};
    unsigned serial = what->serial != 0 ? what->serial : 0x1000;
    uint8_t octets[4] = {(uint8_t)(serial >> 24), (uint8_t)(serial >> 16), (uint8_t)(serial >> 8),
        (uint8_t)serial};
    enum mu_pki_digest digest = what->digest != MU_PKI_DIGEST_NONE ? what->digest : MU_PKI_SHA256;
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(octets, 4)};
    struct mu_pki_cert *cert = NULL;
    size_t mark;

    world_ok(mu_pki_name_parse(what->subject, &subject, &world_err));
    world_ok(mu_pki_name_parse(
        what->issuer != NULL ? what->issuer : what->subject, &issuer, &world_err));
    mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    if (what->is_ca)
        mu_pki_ext_put_basic(&exts, true, true, -1);
    if (what->key_usage != 0)
        mu_pki_ext_put_key_usage(&exts, true, what->key_usage);
    mu_der_close(&exts, mark);
    tbs.subject = mu_buf_bytes(&subject);
    tbs.issuer = mu_buf_bytes(&issuer);
    tbs.not_before_s
        = what->not_before_s != 0 ? what->not_before_s : WORLD_NOW - 365 * INT64_C(86400);
    tbs.not_after_s = what->not_after_s != 0 ? what->not_after_s : WORLD_NOW + 365 * INT64_C(86400);
    tbs.spki = mu_pki_key_spki(world_key(what->key));
    if (what->is_ca || what->key_usage != 0)
        tbs.extensions = mu_buf_bytes(&exts);
    world_ok(mu_pki_cert_make(&tbs,
        world_key(what->issuer != NULL ? what->issuer_key : what->key), digest, &der, &world_err));
    world_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &world_err));
    mu_buf_clear(&subject);
    mu_buf_clear(&issuer);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return cert;
}

static int64_t world_clock(void *ctx)
{
    const struct world *w = ctx;

    return w->now_s;
}

static bool world_random(void *ctx, uint8_t *p, size_t n)
{
    struct world *w = ctx;
    uint8_t digest[64];
    size_t take;

    while (n > 0) {
        w->counter++;
        if (mu_pki_digest(MU_PKI_SHA256, mu_bytes(&w->counter, sizeof w->counter), digest) == 0)
            return false;
        take = n < 32 ? n : 32;
        memcpy(p, digest, take);
        p += take;
        n -= take;
    }
    return true;
}

static void world_listen(void *ctx, const struct mu_trace_event *event)
{
    struct world *w = ctx;

    mu_buf_putf(w->in_server ? &w->server_trace : &w->trace, "%s %s: %s\n",
        mu_proto_name(event->proto), mu_trace_step_name(event->step), event->text);
}

#define CA_NAME "/C=NL/O=Fortinet/CN=sceptest"

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    memset(&world_err, 0, sizeof world_err);
    w->now_s = WORLD_NOW;
    w->env = (struct mu_env){world_clock, world_random, world_listen, w};
    w->ca = world_cert(&(struct world_cert){.subject = CA_NAME, .key = KEY_CA, .is_ca = true,
        .key_usage = MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT | MU_KU_KEY_CERT_SIGN
            | MU_KU_CRL_SIGN});
    world_ok(mu_pki_certs_add(&w->chain, w->ca, &world_err));
    world_ok(mu_secret_set(&w->password, mu_bytes_str("secret"), &world_err));
    w->credential = (struct mu_credential){
        .key = world_key(KEY_CA),
        .cert = w->ca,
        .ca_chain = &w->chain,
        .ra = &w->ras,
        .next_ca = &w->next,
        .ca_key = world_key(KEY_CA),
    };
    w->config = (struct mu_scep_client_config){
        .env = &w->env,
        .op = MU_SCEP_CLIENT_ENROLL,
        .url = WORLD_URL,
        .entry = "IPSECVPNTest",
        .trusted = &w->chain,
        .trusted_as = "CA_Cert_1",
    };
    world_request(w, "/C=NL/O=Fortinet/CN=myvpn", KEY_CLIENT, "secret");
}

void world_request(struct world *w, const char *subject, enum world_key key, const char *challenge)
{
    struct mu_secret secret = {0};
    struct mu_buf name = {0};
    struct mu_pki_csr_params params = {.challenge = &secret};

    if (challenge != NULL)
        world_ok(mu_secret_set(&secret, mu_bytes_str(challenge), &world_err));
    world_ok(mu_pki_name_parse(subject, &name, &world_err));
    params.subject = mu_buf_bytes(&name);
    mu_buf_clear(&w->csr);
    world_ok(mu_pki_csr_make(&params, world_key(key), &w->csr, &world_err));
    w->config.csr = mu_buf_bytes(&w->csr);
    w->config.key = world_key(key);
    w->config.has_challenge = challenge != NULL;
    mu_secret_clear(&secret);
    mu_buf_clear(&name);
}

void world_add_ra(struct world *w, unsigned key_usage)
{
    w->ra = world_cert(&(struct world_cert){.subject = "/C=NL/O=Fortinet/CN=RA",
        .issuer = CA_NAME, .key = KEY_RA, .issuer_key = KEY_CA, .key_usage = key_usage,
        .serial = 0x2000});
    world_ok(mu_pki_certs_add(&w->ras, w->ra, &world_err));
    w->credential.key = world_key(KEY_RA);
    w->credential.cert = w->ra;
}

void world_clear(struct world *w)
{
    mu_pki_cert_free(w->ca);
    mu_pki_cert_free(w->ra);
    mu_pki_cert_free(w->root);
    mu_pki_cert_free(w->issued);
    mu_pki_certs_clear(&w->chain);
    mu_pki_certs_clear(&w->ras);
    mu_pki_certs_clear(&w->next);
    mu_secret_clear(&w->password);
    mu_buf_clear(&w->trace);
    mu_buf_clear(&w->server_trace);
    mu_buf_clear(&w->csr);
    mu_buf_clear(&w->stored);
    mu_buf_clear(&w->last_request);
    mu_buf_clear(&w->crl_der);
}

/* ---- the CA ---- */

static void issue(struct world *w, const struct mu_question *q)
{
    struct mu_buf subject = {0}, der = {0};
    uint8_t serial[5] = {0x4a, 0x96, 0xe1, 0x73, (uint8_t)(0x6d + w->messages)};
    struct mu_pki_tbs tbs = {
        .serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = w->ca->subject,
        .subject = q->csr->subject,
        .not_before_s = w->now_s - 60,
        .not_after_s = w->now_s + 30 * INT64_C(86400),
        .spki = w->issue_wrong_key ? mu_pki_key_spki(world_key(KEY_OTHER)) : q->csr->spki,
    };

    if (w->issue_subject != NULL) {
        world_ok(mu_pki_name_parse(w->issue_subject, &subject, &world_err));
        tbs.subject = mu_buf_bytes(&subject);
    }
    world_ok(mu_pki_cert_make(&tbs, w->credential.ca_key, MU_PKI_SHA256, &der, &world_err));
    mu_pki_cert_free(w->issued);
    w->issued = NULL;
    world_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &w->issued, &world_err));
    mu_buf_clear(&subject);
    mu_buf_clear(&der);
}

static void refuse(struct mu_decision *d, enum mu_reason reason, const char *text)
{
    const struct mu_err_row *row = mu_err_row(reason);

    d->verdict = MU_VERDICT_REFUSED;
    mu_err_set(&d->refusal, MU_DENIED, reason, "%s",
        text != NULL ? text : row != NULL ? row->what : "");
}

static void decide(struct world *w, const struct mu_question *q, struct mu_decision *d)
{
    if (w->refuse != MU_REASON_NONE && q->claim.transaction_id != NULL) {
        refuse(d, w->refuse, w->refuse_text);
        return;
    }
    switch (q->op) {
    case MU_OP_ENROLL:
    case MU_OP_POLL:
        if (q->op == MU_OP_ENROLL && (w->issued == NULL || w->pending_n == 0))
            issue(w, q);
        if (w->issued == NULL) {
            refuse(d, MU_REFUSE_NO_SUCH_REQUEST, NULL);
        } else if (w->pending_n != 0) {
            w->pending_n--;
            d->verdict = MU_VERDICT_PENDING;
        } else {
            d->verdict = MU_VERDICT_ISSUED;
            d->cert = w->issued;
            d->chain = &w->chain;
        }
        break;
    case MU_OP_GET_CERT:
        d->verdict = MU_VERDICT_DATA;
        if (w->issued != NULL && mu_pki_serial_equal(q->serial, w->issued->serial)
            && mu_pki_name_equal(q->issuer, w->ca->subject))
            d->cert = w->issued;
        else
            refuse(d, MU_REFUSE_NO_SUCH_CERT, NULL);
        break;
    case MU_OP_GET_CRL:
        d->verdict = MU_VERDICT_DATA;
        d->crl = w->crl;
        if (!mu_pki_name_equal(q->issuer, w->ca->subject))
            refuse(d, MU_REFUSE_NO_CRL, NULL);
        break;
    default:
        d->verdict = MU_VERDICT_DATA;
        break;
    }
}

void world_serve(struct world *w, const struct mu_http_request *request,
    struct mu_http_response *response)
{
    struct mu_scep_server *server = NULL;
    struct mu_decision decision = {.verdict = MU_VERDICT_DATA};
    struct mu_question question;
    struct mu_claim claim;
    struct mu_err err = {0};
    enum mu_code rc;

    w->in_server = true;
    rc = mu_scep_server_open(&w->env, request, &server, &claim, &err);
    if (server == NULL) {
        world_ok(mu_scep_server_http_error(&err, response, &world_err));
        w->in_server = false;
        return;
    }
    w->last_op = claim.op;
    snprintf(w->last_type, sizeof w->last_type, "%s",
        claim.message_type != NULL ? claim.message_type : "");
    snprintf(w->last_id, sizeof w->last_id, "%s",
        claim.transaction_id != NULL ? claim.transaction_id : "");
    w->credential.password = claim.needs_password ? &w->password : NULL;
    if (rc == MU_OK)
        rc = mu_scep_server_read(server, &w->credential, &question, &err);
    if (rc == MU_OK)
        decide(w, &question, &decision);
    else {
        decision.verdict = MU_VERDICT_REFUSED;
        decision.refusal = err;
    }
    world_ok(mu_scep_server_write(server, &w->credential, &decision, response, &world_err));
    mu_scep_server_free(server);
    if (claim.transaction_id != NULL)
        w->messages++;
    w->in_server = false;
}

/* ---- the driver ---- */

static void exchange(struct world *w, const struct mu_http_request *sent,
    struct mu_http_response *response)
{
    struct mu_http_request got = *sent;
    struct mu_http_peer peer = {.address = "127.0.0.1", .uid = -1};
    bool is_message = strstr(sent->target, "operation=PKIOperation") != NULL;

    assert_true(mu_text_starts(sent->target, "http://"));
    got.target = strchr(sent->target + strlen("http://"), '/');
    got.peer = &peer;
    if (is_message && w->only_status != 0) {
        world_ok(mu_http_response_set(
            response, w->only_status, "text/plain", mu_bytes_str("no\n"), &world_err));
    } else if (strstr(sent->target, "GetCACaps") != NULL
        && (w->only_caps != NULL || w->caps_status != 0)) {
        world_ok(mu_http_response_set(response, w->caps_status != 0 ? w->caps_status : 200,
            "text/plain", mu_bytes_str(w->only_caps != NULL ? w->only_caps : ""), &world_err));
    } else {
        world_serve(w, &got, response);
    }
    if (is_message && w->tamper != NULL)
        w->tamper(w, w->sent, response);
}

/* SEND: to the responder and back, unless the world ends here. */
static enum mu_code do_send(struct world *w, struct mu_scep_client *client,
    const struct mu_step *step, struct mu_step *next)
{
    struct mu_http_response response = {0};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    struct mu_err failed = {.code = MU_NETWORK, .reason = MU_M(103), .what = "no answer"};
    bool is_message = strstr(step->request.target, "operation=PKIOperation") != NULL;
    enum mu_code rc;

    if (step->remember) {
        mu_buf_clear(&w->stored);
        world_ok(mu_scep_client_store(client, &w->stored, &world_err));
    }
    if (is_message) {
        w->sent++;
        if (w->stop_before_send == w->sent)
            return MU_BUSY;
        snprintf(w->last_method, sizeof w->last_method, "%s", step->request.method);
        mu_buf_clear(&w->last_request);
        mu_buf_put_bytes(&w->last_request, step->request.body);
    }
    snprintf(w->last_url, sizeof w->last_url, "%s", step->request.target);
    if (w->fault == FAULT_SEND) {
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = &failed};
        return mu_scep_client_step(client, &event, next, &world_err);
    }
    if (w->fault == FAULT_CUT_GET && is_message && strcmp(step->request.method, "GET") == 0) {
        failed.reason = MU_REASON_NONE;
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = &failed};
        return mu_scep_client_step(client, &event, next, &world_err);
    }
    exchange(w, &step->request, &response);
    if (is_message && w->stop_after_send == w->sent)
        rc = MU_BUSY;
    else
        rc = mu_scep_client_step(client, &event, next, &world_err);
    mu_http_response_clear(&response);
    return rc;
}

enum mu_code world_drive(struct world *w, struct mu_scep_client *client)
{
    struct mu_err failed = {.code = MU_STORAGE, .what = "disk full"};
    struct mu_step step, next;
    struct mu_event event;
    enum mu_code rc;
    unsigned steps;

    rc = mu_scep_client_start(client, &step, &world_err);
    for (steps = 0; rc == MU_OK && steps < 2000; steps++) {
        memset(&event, 0, sizeof event);
        switch (step.want) {
        case MU_WANT_DONE:
            return MU_OK;
        case MU_WANT_SEND:
            rc = do_send(w, client, &step, &next);
            break;
        case MU_WANT_WAIT:
            w->waits++;
            w->now_s += step.wait_s;
            event.type = MU_EVENT_TIME;
            rc = mu_scep_client_step(client, &event, &next, &world_err);
            break;
        case MU_WANT_TRUST:
            assert_true(step.certs->n > 0);
            event.type = MU_EVENT_TRUST;
            event.yes = !w->say_no;
            rc = mu_scep_client_step(client, &event, &next, &world_err);
            break;
        case MU_WANT_SAVE:
            w->saves++;
            assert_true(step.certs->n > 0);
            event.type = MU_EVENT_SAVED;
            event.failed = w->save_fails ? &failed : NULL;
            rc = mu_scep_client_step(client, &event, &next, &world_err);
            break;
        default:
            fail_msg("the engine wants %d", (int)step.want);
        }
        step = next;
    }
    assert_true(steps < 2000);
    return rc;
}

enum mu_code world_run(struct world *w, struct mu_scep_client **out)
{
    struct mu_scep_client *client = NULL;
    enum mu_code rc;

    rc = mu_scep_client_new(&w->config, &client, &world_err);
    if (rc == MU_OK)
        rc = world_drive(w, client);
    if (out != NULL)
        *out = client;
    else
        mu_scep_client_free(client);
    return rc;
}

void world_trace_has(const struct mu_buf *trace, const char *lines)
{
    const char *at = mu_buf_str(trace), *end, *found;
    char line[512];

    for (; *lines != '\0'; lines = *end != '\0' ? end + 1 : end) {
        end = strchrnul(lines, '\n');
        assert_true((size_t)(end - lines) < sizeof line);
        memcpy(line, lines, (size_t)(end - lines));
        line[end - lines] = '\0';
        found = strstr(at, line);
        if (found == NULL)
            fail_msg("not traced, or not in this order: '%s' in\n%s", line, mu_buf_str(trace));
        at = found + strlen(line);
    }
}

bool world_traced(const struct mu_buf *trace, const char *part)
{
    return strstr(mu_buf_str(trace), part) != NULL;
}

void world_failed(enum mu_code rc, enum mu_code want, int m, const char *part)
{
    if (rc != want || (int)world_err.reason != m
        || (part != NULL && strstr(world_err.what, part) == NULL))
        fail_msg("code %d reason %d '%s', wanted code %d reason %d '%s'", (int)rc,
            (int)world_err.reason, world_err.what, (int)want, m, part != NULL ? part : "");
}

void world_resign(struct world *w, struct mu_http_response *response, world_change *change)
{
    struct mu_scep_msg msg = {0};
    struct mu_pki_certs certs = {0};
    struct mu_buf body = {0};
    struct mu_scep_msg_params params = {.status = -1, .fail_info = -1};

    world_ok(mu_scep_msg_decode(mu_buf_bytes(&response->body), &msg, &world_err));
    world_ok(mu_pki_certs_add(&certs, w->credential.cert, &world_err));
    params.transaction_id = msg.transaction_id;
    params.type = msg.type;
    params.sender_nonce = mu_bytes(msg.sender_nonce.p, msg.sender_nonce.n);
    params.recipient_nonce = mu_bytes(msg.recipient_nonce.p, msg.recipient_nonce.n);
    params.status = msg.status;
    params.fail_info = msg.fail_info;
    params.fail_info_text = msg.fail_info_text;
    params.envelope = msg.envelope;
    params.key = w->credential.key;
    params.cert = w->credential.cert;
    params.certs = &certs;
    params.digest = MU_PKI_SHA256;
    change(&params);
    world_ok(mu_scep_msg_encode(&params, &body, &world_err));
    world_ok(mu_http_response_set(
        response, 200, MU_SCEP_MEDIA_MESSAGE, mu_buf_bytes(&body), &world_err));
    mu_buf_clear(&body);
    mu_pki_certs_clear(&certs);
    mu_scep_msg_clear(&msg);
}

void world_not_data(struct mu_bytes envelope)
{
    static const uint8_t data[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
    uint8_t *at = memmem(envelope.p, envelope.n, data, sizeof data);

    assert_non_null(at);
    at[sizeof data - 1] = 2;
}
