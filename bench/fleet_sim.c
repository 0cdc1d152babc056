/*
 * Ten thousand agents over two years in a few seconds: the real lifecycle code
 * (enroll/enroll_lifecycle.h) with a fake clock and a fake CA that goes away for hours and days,
 * refuses, or asks to come back. It ends with 1 if a promise is broken:
 *
 *   expiry   no certificate expires for which, while due, the CA was reachable for two hours on end
 *            or, after refusals, willing for two days on end
 *   rush     no minute sees more than ten plus three times the mean of the longest pause after the
 *            CA came back, or of the check interval around it
 *   cap      nobody passes its cap of requests
 *
 * The rush of short-lived certificates is shown and not judged: docs/fleet.md says why.
 *
 * usage: fleet_sim [--agents N] [--svg FILE]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enroll/enroll_lifecycle.h"

enum {
    HOUR = 3600,
    DAY = 86400,
    YEARS_2 = 730 * DAY,
    MINUTES = YEARS_2 / 60,
    LONGEST_PAUSE = 72, /* minutes: an hour and its jitter */
    CHECK_INTERVAL = 60,
    SPELLS = 400,
    KEPT = 8,
};
#define START INT64_C(1767225600) /* 2026-01-01 */

/* ---- the CA ---- */

struct spell {
    int64_t from_s, to_s;
};

struct scenario {
    const char *name, *words;
    int64_t lifetime_s;
    bool one_day; /* all enrolled within one minute */
    int64_t outage_every_s, outage_min_s, outage_max_s;
    int64_t long_every_s; /* an outage of days */
    int64_t refuse_every_s, refuse_s; /* refuses everybody for so long */
    int64_t busy_s; /* after an outage: 503 with Retry-After */
    int64_t window_s; /* renews only so long before the end; 0: always */
    bool names_time; /* and says when */
    bool wrong_policies;
};

struct ca {
    const struct scenario *s;
    struct spell down[SPELLS], busy[SPELLS], refusing[SPELLS];
    size_t down_n, busy_n, refusing_n;
};

static uint64_t rolls;

static int64_t roll(int64_t max)
{
    return mu_enroll_lifecycle_share(42, ++rolls, max);
}

static void add(struct spell *list, size_t *n, int64_t from_s, int64_t length_s)
{
    if (*n < SPELLS)
        list[(*n)++] = (struct spell){from_s, from_s + length_s};
}

static void ca_make(struct ca *ca, const struct scenario *s)
{
    int64_t at_s = START;

    *ca = (struct ca){.s = s};
    while (s->outage_every_s != 0) {
        int64_t length_s = s->outage_min_s + roll(s->outage_max_s - s->outage_min_s + 1);

        at_s += s->outage_every_s / 2 + roll(s->outage_every_s);
        if (s->long_every_s != 0 && roll(s->long_every_s / s->outage_every_s) == 0)
            length_s = 2 * DAY + roll(5 * DAY);
        if (at_s + length_s > START + YEARS_2)
            break;
        add(ca->down, &ca->down_n, at_s, length_s);
        at_s += length_s;
        if (s->busy_s != 0)
            add(ca->busy, &ca->busy_n, at_s, s->busy_s);
    }
    if (s->one_day) /* and one just when all are due for the first time */
        add(ca->down, &ca->down_n, START + s->lifetime_s * 2 / 3 - HOUR, 7 * HOUR);
    for (at_s = START + s->refuse_every_s; s->refuse_every_s != 0 && at_s < START + YEARS_2;
         at_s += s->refuse_every_s / 2 + roll(s->refuse_every_s))
        add(ca->refusing, &ca->refusing_n, at_s, s->refuse_s);
}

static bool within(const struct spell *list, size_t n, int64_t now_s)
{
    for (size_t i = 0; i < n; i++)
        if (now_s >= list[i].from_s && now_s < list[i].to_s)
            return true;
    return false;
}

