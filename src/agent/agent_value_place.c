/* Paths, addresses, sockets, accounts, recipes: where things are and who may have them. */
#include "agent/agent_value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_verify.h"
#include "base/text.h"
#include "http/http_url.h"

static enum mu_code fault(struct mu_err *err, const char *what)
{
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s", what);
}

enum mu_code mu_agent_value_path(const char *value, struct mu_err *err)
{
    return value[0] == '/' ? MU_OK : fault(err, "a path begins with '/'");
}

enum mu_code mu_agent_value_name(const char *value, struct mu_err *err)
{
    char shown[80];

    if (mu_text_is_entry_name(value))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "'%s' is no name: letters, digits, . _ -, at most 64, not beginning with a dot or dash",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(value)));
}

enum mu_code mu_agent_value_names(const char *value, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];
    enum mu_code rc = MU_OK;

    if (mu_agent_value_parts(value) > 16)
        return fault(err, "more than 16 names in one list");
    for (size_t i = 0; rc == MU_OK && mu_agent_value_part(value, i, part); i++)
        rc = mu_agent_value_name(part, err);
    return rc;
}

/* Of the address, the parts that a program can use; CMP's may stand without a scheme (C012). */
enum mu_code mu_agent_value_url(const char *value, struct mu_err *err)
{
    struct mu_http_url url;

    return mu_http_url_parse(value, "http", &url, err);
}

enum mu_code mu_agent_value_address(const char *value, struct mu_err *err)
{
    uint8_t octets[16];

    if (inet_pton(AF_INET, value, octets) == 1 || inet_pton(AF_INET6, value, octets) == 1)
        return MU_OK;
    return fault(err, "not an IP address");
}

/* HOST:PORT or [V6]:PORT. */
static bool is_host_port(const char *value, size_t n)
{
    const char *colon;
    char text[300];
    int64_t port;

    if (n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)n, value);
    if ((colon = strrchr(text, ':')) == NULL || colon == text
        || mu_text_int(colon + 1, 1, 65535, &port, NULL) != MU_OK)
        return false;
    if (text[0] == '[')
        return colon[-1] == ']' && colon - text > 2;
    return memchr(text, ':', (size_t)(colon - text)) == NULL && strpbrk(text, " /@\"'") == NULL;
}

enum mu_code mu_agent_value_proxy(const char *value, struct mu_err *err)
{
    const char *at = strstr(value, "://");
    size_t n;

    at = at != NULL ? at + 3 : value;
    n = strlen(at);
    n -= n > 0 && at[n - 1] == '/';
    if (strchr(at, '@') != NULL)
        return fault(err, "a user and password do not belong into a proxy's address");
    return is_host_port(at, n) ? MU_OK : fault(err, "a proxy is written HOST:PORT");
}

enum mu_code mu_agent_value_host(const char *value, struct mu_err *err)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return value[n] == '\0' && n <= 255 && value[0] != '-' ? MU_OK : fault(err, "not a host name");
}

static bool is_unix(const char *value, const char *word)
{
    size_t n = strlen(word);

    return strncmp(value, word, n) == 0 && value[n] == '/' && strlen(value + n) < 104; /* sun_path */
}

static bool is_loopback(const char *value)
{
    static const char *const hosts[] = {"127.0.0.1:", "[::1]:", "localhost:"};
    int64_t port;

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (mu_text_starts(value, hosts[i])
            && mu_text_int(value + strlen(hosts[i]), 0, 65535, &port, NULL) == MU_OK)
            return true;
    return false;
}

enum mu_code mu_agent_value_socket(const char *value, struct mu_err *err)
{
    return is_unix(value, "unix:") ? MU_OK : fault(err, "not unix:/PATH (a path has at most 103 octets)");
}

enum mu_code mu_agent_value_ui(const char *value, struct mu_err *err)
{
    if (strcmp(value, "off") == 0 || is_unix(value, "unix:") || is_loopback(value))
        return MU_OK;
    return fault(err, "none of unix:/PATH, 127.0.0.1:PORT, off");
}

enum mu_code mu_agent_value_metrics(const char *value, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];

    for (size_t i = 0; mu_agent_value_part(value, i, part); i++)
        if (strcmp(part, "off") != 0 && !is_unix(part, "unix:") && !is_loopback(part)
            && !mu_text_starts(part, "textfile:/"))
            return fault(err, "none of textfile:/PATH, unix:/PATH, 127.0.0.1:PORT, off");
    return MU_OK;
}

enum mu_code mu_agent_value_notify(const char *value, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];

    for (size_t i = 0; mu_agent_value_part(value, i, part); i++)
        if (strcmp(part, "syslog") != 0 && strcmp(part, "journal") != 0 && strcmp(part, "off") != 0
            && !is_unix(part, "syslog:") && !is_unix(part, "syslog5424:")
            && !is_unix(part, "journal:") && !mu_text_starts(part, "file:/") && !mu_text_starts(part, "command:/"))
            return fault(err, "none of syslog, journal, file:/PATH, command:/PATH, off");
    return MU_OK;
}

/* A user or group by name or number. */
enum mu_code mu_agent_value_account(const char *value, struct mu_err *err)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return value[n] == '\0' && n <= 32 && value[0] != '-' ? MU_OK : fault(err, "not a user or group name");
}

enum mu_code mu_agent_value_mode(const char *value, struct mu_err *err)
{
    size_t n = strspn(value, "01234567");

    if (value[n] != '\0' || n < 3 || n > 4 || (n == 4 && value[0] != '0'))
        return fault(err, "not a file mode like 0640");
    if (((value[n - 1] - '0') & 7) != 0)
        return fault(err, "a key must not be open to everybody: the last digit is 0");
    return MU_OK;
}

/* ---- deployment ---- */

/* Words behind the first one: key=value each, one blank or more between. */
static bool are_options(const char *p)
{
    const char *equal;
    size_t n;

    for (p += strspn(p, " \t"); *p != '\0'; p += n, p += strspn(p, " \t")) {
        n = strcspn(p, " \t");
        equal = memchr(p, '=', n);
        if (equal == NULL || equal == p)
            return false;
    }
    return true;
}

/* Recipes are names of files in a directory of ours: never a path out of it. */
enum mu_code mu_agent_value_recipes(const char *value, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];
    size_t n;

    for (size_t i = 0; mu_agent_value_part(value, i, part); i++) {
        n = strcspn(part, " \t");
        if (!are_options(part + n))
            return fault(err, "behind a recipe's name come words like key=value");
        part[n] = '\0';
        if (!mu_text_is_entry_name(part))
            return fault(err, "a recipe is a name like nginx, not a path (a command is a success-script)");
    }
    return MU_OK;
}

enum mu_code mu_agent_value_verify(const char *value, struct mu_err *err)
{
    char part[MU_AGENT_VALUE_PART];
    struct mu_agent_verify_spec spec;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && mu_agent_value_part(value, i, part); i++)
        rc = mu_agent_verify_parse(mu_bytes_str(part), &spec, err);
    return rc;
}

/* A secret where it is kept; the thing itself is one too. */
enum mu_code mu_agent_value_reference(const char *value, struct mu_err *err)
{
    if (mu_text_starts(value, "file:"))
        return mu_agent_value_path(value + 5, err);
    if (mu_text_starts(value, "credential:"))
        return mu_agent_value_name(value + 11, err);
    if (mu_text_starts(value, "secret:"))
        return mu_agent_value_name(value + 7, err);
    return MU_OK;
}
