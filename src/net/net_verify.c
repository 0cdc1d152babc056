/*
 * TLS of the client: our key and chain, the anchors, our clock, and the judgment of the server's
 * certificate with the sentence a person reads when it fails. OpenSSL builds and checks the path;
 * the name is checked here, because it may be another than the URL's.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/time.h"
#include "net/net_session.h"
#include "pki/pki_name.h"

/* "CN=x,O=y", escaped and cut. Returns buf. */
static const char *der_text(struct mu_bytes der, char *buf, size_t size)
{
    struct mu_buf text = {0};

    if (mu_pki_name_format(der, MU_PKI_NAME_COMMA, &text))
        mu_text_escape_to(buf, size, mu_buf_bytes(&text));
    else
        snprintf(buf, size, "?");
    mu_buf_clear(&text);
    return buf;
}

static const char *name_text(const X509_NAME *name, char *buf, size_t size)
{
    const unsigned char *der = NULL;
    size_t n = 0;

    X509_NAME_get0_der(name, &der, &n);
    return der_text(mu_bytes(der, n), buf, size);
}

static int64_t asn1_time(const ASN1_TIME *t)
{
    struct mu_bytes text = mu_bytes(ASN1_STRING_get0_data(t), (size_t)ASN1_STRING_length(t));
    int64_t out = 0;

    if (!mu_time_parse_asn1(text, ASN1_STRING_type(t) == V_ASN1_GENERALIZEDTIME, &out))
        return 0;
    return out;
}

static void fingerprint(X509 *x, char *buf, size_t size)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct mu_buf text = {0};

    X509_digest(x, EVP_sha256(), md, &n);
    mu_text_hex(&text, mu_bytes(md, n), ':');
    snprintf(buf, size, "%s", mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* Keeps what the server showed, leaf first: first contact and probe want to see it. */
static void keep_chain(struct mu_net_session *s, X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(ctx);

    mu_buf_clear(&s->chain_der);
    s->chain_n = 0;
    for (int i = 0; i < sk_X509_num(shown) && i < MU_LIMIT_CERTS; i++) {
        int n = i2d_X509(sk_X509_value(shown, i), NULL);
        unsigned char *p = n > 0 ? mu_buf_grow(&s->chain_der, (size_t)n) : NULL;

        if (p == NULL)
            return;
        i2d_X509(sk_X509_value(shown, i), &p);
        s->chain_len[s->chain_n++] = (size_t)n;
    }
}

/* ---- the name ---- */

static void add_name(struct mu_buf *out, const void *p, int n)
{
    if (out->n > 0)
        mu_buf_put_str(out, ", ");
    mu_text_escape(out, mu_bytes(p, n > 0 ? (size_t)n : 0), 80);
}

/* The names the certificate is for: DNS names and addresses, else the subject's CN. */
static void list_names(X509 *leaf, struct mu_buf *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    char text[INET6_ADDRSTRLEN], cn[128];

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < 8; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

        if (g->type == GEN_DNS) {
            add_name(out, ASN1_STRING_get0_data(g->d.dNSName), ASN1_STRING_length(g->d.dNSName));
        } else if (g->type == GEN_IPADD) {
            int family = ASN1_STRING_length(g->d.iPAddress) == 4 ? AF_INET : AF_INET6;

            if (family == AF_INET6 && ASN1_STRING_length(g->d.iPAddress) != 16)
                continue;
            inet_ntop(family, ASN1_STRING_get0_data(g->d.iPAddress), text, sizeof(text));
            add_name(out, text, (int)strlen(text));
        }
    }
    GENERAL_NAMES_free(names);
    if (out->n == 0
        && X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, cn, sizeof(cn)) > 0)
        add_name(out, cn, (int)strlen(cn));
    if (out->n == 0)
        mu_buf_put_str(out, "no name at all");
}

/* RFC 6125, with the CN only where the certificate has no alternative names (so old appliances
 * that are called by address and carry it in the CN are found too). */
