"""The creation protocol: a new object is stored in the state, or deleted again."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from stacks_pulumi.errors import ServerError, WaitCancelledError
from stacks_pulumi.resources._creation import Creation


class Engine:
    """An engine that goes away when the test sets `gone`."""

    def __init__(self) -> None:
        self.gone = False

    def check_active(self) -> None:
        """As `Operation.check_active`."""
        if self.gone:
            raise WaitCancelledError("the engine is gone", subject="web", elapsed=0.0)


class Half(Creation[str]):
    """A creation whose second step fails."""

    kind: ClassVar = "Half"

    def __init__(self, engine: Engine, *, asks: bool) -> None:
        operation: Any = SimpleNamespace(
            check_active=engine.check_active,
            call=SimpleNamespace(urn="urn:pulumi:dev::tests::web"),
            shielded=contextlib.nullcontext,
        )
        session: Any = SimpleNamespace(fingerprint="0")
        super().__init__(session, operation, {})
        self.engine = engine
        self.asks = asks
        self.exists = False

    def create(self) -> str:
        self.exists = True
        return "usr-1-web"

    def id_of(self, thing: str) -> str:
        return thing

    def finish(self, thing: str) -> dict[str, Any]:
        raise ServerError("500", status=500)

    def known(self, thing: str, error: Exception | None) -> dict[str, Any]:
        self.engine.gone = True
        if self.asks:
            # As in `ContainerCreation`: a missing output must not remove the others.
            with contextlib.suppress(WaitCancelledError):
                self.engine.check_active()
        return {}

    def roll_back(self, thing: str) -> None:
        self.exists = False


@pytest.mark.parametrize("asks", [True, False])
def test_an_engine_that_goes_away_while_the_outputs_are_collected_leaves_no_orphan(asks: bool) -> None:
    creation = Half(Engine(), asks=asks)

    with pytest.raises(WaitCancelledError):
        creation.run()

    assert not creation.exists
