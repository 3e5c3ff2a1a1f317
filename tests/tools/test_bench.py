"""The clock of the benchmark, and the page at the end of a run."""

from __future__ import annotations

import csv
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from stacks_pulumi.emulator import Emulator
from tests.bench import broker, report, stacks
from tests.bench.alone import Alone
from tests.bench.broker import Own
from tests.bench.cases import VERBS, all_cases
from tests.bench.mishaps import Ended, Mishap, MishapRow, all_mishaps
from tests.bench.run import FailedError, Measured, Row
from tests.bench.stacks import AccountRow
from tests.bench.watch import BenchClock
from tests.support.backends import Backend, Network
from tests.support.hurried.shared_clock import FASTEST, SharedClock
from tests.support.several_stacks import Outcome
from tests.support.waiting import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file for a clock."""
    return tmp_path / "clock"


def test_it_runs_fast_only_while_a_process_waits_and_none_works(file: Path) -> None:
    clock = BenchClock(file)
    began = clock.now()

    clock.passed(4, worked=0)
    assert clock.now() - began == pytest.approx(4)

    waiting = threading.Thread(target=SharedClock(file).sleep, args=(40,), daemon=True)
    waiting.start()
    other = SharedClock(file)
    until(other.is_waited_for)
    clock.passed(4, worked=3)
    assert clock.now() - began == pytest.approx(4 + 3 + FASTEST)

    # More than one process may work at the same time.
    clock.passed(4, worked=7)
    assert clock.now() - began == pytest.approx(4 + 3 + FASTEST + 4)

    # The clock's thread may have read the time before this; it reads it again after 40 / FASTEST seconds.
    other.move(40)
    waiting.join()
    assert not other.is_waited_for()


def test_the_brokers_own_time_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_REQUESTS", 4)

    own = broker.measure()

    assert min(own.read, own.change) > 0


def test_a_wait_ends_with_a_notification(file: Path) -> None:
    clock = SharedClock(file, new=True)
    changed = threading.Condition()

    def wait() -> None:
        with changed:
            clock.wait(changed, 10_000)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    until(clock.is_waited_for)
    with changed:
        changed.notify()

    waiting.join()
    assert clock.now() == 0
    # Its alarm is still set but finds no waiter.
    clock.move(20_000)
    clock.sleep(-1)


def test_a_run_ends_with_a_page(tmp_path: Path) -> None:
    rows = [
        Row(case, verb, (Measured(21.0 if verb == "up" else 3.0, 1, 0, 0.5, 1.5, 60_000),), 20.0)
        for case in all_cases()
        for verb in VERBS
    ]
    several = Outcome(80.0, {0: 84.0})
    found = Alone(150, 5, 47, 210, 35, 16, 600, several, Own(3.0, 12.0))

    calm = {"ours": 14.0, "native": 13.0, "peer": 15.0}
    amiss = [MishapRow(mishap, _ends(mishap, calm), calm) for mishap in all_mishaps()]

    accounts = [AccountRow("s3", 0, 300, 4.2), AccountRow("s3", 100, 300, 41.0)]

    report.write(tmp_path, report.Figures(rows, 0.8, found, 20, amiss, accounts))

    page = (tmp_path / "bench.md").read_text(encoding="utf-8")
    felt, rest = page.split("## How it is measured")
    assert felt.count("| 21.0 | 21.0 | 21.0 | 21.0 | 20.0 |") == 3
    assert felt.count("| 3.0 | 3.0 | 3.0 | 3.0 | 20.0 |") == 3
    _, *reached = _table(tmp_path / "bench-targets.csv")
    assert [it[1:] for it in reached if it[0].endswith("scaled beside real time")] == [
        ["within a tenth, +/-2 calls", "1.00 x, +0 calls", "yes"]
    ] * 3
    by_name = {what: got for what, *got in reached}
    assert by_name["`import stacks_pulumi`, over `import pulumi` (150 ms)"] == [
        "at most 30 ms",
        "5 ms",
        "yes",
    ]
    assert by_name["`account` of 300 stacks on s3: time"] == ["at most 10 s", "4.2 s", "yes"]
    slow = ["at most 40 s", "41.0 s", "no"]
    assert by_name["`account` of 300 stacks on s3, 100 ms each way: time"] == slow
    assert by_name["two faults, ours"][1:] == ["+9.0 s (502 to a create, twice, `up` of 8)", "no"]
    assert by_name["two faults, native"][1].startswith("+2.0 s")
    assert by_name["an outage, ours"][1].startswith("+12.0 s")
    missed = [
        f"| {what} | {wanted} | {got} |" for what, wanted, got, is_reached in reached if is_reached == "no"
    ]
    assert f"reached {len(reached) - len(missed)} of {len(reached)} targets" in felt
    assert "\n".join(missed) in felt
    assert "takes 0.6 s of processor time" in rest
    assert "| s3 | fast | 300 | 4.2 |\n| s3 | 100 ms each way | 300 | 41.0 |\n" in rest
    head, *figures = _table(tmp_path / "bench.csv")
    assert head[:5] == ["containers", "limit", "verb", "provider", "seconds"]
    assert len(figures) == sum(not row.case.real for row in rows)
    assert (tmp_path / "images" / "bench.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "| up | 8 | nothing | 14.0 | 13.0 | 15.0 |" in rest
    assert "| up | 8 | 502 to a create | +1.0 | +2.0 | fails after 3.0, 1 unknown |" in rest
    assert "twice" not in rest
    assert (
        len([row for row in _table(tmp_path / "bench-mishaps.csv") if row[2] == "502 to a create, twice"])
        == 1
    )


def _table(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return [*csv.reader(text)]


def test_a_backend_that_this_machine_does_not_have_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_seconds: float) -> AbstractContextManager[Backend]:
        pytest.skip("this machine has no PostgreSQL")

    folder = Backend(f"file://{tmp_path}", {}, "", Network(tmp_path / "none"))
    monkeypatch.setattr(stacks, "BACKENDS", {"postgres": missing, "s3": lambda _seconds: nullcontext(folder)})
    monkeypatch.setattr(stacks, "fill", lambda *_: None)
    monkeypatch.setattr(stacks, "account", lambda *_: 2.5)
    said: list[str] = []

    rows = [*stacks.run([3, 4], said.append)]

    times = [(row.backend, row.delay_ms, row.stacks) for row in rows]
    assert times == [
        ("file", 0, 3),
        ("file", 0, 4),
        *(("s3", ms, count) for count in (3, 4) for ms in (0, 100)),
    ]
    assert said == ["`account` is not measured on postgres: this machine has no PostgreSQL"]


def test_a_time_counts_only_if_every_container_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an account that is read in part would be fast."""
    empty = Backend(f"file://{tmp_path}", {}, "", Network(tmp_path / "none"))
    monkeypatch.setattr(stacks, "ensure", lambda **_: SimpleNamespace(bin=tmp_path))
    with Emulator() as emulator:
        stacks.fill(empty, emulator, 2)
        assert stacks.account(empty, emulator, 2) > 0
        (tmp_path / ".pulumi" / "stacks" / "p1" / "dev.json").unlink()
        with pytest.raises(FailedError, match="of 2 stacks found 4 owned containers"):
            stacks.account(empty, emulator, 2)


def _ends(mishap: Mishap, calm: dict[str, float]) -> dict[str, Ended]:
    """The peer loses its new containers when a request fails, and our provider takes long after two faults."""
    if not mishap.what:
        return {name: Ended(seconds) for name, seconds in calm.items()}
    if mishap.kind == "an outage":
        return {name: Ended(12.0, succeeded=False) for name in calm}
    extra = 9.0 if mishap.what == "502 to a create, twice" else 1.0
    return {
        "ours": Ended(calm["ours"] + mishap.own + extra),
        "native": Ended(calm["native"] + mishap.own + 2.0),
        "peer": Ended(3.0, succeeded=False, lost=1),
    }
