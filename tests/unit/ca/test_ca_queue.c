/* The approval queue: what is shown, approved with another profile, approved or rejected once. */
#include "ca_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "pki/pki_name.h"

struct shown {
    char asked[100], issue[100], key_seen[100], why[600];
    long long id;
    bool has_challenge;
    int64_t until_s;
    char address[48];
};

static void keep(void *cookie, const struct mu_ca_queue_view *view)
{
    struct shown *s = cookie;
    struct mu_buf text = {0};

    s->id = view->request->id;
    snprintf(s->address, sizeof s->address, "%s", view->request->address);
    mu_pki_name_format(view->csr->subject, MU_PKI_NAME_COMMA, &text);
    snprintf(s->asked, sizeof s->asked, "%s", mu_buf_str(&text));
    mu_buf_reset(&text);
    if (view->subject.n != 0)
        mu_pki_name_format(view->subject, MU_PKI_NAME_COMMA, &text);
    snprintf(s->issue, sizeof s->issue, "%s", mu_buf_str(&text));
    snprintf(
        s->key_seen, sizeof s->key_seen, "%s", view->key_seen_as != NULL ? view->key_seen_as : "");
    snprintf(s->why, sizeof s->why, "%s", view->refusal != NULL ? view->refusal->what : "");
    s->has_challenge = mu_secret_is_set(&view->csr->challenge)
        || memmem(view->request->csr.p, view->request->csr.n, "challenge2", 10) != NULL;
    s->until_s = view->not_after_s;
    mu_buf_clear(&text);
}

static struct shown show(struct ca_world *w, const char *id)
{
    struct shown s = {0};

    ca_ok(mu_ca_queue_show(w->ca, id, keep, &s, &ca_err));
    return s;
}

static void what_would_be_issued_is_shown(void **state)
{
    struct ca_world *w = *state;
    struct shown s;
    char id[24];

    ca_ok(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge1", .subject = "/CN=first"}, NULL));
    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.challenge = "challenge2", .transaction_id = "ABC"}, NULL),
        MU_PENDING);
    s = show(w, "ABC");
    assert_string_equal(s.asked, "C=NL,O=Example,CN=device");
    assert_string_equal(s.issue, "O=Example,OU=AS,CN=device");
    assert_string_equal(s.key_seen, "OU=AS,CN=first");
    assert_string_equal(s.address, "192.0.2.7");
    assert_false(s.has_challenge); /* what is kept of a CSR has none */
    assert_int_equal(s.until_s, NOW + 365 * 86400);
    snprintf(id, sizeof id, "%lld", s.id);
    assert_int_equal(show(w, id).id, s.id);
    snprintf(id, sizeof id, "#%lld", s.id);
    assert_int_equal(show(w, id).id, s.id);
    assert_int_equal(mu_ca_queue_show(w->ca, "4711", keep, &s, &ca_err), MU_NOT_FOUND);
}

static void a_refusal_is_shown_and_stops_approval(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(ca_enroll(w, &(struct ca_client){.transaction_id = "ABC"}, NULL), MU_PENDING);
    ca_profile(w, "scep-manual", "keys = ec:P-256\n");
    assert_non_null(strstr(show(w, "ABC").why, "RSA 2048"));
    assert_int_equal(mu_ca_queue_approve(w->ca, "ABC", NULL, "a", NULL, &ca_err), MU_DENIED);
    assert_int_equal(ca_err.reason, MU_REFUSE_KEY_WEAK);
    /* with changes: another profile */
    ca_ok(mu_ca_queue_approve(w->ca, "ABC", "scep-auto", "a", NULL, &ca_err));
}

