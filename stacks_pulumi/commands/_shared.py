"""
What do the commands share: options, how they find the account and the container, and how they print results and errors?
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO, TypeVar

from stacks_pulumi import config
from stacks_pulumi.errors import (
    ConfigError,
    ErrorCode,
    StacksError,
    clean,
    with_code,
    without_keys,
)

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api.models import Container
    from stacks_pulumi.config import AccountSettings
    from stacks_pulumi.reports import Document


_T = TypeVar("_T")

TEXT: Final = ("text", "json")
"""The formats of most results: `text` for people, `json` for programs."""

_DONE: Final = MappingProxyType({0: "done"})
_SHORT: Final = ("json", "markdown")
"""The formats that have an option of their own in addition to `--format`."""


class Command(NamedTuple):
    """
    One subcommand, or one action of a subcommand.

    Attributes:
        help: What it does, in one line.
        add_arguments: Adds its own arguments to a parser; `declare` adds the arguments that commands share.
        run: Runs the command, and returns the exit code. If it raises an error, the error is shown, and the exit code
            is 1. It imports the packages of the command's extra itself, so that other commands work without them.
        codes: The meaning of each exit code. 1 also means an error or a wrong option.
        forms: The formats of its result, the default first; empty if it prints no result.
        stack: The help text of `--stack`, which states how the command uses the stack; empty if it uses no stack.
        actions: Its actions by name, each with its own arguments.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    codes: Mapping[int, str] = _DONE
    forms: tuple[str, ...] = ()
    stack: str = ""
    actions: Mapping[str, Command] = MappingProxyType({})

    @property
    def all_codes(self) -> dict[int, str]:
        """The meaning of each exit code, including the codes that all commands have."""
        more = self.codes.get(1)
        error = f"an error, a wrong option, or {more}" if more else "an error, or a wrong option"
        return dict(sorted({**self.codes, 1: error}.items()))


OF_STACK: Final = "which stack (default: the selected one)"
KEY_OF_STACK: Final = (
    "the stack whose key is used (default: the selected one; outside of a project: STACKS_API_KEY)"
)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps the lines of a text, but keeps the lines of a list."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def declare(parser: argparse.ArgumentParser, command: Command) -> None:
    """Add the arguments of a command: its own, and the arguments that commands share."""
    command.add_arguments(parser)
    parser.formatter_class = _Help
    parser.description = parser.description or f"{command.help[0].upper()}{command.help[1:]}."
    if command.actions:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        for name, action in command.actions.items():
            declare(actions.add_parser(name, help=action.help), action)
        return
    if command.stack:
        add_stack(parser, command.stack)
    default = command.forms[0] if command.forms else "text"
    parser.set_defaults(format=default)
    if command.forms:
        forms = parser.add_mutually_exclusive_group()
        forms.add_argument(
            "--format",
            choices=command.forms,
            default=default,
            help=f"the format of the result (default: {default})",
        )
        for form in _SHORT:
            if form in command.forms:
                forms.add_argument(
                    f"--{form}",
                    dest="format",
                    action="store_const",
                    const=form,
                    default=default,
                    help=f"the same as --format {form}",
                )
    width = shutil.get_terminal_size().columns - 2
    lines = [
        textwrap.fill(text, width, initial_indent=f"  {code:<3}", subsequent_indent=" " * 5)
        for code, text in command.all_codes.items()
    ]
    parser.epilog = "\n".join([*([f"{parser.epilog}\n"] if parser.epilog else []), "exit codes:", *lines])


def one_line(text: str) -> str:
    """Return the text as one cleaned line without API keys, because a user may have pasted a key as an argument."""
    return clean(" ".join(without_keys(text).split()))


def tell(command: str, text: str) -> None:
    """Print a message as one line on standard error."""
    sys.stderr.write(f"stacks-pulumi {command}: {one_line(text)}\n")


