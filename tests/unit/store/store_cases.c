#include "store_cases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct mu_store *store_case;

/* ---- rows ---- */

struct mu_bytes store_octets(unsigned n, size_t size)
{
    static uint8_t pool[1 << 20];
    static size_t used;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    uint8_t *p;

    pthread_mutex_lock(&lock);
    assert_true(used + size <= sizeof pool);
    p = pool + used;
    used += size;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(n * 2654435761u >> (i % 4 * 8)) ^ (uint8_t)(i * 7);
    p[0] |= 1; /* no zero in front */
    return mu_bytes(p, size);
}

static const char *text(const char *fmt, unsigned n)
{
    static char pool[1 << 18];
    static size_t used;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char *p;

    pthread_mutex_lock(&lock);
    assert_true(used + 64 <= sizeof pool);
    p = pool + used;
    used += 64;
    pthread_mutex_unlock(&lock);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(p, 64, fmt, n);
#pragma GCC diagnostic pop
    return p;
}

struct mu_record_cert store_cert(unsigned n)
{
    return (struct mu_record_cert){.ca = "ca",
        .serial = store_octets(n + 1000, 16),
        .der = store_octets(n, 700),
        .subject = text("CN=device-%u", n),
        .subject_hash = store_octets(n + 2000, 32),
        .key_hash = store_octets(n + 3000, 32),
        .not_before_s = NOW - 300,
        .not_after_s = NOW + 86400,
        .issued_s = NOW,
        .proto = MU_PROTO_SCEP,
        .profile = "p",
        .entry = "e",
        .transaction_id = text("TX%u", n)};
}

struct mu_record_request store_request(unsigned n, enum mu_record_state state)
{
    return (struct mu_record_request){.proto = MU_PROTO_SCEP,
        .ca = "ca",
        .transaction_id = text("TX%u", n),
        .signer = store_octets(n + 4000, 32),
        .digest = store_octets(n + 5000, 32),
        .state = state,
        .csr = store_octets(n, 300),
        .subject = text("CN=device-%u", n),
        .subject_hash = store_octets(n + 2000, 32),
        .profile = "p",
        .entry = "e",
        .words = "",
        .created_s = NOW,
        .changed_s = NOW,
        .address = "192.0.2.1"};
}

struct mu_record_entry store_entry(const char *name, unsigned n, int64_t max_uses)
{
    return (struct mu_record_entry){.name = name,
        .protocols = 1u << MU_PROTO_SCEP,
        .profile = "p",
        .ca = "",
        .password_hash = store_octets(n + 6000, 32),
        .created_s = NOW,
        .max_uses = max_uses,
        .comments = "made by a test"};
}

struct mu_store_result store_submit(struct mu_store_change *change, enum mu_code want)
{
    struct mu_store_result result = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    if (change->now_s == 0)
        change->now_s = NOW;
    rc = mu_store_submit_wait(store_case, change, &result, &err);
    if (rc != want)
        fail_msg("code %d instead of %d: %s", (int)rc, (int)want, err.what);
    return result;
}

/* Submits a transaction with its certificate, all different for each n. */
static void issue(unsigned n)
{
    struct mu_record_cert cert = store_cert(n);
    struct mu_record_request request = store_request(n, MU_RECORD_ISSUED);
    struct mu_store_change change = {.request = &request, .cert = &cert};

    request.serial = cert.serial;
    store_submit(&change, MU_OK);
}

static int64_t pend(unsigned n)
{
    struct mu_record_request request = store_request(n, MU_RECORD_PENDING);
    struct mu_store_change change = {.request = &request};

    return store_submit(&change, MU_OK).request_id;
}

static void put_entry(const struct mu_record_entry *entry)
{
    struct mu_store_change change = {.entry = entry, .entry_put = MU_STORE_CREATE};

    store_submit(&change, MU_OK);
}

/* ---- asking ---- */

struct answer {
    bool called;
    bool same, resent, latest, cert, entry, key_seen;
    enum mu_record_state state;
    char words[64], name[64], transaction_id[64], subject[64];
    uint8_t serial[32];
    size_t serial_n;
    struct mu_record_cert c;
    int64_t uses;
    bool renewed;
};

static void keep_request(
    struct answer *a, const struct mu_record_request *r, const struct mu_record_cert *c)
{
    a->state = r->state;
    snprintf(a->words, sizeof a->words, "%s", r->words);
    snprintf(a->transaction_id, sizeof a->transaction_id, "%s", r->transaction_id);
    if (c != NULL) {
        memcpy(a->serial, c->serial.p, c->serial.n);
        a->serial_n = c->serial.n;
    }
}

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct answer *a = cookie;

    assert_false(a->called);
    a->called = true;
    if (facts->err != NULL)
        fail_msg("%s", facts->err->what);
    a->same = facts->same != NULL;
    a->resent = facts->resent != NULL;
    a->latest = facts->latest != NULL;
    a->cert = facts->cert != NULL;
    a->entry = facts->entry != NULL;
    a->key_seen = facts->key_seen != NULL;
    if (facts->same != NULL)
        keep_request(a, facts->same, facts->same_cert);
    else if (facts->resent != NULL)
        keep_request(a, facts->resent, facts->resent_cert);
    else if (facts->latest != NULL)
        keep_request(a, facts->latest, facts->latest_cert);
    if (facts->cert != NULL) {
        a->c = *facts->cert;
        a->renewed = facts->cert->renewed_by.n != 0;
        snprintf(a->subject, sizeof a->subject, "%s", facts->cert->subject);
    }
    if (facts->key_seen != NULL)
        snprintf(a->subject, sizeof a->subject, "%s", facts->key_seen->subject);
    if (facts->entry != NULL) {
        snprintf(a->name, sizeof a->name, "%s", facts->entry->name);
        a->uses = facts->entry->uses;
    }
}

