/* What a service presents, compared. */
#include "agent/agent_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/http_transport.h"

/* Waits before each look, in ms: about 15 s together. */
static const int64_t pauses_ms[] = {0, 500, 1000, 2000, 4000, 8000};
enum { LOOKS = sizeof(pauses_ms) / sizeof(pauses_ms[0]) };

struct mu_agent_verify {
    struct mu_agent *agent;
    struct mu_agent_verify_spec spec;
    struct mu_pki_cert *cert;
    char *file_hint;
    bool once;
    unsigned look;
    struct mu_loop_timer *timer;
    struct mu_http_peeking *peeking;
    mu_agent_verify_done *done;
    void *cookie;
};

/* ---- words ---- */

static enum mu_code wrong(struct mu_bytes text, struct mu_err *err)
{
    char shown[120];

    mu_err_set(err, MU_INPUT, MU_M(706), "verify: \"%s\" says of no service what to look at",
        mu_text_escape_to(shown, sizeof shown, text));
    mu_err_next(err, "Write tls:HOST:PORT, if need be with sni=NAME or starttls=smtp|imap|pop3|postgresql, or "
                     "file:PATH.");
    return MU_INPUT;
}

/* HOST:PORT, [v6]:PORT. */
static bool host_and_port(const char *text, struct mu_agent_verify_spec *out)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : 0;
    int64_t port;

    if (n == 0 || n >= sizeof out->host || mu_text_int(colon + 1, 1, 65535, &port, NULL) != MU_OK)
        return false;
    if (text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    memcpy(out->host, text, n);
    out->host[n] = '\0';
    out->port = (unsigned)port;
    return n > 0;
}

static bool one_word(const char *word, size_t i, struct mu_agent_verify_spec *out)
{
    static const char *const known[] = {"smtp", "imap", "pop3", "postgresql"};
    size_t k;

    if (i == 0)
        return mu_text_starts(word, "tls:") && host_and_port(word + 4, out);
    if (mu_text_starts(word, "sni="))
        return word[4] != '\0'
            && (size_t)snprintf(out->sni, sizeof out->sni, "%s", word + 4) < sizeof out->sni;
    if (!mu_text_starts(word, "starttls="))
        return false;
    for (k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (strcmp(known[k], word + 9) == 0) {
            snprintf(out->starttls, sizeof out->starttls, "%s", known[k]);
            return true;
        }
    }
    return false;
}

enum mu_code mu_agent_verify_parse(struct mu_bytes text, struct mu_agent_verify_spec *out, struct mu_err *err)
{
    char copy[900], *word, *rest = copy;
    size_t i;

    *out = (struct mu_agent_verify_spec){.port = 0};
    if (text.n >= sizeof copy || memchr(text.p, 0, text.n) != NULL)
        return wrong(text, err);
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    while (*rest == ' ' || *rest == '\t')
        rest++;
    if (mu_text_starts(rest, "file:")) {
        if (rest[5] != '/' || (size_t)snprintf(out->file, sizeof out->file, "%s", rest + 5) >= sizeof out->file)
            return wrong(text, err);
        for (i = strlen(out->file); i > 0 && (out->file[i - 1] == ' ' || out->file[i - 1] == '\t'); i--)
            out->file[i - 1] = '\0';
        return MU_OK;
    }
    for (i = 0; (word = strtok_r(rest, " \t", &rest)) != NULL; i++) {
        if (!one_word(word, i, out))
            return wrong(text, err);
    }
    return i > 0 ? MU_OK : wrong(text, err);
}

/* ---- looking ---- */

static void verify_free(struct mu_agent_verify *v)
{
    mu_loop_timer_free(v->agent->loop, v->timer);
    mu_pki_cert_free(v->cert);
    free(v->file_hint);
    free(v);
}

void mu_agent_verify_cancel(struct mu_agent_verify *v)
{
    if (v == NULL)
        return;
    if (v->peeking != NULL)
        v->agent->transport->ops->peek_cancel(v->agent->transport, v->peeking);
    verify_free(v);
}

static void look(void *cookie);

/* Another look, or the end. */
static void settle(struct mu_agent_verify *v, bool match, const char *serial, struct mu_err *err)
{
    if (!match && !v->once && v->look < LOOKS) {
        mu_loop_timer_free(v->agent->loop, v->timer);
        v->timer = mu_loop_after(v->agent->loop, pauses_ms[v->look], look, v);
        if (v->timer != NULL)
            return;
    }
    v->done(v->cookie, match, serial, match ? NULL : err);
    verify_free(v);
}

static void should_read(const struct mu_agent_verify *v, struct mu_err *err)
{
    mu_err_next(err, "It should read %s.",
        v->file_hint != NULL ? v->file_hint : "the files that its recipe writes");
}

