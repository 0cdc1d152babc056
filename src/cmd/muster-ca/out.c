/* Output for people and for programs. */
#include "cmd/muster-ca/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "web/kit/kit_json.h"

int cmd_put_json(const json_t *value)
{
    if (json_dumpf(value, stdout, JSON_COMPACT) != 0)
        return CMD_IO;
    fputc('\n', stdout);
    return fflush(stdout) == 0 ? 0 : CMD_IO;
}

int cmd_fail(const struct cmd_context *ctx, const struct mu_err *err)
{
    const char *likely = mu_err_likely_text(err), *next = mu_err_next_text(err);
    char number[8];

    mu_err_code_text(err, number);
    fprintf(stderr, "muster-ca: %s%s%s\n", number, number[0] != '\0' ? ": " : "", err->what);
    if (likely[0] != '\0')
        fprintf(stderr, "  likely  %s\n", likely);
    if (next[0] != '\0')
        fprintf(stderr, "  do      %s\n", next);
    if (ctx->json) {
        json_t *body = mu_kit_error_encode(err);

        if (body != NULL)
            cmd_put_json(body);
        json_decref(body);
    }
    /* The catalog's 6, "issued but not stored", is about a client's files. */
    return err->reason == MU_M(702) ? CMD_CANNOT_CREATE : mu_err_exit_code(err);
}

const char *cmd_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL && s[0] != '\0' ? s : "-";
}

int64_t cmd_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool cmd_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

const char *cmd_time(const json_t *object, const char *key, char buf[48])
{
    int64_t t;
    time_t tt;
    struct tm tm;

    if (!mu_time_parse_rfc3339(cmd_text(object, key), &t))
        return memcpy(buf, "-", 2);
    tt = (time_t)t;
    if (localtime_r(&tt, &tm) == NULL || strftime(buf, 48, "%Y-%m-%d %H:%M %Z", &tm) == 0)
        return memcpy(buf, "-", 2);
    return buf;
}

static void cell(struct mu_buf *out, const json_t *row, const struct cmd_column *c)
{
    char when[48];

    switch (c->type) {
    case CMD_COLUMN_INT:
        mu_buf_putf(out, "%lld", (long long)cmd_int(row, c->key));
        break;
    case CMD_COLUMN_BOOL:
        mu_buf_put_str(out, cmd_bool(row, c->key) ? "yes" : "no");
        break;
    case CMD_COLUMN_TIME:
        mu_buf_put_str(out, cmd_time(row, c->key, when));
        break;
    case CMD_COLUMN_AGE:
        mu_text_duration_format(out, cmd_int(row, c->key));
        break;
    default:
        mu_buf_put_str(out, cmd_text(row, c->key));
        break;
    }
}

/* Characters, not octets: names may be anything. */
static size_t width_of(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_padded(const char *s, size_t width, bool last)
{
    fputs(s, stdout);
    for (size_t n = width_of(s); !last && n < width + 2; n++)
        fputc(' ', stdout);
}

void cmd_table(const json_t *rows, const struct cmd_column *columns)
{
    enum { MAX_COLUMNS = 16 };
    size_t width[MAX_COLUMNS], n = 0, i;
    struct mu_buf text = {0};
    json_t *row;

    for (; n < MAX_COLUMNS && columns[n].title != NULL; n++)
        width[n] = width_of(columns[n].title);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        for (size_t c = 0; c < n; c++) {
            mu_buf_reset(&text);
            cell(&text, row, &columns[c]);
            if (width_of(mu_buf_str(&text)) > width[c])
                width[c] = width_of(mu_buf_str(&text));
        }
    }
    for (size_t c = 0; c < n; c++)
        put_padded(columns[c].title, width[c], c + 1 == n);
    fputc('\n', stdout);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        for (size_t c = 0; c < n; c++) {
            mu_buf_reset(&text);
            cell(&text, row, &columns[c]);
            put_padded(mu_buf_str(&text), width[c], c + 1 == n);
        }
        fputc('\n', stdout);
    }
    mu_buf_clear(&text);
}
