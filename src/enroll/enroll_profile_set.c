/* The keys of profiles: one row says how each is read, and what it is when not given. */
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"
#include "enroll/enroll_csrattrs.h"
#include "enroll/enroll_profile_internal.h"

enum mu_code mu_profile_bad(struct mu_err *err, const char *value, const char *wanted)
{
    char shown[120];

    return mu_err_set(err, MU_INPUT, MU_M(706), "'%s' is not %s",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(value)), wanted);
}

enum mu_code mu_profile_each_word(const char *list,
    enum mu_code (*call)(void *, char *, struct mu_err *), void *cookie, struct mu_err *err)
{
    char *copy = NULL, *next, *word;
    enum mu_code rc;

    if ((rc = mu_text_dup(list, &copy, err)) != MU_OK)
        return rc;
    for (next = copy; rc == MU_OK && (word = strsep(&next, ",")) != NULL;) {
        word = mu_text_trim(word);
        if (*word != '\0')
            rc = call(cookie, word, err);
    }
    free(copy);
    return rc;
}

/* ---- generic setters ---- */

static enum mu_code set_bool(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    bool *out = (bool *)((char *)p + offset);

    if (mu_text_equal_nocase(value, "yes") || mu_text_equal_nocase(value, "enable"))
        *out = true;
    else if (mu_text_equal_nocase(value, "no") || mu_text_equal_nocase(value, "disable"))
        *out = false;
    else
        return mu_profile_bad(err, value, "yes or no");
    return MU_OK;
}

static enum mu_code set_duration(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    return mu_text_duration(value, (int64_t *)(void *)((char *)p + offset), err);
}

static enum mu_code set_text(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    char **out = (char **)(void *)((char *)p + offset), *copy = NULL;
    enum mu_code rc;

    if (mu_text_equal_nocase(value, "none"))
        value = "";
    if ((rc = mu_text_dup(value, &copy, err)) != MU_OK)
        return rc;
    free(*out);
    *out = copy;
    return MU_OK;
}

static enum mu_code set_count(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    int64_t *out = (int64_t *)(void *)((char *)p + offset);
    char number[24];
    size_t n = strcspn(value, "/");

    if (mu_text_equal_nocase(value, "none")) {
        *out = 0;
        return MU_OK;
    }
    if (n >= sizeof number || (value[n] != '\0' && strcmp(value + n, "/h") != 0))
        return mu_profile_bad(err, value, "a number");
    memcpy(number, value, n);
    number[n] = '\0';
    return mu_text_int(number, 0, 1000000000, out, err);
}

/* ---- one setter per kind of key ---- */

static enum mu_code add_protocol(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;
    enum mu_proto proto = mu_proto_parse(word);

    if (proto == MU_PROTO_NONE && !mu_text_equal_nocase(word, "all"))
        return mu_profile_bad(err, word, "scep, est, cmp or all");
    if (proto != MU_PROTO_NONE)
        p->protocols |= 1u << proto;
    return MU_OK;
}

static enum mu_code set_protocols(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->protocols = 0;
    return mu_profile_each_word(value, add_protocol, p, err);
}

enum mu_code mu_profile_set_choice(
    int *out, const char *value, const char *const *words, const char *wanted, struct mu_err *err)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (mu_text_equal_nocase(value, words[i])) {
            *out = i;
            return MU_OK;
        }
    }
    return mu_profile_bad(err, value, wanted);
}

static enum mu_code set_approval(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"auto", "manual", "always", NULL};
    int i = 0;
    enum mu_code rc = mu_profile_set_choice(&i, value, words, "auto, manual or always", err);

    p->manual = i >= 1;
    p->manual_renewal = i == 2;
    return rc;
}

static enum mu_code set_password(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"random once", "random reusable", "given", "none", NULL};
    int i = 0;
    enum mu_code rc =
        mu_profile_set_choice(&i, value, words, "'random once', 'random reusable', 'given' or 'none'", err);

    p->password = (enum mu_profile_password)i;
    return rc;
}

