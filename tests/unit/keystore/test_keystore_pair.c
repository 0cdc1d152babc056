/*
 * Pairs and their switch. Every call that changes the disk goes through keystore_io, which is
 * wrapped here: counted, made to fail, or to stop as a kill would, and its order looked at.
 */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "killed.h"

/* ---- the wrapped calls ---- */

enum { MAX_CALLS = 400 };
static char io_log[MAX_CALLS][320];

static void fd_path(int fd, char *out, size_t size)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
}

static void heard(unsigned n, const char *verb, int fd, const char *name)
{
    char path[200];

    fd_path(fd, path, sizeof(path));
    if (n < MAX_CALLS)
        snprintf(io_log[n], sizeof(io_log[0]), "%s %s%s%s", verb, path, name[0] != '\0' ? "/" : "", name);
}

static void io_reset(void)
{
    memset(io_log, 0, sizeof(io_log));
    killed_calls = killed_at = killed_fail = 0;
    killed_tears = true;
    killed_heard = heard;
}

/* ---- what a reader sees ---- */

static struct mu_pki_cert *read_cert(const struct kit *kit, const char *path)
{
    struct mu_buf text = {0};
    struct mu_pki_certs certs = {0};
    struct mu_pki_cert *cert;

    kit_file(kit, path, &text);
    assert_int_equal(mu_pki_certs_decode(mu_buf_bytes(&text), &certs, NULL), MU_OK);
    assert_int_equal(certs.n, 1);
    cert = mu_pki_cert_ref(certs.v[0]);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&text);
    return cert;
}

/* latest.crt is this certificate and latest.key its key. */
static void expect_pair(const struct kit *kit, const char *name, const struct kit_pair *pair)
{
    struct mu_pki_cert *cert;
    struct mu_pki_key *key = NULL;
    struct mu_buf text = {.secret = true};
    char path[256];

    snprintf(path, sizeof(path), "certs/%s/latest.crt", name);
    cert = read_cert(kit, path);
    assert_true(mu_pki_cert_equal(cert, pair->cert));
    snprintf(path, sizeof(path), "certs/%s/latest.key", name);
    kit_file(kit, path, &text);
    assert_int_equal(mu_keystore_key_parse(mu_buf_bytes(&text), NULL, &key, NULL), MU_OK);
    assert_true(mu_pki_key_equal(key, pair->key));
    mu_pki_key_free(key);
    mu_buf_clear(&text);
    mu_pki_cert_free(cert);
}

static bool is_current(struct kit *kit, const char *name, const char *stem)
{
    char current[MU_KEYSTORE_STEM];

    return mu_keystore_current(kit->store, name, current) && strcmp(current, stem) == 0;
}

/* ---- tests ---- */

/* R033, R034, R035: file names by serial, key 0600, the chain one by one, links that lead there. */
static void test_a_pair_lies_under_its_serial(void **state)
{
    struct kit *kit = *state;
    struct kit_pair pair, ca, root;
    struct mu_keystore_saved saved;
    struct mu_keystore_entry entry = {0};
    struct mu_pki_certs chain = {0};
    struct mu_pki_cert *cert;

    kit_pair_make(&pair, "leaf", 0x4A);
    kit_pair_make(&ca, "ca", 2);
    kit_pair_make(&root, "root", 1);
    assert_int_equal(mu_pki_certs_add(&chain, ca.cert, NULL), MU_OK);
    assert_int_equal(mu_pki_certs_add(&chain, root.cert, NULL), MU_OK);
    kit_save(kit, "vpn", &pair, &chain, &saved);
    assert_string_equal(saved.stem, "4A");
    assert_string_equal(saved.replaced, "");
    assert_int_equal(saved.chain_n, 2);
    assert_int_equal(kit_mode(kit, "certs/vpn/4A.key"), 0600);
    assert_true(kit_has(kit, "certs/vpn/4A.crt"));
    expect_pair(kit, "vpn", &pair);
    cert = read_cert(kit, "certs/vpn/ca.crt-0");
    assert_true(mu_pki_cert_equal(cert, ca.cert));
    mu_pki_cert_free(cert);
    cert = read_cert(kit, "certs/vpn/ca.crt-1");
    assert_true(mu_pki_cert_equal(cert, root.cert));
    mu_pki_cert_free(cert);
    assert_int_equal(mu_keystore_load(kit->store, "vpn", &entry, NULL), MU_OK);
    assert_true(mu_pki_cert_equal(entry.cert, pair.cert));
    assert_int_equal(entry.chain.n, 2);
    assert_non_null(strstr(entry.key_file, "/certs/vpn/4A.key"));
    mu_keystore_entry_clear(&entry);
    mu_pki_certs_clear(&chain);
    kit_pair_clear(&pair);
    kit_pair_clear(&ca);
    kit_pair_clear(&root);
}

