/*
 * mu_transport on curl multi, driven by the loop. Each session has a multi of its own: curl
 * reuses connections without a thought for what the TLS callback did, so a shared one would let
 * the connection of one identity serve another. The environment's proxy variables are not read:
 * where requests go is configuration, not what happens to be in a service manager's environment.
 */
#include "net/net_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "net/net_session.h"

enum { DEFAULT_TIMEOUT_S = 30, MAX_REDIRECTS = 3 };

struct mu_net_watch {
    struct mu_net_watch *next;
    struct mu_net_session *session;
    struct event *event;
    curl_socket_t fd;
};

static struct mu_net_session *session_of(struct mu_http_session *session)
{
    return (struct mu_net_session *)session;
}

#define TRACE(s, step, ...) mu_trace((s)->env, (s)->proto, step, __VA_ARGS__)

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
}

static enum mu_code start_exchange(struct mu_net_session *s, struct mu_err *err);

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

static curl_socket_t on_open_socket(void *cookie, curlsocktype purpose, struct curl_sockaddr *address)
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

static int on_close_socket(void *cookie, curl_socket_t fd)
{
    struct mu_net_session *s = cookie;

    if (fd == s->socket) {
        if (s->closing || (s->connected && s->response.status == 0))
            TRACE(s, MU_TRACE_CONNECT, "closed");
        else if (!s->opened || s->connected)
            TRACE(s, MU_TRACE_CONNECT, "closed by the server");
        s->socket = CURL_SOCKET_BAD;
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
    if (s->request->body.n > 0)
        TRACE(s, MU_TRACE_HTTP, "%s %s, %zu bytes", s->request->method, s->url_text, s->request->body.n);
    else
        TRACE(s, MU_TRACE_HTTP, "%s %s", s->request->method, s->url_text);
}

/* The connection stands, TLS included; the request comes next. */
static int on_connected(void *cookie, char *peer_ip, char *own_ip, int peer_port, int own_port)
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
    trace_request(s);
    return CURL_PREREQFUNC_OK;
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
    if (s->response.status >= 200) {
        if (s->request->body.n > 0 && s->proto == MU_PROTO_CMP)
            TRACE(s, MU_TRACE_HTTP, "sent %zu bytes, pos 0 of %zu", s->request->body.n, s->request->body.n);
        TRACE(s, MU_TRACE_HTTP, "HTTP result code %d", s->response.status);
    }
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

static size_t on_header(char *p, size_t size, size_t n, void *cookie)
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

static size_t on_body(char *p, size_t size, size_t n, void *cookie)
{
    struct mu_net_session *s = cookie;

    if (n > s->max_body - s->response.body.n) {
        s->body_too_long = true;
        return 0;
    }
    return mu_buf_put(&s->response.body, p, size * n) ? size * n : 0;
}

/* ---- the end of an exchange ---- */

static void exchange_clear(struct mu_net_session *s)
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
    exchange_clear(s); /* first: done may send again */
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
    if (to == NULL || start_exchange(s, &err) != MU_OK) {
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
static void collect(struct mu_net_session *s)
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

/* ---- curl on the loop ---- */

static void on_socket_event(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_watch *w = cookie;
    struct mu_net_session *s = w->session;
    int mask = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0)
        | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    int running;

    curl_multi_socket_action(s->multi, fd, mask, &running); /* may free w */
    collect(s);
}

static void on_timeout(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_session *s = cookie;
    int running;

    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(s);
}

static void watch_free(struct mu_net_watch *w)
{
    struct mu_net_watch **at = &w->session->watches;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (w->event != NULL)
        event_free(w->event);
    free(w);
}

/* curl says which sockets it wants to hear of. */
static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *cookie, void *socket_cookie)
{
    struct mu_net_session *s = cookie;
    struct mu_net_watch *w = socket_cookie;
    short events = (short)(EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0)
        | ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));

    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            watch_free(w);
        return 0;
    }
    if (w == NULL) {
        w = calloc(1, sizeof(*w));
        if (w == NULL)
            return -1;
        w->session = s;
        w->fd = fd;
        w->next = s->watches;
        s->watches = w;
        curl_multi_assign(s->multi, fd, w);
    } else if (w->event != NULL) {
        event_free(w->event);
    }
    w->event = event_new(s->client->base, fd, events, on_socket_event, w);
    return w->event != NULL && event_add(w->event, NULL) == 0 ? 0 : -1;
}

