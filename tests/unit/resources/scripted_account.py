"""An account with the answers that a test sets, for the operations of resources, on a clock that needs no time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.errors import StacksError
from stacks_pulumi.platform_file import PlatformFacts, PlatformFile
from stacks_pulumi.resources._operation import EngineCall, Operation
from stacks_pulumi.resources._owners import forget
from stacks_pulumi.resources._restarts import Restarts
from stacks_pulumi.resources._session import FreshContainers, Reads, Session, SpendGuard
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, URL, Reply, Script, chain, ok

BORN = "2027-01-15T08:00:00.000Z"
"""When the containers were created: at the clock's start."""


def containers(*names: str, created_at: str | None = BORN) -> Reply:
    """Return the list of containers, all running."""
    rows = [
        {"id": f"usr-1-{name}", "name": name, "type": "nodejs", "status": "running", "created_at": created_at}
        for name in names
    ]
    return ok({"success": True, "count": len(rows), "data": rows})


class Call(EngineCall):
    """A call of the engine, which records what it shows."""

    urn = "urn:pulumi:dev::tests::stacks:index:It::it"

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.shown: list[str] = []

    def is_active(self) -> bool:
        return True

    def fail(self, message: str) -> NoReturn:
        raise AssertionError(message)

    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Any) -> NoReturn:
        raise AssertionError(reasons)

    def fail_waiting(self, message: str) -> NoReturn:
        raise AssertionError(message)

    def status(self, message: str) -> None:
        self.shown.append(message)

    def info(self, message: str) -> None:
        self.shown.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def error(self, message: str) -> None:
        self.warnings.append(message)

    def debug(self, message: str) -> None:
        self.shown.append(message)


class ScriptedAccount:
    """
    A session over a script, and one operation on it.

    Args:
        facts: What the platform file says.
        replies: The script's replies, by operation.
    """

    def __init__(self, facts: PlatformFacts | None = None, **replies: Reply | list[Reply]) -> None:
        forget()
        self.clock = FakeClock()
        self.script = Script(**{"containers__list": containers("app", "db"), **replies})
        platform = PlatformFile(facts or PlatformFacts())
        client = StacksClient(KEY, base_url=URL, clock=self.clock, platform=platform)
        send = chain(self.script, self.clock)
        client.containers = ContainersApi(send, self.clock, lambda: 0.0)
        client.feed = client.containers.feed
        client.allowed_ips = AllowedIpsApi(send, self.clock, platform)
        client.connections = ConnectionsApi(send, self.clock, client.feed, platform)
        client.backups = BackupsApi(send, self.clock, lambda: 0.0, platform)
        client.vpn_clients = VpnClientsApi(send, self.clock, platform)
        self.session = Session(
            AccountSettings(),
            client,
            self.clock,
            SpendGuard(self.clock),
            Reads(self.clock),
            Restarts(self.clock),
            FreshContainers(client.feed.seen),
            "0123456789abcdef",
        )
        self.call = Call()
        self.op = Operation(self.call, self.clock, self.clock.now(), self.clock.now() + 1800.0)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return self.op.elapsed()

    def sent(self, operation: str) -> int:
        """Return how often an operation was sent."""
        return self.script.operations.count(operation)


def error_of(work: Any) -> StacksError:
    """Return the error that some work raises."""
    try:
        work()
    except StacksError as error:
        return error
    raise AssertionError("it succeeded")
