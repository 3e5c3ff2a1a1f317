"""
What do the commands share: how they find the account and the container, and how they show a result or an error?
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacks_pulumi import config
from stacks_pulumi._pulumi_cli import Pulumi, PulumiError, find_project
from stacks_pulumi.config import without_keys
from stacks_pulumi.errors import ConfigError, StacksError, UnreadableAnswerError, clean, with_code

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api.models import Container
    from stacks_pulumi.config import AccountSettings


class Command(NamedTuple):
    """
    One subcommand.

    Attributes:
        help: What it does, in one line.
        add_arguments: Adds its arguments to a parser.
        run: Carries it out, and returns the exit code. It imports the packages of an extra itself, so that each
            command works without the packages of the others.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def not_a_folder(folder: Path) -> ConfigError:
    """Return the error for a project's folder that is not one."""
    return ConfigError(f"{folder} is not a folder: name the project's folder with -C", code="file-access")


def one_line(text: str) -> str:
    """Return a text in one line, cleaned and without API keys: a user may paste one as an argument."""
    return clean(" ".join(without_keys(text).split()))


def tell(command: str, text: str) -> None:
    """Print a message as one line on standard error."""
    sys.stderr.write(f"stacks-pulumi {command}: {one_line(text)}\n")


_SUCCESS: Final = range(200, 300)
_SHAPE: Final = "lists: {rows: items, next: meta.next, parameter: page}"


def report_error(command: str, error: StacksError | OSError, *, exit_code: int = 1) -> int:
    """Print why a command ended, in one line; return its exit code."""
    text = str(error) if isinstance(error, StacksError) else with_code(str(error), "file-access")
    if isinstance(error, UnreadableAnswerError) and error.status in _SUCCESS and "platform file" not in text:
        # It may be an answer of the API whose shape is not known here.
        from stacks_pulumi.platform_file import PlatformFile  # noqa: PLC0415  (only this error needs it)

        advice = PlatformFile(path=os.environ.get("STACKS_PLATFORM") or None).advice(_SHAPE)
        text = with_code(
            f"{error.message}; if the platform has its rows or pages elsewhere, {advice}", error.code
        )
    tell(command, text)
    return exit_code


def save_snapshot(command: str, file: str, document: Mapping[str, Any], gap: str, *, blocked: bool) -> None:
    """
    Save a snapshot of the account, if it has all containers and is within the limits.

    Otherwise a later comparison would be wrong, or would accept what a limit has just refused.

    Args:
        command: The command's name.
        file: Where to save it.
        document: The snapshot.
        gap: Why the account may have more containers; empty if these are all. Otherwise nothing is written, and a line
            on standard error has the reason.
        blocked: Whether a limit is exceeded. Then nothing is written either.

    Raises:
        InputError: The file cannot be written.
    """
    from stacks_pulumi.cost.live import write_snapshot  # noqa: PLC0415  (other commands do not need it)

    if blocked and not gap:
        gap = "a limit is exceeded; to accept the account as it is, save it without that limit"
    if gap:
        tell(command, f"{file} was not written: {gap}")
    else:
        write_snapshot(Path(file), document)


HIDDEN = "[secret]"
"""The text that is shown instead of a secret, unless --show-secrets is given."""


def add_stack(parser: argparse.ArgumentParser) -> None:
    """Add the options that select the account."""
    parser.add_argument(
        "-C", "--cwd", default=".", metavar="DIR", help="the project's folder (default: this one)"
    )
    parser.add_argument(
        "-s",
        "--stack",
        metavar="NAME",
        help="the stack whose key is used (default: the selected one; outside of a project: STACKS_API_KEY)",
    )


def add_container(parser: argparse.ArgumentParser, metavar: str = "CONTAINER", **more: Any) -> None:
    """Add the argument that names a container."""
    parser.add_argument("container", metavar=metavar, help="the container's name or id", **more)


def number_to(most: int) -> Callable[[str], int]:
    """Return a parser for an argument that is a number from 1 to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
        return int(text)

    return parse


def carry_out(command: str, arguments: argparse.Namespace, work: Callable[[StacksClient], int]) -> int:
    """
    Run a command's work with a client. An error is printed as one line on standard error.

    Args:
        command: The command's name.
        arguments: Its options.
        work: The command's work; returns the exit code.

    Returns:
        The exit code; 1 after an error.
    """
    try:
        settings = settings_of(command, Path(arguments.cwd), arguments.stack)
        from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (a wrong option needs no HTTP)

        with StacksClient.of(settings, _Waiting(command)) as client:
            return work(client)
    except (StacksError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return report_error(command, error)


def settings_of(command: str, folder: Path, stack: str | None) -> AccountSettings:
    """
    Return the settings that the provider would use for a stack. Its configuration overrides the environment.

    Raises:
        PulumiError: The stack's configuration cannot be read, and the environment has no key.
        ConfigError: There is no key, or a setting is malformed.
    """
    if not folder.is_dir():
        raise not_a_folder(folder)
    if stack is None and find_project(folder) is None:
        return config.load()
    try:
        configured = Pulumi(folder.resolve(), stack).configuration()
    except PulumiError as error:
        if stack is not None or "STACKS_API_KEY" not in os.environ:
            raise
        tell(command, f"the stack's settings are not used: {error.message}")
        return config.load()
    if configured.error and f"{config.NAMESPACE}:apiKey" in configured.secrets:
        raise PulumiError(
            f"the stack's key cannot be decrypted: {configured.error}; STACKS_API_KEY is used only outside of the "
            "project (-C DIR)"
        )
    config.check_spelling(configured.values.get)
    return config.load(configured.values)


def container_of(client: StacksClient, wanted: str) -> Container:
    """
    Return the container with this id or name. Names are not case-sensitive.

    Raises:
        StacksError: The account has no such container, or the list cannot be read.
    """
    from stacks_pulumi.cost.live import listed as live  # noqa: PLC0415  (other commands do not need it)

    listed = live(client)
    container = next((one for one in listed if one.id == wanted), None)
    if container is None:
        container = listed.find(lambda one: (one.name or "").lower() == wanted.lower())
    if container is None:
        names = sorted(one.name or one.id for one in listed)
        shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
        raise StacksError(
            f"the account has no container {wanted!r}; it has: {shown or 'none'}", code="not-found"
        )
    return container


class _Waiting:
    """Prints one line when the command waits for the rate limit."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._said = False

    def __call__(self, seconds: float, _queued: int) -> None:
        if seconds >= 1 and not self._said:
            self._said = True
            tell(self._command, f"rate limit: {seconds:.0f} s")
