/* The options of summarize. */
#ifndef VEGA_SPEC_SUMMARIZE_H
#define VEGA_SPEC_SUMMARIZE_H

#include "spec/spec.h"

struct summarize_options {
	struct option_number top; /* unset: 20 */
	bool numeric;             /* owners by number alone */
};

OPERATION_OPTIONS(SUMMARIZE, summarize)

#endif
