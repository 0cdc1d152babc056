/* The table of requests, and what their handlers share. */
#include "web/ca/web_ca_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const struct mu_kit_route mu_web_ca_routes[] = {
    {"GET", "/v1/ca", mu_web_ca_info_list},
    {"GET", "/v1/ca/{}", mu_web_ca_info_show},
    {"POST", "/v1/ca", mu_web_ca_info_new},
    {"POST", "/v1/ca/{}/set", mu_web_ca_info_set},
    {"POST", "/v1/ca/{}/next", mu_web_ca_info_next},
    {"POST", "/v1/ca/{}/activate", mu_web_ca_info_activate},
    {"POST", "/v1/ca/{}/kga", mu_web_ca_info_kga},
    {"GET", "/v1/entries", mu_web_ca_entry_list},
    {"GET", "/v1/entries/{}", mu_web_ca_entry_show},
    {"POST", "/v1/entries", mu_web_ca_entry_new},
    {"POST", "/v1/entries/{}/passwd", mu_web_ca_entry_passwd},
    {"POST", "/v1/entries/{}/device", mu_web_ca_entry_device},
    {"POST", "/v1/entries/{}/reset", mu_web_ca_entry_reset},
    {"POST", "/v1/entries/{}/disable", mu_web_ca_entry_disable},
    {"POST", "/v1/entries/{}/enable", mu_web_ca_entry_enable},
    {"DELETE", "/v1/entries/{}", mu_web_ca_entry_remove},
    {"GET", "/v1/profiles", mu_web_ca_profile_list},
    {"GET", "/v1/profiles/{}", mu_web_ca_profile_show},
    {"POST", "/v1/profiles", mu_web_ca_profile_new},
    {"POST", "/v1/profiles/{}", mu_web_ca_profile_replace},
    {"DELETE", "/v1/profiles/{}", mu_web_ca_profile_remove},
    {"GET", "/v1/queue", mu_web_ca_queue_list},
    {"GET", "/v1/queue/{}", mu_web_ca_queue_show},
    {"POST", "/v1/queue/{}/approve", mu_web_ca_queue_approve},
    {"POST", "/v1/queue/{}/reject", mu_web_ca_queue_reject},
    {"GET", "/v1/issued", mu_web_ca_cert_list},
    {"GET", "/v1/issued/{}", mu_web_ca_cert_show},
    {"POST", "/v1/revoke", mu_web_ca_cert_revoke},
    {"GET", "/v1/crl", mu_web_ca_cert_crl_get},
    {"POST", "/v1/crl", mu_web_ca_cert_crl_make},
    {"GET", "/v1/log", mu_web_ca_info_log},
    {"GET", "/v1/services", mu_web_ca_info_services},
    {"POST", "/v1/services/{}/enable", mu_web_ca_info_enable},
    {"POST", "/v1/services/{}/disable", mu_web_ca_info_disable},
    {"GET", "/v1/stats", mu_web_ca_info_stats},
    {NULL, NULL, NULL},
};

const char *mu_web_ca_operator(const struct mu_kit_call *call, char buf[32])
{
    if (call->uid == 0)
        snprintf(buf, 32, "root");
    else
        snprintf(buf, 32, "uid %lld", (long long)call->uid);
    return buf;
}

void mu_web_ca_finish(
    struct mu_kit_call *call, enum mu_code rc, json_t *out, const struct mu_err *err)
{
    struct mu_err own;

    if (rc == MU_OK) {
        mu_kit_call_answer(call, out);
        return;
    }
    own = *err;
    /* A refusal's words are for the client that asked, not for the operator who mistyped. */
    if (rc == MU_NOT_FOUND && own.reason >= MU_REFUSE_FIRST)
        mu_err_narrow(&own, MU_REASON_NONE);
    json_decref(out);
    mu_kit_call_fail(call, &own);
}

void mu_web_ca_done(struct mu_kit_call *call, enum mu_code rc, const char *key, const char *value,
    const struct mu_err *err)
{
    json_t *out = json_object();

    mu_kit_json_set_text(out, "result", "done");
    mu_kit_json_set_text(out, key, value);
    mu_web_ca_finish(call, rc, out, err);
}

