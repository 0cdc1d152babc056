/*
 * The run of a deployment: one part after the other, each written down before and after, so that a kill
 * repeats at most the one that was running. What failed is tried again as a whole from there, when who
 * drives it says so; what worked for this pair does not run twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_deploy_internal.h"
#include "agent/agent_internal.h"
#include "base/text.h"
#include "base/time.h"

enum { EXIT_LATER = 75 }; /* EX_TEMPFAIL, of a script of hooks.d/pre */

struct mu_agent_deploy {
    struct mu_agent *agent;
    struct mu_agent_deploy_host host;
    struct mu_agent_config_agent config;
    char name[MU_KEYSTORE_NAME];
    struct mu_keystore_lock *lock;
    struct mu_keystore_entry entry;       /* the pair; no cert: nothing was issued yet */
    struct mu_agent_hook_env env;
    struct mu_agent_deploy_record record; /* its parts are those of the plan */
    enum mu_agent_hook_event event;
    bool verify_only, again, is_test, is_failure; /* is_failure: an enrollment failed, nothing is deployed */
    bool is_notice;                       /* nor is anything here: hooks.d/post hears of something */
    unsigned attempt;
    int64_t next_try_s;
    size_t at;                            /* the part that runs */
    bool holds;                           /* the pair waits for this: it is switched to on the way */
    bool failed, is_stale, is_vetoed;
    bool muted;                           /* nothing new: an earlier veto stands */
    struct mu_err err;                    /* of the first that failed */
    char what[300];                       /* it; else all that worked */
    char *hook_user;
    struct mu_loop_child *child;
    struct mu_agent_verify *verify;
    struct mu_loop_timer *timer;
};

static void go_on(void *cookie);

static void deploy_free(struct mu_agent_deploy *d)
{
    mu_loop_timer_free(d->agent->loop, d->timer);
    mu_loop_child_free(d->agent->loop, d->child);
    mu_agent_verify_cancel(d->verify);
    mu_agent_hook_env_clear(&d->env);
    mu_agent_deploy_record_clear(&d->record);
    mu_keystore_entry_clear(&d->entry);
    mu_keystore_unlock(d->lock);
    free(d->hook_user);
    free(d);
}

void mu_agent_deploy_cancel(struct mu_agent_deploy *d)
{
    if (d != NULL)
        deploy_free(d);
}

/* Soon, from the loop: no part is started from within the end of another. */
static void later(struct mu_agent_deploy *d)
{
    mu_loop_timer_free(d->agent->loop, d->timer);
    d->timer = mu_loop_after(d->agent->loop, 0, go_on, d);
    if (d->timer == NULL)
        go_on(d);
}

/* Best effort: what cannot be written down is run once more after a restart. */
static void write_down(struct mu_agent_deploy *d)
{
    if (!d->is_test && !d->is_failure && !d->is_notice)
        (void)!(mu_agent_deploy_record_store(d->agent->store, d->name, &d->record, NULL) == MU_OK);
}

/* ---- the end ---- */

static void emit(struct mu_agent_deploy *d, const char *serial)
{
    struct mu_agent_event event = {
        .kind = !d->failed  ? MU_AGENT_EVENT_DEPLOYED
            : d->is_stale   ? MU_AGENT_EVENT_STALE
                            : MU_AGENT_EVENT_DEPLOY_FAILED,
        .at_s = mu_env_now(d->agent->env),
        .name = d->name,
        .method = "deploy",
        .serial = serial,
    };

    if (d->is_test || d->is_failure || d->is_notice || d->muted || d->record.parts.n == 0 || (d->verify_only && !d->failed))
        return;
    event.detail = d->what;
    if (d->failed) {
        event.code = d->err.reason;
        event.reason = d->err.what;
        event.hint = mu_err_next_text(&d->err);
    }
    mu_agent_event_emit(&d->agent->events, &event);
}

