/* TLS of the client as EST needs it: the order of the trace when the server is not believed, our
 * certificate refused in TLS 1.2 and 1.3, versions, one handshake for a whole enrollment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ssl.h>
#include <cmocka.h>

#include "net_fixture.h"

static struct fix_cert root, server, device, stranger;
static atomic_uint requests;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mu_buf seen_binding; /* at the server, of the last request */
static uint16_t seen_ports[64];    /* of the client: a new connection has a new one */

static int make_all(void **state)
{
    fix_cert_make(&root, &(struct fix_cert_spec){.cn = "Test Root", .ca = true}, NULL);
    fix_cert_make(&server, &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1"}, &root);
    fix_cert_make(&device, &(struct fix_cert_spec){.cn = "device-1"}, &root);
    fix_cert_make(&stranger, &(struct fix_cert_spec){.cn = "stranger"}, NULL);
    return 0;
}

static int clear_all(void **state)
{
    fix_cert_clear(&root);
    fix_cert_clear(&server);
    fix_cert_clear(&device);
    fix_cert_clear(&stranger);
    mu_buf_clear(&seen_binding);
    return 0;
}

static void count(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    unsigned i = atomic_fetch_add(&requests, 1);

    pthread_mutex_lock(&lock);
    mu_buf_reset(&seen_binding);
    mu_http_peer_bind(q->peer);
    mu_buf_put_bytes(&seen_binding, q->peer->tls_exporter);
    if (i < 64)
        seen_ports[i] = q->peer->port;
    pthread_mutex_unlock(&lock);
    fix_reply(reply, strstr(q->target, "simpleenroll") != NULL && i == 2 ? 401 : 200, "fine");
}

static int setup(void **state)
{
    atomic_store(&requests, 0);
    return fix_setup(state);
}

static uint16_t serve(bool send_root, bool ask)
{
    struct mu_net_tls tls = {.key = server.key, .chain = server.chain, .send_root = send_root,
        .ask_client_cert = ask};

    return fix_serve(count, &tls);
}

static char url[128];
static const char *est(uint16_t port, const char *operation)
{
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/.well-known/est/%s", port, operation);
    return url;
}

static struct mu_http_session *open_with(const struct mu_tls_identity *id)
{
    struct mu_http_session_spec spec = {.identity = id, .entry = "est-test", .proto = MU_PROTO_EST};

    return fix_open(&spec);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

/* E036: what was loaded, that it was opened, that TLS failed and why; M204 with the root's SHA-256;
 * and no request was sent. */
static void a_ca_that_is_not_imported(void **state)
{
    struct mu_tls_identity id = {.use_system_anchors = true};
    struct mu_http_session *s = open_with(&id);
    struct mu_buf fp = {0};

    assert_int_equal(fix_ask(s, est(serve(true, true), "cacerts"), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(204));
    assert_string_equal(fix_err.what, "The server's CA \"CN=Test Root\" is not in the CA store "
                                      "(self-signed certificate in certificate chain).");
    assert_has(fix_trace(), "est trust: loaded for TLS: the CA store\n"
                            "est connect: opened 127.0.0.1:");
    assert_has(fix_trace(), "est tls: The server's CA \"CN=Test Root\" is not in the CA store "
                            "(self-signed certificate in certificate chain).\n");
    assert_null(strstr(fix_trace(), "est http:"));
    assert_int_equal(atomic_load(&requests), 0);
    assert_true(mu_pki_cert_fingerprint(root.cert, MU_PKI_SHA256, &fp));
    assert_has(mu_err_next_text(&fix_err), mu_buf_str(&fp));
    assert_int_equal(fix_chain_n, 2); /* with the root, for who wants to import it */
    mu_buf_clear(&fp);
    mu_transport_close(s);
}

static void the_version_has_a_ceiling(void **state)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}, .max_version = TLS1_2_VERSION};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, est(serve(false, false), "cacerts"), NULL), MU_OK);
    assert_has(fix_trace(), "est tls: TLSv1.2 ");
    assert_int_equal(fix_unique.n, 12);
    mu_transport_close(s);
}

/* cacerts, csrattrs, simpleenroll, 401, simpleenroll with a password: one handshake, one binding,
 * and nothing waits for a delayed acknowledgment (40 ms each time). */
