/* Any octets as a body of EST: base64, PEM and the octets themselves; as multipart with the first
 * line as its Content-Type; as a target; as a channel binding. */
#include <stdlib.h>

#include "proto/est/est_body.h"
#include "proto/est/est_http.h"
#include "proto/est/est_link.h"
#include "proto/est/est_msg.h"
#include "proto/est/est_multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void body(struct mu_bytes in)
{
    struct mu_buf der = {0}, text = {0}, again = {0};
    struct mu_pki_certs certs = {0};

    if (mu_est_body_decode(in, &der, NULL) == MU_OK) {
        require(der.n != 0 && der.p[0] == 0x30);
        require(mu_est_body_encode(&text, mu_buf_bytes(&der), in.n & 1));
        require(mu_est_body_decode(mu_buf_bytes(&text), &again, NULL) == MU_OK);
        require(mu_bytes_equal(mu_buf_bytes(&der), mu_buf_bytes(&again)));
    }
    if (mu_est_msg_certs_decode(in, &certs, NULL) == MU_OK)
        require(certs.n != 0);
    mu_pki_certs_clear(&certs);
    mu_buf_clear(&der);
    mu_buf_clear(&text);
    mu_buf_clear(&again);
}

static void multipart(const char *type, struct mu_bytes in)
{
    struct mu_est_multipart m;
    size_t i;

    if (mu_est_multipart_decode(type, in, &m, NULL) != MU_OK)
        return;
    require(m.n <= MU_EST_MULTIPART_MAX);
    for (i = 0; i < m.n; i++) {
        require(m.parts[i].body.n <= in.n);
        require(m.parts[i].body.n == 0
            || (m.parts[i].body.p >= in.p && m.parts[i].body.p + m.parts[i].body.n <= in.p + in.n));
        body(m.parts[i].body);
    }
    (void)mu_est_multipart_get(&m, MU_EST_MEDIA_PKCS8);
}

static void target(struct mu_bytes in)
{
    struct mu_est_path path;
    struct mu_buf text = {0};

    mu_buf_put_str(&text, MU_EST_PATH);
    mu_buf_put(&text, in.p, in.n < 1000 ? in.n : 1000);
    if (mu_est_http_parse(mu_buf_str(&text), &path, NULL) == MU_OK)
        require(path.op < MU_EST_OP_N);
    mu_buf_clear(&text);
}

static void link_check(struct mu_bytes in)
{
    struct mu_http_peer peer = {.tls_exporter = mu_bytes("0123456789abcdef0123456789abcdef", 32)};
    struct mu_secret challenge = {0};

    if (mu_secret_set(&challenge, in, NULL) == MU_OK)
        (void)!mu_est_link_check(&challenge, &peer, NULL);
    mu_secret_clear(&challenge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lf = size != 0 ? memchr(data, '\n', size) : NULL;
    char type[256];

    body(mu_bytes(data, size));
    target(mu_bytes(data, size));
    link_check(mu_bytes(data, size < 200 ? size : 200));
    if (lf == NULL || (size_t)(lf - data) >= sizeof type)
        return 0;
    memcpy(type, data, (size_t)(lf - data));
    type[lf - data] = '\0';
    multipart(type, mu_bytes(lf + 1, size - (size_t)(lf + 1 - data)));
    return 0;
}
