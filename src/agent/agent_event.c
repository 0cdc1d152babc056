/* The words of an event, and its fields as texts. What becomes of a line is in agent_event_line.c. */
#include "agent/agent_event.h"

#include "base/env.h"
#include "base/text.h"
#include "base/time.h"

/* In the order of the enum: PRODUCT "Events". */
static const struct {
    const char *subtype, *action, *level;
    bool is_failure;
} kinds[MU_AGENT_EVENT_KINDS] = {
    [MU_AGENT_EVENT_LOADED] = {"vpn", "certificate-generate", "notice", false},
    [MU_AGENT_EVENT_SIGNED] = {"system", "certificate-generate", "notice", false},
    [MU_AGENT_EVENT_CONNECT_FAILED] = {"system", "certificate-generate", "error", true},
    [MU_AGENT_EVENT_SIGN_FAILED] = {"system", "certificate-generate", "error", true},
    [MU_AGENT_EVENT_WARNING] = {"system", "certificate-warning", "warning", false},
    [MU_AGENT_EVENT_PENDING] = {"system", "certificate-status", "notice", false},
    [MU_AGENT_EVENT_HELD] = {"system", "certificate-status", "warning", false},
    [MU_AGENT_EVENT_CLOCK] = {"system", "certificate-status", "warning", true},
    [MU_AGENT_EVENT_DEPLOYED] = {"system", "certificate-deploy", "notice", false},
    [MU_AGENT_EVENT_DEPLOY_FAILED] = {"system", "certificate-deploy", "error", true},
    [MU_AGENT_EVENT_STALE] = {"system", "certificate-deploy", "warning", true},
    [MU_AGENT_EVENT_CA_CHANGED] = {"system", "certificate-deploy", "notice", false},
    [MU_AGENT_EVENT_EXPIRED] = {"system", "certificate-status", "error", true},
};

static const char *const field_names[MU_AGENT_EVENT_FIELDS] = {"date", "time", "tz", "type",
    "subtype", "level", "action", "status", "name", "method", "msg", "reason", "hint", "code", "txn"};

void mu_agent_event_emit(const struct mu_agent_events *to, const struct mu_agent_event *event)
{
    if (to->call != NULL)
        to->call(to->cookie, event);
}

const char *mu_agent_event_subtype(enum mu_agent_event_kind kind)
{
    return kinds[kind].subtype;
}

const char *mu_agent_event_action(enum mu_agent_event_kind kind)
{
    return kinds[kind].action;
}

const char *mu_agent_event_level(enum mu_agent_event_kind kind)
{
    return kinds[kind].level;
}

int mu_agent_event_severity(enum mu_agent_event_kind kind)
{
    const char *level = kinds[kind].level;

    return level[0] == 'e' ? 3 : level[0] == 'w' ? 4 : 5;
}

bool mu_agent_event_is_failure(enum mu_agent_event_kind kind)
{
    return kinds[kind].is_failure;
}

const char *mu_agent_event_field_name(enum mu_agent_event_field field)
{
    return field_names[field];
}

/* ---- the sentence ---- */

static const char *title(const struct mu_agent_event *event)
{
    static const char *const titles[] = {"CA", "SCEP", "EST", "CMP"};

    return titles[event->proto != NULL ? mu_proto_parse(event->proto) : MU_PROTO_NONE];
}

