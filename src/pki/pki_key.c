/* Keys: what they are and where they come from. Files are pki_key_file.c, RSA from its numbers is
 * pki_key_rsa.c, using them is pki_key_use.c. */
#include "pki/pki_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_internal.h"

struct mu_pki_key {
    atomic_uint refs;
    EVP_PKEY *evp;
    struct mu_pki_key_spec spec;
    bool has_private, is_token;
    struct mu_buf spki;
    _Atomic(EVP_PKEY_CTX *) signers[MU_PKI_SHA512 + 1]; /* prepared, by digest */
};

/* ---- specifications ---- */

static const struct spec_row {
    const char *word;
    struct mu_pki_key_spec spec;
    bool legacy;
} spec_rows[] = {
    {"rsa:1024", {MU_PKI_KEY_RSA, 1024}, true},
    {"rsa:1536", {MU_PKI_KEY_RSA, 1536}, true},
    {"rsa:2048", {MU_PKI_KEY_RSA, 2048}, false},
    {"rsa:3072", {MU_PKI_KEY_RSA, 3072}, false},
    {"rsa:4096", {MU_PKI_KEY_RSA, 4096}, false},
    {"ec:p-256", {MU_PKI_KEY_EC, 256}, false},
    {"ec:secp256r1", {MU_PKI_KEY_EC, 256}, false},
    {"ec:prime256v1", {MU_PKI_KEY_EC, 256}, false},
    {"ec:p-384", {MU_PKI_KEY_EC, 384}, false},
    {"ec:secp384r1", {MU_PKI_KEY_EC, 384}, false},
    {"ec:p-521", {MU_PKI_KEY_EC, 521}, false},
    {"ec:secp521r1", {MU_PKI_KEY_EC, 521}, false},
    {"ed25519", {MU_PKI_KEY_ED25519, 0}, false},
    {"ed448", {MU_PKI_KEY_ED448, 0}, false},
};

/* "rsa:2048" is also typed as "rsa-2048" and "2048". */
static bool spec_word_is(const char *word, const char *known)
{
    const char *colon = strchr(known, ':');
    if (!colon)
        return mu_text_equal_nocase(word, known);
    if (mu_text_equal_nocase(word, colon + 1))
        return true;
    size_t n = (size_t)(colon - known);
    return strlen(word) == strlen(known) && (word[n] == ':' || word[n] == '-')
        && strncasecmp(word, known, n) == 0 && mu_text_equal_nocase(word + n + 1, colon + 1);
}

enum mu_code mu_pki_key_spec_parse(const char *word, bool allow_legacy,
    struct mu_pki_key_spec *out, struct mu_err *err)
{
    for (size_t i = 0; i < sizeof(spec_rows) / sizeof(spec_rows[0]); i++) {
        const struct spec_row *row = &spec_rows[i];
        if (!spec_word_is(word, row->word))
            continue;
        if (row->legacy && !allow_legacy)
            return mu_err_set(err, MU_UNSUPPORTED, MU_M(705), "%s is weak or legacy", row->word);
        *out = row->spec;
        return MU_OK;
    }
    char shown[80];
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "unknown key type '%s'; known are rsa:2048, rsa:3072, rsa:4096 (with allow-legacy "
        "rsa:1024, "
        "rsa:1536), ec:P-256, ec:P-384, ec:P-521, ed25519, ed448",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(word)));
}

const char *mu_pki_key_spec_format(const struct mu_pki_key_spec *spec, char buf[32])
{
    switch (spec->type) {
    case MU_PKI_KEY_RSA:
        snprintf(buf, 32, "RSA %u", spec->bits);
        break;
    case MU_PKI_KEY_EC:
        snprintf(buf, 32, "EC P-%u", spec->bits);
        break;
    case MU_PKI_KEY_ED25519:
        snprintf(buf, 32, "Ed25519");
        break;
    case MU_PKI_KEY_ED448:
        snprintf(buf, 32, "Ed448");
        break;
    default:
        snprintf(buf, 32, "other, %u bits", spec->bits);
    }
    return buf;
}

static enum mu_pki_key_type type_of(const EVP_PKEY *evp)
{
    if (EVP_PKEY_is_a(evp, "RSA"))
        return MU_PKI_KEY_RSA;
    if (EVP_PKEY_is_a(evp, "EC"))
        return MU_PKI_KEY_EC;
    if (EVP_PKEY_is_a(evp, "ED25519"))
        return MU_PKI_KEY_ED25519;
    if (EVP_PKEY_is_a(evp, "ED448"))
        return MU_PKI_KEY_ED448;
    return MU_PKI_KEY_OTHER;
}

/* ---- life ---- */

