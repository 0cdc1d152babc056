/* How a job ends: pair in place, request forgotten, written down, told. In this order. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_internal.h"
#include "base/text.h"
#include "base/time.h"
#include "enroll/enroll_diff.h"
#include "pki/pki_name.h"

enum { DAY_S = 86400 };

const char *mu_agent_step_word(enum mu_agent_step step)
{
    static const char *const words[] = {"CA", "responder", "key", "request", "status", "issued",
        "changed", "saved", "renewal", "warning"};

    return words[step];
}

static enum mu_proto job_proto(const struct mu_agent_job *job)
{
    return job->settings.protocol != NULL ? mu_proto_parse(job->settings.protocol) : MU_PROTO_NONE;
}

/* ---- saving ---- */

static enum mu_code changed_tell(
    struct mu_agent_job *job, const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf text = {0};
    struct mu_pki_csr *csr = NULL;
    enum mu_code rc = mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, err);

    if (rc == MU_OK) {
        mu_enroll_diff(csr, cert, &text);
        rc = mu_buf_check(&text, "what the CA changed", err);
    }
    if (rc == MU_OK && text.n > 0) {
        if (!mu_agent_engine_makes_csr(&job->settings)) /* such an engine has said it */
            mu_trace(&job->trace.env, job_proto(job), MU_TRACE_CHANGED, "%s", mu_buf_str(&text));
        free(job->changed);
        job->changed = NULL;
        rc = mu_text_dup(mu_buf_str(&text), &job->changed, err);
    }
    mu_pki_csr_free(csr);
    mu_buf_clear(&text);
    return rc;
}

static void saved_trace(struct mu_agent_job *job)
{
    bool replaces = job->saved.replaced[0] != '\0' && strcmp(job->saved.replaced, job->saved.stem) != 0;
    char present[MU_KEYSTORE_STEM];

    if (mu_agent_settings_is_cmp(&job->settings)) { /* before the switch: C040 */
        replaces = mu_keystore_current(job->agent->store, job->name, present);
        mu_trace(&job->trace.env, MU_PROTO_CMP, MU_TRACE_SAVED, "%s, %s/certs/%s/%s.crt, %s%s",
            job->name, mu_keystore_root(job->agent->store), job->name, job->saved.stem,
            replaces ? "replaces " : "new", replaces ? present : "");
        return;
    }

    mu_trace(&job->trace.env, job_proto(job), MU_TRACE_SAVED, "%s, %s/certs/%s/%s.crt, %s%s",
        job->name, mu_keystore_root(job->agent->store), job->name, job->saved.stem,
        job->saved.waits ? "for later" : replaces ? "replaces " : "new",
        replaces ? job->saved.replaced : "");
}

/* serverkeygen: the key came with the certificate, and is kept instead of the one that signed. */
static enum mu_code server_key_take(struct mu_agent_job *job, struct mu_err *err)
{
    struct mu_client_result r;

    if (job->client == NULL)
        return MU_OK;
    mu_client_result(job->client, &r);
    if (r.key == NULL)
        return MU_OK;
    mu_pki_key_free(job->key);
    job->key = mu_pki_key_ref(r.key);
    mu_buf_clear(&job->key_text);
    return mu_keystore_key_text(job->key, NULL, &job->secret.key_password, &job->key_text, err);
}

enum mu_code mu_agent_job_save(
    struct mu_agent_job *job, const struct mu_pki_certs *certs, struct mu_err *err)
{
    struct mu_keystore_pair pair = {.later = job->pending.next_ca[0] != '\0',
        .held = mu_agent_settings_is_cmp(&job->settings)};
    struct mu_pki_certs chain = {0};
    enum mu_code rc;

