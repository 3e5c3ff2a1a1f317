"""
`stacks-pulumi completion`: print a completion script for a shell, and the container names that this script offers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from stacks_pulumi.commands._shared import NAMES, NAMES_FUNCTION, Command, add_stack, client_of
from stacks_pulumi.errors import StacksError

_SHELLS: Final = ("bash", "zsh", "fish", "tcsh")
_BASH: Final = f"""
{NAMES_FUNCTION}() {{
  compgen -W "$(stacks-pulumi completion {NAMES} "${{COMP_WORDS[@]:1}}" 2>/dev/null)" -- "$1"
}}
"""
_ZSH: Final = f"""
{NAMES_FUNCTION}() {{
  local -a names
  names=(${{(f)"$(stacks-pulumi completion {NAMES} "${{(@)words[2,-1]}}" 2>/dev/null)"}})
  compadd -a names
}}
"""
_FUNCTIONS: Final = {"bash": _BASH, "zsh": _ZSH}
_PATIENCE: Final = 8
"""Seconds after which completion stops, because a person is waiting for the names."""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that contains no characters with a special meaning in a shell."""


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        'Print a completion script for a shell, for instance: eval "$(stacks-pulumi completion bash)". It also '
        "completes the names of containers: for that, it lists the containers of the account."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "shell", nargs="?", choices=_SHELLS, metavar="|".join(_SHELLS), help="which shell the script is for"
    )
    what.add_argument(NAMES, nargs=argparse.REMAINDER, dest="words", help=argparse.SUPPRESS)


def _complete(options: argparse.Namespace) -> int:
    if options.words is not None:
        return _print_names(options.words)
    import shtab  # noqa: PLC0415  (it comes with an extra)

    from stacks_pulumi.cli import build_parser  # noqa: PLC0415  (which imports this module)

    parser = build_parser()[0]
    paths = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for action in _actions_of(parser):
        if action.metavar in paths:
            action.complete = paths[action.metavar]  # type: ignore[attr-defined]  # where shtab looks for it
    script = shtab.complete(parser, options.shell, preamble=_FUNCTIONS.get(options.shell, ""))
    sys.stdout.write(f"{script}\n")
    return 0


def _actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of all parsers below it."""
    for action in parser._actions:  # noqa: SLF001  (there is no public list of them)
        yield action
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                yield from _actions_of(below)


def _print_names(words: Sequence[str]) -> int:
    """Print the names of the account's containers for a shell. Only the options that choose the stack are read."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.set_defaults(command="completion")
    add_stack(finder, "")
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.alarm(_PATIENCE)
    # Print no error: it would appear in the line that the person is typing.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            options, _ = finder.parse_known_args(words)
            with client_of(options) as client:
                listed = client.containers.list()
        except (StacksError, OSError, SystemExit):
            return 1
        finally:
            signal.alarm(0)
    names = (one.name or one.id for one in listed)
    sys.stdout.write("".join(f"{name}\n" for name in names if _PLAIN_NAME.fullmatch(name)))
    return 0


COMMANDS = {"completion": Command("print a completion script for a shell", _add_completion, _complete)}
