/* CMP over HTTP (RFC 9811 3): which paths are CMP's, what a client posts to. */
#include "proto/cmp/cmp_http.h"

#include <stdlib.h>

#include "base/text.h"

static const struct {
    const char *path;
    bool labels; /* may be followed by /p/<label> and an operation (RFC 9811 3.4) */
    bool closes;
} roots[] = {
    {"/.well-known/cmp", true, false},
    {"/pkix", false, false},
    {"/app/cert/cmp2", false, true},
};

/* Takes the next segment off a path that begins with '/'; false at the end or if it is too long. */
static bool segment(struct mu_bytes *path, char *out, size_t size)
{
    struct mu_bytes raw;
    struct mu_buf text = {.max = 512};
    bool ok;
    size_t n;

    if (path->n == 0 || path->p[0] != '/')
        return false;
    for (n = 1; n < path->n && path->p[n] != '/'; n++)
        ;
    raw = mu_bytes(path->p + 1, n - 1);
    mu_http_percent_decode(&text, raw);
    ok = !text.failed && text.n != 0 && text.n < size && memchr(text.p, 0, text.n) == NULL
        && mu_text_is_utf8(mu_buf_bytes(&text));
    if (ok) {
        memcpy(out, mu_buf_str(&text), text.n + 1);
        *path = mu_bytes(path->p + n, path->n - n);
    }
    mu_buf_clear(&text);
    return ok;
}

bool mu_cmp_http_path(const char *target, struct mu_cmp_path *out)
{
    struct mu_bytes path = mu_http_target_path(target), rest, tail;
    struct mu_cmp_path p = {.closes = false};
    char word[8];
    size_t i, n;

    for (i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        n = strlen(roots[i].path);
        if (path.n >= n && memcmp(path.p, roots[i].path, n) == 0 && (path.n == n || path.p[n] == '/'))
            break;
    }
    if (i == sizeof roots / sizeof roots[0])
        return false;
    rest = mu_bytes(path.p + n, path.n - n);
    p.closes = roots[i].closes;
    while (rest.n != 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    tail = rest;
    if (roots[i].labels && segment(&tail, word, sizeof word) && strcmp(word, "p") == 0) {
        if (!segment(&tail, p.label, sizeof p.label))
            return false;
        rest = tail;
    }
    if (roots[i].labels && rest.n != 0 && !segment(&rest, p.operation, sizeof p.operation))
        return false;
    if (rest.n != 0)
        return false;
    *out = p;
    return true;
}

bool mu_cmp_http_media_is(const char *content_type)
{
    return mu_http_media_is(content_type, MU_CMP_MEDIA)
        || mu_http_media_is(content_type, MU_CMP_MEDIA_POLL);
}

enum mu_code mu_cmp_http_url(const char *url, const char *label, struct mu_buf *out, struct mu_err *err)
{
    struct mu_http_url parts;
    size_t n;
    enum mu_code rc = mu_http_url_parse(url, "http", &parts, err);

    if (rc != MU_OK)
        return rc;
    mu_buf_reset(out);
    if (strstr(url, "://") == NULL)
        mu_buf_put_str(out, "http://");
    n = strlen(url) - strlen(parts.path);
    mu_buf_put(out, url, n);
    if (label != NULL) {
        mu_buf_put_str(out, "/.well-known/cmp/p/");
        mu_http_percent_encode(out, mu_bytes_str(label));
    } else if (parts.path[0] == '\0' || strcmp(parts.path, "/") == 0) {
        mu_buf_put_str(out, MU_CMP_PATH_DEFAULT);
    } else {
        mu_buf_put_str(out, parts.path);
    }
    return mu_buf_check(out, "cmp: URL", err);
}
