/* CMP in the CA: our own client engine against it in memory, and what it would never send. */
#include "ca_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "ca/ca_cmp.h"
#include "pki/pki_crl.h"
#include "pki/pki_key_package.h"
#include "pki/pki_name.h"
#include "proto/cmp/cmp_client.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_msg.h"
#include "proto/cmp/cmp_protect.h"

/* One run of the client; what is not set: ir of CN=fgt100f.local by fgt100f/fortinet1. */
struct run {
    enum mu_cmp_client_op op;
    const char *ref, *secret, *subject, *path, *transaction_id, *profile;
    enum ca_key key, signer_key;
    struct mu_pki_cert *signer, *old;
    const struct mu_pki_certs *chain, *trusted; /* trusted NULL: the CA's root */
    int reason;
    const char *san; /* "DNS:a.example"; NULL: none */
    unsigned iterations; /* 0: 500 */
    bool implicit, stop_at_save, pbmac1, keygen, indirect;
    bool bare_polls; /* polls come without the signer's certificate */
    void (*change)(struct run *r, const struct mu_cmp_msg *msg, struct mu_buf *out); /* of all
                                                                       messages but the first */
    struct mu_pki_cert *around; /* an RA (CA_KEY_A) nests each message in its own */
    void (*on_wait)(struct ca_world *w); /* NULL: does not wait */
    /* results */
    struct mu_pki_cert *cert;
    struct mu_cmp_client *client;
    struct mu_cmp_client_result result;
    struct mu_err err;
};

static struct mu_buf last_request, first_request;
static struct mu_pki_certs trusted;

static bool take_root(void *cookie, const struct mu_ca_view *view)
{
    mu_pki_certs_clear(&trusted);
    ca_ok(mu_pki_certs_add(&trusted, view->chain->v[view->chain->n - 1], &ca_err));
    return false;
}

static void post(struct ca_world *w, const char *path, struct mu_bytes body)
{
    struct mu_buf copy = {0};

    mu_buf_put_bytes(&copy, body);
    w->content_type = "application/pkixcmp";
    ca_post(w, path, mu_buf_bytes(&copy));
    w->content_type = NULL;
    mu_buf_clear(&copy);
}

/* The same message without extraCerts, which its protection does not cover. */
static void without_certs(struct mu_bytes message, struct mu_buf *out)
{
    struct mu_cmp_msg msg = {0};
    struct mu_buf part = {0};

    ca_ok(mu_cmp_msg_decode(message, &msg, &ca_err));
    mu_cmp_msg_put_protected_part(&msg, &part);
    ca_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), msg.protection, NULL, out, &ca_err));
    mu_buf_clear(&part);
    mu_cmp_msg_clear(&msg);
}

/* CMP-107: the RA's signature around a message. */
static void nest(struct run *r, struct mu_buf *message)
{
    const struct mu_cmp_protector how = {.key = ca_key(CA_KEY_A), .cert = r->around};
    struct mu_cmp_msg inner = {0};
    struct mu_cmp_header header = {.pvno = 2, .has_time = true, .time_s = NOW};
    struct mu_cmp_body body = {.type = MU_CMP_NESTED};
    struct mu_pki_certs extra = {0};
    struct mu_buf out = {0};

    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(message), &inner, &ca_err));
    header.recipient = inner.header.recipient;
    header.transaction_id = inner.header.transaction_id;
    header.sender_nonce = inner.header.sender_nonce;
    header.recip_nonce = inner.header.recip_nonce;
    body.u.nested.n = 1;
    body.u.nested.messages = mu_buf_bytes(message);
    ca_ok(mu_pki_certs_add(&extra, r->around, &ca_err));
    ca_ok(mu_cmp_protect_encode(&header, &body, &how, &extra, &out, &ca_err));
    mu_cmp_msg_clear(&inner);
    mu_pki_certs_clear(&extra);
    mu_buf_reset(message);
    mu_buf_put_bytes(message, mu_buf_bytes(&out));
    mu_buf_clear(&out);
}

static void change(struct run *r, struct mu_buf *message)
{
    struct mu_cmp_msg msg = {0};
    struct mu_buf out = {0};

    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(message), &msg, &ca_err));
    r->change(r, &msg, &out);
    mu_cmp_msg_clear(&msg);
    mu_buf_reset(message);
    mu_buf_put_bytes(message, mu_buf_bytes(&out));
    mu_buf_clear(&out);
}

/* header and body under a MAC by this reference and secret. */
static void protect(const struct mu_cmp_header *header, const struct mu_cmp_body *body,
    const char *reference, const char *text, struct run *r, struct mu_buf *out)
{
    struct mu_cmp_mac_key mac = {0};
    struct mu_secret secret = {0};
    struct mu_cmp_header h = *header;
    struct mu_pki_mac params;
    const struct mu_cmp_protector how = {.mac = &mac, .reference = mu_bytes_str(reference)};

    h.sender = h.sender_kid = mu_bytes(NULL, 0);
    ca_ok(mu_secret_set(&secret, mu_bytes_str(text), &ca_err));
    ca_ok(mu_pki_mac_decode(header->protection_alg, true, &params, &ca_err));
    ca_ok(mu_cmp_protect_mac_derive(&mac, &params, &secret, &ca_err));
    ca_ok(mu_cmp_protect_encode(&h, body, &how, NULL, out, &ca_err));
    mu_cmp_protect_mac_clear(&mac);
    mu_secret_clear(&secret);
}

static enum mu_code send(struct ca_world *w, struct run *r, struct mu_step *step)
{
    struct mu_event event = {.type = MU_EVENT_RESPONSE};

    mu_buf_reset(&last_request);
    mu_buf_put_bytes(&last_request, step->request.body);
    if (first_request.n == 0)
        mu_buf_put_bytes(&first_request, step->request.body);
    if (r->bare_polls && first_request.n != last_request.n) {
        mu_buf_reset(&last_request);
        without_certs(step->request.body, &last_request);
    }
    if (r->change != NULL && w->sends++ != 0)
        change(r, &last_request);
    if (r->around != NULL)
        nest(r, &last_request);
    post(w, r->path != NULL ? r->path : "/app/cert/cmp2", mu_buf_bytes(&last_request));
    event.response = &w->last;
    return mu_cmp_client_step(r->client, &event, step, &r->err);
}

static enum mu_code drive(struct ca_world *w, struct run *r)
{
    struct mu_step step = {0};
    struct mu_event event;
    enum mu_code rc = mu_cmp_client_start(r->client, &step, &r->err);

    for (unsigned i = 0; rc == MU_OK && step.want != MU_WANT_DONE; i++) {
        assert_true(i < 50);
        if (step.want == MU_WANT_SEND) {
            rc = send(w, r, &step);
            continue;
        }
        if (step.want == MU_WANT_WAIT) {
            w->now_s += step.wait_s;
            r->on_wait(w);
            event = (struct mu_event){.type = MU_EVENT_TIME};
        } else if (step.want == MU_WANT_SAVE) {
            if (r->stop_at_save)
                return MU_OK;
            event = (struct mu_event){.type = MU_EVENT_SAVED, };
        } else {
            event = (struct mu_event){.type = MU_EVENT_TRUST, .yes = true};
        }
        rc = mu_cmp_client_step(r->client, &event, &step, &r->err);
    }
    return rc;
}

static enum mu_code go(struct ca_world *w, struct run *r)
{
    struct mu_buf subject = {0}, csr = {0}, names = {0}, extensions = {0};
    struct mu_secret secret = {0};
    struct ca_client p10 = {.subject = r->subject, .key = r->key};
    struct mu_cmp_client_config config = {.env = &w->env,
        .op = r->op,
        .url = "http://ca.example/app/cert/cmp2",
        .entry = "test",
        .key = r->keygen ? NULL : ca_key(r->key),
        .central_keygen = r->keygen,
        .cert_profile = r->profile,
        .mac = r->pbmac1 ? MU_CMP_MAC_PBMAC1 : MU_CMP_MAC_PBM,
        .mac_iterations = r->iterations != 0 ? (int)r->iterations : 500,
        .signer_cert = r->signer,
        .signer_chain = r->chain,
        .trusted = r->trusted != NULL ? r->trusted : &trusted,
        .trusted_as = "root",
        .old_cert = r->old,
        .revoke_reason = r->reason,
        .implicit_confirm = r->implicit,
        .indirect = r->indirect,
        .trust_ca_pubs = true,
        .no_wait = r->on_wait == NULL,
        .transaction_id = r->transaction_id};
    enum mu_code rc;

    mu_ca_each(w->ca, take_root, NULL);
    mu_buf_reset(&first_request);
    ca_ok(mu_pki_name_parse(
        r->subject != NULL ? r->subject : "/CN=fgt100f.local", &subject, &ca_err));
    if (r->san != NULL) {
        size_t mark = mu_der_open(&extensions, MU_DER_SEQUENCE);

        ca_ok(mu_pki_san_parse(r->san, &names, &ca_err));
        mu_pki_ext_put_san(&extensions, false, mu_buf_bytes(&names));
        mu_der_close(&extensions, mark);
        config.extensions = mu_buf_bytes(&extensions);
    }
    if (r->op == MU_CMP_CLIENT_P10CR) {
        if (p10.subject == NULL)
            p10.subject = "/CN=fgt100f.local";
        ca_csr(&p10, &csr);
        config.csr = mu_buf_bytes(&csr);
    } else {
        config.subject = mu_buf_bytes(&subject);
    }
    if (r->signer != NULL) {
        config.signer_key = ca_key(r->signer_key);
    } else {
        config.ref = r->ref != NULL ? r->ref : "fgt100f";
        ca_ok(mu_secret_set(
            &secret, mu_bytes_str(r->secret != NULL ? r->secret : "fortinet1"), &ca_err));
        config.secret = &secret;
    }
    memset(&r->err, 0, sizeof r->err);
    if ((rc = mu_cmp_client_new(&config, &r->client, &r->err)) == MU_OK)
        rc = drive(w, r);
    if (r->client != NULL)
        mu_cmp_client_result(r->client, &r->result);
    if (r->client != NULL && r->result.cert != NULL)
        r->cert = mu_pki_cert_ref(r->result.cert);
    mu_secret_clear(&secret);
    mu_buf_clear(&subject);
    mu_buf_clear(&csr);
    mu_buf_clear(&names);
    mu_buf_clear(&extensions);
    return rc;
}

