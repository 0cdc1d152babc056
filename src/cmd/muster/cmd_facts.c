/* Words for an entry. */
#include "cmd/muster/cmd_facts.h"

#include <stdio.h>

#include "agent/agent_status.h"
#include "base/text.h"

void mu_cmd_facts_header(struct mu_cmd_print_table *table)
{
    static const char *const titles[] = {
        "NAME", "VIA", "STATE", "EXPIRES", "RENEWS", "LAST RESULT", "IN USE"};
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

    if (f->is_pending && !f->is_by_file && f->pending_since_s != 0 && f->attempts == 0)
        snprintf(out, size, "waiting %lld of %lld min", (long long)(now_s - f->pending_since_s) / 60,
            (long long)f->await_limit_s / 60);
    else if (f->state == MU_AGENT_EXPIRED && f->renew_days == 0)
        snprintf(out, size, "renewal is off");
    else if (f->last_result == NULL)
        snprintf(out, size, "-");
    else if (f->attempts > 1)
        snprintf(out, size, "%s %u times", f->last_result, f->attempts);
    else
        snprintf(out, size, "%s %s", f->last_result, ago(f->last_s, now_s, when, sizeof when));
    if (f->warnings != NULL && f->warnings[0] != '\0') {
        size_t n = strlen(out);

        snprintf(out + n, size - n, ", legacy");
    }
}

/* ":443" for this machine, else the host too; without what follows it. */
static void put_endpoint(struct mu_buf *out, const char *endpoint)
{
    if (mu_text_starts(endpoint, "tls:"))
        endpoint += 4;
    if (mu_text_starts(endpoint, "localhost:"))
        endpoint += 9;
    mu_buf_putf(out, "%.*s", (int)strcspn(endpoint, " "), endpoint);
}

/* A recipe and the check of it behind each other are one thing: "nginx :443 ok". */
static void put_use(struct mu_buf *out, const struct mu_agent_facts *f, size_t i)
{
    const struct mu_agent_facts_deploy *d = &f->deploy[i];
    struct mu_err why = {.reason = d->code};
    char code[8];

    if (d->recipe != NULL)
        mu_buf_put_str(out, d->recipe);
    if (d->endpoint != NULL)
        put_endpoint(out, d->endpoint);
    if (d->match && d->endpoint == NULL && i + 1 < f->deploy_n && f->deploy[i + 1].recipe == NULL) {
        mu_buf_put_str(out, " ");
        return;
    }
    mu_buf_put_str(out, d->match ? " ok" : d->code == MU_M(902) ? " old cert" : " failed");
    if (!d->match && mu_err_code_text(&why, code)[0] != '\0')
        mu_buf_putf(out, ", %s", code);
    if (i + 1 < f->deploy_n)
        mu_buf_put_str(out, ", ");
}

/* "nginx :443 ok", else the code and when it is tried again. */
static void use_cell(const struct mu_agent_facts *f, int64_t now_s, struct mu_buf *out)
{
    struct mu_err err = {.reason = mu_agent_status_code(f)};
    char code[8], when[48];

    for (size_t i = 0; i < f->deploy_n && out->n < 120; i++)
        put_use(out, f, i);
    if (out->n > 0 && f->state != MU_AGENT_RETRYING && f->state != MU_AGENT_EXPIRED)
        return;
    if (mu_err_code_text(&err, code)[0] != '\0')
        mu_buf_putf(out, "%s%s", out->n > 0 ? "; " : "", code);
    if (f->next_try_s > now_s && f->state != MU_AGENT_HELD && f->state != MU_AGENT_PENDING
        && f->attempts > 0) {
        mu_cmd_print_time(f->next_try_s, when); /* 2025-11-21 05:10 UTC */
        mu_buf_putf(out, "%snext %.*s", out->n > 0 ? ", " : "",
            f->next_try_s - now_s < 86400 ? 5 : 10, f->next_try_s - now_s < 86400 ? when + 11 : when);
    }
}

