/* TLS-SRP (EST-29, E013): both sides against each other and against OpenSSL's own, what a wrong
 * password and an unknown name look like, and that a name alone is no login. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#define OPENSSL_SUPPRESS_DEPRECATED /* a peer that speaks SRP by OpenSSL's own calls */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <cmocka.h>

#include "net_fixture.h"

static struct fix_cert root, server_ec, server_rsa;
static struct mu_secret right, wrong;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mu_buf seen_unique;

static int make_all(void **state)
{
    fix_cert_make(&root, &(struct fix_cert_spec){.cn = "Test Root", .ca = true}, NULL);
    fix_cert_make(&server_ec, &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1"}, &root);
    fix_cert_make(&server_rsa,
        &(struct fix_cert_spec){.cn = "server", .san = "IP:127.0.0.1", .bits = 2048}, &root);
    return mu_secret_set(&right, mu_bytes_str("srppwd"), NULL) != MU_OK
        || mu_secret_set(&wrong, mu_bytes_str("srppwx"), NULL) != MU_OK;
}

static int clear_all(void **state)
{
    fix_cert_clear(&root);
    fix_cert_clear(&server_ec);
    fix_cert_clear(&server_rsa);
    mu_secret_clear(&right);
    mu_secret_clear(&wrong);
    mu_buf_clear(&seen_unique);
    return 0;
}

/* One user. The salt is made of the name, also for others. */
static bool lookup(void *cookie, const char *user, struct mu_net_srp_login *out)
{
    memset(out->salt, 'x', 16);
    memcpy(out->salt, user, strlen(user) < 16 ? strlen(user) : 16);
    out->salt_n = 16;
    return strcmp(user, "srpuser") != 0
        || mu_secret_set(&out->password, mu_bytes_str("srppwd"), NULL) == MU_OK;
}

static void who(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    char text[128];

    pthread_mutex_lock(&lock);
    mu_buf_reset(&seen_unique);
    mu_http_peer_bind(q->peer);
    mu_buf_put_bytes(&seen_unique, q->peer->tls_unique);
    pthread_mutex_unlock(&lock);
    snprintf(text, sizeof(text), "version=%04x srp=%s", (unsigned)q->peer->tls_version,
        q->peer->srp_user != NULL ? q->peer->srp_user : "nobody");
    fix_reply(reply, 200, text);
}

static uint16_t serve(const struct fix_cert *c, bool srp)
{
    struct mu_net_tls tls = {.key = c->key, .chain = c->chain};

    if (srp)
        tls.srp.lookup = lookup;
    return fix_serve(who, &tls);
}

static char url[128];
static const char *https(uint16_t port)
{
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/x", port);
    return url;
}

static struct mu_http_session *open_as(const char *user, const struct mu_secret *password, bool anchors)
{
    struct mu_tls_identity id = {.srp_user = user, .srp_password = password};
    struct mu_http_session_spec spec = {.identity = &id, .proto = MU_PROTO_EST};

    if (anchors)
        id.anchors = (struct mu_pki_certs){.v = &root.cert, .n = 1};
    return fix_open(&spec);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

/* E013: right, in TLS 1.2, with the notice; and linking data has its value (EST-56). */
static void the_right_password_logs_in(void **state)
{
    struct mu_http_session *s = open_as("srpuser", &right, true);
    uint16_t port = serve(&server_rsa, true);

    if (fix_ask(s, https(port), NULL) != MU_OK)
        fail_msg("%s", fix_err.what);
    assert_string_equal(mu_buf_str(&fix_response.body), "version=0303 srp=srpuser");
    assert_has(fix_trace(), "est tls: TLSv1.2 SRP-RSA-AES-256-CBC-SHA, server CN=server, verified by CN=Test Root\n"
                            "est auth: TLS-SRP user srpuser logged in (deprecated, TLS 1.2 only)\n");
    assert_int_equal(fix_unique.n, 12);
    assert_true(mu_bytes_equal(mu_buf_bytes(&fix_unique), mu_buf_bytes(&seen_unique)));
    assert_null(strstr(fix_trace(), "srppwd"));
    /* still known on the kept connection */
    assert_int_equal(fix_ask(s, https(port), "body"), MU_OK);
    assert_true(fix_facts.reused);
    assert_string_equal(mu_buf_str(&fix_response.body), "version=0303 srp=srpuser");
    mu_transport_close(s);
}

/* E013: M206. A name that nobody has looks the same (RFC 5054 2.5.1.3). */
static void a_wrong_password_and_an_unknown_name_are_m206(void **state)
{
    uint16_t port = serve(&server_rsa, true);
    struct mu_http_session *s = open_as("srpuser", &wrong, true);
    char words[512];

    assert_int_equal(fix_ask(s, https(port), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(206));
    assert_has(fix_err.what, "TLS-SRP login failed (");
    assert_has(fix_err.what, "bad record mac");
    assert_has(fix_trace(), "est tls: TLS-SRP login failed (");
    snprintf(words, sizeof(words), "%s", fix_err.what);
    mu_transport_close(s);
    s = open_as("nobody", &right, true);
    assert_int_equal(fix_ask(s, https(port), NULL), MU_AUTH);
    assert_string_equal(fix_err.what, words);
    mu_transport_close(s);
}

/* Without a CA to verify a certificate with, the password proves the server. */
static void a_server_needs_no_certificate(void **state)
{
    struct mu_http_session *s = open_as("srpuser", &right, false);
    uint16_t port = serve(&server_ec, true); /* no SRP suite goes with an EC certificate */

    if (fix_ask(s, https(port), NULL) != MU_OK)
        fail_msg("%s", fix_err.what);
    assert_string_equal(mu_buf_str(&fix_response.body), "version=0303 srp=srpuser");
    assert_has(fix_trace(), "server without a certificate, verified by the password");
    mu_transport_close(s);
    /* with one to verify with, no server gets around it */
    s = open_as("srpuser", &right, true);
    assert_int_equal(fix_ask(s, https(port), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(206));
    mu_transport_close(s);
}

/* Nobody falls back to a connection without a login. */
static void a_server_without_srp_is_m206(void **state)
{
    struct mu_http_session *s = open_as("srpuser", &right, true);

    assert_int_equal(fix_ask(s, https(serve(&server_rsa, false)), NULL), MU_AUTH);
    assert_int_equal(fix_err.reason, MU_M(206));
    assert_has(mu_err_likely_text(&fix_err), "does not offer TLS-SRP");
    assert_null(strstr(fix_trace(), "est http:"));
    mu_transport_close(s);
}

static void others_come_as_before(void **state)
{
    struct mu_tls_identity id = {.anchors = {.v = &root.cert, .n = 1}};
    struct mu_http_session_spec spec = {.identity = &id};
    struct mu_http_session *s = fix_open(&spec);

    assert_int_equal(fix_ask(s, https(serve(&server_rsa, true)), NULL), MU_OK);
    assert_string_equal(mu_buf_str(&fix_response.body), "version=0304 srp=nobody");
    mu_transport_close(s);
}

/* OpenSSL's own client. ciphers NULL: as it likes. Writes what the server answered into out; "" if
 * there was no handshake, and then the alert's text into it behind a '!'. */
static void ask_raw(uint16_t port, const char *user, const char *password, int max, const char *ciphers,
    char *out, size_t size)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = socket(AF_INET, SOCK_STREAM, 0), n = 0, got;
    SSL *ssl;

    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    SSL_CTX_set_max_proto_version(ctx, max);
    SSL_CTX_set_srp_username(ctx, (char *)(uintptr_t)user);
    SSL_CTX_set_srp_password(ctx, (char *)(uintptr_t)password);
    if (ciphers != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1) {
        SSL_write(ssl, text, sizeof(text) - 1);
        while ((got = SSL_read(ssl, out + n, (int)size - 1 - n)) > 0)
            n += got;
        out[n] = '\0';
    } else {
        snprintf(out, size, "!%s", ERR_reason_error_string(ERR_peek_last_error()));
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

/* A client that offers TLS 1.3 beside SRP gets the login, not 1.3 without one. */
static void an_offer_of_tls_1_3_does_not_lose_the_login(void **state)
{
    uint16_t port = serve(&server_rsa, true);
    char out[1024];

    ask_raw(port, "srpuser", "srppwd", TLS1_3_VERSION, "SRP", out, sizeof(out));
    assert_has(out, "version=0303 srp=srpuser");
    ask_raw(port, "srpuser", "srppwx", TLS1_3_VERSION, "SRP", out, sizeof(out));
    assert_has(out, "!");
}

/* The name stands in the hello whatever is negotiated: only the suite says that somebody knew the
 * password. */
static void a_name_without_a_login_is_nobody(void **state)
{
    uint16_t port = serve(&server_rsa, true);
    char out[1024];

    ask_raw(port, "srpuser", "srppwx", TLS1_2_VERSION, "ECDHE+AESGCM", out, sizeof(out));
    assert_has(out, "version=0303 srp=nobody");
    ask_raw(port, "srpuser", "srppwx", TLS1_2_VERSION, "SRP", out, sizeof(out));
    assert_has(out, "!");
    /* and where it is not enabled there is no suite for it */
    ask_raw(serve(&server_rsa, false), "srpuser", "srppwd", TLS1_2_VERSION, "SRP", out, sizeof(out));
    assert_has(out, "handshake failure");
}

static void what_srp_cannot_carry_is_refused(void **state)
{
    struct mu_http_session *s;
    struct mu_secret nul = {0};
    char name[300];

    assert_int_equal(mu_secret_set(&nul, mu_bytes("a\0b", 3), NULL), MU_OK);
    s = open_as("srpuser", &nul, true);
    assert_int_equal(fix_ask(s, https(serve(&server_rsa, true)), NULL), MU_INPUT);
    assert_int_equal(fix_err.reason, MU_M(206));
    mu_transport_close(s);
    mu_secret_clear(&nul);
    memset(name, 'u', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    s = open_as(name, &right, true);
    assert_int_equal(fix_ask(s, https(serve(&server_rsa, true)), NULL), MU_INPUT);
    mu_transport_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_logs_in),
        TEST(a_wrong_password_and_an_unknown_name_are_m206),
        TEST(a_server_needs_no_certificate),
        TEST(a_server_without_srp_is_m206),
        TEST(others_come_as_before),
        TEST(an_offer_of_tls_1_3_does_not_lose_the_login),
        TEST(a_name_without_a_login_is_nobody),
        TEST(what_srp_cannot_carry_is_refused),
    };
    return cmocka_run_group_tests(tests, make_all, clear_all);
}
