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
"""A real container takes 10 to 30 seconds, and the person who watches has other things to do."""


class NotStartedError(Exception):
    """The emulator did not start; the text is one sentence."""


class EmulatedAccount:
    """
    An account at an emulated STACKS.

    Args:
        folder: Where it writes its log.

    Attributes:
        url: Base URL of the API.
        page: The page to look at.
        key: Its API key.
        process: The emulator.

    Raises:
        NotStartedError: It did not start.
    """

    def __init__(self, folder: Path) -> None:
        options = ["--port=0", f"--boot-seconds={_BOOT_SECONDS}", "--rate-limit=60"]
        log = folder / "emulator.log"
        with log.open("wb") as errors:
            # A separate session: only the tour receives Ctrl-C, and it stops the emulator last.
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
            # Only this process knows of it yet.
            self.stop()
            raise
        try:
            self.url, self.page, self.key = said["API"], said["Page"], said["Key"]
        except KeyError:
            self.stop()
            text = log.read_text(encoding="utf-8").strip()
            raise NotStartedError(f"the emulator did not start: {text or 'it said nothing'}") from None

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=10)

    def snapshot(self) -> dict[str, Any]:
        """All that it holds."""
        return self._ask("GET", "snapshot")

    def calls(self) -> Counter[str]:
        """How often each operation of the API was called so far."""
        return Counter(self.snapshot()["calls"])

    def refused(self) -> int:
        """How many requests were refused because of the rate limit."""
        return sum(record["status"] == 429 for record in self._ask("GET", "requests")["requests"])

    def drift(self, action: str, **arguments: Any) -> None:
        """Change something behind the program's back."""
        self._ask("POST", f"drift/{action}", arguments)

    def _greeting(self) -> dict[str, str]:
        """The first lines of what it prints: pairs of a word and a value."""
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
