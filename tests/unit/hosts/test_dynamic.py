"""How the dynamic host converts the SDK's properties for a resource."""

from __future__ import annotations

from pulumi.output import Unknown
from pulumi.runtime import rpc

from stacks_pulumi.hosts import dynamic

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
