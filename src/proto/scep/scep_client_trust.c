/* Whether the CA is ours to trust: pinned, known, given, or asked about (SCEP-29..31); and paths
 * up to it. Nothing is trusted by first sight. */
#include <stdlib.h>

#include "base/limits.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_client_internal.h"

enum mu_code mu_scep_client_ca_path(const struct mu_scep_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *more, int64_t now_s, struct mu_err *err)
{
    struct mu_pki_path_opts opts = {
        .now_s = now_s,
        .partial = c->trust != MU_SCEP_TRUST_KNOWN,
        .allow_legacy = c->config.allow_legacy,
    };
    struct mu_pki_certs pool = {.n = 0};
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < c->ca_certs.n && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&pool, c->ca_certs.v[i], err);
    for (i = 0; more != NULL && i < more->n && pool.n < MU_LIMIT_CERTS && rc == MU_OK; i++)
        rc = mu_pki_certs_add(&pool, more->v[i], err);
    if (rc == MU_OK)
        rc = mu_pki_path_check(cert, &pool, &c->anchors, &opts, err);
    mu_pki_certs_clear(&pool);
    return rc;
}

static void advise_fingerprint(const struct mu_pki_cert *ca, struct mu_err *err)
{
    struct mu_buf print = {.max = 256};

    if (mu_pki_cert_fingerprint(ca, MU_PKI_SHA256, &print))
        mu_err_next(err,
            "Compare SHA-256 %s with the operator of the CA, then trust it with "
            "`muster ca trust`, or give --pin.",
            mu_buf_str(&print));
    mu_buf_clear(&print);
}

static enum mu_code refuse_unknown(const struct mu_pki_cert *ca, struct mu_err *err)
{
    char name[MU_SCEP_NAME_TEXT];

    mu_err_set(err, MU_AUTH, MU_M(209), "scep: the CA \"%s\" is not known here",
        mu_scep_client_name(ca->subject, false, name));
    advise_fingerprint(ca, err);
    return MU_AUTH;
}

static enum mu_code refuse_pin(const struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_buf is = {.max = 256}, pinned = {.max = 256};
    size_t i;

    mu_pki_cert_fingerprint(c->ca, MU_PKI_SHA256, &is);
    for (i = 0; i < sizeof c->pin; i++)
        mu_buf_putf(&pinned, "%s%02X", i != 0 ? ":" : "", c->pin[i]);
    mu_err_set(err, MU_AUTH, MU_M(211), "scep: the CA's SHA-256 is %s, pinned is %s",
        mu_buf_str(&is), mu_buf_str(&pinned));
    mu_buf_clear(&is);
    mu_buf_clear(&pinned);
    return MU_AUTH;
}

/* The certificate the pin names: any CA of the list, the others have to lead up to it. */
static struct mu_pki_cert *pinned_ca(const struct mu_scep_client *c)
{
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        if (memcmp(c->ca_certs.v[i]->sha256, c->pin, sizeof c->pin) == 0
            && (c->ca_certs.v[i] == c->ca || mu_pki_cert_is_ca(c->ca_certs.v[i])))
            return c->ca_certs.v[i];
    }
    return NULL;
}

static const char *use_of(const struct mu_scep_client *c, const struct mu_pki_cert *cert)
{
    bool encrypts = cert == (c->ra_encrypt != NULL ? c->ra_encrypt : c->ca);
    bool signs = cert == (c->ra_sign != NULL ? c->ra_sign : c->ca);

    return signs && encrypts ? "loaded for signing and encryption"
        : signs             ? "loaded for signing"
        : encrypts          ? "loaded for encryption"
                            : "not used for messages";
}

static void trace_use(const struct mu_scep_client *c)
{
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        struct mu_pki_cert *cert = c->ca_certs.v[i];
        const char *use = use_of(c, cert);

        if (cert != c->ca && !mu_pki_cert_is_ca(cert))
            mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] RA, %s", i + 1, use);
        else if (c->trust == MU_SCEP_TRUST_PIN)
            mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] trusted by its pin, %s", i + 1, use);
        else if (c->config.trusted_as != NULL)
            mu_scep_client_trace(
                c, MU_TRACE_CA, "[%zu] trusted as %s, %s", i + 1, c->config.trusted_as, use);
        else
            mu_scep_client_trace(c, MU_TRACE_CA, "[%zu] trusted, %s", i + 1, use);
    }
}

/* The chain of the CA as far as it is known: what came and what is trusted. */
static enum mu_code chain_of_ca(
    const struct mu_scep_client *c, struct mu_pki_certs *chain, struct mu_err *err)
{
    const struct mu_pki_certs *lists[2] = {&c->ca_certs, &c->anchors};
    struct mu_pki_certs pool = {.n = 0};
    enum mu_code rc = MU_OK;
    size_t i, j;

    for (j = 0; j < 2; j++) {
        for (i = 0; i < lists[j]->n && rc == MU_OK; i++)
            rc = mu_pki_certs_add(&pool, lists[j]->v[i], err);
    }
    if (rc == MU_OK)
        rc = mu_pki_certs_chain(c->ca, &pool, chain, err);
    mu_pki_certs_clear(&pool);
    return rc;
}

