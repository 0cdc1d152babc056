/* clang-format off */
/*
 * What an operator asks of the CA, as JSON (schema "muster/1"). The table below serves the admin
 * socket and, by function call, a command that found no server running.
 *
 *   GET    /v1/ca                       CAs with their certificates, services
 *   GET    /v1/ca/NAME                  one of them
 *   POST   /v1/ca                       {name, root_subject, root_key, ...}: a new one
 *   POST   /v1/ca/NAME/set              {settings}
 *   POST   /v1/ca/NAME/next             a successor for GetNextCACert
 *   POST   /v1/ca/NAME/activate         the successor takes over
 *   POST   /v1/ca/NAME/kga              a certificate with cmKGA to sign generated keys with: made here,
 *                                       or certificates, key: in PEM, made elsewhere
 *   GET    /v1/entries [?limit]         GET /v1/entries/NAME   DELETE /v1/entries/NAME
 *   POST   /v1/entries                  {name, profile, protocols, ca, once, max_uses, password,
 *                                       expires, comments}
 *                                       -> {entry, password}: the generated one, this once
 *   POST   /v1/entries/NAME/passwd      {password} or a generated one, as above
 *   POST   /v1/entries/NAME/device      {reference}: that device's password of a wildcard entry
 *   POST   /v1/entries/NAME/reset | disable | enable
 *   GET    /v1/profiles                 GET /v1/profiles/NAME   DELETE /v1/profiles/NAME
 *   POST   /v1/profiles                 {name, settings, preset}; settings: text or object
 *   POST   /v1/profiles/NAME            {settings}: replaces
 *   GET    /v1/queue [?state]           GET /v1/queue/ID
 *   POST   /v1/queue/ID/approve         {profile} -> {serial}
 *   POST   /v1/queue/ID/reject          {reason}
 *   GET    /v1/issued [?subject,serial,profile,transaction,revoked,before,limit]
 *   GET    /v1/issued/SERIAL [?ca]      with the certificate
 *   POST   /v1/revoke                   {serial, reason, ca}
 *   GET    /v1/crl [?ca]                the latest;  POST /v1/crl {ca}: a new one
 *   GET    /v1/log [?action,subject,transaction,since,before,limit]
 *   GET    /v1/services                 POST /v1/services/PROTO/enable | disable
 *   GET    /v1/stats
 *
 * Times are UTC, serials upper-case hex, absent values null. A password leaves in the one answer
 * that made it, never in another.
 */
/* clang-format on */
#ifndef MU_WEB_CA_H
#define MU_WEB_CA_H

#include "ca/ca.h"
#include "web/kit/kit_router.h"

/* Context of the routes. */
struct mu_web_ca {
    struct mu_ca *ca;
    const struct mu_env *env;
};

extern const struct mu_kit_route mu_web_ca_routes[];

#endif
