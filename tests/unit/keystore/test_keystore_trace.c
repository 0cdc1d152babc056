/* The ring of traces: names, order, ceilings, and what is left where it cannot be written. */
#include "keystore/keystore_trace.h"

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t noon = 1763640000; /* 2025-11-20T12:00:00Z */

static void begin(struct kit *kit, const char *entry, int64_t at_s, const char *lines, char name[MU_KEYSTORE_TRACE])
{
    struct mu_err err = {0};

    if (mu_keystore_trace_new(kit->store, entry, at_s, name, &err) != MU_OK
        || mu_keystore_trace_append(kit->store, name, mu_bytes_str(lines), &err) != MU_OK)
        fail_msg("%s", err.what);
}

static void put(void *cookie, const char *name)
{
    mu_buf_putf(cookie, "%s ", name);
}

static void expect(struct kit *kit, const char *entry, const char *names)
{
    struct mu_buf seen = {0};

    assert_int_equal(mu_keystore_trace_each(kit->store, entry, put, &seen, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&seen), names);
    mu_buf_clear(&seen);
}

static void traces_stand_in_the_order_of_their_time(void **state)
{
    struct kit *kit = *state;
    char name[MU_KEYSTORE_TRACE];
    struct mu_buf text = {0};

    expect(kit, NULL, "");
    begin(kit, "zeta", noon, "one\n", name);
    assert_string_equal(name, "zeta.20251120T120000Z");
    begin(kit, "a.b", noon + 61, "two\n", name);
    begin(kit, "a.b", noon + 61, "three\n", name);
    assert_string_equal(name, "a.b.20251120T120101Z-2");
    assert_int_equal(mu_keystore_trace_append(kit->store, name, mu_bytes_str("four\n"), NULL), MU_OK);
    expect(kit, NULL, "zeta.20251120T120000Z a.b.20251120T120101Z a.b.20251120T120101Z-2 ");
    expect(kit, "a.b", "a.b.20251120T120101Z a.b.20251120T120101Z-2 ");
    expect(kit, "a", "");
    assert_int_equal(kit_mode(kit, "log/trace"), 0700);
    assert_int_equal(kit_mode(kit, "log/trace/zeta.20251120T120000Z"), 0600);
    assert_int_equal(mu_keystore_trace_read(kit->store, name, 0, &text, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&text), "three\nfour\n");
    mu_buf_reset(&text);
    assert_int_equal(mu_keystore_trace_read(kit->store, name, 6, &text, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&text), "four\n");
    mu_buf_clear(&text);
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"", ".20251120T120000Z", "../x.20251120T120000Z", "a/b.20251120T120000Z", "a.20251120T120000",
        "a.20251120T120000Z/..", "a.20251120120000ZZ", "a.20251120T120000Z-x", "-a.20251120T120000Z", "a"};
    struct kit *kit = *state;
    struct mu_buf text = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(mu_keystore_trace_is_name(bad[i], NULL));
        assert_int_equal(mu_keystore_trace_append(kit->store, bad[i], mu_bytes_str("x\n"), NULL), MU_NOT_FOUND);
        assert_int_equal(mu_keystore_trace_read(kit->store, bad[i], 0, &text, NULL), MU_NOT_FOUND);
    }
    assert_true(mu_keystore_trace_is_name("a.20251120T120000Z-2", "a"));
    assert_false(mu_keystore_trace_is_name("a.20251120T120000Z-2", "b"));
    mu_buf_clear(&text);
}

static void the_oldest_go_first(void **state)
{
    struct kit *kit = *state;
    char name[MU_KEYSTORE_TRACE];

    assert_int_equal(mu_keystore_trace_prune(kit->store, 0, NULL), MU_OK); /* nothing there yet */
    begin(kit, "zeta", noon, "0123456789", name);
    begin(kit, "alpha", noon + 1, "0123456789", name);
    begin(kit, "mid", noon + 2, "0123456789", name);
    assert_int_equal(mu_keystore_trace_prune(kit->store, 30, NULL), MU_OK);
    expect(kit, NULL, "zeta.20251120T120000Z alpha.20251120T120001Z mid.20251120T120002Z ");
    assert_int_equal(mu_keystore_trace_prune(kit->store, 29, NULL), MU_OK);
    expect(kit, NULL, "alpha.20251120T120001Z mid.20251120T120002Z ");
    assert_int_equal(mu_keystore_trace_remove(kit->store, "mid", NULL), MU_OK);
    expect(kit, NULL, "alpha.20251120T120001Z ");
    assert_int_equal(mu_keystore_trace_prune(kit->store, 0, NULL), MU_OK);
    expect(kit, NULL, "");
}

/* A CA that lets us poll for months does not fill the ring with one exchange. */
static void one_trace_is_bounded(void **state)
{
    struct kit *kit = *state;
    char name[MU_KEYSTORE_TRACE], lines[64 * 1024];
    struct mu_buf text = {.max = 2 << 20};

    memset(lines, 'x', sizeof lines);
    lines[sizeof lines - 2] = '\n';
    lines[sizeof lines - 1] = '\0';
    begin(kit, "a", noon, lines, name);
    for (int i = 0; i < 40; i++)
        assert_int_equal(mu_keystore_trace_append(kit->store, name, mu_bytes_str(lines), NULL), MU_OK);
    assert_int_equal(mu_keystore_trace_read(kit->store, name, 0, &text, NULL), MU_OK);
    assert_true(text.n <= MU_KEYSTORE_TRACE_FILE);
    assert_non_null(strstr(mu_buf_str(&text), "(more was said, and is left out)\n"));
    assert_int_equal(strlen(mu_buf_str(&text)), text.n); /* nothing behind it */
    assert_int_equal(text.p[text.n - 1], '\n');
    mu_buf_clear(&text);
}

static void a_link_is_not_followed(void **state)
{
    struct kit *kit = *state;
    char name[MU_KEYSTORE_TRACE], path[160];
    struct mu_err err = {0};

    begin(kit, "a", noon, "x\n", name);
    snprintf(path, sizeof path, "%s/log/trace/a.20251120T120001Z", kit->root);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(mu_keystore_trace_append(kit->store, "a.20251120T120001Z", mu_bytes_str("x\n"), &err), MU_STORAGE);
    assert_int_equal(err.reason, MU_M(702));
    expect(kit, NULL, "a.20251120T120000Z ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {T(traces_stand_in_the_order_of_their_time), T(names_that_are_none_are_refused),
        T(the_oldest_go_first), T(one_trace_is_bounded), T(a_link_is_not_followed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
