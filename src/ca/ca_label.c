/* Which CA and profile a label of EST stands for, and whose certificates a CA takes beside its own. */
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_internal.h"

/* "PROFILE", "PROFILE+one-line", "+link" */
static enum mu_code set_profile(struct mu_ca_label *l, char *word, struct mu_err *err)
{
    char *options = strchr(word, '+');

    if (options != NULL)
        *options++ = '\0';
    if (*word != '\0' && !mu_text_is_entry_name(word))
        return mu_err_set(err, MU_INPUT, MU_M(706), "a label's profile is a name, with switches "
                                                    "of the key 'est' behind it: est+one-line");
    if (options != NULL && mu_enroll_profile_est(options, &l->est, err) != MU_OK)
        return MU_INPUT;
    return mu_text_dup(word, &l->profile, err);
}

static enum mu_code add(
    struct mu_ca_one *one, const char *label, char *profile, struct mu_err *err)
{
    struct mu_ca_label *more = reallocarray(one->labels, one->label_n + 1, sizeof *more);
    enum mu_code rc;

    if (more == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory for labels");
    one->labels = more;
    more[one->label_n] = (struct mu_ca_label){0};
    if ((rc = mu_text_dup(label, &more[one->label_n++].label, err)) != MU_OK)
        return rc;
    return set_profile(&more[one->label_n - 1], profile, err);
}

/* "iot:est": for "labels"; the word without a colon is label and profile. */
static enum mu_code add_label(struct mu_ca_one *one, char *word, struct mu_err *err)
{
    char label[72], *colon = strchr(word, ':');
    size_t n = strcspn(word, ":+");

    if (n >= sizeof label)
        n = sizeof label - 1;
    memcpy(label, word, n);
    label[n] = '\0';
    if (!mu_text_is_entry_name(label))
        return mu_err_set(err, MU_INPUT, MU_M(706),
            "labels are names with their profile, by comma: iot:est, old:est+one-line");
    return add(one, label, colon != NULL ? colon + 1 : word, err);
}

enum mu_code mu_ca_label_parse(struct mu_ca_one *one, struct mu_err *err)
{
    char *copy = NULL, *next, *word;
    enum mu_code rc;

    if ((rc = mu_text_dup(one->est, &copy, err)) != MU_OK)
        return rc;
    rc = add(one, "", mu_text_trim(copy), err);
    free(copy);
    copy = NULL;
    if (rc == MU_OK)
        rc = mu_text_dup(one->label_list, &copy, err);
    for (next = copy; rc == MU_OK && (word = strsep(&next, ",")) != NULL;) {
        word = mu_text_trim(word);
        if (*word != '\0')
            rc = add_label(one, word, err);
    }
    free(copy);
    if (rc == MU_OK && *one->client_ca_text != '\0'
        && (rc = mu_pki_certs_decode(mu_bytes_str(one->client_ca_text), &one->client_ca, err)) != MU_OK)
        mu_err_context(err, "client-ca wants certificates in PEM");
    if (rc == MU_OK && *one->cmp_ra_text != '\0'
        && (rc = mu_pki_certs_decode(mu_bytes_str(one->cmp_ra_text), &one->cmp_ra, err)) != MU_OK)
        mu_err_context(err, "cmp-ra wants certificates in PEM");
    return rc;
}

void mu_ca_label_clear(struct mu_ca_one *one)
{
    for (size_t i = 0; i < one->label_n; i++) {
        free(one->labels[i].label);
        free(one->labels[i].profile);
    }
    free(one->labels);
    free(one->est);
    free(one->label_list);
    free(one->client_ca_text);
    free(one->cmp_ra_text);
    mu_pki_certs_clear(&one->cmp_ra);
    mu_pki_certs_clear(&one->client_ca);
}

/* ---- choosing ---- */

static const struct mu_ca_label *find(const struct mu_ca_one *one, const char *label)
{
    for (size_t i = 0; i < one->label_n; i++)
        if (strcmp(one->labels[i].label, label) == 0)
            return &one->labels[i];
    return NULL;
}

static void take(const struct mu_ca_snapshot *s, const struct mu_ca_one *one,
    const struct mu_ca_label *l, struct mu_ca_choice *out)
{
    *out = (struct mu_ca_choice){.one = one, .est = l->est};
    out->profile = *l->profile != '\0' ? mu_ca_snapshot_profile(s, l->profile) : NULL;
    out->is_named = *l->label != '\0' && out->profile != NULL;
    if (out->profile != NULL)
        out->est |= out->profile->est;
}

static bool by_settings(
    const struct mu_ca_snapshot *s, const char *label, struct mu_ca_choice *out)
{
    const struct mu_ca_label *l;

    for (size_t i = 0; i < s->ca_n; i++) {
        if ((l = find(&s->cas[i], label)) != NULL) {
            take(s, &s->cas[i], l, out);
            return true;
        }
    }
    return false;
}

/* A profile of its own name, for EST and for a CA that is there. */
static bool by_profile(const struct mu_ca_snapshot *s, const char *label, struct mu_ca_choice *out)
{
    const struct mu_enroll_profile *p = mu_ca_snapshot_profile(s, label);

    if (p == NULL || (p->protocols != 0 && !(p->protocols & (1u << MU_PROTO_EST))))
        return false;
    *out = (struct mu_ca_choice){
        .one = mu_ca_snapshot_find(s, p->ca),
        .profile = p,
        .is_named = true,
        .is_profile = true,
        .est = p->est};
    return out->one != NULL;
}

enum mu_code mu_ca_label_choose(const struct mu_ca_snapshot *s, const char *label,
    struct mu_ca_choice *out, struct mu_err *err)
{
    const struct mu_ca_one *one = NULL;
    bool any = label == NULL || *label == '\0';
    char shown[100];

    if (!any && by_settings(s, label, out))
        return MU_OK;
    if ((one = mu_ca_snapshot_find(s, any ? NULL : label)) != NULL) {
        take(s, one, &one->labels[0], out);
        return MU_OK;
    }
    if (!any && by_profile(s, label, out))
        return MU_OK;
    if (any)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA here yet");
    return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no EST under the label '%s'",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(label)));
}
