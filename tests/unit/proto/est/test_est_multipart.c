/* multipart/mixed, read and written. */
#include <stdio.h>

#include "world.h"

static enum mu_code decode(const char *type, const char *body, struct mu_est_multipart *out)
{
    return mu_est_multipart_decode(type, mu_bytes_str(body), out, &world_err);
}

/* EST-74: parts in any order, preamble and epilogue ignored. */
static void takes_parts_in_any_order(void **state)
{
    static const char *const bodies[] = {
        "This is the preamble.\r\n--b\r\nContent-Type: application/pkcs8\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--b\r\n"
        "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n\r\nMIIC\r\n--b--\r\nepilogue\r\n",
        "--b\ncontent-type:application/pkcs7-mime; smime-type=certs-only\n\nMIIC\n--b  \n"
        "X: y\nCONTENT-TYPE: Application/PKCS8; x=y\n\nMIIB\n--b--",
    };
    const struct mu_est_part *key, *certs;
    struct mu_est_multipart m;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        world_ok(decode(i == 0 ? "multipart/mixed; boundary=b" : "multipart/mixed ; charset=x; boundary=\"b\"",
            bodies[i], &m));
        assert_int_equal(m.n, 2);
        key = mu_est_multipart_get(&m, MU_EST_MEDIA_PKCS8);
        certs = mu_est_multipart_get(&m, MU_EST_MEDIA_PKCS7);
        assert_non_null(key);
        assert_non_null(certs);
        assert_memory_equal(key->body.p, "MIIB", 4);
        assert_memory_equal(certs->body.p, "MIIC", 4);
    }
}

static void refuses_damage(void **state)
{
    static const struct { const char *type, *body, *what; } cases[] = {
        {"multipart/mixed", "--b\n\nx\n--b--", "without a boundary"},
        {NULL, "--b\n\nx\n--b--", "without a boundary"},
        {"multipart/mixed; boundary=\"b", "--b\n\nx\n--b--", "without a boundary"},
        {"multipart/mixed; boundary=", "--\n\nx\n----", "without a boundary"},
        {"multipart/mixed; boundary=b", "--b\nContent-Type: a/b\n\nMIIB\n", "ends within a part"},
        {"multipart/mixed; boundary=b", "", "ends within a part"},
        {"multipart/mixed; boundary=b", "--b\nContent-Type: a/b", "headers of a part"},
        {"multipart/mixed; boundary=b",
            "--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b--", "too many parts"},
    };
    struct mu_est_multipart m;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
        world_failed(decode(cases[i].type, cases[i].body, &m), MU_INPUT, 0, cases[i].what);
}

static void bounds_boundary_and_headers(void **state)
{
    struct mu_est_multipart m;
    char type[200], body[8192];

    (void)state;
    snprintf(type, sizeof type, "multipart/mixed; boundary=%070d", 0);
    snprintf(body, sizeof body, "--%070d\n\nx\n--%070d--", 0, 0);
    world_ok(decode(type, body, &m));
    snprintf(type, sizeof type, "multipart/mixed; boundary=%071d", 0);
    world_failed(decode(type, body, &m), MU_INPUT, 0, "without a boundary");
    snprintf(body, sizeof body, "--b\nX: %05000d\n\nx\n--b--", 0);
    world_failed(decode("multipart/mixed; boundary=b", body, &m), MU_INPUT, 0, "headers of a part");
}

static void reads_what_it_wrote(void **state)
{
    char boundary[MU_EST_BOUNDARY_MAX + 1], type[160];
    struct mu_est_multipart m;
    struct mu_buf body = {0};
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(mu_est_multipart_boundary(&w.env, boundary, &world_err));
    assert_non_null(strchr(boundary, '_')); /* so no line of base64 is one */
    mu_est_multipart_put(&body, boundary, "a/b", mu_bytes_str("one\n"));
    mu_est_multipart_put(&body, boundary, "c/d", mu_bytes_str("two\n"));
    mu_est_multipart_end(&body, boundary);
    snprintf(type, sizeof type, "multipart/mixed; boundary=%s", boundary);
    world_ok(decode(type, mu_buf_str(&body), &m));
    assert_int_equal(m.n, 2);
    assert_string_equal(m.parts[0].type, "a/b");
    assert_memory_equal(m.parts[1].body.p, "two\n", 4);
    mu_buf_clear(&body);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_parts_in_any_order),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(bounds_boundary_and_headers),
        cmocka_unit_test(reads_what_it_wrote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
