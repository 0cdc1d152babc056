/* Any bytes to the PKIMessage decoder and its small neighbors. What decodes must encode again to
 * something that decodes to the same kind, with the same header. */
#include <stdlib.h>

#include "base/limits.h"
#include "proto/cmp/cmp_http.h"
#include "proto/cmp/cmp_msg.h"

enum { FUZZ_NOW = 1763660000 };

static void require(bool fact)
{
    if (!fact)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kinds that we write, and proofs of possession that we can say. */
static bool can_write(const struct mu_cmp_body *body)
{
    switch (body->type) {
    case MU_CMP_IR:
    case MU_CMP_CR:
    case MU_CMP_KUR:
        return body->u.req.req.popo < MU_CMP_POPO_KEY_ENCIPHERMENT
            || body->u.req.req.subsequent_message >= 0;
    case MU_CMP_IP:
    case MU_CMP_CP:
    case MU_CMP_KUP:
    case MU_CMP_P10CR:
    case MU_CMP_RR:
    case MU_CMP_RP:
    case MU_CMP_PKICONF:
    case MU_CMP_NESTED:
    case MU_CMP_GENM:
    case MU_CMP_GENP:
    case MU_CMP_ERROR:
    case MU_CMP_CERT_CONF:
    case MU_CMP_POLL_REQ:
    case MU_CMP_POLL_REP:
        return true;
    default:
        return false;
    }
}

static void again(const struct mu_cmp_msg *msg)
{
    struct mu_buf part = {.max = 4 << 20}, out = {.max = 4 << 20};
    struct mu_cmp_msg back;
    struct mu_err err = {0};

    if (!can_write(&msg->body))
        return;
    mu_cmp_msg_encode_part(&msg->header, &msg->body, &part);
    require(mu_cmp_msg_encode(mu_buf_bytes(&part), msg->protection, &msg->extra, &out, &err) == MU_OK);
    /* A name that is no directoryName becomes the NULL-DN, and two octets more may be too many. */
    if (mu_cmp_msg_decode(mu_buf_bytes(&out), &back, &err) == MU_OK) {
        require(back.body.type == msg->body.type && back.header.pvno == msg->header.pvno);
        require(mu_bytes_equal(back.header.transaction_id, msg->header.transaction_id));
        require(mu_bytes_equal(back.header.sender_nonce, msg->header.sender_nonce));
        require(mu_bytes_equal(back.protection, msg->protection));
        require(back.extra.n == msg->extra.n);
    } else {
        require(out.n > MU_LIMIT_REPLY - 64);
    }
    mu_cmp_msg_clear(&back);
    mu_buf_clear(&part);
    mu_buf_clear(&out);
}

static void neighbors(const struct mu_cmp_msg *msg)
{
    struct mu_buf text = {.max = 1 << 20};
    struct mu_err err = {0};

    (void)!mu_cmp_header_check(&msg->header, msg->protection.p != NULL, &err);
    (void)!mu_cmp_header_check_time(&msg->header, FUZZ_NOW, 300, &err);
    (void)mu_cmp_header_reference(&msg->header, &text);
    (void)mu_cmp_text_format(msg->header.free_text, &text);
    if (msg->has_body && (msg->body.type == MU_CMP_IR || msg->body.type == MU_CMP_CR || msg->body.type == MU_CMP_KUR))
        (void)!mu_cmp_crmf_verify_popo(&msg->body.u.req.req, false, NULL, &err);
    if (msg->has_body && msg->body.type == MU_CMP_ERROR)
        (void)mu_cmp_text_format(msg->body.u.error.details, &text);
    mu_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_buf target = {.max = 1 << 20};
    struct mu_cmp_path path;
    struct mu_cmp_msg msg;
    struct mu_err err = {0};
    enum mu_code rc = mu_cmp_msg_decode(mu_bytes(data, size), &msg, &err);

    require((rc == MU_OK) == msg.has_body);
    if (msg.has_header)
        neighbors(&msg);
    if (rc == MU_OK)
        again(&msg);
    mu_cmp_msg_clear(&msg);
    mu_buf_put(&target, data, size < 300 ? size : 300);
    if (memchr(mu_buf_str(&target), 0, target.n) == NULL)
        (void)mu_cmp_http_path(mu_buf_str(&target), &path);
    mu_buf_clear(&target);
    return 0;
}
