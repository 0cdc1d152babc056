/*
 * What becomes of a certificate over the years: a table of states and events, and one pure
 * decision (PRODUCT "When things happen"). Nothing here reads a clock, a file or a socket: who
 * drives it stores the record before an action that the outside can see and after its result.
 *
 *   decide(record, policy, now)   what to do now, or when to look again
 *   apply(record, event, ...)     what happened: the next state, and what follows at once
 *
 * Random pauses are made from the record's spread, so that a decision is the same each time it is
 * asked for, and each host and certificate has its own place in the crowd.
 */
#ifndef MU_ENROLL_LIFECYCLE_H
#define MU_ENROLL_LIFECYCLE_H

#include "base/bytes.h"
#include "base/err.h"

/* Stable: what the store may hold between two runs. */
enum mu_lifecycle_state {
    MU_LIFECYCLE_NEW, /* described; nothing made, nothing asked */
    MU_LIFECYCLE_KEYED, /* key and request are stored, nothing was sent */
    MU_LIFECYCLE_REQUESTED, /* the first request is out */
    MU_LIFECYCLE_ISSUED, /* the pair is in the store, its services do not have it yet */
    MU_LIFECYCLE_INSTALLED, /* in use */
    MU_LIFECYCLE_RENEWING, /* in use, and a request for its successor is out */
    MU_LIFECYCLE_FAILED, /* in the store, but not where it should be deployed; tried again */
    MU_LIFECYCLE_RETIRED, /* automation is off: nothing is done by itself */
    MU_LIFECYCLE_STATES
};
const char *mu_enroll_lifecycle_state_word(enum mu_lifecycle_state state); /* "installed" */

enum mu_lifecycle_event {
    MU_LIFECYCLE_BEGIN, /* a new key and request are wanted */
    MU_LIFECYCLE_STORED, /* they are on disk */
    MU_LIFECYCLE_PENDING, /* the CA waits for somebody, or asks to come back */
    MU_LIFECYCLE_SAVED, /* issued, checked, stored, switched */
    MU_LIFECYCLE_REFUSED, /* the CA said no */
    MU_LIFECYCLE_UNREACHED, /* no answer, TLS failed, 5xx */
    MU_LIFECYCLE_GAVE_UP, /* max-await-result is over */
    MU_LIFECYCLE_DEPLOYED, /* hooks done, the service presents it */
    MU_LIFECYCLE_NOT_DEPLOYED,
    MU_LIFECYCLE_CANCELED, /* by a person: the request is forgotten */
    MU_LIFECYCLE_ADOPTED, /* the files in the store were changed by somebody else */
    MU_LIFECYCLE_LOST, /* they are gone */
    MU_LIFECYCLE_RETIRE,
    MU_LIFECYCLE_RESUME, /* automation is on again, or a person or a restart starts a stopped poll */
    MU_LIFECYCLE_EVENTS
};

/* What follows at once. */
enum mu_lifecycle_follow {
    MU_LIFECYCLE_NOTHING,
    MU_LIFECYCLE_STORE, /* key and request, before anything is sent */
    MU_LIFECYCLE_SEND,
    MU_LIFECYCLE_FORGET, /* the request; its key if it is not in use */
    MU_LIFECYCLE_INSTALL, /* run the hooks */
    MU_LIFECYCLE_IMPOSSIBLE, /* a fault of the caller; the state stays */
};

enum { MU_LIFECYCLE_ANSWERS = 8 };

/* What is remembered of one certificate. {0} is a new one. */
struct mu_lifecycle {
    enum mu_lifecycle_state state;
    enum mu_lifecycle_state before; /* RETIRED: what it was */
    uint64_t spread; /* mu_enroll_lifecycle_spread */
    int64_t not_before_s, not_after_s; /* of the certificate in the store; 0: none */
    int64_t issued_s; /* when it came */
    bool by_agent; /* and that the agent asked for it by itself */
    /* tries */
    unsigned refused, unreached; /* in a row */
    int64_t tried_s; /* end of the last one that failed */
    int64_t wait_until_s; /* the CA named a time; 0: none */
    int64_t answered_s[MU_LIFECYCLE_ANSWERS]; /* own requests that a CA answered, oldest first */
    bool expired_refused; /* the CA does not renew expired ones */
    /* pending */
    int64_t pending_since_s, poll_s; /* 0: nothing waits */
    unsigned polls;
    bool stopped; /* max-await-result is over (M313) */
    /* deployment */
    bool undeployed; /* RENEWING: the present pair is not where it should be */
    unsigned not_deployed;
    int64_t deploy_tried_s;
    /* learned of the CA: at which remaining lifetime it said yes or no; 0: not seen yet */
    int64_t yes_left_s, no_left_s;
    int64_t warned_s;
    int64_t sure_s; /* the latest time that somebody vouched for: a server's Date, a notBefore.
                       Never the own clock alone: one jump into 2099 would stop the agent */
};

