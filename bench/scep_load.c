/*
 * Load on a SCEP responder, made by our own client engine. Every request is signed before the
 * clock starts, since signing one costs as much as serving it; every answer is read by its engine
 * after the clock stopped, so that only certificates that a client would accept are counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/http_url.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_client.h"

enum { KEYS = 32, MAX_CLIENTS = 256, ANSWER_MAX = 64 * 1024 };

struct request {
    struct mu_scep_client *engine;
    char *wire; /* request line, headers, body */
    size_t wire_n;
    uint8_t *answer;
    size_t answer_n;
    double latency_ms;
};

struct client {
    int fd;
    struct request *r;
    size_t sent, got;
    double start_ms;
    uint8_t in[ANSWER_MAX];
};

static struct sockaddr_in server;
static struct mu_http_url url;

static void die(const char *what, const struct mu_err *err)
{
    fprintf(stderr, "scep_load: %s: %s\n", what, err != NULL ? err->what : strerror(errno));
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* User and system time of all threads of a process, in ms (10 ms steps). */
static double cpu_ms(long pid)
{
    char path[64], line[2048];
    unsigned long user = 0, sys = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        die(path, NULL);
    fclose(f);
    const char *p = strrchr(line, ')');
    if (p == NULL || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        die("stat", NULL);
    return (double)(user + sys) * 1e3 / (double)sysconf(_SC_CLK_TCK);
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

static int dial(bool block)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | (block ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0)
        die("socket", NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
        die("connect", NULL);
    return fd;
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

static bool http10; /* a peer that would answer in chunks */

static void wire_of(const struct mu_http_request *req, bool keep, struct request *out)
{
    const char *path = strstr(req->target, "://");
    path = path != NULL ? strchr(path + 3, '/') : req->target;
    struct mu_buf b;
    mu_buf_init(&b, 1 << 20);
    mu_buf_putf(&b, "%s %s HTTP/1.%d\r\nHost: %s:%u\r\n", req->method, path, http10 ? 0 : 1, url.host, url.port);
    for (size_t i = 0; i < req->header_n; i++)
        mu_buf_putf(&b, "%s: %s\r\n", req->headers[i].name, req->headers[i].value);
    if (req->body.n != 0)
        mu_buf_putf(&b, "Content-Length: %zu\r\n", req->body.n);
    mu_buf_putf(&b, "Connection: %s\r\n\r\n", keep ? "keep-alive" : "close");
    mu_buf_put_bytes(&b, req->body);
    out->wire = (char *)b.p;
    out->wire_n = b.n;
}

static void exchange(struct request *r)
{
    int fd = dial(true);
    uint8_t *in = malloc(ANSWER_MAX);
    size_t n = 0, at = 0;
    if (in == NULL || write(fd, r->wire, r->wire_n) != (ssize_t)r->wire_n)
        die("write", NULL);
    while (answer_end(in, n, &at) == 0) {
        ssize_t k = read(fd, in + n, ANSWER_MAX - n);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    close(fd);
    r->answer = in;
    r->answer_n = n;
}

/* Hands the stored answer to the engine. */
static enum mu_code feed(struct request *r, struct mu_step *next, struct mu_err *err)
{
    struct mu_http_response response = {0};
    size_t at = 0;
    char type[128] = "application/octet-stream";
    if (answer_end(r->answer, r->answer_n, &at) == 0 && !(http10 && at != 0))
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "no whole answer");
    const char *ct = memmem(r->answer, at, "Content-Type: ", 14);
    if (ct != NULL)
        sscanf(ct + 14, "%127[^\r]", type);
    int status = atoi((const char *)r->answer + 9);
    enum mu_code rc = mu_http_response_set(&response, status, type,
        mu_bytes(r->answer + at, r->answer_n - at), err);
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    if (rc == MU_OK)
        rc = mu_scep_client_step(r->engine, &event, next, err);
    mu_http_response_clear(&response);
    return rc;
}

static void ca_fetch(const struct mu_env *env, const char *base, bool legacy, struct mu_scep_client **engine)
{
    struct mu_err err = {0};
    struct mu_step step = {0};
    struct mu_scep_client_config config = {
        .env = env, .op = MU_SCEP_CLIENT_CA, .url = base, .entry = "load", .allow_legacy = legacy};
    if (mu_scep_client_new(&config, engine, &err) != MU_OK
        || mu_scep_client_start(*engine, &step, &err) != MU_OK)
        die("start", &err);
    while (step.want != MU_WANT_DONE) {
        if (step.want == MU_WANT_SEND) {
            struct request r = {.engine = *engine};
            wire_of(&step.request, false, &r);
            exchange(&r);
            if (feed(&r, &step, &err) != MU_OK)
                die("GetCACert", &err);
            free(r.wire);
            free(r.answer);
        } else {
            struct mu_event yes = {.type = step.want == MU_WANT_TRUST ? MU_EVENT_TRUST : MU_EVENT_SAVED, .yes = true};
            if (mu_scep_client_step(*engine, &yes, &step, &err) != MU_OK)
                die("GetCACert", &err);
        }
    }
}

static void prepare(const struct mu_env *env, const char *base, bool legacy, bool keep, unsigned seed,
    size_t i, struct mu_pki_key *key, const struct mu_secret *challenge,
    const struct mu_scep_client_result *ca, struct request *out)
{
    struct mu_err err = {0};
    struct mu_step step = {0};
    struct mu_buf name = {0}, csr = {0};
    char cn[64];
    snprintf(cn, sizeof cn, "/O=Load/CN=load-%u-%zu", seed, i);
    struct mu_pki_csr_params params = {.challenge = challenge, .digest = MU_PKI_SHA256};
    if (mu_pki_name_parse(cn, &name, &err) != MU_OK)
        die("name", &err);
    params.subject = mu_buf_bytes(&name);
    if (mu_pki_csr_make(&params, key, &csr, &err) != MU_OK)
        die("csr", &err);
    struct mu_scep_client_config config = {.env = env, .op = MU_SCEP_CLIENT_ENROLL, .url = base,
        .entry = "load", .csr = mu_buf_bytes(&csr), .key = key, .trusted = ca->ca_certs,
        .ca_certs = ca->ca_certs, .skip_caps = true,
        .known_caps = ca->caps | MU_SCEP_CAP_POST | MU_SCEP_CAP_AES | MU_SCEP_CAP_SHA256,
        .allow_legacy = legacy, .no_wait = true, .has_challenge = mu_secret_is_set(challenge)};
    if (mu_scep_client_new(&config, &out->engine, &err) != MU_OK
        || mu_scep_client_start(out->engine, &step, &err) != MU_OK)
        die("request", &err);
    if (step.want != MU_WANT_SEND)
        die("request", NULL);
    wire_of(&step.request, keep, out);
    mu_buf_clear(&name);
    mu_buf_clear(&csr);
}

static bool client_next(struct client *c, struct request *all, size_t n, size_t *at, bool keep)
{
    if (*at >= n)
        return false;
    c->r = &all[(*at)++];
    c->sent = c->got = 0;
    c->start_ms = now_ms();
    if (!keep || c->fd < 0)
        c->fd = dial(false);
    return true;
}

static void client_io(struct client *c, bool keep)
{
    while (c->sent < c->r->wire_n) {
        ssize_t k = write(c->fd, c->r->wire + c->sent, c->r->wire_n - c->sent);
        if (k < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (k <= 0)
            break;
        c->sent += (size_t)k;
    }
    ssize_t k = read(c->fd, c->in + c->got, sizeof c->in - c->got);
    if (k < 0 && errno == EAGAIN)
        return;
    if (k > 0)
        c->got += (size_t)k;
    size_t at = 0;
    if (answer_end(c->in, c->got, &at) == 0 && k > 0)
        return;
    c->r->latency_ms = now_ms() - c->start_ms;
    c->r->answer = malloc(c->got ? c->got : 1);
    if (c->r->answer == NULL)
        die("memory", NULL);
    memcpy(c->r->answer, c->in, c->got);
    c->r->answer_n = c->got;
    c->r = NULL;
    if (!keep || k <= 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void load(struct request *all, size_t n, unsigned clients, bool keep)
{
    static struct client pool[MAX_CLIENTS];
    struct pollfd fds[MAX_CLIENTS];
    size_t at = 0, live = 0;
    for (unsigned i = 0; i < clients; i++) {
        pool[i].fd = -1;
        pool[i].r = NULL;
        live += client_next(&pool[i], all, n, &at, keep);
    }
    while (live > 0) {
        for (unsigned i = 0; i < clients; i++)
            fds[i] = (struct pollfd){.fd = pool[i].r != NULL ? pool[i].fd : -1,
                .events = (short)(pool[i].r != NULL && pool[i].sent < pool[i].r->wire_n ? POLLOUT : POLLIN)};
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
}

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
        struct mu_step step = {0};
        struct mu_err err = {0};
        lat[i] = all[i].latency_ms;
        if (feed(&all[i], &step, &err) == MU_OK && step.want == MU_WANT_SAVE)
            issued++;
        else if (refused++ == 0)
            first = err;
    }
    qsort(lat, n, sizeof *lat, by_value);
    printf("{\"clients\":%u,\"requests\":%zu,\"issued\":%zu,\"refused\":%zu,\"wall_ms\":%.1f,"
           "\"per_s\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_ms\":%.1f,\"cpu_per_ms\":%.4f,"
           "\"rss_kb\":%ld,\"anon_kb\":%ld}\n",
        clients, n, issued, refused, wall, (double)issued * 1e3 / wall, lat[n / 2], lat[n * 99 / 100], cpu,
        issued ? cpu / (double)issued : 0, status_kb(pid, "VmRSS"), status_kb(pid, "RssAnon"));
    if (refused != 0)
        fprintf(stderr, "scep_load: %zu refused, the first: %s\n", refused, first.what);
    free(lat);
}

int main(int argc, char **argv)
{
    const char *base = NULL, *challenge_file = NULL;
    size_t n = 1000;
    unsigned clients = 1;
    long pid = getpid();
    bool keep = false, legacy = false;
    int o;
    while ((o = getopt(argc, argv, "u:n:c:p:C:kl0")) != -1) {
        switch (o) {
        case 'u': base = optarg; break;
        case 'n': n = strtoul(optarg, NULL, 10); break;
        case 'c': clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'p': pid = atol(optarg); break;
        case 'C': challenge_file = optarg; break;
        case 'k': keep = true; break;
        case 'l': legacy = true; break;
        case '0': http10 = true; break;
        default: return 64;
        }
    }
    if (base == NULL || n == 0 || clients == 0 || clients > MAX_CLIENTS) {
        fprintf(stderr, "usage: scep_load -u URL [-n requests] [-c clients] [-p pid of the responder] "
                        "[-C challenge file] [-k keep connections] [-l allow legacy] [-0 HTTP/1.0]\n");
        return 64;
    }
    struct mu_err err = {0};
    if (mu_http_url_parse(base, NULL, &url, &err) != MU_OK)
        die("url", &err);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(url.port)};
    if (inet_pton(AF_INET, url.host, &server.sin_addr) != 1)
        die("the URL needs an IPv4 address", NULL);
    struct mu_secret challenge = {0};
    if (challenge_file != NULL) {
        char line[256] = "";
        FILE *f = fopen(challenge_file, "r");
        if (f == NULL || fgets(line, sizeof line, f) == NULL)
            die(challenge_file, NULL);
        fclose(f);
        line[strcspn(line, "\r\n")] = 0;
        if (mu_secret_set(&challenge, mu_bytes_str(line), &err) != MU_OK)
            die("challenge", &err);
    }
    struct mu_env env = mu_env_system();
    struct mu_scep_client *ca_engine = NULL;
    struct mu_scep_client_result ca;
    ca_fetch(&env, base, legacy, &ca_engine);
    mu_scep_client_result(ca_engine, &ca);

    struct mu_pki_key *keys[KEYS];
    struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    for (size_t i = 0; i < KEYS; i++)
        if (mu_pki_key_generate(&spec, &keys[i], &err) != MU_OK)
            die("key", &err);
    struct request *all = calloc(n, sizeof *all);
    if (all == NULL)
        die("memory", NULL);
    unsigned seed = (unsigned)getpid();
    for (size_t i = 0; i < n; i++)
        prepare(&env, base, legacy, keep, seed, i, keys[i % KEYS], &challenge, &ca, &all[i]);

    double cpu0 = cpu_ms(pid), t0 = now_ms();
    load(all, n, clients, keep);
    double wall = now_ms() - t0, cpu = cpu_ms(pid) - cpu0;
    report(all, n, clients, wall, cpu, pid);
    for (size_t i = 0; i < n; i++) {
        mu_scep_client_free(all[i].engine);
        free(all[i].wire);
        free(all[i].answer);
    }
    free(all);
    for (size_t i = 0; i < KEYS; i++)
        mu_pki_key_free(keys[i]);
    mu_scep_client_free(ca_engine);
    mu_secret_clear(&challenge);
    return 0;
}
