/* What to do with a certificate now, or when to look again: rules of time alone. */
#include "enroll/enroll_lifecycle.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, SHORT_S = 3 * DAY_S, NEVER_WARN = -1 };

/* ---- stable randomness ---- */

/* splitmix64: neighbors in, strangers out. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t mu_enroll_lifecycle_spread(const char *host, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (const char *p = host; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    h = mix(h);
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    return mix(h);
}

int64_t mu_enroll_lifecycle_share(uint64_t spread, uint64_t number, int64_t max)
{
    return max > 0 ? (int64_t)(mix(spread ^ mix(number)) % (uint64_t)max) : 0;
}

/* ---- due ---- */

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t mu_enroll_lifecycle_due(
    int64_t not_before_s, int64_t not_after_s, int renew_days, int renew_percent)
{
    int64_t lifetime_s = not_after_s - not_before_s;

    if (renew_days == 0 && renew_percent <= 0)
        return INT64_MAX;
    if (renew_percent > 0)
        return not_after_s - lifetime_s / 100 * renew_percent;
    if (renew_days < 0 || lifetime_s < SHORT_S) /* REN-08 */
        return not_after_s - lifetime_s / 3;
    return not_after_s - ((int64_t)renew_days + 1) * DAY_S + 1; /* D11 */
}

bool mu_enroll_lifecycle_is_hasty(
    int64_t not_before_s, int64_t not_after_s, const struct mu_lifecycle_policy *p)
{
    int64_t due_s = mu_enroll_lifecycle_due(
        not_before_s, not_after_s, p->renew_days, p->renew_percent);

    /* a CA may set notBefore back by some minutes: half a day is nobody's plan */
    return due_s <= not_before_s + min_of(DAY_S / 2, (not_after_s - not_before_s) / 10);
}

static int64_t check_interval(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p)
{
    int64_t interval_s = p->check_interval_s > 0 ? p->check_interval_s : HOUR_S;
    int64_t lifetime_s = r->not_after_s - r->not_before_s;

    return r->not_after_s != 0 && lifetime_s < SHORT_S ? min_of(interval_s, lifetime_s / 10)
                                                       : interval_s;
}

/* ---- pauses ---- */

/* 1 min, doubling up to 1 h; refused: 6 h, 12 h, then daily. */
static int64_t plain_pause(const struct mu_lifecycle *r)
{
    int64_t pause_s = MINUTE_S;

    if (r->unreached == 0)
        return r->refused == 1 ? 6 * HOUR_S : r->refused == 2 ? 12 * HOUR_S : DAY_S;
    for (unsigned i = 1; i < r->unreached && pause_s < HOUR_S; i++)
        pause_s *= 2;
    return min_of(pause_s, HOUR_S);
}

/* There is another try before the end, but a fleet whose certificates end within one hour does not
 * ask each minute: the first minutes after an outage would get them all (bench/fleet_sim.c shows
 * it). For any 72 minutes of ends the rate at which these pauses end stays below three times that
 * of hourly ones. */
static int64_t bound(int64_t left_s)
{
    return max_of(20 * MINUTE_S, min_of(left_s * 3 / 4, max_of(40 * MINUTE_S, left_s / 4)));
}

/* Bounded by the time that is left; what is short lived never pauses for longer than a tenth of its
 * life. */
static int64_t pause(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p)
{
    int64_t pause_s = plain_pause(r), left_s = r->not_after_s - r->tried_s;
    int64_t lifetime_s = r->not_after_s - r->not_before_s;

    if (r->not_after_s != 0 && left_s > 0)
        pause_s = r->unreached != 0 ? min_of(pause_s, bound(left_s))
                                    : min_of(pause_s, max_of(HOUR_S, left_s / 4));
    if (r->not_after_s != 0 && lifetime_s < SHORT_S)
        pause_s = min_of(pause_s, max_of(MINUTE_S, lifetime_s / 10));
    return pause_s
        + mu_enroll_lifecycle_share(r->spread, (uint64_t)r->tried_s,
            pause_s * (p->jitter_percent > 0 ? p->jitter_percent : 0) / 100 + 1);
}

/* Not before this because of what happened; 0: at once. What the CA named goes before our own
 * pauses; jitter is only added. */
static int64_t retry_at(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p)
{
    int64_t wait_s;

    if (r->wait_until_s != 0) {
        wait_s = r->wait_until_s - r->tried_s;
        return r->wait_until_s
            + mu_enroll_lifecycle_share(r->spread, (uint64_t)r->tried_s,
                min_of(wait_s * p->jitter_percent / 100, check_interval(r, p)) + 1);
    }
    return r->refused != 0 || r->unreached != 0 ? r->tried_s + pause(r, p) : 0;
}

