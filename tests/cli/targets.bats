#!/usr/bin/env bats
# Output directories on file systems that fold names, keep coarse times or none, and lack hard links,
# exclusive renames or permissions.
load ../lib/vega

# ntfs PROGRAM [OPTION…]: an empty file system in mnt.
ntfs() {
	need_root
	need mkntfs "$1"
	mkdir mnt
	truncate -s 16M disk
	mkntfs -q -F -Q disk >/dev/null 2>&1
	"$1" "${@:2}" disk mnt
}

fat() {
	need_root
	need mkfs.vfat fusefat
	mkdir mnt
	truncate -s 16M disk
	mkfs.vfat disk >/dev/null
	fusefat -o rw+ disk mnt >/dev/null 2>&1
}

rclone_mount() { # OPTION…
	need_root
	need rclone
	mkdir mnt store
	rclone mount --daemon "$@" ":local:$PWD/store" mnt 2>/dev/null
}

job() { # ARGUMENT…: submitted and done
	id=$(vega-submit "$@")
	vega-run --drain --root "$PWD" 2>"$BATS_TEST_TMPDIR/worker"
	vega-status -F json "$id" >job
}

# Two files, and two directories, whose names differ in case only.
twins() {
	mkdir -p in/D in/d
	echo upper >in/README.txt
	echo lower >in/readme.txt
	echo big >in/D/f
	echo low >in/d/f
	find in -type f -exec touch -d 2024-01-01 {} +
}

one_of_each_twin() { # OPTION…
	expect 3 vega-walk transform --to zstd --out mnt/o -F ndjson "$@" in
	holds -s 'map(select(.type == "entry")) | length == 2' "$out"
	holds -s 'map(select(.type == "error") | [.path, .message] | sort | join(" "))
		| length == 2
		and any(test("in/readme.txt.*is the output of in/README.txt|in/README.txt.*is the output of in/readme.txt"))
		and any(test("in/d/f.*lies in the output directory of in/D|in/D/f.*lies in the output directory of in/d"))' "$out"
}

twice_and_in_a_job() {
	one_of_each_twin
	holds -s 'last.transform | .written == 2 and .current == 0' "$out"
	one_of_each_twin
	holds -s 'last.transform | .written == 0 and .current == 2' "$out"
	# The file is known by its note; which of two directories is there, nobody can tell, so that the
	# other's file may replace it: one of them is an error all the same.
	one_of_each_twin --overwrite
	holds -s 'last.transform | .written < 2 and .current + .written == 2' "$out"
	job transform --to zstd --out mnt/job in
	holds '.state == "COMPLETED" and .exit_code == 3 and .summary.transform.written == 2' job
	(($(find mnt/job -name '*.zst' | wc -l) == 2))
	# Another run, of one of them alone: whichever is there.
	mkdir one two
	echo same >one/a.txt
	echo SAME >two/A.txt
	touch -d 2024-01-01 one/a.txt two/A.txt
	expect 0 vega-walk transform --to zstd --out mnt/alone one
	expect 3 vega-walk transform --to zstd --out mnt/alone --overwrite two
	matches 'two/A.txt: mnt/alone/A.txt.zst: has the name of a.txt.zst' "$err"
	job transform --to zstd --out mnt/alone --overwrite two
	holds '.state == "COMPLETED" and .exit_code == 3' job
	[[ $(zstd -dqc mnt/alone/a.txt.zst) == same ]]
}

@test "names that NTFS takes for one are one output and one error that names both inputs" {
	ntfs lowntfs-3g -o ignore_case
	twins
	twice_and_in_a_job
}

@test "names that a mount of rclone takes for one are one output and one error that names both inputs" {
	rclone_mount --vfs-cache-mode writes --vfs-case-insensitive
	twins
	one_of_each_twin
	one_of_each_twin
}

# FAT by FUSE has another inode for each spelling, and keeps no times.
@test "names that FAT takes for one are one output and one error, though their inodes differ" {
	fat
	twins
	one_of_each_twin
	expect 3 vega-walk transform --to zstd --out mnt/o -F ndjson --overwrite in
	holds -s 'map(select(.type == "entry")) | length == 2' "$out"
	holds -s 'map(select(.type == "error")) | length == 2' "$out"
}

@test "a published file replaces none whose name the file system takes for its own" {
	fat
	mkdir -p in mnt/o
	echo mine >in/a.txt
	id=019b7a00-0000-7000-8000-000000000000
	expect 0 vega-walk transform --to gzip --out mnt/o --stage $id.1 in
	echo theirs >mnt/o/A.TXT.gz
	vega-submit --dry-run transform --overwrite --to gzip --out mnt/o in >spec
	expect 3 vega-walk --spec-fd 3 --stage $id.1 --publish 3<spec
	[[ $(<mnt/o/A.TXT.gz) == theirs ]]
}

