#include "store_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char store_file_root[64], store_file_path[STORE_FILE_PATH], store_file_copy[STORE_FILE_PATH];

enum mu_code store_file_store(struct mu_err *err)
{
    return mu_store_sqlite_open(
        &(struct mu_store_sqlite_config){.path = store_file_path}, &store_case, err);
}

int store_file_dir(void **state)
{
    snprintf(store_file_root, sizeof store_file_root, "/tmp/muster-store-XXXXXX");
    if (mkdtemp(store_file_root) == NULL)
        return -1;
    snprintf(store_file_path, STORE_FILE_PATH, "%s/ca.db", store_file_root);
    snprintf(store_file_copy, STORE_FILE_PATH, "%s/copy.db", store_file_root);
    store_case = NULL;
    return 0;
}

int store_file_remove(void **state)
{
    static const char *const ends[] = {
        "ca.db", "ca.db-wal", "ca.db-shm", "copy.db", "copy.db-wal", "copy.db-shm"};
    char file[128];

    mu_store_close(store_case);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", store_file_root, ends[i]);
        unlink(file);
    }
    return rmdir(store_file_root);
}

int store_file_open(void **state)
{
    return store_file_dir(state) != 0 || store_file_store(NULL) != MU_OK ? -1 : 0;
}
