"""
`stacks-pulumi doctor`: what prevents an `up`, or will get in its way, and how to fix it.

Each check is a function of the `Facts` that yields findings. Nothing is changed, here or at the API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from stacks_pulumi.account.doctor import _api, _installation, _packs, _stack_settings
from stacks_pulumi.account.doctor.diagnosis import Diagnosis, unknown
from stacks_pulumi.account.doctor.facts import Facts

__all__ = ["CHECKS", "Check", "Diagnosis", "Facts", "diagnose"]

Check = Callable[[Facts], Iterator[Diagnosis]]

CHECKS: Final[dict[str, Check]] = {
    "engine": _installation.engine,
    "python": _installation.python,
    "sdk": _installation.sdk,
    "host": _installation.host,
    "extras": _installation.extras,
    "stack": _stack_settings.stack,
    "settings": _stack_settings.settings,
    "key": _stack_settings.key,
    "base-url": _stack_settings.base_url,
    "adopt": _stack_settings.adopt,
    "autonaming": _stack_settings.autonaming,
    "api": _api.api,
    "account": _api.account,
    "scopes": _api.scopes,
    "cap": _api.cap,
    "rate-limit": _api.rate_limit,
    "clock": _api.clock,
    "packs": _packs.packs,
}
"""Every check, in the order of the report: what a later one needs is checked before it."""


def diagnose(facts: Facts) -> Iterator[Diagnosis]:
    """Make every check. One that fails itself is reported as not made."""
    for name, check in CHECKS.items():
        try:
            yield from check(facts)
        except Exception as error:  # noqa: BLE001  (a fault in one check must not hide what the others find)
            yield unknown(name, f"the check failed ({type(error).__name__}: {error}): please report it")
