/* show: all about one entry. diff: asked against issued, or two of its certificates. */
#include <stdio.h>

#include "cmd/muster/cmd_agent.h"
#include "cmd/muster/cmd_facts.h"

static int show_json(struct mu_cmd *cmd, const struct mu_agent_facts *facts)
{
    struct mu_buf out = {0};
    struct mu_agent_json j;
    int exit_code;

    mu_cmd_print_json_begin(cmd, &j, &out);
    mu_agent_json_open(&j, "certificates", '[');
    mu_agent_json_facts(&j, NULL, facts, mu_env_now(&cmd->env));
    exit_code = mu_cmd_print_json_list(cmd, &j, &out);
    mu_buf_clear(&out);
    return exit_code;
}

/* The certificate and its chain. */
static enum mu_code show_pem(struct mu_cmd *cmd, const char *name, struct mu_err *err)
{
    struct mu_keystore_entry entry = {0};
    struct mu_buf pem = {0};
    enum mu_code rc;
    size_t i;

    if ((rc = mu_keystore_load(cmd->store, name, &entry, err)) != MU_OK)
        return rc;
    mu_pki_cert_to_pem(entry.cert, &pem);
    for (i = 0; i < entry.chain.n; i++)
        mu_pki_cert_to_pem(entry.chain.v[i], &pem);
    if ((rc = mu_buf_check(&pem, "certificates", err)) == MU_OK)
        fwrite(pem.p, 1, pem.n, stdout);
    mu_buf_clear(&pem);
    mu_keystore_entry_clear(&entry);
    return rc;
}

/* What needs the files themselves. */
static enum mu_code show_files(
    struct mu_cmd *cmd, const char *as, const struct mu_agent_facts *facts, struct mu_err *err)
{
    if (cmd->asks_agent)
        return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "the agent tells facts, no files: read latest.crt");
    return strcmp(as, "console") == 0 ? mu_cmd_show_console(cmd, facts, err) : show_pem(cmd, facts->name, err);
}

int mu_cmd_show(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0], *as = cmd->args.as != NULL ? cmd->args.as : "text";
    struct mu_agent_facts facts = {0};
    struct mu_err err = {0};
    int exit_code = MU_CMD_OK;

    if (strcmp(as, "text") != 0 && strcmp(as, "pem") != 0 && strcmp(as, "json") != 0 && strcmp(as, "console") != 0) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "--as %s: known are text, console, pem, json", as);
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if (mu_cmd_agent_open_store(cmd, &err) != MU_OK
        || mu_cmd_agent_show(cmd, name, &facts, &err) != MU_OK)
        return mu_cmd_print_error(cmd, name, &err);
    if (cmd->args.json || strcmp(as, "json") == 0)
        exit_code = show_json(cmd, &facts);
    else if (strcmp(as, "text") == 0)
        mu_cmd_facts_show(&facts, mu_env_now(&cmd->env));
    else if (show_files(cmd, as, &facts, &err) != MU_OK)
        exit_code = mu_cmd_print_error(cmd, name, &err);
    mu_agent_facts_clear(&facts);
    return exit_code;
}

static void print_changed(const struct mu_agent_facts *facts)
{
    const char *p = facts->changed;

    if (facts->serial == NULL || p == NULL || *p == '\0') {
        puts(facts->serial == NULL ? "no certificate yet" : "nothing was changed by the CA");
        return;
    }
    while (*p != '\0') {
        const char *end = strstr(p, ", ");
        size_t n = end != NULL ? (size_t)(end - p) : strlen(p);

        printf("%.*s\n", (int)n, p);
        p += n + (end != NULL ? 2 : 0);
    }
}

struct pair {
    struct mu_buf a, b;
    bool differs;
};

static void compare(struct pair *p, const char *word)
{
    if (!mu_bytes_equal(mu_buf_bytes(&p->a), mu_buf_bytes(&p->b))) {
        printf("- %s: %s\n+ %s: %s\n", word, mu_buf_str(&p->a), word, mu_buf_str(&p->b));
        p->differs = true;
    }
    mu_buf_reset(&p->a);
    mu_buf_reset(&p->b);
}

