/* Reads what agent_json_facts.c writes. */
#include "web/agent/web_agent_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/time.h"

#define AT(member) offsetof(struct mu_agent_facts, member)

static const struct {
    const char *key;
    size_t at;
} texts[] = {{"ca", AT(ca)}, {"url", AT(url)}, {"ca_identifier", AT(label)}, {"user", AT(user)},
    {"client_cert", AT(client_cert)}, {"srp_user", AT(srp_user)}, {"subject", AT(subject)},
    {"issuer", AT(issuer)}, {"san", AT(san)}, {"serial", AT(serial)}, {"key", AT(key)},
    {"next_serial", AT(next_stem)}, {"cert_file", AT(cert_file)}, {"key_file", AT(key_file)}},
  times[] = {{"not_before", AT(not_before_s)}, {"not_after", AT(not_after_s)},
      {"renew_from", AT(renew_from_s)}, {"due_since", AT(due_since_s)}, {"next_try", AT(next_try_s)}},
  flags[] = {{"held", AT(held)}, {"automation", AT(automation)}},
  secrets[] = {{"password", AT(has_password)}, {"srp_password", AT(has_srp_password)},
      {"key_password", AT(has_key_password)}};

static void *member(struct mu_agent_facts *f, size_t at)
{
    return (char *)f + at;
}

/* ---- values ---- */

static enum mu_code text_take(const json_t *in, const char *key, char **out, struct mu_err *err)
{
    const char *value = NULL;
    enum mu_code rc = mu_kit_json_text(in, key, false, &value, err);

    return rc == MU_OK && value != NULL ? mu_text_dup(value, out, err) : rc;
}

static enum mu_code time_take(const json_t *in, const char *key, int64_t *out, struct mu_err *err)
{
    const char *value = NULL;
    enum mu_code rc = mu_kit_json_text(in, key, false, &value, err);

    if (rc == MU_OK && value != NULL && !mu_time_parse_rfc3339(value, out))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "answer: '%s' is no time", key);
    return rc;
}

/* Texts of an array, joined. */
static enum mu_code list_take(
    const json_t *in, const char *key, const char *separator, char **out, struct mu_err *err)
{
    struct mu_buf joined = {0};
    const json_t *value;
    enum mu_code rc;
    size_t i;

    json_array_foreach(json_object_get(in, key), i, value) {
        if (json_string_value(value) != NULL)
            mu_buf_putf(&joined, "%s%s", joined.n > 0 ? separator : "", json_string_value(value));
    }
    rc = mu_buf_check(&joined, key, err);
    if (rc == MU_OK && joined.n > 0)
        rc = mu_text_dup(mu_buf_str(&joined), out, err);
    mu_buf_clear(&joined);
    return rc;
}

/* Ranked again, as they were before they became a list: "1. this; 2. that". */
static enum mu_code causes_take(const json_t *last, char **out, struct mu_err *err)
{
    const json_t *causes = json_object_get(last, "causes"), *value;
    struct mu_buf joined = {0};
    enum mu_code rc;
    size_t i;

    json_array_foreach(causes, i, value) {
        if (json_array_size(causes) > 1)
            mu_buf_putf(&joined, "%s%zu. ", i > 0 ? "; " : "", i + 1);
        if (json_string_value(value) != NULL)
            mu_buf_put_str(&joined, json_string_value(value));
    }
    rc = mu_buf_check(&joined, "causes", err);
    if (rc == MU_OK && joined.n > 0)
        rc = mu_text_dup(mu_buf_str(&joined), out, err);
    mu_buf_clear(&joined);
    return rc;
}

/* ---- parts ---- */

static enum mu_code state_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    const char *word = NULL;
    enum mu_code rc = mu_kit_json_text(in, "state", true, &word, err);

    if (rc != MU_OK)
        return rc;
    for (int i = MU_AGENT_NEW; i <= MU_AGENT_DISABLED; i++) {
        if (strcmp(word, mu_agent_state_word((enum mu_agent_state)i)) == 0) {
            f->state = (enum mu_agent_state)i;
            return MU_OK;
        }
    }
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "answer: a state that is not known here");
}

static enum mu_code identity_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    const char *name = NULL, *proto = NULL, *sha256 = NULL;
    struct mu_buf colons = {0};
    enum mu_code rc;

    if ((rc = mu_kit_json_text(in, "name", true, &name, err)) != MU_OK
        || (rc = mu_kit_json_text(in, "protocol", false, &proto, err)) != MU_OK
        || (rc = mu_kit_json_text(in, "sha256", false, &sha256, err)) != MU_OK)
        return rc;
    snprintf(f->name, sizeof f->name, "%s", name);
    f->proto = proto != NULL ? mu_proto_parse(proto) : MU_PROTO_NONE;
    for (size_t i = 0; sha256 != NULL && sha256[i] != '\0'; i++)
        mu_buf_putf(&colons, "%s%c", i > 0 && i % 2 == 0 ? ":" : "", sha256[i]);
    rc = mu_buf_check(&colons, "sha256", err);
    if (rc == MU_OK && colons.n > 0)
        rc = mu_text_dup(mu_buf_str(&colons), &f->sha256, err);
    mu_buf_clear(&colons);
    return rc == MU_OK ? state_take(in, f, err) : rc;
}

