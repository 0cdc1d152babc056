/* Profiles as text: one row per key says how it is read, shown and what it is when not given. */
#include "enroll/enroll_profile.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "enroll/enroll_csrattrs.h"
#include "pki/pki_name.h"

struct key {
    const char *name;
    const char *standard; /* as if it had been given */
    enum mu_code (*set)(
        struct mu_enroll_profile *, size_t offset, const char *value, struct mu_err *);
    size_t offset; /* of the member a generic setter writes */
};

static enum mu_code bad(struct mu_err *err, const char *value, const char *wanted)
{
    char shown[120];

    return mu_err_set(err, MU_INPUT, MU_M(706), "'%s' is not %s",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(value)), wanted);
}

/* Calls for each word of a comma list, trimmed; empty ones are skipped. */
static enum mu_code each_word(const char *list,
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
        return bad(err, value, "yes or no");
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
        return bad(err, value, "a number");
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
        return bad(err, word, "scep, est, cmp or all");
    if (proto != MU_PROTO_NONE)
        p->protocols |= 1u << proto;
    return MU_OK;
}

static enum mu_code set_protocols(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->protocols = 0;
    return each_word(value, add_protocol, p, err);
}

static enum mu_code set_choice(
    int *out, const char *value, const char *const *words, const char *wanted, struct mu_err *err)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (mu_text_equal_nocase(value, words[i])) {
            *out = i;
            return MU_OK;
        }
    }
    return bad(err, value, wanted);
}

static enum mu_code set_approval(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"auto", "manual", NULL};
    int i = 0;
    enum mu_code rc = set_choice(&i, value, words, "auto or manual", err);

    p->manual = i == 1;
    return rc;
}

static enum mu_code set_password(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"random once", "random reusable", "given", "none", NULL};
    int i = 0;
    enum mu_code rc =
        set_choice(&i, value, words, "'random once', 'random reusable', 'given' or 'none'", err);

    p->password = (enum mu_profile_password)i;
    return rc;
}

static enum mu_code set_differs(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"override", "refuse", "accept", NULL};
    int i = 0;
    enum mu_code rc = set_choice(&i, value, words, "override, refuse or accept", err);

    p->subject_differs = (enum mu_profile_differs)i;
    return rc;
}

static enum mu_code set_key_seen(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"accept", "refuse", NULL};
    int i = 0;
    enum mu_code rc = set_choice(&i, value, words, "accept or refuse", err);

    p->refuse_key_seen = i == 1;
    return rc;
}

static enum mu_code set_renew_key(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"either", "new", "same", NULL};
    int i = 0;
    enum mu_code rc = set_choice(&i, value, words, "either, new or same", err);

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
        return bad(err, value, "a lifetime: at least 1min");
    p->lifetime_s = s;
    return MU_OK;
}

static void patterns_free(struct mu_profile_pattern **v, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        free((*v)[i].type);
        free((*v)[i].glob);
    }
    free(*v);
    *v = NULL;
    *n = 0;
}

