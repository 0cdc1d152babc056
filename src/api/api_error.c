/* Our errors as the public ones. */
#include <assert.h>
#include <stdio.h>

#include "api/api_internal.h"

static_assert((int)MUSTER_INTERNAL == (int)MU_INTERNAL && (int)MUSTER_PENDING == (int)MU_PENDING
        && (int)MUSTER_STORAGE == (int)MU_STORAGE,
    "the public codes are ours");

const char *muster_version(void)
{
    return MUSTER_VERSION;
}

enum muster_code mu_api_error(const struct mu_err *from, struct muster_error *err)
{
    enum muster_code code = (enum muster_code)from->code;

    if (err == NULL)
        return code;
    *err = (struct muster_error){.code = code};
    if (from->reason >= 100 && from->reason < 1000)
        err->reason = (int)from->reason;
    snprintf(err->what, sizeof(err->what), "%s", from->what);
    snprintf(err->likely, sizeof(err->likely), "%s", mu_err_likely_text(from));
    snprintf(err->next, sizeof(err->next), "%s", mu_err_next_text(from));
    return code;
}