static struct answer ask(const struct mu_store_ask *what)
{
    struct answer a = {0};
    struct mu_store_ask full = *what;

    full.ca = full.ca != NULL ? full.ca : "ca";
    full.proto = MU_PROTO_SCEP;
    store_case->ops->ask(store_case, &full, on_facts, &a);
    assert_true(a.called);
    return a;
}

static struct answer ask_cert(struct mu_bytes serial)
{
    return ask(&(struct mu_store_ask){.serial = serial});
}

struct counted {
    unsigned n;
    int64_t ids[200];
    char last[64];
};

static bool count_cert(void *cookie, const struct mu_record_cert *row, const struct mu_err *err)
{
    struct counted *c = cookie;

    assert_null(err);
    if (row != NULL)
        c->ids[c->n++] = row->id;
    return true;
}

static bool count_audit(void *cookie, const struct mu_record_audit *row, const struct mu_err *err)
{
    struct counted *c = cookie;

    assert_null(err);
    if (row != NULL) {
        c->ids[c->n++] = row->id;
        snprintf(c->last, sizeof c->last, "%s", row->message);
    }
    return true;
}

static bool count_request(
    void *cookie, const struct mu_record_request *row, const struct mu_err *err)
{
    struct counted *c = cookie;

    assert_null(err);
    if (row != NULL) {
        c->ids[c->n++] = row->id;
        snprintf(c->last, sizeof c->last, "%s", row->words);
    }
    return true;
}

static struct counted audits(void)
{
    struct counted c = {0};

    store_case->ops->audits(store_case, &(struct mu_store_filter){0}, count_audit, &c);
    return c;
}

static struct counted certs(const struct mu_store_filter *filter)
{
    struct counted c = {0};

    store_case->ops->certs(store_case, filter, count_cert, &c);
    return c;
}

static struct counted requests(const struct mu_store_filter *filter)
{
    struct counted c = {0};

    store_case->ops->requests(store_case, filter, count_request, &c);
    return c;
}

/* ---- results that hold the rows of the winner ---- */

struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
    enum mu_code code;
    enum mu_store_lost lost;
    bool request, cert, entry;
    enum mu_record_state state;
    uint8_t serial[32];
    size_t serial_n;
};

static void on_done(void *cookie, const struct mu_store_result *r)
{
    struct outcome *o = cookie;

    pthread_mutex_lock(&o->lock);
    o->code = r->code;
    o->lost = r->lost;
    o->request = r->request != NULL;
    o->cert = r->cert != NULL;
    o->entry = r->entry != NULL;
    if (r->request != NULL)
        o->state = r->request->state;
    if (r->cert != NULL) {
        memcpy(o->serial, r->cert->serial.p, r->cert->serial.n);
        o->serial_n = r->cert->serial.n;
    }
    o->done = true;
    pthread_cond_signal(&o->ready);
    pthread_mutex_unlock(&o->lock);
}

