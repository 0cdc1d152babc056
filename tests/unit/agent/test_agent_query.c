/* Questions, requests by file, and the list of entries. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pki/pki_crl.h"
#include "pki/pki_csr.h"

static void enroll(struct world *w, const char *name)
{
    world_enroll(w, name, (struct mu_agent_enroll){.settings = &w->settings});
    world_expect(w, MU_AGENT_ISSUED);
}

static void test_ca_certificates_are_fetched_and_not_trusted(void **state)
{
    struct world *w = *state;

    world_query(w, (struct mu_agent_query){
        .op = MU_AGENT_QUERY_CA, .url = "http://ca.example/scep", .settings = &w->settings});
    world_expect(w, MU_AGENT_ANSWERED);
    assert_int_equal(w->answer_certs, 1);
    assert_int_equal(w->trust_asked, 0);
    assert_int_equal(kit_count(w->kit, "sceptest"), 0);
}

static void test_probe_tells_protocol_and_clock(void **state)
{
    struct mu_http_facts facts = {.server_date_s = MU_FAKE_LOOP_START_S + 90};
    struct world *w = *state;

    mu_fake_transport_facts(w->transport, &facts);
    world_query(w, (struct mu_agent_query){.op = MU_AGENT_QUERY_PROBE, .url = "ca.example"});
    world_expect(w, MU_AGENT_ANSWERED);
    assert_int_equal(w->answer_certs, 1);
    assert_true(w->has_clock);
    assert_string_equal(w->url, "http://ca.example");
}

static void test_probe_tries_the_usual_paths_of_a_bare_host(void **state)
{
    struct world *w = *state;

    w->peer.http_status = 404;
    world_query(w, (struct mu_agent_query){.op = MU_AGENT_QUERY_PROBE, .url = "ca.example"});
    assert_int_equal(w->err.reason, 304);
    assert_true(mu_fake_transport_sends(w->transport) >= 5);
    mu_fake_transport_fail(w->transport, -1, MU_NETWORK, MU_M(102));
    world_query(w, (struct mu_agent_query){.op = MU_AGENT_QUERY_PROBE, .url = "ca.example"});
    assert_int_equal(w->err.reason, 102); /* nobody there: one try */
}

static void test_a_certificate_is_asked_for_by_serial(void **state)
{
    struct world *w = *state;
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_CERT, .name = "vpn", .serial = "0x4A00"};

    world_query(w, query);
    assert_int_equal(w->err.code, MU_NOT_FOUND);
    enroll(w, "vpn");
    world_query(w, query);
    world_expect(w, MU_AGENT_ANSWERED);
    query.serial = "0x4A77";
    world_query(w, query);
    assert_int_equal(w->err.code, MU_DENIED);
    query.serial = "what";
    world_query(w, query);
    assert_int_equal(w->err.code, MU_INPUT);
}

static void test_a_crl_is_asked_for_over_scep(void **state)
{
    struct world *w = *state;

    enroll(w, "vpn");
    world_query(w, (struct mu_agent_query){.op = MU_AGENT_QUERY_CRL, .name = "vpn"});
    world_expect(w, MU_AGENT_ANSWERED);
    assert_true(kit_has(w->kit, "crl/sceptest.crl"));
    assert_non_null(strstr(w->file, "/crl/sceptest.crl"));
}

/* ---- CRLs by URL ---- */

static struct mu_buf crl_body;

static void crl_serve(void *cookie, const struct mu_http_request *request,
    struct mu_http_response *response, struct mu_err *err)
{
    assert_int_equal(
        mu_http_response_set(response, 200, "application/pkix-crl", mu_buf_bytes(&crl_body), err), MU_OK);
}

static void test_a_crl_is_kept_only_from_a_known_ca(void **state)
{
    struct world *w = *state;
    struct mu_transport *transport = mu_fake_transport_new(w->loop, crl_serve, NULL);
    const struct mu_pki_crl_params params = {.issuer = w->peer.cert->subject,
        .this_update_s = MU_FAKE_LOOP_START_S, .next_update_s = MU_FAKE_LOOP_START_S + 86400, .number = 1};
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_CRL, .url = "http://ca.example/x.crl"};
    char used[MU_KEYSTORE_NAME];

    w->agent.transport = transport;
    assert_int_equal(mu_pki_crl_make(&params, w->peer.key, MU_PKI_SHA256, &crl_body, NULL), MU_OK);
    world_query(w, query);
    assert_int_equal(w->err.reason, 209);
    assert_int_equal(kit_count(w->kit, "sceptest"), 0);
    assert_int_equal(
        mu_keystore_ca_add(w->kit->store, "corp", w->peer.cert, false, used, NULL), MU_OK);
    world_query(w, query);
    world_expect(w, MU_AGENT_ANSWERED);
    assert_non_null(strstr(w->file, "/crl/corp.crl"));
    assert_true(kit_has(w->kit, "crl/corp.crl"));
    crl_body.p[crl_body.n - 1] ^= 1; /* the signature's last octet */
    world_query(w, query);
    assert_int_equal(w->err.code, MU_AUTH);
    mu_buf_reset(&crl_body);
    mu_buf_put_str(&crl_body, "<html>");
    world_query(w, query);
    assert_int_equal(w->err.code, MU_INPUT);
    mu_fake_transport_free(transport);
    mu_buf_clear(&crl_body);
}

