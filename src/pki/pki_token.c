/* Keys in tokens: OSSL_STORE where a provider serves pkcs11: URIs, else an engine. */
#define OPENSSL_SUPPRESS_DEPRECATED /* engines: the only way on OpenSSL 3.0 */
#include "pki/pki_token.h"

#include <dirent.h>
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/opensslconf.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdio.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/pki_token_uri.h"

/* What is loaded is loaded for the process: engines and providers are OpenSSL's own globals. */
static struct {
    pthread_mutex_t lock;
    char provider_name[64]; /* empty: an engine, or nothing chosen */
    char engine_name[64];   /* empty: "pkcs11" */
    char module[512];       /* what the engine was started with */
    OSSL_PROVIDER *provider;
#ifndef OPENSSL_NO_ENGINE
    ENGINE *engine;
#endif
} loaded = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what is installed ---- */

static void list_directory(int which, struct mu_buf *out)
{
    const char *text = OPENSSL_info(which);
    DIR *dir = text ? opendir(text) : NULL;
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);
        if (n > 3 && strcmp(entry->d_name + n - 3, ".so") == 0)
            mu_buf_putf(out, "%s%.*s", out->n ? ", " : "", (int)(n - 3), entry->d_name);
    }
    if (dir)
        closedir(dir);
}

static enum mu_code not_available(const char *name, struct mu_err *err)
{
    char shown[80];
    struct mu_buf installed;
    mu_buf_init(&installed, 300);
    list_directory(OPENSSL_INFO_ENGINES_DIR, &installed);
    list_directory(OPENSSL_INFO_MODULES_DIR, &installed);
    mu_err_set(err, MU_UNSUPPORTED, MU_M(709),
        "engine or provider \"%s\" is not available; installed: %s",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(name)),
        installed.n ? mu_buf_str(&installed) : "none");
    mu_buf_clear(&installed);
    ERR_clear_error();
    return MU_UNSUPPORTED;
}

/* ---- providers ---- */

/* What is OpenSSL's own is no token, and loading "legacy" would undo pki_legacy.c. */
static bool is_own_provider(const char *name)
{
    static const char *const own[] = {"default", "base", "legacy", "null", "fips"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i], name) == 0)
            return true;
    return false;
}

static int pin_reader(UI *ui, UI_STRING *uis)
{
    const struct mu_secret *pin = UI_get0_user_data(ui);
    if (UI_get_string_type(uis) != UIT_PROMPT && UI_get_string_type(uis) != UIT_VERIFY)
        return 1;
    return pin && pin->p && UI_set_result_ex(ui, uis, (const char *)pin->p, (int)pin->n) == 0;
}

static EVP_PKEY *from_store(const char *uri, const struct mu_secret *pin)
{
    UI_METHOD *method = UI_create_method("muster PIN");
    EVP_PKEY *evp = NULL;
    struct mu_secret user = pin ? *pin : (struct mu_secret){0};
    if (method)
        UI_method_set_reader(method, pin_reader);
    OSSL_STORE_CTX *ctx =
        method ? OSSL_STORE_open_ex(uri, NULL, NULL, method, &user, NULL, NULL, NULL) : NULL;
    while (ctx && !evp && !OSSL_STORE_eof(ctx)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(ctx);
        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            evp = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
        if (!info && OSSL_STORE_error(ctx))
            break;
    }
    OSSL_STORE_close(ctx);
    UI_destroy_method(method);
    return evp;
}

static bool provider_start(const char *name)
{
    if (is_own_provider(name))
        return false;
    if (loaded.provider && strcmp(loaded.provider_name, name) == 0)
        return true;
    OSSL_PROVIDER *provider = OSSL_PROVIDER_try_load(NULL, name, 1);
    if (!provider)
        return false;
    if (loaded.provider)
        OSSL_PROVIDER_unload(loaded.provider);
    loaded.provider = provider;
    snprintf(loaded.provider_name, sizeof(loaded.provider_name), "%s", name);
    return true;
}

/* ---- engines ---- */

#ifndef OPENSSL_NO_ENGINE
static bool engine_command(ENGINE *engine, const char *command, const char *value)
{
    return ENGINE_ctrl_cmd_string(engine, command, value, 0) == 1;
}

