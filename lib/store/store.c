/* The registry of stores: which driver a URL names, and where the default store is. */

#include "store/store.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct store_driver *const stores[] = {&store_sqlite, &store_postgres, NULL};

static const struct store_driver *driver_for(const char *url)
{
	for (size_t i = 0; stores[i]; i++) {
		size_t len = strlen(stores[i]->scheme);
		if (strncmp(url, stores[i]->scheme, len) == 0 && url[len] == ':') {
			return stores[i];
		}
	}
	if (strncmp(url, "postgres://", strlen("postgres://")) == 0 || strchr(url, '=')) {
		return &store_postgres;
	}
	return NULL;
}

/* The driver, and in `*url` what names the store; NULL was VEGA_STORE or the default, which is
 * `*made`. */
static int choose(
        const char **url, char **made, const struct store_driver **driver, struct vega_error *err)
{
	*url = *url ? *url : getenv("VEGA_STORE");
	if (!*url || !**url) {
		char *path = store_state_path("jobs.db");
		if (!path || asprintf(made, "sqlite:%s", path) < 0) {
			*made = NULL;
			free(path);
			return vega_fail(err, VEGA_FATAL,
			        "no home directory for the job store; set VEGA_STORE=sqlite:PATH");
		}
		free(path);
		*url = *made;
	}
	*driver = driver_for(*url);
	/* Of what is not understood only the scheme is shown: a password may follow. */
	return *driver ? 0
	               : vega_fail(err, VEGA_USAGE,
	                         "'%.*s' is no store; say sqlite:PATH or postgresql://…",
	                         (int)strcspn(*url, ":"), *url);
}

int store_open(const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	char *made = NULL;
	const struct store_driver *driver;
	int code = choose(&url, &made, &driver, err);
	code = code ? code : driver->open(url, timeout_ms, out, err);
	free(made);
	return code;
}

int store_is_shared(const char *url, struct buf *culprit, struct vega_error *err)
{
	char *made = NULL;
	const struct store_driver *driver;
	int code = choose(&url, &made, &driver, err);
	code = code ? code : driver->shared(url, culprit, err);
	free(made);
	return code;
}

char *store_state_path(const char *below)
{
	char *path = NULL;
	const char *state = getenv("XDG_STATE_HOME");
	if (state && state[0] == '/') {
		return asprintf(&path, "%s/vega/%s", state, below) < 0 ? NULL : path;
	}
	const char *home = getenv("HOME");
	if (!home || home[0] != '/') {
		const struct passwd *user = getpwuid(geteuid());
		home = user ? user->pw_dir : NULL;
	}
	if (!home || asprintf(&path, "%s/.local/state/vega/%s", home, below) < 0) {
		return NULL;
	}
	return path;
}
