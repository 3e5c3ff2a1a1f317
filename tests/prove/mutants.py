"""Every small change of the package's code makes a test fail."""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from tests.prove import contexts, recorded
from tests.prove.checkout import ROOT, Checkout
from tests.prove.mutations import Mutation, mutations
from tests.prove.proof import Case, Proof, Ran, Seen
from tests.prove.recorded import PACKAGE, Recorded
from tests.support import durations

__all__ = ["Mutants"]

MODULE, AREA = "module", "area"
FAST = ("unit", "broker", "policy", "emulator", "tools")
GOLDEN = (5**0.5 - 1) / 2

MOST, FEW = 5, 2
"""So many killers of a mutant are recorded at most; with fewer than the second number, more tests are asked."""
SECONDS = 120.0
"""After so many, no further killer of a mutant is looked for, also on a busy machine."""
NEAR, ASKED, ASKED_OF_HOSTS = 8, 40, 8
"""So many tests are run for a mutant at most: at first those that reach the least besides its line."""
WIDTH = 160
"""A change that is shown in a longer line is not recorded."""


class Mutants(Proof):
    """Change one place in a copy of the checkout, and run its tests, the likely ones first, until one fails."""

    about = "every small change of the package's code makes a test fail; a mutant that survives needs a test"
    cases = 40
    searches = False
    at_once = 2
    new_process = True  # the copy of the checkout is removed with the process

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--rings",
            nargs="+",
            default=[MODULE, AREA, ",".join(FAST), "host"],
            metavar="FOLDER,FOLDER",
            help="run the tests of these folders or files, then those of the next ones; `module` are those that name "
            "the changed module, and `area` those of its part of the package (default: %(default)s)",
        )
        parser.add_argument(
            "--part",
            nargs="+",
            default=[""],
            help="change only these parts of the package, such as api/wait.py",
        )
        parser.add_argument("--but", nargs="+", default=[], metavar="PART", help="leave these parts alone")
        parser.add_argument(
            "--record",
            type=Path,
            metavar="FILE",
            help="run the tests that reach the changed line, and add the mutants that die to this file, with all "
            f"killers up to {MOST}; --from FILE runs those again",
        )

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=1", "--cases=1", "--part=pricing/money.py", "--rings=unit/pricing"]
        yield ["--from=tests/prove/mutants.txt", "--cases=1"]

    @classmethod
    def read(cls, path: Path) -> list[Ran]:
        if path.suffix == ".json":
            return super().read(path)
        return [Ran(vars(one)) for one in recorded.read(path.read_text(encoding="utf-8"))]

    @classmethod
    def ended(cls, given: argparse.Namespace, ran: Sequence[Ran]) -> None:
        if given.record:
            recorded.write(given.record, [_recorded(one.case) for one in ran if one.case.get("killers")])

    def draw(self, chance: Random) -> Iterator[Case]:
        """Yield mutants that are spread evenly over the lines of the package that can be mutated."""
        reached = contexts.reached() if self.given.record else None
        places: dict[tuple[str, int], list[Mutation]] = {}
        for path in sorted(PACKAGE.rglob("*.py")):
            part = path.relative_to(PACKAGE).as_posix()
            if part.startswith(tuple(self.given.part)) and not part.startswith(tuple(self.given.but)):
                for mutation in mutations(path.read_text(encoding="utf-8")):
                    place = path.relative_to(ROOT).as_posix(), mutation.line
                    places.setdefault(place, []).append(mutation)
        lines = list(places)
        at = chance.random()
        while True:
            # Steps of the golden ratio leave no large gap, however many mutants are drawn.
            at = (at + GOLDEN) % 1
            line = lines[int(at * len(lines))]
            kind = chance.choice(sorted({one.kind for one in places[line]}))
            drawn = chance.choice([one for one in places[line] if one.kind == kind])
            if not _is_valid(drawn.applied((ROOT / line[0]).read_text(encoding="utf-8"))):
                continue
            case = {"file": line[0], **vars(drawn)}
            if reached is None:
                yield case
            # A line that its function has twice would not be found again.
            elif len(drawn.change) <= WIDTH and recorded.found(_recorded(case)):
                yield {**case, "tests": reached.tests(*line)}

    @functools.cached_property
    def _checkout(self) -> Checkout:
        return Checkout()

    @functools.cached_property
    def _sound(self) -> dict[str, bool]:
        return {}

    def run(self, case: Case, seen: Seen) -> None:
        if "line" not in case:
            self._run_recorded(Recorded(**case), seen)
            return
        # The tests are no part of a mutation, and few of them are worth a place in the results.
        tests = case.pop("tests", None)
        path = ROOT / case["file"]
        mutation = Mutation(**{name: value for name, value in case.items() if name != "file"})
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        mutated = mutation.applied(text)
        place = f"{case['file']}:{case['line']}"
        if mutated is None:
            seen.counts["gone"] += 1
            seen.note = f"{place}: its lines are gone"
            return
        if tests == []:
            seen.counts["not reached"] += 1
            seen.note = f"{place}: no test reaches it"
            return
        if tests is not None:
            with self._checkout.changed(case["file"], mutated):
                killers, case["more"] = self._killers(tests)
            # A test that fails without the change too shows nothing.
            case["killers"] = self._sound_ones([name for name in killers if "::" in name])
            if case["killers"]:
                seen.counts["died"] += 1
                seen.note = f"{place}: {case['change']}: {len(case['killers'])} killers"
                return
            if any("::" not in name for name in killers):
                # A file that cannot be imported, and a run that does not end, have no name of a test.
                seen.counts["died, not recorded"] += 1
                seen.note = f"{place}: {case['change']}: {killers[0]}"
                return
        else:
            for ring in self.given.rings:
                if killer := self._killer_of_ring(ring, case["file"], mutated):
                    seen.counts[f"killed by {ring}"] += 1
                    seen.note = f"{place}: killed by {killer} ({ring})"
                    return
        _survived(place, text, mutated, seen)

    def _run_recorded(self, one: Recorded, seen: Seen) -> None:
        place = f"{one.file} {one.scope}: {one.change}"
        found = recorded.found(one)
        text = found[0].read_text(encoding="utf-8") if found else ""
        mutated = found[1].applied(text) if found else None
        if found is None or mutated is None:
            seen.counts["gone"] += 1
            seen.note = f"{place}: its code is gone"
            return
        file = found[0].relative_to(ROOT).as_posix()
        killers = _cheapest_first(recorded.present(one.killers))
        # Most mutants die by the first one, and each further file takes time to be imported.
        for some in (killers[:1], killers[1:]):
            if killer := self._killer(file, mutated, some):
                seen.counts["died as before"] += 1
                seen.note = f"{place}: died as before by {killer}"
                return
        for ring in [",".join(sorted({name.partition("::")[0] for name in killers})), MODULE, AREA]:
            if killer := self._killer_of_ring(ring, file, mutated):
                seen.counts["died by others"] += 1
                seen.note = f"{place}: died by another test, {killer} ({ring})"
                return
        _survived(place, text, mutated, seen)

    def _killers(self, tests: Sequence[str]) -> tuple[list[str], bool]:
        """Return the tests that fail with the change, and whether others may fail too."""
        hosts = [name for name in tests if name.startswith("tests/host/")]
        chosen = _chosen([name for name in tests if name not in hosts], ASKED)
        found, asked, left_out = list[str](), 0, False
        # Each further file is imported, and a test of a host starts a process.
        for some in (chosen[:NEAR], chosen[NEAR:], _chosen(hosts, ASKED_OF_HOSTS)):
            if len(found) >= FEW:
                return found, True
            if some:
                found += self._checkout.failures(some, most=MOST - len(found), seconds=SECONDS)
                asked += len(some)
                left_out |= not self._checkout.complete
        return found, left_out or asked < len(tests)

    def _sound_ones(self, tests: Sequence[str]) -> list[str]:
        """Return the tests that pass without a change."""
        if new := [name for name in tests if name not in self._sound]:
            failed = self._checkout.failures(new, most=len(new))
            self._sound.update({name: name not in failed for name in new})
        return [name for name in tests if self._sound[name]]

    def _killer(
        self, file: str, mutated: str, tests: Sequence[str], options: Sequence[str] = ()
    ) -> str | None:
        """Return the first of the tests that fails with a change and passes without it, if there is one."""
        if not tests:
            return None
        with self._checkout.changed(file, mutated):
            failed = self._checkout.failures(tests, options=options)
        return next((name for name in failed if "::" not in name or self._sound_ones([name])), None)

    def _killer_of_ring(self, ring: str, file: str, mutated: str) -> str | None:
        options = ["-m", "not slow and not engine and not extra"] if ring in {MODULE, AREA} else []
        return self._killer(file, mutated, _files(ring, file), options)


