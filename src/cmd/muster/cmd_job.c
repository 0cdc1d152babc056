/* Runs the loop while the agent works, and tells. */
#include "cmd/muster/cmd_job.h"

#include <signal.h>
#include <stdio.h>

#include "base/text.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_deploy.h"
#include "cmd/muster/cmd_facts.h"
#include "net/net_loop.h"

static void on_step(void *ctx, enum mu_agent_step step, const char *text)
{
    struct mu_cmd_job *job = ctx;
    char line[300];

    if (step == MU_AGENT_STEP_STATUS && mu_text_starts(text, "PENDING")) {
        snprintf(line, sizeof line, "%s (Ctrl-C is safe)", text);
        mu_cmd_print_progress(job->cmd, mu_agent_step_word(step), line);
        job->last_line_s = mu_env_now(&job->cmd->env);
        job->told_pending = true;
        return;
    }
    mu_cmd_print_line(job->cmd, mu_agent_step_word(step), text);
    if (step == MU_AGENT_STEP_WARNING && job->cmd->args.json)
        fprintf(stderr, "muster: warning: %s\n", text);
}

/* On a terminal the line follows each poll, elsewhere there is one a minute at most. */
static void on_wait(void *ctx, int64_t wait_s, int64_t limit_s)
{
    struct mu_cmd_job *job = ctx;
    int64_t now = mu_env_now(&job->cmd->env);
    char line[200];

    if (job->polls++ == 0 || (!mu_cmd_ask_possible() && now - job->last_line_s < 60))
        return;
    job->last_line_s = now;
    snprintf(line, sizeof line,
        "PENDING, asked %u times, next question in %lld s, for at most %lld min (Ctrl-C is safe)",
        job->polls, (long long)wait_s, (long long)(limit_s / 60));
    mu_cmd_print_progress(job->cmd, mu_agent_step_word(MU_AGENT_STEP_STATUS), line);
}

static void on_trust(void *ctx, struct mu_agent_job *running, const struct mu_agent_trust *question)
{
    struct mu_cmd_job *job = ctx;
    char text[400];
    bool yes = false;

    snprintf(job->fingerprint, sizeof job->fingerprint, "%s", question->sha256);
    snprintf(job->ca_name, sizeof job->ca_name, "%s", question->name);
    if (mu_cmd_ask_possible() && !job->cmd->args.no_input) {
        snprintf(text, sizeof text, "%s is not known here, SHA-256 %s", question->subject,
            question->sha256);
        fprintf(stderr, "  %-10s %s\n", "CA", text);
        snprintf(text, sizeof text,
            "             Compare it with the CA's operator. Trust it as \"%s\"?", question->name);
        yes = mu_cmd_ask_yes(text);
    }
    mu_agent_job_trust(running, yes);
}

static void json_end(struct mu_cmd_job *job, const struct mu_agent_outcome *outcome)
{
    static const char *const words[] = {"nothing", "issued", "pending", "answered"};
    struct mu_buf out = {0};
    struct mu_agent_json j;

    mu_cmd_print_json_begin(job->cmd, &j, &out);
    mu_agent_json_text(&j, "result", words[outcome->result]);
    mu_agent_json_text(&j, "why", outcome->why);
    mu_agent_json_text(&j, "replaced", outcome->replaced);
    mu_agent_json_open(&j, "certificates", '[');
    if (outcome->facts != NULL)
        mu_agent_json_facts(&j, NULL, outcome->facts, mu_env_now(&job->cmd->env));
    mu_agent_json_close(&j, ']');
    mu_agent_json_close(&j, '}');
    job->exit_code = mu_cmd_print_json(job->cmd, &out);
    mu_buf_clear(&out);
}

static int end_well(struct mu_cmd_job *job, const struct mu_agent_outcome *outcome)
{
    int exit_code = outcome->result == MU_AGENT_WAITING ? MU_CMD_PENDING : MU_CMD_OK;

    if (job->answer != NULL)
        return job->answer(job->cmd, outcome, job->ctx);
    if (job->cmd->args.json && !job->quiet_end) {
        json_end(job, outcome);
        return job->exit_code != MU_CMD_OK ? job->exit_code : exit_code;
    }
    if (outcome->result == MU_AGENT_NOTHING && outcome->why != NULL)
        mu_cmd_print_note(job->cmd, "%s%snothing to do: %s", job->name != NULL ? job->name : "",
            job->name != NULL ? ": " : "", outcome->why);
    if (outcome->result == MU_AGENT_WAITING && !job->told_pending)
        mu_cmd_print_line(
            job->cmd, mu_agent_step_word(MU_AGENT_STEP_STATUS), "PENDING, waits for an operator");
    if (outcome->result == MU_AGENT_WAITING && job->name != NULL)
        mu_cmd_print_note(job->cmd, "  %-10s muster poll %s", "later", job->name);
    return exit_code;
}

