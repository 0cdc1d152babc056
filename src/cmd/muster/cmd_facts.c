/* Words for an entry. */
#include "cmd/muster/cmd_facts.h"

#include <stdio.h>

#include "base/text.h"

int mu_cmd_facts_class(const struct mu_agent_facts *facts)
{
    switch (facts->state) {
    case MU_AGENT_OK:
        return 0;
    case MU_AGENT_PENDING:
    case MU_AGENT_RENEWING:
        return 1;
    default:
        return 2;
    }
}

void mu_cmd_facts_header(struct mu_cmd_print_table *table)
{
    static const char *const titles[] = {
        "NAME", "VIA", "STATE", "EXPIRES", "RENEWS", "LAST RESULT"};
    size_t i;

    table->columns = sizeof titles / sizeof titles[0];
    for (i = 0; i < table->columns; i++)
        mu_cmd_print_cell(table, titles[i]);
}

/* "2 min ago" */
static const char *ago(int64_t then_s, int64_t now_s, char *buf, size_t size)
{
    struct mu_buf text = {0};
    int64_t s = now_s - then_s;

    if (s >= 3600)
        s -= s % 3600;
    else if (s >= 60)
        s -= s % 60;
    mu_text_duration_format(&text, s > 0 ? s : 0);
    snprintf(buf, size, "%s ago", mu_buf_str(&text));
    mu_buf_clear(&text);
    return buf;
}

static void last_cell(const struct mu_agent_facts *f, int64_t now_s, char *out, size_t size)
{
    char when[48];

    if (f->is_pending && f->pending_since_s != 0)
        snprintf(out, size, "waiting since %s", ago(f->pending_since_s, now_s, when, sizeof when));
    else if (f->last_result == NULL)
        snprintf(out, size, "-");
    else if (f->attempts > 1)
        snprintf(out, size, "%s %u times%s%s", f->last_result, f->attempts,
            f->last_code != NULL ? ", " : "", f->last_code != NULL ? f->last_code : "");
    else
        snprintf(out, size, "%s %s%s%s", f->last_result, ago(f->last_s, now_s, when, sizeof when),
            f->last_code != NULL ? ", " : "", f->last_code != NULL ? f->last_code : "");
    if (f->warnings != NULL && f->warnings[0] != '\0') {
        size_t n = strlen(out);

        snprintf(out + n, size - n, ", legacy");
    }
}

void mu_cmd_facts_row(
    struct mu_cmd_print_table *table, const struct mu_agent_facts *f, int64_t now_s)
{
    char text[160], day[16];

    mu_cmd_print_cell(table, f->name);
    mu_cmd_print_cell(table, mu_proto_name(f->proto));
    mu_cmd_print_cell(table, mu_agent_state_word(f->state));
    if (f->serial != NULL)
        snprintf(
            text, sizeof text, "%s (%dd)", mu_cmd_print_day(f->not_after_s, day), f->days_left);
    mu_cmd_print_cell(table, f->serial != NULL ? text : "-");
    if (f->renew_from_s == 0)
        mu_cmd_print_cell(table, "-");
    else if (f->renew_from_s > now_s)
        mu_cmd_print_cell(table, mu_cmd_print_day(f->renew_from_s, day));
    else {
        snprintf(text, sizeof text, "overdue %dd", (int)((now_s - f->renew_from_s) / 86400));
        mu_cmd_print_cell(table, text);
    }
    last_cell(f, now_s, text, sizeof text);
    mu_cmd_print_cell(table, text);
}

static void row(const char *word, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    do {
        size_t n = strcspn(text, "\n");

        printf("%-13s %.*s\n", word, (int)n, text);
        text += n + (text[n] == '\n');
        word = "";
    } while (*text != '\0');
}

static void show_certificate(const struct mu_agent_facts *f, int64_t now_s)
{
    char text[160], when[48];

    row("subject", f->subject);
    row("issuer", f->issuer);
    row("san", f->san);
    row("serial", f->serial);
    row("SHA-256", f->sha256);
    row("key", f->key);
    row("valid from", mu_cmd_print_time(f->not_before_s, when));
    snprintf(text, sizeof text, f->days_left >= 0 ? "%s (in %d d)" : "%s (expired %d d ago)",
        mu_cmd_print_time(f->not_after_s, when), f->days_left >= 0 ? f->days_left : -f->days_left);
    row("valid until", text);
    if (f->renew_from_s == 0)
        snprintf(text, sizeof text, "off (renew-days = 0)");
    else
        snprintf(text, sizeof text, "from %s%s", mu_cmd_print_time(f->renew_from_s, when),
            f->renew_from_s <= now_s ? ", due" : "");
    row("renewal", text);
    if (f->next_stem != NULL) {
        snprintf(text, sizeof text, "%s, of the next CA, takes over at %s", f->next_stem,
            mu_cmd_print_time(f->not_after_s, when));
        row("waits", text);
    }
    row("certificate", f->cert_file);
    row("private key", f->key_file);
}

void mu_cmd_facts_show(const struct mu_agent_facts *f, int64_t now_s)
{
    char text[256], when[48];

    row("name", f->name);
    row("state", mu_agent_state_word(f->state));
    row("protocol", mu_proto_name(f->proto));
    row("url", f->url);
    row("ca", f->ca);
    row("label", f->label);
    row("user", f->user);
    row("password", f->has_password ? "*" : NULL);
    row("client cert", f->client_cert);
    row("SRP user", f->srp_user);
    row("SRP password", f->has_srp_password ? "*" : NULL);
    row("key password", f->has_key_password ? "*" : NULL);
    if (f->serial != NULL)
        show_certificate(f, now_s);
    if (f->changed != NULL && f->changed[0] != '\0') {
        snprintf(text, sizeof text, "by the CA: %s", f->changed);
        row("changed", text);
    }
    if (f->is_pending) {
        snprintf(text, sizeof text, "transaction %s, since %s",
            f->pending_txn != NULL ? f->pending_txn : "-",
            mu_cmd_print_time(f->pending_since_s, when));
        row("pending", text);
    }
    if (f->last_result != NULL) {
        snprintf(text, sizeof text, "%s, %s%s%s", f->last_result,
            mu_cmd_print_time(f->last_s, when), f->last_code != NULL ? ", " : "",
            f->last_code != NULL ? f->last_code : "");
        row("last result", text);
        row("  what", f->last_what);
        row("  likely", f->last_likely);
        row("  do", f->last_next);
    }
    row("warning", f->warnings);
}
