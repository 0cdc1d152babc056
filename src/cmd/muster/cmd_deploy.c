/* deploy: recipes, scripts and verification of an entry. hook test: the same without effect. */
#include "cmd/muster/cmd_deploy.h"

#include <stdio.h>
#include <string.h>

#include "agent/agent_deploy.h"
#include "agent/agent_entry.h"
#include "agent/agent_hook.h"
#include "agent/agent_life.h"
#include "base/text.h"
#include "cmd/muster/cmd_print.h"

struct run {
    struct mu_cmd *cmd;
    const char *name;
    struct mu_agent_json json;
    struct mu_buf out;
    bool done, shows_output;
    struct mu_agent_deploy_outcome outcome;
    struct mu_err err; /* code MU_OK: it worked */
};

static void part_json(struct run *r, const struct mu_agent_deploy_part *part)
{
    char code[8] = "";

    if (part->code != MU_REASON_NONE)
        snprintf(code, sizeof code, "M%d", (int)part->code);
    mu_agent_json_open(&r->json, NULL, '{');
    mu_agent_json_text(&r->json, "what", part->what);
    mu_agent_json_bool(&r->json, "ok", part->ok);
    if (part->exit_code >= 0)
        mu_agent_json_int(&r->json, "exit_code", part->exit_code);
    else
        mu_agent_json_null(&r->json, "exit_code");
    mu_agent_json_text(&r->json, "code", code[0] != '\0' ? code : NULL);
    mu_agent_json_text(&r->json, "last_line", part->last_line);
    mu_agent_json_text(&r->json, "serial_seen", part->serial_seen);
    mu_agent_json_close(&r->json, '}');
}

/* What it printed, behind a margin. */
static void show_line(void *cookie, const char *line)
{
    fprintf(stderr, "             | %s\n", line);
    (void)cookie;
}

static void on_part(void *ctx, const struct mu_agent_deploy_part *part)
{
    struct run *r = ctx;
    const bool check = mu_text_starts(part->what, "verify ");
    char text[700];

    if (r->cmd->args.json) {
        part_json(r, part);
        return;
    }
    if (part->ok && part->code == MU_M(905))
        snprintf(text, sizeof text, "%s: ok, %s", part->what, part->last_line);
    else if (part->ok && check)
        snprintf(text, sizeof text, "%s presents %s", part->what + strlen("verify "),
            part->serial_seen != NULL ? part->serial_seen : "it");
    else if (part->ok)
        snprintf(text, sizeof text, "%s: ok", part->what);
    else
        snprintf(text, sizeof text, "%s: failed%s%s", part->what, part->last_line != NULL ? ": " : "",
            part->last_line != NULL ? part->last_line : "");
    mu_cmd_print_line(r->cmd, check ? "in use" : "deploy", text);
    if (r->shows_output && !r->cmd->args.quiet)
        mu_agent_hook_lines(part->output, show_line, NULL);
}

static void on_warning(void *ctx, const char *lines)
{
    struct run *r = ctx;

    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n");

        fprintf(stderr, "muster: %.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n' ? 1 : 0);
    }
    (void)r;
}

static void on_done(void *ctx, const struct mu_agent_deploy_outcome *outcome, const struct mu_err *err)
{
    struct run *r = ctx;

    r->outcome = *outcome;
    r->outcome.serial = NULL; /* a view */
    r->err = err != NULL ? *err : (struct mu_err){.code = MU_OK};
    r->done = true;
    mu_loop_stop(r->cmd->loop);
}

/* The record of the entry hears of it as it would from the agent; best effort, as with every job. */
static void note(struct run *r)
{
    struct mu_lifecycle_happened what = {
        .event = r->outcome.ok ? MU_LIFECYCLE_DEPLOYED : MU_LIFECYCLE_NOT_DEPLOYED, .by_person = true};
    struct mu_keystore_lock *lock = NULL;

    if (mu_keystore_lock(r->cmd->store, r->name, &lock, NULL) != MU_OK)
        return;
    if (mu_agent_life_happened(&r->cmd->agent, r->name, &what, NULL) != MU_OK)
        mu_cmd_print_note(r->cmd, "muster: how it went could not be written down");
    mu_keystore_unlock(lock);
}

