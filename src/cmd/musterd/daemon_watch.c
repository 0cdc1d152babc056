/* The watch over all certificates is not there yet: whoever asks for something is told. */
#include "cmd/musterd/daemon.h"

enum mu_code mu_daemon_watch_open(struct mu_daemon *d, struct mu_err *err)
{
    return MU_OK;
}

void mu_daemon_watch_close(struct mu_daemon *d)
{
}

void mu_daemon_watch_start(struct mu_daemon *d)
{
}

enum mu_code mu_daemon_watch_reload(struct mu_daemon *d, struct mu_agent_config *fresh, struct mu_err *err)
{
    return MU_OK;
}

void mu_daemon_watch_touch(struct mu_daemon *d, const char *name)
{
}

enum mu_code mu_daemon_watch_wish(
    struct mu_daemon *d, const char *name, enum mu_agent_watch_wish wish, struct mu_err *err)
{
    return mu_err_set(err, MU_UNSUPPORTED, MU_REASON_NONE, "this musterd does not renew by itself yet");
}
