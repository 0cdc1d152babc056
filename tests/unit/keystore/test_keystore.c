/* The store's directories, locks, small files, CA certificates and files elsewhere. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* R032, D6: everything lies below the root that is named; PRODUCT "Files". */
static void test_open_makes_the_directories(void **state)
{
    struct kit *kit = *state;

    assert_int_equal(kit_mode(kit, "state"), 0700);
    assert_int_equal(kit_mode(kit, "secrets"), 0700);
    assert_true(kit_has(kit, "certs"));
    assert_true(kit_has(kit, "ca"));
    assert_true(kit_has(kit, "crl"));
}

static void test_open_without_create_refuses_what_is_not_there(void **state)
{
    struct kit *kit = *state;
    struct mu_keystore *store = NULL;
    char path[128];

    snprintf(path, sizeof(path), "%s/none/deeper", kit->root);
    assert_int_equal(mu_keystore_open(path, false, &store, NULL), MU_NOT_FOUND);
    assert_null(store);
    assert_int_equal(mu_keystore_open(path, true, &store, NULL), MU_OK);
    mu_keystore_free(store);
    assert_true(kit_has(kit, "none/deeper/certs"));
}

static void test_names_cannot_leave_the_store(void **state)
{
    struct kit *kit = *state;
    static const char *const bad[] = {"", ".", "..", "../x", "a/b", "-x", ".x", "a b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mu_keystore_lock *lock = NULL;
        struct mu_buf out = {0};

        assert_int_equal(mu_keystore_lock(kit->store, bad[i], &lock, NULL), MU_INPUT);
        assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, bad[i], "conf",
                             mu_bytes_str("x"), NULL), MU_INPUT);
        assert_int_equal(
            mu_keystore_get(kit->store, MU_KEYSTORE_SECRETS, bad[i], "conf", &out, NULL), MU_INPUT);
    }
    assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "a", "../x", mu_bytes_str("x"),
                         NULL), MU_INPUT);
    assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "a", "", mu_bytes_str("x"), NULL),
        MU_INPUT);
}

static void test_a_lock_is_held_once_and_names_the_process(void **state)
{
    struct kit *kit = *state;
    struct mu_keystore_lock *lock = NULL, *second = NULL, *other = NULL;
    struct mu_err err = {0};
    char pid[32];

    assert_int_equal(mu_keystore_lock(kit->store, "a", &lock, NULL), MU_OK);
    assert_int_equal(mu_keystore_lock(kit->store, "a", &second, &err), MU_BUSY);
    assert_int_equal(err.reason, 707);
    snprintf(pid, sizeof(pid), "process %ld works", (long)getpid());
    assert_non_null(strstr(err.what, pid));
    assert_int_equal(mu_keystore_lock(kit->store, "b", &other, NULL), MU_OK);
    mu_keystore_unlock(other);
    mu_keystore_unlock(lock);
    assert_int_equal(mu_keystore_lock(kit->store, "a", &second, NULL), MU_OK);
    mu_keystore_unlock(second);
}

