"""The targets of the benchmark, and whether they were reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figures import Figures
from tests.bench.run import Row

NEAR = 1.15
POLLS = 14
REFRESH_CALLS = 2
KB_A_RESOURCE = 100.0
IMPORT_MS = 30.0
UP_CALLS = {24: 90, 60: 200}
"""The most calls of an `up` with children, by the number of containers."""
REFRESH_CALLS_OF_200 = 205
DESTROY_NEAR = 2.0
LIST_MS = 40.0
NATIVE_SHARE = 1.1
"""The plugin may take a tenth more than the dynamic host, and needs as many calls, give or take a poll."""
SECONDS_THAT_VARY = 1.0
"""An `up` of nothing varies by as much, so a tenth of a verb of two seconds says nothing."""
PLUGIN_START_MS = 200.0
PLUGIN_MB = 80.0


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


def targets(figures: Figures) -> list[Target]:
    """Return every target for which figures exist."""
    rows = figures.rows
    ours = [row for row in rows if row.case.provider == "ours"]
    bare = [row for row in ours if not row.case.children]
    families = [row for row in ours if row.case.children]
    return [
        *_ups(bare),
        *_families(families),
        *_quiet(ours),
        *_refreshes(bare),
        *_memory(bare),
        _imports(figures.imports),
        _long_list(figures.long_list),
        *_hosts(rows),
        _plugin_start(figures.plugin_start),
    ]


def kb_a_resource(rows: Sequence[Row]) -> float | None:
    """How much the host's peak memory grows for each container, between the smallest and the largest stack."""
    ups = sorted((row for row in rows if row.verb == "up"), key=lambda row: row.case.containers)
    if not ups or ups[0].case.containers == ups[-1].case.containers:
        return None
    small, large = ups[0], ups[-1]
    return (large.measured.peak_kb - small.measured.peak_kb) / (large.case.containers - small.case.containers)


def _ups(rows: Sequence[Row]) -> Iterator[Target]:
    for row in rows:
        size = row.case.containers
        if row.verb != "up" or row.case.per_minute is None or size not in {24, 200}:
            continue
        what = f"`up` of {size}, {row.case.limit}"
        yield Target(f"{what}: time", f"{NEAR} x the bound", f"{row.ratio:.2f} x", row.ratio <= NEAR)
        refused = row.measured.refused
        yield Target(f"{what}: requests refused", "none", str(refused), refused == 0)
        if size == 24:
            calls = row.measured.calls
            yield Target(
                f"{what}: calls", f"{size} + {POLLS}", f"{size} + {calls - size}", calls <= size + POLLS
            )


def _families(rows: Sequence[Row]) -> Iterator[Target]:
    for row in rows:
        case, calls = row.case, row.measured.calls
        what = f"`{row.verb}` of {case.what}, {case.limit}"
        if row.verb == "up" and case.per_minute is not None and case.containers in UP_CALLS:
            most = UP_CALLS[case.containers]
            yield Target(f"{what}: calls", f"at most {most}", str(calls), calls <= most)
        if row.verb == "refresh" and case.containers == 200:
            most = REFRESH_CALLS_OF_200
            yield Target(f"{what}: calls", f"at most {most}", str(calls), calls <= most)
        if row.verb == "destroy" and case.per_minute is None and case.containers == 200:
            near = f"less than {DESTROY_NEAR:.0f} x the bound"
            yield Target(f"{what}: time", near, f"{row.ratio:.2f} x", row.ratio < DESTROY_NEAR)


def _quiet(rows: Sequence[Row]) -> Iterator[Target]:
    calls = [row.measured.calls for row in rows if row.verb == "no-op up"]
    if calls:
        yield Target("no-op `up`, any stack: calls", "0", str(max(calls)), max(calls) == 0)


def _refreshes(rows: Sequence[Row]) -> Iterator[Target]:
    calls = [row.measured.calls for row in rows if row.verb == "refresh"]
    if calls:
        what = "`refresh`, any number of containers: calls"
        yield Target(what, f"at most {REFRESH_CALLS}", str(max(calls)), max(calls) <= REFRESH_CALLS)


def _memory(rows: Sequence[Row]) -> Iterator[Target]:
    for limited in (False, True):
        grows = kb_a_resource([row for row in rows if (row.case.per_minute is not None) is limited])
        if grows is not None:
            what = f"peak memory of the host, {'60/min' if limited else 'no limit'}"
            wanted = f"less than {KB_A_RESOURCE:.0f} kB a container"
            yield Target(what, wanted, f"{grows:.0f} kB", grows < KB_A_RESOURCE)


def _imports(took: Mapping[str, float]) -> Target:
    adds = took["a resource"] - took["pulumi"]
    return Target(
        "`import stacks_pulumi` and its Container, over `import pulumi`",
        f"at most {IMPORT_MS:.0f} ms",
        f"{adds:.0f} ms (over {took['pulumi']:.0f} ms)",
        adds <= IMPORT_MS,
    )


def _long_list(listed: Mapping[str, float]) -> Target:
    return Target(
        "a list of 5,000 containers in the client",
        f"less than {LIST_MS:.0f} ms",
        f"{listed['client']:.0f} ms ({listed['one odd field']:.0f} ms with one odd field; requests and json: "
        f"{listed['requests and json']:.0f} ms)",
        listed["client"] < LIST_MS,
    )


def _hosts(rows: Sequence[Row]) -> Iterator[Target]:
    """The plugin beside the dynamic host: the verb that is slowest beside the other's, and its memory."""
    stacks: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        stacks[f"`{row.verb}` of {row.case.what}, {row.case.limit}"][row.case.provider] = row
    pairs = {
        what: (found["native"], found["ours"])
        for what, found in stacks.items()
        if {"native", "ours"} <= set(found)
    }
    if pairs:
        worst = max(pairs, key=lambda what: _share(*pairs[what]))
        native, ours = pairs[worst]
        yield Target(
            f"native beside ours, the slowest of {len(pairs)} verbs: {worst}",
            f"at most {NATIVE_SHARE} x",
            f"{native.measured.seconds / ours.measured.seconds:.2f} x ({native.measured.seconds:.1f} s)",
            _share(native, ours) <= NATIVE_SHARE,
        )
    largest = max((native.measured.peak_kb for native, _ in pairs.values()), default=None)
    if largest is not None:
        most = max(native.case.containers for native, _ in pairs.values())
        got = f"{largest / 1024:.0f} MB"
        yield Target(
            f"peak memory of the plugin, up to {most} containers",
            f"less than {PLUGIN_MB:.0f} MB",
            got,
            largest / 1024 < PLUGIN_MB,
        )


def _plugin_start(milliseconds: float) -> Target:
    wanted = f"less than {PLUGIN_START_MS:.0f} ms"
    return Target("start of the plugin", wanted, f"{milliseconds:.0f} ms", milliseconds < PLUGIN_START_MS)


def _share(native: Row, ours: Row) -> float:
    return max(0.0, native.measured.seconds - SECONDS_THAT_VARY) / ours.measured.seconds
