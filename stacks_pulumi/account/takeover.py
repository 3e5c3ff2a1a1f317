"""
Which program, in Python or YAML, adopts the objects of an account?

The program's first `up` must not change the account. So objects that the provider would change, or could not adopt, are
left out with a reason. Names and descriptions from the account are untrusted, so the program contains them only as
string literals. The program includes a file for `pulumi import --file`.
"""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import PLACEHOLDER, camel_case, canonical_network
from stacks_pulumi.account.read import Belongings, said_of
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.allowed_ips import is_auto_added
from stacks_pulumi.api.models import Connection, Container, ExternalAccess
from stacks_pulumi.config import DEFAULT_BASE_URL, OLDEST_ENGINE
from stacks_pulumi.pricing.recognition import NATIVE
from stacks_pulumi.reports.writers import as_json

_SETTLED: Final = frozenset({"running", "stopped", "pending"})


@dataclass(frozen=True)
class Reference:
    """
    The id of a container that the program declares.

    Attributes:
        name: The container's resource name.
    """

    name: str


Value: TypeAlias = str | int | bool | Reference
Protect: TypeAlias = Literal["databases", "all", "none"]


@dataclass(frozen=True)
class DeclaredResource:
    """
    A resource of the program.

    Attributes:
        kind: Its kind, for instance `Container`.
        name: Its name in the program, unique among those of its kind.
        id: Its id, for `pulumi import`.
        inputs: Its inputs in snake case.
        protect: Whether Pulumi refuses to delete it.
    """

    kind: str
    name: str
    id: str
    inputs: Mapping[str, Value]
    protect: bool = False


@dataclass(frozen=True)
class LeftOut:
    """
    An object that the program does not declare.

    Attributes:
        what: A description of the object.
        reason: Why it is left out.
        unread: Whether it is left out because something could not be read, or has an unknown value.
    """

    what: str
    reason: str
    unread: bool = False


