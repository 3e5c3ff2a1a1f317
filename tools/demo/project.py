"""A throw-away project with one stack: nothing of it is in the user's own Pulumi, and all of it is in one folder."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.demo import screen

__all__ = ["CommandFailedError", "Project"]

STACK: Final = "demo"
_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE: Final = 10.0
"""Seconds that an interrupted engine gets to finish what it began."""


class CommandFailedError(Exception):
    """The engine ended with an error, which stands above."""


class Project:
    """
    The quickstart of this checkout, copied.

    Args:
        folder: Where; the engine's home, its state and the stack's configuration go there as well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(_ROOT / "Pulumi.yaml", folder)
        shutil.copytree(
            _ROOT / "examples/quickstart",
            folder / "examples/quickstart",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        state = folder / "state"
        state.mkdir()
        self.own = {
            "PATH": os.environ["PATH"],
            "VIRTUAL_ENV": os.environ.get("VIRTUAL_ENV", sys.prefix),
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "a stack that lives for a minute",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }
        others = {
            name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "STACKS_"))
        }
        self._env = {**others, **self.own}

    def configure(self, base_url: str, api_key: str) -> None:
        """
        Make the stack and tell it where the API is.

        Raises:
            CommandFailedError: It could not be made.
        """
        for command in (
            ["stack", "init", STACK],
            ["config", "set", "stacks:baseUrl", base_url],
            # By stdin, as a command line can be read by everybody on the machine.
            ["config", "set", "stacks:apiKey", "--secret"],
        ):
            done = subprocess.run(
                ["pulumi", *command, "--non-interactive"],
                cwd=self.folder,
                env=self._env,
                input=api_key,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                screen.say(done.stdout + done.stderr)
                raise CommandFailedError(f"`pulumi {' '.join(command[:2])}` failed")

    def run(self, *command: str) -> None:
        """
        Run the engine; the person sees what it prints while it prints it.

        Raises:
            CommandFailedError: It ended with an error.
        """
        code = self._on_terminal(command) if screen.is_terminal() else self._through_pipe(command)
        if code:
            raise CommandFailedError(
                f"`pulumi {command[0]}` ended with exit code {code}, and its reason stands above"
            )

    def leave_notes(self, pid: int) -> None:
        """Write what somebody needs who goes on from here: `env`, to be sourced, and `stop`."""
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in self.own.items())
        (self.folder / "env").write_text(f"{exports}\n", encoding="utf-8")
        stop = self.folder / "stop"
        stop.write_text(f"#!/bin/sh\nkill {pid}\nrm -rf {shlex.quote(str(self.folder))}\n", encoding="utf-8")
        stop.chmod(0o755)

    def _on_terminal(self, command: tuple[str, ...]) -> int:
        # The engine draws for itself: one line a resource, with its progress in place.
        with self._start(command, stdin=None, stdout=None) as engine:
            return self._wait(engine)

    def _through_pipe(self, command: tuple[str, ...]) -> int:
        with self._start(
            (*command, "--non-interactive", "--color=never"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as engine:
            for line in screen.condensed(_lines(engine)):
                screen.say(line)
            return self._wait(engine)

    def _start(
        self, command: tuple[str, ...], stdin: int | None, stdout: int | None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *command, "--stack", STACK],
            cwd=self.folder,
            env=self._env,
            stdin=stdin,
            stdout=stdout,
            stderr=stdout and subprocess.STDOUT,
            text=True,
        )

    def _wait(self, engine: subprocess.Popen[str]) -> int:
        try:
            return engine.wait()
        except KeyboardInterrupt:
            _end(engine)
            raise


def _lines(engine: subprocess.Popen[str]) -> Iterator[str]:
    assert engine.stdout is not None
    try:
        yield from engine.stdout
    except KeyboardInterrupt:
        _end(engine)
        raise


def _end(engine: subprocess.Popen[str]) -> None:
    """The engine ends by itself at Ctrl-C, which reached it too; whoever was interrupted alone passes it on."""
    engine.send_signal(signal.SIGINT)
    try:
        engine.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()
