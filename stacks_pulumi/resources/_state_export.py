"""
The price of the containers in the stack's state, for the price change in a preview's line.

A program cannot read its state through the engine. The engine's built-in functions could, but they register a provider,
which a plan (`preview --save-plan`) then requires in the update. So the command line is run during the preview.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pulumi

from stacks_pulumi._pulumi_cli import PulumiError, run
from stacks_pulumi.pricing import recognition

__all__ = ["Declared", "past_price", "request_export"]

_SECONDS: Final = 5.0
"""The timeout: a preview does not wait longer for the state."""

_NOTHING: Final[Mapping[str, Any]] = {}


class Declared(NamedTuple):
    """
    A container of the program, as a preview knows it.

    Attributes:
        urn: Its URN.
        id: Its id; unknown if it does not exist yet.
        price: Its monthly price; unknown or `None` if it has none.
        is_lookup: Whether the program only looks it up.
    """

    urn: Any
    id: Any
    price: Any
    is_lookup: bool


def request_export() -> Future[list[Mapping[str, Any]] | None]:
    """Start to read the state; return a future with its resources, or `None` if they cannot be read."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="stacks-pulumi state")
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    future = pool.submit(_export, stack)
    pool.shutdown(wait=False)
    return future


def _export(stack: str) -> list[Mapping[str, Any]] | None:
    try:
        # The engine that runs this program is the `pulumi` on PATH.
        deployment = json.loads(run(["stack", "export", "--stack", stack], seconds=_SECONDS))["deployment"]
        return list((deployment or _NOTHING).get("resources") or ())
    except (PulumiError, ValueError, KeyError, TypeError, AttributeError):
        return None


def past_price(state: Iterable[Mapping[str, Any]], declared: Iterable[Declared]) -> float | None:
    """
    Return the monthly price of the containers in the state; `None` if it is not known.

    Args:
        state: The resources of an export.
        declared: The containers of the program. With the Automation API, the command line may use another backend, so
            the state is used only if it has the ids that the preview knows.
    """
    ids = {row.urn: row.id for row in declared if not row.is_lookup and isinstance(row.id, str)}
    total = 0.0
    for resource in state:
        outputs = resource.get("outputs") or _NOTHING
        properties = outputs or resource.get("inputs") or _NOTHING
        if (
            resource.get("external")
            or recognition.kind_of(str(resource.get("type")), properties) != "Container"
        ):
            continue
        price = recognition.snake_case(outputs).get("monthly_price_usd")
        if not isinstance(price, int | float):
            return None
        # The old half of a replacement has the URN of the new one.
        if not resource.get("delete") and ids.pop(str(resource.get("urn")), None) not in (
            None,
            resource.get("id"),
        ):
            return None
        total += price
    return None if ids else total
