/* UUIDs: version 7 is made from the clock and getrandom(2), and any version is parsed. */
#include "base/uuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/parse.h"

static bool hyphen_at(unsigned i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

void uuid7(char text[UUID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char id[UUID_BYTES];
	struct timespec now;
	/* Sixteen bytes are never cut short; without a random source no id is safe to hand out. */
	while (getrandom(id, sizeof id, 0) < 0) {
		if (errno != EINTR) {
			abort();
		}
	}
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	for (int i = 0; i < 6; i++) {
		id[i] = (unsigned char)(ms >> (40 - 8 * i));
	}
	id[6] = 0x70 | (id[6] & 0x0f);
	id[8] = 0x80 | (id[8] & 0x3f);
	for (unsigned i = 0, nibble = 0; i < UUID_TEXT - 1; i++) {
		if (hyphen_at(i)) {
			text[i] = '-';
		} else {
			text[i] = hex[id[nibble / 2] >> (nibble % 2 ? 0 : 4) & 15];
			nibble++;
		}
	}
	text[UUID_TEXT - 1] = '\0';
}

bool uuid_valid(const char *text)
{
	unsigned char bytes[UUID_BYTES];
	return uuid_bytes(text, bytes);
}

bool uuid_bytes(const char *text, unsigned char bytes[UUID_BYTES])
{
	int byte = 0;
	for (unsigned i = 0, nibble = 0; i < UUID_TEXT - 1; i++) {
		int digit = hex_digit(text[i]);
		if (hyphen_at(i) ? text[i] != '-' : digit < 0) {
			return false;
		}
		if (!hyphen_at(i)) {
			byte = nibble % 2 ? byte | digit : digit << 4;
			bytes[nibble++ / 2] = (unsigned char)byte;
		}
	}
	return text[UUID_TEXT - 1] == '\0';
}
