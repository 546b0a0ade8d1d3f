/*
 * Lines of a gitignore file, the last one a path, of a directory if it ends in '/': excluded as
 * gitignore(5) says.
 */
#include "wild.h"

#include "base/ignore.h"

#define LINES_MAX 8

enum verdict { NOTHING, EXCLUDED, TAKEN_BACK };

/* The line without its trailing spaces, unless a backslash quotes them. */
static void trim(char *line)
{
	size_t len = strlen(line), kept = 0;
	len -= len && line[len - 1] == '\r';
	for (size_t i = 0; i < len; i++) {
		bool quoting = line[i] == '\\' && i + 1 < len;
		i += quoting;
		kept = line[i] != ' ' || quoting ? i + 1 : kept;
	}
	line[kept] = '\0';
}

/* What one line says of the path. */
static enum verdict judge(const char *text, const char *path, bool is_directory)
{
	char line[WILD_PATTERN_MAX + 1], *pattern = line;
	const char *name = strrchr(path, '/');
	strcpy(line, text);
	trim(line);
	if (!*line || *line == '#') {
		return NOTHING;
	}
	bool negated = *pattern == '!';
	pattern += negated;
	size_t len = strlen(pattern);
	bool directory = len && pattern[len - 1] == '/';
	pattern[len - directory] = '\0';
	if (!*pattern || (directory && !is_directory)) {
		return NOTHING;
	}
	bool matched;
	if (strchr(pattern, '/')) {
		/* git compares the bytes before the first special one as they are. */
		pattern += *pattern == '/';
		size_t plain = strcspn(pattern, "*?[\\");
		matched = strncmp(path, pattern, plain) == 0 &&
		          wild(pattern + plain, path + plain, GLOB_PATHNAME);
	} else {
		matched = wild(pattern, name ? name + 1 : path, 0);
	}
	return !matched ? NOTHING : negated ? TAKEN_BACK : EXCLUDED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *bytes = fuzz_string(data, size), *line[LINES_MAX];
	struct ignore *list = ignore_new();
	struct vega_error err = {0};
	enum verdict wanted = NOTHING;
	size_t lines = 0;
	bool usable = strlen(bytes) == size;
	for (char *rest = bytes; rest && lines < LINES_MAX;) {
		line[lines] = strsep(&rest, "\n");
		usable = strlen(line[lines++]) <= WILD_TEXT_MAX && usable;
	}
	char *path = line[--lines];
	size_t len = strlen(path);
	bool is_directory = len > 1 && path[len - 1] == '/';
	len -= is_directory;
	path[len] = '\0';
	usable = usable && len && *path != '/' && path[len - 1] != '/' && !strstr(path, "//");
	for (size_t i = 0; i < lines; i++) {
		int rc = ignore_add(list, line[i], &err);
		if (rc) {
			must_explain(rc, &err);
			usable = false;
		}
	}
	if (usable) {
		const char *slash = strrchr(path, '/');
		size_t name = slash ? (size_t)(slash + 1 - path) : 0;
		bool got = ignore_match(list, path, len, name, is_directory);
		for (size_t i = 0; i < lines; i++) {
			enum verdict now = judge(line[i], path, is_directory);
			wanted = now == NOTHING ? wanted : now;
		}
		must(got == (wanted == EXCLUDED), path, lines ? line[lines - 1] : "");
		if (ignore_names_only(list)) {
			must(ignore_match(list, path + name, len - name, 0, is_directory) == got,
			        "by its name alone", path);
		}
	}
	ignore_free(list);
	free(bytes);
	return 0;
}
