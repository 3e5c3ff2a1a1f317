"""Policy packs for a real engine: the arguments that add them to an operation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.stack import Result
from tools.engine.engine import Engine
from tools.engine.ensure import ensure
from tools.engine.pack import argument

ROOT = Path(__file__).parents[2]


def with_packs(
    scratch: Path, packs: Mapping[str | Path, Mapping[str, Any]], engine: Engine | None = None
) -> list[str]:
    """
    Return the arguments that add policy packs to an operation of the engine.

    Args:
        scratch: A folder for configurations, and for scripts if this engine needs them.
        packs: The configuration of each pack, by its name, or by its folder if it is outside this package.
        engine: The engine; by default that of all tests.
    """
    arguments = []
    for pack, config in packs.items():
        folder = pack if isinstance(pack, Path) else ROOT / "policies" / pack
        file = scratch / f"{folder.name}-config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        arguments += ["--policy-pack", str(argument(engine or ensure(), folder, scratch))]
        arguments += ["--policy-pack-config", str(file)]
    return arguments


def violations(result: Result, level: str = "mandatory") -> dict[str, str]:
    """Return the reports of all policies with an enforcement level, by policy."""
    found: dict[str, str] = {}
    for event in (event["policyEvent"] for event in result.events if "policyEvent" in event):
        if event["enforcementLevel"] == level:
            found[event["policyName"]] = found.get(event["policyName"], "") + event["message"]
    return found
