/* The service: what it holds, its configuration's replacement, requests by their path. */
#include "ca/ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"
#include "ca/ca_internal.h"
#include "proto/est/est_server.h"
#include "proto/scep/scep_http.h"

enum mu_code mu_ca_new(const struct mu_ca_config *config, struct mu_ca **out, struct mu_err *err)
{
    struct mu_ca *ca = NULL;
    enum mu_code rc = MU_OK;

    if (config->secret.n < 16)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the key of the challenge hashes is shorter than 16 octets");
    if ((ca = calloc(1, sizeof *ca)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CA");
    ca->config = *config;
    ca->config.secret = (struct mu_bytes){0};
    pthread_mutex_init(&ca->lock, NULL);
    pthread_mutex_init(&ca->reload_lock, NULL);
    pthread_mutex_init(&ca->admin_lock, NULL);
    ca->rate = mu_ca_rate_new(config->rate_burst, config->rate_per_s, config->password_attempts);
    ca->mac = mu_ca_mac_new();
    if (ca->rate == NULL || ca->mac == NULL)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a CA");
    else if ((rc = mu_secret_set(&ca->secret, config->secret, err)) == MU_OK
        && !mu_pki_hmac_sha256(config->secret, mu_bytes_str("est digest nonce"), ca->nonce_key))
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "HMAC-SHA-256 failed");
    if (rc == MU_OK)
        rc = mu_pki_seal_key(config->secret, "muster ca: sealed secrets", ca->seal_key, err);
    if (rc == MU_OK)
        rc = mu_ca_snapshot_load(&ca->config, &ca->snapshot, err);
    if (rc != MU_OK) {
        mu_ca_free(ca);
        return rc;
    }
    *out = ca;
    return MU_OK;
}

void mu_ca_free(struct mu_ca *ca)
{
    if (ca == NULL)
        return;
    mu_ca_snapshot_free(ca->snapshot);
    mu_ca_rate_free(ca->rate);
    mu_ca_mac_free(ca->mac);
    mu_secret_clear(&ca->secret);
    mu_bytes_wipe(ca->seal_key, sizeof ca->seal_key);
    mu_bytes_wipe(ca->nonce_key, sizeof ca->nonce_key);
    pthread_mutex_destroy(&ca->lock);
    pthread_mutex_destroy(&ca->reload_lock);
    pthread_mutex_destroy(&ca->admin_lock);
    free(ca);
}

enum mu_code mu_ca_reload(struct mu_ca *ca, struct mu_err *err)
{
    struct mu_ca_snapshot *fresh = NULL, *old = NULL;
    enum mu_code rc;

    pthread_mutex_lock(&ca->reload_lock);
    if ((rc = mu_ca_snapshot_load(&ca->config, &fresh, err)) == MU_OK) {
        pthread_mutex_lock(&ca->lock);
        old = ca->snapshot;
        ca->snapshot = fresh;
        pthread_mutex_unlock(&ca->lock);
    }
    pthread_mutex_unlock(&ca->reload_lock);
    mu_ca_snapshot_free(old);
    return rc;
}

struct mu_ca_snapshot *mu_ca_snapshot_get(struct mu_ca *ca)
{
    struct mu_ca_snapshot *s;

    pthread_mutex_lock(&ca->lock);
    s = ca->snapshot;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&ca->lock);
    return s;
}

bool mu_ca_password_hash(const struct mu_ca *ca, struct mu_bytes password, uint8_t out[32])
{
    return mu_pki_hmac_sha256(mu_secret_bytes(&ca->secret), password, out);
}

void mu_ca_tell(struct mu_ca *ca, const struct mu_record_audit *event)
{
    if (ca->config.event != NULL)
        ca->config.event(ca->config.event_cookie, event);
}

