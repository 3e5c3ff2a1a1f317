"""The dynamic host's conversion of the SDK's properties, and its number of concurrent operations."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import pytest
from pulumi.output import Unknown
from pulumi.runtime import rpc

from stacks_pulumi.hosts import dynamic
from stacks_pulumi.hosts._grpc_call import GrpcCall

NOT_KNOWN = Unknown()  # type: ignore[no-untyped-call]  # the SDK leaves it without types


def test_the_sdks_unknown_objects_become_the_protocols_text() -> None:
    given = {
        "name": NOT_KNOWN,
        "triggers": ["a", NOT_KNOWN],
        "tags": {"a": {"b": NOT_KNOWN}},
        "plan": "basic",
    }

    assert dynamic._own(given) == {
        "name": rpc.UNKNOWN,
        "triggers": ["a", rpc.UNKNOWN],
        "tags": {"a": {"b": rpc.UNKNOWN}},
        "plan": "basic",
    }


def test_the_sdks_own_property_is_left_out() -> None:
    assert dynamic._own({"__provider": "blob", "name": "web"}) == {"name": "web"}


def test_properties_in_the_native_spelling_are_read() -> None:
    assert dynamic._own({"ipAddress": "10.0.0.7", "stacksKind": "Container", "monthlyPriceUsd": 9.0}) == {
        "ip_address": "10.0.0.7",
        "stacks_kind": "Container",
        "monthly_price_usd": 9.0,
    }


class Pool(ThreadPoolExecutor):
    """A pool that records whether its lock was held at each check for a new thread."""

    def __init__(self) -> None:
        super().__init__(1)
        self.locked: list[bool] = []

    def _adjust_thread_count(self) -> None:
        self.locked.append(self._shutdown_lock.locked())
        super()._adjust_thread_count()


def test_the_pool_is_widened_under_its_lock_so_that_it_never_has_a_thread_too_many() -> None:
    queued = threading.Event()

    def first() -> bool:
        assert queued.wait(60)
        return dynamic.widen_worker_pool(3)

    with Pool() as pool:
        widened = pool.submit(first)
        others = threading.Barrier(2)
        # They can only end if both run in parallel with the first.
        waiting = [pool.submit(others.wait, 60) for _ in range(2)]
        queued.set()
        assert widened.result(60)
        assert sorted(one.result(60) for one in waiting) == [0, 1]

    assert pool.locked == [True] * 5


def test_a_process_whose_engine_has_ended_ends_after_its_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: killed.append(number))
    monkeypatch.setattr(dynamic, "engine_service", lambda: SimpleNamespace(is_gone=lambda: True))
    first, second = (cast("GrpcCall", SimpleNamespace(is_active=lambda: False)) for _ in range(2))

    with dynamic._serving(first):
        with dynamic._serving(second):
            pass
        assert killed == []

    assert killed == [signal.SIGTERM]


def test_what_a_failed_operation_keeps_has_the_sdks_own_property() -> None:
    assert dict(dynamic._to_struct("blob", {"name": "web"})) == {"name": "web", "__provider": "blob"}
