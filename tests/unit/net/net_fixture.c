/* Client and server on loopback. See the header. */
#include "net_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MUST(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)

/* ---- certificates ---- */

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    MUST((e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) != NULL);
    MUST(X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void decode_both(struct fix_cert *out)
{
    BIO *mem = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;
    int n = i2d_X509(out->x509, &der);
    char *pem;
    long pem_n;

    MUST(n > 0 && mu_pki_cert_decode(mu_bytes(der, (size_t)n), &out->cert, NULL) == MU_OK);
    OPENSSL_free(der);
    MUST(PEM_write_bio_PrivateKey(mem, out->evp, NULL, NULL, 0, NULL, NULL) == 1);
    pem_n = BIO_get_mem_data(mem, &pem);
    MUST(mu_pki_key_decode(mu_bytes(pem, (size_t)pem_n), NULL, &out->key, NULL) == MU_OK);
    BIO_free(mem);
}

void fix_cert_make(struct fix_cert *out, const struct fix_cert_spec *spec, const struct fix_cert *issuer)
{
    static int serial = 1000;
    X509 *x = X509_new();

    memset(out, 0, sizeof(*out));
    out->x509 = x;
    out->evp = spec->bits != 0 ? EVP_RSA_gen(spec->bits) : EVP_EC_gen("P-256");
    MUST(x != NULL && out->evp != NULL);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), spec->from_s == 0 ? -86400 : spec->from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), spec->to_s == 0 ? 86400 : spec->to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
        (const unsigned char *)spec->cn, -1, -1, 0);
    X509_set_issuer_name(
        x, issuer != NULL ? X509_get_subject_name(issuer->x509) : X509_get_subject_name(x));
    X509_set_pubkey(x, out->evp);
    add_ext(x, issuer != NULL ? issuer->x509 : x, NID_basic_constraints,
        spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec->san != NULL)
        add_ext(x, x, NID_subject_alt_name, spec->san);
    if (spec->eku != NULL)
        add_ext(x, x, NID_ext_key_usage, spec->eku);
    MUST(X509_sign(x, issuer != NULL ? issuer->evp : out->evp, EVP_sha256()) > 0);
    decode_both(out);
    MUST(mu_pki_certs_add(&out->chain, out->cert, NULL) == MU_OK);
    for (size_t i = 0; issuer != NULL && i < issuer->chain.n; i++)
        MUST(mu_pki_certs_add(&out->chain, issuer->chain.v[i], NULL) == MU_OK);
}

void fix_cert_clear(struct fix_cert *c)
{
    mu_pki_certs_clear(&c->chain);
    mu_pki_cert_free(c->cert);
    mu_pki_key_free(c->key);
    EVP_PKEY_free(c->evp);
    X509_free(c->x509);
    memset(c, 0, sizeof(*c));
}

/* ---- client ---- */

struct mu_loop *fix_loop;
struct mu_transport *fix_client;
struct mu_env fix_env;
int64_t fix_shift_s;
struct mu_http_response fix_response;
struct mu_err fix_err;
struct mu_http_facts fix_facts;
struct mu_buf fix_unique, fix_exporter, fix_leaf;
size_t fix_chain_n;
static struct mu_buf trace;
static struct mu_net_server *servers[8];
static size_t server_n;
static pthread_t octet_threads[16];
static int octet_fds[16];
static size_t octet_n;
static bool answered;

static int64_t now(void *ctx)
{
    return time(NULL) + fix_shift_s;
}

static void keep_trace(void *ctx, const struct mu_trace_event *e)
{
    const char *proto = mu_proto_name(e->proto);

    mu_buf_putf(&trace, "%s%s%s: %s\n", proto, *proto != '\0' ? " " : "",
        mu_trace_step_name(e->step), e->text);
}

const char *fix_trace(void)
{
    return mu_buf_str(&trace);
}

void fix_trace_reset(void)
{
    mu_buf_reset(&trace);
}

int fix_setup(void **state)
{
    fix_env = mu_env_system();
    fix_env.now = now;
    fix_env.trace = keep_trace;
    fix_shift_s = 0;
    return mu_net_loop_new(&fix_loop, NULL) == MU_OK
            && mu_net_client_new(fix_loop, &fix_client, NULL) == MU_OK
        ? 0
        : -1;
}

int fix_teardown(void **state)
{
    for (size_t i = 0; i < octet_n; i++) {
        shutdown(octet_fds[i], SHUT_RDWR); /* ends accept */
        pthread_join(octet_threads[i], NULL);
        close(octet_fds[i]);
    }
    octet_n = 0;
    while (server_n > 0)
        mu_net_server_free(servers[--server_n]);
    mu_net_client_free(fix_client);
    mu_net_loop_free(fix_loop);
    mu_http_response_clear(&fix_response);
    mu_buf_clear(&fix_unique);
    mu_buf_clear(&fix_exporter);
    mu_buf_clear(&fix_leaf);
    mu_buf_clear(&trace);
    return 0;
}

