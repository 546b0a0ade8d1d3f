# Print the offers of zsh, one per line: zsh -f complete.zsh DIRECTORY-OF-_vega SCRATCH-FILE LINE. A
# completion widget runs only in an interactive shell, so one is driven through a pseudo-terminal; its
# compadd says what it was given.
zmodload zsh/zpty zsh/zselect || exit 2
typeset directory=$1 found=$2 line=$3
: >$found

setup="
PROMPT= RPROMPT=
fpath=(${(q)directory} \$fpath)
autoload -Uz compinit && compinit -u -d ${(q)found}.dump
bindkey '^I' complete-word
setopt list_ambiguous
compadd() {
	if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)* ]]; then
		builtin compadd \"\$@\"
		return
	fi
	typeset -a hits
	builtin compadd -O hits \"\$@\"
	print -rl -- \$hits >>${(q)found}
	builtin compadd \"\$@\"
}
comppostfuncs=(finished)
finished() { print -- '--end--' >>${(q)found} }
"
zpty shell zsh -f -i
zpty -w shell "$setup"
zpty -w shell "print -- '--ready--' >>${(q)found}"
integer tries=0
until grep -qx -- --ready-- $found; do
	((++tries < 600)) || { print -u2 "zsh did not begin"; exit 2 }
	zpty -r -t shell >/dev/null
	zselect -t 5
done
: >$found
zpty -w -n shell "$line"$'\t'
tries=0
until grep -qx -- --end-- $found; do
	((++tries < 600)) || { print -u2 "zsh did not complete"; exit 2 }
	zpty -r -t shell >/dev/null
	zselect -t 5
done
zpty -d shell
grep -vx -e --end-- -e '' $found | sort -u