static void submit_full(struct mu_store_change *change, struct outcome *o)
{
    *o = (struct outcome){.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    if (change->now_s == 0)
        change->now_s = NOW;
    change->done = on_done;
    change->cookie = o;
    mu_store_submit(store_case, change);
    pthread_mutex_lock(&o->lock);
    while (!o->done)
        pthread_cond_wait(&o->ready, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

static void loses(struct mu_store_change *change, enum mu_store_lost want)
{
    struct outcome o;

    submit_full(change, &o);
    assert_int_equal(o.code, MU_DENIED);
    assert_int_equal(o.lost, want);
}

/* ---- transactions ---- */

/* SCEP-60: the second one gets the record and the certificate of the first. */
static void a_known_transaction_returns_the_winner(void **state)
{
    struct mu_record_cert first = store_cert(1), second = store_cert(2);
    struct mu_record_request request = store_request(1, MU_RECORD_ISSUED);
    struct mu_record_audit audit = {.time_s = NOW, .action = "issue", .message = "second"};
    struct mu_store_change change = {.request = &request,
        .cert = &second,
        .audit = &audit,
        .audit_n = 1,
        .retransmit_since_s = NOW - 100};
    struct outcome o;

    issue(1);
    request.serial = second.serial;
    submit_full(&change, &o);
    assert_int_equal(o.code, MU_DENIED);
    assert_int_equal(o.lost, MU_STORE_LOST_TRANSACTION);
    assert_true(o.request && o.cert);
    assert_int_equal(o.state, MU_RECORD_ISSUED);
    assert_memory_equal(o.serial, first.serial.p, 16);
    /* nothing of the loser is left */
    assert_false(ask_cert(second.serial).cert);
    assert_int_equal(audits().n, 0);
}

static void another_digest_signer_or_ca_is_another_transaction(void **state)
{
    struct mu_record_request request = store_request(1, MU_RECORD_ISSUED);
    struct mu_store_change change = {.request = &request, .retransmit_since_s = NOW - 100};

    issue(1);
    request.digest = store_octets(99, 32);
    store_submit(&change, MU_OK);
    request = store_request(1, MU_RECORD_ISSUED);
    request.signer = store_octets(99, 32);
    store_submit(&change, MU_OK);
    request = store_request(1, MU_RECORD_ISSUED);
    request.ca = "other";
    store_submit(&change, MU_OK);
}

static void an_old_transaction_gives_way(void **state)
{
    struct mu_record_request request = store_request(1, MU_RECORD_PENDING);
    struct mu_store_change change = {.request = &request, .retransmit_since_s = NOW + 1};

    issue(1);
    store_submit(&change, MU_OK);
    /* but one that waits does not */
    loses(&change, MU_STORE_LOST_TRANSACTION);
    assert_int_equal(requests(&(struct mu_store_filter){0}).n, 1);
}

static void waiting_requests_are_bounded(void **state)
{
    struct mu_record_request request = store_request(3, MU_RECORD_PENDING);
    struct mu_store_change change = {.request = &request, .pending_max = 2};

    pend(1);
    pend(2);
    loses(&change, MU_STORE_LOST_PENDING);
    request.ca = "other";
    store_submit(&change, MU_OK);
    request = store_request(4, MU_RECORD_ISSUED); /* does not wait */
    store_submit(&change, MU_OK);
}

static void requests_of_a_subject_are_bounded_by_hour(void **state)
{
    struct mu_record_request request = store_request(9, MU_RECORD_PENDING);
    struct mu_record_cert one = store_cert(1);
    struct mu_store_change change = {.request = &request, .rate_max = 2, .subject = one.subject};

    request.subject_hash = one.subject_hash;
    issue(1);
    store_submit(&change, MU_OK); /* the second */
    request = store_request(10, MU_RECORD_PENDING);
    request.subject_hash = one.subject_hash;
    loses(&change, MU_STORE_LOST_RATE);
    change.now_s = NOW + 3601;
    store_submit(&change, MU_OK);
}

static void settling_ends_waiting_once(void **state)
{
    int64_t id = pend(1), other = pend(2);
    struct mu_record_cert cert = store_cert(1);
    struct mu_store_change change = {
        .settle_id = id, .settle_state = MU_RECORD_ISSUED, .settle_words = "", .cert = &cert};
    struct outcome o;
    struct answer a;

    assert_true(id > 0 && other > id);
    store_submit(&change, MU_OK);
    a = ask(&(struct mu_store_ask){.transaction_id = "TX1", .signer = store_octets(4001, 32)});
    assert_true(a.latest);
    assert_int_equal(a.state, MU_RECORD_ISSUED);
    assert_memory_equal(a.serial, cert.serial.p, 16);
    cert = store_cert(5);
    submit_full(&change, &o);
    assert_int_equal(o.lost, MU_STORE_LOST_STATE);
    assert_true(o.request && o.cert);
    change = (struct mu_store_change){
        .settle_id = other, .settle_state = MU_RECORD_REJECTED, .settle_words = "not you"};
    store_submit(&change, MU_OK);
    a = ask(&(struct mu_store_ask){.transaction_id = "TX2", .signer = store_octets(4002, 32)});
    assert_int_equal(a.state, MU_RECORD_REJECTED);
    assert_string_equal(a.words, "not you");
    change.settle_id = 4711;
    submit_full(&change, &o);
    assert_int_equal(o.lost, MU_STORE_LOST_STATE);
    assert_false(o.request);
}

static void a_waiting_request_can_move_to_another_id(void **state)
{
    struct mu_store_change change = {.settle_id = pend(1), .settle_transaction_id = "NEW"};

    store_submit(&change, MU_OK);
    assert_true(
        ask(&(struct mu_store_ask){.transaction_id = "NEW", .signer = store_octets(4001, 32)})
            .latest);
    assert_false(
        ask(&(struct mu_store_ask){.transaction_id = "TX1", .signer = store_octets(4001, 32)})
            .latest);
}

/* ---- certificates ---- */

static void a_serial_is_taken_once(void **state)
{
    struct mu_record_cert cert = store_cert(1);
    struct mu_store_change change = {.cert = &cert};

    issue(1);
    loses(&change, MU_STORE_LOST_SERIAL);
    cert.ca = "other";
    store_submit(&change, MU_OK);
}

static void a_row_comes_back_as_it_was(void **state)
{
    struct mu_record_cert cert = store_cert(1), old = store_cert(2);
    struct mu_store_change change = {.cert = &cert};
    struct answer a;
    uint8_t padded[17] = {0};

    issue(2);
    cert.renews = old.serial;
    store_submit(&change, MU_OK);
    memcpy(padded + 1, cert.serial.p, 16); /* leading zeros of a serial do not count */
    a = ask_cert(mu_bytes(padded, 17));
    assert_true(a.cert);
    assert_string_equal(a.subject, "CN=device-1");
    assert_int_equal(a.c.not_after_s, cert.not_after_s);
    assert_int_equal(a.c.issued_s, NOW);
    assert_int_equal(a.c.proto, MU_PROTO_SCEP);
    assert_int_equal(a.c.der.n, 700);
    assert_false(a.renewed);
    assert_true(ask_cert(old.serial).renewed);
}

static void live_certificates_are_bounded(void **state)
{
    struct mu_record_cert first = store_cert(1), cert = store_cert(2);
    struct mu_store_change change = {.cert = &cert, .alive_max = 1};
    struct mu_store_change revoke = {
        .revoke_ca = "ca", .revoke_serial = first.serial, .revoke_reason = 1};

    issue(1);
    cert.subject = first.subject;
    cert.subject_hash = first.subject_hash;
    loses(&change, MU_STORE_LOST_ALIVE);
    change.alive_since_s = NOW + 1; /* reset: those before do not count */
    store_submit(&change, MU_OK);
    change.alive_since_s = 0;
    cert.serial = store_octets(77, 16);
    change.alive_max = 2;
    loses(&change, MU_STORE_LOST_ALIVE);
    cert.renews = first.serial; /* the renewed one does not count */
    store_submit(&change, MU_OK);
    cert.renews = (struct mu_bytes){0};
    cert.serial = store_octets(78, 16);
    change.alive_max = 3;
    loses(&change, MU_STORE_LOST_ALIVE);
    store_submit(&revoke, MU_OK); /* nor do revoked ones */
    store_submit(&change, MU_OK);
    cert.serial = store_octets(79, 16);
    loses(&change, MU_STORE_LOST_ALIVE);
    change.now_s = NOW + 86400 + 1; /* nor expired ones */
    store_submit(&change, MU_OK);
}

static void revoking_is_once(void **state)
{
    struct mu_record_cert cert = store_cert(1);
    struct mu_store_change change = {
        .revoke_ca = "ca", .revoke_serial = cert.serial, .revoke_reason = 4};
    struct answer a;

    loses(&change, MU_STORE_LOST_REVOKED);
    issue(1);
    store_submit(&change, MU_OK);
    a = ask_cert(cert.serial);
    assert_int_equal(a.c.revoked_s, NOW);
    assert_int_equal(a.c.revoke_reason, 4);
    loses(&change, MU_STORE_LOST_REVOKED);
    change.revoke_lenient = true;
    change.now_s = NOW + 5;
    store_submit(&change, MU_OK);
    assert_int_equal(ask_cert(cert.serial).c.revoked_s, NOW);
    assert_int_equal(certs(&(struct mu_store_filter){.ca = "ca", .only_revoked = true}).n, 1);
    assert_int_equal(certs(&(struct mu_store_filter){.ca = "x", .only_revoked = true}).n, 0);
}

/* ---- challenges ---- */

static void a_challenge_is_used_up_with_its_certificate(void **state)
{
    struct mu_record_entry once = store_entry("once", 1, 1);
    struct mu_record_cert cert = store_cert(1);
    struct mu_store_change change = {.use_entry = "once", .cert = &cert};
    struct outcome o;

    put_entry(&once);
    store_submit(&change, MU_OK);
    cert = store_cert(2);
    submit_full(&change, &o);
    assert_int_equal(o.lost, MU_STORE_LOST_CHALLENGE);
    assert_true(o.entry);
    assert_false(ask_cert(cert.serial).cert);
    assert_int_equal(ask(&(struct mu_store_ask){.password_hash = once.password_hash}).uses, 1);
}

static void challenges_expire_are_disabled_and_go(void **state)
{
    struct mu_record_entry entry = store_entry("e1", 1, 0);
    struct mu_store_change change = {.use_entry = "e1"};

    struct mu_store_change put = {.entry = &entry, .entry_put = MU_STORE_REPLACE};

    entry.expires_s = NOW + 10;
    put_entry(&entry);
    store_submit(&change, MU_OK);
    store_submit(&change, MU_OK);
    change.now_s = NOW + 10;
    loses(&change, MU_STORE_LOST_CHALLENGE);
    entry.expires_s = 0;
    entry.disabled = true;
    store_submit(&put, MU_OK);
    loses(&change, MU_STORE_LOST_CHALLENGE);
    put.entry_put = MU_STORE_REMOVE;
    store_submit(&put, MU_OK);
    loses(&change, MU_STORE_LOST_CHALLENGE);
}

static void a_lost_request_uses_no_challenge(void **state)
{
    struct mu_record_entry once = store_entry("once", 1, 1);
    struct mu_record_request request = store_request(1, MU_RECORD_ISSUED);
    struct mu_store_change change = {
        .request = &request, .use_entry = "once", .retransmit_since_s = NOW - 100};

    put_entry(&once);
    issue(1);
    loses(&change, MU_STORE_LOST_TRANSACTION);
    assert_int_equal(ask(&(struct mu_store_ask){.password_hash = once.password_hash}).uses, 0);
}

static void entries_are_found_by_their_password_only(void **state)
{
    struct mu_record_entry one = store_entry("one", 1, 0), two = store_entry("two", 2, 0),
                           none = store_entry("none", 3, 0);
    struct mu_store_change change = {.entry = &two, .entry_put = MU_STORE_REPLACE};
    struct answer a;

    none.password_hash = (struct mu_bytes){0};
    put_entry(&one);
    put_entry(&two);
    put_entry(&none);
    a = ask(&(struct mu_store_ask){.password_hash = two.password_hash});
    assert_string_equal(a.name, "two");
    assert_false(ask(&(struct mu_store_ask){.password_hash = store_octets(1, 32)}).entry);
    /* a password belongs to one entry */
    two.password_hash = one.password_hash;
    loses(&change, MU_STORE_LOST_EXISTS);
    two.name = "three";
    change.entry_put = MU_STORE_CREATE;
    loses(&change, MU_STORE_LOST_EXISTS);
    change.entry_put = MU_STORE_REPLACE;
    loses(&change, MU_STORE_LOST_MISSING);
}

static void a_reset_begins_anew(void **state)
{
    struct mu_record_entry once = store_entry("once", 1, 1);
    struct mu_store_change use = {.use_entry = "once"};
    struct mu_store_change reset = {
        .entry = &once, .entry_put = MU_STORE_REPLACE, .entry_reset_uses = true};

    put_entry(&once);
    store_submit(&use, MU_OK);
    loses(&use, MU_STORE_LOST_CHALLENGE);
    store_submit(&reset, MU_OK);
    store_submit(&use, MU_OK);
    reset.entry_reset_uses = false; /* replacing alone keeps the count */
    store_submit(&reset, MU_OK);
    loses(&use, MU_STORE_LOST_CHALLENGE);
}

/* ---- configuration ---- */

static bool count_ca(void *cookie, const struct mu_record_ca *row, const struct mu_err *err)
{
    if (row != NULL) {
        assert_string_equal(row->name, "ca");
        assert_string_equal(row->settings, "default = yes\n");
        assert_string_equal(row->ra_key_ref, "");
        assert_int_equal(row->chain.n, 500);
        (*(unsigned *)cookie)++;
    }
    return true;
}

static bool count_profile(
    void *cookie, const struct mu_record_profile *row, const struct mu_err *err)
{
    *(unsigned *)cookie += row != NULL;
    return true;
}

static bool keep_setting(void *cookie, const char *key, const char *value, const struct mu_err *err)
{
    if (key != NULL && strcmp(key, "service.scep") == 0)
        snprintf(cookie, 32, "%s", value);
    return true;
}

static void configuration_is_created_replaced_removed(void **state)
{
    struct mu_record_ca ca = {
        .name = "ca", .chain = store_octets(1, 500), .key_ref = "k", .settings = ""};
    struct mu_record_profile profile = {.name = "p", .settings = ""};
    struct mu_store_change change = {.ca = &ca, .ca_put = MU_STORE_REPLACE};
    unsigned n = 0;
    char value[32] = "";

    loses(&change, MU_STORE_LOST_MISSING);
    change.ca_put = MU_STORE_CREATE;
    store_submit(&change, MU_OK);
    loses(&change, MU_STORE_LOST_EXISTS);
    ca.settings = "default = yes\n";
    change.ca_put = MU_STORE_PUT;
    store_submit(&change, MU_OK);
    store_case->ops->cas(store_case, count_ca, &n);
    assert_int_equal(n, 1);
    change = (struct mu_store_change){.profile = &profile, .profile_put = MU_STORE_CREATE};
    store_submit(&change, MU_OK);
    loses(&change, MU_STORE_LOST_EXISTS);
    change.profile_put = MU_STORE_REMOVE;
    store_submit(&change, MU_OK);
    loses(&change, MU_STORE_LOST_MISSING);
    n = 0;
    store_case->ops->profiles(store_case, count_profile, &n);
    assert_int_equal(n, 0);
    change = (struct mu_store_change){.setting_key = "service.scep", .setting_value = "off"};
    store_submit(&change, MU_OK);
    change.setting_value = "on";
    store_submit(&change, MU_OK);
    store_case->ops->settings(store_case, keep_setting, value);
    assert_string_equal(value, "on");
    change.setting_value = NULL;
    store_submit(&change, MU_OK);
    value[0] = '\0';
    store_case->ops->settings(store_case, keep_setting, value);
    assert_string_equal(value, "");
}

static bool keep_crl(void *cookie, const struct mu_record_crl *row, const struct mu_err *err)
{
    if (row != NULL)
        *(uint64_t *)cookie = row->number;
    return true;
}

/* CA-16, CA-20 */
static void crl_numbers_only_grow(void **state)
{
    struct mu_record_crl crl = {.ca = "ca",
        .number = 1,
        .this_update_s = NOW,
        .next_update_s = NOW + 1,
        .der = store_octets(1, 400)};
    struct mu_store_change change = {.crl = &crl};
    uint64_t number = 0;

    store_submit(&change, MU_OK);
    loses(&change, MU_STORE_LOST_NUMBER);
    for (crl.number = 2; crl.number < 9; crl.number++)
        store_submit(&change, MU_OK);
    crl.number = 7;
    loses(&change, MU_STORE_LOST_NUMBER);
    store_case->ops->crl(store_case, "ca", keep_crl, &number);
    assert_int_equal(number, 8);
    number = 0;
    store_case->ops->crl(store_case, "other", keep_crl, &number);
    assert_int_equal(number, 0);
}

/* ---- what a decision asks ---- */

static void asking_finds_repeats(void **state)
{
    struct mu_record_request one = store_request(1, MU_RECORD_ISSUED);
    struct mu_store_ask same = {
        .transaction_id = "TX1", .signer = one.signer, .digest = one.digest};
    struct answer a;

    issue(1);
    a = ask(&same);
    assert_true(a.same);
    assert_int_equal(a.serial_n, 16);
    same.since_s = NOW + 1; /* too long ago */
    assert_false(ask(&same).same);
    same.since_s = 0;
    same.transaction_id = "OTHER";
    a = ask(&same);
    assert_false(a.same);
    assert_true(a.resent);
    assert_string_equal(a.transaction_id, "TX1");
    same.digest = store_octets(9, 32);
    a = ask(&same);
    assert_false(a.same || a.resent);
    same = (struct mu_store_ask){.transaction_id = "TX1", .signer = store_octets(9, 32)};
    assert_false(ask(&same).latest); /* SCEP-63: another signer */
    same = (struct mu_store_ask){.ca = "other", .transaction_id = "TX1", .signer = one.signer};
    assert_false(ask(&same).latest);
}

static void asking_finds_keys_under_other_names(void **state)
{
    struct mu_record_cert one = store_cert(1);
    struct mu_store_ask q = {.key_hash = one.key_hash, .subject_hash = one.subject_hash};
    struct answer a;

    issue(1);
    assert_false(ask(&q).key_seen);
    q.subject_hash = store_octets(5, 32);
    a = ask(&q);
    assert_true(a.key_seen);
    assert_string_equal(a.subject, "CN=device-1");
}

/* ---- lists ---- */

static void lists_are_paged_newest_first(void **state)
{
    struct mu_store_filter filter = {.limit = 4};
    struct counted c;

    for (unsigned i = 0; i < 10; i++)
        issue(i);
    c = certs(&filter);
    assert_int_equal(c.n, 4);
    assert_true(c.ids[0] > c.ids[1]);
    filter.before_id = c.ids[3];
    c = certs(&filter);
    assert_int_equal(c.n, 4);
    filter.before_id = c.ids[3];
    assert_int_equal(certs(&filter).n, 2);
    assert_int_equal(certs(&(struct mu_store_filter){.subject = "DEVICE-3"}).n, 1);
    assert_int_equal(certs(&(struct mu_store_filter){.subject = "nobody"}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.subject = "%"}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.subject = "device_3"}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.subject = "\\"}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.transaction_id = "TX5"}).n, 1);
    assert_int_equal(certs(&(struct mu_store_filter){.serial = store_cert(5).serial}).n, 1);
    assert_int_equal(certs(&(struct mu_store_filter){.profile = "p", .ca = "ca"}).n, 10);
    assert_int_equal(certs(&(struct mu_store_filter){.profile = "q"}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.expires_before_s = NOW}).n, 0);
    assert_int_equal(certs(&(struct mu_store_filter){.expires_after_s = NOW}).n, 10);
    assert_int_equal(
        requests(&(struct mu_store_filter){.by_state = true, .state = MU_RECORD_PENDING}).n, 0);
    pend(20);
    c = requests(&(struct mu_store_filter){.by_state = true, .state = MU_RECORD_PENDING});
    assert_int_equal(c.n, 1);
    assert_int_equal(requests(&(struct mu_store_filter){.id = c.ids[0]}).n, 1);
    assert_int_equal(requests(&(struct mu_store_filter){.transaction_id = "TX20"}).n, 1);
}