enum mu_code mu_web_ca_filter(const struct mu_kit_call *call, struct mu_store_filter *filter,
    struct mu_buf *serial, struct mu_err *err)
{
    const char *text = NULL;
    int64_t limit = 0;
    enum mu_code rc;

    if ((rc = mu_kit_json_int(call->in, "before", 1, INT64_MAX, &filter->before_id, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_int(call->in, "limit", 1, 10000, &limit, err)) != MU_OK)
        return rc;
    filter->limit = (unsigned)limit;
    if ((rc = mu_kit_json_text(call->in, "ca", false, &filter->ca, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "subject", false, &filter->subject, err)) != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "transaction", false, &filter->transaction_id, err))
        != MU_OK)
        return rc;
    if ((rc = mu_kit_json_text(call->in, "serial", false, &text, err)) != MU_OK)
        return rc;
    if (text != NULL) {
        if ((rc = mu_pki_serial_parse(text, serial, err)) != MU_OK)
            return rc;
        filter->serial = mu_enroll_record_serial(mu_buf_bytes(serial));
    }
    return MU_OK;
}

void mu_web_ca_set_serial(json_t *object, const char *key, struct mu_bytes serial)
{
    struct mu_buf text = {0};

    if (serial.n == 0 || !mu_pki_cert_serial_hex(serial, &text))
        mu_kit_json_set_text(object, key, NULL);
    else
        mu_kit_json_set_buf(object, key, &text);
    mu_buf_clear(&text);
}

void mu_web_ca_set_name(json_t *object, const char *key, struct mu_bytes name_der)
{
    struct mu_buf text = {0};

    if (name_der.n != 0)
        mu_pki_name_format(name_der, MU_PKI_NAME_COMMA, &text);
    mu_kit_json_set_text(object, key, name_der.n != 0 ? mu_buf_str(&text) : NULL);
    mu_buf_clear(&text);
}

void mu_web_ca_set_key(json_t *object, const char *key, struct mu_bytes spki)
{
    struct mu_pki_key *k = NULL;
    struct mu_pki_key_spec spec;
    char text[32];

    if (mu_pki_key_from_spki(spki, &k, NULL) == MU_OK) {
        mu_pki_key_spec_of(k, &spec);
        mu_kit_json_set_text(object, key, mu_pki_key_spec_format(&spec, text));
    } else {
        mu_kit_json_set_text(object, key, NULL);
    }
    mu_pki_key_free(k);
}

void mu_web_ca_set_protocols(json_t *object, const char *key, unsigned protocols)
{
    static const enum mu_proto each[] = {MU_PROTO_SCEP, MU_PROTO_EST, MU_PROTO_CMP};
    struct mu_buf text = {0};

    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        if ((protocols & 1u << each[i]) != 0)
            mu_buf_putf(&text, "%s%s", text.n != 0 ? ", " : "", mu_proto_name(each[i]));
    if ((protocols & MU_RECORD_ENTRY_SRP) != 0)
        mu_buf_put_str(&text, ", srp");
    if ((protocols & MU_RECORD_ENTRY_KEY) != 0)
        mu_buf_put_str(&text, "shared-key");
    mu_kit_json_set_text(object, key, text.n != 0 ? mu_buf_str(&text) : "all");
    mu_buf_clear(&text);
}

json_t *mu_web_ca_cert_json(const struct mu_pki_cert *cert, bool with_pem)
{
    json_t *o = json_object();
    struct mu_buf text = {0};

    mu_web_ca_set_name(o, "subject", cert->subject);
    mu_web_ca_set_name(o, "issuer", cert->issuer);
    mu_web_ca_set_serial(o, "serial", cert->serial);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
    mu_kit_json_set_buf(o, "sha256", &text);
    mu_web_ca_set_key(o, "key", cert->spki);
    mu_kit_json_set_time(o, "not_before", cert->not_before_s);
    mu_kit_json_set_time(o, "not_after", cert->not_after_s);
    if (with_pem) {
        mu_buf_reset(&text);
        mu_pki_cert_to_pem(cert, &text);
        mu_kit_json_set_buf(o, "pem", &text);
    }
    mu_buf_clear(&text);
    return o;
}