@dataclass(frozen=True)
class ScaffoldPlan:
    """
    The content of a program.

    Attributes:
        declared: Its resources, containers first.
        left_out: The chosen objects that the program does not declare.
    """

    declared: tuple[DeclaredResource, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything in the account could be read and has known values."""
        return not any(one.unread for one in self.left_out)

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of resources of each kind."""
        return Counter(one.kind for one in self.declared)


def chosen(
    containers: Iterable[Container], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[Container]:
    """Return the containers whose names match `include` but not `exclude`, sorted by name."""
    matching = [
        container
        for container in containers
        if (not include or _matches(container, include)) and not _matches(container, exclude)
    ]
    return sorted(matching, key=lambda container: ((container.name or "").casefold(), container.id))


def _matches(container: Container, patterns: Sequence[str]) -> bool:
    name = (container.name or container.id).casefold()
    return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)


def plan(
    containers: Sequence[Container],
    belongings: Mapping[str, Belongings],
    everything: Iterable[Container] | None = None,
    *,
    owned: Collection[tuple[str, str]] = (),
    protect: Protect = "databases",
) -> ScaffoldPlan:
    """Return the program that adopts these containers, and their child objects that no stack owns."""
    maker = _Maker(list(containers if everything is None else everything), owned, protect)
    for container in containers:
        maker.container(container, belongings.get(container.id))
    for container in containers:
        has = belongings.get(container.id)
        if has is not None and container.id in maker.names:
            maker.children(container, has)
    order = ("Container", "Connection", "AllowedIp", "VpnClient", "PinnedBackup")
    maker.declared.sort(key=lambda one: order.index(one.kind))
    return ScaffoldPlan(tuple(maker.declared), tuple(maker.left_out))


def without_duplicate(base: str, is_taken: Callable[[str], bool], joint: str = "-") -> str:
    """Return the name; if it is taken, the first free number is added."""
    numbered = (f"{base.rstrip(joint)}{joint}{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([base], numbered) if not is_taken(name))


@dataclass
class _Maker:
    everything: Sequence[Container]
    owned: Collection[tuple[str, str]]
    """Kind and id of each child object that has an owner."""
    protect: Protect
    names: dict[str, str] = field(default_factory=dict)
    """Container id -> its resource name."""
    declared: list[DeclaredResource] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _taken: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._times = Counter((container.name or "").casefold() for container in self.everything)

    def container(self, container: Container, has: Belongings | None) -> None:
        """Declare a container, or record why it is left out."""
        name, template = container.name, _template(container)
        what = f"container {name or container.id}"
        if has is not None and has.deleted:
            self._leave_out(what, "it was deleted while the account was read")
            return
        if name is None or template is None or not template.strip():
            self._leave_out(
                what, f"the API does not show its {'name' if name is None else 'template'}", unread=True
            )
            return
        if container.status is None or not is_known_status(container.status):
            self._leave_out(what, _unknown(container.status), unread=True)
            return
        reason = why_not(container)
        if self._times[name.casefold()] > 1:
            reason = (
                "its name and another container's name differ only in upper and lower case, "
                "which the provider ignores"
            )
        if reason is not None:
            self._leave_out(what, reason)
            return
        inputs: dict[str, Value] = {"name": name, "template": template}
        if template != catalog.VPN_TEMPLATE and container.plan is not None:
            inputs["plan"] = container.plan
            size = catalog.PLANS.get(container.plan)
            tier = catalog.added_tier(size, container.storage_mb)
            if tier and not catalog.is_database(template) and not catalog.is_micro(template, container.plan):
                inputs["additional_storage_tier"] = tier
        is_open = None if has is None else has.access.enabled
        is_open = container.external_access if is_open is None else is_open
        known = catalog.TEMPLATES.get(template)
        # A container whose template is not in the catalogue may also hold data.
        has_data = known is None or bool(known.data)
        # Policies refuse an adopted container with data if the program does not set its external access.
        if is_open or (is_open is False and has_data):
            inputs["external_access"] = is_open
        inputs["adopt"] = "if_matching"
        self.names[container.id] = self._declare("Container", name, container.id, inputs, has_data=has_data)

    def children(self, container: Container, has: Belongings) -> None:
        """Declare the child objects of a container. A connection belongs to its source."""
        self._connections(container, has.connections)
        declared = {one.name for one in self.everything if one.id in self.names}
        for row in has.incoming:
            if row.source_name not in {None, *declared}:
                what = f"connection {row.name or row.id} to {container.name}"
                self._leave_out(what, f"it belongs to its source, {row.source_name}")
        self._allowed_ips(container, has.access)
        own = Reference(self.names[container.id])
        for gap in has.gaps:
            self._leave_out(f"the unreadable parts of {container.name}", gap, unread=True)
        for client in has.vpn_clients:
            if self._is_owned("VpnClient", container, client.name):
                continue
            what = f"VPN client {client.name} of {container.name}"
            if client.name == "default":
                self._leave_out(what, "the platform created it with the container")
            elif not client.name.strip() or client.name in {".", ".."}:
                self._leave_out(what, "its name is blank or consists of dots")
            else:
                inputs: dict[str, Value] = {"container": own, "name": client.name, "adopt": "if_matching"}
                self._declare(
                    "VpnClient", f"{container.name}-{client.name}", f"{container.id}/{client.name}", inputs
                )
        for backup in has.backups:
            if self._is_owned("PinnedBackup", container, backup.id):
                continue
            what = f"backup {backup.id} of {container.name}"
            if backup.status is not None and not is_known_status(backup.status, "backup"):
                self._leave_out(what, _unknown(backup.status), unread=True)
                continue
            if backup.status not in {None, "completed"}:
                self._leave_out(what, f"it is {backup.status}")
                continue
            # Removing the resource from the program must not unpin a backup that a user pinned.
            pinned: dict[str, Value] = {"container": own, "backup_id": backup.id, "on_delete": "keep"}
            self._declare(
                "PinnedBackup", f"{container.name}-{backup.id}", f"{container.id}/{backup.id}", pinned
            )

    def _is_owned(self, kind: str, container: Container, own: object) -> bool:
        return (kind, f"{container.id}/{own}".casefold()) in self.owned

    def _connections(self, container: Container, connections: Iterable[Connection]) -> None:
        for connection in connections:
            if self._is_owned("Connection", container, connection.id):
                continue
            what = f"connection {connection.name or connection.id} of {container.name}"
            target = self._target(connection)
            if target is None or not (connection.name or "").strip() or connection.name is None:
                self._leave_out(what, "the API does not show its name, or which container is its target")
                continue
            leads_to = self.names.get(target.id)
            inputs: dict[str, Value] = {
                "source": Reference(self.names[container.id]),
                "target": target.id if leads_to is None else Reference(leads_to),
                "name": connection.name,
                "adopt": "if_matching",
            }
            self._declare(
                "Connection", f"{container.name}-to-{target.name}", f"{container.id}/{connection.id}", inputs
            )

    def _target(self, connection: Connection) -> Container | None:
        if connection.target_id is not None:
            return next((one for one in self.everything if one.id == connection.target_id), None)
        name = (connection.target_name or "").casefold()
        return next((one for one in self.everything if name and (one.name or "").casefold() == name), None)

    def _allowed_ips(self, container: Container, access: ExternalAccess) -> None:
        entries = access.allowed_ips
        times = Counter(canonical_network(entry.ip_address) for entry in entries)
        placeholder = any(entry.description == PLACEHOLDER for entry in entries)
        for entry in entries:
            address = canonical_network(entry.ip_address)
            if self._is_owned("AllowedIp", container, address or entry.ip_address):
                continue
            what = f"allowed address {entry.ip_address} of {container.name}"
            if is_auto_added(access, entry):
                self._leave_out(what, "the platform added it when external access was turned on")
            elif address is None:
                self._leave_out(what, "it is not an address")
            elif times[address] > 1:
                self._leave_out(
                    what, "it is in the list more than once, so adopting it would remove the other entries"
                )
            elif placeholder:
                self._leave_out(
                    what, f'the list has a leftover entry "{PLACEHOLDER}", which adopting would remove'
                )
            elif entry.service_type not in {None, "http", "tcp", "both"}:
                self._leave_out(what, f"its service type {entry.service_type!r} is unknown")
            elif entry.description is not None and entry.description and not entry.description.strip():
                self._leave_out(what, "its description is blank, so adopting it would change the description")
            else:
                own = Reference(self.names[container.id])
                inputs: dict[str, Value] = {"container": own, "ip_address": address, **said_of(entry)}
                inputs["adopt"] = "if_matching"
                self._declare("AllowedIp", f"{container.name}-{address}", f"{container.id}/{address}", inputs)

    def _declare(
        self, kind: str, wish: str, id_: str, inputs: Mapping[str, Value], *, has_data: bool = False
    ) -> str:
        # The name is valid in every language and in a URN, and unique among the resources of its kind.
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", wish).strip("-")[:80] or kind.lower()
        name = without_duplicate(base, lambda name: (kind, name.casefold()) in self._taken)
        self._taken.add((kind, name.casefold()))
        protect = self.protect == "all" or (self.protect == "databases" and has_data)
        self.declared.append(DeclaredResource(kind, name, id_, inputs, protect))
        return name

    def _leave_out(self, what: str, reason: str, *, unread: bool = False) -> None:
        self.left_out.append(LeftOut(what, reason, unread))


def _unknown(status: str | None) -> str:
    """Return why an object with an unknown status is left out."""
    return (
        "the API does not show its status"
        if status is None
        else f"its status {status} is not in the API guide"
    )


def _template(container: Container) -> str | None:
    """Return the template as a program must write it, because the list may omit `stacks-`."""
    told = container.template
    if told is None or told in catalog.TEMPLATES:
        return told
    return f"stacks-{told}" if f"stacks-{told}" in catalog.TEMPLATES else told


def why_not(container: Container) -> str | None:
    """Return why a container cannot be adopted unchanged; `None` if it can."""
    if container.status == "error":
        return "its status is error, so adopting it would start it: start or delete it first"
    if container.status not in _SETTLED:
        return f"it is {container.status}: try again when it is running or stopped"
    if container.name is not None and catalog.name_faults(container.name):
        return "the API does not accept its name for a new container"
    return None


_RESERVED: Final = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "pulumi", "stacks"})


