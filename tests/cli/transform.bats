#!/usr/bin/env bats
# vega-walk transform: the mirrored tree, its codecs and filters, and its failures.
load ../lib/vega

# A tree to transform: strange names, an empty file, a large one, odd modes and times.
transform_tree() {
	strange_tree "$1"
	mkdir -p "$1/a/b/c"
	seq 1 200000 >"$1/a/b/c/large.csv"
	: >"$1/a/empty"
	echo set >"$1/a/suid"
	chmod 6750 "$1/a/suid"
	touch -d '1969-12-31 23:59:58.123456789' "$1/a/suid"
	chmod 400 "$1/a/b/c/large.csv"
	ln -s b "$1/a/link"
	mkfifo "$1/a/fifo"
}

# The content of a tree: name, mode, mtime and digest of each file.
listing() { # DIRECTORY
	(cd "$1" && find . -type f -printf '%m %T@ %p\0' | sort -z &&
		find . -type f -print0 | sort -z | xargs -0 sha256sum --zero --) | tr '\0' '\n'
}

temporaries() { # DIRECTORY: how many temporary files are in it
	find "$1" -name '.vega-*' | wc -l
}

any_file() { # DIRECTORY
	[[ $(find "$1" -type f -print -quit) ]]
}

@test "transform compresses and decompresses a tree unharmed: names, content, modes and times" {
	local codec
	transform_tree in
	# A name of 255 bytes has no room for an ending: it is told, and the rest is done.
	expect 3 vega-walk transform --to zstd --out packed-zstd in
	matches "longer than 255 bytes" "$err"
	find in -name 'xxxxxxxx*' -delete
	listing in | sed 's/^6750 /750 /' >wanted
	for codec in zstd gzip; do
		expect 0 vega-walk transform --to $codec --out packed-$codec in
		expect 0 vega-walk transform --to none --out back-$codec packed-$codec
		listing back-$codec >got
		same wanted got
		(($(temporaries packed-$codec) == 0))
	done
	find packed-zstd -type f -print0 | xargs -0 zstd -tq --
	find packed-gzip -type f -print0 | xargs -0 gzip -t --
	[[ ! -e packed-zstd/a/link.zst && ! -e packed-zstd/a/fifo.zst ]]
}

@test "transform prints the paths of the outputs, which the next command reads" {
	small_tree in
	expect 0 vega-walk transform -e csv --to gzip --out out -0 in
	xargs -0 gzip -dc <"$out" | wc -c >bytes
	(($(<bytes) == 2000 + 2000 + 10000))
	rm -r out
	expect 0 vega-walk transform -e csv --to gzip --out out --sort in
	printf '%s\n' out/docs/b.csv.gz out/docs/old/c.csv.gz out/hardlink.csv.gz >wanted
	same wanted "$out"
}

@test "transform prints what it wrote, not what is current, and on a terminal how many of each" {
	mkdir in
	echo 1 >in/a
	echo 2 >in/b
	expect 0 vega-walk transform --to gzip --out out in
	expect 0 vega-walk transform --to gzip --out out in
	[[ ! -s $out && ! -s $err ]]
	echo 3 >in/c
	expect 0 vega-walk transform --to gzip --out out in
	[[ $(<"$out") == out/c.gz && ! -s $err ]]
	expect 0 vega-walk transform --to gzip --out out -F csv in
	lines 4 "$out"
	echo 44 >in/a
	echo 5 >in/d
	export TERM=xterm
	script -qec 'vega-walk transform --to gzip --out out in >listed; true' /dev/null </dev/null | tr -d '\r' >screen
	[[ $(<listed) == out/d.gz ]]
	matches '^vega-walk: 1 file written \(.*\), 2 up to date, 1 failed$' screen
	script -qec 'vega-walk transform --to gzip --out out -F ndjson in >listed; true' /dev/null </dev/null >screen
	(! grep 'up to date' screen)
	script -qec 'vega-walk transform --to gzip --out out in' /dev/null </dev/null >screen || true
	matches '0 files written, 3 up to date' screen
}