static void collect(void *cookie, const char *stem)
{
    mu_buf_putf(cookie, "%s ", stem);
}

/* R035: after a renewal both links lead to the new serial; a shorter chain leaves no old link; the
 * old pair stays under its serial. */
static void test_a_renewal_switches_all_and_keeps_the_old(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b, ca;
    struct mu_pki_certs chain = {0};
    struct mu_keystore_saved saved;
    struct mu_keystore_entry entry = {0};
    struct mu_buf stems = {0};

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    kit_pair_make(&ca, "ca", 9);
    assert_int_equal(mu_pki_certs_add(&chain, ca.cert, NULL), MU_OK);
    assert_int_equal(mu_pki_certs_add(&chain, a.cert, NULL), MU_OK);
    kit_save(kit, "x", &a, &chain, NULL);
    chain.n = 1;
    kit_save(kit, "x", &b, &chain, &saved);
    chain.n = 2;
    assert_string_equal(saved.replaced, "01");
    expect_pair(kit, "x", &b);
    assert_true(kit_has(kit, "certs/x/ca.crt-0"));
    assert_int_equal(kit_count(kit, "ca.crt-1"), 1); /* in the old generation only */
    assert_int_equal(mu_keystore_load_serial(kit->store, "x", "01", &entry, NULL), MU_OK);
    assert_true(mu_pki_cert_equal(entry.cert, a.cert));
    assert_int_equal(entry.chain.n, 2);
    mu_keystore_entry_clear(&entry);
    assert_int_equal(mu_keystore_each_serial(kit->store, "x", collect, &stems, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&stems), "01 02 ");
    kit_save(kit, "x", &a, &chain, &saved); /* and a longer one again */
    assert_true(kit_has(kit, "certs/x/ca.crt-1"));
    mu_buf_clear(&stems);
    mu_pki_certs_clear(&chain);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
    kit_pair_clear(&ca);
}

/* PRODUCT "Files": another certificate with this serial gets "-2"; nothing is overwritten. */
static void test_a_serial_that_is_taken_gets_a_number(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b, c;
    struct mu_keystore_saved saved;

    kit_pair_make(&a, "a", 5);
    kit_pair_make(&b, "b", 5);
    kit_pair_make(&c, "c", 5);
    kit_save(kit, "x", &a, NULL, NULL);
    kit_save(kit, "x", &b, NULL, &saved);
    assert_string_equal(saved.stem, "05-2");
    kit_save(kit, "x", &c, NULL, &saved);
    assert_string_equal(saved.stem, "05-3");
    kit_save(kit, "x", &b, NULL, &saved); /* the same again: its own name */
    assert_string_equal(saved.stem, "05-2");
    expect_pair(kit, "x", &b);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
    kit_pair_clear(&c);
}