static void done(struct run *r)
{
    mu_cmp_client_free(r->client);
    mu_pki_cert_free(r->cert);
    r->client = NULL;
    r->cert = NULL;
}

static void works(struct ca_world *w, struct run *r)
{
    enum mu_code rc = go(w, r);

    if (rc != MU_OK)
        fail_msg("%d: %s (%s)", (int)rc, r->err.what, w->message);
}

/* Refused by the CA for this reason; bit is PKIFailureInfo's. */
static void refused(struct ca_world *w, struct run *r, enum mu_reason reason, int bit)
{
    assert_int_not_equal(go(w, r), MU_OK);
    if (w->reason != reason || r->result.fail_bit != bit)
        fail_msg("reason %d, bit %d: %s / %s", (int)w->reason, r->result.fail_bit, w->message,
            r->err.what);
    assert_string_equal(w->action, "refuse");
    done(r);
}

struct found {
    struct mu_bytes serial;
    enum mu_record_confirm confirm;
    int64_t revoked_s, until_s;
    int reason;
    bool found, delivered;
    uint8_t renews[24], renewed_by[24];
    size_t renews_n, renewed_by_n;
    unsigned n;
};

static bool on_cert(void *cookie, const struct mu_record_cert *row)
{
    struct found *f = cookie;

    f->n++;
    if (f->serial.n != 0 && !mu_bytes_equal(mu_enroll_record_serial(f->serial), row->serial))
        return true;
    f->found = true;
    f->confirm = row->confirm;
    f->revoked_s = row->revoked_s;
    f->until_s = row->confirm_until_s;
    f->reason = row->revoke_reason;
    f->delivered = row->delivery_known;
    f->renews_n = row->renews.n;
    f->renewed_by_n = row->renewed_by.n;
    if (row->renews.n != 0)
        memcpy(f->renews, row->renews.p, row->renews.n);
    if (row->renewed_by.n != 0)
        memcpy(f->renewed_by, row->renewed_by.p, row->renewed_by.n);
    return true;
}

static struct found record(struct ca_world *w, const struct mu_pki_cert *cert)
{
    struct found f = {.serial = cert->serial};

    ca_ok(mu_ca_certs_each(w->ca, &(struct mu_store_filter){0}, on_cert, &f, &ca_err));
    assert_true(f.found);
    return f;
}

static unsigned cert_count(struct ca_world *w)
{
    struct found f = {0};

    ca_ok(mu_ca_certs_each(w->ca, &(struct mu_store_filter){0}, on_cert, &f, &ca_err));
    return f.n;
}

static struct mu_pki_cert *issued(struct ca_world *w, enum ca_key key)
{
    struct run r = {.key = key};
    struct mu_pki_cert *cert;

    works(w, &r);
    cert = mu_pki_cert_ref(r.cert);
    done(&r);
    return cert;
}

static void approve(struct ca_world *w);

/* ---- who ---- */

/* C003, C052, C056, CMP-78: by reference and secret, signed and confirmed. */
static void an_entry_gets_a_certificate(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    works(w, &r);
    assert_true(r.result.confirmed);
    assert_true(ca_subject_is(r.cert, "/CN=fgt100f.local"));
    assert_int_equal(w->last_status, 200);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRMED);
    assert_true(record(w, r.cert).delivered);
    assert_string_equal(w->action, "confirm");
    assert_non_null(strstr(w->message, "Certificate \"CN=fgt100f.local\" was confirmed ("));
    done(&r);
    r = (struct run){.op = MU_CMP_CLIENT_CR, .key = CA_KEY_EC, .pbmac1 = true};
    works(w, &r);
    done(&r);
    r = (struct run){.op = MU_CMP_CLIENT_P10CR, .key = CA_KEY_B};
    works(w, &r);
    done(&r);
}

static bool find_message(void *cookie, const struct mu_record_audit *row)
{
    const char **want = cookie;

    if (strcmp(row->action, want[0]) == 0 && strcmp(row->message, want[1]) == 0)
        want[1] = NULL;
    return want[1] != NULL;
}

static void audited(struct ca_world *w, const char *action, const char *message)
{
    const char *want[] = {action, message};

    ca_ok(mu_ca_audits_each(w->ca, &(struct mu_store_filter){0}, find_message, want, &ca_err));
    if (want[1] != NULL)
        fail_msg("no audit line \"%s\"", message);
}

/* C051, C052: the text of the first issue in the trail. */
static void the_first_issue_is_in_the_trail(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    works(w, &r);
    audited(w, "issue",
        "Certificate signing request \"CN=fgt100f.local\" signed with CA certificate "
        "\"C=NL,ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=sceptest\"");
    done(&r);
}

/* C005, CMP-32: the text to the client, signed; the near name to the operator alone. */
static void an_unknown_reference_is_not_found(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.ref = "fgt999", .secret = "fortinet1"};
    struct mu_cmp_msg msg = {0};

    refused(w, &r, MU_REFUSE_ENTRY_UNKNOWN, MU_CMP_NOT_AUTHORIZED);
    assert_string_equal(
        w->message, "Enrollment not found. Reference \"fgt999\"; near: \"fgt100f\".");
    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(&w->last.body), &msg, &ca_err));
    assert_int_equal(msg.body.type, MU_CMP_ERROR);
    assert_non_null(memmem(w->last.body.p, w->last.body.n, "Enrollment not found.", 21));
    assert_null(memmem(w->last.body.p, w->last.body.n, "fgt100f", 7));
    assert_true(msg.protection.n > 64); /* signed: no MAC is so long */
    mu_cmp_msg_clear(&msg);
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whether a reference exists is not told by the time its refusal takes: the work for the MAC, which
 * its sender chose, is done for both. */
static void unknown_references_cost_as_much(void **state)
{
    struct ca_world *w = *state;
    struct run known = {.secret = "wrong", .iterations = 100000},
               unknown = {.ref = "fgt999", .secret = "wrong", .iterations = 100000};
    double begin = cpu_s(), between, end;

    refused(w, &known, MU_REFUSE_SIGNATURE, MU_CMP_BAD_MESSAGE_CHECK);
    between = cpu_s();
    refused(w, &unknown, MU_REFUSE_ENTRY_UNKNOWN, MU_CMP_NOT_AUTHORIZED);
    end = cpu_s();
    /* each is one derivation by the client and one by the CA: without the latter it would be half */
    assert_true(end - between > 0.75 * (between - begin));
}

/* What a derivation of 100,000 rounds takes alone: the least of three. */
static double derivation_s(void)
{
    const struct mu_pki_mac mac = {.kind = MU_PKI_MAC_PBM,
        .owf = MU_PKI_SHA256,
        .hash = MU_PKI_SHA256,
        .iterations = 100000,
        .salt_n = 16};
    struct mu_secret secret = {0}, key = {0};
    double least = 1;

    ca_ok(mu_secret_set(&secret, mu_bytes_str("fortinet1"), &ca_err));
    for (int i = 0; i < 3; i++) {
        double begin = cpu_s(), took;

        ca_ok(mu_pki_mac_derive(&mac, &secret, &key, &ca_err));
        took = cpu_s() - begin;
        least = took < least ? took : least;
    }
    mu_secret_clear(&secret);
    mu_secret_clear(&key);
    return least;
}

/* CMP-29: the key of a MAC is derived once for a transaction, also over a poll; a secret that was
 * changed in between is another one. */
static void new_secret(struct ca_world *w)
{
    struct mu_secret password = {0};

    ca_ok(mu_secret_set(&password, mu_bytes_str("another2"), &ca_err));
    ca_ok(mu_ca_entry_passwd(w->ca, "fgt100f", &password, NULL, "test", &ca_err));
    mu_secret_clear(&password);
}

static void a_macs_key_is_derived_once(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR, .iterations = 100000, .stop_at_save = true};
    struct mu_step step = {0};
    struct mu_event saved = {.type = MU_EVENT_SAVED};
    double begin, second;

    works(w, &r);
    post(w, "/pkix/", mu_buf_bytes(&first_request)); /* derived as ever: a first message */
    ca_ok(mu_cmp_client_step(r.client, &saved, &step, &ca_err));
    mu_buf_reset(&last_request);
    mu_buf_put_bytes(&last_request, step.request.body);
    begin = cpu_s();
    post(w, "/pkix/", mu_buf_bytes(&last_request));
    second = cpu_s() - begin;
    assert_int_equal(record(w, r.result.cert).confirm, MU_RECORD_CONFIRMED);
    assert_true(second < derivation_s());
    done(&r);
    ca_profile(w, "cmp", "approval = manual\n");
    r = (struct run){.on_wait = new_secret, .key = CA_KEY_B};
    refused(w, &r, MU_REFUSE_SIGNATURE, MU_CMP_BAD_MESSAGE_CHECK);
}