@test "records have input, output and sizes" {
	mkdir in
	printf 'hello\n' >in/a.csv
	printf 'x\xff' >in/$'b\xff'
	expect 0 vega-walk transform --to zstd --out out --format=ndjson in
	holds -s 'length == 3 and (map(select(.type == "entry")) | length == 2 and all(.op == "transform"
		and .status == "written"))' "$out"
	holds -s 'map(select(.path == "in/a.csv"))[0] | .output == "out/a.csv.zst" and .input_bytes == 6
		and .output_bytes == '"$(stat -c %s out/a.csv.zst)" "$out"
	[[ $(jq -r 'select(.output_b64) | .output_b64' "$out" | base64 -d) == $'out/b\xff.zst' ]]
	holds -s 'last | .complete and .transform.written == 2 and .transform.current == 0
		and .transform.failed == 0 and .transform.input_bytes == 8' "$out"
	expect 0 vega-walk transform --to zstd --out out --format=csv in/a.csv
	[[ $(<"$out") == $'path,output,status,input_bytes,output_bytes,path_b64,output_b64\nin/a.csv,out/a.csv.zst,current,6,'* ]]
}

@test "a second run writes nothing and reads nothing" {
	transform_tree in
	find in -name 'xxxx*' -delete
	expect 0 vega-walk transform --to zstd --out out in
	find out -type f -printf '%i %p\0' | sort -z >before
	expect 0 vega-walk transform --to zstd --out out --format=json in
	holds '.transform.written == 0 and .transform.current > 20 and .content.files_read == 0' "$out"
	echo more >>in/a/empty
	expect 3 vega-walk transform --to zstd --out out in
	matches 'in/a/empty: out/a/empty.zst: exists and differs; use --overwrite' "$err"
	find out -type f -printf '%i %p\0' | sort -z >after
	cmp before after
	expect 0 vega-walk transform --to zstd --out out --overwrite --format=json in
	holds '.transform.written == 1' "$out"
	[[ $(zstd -dcq out/a/empty.zst) == more ]]
	(($(temporaries out) == 0))
}

# In a job's stage it can be there although no output was in its place before.
@test "an output in the staging directory with the same time but another size is an error" {
	id=019b7a00-0000-7000-8000-000000000000
	mkdir -p in out
	mkdir -m 700 out/.vega-stage.$id.1
	printf 12345 >in/a
	printf 1234 | zstd -q >out/.vega-stage.$id.1/a.zst
	touch -d 2020-01-01 in/a out/.vega-stage.$id.1/a.zst
	expect 3 vega-walk transform --to zstd --out out --stage $id.1 in
	matches 'in/a: out/a.zst: exists and differs; use --overwrite' "$err"
}

@test "an output is current when it has its input's time and was made from the same number of bytes" {
	mkdir in
	for codec in zstd gzip; do
		printf 12345 >in/a
		touch -d 2020-01-01 in/a
		expect 0 vega-walk transform --to $codec --out out-$codec in
		# Rewritten with an older time, and with the same time but another size.
		printf 54321 >in/a
		touch -d 2019-01-01 in/a
		expect 3 vega-walk transform --to $codec --out out-$codec in
		matches 'exists and differs; use --overwrite' "$err"
		printf 123456 >in/a
		touch -d 2020-01-01 in/a
		expect 3 vega-walk transform --to $codec --out out-$codec in
		matches 'exists and differs; use --overwrite' "$err"
		expect 0 vega-walk transform --to $codec --out out-$codec --overwrite in
		expect 0 vega-walk transform --to $codec --out out-$codec --format json in
		holds '.transform.current == 1' "$out"
	done
	# The output of another tool counts as well.
	gzip -kc in/a >out-gzip/a.gz
	touch -r in/a out-gzip/a.gz
	expect 0 vega-walk transform --to gzip --out out-gzip --format json in
	holds '.transform.current == 1' "$out"
	matches '^vega-walk: 1 output counts as up to date by time alone' "$err"
	lines 1 "$err"
	# A filter's output does not say it, but what is noted on it does.
	expect 0 vega-walk transform --out sorted in -- sort
	printf 1234567 >in/a
	touch -d 2020-01-01 in/a
	expect 3 vega-walk transform --out sorted in -- sort
	matches 'in/a: sorted/a: exists and differs; use --overwrite' "$err"
}

