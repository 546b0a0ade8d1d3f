/* format_time() against the C library, and where that cannot follow. */
#include "../tap.h"

#include <time.h>

#include "base/parse.h"

static const char *text_of(int64_t sec, uint32_t nsec)
{
	static struct buf out = BUF_INIT;
	buf_clear(&out);
	format_time(&out, (struct vega_time){sec, nsec});
	return buf_cstr(&out);
}

/* Every 86,399th second of ten thousand years: each day nearly, and each second of a day. */
static void test_all_days(void)
{
	size_t wrong = 0;
	for (int64_t sec = -62167219200; sec <= 253402300799; sec += 86399) {
		char wanted[32];
		struct tm tm;
		time_t when = (time_t)sec;
		gmtime_r(&when, &tm);
		/* strftime's %Y has no leading zeros. */
		snprintf(wanted, sizeof wanted, "%04d", tm.tm_year + 1900);
		strftime(wanted + 4, sizeof wanted - 4, "-%m-%dT%H:%M:%SZ", &tm);
		const char *got = text_of(sec, 0);
		if (strcmp(got, wanted) != 0 && wrong++ == 0) {
			printf("# got %s, wanted %s\n", got, wanted);
		}
	}
	is_int(wrong, 0, "the calendar agrees with gmtime_r() from the year 0000 to 9999");
}

int main(void)
{
	test_all_days();
	is_str(text_of(0, 5), "1970-01-01T00:00:00.000000005Z", "nanoseconds have nine digits");
	is_str(text_of(-1, 999999999), "1969-12-31T23:59:59.999999999Z",
	        "nanoseconds count forward before the epoch");
	is_str(text_of(-62167219200, 0), "0000-01-01T00:00:00Z",
	        "the first year of four digits is written");
	is_str(text_of(253402300799, 0), "9999-12-31T23:59:59Z",
	        "the last year of four digits is written");
	is_str(text_of(-62167219201, 1), "@-62167219201.000000001",
	        "a year before 0000 is written in seconds");
	is_str(text_of(INT64_MAX, 0), "@9223372036854775807",
	        "the largest time is written in seconds");
	is_str(text_of(INT64_MIN, 0), "@-9223372036854775808",
	        "the least time is written in seconds");
	return done();
}