static void approval_and_rejection_are_for_once(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf serial = {0};

    assert_int_equal(ca_enroll(w, &(struct ca_client){.transaction_id = "ABC"}, NULL), MU_PENDING);
    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.transaction_id = "DEF", .subject = "/CN=b"}, NULL),
        MU_PENDING);
    assert_int_equal(
        mu_ca_queue_approve(w->ca, "ABC", "nothing", "a", NULL, &ca_err), MU_NOT_FOUND);
    ca_ok(mu_ca_queue_approve(w->ca, "ABC", NULL, "a", &serial, &ca_err));
    assert_true(serial.n >= 31);
    assert_string_equal(w->message,
        "Certificate signing request \"O=Example,OU=AS,CN=device\" signed with CA certificate "
        "\"C=NL,ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=sceptest\"");
    assert_int_equal(mu_ca_queue_approve(w->ca, "ABC", NULL, "a", NULL, &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_queue_reject(w->ca, "ABC", "no", "a", &ca_err), MU_NOT_FOUND);
    ca_ok(mu_ca_queue_reject(w->ca, "DEF", "no", "a", &ca_err));
    assert_string_equal(w->message, "Request of \"CN=b\" rejected: no");
    assert_int_equal(mu_ca_queue_reject(w->ca, "DEF", "no", "a", &ca_err), MU_NOT_FOUND);
    mu_buf_clear(&serial);
}

/* A transaction id is no secret and the client's choice: another key that takes it is not what an
 * operator approves by it. */
static void a_transaction_id_taken_by_another_key_is_not_approved(void **state)
{
    struct ca_world *w = *state;
    struct ca_client victim = {.transaction_id = "ABC"};
    const struct ca_client thief = {.transaction_id = "ABC", .key = CA_KEY_B};
    struct mu_pki_cert *cert = NULL;
    char id[24];

    assert_int_equal(ca_enroll(w, &victim, NULL), MU_PENDING);
    snprintf(id, sizeof id, "#%lld", show(w, "ABC").id);
    assert_int_equal(ca_enroll(w, &thief, NULL), MU_PENDING);
    assert_int_equal(mu_ca_queue_approve(w->ca, "ABC", NULL, "a", NULL, &ca_err), MU_INPUT);
    assert_int_equal(mu_ca_queue_reject(w->ca, "ABC", "no", "a", &ca_err), MU_INPUT);
    ca_ok(mu_ca_queue_approve(w->ca, id, NULL, "a", NULL, &ca_err));
    victim.op = MU_SCEP_CLIENT_POLL;
    ca_ok(ca_run(w, &victim, &cert, NULL, NULL));
    mu_pki_cert_free(cert);
}

static void a_number_is_never_a_transaction_id(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(ca_enroll(w, &(struct ca_client){.transaction_id = "4711"}, NULL), MU_PENDING);
    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.transaction_id = "#4712", .subject = "/CN=b"}, NULL),
        MU_PENDING);
    assert_int_equal(mu_ca_queue_approve(w->ca, "4711", NULL, "a", NULL, &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_queue_approve(w->ca, "#4712", NULL, "a", NULL, &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_queue_approve(w->ca, "#", NULL, "a", NULL, &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_queue_approve(w->ca, "", NULL, "a", NULL, &ca_err), MU_NOT_FOUND);
    ca_ok(mu_ca_queue_approve(w->ca, "1", NULL, "a", NULL, &ca_err));
}

/* The client polls while an operator decides; a restart of the CA in between does not matter. */
static void approval_reaches_a_polling_client(void **state)
{
    struct ca_world *w = *state;
    struct ca_client client = {.transaction_id = "ABC", .op = MU_SCEP_CLIENT_POLL};
    struct mu_pki_cert *cert = NULL;

    assert_int_equal(ca_enroll(w, &client, NULL), MU_PENDING);
    ca_world_restart(w);
    ca_ok(mu_ca_queue_approve(w->ca, "ABC", NULL, "a", NULL, &ca_err));
    ca_world_restart(w);
    ca_ok(ca_run(w, &client, &cert, NULL, NULL));
    assert_non_null(cert);
    mu_pki_cert_free(cert);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(what_would_be_issued_is_shown),
        CASE(a_refusal_is_shown_and_stops_approval),
        CASE(approval_and_rejection_are_for_once),
        CASE(a_transaction_id_taken_by_another_key_is_not_approved),
        CASE(a_number_is_never_a_transaction_id),
        CASE(approval_reaches_a_polling_client),
    };

    return cmocka_run_group_tests_name("ca_queue", tests, NULL, NULL);
}
