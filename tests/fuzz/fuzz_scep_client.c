/*
 * Any bytes as the answers to the client engine. The input is a list of answers, each with a kind
 * and a length: raw bodies, or content put into a CertRep that is signed and enveloped as the
 * engine expects it, so that what is behind those checks is reached too.
 */
#include "fuzz_scep.h"

#include "pki/pki_csr.h"
#include "proto/scep/scep_client.h"
#include "proto/scep/scep_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW, CONTENT, ENVELOPE, FAILURE, PENDING, NO_ANSWER, STATUS, PASSWORD, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key;
    struct mu_pki_cert *ca, *own;
    struct mu_pki_certs chain;
    struct mu_buf csr;
} w;

static void make_csr(struct mu_pki_key *key, struct mu_buf *der)
{
    struct mu_secret challenge = {0};
    struct mu_pki_csr_params params = {.challenge = &challenge};
    struct mu_buf name = {0};

    require(mu_secret_set(&challenge, mu_bytes_str("secret"), NULL) == MU_OK);
    require(mu_pki_name_parse("/CN=client", &name, NULL) == MU_OK);
    params.subject = mu_buf_bytes(&name);
    require(mu_pki_csr_make(&params, key, der, NULL) == MU_OK);
    mu_secret_clear(&challenge);
    mu_buf_clear(&name);
}

static void set_up(void)
{
    w.ca_key = fuzz_key(key_ca);
    w.client_key = fuzz_key(key_client);
    w.ca = fuzz_cert("/CN=CA", w.ca_key, NULL, w.ca_key);
    w.own = fuzz_cert("/CN=client", w.client_key, w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.chain, w.ca, NULL) == MU_OK);
    make_csr(w.client_key, &w.csr);
}

/* A CertRep for the request that is out. */
static void answer(const struct mu_http_request *sent, unsigned kind, struct mu_bytes content,
    struct mu_buf *out)
{
    struct mu_secret password = {0};
    struct mu_pki_enveloped_params env = {.cipher = MU_PKI_AES128_CBC};
    struct mu_scep_msg_params msg = {.type = MU_SCEP_CERT_REP, .fail_info = -1, .key = w.ca_key,
        .cert = w.ca, .digest = MU_PKI_SHA256};
    struct mu_buf envelope = {.max = 1 << 20}, text = {.max = 4096};
    struct mu_scep_msg asked = {0};

    if (mu_scep_msg_decode(sent->body, &asked, NULL) != MU_OK)
        return; /* a GET */
    msg.transaction_id = asked.transaction_id;
    msg.recipient_nonce = mu_bytes(asked.sender_nonce.p, asked.sender_nonce.n);
    msg.status = kind == FAILURE ? MU_SCEP_FAILURE
        : kind == PENDING        ? MU_SCEP_PENDING
                                 : MU_SCEP_SUCCESS;
    if (kind == FAILURE) {
        mu_buf_put(&text, content.p, content.n < 1000 ? content.n : 1000);
        msg.fail_info = content.n != 0 ? content.p[0] % 5 : -1;
        msg.fail_info_text = mu_buf_str(&text);
    } else if (kind == ENVELOPE) {
        msg.envelope = content;
    } else if (kind != PENDING) {
        require(mu_secret_set(&password, mu_bytes_str("secret"), NULL) == MU_OK);
        if (kind == PASSWORD)
            env.password = &password;
        else
            env.recipient = mu_pki_signed_signer(&asked.cms);
        require(mu_pki_enveloped_encode(&env, content, &fuzz_env, &envelope, NULL) == MU_OK);
        msg.envelope = mu_buf_bytes(&envelope);
    }
    require(mu_scep_msg_encode(&msg, out, NULL) == MU_OK);
    mu_secret_clear(&password);
    mu_scep_msg_clear(&asked);
    mu_buf_clear(&envelope);
    mu_buf_clear(&text);
}

