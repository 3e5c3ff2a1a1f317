"""
What does a gate's folder say?

`gate.yaml` in that folder has the settings; the packs, their configuration, prices, budgets and `allowed_signers` are
files beside it. Every path is relative to the folder and stays in it, because the folder's digest is approved too.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

from stacks_pulumi.account.budgets import BudgetFile, read_budgets
from stacks_pulumi.config import text_of, without_keys
from stacks_pulumi.cost.report import PriceTable, read_prices
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.platform_file import positioned
from stacks_pulumi.pricing.money import number

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

_LONGEST_TIME: Final = datetime.timedelta(days=90)
_TIME: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}

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
        max_total: The highest price after a change.
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
    if ref is None:
        yield read_gate(folder)
        return
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as scratch:
        commit = _extract(folder, ref, Path(scratch))
        yield read_gate(Path(scratch), f"{folder} of {ref}, commit {commit[:12]}")


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
    try:
        text = text_of(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the gate {shown} cannot be read: {error}", code="invalid-file") from None
    document, lines = positioned(text, lambda line, problem: _wrong(shown, line, problem))
    reader = _Reader(lines, lambda line, problem: _wrong(shown, line, problem))
    if not isinstance(document, dict) or "version" not in document:
        raise _wrong(shown, 1, "its version is missing: write `version: 1`")
    file: GateFile = reader.read(document, GateFile, "")
    inside = _Inside(folder, reader)
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


def duration(text: str) -> datetime.timedelta:
    """
    Return a time such as `30m`, `4h` or `2d`.

    Raises:
        ValueError: It is not written so, or is longer than 90 days.
    """
    found = _TIME.fullmatch(text)
    time = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if time is None or time > _LONGEST_TIME:
        raise ValueError(f"{text!r} is not a time such as 30m, 4h or 2d, 90 days at most")
    return time


def _wrong(path: str, line: int, problem: str) -> ConfigError:
    return ConfigError(f"the gate {path}, line {line}: {problem}", code="invalid-file")


@dataclass(frozen=True)
class _Reader:
    """Turns the texts of a file into the types above, and names the line of the first that does not fit."""

    lines: Mapping[str, int]
    wrong: Callable[[int, str], ConfigError]

    def error(self, where: str, problem: str) -> ConfigError:
        """Return the error for a place in the file."""
        return self.wrong(self.lines.get(where, 1), problem)

    def read(self, value: Any, kind: Any, where: str) -> Any:
        """Return a value as the type, or raise the error with its line."""
        name = where.rpartition(".")[2] or "the file"
        if value in ("", [], {}) and where:
            # YAML has nothing there, and that could mean all or none.
            raise self.error(where, f"{name} is empty: write a value, or leave it out")
        origin, parts = get_origin(kind), get_args(kind)
        if origin in {Union, UnionType}:
            return self._one_of(value, [part for part in parts if part is not type(None)], where)
        if origin is list and isinstance(value, list):
            return [self.read(one, parts[0], f"{where}[{index}]") for index, one in enumerate(value)]
        if origin is dict and isinstance(value, dict):
            return {key: self.read(one, parts[1], f"{where}.{key}") for key, one in value.items()}
        if isinstance(kind, type) and issubclass(kind, _Section) and isinstance(value, dict):
            return self._section(value, kind, where)
        if isinstance(value, str):
            with contextlib.suppress(ValueError, msgspec.ValidationError):
                return _scalar(value, kind)
        shown = f" is {without_keys(value)!r}, and" if isinstance(value, str) else ""
        raise self.error(where, f"{name}{shown} must be {_in_words(kind)}")

    def _one_of(self, value: Any, kinds: list[Any], where: str) -> Any:
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, _Section)]
        fits = sections if isinstance(value, dict) else [kind for kind in kinds if kind not in sections]
        if len(kinds) > 1 and not fits:
            name = where.rpartition(".")[2]
            raise self.error(where, f"{name} must be {' or '.join(map(_in_words, kinds))}")
        return self.read(value, (fits or kinds)[0], where)

    def _section(self, value: dict[str, Any], kind: type[_Section], where: str) -> _Section:
        hints = get_type_hints(kind, include_extras=True)
        names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        for key in value:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
                raise self.error(f"{where}.{key}", f"there is no setting {without_keys(key)}; {hint}")
        given = {
            names[key]: self.read(one, hints[names[key]], f"{where}.{key}") for key, one in value.items()
        }
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in given:
                raise self.error(where, f"{field.encode_name} is missing: it must be {_in_words(field.type)}")
        return kind(**given)


def _scalar(text: str, kind: Any) -> Any:
    if kind is Decimal:
        return number(text)
    if kind is datetime.timedelta:
        return duration(text)
    return msgspec.convert(text, kind, strict=False)


def _in_words(kind: Any) -> str:
    """Return what a setting of this type must be."""
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not type(None)]
    if kind is Decimal:
        return "a number of US dollars"
    if kind is datetime.timedelta:
        return "a time such as 30m, 4h or 2d, 90 days at most"
    if origin in {Union, UnionType}:
        return " or ".join(map(_in_words, parts))
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is list:
        return f"a list; each entry is {_in_words(parts[0])}"
    if origin is dict:
        return f"names, each with {_in_words(parts[1])}"
    if isinstance(kind, type) and issubclass(kind, _Section):
        return f"settings ({', '.join(kind.__struct_encode_fields__)})"
    if origin is Annotated:
        kind = parts[0]
    return {bool: "true or false", int: "a whole number"}.get(kind, "a text")


@dataclass(frozen=True)
class _Inside:
    """Finds what the settings name, in the gate's folder and nowhere else."""

    root: Path
    reader: _Reader

    def file(self, name: str, where: str) -> Path:
        """Return a file."""
        path = self._path(name, where)
        if not path.is_file():
            raise self.reader.error(where, f"there is no file {name}")
        return path

    def folder(self, name: str, where: str) -> Path:
        """Return a folder."""
        path = self._path(name, where)
        if not path.is_dir():
            raise self.reader.error(where, f"there is no folder {name}")
        return path

    def _path(self, name: str, where: str) -> Path:
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError):
            raise self.reader.error(where, f"{name!r} is no path") from None
        if not path.is_relative_to(self.root) or path == self.root:
            problem = f"{name} is outside of the gate's folder, whose digest is approved: put it inside"
            raise self.reader.error(where, problem)
        return path


