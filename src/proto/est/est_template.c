/*
 * CertificationRequestInfoTemplate (RFC 9908 3.4): a request with holes. An RDN without a value,
 * an extension without one, an empty directoryName or iPAddress in a SAN: the client fills it in.
 */
#include "base/limits.h"
#include "pki/pki_words.h"
#include "proto/est/est_csrattrs.h"

/* ---- reading ---- */

/* Is this SAN one with holes: a NULL-DN or an address of no octets? */
static bool san_has_holes(struct mu_bytes san)
{
    struct mu_der outer, name, inner;
    struct mu_bytes in, dn;

    if (!mu_der_only(san, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    while (mu_der_next(&in, &name)) {
        if (name.value.n == 0)
            return true;
        dn = name.value;
        if (name.tag == MU_DER_CONTEXT_CONSTRUCTED(4) && mu_der_next(&dn, &inner)
            && inner.value.n == 0)
            return true;
    }
    return outer.value.n == 0;
}

/* ExtensionTemplate and Extension alike: the value may be missing. */
static bool take_extension(struct mu_bytes in, struct mu_est_csrattrs *out)
{
    struct mu_est_ext_wish wish = {.fill = true};
    struct mu_der oid, critical, value;

    if (!mu_der_get(&in, MU_DER_OID, &oid) || !mu_der_optional(&in, MU_DER_BOOLEAN, &critical)
        || !mu_der_optional(&in, MU_DER_OCTET_STRING, &value) || in.n != 0)
        return false;
    wish.oid = oid.value;
    wish.critical
        = critical.whole.p != NULL && critical.value.n == 1 && critical.value.p[0] != 0;
    if (value.whole.p != NULL && value.value.n != 0
        && !(mu_der_oid_is(oid.value, MU_EST_OID_SAN) && san_has_holes(value.value))) {
        wish.fill = false;
        wish.value = value.value;
    }
    mu_est_csrattrs_wish(out, &wish);
    return true;
}

/* SEQUENCE OF ExtensionTemplate by the module; the prose has a single one (EST-70). */
static bool take_extensions(struct mu_bytes value, struct mu_est_csrattrs *out)
{
    struct mu_der outer, one;
    struct mu_bytes in;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    if (mu_der_peek(in) == MU_DER_OID)
        return take_extension(in, out);
    while (in.n != 0) {
        if (!mu_der_get(&in, MU_DER_SEQUENCE, &one) || !take_extension(one.value, out))
            return false;
    }
    return true;
}

static bool take_attribute(struct mu_bytes in, struct mu_est_csrattrs *out)
{
    struct mu_der type, values, value;
    struct mu_bytes set;

    if (!mu_der_get(&in, MU_DER_OID, &type) || !mu_der_get(&in, MU_DER_SET, &values) || in.n != 0)
        return false;
    set = values.value;
    if (mu_der_oid_is(type.value, MU_EST_OID_CHALLENGE_PASSWORD)) {
        out->link = true;
        return true;
    }
    /* The example in the RFC prints the OID without its .16.2 (EST-70). */
    if (mu_der_oid_is(type.value, MU_EST_OID_EXTENSION_TEMPLATE)
        || mu_der_oid_is(type.value, "1.2.840.113549.1.9.62")
        || mu_der_oid_is(type.value, MU_EST_OID_EXTENSION_REQUEST))
        return mu_der_next(&set, &value) && take_extensions(value.whole, out);
    return true; /* EST-64 */
}

/* SubjectPublicKeyInfoTemplate: the algorithm says the kind, a key only an RSA modulus's size. */
static bool take_key(struct mu_bytes in, struct mu_est_csrattrs *out)
{
    struct mu_der alg, oid, param, bits, rsa, modulus;
    struct mu_bytes a, key;

    if (!mu_der_get(&in, MU_DER_SEQUENCE, &alg))
        return false;
    a = alg.value;
    if (!mu_der_get(&a, MU_DER_OID, &oid))
        return false;
    mu_est_csrattrs_key(oid.value, mu_der_next(&a, &param) ? &param : NULL, out);
    if (!out->has_key) {
        out->has_key = true; /* of a kind not known here */
        out->key = (struct mu_pki_key_spec){MU_PKI_KEY_OTHER, 0};
    }
    if (out->key.type != MU_PKI_KEY_RSA || !mu_der_get(&in, MU_DER_BIT_STRING, &bits))
        return true;
    if (mu_der_bits(bits.value, &key) && mu_der_only(key, MU_DER_SEQUENCE, &rsa)
        && mu_der_get(&rsa.value, MU_DER_INTEGER, &modulus)) {
        while (modulus.value.n != 0 && modulus.value.p[0] == 0)
            modulus.value = mu_bytes(modulus.value.p + 1, modulus.value.n - 1);
        if (modulus.value.n >= 64 && modulus.value.n <= 2048)
            out->key.bits = (unsigned)modulus.value.n * 8;
    }
    return true;
}

bool mu_est_template_decode(struct mu_bytes value, struct mu_est_csrattrs *out)
{
    struct mu_est_csrattrs found = {.is_template = true};
    struct mu_der outer, version, subject, key, attributes, one;
    struct mu_bytes in;
    int64_t v;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &outer))
        return false;
    in = outer.value;
    if (!mu_der_get(&in, MU_DER_INTEGER, &version) || !mu_der_int(version.value, &v) || v != 0
        || !mu_der_optional(&in, MU_DER_SEQUENCE, &subject)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &key)
        || !mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(1), &attributes) || in.n != 0)
        return false;
    if (subject.whole.p != NULL) {
        if (!mu_est_template_subject(subject.whole, NULL, NULL))
            return false;
        found.subject = subject.whole;
    }
    if (key.whole.p != NULL && !take_key(key.value, &found))
        return false;
    in = attributes.whole.p != NULL ? attributes.value : mu_bytes(NULL, 0);
    while (in.n != 0) {
        if (!mu_der_get(&in, MU_DER_SEQUENCE, &one) || !take_attribute(one.value, &found))
            return false;
    }
    *out = found;
    return true;
}

