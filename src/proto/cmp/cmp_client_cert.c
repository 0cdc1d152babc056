/* The certificate of an ip, cp or kup: ours and good, or rejected by certConf (CMP-72, IOP-38). */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/time.h"
#include "pki/pki_cms.h"
#include "proto/cmp/cmp_client_internal.h"

enum { SKEW_S = 86400 };

size_t mu_cmp_client_cert_hash(const struct mu_pki_cert *cert, uint8_t out[64])
{
    return mu_pki_sig_hash(cert->sig_alg, cert->der, out);
}

/* The key may be encoded in another way than ours is. */
static bool is_our_key(const struct mu_cmp_client *c, const struct mu_pki_cert *cert)
{
    struct mu_bytes want = c->csr != NULL ? c->csr->spki
        : c->new_key != NULL              ? mu_pki_key_spki(c->new_key)
                                          : mu_pki_key_spki(c->config.key);
    struct mu_pki_key *key = NULL, *ours = NULL;
    bool same = mu_bytes_equal(cert->spki, want);

    if (!same && mu_pki_key_from_spki(cert->spki, &key, NULL) == MU_OK
        && mu_pki_key_from_spki(want, &ours, NULL) == MU_OK)
        same = mu_pki_key_equal(key, ours);
    mu_pki_key_free(key);
    mu_pki_key_free(ours);
    return same;
}

static enum mu_code add_all(
    struct mu_pki_certs *to, const struct mu_pki_certs *from, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    size_t i;

    for (i = 0; i < from->n && to->n < MU_LIMIT_CERTS && rc == MU_OK; i++)
        rc = mu_pki_certs_add(to, from->v[i], err);
    return rc;
}

/* CMP-71: caPubs may bring the anchor only in an ip, by MAC, and if that is wished for. Taken or
 * not, they are there to be shown and to complete a chain. */
static enum mu_code take_ca_pubs(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_pki_certs *anchors, struct mu_err *err)
{
    size_t unread = 0;
    enum mu_code rc;

    mu_pki_certs_clear(&c->ca_certs);
    rc = mu_cmp_msg_get_certs(msg->body.u.rep.ca_pubs, &c->ca_certs, &unread, err);
    if (rc == MU_OK)
        rc = add_all(anchors, &c->trusted, err);
    if (rc != MU_OK || c->ca_certs.n == 0)
        return rc;
    if (msg->body.type != MU_CMP_IP) {
        mu_cmp_client_warn(c, MU_TRACE_REPLY, "caPubs in a %s are ignored (RFC 9483 4.1.2)",
            mu_cmp_type_name(msg->body.type));
        mu_pki_certs_clear(&c->ca_certs);
    } else if (c->config.trust_ca_pubs && mu_cmp_client_by_mac(c)) {
        rc = add_all(anchors, &c->ca_certs, err);
    }
    return rc;
}

/* Our clock may be behind the CA's by a little. */
static int64_t moment(struct mu_cmp_client *c, const struct mu_pki_cert *cert)
{
    int64_t now_s = mu_env_now(c->config.env);
    char from[MU_TIME_TEXT], is[MU_TIME_TEXT];

    if (now_s >= cert->not_before_s || cert->not_before_s - now_s > SKEW_S)
        return now_s;
    mu_cmp_client_warn(c, MU_TRACE_CERT, "valid only from %s, our clock says %s",
        mu_time_plain(cert->not_before_s, from), mu_time_plain(now_s, is));
    return cert->not_before_s;
}

/* Key and path. MU_OK, or why it is no good. */
static enum mu_code judge(struct mu_cmp_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *pool, const struct mu_pki_certs *anchors, struct mu_err *err)
{
    struct mu_pki_path_opts opts = {
        .now_s = moment(c, cert),
        .partial = true,
        .allow_legacy = c->config.allow_legacy,
    };
    enum mu_code rc;

    c->reject_bit = MU_CMP_INCORRECT_DATA;
    if (!is_our_key(c, cert))
        return mu_err_set(err, MU_AUTH, MU_M(214),
            "cmp: the issued certificate belongs to another key (transaction %s)", c->transaction_hex);
    rc = mu_pki_path_check(cert, pool, anchors, &opts, err);
    if (rc != MU_OK)
        mu_err_context(err, "cmp: the issued certificate");
    c->reject_bit = MU_CMP_SIGNER_NOT_TRUSTED;
    return rc;
}

/* Certificate, chain (issuer first), and both for SAVE. */
static enum mu_code keep(struct mu_cmp_client *c, struct mu_pki_cert *cert,
    const struct mu_pki_certs *pool, struct mu_err *err)
{
    enum mu_code rc;

    mu_pki_certs_clear(&c->chain);
    mu_pki_certs_clear(&c->save);
    mu_pki_cert_free(c->cert);
    c->cert = mu_pki_cert_ref(cert);
    rc = mu_pki_certs_chain(cert, pool, &c->chain, err);
    if (rc == MU_OK)
        rc = mu_pki_certs_add(&c->save, cert, err);
    return rc == MU_OK ? add_all(&c->save, &c->chain, err) : rc;
}