@test "an output of another command, codec or level is not current" {
	mkdir in
	printf 'b\na\nc\na\n' >in/t
	expect 0 vega-walk transform --out o in -- sort
	expect 0 vega-walk transform --out o -F json in -- sort
	holds '.transform.current == 1' "$out"
	[[ ! -s $err ]]
	expect 3 vega-walk transform --out o in -- sort -ru
	matches 'in/t: o/t: exists and was made by another command, codec or level; use --overwrite' "$err"
	expect 0 vega-walk transform --overwrite --out o -F json in -- sort -ru
	holds '.transform.written == 1' "$out"
	[[ $(paste -sd ' ' o/t) == 'c b a' ]]
	expect 0 vega-walk transform --to zstd --out z in
	expect 3 vega-walk transform --to zstd --level 19 --out z in
	matches 'made by another command, codec or level' "$err"
	expect 0 vega-walk transform --to zstd --level 3 --out z -F json in # the default
	holds '.transform.current == 1' "$out"
	expect 0 vega-walk transform --to gzip --out z in
	expect 0 vega-walk transform --to none --out n z/t.zst
	cp z/t.gz z/t
	touch -r z/t.zst z/t
	expect 0 vega-walk transform --out n --overwrite -F json z/t -- cat
	holds '.transform.written == 1' "$out"
	# As a job, of the same size and time.
	id=$(vega-submit transform --out o in -- tr abc ABC)
	vega-run --drain --commands --root "$PWD"
	[[ $(vega-status -F json "$id" | jq .exit_code) == 3 ]]
	id=$(vega-submit transform --overwrite --out o in -- tr abc ABC)
	vega-run --drain --commands --root "$PWD"
	[[ $(vega-status -F json "$id" | jq .exit_code) == 0 ]]
	[[ $(paste -sd ' ' o/t) == 'B A C A' ]]
	id=$(vega-submit transform --overwrite --out o in -- tr abc XYZ)
	vega-run --drain --commands --root "$PWD"
	[[ $(paste -sd ' ' o/t) == 'Y X Z X' ]]
}

@test "an emptied or cut output, and an input changed at the same time and size, are not current" {
	mkdir in
	echo one >in/t
	touch -d @1 in/t
	expect 0 vega-walk transform --out o in -- cat
	: >o/t
	touch -r in/t o/t
	expect 3 vega-walk transform --out o in -- cat
	matches 'exists and differs' "$err"
	rm o/t
	: >o/t # and nothing is noted on it
	touch -r in/t o/t
	expect 3 vega-walk transform --out o in -- cat
	expect 0 vega-walk transform --out o --overwrite -F json in -- cat
	holds '.transform.written == 1' "$out"
	for to in '--to zstd --out z' '--to gzip --out z' '--out o'; do
		echo one >in/t
		touch -d @1 in/t
		# shellcheck disable=SC2086
		set -- transform $to in
		[[ $to == --to* ]] || set -- "$@" -- cat
		expect 0 vega-walk "${@:1:1}" --overwrite "${@:2}"
		echo two >in/t
		touch -d @1 in/t
		expect 0 vega-walk "$@"
		matches '^vega-walk: 1 output counts as up to date though a change of the input' "$err"
		expect 0 vega-walk "${@:1:1}" --overwrite -F json "${@:2}"
		holds '.transform.written == 1' "$out"
		expect 0 vega-walk "${@:1:1}" --overwrite -F json "${@:2}"
		holds '.transform.written == 0' "$out"
	done
	expect 0 vega-walk transform --to none --out n z/t.zst
	: >n/t
	touch -r z/t.zst n/t
	expect 3 vega-walk transform --to none --out n z/t.zst
	[[ $(<o/t) == two && $(zstd -dcq z/t.zst) == two && $(gzip -dc z/t.gz) == two ]]
}

