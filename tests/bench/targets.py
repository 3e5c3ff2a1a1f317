"""The targets of the benchmark, and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.alone import Alone
from tests.bench.broker import Own
from tests.bench.cases import HOSTS, QUIET, VERBS
from tests.bench.mishaps import LIMITS, MishapRow
from tests.bench.run import Row
from tests.bench.stacks import AccountRow

NEAR = 1.15
"""The highest time of a verb, in multiples of the bound or of the time with a provider that does nothing."""
DESTROY = 1.5
"""The highest time of a `destroy`, in multiples of the bound."""
AGREES = 0.1
"""The allowed difference between scaled and real time."""
POLLS = 2
"""The allowed difference in calls: one poll more or less."""
WINDOW_CALLS = 60
UP_CALLS = {24: 90, 60: 200}
"""The highest number of calls of an `up` with children, by the number of containers."""
REFRESH_CALLS = 2
REFRESH_CALLS_OF_200 = 205
KB_A_CONTAINER = 80.0
PLUGIN_MB = 80.0
SHARED = 1.1
IMPORT_MS = 30.0
PLUGIN_START_MS = 200.0
LIST_MS = 40.0
ACCOUNT_SECONDS = {False: 10.0, True: 40.0}
"""The highest time of `account` for 300 stacks, on a fast and on a slow network."""
ACCOUNT_STACKS = 300
BROKER_READ_MS = 10.0
BROKER_CHANGE_MS = 25.0


@dataclass(frozen=True)
class Target:
    """
    One figure.

    Attributes:
        what: The name of the figure.
        wanted: The target, as text.
        got: The measured value, as text.
        reached: Whether the value reaches the target.
    """

    what: str
    wanted: str
    got: str
    reached: bool


def targets(
    rows: Sequence[Row],
    alone: Alone | None,
    mishaps: Sequence[MishapRow] = (),
    accounts: Sequence[AccountRow] = (),
) -> list[Target]:
    """Return every target for which figures exist."""
    hosts = [row for row in rows if row.case.provider in HOSTS and not row.case.real]
    return [
        *_calls(hosts),
        *_times(hosts),
        *_beside_idle(hosts, rows),
        *_growth(hosts),
        *_memory(rows),
        *_agreements(rows),
        *_mishaps(mishaps),
        *_accounts(accounts),
        *(_alone(alone) if alone is not None else ()),
    ]


def _mishaps(rows: Sequence[MishapRow]) -> Iterator[Target]:
    """Return the slowest mishap of each kind, by host."""
    for kind, limit in LIMITS.items():
        for host in HOSTS:
            found = [row for row in rows if row.mishap.kind == kind and host in row.ends]
            if found:
                worst = max(found, key=lambda row: row.added(host))
                reached = all(row.is_reached(host) for row in found)
                got = f"{worst.added(host):+.1f} s ({worst.mishap.what}, `{worst.mishap.verb}` of {worst.mishap.stack})"
                yield Target(f"{kind}, {host}", f"at most +{limit:.0f} s, and nothing lost", got, reached)


def _accounts(rows: Sequence[AccountRow]) -> Iterator[Target]:
    for row in rows:
        if row.stacks == ACCOUNT_STACKS:
            most = ACCOUNT_SECONDS[row.delay_ms > 0]
            slow = f", {row.delay_ms} ms each way" if row.delay_ms else ""
            what = f"`account` of {row.stacks} stacks on {row.backend}{slow}: time"
            yield Target(what, f"at most {most:.0f} s", f"{row.seconds:.1f} s", row.seconds <= most)


def _idle(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row of the same verb and stack with a provider that does nothing."""
    return next((it for it in rows if it.case == row.case.idle() and it.verb == row.verb), None)


def _is(row: Row, verb: str, *whats: str) -> bool:
    return row.verb == verb and row.case.what in whats and not row.case.real


def _named(row: Row) -> str:
    return f"`{row.verb}` of {row.case.what}, {row.case.limit}, {row.case.provider}"


def _most(what: str, most: int, got: int, *, wanted: str | None = None) -> Target:
    return Target(what, wanted or f"at most {most}", str(got), got <= most)


def _calls(hosts: Sequence[Row]) -> Iterator[Target]:
    for row in hosts:
        case, what = row.case, f"{_named(row)}: calls"
        if row.verb == "up" and case.children and case.containers in UP_CALLS and not case.with_container:
            yield _most(what, UP_CALLS[case.containers], row.calls)
        if _is(row, "destroy", "24 + 24"):
            yield _most(what, WINDOW_CALLS, row.calls, wanted=f"one window: {WINDOW_CALLS}")
        if _is(row, "refresh", "200 + 200"):
            yield _most(what, REFRESH_CALLS_OF_200, row.calls)
    if quiet := [row.calls for row in hosts if row.verb in {"no-op up", "preview"}]:
        yield _most("no-op `up` and preview of any stack: calls", 0, max(quiet), wanted="0")
    if refreshes := [row.calls for row in hosts if row.verb == "refresh" and not row.case.children]:
        yield _most("`refresh` of any number of containers: calls", REFRESH_CALLS, max(refreshes))
    if refused := [row.refused for row in hosts]:
        yield _most("requests refused, any verb of one stack", 0, max(refused), wanted="none")


