"""
The report of a command, as one `Document`.

`cost` and `account` each build one document, and each output format has a writer that shows it. Names and messages come
from programs, states and accounts, so they are untrusted input: the document contains them unchanged, and the writers
escape them.

- `writers`: How does a report look in a terminal, on a page, as JSON and as JUnit XML?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Weight: TypeAlias = Literal["error", "warning", "note"]
Action: TypeAlias = Literal["create", "adopt", "update", "replace", "delete", "keep", "same"]
"""
The action on an object. `adopt` applies to an existing object, `keep` to an object that leaves the stack but is not
deleted.
"""


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    Attributes:
        title: Its title.
        form: A `figure` is aligned to the right; an `action` is the name of an action, which each writer shows in its
            own way.
        strong: Whether a page shows it in bold.
        widest: How many characters of a cell a terminal shows at most; `None` means all.
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
        cells: The texts, one for each column.
        action: The action on the object of the row.
        size: The row's weight. If only some rows can be shown, those with the largest weight are shown.
    """

    cells: tuple[str, ...]
    action: Action = "same"
    size: Decimal = Decimal(0)


@dataclass(frozen=True)
class Folded:
    """
    Content that a page shows only when a reader opens it.

    Attributes:
        title: A short description.
        table: Its table, if it has one.
        items: Its list, if it has no table.
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
        total: The last row, which only a terminal shows. On a page, the headline contains the total.
        unchanged: The rows without a change. A page collapses them.
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
        level: `mandatory`, `advisory`, or, if an exception in the pack's configuration covers it, `exempted`.
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
        """`error` if the violation makes a preview fail, otherwise `warning`."""
        return "error" if self.level == "mandatory" else "warning"


@dataclass(frozen=True)
class Advice:
    """
    Advice about some findings. The program does not run the commands.

    Attributes:
        text: The effect of the commands, and what to check before running them.
        commands: The commands for a POSIX shell, each with its findings.
    """

    text: str
    commands: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Check:
    """
    A condition that decides the exit code. A CI system shows it as a test.

    Attributes:
        group: The kind of the condition.
        name: The name of the condition.
        text: The result, which may be empty or have several lines.
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
        headline: The result in one line.
        incomplete: Why the report is incomplete; empty if it is complete. It is shown first.
        remarks: Texts for the reader, each with its weight. The reasons for a failure come first.
        tables: The tables.
        violations: The policy violations, mandatory ones first.
        others: The objects that are not in the tables, each with the reason.
        advice: What to do.
        footer: A line in small print below a page, for instance an explanation of the figures.
        ending: The last line, for instance the reason for the exit code.
        checks: The conditions that decide the exit code.
        data: The report in a form for programs. The command's page in `docs` describes its fields.
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
        """The headline. If the report is incomplete, it begins with `Incomplete:`."""
        return f"Incomplete: {self.headline}" if self.incomplete else self.headline