/* CMP-32: after a wrong MAC nothing is protected with the secret, and guesses run out. */
static void wrong_macs_are_counted(void **state)
{
    struct ca_world *w = *state;
    struct mu_cmp_msg msg = {0};

    for (unsigned i = 0; i < 20; i++) {
        struct run r = {.secret = "wrong"};

        refused(w, &r, MU_REFUSE_SIGNATURE, MU_CMP_BAD_MESSAGE_CHECK);
    }
    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(&w->last.body), &msg, &ca_err));
    assert_true(msg.protection.n > 64);
    mu_cmp_msg_clear(&msg);
    struct run r = {.secret = "fortinet1"};
    refused(w, &r, MU_REFUSE_RATE, MU_CMP_BAD_REQUEST);
    w->now_s += 3601;
    works(w, &r);
    done(&r);
}

static void entry_new(struct ca_world *w, const char *name, const char *profile, bool reusable)
{
    struct mu_secret password = {0};
    const struct mu_ca_entry_new entry = {.name = name,
        .protocols = 1u << MU_PROTO_CMP,
        .profile = profile,
        .password = &password,
        .reusable = reusable,
        .operator= "test" };

    ca_ok(mu_secret_set(&password, mu_bytes_str("another1"), &ca_err));
    ca_ok(mu_ca_entry_new(w->ca, &entry, NULL, &ca_err));
    mu_secret_clear(&password);
}

/* A one-time secret is good for one certificate, its confirmation included. */
static void a_one_time_secret_is_used_up(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.ref = "once", .secret = "another1"};

    entry_new(w, "once", "cmp", false);
    works(w, &r);
    assert_true(r.result.confirmed);
    done(&r);
    refused(w, &r, MU_REFUSE_PASSWORD_USED, MU_CMP_NOT_AUTHORIZED);
}

static void a_disabled_entry_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    ca_ok(mu_ca_entry_disable(w->ca, "fgt100f", true, "test", &ca_err));
    refused(w, &r, MU_REFUSE_ENTRY_DISABLED, MU_CMP_NOT_AUTHORIZED);
}

/* An entry of another protocol is none of CMP's. */
static void an_entry_of_scep_is_not_found(void **state)
{
    struct run r = {.ref = "demo-auto", .secret = "challenge1"};

    refused(*state, &r, MU_REFUSE_ENTRY_UNKNOWN, MU_CMP_NOT_AUTHORIZED);
}

/* C001 */
static void a_disabled_service_says_so_by_http(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_CMP, false, "test", &ca_err));
    assert_int_not_equal(go(w, &r), MU_OK);
    assert_int_equal(w->last_status, 503);
    done(&r);
    ca_ok(mu_ca_service_set(w->ca, MU_PROTO_CMP, true, "test", &ca_err));
    works(w, &r);
    done(&r);
}

/* C004, D10: refused without the option; with it each device has a password of its own. */
static void wildcards_need_the_option(void **state)
{
    struct ca_world *w = *state;
    struct mu_secret given = {0}, one = {0}, two = {0};
    struct mu_ca_entry_new entry = {.name = "fgt2*",
        .protocols = 1u << MU_PROTO_CMP,
        .profile = "cmp",
        .password = &given,
        .reusable = true,
        .operator= "test" };
    char secret[64];
    struct run r = {.ref = "fgt200"};

    ca_ok(mu_secret_set(&given, mu_bytes_str("the master"), &ca_err));
    assert_int_equal(mu_ca_entry_new(w->ca, &entry, NULL, &ca_err), MU_DENIED);
    assert_non_null(strstr(ca_err.what, "wildcard entries are not supported for CMP"));
    ca_profile(w, "cmp", "wildcard = yes\n");
    ca_ok(mu_ca_entry_new(w->ca, &entry, NULL, &ca_err));
    ca_ok(mu_ca_entry_device(w->ca, "fgt2*", "fgt200", &one, &ca_err));
    ca_ok(mu_ca_entry_device(w->ca, "fgt2*", "fgt201", &two, &ca_err));
    assert_int_equal(one.n, 24);
    assert_false(mu_bytes_equal(mu_secret_bytes(&one), mu_secret_bytes(&two)));
    assert_int_not_equal(mu_ca_entry_device(w->ca, "fgt2*", "fgt300", &two, &ca_err), MU_OK);
    snprintf(secret, sizeof secret, "%.*s", (int)one.n, (const char *)mu_secret_bytes(&one).p);
    r.secret = secret;
    works(w, &r);
    done(&r);
    r.ref = "fgt201"; /* another device's secret */
    refused(w, &r, MU_REFUSE_SIGNATURE, MU_CMP_BAD_MESSAGE_CHECK);
    r.ref = "fgt300";
    refused(w, &r, MU_REFUSE_ENTRY_UNKNOWN, MU_CMP_NOT_AUTHORIZED);
    mu_secret_clear(&given);
    mu_secret_clear(&one);
    mu_secret_clear(&two);
}

/* ---- profiles ---- */

/* C006: what the entry's profile says, nothing more. */
static void key_usages_are_the_profiles(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    ca_profile(w, "cmp", "key-usage = digitalSignature\neku = none\n");
    works(w, &r);
    assert_int_equal(r.cert->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
    assert_false(r.cert->exts.has_eku);
    done(&r);
}

/* CMP-52: what the profile changes is told, after a person's approval too. */
static void changes_are_granted_with_mods(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.subject = "/C=NL/CN=fgt100f.local"};

    works(w, &r);
    assert_false(r.result.granted_with_mods);
    done(&r);
    ca_profile(w, "cmp", "subject-drop = C\n");
    for (int i = 0; i < 2; i++) {
        r.on_wait = i ? approve : NULL;
        if (i)
            ca_profile(w, "cmp", "approval = manual\n");
        works(w, &r);
        assert_true(ca_subject_is(r.cert, "/CN=fgt100f.local"));
        assert_true(r.result.granted_with_mods);
        done(&r);
    }
}

/* CMP-51: without subject it is the alternative names that say who it is; without both nothing does. */
static void a_name_is_needed(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.subject = "/"};

    assert_int_not_equal(go(w, &r), MU_OK);
    assert_int_equal(r.result.fail_bit, MU_CMP_BAD_CERT_TEMPLATE);
    assert_int_equal(cert_count(w), 0);
    done(&r);
    r.san = "DNS:only.example";
    works(w, &r);
    assert_true(mu_pki_name_is_empty(r.cert->subject) && r.cert->exts.san.n != 0);
    done(&r);
}

/* C007: the preset for HTTPS servers has both usages. */
static void the_https_preset_has_both_usages(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.ref = "web", .secret = "another1"};
    const char *title, *settings = NULL;

    for (size_t i = 0; mu_enroll_profile_preset(i, &title, &settings) != NULL; i++)
        if (strcmp(mu_enroll_profile_preset(i, &title, &settings), "https-server") == 0)
            break;
    assert_non_null(settings);
    ca_ok(mu_ca_profile_put(w->ca, "https", settings, true, "test", &ca_err));
    entry_new(w, "web", "https", true);
    works(w, &r);
    assert_int_equal(r.cert->exts.key_usage & (MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT),
        MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_true(r.cert->exts.eku & MU_EKU_SERVER_AUTH);
    done(&r);
}

/* CMP-18: a profile the operator opened by its template-name; others are not for the asking. */
static void a_profile_is_chosen_by_name(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.profile = "short"};

    ca_ok(mu_ca_profile_put(w->ca, "brief", "lifetime = 1d\ntemplate-name = short\n", true, "test",
        &ca_err));
    works(w, &r);
    assert_int_equal(r.cert->not_after_s, w->now_s + 86400);
    done(&r);
    r.profile = "scep-auto";
    refused(w, &r, MU_REFUSE_UNSUPPORTED, MU_CMP_BAD_REQUEST);
    r = (struct run){.path = "/.well-known/cmp/p/short"};
    works(w, &r);
    assert_int_equal(r.cert->not_after_s, w->now_s + 86400);
    done(&r);
    r.path = "/.well-known/cmp/p/demo"; /* the CA's name */
    works(w, &r);
    done(&r);
    r.path = "/pkix/";
    works(w, &r);
    done(&r);
}

/* ---- certificates that sign ---- */

/* C053, C057, CMP-54: renewed with a new key; both serials linked. */
static void kur_renews(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = issued(w, CA_KEY_A);
    struct run r = {.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_B, .signer = old, .old = old};
    struct found f;
    struct mu_buf want = {0};

    works(w, &r);
    f = record(w, r.cert);
    assert_true(mu_bytes_equal(mu_bytes(f.renews, f.renews_n), mu_enroll_record_serial(old->serial)));
    f = record(w, old);
    assert_true(mu_bytes_equal(
        mu_bytes(f.renewed_by, f.renewed_by_n), mu_enroll_record_serial(r.cert->serial)));
    mu_buf_put_str(&want, "Certificate \"CN=fgt100f.local\" was renewed (");
    mu_text_hex(&want, mu_enroll_record_serial(r.cert->serial), ':');
    mu_buf_put_str(&want, ")");
    audited(w, "renew", mu_buf_str(&want));
    mu_buf_clear(&want);
    done(&r);
    mu_pki_cert_free(old);
}

/* CMP-54: not with another subject, not revoked, not by a MAC. */
static void kur_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = issued(w, CA_KEY_A), *other = issued(w, CA_KEY_B);
    struct mu_buf hex = {0};
    struct run r = {.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_B, .signer = old, .subject = "/CN=x"};

    refused(w, &r, MU_REFUSE_SUBJECT_DIFFERS, MU_CMP_BAD_CERT_TEMPLATE);
    r = (struct run){.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_B, .signer = old, .old = other};
    refused(w, &r, MU_REFUSE_CERT_ID, MU_CMP_BAD_CERT_ID); /* CMP-55 */
    mu_pki_cert_serial_hex(old->serial, &hex);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&hex), 1, "test", &ca_err));
    mu_buf_clear(&hex);
    r = (struct run){.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_B, .signer = old, .old = old};
    refused(w, &r, MU_REFUSE_SIGNER_REVOKED, MU_CMP_CERT_REVOKED);
    mu_pki_cert_free(old);
    mu_pki_cert_free(other);
}

