/* The request: what the user wants, what the CA wishes, and linking to the TLS session. */
#include "world.h"

static struct mu_pki_csr *sent(struct world *w)
{
    struct mu_pki_csr *csr = NULL;

    world_ok(mu_pki_csr_decode(mu_buf_bytes(&w->last_csr), &csr, &world_err));
    return csr;
}

static void attrs(struct world *w, const struct mu_est_csrattrs_params *params)
{
    mu_buf_clear(&w->csr_attrs);
    world_ok(mu_est_csrattrs_encode(params, &w->csr_attrs, &world_err));
}

/* Our own requests carry version 0, and nothing that was not asked for (E109). */
static void asks_for_what_the_user_wants(void **state)
{
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    world_extensions(&w, "DNS:a.example", MU_KU_DIGITAL_SIGNATURE);
    world_ok(world_run(&w, NULL));
    csr = sent(&w);
    assert_int_equal(csr->version, 0);
    assert_true(mu_pki_name_equal(csr->subject, mu_buf_bytes(&w.subject)));
    assert_true(mu_bytes_equal(csr->exts.all, mu_buf_bytes(&w.extensions)));
    assert_false(mu_secret_is_set(&csr->challenge));
    mu_pki_csr_free(csr);
    world_clear(&w);
}

/* EST-65: the CA's wish counts where the user has none. */
static void takes_the_kind_of_key_the_ca_wishes(void **state)
{
    static const struct { enum mu_pki_key_type type; unsigned bits; unsigned want_bits; } cases[] = {
        {MU_PKI_KEY_EC, 384, 384}, {MU_PKI_KEY_EC, 0, 256}, {MU_PKI_KEY_RSA, 3072, 3072},
        {MU_PKI_KEY_RSA, 0, 2048}, {MU_PKI_KEY_ED25519, 0, 0},
    };
    struct world w;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_init(&w);
        attrs(&w, &(struct mu_est_csrattrs_params){.key = {cases[i].type, cases[i].bits}});
        world_ok(world_run(&w, NULL));
        assert_int_equal(w.wanted.type, cases[i].type);
        assert_int_equal(w.wanted.bits, cases[i].want_bits);
        world_clear(&w);
    }
    world_init(&w); /* a size that is not made here */
    attrs(&w, &(struct mu_est_csrattrs_params){.key = {MU_PKI_KEY_RSA, 1024}});
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.wanted.type, MU_PKI_KEY_EC);
    assert_true(world_traced(&w.trace, "warning: the CA suggests a kind of key"));
    world_clear(&w);
}

/* E064 */
static void the_users_choice_wins(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct world w;

    (void)state;
    world_init(&w);
    world_attrs(&w, WORLD_T1);
    w.config.key_spec = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    w.config.key_spec_is_choice = true;
    world_ok(world_run(&w, &client));
    assert_int_equal(w.wanted.bits, 256);
    mu_est_client_result(client, &r);
    assert_non_null(strstr(r.warnings, "the CA suggests secp384r1, secp256r1 was asked for"));
    mu_est_client_free(client);
    world_clear(&w);
    world_init(&w); /* csrattrs = ignore */
    world_attrs(&w, WORLD_T1);
    w.config.ignore_csrattrs = true;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.exchanges[MU_EST_CSRATTRS], 0);
    assert_int_equal(w.wanted.bits, 256);
    world_clear(&w);
}

