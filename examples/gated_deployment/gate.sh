#!/bin/sh
# The gate between a change and the account. Run in this folder, with a stack selected:
#
#   ./gate.sh preview          policies and price; leaves plan.json, preview.jsonl, comment.md and junit.xml in $OUT
#   ./gate.sh comment github   puts comment.md on the pull request of this CI run, in place of the one before; or gitlab
#   ./gate.sh apply            makes exactly what plan.json says, under the same policies
#
# Exit codes: 0 it may be applied, or it was; 2 a policy or a limit refuses it; 10 what has to wait was not created, and
# the rest was; 1 anything else failed, also a wrong configuration.
#
# PACKS is the folder of the policy packs, OUT is where files are left, MAX_INCREASE is in US dollars a month.
set -eu

# Such a variable is an option of every command: PULUMI_OPTION_IGNORE_PROTECT=true would delete protected containers.
for option in $(env | sed -n 's/^\(PULUMI_OPTION_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$option"; done

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

# The engine ignores a policy in these files that is misspelt, or that another pack has, and the end of an exception.
check() {
    checked=0
    for pack in plans spend exposure; do
        stacks-pulumi policy check --pack "$PACKS/$pack" "policies/$pack.json" >&2 || checked=1
    done
    return "$checked"
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
    check || allowed=1
    previewed=0
    # Only the streaming events tell which policy was violated.
    PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true \
        guarded preview --json --save-plan "$OUT/plan.json" >"$OUT/preview.jsonl" || previewed=$?
    # The events do not say which containers are deleted with another resource, and so stay billed. A state that is not
    # whole is an error of `cost`.
    pulumi stack export >"$OUT/state.json" || true
    # 2 is a violated policy or a passed limit.
    code=0
    cost --rest-of-month || code=$?
    cost --rest-of-month --format markdown >"$OUT/comment.md" || true
    cost --format junit >"$OUT/junit.xml" || true
    rm -f "$OUT/state.json"
    if [ ! -s "$OUT/comment.md" ]; then
        code=1
        # The comment of the run before must not stay there as if it told of this one.
        printf '%s gated-deployment/%s -->\n%s\n' "$MARKER" "$STACK" \
            "❌ The gate could not price this change; the log says why." >"$OUT/comment.md"
    fi
    # A preview that failed for a reason that its events do not have.
    if [ "$allowed" -ne 0 ] || { [ "$previewed" -ne 0 ] && [ "$code" -ne 2 ]; }; then code=1; fi
    if [ "$code" -ne 0 ]; then
        # What may not be made must not lie around to be made.
        rm -f "$OUT/plan.json"
    fi
    case $code in
    0) echo "The gate is open: ./gate.sh apply makes what $OUT/plan.json says." >&2 ;;
    2) echo "The gate is closed: a policy or a limit refuses this change." >&2 ;;
    *)
        code=1
        echo "The gate is closed: this change could not be judged." >&2
        ;;
    esac
    exit "$code"
}

# The engine ends with 1 when a policy refuses a resource, as when a request fails; its events tell them apart.
refused() {
    grep '"policyEvent"' "$OUT/apply.jsonl" | grep '"enforcementLevel":"mandatory"' | grep -qv '"exceptions":\['
}

apply() {
    # An exception may have ended since the preview.
    check || exit 1
    rm -f "$OUT/apply.jsonl"
    code=0
    PULUMI_DEBUG_COMMANDS=true guarded up --yes --skip-preview --plan "$OUT/plan.json" --event-log "$OUT/apply.jsonl" || code=$?
    case $code in
    0) ;;
    10)
        echo "Waiting: STACKS has no capacity for some containers, and the rest is done. Run the gate again later, not in" \
            "a loop: each run joins the waitlist again." >&2
        ;;
    *)
        code=1
        if refused; then
            code=2
            echo "Refused: a policy stopped the update. What was made before stays." >&2
        fi
        ;;
    esac
    rm -f "$OUT/apply.jsonl"
    exit "$code"
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
