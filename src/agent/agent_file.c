/* Enrollment by file: a request to hand over, and the answer to it. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "base/limits.h"
#include "base/text.h"

static enum mu_code key_make(struct mu_agent *agent, const struct mu_agent_settings *settings,
    const struct mu_secret *password, struct mu_pki_key **key, struct mu_err *err)
{
    struct mu_pki_key_spec spec;
    enum mu_code rc;

    if (settings->key_file != NULL)
        return mu_keystore_key_read(settings->key_file, password, key, err);
    if ((rc = mu_agent_key_spec(settings, agent->allow_legacy, &spec, err)) != MU_OK)
        return rc;
    return mu_pki_key_generate(&spec, key, err);
}

static enum mu_code csr_make(struct mu_agent *agent, const struct mu_agent_enroll *request,
    const struct mu_agent_settings *settings, struct mu_agent_pending *pending, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_pki_key *key = NULL;
    enum mu_code rc;

    if ((rc = mu_agent_settings_complete(settings, false, err)) != MU_OK)
        goto out;
    if ((rc = key_make(agent, settings, request->key_password, &key, err)) != MU_OK)
        goto out;
    rc = mu_agent_make_csr(settings, NULL, NULL, request->challenge, key, &pending->csr, err);
    if (rc != MU_OK)
        goto out;
    rc = mu_keystore_key_text(key, settings->key_file, request->key_password, &text, err);
    if (rc != MU_OK)
        goto out;
    if ((rc = mu_agent_settings_store(agent->store, request->name, settings, err)) != MU_OK)
        goto out;
    rc = mu_keystore_put(
        agent->store, MU_KEYSTORE_STATE, request->name, "key", mu_buf_bytes(&text), err);
    if (rc != MU_OK)
        goto out;
    pending->operation = MU_AGENT_BY_FILE;
    pending->since_s = mu_env_now(agent->env);
    if (!mu_keystore_current(agent->store, request->name, pending->replaces))
        pending->replaces[0] = '\0';
    rc = mu_agent_pending_store(agent->store, request->name, pending, err);
out:
    mu_pki_key_free(key);
    mu_buf_clear(&text);
    return rc;
}

/* The settings as they would be, and whether that changes what is asked for. */
static enum mu_code settings_of(struct mu_agent *agent, const struct mu_agent_enroll *request,
    struct mu_agent_settings *out, bool *same, struct mu_err *err)
{
    struct mu_agent_settings before = {0};
    enum mu_code rc = mu_agent_entry_settings(agent, request->name, &before, err);

    if (rc != MU_OK && rc != MU_NOT_FOUND)
        return rc;
    rc = mu_agent_settings_copy(&before, out, err);
    if (rc == MU_OK && request->settings != NULL)
        rc = mu_agent_settings_merge(out, request->settings, err);
    *same = rc == MU_OK && mu_agent_settings_same_request(&before, out);
    mu_agent_settings_clear(&before);
    return rc;
}

static enum mu_code csr_locked(struct mu_agent *agent, const struct mu_agent_enroll *request,
    struct mu_buf *pem, struct mu_err *err)
{
    struct mu_agent_settings settings = {0};
    struct mu_agent_pending pending = {.csr.secret = true, .engine.secret = true};
    bool same = false;
    enum mu_code rc;

    if ((rc = settings_of(agent, request, &settings, &same, err)) != MU_OK)
        goto out;
    if (request->drop_pending
        && (rc = mu_agent_pending_remove(agent->store, request->name, err)) != MU_OK)
        goto out;
    rc = mu_agent_pending_load(agent->store, request->name, &pending, err);
    if (rc == MU_NOT_FOUND) {
        rc = csr_make(agent, request, &settings, &pending, err);
    } else if (rc == MU_OK && !same) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "%s has a pending request with other settings", request->name);
        mu_err_next(err, "muster cancel %s, or ask again with --new", request->name);
    }
    if (rc != MU_OK)
        goto out;
    mu_pki_csr_to_pem(mu_buf_bytes(&pending.csr), pem);
    rc = mu_buf_check(pem, "a request", err);
out:
    mu_agent_pending_clear(&pending);
    mu_agent_settings_clear(&settings);
    return rc;
}

enum mu_code mu_agent_csr(struct mu_agent *agent, const struct mu_agent_enroll *request,
    struct mu_buf *pem, struct mu_err *err)
{
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, request->name, &lock, err);

    if (rc == MU_OK)
        rc = csr_locked(agent, request, pem, err);
    mu_keystore_unlock(lock);
    return rc;
}

/* ---- the answer ---- */

/* Text of the key the answer is for: of the pending request, else of the current pair. */
static enum mu_code key_of(struct mu_agent *agent, const char *name, struct mu_buf *text,
    bool *is_pending, struct mu_err *err)
{
    struct mu_keystore_entry entry = {0};
    enum mu_code rc = mu_keystore_get(agent->store, MU_KEYSTORE_STATE, name, "key", text, err);

    *is_pending = rc == MU_OK;
    if (rc != MU_NOT_FOUND)
        return rc;
    if ((rc = mu_keystore_load(agent->store, name, &entry, err)) == MU_OK)
        rc = mu_keystore_file_read(entry.key_file, MU_KEYSTORE_PUBLIC, text, err);
    mu_keystore_entry_clear(&entry);
    if (rc == MU_NOT_FOUND)
        mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "%s has neither a pending request nor a certificate", name);
    return rc;
}

static enum mu_code install_locked(struct mu_agent *agent, const char *name,
    const struct mu_pki_certs *certs, const struct mu_secret *key_password,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    struct mu_keystore_pair pair = {0};
    struct mu_pki_certs chain = {0};
    struct mu_pki_key *key = NULL;
    bool is_pending = false;
    enum mu_code rc;

    if ((rc = key_of(agent, name, &text, &is_pending, err)) != MU_OK)
        goto out;
    if ((rc = mu_keystore_key_parse(mu_buf_bytes(&text), key_password, &key, err)) != MU_OK)
        goto out;
    pair.cert = mu_pki_certs_by_key(certs, mu_pki_key_spki(key));
    if (pair.cert == NULL) {
        rc = mu_err_set(err, MU_AUTH, MU_M(214),
            "none of the %zu certificates is for the key of %s", certs->n, name);
        goto out;
    }
    if ((rc = mu_pki_certs_chain(pair.cert, certs, &chain, err)) != MU_OK)
        goto out;
    pair.key_pem = mu_buf_bytes(&text);
    pair.chain = &chain;
    if ((rc = mu_keystore_save(agent->store, name, &pair, saved, err)) != MU_OK)
        goto out;
    if (is_pending)
        rc = mu_agent_pending_remove(agent->store, name, err);
    if (rc == MU_OK)
        rc = mu_agent_life_happened(agent, name, NULL, err);
out:
    mu_pki_certs_clear(&chain);
    mu_pki_key_free(key);
    mu_buf_clear(&text);
    return rc;
}

enum mu_code mu_agent_install(struct mu_agent *agent, const char *name,
    const struct mu_pki_certs *certs, const struct mu_secret *key_password,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, name, &lock, err);

    if (rc == MU_OK)
        rc = install_locked(agent, name, certs, key_password, saved, err);
    if (rc == MU_OK)
        mu_agent_event_loaded(agent, name, "install", saved->stem);
    mu_keystore_unlock(lock);
    return rc;
}
