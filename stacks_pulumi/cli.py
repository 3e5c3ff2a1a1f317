"""`stacks-pulumi`: the commands that are no part of a Pulumi program."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_COMMANDS: Final = {
    "cost": "stacks_pulumi.cost.command",
    "emulator": "stacks_pulumi.commands.emulator",
}
"""Subcommand -> its module, which `stacks_pulumi.commands` describes."""

_WRONG_OPTION: Final = {"cost": 1}
"""Subcommand -> its exit code for an option that is wrong, where argparse's 2 means something else."""

_NOBODY_READS: Final = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a subcommand.

    Args:
        argv: What follows the program's name; that of this process unless given.

    Returns:
        The exit code; 141 if whoever read standard output has gone.
    """
    parser = argparse.ArgumentParser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: importlib.import_module(path) for name, path in _COMMANDS.items()}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.HELP))
    words = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser.parse_args(words)
    except SystemExit as ended:
        if ended.code == 2 and words:
            raise SystemExit(_WRONG_OPTION.get(words[0], 2)) from None
        raise
    try:
        code = int(modules[arguments.command].run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough (`| head`). What is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    return code


if __name__ == "__main__":
    sys.exit(main())
