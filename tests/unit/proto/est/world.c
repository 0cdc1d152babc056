#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../scep/world_keys.h"

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

static void put_exts(const struct world_cert *what, struct mu_buf *exts)
{
    size_t mark = mu_der_open(exts, MU_DER_SEQUENCE);
    uint8_t id[20];

    if (what->is_ca)
        mu_pki_ext_put_basic(exts, true, true, -1);
    if (what->key_usage != 0)
        mu_pki_ext_put_key_usage(exts, true, what->key_usage);
    if (what->eku != 0)
        mu_pki_ext_put_eku(exts, what->eku);
    assert_true(mu_pki_key_id(mu_pki_key_spki(world_key(what->key)), id));
    mu_pki_ext_put_skid(exts, id);
    mu_der_close(exts, mark);
}

struct mu_pki_cert *world_cert(const struct world_cert *what)
{
    struct mu_buf subject = {0}, issuer = {0}, exts = {0}, der = {0};
    unsigned serial = what->serial != 0 ? what->serial : 0x1000;
    uint8_t octets[4] = {(uint8_t)(serial >> 24), (uint8_t)(serial >> 16), (uint8_t)(serial >> 8),
        (uint8_t)serial};
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(octets, 4)};
    struct mu_pki_cert *cert = NULL;

    world_ok(mu_pki_name_parse(what->subject, &subject, &world_err));
    world_ok(mu_pki_name_parse(
        what->issuer != NULL ? what->issuer : what->subject, &issuer, &world_err));
    put_exts(what, &exts);
    tbs.subject = mu_buf_bytes(&subject);
    tbs.issuer = mu_buf_bytes(&issuer);
    tbs.not_before_s
        = what->not_before_s != 0 ? what->not_before_s : WORLD_NOW - 365 * INT64_C(86400);
    tbs.not_after_s = what->not_after_s != 0 ? what->not_after_s : WORLD_NOW + 365 * INT64_C(86400);
    tbs.spki = mu_pki_key_spki(world_key(what->key));
    tbs.extensions = mu_buf_bytes(&exts);
    world_ok(mu_pki_cert_make(&tbs,
        world_key(what->issuer != NULL ? what->issuer_key : what->key), MU_PKI_SHA256, &der,
        &world_err));
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

#define CA_NAME "CN=estExampleCA"

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    memset(&world_err, 0, sizeof world_err);
    w->now_s = WORLD_NOW;
    w->env = (struct mu_env){world_clock, world_random, world_listen, w};
    w->fault_reason = -1;
    w->key = KEY_EC;
    w->ca = world_cert(&(struct world_cert){.subject = CA_NAME, .key = KEY_EC_CA, .is_ca = true,
        .key_usage = MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN});
    world_ok(mu_pki_certs_add(&w->chain, w->ca, &world_err));
    world_ok(mu_secret_set(&w->password, mu_bytes_str("estpwd"), &world_err));
    w->entry = "estuser";
    w->credential = (struct mu_credential){
        .key = world_key(KEY_EC_CA),
        .cert = w->ca,
        .ca_chain = &w->chain,
        .next_ca = &w->next,
        .ca_key = world_key(KEY_EC_CA),
        .realm = "muster",
        .nonce_key = mu_bytes("0123456789abcdef0123456789abcdef", 32),
    };
    w->config = (struct mu_est_client_config){
        .env = &w->env,
        .op = MU_EST_CLIENT_ENROLL,
        .url = WORLD_URL,
        .entry = "est-test101",
        .user = "estuser",
        .password = &w->password,
        .trusted = &w->chain,
        .trusted_as = "G_CA_Cert_1",
    };
    world_subject(w, "CN=firewall-portal1,DC=local,DC=COM");
}

void world_subject(struct world *w, const char *subject)
{
    mu_buf_clear(&w->subject);
    world_ok(mu_pki_name_parse(subject, &w->subject, &world_err));
    w->config.subject = mu_buf_bytes(&w->subject);
}

void world_extensions(struct world *w, const char *san, unsigned key_usage)
{
    struct mu_buf names = {0};
    size_t mark;

    mu_buf_clear(&w->extensions);
    mark = mu_der_open(&w->extensions, MU_DER_SEQUENCE);
    if (key_usage != 0)
        mu_pki_ext_put_key_usage(&w->extensions, false, key_usage);
    if (san != NULL) {
        world_ok(mu_pki_san_parse(san, &names, &world_err));
        mu_pki_ext_put_san(&w->extensions, false, mu_buf_bytes(&names));
    }
    mu_der_close(&w->extensions, mark);
    mu_buf_clear(&names);
    w->config.extensions = mu_buf_bytes(&w->extensions);
}