static bool stop_at_once(void *cookie, const struct mu_record_cert *row, const struct mu_err *err)
{
    (*(unsigned *)cookie)++;
    return false;
}

static void a_list_ends_when_told(void **state)
{
    unsigned n = 0;

    issue(1);
    issue(2);
    store_case->ops->certs(store_case, &(struct mu_store_filter){0}, stop_at_once, &n);
    assert_int_equal(n, 1);
}

static void audit_is_kept_in_order(void **state)
{
    struct mu_record_audit rows[2] = {
        {.time_s = NOW,
            .action = "issue",
            .success = true,
            .subject = "CN=a",
            .message = "one",
            .transaction_id = "T"},
        {.time_s = NOW + 5,
            .action = "refuse",
            .reason = MU_REFUSE_PASSWORD,
            .subject = "CN=b",
            .message = "two"},
    };
    struct mu_store_change change = {.audit = rows, .audit_n = 2};
    struct counted c;

    store_submit(&change, MU_OK);
    c = audits();
    assert_int_equal(c.n, 2);
    assert_string_equal(c.last, "one"); /* newest first */
    c = (struct counted){0};
    store_case->ops->audits(
        store_case, &(struct mu_store_filter){.action = "refuse"}, count_audit, &c);
    assert_int_equal(c.n, 1);
    c = (struct counted){0};
    store_case->ops->audits(
        store_case, &(struct mu_store_filter){.subject = "cn=A"}, count_audit, &c);
    assert_int_equal(c.n, 1);
    c = (struct counted){0};
    store_case->ops->audits(
        store_case, &(struct mu_store_filter){.since_s = NOW + 1}, count_audit, &c);
    assert_int_equal(c.n, 1);
    change = (struct mu_store_change){.forget_audit_s = NOW + 1};
    store_submit(&change, MU_OK);
    assert_int_equal(audits().n, 1);
}

