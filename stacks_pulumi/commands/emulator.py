"""`stacks-pulumi emulator`: serve the API on this machine until the command is interrupted."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import inspect
import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stacks_pulumi.commands._shared import (
    TEXT,
    Command,
    add_repeatable,
    argument,
    enveloped,
    number_to,
    or_none,
    seconds_to,
    tell,
)
from stacks_pulumi.config import check_api_key
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.pricing.money import number

if TYPE_CHECKING:
    from stacks_pulumi.emulator import Emulator

_HELP = "serve an emulated STACKS API on this machine"

DEFAULT_PORT = 7822
"""The default port: STAC on a telephone keypad."""

_EXPOSED = "Everyone who can reach this address can use the API with the key below, over plain http.\n"
_GUARDED = "The page and the control API need the token in the page's address.\n"

_LONGEST = 31_536_000
"""The maximum number of seconds that an option accepts: a year."""

_UNLIMITED = 6000
"""The requests per minute that the printed configuration sets if there is no limit: a hundred per second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the address, the initial content, the delays and the strictness of the emulator."""
    parser.description = (
        "Serve an emulated STACKS API on this machine until the command is interrupted. "
        "Nothing is billed and no account is needed. The page at / shows its containers."
    )
    parser.add_argument(
        "--port",
        type=number_to(65_535, least=0),
        default=DEFAULT_PORT,
        metavar="N",
        help="the port to listen on; 0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on, 0.0.0.0 for all (default: %(default)s); the control API then needs a token",
    )
    parser.add_argument(
        "--control-token",
        default=os.environ.get("STACKS_EMULATOR_TOKEN"),
        metavar="TOKEN",
        help="the token of the control API (default: STACKS_EMULATOR_TOKEN, or a random token if one is needed)",
    )
    add_repeatable(
        parser,
        "--cors-origin",
        "ORIGIN",
        "let web pages of this origin call the emulator, * for all",
        dest="cors_origins",
        type=_origin,
    )
    add_repeatable(
        parser,
        "--allow-host",
        "NAME",
        "also answer requests for this host name, not only localhost and the address of --host",
        dest="allow_hosts",
        type=_host_name,
    )
    parser.add_argument(
        "--env-file",
        metavar="FILE",
        help="write STACKS_BASE_URL and STACKS_API_KEY to this file, for Docker or a shell; it overwrites only an "
        "unchanged file of an emulator",
    )
    parser.add_argument(
        "--key",
        type=_key,
        metavar="KEY",
        help="the API key to accept: sk_stacks_ and 64 hexadecimal digits (default: one derived from the seed)",
    )
    parser.add_argument(
        "--state",
        dest="state_file",
        metavar="FILE",
        help="store the emulator's state in this JSON file, and load it at the next start",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed from which ids and the key are derived (default: 0)"
    )
    parser.add_argument(
        "--boot-seconds",
        type=seconds_to(_LONGEST),
        default=12,
        metavar="N",
        help="how long a container is pending (default: 12)",
    )
    # No option sets these; only the control API changes them.
    parser.set_defaults(action_seconds=2.0, delete_seconds=2.0, backup_seconds=5.0)
    parser.add_argument(
        "--rate-limit",
        type=or_none(number_to(1_000_000)),
        default=60,
        metavar="N",
        help="requests a minute, or 'none' for no limit (default: 60)",
    )
    parser.add_argument(
        "--spending-cap",
        type=or_none(argument(number)),
        metavar="USD",
        help="the key's monthly spending cap (default: no cap)",
    )
    parser.add_argument(
        "--your-ip",
        default="203.0.113.45",
        metavar="ADDRESS",
        help="the IP address that the emulator shows as the caller's (default: %(default)s)",
    )
    parser.add_argument(
        "--load",
        metavar="FILE",
        help="begin with the containers and connections in this JSON file; with --state only at the first start",
    )
    parser.add_argument(
        "--lenient",
        dest="strict",
        action="store_false",
        help="accept requests that the platform may refuse; by default the emulator refuses them",
    )
    parser.add_argument(
        "--list-lag",
        type=seconds_to(_LONGEST),
        default=0.0,
        metavar="SECONDS",
        help="the lag of lists in seconds (default: 0)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Serve the emulator until SIGINT or SIGTERM, or until the terminal is closed.

    Returns:
        0 after an interruption.

    Raises:
        StacksError: The emulator cannot start, or cannot write its state at the end.
    """
    ends = _held_back()
    from stacks_pulumi import emulator  # noqa: PLC0415  (its packages come with an extra)

    try:
        is_held = _hold(arguments.state_file)
        # The options have the same names as the emulator's settings.
        settings = inspect.signature(emulator.Emulator).parameters
        server = emulator.Emulator(**{name: it for name, it in vars(arguments).items() if name in settings})
        if not is_held:
            _hold(arguments.state_file)
        server.start()
        # The port is known only after the start.
        if arguments.load is not None:
            _load(server, arguments.load, arguments.state_file)
        if arguments.env_file is not None and server.is_key_revoked:
            # Leave the file: it may contain a key that an earlier start wrote.
            tell("emulator", f"{arguments.env_file} was not written: the key is {_REVOKED}")
        elif arguments.env_file is not None:
            _write_environment(Path(arguments.env_file), server)
    except (ValueError, emulator.PortTakenError, emulator.StateFileError) as exc:
        raise _failed(str(exc)) from None
    except OSError as exc:
        raise _failed(f"{exc.filename}: {exc.strerror}") from None
    if server.control_token is not None and arguments.format != "json":
        exposed = "" if server.is_loopback else f"Warning: listening on {arguments.host}. {_EXPOSED}"
        _say(f"{exposed}{_GUARDED}")
    if server.is_key_revoked and arguments.format == "json":
        tell("emulator", f"the key is {_REVOKED}")
    _say(_as_json(server) if arguments.format == "json" else _greeting(server, arguments.rate_limit))
    # If the terminal was closed, the last line is not printed.
    is_deserted = signal.sigwait(ends) == signal.SIGHUP
    try:
        server.stop()
    except emulator.StateFileError as exc:
        raise _failed(str(exc)) from None
    if not is_deserted and arguments.format != "json":
        _say(f"\nStopped after {server.calls()} requests.")
    return 0


