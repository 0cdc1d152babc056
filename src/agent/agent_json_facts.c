/* An entry as an object of --json and of the control socket: the one writer of "certificates". */
#include "agent/agent.h"
#include "agent/agent_json.h"

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
    mu_agent_json_list(j, "causes", mu_buf_str(&causes), "\n");
    mu_agent_json_text(j, "do", f->last_next);
    mu_agent_json_time(j, "time", f->last_s);
    mu_agent_json_close(j, '}');
    mu_buf_clear(&causes);
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
    mu_agent_json_time(
        j, "due_since", f->renew_from_s != 0 && f->renew_from_s <= now_s ? f->renew_from_s : 0);
    mu_agent_json_bool(j, "held", false);
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
    mu_agent_json_null(j, "next_try");
    mu_agent_json_list(j, "legacy", f->warnings, "\n");
    mu_agent_json_list(j, "changed", f->changed, ", ");
    mu_agent_json_text(j, "cert_file", has_cert ? f->cert_file : NULL);
    mu_agent_json_text(j, "key_file", has_cert ? f->key_file : NULL);
    last_json(j, f);
    mu_agent_json_open(j, "deploy", '[');
    mu_agent_json_close(j, ']');
    mu_agent_json_close(j, '}');
}
