"""
An emulator of the STACKS API on your own machine, for tests, demonstrations and offline work.

    with Emulator() as emulator:
        client = StacksClient(emulator.key, base_url=emulator.url)

Rules are plain functions on plain data (`state`, `platform` and one module per noun) and do not depend on HTTP.
`routes` converts HTTP requests, `app` sets the order of the checks, `server` listens. Behaviour in the guide is
implemented as stated. Where the guide is silent, a comment that begins with `assumed:`, or `x-assumed` in
`openapi.yaml`, marks our assumption. `(guide, "Create Container")` names a section of
https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from stacks_pulumi.emulator.answers import OPEN, SHAPES
from stacks_pulumi.emulator.emulator import Emulator
from stacks_pulumi.emulator.faults import KINDS, Fault
from stacks_pulumi.emulator.keys import SCOPES
from stacks_pulumi.emulator.persistence import StateFileError
from stacks_pulumi.emulator.platform import DrivenClock
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
