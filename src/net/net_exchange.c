/*
 * One exchange of a session: the connection as curl makes it, the request, the answer as it comes
 * in, and its end, with the lines of the trace that belong to each. How curl is driven is in
 * net_client.c.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "net/net_client.h"
#include "net/net_session.h"

enum { MAX_REDIRECTS = 3 };

#define TRACE(s, step, ...) mu_trace((s)->env, (s)->proto, step, __VA_ARGS__)

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
}

/* ---- the connection, as curl makes and ends it ---- */

static void address_text(const struct sockaddr *sa, char *buf, size_t size, bool with_port)
{
    const struct sockaddr_in6 *v6 = (const void *)sa;
    const struct sockaddr_in *v4 = (const void *)sa;
    char ip[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = sa->sa_family == AF_INET6;

    if (is_v6)
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
    else if (sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
    if (with_port)
        snprintf(buf, size, "%s%s%s:%u", is_v6 ? "[" : "", ip, is_v6 ? "]" : "",
            ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
    else
        snprintf(buf, size, "%s", ip);
}

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

curl_socket_t mu_net_exchange_open_socket(void *cookie, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct mu_net_session *s = cookie;
    char text[64];
    int fd;

    if (s->request != NULL && s->request->same_connection) {
        s->refused_new = true;
        return CURL_SOCKET_BAD;
    }
    address_text(&address->addr, text, sizeof(text), false);
    if (!s->resolved && s->proxy == NULL && (!is_address(s->url.host) || s->proto == MU_PROTO_CMP))
        TRACE(s, MU_TRACE_RESOLVE, "%s is %s", s->url.host, text);
    s->resolved = true;
    fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    s->opened = true;
    s->socket = fd;
    address_text(&address->addr, s->address, sizeof(s->address), true);
    return fd;
}

int mu_net_exchange_close_socket(void *cookie, curl_socket_t fd)
{
    struct mu_net_session *s = cookie;

    if (fd == s->socket) {
        if (s->closing || (s->connected && s->response.status == 0))
            TRACE(s, MU_TRACE_CONNECT, "closed");
        else if (s->proto == MU_PROTO_CMP && s->request != NULL && s->connected)
            s->closed_later = true; /* PRODUCT 'Trace': behind saved and before the next one */
        else if (!s->opened || s->connected)
            TRACE(s, MU_TRACE_CONNECT, "closed by the server");
        s->socket = CURL_SOCKET_BAD;
        s->ssl = NULL;
    }
    return close(fd);
}

static void trace_opened(struct mu_net_session *s)
{
    const char *entry = s->entry;

    TRACE(s, MU_TRACE_CONNECT, "%s %s%s%s%s, socket %d", s->opened ? "opened" : "reused", s->address,
        entry != NULL ? " for '" : "", entry != NULL ? entry : "", entry != NULL ? "'" : "",
        (int)s->socket);
}

static void trace_request(struct mu_net_session *s)
{
    s->sent = 0;
    for (size_t i = 0; i < s->request->note_n; i++)
        TRACE(s, s->request->notes[i].step, "%s", s->request->notes[i].text);
    if (s->request->body.n > 0)
        TRACE(s, MU_TRACE_HTTP, "%s %s, %zu bytes", s->request->method, s->url_text, s->request->body.n);
    else
        TRACE(s, MU_TRACE_HTTP, "%s %s", s->request->method, s->url_text);
}

/* C032: each write of the body, as much of it as went out; the rest has a line of its own. */
int mu_net_exchange_written(CURL *easy, curl_infotype type, char *p, size_t n, void *cookie)
{
    struct mu_net_session *s = cookie;

    (void)easy;
    (void)p;
    if (type == CURLINFO_DATA_OUT && s->request != NULL) {
        TRACE(s, MU_TRACE_HTTP, "sent %zu bytes, pos %zu of %zu", n, s->sent, s->request->body.n);
        s->sent += n;
    }
    return 0;
}

/* EST-22, EST-77: any CA of the system's store may vouch for whoever answers in the host's name, and a
 * password would be his, or a key made by him. */
static int refuse_implicit(struct mu_net_session *s)
{
    bool has_password
        = mu_http_header_get(s->request->headers, s->request->header_n, "Authorization") != NULL;

    mu_err_set(&s->err, MU_AUTH, MU_REASON_NONE,
        "est: only the system's CA store vouches for %s (%s), and on that alone %s (RFC 7030 6)",
        s->url.host, s->verified_by, has_password ? "no password is sent" : "no key is taken from it");
    mu_err_next(&s->err, "Name the CA that vouches for the server: --ca-cert FILE.%s",
        has_password ? " Or prove who you are by a certificate: --client-cert." : "");
    return CURL_PREREQFUNC_ABORT;
}

/* The connection stands, TLS included; the request comes next. */
int mu_net_exchange_connected(void *cookie, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    struct mu_net_session *s = cookie;
    struct curl_tlssessioninfo *tls = NULL;
    bool v6 = strchr(peer_ip, ':') != NULL;
    curl_socket_t fd = CURL_SOCKET_BAD;

    snprintf(s->address, sizeof(s->address), "%s%s%s:%d", v6 ? "[" : "", peer_ip, v6 ? "]" : "", peer_port);
    if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
        s->socket = fd; /* of the addresses tried side by side, the one that won */
    s->connected = true;
    trace_opened(s);
    if (curl_easy_getinfo(s->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls != NULL
        && tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals != NULL)
        mu_net_verify_learn(s, tls->internals);
    if (s->request->explicit_anchor && s->implicit)
        return refuse_implicit(s);
    trace_request(s);
    return CURL_PREREQFUNC_OK;
}

/* ---- the request ---- */

static enum mu_code set_headers(struct mu_net_session *s, struct mu_err *err)
{
    const struct mu_http_request *r = s->request;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    bool has_type = false;
    struct mu_buf line;
    enum mu_code rc = MU_OK;

    mu_buf_init_secret(&line, MU_LIMIT_HEADERS);
    for (size_t i = 0; i <= r->header_n && list != NULL; i++) {
        struct curl_slist *longer;

        mu_buf_reset(&line);
        if (i == r->header_n) {
            if (has_type)
                break;
            mu_buf_put_str(&line, "Content-Type:"); /* else curl would call it a web form */
        } else if (r->headers[i].value[0] == '\0') {
            mu_buf_putf(&line, "%s;", r->headers[i].name);
        } else {
            mu_buf_putf(&line, "%s: %s", r->headers[i].name, r->headers[i].value);
        }
        if (i < r->header_n && mu_text_equal_nocase(r->headers[i].name, "Content-Type"))
            has_type = true;
        if (line.failed || strpbrk(mu_buf_str(&line), "\r\n") != NULL) {
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "http: a header field has a line end in it");
            break;
        }
        longer = curl_slist_append(list, mu_buf_str(&line));
        if (longer == NULL)
            curl_slist_free_all(list);
        list = longer;
    }
    mu_buf_clear(&line);
    if (rc != MU_OK || list == NULL) {
        curl_slist_free_all(list);
        return rc != MU_OK ? rc : no_memory(err);
    }
    curl_slist_free_all(s->headers);
    s->headers = list;
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    return MU_OK;
}

static void set_method(struct mu_net_session *s)
{
    const struct mu_http_request *r = s->request;
    bool get = strcmp(r->method, "GET") == 0, head = strcmp(r->method, "HEAD") == 0;
    bool post = strcmp(r->method, "POST") == 0;

    curl_easy_setopt(s->easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(s->easy, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(s->easy, CURLOPT_HTTPGET, 1L);
    if (head)
        curl_easy_setopt(s->easy, CURLOPT_NOBODY, 1L);
    if (post || (r->body.n > 0 && !head)) {
        curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, r->body.p); /* not copied; ours lives longer */
    }
    if (!post && !head && (!get || r->body.n > 0))
        curl_easy_setopt(s->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* Begins what s->request and s->url_text say. */
enum mu_code mu_net_exchange_start(struct mu_net_session *s, struct mu_err *err)
{
    enum mu_code rc = mu_http_url_parse(s->url_text, NULL, &s->url, err);

    if (rc != MU_OK)
        return rc;
    if (strcmp(s->url.scheme, "https") == 0 && !s->has_identity)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "tls: https:// without a TLS identity");
    if (!mu_net_client_has_scheme(s->url.scheme))
        return mu_err_set(
            err, MU_UNSUPPORTED, MU_REASON_NONE, "%s:// is not supported here.", s->url.scheme);
    if (s->closed_later)
        TRACE(s, MU_TRACE_CONNECT, "closed by the server");
    s->connected = s->opened = s->resolved = s->refused_new = s->closed_later = false;
    s->head_done = s->has_length = s->body_too_long = false;
    s->alert = 0;
    memset(&s->err, 0, sizeof(s->err));
    s->fault[0] = '\0';
    mu_http_response_clear(&s->response);
    mu_buf_init(&s->response.body, s->max_body);
    if ((rc = set_headers(s, err)) != MU_OK)
        return rc;
    set_method(s);
    /* nothing but the sizes of what goes out is looked at */
    curl_easy_setopt(
        s->easy, CURLOPT_VERBOSE, s->proto == MU_PROTO_CMP && s->env != NULL && mu_trace_on(s->env) ? 1L : 0L);
    if (curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, s->url.scheme) != CURLE_OK
        || curl_easy_setopt(s->easy, CURLOPT_URL, s->url_text) != CURLE_OK
        || curl_multi_add_handle(s->multi, s->easy) != CURLM_OK)
        return no_memory(err);
    return MU_OK;
}

/* ---- the answer, as it comes in ---- */

static bool is_secret(const char *name)
{
    static const char *const names[] = {"Set-Cookie", "Set-Cookie2", "Cookie", "Authorization",
        "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info", "X-Auth-Token"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (mu_text_equal_nocase(name, names[i]))
            return true;
    return false;
}

static void take_status(struct mu_net_session *s, const char *line)
{
    const char *status = strchr(line, ' ');

    mu_http_response_clear(&s->response);
    mu_buf_init(&s->response.body, s->max_body);
    s->head_done = s->has_length = false;
    s->response.minor = strncmp(line, "HTTP/1.0", 8) == 0 ? 0 : 1;
    s->response.status = status != NULL ? atoi(status) : 0;
    if (s->response.status >= 200)
        TRACE(s, MU_TRACE_HTTP, "HTTP result code %d", s->response.status);
}

static void take_field(struct mu_net_session *s, char *line)
{
    char *colon = strchr(line, ':'), *value;

    if (colon == NULL || line[0] == ' ' || line[0] == '\t')
        return;
    *colon = '\0';
    value = mu_text_trim(colon + 1);
    if (s->response.status >= 200)
        TRACE(s, MU_TRACE_HTTP, "header: %s: %s", line, is_secret(line) ? "*" : value);
    if (mu_text_equal_nocase(line, "Content-Length") || mu_text_equal_nocase(line, "Transfer-Encoding"))
        s->has_length = true;
    /* One that is damaged, or one too many, is left out: nothing we need comes so late. */
    (void)!mu_http_response_add(&s->response, line, value, NULL);
}

size_t mu_net_exchange_header(char *p, size_t size, size_t n, void *cookie)
{
    struct mu_net_session *s = cookie;
    size_t len = size * n;
    char *line = strndup(p, len);

    if (line == NULL)
        return 0;
    line[strcspn(line, "\r\n")] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0)
        take_status(s, line);
    else if (line[0] == '\0')
        s->head_done = true;
    else if (!s->head_done) /* else a trailer, which nobody asked for */
        take_field(s, line);
    free(line);
    return len;
}

size_t mu_net_exchange_body(char *p, size_t size, size_t n, void *cookie)
{
    struct mu_net_session *s = cookie;

    if (n > s->max_body - s->response.body.n) {
        s->body_too_long = true;
        return 0;
    }
    return mu_buf_put(&s->response.body, p, size * n) ? size * n : 0;
}

/* ---- the end of an exchange ---- */

void mu_net_exchange_clear(struct mu_net_session *s)
{
    if (s->request != NULL)
        curl_multi_remove_handle(s->multi, s->easy);
    mu_http_request_free(s->request);
    s->request = NULL;
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    free(s->url_text);
    s->url_text = NULL;
    mu_http_response_clear(&s->response);
}

/* Copies of all, because the caller may close the session before it is done with them. */
struct facts_copy {
    struct mu_http_facts facts;
    struct mu_net_binding binding;
    struct mu_buf der;
    struct mu_bytes chain[MU_LIMIT_CERTS];
};

static void facts_fill(struct mu_net_session *s, struct facts_copy *copy)
{
    const char *date = mu_http_header_get(s->response.headers, s->response.header_n, "Date");
    struct mu_http_facts *facts = &copy->facts;
    size_t at = 0;

    memset(copy, 0, sizeof(*copy));
    copy->binding = s->binding;
    if (mu_buf_put_bytes(&copy->der, mu_buf_bytes(&s->chain_der)))
        for (size_t i = 0; i < s->chain_n; at += s->chain_len[i++])
            copy->chain[facts->peer_chain_n++] = mu_bytes(copy->der.p + at, s->chain_len[i]);
    facts->peer_chain = copy->chain;
    facts->tls_unique = mu_bytes(copy->binding.unique, copy->binding.unique_n);
    facts->tls_exporter = mu_bytes(copy->binding.exporter, copy->binding.exporter_n);
    snprintf(facts->address, sizeof(facts->address), "%s", s->address);
    facts->reused = s->connected && !s->opened;
    facts->cert_unasked = s->identity.key != NULL && !s->cert_asked;
    if (date != NULL && !mu_time_parse_http(date, &facts->server_date_s))
        facts->server_date_s = 0;
}

/* Tells the caller; the session may be gone afterwards. err NULL: it went well. */
static void tell(struct mu_net_session *s, const struct mu_err *err)
{
    struct facts_copy copy;
    struct mu_http_response response = s->response;
    mu_http_done *done = s->done;
    void *cookie = s->cookie;

    facts_fill(s, &copy);
    memset(&s->response, 0, sizeof(s->response));
    mu_net_exchange_clear(s); /* first: done may send again */
    done(cookie, err == NULL ? &response : NULL, &copy.facts, err);
    mu_http_response_clear(&response);
    mu_buf_clear(&copy.der);
}

static void fail(struct mu_net_session *s, const struct mu_err *fault)
{
    struct mu_err err = *fault;
    bool is_tls = err.code == MU_AUTH || (err.reason >= MU_M(202) && err.reason <= MU_M(207));

    if (!s->connected && is_tls && s->opened) {
        trace_opened(s);
        TRACE(s, MU_TRACE_TLS, "%s", err.what);
    } else if (!s->connected && err.reason == MU_M(101)) {
        TRACE(s, MU_TRACE_RESOLVE, "%s", err.what);
    } else if (!s->connected) {
        TRACE(s, MU_TRACE_CONNECT, "failed: %s", err.what);
    } else {
        TRACE(s, MU_TRACE_HTTP, "failed: %s", err.what);
    }
    tell(s, &err);
}

static bool same_origin(const struct mu_http_url *a, const struct mu_http_url *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

/* True if the answer was a redirection and all that follows from it is done. Only the same
 * origin is followed, with the same method: an enrollment that came back as a GET, or went to
 * another host, would be another request than the one that was meant. */
static bool redirect(struct mu_net_session *s)
{
    char *to = NULL, shown[300], from[300];
    struct mu_http_url url;
    struct mu_err err = {0};
    int status = s->response.status;

    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        return false;
    if (curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == NULL)
        return false;
    if (mu_http_url_parse(to, NULL, &url, NULL) != MU_OK || !same_origin(&url, &s->url)
        || s->redirects == MAX_REDIRECTS || (status == 303 && strcmp(s->request->method, "GET") != 0)) {
        mu_err_set(&err, MU_NETWORK, MU_M(107), "%s redirects to %s%s.",
            mu_text_escape_to(from, sizeof(from), mu_bytes_str(s->url_text)),
            mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(to)),
            s->redirects == MAX_REDIRECTS ? " after several other places" : "");
        fail(s, &err);
        return true;
    }
    to = strdup(to); /* curl's copy goes with the handle */
    curl_multi_remove_handle(s->multi, s->easy);
    free(s->url_text);
    s->url_text = to;
    s->redirects++;
    if (to == NULL || mu_net_exchange_start(s, &err) != MU_OK) {
        if (to == NULL)
            no_memory(&err);
        fail(s, &err);
    }
    return true;
}

static void succeed(struct mu_net_session *s)
{
    struct mu_http_response *r = &s->response;
    struct mu_err err = {0};
    char proxy[160];

    if (redirect(s))
        return;
    if (s->proxy != NULL && r->status == 407) {
        mu_err_set(&err, MU_NETWORK, MU_M(104), "Proxy %s answered 407.",
            mu_net_fault_proxy(s, proxy, sizeof(proxy)));
        fail(s, &err);
        return;
    }
    if (r->status == 0) /* no HTTP: a directory's answer */
        r->status = 200;
    r->body_complete_by_close = !s->has_length && r->status != 204 && r->status != 304
        && strcmp(s->request->method, "HEAD") != 0 && strncmp(s->url.scheme, "http", 4) == 0;
    TRACE(s, MU_TRACE_HTTP, "body %zu bytes, complete%s", r->body.n,
        r->body_complete_by_close ? " (ended by close)" : "");
    tell(s, NULL);
}

/* Looks whether curl has finished. Comes last wherever it is called: the session may be gone. */
void mu_net_exchange_collect(struct mu_net_session *s)
{
    CURLMsg *message;
    CURLcode code;
    struct mu_err err = {0};
    int left;

    while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        code = message->data.result;
        if (code == CURLE_OK) {
            succeed(s);
        } else {
            mu_net_fault(s, code, &err);
            fail(s, &err);
        }
        return;
    }
}
