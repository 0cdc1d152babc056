/* pkcs11: URIs (RFC 7512), as far as keys need them. */
#include "pki/pki_token_uri.h"

#include <ctype.h>
#include <stdio.h>

#include "base/text.h"

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0'
        : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                     : -1;
}

static bool percent_decode(const char *s, size_t n, struct mu_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '%') {
            mu_buf_put_byte(out, (uint8_t)s[i]);
            continue;
        }
        int high = i + 2 < n ? hex_digit(s[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(s[i + 2]);
        if (low < 0)
            return false;
        mu_buf_put_byte(out, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return !out->failed;
}

/* First line of the file a pin-source names. */
static enum mu_code pin_from_file(const char *source, struct mu_secret *pin, struct mu_err *err)
{
    char line[256], shown[120];
    const char *path = mu_text_starts(source, "file:") ? source + strlen("file:") : source;
    FILE *f = fopen(path, "re");
    bool got = f && fgets(line, sizeof(line), f);
    if (f)
        fclose(f);
    if (!got)
        return mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "cannot read the PIN from %s",
            mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(path)));
    enum mu_code rc = mu_secret_set(pin, mu_bytes(line, strcspn(line, "\r\n")), err);
    mu_bytes_wipe(line, sizeof(line));
    return rc;
}

static enum mu_code take_pin(const char *value, size_t n, bool is_source, struct mu_secret *pin,
    struct mu_err *err)
{
    struct mu_buf text;
    enum mu_code rc;
    mu_buf_init_secret(&text, 1024);
    if (!percent_decode(value, n, &text))
        rc = mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "a percent code in the pkcs11: URI is broken");
    else if (is_source)
        rc = pin_from_file(mu_buf_str(&text), pin, err);
    else
        rc = mu_secret_set(pin, mu_buf_bytes(&text), err);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code take_attribute(const char *name, size_t name_n, const char *value, size_t n,
    struct mu_pki_token_uri *out, struct mu_err *err)
{
    const struct {
        const char *name;
        struct mu_buf *to;
    } texts[] = {
        {"token", &out->token},
        {"object", &out->object},
        {"id", &out->id},
        {"module-path", &out->module},
    };
    struct mu_bytes key = mu_bytes(name, name_n);
    bool is_source = mu_bytes_equal(key, mu_bytes_str("pin-source"));
    if (is_source || mu_bytes_equal(key, mu_bytes_str("pin-value")))
        return take_pin(value, n, is_source, &out->pin, err);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!mu_bytes_equal(key, mu_bytes_str(texts[i].name)))
            continue;
        mu_buf_reset(texts[i].to);
        if (!percent_decode(value, n, texts[i].to))
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
                "a percent code in the pkcs11: URI is broken");
    }
    return MU_OK; /* manufacturer, model, type ...: not needed to find a key */
}

enum mu_code mu_pki_token_uri_parse(const char *uri, struct mu_pki_token_uri *out,
    struct mu_err *err)
{
    static const char scheme[] = "pkcs11:";
    struct mu_pki_token_uri parsed = {0};
    enum mu_code rc = MU_OK;
    if (!mu_text_starts(uri, scheme))
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "a key in a token is named by a pkcs11: URI");
    for (const char *p = uri + strlen(scheme); *p && rc == MU_OK;) {
        size_t n = strcspn(p, ";?&"), name_n = strcspn(p, "=;?&");
        if (name_n < n)
            rc = take_attribute(p, name_n, p + name_n + 1, n - name_n - 1, &parsed, err);
        p += n;
        if (*p)
            p++;
    }
    if (rc == MU_OK)
        *out = parsed;
    else
        mu_pki_token_uri_clear(&parsed);
    return rc;
}

void mu_pki_token_uri_clear(struct mu_pki_token_uri *uri)
{
    mu_buf_clear(&uri->token);
    mu_buf_clear(&uri->object);
    mu_buf_clear(&uri->id);
    mu_buf_clear(&uri->module);
    mu_secret_clear(&uri->pin);
}
