/*
 * Parameters of a shell-style settings file that hold a key or a certificate (PRODUCT "Files",
 * scep_replace_pem): text in, text out. What a value looks like now decides what it will look like; a
 * form that is not known is refused, and nothing but the named values changes.
 */
#ifndef MU_AGENT_REPLACE_H
#define MU_AGENT_REPLACE_H

#include "base/buf.h"
#include "base/err.h"

enum mu_agent_replace_kind { MU_AGENT_REPLACE_PKEY, MU_AGENT_REPLACE_CERT };
/* "pkey", "cert"; another word is MU_INPUT. */
enum mu_code mu_agent_replace_kind_parse(
    const char *word, enum mu_agent_replace_kind *out, struct mu_err *err) MU_CHECK;

struct mu_agent_replace {
    const char *param;
    struct mu_bytes pem; /* one block: what the parameter gets */
};

/* text with the values replaced goes to out (which should be secret). where names the text in messages.
 * A parameter that is set twice is replaced twice. Not there: M903 with the nearest name. MU_INPUT: its
 * value, or the file, has a form that is not known; out is not touched then. */
enum mu_code mu_agent_replace(struct mu_bytes text, const char *where,
    const struct mu_agent_replace *list, size_t n, struct mu_buf *out, struct mu_err *err) MU_CHECK;

#endif
