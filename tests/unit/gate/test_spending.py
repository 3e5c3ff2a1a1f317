"""The account that is judged is the gate's, and what may cost more than it seems counts."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.cost.build import Pricer
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import spending
from stacks_pulumi.gate.settings import Gate, GateFile

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)
URL = "https://stacks.example/api/v1"


def gate(**settings: Any) -> Gate:
    return Gate(Path(), "", GateFile(**settings), (), (), Path(), None, None)


def configured(**values: Any) -> dict[str, Any]:
    return {f"stacks:{name}": {"value": value} for name, value in values.items()}


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKS_BASE_URL", raising=False)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, {"baseUrl": URL}),
        ({}, {"baseUrl": ["a list"]}),
        ({}, {"baseUrl": ""}),
        ({"base_url": URL}, {"baseUrl": "https://other.example/api/v1"}),
        # The key would go to the default address, and the gate would judge another account.
        ({"base_url": URL}, {}),
    ],
)
def test_another_address_than_the_gates_is_refused(settings: dict[str, Any], values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="address"):
        spending.check_address(gate(**settings), configured(**values))


def test_the_address_of_the_gate_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    spending.check_address(gate(), {})
    spending.check_address(gate(base_url=URL), configured(baseUrl=f"{URL}/"))
    monkeypatch.setenv("STACKS_BASE_URL", URL)
    spending.check_address(gate(base_url=URL), {})
    with pytest.raises(ConfigError, match="STACKS_BASE_URL"):
        spending.check_address(gate(), {})


def test_a_gate_that_needs_no_account_reads_none() -> None:
    assert spending.read(gate(), {}, NOW) == spending.AccountNow()


def container(
    created_at: str | None, storage_mb: int | None = catalog.PLANS["basic"].storage_mb
) -> Container:
    return Container(
        id=f"usr-1-{created_at}",
        name="web",
        template="nodejs",
        plan="basic",
        storage_mb=storage_mb,
        created_at=created_at,
    )


@pytest.mark.parametrize(
    ("containers", "added"),
    [
        ([], Decimal(0)),
        ([container("2026-11-26T11:59:00Z")], Decimal(0)),
        ([container("2026-11-26T12:01:00Z"), container("2026-11-27T11:00:00Z")], Decimal(8)),
        # A clock that is ahead, and an unknown time.
        ([container("2026-11-28T12:00:00Z")], Decimal(4)),
        ([container(None)], Decimal(4)),
        # Its size is not known, and so its price has no bound.
        ([container("2026-11-27T11:00:00Z", None)], None),
    ],
)
def test_what_is_not_known_to_be_older_than_a_day_was_added(
    containers: list[Container], added: Decimal | None
) -> None:
    assert spending._added(Listing(containers), catalog.monthly_price, NOW) == added


def test_what_was_added_to_an_incomplete_account_is_not_known() -> None:
    assert spending._added(Listing([], gap="a page is missing"), catalog.monthly_price, NOW) is None


def test_an_interrupted_create_counts_in_full() -> None:
    def operation(type_: str, kind: str, **inputs: Any) -> dict[str, Any]:
        resource = {
            "urn": f"urn:pulumi:prod::shop::stacks:index:{kind}::x",
            "type": f"stacks:index:{kind}",
            "custom": True,
            "inputs": {"stacks_kind": kind, **inputs},
        }
        return {"resource": resource, "type": type_}

    operations = [
        operation("creating", "Container", template="nodejs", plan="basic"),
        operation("deleting", "Container", template="nodejs", plan="basic"),
        operation("creating", "AllowedIp"),
    ]
    state = json.dumps({"deployment": {"pending_operations": operations}}).encode()

    assert spending.interrupted(state, Pricer()) == [Decimal(4)]
