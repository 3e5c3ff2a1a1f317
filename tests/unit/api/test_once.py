from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import Pulse
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.once import look_twice, once
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
    A fake place to create in, with prepared events in order: the effect of each POST, the result of each look.

    Attributes:
        happened: `post` and `look`, in their order.
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
        if isinstance(outcome, tuple):  # it is carried out, and the answer is an error
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
            msgspec.structs.replace(a_call("POST"), what='create "web"', pulse=pulse),
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


def test_an_existing_object_is_returned_without_a_request(clock: FakeClock) -> None:
    there = Container(id="there", name="web")
    api = Api(clock, before=(OLD, there))

    with pytest.raises(errors.ExistsError) as caught:
        api.create()

    assert caught.value.existing is there
    assert (caught.value.code, caught.value.message) == (
        "already-exists",
        'create "web": it already exists (id there); take it over, or remove it first',
    )
    assert api.happened == []


@pytest.mark.parametrize("doubt", [LOST, FAILED, GARBLED])
def test_an_object_that_appeared_after_a_lost_response_is_the_result(
    api: Api, doubt: errors.StacksError
) -> None:
    api.posts = [(MINE, doubt)]

    assert api.create() == MINE
    assert api.happened == ["post", "look"]


@pytest.mark.parametrize("doubt", [LOST, FAILED])
def test_a_create_without_a_result_is_sent_again(api: Api, doubt: errors.StacksError) -> None:
    api.posts = [doubt, doubt, MINE]

    assert api.create() is MINE
    assert api.happened == ["post", "look", "post", "look", "post"]


def test_a_success_that_cannot_be_read_may_take_a_while_to_show(api: Api, clock: FakeClock) -> None:
    api.posts = [GARBLED]
    appears = clock.now() + 3

    def look() -> Listing[Container]:
        return Listing([OLD, MINE] if clock.now() > appears else [OLD])

    api.look = look  # type: ignore[method-assign]  # this test replaces the look

    assert api.create() == MINE
    assert api.happened == ["post"]


@pytest.mark.parametrize(("status", "looks"), [(202, 4), (302, 1), (404, 1), (0, 1)])
def test_an_unreadable_answer_without_effect_is_retried(api: Api, status: int, looks: int) -> None:
    api.posts = [errors.UnreadableAnswerError("a page", status=status), MINE]

    assert api.create() is MINE
    assert api.happened == ["post", *["look"] * looks, "post"]


def test_attempts_are_limited_and_the_last_is_looked_for(api: Api) -> None:
    api.posts = [LOST, LOST, (MINE, LOST)]

    assert api.create() == MINE
    assert api.happened == ["post", "look"] * 3


def test_an_outcome_that_stays_unknown_is_reported(api: Api) -> None:
    api.posts = [LOST, LOST, FAILED]

    with pytest.raises(errors.ServerError, match="the API failed"):
        api.create()
    assert api.happened == ["post", "look"] * 3


@pytest.mark.parametrize(
    "refusal", [TAKEN, CAP, errors.ConflictError("x", status=409), errors.NoCapacityError("x", status=503)]
)
def test_a_refusal_may_be_due_to_the_earlier_attempt(api: Api, refusal: errors.StacksError) -> None:
    api.posts = [LOST, (MINE, refusal)]  # the first one came through late

    assert api.create() == MINE


def test_a_refusal_for_another_reason_is_raised(api: Api) -> None:
    api.posts = [LOST, TAKEN]

    with pytest.raises(errors.BadRequestError, match="the name is taken"):
        api.create()
    assert api.happened == ["post", "look", "post", "look", "look", "look"]


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.ConflictError("x", status=409)])
@pytest.mark.parametrize("lag", [1.5, 3.5, 11.0])
def test_the_earlier_result_is_found_despite_a_slow_list(
    api: Api, clock: FakeClock, refusal: errors.StacksError, lag: float
) -> None:
    api.posts = [FAILED, refusal]
    appears = clock.now() + lag

    def look() -> Listing[Container]:
        return Listing([OLD, MINE] if clock.now() > appears else [OLD])

    api.look = look  # type: ignore[method-assign]  # this test replaces the look

    assert api.create() == MINE