static enum mu_code set_differs(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"override", "refuse", "accept", NULL};
    int i = 0;
    enum mu_code rc = mu_profile_set_choice(&i, value, words, "override, refuse or accept", err);

    p->subject_differs = (enum mu_profile_differs)i;
    return rc;
}

static enum mu_code set_key_seen(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"accept", "refuse", NULL};
    int i = 0;
    enum mu_code rc = mu_profile_set_choice(&i, value, words, "accept or refuse", err);

    p->refuse_key_seen = i == 1;
    return rc;
}

static enum mu_code set_renew_key(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"either", "new", "same", NULL};
    int i = 0;
    enum mu_code rc = mu_profile_set_choice(&i, value, words, "either, new or same", err);

    p->renew_key = (enum mu_profile_renew_key)i;
    return rc;
}

static enum mu_code set_renew_before(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    if (mu_text_equal_nocase(value, "any")) {
        p->renew_before_s = MU_PROFILE_RENEW_ANY;
        return MU_OK;
    }
    return mu_text_duration(value, &p->renew_before_s, err);
}

static enum mu_code set_lifetime(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    int64_t s;
    enum mu_code rc = mu_text_duration(value, &s, err);

    if (rc != MU_OK)
        return rc;
    if (s < 60)
        return mu_profile_bad(err, value, "a lifetime: at least 1min");
    p->lifetime_s = s;
    return MU_OK;
}

static enum mu_code add_key(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;
    struct mu_pki_key_spec spec;
    enum mu_code rc = mu_pki_key_spec_parse(word, true, &spec, err);

    if (rc != MU_OK)
        return rc;
    if (spec.type == MU_PKI_KEY_RSA && (p->rsa_min == 0 || spec.bits < p->rsa_min))
        p->rsa_min = spec.bits;
    else if (spec.type == MU_PKI_KEY_EC)
        p->ec_curves |= spec.bits == 256 ? 1u : spec.bits == 384 ? 2u : 4u;
    p->ed25519 |= spec.type == MU_PKI_KEY_ED25519;
    p->ed448 |= spec.type == MU_PKI_KEY_ED448;
    return MU_OK;
}

static enum mu_code set_keys(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->rsa_min = p->ec_curves = 0;
    p->ed25519 = p->ed448 = false;
    return mu_profile_each_word(value, add_key, p, err);
}

static enum mu_code set_key_usage(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    enum mu_code rc;

    p->key_usage = 0;
    p->has_key_usage = !mu_text_equal_nocase(value, "none") && *value != '\0';
    if (!p->has_key_usage)
        return MU_OK;
    if ((rc = mu_pki_key_usage_parse(value, &p->key_usage, err)) != MU_OK)
        return rc;
    if (p->key_usage & (MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN)) /* CA-10 */
        return mu_profile_bad(err, value,
            "for end entities: keyCertSign and cRLSign belong to CAs (RFC 5280 4.2.1.3)");
    return MU_OK;
}

static enum mu_code set_eku(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->eku = 0;
    p->has_eku = !mu_text_equal_nocase(value, "none") && *value != '\0';
    return p->has_eku ? mu_pki_eku_parse(value, &p->eku, err) : MU_OK;
}

static enum mu_code add_critical(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;

    if (mu_text_equal_nocase(word, "basic"))
        p->critical |= MU_PROFILE_CRITICAL_BASIC;
    else if (mu_text_equal_nocase(word, "key-usage"))
        p->critical |= MU_PROFILE_CRITICAL_KEY_USAGE;
    else if (!mu_text_equal_nocase(word, "none"))
        return mu_profile_bad(err, word, "basic, key-usage or none");
    return MU_OK;
}

static enum mu_code set_critical(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->critical = 0;
    return mu_profile_each_word(value, add_critical, p, err);
}

static enum mu_code set_csrattrs(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    enum mu_code rc = mu_enroll_csrattrs_parse(value, &p->csrattrs_der, err);

    return rc == MU_OK ? set_text(p, offset, value, err) : rc;
}

