/*
 * The responder's protocol work in process, without network and store: one PKCSReq, made once by
 * the client engine, is opened, read, certified and answered again and again. What stands between
 * this figure and the crypto bound is our own code; what stands between it and scep_load's figure is
 * network, policy and store. One line of JSON, CPU ms per enrollment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pki/pki_csr.h"
#include "pki/pki_name.h"
#include "proto/scep/scep_caps.h"
#include "proto/scep/scep_client.h"
#include "proto/scep/scep_server.h"

static struct mu_env env;
static struct mu_pki_key *ca_key, *client_key;
static struct mu_pki_cert *ca_cert;
static struct mu_pki_certs chain;
static struct mu_credential credential;
static struct mu_buf body;

static void must(enum mu_code rc, const struct mu_err *err)
{
    if (rc != MU_OK) {
        fprintf(stderr, "engine: %s\n", err->what);
        exit(1);
    }
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct mu_pki_cert *certify(struct mu_bytes subject, struct mu_bytes spki, bool is_ca)
{
    struct mu_err err = {0};
    struct mu_buf ext = {0}, der = {0};
    struct mu_pki_cert *cert = NULL;
    uint8_t serial[16], id[20];
    must(mu_env_random(&env, serial, sizeof serial, &err), &err);
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    size_t seq = mu_der_open(&ext, MU_DER_SEQUENCE);
    mu_pki_ext_put_basic(&ext, true, is_ca, -1);
    mu_pki_ext_put_key_usage(&ext, true,
        is_ca ? MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT | MU_KU_KEY_CERT_SIGN : MU_KU_DIGITAL_SIGNATURE);
    if (mu_pki_key_id(spki, id))
        mu_pki_ext_put_skid(&ext, id);
    if (ca_cert != NULL)
        mu_pki_ext_put_akid(&ext, ca_cert->exts.skid);
    mu_der_close(&ext, seq);
    int64_t now = mu_env_now(&env);
    struct mu_pki_tbs tbs = {.serial_magnitude = mu_bytes(serial, sizeof serial),
        .issuer = ca_cert != NULL ? ca_cert->subject : subject, .subject = subject,
        .not_before_s = now - 300, .not_after_s = now + 86400, .spki = spki, .extensions = mu_buf_bytes(&ext)};
    must(mu_pki_cert_make(&tbs, ca_key, MU_PKI_SHA256, &der, &err), &err);
    must(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, &err), &err);
    mu_buf_clear(&ext);
    mu_buf_clear(&der);
    return cert;
}

static void setup(void)
{
    struct mu_err err = {0};
    struct mu_buf name = {0}, csr = {0};
    struct mu_scep_client *engine = NULL;
    struct mu_step step = {0};
    struct mu_pki_key_spec spec = {MU_PKI_KEY_RSA, 2048};
    env = mu_env_system();
    must(mu_pki_key_generate(&spec, &ca_key, &err), &err);
    must(mu_pki_key_generate(&spec, &client_key, &err), &err);
    must(mu_pki_name_parse("/CN=bench CA", &name, &err), &err);
    ca_cert = certify(mu_buf_bytes(&name), mu_pki_key_spki(ca_key), true);
    must(mu_pki_certs_add(&chain, ca_cert, &err), &err);
    mu_buf_reset(&name);
    must(mu_pki_name_parse("/O=Bench/CN=client", &name, &err), &err);
    struct mu_pki_csr_params params = {.subject = mu_buf_bytes(&name), .digest = MU_PKI_SHA256};
    must(mu_pki_csr_make(&params, client_key, &csr, &err), &err);
    struct mu_scep_client_config config = {.env = &env, .op = MU_SCEP_CLIENT_ENROLL, .url = "http://127.0.0.1/scep",
        .entry = "bench", .csr = mu_buf_bytes(&csr), .key = client_key, .trusted = &chain, .ca_certs = &chain,
        .skip_caps = true, .known_caps = MU_SCEP_CAP_POST | MU_SCEP_CAP_AES | MU_SCEP_CAP_SHA256};
    must(mu_scep_client_new(&config, &engine, &err), &err);
    must(mu_scep_client_start(engine, &step, &err), &err);
    mu_buf_put_bytes(&body, step.request.body);
    credential = (struct mu_credential){.key = ca_key, .cert = ca_cert, .ca_chain = &chain, .ca_key = ca_key, .ca_in_reply = true};
    mu_scep_client_free(engine);
    mu_buf_clear(&name);
    mu_buf_clear(&csr);
}

static void serve(void)
{
    struct mu_err err = {0};
    struct mu_scep_server *server = NULL;
    struct mu_claim claim = {0};
    struct mu_question question = {0};
    struct mu_http_response response = {0};
    struct mu_http_header headers[] = {{"Content-Type", "application/x-pki-message"}};
    struct mu_http_request request = {.method = "POST", .target = "/scep?operation=PKIOperation", .minor = 1,
        .headers = headers, .header_n = 1, .body = mu_buf_bytes(&body)};
    must(mu_scep_server_open(&env, &request, &server, &claim, &err), &err);
    must(mu_scep_server_read(server, &credential, &question, &err), &err);
    struct mu_pki_cert *cert = certify(question.csr->subject, question.csr->spki, false);
    struct mu_decision decision = {.verdict = MU_VERDICT_ISSUED, .cert = cert, .chain = &chain};
    must(mu_scep_server_write(server, &credential, &decision, &response, &err), &err);
    mu_http_response_clear(&response);
    mu_pki_cert_free(cert);
    mu_scep_server_free(server);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    setup();
    for (int i = 0; i < n / 10 + 1; i++)
        serve();
    double t = cpu_ms();
    for (int i = 0; i < n; i++)
        serve();
    printf("{\"engine_ms\":%.4f}\n", (cpu_ms() - t) / n);
    mu_pki_certs_clear(&chain);
    mu_pki_cert_free(ca_cert);
    mu_pki_key_free(ca_key);
    mu_pki_key_free(client_key);
    mu_buf_clear(&body);
    return 0;
}
