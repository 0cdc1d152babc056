/* The one decision of INTEROP 5.7: rules in their order, each traced, the first that fails refuses.
 */
#include "enroll/enroll_profile.h"

#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "enroll/enroll_profile_name.h"
#include "pki/pki_name.h"

/* One decision under way. */
struct work {
    const struct mu_enroll_profile *profile;
    const struct mu_enroll_facts *facts;
    const struct mu_env *env;
    int64_t now_s;
    struct mu_bytes san; /* what will be issued; n 0: none */
    struct mu_enroll_grant *grant;
    struct mu_err *err;
};

static void said(const struct work *w, const char *rule, const char *result)
{
    mu_trace(w->env, w->facts->proto, MU_TRACE_CHECK, "policy %s: %s", rule, result);
}

static enum mu_code check_protocol(struct work *w)
{
    if (w->profile->protocols != 0 && !(w->profile->protocols & (1u << w->facts->proto)))
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_UNSUPPORTED, "profile '%s' is not for %s",
            w->profile->name, mu_proto_name(w->facts->proto));
    return MU_OK;
}

static enum mu_code check_renewal(struct work *w)
{
    const struct mu_enroll_profile *p = w->profile;
    const struct mu_pki_cert *old = w->facts->renews;
    char when[MU_TIME_TEXT];
    bool same_key;

    if (old == NULL)
        return MU_OK;
    if (w->facts->renews_revoked)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SIGNER_REVOKED,
            "the certificate that signed the request is revoked");
    if (w->facts->approved)
        return MU_OK;
    if (w->now_s > old->not_after_s + p->renew_after_s)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_RENEWAL_LATE, "renewal was allowed until %s",
            mu_time_rfc3339(old->not_after_s + p->renew_after_s, when));
    if (w->now_s < old->not_before_s)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_CLOCK,
            "the certificate that signed the request is valid from %s",
            mu_time_rfc3339(old->not_before_s, when));
    if (p->renew_before_s != MU_PROFILE_RENEW_ANY
        && w->now_s < old->not_after_s - p->renew_before_s)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_RENEWAL_EARLY, "renewal allowed from %s",
            mu_time_rfc3339(old->not_after_s - p->renew_before_s, when));
    same_key = mu_bytes_equal(old->spki, w->facts->csr->spki);
    if (same_key && p->renew_key == MU_PROFILE_KEY_NEW)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_KEY_SEEN, "a renewal needs a new key here");
    if (!same_key && p->renew_key == MU_PROFILE_KEY_SAME)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SIGNER_KEY, "a renewal keeps its key here");
    if (p->renew_challenge && !w->facts->has_challenge)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_PASSWORD_MISSING,
            "an enrollment password is needed for a renewal too");
    return MU_OK;
}

static enum mu_code check_key(struct work *w)
{
    const struct mu_enroll_profile *p = w->profile;
    struct mu_pki_key_spec spec = {0};
    char shown[32];
    bool ok = false;
    enum mu_code rc;

    /* The key itself has been used: its signature over the request is verified. */
    if ((rc = mu_pki_key_spec_of_spki(w->facts->csr->spki, &spec, w->err)) != MU_OK) {
        if (w->err != NULL)
            mu_err_narrow(w->err, MU_REFUSE_KEY_WEAK);
        return rc;
    }
    switch (spec.type) {
    case MU_PKI_KEY_RSA:
        ok = p->rsa_min != 0 && spec.bits >= p->rsa_min;
        break;
    case MU_PKI_KEY_EC:
        ok = (spec.bits == 256 && p->ec_curves & 1) || (spec.bits == 384 && p->ec_curves & 2)
            || (spec.bits == 521 && p->ec_curves & 4);
        break;
    case MU_PKI_KEY_ED25519:
        ok = p->ed25519;
        break;
    case MU_PKI_KEY_ED448:
        ok = p->ed448;
        break;
    case MU_PKI_KEY_OTHER:
        break;
    }
    if (!ok)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_KEY_WEAK,
            "a key of %s is too weak or of a type that profile '%s' does not allow",
            mu_pki_key_spec_format(&spec, shown), p->name);
    return MU_OK;
}