enum mu_code mu_pki_key_new(EVP_PKEY *evp, struct mu_bytes spki, enum mu_pki_key_type type,
    bool has_private, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_pki_key *key = calloc(1, sizeof(*key));
    if (!key) {
        EVP_PKEY_free(evp);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a key");
    }
    atomic_init(&key->refs, 1);
    key->evp = evp;
    key->has_private = has_private;
    key->spec.type = type;
    if (type == MU_PKI_KEY_RSA || type == MU_PKI_KEY_EC || type == MU_PKI_KEY_OTHER)
        key->spec.bits = (unsigned)EVP_PKEY_get_bits(evp);
    mu_buf_init(&key->spki, MU_LIMIT_MESSAGE);
    mu_buf_put_bytes(&key->spki, spki);
    enum mu_code rc = mu_buf_check(&key->spki, "public key", err);
    if (rc != MU_OK) {
        mu_pki_key_free(key);
        return rc;
    }
    *out = key;
    return MU_OK;
}

enum mu_code mu_pki_key_wrap(EVP_PKEY *evp, bool has_private, bool is_token,
    struct mu_pki_key **out, struct mu_err *err)
{
    uint8_t *spki = NULL;
    int n = i2d_PUBKEY(evp, &spki);
    if (n <= 0) {
        EVP_PKEY_free(evp);
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "key has no public part");
    }
    struct mu_pki_key *key;
    enum mu_code rc =
        mu_pki_key_new(evp, mu_bytes(spki, (size_t)n), type_of(evp), has_private, &key, err);
    OPENSSL_free(spki);
    if (rc != MU_OK)
        return rc;
    key->is_token = is_token;
    *out = key;
    return MU_OK;
}

struct mu_pki_key *mu_pki_key_ref(struct mu_pki_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void mu_pki_key_free(struct mu_pki_key *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i <= MU_PKI_SHA512; i++)
        EVP_PKEY_CTX_free(atomic_load(&key->signers[i]));
    EVP_PKEY_free(key->evp);
    mu_buf_clear(&key->spki);
    free(key);
}

static _Atomic(EVP_PKEY_CTX *) * signer_of(const struct mu_pki_key *key, enum mu_pki_digest d)
{
    return &((struct mu_pki_key *)(uintptr_t)key)->signers[d]; /* a cache: the key stays the same */
}

EVP_PKEY_CTX *mu_pki_key_take_signer(const struct mu_pki_key *key, enum mu_pki_digest d)
{
    return atomic_exchange(signer_of(key, d), NULL);
}

void mu_pki_key_put_signer(const struct mu_pki_key *key, enum mu_pki_digest d, EVP_PKEY_CTX *ctx)
{
    EVP_PKEY_CTX *none = NULL;

    if (!atomic_compare_exchange_strong(signer_of(key, d), &none, ctx))
        EVP_PKEY_CTX_free(ctx);
}

enum mu_code mu_pki_key_generate(const struct mu_pki_key_spec *spec, struct mu_pki_key **out,
    struct mu_err *err)
{
    EVP_PKEY *evp = NULL;
    char curve[16];
    switch (spec->type) {
    case MU_PKI_KEY_RSA:
        evp = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)spec->bits);
        break;
    case MU_PKI_KEY_EC:
        snprintf(curve, sizeof(curve), "P-%u", spec->bits);
        evp = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
        break;
    case MU_PKI_KEY_ED25519:
        evp = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case MU_PKI_KEY_ED448:
        evp = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
        break;
    default:
        break;
    }
    char text[32];
    if (!evp)
        return mu_pki_ossl_fail(err, MU_INTERNAL, MU_REASON_NONE, "cannot generate a key (%s)",
            mu_pki_key_spec_format(spec, text));
    return mu_pki_key_wrap(evp, true, false, out, err);
}

/* ---- public keys ---- */

static EVP_PKEY *ec_from_params(OSSL_PARAM *params, int selection)
{
    EVP_PKEY *evp = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &evp, selection, params) != 1) {
        EVP_PKEY_free(evp);
        evp = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return evp;
}

static const char *curve_of(struct mu_bytes oid, char *buf, size_t size)
{
    if (mu_der_oid_is(oid, "1.2.840.10045.3.1.7"))
        return "P-256";
    if (mu_der_oid_is(oid, "1.3.132.0.34"))
        return "P-384";
    if (mu_der_oid_is(oid, "1.3.132.0.35"))
        return "P-521";
    return OBJ_nid2sn(OBJ_txt2nid(mu_pki_oid_text(oid, buf, size)));
}

