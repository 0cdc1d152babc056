/* crl fetch, cert query, probe: questions that change no certificate here. */
#include <stdio.h>

#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_certs.h"
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"
#include "cmd/muster/sscep_files.h"
#include "enroll/enroll_record.h"
#include "pki/pki_crl.h"

/* Runs one query; name or url may be NULL. */
static int ask(struct mu_cmd *cmd, struct mu_agent_query *query,
    int (*answer)(struct mu_cmd *, const struct mu_agent_outcome *, void *))
{
    struct mu_agent_settings settings = {0};
    struct mu_cmd_secrets secrets = {0};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    mu_cmd_job_init(&job, cmd, query->name);
    job.answer = answer;
    job.url = query->url;
    if ((rc = mu_cmd_open_store(cmd, true, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK
        || (rc = mu_cmd_secrets_options(cmd, &secrets, &err)) != MU_OK
        || ((query->name == NULL || cmd->args.via != NULL)
            && (rc = mu_cmd_settings_args(cmd, &settings, &err)) != MU_OK)) {
        exit_code = mu_cmd_print_error(cmd, query->name, &err);
    } else {
        if (query->name == NULL || cmd->args.via != NULL)
            query->settings = &settings;
        query->key_password = mu_cmd_secrets_given(&secrets.key_password);
        query->password = mu_cmd_secrets_given(&secrets.password);
        query->srp_password = mu_cmd_secrets_given(&secrets.srp_password);
        query->secret = mu_cmd_secrets_given(&secrets.secret);
        rc = mu_agent_query(&cmd->agent, query, &job.host, &job.running, &err);
        exit_code = mu_cmd_job_finish(&job, rc, &err);
    }
    mu_cmd_secrets_clear(&secrets);
    mu_agent_settings_clear(&settings);
    return exit_code;
}

static void crl_json(
    struct mu_cmd *cmd, const struct mu_pki_crl *crl, const char *file, struct mu_buf *out)
{
    struct mu_buf issuer = {0};
    struct mu_agent_json j;

    mu_pki_name_format(crl->issuer, MU_PKI_NAME_SLASH, &issuer);
    mu_cmd_print_json_begin(cmd, &j, out);
    mu_agent_json_open(&j, "crl", '{');
    mu_agent_json_text(&j, "issuer", mu_buf_str(&issuer));
    mu_agent_json_time(&j, "this_update", crl->this_update_s);
    mu_agent_json_time(&j, "next_update", crl->next_update_s);
    mu_agent_json_int(&j, "revoked", (int64_t)mu_pki_crl_count(crl));
    mu_agent_json_text(&j, "file", file);
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
    mu_buf_clear(&issuer);
}

static void crl_text(const struct mu_pki_crl *crl, const char *file)
{
    struct mu_buf issuer = {0};
    char when[48];

    mu_pki_name_format(crl->issuer, MU_PKI_NAME_COMMA, &issuer);
    printf("issuer       %s\nthis update  %s\n", mu_buf_str(&issuer),
        mu_cmd_print_time(crl->this_update_s, when));
    if (crl->next_update_s != 0)
        printf("next update  %s\n", mu_cmd_print_time(crl->next_update_s, when));
    printf("revoked      %zu\n", mu_pki_crl_count(crl));
    if (file != NULL)
        printf("file         %s\n", file);
    mu_buf_clear(&issuer);
}

static int crl_answer(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx)
{
    struct mu_pki_crl *crl = NULL;
    struct mu_buf out = {0};
    struct mu_err err = {0};
    struct mu_bytes der = outcome->answer != NULL ? outcome->answer->crl : mu_bytes(NULL, 0);
    struct mu_buf stored = {0};
    int exit_code = MU_CMD_OK;

    if (der.n == 0 && outcome->file != NULL
        && mu_keystore_file_read(outcome->file, MU_KEYSTORE_PUBLIC, &stored, &err) == MU_OK)
        der = mu_buf_bytes(&stored);
    if (mu_pki_crl_decode(der, &crl, &err) != MU_OK
        || (cmd->args.output != NULL
            && mu_sscep_files_crl_write(cmd->args.output, der, &err) != MU_OK)) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else if (cmd->args.json) {
        crl_json(cmd, crl, outcome->file, &out);
        exit_code = mu_cmd_print_json(cmd, &out);
    } else {
        crl_text(crl, cmd->args.output != NULL ? cmd->args.output : outcome->file);
    }
    mu_pki_crl_free(crl);
    mu_buf_clear(&stored);
    mu_buf_clear(&out);
    return exit_code;
}

int mu_cmd_crl_fetch(struct mu_cmd *cmd)
{
    const char *word = cmd->args.words[0];
    bool is_url = strstr(word, "://") != NULL;
    struct mu_agent_query query = {
        .op = MU_AGENT_QUERY_CRL, .name = is_url ? NULL : word, .url = is_url ? word : NULL};

    return ask(cmd, &query, crl_answer);
}

static int cert_answer(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx)
{
    struct mu_pki_cert *cert = outcome->answer != NULL ? outcome->answer->cert : NULL;
    struct mu_buf pem = {0};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;

    if (cert == NULL) {
        mu_err_set(&err, MU_NOT_FOUND, MU_M(318), "the CA gave no certificate");
        return mu_cmd_print_error(cmd, NULL, &err);
    }
    if (cmd->args.output != NULL
        && mu_sscep_files_cert_write(cmd->args.output, cert, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->args.json) {
        struct mu_pki_certs one = {.v = &cert, .n = 1};
        struct mu_agent_json j;

        mu_cmd_print_json_begin(cmd, &j, &pem);
        mu_cmd_certs_array(&j, "certificates", &one);
        mu_agent_json_close(&j, '}');
        exit_code = mu_cmd_print_json(cmd, &pem);
    } else if (cmd->args.output != NULL) {
        printf("%s\n", cmd->args.output);
    } else if (mu_pki_cert_to_pem(cert, &pem)) {
        fwrite(pem.p, 1, pem.n, stdout);
    }
    mu_buf_clear(&pem);
    return exit_code;
}

struct only {
    char name[MU_KEYSTORE_NAME];
    unsigned n;
};

static void count(void *cookie, const struct mu_agent_facts *facts)
{
    struct only *only = cookie;

    if (facts->serial == NULL)
        return;
    only->n++;
    snprintf(only->name, sizeof only->name, "%s", facts->name);
}

int mu_cmd_cert_query(struct mu_cmd *cmd)
{
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_CERT, .serial = cmd->args.serial};
    struct only only = {.n = 0};
    struct mu_err err = {0};

    if (cmd->args.serial == NULL) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--serial is missing");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (mu_cmd_open_store(cmd, false, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->args.word_n > 0) {
        query.name = cmd->args.words[0];
    } else {
        if (mu_agent_list(&cmd->agent, count, &only, &err) != MU_OK)
            return mu_cmd_print_error(cmd, NULL, &err);
        if (only.n != 1) {
            mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
                "in whose name? There are %u certificates here", only.n);
            mu_err_next(&err, "muster cert query NAME --serial %s", cmd->args.serial);
            return mu_cmd_print_usage_error(cmd, &err);
        }
        query.name = only.name;
    }
    return ask(cmd, &query, cert_answer);
}

