/* The server engine's way in: bytes -> claim, with public-key work only; and its end. Reading with
 * the credential is cmp_server_read.c, the way out cmp_server_write.c. */
#include "proto/cmp/cmp_server.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_genm.h"
#include "proto/cmp/cmp_server_internal.h"

bool mu_cmp_server_is(const struct mu_http_request *request)
{
    struct mu_cmp_path path;

    return mu_cmp_http_path(request->target, &path);
}

static const struct {
    enum mu_cmp_type type;
    enum mu_op op;
} ops[] = {
    {MU_CMP_IR, MU_OP_ENROLL},
    {MU_CMP_CR, MU_OP_ENROLL},
    {MU_CMP_KUR, MU_OP_ENROLL},
    {MU_CMP_P10CR, MU_OP_ENROLL},
    {MU_CMP_RR, MU_OP_REVOKE},
    {MU_CMP_CERT_CONF, MU_OP_CONFIRM},
    {MU_CMP_POLL_REQ, MU_OP_POLL},
    {MU_CMP_GENM, MU_OP_INFO},
    {MU_CMP_ERROR, MU_OP_INFO},
};

static enum mu_code find_op(struct mu_cmp_server *s, struct mu_err *err)
{
    const struct mu_cmp_body *body = &s->msg->body;
    size_t i;

    for (i = 0; i < sizeof ops / sizeof ops[0] && ops[i].type != body->type; i++)
        ;
    if (i == sizeof ops / sizeof ops[0])
        return mu_err_set(err, MU_INPUT, MU_REFUSE_STATE,
            "cmp: body %d (%s) is no request served here (RFC 9483 3.5)", (int)body->type,
            mu_cmp_type_name(body->type));
    s->claim.op = ops[i].op;
    if (body->type == MU_CMP_GENM)
        s->claim.op = mu_cmp_genm_op(body);
    s->claim.is_renewal = body->type == MU_CMP_KUR;
    if (s->claim.op == MU_OP_ENROLL && body->type != MU_CMP_P10CR && body->u.req.n != 0
        && mu_cmp_crmf_wants_key(&body->u.req.req.tmpl)) {
        s->wants_key = true;
        s->claim.op = MU_OP_KEYGEN;
    }
    return MU_OK;
}

static void trace_message(const struct mu_cmp_server *s)
{
    struct mu_buf nonce = {.max = 256};

    if (!mu_trace_on(s->env))
        return;
    mu_text_hex(&nonce, s->msg->header.sender_nonce, 0);
    mu_cmp_server_trace(s, MU_TRACE_REQUEST, "transaction id: %s", mu_buf_str(&s->transaction_id));
    mu_cmp_server_trace(s, MU_TRACE_REQUEST, "%s, pvno %d, senderNonce %s, %s%s",
        s->claim.message_type, s->msg->header.pvno, nonce.n != 0 ? mu_buf_str(&nonce) : "none",
        s->protection == MU_CMP_BY_MAC         ? "MAC"
            : s->protection == MU_CMP_BY_SIGNATURE ? "signed"
                                                   : "not protected",
        s->msg != &s->first ? ", nested" : "");
    mu_buf_clear(&nonce);
}

/* Verifies with what is strong first: whether a weak digest is taken is the credential's to say. */
static enum mu_code verify(struct mu_cmp_server *s, const struct mu_cmp_msg *msg,
    struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_cmp_verify_opts opts = {.allow_legacy = false};
    struct mu_err first = {0};
    enum mu_code rc = mu_cmp_protect_verify_signature(msg, cert, &opts, &first);

    if (rc == MU_UNSUPPORTED) {
        opts.allow_legacy = true;
        if (mu_cmp_protect_verify_signature(msg, cert, &opts, NULL) == MU_OK) {
            s->weak = true;
            return MU_OK;
        }
    }
    if (rc != MU_OK && err != NULL)
        *err = first;
    return rc;
}

static enum mu_code find_signer(struct mu_cmp_server *s, struct mu_err *err)
{
    enum mu_code rc;