static void old_requests_go(void **state)
{
    struct mu_store_change change = {
        .expire_ca = "ca", .expire_pending_s = NOW + 1, .settle_words = "too late"};
    struct counted c;

    issue(1);
    pend(2);
    store_submit(&change, MU_OK);
    c = requests(&(struct mu_store_filter){.by_state = true, .state = MU_RECORD_REJECTED});
    assert_int_equal(c.n, 1);
    assert_string_equal(c.last, "too late");
    change = (struct mu_store_change){.forget_settled_s = NOW + 1};
    store_submit(&change, MU_OK);
    assert_int_equal(requests(&(struct mu_store_filter){0}).n, 0);
    assert_true(ask_cert(store_cert(1).serial).cert); /* certificates never do */
}

static bool count_kept(void *cookie, const struct mu_record_request *row, const struct mu_err *err)
{
    if (row != NULL)
        *(size_t *)cookie += row->kept.n != 0;
    return true;
}

static size_t kept_n(void)
{
    size_t n = 0;

    store_case->ops->requests(store_case, &(struct mu_store_filter){0}, count_kept, &n);
    return n;
}

static int64_t pend_kept(unsigned n, enum mu_proto proto)
{
    struct mu_record_request row = store_request(n, MU_RECORD_PENDING);
    struct mu_store_change change = {.now_s = NOW, .request = &row};

    row.proto = proto;
    row.kept = mu_bytes_str("sealed");
    return store_submit(&change, MU_OK).request_id;
}

