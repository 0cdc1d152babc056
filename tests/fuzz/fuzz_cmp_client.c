/*
 * Any bytes as the answers to the CMP client engine. The input is a list of answers, each with a
 * kind and a length: whole bodies of HTTP, or a PKIBody put behind a header that answers ours and
 * protected with the right secret or key, so that what is behind those checks is reached too. The
 * first octet chooses operation and credentials; real messages (0x30) are taken as they are.
 */
#include "fuzz_scep.h"

#include "proto/cmp/cmp_client.h"
#include "proto/cmp/cmp_msg.h"
#include "proto/cmp/cmp_protect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW, BODY, IMPLICIT, STATUS, NO_ANSWER, STATE, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key;
    struct mu_pki_cert *ca, *client;
    struct mu_pki_certs trusted;
    struct mu_secret secret;
    struct mu_cmp_mac_key mac;
    struct mu_buf subject;
} w;

static void set_up(void)
{
    struct mu_pki_mac mac;

    w.ca_key = fuzz_key(key_ca);
    w.client_key = fuzz_key(key_client);
    w.ca = fuzz_cert("/CN=CA", w.ca_key, NULL, w.ca_key);
    w.client = fuzz_cert("/CN=client", w.client_key, w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.trusted, w.ca, NULL) == MU_OK);
    require(mu_secret_set(&w.secret, mu_bytes_str("test"), NULL) == MU_OK);
    require(mu_pki_mac_init(&mac, MU_PKI_MAC_PBM, 100, &fuzz_env, NULL) == MU_OK);
    require(mu_cmp_protect_mac_derive(&w.mac, &mac, &w.secret, NULL) == MU_OK);
    require(mu_pki_name_parse("/CN=client", &w.subject, NULL) == MU_OK);
}

/* The body as the answer to what was sent, rightly protected. */
static void answer(struct mu_bytes sent, bool by_mac, bool implicit, struct mu_bytes body, struct mu_buf *out)
{
    struct mu_buf alg = {.max = 1024}, part = {.max = 2 << 20}, value = {.max = 4096};
    struct mu_cmp_header h = {.pvno = 2, .sender_nonce = mu_bytes("0123456789abcdef", 16),
        .implicit_confirm = implicit};
    uint8_t mac[MU_PKI_MAC_SIZE];
    struct mu_cmp_msg asked;
    size_t mark, n;

    require(mu_cmp_msg_decode(sent, &asked, NULL) == MU_OK);
    h.transaction_id = asked.header.transaction_id;
    h.recip_nonce = asked.header.sender_nonce;
    h.sender = w.ca->subject;
    if (by_mac)
        mu_pki_mac_encode(&w.mac.mac, &alg);
    else
        mu_pki_key_sign_alg(w.ca_key, MU_PKI_SHA256, &alg);
    h.protection_alg = mu_buf_bytes(&alg);
    mark = mu_der_open(&part, MU_DER_SEQUENCE);
    mu_cmp_header_encode(&h, &part);
    mu_buf_put_bytes(&part, body);
    mu_der_close(&part, mark);
    if (by_mac) {
        require(mu_pki_mac_make(&w.mac.mac, &w.mac.key, mu_buf_bytes(&part), mac, &n, NULL) == MU_OK);
        mu_buf_put(&value, mac, n);
    } else {
        require(mu_pki_key_sign(w.ca_key, MU_PKI_SHA256, mu_buf_bytes(&part), &value, NULL) == MU_OK);
    }
    (void)!mu_cmp_msg_encode(mu_buf_bytes(&part), mu_buf_bytes(&value), NULL, out, NULL);
    mu_cmp_msg_clear(&asked);
    mu_buf_clear(&alg);
    mu_buf_clear(&part);
    mu_buf_clear(&value);
}

/* The next answer off the input. */
static bool take(struct mu_bytes *in, unsigned *kind, struct mu_bytes *content)
{
    size_t n;

    if (in->n == 0)
        return false;
    if (in->p[0] == 0x30 || in->n < 3) {
        *kind = RAW;
        *content = *in;
        *in = mu_bytes(NULL, 0);
        return true;
    }
    *kind = in->p[0] % KINDS;
    n = (size_t)in->p[1] << 8 | in->p[2];
    if (n > in->n - 3)
        n = in->n - 3;
    *content = mu_bytes(in->p + 3, n);
    *in = mu_bytes(in->p + 3 + n, in->n - 3 - n);
    return true;
}

