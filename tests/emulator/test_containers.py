"""The rules of containers, without HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import containers, keys
from stacks_pulumi.emulator.answers import Refusal

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (None, "Container name is required"),
        ("", "Container name is required"),
        (7, "Container name must be text"),
        ("ab", "Container name must be at least 3 characters"),
        ("a" * 33, "Container name must be no more than 32 characters"),
        ("my_app", "Container name may contain only letters, numbers, and hyphens"),
        ("my.app", "Container name may contain only letters, numbers, and hyphens"),
        ("äpfel", "Container name may contain only letters, numbers, and hyphens"),
        ("-app", "Container name must start and end with a letter or number"),
        ("app-", "Container name must start and end with a letter or number"),
        ("my--app", "Container name must not contain consecutive hyphens"),
    ],
)
def test_a_bad_name_is_refused_with_its_field(platform: OneAccount, name: Any, error: str) -> None:
    with pytest.raises(Refusal) as caught:
        platform.create(name)

    assert caught.value.status == 400
    assert caught.value.body == {"success": False, "error": error, "field": "name"}


@pytest.mark.parametrize("name", ["abc", "a" * 32, "My-App-2", "123"])
def test_a_valid_name_is_accepted(platform: OneAccount, name: str) -> None:
    assert platform.create(name).id == f"{platform.account}-{name}"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"template": None}, "template"),
        ({"template": "cobol"}, "template"),
        ({"template": ["nodejs"]}, "template"),
        ({"plan": "huge"}, "plan"),
        ({"plan": 4}, "plan"),
        ({"plan": "vpn"}, "plan"),
        ({"discount_code": 10}, "discount_code"),
        ({"additional_storage_tier": 2}, "additional_storage_tier"),
        ({"additional_storage_tier": "1"}, "additional_storage_tier"),
        ({"additional_storage_tier": True}, "additional_storage_tier"),
        (
            {"additional_storage_tier": 1, "template": "ubuntu-micro", "plan": "micro"},
            "additional_storage_tier",
        ),
        ({"additional_storage_tier": 1, "template": "stacks-vpn"}, "additional_storage_tier"),
        ({"additional_storage_tier": None}, "additional_storage_tier"),
        ({"plan": None}, "plan"),
        ({"discount_code": None}, "discount_code"),
        ({"plan": "micro"}, "plan"),
        ({"template": "redis-micro", "plan": "premium"}, "plan"),
        ({"template": "stacks-vpn", "plan": "micro"}, "plan"),
        ({"template": "stacks-vpn", "plan": "premium"}, "plan"),
        ({"additional_storage_tier": 1, "template": "ubuntu-micro"}, "additional_storage_tier"),
        ({"additional_storage_tier": 1, "template": "postgresql"}, "additional_storage_tier"),
    ],
)
def test_a_bad_field_is_refused_by_name(platform: OneAccount, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as caught:
        platform.create(**fields)

    assert caught.value.status == 400
    assert caught.value.body["field"] == field
    assert platform.state.containers == {}


@pytest.mark.parametrize(
    ("template", "fields", "outcome"),
    [
        ("nodejs", {}, ("basic", 4, 10 * 1024)),
        ("nodejs", {"discount_code": "SPRING"}, ("basic", 4, 10 * 1024)),
        ("nodejs", {"plan": "premium", "additional_storage_tier": 5}, ("premium", 15, (40 + 128) * 1024)),
        # The default of the guide also applies to micro templates.
        ("redis-micro", {}, ("basic", 4, 10 * 1024)),
        ("redis-micro", {"plan": "micro"}, ("micro", 1, 5 * 1024)),
        ("stacks-vpn", {}, ("vpn", 5, 20 * 1024)),
        # An explicit default has the same effect as no value.
        ("redis-micro", {"plan": "basic"}, ("basic", 4, 10 * 1024)),
        ("stacks-vpn", {"plan": "basic"}, ("vpn", 5, 20 * 1024)),
    ],
)
def test_plan_price_and_storage_are_those_of_the_guide(
    platform: OneAccount, template: str, fields: dict[str, Any], outcome: tuple[str, int, int]
) -> None:
    made = platform.create("box", template, **fields)

    assert (made.plan, int(made.price), made.storage_mb) == outcome


@pytest.mark.parametrize(
    ("template", "fields", "outcome"),
    [
        ("nodejs", {"plan": "micro"}, ("micro", 1, 5 * 1024)),
        ("redis-micro", {"plan": "premium"}, ("premium", 10, 40 * 1024)),
        ("stacks-vpn", {"plan": "premium"}, ("vpn", 5, 20 * 1024)),
        ("stacks-vpn", {"additional_storage_tier": 1}, ("vpn", 6, (20 + 32) * 1024)),
        (
            "nodejs",
            {"plan": None, "additional_storage_tier": None, "discount_code": None},
            ("basic", 4, 10 * 1024),
        ),
    ],
)
def test_without_strict_more_inputs_are_accepted(
    platform: OneAccount, template: str, fields: dict[str, Any], outcome: tuple[str, int, int]
) -> None:
    platform.strict = False
    made = platform.create("box", template, **fields)

    assert (made.plan, int(made.price), made.storage_mb) == outcome


def test_a_name_is_taken_until_its_container_is_deleted(platform: OneAccount) -> None:
    first = platform.running("web")

    with pytest.raises(Refusal, match="already exists") as caught:
        platform.create("web")
    assert caught.value.body["field"] == "name"

    containers.delete(platform, first)
    platform.pass_time(2.9)
    with pytest.raises(Refusal, match="already exists"):
        platform.create("web")

    platform.pass_time(0.2)
    assert platform.create("web").status == "pending"


def test_a_boot_takes_the_configured_seconds(platform: OneAccount) -> None:
    made = platform.create()

    platform.pass_time(19.9)
    assert made.status == "pending"

    platform.pass_time(0.2)
    assert made.status == "running"
    assert made.running_since == made.created_at + 20


def test_a_boot_can_take_a_number_of_reads(platform: OneAccount) -> None:
    platform.pace.boot_reads = 2
    made = platform.create()
    platform.pass_time(10_000)
    shown = []
    for _ in range(4):
        containers.count_read(platform, made)
        shown.append(made.status)

    assert shown == ["pending", "pending", "running", "running"]


def test_a_failed_boot_has_a_reason_and_can_be_retried(platform: OneAccount) -> None:
    platform.state.boot_failures["app"] = 1
    made = platform.running()
    assert (made.status, made.error) == ("error", "the service did not become healthy in time")

    containers.set_status(platform, made, "running")
    assert made.status == "starting"
    platform.pass_time(19)
    assert made.status == "starting"
    platform.pass_time(2)

    assert (made.status, made.error, made.boots) == ("running", None, 2)


def test_a_boot_can_fail_every_time_and_by_template(platform: OneAccount) -> None:
    platform.state.boot_failures["python"] = None
    made = platform.running("job", "python")
    fine = platform.running("web", "nodejs")
    for _ in range(3):
        containers.set_status(platform, made, "restart")
        platform.pass_time(20)

    assert (made.status, made.boots, fine.status) == ("error", 4, "running")


def test_a_container_that_failed_can_be_stopped_and_boots_when_started(platform: OneAccount) -> None:
    platform.state.boot_failures["app"] = 1
    made = platform.running()
    containers.set_status(platform, made, "stopped")
    platform.pass_time(5)
    assert made.status == "stopped"

    containers.set_status(platform, made, "running")
    platform.pass_time(6)
    assert made.status == "starting"
    platform.pass_time(14)
    assert made.status == "running"


@pytest.mark.parametrize(
    ("before", "wanted", "through", "after"),
    [
        ("running", "stopped", "stopping", "stopped"),
        ("running", "restart", "restarting", "running"),
        ("running", "running", "running", "running"),
        ("stopped", "running", "starting", "running"),
        ("stopped", "restart", "starting", "running"),
        ("stopped", "stopped", "stopped", "stopped"),
    ],
)
def test_a_change_of_status_passes_through_another_status(
    platform: OneAccount, before: str, wanted: str, through: str, after: str
) -> None:
    made = platform.running()
    if before == "stopped":
        containers.set_status(platform, made, "stopped")
        platform.pass_time(5)

    containers.set_status(platform, made, wanted)

    assert made.status == through
    platform.pass_time(5)
    assert made.status == after


@pytest.mark.parametrize("wanted", ["paused", "Running", "", None, 1, ["running"], {}])
def test_an_unknown_status_is_refused(platform: OneAccount, wanted: Any) -> None:
    made = platform.running()

    with pytest.raises(Refusal, match="running, stopped, restart") as caught:
        containers.set_status(platform, made, wanted)

    assert caught.value.body["field"] == "status"


def test_a_busy_container_refuses_actions(platform: OneAccount) -> None:
    made = platform.create()

    with pytest.raises(Refusal, match="pending") as caught:
        containers.set_status(platform, made, "stopped")

    assert caught.value.status == 400


def test_a_container_is_listed_until_its_deletion_ends(platform: OneAccount) -> None:
    made = platform.running()
    containers.delete(platform, made)
    containers.delete(platform, made)

    assert [found.status for found in containers.of_account(platform, platform.account)] == ["deleting"]
    platform.pass_time(3)
    assert containers.of_account(platform, platform.account) == []
    with pytest.raises(Refusal) as caught:
        containers.find(platform, platform.account, made.id)
    assert caught.value.status == 404


def test_a_second_deletion_is_refused_if_configured(platform: OneAccount) -> None:
    made = platform.running()
    platform.refuse_repeated_delete = True
    containers.delete(platform, made)

    with pytest.raises(Refusal, match="already being deleted") as caught:
        containers.delete(platform, made)

    assert caught.value.status == 400
    platform.pass_time(3)
    assert platform.state.containers == {}


def test_names_are_stored_in_lower_case_if_configured(platform: OneAccount) -> None:
    platform.lower_case_names = True
    made = platform.create("My-App")

    assert (made.name, made.id) == ("my-app", f"{platform.account}-my-app")
    with pytest.raises(Refusal, match="my-app already exists"):
        platform.create("MY-app")


def test_a_container_can_be_deleted_while_it_boots(platform: OneAccount) -> None:
    platform.state.boot_failures["app"] = 1
    made = platform.create()
    containers.delete(platform, made)
    platform.pass_time(60)

    assert platform.state.containers == {}
    assert platform.state.boot_failures == {"app": 1}


def test_a_cap_counts_creations_and_deletion_frees_nothing(platform: OneAccount) -> None:
    platform.own_key.spending_cap = Decimal(10)
    containers.delete(platform, platform.running("one"))
    platform.running("two", additional_storage_tier=1)
    assert keys.spent(platform.own_key, platform.clock.now()) == Decimal(9)

    with pytest.raises(Refusal) as caught:
        platform.create("three")

    assert caught.value.status == 402
    assert caught.value.body == {
        "error": "Monthly spending cap reached",
        "spending_cap": 10.0,
        "amount_spent": 9.0,
        "message": "Your API key spending cap of $10.00/month has been reached.",
    }
    assert platform.create("four", "ubuntu-micro", plan="micro").price == Decimal(1)


def test_a_cap_is_reset_each_calendar_month(platform: OneAccount) -> None:
    platform.own_key.spending_cap = Decimal(4)
    platform.create("may")
    with pytest.raises(Refusal):
        platform.create("too-much")
    platform.pass_time(15 * 86400)

    assert platform.create("june").name == "june"
    assert platform.own_key.spent == {"2026-05": Decimal(4), "2026-06": Decimal(4)}


def test_caps_are_per_key(platform: OneAccount) -> None:
    platform.own_key.spending_cap = Decimal(4)
    keys.issue(platform.state, platform.account, spending_cap=Decimal(4))
    platform.create("one")

    made = containers.create(platform, platform.state.keys[1], {"name": "two", "template": "nodejs"})

    assert made.created_by == platform.state.keys[1].label


def test_an_account_without_a_payment_method_creates_nothing(platform: OneAccount) -> None:
    platform.state.accounts[platform.account].payment_method = False

    with pytest.raises(Refusal) as caught:
        platform.create()

    assert caught.value.status == 402
    assert "spending_cap" not in caught.value.body
    assert platform.own_key.spent == {}


def test_without_capacity_the_account_is_put_on_the_waitlist_and_charged_nothing(
    platform: OneAccount,
) -> None:
    platform.state.capacity = 1
    first = platform.running("one")
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            platform.create("two")
        assert caught.value.status == 503

    assert platform.state.accounts[platform.account].waitlisted == 2
    assert keys.spent(platform.own_key, platform.clock.now()) == Decimal(4)

    containers.delete(platform, first)
    platform.pass_time(3)
    assert platform.create("two").status == "pending"


def test_ids_depend_only_on_the_seed(platform: OneAccount) -> None:
    one, same = platform, type(platform)()

    assert one.account == same.account
    assert one.secret == same.secret
    assert one.create().ip_address == same.create().ip_address
