/* The table of states and events, and what each event leaves in the record. */
#include "enroll/enroll_lifecycle.h"

enum { MINUTE_S = 60, DAY_S = 86400 };

const char *mu_enroll_lifecycle_state_word(enum mu_lifecycle_state state)
{
    static const char *const words[MU_LIFECYCLE_STATES] = {"new", "keyed", "requested", "issued",
        "installed", "renewing", "failed", "retired"};

    return words[state];
}

/* ---- the table: what is not in it cannot happen ---- */

static const struct row {
    enum mu_lifecycle_state state;
    enum mu_lifecycle_event event;
    enum mu_lifecycle_state next;
    enum mu_lifecycle_follow follow;
} table[] = {
#define ROW(state, event, next, follow)                                                            \
    {                                                                                              \
        MU_LIFECYCLE_##state, MU_LIFECYCLE_##event, MU_LIFECYCLE_##next, MU_LIFECYCLE_##follow     \
    }
    ROW(NEW, BEGIN, NEW, STORE),
    ROW(NEW, STORED, KEYED, SEND),
    ROW(NEW, REFUSED, NEW, NOTHING),
    ROW(NEW, UNREACHED, NEW, NOTHING),
    ROW(NEW, ADOPTED, ISSUED, INSTALL),
    ROW(NEW, LOST, NEW, NOTHING),
    ROW(NEW, RESUME, NEW, NOTHING),

    /* a kill left a key: the same request goes out, with the same transaction id */
    ROW(KEYED, BEGIN, KEYED, SEND),
    ROW(KEYED, PENDING, REQUESTED, NOTHING),
    ROW(KEYED, SAVED, ISSUED, INSTALL),
    ROW(KEYED, REFUSED, NEW, FORGET),
    ROW(KEYED, UNREACHED, KEYED, NOTHING),
    ROW(KEYED, CANCELED, NEW, FORGET),
    ROW(KEYED, ADOPTED, ISSUED, INSTALL),
    ROW(KEYED, RESUME, KEYED, NOTHING),

    ROW(REQUESTED, BEGIN, REQUESTED, SEND),
    ROW(REQUESTED, PENDING, REQUESTED, NOTHING),
    ROW(REQUESTED, SAVED, ISSUED, INSTALL),
    ROW(REQUESTED, REFUSED, NEW, FORGET),
    ROW(REQUESTED, UNREACHED, REQUESTED, NOTHING),
    ROW(REQUESTED, GAVE_UP, REQUESTED, NOTHING),
    ROW(REQUESTED, CANCELED, NEW, FORGET),
    ROW(REQUESTED, ADOPTED, ISSUED, INSTALL),
    ROW(REQUESTED, RESUME, REQUESTED, NOTHING),

    ROW(ISSUED, DEPLOYED, INSTALLED, NOTHING),
    ROW(ISSUED, NOT_DEPLOYED, FAILED, NOTHING),
    ROW(ISSUED, REFUSED, ISSUED, NOTHING),
    ROW(ISSUED, UNREACHED, ISSUED, NOTHING),
    ROW(ISSUED, BEGIN, ISSUED, STORE),
    ROW(ISSUED, STORED, RENEWING, SEND),
    ROW(ISSUED, ADOPTED, ISSUED, INSTALL),
    ROW(ISSUED, LOST, NEW, NOTHING),
    ROW(ISSUED, RESUME, ISSUED, NOTHING),

    ROW(INSTALLED, BEGIN, INSTALLED, STORE),
    ROW(INSTALLED, STORED, RENEWING, SEND),
    ROW(INSTALLED, REFUSED, INSTALLED, NOTHING),
    ROW(INSTALLED, UNREACHED, INSTALLED, NOTHING),
    ROW(INSTALLED, NOT_DEPLOYED, FAILED, NOTHING), /* verified later: the service lost it */
    ROW(INSTALLED, DEPLOYED, INSTALLED, NOTHING),
    ROW(INSTALLED, ADOPTED, ISSUED, INSTALL),
    ROW(INSTALLED, LOST, NEW, NOTHING),
    ROW(INSTALLED, RESUME, INSTALLED, NOTHING),

    ROW(RENEWING, BEGIN, RENEWING, SEND),
    ROW(RENEWING, PENDING, RENEWING, NOTHING),
    ROW(RENEWING, SAVED, ISSUED, INSTALL),
    ROW(RENEWING, REFUSED, INSTALLED, FORGET), /* the old pair stays in use */
    ROW(RENEWING, UNREACHED, RENEWING, NOTHING),
    ROW(RENEWING, GAVE_UP, RENEWING, NOTHING),
    ROW(RENEWING, CANCELED, INSTALLED, FORGET),
    ROW(RENEWING, ADOPTED, ISSUED, FORGET),
    ROW(RENEWING, LOST, NEW, FORGET),
    ROW(RENEWING, RESUME, RENEWING, NOTHING),

    ROW(FAILED, DEPLOYED, INSTALLED, NOTHING),
    ROW(FAILED, NOT_DEPLOYED, FAILED, NOTHING),
    ROW(FAILED, REFUSED, FAILED, NOTHING),
    ROW(FAILED, UNREACHED, FAILED, NOTHING),
    ROW(FAILED, BEGIN, FAILED, STORE), /* what cannot be deployed is renewed all the same */
    ROW(FAILED, STORED, RENEWING, SEND),
    ROW(FAILED, ADOPTED, ISSUED, INSTALL),
    ROW(FAILED, LOST, NEW, NOTHING),
    ROW(FAILED, RESUME, FAILED, INSTALL),
#undef ROW
};

