/* Times as RFC 3339, without the lock that gmtime_r() takes. */
#include "base/parse.h"

#include <string.h>

/* Two decimal digits. */
static char *add_pair(char *at, unsigned value)
{
	*at++ = (char)('0' + value / 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

/*
 * The civil date of a day number since 1970-01-01, for years from 0000 on; the era arithmetic of
 * H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". Not gmtime_r(): it takes a lock that
 * all threads share.
 */
static void civil_date(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t z = (uint64_t)(days + 719468 + 146097); /* since -0400-03-01: never negative */
	uint64_t era = z / 146097;
	unsigned day_of_era = (unsigned)(z - era * 146097);
	unsigned year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
	        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned shifted = (5 * day_of_year + 2) / 153; /* March is 0 */
	*day = day_of_year - (153 * shifted + 2) / 5 + 1;
	*month = shifted < 10 ? shifted + 3 : shifted - 9;
	*year = (unsigned)(era * 400) + year_of_era + (*month <= 2) - 400;
}

static char *add_nanoseconds(char *at, uint32_t nsec)
{
	*at++ = '.';
	for (unsigned i = 9; i-- > 0; nsec /= 10) {
		at[i] = (char)('0' + nsec % 10);
	}
	return at + 9;
}

void format_time(struct buf *out, struct vega_time when)
{
	/* The years 0000 to 9999: what four digits can say. */
	if (when.sec < -62167219200 || when.sec > 253402300799) {
		buf_printf(out, "@%lld", (long long)when.sec);
		if (when.nsec) {
			buf_printf(out, ".%09u", when.nsec);
		}
		return;
	}
	int64_t days = when.sec / 86400;
	unsigned second = (unsigned)(when.sec % 86400 + 86400) % 86400;
	days -= when.sec < days * 86400;
	unsigned year, month, day;
	civil_date(days, &year, &month, &day);

	char text[40], *at = text;
	at = add_pair(add_pair(at, year / 100), year % 100);
	*at++ = '-';
	at = add_pair(at, month);
	*at++ = '-';
	at = add_pair(at, day);
	*at++ = 'T';
	at = add_pair(at, second / 3600);
	*at++ = ':';
	at = add_pair(at, second / 60 % 60);
	*at++ = ':';
	at = add_pair(at, second % 60);
	if (when.nsec) {
		at = add_nanoseconds(at, when.nsec);
	}
	*at++ = 'Z';
	buf_add(out, text, (size_t)(at - text));
}
