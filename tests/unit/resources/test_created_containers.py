"""Reads are omitted only for a container that this operation created and that still exists."""

from __future__ import annotations

import pytest

from stacks_pulumi.api.models import AllowedIp, Container, ExternalAccess, Listing
from stacks_pulumi.resources._session import FreshContainers

WEB = "usr-1-web"
MINE = "203.0.113.45"
BORN = "2026-05-16T18:00:00.000Z"


class Account:
    """The newest list and the register of created containers."""

    def __init__(self, *, created_at: str | None = BORN) -> None:
        self.listed: dict[str, Container] = {}
        self.list(created_at=created_at)
        self.created = FreshContainers(self.listed.get)
        self.created.add(WEB)

    def list(self, *, status: str = "running", created_at: str | None = BORN) -> None:
        """Set the container's row in the newest list."""
        self.listed[WEB] = Container(id=WEB, status=status, created_at=created_at)

    @property
    def trusted(self) -> tuple[bool, bool]:
        """Return whether the register contains it as created here and as running."""
        return self.created.created_at(WEB) is not None, self.created.are_running(WEB)


def opened(your_ip: str | None = MINE, *entries: str) -> ExternalAccess:
    """Return the answer to turning external access on; it contains entries only if a list was read."""
    rows = Listing(AllowedIp(id=address, ip_address=address) for address in entries)
    return ExternalAccess(enabled=True, your_ip=your_ip, allowed_ips=rows)


def test_a_created_container_is_trusted_as_listed() -> None:
    account = Account()
    assert account.trusted == (True, True)

    account.list(status="restarting")
    assert account.trusted == (True, False)


@pytest.mark.parametrize("now", ["2026-05-16T18:00:02.000Z", None])
def test_another_container_with_its_id_is_not(now: str | None) -> None:
    account = Account()

    account.list(created_at=now)

    assert account.trusted == (False, False)


def test_a_container_that_no_list_shows_any_more_is_not() -> None:
    account = Account()

    account.listed.clear()

    assert account.trusted == (False, False)


def test_a_container_without_a_creation_time_is_not() -> None:
    assert Account(created_at=None).trusted == (False, False)


def test_a_container_that_is_deleted_is_not() -> None:
    account = Account()

    account.created.remove(WEB)

    assert account.trusted == (False, False)


def test_all_containers_have_to_be_created_here() -> None:
    account = Account()
    account.listed["usr-1-db"] = Container(id="usr-1-db", status="running", created_at=BORN)

    assert not account.created.are_running(WEB, "usr-1-db")


def test_an_address_is_missing_unless_it_is_the_one_that_the_api_added() -> None:
    account = Account()
    assert not account.created.lacks_address(WEB, "198.51.100.7", revoke=False)

    account.created.add_access(WEB, opened())

    assert account.created.lacks_address(WEB, "198.51.100.7", revoke=False)
    assert not account.created.lacks_address(WEB, f"{MINE}/32", revoke=False)


def test_an_address_that_is_to_be_revoked_is_looked_for_once() -> None:
    account = Account()
    account.created.add_access(WEB, opened())
    assert not account.created.lacks_address(WEB, "198.51.100.7", revoke=True)

    account.created.revoke(WEB)

    assert account.created.lacks_address(WEB, "198.51.100.8", revoke=True)
    assert account.created.lacks_address(WEB, MINE, revoke=False)


@pytest.mark.parametrize(
    "access",
    [opened(None), opened(MINE, "198.51.100.9"), ExternalAccess(enabled=False, your_ip=MINE)],
    ids=["no address told", "a list answered", "off"],
)
def test_nothing_is_known_of_the_addresses_after_another_answer(access: ExternalAccess) -> None:
    account = Account()

    account.created.add_access(WEB, access)
    account.created.revoke(WEB)

    assert not account.created.lacks_address(WEB, "198.51.100.7", revoke=False)


def test_a_container_that_is_created_again_has_no_addresses_yet() -> None:
    account = Account()
    account.created.add_access(WEB, opened())

    account.created.add(WEB)

    assert not account.created.lacks_address(WEB, "198.51.100.7", revoke=False)