static enum mu_code pattern_add(struct mu_profile_pattern **v, size_t *n, const char *type,
    const char *glob, struct mu_err *err)
{
    struct mu_profile_pattern *more = reallocarray(*v, *n + 1, sizeof *more), one = {0};
    enum mu_code rc;

    if (more == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a profile");
    *v = more;
    if ((type != NULL && (rc = mu_text_dup(type, &one.type, err)) != MU_OK)
        || (rc = mu_text_dup(glob, &one.glob, err)) != MU_OK) {
        free(one.type);
        return rc;
    }
    more[(*n)++] = one;
    return MU_OK;
}

static enum mu_code add_subject_pattern(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;
    struct mu_pki_name_part part = {.value = "XX"};
    struct mu_buf der = {0};
    char *value = strchr(word, '=');
    enum mu_code rc;

    if (value == NULL)
        return bad(err, word, "a part of a subject pattern, like CN=*.branch.example");
    *value++ = '\0';
    part.type = mu_text_trim(word);
    rc = mu_pki_name_build(&part, 1, &der, err); /* the type is known */
    mu_buf_clear(&der);
    return rc != MU_OK ? rc
                       : pattern_add(&p->subject_patterns, &p->subject_pattern_n, part.type,
                           mu_text_trim(value), err);
}

static enum mu_code set_subject(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    mu_buf_clear(&p->subject_fixed);
    patterns_free(&p->subject_patterns, &p->subject_pattern_n);
    if (mu_text_equal_nocase(value, "accept")) {
        p->subject_rule = MU_PROFILE_SUBJECT_ACCEPT;
        return MU_OK;
    }
    if (mu_text_starts(value, "fixed ")) {
        p->subject_rule = MU_PROFILE_SUBJECT_FIXED;
        return mu_pki_name_parse(value + 6, &p->subject_fixed, err);
    }
    p->subject_rule = MU_PROFILE_SUBJECT_PATTERN;
    return each_word(value, add_subject_pattern, p, err);
}

/* The OID element of an attribute type, out of a name made with it. */
static enum mu_code add_drop(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;
    const struct mu_pki_name_part part = {word, "XX"};
    struct mu_buf der = {0};
    struct mu_bytes in;
    struct mu_der el;
    enum mu_code rc;

    if ((rc = mu_pki_name_build(&part, 1, &der, err)) != MU_OK)
        goto out;
    in = mu_buf_bytes(&der);
    for (int depth = 0; depth < 3; depth++) { /* Name, RDN, AttributeTypeAndValue */
        if (!mu_der_next(&in, &el)) {
            rc = bad(err, word, "an attribute type");
            goto out;
        }
        in = el.value;
    }
    if (!mu_der_get(&in, MU_DER_OID, &el))
        rc = bad(err, word, "an attribute type");
    else
        mu_buf_put_bytes(&p->subject_drop, el.whole);
out:
    mu_buf_clear(&der);
    return rc;
}

static enum mu_code set_drop(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    mu_buf_clear(&p->subject_drop);
    return mu_text_equal_nocase(value, "none") ? MU_OK : each_word(value, add_drop, p, err);
}

static enum mu_code set_set(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    struct mu_buf der = {0};
    struct mu_bytes in;
    struct mu_der name;
    enum mu_code rc = MU_OK;

    mu_buf_clear(&p->subject_set);
    if (*value == '\0' || mu_text_equal_nocase(value, "none"))
        return MU_OK;
    if ((rc = mu_pki_name_parse(value, &der, err)) == MU_OK) {
        in = mu_buf_bytes(&der);
        if (mu_der_only(in, MU_DER_SEQUENCE, &name))
            mu_buf_put_bytes(&p->subject_set, name.value);
    }
    mu_buf_clear(&der);
    return rc;
}

static enum mu_code add_san_pattern(void *cookie, char *word, struct mu_err *err)
{
    struct mu_enroll_profile *p = cookie;

    if (strchr(word, ':') == NULL)
        return bad(err, word, "accept, drop, refuse or a pattern like DNS:*.branch.example");
    return pattern_add(&p->san_patterns, &p->san_pattern_n, NULL, word, err);
}

static enum mu_code set_san(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"accept", "drop", "refuse", NULL};
    int i = 0;

    patterns_free(&p->san_patterns, &p->san_pattern_n);
    if (set_choice(&i, value, words, "", NULL) == MU_OK) {
        p->san_rule = (enum mu_profile_san)i;
        return MU_OK;
    }
    p->san_rule = MU_PROFILE_SAN_PATTERN;
    return each_word(value, add_san_pattern, p, err);
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
    return each_word(value, add_key, p, err);
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
        return bad(err, value,
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
        return bad(err, word, "basic, key-usage or none");
    return MU_OK;
}

static enum mu_code set_critical(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    p->critical = 0;
    return each_word(value, add_critical, p, err);
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
    return bad(err, word, "link, both, one-line, chain, challenge or none");
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
    rc = each_word(copy, add_est, out, err);
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
static const struct key keys[] = {
    {"protocols", "all", set_protocols, 0},
    {"ca", "", set_text, AT(ca)},
    {"approval", "auto", set_approval, 0},
    {"password", "random once", set_password, 0},
    {"wildcard", "no", set_bool, AT(wildcard)},
    {"subject", "accept", set_subject, 0},
    {"subject-drop", "none", set_drop, 0},
    {"subject-set", "none", set_set, 0},
    {"subject-differs", "override", set_differs, 0},
    {"san", "accept", set_san, 0},
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
enum { KEY_N = sizeof keys / sizeof keys[0] };

static const struct key *find(const char *name)
{
    for (size_t i = 0; i < KEY_N; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static enum mu_code unknown(
    const struct mu_ini *ini, const struct mu_ini_item *item, struct mu_err *err)
{
    const char *words[KEY_N + 1] = {0}, *nearest;

    for (size_t i = 0; i < KEY_N; i++)
        words[i] = keys[i].name;
    nearest = mu_text_nearest(item->key, words);
    mu_err_set(err, MU_INPUT, MU_M(706), "%s:%u: a profile has no key '%s'", mu_ini_file(ini),
        item->line, item->key);
    if (nearest != NULL)
        mu_err_next(err, "Did you mean %s?", nearest);
    return MU_INPUT;
}

static enum mu_code set_all(
    struct mu_enroll_profile *p, const struct mu_ini *ini, struct mu_err *err)
{
    enum mu_code rc;

    for (size_t i = 0; i < KEY_N; i++)
        if ((rc = keys[i].set(p, keys[i].offset, keys[i].standard, err)) != MU_OK)
            return rc;
    for (size_t i = 0; i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);
        const struct key *key = item->section[0] == '\0' ? find(item->key) : NULL;

        if (key == NULL)
            return unknown(ini, item, err);
        if ((rc = key->set(p, key->offset, item->value, err)) != MU_OK)
            return mu_err_context(err, "%s:%u: %s", mu_ini_file(ini), item->line, key->name);
    }
    /* Smaller RSA keys are a choice of their own (D5). */
    if (p->rsa_min != 0 && p->rsa_min < 2048 && !p->allow_legacy)
        return mu_err_set(err, MU_INPUT, MU_M(705), "profile '%s': rsa:%u needs allow-legacy = yes",
            p->name, p->rsa_min);
    if (p->subject_drop.failed || p->subject_set.failed)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a profile");
    return MU_OK;
}

enum mu_code mu_enroll_profile_parse(
    const char *name, const char *settings, struct mu_enroll_profile **out, struct mu_err *err)
{
    struct mu_enroll_profile *p = NULL;
    struct mu_ini *ini = NULL;
    char file[96], shown[80];
    enum mu_code rc;

    if (!mu_text_is_entry_name(name))
        return mu_err_set(err, MU_INPUT, MU_M(706), "'%s' is no name for a profile",
            mu_text_escape_to(shown, sizeof shown, mu_bytes_str(name)));
    snprintf(file, sizeof file, "profile '%s'", name);
    if ((p = calloc(1, sizeof *p)) == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for a profile");
    if ((rc = mu_ini_parse(mu_bytes_str(settings), file, MU_INI_SECTIONS, &ini, err)) != MU_OK
        || (rc = mu_text_dup(name, &p->name, err)) != MU_OK
        || (rc = mu_text_dup(settings, &p->text, err)) != MU_OK
        || (rc = set_all(p, ini, err)) != MU_OK)
        goto out;
    *out = p;
    p = NULL;
out:
    mu_ini_free(ini);
    mu_enroll_profile_free(p);
    return rc;
}

void mu_enroll_profile_free(struct mu_enroll_profile *profile)
{
    if (profile == NULL)
        return;
    free(profile->name);
    free(profile->ca);
    free(profile->template_name);
    free(profile->csrattrs);
    mu_buf_clear(&profile->csrattrs_der);
    free(profile->text);
    mu_buf_clear(&profile->subject_fixed);
    mu_buf_clear(&profile->subject_drop);
    mu_buf_clear(&profile->subject_set);
    patterns_free(&profile->subject_patterns, &profile->subject_pattern_n);
    patterns_free(&profile->san_patterns, &profile->san_pattern_n);
    free(profile);
}

void mu_enroll_profile_each(
    const struct mu_enroll_profile *profile, mu_enroll_profile_each_call *call, void *cookie)
{
    struct mu_ini *ini = NULL;

    if (mu_ini_parse(mu_bytes_str(profile->text), "", MU_INI_SECTIONS, &ini, NULL) != MU_OK)
        return;
    for (size_t i = 0; i < KEY_N; i++) {
        const struct mu_ini_item *item = mu_ini_get(ini, "", NULL, keys[i].name);

        call(cookie, keys[i].name, item != NULL ? item->value : keys[i].standard);
    }
    mu_ini_free(ini);
}

static void format_line(void *cookie, const char *key, const char *value)
{
    mu_buf_putf(cookie, "%s = ", key);
    for (const char *p = *value != '\0' ? value : "none"; *p != '\0'; p++)
        mu_buf_put_str(cookie, *p == '\n' ? "\n  " : (const char[]){*p, '\0'});
    mu_buf_put_byte(cookie, '\n');
}

bool mu_enroll_profile_format(const struct mu_enroll_profile *profile, struct mu_buf *out)
{
    mu_enroll_profile_each(profile, format_line, out);
    return !out->failed;
}

const char *mu_enroll_profile_preset(size_t i, const char **title, const char **settings)
{
    static const struct {
        const char *word, *title, *settings;
    } presets[] = {
        {"https-server", "HTTPS server",
            "key-usage = digitalSignature, keyEncipherment\neku = serverAuth\n"},
        {"vpn-gateway", "VPN gateway",
            "key-usage = digitalSignature, keyEncipherment\neku = serverAuth, clientAuth\n"},
        {"eap-tls-client", "EAP-TLS client", "key-usage = digitalSignature\neku = clientAuth\n"},
        {"radius-server", "RADIUS server",
            "key-usage = digitalSignature, keyEncipherment\neku = serverAuth\n"},
    };

    if (i >= sizeof presets / sizeof presets[0])
        return NULL;
    *title = presets[i].title;
    *settings = presets[i].settings;
    return presets[i].word;
}
