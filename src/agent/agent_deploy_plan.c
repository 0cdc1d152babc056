/* From the words of an entry to the parts of its deployment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_deploy_internal.h"
#include "base/text.h"
#include "pki/pki_ext.h"

static void item_clear(struct mu_agent_deploy_item *item)
{
    free(item->what);
    free(item->program);
    free(item->words);
    free(item->line);
    free(item->wrote);
    free(item->serial_seen);
    *item = (struct mu_agent_deploy_item){.what = NULL};
}

void mu_agent_deploy_plan_clear(struct mu_agent_deploy_plan *plan)
{
    while (plan->n > 0)
        item_clear(&plan->v[--plan->n]);
}

struct making {
    struct mu_agent *agent;
    struct mu_agent_deploy_plan *plan;
    enum mu_agent_deploy_kind kind;
    enum mu_code rc;
    struct mu_err *err;
};

static struct mu_agent_deploy_item *add(
    struct making *m, const char *program, const char *prefix, struct mu_bytes what)
{
    struct mu_agent_deploy_item *item = &m->plan->v[m->plan->n];
    struct mu_buf text = {.max = 2048};

    if (m->rc == MU_OK && m->plan->n == MU_AGENT_DEPLOY_ITEMS)
        m->rc = mu_err_set(m->err, MU_INPUT, MU_M(706), "a deployment has at most %d parts", MU_AGENT_DEPLOY_ITEMS);
    mu_buf_putf(&text, "%s%.*s", prefix, (int)what.n, (const char *)what.p);
    if (m->rc == MU_OK)
        m->rc = mu_buf_check(&text, "a part of the deployment", m->err);
    if (m->rc == MU_OK)
        m->rc = mu_text_dup(mu_buf_str(&text), &item->what, m->err);
    if (m->rc == MU_OK && program != NULL)
        m->rc = mu_text_dup(program, &item->program, m->err);
    mu_buf_clear(&text);
    if (m->rc != MU_OK) {
        item_clear(item);
        return NULL;
    }
    item->kind = m->kind;
    m->plan->n++;
    return item;
}

static struct mu_bytes trim(struct mu_bytes s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL)
        s = mu_bytes(s.p + 1, s.n - 1);
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

/* Calls for each item of a list by comma that is not empty. */
static void each_item(struct making *m, const char *list, void (*call)(struct making *, struct mu_bytes))
{
    while (m->rc == MU_OK && list != NULL && *list != '\0') {
        size_t n = strcspn(list, ",");
        struct mu_bytes one = trim(mu_bytes(list, n));

        if (one.n > 0)
            call(m, one);
        list += n + (list[n] == ',' ? 1 : 0);
    }
}

