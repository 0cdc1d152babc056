/* From settings to a key, a request and a client's configuration. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "http/http_url.h"
#include "pki/pki_identity.h"
#include "pki/pki_name.h"

bool mu_agent_engine_makes_csr(const struct mu_agent_settings *settings)
{
    return mu_agent_settings_is_est(settings);
}

/* M201: EST is HTTPS only (RFC 7030 3.3). */
static enum mu_code check_est_url(const struct mu_agent_settings *settings, struct mu_err *err)
{
    if (!mu_agent_settings_is_est(settings) || settings->url == NULL
        || mu_agent_url_is_tls(settings->url))
        return MU_OK;
    return mu_err_set(
        err, MU_INPUT, MU_M(201), "EST does not work over http:// (RFC 7030 3.3)");
}

enum mu_code mu_agent_settings_complete(
    const struct mu_agent_settings *settings, bool online, struct mu_err *err)
{
    const char *lacks = NULL, *flag = NULL;

    if (online && settings->protocol == NULL) {
        lacks = "a protocol";
        flag = "--via scep, --via est or --via cmp";
    } else if (online && settings->url == NULL) {
        lacks = "the URL of the CA";
        flag = "--url URL";
    } else if (online && mu_agent_settings_is_cmp(settings) && settings->ref == NULL
        && settings->client_cert == NULL) {
        lacks = "a reference and its secret, or a certificate to sign with";
        flag = "--ref REFERENCE --secret-file FILE, or --client-cert NAME";
    } else if (settings->subject == NULL && settings->san == NULL
        && !(online && mu_agent_settings_is_cmp(settings) && settings->ask_template > 0)) {
        lacks = "a name to ask for";
        flag = "--subject /CN=...";
    }
    if (lacks == NULL)
        return online ? check_est_url(settings, err) : MU_OK;
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the request lacks %s", lacks);
    mu_err_next(err, "give it with %s", flag);
    return MU_INPUT;
}

enum mu_code mu_agent_key_spec(const struct mu_agent_settings *settings, bool allow_legacy,
    struct mu_pki_key_spec *out, struct mu_err *err)
{
    bool is_scep = settings->protocol != NULL && strcmp(settings->protocol, "scep") == 0;
    const char *word = settings->key != NULL ? settings->key : is_scep ? "rsa:2048" : "ec:P-256";

    return mu_pki_key_spec_parse(word, allow_legacy || settings->allow_legacy > 0, out, err);
}

/* ---- the request ---- */

static enum mu_code put_usages(
    const struct mu_agent_settings *settings, struct mu_buf *exts, struct mu_err *err)
{
    unsigned usage = 0, eku = 0;
    enum mu_code rc = MU_OK;

    if (settings->key_usage != NULL)
        rc = mu_pki_key_usage_parse(settings->key_usage, &usage, err);
    if (rc == MU_OK && settings->eku != NULL)
        rc = mu_pki_eku_parse(settings->eku, &eku, err);
    if (rc != MU_OK)
        return rc;
    if (usage != 0)
        mu_pki_ext_put_key_usage(exts, true, usage);
    if (eku != 0)
        mu_pki_ext_put_eku(exts, eku);
    if (settings->template_name != NULL)
        mu_pki_ext_put_template_name(exts, settings->template_name);
    return MU_OK;
}

/* The names to ask for: the certificate's if there is one, else those of the settings. */
static enum mu_code put_names(const struct mu_agent_settings *settings,
    const struct mu_pki_cert *present, struct mu_buf *subject, struct mu_buf *san,
    struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (present != NULL)
        mu_buf_put_bytes(subject, present->subject);
    else if (settings->subject != NULL)
        rc = mu_pki_name_parse(settings->subject, subject, err);
    if (rc != MU_OK)
        return rc;
    if (present != NULL && present->exts.san.n > 0)
        mu_buf_put_bytes(san, present->exts.san);
    else if (settings->san != NULL)
        rc = mu_pki_san_parse(settings->san, san, err);
    return rc;
}

