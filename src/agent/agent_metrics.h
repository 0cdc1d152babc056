/*
 * Metrics of all certificates in the text form of Prometheus (PRODUCT "Metrics"). What is shown is kept:
 * a scrape reads only what is new or changed, and a few of the others in turn, so that ten thousand
 * certificates do not hold up a loop. Attempts are counted since the process began.
 */
#ifndef MU_AGENT_METRICS_H
#define MU_AGENT_METRICS_H

#include "agent/agent.h"

struct mu_agent_metrics;

enum mu_code mu_agent_metrics_new(struct mu_agent_metrics **out, struct mu_err *err) MU_CHECK;
void mu_agent_metrics_free(struct mu_agent_metrics *metrics);

/* Something happened: counted, and the entry is read again. */
void mu_agent_metrics_event(struct mu_agent_metrics *metrics, const struct mu_agent_event *event);
/* Somebody else changed it; NULL: whoever. */
void mu_agent_metrics_touch(struct mu_agent_metrics *metrics, const char *name);

enum { MU_AGENT_METRICS_READS = 200 }; /* entries read for one scrape: some 50 ms */
/* Reads at most so many entries (0: all there are), new and changed ones first. */
enum mu_code mu_agent_metrics_look(struct mu_agent_metrics *metrics, struct mu_agent *agent, size_t reads,
    struct mu_err *err) MU_CHECK;
/* What is known now; nothing is read but the CA certificates. out should have room: 1 KiB for each entry. */
enum mu_code mu_agent_metrics_text(struct mu_agent_metrics *metrics, struct mu_agent *agent,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* Pure: a label's value, with what the format wants escaped. */
bool mu_agent_metrics_label(struct mu_buf *out, const char *value);

#endif
