/*
 * muster.conf and certs.d/NAME.conf as one value (PRODUCT "Configuration"): read whole, checked whole,
 * never changed afterwards; a reload makes a new one. Each value knows its file and line. For an
 * entry the sections are laid over each other: defaults, its CA, its template, itself.
 */
#ifndef MU_AGENT_CONFIG_H
#define MU_AGENT_CONFIG_H

#include "agent/agent_settings.h"
#include "base/err.h"
#include "enroll/enroll_lifecycle.h"

struct mu_agent_config;

#define MU_AGENT_CONFIG_FILE "/etc/muster/muster.conf"

/* One thing that is wrong or that will hurt later; file and line 0/NULL if it has none. */
struct mu_agent_config_note {
    bool is_error;     /* else advice: a literal secret, renew-days beyond the CA's window */
    const char *file;
    unsigned line;
    enum mu_reason reason; /* M706, M602, M603, M701 */
    const char *text;  /* with the word that was probably meant */
};
typedef void mu_agent_config_call(void *cookie, const struct mu_agent_config_note *note);

/* Reads path (NULL: /etc/muster/muster.conf, which may be missing) and certs.d/NAME.conf beside it in
 * order of their names; the last value of a key wins. All that is wrong is told through call (may be
 * NULL); err has the first error. On an error *out is NULL. */
enum mu_code mu_agent_config_load(const char *path, struct mu_agent_config **out,
    mu_agent_config_call *call, void *cookie, struct mu_err *err) MU_CHECK;
/* What can be read of it: missing files and faults are passed over. For those who mend it. */
enum mu_code mu_agent_config_load_anyway(const char *path, struct mu_agent_config **out,
    struct mu_err *err) MU_CHECK;
/* Counted: jobs that run keep the one they began with. */
struct mu_agent_config *mu_agent_config_ref(struct mu_agent_config *config);
void mu_agent_config_free(struct mu_agent_config *config); /* one reference */

/* [agent], with the defaults filled in. Texts borrowed; NULL: not set, which for store, ui and control means
 * a place that depends on who runs. */
struct mu_agent_config_agent {
    const char *store, *serial_source, *hostname, *ui, *control, *metrics, *notify, *hook_user, *log_level;
    int64_t check_interval_s, hook_timeout_s;
    int64_t trace_size;
    int jitter_percent;
    unsigned max_requests; /* a day */
    enum mu_lifecycle_clock clock;
    bool automation, allow_legacy;
};
const struct mu_agent_config_agent *mu_agent_config_agent(const struct mu_agent_config *config);

/* Names of [certificate "N"] and [ca "N"], sorted; NULL behind the last. */
const char *mu_agent_config_entry_at(const struct mu_agent_config *config, size_t i);
const char *mu_agent_config_ca_at(const struct mu_agent_config *config, size_t i);
bool mu_agent_config_has_entry(const struct mu_agent_config *config, const char *name);
bool mu_agent_config_has_ca(const struct mu_agent_config *config, const char *name);

/* Where a secret is: "file:PATH", "credential:NAME", "secret:NAME", or the thing itself. Borrowed from
 * the config; NULL: nothing is said. */
struct mu_agent_config_secrets {
    const char *challenge, *password, *srp_password, *key_password, *secret, *shared_key;
};

/* Everything about one certificate. Owns its settings; deploy and the like are views of them, ca and the
 * secrets are borrowed from the config. */
struct mu_agent_config_entry {
    struct mu_agent_settings settings;   /* of the route asked for */
    struct mu_agent_config_secrets secrets;
    const char *ca;                      /* section of that route; NULL: the entry says itself whom to ask */
    size_t routes;                       /* 'ca = a, b': b where a fails */
    struct mu_lifecycle_policy policy;   /* built_s and has_password are the agent's to fill */
    bool automation;
    const char *deploy;                  /* recipes, by comma */
    const char *verify;                  /* "tls:HOST:PORT sni=NAME", by comma */
    const char *success_script, *failure_script;
    const char *key_owner, *key_group, *key_mode;
    const char *comments;
};
/* MU_NOT_FOUND if the configuration does not have it. */
enum mu_code mu_agent_config_entry(const struct mu_agent_config *config, const char *name, size_t route,
    struct mu_agent_config_entry *out, struct mu_err *err) MU_CHECK;
void mu_agent_config_entry_clear(struct mu_agent_config_entry *entry);
/* Its policy alone, without making anything: for those who look at ten thousand. False: no such one. */
bool mu_agent_config_policy(const struct mu_agent_config *config, const char *name,
    struct mu_lifecycle_policy *out, bool *automation);
/* What [ca "name"] says, added. */
enum mu_code mu_agent_config_ca(const struct mu_agent_config *config, const char *name,
    struct mu_agent_settings *settings, struct mu_agent_config_secrets *secrets, struct mu_err *err) MU_CHECK;

/* One value and where it comes from, for 'config show --origin' and the pages. */
struct mu_agent_config_item {
    const char *section, *name, *key;
    const char *value;   /* "*" for a literal secret */
    const char *file;    /* NULL: the default */
    unsigned line;
    bool is_default, is_overridden;
};
typedef void mu_agent_config_item_call(void *cookie, const struct mu_agent_config_item *item);
void mu_agent_config_each(const struct mu_agent_config *config, mu_agent_config_item_call *call, void *cookie);
/* The effective values of one certificate with their origin. */
enum mu_code mu_agent_config_each_of(const struct mu_agent_config *config, const char *name,
    mu_agent_config_item_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* Writes one value (NULL: takes it away) into the file that has it already, else into certs.d/<name>.conf
 * beside the main file (a section without a name: the main file); comments and order stay; checked as a whole
 * before the rename. file (may be NULL) gets its path. */
enum mu_code mu_agent_config_set(const char *path, const char *section, const char *name, const char *key,
    const char *value, struct mu_buf *file, struct mu_err *err) MU_CHECK;
/* Takes a certificate's sections out of all files; one that holds nothing else below certs.d goes as a whole. call is
 * told each file that was changed, before the next one is. MU_NOT_FOUND: the configuration does not have it. */
typedef void mu_agent_config_file_call(void *cookie, const char *file);
enum mu_code mu_agent_config_remove(const char *path, const char *name, mu_agent_config_file_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;
/* A whole file of the configuration, checked as above; what is wrong is told through call. */
enum mu_code mu_agent_config_replace(const char *path, const char *file, struct mu_bytes text,
    mu_agent_config_call *call, void *cookie, struct mu_err *err) MU_CHECK;
/* The main file, and the i-th of all that were read; NULL behind the last. */
const char *mu_agent_config_path(const struct mu_agent_config *config);
const char *mu_agent_config_file_at(const struct mu_agent_config *config, size_t i);

#endif
