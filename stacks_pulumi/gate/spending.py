"""
What does the account cost now, and what was added to it in a day?

The account is read only if the gate needs it: for budgets over several stacks, for what is free in a day, and for the
platform's prices.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from stacks_pulumi import catalog, config
from stacks_pulumi._identifiers import name_of, seconds_of
from stacks_pulumi._pulumi_cli import read_stack
from stacks_pulumi.account import backend
from stacks_pulumi.account.reconcile import Reconciliation, ThisAccount, reconcile
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import Pricer
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.gate.plan_file import OUR_PROVIDERS, check_plugins, deployment_in
from stacks_pulumi.pricing.money import MonthlyPrice
from stacks_pulumi.pricing.price_list import PriceList
from stacks_pulumi.pricing.recognition import snake_case, text

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api.models import Container, Listing
    from stacks_pulumi.gate.change import Change
    from stacks_pulumi.gate.machine import Begun
    from stacks_pulumi.gate.settings import Gate

_API_KEY: Final = f"{config.NAMESPACE}:apiKey"
_BASE_URL: Final = f"{config.NAMESPACE}:baseUrl"
_PLATFORM: Final = f"{config.NAMESPACE}:platform"
_DAY: Final = datetime.timedelta(hours=24)
_SHOWN_LATE: Final = datetime.timedelta(minutes=10)
"""How late the account may show what an update has made."""


@dataclass(frozen=True)
class AccountNow:
    """
    What was read of the account.

    Attributes:
        stacks: The account with all stacks; `None` if the gate has no budgets.
        added: The price of each container that is 24 hours old or younger, by its name; `None` if that is not known, or
            not needed.
        names: The names of all containers, in small letters; `None` if they are not all known.
        prices: The platform's prices; `None` if the gate does not read them.
    """

    stacks: Reconciliation | None = None
    added: Mapping[str, Decimal] | None = None
    names: frozenset[str] | None = None
    prices: PriceList | None = None

    @property
    def monthly(self) -> MonthlyPrice:
        """The prices of containers: the platform's, or the catalogue's."""
        return catalog.monthly_price if self.prices is None else self.prices


def interrupted(state: bytes, pricer: Pricer) -> list[tuple[str, Decimal | None]]:
    """
    Return the name and the highest monthly price of each container whose create was interrupted.

    The name is empty if it is not known, and the price `None` without a bound.

    Args:
        state: The export of the stack.
        pricer: Returns the prices.

    Raises:
        InputError: It is not an export.
    """
    found = []
    for one in read_stack(state).creating:
        item = pricer.item(one)
        if item is not None:
            name = text(snake_case(one.inputs or {}), "name")
            found.append((name if isinstance(name, str) else "", item.price.high))
    return found


def creates(changes: Iterable[Change]) -> dict[str, Decimal]:
    """Return the name and the highest monthly price of each container that a change makes, as far as both are known."""
    found: dict[str, Decimal] = {}
    for one in changes:
        name, price = one.container_name, one.price_after.high
        if one.operation in {"create", "replace"} and name and price is not None:
            # Of two with one name, the platform makes one, and it may be either.
            found[name] = max(price, found.get(name, price))
    return found


def may_exist(begun: Iterable[Begun], account: AccountNow, now: datetime.datetime) -> dict[str, Decimal]:
    """
    Return the containers that updates without an end may have made, with their prices.

    Args:
        begun: These updates, of the stack.
        account: The account. A container that it does not show some minutes later does not exist.
        now: The time, with a time zone.
    """
    found: dict[str, Decimal] = {}
    for one in begun:
        for name, price in one.creates.items():
            if one.at > now - _SHOWN_LATE or _may_have(account, name):
                found[name] = max(price, found.get(name, price))
    return found


def _may_have(account: AccountNow, name: str) -> bool:
    """Return whether the account may have a container of this name: a platform may change its case, or prefix it."""
    return account.names is None or any(one.endswith(name.casefold()) for one in account.names)


def spent(
    said: Iterable[tuple[str, Decimal | None]],
    begun: Collection[Begun],
    pending: Iterable[tuple[str, Decimal | None]],
    added: Mapping[str, Decimal] | None,
) -> Decimal | None:
    """
    Return what the last 24 hours added to the monthly price, at most; `None` if that is not known.

    It is what the account shows or what the history says, whichever is higher. On both sides an update without an end
    counts in full, and a container once: names are unique on the platform. A deletion gives nothing back. A forged
    entry can only make it higher.

    Args:
        said: The record and the increase of each entry in the stack's history; `None` without a bound.
        begun: The updates that have no end.
        pending: The creates that were interrupted, as `interrupted` returns them.
        added: The price of each container that is 24 hours old or younger; `None` if that is not known.
    """
    by_record: dict[str, Decimal] = defaultdict(Decimal)
    named: dict[str, Decimal] = {}
    of_history = of_account = Decimal(0)
    for record, increase in said:
        if increase is None:
            return None
        by_record[record] += max(increase, Decimal(0))
    for one in begun:
        if one.increase is None:
            return None
        of_history += max(one.increase - by_record[one.record], Decimal(0))
        # What is not the price of a container that it creates, for instance of a larger plan.
        of_account += max(one.increase - sum(one.creates.values()), Decimal(0))
        named |= {name: max(price, named.get(name, price)) for name, price in one.creates.items()}
    made = frozenset(named)
    for name, price in pending:
        if price is None:
            return None
        if name not in made:
            of_history += price
        if name:
            named[name] = max(price, named.get(name, price))
        else:
            of_account += price
    if added is None:
        return None
    of_account += sum(added.values()) + sum(
        max(price - added.get(name, Decimal(0)), Decimal(0)) for name, price in named.items()
    )
    return max(of_history + sum(by_record.values()), of_account)


def read(gate: Gate, configuration: Mapping[str, Any], now: datetime.datetime) -> AccountNow:
    """
    Return what the gate needs of the account.

    Args:
        gate: The gate.
        configuration: The stack's configuration, as the engine prints it. It says which account it is.
        now: The time, with a time zone.

    Raises:
        StacksError: There is no key for it, or it cannot be read.
    """
    try:
        return _read(gate, configuration, now) if needed(gate) else AccountNow()
    except StacksError as error:
        # It is read with every stack of the backend.
        raise error.but(names_others=gate.budgets is not None) from None


def _read(gate: Gate, configuration: Mapping[str, Any], now: datetime.datetime) -> AccountNow:
    with _connected(gate, configuration) as (client, settings):
        prices = live.prices(client) if gate.file.live_prices else None
        monthly = AccountNow(prices=prices).monthly
        containers = live.described(client, live.listed(client))
        this = ThisAccount(containers, settings.base_url, settings.fingerprint)
        stacks = None if gate.budgets is None else _with_stacks(client, containers, this, monthly)
        named = frozenset((one.name or one.id).casefold() for one in containers)
        there = client.containers.server_now()
        if there is not None:
            # A clock of this machine that is ahead would make new containers old.
            now = min(now, datetime.datetime.fromtimestamp(there, datetime.timezone.utc))
        return AccountNow(
            stacks,
            _added(containers, monthly, now),
            None if containers.gap is not None else named,
            prices,
        )


@contextmanager
def _connected(
    gate: Gate, configuration: Mapping[str, Any]
) -> Iterator[tuple[StacksClient, config.AccountSettings]]:
    """Connect to the account of a stack, with the gate's own facts about the platform."""
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (a plan that asks nothing needs no HTTP)

    values = _values(configuration)
    config.check_spelling(values.get)
    # A platform file of the project could say that a price is in another field or unit.
    values = {name: value for name, value in values.items() if name != _PLATFORM}
    settings = config.load(values | ({} if gate.platform is None else {_PLATFORM: str(gate.platform)}))
    with StacksClient.of(settings) as client:
        yield client, settings