/* A key that was made for a client: gone with a rejection, with the end of the wait, and when nobody
 * fetched it in time. What CMP keeps stays. */
static void kept_keys_go(void **state)
{
    struct mu_store_change change = {.now_s = NOW, .settle_state = MU_RECORD_REJECTED, .settle_words = "no"};
    const struct mu_record_cert cert = store_cert(9);

    change.settle_id = pend_kept(1, MU_PROTO_EST);
    pend_kept(2, MU_PROTO_EST);
    pend_kept(3, MU_PROTO_CMP);
    assert_int_equal(kept_n(), 3);
    store_submit(&change, MU_OK);
    assert_int_equal(kept_n(), 2);
    change = (struct mu_store_change){.now_s = NOW, .expire_ca = "ca", .expire_pending_s = NOW + 1, .settle_words = "late"};
    store_submit(&change, MU_OK);
    assert_int_equal(kept_n(), 1);
    change = (struct mu_store_change){.now_s = NOW, .settle_state = MU_RECORD_ISSUED, .settle_words = "", .cert = &cert};
    change.settle_id = pend_kept(4, MU_PROTO_EST);
    store_submit(&change, MU_OK);
    assert_int_equal(kept_n(), 2);
    change = (struct mu_store_change){.expire_ca = "ca", .forget_kept_s = NOW};
    store_submit(&change, MU_OK);
    change = (struct mu_store_change){.expire_ca = "other", .forget_kept_s = NOW + 1};
    store_submit(&change, MU_OK);
    assert_int_equal(kept_n(), 2);
    change = (struct mu_store_change){.expire_ca = "ca", .forget_kept_s = NOW + 1};
    store_submit(&change, MU_OK);
    assert_int_equal(kept_n(), 1);
}

