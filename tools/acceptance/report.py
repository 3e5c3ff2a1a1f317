"""The report of a run in Markdown, without secrets, so that it can be attached to an issue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stacks_pulumi import __version__
from tools.acceptance.findings import Finding, Verdict
from tools.acceptance.run import Run
from tools.acceptance.statements import Source

__all__ = ["report", "scrubbed"]

_TITLES: Final[dict[Source, str]] = {
    "identity": "The creation time, which identifies a container",
    "assumed": "What openapi.yaml assumes",
    "strict": "What the emulator refuses by default",
    "guide": "What the guide states",
}
_ACCOUNT: Final = re.compile(r"usr-[0-9A-Za-z]+")
_KEY: Final = re.compile(r"sk_stacks_\w+")


def report(run: Run, left: Sequence[str], at: str, known: Path) -> str:
    """
    Return the report.

    Args:
        run: The run.
        left: The names of containers that could not be deleted.
        at: When it began.
        known: The platform file.
    """
    findings = run.findings.all()
    counts = {verdict: sum(it.verdict is verdict for it in findings) for verdict in Verdict}
    lines = [
        "# Acceptance report",
        "",
        *_table(
            ("Fact", "Value"),
            [
                ("API", urlsplit(run.api.base_url).hostname or ""),
                ("Began", at),
                ("stacks-pulumi", __version__),
                ("Prefix", run.prefix),
                ("Requests", str(run.api.calls)),
                ("Cost at most", f"${run.budget.spent:.2f} of ${run.budget.limit:.2f}"),
                ("Left over", ", ".join(left) or "nothing"),
                *((verdict.value.capitalize(), str(count)) for verdict, count in counts.items()),
            ],
        ),
    ]
    refuted = [it for it in findings if it.verdict is Verdict.REFUTED]
    lines += ["", "## Refuted", "", *(_findings(refuted) if refuted else ["Nothing."])]
    for source, title in _TITLES.items():
        lines += ["", f"## {title}", "", *_findings(it for it in findings if it.statement.source == source)]
    lines += [
        "",
        "## What the platform file says",
        "",
        f"The file is `{known.name}`. Read it before you use it.",
        "",
    ]
    lines += _table(("Fact", "Value", "Evidence"), run.learned.lines())
    if run.problems:
        lines += ["", "## Problems", "", *(f"- {problem}" for problem in run.problems)]
    return scrubbed("\n".join(lines) + "\n")


def _findings(findings: Iterable[Finding]) -> list[str]:
    rows = [(it.verdict.value, it.statement.subject, it.statement.text, it.evidence) for it in findings]
    return _table(("Verdict", "About", "Statement", "Evidence"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(text) for text in row) + " |" for row in cells]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def scrubbed(text: str) -> str:
    """Return a text without keys and accounts."""
    return _KEY.sub("sk_stacks_[hidden]", _ACCOUNT.sub("usr-[account]", text))
