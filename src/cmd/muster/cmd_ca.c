/* ca fetch, list, trust, remove. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cmd/muster/cmd_ask.h"
#include "cmd/muster/cmd_certs.h"
#include "cmd/muster/cmd_job.h"
#include "cmd/muster/cmd_print.h"
#include "cmd/muster/cmd_settings.h"
#include "cmd/muster/sscep_files.h"

static enum mu_code write_one(struct mu_cmd *cmd, const char *kind, size_t number,
    const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf path = {0};
    enum mu_code rc;

    mu_buf_putf(&path, "%s/%s.crt-%zu", cmd->args.output, kind, number);
    rc = mu_sscep_files_cert_write(mu_buf_str(&path), cert, err);
    if (rc == MU_OK && !cmd->args.json)
        printf("%s\n", mu_buf_str(&path));
    mu_buf_clear(&path);
    return rc;
}

/* DIR/ca.crt-0, ca.crt-1, ... issuing CA first, root last, numbered as in the store; what is no
 * CA's (the RA's, which is not to be trusted as one) goes to DIR/ra.crt-0, ... */
static int write_certs(struct mu_cmd *cmd, const struct mu_pki_certs *certs, struct mu_pki_cert *issuing)
{
    struct mu_pki_certs ca = {0};
    struct mu_err err = {0};
    enum mu_code rc = MU_OK;
    size_t ra_n = 0;

    if (mkdir(cmd->args.output, 0755) != 0 && errno != EEXIST)
        rc = mu_err_set(
            &err, MU_STORAGE, MU_M(702), "Cannot make %s: %s", cmd->args.output, strerror(errno));
    if (rc == MU_OK && issuing != NULL && (rc = mu_pki_certs_add(&ca, issuing, &err)) == MU_OK)
        rc = mu_pki_certs_chain(issuing, certs, &ca, &err);
    for (size_t i = 0; rc == MU_OK && i < ca.n; i++)
        rc = write_one(cmd, "ca", i, ca.v[i], &err);
    for (size_t i = 0; rc == MU_OK && i < certs->n; i++) {
        bool is_chain = false;
        for (size_t k = 0; k < ca.n; k++)
            is_chain |= mu_pki_cert_equal(ca.v[k], certs->v[i]);
        if (!is_chain)
            rc = mu_pki_cert_is_ca(certs->v[i]) ? write_one(cmd, "ca", ca.n + ra_n, certs->v[i], &err)
                                                : write_one(cmd, "ra", ra_n, certs->v[i], &err);
        ra_n += !is_chain;
    }
    mu_pki_certs_clear(&ca);
    return rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, NULL, &err);
}

static int fetched(struct mu_cmd *cmd, const struct mu_agent_outcome *outcome, void *ctx)
{
    const struct mu_pki_certs *certs = outcome->answer != NULL ? outcome->answer->ca_certs : NULL;
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;

    if (certs == NULL || certs->n == 0) {
        if (outcome->proto == MU_PROTO_EST)
            mu_err_set(&err, MU_NOT_FOUND, MU_REASON_NONE, "cacerts returned nothing");
        else
            mu_err_set(&err, MU_NOT_FOUND, MU_M(301), "GetCACert returned nothing");
        return mu_cmd_print_error(cmd, NULL, &err);
    }
    if (cmd->args.output != NULL)
        exit_code = write_certs(cmd, certs, outcome->answer->ca);
    if (exit_code == MU_CMD_OK)
        exit_code = mu_cmd_certs_print(cmd, certs, outcome->answer->ca);
    return exit_code;
}

int mu_cmd_ca_fetch(struct mu_cmd *cmd)
{
    struct mu_agent_settings settings = {0};
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_CA, .settings = &settings};
    struct mu_cmd_secrets secrets = {0};
    struct mu_buf url = {0};
    struct mu_cmd_job job;
    struct mu_err err = {0};
    enum mu_code rc;
    int exit_code;

    mu_cmd_job_init(&job, cmd, NULL);
    job.answer = fetched;
    if (cmd->args.word_n == 0 && !cmd->args.demo) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "the URL of the CA is missing");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if ((rc = mu_cmd_open_store(cmd, true, &err)) != MU_OK
        || (rc = mu_cmd_open_net(cmd, &err)) != MU_OK
        || (cmd->args.word_n == 0 && (rc = mu_cmd_settings_demo(cmd, &url, &err)) != MU_OK)
        || (rc = mu_cmd_settings_args(cmd, &settings, &err)) != MU_OK
        || (rc = mu_cmd_secrets_options(cmd, &secrets, &err)) != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else {
        query.secret = mu_cmd_secrets_given(&secrets.secret);
        query.url = job.url = cmd->args.word_n > 0 ? cmd->args.words[0] : mu_buf_str(&url);
        rc = mu_agent_query(&cmd->agent, &query, &job.host, &job.running, &err);
        exit_code = mu_cmd_job_finish(&job, rc, &err);
    }
    mu_cmd_secrets_clear(&secrets);
    mu_buf_clear(&url);
    mu_agent_settings_clear(&settings);
    return exit_code;
}

