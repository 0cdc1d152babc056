/*
 * Ciphers of decision D5: DES, 3DES, Blowfish. They live in a library context of their own, so
 * that loading OpenSSL's legacy provider never makes them available anywhere else in the process.
 */
#include <openssl/err.h>
#include <openssl/provider.h>
#include <pthread.h>

#include "pki/pki_internal.h"

static pthread_once_t loaded = PTHREAD_ONCE_INIT;
static EVP_CIPHER *des, *des3, *blowfish;

static void load(void)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new(); /* kept for the life of the process */
    if (!ctx)
        return;
    /* Without the legacy provider 3DES still works, and the others are refused. */
    OSSL_PROVIDER_load(ctx, "legacy");
    OSSL_PROVIDER_load(ctx, "default");
    des = EVP_CIPHER_fetch(ctx, "DES-CBC", NULL);
    des3 = EVP_CIPHER_fetch(ctx, "DES-EDE3-CBC", NULL);
    blowfish = EVP_CIPHER_fetch(ctx, "BF-CBC", NULL);
    ERR_clear_error();
}

const EVP_CIPHER *mu_pki_legacy_cipher(enum mu_pki_cipher c)
{
    pthread_once(&loaded, load);
    switch (c) {
    case MU_PKI_DES_CBC:
        return des;
    case MU_PKI_DES3_CBC:
        return des3;
    case MU_PKI_BLOWFISH_CBC:
        return blowfish;
    default:
        return NULL;
    }
}