    if (certs == NULL || certs->n == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the CA issued, but gave no certificate");
    if ((rc = server_key_take(job, err)) != MU_OK)
        return rc;
    pair.key_pem = mu_buf_bytes(&job->key_text);
    pair.cert = certs->v[0];
    if (!mu_bytes_equal(pair.cert->spki, mu_pki_key_spki(job->key)))
        return mu_err_set(err, MU_AUTH, MU_M(214), "the issued certificate belongs to another key");
    if ((rc = changed_tell(job, pair.cert, err)) != MU_OK)
        return rc;
    if (mu_agent_settings_is_cmp(&job->settings) && (rc = mu_agent_job_learn(job, err)) != MU_OK)
        return rc;
    /* A CMP certificate waits for its confirmation first. */
    job->holds = !pair.later && !pair.held && mu_agent_hold_wanted(job->agent, pair.cert);
    if (job->holds && (rc = mu_agent_hold_mark(job->agent, job->name, pair.cert, err)) != MU_OK)
        return rc;
    pair.held = pair.held || job->holds;
    chain.v = certs->v + 1; /* a view: all but the first */
    chain.n = certs->n - 1;
    pair.chain = &chain;
    if ((rc = mu_keystore_save(job->agent->store, job->name, &pair, &job->saved, err)) != MU_OK)
        return rc;
    job->saved_now = true;
    saved_trace(job);
    return MU_OK;
}

/* ---- writing down ---- */

static enum mu_code opt_dup(const char *s, char **out)
{
    return s == NULL || s[0] == '\0' ? MU_OK : mu_text_dup(s, out, NULL);
}

static const char *result_word(const struct mu_agent_job *job, const struct mu_err *err)
{
    if (err == NULL)
        return job->pending.operation == MU_AGENT_RENEW ? "renewed" : "issued";
    if (err->code == MU_PENDING)
        return "pending";
    return err->code == MU_DENIED ? "refused" : "failed";
}

/* Best effort: that it cannot be written down does not change how it went. */
static void last_write(
    struct mu_agent_job *job, const struct mu_client_result *answer, const struct mu_err *err)
{
    struct mu_agent_last before = {0}, last = {.at_s = mu_env_now(job->agent->env)};
    struct mu_keystore *store = job->agent->store;
    char code[8];
    enum mu_code rc = mu_agent_last_load(store, job->name, &before, NULL);

    if (rc == MU_OK)
        rc = opt_dup(result_word(job, err), &last.result);
    if (rc == MU_OK)
        rc = opt_dup(job->pending.transaction, &last.transaction);
    if (rc == MU_OK)
        rc = opt_dup(job->trace.name, &last.trace);
    if (rc == MU_OK && answer != NULL)
        rc = opt_dup(answer->warnings, &last.warnings);
    if (err == NULL) {
        if (rc == MU_OK)
            rc = opt_dup(job->changed, &last.changed);
    } else {
        /* What was changed at the last issue stays true. */
        last.changed = before.changed;
        before.changed = NULL;
        last.attempts = before.attempts + (err->code == MU_PENDING ? 0 : 1);
        if (rc == MU_OK)
            rc = opt_dup(mu_err_code_text(err, code), &last.code);
        if (rc == MU_OK)
            rc = opt_dup(err->what, &last.what);
        if (rc == MU_OK)
            rc = opt_dup(mu_err_likely_text(err), &last.likely);
        if (rc == MU_OK)
            rc = opt_dup(mu_err_next_text(err), &last.next);
        if (rc == MU_OK)
            rc = opt_dup(err->said, &last.said);
    }
    last.has_clock = before.has_clock;
    last.clock_difference_s = before.clock_difference_s;
    if (answer != NULL && answer->server_date_s != 0) {
        last.has_clock = true;
        last.clock_difference_s = answer->server_date_s - answer->answer_at_s;
    }
    if (rc == MU_OK && mu_agent_last_store(store, job->name, &last, NULL) != MU_OK)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "how it went could not be written down");
    mu_agent_last_clear(&before);
    mu_agent_last_clear(&last);
}

/* The same failure is told once, not at every try. */
void mu_agent_note_failed(struct mu_agent *agent, const char *name, const struct mu_err *err)
{
    struct mu_agent_job job = {.agent = agent};
    struct mu_agent_last before = {0};
    bool is_known;

    snprintf(job.name, sizeof(job.name), "%s", name);
    if (mu_agent_last_load(agent->store, name, &before, NULL) != MU_OK)
        return;
    is_known = before.what != NULL && strcmp(before.what, err->what) == 0;
    mu_agent_last_clear(&before);
    if (is_known)
        return;
    last_write(&job, NULL, err);
    mu_agent_job_event_end(&job, NULL, err);
}

