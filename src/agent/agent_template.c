/*
 * certReqTemplate (RFC 9483 4.3.3): asked before the first request where ask-template says so. What
 * the user named counts and a difference is told, as with EST's csrattrs; a name or an extension
 * without a value is one to fill in.
 */
#include <stdio.h>

#include "agent/agent_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_ext.h"
#include "pki/pki_name.h"

void mu_agent_template_clear(struct mu_agent_template *tmpl)
{
    mu_buf_clear(&tmpl->subject);
    mu_buf_clear(&tmpl->extensions);
}

static void tell(const struct mu_agent_template *tmpl, const char *what)
{
    char text[320];

    if (tmpl->tell == NULL)
        return;
    snprintf(text, sizeof text, "the CA's template has another %s than the one asked for, which is used", what);
    tmpl->tell(tmpl->cookie, text);
}

static enum mu_code lacks(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_M(408),
        "cmp: the CA's template asks for %s, and the request lacks it (RFC 9483 4.3.3)", what);
}

/* ---- the subject ---- */

struct names {
    const struct mu_agent_template *tmpl;
    struct mu_bytes own;  /* Name */
    struct mu_buf rdns;   /* what comes to it */
    char missing[200];
};

static void look_at_name(void *cookie, const char *type, const char *value)
{
    const struct mu_pki_name_part part = {type, value};
    struct names *n = cookie;
    struct mu_buf own = {.max = 4096}, name = {.max = MU_LIMIT_NAME};
    size_t at = strlen(n->missing);
    struct mu_der outer;

    if (mu_pki_name_get(n->own, type, &own)) {
        if (value[0] != '\0' && strcmp(mu_buf_str(&own), value) != 0)
            tell(n->tmpl, type);
    } else if (value[0] == '\0') {
        snprintf(n->missing + at, sizeof n->missing - at, "%s%s", at != 0 ? ", " : "", type);
    } else if (mu_pki_name_build(&part, 1, &name, NULL) == MU_OK
        && mu_der_only(mu_buf_bytes(&name), MU_DER_SEQUENCE, &outer)) {
        mu_buf_put_bytes(&n->rdns, outer.value);
    }
    mu_buf_clear(&own);
    mu_buf_clear(&name);
}

static enum mu_code apply_subject(
    const struct mu_agent_template *tmpl, struct mu_buf *subject, struct mu_err *err)
{
    static const uint8_t empty[] = {MU_DER_SEQUENCE, 0};
    struct names n = {.tmpl = tmpl, .own = mu_buf_bytes(subject), .rdns = {.max = MU_LIMIT_NAME}};
    struct mu_buf whole = {.max = MU_LIMIT_NAME};
    struct mu_der own;
    char what[240];
    enum mu_code rc = MU_OK;
    size_t mark;

    if (n.own.n == 0)
        n.own = mu_bytes(empty, sizeof empty);
    mu_pki_name_each(mu_buf_bytes(&tmpl->subject), look_at_name, &n);
    if (n.missing[0] != '\0') {
        snprintf(what, sizeof what, "%s in the subject", n.missing);
        rc = lacks(what, err);
    } else if (mu_der_only(n.own, MU_DER_SEQUENCE, &own)) {
        mark = mu_der_open(&whole, MU_DER_SEQUENCE);
        mu_buf_put_bytes(&whole, own.value);
        mu_buf_put_bytes(&whole, mu_buf_bytes(&n.rdns));
        mu_der_close(&whole, mark);
        mu_buf_reset(subject);
        mu_buf_put_bytes(subject, mu_buf_bytes(&whole));
        rc = mu_buf_check(&whole, "a subject", err);
    }
    mu_buf_clear(&n.rdns);
    mu_buf_clear(&whole);
    return rc;
}

/* ---- extensions ---- */

