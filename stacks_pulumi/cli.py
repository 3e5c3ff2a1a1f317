"""The command `stacks-pulumi`: its subcommands, its exit codes, and the extra that installs a missing package."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import importlib
import io
import itertools
import os
import re
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from stacks_pulumi import __version__
from stacks_pulumi._identifiers import nearest
from stacks_pulumi.commands._package import install_words
from stacks_pulumi.commands._shared import (
    NAMES,
    NAMES_FUNCTION,
    Command,
    add_stack,
    client_of,
    declare,
    one_line,
    print_error,
    report_error,
)
from stacks_pulumi.errors import StacksError, with_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType


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
    # If the source of this package is not known, install the missing package itself.
    words = install_words(f"[{extra}]") or [module.replace("_", "-")]
    return f"{module} is not installed. It comes with the extra {extra!r}: {shlex.join(['pip', 'install', *words])}"


_MODULES: Final = {
    **{name: name for name in ("account", "broker", "cost", "doctor", "emulator", "gate", "mcp", "scaffold")},
    **dict.fromkeys(("backups", "credentials", "logs", "vpn-config"), "container"),
    **dict.fromkeys(("policies", "policy"), "policies"),
}
"""Subcommand -> the module of `stacks_pulumi.commands` with its table. A subcommand imports only its own module."""

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
            # This method is called on the parser of the subcommand; `parse_args` is called only on the main parser.
            option = rest[0].partition("=")[0]
            known = self._option_string_actions if option.startswith("-") else ()
            self.error(f"unrecognized arguments: {' '.join(rest)}{_meant(option, known)}")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            close = _meant(str(value), [str(choice) for choice in action.choices or ()])
            raise argparse.ArgumentError(action, f"{error.message}{close}") from None


def _meant(word: str, known: Iterable[str]) -> str:
    """Return a question that suggests the most similar known word; empty if no word is similar."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near}?"


def build_parser(words: Sequence[str] = ()) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """
    Return the parser for a command line, and the commands that it knows: all commands, unless the words begin with one.
    """
    parser = _Parser(prog="stacks-pulumi", description="Tools for STACKS programs in Pulumi.")
    parser.add_argument("--version", action="version", version=f"stacks-pulumi {__version__}")
    parser.set_defaults(format="text")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands = {"completion": Command("print a completion script for a shell", _add_completion, _complete)}
    first = next(iter(words), "")
    for name in [] if first in commands else [first] if first in _MODULES else _MODULES:
        commands[name] = importlib.import_module(f"stacks_pulumi.commands.{_MODULES[name]}").COMMANDS[name]
    for name, command in sorted(commands.items()):
        declare(subparsers.add_parser(name, help=command.help), command)
    return parser, commands


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

    parser = build_parser()[0]
    paths = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for action in actions_of(parser):
        if action.metavar in paths:
            action.complete = paths[action.metavar]  # type: ignore[attr-defined]  # where shtab looks for it
    script = shtab.complete(parser, options.shell, preamble=_FUNCTIONS.get(options.shell, ""))
    sys.stdout.write(f"{script}\n")
    return 0


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of all parsers below it."""
    for action in parser._actions:  # noqa: SLF001  (there is no public list of them)
        yield action
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                yield from actions_of(below)


def _print_names(words: Sequence[str]) -> int:
    """Print the names of the account's containers for a shell. Everything else on the command line is ignored."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.set_defaults(command="completion")
    add_stack(finder, "")
    before = signal.signal(signal.SIGALRM, _leave)
    signal.alarm(_PATIENCE)
    # Print no error: it would appear in the line that the person is typing.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            options, _ = finder.parse_known_args(words)
            with client_of(options) as client:
                listed = client.containers.list()
        except (StacksError, OSError, SystemExit):
            return _ERROR
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    names = (one.name or one.id for one in listed)
    sys.stdout.write("".join(f"{name}\n" for name in names if _PLAIN_NAME.fullmatch(name)))
    return 0


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(_ERROR)


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
    Run a subcommand; without one, print the help.

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
    # The default until the arguments are parsed.
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


if __name__ == "__main__":
    sys.exit(main())