def _times(hosts: Sequence[Row]) -> Iterator[Target]:
    for row in hosts:
        if row.verb == "up" and row.case.per_minute is not None and not row.case.with_container:
            what = f"{_named(row)}: time"
            yield Target(what, f"{NEAR} x the bound", f"{row.ratio:.2f} x", row.ratio <= NEAR)
        if _is(row, "destroy", "200 + 200"):
            what = f"{_named(row)}: time"
            yield Target(what, f"{DESTROY} x the bound", f"{row.ratio:.2f} x", row.ratio <= DESTROY)


def _beside_idle(hosts: Sequence[Row], rows: Sequence[Row]) -> Iterator[Target]:
    for row in hosts:
        idle = _idle(row, rows)
        if idle is not None and row.case.what == "200 + 200" and row.verb in QUIET[:2]:
            all_ = row.all_cpu / idle.all_cpu
            got = f"{all_:.2f} x (the provider's process alone: {row.provider_cpu / idle.provider_cpu:.2f} x)"
            what = f"{_named(row)}: processor time"
            yield Target(what, f"{NEAR} x the idle provider", got, all_ <= NEAR)


def _growth(hosts: Sequence[Row]) -> Iterator[Target]:
    """Yield targets that fail if a part of our time grows with the square of the number of containers."""
    for verb in VERBS:
        small, large = (
            [row for row in hosts if row.case.provider == "ours" and _is(row, verb, what)]
            for what in ("200 + 200", "1,000 + 1,000")
        )
        if small and large:
            each = [row.provider_cpu / row.case.containers for row in (*large, *small)]
            got = f"{each[0] / each[1]:.2f} x ({each[0] * 1000:.1f} ms)"
            what = f"`{verb}` of 1,000 + 1,000, ours: the provider's processor time for each container"
            yield Target(what, f"{NEAR} x that of 200 + 200", got, each[0] <= NEAR * each[1])


def _memory(rows: Sequence[Row]) -> Iterator[Target]:
    for row in rows:
        idle = _idle(row, rows)
        if row.case.provider == "ours" and _is(row, "up", "1,000", "1,000 + 1,000") and idle is not None:
            kb = (row.peak_kb - idle.peak_kb) / row.case.containers
            what = f"{_named(row)}: memory for each container, over that of the idle provider's process"
            yield Target(what, f"less than {KB_A_CONTAINER:.0f} kB", f"{kb:.0f} kB", kb < KB_A_CONTAINER)
    if native := [row.peak_kb / 1024 for row in rows if row.case.provider == "native"]:
        got = f"{max(native):.0f} MB"
        yield Target(
            "the plugin's memory, any stack", f"less than {PLUGIN_MB:.0f} MB", got, max(native) < PLUGIN_MB
        )


def _agreements(rows: Sequence[Row]) -> Iterator[Target]:
    for scaled, real in agreements(rows):
        share = scaled.seconds / real.seconds
        got = f"{share:.2f} x, {scaled.calls - real.calls:+} calls"
        agrees = abs(share - 1) <= AGREES and abs(scaled.calls - real.calls) <= POLLS
        what = f"`{scaled.verb}` of {scaled.case.what}, scaled beside real time"
        yield Target(what, f"within a tenth, +/-{POLLS} calls", got, agrees)


def agreements(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield the three rows that were measured in both scaled and real time."""
    ours = [row for row in rows if row.case.provider == "ours"]
    for real in ours:
        if real.case.real and (real.verb, real.case.what) in {
            ("up", "24"),
            ("up", "24 + 24"),
            ("destroy", "24 + 24"),
        }:
            for scaled in ours:
                if _is(scaled, real.verb, real.case.what):
                    yield scaled, real


def _alone(alone: Alone) -> Iterator[Target]:
    found = alone.shared
    what, most = "four `up` of 24 on one key", max(found.refused.values(), default=0)
    got = f"{found.ratio:.2f} x the bound, {found.calls.total()} calls"
    yield Target(f"{what}: time", f"{SHARED} x the shared bound", got, found.ratio <= SHARED)
    yield Target(f"{what}: how often a request is refused", "at most once", f"{most} x", most <= 1)
    for what, most_ms, took in (
        (
            f"`import stacks_pulumi`, over `import pulumi` ({alone.import_pulumi:.0f} ms)",
            IMPORT_MS,
            alone.import_ours,
        ),
        ("the same with its `Container`", IMPORT_MS, alone.import_container),
        ("start of the plugin", PLUGIN_START_MS, alone.plugin_start),
        (
            f"a list of 5,000 in the client (requests and json: {alone.list_bare:.0f} ms)",
            LIST_MS,
            alone.list_client,
        ),
    ):
        yield Target(what, f"at most {most_ms:.0f} ms", f"{took:.0f} ms", took <= most_ms)
    yield from of_broker(alone.broker)


def of_broker(own: Own) -> Iterator[Target]:
    """Yield the targets of the broker's own time."""
    for what, most, took in (("read", BROKER_READ_MS, own.read), ("change", BROKER_CHANGE_MS, own.change)):
        name = f"the broker's own time for 95 of 100 requests that {what}"
        yield Target(name, f"at most {most:.0f} ms", f"{took:.1f} ms", took <= most)
