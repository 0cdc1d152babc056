/* The trace of a request before it is sent: every setting, or none (E065); secrets as '*' (E067). */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"
#include "proto/est/est_client_internal.h"

static const char *or_none(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : "none";
}

/* "secp256r1", "RSA 2048". Returns buf. */
static const char *key_word(const struct mu_pki_key_spec *spec, char buf[32])
{
    static const struct { unsigned bits; const char *word; } curves[] = {
        {256, "secp256r1"}, {384, "secp384r1"}, {521, "secp521r1"}};
    size_t i;

    for (i = 0; spec->type == MU_PKI_KEY_EC && i < sizeof curves / sizeof curves[0]; i++) {
        if (curves[i].bits == spec->bits)
            return curves[i].word;
    }
    if (spec->bits == 0 && (spec->type == MU_PKI_KEY_RSA || spec->type == MU_PKI_KEY_EC))
        return spec->type == MU_PKI_KEY_RSA ? "RSA" : "EC";
    return mu_pki_key_spec_format(spec, buf);
}

static bool same_spec(const struct mu_pki_key_spec *wish, const struct mu_pki_key_spec *is)
{
    return wish->type == is->type && (wish->bits == 0 || wish->bits == is->bits);
}

static void trace_key(struct mu_est_client *c)
{
    char is[32], wish[32];
    struct mu_pki_key_spec spec;

    mu_pki_key_spec_of(c->key, &spec);
    if (c->config.ignore_csrattrs)
        mu_est_client_trace(
            c, MU_TRACE_REQUEST, "key %s, csrattrs ignored", key_word(&spec, is));
    else if (c->attrs_der.n == 0)
        mu_est_client_trace(c, MU_TRACE_REQUEST, "key %s, csrattrs none", key_word(&spec, is));
    else if (!c->attrs.has_key || c->attrs.key.type == MU_PKI_KEY_OTHER
        || same_spec(&c->attrs.key, &spec))
        mu_est_client_trace(c, MU_TRACE_REQUEST, "key %s, csrattrs used", key_word(&spec, is));
    else {
        mu_est_client_trace(c, MU_TRACE_REQUEST,
            "key %s, csrattrs used (%s suggested, %s was asked for)", key_word(&spec, is),
            key_word(&c->attrs.key, wish), key_word(&spec, is));
        if (strstr(mu_buf_str(&c->warnings), " was asked for\n") == NULL) /* once, not for each poll */
            mu_buf_putf(&c->warnings, "the CA suggests %s, %s was asked for\n",
                key_word(&c->attrs.key, wish), key_word(&spec, is));
    }
}

static void trace_settings(const struct mu_est_client *c)
{
    const struct mu_est_client_config *config = &c->config;

    mu_est_client_trace(c, MU_TRACE_REQUEST, "server %s, CA identifier %s, source address %s",
        config->url, or_none(config->label), or_none(config->source_ip));
    mu_est_client_trace(c, MU_TRACE_REQUEST,
        "user %s, password %s, client certificate %s, server certificate %s, SRP user %s, "
        "SRP password %s, key password %s",
        config->user != NULL ? config->user : "none", mu_secret_is_set(&c->password) ? "*" : "none",
        or_none(config->client_cert),
        or_none(config->server_cert != NULL ? config->server_cert : config->trusted_as),
        or_none(config->srp_user), config->srp_user != NULL ? "*" : "none",
        config->has_key_password ? "*" : "none");
}

static void trace_names(const struct mu_est_client *c)
{
    struct mu_buf san = {.max = 8192};
    char name[MU_EST_NAME_TEXT];

    if (c->csr_parsed->exts.san.n != 0)
        mu_pki_san_format(c->csr_parsed->exts.san, &san);
    mu_est_client_name(c->csr_parsed->subject, name);
    mu_est_client_trace(c, MU_TRACE_REQUEST, "subject %s, SAN %s", or_none(name),
        san.n != 0 ? mu_buf_str(&san) : "none");
    mu_buf_clear(&san);
}

void mu_est_client_trace_request(struct mu_est_client *c)
{
    struct mu_buf text = {.max = 2 * MU_LIMIT_MESSAGE};

    trace_settings(c);
    trace_key(c);
    trace_names(c);
    mu_est_client_trace(c, MU_TRACE_REQUEST, "linked to TLS %d%s", c->linked,
        c->linked ? (c->by_exporter ? ", tls-exporter" : ", tls-unique") : "");
    if (c->config.reenroll)
        mu_est_client_trace(c, MU_TRACE_REQUEST, "CSR made from the current certificate, %s",
            c->config.renews_key ? "new key" : "same key");
    mu_text_base64(&text, mu_buf_bytes(&c->csr), 0);
    mu_est_client_trace(c, MU_TRACE_REQUEST, "CSR %s", mu_buf_str(&text));
    mu_buf_clear(&text);
}
