/* EST in HTTP: see est_http.h. */
#include "proto/est/est_http.h"

#include "base/limits.h"
#include "base/text.h"
#include "http/http_url.h"

static const struct { const char *name, *method; } ops[MU_EST_OP_N] = {
    [MU_EST_CACERTS] = {"cacerts", "GET"},
    [MU_EST_CSRATTRS] = {"csrattrs", "GET"},
    [MU_EST_SIMPLEENROLL] = {"simpleenroll", "POST"},
    [MU_EST_SIMPLEREENROLL] = {"simplereenroll", "POST"},
    [MU_EST_SERVERKEYGEN] = {"serverkeygen", "POST"},
    [MU_EST_FULLCMC] = {"fullcmc", "POST"},
};

const char *mu_est_http_op_name(enum mu_est_op op)
{
    return ops[op].name;
}

const char *mu_est_http_method(enum mu_est_op op)
{
    return ops[op].method;
}

static bool find_op(struct mu_bytes word, enum mu_est_op *out)
{
    int i;

    for (i = 0; i < MU_EST_OP_N; i++) {
        if (mu_bytes_equal(word, mu_bytes_str(ops[i].name))) {
            *out = (enum mu_est_op)i;
            return true;
        }
    }
    return false;
}

bool mu_est_http_is(const char *target)
{
    size_t n = strlen(MU_EST_PATH);

    return strncmp(target, MU_EST_PATH, n) == 0
        && (target[n] == '\0' || target[n] == '/' || target[n] == '?');
}

/* A label is what people configure, so it may be escaped. It never is an operation's name
 * (RFC 7030 3.2.2), and no text that could mean something elsewhere. */
static bool take_label(struct mu_bytes raw, char out[MU_EST_LABEL_MAX + 1])
{
    struct mu_buf text = {.max = 4 * MU_EST_LABEL_MAX};
    enum mu_est_op op;
    bool ok;
    size_t i;

    mu_http_percent_decode(&text, raw);
    ok = !text.failed && text.n <= MU_EST_LABEL_MAX && mu_text_is_utf8(mu_buf_bytes(&text))
        && !find_op(mu_buf_bytes(&text), &op);
    for (i = 0; ok && i < text.n; i++)
        ok = text.p[i] > 0x20 && text.p[i] != 0x7f && text.p[i] != '/' && text.p[i] != '\\';
    if (ok)
        memcpy(out, mu_buf_str(&text), text.n + 1);
    mu_buf_clear(&text);
    return ok;
}

enum mu_code mu_est_http_parse(const char *target, struct mu_est_path *out, struct mu_err *err)
{
    struct mu_bytes path = mu_http_target_path(target), word;
    struct mu_est_path found = {.op = MU_EST_OP_N};
    const uint8_t *slash;
    char shown[120];

    if (!mu_est_http_is(target))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "est: this is not below " MU_EST_PATH " (RFC 7030 3.2.2)");
    path = mu_bytes(path.p + strlen(MU_EST_PATH), path.n - strlen(MU_EST_PATH));
    slash = path.n != 0 ? memrchr(path.p, '/', path.n) : NULL;
    if (slash == NULL)
        word = mu_bytes(NULL, 0);
    else
        word = mu_bytes(slash + 1, path.n - (size_t)(slash + 1 - path.p));
    if (slash == NULL || !find_op(word, &found.op))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "est: there is no operation \"%s\" here (RFC 7030 3.2.2)",
            mu_text_escape_to(shown, sizeof shown, word));
    /* "/label", or "/" or nothing where a client put an empty label. */
    if (slash > path.p + 1 && !take_label(mu_bytes(path.p + 1, (size_t)(slash - path.p - 1)), found.label))
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "est: \"%s\" is no label (RFC 7030 3.2.2)",
            mu_text_escape_to(shown, sizeof shown, mu_bytes(path.p + 1, (size_t)(slash - path.p - 1))));
    *out = found;
    return MU_OK;
}

/* url without query and trailing slashes. */
static size_t base_length(const char *url)
{
    size_t n = strcspn(url, "?#");

    while (n > 0 && url[n - 1] == '/')
        n--;
    return n;
}

enum mu_code mu_est_http_url(const char *url, const char *label, enum mu_est_op op,
    struct mu_buf *out, struct mu_err *err)
{
    struct mu_http_url parsed;
    enum mu_code rc = mu_http_url_parse(url, "https", &parsed, err);
    enum mu_est_op other;
    size_t n;

    if (rc != MU_OK)
        return rc;
    if (strcmp(parsed.scheme, "https") != 0)
        return mu_err_set(
            err, MU_INPUT, MU_M(201), "est: EST does not work over %s:// (RFC 7030 3.3)", parsed.scheme);
    if (label != NULL && find_op(mu_bytes_str(label), &other))
        return mu_err_set(err, MU_INPUT, MU_M(401),
            "est: the CA identifier \"%s\" is the name of an operation (RFC 7030 3.2.2)", label);
    n = base_length(url);
    if (strstr(url, "://") == NULL)
        mu_buf_put_str(out, "https://");
    mu_buf_put(out, url, n);
    if (memmem(url, n, MU_EST_PATH, strlen(MU_EST_PATH)) == NULL)
        mu_buf_put_str(out, MU_EST_PATH);
    if (label != NULL && label[0] != '\0') {
        mu_buf_put_byte(out, '/');
        mu_http_percent_encode(out, mu_bytes_str(label));
    }
    mu_buf_putf(out, "/%s", ops[op].name);
    return mu_buf_check(out, "EST URL", err);
}
