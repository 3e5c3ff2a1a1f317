"""Structs are converted in several threads at the same time: a process that does it otherwise can crash."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "stacks_pulumi"
_AT_THE_SAME_TIME: Final = """
from __future__ import annotations
import sys, threading
import msgspec
from stacks_pulumi import _structs

sys.setswitchinterval(1e-6)
FIELDS = "\\n".join(f"    field{n}: dict[str, list[int | str]] = {{}}" for n in range(20))
for number in range(20):
    exec(f"class Inner(msgspec.Struct):\\n{FIELDS}")
    exec(f"class Outer(msgspec.Struct):\\n    inner: list[Inner] = []\\n{FIELDS}")
    together = threading.Barrier(16)

    def convert():
        together.wait()
        _structs.convert({"inner": [{"field1": {"a": [1]}}]}, Outer)

    threads = [threading.Thread(target=convert) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_the_first_conversions_of_a_struct_may_be_in_several_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AT_THE_SAME_TIME], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_else_converts_structs() -> None:
    """Each call of msgspec that has a type is in one module."""

    def converts(call: ast.Call) -> bool:
        name = ast.unparse(call.func)
        has_type = any(one.arg == "type" for one in call.keywords)
        return name in {"msgspec.convert", "msgspec.json.Decoder"} or (
            name == "msgspec.json.decode" and has_type
        )

    found = {
        path.name
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and converts(call)
    }

    assert found == {"_structs.py"}
