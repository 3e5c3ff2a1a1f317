"""
A container's list of addresses, with the emulator's rules and without a network.

For every list, every setting of the API and every failing request, the list is never empty while access is on. A second
attempt succeeds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks_pulumi.api import models
from stacks_pulumi.emulator import Emulator, access
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.errors import BadRequestError, NotFoundError, ServerError, StacksError
from stacks_pulumi.platform_file import UNKNOWN
from stacks_pulumi.resources._address_list import AllowedIpList
from stacks_pulumi.resources._creation import InitFailedError
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._owners import OWNERS
from stacks_pulumi.resources._session import FreshContainers, Reads
from stacks_pulumi.resources.allowed_ip import AllowedIpCreation
from tests.support.accounts import addresses, running
from tests.support.clock import FakeClock
from tests.unit.resources.scripted_account import Call

MINE = "198.51.100.7"
OTHERS = ("192.0.2.9", "203.0.113.45")
"""An unmanaged address, and the caller's own address."""


class Told(Call):
    """A call that records warnings."""

    def info(self, message: str) -> None:
        self.warnings.append(message)


class Account:
    """
    The part of the client that the list uses, with the emulator's rules and one failing request.

    Args:
        again: The API's behaviour for an address that is already in the list: `refused`, `twice`, or changed `in
            place`.
        fails: The number of the changing request that fails; `None` for none.
        is_new: Whether this operation has created the container.
    """

    def __init__(self, *, again: str = "refused", fails: int | None = None, is_new: bool = False) -> None:
        OWNERS._owners.clear()  # every account represents a new operation
        self.emulator = Emulator(duplicate_ips=again == "twice")
        self.in_place = again == "in place"
        self.id = running(self.emulator, "web")
        self.web = self.emulator.state.container("web")
        self.fails = fails
        self.changes = 0
        self.fewest = 99
        self.allowed_ips = SimpleNamespace(list=self._list, add=self._add, remove=self._remove)
        self.containers = SimpleNamespace(external_access=self._external_access, server_now=lambda: None)
        self.platform = UNKNOWN
        listed = models.Container(id=self.id, status="running", created_at="2026-05-16T18:00:00.000Z")
        self.feed = SimpleNamespace(find=lambda _id, max_age: None, seen=lambda _id: listed)
        self.fresh = FreshContainers(lambda _id: listed)
        if is_new:
            self.fresh.add(self.id)
            opened = models.ExternalAccess(enabled=True, your_ip=self.emulator.platform.your_ip)
            self.fresh.add_access(self.id, opened)

    def list(self, inputs: dict[str, Any], warnings: list[str] | None = None) -> AllowedIpList:
        """Return the list for an operation."""
        call, clock = Told(), FakeClock()
        call.warnings = [] if warnings is None else warnings
        operation = Operation(call, clock, clock.now(), 1e9)
        session: Any = SimpleNamespace(
            client=self,
            clock=clock,
            reads=Reads(clock),
            fingerprint="0123456789abcdef",
            settings=SimpleNamespace(adopt=inputs.get("adopt", "never")),
            begun=-1000.0,
            turn=contextlib.nullcontext,
            fresh=self.fresh,
        )
        return AllowedIpList(session, operation, self.id)

    def create(self, inputs: dict[str, Any]) -> None:
        """Create the entry as the engine does."""
        known = self.list(inputs)
        AllowedIpCreation(known.session, known.op, {**inputs, "container": self.id}).run()

    def _list(self, container: str) -> models.ExternalAccess:
        entries = tuple(
            models.AllowedIp(
                id=ip.id, ip_address=ip.ip_address, description=ip.description, service_type=ip.service_type
            )
            for ip in self.web.allowed_ips
        )
        return models.ExternalAccess(
            enabled=self.web.external_access,
            url=self.web.url,
            your_ip=self.emulator.platform.your_ip,
            allowed_ips=models.Listing(entries),
        )

    def _add(self, container: str, *, before: object, pulse: object, **entry: str) -> models.AllowedIp:
        with self._request():
            for there in self.web.allowed_ips:
                if self.in_place and there.ip_address == entry["ip_address"]:
                    there.description, there.service_type = entry["description"], entry["service_type"]
                    return models.AllowedIp(id=there.id, **entry)
            made = access.add_ip(self.emulator.platform, self.web, entry)
        return models.AllowedIp(id=made.id, **entry)

    def _remove(self, container: str, entry_id: str) -> None:
        with self._request():
            access.remove_ip(self.web, entry_id)

    def _external_access(self, container: str, *, enabled: bool) -> None:
        with self._request():
            access.set_access(self.emulator.platform, self.web, enabled)

    @contextlib.contextmanager
    def _request(self) -> Iterator[None]:
        self.changes += 1
        if self.changes == self.fails:
            raise ServerError("500", status=500)
        try:
            yield
        except Refusal as refusal:
            kind = NotFoundError if refusal.status == 404 else BadRequestError
            raise kind(str(refusal), status=refusal.status) from None
        if self.web.external_access:
            self.fewest = min(self.fewest, len(self.web.allowed_ips))


