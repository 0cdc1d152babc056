/* What there is to say of an entry, with the code, the cause and the next step of the catalog. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_status.h"
#include "base/time.h"

enum { DAY_S = 86400, MANY = 3 };

struct each {
    const struct mu_agent_facts *f;
    int64_t now_s;
    mu_agent_status_call *call;
    void *cookie;
};

static int whole_days(int64_t s)
{
    return (int)((s < 0 ? -s : s) / DAY_S);
}

/* ---- the last try ---- */

static void last_try(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    struct mu_err err = {0};

    if (f->last_what == NULL)
        return;
    mu_err_set(&err, MU_INTERNAL,
        f->last_code != NULL ? MU_M((unsigned)strtoul(f->last_code + 1, NULL, 10)) : MU_REASON_NONE,
        "%s", f->last_what);
    if (f->last_likely != NULL)
        mu_err_likely(&err, "%s", f->last_likely);
    if (f->last_next != NULL)
        mu_err_next(&err, "%s", f->last_next);
    mu_err_said(&err, f->last_reason);
    e->call(e->cookie, &err);
}

static void many_tries(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    struct mu_err err = {0};

    if (f->attempts < MANY || f->serial == NULL || f->days_left < 0)
        return;
    mu_err_set(&err, MU_DENIED, MU_M(605), "%u renewals failed, %d days left", f->attempts, f->days_left);
    if (f->last_code != NULL) {
        mu_err_likely(&err, "the last one with %s", f->last_code);
        mu_err_next(&err, "See %s; muster doctor %s", f->last_code, f->name);
    }
    e->call(e->cookie, &err);
}

/* ---- when it is renewed ---- */

static void held(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    int lifetime = whole_days(f->not_after_s - f->not_before_s);
    char until[MU_TIME_TEXT];
    struct mu_err err = {0};

    mu_err_set(&err, MU_DENIED, MU_M(602),
        "every new certificate would be due at once (lifetime %d d, renew-days %d); holding until %s",
        lifetime, f->renew_days, mu_time_plain(f->not_after_s - (f->not_after_s - f->not_before_s) / 3, until));
    mu_err_next(&err, "muster config set %s renew-days %d, or once: muster renew %s --force", f->name,
        lifetime > 3 ? lifetime / 3 - 1 : 0, f->name);
    e->call(e->cookie, &err);
}

/* The CA's window: configured, or, if it refused more days than it took, learned. */
static void window(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    int64_t window_s = f->ca_window_s;
    struct mu_err err = {0};

    if (window_s == 0 && f->no_left_s > 0)
        window_s = f->yes_left_s > 0 && f->yes_left_s < f->no_left_s ? f->yes_left_s : f->no_left_s;
    if (window_s <= 0 || f->renew_days <= window_s / DAY_S || f->serial == NULL)
        return;
    mu_err_set(&err, MU_DENIED, MU_M(603), "renew-days %d is more than the CA's window %d", f->renew_days,
        whole_days(window_s));
    if (f->ca_window_s == 0)
        mu_err_likely(&err, "this CA refused with %d d left%s", whole_days(f->no_left_s),
            f->yes_left_s > 0 ? ", and renewed with less" : "");
    mu_err_next(&err, "muster config set %s renew-days %d; until then we wait", f->name,
        window_s > DAY_S ? whole_days(window_s) - 1 : 0);
    e->call(e->cookie, &err);
}

static void is_off(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    struct mu_err err = {0};

    if (f->serial == NULL || f->renew_days != 0 || f->renew_percent != 0)
        return;
    if (f->days_left >= 0)
        mu_err_set(&err, MU_DENIED, MU_M(604), "%s expires in %d days and renewal is off", f->name, f->days_left);
    else
        mu_err_set(&err, MU_DENIED, MU_M(604), "%s expired %d days ago and renewal is off", f->name, -f->days_left);
    mu_err_next(&err, "muster config set %s renew-days 30%s%s", f->name,
        f->days_left < 0 ? "; now: muster renew --force " : "", f->days_left < 0 ? f->name : "");
    e->call(e->cookie, &err);
}