static const struct row *find(enum mu_lifecycle_state state, enum mu_lifecycle_event event)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].state == state && table[i].event == event)
            return &table[i];
    return NULL;
}

/* ---- what is remembered ---- */

static void count_answer(struct mu_lifecycle *r, int64_t now_s)
{
    for (int i = 1; i < MU_LIFECYCLE_ANSWERS; i++)
        r->answered_s[i - 1] = r->answered_s[i];
    r->answered_s[MU_LIFECYCLE_ANSWERS - 1] = now_s;
}

/* REN-05: a minute to a day. A time that lies behind the certificate's end helps nobody: then half
 * of what is left. */
static void note_wait(
    struct mu_lifecycle *r, const struct mu_lifecycle_happened *what, int64_t now_s)
{
    int64_t pause_s = what->retry_after_s, left_s = r->not_after_s - now_s;

    r->wait_until_s = 0;
    if (pause_s > 0)
        r->wait_until_s = now_s
            + (pause_s < MINUTE_S      ? MINUTE_S
                    : pause_s > DAY_S ? DAY_S
                                      : pause_s);
    if (what->retry_at_s > now_s && what->retry_at_s > r->wait_until_s)
        r->wait_until_s = what->retry_at_s;
    if (left_s > 0 && r->wait_until_s >= r->not_after_s)
        r->wait_until_s = now_s + left_s / 2;
    if (left_s <= 0 && r->wait_until_s > now_s + DAY_S)
        r->wait_until_s = now_s + DAY_S;
}

static void forget_request(struct mu_lifecycle *r)
{
    r->pending_since_s = r->poll_s = 0;
    r->polls = 0;
    r->stopped = false;
}

static void forget_tries(struct mu_lifecycle *r)
{
    r->refused = r->unreached = 0;
    r->tried_s = r->wait_until_s = 0;
    r->expired_refused = false;
}