def _extract(folder: Path, ref: str, into: Path) -> str:
    """Write the files that a folder has in a git ref; return the commit."""
    # Links of the working tree are not followed: the author of a change can make one that leads to another gate.
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  (`resolve` follows links)
    # Git would also take a folder for a repository that the author of a change made to look like one, with a
    # configuration that runs commands. An entry `.git` cannot be committed.
    top = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    if top is None:
        raise ConfigError(
            f"{folder} is in no git repository, so it has no ref {ref}", code="invalid-argument"
        )
    name = _full_name(top, ref)
    commit = _git(top, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    inside = folder.relative_to(top).as_posix()
    tree = commit if inside == "." else f"{commit}:{inside}"
    archive = _git(top, "archive", "--format=tar", tree)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                target = into / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                # It is in the digest too.
                target.chmod(0o700 if member.mode & 0o100 else 0o600)
            elif not member.isdir():
                problem = (
                    f"{folder} of {ref} has {member.name}, which is neither a file nor a folder: use a copy"
                )
                raise ConfigError(problem, code="invalid-file")
    return commit


def _full_name(top: Path, ref: str) -> str:
    """Return a ref so that it names one thing."""
    # For `origin/main` git takes a tag or a branch of that name first, which the author of a change can push.
    if ref.partition("/")[0] in _git(top, "remote").decode().split():
        return f"refs/remotes/{ref}"
    base = re.split(r"[~^@:]", ref)[0]
    names = [f"{folder}/{base}" for folder in ("refs", "refs/tags", "refs/heads", "refs/remotes")]
    known = _git(top, "for-each-ref", "--format=%(refname)", *names).decode().split()
    found = [name for name in names if name in known]
    if found and re.fullmatch("[0-9a-fA-F]{4,39}", base) and _git(top, "rev-parse", f"--disambiguate={base}"):
        found.append("a commit")
    if len(found) > 1 and base != "HEAD":
        raise ConfigError(
            f"{ref} is {' and '.join(found)}: name one of them in full", code="invalid-argument"
        )
    return ref


def _git(top: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  (no shell, and the arguments after an option are no options)
            ["git", "--no-replace-objects", "-C", str(top), "--git-dir", str(top / ".git"), *words],  # noqa: S607  (found on PATH, as the user finds it)
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise ConfigError(f"git cannot be started: {error}", code="file-access") from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ConfigError(f"the gate cannot be read from git: {reason}", code="file-access")
    return done.stdout
