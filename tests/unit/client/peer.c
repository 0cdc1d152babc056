/* The responder of the tests. */
#include "peer.h"

#include <stdio.h>
#include <string.h>

#include "pki/pki_crl.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_server.h"

enum { BACK_S = 300, YEAR_S = 365 * 86400 };

static void ca_make(struct peer *peer, uint8_t serial)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    const struct mu_pki_name_part part = {"CN", "sceptest"};
    int64_t now = mu_env_now(peer->env);
    struct mu_buf name = {0}, exts = {0}, der = {0};
    uint8_t id[20];
    struct mu_pki_tbs tbs = {.serial_magnitude = {&serial, 1}, .not_before_s = now - 86400,
        .not_after_s = now + 20LL * YEAR_S};
    size_t at;

    assert_int_equal(mu_pki_key_generate(&spec, &peer->key, NULL), MU_OK);
    assert_int_equal(mu_pki_name_build(&part, 1, &name, NULL), MU_OK);
    tbs.spki = mu_pki_key_spki(peer->key);
    assert_true(mu_pki_key_id(tbs.spki, id));
    at = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_basic(&exts, true, true, -1);
    mu_pki_ext_put_key_usage(&exts, true, MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN
            | MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    mu_pki_ext_put_skid(&exts, id);
    mu_der_close(&exts, at);
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    tbs.extensions = mu_buf_bytes(&exts);
    assert_int_equal(mu_pki_cert_make(&tbs, peer->key, MU_PKI_SHA256, &der, NULL), MU_OK);
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &peer->cert, NULL), MU_OK);
    assert_int_equal(mu_pki_certs_add(&peer->chain, peer->cert, NULL), MU_OK);
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
}

void peer_init(struct peer *peer, const struct mu_env *env)
{
    *peer = (struct peer){.env = env};
    ca_make(peer, 1);
}

void peer_init_next(struct peer *peer, const struct mu_env *env)
{
    *peer = (struct peer){.env = env};
    ca_make(peer, 2);
}

void peer_clear(struct peer *peer)
{
    for (size_t i = 0; i < peer->txn_n; i++) {
        mu_buf_clear(&peer->txn[i].csr);
        mu_pki_cert_free(peer->txn[i].cert);
    }
    mu_buf_clear(&peer->crl);
    mu_pki_certs_clear(&peer->chain);
    mu_pki_cert_free(peer->cert);
    mu_pki_key_free(peer->key);
    *peer = (struct peer){0};
}

const struct peer_transaction *peer_last(const struct peer *peer)
{
    assert_true(peer->txn_n > 0);
    return &peer->txn[peer->txn_n - 1];
}

static struct peer_transaction *txn_get(struct peer *peer, const char *id, bool make)
{
    for (size_t i = 0; i < peer->txn_n; i++)
        if (strcmp(peer->txn[i].id, id) == 0)
            return &peer->txn[i];
    if (!make || peer->txn_n == PEER_TRANSACTIONS)
        return NULL;
    snprintf(peer->txn[peer->txn_n].id, sizeof(peer->txn[0].id), "%s", id);
    return &peer->txn[peer->txn_n++];
}

static void issue(struct peer *peer, const struct peer *by, struct peer_transaction *txn)
{
    size_t at_n = (size_t)(txn - peer->txn);
    uint8_t serial[2] = {(uint8_t)(0x4A + at_n / 256), (uint8_t)at_n};
    struct mu_buf exts = {0}, der = {0}, subject = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_pki_tbs tbs = {.serial_magnitude = {serial, 2}, .issuer = by->cert->subject,
        .not_before_s = mu_env_now(peer->env) - BACK_S,
        .not_after_s = mu_env_now(peer->env) + (peer->lifetime_s != 0 ? peer->lifetime_s : YEAR_S)};
    size_t at;

    assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&txn->csr), &csr, NULL), MU_OK);
    tbs.subject = csr->subject;
    if (peer->subject != NULL) {
        assert_int_equal(mu_pki_name_parse(peer->subject, &subject, NULL), MU_OK);
        tbs.subject = mu_buf_bytes(&subject);
    }
    tbs.spki = csr->spki;
    at = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&exts, true, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    mu_pki_ext_put_akid(&exts, by->cert->exts.skid); /* a successor has the same name */
    if (csr->exts.san.n > 0)
        mu_pki_ext_put_san(&exts, false, csr->exts.san);
    mu_der_close(&exts, at);
    tbs.extensions = mu_buf_bytes(&exts);
    assert_int_equal(mu_pki_cert_make(&tbs, by->key, MU_PKI_SHA256, &der, NULL), MU_OK);
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &txn->cert, NULL), MU_OK);
    mu_pki_csr_free(csr);
    mu_buf_clear(&subject);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
}

static void refuse(struct mu_decision *d, enum mu_reason reason)
{
    d->verdict = MU_VERDICT_REFUSED;
    mu_err_set(&d->refusal, MU_DENIED, reason, "%s", mu_err_row(reason)->what);
}