/* After the subject: the name to be issued counts, not the one asked for. */
static enum mu_code check_key_seen(struct work *w)
{
    struct mu_buf name = {0};
    bool same;

    if (!w->profile->refuse_key_seen || w->facts->key_seen_as == NULL || w->facts->approved)
        return MU_OK;
    same = mu_pki_name_format(mu_buf_bytes(&w->grant->subject), MU_PKI_NAME_COMMA, &name)
        && strcmp(mu_buf_str(&name), w->facts->key_seen_as) == 0;
    mu_buf_clear(&name);
    if (same)
        return MU_OK;
    return mu_err_set(
        w->err, MU_DENIED, MU_REFUSE_KEY_SEEN, "this key was certified before under another name");
}

/* The subject of a first request. */
static enum mu_code first_subject(struct work *w)
{
    const struct mu_enroll_profile *p = w->profile;
    struct mu_bytes asked = w->facts->csr->subject, from = asked;
    struct mu_buf *out = &w->grant->subject;
    enum mu_code rc;

    if (p->subject_rule == MU_PROFILE_SUBJECT_FIXED)
        from = mu_buf_bytes(&p->subject_fixed);
    else if (p->subject_rule == MU_PROFILE_SUBJECT_PATTERN
        && (rc = mu_enroll_profile_name_fits(p, asked, w->err)) != MU_OK)
        return rc;
    if ((rc = mu_enroll_profile_name_apply(p, from, out, w->err)) != MU_OK)
        return rc;
    if (p->subject_differs == MU_PROFILE_OVERRIDE || mu_pki_name_equal(asked, mu_buf_bytes(out)))
        return MU_OK;
    if (p->subject_differs == MU_PROFILE_REFUSE)
        return mu_err_set(
            w->err, MU_DENIED, MU_REFUSE_NAME, "profile '%s' allows another subject only", p->name);
    mu_buf_reset(out); /* accept: as asked for */
    mu_buf_put_bytes(out, asked);
    return MU_OK;
}

/* A renewal keeps its name, even if the rules have become tighter since (INTEROP 5.10); asked for
 * may be that name, or the one which the rules turn into it. */
static enum mu_code renewed_subject(struct work *w)
{
    struct mu_bytes asked = w->facts->csr->subject, old = w->facts->renews->subject;
    struct mu_buf applied = {0};
    char is[160], was[160];
    enum mu_code rc = MU_OK;
    bool same = mu_pki_name_equal(asked, old) || mu_pki_name_is_empty(asked);

    if (!same && (rc = mu_enroll_profile_name_apply(w->profile, asked, &applied, w->err)) == MU_OK)
        same = mu_pki_name_equal(mu_buf_bytes(&applied), old);
    mu_buf_clear(&applied);
    if (rc != MU_OK)
        return rc;
    if (!same) {
        struct mu_buf a = {0}, b = {0};

        mu_pki_name_format(asked, MU_PKI_NAME_COMMA, &a);
        mu_pki_name_format(old, MU_PKI_NAME_COMMA, &b);
        mu_text_escape_to(is, sizeof is, mu_buf_bytes(&a));
        mu_text_escape_to(was, sizeof was, mu_buf_bytes(&b));
        mu_buf_clear(&a);
        mu_buf_clear(&b);
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
            "the subject \"%s\" differs from that of the current certificate, \"%s\"", is, was);
    }
    mu_buf_put_bytes(&w->grant->subject, old);
    return MU_OK;
}

static enum mu_code check_subject(struct work *w)
{
    if (w->facts->renews == NULL)
        return first_subject(w);
    if (!w->facts->new_name)
        return renewed_subject(w);
    if (!w->profile->name_change)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
            "profile '%s' does not change names (name-change)", w->profile->name);
    return first_subject(w);
}

static enum mu_code check_san(struct work *w)
{
    const struct mu_enroll_profile *p = w->profile;
    struct mu_bytes asked = w->facts->csr->exts.san;
    const struct mu_pki_cert *old = w->facts->new_name ? NULL : w->facts->renews;
    bool had = old != NULL && old->exts.san.n != 0 && asked.n != 0
        && mu_pki_san_subset(asked, old->exts.san);
    enum mu_code rc;

