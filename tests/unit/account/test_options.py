"""The options of `stacks-pulumi account`: children, snapshots, budgets and forms."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks_pulumi.account import progress
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.platform import iso
from tests.unit.account.conftest import Account

pytestmark = pytest.mark.usefixtures("key_in_environment")


@pytest.fixture
def full(accounts: Account) -> Account:
    """An account with one object of each kind."""
    accounts.emulator.load(
        [
            {"name": "web", "template": "nodejs", "allowed_ips": ["198.51.100.7", "2001:DB8::/32"]},
            {"name": "data", "template": "postgresql", "backups": 2},
            {"name": "vpn", "template": "stacks-vpn", "vpn_clients": ["laptop", "phone"]},
        ],
        [{"source": "web", "target": "data", "name": "db"}],
    )
    accounts.emulator.state.backups[1].pinned = True
    return accounts


def children(data: dict[str, Any]) -> dict[str, str]:
    return {
        child["id"].partition("-")[2].partition("-")[2]: child["ownership"]
        for one in data["containers"]
        for child in one["children"]
    }


def test_children_have_their_stack_too(full: Account) -> None:
    [connection] = full.emulator.state.connections
    dev = full.export(
        "dev.json",
        full.container("web"),
        full.child("AllowedIp", "web", "2001:db8::/32"),
        full.child("Connection", "web", connection),
        full.child("VpnClient", "vpn", "Laptop"),
        full.child("PinnedBackup", "data", "1"),
        full.child("PinnedBackup", "data", "2"),
        full.child("AllowedIp", "web", "192.0.2.9"),
    )
    prod = full.export("prod.json", full.child("VpnClient", "vpn", "laptop", "prod"))

    data = full.report(dev, prod, "--children")

    assert children(data) == {
        "web/203.0.113.45": "automatic",
        "web/198.51.100.7": "orphan",
        "web/2001:db8::/32": "owned",
        f"web/{connection}": "owned",
        "data/1": "owned",
        "vpn/default": "automatic",
        "vpn/laptop": "double",
        "vpn/phone": "orphan",
    }
    assert [(one["kind"], one["id"].rpartition("/")[2], one["reason"]) for one in data["missing"]] == [
        ("PinnedBackup", "2", "it is no longer pinned, or was deleted"),
        ("AllowedIp", "192.0.2.9", "the account does not have it"),
    ]


def test_a_backup_that_is_no_longer_pinned_needs_an_update_and_not_only_a_refresh(full: Account) -> None:
    # The state after a refresh: the backup exists but is not pinned.
    unpinned = full.child("PinnedBackup", "data", "2")
    dev = full.export("dev.json", unpinned, full.child("AllowedIp", "web", "192.0.2.9"))

    assert main(["account", "--state", dev, "--children"]) == 0

    out = full.capsys.readouterr().out
    assert "shop/dev has PinnedBackup" in out
    assert ", but it is no longer pinned, or was deleted\n      pulumi up --refresh --stack dev\n" in out
    assert ", but the account does not have it\n      pulumi refresh --stack dev\n" in out


def test_the_line_that_adopts_a_child_has_what_identifies_it(full: Account) -> None:
    owned = [full.container(name) for name in ("web", "data", "vpn")]
    full.emulator.drift.allow_ip("web", "192.0.2.100", "db tool", "tcp")
    # The value is the default of a different input.
    full.emulator.drift.allow_ip("web", "192.0.2.101", "both")

    assert main(["account", "--state", full.export("dev.json", *owned), "--children"]) == 0

    out = full.capsys.readouterr().out
    assert (
        'stacks.AllowedIp("<NAME>", container=<web>, ip_address="198.51.100.7", adopt="if_matching")' in out
    )
    # Without them, the adoption would allow more for the address than before.
    said = 'ip_address="192.0.2.100", description="db tool", service_type="tcp"'
    assert f'stacks.AllowedIp("<NAME>", container=<web>, {said}, adopt="if_matching")' in out
    assert 'ip_address="192.0.2.101", description="both", adopt="if_matching")' in out
    assert 'stacks.Connection("<NAME>", source=<web>, target=<data>, name="db", adopt="if_matching")' in out
    assert 'stacks.VpnClient("<NAME>", container=<vpn>, name="phone", adopt="if_matching")' in out
    assert 'stacks.PinnedBackup("<NAME>", container=<data>, backup_id=1)' in out


@pytest.mark.parametrize("has_time", [True, False])
@pytest.mark.parametrize("of", ["the other stack", "no stack"])
def test_what_has_its_own_identity_is_known_without_its_container(
    full: Account, of: str, has_time: bool
) -> None:
    """A connection's id is unique, and a backup has its own creation time."""
    [connection] = full.emulator.state.connections
    made_at = iso(full.emulator.state.backups[1].created_at)
    dev = full.export(
        "dev.json",
        full.child("Connection", "web", connection, outputs={}),
        full.child("PinnedBackup", "data", "1", outputs={"created_at": made_at} if has_time else {}),
    )
    prod = full.export("prod.json", *([full.container("web", "prod")] if of == "the other stack" else []))

    found = children(full.report(dev, prod, "--children"))

    assert found[f"web/{connection}"] == "owned"
    assert found["data/1"] == ("owned" if has_time else "unknown")


