/* Results of files with several names: a table of inodes, which leave it with their last name. */
#include "engine/inode_results.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/check.h"
#include "fs/wait.h"

#define SHARDS 64u
#define BUCKETS 1024u                  /* of a shard */
#define BYTES_MAX ((uint64_t)96 << 20) /* of all inodes; and an eighth of what is allowed */
#define ALLOCATION 16u                 /* what malloc() adds */

struct inode_result {
	struct inode_result *next;
	uint64_t dev, ino, size;
	struct vega_time mtime, ctime;
	uint64_t names; /* that were met */
	uint64_t nlink;
	uint64_t charged; /* of the memory */
	unsigned users;   /* threads that have it */
	bool here;        /* in the table */
	bool ended, usable;
	struct buf bytes; /* an item per operation: struct item, and so many bytes */
};

struct item {
	uint16_t op, len;
};

struct shard {
	pthread_mutex_t lock;
	pthread_cond_t ended; /* some file was read */
	struct inode_result **bucket;
};

struct inode_results {
	struct shard shard[SHARDS];
	uint64_t most;
	atomic_uint_fast64_t bytes;
};

struct inode_results *inode_results_new(void)
{
	struct inode_results *inodes = calloc(1, sizeof *inodes);
	struct rlimit limit;
	if (!inodes) {
		return NULL;
	}
	inodes->most = BYTES_MAX;
	if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur / 8 < BYTES_MAX) {
		inodes->most = limit.rlim_cur / 8;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&inodes->shard[i].lock, NULL);
		pthread_cond_init(&inodes->shard[i].ended, NULL);
	}
	return inodes;
}

static uint64_t cost_of(const struct inode_result *result)
{
	return sizeof *result + ALLOCATION +
	       (result->bytes.cap ? result->bytes.cap + ALLOCATION : 0);
}

static void destroy(struct inode_results *inodes, struct inode_result *result)
{
	atomic_fetch_sub_explicit(&inodes->bytes, result->charged, memory_order_relaxed);
	buf_release(&result->bytes);
	free(result);
}

void inode_results_free(struct inode_results *inodes)
{
	for (unsigned i = 0; inodes && i < SHARDS; i++) {
		struct shard *shard = &inodes->shard[i];
		for (unsigned at = 0; shard->bucket && at < BUCKETS; at++) {
			struct inode_result *next, *result = shard->bucket[at];
			for (; result; result = next) {
				next = result->next;
				destroy(inodes, result);
			}
		}
		free(shard->bucket);
		pthread_mutex_destroy(&shard->lock);
		pthread_cond_destroy(&shard->ended);
	}
	free(inodes);
}

/* Fibonacci hashing: its upper bits depend on all. */
static uint64_t scatter(uint64_t dev, uint64_t ino)
{
	return (ino + dev * 31) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
}

static struct shard *shard_of(struct inode_results *inodes, uint64_t dev, uint64_t ino)
{
	return &inodes->shard[scatter(dev, ino) % SHARDS];
}

static struct inode_result **bucket_of(const struct shard *shard, uint64_t dev, uint64_t ino)
{
	return &shard->bucket[scatter(dev, ino) / SHARDS % BUCKETS];
}

static bool is_same(const struct inode_result *result, const struct file_meta *meta)
{
	return result->ino == meta->ino && result->dev == meta->dev && result->size == meta->size &&
	       result->nlink == meta->nlink && vega_time_compare(result->mtime, meta->mtime) == 0 &&
	       vega_time_compare(result->ctime, meta->ctime) == 0;
}

/* Under the shard's lock, as all that follows. */
static struct inode_result *find(const struct shard *shard, const struct file_meta *meta)
{
	struct inode_result *result =
	        shard->bucket ? *bucket_of(shard, meta->dev, meta->ino) : NULL;
	while (result && !is_same(result, meta)) {
		result = result->next;
	}
	return result;
}

static void take_out(struct shard *shard, struct inode_result *result)
{
	struct inode_result **at = bucket_of(shard, result->dev, result->ino);
	while (result->here && *at != result) {
		at = &(*at)->next;
	}
	if (result->here) {
		*at = result->next;
		result->here = false;
	}
}

static void let_go(struct inode_results *inodes, struct inode_result *result)
{
	CHECK(result->users > 0);
	if (--result->users == 0 && !result->here) {
		destroy(inodes, result);
	}
}

