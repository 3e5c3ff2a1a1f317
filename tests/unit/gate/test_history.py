"""The history names an approver only if the signature verifies, and what was spent is never too low."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks_pulumi._pulumi_cli import InputError, PulumiError
from stacks_pulumi.gate import history, signatures
from stacks_pulumi.gate.history import LoggedUpdate
from stacks_pulumi.gate.settings import Gate, GateFile
from stacks_pulumi.gate.signatures import Approval, Statement
from stacks_pulumi.gate.verdict import Verdict
from stacks_pulumi.pricing.money import FREE, Price
from tests.support.gate import keys, signer

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
STACK = "organization/shop/prod"
DIGEST = "ab" * 32
VERDICT = Verdict(
    "needs_approval", price_before=FREE, price_after=Price(Decimal(4), Decimal(4)), increase=Decimal(4)
)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    signers = tmp_path / "allowed_signers"
    signers.write_text(signer("ann") + signer("bob"), encoding="utf-8")
    return Gate(tmp_path, "", GateFile(), (), (), signers, None, None)


def approval(gate: Gate, name: str = "ann", **changes: Any) -> Approval:
    given: dict[str, Any] = {
        "digest": DIGEST,
        "stack": STACK,
        "ceiling": Decimal(5),
        "accepts": (),
        "until": NOW + HOUR,
    }
    return signatures.sign(Statement(**{**given, **changes}), keys() / name, gate.signers, NOW)


def message(
    *approvals: Approval, digest: str = DIGEST, stack: str = STACK, verdict: Verdict = VERDICT
) -> str:
    record: Any = SimpleNamespace(digest=digest, content=SimpleNamespace(stack=stack))
    return history.message(record, verdict, approvals)


def row(
    text: str, *, at: datetime.datetime = NOW, kind: str = "update", result: str = "succeeded"
) -> dict[str, Any]:
    return {
        "version": 1,
        "kind": kind,
        "startTime": at.isoformat(),
        "message": text,
        "result": result,
        "resourceChanges": {"create": 1},
    }


def entry(gate: Gate | None, *rows: dict[str, Any]) -> LoggedUpdate:
    return history.entries(rows, STACK, gate)[0]


def test_an_update_names_who_approved_it(gate: Gate) -> None:
    text = message(approval(gate), approval(gate, "bob"))

    found = entry(gate, row(text))

    assert found.verified
    assert found.message == "gate: $0.00 -> $4.00 a month, approved by ann, bob (record abababababab)"
    assert len(text) <= 5000
    assert found.describe() == {
        "version": 1,
        "kind": "update",
        "result": "succeeded",
        "at": "2026-11-27T12:00:00+00:00",
        "message": found.message,
        "changes": {"create": 1},
        "record": DIGEST,
        "price_before": "$0.00",
        "price_after": "$4.00",
        "approvers": ["ann", "bob"],
        "verified": True,
        "doubt": "",
    }


@pytest.mark.parametrize(
    ("changes", "told", "doubt"),
    [
        ({"digest": "cd" * 32}, {}, "ann approved another record"),
        ({"stack": "organization/shop/dev"}, {}, "ann approved another record"),
        ({"until": NOW - HOUR}, {}, "the approval of ann had ended"),
        ({"ceiling": Decimal("3.99")}, {}, "ann approved an increase of $3.99 at most"),
        ({}, {"kind": "refresh"}, "the gate makes no refresh: its message is a copy"),
    ],
)
def test_an_entry_with_a_signature_of_something_else_is_in_doubt(
    gate: Gate, changes: dict[str, Any], told: dict[str, Any], doubt: str
) -> None:
    found = entry(gate, row(message(approval(gate, **changes)), **told))

    assert (found.verified, found.approvers, found.doubt) == (False, (), doubt)


def test_a_message_that_was_copied_or_written_by_hand_is_in_doubt(gate: Gate) -> None:
    text = message(approval(gate))
    forged = text.replace('"after":"$4.00"', '"after":"$0.00"').replace(DIGEST, "cd" * 32, 1)
    of_another_stack = history.entries([row(text)], "organization/shop/dev", gate)[0]

    assert entry(gate, row(text, at=NOW + HOUR / 2), row(text)).doubt.startswith(
        "its record was applied before"
    )
    # An update that failed may be tried again.
    assert entry(gate, row(text, at=NOW + HOUR / 2), row(text, result="failed")).verified
    for number in (
        '"increase":"NaN"',
        '"increase":"sNaN"',
        '"increase":"Infinity"',
        '"increase":"4","during":"NaN"',
    ):
        by_hand = entry(gate, row(text.replace(',"during":"0"', "").replace('"increase":"4"', number)))
        assert "cannot be read" in by_hand.doubt
        assert history.increases([by_hand], NOW) == []
    assert "cannot be read" in entry(gate, row("by hand\nstacks-pulumi gate 1 {}")).doubt
    assert of_another_stack.doubt == "its message is that of another stack"
    assert (
        "approved another record" in entry(gate, row(forged)).doubt or not entry(gate, row(forged)).verified
    )
    assert entry(gate, row(message())).doubt == "without a signature"
    assert "--gate" in entry(None, row(text)).doubt
    assert entry(gate, row("pulumi up")).said is None


def test_a_signer_whom_the_gate_no_longer_has_is_in_doubt(gate: Gate) -> None:
    text = message(approval(gate))
    gate.signers.write_text(signer("bob"), encoding="utf-8")

    assert not entry(gate, row(text)).verified


def test_signatures_that_do_not_fit_are_left_out(gate: Gate) -> None:
    text = message(*[approval(gate)] * 20)

    assert len(text) <= 5000
    assert entry(gate, row(text)).doubt == "the signatures did not fit into its message"


def test_the_increases_are_those_of_the_last_24_hours() -> None:
    increases = [Decimal(4), Decimal(-4), None]
    rows = [
        row(message(digest=f"{number:064x}", verdict=Verdict("free", increase=increase)))
        for number, increase in enumerate(increases)
    ]
    rows.append(row(message(), at=NOW - 25 * HOUR))
    # One without a readable time may have been today.
    rows.append({**row(message()), "startTime": "yesterday"})

    found = history.increases(history.entries(rows, STACK, None), NOW)

    added = [Decimal(4), Decimal(0), None]
    assert found == [*((f"{number:064x}", one) for number, one in enumerate(added)), (DIGEST, Decimal(4))]


def test_what_falls_in_the_same_update_gives_nothing_back() -> None:
    """It may have failed before that, and what grew is in no account that is read, if another provider has it."""
    increases = ((Decimal(0), Decimal(5)), (Decimal(4), None))
    verdicts = [Verdict("free", increase=one, increase_during=most) for one, most in increases]
    rows = [row(message(verdict=verdict), result="failed") for verdict in verdicts]

    found = history.increases(history.entries(rows, STACK, None), NOW)

    assert found == [(DIGEST, Decimal(5)), (DIGEST, None)]


def test_what_is_free_in_a_day_is_for_all_stacks_of_a_gate(gate: Gate) -> None:
    """A container that becomes larger is an older one: only the history of its stack shows that."""
    listed = [
        {"name": "prod", "lastUpdate": NOW.isoformat()},
        {"name": "dev", "lastUpdate": (NOW - HOUR).isoformat()},
        {"name": "new"},
        {"name": "old", "lastUpdate": (NOW - 25 * HOUR).isoformat()},
        {"name": "acme/dev", "lastUpdate": "yesterday"},
        {"name": "organization/blog/prod", "lastUpdate": NOW.isoformat()},
    ]
    read: list[str | None] = []

    def of(stack: str | None = None) -> list[dict[str, Any]]:
        read.append(stack)
        return [row(message(digest=f"{len(read):064x}"))]

    pulumi: Any = SimpleNamespace(stack=STACK, stacks=lambda: listed, history=of)
    for_shop = replace(gate, file=GateFile(stacks=["shop/*"]))

    assert [one for _, one in history.said_in_a_day(pulumi, for_shop, NOW)] == [Decimal(4)] * 3
    assert read == [None, "organization/shop/dev", "acme/shop/dev"]

    def fails() -> list[dict[str, Any]]:
        raise PulumiError("no")

    pulumi.stacks = fails
    assert [one for _, one in history.said_in_a_day(pulumi, for_shop, NOW)] == [Decimal(4), None]


def test_the_history_of_another_backend_is_not_read(tmp_path: Path, gate: Gate) -> None:
    """The author of a change would write it there, and get the token of the backend."""
    project = "name: shop\nruntime: yaml\nbackend: {url: 'https://example.com'}\n"
    (tmp_path / "Pulumi.yaml").write_text(project, encoding="utf-8")
    with pytest.raises(InputError, match="sets `backend`"):
        history.log(tmp_path, None, gate)


def test_a_price_in_an_entry_is_a_price() -> None:
    text = message().replace('"before":"$0.00"', '"before":"$0.00; approved by ann"')
    (entry,) = history.entries([row(text)], STACK, None)
    assert (entry.said, entry.doubt) == (None, "its message looks like one of the gate, and cannot be read")
    priced = replace(
        VERDICT, price_before=Price(Decimal(1), None), price_after=Price(Decimal(1), Decimal(2000))
    )
    (entry,) = history.entries([row(message(verdict=priced))], STACK, None)
    assert entry.said is not None
    assert (entry.said.before, entry.said.after) == ("$1.00 or more", "$1.00 to $2,000.00")
