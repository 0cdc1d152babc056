/* The forms of an event: a line of key=value, and structured data of syslog. */
#include <string.h>

#include "agent/agent_event.h"
#include "keystore/keystore_log.h"

/* Texts of people and peers stand in quotes, words of ours do not. */
static bool is_quoted(enum mu_agent_event_field field, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:";

    return field == MU_AGENT_EVENT_NAME || field == MU_AGENT_EVENT_MSG
        || field == MU_AGENT_EVENT_REASON || field == MU_AGENT_EVENT_HINT
        || text[strspn(text, plain)] != '\0';
}

static void put_quoted(struct mu_buf *out, const char *text, const char *special)
{
    mu_buf_put_byte(out, '"');
    for (; *text != '\0'; text++) {
        if (strchr(special, *text) != NULL)
            mu_buf_put_byte(out, '\\');
        mu_buf_put_byte(out, (uint8_t)*text);
    }
    mu_buf_put_byte(out, '"');
}

bool mu_agent_event_row_line(const struct mu_agent_event_row *row, struct mu_buf *out)
{
    size_t before = out->n;

    for (enum mu_agent_event_field i = 0; i < MU_AGENT_EVENT_FIELDS; i++) {
        if (row->field[i] == NULL)
            continue;
        mu_buf_putf(out, "%s%s=", out->n > before ? " " : "", mu_agent_event_field_name(i));
        if (is_quoted(i, row->field[i]))
            put_quoted(out, row->field[i], "\"\\");
        else
            mu_buf_put_str(out, row->field[i]);
    }
    return !out->failed;
}

bool mu_agent_event_line(const struct mu_agent_event *event, struct mu_buf *out)
{
    struct mu_agent_event_row row;
    bool ok = mu_agent_event_row(event, &row, NULL) == MU_OK && mu_agent_event_row_line(&row, out);

    mu_agent_event_row_clear(&row);
    return ok;
}

/* The number after '@' is the one for examples (RFC 5612): the project has none of its own. */
bool mu_agent_event_row_sd(const struct mu_agent_event_row *row, struct mu_buf *out)
{
    mu_buf_put_str(out, "[muster@32473");
    for (enum mu_agent_event_field i = MU_AGENT_EVENT_TYPE; i < MU_AGENT_EVENT_FIELDS; i++) {
        if (row->field[i] == NULL || i == MU_AGENT_EVENT_MSG)
            continue;
        mu_buf_putf(out, " %s=", mu_agent_event_field_name(i));
        put_quoted(out, row->field[i], "\"\\]"); /* RFC 5424 6.3.3 */
    }
    return mu_buf_put_str(out, "]");
}

enum mu_code mu_agent_event_store(
    struct mu_keystore *store, const struct mu_agent_event *event, struct mu_err *err)
{
    struct mu_buf line = {.max = MU_AGENT_EVENT_LINE};
    enum mu_code rc;

    mu_agent_event_line(event, &line);
    if ((rc = mu_buf_check(&line, "an event", err)) == MU_OK)
        rc = mu_keystore_log_append(store, mu_buf_bytes(&line), err);
    mu_buf_clear(&line);
    return rc;
}
