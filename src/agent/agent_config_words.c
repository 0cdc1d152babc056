/* Each key of muster.conf: where it may stand, what it may be, its default (PRODUCT "Configuration"). */
#include <string.h>

#include "agent/agent_config_internal.h"
#include "base/text.h"

#define AGENT MU_AGENT_CONFIG_AGENT
/* An entry may say itself what its CA's section would: then it needs none. */
#define ENTRY (MU_AGENT_CONFIG_DEFAULTS | MU_AGENT_CONFIG_TEMPLATE | MU_AGENT_CONFIG_CERTIFICATE)
#define CA (MU_AGENT_CONFIG_CA | ENTRY)
#define V(name) mu_agent_value_##name

static const struct mu_agent_config_word words[] = {
    /* [agent] */
    {"store", AGENT, V(path), "/var/lib/muster", false, true},
    {"check-interval", AGENT, V(duration), "1h", false, true},
    {"jitter", AGENT, V(percent), "20%", false, true},
    {"max-requests", AGENT, V(per_day), "2/day", false, true},
    {"time-source", AGENT, V(time_source), "required", false, true},
    {"serial-source", AGENT, NULL, "auto", false, true},
    {"hostname", AGENT, V(host), NULL, false, true},
    {"automation", AGENT | ENTRY, V(answer), "yes", false, false},
    {"allow-legacy", AGENT | CA, V(answer), "no", false, false},
    {"ui", AGENT, V(ui), "unix:/run/muster/ui.sock", false, true},
    {"control", AGENT, V(socket), "unix:/run/muster/control.sock", false, true},
    {"metrics", AGENT, V(metrics), "off", false, true},
    {"notify", AGENT, V(notify), "syslog", false, true},
    {"hook-user", AGENT, V(account), "root", false, true},
    {"hook-timeout", AGENT, V(duration), "60s", false, true},
    {"log-level", AGENT, V(level), "info", false, true},
    {"trace-size", AGENT, V(size), "16M", false, true},
    /* [ca] */
    {"protocol", CA, NULL, NULL, false, false},
    {"url", CA, V(url), NULL, false, false},
    {"trust", CA, NULL, "the CA store", false, false},
    {"pin-sha256", CA, NULL, NULL, false, false},
    {"server-name", CA, V(host), NULL, false, false},
    {"proxy", CA, V(proxy), NULL, false, false},
    {"no-proxy", CA, NULL, NULL, false, false},
    {"source-ip", CA, V(address), NULL, false, false},
    {"timeout", CA, V(duration), "30s", false, false},
    {"tls-min", CA, NULL, "1.2", false, false},
    {"renew-window", CA, NULL, "learned", false, false},
    {"ca-identifier", CA, NULL, NULL, false, false},
    {"challenge", CA, V(reference), NULL, true, true},
    {"challenge-once", CA, V(answer), "yes", false, false},
    {"method", CA, NULL, "auto", false, false},
    {"digest", CA, NULL, "sha256", false, false},
    {"cipher", CA, NULL, "aes128", false, false},
    {"ra-cert", CA, V(path), NULL, false, false},
    {"nonce-check", CA, NULL, "strict", false, false},
    {"scep-standard", CA, NULL, "optional", false, false},
    {"compat", CA, NULL, "none", false, false},
    {"label", CA, NULL, NULL, false, false},
    {"user", CA, NULL, NULL, false, false},
    {"password", CA, V(reference), NULL, true, true},
    {"client-cert", CA, NULL, NULL, false, false},
    {"srp-user", CA, NULL, NULL, false, false},
    {"srp-password", CA, V(reference), NULL, true, true},
    {"csrattrs", CA, NULL, "use", false, false},
    {"renew-auth", CA, NULL, "certificate", false, false},
    {"server-key", CA, V(answer), "no", false, false},
    {"server-key-to", CA, NULL, "tls", false, false},
    {"shared-key", CA, V(reference), NULL, true, true},
    {"path", CA, V(path), "/app/cert/cmp2", false, false},
    {"server-cert", CA, NULL, NULL, false, false},
    {"ref", CA, NULL, NULL, false, false},
    {"secret", CA, V(reference), NULL, true, true},
    {"mac", CA, NULL, "pbm", false, false},
    {"mac-iterations", CA, NULL, "10000", false, false},
    {"pop", CA, NULL, "signature", false, false},
    {"mac-owf", CA, NULL, "sha256", false, false},
    {"mac-hmac", CA, NULL, "sha256", false, false},
    {"cmp-request", CA, NULL, "ir", false, false},
    {"implicit-confirm", CA, V(answer), "no", false, false},
    {"no-confirm", CA, V(answer), "no", false, false},
    {"ignore-key-usage", CA, V(answer), "no", false, false},
    {"trust-ca-pubs", CA, V(answer), "no", false, false},
    {"ask-template", CA, V(answer), "no", false, false},
    {"rsa-pss", CA, V(answer), "no", false, false},
    /* [defaults], [template], [certificate] */
    {"ca", ENTRY, V(names), NULL, false, true},
    {"template", MU_AGENT_CONFIG_CERTIFICATE, V(name), NULL, false, true},
    {"subject", ENTRY, NULL, NULL, false, false},
    {"san", ENTRY, NULL, NULL, false, false},
    {"key", ENTRY, NULL, "ec:P-256, SCEP rsa:2048", false, false},
    {"key-file", ENTRY, NULL, NULL, false, false},
    {"reuse-key", ENTRY, V(answer), "EST yes, else no", false, false},
    {"key-password", ENTRY, V(reference), NULL, true, true},
    {"key-usage", ENTRY, NULL, NULL, false, false},
    {"eku", ENTRY, NULL, NULL, false, false},
    {"template-name", ENTRY, NULL, NULL, false, false},
    {"renew-days", ENTRY, NULL, "auto", false, false},
    {"warn-days", ENTRY, NULL, "auto", false, false},
    {"await-result", ENTRY, V(duration), "60s", false, false},
    {"max-await-result", ENTRY, V(duration), "60min", false, false},
    {"deploy", ENTRY, NULL, NULL, false, false},
    {"verify", ENTRY, NULL, NULL, false, false},
    {"success-script", ENTRY, NULL, NULL, false, false},
    {"failure-script", ENTRY, NULL, NULL, false, false},
    {"key-owner", ENTRY, NULL, NULL, false, false},
    {"key-group", ENTRY, NULL, NULL, false, false},
    {"key-mode", ENTRY, NULL, NULL, false, false},
    {"comments", ENTRY, NULL, NULL, false, false},
};
enum { WORDS = sizeof words / sizeof words[0] };

