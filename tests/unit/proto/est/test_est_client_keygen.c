/* serverkeygen end to end: plain, to a shared secret, to a certificate; and what is wrong. */

#include "world.h"

static void init(struct world *w)
{
    world_init(w);
    w->config.op = MU_EST_CLIENT_KEYGEN;
}

static void got_key(struct world *w, struct mu_est_client *client)
{
    struct mu_est_client_result r;

    mu_est_client_result(client, &r);
    assert_non_null(r.key);
    assert_true(mu_pki_key_has_private(r.key));
    assert_true(mu_pki_key_equal(r.key, w->made));
    assert_true(mu_bytes_equal(r.cert->spki, mu_pki_key_spki(r.key)));
    assert_non_null(strstr(w->urls, "POST " WORLD_URL "/.well-known/est/serverkeygen\n"));
}

/* EST-73, EST-74, EST-75: PrivateKeyInfo; the key is in no trace. */
static void delivers_a_plain_key(void **state)
{
    struct mu_est_client *client;
    struct world w;

    (void)state;
    init(&w);
    world_ok(world_run(&w, &client));
    got_key(&w, client);
    assert_int_equal(w.keys, 1);
    world_trace_has(&w.trace, "est start: serverkeygen for 'est-test101'\nest reply: \n parts, key *, 1 certificate");
    mu_est_client_free(client);
    world_clear(&w);
}

/* EST-76: DecryptKeyIdentifier, KEKRecipientInfo. */
static void delivers_to_a_shared_secret(void **state)
{
    struct mu_secret kek = {0};
    struct mu_est_client *client;
    struct world w;

    (void)state;
    init(&w);
    world_ok(mu_secret_set(&kek, mu_bytes("0123456789abcdef0123456789abcdef", 32), &world_err));
    w.config.kek = w.credential.kek = &kek;
    w.config.kek_id = w.credential.kek_id = mu_bytes_str("key-1");
    world_ok(world_run(&w, &client));
    got_key(&w, client);
    mu_est_client_free(client);
    /* an identifier nobody knows is an error before anything is issued */
    w.credential.kek_id = mu_bytes_str("key-2");
    world_failed(world_run(&w, NULL), MU_DENIED, 409, "a secret that is not known here");
    w.credential.kek = NULL;
    world_failed(world_run(&w, NULL), MU_DENIED, 409, "a secret that is not known here");
    mu_secret_clear(&kek);
    world_clear(&w);
}

/* EST-76: AsymmetricDecryptKeyIdentifier, key transport for RSA, key agreement for EC. */
static void delivers_to_a_certificate(void **state)
{
    static const enum world_key keys[] = {KEY_CLIENT, KEY_EC};
    struct mu_est_client *client;
    struct world w;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        init(&w);
        w.client_cert = world_cert(&(struct world_cert){.subject = "CN=device1",
            .issuer = "CN=estExampleCA", .key = keys[i], .issuer_key = KEY_EC_CA});
        w.config.decrypt_cert = w.client_cert;
        w.config.decrypt_key = world_key(keys[i]);
        world_ok(world_run(&w, &client));
        got_key(&w, client);
        world_trace_has(&w.trace, "est reply: key *, made by CN=estExampleCA, signature ok");
        mu_est_client_free(client);
        w.client_cert = world_cert(&(struct world_cert){.subject = "CN=device2",
            .issuer = "CN=estExampleCA", .key = KEY_OTHER, .issuer_key = KEY_EC_CA});
        world_failed(world_run(&w, NULL), MU_DENIED, 409, "not the TLS client's");
        mu_pki_cert_free(w.config.decrypt_cert);
        world_clear(&w);
    }
}

/* The request asked for an encrypted key: one in the clear is not taken. */
static void strip_encryption(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *response)
{
    struct mu_buf key = {0}, text = {0}, body = {0};

    (void)n;
    if (op != MU_EST_SERVERKEYGEN)
        return;
    world_ok(mu_est_msg_key_encode(w->made, &key, &world_err));
    mu_est_body_encode(&text, mu_buf_bytes(&key), false);
    mu_est_multipart_put(&body, "b", MU_EST_MEDIA_PKCS8, mu_buf_bytes(&text));
    mu_est_multipart_put(&body, "b", MU_EST_MEDIA_CERTS_ONLY, mu_bytes_str("MAA="));
    mu_est_multipart_end(&body, "b");
    mu_http_response_clear(response);
    world_ok(mu_http_response_set(
        response, 200, "multipart/mixed; boundary=b", mu_buf_bytes(&body), &world_err));
    mu_buf_clear(&key);
    mu_buf_clear(&text);
    mu_buf_clear(&body);
}

static void refuses_a_key_in_the_clear(void **state)
{
    struct mu_secret kek = {0};
    struct world w;

    (void)state;
    init(&w);
    world_ok(mu_secret_set(&kek, mu_bytes("0123456789abcdef", 16), &world_err));
    w.config.kek = w.credential.kek = &kek;
    w.config.kek_id = w.credential.kek_id = mu_bytes_str("key-1");
    w.tamper = strip_encryption;
    world_failed(world_run(&w, NULL), MU_AUTH, 0, "came in the clear");
    mu_secret_clear(&kek);
    world_clear(&w);
}

static void answer_404(
    struct world *w, enum mu_est_op op, unsigned n, struct mu_http_response *response)
{
    (void)w;
    (void)n;
    if (op == MU_EST_SERVERKEYGEN)
        response->status = 404;
}

static void tells_of_a_server_that_makes_no_keys(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.tamper = answer_404;
    world_failed(world_run(&w, NULL), MU_UNSUPPORTED, 0, "makes no keys");
    world_clear(&w);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_a_plain_key),
        cmocka_unit_test(delivers_to_a_shared_secret),
        cmocka_unit_test(delivers_to_a_certificate),
        cmocka_unit_test(refuses_a_key_in_the_clear),
        cmocka_unit_test(tells_of_a_server_that_makes_no_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
