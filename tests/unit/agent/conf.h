/* Configuration files in a fresh directory, and what loading them tells. */
#ifndef TEST_CONF_H
#define TEST_CONF_H

#include "keystore/keystore.h"
#include "world.h"

#include "agent/agent_config.h"

struct conf {
    char dir[64];
    char main[96]; /* muster.conf in it */
    unsigned errors, advices;
    char told[8192]; /* "file:line: text" by line, the file without its directory */
    struct mu_agent_config *config;
    struct mu_err err;
};

void conf_open(struct conf *conf);
void conf_close(struct conf *conf);
/* file: "muster.conf" or "certs.d/web.conf". */
void conf_write(struct conf *conf, const char *file, unsigned mode, const char *text);
void conf_read(const struct conf *conf, const char *file, char *text, size_t size);
/* Replaces conf->config, errors, advices, told and err. */
enum mu_code conf_load(struct conf *conf);
/* Opened, with this text in muster.conf that has to be right. */
void conf_with(struct conf *conf, const char *text);
/* muster.conf is this text; loaded. */
enum mu_code conf_try(struct conf *conf, const char *text);

#endif
