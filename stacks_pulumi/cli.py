"""
`stacks-pulumi`: which subcommands there are, how a run ends, and which extra a missing package comes with.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shlex
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from stacks_pulumi import __version__
from stacks_pulumi.commands._shared import Command, one_line, tell
from stacks_pulumi.commands.scaffold import install_words
from stacks_pulumi.errors import with_code

if TYPE_CHECKING:
    from collections.abc import Sequence


_EXTRAS: Final = {
    "werkzeug": "emulator",
    "pulumi_policy": "policy",
    "rich": "cli",
    "shtab": "cli",
    "anyio": "agents",
    "mcp": "agents",
    "pydantic": "agents",
}
"""Package -> the extra that installs it."""


def advice(missing: ModuleNotFoundError) -> str | None:
    """Return a sentence with the missing package and the command that installs it; `None` if no extra has it."""
    module = (missing.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        return None
    # Without a known place of this package, install what is missing from it, which its users know by that name.
    words = install_words(f"[{extra}]") or [module.replace("_", "-")]
    return f"{module} is not installed. It comes with the extra {extra!r}: {shlex.join(['pip', 'install', *words])}"


_MODULES: Final = ("account", "container", "cost", "doctor", "emulator", "gate", "mcp", "scaffold")
"""The modules of `stacks_pulumi.commands`; each has a table of its subcommands."""

_WRONG_OPTION: Final = {"account": 1, "cost": 1, "gate": 1, "mcp": 1}
"""Subcommand -> its exit code for a wrong option, if argparse's exit code 2 has another meaning there."""

_NO_READER: Final = 128 + 13
"""The exit code that a shell reports for a program that was ended by SIGPIPE."""

_INTERRUPTED: Final = 128 + 2
"""The exit code that a shell reports for a program that was ended by SIGINT."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end with a code, as all errors do."""

    def error(self, message: str) -> NoReturn:
        super().error(with_code(one_line(message), "invalid-argument"))


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """Return the parser of the whole command line, and its subcommands by name."""
    parser = _Parser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
    parser.add_argument("--version", action="version", version=f"stacks-pulumi {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands = {"completion": Command("print a completion script for a shell", _add_completion, _complete)}
    for module in _MODULES:
        commands.update(importlib.import_module(f"stacks_pulumi.commands.{module}").COMMANDS)
    for name, command in sorted(commands.items()):
        command.add_arguments(subparsers.add_parser(name, help=command.help))
    return parser, commands


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        'Print a completion script for a shell, for instance: eval "$(stacks-pulumi completion bash)"'
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _complete(arguments: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415  (it comes with an extra)

    sys.stdout.write(shtab.complete(build_parser()[0], arguments.shell) + "\n")
    return 0


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
        tell(words[0], with_code(told, "missing-extra"))
        return _WRONG_OPTION.get(words[0], 2)


def _run(words: Sequence[str]) -> int:
    parser, commands = build_parser()
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
        code = int(commands[arguments.command].run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Writing the rest of the buffer at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    return code


if __name__ == "__main__":
    sys.exit(main())
