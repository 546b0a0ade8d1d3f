#!/usr/bin/env bats
# vega-walk summarize: its sums are those of du and find, for any number of threads; and how a walk ends.
load ../lib/vega

# summary ARGUMENTS…: that of summarize, in $out.
summary() {
	expect 0 vega-walk summarize --format=json "$@"
	holds '.complete and .ledger.entries == .ledger.reported + .ledger.filtered + .ledger.errors' "$out" >/dev/null
}

# of FILTER: of the summary in $out.
of() {
	jq -r "$1" "$out"
}

# equals GOT WANTED
equals() {
	[[ $1 == "$2" ]] || {
		echo "got $1, wanted $2" >&2
		return 1
	}
}

# counted ROOT…: the summary in $out has the counts of find and the sums of du.
counted() {
	equals "$(of .ledger.entries)" "$(find "$@" -printf x | wc -c)"
	equals "$(of .summarize.files)" "$(find "$@" -type f -printf x | wc -c)"
	equals "$(of .summarize.directories)" "$(find "$@" -type d -printf x | wc -c)"
	equals "$(of .summarize.links)" "$(find "$@" -type l -printf x | wc -c)"
	equals "$(of .summarize.others)" "$(find "$@" ! -type f,d,l -printf x | wc -c)"
	equals "$(of .summarize.allocated_bytes)" "$(du -s -c --block-size=1 "$@" | awk 'END { print $1 }')"
	equals "$(of .summarize.apparent_bytes)" "$(du -s -c -b "$@" | awk 'END { print $1 }')"
	equals "$(of .summarize.hard_links.names)" "$(find "$@" ! -type d -links +1 -printf x | wc -c)"
	equals "$(of .summarize.hard_links.inodes)" "$(find "$@" ! -type d -links +1 -printf '%D %i\n' | sort -u | wc -l)"
}

# Enough to need a team: 60 directories of 60 entries, with hard links within and between them.
grove() { # DIRECTORY
	perl -e '
		chdir shift or die;
		my @extension = ("", ".c", ".h", ".csv", ".tar.gz", ".TXT");
		for my $d (1 .. 60) {
			my $dir = $d % 7 ? "d$d" : "d" . ($d - 1) . "/in$d";
			mkdir $dir or die "$dir: $!";
			for my $f (1 .. 60) {
				my $name = "$dir/f$f$extension[$f % 6]";
				open my $file, ">", $name or die "$name: $!";
				print $file "x" x ($f * $f * $d % 20011);
				close $file;
				link $name, "$dir/also$f" if $f % 9 == 0;
				link $name, ($d % 7 ? "d1" : "d2") . "/from$d-$f" if $f % 13 == 0;
			}
			symlink "f1", "$dir/link";
		}' "$1"
}

setup() {
	vega_setup
	small_tree t/small
	strange_tree t/strange
	mkdir t/grove
	grove t/grove
	truncate -s 3G t/sparse
	ln t/sparse t/small/sparse-too
	ln t/strange/-dash t/grove/d1/-dash
	mkfifo t/fifo2
	ln t/fifo2 t/fifo3
}

@test "the summary has the sums of du and the counts of find" {
	summary --depth 9 t
	counted t
	holds '.summarize | (.files + .links + .others) as $names |
		[.by_extension, .by_owner, .by_age, .by_size] | map(map(.files) | add) | all(. == $names)' "$out"
	holds '.summarize | .allocated_bytes as $all | .directory_bytes.allocated as $own |
		[.by_extension, .by_owner, .by_age, .by_size] | map(map(.allocated_bytes) | add) | all(. == $all - $own)' "$out"
	equals "$(of '.summarize.by_extension[] | select(.extension == "csv") | .files')" \
		"$(find t -iname '?*.csv' -printf x | wc -c)"
	equals "$(of '.summarize.by_size[] | select(.size == "0") | .files')" "$(find t ! -type d -size 0c -printf x | wc -c)"
	equals "$(of '.summarize.by_directory[] | select(.path == "t/grove") | .files')" \
		"$(find t/grove ! -type d -printf x | wc -c)"
	equals "$(of '.summarize.largest_files[0].path')" "$(find t -type f -printf '%b %p\n' | sort -k1,1nr -k2 | sed -n '1s/[0-9]* //p')"
}

