"""A copy of the checkout whose code can be changed, with an environment in which tests and their processes use it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["ROOT", "Checkout"]

ROOT: Final = Path(__file__).resolve().parents[2]


class Checkout:
    """
    A copy of the checkout, which is removed when this object is.

    Attributes:
        path: Its folder.
        complete: Whether the last run left out no test.
    """

    def __init__(self) -> None:
        self.complete = True
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name).resolve()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(lambda name: (ROOT / name).is_file(), names.split("\0")):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.path / name)
        self._python = _environment(self.path)
        self._changes = 0
        self._forks = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._python, self.path / "tests/prove/forks.py", self.path],
            env={
                name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def changed(self, file: str, text: str) -> Iterator[None]:
        """Give a file another text."""
        path = self.path / file
        before, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(text, encoding="utf-8")
        # Compiled files are told apart by their second and size, which two changes can share.
        self._changes += 1
        os.utime(path, (self._changes, self._changes))
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def failures(
        self, tests: Sequence[str], *, most: int = 1, seconds: float = 3600, options: Sequence[str] = ()
    ) -> list[str]:
        """
        Return the test functions that fail.

        Args:
            tests: Names of tests or files, in the order in which they run.
            most: The run ends after so many failures.
            seconds: No test starts later.
            options: More options of pytest.
        """
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        request = {"tests": list(tests), "most": most, "seconds": seconds, "options": list(options)}
        self._forks.stdin.write(json.dumps(request) + "\n")
        self._forks.stdin.flush()
        answer: dict[str, Any] = json.loads(self._forks.stdout.readline())
        failed: list[str] = answer["failed"]
        self.complete = answer["complete"]
        return failed


def _environment(folder: Path) -> Path:
    """Make an environment that imports the package of a folder, and all else from this one; return its Python."""
    made = folder / ".venv"
    venv.create(made)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(made)}))
    here = sysconfig.get_path("purelib")
    # This one's folder has a file that adds the real checkout, which comes after the copy.
    (packages / "copy.pth").write_text(
        f"{folder}\nimport site; site.addsitedir({here!r})\n", encoding="utf-8"
    )
    scripts = Path(sys.prefix) / "bin"
    for script in scripts.iterdir():
        text = script.read_bytes() if script.is_file() and not script.name.startswith("python") else b""
        if text.startswith(b"#!"):
            copy = made / "bin" / script.name
            copy.write_bytes(text.replace(os.fsencode(scripts), os.fsencode(made / "bin"), 1))
            copy.chmod(0o755)
    return made / "bin" / "python3"
