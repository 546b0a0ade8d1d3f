/*
 * An ordered list of patterns in gitignore's syntax: later patterns win, "!" takes back, a leading
 * or inner
 * "/" anchors to the root, a trailing "/" means directories only, "**" spans directories.
 * As in git, an entry below an excluded directory is never looked at, so "!" cannot bring it back.
 * Read-only after the last ignore_add(), and then shared by threads.
 */
#ifndef VEGA_BASE_IGNORE_H
#define VEGA_BASE_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct ignore;

struct ignore *ignore_new(void); /* NULL when there is no memory */

/* One line of a gitignore file, without its newline. Comments and empty lines add nothing. */
int ignore_add(struct ignore *list, const char *line, struct vega_error *err);
bool ignore_empty(const struct ignore *list);

/* True when no pattern needs more than the last component, so that callers need not build the path.
 */
bool ignore_names_only(const struct ignore *list);

/*
 * Is the entry excluded? path: relative to the root, no leading "./" or "/", `len` bytes; its last
 * component starts at name_offset. When ignore_names_only(), path may be just the name (name_offset
 * 0).
 */
bool ignore_match(const struct ignore *list, const char *path, size_t len, size_t name_offset,
        bool is_directory);
void ignore_free(struct ignore *list);

#endif
