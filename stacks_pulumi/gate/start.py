"""
How does the folder of a gate and its broker begin?

It has a pack with all policies of this package, limits, the rules with the strict choices, the keys of the approvers,
and an empty ledger. A pipeline next to it plans each change and applies what was approved.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi import config
from stacks_pulumi._pulumi_cli import InputError, read_file, read_project
from stacks_pulumi.broker import signers
from stacks_pulumi.broker.folder import ACCOUNT
from stacks_pulumi.broker.ledger import FILE as LEDGER
from stacks_pulumi.broker.settings import FILE
from stacks_pulumi.errors import ConfigError, clean

_SIGNERS: Final = "allowed_signers"
_TOTAL: Final = Decimal(40)
_INCREASE: Final = Decimal(15)
_FOLDER: Final = "packs/guard"

_SETTINGS: Final = """\
# Which changes are applied, and who approves them. This folder has to be where the author of a change cannot edit it:
# on the broker's host, or on a protected branch. docs/gate.md explains each setting.
version: 1

# In a clone: rules, packs and approvers are those of this git ref, and not of the working tree.
# rules_ref: origin/main

# The stacks that it is for, as PROJECT/STACK. Left out: all.
{stacks}

# With this folder, every plan is made and applied under these policies.
packs:
  - {{path: packs/guard, config: guard.json}}

# US dollars a month, for the stack. A change over a limit is refused. The policies have a limit too, in guard.json.
limits: {{max_increase: {increase}, max_total: {total}}}
# For the whole account, at every create:
# account: {{max_total: 100}}

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

# What `broker grant budget --policy agents` may do without a person.
# policies:
#   agents: {{increase_per_day: 5, max_total: 15, templates: [nodejs, redis], plans: [micro, basic],
#            free: [start, restart, connect-own, backup, pin-own, undo], undo: 15m}}

# Whose signature counts: NAME namespaces="stacks-pulumi-gate" KEYTYPE KEY
approvers: allowed_signers
# approver_limits:
#   ann: {{ceiling: 50, stacks: ["*/dev"], may_destroy: false}}
# two_approvals: [destroys-data]

# How long after its plan a change may be handed in.
record_expires: 24h
"""

_OWN_KEY: Final = """
# The API key, in a file that only the broker's user can read. Left out: the variable STACKS_API_KEY.
# key: {file: /etc/stacks/key}
"""

_ADDRESS: Final = "\n# The address of the API, to which the key is sent.\n"

_PACK: Final = """\
description: Which containers a stack may have, what they may cost, and who may connect.
runtime: python
version: 1.0.0
"""

_PROGRAM: Final = """\
from stacks_pulumi.policy import StacksGuard

StacksGuard().run()
"""

_IGNORED: Final = f"""\
# Each machine has its own.
/{LEDGER}*
/broker.json*
/broker.lock
/broker.log
/broker.use
"""

UNIT: Final = "stacks-broker.service"
_KEY: Final = "/etc/stacks/key"
CREDENTIAL: Final = "stacks-key"
_SYSTEMD_KEY: Final = f"""
# The API key: a credential of systemd, which the unit loads.
key: {{credential: {CREDENTIAL}}}
"""

_UNIT: Final = """\
# The broker as a service with a user of its own. Once, as root:
#   useradd --system --no-create-home --shell /usr/sbin/nologin stacks-broker
#   chown -R stacks-broker: {folder}
#   install -D -m 0600 FILE {key}     FILE has the API key. Only root and the service can read the copy.
#   cp {folder}/{unit} /etc/systemd/system/
#   systemctl enable --now stacks-broker
# From then on, the commands for the folder run as its user:
#   sudo -u stacks-broker {command} broker status {folder}
[Unit]
Description=The broker of a STACKS account
Wants=network-online.target
After=network-online.target

[Service]
User=stacks-broker
LoadCredential={credential}:{key}
ExecStart={command} broker serve {folder} --strict
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
UMask=0077
ReadWritePaths={folder}
# For a socket in place of a port: --listen unix:/run/stacks-broker/socket, and the proxy's user in the group.
RuntimeDirectory=stacks-broker
RuntimeDirectoryMode=0750

CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""

GITLAB_FILE: Final = ".gitlab/gate.yml"
GITLAB_MAIN: Final = ".gitlab-ci.yml"
GITLAB_INCLUDE: Final = f"include: [{{local: {GITLAB_FILE}}}]"

_WORD: Final = re.compile(r"[\w./-]+", re.ASCII)
"""Text that is one word to YAML and to a shell."""
_URL: Final = re.compile(r"https?://[\w.:/\[\]-]+", re.ASCII)
_ONLY: Final = re.compile(r"^@(FOLDER|BROKER)\?@(.*\n)", re.MULTILINE)
"""A line of a pipeline for a folder in the repository alone, or for the address of a broker alone."""

_LIMITED: Final = ("monthly-budget", "budget-warning", "spend-gate")
"""The policies that have the limit of the stack's price."""

_NO_NAMES: Final = f"""\
# Who may approve: one line for each key, with a name. There is no name yet, so no change can be approved.
#
#   ann namespaces="{signers.NAMESPACE}" ssh-ed25519 AAAA...
"""


