/* Values as people type them: numbers, sizes, durations, times. format.c and time.c write them. */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

typedef unsigned __int128 u128;

#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define DAY (24 * 60 * MINUTE)
#define FRACTION_DIGITS 18

int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

int vega_time_compare(struct vega_time a, struct vega_time b)
{
	if (a.sec != b.sec) {
		return a.sec < b.sec ? -1 : 1;
	}
	return a.nsec < b.nsec ? -1 : a.nsec > b.nsec;
}

struct vega_time vega_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (struct vega_time){.sec = now.tv_sec, .nsec = (uint32_t)now.tv_nsec};
}

/* A long text is cut, so that the reason is not. */
static int refuse(struct vega_error *err, const char *text, const char *reason)
{
	return vega_fail(err, VEGA_USAGE, "%.200s: %s", *text ? text : "''", reason);
}

/* Digits into *value; returns the first byte behind them, NULL when it does not fit. */
static const char *scan_u64(const char *s, uint64_t *value)
{
	*value = 0;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(*value, 10, value) ||
		        __builtin_add_overflow(*value, (uint64_t)(*s - '0'), value)) {
			return NULL;
		}
	}
	return s;
}

/* A number with an optional fraction, as whole + part / scale. */
struct decimal {
	uint64_t whole, part, scale;
};

enum scan { SCAN_OK, SCAN_NONE, SCAN_LARGE };

static enum scan scan_decimal(const char **text, struct decimal *number)
{
	const char *s = *text;
	*number = (struct decimal){.scale = 1};
	if (!isdigit((unsigned char)*s)) {
		return SCAN_NONE;
	}
	s = scan_u64(s, &number->whole);
	if (!s) {
		return SCAN_LARGE;
	}
	if (*s == '.') {
		const char *first = ++s;
		while (isdigit((unsigned char)*s)) {
			if (s - first >= FRACTION_DIGITS) {
				return SCAN_NONE;
			}
			number->part = number->part * 10 + (uint64_t)(*s - '0');
			number->scale *= 10;
			s++;
		}
		if (s == first) {
			return SCAN_NONE;
		}
	}
	*text = s;
	return SCAN_OK;
}

/* The number times unit, rounded down; false when it does not fit. */
static bool scale_decimal(struct decimal number, uint64_t unit, uint64_t *value)
{
	u128 product = (u128)number.whole * unit + (u128)number.part * unit / number.scale;
	*value = (uint64_t)product;
	return product <= UINT64_MAX;
}

int parse_u64(const char *text, uint64_t *value, struct vega_error *err)
{
	uint64_t number;
	const char *end = scan_u64(text, &number);
	if (!end && text[strspn(text, "0123456789")] == '\0') {
		return refuse(err, text, "too large; the most is 18446744073709551615");
	}
	if (!end || end == text || *end) {
		return refuse(err, text, "not a number; use decimal digits, e.g. 0 or 250");
	}
	*value = number;
	return 0;
}

/* The bytes in a unit, 0 when it is none. */
static uint64_t size_unit(const char *unit)
{
	static const char letters[] = "KMGTPE";
	if (!*unit || strcasecmp(unit, "B") == 0) {
		return 1;
	}
	const char *at = strchr(letters, toupper((unsigned char)*unit));
	if (!at) {
		return 0;
	}
	bool decimal = strcasecmp(unit + 1, "B") == 0;
	if (!decimal && unit[1] && strcasecmp(unit + 1, "iB") != 0) {
		return 0;
	}
	uint64_t bytes = 1;
	for (const char *step = letters; step <= at; step++) {
		bytes *= decimal ? 1000 : 1024;
	}
	return bytes;
}

int parse_size(const char *text, uint64_t *bytes, struct vega_error *err)
{
	struct decimal number;
	const char *s = text;
	enum scan scan = scan_decimal(&s, &number);
	uint64_t unit = scan == SCAN_OK ? size_unit(s) : 0;
	uint64_t value;
	if (scan == SCAN_LARGE || (unit && !scale_decimal(number, unit, &value))) {
		return refuse(err, text, "too large; the most is one byte less than 16EiB");
	}
	if (unit == 0 || (unit == 1 && number.scale > 1)) {
		return refuse(err, text, "not a size; use e.g. 4096, 10K, 1.5GiB");
	}
	*bytes = value;
	return 0;
}

#define DURATION_FORMS "use e.g. 90s, 15min, 2h, 7d, 3w, 6month, 1y"

/* The nanoseconds in the unit of len letters, 0 when it is none. Only the longer ones have a
 * plural. */
