/*
 * How client code reaches a server, without naming a library. A session belongs to one TLS
 * identity and is never shared with another. All calls return at once; answers come later on the
 * loop's thread. net implements it on curl; tests/lib wires it to a responder in memory.
 */
#ifndef MU_HTTP_TRANSPORT_H
#define MU_HTTP_TRANSPORT_H

#include "http/http_msg.h"

struct mu_tls_identity; /* pki/pki_identity.h */
struct mu_env;

struct mu_http_session_spec {
    const struct mu_tls_identity *identity; /* copied (counts taken); NULL for plain http */
    const char *proxy;      /* "host:port" or URL, NULL: none */
    const char *no_proxy;
    const char *source_ip;  /* NULL: any */
    int timeout_s;          /* 0: 30 */
    size_t max_body;        /* 0: MU_LIMIT_REPLY */
    const char *entry;      /* name for the trace: "opened A for 'entry'" */
    int proto;              /* enum mu_proto, for the trace */
    const struct mu_env *env; /* traces go here */
};

/* What an exchange can tell besides the answer; views valid during the callback. */
struct mu_http_facts {
    struct mu_bytes tls_unique, tls_exporter;
    const struct mu_bytes *peer_chain; /* DER, leaf first */
    size_t peer_chain_n;
    char address[64];
    bool reused;
    bool cert_unasked;     /* we have a client certificate, and the server did not want to see it */
    int64_t server_date_s; /* Date header, 0 if none */
};

/* Exactly one of response and err is NULL... response belongs to the callee (move it out by
 * copying the struct and zeroing it, else it is cleared after the call). */
typedef void mu_http_done(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *err);

/* ---- looking at what a service presents (peek) ---- */
struct mu_http_peek {
    const char *host;
    unsigned port;
    const char *sni;        /* NULL: host, unless that is an address */
    const char *starttls;   /* NULL: TLS at once; else "smtp", "imap", "pop3" or "postgresql" */
    int timeout_s;          /* for each address; 0: 10 */
};
/* One address of the host. */
struct mu_http_peeked {
    char address[64];
    struct mu_bytes leaf;   /* DER; n 0: nothing was presented */
    char why[160];          /* then: why not */
};
/* Views during the call. err: not one address was found. */
typedef void mu_http_peek_done(void *cookie, const struct mu_http_peeked *seen, size_t n,
    const struct mu_err *err);
enum { MU_HTTP_PEEK_MAX = 8 }; /* addresses of one name that are asked */
struct mu_http_peeking;

struct mu_http_session;
struct mu_transport;

struct mu_transport_ops {
    enum mu_code (*open)(struct mu_transport *, const struct mu_http_session_spec *,
        struct mu_http_session **out, struct mu_err *err);
    /* One exchange at a time per session. request is copied. Never calls done before it returns.
     * With same_connection, and the connection of the last exchange gone, nothing is sent and done
     * gets MU_NETWORK: what the request was bound to has to be asked for anew. Redirections are
     * followed to the same scheme, host and port only. */
    enum mu_code (*send)(struct mu_http_session *, const struct mu_http_request *,
        mu_http_done *done, void *cookie, struct mu_err *err);
    void (*close)(struct mu_http_session *); /* cancels what is under way; done is not called */
    /* Shakes hands with every address of the host and leaves. Nothing is trusted and nothing is said:
     * it tells what is shown. what is copied. out is freed by peek_cancel, or by itself behind done. */
    enum mu_code (*peek)(struct mu_transport *, const struct mu_http_peek *what,
        mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err);
    void (*peek_cancel)(struct mu_transport *, struct mu_http_peeking *); /* done does not come */
};

struct mu_transport {
    const struct mu_transport_ops *ops;
};
struct mu_http_session {
    struct mu_transport *transport; /* first member of every implementation's session */
};

static inline enum mu_code mu_transport_open(struct mu_transport *t,
    const struct mu_http_session_spec *spec, struct mu_http_session **out, struct mu_err *err)
{
    return t->ops->open(t, spec, out, err);
}
static inline enum mu_code mu_transport_send(struct mu_http_session *s,
    const struct mu_http_request *request, mu_http_done *done, void *cookie, struct mu_err *err)
{
    return s->transport->ops->send(s, request, done, cookie, err);
}
static inline enum mu_code mu_transport_peek(struct mu_transport *t, const struct mu_http_peek *what,
    mu_http_peek_done *done, void *cookie, struct mu_http_peeking **out, struct mu_err *err)
{
    return t->ops->peek(t, what, done, cookie, out, err);
}
static inline void mu_transport_close(struct mu_http_session *s)
{
    if (s != NULL)
        s->transport->ops->close(s);
}

#endif
