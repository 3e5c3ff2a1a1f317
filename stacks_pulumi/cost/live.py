"""
Which containers does the account have now, and what does each cost?

Only this part of the cost command calls the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from stacks_pulumi import catalog, config
from stacks_pulumi.cost.report import Item, Report
from stacks_pulumi.cost.snapshot import Entry, Snapshot, now, report_on
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.money import MonthlyPrice, count, describe, price, usd
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api._limiter import OnLimit
    from stacks_pulumi.api.models import Container, Template

__all__ = [
    "account",
    "connect",
    "containers",
    "item_of",
    "listed",
    "prices",
    "snapshot_of",
]


def connect(on_limit: OnLimit | None = None) -> StacksClient:
    """
    Return a client for the account in the environment (`STACKS_API_KEY`, `STACKS_BASE_URL`).

    Args:
        on_limit: Called in a thread that waits for the rate limit. If it raises, the request is not sent.

    Raises:
        ConfigError: There is no key, or a value is malformed.
    """
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (pricing a file needs no HTTP)

    settings = config.load()
    if settings.api_key is None:
        msg = "no STACKS API key: set the environment variable STACKS_API_KEY; a stack's configuration is not read here"
        raise ConfigError(msg, code="missing-api-key")
    return StacksClient(
        settings.api_key, base_url=settings.base_url, allow_http=settings.allow_http, on_limit=on_limit
    )


def account(client: StacksClient, monthly: MonthlyPrice = catalog.monthly_price) -> Report:
    """
    Return the report on all containers of the account.

    Raises:
        StacksError: The account cannot be read.
    """
    return report_on(_entry(container, monthly) for container in listed(client))


def snapshot_of(containers: Iterable[Container], monthly: MonthlyPrice, base_url: str) -> Snapshot:
    """Return the snapshot of these containers of the account."""
    return Snapshot(now(), base_url, tuple(_entry(container, monthly) for container in containers))


def prices(client: StacksClient) -> tuple[MonthlyPrice, tuple[str, ...]]:
    """
    Return the account's price list, and notes on its differences from the catalogue.

    The API lists one price for each template, which is that of the listed plan. For other prices the catalogue is
    used.

    Raises:
        StacksError: The templates cannot be read.
    """
    templates = {template.id: template for template in client.containers.templates()}
    notes = [
        f"live prices: {template.id} costs {usd(live)} a month, the catalogue says {_catalogue_price(template)}"
        for template in templates.values()
        if (live := _live(template)) is not None
        and live != catalog.monthly_price(template.id, _listed_plan(template))
    ]
    silent = sum(_live(template) is None for template in templates.values())
    if silent:
        notes.append(f"live prices: {count(silent, 'template')} without one; there the catalogue's is used")

    def monthly(template: str, plan: str | None, tier: int | None) -> Decimal | None:
        live = _live(templates[template]) if template in templates else None
        if live is None or plan not in (None, _listed_plan(templates[template])):
            return catalog.monthly_price(template, plan, tier)
        if tier is None:
            return live
        storage = catalog.STORAGE_TIERS.get(tier)
        return None if storage is None else live + storage.usd

    return monthly, tuple(notes)


def _live(template: Template) -> Decimal | None:
    return None if template.monthly_usd is None else Decimal(str(template.monthly_usd))


def _listed_plan(template: Template) -> str | None:
    return template.plan if template.plan in catalog.PLANS else catalog.default_plan(template.id)


def _catalogue_price(template: Template) -> str:
    known = (
        catalog.monthly_price(template.id, _listed_plan(template))
        if template.id in catalog.TEMPLATES
        else None
    )
    return "nothing of it" if known is None else usd(known)


def containers(timeout_s: float) -> list[Entry]:
    """
    Return the account's containers, for the policy `account-headroom`.

    Args:
        timeout_s: How long to wait at most, in seconds.

    Raises:
        StacksError: The account cannot be read.
        TimeoutError: It took too long.
    """
    from concurrent import futures  # noqa: PLC0415  (only this policy needs it)

    pool = futures.ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(_list).result(timeout_s)
    except futures.TimeoutError:
        raise TimeoutError(f"the account did not answer within {timeout_s:g} s") from None
    finally:
        # A request that hangs must not delay the answer; it ends with its own timeout.
        pool.shutdown(wait=False)


def listed(client: StacksClient) -> tuple[Container, ...]:
    """
    Return all containers, each once. An incomplete list is an error, because it may omit containers that cost money.

    Raises:
        StacksError: The list cannot be read, or is incomplete.
    """
    containers = client.containers.list()
    containers.require_complete()
    # A container that is listed twice is billed once.
    return tuple({(container.id, container.created_at): container for container in containers}.values())


def _list() -> list[Entry]:
    with connect() as client:
        return [_entry(container) for container in listed(client)]


def _entry(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Entry:
    name, item = container.name or container.id, item_of(container, monthly)
    return Entry(container.id, name, container.created_at, item)


def item_of(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Item:
    """Return the kind and the price of a container of the account."""
    template = UNKNOWN if container.template is None else container.template
    plan: str | Unknown | None = UNKNOWN if container.plan is None else container.plan
    # The VPN template has several names in the API, and one price.
    if template == catalog.VPN_TEMPLATE:
        plan = None
    tier = _tier(container)
    return Item(describe(template, plan, tier), price(template, plan, tier, monthly))


def _tier(container: Container) -> int | Unknown | None:
    """Return the additional storage tier; the API lists only the sum of the plan's storage and the additional one."""
    size = (
        catalog.VPN_PLAN
        if container.template == catalog.VPN_TEMPLATE
        else catalog.PLANS.get(container.plan or "")
    )
    tier = catalog.added_tier(size, container.storage_mb)
    return UNKNOWN if tier is None else tier or None
