"""A change has exactly the permits that its requests need. A step that no permit can cover is refused by name."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.api.models import Container, VpnClient
from stacks_pulumi.gate.change import Change, Operation
from stacks_pulumi.gate.permits import READS, needed
from stacks_pulumi.pricing.recognition import UNKNOWN
from tests.support.golden import Golden

MADE: Final = "2026-11-01T10:00:00Z"
ROWS: Final = [
    Container(
        id=f"usr-1-{name}", name=name, status="running", template=template, plan="basic", created_at=MADE
    )
    for name, template in {
        "web": "nodejs",
        "db": "postgresql",
        "vpn": "stacks-vpn",
        "shop": "postgresql",
    }.items()
]
OPEN: Final = {"template": "nodejs", "plan": "basic", "external_access": True}
ENTRY: Final = {"container": "usr-1-web", "description": "office", "service_type": "http"}
CHANGES: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    "Container": (
        "usr-1-shop",
        {**OPEN, "name": "shop"},
        {
            **OPEN,
            "name": "shop",
            "plan": "premium",
            "restart_triggers": ["1"],
            "additional_storage_tier": 1.0,
        },
        {"created_at": MADE, "url": "shop.example"},
    ),
    "Container that is stopped": (
        "usr-1-gone",
        {**OPEN, "name": "shop"},
        {**OPEN, "name": UNKNOWN, "external_access": False, "desired_status": "stopped"},
        {"url": "shop.example"},
    ),
    "Container that is adopted": (
        "usr-1-gone",
        {**OPEN, "name": "shop"},
        {**OPEN, "name": "db", "adopts": "usr-1-db"},
        {"created_at": MADE},
    ),
    "Container that finds itself under its name": (
        "usr-1-shop",
        {**OPEN, "name": "shop"},
        {**OPEN, "name": "shop", "adopts": "usr-1-shop"},
        {"created_at": MADE},
    ),
    "Connection": (
        "usr-1-web/7",
        {"source": "usr-1-web", "target": "usr-1-db", "name": "first"},
        {"source": "usr-1-web", "target": "usr-1-db", "name": "second"},
        {"created_at": MADE},
    ),
    "Connection without a restart": (
        "usr-1-web/7",
        {"source": "usr-1-web", "target": "usr-1-db", "name": "first"},
        {"source": "usr-1-web", "target": "usr-1-db", "name": "first", "restart_source": False},
        {},
    ),
    "AllowedIp": (
        "usr-1-web/198.51.100.7",
        {**ENTRY, "ip_address": "198.51.100.7"},
        {**ENTRY, "ip_address": "198.51.100.8", "revoke_auto_added": True},
        {"added_at": MADE},
    ),
    "PinnedBackup": (
        "usr-1-db/5",
        {"container": "usr-1-db"},
        {"container": "usr-1-db", "triggers": ["1"]},
        {"backup_id": 5.0, "created_at": MADE, "on_delete": "delete"},
    ),
    "PinnedBackup that is named": (
        "usr-1-db/5",
        {"container": "usr-1-db", "backup_id": 5},
        {"container": "usr-1-db", "backup_id": 6, "on_delete": "delete"},
        {"backup_id": 5, "created_at": MADE},
    ),
    "PinnedBackup that stays pinned": (
        "usr-1-db/5",
        {"container": "usr-1-db"},
        {"container": "usr-1-db", "on_delete": "keep"},
        {"backup_id": 5.0, "created_at": MADE, "on_delete": "keep"},
    ),
    "BackupRestore": ("5", {"backup_id": 5}, {"backup_id": 6, "container": "usr-1-db"}, {}),
    "SshCertificate": (
        "usr-1-web",
        {"container": "usr-1-web"},
        {"container": "usr-1-web", "rotate_triggers": ["1"]},
        {},
    ),
    "VpnClient": (
        "usr-1-vpn/laptop",
        {"container": "usr-1-vpn", "name": "laptop"},
        {"container": "usr-1-vpn", "name": "phone"},
        {},
    ),
}
"""For each kind: an id, the inputs before and after, and the outputs."""
OPERATIONS: Final[tuple[Operation, ...]] = ("create", "update", "replace", "delete")


def change_of(kind: str, name: str, operation: Operation, **more: Any) -> Change:
    """Return a change of one of the stack's resources."""
    type_ = f"stacks:index:{kind}"
    return Change(f"urn:pulumi:prod::shop::{type_}::{name}", type_, kind, operation, **more)


def test_the_permits_of_each_change_are_as_recorded(golden: Golden) -> None:
    """Without a needed permit, a request is refused; too broad a permit allows requests that no approver has read."""
    others = [
        change_of("Container", row.name or "", "same", id=row.id, outputs={"created_at": MADE})
        for row in ROWS[:3]
    ]
    lines = []
    for words, (id_, before, after, outs) in CHANGES.items():
        for operation in OPERATIONS:
            is_new, is_gone = operation == "create", operation == "delete"
            change = change_of(
                words.partition(" ")[0],
                "it",
                operation,
                before={} if is_new else before,
                after={} if is_gone else after,
                outputs={} if is_new else outs,
                id="" if is_new else id_,
            )
            found = needed([*others, change], ROWS)
            parts = [*found.permits, *found.secrets, *([found.known["it"]] if "it" in found.known else [])]
            lines += ["", f"{words}: {operation}", *(msgspec.json.encode(part).decode() for part in parts)]
    read = needed(others, ROWS, [("web", class_) for class_ in READS])
    lines += ["", "What a function reads", *(msgspec.json.encode(part).decode() for part in read.secrets)]
    golden.text("permits.txt", "\n".join(lines).lstrip())


