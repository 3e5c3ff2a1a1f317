"""
A broker that is killed at a point of its first request for each container: `python killed.py FOLDER DESCRIPTOR`.

It listens at a socket that it inherits, so that its clients wait while the next process starts.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.broker.folder import Folder
from stacks_pulumi.broker.server import Listen, Server
from stacks_pulumi.broker.upstream import Upstream


def main(path: Path, descriptor: int) -> None:
    """Serve. A container has the point of the kill in its name: `before` or `after` its request to the platform."""
    change = Upstream.change

    def killed(*given: Any, **more: Any) -> Any:
        _self, name, _ids, body, *_ = given
        died = path / f"died-{body.get('name')}"
        point = body.get("name", "") if name == "containers.create" and not died.exists() else ""
        if point == "before":
            die(died)
        got = change(*given, **more)
        if point == "after":
            die(died)
        return got

    def inherited(self: Listen) -> socket.socket:
        del self
        return socket.socket(fileno=os.dup(descriptor))

    Upstream.change = killed  # type: ignore[method-assign]  # the point of the kill
    Listen.bind = inherited  # type: ignore[method-assign]  # it is the parent's
    Server(Folder(path, SYSTEM_CLOCK), "127.0.0.1:0").run()


def die(mark: Path) -> None:
    """End this process as a power cut does."""
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