static void tell(struct mu_bytes oid, const struct mu_der *value, mu_est_template_call *call,
    void *cookie)
{
    struct mu_buf text = {.max = 1024};
    char buf[MU_OID_TEXT];
    const char *word = mu_pki_name_type_word(oid, buf);

    if (value != NULL && mu_der_string(value, &text))
        call(cookie, word, mu_buf_str(&text));
    else
        call(cookie, word, NULL);
    mu_buf_clear(&text);
}

bool mu_est_template_subject(
    struct mu_bytes name_template, mu_est_template_call *call, void *cookie)
{
    struct mu_der outer, rdn, attribute, oid, value;
    struct mu_bytes names, in, one;

    if (!mu_der_only(name_template, MU_DER_SEQUENCE, &outer) || name_template.n > MU_LIMIT_NAME)
        return false;
    names = outer.value;
    while (names.n != 0) {
        if (!mu_der_get(&names, MU_DER_SET, &rdn) || rdn.value.n == 0)
            return false;
        in = rdn.value;
        while (in.n != 0) {
            bool has;

            if (!mu_der_get(&in, MU_DER_SEQUENCE, &attribute))
                return false;
            one = attribute.value;
            if (!mu_der_get(&one, MU_DER_OID, &oid))
                return false;
            has = one.n != 0;
            if (has && (!mu_der_next(&one, &value) || one.n != 0))
                return false;
            if (call != NULL)
                tell(oid.value, has ? &value : NULL, call, cookie);
        }
    }
    return true;
}

/* ---- writing ---- */