/* The next answer off the input. */
static bool take(struct mu_bytes *in, unsigned *kind, struct mu_bytes *content)
{
    size_t n;

    if (in->n == 0)
        return false;
    if (in->p[0] == 0x30 || in->n < 3) { /* a real message: a body as it is, and the last */
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

static enum mu_code step_on(struct mu_scep_client *client, const struct mu_step *step,
    unsigned kind, struct mu_bytes content, struct mu_step *next)
{
    static const int codes[] = {404, 414, 500, 302, 400, 204};
    struct mu_err failed = {.code = MU_NETWORK, .reason = MU_M(103), .what = "gone"}, err;
    struct mu_http_response response = {.status = 200};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    enum mu_code rc;

    if (kind == NO_ANSWER)
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = &failed};
    else if (kind == STATUS)
        response.status = codes[content.n % 6];
    if (kind == RAW || kind == STATUS)
        mu_buf_put_bytes(&response.body, content);
    else if (kind != NO_ANSWER)
        answer(&step->request, kind, content, &response.body);
    rc = mu_scep_client_step(client, &event, next, &err);
    require(rc == MU_OK || err.what[0] != '\0');
    mu_http_response_clear(&response);
    return rc;
}

static void drive(struct mu_scep_client *client, struct mu_bytes in)
{
    struct mu_buf state = {.max = 1 << 20};
    struct mu_scep_client_result result;
    struct mu_step step = {.want = MU_WANT_DONE}, next;
    struct mu_event event;
    struct mu_bytes content;
    unsigned kind, steps = 0;
    enum mu_code rc;

    rc = mu_scep_client_start(client, &step, NULL);
    while (rc == MU_OK && step.want != MU_WANT_DONE && steps++ < 40) {
        event = (struct mu_event){.yes = true};
        next = step;
        if (step.want == MU_WANT_SEND) {
            if (!take(&in, &kind, &content))
                break;
            rc = step_on(client, &step, kind, content, &next);
        } else {
            event.type = step.want == MU_WANT_TRUST ? MU_EVENT_TRUST
                : step.want == MU_WANT_WAIT         ? MU_EVENT_TIME
                                                    : MU_EVENT_SAVED;
            rc = mu_scep_client_step(client, &event, &next, NULL);
        }
        step = next;
    }
    require(mu_scep_client_store(client, &state, NULL) == MU_OK);
    mu_scep_client_result(client, &result);
    require(result.warnings != NULL);
    mu_buf_clear(&state);
}

/* Stored state with a checksum that holds. */
static void restore(const struct mu_scep_client_config *config, struct mu_bytes body)
{
    struct mu_scep_client *client = NULL;
    struct mu_buf b = {.max = 1 << 20};
    size_t outer, inner, start;
    uint8_t digest[64];

    outer = mu_der_open(&b, MU_DER_SEQUENCE);
    mu_der_put_int(&b, 1);
    start = b.n;
    inner = mu_der_open(&b, MU_DER_SEQUENCE);
    mu_buf_put_bytes(&b, body);
    mu_der_close(&b, inner);
    require(!b.failed);
    mu_pki_digest(MU_PKI_SHA256, mu_bytes(b.p + start, b.n - start), digest);
    mu_der_put(&b, MU_DER_OCTET_STRING, mu_bytes(digest, 32));
    mu_der_close(&b, outer);
    if (mu_scep_client_restore(config, mu_buf_bytes(&b), &client, NULL) == MU_OK)
        drive(client, mu_bytes(NULL, 0));
    mu_scep_client_free(client);
    mu_buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_scep_client_config config
        = {.env = &fuzz_env, .url = "http://h/scep", .no_wait = false};
    struct mu_scep_client *client = NULL;
    unsigned flags = 0;

    if (w.ca == NULL)
        set_up();
    if (size < 2 || size > 100 * 1024)
        return 0;
    if (data[0] != 0x30) {
        flags = data[0];
        data++;
        size--;
    } else {
        flags = 2; /* the message goes to where a CertRep is awaited */
    }
    config.op = (enum mu_scep_client_op)((flags >> 5) % 7);
    if (config.op <= MU_SCEP_CLIENT_NEXT_CA && (flags & 2))
        config.op = MU_SCEP_CLIENT_ENROLL;
    config.csr = mu_buf_bytes(&w.csr);
    config.key = w.client_key;
    config.allow_legacy = flags & 1;
    if (flags & 2) {
        config.skip_caps = true;
        config.known_caps = 0xffff;
        config.ca_certs = &w.chain;
    }
    if (flags & 4)
        config.nonce_warn_only = true;
    if ((flags & 8) || config.op == MU_SCEP_CLIENT_CERT || config.op == MU_SCEP_CLIENT_CRL) {
        config.signer_cert = w.own;
        config.signer_key = w.client_key;
        config.serial = w.own->serial;
    }
    config.trusted = config.op == MU_SCEP_CLIENT_NEXT_CA ? &w.chain : NULL;
    if (flags & 16) {
        restore(&config, mu_bytes(data, size));
        return 0;
    }
    require(mu_scep_client_new(&config, &client, NULL) == MU_OK);
    drive(client, mu_bytes(data, size));
    mu_scep_client_free(client);
    return 0;
}
