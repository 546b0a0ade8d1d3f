/* A URL comes back from its parts as it was, and what is refused does not show a password. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/uri.h"

static void add_encoded(struct buf *out, const char *text, const char *as_is)
{
	for (; *text; text++) {
		if (strchr(as_is, *text)) {
			buf_add_char(out, *text);
		} else {
			buf_printf(out, "%%%02x", (unsigned char)*text);
		}
	}
}

/* Every byte of every part encoded, but what would not be the same then. */
static void rebuild(struct buf *out, const struct uri *uri)
{
	buf_printf(out, "%s://", uri->scheme);
	if (uri->user) {
		add_encoded(out, uri->user, "");
	}
	if (uri->password) {
		buf_add_char(out, ':');
		add_encoded(out, uri->password, "");
	}
	if (uri->user || uri->password) {
		buf_add_char(out, '@');
	}
	if (uri->host) {
		add_encoded(out, uri->host, "");
	}
	if (uri->port) {
		buf_printf(out, ":%u", uri->port);
	}
	if (uri->path) {
		buf_add_str(out, uri->host ? "/" : "");
		add_encoded(out, uri->path, "/");
	}
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What stands before the last '@', unless it stands elsewhere too; a reason follows behind ": ". */
static void must_hide(const char *text, const struct vega_error *err)
{
	const char *slashes = strstr(text, "://"), *at = strrchr(text, '@');
	while (slashes && at && at > slashes + 3 && at[-1] == ':') {
		at--;
	}
	if (!slashes || !at || at < slashes + 3 + 8) {
		return;
	}
	char *secret = strndup(slashes + 3, (size_t)(at - slashes - 3));
	bool elsewhere = strstr(text, secret) != slashes + 3 || strstr(slashes + 4, secret);
	must(elsewhere || !strstr(err->text, secret), "shows a password", err->text);
	free(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct uri uri, again;
	struct vega_error err = {0};
	int rc = uri_parse(text, &uri, &err);
	if (rc) {
		must_explain(rc, &err);
		must_hide(text, &err);
		free(text);
		return 0;
	}
	must(uri.scheme[0] && !(uri.host && !*uri.host), "an empty part", text);
	if (strncmp(text + strlen(uri.scheme), "://", 3) == 0) {
		struct buf out = BUF_INIT;
		rebuild(&out, &uri);
		must(uri_parse(buf_cstr(&out), &again, &err) == 0, out.data, err.text);
		must(same(uri.scheme, again.scheme) && same(uri.user, again.user) &&
		                same(uri.password, again.password) && same(uri.host, again.host) &&
		                uri.port == again.port && same(uri.path, again.path),
		        text, out.data);
		uri_release(&again);
		buf_release(&out);
	}
	uri_release(&uri);
	free(text);
	return 0;
}
