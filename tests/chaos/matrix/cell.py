"""One cell of the matrix: a deed meets a mishap, and what must hold afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.faults import Fault
from tests.chaos.account import claims, holdings, secrets
from tests.chaos.matrix.deeds import Deed
from tests.chaos.matrix.mishaps import BEYOND, REFUSALS, TIMES, Mishap
from tests.chaos.ministack import MiniStack, Outcome
from tests.support.host import Host

__all__ = ["Cell", "Verdict"]

DONE, KEPT, FAILED = "done", "half", "fails"


@dataclass
class Verdict:
    """
    What became of a cell.

    Attributes:
        outcome: `done`: the `up` succeeded all the same. `half`: it failed, and the state holds what was made.
            `fails`: it failed, and nothing was made.
        message: What the user reads; empty if it succeeded.
        wrongs: What did not hold; nothing is to be here.
        fired: How often the fault fired.
        seconds: How long the `up` took that met it.
    """

    outcome: str = DONE
    message: str = ""
    wrongs: list[str] = field(default_factory=list)
    fired: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A deed, a mishap, and how often it happens."""

    deed: Deed
    mishap: Mishap
    times: str
    number: int

    @property
    def name(self) -> str:
        """The container's name, which nothing else in the account begins with."""
        return f"cell{self.number:03}x"

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is."""
        return self.deed.operation, self.mishap.title, self.times

    @property
    def must_succeed(self) -> bool:
        """Whether the `up` has to succeed: a 503 is retried, and a refused retry is judged by looking at the result."""
        if self.mishap.refused:
            return self.deed.judged
        if self.mishap.options.get("code") != 503 or self.deed.operation == "backups.restore":
            return False
        creates = self.deed.operation == "containers.create"
        return bool(self.mishap.options.get("done")) if creates else self.times != "for good"

    def run(self, host: Host, emulator: Emulator) -> Verdict:
        """Go through it: peace, mishap, peace, and away."""
        verdict = Verdict()
        stack = MiniStack(host)
        lines_before = len(host.engine.lines)
        peace = stack.up(self.deed.before(self.name))
        if peace.errors:
            verdict.wrongs.append(f"before the fault: {peace.messages} (host: {host.process.poll()})")
            return verdict

        match = self._match(emulator)
        times = 1 if self.mishap.refused else TIMES[self.times]
        fault = emulator.faults.add(
            self.deed.operation, self.mishap.kind, times, match=match, **self.mishap.options
        )
        refusals = self._refusals(emulator, match)
        began = time.monotonic()
        met = stack.up(self.deed.after(self.name))
        verdict.seconds = time.monotonic() - began
        verdict.fired = fault.fired
        fault.times = fault.fired
        for refusal in refusals:
            # What looks first sends no second request, so it meets none of them.
            refusal.times = refusal.fired
        self._judge(verdict, met, stack, emulator)
        if self.mishap.late:
            _await_the_late(fault, emulator, self.name)

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
        """What later attempts meet."""
        body = {"success": False, "error": "This was already done"}
        return [
            emulator.faults.add(self.deed.operation, code, times, match=match, body=body)
            for code, times in (REFUSALS[self.times] if self.mishap.refused else ())
        ]

    def _match(self, emulator: Emulator) -> str | None:
        # Paths of backups and connections tell a number of their own and not the container.
        by_number = {
            "backups.pin",
            "backups.unpin",
            "backups.delete",
            "backups.restore",
            "connections.delete",
        }
        if self.deed.operation not in by_number:
            return self.name
        with emulator.platform.lock:
            state = emulator.state
            mine = [str(key) for key, backup in state.backups.items() if self.name in backup.container_id]
            mine += [key for key, made in state.connections.items() if self.name in made.source]
        # The backup to be pinned does not exist yet; nothing else is pinned on this account meanwhile.
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
            verdict.wrongs.append("the fault did not fire")
        wanted = TIMES[self.times]
        if (
            not self.mishap.refused
            and wanted is not None
            and not met.errors
            and verdict.fired < wanted
            and self.times == "once"
        ):
            verdict.wrongs.append("the fault did not fire as often as it was to")
        if met.errors and self.must_succeed:
            verdict.wrongs.append(f"the up failed, and a look would have told: {verdict.message}")
        self._compare(verdict, "after the fault", stack, emulator)

    def _converges(self, verdict: Verdict, stack: MiniStack, emulator: Emulator) -> None:
        program = self.deed.after(self.name)
        again = stack.up(program)
        if again.errors:
            verdict.wrongs.append(f"the next up failed: {again.messages}")
        self._compare(verdict, "after the next up", stack, emulator)
        if {declared.name for declared in program} != set(stack.resources):
            verdict.wrongs.append(f"after the next up the state has {sorted(stack.resources)}")
        quiet = stack.up(program)
        if quiet.steps:
            verdict.wrongs.append(f"the up after that did something: {quiet.steps}")
        before = _facts(stack)
        stack.refresh()
        drifted = sorted(name for name, facts in _facts(stack).items() if facts != before[name])
        if (drifted and not (self.mishap.late and self.deed.overtaken)) or len(before) != len(
            stack.resources
        ):
            verdict.wrongs.append(f"the state did not tell the truth of {drifted}")

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
        if len(unknown) > self.deed.slack:
            verdict.wrongs.append(f"{when} the state does not know {sorted(unknown)}")
        if missing:
            verdict.wrongs.append(f"{when} the account lacks {sorted(missing)}")


def _await_the_late(fault: Fault, emulator: Emulator, name: str) -> None:
    """Let what was given up be carried out now, and not after the cell is over."""
    deadline = time.monotonic() + 2 * BEYOND
    while time.monotonic() < deadline:
        done = [
            record
            for record in emulator.requests
            if record.fault == fault.kind
            and (fault.match is None or fault.match in f"{record.path} {record.subject}")
        ]
        if len(done) >= fault.fired:
            return
        time.sleep(0.2)
    raise AssertionError(f"{name}: a late request was never carried out")


def _facts(stack: MiniStack) -> dict[str, dict[str, object]]:
    """What the state says of each resource, without what changes by itself."""
    # A connection's list tells when it was made, and the answer to its creation does not.
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
