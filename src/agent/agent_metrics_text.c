/* The text form of Prometheus 0.0.4: one family behind the other, each with its help. */
#include <inttypes.h>

#include "agent/agent_metrics_internal.h"

bool mu_agent_metrics_label(struct mu_buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            mu_buf_put_byte(out, '\\');
        if (*value == '\n')
            mu_buf_put_str(out, "\\n");
        else
            mu_buf_put_byte(out, (uint8_t)*value);
    }
    return !out->failed;
}

static void head(struct mu_buf *out, const char *name, const char *type, const char *help)
{
    mu_buf_putf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* 'name{name="vpn"' */
static void begin(struct mu_buf *out, const char *metric, const struct mu_agent_metrics_entry *e)
{
    mu_buf_putf(out, "%s{name=\"%s\"", metric, e->name); /* an entry's name needs no escape */
}

static void label(struct mu_buf *out, const char *name, const char *value)
{
    mu_buf_putf(out, ",%s=\"", name);
    mu_agent_metrics_label(out, value);
    mu_buf_put_byte(out, '"');
}

/* ---- points in time ---- */

static const struct {
    const char *name, *help;
    size_t at;
} times[] = {
    {"muster_certificate_not_before_timestamp_seconds", "Begin of the certificate's validity.",
        offsetof(struct mu_agent_metrics_entry, not_before_s)},
    {"muster_certificate_not_after_timestamp_seconds", "End of the certificate's validity.",
        offsetof(struct mu_agent_metrics_entry, not_after_s)},
    {"muster_certificate_renewal_timestamp_seconds", "When the certificate becomes due; none: never.",
        offsetof(struct mu_agent_metrics_entry, renewal_s)},
    {"muster_certificate_last_attempt_timestamp_seconds", "End of the last enrollment or renewal, however it went.",
        offsetof(struct mu_agent_metrics_entry, attempt_s)},
    {"muster_certificate_last_success_timestamp_seconds", "When the last certificate came.",
        offsetof(struct mu_agent_metrics_entry, success_s)},
};

static void put_times(const struct mu_agent_metrics *m, struct mu_buf *out)
{
    for (size_t t = 0; t < sizeof times / sizeof times[0]; t++) {
        head(out, times[t].name, "gauge", times[t].help);
        for (size_t i = 0; i < m->n; i++) {
            const struct mu_agent_metrics_entry *e = m->v[i];
            int64_t at_s = *(const int64_t *)(const void *)((const char *)e + times[t].at);

            if (!e->is_known || at_s == 0)
                continue;
            begin(out, times[t].name, e);
            label(out, "ca", e->ca);
            mu_buf_putf(out, ",protocol=\"%s\"} %" PRId64 "\n", mu_proto_name(e->proto), at_s);
        }
    }
}

/* ---- state and tries ---- */

/* Time passes without anybody looking. */
static enum mu_agent_state state_now(const struct mu_agent_metrics_entry *e, int64_t now_s)
{
    bool was_fine = e->state == MU_AGENT_OK || e->state == MU_AGENT_DUE;

    if (was_fine && e->not_after_s != 0 && now_s > e->not_after_s)
        return MU_AGENT_EXPIRED;
    return e->state == MU_AGENT_OK && e->renewal_s != 0 && now_s >= e->renewal_s ? MU_AGENT_DUE : e->state;
}

static void put_states(const struct mu_agent_metrics *m, int64_t now_s, struct mu_buf *out)
{
    static const char state[] = "muster_certificate_state", failures[] = "muster_certificate_consecutive_failures";

    head(out, state, "gauge", "1 for the state that the certificate is in.");
    for (size_t i = 0; i < m->n; i++) {
        if (!m->v[i]->is_known)
            continue;
        begin(out, state, m->v[i]);
        mu_buf_putf(out, ",state=\"%s\"} 1\n", mu_agent_state_word(state_now(m->v[i], now_s)));
    }
    head(out, failures, "gauge", "Enrollments or renewals that failed in a row.");
    for (size_t i = 0; i < m->n; i++) {
        if (!m->v[i]->is_known)
            continue;
        begin(out, failures, m->v[i]);
        mu_buf_putf(out, "} %u\n", m->v[i]->failures);
    }
}

static void put_tries(const struct mu_agent_metrics *m, struct mu_buf *out)
{
    static const char name[] = "muster_enroll_attempts_total";

    head(out, name, "counter", "Enrollments and renewals by how they went, since the agent began.");
    for (size_t i = 0; i < m->n; i++) {
        const struct mu_agent_metrics_entry *e = m->v[i];

        for (size_t t = 0; t < MU_AGENT_METRICS_KINDS && e->tries[t].result != NULL; t++) {
            struct mu_err code = {.reason = e->tries[t].code};
            char text[8];

            begin(out, name, e);
            mu_buf_putf(out, ",protocol=\"%s\",result=\"%s\",code=\"%s\"} %lu\n", mu_proto_name(e->proto),
                e->tries[t].result, mu_err_code_text(&code, text), e->tries[t].n);
        }
    }
}

/* ---- where it is in use ---- */

static void put_deploy(const struct mu_agent_metrics *m, struct mu_buf *out)
{
    static const char match[] = "muster_certificate_deployed_match", hook[] = "muster_hook_last_exit_code";

    head(out, match, "gauge", "1: the service was seen presenting the certificate.");
    for (size_t i = 0; i < m->n; i++) {
        for (size_t d = 0; d < m->v[i]->deploy_n; d++) {
            if (!m->v[i]->deploy[d].is_endpoint)
                continue;
            begin(out, match, m->v[i]);
            label(out, "endpoint", m->v[i]->deploy[d].where);
            mu_buf_putf(out, "} %d\n", m->v[i]->deploy[d].match);
        }
    }
    head(out, hook, "gauge", "Exit code of the last run of a hook or recipe.");
    for (size_t i = 0; i < m->n; i++) {
        for (size_t d = 0; d < m->v[i]->deploy_n; d++) {
            if (m->v[i]->deploy[d].is_endpoint || m->v[i]->deploy[d].exit_code < 0)
                continue;
            begin(out, hook, m->v[i]);
            label(out, "hook", m->v[i]->deploy[d].where);
            mu_buf_putf(out, "} %d\n", m->v[i]->deploy[d].exit_code);
        }
    }
}

/* ---- CAs ---- */

/* A CA's clock is that of its latest answer. Few CAs, many entries: those that were told are marked by
 * their place in told. */
static void put_clocks(const struct mu_agent_metrics *m, struct mu_buf *out)
{
    enum { CAS = 64 };
    const struct mu_agent_metrics_entry *latest[CAS];
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        const struct mu_agent_metrics_entry *e = m->v[i];
        size_t c;

        if (!e->has_clock || e->ca[0] == '\0')
            continue;
        for (c = 0; c < n && strcmp(latest[c]->ca, e->ca) != 0; c++) {
        }
        if (c == n && n < CAS)
            latest[n++] = e;
        else if (c < n && e->clock_s > latest[c]->clock_s)
            latest[c] = e;
    }
    head(out, "muster_clock_skew_seconds", "gauge", "The CA's clock minus ours at its last answer.");
    for (size_t c = 0; c < n; c++) {
        mu_buf_put_str(out, "muster_clock_skew_seconds{ca=\"");
        mu_agent_metrics_label(out, latest[c]->ca);
        mu_buf_putf(out, "\"} %" PRId64 "\n", latest[c]->clock_difference_s);
    }
}

static void put_ca(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    mu_buf_putf(cookie, "muster_ca_not_after_timestamp_seconds{ca=\"%s\"} %" PRId64 "\n", name,
        cert->not_after_s);
}

enum mu_code mu_agent_metrics_text(struct mu_agent_metrics *m, struct mu_agent *agent, struct mu_buf *out,
    struct mu_err *err)
{
    enum mu_code rc;

    head(out, "muster_build_info", "gauge", "Version of the program.");
    mu_buf_put_str(out, "muster_build_info{version=\"" MUSTER_VERSION "\"} 1\n");
    put_times(m, out);
    put_states(m, mu_env_now(agent->env), out);
    put_tries(m, out);
    put_deploy(m, out);
    put_clocks(m, out);
    head(out, "muster_ca_not_after_timestamp_seconds", "gauge", "End of a trusted CA certificate.");
    if ((rc = mu_keystore_ca_each(agent->store, put_ca, out, err)) != MU_OK)
        return rc;
    return mu_buf_check(out, "metrics", err);
}
