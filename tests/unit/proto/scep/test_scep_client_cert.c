/* What a SUCCESS holds is checked: our key, our CA, and what the CA changed (SCEP-57, M213, M214,
 * COM-09, S065, S066). */
#include "world.h"

#include <string.h>

static void a_certificate_for_another_key_is_not_taken(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.issue_wrong_key = true;
    world_failed(world_run(&w, NULL), MU_AUTH, 214, "another key");
    assert_int_equal(w.saves, 0);
    world_clear(&w);
}

/* Signed by another CA's key under our CA's name. */
static void a_certificate_of_another_ca_is_not_taken(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.credential.ca_key = world_key(KEY_OTHER);
    world_failed(world_run(&w, NULL), MU_AUTH, 213, "does not verify");
    assert_int_equal(w.saves, 0);
    world_clear(&w);
}

/* SCEP answers in another order, with the CA in it: the key decides (COM-09). */
static void the_ca_beside_the_certificate_does_not_confuse(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.credential.ca_in_reply = true;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_true(mu_pki_cert_equal(result.cert, w.issued));
    assert_true(world_traced(&w.trace, "2 certificates"));
    mu_scep_client_free(client);
    world_clear(&w);
}

static void nothing_changed_nothing_told(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    assert_false(world_traced(&w.trace, "scep changed"));
    world_clear(&w);
}

/* The CA's clock a few minutes ahead of ours is no reason to throw the certificate away. */
static void answer_late(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)response;
    w->now_s -= n == 1 ? 600 : 0; /* the CA decided ten minutes ahead of the client's clock */
}

static void a_small_difference_of_clocks_is_only_warned_about(void **state)
{
    struct world w;
    struct mu_scep_client *client;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    w.tamper = answer_late;
    world_ok(world_run(&w, &client));
    mu_scep_client_result(client, &result);
    assert_non_null(strstr(result.warnings, "our clock says"));
    mu_scep_client_free(client);
    world_clear(&w);
}

/* ---- envelopes with other content ---- */

static struct mu_buf content; /* what the CA puts into the envelope */
static struct mu_buf made;

static void other_content(struct mu_scep_msg_params *p)
{
    p->envelope = mu_buf_bytes(&made);
}

static void replace(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_scep_msg msg = {0};
    struct mu_pki_enveloped_params params = {.cipher = MU_PKI_AES256_CBC};

    (void)n;
    world_ok(mu_scep_msg_decode(mu_buf_bytes(&w->last_request), &msg, &world_err));
    params.recipient = mu_pki_signed_signer(&msg.cms);
    mu_buf_clear(&made);
    world_ok(mu_pki_enveloped_encode(
        &params, mu_buf_bytes(&content), &w->env, &made, &world_err));
    world_resign(w, response, other_content);
    mu_scep_msg_clear(&msg);
}

static void odd_contents(void **state)
{
    enum { NOTHING, GARBAGE, NO_CERTS, BARE } kind;

    (void)state;
    for (kind = NOTHING; kind <= BARE; kind++) {
        struct world w;
        struct mu_pki_certs none = {0};
        struct mu_pki_cert *bare;
        enum mu_code rc;

        world_init(&w);
        bare = world_cert(&(struct world_cert){.subject = "/CN=myvpn",
            .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_CLIENT, .issuer_key = KEY_CA});
        mu_buf_clear(&content);
        if (kind == GARBAGE)
            mu_buf_put_str(&content, "garbage");
        else if (kind == NO_CERTS)
            mu_pki_certs_only_encode(&none, mu_bytes(NULL, 0), &content);
        else if (kind == BARE)
            mu_buf_put_bytes(&content, bare->der);
        w.tamper = replace;
        rc = world_run(&w, NULL);
        if (kind == BARE) /* IOP-22 */
            world_ok(rc);
        else
            world_failed(rc, MU_INPUT, 322, NULL);
        mu_pki_cert_free(bare);
        mu_buf_clear(&content);
        mu_buf_clear(&made);
        world_clear(&w);
    }
}

/* To another certificate than the one that signed the request: it cannot be opened. */
static void replace_for_other(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_pki_enveloped_params params = {.recipient = w->ca, .cipher = MU_PKI_AES128_CBC};

    (void)n;
    mu_buf_clear(&made);
    world_ok(mu_pki_enveloped_encode(
        &params, mu_bytes_str("for somebody else"), &w->env, &made, &world_err));
    world_resign(w, response, other_content);
}

static void an_envelope_for_somebody_else(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.tamper = replace_for_other;
    world_failed(world_run(&w, NULL), MU_AUTH, 322, "cannot be decrypted");
    assert_non_null(strstr(mu_err_likely_text(&world_err), "another certificate"));
    mu_buf_clear(&made);
    world_clear(&w);
}

/* An answer to a password that was never given. */
static void replace_for_password(struct world *w, unsigned n, struct mu_http_response *response)
{
    struct mu_pki_enveloped_params params
        = {.password = &w->password, .cipher = MU_PKI_AES128_CBC};

    (void)n;
    mu_buf_clear(&made);
    world_ok(mu_pki_enveloped_encode(&params, mu_bytes_str("x"), &w->env, &made, &world_err));
    world_resign(w, response, other_content);
}

static void an_envelope_to_a_password_we_do_not_have(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_request(&w, "/CN=x", KEY_CLIENT, NULL);
    w.tamper = replace_for_password;
    world_failed(world_run(&w, NULL), MU_INPUT, 322, "password");
    mu_buf_clear(&made);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_for_another_key_is_not_taken),
        cmocka_unit_test(a_certificate_of_another_ca_is_not_taken),
        cmocka_unit_test(the_ca_beside_the_certificate_does_not_confuse),
        cmocka_unit_test(nothing_changed_nothing_told),
        cmocka_unit_test(a_small_difference_of_clocks_is_only_warned_about),
        cmocka_unit_test(odd_contents),
        cmocka_unit_test(an_envelope_for_somebody_else),
        cmocka_unit_test(an_envelope_to_a_password_we_do_not_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