/* Extensions of the settings, or nothing at all. */
static enum mu_code extensions_of_settings(const struct mu_agent_settings *settings,
    struct mu_bytes san, bool san_critical, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf exts = {0};
    size_t at = mu_der_open(&exts, MU_DER_SEQUENCE);
    enum mu_code rc;

    if (san.n > 0)
        mu_pki_ext_put_san(&exts, san_critical, san);
    if ((rc = put_usages(settings, &exts, err)) != MU_OK)
        goto out;
    mu_der_close(&exts, at);
    if ((rc = mu_buf_check(&exts, "requested extensions", err)) != MU_OK)
        goto out;
    if (exts.n > 2) /* more than an empty SEQUENCE */
        mu_buf_put_bytes(out, mu_buf_bytes(&exts));
out:
    mu_buf_clear(&exts);
    return rc;
}

struct take_over {
    struct mu_buf *exts;
    bool same_key;
};

static void take_over_one(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    /* Basic Constraints, Key Usage, names, key identifiers, EKU: E108. What the CA adds on its own
     * (CRL and OCSP places, policies) is not ours to ask for. */
    static const char *const kept[] = {
        "2.5.29.19", "2.5.29.15", "2.5.29.17", "2.5.29.14", "2.5.29.35", "2.5.29.37"};
    const struct take_over *to = cookie;

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(oid, kept[i]) == 0 && (to->same_key || strcmp(oid, "2.5.29.14") != 0))
            mu_pki_ext_put(to->exts, oid, critical, value);
}

static enum mu_code extensions_of_certificate(
    const struct mu_pki_cert *present, bool same_key, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf exts = {0};
    struct take_over to = {&exts, same_key};
    size_t at = mu_der_open(&exts, MU_DER_SEQUENCE);
    enum mu_code rc = MU_OK;

    if (present->exts.all.n > 0 && !mu_pki_ext_each(present->exts.all, take_over_one, &to))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the extensions of the present certificate cannot be read");
    mu_der_close(&exts, at);
    if (rc == MU_OK)
        rc = mu_buf_check(&exts, "requested extensions", err);
    if (rc == MU_OK && exts.n > 2)
        mu_buf_put_bytes(out, mu_buf_bytes(&exts));
    mu_buf_clear(&exts);
    return rc;
}

enum mu_code mu_agent_request_parts(const struct mu_agent_settings *settings,
    const struct mu_pki_cert *present, bool same_key, struct mu_buf *subject,
    struct mu_buf *extensions, struct mu_err *err)
{
    struct mu_buf san = {0};
    enum mu_code rc;

    if (present != NULL) {
        mu_buf_put_bytes(subject, present->subject);
        rc = extensions_of_certificate(present, same_key, extensions, err);
    } else {
        if ((rc = put_names(settings, NULL, subject, &san, err)) == MU_OK)
            rc = extensions_of_settings(settings, mu_buf_bytes(&san),
                mu_pki_name_is_empty(mu_buf_bytes(subject)), extensions, err);
    }
    if (rc == MU_OK)
        rc = mu_buf_check(subject, "a subject", err);
    if (rc == MU_OK)
        rc = mu_buf_check(extensions, "requested extensions", err);
    mu_buf_clear(&san);
    return rc;
}

