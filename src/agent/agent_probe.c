/* What a URL speaks, and where: the ways that are tried, and what is asked of who answers. */
#include <stdio.h>

#include "agent/agent_internal.h"
#include "base/text.h"

/*
 * What a URL may speak, and where: EST is HTTPS only and has one path; SCEP and CMP have several, which are tried
 * for a URL that names only the host. A host without a scheme is asked over http for SCEP, then over
 * https for EST.
 */
static const struct usual {
    enum mu_proto proto;
    const char *scheme; /* NULL: the one given */
    const char *path;
} usual[] = {
    {MU_PROTO_EST, NULL, ""},
    {MU_PROTO_SCEP, NULL, ""},
    {MU_PROTO_SCEP, NULL, "/scep"},
    {MU_PROTO_SCEP, NULL, "/cgi-bin/pkiclient.exe"},
    {MU_PROTO_SCEP, NULL, "/app/cert/scep/"},
    {MU_PROTO_SCEP, NULL, "/certsrv/mscep/mscep.dll"},
    {MU_PROTO_CMP, NULL, ""}, /* /.well-known/cmp (RFC 9811 3.3) */
    {MU_PROTO_CMP, NULL, "/pkix/"},
    {MU_PROTO_CMP, NULL, "/app/cert/cmp2"},
    {MU_PROTO_EST, "https", ""},
};
enum { USUAL = sizeof(usual) / sizeof(usual[0]) };

/* Does the i-th way fit what was asked: the URL with a path as it is, the protocol of --via alone,
 * EST over https? */
static bool probe_fits(const struct mu_agent_job *job, unsigned i)
{
    const struct usual *u = &usual[i];
    bool over_tls = u->scheme != NULL || mu_agent_url_is_tls(job->url);

    if (job->probe_only != MU_PROTO_NONE && u->proto != job->probe_only)
        return false;
    if (u->scheme != NULL && (job->has_scheme || job->has_path))
        return false;
    if (job->has_path && u->path[0] != '\0')
        return false;
    return u->proto != MU_PROTO_EST || over_tls;
}

bool mu_agent_probe_next(struct mu_agent_job *job)
{
    char url[2048];

    while (job->probe_next < USUAL && !probe_fits(job, job->probe_next))
        job->probe_next++;
    if (job->probe_next == USUAL)
        return false;
    snprintf(url, sizeof(url), "%s%s%s", usual[job->probe_next].scheme != NULL ? "https" : "",
        usual[job->probe_next].scheme != NULL ? strstr(job->url, "://") : job->url,
        usual[job->probe_next].path);
    if (mu_agent_settings_set(
            &job->settings, "protocol", mu_proto_name(usual[job->probe_next].proto), NULL) != MU_OK)
        return false;
    job->probe_next++;
    return mu_agent_settings_set(&job->settings, "url", url, NULL) == MU_OK;
}

bool mu_agent_probe_on(struct mu_agent_job *job, const struct mu_err *err)
{
    bool absent = err->reason >= MU_M(101) && err->reason <= MU_M(104);
    enum mu_proto asked = mu_proto_parse(job->settings.protocol);

    if (job->query.op != MU_AGENT_QUERY_PROBE || job->url == NULL || err->code == MU_MEMORY)
        return false;
    if (job->first_err.code == MU_OK)
        job->first_err = *err; /* nothing fits: the first way's reason is the one to tell */
    while (absent && job->probe_next < USUAL && usual[job->probe_next].proto == asked)
        job->probe_next++;
    if (absent && (err->reason == MU_M(101) || !job->may_try_tls))
        return false;
    return mu_agent_probe_next(job) && mu_agent_job_later(job, mu_agent_query_start, NULL) == MU_OK;
}

/* What the CA wants in a request is a question of its own; that there is no answer is one too. */
static void on_attrs(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result r;

    mu_client_result(client, &r);
    if (err == NULL && r.csr_attrs.n > 0)
        mu_buf_put_bytes(&job->csr_attrs, r.csr_attrs);
    mu_agent_query_end(job, NULL);
}

static bool ask_attrs(struct mu_agent_job *job)
{
    struct mu_client_config config = {.op = MU_CLIENT_ATTRS};
    struct mu_client_result r;

    /* Over TLS that is not verified nothing but cacerts is asked for (EST-18): the server has to be
     * what it says of itself, at least. */
    mu_client_result(job->client, &r);
    for (size_t i = 0; r.ca_certs != NULL && i < r.ca_certs->n; i++)
        if (mu_pki_certs_add(&job->trusted.certs, r.ca_certs->v[i], NULL) != MU_OK)
            return false;
    if (mu_agent_job_identity(job, false, NULL) != MU_OK)
        return false;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.host = (struct mu_client_host){.ctx = job, .on_done = on_attrs};
    config.identity = job->identity;
    return mu_client_new(&config, &job->attrs, NULL) == MU_OK
        && mu_client_start(job->attrs, NULL) == MU_OK;
}

/* ---- the other paths of CMP ---- */

static void ask_path(void *cookie);

static void on_path(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;

    (void)client;
    if (err == NULL)
        mu_buf_putf(&job->paths, " %s", usual[job->probe_next - 1].path);
    if (mu_agent_job_later(job, ask_path, NULL) != MU_OK)
        mu_agent_query_end(job, NULL);
}

/* The next one, without protection: whether somebody is there is all that is asked. */
static void ask_path(void *cookie)
{
    struct mu_agent_job *job = cookie;
    struct mu_client_config config = {.op = MU_CLIENT_PROBE};
    char url[2048];

    mu_client_free(job->attrs);
    job->attrs = NULL;
    while (job->probe_next < USUAL
        && (usual[job->probe_next].proto != MU_PROTO_CMP || !probe_fits(job, job->probe_next)))
        job->probe_next++;
    if (job->probe_next == USUAL) {
        mu_agent_query_end(job, NULL);
        return;
    }
    snprintf(url, sizeof(url), "%s%s", job->url, usual[job->probe_next++].path);
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.host = (struct mu_client_host){.ctx = job, .on_done = on_path};
    config.identity = job->identity;
    config.url = url;
    config.ref = NULL;
    if (mu_client_new(&config, &job->attrs, NULL) != MU_OK || mu_client_start(job->attrs, NULL) != MU_OK)
        mu_agent_query_end(job, NULL);
}

static bool ask_paths(struct mu_agent_job *job)
{
    const char *path = usual[job->probe_next - 1].path;

    mu_buf_put_str(&job->paths, path[0] != '\0' ? path : "/.well-known/cmp");
    return mu_agent_job_later(job, ask_path, NULL) == MU_OK;
}

bool mu_agent_probe_more(struct mu_agent_job *job)
{
    if (job->query.op != MU_AGENT_QUERY_PROBE)
        return false;
    if (mu_agent_settings_is_est(&job->settings))
        return ask_attrs(job);
    return mu_agent_settings_is_cmp(&job->settings) && job->url != NULL && !job->has_path && ask_paths(job);
}
