"""
`stacks-pulumi doctor`, `policy`, `policies`: find what prevents an `up`, check policy files, write the ready-made
packs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

from stacks_pulumi import __version__
from stacks_pulumi._environment import keys_hidden
from stacks_pulumi._pulumi_cli import read_file
from stacks_pulumi.account.doctor_checks import Diagnosis, diagnose
from stacks_pulumi.account.doctor_facts import LONGEST_PREVIEW, Facts, Level
from stacks_pulumi.account.takeover import write
from stacks_pulumi.commands._package import Place, Requirements, required
from stacks_pulumi.commands._shared import (
    OF_STACK,
    TEXT,
    Command,
    folder_of,
    number_to,
    one_line,
    print_json,
    target_folder,
    tell,
)
from stacks_pulumi.errors import clean

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
    parser.add_argument(
        "--policy-pack",
        action="append",
        default=[],
        metavar="DIR",
        help="a policy pack that the preview starts; may be repeated",
    )
    parser.add_argument(
        "--timeout",
        type=number_to(LONGEST_PREVIEW, "number of seconds"),
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
    findings = []
    with _ended_by_sigterm():
        for finding in diagnose(facts):
            findings.append(finding)
            if arguments.format != "json":
                sys.stdout.write(f"{_line(finding)}\n")
                sys.stdout.flush()
    failed = any(finding.level == "problem" for finding in findings)
    unsure = sorted({one.check for one in findings if one.level == "unknown" and one.check in _NEEDED})
    if arguments.format == "json":
        unknown = "; ".join(f"{one.check}: {one.text}" for one in findings if one.level == "unknown")
        checks = [asdict(finding) for finding in findings]
        print_json({"ok": not (failed or unsure), "checks": checks}, unknown or None)
    else:
        sys.stdout.write(f"\n{_summary(findings, unsure)}\n")
    return int(failed or bool(unsure))


_NEEDED: Final = frozenset({"stack", "account", "state-keys", "preview"})
"""The checks that decide whether a `pulumi` command fails."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the preview too, as Ctrl-C does. A cancelled CI job sends SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(finding: Diagnosis) -> str:
    fix = f" | fix: {finding.fix}" if finding.fix else ""
    # A message may contain text from another server or from the project, but the output must be one line.
    return clean(" ".join(f"{finding.level:<8} {finding.check:<12}{finding.text}{fix}".splitlines()))


def _summary(findings: Sequence[Diagnosis], unsure: Sequence[str]) -> str:
    counts = Counter(finding.level for finding in findings)
    parts = [_plural(counts[level], name) for level, name in _COUNTED if counts[level]]
    counted = ", ".join(parts) or "Everything is in order"
    if counts["problem"]:
        # An `up` runs the program, so it succeeds even with these problems.
        beside = all(one.check == "state-keys" for one in findings if one.level == "problem")
        return f"{counted}. {'A command of Pulumi fails.' if beside else 'An `up` fails.'}"
    if unsure:
        return f"{counted}. It is not known whether an `up` fails, because of: {', '.join(unsure)}."
    return f"{counted}. Nothing was found that prevents an `up`."


_COUNTED: Final[tuple[tuple[Level, str], ...]] = (
    ("problem", "problem"),
    ("warning", "warning"),
    ("unknown", "check that could not be made"),
)


def _plural(number: int, name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{number} {name}" if number == 1 else f"{number} {first}s {rest}".rstrip()


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check files for `--policy-pack-config`, without an engine, a program or an account: names of policies, "
        "levels, options and duplicate keys. The engine ignores many errors in these files, and then a policy has no "
        "effect. In a file of version 2, each exception must have a reason and an end date, which the engine does "
        "not check."
    )
    parser.add_argument("action", choices=("check",), help="the action")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file for --policy-pack-config")
    parser.add_argument(
        "--pack",
        metavar="DIR",
        help="the pack that the files are for; its program is run (default: the ready pack with these policies)",
    )


def check_policies(arguments: argparse.Namespace) -> int:
    """Check the files; print one line for each problem, and one for each correct file."""
    from stacks_pulumi.policy.testing import configuration_problems  # noqa: PLC0415  (it needs an extra)

    found: dict[str, list[str]] = {}
    for file in arguments.files:
        try:
            with keys_hidden():
                found[file] = list(configuration_problems(read_file(Path(file)).decode(), arguments.pack))
        except ValueError as error:
            found[file] = [str(error)]
        if arguments.format != "json":
            for text in found[file] or ["correct"]:
                sys.stdout.write(f"{one_line(f'{file}: {text}')}\n")
    failed = any(found.values())
    if arguments.format == "json":
        files = [{"file": file, "problems": problems} for file, problems in found.items()]
        print_json({"ok": not failed, "files": files})
    return int(failed)


# --- The ready packs ---

_PACK: Final = """\
description: "STACKS: {description}"
runtime: python
version: {version}
license: Apache-2.0
"""

