"""
How does a gate's folder begin?

It has a pack with all policies of this package, limits, the rules of the gate with the strict choices, and the keys of
the approvers. A pipeline beside it plans each change and applies what was approved.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi import config
from stacks_pulumi._pulumi_cli import InputError, read_file, read_project
from stacks_pulumi.account.takeover import check_overwrites_nothing, write
from stacks_pulumi.broker import signers
from stacks_pulumi.errors import clean
from stacks_pulumi.gate.settings import FILE

_SIGNERS: Final = "allowed_signers"
_FOLDER: Final = "packs/guard"

_SETTINGS: Final = """\
# Which changes are applied, and who approves them. This folder has to be where the author of a change cannot edit it:
# outside of the project, or read from a git ref (--gate-ref origin/main). docs/gate.md explains each setting.
version: 1

# The stacks that this gate is for, as PROJECT/STACK. Left out: all, also those of another project, if the author of a
# change writes its name into Pulumi.yaml and the backend lets the pipeline change them.
{stacks}

# Every plan is made, and applied, under these policies.
packs:
  - {{path: packs/guard, config: guard.json}}

# US dollars a month, for the stack. A change over a limit is refused. The policies have a limit too, in guard.json.
limits: {{max_increase: {increase}, max_total: {total}}}

# approve: the change needs an approval. refuse: it is refused.
rules:
  destroys-data: approve
  restores-data: approve
  opens-access: approve
  keeps-billed: refuse
  max-deletions: {{limit: 3, otherwise: refuse}}
  unpriced: refuse

# Types of other providers that hold no data and open nothing.
# harmless: ["random:*"]
# What they cost: a file with a list `prices`.
# prices: prices.yaml

# What needs no approval. Left out: every change with a step needs one.
# free: {{increase_per_day: 5}}

# Whose signature counts: NAME namespaces="stacks-pulumi-gate" KEYTYPE KEY
approvers: allowed_signers
# approver_limits:
#   ann: {{ceiling: 50, stacks: ["*/dev"], may_destroy: false}}
# two_approvals: [destroys-data]

# How old a record may be when it is applied.
record_expires: 24h
"""

_ADDRESS: Final = "\n# The address of the API. A stack with another address is refused.\n"

_PACK: Final = """\
description: Which containers a stack may have, what they may cost, and who may connect.
runtime: python
version: 1.0.0
"""

_PROGRAM: Final = """\
from stacks_pulumi.policy import StacksGuard

StacksGuard().run()
"""

PIPELINES: Final = ("github", "gitlab")
GITLAB_FILE: Final = ".gitlab/gate.yml"
GITLAB_MAIN: Final = ".gitlab-ci.yml"
GITLAB_INCLUDE: Final = f"include: [{{local: {GITLAB_FILE}}}]"

_WORD: Final = re.compile(r"[\w./-]+", re.ASCII)
"""What is one word to YAML and to a shell."""

_LIMITED: Final = ("monthly-budget", "budget-warning", "spend-gate")
"""The policies that have the limit of the stack's price."""

_NO_NAMES: Final = f"""\
# Who may approve: one line for each key, with a name. There is no name yet, so no change can be approved.
#
#   ann namespaces="{signers.NAMESPACE}" ssh-ed25519 AAAA...
"""


