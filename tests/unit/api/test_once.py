from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import Pulse
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.once import once
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import a_call

LOST = errors.ConnectionFailedError("create: no answer came", sent=True)
FAILED = errors.ServerError("create: the API failed", status=502)
GARBLED = errors.UnreadableAnswerError("create: cannot be understood", status=202)
TAKEN = errors.BadRequestError("create: the name is taken", status=400)
CAP = errors.SpendingCapError("create: the cap is reached", status=402)
DOWN = errors.ConnectionFailedError("list: no connection", sent=False)

MINE = Container(id="mine", name="web")
OLD = Container(id="old", name="other")


class Api:
    """
    Something to create in, by prepared events, in order: what a POST does and a look shows.

    Attributes:
        happened: `post` and `look`, as they came.
    """

    def __init__(self, clock: FakeClock, *, before: tuple[Container, ...] = (OLD,)) -> None:
        self.clock = clock
        self.before = Listing(before)
        self.there = list(before)
        self.happened: list[str] = []
        self.posts: list[Any] = []
        self.looks: list[Any] = []

    def post(self) -> Container:
        self.happened.append("post")
        outcome = self.posts.pop(0)
        if isinstance(outcome, tuple):  # it happens, and the answer is another
            self.there.append(outcome[0])
            outcome = outcome[1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]  # whatever a test prepared

    def look(self) -> Listing[Container]:
        self.happened.append("look")
        outcome = self.looks.pop(0) if self.looks else None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome if isinstance(outcome, Listing) else Listing(self.there)

    def create(
        self,
        *,
        ours: Callable[[Container], bool] = lambda c: c.name == "web",
        pulse: Pulse | None = None,
        **more: Any,
    ) -> Container:
        return once(
            lambda call: self.post(),
            replace(a_call("POST"), what='create "web"', pulse=pulse),
            before=self.before,
            taken=lambda container: container.name == "web",
            look=self.look,
            ours=ours,
            clock=self.clock,
            **more,
        )


@pytest.fixture
def api(clock: FakeClock) -> Api:
    return Api(clock)


def test_a_clean_answer_needs_no_further_look(api: Api) -> None:
    api.posts = [MINE]

    assert api.create() is MINE
    assert api.happened == ["post"]


def test_what_was_there_before_is_handed_over_and_nothing_is_sent(clock: FakeClock) -> None:
    there = Container(id="there", name="web")
    api = Api(clock, before=(OLD, there))

    with pytest.raises(errors.ExistsError) as caught:
        api.create()

    assert caught.value.existing is there
    assert str(caught.value) == 'create "web": it already exists (id there); take it over, or remove it first'
    assert api.happened == []


@pytest.mark.parametrize("doubt", [LOST, FAILED, GARBLED])
def test_what_appeared_after_a_doubtful_answer_is_ours(api: Api, doubt: errors.StacksError) -> None:
    api.posts = [(MINE, doubt)]

    assert api.create() == MINE
    assert api.happened == ["post", "look"]


@pytest.mark.parametrize("doubt", [LOST, FAILED])
def test_what_did_not_appear_is_asked_for_again(api: Api, doubt: errors.StacksError) -> None:
    api.posts = [doubt, doubt, MINE]

    assert api.create() is MINE
    assert api.happened == ["post", "look", "post", "look", "post"]


def test_a_success_that_cannot_be_read_may_take_a_while_to_show(api: Api, clock: FakeClock) -> None:
    api.posts = [GARBLED]
    appears = clock.now() + 3

    def look() -> Listing[Container]:
        return Listing([OLD, MINE] if clock.now() > appears else [OLD])

    api.look = look  # type: ignore[method-assign]  # this test looks in a way of its own

    assert api.create() == MINE
    assert api.happened == ["post"]


@pytest.mark.parametrize(("status", "looks"), [(202, 4), (302, 1), (404, 1), (0, 1)])
def test_an_answer_that_cannot_be_read_and_shows_nothing_may_not_be_from_the_api(
    api: Api, status: int, looks: int
) -> None:
    api.posts = [errors.UnreadableAnswerError("a page", status=status), MINE]

    assert api.create() is MINE
    assert api.happened == ["post", *["look"] * looks, "post"]


def test_attempts_are_bounded_and_the_last_is_looked_for_as_well(api: Api) -> None:
    api.posts = [LOST, LOST, (MINE, LOST)]

    assert api.create() == MINE
    assert api.happened == ["post", "look"] * 3


def test_a_doubt_that_stays_is_told(api: Api) -> None:
    api.posts = [LOST, LOST, FAILED]

    with pytest.raises(errors.ServerError, match="the API failed"):
        api.create()
    assert api.happened == ["post", "look"] * 3


