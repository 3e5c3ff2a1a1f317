"""Stories that `--granted` leaves out: what several of them have, and no grant of a preview covers."""

from __future__ import annotations

from typing import Final

import pytest

KEY: Final = pytest.mark.beyond_a_grant(
    "it is about a key, or its fingerprint, in the configuration or the state, and a stack with grants has none there"
)
OWN_KEY: Final = pytest.mark.beyond_a_grant(
    "its program has a provider with a key of its own, which asks no broker"
)
LOGS: Final = pytest.mark.beyond_a_grant("it reads logs or other secrets, which its preview does not show")
PREVIEW: Final = pytest.mark.beyond_a_grant(
    "its preview fails, so nothing is planned, and its command still changes something before it fails"
)
ADDRESS: Final = pytest.mark.beyond_a_grant(
    "its project has the address of the platform, which takes precedence over that of a broker"
)
