/* An entry in words: as a table row, as the page of 'show'. */
#ifndef MU_CMD_FACTS_H
#define MU_CMD_FACTS_H

#include "cmd/muster/cmd_print.h"

/* Header and rows of the status table. */
void mu_cmd_facts_header(struct mu_cmd_print_table *table);
void mu_cmd_facts_row(
    struct mu_cmd_print_table *table, const struct mu_agent_facts *facts, int64_t now_s);
/* All there is to say, on stdout. */
void mu_cmd_facts_show(const struct mu_agent_facts *facts, int64_t now_s);

/* Where the trace is, on stdout, if this is what the last try ended with. */
void mu_cmd_facts_trace(const struct mu_agent_facts *facts, const struct mu_err *finding);

/* cmd_show_console.c: the entry in the words of the firewall-style console; secrets are '*'. */
enum mu_code mu_cmd_show_console(
    struct mu_cmd *cmd, const struct mu_agent_facts *facts, struct mu_err *err) MU_CHECK;

#endif
