/* TLS on both sides: versions, client certificates, channel bindings equal at both ends, who is
 * believed and the sentence when not, identities that never share a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <unistd.h>
#include <cmocka.h>

#include "net_fixture.h"

static struct fix_cert root, other_root, sub, server, server_rsa, device1, device2, stranger;

static int make_certs(void **state)
{
    fix_cert_make(&root, &(struct fix_cert_spec){.cn = "Test Root", .ca = true}, NULL);
    fix_cert_make(&other_root, &(struct fix_cert_spec){.cn = "Other Root", .ca = true}, NULL);
    fix_cert_make(&sub, &(struct fix_cert_spec){.cn = "Test Sub", .ca = true}, &root);
    fix_cert_make(&server,
        &(struct fix_cert_spec){.cn = "server", .san = "DNS:ca.example,IP:127.0.0.1"}, &sub);
    fix_cert_make(&server_rsa,
        &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1", .bits = 2048}, &root);
    fix_cert_make(&device1, &(struct fix_cert_spec){.cn = "device-1"}, &sub);
    fix_cert_make(&device2, &(struct fix_cert_spec){.cn = "device-2"}, &root);
    fix_cert_make(&stranger, &(struct fix_cert_spec){.cn = "stranger"}, NULL);
    return 0;
}

static int clear_certs(void **state)
{
    struct fix_cert *const all[] = {
        &root, &other_root, &sub, &server, &server_rsa, &device1, &device2, &stranger};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        fix_cert_clear(all[i]);
    return 0;
}

static char url[128];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mu_buf seen_unique, seen_exporter; /* at the server */

static const char *https(uint16_t port)
{
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/x", port);
    return url;
}

/* Says who came: TLS version, the leaf's length and whether it is device-1, the chain's length. */
static void who(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    const struct mu_http_peer *p = q->peer;
    char text[128];
    const char *name = "nobody";

    if (mu_bytes_equal(p->client_cert, device1.cert->der))
        name = "device-1";
    else if (mu_bytes_equal(p->client_cert, device2.cert->der))
        name = "device-2";
    else if (p->client_cert.n > 0)
        name = "stranger";
    pthread_mutex_lock(&lock);
    mu_buf_reset(&seen_unique);
    mu_buf_reset(&seen_exporter);
    mu_http_peer_bind(p);
    mu_buf_put_bytes(&seen_unique, p->tls_unique);
    mu_buf_put_bytes(&seen_exporter, p->tls_exporter);
    pthread_mutex_unlock(&lock);
    snprintf(text, sizeof(text), "tls=%d version=%04x %s chain=%d srp=%d", p->tls, (unsigned)p->tls_version,
        name, mu_bytes_equal(p->client_chain, sub.cert->der), p->srp_user != NULL);
    fix_reply(reply, 200, text);
}

static int teardown(void **state)
{
    int rc = fix_teardown(state);

    mu_buf_clear(&seen_unique);
    mu_buf_clear(&seen_exporter);
    return rc;
}

static struct mu_net_tls tls_of(const struct fix_cert *c, bool ask)
{
    return (struct mu_net_tls){.key = c->key, .chain = c->chain, .ask_client_cert = ask};
}

static struct mu_pki_certs list_of(struct fix_cert *c)
{
    return (struct mu_pki_certs){.v = &c->cert, .n = 1};
}

static struct mu_http_session *open_with(const struct mu_tls_identity *identity)
{
    struct mu_http_session_spec spec = {.identity = identity, .entry = "est-test", .proto = MU_PROTO_EST};

