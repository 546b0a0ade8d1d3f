/*
 * Ignore lists: every case says what is left out of one small tree, and git, asked about the same
 * tree with the same patterns, must agree. git is required here: without it the test fails.
 */
#include "base/ignore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

#include "../tap.h"

/* A tree; '/' at the end marks a directory. Parents come before what they hold. */
static const char *const tree[] = {
        "a",
        "a.o",
        "#x",
        "!x",
        "sp ",
        "star*",
        "build/",
        "build/out",
        "build/keep",
        "src/",
        "src/a",
        "src/a.o",
        "src/build",
        "src/deep/",
        "src/deep/a.o",
        "src/deep/build/",
        "src/deep/build/out",
        "srcx/",
        "srcx/y/",
        "srcx/y/z",
        NULL,
};

struct ignore_case {
	const char *patterns; /* lines */
	const char *left_out; /* each followed by a space; what lies below is left out too */
};

static const struct ignore_case cases[] = {
        {"", ""},
        {"# comment\n\n   ", ""},
        {"a", "a src/a "},
        {"/a", "a "},
        {"*.o", "a.o src/a.o src/deep/a.o "},
        {"*.o\n!src/*.o", "a.o src/deep/a.o "},
        {"!*.o\n*.o", "a.o src/a.o src/deep/a.o "},
        {"build", "build/ src/build src/deep/build/ "},
        {"build/", "build/ src/deep/build/ "},
        {"/build/", "build/ "},
        {"build/\n!build/keep", "build/ src/deep/build/ "},
        {"build/*\n!build/keep", "build/out "},
        {"src/build", "src/build "},
        {"src/*", "src/a src/a.o src/build src/deep/ "},
        {"src/*/", "src/deep/ "},
        {"src/**", "src/a src/a.o src/build src/deep/ "},
        {"**/build", "build/ src/build src/deep/build/ "},
        {"**/deep/a.o", "src/deep/a.o "},
        {"src/**/a.o", "src/a.o src/deep/a.o "},
        {"src/**/build/", "src/deep/build/ "},
        {"src**/z", "srcx/y/z "},
        {"s**", "sp  star* src/ srcx/ "},
        {"s*/a", "src/a "},
        {"/*\n!/src", "a a.o #x !x sp  star* build/ srcx/ "},
        {"*\n!*/\n!*.o", "a #x !x sp  star* build/out build/keep src/a src/build "
                         "src/deep/build/out srcx/y/z "},
        {"\\#x", "#x "},
        {"\\!x", "!x "},
        {"!x", ""},
        {"sp\\ ", "sp  "},
        {"sp ", ""},
        {"a.o   ", "a.o src/a.o src/deep/a.o "},
        {"star\\*", "star* "},
        {"[ab].o", "a.o src/a.o src/deep/a.o "},
        {"[!b].o", "a.o src/a.o src/deep/a.o "},
        {"sr?", "src/ "},
        {"/", ""},
        {"//", ""},
        {"a/", ""},
        {"src/deep", "src/deep/ "},
        {"/src/deep/", "src/deep/ "},
        {"**", "a a.o #x !x sp  star* build/ src/ srcx/ "},
        {"**/", "build/ src/ srcx/ "},
        {"a\r", "a src/a "},
};

static size_t tree_length(const char *path, bool *directory)
{
	size_t len = strlen(path);
	*directory = path[len - 1] == '/';
	return len - *directory;
}

static struct ignore *list_of(const char *patterns)
{
	struct ignore *list = ignore_new();
	char *copy = strdup(patterns), *rest = copy, *line;
	struct vega_error err;
	while ((line = strsep(&rest, "\n"))) {
		if (ignore_add(list, line, &err)) {
			printf("# %s\n", err.text);
		}
	}
	free(copy);
	return list;
}

/* Walk as a traversal does: below what is left out, nothing is asked. */
static void leave_out(const struct ignore *list, struct buf *out)
{
	const char *below = NULL;
	for (const char *const *path = tree; *path; path++) {
		bool directory;
		size_t len = tree_length(*path, &directory);
		if (below && strncmp(*path, below, strlen(below)) == 0) {
			continue;
		}
		const char *slash = memrchr(*path, '/', len);
		size_t name = slash ? (size_t)(slash - *path) + 1 : 0;
		if (ignore_match(list, *path, len, name, directory)) {
			buf_printf(out, "%s ", *path);
			below = directory ? *path : NULL;
		}
	}
}