enum mu_lifecycle_clock { MU_LIFECYCLE_CLOCK_REQUIRED, MU_LIFECYCLE_CLOCK_WARN, MU_LIFECYCLE_CLOCK_IGNORE };

struct mu_lifecycle_policy {
    int renew_days; /* -1: auto; 0: never */
    int renew_percent; /* of the lifetime left, instead of days; 0: none */
    int warn_days[8], warn_n; /* none: -1 in [0] means auto; a 0 or an empty list: never */
    int64_t check_interval_s, await_s, max_await_s; /* 0: 1 h, 60 s, 60 min */
    int jitter_percent; /* of each pause, only added */
    unsigned max_requests; /* a day; 0: 2 */
    int64_t ca_window_s; /* how long before the end this CA renews; 0: not known */
    bool has_password; /* a new enrollment is possible */
    int64_t built_s; /* of the program: no clock is earlier */
    enum mu_lifecycle_clock clock;
};

enum mu_lifecycle_action {
    MU_LIFECYCLE_WAIT, /* until at_s */
    MU_LIFECYCLE_ENROLL, /* by the password, or going on with a first request */
    MU_LIFECYCLE_RENEW, /* by the certificate, or going on with a renewal */
    MU_LIFECYCLE_POLL,
    MU_LIFECYCLE_DEPLOY,
};

struct mu_lifecycle_decision {
    enum mu_lifecycle_action action;
    int64_t at_s; /* WAIT: the next thing happens then; INT64_MAX: nothing does by itself */
    bool capped; /* at_s is when the storm guard allows the next request */
    enum mu_reason why; /* M601, M602, M603, M604, M607, M313, M801; none if all is well */
    bool held; /* M602 */
};

/* Pure. */
void mu_enroll_lifecycle_decide(const struct mu_lifecycle *record,
    const struct mu_lifecycle_policy *policy, int64_t now_s, struct mu_lifecycle_decision *out);
/* When a certificate becomes due, without holding and spreading; INT64_MAX: never. */
int64_t mu_enroll_lifecycle_due(
    int64_t not_before_s, int64_t not_after_s, int renew_days, int renew_percent);
/* Would each new certificate of this lifetime be due at once (M602)? */
bool mu_enroll_lifecycle_is_hasty(
    int64_t not_before_s, int64_t not_after_s, const struct mu_lifecycle_policy *policy);
/* Until when a request that waits is asked about (R014). */
int64_t mu_enroll_lifecycle_await_end(
    const struct mu_lifecycle *record, const struct mu_lifecycle_policy *policy);
/* Days left if a warning is to be made now, else -1. Who warns sets warned_s. */
int mu_enroll_lifecycle_warning(
    const struct mu_lifecycle *record, const struct mu_lifecycle_policy *policy, int64_t now_s);
/* Requests that the cap still allows now (the storm guard). */
unsigned mu_enroll_lifecycle_left(
    const struct mu_lifecycle *record, const struct mu_lifecycle_policy *policy, int64_t now_s);
/* The clock went back: what the record has in the future is now, and what it waits for keeps its
 * length. True if something was changed. */
bool mu_enroll_lifecycle_rebase(struct mu_lifecycle *record, int64_t now_s);
/* Stable for a host and a certificate. */
uint64_t mu_enroll_lifecycle_spread(const char *host, const char *name);
/* 0 to max-1 out of a spread and a number; the same for the same. */
int64_t mu_enroll_lifecycle_share(uint64_t spread, uint64_t number, int64_t max);

struct mu_lifecycle_happened {
    enum mu_lifecycle_event event;
    bool by_person; /* not counted by the storm guard */
    bool same_try; /* REFUSED, UNREACHED: by another way, right behind the last: counted once */
    bool answered; /* UNREACHED: the CA had done its part, what failed is ours (a full disk) */
    int64_t not_before_s, not_after_s; /* SAVED, ADOPTED */
    int64_t retry_after_s; /* PENDING, REFUSED, UNREACHED: the CA named so long; 0: none */
    int64_t retry_at_s; /* or "renewal allowed from" */
    bool needs_deploy; /* SAVED, ADOPTED: something has to be done with it */
};
enum mu_lifecycle_follow mu_enroll_lifecycle_apply(struct mu_lifecycle *record,
    const struct mu_lifecycle_happened *what, const struct mu_lifecycle_policy *policy,
    int64_t now_s);

#endif