struct list {
    struct mu_cmd *cmd;
    struct mu_cmd_print_table table;
    struct mu_buf out;
    struct mu_agent_json j;
    unsigned n;
};

/* "est URL, source address A, CA identifier I" */
static void list_from(struct list *l, const char *line)
{
    static const char *const keys[] = {"server", "source_ip", "ca_identifier"};
    static const char *const before[] = {"est ", ", source address ", ", CA identifier "};
    const char *stop;
    char value[2048];
    size_t i;

    mu_agent_json_open(&l->j, NULL, '{');
    stop = line + strcspn(line, "\n");
    for (i = 0; i < 3; i++) {
        const char *begin = strstr(line, before[i]);
        const char *end = i < 2 ? strstr(line, before[i + 1]) : stop;
        bool is_there = begin != NULL && begin < stop && end != NULL && end <= stop;

        snprintf(value, sizeof value, "%.*s",
            is_there ? (int)(end - begin - (ptrdiff_t)strlen(before[i])) : 4,
            is_there ? begin + strlen(before[i]) : "none");
        mu_agent_json_text(&l->j, keys[i], strcmp(value, "none") != 0 ? value : NULL);
    }
    mu_agent_json_close(&l->j, '}');
}

static void list_json(struct list *l, const char *name, struct mu_pki_cert *cert)
{
    struct mu_buf lines = {0};
    bool is_learned = mu_keystore_ca_from_get(l->cmd->store, name, &lines);
    const char *at;

    mu_cmd_certs_json_open(&l->j, name, cert);
    mu_agent_json_text(&l->j, "source", is_learned ? "est" : "user");
    mu_agent_json_open(&l->j, "learned", '[');
    for (at = mu_buf_str(&lines); *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n')
        list_from(l, at);
    mu_agent_json_close(&l->j, ']');
    mu_agent_json_close(&l->j, '}');
    mu_buf_clear(&lines);
}

static void list_one(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct list *l = cookie;
    struct mu_buf text = {0};
    bool is_learned;
    char day[16];

    l->n++;
    if (l->cmd->args.json) {
        list_json(l, name, cert);
        return;
    }
    mu_cmd_print_cell(&l->table, name);
    mu_pki_name_format(cert->subject, MU_PKI_NAME_COMMA, &text);
    mu_cmd_print_cell(&l->table, mu_buf_str(&text));
    mu_cmd_print_cell(&l->table, mu_cmd_print_day(cert->not_after_s, day));
    mu_buf_reset(&text);
    is_learned = mu_keystore_ca_from_get(l->cmd->store, name, &text);
    mu_cmd_print_cell(&l->table, is_learned ? "est" : "user");
    mu_buf_reset(&text);
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &text);
    mu_cmd_print_cell(&l->table, mu_buf_str(&text));
    mu_buf_clear(&text);
}

/* Below the table: what each learned one was learned from (E054). */
static void learned_one(void *cookie, const char *name, struct mu_pki_cert *cert)
{
    struct mu_buf lines = {0};
    const char *at;

    if (mu_keystore_ca_from_get(((struct list *)cookie)->cmd->store, name, &lines)) {
        for (at = mu_buf_str(&lines); *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n') {
            printf("%s: learned by ", name);
            fwrite(at, 1, strcspn(at, "\n"), stdout);
            fputc('\n', stdout);
        }
    }
    mu_buf_clear(&lines);
}

int mu_cmd_ca_list(struct mu_cmd *cmd)
{
    struct list l = {.cmd = cmd, .table = {.columns = 5}};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;
    enum mu_code rc;

    mu_cmd_print_cell(&l.table, "NAME");
    mu_cmd_print_cell(&l.table, "SUBJECT");
    mu_cmd_print_cell(&l.table, "EXPIRES");
    mu_cmd_print_cell(&l.table, "SOURCE");
    mu_cmd_print_cell(&l.table, "SHA-256");
    mu_cmd_print_json_begin(cmd, &l.j, &l.out);
    mu_agent_json_open(&l.j, "cas", '[');
    rc = mu_cmd_open_store(cmd, false, &err);
    if (rc == MU_OK)
        rc = mu_keystore_ca_each(cmd->store, list_one, &l, &err);
    else if (rc == MU_NOT_FOUND)
        rc = MU_OK;
    if (rc != MU_OK) {
        exit_code = mu_cmd_print_error(cmd, NULL, &err);
    } else if (cmd->args.json) {
        exit_code = mu_cmd_print_json_list(cmd, &l.j, &l.out);
    } else if (l.n > 0) {
        mu_cmd_print_table_end(cmd, &l.table);
        rc = mu_keystore_ca_each(cmd->store, learned_one, &l, &err);
        exit_code = rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, NULL, &err);
    } else {
        mu_cmd_print_note(cmd, "No CA is trusted here: muster ca trust FILE");
    }
    mu_buf_clear(&l.table.cells);
    mu_buf_clear(&l.out);
    return exit_code;
}