/* The curves everybody uses, made once: making a group costs more than all else of a public key. */
static const char *const known_curves[] = {"P-256", "P-384", "P-521"};
enum { KNOWN_CURVES = sizeof(known_curves) / sizeof(known_curves[0]) };
static EVP_PKEY *known_groups[KNOWN_CURVES]; /* parameters without a key; NULL: could not be made */

static void make_known_groups(void)
{
    for (size_t i = 0; i < KNOWN_CURVES; i++) {
        char group[16];
        snprintf(group, sizeof(group), "%s", known_curves[i]); /* first: its length is taken */
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
            OSSL_PARAM_construct_end(),
        };
        known_groups[i] = ec_from_params(params, EVP_PKEY_KEY_PARAMETERS);
    }
}

/* NULL: the curve is not among them, or the point is not on it. */
static EVP_PKEY *ec_of_known_group(const char *curve, struct mu_bytes bits)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    EVP_PKEY *evp;
    size_t i = 0;
    pthread_once(&once, make_known_groups);
    while (i < KNOWN_CURVES && strcmp(known_curves[i], curve) != 0)
        i++;
    if (i == KNOWN_CURVES || known_groups[i] == NULL || (evp = EVP_PKEY_new()) == NULL)
        return NULL;
    if (EVP_PKEY_copy_parameters(evp, known_groups[i]) == 1
        && EVP_PKEY_set1_encoded_public_key(evp, bits.p, bits.n) == 1)
        return evp;
    EVP_PKEY_free(evp);
    ERR_clear_error();
    return NULL;
}

static EVP_PKEY *ec_from_bits(const char *curve, struct mu_bytes bits)
{
    char group[64];
    uint8_t point[160];
    if (bits.n == 0 || bits.n > sizeof(point))
        return NULL;
    EVP_PKEY *quick = ec_of_known_group(curve, bits);
    if (quick)
        return quick;
    snprintf(group, sizeof(group), "%s", curve);
    memcpy(point, bits.p, bits.n);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, bits.n),
        OSSL_PARAM_construct_end(),
    };
    return ec_from_params(params, EVP_PKEY_PUBLIC_KEY);
}

static enum mu_code ec_from_spki(struct mu_bytes alg_params, struct mu_bytes bits, EVP_PKEY **evp,
    struct mu_err *err)
{
    struct mu_der curve;
    char oid[80];
    if (!mu_der_only(alg_params, MU_DER_OID, &curve))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM,
            "EC key without a named curve (RFC 5480 2.1.1)");
    const char *name = curve_of(curve.value, oid, sizeof(oid));
    ERR_clear_error(); /* an OID that is none leaves something there */
    if (!name || strcmp(name, OBJ_nid2sn(NID_undef)) == 0)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "unknown curve %s",
            mu_pki_oid_text(curve.value, oid, sizeof(oid)));
    *evp = ec_from_bits(name, bits);
    return MU_OK;
}

enum mu_code mu_pki_key_from_spki(struct mu_bytes spki, struct mu_pki_key **out,
    struct mu_err *err)
{
    struct mu_der seq, alg, oid, bit_string;
    struct mu_bytes bits, in;
    if (!mu_der_only(spki, MU_DER_SEQUENCE, &seq))
        goto malformed;
    in = seq.value;
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &alg) || !mu_der_get(&in, MU_DER_BIT_STRING, &bit_string)
        || in.n || !mu_der_bits(bit_string.value, &bits))
        goto malformed;
    in = alg.value;
    if (!mu_der_get(&in, MU_DER_OID, &oid))
        goto malformed;

    EVP_PKEY *evp = NULL;
    enum mu_pki_key_type type = MU_PKI_KEY_OTHER;
    if (mu_der_oid_is(oid.value, MU_OID_RSA)) {
        type = MU_PKI_KEY_RSA;
        evp = mu_pki_rsa_public(bits);
    } else if (mu_der_oid_is(oid.value, MU_OID_EC)) {
        type = MU_PKI_KEY_EC;
        enum mu_code rc = ec_from_spki(in, bits, &evp, err);
        if (rc != MU_OK)
            return rc;
    } else if (mu_der_oid_is(oid.value, MU_OID_ED25519)) {
        type = MU_PKI_KEY_ED25519;
        evp = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, bits.p, bits.n);
    } else if (mu_der_oid_is(oid.value, MU_OID_ED448)) {
        type = MU_PKI_KEY_ED448;
        evp = EVP_PKEY_new_raw_public_key_ex(NULL, "ED448", NULL, bits.p, bits.n);
    } else if (mu_der_oid_is(oid.value, MU_OID_RSA_PSS)) {
        const uint8_t *p = spki.p;
        evp = d2i_PUBKEY(NULL, &p, (long)spki.n);
    } else {
        char text[80];
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_ALGORITHM, "unknown key algorithm %s",
            mu_pki_oid_text(oid.value, text, sizeof(text)));
    }
    if (!evp)
        return mu_pki_ossl_fail(err, MU_INPUT, MU_REFUSE_MALFORMED, "public key is not valid");
    return mu_pki_key_new(evp, spki, type, false, out, err);

