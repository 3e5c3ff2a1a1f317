"""Every error that a user can meet, in the order of `docs/errors.md`."""

from __future__ import annotations

from typing import Final

from tests.engine.scenarios.answers import ANSWERS
from tests.engine.scenarios.bugs import BUGS
from tests.engine.scenarios.commands import COMMANDS
from tests.engine.scenarios.existing import EXISTING
from tests.engine.scenarios.policies import POLICIES
from tests.engine.scenarios.programs import PROGRAMS
from tests.engine.scenarios.scenario import Scenario
from tests.engine.scenarios.settings import SETTINGS
from tests.engine.scenarios.waits import WAITS

__all__ = ["SCENARIOS", "Scenario"]

SCENARIOS: Final = (
    *SETTINGS,
    *PROGRAMS,
    *EXISTING,
    *WAITS,
    *ANSWERS,
    *POLICIES,
    *COMMANDS,
    *BUGS,
)
