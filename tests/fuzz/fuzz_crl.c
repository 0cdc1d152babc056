/* Any octets as a CRL: decoding and looking up. */
#include "pki/pki_crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_pki_crl *crl = NULL;
    struct mu_err err;
    int64_t when_s;
    int reason;
    if (mu_pki_crl_decode(mu_bytes(data, size), &crl, &err) != MU_OK)
        return 0;
    (void)mu_pki_crl_count(crl);
    (void)mu_pki_crl_has(crl, mu_bytes("\x01", 1), &when_s, &reason);
    mu_pki_crl_free(crl);
    return 0;
}
