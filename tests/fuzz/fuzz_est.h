/* What the targets of EST's engines share: a fixed clock, repeatable randomness, test keys and
 * certificates, made once. The keys protect nothing. */
#ifndef MU_TEST_FUZZ_EST_H
#define MU_TEST_FUZZ_EST_H

#include <stdlib.h>

#include "../unit/proto/scep/world_keys.h"
#include "base/env.h"
#include "pki/pki_cert.h"
#include "pki/pki_csr.h"
#include "pki/pki_name.h"

#define FUZZ_NOW 1763660000

static void require(bool fact)
{
    if (!fact)
        abort();
}

static int64_t fuzz_now(void *ctx)
{
    (void)ctx;
    return FUZZ_NOW;
}

static bool fuzz_random(void *ctx, uint8_t *p, size_t n)
{
    size_t i;

    (void)ctx;
    for (i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + 1);
    return true;
}

static void fuzz_trace(void *ctx, const struct mu_trace_event *event)
{
    (void)ctx;
    require(event->text != NULL);
}

static const struct mu_env fuzz_env = {fuzz_now, fuzz_random, fuzz_trace, NULL};

static struct mu_pki_key *fuzz_key(const char *pem)
{
    struct mu_pki_key *key = NULL;

    require(mu_pki_key_decode(mu_bytes_str(pem), NULL, &key, NULL) == MU_OK);
    return key;
}

/* For spki; issuer NULL: itself, and a CA. */
static struct mu_pki_cert *fuzz_cert(const char *subject, struct mu_bytes spki,
    const struct mu_pki_cert *issuer, struct mu_pki_key *issuer_key)
{
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes("\x11\x22", 2),
        .not_before_s = FUZZ_NOW - 86400, .not_after_s = FUZZ_NOW + 86400, .spki = spki};
    struct mu_buf name = {0}, exts = {0}, der = {0};
    struct mu_pki_cert *cert = NULL;
    size_t mark;

    require(mu_pki_name_parse(subject, &name, NULL) == MU_OK);
    tbs.subject = mu_buf_bytes(&name);
    tbs.issuer = issuer != NULL ? issuer->subject : tbs.subject;
    mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    mu_pki_ext_put_basic(&exts, true, issuer == NULL, -1);
    mu_der_close(&exts, mark);
    tbs.extensions = mu_buf_bytes(&exts);
    require(mu_pki_cert_make(&tbs, issuer_key, MU_PKI_SHA256, &der, NULL) == MU_OK);
    require(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, NULL) == MU_OK);
    mu_buf_clear(&name);
    mu_buf_clear(&exts);
    mu_buf_clear(&der);
    return cert;
}

#endif
