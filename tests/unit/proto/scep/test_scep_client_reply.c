/* Each way a CertRep can be wrong, and the row of the catalog it gives (S051..S057, SCEP-59). */
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is done to the answer; all are signed again with the CA's key unless they say so ---- */

static void other_id(struct mu_scep_msg_params *p)
{
    p->transaction_id = "0123456789ABCDEF0123456789ABCDEF";
}

static void type_19(struct mu_scep_msg_params *p)
{
    p->type = MU_SCEP_PKCS_REQ;
}

static void foreign_nonce(struct mu_scep_msg_params *p)
{
    p->recipient_nonce = mu_bytes_str("0123456789abcdef");
}

static void short_nonce(struct mu_scep_msg_params *p)
{
    p->recipient_nonce.n = 15;
}

static void no_nonce(struct mu_scep_msg_params *p)
{
    p->recipient_nonce.n = 0;
}

static void no_sender_nonce(struct mu_scep_msg_params *p)
{
    p->sender_nonce.n = 0;
}

static void no_status(struct mu_scep_msg_params *p)
{
    p->status = -1;
}

static void status_1(struct mu_scep_msg_params *p)
{
    p->status = 1;
}

static void no_envelope(struct mu_scep_msg_params *p)
{
    p->envelope.n = 0;
}

static void envelope_of_garbage(struct mu_scep_msg_params *p)
{
    p->envelope = mu_bytes_str("garbage");
}

static void envelope_of_signed_data(struct mu_scep_msg_params *p)
{
    world_not_data(p->envelope);
}

static void unknown_fail_info(struct mu_scep_msg_params *p)
{
    p->status = MU_SCEP_FAILURE;
    p->fail_info = 9;
}

static void signed_by_other(struct mu_scep_msg_params *p)
{
    p->key = world_key(KEY_OTHER);
}

static void with_sha1(struct mu_scep_msg_params *p)
{
    p->digest = MU_PKI_SHA1;
}

static void with_md5(struct mu_scep_msg_params *p)
{
    p->digest = MU_PKI_MD5;
}

static void without_certs(struct mu_scep_msg_params *p)
{
    p->certs = NULL;
}

/* NDES: one zero octet where nothing belongs, SHA-1, no certificates (IOP-10). */
static void ndes_failure(struct mu_scep_msg_params *p)
{
    p->status = MU_SCEP_FAILURE;
    p->fail_info = MU_SCEP_BAD_REQUEST;
    p->envelope = mu_bytes("\0", 1);
    p->certs = NULL;
}

static void ndes_failure_sha1(struct mu_scep_msg_params *p)
{
    ndes_failure(p);
    p->digest = MU_PKI_SHA1;
}

static void pending_with_octet(struct mu_scep_msg_params *p)
{
    p->status = MU_SCEP_PENDING;
    p->envelope = mu_bytes("\0", 1);
}

struct row {
    const char *what;
    world_change *change;
    enum mu_code code;
    int m;
    const char *part;
};

