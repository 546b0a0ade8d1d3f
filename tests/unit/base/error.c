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
	        "vega_fail_errno returns the code");
	ok(ends_with(err.text, "…: No such file or directory"),
	        "a message cuts a long name, not its reason");
	vega_fail_errno(&err, VEGA_FATAL, ENOENT, "cannot open %.*s", 980, name);
	ok(ends_with(err.text, "nnn: No such file or directory"),
	        "a message keeps a name that fits");
	is_int((int)strlen(err.text), 12 + 980 + 27, "a message with a name that fits is whole");
}

static void odd_numbers(void)
{
	struct vega_error err;
	is_str(vega_errno_name(EACCES), "EACCES", "a known errno has its name");
	is_str(vega_errno_name(4000), "E?", "an unknown errno has a name");
	is_str(vega_errno_text(EACCES), "Permission denied", "a known errno has its text");
	is_str(vega_errno_text(4000), "Unknown error", "an unknown errno has a text");
	vega_fail_errno(&err, VEGA_FATAL, 4000, "cannot");
	is_str(err.text, "cannot: Unknown error", "a message has the text of an unknown errno");
}

int main(void)
{
	long_texts();
	odd_numbers();
	return done();
}
