/* check: one line and figures for monitoring, in the form of its plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. */
#include <stdio.h>

#include "agent/agent_status.h"
#include "base/text.h"
#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_print.h"

enum level { OK, WARNING, CRITICAL, UNKNOWN };

enum { WARN_DAYS = 14, CRIT_DAYS = 7, DAY_S = 86400, TOLD_MAX = 8 };

struct check {
    int64_t warn, crit; /* -1: by the lifetime */
    enum level level;
    unsigned total, failing, expired, told;
    char nearest[MU_KEYSTORE_NAME];
    int nearest_days;
    struct mu_buf worst, rest;
};

/* Two weeks and one, but of certificates that live for less, a sixth and a twelfth of their life. */
static int64_t limit_of(const struct mu_agent_facts *f, int64_t given, int64_t usual, int64_t part)
{
    int64_t of_life = (f->not_after_s - f->not_before_s) / DAY_S / part;

    return given >= 0 ? given : of_life < usual ? of_life : usual;
}

static enum level level_of(const struct check *c, const struct mu_agent_facts *f)
{
    bool failing = f->attempts > 0 && f->due_since_s != 0;

    switch (f->state) {
    case MU_AGENT_EXPIRED:
    case MU_AGENT_FAILED:
    case MU_AGENT_REJECTED:
        return CRITICAL;
    case MU_AGENT_NEW:
    case MU_AGENT_REQUESTING:
        return WARNING;
    case MU_AGENT_PENDING:
        return f->serial != NULL || f->is_stopped ? CRITICAL : WARNING;
    default:
        break;
    }
    if (f->serial == NULL)
        return CRITICAL;
    if (f->days_left <= limit_of(f, c->crit, CRIT_DAYS, 12))
        return CRITICAL;
    if (f->days_left <= limit_of(f, c->warn, WARN_DAYS, 6))
        return failing ? CRITICAL : WARNING;
    return failing || f->state == MU_AGENT_RENEWED_STALE ? WARNING : OK;
}

static void tell(struct check *c, enum level level, const struct mu_agent_facts *f)
{
    struct mu_buf *out = level == CRITICAL ? &c->worst : &c->rest;
    struct mu_err err = {.reason = mu_agent_status_code(f)};
    char code[8];

    if (c->told++ >= TOLD_MAX)
        return;
    mu_buf_putf(out, "%s%s %s", out->n > 0 ? "; " : "", f->name, mu_agent_state_word(f->state));
    if (mu_err_code_text(&err, code)[0] != '\0')
        mu_buf_putf(out, " %s", code);
    if (f->attempts > 0 && f->last_result != NULL)
        mu_buf_putf(out, ", %s %u times", f->last_result, f->attempts);
    if (f->serial != NULL && f->days_left >= 0)
        mu_buf_putf(out, ", %d d left", f->days_left);
    else if (f->serial != NULL)
        mu_buf_putf(out, ", expired %d d ago", -f->days_left);
}

static void take(void *cookie, const struct mu_agent_facts *f)
{
    struct check *c = cookie;
    enum level level = level_of(c, f);

    c->total++;
    c->failing += f->attempts > 0 && (f->due_since_s != 0 || f->serial == NULL);
    c->expired += f->state == MU_AGENT_EXPIRED;
    if (f->serial != NULL && (c->nearest[0] == '\0' || f->days_left < c->nearest_days)) {
        snprintf(c->nearest, sizeof c->nearest, "%s", f->name);
        c->nearest_days = f->days_left;
    }
    if (level > c->level)
        c->level = level;
    if (level != OK)
        tell(c, level, f);
}

static int unknown(const struct mu_err *err)
{
    printf("UNKNOWN - %s\n", err->what);
    return UNKNOWN;
}

static void print(const struct check *c)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

    printf("%s - ", words[c->level]);
    if (c->level == OK)
        printf("%u certificate%s, the nearest end in %d d (%s)", c->total, c->total == 1 ? "" : "s", c->nearest_days,
            c->nearest);
    else
        printf("%s%s%s%s", mu_buf_str(&c->worst), c->worst.n > 0 && c->rest.n > 0 ? "; " : "", mu_buf_str(&c->rest),
            c->told > TOLD_MAX ? "; ..." : "");
    printf(" | certificates=%u failing=%u expired=%u", c->total, c->failing, c->expired);
    if (c->nearest[0] != '\0')
        printf(" days_left=%d;%lld:;%lld:", c->nearest_days, (long long)(c->warn >= 0 ? c->warn : WARN_DAYS),
            (long long)(c->crit >= 0 ? c->crit : CRIT_DAYS));
    putchar('\n');
}

static enum mu_code collect(struct mu_cmd *cmd, struct check *c, struct mu_err *err)
{
    struct mu_agent_facts facts = {0};
    enum mu_code rc;

    if (cmd->args.word_n == 0)
        return mu_cmd_agent_list(cmd, take, c, err);
    if ((rc = mu_cmd_agent_show(cmd, cmd->args.words[0], &facts, err)) == MU_OK)
        take(c, &facts);
    mu_agent_facts_clear(&facts);
    return rc;
}

int mu_cmd_check(struct mu_cmd *cmd)
{
    struct check c = {.warn = -1, .crit = -1};
    struct mu_err err = {0};
    int exit_code;

    if ((cmd->args.warn != NULL && mu_text_int(cmd->args.warn, 0, 99999, &c.warn, &err) != MU_OK)
        || (cmd->args.crit != NULL && mu_text_int(cmd->args.crit, 0, 99999, &c.crit, &err) != MU_OK))
        return unknown(&err);
    if (mu_cmd_agent_open_store(cmd, &err) != MU_OK || collect(cmd, &c, &err) != MU_OK) {
        exit_code = unknown(&err);
    } else if (c.total == 0) {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "there are no certificates here");
        exit_code = unknown(&err);
    } else {
        print(&c);
        exit_code = (int)c.level;
    }
    mu_buf_clear(&c.worst);
    mu_buf_clear(&c.rest);
    return exit_code;
}
