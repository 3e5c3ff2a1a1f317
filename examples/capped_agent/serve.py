"""
Start a broker as your user, to try it, or stop it. A real broker is a service with its own user.

    python serve.py start FOLDER     prints its address
    python serve.py stop FOLDER
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

action, folder = sys.argv[1], Path(sys.argv[2])


def status() -> dict[str, Any] | None:
    """Return the address and the other data of the broker's server."""
    words = ["stacks-pulumi", "broker", "status", str(folder), "--json"]
    said: dict[str, Any] = json.loads(subprocess.check_output(words))  # noqa: S603  (this package's own command)
    return said["server"]


if action == "start":
    with (folder / "serve.log").open("w") as log:
        words = ["stacks-pulumi", "broker", "serve", str(folder), "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)  # noqa: S603  (as above)
    while (server := status()) is None:
        if process.poll() is not None:
            sys.exit((folder / "serve.log").read_text())
        time.sleep(0.2)
    print(server["url"])
elif server := status():
    os.kill(server["pid"], signal.SIGTERM)
