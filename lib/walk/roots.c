#include "walk/walk_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
	char *real; /* resolved, ending in '/'; NULL: it cannot be (the walk will say why) */
	unsigned index;
};

static int by_path(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->real ? x->real : "", y->real ? y->real : "");
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return (x->index > y->index) - (x->index < y->index);
}

static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);
	char *closed = NULL;
	if (real && asprintf(&closed, strcmp(real, "/") ? "%s/" : "%s", real) < 0) {
		closed = NULL;
	}
	free(real);
	return closed;
}

/* In bytewise order a directory comes directly before all that lies in it. */
static size_t drop_nested(struct candidate *list, size_t count)
{
	qsort(list, count, sizeof *list, by_path);
	size_t kept = 0;
	const char *outer = NULL;
	for (size_t i = 0; i < count; i++) {
		const char *real = list[i].real;
		if (real && outer && strncmp(real, outer, strlen(outer)) == 0) {
			free(list[i].real);
			continue;
		}
		outer = real;
		list[kept++] = list[i];
	}
	qsort(list, kept, sizeof *list, by_index);
	return kept;
}

int walk_choose_roots(struct walk *walk, struct vega_error *err)
{
	const struct strlist *given = &walk->spec->roots;
	struct candidate *list = calloc(given->count + 1, sizeof *list);
	walk->root_index = calloc(given->count + 1, sizeof *walk->root_index);
	if (!list || !walk->root_index) {
		free(list);
		return vega_fail_nomem(err);
	}
	size_t count = given->count;
	for (size_t i = 0; i < count; i++) {
		list[i].index = (unsigned)i;
		list[i].real = count > 1 ? resolve(given->items[i]) : NULL;
	}
	if (count > 1) {
		count = drop_nested(list, count);
	}
	bool copied = true;
	for (size_t i = 0; i < count; i++) {
		walk->root_index[i] = list[i].index;
		copied = copied && strlist_add(&walk->roots, given->items[list[i].index]);
		free(list[i].real);
	}
	free(list);
	return copied ? 0 : vega_fail_nomem(err);
}