def _held_back() -> set[signal.Signals]:
    """
    Block the signals that end the command, and return them. A second signal then does not change the exit code.

    Threads that start later also block the signals. Otherwise, one of these threads could receive a signal, and the
    main thread would continue to wait.
    """
    ends = {signal.SIGINT, signal.SIGTERM}
    # Under `nohup` this signal is ignored; keep it ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.add(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    return ends


def _hold(state: str | None) -> bool:
    """
    Lock the journal of a state file until this process ends, so that no other emulator uses the file.

    Two emulators would overwrite each other's changes.

    Returns:
        Whether the lock is held. There is no lock if the state file has no journal, because then no emulator uses the
        state file.

    Raises:
        ValueError: Another process has the lock.
    """
    if state is None:
        return False
    path = Path(state)
    # Create no journal next to a file that no emulator wrote.
    new = 0 if path.exists() else os.O_CREAT
    try:
        journal = os.open(path.parent / f"{path.name}.journal", os.O_RDWR | os.O_NOFOLLOW | new, 0o600)
    except OSError:
        # The emulator's start reports an error in the path.
        return False
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(journal)
        raise ValueError(f"another emulator uses {state}: stop it, or give another --state") from None
    except OSError:
        # The file system has no locks.
        os.close(journal)
        return False
    return True


def _load(server: Emulator, file: str, state: str | None) -> None:
    from stacks_pulumi.emulator.answers import Refusal  # noqa: PLC0415  (its packages come with an extra)

    try:
        if not server.begin_with(Path(file)):
            why = f"{state} contains the data of an earlier start: remove it and its journal to begin again"
            tell("emulator", f"{file} was not loaded: {why}")
    except ValueError as exc:
        raise ValueError(f"{file} cannot be loaded: {exc}") from None
    except Refusal as refusal:
        raise ValueError(f"{file} cannot be loaded: {refusal.body['error']}") from None


