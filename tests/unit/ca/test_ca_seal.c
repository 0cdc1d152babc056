/* An entry's secret is kept so that protocols can compute with it, for this entry alone. */
#include "ca/ca_seal.h"

#include "ca_world.h"

/* As the store has it. */
struct kept {
    uint8_t hash[32];
    struct mu_buf sealed;
};

static bool take(void *cookie, const struct mu_record_entry *row)
{
    struct kept *k = cookie;

    memcpy(k->hash, row->password_hash.p, 32);
    mu_buf_reset(&k->sealed);
    mu_buf_put_bytes(&k->sealed, row->sealed);
    return false;
}

static struct kept kept_of(struct ca_world *w, const char *name)
{
    struct kept k = {0};

    ca_ok(mu_ca_entries_each(
        w->ca, &(struct mu_store_filter){.name = name, .limit = 1}, take, &k, &ca_err));
    return k;
}

static void opens(struct ca_world *w, const char *name, const char *password)
{
    struct kept k = kept_of(w, name);
    struct mu_secret open = {0};

    ca_ok(mu_ca_unseal(
        w->ca, MU_CA_SEAL_ENTRY, name, mu_buf_bytes(&k.sealed), &open, &ca_err));
    assert_string_equal((const char *)open.p, password);
    for (size_t i = 0; i + open.n <= k.sealed.n; i++)
        assert_memory_not_equal(k.sealed.p + i, password, open.n);
    mu_secret_clear(&open);
    mu_buf_clear(&k.sealed);
}

/* HOUSE 6: once per use */
static void a_new_entry_and_a_new_password_are_kept_both_ways(void **state)
{
    struct ca_world *w = *state;
    struct mu_ca_entry_new e = {.name = "door", .profile = "scep-auto", .operator= "alice" };
    struct mu_secret password = {0}, given = {0};

    opens(w, "demo-auto", "challenge1");
    ca_ok(mu_ca_entry_new(w->ca, &e, &password, &ca_err));
    opens(w, "door", (const char *)password.p);
    ca_ok(mu_secret_set(&given, mu_bytes_str("sesame"), &ca_err));
    ca_ok(mu_ca_entry_passwd(w->ca, "door", &given, NULL, "alice", &ca_err));
    opens(w, "door", "sesame");
    ca_ok(mu_ca_entry_disable(w->ca, "door", true, "alice", &ca_err));
    ca_ok(mu_ca_entry_reset(w->ca, "door", "alice", &ca_err));
    opens(w, "door", "sesame"); /* other changes leave it */
    ca_world_restart(w);
    opens(w, "door", "sesame");
    mu_secret_clear(&password);
    mu_secret_clear(&given);
}

static void a_password_is_at_most_what_a_challenge_may_be(void **state)
{
    struct ca_world *w = *state;
    struct mu_secret given = {0};
    char text[300];

    memset(text, 'p', sizeof text);
    ca_ok(mu_secret_set(&given, mu_bytes(text, 256), &ca_err));
    assert_int_equal(
        mu_ca_entry_passwd(w->ca, "demo-auto", &given, NULL, "alice", &ca_err), MU_INPUT);
    ca_ok(mu_secret_set(&given, mu_bytes(text, 255), &ca_err));
    ca_ok(mu_ca_entry_passwd(w->ca, "demo-auto", &given, NULL, "alice", &ca_err));
    opens(w, "demo-auto", (const char *)given.p);
    mu_secret_clear(&given);
}

static void refused(struct ca_world *w, enum mu_ca_seal_kind kind, const char *name,
    struct mu_bytes sealed, enum mu_code code)
{
    struct mu_secret open = {0};

    assert_int_equal(mu_ca_unseal(w->ca, kind, name, sealed, &open, &ca_err), code);
    assert_false(mu_secret_is_set(&open));
    assert_null(strstr(ca_err.what, "challenge1"));
}

static void another_name_kind_secret_or_bit_opens_nothing(void **state)
{
    struct ca_world *w = *state;
    struct kept k = kept_of(w, "demo-auto");
    struct mu_bytes sealed = mu_buf_bytes(&k.sealed);

    refused(w, MU_CA_SEAL_ENTRY, "demo-manual", sealed, MU_AUTH);
    refused(w, MU_CA_SEAL_ENTRY, "", sealed, MU_AUTH);
    refused(w, MU_CA_SEAL_REQUEST, "demo-auto", sealed, MU_AUTH);
    refused(w, MU_CA_SEAL_ENTRY, "demo-auto", (struct mu_bytes){0}, MU_NOT_FOUND);
    for (size_t i = 0; i < k.sealed.n; i++) {
        k.sealed.p[i] ^= 0x10;
        refused(w, MU_CA_SEAL_ENTRY, "demo-auto", sealed, MU_AUTH);
        k.sealed.p[i] ^= 0x10;
    }
    w->config.secret = mu_bytes_str("another secret of the CA");
    ca_world_restart(w);
    refused(w, MU_CA_SEAL_ENTRY, "demo-auto", sealed, MU_AUTH);
    mu_buf_clear(&k.sealed);
}

/* RFC 5054 2.5.1.3 */
static void salts_are_stable_by_name_and_exist_for_names_nobody_has(void **state)
{
    struct ca_world *w = *state;
    uint8_t a[MU_CA_SEAL_SALT], b[MU_CA_SEAL_SALT];

    ca_ok(mu_ca_seal_salt(w->ca, "nobody", a, &ca_err));
    ca_ok(mu_ca_seal_salt(w->ca, "nobody", b, &ca_err));
    assert_memory_equal(a, b, sizeof a);
    ca_ok(mu_ca_seal_salt(w->ca, "demo-auto", b, &ca_err));
    assert_memory_not_equal(a, b, sizeof a);
    ca_world_restart(w);
    ca_ok(mu_ca_seal_salt(w->ca, "nobody", b, &ca_err));
    assert_memory_equal(a, b, sizeof a);
    w->config.secret = mu_bytes_str("another secret of the CA");
    ca_world_restart(w);
    ca_ok(mu_ca_seal_salt(w->ca, "nobody", b, &ca_err));
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_new_entry_and_a_new_password_are_kept_both_ways, ca_world_demo, ca_world_end),
        cmocka_unit_test_setup_teardown(
            a_password_is_at_most_what_a_challenge_may_be, ca_world_demo, ca_world_end),
        cmocka_unit_test_setup_teardown(
            another_name_kind_secret_or_bit_opens_nothing, ca_world_demo, ca_world_end),
        cmocka_unit_test_setup_teardown(
            salts_are_stable_by_name_and_exist_for_names_nobody_has, ca_world_demo, ca_world_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
