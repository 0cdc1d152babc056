/* Path validation (RFC 5280 6) by OpenSSL, with our clock. Not on the way of an enrollment: the
 * conversion to X509 costs more than everything else the path needs. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/time.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

/* OpenSSL's levels: 2 asks for RSA 2048, EC 224 and SHA-2 along the path, 0 for nothing. */
enum { LEVEL_LEGACY = 0, LEVEL_STRICT = 2 };

static X509 *to_x509(const struct mu_pki_cert *cert)
{
    const uint8_t *p = cert->der.p;
    return d2i_X509(NULL, &p, (long)cert->der.n);
}

static bool is_among(const struct mu_pki_cert *cert, const struct mu_pki_certs *list)
{
    for (size_t i = 0; list && i < list->n; i++)
        if (mu_pki_cert_equal(list->v[i], cert))
            return true;
    return false;
}

/* A CA and its successor may have the same name, and without key identifiers OpenSSL takes the one
 * that lives longer. So who did not sign is left out, where there are several. */
static bool is_only_namesake(struct mu_pki_cert *cert, struct mu_pki_cert *leaf, bool ambiguous)
{
    return ambiguous && !mu_pki_cert_equal(cert, leaf)
        && mu_pki_name_equal(cert->subject, leaf->issuer)
        && mu_pki_cert_verify(leaf, cert, true, NULL) != MU_OK;
}

/* Those of list that could have issued leaf by their name, without those of other. */
static size_t count_issuers(const struct mu_pki_cert *leaf, const struct mu_pki_certs *list,
    const struct mu_pki_certs *other)
{
    size_t n = 0;
    for (size_t i = 0; list && i < list->n; i++)
        n += mu_pki_name_equal(list->v[i]->subject, leaf->issuer) && !is_among(list->v[i], other);
    return n;
}

/* Neither an anchor nor the leaf itself helps as an intermediate: the first is looked for among the
 * anchors, and the second is where the path begins. They are not converted again: decoding a key
 * costs OpenSSL more than verifying a signature with it. */
static STACK_OF(X509) *to_stack(const struct mu_pki_certs *certs, struct mu_pki_cert *leaf,
    const struct mu_pki_certs *anchors, bool ambiguous)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    for (size_t i = 0; stack && certs && i < certs->n; i++) {
        if (mu_pki_cert_equal(certs->v[i], leaf) || is_among(certs->v[i], anchors)
            || is_only_namesake(certs->v[i], leaf, ambiguous))
            continue;
        X509 *x = to_x509(certs->v[i]);
        if (x && !sk_X509_push(stack, x))
            X509_free(x);
    }
    return stack;
}

static X509_STORE *to_store(const struct mu_pki_certs *anchors, struct mu_pki_cert *leaf,
    X509 *leaf_x, bool ambiguous)
{
    X509_STORE *store = X509_STORE_new();
    for (size_t i = 0; store && anchors && i < anchors->n; i++) {
        if (is_only_namesake(anchors->v[i], leaf, ambiguous))
            continue;
        bool is_leaf = leaf_x && mu_pki_cert_equal(anchors->v[i], leaf);
        X509 *x = is_leaf && X509_up_ref(leaf_x) ? leaf_x : to_x509(anchors->v[i]);
        if (x)
            X509_STORE_add_cert(store, x);
        X509_free(x);
    }
    return store;
}

static void set_options(X509_STORE_CTX *ctx, const struct mu_pki_path_opts *opts)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    unsigned long flags = 0;
    if (opts->partial)
        flags |= X509_V_FLAG_PARTIAL_CHAIN;
    if (opts->any_time)
        flags |= X509_V_FLAG_NO_CHECK_TIME;
    X509_VERIFY_PARAM_set_flags(param, flags);
    if (!opts->any_time) /* a time given would be checked in spite of the flag */
        X509_VERIFY_PARAM_set_time(param, (time_t)opts->now_s);
    X509_VERIFY_PARAM_set_auth_level(param, opts->allow_legacy ? LEVEL_LEGACY : LEVEL_STRICT);
}

/* Subject or issuer of x for a message. */
static void name_of(X509 *x, bool issuer, char *buf, size_t size)
{
    uint8_t *der = NULL;
    int n =
        x ? i2d_X509_NAME(issuer ? X509_get_issuer_name(x) : X509_get_subject_name(x), &der) : 0;
    mu_pki_name_text(mu_bytes(der, n > 0 ? (size_t)n : 0), buf, size);
    OPENSSL_free(der);
}

