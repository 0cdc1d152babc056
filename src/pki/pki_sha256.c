/* SHA-256 of a SHA-256, many times over, by OpenSSL's direct functions. A password based MAC
 * (RFC 9810 5.1.3.1) is 500 rounds and more of it for each message, and a round by EVP takes 75 ns
 * where these take 46: a tenth of what a whole CMP enrollment costs its server. */
#define OPENSSL_SUPPRESS_DEPRECATED /* since 3.0, in favor of EVP; there in 3.5 */
#include <openssl/sha.h>

#include "pki/pki_internal.h"

void mu_pki_sha256_again(uint8_t digest[32], unsigned times)
{
    SHA256_CTX ctx;

    for (unsigned i = 0; i < times; i++) {
        SHA256_Init(&ctx);
        SHA256_Update(&ctx, digest, 32);
        SHA256_Final(digest, &ctx);
    }
    mu_bytes_wipe(&ctx, sizeof ctx);
}
