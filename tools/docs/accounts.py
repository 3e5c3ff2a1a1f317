"""The output of `stacks-pulumi account` and `scaffold`, from runs on an emulated account."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks_pulumi.cli import main
from stacks_pulumi.config import DEFAULT_BASE_URL
from stacks_pulumi.emulator import Emulator
from tools.docs.exports import Accounts

__all__ = ["comparison", "program", "report", "table"]


@dataclass(frozen=True)
class _Shown:
    """
    The outputs.

    Attributes:
        table: The output of `account`.
        comparison: The part of the output of `account --compare-to` about the changes and a budget.
        report: The output of `scaffold`.
        program: The program that `scaffold` writes.
    """

    table: str
    comparison: str
    report: str
    program: str


def table() -> str:
    return _block("text", _shown().table)


def comparison() -> str:
    """Return the changes since a snapshot."""
    return _block("text", _shown().comparison)


def report() -> str:
    """Return the output of `scaffold`."""
    return _block("text", _shown().report)


def program() -> str:
    """Return the program that `scaffold` writes."""
    return _block("python", _shown().program)


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


@functools.cache
def _shown() -> _Shown:
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator(boot_seconds=0, backup_seconds=0) as emulator,
        _key(emulator),
    ):
        return _run(Accounts(emulator, Path(folder)))


@contextlib.contextmanager
def _key(emulator: Emulator) -> Iterator[None]:
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(STACKS_API_KEY=emulator.key, STACKS_BASE_URL=emulator.url)
    # The folder and its parents contain no project, so no stack selects the account.
    os.chdir(tempfile.gettempdir())
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def _run(accounts: Accounts) -> _Shown:
    emulator, folder = accounts.emulator, accounts.folder
    emulator.load(
        [
            {"name": "orders", "template": "nodejs", "plan": "standard", "allowed_ips": ["198.51.100.0/24"]},
            {"name": "orders-db", "template": "postgresql", "backups": 1},
            {"name": "cache", "template": "redis"},
            {"name": "experiment", "template": "nodejs", "plan": "premium"},
        ],
        [{"source": "orders", "target": "orders-db", "name": "primary-db"}],
    )
    emulator.state.backups[1].pinned = True
    owner = ["--state", accounts.export("prod.json", accounts.container("cache", "prod"))]
    written = _said("scaffold", *owner, "--out", str(folder / "taken-over"), "--exclude", "experiment")
    written = written.replace("the exports in --state", "the backend's stacks")
    gone = accounts.container("old-cache", created_at="2026-01-01T00:00:00Z")
    dev = accounts.export(
        "dev.json",
        accounts.container("orders"),
        accounts.container("orders-db", protect=True),
        accounts.container("cache"),
        gone,
    )
    prod = accounts.export("prod.json", accounts.container("cache", "prod"))
    states = ["--state", dev, "--state", prod]
    shown = _said("account", *states, "--save", str(folder / "account.json"))
    emulator.drift.delete("experiment")
    emulator.load([{"name": "search", "template": "ubuntu"}])
    (folder / "budgets.yaml").write_text(
        'budgets:\n  - {name: development, stacks: ["*/dev"], max_total: 12}\n', encoding="utf-8"
    )
    budget = ["--budgets", str(folder / "budgets.yaml")]
    later = _said("account", *states, "--compare-to", str(folder / "account.json"), *budget)
    parts = later[later.index("compared with the snapshot") : later.index("note:")]

    def tidy(text: str) -> str:
        return text.replace(emulator.url, DEFAULT_BASE_URL).replace(f"{folder}/", "")

    moment = parts.partition("snapshot from ")[2][: len("2026-01-01T00:00:00Z")]
    return _Shown(
        tidy(shown),
        tidy(parts).replace(moment, "2026-10-01T06:00:00Z"),
        tidy(written),
        (folder / "taken-over" / "__main__.py").read_text(encoding="utf-8"),
    )


def _said(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(arguments)
    if not out.getvalue():
        raise RuntimeError(f"stacks-pulumi {' '.join(arguments)} printed nothing: {err.getvalue()}")
    return out.getvalue()
