/* The parts of SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH], percent-decoded. Also unix:PATH and
 * sqlite:PATH. */
#ifndef VEGA_BASE_URI_H
#define VEGA_BASE_URI_H

#include <stdint.h>

#include "base/error.h"

struct uri {
	char *scheme;          /* lower case; never NULL */
	char *user, *password; /* NULL when absent */
	char *host;            /* NULL when absent; an IPv6 address without its brackets */
	uint16_t port;         /* 0 when absent */
	char *path; /* without the leading '/' after a host; whole for SCHEME:PATH; NULL when absent
	             */
};

/* VEGA_USAGE names the text (never the password). */
int uri_parse(const char *text, struct uri *out, struct vega_error *err);
void uri_release(struct uri *uri);

#endif
