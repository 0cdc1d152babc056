/*
 * How a key that the server makes is to reach us beyond TLS (RFC 7030 4.4.1): encrypted to the
 * certificate that TLS shows, or to an AES key that both sides have under one name.
 */
#include "agent/agent_internal.h"
#include "agent/agent_value.h"
#include "base/limits.h"
#include "base/text.h"
#include "pki/pki_identity.h"

/* The key is written in hex, since a file of random octets may hold a line's end. */
static enum mu_code shared_key(
    const struct mu_agent_job *job, const char *id, struct mu_secret *kek, struct mu_err *err)
{
    const struct mu_secret *given = &job->secret.shared_key;
    struct mu_buf text = {.max = MU_LIMIT_KEK_TEXT, .secret = true};
    struct mu_buf key = {.max = MU_LIMIT_KEK_TEXT, .secret = true};
    enum mu_code rc;

    if (!mu_secret_is_set(given)) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "there is no shared key for %s", job->name);
        mu_err_next(err, "give it with --shared-key-file FILE, or muster secret set %s shared-key", job->name);
        return MU_INPUT;
    }
    mu_buf_put_bytes(&text, mu_secret_bytes(given));
    rc = mu_buf_check(&text, "shared key", err);
    /* What is wrong is not repeated: it may be the key but for a typing error. */
    if (rc == MU_OK && (mu_text_unhex(mu_buf_str(&text), &key, NULL) != MU_OK || key.failed
        || (key.n != 16 && key.n != 24 && key.n != 32)))
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the shared key is no AES key: 32, 48 or 64 hex digits (openssl rand -hex 32 makes one)");
    if (rc == MU_OK)
        rc = mu_secret_set(kek, mu_buf_bytes(&key), err);
    mu_buf_clear(&text);
    mu_buf_clear(&key);
    return rc;
}

enum mu_code mu_agent_delivery_take(struct mu_agent_job *job, struct mu_client_config *config,
    struct mu_secret *kek, struct mu_err *err)
{
    const char *to = job->settings.server_key_to, *id = mu_agent_value_shared_id(to);
    enum mu_code rc;

    if (to == NULL || strcmp(to, "tls") == 0)
        return MU_OK;
    if (!mu_agent_settings_is_est(&job->settings))
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE,
            "server-key-to is EST's: CMP encrypts a key by the way its request is protected (RFC 9483 4.1.6)");
    if (id != NULL) {
        if ((rc = shared_key(job, id, kek, err)) != MU_OK)
            return rc;
        config->kek = kek;
        config->kek_id = mu_bytes_str(id);
        return MU_OK;
    }
    if (job->identity == NULL || job->identity->chain.n == 0 || job->identity->key == NULL) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the key is to be encrypted to the certificate that TLS shows, and none is shown (RFC 7030 4.4.1.2)");
        mu_err_next(err, "name one with --client-cert");
        return MU_INPUT;
    }
    config->decrypt_cert = job->identity->chain.v[0];
    config->decrypt_key = job->identity->key;
    return MU_OK;
}
