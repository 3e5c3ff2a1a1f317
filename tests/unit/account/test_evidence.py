"""
The output and exit codes of commands on accounts that are only partly readable or differ from the guide.

Each command in the table runs on each account. The accounts differ in one interpretation of the guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.unit.account.conftest import Account

pytestmark = pytest.mark.usefixtures("key_in_environment")


@pytest.fixture
def shop(accounts: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account whose containers and connection all belong to one stack; `saved.json` is a snapshot of it."""
    accounts.emulator.load(
        [
            {"name": "app", "template": "nodejs"},
            {"name": "sql", "template": "postgresql", "plan": "standard"},
        ],
        [{"source": "app", "target": "sql", "name": "db"}],
    )
    [connection] = accounts.emulator.state.connections
    link = accounts.child("Connection", "app", connection)
    accounts.export("dev.json", accounts.container("app"), accounts.container("sql"), link)
    monkeypatch.chdir(accounts.folder)
    assert main(["cost", "--account", "--save", "saved.json"]) == 0
    return accounts


def answer(api: Emulator, path: str) -> dict[str, Any]:
    """Return the emulator's answer."""
    key = {"Authorization": f"Bearer {api.key}"}
    told: dict[str, Any] = requests.get(f"{api.url}/{path}", headers=key, timeout=60).json()
    return told


def whole(_api: Emulator) -> None:
    """An account as in the guide."""


def gap_in_containers(api: Emulator) -> None:
    """A row of the list of containers cannot be read."""
    told = answer(api, "containers")
    told["data"] = [one for one in told["data"] if one["name"] == "app"] + [{"id": ".."}]
    api.faults.add("containers.list", "answer", body=told, times=None)


def gap_in_children(api: Emulator) -> None:
    """A row of each list of connections cannot be read."""
    body = {"success": True, "data": {"outgoing": [{"id": ".."}], "incoming": []}}
    api.faults.add("connections.list", "answer", body=body, times=None)


def tombstone(api: Emulator) -> None:
    """A deleted container is still listed."""
    told = answer(api, "containers")
    told["data"].append({**told["data"][0], "id": "usr-1-ghost", "name": "ghost", "status": "Deleted"})
    told["count"] += 1
    api.faults.add("containers.list", "answer", body=told, times=None)


def no_creation_times(api: Emulator) -> None:
    """Neither the list nor the status has a creation time."""
    told = answer(api, "containers")
    for one in told["data"]:
        del one["created_at"]
    api.faults.add("containers.list", "answer", body=told, times=None)
    api.faults.add("containers.status", 404, times=None)


def unknown_status(api: Emulator) -> None:
    """A container has a status that the client does not know."""
    told = answer(api, "containers")
    next(one for one in told["data"] if one["name"] == "app")["status"] = "hibernating"
    api.faults.add("containers.list", "answer", body=told, times=None)


def prices_in_cents(api: Emulator) -> None:
    """The templates have prices in cents."""
    told = answer(api, "containers/templates")
    rows = next(value for value in told.values() if isinstance(value, list))
    for one in rows:
        one["price"] = int(one["price"] * 100)
    api.faults.add("containers.templates", "answer", body=told, times=None)


READINGS = (
    whole,
    gap_in_containers,
    gap_in_children,
    tombstone,
    no_creation_times,
    unknown_status,
    prices_in_cents,
)

Outcome = tuple[int, str]
INCOMPLETE = "Incomplete: "
FAIL_ON = ("--fail-on", "orphans,double,missing")
ACCOUNT = ("account", "--state", "dev.json")
OK = (0, "")

