/*
 * --record DIR: each request and each answer as files, in the layout of tests/vectors, so that a
 * problem in the field becomes a test by copying a folder: NNNNNN-request.der, NNNNNN-reply.der
 * (the message itself, also out of a GET), and beside each a .txt with line and headers.
 * Authorization is blanked.
 */
#ifndef MU_CMD_MUSTER_CA_RECORD_H
#define MU_CMD_MUSTER_CA_RECORD_H

#include "http/http_msg.h"

struct record;

/* Makes DIR (0700) if needed; numbers go on behind those that are there. */
enum mu_code record_open(const char *dir, struct record **out, struct mu_err *err) MU_CHECK;
void record_close(struct record *record);
/* Returns the number for record_reply. From any thread. Failures are logged, not returned: serving
 * goes on. */
unsigned record_request(struct record *record, const struct mu_http_request *request);
void record_reply(struct record *record, unsigned number, const struct mu_http_response *response);

#endif
