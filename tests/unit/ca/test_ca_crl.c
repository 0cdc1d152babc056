/* Revocation lists: numbers, renewal before the end, what stays in them. */
#include "ca_world.h"

#include "pki/pki_crl.h"

static struct mu_pki_crl *latest(struct ca_world *w)
{
    struct mu_buf der = {0};
    struct mu_pki_crl *crl = NULL;

    ca_ok(mu_ca_crl_latest(w->ca, "demo", &der, &ca_err));
    ca_ok(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, &ca_err));
    mu_buf_clear(&der);
    return crl;
}

static unsigned number(const struct mu_pki_crl *crl)
{
    unsigned n = 0;

    for (size_t i = 0; i < crl->number.n; i++)
        n = n << 8 | crl->number.p[i];
    return n;
}

/* CA-16, CA-19 */
static void lists_are_renewed_before_they_end(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_crl *first = latest(w), *same, *next;

    assert_int_equal(number(first), 1);
    w->now_s = NOW + 6 * 86400 - 1;
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    same = latest(w);
    assert_int_equal(number(same), 1);
    w->now_s = NOW + 6 * 86400; /* a day before its end */
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    next = latest(w);
    assert_int_equal(number(next), 2);
    assert_true(next->next_update_s > first->next_update_s);
    mu_pki_crl_free(first);
    mu_pki_crl_free(same);
    mu_pki_crl_free(next);
}

static void a_revoked_certificate_stays_until_after_its_end(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;
    struct mu_buf hex = {0};
    struct mu_pki_crl *crl;

    ca_profile(w, "scep-auto", "lifetime = 10d\n");
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, &cert));
    mu_pki_cert_serial_hex(cert->serial, &hex);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&hex), 0, "a", &ca_err));
    w->now_s = cert->not_after_s + 1;
    ca_ok(mu_ca_crl(w->ca, NULL, NULL, &ca_err));
    crl = latest(w);
    assert_int_equal(mu_pki_crl_count(crl), 1); /* one list after its end still has it */
    mu_pki_crl_free(crl);
    w->now_s = cert->not_after_s + 8 * 86400;
    ca_ok(mu_ca_crl(w->ca, NULL, NULL, &ca_err));
    crl = latest(w);
    assert_int_equal(mu_pki_crl_count(crl), 0);
    mu_pki_crl_free(crl);
    mu_pki_cert_free(cert);
    mu_buf_clear(&hex);
}

static void numbers_go_on_after_a_restart(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_crl *crl;

    ca_ok(mu_ca_crl(w->ca, NULL, NULL, &ca_err));
    ca_world_restart(w);
    ca_ok(mu_ca_crl(w->ca, NULL, NULL, &ca_err));
    crl = latest(w);
    assert_int_equal(number(crl), 3);
    mu_pki_crl_free(crl);
}

static void an_unknown_ca_has_none(void **state)
{
    struct ca_world *w = *state;
    struct mu_buf der = {0};

    assert_int_equal(mu_ca_crl(w->ca, "none", &der, &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_crl_latest(w->ca, "none", &der, &ca_err), MU_NOT_FOUND);
    w->keys_lost = true;
    ca_world_restart(w);
    assert_int_equal(mu_ca_crl(w->ca, "demo", &der, &ca_err), MU_INTERNAL);
    mu_buf_clear(&der);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(lists_are_renewed_before_they_end),
        CASE(a_revoked_certificate_stays_until_after_its_end),
        CASE(numbers_go_on_after_a_restart),
        CASE(an_unknown_ca_has_none),
    };

    return cmocka_run_group_tests_name("ca_crl", tests, NULL, NULL);
}
