/*
 * JSON out, for --json and for the control socket: one value after the other, commas by itself.
 * Keys are NULL inside arrays. Text that is no UTF-8 is escaped first. What it writes is one line.
 */
#ifndef MU_AGENT_JSON_H
#define MU_AGENT_JSON_H

#include "base/buf.h"

struct mu_agent_json {
    struct mu_buf *out;
    bool comma; /* a value stands before */
};

void mu_agent_json_open(struct mu_agent_json *j, const char *key, char bracket); /* '{' or '[' */
void mu_agent_json_close(struct mu_agent_json *j, char bracket); /* '}' or ']' */
void mu_agent_json_text(struct mu_agent_json *j, const char *key, const char *value); /* NULL: null */
void mu_agent_json_int(struct mu_agent_json *j, const char *key, int64_t value);
void mu_agent_json_bool(struct mu_agent_json *j, const char *key, bool value);
void mu_agent_json_null(struct mu_agent_json *j, const char *key);
/* A point in time as RFC 3339; 0: null. */
void mu_agent_json_time(struct mu_agent_json *j, const char *key, int64_t t);
/* Text with one item a line, or by the separator, as an array of texts. */
void mu_agent_json_list(
    struct mu_agent_json *j, const char *key, const char *text, const char *separator);

/* Opens {"schema":"muster/1","time":... in out. */
void mu_agent_json_begin(struct mu_agent_json *j, struct mu_buf *out, int64_t now_s);
/* One element of "certificates". */
struct mu_agent_facts;
void mu_agent_json_facts(
    struct mu_agent_json *j, const char *key, const struct mu_agent_facts *facts, int64_t now_s);

/* Ranked causes "1. this; 2. that" as one a line, without the numbers; other text as it is. */
bool mu_agent_json_causes(const char *text, struct mu_buf *lines);

#endif