/* The server's CA is not in the store (E036): what was shown of it, and the lines that import it. */
static void import_line(const struct mu_cmd_job *job, struct mu_err *err)
{
    const char *at = strstr(err->next, "SHA-256 ");
    char fp[100] = "", pin[68] = "";
    size_t n = 0;

    if (at != NULL)
        snprintf(fp, sizeof fp, "%.*s", (int)strspn(at + 8, "0123456789ABCDEFabcdef:"), at + 8);
    if (fp[0] == '\0')
        return;
    for (at = fp; *at != '\0' && n + 1 < sizeof pin; at++) {
        if (*at != ':')
            pin[n++] = *at;
    }
    mu_err_next(err,
        "Compare SHA-256 %s with the CA's operator, then add --pin %s\nor: muster ca fetch %s "
        "--via est -o DIR, muster ca trust DIR/ca.crt-0",
        fp, pin, job->url);
}

/* A CA that nobody accepted, or a root that is missing: the command that helps, word for word. */
static void accepting_line(const struct mu_cmd_job *job, struct mu_err *err)
{
    if (err->reason == MU_M(212) && err->next[0] == '\0')
        mu_err_next(err,
            "Get that root from the CA's operator, compare its SHA-256, then: muster ca trust "
            "FILE");
    if (err->reason == MU_M(204) && job->url != NULL)
        import_line(job, err);
    if (err->reason != MU_M(209) || job->fingerprint[0] == '\0')
        return;
    if (strstr(err->what, job->fingerprint) == NULL) {
        size_t n = strlen(err->what);

        snprintf(err->what + n, sizeof err->what - n, ", SHA-256 %s", job->fingerprint);
    }
    mu_err_next(err, "Compare it with the CA's operator, then add --pin %s%s%s%s", job->fingerprint,
        job->url != NULL ? "\nor: muster ca fetch " : "", job->url != NULL ? job->url : "",
        job->url != NULL ? " -o DIR, muster ca trust DIR/ca.crt-0" : "");
}

static void on_done(void *ctx, const struct mu_agent_outcome *outcome, const struct mu_err *err)
{
    struct mu_cmd_job *job = ctx;
    struct mu_err own;

    job->running = NULL;
    job->done = true;
    job->issued = err == NULL && outcome->result == MU_AGENT_ISSUED && outcome->facts != NULL
        && outcome->facts->serial != NULL;
    job->is_renewal = job->issued && outcome->replaced != NULL;
    job->ca_changed = outcome->ca_changed;
    if (err != NULL) {
        job->failed = *err;
        own = *err;
        accepting_line(job, &own);
        job->exit_code = mu_cmd_print_failure(job->cmd, job->name, &own,
            outcome != NULL && outcome->facts != NULL && job->name != NULL ? outcome->facts->last_trace : NULL);
    } else {
        job->exit_code = end_well(job, outcome);
    }
    mu_loop_stop(job->cmd->loop);
}

static void on_signal(void *cookie)
{
    mu_loop_stop(((struct mu_cmd *)cookie)->loop);
}

/* What stays behind after Ctrl-C: the request, if one is out. */
static int interrupted(struct mu_cmd_job *job)
{
    struct mu_agent_facts facts = {0};
    bool pending = false;

    job->cmd->interrupted = true;
    mu_agent_job_cancel(job->running);
    job->running = NULL;
    if (job->name != NULL && mu_agent_show(&job->cmd->agent, job->name, &facts, NULL) == MU_OK) {
        pending = facts.is_pending;
        mu_agent_facts_clear(&facts);
    }
    if (pending)
        mu_cmd_print_note(
            job->cmd, "Interrupted. The request is kept, go on with: muster poll %s", job->name);
    else
        mu_cmd_print_note(job->cmd, "Interrupted.");
    return pending ? MU_CMD_PENDING : MU_CMD_FAILED;
}

void mu_cmd_job_init(struct mu_cmd_job *job, struct mu_cmd *cmd, const char *name)
{
    *job = (struct mu_cmd_job){.cmd = cmd, .name = name};
    job->host = (struct mu_agent_host){.ctx = job,
        .may_ask = mu_cmd_ask_possible() && !cmd->args.no_input,
        .on_trust = on_trust,
        .on_step = on_step,
        .on_wait = on_wait,
        .on_done = on_done};
}

int mu_cmd_job_finish(struct mu_cmd_job *job, enum mu_code rc, const struct mu_err *err)
{
    struct mu_cmd *cmd = job->cmd;
    struct mu_err own = {0};

    if (rc != MU_OK)
        return mu_cmd_print_error(cmd, job->name, err);
    if (!cmd->listening
        && (mu_net_loop_on_signal(cmd->loop, SIGINT, on_signal, cmd, &own) != MU_OK
            || mu_net_loop_on_signal(cmd->loop, SIGTERM, on_signal, cmd, &own) != MU_OK))
        mu_cmd_print_note(cmd, "%s", own.what);
    cmd->listening = true;
    while (!job->done) {
        mu_loop_run(job->cmd->loop);
        if (!job->done) {
            int exit_code = interrupted(job);

            mu_cmd_agent_touch(cmd, job->name);
            return exit_code;
        }
    }
    if (job->name != NULL && job->answer == NULL) /* not for a question */
        mu_cmd_agent_touch(cmd, job->name);
    mu_cmd_deploy_after(job);
    if (job->exit_code == MU_CMD_OK && !job->quiet_end)
        mu_cmd_print_done(cmd); /* now, so that nothing of the trace comes behind it */
    return job->exit_code;
}