def _write_environment(file: Path, server: Emulator) -> None:
    lines = [f"STACKS_BASE_URL={server.url}", f"STACKS_API_KEY={server.key}"]
    if not server.is_loopback:
        lines.append("STACKS_ALLOW_HTTP=true")
    if file.is_symlink() or (file.exists() and not _is_environment(file)):
        raise ValueError(
            f"--env-file does not overwrite {file}, because no emulator wrote it, and it may contain a key. Move it "
            "away, or name another file"
        )
    # The file contains a key, so only its owner may read it. A link that was made meanwhile is replaced, not followed.
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            content = "\n".join(lines) + "\n"
            written.write(f"{_headed(content)}\n{content}")
        Path(temporary).replace(file)
    except OSError as exc:
        if temporary is not None:
            Path(temporary).unlink()
        raise OSError(exc.errno, exc.strerror, str(file)) from None


def _headed(content: str) -> str:
    """Return the first line of the file, with a checksum that shows whether the following lines are unchanged."""
    checksum = hashlib.sha256(content.encode()).hexdigest()[:16]
    return (
        f"# Written by stacks-pulumi emulator ({checksum}), which overwrites it as long as it is unchanged."
    )


def _is_environment(file: Path) -> bool:
    """
    Return whether a file is empty, or an unchanged file of an emulator. The variables do not show this, because a file
    with a real key has the same ones.
    """
    if not file.is_file():
        return False
    head, _, content = file.read_text(encoding="utf-8", errors="replace").partition("\n")
    return not head + content or head == _headed(content)


def _page(server: Emulator) -> str:
    token = server.control_token
    return server.page_url if token is None else f"{server.page_url}#token={quote(token, safe='')}"


def _as_json(server: Emulator) -> str:
    fields: dict[str, Any] = {"url": server.url, "key": server.key, "page": _page(server)}
    if server.control_token is not None:
        fields["control_token"] = server.control_token
    return json.dumps(enveloped(fields))


_REVOKED = "revoked: requests with it get a 401; use --key to start with a different key"


def _greeting(server: Emulator, rate_limit: int | None) -> str:
    url, page, key = server.url, _page(server), server.key
    return "\n".join(
        (
            "The STACKS emulator is running. Ctrl-C stops it.",
            "",
            f"  API   {url}",
            f"  Page  {page}",
            f"  Key   {key}{f' ({_REVOKED})' if server.is_key_revoked else ''}",
            "",
            "With any client:",
            "",
            f"  curl -H 'Authorization: Bearer {key}' {url}/containers",
            "",
            "In a shell (the gate needs this form, because it refuses a stack that has its own key):",
            "",
            f"  export STACKS_BASE_URL={url} STACKS_API_KEY={key}",
            "",
            "In a Pulumi project:",
            "",
            # Print one command: if several lines are pasted, Pulumi reads the later lines as its input.
            f"  pulumi config set stacks:baseUrl {url} &&",
            f"  pulumi config set stacks:apiKey {key} --secret &&",
            f"  pulumi config set stacks:requestsPerMinute {rate_limit or _UNLIMITED}",
        )
    )


def _key(text: str) -> str:
    try:
        return check_api_key(text)
    except ConfigError:
        # Show neither the text, which may be a key, nor how to configure a key for the provider.
        raise argparse.ArgumentTypeError("a key is sk_stacks_ and 64 hexadecimal digits") from None


def _origin(text: str) -> str:
    # A browser sends an origin without a path, and even without a final slash, so any other form would never match.
    if text not in {"*", "null"} and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid origin: pass one such as http://localhost:3000, or *"
        )
    return text


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]{2,45}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid host name: pass it without http:// and port"
        )
    return text


def _failed(text: str) -> StacksError:
    """Return the error for an emulator that could not start or end, with the reason."""
    return StacksError(text, code="emulator-start")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_CODES = {
    0: "it was interrupted (Ctrl-C, SIGTERM)",
    1: "its state could not be written at the end",
}

COMMANDS = {"emulator": Command(_HELP, add_arguments, run, codes=_CODES, forms=TEXT)}
