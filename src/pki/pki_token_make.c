/* C_GenerateKeyPair of a PKCS#11 module. The few types and numbers are those of PKCS #11 v2.40;
 * OpenSSL's engines offer no way to this call. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_alg.h"
#include "pki/pki_token_uri.h"

typedef unsigned long ck_ulong;

struct ck_attribute {
    ck_ulong type;
    void *value;
    ck_ulong n;
};

struct ck_mechanism {
    ck_ulong mechanism;
    void *parameter;
    ck_ulong n;
};

struct ck_token_info {
    unsigned char label[32], manufacturer[32], model[16], serial[16];
    ck_ulong flags, numbers[10];
    unsigned char versions[4], utc_time[16];
};

typedef ck_ulong ck_unused(void);

/* CK_FUNCTION_LIST: 68 pointers in the standard's order, those that are called with their types. */
struct ck_function_list {
    unsigned char version[2];
    ck_ulong (*initialize)(void *args);
    ck_ulong (*finalize)(void *reserved);
    ck_unused *unused_2[2];
    ck_ulong (*get_slot_list)(unsigned char token_present, ck_ulong *slots, ck_ulong *n);
    ck_unused *unused_5[1];
    ck_ulong (*get_token_info)(ck_ulong slot, struct ck_token_info *info);
    ck_unused *unused_7[5];
    ck_ulong (*open_session)(ck_ulong slot, ck_ulong flags, void *app, void *notify,
        ck_ulong *session);
    ck_ulong (*close_session)(ck_ulong session);
    ck_unused *unused_14[4];
    ck_ulong (*login)(ck_ulong session, ck_ulong user, unsigned char *pin, ck_ulong n);
    ck_unused *unused_19[7];
    ck_ulong (*find_objects_init)(ck_ulong session, struct ck_attribute *attrs, ck_ulong n);
    ck_ulong (*find_objects)(ck_ulong session, ck_ulong *objects, ck_ulong max, ck_ulong *n);
    ck_ulong (*find_objects_final)(ck_ulong session);
    ck_unused *unused_29[30];
    ck_ulong (*generate_key_pair)(ck_ulong session, struct ck_mechanism *mechanism,
        struct ck_attribute *public_attrs, ck_ulong public_n, struct ck_attribute *private_attrs,
        ck_ulong private_n, ck_ulong *public_key, ck_ulong *private_key);
    ck_unused *unused_60[8];
};
_Static_assert(offsetof(struct ck_function_list, generate_key_pair) == 60 * sizeof(void *),
    "C_GenerateKeyPair is function 59, behind the version");

enum {
    CKF_TOKEN_INITIALIZED = 0x400, CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1,
    CKR_ALREADY_INITIALIZED = 0x191, CKR_ALREADY_LOGGED_IN = 0x100, CKR_PIN_INCORRECT = 0xa0,
    CKO_PRIVATE_KEY = 3, CKM_RSA_KEY_PAIR_GEN = 0, CKM_EC_KEY_PAIR_GEN = 0x1040,
    CKA_CLASS = 0, CKA_TOKEN = 1, CKA_PRIVATE = 2, CKA_LABEL = 3, CKA_ID = 0x102,
    CKA_SENSITIVE = 0x103, CKA_ENCRYPT = 0x104, CKA_DECRYPT = 0x105, CKA_SIGN = 0x108,
    CKA_VERIFY = 0x10a, CKA_MODULUS_BITS = 0x121, CKA_PUBLIC_EXPONENT = 0x122,
    CKA_EXTRACTABLE = 0x162, CKA_EC_PARAMS = 0x180,
};

struct module {
    void *handle;
    const struct ck_function_list *list;
    bool initialized; /* by us */
    ck_ulong session;
    bool has_session;
};

static enum mu_code failed(const char *what, ck_ulong rv, struct mu_err *err)
{
    if (rv == CKR_PIN_INCORRECT)
        return mu_err_set(err, MU_AUTH, MU_M(703), "the token's PIN is wrong");
    return mu_err_set(
        err, MU_INTERNAL, MU_REASON_NONE, "the token refuses to %s (PKCS#11 code 0x%lx)", what, rv);
}

static enum mu_code module_open(const char *path, struct module *m, struct mu_err *err)
{
    ck_ulong (*get_list)(const struct ck_function_list **) = NULL;
    char shown[160];
    m->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = m->handle ? dlsym(m->handle, "C_GetFunctionList") : NULL;
    memcpy(&get_list, &symbol, sizeof(symbol));
    if (!get_list || get_list(&m->list) != 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_M(709), "%s is no PKCS#11 module",
            mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(path)));
    ck_ulong rv = m->list->initialize(NULL);
    m->initialized = rv == 0;
    return rv == 0 || rv == CKR_ALREADY_INITIALIZED ? MU_OK : failed("start", rv, err);
}

static void module_close(struct module *m)
{
    if (m->has_session)
        m->list->close_session(m->session);
    if (m->initialized)
        m->list->finalize(NULL);
    if (m->handle)
        dlclose(m->handle);
}

/* Labels are padded with blanks. */
static bool label_is(const struct ck_token_info *info, struct mu_bytes label)
{
    size_t n = sizeof(info->label);
    while (n && info->label[n - 1] == ' ')
        n--;
    return mu_bytes_equal(mu_bytes(info->label, n), label);
}

