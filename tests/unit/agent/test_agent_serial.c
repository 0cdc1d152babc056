/* R020: SN stands for the unit's serial number, as a whole word only; its source is a setting. */
#include "agent/agent_serial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void R020_whole_words_only(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"/DC=org/CN=router-SN", "/DC=org/CN=router-1234567"},
        {"/CN=SN", "/CN=1234567"},
        {"CN=SN,O=SN", "CN=1234567,O=1234567"},
        {"/O=SNCF", "/O=SNCF"},
        {"/O=DNSSN", "/O=DNSSN"},
        {"/O=\\SN", "/O=\\SN"},
        {"/SN=x/CN=a", "/SN=x/CN=a"},
        {"/CN=nothing", "/CN=nothing"},
        {"", ""},
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_buf out = {0}, again = {0};

        assert_true(mu_agent_serial_expand(cases[i].in, "1234567", &out));
        assert_string_equal(mu_buf_str(&out), cases[i].out);
        assert_int_equal(mu_agent_serial_is_in(cases[i].in), strcmp(cases[i].in, cases[i].out) != 0);
        assert_true(mu_agent_serial_expand(mu_buf_str(&out), "1234567", &again));
        assert_string_equal(mu_buf_str(&again), cases[i].out);
        mu_buf_clear(&out);
        mu_buf_clear(&again);
    }
}

static void R020_a_command_is_a_source(void **state)
{
    struct mu_buf out = {0};
    struct mu_err err = {0};

    assert_int_equal(mu_agent_serial_read("echo '  AB 12 '; echo more", &out, &err), MU_OK);
    assert_string_equal(mu_buf_str(&out), "AB 12");
    mu_buf_clear(&out);
}

static void sources_that_give_nothing_usable_are_refused(void **state)
{
    static const char *const sources[] = {
        "false", "true", "echo a; false", "echo a/CN=b", "/nonexistent/program"};
    size_t i;

    for (i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        struct mu_buf out = {0};
        struct mu_err err = {0};

        assert_int_equal(mu_agent_serial_read(sources[i], &out, &err), MU_NOT_FOUND);
        assert_non_null(strstr(err.what, "serial-source"));
        mu_buf_clear(&out);
    }
}

/* The agent goes on, whatever the command does. */
static void a_command_that_hangs_is_ended(void **state)
{
    struct mu_buf out = {0};
    struct mu_err err = {0};
    time_t begin = time(NULL);

    assert_int_equal(mu_agent_serial_read("echo 123; sleep 600 & sleep 600", &out, &err), MU_NOT_FOUND);
    assert_true(time(NULL) - begin < 60);
    mu_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R020_whole_words_only),
        cmocka_unit_test(R020_a_command_is_a_source),
        cmocka_unit_test(sources_that_give_nothing_usable_are_refused),
        cmocka_unit_test(a_command_that_hangs_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