/* CMP-72: the CA is told by certConf, unless it waits for no word from us. */
static enum mu_code reject(struct mu_cmp_client *c, const struct mu_err *why, struct mu_err *err)
{
    if (c->implicit) {
        if (err != NULL)
            *err = *why;
        return why->code;
    }
    c->rejected = *why;
    c->phase = MU_CMP_PHASE_REJECT;
    return MU_OK;
}

static enum mu_code take(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_pki_certs pool = {.n = 0}, anchors = {.n = 0};
    struct mu_err why = {.code = MU_OK};
    enum mu_code rc, good;

    if ((rc = take_ca_pubs(c, msg, &anchors, err)) != MU_OK
        || (rc = add_all(&pool, &msg->extra, err)) != MU_OK
        || (rc = add_all(&pool, &c->ca_certs, err)) != MU_OK
        || (rc = add_all(&pool, &anchors, err)) != MU_OK
        || (rc = add_all(&pool, &c->peer, err)) != MU_OK
        || (rc = add_all(&pool, &c->signer_chain, err)) != MU_OK)
        goto out;
    c->implicit = msg->header.implicit_confirm;
    good = judge(c, cert, &pool, &anchors, &why);
    rc = keep(c, cert, &pool, err);
    if (rc == MU_OK && good != MU_OK) {
        why.code = good;
        rc = reject(c, &why, err);
    }
out:
    mu_pki_certs_clear(&pool);
    mu_pki_certs_clear(&anchors);
    return rc;
}

/* CMP-86: a certificate is of no use without its key, which was made elsewhere and did not come, or
 * came from who may not make it. */
static enum mu_code take_key(struct mu_cmp_client *c, const struct mu_cmp_msg *msg,
    struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_err why = {.code = MU_OK};
    enum mu_code rc = mu_cmp_client_key_take(c, msg, &why);

    if (rc == MU_OK)
        return MU_OK;
    why.code = rc;
    c->implicit = msg->header.implicit_confirm || rc == MU_MEMORY;
    c->reject_bit = MU_CMP_INCORRECT_DATA;
    mu_pki_cert_free(c->cert);
    c->cert = mu_pki_cert_ref(cert);
    return reject(c, &why, err);
}

/* CMP-66: the certificate out of its envelope, which only the key it is for opens. */
static enum mu_code open_cert(
    struct mu_cmp_client *c, struct mu_bytes in, struct mu_pki_cert **cert, struct mu_err *err)
{
    struct mu_pki_enveloped e = {.der = {.max = 0}};
    struct mu_buf plain = {.max = MU_LIMIT_MESSAGE, .secret = true};
    enum mu_code rc = mu_pki_enveloped_decode_bare(in, &e, err);

    if (rc == MU_OK)
        rc = mu_pki_enveloped_open_from(&e, c->config.key, &c->peer, c->config.allow_legacy, &plain, err);
    if (rc == MU_OK)
        rc = mu_pki_cert_decode(mu_buf_bytes(&plain), cert, err);
    if (rc == MU_OK)
        mu_cmp_client_trace(c, MU_TRACE_CERT, "came encrypted, opened with our key");
    else
        mu_err_context(err, "cmp: the encrypted certificate (RFC 9810 5.2.8.3.2)");
    mu_pki_enveloped_clear(&e);
    mu_buf_clear(&plain);
    return rc;
}

enum mu_code mu_cmp_client_cert_take(
    struct mu_cmp_client *c, const struct mu_cmp_msg *msg, struct mu_err *err)
{
    const struct mu_cmp_cert_response *r = &msg->body.u.rep.response;
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if (r->cert.p == NULL && (r->encrypted_cert.p == NULL || c->config.key == NULL))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_MALFORMED, "cmp: accepted, but %s (RFC 9483 4.1.1)",
            r->has_encrypted_value       ? "the certificate comes in the old form (EncryptedValue)"
                : r->encrypted_cert.p != NULL ? "the certificate is encrypted, and there is no key here"
                                              : "there is no certificate");
    rc = r->cert.p != NULL ? mu_pki_cert_decode(r->cert, &cert, err) : open_cert(c, r->encrypted_cert, &cert, err);
    if (rc == MU_OK && c->config.central_keygen)
        rc = take_key(c, msg, cert, err);
    if (rc == MU_OK && c->phase != MU_CMP_PHASE_REJECT)
        rc = take(c, msg, cert, err);
    if (rc == MU_OK && c->granted_with_mods) /* what it was, the host tells */
        mu_cmp_client_trace(c, MU_TRACE_CHANGED, "the CA changed what was asked for (grantedWithMods)");
    mu_pki_cert_free(cert);
    return rc;
}