def entry(description: str = "Custom IP", service: str = "both", *, revoke: bool = False) -> dict[str, Any]:
    """Return the inputs of an AllowedIp."""
    return {
        "container": "usr-1-web",  # the account adds its own id
        "ip_address": MINE,
        "description": description,
        "service_type": service,
        "revoke_auto_added": revoke,
    }


agains = st.sampled_from(("refused", "twice", "in place"))
entries = st.builds(
    entry,
    st.sampled_from(("Custom IP", "Office")),
    st.sampled_from(("http", "tcp", "both")),
    revoke=st.booleans(),
)


def open_to(account: Account, others: set[str], mine: dict[str, Any] | None = None) -> None:
    """Turn access on for these addresses."""
    access.set_access(account.emulator.platform, account.web, enabled=True)
    if mine is not None:
        access.add_ip(account.emulator.platform, account.web, mine)
    for address in sorted(others - {account.emulator.platform.your_ip}):
        access.add_ip(account.emulator.platform, account.web, {"ip_address": address})
    if account.emulator.platform.your_ip not in others and len(account.web.allowed_ips) > 1:
        access.remove_ip(account.web, account.web.allowed_ips[0].id)


@given(agains, st.sets(st.sampled_from(OTHERS)), entries, st.none() | st.integers(1, 5), st.booleans())
@settings(max_examples=200)
def test_an_address_is_added_after_any_failed_request(
    again: str, others: set[str], inputs: dict[str, Any], fails: int | None, is_new: bool
) -> None:
    account = Account(again=again, fails=fails, is_new=is_new)
    open_to(account, others)

    try:
        account.create(inputs)
    except InitFailedError:
        account.list(inputs).change(inputs, {})
    except StacksError:
        assert MINE not in addresses(account.emulator, "web")
        account.create(inputs)

    assert addresses(account.emulator, "web")[MINE] == (inputs["description"], inputs["service_type"])
    expected = {MINE, *others} if others else {MINE, account.emulator.platform.your_ip}
    if inputs["revoke_auto_added"]:
        expected -= {account.emulator.platform.your_ip}
    assert addresses(account.emulator, "web").keys() == expected
    assert account.fewest >= 1


@given(agains, st.sets(st.sampled_from(OTHERS)), entries, entries, st.none() | st.integers(1, 6))
@settings(max_examples=200)
def test_an_entry_is_changed_after_any_failed_request(
    again: str, others: set[str], old: dict[str, Any], new: dict[str, Any], fails: int | None
) -> None:
    account = Account(again=again, fails=fails)
    open_to(account, others, old)

    try:
        account.list(new).change(new, {})
    except StacksError:
        account.list(new).change(new, {})

    assert addresses(account.emulator, "web")[MINE] == (new["description"], new["service_type"])
    expected = {MINE, *others} - ({account.emulator.platform.your_ip} if new["revoke_auto_added"] else set())
    assert addresses(account.emulator, "web").keys() == expected
    assert len(account.web.allowed_ips) == len(expected)
    assert account.fewest >= 1


@given(agains, st.sets(st.sampled_from(OTHERS)), entries, st.none() | st.integers(1, 3))
@settings(max_examples=100)
def test_an_address_is_removed_after_any_failed_request(
    again: str, others: set[str], inputs: dict[str, Any], fails: int | None
) -> None:
    account, warnings = Account(again=again, fails=fails), list[str]()
    open_to(account, others, inputs)
    left = others - ({account.emulator.platform.your_ip} if inputs["revoke_auto_added"] else set())

    try:
        account.list(inputs, warnings).remove(f"{account.id}/{MINE}", inputs, replacing=False)
    except StacksError:
        account.list(inputs, warnings).remove(f"{account.id}/{MINE}", inputs, replacing=False)

    assert MINE not in addresses(account.emulator, "web")
    assert account.web.external_access is bool(account.web.allowed_ips)
    if account.web.external_access:
        assert addresses(account.emulator, "web").keys() >= left
    else:
        assert len(warnings) == 1
    assert account.fewest >= 1


@pytest.mark.parametrize("is_new", [False, True])
def test_an_unmanaged_entry_is_not_changed(is_new: bool) -> None:
    account = Account(is_new=is_new)
    open_to(account, set(OTHERS), entry("by hand", "tcp"))

    with pytest.raises(StacksError, match=r'write stacks.AllowedIp.*adopt="if_matching"'):
        account.create(entry())

    assert addresses(account.emulator, "web")[MINE] == ("by hand", "tcp")
    # In a new container, the API's refusal shows the entry; otherwise a read shows it.
    assert account.changes == (1 if is_new else 0)
