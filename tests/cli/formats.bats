#!/usr/bin/env bats
# The formats, read by other programs: names arrive byte for byte, and nothing harms a terminal.
load ../lib/vega

# hex: NUL-terminated names on stdin, in hexadecimal, one a line, sorted.
hex() {
	perl -0ne 'chomp; print unpack("H*", $_), "\n"' | sort
}

# without REGEX FILE: no byte of it matches (Perl's).
without() {
	if LC_ALL=C grep -qaP -- "$1" "$2"; then
		show "$2" "$2" >&2
		return 1
	fi
}

# on_terminal COMMAND…: its output on a terminal of 80 columns, in $out.
on_terminal() {
	printf -v command '%q ' "$@"
	script -qec "stty cols 80 rows 24; $command" /dev/null >"$out" </dev/null
}

# harmless FILE: no control bytes but line ends and colours.
harmless() {
	sed 's/\x1b\[[0-9;]*m//g; s/\r$//' "$1" >plain
	without '[\x00-\x08\x0b-\x1f\x7f]' plain
	iconv -f UTF-8 -t UTF-8 plain >/dev/null
}

setup() {
	vega_setup
	strange_tree tree
	find tree -print0 | hex >wanted
}

@test "text with -0 prints every name as it is" {
	expect 0 vega-walk find -0 tree
	hex <"$out" >got
	same wanted got
}

@test "ndjson is read by other programs, every line and every name" {
	need jq
	expect 0 vega-walk find --format=ndjson tree
	holds . "$out" >/dev/null
	[[ $(tail -n 1 "$out") == '{"type":"summary"'* ]]
	jq -r 'select(.type == "entry") | .path_b64 // (.path | @base64)' "$out" |
		while read -r name; do
			base64 -d <<<"$name" | od -An -v -tx1 | tr -d ' \n'
			echo
		done | sort >got
	same wanted got
	without '\\u0000|\\ud[89a-f]' "$out"
}

# The names in FILE: their exact bytes where a column has them.
csv_names() {
	sqlite3 :memory: ".import --csv '$1' entry" "select lower(hex(path)) || ' ' || path_b64 from entry" |
		perl -MMIME::Base64 -lane 'print $F[1] ? unpack("H*", decode_base64($F[1])) : $F[0]' | sort
}

@test "csv is read by SQLite, every name" {
	need sqlite3
	expect 0 vega-walk find --format=csv tree
	csv_names "$out" >got
	same wanted got
	[[ $(sqlite3 :memory: ".import --csv '$out' entry" \
		"select count(*) from entry where type = 'f' and size > 0") == "$((${#strange[@]} + 1))" ]]
}

@test "csv is UTF-8, and has the exact bytes of other names beside them" {
	need iconv
	local header
	rm tree/xxxx* # no room for .zst
	for arguments in 'find' 'hash' 'summarize,find,hash' 'summarize -N 100' 'transform --to zstd --out o'; do
		# shellcheck disable=SC2086
		expect 0 vega-walk $arguments --format=csv tree
		iconv -f UTF-8 -t UTF-8 "$out" >/dev/null
		matches "$(printf 'tree/\xff\xfe' | base64)" "$out"
		matches $'tree/\xef\xbf\xbd\xef\xbf\xbd' "$out"
		read -r header <"$out"
		[[ $header == *_b64 ]]
	done
	[[ $header == *,path_b64,output_b64 ]]
	expect 0 vega-walk find --format=csv tree/ünï
	[[ $(tail -n 1 "$out") == tree/ünï,f,*, ]]
}

@test "csv has one table for several operations" {
	need sqlite3
	expect 0 vega-walk summarize,find,hash --format=csv tree
	sqlite3 :memory: ".import --csv '$out' entry" \
		'select op, count(*) from entry group by op order by op' >got
	matches "^find\|$(wc -l <wanted)\$" got
	matches "^hash\|$(find tree -type f -print0 | hex | wc -l)\$" got
	matches '^summarize\|' got
	[[ $(sqlite3 :memory: ".import --csv '$out' entry" \
		"select files from entry where section = 'total' and key = 'directories'") == 2 ]]
}

@test "json is only the summary" {
	need jq
	expect 0 vega-walk find --format=json tree
	lines 1 "$out"
	[[ $(jq -c '[.type, .v, .complete, .find.matched]' "$out") == "[\"summary\",1,true,$(wc -l <wanted)]" ]]
}

@test "a terminal gets no control byte of a name, in any format" {
	need script iconv
	for format in text ndjson csv; do
		on_terminal vega-walk find --format=$format tree
		harmless "$out"
		(($(wc -l <plain) >= $(wc -l <wanted)))
	done
	for op in summarize hash; do
		on_terminal vega-walk $op tree
		harmless "$out"
	done
}

@test "the picture has colour only on a terminal that wants it" {
	need script
	export TERM=xterm
	on_terminal vega-walk tree
	grep -q $'\x1b\\[' "$out"
	NO_COLOR=1 on_terminal vega-walk tree
	without '\x1b' "$out"
	TERM=dumb on_terminal vega-walk tree
	without '\x1b' "$out"
	TERM=xterm on_terminal vega-walk --color never tree
	without '\x1b' "$out"
	NO_COLOR=1 expect 0 vega-walk --color=always tree
	grep -q $'\x1b\\[' "$out"
	sed 's/\x1b\[[0-9;]*m//g' "$out" >plain
	expect 0 vega-walk --color=auto tree
	same plain "$out"
	expect 0 vega-walk tree
	same plain "$out"
	without '\x1b' "$out"
	matches ' tree +━' "$out"
	LC_ALL=C expect 0 vega-walk tree
	matches ' tree +#' "$out"
	without '[\x80-\xff]' "$out"
}

@test "a full disk is an error, with and without --sort" {
	for options in '' --sort; do
		# shellcheck disable=SC2086
		status=0
		vega-walk find $options tree >/dev/full 2>"$err" || status=$?
		((status == 2))
		matches '^vega-walk: cannot write to standard output: No space left on device$' "$err"
	done
}

@test "--sort orders whole paths by their bytes, and lets all below a directory follow it" {
	mkdir -p t/a t/a-b t/a.c
	touch t/a/x t/a-b/x t/a.c/x t/a0
	expect 0 vega-walk find --sort t
	printf '%s\n' t t/a t/a/x t/a-b t/a-b/x t/a.c t/a.c/x t/a0 >wanted
	same wanted "$out"
	expect 0 vega-walk find --sort -0 t
	find t -print0 | path_sort >wanted
	same wanted "$out"
}