def _recorded(case: Case) -> Recorded:
    """Return a mutant with the killers that were found."""
    file = Path(case["file"]).relative_to(PACKAGE.name).as_posix()
    killers = tuple(case.get("killers", ()))
    return Recorded(file, case["scope"], case["change"], killers, case.get("more", True))


def _survived(place: str, text: str, mutated: str, seen: Seen) -> None:
    seen.counts["survived"] += 1
    seen.note = f"{place}: survived"
    changed = difflib.unified_diff(text.splitlines(), mutated.splitlines(), place, place, n=2, lineterm="")
    raise AssertionError("survived:\n" + "\n".join(changed))


def _is_valid(text: str | None) -> bool:
    try:
        ast.parse(text or "(")
    except SyntaxError:
        return False
    return True


def _chosen(tests: Sequence[str], most: int) -> list[str]:
    """Return half of them by what they reach besides a line, the least first, and then one of each other file."""
    near = list(tests[: most // 2])
    files = {name.partition("::")[0] for name in near}
    others: dict[str, str] = {}
    for name in tests[len(near) :]:
        if (file := name.partition("::")[0]) not in files:
            others.setdefault(file, name)
    return list(dict.fromkeys([*near, *others.values(), *tests]))[:most]


def _cheapest_first(tests: Iterable[str]) -> list[str]:
    """Return tests with the cheapest first. Those of tests/host come last, because each starts a process."""
    seconds = durations.recorded()

    def cost(name: str) -> tuple[bool, float, str]:
        return name.startswith("tests/host/"), seconds.get(name.partition("::")[0], 0.0), name

    return sorted(tests, key=cost)


def _files(ring: str, name: str) -> list[str]:
    """Return the test files of a ring, those first that are likely to notice a change of a module."""
    path = Path(name)
    # A package is imported by the name of its folder.
    module = path.parent if path.stem == "__init__" else path.with_suffix("")
    stem = module.name.strip("_").removesuffix("s")
    areas = set(path.parts[1:-1])
    names = [re.escape(".".join(parts)) for parts in (module.parts, module.parts[:-1], module.parts[-1:])]
    imported = re.compile(rf"\b{names[0]}\b|\bfrom {names[1]} import (\([^)]*|.*)\b{names[2]}\b")

    def is_named(path: Path) -> bool:
        return stem in path.stem or imported.search(path.read_text(encoding="utf-8")) is not None

    def is_of_area(path: Path) -> bool:
        return not areas.isdisjoint({*path.parts, path.stem.removeprefix("test_")})

    def likelihood(path: Path) -> tuple[bool, bool, bool, Path]:
        # Each test of a host starts a process.
        return "host" in path.parts, not is_named(path), not is_of_area(path), path

    folders = (*FAST, "host") if ring in {MODULE, AREA} else ring.split(",")
    found = _tests(ROOT / "tests" / folder.removeprefix("tests/") for folder in folders if folder)
    if ring == MODULE:
        found = filter(is_named, found)
    elif ring == AREA:
        found = (path for path in found if is_of_area(path) and not is_named(path))
    return [path.relative_to(ROOT).as_posix() for path in sorted(found, key=likelihood)]


def _tests(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from path.rglob("test_*.py") if path.is_dir() else [path]