    return fix_open(&spec);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void tls_1_3_with_a_client_certificate(void **state)
{
    struct mu_net_tls tls = tls_of(&server, true);
    struct mu_tls_identity id = {.anchors = list_of(&root), .key = device1.key, .chain = device1.chain};
    struct mu_http_session *s = open_with(&id);
    uint16_t port = fix_serve(who, &tls);

    assert_int_equal(fix_ask(s, https(port), NULL), MU_OK);
    assert_string_equal(mu_buf_str(&fix_response.body), "tls=1 version=0304 device-1 chain=1 srp=0");
    assert_int_equal(fix_chain_n, 2); /* the server sends no root */
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_leaf), server.cert->der));
    assert_has(fix_trace(), "est connect: opened 127.0.0.1:");
    assert_has(fix_trace(),
        "est tls: TLSv1.3 TLS_AES_128_GCM_SHA256, server CN=server, verified by CN=Test Root\n"
        "est auth: client certificate CN=device-1 used\n"
        "est http: GET https://127.0.0.1:"); /* E100 */
    assert_has(fix_trace(), "est trust: loaded for TLS: CN=Test Root\nest connect: opened"); /* E045 */
    /* RFC 9266: the exporter is the same at both ends; tls-unique is not defined */
    assert_int_equal(fix_exporter.n, 32);
    assert_int_equal(fix_unique.n, 0);
    assert_int_equal(seen_unique.n, 0);
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_exporter), mu_buf_bytes(&seen_exporter)));
    /* and on the same connection it stays the same, with the chain still known */
    assert_int_equal(fix_ask(s, https(port), "again"), MU_OK);
    assert_true(fix_facts.reused);
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_exporter), mu_buf_bytes(&seen_exporter)));
    assert_int_equal(fix_chain_n, 2);
    mu_transport_close(s);
}

/* The server in TLS 1.2: a client of OpenSSL's own that offers no more. */
struct peer {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static struct peer peer_dial(uint16_t port, int version, const struct fix_cert *cert)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct peer p = {.fd = socket(AF_INET, SOCK_STREAM, 0), .ctx = SSL_CTX_new(TLS_client_method())};

    assert_int_equal(connect(p.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    SSL_CTX_set_max_proto_version(p.ctx, version);
    if (cert != NULL) {
        SSL_CTX_use_certificate(p.ctx, cert->x509);
        SSL_CTX_use_PrivateKey(p.ctx, cert->evp);
    }
    p.ssl = SSL_new(p.ctx);
    SSL_set_fd(p.ssl, p.fd);
    return p;
}

static void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    close(p->fd);
}

static void tls_1_2_has_tls_unique(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct mu_net_tls tls = tls_of(&server, true);
    uint16_t port = fix_serve(who, &tls);
    struct peer p = peer_dial(port, TLS1_2_VERSION, &device2);
    unsigned char finished[64];
    char buf[512];
    size_t n;
    int got;

    assert_int_equal(SSL_connect(p.ssl), 1);
    assert_int_equal(SSL_write(p.ssl, text, sizeof(text) - 1), sizeof(text) - 1);
    got = SSL_read(p.ssl, buf, sizeof(buf) - 1);
    assert_true(got > 0);
    buf[got] = '\0';
    assert_has(buf, "tls=1 version=0303 device-2 chain=0");
    n = SSL_get_finished(p.ssl, finished, sizeof(finished));
    assert_int_equal(n, 12);
    pthread_mutex_lock(&lock);
    assert_true(mu_bytes_equal(mu_buf_bytes(&seen_unique), mu_bytes(finished, n)));
    assert_int_equal(seen_exporter.n, 32);
    pthread_mutex_unlock(&lock);
    peer_close(&p);
}

/* The client against a server that knows no more than 1.2. */
struct old_server {
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
    pthread_t thread;
    unsigned char unique[64];
    size_t unique_n;
};

static void *old_server_main(void *cookie)
{
    struct old_server *o = cookie;
    int fd = accept(o->fd, NULL, NULL);
    SSL *ssl = SSL_new(o->ctx);
    char buf[2048];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        o->unique_n = SSL_get_peer_finished(ssl, o->unique, sizeof(o->unique));
        if (SSL_read(ssl, buf, sizeof(buf)) > 0)
            SSL_write(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
        SSL_shutdown(ssl);
    } else {
        /* read on, or closing would reset the connection and take our alert with it */
        shutdown(fd, SHUT_WR);
        while (recv(fd, buf, sizeof(buf), 0) > 0)
            ;
    }
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void old_server_start(struct old_server *o, int version, const char *ciphers)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    memset(o, 0, sizeof(*o));
    o->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(o->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(o->fd, 1), 0);
    assert_int_equal(getsockname(o->fd, (struct sockaddr *)&sa, &len), 0);
    o->port = ntohs(sa.sin_port);
    o->ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(o->ctx, version);
    SSL_CTX_set_min_proto_version(o->ctx, TLS1_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(o->ctx, ciphers), 1);
    SSL_CTX_use_certificate(o->ctx, server_rsa.x509);
    SSL_CTX_use_PrivateKey(o->ctx, server_rsa.evp);
    assert_int_equal(pthread_create(&o->thread, NULL, old_server_main, o), 0);
}

static void old_server_end(struct old_server *o)
{
    pthread_join(o->thread, NULL);
    SSL_CTX_free(o->ctx);
    close(o->fd);
}

static void the_clients_tls_unique(void **state)
{
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);
    struct old_server o;

