"""
The STACKS API on your own machine: a second reading of the guide, for tests, demonstrations and offline work.

    with Emulator() as emulator:
        client = StacksClient(emulator.key, base_url=emulator.url)

Rules are plain functions on plain data (`state`, `platform` and one module per noun) and know nothing of HTTP;
`routes` translates, `app` decides the order, `server` listens. What the guide states is built as it states it. What
it leaves open is a decision of ours, and stands under a comment that begins with `assumed:`, or under `x-assumed`
in `openapi.yaml`. `(guide, "Create Container")` names a section of https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from stacks_pulumi.emulator.answer_shapes import OPEN, SHAPES
from stacks_pulumi.emulator.clock import DrivenClock
from stacks_pulumi.emulator.emulator import Emulator
from stacks_pulumi.emulator.faults import KINDS, Fault
from stacks_pulumi.emulator.keys import SCOPES
from stacks_pulumi.emulator.persistence import StateFileError
from stacks_pulumi.emulator.routes.operations import OPERATIONS
from stacks_pulumi.emulator.server import PortTakenError

__all__ = [
    "KINDS",
    "OPEN",
    "OPERATIONS",
    "SCOPES",
    "SHAPES",
    "DrivenClock",
    "Emulator",
    "Fault",
    "PortTakenError",
    "StateFileError",
]