/* ---- the storm guard ---- */

/* Requests within so long: what a day may have, or four in a short life. */
static unsigned cap(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t *window_s)
{
    unsigned max = p->max_requests != 0 ? p->max_requests : 2;
    int64_t lifetime_s = r->not_after_s - r->not_before_s;

    *window_s = DAY_S;
    if (r->not_after_s != 0 && lifetime_s < SHORT_S) {
        *window_s = lifetime_s;
        max = 4;
    }
    return max < MU_LIFECYCLE_ANSWERS ? max : MU_LIFECYCLE_ANSWERS;
}

unsigned mu_enroll_lifecycle_left(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s)
{
    int64_t window_s;
    unsigned max = cap(r, p, &window_s), used = 0;

    for (int i = 0; i < MU_LIFECYCLE_ANSWERS; i++)
        used += r->answered_s[i] != 0 && r->answered_s[i] > now_s - window_s;
    return used < max ? max - used : 0;
}

/* When the cap allows the next one; 0: now. */
static int64_t cap_at(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s)
{
    int64_t window_s;
    unsigned max = cap(r, p, &window_s);

    if (mu_enroll_lifecycle_left(r, p, now_s) != 0)
        return 0;
    return r->answered_s[MU_LIFECYCLE_ANSWERS - max] + window_s;
}

/* ---- the decision ---- */

static void wait(struct mu_lifecycle_decision *d, int64_t at_s, enum mu_reason why)
{
    d->action = MU_LIFECYCLE_WAIT;
    d->at_s = at_s;
    if (why != MU_REASON_NONE)
        d->why = why;
}

/* Now, or when retries and the storm guard allow. */
static void act(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t from_s,
    int64_t now_s, enum mu_lifecycle_action action, struct mu_lifecycle_decision *d)
{
    int64_t capped_s = cap_at(r, p, now_s);
    int64_t at_s = max_of(from_s, max_of(retry_at(r, p), capped_s));

    if (at_s > now_s) {
        d->capped = at_s == capped_s;
        wait(d, at_s, MU_REASON_NONE);
        return;
    }
    d->action = action;
    d->at_s = now_s;
}

/* False: nothing may be decided by this clock. */
static bool clock_is_sane(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p,
    int64_t now_s, struct mu_lifecycle_decision *d)
{
    int64_t least_s = max_of(p->built_s, r->sure_s);

    if (p->clock == MU_LIFECYCLE_CLOCK_IGNORE || now_s >= least_s)
        return true;
    d->why = MU_M(801);
    if (p->clock == MU_LIFECYCLE_CLOCK_WARN)
        return true;
    wait(d, now_s + MINUTE_S, MU_M(801)); /* the clock that says when is the wrong one: look often */
    return false;
}

int64_t mu_enroll_lifecycle_await_end(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p)
{
    return r->pending_since_s + (p->max_await_s > 0 ? p->max_await_s : HOUR_S);
}

/* Polls are no requests: the storm guard does not count them. */
static void pending(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s,
    struct mu_lifecycle_decision *d)
{
    int64_t end_s = mu_enroll_lifecycle_await_end(r, p);
    /* one poll there is always: a CA may name a longer time than we would wait */
    bool is_last = r->polls > 0 && r->poll_s > end_s;

    if (r->stopped || (is_last && now_s >= end_s)) {
        wait(d, INT64_MAX, MU_M(313));
    } else if (r->poll_s > now_s) {
        wait(d, is_last ? end_s : r->poll_s, MU_REASON_NONE);
    } else {
        d->action = MU_LIFECYCLE_POLL;
        d->at_s = now_s;
    }
}

/* PRODUCT "Expired": by the expired certificate, then by the password; M607 if there is none. It
 * is tried once a day all the same: the operator may have opened the CA for it. */
static void expired(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s,
    struct mu_lifecycle_decision *d)
{
    d->why = r->expired_refused && !p->has_password ? MU_M(607) : MU_M(601);
    act(r, p, 0, now_s,
        r->expired_refused && p->has_password ? MU_LIFECYCLE_ENROLL : MU_LIFECYCLE_RENEW, d);
}

/* When the present certificate is renewed, and what is to be said about it. */
static int64_t renew_at(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p,
    struct mu_lifecycle_decision *d)
{
    int64_t due_s = mu_enroll_lifecycle_due(
        r->not_before_s, r->not_after_s, p->renew_days, p->renew_percent);