    old_server_start(&o, TLS1_2_VERSION, "DEFAULT");
    assert_int_equal(fix_ask(s, https(o.port), NULL), MU_OK);
    old_server_end(&o);
    assert_int_equal(o.unique_n, 12);
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_unique), mu_bytes(o.unique, o.unique_n)));
    assert_int_equal(fix_exporter.n, 32);
    assert_has(fix_trace(), "est tls: TLSv1.2 ");
    mu_transport_close(s);
}

/* M205; and with tls-min lowered it works. */
static void tls_1_0_only_where_it_is_allowed(void **state)
{
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);
    struct old_server o;

    old_server_start(&o, TLS1_VERSION, "DEFAULT:@SECLEVEL=0");
    assert_int_equal(fix_ask(s, https(o.port), NULL), MU_NETWORK);
    old_server_end(&o);
    assert_int_equal(fix_err.reason, MU_M(205));
    assert_has(fix_err.what, "No common TLS version or cipher (");
    assert_has(fix_trace(), "est tls: No common TLS version");
    mu_transport_close(s);

    id.tls10_allowed = true;
    s = open_with(&id);
    old_server_start(&o, TLS1_VERSION, "DEFAULT:@SECLEVEL=0");
    assert_int_equal(fix_ask(s, https(o.port), NULL), MU_OK);
    old_server_end(&o);
    mu_transport_close(s);
}

/* Taken at the handshake, told to the handler, judged there. */
static void a_strangers_certificate_reaches_the_handler(void **state)
{
    struct mu_net_tls tls = tls_of(&server, true), quiet = tls_of(&server, false);
    struct mu_tls_identity id = {.anchors = list_of(&root), .key = stranger.key, .chain = stranger.chain};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "stranger chain=0");
    /* and where nobody asks, nobody is shown */
    assert_int_equal(fix_ask(s, https(fix_serve(who, &quiet)), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "nobody");
    mu_transport_close(s);
}

/* DEPENDENCIES 3.4: a connection of one identity must never serve another. */
static void identities_do_not_share_connections(void **state)
{
    struct mu_net_tls tls = tls_of(&server, true);
    struct mu_tls_identity one = {.anchors = list_of(&root), .key = device1.key, .chain = device1.chain};
    struct mu_tls_identity two = {.anchors = list_of(&root), .key = device2.key, .chain = device2.chain};
    struct mu_tls_identity none = {.anchors = list_of(&root)};
    struct mu_http_session *a = open_with(&one), *b = open_with(&two), *c = open_with(&none);
    uint16_t port = fix_serve(who, &tls);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(fix_ask(a, https(port), NULL), MU_OK);
        assert_has(mu_buf_str(&fix_response.body), "device-1");
        assert_int_equal(fix_ask(b, https(port), NULL), MU_OK);
        assert_has(mu_buf_str(&fix_response.body), "device-2");
        assert_int_equal(fix_ask(c, https(port), NULL), MU_OK);
        assert_has(mu_buf_str(&fix_response.body), "nobody");
        assert_int_equal(fix_facts.reused, i == 1);
    }
    mu_transport_close(a);
    mu_transport_close(b);
    mu_transport_close(c);
}

/* ---- who is believed ---- */

static void another_ca_than_the_named_one_is_m203(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_tls_identity id = {.anchors = list_of(&other_root)};
    struct mu_http_session *s = open_with(&id);
    struct mu_buf fp = {0};

    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(203));
    assert_string_equal(fix_err.what,
        "The server's certificate is from \"CN=Test Sub\", not from \"CN=Other Root\".");
    assert_true(mu_pki_cert_fingerprint(sub.cert, MU_PKI_SHA256, &fp));
    assert_has(mu_err_next_text(&fix_err), mu_buf_str(&fp));
    assert_has(fix_trace(), "est connect: opened 127.0.0.1:");
    assert_has(fix_trace(), "est tls: The server's certificate is from");
    assert_int_equal(fix_chain_n, 2); /* what it showed is told all the same */
    mu_buf_clear(&fp);
    mu_transport_close(s);
}

