/* What the files of web/ca share. */
#ifndef MU_WEB_CA_INTERNAL_H
#define MU_WEB_CA_INTERNAL_H

#include "base/limits.h"
#include "pki/pki_name.h"
#include "web/ca/web_ca.h"

/* ---- handlers, by file ---- */
mu_kit_handler mu_web_ca_info_list, mu_web_ca_info_show, mu_web_ca_info_new, mu_web_ca_info_set,
    mu_web_ca_info_next, mu_web_ca_info_activate, mu_web_ca_info_kga,
    mu_web_ca_info_services, mu_web_ca_info_enable,
    mu_web_ca_info_disable, mu_web_ca_info_stats, mu_web_ca_info_log;
mu_kit_handler mu_web_ca_entry_list, mu_web_ca_entry_show, mu_web_ca_entry_new,
    mu_web_ca_entry_passwd, mu_web_ca_entry_device, mu_web_ca_entry_reset, mu_web_ca_entry_disable, mu_web_ca_entry_enable,
    mu_web_ca_entry_remove;
mu_kit_handler mu_web_ca_profile_list, mu_web_ca_profile_show, mu_web_ca_profile_new,
    mu_web_ca_profile_replace, mu_web_ca_profile_remove;
mu_kit_handler mu_web_ca_queue_list, mu_web_ca_queue_show, mu_web_ca_queue_approve,
    mu_web_ca_queue_reject;
mu_kit_handler mu_web_ca_cert_list, mu_web_ca_cert_show, mu_web_ca_cert_revoke,
    mu_web_ca_cert_crl_get, mu_web_ca_cert_crl_make;

/* ---- common parts, web_ca.c ---- */

static inline struct mu_ca *mu_web_ca_of(const struct mu_kit_call *call)
{
    return ((const struct mu_web_ca *)call->context)->ca;
}
static inline int64_t mu_web_ca_now(const struct mu_kit_call *call)
{
    return mu_env_now(((const struct mu_web_ca *)call->context)->env);
}

/* NULL for "". */
static inline const char *mu_web_ca_or_null(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

/* Who asks, for the audit trail: "root", "uid 1000". Returns buf. */
const char *mu_web_ca_operator(const struct mu_kit_call *call, char buf[32]);
/* Answers by rc: the object (taken) or the error. */
void mu_web_ca_finish(
    struct mu_kit_call *call, enum mu_code rc, json_t *out, const struct mu_err *err);
/* {key: value} with "result":"done"; finishes a call that has nothing more to say. */
void mu_web_ca_done(struct mu_kit_call *call, enum mu_code rc, const char *key, const char *value,
    const struct mu_err *err);

/* before, limit, subject, transaction, ca, serial of call->in into the filter; serial points into
 * the buffer, which the caller clears. */
enum mu_code mu_web_ca_filter(const struct mu_kit_call *call, struct mu_store_filter *filter,
    struct mu_buf *serial, struct mu_err *err) MU_CHECK;

void mu_web_ca_set_serial(json_t *object, const char *key, struct mu_bytes serial);
void mu_web_ca_set_name(json_t *object, const char *key, struct mu_bytes name_der);
void mu_web_ca_set_key(json_t *object, const char *key, struct mu_bytes spki);
/* "scep, est"; "all" for 0 */
void mu_web_ca_set_protocols(json_t *object, const char *key, unsigned protocols);
/* subject, issuer, serial, sha256, key, not_before, not_after and, if asked for, pem */
json_t *mu_web_ca_cert_json(const struct mu_pki_cert *cert, bool with_pem);

#endif