static void finish(struct mu_agent_deploy *d)
{
    struct mu_buf serial = {.max = 256};
    struct mu_agent_deploy_outcome outcome = {.ok = !d->failed,
        .is_stale = d->is_stale,
        .is_vetoed = d->is_vetoed,
        .nothing = d->record.parts.n == 0};

    if (!d->verify_only)
        d->record.done = !d->failed;
    write_down(d);
    if (d->entry.cert != NULL)
        mu_pki_cert_serial_hex(d->entry.cert->serial, &serial);
    outcome.serial = mu_buf_str(&serial);
    emit(d, outcome.serial);
    mu_keystore_unlock(d->lock); /* who hears of it may want to write down more */
    d->lock = NULL;
    d->host.on_done(d->host.ctx, &outcome, d->failed ? &d->err : NULL);
    mu_buf_clear(&serial);
    deploy_free(d);
}

/* ---- one part ---- */

static void keep_text(char **to, const char *text)
{
    char safe[512];

    free(*to);
    *to = NULL;
    if (text != NULL && text[0] != '\0')
        (void)!(mu_text_dup(mu_text_escape_to(safe, sizeof safe, mu_bytes_str(text)), to, NULL) == MU_OK);
}

/* "nginx: wrote /etc/nginx/muster/web.crt": the first of them is what the service shows. */
static void keep_wrote(struct mu_agent_deploy_item *item, struct mu_bytes output)
{
    static const char word[] = ": wrote /";
    const uint8_t *at = output.n > 0 ? memmem(output.p, output.n, word, sizeof word - 1) : NULL, *end;
    char path[512];

    if (at == NULL)
        return;
    at += sizeof word - 2;
    end = memchr(at, '\n', output.n - (size_t)(at - output.p));
    mu_text_escape_to(path, sizeof path, mu_bytes(at, end != NULL ? (size_t)(end - at) : output.n - (size_t)(at - output.p)));
    keep_text(&item->wrote, path);
}

/* For the event: "nginx, localhost:443". */
static void add_what(struct mu_agent_deploy *d, const struct mu_agent_deploy_item *item)
{
    const char *word = item->what;
    size_t n = strlen(d->what);

    if (mu_text_starts(word, "recipe "))
        word += strlen("recipe ");
    else if (mu_text_starts(word, "verify tls:"))
        word += strlen("verify tls:");
    snprintf(d->what + n, sizeof d->what - n, "%s%s", n > 0 ? ", " : "", word);
}

/* A part has ended. err NULL: it worked. */
static void part_done(struct mu_agent_deploy *d, int exit_code, const char *line, const char *serial,
    struct mu_bytes output, const struct mu_err *err)
{
    struct mu_agent_deploy_item *item = &d->record.parts.v[d->at];
    struct mu_agent_deploy_part part = {.what = item->what,
        .ok = err == NULL,
        .exit_code = exit_code,
        .code = err != NULL ? err->reason : MU_REASON_NONE,
        .serial_seen = serial,
        .output = output};

    item->state = err == NULL ? MU_AGENT_DEPLOY_DONE : MU_AGENT_DEPLOY_FAILED;
    if (err != NULL && item->kind == MU_AGENT_DEPLOY_PRE) {
        d->is_vetoed = true;
        if (exit_code <= 0 || exit_code == EXIT_LATER) /* nothing against it, but not now */
            item->state = MU_AGENT_DEPLOY_OPEN;
    }
    item->exit_code = exit_code;
    item->code = part.code;
    item->at_s = mu_env_now(d->agent->env);
    keep_text(&item->line, line);
    if (item->kind == MU_AGENT_DEPLOY_RECIPE)
        keep_wrote(item, output);
    keep_text(&item->serial_seen, serial);
    if (err == NULL && line != NULL && mu_text_starts(line, "M905:"))
        item->code = part.code = MU_M(905); /* it worked, by a restart: said, not failed */
    part.last_line = item->line;
    if (err == NULL && item->kind != MU_AGENT_DEPLOY_FAILURE && !d->failed)
        add_what(d, item);
    if (err != NULL && item->kind != MU_AGENT_DEPLOY_FAILURE && !d->failed) {
        d->failed = true;
        d->what[0] = '\0';
        add_what(d, item);
        d->is_stale = item->kind == MU_AGENT_DEPLOY_VERIFY;
        d->err = *err;
    }
    write_down(d);
    if (d->host.on_part != NULL)
        d->host.on_part(d->host.ctx, &part);
    d->at++;
    later(d);
}

