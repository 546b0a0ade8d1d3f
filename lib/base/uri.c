/* URLs: the parts are cut first and decoded afterwards, so that an escaped delimiter stays part
 * of the text. No error shows a password. */
#include "base/uri.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"

/* Refuses the text, with what stands before a '@' (it may hold a password) left out. */
static int refuse(struct vega_error *err, const char *text, const char *reason)
{
	const char *slashes = strstr(text, "://");
	const char *at = strrchr(text, '@');
	if (slashes && at && at > slashes) {
		return vega_fail(err, VEGA_USAGE, "%.*s***%.200s: %s", (int)(slashes + 3 - text),
		        text, at, reason);
	}
	return vega_fail(err, VEGA_USAGE, "%.200s: %s", *text ? text : "''", reason);
}

enum part { PART_OK, PART_MALFORMED, PART_NOMEM };

/* A decoded copy of len bytes. "%00" is malformed: the parts are C strings. */
static enum part decode(const char *from, size_t len, char **out)
{
	char *copy = malloc(len + 1);
	size_t used = 0;
	if (!copy) {
		return PART_NOMEM;
	}
	for (size_t i = 0; i < len; i++) {
		copy[used] = from[i];
		if (from[i] == '%') {
			int high = len - i > 2 ? hex_digit(from[i + 1]) : -1;
			int low = len - i > 2 ? hex_digit(from[i + 2]) : -1;
			if (high < 0 || low < 0 || high + low == 0) {
				free(copy);
				return PART_MALFORMED;
			}
			copy[used] = (char)(high << 4 | low);
			i += 2;
		}
		used++;
	}
	copy[used] = '\0';
	*out = copy;
	return PART_OK;
}

static enum part parse_user(struct uri *uri, const char *from, size_t len)
{
	const char *colon = memchr(from, ':', len);
	size_t user = colon ? (size_t)(colon - from) : len;
	enum part part = user ? decode(from, user, &uri->user) : PART_OK;
	if (part == PART_OK && colon) {
		part = decode(colon + 1, len - user - 1, &uri->password);
	}
	return part;
}

static enum part parse_host(struct uri *uri, const char *from, size_t len)
{
	const char *end = from + len;
	const char *host = from, *host_end, *port;
	if (len && *from == '[') {
		host = from + 1;
		host_end = memchr(host, ']', len - 1);
		if (!host_end || host_end == host) {
			return PART_MALFORMED;
		}
		port = host_end + 1;
	} else {
		port = memchr(from, ':', len);
		port = port ? port : end;
		host_end = port;
	}
	if (port < end) {
		unsigned number = 0;
		if (*port++ != ':' || port == end) {
			return PART_MALFORMED;
		}
		for (; port < end; port++) {
			number = number * 10 + (unsigned)(*port - '0');
			if (!isdigit((unsigned char)*port) || number > UINT16_MAX) {
				return PART_MALFORMED;
			}
		}
		if (number == 0) {
			return PART_MALFORMED;
		}
		uri->port = (uint16_t)number;
	}
	return host_end > host ? decode(host, (size_t)(host_end - host), &uri->host) : PART_OK;
}

/* What stands behind "SCHEME://". */
static enum part parse_hierarchy(struct uri *uri, const char *from)
{
	size_t authority = strcspn(from, "/");
	const char *path = from + authority;
	const char *at = memrchr(from, '@', authority);
	const char *host = at ? at + 1 : from;
	enum part part = at ? parse_user(uri, from, (size_t)(at - from)) : PART_OK;
	if (part == PART_OK) {
		part = parse_host(uri, host, (size_t)(path - host));
	}
	if (part == PART_OK && *path) {
		path += uri->host != NULL;
		part = decode(path, strlen(path), &uri->path);
	}
	return part;
}

static size_t scheme_length(const char *text)
{
	size_t len = 0;
	while (isalnum((unsigned char)text[len]) ||
	        (len && text[len] && strchr("+-.", text[len]))) {
		len++;
	}
	return isalpha((unsigned char)*text) && text[len] == ':' ? len : 0;
}

int uri_parse(const char *text, struct uri *out, struct vega_error *err)
{
	struct uri uri = {0};
	size_t scheme = scheme_length(text);
	const char *rest = text + scheme + 1;
	*out = uri;
	if (scheme == 0) {
		return refuse(err, text, "not a URL; it begins with a scheme, as in redis://HOST");
	}
	bool hierarchy = strncmp(rest, "//", 2) == 0;
	if (hierarchy && rest[strcspn(rest, "?#")]) {
		return refuse(err, text, "a URL here has no '?' or '#' part; write %3F or %23");
	}
	uri.scheme = strndup(text, scheme);
	enum part part = uri.scheme ? PART_OK : PART_NOMEM;
	if (part == PART_OK && hierarchy) {
		part = parse_hierarchy(&uri, rest + 2);
	} else if (part == PART_OK && *rest) {
		uri.path = strdup(rest);
		part = uri.path ? PART_OK : PART_NOMEM;
	}
	if (part != PART_OK) {
		uri_release(&uri);
		return part == PART_NOMEM
		               ? vega_fail_nomem(err)
		               : refuse(err, text,
		                         "malformed; use SCHEME://[USER[:PASSWORD]@]HOST[:PORT]"
		                         "[/PATH] with % escapes");
	}
	for (char *c = uri.scheme; *c; c++) {
		*c = (char)tolower((unsigned char)*c);
	}
	*out = uri;
	return 0;
}

void uri_release(struct uri *uri)
{
	free(uri->scheme);
	free(uri->user);
	free(uri->password);
	free(uri->host);
	free(uri->path);
	*uri = (struct uri){0};
}