static void one_handshake_for_an_enrollment(void **state)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}, .key = device.key,
        .chain = device.chain};
    struct mu_http_session *s = open_with(&id);
    struct mu_http_request r = {.method = "POST", .body = mu_bytes_str("csr"), .same_connection = true};
    uint16_t port = serve(true, true);
    struct timespec before, after;
    struct mu_buf first = {0};
    double ms;

    assert_int_equal(fix_ask(s, est(port, "cacerts"), NULL), MU_OK);
    mu_buf_put_bytes(&first, mu_buf_bytes(&fix_exporter));
    assert_int_equal(first.n, 32);
    assert_int_equal(fix_ask(s, est(port, "csrattrs"), NULL), MU_OK);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 50; i++) {
        r.target = est(port, "simpleenroll");
        assert_int_equal(fix_ask_request(s, &r), MU_OK);
        assert_int_equal(fix_response.status, i == 0 ? 401 : 200);
        assert_true(fix_facts.reused);
        assert_true(mu_bytes_equal(mu_buf_bytes(&first), mu_buf_bytes(&fix_exporter)));
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    if (ms > 50 * 40)
        fail_msg("50 exchanges took %.0f ms", ms);
    assert_int_equal(atomic_load(&requests), 52);
    for (int i = 1; i < 52; i++)
        assert_int_equal(seen_ports[i], seen_ports[0]);
    assert_true(mu_bytes_equal(mu_buf_bytes(&first), mu_buf_bytes(&seen_binding)));
    mu_buf_clear(&first);
    mu_transport_close(s);
}

/* EST-51: the linked request does not go out on another connection; a new one has a new binding. */
static void a_lost_connection_costs_the_binding(void **state)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}};
    struct mu_http_session *s = open_with(&id);
    uint16_t port = serve(false, false);
    struct mu_http_header close_it = {"Connection", "close"};
    struct mu_http_request last = {.method = "GET", .headers = &close_it, .header_n = 1};
    struct mu_http_request r = {.method = "POST", .body = mu_bytes_str("csr"), .same_connection = true};
    struct mu_buf first = {0};

    last.target = est(port, "csrattrs");
    assert_int_equal(fix_ask_request(s, &last), MU_OK);
    mu_buf_put_bytes(&first, mu_buf_bytes(&fix_exporter));
    r.target = est(port, "simpleenroll");
    assert_int_equal(fix_ask_request(s, &r), MU_NETWORK);
    assert_string_equal(fix_err.what, "The connection that the request is bound to is gone.");
    assert_int_equal(atomic_load(&requests), 1);
    assert_int_equal(fix_ask(s, est(port, "csrattrs"), NULL), MU_OK);
    assert_int_equal(fix_exporter.n, 32);
    assert_false(mu_bytes_equal(mu_buf_bytes(&first), mu_buf_bytes(&fix_exporter)));
    r.target = est(port, "simpleenroll");
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    mu_buf_clear(&first);
    mu_transport_close(s);
}

static void a_certificate_nobody_asked_for_is_told(void **state)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}, .key = device.key,
        .chain = device.chain};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, est(serve(false, false), "cacerts"), NULL), MU_OK);
    assert_has(fix_trace(), "est auth: client certificate CN=device-1 not used, the server did not ask for one\n");
    assert_true(fix_facts.cert_unasked);
    mu_transport_close(s);
    s = open_with(&id);
    assert_int_equal(fix_ask(s, est(serve(false, true), "cacerts"), NULL), MU_OK);
    assert_false(fix_facts.cert_unasked);
    mu_transport_close(s);
}

/* ---- a server that judges in the handshake, as others do ---- */

struct strict {
    int fd, verify_error;
    uint16_t port;
    SSL_CTX *ctx;
    pthread_t thread;
};

static _Thread_local int verdict;

static int judge(X509_STORE_CTX *ctx, void *cookie)
{
    X509_STORE_CTX_set_error(ctx, verdict);
    return verdict == X509_V_OK;
}

