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

/* ---- what the rules say: the sentences, then when they are said ---- */

typedef void say(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err);

static void say_many_tries(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    (void)now_s;
    mu_err_set(err, MU_DENIED, MU_M(605), "%u renewal%s failed, %d days left", f->attempts,
        f->attempts == 1 ? "" : "s", f->days_left);
    if (f->last_code != NULL) {
        mu_err_likely(err, "the last one with %s", f->last_code);
        mu_err_next(err, "See %s; muster doctor %s", f->last_code, f->name);
    } else {
        mu_err_next(err, "muster status %s tells of the last one", f->name);
    }
}

static void say_held(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    int lifetime = whole_days(f->not_after_s - f->not_before_s);
    char until[MU_TIME_TEXT];

    (void)now_s;
    mu_err_set(err, MU_DENIED, MU_M(602),
        "every new certificate would be due at once (lifetime %d d, renew-days %d); holding until %s",
        lifetime, f->renew_days, mu_time_plain(f->not_after_s - (f->not_after_s - f->not_before_s) / 3, until));
    mu_err_next(err, "muster config set %s renew-days %d, or once: muster renew %s --force", f->name,
        lifetime > 3 ? lifetime / 3 - 1 : 0, f->name);
}

/* The CA's window: configured, or, if it refused more days than it took, learned. 0: not known. */
static int64_t window_of(const struct mu_agent_facts *f)
{
    if (f->ca_window_s != 0 || f->no_left_s <= 0)
        return f->ca_window_s;
    return f->yes_left_s > 0 && f->yes_left_s < f->no_left_s ? f->yes_left_s : f->no_left_s;
}

static void say_window(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    int64_t window_s = window_of(f);

    (void)now_s;
    mu_err_set(err, MU_DENIED, MU_M(603), "renew-days %d is more than the CA's window %d", f->renew_days,
        whole_days(window_s));
    if (f->ca_window_s == 0)
        mu_err_likely(err, "this CA refused with %d d left%s", whole_days(f->no_left_s),
            f->yes_left_s > 0 ? ", and renewed with less" : "");
    mu_err_next(err, "muster config set %s renew-days %d; until then we wait", f->name,
        window_s > DAY_S ? whole_days(window_s) - 1 : 0);
}

static void say_off(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    (void)now_s;
    if (f->days_left >= 0)
        mu_err_set(err, MU_DENIED, MU_M(604), "%s expires in %d days and renewal is off", f->name, f->days_left);
    else
        mu_err_set(err, MU_DENIED, MU_M(604), "%s expired %d days ago and renewal is off", f->name, -f->days_left);
    mu_err_next(err, "muster config set %s renew-days 30%s%s", f->name,
        f->days_left < 0 ? "; now: muster renew --force " : "", f->days_left < 0 ? f->name : "");
}

static void say_expired(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    mu_err_set(err, MU_DENIED, MU_M(601), "expired %d d ago, trying to renew all the same",
        whole_days(now_s - f->not_after_s));
    mu_err_next(err, "muster renew %s", f->name);
}

static void say_lost(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    struct mu_buf users = {.max = 400};

    for (size_t i = 0; i < f->deploy_n; i++) /* S077: what refers to the old one */
        mu_buf_putf(&users, "%s%s", i > 0 ? ", " : "", f->deploy[i].endpoint != NULL ? f->deploy[i].endpoint
                : f->deploy[i].recipe != NULL                                  ? f->deploy[i].recipe
                                                                               : "a script");
    mu_err_set(err, MU_DENIED, MU_M(607), "expired %d d ago, and this CA does not renew expired ones",
        whole_days(now_s - f->not_after_s));
    if (f->deploy_n > 0)
        mu_err_next(err, "muster enroll %s --replace --challenge-file FILE, with a new password; then, for what uses the "
            "old one (%s): muster deploy %s", f->name, users.failed ? "several" : mu_buf_str(&users), f->name);
    else
        mu_err_next(err, "muster enroll %s --replace --challenge-file FILE, with a new password", f->name);
    mu_buf_clear(&users);
}

static void say_clock(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    char now[MU_TIME_TEXT];

    (void)f;
    mu_err_set(err, MU_DENIED, MU_M(801), "our clock says %s, which is before what is known to have been",
        mu_time_plain(now_s, now));
}

static void say_ca_ends(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    char end[MU_TIME_TEXT];

    (void)now_s;
    mu_err_set(err, MU_DENIED, MU_M(606), "the CA certificate ends at %s, before the new one would",
        mu_time_plain(f->ca_not_after_s, end));
}

