/* Certificates in words. */
#include "cmd/muster/cmd_certs.h"

#include <stdio.h>

#include "base/text.h"
#include "cmd/muster/cmd_print.h"

static const char *kind_of(struct mu_pki_cert *cert)
{
    if (!mu_pki_cert_is_ca(cert))
        return "RA";
    return mu_pki_cert_is_self_signed(cert) ? "root CA" : "intermediate CA";
}

static void name_json(struct mu_agent_json *j, const char *key, struct mu_bytes name)
{
    struct mu_buf text = {0};

    mu_pki_name_format(name, MU_PKI_NAME_SLASH, &text);
    mu_agent_json_text(j, key, mu_buf_str(&text));
    mu_buf_clear(&text);
}

void mu_cmd_certs_json_open(struct mu_agent_json *j, const char *name, struct mu_pki_cert *cert)
{
    struct mu_buf text = {0};

    mu_agent_json_open(j, NULL, '{');
    if (name != NULL)
        mu_agent_json_text(j, "name", name);
    mu_agent_json_text(j, "kind", kind_of(cert));
    name_json(j, "subject", cert->subject);
    name_json(j, "issuer", cert->issuer);
    mu_pki_cert_serial_hex(cert->serial, &text);
    mu_agent_json_text(j, "serial", mu_buf_str(&text));
    mu_buf_reset(&text);
    mu_text_hex(&text, mu_bytes(cert->sha256, sizeof cert->sha256), 0);
    mu_agent_json_text(j, "sha256", mu_buf_str(&text));
    mu_agent_json_time(j, "not_before", cert->not_before_s);
    mu_agent_json_time(j, "not_after", cert->not_after_s);
    mu_buf_clear(&text);
}

void mu_cmd_certs_json(struct mu_agent_json *j, const char *name, struct mu_pki_cert *cert)
{
    mu_cmd_certs_json_open(j, name, cert);
    mu_agent_json_close(j, '}');
}

void mu_cmd_certs_array(struct mu_agent_json *j, const char *key, const struct mu_pki_certs *certs)
{
    size_t i;

    mu_agent_json_open(j, key, '[');
    for (i = 0; certs != NULL && i < certs->n; i++)
        mu_cmd_certs_json(j, NULL, certs->v[i]);
    mu_agent_json_close(j, ']');
}

void mu_cmd_certs_text(const struct mu_pki_certs *certs, const struct mu_pki_cert *issuing)
{
    struct mu_buf text = {0};
    char day[16];
    size_t i;

    for (i = 0; i < certs->n; i++) {
        struct mu_pki_cert *cert = certs->v[i];

        mu_buf_reset(&text);
        mu_pki_name_format(cert->subject, MU_PKI_NAME_COMMA, &text);
        printf("[%zu] %s, %s%s\n", i, mu_buf_str(&text), kind_of(cert),
            issuing != NULL && mu_pki_cert_equal(issuing, cert) ? ", issues" : "");
        mu_buf_reset(&text);
        mu_pki_name_format(cert->issuer, MU_PKI_NAME_COMMA, &text);
        printf("    issuer   %s\n", mu_buf_str(&text));
        printf("    until    %s\n", mu_cmd_print_day(cert->not_after_s, day));
        mu_buf_reset(&text);
        if (cert->exts.has_key_usage && mu_pki_key_usage_format(cert->exts.key_usage, &text))
            printf("    usage    %s\n", mu_buf_str(&text));
        mu_buf_reset(&text);
        mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
        printf("    SHA-256  %s\n", mu_buf_str(&text));
    }
    mu_buf_clear(&text);
}

int mu_cmd_certs_print(
    struct mu_cmd *cmd, const struct mu_pki_certs *certs, const struct mu_pki_cert *issuing)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    int exit_code;

    if (!cmd->args.json) {
        mu_cmd_certs_text(certs, issuing);
        return MU_CMD_OK;
    }
    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_cmd_certs_array(&j, "cas", certs);
    mu_agent_json_close(&j, '}');
    exit_code = mu_cmd_print_json(cmd, &out);
    mu_buf_clear(&out);
    return exit_code;
}
