# mtcalc completion for bash; made by: mtcalc completion bash
_mtcalc_completion() {
    local kind value file suffix answer word=${COMP_WORDS[COMP_CWORD]}
    # Between two blanks bash names the word behind the cursor.
    [[ -z $2 && $word != [=:]* ]] && word=
    answer=$(
        IFS=$'\n'
        env COMP_WORDS="${COMP_WORDS[*]:0:COMP_CWORD}"$'\n'"$word" COMP_CWORD="$COMP_CWORD" \
            _MTCALC_COMPLETE=bash_complete "${1/#\~/$HOME}" 2> /dev/null
    )
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain)
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace
                ;;
            dir | file)
                compopt -o filenames
                while IFS= read -r file; do
                    [[ -n $file ]] && COMPREPLY+=("$file")
                done <<< "$(compgen -d -- "$2")"
                [[ $kind == dir ]] && continue
                while IFS= read -r file; do
                    IFS=' '
                    for suffix in ${value:-''}; do
                        [[ ${file,,} == *"$suffix" && ! -d $file ]] && COMPREPLY+=("$file")
                    done
                done <<< "$(compgen -f -- "$2")"
                ;;
        esac
    done <<< "$answer"
}

complete -o nosort -F _mtcalc_completion mtcalc
