#!/usr/bin/env bats
# hash: digests that sha256sum and xxhsum read, of files that hold still.
load ../lib/vega

# digests TREE: what coreutils says of each regular file, sorted.
digests() {
	find "$1" -type f -exec sha256sum {} + | sort
}

@test "sha256sum reads the output, strange names included" {
	strange_tree tree
	small_tree tree/small
	expect 0 vega-walk hash --algo sha256 tree
	lines "$(find tree -type f -print0 | tr -cd '\0' | wc -c)" "$out"
	sha256sum --strict --check --quiet "$out"
	digests tree >wanted
	sort "$out" >got
	same wanted got
	[ ! -s "$err" ]
}

@test "xxhsum reads the output" {
	need xxhsum
	small_tree tree
	file tree/large 3000000
	expect 0 vega-walk hash tree
	xxhsum --check --strict --quiet "$out"
	find tree -type f -exec xxhsum -H128 {} + | sort >wanted
	sort "$out" >got
	same wanted got
}

@test "--sort orders digests by path, for any number of threads" {
	strange_tree tree
	for dir in a b c d; do
		small_tree "tree/$dir"
	done
	expect 0 vega-walk hash --sort --threads 1 tree
	cp "$out" one
	expect 0 vega-walk hash --sort --threads 8 tree
	same one "$out"
}

@test "predicates choose the files" {
	small_tree tree
	expect 0 vega-walk hash -e csv --algo sha256 tree/docs
	sort "$out" >got
	(find tree/docs -name '*.csv' -exec sha256sum {} +) | sort >wanted
	same wanted got
}

@test "a root may be a file, or a link to one" {
	file a 10
	file elsewhere/b 20
	ln -s elsewhere/b link
	expect 0 vega-walk hash --sort --algo sha256 a link
	sha256sum a link >wanted
	same wanted "$out"
}

@test "ndjson has one record per file, and totals" {
	small_tree tree
	expect 0 vega-walk hash --format ndjson tree
	[ "$(jq -r 'select(.path == "tree/docs/a.txt") | .digest' "$out")" = \
		"$(xxhsum -H128 tree/docs/a.txt | cut -d ' ' -f 1)" ]
	holds -s 'map(select(.type == "entry")) | length == 7 and all(.algorithm == "xxh128" and (has("cached") | not))' "$out"
	holds -s --argjson bytes "$(find tree -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')" '
		last | .complete and .hash == {algorithm: "xxh128", files: 7, bytes: $bytes, cached: 0}
			and .content.files_read == 6 and .content.bytes_read == $bytes - 2000' "$out" # two names of one
}

@test "unreadable files are named, and the rest is hashed" {
	small_tree tree
	chmod 0 tree/docs/a.txt
	chmod 755 "$BATS_TEST_TMPDIR" .
	expect 3 as_nobody "$(command -v vega-walk)" hash tree
	lines 6 "$out"
	matches 'tree/docs/a\.txt: Permission denied$' "$err"
	expect 3 as_nobody "$(command -v vega-walk)" hash --format ndjson tree
	holds -s 'map(select(.type == "error")) | length == 1 and
		(.[0] | .path == "tree/docs/a.txt" and .errno == "EACCES")' "$out"
	holds -s 'last | .ledger | .errors == 1 and .entries == .reported + .filtered + .errors' "$out"
}

@test "a file whose size is meaningless has no digest" {
	expect 3 vega-walk hash /proc/self/status
	[ ! -s "$out" ]
	matches '^vega-walk: /proc/self/status: its size cannot be trusted' "$err"
}

# A file that grows as fast as it is read: the digest of no moment is right.
@test "a file that changes while it is read has no digest" {
	truncate -s 400M tree.bin
	# shellcheck disable=SC2016
	start bash -c 'while :; do printf x >>tree.bin; done'
	expect 3 vega-walk hash --algo sha256 tree.bin
	[ ! -s "$out" ]
	matches '^vega-walk: tree\.bin: changed while it was read$' "$err"
}

@test "FIFOs, links and devices are left alone" {
	mkdir tree
	mkfifo tree/fifo
	ln -s /dev/zero tree/endless
	expect 0 timeout 20 vega-walk hash tree
	[ ! -s "$out" ]
	expect 0 timeout 20 vega-walk hash /dev/zero
	[ ! -s "$out" ]
}

@test "a signal ends a long read soon, and the summary says that it is incomplete" {
	truncate -s 1T endless
	start vega-walk hash --format ndjson --algo sha256 endless
	eventually 10 grep -q rchar "/proc/$pid/io"
	eventually 10 awk '$1 == "rchar:" { exit $2 < 1000000 }' "/proc/$pid/io"
	kill -INT "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 130 ]
	holds -s 'last | .type == "summary" and (.complete | not)' "$out.$pid"
}

@test "without libcrypto, sha256 names the remedy and xxh128 works" {
	small_tree tree
	mkdir broken
	: >broken/libcrypto.so.3
	hidden() {
		LD_LIBRARY_PATH=$PWD/broken "$@"
	}
	expect 2 hidden vega-walk hash --algo sha256 tree
	matches '^vega-walk: cannot load libcrypto\.so\.3 .*--algo xxh128' "$err"
	lines 1 "$err"
	expect 0 hidden vega-walk hash tree
	lines 7 "$out"
}

@test "the content of a file with several names is read once, and reported for each of them" {
	file in/1 3000000
	file in/one 10
	for name in a b c d e f g; do
		mkdir in/$name
		ln in/1 in/$name/$name
	done
	find in -type f -exec xxhsum -H128 {} + | sort >wanted
	for threads in 1 2 16; do
		expect 0 vega-walk hash -j "$threads" in
		sort "$out" >got
		same wanted got
		expect 0 vega-walk hash -j "$threads" -F json in
		holds '.content == {files_read: 2, bytes_read: 3000010, cache_hits: 0} and .hash.files == 9' "$out"
	done
}

@test "names of different files that a union file system gives one number are read each" {
	need bindfs xxhsum
	disk tmpfs 4M in/a
	disk tmpfs 4M in/b
	for half in a b; do
		file in/$half/f 100000
		echo $half >>in/$half/f
		touch -d 2020-01-01 in/$half/f
		ln in/$half/f in/$half/g
	done
	mkdir m
	start bindfs -f in m
	eventually 20 mountpoint -q m
	[[ $(stat -c '%d %i %h' m/a/f) == "$(stat -c '%d %i %h' m/b/f)" ]]
	find m -type f -exec xxhsum -H128 {} + | sort >wanted
	for threads in 1 8; do
		expect 0 vega-walk hash -j "$threads" m
		sort "$out" >got
		same wanted got
	done
	umount m
}
