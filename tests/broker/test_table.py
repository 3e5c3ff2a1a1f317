"""
Every line of the table of permits is needed: without it, the broker refuses a request of the provider.

Each line has a story: the provider changes one object through a broker, with the grant of that change. With the whole
table nothing is refused. The line is then removed from the table's code in memory, and the same story is refused.
`make test-all ARGS="--granted tests/engine"` shows that the table is complete.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import pytest

from stacks_pulumi._identifiers import camel_case
from stacks_pulumi.api.models import Container, VpnClient
from stacks_pulumi.gate import permits
from stacks_pulumi.gate.change import Change, Operation
from stacks_pulumi.resources._address_list import PLACEHOLDER
from tests.broker.conftest import Bench
from tests.host.conftest import PATIENT
from tests.support import host as hosts
from tests.support.clock import SPEED, fast_wall
from tests.support.host import PROMPT, CallFailedError, Host, HostedResource, PluginHost
from tests.support.waiting import until

Needed: TypeAlias = Callable[..., permits.Needed]
"""A function that reads a table."""
TABLE: Final = Path(inspect.getfile(permits))
NEVER: Final = 1_000_000.0
"""Seconds after which a backup is complete that a story must not wait for."""


def refuse_twice(bench: Bench, _names: Mapping[str, str]) -> None:
    """Refuse an entry of an address, and again after the old entry was removed."""
    bench.emulator.faults.add("allowed_ips.add", 409, 2)


def let_in_nobody_else(bench: Bench, names: Mapping[str, str]) -> None:
    """Let the list have only the address of the story."""
    for entry in [*bench.emulator.state.containers[names["web"]].allowed_ips]:
        if entry.ip_address != OFFICE["ip_address"]:
            bench.emulator.drift.remove_ip(names["web"], entry.ip_address)


def refuse_beside_the_only_one(bench: Bench, names: Mapping[str, str]) -> None:
    """Let the list have only the address of the story, and refuse a second entry of it."""
    let_in_nobody_else(bench, names)
    bench.emulator.faults.add("allowed_ips.add", 409)


def leave_a_placeholder(bench: Bench, names: Mapping[str, str]) -> None:
    """Leave the placeholder of an earlier change, which was killed."""
    bench.emulator.drift.allow_ip(names["web"], **PLACEHOLDER)


def never_complete_a_backup(bench: Bench, _names: Mapping[str, str]) -> None:
    """Let a backup take longer than any test."""
    pace = bench.emulator.platform.pace
    bench.emulator.platform.pace = dataclasses.replace(pace, backup_seconds=NEVER)


@dataclass(frozen=True)
class Story:
    """
    What happens to one object.

    Attributes:
        kind: Its kind.
        before: Its inputs before; `None` if it is created. A name in braces is the id of a container.
        after: Its inputs after; `None` if it is deleted.
        given: What happens in the account before the change.
        fails: Whether the change fails even with the whole table.
        abandoned: Whether the engine is killed during the creation.
    """

    kind: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    given: Callable[[Bench, Mapping[str, str]], None] | None = None
    fails: bool = False
    abandoned: bool = False


WEB: Final = {"template": "nodejs", "plan": "basic"}
LINK: Final = {"source": "{web}", "target": "{data}", "name": "primary"}
OFFICE: Final = {"container": "{web}", "ip_address": "198.51.100.7", "description": "office"}
PIN: Final = {"container": "{data}"}
KEY: Final = {"container": "{web}"}
LAPTOP: Final = {"container": "{vpn}", "name": "laptop"}
MOVED: Final = {**OFFICE, "description": "the office"}
STORIES: Final = {
    "_container: delete {name}": Story("Container", WEB, None),
    "_container: create {name}": Story("Container", None, WEB),
    "_container: start {name}, if it has failed or is stopped": Story(
        "Container", {**WEB, "desired_status": "stopped"}, {**WEB, "desired_status": "running"}
    ),
    "_container: words": Story(
        "Container", {**WEB, "external_access": False}, {**WEB, "external_access": True}
    ),
    "_container: restart {name}": Story("Container", WEB, {**WEB, "restart_triggers": ["1"]}),
    "_container: stop {name}": Story("Container", WEB, {**WEB, "desired_status": "stopped"}),
    "_connection: remove {change.name}": Story("Connection", LINK, None),
    "_connection: connect {change.name}": Story("Connection", None, {**LINK, "restart_source": False}),
    "_connection: restart the source of a new connection": Story("Connection", None, LINK),
    "_allowed_ip: allow {name}": Story("AllowedIp", None, OFFICE),
    "_allowed_ip: remove other entries of the address of {name}": Story("AllowedIp", OFFICE, MOVED),
    "_allowed_ip: add the old entry of {name} again, if the change is refused": Story(
        "AllowedIp", OFFICE, MOVED, refuse_twice, fails=True
    ),
    "_allowed_ip: remove the address that the platform adds for the caller": Story(
        "AllowedIp", None, {**OFFICE, "revoke_auto_added": True}
    ),
    "_allowed_ip: remove {name}": Story("AllowedIp", OFFICE, None),
    "_allowed_ip: turn external access off, if {name} is the last address": Story(
        "AllowedIp", OFFICE, None, let_in_nobody_else
    ),
    "_placeholder: add a placeholder address, which no machine has (RFC 5737)": Story(
        "AllowedIp",
        OFFICE,
        MOVED,
        refuse_beside_the_only_one,
    ),
    "_placeholder: remove the placeholder address": Story(
        "AllowedIp",
        OFFICE,
        MOVED,
        leave_a_placeholder,
    ),
    "_pinned_backup: {ending} {name}": Story("PinnedBackup", PIN, None),
    "_pinned_backup: make the backup {name}": Story("PinnedBackup", None, PIN),
    "_pinned_backup: pin {name}": Story("PinnedBackup", None, PIN),
    "_pinned_backup: unpin {name}, if it is not kept": Story(
        "PinnedBackup", None, PIN, never_complete_a_backup, abandoned=True
    ),
    "_pinned_backup: pin {name} (2)": Story("PinnedBackup", None, {**PIN, "backup_id": "{backup}"}),
    "_backup_restore: restore {change.name}": Story("BackupRestore", None, {"backup_id": "{backup}"}),
    "_ssh_certificate: containers.certificate": Story("SshCertificate", None, KEY),
    "_ssh_certificate: create a new SSH key for {change.name}": Story(
        "SshCertificate", KEY, {**KEY, "rotate_triggers": ["1"]}
    ),
    "_vpn_client: remove {change.name}": Story("VpnClient", LAPTOP, None),
    "_vpn_client: add {change.name}": Story("VpnClient", None, {**LAPTOP, "store_config": False}),
    "_vpn_client: vpn_clients.config": Story("VpnClient", None, LAPTOP),
}
"""The line of the table, as `calls` names it -> its story."""
HOSTS: Final = ["dynamic", pytest.param("native", marks=pytest.mark.extra)]
READ: Final = "needed: READS[class_]"
"""The line for what a function of a program reads, which no object of a stack does."""


class Scene:
    """
    An account with a container of each sort that a story needs, and the host of the story's object.

    Args:
        bench: The broker.
        number: Makes the names unique.
        host: The host.
    """

    def __init__(self, bench: Bench, number: int, host: type[Host]) -> None:
        self._bench, self._name, self._kind = bench, f"it{number}", host
        bench.emulator.platform.pace = dataclasses.replace(bench.emulator.platform.pace, backup_seconds=1)
        web = bench.made(f"web{number}", allowed_ips=["203.0.113.5"])
        data = bench.made(f"data{number}", template="redis", backups=1)
        vpn = bench.made(f"vpn{number}", template="stacks-vpn", plan=None)
        backup = max(bench.emulator.state.backups)
        self._names = {"web": web["id"], "data": data["id"], "vpn": vpn["id"], "backup": str(backup)}

    def refused(self, story: Story, needed: Needed) -> list[str]:
        """Return what the broker refuses of a story, which has the grant that a table says."""
        with self._host(self._bench.emulator.key, self._bench.emulator.url) as host:
            it = host.resource(story.kind, self._name)
            if story.before is not None:
                it.up(**self._inputs(story.before))
            after = {} if story.after is None else it.checked(**self._inputs(story.after))
        if story.given is not None:
            story.given(self._bench, self._names)
        answer = self._bench.hand_in(self._planned(it, after, needed), "ann")
        if answer.status_code != 201:
            return [answer.text]
        failed = ""
        with self._host(answer.json()["token"], self._bench.url) as it.host:
            try:
                self._change(it, after, story)
            except CallFailedError as error:
                failed = error.message
        refused = [f"{row['method']} {row['path']}: {failed}" for row in self._bench.journal("grant-refused")]
        assert refused or bool(failed) == story.fails, failed
        return refused

    def _planned(self, it: HostedResource, after: Mapping[str, Any], needed: Needed) -> dict[str, Any]:
        """Return the change that a table makes of what happens to the object."""
        operation: Operation = "create" if not it.id else "update" if after else "delete"
        change = Change(
            it.urn,
            f"{it.host.type_prefix}{it.kind}",
            it.kind,
            operation,
            before=self._shown(it.inputs),
            after=self._shown(after),
            outputs=self._shown(it.outs),
            id=it.id,
        )
        client = self._bench.reader()
        rows = client("GET", "/containers").json()["data"]

        def clients(container: str) -> list[VpnClient]:
            listed = client("GET", f"/containers/{container}/vpn-clients").json()["data"]
            return [msgspec.convert(row, VpnClient) for row in listed]

        found = needed([change], [msgspec.convert(row, Container) for row in rows], (), clients)
        return {**self._bench.change(), **msgspec.to_builtins(found._asdict())}

    def _shown(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return properties with the names that a preview of this host has."""
        is_native = self._kind is PluginHost
        return {camel_case(name) if is_native else name: value for name, value in properties.items()}

    def _change(self, it: HostedResource, after: Mapping[str, Any], story: Story) -> None:
        if story.abandoned:
            calls = self._bench.emulator.calls
            made, ended = calls("backups.trigger"), calls("backups.unpin")
            it.abandon_create(after, lambda: calls("backups.trigger") > made)
            until(lambda: calls("backups.unpin") > ended or self._refusals())
        elif not it.id:
            it.create(after)
        elif after:
            it.update(after)
        else:
            it.delete()

    def _refusals(self) -> int:
        return len(self._bench.journal("grant-refused"))

    def _inputs(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names = {"name": self._name} if "template" in given else {}
        return {
            **names,
            **{
                name: value.format_map(self._names) if isinstance(value, str) else value
                for name, value in given.items()
            },
        }

    @contextlib.contextmanager
    def _host(self, key: str, url: str) -> Iterator[Host]:
        config = {**PROMPT, "stacks:apiKey": key, "stacks:baseUrl": url}
        host = self._kind(config, None, SPEED, fast_wall(), PATIENT)
        try:
            yield host
        finally:
            host.stop()


@functools.cache
def calls() -> dict[str, int]:
    """Return the calls that add to the table: the function, and what it says to an approver -> the line."""
    found: dict[str, int] = {}
    body = ast.parse(TABLE.read_text(encoding="utf-8")).body
    for function in (one for one in body if isinstance(one, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and (said := _said(node)):
                name = f"{function.name}: {said}"
                found[f"{name} (2)" if name in found else name] = node.lineno
    return found


def _said(call: ast.Call) -> str:
    """Return why a call adds a permit, or the endpoint of a secret; empty for other calls."""
    function = ast.unparse(call.func)
    if function == "table.secrets.append":
        (secret,) = call.args
        assert isinstance(secret, ast.Call)
        return ast.unparse(secret.keywords[0].value).strip("'")
    if function not in {"table.add", "table.status"}:
        return ""
    why = next((one.value for one in call.keywords if one.arg == "why"), None) or call.args[2]
    return ast.unparse(why).removeprefix("f").strip("\"'")


def without(line: str) -> Needed:
    """Return the function that reads the table, from its code without a line."""
    number = calls()[line]

    class Remover(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.stmt:
            return ast.copy_location(ast.Pass(), node) if node.lineno == number else node

    tree = Remover().visit(ast.parse(TABLE.read_text(encoding="utf-8")))
    module = types.ModuleType(permits.__name__)
    exec(compile(tree, TABLE, "exec"), vars(module))
    return module.needed  # type: ignore[no-any-return]  # mypy does not see the names of this module


def test_each_line_of_the_table_has_a_story() -> None:
    assert {*STORIES, READ} == calls().keys()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("line", STORIES)
def test_without_a_line_of_the_table_its_story_is_refused(bench: Bench, line: str, host: str) -> None:
    assert Scene(bench, 1, hosts.HOSTS[host]).refused(STORIES[line], permits.needed) == []
    assert Scene(bench, 2, hosts.HOSTS[host]).refused(STORIES[line], without(line))


def test_without_its_line_a_function_of_a_program_cannot_read_a_secret(bench: Bench) -> None:
    web = bench.made("web")
    type_ = f"{Host.type_prefix}Container"
    change = Change(f"urn:pulumi:prod::shop::{type_}::web", type_, "Container", "same", id=web["id"])

    def status(needed: Needed) -> int:
        found = needed([change], [msgspec.convert(web, Container)], [("web", "credentials")])
        answer = bench.hand_in({**bench.change(), **msgspec.to_builtins(found._asdict())}, "ann")
        return bench.client(answer.json()["token"])("GET", f"/containers/{web['id']}/credentials").status_code

    assert (status(permits.needed), status(without(READ))) == (200, 403)