@pytest.mark.parametrize(
    "refusal", [errors.NoCapacityError("x", status=503), errors.ForbiddenError("x", status=403)]
)
def test_an_independent_refusal_is_raised_without_a_wait(
    api: Api, clock: FakeClock, refusal: errors.StacksError
) -> None:
    api.posts = [LOST, refusal]

    with pytest.raises(type(refusal)):
        api.create()
    assert (api.happened, clock.now()) == (["post", "look", "post", "look"], 1001.0)


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.InvalidApiKeyError("x", status=401), DOWN])
def test_a_refusal_of_the_first_attempt_is_raised_immediately(api: Api, refusal: errors.StacksError) -> None:
    api.posts = [refusal]

    with pytest.raises(type(refusal)):
        api.create()
    assert api.happened.count("post") == 1


def test_a_conflict_returns_the_existing_object(api: Api) -> None:
    theirs = Container(id="theirs", name="web")
    api.posts = [(theirs, TAKEN)]

    with pytest.raises(errors.ExistsError) as caught:
        api.create()
    assert caught.value.existing is theirs


def test_a_refusal_is_raised_even_if_the_look_fails(api: Api) -> None:
    api.posts = [TAKEN]
    api.looks = [DOWN]

    with pytest.raises(errors.BadRequestError, match="the name is taken"):
        api.create()


def test_no_request_is_repeated_without_a_look(api: Api) -> None:
    api.posts = [(MINE, LOST)]
    api.looks = [DOWN, errors.ServerError("x", status=500)]

    assert api.create() == MINE
    assert api.happened == ["post", "look", "look", "look"]


def test_without_a_look_the_original_error_is_raised(api: Api) -> None:
    api.posts = [LOST]
    api.looks = [DOWN] * 9

    with pytest.raises(errors.ConnectionFailedError, match="no answer came"):
        api.create()
    assert api.happened == ["post", "look", "look", "look"]


def test_an_object_of_another_client_is_not_the_result(api: Api) -> None:
    theirs = Container(id="theirs", name="web", template="redis")
    api.posts = [(theirs, LOST), TAKEN]

    with pytest.raises(errors.BadRequestError):
        api.create(ours=lambda container: container.template == "nodejs")


def test_an_earlier_object_is_never_the_result(api: Api) -> None:
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


def test_a_late_object_is_found_after_a_cancel(api: Api, clock: FakeClock) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    api.posts = [LOST]
    api.look = lambda: Listing([OLD, MINE] if clock.now() > 1002 else [OLD])  # type: ignore[method-assign]  # this test replaces the look

    assert api.create(pulse=pulse) == MINE
    assert api.happened == ["post"]


def test_something_is_missing_only_after_two_looks_with_a_pause_between(clock: FakeClock) -> None:
    looks: list[float] = []

    def look() -> str | None:
        looks.append(clock.now())
        return None

    assert look_twice(look, clock, 10.0) is None
    assert looks[1] - looks[0] == 10.0


def test_something_that_the_second_look_sees_is_there(clock: FakeClock) -> None:
    answers = iter([None, "web"])

    assert look_twice(lambda: next(answers), clock, 10.0) == "web"


@pytest.mark.parametrize(
    ("later", "doubt"), [(3, LOST), (30, GARBLED), (30, LOST)], ids=["in time", "carried out", "later"]
)
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_made_after_a_cancelled_request_is_not_its_result(
    api: Api, clock: FakeClock, later: int, doubt: errors.StacksError, gone: bool
) -> None:
    """No state would get its id, so it would be deleted, and the next run of the program may have made it."""
    api.posts = [doubt]
    made = msgspec.structs.replace(MINE, created_at=as_time(clock.wall() + later))
    appears = clock.now() + later

    def pulse() -> None:
        if gone:
            raise errors.WaitCancelledError("the engine is gone")

    def create() -> Container:
        return api.create(pulse=pulse, visible=120.0, made_at=lambda row: row.created_at, now=clock.wall)

    api.look = lambda: Listing([OLD, made] if clock.now() >= appears else [OLD])  # type: ignore[method-assign]  # this test replaces the look

    if gone and later > 5 and doubt is LOST:
        with pytest.raises(
            errors.StacksError, match="mine was made after that, perhaps by the next run"
        ) as error:
            create()
        assert error.value.code == "outcome-unknown"
    else:
        assert create() == made