static void on_exit_(void *cookie, const struct mu_loop_exit *e)
{
    struct mu_agent_deploy *d = cookie;
    const struct mu_agent_deploy_item *item = &d->record.parts.v[d->at];
    struct mu_loop *loop = d->agent->loop;
    struct mu_loop_child *child = d->child;
    struct mu_buf limit = {.max = 64};
    enum mu_reason said = MU_REASON_NONE;
    struct mu_err err = {.code = MU_OK};
    char line[512];

    mu_text_escape_to(line, sizeof line, mu_bytes_str(mu_agent_hook_shows_key(e->output) ? "*" : e->last_line));
    if (!e->is_late && e->exit_code > 0)
        said = mu_agent_hook_said(e->output, line, sizeof line);
    if (e->is_late) {
        mu_text_duration_format(&limit, d->config.hook_timeout_s);
        mu_err_set(&err, MU_BUSY, MU_M(904), "%s did not end in %s", item->what, mu_buf_str(&limit));
    } else if (e->exit_code < 0) {
        mu_err_set(&err, MU_DENIED, MU_M(901), "%s was ended by signal %d: \"%s\"", item->what, e->signal, line);
    } else if (e->exit_code == EXIT_LATER && item->kind == MU_AGENT_DEPLOY_PRE) {
        mu_err_set(&err, MU_BUSY, MU_M(901), "%s asks to wait (%d): \"%s\"", item->what, e->exit_code, line);
    } else if (e->exit_code > 0) {
        mu_err_set(&err, MU_DENIED, said != MU_REASON_NONE ? said : MU_M(901), "%s ended with %d: \"%s\"", item->what,
            e->exit_code, line);
    }
    if (err.code != MU_OK && item->kind == MU_AGENT_DEPLOY_PRE && e->exit_code > 0 && e->exit_code != EXIT_LATER)
        mu_err_next(&err, "The present certificate stays in use; `muster deploy %s` asks again.", d->name);
    else if (err.code != MU_OK && !e->is_late && said == MU_REASON_NONE)
        mu_err_next(&err, "The service has the old one; `muster hook test %s` shows it.", d->name);
    d->child = NULL;
    part_done(d, e->exit_code, line, NULL, e->output, err.code != MU_OK ? &err : NULL);
    mu_loop_child_free(loop, child); /* e was a view into it */
    mu_buf_clear(&limit);
}

static enum mu_code run_program(struct mu_agent_deploy *d, struct mu_agent_deploy_item *item, struct mu_err *err)
{
    bool is_shell = item->kind == MU_AGENT_DEPLOY_SCRIPT
        || (item->kind == MU_AGENT_DEPLOY_FAILURE && strcmp(item->what, "failure-script") == 0);
    const char *argv[36] = {"/bin/sh", "-c", item->program, NULL};
    char words[1024] = "", *rest = words, *word;
    struct mu_loop_spawn what = {.argv = argv,
        .env = (const char *const *)d->env.v,
        .cwd = "/",
        .user = d->hook_user,
        .limit_ms = d->config.hook_timeout_s * 1000,
        .output_max = MU_AGENT_HOOK_OUTPUT};
    size_t n = 1;

    if (!is_shell) {
        argv[0] = item->program;
        if (item->words != NULL && (size_t)snprintf(words, sizeof words, "%s", item->words) >= sizeof words)
            return mu_err_set(err, MU_INPUT, MU_M(706), "the words behind %s are too long", item->what);
        while (n < 34 && (word = strtok_r(rest, " \t\n", &rest)) != NULL)
            argv[n++] = word;
        argv[n] = NULL;
    }
    return mu_loop_spawn(d->agent->loop, &what, on_exit_, d, &d->child, err);
}

static void on_verified(void *cookie, bool match, const char *serial, const struct mu_err *err)
{
    struct mu_agent_deploy *d = cookie;

    d->verify = NULL;
    part_done(d, -1, match ? NULL : err->what, serial, mu_bytes(NULL, 0), match ? NULL : err);
}

static enum mu_code run_verify(struct mu_agent_deploy *d, struct mu_agent_deploy_item *item, struct mu_err *err)
{
    const char *file = mu_agent_deploy_wrote(&d->record.parts, d->at);

    return mu_agent_verify_start(d->agent, &item->spec, d->entry.cert, file, d->verify_only || d->is_test,
        on_verified, d, &d->verify, err);
}

