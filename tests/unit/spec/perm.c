/* Modes in octal and as symbols. */
#include "../tap.h"

#include "spec/spec.h"

static void is_mode(const char *text, char wanted_kind, uint32_t wanted)
{
	char kind = '?';
	uint32_t mode = 0;
	struct vega_error err = {0};
	int rc = spec_parse_perm(text, &kind, &mode, &err);
	ok(rc == 0 && kind == wanted_kind && mode == wanted, "the mode %s is %o", text, wanted);
	if (rc != 0 || mode != wanted) {
		printf("# got %d, kind %d, %o %s\n", rc, kind, mode, err.text);
	}
}

static void is_refused(const char *text)
{
	char kind;
	uint32_t mode;
	struct vega_error err = {0};
	is_int(spec_parse_perm(text, &kind, &mode, &err), VEGA_USAGE, "the mode '%s' is rejected",
	        text);
	ok(strncmp(err.text, "--perm ", 7) == 0 && strstr(err.text, "octal"), "%s", err.text);
}

int main(void)
{
	is_mode("0", 0, 0);
	is_mode("644", 0, 0644);
	is_mode("0644", 0, 0644);
	is_mode("000000007777", 0, 07777);
	is_mode("-4000", '-', 04000);
	is_mode("/222", '/', 0222);

	/* As find -perm reads them: no umask, from nothing, clause by clause. */
	is_mode("u=rw,go=r", 0, 0644);
	is_mode("-u+w,g+w", '-', 0220);
	is_mode("/u=x,g=x,o=x", '/', 0111);
	is_mode("+x", 0, 0111);
	is_mode("a=rwx,o-w", 0, 0775);
	is_mode("a=rwx,=", 0, 0);
	is_mode("u=rwx,g=u,o=g-w", 0, 0775);
	is_mode("u=rw,go+u", 0, 0666);
	is_mode("u+s", 0, 04000);
	is_mode("g+s", 0, 02000);
	is_mode("o+s", 0, 0);
	is_mode("+s", 0, 06000);
	is_mode("o+t", 0, 01000);
	is_mode("u+t", 0, 0);
	is_mode("=rwxst", 0, 07777);
	is_mode("u+r+w-r", 0, 0200);
	is_mode("ug=", 0, 0);

	static const char *const refused[] = {"", "-", "/", "8", "64a", "10000",
	        "99999999999999999999", "u", "rw", "u+q", "u=rw,", ",u=r", "u=rw;g=r", "u+X",
	        "+-+z", "--644", "/-644", " 644", "644 ", "u=ug", "0x1ff", "\xff"};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		is_refused(refused[i]);
	}
	return done();
}