void world_attrs(struct world *w, const char *base64)
{
    mu_buf_clear(&w->csr_attrs);
    world_ok(mu_text_unbase64(mu_bytes_str(base64), &w->csr_attrs, &world_err));
}

void world_clear(struct world *w)
{
    mu_pki_cert_free(w->ca);
    mu_pki_cert_free(w->issued);
    mu_pki_cert_free(w->client_cert);
    mu_pki_key_free(w->made);
    mu_pki_certs_clear(&w->chain);
    mu_pki_certs_clear(&w->next);
    mu_secret_clear(&w->password);
    mu_buf_clear(&w->trace);
    mu_buf_clear(&w->server_trace);
    mu_buf_clear(&w->subject);
    mu_buf_clear(&w->extensions);
    mu_buf_clear(&w->csr_attrs);
    mu_buf_clear(&w->stored);
    mu_buf_clear(&w->last_csr);
}

/* ---- the CA ---- */

static void issue(struct world *w, const struct mu_question *q)
{
    struct mu_buf subject = {0}, der = {0}, exts = {0};
    uint8_t serial[3] = {0x07, 0x46, (uint8_t)(0x97 + w->posts)};
    struct mu_pki_tbs tbs = {
        .serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = w->ca->subject,
        .subject = q->csr->subject,
        .not_before_s = w->now_s - 60,
        .not_after_s = w->now_s + 30 * INT64_C(86400),
        .spki = w->issue_wrong_key ? mu_pki_key_spki(world_key(KEY_OTHER)) : q->csr->spki,
    };
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_basic(&exts, false, false, -1);
    mu_pki_ext_put_key_usage(&exts, false, MU_KU_DIGITAL_SIGNATURE);
    mu_der_close(&exts, mark);
    tbs.extensions = mu_buf_bytes(&exts);
    if (q->op == MU_OP_KEYGEN) {
        if (w->made == NULL)
            world_ok(mu_pki_key_generate(
                &(struct mu_pki_key_spec){MU_PKI_KEY_EC, 256}, &w->made, &world_err));
        tbs.spki = mu_pki_key_spki(w->made);
    }
    if (w->issue_subject != NULL) {
        world_ok(mu_pki_name_parse(w->issue_subject, &subject, &world_err));
        tbs.subject = mu_buf_bytes(&subject);
    }
    world_ok(mu_pki_cert_make(&tbs, w->credential.ca_key, MU_PKI_SHA256, &der, &world_err));
    mu_pki_cert_free(w->issued);
    w->issued = NULL;
    world_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &w->issued, &world_err));
    mu_buf_clear(&subject);
    mu_buf_clear(&exts);
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
    w->last_authenticated = q->authenticated;
    if (q->op == MU_OP_CA_CERTS)
        return;
    if (q->op == MU_OP_CSR_ATTRS) {
        d->csr_attrs = mu_buf_bytes(&w->csr_attrs);
        return;
    }
    assert_non_null(q->csr);
    assert_int_equal(q->request_digest.n, 32);
    if (w->refuse != MU_REASON_NONE) {
        refuse(d, w->refuse, w->refuse_text);
    } else if (w->wants_password && !q->authenticated && q->claim.signer == NULL) {
        refuse(d, MU_REFUSE_PASSWORD_MISSING, NULL);
    } else if (w->pending_n != 0) {
        w->pending_n--;
        d->verdict = MU_VERDICT_PENDING;
        d->retry_after_s = w->retry_after_s;
    } else {
        issue(w, q);
        d->verdict = MU_VERDICT_ISSUED;
        d->cert = w->issued;
        d->chain = &w->chain;
        d->key = q->op == MU_OP_KEYGEN ? w->made : NULL;
    }
}

static void note_claim(struct world *w, const struct mu_claim *claim)
{
    w->last_claim = *claim;
    snprintf(w->last_entry, sizeof w->last_entry, "%s", claim->entry != NULL ? claim->entry : "");
    snprintf(w->last_label, sizeof w->last_label, "%s", claim->label != NULL ? claim->label : "");
    w->credential.password = claim->entry != NULL && w->entry != NULL
            && strcmp(claim->entry, w->entry) == 0
        ? &w->password
        : NULL;
}