    if (asked.n == 0 || (p->san_rule == MU_PROFILE_SAN_DROP && !had))
        goto out;
    if (!had) {
        if (p->san_rule == MU_PROFILE_SAN_REFUSE)
            return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SAN,
                "profile '%s' allows no subject alternative name", p->name);
        if ((rc = mu_enroll_profile_san_fits(p, asked, w->err)) != MU_OK)
            return rc;
        /* SCEP-69: the old certificate vouches for its own names only. */
        if (old != NULL && p->san_rule == MU_PROFILE_SAN_ACCEPT && !w->facts->approved)
            return mu_err_set(w->err, MU_DENIED, MU_REFUSE_SUBJECT_DIFFERS,
                "the renewal asks for alternative names that the current certificate does not "
                "have");
    }
    w->san = asked;
out:
    if (w->san.n == 0 && mu_pki_name_is_empty(mu_buf_bytes(&w->grant->subject))) /* CA-06 */
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_NAME,
            "the request has neither a subject nor an alternative name (RFC 5280 4.1.2.6)");
    return MU_OK;
}

static enum mu_code check_dates(struct work *w)
{
    const struct mu_pki_cert *issuer = w->facts->issuer;
    struct mu_enroll_grant *g = w->grant;
    char when[MU_TIME_TEXT];

    g->not_before_s = w->now_s - w->profile->backdate_s;
    g->not_after_s = w->now_s + w->profile->lifetime_s;
    if (w->now_s > issuer->not_after_s)
        return mu_err_set(w->err, MU_DENIED, MU_REFUSE_INTERNAL, "the CA certificate expired on %s",
            mu_time_plain(issuer->not_after_s, when));
    if (g->not_after_s > issuer->not_after_s) /* CA-04 */
        g->not_after_s = issuer->not_after_s;
    if (g->not_before_s < issuer->not_before_s)
        g->not_before_s = issuer->not_before_s;
    if (g->not_before_s >= g->not_after_s)
        return mu_err_set(
            w->err, MU_DENIED, MU_REFUSE_CLOCK, "the CA certificate is not valid yet");
    return MU_OK;
}

/* CMP-59: whoever holds such a certificate speaks for the CA; a person has to say so each time. */
static bool delegates(const struct mu_enroll_profile *p)
{
    return p->has_eku && (p->eku & (MU_EKU_CMC_CA | MU_EKU_CMC_RA | MU_EKU_CM_KGA));
}

static enum mu_code check_approval(struct work *w)
{
    w->grant->manual = !w->facts->approved
        && (delegates(w->profile)
            || (w->profile->manual && (w->facts->renews == NULL || w->profile->manual_renewal)));
    return MU_OK;
}

/* ---- extensions ---- */

/* What a request may ask for by itself. The others come from the profile only (CA-11). */
enum {
    FREE_KU = MU_KU_DIGITAL_SIGNATURE | MU_KU_NON_REPUDIATION | MU_KU_KEY_ENCIPHERMENT
        | MU_KU_DATA_ENCIPHERMENT | MU_KU_KEY_AGREEMENT | MU_KU_ENCIPHER_ONLY | MU_KU_DECIPHER_ONLY,
    FREE_EKU = MU_EKU_SERVER_AUTH | MU_EKU_CLIENT_AUTH | MU_EKU_EMAIL | MU_EKU_IPSEC_IKE,
};

static void put_usages(struct work *w, struct mu_buf *b)
{
    const struct mu_enroll_profile *p = w->profile;
    const struct mu_pki_exts *asked = &w->facts->csr->exts;
    unsigned ku = p->has_key_usage ? p->key_usage : 0, eku = p->has_eku ? p->eku : 0;

    if (p->usage_from_request && asked->has_key_usage && (asked->key_usage & FREE_KU))
        ku = asked->key_usage & FREE_KU;
    if (p->usage_from_request && asked->has_eku && (asked->eku & (FREE_EKU | eku)))
        eku = asked->eku & (FREE_EKU | eku);
    if (asked->is_ca || (asked->has_key_usage && asked->key_usage & ~(unsigned)FREE_KU))
        said(w, "usage", "a CA certificate was asked for; not granted");
    mu_pki_ext_put_basic(b, p->critical & MU_PROFILE_CRITICAL_BASIC, false, -1);
    if (ku != 0)
        mu_pki_ext_put_key_usage(b, p->critical & MU_PROFILE_CRITICAL_KEY_USAGE, ku);
    if (eku != 0)
        mu_pki_ext_put_eku(b, eku);
}

