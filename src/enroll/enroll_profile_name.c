/* What a profile does to names: parts dropped and set, patterns. Works on DER, so what stays is
 * issued byte for byte as it was asked for. */
#include "enroll/enroll_profile_name.h"

#include "base/text.h"
#include "pki/pki_name.h"

static const uint8_t oid_cn[] = {0x06, 0x03, 0x55, 0x04, 0x03};

static enum mu_code bad_name(struct mu_err *err)
{
    return mu_err_set(
        err, MU_INPUT, MU_REFUSE_NAME, "the subject is no valid Name (RFC 5280 4.1.2.4)");
}

/* The OID element of an AttributeTypeAndValue. */
static bool type_of(struct mu_bytes atv, struct mu_bytes *oid)
{
    struct mu_der el;

    if (!mu_der_get(&atv, MU_DER_OID, &el))
        return false;
    *oid = el.whole;
    return true;
}

/* The type of the first attribute of an RDN. */
static bool rdn_type(struct mu_bytes rdn, struct mu_bytes *oid)
{
    struct mu_der el;

    return mu_der_get(&rdn, MU_DER_SEQUENCE, &el) && type_of(el.value, oid);
}

static bool is_dropped(const struct mu_enroll_profile *p, struct mu_bytes oid)
{
    struct mu_bytes in = mu_buf_bytes(&p->subject_drop);
    struct mu_der el;

    while (mu_der_next(&in, &el))
        if (mu_bytes_equal(el.whole, oid))
            return true;
    return false;
}

enum { SET_MAX = 32 };

/* The RDNs of subject-set and which of them are written. */
struct setter {
    struct mu_bytes rdn[SET_MAX], type[SET_MAX];
    bool done[SET_MAX], in_name[SET_MAX];
    size_t n;
};

static int set_index(const struct setter *s, struct mu_bytes oid)
{
    for (size_t i = 0; i < s->n; i++)
        if (mu_bytes_equal(s->type[i], oid))
            return (int)i;
    return -1;
}

/* Writes the RDNs of this type not written yet; with oid n 0: all, or all whose type the name
 * lacks. */
static void put_set(struct setter *s, struct mu_bytes oid, bool lacking_only, struct mu_buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->done[i] || (oid.n != 0 && !mu_bytes_equal(s->type[i], oid))
            || (lacking_only && s->in_name[i]))
            continue;
        s->done[i] = true;
        mu_buf_put_bytes(out, s->rdn[i]);
    }
}

static bool setter_init(struct setter *s, const struct mu_enroll_profile *p, struct mu_bytes name)
{
    struct mu_bytes in = mu_buf_bytes(&p->subject_set), atvs, oid;
    struct mu_der rdn, atv;
    int at;

    for (; s->n < SET_MAX && mu_der_next(&in, &rdn); s->n++) {
        s->rdn[s->n] = rdn.whole;
        if (!rdn_type(rdn.value, &s->type[s->n]))
            return false;
    }
    while (name.n != 0) {
        if (!mu_der_get(&name, MU_DER_SET, &rdn))
            return false;
        for (atvs = rdn.value; atvs.n != 0;) {
            if (!mu_der_get(&atvs, MU_DER_SEQUENCE, &atv) || !type_of(atv.value, &oid))
                return false;
            if ((at = set_index(s, oid)) >= 0)
                for (size_t i = 0; i < s->n; i++)
                    s->in_name[i] |= mu_bytes_equal(s->type[i], oid);
        }
    }
    return true;
}

/* One RDN of the asked name without what is dropped or set. */
static void put_rdn(
    const struct mu_enroll_profile *p, struct setter *s, struct mu_bytes rdn, struct mu_buf *out)
{
    struct mu_bytes oid = {0};
    struct mu_buf kept = {0};
    struct mu_der atv;

    while (mu_der_next(&rdn, &atv) && type_of(atv.value, &oid)) {
        if (set_index(s, oid) >= 0)
            put_set(s, oid, false, out);
        else if (!is_dropped(p, oid)) {
            if (oid.n == sizeof oid_cn && memcmp(oid.p, oid_cn, oid.n) == 0)
                put_set(s, (struct mu_bytes){0}, true, out);
            mu_buf_put_bytes(&kept, atv.whole);
        }
    }
    if (kept.n != 0)
        mu_der_put(out, MU_DER_SET, mu_buf_bytes(&kept));
    out->failed |= kept.failed;
    mu_buf_clear(&kept);
}

enum mu_code mu_enroll_profile_name_apply(const struct mu_enroll_profile *profile,
    struct mu_bytes asked, struct mu_buf *out, struct mu_err *err)
{
    struct setter set = {0};
    struct mu_der name, rdn;
    struct mu_bytes in;
    size_t mark;

    if (!mu_der_only(asked, MU_DER_SEQUENCE, &name) || !setter_init(&set, profile, name.value))
        return bad_name(err);
    mark = mu_der_open(out, MU_DER_SEQUENCE);
    for (in = name.value; in.n != 0;) {
        if (!mu_der_get(&in, MU_DER_SET, &rdn))
            return bad_name(err);
        put_rdn(profile, &set, rdn.value, out);
    }
    put_set(&set, (struct mu_bytes){0}, false, out);
    mu_der_close(out, mark);
    return mu_buf_check(out, "subject", err);
}