@test "--overwrite=always writes every output anew, and other values than differing are refused" {
	mkdir in
	echo one >in/a
	echo two >in/b
	expect 0 vega-walk transform --to zstd --out o in
	for when in '' =differing; do
		expect 0 vega-walk transform --to zstd --out o "--overwrite$when" -F json in
		holds '.transform.written == 0' "$out"
	done
	expect 0 vega-walk transform --to zstd --out o --overwrite=always -F json in
	holds '.transform.written == 2 and .transform.current == 0' "$out"
	expect 2 vega-walk transform --to zstd --out o --overwrite=never in
	matches '^vega-walk: --overwrite never: not one of differing, always' "$err"
	[[ $(vega-submit --dry-run transform --overwrite --to zstd --out o in | jq -c .options.overwrite) == true ]]
	[[ $(vega-submit --dry-run transform --overwrite=always --to zstd --out o in | jq -c .options.overwrite) == '"always"' ]]
	before=$(stat -c %i o/a.zst)
	id=$(vega-submit transform --overwrite=always --to zstd --out o in)
	vega-run --drain --root "$PWD"
	[[ $(vega-status -F json "$id" | jq .summary.transform.written) == 2 && $(stat -c %i o/a.zst) != "$before" ]]
}

# A private, a shared and a read-only directory, each with a file, one of them two levels down.
directories() {
	mkdir -p in/private in/shared/plain/deep in/fixed
	touch in/private/f in/shared/plain/deep/f in/fixed/f
	chmod 700 in/private
	chmod 2775 in/shared
	chmod 750 in/shared/plain
	chmod 1711 in/shared/plain/deep
	chmod 555 in/fixed
	printf '%s\n' '700 private' '775 shared' '750 shared/plain' '711 shared/plain/deep' '755 fixed' | sort >wanted
}

@test "mirrored directories have the permissions of their inputs, and stay writable by their owner" {
	umask 027
	directories
	mkdir bare
	for where in out bare; do
		expect 0 vega-walk transform -j 3 --to gzip --out $where in
		find $where -mindepth 1 -type d -printf '%m %P\n' | sort | same wanted -
	done
	[[ $(stat -c %a out) == 750 ]]
	# Those that are there keep theirs.
	chmod 711 out/private
	touch in/private/g
	expect 0 vega-walk transform --to gzip --out out in
	[[ $(stat -c %a out/private) == 711 ]]
}

@test "mirrored directories of a job have the permissions of their inputs, too" {
	umask 027
	directories
	id=$(vega-submit transform --to gzip --out out in)
	expect 0 vega-run --drain
	expect 0 vega-status --wait "$id"
	find out -mindepth 1 -type d ! -name '.vega*' -printf '%m %P\n' | sort | same wanted -
}

# The group bits of a mode with a list are the most that anybody in it may.
@test "an access control list gives its rights to nobody else" {
	need setfacl
	mkdir -p in/closed in/open
	for name in in/closed/f in/open/f; do
		file $name 10
	done
	chmod 600 in/closed/f
	setfacl -m u:daemon:rw,g::---,m::rw in/closed/f
	setfacl -m u:daemon:rwx,g::---,m::rwx in/closed
	setfacl -m u:daemon:rw,g::r--,m::rw in/open/f
	chmod 751 in/open
	[[ $(stat -c %a in/closed/f in/closed in/open/f | xargs) == "660 775 664" ]]
	for option in "" "--max-iops 1000"; do
		# shellcheck disable=SC2086
		expect 0 vega-walk transform --to gzip --out out $option in
		[[ $(stat -c %a out/closed/f.gz out/closed out/open/f.gz out/open | xargs) == "600 705 644 751" ]]
		rm -r out
	done
}