static void probe_json(
    struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, struct mu_buf *out)
{
    const struct mu_client_result *a = outcome->answer;
    struct mu_buf attrs = {0};
    struct mu_agent_json j;

    mu_cmd_print_json_begin(cmd, &j, out);
    mu_agent_json_open(&j, "probe", '{');
    mu_agent_json_text(&j, "protocol", mu_proto_name(outcome->proto));
    mu_agent_json_text(&j, "url", outcome->url);
    mu_agent_json_list(&j, "capabilities", a != NULL ? a->caps : NULL, outcome->proto == MU_PROTO_CMP ? ", " : " ");
    if (outcome->has_clock)
        mu_agent_json_int(&j, "clock_difference_s", outcome->clock_difference_s);
    else
        mu_agent_json_null(&j, "clock_difference_s");
    if (outcome->csr_attrs.n > 0)
        mu_text_base64(&attrs, outcome->csr_attrs, 0);
    mu_agent_json_text(&j, "csrattrs", attrs.n > 0 ? mu_buf_str(&attrs) : NULL);
    mu_buf_clear(&attrs);
    mu_agent_json_list(&j, "paths", outcome->paths != NULL && outcome->paths[0] != '\0' ? outcome->paths : NULL, " ");
    mu_agent_json_text(&j, "protection", a != NULL ? a->protection : NULL);
    mu_agent_json_text(&j, "needs", a != NULL ? a->needs : NULL);
    mu_agent_json_list(&j, "warnings", a != NULL ? a->warnings : NULL, "\n");
    mu_cmd_certs_array(&j, "cas", a != NULL ? a->ca_certs : NULL);
    mu_agent_json_close(&j, '}');
    mu_agent_json_close(&j, '}');
}