@test "the summary has the sums of du and find on a tree of the system" {
	summary /usr/share
	counted /usr/share
}


@test "--max-depth, -d and --depth show nothing deeper, and everything below is counted" {
	summary t
	jq -S '.summarize | del(.largest_files, .largest_directories, .by_directory)' "$out" >wanted
	du -d1 -B1 t | sort -k2 >lines
	for option in '-d 1' '--max-depth 1' '--depth=1' '-d 3 --depth 1'; do
		# shellcheck disable=SC2086
		summary $option t
		jq -S '.summarize | del(.largest_files, .largest_directories, .by_directory)' "$out" >got
		same wanted got
		of '.summarize.by_directory[] | "\(.depth) \(.path)"' | sort -k2 >got
		awk '{ print (/\// ? 1 : 0), $2 }' lines | same - got
		holds '.summarize.largest_directories | length > 1 and all(.depth <= 1)' "$out"
		holds '.summarize.largest_files | all(.path | split("/") | length <= 2)' "$out"
	done
	expect 0 vega-walk -d 1 t
	sed -n '2,/^$/p' "$out" | grep -c . | same - <(wc -l <lines)
	expect 0 vega-walk --depth 0 t
	equals "$(sed -n '2,/^$/p' "$out" | grep -c .)" 1
}

@test "--descend looks at nothing deeper" {
	summary --descend 1 t
	equals "$(of '.ledger.entries')" "$(find t -maxdepth 1 | wc -l)"
	equals "$(of '.summarize.files + .summarize.directories + .summarize.links + .summarize.others')" \
		"$(find t -maxdepth 1 | wc -l)"
	expect 2 vega-walk --min-depth 2 --descend 1 t
	matches '--min-depth \(2\) is above --descend \(1\)' "$err"
}

@test "fused operations each obey --max-depth and --descend" {
	summary t/grove
	jq -S '.summarize.allocated_bytes' "$out" >wanted
	expect 0 vega-walk summarize,find,hash --format ndjson --sort -d 2 t/grove
	jq -r 'select(.type == "entry") | .path' "$out" | sort -u >got
	find t/grove -maxdepth 2 | sort | same - got
	jq -r 'select(.op == "hash") | .path' "$out" | sort >got
	find t/grove -maxdepth 2 -type f | sort | same - got
	jq -S 'select(.type == "summary") | .summarize.allocated_bytes' "$out" | same wanted -
	equals "$(jq 'select(.type == "summary") | .hash.files' "$out")" "$(find t/grove -maxdepth 2 -type f | wc -l)"
	expect 0 vega-walk summarize,find --format ndjson --sort -d 1 --descend 2 t/grove
	jq -r 'select(.path) | .path' "$out" | sort -u >got
	find t/grove -maxdepth 1 | sort | same - got
	equals "$(jq 'select(.type == "summary") | .summarize.directories' "$out")" "$(find t/grove -maxdepth 2 -type d | wc -l)"
}

# omitted LINE OPTIONS... : the picture of t/part ends with that line.
omitted() {
	local wanted=$1
	shift
	expect 0 vega-walk "$@" t/part
	[[ $(tr '\n' ' ' <"$out") == *" $wanted " ]] || equals "$(cat "$out")" "… $wanted"
}

