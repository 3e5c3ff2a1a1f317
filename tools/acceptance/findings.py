"""The findings of a run: differences, facts that the client needs, and the raw answers without secrets."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stacks_pulumi import platform_file
from stacks_pulumi.errors import clean, without_keys
from tools.acceptance.wire import Exchange, Wire

__all__ = ["Findings", "report"]

_MARGIN: Final = 1.5
"""The factor for measured durations, because one measurement is not the maximum."""
_LONGEST: Final = 4000
_SECRET: Final = re.compile(
    r"pass(word)?|secret|token|private|credential|config|key|conn\w*string", re.IGNORECASE
)
_ALL_SECRET: Final = frozenset(
    {
        "containers.credentials",
        "containers.certificate",
        "containers.regenerate_certificate",
        "containers.logs",
        "vpn_clients.config",
        "vpn_clients.add",
    }
)
_OF_THE_ACCOUNT: Final = frozenset({"containers.list", "connections.targets"})
_ACCOUNT: Final = re.compile(r"\b[a-z]{2,5}-[0-9a-z]{6,16}-(?=acc-)|\busr-[0-9a-z]{6,16}\b")
_ADDRESS: Final = re.compile(r"\b(?!198\.51\.100\.|10\.)(?:\d{1,3}\.){3}\d{1,3}\b")


@dataclass
class Findings:
    """
    The findings of a run.

    Attributes:
        differs: The differences from the guide, in words.
        facts: The facts that the client needs, by name (`lists.lag_seconds`), with the evidence.
        problems: The checks that could not run, with the reasons.
        fits: The number of answers that have the expected form.
    """

    differs: list[str] = field(default_factory=list)
    facts: dict[str, tuple[Any, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    fits: int = 0

    def differ(self, what: str) -> None:
        """Record a difference once."""
        text = clean(without_keys(what))
        if text not in self.differs:
            self.differs.append(text)

    def seconds(self, name: str, seconds: float | None, evidence: str) -> None:
        """
        Record a duration; `seconds` is `None` after a timeout. It is a fact only if the client's default is too short.
        """
        default = _DEFAULTS[name]
        if seconds is None:
            self.differ(f"{evidence}: not before the timeout")
        elif seconds * _MARGIN > default and self.facts.get(name, (0, ""))[0] < seconds * _MARGIN:
            self.facts[name] = (
                math.ceil(seconds * _MARGIN),
                f"{evidence}: {seconds:.0f} s, plus half of that as a reserve",
            )

    def platform_file(self, about: str) -> str:
        lines = [f"# {_line(about)}", "# All other facts have the expected values or were not checked."]
        lines.append(f"version: {platform_file.VERSION}")
        section = ""
        for name in sorted(self.facts):
            value, evidence = self.facts[name]
            part, _, setting = name.partition(".")
            lines += [] if part == section else [f"{part}:"]
            section = part
            lines += [f"  # {_line(evidence)}", f"  {setting}: {_in_json(value)}"]
        return "\n".join(lines) + "\n"


def _in_json(value: Any) -> str:
    """Return a value as JSON that is also valid YAML: for an emoji, YAML has one escape and JSON has two."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in text)


_KNOWN: Final = platform_file.UNKNOWN
_DEFAULTS: Final[Mapping[str, float]] = {
    "lists.lag_seconds": _KNOWN.lag,
    "containers.name_held_seconds": _KNOWN.name_held,
    "access.settle_seconds": _KNOWN.settle,
    "connections.listed_seconds": _KNOWN.connection_listed,
    "backups.listed_seconds": _KNOWN.backup_listed,
    "backups.pinned_seconds": _KNOWN.backup_pinned,
}
"""The defaults of the client. A measured duration is a fact only if it is longer than the default."""


def report(findings: Findings, wire: Wire, prefix: str, head: Mapping[str, str], left: Sequence[str]) -> str:
    """
    Return the report in Markdown. It contains no key, no password, and no data of the account's other containers.

    `prefix` is the prefix of the run, `head` is the table at the beginning, and `left` contains the remaining
    containers.
    """
    rows = {**head, "Answers as expected": str(findings.fits), "Left over": ", ".join(left) or "nothing"}
    parts = ["# Acceptance run\n", *_table(rows)]
    for title, lines in (
        ("Differences from the guide", findings.differs),
        (
            "Facts for the platform file",
            [f"{name}: {value} ({why})" for name, (value, why) in findings.facts.items()],
        ),
        ("Problems", findings.problems),
    ):
        parts += [f"\n## {title}\n", *(f"- {_line(_hidden(line), 400)}" for line in lines or ["nothing"])]
    parts.append("\n## Raw answers\n")
    for one in _different(wire.exchanges):
        about = f"`{one.method} {_hidden(one.path)}`: {one.status or 'no answer'}"
        parts += [f"{about}\n", "```json", _shown(one, prefix), "```\n"]
    return "\n".join(parts) + "\n"


def _table(rows: Mapping[str, str]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {_hidden(value)} |" for name, value in rows.items())]


def _different(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return the first answer of each endpoint, status and form."""
    first: dict[tuple[str, int, str], Exchange] = {}
    for one in exchanges:
        first.setdefault((one.name, one.status, _form(one.body)), one)
    return list(first.values())


def _form(body: str) -> str:
    """Return the names of the fields of a body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "text"
    return ",".join(sorted(set(re.findall(r'"(\w+)":', json.dumps(value)))))


def _shown(exchange: Exchange, prefix: str) -> str:
    """Return the body of an answer without secrets."""
    try:
        body = json.loads(exchange.body)
    except (ValueError, RecursionError):
        text = (
            exchange.body if exchange.name not in _ALL_SECRET else f"text of {len(exchange.body)} characters"
        )
        return _hidden(text)[:_LONGEST]
    if exchange.name in _OF_THE_ACCOUNT:
        body = _own(body, prefix)
    return _hidden(json.dumps(_masked(body, all_of_it=exchange.name in _ALL_SECRET), indent=1))[:_LONGEST]


def _own(value: Any, prefix: str) -> Any:
    """Return a body without the rows of other containers."""
    if isinstance(value, list):
        rows = [_own(one, prefix) for one in value if prefix in json.dumps(one)]
        return rows if len(rows) == len(value) else [*rows, f"{len(value) - len(rows)} others"]
    return {name: _own(one, prefix) for name, one in value.items()} if isinstance(value, dict) else value


def _masked(value: Any, *, all_of_it: bool) -> Any:
    if isinstance(value, list):
        return [_masked(one, all_of_it=all_of_it) for one in value]
    if isinstance(value, dict):
        return {
            name: _masked(one, all_of_it=all_of_it or _SECRET.search(name) is not None)
            for name, one in value.items()
        }
    return f"text of {len(value)} characters" if all_of_it and isinstance(value, str) else value


def _hidden(text: str) -> str:
    """Return a text without keys, the account's id, and addresses; addresses for documentation are kept."""
    return _ADDRESS.sub("(address)", _ACCOUNT.sub("usr-(account)-", without_keys(text))).replace("```", "'''")


def _line(text: str, longest: int = 160) -> str:
    """Return a text from the API as one line without control characters."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:longest]
