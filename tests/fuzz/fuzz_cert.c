/* Any octets as a certificate file: decoding, texts, extensions, key, path. */
#include "pki/pki_cert.h"
#include "pki/pki_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_extension(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    char title[64];
    struct mu_buf *out = cookie;
    mu_buf_put_str(out, mu_pki_ext_title(oid, title));
    mu_pki_ext_format(oid, value, out);
}

static void look_at(struct mu_pki_cert *cert)
{
    struct mu_buf out = {0};
    struct mu_pki_key *key;
    struct mu_err err;
    mu_pki_cert_serial_hex(cert->serial, &out);
    mu_pki_cert_serial_trace(cert->serial, &out);
    mu_pki_name_format(cert->subject, MU_PKI_NAME_COMMA, &out);
    mu_pki_name_format(cert->issuer, MU_PKI_NAME_SLASH, &out);
    if (cert->exts.all.p)
        mu_pki_ext_each(cert->exts.all, print_extension, &out);
    mu_buf_clear(&out);
    if (mu_pki_cert_key(cert, &key, &err) == MU_OK)
        (void)mu_pki_cert_is_self_signed(cert);
    (void)mu_pki_cert_is_ca(cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_pki_certs list = {0}, chain = {0};
    const struct mu_pki_path_opts opts = {.now_s = 1763660000, .partial = true};
    struct mu_err err;
    if (mu_pki_certs_decode(mu_bytes(data, size), &list, &err) == MU_OK && list.n) {
        for (size_t i = 0; i < list.n; i++)
            look_at(list.v[i]);
        if (mu_pki_certs_chain(list.v[0], &list, &chain, &err) == MU_OK)
            (void)!mu_pki_path_check(list.v[0], &chain, &list, &opts, &err);
    }
    mu_pki_certs_clear(&chain);
    mu_pki_certs_clear(&list);
    return 0;
}
