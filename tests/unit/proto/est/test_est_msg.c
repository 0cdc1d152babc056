/* Certificates and plain keys in bodies. */
#include "world.h"

static void text_of(struct mu_bytes der, struct mu_buf *text)
{
    mu_buf_clear(text);
    assert_true(mu_est_body_encode(text, der, false));
}

/* EST-39, IOP-22: certs-only keeps its order; a bare certificate and PEM are taken too. */
static void certificates_come_back(void **state)
{
    struct mu_buf der = {0}, text = {0};
    struct mu_pki_certs list = {0};
    struct world w;

    (void)state;
    world_init(&w);
    world_ok(mu_est_msg_certs_encode(&w.chain, &der, &world_err));
    text_of(mu_buf_bytes(&der), &text);
    world_ok(mu_est_msg_certs_decode(mu_buf_bytes(&text), &list, &world_err));
    world_ok(mu_est_msg_certs_decode(w.ca->der, &list, &world_err));
    mu_buf_clear(&text);
    assert_true(mu_pki_cert_to_pem(w.ca, &text));
    world_ok(mu_est_msg_certs_decode(mu_buf_bytes(&text), &list, &world_err));
    assert_int_equal(list.n, 3);
    assert_true(mu_pki_cert_equal(list.v[0], w.ca) && mu_pki_cert_equal(list.v[2], w.ca));
    mu_pki_certs_clear(&list);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
    world_clear(&w);
}

static void refuses_empty_and_damaged_lists(void **state)
{
    struct mu_pki_certs none = {0}, list = {0};
    struct mu_buf der = {0}, text = {0};
    struct world w;
    size_t i, refused = 0;

    (void)state;
    world_init(&w);
    world_ok(mu_est_msg_certs_encode(&none, &der, &world_err));
    text_of(mu_buf_bytes(&der), &text);
    world_failed(mu_est_msg_certs_decode(mu_buf_bytes(&text), &list, &world_err), MU_INPUT,
        MU_REFUSE_MALFORMED, "no certificate in the answer");
    mu_buf_clear(&der);
    world_ok(mu_est_msg_certs_encode(&w.chain, &der, &world_err));
    for (i = 1; i < der.n; i++) { /* cut anywhere */
        text_of(mu_bytes(der.p, i), &text);
        if (mu_est_msg_certs_decode(mu_buf_bytes(&text), &list, &world_err) != MU_OK)
            refused++;
        mu_pki_certs_clear(&list);
    }
    assert_int_equal(refused, der.n - 1);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
    world_clear(&w);
}

/* EST-75: PrivateKeyInfo of each kind of key. */
static void keys_come_back(void **state)
{
    static const enum world_key kinds[] = {KEY_CLIENT, KEY_EC};
    struct mu_pki_key *key;
    struct mu_buf der = {0}, text = {0};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        key = NULL;
        world_ok(mu_est_msg_key_encode(world_key(kinds[i]), &der, &world_err));
        text_of(mu_buf_bytes(&der), &text);
        world_ok(mu_est_msg_key_decode(mu_buf_bytes(&text), &key, &world_err));
        assert_true(mu_pki_key_has_private(key) && mu_pki_key_equal(key, world_key(kinds[i])));
        mu_pki_key_free(key);
        mu_buf_clear(&der);
    }
    world_failed(mu_est_msg_key_decode(mu_bytes_str("MAA="), &key, &world_err), MU_INPUT, 0,
        "the key of the answer (RFC 7030 4.4.2)");
    mu_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_come_back),
        cmocka_unit_test(refuses_empty_and_damaged_lists),
        cmocka_unit_test(keys_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
