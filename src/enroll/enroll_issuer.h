/* How a CA gets a certificate signed: by a key here, later by asking another CA (gateway). */
#ifndef MU_ENROLL_ISSUER_H
#define MU_ENROLL_ISSUER_H

#include "pki/pki_cert.h"

struct mu_issuer;

struct mu_issuer_order {
    struct mu_bytes subject, spki, extensions;
    int64_t not_before_s, not_after_s;
    struct mu_bytes csr; /* n 0 if not at hand: who asks another CA needs it */
};

/* cert is the callee's (count one) or NULL with err. Called exactly once, maybe at once. */
typedef void mu_issuer_done(void *cookie, struct mu_pki_cert *cert, const struct mu_err *err);

struct mu_issuer_ops {
    void (*issue)(struct mu_issuer *, const struct mu_issuer_order *order, mu_issuer_done *done,
        void *cookie);
};
struct mu_issuer {
    const struct mu_issuer_ops *ops;
};

static inline void mu_issuer_issue(struct mu_issuer *issuer, const struct mu_issuer_order *order,
    mu_issuer_done *done, void *cookie)
{
    issuer->ops->issue(issuer, order, done, cookie);
}

#endif