enum mu_code mu_ca_change(struct mu_ca *ca, struct mu_store_change *change, bool reload,
    const char *action, const char *operator, struct mu_err * err, const char *fmt, ...)
{
    char message[768];
    struct mu_record_audit audit = {.action = action,
        .success = true,
        .message = message,
        .entry = change->entry != NULL ? change->entry->name : "",
        .profile = change->profile != NULL ? change->profile->name : "",
        .ca = change->ca != NULL        ? change->ca->name
            : change->revoke_ca != NULL ? change->revoke_ca
                                        : "",
        .serial = change->revoke_serial,
        .address = operator};
    va_list args;
    enum mu_code rc;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    change->now_s = audit.time_s = mu_env_now(ca->config.env);
    change->audit = &audit;
    change->audit_n = 1;
    rc = mu_store_submit_wait(ca->config.store, change, NULL, err);
    change->audit = NULL;
    change->audit_n = 0;
    if (rc != MU_OK)
        return rc;
    mu_ca_tell(ca, &audit);
    return reload ? mu_ca_reload(ca, err) : MU_OK;
}

void mu_ca_stats(struct mu_ca *ca, struct mu_ca_stats *out)
{
    out->requests = atomic_load(&ca->stats.requests);
    out->issued = atomic_load(&ca->stats.issued);
    out->renewed = atomic_load(&ca->stats.renewed);
    out->pending = atomic_load(&ca->stats.pending);
    out->refused = atomic_load(&ca->stats.refused);
    out->rate_limited = atomic_load(&ca->stats.rate_limited);
    out->resent = atomic_load(&ca->stats.resent);
    for (size_t i = 0; i < sizeof out->refused_by / sizeof out->refused_by[0]; i++)
        out->refused_by[i] = atomic_load(&ca->stats.refused_by[i]);
}

/* ---- requests ---- */

void mu_ca_answer(struct mu_http_response *response, mu_ca_reply *reply, void *cookie)
{
    static const struct mu_http_header common[] = {
        {"X-XSS-Protection", "1; mode=block"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "strict-origin-when-cross-origin"},
        {"Permissions-Policy", "fullscreen=(self)"},
    };

    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (mu_http_header_get(response->headers, response->header_n, common[i].name) == NULL
            && mu_http_response_add(response, common[i].name, common[i].value, NULL) != MU_OK)
            break;
    reply(cookie, response);
}

void mu_ca_answer_text(int status, const char *text, mu_ca_reply *reply, void *cookie)
{
    struct mu_http_response response = {0};

    if (mu_http_response_set(&response, status, "text/plain", mu_bytes_str(text), NULL) != MU_OK)
        response.status = status;
    mu_ca_answer(&response, reply, cookie);
}

/* "/crl/NAME.crl" to NAME. */
static bool file_name(struct mu_bytes path, const char *prefix, const char *suffix, char out[72])
{
    size_t before = strlen(prefix), behind = strlen(suffix);

    if (path.n <= before + behind || path.n - before - behind >= 72
        || memcmp(path.p, prefix, before) != 0
        || memcmp(path.p + path.n - behind, suffix, behind) != 0)
        return false;
    memcpy(out, path.p + before, path.n - before - behind);
    out[path.n - before - behind] = '\0';
    return mu_text_is_entry_name(out);
}

static void answer_crl(struct mu_ca *ca, const char *name, mu_ca_reply *reply, void *cookie)
{
    struct mu_http_response response = {0};
    struct mu_record_crl facts = {0};
    struct mu_buf der = {.max = 64 << 20};
    char when[MU_TIME_TEXT];

    mu_ca_crl_refresh(ca);
    if (mu_ca_crl_read(ca, name, &der, &facts, NULL) != MU_OK) {
        mu_buf_clear(&der);
        mu_ca_answer_text(404, "There is no revocation list of this name.\n", reply, cookie);
        return;
    }
    if (mu_http_response_set(&response, 200, "application/pkix-crl", mu_buf_bytes(&der), NULL)
            != MU_OK
        || mu_http_response_add(
               &response, "Last-Modified", mu_time_http(facts.this_update_s, when), NULL)
            != MU_OK
        || mu_http_response_add(&response, "Expires", mu_time_http(facts.next_update_s, when), NULL)
            != MU_OK)
        response.status = 500;
    mu_buf_clear(&der);
    mu_ca_answer(&response, reply, cookie);
}