    s->claim.auth = MU_AUTH_CERT;
    s->signer = mu_cmp_protect_signer(s->msg, s->msg != &s->first ? &s->first.extra : NULL);
    if (s->signer == NULL) {
        /* CMP-35: known from the first message, as the CA kept it */
        if (s->claim.op == MU_OP_CONFIRM || s->claim.op == MU_OP_POLL)
            return MU_OK;
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: the certificate that signed the message is not in extraCerts (RFC 9483 3.3)");
    }
    if ((rc = verify(s, s->msg, s->signer, err)) != MU_OK)
        return rc;
    s->signature_ok = true;
    s->claim.signer = s->signer;
    s->claim.signer_is_self_signed = mu_pki_name_equal(s->signer->subject, s->signer->issuer)
        && mu_pki_cert_is_self_signed(s->signer);
    s->claim.extra = s->msg->extra;
    return MU_OK;
}

/* CMP-19, CMP-38, CMP-39. */
static enum mu_code check_protection(struct mu_cmp_server *s, struct mu_err *err)
{
    s->protection = mu_cmp_protect_kind(s->msg);
    if (s->protection == MU_CMP_BY_SIGNATURE)
        return find_signer(s, err);
    if (s->protection == MU_CMP_BY_MAC) {
        s->claim.auth = MU_AUTH_MAC;
        s->claim.mac_alg = s->msg->header.protection_alg;
        if (mu_cmp_header_reference(&s->msg->header, &s->entry))
            s->claim.entry = mu_buf_str(&s->entry);
        return MU_OK;
    }
    if (s->msg->body.type == MU_CMP_ERROR) /* CMP-46 */
        return MU_OK;
    return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
        "cmp: the message is not protected (RFC 9483 3.2)");
}

/* ---- nested (CMP-107) ---- */

static enum mu_code check_outer(struct mu_cmp_server *s, struct mu_err *err)
{
    struct mu_pki_cert *cert;
    enum mu_code rc;

    if (mu_cmp_protect_kind(&s->first) != MU_CMP_BY_SIGNATURE)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_PROTECTION_KIND,
            "cmp: a nested message without a signature around it (RFC 9483 5.2.2.1)");
    cert = mu_cmp_protect_signer(&s->first, NULL);
    if (cert == NULL)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_SIGNATURE,
            "cmp: the certificate that signed the nested message is not in extraCerts "
            "(RFC 9483 3.3)");
    if ((rc = verify(s, &s->first, cert, err)) != MU_OK)
        return rc;
    if (!cert->exts.has_eku || (cert->exts.eku & MU_EKU_CMC_RA) == 0)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_NOT_ENTITLED,
            "cmp: the certificate around a nested message is none of an RA: it lacks cmcRA "
            "(RFC 9810 8.6)");
    s->outer = s->claim.outer = cert;
    return MU_OK;
}

static enum mu_code open_nested(struct mu_cmp_server *s, struct mu_err *err)
{
    const struct mu_cmp_header *outer = &s->first.header, *inner = &s->inner.header;
    struct mu_bytes in = s->first.body.u.nested.messages;
    struct mu_der one;
    enum mu_code rc;

    if ((rc = check_outer(s, err)) != MU_OK)
        return rc;
    if (s->first.body.u.nested.n != 1 || !mu_der_get(&in, MU_DER_SEQUENCE, &one))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "cmp: %zu messages in a nested one; one is served (RFC 9483 5.2.2.2)",
            s->first.body.u.nested.n);
    rc = mu_cmp_msg_decode(one.whole, &s->inner, err);
    if (!s->inner.has_header || rc != MU_OK)
        return rc != MU_OK ? rc
                           : mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                               "cmp: a nested message without its header");
    if (s->inner.body.type == MU_CMP_NESTED)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_STATE,
            "cmp: nested inside nested (RFC 9483 5.2.2.1)");
    if (!mu_bytes_equal(outer->transaction_id, inner->transaction_id)
        || !mu_bytes_equal(outer->sender_nonce, inner->sender_nonce))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_STATE,
            "cmp: transactionID or senderNonce differ between the nested message and the one in "
            "it (RFC 9483 5.2.2.1)");
    s->msg = &s->inner;
    return mu_cmp_header_check(inner, s->inner.protection.p != NULL, err);
}

/* ---- open ---- */

/* CMP-122: ckuann, cann, rann and crlann have no answer in CMP, HTTP alone says what became of them. */
static bool is_announcement(const struct mu_cmp_server *s)
{
    return s->first.has_body && s->first.body.type >= MU_CMP_CKUANN
        && s->first.body.type <= MU_CMP_CRLANN;
}

