/* What the files of a deployment share: its parts, and what is kept of them. */
#ifndef MU_AGENT_DEPLOY_INTERNAL_H
#define MU_AGENT_DEPLOY_INTERNAL_H

#include "agent/agent_deploy.h"
#include "agent/agent_hook.h"
#include "agent/agent_verify.h"

enum mu_agent_deploy_kind {
    MU_AGENT_DEPLOY_PRE,     /* of hooks.d/pre: may veto */
    MU_AGENT_DEPLOY_SWITCH,  /* the pair that waits becomes the present one */
    MU_AGENT_DEPLOY_RECIPE,
    MU_AGENT_DEPLOY_SCRIPT,  /* success-script */
    MU_AGENT_DEPLOY_FILE,    /* of hooks.d/deploy */
    MU_AGENT_DEPLOY_VERIFY,
    MU_AGENT_DEPLOY_POST,    /* of hooks.d/post */
    MU_AGENT_DEPLOY_FAILURE, /* failure-script and hooks.d/failed: only after something failed */
};
enum mu_agent_deploy_state { MU_AGENT_DEPLOY_OPEN, MU_AGENT_DEPLOY_DONE, MU_AGENT_DEPLOY_FAILED };

/* Owns its texts. */
struct mu_agent_deploy_item {
    enum mu_agent_deploy_kind kind;
    char *what;       /* "recipe nginx", "success-script", "verify tls:localhost:443" */
    char *program;    /* a whole path; a shell command for scripts; NULL for a verification */
    char *words;      /* behind a recipe's name, by blanks; NULL: none */
    struct mu_agent_verify_spec spec;
    /* how it went */
    enum mu_agent_deploy_state state;
    int exit_code;
    enum mu_reason code;
    char *line, *serial_seen, *wrote; /* wrote: a recipe, the file with the certificate */
    int64_t at_s;
};

enum {
    MU_AGENT_DEPLOY_ITEMS = 64,
    MU_AGENT_DEPLOY_SOON_S = 60, /* not valid for so long is waited for: clocks differ by that */
};
struct mu_agent_deploy_plan {
    struct mu_agent_deploy_item v[MU_AGENT_DEPLOY_ITEMS];
    size_t n;
};

/* ---- agent_deploy_plan.c ---- */
/* All parts in their order; scripts that must not be run are told in warnings (lines), but one of
 * hooks.d/pre is an error. switches: the pair waits for it. */
enum mu_code mu_agent_deploy_plan_make(struct mu_agent *agent, const struct mu_agent_config_entry *entry,
    bool switches, struct mu_agent_deploy_plan *out, struct mu_buf *warnings, struct mu_err *err) MU_CHECK;
bool mu_agent_deploy_has_pre(const struct mu_agent *agent);
void mu_agent_deploy_plan_clear(struct mu_agent_deploy_plan *plan);
/* M609: does the certificate lack what this recipe's service needs? */
enum mu_code mu_agent_deploy_fits(const struct mu_agent_deploy_item *item, struct mu_pki_cert *cert,
    struct mu_err *err) MU_CHECK;
/* M610: a TLS server's, and without any name that clients look at. */
bool mu_agent_deploy_lacks_san(const struct mu_agent_deploy_plan *plan, const struct mu_pki_cert *cert);

/* The file that the recipe before this part wrote; NULL: none is known. */
const char *mu_agent_deploy_wrote(const struct mu_agent_deploy_plan *plan, size_t at);

/* ---- agent_deploy_state.c: state/<name>.deploy ---- */
struct mu_agent_deploy_record {
    char stem[MU_KEYSTORE_STEM], old_stem[MU_KEYSTORE_STEM]; /* deployed, or tried to; the one before */
    bool done;                                              /* all of it worked */
    char held[MU_KEYSTORE_STEM];                            /* serial number of the pair that waits for it, "" */
    struct mu_agent_deploy_plan parts;                      /* what and how only */
};
/* None yet: {0}, MU_OK. */
enum mu_code mu_agent_deploy_record_load(struct mu_keystore *store, const char *name,
    struct mu_agent_deploy_record *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_deploy_record_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_deploy_record *record, struct mu_err *err) MU_CHECK;
/* The pair before this one, by the begin of their time, "" if there is none: for an entry without a record. */
void mu_agent_deploy_stem_before(struct mu_agent *agent, const char *name, const struct mu_keystore_entry *entry,
    char out[MU_KEYSTORE_STEM]);
void mu_agent_deploy_record_clear(struct mu_agent_deploy_record *record);

#endif
