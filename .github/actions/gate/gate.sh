#!/usr/bin/env bash
# Evaluates what the gate needs, here and at the merge base, and judges. The exit code is the gate's.
# Everything comes from the environment (see action.yml), never from text pasted into this script.
set -euo pipefail

config=(--config "$CONFIG")
suite=()
if [ -n "${SUITE:-}" ]; then suite=(--suite "$SUITE"); fi
mkdir -p "$REPORT"
rm -f "$REPORT/run.json"
forms=(
  --json-out "$REPORT/verdict.json" --junit "$REPORT/junit.xml" --html "$REPORT/report.html"
  --comment "$REPORT/comment.md" --metrics "$REPORT/metrics.txt" --github
)

options=()
if [ -n "${BASE_REF:-}" ]; then
  # A checkout is shallow: the base branch, and where the change left it, may not be here yet.
  git rev-parse --verify --quiet "$BASE_REF^{commit}" >/dev/null ||
    git fetch --quiet --no-tags --depth=1 origin "+refs/heads/${BASE_REF#origin/}:refs/remotes/$BASE_REF" || true
  options+=(--base-ref "$BASE_REF")
fi
system=()
if [ -n "${SYSTEM:-}" ]; then system=(--system "$SYSTEM"); fi
options+=("${system[@]}")
if [ -n "${ON_INCONCLUSIVE:-}" ]; then options+=(--on-inconclusive "$ON_INCONCLUSIVE"); fi
if [ "${PRIVATE:-false}" = true ]; then options+=(--private); fi
if [ -n "${COMMENT_KEY:-}" ]; then options+=(--comment-key "$COMMENT_KEY"); fi
if [ -n "${LINK:-}" ]; then options+=(--link "$LINK"); fi

if [ "${RUN:-true}" = true ]; then
  run=(--gated --out "$REPORT" --json-out "$REPORT/run.json")
  if [ -n "${BASE_REF:-}" ]; then run+=(--base-ref "$BASE_REF"); fi
  run+=("${system[@]}")
  # Where this fails the gate tells it, in every form and with the same exit code.
  bench run "${config[@]}" "${suite[@]}" "${run[@]}" || true
  options+=(--after "$REPORT/run.json")
fi

case "${MERGE_BASE:-none}" in
  none) ;;
  auto)
    if [ -n "${BASE_REF:-}" ]; then
      start=$(git merge-base "$BASE_REF" HEAD 2>/dev/null || git rev-parse --verify --quiet "$BASE_REF^{commit}" || true)
      tree=$(mktemp -d)
      # What the base commit cannot do (no config yet, another version) is a finding, not a failure.
      if [ -n "$start" ] && git worktree add --quiet --detach "$tree/base" "$start" 2>/dev/null; then
        prefix=$(git rev-parse --show-prefix)
        there="$tree/base/$prefix$CONFIG"
        if [ -f "$there" ]; then
          # One store for both: what the change left alone is not computed again.
          store="$(cd "$(dirname "$CONFIG")" && pwd)/.bench"
          if [ -d "$store" ]; then ln -s "$store" "$(dirname "$there")/.bench"; fi
          if bench run --config "$there" "${suite[@]}" "${system[@]}" --gated --out "$tree/results"; then
            options+=(--merge-base-result "$tree/results/gated.json")
          fi
        fi
        git worktree remove --force "$tree/base" || true
      fi
    fi
    ;;
  *) options+=(--merge-base-result "$MERGE_BASE") ;;
esac

exec bench gate "${config[@]}" "${suite[@]}" "${forms[@]}" "${options[@]}"