/* ---- the agents ---- */

struct agent {
    struct mu_lifecycle life;
    struct mu_lifecycle_policy policy;
    int64_t due_s; /* of the present certificate, as the rule says */
    bool refused; /* since it was due */
    bool is_counted; /* its expiry */
    int64_t asked_s[KEPT]; /* counted apart from the lifecycle's own list */
    size_t asked_n;
};

struct fleet {
    struct ca ca;
    struct agent *v;
    size_t n;
    struct {
        int64_t at_s;
        size_t agent;
    } * heap;
    size_t heap_n;
    uint32_t minutes[MINUTES]; /* requests that reached the network, also of no answer */
    uint64_t asked, issued, refused, unreached, excused, broken_expiry, broken_cap, broken_rush;
    unsigned most_a_day;
    double worst_rush; /* of what was allowed */
};

static void push(struct fleet *f, int64_t at_s, size_t agent)
{
    size_t i = f->heap_n++;

    for (; i > 0 && f->heap[(i - 1) / 2].at_s > at_s; i = (i - 1) / 2)
        f->heap[i] = f->heap[(i - 1) / 2];
    f->heap[i].at_s = at_s;
    f->heap[i].agent = agent;
}

static void pop(struct fleet *f, int64_t *at_s, size_t *agent)
{
    size_t i = 0, child;
    int64_t last_s = f->heap[--f->heap_n].at_s;
    size_t last = f->heap[f->heap_n].agent;

    *at_s = f->heap[0].at_s;
    *agent = f->heap[0].agent;
    for (; (child = 2 * i + 1) < f->heap_n; i = child) {
        if (child + 1 < f->heap_n && f->heap[child + 1].at_s < f->heap[child].at_s)
            child++;
        if (f->heap[child].at_s >= last_s)
            break;
        f->heap[i] = f->heap[child];
    }
    f->heap[i].at_s = last_s;
    f->heap[i].agent = last;
}

static void new_certificate(struct agent *a)
{
    const struct mu_lifecycle *r = &a->life;
    int days = a->policy.renew_days;

    /* who is always due holds until a third is left; then it is due */
    if (r->by_agent && mu_enroll_lifecycle_is_hasty(r->not_before_s, r->not_after_s, &a->policy))
        days = -1;
    a->due_s = mu_enroll_lifecycle_due(r->not_before_s, r->not_after_s, days, 0);
    if (a->due_s < r->issued_s)
        a->due_s = r->issued_s;
    a->refused = a->is_counted = false;
}

/* Was there so long a time on end, between due and expiry, when the CA would have served? */
static bool was_served_for(const struct ca *ca, const struct agent *a, int64_t length_s)
{
    int64_t since_s = 0, from_s = a->due_s;

    if (a->refused && ca->s->window_s != 0 && a->life.not_after_s - ca->s->window_s > from_s)
        from_s = a->life.not_after_s - ca->s->window_s;
    for (int64_t t = from_s; t < a->life.not_after_s; t += 60) {
        bool served = !within(ca->down, ca->down_n, t) && !within(ca->busy, ca->busy_n, t)
            && (!a->refused || !within(ca->refusing, ca->refusing_n, t));

        since_s = served ? since_s + 60 : 0;
        if (since_s > length_s)
            return true;
    }
    return false;
}

static void check_expiry(struct fleet *f, struct agent *a, int64_t now_s)
{
    if (now_s < a->life.not_after_s || a->is_counted)
        return;
    a->is_counted = true;
    if (was_served_for(&f->ca, a, a->refused ? 2 * DAY : 2 * HOUR))
        f->broken_expiry++;
    else
        f->excused++;
}