static void an_unknown_ca_is_m204(void **state)
{
    struct mu_net_tls tls = tls_of(&stranger, false);
    struct mu_tls_identity id = {.use_system_anchors = true};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(204));
    assert_has(fix_err.what, "The server's CA \"CN=stranger\" is not in the CA store (self");
    mu_transport_close(s);
}

static void another_name_is_m202(void **state)
{
    struct fix_cert named, empty, by_cn;
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);
    struct mu_net_tls tls;

    fix_cert_make(&named, &(struct fix_cert_spec){.cn = "127.0.0.1", .san = "DNS:a.example,DNS:b.example,IP:10.0.0.1"}, &root);
    fix_cert_make(&empty, &(struct fix_cert_spec){.cn = "elsewhere"}, &root);
    fix_cert_make(&by_cn, &(struct fix_cert_spec){.cn = "127.0.0.1"}, &root);
    tls = tls_of(&named, false);
    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(202));
    assert_string_equal(
        fix_err.what, "The server's certificate is for a.example, b.example, 10.0.0.1, not 127.0.0.1.");
    tls = tls_of(&empty, false);
    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_AUTH);
    assert_string_equal(fix_err.what, "The server's certificate is for elsewhere, not 127.0.0.1.");
    /* without alternative names the CN counts, for an address too */
    tls = tls_of(&by_cn, false);
    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_OK);
    mu_transport_close(s);
    /* server-name instead of the URL's host */
    id.server_name = "b.example";
    s = open_with(&id);
    tls = tls_of(&named, false);
    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_OK);
    mu_transport_close(s);
    fix_cert_clear(&named);
    fix_cert_clear(&empty);
    fix_cert_clear(&by_cn);
}

static void an_anchor_may_be_an_intermediate_or_the_server_itself(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    uint16_t port = fix_serve(who, &tls);
    struct fix_cert *const anchors[] = {&root, &sub, &server};

    for (size_t i = 0; i < 3; i++) {
        struct mu_tls_identity id = {.anchors = list_of(anchors[i])};
        struct mu_http_session *s = open_with(&id);

        if (fix_ask(s, https(port), NULL) != MU_OK)
            fail_msg("anchor %zu: %s", i, fix_err.what);
        mu_transport_close(s);
    }
}

/* Our clock judges, not the system's. */
static void validity_is_judged_by_the_clock_given(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_tls_identity id = {.anchors = list_of(&root), .env = &fix_env};
    uint16_t port = fix_serve(who, &tls);
    struct mu_http_session *s = open_with(&id);

    fix_shift_s = 3 * 86400;
    assert_int_equal(fix_ask(s, https(port), NULL), MU_AUTH);
    assert_has(fix_err.what, "\" expired on ");
    fix_shift_s = -3 * 86400;
    assert_int_equal(fix_ask(s, https(port), NULL), MU_AUTH);
    assert_has(fix_err.what, "\" is not valid before ");
    fix_shift_s = 0;
    assert_int_equal(fix_ask(s, https(port), NULL), MU_OK);
    mu_transport_close(s);
}

/* EST-18: /cacerts and nothing else, and no word of who we are. */
static void insecure_bootstrap_shows_and_does_not_judge(void **state)
{
    struct mu_net_tls tls = tls_of(&stranger, false);
    struct mu_tls_identity id = {.insecure_bootstrap = true};
    struct mu_http_session *s = open_with(&id);
    struct mu_http_header login = {"Authorization", "Basic Og=="};
    struct mu_http_request r = {.method = "GET", .headers = &login, .header_n = 1};
    uint16_t port = fix_serve(who, &tls);

    assert_int_equal(fix_ask(s, https(port), NULL), MU_INTERNAL);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/.well-known/est/cacerts", port);
    assert_int_equal(fix_ask(s, url, "body"), MU_INTERNAL);
    r.target = url;
    assert_int_equal(fix_ask_request(s, &r), MU_INTERNAL);
    assert_string_equal(fix_trace(), "");
    assert_int_equal(fix_ask(s, url, NULL), MU_OK);
    assert_int_equal(fix_chain_n, 1);
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_leaf), stranger.cert->der));
    assert_has(fix_trace(), "server CN=stranger, not verified\n");
    mu_transport_close(s);
}

