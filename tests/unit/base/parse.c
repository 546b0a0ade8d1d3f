/* Numbers, sizes, durations and times as people type them, and as they are shown. */
#include "base/parse.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

typedef int parse_value(const char *text, uint64_t *value, struct vega_error *err);

struct number_case {
	const char *text;
	uint64_t value;
};

static void accepts(parse_value *parse, const struct number_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 1234567;
		struct vega_error err = {.text = ""};
		int rc = parse(cases[i].text, &value, &err);
		ok(rc == 0 && value == cases[i].value, "%s is %ju (got %ju; %s)", cases[i].text,
		        (uintmax_t)cases[i].value, (uintmax_t)value, err.text);
	}
}

static void refuses(parse_value *parse, const char *const *texts, const char *reason)
{
	for (; *texts; texts++) {
		uint64_t value = 77;
		struct vega_error err = {.text = ""};
		int rc = parse(*texts, &value, &err);
		ok(rc == VEGA_USAGE && err.code == rc && strstr(err.text, reason) && value == 77,
		        "the number '%s' is rejected (%s)", *texts, err.text);
	}
}

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define REFUSES(parse, reason, ...) refuses(parse, (const char *const[]){__VA_ARGS__, NULL}, reason)

static void test_numbers(void)
{
	static const struct number_case good[] = {
	        {"0", 0}, {"007", 7}, {"18446744073709551615", UINT64_MAX}};
	accepts(parse_u64, good, COUNT(good));
	REFUSES(parse_u64, "not a number", "", "-1", "+1", " 1", "1 ", "0x10", "1.5", "ten",
	        "99999999999999999999x");
	REFUSES(parse_u64, "too large", "18446744073709551616", "99999999999999999999");
}

