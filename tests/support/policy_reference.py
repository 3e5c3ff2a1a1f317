"""
The table of all policies in docs/policies.md, from the descriptions of the policies.

    python tests/support/policy_reference.py      writes the table
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from stacks_pulumi.policy.guard import EXPOSURE, PLANS, SPEND, rules  # noqa: E402  (as above)
from stacks_pulumi.policy.options import Option  # noqa: E402  (after the path)
from stacks_pulumi.policy.rule import Remediation, Rule, StackRule  # noqa: E402  (as above)

PAGE = ROOT / "docs" / "policies.md"
BEGIN, END = (
    "<!-- The table: `python tests/support/policy_reference.py` writes it. -->\n",
    "<!-- The end of the table. -->\n",
)


_SHARED_FROM = 3


def kind(rule: Rule) -> str:
    if isinstance(rule, Remediation):
        return "remediation"
    return "stack" if isinstance(rule, StackRule) else "resource"


def described(option: Option) -> str:
    default = json.dumps(option.default).strip('"')
    words = ", ".join(f"`{word}`" for word in option.schema.get("enum", ()) if word != option.default)
    more = f" (`{default}`{f'; {words}' if words else ''})" if option.default is not None else ""
    return f"`{option.name}`: {option.help}{more}"


def shared() -> set[str]:
    """Return the descriptions of the options that three policies or more have."""
    counted = Counter(described(option) for rule in rules().values() for option in rule.options)
    return {text for text, policies in counted.items() if policies >= _SHARED_FROM}


def lines() -> Iterator[str]:
    once = shared()
    for pack, names in (("plans", PLANS), ("spend", SPEND), ("exposure", EXPOSURE)):
        yield f"### Pack `{pack}`\n\n"
        yield "| Policy | Kind, level | Rule | Options (default) |\n|---|---|---|---|\n"
        for name in names:
            rule = rules()[name]
            options = "<br>".join(
                f"`{option.name}`" if described(option) in once else described(option)
                for option in rule.options
            )
            yield f"| `{name}` | {kind(rule)}, {rule.level} | {rule.description} | {options} |\n"
        yield "\n"
    yield "### Options of several policies\n\n"
    yield from (f"- {text}\n" for text in sorted(once))
    yield "\n"


def table() -> str:
    return "".join(lines())


def page(text: str) -> str:
    """Return the page with a new table."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table()}{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
