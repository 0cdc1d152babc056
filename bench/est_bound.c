/*
 * Bounds for an EST enrollment at the responder, P-256 and RSA-2048 throughout (its TLS key, the
 * CA's key, the client's): the bare crypto operations that nobody can avoid, and what the plain
 * OpenSSL calls reach for the same work, without HTTP or store: from the CSR to a certs-only message
 * in process, and for a new connection the handshake before it, once through memory (SSL_accept, the
 * client's half not counted) and once as a bare server: accept, SSL_accept, a POST of 300 octets
 * read, an answer written, shutdown, close, over loopback, the clients in processes on other cores.
 * One line of JSON, CPU ms per enrollment; of the bare server user and system time of its process.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(x) ((x) ? (void)0 : must_fail(#x))

static void must_fail(const char *what)
{
    fprintf(stderr, "est_bound: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static EVP_PKEY *ca_key, *server_key, *client_key, *ephemeral;
static X509 *ca_cert, *server_cert;
static unsigned char *csr_der;
static int csr_n;
static SSL_CTX *server_ctx, *client_ctx;
static unsigned char data[1024], client_sig[512];
static size_t client_sig_n;

static EVP_PKEY *key_make(int rsa)
{
    EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    MUST(key != NULL);
    return key;
}

static X509 *cert_make(EVP_PKEY *key, X509_NAME *subject, EVP_PKEY *signer, X509_NAME *issuer)
{
    static const struct {
        int nid;
        const char *value;
    } exts[] = {{NID_basic_constraints, "CA:FALSE"}, {NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}};
    X509 *x = X509_new();
    MUST(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 4711));
    MUST(X509_set_subject_name(x, subject) && X509_set_issuer_name(x, issuer));
    MUST(X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    MUST(X509_set_pubkey(x, key));
    for (size_t i = 0; i < 3; i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, exts[i].nid, exts[i].value);
        MUST(e != NULL && X509_add_ext(x, e, -1));
        X509_EXTENSION_free(e);
    }
    MUST(X509_sign(x, signer, EVP_sha256()));
    return x;
}

static void sign_once(EVP_PKEY *key, unsigned char *out, size_t *n, int pss)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    *n = 512;
    MUST(EVP_DigestSignInit(c, &p, EVP_sha256(), NULL, key));
    if (pss)
        MUST(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) > 0);
    MUST(EVP_DigestSign(c, out, n, data, 130));
    EVP_MD_CTX_free(c);
}

static X509_NAME *name_make(const char *cn)
{
    X509_NAME *name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0));
    return name;
}

static void setup(int rsa)
{
    X509_NAME *ca = name_make("bound CA"), *host = name_make("localhost"), *client = name_make("client");
    X509_REQ *req = X509_REQ_new();
    ca_key = key_make(rsa);
    server_key = key_make(rsa);
    client_key = key_make(rsa);
    ephemeral = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    ca_cert = cert_make(ca_key, ca, ca_key, ca);
    server_cert = cert_make(server_key, host, ca_key, ca);
    MUST(X509_REQ_set_subject_name(req, client) && X509_REQ_set_pubkey(req, client_key));
    MUST(X509_REQ_sign(req, client_key, EVP_sha256()));
    csr_der = NULL;
    csr_n = i2d_X509_REQ(req, &csr_der);
    sign_once(client_key, client_sig, &client_sig_n, 0);
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    MUST(SSL_CTX_use_certificate(server_ctx, server_cert) && SSL_CTX_use_PrivateKey(server_ctx, server_key));
    X509_NAME_free(ca);
    X509_NAME_free(host);
    X509_NAME_free(client);
    X509_REQ_free(req);
}

static void clear(void)
{
    EVP_PKEY *const keys[] = {ca_key, server_key, client_key, ephemeral};
    for (size_t i = 0; i < 4; i++)
        EVP_PKEY_free(keys[i]);
    X509_free(ca_cert);
    X509_free(server_cert);
    OPENSSL_free(csr_der);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

/* ---- the bare operations ---- */

static void bare_kept(void)
{
    unsigned char sig[512];
    size_t n;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    MUST(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, client_key)
        && EVP_DigestVerify(c, client_sig, client_sig_n, data, 130) == 1);
    EVP_MD_CTX_free(c);
    sign_once(ca_key, sig, &n, 0);
}

static void bare_handshake(void)
{
    unsigned char sig[512], secret[64];
    size_t n = sizeof secret;
    EVP_PKEY *own = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(own, NULL);
    MUST(EVP_PKEY_derive_init(c) > 0 && EVP_PKEY_derive_set_peer(c, ephemeral) > 0
        && EVP_PKEY_derive(c, secret, &n) > 0);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(own);
    sign_once(server_key, sig, &n, EVP_PKEY_get_base_id(server_key) == EVP_PKEY_RSA);
}

/* ---- plain OpenSSL ---- */

