"""The creation protocol: a new object is stored in the state or deleted again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from stacks_pulumi.errors import ServerError, WaitCancelledError
from stacks_pulumi.resources._creation import Creation, InitFailedError
from stacks_pulumi.resources._owners import Owner
from stacks_pulumi.resources.connection import _ConnectionCreation
from stacks_pulumi.resources.handlers import HANDLERS
from stacks_pulumi.resources.vpn_client import _VpnClientCreation

OWN, OTHER = "urn:pulumi:dev::tests::web", "urn:pulumi:dev::tests::other"


class Engine:
    """An engine that ends when the test sets `gone`."""

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
            check_active=engine.check_active, call=SimpleNamespace(urn=OWN), label="web"
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


def test_a_bug_after_the_creation_keeps_the_id_in_the_state() -> None:
    class Buggy(Half):
        def finish(self, thing: str) -> dict[str, Any]:
            raise KeyError("plan")

        def known(self, thing: str, error: Exception | None) -> dict[str, Any]:
            return {}

        def describe(self, thing: str) -> str:
            return thing

    with pytest.raises(InitFailedError, match="then stacks-pulumi had an internal error") as caught:
        Buggy(Engine(), asks=False).run()

    assert (caught.value.id, caught.value.code) == ("usr-1-web", "internal-error")


def test_a_read_without_stored_inputs_returns_what_it_found() -> None:
    call: Any = SimpleNamespace(stored_inputs=lambda: None)

    assert HANDLERS["Container"]()._known_inputs(call, {}, {"name": "web"}) == {"name": "web"}


class Leftover(Half):
    """A creation that finds an existing object, possibly from an earlier run."""

    def __init__(self, *, leftover: bool, shared: bool, with_container: bool, adopting: bool = False) -> None:
        super().__init__(Engine(), asks=False)
        self.leftover = leftover
        self.can_be_taken_over = shared  # type: ignore[misc]  # each kind has its own type
        settings: Any = SimpleNamespace(
            delete_children_with_container=with_container, adopt="if_matching" if adopting else "never"
        )
        self.session: Any = SimpleNamespace(settings=settings)

    def is_leftover(self, thing: str) -> bool:
        return self.leftover


@pytest.mark.parametrize(
    ("owner", "creation", "expected"),
    [
        # Another resource, which is being replaced, keeps an object without its own id, because both share the object.
        (Owner(OTHER, "1", replacing=True), {"shared": True}, True),
        (Owner(OTHER, "1", replacing=True), {"shared": True, "leftover": False}, False),
        (Owner(OTHER, "1", replacing=True), {"shared": False}, False),
        (Owner(OTHER, "1"), {"shared": True, "with_container": True}, False),
        # This resource itself owns it, after a replacement of its container was reverted.
        (Owner(OWN, "1"), {"with_container": True}, True),
        (Owner(OWN, "1"), {"with_container": True, "leftover": False}, False),
        (Owner(OWN, "1", replacing=True), {"shared": True, "with_container": True}, False),
        (Owner(OWN, "1"), {"shared": True}, False),
        # It is retained, and the program requests no further change.
        (Owner(OWN, "1", unchanged=True), {"leftover": False, "adopting": True}, True),
        (Owner(OWN, "1", unchanged=True), {"leftover": False}, False),
        (Owner(OWN, "1"), {"leftover": False, "adopting": True}, False),
    ],
)
def test_an_object_is_left_by_its_owner(owner: Owner, creation: dict[str, bool], expected: bool) -> None:
    made = Leftover(**{"leftover": True, "shared": False, "with_container": False, **creation})

    assert made._is_left_by(owner, "it") is expected


@pytest.mark.parametrize(
    ("owner", "advice", "adopts"),
    [
        (Owner(OWN, "1"), "remove retain_on_delete: with that option the old one stays and is billed", True),
        (Owner(OTHER, "1"), "Remove one of them, or give one of them a different name", False),
    ],
)
def test_an_object_of_this_program_is_not_made_again(owner: Owner, advice: str, adopts: bool) -> None:
    made = Leftover(leftover=True, shared=False, with_container=False)

    error = made._owned("'it'", owner, "it")

    assert (error.existing, advice in error.message) == ("it", True)
    assert (made.adopting() in error.message) is adopts


@pytest.mark.parametrize(
    ("kind", "request_of"),
    [
        (_ConnectionCreation, _ConnectionCreation._connect),
        (_VpnClientCreation, _VpnClientCreation._add),
    ],
)
def test_no_request_is_repeated_for_an_engine_that_is_gone(kind: Any, request_of: Any) -> None:
    """The API's client calls the pulse before each repeat."""

    def add(*_given: Any, pulse: Callable[[], None], **_named: Any) -> None:
        pulse()
        raise AssertionError("the request was repeated")

    engine = Engine()
    engine.gone = True
    operation: Any = SimpleNamespace(
        check=lambda _waiting_for: engine.check_active(), progress=print, warn=print
    )
    client = SimpleNamespace(connections=SimpleNamespace(create=add), vpn_clients=SimpleNamespace(add=add))
    session: Any = SimpleNamespace(client=client)
    inputs = dict.fromkeys(("source", "target", "container", "name"), "web")

    with pytest.raises(WaitCancelledError):
        request_of(kind(session, operation, inputs), None)