@test "the picture of a part says how much was left out, and by which option" {
	mkdir -p t/part/.hidden/in t/part/sub/deep
	touch t/part/a.csv t/part/b.log t/part/.hidden/c.csv t/part/sub/d.csv t/part/sub/deep/e.log
	omitted '7 of 10 entries left out (--extension)' -e csv
	omitted '1 of 8 entries left out (--exclude), 1 directory not entered (--exclude)' -E .hidden
	omitted '1 of 8 entries left out (--skip-hidden), 1 directory not entered (--skip-hidden)' --skip-hidden
	omitted '2 directories not entered (--descend)' --descend 1
	omitted '1 of 10 entries left out (--min-depth)' --min-depth 1
	omitted '3 of 10 entries left out (--not)' --not -n '*.csv'
	omitted '5 of 10 entries left out (--name, --not, --or)' -n '*.log' --or -n '*.csv' --or -t f --not -n 'x'
	expect 0 vega-walk hash -d 1 --format json t/part
	holds '.not_entered == {directories: 2, options: ["max-depth"]}' "$out"
	for options in '' '-d 1' '--min-size 0' '-E nothing' '-x'; do
		# shellcheck disable=SC2086
		expect 0 vega-walk $options t/part
		if grep -E 'left out|not entered' "$out"; then
			return 1
		fi
	done
	summary -e csv --descend 1 t/part
	equals "$(of '.left_out | "\(.entries) \(.options | join(","))"')" '4 extension'
	equals "$(of '.not_entered | "\(.directories) \(.options | join(","))"')" '2 descend'
	summary t/part
	holds 'has("left_out") or has("not_entered") | not' "$out"
}

@test "each directory's total is that of du" {
	summary --depth 9 t/grove t/small
	of '.summarize.by_directory[] | "\(.allocated_bytes)\t\(.path)"' | sort >got
	# du charges a file with several names to the first that it meets; here to the least path.
	find t/grove t/small -depth -type d | while IFS= read -r dir; do
		find t/grove t/small -printf '%D %i %b %y %p\n' | LC_ALL=C sort -k5 | awk -v dir="$dir" '
			$4 != "d" && seen[$1, $2]++ { next }
			substr($0, index($0, $5)) == dir || index(substr($0, index($0, $5)), dir "/") == 1 { sum += $3 * 512 }
			END { printf "%d\t%s\n", sum, dir }'
	done | sort >wanted
	same wanted got
}

@test "the summary is the same for any number of threads" {
	summary -j 1 --depth 3 --top 50 t
	jq -S 'del(.elapsed_ns)' "$out" >wanted
	for threads in 2 3 16 64; do
		for _ in 1 2 3; do
			summary -j $threads --depth 3 --top 50 t
			jq -S 'del(.elapsed_ns)' "$out" >got
			same wanted got
		done
	done
}

@test "roots may be several, files and links, and overlaps count once" {
	summary t/small t/grove t/strange
	counted t/small t/grove t/strange
	summary t/sparse t/small/sparse-too t/small/zero
	counted t/sparse t/small/sparse-too t/small/zero
	ln -s t/grove to-grove
	summary to-grove
	counted to-grove/
	summary t
	jq -S 'del(.elapsed_ns, .roots) | .summarize' "$out" >wanted
	for roots in 't t' 't t/small' 't/small t' 't/small/docs t t/grove/../grove t/sparse' 't t/ ./t' 'to-grove t'; do
		# shellcheck disable=SC2086
		summary $roots
		jq -S 'del(.elapsed_ns, .roots) | .summarize' "$out" >got
		same wanted got
	done
}

@test "sums beyond 64 bits are exact" {
	disk tmpfs 1M huge
	for i in 1 2 3; do
		truncate -s 9223372036854775807 "huge/$i"
	done
	summary huge/1 huge/2 huge/3
	matches '"apparent_bytes":27670116110564327421,' "$out"
	summary huge
	own=$(of .summarize.directory_bytes.apparent)
	matches "\"apparent_bytes\":$(perl -Mbigint -e "print 27670116110564327421 + $own")," "$out"
	expect 0 vega-walk huge
}

@test "unreadable directories are named, the rest is done, and the status is 3" {
	need_root
	chmod 700 t/small/docs t/grove/d5
	chmod 755 t t/small
	expect 3 as_nobody vega-walk summarize --format=json t
	holds '.complete and .ledger.errors == 2 and
		.ledger.entries == .ledger.reported + .ledger.filtered + .ledger.errors' "$out"
	equals "$(of .ledger.entries)" "$(($(find t -path t/small/docs -prune -print0 -o -path t/grove/d5 -prune -print0 -o \
		-print0 | tr -cd '\0' | wc -c) + 2))"
	lines 3 "$err"
	matches '^vega-walk: t/small/docs: Permission denied$' "$err"
	matches '^vega-walk: t/grove/d5: Permission denied$' "$err"
	matches '^vega-walk: 2 entries could not be read$' "$err"
	expect 3 as_nobody vega-walk find --format=ndjson t
	holds -s 'map(select(.type == "error").path) | sort == ["t/grove/d5", "t/small/docs"]' "$out"
	expect 3 vega-walk find t/small nowhere
	matches '^vega-walk: nowhere: No such file or directory$' "$err"
	equals "$(wc -l <"$out")" "$(find t/small | wc -l)"
}