/* CMP-53, CMP-57: another certificate for the same name; for another name only by an RA. */
static void cr_is_for_the_same_subject(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = issued(w, CA_KEY_A);
    struct run r = {.op = MU_CMP_CLIENT_CR, .key = CA_KEY_B, .signer = old};

    works(w, &r);
    assert_int_equal(record(w, r.cert).renews_n, 0);
    done(&r);
    r.subject = "/CN=other";
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    w->now_s = old->not_after_s + 1;
    r.subject = NULL;
    refused(w, &r, MU_REFUSE_SIGNER_UNTRUSTED, MU_CMP_SIGNER_NOT_TRUSTED);
    mu_pki_cert_free(old);
}

/* CMP-57: who has a certificate gets no alternative name by asking for his own subject, unless the
 * profile has a rule for such names. */
static void alternative_names_are_the_signers(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.key = CA_KEY_A, .san = "DNS:fgt100f.local, DNS:b.local"};
    struct mu_pki_cert *old;

    works(w, &r);
    old = mu_pki_cert_ref(r.cert);
    assert_true(old->exts.san.n != 0);
    done(&r);
    for (int op = MU_CMP_CLIENT_IR; op <= MU_CMP_CLIENT_P10CR; op++) {
        r = (struct run){.op = op, .key = CA_KEY_B, .signer = old, .san = "DNS:b.local"};
        if (op != MU_CMP_CLIENT_P10CR) { /* the helper's CSR has none */
            works(w, &r);
            done(&r);
            r.san = "DNS:b.local, DNS:www.bank.example";
            refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
        }
    }
    ca_profile(w, "cmp", "san = DNS:*.bank.example, DNS:*.local\n");
    r = (struct run){.op = MU_CMP_CLIENT_CR, .key = CA_KEY_B, .signer = old, .san = "DNS:www.bank.example"};
    works(w, &r);
    done(&r);
    ca_profile(w, "cmp", "san = drop\n");
    works(w, &r);
    assert_int_equal(r.cert->exts.san.n, 0);
    done(&r);
    mu_pki_cert_free(old);
}

/* A CA of a manufacturer with one device. */
static struct mu_pki_cert *device_named(
    const char *subject, const char *san, struct mu_pki_certs *anchors)
{
    struct mu_buf name = {0}, ca_name = {0}, der = {0}, exts = {0}, names = {0};
    uint8_t serial[] = {0x11}, id[20];
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, 1),
        .not_before_s = NOW - 86400,
        .not_after_s = NOW + 86400 * 400};
    struct mu_pki_cert *ca = NULL, *cert = NULL;
    size_t mark = mu_der_open(&exts, MU_DER_SEQUENCE);

    mu_pki_ext_put_basic(&exts, true, true, -1);
    mu_der_close(&exts, mark);
    ca_ok(mu_pki_name_parse("/O=Maker/CN=Devices", &ca_name, &ca_err));
    ca_ok(mu_pki_name_parse(subject, &name, &ca_err));
    tbs.issuer = tbs.subject = mu_buf_bytes(&ca_name);
    tbs.spki = mu_pki_key_spki(ca_key(CA_KEY_B));
    tbs.extensions = mu_buf_bytes(&exts);
    ca_ok(mu_pki_cert_make(&tbs, ca_key(CA_KEY_B), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &ca, &ca_err));
    mu_buf_reset(&der);
    serial[0] = 0x12;
    tbs.subject = mu_buf_bytes(&name);
    tbs.spki = mu_pki_key_spki(ca_key(CA_KEY_A));
    mu_buf_reset(&exts);
    mark = mu_der_open(&exts, MU_DER_SEQUENCE);
    assert_true(mu_pki_key_id(tbs.spki, id));
    mu_pki_ext_put_skid(&exts, id);
    if (san != NULL) {
        ca_ok(mu_pki_san_parse(san, &names, &ca_err));
        mu_pki_ext_put_san(&exts, true, mu_buf_bytes(&names));
    }
    mu_der_close(&exts, mark);
    tbs.extensions = mu_buf_bytes(&exts);
    ca_ok(mu_pki_cert_make(&tbs, ca_key(CA_KEY_B), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &ca_err));
    ca_ok(mu_pki_certs_add(anchors, ca, &ca_err));
    mu_pki_cert_free(ca);
    mu_buf_clear(&der);
    mu_buf_clear(&exts);
    mu_buf_clear(&name);
    mu_buf_clear(&ca_name);
    mu_buf_clear(&names);
    return cert;
}

static struct mu_pki_cert *device(const char *subject, struct mu_pki_certs *anchors)
{
    return device_named(subject, NULL, anchors);
}

/* client-ca and client-profile of the demo CA. */
static void set_client_ca_with(
    struct ca_world *w, const char *more, const struct mu_pki_certs *anchors)
{
    struct mu_buf settings = {0}, pem = {0};

    mu_pki_cert_to_pem(anchors->v[0], &pem);
    mu_buf_putf(&settings, "%sclient-profile = cmp\nclient-ca =", more);
    for (const char *p = mu_buf_str(&pem), *end; *p != '\0'; p = end + 1) {
        end = strchr(p, '\n');
        mu_buf_putf(&settings, "\n  %.*s", (int)(end - p), p);
    }
    mu_buf_put_str(&settings, "\n");
    ca_set(w, mu_buf_str(&settings));
    mu_buf_clear(&settings);
    mu_buf_clear(&pem);
}

static void set_client_ca(struct ca_world *w, const struct mu_pki_certs *anchors)
{
    set_client_ca_with(w, "", anchors);
}

/* CMP-57: "no subject" is nobody's name: only the alternative names tell who it is. */
static void two_empty_subjects_are_not_the_same(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs anchors = {0};
    struct mu_pki_cert *cert = device_named("/", "DNS:dev1.local", &anchors);
    struct run r = {.op = MU_CMP_CLIENT_IR, .key = CA_KEY_EC, .signer = cert, .subject = "/"};

    set_client_ca(w, &anchors);
    r.san = "DNS:dev2.local";
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    r.san = NULL;
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    r.san = "DNS:dev1.local";
    works(w, &r);
    done(&r);
    mu_pki_cert_free(cert);
    mu_pki_certs_clear(&anchors);
}

/* CMP-53: a manufacturer's certificate below client-ca; without that setting nobody trusts it. */
static void a_device_of_a_client_ca_enrolls(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs anchors = {0};
    struct mu_pki_cert *cert = device("/CN=fgt100f.local", &anchors);
    struct run r = {.op = MU_CMP_CLIENT_IR, .key = CA_KEY_EC, .signer = cert};

    refused(w, &r, MU_REFUSE_SIGNER_UNTRUSTED, MU_CMP_SIGNER_NOT_TRUSTED);
    set_client_ca(w, &anchors);
    works(w, &r);
    done(&r);
    r.subject = "/CN=somebody else";
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    r = (struct run){.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_EC, .signer = cert, .old = cert};
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    mu_pki_cert_free(cert);
    mu_pki_certs_clear(&anchors);
}

static struct mu_buf crl_file;

static enum mu_code file_read(void *cookie, const char *path, struct mu_buf *out, struct mu_err *err)
{
    mu_buf_put_bytes(out, mu_buf_bytes(&crl_file));
    return mu_buf_check(out, "file", err);
}

/* CMP-23: as for EST, by the lists of client-crl */
static void a_revoked_device_of_a_client_ca_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_certs anchors = {0};
    struct mu_pki_cert *cert = device("/CN=fgt100f.local", &anchors);
    struct run r = {.op = MU_CMP_CLIENT_IR, .key = CA_KEY_EC, .signer = cert};
    struct mu_pki_crl_entry entry = {.serial = cert->serial, .when_s = w->now_s - 5};
    struct mu_pki_crl_params params = {.issuer = anchors.v[0]->subject, .this_update_s = w->now_s - 10,
        .next_update_s = w->now_s + 1000, .number = 1, .entries = &entry, .n = 1};

    w->config.file_read = file_read;
    ca_world_restart(w);
    set_client_ca_with(w, "client-crl = maker.crl\n", &anchors);
    refused(w, &r, MU_REFUSE_SIGNER_UNTRUSTED, MU_CMP_SIGNER_NOT_TRUSTED);
    crl_file.max = 1 << 16;
    ca_ok(mu_pki_crl_make(&params, ca_key(CA_KEY_B), MU_PKI_SHA256, &crl_file, &ca_err));
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    refused(w, &r, MU_REFUSE_SIGNER_REVOKED, MU_CMP_CERT_REVOKED);
    params.n = 0;
    mu_buf_reset(&crl_file);
    ca_ok(mu_pki_crl_make(&params, ca_key(CA_KEY_B), MU_PKI_SHA256, &crl_file, &ca_err));
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    works(w, &r);
    done(&r);
    mu_buf_clear(&crl_file);
    mu_pki_cert_free(cert);
    mu_pki_certs_clear(&anchors);
}

/* ---- RA ---- */

static char waiting_id[32];

static bool on_waiting(void *cookie, const struct mu_record_request *row)
{
    snprintf(waiting_id, sizeof waiting_id, "%lld", (long long)row->id);
    return false;
}

