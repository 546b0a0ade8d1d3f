/* summarize: how many files there are, of how many bytes, and which are the largest. */
#include "spec/summarize.h"

#include "spec/spec_internal.h"

#define TOP_MAX 1000000

#define FIELD(member) OPERATION_FIELD(SUMMARIZE, struct summarize_options, member)
#define HEADING "summarize"

static const struct option_row rows[] = {
        {"top", 'N', OPT_NUMBER, FIELD(top), SPEC_SUMMARIZE, "N", NULL, HEADING,
                "name the N largest files and directories (default: 20)"},
        {"depth", 0, OPT_NUMBER, FIELD(depth), SPEC_SUMMARIZE, "N", NULL, HEADING,
                "give each directory's total down to N levels (default: 0, the roots)"},
};

static int check(const struct spec *spec, struct vega_error *err)
{
	return spec_check_range("top", &summarize_options(spec)->top, 0, TOP_MAX, err);
}

const struct operation operation_summarize = {
        .name = "summarize",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .check = check,
        .answers_in_summary = true,
};