static uint64_t duration_unit(const char *unit, size_t len)
{
	len -= len > 3 && unit[len - 1] == 's';
	static const struct {
		const char *name;
		uint64_t nanoseconds;
	} units[] = {
	        {"ms", SECOND / 1000},
	        {"s", SECOND},
	        {"sec", SECOND},
	        {"second", SECOND},
	        {"min", MINUTE},
	        {"minute", MINUTE},
	        {"h", 60 * MINUTE},
	        {"hour", 60 * MINUTE},
	        {"d", DAY},
	        {"day", DAY},
	        {"w", 7 * DAY},
	        {"week", 7 * DAY},
	        {"mo", 30 * DAY},
	        {"month", 30 * DAY},
	        {"y", 365 * DAY},
	        {"year", 365 * DAY},
	};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strlen(units[i].name) == len && memcmp(units[i].name, unit, len) == 0) {
			return units[i].nanoseconds;
		}
	}
	return 0;
}

int parse_duration(const char *text, uint64_t *nanoseconds, struct vega_error *err)
{
	uint64_t total = 0, last = 0; /* the unit before */
	const char *s = text;
	do {
		struct decimal number;
		enum scan scan = scan_decimal(&s, &number);
		if (scan == SCAN_NONE) {
			return refuse(err, text, "not a length of time; " DURATION_FORMS);
		}
		size_t len = 0;
		while (isalpha((unsigned char)s[len])) {
			len++;
		}
		if (len == 0 && *s == '\0' && scan == SCAN_OK) {
			return refuse(err, text, "needs a unit; " DURATION_FORMS);
		}
		bool minutes = last == 60 * MINUTE; /* nobody writes months behind hours */
		if (len == 1 && *s == 'm' && !minutes) {
			return refuse(err, text, "'m' is ambiguous; write min or month");
		}
		uint64_t unit = len == 1 && *s == 'm' ? MINUTE : duration_unit(s, len);
		last = unit;
		if (unit == 0 && scan == SCAN_OK) {
			return refuse(err, text, "not a length of time; " DURATION_FORMS);
		}
		uint64_t step;
		if (scan == SCAN_LARGE || !scale_decimal(number, unit, &step) ||
		        __builtin_add_overflow(total, step, &total)) {
			return refuse(err, text, "too long; the most is 584 years");
		}
		s += len;
	} while (*s);
	*nanoseconds = total;
	return 0;
}

/* ".DIGITS" into nanoseconds (what is finer is cut); NULL when there are no digits. */
static const char *scan_nanoseconds(const char *s, uint32_t *nanoseconds)
{
	uint32_t digit = (uint32_t)SECOND / 10;
	*nanoseconds = 0;
	if (*s != '.') {
		return s;
	}
	if (!isdigit((unsigned char)*++s)) {
		return NULL;
	}
	for (; isdigit((unsigned char)*s); s++) {
		*nanoseconds += (uint32_t)(*s - '0') * digit;
		digit /= 10;
	}
	return s;
}

static bool parse_epoch(const char *s, struct vega_time *when)
{
	bool negative = *s == '-';
	uint64_t seconds;
	s += negative;
	if (!isdigit((unsigned char)*s)) {
		return false;
	}
	s = scan_u64(s, &seconds);
	if (!s || seconds > INT64_MAX) {
		return false;
	}
	when->sec = negative ? -(int64_t)seconds : (int64_t)seconds;
	s = scan_nanoseconds(s, &when->nsec);
	return s && *s == '\0';
}

/* Exactly `digits` digits, from least to most. */
static bool scan_field(const char **s, int digits, int least, int most, int *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++, (*s)++) {
		if (!isdigit((unsigned char)**s)) {
			return false;
		}
		*value = *value * 10 + (**s - '0');
	}
	return *value >= least && *value <= most;
}

