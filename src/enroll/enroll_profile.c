/* Profiles as text: read from it and shown as it, every key with its value. */
#include <stdio.h>
#include <stdlib.h>

#include "base/ini.h"
#include "base/limits.h"
#include "base/text.h"
#include "enroll/enroll_profile_internal.h"

static const struct mu_profile_key *find(const char *name)
{
    for (size_t i = 0; i < MU_PROFILE_KEYS; i++)
        if (strcmp(mu_profile_keys[i].name, name) == 0)
            return &mu_profile_keys[i];
    return NULL;
}

static enum mu_code unknown(
    const struct mu_ini *ini, const struct mu_ini_item *item, struct mu_err *err)
{
    const char *words[MU_PROFILE_KEYS + 1] = {0}, *nearest;

    for (size_t i = 0; i < MU_PROFILE_KEYS; i++)
        words[i] = mu_profile_keys[i].name;
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

    for (size_t i = 0; i < MU_PROFILE_KEYS; i++)
        if ((rc = mu_profile_keys[i].set(p, mu_profile_keys[i].offset, mu_profile_keys[i].standard, err)) != MU_OK)
            return rc;
    for (size_t i = 0; i < mu_ini_count(ini); i++) {
        const struct mu_ini_item *item = mu_ini_at(ini, i);
        const struct mu_profile_key *key = item->section[0] == '\0' ? find(item->key) : NULL;

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
    mu_profile_patterns_free(&profile->subject_patterns, &profile->subject_pattern_n);
    mu_profile_patterns_free(&profile->san_patterns, &profile->san_pattern_n);
    free(profile);
}

void mu_enroll_profile_each(
    const struct mu_enroll_profile *profile, mu_enroll_profile_each_call *call, void *cookie)
{
    struct mu_ini *ini = NULL;

    if (mu_ini_parse(mu_bytes_str(profile->text), "", MU_INI_SECTIONS, &ini, NULL) != MU_OK)
        return;
    for (size_t i = 0; i < MU_PROFILE_KEYS; i++) {
        const struct mu_ini_item *item = mu_ini_get(ini, "", NULL, mu_profile_keys[i].name);

        call(cookie, mu_profile_keys[i].name, item != NULL ? item->value : mu_profile_keys[i].standard);
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
