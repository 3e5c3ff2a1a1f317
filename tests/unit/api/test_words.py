"""The words of the platform, and the shapes that they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.api import _words
from stacks_pulumi.api._bodies import record
from stacks_pulumi.api._words import READING, Reading, is_known_status
from stacks_pulumi.api.models import AllowedIp, Backup, Container, Model
from stacks_pulumi.platform_file import BackupStatus, ContainerStatus, parse


def read(kind: type[Model], row: Mapping[str, Any], facts: str = "") -> Any:
    token = READING.set(Reading(parse(f"version: 1\n{facts}", "facts.yaml")))
    try:
        return record(kind, {"id": "a", **row})
    finally:
        READING.reset(token)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        *((status, status) for status in get_args(ContainerStatus)),
        ("RUNNING", "running"),
        ("Active", "running"),
        ("up", "running"),
        ("STATUS_RUNNING", "running"),
        ("CONTAINER_STATE_SHUTTING_DOWN", "stopping"),
        ("Shutting Down", "stopping"),
        ("shut-off", "stopped"),
        ("Exited", "stopped"),
        ("created", "pending"),
        ("Provisioning", "pending"),
        ("terminated", "deleted"),
        ("Terminating", "deleting"),
        ("failed", "error"),
        ("Up 2 hours", "running"),
        ("Up About an hour (healthy)", "running"),
        ("Up 5 seconds (health: starting)", "starting"),
        ("Exited (0) 3 minutes ago", "stopped"),
        ("Restarting (1) 5 seconds ago", "restarting"),
        ({"state": "running"}, "running"),
        ({"code": 3, "name": "Running"}, "running"),
        ({"code": "ACTIVE", "label": "In Betrieb"}, "running"),
        ({"current": {"phase": "Exited"}}, "stopped"),
    ],
)
def test_a_status_is_known_in_other_words_and_shapes(told: Any, meant: str) -> None:
    assert read(Container, {"status": told}).status == meant
    assert is_known_status(meant)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Warming", "Warming"),
        ("degraded", "degraded"),
        ("Up 2 hours (unhealthy)", "Up 2 hours (unhealthy)"),
        ("Up 2 hours (Paused)", "Up 2 hours (Paused)"),
        (3, "3"),
        ({"code": 3}, "3"),
        ({"name": "Warming"}, "Warming"),
    ],
)
def test_an_unknown_status_stays_visible_as_it_came(told: Any, shown: str) -> None:
    assert read(Container, {"status": told}).status == shown
    assert not is_known_status(shown)


def test_a_status_of_another_shape_is_not_read() -> None:
    assert read(Container, {"status": [1]}).status is None
    assert read(Container, {"status": {"odd": {}}}).status is None


def test_the_words_of_the_platform_file_take_precedence() -> None:
    facts = """
containers:
  statuses: {Warming Up: starting, 3: running, active: stopped}
  plans: {Small Plan: basic}
  templates: {node-22: nodejs}
backups:
  statuses: {archived: completed}
  types: {api: manual}