malformed:
    return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
        "malformed SubjectPublicKeyInfo (RFC 5280 4.1.2.7)");
}

/* ---- facts ---- */

EVP_PKEY *mu_pki_key_evp(const struct mu_pki_key *key)
{
    return key->evp;
}

bool mu_pki_key_has_private(const struct mu_pki_key *key)
{
    return key->has_private;
}

bool mu_pki_key_is_token(const struct mu_pki_key *key)
{
    return key->is_token;
}

void mu_pki_key_spec_of(const struct mu_pki_key *key, struct mu_pki_key_spec *out)
{
    *out = key->spec;
}

static bool spec_from_der(struct mu_bytes spki, struct mu_pki_key_spec *out)
{
    struct mu_der seq, alg, oid, curve, bit_string, numbers, modulus;
    struct mu_bytes bits;
    if (!mu_der_only(spki, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&seq.value, MU_DER_BIT_STRING, &bit_string)
        || !mu_der_bits(bit_string.value, &bits) || !mu_der_get(&alg.value, MU_DER_OID, &oid))
        return false;
    if (mu_der_oid_is(oid.value, MU_OID_EC)) {
        if (!mu_der_only(alg.value, MU_DER_OID, &curve))
            return false;
        out->type = MU_PKI_KEY_EC;
        out->bits = mu_der_oid_is(curve.value, "1.2.840.10045.3.1.7") ? 256
            : mu_der_oid_is(curve.value, "1.3.132.0.34")              ? 384
            : mu_der_oid_is(curve.value, "1.3.132.0.35")              ? 521
                                                                      : 0;
        return out->bits != 0;
    }
    if (!mu_der_oid_is(oid.value, MU_OID_RSA) || !mu_der_only(bits, MU_DER_SEQUENCE, &numbers)
        || !mu_der_get(&numbers.value, MU_DER_INTEGER, &modulus))
        return false;
    while (modulus.value.n > 0 && modulus.value.p[0] == 0)
        modulus.value = mu_bytes(modulus.value.p + 1, modulus.value.n - 1);
    if (modulus.value.n == 0 || modulus.value.n > 4096)
        return false;
    out->type = MU_PKI_KEY_RSA;
    out->bits = (unsigned)modulus.value.n * 8;
    for (uint8_t top = modulus.value.p[0]; (top & 0x80) == 0; top = (uint8_t)(top << 1))
        out->bits--;
    return true;
}

enum mu_code mu_pki_key_spec_of_spki(
    struct mu_bytes spki, struct mu_pki_key_spec *out, struct mu_err *err)
{
    struct mu_pki_key *key = NULL;
    enum mu_code rc;
    *out = (struct mu_pki_key_spec){0};
    if (spec_from_der(spki, out))
        return MU_OK;
    *out = (struct mu_pki_key_spec){0};
    if ((rc = mu_pki_key_from_spki(spki, &key, err)) != MU_OK)
        return rc;
    mu_pki_key_spec_of(key, out);
    mu_pki_key_free(key);
    return MU_OK;
}

struct mu_bytes mu_pki_key_spki(const struct mu_pki_key *key)
{
    return mu_buf_bytes(&key->spki);
}

bool mu_pki_key_equal(const struct mu_pki_key *a, const struct mu_pki_key *b)
{
    if (mu_bytes_equal(mu_pki_key_spki(a), mu_pki_key_spki(b)))
        return true;
    /* absent or NULL parameters, compressed or plain points: the same key in other bytes */
    bool equal = a->spec.type == b->spec.type && EVP_PKEY_eq(a->evp, b->evp) == 1;
    ERR_clear_error();
    return equal;
}

bool mu_pki_key_id(struct mu_bytes spki, uint8_t out[20])
{
    struct mu_der seq, alg, bit_string;
    struct mu_bytes bits;
    uint8_t digest[64];
    if (!mu_der_only(spki, MU_DER_SEQUENCE, &seq) || !mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg)
        || !mu_der_get(&seq.value, MU_DER_BIT_STRING, &bit_string)
        || !mu_der_bits(bit_string.value, &bits) || mu_pki_digest(MU_PKI_SHA1, bits, digest) != 20)
        return false;
    memcpy(out, digest, 20);
    return true;
}

bool mu_pki_key_can_encrypt(const struct mu_pki_key *key)
{
    return key->spec.type == MU_PKI_KEY_RSA;
}