/* R035: who opens the directory behind the links once never meets two generations in it. */
static void test_one_directory_holds_one_generation(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b;
    char path[256], key[64], crt[64];
    int dir;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    kit_save(kit, "x", &a, NULL, NULL);
    snprintf(path, sizeof(path), "%s/certs/x/current", kit->root);
    dir = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    kit_save(kit, "x", &b, NULL, NULL);
    memset(key, 0, sizeof(key));
    memset(crt, 0, sizeof(crt));
    assert_true(readlinkat(dir, "latest.key", key, sizeof(key) - 1) > 0);
    assert_true(readlinkat(dir, "latest.crt", crt, sizeof(crt) - 1) > 0);
    assert_string_equal(key, "../../01.key");
    assert_string_equal(crt, "../../01.crt");
    close(dir);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

/* Runs one save of b over a with the io as set, under the entry's lock, which a kill leaves without a word;
 * a fresh store for each run. */
static enum mu_code save_second(struct kit *kit, const struct kit_pair *a, const struct kit_pair *b,
    const struct mu_pki_certs *chain, unsigned stop_at, unsigned fail_at, struct mu_err *err)
{
    const struct mu_keystore_pair p = {mu_buf_bytes(&b->key_pem), b->cert, chain};
    struct mu_keystore_lock *lock = NULL;
    struct mu_keystore_saved saved;
    enum mu_code rc;
    unsigned total;

    if (a != NULL)
        kit_save(kit, "x", a, NULL, NULL);
    assert_int_equal(mu_keystore_lock(kit->store, "x", &lock, NULL), MU_OK);
    io_reset();
    killed_at = stop_at;
    killed_fail = fail_at;
    rc = mu_keystore_save(kit->store, "x", &p, &saved, err);
    killed_fail = 0;
    total = killed_calls;
    mu_keystore_unlock(lock); /* who was killed writes nothing there either */
    killed_calls = total;
    killed_at = 0;
    return rc;
}

/* A kill at any instant leaves the old pair or the new one, whole; what it left behind goes at the
 * next lock, and the same save then succeeds under the same name (REN-10). */
static void test_a_kill_at_any_call_leaves_one_whole_pair(void **state)
{
    struct kit_pair a, b;
    struct mu_pki_certs chain = {0};
    unsigned total = 0, kills;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    assert_int_equal(mu_pki_certs_add(&chain, a.cert, NULL), MU_OK);
    for (int first = 0; first < 2; first++) {
        for (kills = 1;; kills++) {
            struct mu_keystore_lock *lock = NULL;
            struct mu_keystore_saved saved;
            struct kit *kit;
            void *s = NULL;
            enum mu_code rc;

            kit_setup(&s);
            kit = s;
            rc = save_second(kit, first ? NULL : &a, &b, &chain, kills, 0, NULL);
            total = killed_calls;
            kit_reopen(kit);
            if (is_current(kit, "x", "02"))
                expect_pair(kit, "x", &b);
            else if (first)
                assert_false(kit_has(kit, "certs/x/latest.crt") || kit_has(kit, "certs/x/latest.key"));
            else
                expect_pair(kit, "x", &a);
            assert_int_equal(mu_keystore_lock(kit->store, "x", &lock, NULL), MU_OK);
            assert_int_equal(kit_count(kit, ".tmp-"), 0);
            kit_save(kit, "x", &b, &chain, &saved);
            assert_string_equal(saved.stem, "02");
            expect_pair(kit, "x", &b);
            assert_true(kit_has(kit, "certs/x/ca.crt-0"));
            mu_keystore_unlock(lock);
            kit_teardown(&s);
            if (rc == MU_OK && total < kills)
                break;
        }
        assert_true(kills > 20);
    }
    mu_pki_certs_clear(&chain);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

/* Every failing call is an error (M702), leaves the old pair in use and no temporary file. */
static void test_a_call_that_fails_switches_nothing(void **state)
{
    struct kit_pair a, b;
    unsigned n, refused = 0;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    for (n = 1;; n++) {
        struct mu_err err = {0};
        struct kit *kit;
        void *s = NULL;
        enum mu_code rc;
        unsigned total;

        kit_setup(&s);
        kit = s;
        rc = save_second(kit, &a, &b, NULL, 0, n, &err);
        total = killed_calls;
        if (rc != MU_OK) {
            refused++;
            assert_int_equal(rc, MU_STORAGE);
            assert_int_equal(err.reason, 702);
            assert_non_null(strstr(err.what, "No space left"));
            expect_pair(kit, "x", &a);
            assert_true(is_current(kit, "x", "01"));
        } else {
            expect_pair(kit, "x", &b);
        }
        assert_int_equal(kit_count(kit, ".tmp-"), 0);
        kit_teardown(&s);
        if (total < n)
            break;
    }
    assert_true(refused >= n - 1);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

static unsigned find_call(const char *verb, const char *ending, unsigned from)
{
    for (unsigned i = from; i <= killed_calls && i < MAX_CALLS; i++) {
        size_t n = strlen(io_log[i]), m = strlen(ending);

        if (strncmp(io_log[i], verb, strlen(verb)) == 0 && n >= m
            && strcmp(io_log[i] + n - m, ending) == 0)
            return i;
    }
    return 0;
}

/* HOUSE 6: file synced, closed, renamed, then its directory; the switch after all of them, and the
 * directory again behind it. */
static void test_the_order_of_sync_and_rename(void **state)
{
    static const char *const files[] = {"02.key", "02.crt", "ca.crt-0"};
    struct kit *kit = *state;
    struct kit_pair a, b;
    struct mu_pki_certs chain = {0};
    unsigned at, switched, synced;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    assert_int_equal(mu_pki_certs_add(&chain, a.cert, NULL), MU_OK);
    assert_int_equal(save_second(kit, &a, &b, &chain, 0, 0, NULL), MU_OK);
    switched = find_call("rename", "/certs/x/current", 1);
    assert_true(switched > 0);
    assert_int_equal(find_call("rename", "/current", switched + 1), 0);
    for (size_t i = 0; i < 3; i++) {
        char temporary[64];
        unsigned wrote, closed, renamed;

        snprintf(temporary, sizeof(temporary), "-%s", files[i]);
        wrote = find_call("write", temporary, 1);
        synced = find_call("fsync", temporary, wrote);
        closed = find_call("close", temporary, synced);
        renamed = find_call("rename", files[i], closed);
        assert_true(0 < wrote && wrote < synced && synced < closed && closed < renamed);
        assert_true(renamed < switched);
        at = find_call("fsync", i == 2 ? "/.gen/02" : "/certs/x", renamed);
        assert_true(renamed < at && at < switched);
    }
    synced = find_call("fsync", "/certs/x", switched);
    assert_true(synced > switched);
    mu_pki_certs_clear(&chain);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

/* The first pair of a name: each directory made for it is synced where it is named, and so are the
 * links, before the one link that leads there; that one is the last change but its own sync. */
static void test_new_directories_are_synced_before_the_switch(void **state)
{
    static const struct {
        const char *made, *in;
    } rows[] = {{"certs/x", "/certs"}, {"certs/x/.gen", "/certs/x"}, {".gen/02", "/.gen"}};
    static const char *const links[] = {"/latest.key", "/latest.crt", "/ca.crt-0"};
    struct kit *kit = *state;
    struct kit_pair a, b;
    struct mu_pki_certs chain = {0};
    unsigned made, synced, switched;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    assert_int_equal(mu_pki_certs_add(&chain, a.cert, NULL), MU_OK);
    assert_int_equal(save_second(kit, NULL, &b, &chain, 0, 0, NULL), MU_OK);
    switched = find_call("symlink", "/certs/x/current", 1);
    assert_true(switched > 0);
    for (size_t i = 0; i < 3; i++) {
        made = find_call("mkdir", rows[i].made, 1);
        synced = find_call("fsync", rows[i].in, made);
        assert_true(0 < made && made < synced && synced < switched);
    }
    for (size_t i = 0; i < 3; i++) {
        char outer[64], inner[64];

        snprintf(outer, sizeof(outer), "/certs/x%s", links[i]);
        snprintf(inner, sizeof(inner), "/.gen/02%s", links[i]);
        made = find_call("symlink", outer, 1);
        synced = find_call("fsync", "/certs/x", made);
        assert_true(0 < made && made < synced && synced < switched);
        made = find_call(i == 2 ? "rename" : "symlink", inner, 1);
        synced = find_call("fsync", "/.gen/02", made);
        assert_true(0 < made && made < synced && synced < switched);
    }
    assert_int_equal(find_call("fsync", "/certs/x", switched), killed_calls);
    assert_int_equal(switched + 1, killed_calls);
    mu_pki_certs_clear(&chain);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

static void test_small_files_survive_a_kill(void **state)
{
    struct kit *kit = *state;
    unsigned n;

    for (n = 1;; n++) {
        struct mu_keystore_lock *lock = NULL;
        struct mu_buf out = {0};
        enum mu_code rc;
        unsigned total;

        assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "x", "pending",
                             mu_bytes_str("old state"), NULL), MU_OK);
        assert_int_equal(mu_keystore_lock(kit->store, "x", &lock, NULL), MU_OK);
        io_reset();
        killed_at = n;
        rc = mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "x", "pending",
            mu_bytes_str("a new state"), NULL);
        total = killed_calls;
        mu_keystore_unlock(lock); /* killed: it does not say that it left in order */
        io_reset();
        assert_int_equal(mu_keystore_lock(kit->store, "x", &lock, NULL), MU_OK);
        mu_keystore_unlock(lock);
        assert_int_equal(kit_count(kit, ".tmp-"), 0);
        assert_int_equal(
            mu_keystore_get(kit->store, MU_KEYSTORE_STATE, "x", "pending", &out, NULL), MU_OK);
        if (rc == MU_OK)
            assert_string_equal(mu_buf_str(&out), "a new state");
        else if (strcmp(mu_buf_str(&out), "a new state") != 0)
            assert_string_equal(mu_buf_str(&out), "old state");
        mu_buf_clear(&out);
        if (rc == MU_OK && total < n)
            break;
    }
    assert_true(n >= 6);
}

static void test_loading_what_is_not_there(void **state)
{
    struct kit *kit = *state;
    struct mu_keystore_entry entry = {0};
    struct kit_pair a;

    assert_int_equal(mu_keystore_load(kit->store, "none", &entry, NULL), MU_NOT_FOUND);
    kit_pair_make(&a, "a", 1);
    kit_save(kit, "x", &a, NULL, NULL);
    assert_int_equal(mu_keystore_load_serial(kit->store, "x", "02", &entry, NULL), MU_NOT_FOUND);
    assert_int_equal(mu_keystore_load_serial(kit->store, "x", "../x", &entry, NULL), MU_NOT_FOUND);
    assert_int_equal(mu_keystore_load_serial(kit->store, "x", "", &entry, NULL), MU_NOT_FOUND);
    kit_pair_clear(&a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

/* What is left of a removal that is killed: all of the pair, or nothing that has its name; the next run ends it. */
static void test_a_removal_killed_at_any_call_is_finished_by_the_next(void **state)
{
    struct kit *kit = *state;
    struct kit_pair a, b;
    bool killed = true;

    kit_pair_make(&a, "a", 1);
    kit_pair_make(&b, "b", 2);
    kit_save(kit, "other", &b, NULL, NULL);
    for (unsigned n = 1; killed; n++) {
        char stem[MU_KEYSTORE_STEM];

        kit_save(kit, "x", &b, NULL, NULL);
        kit_save(kit, "x", &a, NULL, NULL);
        assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "x", "conf", mu_bytes_str("c"), NULL), MU_OK);
        assert_int_equal(mu_keystore_put(kit->store, MU_KEYSTORE_STATE, "x", "life", mu_bytes_str("l"), NULL), MU_OK);
        io_reset();
        killed_at = n;
        killed = mu_keystore_entry_remove(kit->store, "x", NULL) != MU_OK;
        killed_at = 0;
        if (kit_has(kit, "certs/x")) {
            expect_pair(kit, "x", &a);
            assert_true(mu_keystore_current(kit->store, "x", stem));
        }
        if (kit_has(kit, "state/x.conf")) /* settings go first */
            assert_true(kit_has(kit, "state/x.life") && kit_has(kit, "certs/x"));
        assert_int_equal(mu_keystore_entry_remove(kit->store, "x", NULL), MU_OK);
        assert_false(kit_has(kit, "certs/x"));
        assert_int_equal(kit_count(kit, ".removed-"), 0);
        assert_int_equal(kit_count(kit, "x."), 0);
    }
    expect_pair(kit, "other", &b);
    kit_pair_clear(&a);
    kit_pair_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_pair_lies_under_its_serial),
        T(test_a_renewal_switches_all_and_keeps_the_old),
        T(test_a_serial_that_is_taken_gets_a_number),
        T(test_one_directory_holds_one_generation),
        cmocka_unit_test(test_a_kill_at_any_call_leaves_one_whole_pair),
        cmocka_unit_test(test_a_call_that_fails_switches_nothing),
        T(test_the_order_of_sync_and_rename),
        T(test_new_directories_are_synced_before_the_switch),
        T(test_small_files_survive_a_kill),
        T(test_a_removal_killed_at_any_call_is_finished_by_the_next),
        T(test_loading_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
