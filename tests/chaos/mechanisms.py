"""
Switch off mechanisms of the provider, so that chaos and the fault matrix show what each mechanism prevents.

A mechanism is off when its functions do nothing, or return as if there were nothing to do. They are replaced when their
module is imported, in every Python process that starts meanwhile: `PYTHONPATH` contains a `sitecustomize`. The package
itself has no code for this.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MECHANISMS", "Replaced", "switched_off"]


@dataclass(frozen=True)
class Replaced:
    """
    One replaced function.

    Attributes:
        module: Where it is defined.
        name: Its name in the module; `Class.method` for a method.
        by: Its replacement: the text of an expression, which can use `original` and the module's names.
    """

    module: str
    name: str
    by: str


MECHANISMS: dict[str, tuple[Replaced, ...]] = {
    "identity": (Replaced("stacks_pulumi._identifiers", "compare_instants", "lambda *args: True"),),
    "ownership": (
        Replaced("stacks_pulumi.resources._identity", "Ownership.taken_from", "lambda *args: None"),
        Replaced("stacks_pulumi.resources._identity", "Ownership.owner", "lambda *args: None"),
    ),
    "shield": (Replaced("stacks_pulumi._clock", "is_shielded", "lambda: False"),),
    "look after 503": (
        Replaced(
            "stacks_pulumi.api._retry",
            "in_doubt",
            "lambda error: original(error) and getattr(error, 'status', None) != 503",
        ),
    ),
}
"""The functions of each mechanism. A name that no longer exists is an error when its module is imported."""

_SITECUSTOMIZE = """
import importlib.abc, importlib.util, sys

REPLACED = {replaced!r}


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        mine = [one for one in REPLACED if one[0] == name]
        if not mine:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            for _, function, by in mine:
                *owners, last = function.split(".")
                owner = module
                for part in owners:
                    owner = getattr(owner, part)
                names = {{**vars(module), "original": getattr(owner, last)}}
                setattr(owner, last, eval(by, names))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
"""


def _check(mechanism: str) -> None:
    """Check that the functions exist: a host that cannot start fails every run, which proves nothing."""
    imports = "; ".join(f"import {one.module}" for one in MECHANISMS[mechanism])
    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{mechanism} cannot be switched off: {done.stderr.strip().splitlines()[-1]}")


@contextlib.contextmanager
def switched_off(mechanism: str | None) -> Iterator[None]:
    """In this context, new processes run without the mechanism; `None` changes nothing."""
    if mechanism is None:
        yield
        return
    before = os.environ.get("PYTHONPATH")
    replaced = [(one.module, one.name, one.by) for one in MECHANISMS[mechanism]]
    with tempfile.TemporaryDirectory() as folder:
        text = _SITECUSTOMIZE.format(replaced=replaced)
        (Path(folder) / "sitecustomize.py").write_text(text, encoding="utf-8")
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *([before] if before else [])])
        try:
            _check(mechanism)
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before