static void check_cap(struct fleet *f, struct agent *a, int64_t now_s)
{
    bool is_short = f->ca.s->lifetime_s < 3 * DAY;
    int64_t window_s = is_short ? f->ca.s->lifetime_s : DAY;
    unsigned count = 1;

    for (size_t i = 0; i < KEPT; i++)
        count += a->asked_s[i] != 0 && a->asked_s[i] > now_s - window_s;
    a->asked_s[a->asked_n++ % KEPT] = now_s;
    if (count > f->most_a_day)
        f->most_a_day = count;
    f->broken_cap += count > (is_short ? 4u : 2u);
}

/* The transport: one request and its answer. */
static void ask(struct fleet *f, struct agent *a, int64_t now_s)
{
    const struct scenario *s = f->ca.s;
    struct mu_lifecycle_happened what = {.event = MU_LIFECYCLE_BEGIN};
    int64_t opens_s = a->life.not_after_s - s->window_s;

    if (mu_enroll_lifecycle_apply(&a->life, &what, &a->policy, now_s) == MU_LIFECYCLE_STORE) {
        what.event = MU_LIFECYCLE_STORED;
        mu_enroll_lifecycle_apply(&a->life, &what, &a->policy, now_s);
    }
    f->asked++;
    f->minutes[(now_s - START) / 60]++;
    if (within(f->ca.down, f->ca.down_n, now_s)) {
        what.event = MU_LIFECYCLE_UNREACHED;
        f->unreached++;
    } else if (within(f->ca.busy, f->ca.busy_n, now_s)) {
        what.event = MU_LIFECYCLE_UNREACHED;
        what.retry_after_s = 900;
        f->unreached++;
    } else if (within(f->ca.refusing, f->ca.refusing_n, now_s)
        || (s->window_s != 0 && now_s < opens_s)) {
        what.event = MU_LIFECYCLE_REFUSED;
        what.retry_at_s = s->names_time && now_s < opens_s ? opens_s : 0;
        a->refused = true;
        f->refused++;
        check_cap(f, a, now_s);
    } else {
        what = (struct mu_lifecycle_happened){.event = MU_LIFECYCLE_SAVED,
            .not_before_s = now_s - 300, /* as CAs do against slow clocks */
            .not_after_s = now_s - 300 + s->lifetime_s};
        f->issued++;
        check_cap(f, a, now_s);
    }
    mu_enroll_lifecycle_apply(&a->life, &what, &a->policy, now_s);
    if (what.event == MU_LIFECYCLE_SAVED)
        new_certificate(a);
}

static void run(struct fleet *f)
{
    while (f->heap_n != 0) {
        struct mu_lifecycle_decision d;
        struct agent *a;
        int64_t now_s;
        size_t i;

        pop(f, &now_s, &i);
        if (now_s >= START + YEARS_2)
            continue;
        a = &f->v[i];
        check_expiry(f, a, now_s);
        mu_enroll_lifecycle_decide(&a->life, &a->policy, now_s, &d);
        if (d.action != MU_LIFECYCLE_WAIT) {
            ask(f, a, now_s);
            mu_enroll_lifecycle_decide(&a->life, &a->policy, now_s, &d);
        }
        push(f, d.at_s > now_s ? d.at_s : now_s + 1, i);
    }
    for (size_t i = 0; i < f->n; i++)
        check_expiry(f, &f->v[i], START + YEARS_2);
}

static void fleet_make(struct fleet *f, const struct scenario *s, size_t n)
{
    static const int wrong[] = {-1, 1, 7, 14, 30, 60, 85, 89, 120};

    memset(f, 0, sizeof *f);
    ca_make(&f->ca, s);
    f->n = n;
    f->v = calloc(n, sizeof *f->v);
    f->heap = calloc(n, sizeof *f->heap);
    if (f->v == NULL || f->heap == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        struct agent *a = &f->v[i];
        int64_t age_s = s->one_day ? roll(60) : roll(s->lifetime_s * 2 / 3);
        char host[32];

        snprintf(host, sizeof host, "host%zu", i);
        a->policy = (struct mu_lifecycle_policy){.renew_days = -1, .jitter_percent = 20};
        if (s->wrong_policies)
            a->policy.renew_days = wrong[roll(sizeof wrong / sizeof wrong[0])];
        a->life = (struct mu_lifecycle){.state = MU_LIFECYCLE_INSTALLED,
            .spread = mu_enroll_lifecycle_spread(host, "web"),
            .not_before_s = START - age_s,
            .not_after_s = START - age_s + s->lifetime_s,
            .issued_s = START - age_s};
        new_certificate(a);
        push(f, START + roll(HOUR), i); /* machines start when they do */
    }
}