/* The engine would say of a module that cannot be loaded that there is no such key. */
static enum mu_code module_check(const char *module, struct mu_err *err)
{
    void *handle = dlopen(module, RTLD_LAZY | RTLD_LOCAL);
    const char *why = handle == NULL ? dlerror() : dlsym(handle, "C_GetFunctionList") == NULL ? "it is none" : NULL;
    char shown[400];

    mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(why != NULL ? why : ""));
    if (handle != NULL)
        dlclose(handle);
    if (why == NULL)
        return MU_OK;
    mu_err_set(err, MU_UNSUPPORTED, MU_M(709), "the PKCS#11 module cannot be used: %s", shown);
    mu_err_next(err, "Correct module-path in the pkcs11: URI, or install the token's module.");
    return MU_UNSUPPORTED;
}

/* Starts the engine, or finds it started. One module for the process: the engine has no more. */
static enum mu_code engine_start(const char *module, struct mu_err *err)
{
    const char *name = loaded.engine_name[0] ? loaded.engine_name : "pkcs11";
    if (loaded.engine) {
        if (module && strcmp(module, loaded.module) != 0)
            return mu_err_set(err, MU_UNSUPPORTED, MU_M(709),
                "another PKCS#11 module is in use already: %s", loaded.module);
        return MU_OK;
    }
    if (module && module_check(module, err) != MU_OK)
        return MU_UNSUPPORTED;
    ENGINE *engine = ENGINE_by_id(name);
    if (!engine)
        return not_available(name, err);
    /* Who initializes OpenSSL with all engines (libcurl does) must not make this one everybody's:
     * plain keys would go through it, and EVP_PKEY_fromdata knows no engines. */
    ENGINE_set_flags(engine, ENGINE_get_flags(engine) | ENGINE_FLAGS_NO_REGISTER_ALL);
    engine_command(engine, "QUIET", NULL); /* libp11 would print to standard error */
    if (module && !engine_command(engine, "MODULE_PATH", module)) {
        ENGINE_free(engine);
        return mu_pki_ossl_fail(err, MU_UNSUPPORTED, MU_M(709), "the engine takes no module");
    }
    if (ENGINE_init(engine) != 1) {
        ENGINE_free(engine);
        return mu_pki_ossl_fail(err, MU_UNSUPPORTED, MU_M(709),
            "engine \"%s\" does not start with module %s", name, module ? module : "(its own)");
    }
    ENGINE_free(engine); /* ENGINE_init keeps its own count */
    loaded.engine = engine;
    snprintf(loaded.module, sizeof(loaded.module), "%s", module ? module : "");
    return MU_OK;
}

static void engine_stop(void)
{
    if (loaded.engine)
        ENGINE_finish(loaded.engine);
    loaded.engine = NULL;
    loaded.module[0] = 0;
}

/* The path part of the URI without what was taken out of it, and the PIN as its query: the
 * engine's PIN command would stay for the next token's login. */
static void uri_with_pin(const char *uri, const struct mu_secret *pin, struct mu_buf *out)
{
    static const char *const taken[] = {"pin-value=", "pin-source=", "module-path="};
    size_t scheme = strcspn(uri, ":") + 1;
    mu_buf_put(out, uri, scheme);
    for (const char *p = uri + scheme; *p && *p != '?';) {
        size_t n = strcspn(p, ";?");
        bool skip = n == 0;
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
            skip |= mu_text_starts(p, taken[i]);
        if (!skip) {
            if (out->n > scheme)
                mu_buf_put_byte(out, ';');
            mu_buf_put(out, p, n);
        }
        p += n + (p[n] == ';');
    }
    if (!pin || !pin->p)
        return;
    mu_buf_put_str(out, "?pin-value=");
    for (size_t i = 0; i < pin->n; i++)
        mu_buf_putf(out, "%%%02x", pin->p[i]);
}

static enum mu_code from_engine(const char *uri, const char *module, const struct mu_secret *pin,
    EVP_PKEY **out, struct mu_err *err)
{
    struct mu_buf full;
    enum mu_code rc = engine_start(module, err);
    if (rc != MU_OK)
        return rc;
    mu_buf_init_secret(&full, 4096);
    if (mu_text_starts(uri, "pkcs11:"))
        uri_with_pin(uri, pin, &full);
    else
        mu_buf_put_str(&full, uri);
    EVP_PKEY *evp = full.failed
        ? NULL
        : ENGINE_load_private_key(loaded.engine, mu_buf_str(&full), NULL, NULL);
    mu_buf_clear(&full);
    if (!evp)
        return mu_pki_ossl_fail(err, MU_NOT_FOUND, MU_REASON_NONE,
            "there is no such key in the token, or the PIN is wrong");
    *out = evp;
    return MU_OK;
}
#endif

