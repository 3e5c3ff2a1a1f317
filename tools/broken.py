"""
Summarize for each host which tests broke with the newest Pulumi, from the report of a test run.

    python tools/broken.py build/report.xml >> "$GITHUB_STEP_SUMMARY"

`make test-all ARGS=--junitxml=build/report.xml` writes the report.
"""

from __future__ import annotations

import argparse
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

if not __package__:
    # If Python runs this file by its path, it puts the folder first on the path, and its modules could hide other
    # modules.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tools.engine.ensure import find

HOSTS: Final = ("dynamic", "native", "no host")
SHOWN: Final = 200
"""The maximum number of characters that are shown of a failure's first line."""

_NATIVE: Final = re.compile(r"native|plugin|listing|typescript|test_go\b|yaml|generated|schema")
_ON_A_HOST: Final = re.compile(r"^tests\.(?:engine|host|chaos)\b")


@dataclass(frozen=True)
class Case:
    """
    One test.

    Attributes:
        name: Its file, its name and its parameters.
        host: The host that the test is about.
        failure: The first line of its failure; `None` if it did not fail.
    """

    name: str
    host: str
    failure: str | None


def cases(report: Path) -> list[Case]:
    """Return the tests of a report that were not skipped."""
    found = []
    for case in ET.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        broke = next((it for it in (case.find("failure"), case.find("error")) if it is not None), None)
        module, name = case.get("classname", ""), case.get("name", "")
        lines = "" if broke is None else broke.get("message", "").strip()
        found.append(
            Case(
                f"{module.replace('.', '/')}.py::{name}",
                host_of(module, name),
                None if broke is None else (lines.splitlines() or ["no message"])[0][:SHOWN],
            )
        )
    return found


def host_of(module: str, name: str) -> str:
    """Return the host that a test is about, from its name and its module: `native`, `dynamic` or `no host`."""
    if not _ON_A_HOST.match(module):
        return "no host"
    return "native" if _NATIVE.search(f"{module} {name}") else "dynamic"


def summary(found: Sequence[Case], versions: Iterable[str]) -> str:
    broken = [case for case in found if case.failure is not None]
    lines = [f"## {len(broken)} of {len(found)} tests broke", "", ", ".join(versions), ""]
    lines += ["| Host | Tests | Broke |", "|---|---|---|"]
    for host in HOSTS:
        of_host = [case for case in found if case.host == host]
        lines.append(f"| {host} | {len(of_host)} | {sum(case in broken for case in of_host)} |")
    for host in HOSTS:
        names = [f"- `{case.name}`: `{case.failure}`" for case in broken if case.host == host]
        if names:
            lines += ["", f"### {host}", "", *names]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the summary of a report."""
    parser = argparse.ArgumentParser(description="Print the broken tests of each host in Markdown.")
    parser.add_argument("report", type=Path, help="the report of pytest's option --junitxml")
    report: Path = parser.parse_args(arguments).report
    engine = find()
    versions = [
        "no engine" if engine is None else f"engine {engine.version}",
        *(f"{name} {metadata.version(name)}" for name in ("pulumi", "pulumi-policy")),
        f"Python {'.'.join(map(str, sys.version_info[:3]))}",
    ]
    print(summary(cases(report), versions))


if __name__ == "__main__":
    main()
