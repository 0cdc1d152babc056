/* CRMF (RFC 4211), IMPLICIT tags: requests, templates, proof of possession, controls. */
#include "proto/cmp/cmp_crmf.h"

#include "base/limits.h"
#include "base/text.h"
#include "proto/cmp/cmp_der.h"

#define OID_REG_TOKEN "1.3.6.1.5.5.7.5.1.1"
#define OID_AUTHENTICATOR "1.3.6.1.5.5.7.5.1.2"
#define OID_ARCHIVE "1.3.6.1.5.5.7.5.1.4"
#define OID_OLD_CERT_ID "1.3.6.1.5.5.7.5.1.5"

static enum mu_code malformed(struct mu_err *err, const char *field, const char *clause)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: %s cannot be read (%s)", field, clause);
}

/* ---- controls ---- */

static bool get_name(struct mu_bytes in, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &el) || el.whole.n > MU_LIMIT_NAME
        || !mu_pki_name_valid(el.whole))
        return false;
    *out = el.whole;
    return true;
}

/* CertId { issuer GeneralName, serialNumber INTEGER }; only a directoryName names a certificate. */
static bool get_cert_id(struct mu_bytes value, struct mu_bytes *issuer, struct mu_bytes *serial)
{
    struct mu_der seq, el, num;
    struct mu_bytes in;

    if (!mu_der_only(value, MU_DER_SEQUENCE, &seq))
        return false;
    in = seq.value;
    if (!mu_der_get(&in, MU_DER_CONTEXT_CONSTRUCTED(4), &el) || !get_name(el.value, issuer)
        || !mu_der_get(&in, MU_DER_INTEGER, &num) || num.value.n == 0 || in.n != 0)
        return false;
    *serial = num.value;
    return true;
}

static bool get_text(struct mu_bytes value, struct mu_bytes *out)
{
    struct mu_der el;

    if (!mu_der_only(value, MU_DER_UTF8_STRING, &el) || el.value.n > MU_LIMIT_CHALLENGE
        || !mu_text_is_utf8(el.value))
        return false;
    *out = el.value;
    return true;
}

static bool get_controls(struct mu_bytes content, struct mu_cmp_cert_req *r)
{
    struct mu_bytes in = content, rest;
    struct mu_der seq, oid, value;
    size_t n;

    for (n = 0; in.n != 0; n++) {
        if (n == MU_LIMIT_CMP_INFOS || !mu_der_get(&in, MU_DER_SEQUENCE, &seq))
            return false;
        rest = seq.value;
        if (!mu_der_get(&rest, MU_DER_OID, &oid) || !mu_der_next(&rest, &value) || rest.n != 0)
            return false;
        if (mu_der_oid_is(oid.value, OID_OLD_CERT_ID)) {
            if (r->old_serial.p != NULL || !get_cert_id(value.whole, &r->old_issuer, &r->old_serial))
                return false;
        } else if (mu_der_oid_is(oid.value, OID_REG_TOKEN)) {
            if (r->reg_token.p != NULL || !get_text(value.whole, &r->reg_token))
                return false;
        } else if (mu_der_oid_is(oid.value, OID_AUTHENTICATOR)) {
            if (r->authenticator.p != NULL || !get_text(value.whole, &r->authenticator))
                return false;
        } else if (mu_der_oid_is(oid.value, OID_ARCHIVE)) {
            r->has_archive = true;
        } else {
            r->has_unknown_controls = true;
        }
    }
    return true;
}

static void put_text_control(struct mu_buf *out, const char *oid, struct mu_bytes text)
{
    size_t mark;

    if (text.p == NULL)
        return;
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    mu_der_put_oid(out, oid);
    mu_der_put(out, MU_DER_UTF8_STRING, text);
    mu_der_close(out, mark);
}

static void put_controls(struct mu_buf *out, const struct mu_cmp_cert_req *r)
{
    size_t mark, control, id, name;

    if (r->reg_token.p == NULL && r->authenticator.p == NULL && r->old_serial.p == NULL)
        return;
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    put_text_control(out, OID_REG_TOKEN, r->reg_token);
    put_text_control(out, OID_AUTHENTICATOR, r->authenticator);
    if (r->old_serial.p != NULL) {
        control = mu_der_open(out, MU_DER_SEQUENCE);
        mu_der_put_oid(out, OID_OLD_CERT_ID);
        id = mu_der_open(out, MU_DER_SEQUENCE);
        name = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(4));
        mu_buf_put_bytes(out, r->old_issuer);
        mu_der_close(out, name);
        mu_der_put(out, MU_DER_INTEGER, r->old_serial);
        mu_der_close(out, id);
        mu_der_close(out, control);
    }
    mu_der_close(out, mark);
}

/* ---- proof of possession ---- */

