"""`stacks-pulumi logs`: print the last lines of a container's log, and follow it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.commands._shared import add_container, add_stack, as_json, carry_out, container_of
from stacks_pulumi.errors import ConnectionFailedError, NoCapacityError, ServerError, UnreadableAnswerError

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = ["HELP", "add_arguments", "new_lines", "run"]

HELP: Final = "print a container's log"

_MOST: Final = 500
"""Lines that the API returns at most (guide, "Get Container Logs")."""

_CONTROL: Final = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = "Print the last lines of a container's log. -f prints new lines until Ctrl-C."
    add_container(parser)
    add_stack(parser)
    parser.add_argument(
        "-n", "--lines", type=_count, default=100, metavar="N", help="how many lines, 1 to 500 (default: 100)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("-f", "--follow", action="store_true", help="print new lines as they appear")
    how.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=3.0,
        metavar="S",
        help="seconds between two requests with -f (default: 3)",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 3600")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Print the log."""

    def work(client: StacksClient) -> int:
        found = container_of(client, arguments.container)
        if arguments.follow:
            _follow(client, found.id, arguments.lines, arguments.interval)
        lines = client.containers.logs(found.id, arguments.lines).splitlines()
        if arguments.json:
            sys.stdout.write(as_json({"container": found.id, "lines": lines}))
        else:
            _write(lines)
        return 0

    return carry_out("logs", arguments, work)


def _follow(client: StacksClient, container_id: str, first: int, interval: float) -> NoReturn:
    """Print new lines until the process is interrupted, or the log can no longer be read."""
    seen = client.containers.logs(container_id, _MOST).splitlines()
    _write(seen[-first:])
    failed = False
    while True:
        SYSTEM_CLOCK.sleep(interval)
        try:
            lines = client.containers.logs(container_id, _MOST).splitlines()
        except (ConnectionFailedError, NoCapacityError, ServerError, UnreadableAnswerError) as error:
            # Following continues during an outage of the API.
            if not failed:
                sys.stderr.write(f"stacks-pulumi logs: {error.message}; still trying\n")
            failed = True
            continue
        failed = False
        added = new_lines(seen, lines)
        if added is None:
            sys.stderr.write("stacks-pulumi logs: the log was restarted, or lines were missed\n")
            added = lines
        _write(added)
        seen = lines or seen


def new_lines(before: list[str], now: list[str]) -> list[str] | None:
    """
    Return the new lines of a log.

    The API returns the last lines without a position. So the longest overlap between the end of the earlier lines and
    the beginning of the current ones counts as the same lines.

    Returns:
        The new lines. `None` if nothing overlaps: the log was restarted, or has more new lines than one read returns.
    """
    if not before or not now:
        return now
    for start in range(len(before)):
        if now[: len(before) - start] == before[start:]:
            return now[len(before) - start :]
    return None


def _write(lines: list[str]) -> None:
    if sys.stdout.isatty():
        lines = [_CONTROL.sub(_harmless, line) for line in lines]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _harmless(found: re.Match[str]) -> str:
    """Keep colours, and escape other control sequences: they could change the terminal's title or earlier output."""
    return found[0] if found[0].startswith("\x1b[") else "\N{REPLACEMENT CHARACTER}"