/* ---- by file ---- */

static void test_a_request_by_file_and_its_answer(void **state)
{
    struct world *w = *state;
    struct mu_agent_enroll request = {.name = "file", .settings = &w->settings};
    struct mu_buf pem = {0}, again = {0}, der = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_pki_certs certs = {0};
    struct mu_keystore_saved saved;
    struct mu_pki_cert *cert = NULL;
    uint8_t serial = 0x7F;
    struct mu_pki_tbs tbs = {.serial_magnitude = {&serial, 1}, .issuer = w->peer.cert->subject,
        .not_before_s = MU_FAKE_LOOP_START_S, .not_after_s = MU_FAKE_LOOP_START_S + 86400 * 90};

    assert_int_equal(mu_agent_csr(&w->agent, &request, &pem, NULL), MU_OK);
    assert_int_equal(mu_agent_csr(&w->agent, &request, &again, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&pem), mu_buf_str(&again));
    assert_int_equal(mu_pki_csr_decode(mu_buf_bytes(&pem), &csr, NULL), MU_OK);
    world_enroll(w, "file", request);
    assert_int_equal(w->err.code, MU_INPUT); /* it waits for install */
    tbs.subject = csr->subject;
    tbs.spki = csr->spki;
    assert_int_equal(mu_pki_cert_make(&tbs, w->peer.key, MU_PKI_SHA256, &der, NULL), MU_OK);
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, NULL), MU_OK);
    assert_int_equal(mu_pki_certs_add(&certs, w->peer.cert, NULL), MU_OK);
    assert_int_equal(mu_agent_install(&w->agent, "file", &certs, NULL, &saved, NULL), MU_AUTH);
    assert_int_equal(mu_pki_certs_add(&certs, cert, NULL), MU_OK);
    assert_int_equal(mu_agent_install(&w->agent, "none", &certs, NULL, &saved, NULL), MU_NOT_FOUND);
    assert_int_equal(mu_agent_install(&w->agent, "file", &certs, NULL, &saved, NULL), MU_OK);
    assert_string_equal(saved.stem, "7F");
    assert_true(kit_has(w->kit, "certs/file/ca.crt-0"));
    assert_false(kit_has(w->kit, "state/file.pending"));
    mu_pki_cert_free(world_latest(w, "file"));
    mu_pki_certs_clear(&certs);
    mu_pki_cert_free(cert);
    mu_pki_csr_free(csr);
    mu_buf_clear(&pem);
    mu_buf_clear(&again);
    mu_buf_clear(&der);
}

static void collect(void *cookie, const struct mu_agent_facts *facts)
{
    mu_buf_putf(cookie, "%s %s\n", facts->name, mu_agent_state_word(facts->state));
}

static void test_the_list_has_all_entries_even_broken_ones(void **state)
{
    struct world *w = *state;
    struct mu_agent_facts facts = {0};
    struct mu_buf out = {0};

    enroll(w, "b");
    assert_int_equal(mu_agent_settings_store(w->kit->store, "a", &w->settings, NULL), MU_OK);
    assert_int_equal(mu_keystore_put(w->kit->store, MU_KEYSTORE_STATE, "c", "conf",
                         mu_bytes_str("what is this"), NULL), MU_OK);
    assert_int_equal(mu_agent_list(&w->agent, collect, &out, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&out), "a NEW\nb OK\nc FAILED\n");
    assert_int_equal(mu_agent_show(&w->agent, "none", &facts, NULL), MU_NOT_FOUND);
    mu_buf_clear(&out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ca_certificates_are_fetched_and_not_trusted),
        T(test_probe_tells_protocol_and_clock),
        T(test_probe_tries_the_usual_paths_of_a_bare_host),
        T(test_a_certificate_is_asked_for_by_serial),
        T(test_a_crl_is_asked_for_over_scep),
        T(test_a_crl_is_kept_only_from_a_known_ca),
        T(test_a_request_by_file_and_its_answer),
        T(test_the_list_has_all_entries_even_broken_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
