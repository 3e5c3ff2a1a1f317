"""The command `stacks-pulumi`: its subcommands, its exit codes, and the extra that installs a missing package."""

from __future__ import annotations

import argparse
import codecs
import importlib
import io
import itertools
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from stacks_pulumi import __version__
from stacks_pulumi._identifiers import did_you_mean
from stacks_pulumi.commands._shared import (
    Command,
    declare,
    one_line,
    print_error,
    report_error,
)
from stacks_pulumi.errors import StacksError, with_code

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
    "uvicorn": "broker",
    "h11": "broker",
}
"""Package -> the extra that installs it."""


def advice(missing: ModuleNotFoundError) -> str | None:
    """
    Return a sentence with the missing package and the command that installs it; `None` if no extra contains the
    package.
    """
    module = (missing.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        return None
    from stacks_pulumi.commands._package import install_words  # noqa: PLC0415  (it reads the installed packages)

    # If the source of this package is not known, install the missing package itself.
    words = install_words(f"[{extra}]") or [module.replace("_", "-")]
    return f"{module} is not installed. It comes with the extra {extra!r}: {shlex.join(['pip', 'install', *words])}"


_MODULES: Final = {
    **{name: name for name in ("account", "broker", "completion", "cost", "doctor")},
    **{name: name for name in ("emulator", "gate", "mcp", "policies", "scaffold")},
    **dict.fromkeys(("backups", "credentials", "logs", "vpn-config"), "container"),
    "policy": "policies",
}
"""
Subcommand -> the module of `stacks_pulumi.commands` that contains the subcommand's table. A subcommand imports only its
own module.
"""

_ERROR: Final = 1
"""The exit code after an error, including an invalid option. Commands use codes of 2 and higher for their results."""

_NO_READER: Final = 128 + 13
"""The exit code that a shell reports for a program that was ended by SIGPIPE."""

_INTERRUPTED: Final = 128 + 2
"""The exit code that a shell reports for a program that was ended by SIGINT."""


class WrongOptionError(SystemExit):
    """Raised for an invalid option, after the message and the usage were printed."""

    def __init__(self, message: str) -> None:
        super().__init__(_ERROR)
        self.message = message


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end with a code, as all errors do, and suggest the word that the user probably meant."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {with_code(one_line(message), 'invalid-argument')}\n")
        raise WrongOptionError(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        words = None
        if self.get_default("words") is not None and args is not None and "--" in args:
            # A subcommand has options of its own, which may follow the options of this parser.
            place = args.index("--")
            args, words = args[:place], args[place + 1 :]
        found, rest = super().parse_known_args(args, namespace)
        if words is not None:
            found.words = words
        if rest:
            # Report the error here: `parse_args` is called only on the main parser, but this method also on the parser
            # of a subcommand.
            option = rest[0].partition("=")[0]
            known = self._option_string_actions if option.startswith("-") else ()
            self.error(f"unrecognized arguments: {' '.join(rest)}{did_you_mean(option, known)}")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            close = did_you_mean(str(value), [str(choice) for choice in action.choices or ()])
            raise argparse.ArgumentError(action, f"{error.message}{close}") from None


def build_parser(words: Sequence[str] = ()) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """
    Return the parser for a command line, and the commands that it knows: only the first word if that is a command, none
    for `--version`, and otherwise all.
    """
    parser = _Parser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
    parser.add_argument("--version", action="version", version=f"stacks-pulumi {__version__}")
    parser.set_defaults(format="text")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    first = next(iter(words), "")
    commands = {
        name: importlib.import_module(f"stacks_pulumi.commands.{_MODULES[name]}").COMMANDS[name]
        for name in ([first] if first in _MODULES else [] if first == "--version" else _MODULES)
    }
    for name, command in sorted(commands.items()):
        declare(subparsers.add_parser(name, help=command.help), command)
    return parser, commands


_SIMPLE: Final[dict[int, str | int | None]] = {
    # Corners and crossings of the lines of a table.
    **dict.fromkeys(range(0x2500, 0x2580), "+"),
    **str.maketrans("─━═│┃║±×·–…→", "---|||*x.-.>"),  # noqa: RUF001  (the signs that our outputs have)
}
"""
Sign -> its replacement on a terminal that supports only ASCII. Both have the same width, so that table columns stay
aligned.
"""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace each character that the output cannot show with its ASCII replacement, or else with a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(_SIMPLE)
    return "".join(sign if sign.isascii() else "?" for sign in signs), error.end


codecs.register_error("stacks-pulumi", _in_ascii)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a subcommand, or print the help if no subcommand is given.

    Args:
        argv: The arguments after the program's name; by default those of this process.

    Returns:
        The exit code: 1 after an error, 130 after Ctrl-C, 141 if the reader of standard output has closed the pipe.

    Raises:
        SystemExit: The help was requested (0), or an option is invalid (1).
    """
    words = sys.argv[1:] if argv is None else argv
    # Python sets an output to `None` if it was closed before the start (`>&-`), for instance by a service manager.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # If the terminal cannot show a character, print a substitute instead of a traceback.
            stream.reconfigure(errors="stacks-pulumi")
    # These options apply until the arguments are parsed.
    options = argparse.Namespace(
        command=next(iter(words), ""), format="json" if _wants_json(words) else "text"
    )
    try:
        parser, commands = build_parser(words)
        options = parser.parse_args(words)
        if options.command is None:
            parser.print_help()
            return 0
        code = int(commands[options.command].run(options))
        sys.stdout.flush()
    except WrongOptionError as error:
        print_error(options, error.message, "invalid-argument")
        raise
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Writing the rest of the buffer at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    except ModuleNotFoundError as missing:
        told = advice(missing)
        if told is None:
            raise
        return report_error(options, StacksError(told, code="missing-extra"), exit_code=_ERROR)
    except (StacksError, OSError) as error:
        return report_error(options, error, exit_code=_ERROR)
    return code


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  (an output of the whole process)


def _wants_json(words: Sequence[str]) -> bool:
    return "--json" in words or "--format=json" in words or ("--format", "json") in itertools.pairwise(words)
