#!/usr/bin/env bats
# Several roots, one within another: nothing is missed, and nothing counts twice.
load ../lib/vega

setup() {
	vega_setup
	need jq
	mkdir -p n/a/b/c n/.hidden/x
	touch n/a/b/c/file n/.hidden/x/file
}

# all_of FIND… : what find prints for the roots, each path once.
all_of() {
	find "$@" | sort -u
}

@test "a root within another one is not walked twice" {
	expect 0 vega-walk find --sort n n/a ./n/a/b n n/a/b/c/file
	same <(all_of n) "$out"
	expect 0 vega-walk --format json n n/a n/a/b
	[ "$(jq .summarize.files "$out")" = 2 ]
}

@test "a root that the outer one does not reach because of --max-depth is walked" {
	expect 0 vega-walk find --sort --max-depth 1 n n/a/b/c n/.hidden
	same <(all_of n n/a/b/c n/.hidden -maxdepth 1) <(sort -u "$out")
}

@test "a root that the outer one excludes is walked" {
	expect 0 vega-walk find --skip-hidden n n/.hidden n/a/b
	same <({ find n -name '.*' -prune -o -print && find n/.hidden; } | sort) <(sort "$out")
	expect 0 vega-walk find --exclude b n n/a/b/c n/.hidden
	same <({ find n -name b -prune -o -print && find n/a/b/c; } | sort) <(sort "$out")
	expect 0 vega-walk find --exclude /a/b n n/a/b n/a/b/c
	same <(all_of n) <(sort "$out")
	printf 'Signature: 8a477f597d28d172789f06886806bc55' >n/a/CACHEDIR.TAG
	expect 0 vega-walk find --exclude-caches n n/a/b n/.hidden
	same <({ find n -name a -prune -o -print && find n/a/b; } | sort) <(sort "$out")
	expect 0 vega-walk find --exclude a n n/a/b/c/file
	same <({ find n -name a -prune -o -print && echo n/a/b/c/file; } | sort) <(sort "$out")
}

@test "a root on another file system is walked with --one-file-system" {
	disk tmpfs 1M n/a/mounted
	mkdir n/a/mounted/below
	touch n/a/mounted/below/file
	expect 0 vega-walk find -x n n/a/mounted n/a/b
	same <(all_of n) <(sort -u "$out")
	expect 0 vega-walk find -x n n/a/mounted/below n/a/b
	same <({ find n -xdev && find n/a/mounted/below; } | sort) <(sort "$out")
}

@test "a mount point does not count with --one-file-system, as with du" {
	disk tmpfs 1M n/a/mounted
	touch n/a/mounted/file
	expect 0 vega-walk -x --threads 4 --format json n
	[ "$(jq .summarize.apparent_bytes "$out")" = "$(du -xsb n | cut -f 1)" ]
	[ "$(jq .summarize.allocated_bytes "$out")" = "$(du -xs --block-size=1 n | cut -f 1)" ]
	[ "$(jq .summarize.files "$out")" = 2 ]
	expect 0 vega-walk -x --format json n n/a/mounted
	[ "$(jq .summarize.files "$out")" = 3 ]
	[ "$(jq .summarize.directories "$out")" = 7 ]
}
