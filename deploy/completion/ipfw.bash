# Completion of ipfw(8) for bash: the program itself knows its words.
_ipfw() {
    local IFS=$'\n'
    COMPREPLY=($("$1" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _ipfw ipfw