def test_one_command_forgets_a_container_with_what_belongs_to_it(full: Account) -> None:
    states = [
        full.export(f"{it}.json", full.container("vpn", it), full.child("VpnClient", "vpn", "laptop", it))
        for it in ("dev", "prod")
    ]
    data = full.report(*states, "--children")
    assert children(data)["vpn/laptop"] == "double"

    assert main(["account", *(word for it in states for word in ("--state", it)), "--children"]) == 0

    [command] = [line for line in full.capsys.readouterr().out.splitlines() if "pulumi state delete" in line]
    assert "--target-dependents" in command
    assert command.endswith("Container::vpn")


def test_a_connection_of_a_vpn_container_is_known_although_its_list_is_not_read(full: Account) -> None:
    made = full.emulator.drift.connect("vpn", "data", "door")

    data = full.report(full.export("dev.json", full.container("vpn")), "--children")

    assert children(data)[f"vpn/{made.id}"] == "orphan"


def test_a_child_of_a_former_container_of_that_name_is_not_that_stacks(full: Account) -> None:
    former = full.child("VpnClient", "vpn", "laptop")
    former["outputs"]["container_created_at"] = "2026-01-01T00:00:00Z"
    dev = full.export("dev.json", former)

    data = full.report(dev, "--children")

    assert children(data)["vpn/laptop"] == "orphan"
    vpn = next(one for one in data["containers"] if one["name"] == "vpn")
    laptop = next(one for one in vpn["children"] if one["description"] == "laptop")
    assert [owner["stack"] for owner in laptop["recreated"]] == ["shop/dev"]
    assert [one["urn"] for one in data["missing"]] == [former["urn"]]
    # The container may have been resized or restored, so no command removes the child.
    assert main(["account", "--state", dev, "--children", "--deletions"]) == 0
    out = full.capsys.readouterr().out
    assert "vpn-clients/phone" in out
    assert "vpn-clients/laptop" not in out
    assert "VpnClient laptop of vpn has the id of a resource in shop/dev" in out


def test_an_interrupted_create_of_a_child_is_named_with_its_stack(full: Account) -> None:
    def creating(kind: str, container: str, **inputs: str) -> dict[str, Any]:
        given = {"container": full.id(container), **inputs, "stacks_kind": kind}
        return {"type": "creating", "resource": full.child(kind, container, "x", id="", inputs=given)}

    pending = (
        creating("AllowedIp", "web", ip_address="2001:db8::/32"),
        creating("Connection", "web", source=full.id("web"), name="DB"),
        creating("VpnClient", "vpn", name="laptop"),
        # The state contains no number for a backup in progress, so it may be any backup.
        creating("PinnedBackup", "data"),
    )

    data = full.report(full.export("dev.json", pending=pending), "--children")

    [connection] = full.emulator.state.connections
    assert {name for name, owner in children(data).items() if owner == "interrupted"} == {
        "web/2001:db8::/32",
        f"web/{connection}",
        "vpn/laptop",
        "data/1",
    }
    assert children(data)["web/198.51.100.7"] == "orphan"


