"""Run every wrong value of every answer through the real host; many hosts in parallel, each with its own account."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import claims, holdings, secrets
from tests.chaos.matrix import changes
from tests.chaos.ministack import Declared, MiniStack, Outcome, Ref
from tests.chaos.wrong_types import Wrong, altered, wrongs
from tests.support.clock import SPEED, fast_clock, fast_wall
from tests.support.host import PROMPT, Host, HostedResource

__all__ = ["CHANGES", "READS", "Seen", "run", "sample"]

LANES = 8
READS = {
    "containers.list": None,
    "allowed_ips.list": "AllowedIp",
    "connections.list": "Connection",
    "backups.list": "PinnedBackup",
    "vpn_clients.list": "VpnClient",
    "containers.certificate": "SshCertificate",
}
"""The operations that a refresh calls, with the only kind of resource that calls it; containers are listed for all."""

CHECKED = ("containers.create", "connections.create")
"""Operations whose answers must have an id as text; otherwise the provider looks the id up."""

CHANGES = {change.operation: change for change in changes.CHANGES}


@dataclass
class Seen:
    """
    The result of one wrong value.

    Attributes:
        wrong: The value.
        given: How many answers had it.
        faults: The rules that were broken.
    """

    wrong: Wrong
    given: int = 0
    faults: list[str] = field(default_factory=list)


def sample(operation: str) -> list[Wrong]:
    """
    Return every second wrong value, so each field has some and each value is in some fields.

    A host reacts to an answer that can be read, or to the error of one that cannot. Which one it is, is tested for any
    value without a host (`tests/unit/api/test_decode_properties.py`).
    """
    return wrongs(operation)[::2]


def run() -> dict[str, list[Seen]]:
    """Run the sample of all operations and return the results by operation."""
    found: dict[str, list[Seen]] = {operation: [] for operation in (*READS, *CHANGES)}
    queue = iter(
        [(_change, wrong) for operation in CHANGES for wrong in sample(operation)]
        + [(_read, wrong) for operation in READS for wrong in sample(operation)]
    )
    lock = threading.Lock()
    with futures.ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(_lane, queue, lock, found) for _ in range(LANES)]
        for lane in lanes:
            lane.result()
    return found


Work = Callable[["_Lane", Wrong, Seen], None]


class _Lane:
    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.host = Host(
            {**PROMPT, "stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url},
            speed=SPEED,
            wall=fast_wall(),
        )
        self.numbers = itertools.count()
        self._everything: MiniStack | None = None

    def readers(self, operation: str) -> MiniStack:
        """Return a stack with the resources that an operation is called for, and a correct copy of their state."""
        if self._everything is None:
            self._everything = MiniStack(self.host)
            outcome = self._everything.up(everything("all"))
            assert outcome.errors == {}, outcome.messages
        stack = MiniStack(self.host)
        stack.resources = {
            name: copy.copy(found)
            for name, found in self._everything.resources.items()
            if READS[operation] in {None, found.kind}
        }
        return stack


def _lane(queue: Iterator[tuple[Work, Wrong]], lock: threading.Lock, found: dict[str, list[Seen]]) -> None:
    with Emulator(rate_window=8.0, clock=fast_clock()) as emulator:
        lane = _Lane(emulator)
        try:
            while True:
                with lock:
                    work, wrong = next(queue, (None, None))
                if work is None or wrong is None:
                    return
                seen = Seen(wrong)
                before = len(lane.host.engine.lines)
                work(lane, wrong, seen)
                _check_lines(lane, before, seen)
                found[wrong.operation].append(seen)
                if lane.host.process.poll() is not None:
                    seen.faults.append(f"the host died: {lane.host.process.returncode}")
                    return
        finally:
            lane.host.stop()


def everything(cell: str) -> Sequence[Declared]:
    """Declare one resource of each kind that a refresh reads."""
    return [
        changes.container(cell, external_access=True),
        changes.container(f"{cell}-db", template="postgresql"),
        changes.child("AllowedIp", cell, ip_address="198.51.100.7"),
        changes.child("Connection", cell, target=Ref(f"{cell}-db"), name="primary"),
        changes.child("PinnedBackup", cell),
        changes.child("SshCertificate", cell),
        changes.container(f"{cell}-vpn", template="stacks-vpn"),
        Declared("VpnClient", "laptop", {"container": Ref(f"{cell}-vpn"), "name": "laptop"}, f"{cell}-vpn"),
    ]


def _read(lane: _Lane, wrong: Wrong, seen: Seen) -> None:
    stack = lane.readers(wrong.operation)
    # Reads share one answer until something changes. This deletion counts as a change, though it deletes nothing.
    HostedResource(lane.host, "BackupRestore", "nothing", id="1").delete()
    names, held, before = set(stack.resources), holdings(lane.emulator), _facts(stack)
    with altered(lane.emulator, wrong) as given:
        met = stack.refresh()
        seen.given = len(given)
    _check(met, lane, stack, seen)
    if holdings(lane.emulator) != held:
        seen.faults.append("a refresh changed the account")
    dropped = names - set(stack.resources)
    if dropped and not (wrong.identity or wrong.empties):
        seen.faults.append(f"forgot {sorted(dropped)}")
        return
    if dropped or _facts(stack) == before:
        # The next refresh would begin as this one did.
        return
    HostedResource(lane.host, "BackupRestore", "nothing", id="1").delete()
    calm = stack.refresh()
    if calm.errors:
        seen.faults.append(f"the next refresh failed: {calm.messages}")


def _facts(stack: MiniStack) -> dict[str, tuple[object, ...]]:
    return {name: (one.id, one.inputs, one.outs) for name, one in stack.resources.items()}


def _change(lane: _Lane, wrong: Wrong, seen: Seen) -> None:
    change, cell = CHANGES[wrong.operation], f"cell{next(lane.numbers):03}x"
    stack = MiniStack(lane.host)
    peace = stack.up(change.before(cell))
    assert peace.errors == {}, peace.messages
    with altered(lane.emulator, wrong) as given:
        met = stack.up(change.after(cell))
        seen.given = len(given)
    _check(met, lane, stack, seen)
    if wrong.renames and wrong.operation not in CHECKED:
        # The answer contains a valid id of another object. The next run finds the real one and says how to adopt it.
        return
    held, claimed = holdings(lane.emulator, cell), claims(stack.in_state())
    if held ^ claimed and len(held ^ claimed) > change.slack:
        seen.faults.append(f"state {sorted(claimed - held)}, account {sorted(held - claimed)}")
    again = stack.up(change.after(cell))
    if again.errors:
        seen.faults.append(f"the next up failed: {again.messages}")
    gone = stack.destroy()
    left = holdings(lane.emulator, cell)
    if gone.errors or left:
        seen.faults.append(f"destroy: {gone.messages}, left {sorted(left)}")


def _check(met: Outcome, lane: _Lane, stack: MiniStack, seen: Seen) -> None:
    for message in met.messages:
        if "internal error" in message or "\n" in message.strip() or not 20 < len(message) < 1500:
            seen.faults.append(f"not one clear line: {message}")
        if any(secret in message for secret in secrets(lane.emulator, stack.in_state())):
            seen.faults.append(f"a message contains a secret: {message}")


def _check_lines(lane: _Lane, before: int, seen: Seen) -> None:
    for line in lane.host.engine.lines[before:]:
        if lane.emulator.key in line.text or "Traceback" in line.text:
            seen.faults.append(f"logged {line.text[:300]}")
