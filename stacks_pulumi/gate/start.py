"""
How is the folder of a gate and its broker created?

The folder contains a pack with all policies of this package, limits, and the strictest settings of the rules. It also
contains the keys of the approvers and an empty ledger. A pipeline in the repository plans each change and applies
approved changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

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
_PACK: Final = "packs/guard"
_ADDRESS: Final = "\n# The address of the API, to which the key is sent.\n"

_PROGRAM: Final = """\
from stacks_pulumi.policy import StacksGuard

StacksGuard().run()
"""

UNIT: Final = "stacks-broker.service"
CREDENTIAL: Final = "stacks-key"

GITLAB_FILE: Final = ".gitlab/gate.yml"
GITLAB_MAIN: Final = ".gitlab-ci.yml"
GITLAB_INCLUDE: Final = f"include: [{{local: {GITLAB_FILE}}}]"

_WORD: Final = re.compile(r"[\w./-]+", re.ASCII)
"""A text that YAML and a shell read as one word."""
_URL: Final = re.compile(r"https?://[\w.:/\[\]-]+", re.ASCII)
_ONLY: Final = re.compile(r"^@([A-Z]+)\?@(.*\n)", re.MULTILINE)
"""A line for only one case, for example for a pipeline with the address of a broker."""


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
    Write the missing files of the folder of a gate and its broker, and return the names of the new files.

    Args:
        folder: Where to write; no file in it is overwritten.
        approvers: Names, each with the file of a public key; a person may have several keys.
        total: The highest monthly price of a stack; by default $40.
        increase: The most that a change may add to it; by default $15.
        base_url: The address of the API, if it is not the default.
        project: The project whose stacks the gate is for; by default all stacks.
        unit: The command of this program in a systemd unit. If it is empty, no unit is written.

    Raises:
        StacksError: The address is not valid, a file cannot be written, a key cannot be read, or an argument would
            change a file that already exists.
    """
    if base_url is not None:
        config.check_base_url(base_url, source="the address")
    names = "".join(_line(name, key) for name, key in approvers)
    is_asked = bool(names) or (total, increase, base_url) != (None, None, None)
    limits = {
        "TOTAL": str(_TOTAL if total is None else total),
        "INCREASE": str(_INCREASE if increase is None else increase),
        "STACKS": f'stacks: ["{project}/*"]' if project else '# stacks: ["shop/*"]',
    }
    address = "" if base_url is None else f"{_ADDRESS}base_url: {json.dumps(base_url)}\n"
    texts = {
        FILE: _filled(_text("folder/gate.yaml"), limits, "UNIT" if unit else "OWN") + address,
        "guard.json": _filled(_text("folder/guard.json"), limits),
        f"{_PACK}/PulumiPolicy.yaml": _text("folder/pack.yaml"),
        f"{_PACK}/__main__.py": _PROGRAM,
    }
    others = {
        _SIGNERS: names or _text("folder/allowed_signers"),
        ".gitignore": _text("folder/gitignore"),
        ACCOUNT: f"{secrets.token_hex(8)}\n",
        LEDGER: "",
    }
    if unit:
        words = {"COMMAND": unit, "FOLDER": str(folder.resolve())}
        for word in words.values():
            _check_word(word, _WORD, "a unit of systemd")
        others[UNIT] = _filled(_text(f"folder/{UNIT}"), words)
    signers.signers_in(others[_SIGNERS], _SIGNERS)
    if is_asked and any((folder / name).exists() for name in (*texts, _SIGNERS)):
        lines = f", and add to {_SIGNERS}: {'; '.join(names.splitlines())}" if names else ""
        raise InputError(
            f"{folder} already has a gate, and its files stay unchanged: change the limits in {FILE} and "
            f"guard.json{lines}",
            code="file-access",
        )
    # An existing settings file names its own packs.
    wanted = others if (folder / FILE).exists() else {**texts, **others}
    return tuple(name for name, text in wanted.items() if _new(folder / name, text))


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str], case: str = "") -> str:
    """Return a text in which each `@NAME@` is replaced. A line that begins with `@CASE?@` is kept only in that case."""
    lines = _ONLY.sub(lambda line: line[2] if line[1] == case else "", text)
    return re.sub("@([A-Z_]+)@", lambda place: words[place[1]], lines)


def _check_word(word: str, form: re.Pattern[str], file: str) -> None:
    if not form.fullmatch(word):
        raise InputError(
            f"{clean(word)!r} cannot be written into {file}: use letters, digits and . _ / -",
            code="invalid-argument",
        )


def _new(path: Path, text: str) -> bool:
    """Write a file that only this user can read; return `False` if the file exists."""
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


_OWN_BACKEND: Final = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
LOGINS: Final[Mapping[str, Sequence[str]]] = {
    "cloud": ("PULUMI_ACCESS_TOKEN",),
    "s3": (*_OWN_BACKEND, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gs": (*_OWN_BACKEND, "GOOGLE_CREDENTIALS"),
    "azblob": (*_OWN_BACKEND, "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"),
    "postgres": (*_OWN_BACKEND, "PGUSER", "PGPASSWORD"),
}
"""Backend -> the secrets with which the jobs of a pipeline log in to the backend."""


def pipeline(
    kind: str,
    project: Path,
    *,
    top: Path,
    gate: str,
    stack: str,
    backend: str = "cloud",
    install: Sequence[str],
) -> dict[str, str]:
    """
    Return the files of a pipeline that plans, shows and applies a project's changes, by their paths in the repository.

    Args:
        kind: `github` or `gitlab`.
        project: The project's file.
        top: The folder of the repository.
        gate: The gate's folder, or the address of its broker.
        stack: The name of the stack.
        backend: The backend that stores its state: one of `LOGINS`.
        install: The commands that install this package in the project's folder.

    Raises:
        InputError: The folder is outside the repository, or a name cannot be written into a pipeline.
    """
    folder, is_address = project.parent, "://" in gate
    if not is_address and not Path(gate).resolve().is_relative_to(top):
        raise InputError(
            f"{clean(gate)} is not in the repository {top}. The pipeline reads the gate from a branch of it: pass a "
            "folder in the repository, or the address of a broker",
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
    for name, word in words.items():
        if word:
            _check_word(word, _URL if is_address and name == "GATE" else _WORD, "a pipeline")
    has_packages = "nodejs" in str(content.get("runtime")) and (folder / "package-lock.json").exists()
    commands = [*install, "npm ci"] if has_packages else install
    made = [".venv", "node_modules"] if has_packages else [".venv"]
    words["PACKAGES"] = ", ".join(str(Path(inside) / name) for name in made)
    login = LOGINS[backend]
    words["LOGIN"] = " and ".join((", ".join(login[:-1]), login[-1])) if len(login) > 1 else login[0]
    # A line with one of these marks is written once for each value of the mark.
    repeated: dict[str, Sequence[str]] = {"@INSTALL@": commands, "@LOGINS@": login}
    installed = "".join(
        line.replace(mark, word) if mark else line
        for line in _text(f"{kind}.yml").splitlines(keepends=True)
        for mark in (next((one for one in repeated if one in line), ""),)
        for word in repeated.get(mark, [""])
    )
    text = _filled(installed, words, "BROKER" if is_address else "FOLDER")
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
            f"{clean(str(key))} contains no public SSH key: name the file that ends with .pub",
            code="invalid-file",
        )
    return f'{name} namespaces="{signers.NAMESPACE}" {words[0]} {words[1]}\n'
