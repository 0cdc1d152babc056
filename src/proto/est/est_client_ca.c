/* cacerts: what came, whether it is ours to trust, and what of it old roots vouch for. */
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client_internal.h"

struct ext_cookie {
    const struct mu_est_client *c;
    size_t number;
};

static void trace_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    const struct ext_cookie *e = cookie;
    struct mu_buf text = {.max = 4096};
    char title[64];

    if (mu_pki_ext_format(oid, value, &text))
        mu_est_client_trace(e->c, MU_TRACE_CA, "[%zu] %s:%s %s", e->number,
            mu_pki_ext_title(oid, title), critical ? " critical," : "", mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void trace_cert(const struct mu_est_client *c, size_t number, const struct mu_pki_cert *cert)
{
    char subject[MU_EST_NAME_TEXT], issuer[MU_EST_NAME_TEXT];
    struct mu_buf serial = {.max = 256}, print = {.max = 256};
    struct ext_cookie ext = {c, number};

    if (!mu_trace_on(c->config.env))
        return;
    mu_pki_cert_serial_trace(cert->serial, &serial);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &print);
    mu_est_client_trace(c, MU_TRACE_CA, "[%zu] version %d, serial %s, issuer %s, subject %s", number,
        cert->version, mu_buf_str(&serial), mu_est_client_name(cert->issuer, issuer),
        mu_est_client_name(cert->subject, subject));
    if (cert->exts.all.p != NULL)
        mu_pki_ext_each(cert->exts.all, trace_ext, &ext);
    mu_est_client_trace(c, MU_TRACE_CA, "[%zu] SHA-256 %s", number, mu_buf_str(&print));
    mu_buf_clear(&serial);
    mu_buf_clear(&print);
}

enum mu_code mu_est_client_ca_take(
    struct mu_est_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    struct mu_pki_certs certs = {.n = 0};
    struct mu_buf der = {.max = MU_LIMIT_REPLY};
    enum mu_code rc;
    size_t i;

    rc = mu_est_body_decode(mu_buf_bytes(&response->body), &der, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_decode(mu_buf_bytes(&der), &certs, err);
    mu_buf_clear(&der);
    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no certificate in it");
    if (rc != MU_OK) {
        mu_pki_certs_clear(&certs);
        mu_err_narrow(err, MU_REASON_NONE);
        mu_err_context(err, "est: the answer to cacerts (%zu bytes, RFC 7030 4.1.3)", response->body.n);
        return rc;
    }
    mu_pki_certs_clear(&c->ca_certs);
    c->ca_certs = certs;
    c->has_ca = true;
    mu_est_client_trace(
        c, MU_TRACE_CA, "%zu certificate%s", certs.n, certs.n == 1 ? "" : "s");
    for (i = 0; i < certs.n; i++)
        trace_cert(c, i + 1, certs.v[i]);
    return MU_OK;
}

/* ---- paths ---- */

enum mu_code mu_est_client_ca_path(const struct mu_est_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *more, int64_t now_s, struct mu_err *err)
{
    struct mu_pki_path_opts opts = {
        .now_s = now_s,
        .partial = c->is_asked,
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

static bool is_anchor(const struct mu_est_client *c, const struct mu_pki_cert *cert)
{
    size_t i;

    for (i = 0; i < c->anchors.n; i++) {
        if (mu_pki_cert_equal(c->anchors.v[i], cert))
            return true;
    }
    return false;
}

/* A new root is trusted if an old one signed its name and key: NewWithOld (RFC 9810 4.4.2). Both
 * have to be valid, since the link is checked as any path is. */
static bool has_link(const struct mu_est_client *c, struct mu_pki_cert *root, int64_t now_s)
{
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        struct mu_pki_cert *link = c->ca_certs.v[i];

        if (link != root && mu_pki_name_equal(link->subject, root->subject)
            && mu_bytes_equal(link->spki, root->spki) && !mu_pki_cert_is_self_signed(link)
            && mu_pki_cert_is_ca(link) && now_s >= root->not_before_s && now_s <= root->not_after_s
            && mu_est_client_ca_path(c, link, NULL, now_s, NULL) == MU_OK)
            return true;
    }
    return false;
}

/* Roots that the present anchors vouch for become anchors (EST-35). */
static enum mu_code follow_links(struct mu_est_client *c, struct mu_err *err)
{
    int64_t now_s = mu_env_now(c->config.env);
    char name[MU_EST_NAME_TEXT];
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < c->ca_certs.n && rc == MU_OK; i++) {
        struct mu_pki_cert *root = c->ca_certs.v[i];

        if (!mu_pki_cert_is_ca(root) || is_anchor(c, root) || !mu_pki_cert_is_self_signed(root)
            || !has_link(c, root, now_s))
            continue;
        mu_est_client_trace(c, MU_TRACE_CA, "[%zu] new root %s, vouched for by the old one", i + 1,
            mu_est_client_name(root->subject, name));
        rc = mu_pki_certs_add(&c->anchors, root, err);
    }
    return rc;
}

/* Did ca issue some other CA of the list? */
static bool has_ca_below(const struct mu_pki_certs *list, const struct mu_pki_cert *ca)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (mu_pki_cert_is_ca(list->v[i]) && mu_pki_name_equal(list->v[i]->issuer, ca->subject)
            && !mu_pki_name_equal(list->v[i]->subject, ca->subject))
            return true;
    }
    return false;
}

