# bash completion for pgcoro                                -*- shell-script -*-

_pgcoro() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' word
    local common='--url --timeout --format --color --help'
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in health | monitor | doctor | bench | locks)
            command=$word
            break
            ;;
        esac
    done
    case $prev in
    --format)
        mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$cur")
        return
        ;;
    --color)
        mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$cur")
        return
        ;;
    --url | --admin-url)
        mapfile -t COMPREPLY < <(compgen -W 'postgresql://' -- "$cur")
        return
        ;;
    --timeout | --tables | --interval | --duration | --alert-threshold-* | --slow-round-trip | --clients | --rows | --critical)
        return
        ;;
    esac
    local words
    case $command in
    health) words="--test-connectivity --test-performance --tables $common" ;;
    monitor)
        words="--interval --duration --alert-threshold-lock-wait --alert-threshold-query
            --alert-threshold-connections --show-queries $common"
        ;;
    doctor) words="--admin-url --slow-round-trip $common" ;;
    bench) words="--clients --duration --rows --read-only $common" ;;
    locks) words="--critical --show-queries $common" ;;
    *) words='health monitor doctor bench locks --version --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _pgcoro pgcoro
