/* A SQLite store in a directory of its own for each test. */
#ifndef MU_TEST_STORE_FILE_H
#define MU_TEST_STORE_FILE_H

#include "store_cases.h"

enum { STORE_FILE_PATH = 96 };
extern char store_file_root[64], store_file_path[STORE_FILE_PATH], store_file_copy[STORE_FILE_PATH];

/* Fixtures: a directory only; with the store open as store_case; close and remove all. */
int store_file_dir(void **state);
int store_file_open(void **state);
int store_file_remove(void **state);
/* Opens store_file_path as store_case. */
enum mu_code store_file_store(struct mu_err *err);

#endif