@pytest.mark.parametrize(
    ("words", "limit"),
    [(["account", "--children"], 3), (["cost", "--account", "--live-prices"], 1), (["logs", "web"], 1)],
)
def test_a_wait_for_the_rate_limit_is_reported_once(
    accounts: Account, monkeypatch: pytest.MonkeyPatch, words: list[str], limit: int
) -> None:
    accounts.emulator.api.limiter.seconds = 2.0
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    monkeypatch.setenv("STACKS_API_KEY", accounts.emulator.new_key(rate_limit=limit))
    states = ["--state", accounts.export("dev.json")] if words[0] == "account" else []

    assert main([*words, *states]) == 0

    assert accounts.capsys.readouterr().err.count(f"stacks-pulumi {words[0]}: rate limit: ") == 1


def test_the_time_for_children_is_announced(full: Account) -> None:
    file = full.export("dev.json")
    before = full.emulator.calls()

    assert main(["account", "--state", file, "--children"]) == 0

    said = full.capsys.readouterr().err
    assert said.startswith("reading what belongs to 3 containers takes seconds: 9 calls, with a limit of ")
    # One list, one read of the backup statistics, and at most three calls for each container.
    assert full.emulator.calls() - before == 2 + 9


def test_without_backups_no_list_of_backups_is_requested(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])

    accounts.report(accounts.export("dev.json"), "--children")

    assert accounts.emulator.calls("backups.list") == 0


def test_progress_is_printed_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    done = progress.progress(3000, "call", "done")

    for number in range(1, 5):
        now[0] += 6.0
        done(number)

    assert capsys.readouterr().err == "2 of 3000 calls done\n4 of 3000 calls done\n"


def test_a_container_deleted_meanwhile_has_no_missing_children(full: Account) -> None:
    dev = full.export("dev.json", full.child("AllowedIp", "web", "198.51.100.7"))
    full.emulator.faults.add("connections.list", 404)

    data = full.report(dev, "--children")

    full.emulator.faults.assert_none_left()
    assert data["missing"] == []


LISTS = {"AllowedIp": "allowed_ips", "PinnedBackup": "backups", "VpnClient": "vpn_clients"}


@pytest.mark.parametrize(
    ("resource", "data", "gap"),
    [
        ("VpnClient/laptop", [{"ip": "10.8.0.2"}], "VPN clients is incomplete (data[0]"),
        (
            "AllowedIp/198.51.100.7",
            {"external_access_enabled": True, "allowed_ips": [{"id": "1", "ip_address": {}}]},
            "allowed addresses is incomplete (data.allowed_ips: an address was expected in each entry)",
        ),
        (
            "PinnedBackup/1",
            [{"id": 1, "status": "completed", "pinned": "perhaps"}],
            "backups is incomplete (it does not show whether a backup is pinned)",
        ),
    ],
)
def test_an_unreadable_row_is_reported_without_missing_containers(
    resource: str, data: Any, gap: str, accounts: Account
) -> None:
    kind, _, own = resource.partition("/")
    accounts.emulator.load([{"name": "vpn", "template": "stacks-vpn", "backups": 1}])
    dev = accounts.export("dev.json", accounts.child(kind, "vpn", own))
    accounts.emulator.faults.add(f"{LISTS[kind]}.list", "answer", body={"success": True, "data": data})

    report = accounts.report(dev, "--children", "--fail-on", "missing", code=1)

    accounts.emulator.faults.assert_none_left()
    assert [one.startswith(f"vpn: the list of {gap}") for one in report["gaps"]] == [True]
    assert (report["complete"], report["missing"]) == (False, [])
    assert "orphan" not in children(report).values()


def test_what_changed_since_a_snapshot_is_shown_and_limited(accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "old")])
    state, then = accounts.export("dev.json", accounts.container("web")), str(tmp_path / "then")
    first = accounts.report(state, "--save", then)
    accounts.emulator.drift.delete("old")
    accounts.emulator.load([{"name": "new", "template": "nodejs", "plan": "premium"}])

    data = accounts.report(state, "--compare-to", then, "--max-increase", "5.99", code=2)

    assert json.loads(Path(then).read_text(encoding="utf-8")) == first
    assert [(one["name"], one["action"]) for one in data["changes"]] == [("new", "create"), ("old", "delete")]
    assert data["limits"][0]["text"] == "the increase is +$6.00 at most, over the limit of $5.99"

    assert main(["account", "--state", state, "--compare-to", then]) == 0
    assert f"compared with the snapshot from {first['taken_at']}: +$6.00" in accounts.capsys.readouterr().out
    # `cost` and `account` share one format.
    assert main(["cost", "--account", "--compare-to", then, "--max-increase", "6"]) == 0


