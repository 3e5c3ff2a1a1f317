"""
What the same program costs on either host: calls to the API, and seconds of processor time, the engine included.

    python tests/bench/two_hosts.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from stacks_pulumi.emulator import Emulator  # noqa: E402  (after the path)
from tests.support.forked import commands  # noqa: E402
from tests.support.stack import Stack  # noqa: E402
from tools.engine.ensure import ensure  # noqa: E402

ROUNDS = 5
PLUGIN = [str(Path(sys.prefix) / "bin" / "pulumi-resource-stacks")]
DYNAMIC = [sys.executable, "-u", "-m", "pulumi.dynamic", "127.0.0.1:1"]
YES = ("--yes", "--skip-preview")
PROGRAM = """
for number in range(6):
    app = stacks.Container(f"app{number}", template="nodejs", external_access=True)
    sql = stacks.Container(f"sql{number}", template="postgresql")
    stacks.Connection(f"link{number}", source=app.id, target=sql.id, name="primary-db")
    stacks.AllowedIp(f"office{number}", container=app.id, ip_address="198.51.100.0/24")
"""


def processor() -> float:
    """Return the seconds of processor time of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start(command: list[str]) -> float:
    """Return the seconds of processor time until a host can be connected to."""
    before = processor()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
    return processor() - before


def main() -> None:
    """Print one line for each measurement."""
    commands.Mode.real = True
    for name, command in (("plugin", PLUGIN), ("dynamic", DYNAMIC)):
        print(f"start, {name}: {min(start(command) for _ in range(ROUNDS)):.2f} s")  # noqa: T201  (it talks to a person)
    for host in ("dynamic", "native"):
        with Emulator(boot_seconds=0.2) as emulator, tempfile.TemporaryDirectory() as folder:
            config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
            stack = Stack(Path(folder), ensure().bin, config, hurried=False)
            if host == "native":
                stack.native()
            stack.program(PROGRAM, host=host)
            for verb, options in (
                ("preview", ()),
                ("up", YES),
                ("up", YES),
                ("refresh", YES),
                ("destroy", YES),
            ):
                calls, before = emulator.calls(), processor()
                assert stack.engine(verb, *options).code == 0
                print(  # noqa: T201  (as above)
                    f"{host} {verb}: {emulator.calls() - calls} calls, {processor() - before:.1f} s"
                )


if __name__ == "__main__":
    main()
