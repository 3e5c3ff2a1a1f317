"""The checks of the inputs of each kind: defaults, prices, warnings, and the inputs that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.pricing.recognition import MARKER
from stacks_pulumi.resources._operation import Checked
from stacks_pulumi.resources._owners import forget
from stacks_pulumi.resources._values import UNKNOWN
from stacks_pulumi.resources.handlers import HANDLERS
from tests.support.codes import has_one_code
from tests.unit.resources.scripted_account import Call

VALID: dict[str, dict[str, Any]] = {
    "AllowedIp": {"container": "usr-1-web", "ip_address": "10.0.0.7"},
    "BackupRestore": {"backup_id": 178},
    "Connection": {"source": "usr-1-app", "target": "usr-1-sql", "name": "db"},
    "Container": {"name": "web", "template": "nodejs"},
    "PinnedBackup": {"container": "usr-1-sql"},
    "SshCertificate": {"container": "usr-1-web"},
    "VpnClient": {"container": "usr-1-vpn", "name": "laptop"},
}


def check(
    kind: str,
    inputs: dict[str, Any],
    olds: dict[str, Any] | None = None,
    *,
    call: Call | None = None,
    adopt: str | None = None,
) -> Checked:
    """Return the result of the check of a new resource, or of one with old inputs."""
    forget()
    handler = HANDLERS[kind]()
    handler.configure({"stacks:adopt": adopt}.get)
    given = {name: value for name, value in {**VALID[kind], **inputs}.items() if value is not None}
    return handler.check(call or Call(), olds or {}, given)


@pytest.mark.parametrize(
    ("kind", "added"),
    [
        (
            "AllowedIp",
            {"description": "Custom IP", "service_type": "both", "revoke_auto_added": False},
        ),
        ("BackupRestore", {}),
        ("Connection", {"restart_source": True}),
        ("Container", {"plan": "basic", "monthly_price_usd": 4}),
        ("PinnedBackup", {"on_delete": "unpin"}),
        ("SshCertificate", {}),
        ("VpnClient", {"store_config": True}),
    ],
)
def test_valid_inputs_get_their_defaults(kind: str, added: dict[str, Any]) -> None:
    assert check(kind, {}) == Checked({**VALID[kind], **added, MARKER: kind}, {})


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("AllowedIp", {"ip_address": "office"}, "'office' is neither an IPv4 or IPv6 address nor a network"),
        ("AllowedIp", {"ip_address": "10.0.0.7/33"}, "neither an IPv4 or IPv6 address"),
        ("AllowedIp", {"ip_address": "fe80::1%eth0"}, "neither an IPv4 or IPv6 address"),
        ("AllowedIp", {"ip_address": "10.0.0.7/24"}, "write 10.0.0.0/24 for the network, or 10.0.0.7 for"),
        ("AllowedIp", {"ip_address": "2001:db8::1/64"}, "write 2001:db8::/64 for the network"),
        ("AllowedIp", {"ip_address": 7}, "but must be text"),
        ("AllowedIp", {"container": "usr-1-web/10.0.0.7"}, "is not a container's id"),
        ("AllowedIp", {"service_type": "udp"}, "'udp' is not one of http, tcp, both"),
        ("AllowedIp", {"description": ""}, "empty"),
        ("AllowedIp", {"revoke_auto_added": "yes"}, "but must be true or false"),
        ("AllowedIp", {"adopt": "always"}, "never, if_matching"),
        *(
            ("BackupRestore", {"backup_id": wrong}, "but must be a backup's number")
            for wrong in (0, -1, 1.5, "latest", "usr-1-sql/", True)
        ),
        ("Connection", {"source": "usr-1-app/x"}, "is not a container's id"),
        ("Connection", {"target": "usr-1-app"}, "cannot be connected to itself"),
        ("Connection", {"name": ""}, "empty"),
        ("Connection", {"restart_source": "yes"}, "but must be true or false"),
        ("Connection", {"adopt": "always"}, "never, if_matching"),
        ("Container", {"name": "ab"}, "3 to 32"),
        ("Container", {"name": "a" * 33}, "33 characters"),
        ("Container", {"name": "under_score"}, 'a valid name: name="under-score"'),
        ("Container", {"name": "-edge"}, "start and end"),
        ("Container", {"template": 7}, "it is a number"),
        ("Container", {"plan": "basic", "template": "stacks-vpn"}, "a separate tier ($5/month)"),
        ("Container", {"plan": "premium", "template": "redis-micro"}, "or use the template redis"),
        ("Container", {"plan": "standard", "template": "secrets-micro"}, "the micro tier"),
        ("Container", {"additional_storage_tier": 1, "template": "postgresql"}, "a database"),
        ("Container", {"additional_storage_tier": 1, "template": "nginx-micro"}, "a micro"),
        ("Container", {"additional_storage_tier": 1, "plan": "micro"}, "a micro"),
        ("Container", {"additional_storage_tier": 1.5}, "a whole number"),
        ("Container", {"additional_storage_tier": True}, "true or false"),
        ("Container", {"desired_status": "runing"}, "did you mean 'running'?"),
        ("Container", {"restart_triggers": "v1"}, "but must be a list"),
        ("Container", {"replace_on_change": "yes"}, "but must be true or false"),
        ("Container", {"adopt": "yes"}, "never, if_matching"),
        ("Container", {"discount_code": ""}, "empty"),
        ("PinnedBackup", {"container": "a/b"}, "is not a container's id"),
        ("PinnedBackup", {"triggers": "v2"}, "but must be a list"),
        ("PinnedBackup", {"backup_id": 0}, "but must be a backup's number"),
        ("PinnedBackup", {"on_delete": "remove"}, "unpin, delete, keep"),
        (
            "PinnedBackup",
            {"triggers": ["v2"], "backup_id": 178},
            "a changed trigger creates a new backup, but",
        ),
        ("SshCertificate", {"container": "a/b"}, "is not a container's id"),
        ("SshCertificate", {"rotate_triggers": "v1"}, "but must be a list"),
        ("VpnClient", {"container": "usr-1-vpn/x"}, "is not a container's id"),
        ("VpnClient", {"name": " "}, "empty"),
        ("VpnClient", {"name": ".."}, "'..' is not a valid name in the API"),
        ("VpnClient", {"rotate_triggers": "v1"}, "but must be a list"),
        ("VpnClient", {"store_config": "no"}, "true or false"),
        ("VpnClient", {"adopt": "always"}, "never, if_matching"),
    ],
)
def test_an_invalid_input_fails_on_its_property(kind: str, inputs: dict[str, Any], words: str) -> None:
    """If the fault is a combination of inputs, it is reported on the first one here."""
    found = check(kind, inputs).failures

    assert list(found) == [next(iter(inputs))]
    (reason,) = found.values()
    assert words in reason
    assert has_one_code(reason)


@pytest.mark.parametrize(
    ("inputs", "plan", "price"),
    [
        ({"template": "redis-micro"}, "micro", 1),
        ({"plan": "premium", "additional_storage_tier": 5}, "premium", 15),
        ({"template": "stacks-vpn"}, None, 5),
        ({"template": "stacks-vpn", "additional_storage_tier": 1}, None, 6),
        # The default plan is sent, but an unknown template may have a different tier.
        ({"template": "brand-new"}, "basic", None),
        ({"plan": "enormous"}, "enormous", None),
    ],
)
def test_the_price_follows_from_template_plan_and_storage(
    inputs: dict[str, Any], plan: str | None, price: int | None
) -> None:
    found = check("Container", inputs).inputs

    assert (found.get("plan"), found.get("monthly_price_usd")) == (plan, price)


def test_a_plan_of_another_tier_passes_for_what_exists() -> None:
    inputs = {"template": "redis-micro", "plan": "premium"}

    assert check("Container", inputs, {"name": "web", **inputs}).failures == {}
    assert check("Container", {**inputs, "adopt": "if_matching"}).failures == {}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"plan": "micro"}, "the API may refuse it"),
        ({"template": "nodejss"}, "does not know the template 'nodejss' (did you mean 'nodejs'?)"),
        ({"plan": "mega"}, "does not know the plan 'mega'"),
    ],
)
def test_a_name_that_the_api_may_not_know_passes_with_a_warning(inputs: dict[str, str], words: str) -> None:
    call = Call()

    assert check("Container", inputs, call=call).failures == {}
    (warning,) = call.warnings
    assert words in warning


@pytest.mark.parametrize(
    ("container", "stack", "own", "is_refused"),
    [
        (UNKNOWN, "never", None, True),
        (UNKNOWN, "never", "if_matching", False),
        (UNKNOWN, "if_matching", None, False),
        (UNKNOWN, "if_matching", "never", True),
        ("usr-1-web", "never", None, False),
    ],
)
def test_an_address_in_a_container_that_may_exist_is_not_refused(
    container: str, stack: str, own: str | None, is_refused: bool
) -> None:
    """External access may be on for an existing container, but is off for a new one."""
    facts = {"template": "nodejs", "adopt": own}

    found = check("AllowedIp", {"container": container, "container_in_program": facts}, adopt=stack).failures

    assert ("external access is off" in found.get("container", "")) is is_refused
