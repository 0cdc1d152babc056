/*
 * Metrics to where [agent] metrics says: a text file for the node exporter, a socket or a loopback port for
 * a scraper. The text is made when it is asked for, and the file once a minute and after each event.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/musterd/daemon.h"
#include "cmd/musterd/daemon_log.h"
#include "cmd/musterd/daemon_process.h"
#include "http/http_url.h"

enum { PLACES = 4, TEXT_MAX = 64 << 20, FILE_SOON_MS = 2000 };

struct mu_daemon_metrics {
    struct mu_daemon_metrics *retired; /* stopped, and freed once the loop is over */
    struct mu_daemon *daemon;
    char *where;
    char *files[PLACES];
    size_t file_n;
    struct mu_daemon_serve *serves[PLACES];
    size_t serve_n;
    struct mu_loop_timer *timer;
    bool lost; /* told that a file cannot be written */
};

enum mu_code mu_daemon_metrics_text(void *ctx, struct mu_buf *out, struct mu_err *err)
{
    struct mu_daemon *d = ctx;
    enum mu_code rc;

    if (out->max < TEXT_MAX)
        out->max = TEXT_MAX;
    rc = mu_agent_metrics_look(d->certificates, &d->agent, MU_AGENT_METRICS_READS, err);
    return rc == MU_OK ? mu_agent_metrics_text(d->certificates, &d->agent, out, err) : rc;
}

/* ---- a scraper asks ---- */

static void on_request(void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply)
{
    struct mu_buf text = {.max = TEXT_MAX};
    struct mu_err err = {0};

    if (strcmp(request->method, "GET") != 0)
        mu_daemon_serve_text(reply, 405, "text/plain", mu_bytes_str("only GET /metrics\n"));
    else if (!mu_bytes_equal(mu_http_target_path(request->target), mu_bytes_str("/metrics")))
        mu_daemon_serve_text(reply, 404, "text/plain", mu_bytes_str("metrics are at /metrics\n"));
    else if (mu_daemon_metrics_text(cookie, &text, &err) != MU_OK)
        mu_daemon_serve_text(reply, 500, "text/plain", mu_bytes_str("the store cannot be read\n"));
    else
        mu_daemon_serve_text(reply, 200, "text/plain; version=0.0.4", mu_buf_bytes(&text));
    mu_buf_clear(&text);
}

/* ---- the file ---- */

static void files_write(struct mu_daemon_metrics *m)
{
    struct mu_buf text = {.max = TEXT_MAX};
    struct mu_err err = {0};
    enum mu_code rc = mu_daemon_metrics_text(m->daemon, &text, &err);

    for (size_t i = 0; rc == MU_OK && i < m->file_n; i++)
        rc = mu_keystore_file_write(m->files[i], 0644, mu_buf_bytes(&text), &err);
    if (rc != MU_OK && !m->lost)
        mu_daemon_log_error("metrics", &err);
    m->lost = rc != MU_OK;
    mu_buf_clear(&text);
}

static void on_time(void *cookie)
{
    struct mu_daemon_metrics *m = cookie;

    mu_loop_timer_free(m->daemon->loop, m->timer);
    m->timer = NULL;
    files_write(m);
}

/* Many events at a time are one file. */
void mu_daemon_metrics_touch(struct mu_daemon *d)
{
    struct mu_daemon_metrics *m = d->metrics;

    if (m != NULL && m->file_n > 0 && m->timer == NULL)
        m->timer = mu_loop_after(d->loop, FILE_SOON_MS, on_time, m);
}

/* ---- places ---- */

static enum mu_code serve_open(struct mu_daemon_metrics *m, const char *address, uint16_t port, struct mu_err *err)
{
    const struct mu_daemon_serve_config config = {
        .address = address, .port = port, .unix_mode = 0666, .call = on_request, .cookie = m->daemon};
    enum mu_code rc;

    if (mu_text_starts(address, "unix:")
        && (rc = mu_daemon_process_directory(address + 5, err)) != MU_OK)
        return rc;
    rc = mu_daemon_serve_open(&config, m->daemon->loop, &m->daemon->env, &m->serves[m->serve_n], NULL, err);
    if (rc != MU_OK)
        return rc;
    m->serve_n++;
    return MU_OK;
}

static enum mu_code port_open(struct mu_daemon_metrics *m, const char *word, struct mu_err *err)
{
    const char *colon = strrchr(word, ':');
    char host[32];
    int64_t port;
    enum mu_code rc;