@test "failed writes are counted apart from failed reads" {
	mkdir in
	touch in/{1,2,3}
	expect 3 vega-walk transform --to gzip --out out in nowhere
	matches '^vega-walk: 1 entry could not be read$' "$err"
	echo more >>in/1
	echo more >>in/2
	expect 3 vega-walk transform --to gzip --out out --format json in nowhere
	matches '^vega-walk: 1 entry could not be read, 2 files could not be written$' "$err"
	holds '.ledger.errors == 3 and .ledger.unwritten == 2' "$out"
	expect 3 vega-walk transform --to gzip --out out in
	matches '^vega-walk: 2 files could not be written$' "$err"
}

@test "the filters of a killed run end with it" {
	wide_tree in 40
	start vega-walk transform -j 3 --out out in -- sh -c 'echo $$ >>pids; exec sleep 1000'
	eventually 20 lines 3 pids
	kill -KILL "$pid"
	while read -r filter; do
		eventually 20 gone "$filter"
	done <pids
}

@test "an empty selection creates nothing" {
	small_tree in
	expect 0 vega-walk transform -e none --to zstd --out out in
	[[ ! -e out && ! -s $out ]]
}

@test "two inputs for one output are found before anything is written" {
	mkdir -p in/d other/d
	echo 1 | gzip >in/d/x.gz
	echo 2 | zstd -q >in/d/x.zst
	echo 3 >other/d/x
	expect 2 vega-walk transform --to none --out out in
	matches '^vega-walk: in/d/x.gz and in/d/x.zst would both be written to out/d/x;' "$err"
	lines 1 "$err"
	expect 2 vega-walk transform --out out in other -n x.zst -n x --output-name '{/.}' -- cat
	matches '^vega-walk: in/d/x.zst and other/d/x would both be written to out/d/x;' "$err"
	expect 2 vega-walk transform --out out other/d/x in/d/x.gz --output-name 'same{/.}' -- cat
	matches 'in/d/x.gz and other/d/x would both be written to out/samex;' "$err"
	echo 4 | gzip >in/d/y.gz
	echo 4 >in/d/y
	expect 2 vega-walk transform --to none --out out -j4 in
	matches 'in/d/x.gz and in/d/x.zst .*1 more' "$err"
	[[ ! -e out ]]
	expect 0 vega-walk transform --to gzip --out out in
}

@test "an output inside the input, or around it, is rejected without a trace" {
	mkdir -p in/sub
	echo x >in/sub/f
	local dir
	for dir in in in/out in/sub/new/out ./in/../in/x; do
		expect 2 vega-walk transform --to zstd --out "$dir" in
		matches '^vega-walk: --out .* lies inside the input in; ' "$err"
	done
	ln -s in link
	expect 2 vega-walk transform --to zstd --out link/out in
	matches 'lies inside' "$err"
	expect 2 vega-walk transform --to zstd --out . in
	matches 'contains the input in' "$err"
	[[ $(find in) == $'in\nin/sub\nin/sub/f' ]]
	expect 2 vega-walk transform --to zstd --out in/sub/f in/sub/f
	matches 'in/sub/f: not a directory' "$err"
	expect 2 vega-walk --allow-root "$PWD/in" transform --to zstd --out "$PWD/out" "$PWD/in/sub"
	[[ ! -e out ]]
}

@test "a root that is a file is written under its name, beside it too" {
	echo hello >a.csv
	expect 0 vega-walk transform --to gzip --out . a.csv
	[[ $(gzip -dc a.csv.gz) == hello && $(<"$out") == ./a.csv.gz ]]
	expect 0 vega-walk transform --to none --out . a.csv.gz # its output stands there already
	expect 3 vega-walk transform --to none --overwrite --out . a.csv
	matches 'a.csv: ./a.csv: is the input itself' "$err"
	[[ $(<a.csv) == hello ]]
	echo dash >./-dash.csv
	expect 0 vega-walk transform --to gzip --out out ./-dash.csv
	[[ $(gzip -dc out/-dash.csv.gz) == dash ]]
}