/* "nginx key-mode=0640": the recipe and its words. */
static void add_recipe(struct making *m, struct mu_bytes text)
{
    struct mu_buf path = {.max = 4096};
    struct mu_bytes name = text, words;
    struct mu_agent_deploy_item *item;

    for (name.n = 0; name.n < text.n && text.p[name.n] != ' ' && text.p[name.n] != '\t';)
        name.n++;
    words = trim(mu_bytes(text.p + name.n, text.n - name.n));
    m->rc = mu_agent_hook_recipe(m->agent, name, &path, m->err);
    item = m->rc == MU_OK ? add(m, mu_buf_str(&path), "recipe ", name) : NULL;
    if (item != NULL && words.n > 0 && (item->words = strndup((const char *)words.p, words.n)) == NULL)
        m->rc = mu_err_set(m->err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    mu_buf_clear(&path);
}

static void add_verify(struct making *m, struct mu_bytes text)
{
    struct mu_agent_deploy_item *item = add(m, NULL, "verify ", text);

    if (item != NULL)
        m->rc = mu_agent_verify_parse(text, &item->spec, m->err);
}

static void add_file(void *cookie, const char *path)
{
    add(cookie, path, "", mu_bytes_str(path));
}

static void add_dir(struct making *m, enum mu_agent_deploy_kind kind, const char *phase, struct mu_buf *warnings)
{
    m->kind = kind;
    if (m->rc == MU_OK)
        m->rc = mu_agent_hook_each(m->agent, phase, add_file, m, warnings, m->err);
}

static enum mu_code veto_unheard(const struct mu_buf *lines, struct mu_err *err)
{
    char shown[400];
    size_t skip = strlen("M901: ");

    mu_err_set(err, MU_DENIED, MU_M(901), "%s",
        mu_text_escape_to(shown, sizeof shown,
            mu_bytes(lines->p + skip, strcspn(mu_buf_str(lines) + skip, "\n"))));
    mu_err_next(err, "Nothing is switched to while a script of hooks.d/pre cannot be asked: repair or remove it.");
    return MU_DENIED;
}

enum mu_code mu_agent_deploy_plan_make(struct mu_agent *agent, const struct mu_agent_config_entry *entry,
    bool switches, struct mu_agent_deploy_plan *out, struct mu_buf *warnings, struct mu_err *err)
{
    struct making m = {.agent = agent, .plan = out, .rc = MU_OK, .err = err};
    struct mu_buf left_out = {.max = 8192};

    *out = (struct mu_agent_deploy_plan){.n = 0};
    add_dir(&m, MU_AGENT_DEPLOY_PRE, "pre", &left_out);
    /* One that must not be run may have had something against it. */
    if (m.rc == MU_OK && left_out.n > 0)
        m.rc = veto_unheard(&left_out, err);
    mu_buf_clear(&left_out);
    m.kind = MU_AGENT_DEPLOY_SWITCH;
    if (m.rc == MU_OK && switches)
        add(&m, NULL, "", mu_bytes_str("switch"));
    m.kind = MU_AGENT_DEPLOY_RECIPE;
    each_item(&m, entry->deploy, add_recipe);
    m.kind = MU_AGENT_DEPLOY_SCRIPT;
    if (m.rc == MU_OK && entry->success_script != NULL && entry->success_script[0] != '\0')
        add(&m, entry->success_script, "", mu_bytes_str("success-script"));
    add_dir(&m, MU_AGENT_DEPLOY_FILE, "deploy", warnings);
    m.kind = MU_AGENT_DEPLOY_VERIFY;
    each_item(&m, entry->verify, add_verify);
    add_dir(&m, MU_AGENT_DEPLOY_POST, "post", warnings);
    m.kind = MU_AGENT_DEPLOY_FAILURE;
    if (m.rc == MU_OK && entry->failure_script != NULL && entry->failure_script[0] != '\0')
        add(&m, entry->failure_script, "", mu_bytes_str("failure-script"));
    add_dir(&m, MU_AGENT_DEPLOY_FAILURE, "failed", warnings);
    if (m.rc != MU_OK)
        mu_agent_deploy_plan_clear(out);
    return m.rc;
}

static bool says(const char *value)
{
    return value != NULL && value[0] != '\0';
}

static void is_there(void *cookie, const char *path)
{
    (void)path;
    *(bool *)cookie = true;
}

static bool has_script(const struct mu_agent *agent, const char *phase)
{
    struct mu_buf warnings = {.max = 8192};
    bool there = false;

    if (mu_agent_hook_each(agent, phase, is_there, &there, &warnings, NULL) != MU_OK)
        there = true; /* what is wrong there is told when it runs */
    there = there || warnings.n > 0;
    mu_buf_clear(&warnings);
    return there;
}

bool mu_agent_deploy_has_plan(const struct mu_agent *agent, const struct mu_agent_config_entry *plan)
{
    return says(plan->deploy) || says(plan->verify) || says(plan->success_script)
        || has_script(agent, "pre") || has_script(agent, "deploy") || has_script(agent, "post");
}

bool mu_agent_deploy_has_pre(const struct mu_agent *agent)
{
    return has_script(agent, "pre");
}

bool mu_agent_deploy_has_post(const struct mu_agent *agent)
{
    return has_script(agent, "post");
}

const char *mu_agent_deploy_wrote(const struct mu_agent_deploy_plan *plan, size_t at)
{
    for (; at > 0; at--)
        if (plan->v[at - 1].kind == MU_AGENT_DEPLOY_RECIPE && plan->v[at - 1].wrote != NULL)
            return plan->v[at - 1].wrote;
    return NULL;
}

bool mu_agent_deploy_has_failure(const struct mu_agent *agent, const struct mu_agent_config_entry *plan)
{
    return says(plan->failure_script) || has_script(agent, "failed");
}

/* ---- M609 ---- */

/* Recipes of services that show the certificate as a TLS server's, or as a client's. HTTPS also needs
 * keyEncipherment (C007), where the key can do it. */
static const struct {
    const char *recipe, *word;
    unsigned eku;
    bool is_https;
} needs[] = {
    {"nginx", "serverAuth", MU_EKU_SERVER_AUTH, true},
    {"apache2", "serverAuth", MU_EKU_SERVER_AUTH, true},
    {"haproxy", "serverAuth", MU_EKU_SERVER_AUTH, true},
    {"postgresql", "serverAuth", MU_EKU_SERVER_AUTH},
    {"postfix", "serverAuth", MU_EKU_SERVER_AUTH},
    {"dovecot", "serverAuth", MU_EKU_SERVER_AUTH},
    {"mosquitto", "serverAuth", MU_EKU_SERVER_AUTH},
    {"freeradius", "serverAuth", MU_EKU_SERVER_AUTH},
    {"wpa_supplicant", "clientAuth", MU_EKU_CLIENT_AUTH},
};

static enum mu_code lacks(const char *usage, const char *service, struct mu_err *err)
{
    mu_err_set(err, MU_DENIED, MU_M(609), "The issued certificate lacks %s that %s needs", usage, service);
    mu_err_next(err, "Not deployed there. Ask for it, or for a profile that has it.");
    return MU_DENIED;
}

static bool is_rsa(struct mu_pki_cert *cert)
{
    struct mu_pki_key *key;

    return mu_pki_cert_key(cert, &key, NULL) == MU_OK && mu_pki_key_can_encrypt(key);
}

enum mu_code mu_agent_deploy_fits(const struct mu_agent_deploy_item *item, struct mu_pki_cert *cert,
    struct mu_err *err)
{
    return item->kind == MU_AGENT_DEPLOY_RECIPE
        ? mu_agent_deploy_recipe_fits(item->what + strlen("recipe "), cert, err)
        : MU_OK;
}

enum mu_code mu_agent_deploy_recipe_fits(
    const char *service, struct mu_pki_cert *cert, struct mu_err *err)
{
    size_t i;

    for (i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (strcmp(needs[i].recipe, service) != 0)
            continue;
        if (cert->exts.has_eku && (cert->exts.eku & (needs[i].eku | MU_EKU_ANY)) == 0)
            return lacks(needs[i].word, service, err);
        if (cert->exts.has_key_usage && (cert->exts.key_usage & MU_KU_DIGITAL_SIGNATURE) == 0)
            return lacks("digitalSignature", service, err);
        if (needs[i].is_https && is_rsa(cert) && cert->exts.has_key_usage
            && (cert->exts.key_usage & MU_KU_KEY_ENCIPHERMENT) == 0)
            return lacks("keyEncipherment", service, err);
    }
    return MU_OK;
}

bool mu_agent_deploy_lacks_san(const struct mu_agent_deploy_plan *plan, const struct mu_pki_cert *cert)
{
    size_t i, k;

    for (i = 0; cert->exts.san.n == 0 && i < plan->n; i++)
        for (k = 0; plan->v[i].kind == MU_AGENT_DEPLOY_RECIPE && k < sizeof needs / sizeof needs[0]; k++)
            if (needs[k].eku == MU_EKU_SERVER_AUTH
                && strcmp(needs[k].recipe, plan->v[i].what + strlen("recipe ")) == 0)
                return true;
    return false;
}
