/* Places of the store and of the socket. */
#include "cmd/muster/cmd_paths.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *directory(const char *name)
{
    const char *value = environment(name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

const char *mu_cmd_paths_config(const char *given, struct mu_buf *buf)
{
    const char *env = environment("MUSTER_CONFIG"), *config = directory("XDG_CONFIG_HOME"),
               *home = directory("HOME");

    if (given != NULL || env != NULL)
        return given != NULL ? given : env;
    mu_buf_reset(buf);
    if (geteuid() == 0 || (config == NULL && home == NULL))
        return NULL;
    mu_buf_putf(buf, "%s%s/muster/muster.conf", config != NULL ? config : home, config != NULL ? "" : "/.config");
    return !buf->failed && access(mu_buf_str(buf), F_OK) == 0 ? mu_buf_str(buf) : NULL;
}

/* Hooks run elsewhere, and are told of its files. */
static void put_whole(const char *path, struct mu_buf *out)
{
    char here[4096];

    if (path[0] != '/' && getcwd(here, sizeof here) != NULL)
        mu_buf_putf(out, "%s/", here);
    mu_buf_put_str(out, path);
}

enum mu_code mu_cmd_paths_store(
    const char *given, const char *configured, struct mu_buf *out, struct mu_err *err)
{
    const char *env = environment("MUSTER_STORE"), *data = directory("XDG_DATA_HOME"),
               *home = directory("HOME");

    if (given != NULL || env != NULL || configured != NULL)
        put_whole(given != NULL ? given : env != NULL ? env : configured, out);
    else if (geteuid() == 0)
        mu_buf_put_str(out, "/var/lib/muster");
    else if (data != NULL)
        mu_buf_putf(out, "%s/muster", data);
    else if (home != NULL)
        mu_buf_putf(out, "%s/.local/share/muster", home);
    if (out->n == 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "no place for the store: HOME is not set, give --store DIR");
    return mu_buf_check(out, "store", err);
}

enum mu_code mu_cmd_paths_beside(
    const char *config, const char *file, struct mu_buf *out, struct mu_err *err)
{
    const char *slash = config != NULL ? strrchr(config, '/') : NULL;

    if (config == NULL)
        mu_buf_put_str(out, "/etc/muster");
    else if (slash != NULL)
        put_whole(config, out);
    else
        put_whole(".", out);
    if (slash != NULL) {
        out->n -= strlen(slash);
        out->p[out->n] = '\0';
    }
    mu_buf_putf(out, "/%s", file);
    return mu_buf_check(out, file, err);
}

const char *mu_cmd_paths_recipes(void)
{
#ifdef MU_TEST_BUILD
    return environment("MUSTER_RECIPES");
#else
    return NULL;
#endif
}

enum mu_code mu_cmd_paths_socket(
    const char *given, const char *configured, struct mu_buf *out, struct mu_err *err)
{
    const char *env = environment("MUSTER_SOCKET"), *run = directory("XDG_RUNTIME_DIR"),
               *place = given != NULL ? given : env != NULL ? env : configured;

    if (place != NULL)
        mu_buf_put_str(out, mu_text_starts(place, "unix:") ? place + 5 : place);
    else if (geteuid() != 0 && run != NULL)
        mu_buf_putf(out, "%s/muster/control.sock", run);
    else
        mu_buf_put_str(out, MU_CMD_PATHS_SYSTEM_SOCKET);
    return mu_buf_check(out, "socket", err);
}