TABLE: dict[tuple[str, ...], dict[Callable[[Emulator], None], Outcome]] = {
    (*ACCOUNT, *FAIL_ON): {
        whole: (0, "The account costs $9.00 a month"),
        gap_in_containers: (1, "Incomplete: The account costs $4.00 or more a month"),
        tombstone: (0, "The account costs $9.00 a month"),
        no_creation_times: (
            2,
            "2 objects with an unknown owner: app, sql (--fail-on orphans,double,missing)",
        ),
    },
    (*ACCOUNT, "--children", *FAIL_ON): {
        gap_in_containers: (1, INCOMPLETE),
        gap_in_children: (1, "app: the list of connections is incomplete"),
        no_creation_times: (2, "3 objects with an unknown owner"),
    },
    (*ACCOUNT, "--live-prices", "--max-total", "9"): {
        gap_in_containers: (1, "the total has no known upper bound"),
        prices_in_cents: (2, "the total has no known upper bound"),
    },
    (*ACCOUNT, "--compare-to", "saved.json", "--max-increase", "0"): {
        gap_in_containers: (1, "→ postgresql, standard, if it still exists"),
        no_creation_times: (0, "so these may be different containers with the same names: app, sql"),
    },
    ("cost", "--account", "--max-total", "9"): {
        whole: (0, "The account costs $9.00 a month"),
        gap_in_containers: (1, "Incomplete: The account costs $4.00 or more a month"),
        tombstone: (0, "The account costs $9.00 a month"),
    },
    ("cost", "--account", "--compare-to", "saved.json", "--max-increase", "0"): {
        gap_in_containers: (1, "Incomplete: The account costs $4.00 or more a month"),
        no_creation_times: (0, "so these may be different containers with the same names: app, sql"),
    },
    # The platform lists no price of a PostgreSQL with more than its default plan.
    ("cost", "--account", "--live-prices", "--strict"): {
        **dict.fromkeys(READINGS, (3, "the API does not list postgresql standard, so the catalogue's")),
        gap_in_containers: (1, INCOMPLETE),
        prices_in_cents: (
            3,
            "would cost $100.00, but costs $1.00 in the catalogue. If you know the field and its unit",
        ),
    },
    ("cost", "--account", "--live-prices", "--max-total", "9000"): {
        gap_in_containers: (1, INCOMPLETE),
        prices_in_cents: (2, "the total has no known upper bound"),
    },
    ("scaffold", "--owned", "--out", "program"): {
        whole: (0, "3 resources (2 Container, 1 Connection)"),
        gap_in_containers: (1, "the API's list is incomplete"),
        gap_in_children: (1, "Incomplete: not everything could be read, so the program lacks"),
        tombstone: (0, "3 resources (2 Container, 1 Connection)"),
        unknown_status: (1, "its status hibernating is not in the API guide"),
    },
    ("credentials", "sql"): {gap_in_containers: (1, "the API's list is incomplete")},
    ("logs", "app"): {},
}


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
@pytest.mark.parametrize("command", TABLE, ids=" ".join)
def test_a_command_concludes_nothing_that_it_has_not_read(
    command: tuple[str, ...], reading: Callable[[Emulator], None], shop: Account
) -> None:
    reading(shop.emulator)
    code, text = TABLE[command].get(reading, OK)
    shop.capsys.readouterr()

    ended = main(list(command))

    told = shop.capsys.readouterr()
    assert ended == code, told.out + told.err
    assert text in told.out + told.err
    assert "ghost" not in told.out
    program = shop.folder / "program"
    if program.exists():
        assert "ghost" not in (program / "__main__.py").read_text(encoding="utf-8")
    shop.emulator.faults.clear()


@pytest.mark.parametrize("form", ["--json", "--markdown"])
def test_the_account_says_first_that_it_is_incomplete(form: str, shop: Account) -> None:
    gap_in_containers(shop.emulator)
    shop.capsys.readouterr()

    assert main([*ACCOUNT, form, "--children"]) == 1

    told = shop.capsys.readouterr().out
    if form == "--markdown":
        title, _, reason = told.splitlines()[:3]
        assert title.startswith("### Incomplete: ")
        assert "the list of containers is incomplete" in reason
        return
    data = json.loads(told)
    assert (data["complete"], data["missing"]) == (False, [])
    assert data["gaps"][0].startswith(
        "the list of containers is incomplete, so the account may have more containers: "
    )
    totals = (data["totals"]["account"], data["totals"]["none"], *data["totals"]["stacks"].values())
    assert [total["price"]["high"] for total in totals] == [None, None, None]


def test_a_container_that_no_stack_owns_is_unknown_in_an_incomplete_account(shop: Account) -> None:
    gap_in_containers(shop.emulator)
    empty = shop.export("empty.json")
    shop.capsys.readouterr()

    assert main(["account", "--json", "--state", empty]) == 1

    [one] = json.loads(shop.capsys.readouterr().out)["containers"]
    assert (one["ownership"], one["command"]) == ("unknown", None)


@pytest.mark.parametrize("form", ["table", "json", "markdown", "junit"])
def test_cost_says_first_that_it_is_incomplete(form: str, shop: Account) -> None:
    gap_in_containers(shop.emulator)
    shop.capsys.readouterr()

    assert main(["cost", "--account", "--format", form]) == 1

    told = shop.capsys.readouterr().out
    if form == "json":
        data = json.loads(told)
        assert (data["complete"], data["result"]) == (False, "incomplete")
        assert data["planned"] == {"low": "4.00", "high": None}
        assert "the list of containers is incomplete" in data["incomplete"]
    else:
        first = "".join(told.splitlines()[:6])
        assert "the list of containers is incomplete" in first


@pytest.mark.parametrize("command", [ACCOUNT, ("cost", "--account")], ids=["account", "cost"])
def test_an_incomplete_account_is_not_saved(command: tuple[str, ...], shop: Account) -> None:
    before = Path("saved.json").read_bytes()
    gap_in_containers(shop.emulator)

    assert main([*command, "--save", "saved.json"]) == 1

    assert Path("saved.json").read_bytes() == before
    assert "saved.json was not written: the list of containers is incomplete" in shop.capsys.readouterr().err


