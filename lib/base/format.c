/* Values as people read them: sizes, counts and lengths of time, rounded or exact. */
#include "base/parse.h"

typedef unsigned __int128 u128;

#define SECOND UINT64_C(1000000000)

void format_size(struct buf *out, u128 bytes)
{
	static const char *const units[] = {
	        "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB", "RiB", "QiB"};
	const size_t last = sizeof units / sizeof *units - 1;
	if (bytes < 1024) {
		buf_printf(out, "%u B", (unsigned)bytes);
		return;
	}
	for (size_t i = 1;; i++) {
		unsigned shift = (unsigned)i * 10;
		u128 whole = bytes >> shift;
		u128 rest = bytes - (whole << shift), half = (u128)1 << (shift - 1);
		u128 tenths = whole * 10 + ((rest * 10 + half) >> shift);
		u128 rounded = whole + (rest >= half);
		if (rounded >= 1024 && i < last) {
			continue;
		}
		if (tenths < 10000) {
			buf_printf(out, "%u.%u %s", (unsigned)(tenths / 10),
			        (unsigned)(tenths % 10), units[i]);
		} else {
			buf_add_u128(out, rounded);
			buf_printf(out, " %s", units[i]);
		}
		return;
	}
}

void format_count(struct buf *out, u128 count)
{
	char text[56];
	size_t at = sizeof text;
	unsigned digits = 0;
	do {
		if (digits && digits % 3 == 0) {
			text[--at] = ',';
		}
		text[--at] = (char)('0' + (int)(count % 10));
		count /= 10;
		digits++;
	} while (count);
	buf_add(out, text + at, sizeof text - at);
}

void format_counted(struct buf *out, u128 count, const char *one, const char *many)
{
	format_count(out, count);
	buf_add_char(out, ' ');
	buf_add_str(out, count == 1 ? one : many);
}

void format_duration(struct buf *out, uint64_t nanoseconds)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	uint64_t seconds = nanoseconds / SECOND;
	if (seconds < 60) {
		unsigned hundredths = (unsigned)(nanoseconds % SECOND / (SECOND / 100));
		buf_add_u64(out, seconds);
		if (hundredths || seconds == 0) {
			buf_printf(out, ".%02u", hundredths);
		}
		buf_add_char(out, 's');
		return;
	}
	size_t i = 0;
	while (seconds < units[i].seconds) {
		i++;
	}
	uint64_t first = seconds / units[i].seconds;
	uint64_t second = seconds % units[i].seconds / units[i + 1].seconds;
	buf_printf(out, "%llu%s", (unsigned long long)first, units[i].name);
	if (second) {
		buf_printf(out, " %llu%s", (unsigned long long)second, units[i + 1].name);
	}
}

void format_exact_size(struct buf *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	size_t power = 0;
	while (bytes && bytes % 1024 == 0 && power < sizeof units - 1) {
		bytes /= 1024;
		power++;
	}
	buf_add_u64(out, bytes);
	if (power) {
		buf_add_char(out, units[power - 1]);
	}
}

void format_exact_duration(struct buf *out, uint64_t ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
	size_t i = 0;
	while (ms % units[i].ms) {
		i++;
	}
	buf_add_u64(out, ms / units[i].ms);
	buf_add_str(out, units[i].name);
}