static void *strict_main(void *cookie)
{
    struct strict *o = cookie;
    int fd = accept(o->fd, NULL, NULL);
    SSL *ssl = SSL_new(o->ctx);
    char buf[2048];

    verdict = o->verify_error;
    SSL_set_fd(ssl, fd);
    SSL_accept(ssl);
    /* read on, or closing would reset the connection and take our alert with it */
    shutdown(fd, SHUT_WR);
    while (recv(fd, buf, sizeof(buf), 0) > 0)
        ;
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void strict_start(struct strict *o, int version, int verify_error)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    memset(o, 0, sizeof(*o));
    o->verify_error = verify_error;
    o->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(o->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(o->fd, 1), 0);
    assert_int_equal(getsockname(o->fd, (struct sockaddr *)&sa, &len), 0);
    o->port = ntohs(sa.sin_port);
    o->ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(o->ctx, version);
    SSL_CTX_use_certificate(o->ctx, server.x509);
    SSL_CTX_use_PrivateKey(o->ctx, server.evp);
    SSL_CTX_set_verify(o->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(o->ctx, judge, NULL);
    assert_int_equal(pthread_create(&o->thread, NULL, strict_main, o), 0);
}

/* M207 with the alert's name. In TLS 1.3 our handshake is over before the server has looked. */
static void our_refused_certificate_is_m207(void **state)
{
    static const struct {
        int verify_error;
        const char *alert;
    } cases[] = {
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "unknown ca"},
        {X509_V_ERR_CERT_HAS_EXPIRED, "certificate expired"},
        {X509_V_ERR_CERT_REVOKED, "certificate revoked"},
        {X509_V_ERR_INVALID_PURPOSE, "unsupported certificate"},
    };
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}, .key = device.key,
        .chain = device.chain};

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct mu_http_session *s = open_with(&id);
            struct strict o;

            strict_start(&o, version, cases[i].verify_error);
            if (fix_ask(s, est(o.port, "simplereenroll"), "csr") != MU_AUTH)
                fail_msg("%x, %s: %s", (unsigned)version, cases[i].alert, fix_err.what);
            mu_transport_close(s);
            pthread_join(o.thread, NULL);
            SSL_CTX_free(o.ctx);
            close(o.fd);
            assert_int_equal(fix_err.reason, MU_M(207));
            assert_has(fix_err.what, "The server refused our client certificate (");
            assert_has(fix_err.what, cases[i].alert);
        }
}

static uint8_t seen_keys[64];
static size_t seen_keys_n;

static int on_hello(SSL *ssl, unsigned type, unsigned context, const unsigned char *in, size_t n,
    X509 *x, size_t chain_at, int *alert, void *cookie)
{
    seen_keys_n = n <= sizeof(seen_keys) ? n : 0;
    memcpy(seen_keys, in, seen_keys_n);
    return 1;
}

/* EST-21, RFC 6066 6: which anchors are ours, in both versions; not with the system's. */
static void the_server_hears_which_anchors_are_ours(void **state)
{
    uint8_t digest[64];

    assert_int_equal(mu_pki_digest(MU_PKI_SHA1, root.cert->der, digest), 20);
    for (int i = 0; i < 4; i++) {
        struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}, .key = device.key,
            .chain = device.chain, .use_system_anchors = i > 1};
        struct mu_http_session *s = open_with(&id);
        struct strict o;

        strict_start(&o, i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION, X509_V_ERR_CERT_REVOKED);
        assert_int_equal(SSL_CTX_add_custom_ext(
            o.ctx, 3, SSL_EXT_CLIENT_HELLO, NULL, NULL, NULL, on_hello, NULL), 1);
        seen_keys_n = 0;
        assert_int_equal(fix_ask(s, est(o.port, "cacerts"), NULL), MU_AUTH);
        mu_transport_close(s);
        pthread_join(o.thread, NULL);
        SSL_CTX_free(o.ctx);
        close(o.fd);
        if (i > 1) {
            assert_int_equal(seen_keys_n, 0);
            continue;
        }
        assert_int_equal(seen_keys_n, 2 + 1 + 20);
        assert_memory_equal(seen_keys, "\x00\x15\x03", 3);
        assert_memory_equal(seen_keys + 3, digest, 20);
    }
}

/* EST-15, EST-16: id-kp-cmcRA stands for the name under an anchor of ours, for EST only; never where
 * the certificate comes from an anchor that is not ours. */
static void an_ra_needs_no_name_under_our_anchor(void **state)
{
    struct fix_cert ra, plain;
    struct mu_tls_identity ours = {.anchors = {.v = &root.cert, .n = 1}};
    struct mu_tls_identity system = {.use_system_anchors = true};
    char file[] = "/tmp/test_net_verify.XXXXXX";
    int fd = mkstemp(file);
    struct mu_buf pem = {0};

    assert_true(fd >= 0 && mu_pki_cert_to_pem(root.cert, &pem));
    assert_int_equal(write(fd, pem.p, pem.n), (ssize_t)pem.n);
    close(fd);
    setenv("SSL_CERT_FILE", file, 1); /* our root as one of the system's */

    fix_cert_make(&ra, &(struct fix_cert_spec){.cn = "ra", .san = "DNS:elsewhere.example",
        .eku = "serverAuth,cmcRA"}, &root);
    fix_cert_make(&plain, &(struct fix_cert_spec){.cn = "ra", .san = "DNS:elsewhere.example",
        .eku = "serverAuth"}, &root);
    for (int i = 0; i < 4; i++) {
        const struct fix_cert *shown = i == 1 ? &plain : &ra;
        struct mu_net_tls tls = {.key = shown->key, .chain = shown->chain};
        struct mu_http_session_spec spec = {.identity = i == 3 ? &system : &ours, .entry = "est-test",
            .proto = i == 2 ? MU_PROTO_CMP : MU_PROTO_EST};
        struct mu_http_session *s = fix_open(&spec);
        enum mu_code rc = fix_ask(s, est(fix_serve(count, &tls), "cacerts"), NULL);

        if (i == 0 && rc != MU_OK)
            fail_msg("%s", fix_err.what);
        if (i != 0) {
            assert_int_equal(rc, MU_AUTH);
            assert_int_equal(fix_err.reason, MU_M(202));
        }
        mu_transport_close(s);
    }
    unsetenv("SSL_CERT_FILE");
    unlink(file);
    mu_buf_clear(&pem);
    fix_cert_clear(&ra);
    fix_cert_clear(&plain);
}

