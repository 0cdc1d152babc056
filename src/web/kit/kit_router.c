#include "web/kit/kit_router.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/http_url.h"

struct call {
    struct mu_kit_call open; /* first: what handlers see */
    mu_kit_done *done;
    void *cookie;
};

static void call_free(struct call *c)
{
    if (c == NULL)
        return;
    json_decref(c->open.in);
    free(c->open.arg);
    free(c);
}

/* The answer of last resort needs no memory of jansson's. */
static void respond(mu_kit_done *done, void *cookie, int status, const json_t *body)
{
    static const char broken[] =
        "{\"schema\":\"" MU_KIT_SCHEMA "\",\"error\":{\"code\":\"\","
        "\"kind\":\"memory\",\"what\":\"out of memory\",\"likely\":\"\",\"next\":\"\"}}\n";
    struct mu_http_response response = {0};
    struct mu_buf text;

    mu_buf_init_secret(&text, (size_t)64 << 20); /* a new password may be in it */
    response.body.secret = true;
    if (body == NULL || mu_kit_json_encode(body, &text, NULL) != MU_OK
        || mu_http_response_set(&response, status, "application/json", mu_buf_bytes(&text), NULL)
            != MU_OK) {
        mu_http_response_clear(&response);
        if (mu_http_response_set(&response, 500, "application/json", mu_bytes_str(broken), NULL)
            != MU_OK)
            response.status = 500;
    }
    if (mu_http_response_add(&response, "Cache-Control", "no-store", NULL) != MU_OK)
        response.status = 500;
    mu_buf_clear(&text);
    done(cookie, &response);
    mu_http_response_clear(&response);
}

static void respond_error(mu_kit_done *done, void *cookie, const struct mu_err *err)
{
    json_t *body = mu_kit_error_encode(err);

    respond(done, cookie, mu_kit_error_status(err), body);
    json_decref(body);
}

void mu_kit_call_answer(struct mu_kit_call *call, json_t *out)
{
    struct call *c = (struct call *)call;

    if (out != NULL)
        mu_kit_json_set_text(out, "schema", MU_KIT_SCHEMA);
    respond(c->done, c->cookie, 200, out);
    json_decref(out);
    call_free(c);
}

void mu_kit_call_answer_text(
    struct mu_kit_call *call, const char *content_type, const struct mu_buf *text)
{
    struct call *c = (struct call *)call;
    struct mu_http_response response = {0};
    struct mu_err err = {0};

    if (mu_buf_check(text, "answer", &err) != MU_OK
        || mu_http_response_set(&response, 200, content_type, mu_buf_bytes(text), &err) != MU_OK
        || mu_http_response_add(&response, "Cache-Control", "no-store", &err) != MU_OK)
        respond_error(c->done, c->cookie, &err);
    else
        c->done(c->cookie, &response);
    mu_http_response_clear(&response);
    call_free(c);
}

void mu_kit_call_fail(struct mu_kit_call *call, const struct mu_err *err)
{
    struct call *c = (struct call *)call;

    respond_error(c->done, c->cookie, err);
    call_free(c);
}

/* True if path fits; *arg is the segment that {} stood for, p NULL without one. */
static bool pattern_fits(const char *pattern, struct mu_bytes path, struct mu_bytes *arg)
{
    const char *hole = strstr(pattern, "{}");
    size_t head, tail;

    *arg = (struct mu_bytes){0};
    if (hole == NULL)
        return mu_bytes_equal(mu_bytes_str(pattern), path);
    head = (size_t)(hole - pattern);
    tail = strlen(hole + 2);
    if (path.n <= head + tail || memcmp(path.p, pattern, head) != 0
        || memcmp(path.p + path.n - tail, hole + 2, tail) != 0)
        return false;
    *arg = mu_bytes(path.p + head, path.n - head - tail);
    return memchr(arg->p, '/', arg->n) == NULL;
}

static const struct mu_kit_route *route_find(const struct mu_kit_router *router, const char *method,
    struct mu_bytes path, struct mu_bytes *arg, struct mu_err *err)
{
    char shown[128];
    bool path_known = false;

    for (const struct mu_kit_route *r = router->routes; r->method != NULL; r++) {
        if (!pattern_fits(r->pattern, path, arg))
            continue;
        if (strcmp(r->method, method) == 0)
            return r;
        path_known = true;
    }
    mu_text_escape_to(shown, sizeof shown, path);
    if (path_known)
        mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "request: '%s' has no such method", shown);
    else
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "request: there is no '%s'", shown);
    return NULL;
}