def check_address(gate: Gate, configuration: Mapping[str, Any]) -> None:
    """
    Refuse a stack whose API or account may differ from the gate's: it could show any price.

    Args:
        gate: The gate.
        configuration: The stack's configuration, as the engine prints it.

    Raises:
        ConfigError: The address in the configuration or in the environment is a different one. Or the keys of the
            configuration and the environment differ, and the gate reads the account.
    """
    given = (_values(configuration).get(_API_KEY, ""), os.environ.get("STACKS_API_KEY", ""))
    if needed(gate) and len({key.strip() for key in given} - {""}) > 1:
        raise ConfigError(
            "the stack's configuration (stacks:apiKey) has another key than the environment (STACKS_API_KEY): the gate "
            "would judge the account of the one, and a program can use the other; remove one of them",
            code="invalid-setting",
        )
    expected = gate.file.base_url or config.DEFAULT_BASE_URL
    for source, url in (
        ("the stack's configuration (stacks:baseUrl)", _values(configuration).get(_BASE_URL)),
        ("the environment (STACKS_BASE_URL)", os.environ.get("STACKS_BASE_URL")),
    ):
        if url is not None and url.rstrip("/") != expected.rstrip("/"):
            raise ConfigError(
                f"{source} has another address of the API than the gate, which has {expected}: remove it, or write "
                "`base_url` into gate.yaml (and commit it, if the gate is read from a git ref)",
                code="invalid-setting",
            )
    if (
        gate.file.base_url is not None
        and _BASE_URL not in configuration
        and "STACKS_BASE_URL" not in os.environ
    ):
        raise ConfigError(
            f"the gate is for the API at {expected}, and neither the stack's configuration (stacks:baseUrl) nor the "
            "environment (STACKS_BASE_URL) has this address",
            code="invalid-setting",
        )


