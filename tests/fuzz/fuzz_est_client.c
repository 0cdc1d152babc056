/*
 * Any bytes as the answers to the client engine. The input is flags and a list of answers, each
 * with a kind and a length: raw bodies, base64 of the content, certificates issued for the request
 * that is out, multipart around content, 401 with the content as challenge, 202, other statuses.
 */
#include "fuzz_est.h"

#include <stdio.h>

#include "base/text.h"
#include "proto/est/est_body.h"
#include "proto/est/est_client.h"
#include "proto/est/est_http.h"
#include "proto/est/est_msg.h"
#include "proto/est/est_multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW, BASE64, ISSUED, ISSUED_AND, KEYGEN, MULTIPART, CHALLENGE, WAIT, STATUS, NO_ANSWER, CA, KINDS };

static struct world {
    struct mu_pki_key *ca_key, *client_key, *made_key;
    struct mu_pki_cert *ca, *made;
    struct mu_pki_certs chain;
    struct mu_secret password;
    struct mu_buf name;
} w;

static void set_up(void)
{
    w.ca_key = fuzz_key(key_ec_ca);
    w.client_key = fuzz_key(key_ec);
    w.made_key = fuzz_key(key_other);
    w.ca = fuzz_cert("CN=CA", mu_pki_key_spki(w.ca_key), NULL, w.ca_key);
    w.made = fuzz_cert("CN=client", mu_pki_key_spki(w.made_key), w.ca, w.ca_key);
    require(mu_pki_certs_add(&w.chain, w.ca, NULL) == MU_OK);
    require(mu_secret_set(&w.password, mu_bytes_str("fuzz-secret"), NULL) == MU_OK);
    require(mu_pki_name_parse("CN=client,O=x", &w.name, NULL) == MU_OK);
}

static void put(struct mu_http_response *r, int status, const char *type, struct mu_bytes body)
{
    require(mu_http_response_set(r, status, type, body, NULL) == MU_OK);
}

static void put_der(struct mu_http_response *r, struct mu_bytes der)
{
    struct mu_buf text = {.max = 1 << 20};

    mu_est_body_encode(&text, der, false);
    put(r, 200, MU_EST_MEDIA_CERTS_ONLY, mu_buf_bytes(&text));
    mu_buf_clear(&text);
}

/* A certificate for the CSR that is out, with content in the list if it is a certificate. */
static void issued(struct mu_http_response *r, struct mu_bytes content)
{
    struct mu_pki_cert *leaf
        = fuzz_cert("CN=client", mu_pki_key_spki(w.client_key), w.ca, w.ca_key), *more = NULL;
    struct mu_pki_certs list = {0};
    struct mu_buf der = {.max = 1 << 20};

    if (content.n != 0 && mu_pki_cert_decode(content, &more, NULL) == MU_OK)
        require(mu_pki_certs_add(&list, more, NULL) == MU_OK);
    require(mu_pki_certs_add(&list, leaf, NULL) == MU_OK);
    require(mu_est_msg_certs_encode(&list, &der, NULL) == MU_OK);
    put_der(r, mu_buf_bytes(&der));
    mu_pki_cert_free(leaf);
    mu_pki_cert_free(more);
    mu_pki_certs_clear(&list);
    mu_buf_clear(&der);
}

/* Key and certificate as parts; the content instead of the key if there is any. */
static void generated(struct mu_http_response *r, bool good, struct mu_bytes content)
{
    struct mu_pki_certs list = {0};
    struct mu_buf key = {.max = 1 << 20}, certs = {.max = 1 << 20}, text = {.max = 1 << 20};
    struct mu_buf body = {.max = 1 << 20};

    require(mu_pki_certs_add(&list, w.made, NULL) == MU_OK);
    require(mu_est_msg_certs_encode(&list, &certs, NULL) == MU_OK);
    if (good)
        require(mu_est_msg_key_encode(w.made_key, &key, NULL) == MU_OK);
    else
        mu_buf_put_bytes(&key, content);
    mu_est_body_encode(&text, mu_buf_bytes(&key), false);
    mu_est_multipart_put(&body, "b",
        good || (content.n & 1) ? MU_EST_MEDIA_PKCS8 : MU_EST_MEDIA_KEY_CMS, mu_buf_bytes(&text));
    mu_buf_reset(&text);
    mu_est_body_encode(&text, mu_buf_bytes(&certs), false);
    mu_est_multipart_put(&body, "b", MU_EST_MEDIA_CERTS_ONLY, mu_buf_bytes(&text));
    mu_est_multipart_end(&body, "b");
    require(!body.failed);
    put(r, 200, "multipart/mixed; boundary=b", mu_buf_bytes(&body));
    mu_pki_certs_clear(&list);
    mu_buf_clear(&key);
    mu_buf_clear(&certs);
    mu_buf_clear(&text);
    mu_buf_clear(&body);
}

static void with_header(struct mu_http_response *r, const char *name, struct mu_bytes content)
{
    char value[1024];
    size_t n = content.n < sizeof value - 1 ? content.n : sizeof value - 1, i;

    for (i = 0; i < n; i++) /* what HTTP lets through */
        value[i] = content.p[i] < 0x20 || content.p[i] == 0x7f ? ' ' : (char)content.p[i];
    value[n] = '\0';
    require(mu_http_response_add(r, name, value, NULL) == MU_OK);
}