static enum mu_code add_est(void *cookie, char *word, struct mu_err *err)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"none", 0},
        {"link", MU_PROFILE_EST_LINK},
        {"both", MU_PROFILE_EST_BOTH},
        {"one-line", MU_PROFILE_EST_ONE_LINE},
        {"chain", MU_PROFILE_EST_CHAIN},
        {"challenge", MU_PROFILE_EST_CHALLENGE},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (mu_text_equal_nocase(word, words[i].word)) {
            *(unsigned *)cookie |= words[i].bit;
            return MU_OK;
        }
    }
    return mu_profile_bad(err, word, "link, both, one-line, chain, challenge or none");
}

enum mu_code mu_enroll_profile_est(const char *words, unsigned *out, struct mu_err *err)
{
    char *copy = NULL;
    enum mu_code rc = mu_text_dup(words, &copy, err);

    *out = 0;
    if (rc != MU_OK)
        return rc;
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '+')
            *p = ',';
    rc = mu_profile_each_word(copy, add_est, out, err);
    free(copy);
    if (rc == MU_OK && *out & MU_PROFILE_EST_LINK && *out & MU_PROFILE_EST_CHALLENGE) /* EST-61 */
        rc = mu_err_set(err, MU_INPUT, MU_M(706),
            "link and challenge exclude each other: both use challengePassword (RFC 7030 3.5)");
    return rc;
}

static enum mu_code set_est(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    return mu_enroll_profile_est(value, &p->est, err);
}

#define AT(member) offsetof(struct mu_enroll_profile, member)
const struct mu_profile_key mu_profile_keys[] = {
    {"protocols", "all", set_protocols, 0},
    {"ca", "", set_text, AT(ca)},
    {"approval", "auto", set_approval, 0},
    {"password", "random once", set_password, 0},
    {"wildcard", "no", set_bool, AT(wildcard)},
    {"subject", "accept", mu_profile_set_subject, 0},
    {"subject-drop", "none", mu_profile_set_drop, 0},
    {"subject-set", "none", mu_profile_set_set, 0},
    {"subject-differs", "override", set_differs, 0},
    {"san", "accept", mu_profile_set_san, 0},
    {"lifetime", "365d", set_lifetime, 0},
    {"backdate", "5min", set_duration, AT(backdate_s)},
    {"keys", "rsa:2048, ec:P-256, ec:P-384, ec:P-521", set_keys, 0},
    {"key-seen", "accept", set_key_seen, 0},
    {"key-usage", "digitalSignature", set_key_usage, 0},
    {"eku", "clientAuth", set_eku, 0},
    {"usage-from-request", "no", set_bool, AT(usage_from_request)},
    {"critical", "basic, key-usage", set_critical, 0},
    {"pointers", "yes", set_bool, AT(pointers)},
    {"template-name", "none", set_text, AT(template_name)},
    {"renew-before", "30d", set_renew_before, 0},
    {"renew-after", "0", set_duration, AT(renew_after_s)},
    {"renew-key", "either", set_renew_key, 0},
    {"renew-challenge", "no", set_bool, AT(renew_challenge)},
    {"revoke-old", "no", set_bool, AT(revoke_old)},
    {"max-alive", "0", set_count, AT(max_alive)},
    {"max-requests", "6/h", set_count, AT(max_requests)},
    {"csrattrs", "none", set_csrattrs, AT(csrattrs)},
    {"est", "none", set_est, 0},
    {"keygen", "no", set_bool, AT(keygen)},
    {"name-change", "no", set_bool, AT(name_change)},
    {"ca-in-reply", "yes", set_bool, AT(ca_in_reply)},
    {"allow-legacy", "no", set_bool, AT(allow_legacy)},
};
_Static_assert(sizeof mu_profile_keys / sizeof mu_profile_keys[0] == MU_PROFILE_KEYS, "count");