def test_budgets_are_over_stacks_projects_and_the_account(accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "api", "blog", "alone")])
    files = [
        accounts.export("a.json", accounts.container("web"), accounts.container("api")),
        accounts.export("b.json", accounts.container("api", "prod")),
        accounts.export("c.json", accounts.container("blog", "prod", "blog")),
    ]
    file = accounts.budgets(
        """
        budgets:
          - {name: production, stacks: ["*/prod"], max_total: 8}
          - {projects: [shop], max_total: 7.99}
          - {projects: shop, stacks: shop/dev, warn_total: 1}
          - {name: all, max_total: 16}
        """,
    )

    data = accounts.report(*files, "--budgets", file, code=2)

    assert [(one["budget"], one["passed"], one["action"]) for one in data["limits"]] == [
        ("production", True, "block"),
        # web, and api only once, although two of the project's stacks manage it.
        ("shop", False, "block"),
        ("shop/dev, shop", False, "warn"),
        ("all", True, "block"),
    ]
    assert "the total is $8.00 at most, over the limit of $7.99" in data["limits"][1]["text"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("budgets:\n- {name: 2026-99-99}", "line 2: it sets no limit: add one of max_total"),
        pytest.param(
            f"budgets: [{{max_total: {'9' * 5000}}}]", "must be a number of US dollars from 0", id="digits"
        ),
        pytest.param("[" * 3000, "line 1: it is nested too deeply", id="deep"),
        ("budgets: []", "line 1: budgets is empty: write a value, or leave it out"),
        ("covers: all", "line 1: budgets is missing: it must be a list"),
        ("[5]", "line 1: settings are needed"),
        ("budgets: [5]", "line 1: budgets[0] is '5', and must be settings (name, owner, stacks"),
        ("budgets: [{name: x}]", "line 1: it sets no limit"),
        ("budgets: [{max_total: 1:30}]", "max_total is '1:30', and must be a number"),
        ("budgets: [{max_total: yes}]", "max_total is 'yes', and must be a number"),
        ("budgets: [{max_total: 5, tags: [a]}]", "line 1: tags must be names, each with a text"),
        (
            "budgets: [{max_total: 5, stacks: [x/nope]}]",
            "the budget 'x/nope': 'x/nope' matches none of shop/dev",
        ),
        ("budgets: [{max_total: 5, stacks: [shop/*, shop/prdo]}]", "'shop/prdo' matches none of shop/dev"),
        ("budgets: [{max_total: 5, projects: [shop, blog]}]", "'blog' matches none of shop"),
        ("budgets: [{max_total: -5}]", "max_total is '-5', and must be a number of US dollars from 0"),
        ("budgets: [{max_total: 5, tags: {live: [a]}}]", "line 1: live must be a text"),
        ("budgets: [{max_total: 5, tags: {live: yes}}]", "cannot select stacks by live=yes"),
        ("budgets: [{max_increase: 5}]", "limits an increase: add --compare-to"),
        ("budgets: [{max_total: 5, tags: {team: web}}]", "cannot select stacks by team=web"),
        ("budgets: [{max_increase_pct: $5}]", "max_increase_pct is '$5', and must be a percentage"),
        ("budgets: [{max_total: !!int x}]", "max_total is 'x', and must be a number"),
        ("budgets: [{max_total: {? {a: b} : c}}]", "line 1: a name is needed before the colon"),
        ("budgets: [{max_total: 1e-99999999}]", "max_total is '1e-99999999', and must be a number"),
        (f"budgets: [{{max_total: {'9' * 45}}}]", f"max_total is '{'9' * 40}...', and must be a number"),
        ("budgets: [{max_total: [5]}]", "line 1: max_total must be a number of US dollars"),
        ("budgets: [{max_total: 5, owner: [a]}]", "line 1: owner must be a text"),
    ],
)
def test_a_budget_that_cannot_be_judged_is_an_error(text: str, problem: str, accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    state = accounts.export("dev.json", accounts.container("web"))

    assert main(["account", "--state", state, "--budgets", accounts.budgets(text)]) == 1

    error = accounts.capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "name", "problem"),
    [
        ("--compare-to", "nope", "cannot be read: No such file or directory"),
        ("--budgets", "nope", "cannot be read: No such file or directory"),
        ("--save", "nope/x", "cannot be written: No such file or directory"),
        ("--save", "folder", "is a folder: choose a file for the snapshot"),
    ],
)
def test_an_unusable_file_is_one_line_that_names_it(
    option: str, name: str, problem: str, accounts: Account
) -> None:
    state, file = accounts.export("dev.json"), accounts.folder / name
    (accounts.folder / "folder").mkdir()
    before = {*accounts.folder.rglob("*")}

    assert main(["account", "--state", state, option, str(file)]) == 1

    assert accounts.capsys.readouterr().err == f"stacks-pulumi account: {file} {problem} [file-access]\n"
    assert {*accounts.folder.rglob("*")} == before


