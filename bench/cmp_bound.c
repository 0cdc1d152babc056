/*
 * Two bounds for a CMP enrollment on one core (ir, ip, certConf, pkiConf): the bare crypto that
 * nobody can avoid, and what OpenSSL's own CMP server reaches for the same work in process, without
 * network or store, a context for each transaction as several entries need it. P-256 and RSA-2048,
 * by MAC (SHA-256, 500 iterations, HMAC-SHA1: openssl cmp 3.0 as it comes) and by signature. One
 * line of JSON, CPU ms per enrollment.
 */
#include <openssl/cmp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(x) ((x) ? (void)0 : must_fail(#x))
enum { ITERATIONS = 500 };

static void must_fail(const char *what)
{
    fprintf(stderr, "cmp_bound: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static EVP_PKEY *ca_key, *client_key;
static X509 *ca_cert, *client_cert;
static unsigned char data[1024], client_sig[512], out_sig[512];
static size_t client_sig_n;

/* ---- bare crypto ---- */

static void sign_once(EVP_PKEY *key, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    *n = 512;
    MUST(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) && EVP_DigestSign(c, out, n, data, sizeof data));
    EVP_MD_CTX_free(c);
}

static void verify_once(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    MUST(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, client_key)
        && EVP_DigestVerify(c, client_sig, client_sig_n, data, sizeof data) == 1);
    EVP_MD_CTX_free(c);
}

static void derive_once(void)
{
    unsigned char h[32];
    unsigned n = 32;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    MUST(EVP_DigestInit_ex(c, EVP_sha256(), NULL) && EVP_DigestUpdate(c, data, 25) && EVP_DigestFinal_ex(c, h, &n));
    for (int i = 1; i < ITERATIONS; i++)
        MUST(EVP_DigestInit_ex(c, NULL, NULL) && EVP_DigestUpdate(c, h, n) && EVP_DigestFinal_ex(c, h, &n));
    EVP_MD_CTX_free(c);
}

/* The client takes a new salt for each of its two messages; the answers may use the same. */
static void bare_mac(void)
{
    size_t n;
    derive_once();
    verify_once(); /* possession */
    sign_once(ca_key, out_sig, &n); /* certificate */
    derive_once();
}

/* Both messages with one salt, as muster sends them. */
static void bare_one_salt(void)
{
    size_t n;
    derive_once();
    verify_once();
    sign_once(ca_key, out_sig, &n);
}

static void bare_signature(void)
{
    size_t n;
    verify_once(); /* request, possession, confirmation */
    verify_once();
    verify_once();
    for (int i = 0; i < 3; i++) /* certificate, two answers */
        sign_once(ca_key, out_sig, &n);
}

/* ---- OpenSSL's server in process ---- */

static X509 *cert_make(EVP_PKEY *key, const char *cn, EVP_PKEY *signer, X509_NAME *issuer)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0));
    MUST(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 4711));
    MUST(X509_set_subject_name(x, name) && X509_set_issuer_name(x, issuer != NULL ? issuer : name));
    MUST(X509_gmtime_adj(X509_getm_notBefore(x), -60) && X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    MUST(X509_set_pubkey(x, key));
    static const struct { int nid; const char *value; } exts[] = {{NID_basic_constraints, "CA:FALSE"},
        {NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}};
    static const char *const ca_exts[] = {"critical,CA:TRUE", "digitalSignature,keyCertSign"};
    for (size_t i = 0; i < (issuer != NULL ? 3u : 2u); i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, exts[i].nid, issuer != NULL ? exts[i].value : ca_exts[i]);
        MUST(e != NULL && X509_add_ext(x, e, -1));
        X509_EXTENSION_free(e);
    }
    MUST(X509_sign(x, signer, EVP_sha256()));
    X509_NAME_free(name);
    return x;
}

static bool signed_messages;
static double server_ms;
static OSSL_CMP_SRV_CTX *srv;

