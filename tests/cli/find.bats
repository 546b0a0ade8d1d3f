#!/usr/bin/env bats
# vega-walk find prints the set that GNU find prints, and excludes the names that git would ignore.
load ../lib/vega

# hex FILE: its NUL-terminated names in hexadecimal, one a line, sorted.
hex() {
	perl -0ne 'chomp; print unpack("H*", $_), "\n"' "$1" | sort
}

# agree VEGA ARGUMENTS… -- FIND ARGUMENTS…: the same set of paths, which is neither empty nor all that
# the roots hold. The roots are among both; find gets its -print0 here.
agree() {
	local -a vega=()
	while [[ $1 != -- ]]; do
		vega+=("$1")
		shift
	done
	shift
	LC_ALL=C find "$@" -print0 >"$BATS_TEST_TMPDIR/find"
	hex "$BATS_TEST_TMPDIR/find" >"$wanted"
	expect 0 vega-walk find -0 "${vega[@]}"
	hex "$out" >"$got"
	same "$wanted" "$got"
	[[ -s $wanted ]] || fail "nothing selected: ${vega[*]}"
}

# Of $all entries below t, some but not all.
picky() {
	agree "$@"
	(($(wc -l <"$wanted") < all)) || fail "everything selected: $*"
}

fail() {
	echo "$1" >&2
	return 1
}

# One of everything that has a name, below t.
zoo() {
	strange_tree t/strange
	small_tree t/small
	mkdir -p t/modes t/times t/big t/owners t/.dotdir/..... 't/only dots'
	touch t/.dotdir/.x 't/only dots/...' 't/only dots/.... ' t/Makefile t/UPPER.C t/lower.c t/.c t/c t/a.tar.gz t/b.
	ln -s small t/links
	ln -s loop t/loop
	ln -s t/missing t/modes/dangling
	perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "t/socket", Listen => 1) or die'
	truncate -s 5G t/big/sparse
	truncate -s 1024 t/big/k
	truncate -s 1023 t/big/k-1
	truncate -s 1025 t/big/k+1
	for mode in 0 1 7 444 600 640 644 755 777 1777 2755 4755 6711 7777; do
		install -m "$mode" /dev/null "t/modes/f$mode"
		mkdir -m "$mode" "t/modes/d$mode"
	done
	touch -d '1901-12-14' t/times/1901
	touch -d '1969-12-31T23:59:59.999999999' t/times/before
	touch -d '@0' t/times/epoch
	touch -d '2020-02-29T12:00:00.000000001' t/times/leap+1
	touch -d '2020-02-29T12:00:00' t/times/leap
	touch -d '2020-02-29T11:59:59.999999999' t/times/leap-1
	touch -d '2500-01-01' t/times/future
	touch -a -d '2019-01-01' t/times/accessed
	touch -d '3 days ago' t/times/3d
	touch -d '100 days ago' t/times/100d
	if ((EUID == 0)); then
		touch t/owners/{1234,daemon}
		chown 1234:5678 t/owners/1234
		chown -h daemon:daemon t/owners/daemon t/links
	fi
	all=$(find t -printf x | wc -c)
}

setup() {
	vega_setup
	wanted=$BATS_TEST_TMPDIR/wanted
	got=$BATS_TEST_TMPDIR/got
	zoo
}

@test "find prints everything, with hidden and strange names" {
	agree t -- t
	(($(wc -l <"$wanted") == all))
	for threads in 1 2 16; do
		agree -j $threads t -- t
	done
}

@test "--name and --iname match globs, alternatives, and any case" {
	picky -n '*.c' t -- t -name '*.c'
	picky -n '*.[ch]' -n 'Make*' t -- t \( -name '*.[ch]' -o -name 'Make*' \)
	picky -n '[!a-z]*' t -- t -name '[!a-z]*'
	picky -n '?' t -- t -name '?'
	picky -n '.*' t -- t -name '.*'
	picky -n 'back\\slash' t -- t -name 'back\\slash'
	picky -n '\*\?\[x\]' t -- t -name '\*\?\[x\]'
	picky -n $'*\n*' t -- t -name $'*\n*'
	picky -n $'\xff*' t -- t -name $'\xff*'
	picky -n '-*' t -- t -name '-*'
	picky -n "$(printf '%0255d' 0 | tr 0 x)" t -- t -name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*'
	picky --iname '*.c' t -- t -iname '*.c'
	picky --iname 'MAKEFILE' t -- t -iname makefile
	picky -n t t -- t -name t
}

