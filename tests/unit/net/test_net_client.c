/* The client over plain HTTP on loopback: exchanges, reuse, redirections, ceilings, proxies, and
 * each failure with its number and its line in the trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>
#include <cmocka.h>

#include "net_fixture.h"

static char url[512];

static const char *url_to(uint16_t port, const char *rest)
{
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, rest);
    return url;
}

static void echo(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    struct mu_http_response r = {0};
    struct mu_buf b = {0};

    mu_buf_putf(&b, "%s %s from %s", q->method, q->target, q->peer->address);
    for (size_t i = 0; i < q->header_n; i++)
        mu_buf_putf(&b, "\n%s: %s", q->headers[i].name, q->headers[i].value);
    mu_buf_putf(&b, "\n%.*s", (int)q->body.n, q->body.n > 0 ? (const char *)q->body.p : "");
    if (mu_http_response_set(&r, 200, "text/plain", mu_buf_bytes(&b), NULL) != MU_OK
        || mu_http_response_add(&r, "Set-Cookie", "id=Geheim", NULL) != MU_OK)
        abort();
    if (strstr(q->target, "/close") != NULL && mu_http_response_add(&r, "Connection", "close", NULL) != MU_OK)
        abort();
    mu_buf_clear(&b);
    mu_net_reply_send(reply, &r);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" in:\n%s", part, text);
}

static void get_and_post(void **state)
{
    struct mu_http_session_spec spec = {.entry = "vpn", .proto = MU_PROTO_SCEP};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);

    assert_int_equal(fix_ask(s, url_to(port, "/scep?operation=x&message=MII+a/b=="), NULL), MU_OK);
    assert_int_equal(fix_response.status, 200);
    assert_has(mu_buf_str(&fix_response.body), "GET /scep?operation=x&message=MII+a/b== from 127.0.0.1\n");
    assert_has(mu_buf_str(&fix_response.body), "\nUser-Agent: muster/0.1\n");
    assert_string_equal(fix_header("content-type"), "text/plain");
    assert_false(fix_response.body_complete_by_close);
    assert_false(fix_facts.reused);
    assert_true(fix_facts.server_date_s > 1700000000);
    assert_has(fix_facts.address, "127.0.0.1:");

    assert_int_equal(fix_ask(s, url_to(port, "/scep?operation=PKIOperation"), "MESSAGE"), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "POST /scep?operation=PKIOperation from");
    assert_has(mu_buf_str(&fix_response.body), "\nContent-Type: application/x-pki-message\n");
    assert_has(mu_buf_str(&fix_response.body), "\nMESSAGE");
    assert_lacks(mu_buf_str(&fix_response.body), "Expect:");
    assert_true(fix_facts.reused);

    /* and a GET after a POST is a GET again */
    assert_int_equal(fix_ask(s, url_to(port, "/x"), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "GET /x from");
    assert_lacks(mu_buf_str(&fix_response.body), "Content-Type");
    mu_transport_close(s);
}

/* PRODUCT "Trace": the lines of an exchange, in their order. */
static void the_trace_of_exchanges(void **state)
{
    struct mu_http_session_spec spec = {.entry = "IPSECVPNTest", .proto = MU_PROTO_SCEP};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);
    char want[1024], *at;
    int socket_n = -1;

    assert_int_equal(fix_ask(s, url_to(port, "/close?a"), "hello"), MU_OK);
    at = strstr(fix_trace(), ", socket ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, ", socket %d", &socket_n), 1);
    snprintf(want, sizeof(want),
        "scep connect: opened 127.0.0.1:%u for 'IPSECVPNTest', socket %d\n"
        "scep http: POST http://127.0.0.1:%u/close?a, 5 bytes\n"
        "scep http: HTTP result code 200\n"
        "scep http: header: Date: ", port, socket_n, port);
    assert_memory_equal(fix_trace(), want, strlen(want));
    assert_has(fix_trace(), "scep http: header: Content-Type: text/plain\n"
                            "scep http: header: Set-Cookie: *\n");
    assert_lacks(fix_trace(), "Geheim");
    assert_has(fix_trace(), " bytes, complete\n");
    assert_has(fix_trace(), "scep connect: closed by the server\n");
    fix_trace_reset();
    assert_int_equal(fix_ask(s, url_to(port, "/1"), NULL), MU_OK);
    assert_int_equal(fix_ask(s, url_to(port, "/2"), NULL), MU_OK);
    assert_has(fix_trace(), "scep connect: opened 127.0.0.1:");
    assert_has(fix_trace(), "scep connect: reused 127.0.0.1:");
    assert_lacks(fix_trace(), "closed");
    mu_transport_close(s);
    assert_has(fix_trace(), "scep connect: closed\n");
}

