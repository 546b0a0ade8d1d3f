/* A command line, its words separated by NUL. */
#include "spec_fuzz.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[] = "fuzz";
	char *words[WORDS_MAX + 1] = {name};
	char *bytes = fuzz_string(data, size);
	int count = 1;
	for (size_t at = 0; at < size && count < WORDS_MAX; at += strlen(bytes + at) + 1) {
		words[count++] = bytes + at;
		if (strstr(bytes + at, "exclude-from")) { /* would read any file, or a terminal */
			free(bytes);
			return -1;
		}
	}
	struct spec spec;
	struct option_common common = {0};
	struct vega_error err = {0};
	struct option_table tables[] = {
	        [SPEC_TABLES] = {option_common_rows, option_common_count, &common}};
	spec_init(&spec);
	spec_tables(&spec, tables);
	int rc = spec_parse_argv(&spec, tables, SPEC_TABLES + 1, NULL, count, words, &err);
	if (rc == 0) {
		must_return(&spec);
	} else {
		must_explain(rc, &err);
	}
	spec_release(&spec);
	free(bytes);
	return 0;
}