static enum mu_code put_extensions(struct work *w)
{
    const struct mu_enroll_facts *f = w->facts;
    struct mu_buf *b = &w->grant->extensions;
    size_t mark = mu_der_open(b, MU_DER_SEQUENCE);
    uint8_t skid[20];

    put_usages(w, b);
    if (!mu_pki_key_id(f->csr->spki, skid))
        return mu_err_set(w->err, MU_INPUT, MU_REFUSE_MALFORMED, "the public key is malformed");
    mu_pki_ext_put_skid(b, skid);
    if (f->issuer->exts.skid.n != 0)
        mu_pki_ext_put_akid(b, f->issuer->exts.skid);
    if (w->san.n != 0) /* CA-06: critical if it is the only name */
        mu_pki_ext_put_san(b, mu_pki_name_is_empty(mu_buf_bytes(&w->grant->subject)), w->san);
    if (w->profile->pointers && f->crl_url != NULL && *f->crl_url != '\0')
        mu_pki_ext_put_crl_dp(b, f->crl_url);
    if (w->profile->pointers
        && ((f->ocsp_url != NULL && *f->ocsp_url != '\0')
            || (f->ca_issuers_url != NULL && *f->ca_issuers_url != '\0')))
        mu_pki_ext_put_aia(b, f->ocsp_url != NULL && *f->ocsp_url != '\0' ? f->ocsp_url : NULL,
            f->ca_issuers_url != NULL && *f->ca_issuers_url != '\0' ? f->ca_issuers_url : NULL);
    mu_der_close(b, mark);
    return mu_buf_check(b, "extensions", w->err);
}

static const struct {
    const char *rule;
    enum mu_code (*check)(struct work *);
} rules[] = {
    {"protocol", check_protocol},
    {"renewal", check_renewal},
    {"key", check_key},
    {"subject", check_subject},
    {"key-seen", check_key_seen},
    {"san", check_san},
    {"dates", check_dates},
    {"approval", check_approval},
    {"extensions", put_extensions},
};

enum mu_code mu_enroll_profile_decide(const struct mu_enroll_profile *profile,
    const struct mu_enroll_facts *facts, const struct mu_env *env, struct mu_enroll_grant *grant,
    struct mu_err *err)
{
    struct mu_enroll_grant made = {0};
    struct mu_err local = {0};
    struct work w = {.profile = profile,
        .facts = facts,
        .env = env,
        .now_s = mu_env_now(env),
        .grant = &made,
        .err = err != NULL ? err : &local};
    enum mu_code rc;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if ((rc = rules[i].check(&w)) != MU_OK) {
            said(&w, rules[i].rule, w.err->what);
            mu_enroll_grant_clear(&made);
            return rc;
        }
        said(&w, rules[i].rule,
            made.manual && rules[i].check == check_approval ? "by a person" : "ok");
    }
    if (made.subject.failed) {
        mu_enroll_grant_clear(&made);
        return mu_err_set(err, MU_MEMORY, MU_REFUSE_INTERNAL, "out of memory for a subject");
    }
    *grant = made;
    return MU_OK;
}

void mu_enroll_grant_clear(struct mu_enroll_grant *grant)
{
    mu_buf_clear(&grant->subject);
    mu_buf_clear(&grant->extensions);
}

bool mu_enroll_profile_template(const struct mu_pki_csr *csr, struct mu_buf *out)
{
    struct mu_bytes in = csr->exts.template_name_raw;
    struct mu_der el;

    return in.p != NULL && mu_der_next(&in, &el) && mu_der_string(&el, out) && out->n != 0;
}
