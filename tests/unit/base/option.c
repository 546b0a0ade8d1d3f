/* Option tables: what is parsed, what is refused and how, and what --help says. */
#include "base/option.h"

#include <stdlib.h>

#include "../tap.h"

static const char *const colors[] = {"", "red", "green", "blue", NULL};
static const char *const kinds[] = {"?", "f", "d", "l", NULL};

struct settings {
	bool all;
	unsigned verbose;
	struct option_number count, size, age;
	struct option_time since;
	char *out, *map;
	struct strlist names;
	unsigned color;
	uint32_t kinds;
	bool hidden;
};

#define FIELD(member) .offset = offsetof(struct settings, member)

static const struct option_row rows[] = {
        {"all", 'a', OPT_FLAG, FIELD(all), 0, NULL, NULL, "Which", "take all"},
        {"verbose", 'v', OPT_COUNT, FIELD(verbose), 0, NULL, NULL, "Which", "say more"},
        {"count", 'n', OPT_NUMBER, FIELD(count), 0, "N", NULL, "Which", "take N"},
        {"max-size", 0, OPT_SIZE, FIELD(size), 0, "SIZE", NULL, "Which",
                "at most SIZE bytes, which is a sentence long enough to be wrapped to two lines"},
        {"age", 0, OPT_DURATION, FIELD(age), 0, "AGE", NULL, "Other things", "no older than AGE"},
        {"since", 's', OPT_TIME, FIELD(since), 0, "TIME", NULL, "Other things", "since TIME"},
        {"out", 'o', OPT_TEXT, FIELD(out), 0, "FILE", NULL, "Other things", "write to FILE"},
        {"map", 0, OPT_TEXT, FIELD(map), 0, "[=MAP]", NULL, "Other things", "by MAP"},
        {"name", 'e', OPT_LIST, FIELD(names), 0, "GLOB", NULL, "Other things", "named GLOB"},
        {"color", 'c', OPT_CHOICE, FIELD(color), 0, NULL, colors, "Other things", "in this color"},
        {"kind-of-the-entry-to-take", 't', OPT_CHOICES, FIELD(kinds), 0, "KIND", kinds,
                "Other things", "of these kinds"},
        {"secret", 0, OPT_FLAG, FIELD(hidden), 0, NULL, NULL, "Which", NULL},
};
#define ROWS (sizeof rows / sizeof *rows)

static struct settings settings;
static struct option_common common;
static struct option_table tables[2];
static char **operands;
static size_t operand_count;
static int rest;
static struct option_given given;
static struct vega_error err;

static void reset(void)
{
	option_release(rows, ROWS, &settings);
	settings = (struct settings){0};
	common = (struct option_common){0};
	tables[0] = (struct option_table){rows, ROWS, &settings};
	tables[1] = (struct option_table){option_common_rows, option_common_count, &common};
	free(operands);
	operands = NULL;
	free(given.rows);
	given = (struct option_given){0};
	err = (struct vega_error){.text = ""};
}

/* Parse words that are separated by spaces; "_" is an empty one. */
static int parse(const char *line, bool want_rest)
{
	static char copy[8192];
	static char *argv[64];
	int argc = 1;
	reset();
	argv[0] = copy;
	snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		argv[argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
	}
	argv[argc] = NULL;
	return option_parse(tables, 2, argc, argv, &operands, &operand_count,
	        want_rest ? &rest : NULL, &given, &err);
}

static void refused(const char *line, const char *text)
{
	int rc = parse(line, false);
	is_int(rc, VEGA_USAGE, "'%s' is rejected", line);
	is_str(err.text, text, "a rejected option names the fault");
	ok(!operands && !given.rows, "a rejected command line leaves nothing to free");
}

