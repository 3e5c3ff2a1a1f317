"""
All uses of private parts of Pulumi's policy SDK, which `pulumi_policy` does not export.

| Part | Used to |
|---|---|
| `pulumi_policy.policy._PolicyAnalyzerServicer` | run a pack without an engine (`testing`) |
| `pulumi_policy.proxy.UNKNOWN_STRING_VALUE` | send an unknown value to a policy, and name one in an error |
| `pulumi_policy.proxy.UnknownValueError` | recognise an unknown value, and report that a check waits for one |
| properties that can be written | change a property in a remediation, so that the marks of secrets are kept |

Every other module imports them from here. `tests/policy/test_sdk_canary.py` fails and names the version if the SDK
changes one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, cast

from pulumi_policy.policy import _PolicyAnalyzerServicer as AnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

__all__ = ["UNKNOWN_STRING_VALUE", "AnalyzerServicer", "UnknownValueError", "write_properties"]


def write_properties(properties: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """
    Change properties of a resource in place.

    A copy would lose the marks of secrets, and the engine would store their values in plain text. The SDK declares the
    mapping as read-only, but it is writable.
    """
    writable = cast("MutableMapping[str, Any]", properties)
    for name, value in changes.items():
        writable[name] = value
