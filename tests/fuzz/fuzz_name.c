/* Names both ways: octets as DER of a Name and of GeneralNames, and as text. What parses must
 * format, and what formats in the comma form must parse to an equal name. */
#include <stdlib.h>
#include <string.h>

#include "pki/pki_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_der(struct mu_bytes in)
{
    struct mu_buf out = {0}, san = {0};
    for (int style = MU_PKI_NAME_SLASH; style <= MU_PKI_NAME_SPACED; style++) {
        mu_buf_reset(&out);
        if (mu_pki_name_format(in, (enum mu_pki_name_style)style, &out) && !mu_pki_name_valid(in))
            abort();
    }
    if (!mu_pki_name_equal(in, in))
        abort();
    mu_pki_name_get(in, "CN", &san);
    mu_buf_reset(&san);
    if (mu_pki_san_format(in, &san) && !mu_pki_san_equal(in, in))
        abort();
    mu_buf_clear(&out);
    mu_buf_clear(&san);
}

static void as_text(const char *text)
{
    struct mu_buf der = {0}, again = {0}, shown = {0};
    struct mu_err err;
    if (mu_pki_name_parse(text, &der, &err) == MU_OK
        && !mu_pki_name_format(mu_buf_bytes(&der), MU_PKI_NAME_COMMA, &shown))
        abort();
    /* control characters are shown, not repeated */
    if (der.n && !strstr(mu_buf_str(&shown), "\\x")
        && (mu_pki_name_parse(mu_buf_str(&shown), &again, &err) != MU_OK
            || !mu_pki_name_equal(mu_buf_bytes(&der), mu_buf_bytes(&again))))
        abort();
    mu_buf_reset(&der);
    mu_buf_reset(&shown);
    if (mu_pki_san_parse(text, &der, &err) == MU_OK
        && !mu_pki_san_format(mu_buf_bytes(&der), &shown))
        abort();
    mu_buf_clear(&der);
    mu_buf_clear(&again);
    mu_buf_clear(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_der(mu_bytes(data, size));
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    as_text(text);
    free(text);
    return 0;
}
