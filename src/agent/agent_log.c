/* Lines of the event log, read. */
#include "agent/agent_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/time.h"

enum { KEY_MAX = 32, VALUE_MAX = 4096 };

/* Takes the next field off the line; value is unescaped. False at the end. */
static bool next_field(struct mu_bytes *line, char key[KEY_MAX], struct mu_buf *value)
{
    const uint8_t *p = line->p, *end = p + line->n;
    size_t n = 0;
    bool quoted;

    mu_buf_reset(value);
    while (p < end && *p == ' ')
        p++;
    while (p < end && *p != '=' && *p != ' ' && n + 1 < KEY_MAX)
        key[n++] = (char)*p++;
    key[n] = '\0';
    if (n == 0 || p == end || *p != '=')
        return false;
    quoted = ++p < end && *p == '"';
    for (p += quoted; p < end && *p != (quoted ? '"' : ' '); p++) {
        if (quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
            p++;
        mu_buf_put_byte(value, *p);
    }
    p += quoted && p < end;
    *line = mu_bytes(p, (size_t)(end - p));
    return true;
}

bool mu_agent_log_field(struct mu_bytes line, const char *key, struct mu_buf *out)
{
    char word[KEY_MAX];

    while (next_field(&line, word, out)) {
        if (strcmp(word, key) == 0)
            return true;
    }
    mu_buf_reset(out);
    return false;
}

/* "2025-11-20", "17:40:05", "+0100" to RFC 3339. */
int64_t mu_agent_log_time(struct mu_bytes line)
{
    struct mu_buf date = {.max = VALUE_MAX}, time = {.max = VALUE_MAX}, zone = {.max = VALUE_MAX};
    int64_t t = 0;
    char text[80];

    if (mu_agent_log_field(line, "date", &date) && mu_agent_log_field(line, "time", &time)) {
        int hours = 0, minutes = 0;
        char sign = '+';

        if (mu_agent_log_field(line, "tz", &zone))
            (void)!sscanf(mu_buf_str(&zone), "%c%2d%2d", &sign, &hours, &minutes);
        snprintf(text, sizeof text, "%.20s" "T%.20s" "Z", mu_buf_str(&date), mu_buf_str(&time));
        if (mu_time_parse_rfc3339(text, &t))
            t -= (sign == '-' ? -60 : 60) * (hours * 60 + minutes);
    }
    mu_buf_clear(&date);
    mu_buf_clear(&time);
    mu_buf_clear(&zone);
    return t;
}

bool mu_agent_log_matches(const struct mu_agent_log_filter *filter, struct mu_bytes line)
{
    const struct {
        const char *key, *wanted;
    } rows[] = {{"name", filter->name}, {"action", filter->action}, {"subtype", filter->subtype},
        {"level", filter->level}, {"status", filter->status}};
    struct mu_buf value = {.max = VALUE_MAX};
    bool fits = filter->since_s == 0 || mu_agent_log_time(line) >= filter->since_s;

    for (size_t i = 0; fits && i < sizeof rows / sizeof rows[0]; i++)
        fits = rows[i].wanted == NULL
            || (mu_agent_log_field(line, rows[i].key, &value)
                && strcmp(mu_buf_str(&value), rows[i].wanted) == 0);
    mu_buf_clear(&value);
    return fits;
}

struct reading {
    const struct mu_agent_log_filter *filter;
    size_t skip, seen;
    mu_keystore_log_call *call;
    void *cookie;
};

static void count(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct reading *r = cookie;

    r->seen += mu_agent_log_matches(r->filter, line);
}

static void tell(void *cookie, struct mu_bytes line, const struct mu_keystore_log_place *after)
{
    struct reading *r = cookie;

    if (mu_agent_log_matches(r->filter, line) && r->seen++ >= r->skip)
        r->call(r->cookie, line, after);
}

enum mu_code mu_agent_log_read(struct mu_keystore *store, const struct mu_agent_log_filter *filter,
    size_t n, struct mu_keystore_log_place *place, mu_keystore_log_call *call, void *cookie,
    struct mu_err *err)
{
    struct reading r = {.filter = filter, .call = call, .cookie = cookie};
    struct mu_keystore_log_place at = *place;
    enum mu_code rc;

    if (n > 0) {
        if ((rc = mu_keystore_log_read(store, &at, count, &r, err)) != MU_OK)
            return rc;
        r.skip = r.seen > n ? r.seen - n : 0;
        r.seen = 0;
    }
    return mu_keystore_log_read(store, place, tell, &r, err);
}

void mu_agent_log_json(struct mu_agent_json *j, const char *key, struct mu_bytes line)
{
    struct mu_buf value = {.max = MU_KEYSTORE_LOG_LINE};
    char word[KEY_MAX];

    mu_agent_json_open(j, key, '{');
    while (next_field(&line, word, &value))
        mu_agent_json_text(j, word, mu_buf_str(&value));
    mu_agent_json_close(j, '}');
    mu_buf_clear(&value);
}
