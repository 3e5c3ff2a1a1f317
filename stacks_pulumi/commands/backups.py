"""`stacks-pulumi backups`: list a container's backups, or show statistics of all backups of the account."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from stacks_pulumi.commands._shared import add_container, add_stack, as_json, carry_out, container_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api.models import Backup, BackupStats

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "list a container's backups"

_MOST: Final = 100
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "List the newest backups of a container; without a container, show the account's statistics."
    )
    add_container(parser, nargs="?")
    add_stack(parser)
    parser.add_argument(
        "--limit", type=_count, default=50, metavar="N", help="how many backups, 1 to 100 (default: 50)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Print the list or the statistics."""
    import msgspec  # noqa: PLC0415  (only this command needs it)

    def work(client: StacksClient) -> int:
        if arguments.container is None:
            stats = client.backups.stats()
            sys.stdout.write(as_json(msgspec.to_builtins(stats)) if arguments.json else _figures(stats))
            return 0
        found = container_of(client, arguments.container)
        listed = client.backups.list(found.id, arguments.limit)
        if arguments.json:
            rows = [msgspec.to_builtins(backup) for backup in listed]
            sys.stdout.write(
                as_json({"container": found.id, "complete": listed.gap is None, "backups": rows})
            )
        elif listed or listed.gap is None:
            sys.stdout.write(_table(listed))
        if listed.gap is not None:
            sys.stderr.write(f"stacks-pulumi backups: the list is incomplete: {listed.gap}\n")
        return 0

    return carry_out("backups", arguments, work)


def _figures(stats: BackupStats) -> str:
    rows = (
        ("backups", _shown(stats.total_backups)),
        ("completed", _shown(stats.completed_backups)),
        ("failed", _shown(stats.failed_backups)),
        ("size", _size(stats.total_size_bytes)),
        ("last", "none" if stats.last_backup_at is None else _shown(stats.last_backup_at)),
    )
    return "".join(f"{name:<10} {value}\n" for name, value in rows)


def _table(listed: Sequence[Backup]) -> str:
    if not listed:
        return "There are no backups. The platform makes one each day at 2:00 UTC.\n"
    head = ("Id", "Kind", "Status", "Created", "Size", "Pinned")
    rows = [
        (
            str(one.id),
            _shown(one.backup_type),
            _shown(one.status) + (f" ({_shown(one.error_message)})" if one.error_message else ""),
            _shown(one.created_at),
            _size(one.size_bytes),
            {True: "yes", False: "no", None: "?"}[one.pinned],
        )
        for one in listed
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _shown(value: object) -> str:
    from stacks_pulumi.cost.document import clean  # noqa: PLC0415  (as above)

    return "?" if value is None else clean(str(value))


def _size(count: int | None) -> str:
    if count is None:
        return "?"
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