/* S068: an intermediate CA whose root is nowhere to be found. MU_OK if there is a root. */
static enum mu_code check_root(const struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_pki_certs chain = {.n = 0};
    struct mu_pki_cert *top = c->ca;
    char name[MU_SCEP_NAME_TEXT], issuer[MU_SCEP_NAME_TEXT];
    enum mu_code rc;

    rc = chain_of_ca(c, &chain, err);
    if (rc == MU_OK && chain.n != 0)
        top = chain.v[chain.n - 1];
    if (rc == MU_OK && !mu_pki_name_equal(top->subject, top->issuer))
        rc = mu_err_set(err, MU_AUTH, MU_M(212),
            "scep: the issuer \"%s\" of the intermediate CA \"%s\" is missing",
            mu_scep_client_name(top->issuer, false, issuer),
            mu_scep_client_name(top->subject, false, name));
    mu_pki_certs_clear(&chain);
    return rc;
}

enum mu_code mu_scep_client_ca_check(const struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_pki_cert *use[3] = {c->ca, c->ra_sign, c->ra_encrypt};
    int64_t now_s = mu_env_now(c->config.env);
    char name[MU_SCEP_NAME_TEXT];
    enum mu_code rc;
    size_t i;

    for (i = 0; i < 3; i++) {
        if (use[i] == NULL || (i == 2 && use[i] == c->config.encrypt_to))
            continue;
        rc = mu_scep_client_ca_path(c, use[i], NULL, now_s, err);
        if (rc == MU_OK)
            continue;
        if (err != NULL && err->reason == MU_M(213) && check_root(c, err) != MU_OK)
            return MU_AUTH;
        if (err != NULL && err->reason == MU_M(213))
            mu_err_narrow(err, MU_M(209));
        mu_err_context(err, "scep: the %s \"%s\" is not known here", i == 0 ? "CA" : "RA",
            mu_scep_client_name(use[i]->subject, false, name));
        if (err != NULL && err->reason == MU_M(209))
            advise_fingerprint(c->ca, err);
        return rc;
    }
    return MU_OK;
}

static enum mu_code check_all(const struct mu_scep_client *c, struct mu_err *err)
{
    enum mu_code rc = mu_scep_client_ca_check(c, err);

    if (rc == MU_OK)
        trace_use(c);
    return rc;
}

static enum mu_code anchors_from(struct mu_scep_client *c, const struct mu_pki_certs *list,
    bool only_ca, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < list->n && rc == MU_OK; i++) {
        if (!only_ca || list->v[i] == c->ca || mu_pki_cert_is_ca(list->v[i]))
            rc = mu_pki_certs_add(&c->anchors, list->v[i], err);
    }
    return rc;
}

/* What the host shall look at: the certificate that trust would rest on first, then those below
 * it. An intermediate CA without its root cannot be asked about (S068). */
static enum mu_code prepare_question(struct mu_scep_client *c, struct mu_err *err)
{
    struct mu_pki_certs chain = {.n = 0};
    struct mu_pki_cert *top = c->ca;
    enum mu_code rc;
    size_t i;

    rc = check_root(c, err);
    if (rc == MU_OK)
        rc = chain_of_ca(c, &chain, err);
    if (rc != MU_OK)
        goto out;
    if (chain.n != 0)
        top = chain.v[chain.n - 1];
    mu_pki_certs_clear(&c->save);
    rc = mu_pki_certs_add(&c->save, top, err);
    for (i = chain.n; i > 0 && rc == MU_OK; i--) {
        if (chain.v[i - 1] != top)
            rc = mu_pki_certs_add(&c->save, chain.v[i - 1], err);
    }
    if (rc == MU_OK && top != c->ca)
        rc = mu_pki_certs_add(&c->save, c->ca, err);
out:
    mu_pki_certs_clear(&chain);
    return rc;
}

enum mu_code mu_scep_client_ca_pin(const struct mu_scep_client *c, struct mu_err *err)
{
    return !c->has_pin || pinned_ca(c) != NULL ? MU_OK : refuse_pin(c, err);
}

enum mu_code mu_scep_client_ca_trust(struct mu_scep_client *c, bool *ask, struct mu_err *err)
{
    struct mu_pki_cert *pinned;
    enum mu_code rc;

    if (c->has_pin) {
        pinned = pinned_ca(c);
        if (pinned == NULL)
            return refuse_pin(c, err);
        c->trust = MU_SCEP_TRUST_PIN;
        mu_scep_client_trace(c, MU_TRACE_TRUST, "the pinned SHA-256 matches");
        rc = mu_pki_certs_add(&c->anchors, pinned, err);
        return rc == MU_OK ? check_all(c, err) : rc;
    }
    if (c->trusted.n != 0) {
        c->trust = MU_SCEP_TRUST_KNOWN;
        rc = anchors_from(c, &c->trusted, false, err);
        return rc == MU_OK ? check_all(c, err) : rc;
    }
    if (c->config.op == MU_SCEP_CLIENT_CA)
        return MU_OK;
    if (c->ca_given) {
        c->trust = MU_SCEP_TRUST_GIVEN;
        rc = anchors_from(c, &c->ca_certs, true, err);
        return rc == MU_OK ? check_all(c, err) : rc;
    }
    *ask = true;
    return prepare_question(c, err);
}

enum mu_code mu_scep_client_ca_answer(struct mu_scep_client *c, bool yes, struct mu_err *err)
{
    struct mu_pki_cert *top = c->save.v[0];
    enum mu_code rc;

    if (!yes)
        return refuse_unknown(top, err);
    c->trust = MU_SCEP_TRUST_ASKED;
    rc = mu_pki_certs_add(&c->anchors, top, err);
    mu_pki_certs_clear(&c->save);
    return rc == MU_OK ? check_all(c, err) : rc;
}
