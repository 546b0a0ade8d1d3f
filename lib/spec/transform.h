/* The options of transform, beside spec.out, spec.overwrite and spec.command. */
#ifndef VEGA_SPEC_TRANSFORM_H
#define VEGA_SPEC_TRANSFORM_H

#include "spec/spec.h"

enum spec_codec { SPEC_CODEC_UNSET, SPEC_ZSTD, SPEC_GZIP, SPEC_NONE };

struct transform_options {
	unsigned to; /* enum spec_codec; unset: spec.command is a filter */
	struct option_number level;
	char *output_name;            /* template for a filter's output name, "{/}" when unset */
	struct option_number timeout; /* of one filter process */
};

OPERATION_OPTIONS(TRANSFORM, transform)

#endif
