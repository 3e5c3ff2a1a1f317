"""
schemathesis checks the emulator's answers against its contract: to valid and invalid requests that it generates, and to
sequences that follow the links from one answer to the next request.

It is imported only where it is used: the import takes half a second, even in a worker that only collects these tests.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of

from stacks_pulumi.emulator import OPERATIONS, DrivenClock, Emulator
from tests.support.openapi import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.conftest import Caller

BOUNDED = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class FixedClock(DrivenClock):
    """A stopped clock, including for the windows of the rate limit."""

    def now(self) -> float:
        return 1_900_000_000.0

    wall = now


@pytest.fixture(scope="module")
def quick() -> Iterator[Emulator]:
    """An emulator in which every operation completes immediately, and which answers the same in every run."""
    with Emulator(
        boot_seconds=0,
        action_seconds=0,
        delete_seconds=0,
        backup_seconds=0,
        clock=FixedClock(),
    ) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def schema(quick: Emulator) -> Any:
    import schemathesis

    found = schemathesis.openapi.from_dict(copy.deepcopy(contract()))
    found.config.update(base_url=quick.url)
    # The emulator ignores parameters outside the contract, as most servers do; other tests check keys.
    found.config.generation.update(allow_extra_parameters=False, with_security_parameters=False)
    return found


def authorized(emulator: Emulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {emulator.key}"}


def excluded() -> list[Any]:
    """A request that fits its schema may still be refused, for example for a used name or a stopped container."""
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    return [positive_data_acceptance]


def cases(operation: Any) -> Any:
    """Settings for valid and invalid requests of one operation."""
    import schemathesis

    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return one_of([operation.as_strategy(generation_mode=mode) for mode in modes])


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_generated_requests_are_answered_as_in_the_contract(
    quick: Emulator, schema: Any, operation: str
) -> None:
    quick.reset()
    found = schema.find_operation_by_id(operation)
    before = quick.calls(operation)

    def check(case: Any) -> None:
        case.call_and_validate(headers=authorized(quick), excluded_checks=excluded())

    BOUNDED(given(case=cases(found))(check))()
    assert quick.calls(operation) - before >= 1


def test_every_operation_succeeds_as_in_the_contract(emulator: Emulator, call: Caller, schema: Any) -> None:
    """Generated requests rarely succeed if they need several objects; this sequence calls every operation."""

    def ask(operation: str, body: Any = None, query: str = "", **args: Any) -> Any:
        path = OPERATIONS[operation].path
        for name, value in args.items():
            path = path.replace(f"<{name}>", str(value))
        answer = call(OPERATIONS[operation].method, path + query, body)
        assert answer.status_code in {200, 202}, answer.text
        schema.find_operation_by_id(operation).validate_response(answer)
        return answer.json()

    ids = {
        name: call.create(name, template)
        for name, template in (("app", "nodejs"), ("data", "postgresql"), ("gate", "stacks-vpn"))
    }
    app, data, gate = ids.values()
    ask("containers.create", {"name": "spare", "template": "ubuntu-micro", "plan": "micro"})
    for name in ("status", "credentials", "logs", "metrics", "certificate", "regenerate_certificate"):
        ask(f"containers.{name}", container_id=app)
    ask("containers.templates")
    ask("containers.external_access", {"enabled": True}, container_id=app)
    address = ask("allowed_ips.add", {"ip_address": "2001:db8::/32"}, container_id=app)["data"]["id"]
    ask("allowed_ips.list", container_id=app)
    ask("allowed_ips.remove", container_id=app, ip_id=address)
    ask("containers.external_access", {"enabled": False}, container_id=app)
    ask("connections.targets", container_id=app)
    connection = ask("connections.create", {}, source_id=app, target_id=data)["data"]["id"]
    for container in (app, data):
        ask("connections.list", container_id=container)
    ask("connections.delete", connection_id=connection)
    for turn in range(2):
        if turn:
            emulator.fail_backup("data")
        ask("backups.trigger", container_id=data)
        ask("backups.list", container_id=data)
        emulator.advance(10)
    for name in ("pin", "restore", "unpin"):
        ask(f"backups.{name}", backup_id=1)
    ask("backups.list", query="?limit=100", container_id=data)
    ask("backups.stats")
    ask("backups.delete", backup_id=1)
    ask("vpn_clients.add", {"name": "phone"}, vpn_container_id=gate)
    ask("vpn_clients.list", vpn_container_id=gate)
    ask("vpn_clients.config", query="?client=phone", vpn_container_id=gate)
    ask("vpn_clients.remove", vpn_container_id=gate, client_name="phone")
    ask("containers.set_status", {"status": "stopped"}, container_id=app)
    emulator.drift.fail("data")
    ask("containers.delete", container_id=gate)
    ask("containers.list")
    emulator.advance(5)
    ask("containers.list")

    assert {record.operation for record in emulator.requests} == set(OPERATIONS)