/* POPOSigningKeyInput: authInfo is a sender [0] (explicit: GeneralName is a CHOICE) or a
 * PKMACValue, then the public key. */
static bool get_popo_input(const struct mu_der *el, struct mu_buf *retagged, struct mu_cmp_cert_req *r)
{
    struct mu_bytes in = el->value, rest;
    struct mu_der auth, name, spki;

    if (!mu_der_next(&in, &auth) || !mu_der_get(&in, MU_DER_SEQUENCE, &spki) || in.n != 0)
        return false;
    if (auth.tag == MU_DER_CONTEXT_CONSTRUCTED(0)) {
        rest = auth.value;
        if (!mu_der_next(&rest, &name) || rest.n != 0)
            return false;
        r->popo_input_sender = name.whole;
    } else if (auth.tag != MU_DER_SEQUENCE) {
        return false;
    }
    r->popo_input_spki = spki.whole;
    r->popo_input = mu_cmp_der_retag(retagged, el, MU_DER_SEQUENCE);
    return true;
}

static bool get_popo_signature(
    struct mu_bytes in, struct mu_buf *retagged, struct mu_cmp_cert_req *r)
{
    struct mu_der el, alg, bits;

    if (!mu_der_optional(&in, MU_DER_CONTEXT_CONSTRUCTED(0), &el)
        || (el.whole.p != NULL && !get_popo_input(&el, retagged, r))
        || !mu_der_get(&in, MU_DER_SEQUENCE, &alg) || !mu_der_get(&in, MU_DER_BIT_STRING, &bits)
        || in.n != 0 || !mu_der_bits(bits.value, &r->popo_signature))
        return false;
    r->popo = MU_CMP_POPO_SIGNATURE;
    r->popo_alg = alg.whole;
    return true;
}

/* POPOPrivKey, a CHOICE, so [2] and [3] are explicit; only subsequentMessage [1] is understood. */
static bool get_popo_priv_key(const struct mu_der *el, struct mu_cmp_cert_req *r)
{
    struct mu_bytes in = el->value;
    struct mu_der choice;
    int64_t v;

    if (!mu_der_next(&in, &choice) || in.n != 0 || (choice.tag & 0xc0) != 0x80)
        return false;
    if (choice.tag == MU_DER_CONTEXT(1)) {
        if (!mu_der_int(choice.value, &v) || v < 0 || v > 1)
            return false;
        r->subsequent_message = (int)v;
    }
    r->popo = el->tag == MU_DER_CONTEXT_CONSTRUCTED(2) ? MU_CMP_POPO_KEY_ENCIPHERMENT
                                                       : MU_CMP_POPO_KEY_AGREEMENT;
    return true;
}

static bool get_popo(const struct mu_der *el, struct mu_buf *retagged, struct mu_cmp_cert_req *r)
{
    switch (el->tag) {
    case MU_DER_CONTEXT(0):
        r->popo = MU_CMP_POPO_RA_VERIFIED;
        return el->value.n == 0;
    case MU_DER_CONTEXT_CONSTRUCTED(1):
        return get_popo_signature(el->value, retagged, r);
    case MU_DER_CONTEXT_CONSTRUCTED(2):
    case MU_DER_CONTEXT_CONSTRUCTED(3):
        return get_popo_priv_key(el, r);
    default:
        return false;
    }
}

static void put_popo(struct mu_buf *out, const struct mu_cmp_cert_req *r)
{
    size_t mark, at;

    switch (r->popo) {
    case MU_CMP_POPO_NONE:
        break;
    case MU_CMP_POPO_RA_VERIFIED:
        mu_der_put(out, MU_DER_CONTEXT(0), mu_bytes(NULL, 0));
        break;
    case MU_CMP_POPO_SIGNATURE:
        mark = mu_der_open(out, MU_DER_CONTEXT_CONSTRUCTED(1));
        mu_cmp_der_put_as(out, MU_DER_CONTEXT_CONSTRUCTED(0), r->popo_input);
        mu_buf_put_bytes(out, r->popo_alg);
        mu_der_put_bits(out, r->popo_signature);
        mu_der_close(out, mark);
        break;
    case MU_CMP_POPO_KEY_ENCIPHERMENT:
    case MU_CMP_POPO_KEY_AGREEMENT:
        mark = mu_der_open(
            out, MU_DER_CONTEXT_CONSTRUCTED(r->popo == MU_CMP_POPO_KEY_ENCIPHERMENT ? 2 : 3));
        at = out->n;
        mu_der_put_int(out, r->subsequent_message);
        if (!out->failed)
            out->p[at] = MU_DER_CONTEXT(1);
        mu_der_close(out, mark);
        break;
    }
}

/* ---- CertReqMsg ---- */

