/* The files behind -c (R061, R070): one or numbered, found again by the base name, newest counts.
 */
#include "cmd/muster/sscep_files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "pki/pki_crl.h"
#include "pki/pki_name.h"

static char dir[64];

static struct mu_pki_cert *make_cert(const struct mu_pki_key *key, const char *dn, uint8_t serial)
{
    struct mu_buf name = {0}, der = {0}, ext = {0};
    struct mu_pki_cert *cert = NULL;
    struct mu_err err = {0};
    size_t mark;

    assert_int_equal(mu_pki_name_parse(dn, &name, &err), MU_OK);
    mark = mu_der_open(&ext, MU_DER_SEQUENCE);
    mu_pki_ext_put_basic(&ext, true, true, -1);
    mu_der_close(&ext, mark);
    {
        const struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(&serial, 1),
            .issuer = mu_buf_bytes(&name),
            .subject = mu_buf_bytes(&name),
            .not_before_s = 1700000000,
            .not_after_s = 1800000000,
            .spki = mu_pki_key_spki(key),
            .extensions = mu_buf_bytes(&ext)};

        assert_int_equal(mu_pki_cert_make(&tbs, key, MU_PKI_SHA256, &der, &err), MU_OK);
    }
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &err), MU_OK);
    mu_buf_clear(&name);
    mu_buf_clear(&der);
    mu_buf_clear(&ext);
    return cert;
}

struct world {
    struct mu_pki_key *key;
    struct mu_pki_certs certs;
};