static void test_small_files_are_private_and_whole(void **state)
{
    struct kit *kit = *state;
    struct mu_buf out = {0};

    assert_false(mu_keystore_has(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge"));
    assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge",
                         mu_bytes_str("one"), NULL), MU_OK);
    assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge",
                         mu_bytes_str("two"), NULL), MU_OK);
    assert_int_equal(kit_mode(kit, "secrets/a.challenge"), 0600);
    assert_int_equal(
        mu_keystore_get(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge", &out, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&out), "two");
    mu_buf_clear(&out);
    assert_int_equal(
        mu_keystore_remove(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge", NULL), MU_OK);
    assert_int_equal(
        mu_keystore_remove(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge", NULL), MU_OK);
    assert_int_equal(
        mu_keystore_get(kit->store, MU_KEYSTORE_SECRETS, "a", "challenge", &out, NULL), MU_NOT_FOUND);
    assert_int_equal(kit_count(kit, ".tmp-"), 0);
}

static void collect(void *cookie, const char *name)
{
    mu_buf_putf(cookie, "%s ", name);
}

static void test_kinds_belong_to_their_name_only(void **state)
{
    struct kit *kit = *state;
    static const char *const names[] = {"a", "a.b", "ab"};
    struct mu_buf out = {0};

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_SECRETS, names[i], "k",
                             mu_bytes_str("x"), NULL), MU_OK);
    assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_SECRETS, "a", "b", mu_bytes_str("x"), NULL),
        MU_OK);
    assert_int_equal(
        mu_keystore_each_kind(kit->store, MU_KEYSTORE_SECRETS, "a", collect, &out, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&out), "b k ");
    mu_buf_clear(&out);
}

static void test_entries_are_listed_once_and_sorted(void **state)
{
    struct kit *kit = *state;
    struct mu_buf out = {0};
    struct kit_pair pair;

    kit_pair_make(&pair, "x", 7);
    kit_save(kit, "z", &pair, NULL, NULL);
    assert_int_equal(
        mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "z", "conf", mu_bytes_str("x"), NULL), MU_OK);
    assert_int_equal(
        mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "m.n", "pending", mu_bytes_str("x"), NULL), MU_OK);
    assert_int_equal(
        mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "only-last", "last", mu_bytes_str("x"), NULL), MU_OK);
    assert_int_equal(
        mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "b", "conf", mu_bytes_str("x"), NULL), MU_OK);
    assert_int_equal(mu_keystore_each(kit->store, collect, &out, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&out), "b m.n z ");
    mu_buf_clear(&out);
    kit_pair_clear(&pair);
}

/* PRODUCT "Console": CA_Cert_1, CA_Cert_2, and G_CA_Cert_1 means the same one. */
static void test_ca_certificates_get_names_and_keep_them(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b;
    char used[MU_KEYSTORE_NAME];
    struct mu_pki_cert *found = NULL;
    struct mu_pki_certs all = {0};

    kit_pair_make(&a, "ca a", 1);
    kit_pair_make(&b, "ca b", 2);
    assert_int_equal(mu_keystore_ca_add(kit->store, NULL, a.cert, false, used, NULL), MU_OK);
    assert_string_equal(used, "CA_Cert_1");
    assert_int_equal(mu_keystore_ca_add(kit->store, NULL, b.cert, false, used, NULL), MU_OK);
    assert_string_equal(used, "CA_Cert_2");
    assert_int_equal(mu_keystore_ca_add(kit->store, NULL, a.cert, false, used, NULL), MU_OK);
    assert_string_equal(used, "CA_Cert_1");
    assert_int_equal(mu_keystore_ca_get(kit->store, "G_CA_Cert_2", &found, NULL), MU_OK);
    assert_true(mu_pki_cert_equal(found, b.cert));
    mu_pki_cert_free(found);
    assert_int_equal(mu_keystore_ca_load(kit->store, NULL, &all, NULL), MU_OK);
    assert_int_equal(all.n, 2);
    mu_pki_certs_clear(&all);
    assert_int_equal(mu_keystore_ca_load(kit->store, "CA_Cert_2, G_CA_Cert_1", &all, NULL), MU_OK);
    assert_int_equal(all.n, 2);
    assert_true(mu_pki_cert_equal(all.v[0], b.cert));
    mu_pki_certs_clear(&all);
    assert_int_equal(mu_keystore_ca_remove(kit->store, "G_CA_Cert_1", NULL), MU_OK);
    assert_false(mu_keystore_ca_name(kit->store, a.cert, used));
    assert_true(mu_keystore_ca_name(kit->store, b.cert, used));
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

/* ca/ has no lock: what a dead process left goes, what a living one writes stays. */
static void test_leftovers_of_the_dead_are_removed_from_ca(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a;
    char used[MU_KEYSTORE_NAME], path[512], dead[64], living[64];

    /* Larger than any process number (PID_MAX_LIMIT is 4194304). */
    snprintf(dead, sizeof(dead), "ca/.tmp-%d-x.crt", 1 << 29);
    snprintf(living, sizeof(living), "ca/.tmp-%ld-x.crt", (long)getppid());
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", kit->root, i == 0 ? dead : living);
        assert_int_equal(mu_keystore_file_write(path, 0644, mu_bytes_str("x"), NULL), MU_OK);
    }
    kit_pair_make(&a, "ca a", 1);
    assert_int_equal(mu_keystore_ca_add(kit->store, NULL, a.cert, false, used, NULL), MU_OK);
    assert_false(kit_has(kit, dead));
    assert_true(kit_has(kit, living));
    kit_pair_clear(&a);
}