_START: Final = """\
#!/bin/sh
# Starts this pack for an engine whose language host cannot start a folder: --policy-pack {path}/start
cd "$(dirname "$0")" || exit
# With such an engine, `pulumi install` creates this folder.
if [ -x bin/python3 ]; then PATH="$PWD/bin:$PATH"; fi
exec python3 -u -m pulumi.policy "$1" .
"""

_START_NAME: Final = "start"
_LIMIT: Final = 50
"""The initial limit in US dollars a month for a stack, which the user can change."""


class _Pack(NamedTuple):
    description: str
    imports: str
    arguments: str
    settings: Mapping[str, object]


_PACKS: Final = {
    "exposure": _Pack(
        "no access from the whole internet, and no data that can be deleted by mistake.",
        "from stacks_pulumi.policy import EXPOSURE, StacksGuard",
        "EXPOSURE",
        {"open-allowed-ip": {"min_prefix": 24}},
    ),
    "plans": _Pack(
        "which plans, templates, storage and names containers may have, and how many there may be.",
        "from stacks_pulumi.policy import PLANS, StacksGuard",
        "PLANS",
        {"allowed-plans": {"allowed": ["micro", "basic", "standard"]}, "max-resources": {"containers": 20}},
    ),
    "spend": _Pack(
        "what a stack may cost a month; an unknown price exceeds every limit.",
        "from stacks_pulumi.cost import live\nfrom stacks_pulumi.policy import SPEND, StacksGuard",
        "SPEND, account=live.containers",
        {name: {"max_monthly_usd": _LIMIT} for name in ("monthly-budget", "budget-warning", "spend-gate")},
    ),
}


def pack_files(folder: Path) -> dict[str, str]:
    """Return the files of the ready-made packs without their requirements, and their first configuration, by name."""
    texts: dict[str, str] = {}
    for name, pack in _PACKS.items():
        texts[f"{name}/PulumiPolicy.yaml"] = _PACK.format(description=pack.description, version=__version__)
        texts[f"{name}/__main__.py"] = (
            f'{pack.imports}\n\nStacksGuard("stacks-{name}", {pack.arguments}).run()\n'
        )
        texts[f"{name}/{_START_NAME}"] = _START.format(path=folder / name)
        entries = (f'    "{policy}": {json.dumps(options)}' for policy, options in pack.settings.items())
        texts[f"{name}.json"] = "{\n" + ",\n".join(entries) + "\n}\n"
    return texts


def pack_requirements(folder: Path, known: Place | None = None) -> Requirements:
    """Return the files that install the packs in a folder, from the given source or from this package's source."""
    return required(folder, {f"{name}/requirements.txt": "[policy]" for name in _PACKS}, known)


def _add_policies(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the three ready policy packs and a first configuration of each into a folder of your repository. "
        "The packs install this package from its original source, or from its wheel, which is copied next to them."
    )
    parser.add_argument(
        "--out",
        required=True,
        type=target_folder,
        metavar="DIR",
        help="where to write, such as policies; existing files are not overwritten",
    )


def _policies(options: argparse.Namespace) -> int:
    folder: Path = options.out
    needed = pack_requirements(folder)
    texts = {**pack_files(folder), **needed.files}
    write(folder, texts)
    for name in _PACKS:
        (folder / name / _START_NAME).chmod(0o755)
    if options.format == "json":
        print_json({"folder": str(folder), "files": sorted(texts)}, needed.problem or None)
    else:
        _say_next(folder, texts)
    if needed.problem:
        tell("policies", f"write the source of stacks-pulumi into each requirements.txt: {needed.problem}")
    return int(bool(needed.problem))


def _say_next(folder: Path, texts: Mapping[str, object]) -> None:
    wheel = "".join(f", and {name}, which they install" for name in texts if name.endswith(".whl"))
    sys.stdout.write(_NEXT.format(folder=one_line(str(folder)), limit=_LIMIT, wheel=wheel))


_NEXT: Final = """\
Wrote the packs exposure, plans and spend to {folder}, with a configuration of each{wheel}.

A stack may cost ${limit} a month: {folder}/spend.json has the limit, three times. Next, in a project:
  stacks-pulumi policy check {folder}/*.json
  pulumi preview --policy-pack {folder}/spend --policy-pack-config {folder}/spend.json

An engine that was built from its Go modules starts {folder}/spend/start instead of {folder}/spend.
"""


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
    "policies": Command(
        "write the ready policy packs into a repository",
        _add_policies,
        _policies,
        codes={
            0: "the packs were written",
            1: "the packs were written, but the source of stacks-pulumi is unknown",
        },
        forms=TEXT,
    ),
    "policy": Command(
        "check the configuration of policy packs",
        add_policy_arguments,
        check_policies,
        codes={0: "every file is correct", 1: "a file is wrong or cannot be read"},
        forms=TEXT,
    ),
}
