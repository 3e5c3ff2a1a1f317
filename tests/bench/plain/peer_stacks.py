"""
A provider for STACKS with the pattern of the best providers for other hosts, to measure ours against.

As terraform-provider-hcloud does it: ten operations in parallel, one GET for each resource that is refreshed, and after
each request that takes time a poll that begins with half a second and doubles. On a 429 it sleeps as the answer says.
"""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from pulumi.dynamic import ConfigureRequest

from stacks_pulumi._clock import SYSTEM_CLOCK
from tests.bench.plain import plain_stacks

FIRST_POLL = 0.5
LONGEST_POLL = 60.0
PARALLEL = 10
GONE = "gone"


class Api(plain_stacks.Api):
    """What the three providers share."""

    def configure(self, req: ConfigureRequest) -> None:
        super().configure(req)
        # The host's own number is four; what waits in its queue gets a thread as well.
        for pool in [it for it in gc.get_objects() if isinstance(it, ThreadPoolExecutor)]:
            pool._max_workers = PARALLEL
            for _ in range(pool._work_queue.qsize()):
                pool._adjust_thread_count()

    def wait(self, container: str) -> None:
        self.poll(container, "running")

    def poll(self, container: str, wanted: str) -> None:
        pause = FIRST_POLL
        while (status := self.status(container)) != wanted:
            if status == "error":
                raise RuntimeError(f"{container} failed")
            SYSTEM_CLOCK.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL)


class ContainerProvider(Api, plain_stacks.ContainerProvider):
    """A container, whose deletion is waited for."""

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        super().delete(id_, props)
        self.poll(id_, GONE)

    def status(self, container: str) -> str:
        try:
            return super().status(container)
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                raise
            return GONE


class ConnectionProvider(Api, plain_stacks.ConnectionProvider):
    """A connection."""


class AllowedIpProvider(Api, plain_stacks.AllowedIpProvider):
    """An address."""


class Container(plain_stacks.Container):
    provider = ContainerProvider


class Connection(plain_stacks.Connection):
    provider = ConnectionProvider


class AllowedIp(plain_stacks.AllowedIp):
    provider = AllowedIpProvider
