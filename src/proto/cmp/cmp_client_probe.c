/*
 * What answers at an address. The question may be without protection, and whatever PKIMessage comes
 * back tells something about who is there; nothing of it is believed, it is shown to people.
 */
#include "base/text.h"
#include "proto/cmp/cmp_client_internal.h"

/* The CA's certificates, if it gave them. */
static void take_ca_certs(struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    struct mu_der list;
    size_t i, unread = 0;

    for (i = 0; i < msg->body.u.gen.n; i++) {
        const struct mu_cmp_info *info = &msg->body.u.gen.v[i];

        if (mu_cmp_it_of(info->oid) != MU_CMP_IT_CA_CERTS || info->value.p == NULL
            || !mu_der_only(info->value, MU_DER_SEQUENCE, &list))
            continue;
        mu_pki_certs_clear(&c->ca_certs);
        if (mu_cmp_msg_get_certs(list.value, &c->ca_certs, &unread, NULL) != MU_OK)
            mu_pki_certs_clear(&c->ca_certs);
    }
}

static void put_offers(struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    mu_buf_putf(&c->offers, "version %d", msg->header.pvno);
    if (msg->has_body && msg->body.type == MU_CMP_GENP)
        mu_buf_put_str(&c->offers, c->ca_certs.n != 0 ? ", genm, caCerts" : ", genm");
}

static void put_signature(struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    const struct mu_pki_cert *signer = mu_cmp_client_find_signer(c, msg);
    struct mu_err why = {.code = MU_OK};
    char name[MU_CMP_NAME_TEXT];

    if (signer == NULL) {
        mu_buf_put_str(&c->protection, "signed, by whom cannot be told: no certificate came with it");
        return;
    }
    mu_buf_putf(&c->protection, "signed by \"%s\"", mu_cmp_client_name(signer->subject, name));
    if (c->trusted.n == 0 && c->server_certs.n == 0)
        mu_buf_put_str(&c->protection, ", and no CA is known here to check that by");
    else if (mu_cmp_client_check_signature(c, msg, &why) == MU_OK)
        mu_buf_put_str(&c->protection, ", who may answer for a CA known here");
    else
        mu_buf_putf(&c->protection, ", who is not trusted here (%.300s)", why.what);
}

static void put_protection(struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    char ref[120];

    switch (mu_cmp_protect_kind(msg)) {
    case MU_CMP_UNPROTECTED:
        mu_buf_put_str(&c->protection, "none: anybody on the way can have written this answer");
        break;
    case MU_CMP_BY_SIGNATURE:
        put_signature(c, msg);
        break;
    case MU_CMP_BY_MAC:
        if (!mu_cmp_client_by_mac(c))
            mu_buf_put_str(&c->protection, "by a secret, which was not given here");
        else if (mu_cmp_protect_verify_mac(msg, &c->secret, c->config.allow_legacy, &c->peer_mac, NULL)
            == MU_OK)
            mu_buf_putf(&c->protection, "by the secret of %s, and that is right",
                mu_text_escape_to(ref, sizeof ref, mu_bytes_str(c->config.ref)));
        else
            mu_buf_put_str(&c->protection, "by another secret than the one given");
        break;
    }
}

/* What to bring for a request, as far as this answer tells. */
static void put_needs(struct mu_cmp_client *c, const struct mu_cmp_msg *msg)
{
    bool given = mu_cmp_client_by_mac(c) || mu_cmp_client_by_signature(c);
    char said[MU_CMP_ERROR_TEXT];

    if (!msg->has_body || (msg->body.type != MU_CMP_ERROR && msg->body.type != MU_CMP_GENP))
        return;
    if (msg->body.type == MU_CMP_GENP) {
        mu_buf_put_str(&c->needs, given ? "nothing more: what was given is accepted"
                                        : "nothing for questions; a request is to be protected all the same");
        return;
    }
    c->fail_bit = mu_cmp_status_fail_bit(&msg->body.u.error.status);
    mu_cmp_client_error_text(msg, said);
    mu_buf_putf(&c->needs, "%s (it says: \"%s\")",
        !given                    ? "a reference and its secret, or a certificate to sign with"
            : mu_cmp_client_by_mac(c) ? "another reference or secret, or a certificate to sign with"
                                      : "another certificate to sign with, or a reference and its secret",
        said);
}

enum mu_code mu_cmp_client_probe_take(
    struct mu_cmp_client *c, const struct mu_http_response *response, struct mu_err *err)
{
    struct mu_cmp_msg msg = {.has_header = false};
    enum mu_code rc = mu_cmp_msg_decode(mu_buf_bytes(&response->body), &msg, err);

    if (rc == MU_MEMORY)
        goto out;
    if (!msg.has_header) {
        rc = mu_cmp_client_fail_http(c, response, err);
        goto out;
    }
    rc = MU_OK;
    if (msg.has_body && msg.body.type == MU_CMP_GENP)
        take_ca_certs(c, &msg);
    mu_cmp_client_trace(c, MU_TRACE_REPLY, "%s, looked at only",
        msg.has_body ? mu_cmp_type_name(msg.body.type) : "a body that cannot be read");
    put_offers(c, &msg);
    put_protection(c, &msg);
    put_needs(c, &msg);
    if (!mu_bytes_equal(msg.header.transaction_id, mu_buf_bytes(&c->transaction_id)))
        mu_cmp_client_warn(c, MU_TRACE_REPLY, "the answer belongs to another transaction than ours");
out:
    mu_cmp_msg_clear(&msg);
    return rc;
}
