/* The calendar, and the four ways protocols write a point in time. */
#include "base/time.h"

#include <stdio.h>

static const char *const months[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

enum { DAY_S = 86400 };

/* Days since 1970-01-01. Years are counted from March, so that the leap day comes last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t cycle = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_cycle = y - cycle * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return cycle * 146097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100
        + day_of_year - 719468;
}

void mu_time_civil(int64_t t, struct mu_time_civil *out)
{
    int64_t days = t / DAY_S, rest = t % DAY_S, cycle, day, year, day_of_year, m;

    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    days += 719468;
    cycle = (days >= 0 ? days : days - 146096) / 146097;
    day = days - cycle * 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day_of_year = day - (365 * year + year / 4 - year / 100);
    m = (5 * day_of_year + 2) / 153;
    out->day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    out->month = (int)(m < 10 ? m + 3 : m - 9);
    out->year = (int)(year + cycle * 400 + (out->month <= 2));
    out->hour = (int)(rest / 3600);
    out->minute = (int)(rest / 60 % 60);
    out->second = (int)(rest % 60);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

bool mu_time_from_civil(const struct mu_time_civil *c, int64_t *out)
{
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > days_in_month(c->year, c->month)
        || c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 || c->second < 0
        || c->second > 59)
        return false;
    *out = days_of(c->year, c->month, c->day) * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
    return true;
}

static const char *format(char buf[MU_TIME_TEXT], int64_t t, char between, const char *zone_word)
{
    struct mu_time_civil c;

    mu_time_civil(t, &c);
    snprintf(buf, MU_TIME_TEXT, "%04d-%02d-%02d%c%02d:%02d:%02d%s", c.year, c.month, c.day, between,
        c.hour, c.minute, c.second, zone_word);
    return buf;
}

const char *mu_time_rfc3339(int64_t t, char buf[MU_TIME_TEXT])
{
    return format(buf, t, 'T', "Z");
}

const char *mu_time_plain(int64_t t, char buf[MU_TIME_TEXT])
{
    return format(buf, t, ' ', " UTC");
}

const char *mu_time_http(int64_t t, char buf[MU_TIME_TEXT])
{
    struct mu_time_civil c;
    int64_t days = t / DAY_S - (t % DAY_S < 0);

    mu_time_civil(t, &c);
    snprintf(buf, MU_TIME_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT",
        weekdays[((days + 4) % 7 + 7) % 7], c.day, months[c.month - 1], c.year, c.hour, c.minute,
        c.second);
    return buf;
}

/* ---- reading ---- */

/* Takes exactly n digits off the text. */
static bool digits(struct mu_bytes *in, size_t n, int *out)
{
    size_t i;
    int v = 0;

    if (in->n < n)
        return false;
    for (i = 0; i < n; i++) {
        if (in->p[i] < '0' || in->p[i] > '9')
            return false;
        v = v * 10 + (in->p[i] - '0');
    }
    in->p += n;
    in->n -= n;
    *out = v;
    return true;
}

static bool take(struct mu_bytes *in, const char *one_of)
{
    if (in->n == 0 || in->p[0] == 0 || strchr(one_of, in->p[0]) == NULL)
        return false;
    in->p++;
    in->n--;
    return true;
}

static bool is_next_digit(struct mu_bytes in)
{
    return in.n != 0 && in.p[0] >= '0' && in.p[0] <= '9';
}

/* Fractions of a second are read over. */
static bool fraction(struct mu_bytes *in)
{
    int ignored;

    if (!take(in, ".,"))
        return true;
    if (!is_next_digit(*in))
        return false;
    while (is_next_digit(*in)) {
        if (!digits(in, 1, &ignored))
            return false;
    }
    return true;
}

/* "Z" or an offset, with or without a colon; and nothing behind it. */
static bool zone(struct mu_bytes *in, int *east_s)
{
    bool west = in->n != 0 && in->p[0] == '-';
    int h, m;

    if (take(in, "Zz")) {
        *east_s = 0;
        return in->n == 0;
    }
    if (!take(in, "+-") || !digits(in, 2, &h))
        return false;
    take(in, ":");
    if (!digits(in, 2, &m) || h > 23 || m > 59 || in->n != 0)
        return false;
    *east_s = (h * 3600 + m * 60) * (west ? -1 : 1);
    return true;
}

bool mu_time_parse_rfc3339(const char *s, int64_t *out)
{
    struct mu_bytes in = mu_bytes_str(s);
    struct mu_time_civil c = {0};
    int64_t t;
    int east_s;

    if (!digits(&in, 4, &c.year) || !take(&in, "-") || !digits(&in, 2, &c.month) || !take(&in, "-")
        || !digits(&in, 2, &c.day) || !take(&in, "Tt ") || !digits(&in, 2, &c.hour)
        || !take(&in, ":") || !digits(&in, 2, &c.minute))
        return false;
    if (take(&in, ":") && (!digits(&in, 2, &c.second) || !fraction(&in)))
        return false;
    if (!zone(&in, &east_s) || !mu_time_from_civil(&c, &t))
        return false;
    *out = t - east_s;
    return true;
}

static bool month_word(const char *word, int *out)
{
    int i;

    for (i = 0; i < 12; i++) {
        if (strcmp(word, months[i]) == 0) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* The three forms of RFC 9110 5.6.7. */
bool mu_time_parse_http(const char *s, int64_t *out)
{
    struct mu_time_civil c = {0};
    const char *comma = strchr(s, ',');
    char month[4] = "", gmt[4] = "";
    int end = 0;

    if (comma == NULL) {
        if (sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &c.day, &c.hour,
                &c.minute, &c.second, &c.year, &end)
                != 6
            || s[end] != '\0')
            return false;
    } else if (sscanf(comma, ", %2d %3[A-Za-z] %4d %2d:%2d:%2d %3[A-Z]%n", &c.day, month, &c.year,
                   &c.hour, &c.minute, &c.second, gmt, &end)
        != 7) {
        end = 0;
        if (sscanf(comma, ", %2d-%3[A-Za-z]-%2d %2d:%2d:%2d %3[A-Z]%n", &c.day, month, &c.year,
                &c.hour, &c.minute, &c.second, gmt, &end)
            != 7)
            return false;
        c.year += c.year < 70 ? 2000 : 1900;
    }
    if (comma != NULL && (strcmp(gmt, "GMT") != 0 || comma[end] != '\0'))
        return false;
    return month_word(month, &c.month) && mu_time_from_civil(&c, out);
}

bool mu_time_parse_asn1(struct mu_bytes content, bool generalized, int64_t *out)
{
    struct mu_time_civil c = {0};
    int64_t t;
    int east_s;

    if (!digits(&content, generalized ? 4 : 2, &c.year) || !digits(&content, 2, &c.month)
        || !digits(&content, 2, &c.day) || !digits(&content, 2, &c.hour))
        return false;
    if ((!generalized || is_next_digit(content)) && !digits(&content, 2, &c.minute))
        return false;
    if (is_next_digit(content) && !digits(&content, 2, &c.second))
        return false;
    if (generalized && !fraction(&content))
        return false;
    if (!generalized) /* RFC 5280 4.1.2.5.1 */
        c.year += c.year >= 50 ? 1900 : 2000;
    if (!zone(&content, &east_s) || !mu_time_from_civil(&c, &t))
        return false;
    *out = t - east_s;
    return true;
}
