/* Words, names and algorithms. */
#include "agent/agent_value.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_alg.h"
#include "pki/pki_ext.h"
#include "pki/pki_key.h"
#include "pki/pki_name.h"

/* words ends with NULL. */
static enum mu_code one_of(const char *value, const char *const *words, struct mu_err *err)
{
    struct mu_buf list = {0};
    char shown[80];
    const char *near;

    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(value, words[i]) == 0) {
            mu_buf_clear(&list);
            return MU_OK;
        }
        mu_buf_putf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    mu_text_escape_to(shown, sizeof shown, mu_bytes_str(value));
    mu_err_set(err, MU_INPUT, MU_REASON_NONE, "'%s' is not one of %s", shown, mu_buf_str(&list));
    if ((near = mu_text_nearest(value, words)) != NULL)
        mu_err_next(err, "did you mean %s?", near);
    mu_buf_clear(&list);
    return MU_INPUT;
}

#define WORDS(name, ...)                                                                                             \
    enum mu_code mu_agent_value_##name(const char *value, struct mu_err *err)                                        \
    {                                                                                                                \
        static const char *const words[] = {__VA_ARGS__, NULL};                                                      \
                                                                                                                     \
        return one_of(value, words, err);                                                                            \
    }

WORDS(protocol, "scep", "est", "cmp")
WORDS(method, "auto", "get", "post")
WORDS(nonce, "strict", "warn")
WORDS(standard, "expect", "optional")
WORDS(compat, "none", "iis")
WORDS(csrattrs, "use", "ignore")
WORDS(renew_auth, "certificate", "password")
WORDS(mac, "pbm", "pbmac1")
WORDS(pop, "signature", "encrypted")
WORDS(mac_digest, "sha256", "sha384", "sha512", "sha1") /* sha1 is judged where allow-legacy is known */
WORDS(cmp_request, "ir", "cr", "p10cr")
WORDS(tls_min, "1.2", "1.1", "1.0") /* what is too old is judged where allow-legacy is known */
WORDS(level, "error", "warning", "notice", "info", "debug")
WORDS(time_source, "required", "warn", "ignore")

/* As a responder takes them (CMP-28). */
enum mu_code mu_agent_value_mac_iterations(const char *value, struct mu_err *err)
{
    int64_t n;

    return mu_text_int(value, 100, 100000, &n, err);
}

const char *mu_agent_value_shared_id(const char *value)
{
    return value != NULL && mu_text_starts(value, "shared:") ? value + strlen("shared:") : NULL;
}

/* The ID is what both sides call the key: DecryptKeyIdentifier (RFC 7030 4.4.1.1). */
enum mu_code mu_agent_value_server_key_to(const char *value, struct mu_err *err)
{
    static const char *const words[] = {"tls", "certificate", "shared:ID", NULL};
    const char *id = mu_agent_value_shared_id(value);

    if (id == NULL)
        return one_of(value, words, err);
    if (id[0] == '\0' || strlen(id) > MU_LIMIT_KEK_ID)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "shared:ID needs an identifier of 1 to %d octets", MU_LIMIT_KEK_ID);
    return MU_OK;
}

enum mu_code mu_agent_value_pin(const char *value, struct mu_err *err)
{
    struct mu_buf octets = {0};
    enum mu_code rc = mu_text_unhex(value, &octets, err);

    if (rc == MU_OK && octets.n != 32)
        rc = mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "a SHA-256 fingerprint has 32 octets, this one %zu", octets.n);
    mu_buf_clear(&octets);
    return rc;
}

enum mu_code mu_agent_value_subject(const char *value, struct mu_err *err)
{
    struct mu_buf der = {0};
    enum mu_code rc = mu_pki_name_parse(value, &der, err);

    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_agent_value_san(const char *value, struct mu_err *err)
{
    struct mu_buf der = {0};
    enum mu_code rc = mu_pki_san_parse(value, &der, err);

    mu_buf_clear(&der);
    return rc;
}

/* Weak sizes are judged where allow-legacy is known. */
enum mu_code mu_agent_value_key(const char *value, struct mu_err *err)
{
    struct mu_pki_key_spec spec;

    return mu_pki_key_spec_parse(value, true, &spec, err);
}

enum mu_code mu_agent_value_key_usage(const char *value, struct mu_err *err)
{
    unsigned bits;

    return mu_pki_key_usage_parse(value, &bits, err);
}

enum mu_code mu_agent_value_eku(const char *value, struct mu_err *err)
{
    unsigned bits;

    return mu_pki_eku_parse(value, &bits, err);
}

enum mu_code mu_agent_value_digest(const char *value, struct mu_err *err)
{
    enum mu_pki_digest digest;

    if (mu_pki_digest_parse(value, &digest))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "the digest is none of sha256, sha384, sha512 (or sha1, md5 with allow-legacy)");
}

enum mu_code mu_agent_value_cipher(const char *value, struct mu_err *err)
{
    enum mu_pki_cipher cipher;

    if (mu_pki_cipher_parse(value, &cipher))
        return MU_OK;
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "the cipher is none of aes128, aes192, aes256 (or 3des, des, blowfish with allow-legacy)");
}