def test_a_long_description_makes_no_row_wider(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    entry = {"id": "1", "ip_address": "198.51.100.7", "description": "x" * 500}
    data = {"external_access_enabled": True, "allowed_ips": [entry]}
    accounts.emulator.faults.add("allowed_ips.list", "answer", body={"success": True, "data": data})

    assert main(["account", "--state", accounts.export("dev.json"), "--children"]) == 0

    accounts.emulator.faults.assert_none_left()
    out = accounts.capsys.readouterr().out
    assert "198.51.100.7 (xxx" in out
    assert max(map(len, out[: out.index("Total")].splitlines())) < 120


def test_a_snapshot_without_stacks_cannot_judge_the_increase_of_one(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    assert main(["cost", "--account", "--save", str(accounts.folder / "then")]) == 0
    state = accounts.export("dev.json", accounts.container("web"))
    file = accounts.budgets("budgets: [{max_increase: 5, stacks: [shop/dev]}]")

    assert (
        main(["account", "--state", state, "--budgets", file, "--compare-to", str(accounts.folder / "then")])
        == 1
    )

    assert "the snapshot does not show the owners" in accounts.capsys.readouterr().err
    # A total needs no snapshot.
    file = accounts.budgets("budgets: [{max_total: 3, stacks: [shop/dev]}]")
    words = ["--budgets", file, "--compare-to", str(accounts.folder / "then")]
    assert main(["account", "--state", state, *words]) == 2
    assert "over the limit of $3.00" in accounts.capsys.readouterr().out


HOSTILE = "x|\x1b[2K\n| forged | `$(reboot)` @all <img>"


@pytest.mark.parametrize("form", ["table", "--markdown"])
def test_names_are_neither_rows_nor_escape_codes_nor_markup(form: str, accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    hostile = accounts.container("web", HOSTILE.replace("::", ""))
    gone = accounts.container("gone", created_at="x")
    gone["urn"] += HOSTILE
    accounts.emulator.load([{"name": "renamed", "template": "nodejs"}])
    state = accounts.export("dev.json", hostile, gone)
    # The API does not restrict names.
    accounts.emulator.state.container("renamed").name = HOSTILE

    assert main(["account", "--state", state, *([form] if form != "table" else [])]) == 0

    out = accounts.capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("| forged") for line in out.splitlines())
    if form == "--markdown":
        outside = "".join(part for number, part in enumerate(out.split("```")) if number % 2 == 0)
        assert "<img>" not in outside
        assert "`$(reboot)`" not in outside.replace("\\`", "")


@pytest.mark.parametrize("arguments", [["--fail-on", "orphan"], ["--json", "--markdown"]])
def test_a_wrong_option_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["account", *arguments])

    assert ended.value.code == 1


@pytest.mark.slow
def test_children_are_read_within_the_rate_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Emulator(boot_seconds=0, rate_limit=60, rate_window=2.0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        emulator.load([{"name": f"box{number}", "template": "nodejs"} for number in range(70)])
        file = Account(emulator, tmp_path, capsys).export("dev.json")

        assert main(["account", "--state", file, "--children"]) == 0

        assert [one.status for one in emulator.requests if one.status != 200] == []
        assert emulator.calls() == 2 + 140
    said = capsys.readouterr().err.splitlines()
    assert (
        said[0]
        == "reading what belongs to 70 containers takes about 2 minutes: 140 calls, with a limit of 60 a minute"
    )
