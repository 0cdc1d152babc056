/* Terminal, descriptors, environment. */
#include "cmd/muster/cmd_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/text.h"

bool mu_cmd_ask_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* Reads octet by octet, so that what stands behind the line stays for the next reader. */
static bool read_line(int fd, struct mu_buf *out)
{
    bool any = false;
    char c;

    for (;;) {
        ssize_t n = read(fd, &c, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return any;
        any = true;
        if (c == '\n')
            return true;
        if (c != '\r')
            mu_buf_put_byte(out, (uint8_t)c);
    }
}

enum mu_code mu_cmd_ask_secret(const char *question, struct mu_secret *out, struct mu_err *err)
{
    struct termios before, silent;
    struct mu_buf line = {0};
    enum mu_code rc;
    bool got;

    mu_buf_init_secret(&line, 4096);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "no terminal to ask on");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    fputs(question, stderr); /* behind the flush, so that an early answer is not lost */
    fflush(stderr);
    got = read_line(STDIN_FILENO, &line);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    fputc('\n', stderr);
    if (!got || line.n == 0)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "nothing was typed");
    else
        rc = mu_secret_set(out, mu_buf_bytes(&line), err);
    mu_buf_clear(&line);
    return rc;
}

bool mu_cmd_ask_yes(const char *question)
{
    struct mu_buf line = {0};
    bool yes = false, answered = false;

    while (!answered) {
        fprintf(stderr, "%s (y/n) ", question);
        fflush(stderr);
        mu_buf_reset(&line);
        if (!read_line(STDIN_FILENO, &line))
            break;
        yes = mu_text_equal_nocase(mu_buf_str(&line), "y")
            || mu_text_equal_nocase(mu_buf_str(&line), "yes");
        answered = yes || mu_text_equal_nocase(mu_buf_str(&line), "n")
            || mu_text_equal_nocase(mu_buf_str(&line), "no");
    }
    mu_buf_clear(&line);
    return yes;
}

enum mu_code mu_cmd_ask_fd(const char *number, struct mu_secret *out, struct mu_err *err)
{
    struct mu_buf line = {0};
    enum mu_code rc;
    int64_t fd;

    if ((rc = mu_text_int(number, 0, 1 << 20, &fd, err)) != MU_OK)
        return mu_err_context(err, "descriptor");
    mu_buf_init_secret(&line, MU_LIMIT_CHALLENGE + 1);
    if (!read_line((int)fd, &line))
        rc =
            mu_err_set(err, MU_INPUT, MU_REASON_NONE, "nothing to read from descriptor %s", number);
    else if ((rc = mu_buf_check(&line, "secret", err)) == MU_OK)
        rc = mu_secret_set(out, mu_buf_bytes(&line), err);
    mu_buf_clear(&line);
    return rc;
}

bool mu_cmd_ask_environment(const char *name, struct mu_secret *out)
{
    char *value = getenv(name);
    bool is_set =
        value != NULL && value[0] != '\0' && mu_secret_set(out, mu_bytes_str(value), NULL) == MU_OK;

    if (value != NULL) {
        mu_bytes_wipe(value, strlen(value));
        unsetenv(name);
    }
    return is_set;
}
