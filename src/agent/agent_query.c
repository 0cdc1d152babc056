/* Questions that change no certificate: CA certificates, a certificate, a CRL. What a URL speaks: agent_probe.c. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_crl.h"
#include "pki/pki_name.h"

void mu_agent_query_end(struct mu_agent_job *job, const struct mu_err *err)
{
    struct mu_agent_outcome outcome = {.result = MU_AGENT_ANSWERED, .url = job->settings.url};
    struct mu_client_result answer = {0};

    if (job->client != NULL) {
        mu_client_result(job->client, &answer);
        outcome.answer = &answer;
        outcome.has_clock = answer.server_date_s != 0;
        outcome.clock_difference_s = answer.server_date_s - answer.answer_at_s;
    }
    if (job->settings.protocol != NULL)
        outcome.proto = mu_proto_parse(job->settings.protocol);
    outcome.csr_attrs = mu_buf_bytes(&job->csr_attrs);
    outcome.paths = mu_buf_str(&job->paths);
    if (job->file.n > 0)
        outcome.file = mu_buf_str(&job->file);
    if (err != NULL && job->first_err.code != MU_OK)
        err = &job->first_err;
    mu_agent_job_answer(job, &outcome, err);
}

/* ---- CRLs ---- */

struct crl_issuer {
    const struct mu_pki_crl *crl;
    bool known, verified;
    char name[MU_KEYSTORE_NAME];
};

static void crl_try(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct crl_issuer *issuer = cookie;

    if (issuer->verified || !mu_pki_name_equal(cert->subject, issuer->crl->issuer))
        return;
    issuer->known = true;
    if (mu_pki_crl_verify(issuer->crl, cert, true, NULL) != MU_OK)
        return;
    issuer->verified = true;
    snprintf(issuer->name, sizeof(issuer->name), "%s", name);
}

/* File name: the CA's name here; the entry's; else out of the issuer's fingerprint. */
static void crl_name(const struct mu_agent_job *job, const struct crl_issuer *issuer,
    char name[MU_KEYSTORE_NAME])
{
    uint8_t digest[64];
    struct mu_buf hex = {0};

    if (issuer->name[0] != '\0') {
        snprintf(name, MU_KEYSTORE_NAME, "%s", issuer->name);
    } else if (job->name[0] != '\0') {
        snprintf(name, MU_KEYSTORE_NAME, "%s", job->name);
    } else {
        mu_pki_digest(MU_PKI_SHA256, issuer->crl->issuer, digest);
        mu_text_hex(&hex, mu_bytes(digest, 8), 0);
        snprintf(name, MU_KEYSTORE_NAME, "%s", mu_buf_str(&hex));
    }
    mu_buf_clear(&hex);
}

/* A CRL that a CA known here did not sign is not kept. */
static enum mu_code crl_take(
    struct mu_agent_job *job, struct mu_bytes der, struct mu_pki_cert *ca, struct mu_err *err)
{
    struct mu_pki_crl *crl = NULL;
    struct crl_issuer issuer = {0};
    char name[MU_KEYSTORE_NAME];
    enum mu_code rc;

    if ((rc = mu_pki_crl_decode(der, &crl, err)) != MU_OK)
        return rc;
    issuer.crl = crl;
    if ((rc = mu_keystore_ca_each(job->agent->store, crl_try, &issuer, err)) != MU_OK)
        goto out;
    if (!issuer.verified && ca != NULL && mu_pki_crl_verify(crl, ca, true, NULL) == MU_OK)
        issuer.verified = true;
    if (!issuer.verified) {
        rc = mu_err_set(err, MU_AUTH, issuer.known ? MU_REASON_NONE : MU_M(209),
            issuer.known ? "the CRL's signature is not of the CA that it names"
                         : "the CA that signed the CRL is not known here");
        goto out;
    }
    crl_name(job, &issuer, name);
    mu_buf_reset(&job->file);
    rc = mu_keystore_crl_put(job->agent->store, name, crl->der, &job->file, err);
out:
    mu_pki_crl_free(crl);
    return rc;
}

static void crl_end(void *cookie)
{
    struct mu_agent_job *job = cookie;

    mu_agent_query_end(job, job->err.code != MU_OK ? &job->err : NULL);
}

static void on_crl(void *cookie, struct mu_http_response *response, const struct mu_http_facts *facts,
    const struct mu_err *failed)
{
    struct mu_agent_job *job = cookie;

    if (failed != NULL)
        job->err = *failed;
    else if (response->status != 200)
        mu_err_set(&job->err, MU_NETWORK, MU_REASON_NONE, "%s answered HTTP %d", job->settings.url,
            response->status);
    else if (crl_take(job, mu_buf_bytes(&response->body), NULL, &job->err) == MU_OK)
        mu_err_clear(&job->err);
    /* Later: the session is still at work. */
    if (mu_agent_job_later(job, crl_end, NULL) != MU_OK)
        crl_end(job);
}