@test "data that are not whole zstd or gzip data are errors, and the rest is done" {
	mkdir in
	seq 1000 | gzip >in/good.gz
	seq 1000 | zstd -q >in/good.zst.zst
	cat in/good.gz in/good.gz >in/twice.gz
	cat in/good.zst.zst in/good.zst.zst >in/twice2.zst
	head -c 100 in/good.gz >in/cut.gz
	head -c 100 in/good.zst.zst >in/cut2.zst
	(cat in/good.gz && echo garbage) >in/tail.gz
	echo text >in/text.gz
	: >in/empty.gz
	expect 3 vega-walk transform --to none --out out in
	matches '^vega-walk: in/cut.gz: truncated gzip data$' "$err"
	matches '^vega-walk: in/cut2.zst: truncated zstd data$' "$err"
	matches '^vega-walk: in/tail.gz: not valid gzip data' "$err"
	matches '^vega-walk: in/text.gz: neither zstd nor gzip data$' "$err"
	matches '^vega-walk: in/empty.gz: neither zstd nor gzip data$' "$err"
	[[ $(cd out && echo *) == 'good good.zst twice twice2' ]]
	(($(wc -l <out/good) == 1000 && $(wc -l <out/good.zst) == 1000))
}

@test "a filter gets the content, and its output becomes the file" {
	transform_tree in
	expect 0 vega-walk transform --out upper in -- tr '[:lower:]' '[:upper:]'
	(cd in && find . -type f -print0) | while IFS= read -r -d '' name; do
		tr '[:lower:]' '[:upper:]' <"in/$name" | cmp - "upper/$name"
	done
	[[ $(stat -c '%a %.Y' upper/a/suid) == '750 -1.876543211' || $(stat -c %a upper/a/suid) == 750 ]]
	# The name as arguments, whatever it is: what it reads is what it is given.
	expect 0 vega-walk transform --out named in -- sh -c 'cat -- "$1" | cmp - /dev/stdin && printf "%s\n" "$@"' x \
		'{}' '{.}' '{/}' '{/.}' '{//}' 'a{}'
	printf '%s\n' in/a/b/c/large.csv in/a/b/c/large large.csv large in/a/b/c 'a{}' >wanted
	same wanted named/a/b/c/large.csv
	printf '%s\n' in/-dash in/-dash ./-dash ./-dash in 'a{}' >wanted
	same wanted named/-dash
	expect 0 vega-walk transform --out numbered -e csv --output-name '{/.}.{/}.n' in -- wc -l
	[[ $(<numbered/a/b/c/large.large.csv.n) == 200000 ]]
}

@test "a filter that fails leaves no output, and the error has its message" {
	mkdir in
	seq 5 >in/a
	seq 100000 >in/b
	expect 3 vega-walk transform --out out in -- sh -c 'cat; [ "$1" = a ] || { echo "no b" >&2; exit 3; }' x '{/}'
	matches '^vega-walk: in/b: sh: exit status 3: no b$' "$err"
	same in/a out/a
	[[ ! -e out/b ]]
	expect 3 vega-walk transform --out loud in/a -- sh -c 'printf "\033[31mred\n\nline\n" >&2; exit 1'
	matches '^vega-walk: in/a: sh: exit status 1: \\e\[31mred; line$' "$err"
	expect 3 vega-walk transform --out killed in -- sh -c 'kill -SEGV $$'
	matches '^vega-walk: in/a: sh: ended by SIGSEGV' "$err"
	expect 3 vega-walk transform --out slow --timeout 200ms in -- sleep 1000
	matches '^vega-walk: in/a: sleep: ended, it ran longer than --timeout$' "$err"
	[[ -z $(find killed slow -type f) ]]
	expect 2 vega-walk transform --out none in -- no-such-filter
	matches '^vega-walk: filter no-such-filter: not found in PATH' "$err"
	[[ ! -e none ]]
	expect 0 vega-walk transform --out true in -- true
	[[ -e true/b && ! -s true/b ]]
}

