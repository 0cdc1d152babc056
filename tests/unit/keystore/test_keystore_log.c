/* The log of the store: whole lines, two files, places that survive a turn. */
#include "keystore/keystore_log.h"

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void append(struct kit *kit, const char *line)
{
    struct mu_err err = {0};

    if (mu_keystore_log_append(kit->store, mu_bytes_str(line), &err) != MU_OK)
        fail_msg("%s", err.what);
}

static void put(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    mu_buf_putf(cookie, "%.*s|", (int)line.n, (const char *)line.p);
}

static void expect(struct kit *kit, struct mu_keystore_log_place *place, const char *text)
{
    struct mu_buf seen = {0};

    assert_int_equal(mu_keystore_log_read(kit->store, place, put, &seen, NULL), MU_OK);
    assert_string_equal(mu_buf_str(&seen), text);
    mu_buf_clear(&seen);
}

static void lines_come_once_and_in_order(void **state)
{
    struct mu_keystore_log_place place = {0}, again;
    struct kit *kit = *state;
    char text[MU_KEYSTORE_LOG_PLACE];

    expect(kit, &place, "");
    append(kit, "one");
    append(kit, "two\nhalves");
    assert_int_equal(kit_mode(kit, "log/events"), 0640);
    expect(kit, &place, "one|two halves|");
    assert_false(mu_keystore_log_grew(kit->store, &place));
    append(kit, "three");
    assert_true(mu_keystore_log_grew(kit->store, &place));
    assert_true(mu_keystore_log_place_parse(mu_keystore_log_place_format(&place, text), &again));
    expect(kit, &again, "three|");
    expect(kit, &again, "");
}

static void places_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"", "1", "1-", "-1", "1-2-3", "1-2 ", "a-b", "0x1-2"};
    struct mu_keystore_log_place place;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(mu_keystore_log_place_parse(bad[i], &place));
}

static void count(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    size_t *n = cookie;

    assert_int_equal(line.n, 100);
    ++*n;
}

static void two_files_and_no_more(void **state)
{
    struct mu_keystore_log_place place = {0}, begin = {0};
    struct kit *kit = *state;
    char line[101], path[128];
    size_t n = 0, all = 0;
    struct stat st;

    memset(line, 'x', 100);
    line[100] = '\0';
    for (int i = 0; i < 3 * MU_KEYSTORE_LOG_MAX / 101; i++) {
        append(kit, line);
        if (i % 1000 == 0) /* a reader that comes back loses nothing over a turn */
            assert_int_equal(mu_keystore_log_read(kit->store, &place, count, &n, NULL), MU_OK);
    }
    assert_int_equal(mu_keystore_log_read(kit->store, &place, count, &n, NULL), MU_OK);
    assert_int_equal(n, 3 * MU_KEYSTORE_LOG_MAX / 101);
    assert_int_equal(mu_keystore_log_read(kit->store, &begin, count, &all, NULL), MU_OK);
    assert_in_range(all, MU_KEYSTORE_LOG_MAX / 101, 2 * MU_KEYSTORE_LOG_MAX / 101);
    assert_int_equal(kit_count(kit, "events"), 2);
    snprintf(path, sizeof path, "%s/log/events", kit->root);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= MU_KEYSTORE_LOG_MAX);
}

static void a_torn_line_spoils_no_other(void **state)
{
    struct mu_keystore_log_place place = {0};
    struct kit *kit = *state;
    char path[128];
    FILE *f;

    append(kit, "one");
    snprintf(path, sizeof path, "%s/log/events", kit->root);
    f = fopen(path, "a");
    assert_non_null(f);
    fputs("to", f);
    fclose(f);
    expect(kit, &place, "one|");
    append(kit, "three");
    expect(kit, &place, "to|three|");
}

static void a_link_is_not_followed(void **state)
{
    struct kit *kit = *state;
    char path[128], aim[128];
    struct mu_err err = {0};

    append(kit, "one");
    snprintf(path, sizeof path, "%s/log/events", kit->root);
    snprintf(aim, sizeof aim, "%s/aim", kit->root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(aim, path), 0);
    assert_int_equal(mu_keystore_log_append(kit->store, mu_bytes_str("x"), &err), MU_STORAGE);
    assert_int_equal(err.reason, MU_M(702));
    assert_false(kit_has(kit, "aim"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lines_come_once_and_in_order),
        TEST(places_that_are_none_are_refused),
        TEST(two_files_and_no_more),
        TEST(a_torn_line_spoils_no_other),
        TEST(a_link_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