/* The system's CAs are asked where the named ones know nothing: by the name in its directory, then
 * in its bundle; and a clock or a name that is wrong is so with them too. */
static void the_systems_anchors_are_asked_last(void **state)
{
    struct mu_tls_identity both = {
        .anchors = {.v = &stranger.cert, .n = 1}, .use_system_anchors = true, .env = &fix_env};
    struct mu_tls_identity named = {.anchors = {.v = &stranger.cert, .n = 1}};
    struct mu_tls_identity ours = {.anchors = {.v = &root.cert, .n = 1}, .use_system_anchors = true};
    char dir[] = "/tmp/test_net_verify.XXXXXX", file[80];
    struct mu_buf pem = {0};
    uint16_t port = serve(false, false);
    struct mu_http_session *s;
    FILE *f;

    assert_true(mkdtemp(dir) != NULL && mu_pki_cert_to_pem(root.cert, &pem));
    for (int bundle = 0; bundle < 2; bundle++) {
        snprintf(file, sizeof(file), "%s/%08lx.0", dir, X509_subject_name_hash(root.x509));
        f = fopen(file, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(pem.p, 1, pem.n, f), pem.n);
        fclose(f);
        setenv("SSL_CERT_DIR", bundle ? "/nowhere" : dir, 1);
        setenv("SSL_CERT_FILE", bundle ? file : "/nowhere", 1);
        s = open_with(&named);
        assert_int_equal(fix_ask(s, est(port, "cacerts"), NULL), MU_AUTH);
        assert_int_equal(fix_err.reason, MU_M(203));
        mu_transport_close(s);
        s = open_with(&both);
        if (fix_ask(s, est(port, "cacerts"), NULL) != MU_OK)
            fail_msg("%s", fix_err.what);
        assert_has(fix_trace(), "verified by CN=Test Root\n");
        mu_transport_close(s);
        s = open_with(&both); /* EST-22: what has a password in it is not sent on that alone */
        struct mu_http_header login = {"Authorization", "Basic eDp5"};
        struct mu_http_request post = {.method = "POST", .target = est(port, "simpleenroll"),
            .headers = &login, .header_n = 1, .explicit_anchor = true};
        unsigned seen = atomic_load(&requests);
        assert_int_equal(fix_ask_request(s, &post), MU_AUTH);
        assert_int_equal(fix_err.reason, MU_REASON_NONE);
        assert_has(fix_err.what, "only the system's CA store vouches for");
        assert_has(fix_err.what, "RFC 7030 6");
        post.explicit_anchor = false;
        assert_int_equal(atomic_load(&requests), seen);
        if (fix_ask_request(s, &post) != MU_OK)
            fail_msg("%s", fix_err.what);
        mu_transport_close(s);
        s = open_with(&ours);
        post.explicit_anchor = true;
        if (fix_ask_request(s, &post) != MU_OK)
            fail_msg("%s", fix_err.what);
        mu_transport_close(s);
        s = open_with(&both);
        fix_shift_s = 3 * 86400;
        assert_int_equal(fix_ask(s, est(port, "cacerts"), NULL), MU_AUTH);
        assert_has(fix_err.what, "\" expired on ");
        fix_shift_s = 0;
        mu_transport_close(s);
        unlink(file);
    }
    unsetenv("SSL_CERT_DIR");
    unsetenv("SSL_CERT_FILE");
    rmdir(dir);
    mu_buf_clear(&pem);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ca_that_is_not_imported),
        TEST(the_version_has_a_ceiling),
        TEST(one_handshake_for_an_enrollment),
        TEST(a_lost_connection_costs_the_binding),
        TEST(a_certificate_nobody_asked_for_is_told),
        TEST(our_refused_certificate_is_m207),
        TEST(an_ra_needs_no_name_under_our_anchor),
        TEST(the_systems_anchors_are_asked_last),
        TEST(the_server_hears_which_anchors_are_ours),
    };
    return cmocka_run_group_tests(tests, make_all, clear_all);
}
