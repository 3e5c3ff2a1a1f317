"""
What does a gate's folder say?

`gate.yaml` in that folder has the settings; the packs, their configuration, prices, budgets and `allowed_signers` are
files beside it. Every path is relative to the folder and stays in it, because the folder's digest is approved too.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from stacks_pulumi.account.budgets import BudgetFile, read_budgets
from stacks_pulumi.cost.report import PriceTable, read_prices
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.gate import git
from stacks_pulumi.gate.reader import Inside, Reader

FILE: Final = "gate.yaml"
"""The name of the settings in a gate's folder."""

Action: TypeAlias = Literal["approve", "refuse"]
"""What a rule does if it finds something: the change needs an approval, or is refused."""

ProjectSetting: TypeAlias = Literal[
    "backend", "plugins", "packages", "options", "main", "stackConfigDir", "environment"
]
"""A setting of `Pulumi.yaml`, or of the stack, that can run other code, or move the stack."""

BUILT_IN: Final = (
    "destroys-data",
    "restores-data",
    "opens-access",
    "keeps-billed",
    "max-deletions",
    "max-replacements",
    "unpriced",
)
"""The names of the rules that this package has."""

_A_TEXT: Final = {"type": "string", "minLength": 1}

Text = Annotated[str, msgspec.Meta(extra_json_schema=_A_TEXT)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file."""


class PackFile(_Section, frozen=True):
    """
    A policy pack.

    Attributes:
        path: Its folder, in the gate's folder.
        config: The file with its configuration, in the gate's folder.
    """

    path: Text
    config: Text | None = None


class Limits(_Section, frozen=True):
    """
    Limits on the monthly price of the stack. A change that exceeds one is refused, and no approval helps.

    Attributes:
        max_increase: The most that a change may add.
        max_total: The highest price, at every moment of a change.
    """

    max_increase: Decimal | None = None
    max_total: Decimal | None = None


class DestroysData(_Section, frozen=True):
    """
    What happens to a change that destroys data.

    Attributes:
        backup_within_hours: A pinned backup may be deleted while the same container has another one that is younger.
            No backup excuses the deletion of a container, because that deletes its backups too.
        otherwise: What happens to every other such change.
    """

    backup_within_hours: Annotated[int, msgspec.Meta(ge=1)]
    otherwise: Action


class AtMost(_Section, frozen=True):
    """
    The most that a change may have of something.

    Attributes:
        limit: The most.
        otherwise: What happens to a change with more.
    """

    limit: Count
    otherwise: Action


class Rules(_Section, frozen=True, rename="kebab"):
    """
    The rules about changes.

    Attributes:
        destroys_data: Deletion or replacement of what has data.
        restores_data: A restore of a backup, which overwrites data.
        opens_access: An address, or external access, that is opened.
        keeps_billed: A container that leaves the stack and stays billed (`retain_on_delete`, `deleted_with`, a look-up
            in its place). No later total of the stack has it.
        max_deletions: The most deletions.
        max_replacements: The most replacements.
        unpriced: Resources whose price has no known upper bound.
    """

    destroys_data: Action | DestroysData = "approve"
    restores_data: Action = "approve"
    opens_access: Action = "approve"
    keeps_billed: Action = "refuse"
    max_deletions: AtMost | None = None
    max_replacements: AtMost | None = None
    unpriced: Action = "refuse"


class Free(_Section, frozen=True):
    """
    What needs no approval.

    Attributes:
        increase_per_day: The most that changes of 24 hours may add to the monthly price.
        code: Whether a change of a program that can run its own code may be free too. Everybody who can change such a
            program can then use the key of `apply` without an approval.
    """

    increase_per_day: Decimal
    code: bool = False


class ApproverLimit(_Section, frozen=True):
    """
    What one approver may approve.

    Attributes:
        ceiling: The highest increase of the monthly price.
        stacks: Patterns for the stacks, as in a shell: `*/dev` matches PROJECT/STACK.
        may_destroy: Whether they may approve a change that destroys or overwrites data.
    """

    ceiling: Decimal | None = None
    stacks: list[Text] | None = None
    may_destroy: bool = True

    def covers(self, stack: str) -> bool:
        """Return whether they may approve changes of a stack, named PROJECT/STACK."""
        return self.stacks is None or any(fnmatchcase(stack, pattern) for pattern in self.stacks)


class GateFile(_Section, frozen=True):
    """
    The settings of a gate.

    Attributes:
        version: The version of the format.
        stacks: Patterns for the stacks that this gate is for, as PROJECT/STACK; all, if left out.
        packs: The policy packs under which every plan is made and applied.
        limits: Limits on the monthly price of the stack.
        rules: The rules about changes.
        own_rules: Python files with more rules, in the gate's folder.
        free: What needs no approval. Left out: every change with a step needs one.
        approvers: The file with the keys of the approvers, in the format of ssh-keygen's allowed_signers.
        approver_limits: What single approvers may approve, by name. Who is not in it may approve all.
        two_approvals: The rules whose findings need the approvals of two people.
        other_than_author: Whether the author of the last commit may not approve it.
        record_expires: How old a record may be when it is applied.
        harmless: Patterns for types of other providers that hold no data and open nothing, for instance `random:*`. All
            others count as the worst.
        prices: The file with the prices of other providers' resources.
        live_prices: Whether prices are asked from the API, and not taken from the catalogue.
        budgets: The file with budgets over several stacks.
        base_url: The address of the API, if it is not the default. A stack with another address is refused.
        platform: The file with facts about the platform (`stacks:platform`), for `live_prices`.
        project_settings: The settings of project and stack that are allowed although they can run other code.
    """

    version: Literal[1] = 1
    stacks: list[Text] | None = None
    packs: list[PackFile] = []
    limits: Limits = Limits()
    rules: Rules = Rules()
    own_rules: list[Text] = []
    free: Free | None = None
    approvers: Text = "allowed_signers"
    approver_limits: dict[str, ApproverLimit] = {}
    two_approvals: list[Text] = []
    other_than_author: bool = False
    record_expires: datetime.timedelta = datetime.timedelta(hours=24)
    harmless: list[Text] = []
    prices: Text | None = None
    live_prices: bool = False
    budgets: Text | None = None
    base_url: Text | None = None
    platform: Text | None = None
    project_settings: list[ProjectSetting] = []


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
    A gate, with everything that its files say.

    Attributes:
        folder: Its folder.
        source: Where the folder is from, for people: a path, or a git ref with its commit.
        file: The settings, as written.
        packs: The policy packs.
        own_rules: The Python files with rules.
        signers: The file with the keys of the approvers.
        prices: The prices of other providers' resources.
        budgets: The budgets over several stacks.
        platform: The file with facts about the platform.
    """

    folder: Path
    source: str
    file: GateFile
    packs: tuple[GatePack, ...]
    own_rules: tuple[Path, ...]
    signers: Path
    prices: PriceTable | None
    budgets: BudgetFile | None
    platform: Path | None = None

    @property
    def limits(self) -> Limits:
        """The limits on the monthly price."""
        return self.file.limits

    @property
    def rules(self) -> Rules:
        """The rules about changes."""
        return self.file.rules

    @property
    def free(self) -> Free | None:
        """What needs no approval."""
        return self.file.free

    @property
    def record_expires(self) -> datetime.timedelta:
        """How old a record may be when it is applied."""
        return self.file.record_expires

    @property
    def two_approvals(self) -> frozenset[str]:
        """The rules whose findings need the approvals of two people."""
        return frozenset(self.file.two_approvals)

    @property
    def project_settings(self) -> frozenset[str]:
        """The settings of `Pulumi.yaml` that are allowed although they can run other code."""
        return frozenset(self.file.project_settings)

    def serves(self, stack: str) -> bool:
        """Return whether the gate is for a stack, named PROJECT/STACK."""
        patterns = self.file.stacks
        return patterns is None or any(fnmatchcase(stack, pattern) for pattern in patterns)


@contextlib.contextmanager
def opened(folder: Path, ref: str | None = None) -> Iterator[Gate]:
    """
    Yield the gate in a folder, or in that folder of a git ref, for as long as the block lasts.

    Args:
        folder: The gate's folder.
        ref: A branch, tag or commit of the repository that the folder is in. The working tree is then not read.

    Raises:
        ConfigError: The folder has no gate, or a setting is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as scratch:
        try:
            if ref is None:
                gate = read_gate(folder)
            else:
                commit = git.extract(folder, ref, Path(scratch))
                gate = read_gate(Path(scratch), f"{folder} of {ref}, commit {commit[:12]}")
        except StacksError as error:
            # A gate may be for several stacks, and a line of its files may name any of them.
            raise error.but(names_others=True) from None
        yield gate


def read_gate(folder: Path, source: str | None = None) -> Gate:
    """
    Return the gate in a folder.

    Args:
        folder: The gate's folder.
        source: Where it is from, for people; by default its path.

    Raises:
        ConfigError: There is no gate, or a setting is wrong. The message has the line.
    """
    given, folder = folder, folder.resolve()
    path = folder / FILE
    shown = str(given / FILE) if source is None else f"{FILE} ({source})"
    if not path.is_file():
        raise ConfigError(
            f"{source or given} has no {FILE}: `stacks-pulumi gate init DIR` writes one", code="file-access"
        )
    document, reader = Reader.of(path, f"the gate {shown}")
    if not isinstance(document, dict) or "version" not in document:
        raise reader.error("", "its version is missing: write `version: 1`")
    file: GateFile = reader.read(document, GateFile, "")
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
        None if file.platform is None else inside.file(file.platform, ".platform"),
    )


def strict(folder: Path) -> Gate:
    """Return a gate without files: the strict rules, no limits, no packs and no approver."""
    return Gate(folder, "no gate", GateFile(), (), (), folder / GateFile().approvers, None, None)


def schema() -> dict[str, Any]:
    """Return the JSON schema of `gate.yaml`, for completion in editors."""
    made: dict[str, Any] = _as_written(msgspec.json.schema(GateFile))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _as_written(part: Any) -> Any:
    """Return a part of the schema with amounts and times as the file has them: `12.50`, and not a text; `4h`."""
    if isinstance(part, list):
        return [_as_written(one) for one in part]
    if not isinstance(part, dict):
        return part
    written = {
        "decimal": {"type": ["number", "string"]},
        "duration": {"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhd]$"},
    }
    return written.get(part.get("format", "")) or {name: _as_written(value) for name, value in part.items()}