/* From here the new pair is the present one. */
static void run_switch(struct mu_agent_deploy *d)
{
    struct mu_keystore_saved saved;
    struct mu_buf serial = {.max = 256};
    struct mu_err err = {.code = MU_OK};
    enum mu_code rc = mu_agent_hold_switch(d->agent, d->name, &saved, &err);

    if (rc == MU_OK) {
        d->holds = false;
        d->record.held[0] = '\0';
        mu_pki_cert_serial_hex(d->entry.cert->serial, &serial);
        mu_agent_event_loaded(d->agent, d->name, "deploy", mu_buf_str(&serial));
    }
    part_done(d, -1, rc == MU_OK ? NULL : err.what, NULL, mu_bytes(NULL, 0), rc == MU_OK ? NULL : &err);
    mu_buf_clear(&serial);
}

/* Is this one's turn? What one service did not take is no reason to keep it from another, but nothing that
 * builds on all of them runs. */
static bool is_wanted(const struct mu_agent_deploy *d, const struct mu_agent_deploy_item *item)
{
    bool repeats = item->state != MU_AGENT_DEPLOY_DONE || d->again;

    if (d->is_notice)
        return item->kind == MU_AGENT_DEPLOY_POST;
    if (item->kind == MU_AGENT_DEPLOY_FAILURE)
        return !d->muted && (d->is_failure || (d->failed && !d->verify_only));
    if (d->failed && !d->is_failure && !d->verify_only && item->kind == MU_AGENT_DEPLOY_RECIPE)
        return !d->is_vetoed && !d->holds && repeats;
    if (d->is_failure || d->failed)
        return false;
    if (item->kind == MU_AGENT_DEPLOY_SWITCH)
        return !d->is_test && !d->verify_only && d->holds;
    if (item->kind == MU_AGENT_DEPLOY_VERIFY)
        return !d->is_test; /* nothing was changed: there is nothing to prove */
    return !d->verify_only && repeats;
}

/* What hooks hear once something has failed. */
static void tell_failure(struct mu_agent_deploy *d)
{
    char code[8];
    struct mu_buf text = {.max = 8192};

    if (d->is_failure || !d->failed)
        return;
    mu_agent_hook_put(&d->env, "MUSTER_ERROR_CODE", mu_err_code_text(&d->err, code));
    if (mu_buf_grow(&text, 4096) != NULL) {
        mu_agent_hook_put(&d->env, "MUSTER_ERROR_TEXT",
            mu_text_escape_to((char *)text.p, 4096, mu_bytes_str(d->err.what)));
        mu_agent_hook_put(&d->env, "MUSTER_ERROR_HINT",
            mu_text_escape_to((char *)text.p, 4096, mu_bytes_str(mu_err_next_text(&d->err))));
    }
    mu_buf_clear(&text);
    free(d->env.v[1]); /* MUSTER_EVENT stands behind PATH */
    d->env.v[1] = strdup("MUSTER_EVENT=failed");
    if (d->env.v[1] == NULL)
        d->env.failed = true;
    mu_agent_hook_put_try(&d->env, d->attempt, d->next_try_s);
}

static void go_on(void *cookie)
{
    struct mu_agent_deploy *d = cookie;
    struct mu_agent_deploy_item *item;
    struct mu_err err = {.code = MU_OK};
    enum mu_code rc;

    mu_loop_timer_free(d->agent->loop, d->timer);
    d->timer = NULL;
    while (d->at < d->record.parts.n && !is_wanted(d, &d->record.parts.v[d->at]))
        d->at++;
    if (d->at == d->record.parts.n) {
        finish(d);
        return;
    }
    item = &d->record.parts.v[d->at];
    if (item->kind == MU_AGENT_DEPLOY_FAILURE && d->record.parts.v[d->at - (d->at > 0)].kind != MU_AGENT_DEPLOY_FAILURE)
        tell_failure(d);
    item->state = MU_AGENT_DEPLOY_OPEN;
    write_down(d);
    if (item->kind == MU_AGENT_DEPLOY_SWITCH) {
        run_switch(d);
        return;
    }
    rc = d->entry.cert != NULL ? mu_agent_deploy_fits(item, d->entry.cert, &err) : MU_OK;
    if (rc == MU_OK)
        rc = item->kind == MU_AGENT_DEPLOY_VERIFY ? run_verify(d, item, &err) : run_program(d, item, &err);
    if (rc != MU_OK)
        part_done(d, -1, err.what, NULL, mu_bytes(NULL, 0), &err);
}

