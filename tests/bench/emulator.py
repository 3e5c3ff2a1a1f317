"""
Measure the emulator: start, memory, creates with and without a state file, and requests per second.

    python tests/bench/emulator.py
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CREATES = 1000
READS = 2000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for title, options in (
            ("without a state file", []),
            ("with --state", ["--state", f"{folder}/state.json"]),
        ):
            begun = time.perf_counter()
            server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "stacks_pulumi",
                    "emulator",
                    "--json",
                    "--port",
                    "0",
                    "--rate-limit",
                    "none",
                    *options,
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert server.stdout is not None
            told = json.loads(server.stdout.readline())
            started = time.perf_counter() - begun
            start, memory = cpu(server.pid), resident(server.pid)
            creates = timed(told, "POST", CREATES)
            made = cpu(server.pid)
            reads = timed(told, "GET", READS)
            read = cpu(server.pid)
            sys.stdout.write(
                f"{title}: start {started:.2f} s ({start:.2f} s of CPU), {memory} MB; "
                f"{CREATES} creates {creates:.1f} s ({made - start:.2f} s of CPU); "
                f"{READS / reads:.0f} status requests a second ({READS / (read - made):.0f} a second of CPU); "
                f"{resident(server.pid)} MB then\n"
            )
            server.terminate()
            server.wait(30)


def resident(pid: int) -> int:
    """Return the memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 // 1_000_000


def cpu(pid: int) -> float:
    """Return the seconds of CPU time of a process, on which other programs have little effect."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(told: dict[str, str], method: str, times: int) -> float:
    """Return the seconds for a number of requests on one connection."""
    address = told["url"].removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(address)
    headers = {"Authorization": f"Bearer {told['key']}", "Content-Type": "application/json"}
    account = ""
    begun = time.perf_counter()
    for number in range(times):
        if method == "POST":
            body = json.dumps({"name": f"worker-{number}", "template": "nodejs"})
            connection.request("POST", "/api/v1/containers", body, headers)
        else:
            account = account or listed(connection, headers)
            connection.request("GET", f"/api/v1/containers/status/{account}", None, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {200, 202}, answer.status
    return time.perf_counter() - begun


def listed(connection: http.client.HTTPConnection, headers: dict[str, str]) -> str:
    """Return the id of a container."""
    connection.request("GET", "/api/v1/containers", None, headers)
    answer = json.loads(connection.getresponse().read())
    found: str = answer["data"][0]["id"]
    return found


if __name__ == "__main__":
    main()