static enum mu_code answered(struct mu_cmp_client *client, const struct mu_step *step, bool by_mac,
    unsigned kind, struct mu_bytes content, struct mu_step *next)
{
    static const int codes[] = {404, 500, 302, 204, 429};
    struct mu_err failed = {.code = MU_NETWORK, .reason = MU_M(103), .what = "gone"}, err = {0};
    struct mu_http_response response = {.status = 200};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    enum mu_code rc;

    response.body.max = 4 << 20;
    if (kind == NO_ANSWER)
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = &failed};
    else if (kind == BODY || kind == IMPLICIT)
        answer(step->request.body, by_mac, kind == IMPLICIT, content, &response.body);
    else
        mu_buf_put_bytes(&response.body, content);
    if (kind == STATUS)
        response.status = codes[content.n % 5];
    rc = mu_cmp_client_step(client, &event, next, &err);
    require(rc == MU_OK || err.what[0] != '\0');
    mu_http_response_clear(&response);
    return rc;
}

/* Store, and go on from what was stored. */
static void resume(const struct mu_cmp_client_config *config, struct mu_cmp_client **client, struct mu_bytes other)
{
    struct mu_buf state = {.max = 1 << 20};
    struct mu_cmp_client *back = NULL;

    if (mu_cmp_client_restore(config, other, &back, NULL) == MU_OK)
        mu_cmp_client_free(back);
    back = NULL;
    require(mu_cmp_client_store(*client, &state, NULL) == MU_OK);
    if (mu_cmp_client_restore(config, mu_buf_bytes(&state), &back, NULL) == MU_OK)
        mu_cmp_client_free(back);
    mu_buf_clear(&state);
}

static void run(const struct mu_cmp_client_config *config, bool by_mac, struct mu_bytes in)
{
    struct mu_cmp_client *client = NULL;
    struct mu_step step = {.want = MU_WANT_DONE};
    struct mu_cmp_client_result result;
    struct mu_bytes content;
    struct mu_err err = {0};
    enum mu_code rc;
    unsigned kind, n;

    require(mu_cmp_client_new(config, &client, &err) == MU_OK);
    rc = mu_cmp_client_start(client, &step, &err);
    require(rc == MU_OK);
    for (n = 0; n < 40 && rc == MU_OK && step.want != MU_WANT_DONE; n++) {
        struct mu_event event = {.type = step.want == MU_WANT_SAVE ? MU_EVENT_SAVED : MU_EVENT_TIME};
        struct mu_step next = {.want = MU_WANT_DONE};

        if (step.want == MU_WANT_SEND) {
            if (!take(&in, &kind, &content))
                break;
            if (kind == STATE)
                resume(config, &client, content);
            rc = answered(client, &step, by_mac, kind, content, &next);
        } else {
            require(step.want == MU_WANT_WAIT || step.certs->n != 0);
            rc = mu_cmp_client_step(client, &event, &next, &err);
        }
        step = next;
    }
    mu_cmp_client_result(client, &result);
    require(!result.confirmed || result.cert != NULL);
    mu_cmp_client_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum mu_cmp_client_op ops[] = {MU_CMP_CLIENT_IR, MU_CMP_CLIENT_CR, MU_CMP_CLIENT_KUR,
        MU_CMP_CLIENT_RR, MU_CMP_CLIENT_CA, MU_CMP_CLIENT_ROOT_UPDATE, MU_CMP_CLIENT_TEMPLATE,
        MU_CMP_CLIENT_CRL};
    struct mu_bytes in = {data, size};
    uint8_t how = 0;

    if (w.ca == NULL)
        set_up();
    if (size != 0 && data[0] != 0x30) {
        how = data[0];
        in = mu_bytes(data + 1, size - 1);
    }
    struct mu_cmp_client_config config = {
        .env = &fuzz_env,
        .op = ops[how & 7],
        .url = "http://127.0.0.1/pkix/",
        .subject = mu_buf_bytes(&w.subject),
        .key = w.client_key,
        .mac_iterations = 100,
        .trusted = &w.trusted,
        .central_keygen = (how & 0x10) != 0,
        .trust_ca_pubs = (how & 0x20) != 0,
        .implicit_confirm = (how & 0x40) != 0,
        .disable_confirm = (how & 0x80) != 0,
    };
    /* what confirmation means nothing to chooses what is new instead */
    if (config.op == MU_CMP_CLIENT_CRL && config.implicit_confirm)
        config.op = MU_CMP_CLIENT_PROBE;
    if (config.implicit_confirm && config.disable_confirm) {
        config.indirect = true;
        config.disable_confirm = false;
    }
    bool by_mac = (how & 8) == 0 && config.op != MU_CMP_CLIENT_KUR && config.op != MU_CMP_CLIENT_RR;

    if (by_mac) {
        config.ref = "1234";
        config.secret = &w.secret;
    } else {
        config.signer_cert = w.client;
        config.signer_key = w.client_key;
    }
    run(&config, by_mac, in);
    return 0;
}
