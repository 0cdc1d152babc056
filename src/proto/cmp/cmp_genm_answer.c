/* What the server answers to a genm: id-it by id-it, out of credential and decision. */
#include <string.h>

#include "base/limits.h"
#include "pki/pki_crl.h"
#include "proto/cmp/cmp_genm.h"

/* One value: appended to keep and cut out of it once that grows no more. absent: the type alone. */
struct answer {
    int it; /* of the reply */
    bool absent;
};
typedef enum mu_code answer_call(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err);

static bool is_root(const struct mu_pki_cert *cert)
{
    return mu_pki_name_equal(cert->subject, cert->issuer);
}

/* CMP-92: the issuing CA and intermediate ones; a root is for nobody to be trusted by this. */
static enum mu_code ca_certs(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    const struct mu_pki_certs *chain = credential->ca_chain;
    size_t seq;

    answer->absent = chain == NULL || chain->n == 0;
    if (answer->absent)
        return MU_OK;
    seq = mu_der_open(out, MU_DER_SEQUENCE);
    for (size_t i = 0; i < chain->n; i++)
        if (i == 0 || !is_root(chain->v[i]))
            mu_buf_put_bytes(out, chain->v[i]->der);
    mu_der_close(out, seq);
    return MU_OK;
}

/* A certificate in list of this key that is signed by the root: newWithOld, oldWithNew. */
static struct mu_bytes cross(const struct mu_pki_certs *list, struct mu_bytes spki,
    struct mu_pki_cert *signer)
{
    for (size_t i = 0; i < list->n; i++)
        if (mu_bytes_equal(list->v[i]->spki, spki)
            && mu_pki_cert_verify(list->v[i], signer, true, NULL) == MU_OK)
            return list->v[i]->der;
    return mu_bytes(NULL, 0);
}

static struct mu_pki_cert *root_of(const struct mu_pki_certs *list)
{
    for (size_t i = 0; list != NULL && i < list->n; i++)
        if (is_root(list->v[i]))
            return list->v[i];
    return NULL;
}

/* The root asked about and the one that follows it: the present one and its successor, or, where
 * that has taken over, a former one and the present. False: there is no update. */
static bool find_update(struct mu_bytes value, const struct mu_credential *credential,
    struct mu_pki_cert **old, struct mu_pki_cert **new)
{
    struct mu_pki_cert *present = root_of(credential->ca_chain);
    const struct mu_pki_certs *others = credential->next_ca;

    if (present == NULL || others == NULL)
        return false;
    for (size_t i = 0; i < others->n; i++) {
        struct mu_pki_cert *other = others->v[i];

        /* the links bear the same names and are no roots */
        if (!is_root(other) || mu_pki_cert_equal(other, present)
            || !mu_pki_cert_is_self_signed(other))
            continue;
        *old = value.n == 0 || mu_bytes_equal(value, present->der) ? present : other;
        *new = *old == present ? other : present;
        if ((*old == present || mu_bytes_equal(value, other->der))
            && (*new)->not_before_s >= (*old)->not_before_s)
            return true;
    }
    return false;
}

/* CMP-93: the root asked about is or was ours and has a successor. */
static enum mu_code root_update(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_pki_cert *old, *new;
    struct mu_cmp_root_update update;

    answer->it = MU_CMP_IT_ROOT_CA_KEY_UPDATE;
    answer->absent = !find_update(value, credential, &old, &new);
    if (answer->absent)
        return MU_OK;
    update.new_with_new = new->der;
    update.new_with_old = cross(credential->next_ca, new->spki, old);
    update.old_with_new = cross(credential->next_ca, old->spki, new);
    mu_cmp_genm_root_update_encode(&update, out);
    return MU_OK;
}

static enum mu_code cert_template(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    answer->absent = decision->csr_attrs.n == 0;
    mu_buf_put_bytes(out, decision->csr_attrs);
    return MU_OK;
}

