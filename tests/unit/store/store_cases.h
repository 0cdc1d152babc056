/* What every store must do: one list of tests, run over each implementation. */
#ifndef MU_TEST_STORE_CASES_H
#define MU_TEST_STORE_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"

#define NOW 1763660000

/* The store under test; the setup of each program opens it. */
extern struct mu_store *store_case;

/* Runs all cases; setup and teardown open and close store_case for each. */
int store_cases_run(const char *name, CMFixtureFunction setup, CMFixtureFunction teardown);
/* Those of store_cases_cmp.c, a part of them. */
struct store_case {
    const char *name;
    CMUnitTestFunction test;
};
extern const struct store_case store_cases_cmp[]; /* name NULL at the end */


/* Rows with every member set, different for each n. They stay until the program ends. */
struct mu_record_cert store_cert(unsigned n);
struct mu_record_request store_request(unsigned n, enum mu_record_state state);
struct mu_record_entry store_entry(const char *name, unsigned n, int64_t max_uses);
/* Submits and waits; the err's sentence is shown if the code is another. */
struct mu_store_result store_submit(struct mu_store_change *change, enum mu_code want);
struct mu_bytes store_octets(unsigned n, size_t size);

#endif
