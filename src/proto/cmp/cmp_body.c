/* PKIBody (RFC 9810 5.1.2): the table of its kinds, and id-it numbers. */
#include "base/limits.h"
#include "proto/cmp/cmp_body_internal.h"
#include "proto/cmp/cmp_der.h"

/* id-it is 1.3.6.1.5.5.7.4: seven octets, then n. */
static const uint8_t it_prefix[7] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x04};

int mu_cmp_it_of(struct mu_bytes oid)
{
    return oid.n == 8 && memcmp(oid.p, it_prefix, 7) == 0 && oid.p[7] < 0x80 ? oid.p[7] : -1;
}

struct mu_bytes mu_cmp_it_oid(int n)
{
#define ROW(n) {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x04, n}
    static const uint8_t rows[][8] = {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7),
        ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15), ROW(16), ROW(17),
        ROW(18), ROW(19), ROW(20), ROW(21), ROW(22), ROW(23), ROW(24)};
#undef ROW

    assert(n >= 0 && (size_t)n < sizeof rows / sizeof rows[0]);
    return mu_bytes(rows[n], 8);
}

bool mu_cmp_body_get_list(struct mu_bytes in, size_t max, size_t *n, struct mu_bytes *first)
{
    struct mu_der seq, el;
    struct mu_bytes rest;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &seq))
        return false;
    *first = mu_bytes(NULL, 0);
    rest = seq.value;
    for (*n = 0; rest.n != 0; (*n)++) {
        if (*n == max || !mu_der_next(&rest, &el))
            return false;
        if (*n == 0)
            *first = el.whole;
    }
    return true;
}

bool mu_cmp_body_get_int(struct mu_bytes *in, int64_t *out)
{
    struct mu_der el;

    return mu_der_get(in, MU_DER_INTEGER, &el) && mu_der_int(el.value, out);
}

/* A kind without parts here: any one element is taken, nothing is written. */
static bool get_opaque(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
    struct mu_err *err)
{
    struct mu_der el;

    (void)retagged;
    (void)b;
    (void)err;
    return mu_der_next(&in, &el) && in.n == 0;
}

static const struct {
    const char *name;
    bool (*get)(struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_body *b,
        struct mu_err *err);
    void (*put)(const struct mu_cmp_body *b, struct mu_buf *out);
} kinds[MU_CMP_TYPES] = {
    [MU_CMP_IR] = {"ir", mu_cmp_body_get_req, mu_cmp_body_put_req},
    [MU_CMP_IP] = {"ip", mu_cmp_body_get_rep, mu_cmp_body_put_rep},
    [MU_CMP_CR] = {"cr", mu_cmp_body_get_req, mu_cmp_body_put_req},
    [MU_CMP_CP] = {"cp", mu_cmp_body_get_rep, mu_cmp_body_put_rep},
    [MU_CMP_P10CR] = {"p10cr", mu_cmp_body_get_p10, mu_cmp_body_put_p10},
    [MU_CMP_POPDECC] = {"popdecc", get_opaque, NULL},
    [MU_CMP_POPDECR] = {"popdecr", get_opaque, NULL},
    [MU_CMP_KUR] = {"kur", mu_cmp_body_get_req, mu_cmp_body_put_req},
    [MU_CMP_KUP] = {"kup", mu_cmp_body_get_rep, mu_cmp_body_put_rep},
    [MU_CMP_KRR] = {"krr", get_opaque, NULL},
    [MU_CMP_KRP] = {"krp", get_opaque, NULL},
    [MU_CMP_RR] = {"rr", mu_cmp_body_get_rr, mu_cmp_body_put_rr},
    [MU_CMP_RP] = {"rp", mu_cmp_body_get_rp, mu_cmp_body_put_rp},
    [MU_CMP_CCR] = {"ccr", get_opaque, NULL},
    [MU_CMP_CCP] = {"ccp", get_opaque, NULL},
    [MU_CMP_CKUANN] = {"ckuann", get_opaque, NULL},
    [MU_CMP_CANN] = {"cann", get_opaque, NULL},
    [MU_CMP_RANN] = {"rann", get_opaque, NULL},
    [MU_CMP_CRLANN] = {"crlann", get_opaque, NULL},
    [MU_CMP_PKICONF] = {"pkiConf", mu_cmp_body_get_null, mu_cmp_body_put_null},
    [MU_CMP_NESTED] = {"nested", mu_cmp_body_get_nested, mu_cmp_body_put_nested},
    [MU_CMP_GENM] = {"genm", mu_cmp_body_get_gen, mu_cmp_body_put_gen},
    [MU_CMP_GENP] = {"genp", mu_cmp_body_get_gen, mu_cmp_body_put_gen},
    [MU_CMP_ERROR] = {"error", mu_cmp_body_get_error, mu_cmp_body_put_error},
    [MU_CMP_CERT_CONF] = {"certConf", mu_cmp_body_get_conf, mu_cmp_body_put_conf},
    [MU_CMP_POLL_REQ] = {"pollReq", mu_cmp_body_get_poll_req, mu_cmp_body_put_poll_req},
    [MU_CMP_POLL_REP] = {"pollRep", mu_cmp_body_get_poll_rep, mu_cmp_body_put_poll_rep},
};

const char *mu_cmp_type_name(int type)
{
    return type >= 0 && type < MU_CMP_TYPES ? kinds[type].name : "unknown";
}

enum mu_code mu_cmp_body_decode(struct mu_bytes element, struct mu_buf *retagged,
    struct mu_cmp_body *out, struct mu_err *err)
{
    struct mu_cmp_body b = {0};
    struct mu_bytes in = element;
    struct mu_der el;
    struct mu_err found = {0};
    unsigned n;

    if (!mu_der_next(&in, &el) || in.n != 0 || (el.tag & 0xe0) != 0xa0)
        return mu_err_set(
            err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: no PKIBody (RFC 9810 5.1.2)");
    n = el.tag & 0x1f;
    if (n >= MU_CMP_TYPES)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_STATE,
            "cmp: a PKIBody of kind %u is unknown (RFC 9810 5.1.2)", n);
    b.type = (enum mu_cmp_type)n;
    if (!kinds[n].get(el.value, retagged, &b, &found)) {
        if (found.code == MU_OK)
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: the body of the %s cannot be read (RFC 9810 5.3)", kinds[n].name);
        if (err != NULL)
            *err = found;
        return found.code;
    }
    *out = b;
    return MU_OK;
}

void mu_cmp_body_encode(const struct mu_cmp_body *b, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(b->type));

    assert(kinds[b->type].put != NULL);
    kinds[b->type].put(b, out);
    mu_der_close(out, mark);
}
