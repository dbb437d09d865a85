# SPDX-License-Identifier: GPL-2.0-only
"""The completion scripts of the shells, which ask the program on a TAB (mtcalc.cli.completion)."""

BASH = r"""# mtcalc completion for bash; made by: mtcalc completion bash
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
"""

ZSH = r"""#compdef mtcalc
# mtcalc completion for zsh; made by: mtcalc completion zsh

_mtcalc_completion() {
    local kind value help
    local -a answer words_alone words_open described shown suffixes

    answer=("${(@f)$(env COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT - 1)) \
        _MTCALC_COMPLETE=zsh_complete ${~${(Q)words[1]}} 2> /dev/null)}")

    for kind value help in "${(@)answer}"; do
        if [[ $kind == plain ]]; then
            if [[ $value == *= ]]; then
                words_open+=("$value")
            elif [[ $help == _ ]]; then
                words_alone+=("$value")
            else
                described+=("$value")
                shown+=("$value -- $help")
            fi
        elif [[ $kind == (dir|file) ]]; then
            [[ $PREFIX == --*=* ]] && compset -P '*='
            _path_files -/
            if [[ $kind == file ]]; then
                suffixes=(${(s: :)value})
                _path_files -g "(#i)*(${(j:|:)suffixes})(-.)"
            fi
        fi
    done

    (( $#described )) && compadd -U -V mtcalc -l -d shown -a described
    (( $#words_alone )) && compadd -U -V mtcalc -a words_alone
    (( $#words_open )) && compadd -U -V mtcalc -S '' -a words_open
}

if [[ $funcstack[1] == _mtcalc ]]; then
    _mtcalc_completion "$@"
else
    compdef _mtcalc_completion mtcalc
fi
"""

FISH = r"""# mtcalc completion for fish; made by: mtcalc completion fish
function __mtcalc_files
    set -l token (commandline -ct | string collect)
    set -l lead (string match -r -- '^--[^=]*=' $token; or echo '')
    set -l rest (string replace -r -- '^--[^=]*=' '' $token)
    for path in (complete -C "'' $rest")
        set -l name (string split -m1 -f1 \t -- $path)
        if string match -q -- '*/' $name
            echo $lead$name
            continue
        end
        for suffix in $argv
            string match -qi -- "*$suffix" $name; and echo $lead$name
        end
    end
end

function __mtcalc_completion
    set -l program (commandline -opc)[1]
    set -l answer (env COMP_WORDS=(commandline -cp | string collect) \
        COMP_CWORD=(commandline -ct | string collect --allow-empty) \
        _MTCALC_COMPLETE=fish_complete (string replace -r '^~' $HOME $program) 2> /dev/null)
    for line in $answer
        set -l part (string split -m1 , -- $line)
        switch $part[1]
            case plain
                echo $part[2]
            case dir
                __mtcalc_files
            case file
                __mtcalc_files (string split ' ' -- $part[2])
        end
    end
end

complete --no-files --keep-order --command mtcalc --arguments '(__mtcalc_completion)'
"""

SCRIPTS = {"bash": ("mtcalc.bash", BASH), "zsh": ("_mtcalc", ZSH), "fish": ("mtcalc.fish", FISH)}
"""By shell: the name under which the shell looks for the script, and the script."""
