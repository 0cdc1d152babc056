/* What was issued, revocation, CRLs. */
#include <string.h>

#include "base/text.h"
#include "pki/pki_crl.h"
#include "web/ca/web_ca_internal.h"

static const char *state_of(const struct mu_record_cert *row, int64_t now_s)
{
    if (row->revoked_s != 0)
        return "revoked";
    if (row->not_after_s < now_s)
        return "expired";
    return row->renewed_by.n != 0 ? "renewed" : "valid";
}

/* CMP-79: what became of the wait for its confirmation. */
static const char *confirmation_of(const struct mu_record_cert *row)
{
    static const char *const words[] = {[MU_RECORD_CONFIRM_NONE] = NULL,
        [MU_RECORD_CONFIRM_WAITING] = "waiting",
        [MU_RECORD_CONFIRMED] = "confirmed",
        [MU_RECORD_CONFIRM_REJECTED] = "rejected"};

    return (size_t)row->confirm < sizeof words / sizeof words[0] ? words[row->confirm] : NULL;
}

static json_t *cert_row_json(const struct mu_record_cert *row, int64_t now_s)
{
    json_t *o = json_object();

    mu_kit_json_set_int(o, "id", row->id);
    mu_kit_json_set_text(o, "ca", row->ca);
    mu_web_ca_set_serial(o, "serial", row->serial);
    mu_kit_json_set_text(o, "subject", row->subject);
    mu_kit_json_set_text(o, "state", state_of(row, now_s));
    mu_kit_json_set_time(o, "not_before", row->not_before_s);
    mu_kit_json_set_time(o, "not_after", row->not_after_s);
    mu_kit_json_set_time(o, "issued", row->issued_s);
    mu_kit_json_set_text(o, "protocol", mu_web_ca_or_null(mu_proto_name(row->proto)));
    mu_kit_json_set_text(o, "profile", mu_web_ca_or_null(row->profile));
    mu_kit_json_set_text(o, "entry", mu_web_ca_or_null(row->entry));
    mu_kit_json_set_text(o, "transaction", mu_web_ca_or_null(row->transaction_id));
    mu_kit_json_set_text(o, "confirmation", confirmation_of(row));
    mu_kit_json_set_time(o, "confirm_until",
        row->confirm == MU_RECORD_CONFIRM_WAITING ? row->confirm_until_s : 0);
    mu_web_ca_set_serial(o, "renews", row->renews);
    mu_web_ca_set_serial(o, "renewed_by", row->renewed_by);
    mu_kit_json_set_time(o, "revoked", row->revoked_s);
    mu_kit_json_set_text(o, "revoke_reason",
        row->revoked_s != 0 ? mu_enroll_record_reason_name(row->revoke_reason) : NULL);
    return o;
}

struct list {
    json_t *rows;
    int64_t now_s;
};

static bool append_cert(void *cookie, const struct mu_record_cert *row)
{
    struct list *l = cookie;

    return json_array_append_new(l->rows, cert_row_json(row, l->now_s)) == 0;
}

void mu_web_ca_cert_list(struct mu_kit_call *call)
{
    static const char *const known[] = {
        "subject", "serial", "profile", "transaction", "ca", "revoked", "before", "limit", NULL};
    struct list l = {.rows = json_array(), .now_s = mu_web_ca_now(call)};
    struct mu_store_filter filter = {0};
    json_t *out = json_object();
    struct mu_buf serial = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_web_ca_filter(call, &filter, &serial, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "profile", false, &filter.profile, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_bool(call->in, "revoked", &filter.only_revoked, &err)) != MU_OK)
        goto out;
    rc = mu_ca_certs_each(mu_web_ca_of(call), &filter, append_cert, &l, &err);
out:
    (void)json_object_set_new(out, "issued", l.rows);
    mu_buf_clear(&serial);
    mu_web_ca_finish(call, rc, out, &err);
}

struct show {
    json_t *cert;
    int64_t now_s;
};

static bool show_cert(void *cookie, const struct mu_record_cert *row)
{
    struct show *s = cookie;
    struct mu_pki_cert *cert = NULL;

    s->cert = cert_row_json(row, s->now_s);
    if (mu_pki_cert_decode(row->der, &cert, NULL) == MU_OK) {
        json_t *facts = mu_web_ca_cert_json(cert, true);

        (void)json_object_update_missing(s->cert, facts);
        json_decref(facts);
    }
    mu_pki_cert_free(cert);
    return false;
}