enum mu_code mu_agent_make_csr(const struct mu_agent_settings *settings,
    const struct mu_pki_cert *present, const struct mu_agent_template *tmpl, const struct mu_secret *challenge,
    const struct mu_pki_key *key, struct mu_buf *der, struct mu_err *err)
{
    struct mu_buf subject = {0}, san = {0}, exts = {0};
    struct mu_pki_csr_params params = {.challenge = challenge};
    enum mu_code rc;

    if (settings->digest != NULL && !mu_pki_digest_parse(settings->digest, &params.digest))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the digest is unknown");
    if ((rc = put_names(settings, present, &subject, &san, err)) != MU_OK)
        goto out;
    if ((rc = mu_buf_check(&subject, "a subject", err)) != MU_OK)
        goto out;
    rc = extensions_of_settings(settings, mu_buf_bytes(&san),
        mu_pki_name_is_empty(mu_buf_bytes(&subject)), &exts, err);
    if (rc != MU_OK)
        goto out;
    if (tmpl != NULL && present == NULL && (rc = mu_agent_template_apply(tmpl, &subject, &exts, err)) != MU_OK)
        goto out;
    params.subject = mu_buf_bytes(&subject);
    params.extensions = mu_buf_bytes(&exts);
    if (mu_pki_key_default_digest(key) == MU_PKI_DIGEST_NONE)
        params.digest = MU_PKI_DIGEST_NONE;
    rc = mu_pki_csr_make(&params, key, der, err);
out:
    mu_buf_clear(&subject);
    mu_buf_clear(&san);
    mu_buf_clear(&exts);
    return rc;
}

/* ---- the connection ---- */

bool mu_agent_url_is_tls(const char *url)
{
    return mu_text_starts(url, "https:") || mu_text_starts(url, "HTTPS:");
}

static enum mu_code pin_load(
    const char *text, struct mu_agent_trusted *out, struct mu_err *err)
{
    struct mu_buf octets = {0};
    enum mu_code rc = mu_text_unhex(text, &octets, err);

    if (rc == MU_OK && octets.n != sizeof(out->pin))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the pinned SHA-256 has not 32 octets");
    if (rc == MU_OK) {
        memcpy(out->pin, octets.p, sizeof(out->pin));
        out->has_pin = true;
    }
    mu_buf_clear(&octets);
    return rc;
}

enum mu_code mu_agent_trusted_load(struct mu_agent *agent, const struct mu_agent_settings *settings,
    struct mu_agent_trusted *out, struct mu_err *err)
{
    struct mu_agent_trusted t = {0};
    enum mu_code rc = mu_keystore_ca_load(agent->store, settings->trust, &t.certs, err);

    if (rc == MU_OK && settings->pin_sha256 != NULL)
        rc = pin_load(settings->pin_sha256, &t, err);
    if (rc == MU_OK && settings->ra_cert != NULL
        && (rc = mu_keystore_certs_read(settings->ra_cert, &t.encrypt_to_list, err)) == MU_OK)
        t.encrypt_to = t.encrypt_to_list.v[0];
    if (rc != MU_OK) {
        mu_agent_trusted_clear(&t);
        return rc;
    }
    if (settings->trust != NULL && strpbrk(settings->trust, ", /") == NULL)
        snprintf(t.name, sizeof(t.name), "%s", settings->trust);
    else if (t.certs.n == 1 && !mu_keystore_ca_name(agent->store, t.certs.v[0], t.name))
        t.name[0] = '\0';
    *out = t;
    return MU_OK;
}

void mu_agent_trusted_clear(struct mu_agent_trusted *trusted)
{
    mu_pki_certs_clear(&trusted->certs);
    mu_pki_certs_clear(&trusted->encrypt_to_list);
    *trusted = (struct mu_agent_trusted){0};
}

