/* The names of users, looked up together at the end of a walk, within bounds. */
#ifndef VEGA_OP_OWNERS_H
#define VEGA_OP_OWNERS_H

#include <stddef.h>
#include <stdint.h>

struct owner {
	uint32_t uid;
	char *name; /* bytes; NULL: it has none, or was not found in time */
};

/*
 * Sets the names, the first ones first. A few are asked for one by one. Of many all users are read
 * once, and those that were not among them are asked for until a second has passed: a directory
 * service may list none. 0, or VEGA_NOMEM: some that are known may be missing. One thread.
 */
int owners_find(struct owner *owners, size_t count);

void owners_release(struct owner *owners, size_t count); /* the names */

#endif
