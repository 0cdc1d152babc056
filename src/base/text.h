/* Text and numbers: hex, base64, integers, durations, escaping, nearest word. */
#ifndef MU_BASE_TEXT_H
#define MU_BASE_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Upper-case hex; sep 0 for none, ':' for colon form. */
bool mu_text_hex(struct mu_buf *out, struct mu_bytes v, char sep);
bool mu_text_hex_lower(struct mu_buf *out, struct mu_bytes v, char sep);
/* Takes upper and lower case and ':' or blanks between octets. */
enum mu_code mu_text_unhex(const char *s, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* Standard alphabet with padding; columns 0: one line, else broken by '\n' after so many, with a
 * final '\n'. */
bool mu_text_base64(struct mu_buf *out, struct mu_bytes v, unsigned columns);
/* Lenient: skips CR, LF, blank and tab; takes '-' '_' for '+' '/'; missing padding.
 * MU_INPUT at anything else, or if nothing is there. */
enum mu_code mu_text_unbase64(struct mu_bytes s, struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* Whole string, decimal, within [min, max]. */
enum mu_code mu_text_int(const char *s, int64_t min, int64_t max, int64_t *out, struct mu_err *err)
    MU_CHECK;
/* "90", "60s", "5min", "1h", "30d" to seconds. */
enum mu_code mu_text_duration(const char *s, int64_t *out_s, struct mu_err *err) MU_CHECK;
/* "45 s", "3 min 12 s", "12 d": two units at most. */
bool mu_text_duration_format(struct mu_buf *out, int64_t s);

/* Makes remote text fit for a message or log line: control characters, bad UTF-8 and bidi marks
 * as \xNN, cut to max octets with "..." behind. */
bool mu_text_escape(struct mu_buf *out, struct mu_bytes v, size_t max);
/* The same into a fixed buffer; returns buf. */
const char *mu_text_escape_to(char *buf, size_t size, struct mu_bytes v);
bool mu_text_is_utf8(struct mu_bytes v);

/* ASCII only; locale is never asked. */
bool mu_text_equal_nocase(const char *a, const char *b);
bool mu_text_starts(const char *s, const char *prefix);
/* In place; returns s behind leading blanks. */
char *mu_text_trim(char *s);
/* The nearest of the words by edits, or NULL if none is near enough to be meant.
 * words ends with NULL. */
const char *mu_text_nearest(const char *word, const char *const *words);
/* strdup and friends that fail with MU_MEMORY. */
enum mu_code mu_text_dup(const char *s, char **out, struct mu_err *err) MU_CHECK;

/* Names of entries, CAs, profiles: letters, digits, . _ -, at most 64, not beginning with a dot
 * or dash. They become file names. */
bool mu_text_is_entry_name(const char *s);

#endif
