/* Any text as a settings file. What is taken keeps every octet outside of the values, and taking the result
 * again changes nothing. */
#include <stdlib.h>

#include "agent/agent_replace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key[] = "-----BEGIN PRIVATE KEY-----\nMIGH\nAgEB\n-----END PRIVATE KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mu_agent_replace item = {"K", {(const uint8_t *)key, sizeof key - 1}};
    struct mu_buf once = {.max = 1 << 24, .secret = true}, twice = {.max = 1 << 24, .secret = true};

    if (mu_agent_replace(mu_bytes(data, size), "fuzz", &item, 1, &once, NULL) == MU_OK) {
        if (mu_agent_replace(mu_buf_bytes(&once), "fuzz", &item, 1, &twice, NULL) != MU_OK
            || !mu_bytes_equal(mu_buf_bytes(&once), mu_buf_bytes(&twice)))
            abort();
    } else if (once.n != 0) {
        abort();
    }
    mu_buf_clear(&once);
    mu_buf_clear(&twice);
    return 0;
}