@test "a directory may be read but not entered, or entered but not read" {
	need_root
	mkdir -p half/{list,enter}
	touch half/{list,enter}/file
	chmod 744 half/list
	chmod 711 half/enter
	expect 0 as_nobody vega-walk find --sort half/list
	printf '%s\n' half/list half/list/file >wanted
	same wanted "$out"
	expect 3 as_nobody vega-walk summarize --format=json half
	holds '.ledger == {"entries": 5, "reported": 3, "filtered": 0, "errors": 2}' "$out"
}

@test "a usage error gives one line, status 2, and nothing on standard output" {
	for arguments in '--no-such-option' '--min-size 1Z' '--newer-than 5m' '-j 0' '--type z' '--perm 9' '--regex (' \
		'--format yaml' '--min-size 2 --max-size 1' 's3://bucket/x' '--depth -1'; do
		# shellcheck disable=SC2086
		expect 2 vega-walk $arguments
		lines 0 "$out"
		matches '^vega-walk: ' "$err"
		lines 2 "$err"
	done
}

@test "Ctrl-C prints the results so far, marked incomplete" {
	mkdir long
	truncate -s 4T long/sparse
	touch long/{1,2,3}
	for format in json text; do
		start vega-walk summarize,hash --format=$format long
		eventually 20 grep -q '^syscr: *[1-9][0-9][0-9]' "/proc/$pid/io"
		kill -INT "$pid"
		status=0
		wait "$pid" || status=$?
		equals $status 130
		matches 'interrupted' "$err.$pid"
		mv "$out.$pid" "$out"
		[[ $format == text ]] || holds -s 'last | .complete == false and (.ledger | .entries == .reported + .filtered + .errors)
			and .summarize.files >= 1' "$out"
	done
	matches 'incomplete' "$out"
}

@test "SIGTERM and SIGHUP end a walk like Ctrl-C" {
	mkdir long
	truncate -s 4T long/sparse
	for signal in TERM:143 HUP:129; do
		start vega-walk summarize,hash --format=json long
		eventually 20 grep -q '^syscr: *[1-9][0-9][0-9]' "/proc/$pid/io"
		kill "-${signal%:*}" "$pid"
		status=0
		wait "$pid" || status=$?
		equals $status "${signal#*:}"
		holds -s 'last | .complete == false' "$out.$pid"
	done
}

@test "SIGUSR1 prints a progress line, also in the middle of one large file" {
	mkdir long
	truncate -s 4T long/sparse
	start vega-walk hash long
	eventually 20 grep -q '^syscr: *[1-9][0-9][0-9]' "/proc/$pid/io"
	kill -USR1 "$pid"
	eventually 10 grep -qE '^vega-walk: [0-9]+ entries, [0-9,]+/s, .* read, .*/s$' "$err.$pid"
	kill -INT "$pid"
	wait "$pid" || true
}

@test "a closed pipe ends a walk, and is no error" {
	for options in '' --format=ndjson; do
		# shellcheck disable=SC2086
		timeout 30 bash -o pipefail -c 'vega-walk find "$@" / 2>err | head -n 1; echo "${PIPESTATUS[0]}" >status' - $options >"$out"
		lines 1 "$out"
		equals "$(<status)" 141
		if grep -v 'No such file' err; then
			fail
		fi
	done
}

@test "output that cannot be written is an error" {
	for arguments in 'summarize' 'summarize --format=json' 'summarize --format=csv' 'find' 'find --format=ndjson' 'hash'; do
		status=0
		# shellcheck disable=SC2086
		vega-walk $arguments t >/dev/full 2>"$err" || status=$?
		equals $status 2
		matches 'cannot write to standard output: No space left on device' "$err"
		status=0
		# shellcheck disable=SC2086
		vega-walk $arguments t >&- 2>"$err" || status=$?
		equals $status 2
		matches 'cannot write to standard output: Bad file descriptor' "$err"
	done
}