@test "impossible output names are rejected, one by one" {
	mkdir in
	echo 1 >in/...
	echo 2 >in/ok
	expect 2 vega-walk transform --out out --output-name '../{/}' in -- cat
	expect 2 vega-walk transform --out out --output-name 'all' in -- cat
	printf -v long '%0250d' 0
	expect 3 vega-walk transform --out out --output-name "{/}$long$long" in -- cat
	matches 'in/ok: the output.s name would be longer than 255 bytes' "$err"
	touch in/..x
	expect 3 vega-walk transform --out dots --output-name '{/.}' -n '..x' -n ok in -- cat
	matches 'in/..x: the output.s name would not be a plain name' "$err"
	[[ $(<dots/ok) == 2 ]]
}

@test "a link in the output tree is not followed" {
	mkdir -p in/d outside out
	echo x >in/d/f
	ln -s ../outside out/d
	expect 3 vega-walk transform --to zstd --out out --overwrite in
	matches '^vega-walk: in/d/f: out/d/f.zst: Not a directory$' "$err"
	rm out/d && mkdir out/d
	echo precious >outside/target
	ln -s ../../outside/target out/d/f.zst
	expect 3 vega-walk transform --to zstd --out out in
	expect 0 vega-walk transform --to zstd --out out --overwrite in
	[[ $(<outside/target) == precious && ! -L out/d/f.zst ]]
	rm out/d/f.zst && mkdir out/d/f.zst
	expect 3 vega-walk transform --to zstd --out out --overwrite in
	matches 'out/d/f.zst: Is a directory' "$err"
}

@test "many threads, and a second process, write each file once" {
	mkdir in
	perl -MFile::Path=make_path -e 'for my $i (1 .. 1500) {
		my $d = sprintf "in/%d/%d/%d", $i % 3, $i % 11, $i % 41;
		make_path $d; open my $f, ">", "$d/f$i"; print $f "file $i\n" x 20 }'
	start vega-walk transform --to gzip --out out -j16 --format=ndjson in
	local first=$pid
	start vega-walk transform --to gzip --out out -j16 --format=ndjson in
	wait "$first"
	wait "$pid"
	cat "$out.$first" "$out.$pid" >both
	holds -s 'map(select(.type == "entry")) | length == 3000 and (map(select(.status == "written")) | length == 1500)' both
	holds -s 'map(select(.type == "summary")) | length == 2 and all(.complete and .ledger.errors == 0)' both
	expect 0 vega-walk transform --to none --out back out
	listing in >wanted
	listing back >got
	same wanted got
	(($(temporaries out) == 0))
}

@test "few descriptors are enough" {
	mkdir in
	for i in {1..300}; do echo "$i" >"in/$i"; done
	expect 0 bash -c 'ulimit -n 40; exec vega-walk transform --to zstd --out out -j2 in'
	(($(find out -type f | wc -l) == 300))
}

@test "a stopped run ends its filters and keeps only complete outputs" {
	mkdir in
	for i in {1..20}; do echo "$i" >"in/$i"; done
	start vega-walk transform --out out -j2 --format=ndjson in -- sh -c 'cat; echo $$ >>pids; sleep 1000 & wait'
	eventually 20 test -s pids
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	((status == 128 + 15))
	local filter
	while read -r filter; do
		eventually 10 gone "$filter"
	done <pids
	[[ -z $(find out -type f) ]]
	holds -s 'last | .type == "summary" and (.complete | not)' "$out.$pid"
}

@test "a killed run leaves no incomplete output" {
	mkdir in
	for i in {1..6}; do head -c 10000000 /dev/urandom >"in/$i"; done
	start vega-walk transform --to gzip --out out -j2 in
	eventually 60 any_file out
	kill -KILL "$pid"
	wait "$pid" || true
	local file
	for file in out/*.gz; do
		[[ ! -e $file ]] || gzip -t "$file"
	done
	expect 0 vega-walk transform --to gzip --out out in
	for file in in/*; do
		gzip -dc "out/${file#in/}.gz" | cmp - "$file"
	done
	(($(temporaries out) == 0))
}

@test "each output on a full disk is complete or absent, and the error names it" {
	disk tmpfs 300k out
	mkdir in
	for i in {1..20}; do head -c 40000 /dev/urandom >"in/$i"; done
	expect 5 vega-walk transform --to gzip --out out --format=ndjson in
	matches '^vega-walk: not all is written, since --out out is full; make room and run it again: No space' "$err"
	holds -s 'map(select(.type == "error")) | length > 0 and length < 5 and
		all(.errno == "ENOSPC" and (.message | startswith("out/")))' "$out"
	holds -s 'last | .ledger.reported > 3 and (.complete | not)' "$out"
	(($(find out -type f | wc -l) == $(jq -s 'map(select(.type == "entry")) | length' "$out")))
	find out -type f -print0 | xargs -0 gzip -t
	(($(temporaries out) == 0))
	# A filter that does not look at its own errors.
	rm out/*
	expect 5 vega-walk transform --out out in -- sh -c "cat; exit 0"
	matches 'out/[0-9]+: No space left on device' "$err"
	for file in out/*; do
		cmp "$file" "in/${file#*/}"
	done
}