static void expired(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    struct mu_err err = {0};

    if (f->serial == NULL || e->now_s <= f->not_after_s)
        return;
    if (f->why == MU_M(607)) {
        mu_err_set(&err, MU_DENIED, MU_M(607), "expired %d d ago, and this CA does not renew expired ones",
            whole_days(e->now_s - f->not_after_s));
        mu_err_next(&err, "muster enroll %s --replace --challenge-file FILE, with a new password%s", f->name,
            f->deploy_n > 0 ? "; then: muster deploy" : "");
    } else if (f->renew_days != 0) {
        mu_err_set(&err, MU_DENIED, MU_M(601), "expired %d d ago, trying to renew all the same",
            whole_days(e->now_s - f->not_after_s));
        mu_err_next(&err, "muster renew %s", f->name);
    } else {
        return;
    }
    e->call(e->cookie, &err);
}

static void clocks(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    char from[MU_TIME_TEXT], now[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (f->why == MU_M(801)) {
        mu_err_set(&err, MU_DENIED, MU_M(801), "our clock says %s, which is before what is known to have been",
            mu_time_plain(e->now_s, now));
        e->call(e->cookie, &err);
    }
    if (f->serial != NULL && f->not_before_s > e->now_s) {
        mu_err_set(&err, MU_DENIED, MU_M(802), "not valid before %s", mu_time_plain(f->not_before_s, from));
        e->call(e->cookie, &err);
    }
}

static void ca_ends(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    int64_t lifetime_s = f->not_after_s - f->not_before_s;
    char end[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (f->ca_not_after_s == 0 || f->serial == NULL || f->renew_from_s == 0
        || (f->renew_from_s > e->now_s ? f->renew_from_s : e->now_s) + lifetime_s <= f->ca_not_after_s)
        return;
    mu_err_set(&err, MU_DENIED, MU_M(606), "the CA certificate ends at %s, before the new one would",
        mu_time_plain(f->ca_not_after_s, end));
    e->call(e->cookie, &err);
}

/* ---- where it is in use, and what it lacks ---- */

static void deployed(const struct each *e, const struct mu_agent_facts_deploy *d)
{
    const char *where = d->endpoint != NULL ? d->endpoint : d->recipe != NULL ? d->recipe : "the service";
    struct mu_err err = {0};

    if (d->match)
        return;
    if (d->code == MU_M(904))
        mu_err_set(&err, MU_DENIED, d->code, "%s did not end in time", where);
    else if (d->code != MU_REASON_NONE && d->code != MU_M(902) && d->exit_code >= 0)
        mu_err_set(&err, MU_DENIED, d->code, "%s ended with %d%s%.300s%s", where, d->exit_code,
            d->last_line != NULL ? ": \"" : "", d->last_line != NULL ? d->last_line : "",
            d->last_line != NULL ? "\"" : "");
    else
        mu_err_set(&err, MU_DENIED, d->code != MU_REASON_NONE ? d->code : MU_M(902), "%s still presents %s", where,
            d->serial_seen != NULL ? d->serial_seen : "another certificate");
    if (err.reason == MU_M(902))
        mu_err_next(&err, "It should read %s; muster deploy %s",
            e->f->cert_file != NULL ? e->f->cert_file : "latest.crt", e->f->name);
    else
        mu_err_next(&err, "The service has the old one; muster hook test %s", e->f->name);
    e->call(e->cookie, &err);
}

static void choices(const struct each *e)
{
    const char *p = e->f->warnings;
    struct mu_err err = {0};

    while (p != NULL && *p != '\0') {
        size_t n = strcspn(p, "\n");

        mu_err_set(&err, MU_DENIED, MU_M(705), "%.*s", (int)n, p);
        e->call(e->cookie, &err);
        p += n + (p[n] == '\n');
    }
    if (e->f->serial != NULL && e->f->san == NULL && e->f->changed != NULL
        && strstr(e->f->changed, "SAN removed") != NULL) {
        mu_err_set(&err, MU_DENIED, MU_M(610), "the SAN was dropped; TLS clients will not accept %s", e->f->name);
        e->call(e->cookie, &err);
    }
}

void mu_agent_status_each(
    const struct mu_agent_facts *f, int64_t now_s, mu_agent_status_call *call, void *cookie)
{
    const struct each e = {f, now_s, call, cookie};

    clocks(&e);
    expired(&e);
    last_try(&e);
    many_tries(&e);
    if (f->held)
        held(&e);
    window(&e);
    is_off(&e);
    ca_ends(&e);
    for (size_t i = 0; i < f->deploy_n; i++)
        deployed(&e, &f->deploy[i]);
    choices(&e);
}
