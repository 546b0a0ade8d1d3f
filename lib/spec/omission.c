/* Which options of a specification leave something out. */
#include "spec/spec_internal.h"

#include <string.h>

static bool is_one_of(const struct option_row *row, const size_t *offsets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (row->offset == offsets[i]) {
			return true;
		}
	}
	return false;
}

/* What --not and --or say is in the sets that they have made. */
static bool is_given(const struct option_row *row, const struct spec *spec)
{
	if (row->offset == offsetof(struct spec, said_or)) {
		return spec->others.count > 0;
	}
	if (row->offset == offsetof(struct spec, said_not)) {
		bool any = spec->without.count > 0;
		for (size_t i = 0; i < spec->others.count; i++) {
			any = any || spec->others.items[i]->without.count > 0;
		}
		return any;
	}
	return spec_row_is_set(row, spec);
}

const char *spec_next_omission(const struct spec *spec, bool entering, size_t *index)
{
	static const size_t excluding[] = {offsetof(struct spec, exclude),
	        offsetof(struct spec, exclude_caches), offsetof(struct spec, skip_hidden)};
	static const size_t limiting[] = {
	        offsetof(struct spec, descend), offsetof(struct spec, one_file_system)};
	const size_t show_depth = offsetof(struct spec, show_depth);
	uint64_t descent = spec_descent(spec);
	const struct option_row *row;
	while ((row = spec_row_at((*index)++))) {
		bool among = is_one_of(row, excluding, 3);
		if (entering) {
			among = among || is_one_of(row, limiting, 2) ||
			        (row->offset == show_depth && descent == spec->show_depth.value);
		} else {
			among = among || (row->heading && strcmp(row->heading, SPEC_WHICH) == 0) ||
			        row->offset == offsetof(struct spec, min_depth);
		}
		if (among && is_given(row, spec)) {
			return row->name;
		}
	}
	return NULL;
}
