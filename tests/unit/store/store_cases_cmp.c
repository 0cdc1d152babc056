/* What CMP and EST need of every store: confirmations, kept bytes, entries by name, transactions
 * whoever signed them. */
#include "store_cases.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/store_row.h"

static struct mu_record_request cmp_request(unsigned n, enum mu_record_state state)
{
    struct mu_record_request r = store_request(n, state);

    r.proto = MU_PROTO_CMP;
    return r;
}

static struct mu_record_cert waiting_cert(unsigned n)
{
    struct mu_record_cert c = store_cert(n);

    c.proto = MU_PROTO_CMP;
    c.confirm = MU_RECORD_CONFIRM_WAITING;
    c.confirm_until_s = NOW + 300;
    return c;
}

static void put_cert(unsigned n)
{
    struct mu_record_cert cert = waiting_cert(n);
    struct mu_record_request request = cmp_request(n, MU_RECORD_ISSUED);
    struct mu_store_change change = {.request = &request, .cert = &cert, .transaction_alone = true};

    request.serial = cert.serial;
    request.kept = mu_bytes("kept\0of it", 10);
    store_submit(&change, MU_OK);
}

struct facts {
    struct mu_record_request *latest;
    struct mu_record_cert *latest_cert, *cert, *other_cert;
    struct mu_record_entry *entry;
};

static void on_facts(void *cookie, const struct mu_store_facts *facts)
{
    struct facts *f = cookie;

    assert_null(facts->err);
    f->latest = mu_store_row_copy(MU_STORE_ROW_REQUEST, facts->latest);
    f->latest_cert = mu_store_row_copy(MU_STORE_ROW_CERT, facts->latest_cert);
    f->cert = mu_store_row_copy(MU_STORE_ROW_CERT, facts->cert);
    f->other_cert = mu_store_row_copy(MU_STORE_ROW_CERT, facts->other_cert);
    f->entry = mu_store_row_copy(MU_STORE_ROW_ENTRY, facts->entry);
}

static struct facts ask(struct mu_store_ask what)
{
    struct facts f = {0};

    what.ca = "ca";
    what.proto = MU_PROTO_CMP;
    store_case->ops->ask(store_case, &what, on_facts, &f);
    return f;
}

static void forget(struct facts *f)
{
    mu_store_row_free(MU_STORE_ROW_REQUEST, f->latest);
    mu_store_row_free(MU_STORE_ROW_CERT, f->latest_cert);
    mu_store_row_free(MU_STORE_ROW_CERT, f->cert);
    mu_store_row_free(MU_STORE_ROW_CERT, f->other_cert);
    mu_store_row_free(MU_STORE_ROW_ENTRY, f->entry);
}

/* What a certConf needs is found by its transaction id, after a restart too. */
static void a_transaction_is_found_whoever_signed_it(void **state)
{
    struct facts f;

    put_cert(1);
    put_cert(2);
    f = ask((struct mu_store_ask){.transaction_id = "TX1", .any_signer = true});
    assert_non_null(f.latest);
    assert_non_null(f.latest_cert);
    assert_true(mu_bytes_equal(f.latest->kept, mu_bytes("kept\0of it", 10)));
    assert_int_equal(f.latest_cert->confirm, MU_RECORD_CONFIRM_WAITING);
    assert_int_equal(f.latest_cert->confirm_until_s, NOW + 300);
    forget(&f);
    f = ask((struct mu_store_ask){.transaction_id = "TX3", .any_signer = true});
    assert_null(f.latest);
    f = ask(
        (struct mu_store_ask){.transaction_id = "TX1", .any_signer = true, .since_s = NOW + 1});
    assert_null(f.latest);
}

/* RFC 9483 3.5 (transactionIdInUse): the id of a live transaction cannot be used by another key or request. */
static void a_transaction_id_in_use_is_lost(void **state)
{
    struct mu_record_request request = cmp_request(2, MU_RECORD_PENDING);
    struct mu_store_change change = {
        .request = &request, .transaction_alone = true, .retransmit_since_s = NOW - 100};
    struct mu_store_result result;

    put_cert(1);
    request.transaction_id = "TX1";
    result = store_submit(&change, MU_DENIED);
    assert_int_equal(result.lost, MU_STORE_LOST_TRANSACTION);
    change.retransmit_since_s = NOW + 1; /* long ago */
    store_submit(&change, MU_OK);
    result = store_submit(&change, MU_DENIED); /* one that waits is never long ago */
    assert_int_equal(result.lost, MU_STORE_LOST_TRANSACTION);
    request.ca = "other";
    store_submit(&change, MU_OK);
}

static void a_confirmation_is_settled_once(void **state)
{
    struct mu_record_cert cert = waiting_cert(1);
    struct mu_store_change change = {
        .confirm_ca = "ca", .confirm_serial = cert.serial, .confirm = MU_RECORD_CONFIRMED};
    struct mu_store_change reject = {.confirm_ca = "ca",
        .confirm_serial = cert.serial,
        .confirm = MU_RECORD_CONFIRM_REJECTED,
        .revoke_ca = "ca",
        .revoke_serial = cert.serial,
        .revoke_reason = 5};
    struct mu_store_change put = {.cert = &cert};
    struct facts f;

    assert_int_equal(store_submit(&change, MU_DENIED).lost, MU_STORE_LOST_CONFIRM);
    store_submit(&put, MU_OK);
    store_submit(&change, MU_OK);
    assert_int_equal(store_submit(&change, MU_DENIED).lost, MU_STORE_LOST_CONFIRM);
    /* the loser revokes nothing */
    assert_int_equal(store_submit(&reject, MU_DENIED).lost, MU_STORE_LOST_CONFIRM);
    f = ask((struct mu_store_ask){.serial = cert.serial, .other_serial = cert.serial});
    assert_int_equal(f.cert->confirm, MU_RECORD_CONFIRMED);
    assert_true(f.cert->delivery_known);
    assert_int_equal(f.cert->revoked_s, 0);
    assert_true(mu_bytes_equal(f.other_cert->der, f.cert->der));
    forget(&f);
}