static enum mu_code members_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < sizeof texts / sizeof texts[0]; i++)
        rc = text_take(in, texts[i].key, member(f, texts[i].at), err);
    for (size_t i = 0; rc == MU_OK && i < sizeof times / sizeof times[0]; i++)
        rc = time_take(in, times[i].key, member(f, times[i].at), err);
    for (size_t i = 0; rc == MU_OK && i < sizeof flags / sizeof flags[0]; i++)
        rc = mu_kit_json_bool(in, flags[i].key, member(f, flags[i].at), err);
    for (size_t i = 0; rc == MU_OK && i < sizeof secrets / sizeof secrets[0]; i++)
        *(bool *)member(f, secrets[i].at) = json_string_value(json_object_get(in, secrets[i].key)) != NULL;
    return rc;
}

static enum mu_code numbers_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    int64_t days_left = 0, renew_days = -1, attempts = 0;
    enum mu_code rc;

    if ((rc = mu_kit_json_int(in, "days_left", INT32_MIN, INT32_MAX, &days_left, err)) != MU_OK
        || (rc = mu_kit_json_int(in, "renew_days", 0, INT32_MAX, &renew_days, err)) != MU_OK
        || (rc = mu_kit_json_int(in, "attempts", 0, UINT32_MAX, &attempts, err)) != MU_OK)
        return rc;
    f->days_left = (int)days_left;
    f->renew_days = (int)renew_days;
    f->attempts = (unsigned)attempts;
    return MU_OK;
}

static enum mu_code nested_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    const json_t *pending = json_object_get(in, "pending"), *last = json_object_get(in, "last");
    enum mu_code rc;

    f->is_pending = json_is_object(pending);
    if (f->is_pending
        && ((rc = text_take(pending, "transaction", &f->pending_txn, err)) != MU_OK
            || (rc = time_take(pending, "since", &f->pending_since_s, err)) != MU_OK))
        return rc;
    if (!json_is_object(last))
        return MU_OK;
    if ((rc = text_take(last, "result", &f->last_result, err)) != MU_OK
        || (rc = text_take(last, "code", &f->last_code, err)) != MU_OK
        || (rc = text_take(last, "what", &f->last_what, err)) != MU_OK
        || (rc = text_take(last, "reason", &f->last_reason, err)) != MU_OK
        || (rc = text_take(last, "transaction", &f->last_txn, err)) != MU_OK
        || (rc = text_take(last, "trace", &f->last_trace, err)) != MU_OK
        || (rc = text_take(last, "do", &f->last_next, err)) != MU_OK
        || (rc = time_take(last, "time", &f->last_s, err)) != MU_OK)
        return rc;
    return causes_take(last, &f->last_likely, err);
}

static enum mu_code code_take(const json_t *in, const char *key, enum mu_reason *out, struct mu_err *err)
{
    const char *text = NULL;
    int64_t number;
    enum mu_code rc = mu_kit_json_text(in, key, false, &text, err);

    if (rc == MU_OK && text != NULL && text[0] == 'M' && mu_text_int(text + 1, 100, 999, &number, NULL) == MU_OK)
        *out = MU_M(number);
    return rc;
}

static enum mu_code deploy_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    const json_t *list = json_object_get(in, "deploy"), *one;
    enum mu_code rc = MU_OK;
    size_t i;

    if (json_array_size(list) == 0)
        return MU_OK;
    f->deploy = calloc(json_array_size(list), sizeof *f->deploy);
    if (f->deploy == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    f->deploy_n = json_array_size(list);
    json_array_foreach(list, i, one) {
        struct mu_agent_facts_deploy *d = &f->deploy[i];

        if ((rc = text_take(one, "recipe", &d->recipe, err)) != MU_OK
            || (rc = text_take(one, "endpoint", &d->endpoint, err)) != MU_OK
            || (rc = text_take(one, "serial_seen", &d->serial_seen, err)) != MU_OK
            || (rc = text_take(one, "file", &d->file, err)) != MU_OK
            || (rc = mu_kit_json_bool(one, "match", &d->match, err)) != MU_OK
            || (rc = code_take(one, "code", &d->code, err)) != MU_OK
            || (rc = time_take(one, "time", &d->at_s, err)) != MU_OK)
            break;
    }
    return rc;
}

static enum mu_code learned_take(const json_t *in, struct mu_agent_facts *f, struct mu_err *err)
{
    const json_t *learned = json_object_get(in, "learned");
    int64_t yes = 0, no = 0;
    enum mu_code rc;

    if (!json_is_object(learned))
        return MU_OK;
    if ((rc = mu_kit_json_int(learned, "yes_days", INT32_MIN, INT32_MAX, &yes, err)) != MU_OK
        || (rc = mu_kit_json_int(learned, "no_days", INT32_MIN, INT32_MAX, &no, err)) != MU_OK)
        return rc;
    f->yes_left_s = yes * 86400;
    f->no_left_s = no * 86400;
    return MU_OK;
}

enum mu_code mu_web_agent_facts_decode(const json_t *in, struct mu_agent_facts *out, struct mu_err *err)
{
    struct mu_agent_facts f = {.automation = true};
    enum mu_code rc;

    if ((rc = identity_take(in, &f, err)) != MU_OK || (rc = members_take(in, &f, err)) != MU_OK
        || (rc = numbers_take(in, &f, err)) != MU_OK || (rc = nested_take(in, &f, err)) != MU_OK
        || (rc = list_take(in, "legacy", "\n", &f.warnings, err)) != MU_OK
        || (rc = list_take(in, "changed", ", ", &f.changed, err)) != MU_OK
        || (rc = list_take(in, "extensions", "\n", &f.extensions, err)) != MU_OK
        || (rc = code_take(in, "why", &f.why, err)) != MU_OK
        || (rc = deploy_take(in, &f, err)) != MU_OK || (rc = learned_take(in, &f, err)) != MU_OK) {
        mu_agent_facts_clear(&f);
        return rc;
    }
    *out = f;
    return MU_OK;
}
