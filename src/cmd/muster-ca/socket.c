#include "cmd/muster-ca/socket.h"

#include <stdlib.h>
#include <string.h>

#include "net/net_ask.h"

enum mu_code socket_ask(const char *path, const char *method, const char *target, const json_t *in,
    json_t **out, struct mu_err *err)
{
    char *body = in != NULL ? json_dumps(in, JSON_COMPACT) : NULL;
    const struct mu_net_ask ask = {
        .path = path, .method = method, .target = target, .body = mu_bytes_str(body != NULL ? body : "")};
    struct mu_buf answer;
    json_t *v = NULL;
    enum mu_code rc;
    int status;

    if (in != NULL && body == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    mu_buf_init_secret(&answer, 80 << 20);
    if ((rc = mu_net_ask(&ask, &status, &answer, err)) == MU_OK) {
        v = json_loadb((const char *)answer.p, answer.n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(v))
            rc = mu_err_set(err, MU_NETWORK, MU_REASON_NONE,
                "the answer of the server on %s is no JSON object", path);
    }
    if (rc == MU_OK)
        *out = v;
    else
        json_decref(v);
    if (body != NULL)
        mu_bytes_wipe(body, strlen(body));
    free(body);
    mu_buf_clear(&answer);
    return rc;
}
