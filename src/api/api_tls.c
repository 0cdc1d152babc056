/* What a program makes the TLS of an enrollment with. */
#include "api/api_internal.h"

static const char *text_or_null(const struct mu_buf *text)
{
    return text->n > 0 && !text->failed ? mu_buf_str(text) : NULL;
}

const char *muster_enrollment_protocol(const struct muster_enrollment *e)
{
    return mu_proto_name(e->proto->proto);
}

/* Nothing of ours is shown to a server that nobody vouches for (EST-18). */
static bool shows(const struct muster_enrollment *e)
{
    return e->proto->proto == MU_PROTO_EST && !e->is_unverified && e->own.n > 0;
}

const char *muster_enrollment_tls_certificate_pem(struct muster_enrollment *e)
{
    mu_buf_reset(&e->tls_cert_pem);
    for (size_t i = 0; shows(e) && i < e->own.n; i++)
        if (i == 0 || !mu_pki_cert_is_self_signed(e->own.v[i])) /* the root is the server's to know */
            mu_pki_cert_to_pem(e->own.v[i], &e->tls_cert_pem);
    return text_or_null(&e->tls_cert_pem);
}

const char *muster_enrollment_tls_key_pem(struct muster_enrollment *e)
{
    mu_buf_reset(&e->tls_key_pem);
    if (!shows(e) || mu_pki_key_encode(e->own_key, NULL, &e->tls_key_pem, NULL) != MU_OK)
        return NULL;
    return text_or_null(&e->tls_key_pem);
}

const char *muster_enrollment_tls_trusted_pem(struct muster_enrollment *e)
{
    mu_buf_reset(&e->tls_trusted_pem);
    for (size_t i = 0; e->proto->proto == MU_PROTO_EST && i < e->trusted.n; i++)
        mu_pki_cert_to_pem(e->trusted.v[i], &e->tls_trusted_pem);
    return text_or_null(&e->tls_trusted_pem);
}
