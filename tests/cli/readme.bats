#!/usr/bin/env bats
# The commands of the README work.

load ../lib/vega

# The commands of its "sh" blocks, one script.
readme() {
	sed -n '/^```sh$/,/^```$/ { /^```/!p }' "$SOURCE/README.md"
}

setup() {
	vega_setup
	mkdir "$HOME/data"
	file "$HOME/data/logs/app.log" 3000000
	file "$HOME/data/tables/a.csv" 2000000
	printf 'b,2\na,1\nb,2\n' >"$HOME/data/tables/b.csv"
	file "$HOME/data/.git/config" 2000000
}

@test "the tour and the job commands of the README work" {
	need jq
	readme >tour
	lines 20 <(grep -E '^[a-z]' tour)
	expect 0 bash -euo pipefail -x tour
	matches '^[0-9]+$' "$out"                         # the exact size
	matches '^/.*/data/logs/app\.log$' "$out"             # found
	run ! grep -q '^/.*/\.git/config' "$out"              # excluded
	matches '/data/tables/b\.csv$' "$out"             # counted by wc
	matches '^[0-9a-f]{64}  ' SUMS
	zstd -dc "$HOME/packed/tables/b.csv.zst" | same "$HOME/data/tables/b.csv" -
	printf 'a,1\nb,2\n' | same - "$HOME/sorted/tables/b.csv"
	matches '"summarize":' all.ndjson
	zstd -dc "$HOME/backup/tables/b.csv.zst" | same "$HOME/data/tables/b.csv" -
	matches 'COMPLETED' "$out"
	lines 2 records.ndjson
}

@test "quickstart walks a tree and completes a job" {
	small_tree tree
	VEGA_BUILD=$BUILD expect 0 "$TESTS/quickstart" tree
	matches '^\$ vega-walk tree$' "$out"
	matches 'COMPLETED' "$out"
	[ -s build/quickstart/vega/jobs.db ]
	[ ! -e "$XDG_STATE_HOME/vega" ]
}