static bool name_fits(X509 *leaf, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_ip = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;

    if (!is_ip)
        return X509_check_host(leaf, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
    if (X509_check_ip_asc(leaf, host, 0) == 1)
        return true;
    return X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1) < 0
        && X509_check_host(leaf, host, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}

/* RFC 7030 3.6.1: an EST server under an explicit anchor may be known by id-kp-cmcRA instead of its
 * name. Under the system's anchors that counts for nothing (3.6.2): anybody may get such a
 * certificate somewhere. */
static bool is_est_ra(const struct mu_net_session *s, X509_STORE_CTX *ctx, X509 *leaf)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
    EXTENDED_KEY_USAGE *usages;
    bool explicit_anchor = false, has = false;
    unsigned char *der = NULL;
    int n;

    if (s->proto != MU_PROTO_EST || sk_X509_num(path) < 1)
        return false;
    n = i2d_X509(sk_X509_value(path, sk_X509_num(path) - 1), &der);
    for (size_t i = 0; n > 0 && i < s->identity.anchors.n; i++)
        explicit_anchor = explicit_anchor
            || mu_bytes_equal(mu_bytes(der, (size_t)n), s->identity.anchors.v[i]->der);
    OPENSSL_free(der);
    usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
        has = has || OBJ_obj2nid(sk_ASN1_OBJECT_value(usages, i)) == NID_cmcRA;
    EXTENDED_KEY_USAGE_free(usages);
    return explicit_anchor && has;
}

static bool check_name(struct mu_net_session *s, X509_STORE_CTX *ctx, X509 *leaf)
{
    const char *host = s->server_name != NULL ? s->server_name : s->url.host;
    struct mu_buf names = {0};
    char shown[300];

    if (name_fits(leaf, host) || is_est_ra(s, ctx, leaf))
        return true;
    list_names(leaf, &names);
    mu_err_set(&s->err, MU_AUTH, MU_M(202), "The server's certificate is for %s, not %s.",
        mu_buf_str(&names), mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(host)));
    mu_buf_clear(&names);
    return false;
}

/* ---- what is wrong with the path ---- */

static void describe_unknown_ca(struct mu_net_session *s, X509_STORE_CTX *ctx, X509 *leaf, int why)
{
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(ctx);
    int n = sk_X509_num(shown);
    X509 *top = n > 0 ? sk_X509_value(shown, n - 1) : leaf;
    char issuer[200], named[200], fp[100];

    fingerprint(top, fp, sizeof(fp));
    if (s->identity.anchors.n > 0 && !s->identity.use_system_anchors) {
        name_text(X509_get_issuer_name(leaf), issuer, sizeof(issuer));
        mu_err_set(&s->err, MU_AUTH, MU_M(203),
            "The server's certificate is from \"%s\", not from \"%s\".", issuer,
            der_text(s->identity.anchors.v[0]->subject, named, sizeof(named)));
    } else {
        name_text(X509_get_issuer_name(top), issuer, sizeof(issuer));
        mu_err_set(&s->err, MU_AUTH, MU_M(204), "The server's CA \"%s\" is not in the CA store (%s).",
            issuer, X509_verify_cert_error_string(why));
    }
    mu_err_next(&s->err, "Compare SHA-256 %s, then import that CA.", fp);
}

static void describe(struct mu_net_session *s, X509_STORE_CTX *ctx, X509 *leaf)
{
    int why = X509_STORE_CTX_get_error(ctx);
    X509 *bad = X509_STORE_CTX_get_current_cert(ctx);
    char subject[200], when[MU_TIME_TEXT];

    if (bad == NULL)
        bad = leaf;
    name_text(X509_get_subject_name(bad), subject, sizeof(subject));
    if (mu_net_anchors_is_unknown(why)) {
        describe_unknown_ca(s, ctx, leaf, why);
        return;
    }
    switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        mu_err_set(&s->err, MU_AUTH, MU_REASON_NONE, "The server's certificate \"%s\" expired on %s.",
            subject, mu_time_plain(asn1_time(X509_get0_notAfter(bad)), when));
        mu_err_likely(&s->err, "It was not renewed, or our clock is wrong.");
        mu_err_next(&s->err, "Tell the operator; see M801 for the clock.");
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        mu_err_set(&s->err, MU_AUTH, MU_REASON_NONE,
            "The server's certificate \"%s\" is not valid before %s.", subject,
            mu_time_plain(asn1_time(X509_get0_notBefore(bad)), when));
        mu_err_likely(&s->err, "One clock is off.");
        mu_err_next(&s->err, "See M801.");
        break;
    default:
        mu_err_set(&s->err, MU_AUTH, MU_REASON_NONE,
            "The server's certificate does not verify: %s (\"%s\").",
            X509_verify_cert_error_string(why), subject);
    }
}

