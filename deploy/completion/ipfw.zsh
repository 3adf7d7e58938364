#compdef ipfw
# Completion of ipfw(8) for zsh: the program itself knows its words.
local -a found
found=("${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
found=(${found:#})
if (( ${#found} )); then
    compadd -- "${found[@]}"
else
    _files
fi