static void put_usage(struct mu_buf *exts, unsigned bits)
{
    size_t mark = mu_der_open(exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_key_usage(exts, true, bits);
    mu_der_close(exts, mark);
}

/* E056: an extension asked for with its value is in the CSR; the user's own stays. */
static void puts_in_extensions_with_values(void **state)
{
    struct mu_buf exts = {0};
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    put_usage(&exts, MU_KU_KEY_AGREEMENT);
    world_init(&w);
    attrs(&w, &(struct mu_est_csrattrs_params){.extensions = mu_buf_bytes(&exts)});
    world_ok(world_run(&w, NULL));
    csr = sent(&w);
    assert_int_equal(csr->exts.key_usage, MU_KU_KEY_AGREEMENT);
    mu_pki_csr_free(csr);
    world_extensions(&w, NULL, MU_KU_DIGITAL_SIGNATURE);
    world_ok(world_run(&w, NULL));
    csr = sent(&w);
    assert_int_equal(csr->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
    assert_true(world_traced(&w.trace, "the CA suggests another X509v3 Key Usage"));
    mu_pki_csr_free(csr);
    mu_buf_clear(&exts);
    world_clear(&w);
}

/* E056: M408 before posting. */
static void lacks_a_san_that_is_asked_for(void **state)
{
    static const char *const fill[] = {MU_EST_OID_SAN, NULL};
    struct world w;
    int with_template;

    (void)state;
    for (with_template = 0; with_template < 2; with_template++) {
        world_init(&w);
        attrs(&w, &(struct mu_est_csrattrs_params){.fill = fill, .with_template = with_template});
        world_failed(world_run(&w, NULL), MU_INPUT, 408, "subject alternative name");
        assert_int_equal(w.posts, 0);
        world_extensions(&w, "DNS:a.example", 0);
        world_ok(world_run(&w, NULL));
        assert_int_equal(w.posts, 1);
        world_clear(&w);
    }
}

/* T1's four name no value: enrollment goes on. */
static void goes_on_where_nothing_is_demanded(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_attrs(&w, WORLD_T1);
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.wanted.bits, 384);
    world_clear(&w);
}

/* EST-68: values of a template's subject are copied, holes have to be filled by the user. */
static void fills_a_template(void **state)
{
    static const struct mu_pki_name_part subject[] = {{"O", "Example"}, {"CN", NULL}, {"DC", "other"}};
    static const char *const fill[] = {"2.5.29.14", NULL};
    struct mu_est_csrattrs_params params = {.with_template = true, .subject = subject,
        .subject_n = 3, .fill = fill};
    struct mu_buf text = {0};
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    attrs(&w, &params);
    world_ok(world_run(&w, NULL));
    csr = sent(&w);
    mu_pki_name_format(csr->subject, MU_PKI_NAME_COMMA, &text);
    assert_string_equal(mu_buf_str(&text), "CN=firewall-portal1,DC=local,DC=COM,O=Example");
    assert_int_equal(csr->exts.skid.n, 20); /* of the key: we know it ourselves */
    mu_pki_csr_free(csr);
    mu_buf_clear(&text);
    world_subject(&w, "OU=x");
    world_failed(world_run(&w, NULL), MU_INPUT, 408, "CN in the subject");
    world_clear(&w);
}

/* Wished-for digests count for keys they fit. */
static void signs_with_the_digest_wished_for(void **state)
{
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    attrs(&w, &(struct mu_est_csrattrs_params){.key = {MU_PKI_KEY_EC, 256}, .digest = MU_PKI_SHA512});
    world_ok(world_run(&w, NULL));
    csr = sent(&w);
    assert_non_null(memmem(csr->sig_alg.p, csr->sig_alg.n, "\x2a\x86\x48\xce\x3d\x04\x03\x04", 8));
    mu_pki_csr_free(csr);
    world_clear(&w);
}

static void tells_of_attributes_that_are_none(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_attrs(&w, "MQA="); /* a SET */
    world_failed(world_run(&w, NULL), MU_INPUT, 408, "csrattrs");
    assert_non_null(strstr(mu_err_next_text(&world_err), "csrattrs = ignore"));
    world_clear(&w);
}

static int attrs_status;

static void answer_attrs(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *r)
{
    (void)w;
    (void)n;
    if (op == MU_EST_CSRATTRS)
        r->status = attrs_status;
}

/* E063, EST-62: a server without csrattrs, one that refuses them, one that is broken. */
static void goes_on_without_attributes(void **state)
{
    static const int fine[] = {204, 404, 405, 410, 501, 400, 403};
    struct world w;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        world_init(&w);
        attrs_status = fine[i];
        w.tamper = answer_attrs;
        world_ok(world_run(&w, NULL));
        world_clear(&w);
    }
    world_init(&w);
    attrs_status = 503;
    w.tamper = answer_attrs;
    world_failed(world_run(&w, NULL), MU_NETWORK, 405, "csrattrs: HTTP 503");
    world_clear(&w);
}

static void needs_a_key(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.no_key = true;
    world_failed(world_run(&w, NULL), MU_INPUT, 0, "no key");
    world_clear(&w);
    world_init(&w); /* one that was given is used */
    w.config.key = world_key(KEY_CLIENT);
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.keys, 0);
    world_clear(&w);
}

/* ---- linking ---- */