def literal(value: str | int | bool) -> str:
    """Return a value as a Python literal, in the double quotes that formatters prefer."""
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and not {'"', "'"} & set(value) else text


def variables_of(names: Iterable[str]) -> dict[str, str]:
    """Return a similar variable name for each name. No variable shadows a Python name, and no two are equal."""
    variables: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if not base or base[0].isdigit():
            base = f"container_{base}".rstrip("_")
        if base in _RESERVED:
            base = f"{base}_"
        variables[name] = without_duplicate(base, {*variables.values()}.__contains__, "_")
    return variables


Language: TypeAlias = Literal["python", "yaml"]
LANGUAGES: Final[tuple[Language, ...]] = ("python", "yaml")

_ABOUT: Final = "Adopts containers of a STACKS account."
_IMPORT: Final = "import.json"
FILES: Final[Mapping[Language, tuple[str, ...]]] = {
    "python": ("Pulumi.yaml", "__main__.py", "requirements.txt", "requirements.lock", _IMPORT),
    "yaml": ("Pulumi.yaml", _IMPORT),
}
"""The names of the program's files, by language."""
_PLAIN: Final = re.compile(r"[A-Za-z$][A-Za-z0-9_:./{}$ -]*")


def files(plan: ScaffoldPlan, language: Language, project: str, base_url: str) -> dict[str, str]:
    """Return the files of the program, keyed by name."""
    head: dict[str, Any] = {
        "name": project,
        "description": _ABOUT,
        "runtime": language,
        "requiredPulumiVersion": f">={OLDEST_ENGINE}",
    }
    if base_url != DEFAULT_BASE_URL:
        # Write the address into the project, so that a later `up` without the environment variable uses the same
        # account.
        head["config"] = {"stacks:baseUrl": {"value": base_url}}
    if language == "yaml":
        return {"Pulumi.yaml": _yaml({**head, "resources": _yaml_resources(plan)}), _IMPORT: _import(plan)}
    return {
        "Pulumi.yaml": _yaml(head),
        "__main__.py": _python(plan),
        _IMPORT: _import(plan),
    }