static void put_subject(const struct mu_est_csrattrs_params *params, struct mu_buf *b)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE), set, one, i;

    for (i = 0; i < params->subject_n; i++) {
        const char *oid = mu_pki_name_type_oid(params->subject[i].type);

        set = mu_der_open(b, MU_DER_SET);
        one = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, oid);
        if (params->subject[i].value != NULL)
            mu_der_put_string(b, params->subject[i].value);
        mu_der_close(b, one);
        mu_der_close(b, set);
    }
    mu_der_close(b, outer);
}

/* An RSA size is said by a placeholder of that many bits (RFC 9908 3.4). */
static void put_rsa_placeholder(unsigned bits, struct mu_buf *b)
{
    struct mu_buf key = {.max = 4096};
    size_t mark = mu_der_open(&key, MU_DER_SEQUENCE), n = bits / 8;
    uint8_t modulus[2048];

    if (n < 1 || n > sizeof modulus)
        n = 256;
    memset(modulus, 0, n);
    modulus[0] = 0x80;
    modulus[n - 1] |= 1;
    mu_der_put_unsigned(&key, mu_bytes(modulus, n));
    mu_der_put_int(&key, 65537);
    mu_der_close(&key, mark);
    mu_der_put_bits(b, mu_buf_bytes(&key));
    mu_buf_clear(&key);
}

static void put_key(const struct mu_pki_key_spec *spec, struct mu_buf *b)
{
    const char *curve, *oid = mu_est_csrattrs_key_oid(spec, &curve);
    size_t outer, alg;

    if (oid == NULL)
        return;
    outer = mu_der_open(b, MU_DER_CONTEXT_CONSTRUCTED(0));
    alg = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, oid);
    if (curve != NULL)
        mu_der_put_oid(b, curve);
    else if (spec->type == MU_PKI_KEY_RSA)
        mu_der_put_null(b);
    mu_der_close(b, alg);
    if (spec->type == MU_PKI_KEY_RSA && spec->bits != 0)
        put_rsa_placeholder(spec->bits, b);
    mu_der_close(b, outer);
}

/* Plain extensionRequest where all have values, else extensionReqTemplate; never both. */
static void put_extensions(const struct mu_est_csrattrs_params *params, struct mu_buf *b)
{
    bool holes = params->fill != NULL && params->fill[0] != NULL;
    size_t outer, set, list, one, i;
    struct mu_der all;

    if (!holes && params->extensions.n == 0)
        return;
    outer = mu_der_open(b, MU_DER_SEQUENCE);
    mu_der_put_oid(b, holes ? MU_EST_OID_EXTENSION_TEMPLATE : MU_EST_OID_EXTENSION_REQUEST);
    set = mu_der_open(b, MU_DER_SET);
    list = mu_der_open(b, MU_DER_SEQUENCE);
    if (params->extensions.n != 0 && mu_der_only(params->extensions, MU_DER_SEQUENCE, &all))
        mu_buf_put_bytes(b, all.value);
    for (i = 0; holes && params->fill[i] != NULL; i++) {
        one = mu_der_open(b, MU_DER_SEQUENCE);
        mu_der_put_oid(b, params->fill[i]);
        mu_der_close(b, one);
    }
    mu_der_close(b, list);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

static void put_link(struct mu_buf *b)
{
    size_t outer = mu_der_open(b, MU_DER_SEQUENCE), set;

    mu_der_put_oid(b, MU_EST_OID_CHALLENGE_PASSWORD);
    set = mu_der_open(b, MU_DER_SET);
    mu_der_close(b, set);
    mu_der_close(b, outer);
}

void mu_est_template_put(const struct mu_est_csrattrs_params *params, struct mu_buf *out)
{
    size_t outer = mu_der_open(out, MU_DER_SEQUENCE), attributes;

    mu_der_put_int(out, 0);
    if (params->subject_n != 0)
        put_subject(params, out);
    put_key(&params->key, out);
    attributes = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
    if (params->link)
        put_link(out);
    put_extensions(params, out);
    mu_der_close(out, attributes);
    mu_der_close(out, outer);
}
