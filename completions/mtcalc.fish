# mtcalc completion for fish; made by: mtcalc completion fish
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
