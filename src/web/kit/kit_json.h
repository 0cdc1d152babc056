/*
 * JSON of the local requests: bounded decoding, members by type with an error that names them, and
 * mu_err as a JSON object and back, so that a command tells the same fault whether it asked the
 * daemon or did the work itself. Every answer carries "schema":"muster/1".
 */
#ifndef MU_WEB_KIT_JSON_H
#define MU_WEB_KIT_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/time.h"

#define MU_KIT_SCHEMA "muster/1"

enum {
    MU_KIT_JSON_MAX = 1 << 20, /* one request: the largest is a profile of some KiB */
    MU_KIT_JSON_DEPTH = 16, /* nesting of a request; ours have four levels */
};

/* One object, no member given twice, no NUL in strings. Empty text is the empty object. The caller
 * drops *out with json_decref. */
enum mu_code mu_kit_json_decode(struct mu_bytes text, json_t **out, struct mu_err *err) MU_CHECK;
/* Compact, members in the order they were set, with a line feed behind. */
enum mu_code mu_kit_json_encode(
    const json_t *value, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* Every member must be one of known (ends with NULL); the error names the nearest known one. */
enum mu_code mu_kit_json_check(
    const json_t *in, const char *const *known, struct mu_err *err) MU_CHECK;
/* *out borrowed from in; NULL if absent or null, which is an error if required. */
enum mu_code mu_kit_json_text(const json_t *in, const char *key, bool required, const char **out,
    struct mu_err *err) MU_CHECK;
/* A number, or a text that is one (queries are text). Absent: *out stays. */
enum mu_code mu_kit_json_int(const json_t *in, const char *key, int64_t min, int64_t max,
    int64_t *out, struct mu_err *err) MU_CHECK;
/* true, false, or the text yes, no, true, false. Absent: *out stays. */
enum mu_code mu_kit_json_bool(
    const json_t *in, const char *key, bool *out, struct mu_err *err) MU_CHECK;

/* Setters that are total: NULL becomes null, text that is no UTF-8 is escaped, a failed
 * allocation leaves the member out. */
void mu_kit_json_set_text(json_t *object, const char *key, const char *value);
void mu_kit_json_set_int(json_t *object, const char *key, int64_t value);
void mu_kit_json_set_bool(json_t *object, const char *key, bool value);
/* "2025-11-20T17:40:05Z"; 0 becomes null. */
void mu_kit_json_set_time(json_t *object, const char *key, int64_t t);
void mu_kit_json_set_buf(json_t *object, const char *key, const struct mu_buf *text);

/* {"schema":..,"error":{"code","kind","what","likely","next"}}: code is the catalog's number or,
 * for a refusal, its number; kind steers programs ("not-found"). NULL without memory. */
json_t *mu_kit_error_encode(const struct mu_err *err);
/* What encode made, out of a whole answer. False if there is no error object in it. */
bool mu_kit_error_decode(const json_t *answer, struct mu_err *err);
int mu_kit_error_status(const struct mu_err *err); /* HTTP */

#endif
