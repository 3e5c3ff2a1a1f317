"""The table of all policies, from their descriptions."""

from __future__ import annotations

import json
from collections import Counter

from stacks_pulumi.policy.guard import EXPOSURE, PLANS, SPEND, rules
from stacks_pulumi.policy.options import Option
from stacks_pulumi.policy.rule import Remediation, Rule, StackRule
from tools.docs.marks import table

__all__ = ["policies"]

_SHARED_FROM = 3
"""An option of at least this many policies is described once, below the tables."""


def policies() -> str:
    """Return a table for each pack, and a list of the options that several policies have."""
    shared = _shared()
    parts = []
    for pack, names in (("plans", PLANS), ("spend", SPEND), ("exposure", EXPOSURE)):
        rows = [
            (
                f"`{name}`",
                f"{_kind(rules()[name])}, {rules()[name].level}",
                rules()[name].description,
                "<br>".join(
                    f"`{option.name}`" if _described(option) in shared else _described(option)
                    for option in rules()[name].options
                ),
            )
            for name in names
        ]
        parts.append(
            f"### Pack `{pack}`\n\n{table(('Policy', 'Kind, level', 'Rule', 'Options (default)'), rows)}"
        )
    parts.append("\n".join(["### Options of several policies\n", *(f"- {text}" for text in sorted(shared))]))
    return "\n\n".join(parts)


def _shared() -> set[str]:
    """Return the descriptions of the options that several policies have."""
    counted = Counter(_described(option) for rule in rules().values() for option in rule.options)
    return {text for text, number in counted.items() if number >= _SHARED_FROM}


def _kind(rule: Rule) -> str:
    if isinstance(rule, Remediation):
        return "remediation"
    return "stack" if isinstance(rule, StackRule) else "resource"


def _described(option: Option) -> str:
    default = json.dumps(option.default).strip('"')
    words = ", ".join(f"`{word}`" for word in option.schema.get("enum", ()) if word != option.default)
    more = f" (`{default}`{f'; {words}' if words else ''})" if option.default is not None else ""
    return f"`{option.name}`: {option.help}{more}"