static void answer_cert(
    struct mu_ca_snapshot *s, const char *name, mu_ca_reply *reply, void *cookie)
{
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_http_response response = {0};

    if (one == NULL) {
        mu_ca_answer_text(404, "There is no CA of this name.\n", reply, cookie);
        return;
    }
    if (mu_http_response_set(&response, 200, "application/pkix-cert", one->ca.certs.v[0]->der, NULL)
        != MU_OK)
        response.status = 500;
    mu_ca_answer(&response, reply, cookie);
}

static bool is_below(struct mu_bytes path, const char *prefix)
{
    size_t n = strlen(prefix);

    return path.n >= n && memcmp(path.p, prefix, n) == 0 && (path.n == n || path.p[n] == '/');
}

static bool is_scep(const struct mu_http_request *request, struct mu_bytes path)
{
    return is_below(path, "/scep") || is_below(path, "/app/cert/scep")
        || is_below(path, "/cgi-bin/pkiclient.exe") || mu_scep_http_is(request);
}

static bool is_est(const struct mu_http_request *request, struct mu_bytes path)
{
    return mu_est_server_is(request);
}

/* What is served where: the first row that is asked for takes the request. */
static const struct service {
    enum mu_proto proto;
    const char *name, *where;
    bool (*is)(const struct mu_http_request *request, struct mu_bytes path);
    void (*serve)(struct mu_ca *ca, struct mu_ca_snapshot *snapshot,
        const struct mu_http_request *request, mu_ca_reply *reply, void *cookie);
} services[] = {
    {MU_PROTO_EST, "EST", "/.well-known/est (https)", is_est, mu_ca_est},
    {MU_PROTO_CMP, "CMP", "/.well-known/cmp", mu_ca_cmp_is, mu_ca_cmp},
    {MU_PROTO_SCEP, "SCEP", "/scep", is_scep, mu_ca_scep},
};
enum { SERVICE_N = sizeof services / sizeof services[0] };

static void answer_nothing(const struct mu_ca_snapshot *s, mu_ca_reply *reply, void *cookie)
{
    char text[160] = "There is nothing here.";
    size_t n = strlen(text);

    for (size_t i = 0; i < SERVICE_N; i++)
        if (!s->off[services[i].proto] && n < sizeof text)
            n += (size_t)snprintf(
                text + n, sizeof text - n, " %s is at %s.", services[i].name, services[i].where);
    strncat(text, "\n", sizeof text - strlen(text) - 1);
    mu_ca_answer_text(404, text, reply, cookie);
}

void mu_ca_handle(
    struct mu_ca *ca, const struct mu_http_request *request, mu_ca_reply *reply, void *cookie)
{
    struct mu_bytes path = mu_http_target_path(request->target);
    struct mu_ca_snapshot *s;
    char name[72];

    atomic_fetch_add(&ca->stats.requests, 1);
    s = mu_ca_snapshot_get(ca);
    for (size_t i = 0; i < SERVICE_N; i++) {
        if (services[i].is(request, path)) {
            services[i].serve(ca, s, request, reply, cookie);
            return;
        }
    }
    if (strcmp(request->method, "GET") == 0 && file_name(path, "/crl/", ".crl", name))
        answer_crl(ca, name, reply, cookie);
    else if (strcmp(request->method, "GET") == 0 && file_name(path, "/ca/", ".crt", name))
        answer_cert(s, name, reply, cookie);
    else
        answer_nothing(s, reply, cookie);
    mu_ca_snapshot_free(s);
}