    if ((rc = mu_text_int(colon + 1, 0, 65535, &port, err)) != MU_OK)
        return rc;
    snprintf(host, sizeof host, "%.*s", (int)(colon - word), word);
    if (strcmp(host, "[::1]") == 0)
        snprintf(host, sizeof host, "::1");
    else if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    return serve_open(m, host, (uint16_t)port, err);
}

static bool is_loopback(const char *word)
{
    return mu_text_starts(word, "127.0.0.1:") || mu_text_starts(word, "[::1]:")
        || mu_text_starts(word, "localhost:");
}

static enum mu_code place_open(struct mu_daemon_metrics *m, const char *word, struct mu_err *err)
{
    char shown[80];

    if (strcmp(word, "off") == 0)
        return MU_OK;
    if (m->file_n == PLACES || m->serve_n == PLACES)
        return mu_err_set(err, MU_INPUT, MU_M(706), "metrics: more than %d places", PLACES);
    if (mu_text_starts(word, "textfile:/"))
        return mu_text_dup(word + 9, &m->files[m->file_n++], err);
    if (mu_text_starts(word, "unix:/"))
        return serve_open(m, word, 0, err);
    if (is_loopback(word))
        return port_open(m, word, err);
    return mu_err_set(err, MU_INPUT, MU_M(706),
        "metrics: '%s' is none of textfile:PATH, unix:PATH, 127.0.0.1:PORT, off",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
}

static void stop(struct mu_daemon_metrics *m)
{
    mu_loop_timer_free(m->daemon->loop, m->timer);
    m->timer = NULL;
    for (size_t i = 0; i < m->serve_n; i++)
        mu_daemon_serve_stop(m->serves[i]);
}

static void metrics_free(struct mu_daemon_metrics *m)
{
    for (size_t i = 0; i < m->serve_n; i++)
        mu_daemon_serve_free(m->serves[i]);
    for (size_t i = 0; i < m->file_n; i++)
        free(m->files[i]);
    free(m->where);
    free(m);
}

static enum mu_code places_open(struct mu_daemon_metrics *m, struct mu_err *err)
{
    char *copy = NULL, *rest = NULL, *word;
    enum mu_code rc = mu_text_dup(m->where, &copy, err);

    for (word = rc == MU_OK ? strtok_r(copy, ", ", &rest) : NULL; rc == MU_OK && word != NULL;
         word = strtok_r(NULL, ", ", &rest))
        rc = place_open(m, word, err);
    free(copy);
    return rc;
}

static enum mu_code metrics_new(
    struct mu_daemon *d, const char *where, struct mu_daemon_metrics **out, struct mu_err *err)
{
    struct mu_daemon_metrics *m = calloc(1, sizeof *m);
    enum mu_code rc;

    if (m == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    m->daemon = d;
    if ((rc = mu_text_dup(where, &m->where, err)) == MU_OK)
        rc = places_open(m, err);
    *out = m;
    return rc;
}

enum mu_code mu_daemon_metrics_config(struct mu_daemon *d, const char *where, struct mu_err *err)
{
    struct mu_daemon_metrics *m = NULL, *old = d->metrics;
    enum mu_code rc;

    where = where != NULL ? where : "off";
    if (old != NULL && strcmp(old->where, where) == 0)
        return MU_OK;
    rc = metrics_new(d, where, &m, err);
    if (rc == MU_BUSY && old != NULL) { /* the same port in another list: ours has it */
        stop(old);
        stop(m);
        m->retired = old->retired;
        old->retired = m;
        rc = metrics_new(d, where, &m, err);
    }
    if (m == NULL)
        return rc;
    if (rc != MU_OK)
        stop(m);
    else if (old != NULL)
        stop(old);
    if (rc == MU_OK || old == NULL) {
        m->retired = old;
        d->metrics = m;
    } else {
        m->retired = old->retired;
        old->retired = m;
    }
    mu_daemon_metrics_touch(d);
    return rc;
}

void mu_daemon_metrics_stop(struct mu_daemon *d)
{
    if (d->metrics != NULL)
        stop(d->metrics);
}

void mu_daemon_metrics_free(struct mu_daemon *d)
{
    struct mu_daemon_metrics *m, *next;

    for (m = d->metrics; m != NULL; m = next) {
        next = m->retired;
        metrics_free(m);
    }
    d->metrics = NULL;
}