static const char *or_text(const char *text, const char *otherwise)
{
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

/* What is ours: pending, held, clock and deployment. */
static bool msg_ours(const struct mu_agent_event *event, struct mu_buf *out)
{
    const char *detail = or_text(event->detail, "the service");

    switch (event->kind) {
    case MU_AGENT_EVENT_PENDING:
        return mu_buf_putf(out, "Local certificate request waits for the CA");
    case MU_AGENT_EVENT_HELD:
        return mu_buf_putf(out, "Renewal of local certificate %s is held", or_text(event->name, "?"));
    case MU_AGENT_EVENT_CLOCK:
        return mu_buf_put_str(out, event->code == MU_M(803)
                ? "The clock has jumped, due dates are computed anew"
                : "The clock is not believable, waiting");
    case MU_AGENT_EVENT_DEPLOYED:
        return mu_buf_putf(out, "Certificate is deployed%s%s", event->detail != NULL ? " to " : "",
            or_text(event->detail, ""));
    case MU_AGENT_EVENT_DEPLOY_FAILED:
        return mu_buf_putf(out, "Failed to deploy certificate to %s", detail);
    case MU_AGENT_EVENT_STALE:
        return mu_buf_putf(out, "Certificate is renewed, but %s presents the old one", detail);
    case MU_AGENT_EVENT_CA_CHANGED:
        if (event->code == MU_M(606))
            return mu_buf_put_str(out, "The CA certificate ends before a new certificate would");
        return mu_buf_putf(out, "CA certificate changed%s%s", event->detail != NULL ? ": " : "",
            or_text(event->detail, ""));
    default:
        return mu_buf_putf(out, "Local certificate %s has expired", or_text(event->name, "?"));
    }
}

bool mu_agent_event_msg(const struct mu_agent_event *event, struct mu_buf *out)
{
    switch (event->kind) {
    case MU_AGENT_EVENT_LOADED: /* S079 */
        return mu_buf_put_str(out, "Certificate is loaded");
    case MU_AGENT_EVENT_SIGNED: /* S080 */
        return mu_buf_putf(out, "Successfully signed local certificate via %s", title(event));
    case MU_AGENT_EVENT_CONNECT_FAILED: /* S081 */
        return mu_buf_putf(out, "Failed to connect %s Server", title(event));
    case MU_AGENT_EVENT_SIGN_FAILED: /* S082: without a reason exactly this */
        return mu_buf_putf(out, "Failed to sign local certificate via %s-%s", title(event),
            or_text(event->reason, "(null)"));
    case MU_AGENT_EVENT_WARNING: /* S072 */
        return mu_buf_putf(out, "Local certificate %s will expire in %d days",
            or_text(event->name, "?"), event->days);
    default:
        return msg_ours(event, out);
    }
}

/* ---- the fields ---- */

enum { FIELD_MAX = 800 }; /* octets of one text: all of them fit into a line */

/* The texts lie one behind the other, each with its NUL; offsets first, since they may move. */
struct fill {
    struct mu_agent_event_row *row;
    size_t at[MU_AGENT_EVENT_FIELDS]; /* offset + 1; 0: none */
};

static void put(struct fill *f, enum mu_agent_event_field field, const char *text)
{
    struct mu_buf *to = &f->row->texts;

    if (text == NULL || text[0] == '\0')
        return;
    f->at[field] = to->n + 1;
    mu_text_escape(to, mu_bytes_str(text), FIELD_MAX);
    mu_buf_put_byte(to, '\0');
}

static void put_time(struct fill *f, int64_t at_s)
{
    char text[MU_TIME_TEXT];

    mu_time_rfc3339(at_s, text); /* 2025-11-20T17:40:05Z */
    text[10] = text[19] = '\0';
    put(f, MU_AGENT_EVENT_DATE, text);
    put(f, MU_AGENT_EVENT_TIME, text + 11);
    put(f, MU_AGENT_EVENT_TZ, "+0000");
}

static enum mu_code finish(struct fill *f, struct mu_err *err)
{
    enum mu_code rc = mu_buf_check(&f->row->texts, "an event", err);

    for (size_t i = 0; rc == MU_OK && i < MU_AGENT_EVENT_FIELDS; i++)
        f->row->field[i] = f->at[i] != 0 ? (const char *)f->row->texts.p + f->at[i] - 1 : NULL;
    if (rc != MU_OK)
        mu_agent_event_row_clear(f->row);
    return rc;
}

enum mu_code mu_agent_event_row(
    const struct mu_agent_event *event, struct mu_agent_event_row *out, struct mu_err *err)
{
    struct fill f = {.row = out};
    struct mu_err coded = {.reason = event->code};
    struct mu_buf msg = {.max = 2048};
    char code[8];

    *out = (struct mu_agent_event_row){.at_s = event->at_s};
    mu_agent_event_msg(event, &msg);
    put_time(&f, event->at_s);
    put(&f, MU_AGENT_EVENT_TYPE, "event");
    put(&f, MU_AGENT_EVENT_SUBTYPE, mu_agent_event_subtype(event->kind));
    put(&f, MU_AGENT_EVENT_LEVEL, mu_agent_event_level(event->kind));
    put(&f, MU_AGENT_EVENT_ACTION, mu_agent_event_action(event->kind));
    put(&f, MU_AGENT_EVENT_STATUS, mu_agent_event_is_failure(event->kind) ? "failure" : "success");
    put(&f, MU_AGENT_EVENT_NAME, event->name);
    put(&f, MU_AGENT_EVENT_METHOD, event->method);
    put(&f, MU_AGENT_EVENT_MSG, mu_buf_str(&msg));
    put(&f, MU_AGENT_EVENT_REASON, event->reason);
    put(&f, MU_AGENT_EVENT_HINT, event->hint);
    put(&f, MU_AGENT_EVENT_CODE, mu_err_code_text(&coded, code));
    put(&f, MU_AGENT_EVENT_TXN, event->transaction);
    out->texts.failed = out->texts.failed || msg.failed;
    mu_buf_clear(&msg);
    return finish(&f, err);
}

void mu_agent_event_row_clear(struct mu_agent_event_row *row)
{
    mu_buf_clear(&row->texts);
    *row = (struct mu_agent_event_row){0};
}
