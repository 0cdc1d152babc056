#include "cmd/muster-ca/record.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "cmd/muster-ca/files.h"
#include "cmd/muster-ca/log.h"
#include "proto/scep/scep_http.h"

struct record {
    char *dir;
    atomic_uint last;
};

static unsigned last_number(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    unsigned last = 0;

    while (d != NULL && (e = readdir(d)) != NULL) {
        unsigned long n = strtoul(e->d_name, NULL, 10);

        if (n > last && n < UINT_MAX)
            last = (unsigned)n;
    }
    if (d != NULL)
        closedir(d);
    return last;
}

enum mu_code record_open(const char *dir, struct record **out, struct mu_err *err)
{
    struct record *r;
    enum mu_code rc;

    if ((rc = files_mkdir(dir, 0700, err)) != MU_OK)
        return rc;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    if ((rc = mu_text_dup(dir, &r->dir, err)) != MU_OK) {
        free(r);
        return rc;
    }
    atomic_init(&r->last, last_number(dir));
    *out = r;
    return MU_OK;
}

void record_close(struct record *record)
{
    if (record == NULL)
        return;
    free(record->dir);
    free(record);
}

static void put_file(struct record *r, unsigned number, const char *what, struct mu_bytes content)
{
    char path[PATH_MAX];
    struct mu_err err = {0};

    snprintf(path, sizeof path, "%s/%06u-%s", r->dir, number, what);
    if (files_create(path, content, 0600, &err) != MU_OK)
        log_error("record", &err);
}

static void put_headers(struct mu_buf *out, const struct mu_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool secret = mu_text_equal_nocase(headers[i].name, "Authorization")
            || mu_text_equal_nocase(headers[i].name, "Proxy-Authorization");

        mu_buf_putf(out, "%s: %s\n", headers[i].name, secret ? "*" : headers[i].value);
    }
}

unsigned record_request(struct record *record, const struct mu_http_request *request)
{
    unsigned number = atomic_fetch_add(&record->last, 1) + 1;
    struct mu_buf text, message, identifier = {0};
    enum mu_scep_http_op op;

    mu_buf_init(&text, MU_LIMIT_HEADERS + 4096);
    mu_buf_init(&message, MU_LIMIT_MESSAGE);
    mu_buf_putf(&text, "%s %s HTTP/1.%d\n", request->method, request->target, request->minor);
    put_headers(&text, request->headers, request->header_n);
    put_file(record, number, "request.txt", mu_buf_bytes(&text));
    if (request->body.n != 0)
        put_file(record, number, "request.der", request->body);
    else if (mu_scep_http_is(request)
        && mu_scep_http_request(request, &op, &identifier, &message, NULL) == MU_OK
        && message.n != 0)
        put_file(record, number, "request.der", mu_buf_bytes(&message));
    mu_buf_clear(&text);
    mu_buf_clear(&message);
    mu_buf_clear(&identifier);
    return number;
}

void record_reply(struct record *record, unsigned number, const struct mu_http_response *response)
{
    struct mu_buf text;

    mu_buf_init(&text, MU_LIMIT_HEADERS);
    mu_buf_putf(&text, "HTTP/1.1 %d %s\n", response->status, mu_http_status_text(response->status));
    put_headers(&text, response->headers, response->header_n);
    put_file(record, number, "reply.txt", mu_buf_bytes(&text));
    if (response->body.secret) /* a key made for the client */
        put_file(record, number, "reply.der", mu_bytes_str("*"));
    else if (response->body.n != 0)
        put_file(record, number, "reply.der", mu_buf_bytes(&response->body));
    mu_buf_clear(&text);
}