void world_serve(
    struct world *w, const struct mu_http_request *request, struct mu_http_response *response)
{
    struct mu_est_server *server = NULL;
    struct mu_decision decision = {.verdict = MU_VERDICT_DATA};
    struct mu_question question;
    struct mu_claim claim;
    struct mu_err err = {0};
    enum mu_code rc;

    w->in_server = true;
    rc = mu_est_server_open(&w->env, request, &server, &claim, &err);
    if (server == NULL) {
        world_ok(mu_est_server_http_error(&err, response, &world_err));
        w->in_server = false;
        return;
    }
    note_claim(w, &claim);
    if (rc == MU_OK)
        rc = mu_est_server_read(server, &w->credential, &question, &err);
    if (rc == MU_OK) {
        decide(w, &question, &decision);
    } else {
        decision.verdict = MU_VERDICT_REFUSED;
        decision.refusal = err;
    }
    world_ok(mu_est_server_write(server, &w->credential, &decision, response, &world_err));
    mu_est_server_free(server);
    w->in_server = false;
}

/* ---- the TLS in between ---- */

struct mu_bytes world_binding(struct world *w)
{
    static uint8_t digest[64];

    if (w->no_binding || w->connection == 0)
        return mu_bytes(NULL, 0);
    assert_int_not_equal(
        mu_pki_digest(MU_PKI_SHA256, mu_bytes(&w->connection, sizeof w->connection), digest), 0);
    return mu_bytes(digest, w->tls12 ? 12 : 32);
}

static void fill_peer(struct world *w, struct mu_http_peer *peer)
{
    *peer = (struct mu_http_peer){.address = "127.0.0.1", .uid = -1, .tls = true};
    peer->tls_version = w->tls12 ? 0x0303 : 0x0304;
    if (w->tls12)
        peer->tls_unique = world_binding(w);
    else
        peer->tls_exporter = world_binding(w);
    if (w->client_cert != NULL)
        peer->client_cert = w->client_cert->der;
}

void world_ask(struct world *w, const char *method, const char *path, const char *authorization,
    struct mu_bytes body, struct mu_http_response *response)
{
    struct mu_http_header header = {"Authorization", authorization};
    struct mu_http_peer peer;
    struct mu_http_request request = {.method = method, .minor = 1, .body = body, .peer = &peer};
    char target[512];

    if (w->connection == 0)
        w->connection = 1;
    fill_peer(w, &peer);
    snprintf(target, sizeof target, "%s%s", MU_EST_PATH, path);
    request.target = target;
    if (authorization != NULL) {
        request.headers = &header;
        request.header_n = 1;
    }
    mu_http_response_clear(response);
    world_serve(w, &request, response);
}

void world_csr(struct world *w, const char *subject, enum world_key key, const char *challenge,
    struct mu_buf *out)
{
    struct mu_secret secret = {0};
    struct mu_buf name = {0}, der = {0};
    struct mu_pki_csr_params params = {.challenge = &secret};

    if (challenge != NULL)
        world_ok(mu_secret_set(&secret, mu_bytes_str(challenge), &world_err));
    world_ok(mu_pki_name_parse(subject, &name, &world_err));
    params.subject = mu_buf_bytes(&name);
    world_ok(mu_pki_csr_make(&params, world_key(key), &der, &world_err));
    mu_est_body_encode(out, mu_buf_bytes(&der), false);
    mu_secret_clear(&secret);
    mu_buf_clear(&name);
    mu_buf_clear(&der);
}

/* ---- the driver ---- */

static enum mu_est_op op_of(const char *target)
{
    struct mu_est_path path;

    world_ok(mu_est_http_parse(target, &path, &world_err));
    return path.op;
}

static void note_request(struct world *w, const struct mu_http_request *sent)
{
    const char *authorization
        = mu_http_header_get(sent->headers, sent->header_n, "Authorization");
    size_t n = strlen(w->urls);

    snprintf(w->urls + n, sizeof w->urls - n, "%s %s\n", sent->method, sent->target);
    snprintf(w->last_authorization, sizeof w->last_authorization, "%s",
        authorization != NULL ? authorization : "");
    w->last_same_connection = sent->same_connection;
    /* EST-22: where a password is in it, and nowhere else, the system's CAs are not enough */
    if (sent->explicit_anchor
        != (authorization != NULL || strstr(sent->target, "/serverkeygen") != NULL)) {
        fprintf(stderr, "explicit_anchor does not fit %s %s\n", sent->method, sent->target);
        abort();
    }
    if (strcmp(sent->method, "POST") == 0) {
        mu_buf_clear(&w->last_csr);
        world_ok(mu_est_body_decode(sent->body, &w->last_csr, &world_err));
    }
}

