"""`gate show`, `approve` and `apply` with a change that was written by hand: permissions and output."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from rich.cells import cell_len

from stacks_pulumi import cli
from stacks_pulumi.broker.change import canonical, instant
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import client, words, workflow
from stacks_pulumi.reports import writers
from tests.broker.conftest import Bench, Benches, create, known, literal, permit, sign
from tests.support.gate import keys
from tests.support.golden import Golden

CREATE: Final = """
import os, sys, urllib.request
request = urllib.request.Request(os.environ["STACKS_BASE_URL"] + "/containers", method="POST")
request.add_header("Authorization", "Bearer " + os.environ["STACKS_API_KEY"])
request.add_header("Content-Type", "application/json")
urllib.request.urlopen(request, sys.argv[1].encode())
"""
BODY: Final = json.dumps(create("web"))


class Desk:
    """A person with a change in a file."""

    def __init__(self, bench: Bench, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bench, self.file, self._capsys = bench, folder / "change.json", capsys

    def write(self, *permits: Any, **more: Any) -> None:
        """Write a change."""
        self.file.write_bytes(canonical(self.bench.change(*permits, **more)))

    def known(self, name: str) -> dict[str, Any]:
        """Create a container; return it as a known container of a change."""
        row = self.bench.made(name)
        return {name: {"id": row["id"], "created_at": row["created_at"]}}

    def gate(self, action: str, *words: str, code: int = 0, what: str = "") -> str:
        """Run an action on the change; return its output."""
        found = cli.main(["gate", action, what or str(self.file), "--gate", self.bench.url, *words])
        said = "".join(self._capsys.readouterr())
        assert found == code, said
        return said

    def approve(self, name: str, *words: str, code: int = 0) -> str:
        """Approve the change with the key of a person."""
        return self.gate("approve", "--key", str(keys() / name), *words, code=code)

    def apply(self, *words: str, code: int = 0) -> str:
        """Apply the change with a command that creates `web`."""
        return self.gate("apply", *words, "--", sys.executable, "-c", CREATE, BODY, code=code)


@pytest.fixture
def desks(
    benches: Benches,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Desk]:
    def make(**settings: Any) -> Desk:
        bench = benches(**settings)
        monkeypatch.setenv("STACKS_API_KEY", bench.reader().token)
        return Desk(bench, tmp_path, capsys)

    return make


def test_a_change_by_hand_is_shown_signed_and_applied_with_any_client(desks: Callable[..., Desk]) -> None:
    """The token ends with the run, and the same change can be applied again with its remaining permits."""
    desk = desks()
    desk.write(permit("containers.create", create("web")), permit("containers.create", create("data")))

    assert "needs an approval; +$8.00 a month" in desk.gate("show")
    assert "without a signature" in desk.apply(code=2)
    desk.approve("ann")
    assert "approved by ann" in desk.gate("show")
    assert "has already approved this change" in desk.approve("ann", code=2)
    desk.apply()
    assert desk.bench.names == ["web"]
    assert "the change was submitted at" in desk.gate("show")
    token = [one for one in desk.bench.ledger.grants() if one.kind == "change"]
    assert len(token) == 1

    # The stored answer to the same create; no container is created twice.
    said = desk.gate("apply", "--", sys.executable, "-c", "raise SystemExit(3)", code=3)
    assert 'approved but not done: 2. POST /containers {"name": "data"' in said
    said = desk.gate("apply", "--", sys.executable, "-c", "raise SystemExit(10)", code=10)
    assert "waiting: STACKS has no capacity" in said
    desk.apply()
    assert desk.bench.names == ["web"]
    assert desk.bench.emulator.calls("containers.create") == 1


def test_whose_a_container_is_and_what_it_is_come_from_the_broker(desks: Callable[..., Desk]) -> None:
    """Whatever the planner writes, the output shows the live container with its owner."""
    desk = desks()
    row = desk.bench.made("data", template="postgresql")
    desk.bench.ledger.claim("other/prod", row["id"], row["created_at"], "postgresql", "basic")
    known = {"cache": {"id": row["id"], "created_at": "2020-01-01T00:00:00Z", "template": "redis"}}
    desk.write(
        permit("containers.delete", ids={"container_id": literal(row)}, destroys="nothing"),
        known=known,
        secrets=[{"endpoint": "containers.credentials", "ids": {"container_id": literal(row)}}],
    )

    said = desk.gate("show")

    assert f'reads a secret; {row["id"]} is "data", postgresql' in said
    assert '"data", postgresql, basic, $4.00 a month, owned by other/prod' in said
    assert 'the change is for a container created "2020-01-01T00:00:00Z"' in said
    assert "their owners in the ledger: none, other/prod" in said


def test_the_log_says_who_changed_what_for_how_much(
    desks: Callable[..., Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desks()
    desk.write(permit("containers.create", create("web")), author="Eve <eve@example.org>")
    desk.approve("ann")
    desk.apply()
    words = ["gate", "log", "--gate", desk.bench.url]

    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "shop/prod: +$4.00 a month; approved by ann, written by 'Eve <eve@example.org>'" in said
    assert 'done: POST /containers {"name": "web"' in said
    assert cli.main([*words, "--json", "-s", "other/prod"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == []
    # An agent does not see the containers of others.
    token = desk.bench.ledger.issue("budget", "agent", seconds=60.0, policy="x")[1]
    assert desk.bench.client(token)("GET", "/_broker/log").status_code == 404


def test_the_documents_of_a_change_are_as_recorded(desks: Callable[..., Desk], golden: Golden) -> None:
    """The output for a person, a pull request, a test report and a program."""
    desk = desks(rules={"unpriced": "approve", "opens-access": "refuse"})
    old, web = desk.bench.made("old", template="postgresql"), desk.bench.made("web")
    desk.bench.ledger.claim("shop/prod", old["id"], old["created_at"], "postgresql", "basic")
    desk.write(
        permit("containers.create", create("db", "postgresql"), binds="db", why="create db"),
        permit(
            "containers.external_access", {"enabled": True}, ids={"container_id": {"of": ["web"]}}, times=2
        ),
        permit(
            "containers.delete",
            ids={"container_id": literal(old)},
            after=[1],
            destroys="tables",
            why="delete old",
        ),
        nonce="a-nonce-of-this-test",
        author="Eve <eve@example.org>",
        ceiling={"increase": "4.00"},
        known={"web": {"id": web["id"], "created_at": web["created_at"]}},
        secrets=[{"endpoint": "containers.credentials", "ids": {"container_id": {"of": ["db"]}}}],
        preview={
            "steps": [
                {"operation": "create", "name": "db", "type": "stacks:index:Container"},
                {"operation": "update", "name": "site", "type": "aws:s3/bucket:Bucket", "changed": ["acl"]},
            ],
            "findings": [{"rule": "opens-access", "action": "approve", "text": "'site' may be open"}],
            "violations": ["spend-gate: it is close to the limit"],
        },
    )
    replaced = {desk.bench.ledger.account: "ACCOUNT", desk.bench.emulator.account: "usr"}

    for ending, form in {"txt": "table", "md": "markdown", "xml": "junit", "json": "json"}.items():
        # A page may break a long word at an invisible place.
        said = desk.gate("show", "--format", form).replace("\N{ZERO WIDTH SPACE}", "")
        golden.text(f"gate.{ending}", said, replaced)


def test_who_may_approve(desks: Callable[..., Desk]) -> None:
    """A wrong signer, `--as`, two people, the author, and the limit of an approver."""
    desk = desks(
        two_approvals=["destroys-data"],
        other_than_author=True,
        approver_limits={"bob": {"ceiling": 3}},
    )
    row = desk.bench.made("old", template="postgresql")
    desk.write(
        permit("containers.delete", ids={"container_id": literal(row)}),
        author="Eve <eve@example.org>",
        ceiling={"increase": "2.00"},
    )
    assert "no valid key" in desk.approve("eve", code=2)
    assert "not to bob" in desk.approve("ann", "--as", "bob", code=2)
    assert "the approvals of two people" in desk.approve("ann")
    assert "the approvals of two people" in desk.apply(code=2)
    desk.approve("bob")
    desk.gate("apply", "--", "true")

    desk.write(permit("containers.create", create("web")), author="Ann <ann@example.org>")
    assert "ann is the author of the change" in desk.approve("ann", code=2)
    assert "bob may approve an increase of $3.00" in desk.approve("bob", code=2)
    # A signature that a person adds by hand is not enough either.
    desk.file.with_name("change.json.sig.d").mkdir()
    desk.file.with_name("change.json.sig.d").joinpath("ann").write_text(sign(desk.file.read_text(), "ann"))
    assert "ann is the author of the change" in desk.apply(code=2)
    assert desk.bench.names == ["old"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"until": instant(0)}, "the change expired at"),
        ({"ceiling": {"increase": "1.00"}}, "ceiling is $1.00"),
        ({"account": "0" * 16}, "the change is for a different broker"),
        (
            {"preview": {"findings": [{"rule": "x", "action": "refuse", "text": "it is Friday"}]}},
            "it is Friday",
        ),
    ],
)
def test_a_change_that_does_not_hold_is_neither_approved_nor_applied(
    desks: Callable[..., Desk], more: dict[str, Any], why: str
) -> None:
    desk = desks()
    desk.write(permit("containers.create", create("web")), **more)
    folder = desk.file.with_name("change.json.sig.d")
    folder.mkdir()
    (folder / "ann").write_text(sign(desk.file.read_text(), "ann"))

    assert "refused" in desk.approve("bob", code=2)
    assert why in desk.apply(code=2)
    assert desk.bench.names == []


def test_one_byte_of_the_file_after_the_signature(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.write(permit("containers.create", create("web")))
    desk.approve("ann")
    workflow.save(sign(desk.file.read_text(), "ann"), "ann", desk.file)
    desk.file.write_text(desk.file.read_text().replace('"basic"', '"micro"'))

    assert "the signature does not verify" in desk.apply(code=2)
    shutil.rmtree(desk.file.with_name("change.json.sig.d"))
    assert "without a signature" in desk.apply(code=2)


def test_a_signature_is_kept_as_long_as_its_key_holds(desks: Callable[..., Desk]) -> None:
    """Two people sign on two machines; one of them leaves before the change is applied."""
    desk = desks(two_approvals=["destroys-data"])
    row = desk.bench.made("old", template="postgresql")
    desk.write(permit("containers.delete", ids={"container_id": literal(row)}))
    assert "the approvals of two people" in desk.approve("ann")
    desk.approve("bob")
    signers = desk.bench.path / "allowed_signers"
    both = signers.read_text()

    signers.write_text(both.partition("\n")[0])
    assert "the approvals of two people" in desk.gate("apply", "--", "true", code=2)
    signers.write_text(both)
    desk.gate("apply", "--", "true")


def test_a_signature_is_written_into_no_file_that_the_author_chose(tmp_path: Path) -> None:
    mine, file = tmp_path / "mine", tmp_path / "change.json"
    mine.write_text("mine")
    folder = tmp_path / "change.json.sig.d"
    folder.mkdir()
    (folder / "ann").symlink_to(mine)

    workflow.save("a signature", "ann", file)

    assert mine.read_text() == "mine"
    assert not (folder / "ann").is_symlink()
    other = tmp_path / "other.json"
    other.with_name("other.json.sig.d").symlink_to(tmp_path)
    with pytest.raises(StacksError, match="is a link"):
        workflow.save("a signature", "mine", other)


def test_a_file_of_the_author_that_never_ends_is_not_read(tmp_path: Path) -> None:
    file, folder = tmp_path / "change.json", tmp_path / "change.json.sig.d"
    folder.mkdir()
    file.symlink_to("/dev/null")
    (folder / "ann").symlink_to("/dev/null")

    with pytest.raises(StacksError, match="not a regular file"):
        workflow.statement_of(file)
    with pytest.raises(StacksError, match="not a regular file"):
        workflow.signatures_of(file)


def test_neither_change_nor_plan_is_written_through_a_link_or_into_a_fifo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, file, other, fifo = (tmp_path / name for name in ("mine", "change.json", "other.json", "fifo.json"))
    file.symlink_to(mine)
    other.with_name("other.json.sig.d").symlink_to(tmp_path)
    os.mkfifo(fifo)

    for one in (file, other, fifo):
        with pytest.raises(StacksError, match="is a link, or not a regular file"):
            workflow.write("a change", one)
    saved = tmp_path / "saved.json"
    workflow.plan_of(saved).symlink_to(mine)
    words = ["gate", "plan", "--save-plan", "--out", str(saved), "--gate", "http://127.0.0.1:9"]
    assert cli.main(words) == 1
    assert "is a link, or not a regular file" in capsys.readouterr().err
    assert not mine.exists()
    assert not other.exists()


def test_a_value_that_may_be_any_is_accepted_by_name(desks: Callable[..., Desk]) -> None:
    desk = desks()
    body = {**create("web"), "name": {"any": True}}
    # An unknown value can make the price unknown; other requests have no price.
    desk.write(permit("containers.create", body))
    assert "its price has no upper bound, so it needs a ceiling" in desk.gate("show", code=1)
    address = {"ip_address": {"any": True}, "description": "x", "service_type": "http"}
    desk.write(
        permit("allowed_ips.add", address, ids={"container_id": {"of": ["old"]}}), known=desk.known("old")
    )
    assert "a value is not known before the change is applied" in desk.approve("ann", code=1)

    any_plan = {**create("web"), "plan": {"any": True}}
    desk.write(permit("containers.create", any_plan), ceiling={"increase": "1500.00"})
    assert "$1,500.00  one of its values is unknown, and may be any value" in desk.gate("show")

    desk.write(permit("containers.create", body), ceiling={"increase": "4.00"})

    assert "a value is not known before the change is applied" in desk.approve("ann", code=1)
    desk.approve("ann", "--accept-unknown")
    desk.apply()
    assert desk.bench.names == ["old", "web"]


def test_names_cannot_write_lines_of_their_own(desks: Callable[..., Desk]) -> None:
    """A terminal writes what follows many spaces, or a long word, into a line of its own."""
    desk, forged = desks(), "note: approved by bob"
    name = f"web\n   1. GET /containers\x1b[2J {' ' * 100}{forged} {'x' * 99} {forged}"
    preview = {"steps": [{"operation": "create", "name": name, "type": name}], "violations": [name]}
    desk.write(permit("containers.create", create(name), why=name), preview=preview, author=name)

    with client.opened(desk.bench.url) as broker:
        shown = words.document_of(workflow.judged(broker, desk.file.read_text()))
    for said in (desk.gate("show"), writers.rich_text(shown, width=100, color=False) or ""):
        assert forged in said
        assert not [one for one in ("\x1b", " " * 20 + forged) if one in said]
        assert not [line for line in said.splitlines() if line.startswith(("   1. GET", forged))]
    # A terminal may have any width, and may be too narrow for frames.
    for width in range(40, 140):
        said = writers.wrapped(f"{chr(0x4E00) * 3}{writers.plain(shown)}", width)
        assert max(map(cell_len, said.splitlines())) <= width
        assert f"\n{forged}" not in said


def test_a_page_says_what_it_cuts_and_who_reports_a_finding(desks: Callable[..., Desk]) -> None:
    desk = desks()
    found = {"rule": "own-rule", "action": "approve", "text": "x" * 1100}
    long = {**create("web"), "discount_code": "A" * 1100}
    desk.write(permit("containers.create", long), preview={"findings": [found]})

    page = desk.gate("show", "--format", "markdown")

    assert "own-rule: the planner reports: xxx" in page
    assert [page.count(said) for said in (r"\(and 131 more characters\)", r"more characters\)")] == [1, 2]


def test_what_is_shown_cannot_be_mistaken(desks: Callable[..., Desk]) -> None:
    """No two names look alike, a text of the author is in quotes, and a backup is shown with its container."""
    desk = desks()
    row, data = desk.bench.made("web"), desk.bench.made("data", template="postgresql", backups=1)
    gone = {"container_id": {"is": row["id"], "created_at": "2020, which is the same"}}
    entry = {"container_id": literal(row), "ip_id": {"address": "198.51.100.7/0"}}
    number = str(next(iter(desk.bench.emulator.state.backups)))
    named = {"web": row, "w\u0435b": data}
    desk.write(
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": {"of": ["w\u0435b"]}}),
        permit("backups.restore", ids={"backup_id": {"is": number, "in": "w\u0435b"}}),
        permit("backups.delete", ids={"backup_id": {"is": number}}),
        permit("containers.delete", ids=gone),
        permit("allowed_ips.remove", ids=entry),
        permit("containers.external_access", {"enabled": True}, ids={"container_id": {"of": ["w\u0435b"]}}),
        known=known(**named),
        author="Eve, approved by bob",
    )

    said = desk.gate("show")

    assert "[the entry of 0.0.0.0/0]" in said
    assert 'PUT /containers/["w\\u0435b"]/status' in said
    assert r'its object belongs to "w\u0435b"' in said
    # Of a stop, and of two lines with a finding: what the name of the planner stands for.
    assert said.count(f'"w\\u0435b" is {data["id"]}, "data", postgresql') == 3
    assert "its object may belong to any container" in said
    assert 'for a container created "2020, which is the same"' in said
    assert "planned by 'Eve, approved by bob'" in said
    # A zone may be any text.
    entry["ip_id"] = {"address": "fe80::1%] and nothing else/0"}
    desk.write(permit("allowed_ips.remove", ids=entry))
    assert "is not an address" in desk.gate("show", code=1)


def test_a_page_that_is_too_short_shows_what_a_rule_has_found(desks: Callable[..., Desk]) -> None:
    """Otherwise an author could add creates until the row of the deletion or of the stop is left out."""
    desk = desks()
    row = desk.bench.made("data", template="postgresql")
    desk.write(
        *(permit("containers.create", create(f"web{n}", plan="premium")) for n in range(200)),
        permit("containers.delete", ids={"container_id": literal(row)}),
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": literal(row)}),
        secrets=[{"endpoint": "containers.credentials", "ids": {"container_id": literal(row)}}],
    )

    page = desk.gate("show", "--format", "markdown")

    assert "and 103 more" in page
    assert "| removed | DELETE " in page
    assert '"status": "stopped"' in page
    assert "reads a secret; usr-" in page


def test_an_access_request_is_shown_and_approved(
    desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks(policies={"agents": {"increase_per_day": 1, "max_total": 20}})
    asked = desk.bench.agent().create("web").json()["request"]
    # A file of that name does not take its place.
    monkeypatch.chdir(desk.file.parent)
    desk.write(permit("containers.create", create("data")))
    desk.file.rename(asked)

    said = desk.gate("show", what=asked)
    assert "this change approves the access request" in said
    assert f"the access request {asked} is from 'agent', with the grant g-" in said
    assert "must be sent before the grant that asked for it ends" in said
    desk.gate("approve", "--key", str(keys() / "ann"), what=asked)

    assert desk.bench.agent()("GET", f"/_broker/requests/{asked}").json()["state"] == "approved"
    # A file for a different or a nonexistent request is neither shown nor signed.
    for request, why in (
        ("r-0123456789abcdef", "has no access request"),
        (asked, "differs from the access request"),
    ):
        desk.write(permit("containers.create", create("web")), request=request)
        assert why in desk.gate("show", code=2)
        assert why in desk.approve("ann", code=2)


def test_the_user_of_the_broker_is_warned_and_refused_if_strict(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.write(permit("containers.create", create("web")))
    desk.approve("ann")

    assert "the broker runs as this user" in desk.apply("--strict", code=2)
    assert desk.bench.names == []
    # The token became invalid at once, so the change can be handed in again.
    assert "the broker runs as this user" in desk.apply()


def test_a_machine_without_a_token_shows_and_signs_nothing(
    desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desks()
    desk.write(permit("containers.create", create("web")))
    monkeypatch.delenv("STACKS_API_KEY")

    assert "set STACKS_API_KEY to the token of a grant that may read" in desk.gate("show", code=2)
    assert "set STACKS_API_KEY to the token of a grant that may read" in desk.approve("ann", code=2)
    monkeypatch.setattr("stacks_pulumi.gate.client.Broker.why_exposed", lambda _self: "")
    assert "without a signature" in desk.apply(code=2)


def test_each_deletion_is_counted_and_a_missing_ceiling_is_said(desks: Callable[..., Desk]) -> None:
    desk = desks()
    both = {**desk.known("old"), **desk.known("older")}
    gone = permit("containers.delete", ids={"container_id": {"of": [*both]}}, times=2)
    desk.write(gone, permit("containers.create", create("web")), known=both)

    said = desk.gate("show")

    assert "the broker counts: lines 2, deletions 2" in said
    assert "the change has no ceiling" in said
