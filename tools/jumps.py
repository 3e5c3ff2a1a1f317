"""
Count the files and functions of the package that one operation uses, which a reader must open to follow it.

    python tools/jumps.py              this checkout
    python tools/jumps.py CHECKOUT     a different checkout, with the packages of this environment

The last column of a line is the depth of the deepest stack. The counts are information, not a goal.
"""

from __future__ import annotations

import sys
import threading
import types
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

CHECKOUT = Path(sys.argv[1] if __name__ == "__main__" and len(sys.argv) > 1 else Path(__file__).parents[1])
sys.path.insert(0, str(CHECKOUT.resolve()))

import requests  # noqa: E402  (the path must be set first)

from stacks_pulumi.emulator import Emulator  # noqa: E402
from stacks_pulumi.policy import StacksGuard  # noqa: E402
from stacks_pulumi.policy._analyzer import Analyzer, served_by  # noqa: E402
from stacks_pulumi.policy.testing import container  # noqa: E402
from stacks_pulumi.resources._operation import EngineCall  # noqa: E402
from stacks_pulumi.resources.handlers import HANDLERS  # noqa: E402

PACKAGE = "/stacks_pulumi/"


class Trace:
    """
    Records the files and functions of the package that run inside a `with` block, in all threads.

    Attributes:
        files: Each file (relative to the package's folder) with its number of calls, in the order of the first call.
        functions: Each pair of file and function.
        switches: The number of calls from one file into a different file.
        depth: The highest number of the package's functions on one stack.
    """

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.functions: set[tuple[str, str]] = set()
        self.switches = 0
        self.depth = 0

    def __enter__(self) -> Trace:  # noqa: PYI034  (no class derives from it)
        threading.setprofile(self._record)
        sys.setprofile(self._record)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _record(self, frame: types.FrameType, event: str, argument: object) -> None:
        file = _file(frame)
        if event != "call" or file is None:
            return
        self.files[file] += 1
        # Python 3.10 has no qualified names here.
        self.functions.add((file, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        stack = [file]
        caller = frame.f_back
        while caller is not None:
            file = _file(caller)
            stack += [] if file is None else [file]
            caller = caller.f_back
        self.switches += len(stack) > 1 and stack[1] != stack[0]
        self.depth = max(self.depth, len(stack))

    def line(self, name: str) -> str:
        """Return the counts as text."""
        return (
            f"{name}: {len(self.files)} files, {len(self.functions)} functions, {self.files.total()} calls, "
            f"{self.switches} calls into another file, deepest stack {self.depth}"
        )

    def of(self, *parts: str) -> list[str]:
        """Return the files of some parts of the package, sorted."""
        return sorted(file for file in self.files if file.startswith(parts))

    def without(self, part: str) -> list[str]:
        """Return the files outside a part of the package, sorted."""
        return sorted(file for file in self.files if not file.startswith(part))


class Call(EngineCall):
    """A call for one container: the engine waits for it, and messages are dropped."""

    def __init__(self, name: str) -> None:
        self.urn = f"urn:pulumi:dev::p::pulumi-python:dynamic/stacks:Container::{name}"

    def is_active(self) -> bool:
        """Return `True`: the engine waits."""
        return True

    def fail(self, message: str) -> NoReturn:
        raise SystemExit(message)

    def fail_keeping_id(self, id_: str, outs: object, reasons: object) -> NoReturn:
        raise SystemExit(str(reasons))

    fail_waiting = fail

    def status(self, message: str) -> None:
        """Drop the message."""

    info = warn = error = debug = status


def traces() -> dict[str, Trace]:
    """Run each operation on an emulator; return its trace."""
    with Emulator() as emulator:

        def handler() -> Any:
            made = HANDLERS["Container"]()
            made.configure({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}.get)
            return made

        ours = handler()
        with Trace() as check:
            inputs = ours.check(Call("web"), {}, {"name": "web", "template": "nodejs"}).inputs
        with Trace() as first:
            id_, outs = ours.create(Call("web"), inputs)
        inputs = ours.check(Call("web2"), {}, {"name": "web2", "template": "nodejs"}).inputs
        with Trace() as second:
            ours.create(Call("web2"), inputs)
        refreshing = handler()
        with Trace() as refresh:
            refreshing.read(Call("web"), id_, outs)
        with Trace() as listed:
            requests.get(
                f"{emulator.url}/containers", headers={"Authorization": f"Bearer {emulator.key}"}, timeout=60
            )
    guard = StacksGuard(only=["allowed-plans"], allowed_plans=["basic"])
    analyzer = Analyzer(served_by(guard.run, "x"), {}, {})
    web = container("web", plan="premium")
    with Trace() as policy:
        analyzer.analyze(web)
    return {
        "check": check,
        "first create": first,
        "create": second,
        "refresh": refresh,
        "list": listed,
        "policy": policy,
    }


def main() -> int:
    """Print the counts and the files."""
    ways = traces()
    print(ways["check"].line("check Container"))
    print(
        ways["first create"].line("create Container (only the provider, without the threads of the emulator)")
    )
    print("   provider files:", ways["first create"].without("emulator"))
    second = ways["create"].without("emulator")
    functions = [file for file, _ in ways["create"].functions if not file.startswith("emulator")]
    print(
        f"second create, warm session: provider files {len(second)} functions {len(functions)} "
        f"deepest {ways['create'].depth}"
    )
    print("   ", Counter(file.partition("/")[0] if "/" in file else "top" for file in second))
    print("   ", second)
    print(ways["refresh"].line("refresh Container"))
    print("   ", ways["refresh"].without("emulator"))
    print(ways["list"].line("emulator GET /containers"))
    print("   ", ways["list"].of("emulator"))
    print(ways["policy"].line("policy: one container, allowed-plans"))
    print("   ", sorted(ways["policy"].files))
    return 0


def _file(frame: types.FrameType) -> str | None:
    before, found, file = frame.f_code.co_filename.rpartition(PACKAGE)
    return file if found and not before.endswith("/tests") else None


if __name__ == "__main__":
    sys.exit(main())
