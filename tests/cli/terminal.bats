#!/usr/bin/env bats
# A summary on a terminal fits the screen, and the progress line is erased.
load ../lib/vega

# on_terminal ROWS COLUMNS COMMAND…: what it writes to a terminal of that size, in the file seen.
on_terminal() {
	local rows=$1 columns=$2
	shift 2
	need script
	script -qec "stty rows $rows cols $columns; ${*@Q}" /dev/null </dev/null |
		tr -d '\r' >seen
}

setup() {
	vega_setup
	export TERM=xterm NO_COLOR=1
	for d in 1 2 3 4; do
		for e in a b c d e f g h; do
			file t/$d/$e/$d.$e$d $((d * 5000))
		done
	done
}

@test "the picture fits the screen, unless --top or --depth sets its size" {
	on_terminal 24 80 vega-walk t
	(($(wc -l <seen) <= 22))
	matches '32 files, 37 directories' seen
	matches 'by extension' seen
	on_terminal 24 80 vega-walk --top 20 t
	(($(wc -l <seen) > 30))
	on_terminal 90 80 vega-walk t
	(($(wc -l <seen) > 30))
	expect 0 vega-walk t
	(($(wc -l <"$out") > 30))
}

@test "the picture of a result fits the screen, unless the job sets its size" {
	store=sqlite:$PWD/store.db
	export VEGA_STORE=$store
	expect 0 vega-submit t
	vega-submit --top 20 t >second
	vega-run --drain 2>/dev/null
	on_terminal 24 80 vega-status --result "$(cat "$out")"
	(($(wc -l <seen) <= 22))
	matches '32 files, 37 directories' seen
	on_terminal 24 80 vega-status --result "$(cat second)"
	(($(wc -l <seen) > 30))
}

@test "a small screen gives half of its lines to directories" {
	on_terminal 24 80 vega-walk t
	(($(sed '/^$/,$d' seen | wc -l) >= 10))
	on_terminal 15 40 vega-walk t
	(($(sed '/^$/,$d' seen | wc -l) >= 6))
	on_terminal 10 20 vega-walk t
	(($(wc -l <seen) <= 8))
	(($(sed '/^$/,$d' seen | wc -l) >= 4))
}

@test "the picture of --max-depth 1 has the directories of du -d1" {
	on_terminal 24 80 vega-walk -d 1 t
	lines 5 <(sed '1d; /^$/,$d' seen)
	lines 0 <(grep 'largest files' seen)
}

@test "several owners have a table, and a single one is named" {
	need_root
	on_terminal 40 80 vega-walk t
	matches 'owned by root$' seen
	chown 65534 t/1/a/*
	chown 12345 t/2/a/*
	on_terminal 24 80 vega-walk t
	matches 'by owner' seen
	matches '(^| )root +[━╸]' seen
	on_terminal 60 80 vega-walk t
	matches '(^| )12345 +[━╸]' seen
}

@test "an unreadable entry is reported once" {
	on_terminal 24 80 vega-walk t nowhere
	lines 1 <(grep 'could not be read' seen)
	matches '^vega-walk: nowhere: No such file' seen
	matches '1 entry could not be read' seen
	on_terminal 24 80 sh -c 'vega-walk t nowhere 2>said'
	matches 'could not be read$' said
}

@test "the progress line is erased before the picture, also without colour" {
	on_terminal 24 80 vega-walk --max-iops 100 t
	matches 'entr(y|ies), ' seen
	# Each has the next in its place; after the last comes the picture, on a line of its own.
	grep -a 'largest directories' seen | cat -v | matches '^(.*\^\[\[K)?allocated  ' /dev/stdin
	grep -a 'allocated  ' seen | tail -n 1 | grep -qv '/s'
}

@test "a dumb terminal gets no progress line" {
	TERM=dumb on_terminal 24 80 vega-walk --max-iops 300 t
	if grep -q $'\e' seen; then
		return 1
	fi
}
