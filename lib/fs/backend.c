#include "fs/backend.h"

#include <string.h>

#include "fs/limited.h"

const struct backend *const backends[] = {&fs_local, NULL};

int backend_for(const char *root, const struct backend **backend, struct vega_error *err)
{
	size_t scheme = strspn(root, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	const struct backend *local = fs_here();
	*backend = local;
	if (scheme == 0 || strncmp(root + scheme, "://", 3) != 0) {
		return 0;
	}
	for (size_t i = 0; backends[i]; i++) {
		if (strlen(backends[i]->scheme) == scheme &&
		        strncmp(backends[i]->scheme, root, scheme) == 0) {
			*backend = backends[i] == &fs_local ? local : backends[i];
			return 0;
		}
	}
	return vega_fail(err, VEGA_USAGE,
	        "%s: this VegaFS reads local paths only; write ./%s for a file of that name", root,
	        root);
}