static enum mu_code fail_send(
    struct world *w, struct mu_est_client *client, int reason, struct mu_step *next)
{
    struct mu_err failed = {.code = MU_NETWORK, .reason = (enum mu_reason)reason, .what = "no answer"};
    struct mu_event event = {.type = MU_EVENT_SEND_FAILED, .failed = &failed};

    (void)w;
    return mu_est_client_step(client, &event, next, &world_err);
}

/* SEND: to the responder and back, unless the world ends here. */
static enum mu_code do_send(struct world *w, struct mu_est_client *client,
    const struct mu_step *step, struct mu_step *next)
{
    struct mu_http_response response = {0};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    struct mu_http_request got = step->request;
    bool is_post = strcmp(got.method, "POST") == 0;
    struct mu_http_peer peer;
    enum mu_est_op op;
    enum mu_code rc;

    if (step->remember) {
        mu_buf_clear(&w->stored);
        world_ok(mu_est_client_store(client, &w->stored, &world_err));
    }
    assert_true(mu_text_starts(got.target, "https://"));
    got.target = strchr(got.target + strlen("https://"), '/');
    op = op_of(got.target);
    if (is_post && ++w->posts == w->stop_before_post)
        return MU_BUSY;
    note_request(w, &step->request);
    if (w->fault_reason >= 0)
        return fail_send(w, client, w->fault_reason, next);
    if (is_post && w->drop_before_post != 0) {
        w->drop_before_post--;
        w->connection++;
        if (got.same_connection)
            return fail_send(w, client, 0, next);
    }
    if (w->connection == 0)
        w->connection = 1;
    fill_peer(w, &peer);
    got.peer = &peer;
    world_serve(w, &got, &response);
    w->exchanges[op]++;
    if (w->tamper != NULL)
        w->tamper(w, op, w->exchanges[op], &response);
    rc = mu_est_client_step(client, &event, next, &world_err);
    mu_http_response_clear(&response);
    return rc;
}

static enum mu_code do_event(struct world *w, struct mu_est_client *client,
    const struct mu_step *step, struct mu_step *next)
{
    static const struct mu_err failed = {.code = MU_STORAGE, .what = "disk full"};
    struct mu_event event = {.type = MU_EVENT_TIME};

    switch (step->want) {
    case MU_WANT_WAIT:
        w->waits++;
        w->last_wait_s = step->wait_s;
        w->now_s += step->wait_s;
        break;
    case MU_WANT_TRUST:
        w->asks++;
        assert_true(step->certs->n > 0);
        event.type = MU_EVENT_TRUST;
        event.yes = !w->say_no;
        break;
    case MU_WANT_KEY:
        w->keys++;
        w->wanted = step->key;
        event.type = MU_EVENT_KEY;
        event.key = w->no_key ? NULL : world_key(w->key);
        break;
    case MU_WANT_BINDING:
        w->bindings++;
        event.type = MU_EVENT_BINDING;
        event.binding = world_binding(w);
        break;
    case MU_WANT_SAVE:
        w->saves++;
        assert_true(step->certs->n > 0);
        event.type = MU_EVENT_SAVED;
        event.failed = w->save_fails ? &failed : NULL;
        break;
    default:
        fail_msg("the engine wants %d", (int)step->want);
    }
    return mu_est_client_step(client, &event, next, &world_err);
}

enum mu_code world_drive(struct world *w, struct mu_est_client *client)
{
    struct mu_step step, next;
    enum mu_code rc;
    unsigned steps;

    rc = mu_est_client_start(client, &step, &world_err);
    for (steps = 0; rc == MU_OK && steps < 2000; steps++) {
        if (step.want == MU_WANT_DONE)
            return MU_OK;
        rc = step.want == MU_WANT_SEND ? do_send(w, client, &step, &next)
                                       : do_event(w, client, &step, &next);
        step = next;
    }
    assert_true(steps < 2000);
    return rc;
}

enum mu_code world_run(struct world *w, struct mu_est_client **out)
{
    struct mu_est_client *client = NULL;
    enum mu_code rc;

    rc = mu_est_client_new(&w->config, &client, &world_err);
    if (rc == MU_OK)
        rc = world_drive(w, client);
    if (out != NULL)
        *out = client;
    else
        mu_est_client_free(client);
    return rc;
}

/* ---- looking at it ---- */

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

const char *world_header(const struct mu_http_response *response, const char *name)
{
    const char *value = mu_http_header_get(response->headers, response->header_n, name);

    return value != NULL ? value : "";
}