static enum mu_code crl_by_url(struct mu_agent_job *job, struct mu_err *err)
{
    const struct mu_http_request request = {
        .method = "GET", .target = job->settings.url, .minor = 1};
    struct mu_http_session_spec spec = {.proxy = job->settings.proxy,
        .no_proxy = job->settings.no_proxy, .source_ip = job->settings.source_ip,
        .timeout_s = (int)job->settings.timeout_s, .max_body = MU_LIMIT_CRL, .entry = "crl",
        .proto = MU_PROTO_NONE, .env = job->agent->env};
    enum mu_code rc;

    if ((rc = mu_agent_job_identity(job, false, err)) != MU_OK)
        return rc;
    spec.identity = job->identity;
    if ((rc = mu_transport_open(job->agent->transport, &spec, &job->session, err)) != MU_OK)
        return rc;
    return mu_transport_send(job->session, &request, on_crl, job, err);
}

/* ---- over an engine ---- */

static void on_trust(void *ctx, struct mu_client *client, const struct mu_pki_certs *certs)
{
    struct mu_agent_job *job = ctx;

    /* Looking is not trusting. */
    mu_client_trust(client, job->query.op == MU_AGENT_QUERY_CA || job->query.op == MU_AGENT_QUERY_PROBE);
}

static void on_done(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result answer;

    if (err != NULL) {
        if (!mu_agent_probe_on(job, err))
            mu_agent_query_end(job, err);
        return;
    }
    mu_client_result(client, &answer);
    if (job->query.op == MU_AGENT_QUERY_CRL
        && crl_take(job, answer.crl, answer.ca, &job->err) != MU_OK)
        mu_agent_query_end(job, &job->err);
    else if (!mu_agent_probe_more(job))
        mu_agent_query_end(job, NULL);
}

static enum mu_client_op client_op(enum mu_agent_query_op op)
{
    switch (op) {
    case MU_AGENT_QUERY_NEXT_CA:
        return MU_CLIENT_NEXT_CA;
    case MU_AGENT_QUERY_CERT:
        return MU_CLIENT_CERT;
    case MU_AGENT_QUERY_CRL:
        return MU_CLIENT_CRL;
    case MU_AGENT_QUERY_REVOKE:
        return MU_CLIENT_REVOKE;
    case MU_AGENT_QUERY_PROBE:
        return MU_CLIENT_PROBE;
    case MU_AGENT_QUERY_CA:
        break;
    }
    return MU_CLIENT_CA;
}

static enum mu_code over_engine(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_config config = {.op = client_op(job->query.op)};
    bool looks = job->query.op == MU_AGENT_QUERY_CA || job->query.op == MU_AGENT_QUERY_PROBE;
    enum mu_code rc;

    if ((rc = mu_agent_job_identity(job, looks, err)) != MU_OK)
        return rc;
    mu_client_free(job->client);
    job->client = NULL;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.host = (struct mu_client_host){.ctx = job, .on_trust = on_trust, .on_done = on_done};
    config.entry = job->name[0] != '\0' ? job->name : NULL;
    config.identity = job->identity;
    config.key = job->signer_key;
    config.signer_cert = job->has_entry ? job->entry.cert : NULL;
    config.signer_key = job->signer_key;
    config.serial = mu_buf_bytes(&job->file);
    config.max_body = job->query.op == MU_AGENT_QUERY_CRL ? MU_LIMIT_CRL : 0;
    if (looks)
        config.trusted = NULL;
    if (looks && mu_agent_settings_is_cmp(&job->settings))
        config.trusted = &job->trusted.certs; /* the answer is protected, so it can be checked */
    config.revoke_reason = job->query.revoke_reason;
    if ((rc = mu_agent_cmp_config(job, &config, err)) != MU_OK)
        return rc;
    config.bootstrap = job->bootstrap = looks && mu_agent_settings_is_est(&job->settings);
    rc = mu_client_new(&config, &job->client, err);
    if (job->query.op == MU_AGENT_QUERY_CERT)
        mu_buf_reset(&job->file);
    return rc == MU_OK ? mu_client_start(job->client, err) : rc;
}

void mu_agent_query_start(void *cookie)
{
    struct mu_agent_job *job = cookie;
    bool by_url = job->query.op == MU_AGENT_QUERY_CRL && job->name[0] == '\0';
    enum mu_code rc = by_url ? crl_by_url(job, &job->err) : over_engine(job, &job->err);

    if (rc != MU_OK)
        mu_agent_query_end(job, &job->err);
}

