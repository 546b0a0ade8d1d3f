#!/usr/bin/env bats
# The examples of the manual pages are true: each is run, on a tree of this test's own. Those of a
# shared store are run on the embedded one, and workers that would go on end when there is no work.
load ../lib/vega

setup() {
	vega_setup
	need jq
	tree=$BATS_TEST_TMPDIR/tree
	mkdir -p "$tree"/{home,backup,data/in,data/project-x,srv/releases/v1,srv/v2}
	small_tree "$tree/usr"
	small_tree "$tree/var"
	file "$tree/data/a.csv" 3000000
	file "$tree/data/in/b.csv" 20
	file "$tree/srv/releases/v1/vega.tar" 5000
	touch -d 2001-01-01 "$tree/home/old"
}

# The lines that begin with a prompt, as a script. PAGE
examples() {
	sed -nE 's/^(\.Dl )?\$ //p' "$SOURCE/man/$1" |
		sed -E -e 's/\\\(dq/"/g' -e "s#(^|[ =])/(data|var|usr|home|srv|backup)#\\1$tree/\\2#g" \
			-e '/postgresql:|^createdb/d' -e 's/^(vega-run .*-j.*)/\1 --drain/'
}

# run_examples PAGE COUNT: that many lines, and every one succeeds.
run_examples() {
	examples "$1" >script
	lines "$2" script
	expect 0 bash -euo pipefail -x script
}

@test "the examples of vega-walk(1) work" {
	run_examples vega-walk.1 9
	matches '^\+ .*hash --algo sha256' "$err"
	matches '^[0-9a-f]{64}  ' SUMS
	matches "^$tree/home/old\$" "$out"
	matches '^3000000$|a\.csv$' "$out"
	zstd -dc "$tree/backup/csv/a.csv.zst" | same "$tree/data/a.csv" -
	[[ -s $tree/data/sorted/b.csv ]]
	matches '"hash":' srv.ndjson
}

@test "the examples of vega-submit(1) work" {
	start vega-run --quiet
	run_examples vega-submit.1 6
	matches '"newer_than":' "$out"
}

@test "the examples of vega-run(1) work" {
	vega-submit "$tree/data"
	run_examples vega-run.1 2
	expect 0 vega-status --state completed
	lines 1 "$out"
}

@test "the examples of vega-status(1) work" {
	id=$(vega-submit find "$tree/data")
	export id
	vega-run --drain
	run_examples vega-status.1 5
	matches "^$tree/data/a.csv\$" "$out"
	matches '"matched":5' "$out"
}

@test "the examples of vega-cancel(1) work" {
	run_examples vega-cancel.1 2
	expect 0 vega-status --state cancelled
	lines 1 "$out"
}

@test "the examples of vega-admin(1) work" {
	vega-submit "$tree/data"
	run_examples vega-admin.1 3
	matches '^\["default",1,' "$out"
}

@test "the examples of vega(7) work" {
	run_examples vega.7 12
	zstd -dc "$tree/backup/csv/in/b.csv.zst" | same "$tree/data/in/b.csv" -
	matches '"transform":\{"written":1,"current":2' "$out"
}

@test "the examples of vega-formats(5) work" {
	run_examples vega-formats.5 3
	matches '"summarize"' "$out"
	matches '"extension":"csv"' "$out"
	matches 'releases/v1/vega.tar,5000,' "$out"
}

@test "the specification in vega-formats(5) is what vega-submit prints" {
	expect 0 vega-submit --dry-run find -e csv --min-size 1M "$tree/data"
	sed "s#$tree##" "$out" >got
	sed -n '/^{"v":1/,/^\.Ed/ { /^\.Ed/!p }' "$SOURCE/man/vega-formats.5" | tr -d '\n ' | jq -c . >wanted
	same wanted got
}

# Every member of what is printed is described.
@test "vega-formats(5) describes every member" {
	{
		vega-walk summarize,find,hash --format ndjson "$tree/usr"
		vega-walk transform --to zstd --out "$tree/backup/usr" --format ndjson "$tree/usr"
		id=$(vega-submit --label a=b --idempotency-key k find "$tree/usr")
		vega-run --drain
		vega-status --format json "$id"
		sqlite3 "$XDG_STATE_HOME/vega/jobs.db" \
			"insert into worker values ('w', 'h', 1, '1', 1, 1, 1, 1, 1, '[]')"
		vega-status --workers --format json
		vega-admin stats --format json
		vega-admin prune --older-than 0s --format json
	} >all
	jq -r 'del(.spec, .labels) | .. | objects | keys[]' all | sort -u >members
	[[ $(wc -l <members) -gt 100 ]]
	while read -r member; do
		grep -qE "(^| )$member( |\$)" "$SOURCE/man/vega-formats.5" || echo "$member"
	done <members >unknown
	lines 0 unknown
}
