"""One cell of the matrix: a change meets a failure; then the rules are checked."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.faults import Fault
from stacks_pulumi.emulator.server import Record
from tests.chaos.account import claims, holdings, secrets
from tests.chaos.matrix.changes import Change
from tests.chaos.matrix.failures import REFUSALS, TIMES, Failure
from tests.chaos.ministack import MiniStack, Outcome
from tests.support.host import FakeEngine, Host
from tests.support.waiting import until

__all__ = ["Cell", "Verdict"]

DONE, KEPT, FAILED = "done", "half", "fails"


@dataclass
class Verdict:
    """
    The result of a cell.

    Attributes:
        outcome: `done`: the `up` succeeded despite the fault. `half`: it failed, and the state has the new object.
            `fails`: it failed, and the state has no new object.
        message: The error that the user reads; empty if the `up` succeeded.
        wrongs: The rules that were broken; must be empty.
        fired: How often the fault fired.
        sent: How often the `up` with the fault sent the request.
    """

    outcome: str = DONE
    message: str = ""
    wrongs: list[str] = field(default_factory=list)
    fired: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Cell:
    """A change, a failure, and how often it happens."""

    change: Change
    failure: Failure
    times: str
    number: int

    @property
    def name(self) -> str:
        """The container's name; no other name in the account begins with it, so no other meets its late requests."""
        return f"cell{self.number:03}{list(TIMES).index(self.times)}x"

    @property
    def key(self) -> tuple[str, str, str]:
        """The operation, the failure and the number of times, which identify the cell."""
        return self.change.operation, self.failure.title, self.times

    @property
    def must_succeed(self) -> bool:
        """Whether the `up` has to succeed: a 503 is retried, and a refused retry is judged by looking at the result."""
        if self.failure.refused:
            return self.change.judged
        # A backup and a restore have no key, so they are not sent again.
        if self.failure.options.get("code") != 503 or self.change.operation in {
            "backups.restore",
            "backups.trigger",
        }:
            return False
        creates = self.change.operation == "containers.create"
        return bool(self.failure.options.get("done")) if creates else self.times != "every time"

    def repeats(self, verdict: Verdict) -> bool:
        """Return whether the cell with more times would be the same: its fault would meet no further request."""
        met = 1 if self.failure.refused else TIMES[self.times]
        return met is not None and verdict.sent <= met

    def run(self, host: Host, emulator: Emulator) -> Verdict:
        """Run the cell: apply without faults, apply with the fault, apply again without faults, and destroy."""
        verdict = Verdict()
        stack = MiniStack(host)
        lines_before = len(host.engine.lines)
        peace = stack.up(self.change.before(self.name))
        if peace.errors:
            verdict.wrongs.append(f"before the fault: {peace.messages} (host: {host.process.poll()})")
            return verdict

        match = self._match(emulator)
        times = 1 if self.failure.refused else TIMES[self.times]
        fault = emulator.faults.add(
            self.change.operation, self.failure.kind, times, match=match, **self.failure.options
        )
        refusals = self._refusals(emulator, match)
        answered = emulator.calls()
        met = stack.up(self.change.after(self.name))
        verdict.fired = fault.fired
        # A request that met a fault may still be unanswered.
        verdict.sent = sum(one.fired for one in (fault, *refusals)) + sum(
            record.operation == self.change.operation and record.fault is None and _is_about(record, match)
            for record in emulator.requests
            if record.number > answered
        )
        fault.times = fault.fired
        for refusal in refusals:
            # An operation that looks first sends no second request, so it meets no refusal.
            refusal.times = refusal.fired
        self._judge(verdict, met, stack, emulator)
        if self.failure.late:
            _await_the_late(fault, emulator)

        self._converges(verdict, stack, emulator)
        texts = [*verdict.message.splitlines(), *(line.text for line in host.engine.lines[lines_before:])]
        for secret in secrets(emulator, stack.in_state()):
            if any(secret in text for text in texts):
                verdict.wrongs.append("a secret was shown")
        self._goes_away(verdict, stack, emulator)
        if host.process.poll() is not None:
            verdict.wrongs.append(f"the host died (exit code {host.process.returncode})")
        return verdict

    def _refusals(self, emulator: Emulator, match: str | None) -> list[Fault]:
        """Set the faults that refuse later attempts."""
        body = {"success": False, "error": "This was already done"}
        return [
            emulator.faults.add(self.change.operation, code, times, match=match, body=body)
            for code, times in (REFUSALS[self.times] if self.failure.refused else ())
        ]

    def _match(self, emulator: Emulator) -> str | None:
        # The paths of backups and connections contain their id, and not the container.
        by_number = {
            "backups.pin",
            "backups.unpin",
            "backups.delete",
            "backups.restore",
            "connections.delete",
        }
        if self.change.operation not in by_number:
            return self.name
        with emulator.platform.lock:
            state = emulator.state
            mine = [str(key) for key, backup in state.backups.items() if self.name in backup.container_id]
            mine += [key for key, made in state.connections.items() if self.name in made.source]
        # The backup to pin does not exist yet; no other backup is pinned on this account meanwhile.
        return f"/{mine[0]}" if mine else None

    def _judge(self, verdict: Verdict, met: Outcome, stack: MiniStack, emulator: Emulator) -> None:
        if met.errors:
            verdict.outcome = KEPT if stack.unfinished else FAILED
            verdict.message = " / ".join(met.messages)
            verdict.wrongs.extend(
                f"not one clear line: {message!r}"
                for message in met.messages
                if not _is_clear(message, emulator)
            )
        if verdict.fired == 0:
            verdict.wrongs.append(f"the fault did not fire: {met.messages}")
        wanted = TIMES[self.times]
        if (
            not self.failure.refused
            and wanted is not None
            and not met.errors
            and verdict.fired < wanted
            and self.times == "once"
        ):
            verdict.wrongs.append("the fault fired less often than it should")
        if met.errors and self.must_succeed:
            verdict.wrongs.append(f"the up failed, though a look shows the outcome: {verdict.message}")
        self._compare(verdict, "after the fault", stack, emulator)

    @contextlib.contextmanager
    def _of_a_later_run(self, verdict: Verdict, stack: MiniStack) -> Iterator[None]:
        """After a create that joined the waitlist, use another host: in one run of the engine it is not sent again."""
        if not verdict.message.endswith("[no-capacity]"):
            yield
            return
        before = stack.host
        stack.on(dataclasses.replace(before, engine=FakeEngine()))
        try:
            yield
        finally:
            stack.host.stop()
            stack.on(before)

    def _converges(self, verdict: Verdict, stack: MiniStack, emulator: Emulator) -> None:
        program = self.change.after(self.name)
        with self._of_a_later_run(verdict, stack):
            again = stack.up(program)
        if again.errors:
            verdict.wrongs.append(f"the next up failed: {again.messages}")
        self._compare(verdict, "after the next up", stack, emulator)
        if {declared.name for declared in program} != set(stack.resources):
            verdict.wrongs.append(f"after the next up the state has {sorted(stack.resources)}")
        # An `up` that did nothing would do nothing again.
        if again.steps and (quiet := stack.up(program)).steps:
            verdict.wrongs.append(f"the up after that did something: {quiet.steps}")
        before = _facts(stack)
        stack.refresh()
        drifted = sorted(name for name, facts in _facts(stack).items() if facts != before[name])
        if (drifted and not (self.failure.late and self.change.overtaken)) or len(before) != len(
            stack.resources
        ):
            verdict.wrongs.append(f"the state was wrong about {drifted}")

    def _goes_away(self, verdict: Verdict, stack: MiniStack, emulator: Emulator) -> None:
        gone = stack.destroy()
        if gone.errors:
            verdict.wrongs.append(f"destroy failed: {gone.messages}")
        left = holdings(emulator, self.name)
        if left:
            verdict.wrongs.append(f"destroy left {sorted(left)}")

    def _compare(self, verdict: Verdict, when: str, stack: MiniStack, emulator: Emulator) -> None:
        held, claimed = holdings(emulator, self.name), claims(stack.in_state())
        unknown, missing = held - claimed, claimed - held
        if len(unknown) > self.change.slack:
            verdict.wrongs.append(f"{when} the state does not know {sorted(unknown)}")
        if missing:
            verdict.wrongs.append(f"{when} the account lacks {sorted(missing)}")


def _is_about(record: Record, match: str | None) -> bool:
    return match is None or match in f"{record.path} {record.subject}"


def _await_the_late(fault: Fault, emulator: Emulator) -> None:
    """Wait until the API has carried out the requests that timed out, so that none runs after the cell."""

    def carried_out() -> bool:
        done = [
            record
            for record in emulator.requests
            if record.fault == fault.kind and _is_about(record, fault.match)
        ]
        return len(done) >= fault.fired

    until(carried_out)


def _facts(stack: MiniStack) -> dict[str, dict[str, object]]:
    """Return the outputs of each resource in the state, without those that change by themselves."""
    # The list of connections contains the creation time; the answer to the creation does not.
    by_itself = {"status", "updated_at", "raw_status", "created_at"}
    return {
        name: {key: value for key, value in resource.outs.items() if key not in by_itself}
        for name, resource in stack.resources.items()
    }


def _is_clear(message: str, emulator: Emulator) -> bool:
    return (
        "\n" not in message.strip()
        and 20 < len(message) < 1500
        and emulator.key not in message
        and not any(word in message for word in ("Traceback", "internal error", "Exception"))
    )