/* CMP-97: one CRL if it is newer than the client's, else no value. */
static enum mu_code crl_update(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    struct mu_cmp_crl_status status;
    struct mu_pki_crl *crl;
    size_t seq;
    enum mu_code rc;

    answer->it = MU_CMP_IT_CRLS;
    answer->absent = decision->crl.n == 0;
    if (answer->absent)
        return MU_OK;
    if (mu_cmp_genm_crl_status_decode(value, &status) && status.this_update_s != 0) {
        if ((rc = mu_pki_crl_decode(decision->crl, &crl, err)) != MU_OK)
            return rc;
        answer->absent = crl->this_update_s <= status.this_update_s;
        mu_pki_crl_free(crl);
        if (answer->absent)
            return MU_OK;
    }
    seq = mu_der_open(out, MU_DER_SEQUENCE);
    mu_buf_put_bytes(out, decision->crl);
    mu_der_close(out, seq);
    return MU_OK;
}

static enum mu_code current_crl(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    answer->absent = decision->crl.n == 0;
    mu_buf_put_bytes(out, decision->crl);
    return MU_OK;
}

/* Our texts are English, whatever is asked for (RFC 9810 5.3.19.12). */
static enum mu_code language(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put(out, MU_DER_UTF8_STRING, mu_bytes_str("en"));
    mu_der_close(out, seq);
    return MU_OK;
}

static void put_alg(struct mu_buf *out, const char *oid, const char *curve, bool null)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);

    mu_der_put_oid(out, oid);
    if (curve != NULL)
        mu_der_put_oid(out, curve);
    if (null)
        mu_der_put_null(out);
    mu_der_close(out, seq);
}

/* Kinds of keys that are certified here (RFC 9810 5.3.19.2). */
static enum mu_code key_types(struct mu_bytes value, const struct mu_credential *credential,
    const struct mu_decision *decision, struct answer *answer, struct mu_buf *out,
    struct mu_err *err)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);

    put_alg(out, "1.2.840.113549.1.1.1", NULL, true);
    put_alg(out, "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", false);
    put_alg(out, "1.2.840.10045.2.1", "1.3.132.0.34", false);
    put_alg(out, "1.2.840.10045.2.1", "1.3.132.0.35", false);
    put_alg(out, "1.3.101.112", NULL, false);
    mu_der_close(out, seq);
    return MU_OK;
}