void mu_cmd_facts_row(
    struct mu_cmd_print_table *table, const struct mu_agent_facts *f, int64_t now_s)
{
    struct mu_buf use = {0};
    char text[160], day[16];

    mu_cmd_print_cell(table, f->name);
    mu_cmd_print_cell(table, mu_proto_name(f->proto));
    mu_cmd_print_cell(table, mu_agent_state_word(f->state));
    if (f->serial != NULL)
        snprintf(
            text, sizeof text, "%s (%dd)", mu_cmd_print_day(f->not_after_s, day), f->days_left);
    mu_cmd_print_cell(table, f->serial != NULL ? text : "-");
    if (f->renew_from_s == 0 || !f->automation)
        mu_cmd_print_cell(table, "-");
    else if (f->due_since_s == 0)
        mu_cmd_print_cell(table, mu_cmd_print_day(f->renew_from_s, day));
    else {
        snprintf(text, sizeof text, "overdue %dd", (int)((now_s - f->renew_from_s) / 86400));
        mu_cmd_print_cell(table, text);
    }
    last_cell(f, now_s, text, sizeof text);
    mu_cmd_print_cell(table, text);
    use_cell(f, now_s, &use);
    mu_cmd_print_cell(table, use.n > 0 ? mu_buf_str(&use) : "-");
    mu_buf_clear(&use);
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
    row("extensions", f->extensions);
    if (f->renew_from_s == 0)
        snprintf(text, sizeof text, "off (renew-days = 0)");
    else
        snprintf(text, sizeof text, "from %s%s", mu_cmd_print_time(f->renew_from_s, when),
            f->renew_from_s <= now_s ? ", due" : "");
    row("renewal", text);
    if (f->next_stem != NULL) {
        if (f->next_held)
            snprintf(text, sizeof text, "%s, to be brought into use: muster deploy %s", f->next_stem, f->name);
        else
            snprintf(text, sizeof text, "%s, of the next CA, takes over at %s", f->next_stem,
                mu_cmd_print_time(f->not_after_s, when));
        row("waits", text);
    }
    row("certificate", f->cert_file);
    row("private key", f->key_file);
}

static void show_learned(const struct mu_agent_facts *f)
{
    char text[120] = "";
    size_t n = 0;

    if (f->yes_left_s != 0)
        n = (size_t)snprintf(text, sizeof text, "renewed with %lld d left", (long long)f->yes_left_s / 86400);
    if (f->no_left_s != 0)
        snprintf(text + n, sizeof text - n, "%srefused with %lld d left", n > 0 ? ", " : "",
            (long long)f->no_left_s / 86400);
    row("this CA", text);
}

/* When something happens by itself, what was learned of the CA, and where it is in use. */
static void show_when(const struct mu_agent_facts *f, int64_t now_s)
{
    char text[400], when[48];

    if (!f->automation)
        row("automation", "off: nothing is done by itself");
    if (f->next_try_s > now_s) {
        snprintf(text, sizeof text, "%s%s", mu_cmd_print_time(f->next_try_s, when), f->held ? ", held until then" : "");
        row("next try", text);
    }
    show_learned(f);
    for (size_t i = 0; i < f->deploy_n; i++) {
        const struct mu_agent_facts_deploy *d = &f->deploy[i];

        snprintf(text, sizeof text, "%s%s%s: %s%s", d->recipe != NULL ? d->recipe : "",
            d->recipe != NULL && d->endpoint != NULL ? " " : "", d->endpoint != NULL ? d->endpoint : "",
            d->match ? "ok" : "not this certificate, but ",
            d->match ? "" : d->serial_seen != NULL ? d->serial_seen : "an unknown one");
        row(i == 0 ? "in use" : "", text);
    }
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
    show_when(f, now_s);
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
        row("  trace", f->last_trace);
    }
    row("warning", f->warnings);
}

void mu_cmd_facts_trace(const struct mu_agent_facts *f, const struct mu_err *finding)
{
    if (f->last_trace != NULL && f->last_what != NULL && strcmp(f->last_what, finding->what) == 0)
        printf("  %-9s muster trace %s --last\n", "trace", f->name);
}
