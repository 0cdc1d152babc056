/* The operator's requests, JSON in and JSON out, over the memory store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "fake_loop.h"
#include "web/ca/web_ca.h"

enum { MAX_KEYS = 8 };

struct fixture {
    struct mu_loop *loop;
    struct mu_store *store;
    struct mu_ca *ca;
    struct mu_web_ca web;
    struct mu_kit_router router;
    char *ref[MAX_KEYS];
    struct mu_pki_key *key[MAX_KEYS];
    size_t key_n;
};

static enum mu_code key_save(
    void *cookie, const char *ref, const struct mu_pki_key *key, struct mu_err *err)
{
    struct fixture *f = cookie;

    assert_true(f->key_n < MAX_KEYS);
    f->ref[f->key_n] = strdup(ref);
    f->key[f->key_n++] = mu_pki_key_ref((struct mu_pki_key *)(uintptr_t)key);
    return MU_OK;
}

static enum mu_code key_load(
    void *cookie, const char *ref, struct mu_pki_key **out, struct mu_err *err)
{
    struct fixture *f = cookie;

    for (size_t i = 0; i < f->key_n; i++)
        if (strcmp(f->ref[i], ref) == 0) {
            *out = mu_pki_key_ref(f->key[i]);
            return MU_OK;
        }
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "no key '%s'", ref);
}

static int setup(void **state)
{
    static const uint8_t secret[32] = {1, 2, 3};
    struct fixture *f = calloc(1, sizeof *f);

    f->loop = mu_fake_loop_new();
    assert_int_equal(mu_store_memory_open(&f->store, NULL), MU_OK);
    const struct mu_ca_config config = {.store = f->store,
        .env = mu_fake_loop_env(f->loop),
        .secret = mu_bytes(secret, sizeof secret),
        .key_load = key_load,
        .key_save = key_save,
        .key_cookie = f};
    assert_int_equal(mu_ca_new(&config, &f->ca, NULL), MU_OK);
    f->web = (struct mu_web_ca){.ca = f->ca, .env = config.env};
    f->router = (struct mu_kit_router){.routes = mu_web_ca_routes, .context = &f->web};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mu_ca_free(f->ca);
    mu_store_close(f->store);
    mu_fake_loop_free(f->loop);
    for (size_t i = 0; i < f->key_n; i++) {
        free(f->ref[i]);
        mu_pki_key_free(f->key[i]);
    }
    free(f);
    return 0;
}

struct seen {
    unsigned times;
    int status;
    json_t *body;
};

static void done(void *cookie, struct mu_http_response *response)
{
    struct seen *s = cookie;

    s->times++;
    s->status = response->status;
    s->body = json_loadb((const char *)response->body.p, response->body.n, 0, NULL);
}

/* The answer's object, which must be there and have this status. */
static json_t *ask(
    struct fixture *f, int status, const char *method, const char *target, const char *body)
{
    const struct mu_http_peer peer = {.is_unix = true, .uid = 0};
    struct mu_http_request request = {
        .method = method, .target = target, .minor = 1, .body = mu_bytes_str(body), .peer = &peer};
    struct seen s = {0};

    mu_kit_dispatch(&f->router, &request, done, &s);
    assert_int_equal(s.times, 1);
    assert_non_null(s.body);
    if (s.status != status) {
        char *text = json_dumps(s.body, 0);

        fail_msg("%s %s: %d %s", method, target, s.status, text);
    }
    assert_string_equal(json_string_value(json_object_get(s.body, "schema")), "muster/1");
    return s.body;
}

static void ask_drop(
    struct fixture *f, int status, const char *method, const char *target, const char *body)
{
    json_decref(ask(f, status, method, target, body));
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s != NULL ? s : "(null)";
}

static const char *error_of(const json_t *o)
{
    return text_of(json_object_get(o, "error"), "what");
}