static enum mu_code decode_text(struct mu_bytes raw, struct mu_buf *out, struct mu_err *err)
{
    mu_http_percent_decode(out, raw);
    if (out->failed || memchr(mu_buf_str(out), '\0', out->n) != NULL
        || !mu_text_is_utf8(mu_buf_bytes(out)))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: bad characters in the URL");
    return MU_OK;
}

/* Adds the query's parameters to in, as texts; none may be there already. */
static enum mu_code query_merge(const char *target, json_t *in, struct mu_err *err)
{
    const char *p = strchr(target, '?');
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && p != NULL && *++p != '\0') {
        const char *end = p + strcspn(p, "&"), *eq = memchr(p, '=', (size_t)(end - p));
        struct mu_buf key, value;

        mu_buf_init(&key, 256);
        mu_buf_init(&value, 8192);
        if (eq == NULL)
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: a query without '='");
        if (rc == MU_OK)
            rc = decode_text(mu_bytes(p, (size_t)(eq - p)), &key, err);
        if (rc == MU_OK)
            rc = decode_text(mu_bytes(eq + 1, (size_t)(end - eq - 1)), &value, err);
        if (rc == MU_OK && json_object_get(in, mu_buf_str(&key)) != NULL)
            rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "request: a member is given twice");
        if (rc == MU_OK)
            mu_kit_json_set_text(in, mu_buf_str(&key), mu_buf_str(&value));
        mu_buf_clear(&key);
        mu_buf_clear(&value);
        p = end;
        if (*p == '\0')
            break;
    }
    return rc;
}

static enum mu_code peer_check(const struct mu_kit_router *router, const char *method,
    const struct mu_http_peer *peer, struct mu_err *err)
{
    const bool is_reader = router->readers != NULL && peer != NULL && peer->is_unix && peer->in_group;

    if (peer != NULL && peer->is_unix
        && (peer->uid == 0 || (peer->uid >= 0 && peer->uid == router->owner_uid)))
        return MU_OK;
    if (is_reader && strcmp(method, "GET") == 0)
        return MU_OK;
    if (is_reader)
        mu_err_set(err, MU_DENIED, MU_REASON_NONE,
            "request: group '%s' may read; changes are for root and the program's own user",
            router->readers);
    else if (router->readers != NULL)
        mu_err_set(err, MU_DENIED, MU_REASON_NONE,
            "request: not from root, the program's own user or group '%s'", router->readers);
    else
        mu_err_set(
            err, MU_DENIED, MU_REASON_NONE, "request: not from root or the program's own user");
    mu_err_next(err, "Run the command as root or as the user the program runs as.");
    return MU_DENIED;
}

static enum mu_code call_new(const struct mu_kit_router *router,
    const struct mu_http_request *request, struct mu_bytes arg, struct call **out,
    struct mu_err *err)
{
    struct call *c = calloc(1, sizeof *c);
    struct mu_buf text;
    enum mu_code rc;

    mu_buf_init(&text, 1024);
    if (c == NULL) {
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
        goto out;
    }
    c->open.context = router->context;
    c->open.uid = request->peer->uid;
    if (arg.p != NULL) {
        if ((rc = decode_text(arg, &text, err)) != MU_OK)
            goto out;
        if ((rc = mu_text_dup(mu_buf_str(&text), &c->open.arg, err)) != MU_OK)
            goto out;
    }
    if ((rc = mu_kit_json_decode(request->body, &c->open.in, err)) != MU_OK)
        goto out;
    if ((rc = query_merge(request->target, c->open.in, err)) != MU_OK)
        goto out;
    *out = c;
    c = NULL;
out:
    mu_buf_clear(&text);
    call_free(c);
    return rc;
}

void mu_kit_dispatch(const struct mu_kit_router *router, const struct mu_http_request *request,
    mu_kit_done *done, void *cookie)
{
    const struct mu_kit_route *route;
    struct mu_err err = {0};
    struct mu_bytes arg;
    struct call *c = NULL;

    if (peer_check(router, request->method, request->peer, &err) != MU_OK)
        goto fail;
    route = route_find(router, request->method, mu_http_target_path(request->target), &arg, &err);
    if (route == NULL || call_new(router, request, arg, &c, &err) != MU_OK)
        goto fail;
    c->done = done;
    c->cookie = cookie;
    route->handler(&c->open);
    return;
fail:
    respond_error(done, cookie, &err);
}
