/* An entry as an object of --json and of the control socket: the one writer of "certificates". */
#include "agent/agent.h"
#include "agent/agent_json.h"
#include "agent/agent_status.h"

static void last_json(struct mu_agent_json *j, const struct mu_agent_facts *f)
{
    struct mu_buf causes = {0};

    if (f->last_result == NULL) {
        mu_agent_json_null(j, "last");
        return;
    }
    mu_agent_json_causes(f->last_likely, &causes);
    mu_agent_json_open(j, "last", '{');
    mu_agent_json_text(j, "result", f->last_result);
    mu_agent_json_text(j, "code", f->last_code);
    mu_agent_json_text(j, "what", f->last_what);
    mu_agent_json_text(j, "reason", f->last_reason);
    mu_agent_json_text(j, "transaction", f->last_txn);
    mu_agent_json_text(j, "trace", f->last_trace);
    mu_agent_json_list(j, "causes", mu_buf_str(&causes), "\n");
    mu_agent_json_text(j, "do", f->last_next);
    mu_agent_json_time(j, "time", f->last_s);
    mu_agent_json_close(j, '}');
    mu_buf_clear(&causes);
}

/* At which remaining lifetime this CA was seen to renew, and to refuse. */
static void learned_json(struct mu_agent_json *j, const struct mu_agent_facts *f)
{
    if (f->yes_left_s == 0 && f->no_left_s == 0) {
        mu_agent_json_null(j, "learned");
        return;
    }
    mu_agent_json_open(j, "learned", '{');
    if (f->yes_left_s != 0)
        mu_agent_json_int(j, "yes_days", f->yes_left_s / 86400);
    else
        mu_agent_json_null(j, "yes_days");
    if (f->no_left_s != 0)
        mu_agent_json_int(j, "no_days", f->no_left_s / 86400);
    else
        mu_agent_json_null(j, "no_days");
    mu_agent_json_close(j, '}');
}

static void deploy_json(struct mu_agent_json *j, const struct mu_agent_facts *f)
{
    mu_agent_json_open(j, "deploy", '[');
    for (size_t i = 0; i < f->deploy_n; i++) {
        const struct mu_agent_facts_deploy *d = &f->deploy[i];
        struct mu_err err = {.reason = d->code};
        char code[8];

        mu_agent_json_open(j, NULL, '{');
        mu_agent_json_text(j, "recipe", d->recipe);
        mu_agent_json_text(j, "endpoint", d->endpoint);
        mu_agent_json_text(j, "serial_seen", d->serial_seen);
        mu_agent_json_text(j, "file", d->file);
        mu_agent_json_bool(j, "match", d->match);
        mu_agent_json_text(j, "code", mu_err_code_text(&err, code)[0] != '\0' ? code : NULL);
        mu_agent_json_time(j, "time", d->at_s);
        mu_agent_json_close(j, '}');
    }
    mu_agent_json_close(j, ']');
}

static void sha256_json(struct mu_agent_json *j, const char *colons)
{
    char plain[65];
    size_t n = 0;

    for (; colons != NULL && *colons != '\0' && n + 1 < sizeof plain; colons++) {
        if (*colons != ':')
            plain[n++] = *colons;
    }
    plain[n] = '\0';
    mu_agent_json_text(j, "sha256", n > 0 ? plain : NULL);
}

void mu_agent_json_facts(
    struct mu_agent_json *j, const char *key, const struct mu_agent_facts *f, int64_t now_s)
{
    bool has_cert = f->serial != NULL;
    struct mu_err why = {.reason = mu_agent_status_code(f)};
    char code[8];

    mu_agent_json_open(j, key, '{');
    mu_agent_json_text(j, "name", f->name);
    mu_agent_json_text(j, "protocol", mu_proto_name(f->proto));
    mu_agent_json_text(j, "ca", f->ca);
    mu_agent_json_text(j, "url", f->url);
    mu_agent_json_text(j, "ca_identifier", f->label);
    mu_agent_json_text(j, "user", f->user);
    mu_agent_json_text(j, "password", f->has_password ? "*" : NULL);
    mu_agent_json_text(j, "client_cert", f->client_cert);
    mu_agent_json_text(j, "srp_user", f->srp_user);
    mu_agent_json_text(j, "srp_password", f->has_srp_password ? "*" : NULL);
    mu_agent_json_text(j, "key_password", f->has_key_password ? "*" : NULL);
    mu_agent_json_text(j, "state", mu_agent_state_word(f->state));
    mu_agent_json_text(j, "subject", f->subject);
    mu_agent_json_text(j, "issuer", f->issuer);
    mu_agent_json_text(j, "san", f->san);
    mu_agent_json_list(j, "extensions", f->extensions, "\n");
    mu_agent_json_text(j, "serial", f->serial);
    sha256_json(j, f->sha256);
    mu_agent_json_text(j, "key", f->key);
    mu_agent_json_time(j, "not_before", f->not_before_s);
    mu_agent_json_time(j, "not_after", f->not_after_s);
    if (has_cert)
        mu_agent_json_int(j, "days_left", f->days_left);
    else
        mu_agent_json_null(j, "days_left");
    if (f->renew_days >= 0)
        mu_agent_json_int(j, "renew_days", f->renew_days);
    else
        mu_agent_json_null(j, "renew_days");
    mu_agent_json_time(j, "renew_from", f->renew_from_s);
    mu_agent_json_time(j, "due_since", f->due_since_s);
    mu_agent_json_bool(j, "held", f->held);
    mu_agent_json_text(j, "why", mu_err_code_text(&why, code)[0] != '\0' ? code : NULL);
    mu_agent_json_bool(j, "automation", f->automation);
    mu_agent_json_text(j, "next_serial", f->next_stem);
    if (f->is_pending) {
        mu_agent_json_open(j, "pending", '{');
        mu_agent_json_text(j, "transaction", f->pending_txn);
        mu_agent_json_time(j, "since", f->pending_since_s);
        mu_agent_json_close(j, '}');
    } else {
        mu_agent_json_null(j, "pending");
    }
    mu_agent_json_int(j, "attempts", f->attempts);
    mu_agent_json_time(j, "next_try", f->next_try_s);
    mu_agent_json_list(j, "legacy", f->warnings, "\n");
    mu_agent_json_list(j, "changed", f->changed, ", ");
    mu_agent_json_text(j, "cert_file", has_cert ? f->cert_file : NULL);
    mu_agent_json_text(j, "key_file", has_cert ? f->key_file : NULL);
    last_json(j, f);
    learned_json(j, f);
    deploy_json(j, f);
    mu_agent_json_close(j, '}');
}
