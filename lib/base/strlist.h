/* A list of owned, NUL-terminated strings. A zeroed one is empty. Not thread-safe. */
#ifndef VEGA_BASE_STRLIST_H
#define VEGA_BASE_STRLIST_H

#include <stdbool.h>
#include <stddef.h>

struct strlist {
	char **items;
	size_t count;
	size_t cap;
};

/* Adds a copy; false when there is no memory (the list is unchanged). */
bool strlist_add(struct strlist *list, const char *string);
bool strlist_add_len(struct strlist *list, const char *bytes, size_t len);
void strlist_release(struct strlist *list);

#endif
