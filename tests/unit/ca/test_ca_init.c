/* CAs as they are made: certificates, names of keys, what is refused. */
#include "ca_world.h"

#include <stdio.h>

#include "pki/pki_crl.h"
#include "pki/pki_name.h"

static int empty(void **state)
{
    static struct ca_world w;

    ca_world_open(&w, NULL);
    *state = &w;
    return 0;
}

struct kept {
    const char *name;
    struct mu_pki_certs chain, ra, next;
    bool has_key, is_default;
    unsigned n;
};

static bool keep(void *cookie, const struct mu_ca_view *view)
{
    struct kept *k = cookie;

    k->n++;
    if (strcmp(view->name, k->name) != 0)
        return true;
    k->has_key = view->has_key;
    k->is_default = view->is_default;
    for (size_t i = 0; i < view->chain->n; i++)
        ca_ok(mu_pki_certs_add(&k->chain, view->chain->v[i], &ca_err));
    for (size_t i = 0; i < view->ra->n; i++)
        ca_ok(mu_pki_certs_add(&k->ra, view->ra->v[i], &ca_err));
    for (size_t i = 0; i < view->next->n; i++)
        ca_ok(mu_pki_certs_add(&k->next, view->next->v[i], &ca_err));
    return true;
}

static struct kept look(struct ca_world *w, const char *name)
{
    struct kept k = {.name = name};

    mu_ca_each(w->ca, keep, &k);
    return k;
}

static void forget(struct kept *k)
{
    mu_pki_certs_clear(&k->chain);
    mu_pki_certs_clear(&k->ra);
    mu_pki_certs_clear(&k->next);
}

static bool has_key(const struct ca_world *w, const char *ref)
{
    for (size_t i = 0; i < w->key_n; i++)
        if (strcmp(w->keys[i].ref, ref) == 0)
            return true;
    return false;
}

/* CA-08, CA-09, SCEP-02 */
static void a_root_an_issuing_ca_and_an_ra(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "main",
        .root_subject = "/O=x/CN=Root",
        .issuing_subject = "/O=x/CN=Issuing",
        .issuing_key = {MU_PKI_KEY_EC, 256},
        .root_key = {MU_PKI_KEY_EC, 384},
        .with_ra = true,
        .settings = "default = yes\n",
        .operator= "me" };
    struct kept k;
    struct mu_pki_path_opts opts = {.now_s = NOW};
    struct mu_pki_certs roots = {0};

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    assert_true(has_key(w, "main-root") && has_key(w, "main") && has_key(w, "main-ra"));
    k = look(w, "main");
    assert_true(k.has_key && k.is_default);
    assert_int_equal(k.chain.n, 2);
    assert_true(ca_subject_is(k.chain.v[0], "/O=x/CN=Issuing"));
    assert_true(k.chain.v[0]->exts.is_ca && k.chain.v[1]->exts.is_ca);
    assert_int_equal(k.chain.v[0]->exts.path_len, 0);
    assert_int_equal(k.chain.v[1]->exts.path_len, -1);
    assert_int_equal(k.chain.v[0]->exts.key_usage,
        MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN); /* the RA does the rest */
    assert_true(mu_bytes_equal(k.chain.v[0]->exts.akid, k.chain.v[1]->exts.skid)); /* CA-07 */
    assert_int_equal(k.ra.n, 1);
    assert_true(ca_subject_is(k.ra.v[0], "/O=x/CN=Issuing RA"));
    assert_false(k.ra.v[0]->exts.is_ca);
    assert_int_equal(k.ra.v[0]->exts.key_usage, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_int_equal(k.ra.v[0]->exts.eku, MU_EKU_CMC_CA | MU_EKU_CMC_RA); /* CMP-33 */
    ca_ok(mu_pki_certs_add(&roots, k.chain.v[1], &ca_err));
    ca_ok(mu_pki_path_check(k.ra.v[0], &k.chain, &roots, &opts, &ca_err));
    mu_pki_certs_clear(&roots);
    forget(&k);
}

/* A CA without SCEP may have an RA with an EC key, which signs only. */
static void an_ra_may_have_an_ec_key(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "ec",
        .root_subject = "/CN=Root",
        .issuing_subject = "/CN=Issuing",
        .issuing_key = {MU_PKI_KEY_EC, 256},
        .root_key = {MU_PKI_KEY_EC, 256},
        .with_ra = true,
        .ra_key = {MU_PKI_KEY_EC, 256},
        .operator= "me" };
    struct mu_pki_key *key;
    struct mu_pki_key_spec spec;
    struct kept k;

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    k = look(w, "ec");
    assert_int_equal(k.ra.n, 1);
    ca_ok(mu_pki_cert_key(k.ra.v[0], &key, &ca_err));
    mu_pki_key_spec_of(key, &spec);
    assert_int_equal(spec.type, MU_PKI_KEY_EC);
    assert_int_equal(k.ra.v[0]->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
    forget(&k);
}

static void a_root_alone_signs_encrypts_and_certifies(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "one", .root_subject = "CN=One", .operator= "" };
    struct kept k;
    struct mu_buf der = {0};
    struct mu_pki_crl *crl = NULL;

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    k = look(w, "one");
    assert_int_equal(k.chain.n, 1);
    assert_int_equal(k.ra.n, 0);
    assert_int_equal(k.chain.v[0]->exts.key_usage,
        MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN | MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_true(mu_pki_cert_is_self_signed(k.chain.v[0]));
    /* CA-19: an empty CRL is there from the start */
    ca_ok(mu_ca_crl_latest(w->ca, NULL, &der, &ca_err));
    ca_ok(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, &ca_err));
    assert_int_equal(mu_pki_crl_count(crl), 0);
    assert_int_equal(crl->next_update_s, NOW + 7 * 86400);
    mu_pki_crl_free(crl);
    mu_buf_clear(&der);
    forget(&k);
}

