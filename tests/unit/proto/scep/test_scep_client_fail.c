/* A refusal becomes the right row of the catalog, with the CA's own words and what to do next
 * (M302..M319, S082, S084, SCEP-42, SCEP-46). */
#include "world.h"

#include <string.h>

static int fail_info;
static const char *fail_text;

static void fail_with(struct mu_scep_msg_params *p)
{
    p->status = MU_SCEP_FAILURE;
    p->fail_info = fail_info;
    p->fail_info_text = fail_text;
    p->envelope.n = 0;
}

static void refuse(struct world *w, unsigned n, struct mu_http_response *response)
{
    (void)n;
    world_resign(w, response, fail_with);
}

struct row { int fail_info; const char *text; int m; const char *part; };

static const struct row rows[] = {
    {MU_SCEP_BAD_ALG, NULL, 303, "badAlg"},
    {MU_SCEP_BAD_ALG, "we want blowfish", 303, "we want blowfish"},
    {MU_SCEP_BAD_MESSAGE_CHECK, NULL, 302, "badMessageCheck"},
    {MU_SCEP_BAD_REQUEST, NULL, 312, "gave no reason"},
    {MU_SCEP_BAD_REQUEST, "", 312, "gave no reason"},
    {MU_SCEP_BAD_REQUEST, "The challenge password is wrong.", 311, "is wrong"},
    {MU_SCEP_BAD_REQUEST, "The enrollment PASSWORD was used already.", 311, "used already"},
    {MU_SCEP_BAD_REQUEST, "renewal allowed from 2026-01-01", 314, "2026-01-01"},
    {MU_SCEP_BAD_REQUEST, "It is too early to renew this certificate.", 314, "too early"},
    {MU_SCEP_BAD_REQUEST, "The subject differs from that of the current certificate.", 315, NULL},
    {MU_SCEP_BAD_REQUEST, "There are too many live certificates for this subject.", 316, NULL},
    {MU_SCEP_BAD_REQUEST, "go away", 312, "\"go away\""},
    {MU_SCEP_BAD_TIME, "you are late", 317, "you are late"},
    {MU_SCEP_BAD_CERT_ID, NULL, 318, "badCertId"},
    {-1, NULL, 312, "no failInfo"},
};

static void each_fail_info_has_its_row(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        struct mu_scep_client *client;
        struct mu_scep_client_result result;

        world_init(&w);
        fail_info = rows[i].fail_info;
        fail_text = rows[i].text;
        w.tamper = refuse;
        world_failed(world_run(&w, &client), MU_DENIED, rows[i].m, rows[i].part);
        assert_true(mu_err_likely_text(&world_err)[0] != '\0');
        assert_true(mu_err_next_text(&world_err)[0] != '\0');
        mu_scep_client_result(client, &result);
        assert_int_equal(result.fail_info, rows[i].fail_info);
        assert_int_equal(result.pki_status, MU_SCEP_FAILURE);
        assert_true(world_traced(&w.trace, "scep reply: pkistatus: FAILURE"));
        assert_int_equal(w.saves, 0);
        mu_scep_client_free(client);
        world_clear(&w);
    }
}

/* Our own responder's sentences lead to the rows they mean. */
static void our_refusals_are_understood(void **state)
{
    static const struct { enum mu_reason reason; int m; } t[] = {
        {MU_REFUSE_PASSWORD, 311},
        {MU_REFUSE_PASSWORD_USED, 311},
        {MU_REFUSE_PASSWORD_EXPIRED, 311},
        {MU_REFUSE_PASSWORD_MISSING, 311},
        {MU_REFUSE_RENEWAL_EARLY, 314},
        {MU_REFUSE_SUBJECT_DIFFERS, 315},
        {MU_REFUSE_ALIVE, 316},
        {MU_REFUSE_CLOCK, 317},
        {MU_REFUSE_NO_SUCH_REQUEST, 318},
        {MU_REFUSE_ALGORITHM, 303},
        {MU_REFUSE_SIGNATURE, 302},
        {MU_REFUSE_NAME, 312},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct world w;

        world_init(&w);
        w.refuse = t[i].reason;
        world_failed(world_run(&w, NULL), MU_DENIED, t[i].m, NULL);
        world_clear(&w);
    }
}

/* Escape sequences of a hostile CA do not reach a terminal. */
static void the_text_is_escaped(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    fail_info = MU_SCEP_BAD_REQUEST;
    fail_text = "a\x1b[31mb\nc";
    w.tamper = refuse;
    world_failed(world_run(&w, NULL), MU_DENIED, 312, NULL);
    assert_null(strpbrk(world_err.what, "\x1b\n"));
    assert_non_null(strstr(world_err.what, "[31mb"));
    world_clear(&w);
}

