/* remove: everything of a certificate, after saying what hangs on it. */
#include <stdio.h>

#include "agent/agent_remove.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_print.h"

struct removal {
    struct mu_cmd *cmd;
    const char *name;
    struct mu_agent_facts facts;
    struct mu_buf uses, files; /* lines */
};

static void each_line(const struct removal *r, const char *word, const struct mu_buf *lines)
{
    const char *p = mu_buf_str(lines);
    char line[400];

    while (*p != '\0') {
        size_t n = strcspn(p, "\n"), some = n < sizeof line ? n : sizeof line - 1;

        memcpy(line, p, some);
        line[some] = '\0';
        mu_cmd_print_line(r->cmd, word, line);
        p += n + (p[n] == '\n');
    }
}

/* What is lost, and who will miss it: said before anything is, with --yes too. */
static void say(const struct removal *r)
{
    const struct mu_agent_facts *f = &r->facts;
    char line[600], when[48];

    if (f->serial != NULL) {
        snprintf(line, sizeof line, "%.300s, serial %s, %s %s", f->subject, f->serial,
            f->days_left >= 0 ? "valid until" : "expired at", mu_cmd_print_time(f->not_after_s, when));
        mu_cmd_print_line(r->cmd, "removed", line);
    }
    each_line(r, "in use by", &r->uses);
    if (f->is_pending) {
        snprintf(line, sizeof line, "request %.200s is out: the CA may still issue it", f->pending_txn != NULL ? f->pending_txn : "");
        mu_cmd_print_line(r->cmd, "pending", line);
    }
    if (f->serial != NULL && f->days_left >= 0)
        mu_cmd_print_line(r->cmd, "CA", "does not hear of it; where it should, revoke it first");
}

/* Needs an answer; --yes is one. */
static enum mu_code consent(const struct removal *r, struct mu_err *err)
{
    bool works = r->facts.serial != NULL && r->facts.days_left >= 0 && r->uses.n > 0;

    if (r->cmd->args.yes)
        return MU_OK;
    if (!mu_cmd_ask_possible() || r->cmd->args.no_input) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' with its private keys and settings would be lost%s, and nobody can be asked: add --yes",
            r->name, works ? " while it is in use" : "");
        return mu_cmd_wrong_value(r->cmd, err);
    }
    if (mu_cmd_ask_yes(works ? "It works and is in use. All of it is lost, the private keys too. Do you want to continue?"
                             : "All of it is lost, the private keys too. Do you want to continue?"))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s stays as it is", r->name);
}

static void on_file(void *cookie, const char *file)
{
    mu_buf_putf(cookie, "%s\n", file);
}

static int json(const struct removal *r)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    int exit_code;

    mu_cmd_print_json_begin(r->cmd, &j, &out);
    mu_agent_json_open(&j, "removed", '{');
    mu_agent_json_text(&j, "name", r->name);
    mu_agent_json_text(&j, "serial", r->facts.serial);
    mu_agent_json_list(&j, "in_use_by", mu_buf_str(&r->uses), "\n");
    mu_agent_json_list(&j, "files", mu_buf_str(&r->files), "\n");
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
    exit_code = mu_cmd_print_json(r->cmd, &out);
    mu_buf_clear(&out);
    return exit_code;
}

int mu_cmd_remove(struct mu_cmd *cmd)
{
    struct removal r = {.cmd = cmd, .name = cmd->args.words[0]};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc = mu_cmd_open_store(cmd, mu_agent_config_has_entry(cmd->config, r.name), &err);

    if (rc == MU_OK && ((rc = mu_agent_show(&cmd->agent, r.name, &r.facts, &err)) == MU_OK || rc == MU_NOT_FOUND)) {
        if (rc == MU_OK && (rc = mu_agent_remove_uses(&cmd->agent, r.name, &r.facts, &r.uses, &err)) == MU_OK) {
            say(&r);
            rc = consent(&r, &err);
        } else if (rc == MU_NOT_FOUND) {
            mu_err_clear(&err);
            rc = MU_OK; /* leftovers, or nothing */
        }
        if (rc == MU_OK)
            rc = mu_agent_remove(&cmd->agent, cmd->args.config, r.name, on_file, &r.files, &err);
    }
    if (rc == MU_OK || r.files.n > 0) {
        each_line(&r, "changed", &r.files);
        mu_cmd_agent_reload(cmd);
        mu_cmd_agent_touch(cmd, NULL);
    }
    if (rc != MU_OK)
        exit_code = mu_cmd_print_error(cmd, r.name, &err);
    else if (cmd->args.json)
        exit_code = json(&r);
    else
        mu_cmd_print_done(cmd);
    mu_agent_facts_clear(&r.facts);
    mu_buf_clear(&r.uses);
    mu_buf_clear(&r.files);
    return exit_code;
}