static void answer(unsigned kind, struct mu_bytes content, struct mu_http_response *r)
{
    static const int codes[] = {204, 302, 400, 403, 404, 405, 429, 500, 501, 503};

    switch (kind) {
    case BASE64:
        put_der(r, content);
        break;
    case ISSUED:
    case ISSUED_AND:
        issued(r, kind == ISSUED ? mu_bytes(NULL, 0) : content);
        break;
    case KEYGEN:
        generated(r, true, content);
        break;
    case MULTIPART:
        generated(r, false, content);
        break;
    case CHALLENGE:
        put(r, 401, "text/plain", mu_bytes_str("no\n"));
        with_header(r, "WWW-Authenticate", content);
        break;
    case WAIT:
        put(r, 202, NULL, mu_bytes(NULL, 0));
        with_header(r, "Retry-After", content);
        break;
    case STATUS:
        put(r, codes[content.n % 10], content.n & 16 ? "text/plain" : NULL, content);
        break;
    case CA:
        put_der(r, w.ca->der);
        break;
    default:
        put(r, 200, "application/pkcs7-mime", content);
        break;
    }
}

/* The next answer off the input. */
static bool take(struct mu_bytes *in, unsigned *kind, struct mu_bytes *content)
{
    size_t n;

    if (in->n < 3)
        return false;
    *kind = in->p[0] % KINDS;
    n = (size_t)in->p[1] << 8 | in->p[2];
    if (n > in->n - 3)
        n = in->n - 3;
    *content = mu_bytes(in->p + 3, n);
    *in = mu_bytes(in->p + 3 + n, in->n - 3 - n);
    return true;
}

static enum mu_code send_on(struct mu_est_client *client, const struct mu_http_request *request,
    struct mu_bytes *in, bool *end, struct mu_step *next)
{
    struct mu_err failed = {.code = MU_NETWORK, .what = "gone"}, err;
    struct mu_http_response response = {.status = 200};
    struct mu_event event = {.type = MU_EVENT_RESPONSE, .response = &response};
    struct mu_bytes content;
    unsigned kind;
    enum mu_code rc;

    require(request->target[0] != '\0');
    *end = !take(in, &kind, &content);
    if (*end)
        return MU_OK;
    if (kind == NO_ANSWER) {
        failed.reason = content.n & 1 ? MU_M(207) : MU_REASON_NONE;
        event = (struct mu_event){.type = MU_EVENT_SEND_FAILED, .failed = &failed};
    } else {
        answer(kind, content, &response);
    }
    rc = mu_est_client_step(client, &event, next, &err);
    require(rc == MU_OK || err.what[0] != '\0');
    mu_http_response_clear(&response);
    return rc;
}

static void drive(struct mu_est_client *client, struct mu_bytes in, unsigned flags)
{
    static const enum mu_event_type types[] = {[MU_WANT_WAIT] = MU_EVENT_TIME,
        [MU_WANT_KEY] = MU_EVENT_KEY, [MU_WANT_TRUST] = MU_EVENT_TRUST,
        [MU_WANT_BINDING] = MU_EVENT_BINDING, [MU_WANT_SAVE] = MU_EVENT_SAVED};
    static const char binding[32] = "0123456789abcdef0123456789abcdef";
    struct mu_step step = {.want = MU_WANT_DONE}, next;
    struct mu_est_client_result result;
    struct mu_buf state = {.max = 1 << 20};
    struct mu_event event;
    unsigned steps = 0;
    bool end = false;
    enum mu_code rc;

    rc = mu_est_client_start(client, &step, NULL);
    while (rc == MU_OK && step.want != MU_WANT_DONE && steps++ < 60 && !end) {
        next = step;
        if (step.want == MU_WANT_SEND) {
            rc = send_on(client, &step.request, &in, &end, &next);
        } else {
            event = (struct mu_event){.type = types[step.want], .yes = true, .key = w.client_key,
                .binding = mu_bytes(binding, flags & 1 ? 32 : 12)};
            rc = mu_est_client_step(client, &event, &next, NULL);
        }
        step = next;
    }
    require(steps < 60);
    require(mu_est_client_store(client, &state, NULL) == MU_OK);
    mu_est_client_result(client, &result);
    require(result.warnings != NULL);
    mu_buf_clear(&state);
}

/* Stored state with a checksum that holds. */
static void restore(
    const struct mu_est_client_config *config, struct mu_bytes body, unsigned flags)
{
    struct mu_est_client *client = NULL;
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
    if (mu_est_client_restore(config, mu_buf_bytes(&b), &client, NULL) == MU_OK)
        drive(client, mu_bytes("\x0a\0\0\x01\0\0\x02\0\0", 9), flags);
    mu_est_client_free(client);
    mu_buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_est_client_config config = {.env = &fuzz_env, .url = "https://h:8443",
        .client_cert = "c", .trusted_as = "CA"};
    struct mu_est_client *client = NULL;
    unsigned flags, more;

    if (w.ca == NULL)
        set_up();
    if (size < 2 || size > 100 * 1024)
        return 0;
    flags = data[0];
    more = data[1];
    config.op = (enum mu_est_client_op)(MU_EST_CLIENT_ENROLL - (flags & 3) % 3 + ((flags & 3) == 3));
    config.reenroll = flags & 4;
    config.subject = mu_buf_bytes(&w.name);
    if (flags & 8) {
        config.user = "u";
        config.password = &w.password;
    }
    config.trusted = flags & 16 ? NULL : &w.chain;
    config.bootstrap = (flags & 48) == 48;
    config.allow_legacy = flags & 64;
    config.label = flags & 128 ? "iot" : NULL;
    config.ignore_csrattrs = more & 2;
    config.ca_known = more & 4;
    config.no_link = more & 8;
    config.client_cert_lacks_eku = more & 16;
    if (more & 32) {
        restore(&config, mu_bytes(data + 2, size - 2), more);
        return 0;
    }
    require(mu_est_client_new(&config, &client, NULL) == MU_OK);
    drive(client, mu_bytes(data + 2, size - 2), more);
    mu_est_client_free(client);
    return 0;
}
