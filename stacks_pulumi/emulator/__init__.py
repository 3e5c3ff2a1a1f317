"""
An emulator of the STACKS API on your own machine, for tests, demonstrations and offline work.

    with Emulator() as emulator:
        client = StacksClient(emulator.key, base_url=emulator.url)

The emulator implements the behaviour that the guide states. Where the guide is silent, our assumption is marked: by
`assumed:` in a comment, or by `x-assumed` in `openapi.yaml`. `(guide, "Create Container")` names a section of the guide
(https://docs.stackshosting.cloud).

The modules, from the outermost to the innermost:

- `emulator`: Which settings does it have, where does it listen, and who may call it?
- `server`: Which requests arrive, which bytes are sent, and what is in the request log?
- `app`: Which steps does a request pass through, and which endpoint answers it?
- `answers`: What does the function of an endpoint receive, which values does it accept, and what may it answer?
- `containers`: Which rules apply to containers, and how do answers describe them?
- `contents`: Which credentials, certificates, logs and metrics does a container have?
- `access`: Which addresses may connect to a container?
- `connections`: Which container may reach another, and with which variables?
- `backups`: Which backups exist, and what can be done with them?
- `vpn`: Which devices may use a VPN, and with which configuration?
- `keys`: Which requests may a key send, at which cost, and how often?
- `platform`: Which data do the rules read and change, what time is it, and what happens when time passes?
- `state`: Which data does the platform have, and which file contains which part of it?
- `faults`: Which requests fail, and how?
- `late`: Which answers lag behind, and which lists show only some of their rows?
- `controls`: What can a test read and change?
- `drift`: What happens without an API request?
- `control_api`: What can another process read and change over HTTP?
"""

from __future__ import annotations

from stacks_pulumi.emulator.answers import OPEN, SHAPES
from stacks_pulumi.emulator.app import OPERATIONS
from stacks_pulumi.emulator.emulator import Emulator
from stacks_pulumi.emulator.faults import KINDS, Fault
from stacks_pulumi.emulator.keys import SCOPES
from stacks_pulumi.emulator.platform import DrivenClock
from stacks_pulumi.emulator.server import PortTakenError
from stacks_pulumi.emulator.state import StateFileError

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
