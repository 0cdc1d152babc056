/* Certificates that their clients never confirmed are revoked (RFC 9483 4.1.1, CMP-79): nobody can
 * tell who has them. */
#include "ca/ca_internal.h"

#include <stdlib.h>

#include "base/text.h"
#include "store/store_row.h"

enum { AT_ONCE = 1000 };

/* Rows of one round; a store is not changed while its list is read. */
struct round {
    struct mu_record_cert *v[AT_ONCE];
    size_t n;
};

static bool on_cert(void *cookie, const struct mu_record_cert *row)
{
    struct round *r = cookie;

    if ((r->v[r->n] = mu_store_row_copy(MU_STORE_ROW_CERT, row)) != NULL)
        r->n++;
    return r->n < AT_ONCE;
}

static enum mu_code revoke(
    struct mu_ca *ca, const struct mu_record_cert *row, int64_t now_s, struct mu_err *err)
{
    struct mu_buf hex = {0}, text = {0};
    struct mu_record_audit audit = {.time_s = now_s,
        .action = "unconfirmed",
        .success = true,
        .proto = row->proto,
        .ca = row->ca,
        .profile = row->profile,
        .entry = row->entry,
        .subject = row->subject,
        .serial = row->serial,
        .transaction_id = row->transaction_id};
    struct mu_store_change change = {.now_s = now_s,
        .confirm_ca = row->ca,
        .confirm_serial = row->serial,
        .confirm = MU_RECORD_CONFIRM_REJECTED,
        .revoke_ca = row->ca,
        .revoke_serial = row->serial,
        .revoke_reason = 5, /* cessationOfOperation */
        .revoke_lenient = true,
        .audit = &audit,
        .audit_n = 1};
    enum mu_code rc;

    mu_text_hex(&hex, row->serial, ':');
    mu_buf_putf(&text, "Certificate \"%.512s\" was not confirmed in time and is revoked (%s)",
        row->subject, mu_buf_str(&hex));
    audit.message = mu_buf_str(&text);
    rc = mu_store_submit_wait(ca->config.store, &change, NULL, err);
    if (rc == MU_OK) {
        atomic_store(&ca->crl_due, true);
        mu_ca_tell(ca, &audit);
    }
    mu_buf_clear(&hex);
    mu_buf_clear(&text);
    return rc == MU_DENIED ? MU_OK : rc; /* confirmed meanwhile */
}

enum mu_code mu_ca_confirm_tick(struct mu_ca *ca, int64_t now_s, struct mu_err *err)
{
    const struct mu_store_filter filter = {.unconfirmed_s = now_s, .limit = AT_ONCE};
    struct round *r = calloc(1, sizeof *r);
    enum mu_code rc;

    if (r == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    rc = mu_ca_certs_each(ca, &filter, on_cert, r, err);
    for (size_t i = 0; i < r->n; i++) {
        if (rc == MU_OK)
            rc = revoke(ca, r->v[i], now_s, err);
        mu_store_row_free(MU_STORE_ROW_CERT, r->v[i]);
    }
    free(r);
    return rc;
}