static void put_key(struct mu_pki_cert *cert, struct mu_buf *out)
{
    struct mu_pki_key_spec spec;
    struct mu_pki_key *key;
    uint8_t id[20];
    char text[32];

    if (mu_pki_cert_key(cert, &key, NULL) == MU_OK) {
        mu_pki_key_spec_of(key, &spec);
        mu_buf_putf(out, "%s ", mu_pki_key_spec_format(&spec, text));
    }
    if (mu_pki_key_id(cert->spki, id))
        mu_buf_putf(out, "%02X%02X%02X%02X...", id[0], id[1], id[2], id[3]);
}

static void compare_certs(struct mu_pki_cert *a, struct mu_pki_cert *b)
{
    struct pair p = {0};
    char when[48];

    mu_pki_cert_serial_hex(a->serial, &p.a);
    mu_pki_cert_serial_hex(b->serial, &p.b);
    compare(&p, "serial");
    mu_pki_name_format(a->subject, MU_PKI_NAME_SLASH, &p.a);
    mu_pki_name_format(b->subject, MU_PKI_NAME_SLASH, &p.b);
    compare(&p, "subject");
    mu_pki_name_format(a->issuer, MU_PKI_NAME_SLASH, &p.a);
    mu_pki_name_format(b->issuer, MU_PKI_NAME_SLASH, &p.b);
    compare(&p, "issuer");
    mu_pki_san_format(a->exts.san, &p.a);
    mu_pki_san_format(b->exts.san, &p.b);
    compare(&p, "san");
    mu_pki_key_usage_format(a->exts.key_usage, &p.a);
    mu_pki_key_usage_format(b->exts.key_usage, &p.b);
    compare(&p, "key usage");
    mu_pki_eku_format(a->exts.eku, &p.a);
    mu_pki_eku_format(b->exts.eku, &p.b);
    compare(&p, "extended key usage");
    mu_buf_put_str(&p.a, mu_cmd_print_time(a->not_after_s, when));
    mu_buf_put_str(&p.b, mu_cmd_print_time(b->not_after_s, when));
    compare(&p, "valid until");
    put_key(a, &p.a);
    put_key(b, &p.b);
    compare(&p, "key");
    if (!p.differs)
        puts("the same");
    mu_buf_clear(&p.a);
    mu_buf_clear(&p.b);
}

int mu_cmd_diff(struct mu_cmd *cmd)
{
    const char *name = cmd->args.words[0];
    struct mu_keystore_entry a = {0}, b = {0};
    struct mu_agent_facts facts = {0};
    struct mu_err err = {0};
    enum mu_code rc;

    if (cmd->args.word_n == 2) {
        mu_err_set(&err, MU_INPUT, MU_REASON_NONE, "two serial numbers are compared, or none");
        return mu_cmd_print_usage_error(cmd, &err);
    }
    if ((rc = mu_cmd_open_store(cmd, false, &err)) != MU_OK)
        return mu_cmd_print_error(cmd, name, &err);
    if (cmd->args.word_n == 1) {
        if ((rc = mu_agent_show(&cmd->agent, name, &facts, &err)) == MU_OK && cmd->args.json)
            show_json(cmd, &facts);
        else if (rc == MU_OK)
            print_changed(&facts);
        mu_agent_facts_clear(&facts);
    } else if ((rc = mu_keystore_load_serial(cmd->store, name, cmd->args.words[1], &a, &err))
            == MU_OK
        && (rc = mu_keystore_load_serial(cmd->store, name, cmd->args.words[2], &b, &err))
            == MU_OK) {
        compare_certs(a.cert, b.cert);
    }
    mu_keystore_entry_clear(&a);
    mu_keystore_entry_clear(&b);
    return rc == MU_OK ? MU_CMD_OK : mu_cmd_print_error(cmd, name, &err);
}
