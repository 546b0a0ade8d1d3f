/* Errors: their texts are cut where they may be, and each code has its exit status. */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "../tap.h"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), wanted = strlen(end);
	return len >= wanted && strcmp(text + len - wanted, end) == 0;
}

static void long_texts(void)
{
	struct vega_error err;
	char name[4096];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	is_int(vega_fail_errno(&err, VEGA_FATAL, ENOENT, "cannot open %s", name), VEGA_FATAL,
	        "the code is returned");
	ok(ends_with(err.text, "…: No such file or directory"),
	        "a name that is too long is cut, its reason is not");
	vega_fail_errno(&err, VEGA_FATAL, ENOENT, "cannot open %.*s", 980, name);
	ok(ends_with(err.text, "nnn: No such file or directory"), "one that fits is not cut");
	is_int((int)strlen(err.text), 12 + 980 + 27, "and there is all of it");
}

static void odd_numbers(void)
{
	struct vega_error err;
	is_str(vega_errno_name(EACCES), "EACCES", "a known number has a name");
	is_str(vega_errno_name(4000), "E?", "an unknown number too");
	is_str(vega_errno_text(EACCES), "Permission denied", "a known number has a text");
	is_str(vega_errno_text(4000), "Unknown error", "an unknown number too");
	vega_fail_errno(&err, VEGA_FATAL, 4000, "cannot");
	is_str(err.text, "cannot: Unknown error", "also in a message");
}

int main(void)
{
	long_texts();
	odd_numbers();
	return done();
}
