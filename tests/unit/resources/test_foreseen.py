"""The outputs that an update may change: the table of each kind, the preview, and the outputs that an update keeps."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from stacks_pulumi._identifiers import snake_case
from stacks_pulumi.hosts.plugin.wire import parsed
from stacks_pulumi.pricing.recognition import NATIVE, is_unknown
from stacks_pulumi.resources import _fields, _validators
from stacks_pulumi.resources._fields import checked
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._values import UNKNOWN, plain, secret
from stacks_pulumi.resources.handlers import HANDLERS

KEY, OTHER = "sk_stacks_" + "0" * 64, "sk_stacks_" + "1" * 64
CONTAINER = {"name": "web", "template": "nodejs", "plan": "basic", "monthly_price_usd": 4.0}
RUNS = {**CONTAINER, "status": "running", "internal_host": "usr-1-web", "cpu": 1.0, "url": "web-1.example"}


def handler(kind: str, key: str = KEY) -> ResourceHandler:
    """Return a handler that is configured for an account."""
    made = HANDLERS[kind]()
    made.configure({"stacks:apiKey": key}.get)
    return made


def shown(kind: str, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs in the preview of an update."""
    return handler(kind).at_update(olds, news, "usr-1-sql/7" if kind == "PinnedBackup" else "usr-1-web")


@pytest.mark.parametrize("kind", HANDLERS)
def test_the_table_has_every_output_of_the_schema_and_its_secrets(kind: str) -> None:
    schema = parsed()["resources"][f"{NATIVE}{kind}"]["properties"]
    described = {snake_case(name): bool(it.get("secret")) for name, it in schema.items()}
    table = {output.name: output.secret for output in HANDLERS[kind].outputs}
    inputs = {field.name for field in HANDLERS[kind].fields if not field.computed}

    assert table.items() <= described.items()
    # A connection and a backup have their own ids, so their state does not contain the container's time.
    assert described.keys() - table.keys() - inputs <= {"origin", "container_created_at"}


@pytest.mark.parametrize("kind", HANDLERS)
def test_only_inputs_and_the_two_other_reasons_change_an_output(kind: str) -> None:
    names = {field.name for field in HANDLERS[kind].fields}

    for output in HANDLERS[kind].outputs:
        assert set(output.changes_with) <= names | {_fields.ANY_UPDATE, _fields.REPAIR}


def test_a_restart_may_change_what_a_start_changes_and_nothing_else() -> None:
    outs = shown("Container", RUNS, {**CONTAINER, "restart_triggers": ["1"]})

    assert {outs[name] for name in ("status", "url", "ip_address", "created_at")} == {UNKNOWN}
    assert (outs["internal_host"], outs["cpu"]) == ("usr-1-web", 1.0)
    assert outs["restart_triggers"] == ["1"]
    assert outs["monthly_price_usd"] == 4.0


@pytest.mark.parametrize(
    ("olds", "news"),
    [({"status": "pending"}, {}), ({"status": "error"}, {}), ({}, {"adopt": "if_matching"})],
    ids=["never ran", "failed", "may be another one"],
)
def test_a_container_that_may_be_repaired_may_change_in_all_respects(
    olds: dict[str, Any], news: dict[str, Any]
) -> None:
    outs = shown("Container", {**RUNS, **olds}, {**CONTAINER, **news})

    assert outs["internal_host"] == outs["cpu"] == UNKNOWN


def test_an_input_that_is_taken_away_is_not_unknown() -> None:
    outs = shown("Container", {**RUNS, "desired_status": "running"}, CONTAINER)

    assert "desired_status" not in outs


def test_a_price_that_depends_on_an_unknown_plan_is_unknown() -> None:
    outs = shown("Container", RUNS, {**CONTAINER, "plan": UNKNOWN, "monthly_price_usd": None})

    assert outs["plan"] == outs["monthly_price_usd"] == UNKNOWN


def test_a_rotated_key_is_an_unknown_secret() -> None:
    state = {"container": "usr-1-web", "rotate_triggers": ["1"], "private_key": "a key"}

    outs = shown("SshCertificate", state, {"container": "usr-1-web", "rotate_triggers": ["2"]})

    assert outs["private_key"] == secret(UNKNOWN)


