"""A child of any kind counts as gone, or as a different child, only with evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from stacks_pulumi.api._call import Answer
from stacks_pulumi.errors import StacksError, UnreadableAnswerError
from stacks_pulumi.platform_file import Lists, PlatformFacts
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._identity import UnseenError
from stacks_pulumi.resources.allowed_ip import AllowedIpHandler
from stacks_pulumi.resources.connection import ConnectionHandler
from stacks_pulumi.resources.pinned_backup import PinnedBackupHandler
from stacks_pulumi.resources.ssh_certificate import SshCertificateHandler
from stacks_pulumi.resources.vpn_client import VpnClientHandler
from tests.unit.api.scripted_api import Reply, data, ok, refusal
from tests.unit.resources.scripted_account import BORN, ScriptedAccount, containers, error_of

MADE = "2027-01-15T08:00:05.000Z"
LATER = "2027-01-15T09:30:00.000Z"
LONG_AGO = "2026-05-16T18:00:00.000Z"


def outgoing(*rows: dict[str, Any]) -> Reply:
    return data({"outgoing": list(rows), "incoming": []})


def incoming(*rows: dict[str, Any]) -> Reply:
    return data({"outgoing": [], "incoming": list(rows)})


LINK = {"id": "c7", "connection_name": "main", "target_name": "db", "created_at": LONG_AGO}


@dataclass(frozen=True)
class Kind:
    """A kind of child: its handler, its state, its row in a list, and its operations."""

    handler: ResourceHandler
    id: str
    olds: dict[str, Any]
    row: dict[str, Any]
    listing: Any
    lists: str
    deletes: str

    def account(self, *looks: Reply, **more: Any) -> ScriptedAccount:
        """Return an account whose list returns these answers in turn."""
        replies: dict[str, Any] = {self.lists.replace(".", "__"): list(looks)}
        replies[self.deletes.replace(".", "__")] = ok({"success": True})
        return ScriptedAccount(**{**replies, **more})

    def shows(self, *rows: dict[str, Any]) -> Reply:
        reply: Reply = self.listing(*rows)
        return reply

    def read(self, account: ScriptedAccount) -> dict[str, Any] | None:
        return self.handler.on_read(account.session, account.op, self.id, dict(self.olds))

    def delete(self, account: ScriptedAccount) -> None:
        self.handler.on_delete(account.session, account.op, self.id, dict(self.olds))


def addresses(*rows: dict[str, Any]) -> Reply:
    other = {"id": "9", "ip_address": "192.0.2.9"}
    return data({"external_access_enabled": True, "allowed_ips": [other, *rows]})


KINDS = {
    "connection": Kind(
        ConnectionHandler(),
        "usr-1-app/c7",
        {"source": "usr-1-app", "target": "usr-1-db", "name": "main", "created_at": LONG_AGO},
        LINK,
        outgoing,
        "connections.list",
        "connections.delete",
    ),
    "address": Kind(
        AllowedIpHandler(),
        "usr-1-app/198.51.100.7",
        {
            "container": "usr-1-app",
            "ip_address": "198.51.100.7",
            "description": "Office",
            "service_type": "http",
            "entry_id": "1",
            "added_at": "2027-01-15T08:00:05.000Z",
            "container_created_at": BORN,
        },
        {
            "id": "1",
            "ip_address": "198.51.100.7",
            "description": "Office",
            "service_type": "http",
            "added_at": MADE,
        },
        addresses,
        "allowed_ips.list",
        "allowed_ips.remove",
    ),
    "client": Kind(
        VpnClientHandler(),
        "usr-1-app/laptop",
        {
            "container": "usr-1-app",
            "name": "laptop",
            "client_created_at": LONG_AGO,
            "container_created_at": BORN,
        },
        {"name": "laptop", "created_at": LONG_AGO},
        lambda *rows: data(list(rows)),
        "vpn_clients.list",
        "vpn_clients.remove",
    ),
    "backup": Kind(
        PinnedBackupHandler(),
        "usr-1-app/7",
        {
            "container": "usr-1-app",
            "backup_id": 7,
            "on_delete": "delete",
            "pinned": True,
            "status": "completed",
            "size_bytes": 5,
            "created_at": LONG_AGO,
        },
        {"id": 7, "status": "completed", "pinned": 1, "size_bytes": 5, "created_at": LONG_AGO},
        lambda *rows: data(list(rows)),
        "backups.list",
        "backups.delete",
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_one_absence_is_no_deletion(kind: Kind) -> None:
    extra = (
        {"connections__list": [outgoing(), incoming(), outgoing(LINK)]}
        if kind.lists == "connections.list"
        else {}
    )
    account = kind.account(kind.shows(), kind.shows(kind.row), **extra)

    assert kind.read(account) is not None
    assert account.seconds == pytest.approx(2.0, abs=0.1)


def test_reads_of_one_container_share_their_calls(kind: Kind) -> None:
    account = kind.account(kind.shows(kind.row))

    assert kind.read(account) is not None
    sent = account.script.operations
    assert kind.read(account) is not None

    assert account.script.operations == sent


def in_a_list_with_a_gap(kind: Kind, **more: Any) -> ScriptedAccount:
    """Return an account whose list lacks the child, but states that there are more rows."""
    other = {**kind.row, "id": 1 if kind.lists == "backups.list" else "8", "name": "other"}
    shown = kind.shows({**other, "ip_address": "192.0.2.8", "connection_name": "other"})
    assert isinstance(shown, Answer)
    partial = msgspec.structs.replace(shown, headers={**shown.headers, "x-has-more": "true"})
    return kind.account(partial, **more)


def test_a_child_that_a_list_with_a_gap_does_not_show_is_unknown(kind: Kind) -> None:
    account = in_a_list_with_a_gap(kind)

    try:
        found = kind.read(account)
    except (UnreadableAnswerError, UnseenError) as error:
        assert "incomplete" in error.message  # noqa: PT017  (of a backup it is a warning, and it stays in the state)
    else:
        assert found is not None
    assert account.sent(kind.deletes) == 0


def test_a_child_that_two_looks_do_not_find_is_gone_and_others_share_the_looks(kind: Kind) -> None:
    account = kind.account(kind.shows())

    assert kind.read(account) is None
    assert account.seconds == pytest.approx(2.0, abs=0.1)
    sent = account.sent(kind.lists)
    assert kind.read(account) is None
    assert account.sent(kind.lists) == sent
    assert account.seconds == pytest.approx(2.0, abs=0.1)
    # Only once, because in a pipe each line stays.
    assert account.call.shown.count("not listed: looking again") == 1


def test_a_connection_to_a_container_that_is_gone_is_gone_at_once() -> None:
    kind = KINDS["connection"]
    account = kind.account(
        outgoing(),
        refusal(404),
        containers__list=containers("app"),
        containers__status=refusal(404),
        containers__logs=refusal(404),
    )

    assert kind.read(account) is None
    assert account.seconds == pytest.approx(0.0, abs=0.1)


def test_an_address_is_gone_at_once_if_external_access_is_off() -> None:
    kind = KINDS["address"]
    account = kind.account(data({"external_access_enabled": False, "allowed_ips": []}))

    assert kind.read(account) is None
    assert account.seconds == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("name", ["connection", "address", "client"])
def test_a_child_in_a_list_with_a_gap_is_deleted_by_its_id(name: str) -> None:
    kind = KINDS[name]
    account = in_a_list_with_a_gap(kind)

    kind.delete(account)

    assert account.sent(kind.deletes) == 1
    assert account.script.calls[-1].path.endswith(kind.olds.get("entry_id") or kind.id.partition("/")[2])


@pytest.mark.parametrize("name", ["address", "client"])
def test_a_child_in_a_list_with_a_gap_is_kept_if_its_container_is_another_one(name: str) -> None:
    kind = KINDS[name]
    none = {"connections__list": outgoing(), "backups__list": data([])}
    none.update({} if name == "address" else {"allowed_ips__list": addresses()})
    account = in_a_list_with_a_gap(kind, containers__list=containers("app", "db", created_at=LATER), **none)

    with pytest.raises(StacksError):
        kind.delete(account)

    assert account.sent(kind.deletes) == 0


@pytest.mark.parametrize("now", [LATER, None])
def test_a_client_without_a_time_is_kept_if_its_container_is_not_the_same_for_sure(now: str | None) -> None:
    kind = KINDS["client"]
    account = kind.account(
        kind.shows({"name": "laptop"}),
        containers__list=containers("app", created_at=now),
        containers__status=data({"id": "usr-1-app", "status": "running"}),
    )

    with pytest.raises(StacksError) as refused:
        kind.delete(account)

    assert (refused.value.code, account.sent(kind.deletes)) == ("identity-unclear", 0)
    assert kind.read(account) is not None


def test_a_container_that_is_gone_takes_its_children_with_it(kind: Kind) -> None:
    account = kind.account(
        refusal(404),
        containers__list=containers("other"),
        containers__status=refusal(404),
        containers__logs=refusal(404),
    )

    assert kind.read(account) is None


def test_a_list_that_is_not_found_is_no_deletion_while_the_container_exists(kind: Kind) -> None:
    looks: list[Reply] = [refusal(404), refusal(404), kind.shows(kind.row)]
    # The container's status shows that the base URL is correct, so the missing list is an empty list.
    exists = data({"id": kind.id.partition("/")[0], "name": "it", "status": "running"})
    account = kind.account(
        *(looks if kind.lists == "connections.list" else looks[1:]), containers__status=exists
    )

    assert kind.read(account) is not None


def test_an_earlier_list_that_has_the_object_is_no_look_of_a_delete(kind: Kind) -> None:
    # A connection is searched at both ends.
    absent = [outgoing(), incoming()] if kind.lists == "connections.list" else [kind.shows()]
    account = kind.account(kind.shows(kind.row), *absent, kind.shows(kind.row))
    assert kind.read(account) is not None
    account.clock.advance(30)

    kind.delete(account)

    assert account.sent(kind.deletes) == 1


def test_a_404_to_a_delete_is_no_evidence(kind: Kind) -> None:
    deletes = {kind.deletes.replace(".", "__"): [refusal(404), ok({"success": True})]}
    account = kind.account(kind.shows(kind.row), **deletes)

    kind.delete(account)

    assert account.sent(kind.deletes) == 2


def test_a_404_to_a_delete_ends_it_if_two_lists_lack_the_object(kind: Kind) -> None:
    deletes = {kind.deletes.replace(".", "__"): refusal(404)}
    account = kind.account(kind.shows(kind.row), kind.shows(), **deletes)

    kind.delete(account)

    assert account.sent(kind.deletes) == 1
    assert account.seconds == pytest.approx(2.0, abs=0.1)


def test_a_later_object_with_the_same_id_is_left_alone(kind: Kind) -> None:
    time = "added_at" if kind.lists == "allowed_ips.list" else "created_at"
    theirs = kind.shows({**kind.row, time: LATER})
    deleting, reading = kind.account(theirs), kind.account(theirs)

    kind.delete(deleting)

    assert deleting.sent(kind.deletes) == 0
    assert "a different object" in deleting.call.warnings[-1]
    assert "left alone" in deleting.call.warnings[-1]
    assert kind.read(reading) is None
    assert "is reported as deleted" in reading.call.warnings[-1]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("connection", {"target_name": "cache"}),
        ("connection", {"connection_name": "backup"}),
        ("backup", {"size_bytes": 99}),
    ],
)
@pytest.mark.parametrize("differs", [True, False])
def test_without_times_the_content_decides(name: str, other: dict[str, Any], differs: bool) -> None:
    kind = KINDS[name]
    row = {**kind.row, **(other if differs else {}), "created_at": None}
    account = kind.account(kind.shows(row))

    kind.delete(account)

    assert account.sent(kind.deletes) == (0 if differs else 1)


def test_a_random_id_is_never_given_twice() -> None:
    id_ = "0b7c8a52-3a0e-4b6f-9a53-6f1d2c3b4a5e"
    account = ScriptedAccount(connections__delete=ok({"success": True}))

    ConnectionHandler().on_delete(account.session, account.op, f"usr-1-app/{id_}", {"target": "usr-1-db"})

    # No read is needed.
    assert account.script.operations == ["connections.delete"]


def test_a_name_in_the_form_of_a_random_id_may_be_given_twice() -> None:
    name = "0b7c8a52-3a0e-4b6f-9a53-6f1d2c3b4a5e"
    kind = KINDS["client"]
    account = kind.account(kind.shows({"name": name, "created_at": LATER}))

    kind.handler.on_delete(account.session, account.op, f"usr-1-app/{name}", {**kind.olds, "name": name})

    assert account.sent("vpn_clients.remove") == 0
    assert "left alone" in account.call.warnings[-1]


# --- connections ---


def test_a_connection_that_only_its_target_lists_is_there() -> None:
    account = ScriptedAccount(connections__list=[outgoing(), incoming(LINK)])

    assert KINDS["connection"].read(account) is not None
    assert account.seconds == 0


@pytest.mark.parametrize("shown", ["MAIN", "main-7f3a", "db/main"])
def test_the_platforms_spelling_of_a_name_is_no_change(shown: str) -> None:
    account = ScriptedAccount(connections__list=outgoing({**LINK, "connection_name": shown}))

    outs = KINDS["connection"].read(account)

    assert outs is not None
    assert outs["name"] == "main"


def test_a_container_that_is_restarted_for_another_connection_is_waited_for() -> None:
    def restarting(status: str) -> Reply:
        rows = [
            {"id": f"usr-1-{name}", "name": name, "type": "nodejs", "status": status, "created_at": BORN}
            for name in ("app", "db")
        ]
        return data(rows)

    account = ScriptedAccount(
        containers__list=[restarting("running"), restarting("restarting"), restarting("running")],
        connections__list=outgoing(),
        connections__create=[refusal(400, "must be running"), data({"id": "c8", "connectionName": "main"})],
    )
    inputs = {"source": "usr-1-app", "target": "usr-1-db", "name": "main", "restart_source": False}

    id_, _ = ConnectionHandler().creation(account.session, account.op, inputs).run()

    assert id_ == "usr-1-app/c8"


@pytest.mark.parametrize("refusals", [1, 9])
def test_a_refusal_because_of_a_status_that_no_list_shows_yet_is_tried_again(refusals: int) -> None:
    made = data({"id": "c8", "connectionName": "main"})
    account = ScriptedAccount(
        connections__list=outgoing(LINK),
        connections__create=[*[refusal(400, "must be running")] * refusals, made],
    )
    inputs = {"source": "usr-1-app", "target": "usr-1-db", "name": "new", "restart_source": False}
    create = ConnectionHandler().creation(account.session, account.op, inputs).run

    if refusals == 1:
        assert create()[0] == "usr-1-app/c8"
    else:
        assert error_of(create).code == "invalid-request"
    assert account.seconds <= 10.0, "no longer than lists may be behind"


# --- clients ---


def test_an_update_refuses_another_client() -> None:
    kind = KINDS["client"]
    account = kind.account(kind.shows({**kind.row, "created_at": LATER}))
    inputs = {"container": "usr-1-app", "name": "laptop", "store_config": True}

    error = error_of(lambda: kind.handler.on_update(account.session, account.op, kind.id, kind.olds, inputs))

    assert "run `pulumi refresh`" in error.message
    assert account.sent("vpn_clients.config") == 0


CONFIG = "[Interface]\nPrivateKey = x\n"


def test_an_update_keeps_the_configuration_of_the_state() -> None:
    kind = KINDS["client"]
    account = kind.account(kind.shows(kind.row))
    olds = {**kind.olds, "config": CONFIG}
    inputs = {"container": "usr-1-app", "name": "laptop", "store_config": True, "adopt": "never"}

    outs = kind.handler.on_update(account.session, account.op, kind.id, olds, inputs)

    assert outs["config"]["value"] == CONFIG
    assert account.sent("vpn_clients.config") == 0


def test_lag_of_a_platform_file_is_used() -> None:
    account = ScriptedAccount(PlatformFacts(lists=Lists(lag_seconds=25)), vpn_clients__list=data([]))

    assert KINDS["client"].read(account) is None
    assert 25.0 <= account.seconds < 30.0


@pytest.mark.parametrize("listed", [None, "7"])
def test_an_ssh_key_stays_in_the_state_if_nothing_shows_that_its_container_is_another_one(
    listed: str | None,
) -> None:
    account = ScriptedAccount(
        containers__list=containers("web", created_at=listed),
        containers__status=data({"id": "usr-1-web", "status": "running"}),
    )
    olds = {"container": "usr-1-web", "container_created_at": BORN, "private_key": "a key"}

    with pytest.raises(UnseenError, match="the container usr-1-web"):
        SshCertificateHandler().on_read(account.session, account.op, "usr-1-web/ssh", olds)
