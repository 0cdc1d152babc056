/* The SQLite store keeps the promises of store.h. */
#include "store_file.h"

int main(void)
{
    return store_cases_run("store_sqlite", store_file_open, store_file_remove);
}
