"""A temporary project with one stack, in one folder and separate from the user's Pulumi."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.demo import screen
from tools.engine.ensure import ensure
from tools.engine.pack import argument

__all__ = ["CommandFailedError", "Project"]

STACK: Final = "demo"
_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE: Final = 10.0
"""Timeout in seconds in which an interrupted engine can complete its operations."""


class CommandFailedError(Exception):
    """The engine ended with an error, which it has printed."""


class Project:
    """
    A copy of this checkout's quickstart.

    Args:
        folder: The folder of the copy, the engine's home, its state and the stack's configuration.
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
        Create the stack and set its base URL and key.

        Raises:
            CommandFailedError: The stack could not be created.
        """
        self._capture(["pulumi", "stack", "init", STACK, "--non-interactive"])
        self._capture(["pulumi", "config", "set", "stacks:baseUrl", base_url, "--non-interactive"])
        # The key is passed on stdin, because every user of the machine can read the command line.
        self._capture(["pulumi", "config", "set", "stacks:apiKey", "--secret", "--non-interactive"], api_key)

    def run(self, *command: str, refused: bool = False) -> None:
        """
        Run the engine and show its output immediately; `refused`: whether the command should end with an error.

        Raises:
            CommandFailedError: The engine ended with an error, or without an expected error.
        """
        with self._start(command) as engine:
            try:
                if engine.stdout is not None:
                    for line in screen.condensed(engine.stdout):
                        screen.say(line)
                code = engine.wait()
            except KeyboardInterrupt:
                _end(engine)
                raise
        if bool(code) is not refused:
            raise CommandFailedError(
                f"`pulumi {command[0]}` ended with exit code {code}; the reason is in the output above"
            )

    def cost(self) -> None:
        """
        Show the output of `stacks-pulumi cost` for a preview.

        Raises:
            CommandFailedError: The preview or the command fails.
        """
        preview = self._capture(["pulumi", "preview", "--json", "--show-sames", "--stack", STACK])
        for line in self._capture([sys.executable, "-m", "stacks_pulumi", "cost"], preview).splitlines():
            screen.say(f"   {line}".rstrip())

    def policy(self, pack: str, config: Mapping[str, Any]) -> tuple[str, ...]:
        """
        Return the options that run a command with a policy pack.

        Raises:
            EngineUnavailableError: There is no engine.
        """
        file = self.folder / f"{pack}.json"
        file.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")
        given = argument(ensure(yaml=False), _ROOT / "policies" / pack, self.folder)
        return ("--policy-pack", str(given), "--policy-pack-config", str(file))

    def leave_notes(self, pid: int) -> None:
        """Write the scripts to continue by hand: `env`, for the shell to source, and `stop`."""
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in self.own.items())
        (self.folder / "env").write_text(f"{exports}\n", encoding="utf-8")
        stop = self.folder / "stop"
        stop.write_text(f"#!/bin/sh\nkill {pid}\nrm -rf {shlex.quote(str(self.folder))}\n", encoding="utf-8")
        stop.chmod(0o755)

    def _start(self, command: tuple[str, ...]) -> subprocess.Popen[str]:
        plain = ("--non-interactive", "--color=never")
        # On a terminal, the engine redraws its output: one line with the progress of each resource.
        watched = screen.is_terminal()
        return subprocess.Popen(
            ["pulumi", *command, "--stack", STACK, *(() if watched else plain)],
            cwd=self.folder,
            env=self._env,
            stdin=None if watched else subprocess.DEVNULL,
            stdout=None if watched else subprocess.PIPE,
            stderr=None if watched else subprocess.STDOUT,
            text=True,
        )

    def _capture(self, command: list[str], given: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._env,
            input=given,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            screen.say(done.stdout + done.stderr)
            raise CommandFailedError(f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed")
        return done.stdout


def _end(engine: subprocess.Popen[str]) -> None:
    """Wait for the engine, which also received Ctrl-C; if only this process was interrupted, interrupt the engine."""
    engine.send_signal(signal.SIGINT)
    try:
        engine.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()
