/* Secrets out of files, credentials and the store. */
#include "agent/agent_secret_where.h"

#include <stdlib.h>

#include "base/text.h"

enum { SECRET_MAX = 4096 };

static const struct {
    const char *key;
    size_t where;   /* in mu_agent_config_secrets */
    size_t held;    /* in mu_agent_secret_where */
    size_t request; /* in mu_agent_enroll */
} kinds[] = {
#define KIND(key, member)                                                                                            \
    {key, offsetof(struct mu_agent_config_secrets, member), offsetof(struct mu_agent_secret_where, member),          \
        offsetof(struct mu_agent_enroll, member)}
    KIND("challenge", challenge),
    KIND("password", password),
    KIND("srp-password", srp_password),
    KIND("key-password", key_password),
    KIND("secret", secret),
    KIND("shared-key", shared_key),
#undef KIND
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *mu_agent_secret_where_key(size_t i)
{
    return i < KINDS ? kinds[i].key : NULL;
}

enum mu_code mu_agent_secret_where_file(const char *path, struct mu_secret *out, struct mu_err *err)
{
    struct mu_buf file = {.secret = true};
    const uint8_t *end;
    enum mu_code rc = mu_keystore_file_read(path, MU_KEYSTORE_SECRET, &file, err);

    if (rc == MU_OK) {
        end = file.n > 0 ? memchr(file.p, '\n', file.n) : NULL;
        rc = mu_secret_set(out, mu_bytes(file.p, end != NULL ? (size_t)(end - file.p) : file.n), err);
    }
    mu_buf_clear(&file);
    return rc;
}

/* systemd's directory is for this service alone, whatever the modes in it say. */
static enum mu_code of_credential(const char *name, struct mu_secret *out, struct mu_err *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    struct mu_buf path = {0}, file = {.max = SECRET_MAX, .secret = true};
    enum mu_code rc;

    if (dir == NULL || !mu_text_is_entry_name(name)) {
        mu_err_set(err, MU_INPUT, MU_M(706), "credential:%s: systemd gave no such credential (CREDENTIALS_DIRECTORY)",
            name);
        mu_err_next(err, "LoadCredential=%s:PATH in a drop-in of musterd.service", name);
        return MU_INPUT;
    }
    mu_buf_putf(&path, "%s/%s", dir, name);
    if ((rc = mu_buf_check(&path, "path", err)) == MU_OK)
        rc = mu_keystore_file_read(mu_buf_str(&path), MU_KEYSTORE_PUBLIC, &file, err);
    if (rc == MU_OK) {
        const uint8_t *end = file.n > 0 ? memchr(file.p, '\n', file.n) : NULL;

        rc = mu_secret_set(out, mu_bytes(file.p, end != NULL ? (size_t)(end - file.p) : file.n), err);
    }
    mu_buf_clear(&file);
    mu_buf_clear(&path);
    return rc;
}

static enum mu_code of_store(
    struct mu_keystore *store, const char *key, const char *name, struct mu_secret *out, struct mu_err *err)
{
    struct mu_buf stored = {.max = SECRET_MAX, .secret = true};
    enum mu_code rc = store == NULL ? MU_NOT_FOUND
                                    : mu_keystore_get(store, MU_KEYSTORE_SECRETS, name, key, &stored, err);

    if (rc == MU_OK)
        rc = mu_secret_set(out, mu_buf_bytes(&stored), err);
    mu_buf_clear(&stored);
    if (rc != MU_NOT_FOUND)
        return rc;
    mu_err_set(err, MU_INPUT, MU_M(706), "secret:%s: there is no %s of that name in the store", name, key);
    mu_err_next(err, "muster secret set %s %s", name, key);
    return MU_INPUT;
}

enum mu_code mu_agent_secret_where_read(struct mu_keystore *store, const char *key, const char *where,
    struct mu_secret *out, struct mu_err *err)
{
    if (mu_text_starts(where, "file:"))
        return mu_agent_secret_where_file(where + 5, out, err);
    if (mu_text_starts(where, "credential:"))
        return of_credential(where + 11, out, err);
    if (mu_text_starts(where, "secret:"))
        return of_store(store, key, where + 7, out, err);
    return mu_secret_set(out, mu_bytes_str(where), err);
}

static struct mu_secret *held_at(struct mu_agent_secret_where *held, size_t i)
{
    return (struct mu_secret *)(void *)((char *)held + kinds[i].held);
}

void mu_agent_secret_where_clear(struct mu_agent_secret_where *held)
{
    for (size_t i = 0; i < KINDS; i++)
        mu_secret_clear(held_at(held, i));
}

enum mu_code mu_agent_secret_where_take(void *cookie, const struct mu_agent_config_secrets *where,
    struct mu_agent_enroll *request, struct mu_err *err)
{
    struct mu_agent_secret_where *held = cookie;
    enum mu_code rc = MU_OK;

    mu_agent_secret_where_clear(held);
    for (size_t i = 0; rc == MU_OK && i < KINDS; i++) {
        const char *text = *(const char *const *)(const void *)((const char *)where + kinds[i].where);
        const struct mu_secret **to = (const struct mu_secret **)(void *)((char *)request + kinds[i].request);

        if (text == NULL)
            continue;
        rc = mu_agent_secret_where_read(held->agent->store, kinds[i].key, text, held_at(held, i), err);
        if (rc == MU_OK)
            *to = held_at(held, i);
        else
            mu_err_context(err, "%s", kinds[i].key);
    }
    return rc;
}
