/* What is kept of each entry for the metrics: read in turn, counted by events. */
#include "agent/agent_metrics_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_entry.h"
#include "agent/agent_status.h"

enum mu_code mu_agent_metrics_new(struct mu_agent_metrics **out, struct mu_err *err)
{
    if ((*out = calloc(1, sizeof **out)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for metrics");
    return MU_OK;
}

static void entry_free(struct mu_agent_metrics_entry *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->deploy_n; i++)
        free(e->deploy[i].where);
    free(e->deploy);
    free(e);
}

void mu_agent_metrics_free(struct mu_agent_metrics *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n; i++)
        entry_free(m->v[i]);
    free(m->v);
    free(m);
}

/* ---- the list, in the order of names ---- */

static int by_name(const void *name, const void *element)
{
    const struct mu_agent_metrics_entry *const *e = element;

    return strcmp(name, (*e)->name);
}

static struct mu_agent_metrics_entry *find(struct mu_agent_metrics *m, const char *name)
{
    struct mu_agent_metrics_entry **e
        = m->n > 0 ? bsearch(name, m->v, m->n, sizeof *m->v, by_name) : NULL;

    return e != NULL ? *e : NULL;
}

static struct mu_agent_metrics_entry *entry_new(const char *name)
{
    struct mu_agent_metrics_entry *e = calloc(1, sizeof *e);

    if (e != NULL) {
        snprintf(e->name, sizeof e->name, "%s", name);
        e->is_dirty = true;
    }
    return e;
}

struct merge {
    struct mu_agent_metrics *m;
    struct mu_agent_metrics_entry **v;
    size_t n, cap, at; /* at: in the old list */
    bool failed;
};

/* Names come sorted; of the old list those that are not named are gone. */
static void take_name(void *cookie, const char *name)
{
    struct merge *g = cookie;
    struct mu_agent_metrics *m = g->m;

    if (g->failed)
        return;
    if (g->n == g->cap) {
        size_t cap = g->cap > 0 ? 2 * g->cap : m->n + 16;
        struct mu_agent_metrics_entry **more = realloc(g->v, cap * sizeof(struct mu_agent_metrics_entry *));

        if (more == NULL) {
            g->failed = true;
            return;
        }
        g->v = more;
        g->cap = cap;
    }
    while (g->at < m->n && strcmp(m->v[g->at]->name, name) < 0)
        entry_free(m->v[g->at++]);
    if (g->at < m->n && strcmp(m->v[g->at]->name, name) == 0)
        g->v[g->n++] = m->v[g->at++];
    else if ((g->v[g->n] = entry_new(name)) != NULL)
        g->n++;
}

static enum mu_code names_take(struct mu_agent_metrics *m, struct mu_agent *agent, struct mu_err *err)
{
    struct merge g = {.m = m};
    enum mu_code rc = mu_agent_entry_each(agent, take_name, &g, err);

    for (; g.at < m->n; g.at++)
        entry_free(m->v[g.at]);
    free(m->v);
    m->v = g.v;
    m->n = g.n;
    if (rc == MU_OK && g.failed)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for metrics");
    return rc;
}

/* ---- one entry ---- */

static void deploy_take(struct mu_agent_metrics_entry *e, const struct mu_agent_facts *f)
{
    for (size_t i = 0; i < e->deploy_n; i++)
        free(e->deploy[i].where);
    free(e->deploy);
    e->deploy_n = 0;
    e->deploy = f->deploy_n > 0 ? calloc(f->deploy_n, sizeof *e->deploy) : NULL;
    for (size_t i = 0; e->deploy != NULL && i < f->deploy_n; i++) {
        const struct mu_agent_facts_deploy *d = &f->deploy[i];
        const char *where = d->endpoint != NULL ? d->endpoint : d->recipe;

        e->deploy[e->deploy_n++] = (struct mu_agent_metrics_deploy){
            .where = strdup(where != NULL ? where : ""), .is_endpoint = d->endpoint != NULL,
            .match = d->match, .exit_code = d->exit_code};
    }
}

/* Where no CA is named, the server that is asked stands for it. */
static void ca_take(struct mu_agent_metrics_entry *e, const struct mu_agent_facts *f)
{
    const char *host = f->url != NULL ? strstr(f->url, "://") : NULL;

    if (f->ca != NULL)
        snprintf(e->ca, sizeof e->ca, "%s", f->ca);
    else if (host != NULL)
        snprintf(e->ca, sizeof e->ca, "%.*s", (int)strcspn(host + 3, "/?"), host + 3);
    else
        e->ca[0] = '\0';
}