static int set_up(void **state)
{
    static struct world w;
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    struct mu_err err = {0};
    uint8_t i;

    memset(&w, 0, sizeof w);
    snprintf(dir, sizeof dir, "/tmp/test_sscep_files.XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(mu_pki_key_generate(&spec, &w.key, &err), MU_OK);
    for (i = 1; i <= 3; i++) {
        char dn[16];
        struct mu_pki_cert *cert;

        snprintf(dn, sizeof dn, "/CN=c%u", i);
        cert = make_cert(w.key, dn, i);
        assert_int_equal(mu_pki_certs_add(&w.certs, cert, &err), MU_OK);
        mu_pki_cert_free(cert);
    }
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char path[128];
    int i;

    for (i = -1; i < 4; i++) {
        if (i < 0)
            snprintf(path, sizeof path, "%s/ca.crt", dir);
        else
            snprintf(path, sizeof path, "%s/ca.crt-%d", dir, i);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/out", dir);
    unlink(path);
    rmdir(dir);
    mu_pki_certs_clear(&w->certs);
    mu_pki_key_free(w->key);
    return 0;
}

static void count(void *cookie, const char *path, struct mu_pki_cert *cert)
{
    ++*(int *)cookie;
    assert_int_equal(access(path, R_OK), 0);
}

static const char *at(const char *name)
{
    static char path[2][128];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

/* Makes a file older or newer without waiting for the clock. */
static void set_age(const char *name, time_t when)
{
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    assert_int_equal(utimensat(AT_FDCWD, at(name), times, 0), 0);
}

static void one_certificate_is_one_file(void **state)
{
    struct world *w = *state;
    struct mu_pki_certs one = {.v = w->certs.v, .n = 1}, read = {0};
    struct mu_err err = {0};
    int n = 0;

    assert_int_equal(mu_sscep_files_ca_write(at("ca.crt"), &one, count, &n, &err), MU_OK);
    assert_int_equal(n, 1);
    assert_int_not_equal(access(at("ca.crt-0"), F_OK), 0);
    assert_int_equal(mu_sscep_files_ca(at("ca.crt"), &read, &err), MU_OK);
    assert_int_equal(read.n, 1);
    assert_true(mu_pki_cert_equal(read.v[0], w->certs.v[0]));
    mu_pki_certs_clear(&read);
}

static void several_are_numbered_and_found_by_the_base(void **state)
{
    struct world *w = *state;
    struct mu_pki_certs read = {0};
    struct mu_err err = {0};
    int n = 0;

    assert_int_equal(mu_sscep_files_ca_write(at("ca.crt"), &w->certs, count, &n, &err), MU_OK);
    assert_int_equal(n, 3);
    assert_int_not_equal(access(at("ca.crt"), F_OK), 0);
    assert_int_equal(mu_sscep_files_ca(at("ca.crt"), &read, &err), MU_OK);
    assert_int_equal(read.n, 3);
    assert_true(mu_pki_cert_equal(read.v[2], w->certs.v[2]));
    mu_pki_certs_clear(&read);
    /* one of them by its own name comes first, the others are still there */
    assert_int_equal(mu_sscep_files_ca(at("ca.crt-1"), &read, &err), MU_OK);
    assert_int_equal(read.n, 3);
    assert_true(mu_pki_cert_equal(read.v[0], w->certs.v[1]));
    mu_pki_certs_clear(&read);
}

static void what_was_written_last_counts(void **state)
{
    struct world *w = *state;
    struct mu_pki_certs two = {.v = w->certs.v, .n = 2}, other = {.v = w->certs.v + 2, .n = 1},
                        read = {0};
    struct mu_err err = {0};
    int n = 0;

    assert_int_equal(mu_sscep_files_ca_write(at("ca.crt"), &two, count, &n, &err), MU_OK);
    assert_int_equal(mu_sscep_files_ca_write(at("ca.crt"), &other, count, &n, &err), MU_OK);
    set_age("ca.crt-0", 1000);
    set_age("ca.crt", 2000);
    assert_int_equal(mu_sscep_files_ca(at("ca.crt"), &read, &err), MU_OK);
    assert_int_equal(read.n, 1);
    assert_true(mu_pki_cert_equal(read.v[0], w->certs.v[2]));
    mu_pki_certs_clear(&read);
    set_age("ca.crt-0", 3000);
    assert_int_equal(mu_sscep_files_ca(at("ca.crt"), &read, &err), MU_OK);
    assert_int_equal(read.n, 2);
    mu_pki_certs_clear(&read);
}

static void what_is_no_certificate_is_refused(void **state)
{
    struct mu_pki_certs read = {0};
    struct mu_pki_cert *cert = NULL;
    struct mu_err err = {0};
    FILE *f = fopen(at("out"), "w");

    assert_non_null(f);
    fputs("nothing\n", f);
    fclose(f);
    assert_int_not_equal(mu_sscep_files_ca(at("out"), &read, &err), MU_OK);
    assert_int_equal(read.n, 0);
    assert_int_not_equal(mu_sscep_files_cert(at("out"), &cert, &err), MU_OK);
    assert_null(cert);
    assert_int_not_equal(mu_sscep_files_ca(at("ca.crt"), &read, &err), MU_OK);
    assert_non_null(strstr(err.what, "ca.crt"));
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    struct world *w = *state;
    struct mu_pki_cert *read = NULL;
    struct mu_err err = {0};

    assert_int_equal(mu_sscep_files_cert_write(at("out"), w->certs.v[0], &err), MU_OK);
    assert_int_not_equal(
        mu_sscep_files_cert_write("/nonexistent/dir/out", w->certs.v[1], &err), MU_OK);
    assert_int_equal(err.code, MU_STORAGE);
    assert_int_equal(mu_sscep_files_cert_write(at("out"), w->certs.v[1], &err), MU_OK);
    assert_int_equal(mu_sscep_files_cert(at("out"), &read, &err), MU_OK);
    assert_true(mu_pki_cert_equal(read, w->certs.v[1]));
    mu_pki_cert_free(read);
}

static void R064_crl_is_written_as_pem(void **state)
{
    struct world *w = *state;
    const struct mu_pki_crl_params params = {.issuer = w->certs.v[0]->subject,
        .this_update_s = 1700000000,
        .next_update_s = 1700600000,
        .number = 1};
    struct mu_pki_crl *crl = NULL;
    struct mu_buf der = {0};
    struct mu_err err = {0};
    char head[32] = "";
    FILE *f;

    assert_int_equal(mu_pki_crl_make(&params, w->key, MU_PKI_SHA256, &der, &err), MU_OK);
    assert_int_equal(mu_sscep_files_crl_write(at("out"), mu_buf_bytes(&der), &err), MU_OK);
    f = fopen(at("out"), "r");
    assert_non_null(f);
    assert_non_null(fgets(head, sizeof head, f));
    fclose(f);
    assert_string_equal(head, "-----BEGIN X509 CRL-----\n");
    assert_int_equal(mu_pki_crl_decode(mu_buf_bytes(&der), &crl, &err), MU_OK);
    mu_pki_crl_free(crl);
    mu_buf_clear(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_certificate_is_one_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            several_are_numbered_and_found_by_the_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_written_last_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_certificate_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(R064_crl_is_written_as_pem, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
