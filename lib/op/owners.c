/* Users by number: a call of the C library each opens the file of users and reads it anew. */
#include "op/owners.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

#define FEW 16u
#define TIME_NS UINT64_C(1000000000)

static int order_of_uids(const void *a, const void *b)
{
	const struct owner *x = *(struct owner *const *)a, *y = *(struct owner *const *)b;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

static int order_to_uid(const void *key, const void *element)
{
	const struct owner *owner = *(struct owner *const *)element;
	uint32_t uid = *(const uint32_t *)key;
	return (uid > owner->uid) - (uid < owner->uid);
}

/* The first of several users with the number, as getpwuid() has it. */
static int name(struct owner *owner, const struct passwd *user)
{
	if (user && !owner->name) {
		owner->name = strdup(user->pw_name);
		return owner->name ? 0 : VEGA_NOMEM;
	}
	return 0;
}

static int read_all_users(struct owner *owners, size_t count, uint64_t until)
{
	struct owner **sorted = calloc(count, sizeof(struct owner *));
	if (!sorted) {
		return VEGA_NOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		sorted[i] = &owners[i];
	}
	qsort(sorted, count, sizeof(struct owner *), order_of_uids);
	int code = 0;
	const struct passwd *user;
	setpwent();
	while (!code && monotonic_ns() < until && (user = getpwent())) {
		struct owner **found =
		        bsearch(&user->pw_uid, sorted, count, sizeof(struct owner *), order_to_uid);
		code = found ? name(*found, user) : 0;
	}
	endpwent();
	free(sorted);
	return code;
}

int owners_find(struct owner *owners, size_t count)
{
	uint64_t until = monotonic_ns() + TIME_NS;
	int code = count > FEW ? read_all_users(owners, count, until) : 0;
	for (size_t i = 0; i < count && !code && monotonic_ns() < until; i++) {
		if (!owners[i].name) {
			code = name(&owners[i], getpwuid((uid_t)owners[i].uid));
		}
	}
	return code;
}

void owners_release(struct owner *owners, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(owners[i].name);
	}
}