/* What came of the path, whoever's anchors it was built with. X509_V_OK, or s->err says why not. */
static int judge(struct mu_net_session *s, X509_STORE_CTX *ctx)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    STACK_OF(X509) *path;

    if (X509_STORE_CTX_get_error(ctx) != X509_V_OK) {
        describe(s, ctx, leaf);
        return X509_STORE_CTX_get_error(ctx);
    }
    if (!check_name(s, ctx, leaf))
        return X509_V_ERR_HOSTNAME_MISMATCH;
    path = X509_STORE_CTX_get0_chain(ctx);
    name_text(X509_get_subject_name(sk_X509_value(path, sk_X509_num(path) - 1)), s->verified_by,
        sizeof(s->verified_by));
    return X509_V_OK;
}

/* OpenSSL asks: is this server believed? */
static int verify(X509_STORE_CTX *ctx, void *cookie)
{
    struct mu_net_session *s = cookie;
    struct mu_net_anchors_path system = {0};
    int why;

    s->verified_by[0] = '\0';
    s->implicit = false;
    keep_chain(s, ctx);
    if (s->identity.insecure_bootstrap) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    X509_STORE_CTX_set_time(ctx, 0, (time_t)mu_env_now(s->identity.env));
    /* An anchor may be an intermediate CA, or the server's own certificate. */
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (X509_verify_cert(ctx) != 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK)
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
    if (s->identity.use_system_anchors
        && mu_net_anchors_is_unknown(X509_STORE_CTX_get_error(ctx))
        && mu_net_anchors_system(&system, ctx)) {
        s->implicit = true;
        why = judge(s, system.ctx);
    } else {
        why = judge(s, ctx);
    }
    mu_net_anchors_clear(&system);
    X509_STORE_CTX_set_error(ctx, why);
    return why == X509_V_OK;
}

/* ---- settings ---- */

/* curl has put the URL's host into the hello; the server may be known by another name. */
static void on_info(const SSL *ssl, int where, int ret)
{
    struct mu_net_session *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if ((where & SSL_CB_HANDSHAKE_START) != 0 && s->server_name != NULL)
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, s->server_name);
    s->ssl = (SSL *)(uintptr_t)ssl;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL)
        s->alert = ret & 0xff;
}

bool mu_net_verify_by_srp(const struct mu_net_session *s)
{
    return s->srp_user != NULL && s->identity.anchors.n == 0 && !s->identity.use_system_anchors;
}

/* What the server's certificate will be held against (E045). */
static void trace_trust(const struct mu_net_session *s)
{
    const struct mu_tls_identity *identity = &s->identity;
    char subject[200] = "";

    if (identity->insecure_bootstrap) {
        mu_trace(s->env, s->proto, MU_TRACE_TRUST, "none loaded for TLS: the server is not verified");
        return;
    }
    if (identity->anchors.n > 0)
        der_text(identity->anchors.v[0]->subject, subject, sizeof(subject));
    if (identity->anchors.n > 1)
        mu_trace(s->env, s->proto, MU_TRACE_TRUST, "loaded for TLS: %s and %zu more%s", subject,
            identity->anchors.n - 1, identity->use_system_anchors ? ", the CA store" : "");
    else
        mu_trace(s->env, s->proto, MU_TRACE_TRUST, "loaded for TLS: %s%s%s", subject,
            identity->anchors.n > 0 && identity->use_system_anchors ? ", " : "",
            identity->use_system_anchors ? "the CA store" : identity->anchors.n == 0 ? "none" : "");
}