/* EST-53: tls-unique goes in whenever there is one; the server verifies it. E068. */
static void links_under_tls_1_2(void **state)
{
    struct mu_est_client_result r;
    struct mu_est_client *client;
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    w.tls12 = true;
    world_ok(world_run(&w, &client));
    mu_est_client_result(client, &r);
    assert_true(r.linked);
    assert_true(w.last_same_connection);
    csr = sent(&w);
    assert_int_equal(csr->challenge.n, 16);
    assert_true(world_traced(&w.trace, "est request: linked to TLS 1, tls-unique"));
    assert_true(world_traced(&w.server_trace, "linked to this TLS session: ok"));
    mu_pki_csr_free(csr);
    mu_est_client_free(client);
    w.config.no_link = true;
    world_ok(world_run(&w, NULL));
    assert_false(w.last_same_connection);
    world_clear(&w);
}

/* EST-58, EST-60: the exporter only where linking is demanded. */
static void links_under_tls_1_3_on_demand(void **state)
{
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(world_run(&w, NULL));
    assert_true(world_traced(&w.trace, "est request: linked to TLS 0\n"));
    assert_false(w.last_same_connection);
    w.credential.link_required = true;
    world_ok(world_run(&w, NULL));
    assert_true(world_traced(&w.trace, "est request: linked to TLS 1, tls-exporter"));
    csr = sent(&w);
    assert_int_equal(csr->challenge.n, 44);
    mu_pki_csr_free(csr);
    w.no_binding = true;
    world_failed(world_run(&w, NULL), MU_UNSUPPORTED, 407, "no channel binding here");
    world_clear(&w);
}

/* EST-51: the connection is lost before the POST: a GET, a new binding, the same key. */
static void links_anew_on_another_connection(void **state)
{
    struct mu_pki_csr *csr;
    struct world w;

    (void)state;
    world_init(&w);
    w.tls12 = true;
    w.drop_before_post = 1;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.bindings, 2);
    assert_int_equal(w.keys, 1);
    assert_string_equal(w.urls,
        "GET " WORLD_URL "/.well-known/est/cacerts\n"
        "GET " WORLD_URL "/.well-known/est/csrattrs\n"
        "POST " WORLD_URL "/.well-known/est/simpleenroll\n"
        "GET " WORLD_URL "/.well-known/est/csrattrs\n"
        "POST " WORLD_URL "/.well-known/est/simpleenroll\n");
    csr = sent(&w);
    assert_int_equal(csr->challenge.n, 16);
    mu_pki_csr_free(csr);
    world_clear(&w);
    world_init(&w); /* not for ever: it goes without where it may, else it fails */
    w.tls12 = true;
    w.drop_before_post = 100;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.posts, 1 + 2 + 1);
    assert_true(world_traced(&w.trace, "warning: the server keeps no connection open"));
    assert_true(world_traced(&w.trace, "est request: linked to TLS 0\n"));
    world_clear(&w);
    world_init(&w);
    w.tls12 = true;
    w.credential.link_required = true;
    w.drop_before_post = 100;
    assert_int_equal(world_run(&w, NULL), MU_NETWORK);
    assert_int_equal(w.posts, 1 + 2);
    world_clear(&w);
}

/* EST-50, EST-51: a poll of a linked request is linked to the connection it comes on. */
static void links_each_poll(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.tls12 = true;
    w.pending_n = 2;
    world_ok(world_run(&w, NULL));
    assert_int_equal(w.bindings, 3);
    assert_int_equal(w.posts, 3);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_what_the_user_wants),
        cmocka_unit_test(takes_the_kind_of_key_the_ca_wishes),
        cmocka_unit_test(the_users_choice_wins),
        cmocka_unit_test(puts_in_extensions_with_values),
        cmocka_unit_test(lacks_a_san_that_is_asked_for),
        cmocka_unit_test(goes_on_where_nothing_is_demanded),
        cmocka_unit_test(fills_a_template),
        cmocka_unit_test(signs_with_the_digest_wished_for),
        cmocka_unit_test(tells_of_attributes_that_are_none),
        cmocka_unit_test(goes_on_without_attributes),
        cmocka_unit_test(needs_a_key),
        cmocka_unit_test(links_under_tls_1_2),
        cmocka_unit_test(links_under_tls_1_3_on_demand),
        cmocka_unit_test(links_anew_on_another_connection),
        cmocka_unit_test(links_each_poll),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