def init(
    folder: Path,
    approvers: Sequence[tuple[str, Path]] = (),
    total: Decimal | None = None,
    increase: Decimal | None = None,
    base_url: str | None = None,
    *,
    project: str = "",
    unit: str = "",
) -> tuple[str, ...]:
    """
    Write what the folder of a gate and its broker lacks, and return the names of the new files.

    Args:
        folder: Where to write; no file in it is overwritten.
        approvers: Names, each with the file of a public key; a person may have several.
        total: The highest monthly price of a stack; by default $40.
        increase: The most that a change may add to it; by default $15.
        base_url: The address of the API, if it is not the default.
        project: The project whose stacks it is for; by default all stacks.
        unit: How the program is called in a unit of systemd, which is written too; empty for none.

    Raises:
        StacksError: The address is not valid, a file cannot be written, a key cannot be read, or the settings are about
            a file that is there.
    """
    if base_url is not None:
        config.check_base_url(base_url, source="the address")
    names = "".join(_line(name, key) for name, key in approvers)
    is_asked = bool(names) or (total, increase, base_url) != (None, None, None)
    total = _TOTAL if total is None else total
    stacks = f'stacks: ["{project}/*"]' if project else '# stacks: ["shop/*"]'
    texts = {
        FILE: _SETTINGS.format(
            total=total, increase=_INCREASE if increase is None else increase, stacks=stacks
        )
        + (_SYSTEMD_KEY if unit else _OWN_KEY)
        + ("" if base_url is None else f"{_ADDRESS}base_url: {json.dumps(base_url)}\n"),
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
    others = {
        _SIGNERS: names or _NO_NAMES,
        ".gitignore": _IGNORED,
        ACCOUNT: f"{secrets.token_hex(8)}\n",
        LEDGER: "",
    }
    if unit:
        others[UNIT] = _unit(unit, str(folder.resolve()))
    signers.signers_in(others[_SIGNERS], _SIGNERS)
    if is_asked and any((folder / name).exists() for name in (*texts, _SIGNERS)):
        lines = f", and add to {_SIGNERS}: {'; '.join(names.splitlines())}" if names else ""
        raise InputError(
            f"{folder} has a gate already, whose files stay as they are: change limits in {FILE} and guard.json{lines}",
            code="file-access",
        )
    # Settings that are there name their own packs.
    wanted = others if (folder / FILE).exists() else {**texts, **others}
    return tuple(name for name, text in wanted.items() if _new(folder / name, text))


def _unit(command: str, folder: str) -> str:
    """Return a unit of systemd."""
    for word in (command, folder):
        if not _WORD.fullmatch(word):
            raise InputError(
                f"{clean(word)!r} cannot be written into a unit of systemd: use letters, digits and . _ / -",
                code="invalid-argument",
            )
    return _UNIT.format(key=_KEY, command=command, folder=folder, unit=UNIT, credential=CREDENTIAL)


def _new(path: Path, text: str) -> bool:
    """Write a file that only this user can read, and return whether it was not there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            return True
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", code="file-access") from None
    return False


def pipeline(
    kind: str, project: Path, *, top: Path, gate: str, stack: str, install: Sequence[str]
) -> dict[str, str]:
    """
    Return the files of a pipeline that plans, shows and applies the changes of a project, by name in its repository.

    Args:
        kind: `github` or `gitlab`.
        project: The project's file.
        top: The folder of the repository.
        gate: The gate's folder, or the address of its broker.
        stack: The name of the stack.
        install: The commands that install this package in the project's folder.

    Raises:
        InputError: The folder is not in the repository, or a name cannot be written into a pipeline.
    """
    folder, is_address = project.parent, "://" in gate
    if not is_address and not Path(gate).resolve().is_relative_to(top):
        raise InputError(
            f"{clean(gate)} is not in the repository {top}, where the pipeline reads the gate from a branch: name a "
            "folder in it, or the address of a broker",
            code="invalid-argument",
        )
    inside, content = os.path.relpath(folder, top), read_project(project)
    words = {
        "FOLDER": inside,
        "GATE": gate if is_address else os.path.relpath(Path(gate).resolve(), folder),
        "IN_TOP": "" if is_address else os.path.relpath(Path(gate).resolve(), top),
        "NAME": str(content.get("name", "")),
        "CHANGE": str(Path(inside) / "change"),
        "STACK": stack,
    }
    for what, word in words.items():
        if word and not (_URL if is_address and what == "GATE" else _WORD).fullmatch(word):
            raise InputError(
                f"{clean(word)!r} ({what.lower()}) cannot be written into a pipeline: use letters, digits and . _ / -",
                code="invalid-argument",
            )
    has_packages = "nodejs" in str(content.get("runtime")) and (folder / "package-lock.json").exists()
    commands = [*install, "npm ci"] if has_packages else install
    made = [".venv", "node_modules"] if has_packages else [".venv"]
    words["PACKAGES"] = ", ".join(str(Path(inside) / name) for name in made)
    kept = "BROKER" if is_address else "FOLDER"
    source = Path(__file__).with_name(f"{kind}.yml").read_text(encoding="utf-8")
    text = "".join(
        line.replace("@INSTALL@", command)
        for line in _ONLY.sub(lambda it: it[2] if it[1] == kept else "", source).splitlines(keepends=True)
        for command in (commands if "@INSTALL@" in line else [""])
    )
    for name, word in words.items():
        text = text.replace(f"@{name}@", word)
    if kind == "github":
        return {".github/workflows/gate.yml": text}
    main = {} if (top / GITLAB_MAIN).exists() else {GITLAB_MAIN: f"{GITLAB_INCLUDE}\n"}
    return {GITLAB_FILE: text, **main}


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