static const struct row rows[] = {
    {"another transaction", other_id, MU_AUTH, 323, "0123456789ABCDEF0123456789ABCDEF"},
    {"type 19", type_19, MU_INPUT, 324, "message type 19"},
    {"a foreign nonce", foreign_nonce, MU_AUTH, 325, "does not repeat our nonce"},
    {"a nonce cut short", short_nonce, MU_AUTH, 325, "3.2.1.5"},
    {"no recipientNonce", no_nonce, MU_AUTH, 325, "no recipientNonce"},
    {"no pkiStatus", no_status, MU_INPUT, 322, "3.2.1.3"},
    {"pkiStatus 1", status_1, MU_INPUT, 322, "3.2.1.3"},
    {"failInfo 9", unknown_fail_info, MU_INPUT, 322, "3.2.1.4"},
    {"SUCCESS without an envelope", no_envelope, MU_INPUT, 322, "3.3.2.1"},
    {"an envelope of garbage", envelope_of_garbage, MU_INPUT, 322, "envelope"},
    {"another type in the envelope (SCEP-33)", envelope_of_signed_data, MU_INPUT, 322, "3.2.2"},
    {"another key's signature", signed_by_other, MU_AUTH, 321, NULL},
    {"SHA-1", with_sha1, MU_UNSUPPORTED, 303, "answered with SHA-1"},
    {"MD5", with_md5, MU_UNSUPPORTED, 303, "answered with MD5"},
    {"NDES' refusal", ndes_failure, MU_DENIED, 312, "gave no reason"},
    {"NDES' refusal with SHA-1", ndes_failure_sha1, MU_UNSUPPORTED, 303, "SHA-1"},
    /* and what is forgiven */
    {"no senderNonce (SCEP-48)", no_sender_nonce, MU_OK, 0, NULL},
    {"no certificates in it (SCEP-59)", without_certs, MU_OK, 0, NULL},
};

static const struct row *current;

static void change_first(struct world *w, unsigned n, struct mu_http_response *response)
{
    if (n == 1)
        world_resign(w, response, current->change);
}

static void each_check_has_its_row(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        enum mu_code rc;

        world_init(&w);
        current = &rows[i];
        w.tamper = change_first;
        memset(&world_err, 0, sizeof world_err);
        rc = world_run(&w, NULL);
        if (rc != current->code || (int)world_err.reason != current->m)
            fail_msg("%s: code %d, reason %d, '%s'", current->what, (int)rc,
                (int)world_err.reason, world_err.what);
        if (rc != MU_OK) {
            world_failed(rc, current->code, current->m, current->part);
            assert_int_equal(w.saves, 0);
        }
        world_clear(&w);
    }
}

