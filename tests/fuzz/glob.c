/* A byte of flags, a pattern, NUL, a text: matched as the book says. */
#include "wild.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *pattern = fuzz_string(data + (size > 0), size - (size > 0));
	unsigned flags = size ? data[0] & (GLOB_FOLD | GLOB_PATHNAME) : 0;
	size_t len = strlen(pattern), rest = size > len + 1 ? size - len - 2 : 0;
	char *text = fuzz_string(data + size - rest, rest);
	struct glob *glob;
	struct vega_error err = {0};
	int rc = glob_compile(pattern, flags, &glob, &err);
	if (rc) {
		must_explain(rc, &err);
	} else {
		bool matched = glob_match(glob, text, rest);
		if (len <= WILD_PATTERN_MAX && rest <= WILD_TEXT_MAX && strlen(text) == rest) {
			must(matched == wild(pattern, text, flags), pattern, text);
		}
		glob_free(glob);
	}
	free(pattern);
	free(text);
	return 0;
}
