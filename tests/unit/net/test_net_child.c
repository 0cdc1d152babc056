/* Children: what they are given, what is seen of them, and that they end (PRODUCT "Hooks"). */
#include "net/net_loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"

static struct mu_loop *loop;
static struct mu_loop_child *child;
static struct mu_buf output;
static char last_line[600];
static int exit_code, exit_signal;
static bool was_late;

static int setup(void **state)
{
    (void)state;
    mu_buf_init(&output, 1 << 20);
    return mu_net_loop_new(&loop, NULL) == MU_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mu_net_loop_free(loop);
    mu_buf_clear(&output);
    return 0;
}

static void on_exit_(void *cookie, const struct mu_loop_exit *e)
{
    (void)cookie;
    mu_buf_put_bytes(&output, e->output);
    snprintf(last_line, sizeof last_line, "%s", e->last_line);
    exit_code = e->exit_code;
    exit_signal = e->signal;
    was_late = e->is_late;
    mu_loop_child_free(loop, child);
    child = NULL;
    mu_loop_stop(loop);
}

static const char *run(const char *script, int64_t limit_ms, size_t output_max)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const char *const env[] = {"PATH=/usr/bin:/bin", "ONLY=this", NULL};
    const struct mu_loop_spawn what = {
        .argv = argv, .env = env, .cwd = "/", .limit_ms = limit_ms, .output_max = output_max};
    struct mu_err err = {.code = MU_OK};

    mu_buf_clear(&output);
    mu_buf_init(&output, 1 << 20);
    if (mu_loop_spawn(loop, &what, on_exit_, NULL, &child, &err) != MU_OK) {
        fail_msg("%s", err.what);
        return "";
    }
    mu_loop_run(loop);
    return mu_buf_str(&output);
}

static void gets_nothing_but_what_it_is_given(void **state)
{
    (void)state;
    setenv("MUSTER_SECRET_X", "sesam", 1);
    assert_string_equal(run("env | sort | grep -v '^_=' | grep -v ^SHLVL= | grep -v ^PWD=", 0, 4096),
        "ONLY=this\nPATH=/usr/bin:/bin\n");
    unsetenv("MUSTER_SECRET_X");
    assert_string_equal(run("pwd; umask; readlink /proc/self/fd/0", 0, 4096), "/\n0077\n/dev/null\n");
}

static void no_descriptor_of_ours_leaks(void **state)
{
    int fd = open("/dev/zero", O_RDONLY); /* without O_CLOEXEC: as a library might */

    (void)state;
    assert_true(fd >= 0);
    assert_string_equal(run("for i in 3 4 5 6 7 8 9 10 11 12 20 30; do"
                            " test -e /proc/$$/fd/$i && readlink /proc/$$/fd/$i; done; echo end",
                            0, 4096),
        "end\n");
    close(fd);
}

static void signals_are_as_for_a_fresh_program(void **state)
{
    (void)state;
    /* This program ignores SIGPIPE. */
    assert_string_equal(run("grep -E 'Sig(Ign|Blk)' /proc/self/status | tr -d '\\t'", 0, 4096),
        "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
}

static void exit_code_and_last_line_are_told(void **state)
{
    (void)state;
    run("echo first; echo 'nginx: [emerg] no such file' >&2; echo; exit 75", 0, 4096);
    assert_int_equal(exit_code, 75);
    assert_string_equal(last_line, "nginx: [emerg] no such file");
    run("printf 'without an end'; kill -SEGV $$", 0, 4096);
    assert_int_equal(exit_code, -1);
    assert_int_equal(exit_signal, SIGSEGV);
    assert_string_equal(last_line, "without an end");
}

static void much_output_is_read_and_bounded(void **state)
{
    (void)state;
    run("head -c 10000000 /dev/zero | tr '\\0' 'x'; echo; echo 'the end'", 0, 65536);
    assert_int_equal(exit_code, 0);
    assert_int_equal(output.n, 65536);
    assert_string_equal(last_line, "the end");
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_alive(const char *pid_file)
{
    char text[32] = "";
    FILE *f = fopen(pid_file, "r");
    bool alive;

    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    alive = kill((pid_t)atoi(text), 0) == 0;
    if (alive) { /* a zombie of init is no process any more */
        char path[64], line[256] = "";

        snprintf(path, sizeof path, "/proc/%d/stat", atoi(text));
        f = fopen(path, "r");
        alive = f != NULL && fgets(line, sizeof line, f) != NULL && strstr(line, ") Z ") == NULL;
        if (f != NULL)
            fclose(f);
    }
    return alive;
}

/* A signal that was sent takes a moment. */
static bool stays_alive(const char *pid_file)
{
    int64_t begin = now_ms();

    while (is_alive(pid_file)) {
        if (now_ms() - begin > 3000)
            return true;
        usleep(5000);
    }
    return false;
}

/* A script that begins others and wants to hear of no end: all of the group ends (M904). */
static void the_whole_group_ends_at_its_limit(void **state)
{
    char file[] = "/tmp/muster-child-XXXXXX", script[256];
    int64_t begin = now_ms();
    int fd = mkstemp(file);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    snprintf(script, sizeof script, "sleep 60 & echo $! > %s; wait", file);
    run(script, 200, 4096);
    assert_true(was_late);
    assert_in_range(now_ms() - begin, 190, 4000);
    assert_false(stays_alive(file));
    snprintf(script, sizeof script, "trap '' TERM; (trap '' TERM; sleep 60) & echo $! > %s; wait; sleep 60", file);
    run(script, 200, 4096);
    assert_true(was_late);
    assert_false(stays_alive(file));
    unlink(file);
}

/* What restarts a daemon leaves it running, with our pipe perhaps: nobody waits for that. */
static void what_it_leaves_behind_is_not_waited_for(void **state)
{
    int64_t begin = now_ms();

    (void)state;
    run("sleep 3 & echo started", 0, 4096);
    assert_int_equal(exit_code, 0);
    assert_string_equal(last_line, "started");
    assert_in_range(now_ms() - begin, 0, 2000);
}

static void a_program_that_is_not_there_is_an_error_at_once(void **state)
{
    const char *const argv[] = {"/nowhere/hook", NULL}, *const none[] = {NULL};
    struct mu_loop_spawn what = {.argv = argv, .env = none, .cwd = "/", .output_max = 10};
    struct mu_err err = {.code = MU_OK};

    (void)state;
    assert_int_not_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, &err), MU_OK);
    assert_int_equal(err.reason, MU_M(901));
    assert_string_equal(err.what, "/nowhere/hook cannot be run: No such file or directory");
    what.user = "nobody-of-that-name";
    assert_int_not_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, &err), MU_OK);
    assert_non_null(strstr(err.what, "no user \"nobody-of-that-name\""));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to be reaped */
}