static enum mu_code get_request(struct mu_bytes content, struct mu_buf *retagged,
    struct mu_cmp_cert_req *r, struct mu_err *err)
{
    struct mu_bytes in = content;
    struct mu_der id, tmpl, controls;
    enum mu_code rc;

    if (!mu_der_get(&in, MU_DER_INTEGER, &id) || !mu_der_int(id.value, &r->cert_req_id))
        return malformed(err, "certReqId", "RFC 4211 5");
    if (!mu_der_get(&in, MU_DER_SEQUENCE, &tmpl))
        return malformed(err, "CertTemplate", "RFC 4211 5");
    rc = mu_cmp_crmf_template_decode(tmpl.value, retagged, &r->tmpl, err);
    if (rc != MU_OK)
        return rc;
    if (!mu_der_optional(&in, MU_DER_SEQUENCE, &controls) || in.n != 0
        || (controls.whole.p != NULL && !get_controls(controls.value, r)))
        return malformed(err, "the controls of the CertRequest", "RFC 4211 6");
    return MU_OK;
}

enum mu_code mu_cmp_crmf_decode(struct mu_bytes in, struct mu_buf *retagged,
    struct mu_cmp_cert_req *out, struct mu_err *err)
{
    struct mu_cmp_cert_req r = {.subsequent_message = -1};
    struct mu_der msg, request, popo;
    struct mu_bytes rest;
    enum mu_code rc;

    if (!mu_der_only(in, MU_DER_SEQUENCE, &msg))
        return malformed(err, "CertReqMsg", "RFC 4211 3");
    rest = msg.value;
    if (!mu_der_get(&rest, MU_DER_SEQUENCE, &request))
        return malformed(err, "CertRequest", "RFC 4211 3");
    r.cert_req = request.whole;
    rc = get_request(request.value, retagged, &r, err);
    if (rc != MU_OK)
        return rc;
    if (rest.n != 0 && mu_der_peek(rest) != MU_DER_SEQUENCE
        && (!mu_der_next(&rest, &popo) || !get_popo(&popo, retagged, &r)))
        return malformed(err, "ProofOfPossession", "RFC 4211 4");
    /* regInfo: a SEQUENCE of what nobody here knows */
    if (rest.n != 0 && (!mu_der_get(&rest, MU_DER_SEQUENCE, &popo) || rest.n != 0))
        return malformed(err, "regInfo", "RFC 4211 3");
    *out = r;
    return MU_OK;
}

void mu_cmp_crmf_request_encode(const struct mu_cmp_cert_req *r, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_int(out, r->cert_req_id);
    mu_cmp_crmf_template_encode(&r->tmpl, out);
    put_controls(out, r);
    mu_der_close(out, mark);
}

void mu_cmp_crmf_encode(const struct mu_cmp_cert_req *r, struct mu_buf *out)
{
    size_t mark = mu_der_open(out, MU_DER_SEQUENCE);

    if (r->cert_req.n != 0)
        mu_buf_put_bytes(out, r->cert_req);
    else
        mu_cmp_crmf_request_encode(r, out);
    put_popo(out, r);
    mu_der_close(out, mark);
}

enum mu_code mu_cmp_crmf_verify_popo(const struct mu_cmp_cert_req *r, bool allow_legacy,
    struct mu_pki_key **key, struct mu_err *err)
{
    struct mu_pki_verify_opts opts = {.allow_legacy = allow_legacy};
    struct mu_pki_key *k = NULL;
    enum mu_code rc;

    if (r->popo != MU_CMP_POPO_SIGNATURE)
        return mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
            "cmp: no proof of possession by signature (RFC 9483 4.1.1)");
    if (r->tmpl.spki.p == NULL)
        return mu_err_set(
            err, MU_AUTH, MU_REFUSE_POP, "cmp: no publicKey in the CertTemplate (RFC 9483 4.1.1)");
    if (r->popo_input.p != NULL && !mu_bytes_equal(r->popo_input_spki, r->tmpl.spki))
        return mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
            "cmp: poposkInput names another key than the CertTemplate (RFC 4211 4.1)");
    rc = mu_pki_key_from_spki(r->tmpl.spki, &k, err);
    if (rc != MU_OK)
        return rc;
    /* CMP-62: with poposkInput its DER as a universal SEQUENCE is what is signed. */
    rc = mu_pki_key_verify(k, r->popo_alg, r->popo_input.p != NULL ? r->popo_input : r->cert_req,
        r->popo_signature, &opts, NULL, err);
    if (rc == MU_AUTH)
        rc = mu_err_set(err, MU_AUTH, MU_REFUSE_POP,
            "cmp: the request is not signed with the key it asks for (RFC 4211 4.1)");
    if (rc == MU_OK && key != NULL) {
        *key = k;
        k = NULL;
    }
    mu_pki_key_free(k);
    return rc;
}
