/*
 * JSON out, one value after the other, commas by itself. Keys are NULL inside arrays. Text that is
 * no UTF-8 is escaped first. What it writes is one line.
 */
#ifndef MU_CMD_JSON_H
#define MU_CMD_JSON_H

#include "base/buf.h"

struct mu_cmd_json {
    struct mu_buf *out;
    bool comma; /* a value stands before */
};

void mu_cmd_json_open(struct mu_cmd_json *j, const char *key, char bracket); /* '{' or '[' */
void mu_cmd_json_close(struct mu_cmd_json *j, char bracket); /* '}' or ']' */
void mu_cmd_json_text(struct mu_cmd_json *j, const char *key, const char *value); /* NULL: null */
void mu_cmd_json_int(struct mu_cmd_json *j, const char *key, int64_t value);
void mu_cmd_json_bool(struct mu_cmd_json *j, const char *key, bool value);
void mu_cmd_json_null(struct mu_cmd_json *j, const char *key);
/* A point in time as RFC 3339; 0: null. */
void mu_cmd_json_time(struct mu_cmd_json *j, const char *key, int64_t t);
/* Text with one item a line, or by the separator, as an array of texts. */
void mu_cmd_json_list(
    struct mu_cmd_json *j, const char *key, const char *text, const char *separator);

/* Ranked causes "1. this; 2. that" as one a line, without the numbers; other text as it is. */
bool mu_cmd_json_causes(const char *text, struct mu_buf *lines);

#endif