static void make_ca(struct fixture *f)
{
    ask_drop(f, 200, "POST", "/v1/ca",
        "{\"name\":\"ca\",\"root_subject\":\"/CN=Root\",\"root_key\":\"ec:P-256\","
        "\"issuing_subject\":\"/CN=Issuing\",\"issuing_key\":\"ec:P-256\"}");
}

static void a_ca_is_made_and_shown(void **state)
{
    struct fixture *f = *state;
    const json_t *ca, *root;
    json_t *out;

    make_ca(f);
    out = ask(f, 200, "GET", "/v1/ca", "");
    ca = json_array_get(json_object_get(out, "cas"), 0);
    assert_string_equal(text_of(ca, "name"), "ca");
    assert_true(json_is_true(json_object_get(ca, "ready")));
    assert_int_equal(json_array_size(json_object_get(ca, "chain")), 2);
    assert_int_equal(json_array_size(json_object_get(ca, "ra")), 1);
    root = json_array_get(json_object_get(ca, "chain"), 1);
    assert_string_equal(text_of(root, "subject"), "CN=Root");
    assert_string_equal(text_of(root, "key"), "EC P-256");
    assert_int_equal(strlen(text_of(root, "sha256")), 32 * 3 - 1); /* D4 */
    assert_string_equal(text_of(json_array_get(json_object_get(ca, "ra"), 0), "key"), "RSA 2048");
    assert_string_equal(text_of(out, "time"), "2024-11-21T11:52:11Z");
    json_decref(out);
    out = ask(f, 200, "GET", "/v1/ca/ca", "");
    root = json_array_get(json_object_get(json_object_get(out, "ca"), "chain"), 1);
    assert_non_null(strstr(text_of(root, "pem"), "-----BEGIN CERTIFICATE-----"));
    json_decref(out);
    ask_drop(f, 404, "GET", "/v1/ca/other", "");
    out = ask(f, 400, "POST", "/v1/ca", "{\"name\":\"x\",\"root_subjekt\":\"/CN=Root\"}");
    assert_non_null(strstr(error_of(out), "root_subjekt"));
    json_decref(out);
}

static void a_password_is_handed_over_once(void **state) /* D1 */
{
    struct fixture *f = *state;
    char *text, password[128];
    json_t *out;

    make_ca(f);
    out = ask(f, 200, "POST", "/v1/entries", "{\"name\":\"e1\",\"profile\":\"default\"}");
    snprintf(password, sizeof password, "%s", text_of(out, "password"));
    assert_true(strlen(password) >= 22); /* 128 bits */
    assert_string_equal(text_of(json_object_get(out, "entry"), "password"), "*");
    assert_true(json_is_true(json_object_get(json_object_get(out, "entry"), "once")));
    json_decref(out);
    static const char *const later[] = {"/v1/entries", "/v1/entries/e1", "/v1/log"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        out = ask(f, 200, "GET", later[i], "");
        text = json_dumps(out, 0);
        assert_null(strstr(text, password));
        free(text);
        json_decref(out);
    }
    out = ask(f, 200, "POST", "/v1/entries/e1/passwd", "");
    assert_string_not_equal(text_of(out, "password"), password);
    json_decref(out);
}

static void a_given_password_is_never_echoed(void **state) /* D1 */
{
    struct fixture *f = *state;
    char *text;
    json_t *out;

    make_ca(f);
    out = ask(f, 200, "POST", "/v1/entries",
        "{\"name\":\"e1\",\"password\":\"my own words\",\"once\":false}");
    text = json_dumps(out, 0);
    assert_null(strstr(text, "my own words"));
    free(text);
    assert_true(json_is_null(json_object_get(out, "password")));
    json_decref(out);
    out = ask(f, 400, "POST", "/v1/entries", "{\"name\":\"e2\",\"password\":\"\"}");
    assert_non_null(strstr(error_of(out), "empty"));
    json_decref(out);
}

