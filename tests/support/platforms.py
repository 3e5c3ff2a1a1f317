"""
Platforms that the guide allows, as the emulator plays them.

`READINGS` has one platform for each reading of the guide that was tried: use its names as the columns of a test. A test
of several readings together draws a platform with `random_platform`.
"""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

from stacks_pulumi.platform_file import PlatformFacts

STATUSES: Final = {
    "Active": "running",
    "Provisioning": "pending",
    "Halted": "stopped",
    "Failed": "error",
    "Terminating": "deleting",
}
_NUMBERS: Final = {
    "0": "pending",
    "1": "running",
    "2": "stopped",
    "3": "error",
    "4": "starting",
    "5": "stopping",
    "6": "restarting",
    "7": "deleting",
}


def platform(**sections: dict[str, Any]) -> PlatformFacts:
    """Return the platform with these sections of a platform file."""
    return msgspec.convert(sections, PlatformFacts)


READINGS: Final[dict[str, PlatformFacts]] = {
    # A new container.
    "invisible for 20 s": platform(containers={"visible_seconds": 20}),
    "listed after 20 s": platform(containers={"listed_seconds": 20}),
    "status found after 20 s": platform(containers={"found_seconds": 20}),
    "hidden while pending, status late": platform(
        containers={"listed_while_pending": False, "found_seconds": 10}
    ),
    "the id of the request in the 202": platform(containers={"create_id": "request"}),
    "no id in the 202": platform(containers={"create_id": "none"}),
    "the id of the request, and invisible for 20 s": platform(
        containers={"create_id": "request", "visible_seconds": 20}
    ),
    "a create is answered with 200": platform(containers={"create_code": 200}),
    "a name that is taken is answered": platform(containers={"name_taken": "answered"}),
    # Its identity.
    "ids as numbers": platform(containers={"id_form": "number"}),
    "ids as UUIDs": platform(containers={"id_form": "uuid"}),
    "creation time only in the status": platform(containers={"created_at_in": "status"}),
    "creation time only in the list": platform(containers={"created_at_in": "list"}),
    "creation time changes with a start": platform(
        containers={"created_at_changes": ["start", "restart", "connect", "external_access"]}
    ),
    "creation time changes with a restore": platform(containers={"created_at_changes": ["restore"]}),
    # Lists.
    "pages by address": platform(lists={"page_size": 2, "next": "meta.next"}),
    "pages by cursor": platform(lists={"page_size": 2, "next": "meta.next_cursor", "parameter": "cursor"}),
    "pages by number": platform(
        lists={"page_size": 2, "next": "next_page", "next_form": "page", "parameter": "page"}
    ),
    "pages by offset": platform(
        lists={"page_size": 2, "next": "next_offset", "next_form": "page", "parameter": "offset"}
    ),
    "pages with a flag": platform(
        lists={"page_size": 2, "next": "has_more", "next_form": "flag", "parameter": "page"}
    ),
    "pages with a total": platform(
        lists={"page_size": 2, "next": "total", "next_form": "total", "parameter": "page"}
    ),
    "pages with a Link header": platform(lists={"page_size": 2, "next": "Link"}),
    "pages with X-Total-Count": platform(
        lists={"page_size": 2, "next": "X-Total-Count", "next_form": "total"}
    ),
    "pages with the last page": platform(
        lists={"page_size": 2, "next": "meta.last_page", "next_form": "last_page", "parameter": "page"}
    ),
    "pages with a 206": platform(
        lists={"page_size": 2, "next": "none", "parameter": "page", "page_code": 206}
    ),
    "silent pages": platform(lists={"page_size": 2, "next": "none", "parameter": "page"}),
    "silent pages with a count": platform(lists={"page_size": 2, "next": "none", "count_is_rows": False}),
    "a count above the rows": platform(lists={"count_is_rows": False}),
    "rows under items": platform(lists={"rows": "items"}),
    "rows under data.containers": platform(lists={"rows": "data.containers"}),
    "bare lists": platform(lists={"rows": ""}),
    "an empty list is null": platform(lists={"empty": "nothing"}),
    "an empty list is a 404": platform(lists={"empty": "missing"}),
    "lists lag 20 s": platform(lists={"lag_seconds": 20}),
    "every second list lags 20 s": platform(lists={"lag_seconds": 20, "lag_in": "every_second"}),
    "lists and statuses lag 10 s": platform(lists={"lag_seconds": 10}, containers={"status_lag_seconds": 10}),
    "GETs cached for 5 s": platform(lists={"cache_seconds": 5}),
    # Deleted and stopped.
    "tombstones": platform(containers={"tombstone": "deleted"}),
    "tombstones for 30 s": platform(containers={"tombstone": "terminated", "tombstone_seconds": 30}),
    "tombstones and UUIDs": platform(containers={"tombstone": "terminated", "id_form": "uuid"}),
    "names held for 10 s": platform(containers={"name_held_seconds": 10}),
    "stopped containers are hidden": platform(containers={"listed_while_stopped": False}),
    "410 for gone": platform(errors={"missing_code": 410}),
    "403 for gone": platform(errors={"missing_code": 403}),
    # Words.
    "statuses in upper case": platform(
        containers={"statuses": {word.upper(): word for word in _NUMBERS.values()}}
    ),
    "other words for statuses": platform(containers={"statuses": STATUSES}),
    "statuses as numbers": platform(containers={"statuses": _NUMBERS, "status_form": "number"}),
    "statuses as objects": platform(containers={"status_form": "object"}),
    "boot through created and exited": platform(
        containers={"boot_statuses": ["created", "exited", "starting"]}
    ),
    "boot through stopped": platform(containers={"boot_statuses": ["stopped", "pending"]}),
    "the type is a category": platform(containers={"type_is": "category"}),
    "plans by display name": platform(containers={"plans": {"Basic Plan": "basic", "Micro Plan": "micro"}}),
    "plans in upper case": platform(containers={"plans": {"BASIC": "basic", "MICRO": "micro"}}),
    "templates under other names": platform(containers={"templates": {"node": "nodejs", "pg": "postgresql"}}),
    "names with a prefix": platform(containers={"name_prefix": "acme-"}),
    "names in lower case": platform(containers={"name_case": "lower"}),
    "storage in GB": platform(containers={"storage_unit": "GB"}),
    # External access.
    "access settles after 5 s": platform(access={"settle_seconds": 5, "url_in_answer": False}),
    "no url in the answer": platform(access={"url_in_answer": False}),
    "the caller's address 3 s later": platform(access={"own_address_seconds": 3}),
    "another text for the caller's address": platform(
        access={"own_address_description": "Added automatically"}
    ),
    "addresses as networks": platform(access={"address_form": "network"}),
    # Connections.
    "connections at the source only": platform(connections={"listed_at": "source"}),
    "connections at the target only": platform(connections={"listed_at": "target"}),
    "connections listed 5 s late": platform(connections={"listed_seconds": 5}),
    "connections removed 5 s late": platform(connections={"removal_seconds": 5}),
    "connection names in lower case": platform(connections={"name_form": "lower"}),
    "connection names made unique": platform(connections={"name_form": "unique"}),
    "a connection restarts both": platform(connections={"restarts_both": True}),
    # Backups.
    "other words for backups": platform(
        backups={
            "statuses": {"done": "completed", "running": "in_progress"},
            "types": {"on-demand": "manual"},
        }
    ),
    "backups with UUIDs": platform(backups={"id_form": "uuid"}),
    "backups listed 5 s late": platform(backups={"listed_seconds": 5}),
    "pins listed 4 s late": platform(backups={"pinned_seconds": 4}),
    "a pin is a time": platform(backups={"pinned_form": "time"}),
    # VPN clients.
    "a VPN configuration only from POST": platform(vpn_clients={"config_in": "create"}),
    "a VPN configuration once": platform(vpn_clients={"config_in": "once"}),
    # Prices.
    "prices in cents": platform(prices={"field": "price_cents", "unit": "cents"}),
    "prices per hour": platform(prices={"field": "hourly", "per": "hour"}),
    "prices as text with a currency": platform(prices={"field": "price", "form": "currency"}),
    "nested prices": platform(prices={"field": "pricing.monthly.amount"}),
    # Errors.
    "409 for a conflict": platform(errors={"conflict_code": 409}),
    "an outage": platform(errors={"unavailable": "outage", "outage_seconds": 5}),
    "a waitlist that creates 3 s later": platform(errors={"unavailable": "waitlist", "waitlist_seconds": 3}),
    "nested errors": platform(errors={"form": "nested"}),
    "errors in detail": platform(errors={"form": "detail"}),
    "errors as problem+json": platform(errors={"form": "problem"}),
    "errors as a list": platform(errors={"form": "list"}),
    "errors as text": platform(errors={"form": "text"}),
    "errors as HTML": platform(errors={"form": "html"}),
    "rate headers of the draft": platform(errors={"rate_headers": "draft"}),
    "rate headers in milliseconds": platform(errors={"rate_headers": "milliseconds"}),
    # Any answer.
    "camelCase": platform(answers={"keys": "camel"}),
    "snake_case": platform(answers={"keys": "snake"}),
    "everything in data": platform(answers={"wrapped": "data"}),
    "flat objects": platform(answers={"wrapped": "flat"}),
    "unknown fields": platform(answers={"unknown_fields": True}),
    "bare open answers": platform(answers={"shapes": {"*": "bare"}}),
    "empty open answers": platform(answers={"shapes": {"*": "empty"}}),
    "times with an offset": platform(answers={"times": "offset"}),
    "times without a zone": platform(answers={"times": "zoneless"}),
    "times in microseconds": platform(answers={"times": "micro"}),
    "times as seconds": platform(answers={"times": "epoch"}),
    "times as milliseconds": platform(answers={"times": "epoch_ms"}),
    "times as HTTP dates": platform(answers={"times": "http"}),
    "times that differ by endpoint": platform(answers={"times": "mixed"}),
    "a clock ten minutes ahead": platform(answers={"clock_ahead_seconds": 600}),
    "a clock ten minutes behind": platform(answers={"clock_ahead_seconds": -600}),
}
"""One platform for each reading; its name says what is different."""


