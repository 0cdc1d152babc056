/*
 * Two bounds for a SCEP enrollment on one core, RSA-2048 throughout: the bare crypto operations
 * that nobody can avoid (three private, three public), and what the plain OpenSSL calls reach for
 * the same work in process, without network or store. One line of JSON, CPU ms per enrollment.
 */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(x) ((x) ? (void)0 : must_fail(#x))

static void must_fail(const char *what)
{
    fprintf(stderr, "bound: %s\n", what);
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
static unsigned char *request_der; /* PKIOperation body as a client sends it */
static long request_n;

static X509 *cert_make(EVP_PKEY *key, const char *cn, EVP_PKEY *signer, X509_NAME *issuer)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0));
    MUST(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 4711));
    MUST(X509_set_subject_name(x, name) && X509_set_issuer_name(x, issuer != NULL ? issuer : name));
    MUST(X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    MUST(X509_set_pubkey(x, key));
    static const struct { int nid; const char *value; } exts[] = {{NID_basic_constraints, "CA:FALSE"},
        {NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}};
    for (size_t i = 0; i < 3; i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, exts[i].nid, exts[i].value);
        MUST(e != NULL && X509_add_ext(x, e, -1));
        X509_EXTENSION_free(e);
    }
    MUST(X509_sign(x, signer, EVP_sha256()));
    X509_NAME_free(name);
    return x;
}

static unsigned char *cms_der(CMS_ContentInfo *cms, long *n)
{
    unsigned char *der = NULL;
    *n = i2d_CMS_ContentInfo(cms, &der);
    MUST(*n > 0);
    return der;
}

static unsigned char *signed_make(const unsigned char *content, long n, X509 *cert, EVP_PKEY *key, long *out_n)
{
    static const struct { const char *oid, *value; } attrs[] = {{"2.16.840.1.113733.1.9.7", "2B9E443E5E0A9BA816785A1915AA2E99"},
        {"2.16.840.1.113733.1.9.2", "19"}, {"2.16.840.1.113733.1.9.5", "0123456789abcdef"}};
    BIO *in = BIO_new_mem_buf(content, (int)n);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
    CMS_SignerInfo *si = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_NOSMIMECAP);
    MUST(cms != NULL && si != NULL);
    for (size_t i = 0; i < 3; i++)
        MUST(CMS_signed_add1_attr_by_txt(si, attrs[i].oid, V_ASN1_PRINTABLESTRING, attrs[i].value, (int)strlen(attrs[i].value)));
    MUST(CMS_final(cms, in, NULL, CMS_BINARY));
    unsigned char *der = cms_der(cms, out_n);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    return der;
}

static unsigned char *enveloped_make(const unsigned char *content, long n, X509 *to, long *out_n)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    BIO *in = BIO_new_mem_buf(content, (int)n);
    MUST(sk_X509_push(list, to));
    CMS_ContentInfo *cms = CMS_encrypt(list, in, EVP_aes_128_cbc(), CMS_BINARY);
    MUST(cms != NULL);
    unsigned char *der = cms_der(cms, out_n);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    sk_X509_free(list);
    return der;
}

static void setup(void)
{
    unsigned char *csr_der = NULL, *env_der;
    long env_n;
    ca_key = EVP_RSA_gen(2048);
    client_key = EVP_RSA_gen(2048);
    MUST(ca_key != NULL && client_key != NULL);
    ca_cert = cert_make(ca_key, "bound CA", ca_key, NULL);
    client_cert = cert_make(client_key, "client", client_key, NULL);
    X509_REQ *req = X509_REQ_new();
    MUST(X509_REQ_set_subject_name(req, X509_get_subject_name(client_cert)) && X509_REQ_set_pubkey(req, client_key));
    MUST(X509_REQ_sign(req, client_key, EVP_sha256()));
    int csr_n = i2d_X509_REQ(req, &csr_der);
    env_der = enveloped_make(csr_der, csr_n, ca_cert, &env_n);
    request_der = signed_make(env_der, env_n, client_cert, client_key, &request_n);
    OPENSSL_free(csr_der);
    OPENSSL_free(env_der);
    X509_REQ_free(req);
}