void mu_web_ca_cert_show(struct mu_kit_call *call)
{
    struct show s = {.now_s = mu_web_ca_now(call)};
    struct mu_store_filter filter = {.limit = 1};
    json_t *out = json_object();
    struct mu_buf serial = {0};
    struct mu_err err = {0};
    char shown[80];
    enum mu_code rc;

    if ((rc = mu_kit_json_text(call->in, "ca", false, &filter.ca, &err)) != MU_OK)
        goto out;
    if ((rc = mu_pki_serial_parse(call->arg, &serial, &err)) != MU_OK)
        goto out;
    filter.serial = mu_enroll_record_serial(mu_buf_bytes(&serial));
    if ((rc = mu_ca_certs_each(mu_web_ca_of(call), &filter, show_cert, &s, &err)) != MU_OK)
        goto out;
    if (s.cert == NULL)
        rc = mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE,
            "no certificate with serial %s was issued here",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(call->arg)));
    else
        (void)json_object_set(out, "certificate", s.cert);
out:
    json_decref(s.cert);
    mu_buf_clear(&serial);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_cert_revoke(struct mu_kit_call *call)
{
    static const char *const known[] = {"serial", "reason", "ca", NULL};
    const char *serial = NULL, *word = NULL, *ca = NULL;
    json_t *out = json_object();
    struct mu_err err = {0};
    char operator[32];
    int reason = 0;
    enum mu_code rc;

    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "serial", true, &serial, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "reason", false, &word, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "ca", false, &ca, &err)) != MU_OK)
        goto out;
    if (word != NULL && (rc = mu_enroll_record_reason_parse(word, &reason, &err)) != MU_OK)
        goto out;
    if ((rc = mu_ca_revoke(
             mu_web_ca_of(call), ca, serial, reason, mu_web_ca_operator(call, operator), &err))
        != MU_OK)
        goto out;
    mu_kit_json_set_text(out, "result", "revoked");
    mu_kit_json_set_text(out, "serial", serial);
    mu_kit_json_set_text(out, "reason", mu_enroll_record_reason_name(reason));
out:
    mu_web_ca_finish(call, rc, out, &err);
}

static enum mu_code crl_json(struct mu_bytes der, json_t *out, struct mu_err *err)
{
    struct mu_pki_crl *crl = NULL;
    struct mu_buf text;
    enum mu_code rc = mu_pki_crl_decode(der, &crl, err);

    if (rc != MU_OK)
        return rc;
    mu_buf_init(&text, 2 * (size_t)MU_LIMIT_CRL);
    mu_web_ca_set_name(out, "issuer", crl->issuer);
    if (crl->number.n != 0) {
        mu_text_hex(&text, crl->number, 0);
        mu_kit_json_set_buf(out, "number", &text);
        mu_buf_reset(&text);
    }
    mu_kit_json_set_time(out, "this_update", crl->this_update_s);
    mu_kit_json_set_time(out, "next_update", crl->next_update_s);
    mu_kit_json_set_int(out, "revoked", (int64_t)mu_pki_crl_count(crl));
    mu_pki_crl_to_pem(der, &text);
    if ((rc = mu_buf_check(&text, "CRL", err)) == MU_OK)
        mu_kit_json_set_buf(out, "pem", &text);
    mu_buf_clear(&text);
    mu_pki_crl_free(crl);
    return rc;
}

typedef enum mu_code crl_source(
    struct mu_ca *ca, const char *name, struct mu_buf *der, struct mu_err *err);

static void crl_answer(struct mu_kit_call *call, crl_source *source)
{
    static const char *const known[] = {"ca", NULL};
    const char *ca = NULL;
    json_t *out = json_object();
    struct mu_err err = {0};
    struct mu_buf der;
    enum mu_code rc;

    mu_buf_init(&der, MU_LIMIT_CRL);
    if ((rc = mu_kit_json_check(call->in, known, &err)) != MU_OK)
        goto out;
    if ((rc = mu_kit_json_text(call->in, "ca", false, &ca, &err)) != MU_OK)
        goto out;
    if ((rc = source(mu_web_ca_of(call), ca, &der, &err)) != MU_OK)
        goto out;
    rc = crl_json(mu_buf_bytes(&der), out, &err);
out:
    mu_buf_clear(&der);
    mu_web_ca_finish(call, rc, out, &err);
}

void mu_web_ca_cert_crl_get(struct mu_kit_call *call)
{
    crl_answer(call, mu_ca_crl_latest);
}

void mu_web_ca_cert_crl_make(struct mu_kit_call *call)
{
    crl_answer(call, mu_ca_crl);
}
