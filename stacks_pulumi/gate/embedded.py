"""
How is a broker started for one run?

The broker is a separate process. The key is therefore not in the environment of the command, and the changes of a
killed run can still be rolled back. The broker ends when the last process of the run has ended: at once, or some
minutes later if that process was killed. This is no security boundary: code of the same user can read the key.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._environment import OF_NETWORK, OF_PYTHON, own_command, without_secrets
from stacks_pulumi.broker.folder import announced, in_use, is_used
from stacks_pulumi.broker.settings import FILE
from stacks_pulumi.errors import ConfigError, ErrorCode, StacksError

LOG: Final = "broker.log"
_STARTS: Final = 60.0
"""Timeout in seconds until a server listens; on a busy machine, a start takes several seconds."""
_ENDS: Final = 60.0
"""Timeout in seconds in which the server completes the requests in progress."""
_PAUSE: Final = 0.05


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """
    Yield the address of the server of a folder, and the file descriptor that each process of the run inherits.

    Raises:
        ConfigError: The folder is not a broker's folder.
        StacksError: The server does not start.
    """
    if not (folder / FILE).is_file():
        raise ConfigError(
            f"{folder} has no {FILE}: `stacks-pulumi broker init DIR` writes one", code="file-access"
        )
    process = None
    try:
        with in_use(folder) as descriptor:
            announcement = announced(folder)
            if not announcement:
                process = _started(folder)
                announcement = _announced(folder, process)
            if str(announcement["url"]).startswith("unix:"):
                raise ConfigError(
                    f"the broker of {folder} listens on a Unix socket for a proxy: pass the address of that proxy "
                    "with --gate",
                    code="invalid-argument",
                )
            yield str(announcement["url"]), descriptor
    finally:
        _end(folder)
        if process is not None and not announced(folder):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS)


def _started(folder: Path) -> subprocess.Popen[bytes]:
    environment = without_secrets(
        *OF_PYTHON, *OF_NETWORK, "STACKS_API_KEY", "STACKS_PLATFORM", "CREDENTIALS_DIRECTORY"
    )
    words = [*own_command(), "broker", "serve", str(folder.resolve())]
    words += ["--listen", "127.0.0.1:0", "--while-used"]
    descriptor = os.open(folder / LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "ab") as log:
        return subprocess.Popen(  # noqa: S603  (this package, without a shell)
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C ends the command. Its failed creates are then removed through this server, which must still run.
            start_new_session=True,
        )


def _announced(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the announcement of a server as soon as the server listens."""
    until = time.monotonic() + _STARTS
    while not (said := announced(folder)):
        if process.poll() is not None and not (said := announced(folder)):
            raise _failure(folder)
        if time.monotonic() > until:
            process.kill()
            raise StacksError(
                f"the broker in {folder} did not start within {_STARTS:.0f} s", code="timed-out"
            )
        time.sleep(_PAUSE)
    return said


def _end(folder: Path) -> None:
    """End the server if it was started for a run and all processes of that run have ended."""
    announcement = announced(folder)
    if not announcement.get("while_used") or is_used(folder):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(announcement["pid"]), signal.SIGTERM)
    until = time.monotonic() + _ENDS
    while announced(folder) and time.monotonic() < until:
        time.sleep(_PAUSE)


def _failure(folder: Path) -> StacksError:
    """Return why a server has ended: the last line of its output."""
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    message = lines[-1] if lines else "it ended without a message"
    text, _, ending = message.rpartition(" [")
    code: ErrorCode = "missing-api-key" if ending == "missing-api-key]" else "file-access"
    words = (text or message).removeprefix("stacks-pulumi broker: ")
    return ConfigError(f"the broker in {folder} does not start: {words}", code=code)
