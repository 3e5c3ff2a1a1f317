#!/bin/sh
# The gate between a change and the account. Run in this folder, with a stack selected:
#
#   ./gate.sh preview          policies and price; leaves plan.json, preview.jsonl, comment.md and junit.xml in $OUT
#   ./gate.sh comment github   puts comment.md on the pull request of this CI run, in place of the one before; or gitlab
#   ./gate.sh apply            makes exactly what plan.json says, under the same policies
#
# PACKS is the folder of the policy packs, OUT is where files are left, MAX_INCREASE is in US dollars a month.
set -eu

PACKS=${PACKS:-../../policies}
OUT=${OUT:-gate}
MAX_INCREASE=${MAX_INCREASE:-15}
STACK=$(pulumi stack --show-name)
MARKER="<!-- stacks-pulumi cost:"

# Plans are still behind this switch in Pulumi.
export PULUMI_EXPERIMENTAL=1

# An engine that `make engine` built cannot start a pack from its folder; the tool prints what it takes instead.
pack() {
    tool=$PACKS/../tools/engine/pack.py
    if [ -f "$tool" ]; then python3 "$tool" "$PACKS/$1"; else echo "$PACKS/$1"; fi
}

guarded() {
    plans=$(pack plans) && spend=$(pack spend) && exposure=$(pack exposure) || return
    pulumi "$@" \
        --policy-pack "$plans" --policy-pack-config policies/plans.json \
        --policy-pack "$spend" --policy-pack-config policies/spend.json \
        --policy-pack "$exposure" --policy-pack-config policies/exposure.json
}

cost() {
    stacks-pulumi cost "$OUT/preview.jsonl" --state "$OUT/state.json" --max-increase "$MAX_INCREASE" \
        --fail-on kept --name "gated-deployment/$STACK" "$@"
}

preview() {
    mkdir -p "$OUT"
    rm -f "$OUT/plan.json" "$OUT/comment.md" "$OUT/junit.xml"
    allowed=0
    # The engine ignores the first of two equal keys in these files, and an empty file.
    for pack in plans spend exposure; do
        stacks-pulumi policy check --pack "$PACKS/$pack" "policies/$pack.json" >&2 || allowed=$?
    done
    # Only the streaming events tell which policy was violated.
    PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true \
        guarded preview --json --save-plan "$OUT/plan.json" >"$OUT/preview.jsonl" || allowed=$?
    # The events do not say which containers are deleted with another resource, and so stay billed. A state that is not
    # whole is an error of `cost`.
    pulumi stack export >"$OUT/state.json" || true
    affordable=0
    cost --rest-of-month || affordable=$?
    cost --rest-of-month --format markdown >"$OUT/comment.md" || true
    cost --format junit >"$OUT/junit.xml" || true
    rm -f "$OUT/state.json"
    if [ ! -s "$OUT/comment.md" ]; then
        affordable=1
        # The comment of the run before must not stay there as if it told of this one.
        printf '%s gated-deployment/%s -->\n%s\n' "$MARKER" "$STACK" \
            "❌ The gate could not price this change; the log says why." >"$OUT/comment.md"
    fi
    if [ "$allowed" -ne 0 ] || [ "$affordable" -ne 0 ]; then
        # What may not be made must not lie around to be made.
        rm -f "$OUT/plan.json"
        echo "The gate is closed." >&2
        exit 1
    fi
    echo "The gate is open: ./gate.sh apply makes what $OUT/plan.json says." >&2
}

apply() {
    guarded up --yes --skip-preview --plan "$OUT/plan.json"
}

case ${1:-} in
preview) preview ;;
comment) stacks-pulumi cost comment "$2" "$OUT/comment.md" ;;
apply) apply ;;
*)
    echo "usage: ./gate.sh preview | comment github|gitlab | apply" >&2
    exit 64
    ;;
esac