/* Serial of a certificate in DER; false: it is none. */
static bool serial_of(struct mu_bytes der, struct mu_buf *serial)
{
    struct mu_pki_cert *cert = NULL;

    if (mu_pki_cert_decode(der, &cert, NULL) != MU_OK)
        return false;
    mu_pki_cert_serial_hex(cert->serial, serial);
    mu_pki_cert_free(cert);
    return true;
}

static void on_seen(void *cookie, const struct mu_http_peeked *seen, size_t n, const struct mu_err *failed)
{
    struct mu_agent_verify *v = cookie;
    struct mu_err err = {.code = MU_OK};
    struct mu_buf serial = {.max = 256};
    bool match = n > 0;
    size_t i;

    v->peeking = NULL;
    if (n == 0 && failed != NULL)
        err = *failed;
    for (i = 0; i < n && match; i++) {
        if (mu_bytes_equal(seen[i].leaf, v->cert->der))
            continue;
        match = false;
        if (seen[i].leaf.n == 0)
            mu_err_set(&err, MU_NETWORK, MU_M(902), "%s:%u (%s) presents nothing: %s", v->spec.host, v->spec.port,
                seen[i].address, seen[i].why);
        else if (serial_of(seen[i].leaf, &serial))
            mu_err_set(&err, MU_DENIED, MU_M(902), "%s:%u%s%s%s still presents %s", v->spec.host, v->spec.port,
                n > 1 ? " (" : "", n > 1 ? seen[i].address : "", n > 1 ? ")" : "", mu_buf_str(&serial));
        else
            mu_err_set(&err, MU_INPUT, MU_M(902), "%s:%u presents something that is no certificate", v->spec.host,
                v->spec.port);
        should_read(v, &err);
    }
    if (match)
        mu_pki_cert_serial_hex(v->cert->serial, &serial);
    settle(v, match, mu_buf_str(&serial), &err);
    mu_buf_clear(&serial);
}

static void look_at_file(struct mu_agent_verify *v)
{
    struct mu_pki_certs certs = {.n = 0};
    struct mu_err err = {.code = MU_OK};
    struct mu_buf serial = {.max = 256};
    bool match = mu_keystore_certs_read(v->spec.file, &certs, &err) == MU_OK && certs.n > 0;

    if (match)
        mu_pki_cert_serial_hex(certs.v[0]->serial, &serial);
    if (match && !mu_pki_cert_equal(certs.v[0], v->cert)) {
        match = false;
        mu_err_set(&err, MU_DENIED, MU_M(902), "%s still holds %s", v->spec.file, mu_buf_str(&serial));
        should_read(v, &err);
    } else if (!match) {
        mu_err_narrow(&err, MU_M(902));
    }
    mu_pki_certs_clear(&certs);
    settle(v, match, mu_buf_str(&serial), &err);
    mu_buf_clear(&serial);
}

static void look(void *cookie)
{
    struct mu_agent_verify *v = cookie;
    const struct mu_http_peek what = {.host = v->spec.host,
        .port = v->spec.port,
        .sni = v->spec.sni[0] != '\0' ? v->spec.sni : NULL,
        .starttls = v->spec.starttls[0] != '\0' ? v->spec.starttls : NULL,
        .timeout_s = 5};
    struct mu_err err = {.code = MU_OK};

    v->look++;
    if (v->spec.file[0] != '\0')
        look_at_file(v);
    else if (mu_transport_peek(v->agent->transport, &what, on_seen, v, &v->peeking, &err) != MU_OK)
        settle(v, false, "", &err);
}

enum mu_code mu_agent_verify_start(struct mu_agent *agent, const struct mu_agent_verify_spec *spec,
    const struct mu_pki_cert *cert, const char *file_hint, bool once, mu_agent_verify_done *done,
    void *cookie, struct mu_agent_verify **out, struct mu_err *err)
{
    struct mu_agent_verify *v = calloc(1, sizeof *v);
    enum mu_code rc = MU_OK;

    if (v == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    v->agent = agent;
    v->spec = *spec;
    v->cert = mu_pki_cert_ref((struct mu_pki_cert *)(uintptr_t)cert);
    v->once = once;
    v->done = done;
    v->cookie = cookie;
    if (file_hint != NULL)
        rc = mu_text_dup(file_hint, &v->file_hint, err);
    if (rc == MU_OK && (v->timer = mu_loop_after(agent->loop, pauses_ms[0], look, v)) == NULL)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    if (rc != MU_OK) {
        verify_free(v);
        return rc;
    }
    *out = v;
    return MU_OK;
}
