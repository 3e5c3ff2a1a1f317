"""
Which backups, credentials, logs and VPN configurations does one container have?

Each of the four subcommands finds the account and the container, requests the data, and prints the answer.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.models import Backup, BackupStats
from stacks_pulumi.api.vpn_clients import risks_of
from stacks_pulumi.commands._files import write
from stacks_pulumi.commands._shared import (
    HIDDEN,
    KEY_OF_STACK,
    TEXT,
    Command,
    add_container,
    answer,
    client_of,
    container_of,
    has_colours,
    number_to,
    print_json,
    seconds_to,
    tell,
)
from stacks_pulumi.errors import (
    ConnectionFailedError,
    NoCapacityError,
    NotFoundError,
    ServerError,
    StacksError,
    UnreadableAnswerError,
    clean,
)
from stacks_pulumi.reports.writers import aligned

_BACKUPS: Final = "list a container's backups"

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def _add_backups(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the newest backups of a container; without a container, show the account's statistics."
    )
    add_container(parser, nargs="?")
    parser.add_argument(
        "--limit",
        type=number_to(100),
        default=50,
        metavar="N",
        help="how many backups, 1 to 100 (default: 50)",
    )


def _run_backups(options: argparse.Namespace) -> int:
    with client_of(options) as client:
        if options.container is None:
            stats = client.backups.stats()
            answer(options, stats, _figures(stats))
            return 0
        container = container_of(client, options.container)
        listed = client.backups.list(container.id, options.limit)
        # Only the newest backups were requested, so further pages are not a gap.
        gap = listed.gap if len(listed) < options.limit else None
        said = {"container": container.id, "complete": gap is None, "gap": gap, "backups": list(listed)}
        answer(options, said, _table(listed, gap), gap)
        if gap is not None:
            tell("backups", f"the list is incomplete: {gap}")
        return 0 if gap is None else 1


def _figures(stats: BackupStats) -> Iterator[str]:
    rows = (
        ("backups", _shown(stats.total_backups)),
        ("completed", _shown(stats.completed_backups)),
        ("failed", _shown(stats.failed_backups)),
        ("size", _size(stats.total_size_bytes)),
        ("last", "none" if stats.last_backup_at is None else _shown(stats.last_backup_at)),
    )
    yield from (f"{name:<10} {value}" for name, value in rows)


def _table(listed: Sequence[Backup], gap: str | None) -> Iterator[str]:
    if gap is not None:
        yield f"Incomplete: {gap}"
    elif not listed:
        yield "There are no backups. The platform makes one each day at 2:00 UTC."
    if not listed:
        return
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
    yield from aligned([head, *rows])


def _shown(value: object) -> str:
    return "?" if value is None else clean(str(value))


def _size(count: int | None) -> str:
    if count is None:
        return "?"
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


_CREDENTIALS: Final = "show how to log in to a container"

_FIELDS: Final = ("username", "password", "host", "port", "internal_host", "type")


def _add_credentials(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show how to log in to a container. Passwords are hidden unless --show-secrets is given."
    )
    add_container(parser)
    parser.add_argument(
        "--show-secrets",
        action="store_true",
        help="show passwords; with --json, show the API's complete response",
    )


def _run_credentials(options: argparse.Namespace) -> int:
    with client_of(options) as client:
        container = container_of(client, options.container)
        said = client.containers.credentials(container.id)
    shown: dict[str, Any] = {"container": container.id, **{name: getattr(said, name) for name in _FIELDS}}
    if shown["password"] is not None and not options.show_secrets:
        shown["password"] = HIDDEN
    # The form of the answer depends on the template, and every part of it may be a secret.
    data = {**shown, "raw": said.raw} if options.show_secrets else shown
    answer(options, data, (f"{name:<14} {value}" for name, value in shown.items() if value is not None))
    return 0


_LOGS: Final = "print a container's log"

_MOST: Final = 500
"""The maximum number of lines that the API returns (guide, "Get Container Logs")."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]{0,40}m")
_NO_COLOUR: Final = "\x1b[0m"


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the last lines of a container's log. -f prints new lines until Ctrl-C."
    add_container(parser)
    parser.add_argument(
        "-n",
        "--lines",
        type=number_to(_MOST),
        default=100,
        metavar="N",
        help="how many lines, 1 to 500 (default: 100)",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="print new lines as they appear")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print the lines unchanged; otherwise control characters and commands to a CI system are escaped",
    )
    parser.add_argument(
        "--interval",
        type=seconds_to(3600, least=1),
        default=3.0,
        metavar="S",
        help="seconds between two requests with -f (default: 3)",
    )


def _run_logs(options: argparse.Namespace) -> int:
    if options.follow and options.format == "json":
        raise InputError("--follow and JSON cannot be combined: remove one of them", code="invalid-argument")
    with client_of(options) as client:
        container = container_of(client, options.container)
        write = _write_raw if options.raw else _write
        if options.follow:
            _follow(client, container.id, options.lines, options.interval, write)
        lines = client.containers.logs(container.id, options.lines).splitlines()
    if options.format == "json":
        print_json({"container": container.id, "lines": lines})
    else:
        write(lines)
    return 0