/* INTEROP: known forgetful servers may be let through, visibly. */
static void nonce_can_be_only_warned_about(void **state)
{
    static const struct row forgiven[] = {
        {"foreign", foreign_nonce, MU_OK, 0, NULL},
        {"none", no_nonce, MU_OK, 0, NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct world w;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        current = &forgiven[i];
        w.tamper = change_first;
        w.config.nonce_warn_only = true;
        world_ok(world_run(&w, &client));
        mu_scep_client_result(client, &result);
        assert_non_null(strstr(result.warnings, "does not repeat our nonce"));
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* D5: with the switch SHA-1 is taken, and said so. */
static void legacy_answers_need_the_switch(void **state)
{
    static const struct row sha1 = {"SHA-1", with_sha1, MU_OK, 0, NULL};
    static const struct row refused = {"NDES", ndes_failure_sha1, MU_DENIED, 312, NULL};
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    current = &sha1;
    w.tamper = change_first;
    w.config.allow_legacy = true;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_non_null(strstr(result.warnings, "answered with SHA-1"));
    mu_scep_client_free(client);
    current = &refused;
    w.sent = 0;
    world_failed(world_run(&w, NULL), MU_DENIED, 312, NULL);
    world_clear(&w);
}

/* Both layers at once, as scepserver answers; the error names the switch. */
static void des_and_sha1_are_named_together(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.credential.allow_legacy = true;
    w.config.allow_legacy = true;
    w.config.cipher = MU_PKI_DES_CBC;
    w.config.digest = MU_PKI_SHA1;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_non_null(strstr(result.warnings, "answered with single DES and SHA-1"));
    mu_scep_client_free(client);
    world_clear(&w);
}

static void truncate_body(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    response->body.n -= 10;
}

static void web_page(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    world_ok(mu_http_response_set(response, 200, "text/html",
        mu_bytes_str("<html><title>Login</title></html>"), &world_err));
}

static void empty_body(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    world_ok(mu_http_response_set(
        response, 200, MU_SCEP_MEDIA_MESSAGE, mu_bytes(NULL, 0), &world_err));
}

static void echo_request(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)n;
    world_ok(mu_http_response_set(
        response, 200, MU_SCEP_MEDIA_MESSAGE, mu_buf_bytes(&w->last_request), &world_err));
}

/* Flips one bit in the middle of the signature, the last octets of the message. */
static void break_signature(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    response->body.p[response->body.n - 20] ^= 1;
}

static void damaged_answers(void **state)
{
    static const struct { world_tamper *tamper; enum mu_code code; int m; const char *part; } t[] = {
        {truncate_body, MU_INPUT, 322, "no SCEP message (application/x-pki-message"},
        {web_page, MU_INPUT, 322, "text/html, 33 bytes"},
        {empty_body, MU_INPUT, 322, "0 bytes"},
        {echo_request, MU_AUTH, 321, "neither the CA nor an RA"},
        {break_signature, MU_AUTH, 321, NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct world w;

        world_init(&w);
        w.tamper = t[i].tamper;
        world_failed(world_run(&w, NULL), t[i].code, t[i].m, t[i].part);
        assert_int_equal(w.saves, 0);
        world_clear(&w);
    }
}

/* A certificate of the CA's own customers must not sign answers, though it leads up to the CA. */
static struct mu_pki_cert *customer;

static void sign_as_customer(struct mu_scep_msg_params *p)
{
    static struct mu_pki_certs certs;

    mu_pki_certs_clear(&certs);
    world_ok(mu_pki_certs_add(&certs, customer, &world_err));
    p->key = world_key(KEY_OTHER);
    p->cert = customer;
    p->certs = &certs;
}

static void a_customers_certificate_signs_no_answers(void **state)
{
    static const struct row row = {"customer", sign_as_customer, MU_AUTH, 321, NULL};
    struct world w;

    (void)state;
    world_init(&w);
    customer = world_cert(&(struct world_cert){.subject = "/CN=customer",
        .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA,
        .key_usage = MU_KU_DIGITAL_SIGNATURE, .serial = 0x3333});
    current = &row;
    w.tamper = change_first;
    world_failed(world_run(&w, NULL), MU_AUTH, 321, "customer");
    mu_pki_cert_free(customer);
    customer = world_cert(&(struct world_cert){.subject = "/CN=x", .key = KEY_OTHER});
    sign_as_customer(&(struct mu_scep_msg_params){.status = 0}); /* lets go of the old one */
    mu_pki_cert_free(customer);
    world_clear(&w);
}

/* PENDING belongs to requests, not to queries (SCEP-73). */
static void pending_is_no_answer_to_a_query(void **state)
{
    static const struct row row = {"pending", pending_with_octet, MU_INPUT, 322, NULL};
    struct world w;
    struct mu_pki_cert *own;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    own = mu_pki_cert_ref(w.issued);
    w.config.op = MU_SCEP_CLIENT_CERT;
    w.config.signer_cert = own;
    w.config.signer_key = world_key(KEY_CLIENT);
    w.config.serial = own->serial;
    w.sent = 0;
    current = &row;
    w.tamper = change_first;
    world_failed(world_run(&w, NULL), MU_INPUT, 322, "4.5.1");
    mu_pki_cert_free(own);
    world_clear(&w);
}

static void pending_with_one_octet_is_taken(void **state)
{
    static const struct row row = {"pending", pending_with_octet, MU_OK, 0, NULL};
    struct world w;

    (void)state;
    world_init(&w);
    current = &row;
    w.tamper = change_first;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.sent, 2);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_has_its_row),
        cmocka_unit_test(nonce_can_be_only_warned_about),
        cmocka_unit_test(legacy_answers_need_the_switch),
        cmocka_unit_test(des_and_sha1_are_named_together),
        cmocka_unit_test(damaged_answers),
        cmocka_unit_test(a_customers_certificate_signs_no_answers),
        cmocka_unit_test(pending_is_no_answer_to_a_query),
        cmocka_unit_test(pending_with_one_octet_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
