/* The commands. */
#include "cmd/muster/cmd.h"

#define CA MU_ARGS_CA
#define REQUEST (MU_ARGS_CA | MU_ARGS_SUBJECT | MU_ARGS_KEY | MU_ARGS_AUTH)

static const struct mu_cmd_command table[] = {
    {"enroll", "NAME --url URL|--ca CA|--demo [OPTIONS]", "get a certificate",
        REQUEST | MU_ARGS_ENROLL | MU_ARGS_WAIT | MU_ARGS_DEPLOY, 1, 1, mu_cmd_enroll},
    {"renew", "NAME [--next-ca]|--all [--force]", "renew what is due",
        MU_ARGS_ALL | MU_ARGS_RENEW | MU_ARGS_NEXT | MU_ARGS_REKEY | MU_ARGS_AUTH | MU_ARGS_WAIT, 0, 1,
        mu_cmd_renew},
    {"regenerate", "NAME [--rekey] [--yes]", "renew now, with the stored settings and the same key",
        REQUEST | MU_ARGS_REKEY | MU_ARGS_WAIT, 1, 1, mu_cmd_regenerate},
    {"poll", "NAME|--all [--wait]", "ask now about a pending request", MU_ARGS_ALL | MU_ARGS_POLL,
        0, 1, mu_cmd_poll},
    {"cancel", "NAME [--yes]", "forget a pending request", 0, 1, 1, mu_cmd_cancel},
    {"revoke", "NAME [--reason WORD] [--yes]", "ask the CA to revoke it (CMP)", CA | MU_ARGS_REVOKE, 1,
        1, mu_cmd_revoke},
    {"csr", "NAME [-o FILE] [OPTIONS]", "write a request to a file", REQUEST | MU_ARGS_OUTPUT, 1, 1,
        mu_cmd_csr},
    {"install", "NAME [--key-file KEY [--url URL|--ca CA]] FILE...|--activate",
        "take the answer to it, or a pair that exists: PEM, DER, PKCS#7",
        CA | MU_ARGS_KEY | MU_ARGS_AUTH | MU_ARGS_INSTALL, 1,
        MU_ARGS_MAX_WORDS, mu_cmd_install},
    {"list", "[NAME...]", "all certificates, one line each", 0, 0, MU_ARGS_MAX_WORDS, mu_cmd_list},
    {"status", "[NAME...] [--watch] [--style table|router]", "the same, and for those named what there is to say",
        MU_ARGS_STATUS, 0, MU_ARGS_MAX_WORDS, mu_cmd_status},
    {"show", "NAME [--as text|console|pem|json]", "all about one", MU_ARGS_AS, 1, 1, mu_cmd_show},
    {"diff", "NAME [SERIAL SERIAL]", "what the CA changed, or two of its certificates", 0, 1, 3,
        mu_cmd_diff},
    {"log", "[-f] [--name N] [--action A] [--since T]", "what happened", MU_ARGS_LOG, 0, 0, mu_cmd_log},
    {"trace", "[NAME|ID] [--last|--id TX] [--follow]", "what was said to the CA and what it answered, or which traces are kept",
        MU_ARGS_TRACE, 0, 1, mu_cmd_trace},
    {"check", "[NAME] [--warn D] [--crit D]", "probe for monitoring, knows failing renewals", MU_ARGS_CHECK, 0, 1,
        mu_cmd_check},
    {"doctor", "[NAME...]", "all checks in order, with the repair for each", 0, 0, MU_ARGS_MAX_WORDS, mu_cmd_doctor},
    {"errors", "[CODE] [--as man]", "what a code like M312 means, or all of them", MU_ARGS_AS, 0, 1, mu_cmd_errors},
    {"metrics", "", "of all certificates, as Prometheus reads them", 0, 0, 0, mu_cmd_metrics},
    {"ca fetch", "URL [-o DIR]", "look at a CA's certificates", CA | MU_ARGS_OUTPUT | MU_ARGS_SECRET, 0, 1,
        mu_cmd_ca_fetch},
    {"ca list", "", "the CAs that are trusted here", 0, 0, 0, mu_cmd_ca_list},
    {"ca trust", "FILE [--name N] [--sha256 FP] [--replace]", "trust a CA", MU_ARGS_TRUST, 1, 1,
        mu_cmd_ca_trust},
    {"ca remove", "NAME", "trust it no longer", 0, 1, 1, mu_cmd_ca_remove},
    {"crl fetch", "NAME|URL [-o FILE]", "get the CRL of a certificate's CA, or by URL",
        CA | MU_ARGS_OUTPUT, 1, 1, mu_cmd_crl_fetch},
    {"cert query", "[NAME] --serial N [-o FILE]", "get a certificate by its serial number",
        MU_ARGS_SERIAL | MU_ARGS_OUTPUT, 0, 1, mu_cmd_cert_query},
    {"deploy", "NAME [--verify]", "run recipes and scripts again for the current certificate",
        MU_ARGS_DEPLOY_NOW, 1, 1, mu_cmd_deploy},
    {"hook test", "NAME [--as failure]", "run them with the real environment, to no effect", MU_ARGS_AS, 1, 1,
        mu_cmd_hook_test},
    {"export", "NAME --pem FILE|--bundle FILE|--p12 FILE [--password-file F]",
        "certificate, chain and key for somebody else", MU_ARGS_EXPORT, 1, 1, mu_cmd_export},
    {"remove", "NAME [--yes]", "forget a certificate: configuration, store, secrets, keys", 0, 1, 1, mu_cmd_remove},
    {"replace-pem", "[--name N] FILE (PARAM pkey|cert)...", "put key or certificate into a settings file",
        MU_ARGS_ENTRY, 0, MU_ARGS_MAX_WORDS, mu_cmd_replace},
    {"place", "TARGET FILE...|--back|--forget", "copy files to where a service reads them, whole or not at all",
        MU_ARGS_PLACE, 1, MU_ARGS_MAX_WORDS, mu_cmd_place},
    {"config check", "[NAME]", "is the configuration right, and will it work", 0, 0, 1, mu_cmd_config_check, true},
    {"config show", "[--origin] [NAME]", "what it says", MU_ARGS_CONFIG, 0, 1, mu_cmd_config_show, true},
    {"config set", "NAME|SECTION KEY VALUE", "change one value", 0, 3, 4, mu_cmd_config_set, true},
    {"config unset", "NAME|SECTION KEY", "take one value away", 0, 2, 3, mu_cmd_config_unset, true},
    {"config edit", "[NAME]", "edit a file of it, checked before it counts", 0, 0, 1, mu_cmd_config_edit, true},
    {"config path", "", "where it is", 0, 0, 0, mu_cmd_config_path, true},
    {"secret set", "NAME KEY [--file F|--fd N]", "keep a secret in the store", MU_ARGS_GIVEN, 2, 2, mu_cmd_secret_set},
    {"secret list", "", "names of the secrets that are kept", 0, 0, 0, mu_cmd_secret_list},
    {"secret remove", "NAME KEY", "forget one", 0, 2, 2, mu_cmd_secret_remove},
    {"completion", "bash|zsh|fish", "what the shell needs to complete commands, options and names", 0, 1,
        MU_ARGS_MAX_WORDS, mu_cmd_completion},
    {"probe", "URL [--label L]", "what a responder offers, its certificates, its clock", CA | MU_ARGS_SECRET, 0, 1,
        mu_cmd_probe},
};

const struct mu_cmd_command *mu_cmd_table_at(size_t i)
{
    return i < sizeof table / sizeof table[0] ? &table[i] : NULL;
}

const struct mu_cmd_command *mu_cmd_table_find(int argc, char *const *argv, int at, int *used)
{
    const char *first = argv[at], *second = at + 1 < argc ? argv[at + 1] : "";
    size_t i, n;

    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *blank = strchr(table[i].name, ' ');

        n = blank != NULL ? (size_t)(blank - table[i].name) : strlen(table[i].name);
        if (strlen(first) != n || memcmp(first, table[i].name, n) != 0)
            continue;
        if (blank == NULL || strcmp(second, blank + 1) == 0) {
            *used = blank == NULL ? 1 : 2;
            return &table[i];
        }
    }
    return NULL;
}