@test "--path matches globs, --regex regular expressions" {
	picky -p 't/small/*' t -- t -path 't/small/*'
	picky -p '*/docs' -p '*/empty' t -- t \( -path '*/docs' -o -path '*/empty' \)
	picky -p 't/s*x*' t -- t -path 't/s*x*'
	picky -r '\.csv$' t -- t -regextype posix-extended -regex '.*\.csv'
	picky -r '^t/[^/]*$' t -- t -regextype posix-extended -regex 't/[^/]*'
	picky -r '/(docs|old)(/|$)' t -- t -regextype posix-extended -regex '.*/(docs|old)(/.*)?'
	picky -r 'new.line' t -- t -name $'new\nline'
	picky -r '\xff' t -- t -path $'*\xff*'
}

@test "--extension ignores case, and takes alternatives" {
	picky -e c t -- t -iname '?*.c'
	picky -e gz -e CSV t -- t \( -iname '?*.gz' -o -iname '?*.csv' \)
	picky -e tar.gz t -- t -iname '?*.tar.gz'
	picky -e .txt t -- t -iname '?*.txt'
}

@test "--type selects each type of entry" {
	for type in f d l p s f,l d,p,s; do
		picky -t $type t -- t -type $type
	done
	picky -t f -t p t -- t -type f,p
	if ((EUID == 0)) && mknod t/null c 1 3 2>/dev/null && mknod t/block b 7 200; then
		picky -t c t -- t -type c
		picky -t b,c t -- t -type b,c
	fi
}

@test "--min-size and --max-size bound the apparent size" {
	picky --min-size 1K t -- t -size +1023c
	picky --min-size 1025 t -- t -size +1024c
	picky --max-size 1K t -- t -size -1025c
	picky --min-size 1K --max-size 1024 t -- t -size 1024c
	picky --max-size 0 t -- t -size 0c
	picky -t f --min-size 1G t -- t -type f -size +1073741823c
	picky -t f --min-size 1MB --max-size 6G t -- t -type f -size +999999c
}

@test "--empty selects empty files and directories" {
	picky --empty t -- t -empty
	picky --empty -t d t -- t -empty -type d
	picky --empty -t f t -- t -empty -type f
	agree --empty t/small/empty t/strange t/Makefile -- t/small/empty t/strange t/Makefile -empty
	picky --empty --max-depth 1 t/small -- t/small -maxdepth 1 -empty
}

@test "--newer-than and --older-than take dates, ages and reference files" {
	picky --newer-than @0 t -- t -newermt @0
	picky --older-than @0 t -- t ! -newermt '@-0.000000001'
	picky --newer-than 2020-02-29T12:00:00Z --older-than 2020-03-01 t \
		-- t -newermt 2020-02-29T12:00:00Z ! -newermt 2020-02-29T23:59:59.999999999Z
	picky --older-than 2020-02-29T12:00:00.000000001Z t -- t ! -newermt 2020-02-29T12:00:00Z
	picky --newer-than 1w t -- t -newermt '1 week ago'
	picky --older-than 50d t -- t ! -newermt '50 days ago'
	picky --newer-than 7d --older-than 1d t -- t -newermt '7 days ago' ! -newermt '1 day ago'
	picky --newer-than t/times/leap t -- t -newer t/times/leap
	picky --older-than ./t/times/leap+1 t -- t ! -newer t/times/leap
	picky --newer-than 2400-01-01 t -- t -newermt 2400-01-01
	picky --older-than 1950-01-01 t -- t ! -newermt 1949-12-31T23:59:59.999999999Z
}

