/* Any bytes to the DER reader and to the BER converter. What the converter lets through must have
 * definite, minimal lengths, and converting it again must change nothing. */
#include <stdlib.h>

#include "base/der.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* Reads every element as everything it could be. */
static void read_all(struct mu_bytes in, unsigned depth)
{
    struct mu_buf text = {0};
    struct mu_bytes bits;
    struct mu_der el;
    int64_t v;

    while (mu_der_next(&in, &el)) {
        (void)!mu_der_int(el.value, &v);
        (void)!mu_der_bits(el.value, &bits);
        (void)!mu_der_time(&el, &v);
        (void)!mu_der_string(&el, &text);
        mu_buf_reset(&text);
        if (mu_der_oid_format(el.value, &text) && el.value.n < 100)
            require(mu_der_oid_is(el.value, mu_buf_str(&text)));
        mu_buf_reset(&text);
        if ((el.tag & 0x20) != 0 && depth != 0)
            read_all(el.value, depth - 1);
    }
    mu_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_bytes in = mu_bytes(data, size);
    struct mu_buf der, again;
    size_t rest_n = 0;

    mu_buf_init(&der, 2 * size + 64);
    mu_buf_init(&again, 2 * size + 64);
    read_all(in, MU_LIMIT_DEPTH);
    if (mu_der_valid(in, MU_LIMIT_DEPTH))
        require(mu_der_from_ber(in, &der, NULL, NULL) == MU_OK);
    mu_buf_reset(&der);
    if (mu_der_from_ber(in, &der, &rest_n, NULL) == MU_OK) {
        struct mu_bytes out = mu_buf_bytes(&der), first = mu_bytes(data, size - rest_n);
        struct mu_der el;

        require(mu_der_is_definite(out));
        require(mu_der_is_definite(first) == mu_bytes_equal(first, out));
        require(mu_der_from_ber(out, &again, NULL, NULL) == MU_OK);
        require(mu_bytes_equal(out, mu_buf_bytes(&again)));
        require(mu_der_next(&out, &el) && out.n == 0);
    } else {
        require(der.n == 0 && !mu_der_is_definite(in));
    }
    mu_buf_clear(&der);
    mu_buf_clear(&again);
    return 0;
}