/* The one that issues, as far as one can see: the lowest; of roots with one name the newest
 * (EST-36). */
static struct mu_pki_cert *choose_ca(const struct mu_est_client *c, bool verified)
{
    int64_t now_s = mu_env_now(c->config.env);
    struct mu_pki_cert *best = NULL;
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        struct mu_pki_cert *cert = c->ca_certs.v[i];

        if ((!mu_pki_cert_is_ca(cert) && c->ca_certs.n > 1) || has_ca_below(&c->ca_certs, cert)
            || (verified && mu_est_client_ca_path(c, cert, NULL, now_s, NULL) != MU_OK))
            continue;
        if (best == NULL || (mu_pki_name_equal(best->subject, cert->subject)
                                && cert->not_after_s > best->not_after_s))
            best = cert;
    }
    return best;
}

/* EST-37: what does not verify is not used, and said so. */
static void trace_unverified(struct mu_est_client *c)
{
    int64_t now_s = mu_env_now(c->config.env);
    struct mu_err why = {.code = MU_OK};
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        if (mu_est_client_ca_path(c, c->ca_certs.v[i], NULL, now_s, &why) != MU_OK)
            mu_est_client_trace(c, MU_TRACE_CA, "[%zu] not used: %s", i + 1, why.what);
    }
}

/* ---- trust ---- */

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
    char name[MU_EST_NAME_TEXT];

    mu_err_set(err, MU_AUTH, MU_M(209), "est: the CA \"%s\" is not known here",
        mu_est_client_name(ca->subject, name));
    advise_fingerprint(ca, err);
    return MU_AUTH;
}

static struct mu_pki_cert *pinned_ca(const struct mu_est_client *c)
{
    size_t i;

    for (i = 0; i < c->ca_certs.n; i++) {
        if (memcmp(c->ca_certs.v[i]->sha256, c->pin, sizeof c->pin) == 0
            && (c->ca_certs.n == 1 || mu_pki_cert_is_ca(c->ca_certs.v[i])))
            return c->ca_certs.v[i];
    }
    return NULL;
}

static enum mu_code refuse_pin(const struct mu_est_client *c, struct mu_err *err)
{
    struct mu_buf is = {.max = 256}, pinned = {.max = 256};
    struct mu_pki_cert *shown = choose_ca(c, false);

    mu_pki_cert_fingerprint(shown != NULL ? shown : c->ca_certs.v[0], MU_PKI_SHA256, &is);
    mu_text_hex(&pinned, mu_bytes(c->pin, sizeof c->pin), ':');
    mu_err_set(err, MU_AUTH, MU_M(211), "est: the CA's SHA-256 is %s, pinned is %s",
        mu_buf_str(&is), mu_buf_str(&pinned));
    mu_buf_clear(&is);
    mu_buf_clear(&pinned);
    return MU_AUTH;
}

