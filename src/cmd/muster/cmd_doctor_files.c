/* What the doctor sees in files: CAs, key and certificate, secrets, hooks. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_deploy.h"
#include "agent/agent_hook.h"
#include "agent/agent_secret_where.h"
#include "agent/agent_value.h"
#include "base/time.h"
#include "cmd/muster/cmd_doctor.h"

enum { DAY_S = 86400, CA_SOON_D = 30 };

/* ---- the CAs that are trusted ---- */

static void ca_ends(struct mu_cmd_doctor *d, const struct mu_pki_cert *ca)
{
    int64_t now = mu_env_now(&d->cmd->env);
    char when[MU_TIME_TEXT];
    struct mu_err err = {0};

    if (ca->not_after_s > now + (int64_t)CA_SOON_D * DAY_S)
        return;
    mu_err_set(&err, MU_INPUT, MU_M(606), ca->not_after_s > now ? "a trusted CA certificate ends at %s" : "a trusted CA certificate ended at %s",
        mu_time_plain(ca->not_after_s, when));
    mu_cmd_doctor_note(d, "CA", &err);
}

void mu_cmd_doctor_trust(struct mu_cmd_doctor *d)
{
    const struct mu_agent_settings *s = &d->entry.settings;
    struct mu_pki_certs trusted = {0};
    struct mu_err err = {0};

    if (mu_keystore_ca_load(d->cmd->store, s->trust, &trusted, &err) != MU_OK) {
        mu_cmd_doctor_bad(d, "CA", &err);
        return;
    }
    for (size_t i = 0; i < trusted.n; i++)
        ca_ends(d, trusted.v[i]);
    if (trusted.n > 0 || s->pin_sha256 != NULL)
        mu_cmd_doctor_ok(d, "CA", "%zu trusted%s%s%s", trusted.n, s->trust != NULL ? ": " : "",
            s->trust != NULL ? s->trust : "", s->pin_sha256 != NULL ? ", pinned" : "");
    else {
        mu_err_set(&err, MU_AUTH, MU_M(209), "no CA is trusted here");
        mu_err_next(&err, "muster ca fetch %s; compare the fingerprint with the operator; muster ca trust FILE",
            s->url != NULL ? s->url : "URL");
        mu_cmd_doctor_bad(d, "CA", &err);
    }
    mu_pki_certs_clear(&trusted);
}

/* ---- key and certificate ---- */

static enum mu_code key_read(struct mu_cmd_doctor *d, const char *path, struct mu_pki_key **key, struct mu_err *err)
{
    struct mu_buf text = {.secret = true};
    struct mu_secret password = {0};
    bool has = false;
    enum mu_code rc;

    if (d->entry.secrets.key_password != NULL)
        has = mu_agent_secret_where_read(d->cmd->store, "key-password", d->entry.secrets.key_password, &password, NULL)
            == MU_OK;
    else if (mu_keystore_get(d->cmd->store, MU_KEYSTORE_SECRETS, d->name, "key-password", &text, NULL) == MU_OK)
        has = mu_secret_set(&password, mu_buf_bytes(&text), NULL) == MU_OK;
    rc = mu_keystore_key_read(path, has ? &password : NULL, key, err);
    mu_secret_clear(&password);
    mu_buf_clear(&text);
    return rc;
}

static void check_key(struct mu_cmd_doctor *d, const struct mu_keystore_entry *entry)
{
    struct mu_pki_key *key = NULL;
    struct mu_err err = {0};

    if (mu_keystore_file_is_open(entry->key_file, &err))
        mu_cmd_doctor_bad(d, "key", &err);
    if (key_read(d, entry->key_file, &key, &err) != MU_OK) {
        mu_cmd_doctor_bad(d, "key", &err);
        return;
    }
    if (!mu_bytes_equal(mu_pki_key_spki(key), entry->cert->spki)) {
        mu_err_set(&err, MU_AUTH, MU_M(214), "%s and %s do not belong together", entry->key_file, entry->cert_file);
        mu_err_likely(&err, "One of them was copied by hand.");
        mu_err_next(&err, "Bring the files back, or muster enroll %s --replace", d->name);
        mu_cmd_doctor_bad(d, "key", &err);
    } else {
        mu_cmd_doctor_ok(d, "key", "belongs to the certificate, readable by its owner only");
    }
    mu_pki_key_free(key);
}

static void check_chain(struct mu_cmd_doctor *d, const struct mu_keystore_entry *entry)
{
    const struct mu_pki_path_opts opts = {.now_s = mu_env_now(&d->cmd->env), .partial = true, .any_time = true,
        .allow_legacy = true};
    struct mu_pki_certs trusted = {0};
    struct mu_err err = {0};

    if (mu_keystore_ca_load(d->cmd->store, d->entry.settings.trust, &trusted, NULL) != MU_OK || trusted.n == 0)
        return; /* said already */
    if (mu_pki_path_check(entry->cert, &entry->chain, &trusted, &opts, &err) == MU_OK)
        mu_cmd_doctor_ok(d, "chain", "complete: %zu above the certificate", entry->chain.n);
    else
        mu_cmd_doctor_bad(d, "chain", &err);
    mu_pki_certs_clear(&trusted);
}

/* Does somebody work on it just now? */
static void check_lock(struct mu_cmd_doctor *d)
{
    struct mu_keystore_lock *lock = NULL;
    struct mu_err err = {0};

    if (mu_keystore_lock(d->cmd->store, d->name, &lock, &err) != MU_OK)
        mu_cmd_doctor_note(d, "lock", &err);
    mu_keystore_unlock(lock);
}