def test_an_owner_that_is_not_certain_is_not_called_one(shop: Account) -> None:
    no_creation_times(shop.emulator)
    shop.capsys.readouterr()

    assert main([*ACCOUNT, "--json"]) == 0

    data = json.loads(shop.capsys.readouterr().out)
    assert {one["ownership"] for one in data["containers"]} == {"unknown"}
    assert data["containers"][0]["notes"] == [
        "might not be the container of shop/dev: a creation time is not known"
    ]
    # A budget includes them, because they may belong to the stack.
    assert data["totals"]["stacks"]["shop/dev"]["monthly_price_usd"] == 9.0


def test_what_the_list_does_not_say_is_read_from_each_container(shop: Account) -> None:
    told = answer(shop.emulator, "containers")
    for one in told["data"]:
        del one["created_at"]
        one["type"] = "Database"
    shop.emulator.faults.add("containers.list", "answer", body=told, times=None)
    calls = shop.emulator.calls("containers.status")
    shop.capsys.readouterr()

    assert main([*ACCOUNT, "--json", *FAIL_ON]) == 0

    data = json.loads(shop.capsys.readouterr().out)
    assert [(one["ownership"], one["kind"]) for one in data["containers"]] == [
        ("owned", "nodejs, basic"),
        ("owned", "postgresql, standard"),
    ]
    assert shop.emulator.calls("containers.status") - calls == 2
    shop.emulator.faults.clear()


def test_a_child_is_missing_only_if_two_lists_lack_it(shop: Account) -> None:
    late = {"success": True, "data": {"outgoing": [], "incoming": []}}
    # The containers are read in the order of the list, and app comes first.
    shop.emulator.faults.add("connections.list", "answer", body=late, times=2)

    assert main([*ACCOUNT, "--children", *FAIL_ON]) == 0

    shop.emulator.faults.assert_none_left()
    shop.emulator.faults.add("connections.list", "answer", body=late, times=None)
    assert main([*ACCOUNT, "--children", *FAIL_ON]) == 2
    assert "the account does not have it" in shop.capsys.readouterr().out


def test_a_second_look_at_a_target_alone_leaves_no_gap(shop: Account) -> None:
    export = json.loads(Path("dev.json").read_text(encoding="utf-8"))
    rule = shop.child("AllowedIp", "sql", "192.0.2.1", container_created_at=shop.created_at("sql"))
    shop.export("dev.json", *export["deployment"]["resources"], rule)

    assert main([*ACCOUNT, "--children", *FAIL_ON]) == 2

    told = shop.capsys.readouterr().out
    assert "1 resource that the account does not have" in told
    assert "the source of connection" not in told


def test_a_container_is_missing_only_if_two_lists_lack_it(shop: Account) -> None:
    told = answer(shop.emulator, "containers")
    told["data"] = [one for one in told["data"] if one["name"] == "app"]
    told["count"] = 1
    shop.emulator.faults.add("containers.list", "answer", body=told)
    shop.emulator.faults.add("containers.status", 404)

    assert main([*ACCOUNT, *FAIL_ON]) == 1

    shop.emulator.faults.assert_none_left()
    assert f"it lacks {shop.id('sql')}, which exists" in shop.capsys.readouterr().out


def test_a_connection_that_is_listed_only_at_its_target_belongs_to_its_source(shop: Account) -> None:
    told = answer(shop.emulator, f"containers/{shop.id('sql')}/connections")["data"]
    assert told["outgoing"] == []
    shop.emulator.faults.add(
        "connections.list",
        "answer",
        body={"data": {"outgoing": [], "incoming": []}},
        match="-app/",
        times=None,
    )

    assert main([*ACCOUNT, "--children", "--json"]) == 0
    assert ' to sql"' in shop.capsys.readouterr().out
    assert main([*ACCOUNT, "--children", *FAIL_ON]) == 0
    assert main(["scaffold", "--owned", "--out", "program"]) == 0

    assert "1 Connection" in shop.capsys.readouterr().out
    assert "target=sql" in Path("program/__main__.py").read_text(encoding="utf-8")
    shop.emulator.faults.clear()
    # Without a source, it may belong to any of the containers, so no connection is reported as missing.
    row = {"id": "elsewhere", "connection_name": "x"}
    shop.emulator.faults.add(
        "connections.list", "answer", body={"data": {"outgoing": [], "incoming": [row]}}, times=None
    )
    assert main([*ACCOUNT, "--children", *FAIL_ON]) == 1
    told = shop.capsys.readouterr().out
    assert "the source of connection elsewhere is not known" in told
    assert "the account does not have it" not in told
    shop.emulator.faults.clear()
