/*
 * TLS-SRP (RFC 5054), both sides: a password instead of certificates, in TLS 1.2 and below. All
 * of it is deprecated in OpenSSL 3, so it stands apart: without these calls this file, and with
 * it the feature, goes and nothing else changes. curl's own options for it are not used: newer
 * ones ignore them without a word.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SRP as a whole */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/srp.h>
#include <openssl/ssl.h>

#include "net/net_internal.h"
#include "net/net_server.h"

#ifndef OPENSSL_NO_SRP

/* With the server's certificate, and without one (0xC020, 0xC01D): then the password alone says
 * who is who. The 3DES suites of the RFC are left out (RFC 8429). */
#define SUITES_CERT "SRP-RSA-AES-256-CBC-SHA:SRP-RSA-AES-128-CBC-SHA"
#define SUITES_BARE "SRP-AES-256-CBC-SHA:SRP-AES-128-CBC-SHA"

static enum mu_code fail(struct mu_err *err, const char *what)
{
    char reason[128];

    return mu_err_set(
        err, MU_INTERNAL, MU_REASON_NONE, "tls-srp: %s: %s", what, mu_net_tls_error(reason, sizeof(reason)));
}

enum mu_code mu_net_srp_client(SSL_CTX *ctx, const char *user, const struct mu_secret *password,
    bool without_cert, struct mu_err *err)
{
    struct mu_bytes secret = mu_secret_bytes(password);

    /* OpenSSL counts both in an octet, and takes C strings. */
    if (strlen(user) > 255 || secret.n > 255 || (secret.n > 0 && memchr(secret.p, 0, secret.n) != NULL))
        return mu_err_set(err, MU_INPUT, MU_M(206),
            "TLS-SRP: user and password have at most 255 octets, and no NUL (RFC 5054 2.8.2).");
    if (SSL_CTX_set_srp_username(ctx, (char *)(uintptr_t)user) != 1
        || SSL_CTX_set_srp_password(ctx, secret.n > 0 ? (char *)(uintptr_t)secret.p : (char[]){""}) != 1
        || SSL_CTX_set_cipher_list(ctx, without_cert ? SUITES_CERT ":" SUITES_BARE : SUITES_CERT) != 1)
        return fail(err, "cannot be set up");
    /* A client that offers 1.3 too would get that, without a login and without an error. */
    if (SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) != 1)
        return fail(err, "needs TLS 1.2");
    return MU_OK;
}

/* ---- the server ---- */

/* Salt and verifier into the handshake. A user that nobody knows gets a verifier too, of a
 * password that nobody knows: the handshake takes as long and ends as with a wrong password
 * (RFC 5054 2.5.1.3). */
static bool set_verifier(SSL *ssl, const char *user, const struct mu_net_srp_login *login)
{
    const SRP_gN *group = SRP_get_default_gN("3072");
    BIGNUM *salt = BN_bin2bn(login->salt, (int)login->salt_n, NULL), *verifier = NULL;
    struct mu_bytes secret = mu_secret_bytes(&login->password);
    unsigned char nobody[32];
    char hex[2 * sizeof(nobody) + 1];
    const char *password = (const char *)secret.p;
    bool ok = salt != NULL && group != NULL && RAND_bytes(nobody, sizeof(nobody)) == 1;

    for (size_t i = 0; i < sizeof(nobody); i++)
        snprintf(hex + 2 * i, 3, "%02x", nobody[i]);
    if (secret.n == 0 || memchr(secret.p, 0, secret.n) != NULL)
        password = hex;
    ok = ok && SRP_create_verifier_BN(user, password, &salt, &verifier, group->N, group->g) == 1
        && SSL_set_srp_server_param(ssl, group->N, group->g, salt, verifier, NULL) == 1;
    BN_free(salt);
    BN_clear_free(verifier);
    mu_bytes_wipe(nobody, sizeof(nobody));
    mu_bytes_wipe(hex, sizeof(hex));
    return ok;
}

/* OpenSSL has chosen an SRP suite and asks for the user's verifier. */
static int on_login(SSL *ssl, int *alert, void *cookie)
{
    const struct mu_net_srp *srp = cookie;
    struct mu_net_srp_login login = {0};
    const char *user = SSL_get_srp_username(ssl);
    bool ok = false;

    if (user != NULL && srp->lookup(srp->cookie, user, &login) && login.salt_n > 0
        && login.salt_n <= sizeof(login.salt))
        ok = set_verifier(ssl, user, &login);
    mu_secret_clear(&login.password);
    if (ok)
        return SSL_ERROR_NONE;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL3_AL_FATAL;
}

/* Who names an SRP user wants to log in: TLS 1.3, which both may know, cannot do it, and would be
 * chosen without a word. */
static int on_hello(SSL *ssl, int *alert, void *cookie)
{
    const unsigned char *p;
    size_t n;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_srp, &p, &n) == 1
        && SSL_set_max_proto_version(ssl, TLS1_2_VERSION) != 1)
        return SSL_CLIENT_HELLO_ERROR;
    return SSL_CLIENT_HELLO_SUCCESS;
}

enum mu_code mu_net_srp_server(SSL_CTX *ctx, const struct mu_net_srp *srp, struct mu_err *err)
{
    /* The suites of SRP are among the default ones, and asleep until there is a callback. They
     * come first, by moving the others behind them: those are for who does not offer these. */
    if (SSL_CTX_set_cipher_list(ctx, "DEFAULT:+kECDHE:+kDHE:+kRSA") != 1
        || SSL_CTX_set_srp_username_callback(ctx, on_login) != 1
        || SSL_CTX_set_srp_cb_arg(ctx, (void *)(uintptr_t)srp) != 1)
        return fail(err, "cannot be set up");
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    return MU_OK;
}

const char *mu_net_srp_user(SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

    /* The name alone proves nothing: it stands in the hello, whatever suite was chosen then. */
    if (cipher == NULL || SSL_CIPHER_get_kx_nid(cipher) != NID_kx_srp)
        return NULL;
    return SSL_get_srp_username(ssl);
}

#else

enum mu_code mu_net_srp_client(SSL_CTX *ctx, const char *user, const struct mu_secret *password,
    bool without_cert, struct mu_err *err)
{
    return mu_err_set(err, MU_UNSUPPORTED, MU_M(206), "TLS-SRP: the OpenSSL here does not have it.");
}

enum mu_code mu_net_srp_server(SSL_CTX *ctx, const struct mu_net_srp *srp, struct mu_err *err)
{
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "tls-srp: the OpenSSL here does not have it");
}

const char *mu_net_srp_user(SSL *ssl)
{
    return NULL;
}

#endif
