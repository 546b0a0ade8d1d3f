#!/usr/bin/env bats
# Names of owners are looked up together, within bounds, or not at all, and keep their bytes.
load ../lib/vega

# with_users COMMAND…: 3,000 users, and one whose name is not UTF-8, own a file each.
with_users() {
	need_root
	need strace unshare
	mkdir in
	perl -e 'for (10001 .. 13000) { open my $file, ">", "in/$_" or die; chown $_, 0, $file or die; print "u$_:x:$_:0::/:/bin/sh\n" }
		open my $file, ">", "in/x" or die; chown 9000, 0, $file or die; print "\xff\xfe:x:9000:0::/:/bin/sh\n";
		print "second:x:10001:0::/:/bin/sh\n"' >passwd
	cat /etc/passwd passwd >both
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind both /etc/passwd && exec "$@"' - "$@" >"$out"
}

@test "many owners are looked up in one pass" {
	with_users strace -f -e trace=openat -o trace vega-walk -F json in
	holds '[.summarize.by_owner[] | select(.uid > 10000)] | length == 3000 and all(.owner == "u\(.uid)")' "$out"
	(($(grep -c '"/etc/passwd"' trace) < 5))
}

@test "--numeric looks up no name, in a job as well" {
	with_users strace -f -e trace=openat -o trace vega-walk --numeric -F json in
	holds '.summarize.by_owner | length == 3001 and all(.owner == "\(.uid)")' "$out"
	if grep '"/etc/passwd"' trace; then
		return 1
	fi
	id=$(vega-submit --numeric in)
	expect 0 vega-run --drain
	expect 0 vega-status --result "$id"
	holds '.summarize.by_owner | length == 3001 and all(.owner == "\(.uid)")' "$out"
}

@test "the name of an owner that is not UTF-8 keeps its bytes" {
	with_users vega-walk -F json in
	holds '.summarize.by_owner[] | select(.uid == 9000) | .owner_b64 == "//4="' "$out"
	unshare -m sh -c 'mount --bind both /etc/passwd && exec vega-walk -F csv in' >"$out"
	matches ",//4=\$" "$out"
}
