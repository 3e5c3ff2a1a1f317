"""
What does a broker do? A demo shows it in a few seconds.

The demo runs an emulated account, an agent with a budget, and a person who signs an approval.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn  # noqa: F401  (if it is missing, fail here and not in the server's thread)

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import StacksClient
from stacks_pulumi.broker import signatures, signers
from stacks_pulumi.broker.folder import Folder
from stacks_pulumi.broker.server import Server
from stacks_pulumi.broker.settings import FILE
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import GrantRefusedError, StacksError, clean
from stacks_pulumi.gate import workflow
from stacks_pulumi.gate.client import Broker

_STACK: Final = "shop/dev"
_BUDGET: Final = {"increase_per_day": 5, "max_total": 15, "free": ["start", "restart", "undo"]}
_REQUEST: Final = re.compile(r"\br-[0-9a-f]{10}\b")
"""The id of an access request, which is random."""


def run() -> int:
    """
    Send one request that a budget covers and one that needs an approval, and show the results; then remove all files.
    """
    with tempfile.TemporaryDirectory(prefix="stacks-broker-demo-") as scratch, Emulator() as emulator:
        path, key = Path(scratch), Path(scratch) / "ann"
        _say("This machine now runs an emulated account, and a broker that is the only holder of its key.")
        signatures.new_key(key)
        _write(path, emulator)
        with contextlib.closing(Folder(path, SYSTEM_CLOCK)) as folder, _served(folder) as url:
            agent = _granted(folder, "budget", policy="agents", stack=_STACK)
            person = Broker(url, _granted(folder, "read"))
            _say(
                "1. An administrator gives an agent a budget: it may raise the monthly cost by $5.00 a day, up to "
                "$15.00.",
                "$ stacks-pulumi broker grant budget DIR --for agent --policy agents --stack shop/dev",
            )
            with StacksClient.of(AccountSettings(api_key=agent, base_url=url)) as client:
                _say("2. The agent creates a container for $4.00 a month. The budget covers it.")
                _create(client, "web")
                _say("3. It creates a second one. The budget has $1.00 left, so a person has to allow it.")
                request = _create(client, "worker")
                _say(
                    "4. A person reads exactly this request, and signs it with an SSH key.",
                    "$ stacks-pulumi gate approve REQUEST --gate http://127.0.0.1:7823 --key ~/.ssh/id_ed25519",
                )
                judged = workflow.judged(person, person.ask("GET", f"requests/{request}")["change"])
                name, signature, _ = workflow.sign(person, judged, key)
                workflow.post(person, judged, signature)
                _say(f"{name} has signed it.", first="   ")
                _say("5. The agent sends the same request again.")
                _create(client, "worker")
            _say(
                "6. The log shows all of it, and a chain of digests shows that no line was changed.",
                "$ stacks-pulumi broker log DIR --verify",
            )
            for row in folder.ledger.rows("select * from journal order by id"):
                decision = f"{_plain(row['decision']):<24} {row['holder']:<5}"
                line = f"{row['status']} {decision} {row['method']} {row['path']} {row['body']}"
                _say(line.rstrip(), first="   ")
    _say("The broker and the emulator have ended, and their files are removed. Next: docs/broker.md")
    return 0


def _write(path: Path, emulator: Emulator) -> None:
    """Write the broker's folder: its key, its settings, and the approvers."""
    key = path / "key"
    key.touch(0o600)
    key.write_text(emulator.key, encoding="ascii")
    settings = {"base_url": emulator.url, "key": {"file": str(key)}, "policies": {"agents": _BUDGET}}
    # JSON is valid YAML.
    (path / FILE).write_text(json.dumps({"version": 1, **settings}), encoding="utf-8")
    public = (path / "ann.pub").read_text(encoding="ascii")
    (path / "allowed_signers").write_text(f'ann namespaces="{signers.NAMESPACE}" {public}', "ascii")


def _granted(folder: Folder, kind: str, **more: Any) -> str:
    """Return the token of a new grant."""
    return folder.ledger.issue(kind, "agent" if more else "ann", seconds=3600.0, **more)[1]


@contextlib.contextmanager
def _served(folder: Folder) -> Iterator[str]:
    """While the block runs, run a broker on a free port of this machine; yield the broker's address."""
    server, listens = Server(folder, "127.0.0.1:0"), threading.Event()

    def serve() -> None:
        with contextlib.ExitStack() as ended:
            ended.callback(listens.set)
            server.run(lambda _: listens.set())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    listens.wait()
    if not server.url:
        raise StacksError("the broker did not start", code="connection-failed")
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


def _create(client: StacksClient, name: str) -> str:
    """Create a container, and print the broker's answer; return the id of the access request, if one is needed."""
    body = {"name": name, "template": "nodejs", "plan": "basic"}
    _say(f"POST /api/v1/containers {json.dumps(body)}", first="   ")
    try:
        made = client.containers.create(name=name, template=body["template"], plan=body["plan"])
    except GrantRefusedError as error:
        _say(f"refused: {error.message}", first="   ")
        return error.request or ""
    _say(f"created: {made.id}", first="   ")
    return ""


def _say(text: str, *more: str, first: str = "") -> None:
    """Print a step, or one line of a step."""
    sys.stdout.write("" if first else "\n")
    for line in (f"{first}{text}", *(f"   {one}" for one in more)):
        wrapped = textwrap.wrap(_plain(line), 120, subsequent_indent="      ", break_on_hyphens=False)
        sys.stdout.write("".join(f"{part}\n" for part in wrapped))


def _plain(text: str) -> str:
    """Return the text with a fixed word in place of each access request's id, which differs from run to run."""
    return clean(_REQUEST.sub("REQUEST", text))
