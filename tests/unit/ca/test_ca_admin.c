/* What an operator does: entries and their passwords, profiles, revocation, lists. */
#include "ca_world.h"

#include <stdio.h>

#include "pki/pki_crl.h"

static struct mu_ca_entry_new entry(const char *name)
{
    return (struct mu_ca_entry_new){.name = name, .profile = "scep-auto", .operator= "alice" };
}

static void a_random_password_is_handed_over_once(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_entry_new one = entry("one"), two = entry("two");
    struct mu_secret first = {0}, second = {0};

    ca_ok(mu_ca_entry_new(w->ca, &one, &first, &ca_err));
    ca_ok(mu_ca_entry_new(w->ca, &two, &second, &ca_err));
    assert_int_equal(first.n, 26); /* 128 bits, five in each */
    assert_int_equal(strspn((const char *)first.p, "abcdefghijklmnopqrstuvwxyz234567"), 26);
    assert_memory_not_equal(first.p, second.p, 26);
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = (const char *)first.p}, NULL));
    assert_int_equal(mu_ca_entry_new(w->ca, &(struct mu_ca_entry_new){.name = "three", .profile = "scep-auto", .operator = ""}, NULL, &ca_err), MU_INPUT);
    mu_secret_clear(&first);
    mu_secret_clear(&second);
}

static void entries_that_make_no_sense_are_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_entry_new e = entry("..");
    struct mu_secret password = {0}, given = {0};

    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_INPUT);
    e = entry("x");
    e.profile = "none";
    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_NOT_FOUND);
    e = entry("x");
    e.ca = "nowhere";
    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_NOT_FOUND);
    e = entry("x");
    ca_ok(mu_secret_set(&given, mu_bytes_str("abc"), &ca_err));
    e.password = &given;
    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_INPUT); /* too short */
    ca_ok(mu_secret_set(&given, mu_bytes_str("challenge1"), &ca_err));
    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_DENIED); /* another one's */
    e = entry("demo-auto");
    assert_int_equal(mu_ca_entry_new(w->ca, &e, &password, &ca_err), MU_DENIED); /* name taken */
    mu_secret_clear(&password);
    mu_secret_clear(&given);
}

static void a_new_password_replaces_the_old(void **state)
{
    struct ca_world *w = *state;
    struct mu_secret made = {0};

    ca_ok(mu_ca_entry_passwd(w->ca, "demo-auto", NULL, &made, "alice", &ca_err));
    ca_refused(w, &(struct ca_client){.challenge = "challenge1"}, MU_REFUSE_PASSWORD, NULL);
    ca_ok(ca_enroll(
        w, &(struct ca_client){.challenge = (const char *)made.p, .subject = "/CN=b"}, NULL));
    assert_int_equal(
        mu_ca_entry_passwd(w->ca, "nobody", NULL, &made, "alice", &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_entry_reset(w->ca, "nobody", "alice", &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_entry_disable(w->ca, "nobody", true, "alice", &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_entry_remove(w->ca, "nobody", "alice", &ca_err), MU_NOT_FOUND);
    ca_ok(mu_secret_set(&made, mu_bytes_str("challenge2"), &ca_err));
    assert_int_equal(
        mu_ca_entry_passwd(w->ca, "demo-auto", &made, NULL, "alice", &ca_err), MU_DENIED);
    mu_secret_clear(&made);
}

/* An entry for one CA or protocol finds nobody elsewhere. */
static void entries_are_bound_to_ca_and_protocol(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_entry_new cmp = entry("cmp-only"), elsewhere = entry("elsewhere");
    struct mu_secret password = {0};
    const struct mu_ca_init init = {.name = "other", .root_subject = "CN=Other", .operator= "" };

    ca_ok(mu_ca_init(w->ca, &init, &ca_err));
    cmp.protocols = 1u << MU_PROTO_CMP;
    ca_ok(mu_ca_entry_new(w->ca, &cmp, &password, &ca_err));
    ca_refused(
        w, &(struct ca_client){.challenge = (const char *)password.p}, MU_REFUSE_PASSWORD, NULL);
    elsewhere.ca = "other";
    ca_ok(mu_ca_entry_new(w->ca, &elsewhere, &password, &ca_err));
    ca_refused(
        w, &(struct ca_client){.challenge = (const char *)password.p}, MU_REFUSE_PASSWORD, NULL);
    w->path = "/scep/other";
    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = (const char *)password.p}, NULL));
    mu_secret_clear(&password);
}

