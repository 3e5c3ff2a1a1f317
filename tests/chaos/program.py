"""The program that chaos writes: resources are added, changed and removed, and the program stays valid."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from tests.chaos.ministack import Declared, Ref

__all__ = ["DELETE_FIRST", "KINDS", "RETAIN", "Program"]

NAMES = ("apple", "birch", "cedar", "daisy")
TEMPLATES = ("nodejs", "python", "postgresql")
ADDRESSES = ("198.51.100.1", "198.51.100.0/24", "2001:db8::1", "203.0.113.9")
KINDS = ("AllowedIp", "Connection", "PinnedBackup", "VpnClient", "SshCertificate")
VPN = "vine"
COMPONENT = "tests:index:Box"
RETAIN, DELETE_FIRST = "retain_on_delete", "delete_before_replace"


class Program:
    """
    The resources by name, each after those that it needs.

    Args:
        deleted_with: Whether the children of a container leave the state with it, without a call.

    Attributes:
        transform: What a transform of the program sets: `delete_before_replace` for all resources, `retain_on_delete`
            for containers, or nothing.
    """

    def __init__(self, *, deleted_with: bool = True) -> None:
        self._declared: dict[str, dict[str, Any]] = {}
        self._deleted_with = deleted_with
        self._numbers = itertools.count(1)
        self._left_out: tuple[str, str] | None = None
        self.transform = ""

    def __iter__(self) -> Iterator[Declared]:
        for name, found in self._declared.items():
            yield Declared(
                found["kind"],
                name,
                dict(found["inputs"]),
                parent=found["parent"] if self._deleted_with else None,
                component=found["component"],
                alias=found["alias"],
                retain=found["retain"] or (self.transform == RETAIN and found["kind"] == "Container"),
                delete_first=self.transform == DELETE_FIRST,
            )

    def __len__(self) -> int:
        return len(self._declared)

    def names(self, kind: str | None = None) -> list[str]:
        """Return the names of all resources, or of those of a kind."""
        return [name for name, found in self._declared.items() if kind in {None, found["kind"]}]

    def inputs(self, name: str) -> dict[str, Any]:
        """Return the inputs of a resource; the caller may change them."""
        found: dict[str, Any] = self._declared[name]["inputs"]
        return found

    def containers(self, *, vpn: bool) -> list[str]:
        """Return the names of the containers that are, or are not, a VPN."""
        return [name for name in self.names("Container") if self._is_vpn(name) is vpn]

    def add_container(self, name: str, template: str) -> None:
        """Declare a container with the desired status running, which may be replaced."""
        given = {"template": "stacks-vpn" if name == VPN else template, "name": name}
        self._add("Container", name, {**given, "desired_status": "running", "replace_on_change": True}, None)

    def add_child(self, kind: str, pick: int, variant: int) -> None:
        """Declare a child resource, if the program has a container for it."""
        owners = self.containers(vpn=kind == "VpnClient")
        if not owners:
            return
        owner = owners[pick % len(owners)]
        if kind == "Connection":
            self._add_connection(owner, owners[(pick + 1 + variant) % len(owners)])
        elif kind == "AllowedIp":
            self.inputs(owner)["external_access"] = True
            number = variant % len(ADDRESSES)
            inputs = {"container": Ref(owner), "ip_address": ADDRESSES[number]}
            self._add(kind, f"{owner}-ip{number}", inputs, owner)
        elif kind == "VpnClient":
            self._add(kind, f"device{variant}", {"container": Ref(owner), "name": f"device{variant}"}, owner)
        elif kind == "PinnedBackup":
            on_delete = ("unpin", "delete")[variant % 2]
            given = {"container": Ref(owner), "triggers": ["1"], "on_delete": on_delete}
            self._add(kind, f"{owner}-backup", given, owner)
        elif self.inputs(owner)["template"] != "postgresql":
            self._add(kind, f"{owner}-key", {"container": Ref(owner), "rotate_triggers": ["1"]}, owner)

    def change(self, pick: int, variant: int) -> None:
        """Change one resource in a way that its kind allows."""
        if not self._declared:
            return
        name = self.names()[pick % len(self)]
        inputs = self.inputs(name)
        kind = self._declared[name]["kind"]
        if kind == "Container":
            self._change_container(name, variant)
        elif kind == "AllowedIp":
            inputs["description"] = f"description {variant}"
        elif kind == "PinnedBackup":
            inputs["triggers"] = [str(variant)]
        elif kind in {"VpnClient", "SshCertificate"}:
            inputs["rotate_triggers"] = [str(variant)]
        else:
            inputs["name"] = f"link{variant}-{name}"

    def rename(self, pick: int, *, alias: bool, replaced: bool) -> str | None:
        """
        Give a resource another name in the program; the object in the account keeps its name.

        Args:
            pick: A number that selects the resource.
            alias: Whether the program declares the earlier name as an alias.
            replaced: Whether an input changes as well, so that it is replaced.

        Returns:
            The new name; `None` if there is nothing to rename, or its last rename is not carried out yet.
        """
        if not self._declared:
            return None
        old = self.names()[pick % len(self)]
        found = self._declared[old]
        if found["alias"] is not None:
            return None
        new = f"{re.sub(r'-r[0-9]+$', '', old)}-r{next(self._numbers)}"
        found["alias"] = (old, found["component"])
        self._declared = {new if name == old else name: it for name, it in self._declared.items()}
        for other in self._declared.values():
            other["parent"] = new if other["parent"] == old else other["parent"]
            other["inputs"] = {
                key: Ref(new) if value == Ref(old) else value for key, value in other["inputs"].items()
            }
        if replaced:
            self._replace(new)
        if not alias:
            self._left_out, found["alias"] = found["alias"], None
        return new

    def remember(self, name: str) -> None:
        """Add the alias that a rename left out."""
        if name in self._declared:
            self._declared[name]["alias"] = self._left_out

    def move(self, pick: int) -> None:
        """Move a resource into a component, or out of it."""
        if self._declared:
            name = self.names()[pick % len(self)]
            found = self._declared[name]
            if found["alias"] is None:
                found["alias"] = (name, found["component"])
                found["component"] = "" if found["component"] else COMPONENT

    def retain(self, pick: int) -> None:
        """Switch `retain_on_delete` of a resource on or off."""
        if self._declared:
            found = self._declared[self.names()[pick % len(self)]]
            found["retain"] = not found["retain"]

    def settled(self) -> None:
        """Note that an `up` has carried out all renames and moves."""
        for found in self._declared.values():
            found["alias"] = None

    def remove(self, pick: int) -> None:
        """Remove one resource, and those that need it."""
        if self._declared:
            self._remove(self.names()[pick % len(self)])

    def _remove(self, name: str) -> None:
        for declared in list(self):
            if name in declared.needs and declared.name in self._declared:
                self._remove(declared.name)
        del self._declared[name]

    def _change_container(self, name: str, variant: int) -> None:
        inputs = self.inputs(name)
        if variant % 4 == 0 and not self._is_vpn(name) and not self._has(name, "SshCertificate"):
            inputs["template"] = TEMPLATES[(TEMPLATES.index(inputs["template"]) + 1) % len(TEMPLATES)]
        elif variant % 4 == 1 and not self._has(name, "AllowedIp"):
            inputs["external_access"] = not inputs.get("external_access", False)
        else:
            inputs["restart_triggers"] = [str(variant)]

    def _replace(self, name: str) -> None:
        found, number = self._declared[name], next(self._numbers)
        if found["kind"] == "Container":
            # One that is retained keeps its name, which a new one cannot have.
            if not found["retain"]:
                self._change_container(name, 0)
        elif found["kind"] == "AllowedIp":
            found["inputs"]["ip_address"] = f"192.0.2.{150 + number % 100}"
        elif found["kind"] in {"VpnClient", "Connection"}:
            found["inputs"]["name"] = f"again{number}"
        elif found["kind"] == "PinnedBackup":
            found["inputs"]["triggers"] = [f"again{number}"]

    def _is_vpn(self, name: str) -> bool:
        return bool(self.inputs(name)["template"] == "stacks-vpn")

    def _has(self, container: str, kind: str) -> bool:
        return any(declared.kind == kind and container in declared.needs for declared in self)

    def _add_connection(self, source: str, target: str) -> None:
        if source != target:
            name = f"{source}-to-{target}"
            self._add(
                "Connection", name, {"source": Ref(source), "target": Ref(target), "name": name}, source
            )

    def _add(self, kind: str, name: str, inputs: dict[str, Any], parent: str | None) -> None:
        if any(
            found["kind"] == kind and _identity(kind, found["inputs"]) == _identity(kind, inputs)
            for found in self._declared.values()
        ):
            # The program has it under another name: two resources for one object cannot work.
            return
        found = {"kind": kind, "inputs": inputs, "parent": parent}
        self._declared.setdefault(name, {**found, "component": "", "alias": None, "retain": False})


def _identity(kind: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
    """What there can be one of."""
    keys = {
        "Container": ("name",),
        "AllowedIp": ("container", "ip_address"),
        "Connection": ("source", "target"),
        "VpnClient": ("container", "name"),
        "BackupRestore": ("backup_id",),
    }
    return tuple(inputs[key] for key in keys.get(kind, ("container",)))
