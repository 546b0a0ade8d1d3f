#!/usr/bin/env bats
# The cache: an unchanged file is not read again, a changed one always is, and whatever happens to
# the cache, the answer is the same.
load ../lib/vega

# Trees here are old enough to be kept (2 s), the file's own setup included.
setup_file() {
	export SHARED=$BATS_FILE_TMPDIR/tree
	strange_tree "$SHARED"
	small_tree "$SHARED/small"
	file "$SHARED/large" 2000000
	eventually_old "$SHARED"
}

# Until no file below has a ctime of less than 3 s ago.
eventually_old() {
	BATS_TEST_TMPDIR=${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR} eventually 20 old "$1"
}

old() {
	[ -z "$(find "$1" -newerct '3 seconds ago' -print -quit)" ]
}

# hash_tree [OPTION]…: the answer for the shared tree, sorted, in the file `got`; the warnings in
# $err.
hash_tree() {
	expect 0 vega-walk hash "$@" "$SHARED"
	sort "$out" >got
}

wanted() {
	vega-walk hash --cache none "$SHARED" | sort >wanted
}

# counts FILES_READ CACHE_HITS: what the pass over the shared tree did.
counts() {
	expect 0 vega-walk hash --format json "${@:3}" "$SHARED"
	holds --argjson read "$1" --argjson hits "$2" '.content.files_read == $read and
		.content.cache_hits == $hits and .hash.cached == $hits' "$out"
}

files() {
	find "$SHARED" -type f -print0 | tr -cd '\0' | wc -c
}

inodes() { # those are read, and not their names
	find "$SHARED" -type f -printf '%D:%i\n' | sort -u | wc -l
}

redis() {
	redis-cli -s "${VEGA_CACHE#unix:}" "$@"
}

@test "a second pass reads no file" {
	start_redis
	wanted
	hash_tree
	same wanted got
	counts 0 "$(files)"
	hash_tree
	same wanted got
	expect 0 vega-walk hash --format ndjson "$SHARED"
	holds -s 'map(select(.type == "entry")) | length > 0 and all(.cached)' "$out"
}

@test "a second pass opens only directories, as strace shows" {
	need strace
	start_redis
	opened first
	[ "$(opened_files first)" -eq "$(files)" ]
	opened second
	[ "$(opened_files second)" -eq 0 ]
	grep -q O_DIRECTORY second
}

# opened FILE: the calls of open from the first in the tree on, in FILE. (LeakSanitizer cannot work
# under strace.)
opened() {
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 expect 0 strace -f -qq -e trace=open,openat,openat2,pread64 -o "$1.all" vega-walk hash --threads 1 "$SHARED"
	sed -n "\\|\"$SHARED\"|,\$p" "$1.all" >"$1"
}

# The number of files, not directories, that were opened successfully.
opened_files() {
	grep -v O_DIRECTORY "$1" | grep -cE 'open(at2?)?\(.*= [0-9]+$' || true
}

@test "the option --cache overrides VEGA_CACHE" {
	start_redis
	url=$VEGA_CACHE
	VEGA_CACHE=none counts "$(inodes)" 0 --cache "$url"
	counts 0 "$(files)"
	VEGA_CACHE=none counts "$(inodes)" 0
}

@test "sha256 and xxh128 have separate values" {
	start_redis
	counts "$(inodes)" 0
	counts "$(inodes)" 0 --algo sha256
	counts 0 "$(files)" --algo sha256
	expect 0 vega-walk hash --algo sha256 "$SHARED"
	sha256sum --strict --check --quiet "$out"
}

@test "a file rewritten in place with its old mtime gets its new digest" {
	start_redis
	file tree/a 5000
	file tree/b 5000
	eventually_old tree
	expect 0 vega-walk hash tree
	expect 0 vega-walk hash --format json tree
	holds '.content.files_read == 0' "$out"
	touch -r tree/a stamp
	printf x | dd of=tree/a bs=1 seek=100 conv=notrunc status=none
	touch -r stamp tree/a
	[ "$(stat -c '%y %s' tree/a)" = "$(stat -c %y stamp) 5000" ]
	expect 0 vega-walk hash --algo xxh128 tree
	xxhsum --check --strict --quiet "$out"
	expect 0 vega-walk hash --format json tree
	holds '.content.files_read == 1 and .content.cache_hits == 1' "$out"
	# And once it is old enough, it is kept too.
	eventually_old tree
	expect 0 vega-walk hash tree
	expect 0 vega-walk hash --format json tree
	holds '.content.files_read == 0' "$out"
}

@test "renamed, replaced, removed and new files get their right digests" {
	start_redis
	for name in a b c d; do
		file "tree/$name" 3000
	done
	eventually_old tree
	expect 0 vega-walk hash tree
	mv tree/a tree/z
	cp -p tree/b b.new
	printf x | dd of=b.new bs=1 seek=7 conv=notrunc status=none
	touch -r tree/b b.new
	mv b.new tree/b
	rm tree/c
	file tree/new 10
	expect 0 vega-walk hash tree
	xxhsum --check --strict --quiet "$out"
	lines 4 "$out"
	expect 0 vega-walk hash tree
	xxhsum --check --strict --quiet "$out"
}

