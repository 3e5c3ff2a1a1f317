from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import Pulse
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.once import Once, look_twice
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


class Api(Once[Container]):
    """
    A fake API with prepared events in order: the effect of each POST and the result of each read.

    Attributes:
        happened: The events `post` and `look`, in order.
        lag: For how many seconds a list does not show a new object.
    """

    template: str | None = None

    def __init__(
        self, clock: FakeClock, *, before: tuple[Container, ...] = (OLD,), pulse: Pulse | None = None
    ) -> None:
        self.told: list[str] = []
        call = msgspec.structs.replace(a_call("POST"), what='create "web"', pulse=pulse)
        super().__init__(lambda call: call.parse(None), call, clock, now=clock.wall, warn=self.told.append)
        self.before = Listing(before)
        self.there = [(row, 0.0) for row in before]
        self.lag = 0.0
        self.happened: list[str] = []
        self.posts: list[Any] = []
        self.looks: list[Any] = []

    def post(self) -> Container:
        self.happened.append("post")
        outcome = self.posts.pop(0)
        if isinstance(outcome, tuple):  # the request takes effect, but the answer is an error
            self.there.append((outcome[0], self.clock.now() + self.lag))
            outcome = outcome[1]
        if isinstance(outcome, BaseException):
            raise outcome
        self.there.append((outcome, self.clock.now() + self.lag))
        return outcome  # type: ignore[no-any-return]  # any value that a test has prepared

    def send(self) -> Container:
        return self.post()

    def existing(self) -> Listing[Container]:
        self.happened.append("look")
        outcome = self.looks.pop(0) if self.looks else None
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Listing):
            return outcome
        return Listing([row for row, since in self.there if since <= self.clock.now()])

    def is_taken(self, row: Container) -> bool:
        return row.name == "web"

    def is_ours(self, row: Container) -> bool:
        return row.name == "web" and self.template in {None, row.template}

    def made_at(self, row: Container) -> str | None:
        return row.created_at

    def says_taken(self, error: errors.StacksError) -> bool:
        return isinstance(error, errors.BadRequestError)

    def create(self) -> Container:
        return self.run(self.before)


class Twice(Api):
    """An object that may exist twice."""

    may_exist_twice: ClassVar = True

    def __init__(self, clock: FakeClock, **more: Any) -> None:
        super().__init__(clock, **more)
        self.removed: list[str] = []

    def is_taken(self, row: Container) -> bool:
        return False

    def remove(self, row: Container) -> None:
        self.removed.append(row.id)


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
        'create "web": it already exists (id there); adopt it, or remove it first',
    )
    assert api.happened == []


@pytest.mark.parametrize("doubt", [LOST, FAILED, GARBLED])
def test_an_object_that_appeared_after_a_lost_response_is_the_result(
    api: Api, doubt: errors.StacksError
) -> None:
    api.posts = [(MINE, doubt)]

    assert api.create() == MINE
    assert api.happened == ["post", "look"]


@pytest.mark.parametrize(("faults", "seconds"), [(1, 1), (2, 3), (3, 7)])
def test_a_create_without_a_result_is_sent_again_after_a_look(
    api: Api, clock: FakeClock, faults: int, seconds: float
) -> None:
    api.posts = [*[LOST, FAILED, LOST][:faults], MINE]
    began = clock.now()

    assert api.create() is MINE
    assert api.happened == [*["post", "look"] * faults, "post", "look"], "the last look is for a twin"
    assert clock.now() - began == seconds


def test_an_outage_ends_after_three_repeats_and_a_last_look(api: Api, clock: FakeClock) -> None:
    api.posts = [LOST] * 4
    began = clock.now()

    with pytest.raises(errors.ConnectionFailedError, match="no list shows its result") as caught:
        api.create()
    assert caught.value.code == "outcome-unknown"
    assert api.happened.count("post") == 4
    assert clock.now() - began <= 15


def test_nothing_is_repeated_without_a_look(api: Api) -> None:
    api.posts = [(MINE, LOST)]
    api.looks = [DOWN, errors.ServerError("x", status=500)]

    assert api.create() == MINE
    assert api.happened == ["post", "look", "look", "look"]


def test_without_a_look_the_outcome_is_unknown(api: Api) -> None:
    api.posts = [LOST]
    api.looks = [DOWN] * 9

    with pytest.raises(errors.ConnectionFailedError, match="no list could be read") as caught:
        api.create()
    assert caught.value.code == "outcome-unknown"
    assert api.happened.count("post") == 1


@pytest.mark.parametrize("lag", [1.5, 3.5, 9.0])
@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.ConflictError("x", status=409)])
def test_a_refused_repeat_may_be_the_effect_of_the_first_request(
    api: Api, refusal: errors.StacksError, lag: float
) -> None:
    api.lag = lag
    api.posts = [(MINE, LOST), refusal, refusal, refusal]

    assert api.create() == MINE
    assert api.happened.count("post") <= 2