static void answer_txn(struct peer *peer, const struct peer *by, struct peer_transaction *txn,
    struct mu_decision *d)
{
    txn->asked++;
    if (peer->refuse != MU_REASON_NONE) {
        refuse(d, peer->refuse);
    } else if (txn->asked <= peer->pend) {
        d->verdict = MU_VERDICT_PENDING;
    } else {
        if (txn->cert == NULL)
            issue(peer, by, txn);
        d->verdict = MU_VERDICT_ISSUED;
        d->cert = txn->cert;
        d->chain = &by->chain;
    }
}

static void note_challenge(struct peer *peer, const struct mu_pki_csr *csr)
{
    struct mu_bytes c = mu_secret_bytes(&csr->challenge);

    snprintf(peer->last_challenge, sizeof(peer->last_challenge), "%.*s", (int)c.n,
        c.n > 0 ? (const char *)c.p : "");
}

static void crl_make(struct peer *peer)
{
    const struct mu_pki_crl_params params = {.issuer = peer->cert->subject,
        .this_update_s = mu_env_now(peer->env), .next_update_s = mu_env_now(peer->env) + 86400,
        .number = 1};

    assert_int_equal(mu_pki_crl_make(&params, peer->key, MU_PKI_SHA256, &peer->crl, NULL), MU_OK);
}

static void decide(struct peer *peer, const struct peer *by, const struct mu_question *q,
    struct mu_decision *d)
{
    struct peer_transaction *txn;

    if (q->op == MU_OP_ENROLL) {
        peer->enrolls++;
        peer->renewals += !q->claim.signer_is_self_signed;
        note_challenge(peer, q->csr);
        txn = txn_get(peer, q->claim.transaction_id, true);
        assert_non_null(txn);
        if (txn->csr.n == 0)
            mu_buf_put_bytes(&txn->csr, q->csr->der);
        if (peer->challenge_needed && q->claim.signer_is_self_signed && peer->last_challenge[0] == '\0')
            refuse(d, MU_REFUSE_PASSWORD_MISSING);
        else
            answer_txn(peer, by, txn, d);
    } else if (q->op == MU_OP_POLL) {
        peer->polls++;
        txn = txn_get(peer, q->claim.transaction_id, false);
        if (txn == NULL)
            refuse(d, MU_REFUSE_NO_SUCH_REQUEST);
        else
            answer_txn(peer, by, txn, d);
    } else if (q->op == MU_OP_GET_CERT) {
        refuse(d, MU_REFUSE_NO_SUCH_CERT);
        for (size_t i = 0; i < peer->txn_n; i++) {
            if (peer->txn[i].cert != NULL && mu_pki_serial_equal(peer->txn[i].cert->serial, q->serial)) {
                d->verdict = MU_VERDICT_DATA;
                d->cert = peer->txn[i].cert;
                d->chain = &peer->chain;
            }
        }
    } else {
        if (peer->crl.n == 0)
            crl_make(peer);
        d->verdict = MU_VERDICT_DATA;
        d->crl = mu_buf_bytes(&peer->crl);
    }
}

void peer_serve(void *cookie, const struct mu_http_request *request,
    struct mu_http_response *response, struct mu_err *err)
{
    struct peer *peer = cookie;
    struct mu_scep_server *server = NULL;
    struct mu_claim claim = {0};
    struct mu_question question = {0};
    struct mu_decision decision = {0};
    struct mu_err failed = {0};
    struct mu_credential credential = {.key = peer->key, .cert = peer->cert,
        .ca_chain = &peer->chain, .ca_key = peer->key};
    const struct peer *by = peer;
    enum mu_code rc;

    snprintf(peer->last_target, sizeof(peer->last_target), "%s", request->target);
    if (peer->http_status != 0) {
        assert_int_equal(mu_http_response_set(response, peer->http_status, "text/plain",
                             mu_bytes_str("no\n"), err), MU_OK);
        return;
    }
    rc = mu_scep_server_open(peer->env, request, &server, &claim, &failed);
    peer->caps += rc == MU_OK && claim.op == MU_OP_CAPS;
    peer->cas += rc == MU_OK && claim.op == MU_OP_CA_CERTS;
    if (peer->next != NULL)
        credential.next_ca = &peer->next->chain;
    if (rc == MU_OK && peer->next != NULL && claim.recipient_serial.n != 0
        && mu_pki_serial_equal(claim.recipient_serial, peer->next->cert->serial)) {
        by = peer->next;
        credential.key = credential.ca_key = by->key;
        credential.cert = by->cert;
        credential.ca_chain = &by->chain;
    }
    if (rc == MU_OK)
        rc = mu_scep_server_read(server, &credential, &question, &failed);
    if (rc == MU_OK && question.op != MU_OP_CAPS && question.op != MU_OP_CA_CERTS
        && question.op != MU_OP_NEXT_CA)
        decide(peer, by, &question, &decision);
    if (rc != MU_OK) {
        decision.verdict = MU_VERDICT_REFUSED;
        decision.refusal = failed;
    }
    rc = server == NULL ? mu_scep_server_http_error(&failed, response, err)
                        : mu_scep_server_write(server, &credential, &decision, response, err);
    assert_int_equal(rc, MU_OK);
    mu_scep_server_free(server);
}
