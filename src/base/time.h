/* Points in time as text. All of them are seconds since 1970, UTC; no time zone database. */
#ifndef MU_BASE_TIME_H
#define MU_BASE_TIME_H

#include <stdint.h>

#include "base/buf.h"

struct mu_time_civil { int year, month, day, hour, minute, second; };

void mu_time_civil(int64_t t, struct mu_time_civil *out);
/* Returns false for a day, hour ... that does not exist. */
bool mu_time_from_civil(const struct mu_time_civil *c, int64_t *out);

enum { MU_TIME_TEXT = 40 };
/* "2025-11-20T17:40:05Z"; "2025-11-20 17:40:05 UTC"; "Thu, 21 Nov 2024 11:52:11 GMT". Return buf. */
const char *mu_time_rfc3339(int64_t t, char buf[MU_TIME_TEXT]);
const char *mu_time_plain(int64_t t, char buf[MU_TIME_TEXT]);
const char *mu_time_http(int64_t t, char buf[MU_TIME_TEXT]);
bool mu_time_parse_rfc3339(const char *s, int64_t *out);
bool mu_time_parse_http(const char *s, int64_t *out);
/* Content octets of UTCTime ("YYMMDDhhmmssZ") or GeneralizedTime ("YYYYMMDDhhmmssZ"). Lenient in
 * missing seconds, fractions and +hhmm offsets, as old certificates have them. */
bool mu_time_parse_asn1(struct mu_bytes content, bool generalized, int64_t *out);

#endif