static int probe_answer(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx)
{
    const struct mu_client_result *a = outcome->answer;
    struct mu_buf out = {0};
    int exit_code = MU_CMD_OK;

    if (cmd->args.json) {
        probe_json(cmd, outcome, &out);
        exit_code = mu_cmd_print_json(cmd, &out);
        mu_buf_clear(&out);
        return exit_code;
    }
    printf("protocol     %s\nurl          %s\n",
        outcome->proto == MU_PROTO_EST ? "EST" : outcome->proto == MU_PROTO_CMP ? "CMP" : "SCEP", outcome->url != NULL ? outcome->url : "-");
    if (outcome->paths != NULL && outcome->paths[0] != '\0')
        printf("paths        %s\n", outcome->paths);
    printf("offers       %s\n", a != NULL && a->caps[0] != '\0' ? a->caps : "-");
    if (a != NULL && a->protection != NULL)
        printf("protection   %s\n", a->protection);
    if (a != NULL && a->needs != NULL && a->needs[0] != '\0')
        printf("needs        %s\n", a->needs);
    if (outcome->csr_attrs.n > 0) {
        mu_text_base64(&out, outcome->csr_attrs, 0);
        printf("csrattrs     %s\n", mu_buf_str(&out));
        mu_buf_clear(&out);
    }
    if (outcome->has_clock)
        printf("clock        %+lld s\n", (long long)outcome->clock_difference_s);
    if (a != NULL && a->warnings != NULL && a->warnings[0] != '\0')
        printf("warning      %s\n", a->warnings);
    if (a != NULL && a->ca_certs != NULL)
        mu_cmd_certs_text(a->ca_certs, a->ca);
    return exit_code;
}

int mu_cmd_probe(struct mu_cmd *cmd)
{
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_PROBE, .url = cmd->args.words[0]};
    struct mu_buf url = {0};
    struct mu_err err = {0};
    int exit_code;

    if (cmd->args.word_n == 0 && !cmd->args.demo) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "the URL is missing");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (cmd->args.word_n == 0) {
        if (mu_cmd_open_store(cmd, true, &err) != MU_OK
            || mu_cmd_settings_demo(cmd, &url, &err) != MU_OK)
            return mu_cmd_print_error(cmd, NULL, &err);
        query.url = mu_buf_str(&url);
    }
    if (cmd->args.via != NULL)
        query.only = mu_proto_parse(cmd->args.via);
    exit_code = ask(cmd, &query, probe_answer);
    mu_buf_clear(&url);
    return exit_code;
}

static int revoke_answer(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    int exit_code = MU_CMD_OK;

    (void)ctx;
    if (cmd->args.json) {
        mu_cmd_print_json_begin(cmd, &j, &out);
        mu_agent_json_text(&j, "revoked", cmd->args.words[0]);
        mu_agent_json_close(&j, '}');
        exit_code = mu_cmd_print_json(cmd, &out);
    } else {
        printf("revoked      %s\n", cmd->args.words[0]);
        if (outcome->answer != NULL && outcome->answer->transaction_id != NULL)
            printf("transaction  %s\n", outcome->answer->transaction_id);
    }
    mu_buf_clear(&out);
    return exit_code;
}

int mu_cmd_revoke(struct mu_cmd *cmd)
{
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_REVOKE, .name = cmd->args.words[0]};
    char stem[MU_KEYSTORE_STEM];
    struct mu_err err = {0};

    if (cmd->args.reason != NULL
        && mu_enroll_record_reason_parse(cmd->args.reason, &query.revoke_reason, &err) != MU_OK)
        return mu_cmd_print_usage_error(cmd, &err);
    if (mu_cmd_open_store(cmd, false, &err) != MU_OK)
        return mu_cmd_print_error(cmd, query.name, &err);
    if (!mu_keystore_current(cmd->store, query.name, stem)) {
        mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "%s has no certificate to revoke", query.name);
        return mu_cmd_print_error(cmd, query.name, &err);
    }
    if (!cmd->args.yes && (!mu_cmd_ask_possible() || cmd->args.no_input)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "%s would be revoked for good, and nobody can be asked: add --yes", query.name);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (!cmd->args.yes
        && !mu_cmd_ask_yes("The certificate is of no use any more. Do you want to continue?"))
        return MU_CMD_FAILED;
    return ask(cmd, &query, revoke_answer);
}
