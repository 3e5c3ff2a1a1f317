"""
Which values an input may have, and what a change of it does.

`check` and `diff` use only the table of a resource's inputs. A comparison of whole property bags would show values that
the API adds or rounds as a change in every preview.

A validator returns the value in its normal form, or raises ValueError with the problem and the fix. The engine passes
every number as a float (`5` is `5.0`); the normal form of a whole number is `int`.

The types `Template` and `Plan` accept any text, because the platform may add names. The others are closed: the type
checker reports a wrong literal. Text that is known only at run time is passed as an output
(`pulumi.Output.from_input(text)`). `tests/typing` compares them with the catalogue and with `check`.
"""

from __future__ import annotations

import difflib
import enum
import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
import pulumi

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import canonical_network, same_name
from stacks_pulumi.api import models
from stacks_pulumi.errors import with_code
from stacks_pulumi.pricing.money import count
from stacks_pulumi.pricing.recognition import SIGNATURE, is_unknown

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The placeholder for a value that is not known yet."""

_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the protocol's signature)


def secret(value: Any) -> Any:
    """
    Mark a value in the outputs as a secret: the engine stores it encrypted and shows `[secret]`. Works at any depth.

    `Output.secret` cannot be used here: a provider returns plain values only.
    """
    return {SIGNATURE: _SECRET, "value": value}


_NESTED: Final = (dict, list)


def plain(value: Any) -> Any:
    """Return the value without the marks of secrets, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return plain(value.get("value"))
        return {key: plain(item) if isinstance(item, _NESTED) else item for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


CHANGED_OUTSIDE: Final = "changed_outside"
"""
The property with the names of inputs whose drift their values do not show, such as `["plan"]` after a resize.

The engine finds most drift by itself, because a read returns the inputs with the API's values. Two cases need more. The
API may have undone the effect of an input (`revoke_auto_added`: the address is in the list again). Or the value does
not show who changed it (`plan`: the guard against a replacement needs that). A read then lists those inputs here, in
its outputs and in its inputs. `diff` reports an update as long as the state has the list; an update removes it.
"""

_FOUND: Final = ("additional_storage_tier", "name", "plan", "revoke_auto_added")
"""The inputs that a read may list there."""


def found_changed(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the output that lists these inputs as changed; an empty mapping if the list is empty."""
    listed = sorted(set(names))
    return {CHANGED_OUTSIDE: listed} if listed else {}


def changed_outside(state: Mapping[str, Any]) -> list[str]:
    """Return the inputs that the last read found changed; a state may have anything else there."""
    listed = plain(state.get(CHANGED_OUTSIDE))
    return [name for name in _FOUND if isinstance(listed, list) and name in listed]


_NAME_FAULTS: Final = {
    "characters": "only letters, digits and hyphens are allowed",
    "ends": "it must start and end with a letter or a digit",
    "hyphens": "two hyphens in a row are not allowed",
}


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str):
        msg = f"it is {_kind(value)}, and text is needed"
        raise ValueError(msg)  # noqa: TRY004  (ValueError is what a validator raises)
    if not value.strip():
        msg = "it is empty"
        raise ValueError(msg)
    return value


def segment(value: Any) -> str:
    """Return a text that can be one segment of an API path; `.` and `..` would lead to another endpoint."""
    name = text(value)
    if name in {".", ".."}:
        msg = f"{name!r} cannot be a name at the API: choose another"
        raise ValueError(msg)
    return name


def boolean(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        msg = f"it is {_kind(value)}, and true or false is needed"
        raise ValueError(msg)  # noqa: TRY004  (ValueError is what a validator raises)
    return value


def strings(value: Any) -> list[str]:
    """Return a list with each value as text. Values of any type are accepted: triggers are only compared."""
    if not isinstance(value, list):
        msg = f"it is {_kind(value)}, and a list is needed"
        raise ValueError(msg)  # noqa: TRY004  (ValueError is what a validator raises)
    return [item if isinstance(item, str) else _whole(_ordered(item)) for item in value]


def one_of(choices: Collection[str]) -> Callable[[Any], str]:
    """Return a validator that accepts only these words."""

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            msg = f"it is {_kind(value)}, and must be one of {', '.join(choices)}"
            raise ValueError(msg)  # noqa: TRY004  (ValueError is what a validator raises)
        if value not in choices:
            msg = f"{value!r} is not one of {', '.join(choices)}{_did_you_mean(value, choices)}"
            raise ValueError(msg)
        return value

    return parse


def container_name(value: Any) -> str:
    """
    Return a valid container name: 3 to 32 letters, digits and hyphens, with a letter or digit at both ends and no two
    hyphens in a row (guide, "Create Container").
    """
    name = text(value)
    faults = catalog.name_faults(name)
    if faults:
        length = f"it has {count(len(name), 'character')}, and 3 to 32 are allowed"
        texts = {"too short": length, "too long": length, **_NAME_FAULTS}
        proposal = (
            re.sub(r"-+", "-", re.sub(r"[^A-Za-z0-9-]", "-", name))
            .strip("-")[: catalog.LONGEST_NAME]
            .strip("-")
        )
        hint = "" if catalog.name_faults(proposal) else f'; a valid one: name="{proposal}"'
        msg = f"{name!r}: {' and '.join(texts[fault] for fault in faults)}{hint}"
        raise ValueError(msg)
    return name


def storage_tier(value: Any) -> int:
    """Return an additional storage tier (guide, "Additional Storage")."""
    known = ", ".join(
        f"{t.tier} ({t.storage_mb // 1024} GB, ${t.usd}/month)" for t in catalog.STORAGE_TIERS.values()
    )
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        msg = f"it is {_kind(value)}, and a whole number is needed: {known}"
        raise ValueError(msg)
    if int(value) not in catalog.STORAGE_TIERS:
        msg = f"there is no tier {int(value)}: {known}"
        raise ValueError(msg)
    return int(value)


def ip_network(value: Any) -> str:
    """
    Return an IPv4 or IPv6 address or network in canonical form: without /32 or /128, IPv6 compressed and in lower case.

    A network with host bits set is refused: `10.0.0.7/24` may mean one address or the whole network, and a guess could
    give access to too many clients.
    """
    given = text(value).strip()
    # A zone (`fe80::1%eth0`) has a meaning on one machine only.
    network = None if "%" in given else canonical_network(given)
    if network is None:
        msg = f"{given!r} is neither an IPv4 or IPv6 address nor a network such as 198.51.100.0/24"
        raise ValueError(msg)
    address = str(ipaddress.ip_interface(given).ip)
    if address != network.partition("/")[0]:
        msg = f"{given!r} has host bits set: write {network} for the network, or {address} for the address alone"
        raise ValueError(msg)
    return network


def backup_number(value: Any) -> int | str:
    """Return a backup's number, or its id where that is a text, given alone or in the id of a PinnedBackup."""
    number = value.rpartition("/")[2] if isinstance(value, str) else value
    if isinstance(number, str) and re.search(r"\d", number) and not re.fullmatch(r"-?[\d.]+", number):
        return number
    try:
        parsed = float(number)
    except (TypeError, ValueError):
        parsed = -1.0
    if isinstance(value, bool) or not parsed.is_integer() or parsed < 1:
        msg = (
            f"it is {value!r}, and a backup's number is needed, for instance 178 or the id of a PinnedBackup"
        )
        raise ValueError(msg)
    return int(parsed)


def unknown_word(word: str, known: Collection[str], what: str) -> str:
    """Return the warning for a name that is not in the catalogue. It is accepted: the platform may have added it."""
    hint = _did_you_mean(word, known)
    return f"the catalogue does not know the {what} {word!r}{hint}; it is sent as it is, and its price is unknown"


def _did_you_mean(word: str, choices: Collection[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _kind(value: Any) -> str:
    names = {
        bool: "true or false",
        float: "a number",
        int: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), type(value).__name__)


def _ordered(value: Any) -> Any:
    """Return the value with sorted mappings: they come in another order in each call, which is no change."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _whole(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_Later = Awaitable[str] | pulumi.Output[str]

AdoptMode = Literal["never", "if_matching"] | _Later
DesiredStatus = Literal["running", "stopped"] | _Later
OnDelete = Literal["unpin", "delete", "keep"] | _Later
ServiceType = Literal["http", "tcp", "both"] | _Later
Plan = Literal["micro", "basic", "standard", "premium"] | pulumi.Input[str]
StorageTier = Literal[1, 3, 5] | pulumi.Input[int]
Template = (
    Literal[
        "forgejo",
        "forgejo-micro",
        "ghost",
        "loadbalancer-micro",
        "minio",
        "mongodb",
        "mysql",
        "nginx",
        "nginx-micro",
        "nodejs",
        "php-apache",
        "picoclaw",
        "picoclaw-micro",
        "pocketbase",
        "pocketbase-micro",
        "postgresql",
        "python",
        "redis",
        "redis-micro",
        "rqlite-micro",
        "secrets-micro",
        "stacks-loadbalancer",
        "stacks-vpn",
        "storage-micro",
        "ubuntu",
        "ubuntu-micro",
        "wordpress",
    ]
    | pulumi.Input[str]
)


class OnChange(enum.Enum):
    """The effect of a change of an input."""

    UPDATE = "update"
    """The object is updated in place."""

    REPLACE = "replace"
    """The object is replaced by a new one."""

    REFUSED = "refused"
    """A replacement would destroy data: it is refused unless the program opts in."""

    NONE = "none"
    """No effect: the input matters only at creation, or controls the provider and not the object."""


class Field(msgspec.Struct, frozen=True):
    """
    One input.

    Attributes:
        name: The property.
        parse: Converts the program's value into the form that is stored and sent, or raises ValueError with the problem
            and the fix. It must return its own results unchanged.
        on_change: The effect of a change.
        required: Whether the program must set it.
        default: The value if the program sets none; `None` for no default.
        computed: Whether the API chooses the value if the program sets none; then a missing input is not a change.
        noted: Whether `check` adds it, as a note for the next `check`; it is not an argument of the resource.
    """

    name: str
    parse: Callable[[Any], Any]
    on_change: OnChange
    required: bool = False
    default: Any = None
    computed: bool = False
    noted: bool = False


ANY_UPDATE: Final = "any update"
"""The reason for a change of an output that every update reads again at the API."""

REPAIR: Final = "a repair"
"""The reason for a change of an output by an update that completes a creation or takes over another object."""


class Output(msgspec.Struct, frozen=True):
    """
    One output that is no input, or an input whose value the API may choose.

    At preview, an update shows it as unknown if the update has one of the reasons to change it, and otherwise with the
    value in the state. An update without such a reason leaves it as it is in the state, whatever the API says: only a
    refresh changes it. So every change of an output was announced by a preview.

    Attributes:
        name: The property.
        changes_with: The inputs whose update may change it, `ANY_UPDATE` or `REPAIR`.
        secret: Whether the engine stores it encrypted.
    """

    name: str
    changes_with: tuple[str, ...] = ()
    secret: bool = False

    def marked(self, value: Any) -> Any:
        """Return a value of this output as the engine receives it."""
        return secret(value) if self.secret else value


def checked(fields: Iterable[Field], news: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """
    Return the inputs in their normal form, and every failure by property.

    A value that is unknown at preview, or a list with such a value, is unknown. (In a plan, the engine compares a list
    with the one of `up` as a whole: `up` would fail if an unknown value in it proves to be a secret.) An invalid value
    is left out of the inputs, so that rules over several inputs see only valid ones.
    """
    inputs: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for field in fields:
        value = plain(news.get(field.name))
        if value is None:
            value = field.default
        if value is None:
            if field.required:
                failures[field.name] = with_code(f"{field.name} is missing: set it", "missing-input")
        elif is_unknown(value):
            inputs[field.name] = UNKNOWN
        else:
            try:
                inputs[field.name] = field.parse(value)
            except ValueError as error:
                failures[field.name] = with_code(str(error), "invalid-input")
    return inputs, failures


def changed(fields: Iterable[Field], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Field]:
    """Return the fields that differ and whose change has an effect; an unknown differs from every value."""
    return [field for field in fields if field.on_change is not OnChange.NONE and _differs(field, olds, news)]


def _differs(field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    old, new = olds.get(field.name), news.get(field.name)
    if old == new:
        # As most are: equal values have equal normal forms.
        return is_unknown(new)
    old, new = plain(old), plain(new)
    if new is None and field.computed:
        return False
    if is_unknown(new):
        return True
    return bool(_normal(field, old) != _normal(field, new))


def _normal(field: Field, value: Any) -> Any:
    if value is None:
        return None
    try:
        return field.parse(value)
    except ValueError:
        # The current rules may refuse a stored value (drift, an older version): compare it unchanged.
        return value


PARENT_IN_PROGRAM: Final = "container_in_program"
"""The extra input with what the program knows of a child's container."""


class ParentInProgram(msgspec.Struct, frozen=True):
    """
    A child's container, as its program declares it.

    A child's inputs contain only the container's id, which is unknown at the preview of a new stack. The program knows
    more: the template, and whether external access is on. One extra input passes that to `check`. `check` does not
    return it, so it is not stored in the state.

    Attributes:
        facts: The known arguments of the Container by name; an unset argument is missing.
        is_new: Whether this operation creates the container.
    """

    facts: Mapping[str, Any]
    is_new: bool

    @classmethod
    def of(cls, news: Mapping[str, Any], adopt: str = "never") -> ParentInProgram | None:
        """Read the extra input; return `None` if it is missing, or part of it is unknown. `adopt` is the stack's."""
        facts = plain(news.get(PARENT_IN_PROGRAM))
        if not isinstance(facts, Mapping) or is_unknown(dict(facts)):
            return None
        container = news.get("source", news.get("container"))
        # The id of a container that is only looked up is unknown at preview too.
        is_new = is_unknown(container) and not facts.get("exists")
        given = {name: value for name, value in facts.items() if value is not None}
        return cls({"adopt": adopt, **given}, is_new)

    @property
    def template(self) -> str:
        """The container's template; empty if a look-up did not find the container."""
        return str(self.facts.get("template", ""))

    @property
    def is_stopped(self) -> bool:
        """Whether the program keeps the container stopped."""
        return self.facts.get("desired_status") == "stopped"

    @property
    def is_closed(self) -> bool:
        """Whether external access is certainly off: the program sets that, or the container is new."""
        wanted = self.facts.get("external_access")
        adopted = self.facts.get("adopt") == "if_matching"
        return wanted is False or (wanted is None and self.is_new and not adopted)


# --- changes of a container that an API key cannot make ---


def of_unknown(name: str, old: Any, inputs: Mapping[str, Any]) -> str:
    """Return the warning for a new value that is unknown at preview, so that only `pulumi up` can check it."""
    then = (
        "the container is replaced and its data destroyed"
        if inputs.get("replace_on_change") is True
        else "`pulumi up` refuses the change after its other steps were done"
    )
    return f"{name} is not known before `pulumi up`: if it is not {_shown(old)} then, {then}. Use a constant value"


def replacement_needed(name: str, old: Any, new: Any) -> str:
    """Return the message for a change in the program that would destroy the container."""
    what = (
        f"{name} would change from {_shown(old)} to {_shown(new)}"
        if new is not None
        else f"{name} {_shown(old)} would be taken away"
    )
    keeping = {
        "name": f"No container can be renamed: to keep it, write name={_shown(old)} here. ",
        "template": "",
    }.get(
        name,
        "To resize and keep the data, do it in the STACKS dashboard, run `pulumi refresh`, and write the new "
        f"{name} here. ",
    )
    return (
        f"{what}, which an API key can only do by replacing: that destroys the container, its volumes and its backups. "
        f"{keeping}To replace it anyway, set replace_on_change=True"
    )


def resized_outside(name: str, old: Any, new: Any) -> str:
    """Return the message for a change outside of the program that only a replacement could undo."""
    return (
        f"{name} was changed to {_shown(old)} outside of this program, which still says {_shown(new)}: "
        "going back would destroy the container, its volumes and its backups, and replace_on_change is for changes of "
        f"the program. Write {name}={_shown(old)} here"
    )


def _shown(value: Any) -> str:
    """Return the value as a program writes it; the engine turns every number into a float."""
    # A number of the state that may be a secret has another type, whose text does not show it.
    return repr(int(value) if type(value) is float and value.is_integer() else value)


def differences_to(inputs: Mapping[str, Any], container: models.Container) -> list[str]:
    """Return the differences that prevent an adoption; only inputs that the program sets are compared."""
    differences = []
    template, plan, tier = inputs["template"], inputs.get("plan"), inputs.get("additional_storage_tier")
    # A category, or a word that is not known, does not show that the template is the same.
    if not container.is_from(template):
        differences.append(f"its template is {container.template!r}, not {template!r}")
    if plan is not None and container.plan is not None and not same_name(container.plan, plan):
        differences.append(f"its plan is {container.plan!r}, not {plan!r}")
    if tier is not None and plan in catalog.PLANS and container.storage_mb is not None:
        wanted = catalog.PLANS[plan].storage_mb + catalog.STORAGE_TIERS[tier].storage_mb
        if container.storage_mb != wanted:
            differences.append(f"it has {container.storage_mb} MB of storage, not {wanted} MB")
    elif tier is None and (more := catalog.added_tier(catalog.PLANS.get(plan or ""), container.storage_mb)):
        # It would be billed, and neither a preview nor a policy would know it.
        size = f"{catalog.STORAGE_TIERS[more].storage_mb // 1024} GB"
        differences.append(f"it has {size} of additional storage: write additional_storage_tier={more}")
    return differences
