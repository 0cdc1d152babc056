/* Paths, labels and URLs. */
#include <stdio.h>

#include "world.h"

static void parses_paths(void **state)
{
    static const struct { const char *target; int op; const char *label; } cases[] = {
        {"/.well-known/est/cacerts", MU_EST_CACERTS, ""},
        {"/.well-known/est/csrattrs?x=1", MU_EST_CSRATTRS, ""},
        {"/.well-known/est/simpleenroll", MU_EST_SIMPLEENROLL, ""},
        {"/.well-known/est/simplereenroll", MU_EST_SIMPLEREENROLL, ""},
        {"/.well-known/est/serverkeygen", MU_EST_SERVERKEYGEN, ""},
        {"/.well-known/est/fullcmc", MU_EST_FULLCMC, ""},
        {"/.well-known/est/iot/simpleenroll", MU_EST_SIMPLEENROLL, "iot"},
        {"/.well-known/est/a%2Db/cacerts", MU_EST_CACERTS, "a-b"},
        {"/.well-known/est//cacerts", MU_EST_CACERTS, ""}, /* an empty label is none */
        /* refused: EST-80, and a label that is an operation (EST-02) */
        {"/.well-known/est/", -1, ""},
        {"/.well-known/est", -1, ""},
        {"/.well-known/est/crls", -1, ""},
        {"/.well-known/est/cacerts/", -1, ""},
        {"/.well-known/est/cacerts/cacerts", -1, ""},
        {"/.well-known/est/a/b/cacerts", -1, ""},
        {"/.well-known/est/a%2Fb/cacerts", -1, ""},
        {"/.well-known/est/a%00b/cacerts", -1, ""},
        {"/.well-known/estx/cacerts", -1, ""},
        {"/cacerts", -1, ""},
    };
    struct mu_est_path path;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum mu_code rc = mu_est_http_parse(cases[i].target, &path, &world_err);

        if (cases[i].op < 0) {
            if (rc != MU_NOT_FOUND)
                fail_msg("%s: %d", cases[i].target, (int)rc);
            continue;
        }
        world_ok(rc);
        assert_int_equal((int)path.op, cases[i].op);
        assert_string_equal(path.label, cases[i].label);
    }
}

static void refuses_long_labels(void **state)
{
    char target[200];
    struct mu_est_path path;

    (void)state;
    snprintf(target, sizeof target, "%s/%064d/cacerts", MU_EST_PATH, 0);
    world_ok(mu_est_http_parse(target, &path, &world_err));
    snprintf(target, sizeof target, "%s/%065d/cacerts", MU_EST_PATH, 0);
    assert_int_equal(mu_est_http_parse(target, &path, &world_err), MU_NOT_FOUND);
}

/* E007, E008, EST-02: by authority, by authority plus label, by full path. */
static void makes_urls(void **state)
{
    static const struct { const char *url, *label, *want; } cases[] = {
        {"https://h:8443", NULL, "https://h:8443/.well-known/est/cacerts"},
        {"https://h:8443/", "", "https://h:8443/.well-known/est/cacerts"},
        {"h", "iot", "https://h/.well-known/est/iot/cacerts"},
        {"https://[::1]:8443", "a b", "https://[::1]:8443/.well-known/est/a%20b/cacerts"},
        {"https://h/.well-known/est", NULL, "https://h/.well-known/est/cacerts"},
        {"https://h/.well-known/est/iot/", NULL, "https://h/.well-known/est/iot/cacerts"},
        {"https://h/x?y", NULL, "https://h/x/.well-known/est/cacerts"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf out = {0};

        world_ok(mu_est_http_url(cases[i].url, cases[i].label, MU_EST_CACERTS, &out, &world_err));
        assert_string_equal(mu_buf_str(&out), cases[i].want);
        mu_buf_clear(&out);
    }
}

/* E002: M201. */
static void refuses_plain_http(void **state)
{
    struct mu_buf out = {0};

    (void)state;
    world_failed(mu_est_http_url("http://h", NULL, MU_EST_CACERTS, &out, &world_err), MU_INPUT, 201, "http");
    world_failed(mu_est_http_url("https://h", "cacerts", MU_EST_CACERTS, &out, &world_err), MU_INPUT,
        401, "name of an operation");
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_paths),
        cmocka_unit_test(refuses_long_labels),
        cmocka_unit_test(makes_urls),
        cmocka_unit_test(refuses_plain_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
