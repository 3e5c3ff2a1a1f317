"""The table of the command line: the arguments, the options and the exit codes of each command, from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from stacks_pulumi import cli
from stacks_pulumi.commands._shared import Command
from tools.docs.marks import table

__all__ = ["COMMON", "command_line", "commands"]

COMMON = frozenset({"--cwd", "--stack", "--format", "--json", "--markdown"})
"""Options that mean the same in every command that has them; the page has a table for them."""


def commands() -> Iterator[tuple[str, Command, argparse.ArgumentParser]]:
    """Yield each command, and each action of a command, with its name and its parser."""
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
    """Return a row for each command."""
    rows = [
        (
            f"`{name}`",
            " ".join(_arguments(parser)),
            "<br>".join(f"`{code}` {meaning}" for code, meaning in command.all_codes.items()),
        )
        for name, command, parser in commands()
    ]
    return table(("Command", "Arguments and options", "Exit codes"), rows)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the words of each argument: first those of this command, then those that mean the same in all."""
    own: list[str] = []
    common: list[str] = []
    for action in parser._actions:  # noqa: SLF001  (there is no public list)
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            continue
        value = "" if action.nargs == 0 else _value(action)
        words = f"`{' '.join(filter(None, (', '.join(action.option_strings), value)))}`"
        (common if COMMON.intersection(action.option_strings) else own).append(words)
    yield from (*own, *common)


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())
