/* What the watch has to know of its surroundings: which machine, and how old the program is. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_watch.h"
#include "base/time.h"

const char *mu_agent_watch_host(char out[MU_AGENT_WATCH_HOST])
{
    char host[80] = "";
    struct mu_buf id = {0};

    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    if (mu_keystore_file_read("/etc/machine-id", MU_KEYSTORE_PUBLIC, &id, NULL) != MU_OK)
        mu_buf_reset(&id);
    snprintf(out, MU_AGENT_WATCH_HOST, "%s %.40s", host, mu_buf_str(&id));
    mu_buf_clear(&id);
    return out;
}

/* "Nov 28 2026". */
int64_t mu_agent_watch_built(void)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", date[] = __DATE__;
    const char month[4] = {date[0], date[1], date[2], '\0'};
    const char *at = strstr(months, month);
    struct mu_time_civil c = {.month = at != NULL ? (int)(at - months) / 3 + 1 : 1,
        .day = atoi(date + 4),
        .year = atoi(date + 7)};
    int64_t t = 0;

    /* A day early: the compiler's date is of its own time zone. */
    return mu_time_from_civil(&c, &t) ? t - 86400 : 0;
}
