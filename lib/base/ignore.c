/* gitignore's rules: each line becomes a literal prefix and a glob for the rest, and the last
 * rule that matches decides. */
#include "base/ignore.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/glob.h"

struct rule {
	char *prefix; /* anchored rules: what the path must begin with, before glob matches the rest
	               */
	size_t prefix_len;
	struct glob *glob; /* of the last component, or of the path behind prefix; NULL: nothing */
	bool anchored;
	bool negated;
	bool directory;
};

struct ignore {
	struct rule *rules;
	size_t count, cap;
	bool anchored; /* some rule is */
};

struct ignore *ignore_new(void)
{
	return calloc(1, sizeof(struct ignore));
}

bool ignore_empty(const struct ignore *list)
{
	return list->count == 0;
}

bool ignore_names_only(const struct ignore *list)
{
	return !list->anchored;
}

static void release_rule(struct rule *rule)
{
	free(rule->prefix);
	glob_free(rule->glob);
}

void ignore_free(struct ignore *list)
{
	if (list) {
		for (size_t i = 0; i < list->count; i++) {
			release_rule(&list->rules[i]);
		}
		free(list->rules);
		free(list);
	}
}

/* The length of the line without the spaces at its end that no backslash quotes. */
static size_t trimmed_length(const char *line)
{
	size_t len = strlen(line), kept = 0;
	len -= len && line[len - 1] == '\r';
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\\' && i + 1 < len) {
			i++;
		} else if (line[i] == ' ') {
			continue;
		}
		kept = i + 1;
	}
	return kept;
}

/*
 * Split the pattern as git does: bytes that are compared as they are, up to the first special one,
 * and a glob for the rest. It matters: in "a**" followed by '/', the stars then begin the glob, and
 * span directories.
 */
static int compile_anchored(struct rule *rule, const char *pattern, struct vega_error *err)
{
	pattern += *pattern == '/';
	rule->prefix_len = strcspn(pattern, "*?[\\");
	rule->prefix = strndup(pattern, rule->prefix_len);
	if (!rule->prefix) {
		return vega_fail_nomem(err);
	}
	const char *rest = pattern + rule->prefix_len;
	return *rest ? glob_compile(rest, GLOB_PATHNAME, &rule->glob, err) : 0;
}

/* pattern: trimmed, and changed here. */
static int compile_rule(struct rule *rule, char *pattern, struct vega_error *err)
{
	if (*pattern == '!') {
		rule->negated = true;
		pattern++;
	}
	size_t len = strlen(pattern);
	if (len && pattern[len - 1] == '/') {
		rule->directory = true;
		pattern[--len] = '\0';
	}
	/* A name in any directory, which is what a pattern without a slash says too. */
	while (strncmp(pattern, "**/", 3) == 0 && pattern[3] && !strchr(pattern + 3, '/')) {
		pattern += 3;
	}
	rule->anchored = strchr(pattern, '/') != NULL;
	if (!*pattern) {
		return 0;
	}
	return rule->anchored ? compile_anchored(rule, pattern, err)
	                      : glob_compile(pattern, 0, &rule->glob, err);
}

int ignore_add(struct ignore *list, const char *line, struct vega_error *err)
{
	size_t len = trimmed_length(line);
	if (len == 0 || *line == '#') {
		return 0;
	}
	if (list->count == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 8;
		struct rule *rules = reallocarray(list->rules, cap, sizeof *rules);
		if (!rules) {
			return vega_fail_nomem(err);
		}
		list->rules = rules;
		list->cap = cap;
	}
	char *pattern = strndup(line, len);
	struct rule rule = {0};
	int code = pattern ? compile_rule(&rule, pattern, err) : vega_fail_nomem(err);
	free(pattern);
	if (code || (!rule.anchored && !rule.glob)) {
		release_rule(&rule);
		return code;
	}
	list->rules[list->count++] = rule;
	list->anchored = list->anchored || rule.anchored;
	return 0;
}

static bool rule_matches(const struct rule *rule, const char *path, size_t len, size_t name_offset)
{
	if (!rule->anchored) {
		return glob_match(rule->glob, path + name_offset, len - name_offset);
	}
	if (len < rule->prefix_len || memcmp(path, rule->prefix, rule->prefix_len) != 0) {
		return false;
	}
	size_t rest = len - rule->prefix_len;
	return rule->glob ? glob_match(rule->glob, path + rule->prefix_len, rest) : rest == 0;
}

bool ignore_match(const struct ignore *list, const char *path, size_t len, size_t name_offset,
        bool is_directory)
{
	CHECK(name_offset <= len);
	for (size_t i = list->count; i-- > 0;) {
		const struct rule *rule = &list->rules[i];
		if ((!rule->directory || is_directory) &&
		        rule_matches(rule, path, len, name_offset)) {
			return !rule->negated;
		}
	}
	return false;
}