static void what_cannot_serve_is_not_made(void **state)
{
    struct ca_world *w = *state;
    const struct {
        struct mu_ca_init init;
        const char *what;
    } cases[] = {
        {{.name = "a/b", .root_subject = "CN=x"}, "no name"},
        {{.name = "x", .root_subject = "nonsense"}, ""},
        {{.name = "x", .root_subject = "CN=x", .settings = "crl-url = a\nbogus = 1\n"}, "bogus"},
        {{.name = "x", .root_subject = "CN=x", .root_key = {MU_PKI_KEY_EC, 256}}, "needs an RA"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_ca_init init = cases[i].init;

        init.operator= "";
        assert_int_not_equal(mu_ca_init(w->ca, &init, &ca_err), MU_OK);
        assert_non_null(strstr(ca_err.what, cases[i].what));
        assert_int_equal(look(w, "x").n, 0);
    }
    w->config.key_save = NULL;
    ca_world_restart(w);
    assert_int_equal(mu_ca_init(w->ca, &(struct mu_ca_init){.name = "x", .root_subject = "CN=x", .operator = ""}, &ca_err), MU_UNSUPPORTED);
}

static void a_name_is_taken_once(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "one", .root_subject = "CN=One", .operator= "" };
    size_t keys;

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    keys = w->key_n;
    assert_int_equal(mu_ca_init(w->ca, &init, &ca_err), MU_DENIED);
    assert_int_equal(w->key_n, keys); /* no key was overwritten */
}

/* ACCEPTANCE 'Fixture' */
static void the_demo_is_made_once(void **state)
{
    struct ca_world *w = *state;
    struct kept k, again;

    ca_ok(mu_ca_demo(w->ca, &ca_err));
    k = look(w, "demo");
    assert_true(k.is_default && k.has_key);
    assert_int_equal(k.chain.n, 1);
    assert_int_equal(k.ra.n, 0);
    ca_ok(mu_ca_demo(w->ca, &ca_err));
    again = look(w, "demo");
    assert_int_equal(again.n, 1);
    assert_true(mu_pki_cert_equal(k.chain.v[0], again.chain.v[0]));
    forget(&k);
    forget(&again);
}

static void settings_are_checked_before_they_count(void **state)
{
    struct ca_world *w = *state;

    ca_ok(mu_ca_demo(w->ca, &ca_err));
    assert_int_equal(mu_ca_set(w->ca, "demo", "crl-lifetime = soon\n", "me", &ca_err), MU_INPUT);
    assert_non_null(strstr(ca_err.what, "crl-lifetime"));
    assert_int_equal(mu_ca_set(w->ca, "demo", "allow-legcy = yes\n", "me", &ca_err), MU_INPUT);
    assert_non_null(strstr(ca_err.next, "allow-legacy"));
    assert_int_equal(mu_ca_set(w->ca, "nobody", "", "me", &ca_err), MU_NOT_FOUND);
    ca_ok(mu_ca_set(w->ca, "demo",
        "crl-url = http://ca.example/crl/demo.crl\nno-challenge = scep-auto\n", "me", &ca_err));
    {
        struct mu_pki_cert *cert = NULL;

        ca_ok(ca_enroll(w, &(struct ca_client){0}, &cert));
        assert_non_null(
            memmem(cert->der.p, cert->der.n, "http://ca.example/crl/demo.crl", 30)); /* CA-13 */
        mu_pki_cert_free(cert);
    }
}

static void a_successor_below_a_root(void **state)
{
    struct ca_world *w = *state;
    const struct mu_ca_init init = {.name = "main",
        .root_subject = "CN=Root",
        .issuing_subject = "CN=Issuing",
        .with_ra = true,
        .operator= "" };
    struct kept before, with_next, after;

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    before = look(w, "main");
    ca_ok(mu_ca_next(w->ca, "main", "me", &ca_err));
    with_next = look(w, "main");
    assert_int_equal(with_next.next.n, 2);
    assert_true(mu_pki_cert_equal(with_next.next.v[1], before.chain.v[1])); /* the same root */
    assert_false(mu_bytes_equal(with_next.next.v[0]->spki, before.chain.v[0]->spki));
    ca_ok(mu_ca_activate(w->ca, "main", "me", &ca_err));
    after = look(w, "main");
    assert_true(mu_pki_cert_equal(after.chain.v[0], with_next.next.v[0]));
    assert_int_equal(after.next.n, 0);
    assert_true(after.has_key);
    assert_true(mu_bytes_equal(
        after.ra.v[0]->spki, before.ra.v[0]->spki)); /* the RA's key stays, certified anew */
    ca_ok(mu_pki_cert_verify(after.ra.v[0], after.chain.v[0], false, &ca_err));
    forget(&before);
    forget(&with_next);
    forget(&after);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, empty, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(a_root_an_issuing_ca_and_an_ra),
        CASE(an_ra_may_have_an_ec_key),
        CASE(a_root_alone_signs_encrypts_and_certifies),
        CASE(what_cannot_serve_is_not_made),
        CASE(a_name_is_taken_once),
        CASE(the_demo_is_made_once),
        CASE(settings_are_checked_before_they_count),
        CASE(a_successor_below_a_root),
    };

    return cmocka_run_group_tests_name("ca_init", tests, NULL, NULL);
}