CLIENT = {"container": "usr-1-vpn", "name": "laptop"}


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        ({"store_config": True, "config": "it"}, {"store_config": True}, secret("it")),
        ({"store_config": False}, {"store_config": True}, secret(UNKNOWN)),
        ({"store_config": True}, {"store_config": True}, secret(UNKNOWN)),
        ({"store_config": True, "config": "it"}, {"store_config": False}, None),
    ],
    ids=["stays", "is added", "is still missing", "is removed"],
)
def test_a_configuration_is_known_only_if_it_stays(
    olds: dict[str, Any], news: dict[str, Any], expected: Any
) -> None:
    assert shown("VpnClient", {**CLIENT, **olds}, {**CLIENT, **news}).get("config") == expected


def test_without_a_configuration_none_is_announced() -> None:
    client = handler("VpnClient")

    assert client.at_create({**CLIENT})["config"] == secret(UNKNOWN)
    assert "config" not in client.at_create({**CLIENT, "store_config": False})


def test_a_pinned_backup_changes_only_its_input() -> None:
    state = {"container": "usr-1-sql", "backup_id": 7, "pinned": True, "status": "completed"}
    news = {"container": "usr-1-sql", "on_delete": "keep"}

    pinned, unpinned = (shown("PinnedBackup", {**state, "pinned": it}, news) for it in (True, False))

    assert (pinned["backup_id"], pinned["status"], pinned["on_delete"]) == (7, "completed", "keep")
    assert unpinned["backup_id"] == unpinned["pinned"] == UNKNOWN


def test_the_variables_of_a_connection_stay_and_are_secret() -> None:
    ends = {"source": "usr-1-app", "target": "usr-1-sql", "name": "db"}
    state = {**ends, "environment_variables": {"DB": "it"}, "restart_pending": True}

    outs = shown("Connection", state, ends)

    assert outs["environment_variables"] == secret({"DB": "it"})
    assert outs["connection_string"] == secret(UNKNOWN)


def test_the_origin_is_known_if_the_key_is_that_of_the_last_change() -> None:
    settings = handler("BackupRestore")._settings
    origin = f"{getattr(settings, 'fingerprint', '')}-00000000"
    state, news = {"backup_id": 1, "origin": origin}, {"backup_id": 2}

    assert shown("BackupRestore", state, news)["origin"] == origin
    assert handler("BackupRestore", OTHER).at_update(state, news)["origin"] == UNKNOWN
    assert HANDLERS["BackupRestore"]().at_update({}, news)["origin"] == UNKNOWN


class Wandering(ResourceHandler):
    """A kind whose update changes all of its outputs."""

    kind: ClassVar = "Wandering"
    owns: ClassVar = False
    fields: ClassVar = (_fields.Field("size", _validators.text, _fields.OnChange.UPDATE),)
    outputs: ClassVar = (
        _fields.Output("fixed", secret=True),
        _fields.Output("sized", ("size",)),
        _fields.Output("any", (_fields.ANY_UPDATE,)),
        _fields.Output("repaired", (_fields.REPAIR,)),
    )

    def on_update(self, session: Any, op: Any, id_: str, olds: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return {**inputs, **{output.name: "new" for output in self.outputs}}


@pytest.mark.parametrize("size", ["1", "2"])
def test_an_update_changes_exactly_what_its_preview_showed_as_unknown(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Wandering()
    state = {"size": "1", **{output.name: "old" for output in made.outputs}}
    monkeypatch.setattr("stacks_pulumi.resources._handler.renewed_origin", lambda *_: "origin")
    session: Any = None
    op: Any = None

    foreseen = made.at_update(state, {"size": size})
    outs = made._change(session, op, "it", state, {"size": size})

    unknown = {name for name, value in foreseen.items() if is_unknown(plain(value))} - {"origin"}
    assert unknown == {name for name, value in outs.items() if value == "new"}
    assert unknown == {"any"} | ({"sized"} if size == "2" else set())
    assert outs["fixed"] == foreseen["fixed"] == secret("old")


def test_a_list_with_an_unknown_value_is_unknown() -> None:
    field = _fields.Field("triggers", _validators.strings, _fields.OnChange.UPDATE)

    assert checked([field], {"triggers": ["1", UNKNOWN]}) == ({"triggers": UNKNOWN}, {})
