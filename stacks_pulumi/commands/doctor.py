"""`stacks-pulumi doctor`: find what prevents an `up`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from stacks_pulumi.account.doctor_checks import Diagnosis, diagnose
from stacks_pulumi.account.doctor_facts import LONGEST_PREVIEW, Facts, Level
from stacks_pulumi.commands._shared import (
    OF_STACK,
    TEXT,
    Command,
    add_repeatable,
    answer,
    folder_of,
    seconds_to,
)
from stacks_pulumi.errors import clean
from stacks_pulumi.pricing.money import count

_HELP: Final = "find out what prevents an `up`, and how to fix it"

_LEVELS: Final = """\
levels:
  problem   prevents an `up`
  warning   does not prevent an `up`, but needs attention
  unknown   could not be checked
  ok        is in order
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check the stack's settings and the API key, and preview the stack. The preview runs the program. The "
        "program receives the STACKS_* variables only if they contain a broker's address and a grant. Each check "
        "prints one line with the fix. The command changes neither the state nor the account. Apart from the "
        "preview, it sends one list request for each key, and with --probe-scopes three more requests."
    )
    parser.epilog = _LEVELS
    add_repeatable(parser, "--policy-pack", "DIR", "a policy pack that the preview starts")
    parser.add_argument(
        "--timeout",
        type=seconds_to(LONGEST_PREVIEW, least=1),
        default=120,
        metavar="S",
        help="seconds after which the preview is ended (default: 120)",
    )
    parser.add_argument(
        "--probe-scopes",
        action="store_true",
        help="find out the key's scopes with three requests that the API always refuses: a create without a name, and "
        "the deletion of a connection and of a container that do not exist",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the checks, and print each result as soon as it is known."""
    facts = Facts(
        folder_of(arguments),
        os.environ,
        arguments.stack,
        tuple(Path(one).resolve() for one in arguments.policy_pack),
        arguments.probe_scopes,
        arguments.timeout,
    )
    # Like Ctrl-C, the SIGTERM that a cancelled CI job sends also ends the preview.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    findings = []
    for finding in diagnose(facts):
        findings.append(finding)
        if arguments.format != "json":
            sys.stdout.write(f"{_line(finding)}\n")
            sys.stdout.flush()
    failed = any(finding.level == "problem" for finding in findings)
    unsure = sorted({one.check for one in findings if one.level == "unknown" and one.check in _NEEDED})
    unknown = "; ".join(f"{one.check}: {one.text}" for one in findings if one.level == "unknown")
    data = {"ok": not (failed or unsure), "checks": [asdict(finding) for finding in findings]}
    answer(arguments, data, ["", _summary(findings, unsure)], unknown or None)
    return int(failed or bool(unsure))


_NEEDED: Final = frozenset({"stack", "account", "state-keys", "preview"})
"""The checks that decide whether a `pulumi` command fails."""


def _line(finding: Diagnosis) -> str:
    fix = f" | fix: {finding.fix}" if finding.fix else ""
    # A message may contain text from another server or from the project, but the output must be one line.
    return clean(" ".join(f"{finding.level:<8} {finding.check:<12}{finding.text}{fix}".splitlines()))


def _summary(findings: Sequence[Diagnosis], unsure: Sequence[str]) -> str:
    counts = Counter(finding.level for finding in findings)
    parts = [count(counts[level], noun) + rest for level, noun, rest in _COUNTED if counts[level]]
    counted = ", ".join(parts) or "Everything is in order"
    if counts["problem"]:
        # An `up` succeeds even with these problems, because it runs the program.
        beside = all(one.check == "state-keys" for one in findings if one.level == "problem")
        return f"{counted}. {'A command of Pulumi fails.' if beside else 'An `up` fails.'}"
    if unsure:
        return f"{counted}. It is not known whether an `up` fails, because of: {', '.join(unsure)}."
    return f"{counted}. Nothing was found that prevents an `up`."


_COUNTED: Final[tuple[tuple[Level, str, str], ...]] = (
    ("problem", "problem", ""),
    ("warning", "warning", ""),
    ("unknown", "check", " that could not be made"),
)


COMMANDS = {
    "doctor": Command(
        _HELP,
        add_arguments,
        run,
        codes={
            0: "no problem was found, and everything that an `up` needs was checked",
            1: "a problem was found, or a check that an `up` depends on was not possible",
        },
        forms=TEXT,
        stack=OF_STACK,
    ),
}
