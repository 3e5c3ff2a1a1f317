"""
What does a gate's folder set?

`gate.yaml` in that folder contains the settings. The packs, their configuration, prices, budgets and `allowed_signers`
are files next to it. Every path is relative to the folder and inside it.
"""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacks_pulumi.account.budgets import BudgetFile, read_budgets
from stacks_pulumi.broker import git
from stacks_pulumi.broker.reader import Inside
from stacks_pulumi.broker.settings import GateFile, read_file
from stacks_pulumi.cost.report import PriceTable, read_prices
from stacks_pulumi.errors import ConfigError, clean


@dataclass(frozen=True)
class GatePack:
    """
    A policy pack.

    Attributes:
        path: Its folder.
        config: The file with its configuration.
    """

    path: Path
    config: Path | None


@dataclass(frozen=True)
class Gate:
    """
    A gate with the content of its files.

    Attributes:
        folder: Its folder.
        source: The origin of the folder, for display: a path, or a git ref with its commit.
        file: The settings, as written.
        packs: The policy packs.
        own_rules: The Python files with rules.
        signers: The file with the keys of the approvers.
        prices: The prices of other providers' resources.
        budgets: The budgets over several stacks.
    """

    folder: Path
    source: str
    file: GateFile
    packs: tuple[GatePack, ...]
    own_rules: tuple[Path, ...]
    signers: Path
    prices: PriceTable | None
    budgets: BudgetFile | None


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Gate]:
    """
    Yield the gate in a folder (at its `rules_ref`, if it has one), for use until the block ends.

    Raises:
        ConfigError: The folder contains no gate, or a setting is wrong.
    """
    ref = read_file(folder.resolve(), str(folder))[0].rules_ref
    if ref is None:
        yield read_gate(folder)
        return
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as scratch:
        commit = git.commit_of(folder, ref)
        git.extract(folder, commit, Path(scratch))
        yield read_gate(Path(scratch), f"{folder} of {ref}, commit {commit[:12]}")


@contextlib.contextmanager
def received(files: Mapping[str, str], source: str) -> Iterator[Gate]:
    """
    Yield the gate of a remote broker, for use until the block ends. `files` maps names to contents in base 64.

    Raises:
        ConfigError: A setting is unknown to this version, or a file would be outside the folder.
    """
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as scratch:
        folder = Path(scratch).resolve()
        for name, content in files.items():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise ConfigError(
                    f"{source} sends the file {clean(name)}, which would be outside the gate's folder: check the "
                    "broker",
                    code="invalid-file",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
            # A pack may contain a program that starts it, so files are executable.
            path.chmod(0o700)
        yield read_gate(folder, source)


def read_gate(folder: Path, source: str | None = None) -> Gate:
    """
    Return the gate in a folder. `source` is the origin of the folder, for display; by default its path.

    Raises:
        ConfigError: There is no gate, or a setting is wrong. The message states the line of the setting.
    """
    given, folder = folder, folder.resolve()
    file, reader = read_file(folder, str(given), source)
    inside = Inside(folder, reader)
    packs = tuple(
        GatePack(
            inside.folder(pack.path, f".packs[{index}].path"),
            None if pack.config is None else inside.file(pack.config, f".packs[{index}].config"),
        )
        for index, pack in enumerate(file.packs)
    )
    return Gate(
        folder,
        source or str(given),
        file,
        packs,
        tuple(inside.file(name, f".own_rules[{index}]") for index, name in enumerate(file.own_rules)),
        inside.file(file.approvers, ".approvers"),
        None if file.prices is None else read_prices(inside.file(file.prices, ".prices")),
        None if file.budgets is None else read_budgets(inside.file(file.budgets, ".budgets")),
    )