/* The server wants to see a certificate; we have one, or none. */
static int on_cert_wanted(SSL *ssl, void *cookie)
{
    struct mu_net_session *s = cookie;

    s->cert_asked = true;
    return 1;
}

/* ---- which anchors are ours (RFC 6066 6, RFC 7030 4.1.3) ---- */

/* With explicit anchors alone, an EST server hears which: it may have been verified by another before
 * (EST-21). TrustedAuthorities: each by the SHA-1 of its certificate. */
enum { TRUSTED_CA_KEYS = 3, CERT_SHA1_HASH = 3, AUTHORITY = 21, AUTHORITIES_MAX = 16 };

static int on_trusted_ca_keys(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
    size_t *n, X509 *x, size_t chain_at, int *alert, void *cookie)
{
    struct mu_net_session *s = cookie;
    size_t count = s->identity.anchors.n < AUTHORITIES_MAX ? s->identity.anchors.n : AUTHORITIES_MAX;
    unsigned char *p = malloc(2 + count * AUTHORITY);
    uint8_t digest[64];

    if (p == NULL)
        return 0;
    p[0] = (unsigned char)(count * AUTHORITY >> 8);
    p[1] = (unsigned char)(count * AUTHORITY);
    for (size_t i = 0; i < count; i++) {
        if (mu_pki_digest(MU_PKI_SHA1, s->identity.anchors.v[i]->der, digest) != AUTHORITY - 1) {
            free(p);
            return 0;
        }
        p[2 + i * AUTHORITY] = CERT_SHA1_HASH;
        memcpy(p + 3 + i * AUTHORITY, digest, AUTHORITY - 1);
    }
    *out = p;
    *n = 2 + count * AUTHORITY;
    return 1;
}

static void on_trusted_ca_keys_sent(
    SSL *ssl, unsigned type, unsigned context, const unsigned char *out, void *cookie)
{
    free((void *)(uintptr_t)out);
}

/* A server that takes note says so with an empty extension. */
static int on_trusted_ca_keys_answer(SSL *ssl, unsigned type, unsigned context,
    const unsigned char *in, size_t n, X509 *x, size_t chain_at, int *alert, void *cookie)
{
    return 1;
}

static bool offer_anchors(SSL_CTX *ctx, struct mu_net_session *s)
{
    if (s->proto != MU_PROTO_EST || s->identity.anchors.n == 0 || s->identity.use_system_anchors
        || s->identity.insecure_bootstrap)
        return true;
    return SSL_CTX_add_custom_ext(ctx, TRUSTED_CA_KEYS,
               SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO, on_trusted_ca_keys,
               on_trusted_ca_keys_sent, s, on_trusted_ca_keys_answer, s)
        == 1;
}

static enum mu_code set_versions(SSL_CTX *ctx, const struct mu_tls_identity *identity, struct mu_err *err)
{
    SSL_CTX_set_min_proto_version(ctx, identity->tls10_allowed ? TLS1_VERSION : TLS1_2_VERSION);
    if (identity->tls10_allowed)
        SSL_CTX_set_security_level(ctx, 0); /* OpenSSL 3 has TLS 1.0 and 1.1 only there */
    if (identity->max_version != 0 && SSL_CTX_set_max_proto_version(ctx, identity->max_version) != 1)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "tls: no such version: %04x",
            (unsigned)identity->max_version);
    return MU_OK;
}

