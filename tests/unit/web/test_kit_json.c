/* JSON of the local requests: what is refused, what a fault looks like on both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "web/kit/kit_json.h"

static void decode_refuses_what_is_no_plain_object(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "not an object"},
        {"1", "line 1"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"a\":", "line 1"},
        {"{\"a\":1} x", "line 1"},
        {"{\"a\":\"\\u0000\"}", "line 1"},
        {"{\"a\":\"\xff\"}", "line 1"},
        {"{'a':1}", "line 1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *v = NULL;
        struct mu_err err = {0};

        assert_int_equal(mu_kit_json_decode(mu_bytes_str(cases[i].text), &v, &err), MU_INPUT);
        assert_null(v);
        if (strstr(err.what, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, err.what);
    }
}

static void decode_bounds_depth_and_size(void **state)
{
    struct mu_buf text;
    struct mu_err err = {0};
    json_t *v = NULL;

    mu_buf_init(&text, 4 << 20);
    for (int depth = MU_KIT_JSON_DEPTH; depth <= MU_KIT_JSON_DEPTH + 1; depth++) {
        mu_buf_reset(&text);
        for (int i = 0; i < depth - 1; i++)
            mu_buf_put_str(&text, "{\"a\":");
        mu_buf_put_str(&text, "{}");
        for (int i = 0; i < depth - 1; i++)
            mu_buf_put_str(&text, "}");
        v = NULL;
        if (depth == MU_KIT_JSON_DEPTH) {
            assert_int_equal(mu_kit_json_decode(mu_buf_bytes(&text), &v, &err), MU_OK);
            json_decref(v);
        } else {
            assert_int_equal(mu_kit_json_decode(mu_buf_bytes(&text), &v, &err), MU_INPUT);
            assert_non_null(strstr(err.what, "deeper"));
        }
    }
    /* brackets inside a text are no depth */
    mu_buf_reset(&text);
    mu_buf_put_str(&text, "{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[\"}");
    assert_int_equal(mu_kit_json_decode(mu_buf_bytes(&text), &v, &err), MU_OK);
    json_decref(v);
    mu_buf_reset(&text);
    mu_buf_put_str(&text, "{\"a\":\"");
    while (text.n < MU_KIT_JSON_MAX)
        mu_buf_put_str(&text, "xxxxxxxxxxxxxxxx");
    mu_buf_put_str(&text, "\"}");
    assert_int_equal(mu_kit_json_decode(mu_buf_bytes(&text), &v, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "more than"));
    mu_buf_clear(&text);
}

static void empty_text_is_the_empty_object(void **state)
{
    json_t *v = NULL;

    assert_int_equal(mu_kit_json_decode((struct mu_bytes){0}, &v, NULL), MU_OK);
    assert_int_equal(json_object_size(v), 0);
    json_decref(v);
}

static void members_are_read_by_type(void **state)
{
    json_t *in = json_pack(
        "{s:s,s:i,s:b,s:n,s:s,s:s}", "t", "text", "i", 7, "b", 1, "n", "q", "12", "y", "yes");
    const char *text = "untouched";
    int64_t n = -1;
    bool b = false;
    struct mu_err err = {0};

    assert_int_equal(mu_kit_json_text(in, "t", true, &text, &err), MU_OK);
    assert_string_equal(text, "text");
    assert_int_equal(mu_kit_json_text(in, "n", false, &text, &err), MU_OK);
    assert_null(text);
    assert_int_equal(mu_kit_json_text(in, "n", true, &text, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "'n' is missing"));
    assert_int_equal(mu_kit_json_text(in, "i", false, &text, &err), MU_INPUT);
    assert_int_equal(mu_kit_json_int(in, "i", 0, 9, &n, &err), MU_OK);
    assert_int_equal(n, 7);
    assert_int_equal(mu_kit_json_int(in, "q", 0, 99, &n, &err), MU_OK);
    assert_int_equal(n, 12);
    assert_int_equal(mu_kit_json_int(in, "q", 0, 9, &n, &err), MU_INPUT);
    assert_int_equal(mu_kit_json_int(in, "i", 0, 6, &n, &err), MU_INPUT);
    assert_int_equal(mu_kit_json_int(in, "absent", 0, 6, &n, &err), MU_OK);
    assert_int_equal(n, 12);
    assert_int_equal(mu_kit_json_int(in, "b", 0, 6, &n, &err), MU_INPUT);
    assert_int_equal(mu_kit_json_bool(in, "b", &b, &err), MU_OK);
    assert_true(b);
    b = false;
    assert_int_equal(mu_kit_json_bool(in, "y", &b, &err), MU_OK);
    assert_true(b);
    assert_int_equal(mu_kit_json_bool(in, "t", &b, &err), MU_INPUT);
    json_decref(in);
}

