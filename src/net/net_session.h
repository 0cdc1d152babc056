/*
 * One session of the HTTP client: a curl multi of its own, so that no connection made with one
 * TLS identity ever serves another. Shared by net_client.c (sessions), net_exchange.c (one
 * exchange), net_verify.c (TLS and who is believed) and net_fault.c (what failed, in words).
 */
#ifndef MU_NET_SESSION_H
#define MU_NET_SESSION_H

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "base/limits.h"
#include "http/http_transport.h"
#include "http/http_url.h"
#include "net/net_internal.h"

struct mu_net_client {
    struct mu_transport transport; /* first: it is handed out as one */
    struct mu_loop *loop;
    struct event_base *base;
};

struct mu_net_session {
    struct mu_http_session session; /* first: it is handed out as one */
    struct mu_net_client *client;
    CURLM *multi;
    CURL *easy;
    struct event *timer;
    struct mu_net_watch *watches; /* sockets curl wants to hear of */
    char fault[CURL_ERROR_SIZE];

    /* What the session was opened with, copied. */
    struct mu_tls_identity identity;
    bool has_identity;
    char *srp_user;
    struct mu_secret srp_password;
    char *server_name, *proxy, *no_proxy, *source_ip, *entry;
    int timeout_s;
    size_t max_body;
    enum mu_proto proto;
    const struct mu_env *env; /* for the trace; may be NULL */
    struct mu_env system;     /* the clock, if nobody brought one */

    /* The connection of the last exchange. */
    curl_socket_t socket; /* CURL_SOCKET_BAD: none */
    bool closing;         /* by us */

    /* The exchange under way. */
    struct mu_http_request *request; /* NULL: none */
    struct mu_http_url url;          /* of the request, or of where it was redirected to */
    char *url_text;
    unsigned redirects;
    struct curl_slist *headers;
    mu_http_done *done;
    void *cookie;
    struct mu_http_response response;
    struct mu_err err;      /* what was found out on the way, before curl says a word */
    bool connected;         /* the request was or could be sent */
    bool opened;            /* on a connection made for it */
    size_t sent;            /* of the request's body */
    bool closed_later;      /* CMP: that it was closed is told behind what came of the answer */
    bool resolved;          /* the address was traced */
    bool head_done, has_length, body_too_long, refused_new;
    char address[64];       /* of the peer: "127.0.0.1:8080" */

    /* What TLS has told. */
    struct mu_net_binding binding;
    struct mu_buf chain_der;
    size_t chain_len[MU_LIMIT_CERTS];
    size_t chain_n;
    char verified_by[160]; /* subject of the anchor */
    bool implicit;         /* only the system's store vouches for it */
    bool cert_asked;       /* the server wanted to see a certificate of ours */
    SSL *ssl;              /* curl's, while the socket is open */
    int alert;             /* with which the server ended the connection; 0: none */
};

/* ---- net_exchange.c ---- */
/* Begins what request and url_text say. */
enum mu_code mu_net_exchange_start(struct mu_net_session *s, struct mu_err *err) MU_CHECK;
/* Looks whether curl has finished, and then tells the caller. Comes last wherever it is called:
 * the session may be gone. */
void mu_net_exchange_collect(struct mu_net_session *s);
/* Ends what is under way without a word. */
void mu_net_exchange_clear(struct mu_net_session *s);
/* curl's callbacks; cookie is the session. */
curl_socket_t mu_net_exchange_open_socket(
    void *cookie, curlsocktype purpose, struct curl_sockaddr *address);
int mu_net_exchange_close_socket(void *cookie, curl_socket_t fd);
int mu_net_exchange_connected(
    void *cookie, char *peer_ip, char *own_ip, int peer_port, int own_port);
int mu_net_exchange_written(CURL *easy, curl_infotype type, char *p, size_t n, void *cookie);
size_t mu_net_exchange_header(char *p, size_t size, size_t n, void *cookie);
size_t mu_net_exchange_body(char *p, size_t size, size_t n, void *cookie);

/* ---- net_anchors.c ---- */
/* The named anchors alone; NULL on failure. */
X509_STORE *mu_net_anchors_named(const struct mu_tls_identity *identity);
/* Does it only lack a CA that vouches for it? */
bool mu_net_anchors_is_unknown(int why);
/* A path that failed, built anew with the system's anchors; its ctx says how that went. False: no
 * memory. Clear it in any case. */
struct mu_net_anchors_path {
    X509_STORE *store;
    X509_STORE_CTX *ctx;
};
bool mu_net_anchors_system(struct mu_net_anchors_path *path, X509_STORE_CTX *failed);
void mu_net_anchors_clear(struct mu_net_anchors_path *path);

/* ---- net_verify.c ---- */
/* CURLOPT_SSL_CTX_FUNCTION; cookie is the session. */
CURLcode mu_net_verify_setup(CURL *easy, void *ssl_ctx, void *cookie);
/* The password alone says who the server is: TLS-SRP, and no CA to verify a certificate with. */
bool mu_net_verify_by_srp(const struct mu_net_session *s);
/* After a request that could not be sent: the alert that the server left before it closed, which curl
 * does not look for. The connection is of no use any more. */
void mu_net_verify_hear(struct mu_net_session *s);
/* Traces version, cipher and server, and keeps the channel binding. */
void mu_net_verify_learn(struct mu_net_session *s, SSL *ssl);

/* ---- net_fault.c ---- */
/* What curl's code means for a person, with its M-number. Returns err->code. */
enum mu_code mu_net_fault(struct mu_net_session *s, CURLcode code, struct mu_err *err);
/* "host:port" of the request at hand; returns buf. */
const char *mu_net_fault_where(const struct mu_net_session *s, char *buf, size_t size);
/* Host and port of the proxy, without user and password. Returns buf. */
const char *mu_net_fault_proxy(const struct mu_net_session *s, char *buf, size_t size);

#endif