/* MU_OK: it ran, and how it ended is in r->err. */
static enum mu_code run(struct run *r, const struct mu_agent_deploy_request *how, struct mu_err *err)
{
    const struct mu_agent_deploy_host host = {r, on_part, on_warning, on_done};
    struct mu_agent_deploy_request request = *how;
    struct mu_agent_config_entry entry = {.ca = NULL};
    struct mu_agent_deploy *running = NULL;
    enum mu_code rc = mu_agent_entry_load(&r->cmd->agent, r->name, 0, &entry, err);

    if (rc != MU_OK)
        return rc;
    request.name = r->name;
    request.plan = &entry;
    request.agent = mu_agent_config_agent(r->cmd->config);
    rc = mu_agent_deploy_start(&r->cmd->agent, &request, &host, &running, err);
    mu_agent_config_entry_clear(&entry);
    if (rc != MU_OK)
        return rc;
    mu_loop_run(r->cmd->loop);
    if (!r->done) {
        mu_agent_deploy_cancel(running);
        r->cmd->interrupted = true;
        return mu_err_set(err, MU_BUSY, MU_REASON_NONE, "Interrupted; muster deploy %s goes on with it", r->name);
    }
    if (request.event != MU_AGENT_HOOK_TEST && request.event != MU_AGENT_HOOK_CA_CHANGED && request.failed == NULL && !r->outcome.nothing)
        note(r);
    return MU_OK;
}

/* Is there anything that a person should see? Entries without a plan pass in silence. */
static bool has_plan(struct mu_cmd *cmd, const char *name, bool failure)
{
    struct mu_agent_config_entry entry = {.ca = NULL};
    bool has;

    if (mu_agent_entry_load(&cmd->agent, name, 0, &entry, NULL) != MU_OK)
        return false;
    has = failure ? mu_agent_deploy_has_failure(&cmd->agent, &entry)
                  : mu_agent_deploy_has_plan(&cmd->agent, &entry);
    mu_agent_config_entry_clear(&entry);
    return has;
}

/* What is issued and not in use is gone on with whenever somebody comes by, without an agent too: a kill
 * was between, it failed, a script of pre said "later", or its time has come. */
static bool is_owed(struct mu_cmd_job *job)
{
    struct mu_agent *agent = &job->cmd->agent;
    struct mu_lifecycle life = {0};

    if (job->failed.code != MU_OK || job->cmd->args.dry_run)
        return false;
    if (mu_agent_deploy_held(agent, job->name, NULL))
        return true;
    return mu_agent_life_load(agent->store, job->name, &life, NULL) == MU_OK
        && (life.state == MU_LIFECYCLE_ISSUED || life.state == MU_LIFECYCLE_FAILED)
        && has_plan(job->cmd, job->name, false);
}

/* Scripts hear of a new CA before anything is deployed. That one fails changes nothing. */
static void tell_ca_changed(struct mu_cmd_job *job)
{
    const struct mu_agent_deploy_request request = {.event = MU_AGENT_HOOK_CA_CHANGED, .attempt = 1};
    struct run r = {.cmd = job->cmd, .name = job->name};
    struct mu_err err = {0};

    if (!job->ca_changed || !mu_agent_deploy_has_post(&job->cmd->agent))
        return;
    if (run(&r, &request, &err) == MU_OK)
        err = r.err;
    if (err.code != MU_OK)
        mu_cmd_print_note(job->cmd, "muster: %s", err.what);
}