/* ---- the server's refusal of us, and of TLS ---- */

static void a_refused_client_certificate_is_m207(void **state)
{
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);
    struct old_server o;

    old_server_start(&o, TLS1_3_VERSION, "DEFAULT");
    /* before the client comes: OpenSSL's server that insists */
    SSL_CTX_set_verify(o.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_int_equal(fix_ask(s, https(o.port), NULL), MU_AUTH);
    old_server_end(&o);
    assert_int_equal(fix_err.reason, MU_M(207));
    assert_has(fix_err.what, "certificate required");
    mu_transport_close(s);
}

static void plain_http_behind_https_is_told(void **state)
{
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, https(fix_serve(who, NULL)), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(205));
    assert_has(fix_err.what, " does not speak TLS (");
    mu_transport_close(s);
}

static void plain_http_to_a_tls_port_is_told(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    char text[64];

    snprintf(text, sizeof(text), "http://127.0.0.1:%u/", fix_serve(who, &tls));
    assert_int_equal(fix_ask(s, text, "some body"), MU_OK);
    assert_int_equal(fix_response.status, 400);
    assert_string_equal(mu_buf_str(&fix_response.body), "this port speaks only https://");
    mu_transport_close(s);
}

static void a_server_that_hangs_up_is_told(void **state)
{
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);

    assert_int_equal(fix_ask(s, https(fix_serve_octets("")), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(205));
    assert_has(fix_err.what, " ended the connection in the TLS handshake.");
    mu_transport_close(s);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_tls_identity id = {.anchors = list_of(&root), .key = device2.key, .chain = device1.chain};
    struct mu_http_session *s = open_with(&id);
    struct mu_net_server_config config = {.workers = 1, .env = &fix_env};
    struct mu_net_listener l = {.address = "127.0.0.1", .handler = who, .tls = &tls};
    struct mu_net_server *bad;
    struct mu_err err = {0};

    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), NULL), MU_INTERNAL);
    assert_has(fix_err.what, "the private key does not belong to the certificate");
    mu_transport_close(s);
    tls.key = device1.key;
    assert_int_equal(mu_net_server_new(&config, &bad, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(bad, &l, NULL, &err), MU_INTERNAL);
    assert_has(err.what, "the private key does not belong to the certificate");
    mu_net_server_free(bad);
}

/* ---- the server's edges ---- */

static void big_bodies_both_ways(void **state)
{
    static char body[200001];
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_tls_identity id = {.anchors = list_of(&root)};
    struct mu_http_session *s = open_with(&id);

    memset(body, 'q', sizeof(body) - 1);
    assert_int_equal(fix_ask(s, https(fix_serve(who, &tls)), body), MU_OK);
    mu_transport_close(s);
}

