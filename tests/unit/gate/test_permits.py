"""What no permit says is refused by name."""

from __future__ import annotations

import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.gate.change import Change, Operation
from stacks_pulumi.gate.permits import needed

URN = "urn:pulumi:prod::shop::stacks:index:Container::web"


@pytest.mark.parametrize(
    ("operation", "steps", "words"),
    [
        ("unclear", ("refresh",), "'web': what becomes of it is not known"),
        (
            "replace",
            ("import-replacement", "replace", "update", "delete-replaced"),
            "'web': it imports an object in place of another one",
        ),
    ],
)
def test_what_no_permit_says_is_refused_by_name(
    operation: Operation, steps: tuple[str, ...], words: str
) -> None:
    change = Change(
        URN,
        "stacks:index:Container",
        "Container",
        operation,
        after={"name": "web"},
        id="usr-1-web",
        steps=steps,
    )

    with pytest.raises(InputError, match=words):
        needed([change], [])