enum mu_code mu_agent_job_forget(struct mu_agent_job *job, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (job->settings.challenge_once >= 0)
        rc = mu_keystore_remove(job->agent->store, MU_KEYSTORE_SECRETS, job->name, "challenge", err);
    return rc != MU_OK ? rc : mu_agent_pending_remove(job->agent->store, job->name, err);
}

/* What is out stays; what never got out, or was refused, goes. */
static void pending_settle(
    struct mu_agent_job *job, const struct mu_client_result *answer, const struct mu_err *err)
{
    struct mu_keystore *store = job->agent->store;
    enum mu_code rc = MU_OK;

    if (err == NULL)
        rc = mu_agent_job_forget(job, NULL);
    else if (err->code == MU_DENIED || (answer != NULL && answer->over)
        || !mu_keystore_has(store, MU_KEYSTORE_STATE, job->name, "pending"))
        rc = mu_agent_pending_remove(store, job->name, NULL);
    if (rc != MU_OK)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "what was kept of the request could not be removed");
}

/* ---- telling ---- */

static void result_trace(const struct mu_agent_job *job, const struct mu_err *err)
{
    char code[8];

    if (err == NULL)
        mu_trace(&job->trace.env, job_proto(job), MU_TRACE_RESULT, "ok (0)");
    else if (mu_err_code_text(err, code)[0] != '\0')
        mu_trace(&job->trace.env, job_proto(job), MU_TRACE_RESULT, "%s: %s", code, err->what);
    else if (err->code == MU_PENDING)
        mu_trace(&job->trace.env, job_proto(job), MU_TRACE_RESULT, "pending");
    else
        mu_trace(&job->trace.env, job_proto(job), MU_TRACE_RESULT, "%s", err->what);
}

static void day_text(int64_t t, char out[MU_TIME_TEXT])
{
    mu_time_rfc3339(t, out);
    out[10] = '\0';
}

/* Issued all the same (E022), but TLS clients look at nothing else. */
static void tell_san_dropped(struct mu_agent_job *job, const struct mu_agent_facts *f)
{
    struct mu_pki_csr *csr = NULL;

    if (f->san == NULL && mu_pki_csr_decode(mu_buf_bytes(&job->pending.csr), &csr, NULL) == MU_OK
        && csr->exts.san.n > 0)
        mu_agent_job_step(job, MU_AGENT_STEP_WARNING,
            "M610: the SAN was dropped; TLS clients will not accept %s", job->name);
    mu_pki_csr_free(csr);
}

static void tell_issued(struct mu_agent_job *job, const struct mu_agent_facts *f)
{
    char until[MU_TIME_TEXT], from[MU_TIME_TEXT];
    struct mu_buf waited = {0}, chain = {0};
    int64_t now = mu_env_now(job->agent->env);

    if (job->was_pending || job->resumed)
        mu_text_duration_format(&waited, now - job->pending.since_s);
    mu_agent_job_step(job, MU_AGENT_STEP_STATUS, "SUCCESS%s%s", waited.n > 0 ? " after " : "",
        mu_buf_str(&waited));
    mu_agent_job_step(job, MU_AGENT_STEP_ISSUED, "%s, serial %s, %lld d, until %s",
        f->subject[0] != '\0' ? f->subject : "(no subject)", f->serial,
        (long long)((f->not_after_s - f->not_before_s) / DAY_S), mu_time_plain(f->not_after_s, until));
    if (f->changed != NULL)
        mu_agent_job_step(job, MU_AGENT_STEP_CHANGED, "the CA: %s", f->changed);
    tell_san_dropped(job, f);
    for (unsigned i = 0; i < job->saved.chain_n; i++)
        mu_buf_putf(&chain, ", ca.crt-%u", i);
    mu_agent_job_step(job, MU_AGENT_STEP_SAVED, "%s: latest.crt, latest.key (0600)%s", job->name,
        mu_buf_str(&chain));
    if (f->renew_from_s == 0) {
        mu_agent_job_step(job, MU_AGENT_STEP_RENEWAL, "off (renew-days = 0)");
    } else {
        day_text(f->renew_from_s, from);
        mu_agent_job_step(job, MU_AGENT_STEP_RENEWAL, "from %s, %lld d before expiry", from,
            (long long)((f->not_after_s - f->renew_from_s) / DAY_S));
    }
    mu_buf_clear(&waited);
    mu_buf_clear(&chain);
}