static const struct {
    const char *section;
    unsigned kind;
} kinds[] = {
    {"agent", MU_AGENT_CONFIG_AGENT},
    {"ca", MU_AGENT_CONFIG_CA},
    {"defaults", MU_AGENT_CONFIG_DEFAULTS},
    {"template", MU_AGENT_CONFIG_TEMPLATE},
    {"certificate", MU_AGENT_CONFIG_CERTIFICATE},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const struct mu_agent_config_word *mu_agent_config_word_at(size_t i)
{
    return i < WORDS ? &words[i] : NULL;
}

int mu_agent_config_word_find(const char *key)
{
    for (int i = 0; i < (int)WORDS; i++)
        if (key[0] == words[i].word[0] && strcmp(key, words[i].word) == 0)
            return i;
    return -1;
}

const char *mu_agent_config_word_nearest(const char *key, unsigned kind)
{
    const char *list[WORDS + 1];
    size_t n = 0;

    for (size_t i = 0; i < WORDS; i++)
        if ((words[i].kinds & kind) != 0)
            list[n++] = words[i].word;
    list[n] = NULL;
    return strlen(key) <= 40 ? mu_text_nearest(key, list) : NULL;
}

unsigned mu_agent_config_kind_parse(const char *section)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(section, kinds[i].section) == 0)
            return kinds[i].kind;
    return 0;
}

const char *mu_agent_config_kind_name(unsigned kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].section;
    return "";
}

const char *mu_agent_config_kind_nearest(const char *section)
{
    const char *list[KINDS + 1] = {NULL};

    for (size_t i = 0; i < KINDS; i++)
        list[i] = kinds[i].section;
    return strlen(section) <= 40 ? mu_text_nearest(section, list) : NULL;
}

enum mu_code mu_agent_config_word_check(int word, const char *value, struct mu_err *err)
{
    const struct mu_agent_config_word *w = &words[word];
    struct mu_agent_settings scratch = {0};
    enum mu_code rc = MU_OK;

    if (value[0] == '\0') /* takes away what a section below it says */
        return MU_OK;
    if (w->check != NULL) {
        if ((rc = w->check(value, err)) != MU_OK)
            mu_err_context(err, "%s", w->word);
        return rc;
    }
    if (!w->is_ours)
        rc = mu_agent_settings_set(&scratch, w->word, value, err);
    mu_agent_settings_clear(&scratch);
    return rc;
}
