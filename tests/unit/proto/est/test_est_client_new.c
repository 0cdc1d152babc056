/* A client engine of a configuration: what it lacks, and that it copies what it was given. */
#include "world.h"

static void lacks_are_named(void **state)
{
    struct mu_est_client *client = NULL;
    struct world w;

    (void)state;
    world_init(&w);
    w.config.url = NULL;
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 0, "needs a URL");
    w.config.url = "http://h";
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 201, NULL);
    w.config.url = "https://h";
    w.config.label = "csrattrs";
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 401, NULL);
    w.config.label = NULL;
    w.config.subject = mu_bytes("\x30\x01", 2);
    world_failed(mu_est_client_new(&w.config, &client, &world_err), MU_INPUT, 0, "no Name");
    assert_null(client);
    world_clear(&w);
}

/* What the configuration pointed at may go once the engine is made. */
static void keeps_copies(void **state)
{
    char url[] = WORLD_URL, user[] = "estuser", entry[] = "est-test101";
    struct mu_est_client *client = NULL;
    struct mu_secret password = {0};
    struct world w;

    (void)state;
    world_init(&w);
    w.wants_password = true;
    world_ok(mu_secret_set(&password, mu_bytes_str("estpwd"), &world_err));
    w.config.url = url;
    w.config.user = user;
    w.config.entry = entry;
    w.config.password = &password;
    world_ok(mu_est_client_new(&w.config, &client, &world_err));
    memset(url, 'x', sizeof url - 1);
    memset(user, 'x', sizeof user - 1);
    memset(entry, 'x', sizeof entry - 1);
    mu_secret_clear(&password);
    mu_buf_clear(&w.subject);
    world_ok(world_drive(&w, client));
    assert_string_equal(w.last_entry, "estuser");
    assert_true(world_traced(&w.trace, "est start: enroll for 'est-test101'"));
    mu_est_client_free(client);
    mu_est_client_free(NULL);
    world_clear(&w);
}

static void tells_nothing_before_it_is_asked(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client = NULL;
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(mu_est_client_new(&w.config, &client, &world_err));
    mu_est_client_result(client, &r);
    assert_null(r.ca_certs);
    assert_null(r.cert);
    assert_null(r.key);
    assert_int_equal(r.csr.n, 0);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.warnings, "");
    mu_est_client_free(client);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lacks_are_named),
        cmocka_unit_test(keeps_copies),
        cmocka_unit_test(tells_nothing_before_it_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
