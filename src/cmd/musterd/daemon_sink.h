/*
 * Where lines go, as [agent] notify names them, a list by comma:
 *   syslog         the journal where there is one, else the system's syslog; the default
 *   journal[:PATH] native protocol: each field is a field there (MUSTER_NAME=...)
 *   syslog:PATH    a datagram socket, in the form of libc's syslog(): what every daemon behind /dev/log reads,
 *                  with the line of key=value as its message. rsyslog takes RFC 5424 there for text
 *   syslog5424:PATH  RFC 5424 with structured data, for those that read it
 *   file:PATH      appended line by line; who renames the file finds a new one at the next line
 *   command:PATH   run as hook-user for each event of a certificate, one after the other, with its fields
 *                  in the environment (MUSTER_NAME=..., MUSTER_LINE=...)
 *   off
 * Nothing here waits: what cannot be said at once is lost to that sink.
 */
#ifndef MU_DAEMON_SINK_H
#define MU_DAEMON_SINK_H

#include "cmd/musterd/daemon_log.h"

struct mu_daemon_sinks;
/* conf: notify, hook-user, hook-timeout. */
enum mu_code mu_daemon_sink_open(const struct mu_agent_config_agent *conf, struct mu_loop *loop,
    struct mu_daemon_sinks **out, struct mu_err *err) MU_CHECK;
void mu_daemon_sink_close(struct mu_daemon_sinks *sinks);
void mu_daemon_sink_put(struct mu_daemon_sinks *sinks, const struct mu_daemon_record *record);

/* Pure: what is sent. */
bool mu_daemon_sink_journal(const struct mu_daemon_record *record, struct mu_buf *out);
bool mu_daemon_sink_syslog(const struct mu_daemon_record *record, long pid, struct mu_buf *out);
bool mu_daemon_sink_syslog_5424(
    const struct mu_daemon_record *record, const char *host, long pid, struct mu_buf *out);

#endif
