"""The table of the command line: arguments, options and exit codes of each command, from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Final

from stacks_pulumi import cli
from stacks_pulumi.commands._shared import Command
from tools.docs.marks import table

__all__ = ["LEFT_OUT", "command_line", "commands"]

LEFT_OUT: Final = frozenset({"--help", "--cwd", "-s", "--json", "--markdown"})
"""Options with the same meaning in every command. The page has a separate table for them."""
_OWN_PAGES: Final = frozenset({"account", "cost", "doctor", "scaffold"})
"""Commands with a page that describes their options and exit codes."""


def commands() -> Iterator[tuple[str, Command, argparse.ArgumentParser]]:
    """Yield each command and each action of a command, with its name and its parser."""
    parser, found = cli.build_parser()
    yield from _below(parser, found, "")


def _below(
    parser: argparse.ArgumentParser, found: Mapping[str, Command], before: str
) -> Iterator[tuple[str, Command, argparse.ArgumentParser]]:
    parsers = next(action.choices for action in parser._actions if isinstance(action.choices, dict))  # noqa: SLF001  (there is no public list)
    for name, command in sorted(found.items()):
        if command.actions:
            yield from _below(parsers[name], command.actions, f"{name} ")
        else:
            yield f"{before}{name}", command, parsers[name]


def command_line() -> str:
    """Return a row for each command without its own page. Options and exit codes of all commands are left out."""
    rows = [
        (
            f"`{name}`",
            " ".join(_arguments(parser)),
            "<br>".join(f"`{code}` {meaning}" for code, meaning in _codes(command)),
        )
        for name, command, parser in commands()
        if name not in _OWN_PAGES
    ]
    return table(("Command", "Arguments and options", "Exit codes"), rows)


def _codes(command: Command) -> Iterator[tuple[int, str]]:
    shown = dict(command.codes)
    if shown.get(0) == "done" or shown.keys() <= {0, 1}:
        # The page describes a success and an error once, for all commands.
        shown.pop(0, None)
    for code, meaning in sorted(shown.items()):
        yield code, f"also: {meaning}" if code == 1 else meaning


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001  (there is no public list)
        if action.help == argparse.SUPPRESS or LEFT_OUT.intersection(action.option_strings):
            continue
        value = "" if action.nargs == 0 else _value(action)
        yield f"`{' '.join(filter(None, (', '.join(action.option_strings), value)))}`"


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())