static void names_are_resolved_and_traced(void **state)
{
    struct mu_http_session_spec spec = {.proto = MU_PROTO_CMP};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);
    char text[128];

    snprintf(text, sizeof(text), "http://localhost:%u/x", port);
    assert_int_equal(fix_ask(s, text, "abc"), MU_OK);
    assert_has(fix_trace(), "cmp resolve: localhost is ");
    assert_has(fix_trace(), "cmp http: sent 3 bytes, pos 0 of 3\n");
    assert_has(fix_trace(), ", socket ");
    assert_lacks(fix_trace(), " for '");
    mu_transport_close(s);
}

/* C032: what goes out in parts has a line for each, with its offset; together they are the body. */
static void each_write_of_the_body_is_traced(void **state)
{
    struct mu_http_session_spec spec = {.proto = MU_PROTO_CMP};
    struct mu_http_session *s = fix_open(&spec);
    struct mu_buf body = {.max = 1 << 20};
    struct mu_http_request r = {.method = "POST"};
    size_t at = 0, lines = 0;

    for (size_t i = 0; i < 20000; i++)
        mu_buf_put_str(&body, "0123456789");
    r.target = url_to(fix_serve(echo, NULL), "/x");
    r.body = mu_buf_bytes(&body);
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    for (const char *p = fix_trace(); (p = strstr(p, "cmp http: sent ")) != NULL; p++, lines++) {
        size_t n, pos, all;

        assert_int_equal(sscanf(p, "cmp http: sent %zu bytes, pos %zu of %zu\n", &n, &pos, &all), 3);
        assert_int_equal(pos, at);
        assert_int_equal(all, 200000);
        at += n;
    }
    assert_int_equal(at, 200000);
    assert_true(lines >= 2);
    mu_buf_clear(&body);
    mu_transport_close(s);
}

static void headers_of_the_caller_are_sent(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    struct mu_http_header h[] = {{"Accept", "application/pkcs7-mime"}, {"X-Empty", ""}, {"X-A", "b"}};
    struct mu_http_request r = {.method = "PUT", .headers = h, .header_n = 3, .body = mu_bytes("a\0b", 3)};
    uint16_t port = fix_serve(echo, NULL);

    r.target = url_to(port, "/p");
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "PUT /p from");
    assert_has(mu_buf_str(&fix_response.body), "\nAccept: application/pkcs7-mime\n");
    assert_has(mu_buf_str(&fix_response.body), "\nX-Empty: \n");
    assert_has(mu_buf_str(&fix_response.body), "\nContent-Length: 3\n");
    assert_lacks(mu_buf_str(&fix_response.body), "Content-Type");
    r.method = "HEAD";
    r.body.n = 0;
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    assert_int_equal(fix_response.body.n, 0);
    h[2].value = "b\r\nX-Injected: c";
    assert_int_equal(fix_ask_request(s, &r), MU_INPUT);
    mu_transport_close(s);
}

