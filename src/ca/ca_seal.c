/* Secrets sealed for their row, and salts by name. */
#include "ca/ca_seal.h"

#include "ca/ca_internal.h"

static const char *const kinds[] = {
    [MU_CA_SEAL_ENTRY] = "entry",
    [MU_CA_SEAL_KEY] = "made key",
    [MU_CA_SEAL_REQUEST] = "request",
};

/* The NUL between keeps kind and name apart, whatever the name is. */
static enum mu_code place_of(
    enum mu_ca_seal_kind kind, const char *name, struct mu_buf *place, struct mu_err *err)
{
    mu_buf_put(place, kinds[kind], strlen(kinds[kind]) + 1);
    mu_buf_put_str(place, name);
    return mu_buf_check(place, "the place of a sealed secret", err);
}

enum mu_code mu_ca_seal(const struct mu_ca *ca, enum mu_ca_seal_kind kind, const char *name,
    struct mu_bytes secret, struct mu_buf *out, struct mu_err *err)
{
    struct mu_buf place = {.max = 1024};
    enum mu_code rc = place_of(kind, name, &place, err);

    if (rc == MU_OK)
        rc = mu_pki_seal(ca->seal_key, mu_buf_bytes(&place), secret, ca->config.env, out, err);
    mu_buf_clear(&place);
    return rc;
}

enum mu_code mu_ca_unseal(const struct mu_ca *ca, enum mu_ca_seal_kind kind, const char *name,
    struct mu_bytes sealed, struct mu_secret *out, struct mu_err *err)
{
    struct mu_buf place = {.max = 1024};
    enum mu_code rc;

    if (sealed.n == 0)
        return mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "no password is kept for %s '%.64s' that could be computed with", kinds[kind], name);
    if ((rc = place_of(kind, name, &place, err)) == MU_OK)
        rc = mu_pki_seal_open(ca->seal_key, mu_buf_bytes(&place), sealed, out, err);
    if (rc == MU_AUTH)
        rc = mu_err_set(err, MU_AUTH, MU_REASON_NONE,
            "the secret kept for %s '%.64s' cannot be opened: it was sealed with another CA secret, "
            "or changed",
            kinds[kind], name);
    mu_buf_clear(&place);
    return rc;
}

enum mu_code mu_ca_seal_salt(
    const struct mu_ca *ca, const char *name, uint8_t out[MU_CA_SEAL_SALT], struct mu_err *err)
{
    uint8_t key[MU_PKI_SEAL_KEY], mac[32];
    enum mu_code rc =
        mu_pki_seal_key(mu_secret_bytes(&ca->secret), "muster ca: salts by name", key, err);

    if (rc == MU_OK && !mu_pki_hmac_sha256(mu_bytes(key, sizeof key), mu_bytes_str(name), mac))
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "HMAC-SHA-256 failed");
    if (rc == MU_OK)
        memcpy(out, mac, MU_CA_SEAL_SALT);
    mu_bytes_wipe(key, sizeof key);
    return rc;
}

enum mu_code mu_ca_password_keep(const struct mu_ca *ca, const char *name,
    struct mu_bytes password, struct mu_ca_kept *out, struct mu_err *err)
{
    struct mu_buf sealed = {.max = sizeof out->sealed};
    enum mu_code rc = MU_OK;

    out->no_hash = false;
    if (!mu_ca_password_hash(ca, password, out->hash))
        rc = mu_err_set(err, MU_INTERNAL, MU_REASON_NONE, "HMAC-SHA-256 failed");
    else
        rc = mu_ca_seal(ca, MU_CA_SEAL_ENTRY, name, password, &sealed, err);
    if (rc == MU_OK)
        memcpy(out->sealed, sealed.p, out->sealed_n = sealed.n);
    mu_buf_clear(&sealed);
    return rc;
}

void mu_ca_kept_put(const struct mu_ca_kept *kept, struct mu_record_entry *row)
{
    row->password_hash = mu_bytes(kept->hash, kept->no_hash ? 0 : sizeof kept->hash);
    row->sealed = mu_bytes(kept->sealed, kept->sealed_n);
}
