#!/bin/sh
# The gate between a change and the account. Run in this folder, with a stack selected:
#
#   ./gate.sh preview          policies and price; leaves plan.json, preview.jsonl and comment.md in $OUT
#   ./gate.sh comment NUMBER   puts comment.md on a pull request, in place of a bot's one before (needs `gh`)
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

guarded() {
    pulumi "$@" \
        --policy-pack "$PACKS/plans" --policy-pack-config policies/plans.json \
        --policy-pack "$PACKS/spend" --policy-pack-config policies/spend.json \
        --policy-pack "$PACKS/exposure" --policy-pack-config policies/exposure.json
}

cost() {
    stacks-pulumi cost "$OUT/preview.jsonl" --max-increase "$MAX_INCREASE" --name "gated-deployment/$STACK" "$@"
}

preview() {
    mkdir -p "$OUT"
    rm -f "$OUT/plan.json" "$OUT/comment.md"
    allowed=0
    # Only the streaming events tell which policy was violated.
    PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true \
        guarded preview --json --save-plan "$OUT/plan.json" >"$OUT/preview.jsonl" || allowed=$?
    affordable=0
    cost --rest-of-month || affordable=$?
    cost --rest-of-month --format markdown >"$OUT/comment.md" || true
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

comment() {
    comments="repos/$GITHUB_REPOSITORY/issues/$1/comments"
    marker=$(head -n 1 "$OUT/comment.md")
    case $marker in
    "$MARKER "*" -->") ;;
    *)
        # An empty marker would begin every comment, and somebody else's would be replaced.
        echo "$OUT/comment.md does not begin with its marker: run ./gate.sh preview first." >&2
        exit 1
        ;;
    esac
    # What a person has copied from such a comment is theirs.
    id=$(gh api --paginate "$comments" \
        --jq ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$marker\"))) | .id" | head -n 1)
    if [ -n "$id" ]; then
        gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" -F "body=@$OUT/comment.md" >/dev/null
    else
        gh api --method POST "$comments" -F "body=@$OUT/comment.md" >/dev/null
    fi
}

apply() {
    guarded up --yes --skip-preview --plan "$OUT/plan.json"
}

case ${1:-} in
preview) preview ;;
comment) comment "$2" ;;
apply) apply ;;
*)
    echo "usage: ./gate.sh preview | comment NUMBER | apply" >&2
    exit 64
    ;;
esac
