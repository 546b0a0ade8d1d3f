/* Roots and outputs: made absolute, kept apart, and held against what is allowed. */
#include "../tap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spec/spec.h"

static char dir[] = "/tmp/vega-paths-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static struct spec spec_of(const char *root, const char *out, const char *program)
{
	struct spec spec;
	spec_init(&spec);
	spec.operations = SPEC_TRANSFORM;
	strlist_add(&spec.roots, root);
	spec.out = out ? strdup(out) : NULL;
	if (program) {
		strlist_add(&spec.command, program);
	}
	return spec;
}

/* `wanted` is below the test's directory. */
static void is_path(const char *got, const char *wanted, const char *given)
{
	char whole[512];
	snprintf(whole, sizeof whole, "%s%s", dir, wanted);
	is_str(got, whole, "%s", given);
}

static void test_roots(void)
{
	static const char *const roots[][2] = {{".", ""}, {"real/sub", "/real/sub"},
	        {"real/../real//sub/.", "/real/sub"}, {"link/sub", "/real/sub"}, {"link", "/real"},
	        {"-x\n\xff", "/-x\n\xff"}, {"real/file", "/real/file"}};
	struct vega_error err = {0};
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		struct spec spec = spec_of(roots[i][0], NULL, NULL);
		is_int(spec_resolve_paths(&spec, &err), 0, "the root %s is resolved", roots[i][0]);
		is_path(spec.roots.items[0], roots[i][1], roots[i][0]);
		spec_release(&spec);
	}
	static const char *const bad[][2] = {{"none", "none: No such file or directory"},
	        {"dangling", "dangling: No such file or directory"},
	        {"loop", "loop: Too many levels of symbolic links"},
	        {"real/file/x", "real/file/x: Not a directory"}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct spec spec = spec_of(bad[i][0], NULL, NULL);
		is_int(spec_resolve_paths(&spec, &err), VEGA_USAGE, "the root %s is rejected",
		        bad[i][0]);
		is_str(err.text, bad[i][1], "a rejected root has its reason");
		spec_release(&spec);
	}
}

static void test_out(void)
{
	static const char *const outs[][2] = {{"-x\n\xff", "/-x\n\xff"}, {"new", "/new"},
	        {"./link/a//b/./c/", "/real/a/b/c"}, {"real/../new", "/new"}};
	struct vega_error err = {0};
	for (size_t i = 0; i < sizeof outs / sizeof *outs; i++) {
		struct spec spec = spec_of("real/sub", outs[i][0], NULL);
		is_int(spec_resolve_paths(&spec, &err), 0, "--out %s is resolved", outs[i][0]);
		is_path(spec.out, outs[i][1], outs[i][0]);
		spec_release(&spec);
	}
	struct spec spec = spec_of("real/sub", "/vega-no-such-directory/x", NULL);
	is_int(spec_resolve_paths(&spec, &err), 0, "an output of which nothing exists is resolved");
	is_str(spec.out, "/vega-no-such-directory/x", "an output below / has one slash");
	spec_release(&spec);

	static const char *const bad[] = {
	        "new/../x", "dangling", "dangling/x", "real/file/x", "loop/x"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		spec = spec_of(".", bad[i], NULL);
		ok(spec_resolve_paths(&spec, &err) == VEGA_USAGE && strstr(err.text, bad[i]),
		        "--out %s is rejected: %s", bad[i], err.text);
		spec_release(&spec);
	}
}

static void test_apart(void)
{
	static const char *const cases[][3] = {{"real/sub", "link/sub", "inside"},
	        {"real", "real/sub/new", "inside"}, {"real/sub", "link", "contains"},
	        {"real/sub", "/", "contains"}};
	struct vega_error err = {0};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spec spec = spec_of(cases[i][0], cases[i][1], NULL);
		ok(spec_resolve_paths(&spec, &err) == VEGA_USAGE && strstr(err.text, cases[i][2]),
		        "the output of %s into %s is rejected: %s", cases[i][0], cases[i][1],
		        err.text);
		spec_release(&spec);
	}
	struct spec spec = spec_of("real/file", "real", NULL);
	is_int(spec_resolve_paths(&spec, &err), 0, "a file's own directory may take its output");
	spec_release(&spec);
}

