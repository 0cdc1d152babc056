/* doctor: all checks in order, with the repair for each. */
#include "cmd/muster/cmd_doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/agent_entry.h"
#include "agent/agent_log.h"
#include "agent/agent_status.h"
#include "base/text.h"
#include "base/time.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_facts.h"
#include "cmd/muster/cmd_print.h"

enum { DAY_S = 86400, SPACE_MIN_MIB = 16, NAMES_MAX = 1000 };

/* No clock is earlier than the program. */
static const int64_t built_s = 1735689600; /* 2025-01-01 */

/* ---- telling ---- */

static void json_one(struct mu_cmd_doctor *d, const char *check, const char *level, const struct mu_err *err,
    const char *what)
{
    struct mu_err none = {0};
    const struct mu_err *e = err != NULL ? err : &none;
    char code[8];

    mu_agent_json_open(&d->j, NULL, '{');
    mu_agent_json_text(&d->j, "name", d->name);
    mu_agent_json_text(&d->j, "check", check);
    mu_agent_json_text(&d->j, "level", level);
    mu_agent_json_text(&d->j, "code", mu_err_code_text(e, code)[0] != '\0' ? code : NULL);
    mu_agent_json_text(&d->j, "what", what);
    mu_agent_json_text(&d->j, "likely", mu_err_likely_text(e)[0] != '\0' ? mu_err_likely_text(e) : NULL);
    mu_agent_json_text(&d->j, "do", mu_err_next_text(e)[0] != '\0' ? mu_err_next_text(e) : NULL);
    mu_agent_json_close(&d->j, '}');
}

static void text_one(struct mu_cmd_doctor *d, const char *check, const char *level, const struct mu_err *err)
{
    const char *color = level[0] == 'b' ? "\033[31m" : "\033[33m";

    printf("%s%-5s%s %-12s ", d->cmd->color ? color : "", level, d->cmd->color ? "\033[0m" : "", check);
    mu_cmd_print_finding(d->cmd, NULL, err);
    mu_cmd_facts_trace(&d->facts, err);
}

