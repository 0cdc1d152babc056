#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mu_err last_err;

struct mu_err *kit_err(void)
{
    mu_err_clear(&last_err);
    return &last_err;
}

bool kit_says(const char *words)
{
    return strstr(last_err.what, words) != NULL;
}

static int64_t fixed_now(void *ctx)
{
    return KIT_NOW;
}

static bool counted_random(void *ctx, uint8_t *p, size_t n)
{
    static uint64_t counter;
    uint8_t digest[64];
    for (size_t i = 0; i < n; i++) {
        counter++;
        mu_pki_digest(MU_PKI_SHA256, mu_bytes(&counter, sizeof(counter)), digest);
        p[i] = digest[0];
    }
    return true;
}

const struct mu_env *kit_env(void)
{
    static const struct mu_env env = {.now = fixed_now, .random = counted_random};
    return &env;
}

static struct mu_pki_key *made[32];
static char made_as[32][32];
static struct mu_buf names[64];
static char name_texts[64][128];

static void forget(void)
{
    for (size_t i = 0; i < 32; i++)
        mu_pki_key_free(made[i]);
    for (size_t i = 0; i < 64; i++)
        mu_buf_clear(&names[i]);
}

static void remember(void)
{
    static bool registered;
    if (!registered)
        atexit(forget);
    registered = true;
}

struct mu_pki_key *kit_key(const char *word, unsigned which)
{
    char id[32];
    struct mu_pki_key_spec spec;
    remember();
    snprintf(id, sizeof(id), "%s#%u", word, which);
    for (size_t i = 0; i < 32; i++) {
        if (made[i] && strcmp(made_as[i], id) == 0)
            return made[i];
        if (made[i])
            continue;
        struct mu_err *err = kit_err();
        if (mu_pki_key_spec_parse(word, true, &spec, err) != MU_OK
            || mu_pki_key_generate(&spec, &made[i], err) != MU_OK)
            fail_msg("%s", err->what);
        snprintf(made_as[i], sizeof(made_as[i]), "%s", id);
        return made[i];
    }
    fail_msg("too many keys");
    return NULL;
}

struct mu_bytes kit_str(const char *s)
{
    return mu_bytes_str(s);
}

struct mu_bytes kit_name(const char *text)
{
    remember();
    for (size_t i = 0; i < 64; i++) {
        if (names[i].n && strcmp(name_texts[i], text) == 0)
            return mu_buf_bytes(&names[i]);
        if (names[i].n)
            continue;
        struct mu_err *err = kit_err();
        if (mu_pki_name_parse(text, &names[i], err) != MU_OK)
            fail_msg("%s", err->what);
        snprintf(name_texts[i], sizeof(name_texts[i]), "%s", text);
        return mu_buf_bytes(&names[i]);
    }
    fail_msg("too many names");
    return mu_bytes(NULL, 0);
}

struct mu_bytes kit_bytes_of(const struct mu_buf *b)
{
    return mu_buf_bytes(b);
}

static void extensions_put(struct mu_buf *b, const struct kit_cert *what,
    const struct mu_pki_key *issuer_key)
{
    uint8_t own[20], issuer[20];
    struct mu_buf san = {0};
    size_t seq = mu_der_open(b, MU_DER_SEQUENCE);
    assert_true(mu_pki_key_id(mu_pki_key_spki(what->key), own));
    assert_true(mu_pki_key_id(mu_pki_key_spki(issuer_key), issuer));
    mu_pki_ext_put_basic(b, true, what->is_ca, -1);
    mu_pki_ext_put_key_usage(b, true,
        what->is_ca ? MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN | MU_KU_DIGITAL_SIGNATURE
                    : MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT);
    mu_pki_ext_put_skid(b, own);
    mu_pki_ext_put_akid(b, mu_bytes(issuer, 20));
    if (what->san) {
        kit_ok(mu_pki_san_parse(what->san, &san, kit_err_));
        mu_pki_ext_put_san(b, false, mu_buf_bytes(&san));
        mu_buf_clear(&san);
    }
    mu_der_close(b, seq);
}

struct mu_pki_cert *kit_cert(const struct kit_cert *what)
{
    const struct mu_pki_key *issuer_key = what->issuer_key ? what->issuer_key : what->key;
    struct mu_buf serial = {0}, extensions = {0}, der = {0};
    struct mu_pki_cert *cert = NULL;
    kit_ok(mu_pki_serial_parse(what->serial ? what->serial : "4660", &serial, kit_err_));
    if (!what->v1)
        extensions_put(&extensions, what, issuer_key);
    const struct mu_pki_tbs tbs = {
        .serial_magnitude = mu_buf_bytes(&serial),
        .issuer = kit_name(what->issuer ? what->issuer : what->subject),
        .subject = kit_name(what->subject),
        .not_before_s = what->not_before_s ? what->not_before_s : KIT_NOW - 15768000,
        .not_after_s = what->not_after_s ? what->not_after_s : KIT_NOW + 15768000,
        .spki = mu_pki_key_spki(what->key),
        .extensions = mu_buf_bytes(&extensions),
    };
    kit_ok(mu_pki_cert_make(&tbs, issuer_key, what->digest, &der, kit_err_));
    kit_ok(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, kit_err_));
    mu_buf_clear(&serial);
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return cert;
}

X509 *kit_x509(const struct mu_pki_cert *cert)
{
    const uint8_t *p = cert->der.p;
    X509 *x = d2i_X509(NULL, &p, (long)cert->der.n);
    assert_non_null(x);
    assert_ptr_equal(p, cert->der.p + cert->der.n);
    return x;
}

struct mu_buf kit_vector(const char *path)
{
    char full[512];
    uint8_t chunk[4096];
    size_t n;
    struct mu_buf out = {0};
    snprintf(full, sizeof(full), "%s/%s",
        getenv("MU_VECTORS") ? getenv("MU_VECTORS") : "tests/vectors", path);
    FILE *f = fopen(full, "rb");
    if (!f)
        fail_msg("cannot open %s", full);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        mu_buf_put(&out, chunk, n);
    fclose(f);
    return out;
}

size_t kit_find(struct mu_bytes hay, const void *needle, size_t n)
{
    const uint8_t *at = memmem(hay.p, hay.n, needle, n);
    if (!at)
        fail_msg("not found");
    return (size_t)(at - hay.p);
}