/* ---- the beginning ---- */

/* Results of the same pair stay; those of another are history. */
static void take_over(struct mu_agent_deploy *d, struct mu_agent_deploy_record *before)
{
    bool same = strcmp(before->stem, d->entry.stem) == 0, was_stale = false;
    size_t i, k;

    for (k = 0; k < before->parts.n; k++)
        was_stale = was_stale
            || (before->parts.v[k].kind == MU_AGENT_DEPLOY_VERIFY
                && before->parts.v[k].state == MU_AGENT_DEPLOY_FAILED);

    snprintf(d->record.stem, sizeof d->record.stem, "%s", d->entry.stem);
    snprintf(d->record.held, sizeof d->record.held, "%s", before->held);
    if (!d->holds || !mu_keystore_current(d->agent->store, d->name, d->record.old_stem))
        snprintf(d->record.old_stem, sizeof d->record.old_stem, "%s", same ? before->old_stem : before->stem);
    if (before->stem[0] == '\0' && d->record.old_stem[0] == '\0') /* nothing was deployed yet: renewed before */
        mu_agent_deploy_stem_before(d->agent, d->name, &d->entry, d->record.old_stem);
    d->record.done = same && before->done;
    for (i = 0; same && i < d->record.parts.n; i++) {
        struct mu_agent_deploy_item *item = &d->record.parts.v[i];

        for (k = 0; k < before->parts.n; k++) {
            struct mu_agent_deploy_item *old = &before->parts.v[k];

            if (old->what == NULL || strcmp(old->what, item->what) != 0)
                continue;
            /* A service that did not take it is told again; scripts run once. */
            item->state = was_stale && item->kind == MU_AGENT_DEPLOY_RECIPE ? MU_AGENT_DEPLOY_OPEN : old->state;
            item->exit_code = old->exit_code;
            item->code = old->code;
            item->at_s = old->at_s;
            item->line = old->line;
            item->serial_seen = old->serial_seen;
            item->wrote = old->wrote;
            old->line = old->serial_seen = old->wrote = NULL;
            break;
        }
    }
}

static enum mu_code load_pair(struct mu_agent_deploy *d, struct mu_err *err)
{
    char from[MU_TIME_TEXT];
    enum mu_code rc = MU_OK;

    d->holds = !d->is_failure && !d->is_notice && !d->verify_only && mu_agent_hold_load(d->agent, d->name, &d->entry);
    if (!d->holds)
        rc = mu_keystore_load(d->agent->store, d->name, &d->entry, err);

    if (rc == MU_NOT_FOUND && d->is_failure) {
        mu_err_clear(err);
        return MU_OK;
    }
    if (rc == MU_OK && !d->is_failure && !d->is_notice && !d->is_test
        && mu_env_now(d->agent->env) + MU_AGENT_DEPLOY_SOON_S < d->entry.cert->not_before_s) {
        rc = mu_err_set(err, MU_BUSY, MU_M(802), "%s is not valid before %s", d->name,
            mu_time_plain(d->entry.cert->not_before_s, from));
        mu_err_next(err, "It is deployed then.");
    }
    return rc;
}

/* A veto holds for this pair until a person asks again. */
static void keep_veto(struct mu_agent_deploy *d)
{
    size_t i;

    for (i = 0; i < d->record.parts.n; i++) {
        const struct mu_agent_deploy_item *item = &d->record.parts.v[i];

        if (item->kind != MU_AGENT_DEPLOY_PRE || item->state != MU_AGENT_DEPLOY_FAILED || d->again || d->is_test
            || d->is_failure || d->is_notice || d->verify_only)
            continue;
        d->failed = d->is_vetoed = d->muted = true;
        mu_err_set(&d->err, MU_DENIED, MU_M(901), "%s ended with %d: \"%s\"", item->what, item->exit_code,
            item->line != NULL ? item->line : "");
        mu_err_next(&d->err, "The present certificate stays in use; `muster deploy %s` asks again.", d->name);
        return;
    }
}

