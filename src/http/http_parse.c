/* The head of a request, and chunked bodies. No socket and no memory of its own: bytes in, views
 * out. */
#include "http/http_parse.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { MAX_EMPTY_LINES = 4, MAX_CHUNK_LINE = 4096 };

size_t mu_http_head_end(struct mu_bytes in, size_t *scanned)
{
    size_t i = *scanned, empty = 0;

    /* Empty lines in front do not end a head (RFC 9112 2.2), unless there is no end of them: the
     * parser refuses that. */
    while (empty < in.n && (in.p[empty] == '\r' || in.p[empty] == '\n'))
        if (++empty > 2 * MAX_EMPTY_LINES)
            return empty;
    if (i < empty)
        i = empty;
    while (i < in.n) {
        const uint8_t *lf = memchr(in.p + i, '\n', in.n - i);
        size_t at;

        if (lf == NULL) {
            i = in.n;
            break;
        }
        at = (size_t)(lf - in.p) + 1;
        if (at < in.n && in.p[at] == '\n')
            return at + 1;
        if (at + 1 < in.n && in.p[at] == '\r' && in.p[at + 1] == '\n')
            return at + 2;
        if (at + 1 >= in.n) {
            i = at - 1; /* look at this line end again when more is there */
            break;
        }
        i = at;
    }
    *scanned = i;
    return 0;
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
        || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *s)
{
    const char *p = s;

    while (is_token_char(*p))
        p++;
    return p > s && *p == '\0';
}

/* Cuts the next line off, without its line end. NULL behind the last. */
static char *next_line(char **at, const char *end)
{
    char *line = *at, *lf;

    if (line >= end)
        return NULL;
    lf = memchr(line, '\n', (size_t)(end - line));
    if (lf == NULL)
        return NULL;
    *at = lf + 1;
    if (lf > line && lf[-1] == '\r')
        lf--;
    *lf = '\0';
    return line;
}

static int refuse(int status, const char *words, const char **why)
{
    *why = words;
    return status;
}

static int parse_version(const char *s, struct mu_http_head *head, const char **why)
{
    if (strncmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' || s[6] != '.' || s[7] < '0'
        || s[7] > '9' || s[8] != '\0')
        return refuse(400, "the request line does not end with an HTTP version", why);
    if (s[5] != '1')
        return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here", why);
    head->minor = s[7] == '0' ? 0 : 1;
    return 0;
}

