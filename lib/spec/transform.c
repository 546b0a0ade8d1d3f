/* transform: each file compressed, decompressed or filtered into a mirrored tree. */
#include "spec/transform.h"

#include <string.h>

#include "spec/spec_internal.h"

static const char *const overwriting[] = {"", "differing", "always", NULL};
static const char *const codecs[] = {"", "zstd", "gzip", "none", NULL};

#define FIELD(member) OPERATION_FIELD(TRANSFORM, struct transform_options, member)
#define NAME "transform"

static const struct option_row rows[] = {
        {"to", 0, OPT_CHOICE, FIELD(to), SPEC_TRANSFORM, "CODEC", codecs, NAME,
                "compress with zstd or gzip, or 'none' to decompress either"},
        {"out", 'o', OPT_TEXT, .offset = offsetof(struct spec, out), SPEC_TRANSFORM, "DIR", NULL,
                NAME, "write the mirrored tree below DIR"},
        {"level", 0, OPT_NUMBER, FIELD(level), SPEC_TRANSFORM, "N", NULL, NAME,
                "compression level (zstd 1-19, default 3; gzip 1-9, default 6)"},
        {"overwrite", 0, OPT_CHOICE, .offset = offsetof(struct spec, overwrite), SPEC_TRANSFORM,
                "[=WHEN]", overwriting, NAME,
                "replace output files that differ (=differing), or every one (=always)"},
        {"output-name", 0, OPT_TEXT, FIELD(output_name), SPEC_TRANSFORM, "TEMPLATE", NULL, NAME,
                "name of a filter's output in its directory: {/} name, {/.} name without extension "
                "(default: {/})"},
        {"timeout", 0, OPT_DURATION, FIELD(timeout), SPEC_TRANSFORM, "DURATION", NULL, NAME,
                "end a filter that runs longer on one file"},
};

static int check_level(const struct transform_options *own, struct vega_error *err)
{
	switch ((enum spec_codec)own->to) {
	case SPEC_ZSTD:
		return spec_check_range("level", &own->level, 1, 19, err);
	case SPEC_GZIP:
		return spec_check_range("level", &own->level, 1, 9, err);
	default:
		return own->level.set ? vega_fail(err, VEGA_USAGE,
		                                "--level is for compression: it needs --to zstd or "
		                                "--to gzip")
		                      : 0;
	}
}

/* The name that a filter's output gets must stay in its directory: only {/} and {/.}, which hold no
 * '/', may stand in it, and no '/' of its own. */
static int check_output_name(const char *template, struct vega_error *err)
{
	bool any = false;
	for (const char *at = template; *at;) {
		if (strncmp(at, "{/}", 3) == 0) {
			at += 3;
			any = true;
		} else if (strncmp(at, "{/.}", 4) == 0) {
			at += 4;
			any = true;
		} else if (*at == '/' || strncmp(at, "{}", 2) == 0 || strncmp(at, "{.}", 3) == 0) {
			return vega_fail(err, VEGA_USAGE,
			        "--output-name %s: not a name without '/', made with {/} or {/.}",
			        template);
		} else {
			at++;
		}
	}
	return any ? 0
	           : vega_fail(err, VEGA_USAGE,
	                     "--output-name %s: would be the name of every output; put {/} or "
	                     "{/.} in it",
	                     *template ? template : "''");
}

static int check(const struct spec *spec, struct vega_error *err)
{
	const struct transform_options *own = transform_options(spec);
	bool filter = spec->command.count > 0;
	if (!own->to == !filter) {
		return vega_fail(err, VEGA_USAGE,
		        filter ? "transform takes --to CODEC or a command after '--', not both"
		               : "transform needs --to CODEC, or a command after '--'");
	}
	if (!spec->out || !*spec->out) {
		return vega_fail(err, VEGA_USAGE, "transform needs --out DIR to write to");
	}
	if (filter && !*spec->command.items[0]) {
		return vega_fail(err, VEGA_USAGE, "the command after '--' has an empty name");
	}
	if (!filter && own->output_name) {
		return vega_fail(err, VEGA_USAGE,
		        "--output-name is for a command after '--'; --to %s names its outputs "
		        "itself",
		        own->to == SPEC_ZSTD   ? "zstd"
		        : own->to == SPEC_GZIP ? "gzip"
		                               : "none");
	}
	if (!filter && own->timeout.set) {
		return vega_fail(
		        err, VEGA_USAGE, "--timeout is for a command after '--', not for --to");
	}
	if (own->timeout.set && own->timeout.value == 0) {
		return vega_fail(err, VEGA_USAGE, "--timeout must be greater than 0");
	}
	int code = check_level(own, err);
	return code == 0 && own->output_name ? check_output_name(own->output_name, err) : code;
}

static const struct record_column fields[] = {
        {"output", VALUE_BYTES, UNIT_NONE, "output"},
        {"status", VALUE_TEXT, UNIT_NONE, "status"},
        {"input_bytes", VALUE_U64, UNIT_BYTES, "read"},
        {"output_bytes", VALUE_U64, UNIT_BYTES, "written"},
};

static const struct record_fact facts[] = {
        {"written", UNIT_COUNT, "file written", "files written", .from = "input_bytes",
                .to = "output_bytes", .show = FACT_ALWAYS},
        {"current", UNIT_COUNT, "up to date", "up to date", .show = FACT_ALWAYS},
        {"failed", UNIT_COUNT, "failed", "failed", .show = FACT_ALERT},
};

const struct operation operation_transform = {
        .name = NAME,
        .help = "compress, decompress or filter each file into a mirrored tree",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .check = check,
        .writes = true,
        .computes = true,
        .takes_command = true,
        .schema =
                {
                        .name = NAME,
                        .standard = 1u << STANDARD_PATH,
                        .fields = fields,
                        .field_count = sizeof fields / sizeof *fields,
                        .facts = facts,
                        .fact_count = sizeof facts / sizeof *facts,
                        .answers_on_terminal = true,
                },
};