struct mu_http_session *fix_open(const struct mu_http_session_spec *spec)
{
    struct mu_http_session_spec own = *spec;
    struct mu_http_session *s;

    own.env = &fix_env;
    MUST(mu_transport_open(fix_client, &own, &s, NULL) == MU_OK);
    return s;
}

static void on_done(void *cookie, struct mu_http_response *response,
    const struct mu_http_facts *facts, const struct mu_err *err)
{
    MUST((response == NULL) != (err == NULL));
    MUST(facts != NULL);
    answered = true;
    if (response != NULL) {
        fix_response = *response;
        memset(response, 0, sizeof(*response));
    } else {
        fix_err = *err;
    }
    fix_facts = *facts;
    fix_facts.peer_chain = NULL;
    mu_buf_put_bytes(&fix_unique, facts->tls_unique);
    mu_buf_put_bytes(&fix_exporter, facts->tls_exporter);
    fix_chain_n = facts->peer_chain_n;
    if (facts->peer_chain_n > 0)
        mu_buf_put_bytes(&fix_leaf, facts->peer_chain[0]);
    mu_loop_stop(fix_loop);
}

enum mu_code fix_ask_request(struct mu_http_session *s, const struct mu_http_request *request)
{
    enum mu_code rc;

    mu_http_response_clear(&fix_response);
    mu_err_clear(&fix_err);
    mu_buf_reset(&fix_unique);
    mu_buf_reset(&fix_exporter);
    mu_buf_reset(&fix_leaf);
    answered = false;
    rc = mu_transport_send(s, request, on_done, NULL, &fix_err);
    if (rc != MU_OK)
        return rc;
    MUST(!answered); /* never before send returns */
    mu_loop_run(fix_loop);
    MUST(answered);
    return fix_err.code;
}

enum mu_code fix_ask(struct mu_http_session *s, const char *url, const char *body)
{
    struct mu_http_header type = {"Content-Type", "application/x-pki-message"};
    struct mu_http_request r = {.method = body != NULL ? "POST" : "GET", .target = url,
        .headers = &type, .header_n = body != NULL, .body = mu_bytes_str(body)};

    return fix_ask_request(s, &r);
}

const char *fix_header(const char *name)
{
    return mu_http_header_get(fix_response.headers, fix_response.header_n, name);
}

/* ---- server ---- */

uint16_t fix_serve_on(const char *address, mu_net_handler *handler, const struct mu_net_tls *tls)
{
    struct mu_net_server_config config = {.workers = 2, .env = &fix_env};
    struct mu_net_listener l = {.address = address, .tls = tls, .handler = handler};
    struct mu_net_server *s;
    struct mu_err err = {0};
    uint16_t port = 0;

    if (mu_net_server_new(&config, &s, &err) != MU_OK || mu_net_server_listen(s, &l, &port, &err) != MU_OK
        || mu_net_server_start(s, &err) != MU_OK) {
        fprintf(stderr, "%s\n", err.what);
        abort();
    }
    servers[server_n++] = s;
    return port;
}

uint16_t fix_serve(mu_net_handler *handler, const struct mu_net_tls *tls)
{
    return fix_serve_on("127.0.0.1", handler, tls);
}

struct octets {
    int fd;
    const char *text;
};

/* One connection after the other until the listening socket is shut down. */
static void *serve_octets(void *cookie)
{
    struct octets *o = cookie;
    int fd;

    while ((fd = accept(o->fd, NULL, NULL)) >= 0) {
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (o->text == NULL)
            while (n > 0)
                n = recv(fd, buf, sizeof(buf), 0);
        else if (n > 0)
            (void)!send(fd, o->text, strlen(o->text), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (n > 0)
            n = recv(fd, buf, sizeof(buf), 0);
        close(fd);
    }
    free(o);
    return NULL;
}

uint16_t fix_serve_octets(const char *text)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct octets *o = malloc(sizeof(*o));
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MUST(o != NULL && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 5) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    *o = (struct octets){fd, text};
    octet_fds[octet_n] = fd;
    MUST(pthread_create(&octet_threads[octet_n++], NULL, serve_octets, o) == 0);
    return ntohs(sa.sin_port);
}

void fix_reply(struct mu_net_reply *reply, int status, const char *body)
{
    struct mu_http_response r = {0};

    MUST(mu_http_response_set(&r, status, "text/plain", mu_bytes_str(body), NULL) == MU_OK);
    mu_net_reply_send(reply, &r);
}