static void test_values(void)
{
	is_int(parse("-avvn5 x --max-size=1.5K --age 2h -s @7 -oF --name A -eB y -c green -t f,l "
	             "-td "
	             "--verbose -",
	               false),
	        0, "options of all kinds are parsed (%s)", err.text);
	ok(settings.all, "a flag is set");
	is_int(settings.verbose, 3, "a count is the number of repetitions");
	ok(settings.count.set && settings.count.value == 5, "a number is parsed in a cluster");
	is_int(settings.size.value, 1536, "a size is parsed");
	is_int(settings.age.value, 7200000000000, "a duration is parsed");
	ok(settings.since.set && settings.since.value.sec == 7, "a time is parsed");
	is_str(settings.out, "F", "a text is parsed");
	ok(settings.names.count == 2 && strcmp(settings.names.items[1], "B") == 0,
	        "a list has all its values");
	is_int(settings.color, 2, "a choice is parsed");
	is_int(settings.kinds, 1 << 1 | 1 << 2 | 1 << 3, "choices are parsed as a set");
	ok(operand_count == 3 && strcmp(operands[0], "x") == 0 && strcmp(operands[2], "-") == 0,
	        "operands between options, and a lone '-', are kept");
	ok(given.count == 14 && given.rows[0] == &rows[0] && given.rows[13] == &rows[1],
	        "the given rows are listed in order");

	parse("-n1 -n2 -oA -oB --color red --color=blue", false);
	ok(settings.count.value == 2 && settings.color == 3,
	        "the last value of a number or choice wins");
	is_str(settings.out, "B", "the last value of a text wins");
	is_int(parse("-o _ -e -x --name=", false), 0,
	        "values that are empty or begin with '-' are accepted");
	is_str(settings.out, "", "an empty value is kept");
	is_str(settings.names.items[0], "-x", "a value that begins with '-' is kept");
	is_int(parse("--map x", false), 0, "an optional value may be omitted");
	is_str(settings.map, "", "an omitted optional value is empty");
	is_int(operand_count, 1, "an omitted optional value does not take the next word");
	is_int(parse("--map --map=x", false), 0, "an optional value may be given");
	is_str(settings.map, "x", "an optional value is taken after '='");
	is_int(parse("-h --version --vega-options", false), 0, "the common options are parsed");
	ok(common.help && common.version && common.describe, "the common options are set");
}

static void test_rest(void)
{
	parse("x -a -- -n y", false);
	ok(operand_count == 3 && strcmp(operands[1], "-n") == 0, "words after -- are operands");
	parse("x -a -- cmd -n -- y", true);
	ok(operand_count == 1 && rest == 4, "words after -- are left alone on request");
	parse("x -a", true);
	is_int(rest, 3, "the rest begins at the end without --");
	parse("-o -- x", true);
	is_str(settings.out, "--", "-- is accepted as a value");
}

static void test_refused(void)
{
	refused("--max-size 12Q", "--max-size 12Q: not a size; use e.g. 4096, 10K, 1.5GiB");
	refused("--max-size=_", "--max-size _: not a size; use e.g. 4096, 10K, 1.5GiB");
	refused("--maxsize 3", "unknown option --maxsize; did you mean --max-size?");
	refused("--max_size=3", "unknown option --max_size; did you mean --max-size?");
	refused("--cuont 3", "unknown option --cuont; did you mean --count?");
	refused("--kind f", "unknown option --kind; did you mean --kind-of-the-entry-to-take?");
	refused("--secre", "unknown option --secre");
	refused("--vega-option", "unknown option --vega-option");
	refused("--zzz", "unknown option --zzz");
	refused("--=3", "unknown option --");
	refused("-q", "unknown option -q");
	refused("-aq", "unknown option -q in -aq");
	refused("--nax-size 3", "unknown option --nax-size; did you mean --max-size?");
	refused("--min-size 3", "unknown option --min-size"); /* not --max-size */
	refused("--no-all", "unknown option --no-all");
	refused("-h host -q", "unknown option -q");
	ok(!common.help, "-h does not count beside an error");
	refused("-print0", "unknown option -p in -print0");
	refused("-name x", "-name: long options have two dashes; write --name");
	refused("-a -n", "--count needs a value (N)");
	refused("--color", "--color needs a value (choice)");
	refused("--all=yes", "--all takes no value");
	refused("-n -1", "--count -1: not a number; use decimal digits, e.g. 0 or 250");
	refused("--color mauve", "--color mauve: not one of red, green, blue");
	refused("--color=", "--color '': not one of red, green, blue");
	refused("-t f,,d", "--kind-of-the-entry-to-take '': not one of f, d, l");
	refused("-t ?", "--kind-of-the-entry-to-take ?: not one of f, d, l");
	refused("--since 7m", "--since 7m: 'm' is ambiguous; write min or month");

	char line[5000] = "--";
	memset(line + 2, 'x', sizeof line - 3);
	is_int(parse(line, false), VEGA_USAGE, "a very long option is rejected");
	ok(strlen(err.text) < 300, "the error cuts a very long option");
	parse("--since ./no-such", false);
	is_str(err.text, "--since ./no-such: No such file or directory",
	        "a missing reference file is named");
}