static void an_answer_may_end_with_the_connection(void **state)
{
    struct mu_http_session_spec spec = {.proto = MU_PROTO_CMP};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_octets("HTTP/1.0 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n12345");

    assert_int_equal(fix_ask(s, url_to(port, "/"), "x"), MU_OK);
    assert_string_equal(mu_buf_str(&fix_response.body), "12345");
    assert_true(fix_response.body_complete_by_close);
    assert_int_equal(fix_response.minor, 0);
    assert_has(fix_trace(), "cmp http: body 5 bytes, complete (ended by close)\n");
    mu_transport_close(s);
}

static void interim_answers_and_trailers_are_left_out(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_octets(
        "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n"
        "HTTP/1.1 200 OK\r\nX-Late: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n");

    assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_OK);
    assert_int_equal(fix_response.status, 200);
    assert_string_equal(mu_buf_str(&fix_response.body), "abc");
    assert_null(fix_header("X-Early"));
    assert_non_null(fix_header("X-Late"));
    assert_null(fix_header("X-Trailer"));
    assert_false(fix_response.body_complete_by_close);
    mu_transport_close(s);
}

/* ---- failures ---- */

static void a_closed_port_is_m102(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char want[96];

    /* bound and not listened on: nobody else gets it, and it refuses */
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(fix_ask(s, url_to(ntohs(sa.sin_port), "/"), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(102));
    snprintf(want, sizeof(want), "127.0.0.1:%u refused the connection.", ntohs(sa.sin_port));
    assert_string_equal(fix_err.what, want);
    assert_has(fix_trace(), "connect: failed: 127.0.0.1:");
    close(fd);
    mu_transport_close(s);
}

static void an_unknown_name_is_m101(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);

    /* a label of 64 letters exists nowhere, so nobody is asked */
    assert_int_equal(
        fix_ask(s, "http://aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd/", NULL),
        MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(101));
    assert_has(fix_err.what, "Name aaaaaaaaaaaaaaaabbbb");
    assert_has(fix_err.what, "dddd could not be resolved (");
    assert_has(fix_trace(), "resolve: Name aaaa");
    mu_transport_close(s);
}

static void a_silent_server_is_m103(void **state)
{
    struct mu_http_session_spec spec = {.timeout_s = 1};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_octets(NULL);
    char want[96];

    assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(103));
    snprintf(want, sizeof(want), "No answer from 127.0.0.1:%u in 1 s.", port);
    assert_string_equal(fix_err.what, want);
    mu_transport_close(s);
}

static void a_foreign_source_address_is_m106(void **state)
{
    struct mu_http_session_spec spec = {.source_ip = "192.0.2.77"};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);

    assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_INPUT);
    assert_int_equal(fix_err.reason, MU_M(106));
    assert_has(fix_err.what, "Source address 192.0.2.77 is not on this host.");
    assert_has(mu_err_next_text(&fix_err), "127.0.0.1");
    mu_transport_close(s);
}

static void the_source_address_is_used(void **state)
{
    struct mu_http_session_spec spec = {.source_ip = "127.0.0.2"};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);

    assert_int_equal(fix_ask(s, url_to(port, "/x"), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "GET /x from 127.0.0.2\n");
    mu_transport_close(s);
}

static void ipv6(void **state)
{
    struct mu_http_session_spec spec = {.entry = "e"};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_on("::1", echo, NULL);
    char text[64], want[64];

    snprintf(text, sizeof(text), "http://[::1]:%u/x", port);
    snprintf(want, sizeof(want), "connect: opened [::1]:%u for 'e'", port);
    assert_int_equal(fix_ask(s, text, NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "GET /x from ::1\n");
    assert_has(fix_trace(), want);
    mu_transport_close(s);
}

static void long_answers_are_refused(void **state)
{
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n12345678901"};
    struct mu_http_session_spec spec = {.max_body = 10};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mu_http_session *s = fix_open(&spec);
        uint16_t port = fix_serve_octets(cases[i]);

        assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_MEMORY);
        assert_string_equal(fix_err.what, "The answer is longer than 10 bytes.");
        mu_transport_close(s);
    }
}

