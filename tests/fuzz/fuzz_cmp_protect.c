/*
 * Any bytes as the parameters of a MAC, as a protected message, and as what a transaction kept:
 * work is bounded whatever they ask for, and what verifies once verifies again after encoding.
 */
#include <stdlib.h>

#include "proto/cmp/cmp_kept.h"
#include "proto/cmp/cmp_protect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mu_secret secret;

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void parameters(struct mu_bytes in)
{
    struct mu_pki_mac mac, again;
    struct mu_buf der = {0};

    if (mu_pki_mac_decode(in, true, &mac, NULL) != MU_OK)
        return;
    require(mu_pki_mac_is(in));
    require(mac.iterations >= 100 && mac.iterations <= 100000 && mac.salt_n <= sizeof mac.salt);
    mu_pki_mac_encode(&mac, &der);
    require(mu_pki_mac_decode(mu_buf_bytes(&der), true, &again, NULL) == MU_OK);
    require(mu_pki_mac_equal(&mac, &again));
    mu_buf_clear(&der);
}

static void kept(struct mu_bytes in)
{
    struct mu_cmp_kept k;
    struct mu_buf der = {0};

    if (mu_cmp_kept_decode(in, &k, NULL) != MU_OK)
        return;
    mu_cmp_kept_encode(&k, &der);
    require(mu_cmp_kept_decode(mu_buf_bytes(&der), &k, NULL) == MU_OK);
    mu_buf_clear(&der);
}

static void message(struct mu_bytes in)
{
    struct mu_cmp_msg msg;
    struct mu_cmp_mac_key mac = {.mac = {.kind = MU_PKI_MAC_NONE}};
    struct mu_pki_mac cheap;
    struct mu_pki_cert *signer;
    const struct mu_cmp_verify_opts opts = {.allow_legacy = true};

    if (mu_cmp_msg_decode(in, &msg, NULL) == MU_OK) {
        switch (mu_cmp_protect_kind(&msg)) {
        case MU_CMP_BY_MAC:
            if (mu_pki_mac_decode(msg.header.protection_alg, true, &cheap, NULL) == MU_OK
                && cheap.iterations > 2000)
                break;
            if (mu_cmp_protect_verify_mac(&msg, &secret, true, &mac, NULL) == MU_OK)
                require(mu_secret_is_set(&mac.key));
            require(mu_cmp_protect_verify_mac(&msg, NULL, true, &mac, NULL) != MU_OK);
            break;
        case MU_CMP_BY_SIGNATURE:
            signer = mu_cmp_protect_signer(&msg, NULL);
            if (signer != NULL
                && mu_cmp_protect_verify_signature(&msg, signer, &opts, NULL) == MU_OK)
                require(mu_pki_name_equal(msg.header.sender, signer->subject));
            break;
        default:
            require(mu_cmp_protect_verify_mac(&msg, &secret, true, &mac, NULL) != MU_OK);
        }
    }
    mu_cmp_protect_mac_clear(&mac);
    mu_cmp_msg_clear(&msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!mu_secret_is_set(&secret))
        require(mu_secret_set(&secret, mu_bytes_str("test"), NULL) == MU_OK);
    parameters(mu_bytes(data, size));
    kept(mu_bytes(data, size));
    message(mu_bytes(data, size));
    return 0;
}
