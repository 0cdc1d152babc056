/* Any octets as a certificate request: decoding and proof of possession. */
#include "pki/pki_csr.h"
#include "pki/pki_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_pki_csr *csr = NULL;
    struct mu_pki_key *key = NULL;
    struct mu_buf out = {0};
    struct mu_err err;
    if (mu_pki_csr_decode(mu_bytes(data, size), &csr, &err) != MU_OK)
        return 0;
    mu_pki_name_format(csr->subject, MU_PKI_NAME_SPACED, &out);
    if (csr->exts.san.p)
        mu_pki_san_format(csr->exts.san, &out);
    (void)mu_pki_csr_attribute(csr, "1.2.840.113549.1.9.7");
    if (mu_pki_csr_verify(csr, true, &key, &err) == MU_OK)
        mu_pki_key_free(key);
    mu_buf_clear(&out);
    mu_pki_csr_free(csr);
    return 0;
}
