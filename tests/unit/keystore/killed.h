/*
 * Every call that changes the disk, wrapped (keystore_io.h): counted, made to fail once, or to do nothing from the
 * n-th on, as if the program were gone. Link with keystore_killed_dep.
 */
#ifndef KEYSTORE_KILLED_H
#define KEYSTORE_KILLED_H

#include <stdbool.h>

extern unsigned killed_calls; /* so far */
extern unsigned killed_at;    /* this one and all later ones fail; 0: never */
extern unsigned killed_fail;  /* this one fails, with ENOSPC; 0: none */
extern bool killed_tears;     /* a write that is killed leaves half of it */
/* Hears of each call, by its number, before it is made; NULL: nobody. name "": fd itself. */
extern void (*killed_heard)(unsigned n, const char *verb, int fd, const char *name);

#endif
