/* What an operation cannot do without is said at once, and what is given is copied. */
#include "world.h"

#include <string.h>

static void lacks_are_named(void **state)
{
    struct world w;
    struct mu_scep_client_config config;
    struct mu_scep_client *client = NULL;

    (void)state;
    world_init(&w);
    config = w.config;
    config.url = "";
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 0, "URL");
    config = w.config;
    config.csr = mu_bytes(NULL, 0);
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 0, "request");
    config = w.config;
    config.key = NULL;
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 0, "private key");
    config = w.config;
    config.key = world_key(KEY_OTHER);
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 708, "another key");
    config = w.config;
    config.op = MU_SCEP_CLIENT_CERT;
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 0, "to sign with");
    config.signer_cert = w.ca;
    config.signer_key = world_key(KEY_CA);
    world_failed(mu_scep_client_new(&config, &client, &world_err), MU_INPUT, 0, "serial number");
    config = w.config;
    config.csr = mu_bytes_str("no request");
    assert_int_equal(mu_scep_client_new(&config, &client, &world_err), MU_INPUT);
    assert_null(client);
    mu_scep_client_free(NULL);
    world_clear(&w);
}

/* Everything but env may go away after new. */
static void the_configuration_is_copied(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    char url[] = WORLD_URL, entry[] = "vpn";

    (void)state;
    world_init(&w);
    w.config.url = url;
    w.config.entry = entry;
    world_ok(mu_scep_client_new(&w.config, &client, &world_err));
    memset(url, 'x', sizeof url - 1);
    memset(entry, 'x', sizeof entry - 1);
    memset(&w.config, 0, sizeof w.config);
    memset(w.csr.p, 0, w.csr.n);
    world_ok(world_drive(&w, client));
    assert_true(world_traced(&w.trace, "PKCSReq for 'vpn'"));
    mu_scep_client_free(client);
    world_clear(&w);
}

static void nothing_is_known_at_first(void **state)
{
    struct world w;
    struct mu_scep_client *client = NULL;
    struct mu_scep_client_result result;

    (void)state;
    world_init(&w);
    world_ok(mu_scep_client_new(&w.config, &client, &world_err));
    mu_scep_client_result(client, &result);
    assert_false(result.has_caps);
    assert_int_equal(result.ca_certs->n, 0);
    assert_null(result.transaction_id);
    assert_null(result.cert);
    assert_int_equal(result.fail_info, -1);
    assert_int_equal(result.pki_status, -1);
    assert_string_equal(result.warnings, "");
    mu_scep_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lacks_are_named),
        cmocka_unit_test(the_configuration_is_copied),
        cmocka_unit_test(nothing_is_known_at_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