/* M312's causes, ranked by what can be checked here (S084). */
static void causes_are_ranked(void **state)
{
    static const struct {
        const char *subject; int64_t days; bool challenge; const char *first; const char *also;
    } t[] = {
        {"/C=NL/O=Fortinet/CN=myvpn", 40, false, "1. too early: 40 days left", "challenge"},
        {"/C=NL/O=Fortinet/CN=other", 40, false, "1. the subject differs", "too early"},
        {"/C=NL/O=Fortinet/CN=myvpn", -1, true, "1. the current certificate has expired",
            "one certificate"},
    };
    struct world w;
    size_t i;

    (void)state;
    fail_info = MU_SCEP_BAD_REQUEST;
    fail_text = NULL;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct mu_pki_cert *old;

        world_init(&w);
        old = world_cert(&(struct world_cert){.subject = t[i].subject,
            .issuer = "/C=NL/O=Fortinet/CN=sceptest", .key = KEY_OTHER, .issuer_key = KEY_CA,
            .not_after_s = WORLD_NOW + t[i].days * 86400 + (t[i].days > 0 ? 60 : 0)});
        world_request(&w, "/C=NL/O=Fortinet/CN=myvpn", KEY_CLIENT,
            t[i].challenge ? "secret" : NULL);
        w.config.signer_cert = old;
        w.config.signer_key = world_key(KEY_OTHER);
        w.tamper = refuse;
        world_failed(world_run(&w, NULL), MU_DENIED, 312, "refused the renewal");
        if (strstr(mu_err_likely_text(&world_err), t[i].first) == NULL
            || strstr(mu_err_likely_text(&world_err), t[i].also) == NULL)
            fail_msg("row %zu: %s", i, mu_err_likely_text(&world_err));
        assert_non_null(strstr(mu_err_next_text(&world_err), w.last_id));
        assert_non_null(strstr(mu_err_next_text(&world_err), "2025-11-20"));
        mu_pki_cert_free(old);
        world_clear(&w);
    }
    world_init(&w);
    world_request(&w, "/CN=x", KEY_CLIENT, NULL);
    w.tamper = refuse;
    world_failed(world_run(&w, NULL), MU_DENIED, 312, "refused the request");
    assert_non_null(
        strstr(mu_err_likely_text(&world_err), "1. this CA wants a challenge password"));
    world_clear(&w);
}

/* M305: badAlg for an EC key. */
static void bad_alg_for_an_ec_key_is_about_the_key(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_request(&w, "/CN=ec", KEY_EC, "secret");
    fail_info = MU_SCEP_BAD_ALG;
    fail_text = NULL;
    w.tamper = refuse;
    world_failed(world_run(&w, NULL), MU_DENIED, 305, "RSA");
    world_clear(&w);
}

/* M317: the Date header tells by how much. */
static void refuse_with_date(struct world *w, unsigned n, struct mu_http_response *response)
{
    refuse(w, n, response);
    world_ok(mu_http_response_add(
        response, "Date", "Thu, 20 Nov 2025 18:33:20 GMT", &world_err));
}

static void bad_time_tells_the_difference(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    fail_info = MU_SCEP_BAD_TIME;
    fail_text = NULL;
    w.tamper = refuse_with_date;
    world_failed(world_run(&w, NULL), MU_DENIED, 317, "badTime");
    assert_non_null(strstr(mu_err_likely_text(&world_err), "3600 s"));
    world_clear(&w);
}

static void http_errors_of_the_message(void **state)
{
    static const struct { int status; bool get; enum mu_code code; int m; } t[] = {
        {404, false, MU_NOT_FOUND, 304},
        {500, false, MU_NETWORK, 304},
        {503, true, MU_NETWORK, 304},
        {400, true, MU_NETWORK, 319},
        {400, false, MU_NOT_FOUND, 304},
        {302, false, MU_INPUT, 107},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct world w;

        world_init(&w);
        w.only_status = t[i].status;
        if (t[i].get)
            w.config.method = MU_SCEP_METHOD_GET;
        world_failed(world_run(&w, NULL), t[i].code, t[i].m, NULL);
        world_clear(&w);
    }
}

static void what_the_transport_says_is_handed_on(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.fault = FAULT_SEND;
    world_failed(world_run(&w, NULL), MU_NETWORK, 103, "no answer");
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fail_info_has_its_row),
        cmocka_unit_test(our_refusals_are_understood),
        cmocka_unit_test(the_text_is_escaped),
        cmocka_unit_test(causes_are_ranked),
        cmocka_unit_test(bad_alg_for_an_ec_key_is_about_the_key),
        cmocka_unit_test(bad_time_tells_the_difference),
        cmocka_unit_test(http_errors_of_the_message),
        cmocka_unit_test(what_the_transport_says_is_handed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