@test "a file root and its directory share a value" {
	start_redis
	counts "$(inodes)" 0
	expect 0 vega-walk hash --format json "$SHARED/large"
	holds '.content.files_read == 0 and .hash.cached == 1' "$out"
}

@test "an unreachable Redis costs one warning, and no answer changes" {
	start_redis
	wanted
	"$TESTS/lib/redis" kill "$redis_dir"
	hash_tree --threads 4
	same wanted got
	lines 1 "$err"
	matches '^vega-walk: continuing without the cache: (cannot connect|lost the connection) to unix:' "$err"
	VEGA_CACHE=redis://127.0.0.1:1 hash_tree
	same wanted got
	lines 1 "$err"
}

@test "a silent Redis costs half a second and one warning" {
	start_redis
	wanted
	pid=$(redis info server | sed -n 's/^process_id:\([0-9]*\).*/\1/p')
	kill -STOP "$pid"
	before=$(date +%s%N)
	hash_tree --threads 1
	took=$((($(date +%s%N) - before) / 1000000))
	kill -CONT "$pid"
	same wanted got
	lines 1 "$err"
	matches 'gave no answer in 500 ms' "$err"
	((took < 3000))
}

@test "a Redis killed or flushed during many runs changes no answer" {
	start_redis
	wanted
	hash_tree
	redis flushall
	hash_tree
	same wanted got
	counts 0 "$(files)"
	start bash -c 'while :; do vega-walk hash "$SHARED" 2>/dev/null | sort | cmp -s - wanted || echo wrong; done'
	for _ in 1 2 3; do
		"$TESTS/lib/redis" kill "$redis_dir"
		start_redis
		eventually 10 key_there
	done
	[ ! -s "$out.$pid" ]
}

key_there() {
	[ "$(redis dbsize)" -gt 0 ]
}

# Each key gets a value of another kind; the answer stays, and the values are mended.
@test "damaged values, and those of another type or directory, are ignored" {
	start_redis
	wanted
	hash_tree
	redis --scan >keys
	[ "$(wc -l <keys)" -ge 3 ]
	for poison in random cut flip list other empty; do
		poison_"$poison"
		hash_tree
		same wanted got
		[ ! -s "$err" ]
		counts 0 "$(files)"
	done
}

poison_random() {
	while read -r key; do
		head -c 5000 /dev/urandom | redis -x set "$key"
	done <keys
}

poison_cut() {
	while read -r key; do
		size=$(redis strlen "$key")
		redis eval 'redis.call("SET", KEYS[1], redis.call("GETRANGE", KEYS[1], 0, ARGV[1]))' 1 "$key" $((size / 2))
	done <keys
}

# The magic stays right, a byte of a digest does not.
poison_flip() {
	while read -r key; do
		redis eval 'local v = redis.call("GET", KEYS[1])
			local at = #v - 4
			redis.call("SET", KEYS[1], v:sub(1, at - 1) .. string.char((v:byte(at) + 1) % 256) .. v:sub(at + 1))' 1 "$key"
	done <keys
}

poison_list() {
	while read -r key; do
		redis del "$key"
		redis rpush "$key" x
	done <keys
}

poison_other() {
	first=$(head -n 1 keys)
	second=$(tail -n 1 keys)
	redis copy "$first" vega:keep
	redis copy "$second" "$first" replace
	redis rename vega:keep "$second"
}

poison_empty() {
	while read -r key; do
		redis set "$key" ''
	done <keys
}

@test "a Redis that is full or rejects writes costs one warning" {
	start_redis
	wanted
	redis config set maxmemory 1
	hash_tree
	same wanted got
	lines 1 "$err"
	matches 'refused a command: OOM' "$err"
}

@test "a malformed URL is rejected before anything is done" {
	expect 2 vega-walk hash --cache memcached://host "$SHARED"
	[ ! -s "$out" ]
	matches "^vega-walk: unknown cache 'memcached'" "$err"
	expect 2 vega-walk hash --cache redis://user:secret@host/x "$SHARED"
	matches 'bad database' "$err"
	[ "$(grep -c secret "$err")" -eq 0 ]
}

@test "a directory of 20,000 files is cached" {
	start_redis
	wide_tree wide 20000
	for name in 1 10000 20000; do
		echo "$name" >"wide/f$name"
	done
	eventually_old wide
	expect 0 vega-walk hash --sort wide
	cp "$out" wanted
	expect 0 vega-walk hash --sort --threads 4 wide
	same wanted "$out"
	expect 0 vega-walk hash --format json wide
	holds '.content.files_read == 0 and .hash.cached == 20000' "$out"
	[ "$(redis dbsize)" -ge 2 ]
}

@test "only file systems known to keep ctime are cached" {
	start_redis
	for fs in tmpfs ramfs; do
		disk $fs 1M $fs
		echo $fs >$fs/file
	done
	for fs in tmpfs ramfs; do
		eventually_old $fs
		expect 0 vega-walk hash $fs
		expect 0 vega-walk hash --format json $fs
		jq .content.files_read "$out" >>files_read
	done
	[ "$(paste -sd " " files_read)" = "0 1" ]
}
