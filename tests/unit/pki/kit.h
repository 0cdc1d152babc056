/* What the tests of src/pki share: keys made once, certificates, an environment without surprises.
 */
#ifndef MU_TEST_PKI_KIT_H
#define MU_TEST_PKI_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/env.h"
#include "pki/pki_cms.h"
#include "pki/pki_csr.h"
#include "pki/pki_internal.h"
#include "pki/pki_name.h"

#define KIT_NOW 1763660000 /* 2025-11-20T17:33:20Z */

/* Fails the test with the sentence if the call does. */
#define kit_ok(call)                                                                               \
    do {                                                                                           \
        struct mu_err *kit_err_ = kit_err();                                                       \
        enum mu_code kit_rc_ = (call);                                                             \
        if (kit_rc_ != MU_OK)                                                                      \
            fail_msg("%s: %d: %s", #call, (int)kit_rc_, kit_err_->what);                           \
    } while (0)

/* One err per program, emptied by each call. */
struct mu_err *kit_err(void);
/* Fixed time; random octets are a counter's digest, so that runs repeat. */
const struct mu_env *kit_env(void);

/* By mu_pki_key_spec_parse's words ("rsa:2048"); which 0, 1, 2 are different keys. Borrowed. */
struct mu_pki_key *kit_key(const char *word, unsigned which);
struct mu_bytes kit_str(const char *s);
/* DER of a Name; lives to the end of the program. */
struct mu_bytes kit_name(const char *text);
struct mu_bytes kit_bytes_of(const struct mu_buf *b);

struct kit_cert {
    const char *subject, *issuer; /* issuer NULL: the subject */
    struct mu_pki_key *key, *issuer_key; /* issuer_key NULL: key */
    bool is_ca;
    const char *serial; /* decimal or hex; NULL: 4660 */
    int64_t not_before_s, not_after_s; /* 0: a year around KIT_NOW */
    enum mu_pki_digest digest;
    const char *san;
    bool v1; /* no extensions */
};
/* Yours to free. */
struct mu_pki_cert *kit_cert(const struct kit_cert *what);
/* OpenSSL's view of the same. Yours. */
X509 *kit_x509(const struct mu_pki_cert *cert);
/* A file below tests/vectors; yours to clear. */
struct mu_buf kit_vector(const char *path);

/* Where needle first stands in hay, or fails the test. */
size_t kit_find(struct mu_bytes hay, const void *needle, size_t n);
bool kit_says(const char *words); /* kit_err's sentence contains them */

#endif
