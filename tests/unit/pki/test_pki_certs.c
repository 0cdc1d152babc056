/* Lists, files and certs-only messages (COM-08, COM-09). */
#include <openssl/pkcs7.h>
#include <string.h>

#include "base/limits.h"
#include "kit.h"
#include "pki/pki_pem.h"

static struct mu_pki_cert *ca(void)
{
    return kit_cert(
        &(struct kit_cert){.subject = "/CN=ca", .key = kit_key("ec:P-256", 0), .is_ca = true});
}

static struct mu_pki_cert *sub(void)
{
    return kit_cert(&(struct kit_cert){.subject = "/CN=sub", .issuer = "/CN=ca", .serial = "2",
        .key = kit_key("ec:P-256", 1), .issuer_key = kit_key("ec:P-256", 0), .is_ca = true});
}

static struct mu_pki_cert *leaf(void)
{
    return kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .issuer = "/CN=sub", .serial = "3",
        .key = kit_key("ec:P-256", 2), .issuer_key = kit_key("ec:P-256", 1)});
}

/* leaf, sub, ca; the list holds the only counts. */
static void three(struct mu_pki_certs *list)
{
    struct mu_pki_cert *certs[] = {leaf(), sub(), ca()};
    for (int i = 0; i < 3; i++) {
        kit_ok(mu_pki_certs_add(list, certs[i], kit_err_));
        mu_pki_cert_free(certs[i]);
    }
}

static void certs_only_keeps_the_order_and_openssl_reads_it(void **state)
{
    struct mu_pki_certs list = {0}, back = {0};
    struct mu_buf crl = kit_vector("openssl/rsa.crl"), der = {0}, keep = {0};
    struct mu_bytes found = {0};
    three(&list);
    mu_pki_certs_only_encode(&list, mu_buf_bytes(&crl), &der);
    assert_true(mu_der_valid(mu_buf_bytes(&der), 32));
    const uint8_t *p = der.p;
    PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)der.n);
    assert_non_null(p7);
    assert_int_equal(sk_X509_num(p7->d.sign->cert), 3);
    assert_int_equal(sk_X509_CRL_num(p7->d.sign->crl), 1);
    assert_int_equal(ASN1_INTEGER_get(p7->d.sign->version), 1); /* COM-08 */
    assert_int_equal(sk_X509_ALGOR_num(p7->d.sign->md_algs), 0);
    assert_int_equal(sk_PKCS7_SIGNER_INFO_num(p7->d.sign->signer_info), 0);
    PKCS7_free(p7);
    kit_ok(mu_pki_certs_only_decode(mu_buf_bytes(&der), &back, &found, &keep, kit_err_));
    assert_int_equal(back.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(mu_pki_cert_equal(back.v[i], list.v[i]));
    assert_true(mu_bytes_equal(found, mu_buf_bytes(&crl)));
    assert_true(found.p > der.p && found.p < der.p + der.n); /* a view */
    mu_pki_certs_clear(&list);
    mu_pki_certs_clear(&back);
    mu_buf_clear(&crl);
    mu_buf_clear(&der);
    mu_buf_clear(&keep);
}

static void an_empty_message_is_the_published_one(void **state)
{
    static const uint8_t want[] = {0x30, 0x23, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
        0x07, 0x02, 0xa0, 0x16, 0x30, 0x14, 0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0b, 0x06, 0x09,
        0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0x31, 0x00};
    struct mu_buf der = {0};
    mu_pki_certs_only_encode(NULL, mu_bytes(NULL, 0), &der);
    assert_int_equal(der.n, sizeof(want));
    assert_memory_equal(der.p, want, sizeof(want));
    mu_buf_clear(&der);
}

static void files_of_every_kind_are_read(void **state)
{
    struct mu_buf rsa = kit_vector("openssl/rsa.crt"), ec = kit_vector("openssl/ec.crt"),
                  p7 = kit_vector("openssl/certs-only.der"), key = kit_vector("openssl/ec.key");
    struct mu_buf files[5] = {{0}};
    static const size_t counts[] = {2, 2, 1, 3, 2};
    mu_buf_put_bytes(&files[0], mu_buf_bytes(&rsa)); /* PEM, a key in between */
    mu_buf_put_bytes(&files[0], mu_buf_bytes(&key));
    mu_buf_put_bytes(&files[0], mu_buf_bytes(&ec));
    mu_buf_put_bytes(&files[1], mu_buf_bytes(&p7));
    struct mu_pki_certs one = {0};
    kit_ok(mu_pki_certs_decode(mu_buf_bytes(&ec), &one, kit_err_));
    mu_buf_put_bytes(&files[2], one.v[0]->der);
    mu_pki_pem_put(&files[3], "PKCS7", mu_buf_bytes(&p7));
    mu_buf_put_bytes(&files[3], mu_buf_bytes(&ec));
    /* the same message in BER: indefinite outside */
    mu_buf_put(&files[4], "\x30\x80", 2);
    mu_buf_put(&files[4], p7.p + 4, p7.n - 4);
    mu_buf_put(&files[4], "\0\0", 2);
    assert_int_equal(p7.p[1], 0x82);
    for (size_t i = 0; i < 5; i++) {
        struct mu_pki_certs list = {0};
        kit_ok(mu_pki_certs_decode(mu_buf_bytes(&files[i]), &list, kit_err_));
        assert_int_equal(list.n, counts[i]);
        mu_pki_certs_clear(&list);
        mu_buf_clear(&files[i]);
    }
    mu_pki_certs_clear(&one);
    mu_buf_clear(&rsa);
    mu_buf_clear(&ec);
    mu_buf_clear(&p7);
    mu_buf_clear(&key);
}