static void say_given_up(const struct mu_agent_facts *f, int64_t now_s, struct mu_err *err)
{
    (void)now_s;
    mu_err_set(err, MU_PENDING, MU_M(313), "still pending after %lld min, stopped asking",
        (long long)f->await_limit_s / 60);
    mu_err_next(err, "muster poll %s; raise max-await-result", f->name);
}

static const struct {
    enum mu_reason code;
    say *say;
} sentences[] = {
    {MU_M(313), say_given_up},
    {MU_M(601), say_expired},
    {MU_M(602), say_held},
    {MU_M(603), say_window},
    {MU_M(604), say_off},
    {MU_M(605), say_many_tries},
    {MU_M(606), say_ca_ends},
    {MU_M(607), say_lost},
    {MU_M(801), say_clock},
};

bool mu_agent_status_say(
    const struct mu_agent_facts *f, enum mu_reason code, int64_t now_s, struct mu_err *out)
{
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        if (sentences[i].code != code)
            continue;
        sentences[i].say(f, now_s, out);
        return true;
    }
    return false;
}

static void tell(const struct each *e, enum mu_reason code)
{
    struct mu_err err = {0};

    if (mu_agent_status_say(e->f, code, e->now_s, &err))
        e->call(e->cookie, &err);
}

/* The storm guard has no code: nothing is wrong with the last answer. */
static void capped(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    char then[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (!f->is_capped || f->next_try_s <= e->now_s)
        return;
    mu_err_set(&err, MU_BUSY, MU_REASON_NONE, "2 requests were sent within a day (4 within a short life); the next one goes at %s",
        mu_time_plain(f->next_try_s, then));
    mu_err_likely(&err, "Files were removed, or a policy makes it ask again and again.");
    mu_err_next(&err, "Wait, or ask now: muster %s %s --force", f->serial != NULL ? "renew" : "enroll", f->name);
    e->call(e->cookie, &err);
}

static void many_tries(const struct each *e)
{
    if (e->f->attempts >= MANY && e->f->serial != NULL && e->f->days_left >= 0)
        tell(e, MU_M(605));
}

static void window(const struct each *e)
{
    int64_t window_s = window_of(e->f);

    if (window_s > 0 && e->f->renew_days > window_s / DAY_S && e->f->serial != NULL)
        tell(e, MU_M(603));
}

static void is_off(const struct each *e)
{
    if (e->f->serial != NULL && e->f->renew_days == 0 && e->f->renew_percent == 0)
        tell(e, MU_M(604));
}

static void expired(const struct each *e)
{
    if (e->f->serial == NULL || e->now_s <= e->f->not_after_s)
        return;
    if (e->f->why == MU_M(607))
        tell(e, MU_M(607));
    else if (e->f->renew_days != 0)
        tell(e, MU_M(601));
}

static void clocks(const struct each *e)
{
    const struct mu_agent_facts *f = e->f;
    char from[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (f->why == MU_M(801))
        tell(e, MU_M(801));
    if (f->next_held && f->next_from_s > e->now_s) {
        mu_err_set(&err, MU_DENIED, MU_M(802), "the new certificate %s is not valid before %s", f->next_stem,
            mu_time_plain(f->next_from_s, from));
        mu_err_next(&err, "It is deployed then; muster doctor %s compares the clocks", f->name);
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
    int64_t from_s = f->renew_from_s > e->now_s ? f->renew_from_s : e->now_s;

    if (f->ca_not_after_s != 0 && f->serial != NULL && f->renew_from_s != 0
        && from_s + f->not_after_s - f->not_before_s > f->ca_not_after_s)
        tell(e, MU_M(606));
}

/* ---- where it is in use, and what it lacks ---- */

static void deployed(const struct each *e, const struct mu_agent_facts_deploy *d)
{
    const char *where = d->endpoint != NULL ? d->endpoint : d->recipe != NULL ? d->recipe : "the service";
    struct mu_err err = {0};

    if (d->match && d->code == MU_M(905)) {
        mu_err_set(&err, MU_DENIED, d->code, "%s does not re-read certificates on reload; it was restarted", where);
        mu_err_next(&err, "Nothing; at each renewal the recipe restarts it.");
        e->call(e->cookie, &err);
    }
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
            d->file != NULL ? d->file : e->f->cert_file != NULL ? e->f->cert_file : "latest.crt", e->f->name);
    else if (err.reason == MU_M(901) || err.reason == MU_M(904))
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
    capped(&e);
    if (f->held)
        tell(&e, MU_M(602));
    window(&e);
    is_off(&e);
    ca_ends(&e);
    for (size_t i = 0; i < f->deploy_n; i++)
        deployed(&e, &f->deploy[i]);
    choices(&e);
}