void mu_cmd_doctor_ok(struct mu_cmd_doctor *d, const char *check, const char *fmt, ...)
{
    char what[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    d->ok++;
    if (d->cmd->args.json)
        json_one(d, check, "ok", NULL, what);
    else if (!d->cmd->args.quiet)
        printf("%sok%s    %-12s %s\n", d->cmd->color ? "\033[32m" : "", d->cmd->color ? "\033[0m" : "", check, what);
}

void mu_cmd_doctor_note(struct mu_cmd_doctor *d, const char *check, const struct mu_err *err)
{
    d->notes++;
    if (d->cmd->args.json)
        json_one(d, check, "note", err, err->what);
    else
        text_one(d, check, "note", err);
}

void mu_cmd_doctor_bad(struct mu_cmd_doctor *d, const char *check, const struct mu_err *err)
{
    if (d->bad++ == 0)
        d->exit_code = mu_err_exit_code(err) != 0 ? mu_err_exit_code(err) : MU_CMD_FAILED;
    if (d->cmd->args.json)
        json_one(d, check, "bad", err, err->what);
    else
        text_one(d, check, "bad", err);
}

/* ---- what concerns all ---- */

static void check_clock(struct mu_cmd_doctor *d)
{
    int64_t now = mu_env_now(&d->cmd->env);
    char text[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (now >= built_s) {
        mu_cmd_doctor_ok(d, "clock", "%s", mu_time_plain(now, text));
        return;
    }
    mu_err_set(&err, MU_INPUT, MU_M(801), "our clock says %s, which cannot be", mu_time_plain(now, text));
    mu_cmd_doctor_bad(d, "clock", &err);
}

static void keep_time(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct mu_buf code = {.max = 64};
    int64_t *at_s = cookie;

    (void)after;
    if (mu_agent_log_field(line, "code", &code) && strcmp(mu_buf_str(&code), "M803") == 0)
        *at_s = mu_agent_log_time(line);
    mu_buf_clear(&code);
}

/* A clock that jumped is why something was asked for, or was not. */
static void check_jumps(struct mu_cmd_doctor *d)
{
    const struct mu_agent_log_filter filter = {.action = "certificate-status", .since_s = mu_env_now(&d->cmd->env) - DAY_S};
    struct mu_keystore_log_place place = {0};
    char text[MU_TIME_TEXT];
    struct mu_err err = {0};
    int64_t at_s = 0;

    if (mu_agent_log_read(d->cmd->store, &filter, 0, &place, keep_time, &at_s, NULL) != MU_OK || at_s == 0)
        return;
    mu_err_set(&err, MU_DENIED, MU_M(803), "the clock jumped at %s; muster log tells by how much", mu_time_plain(at_s, text));
    mu_cmd_doctor_note(d, "clock", &err);
}

static void check_store(struct mu_cmd_doctor *d)
{
    const char *root = mu_keystore_root(d->cmd->store);
    struct mu_buf state = {0};
    struct statvfs fs;
    struct mu_err err = {0};
    unsigned long long mib;

    mu_buf_putf(&state, "%s/state", root);
    if (access(mu_buf_str(&state), W_OK) != 0) {
        mu_err_set(&err, MU_STORAGE, MU_M(702), "cannot write %s: %s", mu_buf_str(&state), strerror(errno));
        mu_cmd_doctor_bad(d, "store", &err);
    } else if (statvfs(root, &fs) != 0) {
        mu_err_set(&err, MU_STORAGE, MU_M(702), "cannot look at %s: %s", root, strerror(errno));
        mu_cmd_doctor_bad(d, "store", &err);
    } else if ((mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20) < SPACE_MIN_MIB || (fs.f_files > 0 && fs.f_favail < 64)) {
        mu_err_set(&err, MU_STORAGE, MU_M(702), "cannot write much more into %s: %llu MiB and %llu files are free", root,
            mib, (unsigned long long)fs.f_favail);
        mu_cmd_doctor_bad(d, "store", &err);
    } else {
        mu_cmd_doctor_ok(d, "store", "%s, %llu MiB free", root, mib);
    }
    mu_buf_clear(&state);
}

/* Does anything renew by itself here: the agent, or a timer? */
static void check_agent(struct mu_cmd_doctor *d)
{
    static const char timer[] = "/etc/systemd/system/timers.target.wants/muster-renew.timer";
    struct mu_buf answer = {.max = 64 * 1024};
    struct mu_err err = {0};
    char state[400];

    mu_cmd_agent_state(d->cmd, NULL, state, sizeof state);
    if (mu_text_starts(state, "running")) {
        mu_cmd_doctor_ok(d, "agent", "%s", state);
    } else if (access(timer, F_OK) == 0) {
        mu_cmd_doctor_ok(d, "agent", "%s; muster-renew.timer renews", state);
    } else {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "the agent is %s, and no timer: nothing renews by itself", state);
        mu_err_likely(&err, "It was not started, or its socket is elsewhere.");
        mu_err_next(&err, "systemctl enable --now musterd, or muster-renew.timer; or cron with check-cert.sh");
        mu_cmd_doctor_note(d, "agent", &err);
    }
    mu_buf_clear(&answer);
}

/* ---- an entry ---- */

static void on_finding(void *cookie, const struct mu_err *finding)
{
    struct mu_cmd_doctor *d = cookie;
    bool is_advice = finding->reason == MU_M(602) || finding->reason == MU_M(603) || finding->reason == MU_M(604)
        || finding->reason == MU_M(606) || finding->reason == MU_M(610) || finding->reason == MU_M(705)
        || finding->reason == MU_M(802) || finding->reason == MU_M(905) || finding->code == MU_BUSY;

    if (is_advice && (finding->reason != MU_M(604) || d->facts.days_left >= 0))
        mu_cmd_doctor_note(d, "renewal", finding);
    else
        mu_cmd_doctor_bad(d, d->facts.attempts > 0 ? "last try" : "renewal", finding);
}

static void check_entry(struct mu_cmd_doctor *d)
{
    const struct mu_agent_facts *f = &d->facts;
    unsigned before = d->bad + d->notes;
    char day[16];
    struct mu_err err = {0};

    mu_agent_status_each(f, mu_env_now(&d->cmd->env), on_finding, d);
    if (f->is_pending && f->attempts == 0) {
        mu_err_set(&err, MU_PENDING, f->is_stopped ? MU_M(313) : MU_REASON_NONE, "the request %s waits for the CA",
            f->pending_txn != NULL ? f->pending_txn : "");
        mu_err_next(&err, "Ask the operator to approve it; muster poll %s", d->name);
        mu_cmd_doctor_note(d, "pending", &err);
    }
    if (d->bad + d->notes == before && f->serial != NULL)
        mu_cmd_doctor_ok(d, "renewal", "%s, from %s on", mu_agent_state_word(f->state),
            mu_cmd_print_day(f->renew_from_s, day));
    else if (d->bad + d->notes == before)
        mu_cmd_doctor_ok(d, "renewal", "%s", mu_agent_state_word(f->state));
}

static void examine(struct mu_cmd_doctor *d, const char *name)
{
    struct mu_err err = {0};

    d->name = name;
    if (!d->cmd->args.json && !d->cmd->args.quiet)
        printf("\n%s\n", name);
    if (mu_agent_show(&d->cmd->agent, name, &d->facts, &err) != MU_OK
        || mu_agent_entry_load(&d->cmd->agent, name, 0, &d->entry, &err) != MU_OK) {
        mu_cmd_doctor_bad(d, "entry", &err);
        mu_agent_facts_clear(&d->facts);
        return;
    }
    mu_cmd_doctor_server(d);
    mu_cmd_doctor_trust(d);
    mu_cmd_doctor_secrets(d);
    mu_cmd_doctor_pair(d);
    check_entry(d);
    mu_cmd_doctor_hooks(d);
    mu_cmd_doctor_services(d);
    mu_agent_config_entry_clear(&d->entry);
    mu_agent_facts_clear(&d->facts);
}

static void collect(void *cookie, const char *name)
{
    mu_buf_put(cookie, name, strlen(name) + 1);
}

static enum mu_code examine_all(struct mu_cmd_doctor *d, struct mu_err *err)
{
    struct mu_buf names = {0};
    enum mu_code rc = mu_agent_entry_each(&d->cmd->agent, collect, &names, err);
    const char *p = mu_buf_str(&names);

    for (int i = 0; rc == MU_OK && i < NAMES_MAX && p < (const char *)names.p + names.n; i++, p += strlen(p) + 1)
        examine(d, p);
    mu_buf_clear(&names);
    return rc;
}

int mu_cmd_doctor(struct mu_cmd *cmd)
{
    struct mu_cmd_doctor d = {.cmd = cmd};
    struct mu_buf json = {.max = 8 << 20};
    struct mu_err err = {0};
    enum mu_code rc = MU_OK;

    if (mu_cmd_open_store(cmd, false, &err) != MU_OK || mu_cmd_open_net(cmd, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    mu_cmd_print_json_begin(cmd, &d.j, &json);
    mu_agent_json_open(&d.j, "findings", '[');
    check_clock(&d);
    check_jumps(&d);
    check_store(&d);
    check_agent(&d);
    for (size_t i = 0; i < cmd->args.word_n; i++)
        examine(&d, cmd->args.words[i]);
    if (cmd->args.word_n == 0)
        rc = examine_all(&d, &err);
    if (rc != MU_OK) {
        d.exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else if (cmd->args.json) {
        mu_agent_json_close(&d.j, ']');
        mu_agent_json_int(&d.j, "exit", d.exit_code);
        mu_agent_json_close(&d.j, '}');
        mu_cmd_print_json(cmd, &json);
    } else {
        printf("\n%u fine, %u to note, %u bad\n", d.ok, d.notes, d.bad);
    }
    mu_buf_clear(&json);
    return d.exit_code;
}
