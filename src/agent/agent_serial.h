/* 'SN' in a subject stands for the serial number of this unit (R020). */
#ifndef MU_AGENT_SERIAL_H
#define MU_AGENT_SERIAL_H

#include "base/buf.h"

/* True if text has SN as a whole word that is no attribute type ("SN=") and not escaped ("\SN"). */
bool mu_agent_serial_is_in(const char *text);
/* Puts serial in the place of each such word; escapes stay, so doing it again changes nothing. */
bool mu_agent_serial_expand(const char *text, const char *serial, struct mu_buf *out);
/* The serial number from its source: "dmi", "device-tree", "machine-id", "auto" (these in order;
 * NULL too), or a command whose first line of output it is. */
enum mu_code mu_agent_serial_read(
    const char *source, struct mu_buf *out, struct mu_err *err) MU_CHECK;

#endif