static const char *waiting(struct ca_world *w)
{
    const struct mu_store_filter filter = {.by_state = true, .state = MU_RECORD_PENDING};

    waiting_id[0] = '\0';
    ca_ok(mu_ca_requests_each(w->ca, &filter, on_waiting, NULL, &ca_err));
    return waiting_id;
}

static void approve(struct ca_world *w)
{
    ca_ok(mu_ca_queue_approve(w->ca, waiting(w), NULL, "test", NULL, &ca_err));
}

static void reject(struct ca_world *w)
{
    ca_ok(mu_ca_queue_reject(w->ca, waiting(w), "not you", "test", &ca_err));
}

static void restart(struct ca_world *w)
{
    if (*waiting(w) != '\0')
        approve(w);
    ca_world_restart(w);
}

/* CMP-100, CMP-102: waits, is approved, and gets it by a poll, which is confirmed. */
static void a_person_approves(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.on_wait = approve};

    ca_profile(w, "cmp", "approval = manual\n");
    works(w, &r);
    assert_true(r.result.polls >= 1);
    assert_true(r.result.confirmed);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRMED);
    done(&r);
    r = (struct run){.on_wait = restart}; /* between request and poll */
    works(w, &r);
    assert_true(r.result.confirmed);
    done(&r);
    r = (struct run){.on_wait = approve, .implicit = true};
    works(w, &r);
    assert_true(r.result.implicit);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRM_NONE);
    done(&r);
}

static void a_person_rejects(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.on_wait = reject};

    ca_profile(w, "cmp", "approval = manual\n");
    refused(w, &r, MU_REFUSE_OPERATOR, MU_CMP_NOT_AUTHORIZED);
    assert_string_equal(w->message, "not you");
}

static struct mu_pki_cert *shut_off;

static void disable_and_approve(struct ca_world *w)
{
    ca_ok(mu_ca_entry_disable(w->ca, "fgt100f", true, "test", &ca_err));
    approve(w);
}

static void revoke_and_approve(struct ca_world *w)
{
    struct mu_buf hex = {0};

    mu_pki_cert_serial_hex(shut_off->serial, &hex);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&hex), 1, "test", &ca_err));
    mu_buf_clear(&hex);
    approve(w);
}

/* CMP-24, CMP-104: a poll by somebody who was shut off while waiting ends with that reason; also
 * when it leaves its certificate out (CMP-35). */
static void who_is_shut_off_while_waiting_gets_nothing(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.on_wait = disable_and_approve};

    shut_off = issued(w, CA_KEY_A);
    ca_profile(w, "cmp", "approval = manual\n");
    refused(w, &r, MU_REFUSE_ENTRY_DISABLED, MU_CMP_NOT_AUTHORIZED);
    ca_ok(mu_ca_entry_disable(w->ca, "fgt100f", false, "test", &ca_err));
    r = (struct run){.op = MU_CMP_CLIENT_CR, .key = CA_KEY_B, .signer = shut_off, .on_wait = approve,
        .bare_polls = true};
    works(w, &r);
    done(&r);
    r.on_wait = revoke_and_approve;
    refused(w, &r, MU_REFUSE_SIGNER_REVOKED, MU_CMP_CERT_REVOKED);
    mu_pki_cert_free(shut_off);
}

/* CMP-59: a certificate that speaks for the CA is never issued without a person. */
static struct mu_pki_cert *ra_certificate(struct ca_world *w)
{
    struct run r = {.ref = "ra", .secret = "another1", .subject = "/CN=ra", .on_wait = approve};
    struct mu_pki_cert *cert;

    ca_ok(mu_ca_profile_put(w->ca, "ra",
        "protocols = cmp\nkey-usage = digitalSignature\neku = cmcRA\nrenew-before = any\n", true,
        "test", &ca_err));
    entry_new(w, "ra", "ra", true);
    works(w, &r);
    assert_true(r.result.polls >= 1);
    cert = mu_pki_cert_ref(r.cert);
    done(&r);
    return cert;
}

/* CMP-57, CMP-88: an RA asks and revokes for others; the same certificate revoked no longer. */
static void an_ra_speaks_for_others(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *ra = ra_certificate(w), *other = issued(w, CA_KEY_B);
    struct run r = {.op = MU_CMP_CLIENT_CR, .key = CA_KEY_EC, .signer = ra, .subject = "/CN=dev"};

    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED); /* no client-profile yet */
    ca_ok(mu_ca_profile_put(w->ca, "brief", "lifetime = 1d\ntemplate-name = short\n", true, "test",
        &ca_err));
    r.profile = "short"; /* CMP-18: beside his own; who has none names none either */
    refused(w, &r, MU_REFUSE_UNSUPPORTED, MU_CMP_BAD_REQUEST);
    r.profile = NULL;
    ca_set(w, "client-profile = cmp\n");
    works(w, &r);
    assert_true(ca_subject_is(r.cert, "/CN=dev"));
    done(&r);
    r = (struct run){.op = MU_CMP_CLIENT_RR, .signer = ra, .old = other, .reason = 6};
    works(w, &r);
    done(&r);
    assert_int_equal(record(w, other).reason, 6);
    r.reason = 8; /* CMP-90 */
    works(w, &r);
    done(&r);
    assert_int_equal(record(w, other).revoked_s, 0);
    refused(w, &r, MU_REFUSE_STATE, MU_CMP_BAD_REQUEST);
    mu_pki_cert_free(ra);
    mu_pki_cert_free(other);
}

static void sent_again(struct ca_world *w, const struct mu_buf *message, enum mu_reason reason)
{
    w->reason = 0;
    post(w, "/pkix/", mu_buf_bytes(message));
    assert_int_equal(w->reason, reason);
}

/* CMP-38, CMP-90: whoever saw a hold or a release go by cannot make it happen once more. */
static void holds_and_releases_are_not_repeated(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *ra = ra_certificate(w), *other = issued(w, CA_KEY_B);
    struct run r = {.op = MU_CMP_CLIENT_RR, .signer = ra, .old = other};
    struct mu_buf hold = {0}, release = {0};

    for (int i = 0; i < 2; i++) {
        r.reason = i ? 8 : 6;
        works(w, &r);
        mu_buf_put_bytes(i ? &release : &hold, mu_buf_bytes(&first_request));
        done(&r);
        assert_int_equal(record(w, other).revoked_s != 0, i == 0);
        w->now_s += 300;
    }
    w->now_s += 301; /* released */
    sent_again(w, &hold, MU_REFUSE_CLOCK);
    assert_int_equal(record(w, other).revoked_s, 0);
    r.reason = 6;
    works(w, &r);
    done(&r);
    sent_again(w, &release, MU_REFUSE_CLOCK);
    assert_int_not_equal(record(w, other).revoked_s, 0);
    sent_again(w, &hold, MU_REFUSE_REVOKED);
    r.reason = 8;
    works(w, &r);
    done(&r);
    assert_int_equal(record(w, other).revoked_s, 0);
    mu_buf_clear(&hold);
    mu_buf_clear(&release);
    mu_pki_cert_free(ra);
    mu_pki_cert_free(other);
}

/* CMP-54, CMP-55: an RA renews for another, whom oldCertID names; the rules are those of the
 * certificate that is renewed. */
static void an_ra_renews_for_others(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *ra = ra_certificate(w), *other = issued(w, CA_KEY_B);
    struct run r = {.op = MU_CMP_CLIENT_KUR, .key = CA_KEY_EC, .signer = ra, .old = other};
    struct mu_buf hex = {0};
    struct found f;

    works(w, &r);
    assert_true(ca_subject_is(r.cert, "/CN=fgt100f.local"));
    f = record(w, r.cert);
    assert_true(
        mu_bytes_equal(mu_bytes(f.renews, f.renews_n), mu_enroll_record_serial(other->serial)));
    assert_false(r.cert->exts.eku & MU_EKU_CMC_RA);
    done(&r);
    r.subject = "/CN=x"; /* and not for another name */
    refused(w, &r, MU_REFUSE_SUBJECT_DIFFERS, MU_CMP_BAD_CERT_TEMPLATE);
    r.subject = NULL;
    mu_pki_cert_serial_hex(other->serial, &hex);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&hex), 1, "test", &ca_err));
    mu_buf_clear(&hex);
    refused(w, &r, MU_REFUSE_REVOKED, MU_CMP_CERT_REVOKED);
    mu_pki_cert_free(ra);
    mu_pki_cert_free(other);
}

/* CMP-105, CMP-107, CMP-110: nested by an RA of ours, with the device's own protection inside; and
 * by one whose certificate has been revoked. */
static void an_ra_nests_messages(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *ra = ra_certificate(w);
    struct run r = {.op = MU_CMP_CLIENT_IR, .key = CA_KEY_EC, .around = ra};
    struct mu_buf hex = {0};

    works(w, &r);
    assert_true(r.result.confirmed);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRMED);
    done(&r);
    mu_pki_cert_serial_hex(ra->serial, &hex);
    ca_ok(mu_ca_revoke(w->ca, NULL, mu_buf_str(&hex), 1, "test", &ca_err));
    mu_buf_clear(&hex);
    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    mu_pki_cert_free(ra);
}

/* An ordinary certificate nests nothing. */
static void who_is_no_ra_nests_nothing(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = issued(w, CA_KEY_A);
    struct run r = {.op = MU_CMP_CLIENT_IR, .key = CA_KEY_EC, .around = cert};

    refused(w, &r, MU_REFUSE_NOT_ENTITLED, MU_CMP_NOT_AUTHORIZED);
    mu_pki_cert_free(cert);
}

/* ---- confirmation ---- */