static void entries_are_changed(void **state)
{
    struct fixture *f = *state;
    json_t *out;

    make_ca(f);
    ask_drop(f, 200, "POST", "/v1/entries", "{\"name\":\"e1\",\"protocols\":\"scep, est\"}");
    ask_drop(f, 200, "POST", "/v1/entries/e1/disable", "");
    out = ask(f, 200, "GET", "/v1/entries/e1", "");
    assert_string_equal(text_of(json_object_get(out, "entry"), "state"), "disabled");
    assert_string_equal(text_of(json_object_get(out, "entry"), "protocols"), "scep, est");
    json_decref(out);
    ask_drop(f, 200, "POST", "/v1/entries/e1/enable", "");
    ask_drop(f, 200, "POST", "/v1/entries/e1/reset", "");
    out = ask(f, 200, "GET", "/v1/entries", "");
    assert_int_equal(json_array_size(json_object_get(out, "entries")), 1);
    json_decref(out);
    ask_drop(f, 200, "DELETE", "/v1/entries/e1", "");
    ask_drop(f, 404, "GET", "/v1/entries/e1", "");
    ask_drop(f, 404, "POST", "/v1/entries/e1/disable", "");
}

static void bad_entries_are_refused(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"{}", "'name' is missing"},
        {"{\"name\":\"a/b\"}", "name"},
        {"{\"name\":\"e\",\"profile\":\"none-such\"}", "none-such"},
        {"{\"name\":\"e\",\"protocols\":\"scep, ocsp\"}", "ocsp"},
        {"{\"name\":\"e\",\"expires\":\"tomorrow\"}", "expires"},
        {"{\"name\":\"e\",\"max_uses\":-1}", "max_uses"},
    };
    struct fixture *f = *state;
    json_t *out;

    make_ca(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mu_http_peer peer = {.is_unix = true};
        struct mu_http_request request = {.method = "POST",
            .target = "/v1/entries",
            .body = mu_bytes_str(cases[i].body),
            .peer = &peer};
        struct seen s = {0};

        mu_kit_dispatch(&f->router, &request, done, &s);
        assert_true(s.status >= 400 && s.status < 500);
        if (strstr(error_of(s.body), cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].body, error_of(s.body));
        json_decref(s.body);
    }
    out = ask(f, 200, "GET", "/v1/entries", "");
    assert_int_equal(json_array_size(json_object_get(out, "entries")), 0);
    json_decref(out);
}

static void profiles_are_made_from_text_object_and_preset(void **state)
{
    struct fixture *f = *state;
    const json_t *settings;
    json_t *out;

    make_ca(f);
    ask_drop(f, 200, "POST", "/v1/profiles",
        "{\"name\":\"p1\",\"settings\":\"approval = manual\\nlifetime = 30d\\n\"}");
    out = ask(f, 200, "GET", "/v1/profiles/p1", "");
    settings = json_object_get(json_object_get(out, "profile"), "settings");
    assert_string_equal(text_of(settings, "approval"), "manual");
    assert_string_equal(text_of(settings, "lifetime"), "30d");
    json_decref(out);
    out = ask(f, 200, "POST", "/v1/profiles/p1", "{\"settings\":{\"lifetime\":\"60d\"}}");
    settings = json_object_get(json_object_get(out, "profile"), "settings");
    assert_string_equal(text_of(settings, "approval"), "auto");
    assert_string_equal(text_of(settings, "lifetime"), "60d");
    json_decref(out);
    out = ask(f, 200, "POST", "/v1/profiles",
        "{\"name\":\"p2\",\"preset\":\"https-server\",\"settings\":{\"lifetime\":\"90d\"}}");
    settings = json_object_get(json_object_get(out, "profile"), "settings");
    assert_string_equal(text_of(settings, "lifetime"), "90d");
    assert_non_null(strstr(text_of(settings, "eku"), "serverAuth"));
    json_decref(out);
    ask_drop(f, 200, "DELETE", "/v1/profiles/p2", "");
    ask_drop(f, 404, "GET", "/v1/profiles/p2", "");
    ask_drop(f, 404, "POST", "/v1/profiles", "{\"name\":\"p3\",\"preset\":\"none-such\"}");
    ask_drop(f, 400, "POST", "/v1/profiles",
        "{\"name\":\"p3\",\"settings\":{\"lifetime\":\"1d\\nsan = drop\"}}");
    ask_drop(f, 400, "POST", "/v1/profiles", "{\"name\":\"p3\",\"settings\":7}");
    ask_drop(f, 400, "POST", "/v1/profiles", "{\"name\":\"p3\",\"settings\":\"lifetyme = 30d\"}");
}