/* ---- the rush ---- */

static double mean_of(const struct fleet *f, int64_t from, int64_t n)
{
    uint64_t sum = 0;

    for (int64_t i = from; i < from + n; i++)
        sum += i >= 0 && i < MINUTES ? f->minutes[i] : 0;
    return (double)sum / (double)n;
}

static void check_minute(struct fleet *f, int64_t i, double mean)
{
    double share = f->minutes[i] / (10 + 3 * mean);

    if (share > f->worst_rush)
        f->worst_rush = share;
    f->broken_rush += share > 1;
}

static void check_rush(struct fleet *f)
{
    for (size_t i = 0; i < f->ca.down_n; i++) {
        int64_t back = (f->ca.down[i].to_s - START) / 60;
        double mean = mean_of(f, back, LONGEST_PAUSE);

        for (int64_t m = back; m < back + LONGEST_PAUSE && m < MINUTES; m++)
            check_minute(f, m, mean);
    }
    for (int64_t m = 0; m < MINUTES; m++)
        check_minute(f, m, mean_of(f, m - CHECK_INTERVAL / 2, CHECK_INTERVAL));
}

/* ---- the picture ---- */

static void svg_bars(FILE *out, const struct fleet *f, int64_t from, int64_t step, int y)
{
    uint32_t top = 1, most;

    for (int pass = 0; pass < 2; pass++) {
        for (int x = 0; x < 730; x++) {
            most = 0;
            for (int64_t m = from + x * step; m < from + (x + 1) * step && m < MINUTES; m++)
                most = m >= 0 && f->minutes[m] > most ? f->minutes[m] : most;
            if (pass == 0 && most > top)
                top = most;
            if (pass == 1 && most != 0)
                fprintf(out, "<rect x='%d' y='%.1f' width='1' height='%.1f' fill='#246'/>\n", x + 40,
                    y - 100.0 * most / top, 100.0 * most / top);
        }
    }
    fprintf(out, "<text x='4' y='%d'>%" PRIu32 "</text><text x='4' y='%d'>0</text>\n", y - 92, top, y);
}

static void svg_write(const struct fleet *f, FILE *out)
{
    const struct spell *longest = &f->ca.down[0];

    for (size_t i = 1; i < f->ca.down_n; i++)
        if (f->ca.down[i].to_s - f->ca.down[i].from_s > longest->to_s - longest->from_s)
            longest = &f->ca.down[i];
    fprintf(out,
        "<svg xmlns='http://www.w3.org/2000/svg' width='790' height='300' font-family='sans-serif' "
        "font-size='11'>\n<rect width='790' height='300' fill='white'/>\n"
        "<text x='40' y='16'>%zu agents, %s: requests in the busiest minute of each day, two years "
        "(gray: the CA is away)</text>\n",
        f->n, f->ca.s->words);
    for (size_t i = 0; i < f->ca.down_n; i++)
        fprintf(out, "<rect x='%.2f' y='24' width='%.2f' height='106' fill='#ddd'/>\n",
            40 + (double)(f->ca.down[i].from_s - START) / DAY,
            (double)(f->ca.down[i].to_s - f->ca.down[i].from_s) / DAY);
    svg_bars(out, f, 0, 1440, 130);
    fprintf(out,
        "<text x='40' y='166'>the same by the minute: two hours before the longest outage (%.1f days) "
        "ends, ten hours after</text>\n<rect x='40' y='174' width='120' height='106' fill='#ddd'/>\n",
        (double)(longest->to_s - longest->from_s) / DAY);
    svg_bars(out, f, (longest->to_s - START) / 60 - 120, 1, 280);
    fprintf(out, "</svg>\n");
}