CURLcode mu_net_verify_setup(CURL *easy, void *ssl_ctx, void *cookie)
{
    struct mu_net_session *s = cookie;
    const struct mu_tls_identity *identity = &s->identity;
    SSL_CTX *ctx = ssl_ctx;
    X509_STORE *store = mu_net_anchors_named(identity);

    if (store == NULL) {
        mu_err_set(&s->err, MU_INTERNAL, MU_REASON_NONE, "tls: the trusted CAs cannot be loaded");
        return CURLE_SSL_CACERT_BADFILE;
    }
    SSL_CTX_set_cert_store(ctx, store); /* takes it over */
    SSL_CTX_set_app_data(ctx, s);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_cert_verify_callback(ctx, verify, s);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_cert_cb(ctx, on_cert_wanted, s);
    s->cert_asked = false;
    if (s->proto == MU_PROTO_EST) /* a request is linked to one handshake (RFC 5929 3.1) */
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    if (set_versions(ctx, identity, &s->err) != MU_OK)
        return CURLE_SSL_CONNECT_ERROR;
    if (!offer_anchors(ctx, s)) {
        mu_err_set(&s->err, MU_INTERNAL, MU_REASON_NONE, "tls: trusted_ca_keys cannot be set");
        return CURLE_SSL_CONNECT_ERROR;
    }
    if (identity->key != NULL
        && mu_net_tls_use_chain(ctx, identity->key, &identity->chain, false, &s->err) != MU_OK)
        return CURLE_SSL_CERTPROBLEM;
    if (s->srp_user != NULL
        && mu_net_srp_client(ctx, s->srp_user, &s->srp_password, mu_net_verify_by_srp(s), &s->err)
            != MU_OK)
        return CURLE_SSL_CONNECT_ERROR;
    trace_trust(s);
    return CURLE_OK;
}

/* Tried was what the engine said; used is what the handshake says (E100). */
static void trace_login(const struct mu_net_session *s, SSL *ssl)
{
    char subject[200];

    if (s->identity.key != NULL && s->identity.chain.n > 0) {
        der_text(s->identity.chain.v[0]->subject, subject, sizeof(subject));
        mu_trace(s->env, s->proto, MU_TRACE_AUTH, "client certificate %s %s", subject,
            s->cert_asked ? "used" : "not used, the server did not ask for one");
    }
    if (mu_net_srp_user(ssl) != NULL)
        mu_trace(s->env, s->proto, MU_TRACE_AUTH, "TLS-SRP user %s logged in (deprecated, TLS 1.2 only)",
            mu_text_escape_to(subject, sizeof(subject), mu_bytes_str(s->srp_user)));
}

void mu_net_verify_hear(struct mu_net_session *s)
{
    unsigned char octets[4096];
    ssize_t n;
    BIO *in;

    if (s->ssl == NULL || s->socket == CURL_SOCKET_BAD || s->alert != 0)
        return;
    n = recv(s->socket, octets, sizeof(octets), MSG_DONTWAIT);
    if (n <= 0 || (in = BIO_new(BIO_s_mem())) == NULL)
        return;
    /* Not by curl's own way of reading: that works inside of its calls only. */
    if (BIO_write(in, octets, (int)n) == (int)n) {
        SSL_set0_rbio(s->ssl, in);
        while (SSL_read(s->ssl, octets, sizeof(octets)) > 0)
            continue;
    } else {
        BIO_free(in);
    }
    OPENSSL_cleanse(octets, sizeof(octets));
    ERR_clear_error();
}

void mu_net_verify_learn(struct mu_net_session *s, SSL *ssl)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    char subject[200];

    mu_net_tls_binding(ssl, &s->binding);
    if (!s->opened)
        return;
    if (leaf != NULL)
        name_text(X509_get_subject_name(leaf), subject, sizeof(subject));
    if (leaf == NULL)
        mu_trace(s->env, s->proto, MU_TRACE_TLS, "%s %s, server without a certificate, verified by the password",
            SSL_get_version(ssl), SSL_get_cipher_name(ssl));
    else if (s->identity.insecure_bootstrap)
        mu_trace(s->env, s->proto, MU_TRACE_TLS, "%s %s, server %s, not verified",
            SSL_get_version(ssl), SSL_get_cipher_name(ssl), subject);
    else
        mu_trace(s->env, s->proto, MU_TRACE_TLS, "%s %s, server %s, verified by %s",
            SSL_get_version(ssl), SSL_get_cipher_name(ssl), subject, s->verified_by);
    trace_login(s, ssl);
}
