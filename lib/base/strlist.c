/* A list of strings that it owns. */
#include "base/strlist.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

bool strlist_add_len(struct strlist *list, const char *bytes, size_t len)
{
	CHECK(list->count <= list->cap);
	if (list->count == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 8;
		char **items = reallocarray(list->items, cap, sizeof *items);
		if (!items) {
			return false;
		}
		list->items = items;
		list->cap = cap;
	}
	char *copy = strndup(bytes, len);
	if (!copy) {
		return false;
	}
	list->items[list->count++] = copy;
	return true;
}

bool strlist_add(struct strlist *list, const char *string)
{
	return strlist_add_len(list, string, strlen(string));
}

void strlist_release(struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i]);
	}
	free(list->items);
	*list = (struct strlist){0};
}