static void on_counts(void *cookie, const struct mu_store_counts *counts, const struct mu_err *err)
{
    assert_null(err);
    *(struct mu_store_counts *)cookie = *counts;
}

static void counts_add_up(void **state)
{
    struct mu_store_change revoke = {.revoke_ca = "ca", .revoke_serial = store_cert(1).serial};
    struct mu_record_entry entry = store_entry("e", 1, 0);
    struct mu_store_counts n = {0};

    issue(1);
    issue(2);
    pend(3);
    put_entry(&entry);
    store_submit(&revoke, MU_OK);
    store_case->ops->counts(store_case, NOW, on_counts, &n);
    assert_int_equal(n.certs, 2);
    assert_int_equal(n.live, 1);
    assert_int_equal(n.revoked, 1);
    assert_int_equal(n.expiring_30d, 1);
    assert_int_equal(n.pending, 1);
    assert_int_equal(n.oldest_pending_s, NOW);
    assert_int_equal(n.entries, 1);
    assert_int_equal(n.issued_24h, 0);
    for (int day = 5; day >= 0; day--) { /* the last day counts, by the audit trail */
        static const char *const actions[] = {"issue", "renew", "refuse", "refuse", "request"};
        struct mu_record_audit rows[5] = {{0}};
        struct mu_store_change log = {.audit = rows, .audit_n = 5};

        for (int i = 0; i < 5; i++) {
            rows[i].action = actions[i];
            rows[i].time_s = NOW - day * 50000;
        }
        store_submit(&log, MU_OK);
    }
    store_case->ops->counts(store_case, NOW, on_counts, &n);
    assert_int_equal(n.issued_24h, 2);
    assert_int_equal(n.renewed_24h, 2);
    assert_int_equal(n.refused_24h, 4);
    store_case->ops->counts(store_case, NOW + 90000, on_counts, &n);
    assert_int_equal(n.issued_24h, 0);
}

/* ---- many at once ---- */

enum { THREADS = 8, EACH = 40 };

struct racer {
    pthread_t thread;
    unsigned number;
    bool same_transaction;
    unsigned won, lost_challenge, lost_transaction;
    uint8_t serial[32];
};

static void *race(void *cookie)
{
    struct racer *r = cookie;
    struct outcome o;

    for (unsigned i = 0; i < EACH; i++) {
        unsigned n = r->number * EACH + i;
        struct mu_record_cert cert = store_cert(n);
        struct mu_record_request request =
            store_request(r->same_transaction ? i : n, MU_RECORD_ISSUED);
        struct mu_store_change change = {.now_s = NOW,
            .request = &request,
            .cert = &cert,
            .use_entry = r->same_transaction ? NULL
                : i % 2 == 0                 ? "once"
                                             : "always",
            .retransmit_since_s = NOW - 10};

        request.serial = cert.serial;
        submit_full(&change, &o);
        r->won += o.code == MU_OK;
        r->lost_challenge += o.lost == MU_STORE_LOST_CHALLENGE;
        r->lost_transaction += o.lost == MU_STORE_LOST_TRANSACTION;
        if (i == 0)
            memcpy(r->serial, o.code == MU_OK ? cert.serial.p : o.serial, 16);
    }
    return NULL;
}