static void files_without_certificates_are_refused_and_change_nothing(void **state)
{
    struct mu_buf ec = kit_vector("openssl/ec.crt"), key = kit_vector("openssl/ec.key"),
                  request = kit_vector("openssl/rsa.csr"), half = {0};
    struct mu_pki_certs list = {0};
    mu_buf_put_bytes(&half, mu_buf_bytes(&ec));
    mu_buf_put_str(&half, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    const struct mu_bytes files[] = {mu_bytes("", 0), kit_str("text"), mu_buf_bytes(&key),
        mu_buf_bytes(&request), mu_buf_bytes(&half), mu_bytes(ec.p, ec.n - 30)};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_equal(mu_pki_certs_decode(files[i], &list, kit_err()), MU_INPUT);
        assert_int_equal(list.n, 0);
    }
    mu_buf_clear(&ec);
    mu_buf_clear(&key);
    mu_buf_clear(&request);
    mu_buf_clear(&half);
}

static void a_list_has_a_ceiling(void **state)
{
    struct mu_pki_certs list = {0};
    struct mu_pki_cert *cert = ca();
    for (int i = 0; i < MU_LIMIT_CERTS; i++)
        kit_ok(mu_pki_certs_add(&list, cert, kit_err_));
    assert_int_equal(mu_pki_certs_add(&list, cert, kit_err()), MU_MEMORY); /* COM-15 */
    assert_int_equal(list.n, MU_LIMIT_CERTS);
    mu_pki_certs_clear(&list);
    mu_pki_cert_free(cert);
}

static void the_leaf_is_found_by_key_not_by_place(void **state)
{
    struct mu_pki_certs list = {0};
    three(&list);
    for (size_t i = 0; i < 3; i++) { /* COM-09 */
        assert_ptr_equal(
            mu_pki_certs_by_key(&list, mu_pki_key_spki(kit_key("ec:P-256", (unsigned)(2 - i)))),
            list.v[i]);
        assert_ptr_equal(mu_pki_certs_by_serial(&list, list.v[i]->issuer, list.v[i]->serial),
            list.v[i]);
    }
    assert_null(mu_pki_certs_by_key(&list, mu_pki_key_spki(kit_key("rsa:2048", 0))));
    assert_null(mu_pki_certs_by_serial(&list, list.v[0]->issuer, list.v[1]->serial));
    mu_pki_certs_clear(&list);
}

static void chains_are_sorted_out_of_a_pool(void **state)
{
    struct mu_pki_certs pool = {0}, chain = {0};
    struct mu_pki_cert *root = ca(), *middle = sub(), *end = leaf();
    struct mu_pki_cert *impostor = kit_cert(&(struct kit_cert){.subject = "/CN=sub",
        .issuer = "/CN=ca", .key = kit_key("rsa:2048", 0), .issuer_key = kit_key("ec:P-256", 0)});
    kit_ok(mu_pki_certs_add(&pool, root, kit_err_));
    kit_ok(mu_pki_certs_add(&pool, impostor, kit_err_));
    kit_ok(mu_pki_certs_add(&pool, end, kit_err_));
    kit_ok(mu_pki_certs_chain(end, &pool, &chain, kit_err_));
    assert_int_equal(chain.n, 0); /* nobody in the pool signed it */
    kit_ok(mu_pki_certs_add(&pool, middle, kit_err_));
    kit_ok(mu_pki_certs_chain(end, &pool, &chain, kit_err_));
    assert_int_equal(chain.n, 2);
    assert_ptr_equal(chain.v[0], middle);
    assert_ptr_equal(chain.v[1], root);
    mu_pki_certs_clear(&chain);
    kit_ok(mu_pki_certs_chain(root, &pool, &chain, kit_err_));
    assert_int_equal(chain.n, 0);
    mu_pki_certs_clear(&chain);
    mu_pki_certs_clear(&pool);
    mu_pki_cert_free(root);
    mu_pki_cert_free(middle);
    mu_pki_cert_free(end);
    mu_pki_cert_free(impostor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certs_only_keeps_the_order_and_openssl_reads_it),
        cmocka_unit_test(an_empty_message_is_the_published_one),
        cmocka_unit_test(files_of_every_kind_are_read),
        cmocka_unit_test(files_without_certificates_are_refused_and_change_nothing),
        cmocka_unit_test(a_list_has_a_ceiling),
        cmocka_unit_test(the_leaf_is_found_by_key_not_by_place),
        cmocka_unit_test(chains_are_sorted_out_of_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
