/*
 * Load on a CMP responder: ir (or cr, signed) and certConf, each enrollment two exchanges. First
 * messages are made before the clock starts; a certConf needs the answer and is made in between,
 * on the load's own core. Every answer's protection and certificate is checked after the clock
 * stopped, so that only what a client would accept is counted.
 */
#include <arpa/inet.h>
#include <errno.h>
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
#include "proto/cmp/cmp_msg.h"
#include "proto/cmp/cmp_protect.h"

enum { KEYS = 32, MAX_CLIENTS = 256, ANSWER_MAX = 64 * 1024 };

struct enrollment {
    size_t which; /* key, and certificate that signs */
    uint8_t transaction[16], nonce[16];
    struct mu_buf subject;
    char *wire;
    size_t wire_n;
    struct mu_buf answers[2];
    double latency_ms;
};

struct client {
    int fd;
    unsigned stage; /* 0 ir, 1 certConf */
    struct enrollment *e;
    size_t sent, got;
    double start_ms;
    uint8_t in[ANSWER_MAX];
};

static struct sockaddr_in server;
static struct mu_http_url url;
static const char *base;
static struct mu_env env;
static struct mu_pki_key *keys[KEYS];
static struct mu_pki_cert *certs[KEYS];
/* The salts are the same in all transactions, and derived with once; the responder cannot tell. */
static struct mu_cmp_mac_key mac, second_mac;
static struct mu_secret secret;
static const char *reference;
static bool by_signature, keep, fixed_cert, one_salt;

static void die(const char *what, const struct mu_err *err)
{
    fprintf(stderr, "cmp_load: %s: %s\n", what, err != NULL ? err->what : strerror(errno));
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

/* ---- messages ---- */

static void wire_of(struct enrollment *e, struct mu_bytes body)
{
    struct mu_buf b;
    const char *path = strstr(base, "://");
    path = path != NULL ? strchr(path + 3, '/') : base;
    mu_buf_init(&b, 1 << 20);
    mu_buf_putf(&b, "POST %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/pkixcmp\r\n"
                    "Content-Length: %zu\r\nConnection: %s\r\n\r\n",
        path, url.host, url.port, body.n, keep ? "keep-alive" : "close");
    mu_buf_put_bytes(&b, body);
    free(e->wire);
    e->wire = (char *)b.p;
    e->wire_n = b.n;
}

static void encode(struct enrollment *e, const struct mu_cmp_body *body, struct mu_bytes recip_nonce,
    bool signed_by_cert)
{
    struct mu_err err = {0};
    struct mu_buf out = {.max = 1 << 20};
    struct mu_pki_certs extra = {0};
    struct mu_cmp_protector how = {.mac = body->type == MU_CMP_CERT_CONF && !one_salt ? &second_mac : &mac,
        .reference = mu_bytes_str(reference)};
    if (mu_env_random(&env, e->nonce, sizeof e->nonce, &err) != MU_OK)
        die("random", &err);
    const struct mu_cmp_header header = {.pvno = 2, .transaction_id = mu_bytes(e->transaction, 16),
        .sender_nonce = mu_bytes(e->nonce, 16), .recip_nonce = recip_nonce};
    if (signed_by_cert) {
        how = (struct mu_cmp_protector){.key = keys[e->which], .cert = certs[e->which]};
        if (mu_pki_certs_add(&extra, certs[e->which], &err) != MU_OK)
            die("certificate", &err);
    }
    if (mu_cmp_protect_encode(&header, body, &how, &extra, &out, &err) != MU_OK)
        die("encode", &err);
    wire_of(e, mu_buf_bytes(&out));
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&out);
}

static void prepare(struct enrollment *e, const char *name, bool signed_by_cert)
{
    struct mu_err err = {0};
    struct mu_buf request = {.max = 1 << 16}, alg = {.max = 256}, signature = {.max = 1024};
    struct mu_pki_key *key = keys[e->which];
    enum mu_pki_digest digest = mu_pki_key_default_digest(key);
    struct mu_cmp_body body = {.type = signed_by_cert ? MU_CMP_CR : MU_CMP_IR};
    struct mu_cmp_cert_req *req = &body.u.req.req;
    if (mu_env_random(&env, e->transaction, 16, &err) != MU_OK
        || mu_pki_name_parse(name, &e->subject, &err) != MU_OK)
        die("name", &err);
    body.u.req.n = 1;
    req->tmpl.version = -1;
    req->tmpl.subject = signed_by_cert ? certs[e->which]->subject : mu_buf_bytes(&e->subject);
    req->tmpl.spki = mu_pki_key_spki(key);
    mu_cmp_crmf_request_encode(req, &request);
    mu_pki_key_sign_alg(key, digest, &alg);
    if (mu_pki_key_sign(key, digest, mu_buf_bytes(&request), &signature, &err) != MU_OK)
        die("proof of possession", &err);
    req->popo = MU_CMP_POPO_SIGNATURE;
    req->popo_alg = mu_buf_bytes(&alg);
    req->popo_signature = mu_buf_bytes(&signature);
    encode(e, &body, mu_bytes(NULL, 0), signed_by_cert);
    mu_buf_clear(&request);
    mu_buf_clear(&alg);
    mu_buf_clear(&signature);
}

