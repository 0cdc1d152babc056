#!/bin/sh
# The shared libraries show muster_* and nothing else, and everything the headers declare.
set -u
inc=$1
shift
bad=0
shown=
for lib in "$@"; do
    names=$(nm -D --defined-only "$lib" | awk '{print $NF}' | sed 's/@.*//')
    for name in $names; do
        case $name in
        muster_*) shown="$shown $name" ;;
        *) echo "$lib shows $name"; bad=1 ;;
        esac
    done
done
declared=$(grep -ho 'muster_[a-z0-9_]*(' "$inc"/muster/*.h | tr -d '(' | sort -u)
for name in $declared; do
    case " $shown " in
    *" $name "*) ;;
    *) echo "$name is declared and not shown"; bad=1 ;;
    esac
done
[ -n "$declared" ] || { echo "no declarations found"; bad=1; }
exit $bad
