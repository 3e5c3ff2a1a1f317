"""The emulator in a separate process, and the requests that the tour sends to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

__all__ = ["EmulatedAccount", "NotStartedError"]

_BOOT_SECONDS: Final = 4
"""Seconds of a boot: a real container takes 10 to 30 seconds, too long for a demo."""


class NotStartedError(Exception):
    """The emulator did not start; the text is one sentence."""


class EmulatedAccount:
    """
    An account on an emulator of STACKS.

    Attributes:
        url: Base URL of the API.
        page: The address of its web page.
        key: Its API key.
        process: The emulator.

    Raises:
        NotStartedError: The emulator did not start.
    """

    def __init__(self, folder: Path) -> None:
        options = ["--port=0", f"--boot-seconds={_BOOT_SECONDS}", "--rate-limit=60"]
        log = folder / "emulator.log"
        with log.open("wb") as errors:
            # A separate session, so that only the tour receives Ctrl-C. The tour stops the emulator last.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stacks_pulumi", "emulator", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        try:
            said = self._greeting()
        except BaseException:
            # No other part of the demo can stop the emulator yet.
            self.stop()
            raise
        try:
            self.url, self.page, self.key = said["API"], said["Page"], said["Key"]
        except KeyError:
            self.stop()
            text = log.read_text(encoding="utf-8").strip()
            raise NotStartedError(f"the emulator did not start: {text or 'it printed no message'}") from None

    def stop(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=10)

    def snapshot(self) -> dict[str, Any]:
        """Return the complete state of the emulator."""
        return self._ask("GET", "snapshot")

    def calls(self) -> Counter[str]:
        """Return the number of calls of each API operation so far."""
        return Counter(self.snapshot()["calls"])

    def refused(self) -> int:
        """Return the number of requests that the rate limit has refused."""
        return sum(record["status"] == 429 for record in self._ask("GET", "requests")["requests"])

    def drift(self, action: str, **arguments: Any) -> None:
        """Change the account outside the program."""
        self._ask("POST", f"drift/{action}", arguments)

    def _greeting(self) -> dict[str, str]:
        """Return the first lines of the emulator's output: pairs of a word and a value."""
        said: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if len(words) == 2:
                said[words[0]] = words[1]
            if "Key" in said:
                break
        return said

    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.page}_emulator/{what}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        return answer
