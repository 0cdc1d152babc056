/* Requests and responses as data: looking up, adding and freeing their parts. */
#include "http/http_msg.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

const char *mu_http_header_get(const struct mu_http_header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (mu_text_equal_nocase(headers[i].name, name))
            return headers[i].value;
    return NULL;
}

/* RFC 9110 5.6.2: what a field name is made of. */
static bool is_token(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        bool alnum = (*s >= '0' && *s <= '9') || ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z');

        if (!alnum && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
            return false;
    }
    return true;
}

/* RFC 9110 5.5: no control characters but the tab, so no second line either. */
static bool is_field_value(const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* The copy is one piece of memory, so that one wipe and one free do. */
struct request_copy {
    struct mu_http_request request; /* first: the caller holds a pointer to it */
    size_t size;
};

static char *put_text(char **at, const void *p, size_t n)
{
    char *start = *at;

    if (n > 0)
        memcpy(start, p, n);
    start[n] = '\0';
    *at += n + 1;
    return start;
}

enum mu_code mu_http_request_copy(
    const struct mu_http_request *request, struct mu_http_request **out, struct mu_err *err)
{
    size_t size = sizeof(struct request_copy) + request->header_n * sizeof(struct mu_http_header)
        + request->note_n * sizeof(struct mu_http_note) + strlen(request->method) + strlen(request->target) + request->body.n + 3;
    struct request_copy *copy;
    struct mu_http_header *headers;
    struct mu_http_note *notes;
    char *at;

    for (size_t i = 0; i < request->note_n; i++)
        size += strlen(request->notes[i].text) + 1;
    for (size_t i = 0; i < request->header_n; i++)
        size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 2;
    copy = malloc(size);
    if (copy == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    copy->request = *request;
    copy->request.peer = NULL;
    copy->size = size;
    headers = (struct mu_http_header *)(copy + 1);
    notes = (struct mu_http_note *)(headers + request->header_n);
    at = (char *)(notes + request->note_n);
    for (size_t i = 0; i < request->note_n; i++) {
        notes[i].step = request->notes[i].step;
        notes[i].text = put_text(&at, request->notes[i].text, strlen(request->notes[i].text));
    }
    copy->request.notes = notes;
    for (size_t i = 0; i < request->header_n; i++) {
        const struct mu_http_header *h = &request->headers[i];

        headers[i].name = put_text(&at, h->name, strlen(h->name));
        headers[i].value = put_text(&at, h->value, strlen(h->value));
    }
    copy->request.headers = headers;
    copy->request.method = put_text(&at, request->method, strlen(request->method));
    copy->request.target = put_text(&at, request->target, strlen(request->target));
    copy->request.body.p = (const uint8_t *)put_text(&at, request->body.p, request->body.n);
    *out = &copy->request;
    return MU_OK;
}

void mu_http_request_free(struct mu_http_request *request)
{
    struct request_copy *copy = (struct request_copy *)request;

    if (copy == NULL)
        return;
    mu_bytes_wipe(copy, copy->size);
    free(copy);
}

static void header_free(struct mu_http_header *h)
{
    /* Names and values of a response are always our own copies. */
    free((void *)(uintptr_t)h->name);
    free((void *)(uintptr_t)h->value);
}

enum mu_code mu_http_response_add(
    struct mu_http_response *r, const char *name, const char *value, struct mu_err *err)
{
    char *own_name = NULL, *own_value = NULL;
    enum mu_code rc;

    if (!is_token(name) || !is_field_value(value))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "http: a header field has characters it must not have (RFC 9110 5.5)");
    if (r->header_n >= MU_HTTP_MAX_HEADERS)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "http: more than %d header fields",
            MU_HTTP_MAX_HEADERS);
    /* Grown in powers of two, which header_n alone tells. */
    if ((r->header_n & (r->header_n - 1)) == 0) {
        size_t cap = r->header_n == 0 ? 1 : r->header_n * 2;
        struct mu_http_header *grown = realloc(r->headers, cap * sizeof(*grown));

        if (grown == NULL)
            return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
        r->headers = grown;
    }
    if ((rc = mu_text_dup(name, &own_name, err)) != MU_OK)
        goto out;
    if ((rc = mu_text_dup(value, &own_value, err)) != MU_OK)
        goto out;
    r->headers[r->header_n++] = (struct mu_http_header){own_name, own_value};
    own_name = own_value = NULL;
out:
    free(own_name);
    free(own_value);
    return rc;
}

/* Changes the first field of this name, or adds it. */
static enum mu_code header_put(
    struct mu_http_response *r, const char *name, const char *value, struct mu_err *err)
{
    for (size_t i = 0; i < r->header_n; i++) {
        char *own = NULL;
        enum mu_code rc;

        if (!mu_text_equal_nocase(r->headers[i].name, name))
            continue;
        if (!is_field_value(value))
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
                "http: a header field has characters it must not have (RFC 9110 5.5)");
        if ((rc = mu_text_dup(value, &own, err)) != MU_OK)
            return rc;
        free((void *)(uintptr_t)r->headers[i].value);
        r->headers[i].value = own;
        return MU_OK;
    }
    return mu_http_response_add(r, name, value, err);
}

enum mu_code mu_http_response_set(struct mu_http_response *r, int status, const char *content_type,
    struct mu_bytes body, struct mu_err *err)
{
    struct mu_buf copy;
    enum mu_code rc;

    /* The ceiling is the content's own size: who made it has bounded it already. */
    mu_buf_init(&copy, body.n);
    copy.secret = r->body.secret;
    mu_buf_put_bytes(&copy, body);
    if ((rc = mu_buf_check(&copy, "http body", err)) != MU_OK)
        goto out;
    if (content_type != NULL && (rc = header_put(r, "Content-Type", content_type, err)) != MU_OK)
        goto out;
    mu_buf_clear(&r->body);
    r->body = copy;
    r->status = status;
    memset(&copy, 0, sizeof(copy));
out:
    mu_buf_clear(&copy);
    return rc;
}

void mu_http_response_clear(struct mu_http_response *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->header_n; i++)
        header_free(&r->headers[i]);
    free(r->headers);
    mu_buf_clear(&r->body);
    memset(r, 0, sizeof(*r));
}

const char *mu_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
        {206, "Partial Content"}, {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"},
        {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
        {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"},
        {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
        {417, "Expectation Failed"}, {421, "Misdirected Request"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
        {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status)
            return table[i].text;
    if (status >= 200 && status < 300)
        return "OK";
    return status >= 500 ? "Server Error" : "Error";
}

bool mu_http_media_is(const char *content_type, const char *media)
{
    size_t n;

    if (content_type == NULL)
        return false;
    content_type += strspn(content_type, " \t");
    n = strcspn(content_type, "; \t");
    if (n != strlen(media))
        return false;
    for (size_t i = 0; i < n; i++) {
        char a[2] = {content_type[i]}, b[2] = {media[i]};

        if (!mu_text_equal_nocase(a, b))
            return false;
    }
    /* "a/b c/d" is no media type. */
    content_type += n;
    content_type += strspn(content_type, " \t");
    return *content_type == '\0' || *content_type == ';';
}