static int on_timer_wish(CURLM *multi, long ms, void *cookie)
{
    struct mu_net_session *s = cookie;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    if (ms < 0)
        return evtimer_del(s->timer);
    return evtimer_add(s->timer, &tv);
}

/* ---- sending ---- */

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
static enum mu_code start_exchange(struct mu_net_session *s, struct mu_err *err)
{
    enum mu_code rc = mu_http_url_parse(s->url_text, NULL, &s->url, err);

    if (rc != MU_OK)
        return rc;
    if (strcmp(s->url.scheme, "https") == 0 && !s->has_identity)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "tls: https:// without a TLS identity");
    if (!mu_net_client_has_scheme(s->url.scheme))
        return mu_err_set(
            err, MU_UNSUPPORTED, MU_REASON_NONE, "%s:// is not supported here.", s->url.scheme);
    s->connected = s->opened = s->resolved = s->refused_new = false;
    s->head_done = s->has_length = s->body_too_long = false;
    memset(&s->err, 0, sizeof(s->err));
    s->fault[0] = '\0';
    mu_http_response_clear(&s->response);
    mu_buf_init(&s->response.body, s->max_body);
    if ((rc = set_headers(s, err)) != MU_OK)
        return rc;
    set_method(s);
    if (curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, s->url.scheme) != CURLE_OK
        || curl_easy_setopt(s->easy, CURLOPT_URL, s->url_text) != CURLE_OK
        || curl_multi_add_handle(s->multi, s->easy) != CURLM_OK)
        return no_memory(err);
    return MU_OK;
}

static enum mu_code client_send(struct mu_http_session *session, const struct mu_http_request *request,
    mu_http_done *done, void *cookie, struct mu_err *err)
{
    struct mu_net_session *s = session_of(session);
    enum mu_code rc;

    if (s->request != NULL)
        return mu_err_set(err, MU_BUSY, MU_REASON_NONE, "an exchange is under way already");
    if ((rc = mu_text_dup(request->target, &s->url_text, err)) != MU_OK)
        return rc;
    if ((rc = mu_http_request_copy(request, &s->request, err)) == MU_OK) {
        s->done = done;
        s->cookie = cookie;
        s->redirects = 0;
        rc = start_exchange(s, err);
    }
    if (rc != MU_OK)
        exchange_clear(s);
    return rc;
}

/* ---- sessions ---- */

static void client_close(struct mu_http_session *session)
{
    struct mu_net_session *s = session_of(session);

    s->closing = true;
    exchange_clear(s);
    curl_easy_cleanup(s->easy);
    curl_multi_cleanup(s->multi); /* closes the connections */
    while (s->watches != NULL)
        watch_free(s->watches);
    if (s->timer != NULL)
        event_free(s->timer);
    mu_pki_key_free(s->identity.key);
    mu_pki_certs_clear(&s->identity.chain);
    mu_pki_certs_clear(&s->identity.anchors);
    mu_buf_clear(&s->chain_der);
    if (s->proxy != NULL)
        mu_bytes_wipe(s->proxy, strlen(s->proxy)); /* may hold a password */
    free(s->server_name);
    free(s->proxy);
    free(s->no_proxy);
    free(s->source_ip);
    free(s->entry);
    free(s);
}

static enum mu_code copy_text(const char *text, char **out, struct mu_err *err)
{
    return text == NULL ? MU_OK : mu_text_dup(text, out, err);
}

static enum mu_code copy_certs(
    const struct mu_pki_certs *from, struct mu_pki_certs *to, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < from->n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(to, from->v[i], err);
    return rc;
}

static enum mu_code copy_identity(
    struct mu_net_session *s, const struct mu_tls_identity *identity, struct mu_err *err)
{
    enum mu_code rc;

    s->system = mu_env_system();
    s->identity.env = s->env != NULL ? s->env : &s->system;
    if (identity == NULL)
        return MU_OK;
    s->has_identity = true;
    s->identity.use_system_anchors = identity->use_system_anchors;
    s->identity.insecure_bootstrap = identity->insecure_bootstrap;
    s->identity.tls10_allowed = identity->tls10_allowed;
    if (identity->env != NULL)
        s->identity.env = identity->env;
    if (identity->key != NULL)
        s->identity.key = mu_pki_key_ref(identity->key);
    if ((rc = copy_certs(&identity->chain, &s->identity.chain, err)) != MU_OK)
        return rc;
    if ((rc = copy_certs(&identity->anchors, &s->identity.anchors, err)) != MU_OK)
        return rc;
    return copy_text(identity->server_name, &s->server_name, err);
}

