/* Certificates in words, for the commands that show what a CA sent. */
#ifndef MU_CMD_CERTS_H
#define MU_CMD_CERTS_H

#include "cmd/muster/cmd.h"

/* One object; name may be NULL. The first leaves it open, for more. */
void mu_cmd_certs_json_open(struct mu_agent_json *j, const char *name, struct mu_pki_cert *cert);
void mu_cmd_certs_json(struct mu_agent_json *j, const char *name, struct mu_pki_cert *cert);
/* As {"cas":[...]}: with --json, else as text on stdout; the issuing one (may be NULL) is marked.
 */
int mu_cmd_certs_print(
    struct mu_cmd *cmd, const struct mu_pki_certs *certs, const struct mu_pki_cert *issuing);
void mu_cmd_certs_text(const struct mu_pki_certs *certs, const struct mu_pki_cert *issuing);
void mu_cmd_certs_array(struct mu_agent_json *j, const char *key, const struct mu_pki_certs *certs);

#endif
