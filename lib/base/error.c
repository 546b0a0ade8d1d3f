/* Texts of errors and the exit status for each code. A text is cut to fit and kept on one line;
 * the system's reason at its end is never cut. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Names and the texts of databases may hold newlines: none at the end, a space for one within. */
static void one_line(char *text)
{
	size_t len = strlen(text);
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
		text[--len] = '\0';
	}
	for (char *c = text; *c; c++) {
		if (*c == '\n' || *c == '\r') {
			*c = ' ';
		}
	}
}

static void fill(struct vega_error *err, int code, int sys, const char *format, va_list args)
{
	CHECK(code < VEGA_OK && code >= VEGA_LOCKED);
	static const char cut[] = "…";
	const char *reason = sys ? vega_errno_text(sys) : "";
	size_t room = sizeof err->text - (sys ? strlen(": ") + strlen(reason) : 0);
	err->code = code;
	err->sys = sys;
	int used = vsnprintf(err->text, room, format, args);
	if (sys && used >= 0 && (size_t)used >= room) {
		memcpy(err->text + room - sizeof cut, cut, sizeof cut);
	}
	if (sys) {
		size_t len = strlen(err->text);
		snprintf(err->text + len, sizeof err->text - len, ": %s", reason);
	}
	one_line(err->text);
}

int vega_fail(struct vega_error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		fill(err, code, 0, format, args);
		va_end(args);
	}
	return code;
}

int vega_fail_errno(struct vega_error *err, int code, int errnum, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		fill(err, code, errnum, format, args);
		va_end(args);
	}
	return code;
}

int vega_fail_nomem(struct vega_error *err)
{
	return vega_fail(err, VEGA_NOMEM, "out of memory");
}

int vega_exit_status(int code)
{
	switch (code) {
	case VEGA_OK:
		return 0;
	case VEGA_NO:
		return 1;
	case VEGA_PARTIAL:
		return 3;
	case VEGA_JOB_FAILED:
		return 4;
	case VEGA_UNAVAILABLE:
	case VEGA_LEASE_LOST:
	case VEGA_LOCKED:
		return 5;
	default:
		return 2;
	}
}

const char *vega_errno_name(int errnum)
{
	const char *name = strerrorname_np(errnum);
	return name ? name : "E?";
}

const char *vega_errno_text(int errnum)
{
	const char *text = strerrordesc_np(errnum);
	return text ? text : "Unknown error";
}