static OSSL_CMP_PKISI *on_request(OSSL_CMP_SRV_CTX *ctx, const OSSL_CMP_MSG *req, int id, const OSSL_CRMF_MSG *crm,
    const X509_REQ *p10, X509 **out, STACK_OF(X509) **chain, STACK_OF(X509) **pubs)
{
    (void)ctx, (void)req, (void)id, (void)crm, (void)p10, (void)chain, (void)pubs;
    *out = cert_make(client_key, "issued", ca_key, X509_get_subject_name(ca_cert));
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

static int on_conf(OSSL_CMP_SRV_CTX *ctx, const OSSL_CMP_MSG *req, int id, const ASN1_OCTET_STRING *hash, const OSSL_CMP_PKISI *si)
{
    (void)ctx, (void)req, (void)id, (void)hash, (void)si;
    return 1;
}

static OSSL_CMP_SRV_CTX *server_new(void)
{
    OSSL_CMP_SRV_CTX *s = OSSL_CMP_SRV_CTX_new(NULL, NULL);
    OSSL_CMP_CTX *c = OSSL_CMP_SRV_CTX_get0_cmp_ctx(s);
    MUST(OSSL_CMP_SRV_CTX_init(s, NULL, on_request, NULL, NULL, NULL, on_conf, NULL));
    MUST(OSSL_CMP_CTX_set_log_verbosity(c, OSSL_CMP_LOG_ERR));
    if (signed_messages) {
        X509_STORE *trusted = X509_STORE_new();
        MUST(X509_STORE_add_cert(trusted, ca_cert) && OSSL_CMP_CTX_set0_trustedStore(c, trusted));
        MUST(OSSL_CMP_CTX_set1_cert(c, ca_cert) && OSSL_CMP_CTX_set1_pkey(c, ca_key));
    } else {
        MUST(OSSL_CMP_CTX_set1_secretValue(c, (const unsigned char *)"fortinet1", 9)
            && OSSL_CMP_CTX_set1_referenceValue(c, (const unsigned char *)"load", 4));
    }
    return s;
}

static OSSL_CMP_MSG *decode(const unsigned char *der, long n)
{
    OSSL_CMP_MSG *msg = NULL;
    BIO *in = BIO_new_mem_buf(der, (int)n);
    MUST((msg = d2i_OSSL_CMP_MSG_bio(in, NULL)) != NULL);
    BIO_free(in);
    return msg;
}

static BIO *encode(const OSSL_CMP_MSG *msg)
{
    BIO *out = BIO_new(BIO_s_mem());
    MUST(i2d_OSSL_CMP_MSG_bio(out, msg));
    return out;
}

/* Only what a server does is on the clock: decode, process, encode. */
static OSSL_CMP_MSG *transfer(OSSL_CMP_CTX *ctx, const OSSL_CMP_MSG *req)
{
    char *der;
    (void)ctx;
    BIO *wire = encode(req);
    long n = BIO_get_mem_data(wire, &der);
    double t = cpu_ms();
    if (srv == NULL)
        srv = server_new();
    OSSL_CMP_MSG *in = decode((unsigned char *)der, n);
    OSSL_CMP_MSG *answer = OSSL_CMP_SRV_process_request(srv, in);
    MUST(answer != NULL);
    BIO *back = encode(answer);
    OSSL_CMP_MSG_free(in);
    OSSL_CMP_MSG_free(answer);
    server_ms += cpu_ms() - t;
    n = BIO_get_mem_data(back, &der);
    answer = decode((unsigned char *)der, n);
    BIO_free(wire);
    BIO_free(back);
    return answer;
}

static void enroll_once(void)
{
    OSSL_CMP_CTX *c = OSSL_CMP_CTX_new(NULL, NULL);
    X509_STORE *trusted = X509_STORE_new();
    MUST(OSSL_CMP_CTX_set_log_verbosity(c, OSSL_CMP_LOG_ERR) && OSSL_CMP_CTX_set_transfer_cb(c, transfer));
    MUST(X509_STORE_add_cert(trusted, ca_cert) && OSSL_CMP_CTX_set0_trustedStore(c, trusted));
    MUST(OSSL_CMP_CTX_set1_recipient(c, X509_get_subject_name(ca_cert))
        && OSSL_CMP_CTX_set1_subjectName(c, X509_get_subject_name(client_cert)));
    EVP_PKEY_up_ref(client_key);
    MUST(OSSL_CMP_CTX_set0_newPkey(c, 1, client_key));
    if (signed_messages)
        MUST(OSSL_CMP_CTX_set1_cert(c, client_cert) && OSSL_CMP_CTX_set1_pkey(c, client_key));
    else
        MUST(OSSL_CMP_CTX_set1_secretValue(c, (const unsigned char *)"fortinet1", 9)
            && OSSL_CMP_CTX_set1_referenceValue(c, (const unsigned char *)"load", 4));
    MUST(OSSL_CMP_exec_certreq(c, OSSL_CMP_IR, NULL) != NULL);
    double t = cpu_ms();
    OSSL_CMP_SRV_CTX_free(srv);
    server_ms += cpu_ms() - t;
    srv = NULL;
    OSSL_CMP_CTX_free(c);
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

static double measure_openssl(int n)
{
    for (int i = 0; i < n / 10 + 1; i++)
        enroll_once();
    server_ms = 0;
    for (int i = 0; i < n; i++)
        enroll_once();
    return server_ms / n;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"p256", "rsa2048"};
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    printf("{\"openssl\":\"%s\"", OpenSSL_version(OPENSSL_VERSION_STRING));
    for (int k = 0; k < 2; k++) {
        ca_key = k ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        client_key = k ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        MUST(ca_key != NULL && client_key != NULL);
        ca_cert = cert_make(ca_key, "bound CA", ca_key, NULL);
        client_cert = cert_make(client_key, "client", ca_key, X509_get_subject_name(ca_cert));
        sign_once(client_key, client_sig, &client_sig_n);
        for (int s = 0; s < 2; s++) {
            signed_messages = s;
            printf(",\"%s_%s\":{\"crypto_bound_ms\":%.4f", names[k], s ? "signature" : "mac",
                measure(s ? bare_signature : bare_mac, n));
            if (!s)
                printf(",\"one_salt_ms\":%.4f", measure(bare_one_salt, n));
            printf(",\"plain_openssl_ms\":%.4f}", measure_openssl(n / 4 + 1));
        }
        EVP_PKEY_free(ca_key);
        EVP_PKEY_free(client_key);
        X509_free(ca_cert);
        X509_free(client_cert);
    }
    printf("}\n");
    return 0;
}