static void test_set(void)
{
	reset();
	is_int(option_set(&rows[0], &settings, "true", &err), 0, "a flag is set by a text");
	ok(settings.all, "the text true sets a flag");
	is_int(option_set(&rows[0], &settings, "false", &err), 0, "a flag is reset by a text");
	ok(!settings.all, "the text false resets a flag");
	is_int(option_set(&rows[0], &settings, "1", &err), VEGA_USAGE,
	        "a flag rejects other texts");
	is_int(option_set(&rows[1], &settings, "7", &err), 0, "a count is set by a text");
	is_int(settings.verbose, 7, "a count set by a text is that number");
	settings.size.value = 9;
	is_int(option_set(&rows[3], &settings, "1Q", &err), VEGA_USAGE,
	        "a malformed size is rejected");
	ok(settings.size.value == 9 && !settings.size.set, "a rejected value changes nothing");
	is_int(option_set(&rows[9], &settings, "f,x", &err), VEGA_USAGE,
	        "a malformed choice among two is rejected");
	is_int(settings.kinds, 0, "a rejected choice sets none of the two");
}

static void test_help(void)
{
	static const struct option_row shared[] = {
	        {"last", 0, OPT_FLAG, 0, 0, NULL, NULL, "Which", "the last one"}};
	struct option_table both[] = {{rows, ROWS, NULL}, {shared, 1, NULL}};
	struct buf out = BUF_INIT;
	option_help(&out, both, 2, 60);
	is_str(buf_cstr(&out),
	        "Which:\n"
	        "  -a, --all                   take all\n"
	        "  -v, --verbose               say more\n"
	        "  -n, --count N               take N\n"
	        "      --max-size SIZE         at most SIZE bytes, which is a\n"
	        "                              sentence long enough to be\n"
	        "                              wrapped to two lines\n"
	        "      --last                  the last one\n"
	        "\n"
	        "Other things:\n"
	        "      --age AGE               no older than AGE\n"
	        "  -s, --since TIME            since TIME\n"
	        "  -o, --out FILE              write to FILE\n"
	        "      --map[=MAP]             by MAP\n"
	        "  -e, --name GLOB             named GLOB\n"
	        "  -c, --color red|green|blue  in this color\n"
	        "  -t, --kind-of-the-entry-to-take KIND\n"
	        "                              of these kinds\n",
	        "help is aligned, wrapped, and by heading, without hidden rows");
	unsigned overfull = 0;
	for (unsigned width = 1; width < 200; width++) {
		buf_clear(&out);
		option_help(&out, both, 2, width);
		for (const char *line = buf_cstr(&out); *line; line += strcspn(line, "\n") + 1) {
			size_t len = strcspn(line, "\n");
			overfull += width >= 40 && len > width;
		}
	}
	is_int(overfull, 0, "no line of help is wider than the terminal");
	buf_clear(&out);
	option_describe(&out, both, 2);
	ok(strstr(buf_cstr(&out), "Which\tall\ta\tflag\t-\t-\ttake all\n") == out.data,
	        "--vega-options describes a row in columns");
	ok(strstr(out.data, "\nOther things\tcolor\tc\tchoice\t-\tred,green,blue\tin this color\n"),
	        "--vega-options lists the choices of a row");
	ok(!strstr(out.data, "secret"), "--vega-options omits hidden rows");
	buf_release(&out);
}

int main(void)
{
	test_values();
	test_rest();
	test_refused();
	test_set();
	test_help();
	reset();
	return done();
}
