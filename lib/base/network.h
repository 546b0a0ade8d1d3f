/* File systems that several hosts may have mounted at once. */
#ifndef VEGA_BASE_NETWORK_H
#define VEGA_BASE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct network_system {
	uint32_t magic; /* f_type of statfs(2) */
	const char *name;
	bool locks; /* all hosts see one host's fcntl locks, and what it has written */
};

/* NULL: of one host, for all that is known; FUSE too, which is the root of many containers. */
const struct network_system *network_system(uint32_t magic);

#endif
