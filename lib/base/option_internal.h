/* The parts of option tables that option*.c share. */
#ifndef VEGA_BASE_OPTION_INTERNAL_H
#define VEGA_BASE_OPTION_INTERNAL_H

#include "base/option.h"

/* As option_describe() writes them, by enum option_type. */
extern const char *const option_type_names[];

/* Everything but a flag and a count takes one. */
bool option_takes_value(const struct option_row *row);

/* A row by its name of len bytes, or by its letter when name is NULL, and its target. */
const struct option_row *option_find(const struct option_table *tables, size_t table_count,
        const char *name, size_t len, char letter, void **target);

/* Does each row say what its type needs, and has no other its name or its letter? For CHECK(). */
bool option_well_formed(const struct option_table *tables, size_t table_count);

/* The choices that can be given, with a separator between. */
void option_add_choices(struct buf *out, const struct option_row *row, const char *separator);

/* option_set(), with ages counted back from `now`. */
int option_set_at(const struct option_row *row, void *target, const char *text,
        struct vega_time now, struct vega_error *err);

/* The row that was meant: the nearest name, else the only one that begins so; NULL: none. */
const struct option_row *option_near_miss(
        const struct option_table *tables, size_t table_count, const char *name);

#endif