def test_a_name_that_is_taken_is_looked_for_until_the_deadline(api: Api, clock: FakeClock) -> None:
    api.lag, api.until = 95.0, clock.now() + 120
    api.posts = [(MINE, LOST), TAKEN]

    assert api.create() == MINE


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.ForbiddenError("x", status=403)])
def test_a_refused_repeat_that_no_list_explains_is_an_unknown_outcome(
    api: Api, clock: FakeClock, refusal: errors.StacksError
) -> None:
    api.posts = [LOST, refusal]
    began = clock.now()

    with pytest.raises(errors.ConnectionFailedError, match="but no list shows the object") as caught:
        api.create()
    assert caught.value.code == "outcome-unknown"
    assert api.happened.count("post") == 2
    assert clock.now() - began <= 12


@pytest.mark.parametrize("refusal", [TAKEN, CAP, errors.InvalidApiKeyError("x", status=401), DOWN])
def test_a_refusal_of_the_first_attempt_is_raised_immediately(api: Api, refusal: errors.StacksError) -> None:
    api.posts = [refusal]

    with pytest.raises(type(refusal)):
        api.create()
    assert api.happened.count("post") == 1


@pytest.mark.parametrize("posts", [[], [LOST]], ids=["first", "repeat"])
def test_a_refusal_returns_the_object_of_another_client(api: Api, posts: list[Any]) -> None:
    api.template = "nodejs"
    theirs = Container(id="theirs", name="web", template="redis")
    api.posts = [*posts, (theirs, TAKEN)]

    with pytest.raises(errors.ExistsError) as caught:
        api.create()
    assert caught.value.existing is theirs


def test_a_refusal_is_raised_even_if_the_look_fails(api: Api) -> None:
    api.posts = [TAKEN]
    api.looks = [DOWN]

    with pytest.raises(errors.BadRequestError, match="the name is taken"):
        api.create()


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(-30, errors.ExistsError), (0, None), (30, errors.ConnectionFailedError)],
    ids=["before", "during", "after"],
)
def test_only_what_was_made_during_our_request_is_ours(
    api: Api, clock: FakeClock, seconds: int, kind: type[errors.StacksError] | None
) -> None:
    made = msgspec.structs.replace(MINE, created_at=as_time(clock.wall() + seconds))
    api.posts = [(made, LOST)]

    if kind is None:
        assert api.create() == made
        return
    with pytest.raises(kind, match="mine"):
        api.create()
    assert api.happened.count("post") == 1


@pytest.mark.parametrize("needs_time", [False, True])
def test_what_has_no_time_is_ours_only_if_that_needs_none(
    api: Api, monkeypatch: pytest.MonkeyPatch, needs_time: bool
) -> None:
    monkeypatch.setattr(Api, "needs_time", needs_time)
    api.posts = [(MINE, LOST)]

    if not needs_time:
        assert api.create() == MINE
        return
    with pytest.raises(errors.StacksError, match="mine has no creation time") as caught:
        api.create()
    assert caught.value.code == "outcome-unknown"


def test_two_looks_come_before_the_repeat_of_what_may_exist_twice(clock: FakeClock) -> None:
    api = Twice(clock)
    api.posts = [LOST, MINE]
    began = clock.now()

    assert api.create() is MINE
    assert api.happened == ["post", "look", "look", "post", "look"]
    assert clock.now() - began == 2


@pytest.mark.parametrize(("seconds", "removed"), [(0, ["first"]), (60, [])])
def test_a_twin_is_removed_if_its_time_is_of_our_requests_and_named_otherwise(
    clock: FakeClock, seconds: int, removed: list[str]
) -> None:
    api = Twice(clock)
    api.lag = 3.0
    first = Container(id="first", name="web", created_at=as_time(clock.wall() + seconds))
    api.posts = [(first, LOST), MINE]
    api.looks = [None, None, Listing([OLD, first, MINE])]

    assert api.create() is MINE
    assert api.removed == removed
    assert bool(api.told) is not bool(removed)


@pytest.mark.parametrize("is_shown", [True, False])
def test_what_cannot_be_repeated_is_only_looked_for(
    api: Api, monkeypatch: pytest.MonkeyPatch, is_shown: bool
) -> None:
    monkeypatch.setattr(Api, "is_repeatable", False)
    api.posts = [(MINE, LOST) if is_shown else LOST]

    if is_shown:
        assert api.create() == MINE
    else:
        with pytest.raises(errors.ConnectionFailedError, match="the outcome of the request is unknown"):
            api.create()
    assert api.happened.count("post") == 1


@pytest.mark.parametrize("lag", [0.0, 4.0])
def test_a_pulse_ends_the_repeats_and_not_the_search(clock: FakeClock, lag: float) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    api = Api(clock, pulse=pulse)
    api.lag = lag
    api.posts = [(MINE, LOST)]
    assert api.create() == MINE

    api = Api(clock, pulse=pulse)
    api.posts = [LOST]
    with pytest.raises(errors.WaitCancelledError):
        api.create()
    assert api.happened.count("post") == 1


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
