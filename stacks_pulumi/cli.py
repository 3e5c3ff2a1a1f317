"""`stacks-pulumi`: the command-line tools."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from stacks_pulumi import __version__
from stacks_pulumi._extras import advice
from stacks_pulumi.commands._shared import one_line
from stacks_pulumi.errors import with_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["build_parser", "main"]

_COMMANDS: Final = {
    "account": "stacks_pulumi.commands.account",
    "backups": "stacks_pulumi.commands.backups",
    "completion": "stacks_pulumi.commands.completion",
    "cost": "stacks_pulumi.commands.cost",
    "credentials": "stacks_pulumi.commands.credentials",
    "doctor": "stacks_pulumi.commands.doctor",
    "emulator": "stacks_pulumi.commands.emulator",
    "logs": "stacks_pulumi.commands.logs",
    "scaffold": "stacks_pulumi.commands.scaffold",
    "vpn-config": "stacks_pulumi.commands.vpn_config",
}
"""Subcommand -> its module; `stacks_pulumi.commands` describes the modules' interface."""

_WRONG_OPTION: Final = {"account": 1, "cost": 1}
"""Subcommand -> its exit code for a wrong option, if argparse's exit code 2 has another meaning there."""

_NO_READER: Final = 128 + 13
"""The exit code that a shell reports for a program that was ended by SIGPIPE."""

_INTERRUPTED: Final = 128 + 2
"""The exit code that a shell reports for a program that was ended by SIGINT."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end with a code, as all errors do."""

    def error(self, message: str) -> NoReturn:
        super().error(with_code(one_line(message), "invalid-argument"))


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    """Return the parser of the whole command line, and the module of each subcommand."""
    parser = _Parser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
    parser.add_argument("--version", action="version", version=f"stacks-pulumi {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    modules = {name: importlib.import_module(path) for name, path in _COMMANDS.items()}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.HELP))
    return parser, modules


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a subcommand; without one, print the help.

    Args:
        argv: The arguments after the program's name; by default those of this process.

    Returns:
        The exit code; 130 after Ctrl-C, 141 if the reader of standard output has closed it.
    """
    words = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # For a character that the terminal cannot show, print a question mark instead of a traceback.
            stream.reconfigure(errors="replace")
    try:
        return _run(words)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return _INTERRUPTED
    except ModuleNotFoundError as missing:
        told = advice(missing)
        if told is None:
            raise
        sys.stderr.write(f"stacks-pulumi {words[0]}: {with_code(told, 'missing-extra')}\n")
        return _WRONG_OPTION.get(words[0], 2)


def _run(words: Sequence[str]) -> int:
    parser, modules = build_parser()
    try:
        arguments = parser.parse_args(words)
    except SystemExit as ended:
        if ended.code == 2 and words:
            raise SystemExit(_WRONG_OPTION.get(words[0], 2)) from None
        raise
    try:
        if arguments.command is None:
            parser.print_help()
            return 0
        code = int(modules[arguments.command].run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Writing the rest of the buffer at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    return code


if __name__ == "__main__":
    sys.exit(main())