/* ---- both ---- */

static bool use_provider(void)
{
    return loaded.provider || (!loaded.engine_name[0] && OSSL_PROVIDER_available(NULL, "pkcs11"));
}

static enum mu_code load(const char *uri, const char *module, const struct mu_secret *pin,
    EVP_PKEY **out, struct mu_err *err)
{
    if (use_provider()) {
        *out = from_store(uri, pin);
        return *out ? MU_OK
                    : mu_pki_ossl_fail(err, MU_NOT_FOUND, MU_REASON_NONE,
                          "there is no such key in the token, or the PIN is wrong");
    }
#ifndef OPENSSL_NO_ENGINE
    return from_engine(uri, module, pin, out, err);
#else
    return not_available("pkcs11", err);
#endif
}

enum mu_code mu_pki_token_open(const char *uri, const char *module, const struct mu_secret *pin,
    struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_pki_token_uri parsed = {0};
    EVP_PKEY *evp = NULL;
    enum mu_code rc = MU_OK;
    /* an engine chosen by name may have names of its own for keys */
    pthread_mutex_lock(&loaded.lock);
    if (mu_text_starts(uri, "pkcs11:") || !(loaded.engine_name[0] || loaded.provider))
        rc = mu_pki_token_uri_parse(uri, &parsed, err);
    if (rc == MU_OK) {
        if (!module && parsed.module.n)
            module = mu_buf_str(&parsed.module);
        /* a pin-source was read: not every engine knows it */
        rc = load(uri, module, pin && pin->p ? pin : parsed.pin.p ? &parsed.pin : NULL, &evp, err);
    }
    pthread_mutex_unlock(&loaded.lock);
    mu_pki_token_uri_clear(&parsed);
    return rc == MU_OK ? mu_pki_key_wrap(evp, true, true, out, err) : rc;
}

enum mu_code mu_pki_token_use(const char *engine_or_provider, struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    pthread_mutex_lock(&loaded.lock);
    if (strlen(engine_or_provider) >= sizeof(loaded.engine_name) || !*engine_or_provider) {
        rc = not_available(engine_or_provider, err);
    } else if (!provider_start(engine_or_provider)) {
        ERR_clear_error();
#ifndef OPENSSL_NO_ENGINE
        ENGINE *engine = ENGINE_by_id(engine_or_provider);
        if (!engine) {
            rc = not_available(engine_or_provider, err);
        } else {
            ENGINE_free(engine);
            if (strcmp(loaded.engine_name, engine_or_provider) != 0)
                engine_stop();
            snprintf(loaded.engine_name, sizeof(loaded.engine_name), "%s", engine_or_provider);
        }
#else
        rc = not_available(engine_or_provider, err);
#endif
    }
    ERR_clear_error();
    pthread_mutex_unlock(&loaded.lock);
    return rc;
}

enum mu_code mu_pki_token_generate(const char *uri, const char *module, const struct mu_secret *pin,
    const struct mu_pki_key_spec *spec, struct mu_pki_key **out, struct mu_err *err)
{
    struct mu_pki_token_uri parsed = {0};
    enum mu_code rc = mu_pki_token_uri_parse(uri, &parsed, err);
    if (rc != MU_OK)
        return rc;
    if (!module)
        module = parsed.module.n ? mu_buf_str(&parsed.module) : "p11-kit-proxy.so";
    rc = mu_pki_token_make(module, &parsed, pin && pin->p ? pin : &parsed.pin, spec, err);
    if (rc == MU_OK)
        rc = mu_pki_token_open(uri, module, pin, out, err);
    mu_pki_token_uri_clear(&parsed);
    return rc;
}

void mu_pki_token_shutdown(void)
{
    pthread_mutex_lock(&loaded.lock);
#ifndef OPENSSL_NO_ENGINE
    engine_stop();
#endif
    if (loaded.provider)
        OSSL_PROVIDER_unload(loaded.provider);
    loaded.provider = NULL;
    loaded.provider_name[0] = loaded.engine_name[0] = 0;
    pthread_mutex_unlock(&loaded.lock);
}
