/* Lines of the agent as the journal, syslog and files get them. */
#include "cmd/musterd/daemon_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct mu_agent_event_row row = {.at_s = 1763660405,
    .field = {[MU_AGENT_EVENT_TYPE] = "event",
        [MU_AGENT_EVENT_SUBTYPE] = "system",
        [MU_AGENT_EVENT_ACTION] = "certificate-generate",
        [MU_AGENT_EVENT_STATUS] = "failure",
        [MU_AGENT_EVENT_NAME] = "web",
        [MU_AGENT_EVENT_METHOD] = "renew",
        [MU_AGENT_EVENT_MSG] = "Failed to sign local certificate via SCEP-no \"luck\" [today]",
        [MU_AGENT_EVENT_REASON] = "first\nsecond",
        [MU_AGENT_EVENT_CODE] = "M312",
        [MU_AGENT_EVENT_TXN] = "2B9E"}};
static const struct mu_daemon_record record = {
    .level = MU_DAEMON_WARNING, .row = &row, .line = "type=event msg=\"x\""};

static enum mu_code open_at(const char *notify, struct mu_daemon_sinks **out, struct mu_err *err)
{
    return mu_daemon_sink_open(
        &(const struct mu_agent_config_agent){.notify = notify}, NULL, out, err);
}

static void the_journal_gets_fields(void **state)
{
    static const char reason[] = "MUSTER_REASON\n\x0c\0\0\0\0\0\0\0first\nsecond\n";
    struct mu_buf out = {0};

    assert_true(mu_daemon_sink_journal(&record, &out));
    assert_non_null(strstr(mu_buf_str(&out), "PRIORITY=4\n"));
    assert_non_null(strstr(mu_buf_str(&out), "\nMESSAGE=Failed to sign local certificate via SCEP-no \"luck\" [today]\n"));
    assert_non_null(strstr(mu_buf_str(&out), "\nMUSTER_NAME=web\n"));
    assert_non_null(strstr(mu_buf_str(&out), "\nMUSTER_STATUS=failure\n"));
    assert_non_null(memmem(out.p, out.n, "\nMUSTER_CODE=M312\n", 18));
    assert_non_null(memmem(out.p, out.n, reason, sizeof reason - 1)); /* a value with lines has its length */
    assert_null(memmem(out.p, out.n, "HINT", 4));                     /* nothing to say: no field */
    mu_buf_clear(&out);
}

static void syslog_gets_structured_data(void **state)
{
    struct mu_buf out = {0};

    assert_true(mu_daemon_sink_syslog_5424(&record, "host1", 42, &out));
    assert_string_equal(mu_buf_str(&out),
        "<28>1 2025-11-20T17:40:05Z host1 musterd 42 certificate-generate "
        "[muster@32473 type=\"event\" subtype=\"system\" action=\"certificate-generate\" status=\"failure\" "
        "name=\"web\" method=\"renew\" reason=\"first\nsecond\" code=\"M312\" txn=\"2B9E\"] "
        "Failed to sign local certificate via SCEP-no \"luck\" [today]");
    mu_buf_clear(&out);
}

/* What libc's syslog() writes, as all daemons read it; the local time, whatever that is here. */
static void syslog_gets_a_line(void **state)
{
    struct mu_buf out = {0};

    setenv("TZ", "UTC-1", 1);
    tzset();
    assert_true(mu_daemon_sink_syslog(&record, 42, &out));
    unsetenv("TZ");
    tzset();
    assert_string_equal(mu_buf_str(&out), "<28>Nov 20 18:40:05 musterd[42]: type=event msg=\"x\"");
    mu_buf_clear(&out);
}

static void values_cannot_leave_their_quotes(void **state)
{
    const char *before = row.field[MU_AGENT_EVENT_NAME];
    struct mu_buf out = {0};

    row.field[MU_AGENT_EVENT_NAME] = "a\"] x \\";
    assert_true(mu_daemon_sink_syslog_5424(&record, "", 1, &out));
    row.field[MU_AGENT_EVENT_NAME] = before;
    assert_non_null(strstr(mu_buf_str(&out), " name=\"a\\\"\\] x \\\\\" "));
    mu_buf_clear(&out);
}

static void a_file_that_was_renamed_is_made_anew(void **state)
{
    char dir[] = "/tmp/test-sink-XXXXXX", path[64], away[64], notify[80], text[200] = "";
    struct mu_daemon_sinks *sinks;
    struct stat st;
    FILE *f;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(away, sizeof away, "%s/log.1", dir);
    snprintf(notify, sizeof notify, "file:%s", path);
    assert_int_equal(open_at(notify, &sinks, NULL), MU_OK);
    mu_daemon_sink_put(sinks, &record);
    assert_int_equal(rename(path, away), 0);
    mu_daemon_sink_put(sinks, &record);
    mu_daemon_sink_put(sinks, &record);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640 & ~022);
    f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(text, "type=event msg=\"x\"\ntype=event msg=\"x\"\n");
    assert_int_equal(stat(away, &st), 0);
    assert_int_equal(st.st_size, strlen("type=event msg=\"x\"\n"));
    mu_daemon_sink_close(sinks);
    unlink(path);
    unlink(away);
    rmdir(dir);
}

/* A listener that comes later, or anew, hears of what is said then; nobody there is no obstacle. */
static void sockets_may_come_and_go(void **state)
{
    char dir[] = "/tmp/test-sink-XXXXXX", notify[140], text[2000];
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct mu_daemon_sinks *sinks;
    ssize_t n;
    int fd;

    assert_non_null(mkdtemp(dir));
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/s", dir);
    snprintf(notify, sizeof notify, "journal:%s", sa.sun_path);
    assert_int_equal(open_at(notify, &sinks, NULL), MU_OK);
    for (int round = 0; round < 2; round++) {
        mu_daemon_sink_put(sinks, &record); /* lost */
        fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        mu_daemon_sink_put(sinks, &record);
        n = recv(fd, text, sizeof text, MSG_DONTWAIT);
        assert_true(n > 0);
        assert_non_null(memmem(text, (size_t)n, "MUSTER_NAME=web", 15));
        assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), -1);
        close(fd);
        unlink(sa.sun_path);
    }
    mu_daemon_sink_close(sinks);
    rmdir(dir);
}

static void places_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"sislog", "file:log", "journal:", "syslog:x", "mail:/a"};
    struct mu_daemon_sinks *sinks;
    struct mu_err err = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(open_at(bad[i], &sinks, &err), MU_INPUT);
        assert_int_equal(err.reason, MU_M(706));
    }
    assert_int_equal(open_at("sislog", &sinks, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "did you mean syslog"));
    assert_int_equal(open_at("file:/nowhere/at/all", &sinks, &err), MU_STORAGE);
    assert_int_equal(err.reason, MU_M(702));
    assert_int_equal(open_at("off", &sinks, &err), MU_OK);
    mu_daemon_sink_put(sinks, &record);
    mu_daemon_sink_close(sinks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_gets_fields),
        cmocka_unit_test(syslog_gets_structured_data),
        cmocka_unit_test(syslog_gets_a_line),
        cmocka_unit_test(values_cannot_leave_their_quotes),
        cmocka_unit_test(a_file_that_was_renamed_is_made_anew),
        cmocka_unit_test(sockets_may_come_and_go),
        cmocka_unit_test(places_that_are_none_are_refused),
    };

    umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