static void an_answer_of_exactly_the_ceiling_is_taken(void **state)
{
    struct mu_http_session_spec spec = {.max_body = 10};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_octets("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234567890");

    assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_OK);
    assert_int_equal(fix_response.body.n, 10);
    mu_transport_close(s);
}

static void cut_answers_are_m506(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve_octets("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234");

    assert_int_equal(fix_ask(s, url_to(port, "/"), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(506));
    assert_string_equal(fix_err.what, "The answer stopped after 4 of 10 bytes.");
    assert_int_equal(fix_ask(s, url_to(fix_serve_octets(""), "/"), NULL), MU_NETWORK);
    assert_has(fix_err.what, "closed the connection without an answer.");
    mu_transport_close(s);
}

static void what_is_no_http_is_refused(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);

    assert_int_equal(fix_ask(s, url_to(fix_serve_octets("SSH-2.0-x\r\n"), "/"), NULL), MU_NETWORK);
    assert_has(fix_err.what, " answers, but not with HTTP.");
    assert_int_equal(fix_ask(s, "file:///etc/passwd", NULL), MU_INPUT);
    assert_int_equal(fix_ask(s, "ftp://127.0.0.1/x", NULL), MU_INPUT);
    assert_int_equal(fix_ask(s, "https://127.0.0.1/x", NULL), MU_INTERNAL); /* no identity */
    mu_transport_close(s);
    assert_true(mu_net_client_has_scheme("http"));
    assert_true(mu_net_client_has_scheme("HTTPS"));
    assert_false(mu_net_client_has_scheme("file"));
    assert_false(mu_net_client_has_scheme("gopher"));
}

/* ---- redirections ---- */

static char elsewhere[256];

static void redirector(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    struct mu_http_response r = {0};
    struct mu_buf b = {0};
    int status = 200;
    const char *to = NULL;

    if (sscanf(q->target, "/%d", &status) == 1 && status >= 300) {
        to = strstr(q->target, "/out") != NULL ? elsewhere : strstr(q->target, "/loop") != NULL ? q->target : "/here?x=+";
    } else {
        status = 200;
    }
    mu_buf_putf(&b, "%s %s %.*s", q->method, q->target, (int)q->body.n, q->body.n > 0 ? (const char *)q->body.p : "");
    if (mu_http_response_set(&r, status, "text/plain", mu_buf_bytes(&b), NULL) != MU_OK
        || (to != NULL && mu_http_response_add(&r, "Location", to, NULL) != MU_OK))
        abort();
    mu_buf_clear(&b);
    mu_net_reply_send(reply, &r);
}

static void redirections_within_the_origin_are_followed(void **state)
{
    static const int statuses[] = {301, 302, 307, 308};
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(redirector, NULL);
    char path[16];

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        snprintf(path, sizeof(path), "/%d", statuses[i]);
        assert_int_equal(fix_ask(s, url_to(port, path), "BODY"), MU_OK);
        assert_string_equal(mu_buf_str(&fix_response.body), "POST /here?x=+ BODY");
        assert_int_equal(fix_ask(s, url_to(port, path), NULL), MU_OK);
        assert_string_equal(mu_buf_str(&fix_response.body), "GET /here?x=+ ");
    }
    assert_int_equal(fix_ask(s, url_to(port, "/303"), NULL), MU_OK);
    assert_int_equal(fix_response.status, 200);
    mu_transport_close(s);
}