static unsigned char sig[512], enc[512], plain[512], data[2048];
static size_t enc_n, sig_n, csig_n;
static unsigned char csig[512];

static void sign_once(EVP_PKEY *key, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    *n = 512;
    MUST(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) && EVP_DigestSign(c, out, n, data, sizeof data));
    EVP_MD_CTX_free(c);
}

static void bare_setup(void)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(ca_key, NULL);
    enc_n = sizeof enc;
    MUST(EVP_PKEY_encrypt_init(c) > 0 && EVP_PKEY_encrypt(c, enc, &enc_n, data, 16) > 0);
    EVP_PKEY_CTX_free(c);
    sign_once(client_key, csig, &csig_n);
}

static void bare(void)
{
    for (int i = 0; i < 2; i++) { /* message and CSR, by the client's key */
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        MUST(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, client_key)
            && EVP_DigestVerify(c, csig, csig_n, data, sizeof data) == 1);
        EVP_MD_CTX_free(c);
    }
    size_t n = sizeof plain;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(ca_key, NULL);
    MUST(EVP_PKEY_decrypt_init(c) > 0 && EVP_PKEY_decrypt(c, plain, &n, enc, enc_n) > 0);
    EVP_PKEY_CTX_free(c);
    sign_once(ca_key, sig, &sig_n); /* certificate */
    n = sizeof plain;
    c = EVP_PKEY_CTX_new(client_key, NULL);
    MUST(EVP_PKEY_encrypt_init(c) > 0 && EVP_PKEY_encrypt(c, plain, &n, data, 16) > 0);
    EVP_PKEY_CTX_free(c);
    sign_once(ca_key, sig, &sig_n); /* CertRep */
}

static void plain_openssl(void)
{
    const unsigned char *p = request_der;
    CMS_ContentInfo *outer = d2i_CMS_ContentInfo(NULL, &p, request_n);
    BIO *env = BIO_new(BIO_s_mem()), *csr_bio = BIO_new(BIO_s_mem());
    MUST(outer != NULL && CMS_verify(outer, NULL, NULL, NULL, env, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY));
    STACK_OF(X509) *signers = CMS_get0_signers(outer);
    X509 *signer = sk_X509_value(signers, 0);
    CMS_ContentInfo *inner = d2i_CMS_bio(env, NULL);
    MUST(inner != NULL && CMS_decrypt(inner, ca_key, ca_cert, NULL, csr_bio, CMS_BINARY));
    X509_REQ *req = d2i_X509_REQ_bio(csr_bio, NULL);
    MUST(req != NULL && X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
    X509 *cert = cert_make(X509_REQ_get0_pubkey(req), "issued", ca_key, X509_get_subject_name(ca_cert));
    STACK_OF(X509) *list = sk_X509_new_null();
    MUST(sk_X509_push(list, cert));
    CMS_ContentInfo *only = CMS_sign(NULL, NULL, list, NULL, CMS_PARTIAL);
    long only_n, env_n, out_n;
    unsigned char *only_der = cms_der(only, &only_n);
    unsigned char *env_der = enveloped_make(only_der, only_n, signer, &env_n);
    unsigned char *out = signed_make(env_der, env_n, ca_cert, ca_key, &out_n);
    OPENSSL_free(only_der);
    OPENSSL_free(env_der);
    OPENSSL_free(out);
    CMS_ContentInfo_free(only);
    sk_X509_free(list);
    X509_free(cert);
    X509_REQ_free(req);
    CMS_ContentInfo_free(inner);
    sk_X509_free(signers);
    CMS_ContentInfo_free(outer);
    BIO_free(env);
    BIO_free(csr_bio);
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

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    setup();
    bare_setup();
    double b = measure(bare, n), p = measure(plain_openssl, n);
    printf("{\"crypto_bound_ms\":%.4f,\"plain_openssl_ms\":%.4f,\"openssl\":\"%s\"}\n", b, p, OpenSSL_version(OPENSSL_VERSION_STRING));
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(client_key);
    X509_free(ca_cert);
    X509_free(client_cert);
    OPENSSL_free(request_der);
    return 0;
}