static void tell_warnings(struct mu_agent_job *job, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        size_t n = strcspn(lines, "\n");

        if (n > 0)
            mu_agent_job_step(job, MU_AGENT_STEP_WARNING, "%.*s", (int)n, lines);
        lines += n + (lines[n] == '\n' ? 1 : 0);
    }
}

/* M209 with the fingerprint to compare and the command that accepts it. */
static void trust_hint(const struct mu_agent_job *job, struct mu_err *err)
{
    char *sha256 = NULL;

    if (err->reason != MU_M(209) || job->trust_ca == NULL || err->next[0] != '\0'
        || mu_agent_fingerprint(job->trust_ca, &sha256, NULL) != MU_OK)
        return;
    mu_err_next(err, "compare SHA-256 %s with the CA's operator, then run it again with --pin %s",
        sha256, sha256);
    free(sha256);
}

void mu_agent_job_answer(struct mu_agent_job *job, const struct mu_agent_outcome *outcome,
    const struct mu_err *err)
{
    job->host.on_done(job->host.ctx, outcome, err);
    mu_agent_job_free(job);
}

void mu_agent_job_end(struct mu_agent_job *job, const struct mu_err *failed)
{
    struct mu_agent_outcome outcome = {.result = MU_AGENT_ISSUED};
    struct mu_client_result answer = {0};
    struct mu_agent_facts facts = {0};
    struct mu_err err = failed != NULL ? *failed : (struct mu_err){0};
    bool waits = err.code == MU_PENDING;

    if (failed == NULL && mu_agent_cmp_finish(job, &err) != MU_OK)
        failed = &err;
    else if (err.reason == MU_M(508))
        mu_agent_cmp_refused(job);
    if (failed != NULL) {
        trust_hint(job, &err);
        failed = &err;
    }
    if (job->client != NULL) {
        mu_client_result(job->client, &answer);
        outcome.answer = &answer;
        tell_warnings(job, answer.warnings);
    }
    mu_agent_life_end(job, outcome.answer, failed);
    pending_settle(job, outcome.answer, failed);
    result_trace(job, failed);
    mu_agent_trace_end(&job->trace);
    last_write(job, outcome.answer, failed);
    if (mu_agent_show(job->agent, job->name, &facts, NULL) == MU_OK)
        outcome.facts = &facts;
    if (failed == NULL && job->holds)
        mu_agent_hold_tell(job);
    else if (failed == NULL && job->saved.waits)
        mu_agent_job_tell_waits(job);
    else if (failed == NULL && outcome.facts != NULL && facts.serial != NULL)
        tell_issued(job, &facts);
    if (job->saved_now && job->saved.replaced[0] != '\0'
        && strcmp(job->saved.replaced, job->saved.stem) != 0)
        outcome.replaced = job->saved.replaced;
    if (failed == NULL && job->holds) {
        outcome.held = true;
        if (outcome.facts != NULL)
            outcome.replaced = facts.stem;
    }
    outcome.ca_changed = job->ca_changed;
    mu_agent_job_event_end(job, outcome.facts, failed);
    if (waits)
        outcome.result = MU_AGENT_WAITING;
    if (waits && err.reason == MU_REASON_NONE)
        failed = NULL;
    if (answer.server_date_s != 0) {
        outcome.has_clock = true;
        outcome.clock_difference_s = answer.server_date_s - answer.answer_at_s;
    }
    mu_agent_job_answer(job, &outcome, failed);
    mu_agent_facts_clear(&facts);
}