static void note_pending(struct mu_lifecycle *r, const struct mu_lifecycle_happened *what,
    const struct mu_lifecycle_policy *policy, int64_t now_s)
{
    int64_t pause_s = policy->await_s > 0 ? policy->await_s : MINUTE_S, jitter_s, end_s;

    if (what->retry_after_s > 0)
        pause_s = what->retry_after_s > DAY_S ? DAY_S
            : what->retry_after_s > pause_s   ? what->retry_after_s
                                              : pause_s;
    if (r->pending_since_s == 0) {
        r->pending_since_s = now_s;
        if (!what->by_person)
            count_answer(r, now_s);
    } else {
        r->polls++;
    }
    r->refused = r->unreached = 0;
    r->wait_until_s = 0;
    jitter_s = mu_enroll_lifecycle_share(
        r->spread, r->polls + 1, pause_s * policy->jitter_percent / 100 + 1);
    /* now_s is rounded down: without this second the question would come before the time (R013) */
    r->poll_s = now_s + pause_s + (jitter_s > 0 ? jitter_s : 1);
    end_s = mu_enroll_lifecycle_await_end(r, policy);
    if (what->retry_after_s <= 0 && now_s < end_s && r->poll_s > end_s)
        r->poll_s = end_s; /* R014: the last question is asked when the time is over */
}

static void note_certificate(
    struct mu_lifecycle *r, const struct mu_lifecycle_happened *what, int64_t now_s)
{
    int64_t left_s = r->not_after_s - now_s;

    if (what->event == MU_LIFECYCLE_SAVED) {
        if (r->not_after_s != 0 && left_s > r->yes_left_s)
            r->yes_left_s = left_s;
        if (!what->by_person && r->pending_since_s == 0)
            count_answer(r, now_s);
    }
    r->by_agent = what->event == MU_LIFECYCLE_SAVED && !what->by_person;
    r->not_before_s = what->not_before_s;
    r->not_after_s = what->not_after_s;
    r->issued_s = now_s;
    r->warned_s = 0;
    r->undeployed = false;
    r->not_deployed = 0;
    r->deploy_tried_s = 0;
    if (r->not_before_s > r->sure_s && r->not_before_s <= now_s)
        r->sure_s = r->not_before_s;
    forget_tries(r);
    forget_request(r);
}

static void note_refusal(
    struct mu_lifecycle *r, const struct mu_lifecycle_happened *what, int64_t now_s)
{
    int64_t left_s = r->not_after_s - now_s;

    if (r->not_after_s != 0 && left_s > 0 && (r->no_left_s == 0 || left_s < r->no_left_s))
        r->no_left_s = left_s;
    if (r->not_after_s != 0 && left_s <= 0)
        r->expired_refused = true;
    if (!what->by_person && r->pending_since_s == 0)
        count_answer(r, now_s);
    /* Of several ways, the one that was not reached is asked again soon; the other refused. */
    if (!what->same_try || r->refused == 0)
        r->refused++;
    if (!what->same_try)
        r->unreached = 0;
    r->tried_s = now_s;
    note_wait(r, what, now_s);
    forget_request(r);
}

static void note_unreached(struct mu_lifecycle *r, const struct mu_lifecycle_happened *what,
    const struct mu_lifecycle_policy *policy, int64_t now_s)
{
    if (what->answered && !what->by_person && r->pending_since_s == 0)
        count_answer(r, now_s);
    if (!what->same_try || r->unreached == 0)
        r->unreached++;
    r->tried_s = now_s;
    note_wait(r, what, now_s);
    if (r->pending_since_s != 0) { /* a poll: asked again at the pace of polls */
        int64_t pause_s = policy->await_s > 0 ? policy->await_s : MINUTE_S;

        r->polls++;
        r->poll_s = r->wait_until_s > now_s + pause_s ? r->wait_until_s : now_s + pause_s;
    }
}

static void note(struct mu_lifecycle *r, const struct mu_lifecycle_happened *what,
    const struct mu_lifecycle_policy *policy, int64_t now_s)
{
    switch (what->event) {
    case MU_LIFECYCLE_PENDING:
        note_pending(r, what, policy, now_s);
        break;
    case MU_LIFECYCLE_SAVED:
    case MU_LIFECYCLE_ADOPTED:
        note_certificate(r, what, now_s);
        break;
    case MU_LIFECYCLE_REFUSED:
        note_refusal(r, what, now_s);
        break;
    case MU_LIFECYCLE_UNREACHED:
        note_unreached(r, what, policy, now_s);
        break;
    case MU_LIFECYCLE_GAVE_UP:
        r->stopped = true;
        break;
    case MU_LIFECYCLE_NOT_DEPLOYED:
        r->not_deployed++;
        r->deploy_tried_s = now_s;
        break;
    case MU_LIFECYCLE_DEPLOYED:
        r->not_deployed = 0;
        break;
    case MU_LIFECYCLE_CANCELED:
        forget_request(r);
        break;
    case MU_LIFECYCLE_LOST:
        r->not_before_s = r->not_after_s = r->issued_s = 0;
        forget_request(r);
        break;
    case MU_LIFECYCLE_RESUME:
        if (r->stopped)
            r->pending_since_s = r->poll_s = now_s;
        r->stopped = false;
        break;
    default:
        break;
    }
}