_VERSION: Final = 1
"""The version of all results in JSON. Within a version, a key keeps its name and its meaning; new keys may be added."""


def enveloped(
    data: object = MappingProxyType({}),
    incomplete: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Return a result for programs: its own keys, and the keys that every result has."""
    import msgspec  # noqa: PLC0415  (completions and help texts do not need it)

    own = msgspec.to_builtins(dict(data) if isinstance(data, MappingProxyType) else data, str_keys=True)
    return {
        "version": _VERSION,
        **own,
        "incomplete": own.get("incomplete", incomplete),
        "errors": list(errors),
    }


def print_json(data: object, incomplete: str | None = None) -> None:
    """Print a result for programs: one JSON object, with the keys that every result has."""
    from stacks_pulumi.reports.writers import as_json  # noqa: PLC0415  (other formats do not need it)

    sys.stdout.write(as_json(enveloped(data, incomplete)))


def answer(
    options: argparse.Namespace, data: object, lines: Iterable[str], incomplete: str | None = None
) -> None:
    """Print a result: as JSON for programs, or as lines of cleaned text for people."""
    if options.format == "json":
        print_json(data, incomplete)
    else:
        sys.stdout.write("".join(f"{clean(line)}\n" for line in lines))


def incomplete_of(document: Document) -> str | None:
    """Return why a report is incomplete; `None` if it is complete."""
    return "; ".join(document.incomplete) or None


def show(document: Document, options: argparse.Namespace, *, frames: bool = False) -> None:
    """Print a report in the format that the options choose."""
    from stacks_pulumi.reports import writers  # noqa: PLC0415  (only a report needs it)

    name = getattr(options, "name", None)
    if options.format == "json":
        text = writers.as_json(enveloped(document.data, incomplete_of(document)))
    elif options.format == "junit":
        text = writers.as_junit(document, f"stacks-pulumi {options.command}")
    elif options.format == "markdown":
        text = writers.markdown(document) if name is None else writers.comment(document, name)
    elif frames and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        framed = writers.rich_text(document, width=width, color=has_colours(sys.stdout))
        text = framed or writers.wrapped(writers.plain(document), width)
    else:
        text = writers.plain(document)
    sys.stdout.write(text)


def report_error(options: argparse.Namespace, error: StacksError | OSError, *, exit_code: int = 1) -> int:
    """Print why a command ended: one line on standard error, and with `--json` an object on standard output too."""
    message, code = (
        (error.message, error.code) if isinstance(error, StacksError) else (str(error), "file-access")
    )
    tell(options.command, with_code(message, code))
    print_error(options, message, code)
    return exit_code


def print_error(options: argparse.Namespace, message: str, code: ErrorCode) -> None:
    """Print an error as JSON on standard output, if the options ask for JSON."""
    if options.format == "json":
        from stacks_pulumi.reports.writers import as_json  # noqa: PLC0415  (as above)

        message = one_line(message)
        said = enveloped(incomplete=message, errors=[{"code": code, "message": message}])
        # A program that starts the emulator reads only the first line.
        sys.stdout.write(as_json(said, indent=None if options.command == "emulator" else 2))


def has_colours(stream: TextIO) -> bool:
    """Return whether a stream shows colours: it is a terminal with colours, and `NO_COLOR` is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def save_snapshot(command: str, file: str, document: Mapping[str, Any], gap: str, *, blocked: bool) -> None:
    """
    Save a snapshot of the account, if the snapshot contains all containers and the account is within the limits.

    A comparison with an incomplete snapshot would be wrong. A comparison with a snapshot that exceeds a limit would
    accept the increase that the limit has just refused.

    Args:
        command: The command's name.
        file: The file to write.
        document: The snapshot.
        gap: Why the account may have more containers; empty if the snapshot is complete. If it is incomplete, nothing
            is written, and a line on standard error states the reason.
        blocked: Whether a limit is exceeded. If so, nothing is written.

    Raises:
        InputError: The file cannot be written.
    """
    from stacks_pulumi.cost.live import write_snapshot  # noqa: PLC0415  (other commands do not need it)

    if blocked and not gap:
        gap = "a limit is exceeded; to accept the account as it is, save the snapshot without that limit"
    if gap:
        tell(command, f"{file} was not written: {gap}")
    else:
        write_snapshot(Path(file), document)


HIDDEN = "[secret]"
"""The text that is shown instead of a secret, unless --show-secrets is given."""


def add_stack(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add the options that choose a stack."""
    parser.add_argument(
        "-C", "--cwd", default=".", metavar="DIR", help="the project's folder (default: this one)"
    )
    parser.add_argument("-s", "--stack", metavar="NAME", help=help_text)


def target_folder(text: str) -> Path:
    """Return the folder that an option names."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the folder's name is empty; write a dot for the current folder")
    return Path(text)


def add_repeatable(parser: argparse.ArgumentParser, name: str, metavar: str, text: str, **more: Any) -> None:
    """Add an option that may be repeated; its value is the list of all values."""
    help_text = f"{text}; may be repeated"
    parser.add_argument(name, metavar=metavar, action="append", default=[], help=help_text, **more)


_LONGEST: Final = 86_400


def add_exports(parser: argparse.ArgumentParser) -> None:
    """Add the options for reading the stacks: the timeout for a backend, and the exports to read instead of it."""
    parser.add_argument(
        "--timeout",
        type=seconds_to(_LONGEST, least=1),
        default=math.inf,
        metavar="S",
        help="the timeout for each of the two reads of all stacks, in seconds (default: 120 for each command)",
    )
    add_repeatable(
        parser, "--state", "FILE", "read this output of `pulumi stack export` instead of the backend's stacks"
    )


NAMES: Final = "--containers"
"""The option of completion scripts: `stacks-pulumi completion --containers` prints the names of the containers."""

NAMES_FUNCTION: Final = "_stacks_pulumi_names"
"""The function of a completion script for bash or zsh that offers the names of the containers."""

_COMPLETED: Final = {
    "bash": NAMES_FUNCTION,
    "zsh": NAMES_FUNCTION,
    "fish": f"(stacks-pulumi completion {NAMES} (commandline -opc)[2..-1] 2>/dev/null)",
}


def add_container(parser: argparse.ArgumentParser, metavar: str = "CONTAINER", **more: Any) -> None:
    """Add the argument for a container's name or id. A shell completes the name."""
    argument = parser.add_argument("container", metavar=metavar, help="the container's name or id", **more)
    argument.complete = _COMPLETED  # type: ignore[attr-defined]  # shtab reads this attribute


def number_to(most: int, least: int = 1) -> Callable[[str], int]:
    """Return a parser for an argument that is a whole number in this range."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


def seconds_to(most: int, least: int = 0) -> Callable[[str], float]:
    """Return a parser for an argument that is a number of seconds in this range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {least} to {most}")
        return value

    return parse


def or_none(parse: Callable[[str], _T]) -> Callable[[str], _T | None]:
    """Return a parser for an argument that may also be the word `none`."""
    return lambda text: None if text == "none" else parse(text)


def argument(convert: Callable[[str], _T]) -> Callable[[str], _T]:
    """Return a parser that converts an argument, and reports the text of the `ValueError` if the conversion fails."""

    def parse(text: str) -> _T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


@contextlib.contextmanager
def client_of(options: argparse.Namespace) -> Iterator[StacksClient]:
    """
    Yield a client for the account that the options select.

    Raises:
        StacksError: See `settings_of`.
    """
    settings = settings_of(options)
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (a wrong option needs no HTTP)

    with StacksClient.of(settings, LimitNotice(options.command)) as client:
        yield client


def settings_of(options: argparse.Namespace) -> AccountSettings:
    """
    Return the settings that the provider would use for a stack. The stack's configuration overrides the environment.

    Raises:
        PulumiError: The stack's configuration cannot be read, and the environment contains no key.
        ConfigError: There is no key, or a setting is malformed.
    """
    settings = config.load(_configured(options))
    if settings.api_key is None:
        raise ConfigError(
            "no STACKS API key is configured: set the environment variable STACKS_API_KEY. For an emulator or "
            "another platform, set STACKS_BASE_URL as well: the key is sent to that address (default: "
            f"{config.DEFAULT_BASE_URL}). In a project, `pulumi config set stacks:apiKey --secret` and `pulumi config "
            "set stacks:baseUrl` do the same for a stack",
            code="missing-api-key",
        )
    return settings


def _configured(options: argparse.Namespace) -> Mapping[str, str | None]:
    """Return the configuration of the stack; empty outside of a project."""
    from stacks_pulumi._pulumi_cli import Pulumi, PulumiError, find_project  # noqa: PLC0415  (the emulator runs no command)

    folder, stack = folder_of(options), options.stack
    if stack is None and find_project(folder) is None:
        return {}
    try:
        configured = Pulumi(folder, stack).configuration()
    except PulumiError as error:
        if stack is not None or "STACKS_API_KEY" not in os.environ:
            raise
        tell(options.command, f"the stack's settings are not used: {error.message}")
        return {}
    if configured.error and f"{config.NAMESPACE}:apiKey" in configured.secrets:
        raise PulumiError(
            f"the stack's key cannot be decrypted: {configured.error}; STACKS_API_KEY is used only outside of the "
            "project (-C DIR)"
        )
    config.check_spelling(configured.values.get)
    return configured.values


def chosen_words(options: argparse.Namespace) -> list[str]:
    """Return the options that choose the stack, for a command line that uses the same stack."""
    words = ["--cwd", options.cwd] if options.cwd != "." else []
    return words if options.stack is None else [*words, "--stack", options.stack]


def key_words(options: argparse.Namespace, settings: AccountSettings) -> str:
    """
    Return a shell expression that yields the key in these settings, but does not contain it. The settings must come
    from `settings_of(options)`.
    """
    if settings.api_key == os.environ.get("STACKS_API_KEY", "").strip():
        return '"$STACKS_API_KEY"'
    # The variable may be unset, or may contain another account's key, which must not be sent to this address.
    words = ["pulumi", "config", "get", f"{config.NAMESPACE}:apiKey", *chosen_words(options)]
    return f'"$({shlex.join(words)})"'


def folder_of(options: argparse.Namespace) -> Path:
    """
    Return the project's folder.

    Raises:
        ConfigError: The option does not name a folder.
    """
    folder = Path(options.cwd)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder: pass the project's folder with -C", code="file-access")
    return folder.resolve()


def container_of(client: StacksClient, wanted: str) -> Container:
    """
    Return the container with this id or name. Names are not case-sensitive.

    Raises:
        StacksError: The account has no such container, or the list cannot be read.
    """
    from stacks_pulumi.cost.live import listed as live  # noqa: PLC0415  (other commands do not need it)
    from stacks_pulumi.pricing.money import some  # noqa: PLC0415  (as above)

    listed = live(client)
    container = next((one for one in listed if one.id == wanted), None)
    if container is None:
        container = listed.find(lambda one: (one.name or "").lower() == wanted.lower())
    if container is None:
        names = sorted(one.name or one.id for one in listed)
        shown = some(names, 20) or "none"
        raise StacksError(f"the account has no container {wanted!r}; it has: {shown}", code="not-found")
    return container


class LimitNotice:
    """Prints one line when the command first waits for the rate limit."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._said = False

    def __call__(self, seconds: float, _queued: int) -> None:
        if seconds >= 1 and not self._said:
            self._said = True
            tell(self._command, f"rate limit: {seconds:.0f} s")