static void test_sizes(void)
{
	static const struct number_case good[] = {
	        {"0", 0},
	        {"4096", 4096},
	        {"1B", 1},
	        {"1K", 1024},
	        {"1k", 1024},
	        {"1KiB", 1024},
	        {"1kib", 1024},
	        {"1KB", 1000},
	        {"2M", 2 << 20},
	        {"1MB", 1000000},
	        {"1.5GiB", 1610612736},
	        {"0.5K", 512},
	        {"0.1K", 102},
	        {"1.000000000000000001E", 1152921504606846977},
	        {"15.999E", 18445591152204944769u},
	        {"16383P", UINT64_C(16383) << 50},
	        {"18EB", 18000000000000000000u},
	        {"18446744073709551615", UINT64_MAX},
	};
	accepts(parse_size, good, COUNT(good));
	REFUSES(parse_size, "not a size", "", "K", "12Q", "-1", "1.5", "1.5B", "1.K", ".5K", "1 K",
	        "1KK", "1Ki", "1iB", "1e3", "0x10", "1,5K");
	REFUSES(parse_size, "too large", "16E", "18446744073709551616", "18.5EB", "99999999P");

	struct vega_error err;
	uint64_t value;
	char longer[3000];
	memset(longer, '9', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	parse_size(longer, &value, &err);
	ok(strstr(err.text, "too large"), "a long text does not hide the reason");
	parse_size("12Q", &value, &err);
	is_str(err.text, "12Q: not a size; use e.g. 4096, 10K, 1.5GiB",
	        "the error of a size names the forms");
}

static void test_durations(void)
{
	static const struct number_case good[] = {
	        {"0s", 0},
	        {"250ms", 250000000},
	        {"90s", 90000000000},
	        {"90sec", 90000000000},
	        {"90min", 5400000000000},
	        {"2h", 7200000000000},
	        {"7d", 604800000000000},
	        {"3w", 1814400000000000},
	        {"6month", 15552000000000000},
	        {"1y", 31536000000000000},
	        {"1h30min", 5400000000000},
	        {"1h30m", 5400000000000},
	        {"7days", 604800000000000},
	        {"2weeks", 1209600000000000},
	        {"1mo", 2592000000000000},
	        {"1year2months3weeks4days5hours6minutes7seconds", 38898367000000000},
	        {"1.5h", 5400000000000},
	        {"584y", 584 * UINT64_C(31536000000000000)},
	};
	accepts(parse_duration, good, COUNT(good));
	REFUSES(parse_duration, "needs a unit", "5", "1h5");
	REFUSES(parse_duration, "ambiguous", "7m", "1d7m", "1h7s7m");
	REFUSES(parse_duration, "not a length of time", "", "h", "1 h", "-1h", "1H", "1D", "1min ",
	        "1x", "1h,", "1hmin");
	REFUSES(parse_duration, "too long", "585y", "584y584y", "99999999999999999999s");
}

static struct vega_time now = {.sec = 1000000000, .nsec = 500000000};

static void is_time(const char *text, int64_t sec, uint32_t nsec)
{
	struct vega_time when = {0};
	struct vega_error err = {.text = ""};
	int rc = parse_time(text, now, &when, &err);
	ok(rc == 0 && when.sec == sec && when.nsec == nsec, "%s is %jd.%09u (got %jd.%09u; %s)",
	        text, (intmax_t)sec, nsec, (intmax_t)when.sec, when.nsec, err.text);
}

static void is_no_time(const char *text, const char *reason)
{
	struct vega_time when = {.sec = 5};
	struct vega_error err = {.text = ""};
	int rc = parse_time(text, now, &when, &err);
	ok(rc == VEGA_USAGE && strstr(err.text, reason) && when.sec == 5,
	        "the time '%s' is rejected (%s)", text, err.text);
}

static void test_times(void)
{
	is_time("2026-01-31T12:00:00Z", 1769860800, 0);
	is_time("2026-01-31t12:00:00.25z", 1769860800, 250000000);
	is_time("2026-01-31T12:00:00+02:00", 1769853600, 0);
	is_time("2026-01-31T12:00:00-00:30", 1769862600, 0);
	is_time("1969-12-31T23:59:59.5Z", -1, 500000000);
	is_time("2000-02-29T00:00:00Z", 951782400, 0);
	is_time("9999-12-31T23:59:59Z", 253402300799, 0);
	is_time("0000-01-01T00:00:00Z", -62167219200, 0);
	is_time("@0", 0, 0);
	is_time("@1767225600.000000001", 1767225600, 1);
	is_time("@-2.25", -2, 250000000);
	is_time("@9223372036854775807", INT64_MAX, 0);
	is_time("7d", 1000000000 - 604800, 500000000);
	is_time("600ms", 999999999, 900000000);
	is_time("2 days ago", 1000000000 - 2 * 86400, 500000000);
	is_time("1 hour 30 minutes ago", 1000000000 - 5400, 500000000);
	is_time("1h30m", 1000000000 - 5400, 500000000);
	is_time("2026-01-31T12:00Z", 1769860800, 0);
	is_time("2026-01-31 12:00+02:00", 1769853600, 0);
	is_time("today", 999993600, 0);
	is_time("yesterday", 999907200, 0);
	is_time("tomorrow", 1000080000, 0);

	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	is_time("2026-01-31", 1769814000, 0);
	is_time("2026-07-01T00:00:00", 1782856800, 0);
	is_time("2026-07-01 00:00", 1782856800, 0);
	is_time("today", 999986400, 0);
	setenv("TZ", "UTC", 1);
	tzset();
	is_time("2026-01-31", 1769817600, 0);

	is_no_time("2026-02-29", "not a time");
	is_no_time("2026-13-01", "not a time");
	is_no_time("2026-1-1", "not a time");
	is_no_time("2026-01-31T24:00:00Z", "not a time");
	is_no_time("2026-01-31T12Z", "not a time");
	is_no_time("2026-01-31T12:0", "not a time");
	is_no_time("2026-01-31T12:00:00.Z", "not a time");
	is_no_time("2026-01-31T12:00:00Zx", "not a time");
	is_no_time("@", "not a time");
	is_no_time("@1x", "not a time");
	is_no_time("@9223372036854775808", "not a time");
	is_no_time("yesterdays", "not a time");
	is_no_time("1 2 days ago", "not a length of time");
	is_no_time("2 days hence", "not a length of time");
	is_no_time("2 days  ago ", "not a length of time");
	is_no_time("", "not a time");
	is_no_time("7", "needs a unit");
	is_no_time("7m", "ambiguous");
	is_no_time("./no such file", "No such file");

	char path[] = "/tmp/vega-parse-XXXXXX";
	int fd = mkstemp(path);
	struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = -7, .tv_nsec = 123}};
	ok(fd >= 0 && futimens(fd, times) == 0, "a file with a time is made");
	is_time(path, -7, 123);
	close(fd);
	unlink(path);

	struct vega_time a = {-1, 5}, b = {-1, 6}, c = {0, 0};
	ok(vega_time_compare(a, b) < 0 && vega_time_compare(c, b) > 0 &&
	                vega_time_compare(b, b) == 0,
	        "times compare by seconds, then nanoseconds");
}

