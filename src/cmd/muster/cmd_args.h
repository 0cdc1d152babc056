/*
 * The options of every command in one table: what they are called, what they say of themselves in
 * the help, and where their value goes. A command takes groups of them.
 */
#ifndef MU_CMD_ARGS_H
#define MU_CMD_ARGS_H

#include "base/buf.h"
#include "pki/pki_name.h"

enum {
    MU_ARGS_GLOBAL = 1 << 0,
    MU_ARGS_CA = 1 << 1, /* which CA, and how to speak to it */
    MU_ARGS_SUBJECT = 1 << 2, /* what is asked for */
    MU_ARGS_KEY = 1 << 3,
    MU_ARGS_AUTH = 1 << 4,
    MU_ARGS_ENROLL = 1 << 5,
    MU_ARGS_ALL = 1 << 6, /* --all */
    MU_ARGS_RENEW = 1 << 7,
    MU_ARGS_OUTPUT = 1 << 8, /* -o */
    MU_ARGS_AS = 1 << 9,
    MU_ARGS_TRUST = 1 << 10,
    MU_ARGS_SERIAL = 1 << 11,
    MU_ARGS_REKEY = 1 << 12,
    MU_ARGS_URL = 1 << 13, /* --url, --label: where a CA is not named */
    MU_ARGS_WAIT = 1 << 14,
    MU_ARGS_POLL = 1 << 15,
    MU_ARGS_INSTALL = 1 << 16,
    MU_ARGS_NEXT = 1 << 17, /* --next-ca */
    MU_ARGS_REVOKE = 1 << 18,
    MU_ARGS_SECRET = 1 << 19, /* --ref and its secret, where a question needs them */
    MU_ARGS_LOG = 1 << 20,
    MU_ARGS_STATUS = 1 << 21,
    MU_ARGS_CHECK = 1 << 22, /* limits of the probe for monitoring */
    MU_ARGS_DEPLOY = 1 << 23,
    MU_ARGS_DEPLOY_NOW = 1 << 24, /* deploy, hook test */
    MU_ARGS_TRACE = 1 << 25, /* which exchanges */
    MU_ARGS_ENTRY = 1 << 26, /* --name of an entry */
    MU_ARGS_PLACE = 1 << 27, /* owner, group and mode of a copy */
    MU_ARGS_CONFIG = 1 << 28, /* --origin */
    MU_ARGS_EXPORT = 1 << 30, /* into which form and file */
    MU_ARGS_GIVEN = 1 << 29, /* a secret that is stored: --file, --fd */
};

enum { MU_ARGS_MAX_LIST = 64, MU_ARGS_MAX_WORDS = 64 };

struct mu_cmd_args {
    /* global */
    int verbose;
    bool quiet, json, no_color, no_input, yes, allow_legacy, demo, debug_all, help, version,
        licenses;
    const char *config, *store, *socket, *timeout, *source_ip, *proxy, *debug;
    /* CA */
    const char *via, *ca, *url, *label, *digest, *cipher, *method, *ra_cert, *nonce_check, *compat;
    const char *pin;
    bool expect_standard;
    const char *ca_cert, *server_name, *tls_min, *csrattrs, *renew_auth;
    /* subject */
    const char *subject, *template_name, *key_usage, *eku;
    struct mu_pki_name_part parts[MU_ARGS_MAX_LIST];
    size_t part_n;
    struct mu_pki_name_part san[MU_ARGS_MAX_LIST]; /* type: the prefix, "" for a whole list */
    size_t san_n;
    /* key */
    const char *key, *key_file, *key_pass_file;
    bool rekey, reuse_key, server_key;
    /* auth */
    const char *challenge_file, *challenge_fd;
    bool no_challenge;
    const char *ref, *secret_file, *secret_fd, *server_cert, *path, *mac, *cmp_request, *reason;
    bool implicit_confirm, no_confirm, ignore_key_usage, trust_ca_pubs, ask_template, rsa_pss;
    const char *mac_iterations, *mac_owf, *mac_hmac, *pop;
    const char *user, *password_file, *password_fd, *client_cert;
    const char *srp_user, *srp_password_file, *srp_password_fd;
    const char *server_key_to, *shared_key_file, *shared_key_fd;
    /* the rest */
    bool replace, fresh, no_wait, wait, all, force, dry_run, next_ca, activate;
    const char *await_result, *max_await_result, *output, *as, *name, *sha256, *serial;
    const char *owner, *group, *mode;
    const char *deploy, *success_script, *failure_script, *verify;
    bool verify_only;
    bool keep, back, forget;
    const char *pem, *bundle, *p12;
    bool origin;
    const char *file, *fd;
    bool follow, watch, last;
    const char *id;
    const char *action, *subtype, *since, *style, *warn, *crit;
    /* what is no option: the names */
    const char *words[MU_ARGS_MAX_WORDS];
    size_t word_n;
};

/* Reads argv[*at..] until the end, or, with stop_at_word, until the first word that is no option,
 * which *at then points at. Options outside groups are refused; an unknown one names the nearest.
 * Strings are borrowed from argv. MU_INPUT with the sentence; nothing is printed. */
enum mu_code mu_cmd_args_parse(struct mu_cmd_args *args, unsigned groups, int argc,
    char *const *argv, int *at, bool stop_at_word, struct mu_err *err) MU_CHECK;

/* The lines of the help for these groups, with a heading for each. */
bool mu_cmd_args_help(unsigned groups, struct mu_buf *out);
/* Name of the i-th option ("--url") and its groups; NULL behind the last: for tests and manuals. */
const char *mu_cmd_args_at(size_t i, unsigned *groups);

/* Placeholder of the value that follows "--url" or "-o"; NULL if none does, or it is no such option. */
const char *mu_cmd_args_value(const char *word, unsigned groups);

/* The SAN options joined to what mu_pki_san_parse reads; empty if there are none. */
bool mu_cmd_args_san(const struct mu_cmd_args *args, struct mu_buf *out);
/* --subject, or the parts in the order C ST L O OU CN emailAddress, as a slash form with escapes.
 * Both together are MU_INPUT. Empty if nothing was given. */
enum mu_code mu_cmd_args_subject(
    const struct mu_cmd_args *args, struct mu_buf *out, struct mu_err *err) MU_CHECK;

#endif