/* A request that waits, as the SCEP side leaves it. Returns its transaction id. */
static const char *make_pending_as(struct fixture *f, unsigned char tag, const char *country)
{
    static char id[16];
    const struct mu_pki_key_spec spec = {.type = MU_PKI_KEY_RSA, .bits = 2048};
    struct mu_pki_csr_params params = {.digest = MU_PKI_SHA256};
    uint8_t digest[32] = {tag}, subject_hash[64];
    struct mu_buf name = {0}, csr = {0};
    struct mu_pki_key *key = NULL;

    assert_int_equal(mu_pki_key_generate(&spec, &key, NULL), MU_OK);
    assert_int_equal(mu_pki_name_parse("/C=NL/CN=t1", &name, NULL), MU_OK);
    memcpy(memmem(name.p, name.n, "NL", 2), country, 2); /* what is written by nobody's rules */
    params.subject = mu_buf_bytes(&name);
    assert_int_equal(mu_pki_csr_make(&params, key, &csr, NULL), MU_OK);
    mu_pki_digest(MU_PKI_SHA256, mu_buf_bytes(&name), subject_hash);
    snprintf(id, sizeof id, "TXN%u", tag);
    const struct mu_record_request request = {.proto = MU_PROTO_SCEP,
        .ca = "ca",
        .transaction_id = id,
        .signer = mu_bytes(digest, 32),
        .digest = mu_bytes(digest, 32),
        .state = MU_RECORD_PENDING,
        .csr = mu_buf_bytes(&csr),
        .subject = "C=NL,CN=t1",
        .subject_hash = mu_bytes(subject_hash, 32),
        .profile = "drops",
        .entry = "",
        .renews = {0},
        .words = "",
        .created_s = MU_FAKE_LOOP_START_S - 90,
        .changed_s = MU_FAKE_LOOP_START_S - 90,
        .address = "192.0.2.9"};
    struct mu_store_change change = {.now_s = MU_FAKE_LOOP_START_S, .request = &request};
    assert_int_equal(mu_store_submit_wait(f->store, &change, NULL, NULL), MU_OK);
    mu_buf_clear(&name);
    mu_buf_clear(&csr);
    mu_pki_key_free(key);
    return id;
}

static const char *make_pending(struct fixture *f, unsigned char tag)
{
    return make_pending_as(f, tag, "NL");
}

static void make_queue(struct fixture *f)
{
    make_ca(f);
    ask_drop(f, 200, "POST", "/v1/profiles",
        "{\"name\":\"drops\",\"settings\":\"approval = manual\\nsubject-drop = C\\nsubject-set = "
        "OU=AS\\n\"}");
}

