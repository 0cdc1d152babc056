/*
 * The CAs that a server's certificate is held against: those that were named, and, only where they
 * do not vouch for it, the system's. Loading the system's whole bundle costs four times as much as
 * all else of an enrollment, so first its directory is asked for the one CA that is wanted, and the
 * bundle comes last.
 */
#include <openssl/err.h>

#include "net/net_session.h"

X509_STORE *mu_net_anchors_named(const struct mu_tls_identity *identity)
{
    X509_STORE *store = X509_STORE_new();

    for (size_t i = 0; store != NULL && i < identity->anchors.n; i++) {
        X509 *x = mu_net_tls_x509(identity->anchors.v[i]);

        if (x == NULL || X509_STORE_add_cert(store, x) != 1) {
            X509_STORE_free(store);
            store = NULL;
        }
        X509_free(x);
    }
    ERR_clear_error();
    return store;
}

bool mu_net_anchors_is_unknown(int why)
{
    switch (why) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return true;
    default:
        return false;
    }
}

/* The path anew, with the settings of the context that failed. False: out of memory. */
static bool verify_again(X509_STORE_CTX *ctx, X509_STORE *store, X509_STORE_CTX *failed)
{
    X509_STORE_CTX_cleanup(ctx);
    if (X509_STORE_CTX_init(ctx, store, X509_STORE_CTX_get0_cert(failed), X509_STORE_CTX_get0_untrusted(failed))
            != 1
        || X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(ctx), X509_STORE_CTX_get0_param(failed)) != 1)
        return false;
    if (X509_verify_cert(ctx) != 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK)
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
    return true;
}

bool mu_net_anchors_system(struct mu_net_anchors_path *path, X509_STORE_CTX *failed)
{
    X509_LOOKUP *lookup;

    path->store = X509_STORE_new();
    path->ctx = X509_STORE_CTX_new();
    if (path->store == NULL || path->ctx == NULL)
        goto failed;
    lookup = X509_STORE_add_lookup(path->store, X509_LOOKUP_hash_dir());
    if (lookup == NULL)
        goto failed;
    X509_LOOKUP_add_dir(lookup, NULL, X509_FILETYPE_DEFAULT); /* SSL_CERT_DIR, else OpenSSL's own */
    if (!verify_again(path->ctx, path->store, failed))
        goto failed;
    if (mu_net_anchors_is_unknown(X509_STORE_CTX_get_error(path->ctx))) {
        lookup = X509_STORE_add_lookup(path->store, X509_LOOKUP_file());
        if (lookup != NULL && X509_LOOKUP_load_file(lookup, NULL, X509_FILETYPE_DEFAULT) == 1
            && !verify_again(path->ctx, path->store, failed))
            goto failed;
    }
    ERR_clear_error();
    return true;
failed:
    mu_net_anchors_clear(path);
    return false;
}

void mu_net_anchors_clear(struct mu_net_anchors_path *path)
{
    X509_STORE_CTX_free(path->ctx);
    X509_STORE_free(path->store);
    *path = (struct mu_net_anchors_path){0};
}