@test "--changed-* and --accessed-* compare status and access times" {
	# Everything was made after the reference; one file changes after a second one.
	touch -d '2018-06-01' "$BATS_TEST_TMPDIR/old"
	touch "$BATS_TEST_TMPDIR/reference"
	until [[ t/times/leap -nt t/times/3d && $(find t/modes/f644 -newercm "$BATS_TEST_TMPDIR/reference") ]]; do
		chmod 644 t/modes/f644
		touch -m t/times/leap
	done
	picky --changed-after "$BATS_TEST_TMPDIR/reference" t -- t -cnewer "$BATS_TEST_TMPDIR/reference"
	picky --changed-before "$BATS_TEST_TMPDIR/reference" t -- t ! -cnewer "$BATS_TEST_TMPDIR/reference"
	agree --changed-after 1h t -- t -newerct '1 hour ago'
	picky --accessed-before 2019-06-01 t -- t ! -newerat 2019-05-31T23:59:59.999999999Z
	picky --accessed-after 2019-06-01 t -- t -newerat 2019-06-01
	picky --accessed-after "$BATS_TEST_TMPDIR/old" --accessed-before 2019-06-01 t \
		-- t -anewer "$BATS_TEST_TMPDIR/old" ! -newerat 2019-05-31T23:59:59.999999999Z
}

@test "--user and --group take names and numbers" {
	need_root
	picky -u 1234 t -- t -user 1234
	picky -u daemon t -- t -user daemon
	picky -u daemon -u 1234 t -- t \( -user daemon -o -user 1234 \)
	picky -g 5678 t -- t -group 5678
	picky -g daemon -g 5678 t -- t \( -group daemon -o -group 5678 \)
	picky -u root t -- t -user root
	picky -u daemon -t l t -- t -user daemon -type l
}

@test "--perm takes exact, all and any bits" {
	for mode in 644 0 7777 4755 u=rw,g=r,o=r a=rwx; do
		picky --perm "$mode" t -- t -perm "$mode"
	done
	for mode in -222 -4000 -7000 -u+s -u+w,g+w -o=t /222 /6000 /u+s,g+s /a+x /o+w; do
		picky --perm "$mode" t -- t -perm "$mode"
	done
	agree --perm -0 t -- t -perm -0
	agree --perm /0 t -- t -perm /0
}

@test "--executable, --links, --nouser and --nogroup agree with find" {
	picky --executable t -- t -type f -perm /111
	picky --executable -t f,d t -- t -type f -perm /111
	expect 0 vega-walk find --executable -t d t
	[[ ! -s $out ]]
	picky --links 1 -t f t -- t -type f -links 1
	picky --links +1 t -- t -links +1
	picky --links -2 t -- t -links -2
	expect 2 vega-walk find --links many t
	matches 'use e.g. 1, \+1 for more' "$err"
	need_root
	chown 4000000001:4000000002 t/owners
	touch t/owners/{user,group}
	chown 4000000001 t/owners/user
	chgrp 4000000002 t/owners/group
	picky --nouser t -- t -nouser
	picky --nogroup t -- t -nogroup
	picky --nouser --nogroup t -- t -nouser -nogroup
}

@test "--not negates the next predicate" {
	picky --not --name '*.txt' t -- t ! -name '*.txt'
	picky --not -t d t -- t ! -type d
	picky --not --min-size 1K -t f t -- t ! -size +1023c -type f
	picky --not -e txt --not -e csv t -- t ! -name '?*.txt' ! -iname '?*.txt' ! -name '?*.csv'
	picky --not --path '*small*' t -- t ! -path '*small*'
	picky --not --regex 'small|\.c$' t -- t ! -regex '.*\(small.*\|\.c\)'
	picky --not --empty t -- t ! -empty
	picky --not --perm -u+w t -- t ! -perm -u+w
	picky --not --newer-than 2000-01-01 t -- t ! -newermt 2000-01-01
	picky --not -n t t -- t ! -name t
}

@test "--or takes entries that either side selects" {
	picky --name '*.txt' --or --name '*.csv' t -- t '(' -name '*.txt' -o -name '*.csv' ')'
	picky --name '*.txt' --or -t d --empty t -- t '(' -name '*.txt' -o -type d -empty ')'
	picky -t f --min-size 2K --or -t l --or --perm /4000 t -- t '(' -type f -size +2047c -o -type l -o -perm /4000 ')'
	picky -t f --not --perm -o+r --or --not -t f --name 'd*' t -- t '(' -type f ! -perm -o+r -o ! -type f -name 'd*' ')'
	picky --path '*small*' --or --regex 'owners$' t -- t '(' -path '*small*' -o -regex '.*owners' ')'
	picky -j 4 --empty --or -t p t -- t '(' -empty -o -type p ')'
	picky -x --max-depth 2 -t d --or -t l t -- t -maxdepth 2 '(' -type d -o -type l ')'
	agree -e csv --or -n big t/small -- t/small '(' -name '?*.csv' -o -name big ')'
}

