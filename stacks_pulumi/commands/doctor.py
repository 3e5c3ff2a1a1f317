"""`stacks-pulumi doctor`: find out what prevents an `up`, and how to fix it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacks_pulumi.commands._shared import not_a_folder, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacks_pulumi.account.doctor.diagnosis import Diagnosis, Level

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "find out what prevents an `up`, and how to fix it"

_EXIT_CODES: Final = """\
levels:
  problem   prevents an `up`
  warning   does not prevent an `up`, but needs attention
  unknown   could not be checked
  ok        is in order

exit codes:
  0  no problem
  1  at least one problem
  2  a wrong option
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Check the engine, the SDK, the stack's settings, the API key and the policy packs. Each check prints one line "
        "with the fix. Nothing is changed; the only API request is one list of the containers."
    )
    parser.epilog = _EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "-C", "--cwd", default=".", metavar="DIR", help="the project's folder (default: this one)"
    )
    parser.add_argument("-s", "--stack", metavar="NAME", help="which stack (default: the selected one)")
    parser.add_argument(
        "--policy-pack",
        action="append",
        default=[],
        metavar="DIR",
        help="a policy pack that has to load; may be repeated. Packs in the project's folder are checked as well",
    )
    parser.add_argument(
        "--probe-scopes",
        action="store_true",
        help="find out the key's scopes with three requests that the API always refuses: a create without a name, and "
        "the deletion of a connection and of a container that do not exist",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks, and print each result as soon as it is known."""
    from stacks_pulumi.account.doctor import Facts, diagnose  # noqa: PLC0415  (other commands need none of it)

    folder = Path(arguments.cwd)
    if not folder.is_dir():
        return refuse("doctor", not_a_folder(folder), exit_code=2)
    facts = Facts(
        folder.resolve(),
        os.environ,
        arguments.stack,
        tuple(Path(one).resolve() for one in arguments.policy_pack),
        arguments.probe_scopes,
    )
    found = []
    for finding in diagnose(facts):
        found.append(finding)
        if not arguments.json:
            sys.stdout.write(f"{_line(finding)}\n")
            sys.stdout.flush()
    failed = any(finding.level == "problem" for finding in found)
    sys.stdout.write(_as_json(found) if arguments.json else f"\n{_summary(found)}\n")
    return int(failed)


def _line(finding: Diagnosis) -> str:
    fix = f" | fix: {finding.fix}" if finding.fix else ""
    # A message may contain an answer of another server, and this output has to be one line.
    return " ".join(f"{finding.level:<8} {finding.check:<12}{finding.text}{fix}".splitlines())


def _summary(found: Sequence[Diagnosis]) -> str:
    counts = Counter(finding.level for finding in found)
    parts = [_plural(counts[level], name) for level, name in _COUNTED if counts[level]]
    told = ", ".join(parts) or "Everything is in order"
    return f"{told}. {'An `up` fails.' if counts['problem'] else 'Nothing was found that prevents an `up`.'}"


_COUNTED: Final[tuple[tuple[Level, str], ...]] = (
    ("problem", "problem"),
    ("warning", "warning"),
    ("unknown", "check that could not be made"),
)


def _plural(number: int, name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{number} {name}" if number == 1 else f"{number} {first}s {rest}".rstrip()


def _as_json(found: Sequence[Diagnosis]) -> str:
    failed = any(finding.level == "problem" for finding in found)
    document = {"ok": not failed, "checks": [asdict(finding) for finding in found]}
    return json.dumps(document, indent=2) + "\n"