static struct mu_bytes body_of(const struct mu_buf *answer)
{
    size_t at = 0;
    if (answer_end(answer->p, answer->n, &at) == 0)
        return mu_bytes(NULL, 0);
    return mu_bytes(answer->p + at, answer->n - at);
}

static enum mu_code decode(const struct mu_buf *answer, struct mu_cmp_msg *msg, struct mu_err *err)
{
    struct mu_bytes body = body_of(answer);
    struct mu_buf text = {.max = 2048};
    enum mu_code rc = MU_OK;
    memset(msg, 0, sizeof *msg);
    if (body.p == NULL)
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "no whole answer: %.60s",
            answer->n ? (const char *)answer->p : "nothing");
    if ((rc = mu_cmp_msg_decode(body, msg, err)) != MU_OK)
        return rc;
    if (msg->body.type == MU_CMP_ERROR)
        mu_cmp_text_format(msg->body.u.error.status.text, &text);
    else if ((msg->body.type == MU_CMP_IP || msg->body.type == MU_CMP_CP)
        && msg->body.u.rep.response.cert.p == NULL)
        mu_cmp_text_format(msg->body.u.rep.response.status.text, &text);
    if (text.n != 0)
        rc = mu_err_set(err, MU_DENIED, MU_REASON_NONE, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
    return rc;
}

/* False: there is nothing to confirm. */
static bool confirm(struct enrollment *e)
{
    struct mu_cmp_msg msg;
    struct mu_pki_cert *cert = NULL;
    uint8_t hash[64];
    bool ok = decode(&e->answers[0], &msg, NULL) == MU_OK && msg.body.u.rep.response.cert.p != NULL
        && mu_pki_cert_decode(msg.body.u.rep.response.cert, &cert, NULL) == MU_OK;
    if (ok) {
        struct mu_cmp_body body = {.type = MU_CMP_CERT_CONF};
        body.u.conf.n = 1;
        body.u.conf.status.cert_hash = mu_bytes(
            hash, mu_pki_digest(mu_pki_sig_digest(cert->sig_alg), cert->der, hash));
        encode(e, &body, msg.header.sender_nonce, by_signature);
    }
    mu_pki_cert_free(cert);
    mu_cmp_msg_clear(&msg);
    return ok;
}

/* ---- the load ---- */

static void send_next(struct client *c)
{
    c->sent = c->got = 0;
    if (c->fd < 0)
        c->fd = dial(false);
}

static bool client_next(struct client *c, struct enrollment *all, size_t n, size_t *at)
{
    if (*at >= n)
        return false;
    c->e = &all[(*at)++];
    c->stage = 0;
    c->start_ms = now_ms();
    send_next(c);
    return true;
}