static void run_race(struct racer racers[THREADS], bool same_transaction)
{
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){.number = i, .same_transaction = same_transaction};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(racers[i].thread, NULL);
}

/* Group commit: a batch that loses spoils none that was committed with it. */
static void one_wins_a_one_time_challenge(void **state)
{
    struct mu_record_entry once = store_entry("once", 1, 1), always = store_entry("always", 2, 0);
    struct racer racers[THREADS];
    unsigned won = 0, lost = 0;

    put_entry(&once);
    put_entry(&always);
    run_race(racers, false);
    for (unsigned i = 0; i < THREADS; i++) {
        won += racers[i].won;
        lost += racers[i].lost_challenge;
    }
    assert_int_equal(won, THREADS * EACH / 2 + 1);
    assert_int_equal(lost, THREADS * EACH / 2 - 1);
    assert_int_equal(ask(&(struct mu_store_ask){.password_hash = always.password_hash}).uses,
        THREADS * EACH / 2);
}

struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    unsigned answered, won;
};

static void count_crowd(void *cookie, const struct mu_store_result *result)
{
    struct crowd *c = cookie;

    pthread_mutex_lock(&c->lock);
    c->answered++;
    c->won += result->code == MU_OK;
    pthread_cond_signal(&c->ready);
    pthread_mutex_unlock(&c->lock);
}

/* All of them wait together, so that they are committed in groups. */
static void losers_in_a_group_leave_nothing(void **state)
{
    enum { CROWD = 120 };
    static struct mu_store_change changes[CROWD];
    static struct mu_record_cert rows[CROWD];
    static struct mu_record_request requests_[CROWD];
    struct mu_record_entry once = store_entry("once", 1, 1);
    struct crowd crowd = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    struct mu_store_counts n = {0};

    put_entry(&once);
    for (unsigned i = 0; i < CROWD; i++) {
        rows[i] = store_cert(i);
        requests_[i] = store_request(i, MU_RECORD_ISSUED);
        requests_[i].serial = rows[i].serial;
        changes[i] = (struct mu_store_change){.now_s = NOW,
            .request = &requests_[i],
            .cert = &rows[i],
            .use_entry = i % 3 == 0 ? "once" : NULL,
            .done = count_crowd,
            .cookie = &crowd};
        mu_store_submit(store_case, &changes[i]);
    }
    pthread_mutex_lock(&crowd.lock);
    while (crowd.answered < CROWD)
        pthread_cond_wait(&crowd.ready, &crowd.lock);
    pthread_mutex_unlock(&crowd.lock);
    assert_int_equal(crowd.won, CROWD / 3 * 2 + 1);
    store_case->ops->counts(store_case, NOW, on_counts, &n);
    assert_int_equal(n.certs, crowd.won);
    assert_int_equal(ask(&(struct mu_store_ask){.password_hash = once.password_hash}).uses, 1);
    for (unsigned i = 3; i < CROWD; i += 3)
        assert_false(ask_cert(rows[i].serial).cert);
}

static void all_racers_get_the_same_certificate(void **state)
{
    struct racer racers[THREADS];
    unsigned won = 0;

    run_race(racers, true);
    for (unsigned i = 0; i < THREADS; i++) {
        won += racers[i].won;
        assert_memory_equal(racers[i].serial, racers[0].serial, 16);
        assert_int_equal(racers[i].won + racers[i].lost_transaction, EACH);
    }
    assert_int_equal(won, EACH);
}

int store_cases_run(const char *name, CMFixtureFunction setup, CMFixtureFunction teardown)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    struct CMUnitTest tests[64] = {
        CASE(a_known_transaction_returns_the_winner),
        CASE(another_digest_signer_or_ca_is_another_transaction),
        CASE(an_old_transaction_gives_way),
        CASE(waiting_requests_are_bounded),
        CASE(requests_of_a_subject_are_bounded_by_hour),
        CASE(settling_ends_waiting_once),
        CASE(a_waiting_request_can_move_to_another_id),
        CASE(a_serial_is_taken_once),
        CASE(a_row_comes_back_as_it_was),
        CASE(live_certificates_are_bounded),
        CASE(revoking_is_once),
        CASE(a_challenge_is_used_up_with_its_certificate),
        CASE(challenges_expire_are_disabled_and_go),
        CASE(a_lost_request_uses_no_challenge),
        CASE(entries_are_found_by_their_password_only),
        CASE(a_reset_begins_anew),
        CASE(configuration_is_created_replaced_removed),
        CASE(crl_numbers_only_grow),
        CASE(asking_finds_repeats),
        CASE(asking_finds_keys_under_other_names),
        CASE(lists_are_paged_newest_first),
        CASE(a_list_ends_when_told),
        CASE(audit_is_kept_in_order),
        CASE(old_requests_go),
        CASE(kept_keys_go),
        CASE(counts_add_up),
        CASE(one_wins_a_one_time_challenge),
        CASE(all_racers_get_the_same_certificate),
        CASE(losers_in_a_group_leave_nothing),
    };

    size_t n = 0;

    while (tests[n].name != NULL)
        n++;
    for (const struct store_case *c = store_cases_cmp; c->name != NULL; c++) {
        assert_true(n < sizeof tests / sizeof tests[0]);
        tests[n++] = (struct CMUnitTest){c->name, c->test, setup, teardown, NULL};
    }
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