static void profiles_are_checked_before_they_count(void **state)
{
    struct ca_world *w = *state;

    assert_int_equal(
        mu_ca_profile_put(w->ca, "new", "lifetme = 1d\n", true, "a", &ca_err), MU_INPUT);
    ca_ok(mu_ca_profile_put(w->ca, "new", "lifetime = 1d\n", true, "a", &ca_err));
    assert_int_equal(mu_ca_profile_put(w->ca, "new", "", true, "a", &ca_err), MU_DENIED);
    assert_int_equal(mu_ca_profile_put(w->ca, "none", "", false, "a", &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_profile_remove(w->ca, "none", "a", &ca_err), MU_NOT_FOUND);
    ca_ok(mu_ca_profile_remove(w->ca, "new", "a", &ca_err));
}

struct one_cert {
    unsigned n;
    int64_t revoked_s;
    int reason;
    char transaction_id[80], profile[40], entry[40];
    bool delivery_known, renewed;
};

static bool keep_cert(void *cookie, const struct mu_record_cert *row)
{
    struct one_cert *c = cookie;

    c->n++;
    c->revoked_s = row->revoked_s;
    c->reason = row->revoke_reason;
    c->renewed = row->renewed_by.n != 0;
    c->delivery_known = row->delivery_known;
    snprintf(c->profile, sizeof c->profile, "%s", row->profile);
    snprintf(c->entry, sizeof c->entry, "%s", row->entry);
    return true;
}

static void issued_certificates_are_found_and_revoked(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = NULL;
    struct mu_buf hex = {0}, der = {0};
    struct mu_pki_crl *crl = NULL;
    struct one_cert c = {0};
    int64_t when = 0;
    int reason = -2;

    ca_ok(ca_enroll(w, &(struct ca_client){.challenge = "challenge1"}, &cert));
    ca_ok(mu_ca_certs_each(
        w->ca, &(struct mu_store_filter){.serial = cert->serial}, keep_cert, &c, &ca_err));
    assert_int_equal(c.n, 1);
    assert_string_equal(c.profile, "scep-auto");
    assert_string_equal(c.entry, "demo-auto");
    assert_false(c.delivery_known); /* SCEP-79 */
    mu_pki_cert_serial_hex(cert->serial, &hex);
    w->now_s += 60;
    ca_ok(mu_ca_revoke(w->ca, "demo", mu_buf_str(&hex), 1, "alice", &ca_err));
    assert_string_equal(w->action, "crl"); /* a new list at once */
    ca_ok(mu_ca_certs_each(
        w->ca, &(struct mu_store_filter){.serial = cert->serial}, keep_cert, &c, &ca_err));
    assert_int_equal(c.revoked_s, NOW + 60);
    assert_int_equal(c.reason, 1);
    ca_ok(mu_ca_crl_latest(w->ca, "demo", &der, &ca_err));
    ca_ok(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, &ca_err));
    assert_true(mu_pki_crl_has(crl, cert->serial, &when, &reason));
    assert_int_equal(when, NOW + 60);
    assert_int_equal(reason, 1);
    assert_int_equal(mu_ca_revoke(w->ca, "demo", mu_buf_str(&hex), 1, "alice", &ca_err),
        MU_NOT_FOUND); /* once */
    assert_int_equal(mu_ca_revoke(w->ca, "demo", "0x4711", 1, "alice", &ca_err), MU_NOT_FOUND);
    assert_int_equal(
        mu_ca_revoke(w->ca, "none", mu_buf_str(&hex), 1, "alice", &ca_err), MU_NOT_FOUND);
    assert_int_equal(mu_ca_revoke(w->ca, "demo", "xyz", 1, "alice", &ca_err), MU_INPUT);
    mu_pki_crl_free(crl);
    mu_pki_cert_free(cert);
    mu_buf_clear(&hex);
    mu_buf_clear(&der);
}

static bool note_audit(void *cookie, const struct mu_record_audit *row)
{
    snprintf(cookie, 200, "%s %s: %s", row->action, row->address, row->message);
    return false;
}

static void what_operators_do_is_audited(void **state)
{
    struct ca_world *w = *state;
    char line[200] = "";

    ca_ok(mu_ca_entry_disable(w->ca, "demo-auto", true, "alice", &ca_err));
    ca_ok(mu_ca_audits_each(w->ca, &(struct mu_store_filter){0}, note_audit, line, &ca_err));
    assert_string_equal(line, "entry alice: Entry 'demo-auto' disabled");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(a_random_password_is_handed_over_once),
        CASE(entries_that_make_no_sense_are_refused),
        CASE(a_new_password_replaces_the_old),
        CASE(entries_are_bound_to_ca_and_protocol),
        CASE(profiles_are_checked_before_they_count),
        CASE(issued_certificates_are_found_and_revoked),
        CASE(what_operators_do_is_audited),
    };

    return cmocka_run_group_tests_name("ca_admin", tests, NULL, NULL);
}
