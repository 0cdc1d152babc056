/* Filling a mu_err, and what is printed of it. The words of the catalog are in err_table.c. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts a text that vsnprintf may have broken inside a UTF-8 character back to a whole one. */
static void cut_at_char(char *s, size_t size, int wanted)
{
    size_t n, lead;

    if (wanted < 0) {
        s[0] = '\0';
        return;
    }
    if ((size_t)wanted < size)
        return;
    n = size - 1;
    for (lead = n; lead > 0 && n - lead < 4; lead--) {
        unsigned char c = (unsigned char)s[lead - 1];
        size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

        if (len == 0)
            continue;
        if (lead - 1 + len > n)
            s[lead - 1] = '\0';
        return;
    }
}

__attribute__((format(printf, 3, 0))) static void format(
    char *out, size_t size, const char *fmt, va_list args)
{
    /* An argument may point into out. */
    char text[sizeof(((struct mu_err *)0)->what)];
    int wanted = vsnprintf(text, size, fmt, args);

    cut_at_char(text, size, wanted);
    memcpy(out, text, strlen(text) + 1);
}

enum mu_code mu_err_set(
    struct mu_err *err, enum mu_code code, enum mu_reason reason, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, fmt);
    format(err->what, sizeof err->what, fmt, args);
    va_end(args);
    err->code = code;
    err->reason = reason;
    err->likely[0] = '\0';
    err->next[0] = '\0';
    err->said[0] = '\0';
    return code;
}

enum mu_code mu_err_context(struct mu_err *err, const char *fmt, ...)
{
    char text[sizeof err->what + sizeof err->what];
    size_t n;
    va_list args;

    if (err == NULL)
        return MU_INTERNAL;
    va_start(args, fmt);
    format(text, sizeof err->what, fmt, args);
    va_end(args);
    n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%s", n != 0 ? ": " : "", err->what);
    n = strlen(text);
    memcpy(err->what, text, n < sizeof err->what ? n + 1 : sizeof err->what - 1);
    err->what[sizeof err->what - 1] = '\0';
    cut_at_char(err->what, sizeof err->what, (int)n);
    return err->code;
}

void mu_err_narrow(struct mu_err *err, enum mu_reason reason)
{
    if (err != NULL)
        err->reason = reason;
}

void mu_err_likely(struct mu_err *err, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return;
    va_start(args, fmt);
    format(err->likely, sizeof err->likely, fmt, args);
    va_end(args);
}

void mu_err_next(struct mu_err *err, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return;
    va_start(args, fmt);
    format(err->next, sizeof err->next, fmt, args);
    va_end(args);
}

void mu_err_said(struct mu_err *err, const char *words)
{
    if (err == NULL)
        return;
    cut_at_char(err->said, sizeof err->said,
        snprintf(err->said, sizeof err->said, "%s", words != NULL ? words : ""));
}

void mu_err_clear(struct mu_err *err)
{
    if (err != NULL)
        memset(err, 0, sizeof *err);
}

const struct mu_err_row *mu_err_row(enum mu_reason reason)
{
    const struct mu_err_row *row;
    size_t i;

    for (i = 0; (row = mu_err_row_at(i)) != NULL; i++) {
        if (row->reason == reason)
            return row;
    }
    return NULL;
}

const char *mu_err_likely_text(const struct mu_err *err)
{
    const struct mu_err_row *row = mu_err_row(err->reason);

    return err->likely[0] != '\0' || row == NULL ? err->likely : row->likely;
}

const char *mu_err_next_text(const struct mu_err *err)
{
    const struct mu_err_row *row = mu_err_row(err->reason);

    return err->next[0] != '\0' || row == NULL ? err->next : row->next;
}

int mu_err_exit_code(const struct mu_err *err)
{
    const struct mu_err_row *row;

    if (err->code == MU_OK)
        return 0;
    row = mu_err_row(err->reason);
    if (row != NULL && row->exit_code >= 0)
        return row->exit_code;
    switch (err->code) {
    case MU_DENIED:
        return 2;
    case MU_BUSY:
    case MU_NETWORK:
        return 3;
    case MU_PENDING:
        return 5;
    case MU_AUTH:
        return 7;
    case MU_STORAGE:
        return 74; /* EX_IOERR */
    default:
        return 1;
    }
}

const char *mu_err_code_text(const struct mu_err *err, char buf[8])
{
    unsigned reason = (unsigned)err->reason;

    buf[0] = '\0';
    if (reason >= 100 && reason <= 999)
        snprintf(buf, 8, "M%u", reason);
    return buf;
}
