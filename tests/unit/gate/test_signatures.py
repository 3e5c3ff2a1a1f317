"""An approval holds for one record, one person and some time, and nothing else signs in their name."""

from __future__ import annotations

import dataclasses
import datetime
import os
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.broker.signatures import SignatureError
from stacks_pulumi.broker.signers import names_of
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import signatures
from stacks_pulumi.gate.settings import ApproverLimit, Gate, GateFile
from stacks_pulumi.gate.signatures import Statement, Subject

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
DIGEST = "ab" * 32
STACK = "organization/shop/prod"


@dataclasses.dataclass(frozen=True)
class Judged:
    """A verdict, as far as an approval is compared with it."""

    increase: Decimal | None = Decimal(5)
    increase_during: Decimal | None = Decimal(0)
    rules: frozenset[str] = frozenset({"opens-access"})
    unknown: tuple[str, ...] = ()
    needs_destroy: bool = False


STATEMENT = Statement(DIGEST, STACK, Decimal(5), ("opens-access",), NOW + HOUR)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the keys of ann, bob, and eve, whom no gate knows; that of bob is locked."""
    folder = tmp_path_factory.mktemp("keys")
    for name, passphrase in (("ann", ""), ("bob", "locked"), ("eve", ""), ("dan", "")):
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            passphrase,
            "-C",
            name,
            "-f",
            str(folder / name),
        ]
        subprocess.run(command, check=True)
    return folder


def line(keys: Path, name: str, options: str = ' namespaces="stacks-pulumi-gate"', key: str = "") -> str:
    """Return the line of a signer."""
    return f"{name}{options} {' '.join((keys / f'{key or name}.pub').read_text().split()[:2])}\n"


@pytest.fixture
def signers(keys: Path, tmp_path: Path) -> Path:
    """Return a file with the keys of ann, bob and dan."""
    file = tmp_path / "allowed_signers"
    file.write_text("# The approvers\n\n" + "".join(line(keys, name) for name in ("ann", "bob", "dan")))
    return file


@dataclasses.dataclass(frozen=True)
class Record:
    """A record with approvals, and the gate that it is judged by."""

    folder: Path
    keys: Path
    signers: Path

    def approve(self, name: str = "ann", /, **changes: Any) -> Path:
        """Sign a statement, and save it in the record."""
        statement = dataclasses.replace(STATEMENT, **changes)
        approval = signatures.sign(statement, self.keys / name, self.signers, NOW)
        return signatures.save(approval, self.folder / "approvals")

    def check(
        self, judged: Judged | None = None, *, now: datetime.datetime = NOW, author: str = "", **settings: Any
    ) -> signatures.Approvals:
        """Check the approvals by a gate with these settings."""
        gate = Gate(self.folder, "", GateFile(**settings), (), (), self.signers, None, None)
        subject = Subject(DIGEST, STACK, author, judged or Judged())
        return signatures.check(self.folder / "approvals", subject, gate, now)


@pytest.fixture
def record(tmp_path: Path, keys: Path, signers: Path) -> Record:
    """Return a record without approvals."""
    return Record(tmp_path, keys, signers)


def test_an_approval_holds(record: Record) -> None:
    record.approve()

    approvals = record.check()

    assert [(one.name, one.statement) for one in approvals.valid] == [("ann", STATEMENT)]
    assert (approvals.missing, approvals.problems) == ("", ())


def test_the_text_says_what_is_signed(record: Record) -> None:
    assert record.approve().read_text().partition("-----BEGIN")[0] == (
        "stacks-pulumi gate: approval, version 1\n"
        f"record: {DIGEST}\n"
        "stack: organization/shop/prod\n"
        "ceiling: 5.00\n"
        "accepts: opens-access\n"
        "until: 2026-11-27T13:00:00Z\n"
    )


@pytest.mark.parametrize(
    ("signed", "later", "reason"),
    [
        ({"digest": "cd" * 32}, {}, "ann approved another record"),
        (
            {"stack": "organization/shop/dev"},
            {},
            "ann approved a change of another stack, and this is organization/shop/prod",
        ),
        (
            {},
            {"now": NOW + HOUR + datetime.timedelta(seconds=1)},
            "the approval of ann ended at 2026-11-27T13:00:00Z",
        ),
        (
            {},
            {"judged": Judged(increase=Decimal("5.01"))},
            "ann approved an increase of $5.00 a month at most, and it is $5.01",
        ),
        (
            {},
            {"judged": Judged(increase=Decimal(0), increase_during=Decimal("5.01"))},
            "ann approved an increase of $5.00 a month at most, and it is $5.01",
        ),
        (
            {},
            {"judged": Judged(increase_during=None)},
            "ann approved an increase of $5.00 a month at most, and it is without a known upper bound",
        ),
        (
            {},
            {"judged": Judged(increase=None)},
            "ann approved an increase of $5.00 a month at most, and it is without a known upper bound",
        ),
        (
            {},
            {"judged": Judged(rules=frozenset({"opens-access", "unpriced"}), unknown=("the plan of app",))},
            "ann did not accept unknown, unpriced",
        ),
    ],
    ids=(
        "another record",
        "another stack",
        "ended",
        "exceeded",
        "exceeded for a time",
        "without a bound for a time",
        "without a bound",
        "not accepted",
    ),
)
def test_an_approval_is_void(
    record: Record, signed: dict[str, Any], later: dict[str, Any], reason: str
) -> None:
    file = record.approve(**signed)

    approvals = record.check(**later)

    assert approvals.valid == ()
    assert approvals.problems == (f"{file.name}: {reason}",)
    assert approvals.missing == f"it needs an approval; not valid: {file.name}: {reason}"


def test_an_approval_holds_at_its_last_instant(record: Record) -> None:
    record.approve(ceiling=None)

    assert not record.check(Judged(increase=None), now=NOW + HOUR).missing


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"ceiling: 5.00", b"ceiling: 9.00"),
        lambda data: data.replace(b"opens-access", b"opens-access, unknown"),
        lambda data: data.replace(b"13:00:00Z", b"23:00:00Z"),
        lambda data: data.replace(b"ab" * 32, b"cd" * 32),
        lambda data: data.replace(b"AAAA", b"AAAB", 1),
        lambda data: data.replace(b"ceiling: 5.00", b"ceiling: 5.0"),
        lambda data: data.replace(b"\nstack", b"\r\nstack"),
        lambda data: data.replace(b"until", b"note: x\nuntil"),
        lambda data: data.replace(b"-----END", b"more\n-----END"),
        lambda data: data + b"more",
        lambda data: data.partition(b"-----BEGIN")[0],
        lambda _: b"",
    ],
)
def test_a_forged_approval_is_void(record: Record, change: Callable[[bytes], bytes]) -> None:
    file: Path = record.approve()
    before = file.read_bytes()
    file.write_bytes(change(before))
    assert file.read_bytes() != before

    approvals = record.check()

    assert approvals.valid == ()
    assert len(approvals.problems) == 1


def test_every_byte_of_the_text_counts(record: Record) -> None:
    file: Path = record.approve()
    data = file.read_bytes()
    text = data.index(b"-----BEGIN")

    for position in (*range(0, text, 40), text - 1):
        changed = bytearray(data)
        changed[position] ^= 1
        file.write_bytes(bytes(changed))
        assert record.check().valid == (), f"byte {position}"


def test_the_signature_of_a_person_whom_the_gate_does_not_know_is_refused(keys: Path, signers: Path) -> None:
    with pytest.raises(
        SignatureError, match="eve is not one of allowed_signers that holds now, which has ann"
    ):
        signatures.sign(STATEMENT, keys / "eve", signers, NOW)


def test_a_signature_in_another_namespace_is_refused(keys: Path, signers: Path) -> None:
    command = ["ssh-keygen", "-Y", "sign", "-f", str(keys / "ann"), "-n", "git"]
    made = subprocess.run(command, input=STATEMENT.text, capture_output=True, check=True).stdout

    with pytest.raises(SignatureError):
        signatures.verify(STATEMENT.text, made, signers, NOW)


def test_a_locked_key_is_an_error_and_no_question(
    keys: Path, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with pytest.raises(
        SignatureError, match=r"passphrase, which is not asked .* unlock it with `ssh-add .*bob` first"
    ):
        signatures.sign(STATEMENT, keys / "bob", signers, NOW)


@pytest.fixture
def agent(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start an agent that has the key of bob."""
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho locked\n")
    ask.chmod(0o755)
    # A socket's path has 108 characters at most.
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    given = dict(part.split("=", 1) for part in started.replace("\n", " ").split("; ") if "=" in part)
    given = {name.strip().split(" ")[-1]: value for name, value in given.items()}
    monkeypatch.setenv("SSH_AUTH_SOCK", given["SSH_AUTH_SOCK"])
    monkeypatch.setenv("SSH_AGENT_PID", given["SSH_AGENT_PID"])
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    subprocess.run(["ssh-add", "-q", str(keys / "bob")], check=True)
    yield
    subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("file", ["bob", "bob.pub"])
