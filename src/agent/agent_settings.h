/*
 * What an entry was enrolled with, under the words of muster.conf, so that a renewal needs no
 * options. Kept as state/<name>.conf. No secret is in it.
 */
#ifndef MU_AGENT_SETTINGS_H
#define MU_AGENT_SETTINGS_H

#include "base/env.h"
#include "base/ini.h"
#include "keystore/keystore.h"

/* Texts are owned, NULL: not set. Numbers 0: not set (the default). {0} is valid. */
struct mu_agent_settings {
    char *protocol;         /* "scep", "est" */
    char *url;
    char *trust;            /* names in the CA store or files; NULL: all of the CA store */
    char *pin_sha256;       /* hex */
    char *ca_identifier;    /* also by the word "label" */
    char *server_name;      /* TLS: instead of the URL's host */
    char *tls_min;          /* "1.2"; lower with allow-legacy */
    char *user, *srp_user;  /* their passwords lie under secrets/ */
    char *client_cert;      /* an entry here, or a file with certificate and key */
    char *server_cert;      /* CMP: CA or certificate expected from the server, as trust */
    char *path;             /* CMP: where the URL names only the host */
    char *ref;              /* CMP: names the secret under secrets/ */
    char *mac;              /* CMP: "pbm" or "pbmac1" */
    char *mac_iterations;   /* CMP: "10000" */
    char *pop;              /* CMP: "signature" or "encrypted" */
    char *mac_owf, *mac_hmac; /* CMP: "sha256": one-way function (PBMAC1: PRF) and HMAC */
    char *cmp_request;      /* CMP: "ir", "cr" or "p10cr" */
    char *csrattrs;         /* "use" or "ignore" */
    char *renew_auth;       /* "certificate" or "password" */
    char *server_key_to;    /* EST: "tls", "certificate" or "shared:ID", whose key lies under secrets/ */
    char *subject;          /* as typed */
    char *san;
    char *key;              /* "rsa:2048" */
    char *key_file;         /* an existing key or pkcs11: URI, instead of a new one */
    char *key_usage, *eku, *template_name;
    char *digest, *cipher, *method; /* "sha256", "aes128", "auto|get|post" */
    char *ra_cert;          /* file */
    char *nonce_check;      /* "strict" or "warn" */
    char *scep_standard;    /* "expect" or "optional" */
    char *compat;           /* "iis" or "none" */
    char *proxy, *no_proxy, *source_ip;
    char *renew_days;       /* "auto", "0", "30", "33%" */
    char *warn_days;        /* "auto", "0", "45, 14, 7" */
    char *renew_window;     /* what the CA allows before the end: a duration, or "learned" */
    char *deploy;           /* recipes by comma */
    char *verify;           /* "tls:HOST:PORT sni=NAME" by comma */
    char *success_script, *failure_script;
    char *key_owner, *key_group, *key_mode; /* of deployed copies */
    char *comments;
    int64_t timeout_s, await_s, max_await_s;
    int automation, reuse_key, challenge_once, allow_legacy, server_key, implicit_confirm,
        no_confirm, ignore_key_usage, trust_ca_pubs, ask_template, rsa_pss; /* 0: not set, 1: yes, -1: no */
};

bool mu_agent_settings_is_est(const struct mu_agent_settings *settings);
bool mu_agent_settings_is_cmp(const struct mu_agent_settings *settings);
void mu_agent_settings_clear(struct mu_agent_settings *settings);
enum mu_code mu_agent_settings_copy(const struct mu_agent_settings *from,
    struct mu_agent_settings *to, struct mu_err *err) MU_CHECK;
/* One value by its word ("san", "await-result"). Wrong values and unknown words are MU_INPUT with the
 * nearest known word; value NULL: unset. */
enum mu_code mu_agent_settings_set(struct mu_agent_settings *settings, const char *key,
    const char *value, struct mu_err *err) MU_CHECK;
/* The same of a value that was checked before. */
enum mu_code mu_agent_settings_put(struct mu_agent_settings *settings, const char *key,
    const char *value, struct mu_err *err) MU_CHECK;
/* As text into out (may be NULL); false if not set or unknown. */
bool mu_agent_settings_get(const struct mu_agent_settings *settings, const char *key,
    struct mu_buf *out);
/* The i-th word, NULL behind the last. */
const char *mu_agent_settings_word(size_t i);
/* What is set in from replaces what is in to. */
enum mu_code mu_agent_settings_merge(struct mu_agent_settings *to,
    const struct mu_agent_settings *from, struct mu_err *err) MU_CHECK;
/* renew-days as days (-1: auto) and percentage (0: none). */
void mu_agent_settings_renew(const struct mu_agent_settings *settings, int *days, int *percent);
/* All but where to keep and when: would a request with these ask for the same certificate? */
bool mu_agent_settings_same_request(const struct mu_agent_settings *a,
    const struct mu_agent_settings *b);
/* The same, whatever the URL: a request that is out goes on when its CA is reached elsewhere. */
bool mu_agent_settings_same_content(const struct mu_agent_settings *a,
    const struct mu_agent_settings *b);

/* MU_NOT_FOUND if the entry has none. */
enum mu_code mu_agent_settings_load(struct mu_keystore *store, const char *name,
    struct mu_agent_settings *out, struct mu_err *err) MU_CHECK;
enum mu_code mu_agent_settings_store(struct mu_keystore *store, const char *name,
    const struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;
/* Durable with the next put into state/. */
enum mu_code mu_agent_settings_store_unsynced(struct mu_keystore *store, const char *name,
    const struct mu_agent_settings *settings, struct mu_err *err) MU_CHECK;

#endif
