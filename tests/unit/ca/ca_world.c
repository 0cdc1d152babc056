#include "ca_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_name.h"

struct mu_err ca_err;
struct mu_buf *ca_use_csr;

struct mu_pki_key *ca_key(enum ca_key which)
{
    static const struct mu_pki_key_spec specs[CA_KEY_N] = {[CA_KEY_A] = {MU_PKI_KEY_RSA, 2048},
        [CA_KEY_B] = {MU_PKI_KEY_RSA, 2048},
        [CA_KEY_WEAK] = {MU_PKI_KEY_RSA, 1024},
        [CA_KEY_EC] = {MU_PKI_KEY_EC, 256}};
    static struct mu_pki_key *keys[CA_KEY_N];

    if (keys[which] == NULL)
        ca_ok(mu_pki_key_generate(&specs[which], &keys[which], &ca_err));
    return keys[which];
}

/* ---- env ---- */

static int64_t world_now(void *ctx)
{
    return ((struct ca_world *)ctx)->now_s;
}

static bool world_random(void *ctx, uint8_t *p, size_t n)
{
    static uint64_t x = 88172645463325252u;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    while (n-- != 0) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *p++ = (uint8_t)(x >> 32);
    }
    pthread_mutex_unlock(&lock);
    return true;
}

static void world_trace(void *ctx, const struct mu_trace_event *event)
{
    struct ca_world *w = ctx;
    size_t n = strlen(w->reasons);

    if (event->step == MU_TRACE_CHECK && n + strlen(event->text) + 2 < sizeof w->reasons)
        snprintf(w->reasons + n, sizeof w->reasons - n, "%s\n", event->text);
}

static void world_event(void *cookie, const struct mu_record_audit *event)
{
    struct ca_world *w = cookie;

    if (strcmp(event->action, "request") == 0)
        return;
    w->events++;
    snprintf(w->action, sizeof w->action, "%s", event->action);
    snprintf(w->message, sizeof w->message, "%s", event->message);
    w->reason = event->reason;
}

static enum mu_code key_load(
    void *cookie, const char *ref, struct mu_pki_key **out, struct mu_err *err)
{
    struct ca_world *w = cookie;

    for (size_t i = 0; !w->keys_lost && i < w->key_n; i++) {
        if (strcmp(w->keys[i].ref, ref) == 0) {
            *out = mu_pki_key_ref(w->keys[i].key);
            return MU_OK;
        }
    }
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no key '%s'", ref);
}

static enum mu_code key_save(
    void *cookie, const char *ref, const struct mu_pki_key *key, struct mu_err *err)
{
    struct ca_world *w = cookie;

    assert_true(w->key_n < 16);
    snprintf(w->keys[w->key_n].ref, sizeof w->keys[0].ref, "%s", ref);
    w->keys[w->key_n++].key = mu_pki_key_ref((struct mu_pki_key *)(uintptr_t)key);
    return MU_OK;
}

/* ---- the world ---- */

void ca_world_restart(struct ca_world *w)
{
    mu_ca_free(w->ca);
    w->ca = NULL;
    ca_ok(mu_ca_new(&w->config, &w->ca, &ca_err));
}

void ca_world_open(struct ca_world *w, struct mu_store *store)
{
    memset(w, 0, sizeof *w);
    ca_use_csr = NULL;
    w->now_s = NOW;
    w->env = (struct mu_env){world_now, world_random, world_trace, w};
    w->path = "/app/cert/scep/";
    snprintf(w->peer.address, sizeof w->peer.address, "192.0.2.7");
    w->store = store;
    if (store == NULL)
        ca_ok(mu_store_memory_open(&w->store, &ca_err));
    w->config = (struct mu_ca_config){.store = w->store,
        .env = &w->env,
        .secret = mu_bytes_str("a key of 32 octets for the tests"),
        .key_load = key_load,
        .key_save = key_save,
        .key_cookie = w,
        .event = world_event,
        .event_cookie = w};
    ca_world_restart(w);
}

void ca_world_close(struct ca_world *w)
{
    struct mu_store_change last = {.now_s = w->now_s};

    (void)!mu_store_submit_wait(w->store, &last, NULL, NULL);
    mu_ca_free(w->ca);
    mu_store_close(w->store);
    mu_http_response_clear(&w->last);
    while (w->key_n != 0)
        mu_pki_key_free(w->keys[--w->key_n].key);
}

int ca_world_demo(void **state)
{
    static struct ca_world w;

    ca_world_open(&w, NULL);
    ca_ok(mu_ca_demo(w.ca, &ca_err));
    w.events = 0;
    *state = &w;
    return 0;
}

int ca_world_end(void **state)
{
    ca_world_close(*state);
    return 0;
}