struct exts {
    const struct mu_agent_template *tmpl;
    struct mu_bytes own;  /* Extensions, n 0: none */
    struct mu_buf more;
    const char *oid;      /* looked for in own */
    struct mu_bytes found;
    char lacks[80];
};

static void find_one(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct exts *e = cookie;

    (void)critical;
    if (strcmp(oid, e->oid) == 0)
        e->found = value;
}

/* GeneralNames of which one is empty: to be filled in. */
static bool is_to_fill(const char *oid, struct mu_bytes value)
{
    struct mu_der names, one;
    struct mu_bytes in;

    if (value.n == 0)
        return true;
    if (strcmp(oid, "2.5.29.17") != 0 || !mu_der_only(value, MU_DER_SEQUENCE, &names))
        return false;
    in = names.value;
    if (in.n == 0)
        return true;
    while (mu_der_next(&in, &one))
        if (one.value.n == 0)
            return true;
    return false;
}

static void look_at_ext(void *cookie, const char *oid, bool critical, struct mu_bytes value)
{
    struct exts *e = cookie;
    char title[64];

    e->oid = oid;
    e->found = mu_bytes(NULL, 0);
    if (e->own.n != 0)
        mu_pki_ext_each(e->own, find_one, e);
    if (e->found.p != NULL) {
        if (!is_to_fill(oid, value) && !mu_bytes_equal(value, e->found))
            tell(e->tmpl, mu_pki_ext_title(oid, title));
    } else if (!is_to_fill(oid, value)) {
        mu_pki_ext_put(&e->more, oid, critical, value);
    } else if (strcmp(oid, "2.5.29.17") == 0) {
        snprintf(e->lacks, sizeof e->lacks, "a subject alternative name");
    } /* what else is to be filled in is nothing that could be known here (CMP-96: skipped) */
}

static enum mu_code apply_extensions(
    const struct mu_agent_template *tmpl, struct mu_buf *extensions, struct mu_err *err)
{
    struct exts e = {.tmpl = tmpl, .own = mu_buf_bytes(extensions), .more = {.max = MU_LIMIT_EXTENSIONS}};
    struct mu_buf whole = {.max = MU_LIMIT_EXTENSIONS};
    struct mu_der own = {0};
    enum mu_code rc = MU_OK;
    size_t mark;

    mu_pki_ext_each(mu_buf_bytes(&tmpl->extensions), look_at_ext, &e);
    if (e.lacks[0] != '\0') {
        rc = lacks(e.lacks, err);
    } else if (e.more.n != 0) {
        mark = mu_der_open(&whole, MU_DER_SEQUENCE);
        if (e.own.n != 0 && mu_der_only(e.own, MU_DER_SEQUENCE, &own))
            mu_buf_put_bytes(&whole, own.value);
        mu_buf_put_bytes(&whole, mu_buf_bytes(&e.more));
        mu_der_close(&whole, mark);
        mu_buf_reset(extensions);
        mu_buf_put_bytes(extensions, mu_buf_bytes(&whole));
        rc = mu_buf_check(&whole, "requested extensions", err);
    }
    mu_buf_clear(&e.more);
    mu_buf_clear(&whole);
    return rc;
}

enum mu_code mu_agent_template_apply(const struct mu_agent_template *tmpl, struct mu_buf *subject,
    struct mu_buf *extensions, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (tmpl->subject.n != 0)
        rc = apply_subject(tmpl, subject, err);
    if (rc == MU_OK && tmpl->extensions.n != 0)
        rc = apply_extensions(tmpl, extensions, err);
    return rc;
}

/* ---- asking ---- */

bool mu_agent_template_wanted(const struct mu_agent_job *job)
{
    /* A renewal keeps name and kind of key (CMP-54). */
    return mu_agent_settings_is_cmp(&job->settings) && job->settings.ask_template > 0
        && job->pending.operation == MU_AGENT_ENROLL;
}

static void on_difference(void *cookie, const char *text)
{
    mu_agent_job_step(cookie, MU_AGENT_STEP_WARNING, "%s", text);
}

