"""
What does `gate.yaml` set?

It contains the settings of a gate and its broker: rules, limits, approvers, and settings of the server. The packs,
their configuration, prices, budgets and `allowed_signers` are files next to it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from stacks_pulumi._settings_file import Reader, text_of, why_unreadable
from stacks_pulumi.broker.reader import opened
from stacks_pulumi.config import check_api_key
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.money import usd

FILE: Final = "gate.yaml"
"""The name of the settings file in a gate's folder."""

Action: TypeAlias = Literal["approve", "refuse"]
"""The effect of a finding: the change needs an approval, or is refused."""

BUILT_IN: Final = (
    "destroys-data",
    "restores-data",
    "opens-access",
    "keeps-billed",
    "max-deletions",
    "max-replacements",
    "unpriced",
)
"""The names of the built-in rules."""

_A_TEXT: Final = {"type": "string", "minLength": 1}

Text = Annotated[str, msgspec.Meta(extra_json_schema=_A_TEXT)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file."""


class PackFile(_Section, frozen=True):
    """
    A policy pack.

    Attributes:
        path: The pack's folder, in the gate's folder.
        config: The file with the pack's configuration, in the gate's folder.
    """

    path: Text
    config: Text | None = None


class Limits(_Section, frozen=True):
    """
    Limits on the monthly price of the stack. A change that exceeds a limit is refused, even with an approval.

    Attributes:
        max_increase: The most that a change may add to the monthly price.
        max_total: The highest price of the stack at any moment of a change.
    """

    max_increase: Decimal | None = None
    max_total: Decimal | None = None


class AtMost(_Section, frozen=True):
    """
    The highest number of steps of one kind in a change.

    Attributes:
        limit: The highest allowed number.
        otherwise: What happens to a change above the limit: `approve` or `refuse`.
    """

    limit: Count
    otherwise: Action


class Rules(_Section, frozen=True, rename="kebab"):
    """
    The rules about changes.

    Attributes:
        destroys_data: The deletion of a backup, or the deletion or replacement of a container that may hold data: a
            database, additional storage, an unknown template.
        restores_data: The restore of a backup, which overwrites data.
        opens_access: External access that is turned on, a new address, VPN client or SSH certificate, or a secret that
            the program reads.
        keeps_billed: A container that leaves the stack but stays billed: because of `retain_on_delete` or
            `deleted_with`, or because the program only looks it up. Later totals of the stack do not include it.
        max_deletions: The highest number of deletions.
        max_replacements: The highest number of replacements.
        unpriced: Resources whose price has no known upper bound.
    """

    destroys_data: Action = "approve"
    restores_data: Action = "approve"
    opens_access: Action = "approve"
    keeps_billed: Action = "refuse"
    max_deletions: AtMost | None = None
    max_replacements: AtMost | None = None
    unpriced: Action = "refuse"


class Free(_Section, frozen=True):
    """
    The changes that need no approval.

    Attributes:
        increase_per_day: The most that changes within 24 hours may add to the monthly price.
        code: This setting has no effect, because a program never has the API key.
    """

    increase_per_day: Decimal
    code: bool = False


class ApproverLimit(_Section, frozen=True):
    """
    The limits of one approver.

    Attributes:
        ceiling: The highest increase of the monthly price.
        stacks: Patterns for the stacks, as in a shell: `*/dev` matches PROJECT/STACK.
        may_destroy: Whether the approver may approve a change that destroys or overwrites data.
    """

    ceiling: Decimal | None = None
    stacks: list[Text] | None = None
    may_destroy: bool = True

    def covers(self, stack: str) -> bool:
        """Return whether the approver may approve changes of a stack, named PROJECT/STACK."""
        return self.stacks is None or any(fnmatchcase(stack, pattern) for pattern in self.stacks)


class KeySource(_Section, frozen=True):
    """
    The source of the API key. The default is the environment variable STACKS_API_KEY.

    Attributes:
        file: A file that no other user can read.
        credential: The name of a systemd credential (`LoadCredential`).
    """

    file: Text | None = None
    credential: Text | None = None

    @property
    def path(self) -> Path:
        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        return Path(self.file) if self.file is not None else Path(folder) / str(self.credential)


class Keys(_Section, frozen=True):
    """
    Two API keys of the account, each with its own window of the rate limit.

    Attributes:
        read: The key for read-only requests.
        change: The key for requests that change something.
    """

    read: KeySource
    change: KeySource


class AccountLimits(_Section, frozen=True):
    """
    Limits on the whole account. They apply to every grant, including that of a signed change.

    Attributes:
        max_total: The highest monthly price of the account. The broker checks it at every create.
    """

    max_total: Decimal


FreeAction: TypeAlias = Literal["start", "restart", "connect-own", "backup", "pin-own", "undo"]
"""Actions that a policy may allow without an approval, in addition to creates within its limits."""


class Policy(_Section, frozen=True):
    """
    What a `budget` grant may do without an approval.

    Attributes:
        increase_per_day: The most that all creates under this policy within 24 hours may add to the monthly price. A
            create above this amount needs an approval.
        max_total: The highest monthly price of all containers that the policy's grants have created.
        templates: The allowed templates of new containers; by default all.
        plans: The allowed plans of new containers; by default all.
        own: Which containers belong to a grant. `created`: those that the policy's grants created for the same stack.
        only: If set to `own`, a grant can read only the containers of its stack.
        free: The actions that need no approval, for containers that belong to the grant.
        undo: For how long a grant may remove an object that it has created (default: 15 minutes).
    """

    increase_per_day: Decimal = Decimal(0)
    max_total: Decimal | None = None
    templates: list[Text] | None = None
    plans: list[Text] | None = None
    own: Literal["created"] = "created"
    only: Literal["own"] | None = None
    free: list[FreeAction] = []
    undo: datetime.timedelta = datetime.timedelta(minutes=15)


class GateFile(_Section, frozen=True):
    """
    The settings of a gate.

    Attributes:
        version: The version of the format.
        stacks: Patterns for the stacks that may use this gate, as PROJECT/STACK. By default, all stacks may use it.
        packs: The policy packs that run at every plan and update.
        limits: Limits on the monthly price of the stack.
        rules: The rules about changes.
        own_rules: Python files with more rules, in the gate's folder.
        free: The changes that need no approval. By default, every change with a step needs an approval.
        approvers: The file with the keys of the approvers, in the format of ssh-keygen's allowed_signers.
        approver_limits: Limits for single approvers, by name. An approver who is not listed may approve all changes.
        two_approvals: The rules whose findings need the approvals of two people.
        other_than_author: If true, the author of the last commit must not approve the change.
        record_expires: For how long a change may be submitted after it was planned (default: 24 hours). A change with a
            later end is refused.
        harmless: Patterns for those types of other providers that hold no data and open nothing, for instance
            `random:*`. Every other type is treated as the worst case.
        prices: The file with the prices of other providers' resources.
        live_prices: If true, prices come from the API instead of the catalogue.
        budgets: The file with budgets over several stacks. These budgets can set `max_total`, but not tags.
        base_url: The address of the API, if it is not the default. A stack with a different address is refused.
        key: The source of the broker's API key.
        keys: Two API keys, one for reads and one for changes, instead of `key`.
        listen: The address at which the broker listens: ADDRESS:PORT, or unix:PATH.
        account: Limits on the whole account.
        requests_share: The highest share of the rate limit that one grant may use (default: 0.5).
        rules_ref: A git ref, such as `origin/main`, from which the broker reads rules, packs and approvers.
        policies: The policies of `budget` grants, by name.
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
    key: KeySource | None = None
    keys: Keys | None = None
    listen: Text = "127.0.0.1:7823"
    account: AccountLimits | None = None
    requests_share: Decimal = Decimal("0.5")
    rules_ref: Text | None = None
    policies: dict[str, Policy] = {}

    def serves(self, stack: str) -> bool:
        """Return whether the settings are for a stack, named PROJECT/STACK."""
        return self.stacks is None or any(fnmatchcase(stack, pattern) for pattern in self.stacks)

    def why_not(
        self,
        name: str,
        author: str,
        stack: str,
        ceiling: Decimal | None,
        *,
        destroys: bool,
        owners: Collection[str] = (),
    ) -> str:
        """
        Return why a person may not approve a change; empty if they may.

        Args:
            name: The person.
            author: The author of the change, as `Name <address>`; empty if not known.
            stack: The stack of the change, as PROJECT/STACK.
            ceiling: The increase of the monthly price that would be approved; `None` for any increase.
            destroys: Whether data is destroyed or overwritten.
            owners: The other stacks that own containers of the change; an empty name for containers without an owner.
        """
        if self.other_than_author:
            if not author:
                return "the author of the change is not known, so every approver could be the author"
            if is_author(name, author):
                return f"{name} is the author of the change, so another person must approve it"
        limit = self.approver_limits.get(name, ApproverLimit())
        if not limit.covers(stack) or (limit.stacks is not None and owners):
            whose = [owner or "containers without an owner" for owner in sorted(owners)]
            return f"{name} may not approve changes of {', '.join([stack, *whose])}"
        if destroys and not limit.may_destroy:
            return f"{name} may not approve a change that destroys or overwrites data"
        if limit.ceiling is not None and (ceiling is None or ceiling > limit.ceiling):
            given = "and this change has no ceiling" if ceiling is None else f"not {usd(ceiling)}"
            return f"{name} may approve an increase of {usd(limit.ceiling)} a month at most, {given}"
        return ""


_GONE: Final = {
    ".rules.destroys-data.backup_within_hours": (
        "a newer backup no longer exempts a deletion: write `destroys-data: approve`"
    ),
    ".project_settings": "a program may use any setting, because its code has no key: remove this setting",
    ".platform": "the broker does not read a platform file: remove this setting",
}
"""Setting of an earlier version -> what to do."""


def is_author(name: str, author: str) -> bool:
    """Return whether an approver's name matches an author's name, address, or the part of the address before the @."""
    who, _, address = author.rpartition("<")
    address = address.rstrip(">").strip().casefold()
    names = {who.strip().casefold(), address, address.partition("@")[0]}
    return name.casefold() in names or name.casefold().partition("@")[0] in names


def read_file(folder: Path, given: str, source: str | None = None) -> tuple[GateFile, Reader]:
    """
    Return the settings in a folder, and the reader that names their lines.

    Args:
        folder: The folder.
        given: The folder as the user wrote it.
        source: The origin of the folder, if it is a copy.

    Raises:
        ConfigError: There are no settings, or one is wrong. The message names the line.
    """
    path = folder / FILE
    shown = str(Path(given) / FILE) if source is None else f"{FILE} ({source})"
    if not path.is_file():
        raise ConfigError(
            f"{source or given} has no {FILE}: `stacks-pulumi gate init DIR` writes one", code="file-access"
        )
    document, reader = opened(path, f"the gate {shown}")
    if not isinstance(document, dict) or "version" not in document:
        raise reader.error("", "its version is missing: write `version: 1`")
    for where, instead in _GONE.items():
        found: Any = document
        for name in where.split(".")[1:]:
            found = found.get(name) if isinstance(found, dict) else None
        if found is not None:
            raise reader.error(where, instead)
    file: GateFile = reader.read(document, GateFile, "")
    if not 0 < file.requests_share <= 1:
        raise reader.error(".requests_share", "requests_share must be above 0 and at most 1")
    if file.key is not None and file.keys is not None:
        raise reader.error(".keys", "there is also a `key`: remove `key` or `keys`")
    return file, reader


def read_key(source: KeySource | None, name: str) -> str:
    """
    Return the API key.

    Args:
        source: Its source; `None` for the environment variable STACKS_API_KEY.
        name: The setting, for messages.

    Raises:
        ConfigError: The key is missing or malformed, or other users can read its file.
    """
    if source is None:
        key = os.environ.get("STACKS_API_KEY", "")
        if not key.strip():
            raise ConfigError(
                "the broker has no API key: write `key: {file: PATH}` in gate.yaml, or set STACKS_API_KEY",
                code="missing-api-key",
            )
        return check_api_key(key.strip())
    if (source.file is None) == (source.credential is None):
        raise ConfigError(f"{name} in gate.yaml needs either `file` or `credential`", code="invalid-setting")
    path = source.path
    try:
        if source.file is not None and path.stat().st_mode & 0o077:
            raise ConfigError(
                f"other users can read the key in {path}: run `chmod 600 {path}`", code="file-access"
            )
        return check_api_key(text_of(path).strip())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the API key in {path} cannot be read: {why_unreadable(error)}", code="file-access"
        ) from None


def schema() -> dict[str, Any]:
    """Return the JSON schema of `gate.yaml`, for completion in editors."""
    made: dict[str, Any] = _as_written(msgspec.json.schema(GateFile))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _as_written(part: Any) -> Any:
    """Return a part of the schema with amounts and times in the file's form: `12.50` without quotes, and `4h`."""
    if isinstance(part, list):
        return [_as_written(one) for one in part]
    if not isinstance(part, dict):
        return part
    written = {
        "decimal": {"type": ["number", "string"]},
        "duration": {"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhd]$"},
    }
    return written.get(part.get("format", "")) or {name: _as_written(value) for name, value in part.items()}