static void a_slow_handshake_is_cut_off(void **state)
{
    struct mu_net_tls tls = tls_of(&server, false);
    struct mu_net_server_config config = {.workers = 1, .deadline_s = 1, .env = &fix_env};
    struct mu_net_listener l = {.address = "127.0.0.1", .handler = who, .tls = &tls};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval step = {0, 100000};
    struct mu_net_server *own;
    uint16_t port;
    int fd = socket(AF_INET, SOCK_STREAM, 0), tries = 0;
    /* the header of a handshake record, and then its content octet by octet */
    char c, hello[] = {0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, (char)0xfc, 0x03, 0x03};

    assert_int_equal(mu_net_server_new(&config, &own, NULL), MU_OK);
    assert_int_equal(mu_net_server_listen(own, &l, &port, NULL), MU_OK);
    assert_int_equal(mu_net_server_start(own, NULL), MU_OK);
    sa.sin_port = htons(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
    assert_int_equal(send(fd, hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
    while (recv(fd, &c, 1, 0) < 0 && ++tries < 50)
        (void)!send(fd, "a", 1, MSG_NOSIGNAL);
    assert_true(tries >= 5 && tries < 50);
    close(fd);
    mu_net_server_free(own);
}

/* No resumption, no tickets: a client's chain is always there to be judged. */
static void sessions_are_not_resumed(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct mu_net_tls tls = tls_of(&server, true);
    uint16_t port = fix_serve(who, &tls);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct peer p = peer_dial(port, version, &device2), q;
        SSL_SESSION *session;
        char buf[512];

        assert_int_equal(SSL_connect(p.ssl), 1);
        SSL_write(p.ssl, text, sizeof(text) - 1);
        while (SSL_read(p.ssl, buf, sizeof(buf)) > 0)
            ;
        session = SSL_get1_session(p.ssl);
        q = peer_dial(port, version, &device2);
        SSL_set_session(q.ssl, session);
        assert_int_equal(SSL_connect(q.ssl), 1);
        assert_false(SSL_session_reused(q.ssl));
        SSL_SESSION_free(session);
        peer_close(&p);
        peer_close(&q);
    }
}

/* OpenSSL reads all of them at once, and the socket tells of none. */
static void records_that_come_together_are_all_answered(void **state)
{
    struct mu_net_tls tls = tls_of(&server, true);
    struct peer p = peer_dial(fix_serve(who, &tls), TLS1_3_VERSION, NULL);
    char text[128], all[8192];
    size_t n = 0, found = 0;
    int got;

    assert_int_equal(SSL_connect(p.ssl), 1);
    BIO *sock = SSL_get_wbio(p.ssl), *kept = BIO_new(BIO_s_mem());
    BIO_up_ref(sock);
    SSL_set0_wbio(p.ssl, kept); /* four requests, two records each, in one write */
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", i == 3 ? "Connection: close\r\n" : "");
        assert_int_equal(SSL_write(p.ssl, text, 10), 10);
        assert_int_equal(SSL_write(p.ssl, text + 10, (int)strlen(text + 10)), (int)strlen(text + 10));
    }
    char *whole;
    long size = BIO_get_mem_data(kept, &whole);
    assert_int_equal(write(p.fd, whole, (size_t)size), size);
    SSL_set0_wbio(p.ssl, sock);
    while ((got = SSL_read(p.ssl, all + n, (int)(sizeof(all) - 1 - n))) > 0)
        n += (size_t)got;
    all[n] = '\0';
    for (const char *at = all; (at = strstr(at, "200 OK")) != NULL; at++)
        found++;
    assert_int_equal(found, 4);
    peer_close(&p);
}

static void tls_1_1_is_refused_by_the_server(void **state)
{
    struct mu_net_tls tls = tls_of(&server_rsa, false);
    struct peer p = peer_dial(fix_serve(who, &tls), TLS1_1_VERSION, NULL);

    SSL_set_security_level(p.ssl, 0);
    SSL_set_min_proto_version(p.ssl, TLS1_VERSION);
    assert_int_not_equal(SSL_connect(p.ssl), 1);
    peer_close(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fix_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tls_1_3_with_a_client_certificate),
        TEST(tls_1_2_has_tls_unique),
        TEST(the_clients_tls_unique),
        TEST(tls_1_0_only_where_it_is_allowed),
        TEST(a_strangers_certificate_reaches_the_handler),
        TEST(identities_do_not_share_connections),
        TEST(another_ca_than_the_named_one_is_m203),
        TEST(an_unknown_ca_is_m204),
        TEST(another_name_is_m202),
        TEST(an_anchor_may_be_an_intermediate_or_the_server_itself),
        TEST(validity_is_judged_by_the_clock_given),
        TEST(insecure_bootstrap_shows_and_does_not_judge),
        TEST(a_refused_client_certificate_is_m207),
        TEST(plain_http_behind_https_is_told),
        TEST(plain_http_to_a_tls_port_is_told),
        TEST(a_server_that_hangs_up_is_told),
        TEST(a_key_of_another_certificate_is_refused),
        TEST(big_bodies_both_ways),
        TEST(a_slow_handshake_is_cut_off),
        TEST(sessions_are_not_resumed),
        TEST(records_that_come_together_are_all_answered),
        TEST(tls_1_1_is_refused_by_the_server),
    };
    return cmocka_run_group_tests(tests, make_certs, clear_certs);
}