void mu_cmd_doctor_pair(struct mu_cmd_doctor *d)
{
    struct mu_keystore_entry entry = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    check_lock(d);
    rc = mu_keystore_load(d->cmd->store, d->name, &entry, &err);
    if (rc == MU_OK) {
        check_key(d, &entry);
        check_chain(d, &entry);
    } else if (rc != MU_NOT_FOUND) {
        mu_cmd_doctor_bad(d, "certificate", &err);
    }
    mu_keystore_entry_clear(&entry);
}

/* ---- secrets ---- */

/* Where the configuration says, or kept for the entry. */
static void check_secret(struct mu_cmd_doctor *d, const char *key, const char *where, bool is_needed)
{
    struct mu_secret value = {0};
    struct mu_err err = {0};

    if (where != NULL && mu_agent_secret_where_read(d->cmd->store, key, where, &value, &err) != MU_OK) {
        mu_cmd_doctor_bad(d, "secrets", &err);
    } else if (where != NULL) {
        mu_cmd_doctor_ok(d, "secrets", "%s is there", key);
    } else if (is_needed && !mu_keystore_has(d->cmd->store, MU_KEYSTORE_SECRETS, d->name, key)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "there is no %s for %s", key, d->name);
        mu_err_next(&err, "muster secret set %s %s", d->name, key);
        mu_cmd_doctor_bad(d, "secrets", &err);
    }
    mu_secret_clear(&value);
}

void mu_cmd_doctor_secrets(struct mu_cmd_doctor *d)
{
    const struct mu_agent_settings *s = &d->entry.settings;
    const struct mu_agent_config_secrets *where = &d->entry.secrets;
    bool renews_by_password = s->renew_auth != NULL && strcmp(s->renew_auth, "password") == 0;
    bool is_new = d->facts.serial == NULL;

    check_secret(d, "challenge", where->challenge, false);
    check_secret(d, "password", where->password, s->user != NULL && (is_new || renews_by_password));
    check_secret(d, "srp-password", where->srp_password, s->srp_user != NULL && (is_new || renews_by_password));
    check_secret(d, "key-password", where->key_password, false);
    check_secret(d, "secret", where->secret, s->ref != NULL && is_new);
    check_secret(d, "shared-key", where->shared_key,
        s->server_key > 0 && mu_agent_value_shared_id(s->server_key_to) != NULL);
}

/* ---- hooks and recipes ---- */

static void on_script(void *cookie, const char *path)
{
    ++*(unsigned *)cookie;
}

static void check_phase(struct mu_cmd_doctor *d, const char *phase, unsigned *n)
{
    struct mu_buf warnings = {0};
    struct mu_err err = {0};
    const char *p;

    if (mu_agent_hook_each(&d->cmd->agent, phase, on_script, n, &warnings, &err) != MU_OK)
        mu_cmd_doctor_bad(d, "hooks", &err);
    for (p = mu_buf_str(&warnings); *p != '\0';) {
        size_t len = strcspn(p, "\n");

        mu_err_set(&err, MU_INPUT, MU_M(901), "%.*s", (int)len, p);
        mu_err_next(&err, "Let it be root's, mode 0755 and writable by nobody else");
        mu_cmd_doctor_bad(d, "hooks", &err);
        p += len + (p[len] == '\n');
    }
    mu_buf_clear(&warnings);
}

static void check_usage(struct mu_cmd_doctor *d, const char *recipe, size_t n, struct mu_pki_cert *cert)
{
    char name[MU_KEYSTORE_NAME];
    struct mu_err err = {0};

    snprintf(name, sizeof name, "%.*s", (int)n, recipe);
    if (cert != NULL && mu_agent_deploy_recipe_fits(name, cert, &err) != MU_OK)
        mu_cmd_doctor_bad(d, "usage", &err);
}

static void check_recipes(struct mu_cmd_doctor *d)
{
    const char *p = d->entry.deploy;
    struct mu_keystore_entry pair = {0};

    if (p == NULL || mu_keystore_load(d->cmd->store, d->name, &pair, NULL) != MU_OK)
        pair.cert = NULL;

    while (p != NULL && *p != '\0') {
        size_t n;
        struct mu_buf path = {0};
        struct mu_err err = {0};

        p += strspn(p, ", \t");
        n = strcspn(p, ", \t");
        if (n == 0)
            break;
        if (mu_agent_hook_recipe(&d->cmd->agent, mu_bytes(p, n), &path, &err) != MU_OK
            || mu_agent_hook_check(mu_buf_str(&path), &err) != MU_OK)
            mu_cmd_doctor_bad(d, "recipe", &err);
        else
            mu_cmd_doctor_ok(d, "recipe", "%s", mu_buf_str(&path));
        check_usage(d, p, n, pair.cert);
        mu_buf_clear(&path);
        p += n;
    }
    mu_keystore_entry_clear(&pair);
}

void mu_cmd_doctor_hooks(struct mu_cmd_doctor *d)
{
    static const char *const phases[] = {"pre", "deploy", "post", "failed"};
    unsigned n = 0, before = d->bad;

    check_recipes(d);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        check_phase(d, phases[i], &n);
    if (n > 0 && d->bad == before)
        mu_cmd_doctor_ok(d, "hooks", "%u scripts in hooks.d", n);
}