static enum mu_code bad_time(X509 *x, int error, const struct mu_pki_path_opts *opts,
    struct mu_err *err)
{
    char name[160], date[MU_TIME_TEXT], now[MU_TIME_TEXT];
    struct tm tm = {0};
    bool expired = error == X509_V_ERR_CERT_HAS_EXPIRED;
    struct mu_time_civil civil;
    int64_t t = 0;
    ASN1_TIME_to_tm(expired ? X509_get0_notAfter(x) : X509_get0_notBefore(x), &tm);
    civil = (struct mu_time_civil){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
        tm.tm_min, tm.tm_sec};
    (void)mu_time_from_civil(&civil, &t);
    name_of(x, false, name, sizeof(name));
    mu_err_set(err, MU_AUTH, expired ? MU_M(213) : MU_M(802),
        "the certificate \"%s\" %s %s; now is %s", name,
        expired ? "expired on" : "is not valid before", mu_time_plain(t, date),
        mu_time_plain(opts->now_s, now));
    if (expired) {
        mu_err_likely(err, "It was not renewed, or the clock here is wrong.");
        mu_err_next(err, "Check the clock; ask the CA for a valid certificate.");
    }
    return MU_AUTH;
}

static bool is_missing_issuer(int error)
{
    return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        || error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static bool is_weak(int error)
{
    return error == X509_V_ERR_EE_KEY_TOO_SMALL || error == X509_V_ERR_CA_KEY_TOO_SMALL
        || error == X509_V_ERR_CA_MD_TOO_WEAK;
}

/* The store's verdict as a sentence. */
static enum mu_code refused(X509_STORE_CTX *ctx, const struct mu_pki_path_opts *opts,
    struct mu_err *err)
{
    char subject[160], issuer[160];
    int error = X509_STORE_CTX_get_error(ctx);
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    if (x && (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID))
        return bad_time(x, error, opts, err);
    name_of(x, false, subject, sizeof(subject));
    name_of(x, true, issuer, sizeof(issuer));
    if (is_missing_issuer(error) && X509_STORE_CTX_get_error_depth(ctx) > 0)
        return mu_err_set(err, MU_AUTH, MU_M(212),
            "the issuer \"%s\" of the intermediate CA \"%s\" is missing", issuer, subject);
    if (is_missing_issuer(error))
        return mu_err_set(err, MU_AUTH, MU_M(213),
            "the certificate \"%s\" does not verify with the CA you named: its issuer is \"%s\"",
            subject, issuer);
    if (is_weak(error))
        return mu_err_set(err, MU_AUTH, MU_M(705), "the certificate \"%s\" is weak or legacy: %s",
            subject, X509_verify_cert_error_string(error));
    return mu_err_set(err, MU_AUTH, MU_M(213),
        "the certificate \"%s\" does not verify with the CA you named: %s (RFC 5280 6.1)", subject,
        X509_verify_cert_error_string(error));
}

enum mu_code mu_pki_path_check(struct mu_pki_cert *leaf, const struct mu_pki_certs *intermediates,
    const struct mu_pki_certs *anchors, const struct mu_pki_path_opts *opts, struct mu_err *err)
{
    bool ambiguous =
        count_issuers(leaf, anchors, NULL) + count_issuers(leaf, intermediates, anchors) > 1;
    X509 *x = to_x509(leaf);
    STACK_OF(X509) *untrusted = to_stack(intermediates, leaf, anchors, ambiguous);
    X509_STORE *store = to_store(anchors, leaf, x, ambiguous);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    enum mu_code rc = MU_OK;
    if (!x) {
        rc = mu_pki_ossl_fail(err, MU_INPUT, MU_REFUSE_MALFORMED, "the certificate is malformed");
        goto out;
    }
    if (!untrusted || !store || !ctx || X509_STORE_CTX_init(ctx, store, x, untrusted) != 1) {
        rc = mu_pki_ossl_fail(err, MU_MEMORY, MU_REASON_NONE, "cannot prepare path validation");
        goto out;
    }
    set_options(ctx, opts);
    if (X509_verify_cert(ctx) != 1)
        rc = refused(ctx, opts, err);
out:
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_pop_free(untrusted, X509_free);
    X509_free(x);
    return rc;
}
