from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.policy import CONTAINER, StacksGuard
from stacks_pulumi.policy.testing import (
    UNKNOWN,
    Outcome,
    PackTester,
    Resource,
    allowed_ip,
    container,
    pinned_backup,
    resource,
)


def preview(policy: str, *resources: Resource, tags: dict[str, str] | None = None, **config: Any) -> Outcome:
    return PackTester(StacksGuard("test", [policy]), {policy: config}, tags=tags).preview(*resources)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("0.0.0.0/0", "the whole internet"),
        ("::/0", "the whole internet"),
        ("128.0.0.0/1", "an IPv4 network of /1"),
        ("10.0.0.0/15", "an IPv4 network of /15"),
        ("198.51.100.7/8", "an IPv4 network of /8"),
        ("2000::/3", "an IPv6 network of /3"),
        ("2001:db8::/47", "an IPv6 network of /47"),
        ("::ffff:0.0.0.0/96", "the whole internet"),
        ("::ffff:10.0.0.0/104", "an IPv4 network of /8"),
        ("::ffff:0:0/90", "the whole internet"),
        ("everybody", "neither an address nor a network"),
        ("", "neither an address nor a network"),
    ],
)
def test_a_range_that_is_too_large_is_refused(address: str, what: str) -> None:
    preview("open-allowed-ip", allowed_ip("door", address)).assert_blocked_by("open-allowed-ip", what)


@pytest.mark.parametrize(
    "address", ["198.51.100.7", "10.1.0.0/16", "2001:db8::1", "2001:db8::/48", "::ffff:10.1.0.0/112"]
)
def test_a_narrow_range_is_allowed(address: str) -> None:
    preview("open-allowed-ip", allowed_ip("door", address)).assert_passes()


def test_one_service_may_be_open_to_all_addresses() -> None:
    preview(
        "open-allowed-ip", allowed_ip("door", "0.0.0.0/0", "http"), open_services=["http"]
    ).assert_passes()
    for service in ("both", "tcp", UNKNOWN):
        assert preview(
            "open-allowed-ip", allowed_ip("door", "0.0.0.0/0", service), open_services=["http"]
        ).blocked


def test_an_unknown_address_can_be_denied_at_preview() -> None:
    assert preview("open-allowed-ip", allowed_ip("door", UNKNOWN), unknown="deny").blocked


def test_no_message_contains_an_address() -> None:
    assert "10.20." not in str(preview("open-allowed-ip", allowed_ip("door", "10.20.0.0/9")))


@pytest.mark.parametrize("policy", ["protect-paid", "protect-data", "backup-required"])
def test_a_rule_can_be_for_stacks_with_a_tag(policy: str) -> None:
    database = container("db", "mysql", plan="premium")

    preview(policy, database, tags={"env": "dev"}, tag="env=prod").assert_passes()
    preview(policy, database, tags={"env": "prod"}, tag="env=prod").assert_warned_by(policy)


def test_templates_that_hold_data_can_be_named() -> None:
    preview("protect-data", container("files", "minio"), templates=["minio"]).assert_warned_by(
        "protect-data", "'files'"
    )
    preview("protect-data", container("db", "mysql"), templates=["minio"]).assert_passes()


def test_a_container_without_a_price_counts_as_expensive() -> None:
    preview("protect-paid", container("web", plan="colossal")).assert_warned_by(
        "protect-paid", "an unknown sum"
    )


def test_a_backup_is_matched_by_its_container() -> None:
    database = container("db", "mysql")

    preview("backup-required", database, pinned_backup("safe", of="db", container=UNKNOWN)).assert_passes()
    preview(
        "backup-required", database, pinned_backup("safe", of="other", container=UNKNOWN)
    ).assert_warned_by("backup-required", "'db'")


def test_a_backup_is_matched_by_the_id_of_a_container() -> None:
    there = container("db", "mysql", internal_host="usr-1-db")

    preview("backup-required", there, pinned_backup("safe", container="usr-1-db")).assert_passes()
    preview("backup-required", there, pinned_backup("safe", container="usr-1-web")).assert_warned_by(
        "backup-required"
    )


def test_an_unknown_id_matches_no_container() -> None:
    there = resource(CONTAINER, "db", template="mysql", internal_host=UNKNOWN)

    preview("backup-required", there, pinned_backup("safe", container=UNKNOWN)).assert_warned_by(
        "backup-required"
    )


def test_the_violation_is_on_the_container() -> None:
    [found] = preview("backup-required", container("db", "mysql"), container("web")).findings

    assert found.resource == "db"