void mu_agent_client_config(const struct mu_agent *agent, const struct mu_agent_settings *settings,
    const struct mu_agent_trusted *trusted, struct mu_client_config *out)
{
    const char *method = settings->method != NULL ? settings->method : "auto";

    out->env = agent->env;
    out->loop = agent->loop;
    out->transport = agent->transport;
    out->proto = mu_proto_parse(settings->protocol != NULL ? settings->protocol : "scep");
    out->url = settings->url;
    out->ca_identifier = settings->ca_identifier;
    out->proxy = settings->proxy;
    out->no_proxy = settings->no_proxy;
    out->source_ip = settings->source_ip;
    out->timeout_s = (int)settings->timeout_s;
    out->trusted = trusted->certs.n > 0 ? &trusted->certs : NULL;
    out->trusted_as = trusted->name[0] != '\0' ? trusted->name : NULL;
    out->pin_sha256 = trusted->has_pin ? trusted->pin : NULL;
    out->encrypt_to = trusted->encrypt_to;
    out->method = strcmp(method, "get") == 0 ? MU_CLIENT_METHOD_GET
        : strcmp(method, "post") == 0       ? MU_CLIENT_METHOD_POST
                                            : MU_CLIENT_METHOD_AUTO;
    out->allow_legacy = agent->allow_legacy || settings->allow_legacy > 0;
    out->nonce_warn_only = settings->nonce_check != NULL && strcmp(settings->nonce_check, "warn") == 0;
    out->expect_standard
        = settings->scep_standard != NULL && strcmp(settings->scep_standard, "expect") == 0;
    out->ignore_csrattrs = settings->csrattrs != NULL && strcmp(settings->csrattrs, "ignore") == 0;
    out->server_key = settings->server_key > 0;
    out->path = settings->path;
    out->ref = settings->ref;
    out->pbmac1 = settings->mac != NULL && strcmp(settings->mac, "pbmac1") == 0;
    out->implicit_confirm = settings->implicit_confirm > 0;
    out->indirect = settings->pop != NULL && strcmp(settings->pop, "encrypted") == 0;
    out->mac_iterations = settings->mac_iterations != NULL ? atoi(settings->mac_iterations) : 0;
    if (settings->mac_owf != NULL && !mu_pki_digest_parse(settings->mac_owf, &out->mac_owf))
        out->mac_owf = MU_PKI_DIGEST_NONE;
    if (settings->mac_hmac != NULL && !mu_pki_digest_parse(settings->mac_hmac, &out->mac_hmac))
        out->mac_hmac = MU_PKI_DIGEST_NONE;
    out->no_confirm = settings->no_confirm > 0;
    out->ignore_key_usage = settings->ignore_key_usage > 0;
    out->rsa_pss = settings->rsa_pss > 0;
    out->trust_ca_pubs = settings->trust_ca_pubs > 0;
    out->cmp_request = settings->cmp_request == NULL || strcmp(settings->cmp_request, "ir") == 0
        ? MU_CLIENT_REQUEST_IR
        : strcmp(settings->cmp_request, "cr") == 0 ? MU_CLIENT_REQUEST_CR
                                                   : MU_CLIENT_REQUEST_P10CR;
    out->srp_user = settings->srp_user;
    out->server_cert = settings->trust;
    out->compat_iis = settings->compat != NULL && strcmp(settings->compat, "iis") == 0;
    out->await_s = settings->await_s;
    out->max_await_s = settings->max_await_s;
    if (settings->digest != NULL && !mu_pki_digest_parse(settings->digest, &out->digest))
        out->digest = MU_PKI_DIGEST_NONE;
    if (settings->cipher != NULL && !mu_pki_cipher_parse(settings->cipher, &out->cipher))
        out->cipher = MU_PKI_CIPHER_NONE;
}

/* ---- texts ---- */

enum mu_code mu_agent_name_text(struct mu_bytes name, bool slash, char **out, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    mu_pki_name_format(name, slash ? MU_PKI_NAME_SLASH : MU_PKI_NAME_COMMA, &text);
    if ((rc = mu_buf_check(&text, "a name", err)) == MU_OK)
        rc = mu_text_dup(mu_buf_str(&text), out, err);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_agent_fingerprint(const struct mu_pki_cert *cert, char **out, struct mu_err *err)
{
    struct mu_buf text = {0};
    enum mu_code rc;

    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
    if ((rc = mu_buf_check(&text, "a fingerprint", err)) == MU_OK)
        rc = mu_text_dup(mu_buf_str(&text), out, err);
    mu_buf_clear(&text);
    return rc;
}
