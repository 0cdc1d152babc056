/*
 * TLS settings that server and client share, the server's context, and channel bindings. Who is
 * believed is not decided here: the server hands the client's certificate on unjudged, the client
 * judges in net_verify.c.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "net/net_internal.h"
#include "net/net_server.h"
#include "pki/pki_internal.h"

void mu_net_tls_binding(SSL *ssl, struct mu_net_binding *out)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    bool server = SSL_is_server(ssl), reused = SSL_session_reused(ssl);

    memset(out, 0, sizeof(*out));
    if (SSL_version(ssl) <= TLS1_2_VERSION) {
        /* The first Finished of the handshake: the client's in a full one, the server's in a
         * resumed one (RFC 5929 3.1). */
        if (server == reused)
            out->unique_n = SSL_get_finished(ssl, out->unique, sizeof(out->unique));
        else
            out->unique_n = SSL_get_peer_finished(ssl, out->unique, sizeof(out->unique));
        if (out->unique_n > sizeof(out->unique))
            out->unique_n = 0;
    }
    /* Below 1.3 the exporter tells two connections apart only with the extended master secret
     * (RFC 9266 4.2). The context is there and empty, not absent (RFC 9266 2). */
    if ((SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1)
        && SSL_export_keying_material(ssl, out->exporter, sizeof(out->exporter), label,
               sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1)
        out->exporter_n = sizeof(out->exporter);
    ERR_clear_error();
}

X509 *mu_net_tls_x509(const struct mu_pki_cert *cert)
{
    const unsigned char *p = cert->der.p;

    return d2i_X509(NULL, &p, (long)cert->der.n);
}

const char *mu_net_tls_error(char *buf, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    snprintf(buf, size, "%s", reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    return buf;
}

static enum mu_code fail(struct mu_err *err, const char *what)
{
    char reason[128];

    return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "tls: %s: %s", what,
        mu_net_tls_error(reason, sizeof(reason)));
}

enum mu_code mu_net_tls_use_chain(SSL_CTX *ctx, const struct mu_pki_key *key,
    const struct mu_pki_certs *chain, bool with_root, struct mu_err *err)
{
    for (size_t i = 0; i < chain->n; i++) {
        struct mu_pki_cert *cert = chain->v[i];
        X509 *x;
        int ok;

        if (i > 0 && !with_root && mu_bytes_equal(cert->issuer, cert->subject))
            continue;
        x = mu_net_tls_x509(cert);
        ok = x != NULL
            && (i == 0 ? SSL_CTX_use_certificate(ctx, x) : SSL_CTX_add1_chain_cert(ctx, x)) == 1;
        X509_free(x);
        if (!ok)
            return fail(err, i == 0 ? "the certificate cannot be used" : "the chain cannot be used");
    }
    if (chain->n == 0 || key == NULL)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "tls: no certificate or no key");
    if (SSL_CTX_use_PrivateKey(ctx, mu_pki_key_evp(key)) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, "the private key does not belong to the certificate");
    return MU_OK;
}

/* Judging is the handler's: whatever certificate the peer shows is taken, if it holds the key. */
static int take_any(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

enum mu_code mu_net_tls_server(const struct mu_net_tls *tls, SSL_CTX **out, struct mu_err *err)
{
    static const unsigned char session_context[] = "muster";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    enum mu_code rc;

    if (ctx == NULL)
        return fail(err, "no context");
    if ((rc = mu_net_tls_use_chain(ctx, tls->key, &tls->chain, tls->send_root, err)) != MU_OK)
        goto out;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* The one that RFC 8446 9.1 demands of everybody first: its hash, of which the key schedule makes
     * much use, has instructions of its own, and SHA-384 has none. */
    if (SSL_CTX_set_ciphersuites(ctx,
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1) {
        rc = fail(err, "no cipher suites");
        goto out;
    }
    SSL_CTX_set_read_ahead(ctx, 1); /* a record by one read, not by two */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
            | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_TICKET);
    /* NO_AUTO_CHAIN: else OpenSSL would build and verify our own chain in each handshake. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS
            | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* No resumption: a resumed session has lost the client's intermediates, and devices that
     * enroll come once in months. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
    if (tls->ask_client_cert)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, take_any);
    *out = ctx;
    ctx = NULL;
out:
    SSL_CTX_free(ctx);
    return rc;
}