@test "--not and --or alone are refused" {
	for arguments in '--not' '--or' '--name x --or' '--or --name x' '--name x --or --or --name y' '--not --or' \
		'--not --sort' '--name x --not'; do
		# shellcheck disable=SC2086
		expect 2 vega-walk find $arguments t
		matches '^vega-walk: --(not|or) needs a predicate' "$err"
	done
}

@test "--min-depth and --max-depth bound the depth" {
	for depth in 0 1 2 3; do
		picky --max-depth $depth t -- t -maxdepth $depth
		agree --min-depth $depth t -- t -mindepth $depth
		agree --min-depth $depth --max-depth $depth t -- t -mindepth $depth -maxdepth $depth
	done
}

@test "predicates must all hold" {
	picky -t f -e csv --min-size 1K --perm -400 t -- t -type f -iname '?*.csv' -size +1023c -perm -400
	picky -t f,l --max-depth 2 -n '*[!x]' --newer-than 7d t \
		-- t -maxdepth 2 -type f,l -name '*[!x]' -newermt '7 days ago'
	picky -t d --empty --min-depth 2 -p '*m*' t -- t -mindepth 2 -type d -empty -path '*m*'
	picky -p '*/modes/*' --perm /u+w -r '[0-9]$' t \
		-- t -path '*/modes/*' -perm /u+w -regextype posix-extended -regex '.*[0-9]'
}

@test "roots may be several, files or links, and are printed as written" {
	agree t/small t/times -- t/small t/times
	agree -t f t/modes t/Makefile t/small -- t/modes t/Makefile t/small -type f
	agree t/Makefile -- t/Makefile
	agree t/links -- -H t/links
	agree t/links/ -- t/links/
	agree t/small/fifo t/socket t/small/zero -- t/small/fifo t/socket t/small/zero
	agree t/modes/dangling -- -H t/modes/dangling
	agree ./t -- ./t
	agree "$PWD/t" -- "$PWD/t"
	agree t/ -- t/
	agree t//small -- t//small
	cd t
	agree -- .
	agree . -- .
	agree -n . . -- . -name .
	cd strange
	agree -- .
	agree -n '-*' -t f -- . -name '-*' -type f
	agree ./-dash ./--help -- ./-dash ./--help
	expect 0 vega-walk find -0 -- -dash
	[[ $(tr '\0' . <"$out") == -dash. ]]
}

@test "--one-file-system stays on the file system of the root" {
	disk tmpfs 1M t/mounted
	touch t/mounted/inside
	mkdir -p t/mounted/below/deeper
	agree -x t -- t -xdev
	(($(wc -l <"$wanted") == all + 1))
	agree t -- t
	(($(wc -l <"$wanted") == all + 4))
	agree -x t/mounted t/small -- t/mounted t/small -xdev
	agree -x -t d t -- t -xdev -type d
}