/* The first kind of key that can be made here; the user's own counts. */
static void choose_key(struct mu_agent_job *job, const struct mu_client_result *r)
{
    struct mu_pki_key_spec own = {.type = MU_PKI_KEY_OTHER};
    bool fits = false;

    if (r->wish_key_n == 0)
        return;
    if (job->key != NULL)
        mu_pki_key_spec_of(job->key, &own);
    else if (job->settings.key != NULL
        && mu_agent_key_spec(&job->settings, job->agent->allow_legacy, &own, NULL) != MU_OK)
        return;
    for (size_t i = 0; i < r->wish_key_n; i++) {
        const struct mu_pki_key_spec *wish = &r->wish_keys[i];

        if (own.type != MU_PKI_KEY_OTHER)
            fits = fits || (wish->type == own.type && wish->bits <= own.bits);
        else if (mu_agent_key_spec_check(job, wish, NULL) == MU_OK) {
            job->spec = *wish;
            return;
        }
    }
    if (own.type == MU_PKI_KEY_OTHER)
        on_difference(job, "the CA's template names no kind of key that can be made here; the default is used");
    else if (!fits)
        tell(&job->tmpl, "kind of key");
}

static enum mu_code take(struct mu_agent_job *job, const struct mu_client_result *r, struct mu_err *err)
{
    enum mu_code rc;

    job->tmpl.tell = on_difference;
    job->tmpl.cookie = job;
    mu_buf_put_bytes(&job->tmpl.subject, r->wish_subject);
    mu_buf_put_bytes(&job->tmpl.extensions, r->wish_extensions);
    if ((rc = mu_buf_check(&job->tmpl.subject, "a subject", err)) == MU_OK)
        rc = mu_buf_check(&job->tmpl.extensions, "requested extensions", err);
    if (rc == MU_OK)
        choose_key(job, r);
    return rc;
}

static void go_on(void *cookie)
{
    struct mu_agent_job *job = cookie;

    mu_client_free(job->attrs);
    job->attrs = NULL;
    mu_agent_trusted_clear(&job->trusted);
    if (mu_agent_job_request_now(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

static void on_done(void *ctx, struct mu_client *client, const struct mu_err *err)
{
    struct mu_agent_job *job = ctx;
    struct mu_client_result r;
    bool has_none = err != NULL
        && (err->code == MU_UNSUPPORTED || (err->code == MU_DENIED && err->reason == MU_REASON_NONE));

    if (err != NULL && !has_none) {
        mu_agent_job_end(job, err);
        return;
    }
    mu_client_result(client, &r);
    if (has_none)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "the CA has no template for requests: %s", err->what);
    else if (take(job, &r, &job->err) != MU_OK) {
        mu_agent_job_end(job, &job->err);
        return;
    }
    if (mu_agent_job_later(job, go_on, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}

static enum mu_code ask(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_config config = {.op = MU_CLIENT_ATTRS};
    enum mu_code rc;

    if ((rc = mu_agent_trusted_load(job->agent, &job->settings, &job->trusted, err)) != MU_OK
        || (rc = mu_agent_job_identity(job, false, err)) != MU_OK)
        return rc;
    mu_agent_client_config(job->agent, &job->settings, &job->trusted, &config);
    config.host = (struct mu_client_host){.ctx = job, .on_done = on_done};
    config.entry = job->name;
    config.identity = job->identity;
    if ((rc = mu_agent_cmp_config(job, &config, err)) != MU_OK
        || (rc = mu_client_new(&config, &job->attrs, err)) != MU_OK)
        return rc;
    return mu_client_start(job->attrs, err);
}

void mu_agent_template_ask(void *cookie)
{
    struct mu_agent_job *job = cookie;

    if (ask(job, &job->err) != MU_OK)
        mu_agent_job_end(job, &job->err);
}
