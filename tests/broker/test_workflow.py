"""A change through a broker: planned on one machine, approved on a second, applied on a third."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.broker.conftest import Bench
from tests.support import emulators
from tests.support.backends import BACKENDS, PASSWORD, move
from tests.support.gate import keys
from tests.support.stack import Stack
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

OLD: Final = 'stacks.Container("old", template="redis")\n'
NEW: Final = """
web = stacks.Container("web", template="nodejs", external_access=True)
data = stacks.Container("data", template="postgresql")
cache = stacks.Container("cache", template="redis")
stacks.Connection("web-to-data", source=web, target=data, name="primary")
"""


emulator = emulators.for_stacks


class Machine:
    """
    A person's machine, with a home, a copy of the project, and possibly a token.

    Args:
        name: Its name.
        stack: The stack, whose backend all machines use.
        url: The address of the broker.
        token: The token of a grant.
    """

    def __init__(self, name: str, stack: Stack, url: str, token: str = "") -> None:
        self.folder = stack.folder.parent / name
        self.stack = stack
        self.patience = 300.0
        home = self.folder / "home"
        home.mkdir(parents=True)
        account = {"STACKS_BASE_URL": url, **({"STACKS_API_KEY": token} if token else {})}
        self.env = {**stack.env, "HOME": str(home), "PULUMI_HOME": str(home / "pulumi"), **account}
        self.checkout()

    def checkout(self) -> None:
        """Copy the current program."""
        for file in (*self.stack.folder.glob("Pulumi*.yaml"), *self.stack.folder.glob("*.py")):
            shutil.copy(file, self.folder)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `gate`."""
        return subprocess.run(
            ["python3", "-m", "stacks_pulumi", "gate", *words],
            cwd=self.folder,
            env=self.env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=self.patience,
        )

    def gate(self, *words: str, code: int = 0) -> str:
        """Run `gate`; return its output."""
        done = self.run(*words)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        return said


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose state is in files, or in the test's backend behind a slow network."""
    made, named = Stack(tmp_path / "stack", ensure().bin, {}), getattr(request, "param", "file")
    if named == "file":
        yield made
        return
    with BACKENDS[named](0.05) as backend:
        move(made, backend)
        yield made


def machines(bench: Bench, stack: Stack) -> tuple[Machine, Machine, Machine]:
    """Return the machines of the planner, the approver and the job that applies; the job stores no secret."""
    return (
        Machine("planner", stack, bench.url, bench.reader().token),
        Machine("approver", stack, bench.url, bench.reader().token),
        Machine("job", stack, bench.url),
    )


@pytest.mark.parametrize(
    "stack", ["file", *(pytest.param(name, marks=pytest.mark.extra) for name in BACKENDS)], indirect=True
)
def test_three_creates_and_a_deletion_on_three_machines(bench: Bench, stack: Stack) -> None:
    planner, approver, job = machines(bench, stack)
    stack.program(OLD)
    planner.checkout()
    job.checkout()
    change = stack.folder.parent / "change.json"
    gate = "--gate", bench.url
    planner.gate("plan", *gate, "--out", str(change), "-s", "dev", code=3)
    approver.gate("approve", str(change), *gate, "--key", str(keys() / "ann"))
    job.gate("apply", str(change), *gate)
    assert bench.names == ["old"]

    stack.program(NEW)
    planner.checkout()
    said = planner.gate("plan", *gate, "--out", str(change), "-s", "dev", code=3)
    assert '"old", redis, basic, $4.00 a month, owned by tests/dev' in said
    assert "+$8.00 a month, up to +$12.00 during the update" in said
    assert "destroys" in said
    # The job cannot apply it without a signature, or with the signature of a person who is not an approver.
    job.checkout()
    assert "without a signature" in job.gate("apply", str(change), *gate, code=2)
    assert "no valid key" in approver.gate(
        "approve", str(change), *gate, "--key", str(keys() / "eve"), code=2
    )
    said = approver.gate("approve", str(change), *gate, "--key", str(keys() / "ann"))
    assert "DELETE /containers/" in said
    assert "ann approved the change; the signature is at the broker" in said

    # The program has changed since the approval: the approved part happens, and the rest is refused.
    stack.program(NEW + 'stacks.Container("extra", template="nodejs")\n')
    job.checkout()
    said = job.gate("apply", str(change), *gate, code=1)
    assert "this request was not approved: POST /containers" in said
    assert "extra" not in bench.names
    assert "approved but not done" in said

    # The same change continues with its remaining permits: no container is created twice.
    stack.program(NEW)
    job.checkout()
    job.gate("apply", str(change), *gate)
    assert bench.names == ["cache", "data", "web"]
    assert bench.emulator.calls("containers.create") == 4
    said = job.gate("apply", str(change), *gate)
    assert bench.emulator.calls("containers.create") == 4
    # The address of a backend contains its login.
    assert PASSWORD not in said + change.read_text(encoding="utf-8")

    stack.set("stacks:apiKey", bench.emulator.key)
    for machine, words in ((planner, ("plan", "-s", "dev")), (job, ("apply", str(change)))):
        machine.checkout()
        assert "a program uses instead of the grant" in machine.gate(*words, *gate, code=1)
