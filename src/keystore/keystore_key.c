/* Keys as text: PKCS#8 in a file, or the URI of a key that stays in its token. */
#include "keystore/keystore_internal.h"

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_token.h"

#define TOKEN "pkcs11:"

static bool is_token(struct mu_bytes text)
{
    return text.n > strlen(TOKEN) && memcmp(text.p, TOKEN, strlen(TOKEN)) == 0;
}

enum mu_code mu_keystore_key_parse(struct mu_bytes text, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_buf uri = {.secret = true};
    enum mu_code rc;

    if (!is_token(text))
        return mu_pki_key_decode(text, password, out, err);
    while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL)
        text.n--;
    mu_buf_put_bytes(&uri, text);
    if ((rc = mu_buf_check(&uri, "a pkcs11: URI", err)) == MU_OK)
        rc = mu_pki_token_open(mu_buf_str(&uri), NULL, password, out, err);
    mu_buf_clear(&uri);
    return rc;
}

enum mu_code mu_keystore_key_read(const char *path_or_uri, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    enum mu_code rc;

    if (mu_text_starts(path_or_uri, TOKEN))
        return mu_pki_token_open(path_or_uri, NULL, password, out, err);
    if ((rc = mu_keystore_file_read(path_or_uri, MU_KEYSTORE_PUBLIC, &text, err)) == MU_OK
        && (rc = mu_keystore_key_parse(mu_buf_bytes(&text), password, out, err)) != MU_OK)
        mu_err_context(err, "%s", path_or_uri);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_keystore_key_text(const struct mu_pki_key *key, const char *uri,
    const struct mu_secret *password, struct mu_buf *out, struct mu_err *err)
{
    if (!mu_pki_key_is_token(key))
        return mu_pki_key_encode(key, password, out, err);
    if (uri == NULL || !mu_text_starts(uri, TOKEN))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "a key in a token needs its pkcs11: URI");
    mu_buf_putf(out, "%s\n", uri);
    return mu_buf_check(out, "a pkcs11: URI", err);
}
