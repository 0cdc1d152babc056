/* PEM, bundle, PKCS #12. */
#include "agent/agent_export.h"

#include "agent/agent_internal.h"
#include "pki/pki_p12.h"
#include "pki/pki_pem.h"

static void put_certs(const struct mu_keystore_entry *entry, struct mu_buf *out)
{
    mu_pki_pem_put(out, "CERTIFICATE", entry->cert->der);
    for (size_t i = 0; i < entry->chain.n; i++)
        mu_pki_pem_put(out, "CERTIFICATE", entry->chain.v[i]->der);
}

static enum mu_code key_read(struct mu_agent *agent, const struct mu_agent_export *request,
    const struct mu_keystore_entry *entry, struct mu_pki_key **out, struct mu_err *err)
{
    const struct mu_agent_secrets given = {.key_password = request->key_password};
    struct mu_agent_secret_values values = {0};
    enum mu_code rc = mu_agent_secrets_take(agent, request->name, &given, &values, err);

    if (rc == MU_OK)
        rc = mu_keystore_key_read(entry->key_file, &values.key_password, out, err);
    if (rc == MU_OK && mu_pki_key_is_token(*out)) {
        rc = mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "the private key of %s is in a token, and stays there",
            request->name);
        mu_err_next(err, "muster export %s --pem FILE gives the certificates", request->name);
    }
    if (rc == MU_OK && !mu_bytes_equal(mu_pki_key_spki(*out), entry->cert->spki))
        rc = mu_err_set(err, MU_STORAGE, MU_M(708), "%s and %s do not belong together", entry->key_file, entry->cert_file);
    mu_agent_secrets_clear(&values);
    return rc;
}

static enum mu_code with_key(struct mu_agent *agent, const struct mu_agent_export *request,
    const struct mu_keystore_entry *entry, struct mu_buf *out, struct mu_err *err)
{
    struct mu_pki_key *key = NULL;
    enum mu_code rc = key_read(agent, request, entry, &key, err);

    if (rc == MU_OK && request->form == MU_AGENT_EXPORT_P12) {
        rc = mu_pki_p12_encode(key, entry->cert, &entry->chain, request->name, request->password, out, err);
    } else if (rc == MU_OK) {
        put_certs(entry, out);
        rc = mu_pki_key_encode(key, request->password, out, err);
    }
    mu_pki_key_free(key);
    return rc;
}

enum mu_code mu_agent_export(struct mu_agent *agent, const struct mu_agent_export *request, struct mu_buf *out,
    size_t *certs, struct mu_err *err)
{
    struct mu_keystore_entry entry = {.stem = ""};
    enum mu_code rc = mu_keystore_load(agent->store, request->name, &entry, err);

    if (rc != MU_OK)
        return rc;
    if (request->form == MU_AGENT_EXPORT_PEM)
        put_certs(&entry, out);
    else
        rc = with_key(agent, request, &entry, out, err);
    if (rc == MU_OK)
        rc = mu_buf_check(out, "what is exported", err);
    if (certs != NULL)
        *certs = entry.chain.n + 1;
    mu_keystore_entry_clear(&entry);
    return rc;
}
