/* The sum of what the trees of the roots expect. */
#include "engine/expected.h"

/* Does the walk leave out some of what is there? */
static bool leaves_out(const struct spec *spec)
{
	return spec_descent(spec) != UINT64_MAX || spec->exclude.count || spec->exclude_caches ||
	       spec->skip_hidden;
}

uint64_t expected_entries(const struct spec *spec, const struct walk *walk)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < walk_roots(walk)->count && !leaves_out(spec); i++) {
		uint64_t entries = walk_expect(walk, i);
		if (entries == 0) {
			return 0;
		}
		sum += entries;
	}
	return sum;
}
