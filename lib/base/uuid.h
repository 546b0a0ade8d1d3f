/* UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits from getrandom(). */
#ifndef VEGA_BASE_UUID_H
#define VEGA_BASE_UUID_H

#include <stdbool.h>

#define UUID_TEXT 37 /* with the NUL */
#define UUID_BYTES 16

void uuid7(char text[UUID_TEXT]);

/* Any UUID in its usual 36-character form, either case. */
bool uuid_valid(const char *text);

/* Its bytes; false, when it is none. */
bool uuid_bytes(const char *text, unsigned char bytes[UUID_BYTES]);

#endif