static void test_program(void)
{
	struct vega_error err = {0};
	struct spec spec = spec_of(".", NULL, "cat");
	ok(spec_resolve_paths(&spec, &err) == 0, "a program's bare name is accepted");
	is_str(spec.command.items[0], "cat", "a program's bare name is left to PATH");
	spec_release(&spec);
	spec = spec_of(".", NULL, "vega-no-such-program");
	is_int(spec_resolve_paths(&spec, &err), VEGA_USAGE,
	        "a program that is not in PATH is rejected");
	is_str(err.text, "filter vega-no-such-program: there is no such program in PATH",
	        "a program that is not in PATH is named");
	spec_release(&spec);
	spec = spec_of(".", NULL, "real/run");
	ok(spec_resolve_paths(&spec, &err) == 0, "a relative program is accepted");
	is_path(spec.command.items[0], "/real/run", "a relative program is made absolute");
	spec_release(&spec);
	spec = spec_of(".", NULL, "./real/none");
	is_int(spec_resolve_paths(&spec, &err), VEGA_USAGE, "a missing program is rejected");
	is_str(err.text, "filter ./real/none: No such file or directory",
	        "a missing program is named");
	spec_release(&spec);
}

static bool beneath(const char *root, const char *out, const char *top, struct vega_error *err)
{
	struct strlist allowed = {0};
	struct spec spec = spec_of(root, out, NULL);
	strlist_add(&allowed, "/elsewhere");
	strlist_add(&allowed, top);
	int rc = spec_check_beneath(&spec, &allowed, err);
	strlist_release(&allowed);
	spec_release(&spec);
	return rc == 0;
}

static void test_beneath(void)
{
	struct vega_error err = {0};
	ok(beneath("/data", NULL, "/data", &err), "an allowed directory itself is allowed");
	ok(beneath("/data/a", "/data/b", "/data", &err),
	        "a path below an allowed directory is allowed");
	ok(beneath("/data/a", "/etc", "/", &err), "every path is allowed below /");
	ok(!beneath("/database", NULL, "/data", &err),
	        "a longer name is not below an allowed directory");
	is_str(err.text, "/database lies outside the allowed directories (/elsewhere, /data)",
	        "a path that is not allowed is named");
	ok(!beneath("/", NULL, "/data", &err), "a path above an allowed directory is not allowed");
	ok(!beneath("/data/a", "/out", "/data", &err), "--out must be allowed, too");
	is_str(err.text, "--out /out lies outside the allowed directories (/elsewhere, /data)",
	        "an --out that is not allowed is named");
}

static void test_allowed(void)
{
	struct strlist given = {0}, allowed = {0};
	struct vega_error err = {0};
	is_int(spec_allowed_roots(&given, NULL, &allowed, &err), 0,
	        "an absent --root and VEGA_ROOTS are accepted");
	is_int(allowed.count, 0, "an absent --root and VEGA_ROOTS allow anything");
	is_int(spec_allowed_roots(&given, ":real::link/sub:", &allowed, &err), 0,
	        "VEGA_ROOTS is accepted");
	is_int(allowed.count, 2, "VEGA_ROOTS has two directories");
	is_path(allowed.items[0], "/real", "VEGA_ROOTS has its first directory");
	is_path(allowed.items[1], "/real/sub", "VEGA_ROOTS has its second directory");
	strlist_release(&allowed);
	strlist_add(&given, "link");
	is_int(spec_allowed_roots(&given, "none", &allowed, &err), 0,
	        "--root overrides VEGA_ROOTS");
	is_path(allowed.items[0], "/real", "--root is resolved");
	strlist_release(&allowed);
	strlist_release(&given);
	is_int(spec_allowed_roots(&given, "none", &allowed, &err), VEGA_USAGE,
	        "a missing directory in VEGA_ROOTS is rejected");
	is_str(err.text, "VEGA_ROOTS: none: No such file or directory",
	        "a missing directory in VEGA_ROOTS is named");
	strlist_release(&allowed);
	is_int(spec_allowed_roots(&given, "", &allowed, &err), 0,
	        "an empty VEGA_ROOTS counts as unset");
	is_int(spec_allowed_roots(&given, "::", &allowed, &err), VEGA_USAGE,
	        "a VEGA_ROOTS without a directory is rejected");
	is_str(err.text, "VEGA_ROOTS is '::' and names no directory; unset it to allow any",
	        "a VEGA_ROOTS without a directory is named");
	strlist_release(&allowed);
}

int main(void)
{
	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("real", 0700) < 0 ||
	        mkdir("real/sub", 0700) < 0 || mkdir("-x\n\xff", 0700) < 0 ||
	        symlink("real", "link") < 0 || symlink("none", "dangling") < 0 ||
	        symlink("loop", "loop") < 0 || close(creat("real/file", 0600)) < 0 ||
	        close(creat("real/run", 0700)) < 0) {
		return 1;
	}
	test_roots();
	test_out();
	test_apart();
	test_program();
	test_beneath();
	test_allowed();
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return done();
}