static void read_one(struct mu_agent_metrics_entry *e, struct mu_agent *agent)
{
    struct mu_agent_facts f = {0};
    bool good;

    mu_agent_show_or_failed(agent, e->name, &f);
    good = f.last_result != NULL && (strcmp(f.last_result, "issued") == 0 || strcmp(f.last_result, "renewed") == 0);
    ca_take(e, &f);
    e->proto = f.proto;
    e->state = f.state;
    e->not_before_s = f.serial != NULL ? f.not_before_s : 0;
    e->not_after_s = f.serial != NULL ? f.not_after_s : 0;
    e->renewal_s = f.renew_from_s;
    e->attempt_s = f.last_s;
    e->success_s = good ? f.last_s : f.issued_s != 0 ? f.issued_s : e->not_before_s;
    e->failures = f.attempts;
    e->has_clock = f.has_clock;
    e->clock_difference_s = f.clock_difference_s;
    e->clock_s = f.last_s;
    deploy_take(e, &f);
    e->is_dirty = false;
    e->is_known = true;
    mu_agent_facts_clear(&f);
}

enum mu_code mu_agent_metrics_look(
    struct mu_agent_metrics *m, struct mu_agent *agent, size_t reads, struct mu_err *err)
{
    enum mu_code rc = names_take(m, agent, err);
    size_t left = reads > 0 ? reads : SIZE_MAX;

    if (rc != MU_OK)
        return rc;
    for (size_t i = 0; i < m->n && left > 0; i++) {
        if (!m->v[i]->is_dirty)
            continue;
        read_one(m->v[i], agent);
        left--;
    }
    for (size_t i = 0; reads > 0 && i < m->n && left > 0; i++, left--) {
        m->turn = m->turn + 1 < m->n ? m->turn + 1 : 0;
        read_one(m->v[m->turn], agent);
    }
    return MU_OK;
}

void mu_agent_metrics_touch(struct mu_agent_metrics *m, const char *name)
{
    for (size_t i = 0; name == NULL && i < m->n; i++)
        m->v[i]->is_dirty = true;
    if (name != NULL) {
        struct mu_agent_metrics_entry *e = find(m, name);

        if (e != NULL)
            e->is_dirty = true;
    }
}

/* ---- counting ---- */

static const char *result_of(const struct mu_agent_event *event)
{
    switch (event->kind) {
    case MU_AGENT_EVENT_SIGNED:
        return "issued";
    case MU_AGENT_EVENT_PENDING:
        return "pending";
    case MU_AGENT_EVENT_CONNECT_FAILED:
        return "unreached";
    case MU_AGENT_EVENT_SIGN_FAILED:
        return "refused";
    default:
        return NULL;
    }
}

/* The last slot takes what is one kind of failure too many. */
static void count(struct mu_agent_metrics_entry *e, const char *result, enum mu_reason code)
{
    size_t i;

    for (i = 0; i + 1 < MU_AGENT_METRICS_KINDS && e->tries[i].result != NULL; i++)
        if (e->tries[i].result == result && e->tries[i].code == code)
            break;
    if (e->tries[i].result == NULL) {
        e->tries[i].result = result;
        e->tries[i].code = code;
    }
    e->tries[i].n++;
}

/* A name that is not known yet comes with the next look; its first attempt must not be lost. */
static struct mu_agent_metrics_entry *insert(struct mu_agent_metrics *m, const char *name)
{
    struct mu_agent_metrics_entry *e = entry_new(name), **more;
    size_t i = m->n;

    if (e == NULL || (more = realloc(m->v, (m->n + 1) * sizeof(struct mu_agent_metrics_entry *))) == NULL) {
        free(e);
        return NULL;
    }
    m->v = more;
    for (; i > 0 && strcmp(m->v[i - 1]->name, name) > 0; i--)
        m->v[i] = m->v[i - 1];
    m->v[i] = e;
    m->n++;
    return e;
}

void mu_agent_metrics_event(struct mu_agent_metrics *m, const struct mu_agent_event *event)
{
    const char *result = result_of(event);
    struct mu_agent_metrics_entry *e;

    if (event->name == NULL)
        return;
    if ((e = find(m, event->name)) == NULL && (e = insert(m, event->name)) == NULL)
        return;
    e->is_dirty = true;
    if (result != NULL)
        count(e, result, event->code);
}
