"""A create and a refresh pass through the files that ARCHITECTURE.md lists, in that order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import Host

ROOT = Path(__file__).parents[2]

# Python runs this at the start of the host: for each request it records the project's files on the stack.
WATCH = """
import json, sys
from pathlib import Path
import stacks_pulumi
from stacks_pulumi.api._transport import Transport

root, log, send = Path(stacks_pulumi.__file__).parent, Path(__file__).with_name("stacks.jsonl"), Transport.__call__

def watched(self, call):
    frame, files = sys._getframe(1), ["api/_transport.py"]
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if root in path.parents:
            files.append(path.relative_to(root).as_posix())
        frame = frame.f_back
    with log.open("a") as out:
        print(json.dumps([call.endpoint.name, files[::-1]]), file=out)
    return send(self, call)

Transport.__call__ = watched
"""


@pytest.fixture
def stacks(tmp_path: Path) -> Callable[[], list[tuple[str, list[str]]]]:
    """Return the requests since the last call: the operation, and the files on the stack from the host inwards."""
    (tmp_path / "sitecustomize.py").write_text(WATCH, encoding="utf-8")

    def read() -> list[tuple[str, list[str]]]:
        log = tmp_path / "stacks.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines()
        log.unlink()
        return [
            (operation, [file for file, _ in groupby(files)]) for operation, files in map(json.loads, lines)
        ]

    return read


def listed(heading: str) -> list[str]:
    """Return the files in the numbered list under a heading of ARCHITECTURE.md."""
    page = (ROOT / ".github" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"(?m)^\d+\. `([^`]+)`", section)


def check_way(heading: str, requests: list[tuple[str, list[str]]]) -> None:
    """Compare the list with the stacks of the requests."""
    way = listed(heading)

    assert 0 < len(way) <= 15
    for operation, files in requests:
        assert len(files) == len(set(files)), f"{operation} comes back into a file: {files}"
    assert set(way) == {file for _, files in requests for file in files}
    # The list goes inwards: the files on every stack have the same order.
    for operation, files in requests:
        assert [file for file in way if file in files] == files, operation


def test_create_and_refresh_use_the_documented_files(
    make_host: Callable[..., Host],
    emulator: Emulator,
    tmp_path: Path,
    stacks: Callable[[], list[tuple[str, list[str]]]],
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    container = make_host(config, str(tmp_path)).resource("Container", "web")

    container.up(name="web", template="nodejs", external_access=True)
    created = stacks()
    container.read()
    refreshed = stacks()

    check_way("A create", created)
    check_way("A refresh", refreshed)