static void a_rejected_certificate_is_revoked_with_it(void **state)
{
    struct mu_record_cert cert = waiting_cert(1);
    struct mu_store_change change = {.confirm_ca = "ca",
        .confirm_serial = cert.serial,
        .confirm = MU_RECORD_CONFIRM_REJECTED,
        .revoke_ca = "ca",
        .revoke_serial = cert.serial,
        .revoke_reason = 5};
    struct facts f;

    put_cert(1);
    store_submit(&change, MU_OK);
    f = ask((struct mu_store_ask){.serial = cert.serial});
    assert_int_equal(f.cert->confirm, MU_RECORD_CONFIRM_REJECTED);
    assert_int_equal(f.cert->revoked_s, NOW);
    assert_false(f.cert->delivery_known);
    forget(&f);
}

struct listed {
    unsigned n;
    char subject[64];
};

static bool on_cert(void *cookie, const struct mu_record_cert *row, const struct mu_err *err)
{
    struct listed *l = cookie;

    assert_null(err);
    if (row != NULL && l->n++ == 0)
        snprintf(l->subject, sizeof l->subject, "%s", row->subject);
    return true;
}

static struct listed unconfirmed(int64_t before_s)
{
    struct listed l = {0};
    const struct mu_store_filter filter = {.unconfirmed_s = before_s};

    store_case->ops->certs(store_case, &filter, on_cert, &l);
    return l;
}

static void what_is_not_confirmed_in_time_is_listed(void **state)
{
    struct mu_record_cert none = store_cert(1), late = waiting_cert(2), longer = waiting_cert(3);
    struct mu_store_change change = {.confirm_ca = "ca",
        .confirm_serial = late.serial,
        .confirm = MU_RECORD_CONFIRM_WAITING,
        .confirm_until_s = NOW + 600};

    store_submit(&(struct mu_store_change){.cert = &none}, MU_OK);
    store_submit(&(struct mu_store_change){.cert = &late}, MU_OK);
    longer.confirm_until_s = NOW + 1000;
    store_submit(&(struct mu_store_change){.cert = &longer}, MU_OK);
    assert_int_equal(unconfirmed(NOW + 300).n, 0);
    assert_int_equal(unconfirmed(NOW + 301).n, 1);
    assert_string_equal(unconfirmed(NOW + 301).subject, late.subject);
    store_submit(&change, MU_OK); /* the wait begins when it was fetched */
    assert_int_equal(unconfirmed(NOW + 301).n, 0);
    assert_int_equal(unconfirmed(NOW + 601).n, 1);
    assert_int_equal(unconfirmed(NOW + 1001).n, 2);
}

static void what_is_kept_can_be_replaced(void **state)
{
    struct mu_record_request request = cmp_request(1, MU_RECORD_PENDING);
    struct mu_store_change change = {.request = &request};
    struct mu_store_change keep = {.keep = mu_bytes("second", 6)};
    struct mu_store_change settle = {
        .settle_state = MU_RECORD_REJECTED, .settle_words = "no", .now_s = NOW};
    struct facts f;

    request.kept = mu_bytes("first", 5);
    keep.keep_id = settle.settle_id = store_submit(&change, MU_OK).request_id;
    store_submit(&keep, MU_OK);
    store_submit(&settle, MU_OK); /* leaves it */
    f = ask((struct mu_store_ask){.transaction_id = "TX1", .any_signer = true});
    assert_true(mu_bytes_equal(f.latest->kept, mu_bytes("second", 6)));
    assert_int_equal(f.latest->state, MU_RECORD_REJECTED);
    forget(&f);
}

static void entries_are_found_by_name(void **state)
{
    struct mu_record_entry entry = store_entry("fgt100f", 1, 0);
    struct mu_store_change change = {.entry = &entry, .entry_put = MU_STORE_CREATE};
    struct facts f;

    entry.password_hash = (struct mu_bytes){0};
    entry.sealed = mu_bytes("sealed", 6);
    store_submit(&change, MU_OK);
    f = ask((struct mu_store_ask){.entry_name = "fgt100f"});
    assert_string_equal(f.entry->name, "fgt100f");
    assert_true(mu_bytes_equal(f.entry->sealed, entry.sealed));
    forget(&f);
    f = ask((struct mu_store_ask){.entry_name = "fgt100"});
    assert_null(f.entry);
}

const struct store_case store_cases_cmp[] = {
    {"a_transaction_is_found_whoever_signed_it", a_transaction_is_found_whoever_signed_it},
    {"a_transaction_id_in_use_is_lost", a_transaction_id_in_use_is_lost},
    {"a_confirmation_is_settled_once", a_confirmation_is_settled_once},
    {"a_rejected_certificate_is_revoked_with_it", a_rejected_certificate_is_revoked_with_it},
    {"what_is_not_confirmed_in_time_is_listed", what_is_not_confirmed_in_time_is_listed},
    {"what_is_kept_can_be_replaced", what_is_kept_can_be_replaced},
    {"entries_are_found_by_name", entries_are_found_by_name},
    {NULL, NULL},
};