static struct buf out;

static void is_size(unsigned __int128 bytes, const char *text)
{
	buf_clear(&out);
	format_size(&out, bytes);
	is_str(buf_cstr(&out), text, "a size is written as %s", text);
}

static void is_duration(uint64_t nanoseconds, const char *text)
{
	buf_clear(&out);
	format_duration(&out, nanoseconds);
	is_str(buf_cstr(&out), text, "a duration is written as %s", text);
}

/* And back. */
static void is_exact(uint64_t bytes, const char *size, uint64_t ms, const char *duration)
{
	uint64_t again = 0;
	buf_clear(&out);
	format_exact_size(&out, bytes);
	is_str(buf_cstr(&out), size, "a size is written exactly as %s", size);
	ok(parse_size(size, &again, NULL) == 0 && again == bytes,
	        "an exact size is parsed to the same number");
	buf_clear(&out);
	format_exact_duration(&out, ms);
	is_str(buf_cstr(&out), duration, "a duration is written exactly as %s", duration);
	ok(parse_duration(duration, &again, NULL) == 0 && again == ms * 1000000,
	        "an exact duration is parsed to the same number");
}

static void test_formats(void)
{
	is_size(0, "0 B");
	is_size(1023, "1023 B");
	is_size(1024, "1.0 KiB");
	is_size(1536, "1.5 KiB");
	is_size(1023 * 1024, "1023 KiB");
	is_size(1024 * 1024 - 1, "1.0 MiB");
	is_size(999 * 1024 + 1023, "1000 KiB");
	is_size(1610612736, "1.5 GiB");
	is_size((unsigned __int128)INT64_MAX * 3, "24.0 EiB");
	is_size(~(unsigned __int128)0, "268435456 QiB");

	is_duration(0, "0.00s");
	is_duration(340000000, "0.34s");
	is_duration(30000000000, "30s");
	is_duration(1050000000, "1.05s");
	is_duration(725000000000, "12min 5s");
	is_duration(3600000000000, "1h");
	is_duration(UINT64_C(273600000000000), "3d 4h");
	is_duration(UINT64_MAX, "213503d 23h");

	is_exact(0, "0", 1, "1ms");
	is_exact(1000, "1000", 1500, "1500ms");
	is_exact(1024, "1K", 61000, "61s");
	is_exact(UINT64_C(1) << 61, "2E", 5400000, "90min");
	is_exact(1536 << 20, "1536M", 7200000, "2h");
	is_exact(UINT64_MAX, "18446744073709551615", 172800000, "2d");

	static const struct {
		uint64_t count;
		const char *text;
	} counts[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}};
	for (size_t i = 0; i < COUNT(counts); i++) {
		buf_clear(&out);
		format_count(&out, counts[i].count);
		is_str(buf_cstr(&out), counts[i].text, "a count is written as %s", counts[i].text);
	}
	buf_clear(&out);
	format_count(&out, ~(unsigned __int128)0);
	is_str(buf_cstr(&out), "340,282,366,920,938,463,463,374,607,431,768,211,455",
	        "the largest count is written");
	buf_clear(&out);
	format_counted(&out, 1, "entry", "entries");
	format_counted(&out, 0, "entry", "entries");
	format_counted(&out, 1000, "entry", "entries");
	is_str(buf_cstr(&out), "1 entry0 entries1,000 entries",
	        "a noun has its singular and plural");
	buf_release(&out);
}

int main(void)
{
	test_numbers();
	test_sizes();
	test_durations();
	test_times();
	test_formats();
	return done();
}
