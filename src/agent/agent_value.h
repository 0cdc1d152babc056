/*
 * The values of muster.conf and of an entry's settings, by kind: is this one right, and what does it say?
 * A fault is MU_INPUT with a sentence; the word that was probably meant comes as the next step.
 */
#ifndef MU_AGENT_VALUE_H
#define MU_AGENT_VALUE_H

#include "base/err.h"

#include <stdint.h>

typedef enum mu_code mu_agent_value_check(const char *value, struct mu_err *err);

/* ---- words and texts ---- */
mu_agent_value_check mu_agent_value_protocol, mu_agent_value_method, mu_agent_value_nonce, mu_agent_value_standard,
    mu_agent_value_compat, mu_agent_value_csrattrs, mu_agent_value_renew_auth, mu_agent_value_mac, mu_agent_value_mac_iterations, mu_agent_value_mac_digest, mu_agent_value_pop,
    mu_agent_value_cmp_request, mu_agent_value_tls_min, mu_agent_value_pin, mu_agent_value_subject,
    mu_agent_value_san, mu_agent_value_key, mu_agent_value_key_usage, mu_agent_value_eku, mu_agent_value_digest,
    mu_agent_value_cipher, mu_agent_value_renew, mu_agent_value_warn, mu_agent_value_window,
    mu_agent_value_recipes, mu_agent_value_verify, mu_agent_value_mode, mu_agent_value_account,
    mu_agent_value_server_key_to;
/* ---- of [agent] and [ca] alone ---- */
mu_agent_value_check mu_agent_value_path, mu_agent_value_url, mu_agent_value_address, mu_agent_value_proxy,
    mu_agent_value_socket, mu_agent_value_ui, mu_agent_value_metrics, mu_agent_value_notify, mu_agent_value_level,
    mu_agent_value_time_source, mu_agent_value_names, mu_agent_value_name, mu_agent_value_host,
    mu_agent_value_duration, mu_agent_value_answer, mu_agent_value_percent, mu_agent_value_size,
    mu_agent_value_per_day, mu_agent_value_reference;

/* ---- what they say; out may be NULL ---- */
/* yes, enable, true: 1; no, disable, false: -1. */
enum mu_code mu_agent_value_parse_answer(const char *value, int *out, struct mu_err *err) MU_CHECK;
/* "auto": days -1; "30": days; "33%": percent, days -1. */
enum mu_code mu_agent_value_parse_renew(const char *value, int *days, int *percent, struct mu_err *err) MU_CHECK;
/* "auto": days[0] -1 and n 1; "45, 14, 7"; "0": n 0. */
enum mu_code mu_agent_value_parse_warn(const char *value, int days[8], int *n, struct mu_err *err) MU_CHECK;
/* "learned": 0. */
enum mu_code mu_agent_value_parse_window(const char *value, int64_t *out_s, struct mu_err *err) MU_CHECK;
/* "shared:ID": ID, a view into value; NULL: it says something else. */
const char *mu_agent_value_shared_id(const char *value);
/* "20%" or "20". */
enum mu_code mu_agent_value_parse_percent(const char *value, int *out, struct mu_err *err) MU_CHECK;
/* "16M", "512K", "1G", octets. */
enum mu_code mu_agent_value_parse_size(const char *value, int64_t *out, struct mu_err *err) MU_CHECK;
/* "2/day". */
enum mu_code mu_agent_value_parse_per_day(const char *value, unsigned *out, struct mu_err *err) MU_CHECK;

/* The i-th part of a list by comma, without blanks around it, into part; false behind the last. Too long a
 * part is cut, which no check lets pass. */
enum { MU_AGENT_VALUE_PART = 512 };
bool mu_agent_value_part(const char *list, size_t i, char part[MU_AGENT_VALUE_PART]);
/* How many there are. */
size_t mu_agent_value_parts(const char *list);

#endif
