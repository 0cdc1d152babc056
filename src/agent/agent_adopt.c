/* A pair that exists somewhere becomes an entry: no request, its lifetime decides when it is renewed. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_entry.h"
#include "agent/agent_internal.h"
#include "agent/agent_life.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_name.h"

/* What its certificate names, so that a new enrollment can ask for the same. What is said now comes first. */
static enum mu_code settings_of(const struct mu_pki_cert *cert, const struct mu_agent_settings *given,
    struct mu_agent_settings *out, struct mu_err *err)
{
    struct mu_buf san = {0};
    char *subject = NULL;
    enum mu_code rc = given != NULL ? mu_agent_settings_copy(given, out, err) : MU_OK;

    if (rc == MU_OK && out->subject == NULL && cert->subject.n > 2
        && (rc = mu_agent_name_text(cert->subject, true, &subject, err)) == MU_OK)
        rc = mu_agent_settings_set(out, "subject", subject, err);
    if (rc == MU_OK && out->san == NULL && cert->exts.san.n > 0 && mu_pki_san_format(cert->exts.san, &san)
        && mu_agent_settings_set(out, "san", mu_buf_str(&san), NULL) != MU_OK)
        mu_err_clear(err); /* a kind of name that cannot be asked for by words: the renewal takes it as it is */
    if (rc == MU_OK) /* the key is in the store from now on */
        rc = mu_agent_settings_put(out, "key-file", NULL, err);
    free(subject);
    mu_buf_clear(&san);
    return rc;
}

static enum mu_code key_text(const char *path, const struct mu_pki_key *key, const struct mu_secret *password,
    struct mu_buf *out, struct mu_err *err)
{
    const char *uri = mu_text_starts(path, "pkcs11:") ? path : NULL;

    if (uri != NULL || !mu_pki_key_is_token(key))
        return mu_keystore_key_text(key, uri, password, out, err);
    return mu_keystore_file_read(path, MU_KEYSTORE_PUBLIC, out, err); /* a file that holds the URI */
}

static enum mu_code take_pair(struct mu_agent *agent, const struct mu_agent_adopt *adopt, const struct mu_pki_key *key,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_buf text = {.max = MU_LIMIT_FILE, .secret = true};
    const struct mu_agent_secrets secrets = {adopt->challenge, adopt->key_password, adopt->password,
        adopt->srp_password, adopt->secret, adopt->shared_key};
    struct mu_agent_settings settings = {0};
    struct mu_keystore_pair pair = {.cert = mu_pki_certs_by_key(adopt->certs, mu_pki_key_spki(key))};
    struct mu_pki_certs chain = {0};
    enum mu_code rc;

    if (pair.cert == NULL)
        return mu_err_set(err, MU_AUTH, MU_M(214), "none of the %zu certificates is for the key in %s",
            adopt->certs->n, adopt->key_file);
    if ((rc = mu_pki_certs_chain(pair.cert, adopt->certs, &chain, err)) != MU_OK
        || (rc = key_text(adopt->key_file, key, adopt->key_password, &text, err)) != MU_OK)
        goto out;
    pair.key_pem = mu_buf_bytes(&text);
    pair.chain = &chain;
    /* Settings first: what a kill leaves is an entry without a certificate, and the same command ends it. */
    if (!mu_agent_config_has_entry(agent->config, adopt->name)
        && ((rc = settings_of(pair.cert, adopt->settings, &settings, err)) != MU_OK
            || (rc = mu_agent_settings_store(agent->store, adopt->name, &settings, err)) != MU_OK))
        goto out;
    if ((rc = mu_agent_secrets_keep(agent, adopt->name, &secrets, err)) == MU_OK
        && (rc = mu_keystore_save(agent->store, adopt->name, &pair, saved, err)) == MU_OK)
        rc = mu_agent_life_happened(agent, adopt->name, NULL, err);
out:
    mu_agent_settings_clear(&settings);
    mu_pki_certs_clear(&chain);
    mu_buf_clear(&text);
    return rc;
}

static enum mu_code adopt_locked(struct mu_agent *agent, const struct mu_agent_adopt *adopt,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_pki_key *key = NULL;
    enum mu_code rc;

    if (mu_keystore_has(agent->store, MU_KEYSTORE_STATE, adopt->name, "pending")) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "%s has a pending request", adopt->name);
        mu_err_next(err, "muster poll %s, or muster cancel %s", adopt->name, adopt->name);
        return MU_INPUT;
    }
    if ((rc = mu_keystore_key_read(adopt->key_file, adopt->key_password, &key, err)) != MU_OK)
        return rc;
    rc = take_pair(agent, adopt, key, saved, err);
    mu_pki_key_free(key);
    return rc;
}

enum mu_code mu_agent_adopt(struct mu_agent *agent, const struct mu_agent_adopt *adopt,
    struct mu_keystore_saved *saved, struct mu_err *err)
{
    struct mu_keystore_lock *lock = NULL;
    enum mu_code rc = mu_keystore_lock(agent->store, adopt->name, &lock, err);

    if (rc == MU_OK)
        rc = adopt_locked(agent, adopt, saved, err);
    if (rc == MU_OK)
        mu_agent_event_loaded(agent, adopt->name, "install", saved->stem);
    mu_keystore_unlock(lock);
    return rc;
}
