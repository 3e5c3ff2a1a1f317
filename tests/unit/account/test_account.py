"""`stacks-pulumi account` on an emulated account, with exports from files."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.golden import Golden
from tests.unit.account.conftest import Account
from tools.docs.exports import urn


def owners(data: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
    return {one["name"]: (one["ownership"], one["stacks"]) for one in data["containers"]}


def test_the_json_is_as_recorded(accounts: Account, golden: Golden) -> None:
    """The report contains a container of each ownership, an unreadable state, and an interrupted create."""
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "both", "alone", "new")])
    gone = accounts.container("gone", created_at="2026-01-01T00:00:00Z")
    creating = {**accounts.container("new"), "id": "", "outputs": {}}
    dev = accounts.export(
        "dev.json",
        accounts.container("web"),
        accounts.container("both"),
        gone,
        pending=({"type": "creating", "resource": creating},),
    )
    prod = accounts.export("prod.json", accounts.container("both", "prod"))

    data = accounts.report(dev, prod, "missing.json", code=1)

    golden.json("account.json", data, {accounts.emulator.account: "ACCOUNT", str(accounts.folder): "FOLDER"})


def test_two_resources_of_one_stack_are_double_and_cost_once(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    again = accounts.container("web", urn=urn("dev", "shop", "Container", "again"))

    data = accounts.report(accounts.export("dev.json", accounts.container("web"), again))

    assert owners(data) == {"web": ("double", ["shop/dev"])}
    assert data["totals"]["stacks"]["shop/dev"]["monthly_price_usd"] == 4.0
    assert data["totals"]["counted_twice"]["monthly_price_usd"] == 0.0


def test_the_totals_equal_the_bill(accounts: Account) -> None:
    accounts.emulator.load(
        [
            {"name": "web", "template": "nodejs", "plan": "premium", "additional_storage_tier": 5},
            {"name": "vpn", "template": "stacks-vpn"},
            {"name": "tiny", "template": "redis-micro", "plan": "micro"},
            {"name": "alone", "template": "postgresql", "plan": "standard"},
        ]
    )
    inputs = {"name": "tiny", "template": "redis-micro", "plan": "micro"}
    tiny = [accounts.container("tiny", stack, inputs=inputs) for stack in ("dev", "prod")]
    dev = accounts.export("dev.json", accounts.container("web"), tiny[0])
    prod = accounts.export("prod.json", accounts.container("vpn", "prod"), tiny[1])
    held = accounts.emulator.state.containers.values()
    bill = sum(
        (catalog.monthly_price(one.template, one.plan, one.storage_tier) or Decimal(0) for one in held),
        Decimal(0),
    )

    totals = accounts.report(dev, prod)["totals"]

    price = {name: Decimal(total["price"]["low"]) for name, total in totals["stacks"].items()}
    assert price == {"shop/dev": Decimal(16), "shop/prod": Decimal(6)}
    assert Decimal(totals["account"]["price"]["low"]) == bill == Decimal(26)
    assert (
        sum(price.values(), Decimal(totals["none"]["price"]["low"]))
        - Decimal(totals["counted_twice"]["price"]["low"])
        == bill
    )


def test_a_container_listed_twice_is_counted_once(accounts: Account) -> None:
    row = {"id": accounts.id("web"), "name": "web", "template": "nodejs", "plan": "basic", "created_at": "x"}
    body = {"success": True, "count": 2, "data": [row, {**row, "status": "running"}]}
    accounts.emulator.faults.add("containers.list", "answer", body=body)

    data = accounts.report(accounts.export("dev.json"))

    accounts.emulator.faults.assert_none_left()
    assert owners(data) == {"web": ("orphan", [])}
    assert data["totals"]["account"] == data["totals"]["none"]
    assert data["totals"]["account"]["containers"] == 1


def test_a_container_only_in_a_state_is_missing(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    gone = accounts.container("gone", created_at="2026-01-01T00:00:00Z")

    data = accounts.report(
        accounts.export("dev.json", accounts.container("web"), gone), "--fail-on", "missing", code=2
    )

    [missing] = data["missing"]
    assert (missing["id"], missing["stack"], missing["urn"]) == (accounts.id("gone"), "shop/dev", gone["urn"])
    assert data["failed"] == ["1 resource that the account does not have (--fail-on missing)"]


def test_an_incomplete_list_makes_no_container_missing(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    dev = accounts.export("dev.json", accounts.container("web"))
    accounts.emulator.faults.add("containers.list", "answer", body={"success": True, "count": 0, "data": []})

    data = accounts.report(dev, "--fail-on", "missing", code=1)

    accounts.emulator.faults.assert_none_left()
    assert (data["complete"], data["missing"], data["failed"]) == (False, [], [])
    assert f"lacks {accounts.id('web')}, which exists" in data["gaps"][0]
    assert data["totals"]["account"]["price"] == {"low": "0.00", "high": None}


def test_another_creation_time_is_another_container(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    dev = accounts.export("dev.json", accounts.container("web", created_at="2026-01-01T00:00:00Z"))

    data = accounts.report(dev)

    assert owners(data) == {"web": ("orphan", [])}
    [web] = data["containers"]
    assert [owner["stack"] for owner in web["recreated"]] == ["shop/dev"]
    # The container may have been resized or restored, so no command deletes it.
    assert web["command"] == "pulumi refresh --stack dev"
    assert data["missing"][0]["id"] == accounts.id("web")


def test_an_interrupted_create_is_named_with_its_stack(accounts: Account) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "data", "idle")])
    creating = accounts.container("Web", created_at="2026-01-01T00:00:00Z", id="", outputs={})
    again = accounts.container("data", id="", outputs={})
    dev = accounts.export(
        "dev.json",
        accounts.container("data"),
        pending=(
            {"type": "creating", "resource": creating},
            # An owned container, so this operation has no effect on the report.
            {"type": "creating", "resource": again},
            {"type": "updating", "resource": accounts.container("data")},
            # A pending operation of a different kind did not create this container.
            {"type": "deleting", "resource": accounts.container("idle")},
        ),
    )

    data = accounts.report(dev, "--fail-on", "orphans", code=2)

    assert owners(data) == {
        "data": ("owned", ["shop/dev"]),
        "idle": ("orphan", []),
        "web": ("interrupted", []),
    }
    web = next(one for one in data["containers"] if one["name"] == "web")
    assert [operation["stack"] for operation in web["interrupted"]] == ["shop/dev"]
    assert web["command"] == "pulumi up --stack dev"


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"name": SECRET, "template": "nodejs", "stacks_kind": "Container"}},
        {"type": "stacks:index:Cluster", "inputs": {"stacks_kind": "Cluster"}},
    ],
    ids=["secret name", "unknown kind"],
)
def test_an_interrupted_create_whose_name_is_not_known_leaves_no_orphans(
    changes: dict[str, Any], accounts: Account
) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "hidden")])
    creating = {**accounts.container("hidden"), "id": "", "outputs": {}, **changes}
    dev = accounts.export(
        "dev.json", accounts.container("web"), pending=({"type": "creating", "resource": creating},)
    )

    data = accounts.report(dev, "--fail-on", "orphans", code=1)

    assert owners(data) == {"hidden": ("unknown", []), "web": ("owned", ["shop/dev"])}
    assert "the state does not contain the container's name" in data["unread"][0]["error"]
    assert (data["complete"], data["failed"]) == (False, [])


def test_protected_retained_and_leftover_containers_are_owned(accounts: Account) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("old", "safe", "waits")])
    old = accounts.container("old", delete=True, retainOnDelete=True)
    waits = accounts.container("waits", pendingReplacement=True)
    looked_up = accounts.container("safe", "prod", external=True)
    dev = accounts.export("dev.json", old, accounts.container("safe", protect=True), waits)

    data = accounts.report(dev, accounts.export("prod.json", looked_up))

    assert owners(data) == {
        "old": ("owned", ["shop/dev"]),
        "safe": ("owned", ["shop/dev"]),
        # The engine has already deleted it; an existing container is from another resource.
        "waits": ("orphan", []),
    }
    flags = {one["name"]: one["owners"][0] for one in data["containers"] if one["owners"]}
    assert (flags["old"]["left_over"], flags["old"]["retain_on_delete"], flags["old"]["protect"]) == (
        True,
        True,
        False,
    )
    assert (flags["safe"]["left_over"], flags["safe"]["protect"]) == (False, True)

    assert main(["account", "--state", dev]) == 0
    out = accounts.capsys.readouterr().out
    assert "left over from a replacement, retained on delete" in out


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"deployment": {"resources": [{"urn": 1}]}}',
        '{"steps": []}',
        "[]",
        '{"deployment": {"resources": 5}}',
    ],
)
def test_an_unreadable_export_leaves_no_orphans(content: str, accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}, {"name": "alone", "template": "nodejs"}])
    dev = accounts.export("dev.json", accounts.container("web"))
    (tmp_path / "bad.json").write_text(content, encoding="utf-8")

    data = accounts.report(dev, str(tmp_path / "bad.json"), "--fail-on", "orphans", code=1)

    assert owners(data) == {"alone": ("unknown", []), "web": ("owned", ["shop/dev"])}
    assert (data["complete"], data["failed"]) == (False, [])
    assert [one["command"] for one in data["containers"]] == [None, None]
    assert [one["stack"] for one in data["unread"]] == [str(tmp_path / "bad.json")]

    assert main(["account", "--state", str(tmp_path / "bad.json")]) == 1
    out = accounts.capsys.readouterr().out
    assert "no container is reported as an orphan, because a stack that was not read may own it" in out
    assert "curl" not in out


@pytest.mark.parametrize("content", ['{"deployment": null}', '{"deployment": {"manifest": {}}}'])
def test_an_empty_stack_is_complete(content: str, accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": "alone", "template": "nodejs"}])
    # PowerShell writes UTF-16.
    (tmp_path / "empty.json").write_bytes(content.encode("utf-16"))

    assert owners(accounts.report(str(tmp_path / "empty.json"))) == {"alone": ("orphan", [])}


def provider(url: str) -> dict[str, Any]:
    return {
        "urn": "urn:pulumi:dev::shop::pulumi:providers:pulumi-python::default",
        "custom": True,
        "id": "1",
        "type": "pulumi:providers:pulumi-python",
        "inputs": {"stacks:baseUrl": url},
    }


OF_PROVIDER: dict[str, Any] = {"provider": "urn:pulumi:dev::shop::pulumi:providers:pulumi-python::default::1"}
OTHER_ORIGIN: dict[str, Any] = {
    "outputs": {"created_at": "2026-01-01T00:00:00Z", "origin": "0123456789abcdef-abcd"}
}


def test_a_state_of_another_api_is_not_mixed_in(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    same = accounts.container("web", **OF_PROVIDER)
    gone = accounts.container("gone", created_at="2026-01-01T00:00:00Z", **OF_PROVIDER)
    other = accounts.export("other.json", provider("https://other.example/api/v1"), same, gone)

    data = accounts.report(other)

    # The same id and the same second: that stack does not own it, but it is too similar to report it as an orphan.
    assert owners(data) == {"web": ("unknown", [])}
    assert data["missing"] == []
    assert [one["stack"] for one in data["other_accounts"]] == ["shop/dev"]


def test_names_of_this_machine_are_equal_urls(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    url = accounts.emulator.url.replace("127.0.0.1", "LOCALHOST") + "/"

    data = accounts.report(
        accounts.export("dev.json", provider(url), accounts.container("web", **OF_PROVIDER))
    )

    assert owners(data) == {"web": ("owned", ["shop/dev"])}


def test_a_state_of_another_account_is_not_mixed_in(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    foreign = accounts.container("web", created_at="x", id="usr-99999999-web", **OTHER_ORIGIN)

    data = accounts.report(accounts.export("dev.json", foreign))

    assert data["missing"] == []
    assert "usr-99999999-" in data["other_accounts"][0]["reason"]


def test_a_container_changed_with_another_key_is_owned(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    rotated = accounts.container("web")
    rotated["outputs"]["origin"] = "0123456789abcdef-abcd"

    assert owners(accounts.report(accounts.export("dev.json", rotated))) == {"web": ("owned", ["shop/dev"])}


def test_an_empty_account_does_not_make_a_state_of_another_key_missing(accounts: Account) -> None:
    gone = accounts.container("gone", created_at="x", **OTHER_ORIGIN)

    data = accounts.report(accounts.export("dev.json", gone))

    assert (data["missing"], len(data["other_accounts"])) == ([], 1)


def test_the_native_types_and_spellings_are_recognised(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    native = accounts.container("web", type="stacks:index:Container")
    native["outputs"] = {"createdAt": "2026-01-01T00:00:00Z", "origin": f"{accounts.fingerprint}-x"}
    native["inputs"] = {"name": "web", "template": "nodejs", "stacksKind": "Container"}

    data = accounts.report(accounts.export("dev.json", native))

    assert [owner["stack"] for owner in data["containers"][0]["recreated"]] == ["shop/dev"]


def test_a_kind_of_a_later_version_keeps_its_container_from_being_an_orphan(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    novel = accounts.container("web", type="stacks:index:Cluster", inputs={"stacks_kind": "Cluster"})

    assert owners(accounts.report(accounts.export("dev.json", novel))) == {"web": ("owned", ["shop/dev"])}


def test_of_two_exports_of_one_stack_the_latest_counts(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}, {"name": "new", "template": "nodejs"}])
    web = accounts.container("web")
    old = accounts.export("old.json", web, saved_at="2026-01-01T00:00:00Z")
    new = accounts.export("new.json", web, accounts.container("new"), saved_at="2026-01-02T00:00:00Z")

    for files in ((old, new), (new, old), (new, new, old)):
        data = accounts.report(*files, "--fail-on", "orphans,double")

        assert owners(data) == {"new": ("owned", ["shop/dev"]), "web": ("owned", ["shop/dev"])}
        assert data["notes"][0] == (
            f"{old} is ignored: {new} is an export of the same stack, shop/dev, and is not older"
        )


def test_two_stacks_with_one_name_are_distinguished(accounts: Account) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("one", "two")])
    files = [accounts.export(f"{name}.json", accounts.container(name)) for name in ("one", "two")]

    data = accounts.report(*files)

    assert owners(data) == {
        name: ("owned", [f"shop/dev ({file})"]) for name, file in zip(("one", "two"), files, strict=True)
    }
    assert any("several files are exports of a stack shop/dev" in note for note in data["notes"])


def test_every_report_mentions_other_backends(accounts: Account) -> None:
    file = accounts.export("dev.json")

    assert any("may belong to a different backend" in note for note in accounts.report(file)["notes"])
    for form in ([], ["--markdown"]):
        main(["account", "--state", file, *form])
        assert "may belong to a different backend" in accounts.capsys.readouterr().out


def test_every_finding_has_a_command_that_is_not_run(accounts: Account) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("alone", "both", "kept")])
    gone = accounts.container("gone", created_at="x")
    dev = accounts.export("dev.json", accounts.container("both"), accounts.container("kept"), gone)
    kept = accounts.container("kept", "prod", protect=True)
    prod = accounts.export("prod.json", accounts.container("both", "prod"), kept)

    assert main(["account", "--state", dev, "--state", prod]) == 0

    out = accounts.capsys.readouterr().out
    assert "DELETE" not in out
    taken = out.index(f"stacks-pulumi scaffold --out taken-over --state {dev} --state {prod}")
    assert out.endswith("everything was read, there is no --fail-on finding, and no limit is exceeded.\n")

    assert main(["account", "--state", dev, "--state", prod, "--deletions"]) == 0

    out = accounts.capsys.readouterr().out
    assert taken < out.index("curl -fsS -X DELETE")
    assert f"{accounts.emulator.url}/containers/{accounts.id('alone')}" in out
    assert (
        f"pulumi state delete --target-dependents --stack prod -- {urn('prod', 'shop', 'Container', 'both')}"
        in out
    )
    # The engine forgets a protected resource only with --force.
    assert f"pulumi state delete --force --target-dependents --stack prod -- {kept['urn']}" in out
    # An export does not name the organization; in the project's folder, the engine knows it.
    assert "To update the state of the stack, in the folder of the project shop:" in out
    assert "pulumi refresh --stack dev" in out
    assert {request.method for request in accounts.emulator.requests} == {"GET"}


def test_what_cannot_be_adopted_yet_is_offered_with_the_reason(accounts: Account) -> None:
    accounts.emulator.load([{"name": "broken", "template": "nodejs", "status": "error"}])

    assert main(["account", "--state", accounts.export("dev.json")]) == 0

    out = accounts.capsys.readouterr().out
    # The command by itself writes no file for it.
    assert "To adopt objects without a stack" not in out
    assert "  broken (its status is error, so adopting it would start it: " in out


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--fail-on", "orphans"], 2, "1 object in no stack (--fail-on orphans)."),
        (
            ["--fail-on", "orphans", "--max-total", "1"],
            2,
            "1 object in no stack (--fail-on orphans) (and 1 more).",
        ),
        (["--max-total", "1"], 2, "the account: the total is $4.00 at most, over the limit of $1.00."),
        (["--state", "no such file"], 1, "no such file was not read: "),
        ([], 0, "everything was read, there is no --fail-on finding, and no limit is exceeded."),
    ],
)
def test_the_last_line_has_the_reason_for_the_exit_code(
    options: list[str], code: int, reason: str, *, accounts: Account
) -> None:
    accounts.emulator.load([{"name": "alone", "template": "nodejs"}])
    words = ["account", "--state", accounts.export("dev.json"), *options]

    assert main(words) == code
    assert accounts.capsys.readouterr().out.splitlines()[-1].startswith(f"Exit code {code}: {reason}")
    assert main([*words, "--json"]) == code
    data = json.loads(accounts.capsys.readouterr().out)
    assert (data["exit_code"], data["reason"].partition(": ")[2][:20]) == (code, reason[:20])


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]], ids=str)
def test_a_key_that_was_given_as_the_name_of_a_file_is_not_shown(form: list[str], accounts: Account) -> None:
    assert main(["account", "--state", f"sk_stacks_{'a' * 64}", *form]) == 1

    shown = "".join(accounts.capsys.readouterr())
    assert "No such file or directory" in shown
    assert "a" * 64 not in shown


def test_one_call_for_a_thousand_containers_and_thirty_stacks(emulator: Emulator, accounts: Account) -> None:
    # All have one creation time, even if loading them takes long.
    emulator.freeze()
    emulator.load([{"name": f"box{number}", "template": "nodejs"} for number in range(1000)])
    emulator.resume()
    created_at = accounts.created_at("box0")
    files = [
        accounts.export(
            f"s{stack}.json",
            *(
                accounts.container(f"box{n}", f"s{stack}", created_at=created_at)
                for n in range(stack, 990, 30)
            ),
            *(accounts.container(f"gone{stack}-{n}", f"s{stack}", created_at=created_at) for n in range(2)),
        )
        for stack in range(30)
    ]
    before = emulator.calls()

    data = accounts.report(*files)

    # Two lists, each with three requests for single containers.
    assert emulator.calls() - before == 8
    assert len([one for one in data["containers"] if one["ownership"] == "owned"]) == 990
    assert len(data["totals"]["stacks"]) == 30
    assert len(data["missing"]) == 60