static enum mu_code open_message(struct mu_cmp_server *s, struct mu_err *err)
{
    enum mu_code rc = mu_cmp_msg_decode(s->request->body, &s->first, err);

    if (!s->first.has_header)
        return rc != MU_OK ? rc
                           : mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: no header");
    mu_text_hex(&s->transaction_id, s->first.header.transaction_id, 0);
    if (s->transaction_id.n != 0)
        s->claim.transaction_id = mu_buf_str(&s->transaction_id);
    s->claim.message_type = s->first.has_body ? mu_cmp_type_name(s->first.body.type) : "unknown";
    if (rc != MU_OK) {
        /* a kind of body or version that is not known: the version is the better answer */
        enum mu_code version = mu_cmp_header_check(&s->first.header, s->first.protection.p != NULL, NULL);
        if (version == MU_UNSUPPORTED)
            rc = mu_cmp_header_check(&s->first.header, s->first.protection.p != NULL, err);
        return rc;
    }
    if (is_announcement(s))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "cmp: announcements (%s) are not taken here (RFC 9811 3.5)",
            mu_cmp_type_name(s->first.body.type));
    rc = mu_cmp_header_check(&s->first.header, s->first.protection.p != NULL, err);
    if (rc == MU_OK && s->first.body.type == MU_CMP_NESTED)
        rc = open_nested(s, err);
    if (rc != MU_OK)
        return rc;
    s->claim.message_type = mu_cmp_type_name(s->msg->body.type);
    if ((rc = find_op(s, err)) != MU_OK)
        return rc;
    rc = check_protection(s, err);
    trace_message(s);
    return rc;
}

static enum mu_code open_http(struct mu_cmp_server *s, struct mu_err *err)
{
    const struct mu_http_request *r = s->request;
    const char *type = mu_http_header_get(r->headers, r->header_n, "Content-Type");

    if (strcmp(r->method, "POST") != 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "cmp: messages are sent by POST (RFC 9811 3.1)");
    if (type != NULL && !mu_cmp_http_media_is(type))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
            "cmp: the content type is not " MU_CMP_MEDIA " (RFC 9811 3.2)");
    if (r->body.n > MU_LIMIT_MESSAGE)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: a message of %zu octets",
            r->body.n);
    mu_cmp_http_path(r->target, &s->path);
    mu_buf_put_bytes(&s->path_text, mu_http_target_path(r->target));
    s->claim.proto = MU_PROTO_CMP;
    s->claim.path = mu_buf_str(&s->path_text);
    if (s->path.label[0] != '\0')
        s->claim.label = s->path.label;
    return mu_buf_check(&s->path_text, "path", err);
}

enum mu_code mu_cmp_server_open(const struct mu_env *env, const struct mu_http_request *request,
    struct mu_cmp_server **out, struct mu_claim *claim, struct mu_err *err)
{
    struct mu_cmp_server *s = calloc(1, sizeof *s);
    enum mu_code rc;

    *out = NULL;
    memset(claim, 0, sizeof *claim);
    if (s == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "cmp: out of memory");
    s->env = env;
    s->request = request;
    s->msg = &s->first;
    mu_buf_init(&s->path_text, MU_LIMIT_URL);
    mu_buf_init(&s->entry, 1024);
    mu_buf_init(&s->transaction_id, 1024);
    mu_buf_init(&s->profile_name, 1024);
    mu_buf_init(&s->words, 8 * 1024);
    rc = open_http(s, err);
    if (rc == MU_OK)
        rc = open_message(s, err);
    if (rc != MU_OK && (!s->first.has_header || is_announcement(s))) {
        mu_cmp_server_free(s);
        return rc;
    }
    /* What was asked in the protocol is refused in the protocol. */
    *claim = s->claim;
    *out = s;
    return rc;
}

void mu_cmp_server_free(struct mu_cmp_server *s)
{
    if (s == NULL)
        return;
    mu_cmp_msg_clear(&s->first);
    mu_cmp_msg_clear(&s->inner);
    mu_pki_cert_free(s->own_signer);
    mu_cmp_protect_mac_clear(&s->mac);
    mu_pki_csr_free(s->csr);
    mu_buf_clear(&s->path_text);
    mu_buf_clear(&s->entry);
    mu_buf_clear(&s->transaction_id);
    mu_buf_clear(&s->profile_name);
    mu_buf_clear(&s->words);
    free(s);
}