/* With the anchors complete: choose, and tell what is not used. */
static enum mu_code settle(struct mu_est_client *c, struct mu_err *err)
{
    const struct mu_est_client_config *config = &c->config;
    struct mu_pki_cert *shown;
    enum mu_code rc = follow_links(c, err);

    if (rc != MU_OK)
        return rc;
    trace_unverified(c);
    c->ca = choose_ca(c, true);
    if (c->ca == NULL) {
        shown = choose_ca(c, false);
        return refuse_unknown(shown != NULL ? shown : c->ca_certs.v[0], err);
    }
    mu_est_client_trace(c, MU_TRACE_CA, "saved for %s, source address %s, CA identifier %s",
        config->url, config->source_ip != NULL ? config->source_ip : "none",
        config->label != NULL && config->label[0] != '\0' ? config->label : "none");
    return MU_OK;
}

/* What trust would rest on first, then the others: the root of the one that issues, the newest of
 * its name (EST-36). */
static enum mu_code prepare_question(struct mu_est_client *c, struct mu_err *err)
{
    struct mu_pki_cert *top = choose_ca(c, false), *root;
    struct mu_pki_certs chain = {.n = 0};
    char name[MU_EST_NAME_TEXT], issuer[MU_EST_NAME_TEXT];
    enum mu_code rc;
    size_t i;

    if (top == NULL)
        top = c->ca_certs.v[0];
    rc = mu_pki_certs_chain(top, &c->ca_certs, &chain, err);
    root = rc == MU_OK && chain.n != 0 ? chain.v[chain.n - 1] : top;
    if (rc == MU_OK && !mu_pki_name_equal(root->subject, root->issuer))
        rc = mu_err_set(err, MU_AUTH, MU_M(212),
            "est: the issuer \"%s\" of the intermediate CA \"%s\" is missing",
            mu_est_client_name(root->issuer, issuer), mu_est_client_name(root->subject, name));
    mu_pki_certs_clear(&c->save);
    if (rc == MU_OK)
        rc = mu_pki_certs_add(&c->save, root, err);
    for (i = 0; i < c->ca_certs.n && rc == MU_OK; i++) {
        if (c->ca_certs.v[i] != root)
            rc = mu_pki_certs_add(&c->save, c->ca_certs.v[i], err);
    }
    mu_pki_certs_clear(&chain);
    return rc;
}

enum mu_code mu_est_client_ca_trust(struct mu_est_client *c, bool *ask, struct mu_err *err)
{
    struct mu_pki_cert *pinned;
    enum mu_code rc;

    *ask = false;
    if (c->has_pin) {
        pinned = pinned_ca(c);
        if (pinned == NULL && (c->config.bootstrap || c->trusted.n == 0))
            return refuse_pin(c, err);
        if (pinned != NULL) {
            mu_est_client_trace(c, MU_TRACE_TRUST, "the pinned SHA-256 matches");
            c->is_asked = true;
            rc = mu_pki_certs_add(&c->anchors, pinned, err);
            return rc == MU_OK ? settle(c, err) : rc;
        }
    }
    if (c->trusted.n != 0 && !c->config.bootstrap) {
        rc = follow_links(c, err);
        /* The server was vouched for, the CA behind it was not: some have two. A person may know. */
        *ask = rc == MU_OK && c->config.op != MU_EST_CLIENT_CA && choose_ca(c, true) == NULL;
        if (rc != MU_OK || *ask)
            return rc == MU_OK ? prepare_question(c, err) : rc;
        return settle(c, err);
    }
    /* A probe that knows nothing yet only looks. */
    if (c->config.op == MU_EST_CLIENT_CA && !c->config.bootstrap) {
        c->ca = choose_ca(c, false);
        return MU_OK;
    }
    *ask = true;
    return prepare_question(c, err);
}

enum mu_code mu_est_client_ca_answer(struct mu_est_client *c, bool yes, struct mu_err *err)
{
    struct mu_pki_cert *top = c->save.v[0];
    enum mu_code rc;

    if (!yes)
        return refuse_unknown(top, err);
    c->is_asked = true;
    rc = mu_pki_certs_add(&c->anchors, top, err);
    mu_pki_certs_clear(&c->save);
    return rc == MU_OK ? settle(c, err) : rc;
}
