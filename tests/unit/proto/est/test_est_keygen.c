/* The attributes by which a key is asked for encrypted. */
#include <stdio.h>

#include "world.h"
#include "proto/est/est_keygen.h"

static const char caps[] = "\x30\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x02\x05\x00";

/* A CSR with these attributes, decoded. */
static enum mu_code get(struct mu_bytes attributes, struct mu_est_keygen *out)
{
    struct mu_pki_csr_params params = {.attributes = attributes};
    struct mu_pki_csr *csr = NULL;
    struct mu_buf der = {0};
    enum mu_code rc;

    world_ok(mu_pki_csr_make(&params, world_key(KEY_EC), &der, &world_err));
    world_ok(mu_pki_csr_decode(mu_buf_bytes(&der), &csr, &world_err));
    rc = mu_est_keygen_get(csr, out, &world_err);
    out->id = mu_bytes(NULL, 0);
    mu_pki_csr_free(csr);
    mu_buf_clear(&der);
    return rc;
}

static void attribute(struct mu_buf *b, const char *oid, struct mu_bytes value)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE), set;

    mu_der_put_oid(b, oid);
    set = mu_der_open(b, MU_DER_SET);
    mu_buf_put_bytes(b, value);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

static void reads_the_wish(void **state)
{
    const struct mu_bytes id = mu_bytes("\x04\x01x", 3), list = mu_bytes(caps, sizeof caps - 1);
    struct mu_est_keygen wish;
    struct mu_buf b = {0};

    (void)state;
    world_ok(get(mu_buf_bytes(&b), &wish));
    assert_int_equal(wish.to, MU_EST_KEYGEN_PLAIN);
    attribute(&b, MU_EST_OID_DECRYPT_KEY, id);
    world_failed(get(mu_buf_bytes(&b), &wish), MU_INPUT, MU_REFUSE_MALFORMED, "no SMIMECapabilities");
    attribute(&b, MU_EST_OID_SMIME_CAPABILITIES, list);
    world_ok(get(mu_buf_bytes(&b), &wish));
    assert_int_equal(wish.to, MU_EST_KEYGEN_SECRET);
    assert_int_equal(wish.cipher, MU_PKI_AES128_CBC);
    assert_false(wish.wraps[0]);
    attribute(&b, MU_EST_OID_ASYMMETRIC_DECRYPT_KEY, id);
    world_failed(get(mu_buf_bytes(&b), &wish), MU_INPUT, MU_REFUSE_MALFORMED, "two keys");
    mu_buf_clear(&b);
    attribute(&b, MU_EST_OID_DECRYPT_KEY, mu_bytes("\x0c\x01x", 3));
    world_failed(get(mu_buf_bytes(&b), &wish), MU_INPUT, MU_REFUSE_MALFORMED, "no OCTET STRING");
    mu_buf_clear(&b);
    attribute(&b, MU_EST_OID_DECRYPT_KEY, id);
    attribute(&b, MU_EST_OID_SMIME_CAPABILITIES, mu_bytes("\x30\x00", 2));
    world_failed(get(mu_buf_bytes(&b), &wish), MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "no AES");
    mu_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