"""
    row = read(Container, {"status": "warming-up", "plan": "SMALL PLAN", "type": "Node-22"}, facts)

    assert (row.status, row.plan, row.template, row.category) == ("starting", "basic", "nodejs", None)
    assert [read(Container, {"status": told}, facts).status for told in (3, "Active", "running")] == [
        "running",
        "stopped",
        "running",
    ]
    backup = read(Backup, {"id": 1, "status": "Archived", "type": "API"}, facts)
    assert (backup.status, backup.backup_type) == ("completed", "manual")
    assert read(Backup, {"id": 1, "status": "Archived"}).status == "Archived", (
        "another client has other words"
    )


@pytest.mark.parametrize(
    ("told", "plan"),
    [
        ("Basic", "basic"),
        ("PREMIUM", "premium"),
        ("Basic Plan", "Basic Plan"),
        ({"id": 7, "name": "Basic"}, "basic"),
    ],
)
def test_plans_are_compared_without_case(told: Any, plan: str) -> None:
    assert read(Container, {"plan": told}).plan == plan


@pytest.mark.parametrize(
    ("told", "status"),
    [
        *((status, status) for status in get_args(BackupStatus)),
        ("DONE", "completed"),
        ("In Progress", "in_progress"),
        ("inProgress", "in_progress"),
        ("running", "in_progress"),
        ("odd", "odd"),
    ],
)
def test_statuses_of_backups(told: str, status: str) -> None:
    assert read(Backup, {"id": 1, "status": told}).status == status
    assert is_known_status(status, "backup") is (status != "odd")


@pytest.mark.parametrize(
    ("told", "type_"),
    [
        ("Manual", "manual"),
        ("on-demand", "manual"),
        ("onDemand", "manual"),
        ("USER", "manual"),
        ("automatic", "scheduled"),
        ("weird", "weird"),
    ],
)
def test_types_of_backups(told: str, type_: str) -> None:
    assert read(Backup, {"id": 1, "backup_type": told}).backup_type == type_


@pytest.mark.parametrize(
    ("row", "pinned"),
    [
        ({"pinned": 0}, False),
        ({"pinned": "2026-05-17T02:00:14.000Z"}, True),
        ({"pinned_at": 1_790_000_000}, True),
        ({"pinnedAt": None}, False),
        ({"pinned": None}, False),
        ({}, None),
    ],
)
def test_a_pin_may_be_a_flag_or_the_time_of_the_pin(row: Mapping[str, Any], pinned: bool | None) -> None:
    assert read(Backup, {"id": 1, **row}).pinned is pinned


def test_service_types_are_compared_without_case() -> None:
    assert read(AllowedIp, {"serviceType": "HTTP"}).service_type == "http"
    assert read(AllowedIp, {"serviceType": "ALL"}).service_type == "both"


@pytest.mark.parametrize(
    ("row", "facts", "template", "category"),
    [
        ({"type": "nodejs"}, "", "nodejs", None),
        ({"type": "NodeJS"}, "", "nodejs", None),
        ({"type": "Node.js"}, "", "nodejs", None),
        ({"type": "vpn"}, "", "vpn", None),
        ({"type": "Database"}, "", None, "Database"),
        ({"type": "databases"}, "", None, "databases"),
        ({"type": "web-server"}, "", None, "web-server"),
        ({"type": "Database", "template": "redis"}, "", "redis", None),
        ({"type": "valkey"}, "", "valkey", "valkey"),
        ({"type": "valkey"}, "containers: {type_is: template}", "valkey", None),
        ({"type": "compute"}, "containers: {type_is: category}", None, "compute"),
        ({"type": "redis"}, "containers: {type_is: category}", None, "redis"),
    ],
)
def test_a_type_is_the_template_or_its_category(
    row: Mapping[str, Any], facts: str, template: str | None, category: str | None
) -> None:
    container = read(Container, row, facts)

    assert (container.template, container.category) == (template, category)


@pytest.mark.parametrize(
    ("row", "wanted", "expected"),
    [
        ({"type": "Database"}, "postgresql", None),
        ({"type": "Database"}, "nodejs", False),
        ({"type": "Database"}, "a-new-template", None),
        ({"template": "Database"}, "nodejs", False),
        ({"type": "compute"}, "nodejs", None),
        ({"type": "nodejs"}, "nodejs", True),
        ({"type": "nodejs"}, "postgresql", False),
        ({"type": "bun"}, "bun", True),
        ({"template": "valkey"}, "nodejs", None),
        ({"type": "Storage"}, "storage-micro", None),
        ({}, "nodejs", None),
    ],
)
def test_another_template_or_category_is_a_no_and_any_other_word_shows_nothing(
    row: Mapping[str, Any], wanted: str, expected: bool | None
) -> None:
    assert read(Container, row).is_from(wanted) is expected


def test_no_synonym_means_two_things() -> None:
    for table in (_words._STATUSES, _words._BACKUP_STATUSES, _words._BACKUP_TYPES):
        words = [
            _words._squeezed(word) for means, others in table.items() for word in (means, *others.split())
        ]

        assert len(words) == len(set(words))


def test_a_category_is_never_taken_for_a_template() -> None:
    for category in catalog.Category:
        container = read(Container, {"type": category.value})

        assert container.template is None or category is catalog.Category.VPN


def test_any_number_of_unknown_words_is_read_and_not_all_are_kept() -> None:
    reading = Reading(parse("version: 1", "facts.yaml"))

    assert all(reading.vocabularies["status"][f"w{n}"] == f"w{n}" for n in range(3000))
    assert all(reading.types[f"w{n}"]["template"] == f"w{n}" for n in range(3000))
    assert len(reading.vocabularies["status"]) < 2000 > len(reading.types)
