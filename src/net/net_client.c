/*
 * mu_transport on curl multi, driven by the loop. Each session has a multi of its own: curl
 * reuses connections without a thought for what the TLS callback did, so a shared one would let
 * the connection of one identity serve another. The environment's proxy variables are not read:
 * where requests go is configuration, not what happens to be in a service manager's environment.
 */
#include "net/net_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net_session.h"

enum { DEFAULT_TIMEOUT_S = 30 };

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

static enum mu_code no_memory(struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
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
    mu_net_exchange_collect(s);
}

static void on_timeout(evutil_socket_t fd, short what, void *cookie)
{
    struct mu_net_session *s = cookie;
    int running;

    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    mu_net_exchange_collect(s);
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

/* ---- sessions ---- */

static bool ends_with(struct mu_bytes text, const char *end)
{
    size_t n = strlen(end);

    return text.n >= n && memcmp(text.p + text.n - n, end, n) == 0;
}

/* May this go to a server that nobody has verified? */
static bool is_harmless(const struct mu_net_session *s, const struct mu_http_request *request)
{
    const struct mu_http_header *h = request->headers;

    return strcmp(request->method, "GET") == 0 && request->body.n == 0
        && mu_http_header_get(h, request->header_n, "Authorization") == NULL
        && mu_http_header_get(h, request->header_n, "Cookie") == NULL
        && (s->proto != MU_PROTO_EST || ends_with(mu_http_target_path(request->target), "/cacerts"));
}

static enum mu_code client_send(struct mu_http_session *session, const struct mu_http_request *request,
    mu_http_done *done, void *cookie, struct mu_err *err)
{
    struct mu_net_session *s = session_of(session);
    enum mu_code rc;

    if (s->request != NULL)
        return mu_err_set(err, MU_BUSY, MU_REASON_NONE, "an exchange is under way already");
    if (s->identity.insecure_bootstrap && !is_harmless(s, request))
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE,
            "tls: to a server that is not verified goes nothing but the question for its CA "
            "certificates (RFC 7030 4.1.1)");
    if ((rc = mu_text_dup(request->target, &s->url_text, err)) != MU_OK)
        return rc;
    if ((rc = mu_http_request_copy(request, &s->request, err)) == MU_OK) {
        s->done = done;
        s->cookie = cookie;
        s->redirects = 0;
        rc = mu_net_exchange_start(s, err);
    }
    if (rc != MU_OK)
        mu_net_exchange_clear(s);
    return rc;
}

static void client_close(struct mu_http_session *session)
{
    struct mu_net_session *s = session_of(session);

    s->closing = true;
    if (s->closed_later)
        mu_trace(s->env, (enum mu_proto)s->proto, MU_TRACE_CONNECT, "closed");
    mu_net_exchange_clear(s);
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
    mu_secret_clear(&s->srp_password);
    free(s->srp_user);
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
    s->identity.max_version = identity->max_version;
    if (identity->env != NULL)
        s->identity.env = identity->env;
    if (identity->key != NULL)
        s->identity.key = mu_pki_key_ref(identity->key);
    if ((rc = copy_certs(&identity->chain, &s->identity.chain, err)) != MU_OK)
        return rc;
    if ((rc = copy_certs(&identity->anchors, &s->identity.anchors, err)) != MU_OK)
        return rc;
    if ((rc = copy_text(identity->srp_user, &s->srp_user, err)) != MU_OK)
        return rc;
    if (identity->srp_password != NULL
        && (rc = mu_secret_set(&s->srp_password, mu_secret_bytes(identity->srp_password), err)) != MU_OK)
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
    SET(CURLOPT_OPENSOCKETFUNCTION, mu_net_exchange_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, s);
    SET(CURLOPT_CLOSESOCKETFUNCTION, mu_net_exchange_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, s);
    SET(CURLOPT_PREREQFUNCTION, mu_net_exchange_connected);
    SET(CURLOPT_PREREQDATA, s);
    SET(CURLOPT_DEBUGFUNCTION, mu_net_exchange_written);
    SET(CURLOPT_DEBUGDATA, s);
    SET(CURLOPT_HEADERFUNCTION, mu_net_exchange_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_WRITEFUNCTION, mu_net_exchange_body);
    SET(CURLOPT_WRITEDATA, s);
    /* Trust comes from net_verify.c alone: no bundle of curl's, and the name is checked there. */
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
    /* net_verify.c ends the handshake if the server is not believed; where curl looks again, it
     * insists on a certificate, which a TLS-SRP server may do without. */
    SET(CURLOPT_SSL_VERIFYPEER, s->identity.insecure_bootstrap || mu_net_verify_by_srp(s) ? 0L : 1L);
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

static enum mu_code client_peek(struct mu_transport *transport, const struct mu_http_peek *what,
    mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err)
{
    struct mu_net_client *c = (struct mu_net_client *)transport;

    return mu_net_peek(c->loop, what, done, cookie, out, err);
}

static void client_peek_cancel(struct mu_transport *transport, struct mu_http_peeking *peeking)
{
    (void)transport;
    mu_net_peek_cancel(peeking);
}

enum mu_code mu_net_client_new(struct mu_loop *loop, struct mu_transport **out, struct mu_err *err)
{
    static const struct mu_transport_ops ops = {
        .open = client_open,
        .send = client_send,
        .close = client_close,
        .peek = client_peek,
        .peek_cancel = client_peek_cancel,
    };
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