@pytest.mark.parametrize("stored", [{}, {"clientCreatedAt": MADE}])
def test_a_vpn_client_that_a_person_has_added_again_is_not_the_one_in_the_state(
    stored: dict[str, str],
) -> None:
    id_, before, _, _ = CHANGES["VpnClient"]
    change = change_of("VpnClient", "it", "delete", before=before, outputs=stored, id=id_)
    listed = VpnClient(name="laptop", created_at="2026-11-05T10:00:00Z")

    (removes,) = needed([change], ROWS, (), lambda _container: [listed]).permits

    assert removes.ids["client_name"].created_at == stored.get("clientCreatedAt", listed.created_at)


def test_a_vpn_client_that_an_interrupted_up_has_added_may_be_read() -> None:
    """The provider then adopts it, and downloads its configuration."""
    _, before, _, _ = CHANGES["VpnClient"]
    listed = VpnClient(name=before["name"], created_at="2026-11-05T10:00:00Z")
    change = change_of("VpnClient", "it", "create", after=before)

    secrets = needed([change], ROWS, (), lambda _container: [listed]).secrets

    assert [one.ids["client_name"].created_at for one in secrets] == [None, listed.created_at]


def test_new_backups_of_one_container_have_one_symbol() -> None:
    """The requests are equal, so the broker cannot assign the new backups to resources."""
    pins = [change_of("PinnedBackup", name, "create", after={"container": "usr-1-web"}) for name in "ab"]
    of = {"after": {"backup_id": UNKNOWN}, "made_from": {"backup_id": (pins[1].urn,)}}

    trigger, *_, restored = needed([*pins, change_of("BackupRestore", "it", "create", **of)], ROWS).permits

    assert (trigger.endpoint, trigger.times) == ("backups.trigger", 2)
    assert restored.ids["backup_id"].new_backup_of == trigger.binds


def test_a_replacement_of_what_has_ended_before_has_the_permits_of_a_create() -> None:
    after = {**ENTRY, "ip_address": "198.51.100.8"}
    replaced, created = (
        change_of("AllowedIp", "it", operation, after=after) for operation in OPERATIONS[:3:2]
    )

    assert needed([replaced], ROWS) == needed([created], ROWS)


@pytest.mark.parametrize(
    ("operation", "adopt", "plan", "after"),
    [
        ("create", "if_matching", UNKNOWN, [(1,)]),
        ("create", "never", UNKNOWN, [(1, 3)]),
        ("replace", "if_matching", UNKNOWN, [(1, 4), (1,)]),
        ("replace", "never", UNKNOWN, [(1, 4), (1,)]),
        ("replace", "never", "micro", [(1, 4), (1, 4)]),
    ],
)
def test_no_deletion_waits_for_a_create_that_may_not_happen(
    operation: Operation, adopt: str, plan: Any, after: list[tuple[int, ...]]
) -> None:
    """It may turn out as an adoption or an update. Only the deletion of what it replaces comes after it."""
    id_ = "usr-1-shop" if operation == "replace" else ""
    inputs = {"template": "postgresql", "plan": plan, "name": "DB", "adopt": adopt, "external_access": False}
    old = {"id": id_, "outputs": {"created_at": MADE}} if id_ else {}
    new = {"template": "nodejs", "plan": "basic", "name": "new"}
    gone = change_of("Container", "web", "delete", id="usr-1-web", outputs={"created_at": MADE})
    creates = (
        change_of("Container", "new", "create", after=new),
        change_of("Container", "it", operation, after=inputs, **old),
    )

    found = needed([*creates, gone], ROWS)

    assert [one.after for one in found.permits if one.endpoint == "containers.delete"] == after
    closes = any(one.endpoint == "containers.external_access" for one in found.permits)
    assert closes == (plan is UNKNOWN and (operation, adopt) != ("create", "never"))
    is_adopted = adopt == "if_matching"
    assert [one.id for one in found.known.values()][:-1] == (
        ["usr-1-db"] if is_adopted else [id_] if id_ else []
    )


def test_a_retained_container_may_be_updated_in_place_of_its_replacement() -> None:
    """With retain_on_delete, the replaced container is a change of its own. An unknown value may turn out unchanged."""
    old = {"template": "postgresql", "plan": "basic", "name": "DB", "restart_triggers": {"a": "1"}}
    new = {**old, "plan": UNKNOWN, "external_access": False, "restart_triggers": {"a": "2"}}
    kept = change_of("Container", "it", "keep", id="usr-1-db", before=old, outputs={"created_at": MADE})

    found = needed([kept, change_of("Container", "it", "replace", after=new)], ROWS)

    assert [(one.endpoint, *one.body.values()) for one in found.permits][1:] == [
        ("containers.set_status", "running"),
        ("containers.external_access", False),
        ("containers.set_status", "restart"),
    ]


@pytest.mark.parametrize(
    ("operation", "steps", "words"),
    [
        ("unclear", ("refresh",), "'web': the preview does not show what happens to it"),
        (
            "replace",
            ("import-replacement", "replace", "update", "delete-replaced"),
            "'web': it imports an object in place of the current one",
        ),
    ],
)
def test_what_no_permit_says_is_refused_by_name(
    operation: Operation, steps: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        needed([change_of("Container", "web", operation, id="usr-1-web", steps=steps)], [])
