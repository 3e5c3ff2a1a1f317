"""
A report of a command: its parts as one `Document`. It knows nothing of accounts, prices and policies.

`cost` and `account` each build one document, and each format has one writer for it. Names and messages come from
programs, states and accounts and are untrusted input: the document has them as they are, and the writers escape them.

- `writers`: How does a report look in a terminal, on a page, as JSON and as JUnit XML?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

__all__ = [
    "Action",
    "Advice",
    "Check",
    "Column",
    "Document",
    "Folded",
    "PolicyViolation",
    "Row",
    "Table",
    "Weight",
]

Weight: TypeAlias = Literal["error", "warning", "note"]
Action: TypeAlias = Literal["create", "adopt", "update", "replace", "delete", "keep", "same"]
"""The action on an object; `adopt` is for one that exists already, `keep` for one that leaves the stack undeleted."""


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    Attributes:
        title: Its title.
        form: `figure` is aligned to the right; `action` has the name of an action, which each writer shows in its way.
        strong: Whether a page shows it in bold.
        widest: The characters of a cell that a terminal shows at most; `None` for all.
    """

    title: str
    form: Literal["text", "figure", "action"] = "text"
    strong: bool = False
    widest: int | None = None


@dataclass(frozen=True)
class Row:
    """
    A row of a table.

    Attributes:
        cells: One text for each column.
        action: What happens to the object of the row.
        size: How much it matters, if only some rows can be shown.
    """

    cells: tuple[str, ...]
    action: Action = "same"
    size: Decimal = Decimal(0)


@dataclass(frozen=True)
class Folded:
    """
    Content that a page shows only when a reader opens it.

    Attributes:
        title: What it is, in a few words.
        table: A table, or
        items: a list.
    """

    title: str
    table: Table | None = None
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """
    A table.

    Attributes:
        columns: Its columns.
        rows: Its rows.
        title: Its title; empty if it needs none.
        total: The last row, in a terminal. A page has the total in the headline.
        unchanged: The rows without a change, which a page folds away.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    title: str = ""
    total: tuple[str, ...] = ()
    unchanged: Folded | None = None


@dataclass(frozen=True)
class PolicyViolation:
    """
    A policy violation in a preview.

    Attributes:
        policy: The policy's name.
        pack: The pack's name.
        level: `mandatory`, `advisory`, or `exempted` by an exception in the pack's configuration.
        resource: The name of the resource that violates it.
        message: The policy's message.
    """

    policy: str
    pack: str
    level: str
    resource: str
    message: str

    @property
    def weight(self) -> Weight:
        """`error` if it makes a preview fail."""
        return "error" if self.level == "mandatory" else "warning"


@dataclass(frozen=True)
class Advice:
    """
    Advice about some findings. The program does not carry it out.

    Attributes:
        text: What the commands do, and what to check before.
        commands: Each command for a POSIX shell, with the findings that it is for.
    """

    text: str
    commands: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Check:
    """
    A condition that decides the exit code, for the test tab of a CI.

    Attributes:
        group: The kind of the condition.
        name: The condition.
        text: The result; may have several lines, or none.
        failed: Whether it makes the exit code nonzero.
    """

    group: str
    name: str
    text: str
    failed: bool


@dataclass(frozen=True)
class Document:
    """
    A report.

    Attributes:
        headline: The whole result in one line.
        incomplete: Why the report is incomplete, which is shown first; empty if it is complete.
        remarks: Texts for the reader, each with its weight; what made the command fail comes first.
        tables: The tables.
        violations: The policy violations, mandatory ones first.
        others: What the tables do not have, and why.
        advice: What to do.
        footer: A small line below a page, for instance what the figures are.
        ending: The last line, for instance the reason for the exit code.
        checks: The conditions of the exit code.
        data: The report for programs; the page of the command in `docs` describes its fields.
    """

    headline: str
    incomplete: tuple[str, ...] = ()
    remarks: tuple[tuple[Weight, str], ...] = ()
    tables: tuple[Table, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    others: Folded | None = None
    advice: tuple[Advice, ...] = ()
    footer: str = ""
    ending: str = ""
    checks: tuple[Check, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The headline, which begins with a word if the report is incomplete."""
        return f"Incomplete: {self.headline}" if self.incomplete else self.headline
