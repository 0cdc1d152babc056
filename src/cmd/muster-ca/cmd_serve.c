/* muster-ca serve */
#include "base/text.h"
#include "cmd/muster-ca/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cmd_opt options[] = {
    {'v', "verbose", NULL, "the trace of every message in the log"},
    {0, "debug", "PROTO", "the same for one protocol: scep, est, cmp"},
    {'q', "quiet", NULL, "only warnings in the log"},
    {0, "listen", "ADDR:PORT,...", "instead of the configuration's addresses"},
    {0, "listen-tls", "ADDR:PORT,...", "the same for those with TLS (EST)"},
    {0, "workers", "N", "threads; 0: one per core"},
    {0, "log", "FILE", "instead of stderr"},
    {0, "record", "DIR", "keep every request and answer as files there"},
    {0, NULL, NULL, NULL},
};

static const struct cmd_spec spec = {
    .usage = "serve [option...]",
    .about =
        "Answers SCEP, EST and the admin socket until SIGINT or SIGTERM. SIGHUP reads CAs, profiles\n"
        "and settings from the database again and opens the log file anew.",
    .opts = options,
};

static enum mu_code ready(
    void *cookie, struct instance *instance, const uint16_t *ports, struct mu_err *err)
{
    const struct instance_conf *conf = instance->conf;

    for (size_t i = 0; i < conf->listen_n; i++) {
        const char *a = conf->listen[i].address;
        bool is_v6 = strchr(a, ':') != NULL;

        const char *open = is_v6 ? "[" : "", *shut = is_v6 ? "]" : "";

        if (conf->listen[i].tls) {
            printf("EST   https://%s%s%s:%u\n", open, a, shut, ports[i]);
        } else {
            printf("SCEP  http://%s%s%s:%u/scep/\n", open, a, shut, ports[i]);
            printf("CMP   http://%s%s%s:%u/.well-known/cmp\n", open, a, shut, ports[i]);
        }
    }
    if (fflush(stdout) != 0)
        return mu_err_set(err, MU_STORAGE, MU_REASON_NONE, "cannot write to stdout");
    return MU_OK;
}

static enum mu_code overrides(
    const struct cmd_args *args, struct instance_conf *conf, struct mu_err *err)
{
    const char *value;
    enum mu_code rc;

    if ((value = cmd_get(args, "listen")) != NULL
        && (rc = instance_conf_listen(conf, value, false, err)) != MU_OK)
        return rc;
    if ((value = cmd_get(args, "listen-tls")) != NULL
        && (rc = instance_conf_listen(conf, value, true, err)) != MU_OK)
        return rc;
    if ((value = cmd_get(args, "workers")) != NULL
        && (rc = mu_text_int(value, 0, 256, &conf->workers, err)) != MU_OK)
        return rc;
    struct instance_conf here = {0}; /* paths as typed: below where we are */
    if ((value = cmd_get(args, "log")) != NULL
        && (rc = instance_conf_path(&here, &conf->log, value, err)) != MU_OK)
        return rc;
    if ((value = cmd_get(args, "record")) != NULL
        && (rc = instance_conf_path(&here, &conf->record, value, err)) != MU_OK)
        return rc;
    if (conf->listen_n == 0)
        return mu_err_set(err, MU_INPUT, MU_M(706), "%s: no listen = ADDRESS:PORT", conf->file);
    return MU_OK;
}

int cmd_serve(struct cmd_context *ctx, int argc, char **argv)
{
    struct instance_conf conf = {0};
    struct mu_err err = {0};
    struct cmd_args args;
    const char *debug;
    int code = cmd_parse(ctx, &spec, argc, argv, &args);

    if (code >= 0)
        return code;
    debug = cmd_get(&args, "debug");
    if (debug != NULL && mu_proto_parse(debug) == MU_PROTO_NONE)
        return cmd_usage("--debug knows scep, est, cmp");
    struct server_options o = {.conf = &conf,
        .debug = debug != NULL || cmd_has(&args, "verbose"),
        .only = debug != NULL && !cmd_has(&args, "verbose") ? mu_proto_parse(debug) : MU_PROTO_NONE,
        .quiet = cmd_has(&args, "quiet"),
        .ready = ready};
    code = 0;
    if (instance_conf_load(ctx, &conf, &err) != MU_OK || overrides(&args, &conf, &err) != MU_OK
        || server_run(&o, &err) != MU_OK)
        code = cmd_fail(ctx, &err);
    instance_conf_clear(&conf);
    return code;
}
