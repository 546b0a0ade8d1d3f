/* Two inputs for one output are found, by any number of threads, and named. */
#include "op/claims.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "op/output_name.h"
#include "../tap.h"
#include "spec/transform.h"

#define THREADS 4
#define PATHS 50000

static struct claims *claims;
static atomic_uint won, refused;

static void *claim_all(void *context)
{
	unsigned first = *(unsigned *)context;
	for (unsigned i = 0; i < PATHS; i++) {
		char path[32];
		int len = snprintf(path, sizeof path, "dir/%u", (first + i) % PATHS);
		int rc = claims_add(claims, path, (size_t)len, i);
		won += rc == 0;
		refused += rc == 1;
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[THREADS];
	unsigned first[THREADS];
	claims = claims_new(output_name_add);
	for (unsigned i = 0; i < THREADS; i++) {
		first[i] = i * PATHS / THREADS;
		pthread_create(&thread[i], NULL, claim_all, &first[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
	}
	is_int(won, PATHS, "each path was claimed once");
	is_int(refused, PATHS * (THREADS - 1), "each path was denied to all others");
	claims_free(claims);
}

static char top[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static uint64_t make(const char *path)
{
	FILE *file = fopen(path, "w");
	struct stat st;
	if (!file || fclose(file) != 0 || stat(path, &st) != 0) {
		perror(path);
		return 0;
	}
	return st.st_ino;
}

/* Claims for each path in order; the refused ones are told. */
static void claim(const char *output, const char *input)
{
	if (claims_add(claims, output, strlen(output), make(input)) == 1) {
		claims_refused(claims, output, input);
	}
}

static void test_names(void)
{
	struct vega_error err;
	struct spec spec;
	spec_init(&spec);
	transform_options_of(&spec)->to = SPEC_NONE;
	static char out[] = "out/";
	spec.out = out;
	strlist_add(&spec.roots, "one");
	strlist_add(&spec.roots, "two/");
	strlist_add(&spec.roots, "file.gz");
	mkdir("one", 0700), mkdir("one/d", 0700), mkdir("two", 0700), mkdir("two/d", 0700);

	claims = claims_new(output_name_add);
	claim("d/a", "one/d/a.gz");
	claim("d/b", "two/d/b.gz");
	is_int(claims_check(claims, &spec, &err), 0, "different outputs do not collide");
	claim("d/b", "one/d/b.zst");
	is_int(claims_check(claims, &spec, &err), VEGA_FATAL,
	        "two roots that share an output collide");
	is_str(err.text,
	        "one/d/b.zst and two/d/b.gz would both be written to out/d/b; transform them in "
	        "two "
	        "runs",
	        "the error names both inputs, in order");
	claim("d/a", "one/d/a");
	is_int(claims_check(claims, &spec, &err), VEGA_FATAL, "an earlier collision is found");
	is_str(err.text,
	        "one/d/a and one/d/a.gz would both be written to out/d/a (and 1 more like this); "
	        "transform them in two runs",
	        "the error names the first collision");
	unlink("one/d/a.gz");
	claims_check(claims, &spec, &err);
	ok(strncmp(err.text, "another input and one/d/a would", 31) == 0,
	        "the error does not invent a removed input: %s", err.text);
	claims_free(claims);

	claims = claims_new(output_name_add);
	claim("file", "file.gz");
	claim("file", "two/file");
	is_int(claims_check(claims, &spec, &err), VEGA_FATAL, "a root that is a file collides");
	ok(strncmp(err.text, "file.gz and two/file would", 26) == 0,
	        "the error names a root that is a file: %s", err.text);
	claims_free(claims);
	spec.out = NULL;
	spec_release(&spec);
}

int main(void)
{
	test_threads();
	snprintf(top, sizeof top, "%.40s/vega-claims.XXXXXX",
	        getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(top) || chdir(top) != 0) {
		perror(top);
		return 1;
	}
	test_names();
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return done();
}
