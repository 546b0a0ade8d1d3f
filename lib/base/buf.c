/* The growing buffer: capacity doubles up to the maximum, and the first failure sticks. Also
 * the encodings that are written often: decimal numbers, hex and base64 (RFC 4648). */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

/* Without spare room every addition comes to buf_grow(), where the failure sticks. */
static bool fail(struct buf *b)
{
	b->failed = true;
	b->cap = b->len;
	return false;
}

bool buf_grow(struct buf *b, size_t more)
{
	size_t max = b->max ? b->max : BUF_MAX;
	CHECK(b->len <= b->cap && b->cap <= max);
	CHECK(b->data || b->cap == 0);
	if (b->failed || more > max - b->len) {
		return fail(b);
	}
	size_t want = b->cap ? b->cap : 64;
	while (want - b->len < more) {
		want = want > max / 2 ? max : want * 2;
	}
	want = want < max ? want : max;
	char *data = realloc(b->data, want);
	if (!data) {
		return fail(b);
	}
	b->data = data;
	b->cap = want;
	CHECK(b->cap - b->len >= more && b->cap <= max);
	return true;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		fail(b);
	} else if (buf_reserve(b, (size_t)len + 1)) {
		vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
		b->len += (size_t)len;
	}
	va_end(again);
}

void buf_add_u128(struct buf *b, unsigned __int128 value)
{
	char digits[40];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + (int)(value % 10));
		value /= 10;
	} while (value);
	buf_add(b, digits + at, sizeof digits - at);
}

void buf_add_u64(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + (int)(value % 10));
		value /= 10;
	} while (value);
	buf_add(b, digits + at, sizeof digits - at);
}

void buf_add_hex(struct buf *b, const void *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *from = bytes;
	if (!buf_reserve(b, len * 2)) {
		return;
	}
	for (size_t i = 0; i < len; i++) {
		b->data[b->len++] = hex[from[i] >> 4];
		b->data[b->len++] = hex[from[i] & 15];
	}
}

void buf_add_base64(struct buf *b, const void *bytes, size_t len)
{
	static const char code[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *from = bytes;
	if (!buf_reserve(b, (len + 2) / 3 * 4)) {
		return;
	}
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		unsigned word = (unsigned)from[i] << 16;
		word |= left > 1 ? (unsigned)from[i + 1] << 8 : 0;
		word |= left > 2 ? (unsigned)from[i + 2] : 0;
		char *out = b->data + b->len;
		out[0] = code[word >> 18];
		out[1] = code[word >> 12 & 63];
		out[2] = left > 1 ? code[word >> 6 & 63] : '=';
		out[3] = left > 2 ? code[word & 63] : '=';
		b->len += 4;
	}
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool buf_add_base64_decoded(struct buf *b, const char *text, size_t len)
{
	size_t before = b->len, digits = len;
	while (digits && len - digits < 2 && text[digits - 1] == '=') {
		digits--;
	}
	if (len % 4 || !buf_reserve(b, len / 4 * 3)) {
		return false;
	}
	uint32_t word = 0;
	for (size_t i = 0; i < digits; i++) {
		int digit = base64_digit(text[i]);
		if (digit < 0) {
			b->len = before;
			return false;
		}
		word = word << 6 | (uint32_t)digit;
		if (i % 4) { /* the second digit of four completes the first byte, and so on */
			b->data[b->len++] = (char)(word >> (6 - i % 4 * 2));
		}
	}
	return true;
}

const char *buf_cstr(struct buf *b)
{
	if (b->failed || !buf_reserve(b, 1)) {
		return NULL;
	}
	b->data[b->len] = '\0';
	return b->data;
}

char *buf_detach(struct buf *b)
{
	char *data = buf_cstr(b) ? b->data : NULL;
	if (data) {
		*b = (struct buf){.max = b->max};
	} else {
		buf_release(b);
	}
	return data;
}