NEED_A_FILE: Final = frozenset({"statuses as numbers"})
"""Readings on which the defaults alone are not enough: an error names the line to write."""


REFUSED: Final = frozenset(
    {
        "pages by cursor",
        "pages by number",
        "pages by offset",
        "pages with a flag",
        "pages with a total",
        "pages with X-Total-Count",
        "pages with the last page",
        "pages with a 206",
        "silent pages",
        "silent pages with a count",
    }
)
"""Readings that are refused by name: an error says what came, and nothing that is billed is lost."""


def is_refused(facts: PlatformFacts) -> bool:
    """Return whether a platform does something that is refused by name: pages without an address of the next one."""
    lists = facts.lists
    by_address = lists.next not in {None, "none"} and lists.parameter is None and lists.next_form is None
    return lists.page_size is not None and not by_address


def needs_a_file(facts: PlatformFacts) -> bool:
    """
    Return whether a platform needs its file: a create whose id is never seen cannot be found under another name.

    `web-app` may be our `app` with a prefix, or another container of the program that is created at the same time.
    """
    hidden = facts.containers.create_id in {"request", "none"}
    return hidden and facts.containers.name_prefix is not None


def random_platform(seed: int, most: int = 6) -> PlatformFacts:
    """
    Return a platform that differs in several ways; the same for the same seed.

    Args:
        seed: The seed.
        most: The most readings that are combined. Two that set the same thing do not meet.
    """
    draw = random.Random(seed)
    sections: dict[str, dict[str, Any]] = {}
    for name in draw.sample(sorted(READINGS), draw.randint(2, most)):
        known = READINGS[name].as_json()
        known.pop("version")
        if all(_fit(sections.get(section, {}), facts) for section, facts in known.items()):
            for section, facts in known.items():
                sections.setdefault(section, {}).update(
                    {setting: _drawn(draw, setting, value) for setting, value in facts.items()}
                )
    return platform(**sections)


def _fit(drawn: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Return whether two sections set different things. A bare list has no place for a field about the next page."""
    together = {**drawn, **facts}
    return drawn.keys().isdisjoint(facts) and not (together.get("rows") == "" and "next" in together)


def _drawn(draw: random.Random, setting: str, value: Any) -> Any:
    """Return another number of seconds or of rows, and any other value as it is."""
    if setting.endswith("_seconds") and value > 0:
        return draw.randint(1, int(value))
    return draw.randint(1, 5) if setting == "page_size" else value
