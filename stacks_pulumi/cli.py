"""`stacks-pulumi`: the commands that are no part of a Pulumi program."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from stacks_pulumi import __version__
from stacks_pulumi._extras import advice

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
"""Subcommand -> its module, which `stacks_pulumi.commands` describes."""

_WRONG_OPTION: Final = {"account": 1, "cost": 1}
"""Subcommand -> its exit code for an option that is wrong, where argparse's 2 means something else."""

_NO_READER: Final = 128 + 13
"""The exit code that a shell reports for a program that SIGPIPE ended."""

_INTERRUPTED: Final = 128 + 2
"""The same for SIGINT."""


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    """Return the parser of the whole command line, and the module of each subcommand."""
    parser = argparse.ArgumentParser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
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
        argv: The arguments after the program's name; those of this process unless given.

    Returns:
        The exit code; 130 after Ctrl-C, 141 if the reader of standard output has gone.
    """
    words = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets a question mark, and no traceback.
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
        sys.stderr.write(f"stacks-pulumi {words[0]}: {told}\n")
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
        # The reader has seen enough (`| head`). What is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    return code


if __name__ == "__main__":
    sys.exit(main())
