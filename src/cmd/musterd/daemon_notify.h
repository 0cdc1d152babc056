/*
 * sd_notify(3) without its library: one datagram per message to the Unix socket that NOTIFY_SOCKET names.
 * Where nobody set it, nothing is sent, and the agent runs all the same.
 */
#ifndef MU_DAEMON_NOTIFY_H
#define MU_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment: hooks have no
 * business with them. Before any thread. */
void mu_daemon_notify_init(void);
void mu_daemon_notify_close(void);
/* Lines "READY=1", "STATUS=...". Never waits; what cannot be sent is lost. */
void mu_daemon_notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the clock systemd asks for (Type=notify-reload). */
void mu_daemon_notify_reloading(void);
/* How often the watchdog wants to hear of us, halved; 0: it does not. */
int64_t mu_daemon_notify_watchdog_ms(void);

#endif