# --- Python ---


def _python(plan: ScaffoldPlan) -> str:
    used = {
        value.name for one in plan.declared for value in one.inputs.values() if isinstance(value, Reference)
    }
    variables = variables_of(
        one.name for one in plan.declared if one.kind == "Container" and one.name in used
    )
    imports = ["import pulumi"] if any(one.protect for one in plan.declared) else []
    if plan.declared:
        imports.append("import stacks_pulumi as stacks")
    lines = [f'"""{_ABOUT}"""', "", *imports, ""]
    for one in plan.declared:
        lines += _call(one, variables)
    return "\n".join(lines).rstrip("\n") + "\n"


def _call(one: DeclaredResource, variables: Mapping[str, str]) -> list[str]:
    variable = f"{variables[one.name]} = " if one.kind == "Container" and one.name in variables else ""
    # A comma after the last argument keeps each argument on its own line, whatever line length the formatter uses.
    lines = [f"{variable}stacks.{one.kind}(", f"    {literal(one.name)},"]
    lines += [f"    {name}={_argument(value, variables)}," for name, value in one.inputs.items()]
    if one.protect:
        lines.append("    opts=pulumi.ResourceOptions(protect=True),")
    return [*lines, ")"]


def _argument(value: Value, variables: Mapping[str, str]) -> str:
    return variables[value.name] if isinstance(value, Reference) else literal(value)


# --- YAML ---


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml  # noqa: PLC0415  (it comes with an extra)

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # The engine reads YAML 1.2, which treats more words as numbers than PyYAML does, for instance `1e3`.
        style = None if _PLAIN.fullmatch(value) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    # Characters outside of ASCII are escaped, so that the program contains no invisible characters.
    return yaml.dump(dict(document), Dumper=Dumper, sort_keys=False, width=1000)


def _yaml_resources(plan: ScaffoldPlan) -> dict[str, Any]:
    """Return the resources, keyed by name. YAML needs names that are unique among all kinds."""
    names: dict[tuple[str, str], str] = {}
    taken = {"pulumi"}
    for one in plan.declared:
        name = without_duplicate(re.sub(r"[^A-Za-z0-9_-]", "-", one.name), taken.__contains__)
        taken.add(name)
        names[one.kind, one.name] = name
    resources = {}
    for one in plan.declared:
        resource: dict[str, Any] = {"type": f"{NATIVE}{one.kind}", "name": one.name}
        resource["properties"] = {
            camel_case(name): _property(value, names) for name, value in one.inputs.items()
        }
        if one.protect:
            resource["options"] = {"protect": True}
        resources[names[one.kind, one.name]] = resource
    return resources


def _property(value: Value, names: Mapping[tuple[str, str], str]) -> str | int | bool:
    if isinstance(value, Reference):
        return f"${{{names['Container', value.name]}.id}}"
    # A dollar sign is written twice, because a single one could begin an expression.
    return value.replace("$", "$$") if isinstance(value, str) else value


# --- pulumi import ---


def _import(plan: ScaffoldPlan) -> str:
    resources = [{"type": f"{NATIVE}{one.kind}", "name": one.name, "id": one.id} for one in plan.declared]
    return as_json({"resources": resources})


def project_name(folder: Path) -> str:
    """Return a valid Pulumi project name, derived from the name of a folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.")
    return name[:100] or "stacks-account"