/* ---- asking ---- */

/* In the name of an entry: its settings, certificate and key. */
static enum mu_code entry_take(
    struct mu_agent_job *job, const struct mu_agent_query *query, struct mu_err *err)
{
    enum mu_code rc;

    snprintf(job->name, sizeof(job->name), "%s", query->name);
    rc = mu_agent_entry_settings(job->agent, job->name, &job->settings, err);
    if (rc != MU_OK && rc != MU_NOT_FOUND)
        return rc;
    rc = mu_keystore_load(job->agent->store, job->name, &job->entry, err);
    job->has_entry = rc == MU_OK;
    if (rc == MU_OK)
        rc = mu_keystore_key_read(job->entry.key_file, query->key_password, &job->signer_key, err);
    else if (rc == MU_NOT_FOUND && query->op != MU_AGENT_QUERY_CERT
        && query->op != MU_AGENT_QUERY_CRL && query->op != MU_AGENT_QUERY_REVOKE)
        rc = MU_OK;
    return rc;
}

static enum mu_code url_take(struct mu_agent_job *job, const char *url, struct mu_err *err)
{
    bool is_est = mu_agent_settings_is_est(&job->settings);
    char whole[2048], *path;
    size_t n;
    enum mu_code rc;

    job->has_scheme = strstr(url, "://") != NULL;
    snprintf(
        whole, sizeof(whole), "%s%s", job->has_scheme ? "" : is_est ? "https://" : "http://", url);
    if ((rc = mu_agent_settings_set(&job->settings, "url", whole, err)) != MU_OK)
        return rc;
    if (job->query.op != MU_AGENT_QUERY_PROBE)
        return MU_OK;
    n = strlen(whole);
    path = strchr(strstr(whole, "://") + 3, '/');
    job->has_path = path != NULL && path[1] != '\0';
    while (!job->has_path && n > 0 && whole[n - 1] == '/')
        whole[--n] = '\0';
    job->may_try_tls = !job->has_scheme && !job->has_path;
    if ((rc = mu_text_dup(whole, &job->url, err)) != MU_OK)
        return rc;
    return mu_agent_probe_next(job) ? MU_OK
                           : mu_err_set(err, MU_INPUT, MU_M(201), "EST does not work over http://");
}

static enum mu_code query_prepare(
    struct mu_agent_job *job, const struct mu_agent_query *query, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    job->query.op = query->op;
    job->query.revoke_reason = query->revoke_reason;
    job->probe_only = query->only;
    if (query->name != NULL)
        rc = entry_take(job, query, err);
    if (rc == MU_OK && query->settings != NULL)
        rc = mu_agent_settings_merge(&job->settings, query->settings, err);
    if (rc == MU_OK && query->url != NULL)
        rc = url_take(job, query->url, err);
    if (rc == MU_OK && job->settings.url == NULL)
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the question needs a URL or an entry");
    if (rc == MU_OK && query->op == MU_AGENT_QUERY_CERT)
        rc = mu_pki_serial_parse(query->serial != NULL ? query->serial : "", &job->file, err);
    if (rc == MU_OK && query->op == MU_AGENT_QUERY_REVOKE && !mu_agent_settings_is_cmp(&job->settings)) {
        mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "only CMP can revoke, and %s was not enrolled over it", query->name);
        mu_err_next(err, "ask the CA's operator, or give its CMP service with --via cmp --url URL");
        rc = MU_UNSUPPORTED;
    }
    if (rc == MU_OK)
        rc = mu_agent_secret_copy(&job->secret.secret, query->secret, err);
    if (rc == MU_OK)
        rc = mu_agent_trusted_load(job->agent, &job->settings, &job->trusted, err);
    return rc;
}

enum mu_code mu_agent_query(struct mu_agent *agent, const struct mu_agent_query *query,
    const struct mu_agent_host *host, struct mu_agent_job **out, struct mu_err *err)
{
    struct mu_agent_job *job = NULL;
    enum mu_code rc;

    if (query->name != NULL && !mu_text_is_entry_name(query->name))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "this cannot be the name of an entry");
    if ((rc = mu_agent_job_new(agent, NULL, host, &job, err)) != MU_OK)
        return rc;
    if ((rc = query_prepare(job, query, err)) == MU_OK)
        rc = mu_agent_job_later(job, mu_agent_query_start, err);
    if (rc != MU_OK) {
        mu_agent_job_free(job);
        return rc;
    }
    if (out != NULL)
        *out = job;
    return MU_OK;
}