@test "--files0-from reads roots from a file or a pipe" {
	printf '%s\0' t/small t/grove/d1 t/strange/-dash $'t/strange/new\nline' >roots
	expect 0 vega-walk find -0 --files0-from roots
	LC_ALL=C sort -z "$out" >got
	find t/small t/grove/d1 t/strange/-dash $'t/strange/new\nline' -print0 | LC_ALL=C sort -z >wanted
	cmp wanted got
	expect 0 bash -c 'vega-walk find -0 --files0-from=- <roots'
	LC_ALL=C sort -z "$out" >got
	cmp wanted got
	find t/strange -type f -print0 >roots
	summary --files0-from roots
	equals "$(of .summarize.files)" "$(find t/strange -type f -print0 | tr -cd '\0' | wc -c)"
	expect 2 vega-walk find --files0-from roots t
	expect 2 vega-walk find --files0-from nowhere
	matches 'nowhere: No such file' "$err"
	: >roots
	expect 2 vega-walk find --files0-from roots
}

@test "only regular files are opened, and no link is followed" {
	need strace
	mkdir -p outside/secret
	ln -s ../../outside t/small/way-out
	export ASAN_OPTIONS=detect_leaks=0
	expect 0 strace -f -o trace -e trace=openat,openat2,open,newfstatat,statx vega-walk summarize,hash t
	if grep -E '"(fifo|fifo2|fifo3|way-out|link|dangling)"' trace | grep -vE 'statx\(.*AT_SYMLINK_NOFOLLOW'; then
		fail
	fi
	if grep -E 'secret|outside/' trace; then
		fail
	fi
}

# without_statx COMMAND…: a seccomp filter answers EPERM, as older container sandboxes do.
without_statx() {
	perl -e 'my ($prctl, $statx) = `uname -m` =~ /x86_64/ ? (157, 332) : (167, 291);
		my $filter = join "", map { pack "SCCL", @$_ } [0x20, 0, 0, 0], [0x15, 0, 1, $statx], [0x06, 0, 0, 0x50001], [0x06, 0, 0, 0x7fff0000];
		my $program = pack "Sx6P", 4, $filter;
		syscall($prctl, 38, 1, 0, 0, 0) == 0 && syscall($prctl, 22, 2, $program) == 0 or die "seccomp: $!";
		exec { $ARGV[0] } @ARGV or die' "$@"
}

@test "a sandbox that refuses statx changes no answer" {
	small_tree in
	for arguments in 'find --sort -F ndjson' 'hash --sort -F ndjson' '-F json'; do
		# shellcheck disable=SC2086
		expect 0 vega-walk $arguments in
		jq -c 'del(.elapsed_ns)' "$out" >wanted
		# shellcheck disable=SC2086
		expect 0 without_statx "$(command -v vega-walk)" $arguments in
		jq -c 'del(.elapsed_ns)' "$out" | same wanted -
	done
	expect 1 without_statx stat in # coreutils has no other way
	matches 'Operation not permitted' "$err"
}

@test "access times stay, where the kernel allows it" {
	need_root
	mkdir disk
	truncate -s 8M image
	mkfs.ext4 -q image
	mount -o loop,strictatime image disk
	file disk/sub/f 1000
	file disk/sub/others 1000
	chown 65534 disk/sub/others
	touch -a -d 2020-01-01 disk/sub/f disk/sub/others disk/sub disk
	for operation in find hash summarize; do
		expect 0 vega-walk "$operation" disk
		[[ $(stat -c %X disk/sub/f disk/sub/others disk/sub disk | sort -u) == 1577836800 ]]
	done
	chmod 755 disk disk/sub disk/sub/*
	open_to_all
	expect 0 as_nobody "$BUILD/vega-walk" hash disk/sub # others' files are read all the same
	lines 2 "$out"
	[[ $(stat -c %X disk/sub/others) == 1577836800 && $(stat -c %X disk/sub/f) != 1577836800 ]]
}
