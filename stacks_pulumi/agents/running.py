"""
How does a tool call run a command?

If a call is cancelled, the engine must be interrupted in the same way as by Ctrl-C in a terminal. If the server is
killed, the engine must continue. So each command is a process with its own session. Its output is a file, because a
pipe breaks when the server ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio

from stacks_pulumi._environment import without_options

_PAUSE: Final = 0.25
"""Seconds between two reads of the engine's output."""


async def run(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    outputs: tuple[Path, Path],
    on_output: Callable[[], Awaitable[None]],
) -> int:
    """
    Run a command and return its exit code, which is negative if the command was killed.

    If the call is cancelled, the engine is interrupted. This function returns only after the engine has ended.

    Args:
        words: The command.
        folder: Its working directory.
        environment: Its variables.
        outputs: The files for its output and its errors; they may be the same file.
        on_output: Called repeatedly while the command runs.
    """
    with outputs[0].open("ab") as output, outputs[1].open("ab") as errors:
        process = await anyio.open_process(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        while process.returncode is None:
            with anyio.move_on_after(_PAUSE):
                await process.wait()
            await on_output()
    finally:
        if process.returncode is None:
            with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
                # One signal, as Ctrl-C sends it: after a second one, the engine would end immediately and leave steps
                # incomplete.
                os.killpg(process.pid, signal.SIGINT)
                await process.wait()
    return process.returncode


def environment_of(project: Path) -> dict[str, str]:
    """
    Return the engine's environment for a project or a copy of the project.

    The plugin is next to this Python, and the engine fetches no other plugin. Relative paths in variables refer to the
    project's folder.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    given = without_options(os.environ)
    backend = given.get("PULUMI_BACKEND_URL", "")
    local = backend.removeprefix("file://")
    if local != backend and not local.startswith(("/", "~")):
        given["PULUMI_BACKEND_URL"] = f"file://{project / local}"
    if phrase := given.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        given["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(project / phrase)
    return {
        **given,
        "PATH": path,
        "NO_COLOR": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