/* ---- HTTP ---- */

struct exchange {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
    struct ca_world *w;
};

static void on_reply(void *cookie, struct mu_http_response *response)
{
    struct exchange *x = cookie;

    pthread_mutex_lock(&x->lock);
    assert_false(x->done); /* exactly once */
    mu_http_response_clear(&x->w->last);
    x->w->last = *response;
    x->w->last_status = response->status;
    x->done = true;
    pthread_cond_signal(&x->ready);
    pthread_mutex_unlock(&x->lock);
}

static int exchange(
    struct ca_world *w, const char *method, const char *target, struct mu_bytes body)
{
    struct exchange x = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, w};
    const struct mu_http_header headers[] = {
        {"User-Agent", "test\x01"},
        {"Content-Type",
            w->content_type != NULL ? w->content_type : "application/x-pki-message"}};
    const struct mu_http_request request = {.method = method,
        .target = target,
        .minor = 1,
        .headers = headers,
        .header_n = 2,
        .body = body,
        .peer = &w->peer};

    mu_ca_handle(w->ca, &request, on_reply, &x);
    pthread_mutex_lock(&x.lock);
    while (!x.done)
        pthread_cond_wait(&x.ready, &x.lock);
    pthread_mutex_unlock(&x.lock);
    return w->last_status;
}

int ca_get(struct ca_world *w, const char *target)
{
    return exchange(w, "GET", target, (struct mu_bytes){0});
}

int ca_post(struct ca_world *w, const char *target, struct mu_bytes body)
{
    return exchange(w, "POST", target, body);
}

/* ---- the client ---- */

static void put_wishes(const struct ca_client *what, struct mu_buf *out)
{
    struct mu_buf names = {0};
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    if (what->is_ca) {
        mu_pki_ext_put_basic(out, true, true, -1);
        mu_pki_ext_put_key_usage(out, true, MU_KU_KEY_CERT_SIGN | MU_KU_DIGITAL_SIGNATURE);
    }
    if (what->any_eku)
        mu_pki_ext_put_eku(out, MU_EKU_OCSP_SIGNING | MU_EKU_ANY | MU_EKU_CMC_RA | MU_EKU_EMAIL);
    if (what->san != NULL) {
        ca_ok(mu_pki_san_parse(what->san, &names, &ca_err));
        mu_pki_ext_put_san(out, false, mu_buf_bytes(&names));
    }
    if (what->template_name != NULL)
        mu_pki_ext_put_template_name(out, what->template_name);
    mu_der_close(out, mark);
    mu_buf_clear(&names);
}

void ca_csr(const struct ca_client *what, struct mu_buf *der)
{
    struct mu_buf subject = {0}, wishes = {0};
    struct mu_secret challenge = {0};
    struct mu_pki_csr_params params = {.challenge = &challenge};

    ca_ok(mu_pki_name_parse(
        what->subject != NULL ? what->subject : "/C=NL/O=Example/CN=device", &subject, &ca_err));
    put_wishes(what, &wishes);
    if (what->challenge != NULL)
        ca_ok(mu_secret_set(&challenge, mu_bytes_str(what->challenge), &ca_err));
    params.subject = mu_buf_bytes(&subject);
    if (wishes.n > 2)
        params.extensions = mu_buf_bytes(&wishes);
    ca_ok(mu_pki_csr_make(&params, ca_key(what->key), der, &ca_err));
    mu_secret_clear(&challenge);
    mu_buf_clear(&subject);
    mu_buf_clear(&wishes);
}

static enum mu_code send(struct ca_world *w, struct mu_scep_client *client, struct mu_step *step)
{
    const char *target = strstr(step->request.target, "://");
    struct mu_event event = {.type = MU_EVENT_RESPONSE};
    char *copy;
    enum mu_code rc;

    assert_non_null(target);
    target = strchr(target + 3, '/');
    copy = strdup(target);
    w->sends += strstr(copy, "PKIOperation") != NULL;
    exchange(w, step->request.method, copy, step->request.body);
    free(copy);
    event.response = &w->last;
    rc = mu_scep_client_step(client, &event, step, &ca_err);
    return rc;
}

static enum mu_code drive(struct ca_world *w, struct mu_scep_client *client)
{
    struct mu_step step = {0};
    struct mu_event event = {0};
    enum mu_code rc = mu_scep_client_start(client, &step, &ca_err);

