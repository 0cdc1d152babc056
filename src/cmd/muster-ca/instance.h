/*
 * An instance: one directory (or the system's) with its configuration, database, keys and admin
 * socket, and the CA opened from them. One process at a time works on it.
 */
#ifndef MU_CMD_MUSTER_CA_INSTANCE_H
#define MU_CMD_MUSTER_CA_INSTANCE_H

#include "ca/ca.h"
#include "cmd/muster-ca/cmd.h"

enum { INSTANCE_MAX_LISTEN = 8 };

struct instance_conf {
    char *dir; /* data; relative paths of the file are below it */
    char *file; /* the configuration */
    char *database; /* path of the database; "memory" */
    char *keys; /* directory of <ref>.key */
    char *hash_key; /* file with the key of the challenge hashes */
    char *admin; /* path of the admin socket */
    char *log; /* NULL: stderr */
    char *log_level; /* "info", "notice", "warning" */
    char *record; /* NULL: none */
    struct instance_listen {
        char *address; /* "127.0.0.1", "::1" */
        uint16_t port;
        bool tls;
    } listen[INSTANCE_MAX_LISTEN];
    size_t listen_n;
    int64_t workers, max_connections;
    int64_t rate_burst, rate_per_s, password_attempts;
    /* of the listeners with TLS: from files, or issued by a CA here */
    char *tls_cert, *tls_key; /* paths; NULL: issued */
    char *tls_ca; /* NULL: the default CA */
    char *tls_names; /* "DNS:ca.example,IP:192.0.2.1"; NULL: localhost and the host's name */
    bool tls_srp, tls_send_root;
    bool demo; /* made by 'demo': takes a clock shift */
};

/* The paths of the instance ctx names, without reading a file. */
enum mu_code instance_conf_defaults(
    const struct cmd_context *ctx, struct instance_conf *conf, struct mu_err *err) MU_CHECK;
/* The same with what the file says; no file is MU_NOT_FOUND. Errors are M706 with the line. */
enum mu_code instance_conf_load(
    const struct cmd_context *ctx, struct instance_conf *conf, struct mu_err *err) MU_CHECK;
/* "127.0.0.1:8080, [::1]:8080" instead of what is there of this kind; "none". */
enum mu_code instance_conf_listen(
    struct instance_conf *conf, const char *words, bool tls, struct mu_err *err) MU_CHECK;
/* Replaces one path: relative ones are below dir. */
enum mu_code instance_conf_path(const struct instance_conf *conf, char **member, const char *value,
    struct mu_err *err) MU_CHECK;
void instance_conf_clear(struct instance_conf *conf);

struct instance {
    struct mu_env env;
    struct mu_store *store;
    struct mu_ca *ca;
    const struct instance_conf *conf;
    int lock_fd;
    struct instance_memory_key *memory_keys; /* of the memory store: nothing private on disk */
};

/* Takes the lock (M707 if another process has it), opens database and keys. create makes what is
 * missing. conf must outlive it. event (may be NULL) is told what happens. trace (may be NULL) is
 * the env's. */
struct instance_options {
    bool create;
    mu_ca_event *event;
    void (*trace)(void *ctx, const struct mu_trace_event *event);
    void *cookie; /* of both */
    struct mu_store_answers answers; /* of the store */
};
enum mu_code instance_open(const struct instance_conf *conf, const struct instance_options *options,
    struct instance *out, struct mu_err *err) MU_CHECK;
/* After the last answer was given. */
void instance_close(struct instance *instance);

#endif