    if (r->by_agent && due_s != INT64_MAX
        && mu_enroll_lifecycle_is_hasty(r->not_before_s, r->not_after_s, p)) {
        due_s = max_of(due_s, r->not_after_s - (r->not_after_s - r->not_before_s) / 3);
        d->held = true;
        d->why = MU_M(602);
    }
    if (p->ca_window_s > 0 && due_s < r->not_after_s - p->ca_window_s) {
        due_s = r->not_after_s - p->ca_window_s;
        d->why = MU_M(603);
    }
    return due_s;
}

static void in_use(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s,
    struct mu_lifecycle_decision *d)
{
    int64_t due_s = renew_at(r, p, d);

    if (due_s == INT64_MAX) {
        wait(d, INT64_MAX, MU_M(604));
        return;
    }
    if (now_s >= r->not_after_s) {
        expired(r, p, now_s, d);
        return;
    }
    due_s += mu_enroll_lifecycle_share(r->spread, 0, check_interval(r, p));
    act(r, p, due_s, now_s, MU_LIFECYCLE_RENEW, d);
}

/* A deployment that failed has its own pauses, as of a server that is not reached. */
static void deploy(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s,
    struct mu_lifecycle_decision *d)
{
    const struct mu_lifecycle tries = {.unreached = r->not_deployed,
        .tried_s = r->deploy_tried_s,
        .spread = r->spread,
        .not_before_s = r->not_before_s,
        .not_after_s = r->not_after_s};
    int64_t at_s = r->not_deployed != 0 ? retry_at(&tries, p) : now_s;

    if (d->action != MU_LIFECYCLE_WAIT)
        return; /* a renewal goes first; its certificate will be deployed */
    if (at_s > now_s) {
        wait(d, min_of(at_s, d->at_s), MU_REASON_NONE);
        return;
    }
    d->action = MU_LIFECYCLE_DEPLOY;
    d->at_s = now_s;
}

void mu_enroll_lifecycle_decide(const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p,
    int64_t now_s, struct mu_lifecycle_decision *d)
{
    *d = (struct mu_lifecycle_decision){.action = MU_LIFECYCLE_WAIT, .at_s = INT64_MAX};
    if (r->state == MU_LIFECYCLE_RETIRED || !clock_is_sane(r, p, now_s, d))
        return;
    switch (r->state) {
    case MU_LIFECYCLE_REQUESTED:
    case MU_LIFECYCLE_RENEWING:
        if (r->pending_since_s != 0)
            pending(r, p, now_s, d);
        else
            act(r, p, 0, now_s,
                r->state == MU_LIFECYCLE_RENEWING ? MU_LIFECYCLE_RENEW : MU_LIFECYCLE_ENROLL, d);
        break;
    case MU_LIFECYCLE_NEW:
    case MU_LIFECYCLE_KEYED:
        act(r, p, 0, now_s, MU_LIFECYCLE_ENROLL, d);
        break;
    default:
        in_use(r, p, now_s, d);
        if (r->state == MU_LIFECYCLE_ISSUED || r->state == MU_LIFECYCLE_FAILED)
            deploy(r, p, now_s, d);
        break;
    }
}

/* ---- warnings ---- */

static bool is_crossed(const struct mu_lifecycle *r, int days, int64_t now_s)
{
    int64_t at_s = r->not_after_s - ((int64_t)days + 1) * DAY_S + 1;

    return at_s <= now_s && at_s > r->warned_s && at_s > r->issued_s;
}

int mu_enroll_lifecycle_warning(
    const struct mu_lifecycle *r, const struct mu_lifecycle_policy *p, int64_t now_s)
{
    static const int by_itself[] = {45, 14, 7, 3, 1};
    bool is_auto = p->warn_n == 1 && p->warn_days[0] < 0, crossed = false;
    int64_t left_s = r->not_after_s - now_s;
    int left = (int)(left_s >= 0 ? left_s / DAY_S : -((-left_s + DAY_S - 1) / DAY_S));
    int64_t window_s = (r->not_after_s - r->not_before_s) / 3;

    if (r->not_after_s == 0)
        return NEVER_WARN;
    if (p->warn_n == 1 && !is_auto)
        return p->warn_days[0] > 0 && left <= p->warn_days[0] && left >= 0
                && now_s - r->warned_s >= DAY_S
            ? left
            : NEVER_WARN;
    if (is_auto) {
        for (size_t i = 0; i < sizeof by_itself / sizeof by_itself[0]; i++)
            crossed |= (int64_t)by_itself[i] * DAY_S < window_s && is_crossed(r, by_itself[i], now_s);
    } else {
        for (int i = 0; i < p->warn_n; i++)
            crossed |= p->warn_days[i] > 0 && is_crossed(r, p->warn_days[i], now_s);
    }
    return crossed && left >= 0 ? left : NEVER_WARN;
}