def test_an_agent_signs_with_a_locked_key(keys: Path, signers: Path, file: str) -> None:
    assert signatures.sign(STATEMENT, keys / file, signers, NOW).name == "bob"


def test_a_key_has_to_be_valid_at_the_time(keys: Path, signers: Path) -> None:
    options = ' namespaces="stacks-pulumi-gate",valid-before="20261127130000"'
    signers.write_text(line(keys, "ann", options))

    approval = signatures.sign(STATEMENT, keys / "ann", signers, NOW)

    with pytest.raises(SignatureError, match="no valid key"):
        signatures.verify(approval.text, approval.signature, signers, NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("* KEY", "is not the name of one person"),
        ("*@example.com KEY", "is not the name of one person"),
        ("ann,bob KEY", "is not the name of one person"),
        ("!ann KEY", "is not the name of one person"),
        ('"ann" KEY', "is not the name of one person"),
        ("ann cert-authority KEY", "the option cert-authority is not supported"),
        (
            'ann namespaces="stacks-pulumi-gate",cert-authority KEY',
            "the option cert-authority is not supported",
        ),
        ('ann namespaces="*" KEY', 'its namespaces have to be "stacks-pulumi-gate"'),
        ('ann namespaces="git, file" KEY', "its options cannot be read"),
        ("ann KEY\neve KEY", "line 2: eve and ann have the same key"),
        ("ann KEY\nAnn OTHER", "line 2: Ann and ann are one name in two spellings"),
        ("ann", "a line is: NAME"),
        ("ann ssh-ed25519", "a line is: NAME"),
        ("ann ssh-ed25519 AAA", "the key of ann is damaged"),
    ],
)
def test_a_file_that_could_name_another_person_is_refused(
    keys: Path, signers: Path, text: str, problem: str
) -> None:
    for word, name in (("KEY", "ann"), ("OTHER", "bob")):
        text = text.replace(word, " ".join((keys / f"{name}.pub").read_text().split()[:2]))
    signers.write_text(f"{text}\n")

    with pytest.raises(ConfigError, match=problem.replace("(", r"\(")):
        names_of(signers)


