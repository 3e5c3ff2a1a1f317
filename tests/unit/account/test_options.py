"""The options of `stacks-pulumi account`: children, snapshots, budgets, forms, and the backend's stacks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.account.read import Progress
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.exports import Accounts
from tests.unit.account.test_account import account, owners

pytestmark = pytest.mark.usefixtures("key_in_environment")


@pytest.fixture
def full(accounts: Accounts) -> Accounts:
    """An account in which there is one of everything."""
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


def test_children_have_their_stack_too(full: Accounts, capsys: pytest.CaptureFixture[str]) -> None:
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

    data = account(capsys, dev, prod, "--children")

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
        ("PinnedBackup", "2", "no longer pinned, or gone"),
        ("AllowedIp", "192.0.2.9", "the account does not have it"),
    ]


def test_a_child_of_a_former_container_of_that_name_is_not_that_stacks(
    full: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    former = full.child("VpnClient", "vpn", "laptop")
    former["outputs"]["container_created_at"] = "2026-01-01T00:00:00Z"

    data = account(capsys, full.export("dev.json", former), "--children")

    assert children(data)["vpn/laptop"] == "orphan"


def test_the_time_that_children_take_is_said_first(
    full: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    file = full.export("dev.json")
    before = full.emulator.calls()

    assert main(["account", "--state", file, "--children"]) == 0

    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("reading what belongs to 3 containers: 9 calls, seconds at ")
    # One list, one look at the statistics of backups, and at most three calls a container.
    assert full.emulator.calls() - before == 2 + 9


def test_an_account_without_backups_is_not_asked_for_them(
    accounts: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])

    account(capsys, accounts.export("dev.json"), "--children")

    assert accounts.emulator.calls("backups.list") == 0


def test_the_rate_limit_is_kept_and_tells_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    progress = Progress(3000, 60, said.append, now=lambda: 0.0)

    progress.announce(1000)
    for number in range(1, 3001):
        progress.done(number)

    assert (
        said[0]
        == "reading what belongs to 1000 containers: 3000 calls, about 49 minutes at 60 calls a minute\n"
    )
    assert said[1] == "300 of 3000 calls done\n"
    assert len(said) == 11


def test_progress_is_said_after_fifteen_seconds_too() -> None:
    said: list[str] = []
    moments = iter([0.0, 1.0, 16.0])
    progress = Progress(3000, 60, said.append, now=lambda: next(moments))

    progress.done(1)
    progress.done(2)

    assert said == ["2 of 3000 calls done\n"]


def test_a_container_that_is_deleted_meanwhile_makes_nothing_missing(
    full: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = full.export("dev.json", full.child("AllowedIp", "web", "198.51.100.7"))
    full.emulator.faults.add("connections.list", 404)

    data = account(capsys, dev, "--children")

    full.emulator.faults.assert_none_left()
    assert data["missing"] == []


def test_a_children_list_that_is_incomplete_is_an_error(
    full: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    full.emulator.faults.add(
        "vpn_clients.list", "answer", body={"success": True, "data": [{"ip": "10.8.0.2"}]}
    )

    assert main(["account", "--state", full.export("dev.json"), "--children"]) == 1

    full.emulator.faults.assert_none_left()
    assert capsys.readouterr().err.splitlines()[-1].startswith("stacks-pulumi account: ")


def test_what_changed_since_a_snapshot_is_shown_and_limited(
    accounts: Accounts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "old")])
    state, then = accounts.export("dev.json", accounts.container("web")), str(tmp_path / "then")
    first = account(capsys, state, "--save", then)
    accounts.emulator.drift.delete("old")
    accounts.emulator.load([{"name": "new", "template": "nodejs", "plan": "premium"}])

    data = account(capsys, state, "--compare-to", then, "--max-increase", "5.99", code=2)

    assert json.loads(Path(then).read_text(encoding="utf-8")) == first
    assert [(one["name"], one["action"]) for one in data["changes"]] == [("new", "create"), ("old", "delete")]
    assert data["limits"][0]["text"] == "the increase is +$6.00 at most, over the limit of $5.99"

    assert main(["account", "--state", state, "--compare-to", then]) == 0
    assert f"compared with the snapshot of {first['taken_at']}: +$6.00" in capsys.readouterr().out
    # `cost` and `account` share one format.
    assert main(["cost", "--account", "--compare-to", then, "--max-increase", "6"]) == 0


def budgets(tmp_path: Path, text: str) -> str:
    (tmp_path / "budgets.yaml").write_text(text, encoding="utf-8")
    return str(tmp_path / "budgets.yaml")


def test_budgets_are_over_stacks_projects_and_the_account(
    accounts: Accounts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "api", "blog", "alone")])
    files = [
        accounts.export("a.json", accounts.container("web"), accounts.container("api")),
        accounts.export("b.json", accounts.container("api", "prod")),
        accounts.export("c.json", accounts.container("blog", "prod", "blog")),
    ]
    file = budgets(
        tmp_path,
        """
        budgets:
          - {name: production, stacks: ["*/prod"], max_total: 8}
          - {projects: [shop], max_total: 7.99}
          - {projects: shop, stacks: shop/dev, warn_total: 1}
          - {name: all, max_total: 16}
        """,
    )

    data = account(capsys, *files, "--budgets", file, code=2)

    assert [(one["budget"], one["passed"], one["action"]) for one in data["limits"]] == [
        ("production", True, "block"),
        # web, and api once, which two of the project's stacks manage.
        ("shop", False, "block"),
        ("shop/dev, shop", False, "warn"),
        ("all", True, "block"),
    ]
    assert "the total is $8.00 at most, over the limit of $7.99" in data["limits"][1]["text"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "is not YAML"),
        ("budgets: []", "needs a list `budgets`"),
        ("budgets: [5]", "entry 1: it is not a mapping"),
        ("budgets: [{max_totl: 5}]", "entry 1: unknown key 'max_totl'; known are name, stacks"),
        ("budgets: [{name: x}]", "entry 1: it sets no limit"),
        ("budgets: [{max_total: lots}]", "entry 1: max_total: 'lots' is no number"),
        ("budgets: [{max_total: yes}]", "entry 1: max_total: 'true' is no number"),
        ("budgets: [{max_total: 1}, {max_total: 5, stacks: []}]", "entry 2: `stacks` is not a list"),
        ("budgets: [{max_total: 5, tags: [a]}]", "entry 1: `tags` is not a mapping"),
        ("budgets: [{max_total: 5, stacks: [x/nope]}]", "the budget 'x/nope' is over no stack"),
        ("budgets: [{max_increase: 5}]", "limits an increase: say since when with --compare-to"),
        ("budgets: [{max_total: 5, tags: {team: web}}]", "cannot be chosen by team=web"),
    ],
)
def test_a_budget_that_cannot_be_judged_is_an_error(
    text: str, problem: str, accounts: Accounts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state = accounts.export("dev.json")

    assert main(["account", "--state", state, "--budgets", budgets(tmp_path, text)]) == 1

    error = capsys.readouterr().err
    assert problem in error
    assert "Traceback" not in error


def test_a_snapshot_without_stacks_cannot_judge_the_increase_of_one(
    accounts: Accounts, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    assert main(["cost", "--account", "--save", str(tmp_path / "then")]) == 0
    state = accounts.export("dev.json", accounts.container("web"))
    file = budgets(tmp_path, "budgets: [{max_increase: 5, stacks: [shop/dev]}]")

    assert main(["account", "--state", state, "--budgets", file, "--compare-to", str(tmp_path / "then")]) == 1

    assert "the snapshot does not say which stack owns what" in capsys.readouterr().err


HOSTILE = "x|\x1b[2K\n| forged | `$(reboot)` @all <img>"


@pytest.mark.parametrize("form", ["table", "--markdown"])
def test_names_are_neither_rows_nor_escape_codes_nor_markup(
    form: str, accounts: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    hostile = accounts.container("web", HOSTILE.replace("::", ""))
    gone = accounts.container("gone", created_at="x")
    gone["urn"] += HOSTILE
    accounts.emulator.load([{"name": "renamed", "template": "nodejs"}])
    state = accounts.export("dev.json", hostile, gone)
    # The API does not promise what a name can be.
    accounts.emulator.state.container("renamed").name = HOSTILE

    assert main(["account", "--state", state, *([form] if form != "table" else [])]) == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("| forged") for line in out.splitlines())
    if form == "--markdown":
        outside = "".join(part for number, part in enumerate(out.split("```")) if number % 2 == 0)
        assert "<img>" not in outside
        assert "`$(reboot)`" not in outside.replace("\\`", "")


FAKE_PULUMI = """#!{python}
import json, sys
words = sys.argv[1:]
data = json.load(open({data!r}))
if words[:2] == ["stack", "ls"]:
    assert words[2:4] == ["--all", "--json"], words
    tags = [words[i + 1] for i, word in enumerate(words) if word == "--tag"]
    print(json.dumps([one for one in data["stacks"] if not tags or tags[0] in one.get("tags", [])]))
