"""
An SDK without the private parts that the host uses, as another version may be.

Then only four operations run concurrently, as in the stock host, and one warning reports it; nothing else changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import holdings
from tests.support.host import CallFailedError, Host, HostedResource, in_parallel
from tests.support.waiting import until

STOCK_WORKERS = 4
BOOT = 3.0

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
"""Code that gives the pool another name in a worker thread."""

HIDE_THE_CALL = """
import stacks_pulumi.hosts.dynamic as host

host._METHODS = frozenset({"SomethingElse"})
"""
"""Code that gives the servicer's methods other names."""


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


def seconds_for(host: Host, how_many: int) -> float:
    began = time.monotonic()
    raised = in_parallel(*(lambda number=number: create(host, number) for number in range(how_many)))
    assert raised == [None] * how_many
    return time.monotonic() - began


def warnings(host: Host) -> list[str]:
    return [line.text for line in host.engine.lines if line.severity == "WARNING"]


def test_without_the_pool_four_run_at_a_time_with_one_warning(
    odd_host: Callable[[str], Host], emulator: Emulator
) -> None:
    emulator.platform.pace = type(emulator.platform.pace)(boot_seconds=BOOT)
    host = odd_host(HIDE_THE_POOL)

    seconds = seconds_for(host, 2 * STOCK_WORKERS)

    assert seconds >= 2 * BOOT, "two rounds of four"
    (line,) = warnings(host)
    assert "does not fully support this Pulumi SDK" in line
    assert "only 4 operations run concurrently" in line
    assert len(holdings(emulator)) == 2 * STOCK_WORKERS


def test_with_the_pool_all_run_concurrently_without_a_warning(host: Host, emulator: Emulator) -> None:
    emulator.platform.pace = type(emulator.platform.pace)(boot_seconds=BOOT)
    # No container boots now, so each create occupies a worker until all of them are in progress.
    emulator.freeze()

    with ThreadPoolExecutor(1) as pool:
        creations = pool.submit(seconds_for, host, 2 * STOCK_WORKERS)
        try:
            until(lambda: emulator.calls("containers.create") == 2 * STOCK_WORKERS)
        finally:
            emulator.resume()
        creations.result()

    assert warnings(host) == []


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
    # These outputs always differ between two containers of one name.
    assert differing <= {"origin", "port", "subdomain", "url", "raw_status"}


def test_without_the_call_errors_and_ids_are_kept(
    odd_host: Callable[[str], Host], emulator: Emulator
) -> None:
    host = odd_host(HIDE_THE_CALL)
    emulator.fail_boot("web-1")

    with pytest.raises(CallFailedError) as failure:
        create(host, 1)

    (container,) = holdings(emulator)
    assert f"it exists as {container}: adopt it, or delete it" in failure.value.message
    assert emulator.key not in failure.value.message
    assert len(warnings(host)) == 1
