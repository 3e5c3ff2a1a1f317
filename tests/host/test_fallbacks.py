"""
An SDK without the private parts that the host uses, as a different version may be.

With such an SDK, only four operations run concurrently, as in the stock host, and one warning reports this. Nothing
else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import holdings
from tests.support.host import CallFailedError, Host, HostedResource, while_frozen
from tests.support.waiting import never, until

STOCK_WORKERS = 4

HIDE_THE_POOL = """
import concurrent.futures.thread as pools

def worker(pool, *others):
    queue = next(other for other in others if hasattr(other, "get"))
    while (item := queue.get()) is not None:
        item.run()
        if (found := pool()) is not None:
            found._idle_semaphore.release()
        del found
    queue.put(None)

pools._worker = worker
"""
"""Code that renames the pool in a worker thread."""

HIDE_THE_CALL = """
import stacks_pulumi.hosts.dynamic as host

host._METHODS = frozenset({"SomethingElse"})
"""
"""Code that renames the servicer's methods."""


@pytest.fixture
def odd_host(emulator: Emulator, make_host: Callable[..., Host], tmp_path: Path) -> Callable[[str], Host]:
    """Start a host with a private part hidden."""

    def start(hide: str) -> Host:
        # Python imports a module of this name at its start.
        (tmp_path / "sitecustomize.py").write_text(hide, encoding="utf-8")
        return make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}, str(tmp_path))

    return start


def create(host: Host, number: int) -> HostedResource:
    web = host.resource("Container", f"web-{number}")
    web.up(name=f"web-{number}", template="nodejs", external_access=True)
    return web


def create_while_frozen(host: Host, emulator: Emulator, watch: Callable[[], None]) -> None:
    """Create twice as many containers as the stock host can; none boots until `watch` has returned."""
    many = range(2 * STOCK_WORKERS)
    raised = while_frozen(emulator, watch, *(lambda number=number: create(host, number) for number in many))
    assert raised == [None] * (1 + len(many))


def warnings(host: Host) -> list[str]:
    return [line.text for line in host.engine.lines if line.severity == "WARNING"]


def test_without_the_pool_four_run_at_a_time_with_one_warning(
    odd_host: Callable[[str], Host], emulator: Emulator
) -> None:
    host = odd_host(HIDE_THE_POOL)

    def four_are_under_way() -> None:
        until(lambda: emulator.calls("containers.create") == STOCK_WORKERS)
        never(lambda: emulator.calls("containers.create") > STOCK_WORKERS, seconds=0.5)

    create_while_frozen(host, emulator, four_are_under_way)

    (line,) = warnings(host)
    assert "does not fully support this Pulumi SDK" in line
    assert "only 4 operations run concurrently" in line
    assert len(holdings(emulator)) == 2 * STOCK_WORKERS


def test_without_the_pool_the_results_are_the_same(
    odd_host: Callable[[str], Host], host: Host, emulator: Emulator
) -> None:
    found = {}
    for which in (host, odd_host(HIDE_THE_POOL + HIDE_THE_CALL)):
        web = create(which, 1)
        assert web.up(name="web-1", template="nodejs", external_access=True) == []
        assert web.read()
        found[which is host] = {
            **web.outs,
            "created_at": "",
            "updated_at": "",
            "ssh_port": "",
            "ip_address": "",
        }
        web.delete()
        assert holdings(emulator) == set()

    assert found[True].keys() == found[False].keys()
    differing = {name for name in found[True] if found[True][name] != found[False][name]}
    # These outputs always differ between two containers with one name.
    assert differing <= {"origin", "port", "subdomain", "url", "raw_status"}


def test_without_the_call_errors_and_ids_are_kept(
    odd_host: Callable[[str], Host], emulator: Emulator
) -> None:
    host = odd_host(HIDE_THE_CALL)
    emulator.fail_boot("web-1")

    with pytest.raises(CallFailedError) as failure:
        create(host, 1)

    (container,) = holdings(emulator)
    assert f"the object exists as {container}: adopt it, or delete it" in failure.value.message
    assert emulator.key not in failure.value.message
    assert len(warnings(host)) == 1
