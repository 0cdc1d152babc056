/* What systemd hears: datagrams on its socket, of both name spaces, and nothing left in the environment. */
#include "cmd/musterd/daemon_notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int listen_at(const char *name)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    memcpy(sa.sun_path, name, strlen(name));
    if (name[0] == '@')
        sa.sun_path[0] = '\0';
    assert_int_equal(
        bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[200];
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);

    assert_true(n > 0);
    got[n] = '\0';
    if (strncmp(got, text, strlen(text)) != 0)
        fail_msg("'%s' instead of '%s'", got, text);
}

static void messages_arrive_in_both_name_spaces(void **state)
{
    char dir[] = "/tmp/test-notify-XXXXXX", names[2][64];

    assert_non_null(mkdtemp(dir));
    snprintf(names[0], sizeof names[0], "%s/n", dir);
    snprintf(names[1], sizeof names[1], "@muster-test-%ld", (long)getpid());
    for (int i = 0; i < 2; i++) {
        int fd = listen_at(names[i]);

        setenv("NOTIFY_SOCKET", names[i], 1);
        mu_daemon_notify_init();
        assert_null(getenv("NOTIFY_SOCKET"));
        mu_daemon_notify_send("STATUS=%d certificates", 3);
        expect(fd, "STATUS=3 certificates");
        mu_daemon_notify_reloading();
        expect(fd, "RELOADING=1\nMONOTONIC_USEC=");
        mu_daemon_notify_close();
        close(fd);
    }
    unlink(names[0]);
    rmdir(dir);
}

static void the_watchdog_is_heard_at_half_time_and_only_if_it_means_us(void **state)
{
    char pid[24];

    setenv("WATCHDOG_USEC", "30000000", 1);
    mu_daemon_notify_init();
    assert_int_equal(mu_daemon_notify_watchdog_ms(), 15000);
    assert_null(getenv("WATCHDOG_USEC"));
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    mu_daemon_notify_init();
    assert_int_equal(mu_daemon_notify_watchdog_ms(), 0);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    mu_daemon_notify_init();
    assert_int_equal(mu_daemon_notify_watchdog_ms(), 15000);
    setenv("WATCHDOG_USEC", "often", 1);
    mu_daemon_notify_init();
    assert_int_equal(mu_daemon_notify_watchdog_ms(), 0);
}

static void without_systemd_nothing_happens(void **state)
{
    static const char *const bad[] = {"", "x", "relative/path", "@"};

    unsetenv("NOTIFY_SOCKET");
    mu_daemon_notify_init();
    mu_daemon_notify_send("READY=1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        mu_daemon_notify_init();
        mu_daemon_notify_send("READY=1");
        mu_daemon_notify_close();
    }
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1); /* nobody there: lost, and no harm */
    mu_daemon_notify_init();
    mu_daemon_notify_send("READY=1");
    mu_daemon_notify_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_both_name_spaces),
        cmocka_unit_test(the_watchdog_is_heard_at_half_time_and_only_if_it_means_us),
        cmocka_unit_test(without_systemd_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
