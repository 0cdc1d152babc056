/* The engine as bytes: going on after a stop at every point, and refusing what is damaged
 * (SCEP-65, R087). */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "pki/pki_pem.h"

static enum mu_code run_restored(struct world *w, struct mu_scep_client **out)
{
    struct mu_scep_client *client = NULL;
    struct mu_buf state = w->stored;
    enum mu_code rc;

    memset(&w->stored, 0, sizeof w->stored);
    rc = mu_scep_client_restore(&w->config, mu_buf_bytes(&state), &client, &world_err);
    mu_buf_clear(&state);
    if (rc == MU_OK)
        rc = world_drive(w, client);
    if (out != NULL)
        *out = client;
    else
        mu_scep_client_free(client);
    return rc;
}

/* Stopped before or after each of the three messages of an enrollment with two polls. */
static void it_goes_on_with_the_same_transaction(void **state)
{
    unsigned stop, after;

    (void)state;
    for (stop = 1; stop <= 3; stop++) {
        for (after = 0; after <= 1; after++) {
            struct world w;
            struct mu_scep_client *client, *second;
            struct mu_scep_client_result first, result;
            char id[64];

            world_init(&w);
            w.pending_n = 2;
            if (after)
                w.stop_after_send = stop;
            else
                w.stop_before_send = stop;
            assert_int_equal(world_run(&w, &client), MU_BUSY);
            mu_scep_client_result(client, &first);
            snprintf(id, sizeof id, "%s", first.transaction_id);
            assert_true(w.stored.n > 0);
            w.stop_after_send = w.stop_before_send = 0;
            world_ok(run_restored(&w, &second));
            mu_scep_client_result(second, &result);
            assert_string_equal(result.transaction_id, id);
            assert_string_equal(w.last_id, id);
            assert_true(mu_pki_cert_equal(result.self_signed, first.self_signed));
            assert_non_null(result.cert);
            assert_int_equal(w.saves, 1);
            mu_scep_client_free(client);
            mu_scep_client_free(second);
            world_clear(&w);
        }
    }
}

/* No answer seen: the same request again; PENDING seen: a poll. */
static void what_is_sent_first_depends_on_what_was_seen(void **state)
{
    struct world w;
    struct mu_scep_client *client;

    (void)state;
    world_init(&w);
    w.pending_n = 9;
    w.stop_after_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    w.stop_after_send = w.sent + 1;
    assert_int_equal(run_restored(&w, NULL), MU_BUSY);
    assert_string_equal(w.last_type, "PKCSReq");
    world_clear(&w);

    world_init(&w);
    w.pending_n = 9;
    w.config.no_wait = true;
    world_failed(world_run(&w, &client), MU_PENDING, 0, NULL);
    mu_buf_clear(&w.stored);
    world_ok(mu_scep_client_store(client, &w.stored, &world_err)); /* after its end, too */
    mu_scep_client_free(client);
    w.stop_after_send = w.sent + 1;
    assert_int_equal(run_restored(&w, NULL), MU_BUSY);
    assert_string_equal(w.last_type, "CertPoll");
    assert_true(world_traced(&w.trace, "scep start: CertPoll for 'IPSECVPNTest'"));
    world_clear(&w);
}

