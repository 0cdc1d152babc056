/* show --as console: the entry in the words of the firewall-style console (PRODUCT "Console"). */
#include <stdio.h>

#include "agent/agent_entry.h"
#include "base/text.h"
#include "cmd/muster/cmd_facts.h"

/* "..." with \" and \\ inside. */
static void set(const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    printf("        set %s \"", key);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            putchar('\\');
        putchar(*value);
    }
    puts("\"");
}

static void set_word(const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0')
        printf("        set %s %s\n", key, value);
}

static void set_secret(const char *key, bool is_there)
{
    if (is_there)
        printf("        set %s *\n", key);
}

static void set_scep(const struct mu_agent_settings *s, bool has_challenge)
{
    set("scep-url", s->url);
    set_secret("scep-password", has_challenge);
    set("ca-identifier", s->ca_identifier);
}

static void set_est(const struct mu_agent_settings *s, const struct mu_agent_facts *f)
{
    set("est-server", s->url);
    set("est-ca-id", s->ca_identifier);
    set("est-http-username", s->user);
    set_secret("est-http-password", f->has_password);
    set("est-client-cert", s->client_cert);
    set("est-server-cert", s->trust);
    set("est-srp-username", s->srp_user);
    set_secret("est-srp-password", f->has_srp_password);
}

static void set_cmp(const struct mu_agent_settings *s)
{
    set("cmp-server", s->url);
    set("cmp-path", s->path);
    set("cmp-server-cert", s->server_cert != NULL ? s->server_cert : s->trust);
}

/* The certificate as the console shows it: its text in quotes. */
static void set_certificate(struct mu_cmd *cmd, const char *name)
{
    struct mu_keystore_entry entry = {0};
    struct mu_buf pem = {0};

    if (mu_keystore_load(cmd->store, name, &entry, NULL) == MU_OK && mu_pki_cert_to_pem(entry.cert, &pem)) {
        while (pem.n > 0 && pem.p[pem.n - 1] == '\n')
            pem.p[--pem.n] = '\0';
        set("certificate", mu_buf_str(&pem));
    }
    mu_buf_clear(&pem);
    mu_keystore_entry_clear(&entry);
}

enum mu_code mu_cmd_show_console(struct mu_cmd *cmd, const struct mu_agent_facts *f, struct mu_err *err)
{
    struct mu_agent_config_entry entry = {0};
    enum mu_code rc = mu_agent_entry_load(&cmd->agent, f->name, 0, &entry, err);
    const struct mu_agent_settings *s = &entry.settings;

    if (rc != MU_OK)
        return rc;
    printf("config vpn certificate local\n    edit \"%s\"\n", f->name);
    set_secret("password", f->has_key_password);
    set("comments", entry.comments);
    set_certificate(cmd, f->name);
    set_word("enroll-protocol", s->protocol);
    if (mu_agent_settings_is_est(s))
        set_est(s, f);
    else if (mu_agent_settings_is_cmp(s))
        set_cmp(s);
    else
        set_scep(s, mu_keystore_has(cmd->store, MU_KEYSTORE_SECRETS, f->name, "challenge")
            || entry.secrets.challenge != NULL);
    set_word("source-ip", s->source_ip);
    set_word("auto-regenerate-days", s->renew_days);
    set_word("auto-regenerate-days-warning", s->warn_days);
    puts("    next\nend");
    mu_agent_config_entry_clear(&entry);
    return MU_OK;
}
