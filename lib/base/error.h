/*
 * One error type for the whole library.
 *
 * A call that can fail returns 0 or one of the negative codes below, and fills a `struct
 * vega_error` only when it fails. The text is one line without a newline, names the thing that
 * failed and, where there is one, the remedy; it is what the user reads after "vega-xxx: ". Only
 * cmd/ prints or exits.
 *
 * A failure to read one entry of a tree is not an error in this sense: it is data (an `error`
 * record).
 */
#ifndef VEGA_BASE_ERROR_H
#define VEGA_BASE_ERROR_H

#include <stddef.h>

enum vega_code {
	VEGA_OK = 0,
	VEGA_NO = -1,          /* the answer is no; not found                        exit 1 */
	VEGA_USAGE = -2,       /* the request is wrong, nothing was done             exit 2 */
	VEGA_FATAL = -3,       /* it cannot be done here, nothing was done           exit 2 */
	VEGA_NOMEM = -4,       /* out of memory                                      exit 2 */
	VEGA_PARTIAL = -5,     /* done, but some could not be read or written        exit 3 */
	VEGA_JOB_FAILED = -6,  /* the job waited for is FAILED or CANCELLED          exit 4 */
	VEGA_UNAVAILABLE = -7, /* store out of reach, or disk full; nothing was lost exit 5 */
	VEGA_LEASE_LOST = -8,  /* the fence: this lease is no longer ours            exit 5 */
	VEGA_INTERRUPTED = -9, /* ended by a signal; the caller exits 128 + signal          */
	VEGA_LOCKED = -10,     /* somebody keeps this row locked; not now            exit 5 */
};

struct vega_error {
	int code;        /* enum vega_code */
	int sys;         /* errno, or 0 */
	char text[1024]; /* cut, never overrun */
};

/* Fill *err (which may be NULL) and return code, so that a caller can `return vega_fail(…)`. */
int vega_fail(struct vega_error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The same with ": " and the system's text for errnum appended, which is never what is cut. */
int vega_fail_errno(struct vega_error *err, int code, int errnum, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

int vega_fail_nomem(struct vega_error *err);

/* The process exit status for a code; VEGA_INTERRUPTED is the caller's to map. */
int vega_exit_status(int code);

/* "EACCES" for EACCES; "E?" for a number without a name. Never NULL, static. */
const char *vega_errno_name(int errnum);

/* "Permission denied" for EACCES; "Unknown error" for a number without a text. Never NULL, static.
 */
const char *vega_errno_text(int errnum);

#endif