/* SCEP-64: neither the number of polls nor the time begins anew. */
static void the_limits_of_polling_survive_a_restart(void **state)
{
    static const struct { unsigned max_polls; int64_t max_s; unsigned sent; } rows[] = {
        {3, 3600, 4}, /* PKCSReq, 3 polls */
        {0, 180, 5},  /* PKCSReq, polls after 60, 60 again, 120, 180 s */
        {0, 150, 5},  /* the last wait is cut */
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        w.pending_n = 1000;
        w.config.await_s = 60;
        w.config.max_await_s = rows[i].max_s;
        w.config.max_polls = rows[i].max_polls;
        w.stop_after_send = 2; /* the first poll */
        assert_int_equal(world_run(&w, NULL), MU_BUSY);
        w.stop_after_send = 0;
        world_failed(run_restored(&w, &client), MU_PENDING, 313, "still pending");
        mu_scep_client_result(client, &result);
        assert_true(result.polls >= 3);
        assert_int_equal(w.sent, rows[i].sent);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* What an older version stored tells no waited time; a version to come is not guessed at. */
static void other_versions_are_known(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    uint8_t *version;

    (void)state;
    world_init(&w);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    version = w.stored.p + 6; /* SEQUENCE of two octets of length, INTEGER */
    assert_memory_equal(w.stored.p + 4, "\x02\x01\x02", 3);
    *version = 3;
    world_failed(mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err),
        MU_INPUT, 0, "another version");
    *version = 0;
    world_failed(mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err),
        MU_INPUT, 0, "another version");
    *version = 1;
    world_ok(mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    mu_scep_client_free(client);
    world_clear(&w);
}

static void the_request_itself_need_not_be_given_again(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    w.stop_before_send = 0;
    w.config.csr = mu_bytes(NULL, 0);
    w.config.trusted = NULL;
    world_ok(run_restored(&w, NULL));
    world_clear(&w);
}

static void before_a_transaction_it_begins_anew(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;

    (void)state;
    world_init(&w);
    world_ok(mu_scep_client_new(&w.config, &client, &world_err));
    world_ok(mu_scep_client_store(client, &w.stored, &world_err));
    mu_scep_client_free(client);
    world_ok(run_restored(&w, NULL));
    world_clear(&w);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct world w;
    struct mu_buf kept = {0};
    struct mu_scep_client_config config;
    struct mu_scep_client *client = NULL;
    const uint8_t pin[32] = {0xaa};

    (void)state;
    world_init(&w);
    w.stop_before_send = 1;
    w.config.allow_legacy = w.credential.allow_legacy = true;
    w.config.digest = MU_PKI_SHA1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    mu_buf_put_bytes(&kept, mu_buf_bytes(&w.stored));

    config = w.config;
    config.op = MU_SCEP_CLIENT_POLL;
    world_failed(mu_scep_client_restore(&config, mu_buf_bytes(&kept), &client, &world_err),
        MU_INPUT, 0, "another kind");
    config = w.config;
    config.key = world_key(KEY_OTHER);
    world_failed(mu_scep_client_restore(&config, mu_buf_bytes(&kept), &client, &world_err),
        MU_INPUT, 708, "another key");
    config = w.config;
    config.pin_sha256 = pin;
    world_failed(mu_scep_client_restore(&config, mu_buf_bytes(&kept), &client, &world_err),
        MU_AUTH, 211, "another CA");
    config = w.config;
    config.allow_legacy = false;
    world_failed(mu_scep_client_restore(&config, mu_buf_bytes(&kept), &client, &world_err),
        MU_UNSUPPORTED, 705, "allow-legacy");
    world_request(&w, "/CN=somebody else", KEY_CLIENT, NULL);
    world_failed(mu_scep_client_restore(&w.config, mu_buf_bytes(&kept), &client, &world_err),
        MU_INPUT, 0, "another certificate request");
    assert_null(client);
    mu_buf_clear(&kept);
    world_clear(&w);
}

static void damage_is_found(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    size_t i, step;

    (void)state;
    world_init(&w);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    step = w.stored.n / 97 + 1;
    for (i = 0; i < w.stored.n; i += step) {
        w.stored.p[i] ^= 0x20;
        assert_int_not_equal(
            mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err), MU_OK);
        w.stored.p[i] ^= 0x20;
        assert_int_not_equal(
            mu_scep_client_restore(&w.config, mu_bytes(w.stored.p, i), &client, &world_err), MU_OK);
        assert_null(client);
    }
    world_failed(mu_scep_client_restore(&w.config, mu_bytes(NULL, 0), &client, &world_err),
        MU_INPUT, 0, "damaged");
    world_ok(mu_scep_client_restore(&w.config, mu_buf_bytes(&w.stored), &client, &world_err));
    mu_scep_client_free(client);
    world_clear(&w);
}

/* No private key in it. */
static void no_private_key_is_stored(void **state)
{
    struct world w;
    struct mu_buf pem = {0}, der = {0};
    struct mu_bytes text, label;
    bool bad = false;

    (void)state;
    world_init(&w);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    world_ok(mu_pki_key_encode(world_key(KEY_CLIENT), NULL, &pem, &world_err));
    text = mu_buf_bytes(&pem);
    assert_true(mu_pki_pem_next(&text, &label, &der, &bad));
    /* the private exponent and primes lie in the second half */
    assert_null(memmem(w.stored.p, w.stored.n, der.p + der.n / 2, 32));
    assert_non_null(memmem(w.stored.p, w.stored.n, w.csr.p, w.csr.n));
    mu_buf_clear(&pem);
    mu_buf_clear(&der);
    world_clear(&w);
}

/* A renewal and an RA survive as well. */
static void renewals_and_ras_are_restored(void **state)
{
    struct world w;
    struct mu_pki_cert *old;

    (void)state;
    world_init(&w);
    world_add_ra(&w, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    old = world_cert(&(struct world_cert){.subject = "/C=NL/O=Fortinet/CN=myvpn",
        .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA});
    w.config.signer_cert = old;
    w.config.signer_key = world_key(KEY_OTHER);
    w.stop_before_send = 1;
    assert_int_equal(world_run(&w, NULL), MU_BUSY);
    w.stop_before_send = 0;
    world_ok(run_restored(&w, NULL));
    assert_string_equal(w.last_type, "RenewalReq");
    mu_pki_cert_free(old);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_with_the_same_transaction),
        cmocka_unit_test(what_is_sent_first_depends_on_what_was_seen),
        cmocka_unit_test(the_limits_of_polling_survive_a_restart),
        cmocka_unit_test(other_versions_are_known),
        cmocka_unit_test(the_request_itself_need_not_be_given_again),
        cmocka_unit_test(before_a_transaction_it_begins_anew),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(no_private_key_is_stored),
        cmocka_unit_test(renewals_and_ras_are_restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
