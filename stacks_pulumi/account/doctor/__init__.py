"""
`stacks-pulumi doctor`: finds what prevents an `up` or may cause a problem, and how to fix it.

Each check is a function of the `Facts` that yields findings. It changes nothing, on this machine or in the account.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final

from stacks_pulumi import config
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
"""All checks in the order of the report: a check comes after those on which it depends."""


def diagnose(facts: Facts) -> Iterator[Diagnosis]:
    """Run every check. If a check itself fails, its level is `unknown`. No line shows a key."""
    for name, check in CHECKS.items():
        try:
            yield from map(_without_keys, check(facts))
        except Exception as error:  # noqa: BLE001  (a fault in one check must not hide what the others find)
            text = f"the check failed ({type(error).__name__}: {error}): please report it"
            yield _without_keys(unknown(name, text))


def _without_keys(finding: Diagnosis) -> Diagnosis:
    return dataclasses.replace(
        finding, text=config.without_keys(finding.text), fix=config.without_keys(finding.fix)
    )
