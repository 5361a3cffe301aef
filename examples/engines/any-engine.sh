#!/bin/sh
# Asks any command every query, writes a TREC run, and lets `bench gate` judge it.
#
#   any-engine.sh -q QUERIES.tsv -o BRANCH.run [-n DEPTH] [-e NO_HIT_ID] [-r QRELS -b MAIN.run] -- COMMAND [ARGUMENT ...]
#
# QUERIES.tsv has one query a line: its id, a tab, its text. COMMAND is called once for each, with the text as one
# more argument, and prints document ids, best first, one a line. It never passes through a shell again: quotes, $ and
# backslashes in a text are only themselves. A text may begin with "-": end COMMAND with "--" if it knows that.
#
#   -n  documents kept for each query (default: 100)
#   -e  written for a query without a hit: an id that no document has; without it such a query is not in the file
#   -r, -b  judgements and the baseline's run: calls bench gate (or $BENCH) and returns its exit code
#
# The run is whole or absent. Exit codes: 0 written, or the gate's own 0 to 4; 2 unusable input; 4 COMMAND failed.
set -eu

fail() { # exit code, sentence
    # What ids hold must not colour the terminal or move its cursor.
    printf 'error: %s' "$2" | tr '[:cntrl:]' ' ' >&2
    echo >&2
    exit "$1"
}

queries='' out='' depth=100 no_hit='' qrels='' baseline=''
while getopts q:o:n:e:r:b: option; do
    case $option in
        q) queries=$OPTARG ;;
        o) out=$OPTARG ;;
        n) depth=$OPTARG ;;
        e) no_hit=$OPTARG ;;
        r) qrels=$OPTARG ;;
        b) baseline=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ -z "$queries" ] || [ -z "$out" ] || [ $# -eq 0 ]; then
    fail 2 'expected -q QUERIES.tsv -o RUN -- COMMAND; see the first lines of this script.'
fi
[ -r "$queries" ] || fail 2 "$queries cannot be read; expected lines of id, tab, text."
case $depth in '' | 0* | *[!0-9]*) fail 2 "-n is \"$depth\"; expected a whole number above 0." ;; esac
case $no_hit in *[[:space:]]*) fail 2 '-e holds white space, which separates the fields of a run file.' ;; esac
[ -n "$qrels" ] && [ -z "$baseline" ] && fail 2 '-r needs -b, the run of the baseline.'
[ -n "$baseline" ] && [ -z "$qrels" ] && fail 2 '-b needs -r, the judgements.'

part=$out.part.$$
trap 'rm -f -- "$part" "$part.hits"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rm -f -- "$out"
command -v "$1" >/dev/null || fail 4 "there is no command \"$1\"."
: >"$part"

tab=$(printf '\t') return=$(printf '\r') asked=0 empty=0
while IFS= read -r line || [ -n "$line" ]; do
    line=${line%"$return"}
    [ -n "$line" ] || continue
    case $line in
        *"$tab"*) ;;
        *) fail 2 "$queries has a line without a tab; expected id, tab, text (a text with a line break must be one line)." ;;
    esac
    id=${line%%"$tab"*} text=${line#*"$tab"}
    case $id in '' | *[[:space:]]*) fail 2 "query id \"$id\" is empty or holds white space." ;; esac
    asked=$((asked + 1))
    # The command must not read the other queries; its status counts, so nothing is piped.
    code=0
    "$@" "$text" </dev/null >"$part.hits" || code=$?
    [ "$code" -eq 0 ] || fail 4 "\"$1\" ended with $code on query \"$id\"; no run was written."
    # The id goes through the environment: awk would read backslashes in an assignment as escapes.
    id=$id depth=$depth no_hit=$no_hit awk '
        { sub(/\r$/, "") }
        $0 ~ /[[:space:]]/ || $0 == "" {
            gsub(/[[:cntrl:]]/, " ")
            printf "error: query \"%s\": the command printed \"%s\"; expected one document id a line, without white space.\n",
                ENVIRON["id"], $0 | "cat 1>&2"
            bad = 1
            exit
        }
        !seen[$0]++ && kept < ENVIRON["depth"] + 0 {
            # An order without scores: the best of n has n, the next n - 1.
            kept++
            printf "%s Q0 %s %d %d any-engine\n", ENVIRON["id"], $0, kept, ENVIRON["depth"] - kept + 1
        }
        END {
            if (bad) exit 4
            if (!kept && ENVIRON["no_hit"] != "") printf "%s Q0 %s 1 0 any-engine\n", ENVIRON["id"], ENVIRON["no_hit"]
        }' "$part.hits" >>"$part" || exit 4
    [ -s "$part.hits" ] || empty=$((empty + 1))
done <"$queries"

[ "$asked" -gt 0 ] || fail 2 "$queries holds no query."
[ "$empty" -lt "$asked" ] || fail 4 "none of $asked queries has a hit; no run was written."
mv -- "$part" "$out"
printf '%s: %d queries, %d of them without a hit.\n' "$out" "$asked" "$empty" >&2

if [ -n "$qrels" ]; then
    ${BENCH:-bench} gate --qrels "$qrels" --baseline-run "$baseline" --candidate-run "$out"
fi