def _follow(
    client: StacksClient,
    container_id: str,
    first: int,
    interval: float,
    write: Callable[[Sequence[str]], None],
) -> NoReturn:
    """Print new lines until the process is interrupted, or the log can no longer be read."""
    # Cut the answer: a platform may return more lines, and comparing very many lines takes minutes.
    seen = client.containers.logs(container_id, _MOST).splitlines()[-_MOST:]
    write(seen[-first:])
    failed = False
    while True:
        SYSTEM_CLOCK.sleep(interval)
        try:
            lines = client.containers.logs(container_id, _MOST).splitlines()[-_MOST:]
        except (ConnectionFailedError, NoCapacityError, ServerError, UnreadableAnswerError) as error:
            # Following continues during an outage of the API.
            if not failed:
                tell("logs", f"{error.message}; still trying")
            failed = True
            continue
        failed = False
        added = new_lines(seen, lines)
        if added is None:
            tell("logs", "the log was restarted, or lines were missed")
            added = lines
        write(added)
        seen = lines or seen


def new_lines(before: list[str], now: list[str]) -> list[str] | None:
    """
    Return the new lines of a log.

    The API returns the last lines, but not their position in the log. So the end of the earlier lines and the beginning
    of the current lines are treated as the same lines, as far as they are equal.

    Returns:
        The new lines. `None` if nothing overlaps: the log was restarted, or has more new lines than one read returns.
    """
    if not before or not now:
        return now
    for start in range(len(before)):
        if now[: len(before) - start] == before[start:]:
            return now[len(before) - start :]
    return None


def _write(lines: Sequence[str]) -> None:
    _write_raw([_harmless(line.expandtabs()) for line in lines])


def _write_raw(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _harmless(line: str) -> str:
    """Return a line with its colours on a terminal, and without them in a pipe."""
    if not has_colours(sys.stdout):
        return clean(_COLOUR.sub("", line))
    parts, colours = _COLOUR.split(line), _COLOUR.findall(line)
    # A colour ends with its line, so that it cannot hide the following lines.
    ends = [*colours, _NO_COLOUR if colours else ""]
    return "".join(clean(part) + end for part, end in zip(parts, ends, strict=True))


_VPN_CONFIG: Final = "write a VPN client's WireGuard configuration"


def _add_vpn_config(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the WireGuard configuration of a VPN client. It contains a private key, so it is written to a file that "
        "only you can read, or printed if --show-secrets is given. A configuration that can run "
        "commands is not written."
    )
    add_container(parser, "VPN_CONTAINER")
    parser.add_argument("--client", default="default", metavar="NAME", help="the client (default: default)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--out", metavar="FILE", help="write it to this file, which must not exist")
    where.add_argument("--show-secrets", action="store_true", help="print it")
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="write a configuration even if it can run commands, which wg-quick runs as root",
    )


def _run_vpn_config(options: argparse.Namespace) -> int:
    with client_of(options) as client:
        container = container_of(client, options.container)
        text = _config(client, container.id, options.client)
    said = {"container": container.id, "client": options.client}

    risks = risks_of(text)
    if options.out is not None:
        if risks and not options.allow_commands:
            raise StacksError(
                f"{options.out} was not written: {risks}; read the configuration with --show-secrets, and ask who "
                "changed it; --allow-commands writes it anyway",
                code="invalid-file",
            )
        file = Path(options.out)
        write(file.parent, {file.name: text if text.endswith("\n") else f"{text}\n"}, mode=0o600)
        said["file"] = options.out
        lines = [f"wrote {options.out}"]
    else:
        said["config"] = text
        lines = text.rstrip("\n").split("\n")
    if risks:
        tell("vpn-config", f"warning: {risks}; read the configuration before you use it")
    answer(options, said, lines)
    return 0


def _config(client: StacksClient, container_id: str, name: str) -> str:
    try:
        return client.vpn_clients.config(container_id, name)
    except NotFoundError as error:
        listed = client.vpn_clients.list(container_id)
        names = [one.name for one in listed]
        if name in names:
            raise
        listed.require_complete()
        msg = f"{container_id} has no VPN client {name!r}; it has: {', '.join(names) or 'none'}"
        raise StacksError(msg, code="not-found") from error


_INCOMPLETE: Final = {0: "done", 1: "an incomplete list"}

COMMANDS: Final = {
    "backups": Command(
        _BACKUPS, _add_backups, _run_backups, codes=_INCOMPLETE, forms=TEXT, stack=KEY_OF_STACK
    ),
    "credentials": Command(_CREDENTIALS, _add_credentials, _run_credentials, forms=TEXT, stack=KEY_OF_STACK),
    "logs": Command(_LOGS, _add_logs, _run_logs, forms=TEXT, stack=KEY_OF_STACK),
    "vpn-config": Command(_VPN_CONFIG, _add_vpn_config, _run_vpn_config, forms=TEXT, stack=KEY_OF_STACK),
}
