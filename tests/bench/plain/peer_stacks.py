"""
A provider for STACKS with the pattern of the best providers for other hosts, for a comparison with ours.

It follows terraform-provider-hcloud: ten operations in parallel, and one GET for each refreshed resource. After each
asynchronous request, it polls with an interval that begins with half a second and doubles. After a 429, it sleeps as
long as the answer states.
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
    """The shared parts of the three providers."""

    def configure(self, req: ConfigureRequest) -> None:
        super().configure(req)
        # The host's own number is four; operations in the queue get threads as well.
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
    """A container; its deletion waits until the container is gone."""

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
