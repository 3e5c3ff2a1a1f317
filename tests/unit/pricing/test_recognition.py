from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest

from stacks_pulumi import provider_for
from stacks_pulumi.pricing import recognition as tokens
from stacks_pulumi.pricing.recognition import UNFINISHED, UNKNOWN, UNRECOGNISED, is_open, kind_of, snake_case

SENTINEL = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def pickled(kind: str) -> str:
    return base64.b64encode(pickle.dumps(provider_for(kind))).decode()


@pytest.mark.parametrize("kind", tokens.KINDS)
@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        ("pulumi-python:dynamic/stacks:{kind}", {}),
        ("stacks:index:{kind}", {}),
        ("stacks:{kind}", {}),
        ("pulumi-python:dynamic:Resource", {"stacks_kind": "{kind}"}),
        ("pulumi-python:dynamic/acme:Db", {"stacks_kind": "{kind}"}),
        ("acme:index:Db", {"stacksKind": "{kind}"}),
        ("pulumi-python:dynamic/stacks:Db", {"stacks_kind": "{kind}"}),
        ("pulumi-python:dynamic/stacks:{kind}", {"stacks_kind": "{kind}"}),
        ("pulumi-python:dynamic/stacks:{kind}", {"stacks_kind": SENTINEL}),
        ("pulumi-python:dynamic/acme:Db", {"__provider": "pickle"}),
        ("pulumi-python:dynamic/stacks:Db", {"__provider": "pickle"}),
    ],
)
def test_resource_is_recognised(kind: str, type_: str, properties: dict[str, Any]) -> None:
    given = {
        name: pickled(kind) if value == "pickle" else value.format(kind=kind)
        for name, value in properties.items()
    }

    assert kind_of(type_.format(kind=kind), given) == kind


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        ("pulumi-python:dynamic/stacks:Gpu", {}),
        ("stacks:index:Gpu", {}),
        ("stacks:index/container:Container", {}),
        ("stacks:index:container", {}),
        # A marker that contradicts the type, names no kind, or is hidden.
        ("stacks:index:Container", {"stacks_kind": "PinnedBackup"}),
        ("acme:index:Db", {"stacks_kind": "Gpu"}),
        ("acme:index:Db", {"stacks_kind": 5}),
        ("acme:index:Db", {"stacks_kind": "[secret]"}),
        ("acme:index:Db", {"stacks_kind": UNKNOWN}),
        ("acme:index:Db", {"stacks_kind": "Container", "stacksKind": "PinnedBackup"}),
    ],
)
def test_a_possible_resource_of_the_package_is_never_skipped(type_: str, properties: dict[str, Any]) -> None:
    assert kind_of(type_, properties) == UNRECOGNISED


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        ("aws:s3/bucket:Bucket", {}),
        ("pulumi:pulumi:Stack", {}),
        ("pulumi:providers:stacks", {}),
        ("pulumi-python:dynamic/team:Thing", {"__provider": "[secret]"}),
        ("pulumi-python:dynamic/team:Thing", {"__provider": "bm90IGEgcGlja2xl"}),
        ("pulumi-python:dynamic/team:Thing", {"__provider": base64.b64encode(pickle.dumps(print)).decode()}),
        ("pulumi-python:dynamic/team:Thing", {"__provider": {"a": 1}}),
    ],
)
def test_resources_of_other_packages_are_not_recognised(type_: str, properties: dict[str, Any]) -> None:
    assert kind_of(type_, properties) is None


def test_pickled_provider_is_read_and_never_loaded() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return exec, ("raise SystemExit(5)  # stacks_pulumi provider_for Container",)

    assert kind_of("acme:index:Db", {"__provider": base64.b64encode(pickle.dumps(Bomb())).decode()}) in {
        None,
        UNRECOGNISED,
    }


def test_property_that_is_spelt_in_both_ways_is_unknown_unless_both_agree() -> None:
    assert snake_case({"externalAccess": True, "plan": "basic"}) == {"external_access": True, "plan": "basic"}
    assert snake_case({"externalAccess": True, "external_access": True}) == {"external_access": True}
    assert snake_case({"externalAccess": True, "external_access": False}) == {"external_access": UNKNOWN}


def test_kinds_are_those_of_the_providers() -> None:
    from stacks_pulumi.resources.handlers import HANDLERS

    assert sorted(HANDLERS) == sorted(tokens.KINDS)


OWN = "pulumi-python:dynamic/acme:Db"


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        (OWN, {"name": "db", "template": "mysql", "plan": "premium"}),
        (OWN, {"name": "db", "template": SENTINEL}),
        (OWN, {"name": SENTINEL, "template": "[secret]"}),
        (OWN, {"name": "db", "template": "newer", "monthly_price_usd": 10}),
        ("pulumi-python:dynamic:Resource", {"name": "db", "template": "mysql"}),
        ("pulumi-nodejs:dynamic:Resource", {"name": "db", "template": "mysql"}),
        (OWN, {"container": SENTINEL, "ip_address": "0.0.0.0/0"}),
        (OWN, {"container": "usr-1-db", "ipAddress": "0.0.0.0/0"}),
    ],
)
def test_what_looks_like_one_of_ours_is_not_taken_for_another_providers(
    type_: str, properties: dict[str, Any]
) -> None:
    assert kind_of(type_, properties) == UNRECOGNISED


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        (OWN, {"name": "letter", "template": "welcome"}),
        (OWN, {"template": "mysql"}),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"name": "db", "template": "mysql"}),
    ],
)
def test_another_providers_resource_with_similar_inputs_is_not_ours(
    type_: str, properties: dict[str, Any]
) -> None:
    assert kind_of(type_, properties) is None


@pytest.mark.parametrize("properties", [{}, {"size": 3}])
def test_a_component_is_not_ours_whatever_its_type(properties: dict[str, Any]) -> None:
    assert kind_of("stacks:app:Web", properties, custom=False) is None
    assert kind_of("stacks:app:Web", properties) == UNRECOGNISED
    # If it is unknown whether a resource has a provider, our own types are recognised.
    assert kind_of("stacks:index:Gpu", properties, custom=False) == UNRECOGNISED
    assert kind_of("stacks:app:Web", {"stacks_kind": "Container"}, custom=False) == "Container"


@pytest.mark.parametrize("marked", [{}, {"stacks_kind": "AllowedIp"}])
def test_a_container_under_the_type_of_another_kind_is_not_taken_for_that(marked: dict[str, Any]) -> None:
    container = {"name": "db", "template": "mysql", **marked}

    assert kind_of("pulumi-python:dynamic/stacks:AllowedIp", container) == UNRECOGNISED
    assert kind_of("pulumi-python:dynamic/stacks:AllowedIp", {"container": "usr-1-db"}) == "AllowedIp"


@pytest.mark.parametrize(
    ("state", "known"),
    [
        ({"external_access": True, "status": "running"}, True),
        ({"externalAccess": True, "status": "stopped"}, True),
        ({"external_access": True, "status": "failed", "url": "https://web.test"}, True),
        ({"external_access": True, "status": "failed"}, False),
        ({"external_access": True, "status": "failed", "url": UNKNOWN}, False),
        ({"external_access": True, "status": "running", UNFINISHED: ["external_access"]}, False),
        ({"external_access": False, "status": "running", "url": "https://web.test"}, False),
        ({"external_access": "[secret]", "status": "running"}, False),
        ({"status": "running"}, False),
    ],
)
def test_a_container_is_open_only_where_its_state_says_so(state: dict[str, Any], known: bool) -> None:
    assert is_open(state) is known