static void plain_certify(void)
{
    const unsigned char *p = csr_der;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, csr_n);
    EVP_PKEY *key = X509_REQ_get_pubkey(req);
    PKCS7 *p7 = PKCS7_new();
    unsigned char *der = NULL;
    X509 *cert;
    MUST(req != NULL && key != NULL && X509_REQ_verify(req, key) == 1);
    cert = cert_make(key, X509_REQ_get_subject_name(req), ca_key, X509_get_subject_name(ca_cert));
    MUST(PKCS7_set_type(p7, NID_pkcs7_signed) && PKCS7_content_new(p7, NID_pkcs7_data) && PKCS7_set_detached(p7, 1)
        && PKCS7_add_certificate(p7, cert) && i2d_PKCS7(p7, &der) > 0);
    OPENSSL_free(der);
    PKCS7_free(p7);
    X509_free(cert);
    EVP_PKEY_free(key);
    X509_REQ_free(req);
}

/* A handshake, a request and its answer through memory. Returns what the server's side took. */
static double plain_connection(void)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    double took, begin;
    char buf[2048];
    int done = 0;
    SSL_set_bio(client, down, up);
    MUST(BIO_up_ref(up) && BIO_up_ref(down));
    begin = cpu_ms();
    SSL_set_bio(server, up, down);
    SSL_set_accept_state(server);
    took = cpu_ms() - begin;
    SSL_set_connect_state(client);
    while (!done) {
        done = SSL_do_handshake(client) == 1;
        if (done)
            MUST(SSL_write(client, data, sizeof data) == (int)sizeof data);
        begin = cpu_ms();
        SSL_do_handshake(server);
        took += cpu_ms() - begin;
    }
    begin = cpu_ms();
    MUST(SSL_read(server, buf, sizeof buf) == (int)sizeof data && SSL_write(server, data, sizeof data) > 0);
    SSL_free(server);
    took += cpu_ms() - begin;
    SSL_free(client);
    ERR_clear_error();
    return took;
}

/* ---- the bare server ---- */

enum { CLIENTS = 4, POST = 300, ANSWER = 1024 };

/* Where the server is not, so that its core is its own. */
static void use_other_cores(void)
{
    cpu_set_t ours, others;
    CPU_ZERO(&others);
    MUST(sched_getaffinity(0, sizeof ours, &ours) == 0);
    for (int i = 0; i < sysconf(_SC_NPROCESSORS_CONF) && i < CPU_SETSIZE; i++)
        if (!CPU_ISSET(i, &ours))
            CPU_SET(i, &others);
    if (CPU_COUNT(&others) > 0)
        sched_setaffinity(0, sizeof others, &others);
}

static void client_main(const struct sockaddr_in *to)
{
    char buf[2048] = "POST /.well-known/est/simpleenroll HTTP/1.1\r\n";
    use_other_cores();
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        SSL *ssl = SSL_new(client_ctx);
        if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
            _exit(0);
        SSL_set_fd(ssl, fd);
        if (SSL_connect(ssl) == 1 && SSL_write(ssl, buf, POST) == POST)
            while (SSL_read(ssl, buf, sizeof buf) > 0)
                ;
        SSL_free(ssl);
        close(fd);
    }
}

static void serve_one(int listener)
{
    char buf[2048] = {0};
    int fd = accept(listener, NULL, NULL), n;
    SSL *ssl = SSL_new(server_ctx);
    MUST(fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1);
    for (n = 0; n < POST;) {
        int got = SSL_read(ssl, buf + n, (int)sizeof buf - n);
        MUST(got > 0);
        n += got;
    }
    MUST(SSL_write(ssl, buf, ANSWER) == ANSWER);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static double bare_server(int n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t clients[CLIENTS];
    double took;
    MUST(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 64) == 0
        && getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fork();
        MUST(clients[i] >= 0);
        if (clients[i] == 0) {
            close(listener);
            client_main(&at);
        }
    }
    for (int i = 0; i < n / 10 + 1; i++)
        serve_one(listener);
    took = cpu_ms();
    for (int i = 0; i < n; i++)
        serve_one(listener);
    took = (cpu_ms() - took) / n;
    for (int i = 0; i < CLIENTS; i++) {
        kill(clients[i], SIGKILL);
        waitpid(clients[i], NULL, 0);
    }
    close(listener);
    return took;
}

static double measure(void (*f)(void), int n)
{
    for (int i = 0; i < n / 10 + 1; i++)
        f();
    double t = cpu_ms();
    for (int i = 0; i < n; i++)
        f();
    return (cpu_ms() - t) / n;
}

static void run(const char *name, int rsa, int n)
{
    double connection = 0, bare, certify, handshake, kept;
    setup(rsa);
    for (int i = 0; i < n / 10 + 1; i++)
        plain_connection();
    for (int i = 0; i < n; i++)
        connection += plain_connection();
    connection /= n;
    bare = bare_server(n);
    certify = measure(plain_certify, n);
    handshake = measure(bare_handshake, n);
    kept = measure(bare_kept, n);
    printf("\"%s\":{\"crypto_new_ms\":%.4f,\"crypto_kept_ms\":%.4f,\"plain_new_ms\":%.4f,\"plain_kept_ms\":%.4f,"
           "\"plain_handshake_ms\":%.4f,\"bare_new_ms\":%.4f,\"bare_connection_ms\":%.4f}",
        name, handshake + kept, kept, connection + certify, certify, connection, bare + certify, bare);
    clear();
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    signal(SIGPIPE, SIG_IGN);
    printf("{");
    run("p256", 0, n);
    printf(",");
    run("rsa2048", 1, n);
    printf(",\"openssl\":\"%s\"}\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    return 0;
}
