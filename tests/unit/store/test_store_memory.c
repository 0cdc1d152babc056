/* The memory store keeps the promises of store.h. */
#include "store_cases.h"

static int setup(void **state)
{
    return mu_store_memory_open(&store_case, NULL) == MU_OK ? 0 : -1;
}

static int teardown(void **state)
{
    mu_store_close(store_case);
    return 0;
}

int main(void)
{
    return store_cases_run("store_memory", setup, teardown);
}