/* A restart does not undo what was asked for while automation is off: what comes is taken. */
static enum mu_lifecycle_follow retired(struct mu_lifecycle *r,
    const struct mu_lifecycle_happened *what, const struct mu_lifecycle_policy *policy,
    int64_t now_s)
{
    enum mu_lifecycle_follow follow;

    if (what->event == MU_LIFECYCLE_RETIRE)
        return MU_LIFECYCLE_NOTHING;
    r->state = r->before;
    follow = mu_enroll_lifecycle_apply(r, what, policy, now_s);
    if (what->event != MU_LIFECYCLE_RESUME) {
        r->before = r->state;
        r->state = MU_LIFECYCLE_RETIRED;
    }
    return follow;
}

enum mu_lifecycle_follow mu_enroll_lifecycle_apply(struct mu_lifecycle *r,
    const struct mu_lifecycle_happened *what, const struct mu_lifecycle_policy *policy,
    int64_t now_s)
{
    const struct row *row;

    if (r->state == MU_LIFECYCLE_RETIRED)
        return retired(r, what, policy, now_s);
    if (what->event == MU_LIFECYCLE_RETIRE) {
        r->before = r->state;
        r->state = MU_LIFECYCLE_RETIRED;
        return MU_LIFECYCLE_NOTHING;
    }
    if ((row = find(r->state, what->event)) == NULL)
        return MU_LIFECYCLE_IMPOSSIBLE;
    note(r, what, policy, now_s);
    if (row->next == MU_LIFECYCLE_RENEWING && r->state != MU_LIFECYCLE_RENEWING)
        r->undeployed = r->state == MU_LIFECYCLE_ISSUED || r->state == MU_LIFECYCLE_FAILED;
    r->state = row->next;
    if (row->state == MU_LIFECYCLE_RENEWING && r->state == MU_LIFECYCLE_INSTALLED && r->undeployed)
        r->state = MU_LIFECYCLE_FAILED; /* what was owed to it still is */
    if (row->follow == MU_LIFECYCLE_INSTALL && r->state == MU_LIFECYCLE_ISSUED
        && !what->needs_deploy) {
        r->state = MU_LIFECYCLE_INSTALLED;
        return MU_LIFECYCLE_NOTHING;
    }
    return row->follow;
}

/* ---- a clock that went back ---- */

static bool pull(int64_t *at_s, int64_t now_s)
{
    if (*at_s <= now_s)
        return false;
    *at_s = now_s;
    return true;
}

bool mu_enroll_lifecycle_rebase(struct mu_lifecycle *r, int64_t now_s)
{
    int64_t back_s = r->tried_s - now_s, polled_s = r->poll_s - r->pending_since_s;
    bool changed = false;

    if (back_s > 0 && r->wait_until_s != 0)
        r->wait_until_s -= back_s;
    changed |= pull(&r->tried_s, now_s);
    changed |= pull(&r->deploy_tried_s, now_s);
    changed |= pull(&r->issued_s, now_s);
    changed |= pull(&r->warned_s, now_s);
    for (int i = 0; i < MU_LIFECYCLE_ANSWERS; i++)
        changed |= pull(&r->answered_s[i], now_s);
    if (pull(&r->pending_since_s, now_s)) {
        changed = true;
        r->poll_s = now_s + (polled_s < DAY_S ? polled_s : DAY_S);
    }
    return changed;
}
