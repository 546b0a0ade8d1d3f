/* Numbers within bounds: for the common options and those of operations. */
#include "spec/spec_internal.h"

#include <inttypes.h>

int spec_check_range(const char *name, const struct option_number *number, uint64_t least,
        uint64_t most, struct vega_error *err)
{
	if (number->set && (number->value < least || number->value > most)) {
		return vega_fail(err, VEGA_USAGE,
		        "--%s %" PRIu64 ": not in the range %" PRIu64 "-%" PRIu64, name,
		        number->value, least, most);
	}
	return 0;
}

int spec_parse_links(const char *text, char *kind, uint64_t *links, struct vega_error *err)
{
	*kind = *text == '+' || *text == '-' ? *text : 0;
	return parse_u64(text + (*kind != 0), links, NULL) == 0
	               ? 0
	               : vega_fail(err, VEGA_USAGE,
	                         "--links %s: not a number of names; use e.g. 1, +1 for more or -3 "
	                         "for fewer",
	                         *text ? text : "''");
}
