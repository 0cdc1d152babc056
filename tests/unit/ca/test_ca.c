/* The service as a whole: its start, files by HTTP, counters. */
#include "ca_world.h"

#include "pki/pki_crl.h"

static const char *header(const struct ca_world *w, const char *name)
{
    const char *value = mu_http_header_get(w->last.headers, w->last.header_n, name);

    return value != NULL ? value : "";
}

static void certificates_and_lists_are_files(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;
    struct mu_pki_crl *crl = NULL;

    assert_int_equal(ca_get(w, "/ca/demo.crt"), 200);
    assert_string_equal(header(w, "Content-Type"), "application/pkix-cert"); /* CA-14 */
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&w->last.body), &cert, &ca_err));
    assert_int_equal(ca_get(w, "/crl/demo.crl"), 200);
    assert_string_equal(header(w, "Content-Type"), "application/pkix-crl"); /* CA-13 */
    assert_string_equal(header(w, "Last-Modified"), "Thu, 20 Nov 2025 17:33:20 GMT");
    assert_string_equal(header(w, "Expires"), "Thu, 27 Nov 2025 17:33:20 GMT");
    ca_ok(mu_pki_crl_decode(mu_buf_bytes(&w->last.body), &crl, &ca_err));
    ca_ok(mu_pki_crl_verify(crl, cert, false, &ca_err));
    mu_pki_crl_free(crl);
    mu_pki_cert_free(cert);
}

static void nothing_else_is_there(void **state)
{
    static const char *const targets[] = {"/", "/crl/", "/crl/.crl", "/crl/none.crl",
        "/ca/none.crt", "/ca/../x.crt", "/crl/a/b.crl", "/ca/demo", "", "/ca/demo.crt/"};

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        if (ca_get(*state, targets[i]) != 404)
            fail_msg("'%s'", targets[i]);
    /* a POST of x-pki-message is SCEP wherever it goes (SCEP-07) */
    assert_int_equal(ca_post(*state, "/ca/demo.crt", mu_bytes_str("x")), 400);
}

static void a_short_secret_is_refused(void **state)
{
    struct ca_world w;
    struct mu_ca *ca = NULL;

    ca_world_open(&w, NULL);
    w.config.secret = mu_bytes_str("too short");
    assert_int_equal(mu_ca_new(&w.config, &ca, &ca_err), MU_INPUT);
    assert_null(ca);
    ca_world_close(&w);
}

static void counters_count(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_stats stats;

    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, NULL));
    assert_int_equal(
        ca_enroll(w, &(struct ca_client){.challenge = "no", .subject = "/CN=b"}, NULL), MU_DENIED);
    assert_int_equal(ca_enroll(w, &(struct ca_client){.subject = "/CN=c"}, NULL), MU_PENDING);
    mu_ca_stats(w->ca, &stats);
    assert_int_equal(stats.issued, 1);
    assert_int_equal(stats.pending, 1);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.refused_by[MU_REFUSE_PASSWORD - MU_REFUSE_FIRST], 1);
    assert_int_equal(stats.requests, 9); /* caps, certificate, message, three times */
}

static bool last_refusal(void *cookie, const struct mu_record_audit *row)
{
    *(struct mu_record_audit *)cookie = *row;
    assert_string_equal(row->action, "refuse");
    assert_false(row->success);
    assert_int_equal(row->reason, MU_REFUSE_PASSWORD);
    assert_string_equal(row->message, "The enrollment password is wrong.");
    assert_string_equal(row->address, "192.0.2.7");
    assert_string_equal(row->user_agent, "test\\x01"); /* escaped */
    assert_string_equal(row->subject, "C=NL,O=Example,CN=device");
    assert_string_equal(row->ca, "demo");
    assert_true(row->size > 1000);
    assert_true(row->transaction_id[0] != '\0');
    return false;
}

/* INTEROP 5.12 */
static void refusals_are_kept_with_who_and_why(void **state)
{
    struct ca_world *w = *state;
    struct mu_record_audit row = {0};

    assert_int_equal(ca_enroll(w, &(struct ca_client){.challenge = "no"}, NULL), MU_DENIED);
    ca_ok(mu_ca_audits_each(
        w->ca, &(struct mu_store_filter){.action = "refuse"}, last_refusal, &row, &ca_err));
    assert_non_null(row.action);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(certificates_and_lists_are_files),
        CASE(nothing_else_is_there),
        cmocka_unit_test(a_short_secret_is_refused),
        CASE(counters_count),
        CASE(refusals_are_kept_with_who_and_why),
    };

    return cmocka_run_group_tests_name("ca", tests, NULL, NULL);
}
