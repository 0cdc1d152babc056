/* What is kept for the metrics, shared by reading and writing. */
#ifndef MU_AGENT_METRICS_INTERNAL_H
#define MU_AGENT_METRICS_INTERNAL_H

#include "agent/agent_metrics.h"

enum { MU_AGENT_METRICS_KINDS = 8 }; /* of results of one entry */

struct mu_agent_metrics_deploy {
    char *where;
    bool is_endpoint, match;
    int exit_code; /* -1: none */
};

struct mu_agent_metrics_try {
    const char *result; /* a literal; NULL: free */
    enum mu_reason code;
    unsigned long n;
};

struct mu_agent_metrics_entry {
    char name[MU_KEYSTORE_NAME], ca[MU_KEYSTORE_NAME];
    enum mu_proto proto;
    enum mu_agent_state state;
    bool is_dirty, is_known, has_clock;
    int64_t not_before_s, not_after_s, renewal_s, attempt_s, success_s;
    int64_t clock_difference_s, clock_s;
    unsigned failures;
    struct mu_agent_metrics_try tries[MU_AGENT_METRICS_KINDS];
    struct mu_agent_metrics_deploy *deploy;
    size_t deploy_n;
};

struct mu_agent_metrics {
    struct mu_agent_metrics_entry **v; /* by name */
    size_t n;
    size_t turn; /* the one that was looked at last */
};

#endif