static void a_request_is_shown_asked_against_issue(void **state)
{
    struct fixture *f = *state;
    const json_t *r, *changes;
    char target[64];
    json_t *out;

    make_queue(f);
    snprintf(target, sizeof target, "/v1/queue/%s", make_pending(f, 1));
    out = ask(f, 200, "GET", "/v1/queue", "");
    r = json_array_get(json_object_get(out, "queue"), 0);
    assert_string_equal(text_of(r, "transaction"), "TXN1");
    assert_string_equal(text_of(r, "state"), "pending");
    assert_int_equal(json_integer_value(json_object_get(r, "age_s")), 90);
    assert_true(json_integer_value(json_object_get(r, "id")) > 0);
    json_decref(out);
    out = ask(f, 200, "GET", target, "");
    r = json_object_get(out, "request");
    assert_string_equal(text_of(json_object_get(r, "asked"), "subject"), "C=NL,CN=t1");
    assert_string_equal(text_of(json_object_get(r, "asked"), "key"), "RSA 2048");
    changes = json_object_get(json_object_get(r, "issue"), "changes");
    assert_int_equal(json_array_size(changes), 2);
    assert_string_equal(text_of(json_array_get(changes, 0), "what"), "C=NL");
    assert_string_equal(text_of(json_array_get(changes, 0), "change"), "removed");
    assert_string_equal(text_of(json_array_get(changes, 1), "what"), "OU=AS");
    assert_string_equal(text_of(json_array_get(changes, 1), "change"), "added");
    json_decref(out);
}

/* A name is the client's: it writes no line of its own on the operator's terminal. */
static void what_changes_is_shown_without_control_characters(void **state)
{
    struct fixture *f = *state;
    const json_t *changes;
    char target[64];
    json_t *out;

    make_queue(f);
    snprintf(target, sizeof target, "/v1/queue/%s", make_pending_as(f, 1, "\n\x1b"));
    out = ask(f, 200, "GET", target, "");
    changes = json_object_get(json_object_get(json_object_get(out, "request"), "issue"), "changes");
    assert_string_equal(text_of(json_array_get(changes, 0), "what"), "C=\\x0a\\x1b");
    json_decref(out);
}

static void an_approved_request_is_issued_and_revoked(void **state)
{
    struct fixture *f = *state;
    char target[128], body[128], serial[80];
    const json_t *row;
    json_t *out;

    make_queue(f);
    snprintf(target, sizeof target, "/v1/queue/%s/approve", make_pending(f, 1));
    out = ask(f, 200, "POST", target, "");
    snprintf(serial, sizeof serial, "%s", text_of(out, "serial"));
    json_decref(out);
    ask_drop(f, 404, "POST", target, ""); /* no longer waiting */
    out = ask(f, 200, "GET", "/v1/queue", "");
    assert_int_equal(json_array_size(json_object_get(out, "queue")), 0);
    json_decref(out);
    out = ask(f, 200, "GET", "/v1/queue?state=issued", "");
    row = json_array_get(json_object_get(out, "queue"), 0);
    assert_string_equal(text_of(row, "serial"), serial);
    json_decref(out);
    out = ask(f, 200, "GET", "/v1/issued?subject=CN%3Dt1", "");
    row = json_array_get(json_object_get(out, "issued"), 0);
    assert_string_equal(text_of(row, "serial"), serial);
    assert_string_equal(text_of(row, "state"), "valid");
    json_decref(out);
    snprintf(target, sizeof target, "/v1/issued/%s", serial);
    out = ask(f, 200, "GET", target, "");
    assert_non_null(
        strstr(text_of(json_object_get(out, "certificate"), "pem"), "BEGIN CERTIFICATE"));
    json_decref(out);
    snprintf(body, sizeof body, "{\"serial\":\"%s\",\"reason\":\"keyCompromise\"}", serial);
    ask_drop(f, 200, "POST", "/v1/revoke", body);
    out = ask(f, 200, "GET", target, "");
    assert_string_equal(text_of(json_object_get(out, "certificate"), "state"), "revoked");
    assert_string_equal(
        text_of(json_object_get(out, "certificate"), "revoke_reason"), "keyCompromise");
    json_decref(out);
    out = ask(f, 200, "GET", "/v1/crl", "");
    assert_int_equal(json_integer_value(json_object_get(out, "revoked")), 1);
    assert_non_null(strstr(text_of(out, "pem"), "BEGIN X509 CRL"));
    json_decref(out);
    out = ask(f, 200, "GET", "/v1/log?action=revoke", "");
    assert_int_equal(json_array_size(json_object_get(out, "log")), 1);
    json_decref(out);
}

