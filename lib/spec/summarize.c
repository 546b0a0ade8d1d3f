/* summarize: how many files there are, of how many bytes, and which are the largest. */
#include "spec/summarize.h"

#include "spec/spec_internal.h"

#define TOP_MAX 1000000

#define FIELD(member) OPERATION_FIELD(SUMMARIZE, struct summarize_options, member)
#define NAME "summarize"

static const struct option_row rows[] = {
        {"top", 'N', OPT_NUMBER, FIELD(top), SPEC_SUMMARIZE, "N", NULL, NAME,
                "name the N largest files and directories (default: 20)"},
        {"numeric", 0, OPT_FLAG, FIELD(numeric), SPEC_SUMMARIZE, NULL, NULL, NAME,
                "give owners as numbers, and look up no names"},
};

static int check(const struct spec *spec, struct vega_error *err)
{
	return spec_check_range("top", &summarize_options(spec)->top, 0, TOP_MAX, err);
}

static const struct record_fact facts[] = {
        {"files", UNIT_COUNT, "file", "files", .show = FACT_ALWAYS},
        {"directories", UNIT_COUNT, "directory", "directories", .show = FACT_ALWAYS},
        {"links", UNIT_COUNT, "link", "links", .show = FACT_ALWAYS},
        {"others", UNIT_COUNT, "special file", "special files", .show = FACT_IF_ANY},
        {"allocated_bytes", UNIT_BYTES, NULL, "allocated", .show = FACT_ALWAYS},
        {"apparent_bytes", UNIT_BYTES, NULL, "apparent", .show = FACT_ALWAYS},
        {"hard_links.saved_bytes", UNIT_BYTES, NULL, "saved by hard links", .show = FACT_IF_ANY},
};

static const struct record_column numbers[] = {
        {"files", VALUE_U64, UNIT_COUNT, "files"},
        {"apparent_bytes", VALUE_U64, UNIT_BYTES, "apparent"},
        {"allocated_bytes", VALUE_U64, UNIT_BYTES, "allocated"},
};

static const struct record_total totals[] = {
        {"bytes", {NULL, "apparent_bytes", "allocated_bytes"}},
        {"files", {"files"}},
        {"directories", {"directories", "directory_bytes.apparent", "directory_bytes.allocated"}},
        {"links", {"links"}},
        {"others", {"others"}},
};

static const struct record_table tables[] = {
        {.path = "by_extension",
                .section = "extension",
                .row = "extension",
                .title = "by extension",
                .kind = TABLE_RANKING,
                .place = 1,
                .least = 1},
        {.path = "by_owner",
                .section = "owner",
                .row = "owner",
                .unnamed = "uid",
                .title = "by owner",
                .kind = TABLE_RANKING,
                .place = 3,
                .least = 2,
                .alone = "owned by"},
        {.path = "by_age",
                .section = "age",
                .row = "age",
                .title = "by age",
                .kind = TABLE_SCALE,
                .from_end = true, /* what filled the disk is young */
                .apart = "future",
                .place = 2,
                .least = 1},
        {.path = "by_size",
                .section = "size",
                .row = "size",
                .title = "by size",
                .kind = TABLE_SCALE,
                .place = 4,
                .least = 1,
                .beside = 3},
        {.path = "largest_files",
                .section = "largest_file",
                .row = "path",
                .title = "largest files",
                .kind = TABLE_FILES},
        {.path = "largest_directories",
                .section = "largest_directory",
                .row = "path",
                .title = "largest directories",
                .kind = TABLE_TREE},
        {.path = "by_directory",
                .section = "directory",
                .row = "path",
                .title = "directories",
                .kind = TABLE_TREE},
};

const struct operation operation_summarize = {
        .name = NAME,
        .help = "count files and bytes, and name the largest (default)",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .check = check,
        .counts_below = true,
        .schema =
                {
                        .name = NAME,
                        .facts = facts,
                        .fact_count = sizeof facts / sizeof *facts,
                        .numbers = numbers,
                        .number_count = sizeof numbers / sizeof *numbers,
                        .totals = totals,
                        .total_count = sizeof totals / sizeof *totals,
                        .tables = tables,
                        .table_count = sizeof tables / sizeof *tables,
                        .answers_in_summary = true,
                },
};
