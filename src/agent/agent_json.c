/* The writer of JSON. */
#include "agent/agent_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "base/time.h"

static void string(struct mu_buf *out, struct mu_bytes s)
{
    size_t i;

    mu_buf_put_byte(out, '"');
    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            mu_buf_put_byte(out, '\\');
        if (s.p[i] == '\n')
            mu_buf_put_str(out, "\\n");
        else if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            mu_buf_putf(out, "\\u%04x", s.p[i]);
        else
            mu_buf_put_byte(out, s.p[i]);
    }
    mu_buf_put_byte(out, '"');
}

static void safe_string(struct mu_buf *out, struct mu_bytes s)
{
    struct mu_buf clean = {0};

    if (mu_text_is_utf8(s)) {
        string(out, s);
        return;
    }
    if (!mu_text_escape(&clean, s, s.n * 4 + 1))
        out->failed = true;
    string(out, mu_buf_bytes(&clean));
    mu_buf_clear(&clean);
}

static void begin(struct mu_agent_json *j, const char *key)
{
    if (j->comma)
        mu_buf_put_byte(j->out, ',');
    j->comma = true;
    if (key != NULL) {
        string(j->out, mu_bytes_str(key));
        mu_buf_put_byte(j->out, ':');
    }
}

void mu_agent_json_open(struct mu_agent_json *j, const char *key, char bracket)
{
    begin(j, key);
    mu_buf_put_byte(j->out, (uint8_t)bracket);
    j->comma = false;
}

void mu_agent_json_close(struct mu_agent_json *j, char bracket)
{
    mu_buf_put_byte(j->out, (uint8_t)bracket);
    j->comma = true;
}

void mu_agent_json_text(struct mu_agent_json *j, const char *key, const char *value)
{
    begin(j, key);
    if (value == NULL)
        mu_buf_put_str(j->out, "null");
    else
        safe_string(j->out, mu_bytes_str(value));
}

void mu_agent_json_int(struct mu_agent_json *j, const char *key, int64_t value)
{
    begin(j, key);
    mu_buf_putf(j->out, "%" PRId64, value);
}

void mu_agent_json_bool(struct mu_agent_json *j, const char *key, bool value)
{
    begin(j, key);
    mu_buf_put_str(j->out, value ? "true" : "false");
}

void mu_agent_json_null(struct mu_agent_json *j, const char *key)
{
    begin(j, key);
    mu_buf_put_str(j->out, "null");
}

void mu_agent_json_time(struct mu_agent_json *j, const char *key, int64_t t)
{
    char text[MU_TIME_TEXT];

    mu_agent_json_text(j, key, t != 0 ? mu_time_rfc3339(t, text) : NULL);
}

void mu_agent_json_list(
    struct mu_agent_json *j, const char *key, const char *text, const char *separator)
{
    size_t sep = strlen(separator);

    mu_agent_json_open(j, key, '[');
    while (text != NULL && *text != '\0') {
        const char *end = strstr(text, separator);
        size_t n = end != NULL ? (size_t)(end - text) : strlen(text);

        if (n > 0) {
            begin(j, NULL);
            safe_string(j->out, mu_bytes(text, n));
        }
        text += n + (end != NULL ? sep : 0);
    }
    mu_agent_json_close(j, ']');
}

void mu_agent_json_begin(struct mu_agent_json *j, struct mu_buf *out, int64_t now_s)
{
    *j = (struct mu_agent_json){.out = out};
    mu_agent_json_open(j, NULL, '{');
    mu_agent_json_text(j, "schema", "muster/1");
    mu_agent_json_time(j, "time", now_s);
}

bool mu_agent_json_causes(const char *text, struct mu_buf *lines)
{
    char mark[16];
    unsigned rank = 1;

    while (text != NULL) {
        const char *next;

        snprintf(mark, sizeof mark, "%u. ", rank);
        if (!mu_text_starts(text, mark))
            break;
        text += strlen(mark);
        snprintf(mark, sizeof mark, "; %u. ", ++rank);
        next = strstr(text, mark);
        mu_buf_put(lines, text, next != NULL ? (size_t)(next - text) : strlen(text));
        if (next != NULL)
            mu_buf_put_byte(lines, '\n');
        text = next != NULL ? next + 2 : NULL;
    }
    if (text != NULL)
        mu_buf_put_str(lines, text);
    return !lines->failed;
}
