/* A sharded table of hashes, and a look into the inputs' directories for who was first. */
#include "op/claims.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/check.h"

#define SHARDS 64
#define FIRST_SLOTS 64

struct claim {
	XXH128_hash_t key; /* both halves 0: empty */
	uint64_t inode;    /* of the input */
};

/* Open addressing, a power of two of slots, at most half of them full. */
struct shard {
	pthread_mutex_t lock;
	struct claim *slot;
	size_t slots, used;
};

struct claims {
	void (*name)(struct buf *out, const struct spec *spec, const char *name, size_t len);
	struct shard shard[SHARDS];
	pthread_mutex_t lock; /* of what follows */
	bool no_memory;
	uint64_t refused;
	char *output, *input; /* of the bytewise first output that was refused */
};

struct claims *claims_new(
        void (*name)(struct buf *out, const struct spec *spec, const char *name, size_t len))
{
	struct claims *claims = calloc(1, sizeof *claims);
	if (!claims) {
		return NULL;
	}
	claims->name = name;
	pthread_mutex_init(&claims->lock, NULL);
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&claims->shard[i].lock, NULL);
	}
	return claims;
}

void claims_free(struct claims *claims)
{
	if (!claims) {
		return;
	}
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&claims->shard[i].lock);
		free(claims->shard[i].slot);
	}
	pthread_mutex_destroy(&claims->lock);
	free(claims->output);
	free(claims->input);
	free(claims);
}

static bool is_empty(const struct claim *claim)
{
	return claim->key.low64 == 0 && claim->key.high64 == 0;
}

/* The key's slot, or the empty one where it belongs. */
static struct claim *find(struct claim *slot, size_t slots, XXH128_hash_t key)
{
	size_t at = key.low64 & (slots - 1);
	while (!is_empty(&slot[at]) && !XXH128_isEqual(slot[at].key, key)) {
		at = (at + 1) & (slots - 1);
	}
	return &slot[at];
}

static bool grow(struct shard *shard)
{
	size_t slots = shard->slots ? shard->slots * 2 : FIRST_SLOTS;
	struct claim *slot = calloc(slots, sizeof *slot);
	if (!slot) {
		return false;
	}
	for (size_t i = 0; i < shard->slots; i++) {
		if (!is_empty(&shard->slot[i])) {
			*find(slot, slots, shard->slot[i].key) = shard->slot[i];
		}
	}
	free(shard->slot);
	shard->slot = slot;
	shard->slots = slots;
	return true;
}

static XXH128_hash_t key_of(const char *output, size_t len)
{
	XXH128_hash_t key = XXH3_128bits(output, len);
	key.low64 |= key.low64 == 0 && key.high64 == 0;
	return key;
}

static struct shard *shard_of(struct claims *claims, XXH128_hash_t key)
{
	return &claims->shard[key.high64 % SHARDS];
}

static void out_of_memory(struct claims *claims)
{
	pthread_mutex_lock(&claims->lock);
	claims->no_memory = true;
	pthread_mutex_unlock(&claims->lock);
}

int claims_add(struct claims *claims, const char *output, size_t len, uint64_t input_inode)
{
	XXH128_hash_t key = key_of(output, len);
	struct shard *shard = shard_of(claims, key);
	int result = 0;
	pthread_mutex_lock(&shard->lock);
	if (shard->used * 2 >= shard->slots && !grow(shard)) {
		result = -ENOMEM;
	} else {
		struct claim *claim = find(shard->slot, shard->slots, key);
		result = is_empty(claim) ? 0 : 1;
		if (result == 0) {
			*claim = (struct claim){key, input_inode};
			shard->used++;
			CHECK(shard->used * 2 <= shard->slots);
		}
	}
	pthread_mutex_unlock(&shard->lock);
	if (result < 0) {
		out_of_memory(claims);
	}
	return result;
}

void claims_refused(struct claims *claims, const char *output, const char *input)
{
	char *new_output = strdup(output), *new_input = input ? strdup(input) : NULL;
	if (!new_output || !new_input) {
		out_of_memory(claims);
	}
	pthread_mutex_lock(&claims->lock);
	claims->refused++;
	if (new_output && new_input &&
	        (!claims->output || strcmp(new_output, claims->output) < 0)) {
		char *old_output = claims->output, *old_input = claims->input;
		claims->output = new_output;
		claims->input = new_input;
		new_output = old_output;
		new_input = old_input;
	}
	pthread_mutex_unlock(&claims->lock);
	free(new_output);
	free(new_input);
}

/* Is there a file of that inode in the directory `path`, other than claims->input, whose output is
 * called `output`? Its name is put behind the path. */
static bool look_in(const struct claims *claims, const struct spec *spec, struct buf *path,
        const char *output, uint64_t inode)
{
	struct buf name = BUF_INIT;
	size_t dir_len = path->len;
	DIR *dir = opendir(buf_cstr(path) ? path->data : "");
	bool found = false;
	for (struct dirent *d; dir && !found && (d = readdir(dir));) {
		if (d->d_ino != inode) {
			continue;
		}
		buf_clear(&name);
		claims->name(&name, spec, d->d_name, strlen(d->d_name));
		path->len = dir_len;
		buf_add_str(path, d->d_name);
		found = buf_cstr(&name) && strcmp(name.data, output) == 0 && buf_cstr(path) &&
		        strcmp(path->data, claims->input) != 0;
	}
	if (dir) {
		closedir(dir);
	}
	buf_release(&name);
	return found;
}

/* Only its inode is known, and where its output goes. */
static bool find_holder(struct claims *claims, const struct spec *spec, struct buf *path)
{
	const char *slash = strrchr(claims->output, '/');
	const char *name = slash ? slash + 1 : claims->output;
	XXH128_hash_t key = key_of(claims->output, strlen(claims->output));
	struct shard *shard = shard_of(claims, key);
	uint64_t inode = find(shard->slot, shard->slots, key)->inode;
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		struct stat st;
		buf_clear(path);
		buf_add_str(path, root);
		if (stat(root, &st) != 0) {
			continue;
		}
		if (!S_ISDIR(st.st_mode)) {
			if (st.st_ino == inode && !slash && strcmp(root, claims->input) != 0) {
				return true;
			}
			continue;
		}
		if (root[strlen(root) - 1] != '/') {
			buf_add_char(path, '/');
		}
		buf_add(path, claims->output, (size_t)(name - claims->output));
		if (look_in(claims, spec, path, name, inode)) {
			return true;
		}
	}
	return false;
}

int claims_check(struct claims *claims, const struct spec *spec, struct vega_error *err)
{
	if (claims->no_memory) {
		return vega_fail_nomem(err);
	}
	if (claims->refused == 0) {
		return 0;
	}
	struct buf holder = BUF_INIT;
	const char *first = find_holder(claims, spec, &holder) ? buf_cstr(&holder) : NULL;
	const char *second = claims->input;
	if (first && strcmp(first, second) > 0) {
		first = second;
		second = holder.data;
	}
	struct buf more = BUF_INIT;
	if (claims->refused > 1) {
		buf_printf(&more, " (and %llu more like this)",
		        (unsigned long long)claims->refused - 1);
	}
	const char *slash = spec->out[strlen(spec->out) - 1] == '/' ? "" : "/";
	int code = vega_fail(err, VEGA_FATAL,
	        "%s and %s would both be written to %s%s%s%s; transform them in two runs",
	        first ? first : "another input", second, spec->out, slash, claims->output,
	        more.len ? buf_cstr(&more) : "");
	buf_release(&more);
	buf_release(&holder);
	return code;
}