static void an_unknown_member_names_the_nearest(void **state)
{
    static const char *const known[] = {"profile", "protocols", NULL};
    json_t *in = json_pack("{s:s}", "profil", "x");
    struct mu_err err = {0};

    assert_int_equal(mu_kit_json_check(in, known, &err), MU_INPUT);
    assert_non_null(strstr(err.what, "'profil'"));
    assert_non_null(strstr(err.next, "'profile'"));
    json_decref(in);
}

static void a_fault_reads_the_same_on_the_other_side(void **state)
{
    static const struct {
        enum mu_code code;
        int reason, status;
    } cases[] = {
        {MU_INPUT, MU_REASON_NONE, 400},
        {MU_DENIED, MU_REFUSE_OPERATOR, 403},
        {MU_NOT_FOUND, MU_REASON_NONE, 404},
        {MU_BUSY, 707, 503},
        {MU_STORAGE, 702, 507},
        {MU_INTERNAL, MU_REASON_NONE, 500},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_err err = {0}, back = {0};
        json_t *body;

        mu_err_set(&err, cases[i].code, (enum mu_reason)cases[i].reason, "it %s", "happened");
        mu_err_next(&err, "do this");
        body = mu_kit_error_encode(&err);
        assert_string_equal(json_string_value(json_object_get(body, "schema")), "muster/1");
        assert_true(mu_kit_error_decode(body, &back));
        assert_int_equal(back.code, err.code);
        assert_int_equal(back.reason, err.reason);
        assert_string_equal(back.what, "it happened");
        assert_string_equal(back.next, "do this");
        assert_string_equal(mu_err_likely_text(&back), mu_err_likely_text(&err));
        assert_int_equal(mu_err_exit_code(&back), mu_err_exit_code(&err));
        assert_int_equal(mu_kit_error_status(&err), cases[i].status);
        json_decref(body);
    }
}

static void an_answer_without_error_is_none(void **state)
{
    json_t *v = json_pack("{s:s}", "error", "text");
    struct mu_err err = {0};

    assert_false(mu_kit_error_decode(v, &err));
    json_decref(v);
}

static void setters_take_everything(void **state)
{
    json_t *o = json_object();

    mu_kit_json_set_text(o, "null", NULL);
    mu_kit_json_set_text(o, "bad", "a\xff");
    mu_kit_json_set_time(o, "never", 0);
    mu_kit_json_set_time(o, "then", 1732189931);
    assert_true(json_is_null(json_object_get(o, "null")));
    assert_true(json_is_null(json_object_get(o, "never")));
    assert_string_equal(json_string_value(json_object_get(o, "bad")), "a\\xff");
    assert_string_equal(json_string_value(json_object_get(o, "then")), "2024-11-21T11:52:11Z");
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_refuses_what_is_no_plain_object),
        cmocka_unit_test(decode_bounds_depth_and_size),
        cmocka_unit_test(empty_text_is_the_empty_object),
        cmocka_unit_test(members_are_read_by_type),
        cmocka_unit_test(an_unknown_member_names_the_nearest),
        cmocka_unit_test(a_fault_reads_the_same_on_the_other_side),
        cmocka_unit_test(an_answer_without_error_is_none),
        cmocka_unit_test(setters_take_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
