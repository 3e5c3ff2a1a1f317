"""
`stacks-pulumi policy`: check policy files. `stacks-pulumi policies`: write the ready-made packs into a repository.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from stacks_pulumi import __version__
from stacks_pulumi._environment import keys_hidden
from stacks_pulumi._pulumi_cli import read_file
from stacks_pulumi.commands._files import write
from stacks_pulumi.commands._package import Place, Requirements, required
from stacks_pulumi.commands._shared import TEXT, Command, answer, one_line, target_folder, tell


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
    lines = [one_line(f"{file}: {text}") for file, texts in found.items() for text in texts or ["correct"]]
    failed = any(found.values())
    files = [{"file": file, "problems": problems} for file, problems in found.items()]
    answer(arguments, {"ok": not failed, "files": files}, lines)
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
"""The initial limit for a stack, in US dollars a month; the user can change it."""


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
    """
    Return the files of the ready-made packs, except their requirements, and a first configuration of each, by name.
    """
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
    wheel = "".join(f", and {name}, which they install" for name in texts if name.endswith(".whl"))
    following = _NEXT.format(folder=one_line(str(folder)), limit=_LIMIT, wheel=wheel).splitlines()
    answer(options, {"folder": str(folder), "files": sorted(texts)}, following, needed.problem or None)
    if needed.problem:
        tell("policies", f"write the source of stacks-pulumi into each requirements.txt: {needed.problem}")
    return int(bool(needed.problem))


_NEXT: Final = """\
Wrote the packs exposure, plans and spend to {folder}, with a configuration of each{wheel}.

A stack may cost ${limit} a month: {folder}/spend.json contains this limit three times. Next, in a project:
  stacks-pulumi policy check {folder}/*.json
  pulumi preview --policy-pack {folder}/spend --policy-pack-config {folder}/spend.json

An engine that was built from its Go modules starts {folder}/spend/start instead of {folder}/spend.
"""


COMMANDS = {
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