@test "--exclude omits what git ignores" {
	need git
	local pattern
	find t -type s -delete
	rm -rf t/modes
	mkdir -p t/build/deep t/src/build t/a/b/c t/docs/build
	touch t/build/out.o t/build/deep/x.o t/src/build/y.o t/src/main.c t/src/main.o t/a/b/c/d.txt t/a/b/d.txt \
		t/docs/build.txt t/docs/build/z t/'#literal' t/'!bang' t/'trailing ' t/keep.o t/a/build t/src/foo.O
	git init -q t
	selected() { # the patterns are in the file
		git -C t ls-files -z --others --exclude-from="$PWD/patterns" >listed
		hex listed >"$wanted"
		expect 0 vega-walk find -0 -t f,l -E /.git --exclude-from patterns t
		perl -0pi -e 's{^t/}{}' "$out"
		hex "$out" >"$got"
		same "$wanted" "$got" || fail "patterns: $(<patterns)"
	}
	while IFS= read -r pattern; do
		printf '%s\n' "$pattern" >patterns
		selected
	done <<-'END'
		*.o
		build
		build/
		/build
		/build/
		src/build
		src/build/
		/src/*.c
		*/build
		**/build
		**/build/
		build/**
		a/**/d.txt
		a/**
		a/*
		**/c/d.txt
		\#literal
		\!bang
		# a comment
		trailing
		trailing\ 
		*.[oO]
		[!a-z]*
		?
		*
		/*
		*/
		.*
		docs/build*
		*x*
		a/b/c/d.txt/
		/a/b/**/d.txt
		...
	END
	printf '%s\n' '*.o' '!keep.o' >patterns && selected
	printf '%s\n' 'a/' '!a/b/d.txt' >patterns && selected
	printf '%s\n' '/*' '!/src' '!/docs/' '/docs/*' '!/docs/build*' >patterns && selected
	printf '%s\n' '*' '!*/' '!*.c' '!d.txt' >patterns && selected
	printf '*.o\r\n\n   \nbuild  \n!src/build\n' >patterns && selected
	printf '*\xff*\n*.c' >patterns && selected
	printf '\xef\xbb\xbf*.o\n' >patterns && selected
}

@test "--exclude omits directories, in every operation" {
	expect 0 vega-walk find -E docs -E '*.csv' --sort t/small
	printf '%s\n' t/small{,/.hidden,'/big name.TXT',/dangling,/empty,/fifo,/link,/zero} | LC_ALL=C sort >"$wanted"
	same "$wanted" "$out"
	expect 0 vega-walk summarize --format=json -E docs -E '*.csv' t/small
	holds '[.ledger.entries, .summarize.files, .summarize.directories, .summarize.links] == [10, 3, 2, 2]' "$out"
}

@test "--exclude-caches omits tagged directories, and no others" {
	mkdir -p c/{tagged/deep,short,wrong,fifo,link,plain}
	tag='Signature: 8a477f597d28d172789f06886806bc55'
	echo "$tag" >c/tagged/CACHEDIR.TAG
	touch c/tagged/deep/x c/short/x
	printf '%s' "${tag%5}" >c/short/CACHEDIR.TAG
	echo "x$tag" >c/wrong/CACHEDIR.TAG
	mkfifo c/fifo/CACHEDIR.TAG
	ln -s ../tagged/CACHEDIR.TAG c/link/CACHEDIR.TAG
	expect 0 timeout 20 vega-walk find -0 --exclude-caches c
	find c -path c/tagged -prune -o -print0 >found
	hex found >"$wanted"
	hex "$out" >"$got"
	same "$wanted" "$got"
}

@test "--skip-hidden omits hidden names and everything below them" {
	agree --skip-hidden t -- t ! -path '*/.*'
}

@test "--sort gives the order of paths, for any number of threads" {
	find t -print0 | path_sort >"$wanted"
	for threads in 1 2 16; do
		expect 0 vega-walk find --sort -0 -j $threads t
		cmp "$wanted" "$out"
	done
	find t -printf '%p\n' >lines # without -0, a newline in a name is a newline
	expect 0 vega-walk find t
	LC_ALL=C sort lines >"$wanted"
	LC_ALL=C sort "$out" >"$got"
	same "$wanted" "$got"
}

@test "a directory that --empty cannot list is an error" {
	need_root
	mkdir -m 755 locked
	mkdir -m 0 locked/in
	expect 3 as_nobody vega-walk find --empty --max-depth 1 locked
	lines 0 "$out"
	matches "^vega-walk: locked/in: Permission denied" "$err"
	lines 2 "$err"
}

@test "a bad line of --exclude-from is named with its file and number" {
	mkdir in
	printf '# a comment\n\nok\n*.[oa\n' >bad
	expect 2 vega-walk find --exclude-from bad in
	matches "^vega-walk: --exclude-from bad, line 4: .*unclosed '\['" "$err"
	expect 2 vega-submit find --exclude-from bad in
	matches "line 4: .*unclosed '\['" "$err"
	expect 2 vega-walk find --exclude-from - in <bad
	matches 'exclude-from -, line 4: ' "$err"
}
