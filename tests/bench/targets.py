"""What is to be reached, and whether it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.run import Row

NEAR = 1.15
POLLS = 14
REFRESH_CALLS = 2
KB_A_RESOURCE = 100.0
IMPORT_MS = 70.0
UP_CALLS = {24: 90, 60: 200}
"""The most calls of an `up` with children, by the number of containers."""
REFRESH_CALLS_OF_200 = 205
DESTROY_NEAR = 2.0
LIST_MS = 40.0


@dataclass(frozen=True)
class Target:
    """
    One figure.

    Attributes:
        what: What it is.
        wanted: What it has to be, for people.
        got: What it was, for people.
        reached: Whether that is good enough.
    """

    what: str
    wanted: str
    got: str
    reached: bool


def targets(rows: Sequence[Row], took: dict[str, float], listed: dict[str, float]) -> list[Target]:
    """Every target that the rows say something about."""
    ours = [row for row in rows if row.case.provider == "ours"]
    bare = [row for row in ours if not row.case.children]
    families = [row for row in ours if row.case.children]
    return [
        *_ups(bare),
        *_families(families),
        *_quiet(ours),
        *_refreshes(bare),
        *_memory(bare),
        _imports(took),
        _long_list(listed),
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


def _imports(took: dict[str, float]) -> Target:
    adds = took["a resource"] - took["pulumi"]
    return Target(
        "`import stacks_pulumi` and its Container, over `import pulumi`",
        f"at most {IMPORT_MS:.0f} ms",
        f"{adds:.0f} ms (over {took['pulumi']:.0f} ms)",
        adds <= IMPORT_MS,
    )


def _long_list(listed: dict[str, float]) -> Target:
    return Target(
        "a list of 5,000 containers in the client",
        f"less than {LIST_MS:.0f} ms",
        f"{listed['client']:.0f} ms ({listed['one odd field']:.0f} ms with one odd field; requests and json: "
        f"{listed['requests and json']:.0f} ms)",
        listed["client"] < LIST_MS,
    )
