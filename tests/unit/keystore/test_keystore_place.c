/* Files of other programs: owner and mode kept, links out of the place refused, the old one put back. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keystore/keystore_place.h"

static const struct mu_keystore_place_how as_it_is = {0};

static char *path_of(const struct kit *kit, const char *name)
{
    char *path = NULL;

    assert_true(asprintf(&path, "%s/%s", kit->root, name) > 0);
    return path;
}

static void make_file(const struct kit *kit, const char *name, const char *text, mode_t mode)
{
    char *path = path_of(kit, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static enum mu_code put(const struct kit *kit, const char *name, const char *text,
    const struct mu_keystore_place_how *how, struct mu_err *err)
{
    char *path = path_of(kit, name);
    struct mu_keystore_place *place = NULL;
    enum mu_code rc = mu_keystore_place_open(path, &place, err);

    if (rc == MU_OK)
        rc = mu_keystore_place_write(place, how, mu_bytes_str(text), err);
    mu_keystore_place_close(place);
    free(path);
    return rc;
}

static void is_file(const struct kit *kit, const char *name, const char *text, unsigned mode)
{
    struct mu_buf content = {0};

    kit_file(kit, name, &content);
    assert_string_equal(mu_buf_str(&content), text);
    assert_int_equal(kit_mode(kit, name), mode);
    mu_buf_clear(&content);
}

static void link_to(const struct kit *kit, const char *name, const char *target)
{
    char *path = path_of(kit, name);

    assert_int_equal(symlink(target, path), 0);
    free(path);
}

static void make_dir(const struct kit *kit, const char *name, mode_t mode)
{
    char *path = path_of(kit, name);

    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static void R043_mode_is_kept_and_a_new_file_is_0600(void **state)
{
    struct kit *kit = *state;
    struct mu_keystore_place_how how = {.has_mode = true, .mode = 0640};

    make_file(kit, "f", "old", 0604);
    assert_int_equal(put(kit, "f", "new", &as_it_is, NULL), MU_OK);
    is_file(kit, "f", "new", 0604);
    assert_int_equal(put(kit, "f", "newer", &how, NULL), MU_OK);
    is_file(kit, "f", "newer", 0640);
    assert_int_equal(put(kit, "g", "first", &as_it_is, NULL), MU_OK);
    is_file(kit, "g", "first", 0600);
    assert_int_equal(kit_count(kit, ".f"), 0);
}

static void owner_is_kept_or_set(void **state)
{
    struct kit *kit = *state;
    struct mu_keystore_place_how how = {.has_uid = true, .uid = geteuid() == 0 ? 65534 : geteuid()};
    char *path = path_of(kit, "f");
    struct stat st;

    make_file(kit, "f", "old", 0600);
    assert_int_equal(put(kit, "f", "new", &how, NULL), MU_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, how.uid);
    assert_int_equal(put(kit, "f", "newer", &as_it_is, NULL), MU_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, how.uid);
    free(path);
}

static void a_link_out_of_the_place_is_refused_and_a_neighbor_followed(void **state)
{
    struct kit *kit = *state;
    struct mu_err err = {0};

    make_dir(kit, "in", 0755);
    make_dir(kit, "out", 0755);
    make_file(kit, "out/f", "old", 0600);
    make_file(kit, "in/real", "old", 0600);
    link_to(kit, "in/f", "../out/f");
    link_to(kit, "in/dangling", "/nowhere/f");
    link_to(kit, "in/near", "real");
    link_to(kit, "in/loop", "loop");
    assert_int_equal(put(kit, "in/f", "new", &as_it_is, &err), MU_DENIED);
    assert_non_null(strstr(err.what, "../out/f"));
    is_file(kit, "out/f", "old", 0600);
    assert_int_equal(put(kit, "in/dangling", "new", &as_it_is, &err), MU_DENIED);
    assert_int_not_equal(put(kit, "in/loop", "new", &as_it_is, &err), MU_OK);
    assert_int_equal(put(kit, "in/near", "new", &as_it_is, &err), MU_OK);
    is_file(kit, "in/real", "new", 0600);
    assert_int_equal(put(kit, "in/none/f", "new", &as_it_is, &err), MU_NOT_FOUND);
    assert_int_equal(put(kit, "in/..", "new", &as_it_is, &err), MU_INPUT);
    assert_int_equal(put(kit, "in", "new", &as_it_is, &err), MU_INPUT);
}

/* A directory link counts only where nobody else can have put it. */
static void a_directory_link_of_somebody_else_is_refused(void **state)
{
    struct kit *kit = *state;
    struct mu_err err = {0};

    make_dir(kit, "out", 0755);
    make_dir(kit, "ours", 0755);
    make_dir(kit, "open", 0777);
    link_to(kit, "ours/way", "../out");
    link_to(kit, "open/way", "../out");
    assert_int_equal(put(kit, "ours/way/f", "new", &as_it_is, &err), MU_OK);
    is_file(kit, "out/f", "new", 0600);
    assert_int_equal(put(kit, "open/way/f", "newer", &as_it_is, &err), MU_DENIED);
    is_file(kit, "out/f", "new", 0600);
}

static void the_old_one_comes_back(void **state)
{
    struct kit *kit = *state;
    const struct mu_keystore_place_how keep = {.keep_old = true};
    char *path = path_of(kit, "f");
    struct mu_keystore_place *place = NULL;
    struct mu_err err = {0};

    make_file(kit, "f", "good", 0640);
    assert_int_equal(put(kit, "f", "bad", &keep, NULL), MU_OK);
    assert_int_equal(put(kit, "f", "worse", &keep, NULL), MU_OK); /* a run that ended in between */
    is_file(kit, "f", "worse", 0640);
    assert_int_equal(mu_keystore_place_open(path, &place, &err), MU_OK);
    assert_int_equal(mu_keystore_place_back(place, &err), MU_OK);
    is_file(kit, "f", "good", 0640);
    assert_int_equal(mu_keystore_place_back(place, &err), MU_NOT_FOUND);
    assert_int_equal(mu_keystore_place_forget(place, &err), MU_OK);
    assert_int_equal(mu_keystore_place_write(place, &keep, mu_bytes_str("next"), &err), MU_OK);
    assert_int_equal(mu_keystore_place_forget(place, &err), MU_OK);
    assert_int_equal(kit_count(kit, ".f"), 0);
    is_file(kit, "f", "next", 0640);
    mu_keystore_place_close(place);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(R043_mode_is_kept_and_a_new_file_is_0600, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(owner_is_kept_or_set, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(
            a_link_out_of_the_place_is_refused_and_a_neighbor_followed, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_directory_link_of_somebody_else_is_refused, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_old_one_comes_back, kit_setup, kit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