bool mu_enroll_profile_glob(const char *glob, const char *text)
{
    if (strcmp(glob, text) == 0)
        return true;
    if (strchr(text, '*') != NULL)
        return false;
    for (; *glob != '\0' && *glob != '*'; glob++, text++) {
        bool same = *text != '\0' && (*glob | 0x20) == (*text | 0x20)
            && ((*glob == *text) || ((*glob | 0x20) >= 'a' && (*glob | 0x20) <= 'z'));

        if (!same)
            return false;
    }
    if (*glob == '\0')
        return *text == '\0';
    for (;; text++) {
        if (mu_enroll_profile_glob(glob + 1, text))
            return true;
        if (*text == '\0')
            return false;
    }
}

struct fit {
    const struct mu_profile_pattern *pattern;
    bool seen, bad;
    char value[128]; /* the first that does not fit, escaped */
};

static void fit_part(void *cookie, const char *type, const char *value)
{
    struct fit *fit = cookie;

    if (!mu_text_equal_nocase(type, fit->pattern->type))
        return;
    fit->seen = true;
    if (!fit->bad && !mu_enroll_profile_glob(fit->pattern->glob, value)) {
        fit->bad = true;
        mu_text_escape_to(fit->value, sizeof fit->value, mu_bytes_str(value));
    }
}

enum mu_code mu_enroll_profile_name_fits(
    const struct mu_enroll_profile *profile, struct mu_bytes asked, struct mu_err *err)
{
    for (size_t i = 0; i < profile->subject_pattern_n; i++) {
        struct fit fit = {.pattern = &profile->subject_patterns[i]};

        if (!mu_pki_name_each(asked, fit_part, &fit))
            return bad_name(err);
        if (!fit.seen)
            return mu_err_set(err, MU_DENIED, MU_REFUSE_NAME,
                "the subject has no %s, profile '%s' wants %s=%s", fit.pattern->type, profile->name,
                fit.pattern->type, fit.pattern->glob);
        if (fit.bad)
            return mu_err_set(err, MU_DENIED, MU_REFUSE_NAME,
                "subject %s=%s is not allowed, profile '%s' wants %s=%s", fit.pattern->type,
                fit.value, profile->name, fit.pattern->type, fit.pattern->glob);
    }
    return MU_OK;
}

struct san_fit {
    const struct mu_enroll_profile *profile;
    bool bad_form, bad_name;
    char value[128];
};

/* CA-12: the forms that RFC 5280 4.2.1.6 gives and that somebody can use. */
static bool form_ok(struct mu_bytes general_name)
{
    struct mu_der el;

    if (!mu_der_next(&general_name, &el) || el.value.n == 0)
        return false;
    switch (el.tag) {
    case MU_DER_CONTEXT(1): /* rfc822Name */
    case MU_DER_CONTEXT(2): /* dNSName */
    case MU_DER_CONTEXT(6): /* URI */
        for (size_t i = 0; i < el.value.n; i++)
            if (el.value.p[i] <= 0x20 || el.value.p[i] >= 0x7f)
                return false;
        return true;
    case MU_DER_CONTEXT(7):
        return el.value.n == 4 || el.value.n == 16;
    case MU_DER_CONTEXT(8): /* registeredID */
    case MU_DER_CONTEXT_CONSTRUCTED(0): /* otherName */
    case MU_DER_CONTEXT_CONSTRUCTED(4): /* directoryName */
        return true;
    default:
        return false;
    }
}

static void fit_san(void *cookie, const char *text, struct mu_bytes general_name)
{
    struct san_fit *fit = cookie;
    bool fits = fit->profile->san_rule != MU_PROFILE_SAN_PATTERN;

    if (fit->bad_form || fit->bad_name)
        return;
    fit->bad_form = !form_ok(general_name);
    for (size_t i = 0; !fits && i < fit->profile->san_pattern_n; i++)
        fits = mu_enroll_profile_glob(fit->profile->san_patterns[i].glob, text);
    fit->bad_name = !fits;
    if (fit->bad_form || fit->bad_name)
        mu_text_escape_to(fit->value, sizeof fit->value, mu_bytes_str(text));
}

enum mu_code mu_enroll_profile_san_fits(
    const struct mu_enroll_profile *profile, struct mu_bytes san, struct mu_err *err)
{
    struct san_fit fit = {.profile = profile};

    if (!mu_pki_san_each(san, fit_san, &fit))
        return mu_err_set(err, MU_INPUT, MU_REFUSE_SAN,
            "the subject alternative name is malformed (RFC 5280 4.2.1.6)");
    if (fit.bad_form)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SAN,
            "alternative name %s has a form that is not allowed (RFC 5280 4.2.1.6)", fit.value);
    if (fit.bad_name)
        return mu_err_set(err, MU_DENIED, MU_REFUSE_SAN,
            "alternative name %s is not allowed by profile '%s'", fit.value, profile->name);
    return MU_OK;
}