static void runs_as_another_user_with_his_groups(void **state)
{
    const char *const argv[] = {"/usr/bin/id", NULL}, *const none[] = {NULL};
    const struct mu_loop_spawn what
        = {.argv = argv, .env = none, .cwd = "/", .user = "daemon", .output_max = 400};

    (void)state;
    mu_buf_clear(&output);
    mu_buf_init(&output, 4096);
    if (geteuid() != 0) { /* then it is refused, which is what there is to see */
        assert_int_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, NULL), MU_DENIED);
        return;
    }
    assert_int_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, NULL), MU_OK);
    mu_loop_run(loop);
    assert_non_null(strstr(mu_buf_str(&output), "uid=1(daemon) gid=1(daemon) groups=1(daemon)\n"));
}

static void freeing_it_ends_it(void **state)
{
    const char *const argv[] = {"/bin/sleep", "60", NULL}, *const none[] = {NULL};
    const struct mu_loop_spawn what = {.argv = argv, .env = none, .cwd = "/", .output_max = 10};

    (void)state;
    assert_int_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, NULL), MU_OK);
    mu_loop_child_free(loop, child);
    child = NULL;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* What was begun is undone: a recipe puts the old files back (TERM first, KILL for who does not listen). */
static void freeing_it_leaves_it_a_moment(void **state)
{
    char file[] = "/tmp/muster-child-XXXXXX", script[256];
    const char *const argv[] = {"/bin/sh", "-c", script, NULL}, *const none[] = {NULL};
    const struct mu_loop_spawn what = {.argv = argv, .env = none, .cwd = "/", .output_max = 10};
    int fd = mkstemp(file);
    struct stat st;

    (void)state;
    close(fd);
    /* exec has happened when spawn returns; the trap is set a moment later */
    snprintf(script, sizeof script, "trap 'rm %s; exit 1' TERM; echo on >%s; while :; do /bin/sleep 0.05; done",
        file, file);
    assert_int_equal(mu_loop_spawn(loop, &what, on_exit_, NULL, &child, NULL), MU_OK);
    while (stat(file, &st) == 0 && st.st_size == 0)
        usleep(1000);
    mu_loop_child_free(loop, child);
    child = NULL;
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* A program that asks on the terminal gets no answer, at once, instead of waiting out its limit. */
static void it_has_no_terminal(void **state)
{
    (void)state;
    run("(: </dev/tty) 2>/dev/null && echo terminal; ps -o sid= -p $$ | tr -d ' '; echo $$", 0, 4096);
    assert_int_equal(exit_code, 0);
    assert_null(strstr(mu_buf_str(&output), "terminal"));
    assert_non_null(strstr(mu_buf_str(&output), last_line)); /* leader of its session */
    assert_ptr_not_equal(strstr(mu_buf_str(&output), last_line),
        mu_buf_str(&output) + output.n - strlen(last_line) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gets_nothing_but_what_it_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(no_descriptor_of_ours_leaks, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_are_as_for_a_fresh_program, setup, teardown),
        cmocka_unit_test_setup_teardown(exit_code_and_last_line_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(much_output_is_read_and_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(the_whole_group_ends_at_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_leaves_behind_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_an_error_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_as_another_user_with_his_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(freeing_it_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(freeing_it_leaves_it_a_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(it_has_no_terminal, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
