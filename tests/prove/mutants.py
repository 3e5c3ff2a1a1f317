"""Every small change of the package's code makes a test fail."""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from tests.prove.mutations import Mutation, mutations
from tests.prove.proof import Case, Proof, Seen

__all__ = ["Mutants"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "stacks_pulumi"

MODULE, AREA = "module", "area"
FAST = ("unit", "policy", "emulator", "tools")

GOLDEN = (5**0.5 - 1) / 2
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


class Mutants(Proof):
    """Change one place in a copy of the checkout, and run its tests, the likely ones first, until one fails."""

    about = "every small change of the package's code makes a test fail; a mutant that survives needs a test"
    cases = 40
    searches = False
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
            "--part", default="", help="change only this part of the package, such as api/wait.py"
        )

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=1", "--cases=1", "--part=pricing/money.py", "--rings=unit/pricing"]

    def draw(self, chance: Random) -> Iterator[Case]:
        """Yield mutants that are spread evenly over the lines of the package that can be mutated."""
        found: dict[tuple[str, int], list[Mutation]] = {}
        for path in sorted(PACKAGE.rglob("*.py")):
            if path.relative_to(PACKAGE).as_posix().startswith(self.given.part):
                for mutation in mutations(path.read_text(encoding="utf-8")):
                    place = path.relative_to(ROOT).as_posix(), mutation.line
                    found.setdefault(place, []).append(mutation)
        lines = list(found)
        at = chance.random()
        while True:
            # Steps of the golden ratio leave no large gap, however many mutants are drawn.
            at = (at + GOLDEN) % 1
            line = lines[int(at * len(lines))]
            kind = chance.choice(sorted({one.kind for one in found[line]}))
            drawn = chance.choice([one for one in found[line] if one.kind == kind])
            yield {"file": line[0], **vars(drawn)}

    @functools.cached_property
    def _copy(self) -> Path:
        # Removed when this object is.
        self._folder = tempfile.TemporaryDirectory()
        copy = Path(self._folder.name).resolve()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(lambda name: (ROOT / name).is_file(), names.split("\0")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        return copy

    def run(self, case: Case, seen: Seen) -> None:
        path = self._copy / case["file"]
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        mutation = Mutation(**{name: value for name, value in case.items() if name != "file"})
        mutated = mutation.applied(text)
        if mutated is None:
            seen.counts["gone"] += 1
            seen.note = f"{case['file']}:{case['line']}: its lines are gone"
            return
        path.write_text(mutated, encoding="utf-8")
        try:
            for ring in self.given.rings:
                killer = self._killer(_files(ring, case["file"]), slow=ring not in {MODULE, AREA})
                if killer is not None:
                    seen.counts[f"killed by {ring}"] += 1
                    seen.note = f"{case['file']}:{case['line']}: killed by {killer} ({ring})"
                    return
        finally:
            path.write_text(text, encoding="utf-8")
        seen.note = f"{case['file']}:{case['line']}: survived"
        changed = difflib.unified_diff(
            text.splitlines(), mutated.splitlines(), case["file"], case["file"], n=2, lineterm=""
        )
        raise AssertionError("survived:\n" + "\n".join(changed))

    def _killer(self, files: list[str], *, slow: bool) -> str | None:
        """Return the first of the tests in some files that fails on the copy, if there is one."""
        if not files:
            return None
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            "--timeout=60",
        ]
        done = subprocess.run(
            [*command, *([] if slow else ["-m", "not slow"]), *files],
            cwd=self._copy,
            env={
                **os.environ,
                # Before the checkout, which is installed as an editable package.
                "PYTHONPATH": str(self._copy),
                # Compiled files are told apart by their second and size, which two mutants can share.
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        # 5: no test was selected.
        if done.returncode in {0, 5}:
            return None
        return next(iter(FAILED.findall(done.stdout)), f"a run that ended with exit code {done.returncode}")


def _files(ring: str, name: str) -> list[str]:
    """Return the test files of a ring, those first that are likely to notice a change of a module."""
    module = Path(name)
    stem = module.stem.strip("_").removesuffix("s")
    areas = set(module.parts[1:-1])
    imported = re.compile(rf"\b{re.escape('.'.join(module.with_suffix('').parts))}\b")

    def is_named(path: Path) -> bool:
        return stem in path.stem or imported.search(path.read_text(encoding="utf-8")) is not None

    def likelihood(path: Path) -> tuple[bool, bool, bool, Path]:
        # Each test of a host starts a process.
        return "host" in path.parts, not is_named(path), not areas & set(path.parts), path

    folders = (*FAST, "host") if ring == MODULE else FAST if ring == AREA else ring.split(",")
    found = _tests(ROOT / "tests" / folder for folder in folders)
    if ring == MODULE:
        found = filter(is_named, found)
    elif ring == AREA:
        found = (path for path in found if areas & set(path.parts) and not is_named(path))
    return [path.relative_to(ROOT).as_posix() for path in sorted(found, key=likelihood)]


def _tests(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from path.rglob("test_*.py") if path.is_dir() else [path]
