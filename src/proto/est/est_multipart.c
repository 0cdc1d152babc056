/* multipart/mixed: see est_multipart.h. */
#include "proto/est/est_multipart.h"

#include <stdio.h>

#include "base/text.h"
#include "http/http_msg.h"

enum { PART_HEADERS = 4096 };

static enum mu_code refuse(const char *what, struct mu_err *err)
{
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "est: %s (RFC 7030 4.4.2)", what);
}

/* Value of the parameter boundary; it may be quoted. */
static bool find_boundary(const char *content_type, char out[MU_EST_BOUNDARY_MAX + 1])
{
    const char *at = content_type;
    size_t n = 0;
    bool quoted;

    while ((at = strchr(at, ';')) != NULL) {
        at++;
        at += strspn(at, " \t");
        if (strncasecmp(at, "boundary", 8) != 0)
            continue;
        at += 8;
        at += strspn(at, " \t");
        if (*at != '=')
            continue;
        at++;
        at += strspn(at, " \t");
        quoted = *at == '"';
        if (quoted)
            at++;
        while (*at != '\0' && n <= MU_EST_BOUNDARY_MAX
            && (quoted ? *at != '"' : *at != ';' && *at != ' ' && *at != '\t')) {
            if (n < MU_EST_BOUNDARY_MAX)
                out[n] = *at;
            n++;
            at++;
        }
        if (n == 0 || n > MU_EST_BOUNDARY_MAX || (quoted && *at != '"'))
            return false;
        out[n] = '\0';
        return true;
    }
    return false;
}

/* Takes the next line off in, without its end. */
static bool next_line(struct mu_bytes *in, struct mu_bytes *line)
{
    const uint8_t *lf;

    if (in->n == 0)
        return false;
    lf = memchr(in->p, '\n', in->n);
    *line = mu_bytes(in->p, lf != NULL ? (size_t)(lf - in->p) : in->n);
    if (line->n != 0 && line->p[line->n - 1] == '\r')
        line->n--;
    *in = lf != NULL ? mu_bytes(lf + 1, in->n - (size_t)(lf + 1 - in->p)) : mu_bytes(NULL, 0);
    return true;
}

/* 0: an ordinary line; 1: a delimiter; 2: the closing one. Blanks may follow. */
static int delimiter(struct mu_bytes line, const char *boundary)
{
    size_t n = strlen(boundary), i;
    int kind = 1;

    if (line.n < n + 2 || memcmp(line.p, "--", 2) != 0 || memcmp(line.p + 2, boundary, n) != 0)
        return 0;
    i = n + 2;
    if (line.n >= i + 2 && memcmp(line.p + i, "--", 2) == 0) {
        kind = 2;
        i += 2;
    }
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    return i == line.n ? kind : 0;
}

/* Content-Type among a part's headers, up to its empty line. */
static bool part_headers(struct mu_bytes *in, struct mu_est_part *part)
{
    static const char name[] = "content-type:";
    size_t total = 0, skip;
    struct mu_bytes line;

    while (next_line(in, &line)) {
        total += line.n + 1;
        if (line.n == 0)
            return true;
        if (total > PART_HEADERS || memchr(line.p, 0, line.n) != NULL)
            return false;
        if (line.n < sizeof name - 1 || strncasecmp((const char *)line.p, name, sizeof name - 1) != 0)
            continue;
        skip = sizeof name - 1;
        while (skip < line.n && (line.p[skip] == ' ' || line.p[skip] == '\t'))
            skip++;
        if (line.n - skip >= sizeof part->type)
            return false;
        memcpy(part->type, line.p + skip, line.n - skip);
        part->type[line.n - skip] = '\0';
    }
    return false;
}

enum mu_code mu_est_multipart_decode(const char *content_type, struct mu_bytes body,
    struct mu_est_multipart *out, struct mu_err *err)
{
    struct mu_est_multipart found = {.n = 0};
    char boundary[MU_EST_BOUNDARY_MAX + 1];
    struct mu_est_part *part = NULL;
    struct mu_bytes line;
    int kind = 0;

    if (content_type == NULL || !find_boundary(content_type, boundary))
        return refuse("the answer is multipart without a boundary", err);
    while (kind != 2 && next_line(&body, &line)) {
        kind = delimiter(line, boundary);
        if (kind == 0)
            continue;
        if (part != NULL) /* the line end before a delimiter belongs to it; base64 does not care */
            part->body.n = (size_t)(line.p - part->body.p);
        if (kind == 2)
            break;
        if (found.n == MU_EST_MULTIPART_MAX)
            return refuse("the answer has too many parts", err);
        part = &found.parts[found.n++];
        if (!part_headers(&body, part))
            return refuse("the headers of a part are malformed", err);
        part->body = mu_bytes(body.p != NULL ? (const void *)body.p : "", 0);
    }
    if (kind != 2)
        return refuse("the answer ends within a part", err);
    *out = found;
    return MU_OK;
}

const struct mu_est_part *mu_est_multipart_get(const struct mu_est_multipart *m, const char *media)
{
    size_t i;

    for (i = 0; i < m->n; i++) {
        if (mu_http_media_is(m->parts[i].type, media))
            return &m->parts[i];
    }
    return NULL;
}

enum mu_code mu_est_multipart_boundary(
    const struct mu_env *env, char out[MU_EST_BOUNDARY_MAX + 1], struct mu_err *err)
{
    uint8_t octets[16];
    enum mu_code rc = mu_env_random(env, octets, sizeof octets, err);
    size_t i;

    if (rc != MU_OK)
        return rc;
    memcpy(out, "est_", 4); /* '_' is not in the alphabet of base64 */
    for (i = 0; i < sizeof octets; i++)
        snprintf(out + 4 + 2 * i, 3, "%02x", octets[i]);
    return MU_OK;
}

void mu_est_multipart_put(
    struct mu_buf *out, const char *boundary, const char *type, struct mu_bytes body)
{
    mu_buf_putf(out, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        boundary, type);
    mu_buf_put_bytes(out, body);
    mu_buf_put_str(out, "\r\n");
}

void mu_est_multipart_end(struct mu_buf *out, const char *boundary)
{
    mu_buf_putf(out, "--%s--\r\n", boundary);
}