def check_providers(gate: Gate, state: bytes) -> None:
    """
    Refuse a state with a provider that names a plugin, or with one of ours for another API than the gate's.

    The engine starts it with the key, and what it deletes, it would delete there.

    Args:
        gate: The gate.
        state: The export of the stack, with its secrets decrypted.

    Raises:
        ConfigError: There is one.
        InputError: There is one that names a plugin, or it is not an export.
    """
    check_plugins(gate.project_settings, state)
    expected = gate.file.base_url or config.DEFAULT_BASE_URL
    for one in deployment_in(state).resources or ():
        parts = (one.inputs or {}, one.outputs or {}) if one.type in OUR_PROVIDERS else ()
        urls = [part[name] for part in parts for name in ("baseUrl", _BASE_URL) if part.get(name) is not None]
        if any(not isinstance(url, str) or url.rstrip("/") != expected.rstrip("/") for url in urls):
            raise ConfigError(
                f"the provider {name_of(one.urn)!r} in the state has another address of the API than the gate, which "
                f"has {expected}, and the key would be sent there: remove it (`pulumi state delete`)",
                code="invalid-setting",
            )


def _values(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a configuration that are texts."""
    found = {name: entry.get("value") for name, entry in configuration.items() if isinstance(entry, dict)}
    return {name: value if isinstance(value, str) else "" for name, value in found.items()}


def needed(gate: Gate) -> bool:
    """Return whether the gate needs the account."""
    return gate.budgets is not None or gate.free is not None or gate.file.live_prices


def _with_stacks(
    client: StacksClient, containers: Listing[Container], this: ThisAccount, monthly: MonthlyPrice
) -> Reconciliation:
    """Return the account, compared with every stack of the backend."""
    stacks = backend.caught_up(backend.from_backend())
    taken_at = live.now()

    def compared(listing: Listing[Container]) -> Reconciliation:
        items = [(one, live.item_of(one, monthly)) for one in listing]
        return reconcile(
            items,
            stacks,
            this,
            taken_at=taken_at,
            gap=live.gap_of(listing),
            live_prices=monthly is not catalog.monthly_price,
        )

    account = compared(containers)
    confirmed = live.confirmed(client, containers, account.not_listed)
    return account if confirmed.gap == containers.gap else compared(confirmed)


def _added(
    containers: Listing[Container], monthly: MonthlyPrice, now: datetime.datetime
) -> dict[str, Decimal] | None:
    """Return what each container costs that was created in the last 24 hours, or may have been, by its name."""
    if containers.gap is not None:
        return None
    found: dict[str, Decimal] = defaultdict(Decimal)
    for container in containers:
        created = seconds_of(container.created_at)
        if created is None or created > (now - _DAY).timestamp():
            price = live.item_of(container, monthly).price.high
            if price is None:
                return None
            found[container.name or container.id] += price
    return dict(found)


def check_key(gate: Gate, configuration: Mapping[str, Any], changes: Collection[Change]) -> None:
    """
    Check that an update has a key that the API accepts, before it uses up its approval: one call.

    A resource of a provider of the program does not need it: such a provider may have another key.

    Args:
        gate: The gate. If it reads the account, the API has accepted the key already.
        configuration: The stack's configuration, as the engine prints it.
        changes: What happens to each resource.

    Raises:
        ConfigError: It has none.
        StacksError: The API does not accept it for the list of containers, or does not answer.
    """
    # What only leaves the stack needs no request.
    asking = [
        one
        for one in changes
        if one.acts and one.kind is not None and one.operation not in {"discard", "keep"}
    ]
    if all(one.of_program for one in asking):
        return
    if not (_values(configuration).get(_API_KEY) or os.environ.get("STACKS_API_KEY")):
        raise ConfigError(
            "there is no API key, so the update would fail and its approval would be used up: set STACKS_API_KEY, or "
            "`pulumi config set stacks:apiKey --secret` and plan again",
            code="missing-api-key",
        )
    if not needed(gate):
        sys.stderr.write("stacks-pulumi gate: asking the API whether it accepts the key\n")
        with _connected(gate, configuration) as (client, _):
            # Every resource is looked for before it is changed.
            client.containers.list()
