/*
 * Load on an EST responder: simpleenroll with user and password over TLS 1.3, a new connection for
 * each enrollment or kept ones. Every CSR is signed before the clock starts, since signing one costs
 * as much as serving it; every answer is taken apart after the clock stopped, so that only
 * certificates for the key that asked are counted. The server's certificate is not verified here:
 * the load must not cost more than what it loads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "http/http_auth.h"
#include "http/http_url.h"
#include "pki/pki_cms.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "proto/est/est_body.h"

enum { KEYS = 32, MAX_CLIENTS = 256, ANSWER_MAX = 64 * 1024 };

struct request {
    const struct mu_pki_key *key;
    char *wire; /* request line, headers, body */
    size_t wire_n;
    uint8_t *answer;
    size_t answer_n;
    double latency_ms;
};

struct client {
    int fd; /* -1: none */
    SSL *ssl;
    struct request *r;
    size_t sent, got;
    double start_ms;
    short events; /* what TLS waits for */
    uint8_t in[ANSWER_MAX];
};

static struct sockaddr_in server;
static struct mu_http_url url;
static SSL_CTX *ctx;
static size_t handshakes;

static void die(const char *what, const struct mu_err *err)
{
    fprintf(stderr, "est_load: %s: %s\n", what, err != NULL ? err->what : strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* User and system time of all threads of a process, in ms: of the scheduler's account, which is
 * finer than the 10 ms steps of its stat. */
static double cpu_ms(long pid)
{
    struct timespec t;
    clockid_t clock;
    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        die("clock of the responder", NULL);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long status_kb(long pid, const char *field)
{
    char path[64], line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die(path, NULL);
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kb = atol(line + strlen(field) + 1);
    fclose(f);
    return kb;
}

/* ---- requests and answers ---- */

static void wire_of(struct mu_bytes body, const char *login, bool keep, struct request *out)
{
    struct mu_buf b;
    mu_buf_init(&b, 1 << 20);
    mu_buf_putf(&b, "POST %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/pkcs10\r\n", url.path, url.host, url.port);
    if (login[0] != '\0')
        mu_buf_putf(&b, "Authorization: %s\r\n", login);
    mu_buf_putf(&b, "Content-Length: %zu\r\nConnection: %s\r\n\r\n", body.n, keep ? "keep-alive" : "close");
    mu_buf_put_bytes(&b, body);
    out->wire = (char *)b.p;
    out->wire_n = b.n;
}

static void prepare(unsigned seed, size_t i, struct mu_pki_key *key, const char *login, bool keep, struct request *out)
{
    struct mu_err err = {0};
    struct mu_buf name = {0}, csr = {0}, body = {0};
    char cn[64];
    snprintf(cn, sizeof cn, "/O=Load/CN=load-%u-%zu", seed, i);
    if (mu_pki_name_parse(cn, &name, &err) != MU_OK)
        die("name", &err);
    struct mu_pki_csr_params params = {.subject = mu_buf_bytes(&name), .digest = MU_PKI_SHA256};
    if (mu_pki_csr_make(&params, key, &csr, &err) != MU_OK)
        die("csr", &err);
    mu_est_body_encode(&body, mu_buf_bytes(&csr), false);
    out->key = key;
    wire_of(mu_buf_bytes(&body), login, keep, out);
    mu_buf_clear(&name);
    mu_buf_clear(&csr);
    mu_buf_clear(&body);
}

/* Length of a whole answer once it is there, else 0. */
static size_t answer_end(const uint8_t *p, size_t n, size_t *body_at)
{
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    *body_at = (size_t)(end - p) + 4;
    for (const uint8_t *l = p; l < end; l++)
        if (strncasecmp((const char *)l, "\ncontent-length:", 16) == 0) {
            size_t want = *body_at + strtoul((const char *)l + 16, NULL, 10);
            return n >= want ? want : 0;
        }
    return 0;
}

/* Is a certificate for the request's key in the answer? */
static bool is_issued(const struct request *r, struct mu_err *err)
{
    struct mu_pki_certs certs = {0};
    struct mu_buf der = {0}, keep = {0};
    size_t at = 0;
    bool found = false;
    if (answer_end(r->answer, r->answer_n, &at) == 0) {
        mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "no whole answer");
    } else if (atoi((const char *)r->answer + 9) != 200) {
        mu_err_set(err, MU_DENIED, MU_REASON_NONE, "%d: %.*s", atoi((const char *)r->answer + 9),
            (int)(r->answer_n - at < 200 ? r->answer_n - at : 200), r->answer + at);
    } else if (mu_est_body_decode(mu_bytes(r->answer + at, r->answer_n - at), &der, err) == MU_OK
        && mu_pki_certs_only_decode(mu_buf_bytes(&der), &certs, NULL, &keep, err) == MU_OK) {
        for (size_t i = 0; i < certs.n; i++)
            found = found || mu_bytes_equal(certs.v[i]->spki, mu_pki_key_spki(r->key));
        if (!found)
            mu_err_set(err, MU_AUTH, MU_M(214), "no certificate for this key");
    }
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&der);
    mu_buf_clear(&keep);
    return found;
}

/* ---- clients ---- */

static int not_verified(X509_STORE_CTX *c, void *arg)
{
    return 1;
}

static void client_dial(struct client *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket", NULL);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
        die("connect", NULL);
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    handshakes++;
}

static void client_hang_up(struct client *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static bool client_next(struct client *c, struct request *all, size_t n, size_t *at, bool keep)
{
    if (*at >= n)
        return false;
    c->r = &all[(*at)++];
    c->sent = c->got = 0;
    c->start_ms = now_ms();
    c->events = POLLOUT;
    if (!keep || c->fd < 0)
        client_dial(c);
    return true;
}

/* True: wait for c->events. */
static bool client_waits(struct client *c, int n)
{
    int why = SSL_get_error(c->ssl, n);
    c->events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void client_io(struct client *c, bool keep)
{
    size_t at = 0;
    int k = 1;
    ERR_clear_error();
    while (c->sent < c->r->wire_n && k > 0) { /* the handshake is in the first of them */
        k = SSL_write(c->ssl, c->r->wire + c->sent, (int)(c->r->wire_n - c->sent));
        if (k <= 0 && client_waits(c, k))
            return;
        c->sent += k > 0 ? (size_t)k : 0;
    }
    while (k > 0 && answer_end(c->in, c->got, &at) == 0) {
        k = SSL_read(c->ssl, c->in + c->got, (int)(sizeof c->in - c->got));
        if (k <= 0 && client_waits(c, k))
            return;
        c->got += k > 0 ? (size_t)k : 0;
    }
    c->r->latency_ms = now_ms() - c->start_ms;
    c->r->answer = malloc(c->got ? c->got : 1);
    if (c->r->answer == NULL)
        die("memory", NULL);
    memcpy(c->r->answer, c->in, c->got);
    c->r->answer_n = c->got;
    c->r = NULL;
    if (!keep || k <= 0)
        client_hang_up(c);
}

static void load(struct request *all, size_t n, unsigned clients, bool keep)
{
    static struct client pool[MAX_CLIENTS];
    struct pollfd fds[MAX_CLIENTS];
    size_t at = 0, live = 0;
    for (unsigned i = 0; i < clients; i++) {
        pool[i].fd = -1;
        live += client_next(&pool[i], all, n, &at, keep);
    }
    while (live > 0) {
        for (unsigned i = 0; i < clients; i++)
            fds[i] = (struct pollfd){.fd = pool[i].r != NULL ? pool[i].fd : -1, .events = pool[i].events};
        if (poll(fds, clients, 30000) <= 0)
            die("the responder does not answer", NULL);
        for (unsigned i = 0; i < clients; i++) {
            if (fds[i].revents == 0)
                continue;
            client_io(&pool[i], keep);
            if (pool[i].r == NULL && !client_next(&pool[i], all, n, &at, keep))
                live--;
        }
    }
    for (unsigned i = 0; i < clients; i++)
        client_hang_up(&pool[i]);
}

/* ---- the figures ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One line of JSON: what a program that compares runs reads. */
static void report(struct request *all, size_t n, unsigned clients, double wall, double cpu, long pid)
{
    size_t issued = 0, refused = 0;
    struct mu_err first = {0};
    double *lat = calloc(n, sizeof *lat);
    if (lat == NULL)
        die("memory", NULL);
    for (size_t i = 0; i < n; i++) {
        struct mu_err err = {0};
        lat[i] = all[i].latency_ms;
        if (is_issued(&all[i], &err))
            issued++;
        else if (refused++ == 0)
            first = err;
    }
    qsort(lat, n, sizeof *lat, by_value);
    printf("{\"clients\":%u,\"requests\":%zu,\"handshakes\":%zu,\"issued\":%zu,\"refused\":%zu,\"wall_ms\":%.1f,"
           "\"per_s\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_ms\":%.1f,\"cpu_per_ms\":%.4f,"
           "\"rss_kb\":%ld,\"anon_kb\":%ld}\n",
        clients, n, handshakes, issued, refused, wall, (double)issued * 1e3 / wall, lat[n / 2], lat[n * 99 / 100], cpu,
        issued ? cpu / (double)issued : 0, status_kb(pid, "VmRSS"), status_kb(pid, "RssAnon"));
    if (refused != 0)
        fprintf(stderr, "est_load: %zu refused, the first: %s\n", refused, first.what);
    free(lat);
}

static void read_login(const char *user, const char *file, struct mu_buf *out)
{
    struct mu_http_auth auth = {.scheme = MU_HTTP_SCHEME_BASIC};
    FILE *f = fopen(file, "r");
    if (f == NULL || fgets(auth.password, sizeof auth.password, f) == NULL)
        die(file, NULL);
    fclose(f);
    auth.password[strcspn(auth.password, "\r\n")] = 0;
    snprintf(auth.user, sizeof auth.user, "%s", user);
    if (!mu_http_auth_format(&auth, out))
        die("user or password", NULL);
    mu_http_auth_clear(&auth);
}

static int usage(void)
{
    fprintf(stderr, "usage: est_load -u URL of simpleenroll [-n requests] [-c clients] [-p pid of the responder]\n"
                    "                [-U user -P password file] [-t ec|rsa] [-k keep connections]\n");
    return 64;
}

int main(int argc, char **argv)
{
    const char *base = NULL, *user = NULL, *password_file = NULL;
    size_t n = 1000;
    unsigned clients = 1;
    long pid = getpid();
    bool keep = false;
    struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    int o;
    while ((o = getopt(argc, argv, "u:n:c:p:U:P:t:k")) != -1) {
        switch (o) {
        case 'u': base = optarg; break;
        case 'n': n = strtoul(optarg, NULL, 10); break;
        case 'c': clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'p': pid = atol(optarg); break;
        case 'U': user = optarg; break;
        case 'P': password_file = optarg; break;
        case 't': if (strcmp(optarg, "rsa") == 0) spec = (struct mu_pki_key_spec){MU_PKI_KEY_RSA, 2048}; break;
        case 'k': keep = true; break;
        default: return usage();
        }
    }
    if (base == NULL || n == 0 || clients == 0 || clients > MAX_CLIENTS || (user != NULL) != (password_file != NULL))
        return usage();
    struct mu_err err = {0};
    if (mu_http_url_parse(base, NULL, &url, &err) != MU_OK)
        die("url", &err);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(url.port)};
    if (inet_pton(AF_INET, url.host, &server.sin_addr) != 1)
        die("the URL needs an IPv4 address", NULL);
    ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
        die("TLS", NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_verify_callback(ctx, not_verified, NULL); /* else it builds the chain all the same */
    struct mu_buf login;
    mu_buf_init_secret(&login, 2048);
    if (user != NULL)
        read_login(user, password_file, &login);

    struct mu_pki_key *keys[KEYS];
    for (size_t i = 0; i < KEYS; i++)
        if (mu_pki_key_generate(&spec, &keys[i], &err) != MU_OK)
            die("key", &err);
    struct request *all = calloc(n, sizeof *all);
    if (all == NULL)
        die("memory", NULL);
    for (size_t i = 0; i < n; i++)
        prepare((unsigned)getpid(), i, keys[i % KEYS], mu_buf_str(&login), keep, &all[i]);

    double cpu0 = cpu_ms(pid), t0 = now_ms();
    load(all, n, clients, keep);
    double wall = now_ms() - t0, cpu = cpu_ms(pid) - cpu0;
    report(all, n, clients, wall, cpu, pid);
    for (size_t i = 0; i < n; i++) {
        free(all[i].wire);
        free(all[i].answer);
    }
    free(all);
    for (size_t i = 0; i < KEYS; i++)
        mu_pki_key_free(keys[i]);
    SSL_CTX_free(ctx);
    mu_buf_clear(&login);
    return 0;
}