static enum mu_code prepare(struct mu_agent_deploy *d, const struct mu_agent_deploy_request *r, struct mu_err *err)
{
    struct mu_agent_deploy_record before;
    struct mu_buf warnings = {.max = 8192};
    struct mu_agent_last last = {.at_s = 0};
    struct mu_agent_hook_about about = {.name = d->name,
        .plan = r->plan,
        .event = r->event,
        .failed = r->failed,
        .transaction = r->transaction,
        .attempt = r->attempt,
        .next_try_s = r->next_try_s};
    enum mu_code rc = load_pair(d, err);

    if (rc == MU_OK)
        rc = mu_agent_deploy_plan_make(d->agent, r->plan, d->holds, &d->record.parts, &warnings, err);
    if (rc == MU_OK && d->entry.cert != NULL && !d->is_failure && !d->is_notice
        && mu_agent_deploy_lacks_san(&d->record.parts, d->entry.cert))
        mu_buf_putf(&warnings, "M610: the certificate has no SAN; TLS clients will not accept %s\n", d->name);
    if (rc == MU_OK && warnings.n > 0 && d->host.on_warning != NULL)
        d->host.on_warning(d->host.ctx, mu_buf_str(&warnings));
    mu_buf_clear(&warnings);
    if (rc == MU_OK)
        rc = mu_agent_deploy_record_load(d->agent->store, d->name, &before, err);
    if (rc != MU_OK)
        return rc;
    take_over(d, &before);
    mu_agent_deploy_record_clear(&before);
    keep_veto(d);
    about.stem = d->entry.stem;
    about.old_stem = d->record.old_stem;
    if ((rc = mu_agent_last_load(d->agent->store, d->name, &last, err)) != MU_OK)
        return rc;
    if (about.transaction == NULL)
        about.transaction = last.transaction;
    about.trace = last.trace;
    rc = mu_agent_hook_environment(d->agent, &about, &d->env, err);
    mu_agent_last_clear(&last);
    return rc;
}

/* A certificate whose time comes in a moment is waited for. */
static void begin(struct mu_agent_deploy *d)
{
    int64_t wait_s = d->entry.cert != NULL && !d->is_failure && !d->is_notice && !d->is_test
        ? d->entry.cert->not_before_s - mu_env_now(d->agent->env)
        : 0;

    d->timer = wait_s > 0 ? mu_loop_after(d->agent->loop, wait_s * 1000, go_on, d) : NULL;
    if (d->timer == NULL)
        later(d);
}

enum mu_code mu_agent_deploy_start(struct mu_agent *agent, const struct mu_agent_deploy_request *request,
    const struct mu_agent_deploy_host *host, struct mu_agent_deploy **out, struct mu_err *err)
{
    static const struct mu_agent_config_agent defaults = {.hook_timeout_s = 60};
    struct mu_agent_deploy *d = calloc(1, sizeof *d);
    enum mu_code rc;

    *out = NULL;
    if (d == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    d->agent = agent;
    d->host = *host;
    d->config = request->agent != NULL ? *request->agent : defaults;
    d->event = request->event;
    d->verify_only = request->verify_only;
    d->again = request->again;
    d->is_test = request->event == MU_AGENT_HOOK_TEST;
    d->is_failure = request->failed != NULL;
    d->is_notice = request->event == MU_AGENT_HOOK_CA_CHANGED;
    d->attempt = request->attempt;
    d->next_try_s = request->next_try_s;
    snprintf(d->name, sizeof d->name, "%s", request->name);
    rc = mu_keystore_lock(agent->store, d->name, &d->lock, err);
    /* An agent that is not root runs them as what it is itself, unless somebody else is named. */
    if (rc == MU_OK && d->config.hook_user != NULL
        && (geteuid() == 0 || strcmp(d->config.hook_user, "root") != 0))
        rc = mu_text_dup(d->config.hook_user, &d->hook_user, err);
    if (rc == MU_OK)
        rc = prepare(d, request, err);
    if (rc != MU_OK) {
        deploy_free(d);
        return rc;
    }
    begin(d);
    *out = d;
    return MU_OK;
}