static void client_io(struct client *c)
{
    while (c->sent < c->e->wire_n) {
        ssize_t k = write(c->fd, c->e->wire + c->sent, c->e->wire_n - c->sent);
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
    mu_buf_put(&c->e->answers[c->stage], c->in, c->got);
    if (!keep || k <= 0) {
        close(c->fd);
        c->fd = -1;
    }
    if (c->stage == 0 && confirm(c->e)) {
        c->stage = 1;
        send_next(c);
        return;
    }
    c->e->latency_ms = now_ms() - c->start_ms;
    c->e = NULL;
}

static void load(struct enrollment *all, size_t n, unsigned clients)
{
    static struct client pool[MAX_CLIENTS];
    struct pollfd fds[MAX_CLIENTS];
    size_t at = 0, live = 0;
    for (unsigned i = 0; i < clients; i++) {
        pool[i].fd = -1;
        pool[i].e = NULL;
        live += client_next(&pool[i], all, n, &at);
    }
    while (live > 0) {
        for (unsigned i = 0; i < clients; i++)
            fds[i] = (struct pollfd){.fd = pool[i].e != NULL ? pool[i].fd : -1,
                .events = (short)(pool[i].e != NULL && pool[i].sent < pool[i].e->wire_n ? POLLOUT : POLLIN)};
        if (poll(fds, clients, 30000) <= 0)
            die("the responder does not answer", NULL);
        for (unsigned i = 0; i < clients; i++) {
            if (fds[i].revents == 0)
                continue;
            client_io(&pool[i]);
            if (pool[i].e == NULL && !client_next(&pool[i], all, n, &at))
                live--;
        }
    }
    for (unsigned i = 0; i < clients; i++)
        if (pool[i].fd >= 0)
            close(pool[i].fd);
}

/* ---- what came of it ---- */

static enum mu_code protection(const struct mu_cmp_msg *msg, struct mu_err *err)
{
    static struct mu_cmp_mac_key theirs;
    struct mu_pki_cert *signer;
    if (mu_cmp_protect_kind(msg) == MU_CMP_BY_MAC)
        return mu_cmp_protect_verify_mac(msg, &secret, true, &theirs, err);
    signer = mu_cmp_protect_signer(msg, NULL);
    if (signer == NULL)
        return mu_err_set(err, MU_AUTH, MU_REASON_NONE, "the answer's signer is not in it");
    return mu_cmp_protect_verify_signature(msg, signer, NULL, err);
}

static enum mu_code check(struct enrollment *e, struct mu_pki_cert **out, struct mu_err *err)
{
    struct mu_cmp_msg first, second;
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc = decode(&e->answers[0], &first, err);
    memset(&second, 0, sizeof second);
    if (rc == MU_OK)
        rc = protection(&first, err);
    if (rc == MU_OK)
        rc = mu_pki_cert_decode(first.body.u.rep.response.cert, &cert, err);
    if (rc == MU_OK && !fixed_cert && !mu_bytes_equal(cert->spki, mu_pki_key_spki(keys[e->which])))
        rc = mu_err_set(err, MU_AUTH, MU_REASON_NONE, "the certificate is for another key");
    if (rc == MU_OK && (rc = decode(&e->answers[1], &second, err)) == MU_OK)
        rc = protection(&second, err);
    if (rc == MU_OK && second.body.type != MU_CMP_PKICONF)
        rc = mu_err_set(err, MU_DENIED, MU_REASON_NONE, "%s instead of pkiConf",
            mu_cmp_type_name(second.body.type));
    if (rc == MU_OK && out != NULL) {
        *out = cert;
        cert = NULL;
    }
    mu_pki_cert_free(cert);
    mu_cmp_msg_clear(&first);
    mu_cmp_msg_clear(&second);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct enrollment *all, size_t n, unsigned clients, double wall, double cpu, long pid)
{
    size_t issued = 0, refused = 0;
    struct mu_err first = {0};
    double *lat = calloc(n, sizeof *lat);
    if (lat == NULL)
        die("memory", NULL);
    for (size_t i = 0; i < n; i++) {
        struct mu_err err = {0};
        lat[i] = all[i].latency_ms;
        if (check(&all[i], NULL, &err) == MU_OK)
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
        fprintf(stderr, "cmp_load: %zu refused, the first: %s\n", refused, first.what);
    free(lat);
}

static void forget(struct enrollment *e)
{
    free(e->wire);
    mu_buf_clear(&e->subject);
    mu_buf_clear(&e->answers[0]);
    mu_buf_clear(&e->answers[1]);
    memset(e, 0, sizeof *e);
}

/* A certificate for each key, to sign with: enrolled by MAC, or out of a file for all. */
static void identities(const char *cert_file, unsigned seed)
{
    struct mu_err err = {0};
    for (size_t i = 0; i < KEYS; i++) {
        struct enrollment e = {.which = i};
        char name[64];
        if (cert_file != NULL && i > 0) {
            certs[i] = mu_pki_cert_ref(certs[0]);
            continue;
        }
        if (cert_file != NULL) {
            struct mu_pki_certs list = {0};
            struct mu_buf text = {.max = 1 << 16};
            char block[4096];
            FILE *f = fopen(cert_file, "r");
            size_t k;
            if (f == NULL)
                die(cert_file, NULL);
            while ((k = fread(block, 1, sizeof block, f)) > 0)
                mu_buf_put(&text, block, k);
            fclose(f);
            if (mu_pki_certs_decode(mu_buf_bytes(&text), &list, &err) != MU_OK)
                die(cert_file, &err);
            certs[0] = mu_pki_cert_ref(list.v[0]);
            continue;
        }
        snprintf(name, sizeof name, "/O=Load/CN=signer-%u-%zu", seed, i);
        bool signs = by_signature;
        by_signature = false;
        prepare(&e, name, false);
        load(&e, 1, 1);
        by_signature = signs;
        if (check(&e, &certs[i], &err) != MU_OK)
            die("a certificate to sign with", &err);
        forget(&e);
    }
}

static void read_key(const char *file)
{
    struct mu_err err = {0};
    char text[8192];
    FILE *f = fopen(file, "r");
    if (f == NULL)
        die(file, NULL);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (mu_pki_key_decode(mu_bytes(text, n), NULL, &keys[0], &err) != MU_OK)
        die(file, &err);
    for (size_t i = 1; i < KEYS; i++)
        keys[i] = mu_pki_key_ref(keys[0]);
}

int main(int argc, char **argv)
{
    const char *secret_text = NULL, *cert_file = NULL, *key_file = NULL, *key_word = "ec:P-256";
    size_t n = 1000;
    unsigned clients = 1, iterations = 500, seed = (unsigned)getpid();
    long pid = getpid();
    int o;
    while ((o = getopt(argc, argv, "u:n:c:p:r:S:K:i:ksC:Q:Fo")) != -1) {
        switch (o) {
        case 'u': base = optarg; break;
        case 'n': n = strtoul(optarg, NULL, 10); break;
        case 'c': clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'p': pid = atol(optarg); break;
        case 'r': reference = optarg; break;
        case 'S': secret_text = optarg; break;
        case 'K': key_word = optarg; break;
        case 'i': iterations = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'k': keep = true; break;
        case 's': by_signature = true; break;
        case 'C': cert_file = optarg; break;
        case 'Q': key_file = optarg; break;
        case 'F': fixed_cert = true; break;
        case 'o': one_salt = true; break;
        default: return 64;
        }
    }
    if (base == NULL || n == 0 || clients == 0 || clients > MAX_CLIENTS || reference == NULL || secret_text == NULL) {
        fprintf(stderr, "usage: cmp_load -u URL -r reference -S file of the secret [-n enrollments] [-c clients]\n"
                        "  [-p pid of the responder] [-K key] [-i iterations] [-k keep connections]\n"
                        "  [-s sign: with certificates enrolled first, or -C certificate -Q its key]\n"
                        "  [-F the responder has one certificate for all]\n"
                        "  [-o one salt for a transaction, as muster does; without: one for each message, as openssl cmp]\n");
        return 64;
    }
    struct mu_err err = {0};
    env = mu_env_system();
    if (mu_http_url_parse(base, NULL, &url, &err) != MU_OK)
        die("url", &err);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(url.port)};
    if (inet_pton(AF_INET, url.host, &server.sin_addr) != 1)
        die("the URL needs an IPv4 address", NULL);
    char line[256] = "";
    FILE *f = fopen(secret_text, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        die(secret_text, NULL);
    fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    struct mu_pki_mac params;
    if (mu_secret_set(&secret, mu_bytes_str(line), &err) != MU_OK
        || mu_pki_mac_init(&params, MU_PKI_MAC_PBM, iterations, &env, &err) != MU_OK)
        die("secret", &err);
    params.hash = MU_PKI_SHA1; /* as openssl cmp 3.0 does it */
    if (mu_cmp_protect_mac_derive(&mac, &params, &secret, &err) != MU_OK)
        die("secret", &err);
    params.salt[0] ^= 1;
    if (mu_cmp_protect_mac_derive(&second_mac, &params, &secret, &err) != MU_OK)
        die("secret", &err);
    struct mu_pki_key_spec spec;
    if (key_file != NULL)
        read_key(key_file);
    else if (mu_pki_key_spec_parse(key_word, false, &spec, &err) != MU_OK)
        die("key", &err);
    for (size_t i = 0; i < KEYS && key_file == NULL; i++)
        if (mu_pki_key_generate(&spec, &keys[i], &err) != MU_OK)
            die("key", &err);
    if (by_signature)
        identities(cert_file, seed);
    struct enrollment *all = calloc(n, sizeof *all);
    if (all == NULL)
        die("memory", NULL);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "/O=Load/CN=load-%u-%zu", seed, i);
        all[i].which = i % KEYS;
        prepare(&all[i], name, by_signature);
    }
    double cpu0 = cpu_ms(pid), t0 = now_ms();
    load(all, n, clients);
    double wall = now_ms() - t0, cpu = cpu_ms(pid) - cpu0;
    report(all, n, clients, wall, cpu, pid);
    return 0;
}
