/* All checks in order, each with its repair. What the files of it share. */
#ifndef MU_CMD_DOCTOR_H
#define MU_CMD_DOCTOR_H

#include "agent/agent_config.h"
#include "cmd/muster/cmd.h"

struct mu_cmd_doctor {
    struct mu_cmd *cmd;
    const char *name; /* entry; NULL: what concerns all */
    struct mu_agent_config_entry entry;
    struct mu_agent_facts facts;
    struct mu_agent_json j;
    unsigned ok, notes, bad;
    int exit_code; /* of the first that is bad */
};

/* One result: fine, advice, or bad. check: one or two words. */
void mu_cmd_doctor_ok(struct mu_cmd_doctor *doctor, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void mu_cmd_doctor_note(struct mu_cmd_doctor *doctor, const char *check, const struct mu_err *err);
void mu_cmd_doctor_bad(struct mu_cmd_doctor *doctor, const char *check, const struct mu_err *err);

/* ---- cmd_doctor_files.c: of an entry ---- */
void mu_cmd_doctor_trust(struct mu_cmd_doctor *doctor);
void mu_cmd_doctor_pair(struct mu_cmd_doctor *doctor);
void mu_cmd_doctor_secrets(struct mu_cmd_doctor *doctor);
void mu_cmd_doctor_hooks(struct mu_cmd_doctor *doctor);
/* ---- cmd_doctor_net.c ---- */
void mu_cmd_doctor_server(struct mu_cmd_doctor *doctor);
void mu_cmd_doctor_services(struct mu_cmd_doctor *doctor);

#endif
