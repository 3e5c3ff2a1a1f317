"""The text that a person reads before they sign a change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stacks_pulumi.broker.change import Known
from stacks_pulumi.gate import words

_NO_TIME = "without a creation time, so it is identified by id, template and plan"
_OTHER = ", but the change is for a container"


@pytest.mark.parametrize(
    ("made", "known", "said"),
    [
        (None, {"template": "nodejs", "plan": "basic"}, _NO_TIME),
        (
            None,
            {"template": "nodejs", "plan": "micro"},
            f'{_NO_TIME}{_OTHER} with the template "nodejs" and the plan "micro"',
        ),
        (None, {"created_at": "2026"}, f'{_NO_TIME}{_OTHER} created "2026"'),
        ("2026-11-01T10:00:00Z", {"created_at": "2026-11-01T10:00:00Z"}, "created 2026-11-01T10:00:00Z"),
        ("2026-11-01T10:00:00Z", {"created_at": "2026-11-01T12:00:00+02:00"}, "created 2026-11-01T10:00:00Z"),
        (
            "2026-11-01T10:00:00Z",
            {"created_at": "2026"},
            f'created 2026-11-01T10:00:00Z{_OTHER} created "2026"',
        ),
    ],
)
def test_a_container_is_said_with_what_it_is_known_by(
    made: str | None, known: dict[str, str], said: str
) -> None:
    row = {"name": "web", "template": "nodejs", "plan": "basic", "usd": "4", "owner": "", "created_at": made}
    judged: Any = SimpleNamespace(said={"containers": {"usr-1-web": row}})

    text = words._container(Known(id="usr-1-web", **known), judged)

    assert text == f'"web", nodejs, basic, $4.00 a month, no owner in the ledger, {said}'