# This one lists every name in lower case.
@test "a name that the file system lists otherwise than given is current in the next run" {
	ntfs lowntfs-3g -o ignore_case
	mkdir -p in/Sub
	echo upper >in/Sub/README.TXT
	expect 0 vega-walk transform --to zstd --out mnt/o in
	[[ $(ls mnt/o/Sub) == readme.txt.zst ]]
	expect 0 vega-walk transform --to zstd --out mnt/o -F json in
	holds '.transform.current == 1' "$out"
}

times() { # an old, a fine and a late one
	mkdir in
	for name in fine plain odd; do
		seq 1000 >in/$name
	done
	touch -d '2024-02-03 04:05:06.123456789' in/fine
	touch -d '2024-02-03 04:05:06' in/plain
	touch -d '2024-02-03 04:05:07.999999999' in/odd
}

current_again() {
	expect 0 vega-walk transform --to zstd --out mnt/o -F json in
	holds '.transform.written > 2' "$out"
	expect 0 vega-walk transform --to zstd --out mnt/o -F json in
	holds '.transform.written == 0 and .transform.current > 2' "$out"
	expect 0 vega-walk transform --to zstd --out mnt/o -F json --overwrite in
	holds '.transform.written == 0 and .transform.current > 2' "$out"
	job transform --to zstd --out mnt/o in
	holds '.state == "COMPLETED" and .exit_code == 0 and .summary.transform.written == 0' job
	job transform --to gzip --out mnt/job in
	holds '.state == "COMPLETED" and .exit_code == 0 and .summary.transform.written > 2' job
	job transform --to gzip --out mnt/job in
	holds '.state == "COMPLETED" and .exit_code == 0 and .summary.transform.current > 2' job
	# A change is seen all the same.
	touch -d '2024-02-03 04:05:09.5' in/fine
	expect 3 vega-walk transform --to zstd --out mnt/o in
	matches 'in/fine: mnt/o/fine.zst: exists and differs' "$err"
}

@test "outputs on NTFS, which keeps 100 ns, are current in the next run" {
	ntfs ntfs-3g
	times
	touch -d 1970-01-02 in/plain
	current_again
}

@test "outputs on an ext4 that keeps seconds until 2038 are current in the next run" {
	need_root
	need mke2fs
	mkdir mnt
	truncate -s 4M disk
	mke2fs -q -I 128 -t ext4 disk 2>/dev/null
	mount -o loop disk mnt
	times
	touch -d 2060-01-01 in/odd
	current_again
}

@test "outputs on a mount of rclone, without hard links and exclusive renames, are written and current" {
	rclone_mount --vfs-cache-mode writes
	times
	current_again
	zstd -dqc mnt/o/plain.zst | same in/plain -
	expect 0 vega-walk transform --to zstd --out mnt/again in
	matches '^vega-walk: the file system of --out mnt/again keeps .*no name safe from a second writer' "$err"
	lines 1 "$err"
	[[ -z $(find mnt -name '.vega-*' ! -path '*/.vega-stage*') ]]
}

@test "outputs on a FAT that keeps neither permissions nor times are written, and never current" {
	fat
	times
	expect 0 vega-walk transform --to zstd --out mnt/o -F json in
	holds '.transform.written == 3' "$out"
	matches '^vega-walk: the file system of --out mnt/o keeps no permissions, no modification times' "$err"
	lines 1 "$err"
	zstd -dqc mnt/o/fine.zst | same in/fine -
	expect 3 vega-walk transform --to zstd --out mnt/o in
	expect 0 vega-walk transform --to zstd --out mnt/o -F json --overwrite in
	holds '.transform.written == 3' "$out"
	job transform --to gzip --out mnt/job in
	holds '.state == "COMPLETED" and .exit_code == 0 and .summary.transform.written == 3' job
	gzip -dc mnt/job/fine.gz | same in/fine -
}

# refusing CALL…: a library that makes these calls fail as a strict sandbox does.
refusing() {
	local call
	{
		echo '#include <errno.h>'
		for call; do
			echo "int $call() { errno = ${error:-EPERM}; return -1; }"
		done
	} >refuse.c
	gcc -shared -fPIC -o refuse.so refuse.c 2>/dev/null
}

@test "files are written whole where calls for permissions, times, links and renames are refused" {
	times
	refusing fchmod futimens renameat2 linkat
	for error in EPERM ENOSYS; do
		refusing fchmod futimens renameat2 linkat
		expect 0 env LD_PRELOAD="$PWD/refuse.so" vega-walk transform --to zstd --out "out$error" in
		lines 1 "$err"
		for file in in/*; do
			zstd -dqc "out$error/${file#in/}.zst" | same "$file" -
		done
		[[ $(find "out$error" -type f -printf '%m\n' | sort -u) == 600 ]]
		# Nothing is replaced that is seen to be there.
		expect 3 env LD_PRELOAD="$PWD/refuse.so" vega-walk transform --to zstd --out "out$error" in
		expect 0 env LD_PRELOAD="$PWD/refuse.so" vega-walk transform --to zstd --overwrite --out "out$error" in
		(($(find "out$error" -type f | wc -l) == 3))
	done
}