static void a_rejected_request_keeps_the_words(void **state)
{
    struct fixture *f = *state;
    char target[64];
    json_t *out;

    make_queue(f);
    snprintf(target, sizeof target, "/v1/queue/%s/reject", make_pending(f, 2));
    ask_drop(f, 400, "POST", target, "");
    ask_drop(f, 400, "POST", target, "{\"reason\":\"\"}");
    ask_drop(f, 200, "POST", target, "{\"reason\":\"not today\"}");
    ask_drop(f, 404, "POST", target, "{\"reason\":\"not today\"}");
    out = ask(f, 200, "GET", "/v1/queue?state=rejected", "");
    assert_string_equal(
        text_of(json_array_get(json_object_get(out, "queue"), 0), "reason"), "not today");
    json_decref(out);
    ask_drop(f, 400, "GET", "/v1/queue?state=lost", "");
    ask_drop(f, 404, "GET", "/v1/queue/99999", "");
}

static void unknown_serials_and_reasons_are_refused(void **state)
{
    struct fixture *f = *state;

    make_ca(f);
    ask_drop(f, 404, "GET", "/v1/issued/ABCD", "");
    ask_drop(f, 400, "GET", "/v1/issued/xyz", "");
    ask_drop(f, 404, "POST", "/v1/revoke", "{\"serial\":\"ABCD\"}");
    ask_drop(f, 400, "POST", "/v1/revoke", "{\"serial\":\"ABCD\",\"reason\":\"boredom\"}");
    ask_drop(f, 400, "POST", "/v1/revoke", "{}");
    ask_drop(f, 400, "GET", "/v1/issued?limit=0", "");
    ask_drop(f, 400, "GET", "/v1/issued?colour=red", "");
    ask_drop(f, 404, "GET", "/v1/crl?ca=other", "");
}

static void scep_is_switched(void **state) /* S004 */
{
    struct fixture *f = *state;
    json_t *out;

    make_ca(f);
    out = ask(f, 200, "POST", "/v1/services/scep/disable", "");
    assert_true(json_is_false(json_object_get(json_object_get(out, "services"), "scep")));
    json_decref(out);
    out = ask(f, 200, "POST", "/v1/services/scep/enable", "");
    assert_true(json_is_true(json_object_get(json_object_get(out, "services"), "scep")));
    json_decref(out);
    ask_drop(f, 404, "POST", "/v1/services/ocsp/enable", "");
}

static void figures_count_what_is_there(void **state)
{
    struct fixture *f = *state;
    json_t *out;

    make_queue(f);
    make_pending(f, 3);
    ask_drop(f, 200, "POST", "/v1/entries", "{\"name\":\"e1\"}");
    out = ask(f, 200, "GET", "/v1/stats", "");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(out, "now"), "queue")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(out, "now"), "entries")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(out, "since_start"), "issued")), 0);
    json_decref(out);
}

#define with_ca(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_ca(a_ca_is_made_and_shown),
        with_ca(a_password_is_handed_over_once),
        with_ca(a_given_password_is_never_echoed),
        with_ca(entries_are_changed),
        with_ca(bad_entries_are_refused),
        with_ca(profiles_are_made_from_text_object_and_preset),
        with_ca(a_request_is_shown_asked_against_issue),
        with_ca(what_changes_is_shown_without_control_characters),
        with_ca(an_approved_request_is_issued_and_revoked),
        with_ca(a_rejected_request_keeps_the_words),
        with_ca(unknown_serials_and_reasons_are_refused),
        with_ca(scep_is_switched),
        with_ca(figures_count_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