static struct inode_result *add(
        struct inode_results *inodes, struct shard *shard, const struct file_meta *meta)
{
	if (!shard->bucket) {
		shard->bucket = calloc(BUCKETS, sizeof(struct inode_result *));
	}
	bool room = atomic_load_explicit(&inodes->bytes, memory_order_relaxed) < inodes->most;
	struct inode_result *result = room && shard->bucket ? malloc(sizeof *result) : NULL;
	if (!result) {
		return NULL;
	}
	struct inode_result **bucket = bucket_of(shard, meta->dev, meta->ino);
	*result = (struct inode_result){.next = *bucket,
	        .dev = meta->dev,
	        .ino = meta->ino,
	        .size = meta->size,
	        .mtime = meta->mtime,
	        .ctime = meta->ctime,
	        .names = 1,
	        .nlink = meta->nlink,
	        .users = 1,
	        .here = true};
	*bucket = result;
	result->charged = cost_of(result);
	atomic_fetch_add_explicit(&inodes->bytes, result->charged, memory_order_relaxed);
	return result;
}

/* Its reader may be in a call that is not answered, so this thread rests as well. */
static void wait_for_end(struct shard *shard)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 50000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_clockwait(&shard->ended, &shard->lock, CLOCK_MONOTONIC, &until);
}

enum inode_answer inode_results_begin(struct inode_results *inodes, const struct file_meta *meta,
        const atomic_int *stop, struct inode_result **out)
{
	if (!inodes || !(meta->have & META_IDENTITY) || meta->nlink < 2 || meta->size == 0) {
		return INODE_ALONE;
	}
	enum inode_answer answer = INODE_ALONE;
	struct shard *shard = shard_of(inodes, meta->dev, meta->ino);
	pthread_mutex_lock(&shard->lock);
	struct inode_result *result = find(shard, meta);
	if (result) {
		result->users++;
		if (++result->names >= result->nlink) {
			take_out(shard, result);
		}
		fs_wait_begin();
		while (!result->ended &&
		        !(stop && atomic_load_explicit(stop, memory_order_relaxed))) {
			wait_for_end(shard);
		}
		fs_wait_end();
		answer = result->usable ? INODE_KNOWN : INODE_ALONE;
		if (answer == INODE_ALONE) {
			let_go(inodes, result);
		}
	} else if ((result = add(inodes, shard, meta))) {
		answer = INODE_FIRST;
	}
	pthread_mutex_unlock(&shard->lock);
	*out = result;
	return answer;
}

void inode_result_add(struct inode_result *result, unsigned op, const void *bytes, size_t len)
{
	struct item item = {(uint16_t)op, (uint16_t)len};
	CHECK(len <= UINT16_MAX);
	buf_add(&result->bytes, &item, sizeof item);
	buf_add(&result->bytes, bytes, len);
}

void inode_result_end(struct inode_results *inodes, struct inode_result *result, bool usable)
{
	struct shard *shard = shard_of(inodes, result->dev, result->ino);
	pthread_mutex_lock(&shard->lock);
	CHECK(!result->ended);
	result->ended = true;
	result->usable = usable && !result->bytes.failed;
	uint64_t before = result->charged;
	result->charged = cost_of(result);
	atomic_fetch_add_explicit(&inodes->bytes, result->charged - before, memory_order_relaxed);
	if (!result->usable) {
		take_out(shard, result);
	}
	let_go(inodes, result);
	pthread_cond_broadcast(&shard->ended);
	pthread_mutex_unlock(&shard->lock);
}

bool inode_result_find(
        const struct inode_result *result, unsigned op, const void **bytes, size_t *len)
{
	struct item item;
	for (size_t at = 0; at < result->bytes.len; at += sizeof item + item.len) {
		memcpy(&item, result->bytes.data + at, sizeof item);
		if (item.op == op) {
			*bytes = result->bytes.data + at + sizeof item;
			*len = item.len;
			return true;
		}
	}
	return false;
}

void inode_result_release(struct inode_results *inodes, struct inode_result *result)
{
	struct shard *shard = shard_of(inodes, result->dev, result->ino);
	pthread_mutex_lock(&shard->lock);
	let_go(inodes, result);
	pthread_mutex_unlock(&shard->lock);
}
