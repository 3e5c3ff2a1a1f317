"""A mechanism is off in every process that starts while it is switched off, and on in later processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.mechanisms import MECHANISMS, switched_off

pytestmark = pytest.mark.chaos


def files(mechanism: str) -> list[str]:
    """Return the files in which a new process finds the functions of a mechanism."""
    lines = ["import importlib"]
    for one in MECHANISMS[mechanism]:
        lines.append(f"function = importlib.import_module({one.module!r})")
        lines += [f"function = getattr(function, {part!r})" for part in one.name.split(".")]
        lines.append("print(function.__code__.co_filename if hasattr(function, '__code__') else '')")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_is_replaced_only_in_new_processes(mechanism: str) -> None:
    before = files(mechanism)
    with switched_off(mechanism):
        during = files(mechanism)

    assert len(before) == len(during) == len(MECHANISMS[mechanism])
    assert all(old != new for old, new in zip(before, during, strict=True))
    assert files(mechanism) == before


def test_an_unknown_function_is_an_error_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    (one, *_) = MECHANISMS["identity"]
    gone = type(one)(one.module, "no_such_function", one.by)
    monkeypatch.setitem(MECHANISMS, "identity", (gone,))

    with (
        pytest.raises(RuntimeError, match=r"identity cannot be switched off: .*no_such_function"),
        switched_off("identity"),
    ):
        pass