/* "GET /x?y HTTP/1.1": three words, one blank between them (RFC 9112 3). */
static int parse_request_line(char *line, struct mu_http_head *head, const char **why)
{
    char *target = strchr(line, ' '), *version;

    if (target == NULL)
        return refuse(400, "the request line is not complete", why);
    *target++ = '\0';
    version = strchr(target, ' ');
    if (version == NULL)
        return refuse(400, "the request line is not complete", why);
    *version++ = '\0';
    if (!is_token(line))
        return refuse(400, "the method is no word", why);
    if (*target == '\0')
        return refuse(400, "the request line has no target", why);
    for (const char *p = target; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return refuse(400, "the target has a blank or a control character", why);
    if (strchr(version, ' ') != NULL)
        return refuse(400, "the request line has more than three words", why);
    head->method = line;
    head->target = target;
    return parse_version(version, head, why);
}

/* "Name: value", blanks around the value do not count (RFC 9112 5). */
static int parse_field(char *line, struct mu_http_head *head, const char **why)
{
    char *colon = strchr(line, ':'), *value, *end;

    if (line[0] == ' ' || line[0] == '\t')
        return refuse(400, "a header field is folded over two lines", why);
    if (colon == NULL)
        return refuse(400, "a header line has no colon", why);
    *colon = '\0';
    if (!is_token(line))
        return refuse(400, "a header field has no proper name", why);
    value = colon + 1 + strspn(colon + 1, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    for (const char *p = value; *p != '\0'; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return refuse(400, "a header field has a control character", why);
    if (head->header_n >= MU_HTTP_MAX_HEADERS)
        return refuse(431, "too many header fields", why);
    head->headers[head->header_n++] = (struct mu_http_header){line, value};
    return 0;
}

static bool parse_length(const char *s, uint64_t *out)
{
    uint64_t n = 0;

    if (*s == '\0' || strlen(s) > 18)
        return false;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return false;
        n = n * 10 + (uint64_t)(*s - '0');
    }
    *out = n;
    return true;
}

/* Is the word one of a comma list? */
static bool has_word(const char *list, const char *word)
{
    size_t word_n = strlen(word);

    while (*list != '\0') {
        size_t n;

        list += strspn(list, " \t,");
        n = strcspn(list, " \t,");
        if (n == word_n && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* What the fields say of the message's end and of the connection. */
struct framing {
    unsigned hosts, lengths, encodings;
    bool close, keep_alive;
};

static int look_at_field(
    const struct mu_http_header *h, struct mu_http_head *head, struct framing *f, const char **why)
{
    if (mu_text_equal_nocase(h->name, "Host")) {
        f->hosts++;
    } else if (mu_text_equal_nocase(h->name, "Content-Length")) {
        if (++f->lengths > 1)
            return refuse(400, "more than one Content-Length", why);
        if (!parse_length(h->value, &head->length))
            return refuse(400, "the Content-Length is no number", why);
    } else if (mu_text_equal_nocase(h->name, "Transfer-Encoding")) {
        if (++f->encodings > 1)
            return refuse(400, "more than one Transfer-Encoding", why);
        if (!mu_text_equal_nocase(h->value, "chunked"))
            return refuse(501, "no other Transfer-Encoding than chunked is known here", why);
        head->chunked = true;
    } else if (mu_text_equal_nocase(h->name, "Connection")) {
        f->close = f->close || has_word(h->value, "close");
        f->keep_alive = f->keep_alive || has_word(h->value, "keep-alive");
    } else if (mu_text_equal_nocase(h->name, "Expect")) {
        if (!mu_text_equal_nocase(h->value, "100-continue"))
            return refuse(417, "no other expectation than 100-continue is known here", why);
        head->expect_continue = head->minor > 0;
    }
    return 0;
}

static int check_framing(struct mu_http_head *head, const char **why)
{
    struct framing f = {0};
    int status;

    for (size_t i = 0; i < head->header_n; i++)
        if ((status = look_at_field(&head->headers[i], head, &f, why)) != 0)
            return status;
    if (f.hosts > 1)
        return refuse(400, "more than one Host", why);
    if (f.hosts == 0 && head->minor > 0)
        return refuse(400, "no Host (RFC 9112 3.2)", why);
    if (head->chunked && f.lengths > 0)
        return refuse(400, "both Content-Length and Transfer-Encoding (RFC 9112 6.1)", why);
    if (head->chunked && head->minor == 0)
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding (RFC 9112 6.1)", why);
    head->keep_alive = !f.close && (head->minor > 0 || f.keep_alive);
    return 0;
}

int mu_http_head_parse(char *text, size_t n, struct mu_http_head *out, const char **why)
{
    char *at = text, *line;
    const char *end = text + n;
    int status;

    memset(out, 0, sizeof(*out));
    if (memchr(text, '\0', n) != NULL)
        return refuse(400, "the head has a NUL", why);
    for (unsigned i = 0; i < MAX_EMPTY_LINES && (*at == '\r' || *at == '\n'); i++)
        at += at[0] == '\r' && at[1] == '\n' ? 2 : 1;
    line = next_line(&at, end);
    if (line == NULL)
        return refuse(400, "the request line is not complete", why);
    if ((status = parse_request_line(line, out, why)) != 0)
        return status;
    while ((line = next_line(&at, end)) != NULL && *line != '\0')
        if ((status = parse_field(line, out, why)) != 0)
            return status;
    return check_framing(out, why);
}

/* ---- chunked bodies (RFC 9112 7.1) ---- */

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF, END_LF };

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One octet of all that is not content; false if it must not stand there. */
static bool chunk_octet(struct mu_http_chunks *c, uint8_t b)
{
    int digit;

    switch (c->state) {
    case SIZE:
        digit = hex_value(b);
        if (digit >= 0) {
            c->left = c->left << 4 | (unsigned)digit;
            return ++c->digits <= 15;
        }
        c->line_n = 0;
        c->state = b == '\r' ? SIZE_LF : EXTENSION;
        return c->digits > 0 && (b == '\r' || b == ';' || b == ' ' || b == '\t');
    case EXTENSION:
        if (b == '\r')
            c->state = SIZE_LF;
        return b != '\n' && b != '\0' && ++c->line_n < MAX_CHUNK_LINE;
    case SIZE_LF:
        c->line_n = 0;
        c->state = c->left > 0 ? DATA : TRAILER;
        return b == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r';
    case DATA_LF:
        c->state = SIZE;
        c->digits = 0;
        return b == '\n';
    case TRAILER:
        /* An empty line ends it all; the content of others is dropped (RFC 9110 6.5.1). */
        if (b == '\r')
            c->state = c->line_n == 0 ? END_LF : TRAILER_LF;
        else
            c->line_n++;
        c->digits = 0;
        return b != '\n' && b != '\0' && ++c->left < MAX_CHUNK_LINE;
    case TRAILER_LF:
        c->state = TRAILER;
        c->line_n = 0;
        return b == '\n';
    default:
        return b == '\n';
    }
}

enum mu_http_chunk_result mu_http_chunks_decode(struct mu_http_chunks *c, struct mu_bytes in,
    size_t *used, struct mu_buf *body, size_t max)
{
    size_t i = 0;

    *used = 0;
    while (i < in.n) {
        int state = c->state;

        if (state == DATA) {
            size_t n = in.n - i < c->left ? in.n - i : (size_t)c->left;

            if (n > max - body->n || !mu_buf_put(body, in.p + i, n))
                return MU_HTTP_CHUNK_TOO_LONG;
            i += n;
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            continue;
        }
        if (!chunk_octet(c, in.p[i++]))
            return MU_HTTP_CHUNK_BAD;
        if (state == SIZE_LF && c->left > max - body->n)
            return MU_HTTP_CHUNK_TOO_LONG;
        if (state == END_LF) {
            *used = i;
            return MU_HTTP_CHUNK_DONE;
        }
    }
    *used = i;
    return MU_HTTP_CHUNK_MORE;
}