/* ---- */

static const struct scenario scenarios[] = {
    {.name = "outages",
        .words = "90-day certificates, outages of hours and days",
        .lifetime_s = 90 * DAY,
        .outage_every_s = 10 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = 14 * HOUR,
        .long_every_s = 60 * DAY},
    {.name = "one-day",
        .words = "all enrolled in one minute",
        .lifetime_s = 90 * DAY,
        .one_day = true,
        .outage_every_s = 15 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = 30 * HOUR},
    {.name = "busy",
        .words = "503 with Retry-After for two hours after each outage",
        .lifetime_s = 90 * DAY,
        .outage_every_s = 15 * DAY,
        .outage_min_s = 2 * HOUR,
        .outage_max_s = 3 * DAY,
        .busy_s = 2 * HOUR},
    {.name = "wrong-days",
        .words = "renew-days from 1 to 120, the CA renews in the last 30 days only",
        .lifetime_s = 90 * DAY,
        .outage_every_s = 12 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = 2 * DAY,
        .window_s = 30 * DAY,
        .wrong_policies = true},
    {.name = "wrong-named",
        .words = "the same, and it names the day",
        .lifetime_s = 90 * DAY,
        .outage_every_s = 12 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = 2 * DAY,
        .window_s = 7 * DAY,
        .names_time = true,
        .wrong_policies = true},
    {.name = "refusing",
        .words = "the CA refuses everybody for a week, some times a year",
        .lifetime_s = 90 * DAY,
        .outage_every_s = 20 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = DAY,
        .refuse_every_s = 60 * DAY,
        .refuse_s = 7 * DAY,
        .wrong_policies = true},
    {.name = "short",
        .words = "36-hour certificates, outages of hours",
        .lifetime_s = 36 * HOUR,
        .outage_every_s = 4 * DAY,
        .outage_min_s = HOUR,
        .outage_max_s = 15 * HOUR},
};

int main(int argc, char **argv)
{
    static struct fleet f;
    size_t agents = 10000;
    const char *svg = NULL;
    uint64_t broken = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--agents") == 0)
            agents = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--svg") == 0)
            svg = argv[i + 1];
    }
    if (agents == 0 || agents > 1000000) {
        fprintf(stderr, "fleet_sim: --agents 1 to 1000000\n");
        return 64;
    }
    printf("%-12s %9s %9s %8s %9s | %7s %6s | %4s %6s | %6s %6s\n", "scenario", "requests", "issued",
        "refused", "unreached", "excused", "broken", "most", "broken", "rush", "broken");
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        const struct scenario *s = &scenarios[i];
        FILE *out;

        fleet_make(&f, s, agents);
        run(&f);
        check_rush(&f);
        printf("%-12s %9" PRIu64 " %9" PRIu64 " %8" PRIu64 " %9" PRIu64 " | %7" PRIu64 " %6" PRIu64
               " | %4u %6" PRIu64 " | %5.0f%% %6" PRIu64 "\n",
            s->name, f.asked, f.issued, f.refused, f.unreached, f.excused, f.broken_expiry,
            f.most_a_day, f.broken_cap, 100 * f.worst_rush, f.broken_rush);
        broken += f.broken_expiry + f.broken_cap + (s->lifetime_s >= 3 * DAY ? f.broken_rush : 0);
        if (i == 0 && svg != NULL && (out = fopen(svg, "w")) != NULL) {
            svg_write(&f, out);
            fclose(out);
        }
        free(f.v);
        free(f.heap);
    }
    printf("%s\n", broken == 0 ? "every promise kept" : "A PROMISE IS BROKEN");
    return broken == 0 ? 0 : 1;
}