static char top[] = "/tmp/vega-ignore-XXXXXX";

static bool write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool written = fd >= 0 && fd_write_all(fd, text, len) == 0;
	close(fd);
	return written;
}

static bool make_tree(void)
{
	bool made = mkdtemp(top) && chdir(top) == 0 && system("git init -q . >/dev/null 2>&1") == 0;
	struct buf list = BUF_INIT;
	for (const char *const *path = tree; *path && made; path++) {
		bool directory;
		size_t len = tree_length(*path, &directory);
		made = directory ? mkdir(*path, 0755) == 0 : write_file(*path, "", 0);
		buf_add(&list, *path, len);
		buf_add_char(&list, '\0');
	}
	made = made && write_file(".git/paths", list.data, list.len);
	buf_release(&list);
	return made;
}

/* What git leaves out, in the same form. */
static void ask_git(const char *patterns, struct buf *out)
{
	write_file(".git/info/exclude", patterns, strlen(patterns));
	FILE *pipe = popen("git check-ignore --no-index -z --stdin <.git/paths"
	                   " 2>/dev/null",
	        "re");
	struct buf answer = BUF_INIT;
	fd_read_all(fileno(pipe), &answer);
	pclose(pipe);
	buf_add_char(&answer, '\0');
	const char *below = NULL;
	for (const char *const *path = tree; *path; path++) {
		bool directory;
		size_t len = tree_length(*path, &directory);
		if (below && strncmp(*path, below, strlen(below)) == 0) {
			continue;
		}
		for (const char *s = answer.data; *s; s += strlen(s) + 1) {
			if (strlen(s) == len && memcmp(s, *path, len) == 0) {
				buf_printf(out, "%s ", *path);
				below = directory ? *path : NULL;
			}
		}
	}
	buf_release(&answer);
}

static void test_cases(void)
{
	bool made = make_tree();
	ok(made, "a tree with a git repository is made");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf mine = BUF_INIT, git = BUF_INIT;
		char name[128];
		size_t len = 0;
		for (const char *s = cases[i].patterns; *s && len < sizeof name - 3; s++) {
			name[len++] = *s == '\n' || *s == '\r' ? '|' : *s;
		}
		name[len] = '\0';
		struct ignore *list = list_of(cases[i].patterns);
		leave_out(list, &mine);
		is_str(buf_cstr(&mine), cases[i].left_out,
		        "the patterns exclude what they should: %s", name);
		if (made) {
			ask_git(cases[i].patterns, &git);
			is_str(buf_cstr(&git), cases[i].left_out, "git excludes the same: %s",
			        name);
		}
		ignore_free(list);
		buf_release(&mine);
		buf_release(&git);
	}
	char remove[64];
	snprintf(remove, sizeof remove, "rm -rf '%s'", top);
	ok(chdir("/") == 0 && system(remove) == 0, "the tree is removed");
}

static void test_names_only(void)
{
	static const struct {
		const char *patterns;
		bool names_only, empty;
	} lists[] = {
	        {"", true, true},
	        {"# a/b\n\n/", true, true},
	        {"*.o\nbuild/\n!x\n**/y", true, false},
	        {"*.o\n/a", false, false},
	        {"a/b", false, false},
	        {"**/a/b", false, false},
	        {"a/**", false, false},
	};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct ignore *list = list_of(lists[i].patterns);
		is_int(ignore_names_only(list), lists[i].names_only,
		        "list %zu knows whether names suffice", i);
		is_int(ignore_empty(list), lists[i].empty, "list %zu knows whether it is empty", i);
		ignore_free(list);
	}
	struct ignore *list = list_of("*.o");
	ok(ignore_match(list, "a.o", 3, 0, false), "a list of names matches a name alone");
	ignore_free(list);
}

static void test_malformed(void)
{
	static const char *const lines[] = {"a[", "x/[z", "a\\", "!/b["};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct ignore *list = ignore_new();
		struct vega_error err = {.text = ""};
		ok(ignore_add(list, lines[i], &err) == VEGA_USAGE && ignore_empty(list),
		        "the pattern %s is rejected (%s)", lines[i], err.text);
		ignore_free(list);
	}
}

int main(void)
{
	test_cases();
	test_names_only();
	test_malformed();
	return done();
}
