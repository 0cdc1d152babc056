/* Setters of what a profile does with subjects and SANs. */
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"
#include "enroll/enroll_profile_internal.h"
#include "pki/pki_name.h"

void mu_profile_patterns_free(struct mu_profile_pattern **v, size_t *n)
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
        return mu_profile_bad(err, word, "a part of a subject pattern, like CN=*.branch.example");
    *value++ = '\0';
    part.type = mu_text_trim(word);
    rc = mu_pki_name_build(&part, 1, &der, err); /* the type is known */
    mu_buf_clear(&der);
    return rc != MU_OK ? rc
                       : pattern_add(&p->subject_patterns, &p->subject_pattern_n, part.type,
                           mu_text_trim(value), err);
}

enum mu_code mu_profile_set_subject(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    mu_buf_clear(&p->subject_fixed);
    mu_profile_patterns_free(&p->subject_patterns, &p->subject_pattern_n);
    if (mu_text_equal_nocase(value, "accept")) {
        p->subject_rule = MU_PROFILE_SUBJECT_ACCEPT;
        return MU_OK;
    }
    if (mu_text_starts(value, "fixed ")) {
        p->subject_rule = MU_PROFILE_SUBJECT_FIXED;
        return mu_pki_name_parse(value + 6, &p->subject_fixed, err);
    }
    p->subject_rule = MU_PROFILE_SUBJECT_PATTERN;
    return mu_profile_each_word(value, add_subject_pattern, p, err);
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
            rc = mu_profile_bad(err, word, "an attribute type");
            goto out;
        }
        in = el.value;
    }
    if (!mu_der_get(&in, MU_DER_OID, &el))
        rc = mu_profile_bad(err, word, "an attribute type");
    else
        mu_buf_put_bytes(&p->subject_drop, el.whole);
out:
    mu_buf_clear(&der);
    return rc;
}

enum mu_code mu_profile_set_drop(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    mu_buf_clear(&p->subject_drop);
    return mu_text_equal_nocase(value, "none") ? MU_OK : mu_profile_each_word(value, add_drop, p, err);
}

enum mu_code mu_profile_set_set(
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
        return mu_profile_bad(err, word, "accept, drop, refuse or a pattern like DNS:*.branch.example");
    return pattern_add(&p->san_patterns, &p->san_pattern_n, NULL, word, err);
}

enum mu_code mu_profile_set_san(
    struct mu_enroll_profile *p, size_t offset, const char *value, struct mu_err *err)
{
    static const char *const words[] = {"accept", "drop", "refuse", NULL};
    int i = 0;

    mu_profile_patterns_free(&p->san_patterns, &p->san_pattern_n);
    if (mu_profile_set_choice(&i, value, words, "", NULL) == MU_OK) {
        p->san_rule = (enum mu_profile_san)i;
        return MU_OK;
    }
    p->san_rule = MU_PROFILE_SAN_PATTERN;
    return mu_profile_each_word(value, add_san_pattern, p, err);
}