    for (unsigned i = 0; rc == MU_OK && step.want != MU_WANT_DONE; i++) {
        assert_true(i < 100);
        switch (step.want) {
        case MU_WANT_SEND:
            rc = send(w, client, &step);
            continue;
        case MU_WANT_WAIT:
            w->now_s += step.wait_s;
            event = (struct mu_event){.type = MU_EVENT_TIME};
            break;
        case MU_WANT_TRUST:
            event = (struct mu_event){.type = MU_EVENT_TRUST, .yes = true};
            break;
        case MU_WANT_SAVE:
            event = (struct mu_event){.type = MU_EVENT_SAVED};
            break;
        default:
            fail_msg("the engine wants %d", (int)step.want);
        }
        rc = mu_scep_client_step(client, &event, &step, &ca_err);
    }
    return rc;
}

enum mu_code ca_run(struct ca_world *w, const struct ca_client *what, struct mu_pki_cert **cert,
    struct mu_scep_client_result *out, struct mu_scep_client **client)
{
    struct mu_buf csr = {0};
    char url[200];
    struct mu_scep_client_config config = {.env = &w->env,
        .op = what->op,
        .url = url,
        .entry = "test",
        .key = ca_key(what->key),
        .signer_cert = what->signer,
        .plain_pkcs_req = what->plain,
        .has_challenge = what->challenge != NULL,
        .serial = what->serial,
        .no_wait = !what->wait,
        .max_polls = 3,
        .await_s = 60,
        .transaction_id = what->transaction_id,
        .transaction_id_from_key = what->from_key,
        .encrypt_to = what->encrypt_to,
        .allow_legacy = what->legacy};
    struct mu_scep_client *made = NULL;
    struct mu_scep_client_result result;
    enum mu_code rc;

    snprintf(url, sizeof url, "http://ca.example%s", w->path);
    if (what->signer != NULL)
        config.signer_key = ca_key(what->signer_key);
    if (what->legacy) {
        config.digest = MU_PKI_SHA1;
        config.cipher = MU_PKI_DES3_CBC;
    }
    if (ca_use_csr == NULL)
        ca_csr(what, &csr);
    config.csr = mu_buf_bytes(ca_use_csr != NULL ? ca_use_csr : &csr);
    ca_ok(mu_scep_client_new(&config, &made, &ca_err));
    mu_buf_clear(&csr);
    w->reason = MU_REASON_NONE;
    w->reasons[0] = '\0';
    rc = drive(w, made);
    mu_scep_client_result(made, &result);
    if (cert != NULL)
        *cert = rc == MU_OK && result.cert != NULL ? mu_pki_cert_ref(result.cert) : NULL;
    if (out != NULL)
        *out = result;
    if (client != NULL)
        *client = made;
    else
        mu_scep_client_free(made);
    return rc;
}

enum mu_code ca_enroll(struct ca_world *w, const struct ca_client *what, struct mu_pki_cert **cert)
{
    struct ca_client copy = *what;

    copy.op = MU_SCEP_CLIENT_ENROLL;
    return ca_run(w, &copy, cert, NULL, NULL);
}

void ca_refused(
    struct ca_world *w, const struct ca_client *what, enum mu_reason reason, const char *words)
{
    enum mu_code rc = ca_enroll(w, what, NULL);

    assert_int_equal(rc, MU_DENIED);
    assert_string_equal(w->action, "refuse");
    if (w->reason != reason)
        fail_msg("refused for %d (%s) instead of %d", (int)w->reason, w->message, (int)reason);
    if (words != NULL && strstr(w->message, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", w->message, words);
}

struct found {
    const char *name;
    struct mu_buf text;
};

static bool find_profile(void *cookie, const struct mu_enroll_profile *profile)
{
    struct found *f = cookie;

    if (strcmp(profile->name, f->name) != 0)
        return true;
    mu_buf_put_str(&f->text, profile->text);
    return false;
}

void ca_profile(struct ca_world *w, const char *name, const char *settings)
{
    struct found f = {.name = name};

    mu_ca_profile_each(w->ca, find_profile, &f);
    mu_buf_put_str(&f.text, settings);
    ca_ok(mu_ca_profile_put(w->ca, name, mu_buf_str(&f.text), false, "test", &ca_err));
    mu_buf_clear(&f.text);
}

void ca_set(struct ca_world *w, const char *settings)
{
    struct mu_buf text = {0};

    mu_buf_putf(&text, "no-challenge = scep-manual\ndefault = yes\n%s", settings);
    ca_ok(mu_ca_set(w->ca, MU_CA_DEMO_NAME, mu_buf_str(&text), "test", &ca_err));
    mu_buf_clear(&text);
}

bool ca_subject_is(const struct mu_pki_cert *cert, const char *slash)
{
    struct mu_buf text = {0};
    bool same = mu_pki_name_format(cert->subject, MU_PKI_NAME_SLASH, &text)
        && strcmp(mu_buf_str(&text), slash) == 0;

    if (!same)
        print_message("subject is %s\n", mu_buf_str(&text));
    mu_buf_clear(&text);
    return same;
}
