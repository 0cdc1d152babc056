/* Calls that change the disk do nothing from the n-th on, as if the program were gone. */
#ifndef AGENT_KILLED_H
#define AGENT_KILLED_H

extern unsigned killed_calls; /* so far */
extern unsigned killed_at;    /* 0: never */

#endif
