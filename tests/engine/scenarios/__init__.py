"""Every error that a user can meet, in the order of `docs/errors.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.engine.scenarios.answers import ANSWERS
from tests.engine.scenarios.bugs import BUGS
from tests.engine.scenarios.commands import COMMANDS
from tests.engine.scenarios.existing import EXISTING
from tests.engine.scenarios.policies import POLICIES
from tests.engine.scenarios.programs import PROGRAMS
from tests.engine.scenarios.scenario import Scenario, Section
from tests.engine.scenarios.settings import SETTINGS
from tests.engine.scenarios.waits import WAITS

__all__ = ["GROUPS", "SCENARIOS", "SECTIONS", "Scenario", "Section"]

GROUPS: Final[Mapping[str, tuple[Section, ...]]] = {
    "Settings": SETTINGS,
    "The program": PROGRAMS,
    "What the account has": EXISTING,
    "Waiting and finishing": WAITS,
    "The API": ANSWERS,
    "Policies": POLICIES,
    "Commands": COMMANDS,
    "Bugs and interruptions": BUGS,
}
"""Heading -> the errors under it."""

SECTIONS: Final = tuple(section for sections in GROUPS.values() for section in sections)
SCENARIOS: Final = tuple(section for section in SECTIONS if isinstance(section, Scenario))