static const struct {
    int it;
    enum mu_op op;
    answer_call *call;
} rows[] = {
    {MU_CMP_IT_CA_CERTS, MU_OP_INFO, ca_certs},
    {MU_CMP_IT_ROOT_CA_CERT, MU_OP_INFO, root_update},
    {MU_CMP_IT_CERT_REQ_TEMPLATE, MU_OP_CSR_ATTRS, cert_template},
    {MU_CMP_IT_CRL_STATUS_LIST, MU_OP_GET_CRL, crl_update},
    {MU_CMP_IT_CURRENT_CRL, MU_OP_GET_CRL, current_crl},
    {MU_CMP_IT_SUPP_LANG_TAGS, MU_OP_INFO, language},
    {MU_CMP_IT_SIGN_KEY_PAIR_TYPES, MU_OP_INFO, key_types},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int row_of(const struct mu_cmp_info *info)
{
    int it = mu_cmp_it_of(info->oid);

    for (int i = 0; i < ROWS; i++)
        if (rows[i].it == it)
            return i;
    return -1;
}

static size_t count(const struct mu_cmp_body *genm)
{
    return genm->u.gen.n < MU_CMP_INFOS ? genm->u.gen.n : MU_CMP_INFOS;
}

/* The one type that needs the CA decides; the profile has one type in all (CMP-91). */
enum mu_op mu_cmp_genm_op(const struct mu_cmp_body *genm)
{
    for (size_t i = 0; i < count(genm); i++) {
        int row = row_of(&genm->u.gen.v[i]);

        if (row >= 0 && rows[row].op != MU_OP_INFO)
            return rows[row].op;
    }
    return MU_OP_INFO;
}

enum mu_code mu_cmp_genm_ask(
    const struct mu_cmp_body *genm, struct mu_question *question, struct mu_err *err)
{
    size_t known = 0, for_ca = 0;

    if (genm->u.gen.n > MU_CMP_INFOS)
        return mu_err_set(err, MU_INPUT, MU_REFUSE_UNSUPPORTED,
            "cmp: %zu questions in one genm, one is meant (RFC 9483 4.3)", genm->u.gen.n);
    for (size_t i = 0; i < count(genm); i++) {
        const struct mu_cmp_info *info = &genm->u.gen.v[i];
        struct mu_cmp_crl_status status;
        int row = row_of(info);

        if (row < 0)
            continue;
        /* what the CA answers is one thing: a list for each of two issuers it has no place for */
        for_ca += rows[row].op != MU_OP_INFO;
        if (for_ca > 1)
            return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
                "cmp: this mixture of questions is not served, one genm asks one (RFC 9483 4.3)");
        known++;
        if (rows[row].it != MU_CMP_IT_CRL_STATUS_LIST)
            continue;
        if (!mu_cmp_genm_crl_status_decode(info->value, &status))
            return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED,
                "cmp: malformed crlStatusList (RFC 9483 4.3.4)");
        question->issuer = status.issuer;
        question->crl_since_s = status.this_update_s;
    }
    if (known == 0 && genm->u.gen.n != 0) /* CMP-99 */
        return mu_err_set(err, MU_UNSUPPORTED, MU_REFUSE_UNSUPPORTED,
            "cmp: this kind of general message is not served (RFC 9810 5.3.19)");
    return MU_OK;
}

/* unsupportedOIDs 7: SEQUENCE OF OBJECT IDENTIFIER. */
static void put_unknown(const struct mu_cmp_body *genm, struct mu_buf *out)
{
    size_t seq = mu_der_open(out, MU_DER_SEQUENCE);

    for (size_t i = 0; i < count(genm); i++)
        if (row_of(&genm->u.gen.v[i]) < 0)
            mu_der_put(out, MU_DER_OID, genm->u.gen.v[i].oid);
    mu_der_close(out, seq);
}

enum mu_code mu_cmp_genm_answer(const struct mu_cmp_body *genm,
    const struct mu_credential *credential, const struct mu_decision *decision,
    struct mu_cmp_body *genp, struct mu_buf *keep, struct mu_err *err)
{
    struct answer answers[MU_CMP_INFOS + 1];
    size_t ends[MU_CMP_INFOS + 1], n = 0, start = keep->n;
    bool unknown = false;
    enum mu_code rc;

    for (size_t i = 0; i < count(genm); i++) {
        const struct mu_cmp_info *info = &genm->u.gen.v[i];
        int row = row_of(info);

        unknown = unknown || row < 0;
        if (row < 0)
            continue;
        answers[n] = (struct answer){.it = rows[row].it};
        if ((rc = rows[row].call(info->value, credential, decision, &answers[n], keep, err)) != MU_OK)
            return rc;
        ends[n++] = keep->n;
    }
    if (unknown) {
        answers[n] = (struct answer){.it = MU_CMP_IT_UNSUPPORTED_OIDS};
        put_unknown(genm, keep);
        ends[n++] = keep->n;
    }
    if ((rc = mu_buf_check(keep, "genp", err)) != MU_OK)
        return rc;
    genp->type = MU_CMP_GENP;
    genp->u.gen.n = n < MU_CMP_INFOS ? n : MU_CMP_INFOS;
    for (size_t i = 0; i < genp->u.gen.n; start = ends[i++])
        genp->u.gen.v[i] = (struct mu_cmp_info){
            .oid = mu_cmp_it_oid(answers[i].it),
            .value = answers[i].absent ? mu_bytes(NULL, 0)
                                       : mu_bytes(keep->p + start, ends[i] - start),
        };
    return MU_OK;
}
