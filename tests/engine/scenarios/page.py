"""`docs/errors.md`, made of the scenarios and of what they printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.engine.scenarios import GROUPS, SECTIONS, Scenario, Section
from tests.support.stack import Result

__all__ = ["PAGE", "errors_in", "render", "shown"]

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"

_LANGUAGES = {".py": "python", ".yaml": "yaml"}
_INTRODUCTION = """\
# Errors

Every error ends with its code in brackets, for instance `[spending-cap]`. Search for the code on this page. A
violation of a policy has the name of the policy instead ([policies](policies.md)). In Python, exceptions of
`stacks_pulumi.errors` have it as `code`.

The messages are those of real runs against the emulator.
"""
_REPLACED = (
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z (?=[A-Za-z])", ""),
    (r"was created at [0-9T:.-]+Z", "was created at 2026-11-24T11:00:00.000Z"),
    (r"(, created|in the state) at [0-9T:.-]+Z", r"\1 at 2026-11-24T10:00:00.000Z"),
    (r"request [0-9a-f-]{6,}", "request 5f0c2a"),
    (r"resets on \d{4}-\d\d-\d\d", "resets on 2026-12-01"),
    (r"127\.0\.0\.1:\d{2,}", "127.0.0.1:8080"),
    (r"@v[\d.]+ \(local: [^)]*\)", ""),
    (
        r"pip install (-e )?\S+\[emulator\].*?(?= \[[a-z-]+\])",
        "pip install 'stacks-pulumi[emulator] @ git+<URL>@<COMMIT>'",
    ),
    (r"in \d+\.\d+s", "in 0.20s"),
)
"""What differs from run to run, and what the page has instead."""


def shown(result: Result, folder: Path) -> str:
    """Return the part of the output that a user reads, without parts that differ between runs."""
    text = result.text.replace(f"{folder}/", "")
    before, policies, after = text.partition("\nPolicies:\n")
    text = (
        f"Policies:\n{after.partition('Diagnostics:')[0]}"
        if policies
        else before.partition("Diagnostics:\n")[2] or before
    )
    text = text.partition("\nResources:\n")[0]
    for pattern, instead in _REPLACED:
        text = re.sub(pattern, instead, text)
    noise = ("update failed", "preview failed", "[100%]", "short test summary info")
    lines = [line.rstrip() for line in text.splitlines() if not any(words in line for words in noise)]
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    return "\n\n".join(
        block for block in blocks if not re.fullmatch(r"\s*pulumi:pulumi:Stack \(.*\):\s*", block)
    )


def errors_in(text: str) -> set[str]:
    """
    Return the lines with an error, without what differs between runs or engines.

    That is their numbers, a container's log, and whether the waitlist is an error or a warning.
    """
    lines = [line.strip() for line in text.splitlines() if re.search(r"\[[a-z-]+\]$", line)]
    return {
        re.sub(r"^(?:error|warning): |\d+|Its last log lines: .*?\. (?=[A-Z`])", "", line) for line in lines
    }


def render(seen: Mapping[str, str]) -> str:
    """Return the page; `seen` has the output of each scenario by its code."""
    parts = [_INTRODUCTION, "| Code | What happened |\n|---|---|"]
    parts[-1] += "".join(f"\n| [`{one.code}`](#{one.code}) | {one.title} |" for one in SECTIONS) + "\n"
    for heading, sections in GROUPS.items():
        parts.append(f"## {heading}\n")
        for section in sections:
            parts += _section(section, seen)
    return "\n".join(parts)


def _section(section: Section, seen: Mapping[str, str]) -> list[str]:
    parts = [
        f"### `{section.code}`\n",
        f"**{section.title}.** {section.cause}\n",
        f"**What to do**: {section.fix}\n",
    ]
    if isinstance(section, Scenario):
        for name, text in section.files.items():
            parts.append(f"`{name}`:\n\n```{_LANGUAGES.get(Path(name).suffix, 'text')}\n{text}```\n")
        if section.program:
            parts.append(f"```python\n{section.program}\n```\n")
        parts += [f"`{section.act.shown}`:\n", f"```text\n{seen[section.code]}\n```\n"]
    return parts