@pytest.mark.parametrize(
    "refusal", [TAKEN, CAP, errors.ConflictError("x", status=409), errors.NoCapacityError("x", status=503)]
)
def test_a_refusal_after_a_doubt_may_be_about_our_own(api: Api, refusal: errors.StacksError) -> None:
    api.posts = [LOST, (MINE, refusal)]  # the first one came through late

    assert api.create() == MINE


def test_a_refusal_after_a_doubt_that_is_about_something_else_is_told(api: Api) -> None:
    api.posts = [LOST, TAKEN]

    with pytest.raises(errors.BadRequestError, match="the name is taken"):
        api.create()
    assert api.happened == ["post", "look", "post", "look", "look", "look"]


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.ConflictError("x", status=409)])
@pytest.mark.parametrize("lag", [1.5, 3.5, 11.0])
def test_our_own_that_stands_in_the_way_is_found_although_the_list_lags(
    api: Api, clock: FakeClock, refusal: errors.StacksError, lag: float
) -> None:
    api.posts = [FAILED, refusal]
    appears = clock.now() + lag

    def look() -> Listing[Container]:
        return Listing([OLD, MINE] if clock.now() > appears else [OLD])

    api.look = look  # type: ignore[method-assign]  # this test looks in a way of its own

    assert api.create() == MINE


@pytest.mark.parametrize(
    "refusal", [errors.NoCapacityError("x", status=503), errors.ForbiddenError("x", status=403)]
)
def test_a_refusal_that_cannot_be_due_to_our_own_is_not_waited_on(
    api: Api, clock: FakeClock, refusal: errors.StacksError
) -> None:
    api.posts = [LOST, refusal]

    with pytest.raises(type(refusal)):
        api.create()
    assert (api.happened, clock.now()) == (["post", "look", "post", "look"], 1001.0)


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.InvalidApiKeyError("x", status=401), DOWN])
def test_a_refusal_without_a_doubt_is_told_at_once(api: Api, refusal: errors.StacksError) -> None:
    api.posts = [refusal]

    with pytest.raises(type(refusal)):
        api.create()
    assert api.happened.count("post") == 1


def test_who_was_refused_because_somebody_was_faster_is_told_what_is_there(api: Api) -> None:
    theirs = Container(id="theirs", name="web")
    api.posts = [(theirs, TAKEN)]

    with pytest.raises(errors.ExistsError) as caught:
        api.create()
    assert caught.value.existing is theirs


def test_a_refusal_is_told_even_if_the_look_after_it_fails(api: Api) -> None:
    api.posts = [TAKEN]
    api.looks = [DOWN]

    with pytest.raises(errors.BadRequestError, match="the name is taken"):
        api.create()


def test_nothing_is_sent_again_before_a_look_came_about(api: Api) -> None:
    api.posts = [(MINE, LOST)]
    api.looks = [DOWN, errors.ServerError("x", status=500)]

    assert api.create() == MINE
    assert api.happened == ["post", "look", "look", "look"]


def test_if_no_look_comes_about_the_doubt_is_told_and_not_the_look(api: Api) -> None:
    api.posts = [LOST]
    api.looks = [DOWN] * 9

    with pytest.raises(errors.ConnectionFailedError, match="no answer came"):
        api.create()
    assert api.happened == ["post", "look", "look", "look"]


def test_what_appears_and_was_made_by_somebody_else_is_not_taken_for_ours(api: Api) -> None:
    theirs = Container(id="theirs", name="web", template="redis")
    api.posts = [(theirs, LOST), TAKEN]

    with pytest.raises(errors.BadRequestError):
        api.create(ours=lambda container: container.template == "nodejs")


def test_what_was_there_before_is_never_ours(api: Api) -> None:
    api.posts = [LOST, MINE]

    assert api.create(ours=lambda container: True) is MINE


def test_pauses_give_the_api_time_to_finish_and_a_success_needs_none(api: Api, clock: FakeClock) -> None:
    api.posts = [LOST, (MINE, GARBLED)]
    api.create()

    assert clock.now() == 1001.0


def test_a_pulse_ends_the_attempts_and_not_the_look(api: Api, clock: FakeClock) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    api.posts = [LOST]
    with pytest.raises(errors.WaitCancelledError):
        api.create(pauses=(60.0, 60.0), pulse=pulse)
    assert api.happened == ["post", "look", "look", "look"]


def test_what_appears_late_is_found_although_the_pulse_ended_the_attempts(api: Api, clock: FakeClock) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    api.posts = [LOST]
    api.look = lambda: Listing([OLD, MINE] if clock.now() > 1002 else [OLD])  # type: ignore[method-assign]  # this test looks in a way of its own

    assert api.create(pulse=pulse) == MINE
    assert api.happened == ["post"]
