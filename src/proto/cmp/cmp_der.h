/* Inside src/proto/cmp: what tags need. CMP's module has EXPLICIT tags, CRMF's has IMPLICIT ones. */
#ifndef MU_PROTO_CMP_DER_H
#define MU_PROTO_CMP_DER_H

#include <assert.h>

#include "base/der.h"

/* The element with a universal tag for its IMPLICIT one: same length, so one octet differs.
 * retagged has room from birth (mu_cmp_msg_decode), so that its address stays. */
static inline struct mu_bytes mu_cmp_der_retag(
    struct mu_buf *retagged, const struct mu_der *el, unsigned tag)
{
    size_t at = retagged->n;

    assert(retagged->cap - retagged->n > el->whole.n);
    mu_buf_put_bytes(retagged, el->whole);
    retagged->p[at] = (uint8_t)tag;
    return mu_bytes(retagged->p + at, el->whole.n);
}

/* The other way: element (p NULL: nothing) under an IMPLICIT tag. */
static inline void mu_cmp_der_put_as(struct mu_buf *out, unsigned tag, struct mu_bytes element)
{
    size_t at = out->n;

    if (element.p != NULL && mu_buf_put_bytes(out, element))
        out->p[at] = (uint8_t)tag;
}

/* What [n] EXPLICIT holds, if it is next; out->whole.p NULL if not. False at anything bad. */
static inline bool mu_cmp_der_optional(
    struct mu_bytes *in, unsigned n, unsigned tag, struct mu_der *out)
{
    struct mu_der el;

    *out = (struct mu_der){0};
    if (!mu_der_optional(in, MU_DER_CONTEXT_CONSTRUCTED(n), &el))
        return false;
    return el.whole.p == NULL || mu_der_only(el.value, tag, out);
}

#endif