static bool scan_byte(const char **s, const char *set)
{
	if (!**s || !strchr(set, **s)) {
		return false;
	}
	++*s;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

/* "T12:00", which may have seconds and a fraction of them. */
static bool scan_clock(const char **s, struct tm *tm, uint32_t *nanoseconds)
{
	if (!scan_byte(s, "Tt ") || !scan_field(s, 2, 0, 23, &tm->tm_hour) || !scan_byte(s, ":") ||
	        !scan_field(s, 2, 0, 59, &tm->tm_min)) {
		return false;
	}
	if (!scan_byte(s, ":")) {
		return true;
	}
	if (!scan_field(s, 2, 0, 60, &tm->tm_sec)) {
		return false;
	}
	*s = scan_nanoseconds(*s, nanoseconds);
	return *s != NULL;
}

/* "Z" or "+02:00"; without, *local stays. */
static bool scan_zone(const char **s, bool *local, int *offset)
{
	char sign = **s;
	int hours, minutes;
	if (scan_byte(s, "Zz")) {
		*local = false;
	} else if (scan_byte(s, "+-")) {
		if (!scan_field(s, 2, 0, 23, &hours) || !scan_byte(s, ":") ||
		        !scan_field(s, 2, 0, 59, &minutes)) {
			return false;
		}
		*offset = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
		*local = false;
	}
	return true;
}

/* RFC 3339, or without its zone, its seconds or its time of day. */
static bool parse_date(const char *s, struct vega_time *when)
{
	struct tm tm = {.tm_isdst = -1, .tm_wday = -1};
	int year, month, offset = 0;
	bool local = true;
	if (!scan_field(&s, 4, 0, 9999, &year) || !scan_byte(&s, "-") ||
	        !scan_field(&s, 2, 1, 12, &month) || !scan_byte(&s, "-") ||
	        !scan_field(&s, 2, 1, days_in_month(year, month), &tm.tm_mday)) {
		return false;
	}
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	when->nsec = 0;
	if (*s && (!scan_clock(&s, &tm, &when->nsec) || !scan_zone(&s, &local, &offset))) {
		return false;
	}
	if (*s) {
		return false;
	}
	time_t seconds = local ? mktime(&tm) : timegm(&tm);
	when->sec = (int64_t)seconds - offset;
	return tm.tm_wday >= 0;
}

/* A day by its name: its midnight here, as that of a date. */
static bool parse_day(const char *text, struct vega_time now, struct vega_time *when)
{
	static const char *const names[] = {"yesterday", "today", "tomorrow"};
	for (int day = 0; day < 3; day++) {
		time_t seconds = (time_t)now.sec;
		struct tm tm;
		if (strcmp(text, names[day]) == 0 && localtime_r(&seconds, &tm)) {
			struct tm midnight = {.tm_year = tm.tm_year,
			        .tm_mon = tm.tm_mon,
			        .tm_mday = tm.tm_mday + day - 1,
			        .tm_isdst = -1,
			        .tm_wday = -1};
			*when = (struct vega_time){.sec = (int64_t)mktime(&midnight)};
			return midnight.tm_wday >= 0;
		}
	}
	return false;
}

/* "2 days ago" as "2days", which parse_duration() takes; false: it is too long, or "1 2 days". */
#define AGE_MAX 64
static bool squeeze_age(const char *text, char age[static AGE_MAX])
{
	size_t len = strlen(text), out = 0;
	len -= len > 4 && strcmp(text + len - 4, " ago") == 0 ? 4 : 0;
	for (size_t i = 0; i < len; i++) {
		bool space = text[i] == ' ';
		if (out + 1 >= AGE_MAX ||
		        (space && (i == 0 || isdigit((unsigned char)text[i - 1])) &&
		                !isalpha((unsigned char)text[i + 1]))) {
			return false;
		}
		if (!space) {
			age[out++] = text[i];
		}
	}
	age[out] = '\0';
	return true;
}

static struct vega_time before(struct vega_time now, uint64_t nanoseconds)
{
	now.sec -= (int64_t)(nanoseconds / SECOND);
	uint32_t part = (uint32_t)(nanoseconds % SECOND);
	if (now.nsec < part) {
		now.sec--;
		now.nsec += (uint32_t)SECOND;
	}
	now.nsec -= part;
	return now;
}

int parse_time(
        const char *text, struct vega_time now, struct vega_time *when, struct vega_error *err)
{
	static const char reason[] =
	        "not a time; use e.g. 2026-01-31, 2026-01-31T12:00, yesterday, "
	        "@1767225600, an age such as 7d, or ./FILE";
	struct vega_time result;
	if (strchr(text, '/')) {
		struct stat st;
		if (stat(text, &st) < 0) {
			return vega_fail_errno(err, VEGA_USAGE, errno, "%s", text);
		}
		*when = (struct vega_time){
		        .sec = st.st_mtim.tv_sec, .nsec = (uint32_t)st.st_mtim.tv_nsec};
		return 0;
	}
	if (*text == '@' ? parse_epoch(text + 1, &result)
	                 : parse_date(text, &result) || parse_day(text, now, &result)) {
		*when = result;
		return 0;
	}
	if (!isdigit((unsigned char)*text) || strchr(text, '-')) {
		return refuse(err, text, reason);
	}
	uint64_t age;
	char spelled[AGE_MAX];
	int code = parse_duration(squeeze_age(text, spelled) ? spelled : text, &age, err);
	if (code == 0) {
		*when = before(now, age);
	}
	return code;
}