void mu_cmd_deploy_after(struct mu_cmd_job *job)
{
    struct run r = {.cmd = job->cmd, .name = job->name};
    bool failed = job->failed.code != MU_OK && job->failed.code != MU_PENDING;
    const struct mu_agent_deploy_request request = {
        .event = failed ? MU_AGENT_HOOK_FAILED : job->is_renewal ? MU_AGENT_HOOK_RENEWED : MU_AGENT_HOOK_ENROLLED,
        .failed = failed ? &job->failed : NULL,
        .attempt = 1};
    struct mu_err err = {0};
    const bool json = job->cmd->args.json;

    if (job->name == NULL || job->answer != NULL || job->cmd->store == NULL)
        return;
    tell_ca_changed(job);
    if (failed || !is_owed(job)) {
        if ((!failed && !job->issued) || !has_plan(job->cmd, job->name, failed))
            return;
    }
    job->cmd->args.json = false; /* the object of the job has been said */
    job->cmd->args.quiet = job->cmd->args.quiet || json;
    if (run(&r, &request, &err) == MU_OK)
        err = r.err;
    job->cmd->args.json = json;
    if (err.code == MU_OK || failed)
        return;
    mu_cmd_print_error(job->cmd, job->name, &err);
    job->exit_code = MU_CMD_NOT_DEPLOYED;
}

/* Runs it for a command of its own. */
static int command(struct mu_cmd *cmd, const struct mu_agent_deploy_request *request, bool shows_output)
{
    struct run r = {.cmd = cmd, .name = cmd->args.words[0], .shows_output = shows_output, .out = {.max = 1 << 20}};
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    if ((rc = mu_cmd_open_store(cmd, false, &err)) != MU_OK || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK)
        return mu_cmd_print_error(cmd, r.name, &err);
    if (cmd->args.json) {
        mu_cmd_print_json_begin(cmd, &r.json, &r.out);
        mu_agent_json_text(&r.json, "name", r.name);
        mu_agent_json_open(&r.json, "parts", '[');
    }
    rc = run(&r, request, &err);
    if (rc != MU_OK) {
        mu_buf_clear(&r.out);
        return mu_cmd_print_error(cmd, r.name, &err);
    }
    if (cmd->args.json) {
        mu_agent_json_close(&r.json, ']');
        mu_agent_json_bool(&r.json, "ok", r.outcome.ok);
        mu_agent_json_text(&r.json, "what", r.err.code != MU_OK ? r.err.what : NULL);
        mu_agent_json_close(&r.json, '}');
        exit_code = mu_cmd_print_json(cmd, &r.out);
        mu_buf_clear(&r.out);
        return exit_code != MU_CMD_OK ? exit_code : r.outcome.ok ? MU_CMD_OK : MU_CMD_NOT_DEPLOYED;
    }
    if (r.outcome.nothing)
        mu_cmd_print_note(cmd, "%s: nothing to do: no recipe, script or check is configured (muster config set %s "
                               "deploy nginx)", r.name, r.name);
    if (!r.outcome.ok) {
        mu_cmd_print_error(cmd, r.name, &r.err);
        return MU_CMD_NOT_DEPLOYED;
    }
    mu_cmd_print_done(cmd);
    return MU_CMD_OK;
}

int mu_cmd_deploy(struct mu_cmd *cmd)
{
    const struct mu_agent_deploy_request request = {.event = MU_AGENT_HOOK_RENEWED,
        .verify_only = cmd->args.verify_only,
        .again = true,
        .attempt = 1};

    return command(cmd, &request, cmd->args.verbose > 0);
}

int mu_cmd_hook_test(struct mu_cmd *cmd)
{
    struct mu_agent_deploy_request request = {.event = MU_AGENT_HOOK_TEST, .again = true, .attempt = 1};
    struct mu_err example = {0}, err = {0};

    if (cmd->args.as != NULL && strcmp(cmd->args.as, "failure") != 0) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--as %s: known is failure", cmd->args.as);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (cmd->args.as != NULL) {
        mu_err_set(&example, MU_DENIED, MU_M(312), "the CA refused the renewal and gave no reason (a test)");
        request.failed = &example;
    }
    return command(cmd, &request, true);
}
