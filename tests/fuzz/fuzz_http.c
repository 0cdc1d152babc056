/* Any text to the HTTP data functions: URLs, queries, media types, percent-encoding, authentication
 * fields, and the head and chunks of a request. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_auth.h"
#include "http/http_msg.h"
#include "http/http_parse.h"
#include "http/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct mu_bytes v, const char *text)
{
    const char *p = (const char *)v.p;

    assert(p >= text && p + v.n <= text + strlen(text));
}

static void check_url(const char *text)
{
    struct mu_http_url url;
    struct mu_err err = {0};

    if (mu_http_url_parse(text, "http", &url, &err) == MU_OK) {
        assert(url.port != 0);
        assert(url.path >= text && url.path <= text + strlen(text));
        assert(memchr(url.host, 0, sizeof(url.host)) != NULL);
        assert(memchr(url.scheme, 0, sizeof(url.scheme)) != NULL);
    } else {
        assert(err.what[0] != '\0');
    }
}

static void check_target(const char *text)
{
    static const char *const keys[] = {"operation", "message", ""};
    struct mu_bytes v, path = mu_http_target_path(text);

    if (!(path.n == 1 && path.p[0] == '/'))
        inside(path, text);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (mu_http_query_get(text, keys[i], &v)) {
            inside(v, text);
            assert(v.n == 0 || memchr(v.p, '&', v.n) == NULL);
        }
}

static void check_percent(struct mu_bytes v)
{
    struct mu_buf encoded, decoded;

    mu_buf_init(&encoded, v.n * 3 + 1);
    mu_buf_init(&decoded, v.n + 1);
    assert(mu_http_percent_decode(&decoded, v) && decoded.n <= v.n);
    mu_buf_reset(&decoded);
    assert(mu_http_percent_encode(&encoded, v));
    assert(mu_http_percent_decode(&decoded, mu_buf_bytes(&encoded)));
    assert(mu_bytes_equal(mu_buf_bytes(&decoded), v));
    mu_buf_clear(&encoded);
    mu_buf_clear(&decoded);
}

static void check_header(const char *text)
{
    struct mu_http_response r = {0};
    bool plain = mu_http_media_is(text, "application/x-pki-message");

    if (mu_http_response_add(&r, "Content-Type", text, NULL) == MU_OK)
        assert(strpbrk(text, "\r\n") == NULL);
    (void)!mu_http_response_add(&r, text, "x", NULL);
    assert(!plain || strlen(text) >= strlen("application/x-pki-message"));
    mu_http_response_clear(&r);
}

/* The head of a request, found whole and piece by piece, then taken apart. */
static void check_head(struct mu_bytes in)
{
    size_t whole = 0, pieces = 0, n = mu_http_head_end(in, &whole), found = 0;
    struct mu_http_head head;
    const char *why = NULL;
    char *text;

    for (size_t k = 0; k <= in.n && in.n < 4096 && found == 0; k++)
        found = mu_http_head_end(mu_bytes(in.p, k), &pieces);
    assert(in.n >= 4096 || found == n);
    if (n == 0)
        return;
    text = malloc(n + 1);
    if (text == NULL)
        return;
    memcpy(text, in.p, n);
    text[n] = '\0';
    if (mu_http_head_parse(text, n, &head, &why) == 0) {
        assert(head.method >= text);
        assert(head.target > head.method && head.target < text + n);
        assert(!head.chunked || head.length == 0);
        assert(head.header_n <= MU_HTTP_MAX_HEADERS);
    } else {
        assert(why != NULL);
    }
    free(text);
}

static void check_chunks(struct mu_bytes in)
{
    struct mu_http_chunks whole = {0}, single = {0};
    enum mu_http_chunk_result r, s = MU_HTTP_CHUNK_MORE;
    struct mu_buf a = {0}, b = {0};
    size_t used, at = 0, taken;

    r = mu_http_chunks_decode(&whole, in, &used, &a, 1024);
    assert(used <= in.n && a.n <= 1024);
    while (at < in.n && s == MU_HTTP_CHUNK_MORE) {
        s = mu_http_chunks_decode(&single, mu_bytes(in.p + at, 1), &taken, &b, 1024);
        at += taken;
    }
    assert(r == s);
    assert(r != MU_HTTP_CHUNK_DONE || (at == used && mu_bytes_equal(mu_buf_bytes(&a), mu_buf_bytes(&b))));
    mu_buf_clear(&a);
    mu_buf_clear(&b);
}

static void check_ended(const struct mu_http_auth *a)
{
    assert(memchr(a->user, 0, sizeof(a->user)) != NULL);
    assert(memchr(a->password, 0, sizeof(a->password)) != NULL);
    assert(memchr(a->realm, 0, sizeof(a->realm)) != NULL);
    assert(memchr(a->nonce, 0, sizeof(a->nonce)) != NULL);
    assert(memchr(a->uri, 0, sizeof(a->uri)) != NULL);
    assert(memchr(a->qop, 0, sizeof(a->qop)) != NULL);
}

/* What was read and can be said again reads as the same. */
static void check_authorization(const char *text)
{
    struct mu_http_auth a, b;
    struct mu_err err = {0};
    struct mu_buf out;

    mu_buf_init_secret(&out, 16 * 1024);
    if (mu_http_auth_parse(text, &a, &err) != MU_OK) {
        assert(err.what[0] != '\0' && a.scheme == MU_HTTP_SCHEME_NONE);
    } else {
        check_ended(&a);
        if (mu_http_auth_format(&a, &out)) {
            assert(mu_http_auth_parse(mu_buf_str(&out), &b, &err) == MU_OK);
            assert(memcmp(&a, &b, sizeof(a)) == 0);
        }
    }
    mu_buf_clear(&out);
}

static void check_challenges(const char *text)
{
    struct mu_http_auth a, b;
    struct mu_buf out;
    size_t n = 0;

    mu_buf_init(&out, 16 * 1024);
    while (n < 64 && mu_http_auth_challenge(text, n, &a)) {
        check_ended(&a);
        mu_buf_reset(&out);
        if (mu_http_auth_challenge_format(&a, &out)) {
            assert(mu_http_auth_challenge(mu_buf_str(&out), 0, &b) && b.scheme == a.scheme);
            assert(strcmp(a.realm, b.realm) == 0);
            /* A nonce beside Basic means nothing, and is not said again. */
            assert(a.scheme != MU_HTTP_SCHEME_DIGEST || strcmp(a.nonce, b.nonce) == 0);
            assert(!mu_http_auth_challenge(mu_buf_str(&out), 1, &b));
        }
        n++;
    }
    mu_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_percent(mu_bytes(data, size));
    check_head(mu_bytes(data, size));
    check_chunks(mu_bytes(data, size));
    check_url(text);
    check_target(text);
    check_header(text);
    check_authorization(text);
    check_challenges(text);
    free(text);
    return 0;
}
