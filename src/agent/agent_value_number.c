/* Days, percentages, sizes and lists of them. */
#include "agent/agent_value.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

bool mu_agent_value_part(const char *list, size_t i, char part[MU_AGENT_VALUE_PART])
{
    const char *from = list;
    size_t n;

    for (; i > 0; i--) {
        if ((from = strchr(from, ',')) == NULL)
            return false;
        from++;
    }
    from += strspn(from, " \t\n");
    n = strcspn(from, ",");
    while (n > 0 && strchr(" \t\n", from[n - 1]) != NULL)
        n--;
    snprintf(part, MU_AGENT_VALUE_PART, "%.*s", (int)(n < MU_AGENT_VALUE_PART ? n : MU_AGENT_VALUE_PART), from);
    return true;
}

size_t mu_agent_value_parts(const char *list)
{
    size_t n = 1;

    for (; (list = strchr(list, ',')) != NULL; list++)
        n++;
    return n;
}

enum mu_code mu_agent_value_parse_answer(const char *value, int *out, struct mu_err *err)
{
    static const struct {
        const char *word;
        int value;
    } answers[] = {{"yes", 1}, {"no", -1}, {"enable", 1}, {"disable", -1}, {"true", 1}, {"false", -1}, {"on", 1},
        {"off", -1}};
    char shown[80];

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (strcmp(value, answers[i].word) != 0)
            continue;
        if (out != NULL)
            *out = answers[i].value;
        return MU_OK;
    }
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' is neither yes nor no",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(value)));
}

/* Digits with a percent sign behind them; the sign may be missing. */
static bool percent_of(const char *value, int *out)
{
    char digits[8];
    int64_t n;
    size_t len = strlen(value);

    if (len > 0 && value[len - 1] == '%')
        len--;
    if (len == 0 || len >= sizeof digits)
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)len, value);
    if (mu_text_int(digits, 0, 100, &n, NULL) != MU_OK)
        return false;
    *out = (int)n;
    return true;
}

enum mu_code mu_agent_value_parse_percent(const char *value, int *out, struct mu_err *err)
{
    int n;

    if (!percent_of(value, &n))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a percentage from 0%% to 100%%");
    if (out != NULL)
        *out = n;
    return MU_OK;
}

enum mu_code mu_agent_value_parse_renew(const char *value, int *days, int *percent, struct mu_err *err)
{
    int64_t n = -1;
    int part = 0;

    if (strchr(value, '%') != NULL) {
        if (!percent_of(value, &part) || part < 1 || part > 99)
            return mu_err_set(
                err, MU_INPUT, MU_REASON_NONE, "renewal at a part of the lifetime is written 1%% to 99%%");
    } else if (strcmp(value, "auto") != 0 && mu_text_int(value, 0, 99999, &n, NULL) != MU_OK) {
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "neither auto nor a number of days (0: never) nor a percentage of the lifetime");
    }
    if (days != NULL)
        *days = (int)n;
    if (percent != NULL)
        *percent = part;
    return MU_OK;
}

enum mu_code mu_agent_value_parse_warn(const char *value, int days[8], int *n, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];
    int got[8] = {0}, count = 0;
    int64_t day;

    if (strcmp(value, "auto") == 0) {
        got[count++] = -1;
    } else {
        for (size_t i = 0; mu_agent_value_part(value, i, part); i++) {
            if (count == 8)
                return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "more than 8 days in one list");
            if (mu_text_int(part, 0, 99999, &day, NULL) != MU_OK)
                return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
                    "neither auto nor days like 30 or 45, 14, 7 (0: never)");
            got[count++] = (int)day;
        }
        if (count == 1 && got[0] == 0)
            count = 0;
    }
    if (days != NULL)
        memcpy(days, got, sizeof got);
    if (n != NULL)
        *n = count;
    return MU_OK;
}

enum mu_code mu_agent_value_parse_window(const char *value, int64_t *out_s, struct mu_err *err)
{
    int64_t s = 0;
    enum mu_code rc = strcmp(value, "learned") == 0 ? MU_OK : mu_text_duration(value, &s, err);

    if (rc == MU_OK && out_s != NULL)
        *out_s = s;
    return rc;
}

enum mu_code mu_agent_value_parse_size(const char *value, int64_t *out, struct mu_err *err)
{
    static const struct {
        char letter;
        int64_t times;
    } units[] = {{'K', 1024}, {'M', 1024 * 1024}, {'G', 1024 * 1024 * 1024}};
    size_t n = strspn(value, "0123456789");
    int64_t octets = 0, times = 1;
    char digits[16];

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (value[n] == units[i].letter)
            times = units[i].times;
    snprintf(digits, sizeof digits, "%.*s", (int)(n < sizeof digits ? n : sizeof digits), value);
    if (n == 0 || n >= sizeof digits || (value[n] != '\0' && (times == 1 || value[n + 1] != '\0'))
        || mu_text_int(digits, 0, INT64_MAX / times, &octets, NULL) != MU_OK)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a size like 512K, 16M or 1G");
    if (out != NULL)
        *out = octets * times;
    return MU_OK;
}

enum mu_code mu_agent_value_parse_per_day(const char *value, unsigned *out, struct mu_err *err)
{
    size_t n = strspn(value, "0123456789");
    char digits[8];
    int64_t times;

    snprintf(digits, sizeof digits, "%.*s", (int)(n < sizeof digits ? n : sizeof digits), value);
    if (n == 0 || n >= sizeof digits || (strcmp(value + n, "/day") != 0 && value[n] != '\0')
        || mu_text_int(digits, 1, 1000, &times, NULL) != MU_OK)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "not a number from 1 to 1000 per day, like 2/day");
    if (out != NULL)
        *out = (unsigned)times;
    return MU_OK;
}

/* ---- the same as checks ---- */

enum mu_code mu_agent_value_answer(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_answer(value, NULL, err);
}

enum mu_code mu_agent_value_percent(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_percent(value, NULL, err);
}

enum mu_code mu_agent_value_renew(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_renew(value, NULL, NULL, err);
}

enum mu_code mu_agent_value_warn(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_warn(value, NULL, NULL, err);
}

enum mu_code mu_agent_value_window(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_window(value, NULL, err);
}

enum mu_code mu_agent_value_size(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_size(value, NULL, err);
}

enum mu_code mu_agent_value_per_day(const char *value, struct mu_err *err)
{
    return mu_agent_value_parse_per_day(value, NULL, err);
}

enum mu_code mu_agent_value_duration(const char *value, struct mu_err *err)
{
    int64_t s;

    return mu_text_duration(value, &s, err);
}