static void other_redirections_are_m107(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(redirector, NULL);
    const char *const places[] = {"http://127.0.0.2:1/x", "https://127.0.0.1/x", "http://127.0.0.1:1/x",
        "ftp://127.0.0.1/x", "//elsewhere.invalid/x"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        strcpy(elsewhere, places[i]);
        assert_int_equal(fix_ask(s, url_to(port, "/302/out"), NULL), MU_NETWORK);
        assert_int_equal(fix_err.reason, MU_M(107));
        assert_has(fix_err.what, " redirects to ");
    }
    assert_int_equal(fix_ask(s, url_to(port, "/302/loop"), NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(107));
    assert_has(fix_err.what, "after several other places");
    assert_int_equal(fix_ask(s, url_to(port, "/303"), "POSTED"), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(107));
    mu_transport_close(s);
}

/* ---- proxies ---- */

static void proxy(void *cookie, const struct mu_http_request *q, struct mu_net_reply *reply)
{
    char text[256];

    snprintf(text, sizeof(text), "proxied %s %s", q->method, q->target);
    if (strcmp(q->method, "CONNECT") == 0)
        fix_reply(reply, 403, "no");
    else
        fix_reply(reply, strstr(q->target, "/login") != NULL ? 407 : 200, text);
}

static void a_proxy_gets_the_whole_url(void **state)
{
    char name[64];
    struct mu_http_session_spec spec = {.proxy = name};
    struct mu_http_session *s;

    snprintf(name, sizeof(name), "127.0.0.1:%u", fix_serve(proxy, NULL));
    s = fix_open(&spec);
    assert_int_equal(fix_ask(s, "http://ca.invalid/scep?x=+", NULL), MU_OK);
    assert_string_equal(mu_buf_str(&fix_response.body), "proxied GET http://ca.invalid/scep?x=+");
    mu_transport_close(s);
}

static void a_proxy_that_refuses_is_m104(void **state)
{
    struct mu_tls_identity identity = {.use_system_anchors = true};
    char name[80], want[96];
    struct mu_http_session_spec spec = {.proxy = name, .identity = &identity};
    uint16_t port = fix_serve(proxy, NULL);
    struct mu_http_session *s;

    snprintf(name, sizeof(name), "http://me:Pa55word@127.0.0.1:%u", port);
    s = fix_open(&spec);
    assert_int_equal(fix_ask(s, "http://ca.invalid/login", NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(104));
    snprintf(want, sizeof(want), "Proxy 127.0.0.1:%u answered 407.", port);
    assert_string_equal(fix_err.what, want);
    assert_int_equal(fix_ask(s, "https://ca.invalid/x", NULL), MU_NETWORK);
    assert_int_equal(fix_err.reason, MU_M(104));
    snprintf(want, sizeof(want), "Proxy 127.0.0.1:%u answered 403.", port);
    assert_string_equal(fix_err.what, want);
    assert_lacks(fix_trace(), "Pa55word");
    mu_transport_close(s);
}

static void no_proxy_and_the_environment(void **state)
{
    char name[64];
    struct mu_http_session_spec spec = {.proxy = name, .no_proxy = "127.0.0.1"}, plain = {0};
    uint16_t direct = fix_serve(echo, NULL);
    struct mu_http_session *s;

    snprintf(name, sizeof(name), "127.0.0.1:%u", fix_serve(proxy, NULL));
    s = fix_open(&spec);
    assert_int_equal(fix_ask(s, url_to(direct, "/x"), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "GET /x from");
    mu_transport_close(s);
    /* variables of the environment do not decide where requests go */
    setenv("http_proxy", name, 1);
    setenv("ALL_PROXY", name, 1);
    s = fix_open(&plain);
    assert_int_equal(fix_ask(s, url_to(direct, "/y"), NULL), MU_OK);
    assert_has(mu_buf_str(&fix_response.body), "GET /y from");
    mu_transport_close(s);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

/* ---- sessions ---- */

static void never(void *cookie, struct mu_http_response *response, const struct mu_http_facts *facts,
    const struct mu_err *err)
{
    fail_msg("done was called after close");
}

static void stop(void *cookie)
{
    mu_loop_stop(fix_loop);
}

static void close_cancels_what_is_under_way(void **state)
{
    struct mu_http_session_spec spec = {0};
    uint16_t port = fix_serve_octets(NULL), live = fix_serve(echo, NULL);
    struct mu_loop_timer *t;

    for (int i = 0; i < 3; i++) {
        struct mu_http_session *s = fix_open(&spec), *other = fix_open(&spec);
        struct mu_http_request r = {.method = "GET", .target = url_to(port, "/")};

        assert_int_equal(mu_transport_send(s, &r, never, NULL, NULL), MU_OK);
        assert_int_equal(mu_transport_send(s, &r, never, NULL, NULL), MU_BUSY);
        if (i > 0) /* let it connect, or not */
            assert_int_equal(fix_ask(other, url_to(live, "/"), NULL), MU_OK);
        mu_transport_close(s);
        mu_transport_close(other);
    }
    t = mu_loop_after(fix_loop, 20, stop, NULL);
    mu_loop_run(fix_loop);
    mu_loop_timer_free(fix_loop, t);
    mu_transport_close(NULL);
}

static struct mu_http_session *chained;
static unsigned chained_n;
static char chained_url[128];

/* Sends again from within done, and closes there at last: both are allowed. */
static void on_chained(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *err)
{
    struct mu_http_request r = {.method = "GET", .target = chained_url};

    assert_non_null(response);
    if (++chained_n < 5) {
        assert_int_equal(mu_transport_send(chained, &r, on_chained, NULL, NULL), MU_OK);
        return;
    }
    mu_transport_close(chained);
    assert_has(facts->address, "127.0.0.1:"); /* still valid */
    mu_loop_stop(fix_loop);
}

static void done_may_send_again_and_close(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_request r = {.method = "GET", .target = chained_url};

    snprintf(chained_url, sizeof(chained_url), "http://127.0.0.1:%u/", fix_serve(echo, NULL));
    chained = fix_open(&spec);
    assert_int_equal(mu_transport_send(chained, &r, on_chained, NULL, NULL), MU_OK);
    mu_loop_run(fix_loop);
    assert_int_equal(chained_n, 5);
}

/* A request that is bound to its connection does not go out on another. */
static void same_connection_or_none(void **state)
{
    struct mu_http_session_spec spec = {0};
    struct mu_http_session *s = fix_open(&spec);
    uint16_t port = fix_serve(echo, NULL);
    struct mu_http_request r = {.method = "POST", .body = mu_bytes("x", 1), .same_connection = true};

    assert_int_equal(fix_ask(s, url_to(port, "/a"), NULL), MU_OK);
    r.target = url_to(port, "/b");
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    assert_true(fix_facts.reused);
    assert_int_equal(fix_ask(s, url_to(port, "/close"), NULL), MU_OK);
    r.target = url_to(port, "/b");
    assert_int_equal(fix_ask_request(s, &r), MU_NETWORK);
    assert_has(fix_err.what, "The connection that the request is bound to is gone.");
    /* without that wish it does */
    r.same_connection = false;
    assert_int_equal(fix_ask_request(s, &r), MU_OK);
    assert_false(fix_facts.reused);
    mu_transport_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(get_and_post),
        TEST(the_trace_of_exchanges),
        TEST(names_are_resolved_and_traced),
        TEST(each_write_of_the_body_is_traced),
        TEST(headers_of_the_caller_are_sent),
        TEST(an_answer_may_end_with_the_connection),
        TEST(interim_answers_and_trailers_are_left_out),
        TEST(a_closed_port_is_m102),
        TEST(an_unknown_name_is_m101),
        TEST(a_silent_server_is_m103),
        TEST(a_foreign_source_address_is_m106),
        TEST(the_source_address_is_used),
        TEST(ipv6),
        TEST(long_answers_are_refused),
        TEST(an_answer_of_exactly_the_ceiling_is_taken),
        TEST(cut_answers_are_m506),
        TEST(what_is_no_http_is_refused),
        TEST(redirections_within_the_origin_are_followed),
        TEST(other_redirections_are_m107),
        TEST(a_proxy_gets_the_whole_url),
        TEST(a_proxy_that_refuses_is_m104),
        TEST(no_proxy_and_the_environment),
        TEST(close_cancels_what_is_under_way),
        TEST(done_may_send_again_and_close),
        TEST(same_connection_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