static enum mu_code slot_find(struct module *m, const struct mu_pki_token_uri *uri, ck_ulong *slot,
    struct mu_err *err)
{
    ck_ulong slots[64], n = 64;
    char shown[80];
    ck_ulong rv = m->list->get_slot_list(1, slots, &n);
    if (rv)
        return failed("list its slots", rv, err);
    for (ck_ulong i = 0; i < n; i++) {
        struct ck_token_info info = {0};
        if (m->list->get_token_info(slots[i], &info) != 0
            || !(info.flags & CKF_TOKEN_INITIALIZED))
            continue;
        if (uri->token.n && !label_is(&info, mu_buf_bytes(&uri->token)))
            continue;
        *slot = slots[i];
        return MU_OK;
    }
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no token '%s'",
        mu_text_escape_to(shown, sizeof(shown), mu_buf_bytes(&uri->token)));
}

static enum mu_code session_open(struct module *m, ck_ulong slot, const struct mu_secret *pin,
    struct mu_err *err)
{
    ck_ulong rv = m->list->open_session(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
        &m->session);
    if (rv)
        return failed("open a session", rv, err);
    m->has_session = true;
    if (!pin || !pin->p)
        return MU_OK;
    rv = m->list->login(m->session, CKU_USER, pin->p, pin->n);
    return rv == 0 || rv == CKR_ALREADY_LOGGED_IN ? MU_OK : failed("log in", rv, err);
}

/* Two keys of one name would be two answers to one URI. */
static enum mu_code name_is_free(struct module *m, const struct mu_pki_token_uri *uri,
    struct mu_err *err)
{
    ck_ulong private_key = CKO_PRIVATE_KEY, found[1], n = 0;
    char shown[80];
    struct ck_attribute attrs[] = {
        {CKA_CLASS, &private_key, sizeof(private_key)},
        {CKA_LABEL, uri->object.p, uri->object.n},
    };
    ck_ulong rv = m->list->find_objects_init(m->session, attrs, 2);
    if (rv == 0) {
        rv = m->list->find_objects(m->session, found, 1, &n);
        m->list->find_objects_final(m->session);
    }
    if (rv)
        return failed("search", rv, err);
    if (n)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "the token has a key '%s' already",
            mu_text_escape_to(shown, sizeof(shown), mu_buf_bytes(&uri->object)));
    return MU_OK;
}

static const char *curve_oid(unsigned bits)
{
    return bits == 256 ? "1.2.840.10045.3.1.7" : bits == 384 ? "1.3.132.0.34" : "1.3.132.0.35";
}

static enum mu_code generate(struct module *m, const struct mu_pki_token_uri *uri,
    const struct mu_pki_key_spec *spec, struct mu_err *err)
{
    unsigned char yes = 1, no = 0, exponent[] = {1, 0, 1};
    uint8_t digest[64];
    ck_ulong bits = spec->bits, public_key, private_key;
    bool rsa = spec->type == MU_PKI_KEY_RSA;
    struct mu_buf curve;
    mu_buf_init(&curve, 32);
    mu_der_put_oid(&curve, curve_oid(spec->bits));
    if (!uri->id.n && mu_pki_digest(MU_PKI_SHA1, mu_buf_bytes(&uri->object), digest) == 0)
        return mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "SHA-1 failed");
    struct ck_attribute label = {CKA_LABEL, uri->object.p, uri->object.n};
    struct ck_attribute id = {CKA_ID, uri->id.n ? uri->id.p : digest, uri->id.n ? uri->id.n : 8};
    struct ck_attribute public_attrs[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_VERIFY, &yes, 1},
        label,
        id,
        {rsa ? CKA_MODULUS_BITS : CKA_EC_PARAMS, rsa ? (void *)&bits : curve.p,
            rsa ? sizeof(bits) : curve.n},
        {CKA_ENCRYPT, &yes, 1},
        {CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent)},
    };
    struct ck_attribute private_attrs[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &yes, 1},
        {CKA_EXTRACTABLE, &no, 1},
        {CKA_SIGN, &yes, 1},
        label,
        id,
        {CKA_DECRYPT, &yes, 1},
    };
    struct ck_mechanism mechanism = {rsa ? CKM_RSA_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0};
    ck_ulong rv = m->list->generate_key_pair(m->session, &mechanism, public_attrs, rsa ? 7 : 5,
        private_attrs, rsa ? 8 : 7, &public_key, &private_key);
    mu_buf_clear(&curve);
    return rv == 0 ? MU_OK : failed("generate a key pair", rv, err);
}

enum mu_code mu_pki_token_make(const char *module, const struct mu_pki_token_uri *uri,
    const struct mu_secret *pin, const struct mu_pki_key_spec *spec, struct mu_err *err)
{
    struct module m = {0};
    ck_ulong slot;
    enum mu_code rc;
    if (spec->type != MU_PKI_KEY_RSA && spec->type != MU_PKI_KEY_EC)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "tokens make RSA and EC keys, no others");
    if (uri->object.n == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the pkcs11: URI needs object=NAME for the new key");
    if ((rc = module_open(module, &m, err)) == MU_OK
        && (rc = slot_find(&m, uri, &slot, err)) == MU_OK
        && (rc = session_open(&m, slot, pin, err)) == MU_OK
        && (rc = name_is_free(&m, uri, err)) == MU_OK)
        rc = generate(&m, uri, spec, err);
    module_close(&m);
    return rc;
}