def test_one_person_may_have_two_keys_and_is_one_approver(keys: Path, signers: Path, record: Record) -> None:
    signers.write_text(line(keys, "ann") + line(keys, "ann", key="eve"))
    record.approve("ann")
    record.approve("eve")

    approvals = record.check(two_approvals=["opens-access"])

    assert [one.name for one in approvals.valid] == ["ann"]
    assert approvals.missing == "it needs the approvals of two people, and has 1"


def test_two_people_approve_what_needs_two(record: Record) -> None:
    record.approve("ann")
    record.approve("dan")

    assert not record.check(two_approvals=["opens-access"]).missing
    assert not record.check(two_approvals=["destroys-data"]).missing


def test_one_file_may_have_several_approvals(record: Record) -> None:
    ann, dan = record.approve("ann"), record.approve("dan")
    ann.write_bytes(ann.read_bytes() + dan.read_bytes())
    dan.unlink()

    approvals = record.check(two_approvals=["opens-access"])

    assert [one.name for one in approvals.valid] == ["ann", "dan"]
    assert not approvals.missing


@pytest.mark.parametrize(
    ("limit", "judged", "ceiling", "reason"),
    [
        (
            {"stacks": ["*/dev"]},
            Judged(),
            Decimal(5),
            "ann may not approve changes of shop/prod",
        ),
        ({"stacks": ["*/prod"]}, Judged(), Decimal(5), ""),
        (
            {"may_destroy": False},
            Judged(needs_destroy=True),
            Decimal(5),
            "ann may not approve that data is destroyed",
        ),
        ({"may_destroy": False}, Judged(), Decimal(5), ""),
        (
            {"ceiling": Decimal(4)},
            Judged(increase=Decimal(3)),
            Decimal(5),
            "ann may approve an increase of $4.00 a month at most, not $5.00",
        ),
        ({"ceiling": Decimal(4)}, Judged(increase=None), None, "and there is no ceiling"),
        ({"ceiling": Decimal(5)}, Judged(), Decimal(5), ""),
    ],
)
def test_an_approver_has_limits(
    record: Record, limit: dict[str, Any], judged: Judged, ceiling: Decimal | None, reason: str
) -> None:
    record.approve(ceiling=ceiling)

    approvals = record.check(judged, approver_limits={"ann": ApproverLimit(**limit)})

    assert reason in "".join(approvals.problems)
    assert bool(approvals.valid) is not bool(reason)