static void test_an_unknown_ca_is_m210_with_the_known_names(void **state)
{
    struct kit *kit = *state;
    struct mu_pki_cert *found = NULL;
    struct mu_pki_certs all = {0};
    struct mu_err err = {0};
    struct kit_pair a;
    char used[MU_KEYSTORE_NAME];

    kit_pair_make(&a, "ca a", 1);
    assert_int_equal(mu_keystore_ca_add(kit->store, "corp", a.cert, false, used, NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_get(kit->store, "crop", &found, &err), MU_NOT_FOUND);
    assert_int_equal(err.reason, 210);
    assert_non_null(strstr(err.what, "crop"));
    assert_non_null(strstr(err.next, "corp"));
    assert_int_equal(mu_keystore_ca_load(kit->store, "corp, crop", &all, &err), MU_NOT_FOUND);
    assert_int_equal(all.n, 0);
    assert_int_equal(mu_keystore_ca_remove(kit->store, "crop", NULL), MU_NOT_FOUND);
    kit_pair_clear(&a);
}

static void test_another_ca_under_the_same_name_is_m211(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b;
    struct mu_err err = {0};
    struct mu_pki_cert *found = NULL;
    char used[MU_KEYSTORE_NAME];

    kit_pair_make(&a, "ca", 1);
    kit_pair_make(&b, "ca", 2);
    assert_int_equal(mu_keystore_ca_add(kit->store, "corp", a.cert, false, used, NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_add(kit->store, "corp", a.cert, false, used, NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_add(kit->store, "corp", b.cert, false, used, &err), MU_AUTH);
    assert_int_equal(err.reason, 211);
    assert_int_equal(mu_keystore_ca_add(kit->store, "corp", b.cert, true, used, NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_get(kit->store, "corp", &found, NULL), MU_OK);
    assert_true(mu_pki_cert_equal(found, b.cert));
    mu_pki_cert_free(found);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

static void write_file(const struct kit *kit, const char *name, const char *text, unsigned mode,
    char path[512])
{
    snprintf(path, 512, "%s/%s", kit->root, name);
    assert_int_equal(mu_keystore_file_write(path, mode, mu_bytes_str(text), NULL), MU_OK);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void test_secrets_readable_by_others_are_refused(void **state)
{
    static const struct {
        unsigned mode;
        enum mu_code want;
    } cases[] = {{0600, MU_OK}, {0400, MU_OK}, {0640, MU_DENIED}, {0604, MU_DENIED}, {0644, MU_DENIED},
        {0622, MU_DENIED}};
    struct kit *kit = *state;
    char path[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_buf out = {.secret = true};
        struct mu_err err = {0};

        write_file(kit, "secret", "pass word\r\n", cases[i].mode, path);
        assert_int_equal(
            mu_keystore_file_read(path, MU_KEYSTORE_SECRET, &out, &err), cases[i].want);
        assert_int_equal(mu_keystore_file_is_open(path, NULL), cases[i].want != MU_OK);
        if (cases[i].want == MU_OK)
            assert_string_equal(mu_buf_str(&out), "pass word");
        else
            assert_int_equal(err.reason, 701);
        mu_buf_clear(&out);
    }
}

static void test_reading_names_what_is_wrong(void **state)
{
    struct kit *kit = *state;
    struct mu_buf out = {0};
    struct mu_err err = {0};
    char path[512];

    snprintf(path, sizeof(path), "%s/none", kit->root);
    assert_int_equal(mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &out, &err), MU_NOT_FOUND);
    assert_non_null(strstr(err.what, path));
    assert_int_equal(mu_keystore_file_read(kit->root, MU_KEYSTORE_PUBLIC, &out, &err), MU_STORAGE);
    if (geteuid() != 0) { /* root may read everything */
        write_file(kit, "closed", "x", 0, path);
        assert_int_equal(mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, &out, &err), MU_STORAGE);
        assert_int_equal(err.reason, 704);
    }
    mu_buf_clear(&out);
}

static void test_writing_replaces_a_link_instead_of_following_it(void **state)
{
    struct kit *kit = *state;
    struct mu_buf out = {0};
    char target[512], link[512];

    write_file(kit, "target", "old", 0644, target);
    snprintf(link, sizeof(link), "%s/link", kit->root);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(mu_keystore_file_write(link, 0600, mu_bytes_str("new"), NULL), MU_OK);
    kit_file(kit, "target", &out);
    assert_string_equal(mu_buf_str(&out), "old");
    mu_buf_reset(&out);
    kit_file(kit, "link", &out);
    assert_string_equal(mu_buf_str(&out), "new");
    assert_int_equal(kit_mode(kit, "link"), 0600);
    mu_buf_clear(&out);
}

static void test_keys_go_to_a_file_and_come_back(void **state)
{
    struct kit *kit = *state;
    struct kit_pair pair;
    struct mu_secret password = {0}, wrong = {0};
    struct mu_buf text = {.secret = true};
    struct mu_pki_key *key = NULL;
    struct mu_err err = {0};
    char path[512];

    kit_pair_make(&pair, "x", 1);
    assert_int_equal(mu_secret_set(&password, mu_bytes_str("abc"), NULL), MU_OK);
    assert_int_equal(mu_secret_set(&wrong, mu_bytes_str("abd"), NULL), MU_OK);
    assert_int_equal(mu_keystore_key_text(pair.key, NULL, &password, &text, NULL), MU_OK);
    write_file(kit, "key", mu_buf_str(&text), 0600, path);
    assert_int_equal(mu_keystore_key_read(path, &password, &key, NULL), MU_OK);
    assert_true(mu_pki_key_equal(key, pair.key));
    mu_pki_key_free(key);
    key = NULL;
    assert_int_not_equal(mu_keystore_key_read(path, &wrong, &key, &err), MU_OK);
    assert_int_equal(err.reason, 703);
    assert_null(key);
    mu_buf_clear(&text);
    mu_secret_clear(&password);
    mu_secret_clear(&wrong);
    kit_pair_clear(&pair);
}

static void test_crls_lie_in_their_own_directory(void **state)
{
    struct kit *kit = *state;
    struct mu_buf path = {0}, out = {0};

    assert_int_equal(mu_keystore_crl_put(kit->store, "corp", mu_bytes_str("der"), &path, NULL), MU_OK);
    assert_non_null(strstr(mu_buf_str(&path), "/crl/corp.crl"));
    kit_file(kit, "crl/corp.crl", &out);
    assert_string_equal(mu_buf_str(&out), "der");
    mu_buf_clear(&path);
    mu_buf_clear(&out);
}

/* E054: where a CA was learned stands beside it, each place once, and goes with it. */
static void test_a_ca_remembers_where_it_was_learned(void **state)
{
    struct kit *kit = *state;
    struct mu_buf lines = {0};

    assert_false(mu_keystore_ca_from_get(kit->store, "corp", &lines));
    assert_int_equal(mu_keystore_ca_from_put(kit->store, "corp", "est https://a", NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_from_put(kit->store, "corp", "est https://ab", NULL), MU_OK);
    assert_int_equal(mu_keystore_ca_from_put(kit->store, "corp", "est https://a", NULL), MU_OK);
    assert_true(mu_keystore_ca_from_get(kit->store, "corp", &lines));
    assert_string_equal(mu_buf_str(&lines), "est https://a\nest https://ab\n");
    mu_buf_clear(&lines);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_open_makes_the_directories),
        T(test_open_without_create_refuses_what_is_not_there),
        T(test_names_cannot_leave_the_store),
        T(test_a_lock_is_held_once_and_names_the_process),
        T(test_small_files_are_private_and_whole),
        T(test_kinds_belong_to_their_name_only),
        T(test_entries_are_listed_once_and_sorted),
        T(test_ca_certificates_get_names_and_keep_them),
        T(test_leftovers_of_the_dead_are_removed_from_ca),
        T(test_a_ca_remembers_where_it_was_learned),
        T(test_an_unknown_ca_is_m210_with_the_known_names),
        T(test_another_ca_under_the_same_name_is_m211),
        T(test_secrets_readable_by_others_are_refused),
        T(test_reading_names_what_is_wrong),
        T(test_writing_replaces_a_link_instead_of_following_it),
        T(test_keys_go_to_a_file_and_come_back),
        T(test_crls_lie_in_their_own_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