static enum mu_code copy_spec(
    struct mu_net_session *s, const struct mu_http_session_spec *spec, struct mu_err *err)
{
    enum mu_code rc;

    s->timeout_s = spec->timeout_s > 0 ? spec->timeout_s : DEFAULT_TIMEOUT_S;
    s->max_body = spec->max_body != 0 ? spec->max_body : MU_LIMIT_REPLY;
    s->proto = (enum mu_proto)spec->proto;
    s->env = spec->env;
    if ((rc = copy_text(spec->proxy, &s->proxy, err)) != MU_OK)
        return rc;
    if ((rc = copy_text(spec->no_proxy, &s->no_proxy, err)) != MU_OK)
        return rc;
    if ((rc = copy_text(spec->source_ip, &s->source_ip, err)) != MU_OK)
        return rc;
    if ((rc = copy_text(spec->entry, &s->entry, err)) != MU_OK)
        return rc;
    return copy_identity(s, spec->identity, err);
}

/* What stays the same for all exchanges. */
static bool set_easy(struct mu_net_session *s)
{
    CURL *e = s->easy;
    char source[80];
    bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
    SET(CURLOPT_ERRORBUFFER, s->fault);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, "muster/0.1");
    SET(CURLOPT_TIMEOUT_MS, s->timeout_s * 1000L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, s->timeout_s * 1000L);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)s->max_body);
    /* "" keeps curl from reading http_proxy, https_proxy and no_proxy. */
    SET(CURLOPT_PROXY, s->proxy != NULL ? s->proxy : "");
    SET(CURLOPT_NOPROXY, s->no_proxy != NULL ? s->no_proxy : "");
    if (s->source_ip != NULL) {
        snprintf(source, sizeof(source), "host!%s", s->source_ip);
        SET(CURLOPT_INTERFACE, source);
    }
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, s);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, s);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, s);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, s);
    /* Trust comes from net_verify.c alone: no bundle of curl's, and the name is checked there. */
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, s->identity.insecure_bootstrap ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
    SET(CURLOPT_SSL_CTX_FUNCTION, mu_net_verify_setup);
    SET(CURLOPT_SSL_CTX_DATA, s);
#undef SET
    return ok;
}

static bool set_multi(struct mu_net_session *s)
{
    return curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) == CURLM_OK
        && curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s) == CURLM_OK
        && curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK
        && curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s) == CURLM_OK
        && curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK;
}

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum mu_code client_open(struct mu_transport *transport, const struct mu_http_session_spec *spec,
    struct mu_http_session **out, struct mu_err *err)
{
    /* Takes some 5 ms, so it waits until somebody wants to send. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct mu_net_session *s = calloc(1, sizeof(*s));
    enum mu_code rc;

    if (s == NULL)
        return no_memory(err);
    pthread_once(&once, init_curl);
    s->session.transport = transport;
    s->client = (struct mu_net_client *)transport;
    s->socket = CURL_SOCKET_BAD;
    if ((rc = copy_spec(s, spec, err)) != MU_OK)
        goto out;
    s->easy = curl_easy_init();
    s->multi = curl_multi_init();
    s->timer = evtimer_new(s->client->base, on_timeout, s);
    if (s->easy == NULL || s->multi == NULL || s->timer == NULL || !set_multi(s) || !set_easy(s)) {
        rc = no_memory(err);
        goto out;
    }
    *out = &s->session;
    s = NULL;
out:
    if (s != NULL)
        client_close(&s->session);
    return rc;
}

enum mu_code mu_net_client_new(struct mu_loop *loop, struct mu_transport **out, struct mu_err *err)
{
    static const struct mu_transport_ops ops = {client_open, client_send, client_close};
    struct mu_net_client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return no_memory(err);
    c->transport.ops = &ops;
    c->loop = loop;
    c->base = mu_net_loop_base(loop);
    mu_net_ignore_sigpipe();
    *out = &c->transport;
    return MU_OK;
}

void mu_net_client_free(struct mu_transport *transport)
{
    free(transport);
}

bool mu_net_client_has_scheme(const char *scheme)
{
    static const char *const ours[] = {"http", "https", "ldap", "ldaps"};
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    bool wanted = false;

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        wanted = wanted || mu_text_equal_nocase(scheme, ours[i]);
    for (const char *const *p = info->protocols; wanted && *p != NULL; p++)
        if (mu_text_equal_nocase(scheme, *p))
            return true;
    return false;
}