elif words[:3] == ["stack", "export", "--stack"]:
    if words[3] not in data["exports"]:
        sys.exit("error: no stack named '" + words[3] + "' found")
    print(open(data["exports"][words[3]]).read())
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make this the backend: stacks as they are listed, and the file of the export of each."""

    def make(stacks: list[dict[str, Any]], exports: dict[str, str]) -> None:
        data = tmp_path / "backend.json"
        data.write_text(json.dumps({"stacks": stacks, "exports": exports}), encoding="utf-8")
        script = tmp_path / "bin" / "pulumi"
        script.parent.mkdir(exist_ok=True)
        script.write_text(FAKE_PULUMI.format(python=sys.executable, data=str(data)), encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")

    return make


def test_the_backends_stacks_are_read_by_default(
    accounts: Accounts, backend: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "api", "blog")])
    backend(
        [
            {"name": "dev", "tags": ["team=web"]},
            {"name": "organization/blog/dev"},
            {"name": "acme/shop/dev", "tags": ["team=web"]},
            {"name": "organization/empty/dev"},
        ],
        {
            "dev": accounts.export("a.json", accounts.container("web")),
            "organization/blog/dev": accounts.export("b.json", accounts.container("blog", project="blog")),
            "acme/shop/dev": accounts.export("c.json", accounts.container("api")),
            "organization/empty/dev": accounts.export("d.json"),
        },
    )
    file = budgets(tmp_path, "budgets: [{tags: {team: web}, max_total: 7}]")

    data = account(capsys, "--budgets", file, code=2)

    assert owners(data) == {
        "api": ("owned", ["acme/shop/dev"]),
        "blog": ("owned", ["blog/dev"]),
        "web": ("owned", ["shop/dev"]),
    }
    assert set(data["totals"]["stacks"]) == {"acme/shop/dev", "blog/dev", "empty/dev", "shop/dev"}
    assert data["limits"][0]["text"] == "the total is $8.00 at most, over the limit of $7.00"


def test_a_stack_that_cannot_be_exported_or_is_being_updated_leaves_no_orphans(
    accounts: Accounts, backend: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    backend([{"name": "a/b/locked"}, {"name": "a/b/busy", "updateInProgress": True}], {})

    data = account(capsys, code=1)

    assert owners(data) == {"web": ("unknown", [])}
    assert data["unread"] == [
        {"stack": "a/b/locked", "error": "`pulumi stack export` failed: no stack named 'a/b/locked' found"},
        {"stack": "a/b/busy", "error": "an update is running, and what it creates is not in its state yet"},
    ]


def test_without_pulumi_the_other_way_is_named(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["account"]) == 1

    assert "hand in exports with --state FILE" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--fail-on", "orphan"], ["--json", "--markdown"], ["--nope"]])
def test_a_wrong_option_is_no_finding(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["account", *arguments])

    assert ended.value.code == 1


def test_without_a_key_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("STACKS_API_KEY", raising=False)

    assert main(["account", "--state", str(tmp_path)]) == 1

    error = capsys.readouterr().err
    assert "set the environment variable STACKS_API_KEY" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_children_are_read_within_the_rate_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Emulator(boot_seconds=0, rate_limit=60, rate_window=2.0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        emulator.load([{"name": f"box{number}", "template": "nodejs"} for number in range(70)])
        file = Accounts(emulator, tmp_path).export("dev.json")

        assert main(["account", "--state", file, "--children"]) == 0

        assert [one.status for one in emulator.requests if one.status != 200] == []
        assert emulator.calls() == 2 + 140
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reading what belongs to 70 containers: 140 calls, about 2 minutes at 60 calls a minute"
    assert said[-1] == "140 of 140 calls done"
