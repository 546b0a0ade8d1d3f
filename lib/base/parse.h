/*
 * The values that people type: numbers, sizes, durations, times. All are strict: the whole text
 * must be one value, a value out of range is an error, and the error names the text and the forms
 * allowed.
 */
#ifndef VEGA_BASE_PARSE_H
#define VEGA_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * A point in time: seconds since 1970 (may be negative) plus 0–999,999,999 ns. Never one 64-bit
 * count of nanoseconds: time stamps run from before 1970 to past 2262.
 */
struct vega_time {
	int64_t sec;
	uint32_t nsec;
};

/* <0, 0, >0 like strcmp. */
int vega_time_compare(struct vega_time a, struct vega_time b);
struct vega_time vega_now(void);

/* Of either case; -1 when it is none. */
int hex_digit(char c);

/* A decimal number. */
int parse_u64(const char *text, uint64_t *value, struct vega_error *err);

/*
 * Bytes: a number, which may have decimals when a unit follows. K KiB M MiB G GiB T TiB P PiB E EiB
 * are powers of 1024; KB MB GB TB PB EB powers of 1000; B or nothing means bytes. Case does not
 * matter.
 */
int parse_size(const char *text, uint64_t *bytes, struct vega_error *err);

/*
 * A length of time in nanoseconds: one or more NUMBERunit without spaces, units ms s (or sec) min h
 * d w month (or mo; 30 days) y (365 days), or second minute hour day week year; what is longer than
 * three letters has a plural. "m" alone is refused as ambiguous, but is minutes behind hours
 * ("1h30m"); a bare number is refused too.
 */
int parse_duration(const char *text, uint64_t *nanoseconds, struct vega_error *err);

/*
 * A point in time: RFC 3339 ("2026-01-31T12:00:00Z", with fractions and offsets; without an offset
 * it is local time; the seconds may be left out), "YYYY-MM-DD", "today", "yesterday" or "tomorrow"
 * (local midnight), "@SECONDS[.FRACTION]" since 1970 (SECONDS may be negative; the fraction counts
 * forward), a duration ("7d", "2 days ago": that long before now), or, when the text contains a
 * '/', the mtime of that file.
 */
int parse_time(
        const char *text, struct vega_time now, struct vega_time *when, struct vega_error *err);

/* RFC 3339 in UTC, with nanoseconds when there are any; years outside 0000–9999 as
 * "@SECONDS[.NANOS]". */
void format_time(struct buf *out, struct vega_time when);

/* "1.5 GiB", "312 B": at most 4 significant digits, powers of 1024; 128 bits because sums never
 * wrap. */
void format_size(struct buf *out, unsigned __int128 bytes);

/* "1,234,567" */
void format_count(struct buf *out, unsigned __int128 count);

/* "1 entry", "1,234,567 entries" */
void format_counted(struct buf *out, unsigned __int128 count, const char *one, const char *many);

/* "3d 4h", "12min 5s", "0.34s": the two largest units. */
void format_duration(struct buf *out, uint64_t nanoseconds);

/* "512M", "1500", "2h", "90min": exactly so much, as parse_size() and parse_duration() take it;
 * milliseconds. */
void format_exact_size(struct buf *out, uint64_t bytes);
void format_exact_duration(struct buf *out, uint64_t ms);

#endif
