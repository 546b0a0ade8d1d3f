/* Near misses: the option that somebody meant who wrote a name that no table has. */
#include <ctype.h>

#include "base/option_internal.h"

/* The letters of a name, at most OPTION_NAME_MAX: "max-size", "maxsize" and "Max_Size" are one. */
static size_t letters(const char *name, char out[static OPTION_NAME_MAX])
{
	size_t count = 0;
	for (; *name && count < OPTION_NAME_MAX; name++) {
		if (*name != '-' && *name != '_') {
			out[count++] = (char)tolower((unsigned char)*name);
		}
	}
	return count;
}

/* Edit distance with transpositions of neighbours (optimal string alignment; Damerau 1964). */
unsigned option_distance(const char *a, const char *b)
{
	char left[OPTION_NAME_MAX], right[OPTION_NAME_MAX];
	unsigned rows[OPTION_NAME_MAX + 1][OPTION_NAME_MAX + 1];
	size_t n = letters(a, left), m = letters(b, right);
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			if (i == 0 || j == 0) {
				rows[i][j] = (unsigned)(i + j);
				continue;
			}
			unsigned change = rows[i - 1][j - 1] + (left[i - 1] != right[j - 1]);
			unsigned drop = rows[i - 1][j] + 1, insert = rows[i][j - 1] + 1;
			unsigned best = drop < insert ? drop : insert;
			best = change < best ? change : best;
			if (i > 1 && j > 1 && left[i - 1] == right[j - 2] &&
			        left[i - 2] == right[j - 1] && rows[i - 2][j - 2] + 1 < best) {
				best = rows[i - 2][j - 2] + 1;
			}
			rows[i][j] = best;
		}
	}
	return rows[n][m];
}

/* Beginnings of names that turn the meaning around; "": any other. */
static const char *const opposites[][2] = {
        {"in", "ex"},
        {"min", "max"},
        {"new", "old"},
        {"after", "before"},
        {"since", "until"},
        {"no-", ""},
        {"skip", "keep"},
        {"enable", "disable"},
};

/* Does one say `yes` where the other says `no`? */
static bool turns(const char *a, const char *b, const char *yes, const char *no)
{
	size_t len = strlen(yes), other = strlen(no);
	return strncmp(a, yes, len) == 0 && strncmp(b, yes, len) != 0 && strncmp(b, no, other) == 0;
}

/* "exclude" is nothing to offer for "include", however few letters differ. */
static bool opposite(const char *a, const char *b)
{
	for (size_t i = 0; i < sizeof opposites / sizeof *opposites; i++) {
		const char *yes = opposites[i][0], *no = opposites[i][1];
		if (turns(a, b, yes, no) || turns(b, a, yes, no)) {
			return true;
		}
	}
	return false;
}

unsigned option_tolerance(const char *word)
{
	size_t len = strlen(word);
	return len < 4 ? 1 : len < 8 ? 2 : 3;
}

/* What the user may have meant: the nearest name, else the only one that it begins. */
const struct option_row *option_near_miss(
        const struct option_table *tables, size_t table_count, const char *name)
{
	const struct option_row *nearest = NULL, *begins = NULL;
	size_t len = strlen(name), beginnings = 0;
	unsigned least = option_tolerance(name) + 1;
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (!row->help || opposite(name, row->name)) {
				continue;
			}
			unsigned far = option_distance(name, row->name);
			if (far < least && far < strlen(row->name)) {
				least = far;
				nearest = row;
			}
			if (len >= 2 && strncmp(row->name, name, len) == 0) {
				begins = row;
				beginnings++;
			}
		}
	}
	return beginnings == 1 ? begins : nearest;
}
