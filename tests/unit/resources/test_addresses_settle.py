"""Allowed addresses on a platform on which external access and the caller's own address take effect with a delay."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.models import ExternalAccess
from stacks_pulumi.platform_file import Access, PlatformFacts
from stacks_pulumi.resources._creation import InitFailedError
from stacks_pulumi.resources.allowed_ip import AllowedIpHandler
from tests.unit.api.scripted_api import Reply, data, ok, refusal
from tests.unit.resources.scripted_account import ScriptedAccount, error_of

CALLER = "203.0.113.45"
OFFICE = "198.51.100.7"
ID = f"usr-1-app/{OFFICE}"


def entry(id_: str, address: str, description: str = "Custom IP") -> dict[str, Any]:
    return {"id": id_, "ip_address": address, "description": description, "service_type": "both"}


MINE, OWN = entry("1", OFFICE), entry("2", CALLER, "You")


def listed(*entries: dict[str, Any], enabled: bool = True, your_ip: str | None = CALLER) -> Reply:
    return data(
        {"external_access_enabled": enabled, "allowed_ips": list(entries), "your_current_ip": your_ip}
    )


def account(
    *looks: Reply, facts: PlatformFacts | None = None, opened_for: str | None = CALLER, **more: Any
) -> ScriptedAccount:
    """Return an account whose operation has turned external access on, unless `opened_for` is `None`."""
    replies: dict[str, Any] = {
        "allowed_ips__list": list(looks),
        "allowed_ips__add": data(MINE),
        "allowed_ips__remove": ok({"success": True}),
        **more,
    }
    made = ScriptedAccount(facts, **replies)
    if opened_for is not None:
        made.session.fresh.add_access("usr-1-app", ExternalAccess(enabled=True, your_ip=opened_for or None))
    return made


def create(on: ScriptedAccount, *, revoke: bool = False) -> dict[str, Any]:
    inputs = {
        "container": "usr-1-app",
        "ip_address": OFFICE,
        "description": "Custom IP",
        "service_type": "both",
        "revoke_auto_added": revoke,
    }
    return AllowedIpHandler().creation(on.session, on.op, inputs).run()[1]


def read(on: ScriptedAccount, **olds: Any) -> dict[str, Any] | None:
    stored = {
        "container": "usr-1-app",
        "ip_address": OFFICE,
        "description": "Custom IP",
        "service_type": "both",
        "entry_id": "1",
        "container_created_at": "2027-01-15T08:00:00.000Z",
        **olds,
    }
    return AllowedIpHandler().on_read(on.session, on.op, ID, stored)


def removed(on: ScriptedAccount) -> list[str]:
    """Return the ids of the removed entries."""
    return [
        call.path.rpartition("/")[2] for call in on.script.calls if call.endpoint.name == "allowed_ips.remove"
    ]


# --- external access that is on later ---


def test_an_address_waits_for_external_access_that_this_operation_has_turned_on() -> None:
    on = account(*[listed(enabled=False)] * 4, listed(OWN))

    create(on)

    assert on.sent("allowed_ips.add") == 1
    assert 6.0 <= on.seconds <= 10.0
    assert "waiting for external access" in on.call.shown


def test_external_access_that_stays_off_is_an_error_after_a_limited_time() -> None:
    on = account(listed(enabled=False))

    error = error_of(lambda: create(on))

    assert error.code == "external-access-off"
    assert 60.0 <= on.seconds < 70.0


def test_external_access_that_was_off_before_is_an_error_at_once() -> None:
    on = account(listed(enabled=False), opened_for=None)

    assert error_of(lambda: create(on)).code == "external-access-off"
    assert on.seconds == 0


def test_a_refusal_while_external_access_is_turned_on_is_tried_again() -> None:
    off, no = listed(enabled=False), refusal(400, "External access is not enabled")
    on = account(
        listed(OWN), off, off, off, off, off, off, listed(OWN), allowed_ips__add=[no, no, no, no, data(MINE)]
    )

    create(on)

    assert on.sent("allowed_ips.add") == 5


def test_a_refusal_for_another_reason_is_an_error_soon() -> None:
    on = account(listed(OWN), allowed_ips__add=refusal(400, "Too many addresses"))

    assert "Too many addresses" in error_of(lambda: create(on)).message
    assert 10.0 <= on.seconds < 20.0


# --- the caller's own address ---


@pytest.mark.parametrize("description", ["You", "Your IP (Auto-added)", ""])
def test_the_callers_address_is_awaited_and_removed_whatever_its_description(description: str) -> None:
    own = entry("2", CALLER, description)
    on = account(listed(), listed(MINE), listed(MINE), listed(MINE, own))

    outs = create(on, revoke=True)

    assert removed(on) == ["2"]
    assert "awaited_address" not in outs
    assert on.call.warnings == []


def test_an_address_that_was_not_seen_is_named_and_removed_later() -> None:
    on = account(listed(), listed(MINE))

    outs = create(on, revoke=True)

    assert 60.0 <= on.seconds < 70.0
    assert outs["awaited_address"] == CALLER
    (warning,) = on.call.warnings
    assert CALLER in warning
    assert "pulumi up --refresh" in warning

    later = account(listed(MINE, OWN, your_ip="192.0.2.77"), opened_for=None)
    found = read(later, revoke_auto_added=True, awaited_address=CALLER)

    assert found is not None
    assert found["changed_outside"] == ["revoke_auto_added"]


@pytest.mark.parametrize("opened_for", ["", None])
def test_an_entry_is_not_the_callers_because_of_its_text(opened_for: str | None) -> None:
    colleague = entry("3", "192.0.2.50", "Your IP (Auto-added)")
    on = account(listed(colleague), listed(MINE, colleague), opened_for=opened_for)

    create(on, revoke=True)

    assert removed(on) == []


def test_without_an_address_in_any_answer_no_entry_is_the_callers() -> None:
    on = account(listed(your_ip=None), listed(MINE, OWN, your_ip=None), opened_for="")

    create(on, revoke=True)

    assert removed(on) == []
    assert f"{CALLER} (You)" in on.call.warnings[-1]


def test_the_caller_may_have_two_addresses() -> None:
    own, other = (
        entry(id_, address, "Your IP (Auto-added)") for id_, address in (("2", CALLER), ("3", "2001:db8::45"))
    )
    on = account(listed(), listed(MINE, own, other, entry("4", "192.0.2.50", "Colleague")))

    create(on, revoke=True)

    assert removed(on) == ["2", "3"]


def test_the_callers_address_may_be_shown_as_ipv6() -> None:
    on = account(listed(), listed(MINE, OWN, your_ip=f"::ffff:{CALLER}"), opened_for=f"::ffff:{CALLER}")

    create(on, revoke=True)

    assert removed(on) == ["2"]


@pytest.mark.parametrize("word", ["BOTH", "both"])
@pytest.mark.parametrize("description", ["Production serv", "PRODUCTION SERVERS", "Production servers"])
def test_another_spelling_of_an_entry_is_no_change(word: str, description: str) -> None:
    on = account(listed({**MINE, "description": description, "service_type": word}), opened_for=None)

    found = read(on, description="Production servers")

    assert found is not None
    assert (found["description"], found["service_type"]) == ("Production servers", "both")


def test_another_service_or_description_is_a_change() -> None:
    on = account(listed({**MINE, "description": "Production", "service_type": "tcp"}), opened_for=None)

    found = read(on, description="Office")

    assert found is not None
    assert (found["description"], found["service_type"]) == ("Production", "tcp")


def test_an_entry_with_the_stored_time_is_ours_although_a_start_has_changed_its_containers_time() -> None:
    added = "2026-05-16T18:00:00.000Z"
    on = account(listed({**MINE, "added_at": added}), opened_for=None)

    assert read(on, added_at=added) is not None
    assert on.call.warnings == []


def test_several_new_entries_cannot_be_told_apart_and_are_named() -> None:
    other = entry("3", "192.0.2.50", "Colleague")
    on = account(listed(your_ip=None), listed(MINE, OWN, other, your_ip=None), opened_for="")

    create(on, revoke=True)

    assert removed(on) == []
    assert f"{CALLER} (You), 192.0.2.50 (Colleague)" in on.call.warnings[-1]


def test_a_description_of_the_platform_file_shows_drift() -> None:
    facts = PlatformFacts(access=Access(own_address_description="You"))
    known = account(listed(MINE, OWN), facts=facts, opened_for=None)
    unknown = account(listed(MINE, OWN), opened_for=None)

    found, other = read(known, revoke_auto_added=True), read(unknown, revoke_auto_added=True)

    assert found is not None
    assert other is not None
    assert "changed_outside" in found
    assert "changed_outside" not in other


# --- removals that are listed later ---


def test_a_removed_entry_that_is_still_listed_is_not_there() -> None:
    api = account(listed(MINE, OWN), opened_for=None).session.client.allowed_ips
    api.remove("usr-1-app", "2")

    assert [one.id for one in api.list("usr-1-app").allowed_ips] == ["1"]


def test_an_address_is_added_again_when_its_removed_entry_is_no_longer_listed() -> None:
    on = account(
        *[listed(MINE)] * 4,
        listed(),
        opened_for=None,
        allowed_ips__add=[refusal(400, "taken"), refusal(400, "taken"), data(MINE)],
    )
    api = on.session.client.allowed_ips
    api.remove("usr-1-app", "1")

    added = api.add("usr-1-app", OFFICE, before=())

    assert added.id == "1"


# --- an address that a list with a gap does not show ---


def partial(*entries: dict[str, Any]) -> Answer:
    """Return a list that has more entries but does not show how to request them."""
    return data({"external_access_enabled": True, "allowed_ips": list(entries), "has_more": True})


def test_an_address_that_is_refused_and_that_no_list_shows_is_that_refusal() -> None:
    on = account(
        opened_for=None,
        allowed_ips__list=partial(OWN),
        allowed_ips__add=refusal(400, "already allowed"),
    )

    error = error_of(lambda: create(on))

    assert error.code == "invalid-request"
    assert "already allowed" in error.message
    assert on.sent("allowed_ips.add") == 1
    assert removed(on) == []


# --- a change that fails partway ---


@pytest.mark.parametrize("fails", ["allowed_ips__add", "allowed_ips__remove"])
def test_the_state_gets_the_entry_that_a_failed_change_has_added(fails: str) -> None:
    old = {**MINE, "added_at": "2027-01-15T08:00:05.000Z"}
    back = {**entry("5", OFFICE), "added_at": "2027-01-15T08:10:00.000Z"}
    answers: dict[str, Any] = {
        "allowed_ips__add": [refusal(400, "twice"), refusal(400, "no"), data(back)],
        "allowed_ips__remove": ok({"success": True}),
    }
    looks = [listed(old, OWN), listed(OWN)]
    if fails == "allowed_ips__remove":
        looks = [listed(old, OWN)]
        answers = {"allowed_ips__add": data(back), "allowed_ips__remove": refusal(400, "no")}
    on = account(*looks, opened_for=None, **answers)
    olds = {"ip_address": OFFICE, "entry_id": "1", "added_at": old["added_at"], "description": "Custom IP"}
    inputs = {"container": "usr-1-app", "ip_address": OFFICE, "description": "New", "service_type": "both"}

    with pytest.raises(InitFailedError) as failure:
        AllowedIpHandler().on_update(on.session, on.op, ID, olds, inputs)

    assert (failure.value.outs["entry_id"], failure.value.outs["added_at"]) == ("5", back["added_at"])
    assert failure.value.outs["description"] == "Custom IP"