@pytest.mark.parametrize(
    ("author", "reason"),
    [
        ("Ann <a@example.com>", "ann is the author of the change"),
        ("A. N. <ANN@example.com>", "ann is the author of the change"),
        ("", "the author of the change is not known"),
        ("Bob <bob@example.com>", ""),
    ],
)
def test_an_author_does_not_approve_their_own_change(record: Record, author: str, reason: str) -> None:
    record.approve()

    approvals = record.check(other_than_author=True, author=author)

    assert reason in "".join(approvals.problems)
    assert bool(approvals.valid) is not bool(reason)
    assert record.check(author=author).valid


def test_a_link_in_the_record_is_no_approval(record: Record, tmp_path: Path) -> None:
    file: Path = record.approve()
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")

    assert record.check().problems == (f"{file.name}: it is not an approval",)


@pytest.mark.parametrize("between", ["", " "])
def test_an_approval_that_lost_its_lines_says_so(record: Record, between: str) -> None:
    """The form with which GitHub starts a workflow has one line."""
    file: Path = record.approve()
    file.write_text(between.join(file.read_text(encoding="utf-8").splitlines()), encoding="utf-8")

    [problem] = record.check().problems
    assert problem.endswith("in lines as `approve` wrote it (a form of one line loses them)")


def test_a_file_that_is_too_large_and_a_pipe_are_no_approval(record: Record) -> None:
    file: Path = record.approve()
    file.write_bytes(file.read_bytes() + b" " * 100_000)
    os.mkfifo(file.with_name("pipe"))

    assert record.check().problems == (
        f"{file.name}: it is not an approval: it is longer than 100000 bytes",
        "pipe: it is not an approval: it is no regular file",
    )


def test_a_file_of_signers_that_is_no_text_is_told(signers: Path) -> None:
    signers.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match="allowed_signers cannot be read: it is not UTF-8"):
        names_of(signers)