@test "a job whose output's disk is full is retried, and does the rest when there is room" {
	disk tmpfs 300k out
	mkdir in
	for i in {1..20}; do head -c 40000 /dev/urandom >"in/$i"; done
	id=$(vega-submit transform --to gzip --out out in)
	expect 0 vega-run --once --root "$PWD"
	matches "$id will be retried: .*not all is written, since --out .* is full" "$err"
	vega-status -F json "$id" >job
	holds '.state == "PENDING" and .attempt == 1' job
	[[ -z $(find out -mindepth 1) ]]
	mount -o remount,size=10M out
	expect 0 vega-run --drain --root "$PWD"
	vega-status -F json "$id" >job
	holds '.state == "COMPLETED" and .exit_code == 0 and .summary.transform.written == 20' job
	# Full from the beginning: no stage can be made.
	rm -r out/*
	mount -o remount,nr_inodes=2 out
	: >out/only
	id=$(vega-submit transform --to gzip --out out in)
	expect 0 vega-run --once --root "$PWD"
	vega-status -F json "$id" >job
	holds '.state == "PENDING" and .attempt == 1' job
}

# Zeros at the beginning, in the middle not on a block, and at the end.
@test "holes are left where decompressed and filtered data are zeros" {
	mkdir in
	truncate -s 20M in/a
	printf x | dd of=in/a bs=1 seek=7000001 conv=notrunc status=none
	truncate -s 20000001 in/b
	: >in/empty
	printf '\0' >in/one
	{ printf abc; head -c 3000000 /dev/zero; seq 1000; } >in/c
	expect 0 vega-walk transform --to zstd --out z in
	expect 0 vega-walk transform --to gzip --out g in
	expect 0 vega-walk transform --to none --out from-z z
	expect 0 vega-walk transform --to none --out from-g g
	expect 0 vega-walk transform --out filtered in -- cat
	expect 0 vega-walk transform --out shifted in -- sh -c 'printf 12345; cat'
	for made in from-z from-g filtered; do
		diff -r in $made
		(($(du -sk $made | cut -f1) < 300))
		(($(stat -c %b $made/b) < 16))
	done
	for file in in/*; do
		{ printf 12345; cat "$file"; } | cmp - "shifted/${file#in/}"
	done
	(($(du -sk shifted | cut -f1) < 300))
	id=$(vega-submit transform --to none --out job z)
	vega-run --drain --root "$PWD"
	diff -r in job
	(($(stat -c %b job/b) < 16))
}

@test "an output directory that cannot be written to is an error at once" {
	mkdir in out
	echo x >in/f
	chmod 755 . && chmod 555 out
	expect 2 as_nobody vega-walk transform --to zstd --out out in
	matches '^vega-walk: output directory out: Permission denied$' "$err"
	expect 2 as_nobody vega-walk transform --to zstd --out out/new in
	matches '^vega-walk: output directory out/new: Permission denied$' "$err"
}

@test "several operations beside transform read each file once" {
	small_tree in
	expect 0 vega-walk hash,transform,summarize --to zstd --out out --format=json in
	holds '.content.files_read == .transform.written and .transform.written == .hash.files and .summarize.files == 7' "$out"
}
