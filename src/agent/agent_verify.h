/*
 * Proof that a service uses the new certificate: 'tls:HOST:PORT [sni=NAME] [starttls=smtp]' looks at what
 * every address of the host presents, 'file:PATH' at the first certificate of a file. Serial numbers are
 * compared, whole certificates where they are at hand.
 */
#ifndef MU_AGENT_VERIFY_H
#define MU_AGENT_VERIFY_H

#include "agent/agent.h"

struct mu_agent_verify_spec {
    char host[256], sni[256], starttls[16], file[512]; /* file set: nothing else is */
    unsigned port;
};
/* One item of verify=, without the comma. MU_INPUT, M706 with what is right. */
enum mu_code mu_agent_verify_parse(struct mu_bytes text, struct mu_agent_verify_spec *out, struct mu_err *err)
    MU_CHECK;

struct mu_agent_verify;
/* match false: serial (hex, of the first that differs; "" if nothing was seen) and err with M902 say what
 * there is instead. Views during the call. */
typedef void mu_agent_verify_done(void *cookie, bool match, const char *serial, const struct mu_err *err);
/* Looks until it matches, with growing pauses, for about 15 seconds: a reload takes a moment. file_hint: what
 * the service should read. once: looks only once. */
enum mu_code mu_agent_verify_start(struct mu_agent *agent, const struct mu_agent_verify_spec *spec,
    const struct mu_pki_cert *cert, const char *file_hint, bool once, mu_agent_verify_done *done,
    void *cookie, struct mu_agent_verify **out, struct mu_err *err) MU_CHECK;
/* Behind done it is freed already. */
void mu_agent_verify_cancel(struct mu_agent_verify *verify);

#endif