static void other_hash(struct run *r, const struct mu_cmp_msg *msg, struct mu_buf *out)
{
    struct mu_cmp_body body = msg->body;
    uint8_t hash[32] = {1, 2, 3};

    assert_int_equal(body.type, MU_CMP_CERT_CONF);
    body.u.conf.status.cert_hash = mu_bytes(hash, 32);
    protect(&msg->header, &body, "fgt100f", "fortinet1", r, out);
}

/* CMP-77: confirmed is the certificate that was issued, or none; the wait for it goes on. */
static void a_wrong_hash_confirms_nothing(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR, .change = other_hash};

    assert_int_equal(go(w, &r), MU_DENIED);
    assert_int_equal(r.err.reason, MU_M(508));
    assert_int_equal(w->reason, MU_REFUSE_CERT_ID);
    assert_int_equal(r.result.fail_bit, MU_CMP_BAD_CERT_ID);
    assert_int_equal(record(w, r.result.cert).confirm, MU_RECORD_CONFIRM_WAITING);
    assert_int_equal(record(w, r.result.cert).revoked_s, 0);
    done(&r);
}

static void other_sender(struct run *r, const struct mu_cmp_msg *msg, struct mu_buf *out)
{
    protect(&msg->header, &msg->body, "other", "another1", r, out);
}

/* CMP-104: a poll, or a confirmation, under another reference, though its secret is right. */
static void another_sender_gets_nothing_of_it(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR, .change = other_sender};

    entry_new(w, "other", "cmp", true);
    assert_int_not_equal(go(w, &r), MU_OK);
    assert_int_equal(w->reason, MU_REFUSE_NOT_ENTITLED);
    assert_int_equal(record(w, r.result.cert).confirm, MU_RECORD_CONFIRM_WAITING);
    done(&r);
    ca_profile(w, "cmp", "approval = manual\n");
    r = (struct run){.key = CA_KEY_B, .on_wait = approve, .change = other_sender};
    w->sends = 0;
    assert_int_not_equal(go(w, &r), MU_OK);
    assert_int_equal(w->reason, MU_REFUSE_NOT_ENTITLED);
    assert_null(r.result.cert);
    done(&r);
}

/* CMP-77: the second certConf hears certConfirmed; so does one after a restart. */
static void a_confirmation_counts_once(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    works(w, &r);
    assert_int_equal(w->reason, 0);
    ca_world_restart(w);
    post(w, "/app/cert/cmp2", mu_buf_bytes(&last_request));
    assert_int_equal(w->reason, MU_REFUSE_CONFIRMED);
    assert_int_equal(record(w, r.cert).revoked_s, 0);
    done(&r);
}

/* The certConf comes to a responder that was started anew. */
static void a_confirmation_survives_a_restart(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.stop_at_save = true};
    struct mu_step step = {0};
    struct mu_event saved = {.type = MU_EVENT_SAVED};

    works(w, &r);
    ca_world_restart(w);
    ca_ok(mu_cmp_client_step(r.client, &saved, &step, &ca_err));
    assert_int_equal(step.want, MU_WANT_SEND);
    ca_ok(send(w, &r, &step));
    assert_int_equal(step.want, MU_WANT_DONE);
    assert_int_equal(record(w, r.result.cert).confirm, MU_RECORD_CONFIRMED);
    done(&r);
}

/* CMP-79: revoked, told, and in the next list; who confirms it then hears so, and not that all is well. */
static void what_nobody_confirms_is_revoked(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.stop_at_save = true};
    struct mu_event saved = {.type = MU_EVENT_SAVED};
    struct mu_step step = {0};
    struct mu_buf crl = {0};
    struct found f;

    ca_set(w, "cmp-confirm-wait = 10min\n");
    works(w, &r);
    f = record(w, r.cert);
    assert_int_equal(f.confirm, MU_RECORD_CONFIRM_WAITING);
    assert_int_equal(f.until_s, w->now_s + 600);
    w->now_s += 600;
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    assert_int_equal(record(w, r.cert).revoked_s, 0);
    w->now_s += 1;
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    f = record(w, r.cert);
    assert_int_equal(f.confirm, MU_RECORD_CONFIRM_REJECTED);
    assert_int_equal(f.revoked_s, w->now_s);
    ca_ok(mu_ca_crl_latest(w->ca, NULL, &crl, &ca_err));
    assert_non_null(memmem(crl.p, crl.n, r.cert->serial.p, r.cert->serial.n));
    mu_buf_clear(&crl);
    ca_ok(mu_cmp_client_step(r.client, &saved, &step, &ca_err));
    assert_int_equal(step.want, MU_WANT_SEND);
    assert_int_not_equal(send(w, &r, &step), MU_OK);
    assert_int_equal(w->reason, MU_REFUSE_REVOKED);
    assert_int_equal(r.err.reason, MU_M(508));
    done(&r);
}

/* CMP-66: encrypted to its key, at once and after a wait, over a restart; whoever cannot open it cannot
 * confirm it, and then it is revoked, whatever was asked for about confirmation. */
static void an_encrypted_certificate_is_to_be_confirmed(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.indirect = true, .implicit = true, .stop_at_save = true};
    struct found f;

    ca_set(w, "cmp-implicit-confirm = yes\ncmp-confirm-wait = 10min\n");
    works(w, &r);
    f = record(w, r.cert);
    assert_int_equal(f.confirm, MU_RECORD_CONFIRM_WAITING);
    w->now_s += 601;
    ca_ok(mu_ca_tick(w->ca, &ca_err));
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRM_REJECTED);
    done(&r);
    ca_profile(w, "cmp", "approval = manual\n");
    r = (struct run){.indirect = true, .implicit = true, .on_wait = restart};
    works(w, &r);
    assert_true(r.result.polls >= 1 && r.result.confirmed && !r.result.implicit);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRMED);
    done(&r);
}

/* An issuer that certifies another key than it was asked for. */
static void issue_wrongly(struct mu_issuer *issuer, const struct mu_issuer_order *order,
    mu_issuer_done *call, void *cookie)
{
    static uint8_t serial[] = {0x41, 0x42};
    struct mu_buf der = {0}, name = {0};
    struct mu_pki_cert *cert = NULL;
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, 2),
        .subject = order->subject,
        .spki = mu_pki_key_spki(ca_key(CA_KEY_B)),
        .not_before_s = order->not_before_s,
        .not_after_s = order->not_after_s,
        .extensions = order->extensions};

    ca_ok(mu_pki_name_parse(MU_CA_DEMO_SUBJECT, &name, &ca_err));
    tbs.issuer = mu_buf_bytes(&name);
    ca_ok(mu_pki_cert_make(&tbs, ca_key(CA_KEY_B), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &ca_err));
    call(cookie, cert, NULL);
    mu_pki_cert_free(cert);
    mu_buf_clear(&der);
    mu_buf_clear(&name);
}

/* CMP-75, CMP-78: a client that cannot use its certificate says so, and it is revoked. */
static void a_rejected_certificate_is_revoked(void **state)
{
    static const struct mu_issuer_ops ops = {issue_wrongly};
    struct ca_world *w = *state;
    struct mu_issuer issuer = {&ops};
    struct run r = {.op = MU_CMP_CLIENT_IR};

    w->config.issuer = &issuer;
    ca_world_restart(w);
    assert_int_not_equal(go(w, &r), MU_OK);
    assert_string_equal(w->action, "reject");
    assert_int_equal(cert_count(w), 1);
    struct found f = {0};
    ca_ok(mu_ca_certs_each(w->ca, &(struct mu_store_filter){0}, on_cert, &f, &ca_err));
    assert_int_equal(f.confirm, MU_RECORD_CONFIRM_REJECTED);
    assert_int_not_equal(f.revoked_s, 0);
    done(&r);
}

/* CMP-73, CMP-74: granted by policy, or not. */
static void implicit_confirmation_is_policy(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.implicit = true};

    works(w, &r);
    assert_true(r.result.implicit);
    assert_int_equal(record(w, r.cert).confirm, MU_RECORD_CONFIRM_NONE);
    done(&r);
    ca_set(w, "cmp-implicit-confirm = no\n");
    works(w, &r);
    assert_false(r.result.implicit);
    assert_true(r.result.confirmed);
    done(&r);
}

/* ---- transactions ---- */

/* The same ir once more gets the same certificate in a new answer, and counts no second use. */
static void a_request_sent_again_gets_the_same(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.ref = "once", .secret = "another1", .stop_at_save = true};
    struct mu_buf first = {0};

    entry_new(w, "once", "cmp", false);
    works(w, &r);
    mu_buf_put_bytes(&first, mu_buf_bytes(&w->last.body));
    ca_world_restart(w);
    post(w, "/app/cert/cmp2", mu_buf_bytes(&first_request));
    assert_int_equal(cert_count(w), 1);
    assert_non_null(memmem(w->last.body.p, w->last.body.n, r.result.cert->der.p,
        r.result.cert->der.n));
    assert_false(mu_bytes_equal(mu_buf_bytes(&first), mu_buf_bytes(&w->last.body)));
    mu_buf_clear(&first);
    done(&r);
}

/* CMP-07: where the CA sets a slack, a message of another time is refused, repeated ones too. */
static void an_old_message_is_refused_where_the_ca_says_so(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.stop_at_save = true};

    works(w, &r);
    w->now_s += 601;
    post(w, "/pkix/", mu_buf_bytes(&first_request)); /* devices without a clock enroll too */
    assert_int_equal(w->reason, 0);
    ca_set(w, "cmp-time-slack = 10min\n");
    post(w, "/pkix/", mu_buf_bytes(&first_request));
    assert_int_equal(w->reason, MU_REFUSE_CLOCK);
    w->reason = 0;
    w->now_s -= 1;
    post(w, "/pkix/", mu_buf_bytes(&first_request));
    assert_int_equal(w->reason, 0);
    done(&r);
}