def init(
    folder: Path,
    approvers: Sequence[tuple[str, Path]],
    total: Decimal,
    increase: Decimal,
    base_url: str | None = None,
    *,
    project: str = "",
) -> tuple[str, ...]:
    """
    Write a gate's folder, and return the names of its files.

    Args:
        folder: Where to write; no file in it is overwritten.
        approvers: Names, each with the file of a public key; a person may have several.
        total: The highest monthly price of a stack.
        increase: The most that a change may add to it.
        base_url: The address of the API, if it is not the default.
        project: The project whose stacks it is for; by default all stacks.

    Raises:
        StacksError: The address is not valid, a file exists or cannot be written, or a key cannot be read.
    """
    if base_url is not None:
        config.check_base_url(base_url, allow_http=True, source="the address")
    names = "".join(_line(name, key) for name, key in approvers)
    stacks = f'stacks: ["{project}/*"]' if project else "# stacks: [shop/prod]"
    texts = {
        FILE: _SETTINGS.format(total=total, increase=increase, stacks=stacks)
        + ("" if base_url is None else f"{_ADDRESS}base_url: {json.dumps(base_url)}\n"),
        _SIGNERS: names or _NO_NAMES,
        "guard.json": _as_json(
            {
                "allowed-plans": {"allowed": ["micro", "basic", "standard"]},
                **{name: {"max_monthly_usd": float(total)} for name in _LIMITED},
                "open-allowed-ip": {"min_prefix": 24},
            }
        ),
        f"{_FOLDER}/PulumiPolicy.yaml": _PACK,
        f"{_FOLDER}/__main__.py": _PROGRAM,
    }
    signers.signers_in(texts[_SIGNERS], _SIGNERS)
    if (folder / FILE).exists():
        lines = f", and add to {_SIGNERS}: {'; '.join(names.splitlines())}" if names else ""
        raise InputError(
            f"{folder} has a gate already, whose files stay as they are: change limits in {FILE} and guard.json{lines}",
            code="file-access",
        )
    check_overwrites_nothing(folder, texts)
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    write(folder, texts)
    return tuple(texts)


def pipeline(
    kind: str, project: Path, *, top: Path, gate: Path, stack: str, install: Sequence[str]
) -> dict[str, str]:
    """
    Return the files of a pipeline that plans, shows and applies the changes of a project, by name in its repository.

    Args:
        kind: `github` or `gitlab`.
        project: The project's file.
        top: The folder of the repository.
        gate: The gate's folder.
        stack: The name of the stack.
        install: The commands that install this package in the project's folder.

    Raises:
        InputError: The gate is not in the repository, or a name cannot be written into a pipeline.
    """
    folder = project.parent
    if not gate.resolve().is_relative_to(top):
        raise InputError(
            f"{clean(str(gate))} is not in the repository {top}, where the pipeline reads the gate from a branch: name "
            "a folder in it",
            code="invalid-argument",
        )
    inside, content = os.path.relpath(folder, top), read_project(project)
    words = {
        "FOLDER": inside,
        "GATE": os.path.relpath(gate.resolve(), folder),
        "NAME": str(content.get("name", "")),
        "RECORD": str(Path(inside) / "record"),
        "STACK": stack,
    }
    for what, word in words.items():
        if not _WORD.fullmatch(word):
            raise InputError(
                f"{clean(word)!r} ({what.lower()}) cannot be written into a pipeline: use letters, digits and . _ / -",
                code="invalid-argument",
            )
    has_packages = "nodejs" in str(content.get("runtime")) and (folder / "package-lock.json").exists()
    commands = [*install, "npm ci"] if has_packages else install
    made = [".venv", "node_modules"] if has_packages else [".venv"]
    words["PACKAGES"] = ", ".join(str(Path(inside) / name) for name in made)
    text = "".join(
        line.replace("@INSTALL@", command)
        for line in _read(kind).splitlines(keepends=True)
        for command in (commands if "@INSTALL@" in line else [""])
    )
    for name, word in words.items():
        text = text.replace(f"@{name}@", word)
    if kind == "github":
        return {".github/workflows/gate.yml": text}
    main = {} if (top / GITLAB_MAIN).exists() else {GITLAB_MAIN: f"{GITLAB_INCLUDE}\n"}
    return {GITLAB_FILE: text, **main}


def _read(kind: str) -> str:
    return (Path(__file__).with_name(f"{kind}.yml")).read_text(encoding="utf-8")


def _line(name: str, key: Path) -> str:
    words = read_file(key).decode(errors="replace").split()
    if name.split() != [name]:
        raise InputError(
            f"the approver's name {clean(name)!r} has a space: write it as one word", code="invalid-argument"
        )
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise InputError(
            f"{clean(str(key))} has no public key of SSH: name the file that ends with .pub",
            code="invalid-file",
        )
    return f'{name} namespaces="{signers.NAMESPACE}" {words[0]} {words[1]}\n'


def _as_json(value: Any) -> str:
    return f"{json.dumps(value, indent=4)}\n"
