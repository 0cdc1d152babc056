/* URLs, percent-encoding and query strings. Nothing here asks the network or decodes on its own
 * initiative: a raw target stays raw, because SCEP by GET depends on its '+', '/' and '='. */
#include "http/http_url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"

static const struct {
    const char *name;
    uint16_t port;
} schemes[] = {{"http", 80}, {"https", 443}, {"ldap", 389}, {"ldaps", 636}};

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static enum mu_code refuse(struct mu_err *err, const char *text, const char *why)
{
    char shown[128];
    size_t n = strlen(text);

    /* The text is not repeated: what stands before an '@' may be a password. */
    if (strchr(text, '@') != NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the URL %s", why);
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the URL \"%s\" %s",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes(text, n)), why);
}

/* Fills scheme and default port; *rest gets what is behind "://". */
static enum mu_code parse_scheme(const char *text, const char *default_scheme,
    struct mu_http_url *url, const char **rest, struct mu_err *err)
{
    const char *mark = strstr(text, "://");
    size_t n = mark == NULL ? 0 : (size_t)(mark - text);

    /* "host/path?x=http://..." has no scheme. */
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(text[i]) && strchr("+-.", text[i]) == NULL)
            mark = NULL;
    if (mark == NULL) {
        if (default_scheme == NULL)
            return refuse(err, text, "does not begin with http:// or https://");
        n = strlen(default_scheme);
        *rest = text;
        text = default_scheme;
    } else {
        *rest = mark + 3;
    }
    if (n < sizeof(url->scheme)) {
        for (size_t i = 0; i < n; i++)
            url->scheme[i] = lower(text[i]);
        url->scheme[n] = '\0';
        for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
            if (strcmp(schemes[i].name, url->scheme) == 0) {
                url->port = schemes[i].port;
                return MU_OK;
            }
    }
    return refuse(err, text, "has a scheme that is not http, https, ldap or ldaps");
}

/* "[2001:db8::1]" or "[fe80::1%25eth0]"; *end gets what is behind the bracket. */
static bool parse_ipv6(const char *text, size_t n, struct mu_http_url *url, const char **end)
{
    const char *close = memchr(text, ']', n);
    struct in6_addr address;
    char plain[INET6_ADDRSTRLEN];
    size_t len, plain_n;

    if (close == NULL)
        return false;
    len = (size_t)(close - text) - 1;
    if (len == 0 || len >= sizeof(url->host))
        return false;
    memcpy(url->host, text + 1, len);
    url->host[len] = '\0';
    plain_n = strcspn(url->host, "%");
    if (plain_n >= sizeof(plain))
        return false;
    memcpy(plain, url->host, plain_n);
    plain[plain_n] = '\0';
    for (size_t i = plain_n; i < len; i++)
        if (!is_alnum(url->host[i]) && strchr("%-._", url->host[i]) == NULL)
            return false;
    url->is_ipv6 = true;
    *end = close + 1;
    return inet_pton(AF_INET6, plain, &address) == 1;
}

static bool parse_host(const char *text, size_t n, struct mu_http_url *url, const char **end)
{
    size_t len = 0;

    if (n > 0 && text[0] == '[')
        return parse_ipv6(text, n, url, end);
    while (len < n && text[len] != ':') {
        if (!is_alnum(text[len]) && strchr("-._", text[len]) == NULL)
            return false;
        len++;
    }
    if (len >= sizeof(url->host))
        return false;
    memcpy(url->host, text, len);
    url->host[len] = '\0';
    *end = text + len;
    return len > 0 || strncmp(url->scheme, "ldap", 4) == 0; /* ldap:///dn is usual in CRL URLs */
}

/* text is ":port", ":" or empty. */
static bool parse_port(const char *text, size_t n, struct mu_http_url *url)
{
    unsigned long port = 0;

    if (n == 0)
        return true;
    if (text[0] != ':' || n > 6)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (n == 1)
        return true; /* RFC 3986 3.2.3: an empty port is the default one */
    url->port = (uint16_t)port;
    url->has_port = true;
    return port > 0 && port <= 65535;
}

enum mu_code mu_http_url_parse(
    const char *text, const char *default_scheme, struct mu_http_url *out, struct mu_err *err)
{
    struct mu_http_url url = {0};
    const char *rest = text, *end;
    size_t authority_n;
    enum mu_code rc;

    if (strlen(text) > MU_LIMIT_URL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a URL of more than %d octets", MU_LIMIT_URL);
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return refuse(err, text, "has a blank, a control character or a letter outside ASCII");
    if ((rc = parse_scheme(text, default_scheme, &url, &rest, err)) != MU_OK)
        return rc;
    authority_n = strcspn(rest, "/?#");
    if (memchr(rest, '@', authority_n) != NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the URL holds a user or password before '@'; these have options of their own");
    if (!parse_host(rest, authority_n, &url, &end))
        return refuse(err, text, "has no valid host (an IPv6 address stands in brackets)");
    if (!parse_port(end, (size_t)(rest + authority_n - end), &url))
        return refuse(err, text, "has no valid port (1 to 65535)");
    url.path = rest + authority_n;
    if (strchr(url.path, '#') != NULL)
        return refuse(err, text, "has a '#' part, which no server would get");
    *out = url;
    return MU_OK;
}

static bool is_unreserved(uint8_t c)
{
    return c != 0 && c < 0x80 && (is_alnum((char)c) || strchr("-._~", c) != NULL);
}

bool mu_http_percent_encode(struct mu_buf *out, struct mu_bytes v)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < v.n; i++) {
        if (is_unreserved(v.p[i])) {
            mu_buf_put_byte(out, v.p[i]);
        } else {
            mu_buf_put_byte(out, '%');
            mu_buf_put_byte(out, (uint8_t)hex[v.p[i] >> 4]);
            mu_buf_put_byte(out, (uint8_t)hex[v.p[i] & 15]);
        }
    }
    return !out->failed;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mu_http_percent_decode(struct mu_buf *out, struct mu_bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        int high = -1, low = -1;

        if (v.p[i] == '%' && v.n - i > 2) {
            high = hex_value(v.p[i + 1]);
            low = hex_value(v.p[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            mu_buf_put_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            mu_buf_put_byte(out, v.p[i]);
        }
    }
    return !out->failed;
}

bool mu_http_query_get(const char *target, const char *key, struct mu_bytes *raw)
{
    const char *p = strchr(target, '?');
    size_t key_n = strlen(key);

    if (p == NULL)
        return false;
    for (p++;; p++) {
        size_t piece_n = strcspn(p, "&");
        size_t name_n = strcspn(p, "=&");

        if (name_n == key_n && memcmp(p, key, key_n) == 0) {
            /* The value is all up to the next '&', whatever '=' it has inside: base64 ends so. */
            size_t skip = name_n < piece_n ? name_n + 1 : name_n;

            *raw = mu_bytes(p + skip, piece_n - skip);
            return true;
        }
        p += piece_n;
        if (*p == '\0')
            return false;
    }
}

struct mu_bytes mu_http_target_path(const char *target)
{
    const char *mark = strstr(target, "://");

    /* RFC 9112 3.2.2: a server takes the absolute form too. */
    if (target[0] != '/' && mark != NULL && strcspn(target, "/?") > (size_t)(mark - target)) {
        target = mark + 3;
        target += strcspn(target, "/?");
        if (*target != '/')
            return mu_bytes("/", 1);
    }
    return mu_bytes(target, strcspn(target, "?"));
}