/* CMP-12 */
static void a_transaction_id_in_use_is_refused(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.transaction_id = "000102030405060708090A0B0C0D0E0F"};

    works(w, &r);
    done(&r);
    r.key = CA_KEY_B;
    refused(w, &r, MU_REFUSE_TRANSACTION, MU_CMP_TRANSACTION_ID_IN_USE);
    assert_int_equal(cert_count(w), 1);
}

/* ---- revocation ---- */

/* CMP-87, CMP-89: by itself, once; the list has it at once. */
static void a_certificate_revokes_itself(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = issued(w, CA_KEY_A), *other = issued(w, CA_KEY_B);
    struct run r = {.op = MU_CMP_CLIENT_RR, .signer = cert, .old = cert, .reason = 1};

    works(w, &r);
    done(&r);
    assert_int_equal(record(w, cert).reason, 1);
    assert_int_equal(ca_get(w, "/crl/demo.crl"), 200);
    assert_non_null(memmem(w->last.body.p, w->last.body.n, cert->serial.p, cert->serial.n));
    refused(w, &r, MU_REFUSE_REVOKED, MU_CMP_CERT_REVOKED);
    r = (struct run){.op = MU_CMP_CLIENT_RR,
        .signer = other,
        .signer_key = CA_KEY_B,
        .old = cert,
        .reason = 1};
    refused(w, &r, MU_REFUSE_CERT_ID, MU_CMP_BAD_CERT_ID);
    mu_pki_cert_free(cert);
    mu_pki_cert_free(other);
}

/* A certificate that the CA's record does not have, of this issuer. */
static struct mu_pki_cert *stranger(const char *issuer)
{
    struct mu_buf name = {0}, der = {0};
    uint8_t serial[] = {0x77, 0x78};
    struct mu_pki_cert *cert = NULL;
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, 2),
        .not_before_s = NOW - 60,
        .not_after_s = NOW + 86400,
        .spki = mu_pki_key_spki(ca_key(CA_KEY_B))};

    ca_ok(mu_pki_name_parse(issuer, &name, &ca_err));
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    ca_ok(mu_pki_cert_make(&tbs, ca_key(CA_KEY_B), MU_PKI_SHA256, &der, &ca_err));
    ca_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &ca_err));
    mu_buf_clear(&name);
    mu_buf_clear(&der);
    return cert;
}

/* CMP-89: what is not known, is another CA's, or has expired. */
static void what_cannot_be_revoked(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *old = issued(w, CA_KEY_B), *ra, *unknown = stranger(MU_CA_DEMO_SUBJECT),
                       *foreign = stranger("/CN=another CA");
    struct run r = {.op = MU_CMP_CLIENT_RR, .reason = 1};

    w->now_s += INT64_C(86400) * 200;
    r.signer = ra = ra_certificate(w);
    r.old = unknown;
    refused(w, &r, MU_REFUSE_NO_SUCH_CERT, MU_CMP_BAD_CERT_ID);
    r.old = foreign;
    refused(w, &r, MU_REFUSE_NO_SUCH_CERT, MU_CMP_BAD_CERT_ID);
    w->now_s = old->not_after_s + 1;
    r.old = old;
    refused(w, &r, MU_REFUSE_CERT_ID, MU_CMP_BAD_CERT_ID);
    assert_int_equal(record(w, old).revoked_s, 0);
    mu_pki_cert_free(old);
    mu_pki_cert_free(ra);
    mu_pki_cert_free(unknown);
    mu_pki_cert_free(foreign);
}

/* ---- questions about the CA ---- */

/* CMP-94, CMP-95: the template says what the profile wants, and nothing that it must not. */
static void a_template_is_the_profiles(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_TEMPLATE};
    struct mu_cmp_req_template t;
    struct mu_pki_exts exts = {0};
    struct mu_buf retagged = {.max = 1 << 16};

    ca_profile(w, "cmp",
        "subject = fixed /O=Fixed/CN=all\nkeys = rsa:3072, ec:P-384, ed25519\nkey-usage = "
        "digitalSignature,keyEncipherment\neku = serverAuth\n");
    works(w, &r);
    mu_buf_grow(&retagged, 4096);
    mu_buf_reset(&retagged);
    ca_ok(mu_cmp_genm_template_decode(r.result.cert_template, &retagged, &t, &ca_err));
    assert_true(t.tmpl.version < 0 && t.tmpl.serial.p == NULL && t.tmpl.spki.p == NULL
        && t.tmpl.signing_alg.p == NULL && !t.tmpl.has_unique_ids);
    ca_ok(mu_pki_exts_decode(t.tmpl.extensions, &exts, &ca_err));
    assert_int_equal(exts.key_usage, MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    assert_int_equal(exts.eku, MU_EKU_SERVER_AUTH);
    assert_int_equal(t.key_spec_n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(t.key_specs[i].type,
            i == 0 ? MU_PKI_KEY_EC : i == 1 ? MU_PKI_KEY_ED25519 : MU_PKI_KEY_RSA);
    assert_int_equal(t.key_specs[0].bits, 384);
    assert_int_equal(t.key_specs[2].bits, 3072);
    /* regCtrl-algId and regCtrl-rsaKeyLen, RFC 9810 5.3.19.16 */
    assert_non_null(memmem(r.result.cert_template.p, r.result.cert_template.n, "\6\x09+\6\1\5\5\7\5\1\x0b", 11));
    assert_non_null(memmem(r.result.cert_template.p, r.result.cert_template.n, "\6\x09+\6\1\5\5\7\5\1\x0c", 11));
    mu_buf_clear(&retagged);
    done(&r);
}

/* CMP-92, CMP-94, CMP-97 */
static void the_ca_tells_of_itself(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_TEMPLATE};

    works(w, &r);
    assert_true(r.result.cert_template.n > 20);
    done(&r);
    r.op = MU_CMP_CLIENT_CRL;
    works(w, &r);
    assert_true(r.result.crl.n > 100);
    done(&r);
    r.op = MU_CMP_CLIENT_CA;
    works(w, &r);
    done(&r);
    r.op = MU_CMP_CLIENT_ROOT_UPDATE; /* CMP-93: there is none */
    assert_int_equal(go(w, &r), MU_NOT_FOUND);
    assert_non_null(strstr(r.err.what, "no update of this root"));
    done(&r);
}

/* CMP-97, SCEP-74: what was revoked a moment ago is on the list that is asked for now. */
static void the_list_has_what_was_just_revoked(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = issued(w, CA_KEY_A), *other = issued(w, CA_KEY_B);
    struct run r = {.op = MU_CMP_CLIENT_RR, .signer = cert, .old = cert, .reason = 1};
    struct mu_scep_client *client = NULL;
    struct mu_scep_client_result result = {0};

    works(w, &r);
    done(&r);
    r = (struct run){.op = MU_CMP_CLIENT_CRL};
    works(w, &r);
    assert_non_null(memmem(r.result.crl.p, r.result.crl.n, cert->serial.p, cert->serial.n));
    done(&r);
    mu_pki_cert_free(cert);
    cert = issued(w, CA_KEY_A);
    r = (struct run){.op = MU_CMP_CLIENT_RR, .signer = cert, .old = cert, .reason = 1};
    works(w, &r);
    done(&r);
    ca_ok(ca_run(w, &(struct ca_client){.op = MU_SCEP_CLIENT_CRL, .signer = other, .signer_key = CA_KEY_B},
        NULL, &result, &client));
    assert_non_null(memmem(result.crl.p, result.crl.n, cert->serial.p, cert->serial.n));
    mu_scep_client_free(client);
    mu_pki_cert_free(cert);
    mu_pki_cert_free(other);
}

/* CMP-131: newWithOld begins with the new root and ends with the old one at the latest, oldWithNew
 * has the old one's days; each bears the key it is named for and is signed by the other. */
static void links_are_right(
    struct ca_world *w, struct mu_pki_cert *old, const struct mu_pki_cert *new_root)
{
    struct mu_cmp_root_update update;
    struct mu_pki_cert *new_with_new, *new_with_old, *old_with_new;
    struct mu_cmp_msg msg = {0};

    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(&w->last.body), &msg, &ca_err));
    assert_true(mu_cmp_genm_root_update_decode(msg.body.u.gen.v[0].value, &update));
    ca_ok(mu_pki_cert_decode(update.new_with_new, &new_with_new, &ca_err));
    ca_ok(mu_pki_cert_decode(update.new_with_old, &new_with_old, &ca_err));
    ca_ok(mu_pki_cert_decode(update.old_with_new, &old_with_new, &ca_err));
    assert_true(mu_pki_cert_equal(new_with_new, new_root));
    assert_true(new_with_new->not_before_s <= old->not_after_s);
    assert_int_equal(new_with_old->not_before_s, new_with_new->not_before_s);
    assert_true(new_with_old->not_after_s <= old->not_after_s);
    assert_int_equal(old_with_new->not_before_s, old->not_before_s);
    assert_int_equal(old_with_new->not_after_s, old->not_after_s);
    assert_true(mu_bytes_equal(new_with_old->spki, new_with_new->spki));
    assert_true(mu_bytes_equal(old_with_new->spki, old->spki));
    ca_ok(mu_pki_cert_verify(new_with_old, old, false, &ca_err));
    ca_ok(mu_pki_cert_verify(old_with_new, new_with_new, false, &ca_err));
    mu_pki_cert_free(new_with_new);
    mu_pki_cert_free(new_with_old);
    mu_pki_cert_free(old_with_new);
    mu_cmp_msg_clear(&msg);
}