/* What was given as --sha256 must be the certificate's; else a person is asked, if one is there.
 * Naming a file is consent enough where nobody is. */
static enum mu_code consent(struct mu_cmd *cmd, const struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf fp = {0}, given = {0}, subject = {0};
    enum mu_code rc = MU_OK;

    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &fp);
    mu_pki_name_format(cert->subject, MU_PKI_NAME_COMMA, &subject);
    if (cmd->args.sha256 != NULL) {
        if (mu_text_unhex(cmd->args.sha256, &given, err) != MU_OK) {
            mu_err_context(err, "--sha256");
            rc = mu_cmd_wrong_value(cmd, err);
        } else if (!mu_bytes_equal(mu_buf_bytes(&given), mu_bytes(cert->sha256, sizeof cert->sha256))) {
            rc = mu_err_set(err, MU_AUTH, MU_M(211),
                "The SHA-256 of %s is %s, not the one given with --sha256", mu_buf_str(&subject),
                mu_buf_str(&fp));
        }
    } else if (!cmd->args.yes && mu_cmd_ask_possible() && !cmd->args.no_input) {
        fprintf(stderr, "  %-10s %s, SHA-256 %s\n", "CA", mu_buf_str(&subject), mu_buf_str(&fp));
        if (!mu_cmd_ask_yes("             Compare it with the CA's operator. Trust it?"))
            rc = mu_err_set(err, MU_DENIED, MU_M(209), "%s was not accepted", mu_buf_str(&subject));
    }
    mu_buf_clear(&fp);
    mu_buf_clear(&given);
    mu_buf_clear(&subject);
    return rc;
}

static enum mu_code trust_one(struct mu_cmd *cmd, struct mu_pki_cert *cert, struct mu_err *err)
{
    struct mu_buf fp = {0};
    char name[MU_KEYSTORE_NAME];
    enum mu_code rc;

    if (!mu_pki_cert_is_ca(cert)) {
        mu_err_set(err, MU_INPUT, MU_REASON_NONE, "this certificate is not a CA's");
        mu_err_likely(err, "it is the certificate of an RA, or of a device");
        mu_err_next(err, "name the file of the root or of the issuing CA: "
                         "'muster ca fetch URL -o DIR' calls them ca.crt-N");
        return err->code;
    }
    if ((rc = consent(cmd, cert, err)) != MU_OK
        || (rc = mu_keystore_ca_add(cmd->store, cmd->args.name, cert, cmd->args.replace, name, err))
            != MU_OK)
        return rc;
    mu_pki_cert_fingerprint(cert, MU_PKI_SHA256, &fp);
    if (!cmd->args.json && !cmd->args.quiet)
        printf("%s  SHA-256 %s\n", name, mu_buf_str(&fp));
    mu_buf_clear(&fp);
    return MU_OK;
}

int mu_cmd_ca_trust(struct mu_cmd *cmd)
{
    struct mu_pki_certs certs = {0};
    struct mu_err err = {0};
    enum mu_code rc;
    size_t i;

    if ((rc = mu_cmd_open_store(cmd, true, &err)) == MU_OK)
        rc = mu_keystore_certs_read(cmd->args.words[0], &certs, &err);
    if (rc == MU_OK && certs.n == 0)
        rc = mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "no certificate in %s", cmd->args.words[0]);
    if (rc == MU_OK && certs.n > 1 && (cmd->args.name != NULL || cmd->args.sha256 != NULL))
        rc = mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "%s holds %zu certificates: --name and --sha256 are for one", cmd->args.words[0],
            certs.n);
    for (i = 0; rc == MU_OK && i < certs.n; i++)
        rc = trust_one(cmd, certs.v[i], &err);
    mu_pki_certs_clear(&certs);
    if (rc != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    if (cmd->args.json)
        return mu_cmd_ca_list(cmd);
    mu_cmd_print_done(cmd);
    return MU_CMD_OK;
}

int mu_cmd_ca_remove(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_pki_cert *cert = NULL;
    struct mu_err err = {0};
    char question[160];

    if (mu_cmd_open_store(cmd, false, &err) != MU_OK
        || mu_keystore_ca_get(cmd->store, name, &cert, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    mu_pki_cert_free(cert);
    if (!cmd->args.yes && (!mu_cmd_ask_possible() || cmd->args.no_input)) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE,
            "CA '%s' would no longer be trusted, and nobody can be asked: add --yes", name);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    snprintf(question, sizeof question,
        "CA '%s' is no longer trusted then. Do you want to continue?", name);
    if (!cmd->args.yes && !mu_cmd_ask_yes(question))
        return MU_CMD_FAILED;
    if (mu_keystore_ca_remove(cmd->store, name, &err) != MU_OK)
        return mu_cmd_print_error(cmd, NULL, &err);
    mu_cmd_print_done(cmd);
    return MU_CMD_OK;
}