/* CMP-93, CMP-131: the successor, signed by the root that the client has, is told and taken. */
static void the_next_root_is_told(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_ROOT_UPDATE};
    struct mu_pki_certs old = {0};
    struct mu_pki_cert *was;

    mu_ca_each(w->ca, take_root, NULL);
    was = mu_pki_cert_ref(trusted.v[0]);
    w->now_s += 10;
    ca_ok(mu_ca_next(w->ca, "demo", "test", &ca_err));
    works(w, &r);
    assert_true(r.result.ca_certs != NULL && r.result.ca_certs->n >= 1);
    assert_false(mu_pki_cert_equal(r.result.ca_certs->v[0], trusted.v[0]));
    assert_true(
        mu_pki_name_equal(r.result.ca_certs->v[0]->subject, trusted.v[0]->subject));
    links_are_right(w, trusted.v[0], r.result.ca_certs->v[0]);
    done(&r);
    w->now_s += 10;
    ca_ok(mu_ca_activate(w->ca, "demo", "test", &ca_err));
    assert_int_equal(go(w, &r), MU_NOT_FOUND); /* who has the new one already */
    done(&r);
    ca_ok(mu_pki_certs_add(&old, was, &ca_err));
    r.trusted = &old;
    works(w, &r); /* who still has the former one */
    assert_true(mu_bytes_equal(r.result.ca_certs->v[0]->der, trusted.v[0]->der));
    done(&r);
    mu_pki_certs_clear(&old);
    mu_pki_cert_free(was);
}

/* ---- HTTP ---- */

/* C036 */
static void the_answer_has_its_headers(void **state)
{
    static const struct mu_http_header want[] = {{"X-XSS-Protection", "1; mode=block"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "strict-origin-when-cross-origin"},
        {"Permissions-Policy", "fullscreen=(self)"}, {"Connection", "close"},
        {"Content-Type", "application/pkixcmp"}};
    struct ca_world *w = *state;
    struct run r = {.op = MU_CMP_CLIENT_IR};

    works(w, &r);
    done(&r);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        unsigned n = 0;

        for (size_t j = 0; j < w->last.header_n; j++)
            n += strcasecmp(w->last.headers[j].name, want[i].name) == 0;
        assert_int_equal(n, 1);
        assert_string_equal(
            mu_http_header_get(w->last.headers, w->last.header_n, want[i].name), want[i].value);
    }
    assert_int_equal(ca_get(w, "/.well-known/cmp"), 405);
    post(w, "/pkix", mu_bytes_str("no message"));
    assert_int_equal(w->last_status, 400);
}

/* CMP-46: an error message, which nobody need protect, is answered by pkiConf. */
static void an_error_is_answered_by_pkiconf(void **state)
{
    struct ca_world *w = *state;
    struct mu_cmp_header header = {.pvno = 2,
        .transaction_id = mu_bytes("0123456789abcdef", 16),
        .sender_nonce = mu_bytes("fedcba9876543210", 16)};
    const struct mu_cmp_body body = {
        .type = MU_CMP_ERROR, .u.error.status = {.status = MU_CMP_REJECTION}};
    struct mu_buf part = {0}, message = {0};
    struct mu_cmp_msg msg = {0};

    mu_cmp_msg_encode_part(&header, &body, &part);
    ca_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), (struct mu_bytes){0}, NULL, &message, &ca_err));
    post(w, "/pkix/", mu_buf_bytes(&message));
    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(&w->last.body), &msg, &ca_err));
    assert_int_equal(msg.body.type, MU_CMP_PKICONF);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&part);
    mu_buf_clear(&message);
}

/* CMP-80: the key is made here where the profile allows it, and under no approval. */
static void keys_are_made_where_the_profile_says_so(void **state)
{
    struct ca_world *w = *state;
    struct run r = {.keygen = true};

    ca_profile(w, "cmp", "keygen = no\n");
    refused(w, &r, MU_REFUSE_UNSUPPORTED, MU_CMP_BAD_REQUEST);
    ca_profile(w, "cmp", "keygen = yes\napproval = manual\n");
    refused(w, &r, MU_REFUSE_UNSUPPORTED, MU_CMP_BAD_REQUEST);
}

/* The certificate in the answer's key package. */
static struct mu_pki_cert *package_signer(struct ca_world *w, struct mu_buf *key_answer)
{
    const struct mu_pki_key_package_opener with = {.key = ca_key(CA_KEY_A), .bare = true};
    struct mu_pki_key_package package = {0};
    struct mu_pki_cert *signer;
    struct mu_cmp_msg msg = {0};

    ca_ok(mu_cmp_msg_decode(mu_buf_bytes(key_answer), &msg, &ca_err));
    ca_ok(mu_pki_key_package_open(msg.body.u.rep.response.private_key, &with, &package, &ca_err));
    signer = mu_pki_cert_ref(package.signer);
    mu_pki_key_package_clear(&package);
    mu_cmp_msg_clear(&msg);
    return signer;
}

/* CMP-82, CMP-86: the key comes signed by the key generation authority, of the CA that there is. */
static void a_key_is_signed_by_the_kga(void **state)
{
    struct ca_world *w = *state;
    struct mu_pki_cert *cert = issued(w, CA_KEY_A), *kga;
    struct run r = {.op = MU_CMP_CLIENT_CR, .signer = cert, .keygen = true, .stop_at_save = true};

    for (int round = 0; round < 2; round++) {
        works(w, &r);
        assert_non_null(r.result.key);
        kga = package_signer(w, &w->last.body);
        assert_true(ca_subject_is(kga, "/C=NL/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=sceptest KGA"));
        assert_int_equal(kga->exts.eku, MU_EKU_CM_KGA);
        assert_int_equal(kga->exts.key_usage, MU_KU_DIGITAL_SIGNATURE);
        mu_pki_cert_free(kga);
        done(&r);
        post(w, "/pkix/", mu_buf_bytes(&first_request)); /* and is handed over once */
        assert_int_equal(w->reason, MU_REFUSE_UNDELIVERABLE);
        ca_world_restart(w); /* the authority is kept */
    }
    w->now_s += 10;
    ca_ok(mu_ca_next(w->ca, "demo", "test", &ca_err));
    ca_ok(mu_ca_activate(w->ca, "demo", "test", &ca_err)); /* the successor has its own */
    mu_pki_cert_free(cert);
    cert = issued(w, CA_KEY_A);
    r.signer = cert;
    works(w, &r);
    kga = package_signer(w, &w->last.body);
    assert_true(mu_bytes_equal(kga->exts.akid, trusted.v[0]->exts.skid));
    mu_pki_cert_free(kga);
    done(&r);
    mu_pki_cert_free(cert);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, ca_world_demo, ca_world_end)
    const struct CMUnitTest tests[] = {
        CASE(an_entry_gets_a_certificate),
        CASE(the_first_issue_is_in_the_trail),
        CASE(an_unknown_reference_is_not_found),
        CASE(unknown_references_cost_as_much),
        CASE(a_macs_key_is_derived_once),
        CASE(wrong_macs_are_counted),
        CASE(a_one_time_secret_is_used_up),
        CASE(a_disabled_entry_is_refused),
        CASE(an_entry_of_scep_is_not_found),
        CASE(a_disabled_service_says_so_by_http),
        CASE(wildcards_need_the_option),
        CASE(key_usages_are_the_profiles),
        CASE(a_name_is_needed),
        CASE(changes_are_granted_with_mods),
        CASE(the_https_preset_has_both_usages),
        CASE(a_profile_is_chosen_by_name),
        CASE(kur_renews),
        CASE(kur_is_refused),
        CASE(cr_is_for_the_same_subject),
        CASE(alternative_names_are_the_signers),
        CASE(two_empty_subjects_are_not_the_same),
        CASE(a_device_of_a_client_ca_enrolls),
        CASE(a_revoked_device_of_a_client_ca_is_refused),
        CASE(a_person_approves),
        CASE(a_person_rejects),
        CASE(who_is_shut_off_while_waiting_gets_nothing),
        CASE(an_ra_speaks_for_others),
        CASE(holds_and_releases_are_not_repeated),
        CASE(an_ra_renews_for_others),
        CASE(an_ra_nests_messages),
        CASE(who_is_no_ra_nests_nothing),
        CASE(a_wrong_hash_confirms_nothing),
        CASE(another_sender_gets_nothing_of_it),
        CASE(a_confirmation_counts_once),
        CASE(a_confirmation_survives_a_restart),
        CASE(what_nobody_confirms_is_revoked),
        CASE(an_encrypted_certificate_is_to_be_confirmed),
        CASE(a_rejected_certificate_is_revoked),
        CASE(implicit_confirmation_is_policy),
        CASE(a_request_sent_again_gets_the_same),
        CASE(an_old_message_is_refused_where_the_ca_says_so),
        CASE(a_transaction_id_in_use_is_refused),
        CASE(a_certificate_revokes_itself),
        CASE(what_cannot_be_revoked),
        CASE(a_template_is_the_profiles),
        CASE(the_ca_tells_of_itself),
        CASE(the_list_has_what_was_just_revoked),
        CASE(the_next_root_is_told),
        CASE(the_answer_has_its_headers),
        CASE(an_error_is_answered_by_pkiconf),
        CASE(keys_are_made_where_the_profile_says_so),
        CASE(a_key_is_signed_by_the_kga),
    };
    int rc = cmocka_run_group_tests_name("ca_cmp", tests, NULL, NULL);

    mu_buf_clear(&last_request);
    mu_buf_clear(&first_request);
    mu_pki_certs_clear(&trusted);
    return rc;
}
