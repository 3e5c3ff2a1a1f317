"""Exports from the engine, with states of this version and of earlier ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.account.backend import read_export

RECORDED = Path(__file__).parents[2] / "engine" / "recorded"
URL = "https://api.example/api/v1"


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.4.0"])
def test_the_state_of_every_version_is_read(version: str) -> None:
    text = (RECORDED / f"{version}.json").read_text(encoding="utf-8")

    state = read_export(text.replace("@URL@", URL).encode())

    assert (state.name, state.project, state.ref) == ("tests/dev", "tests", "dev")
    kinds = Counter(one.kind for one in state.managed)
    # BackupRestore and SshCertificate are not objects of the account.
    assert set(kinds) == {"AllowedIp", "Connection", "Container", "PinnedBackup", "VpnClient"}
    for one in state.managed:
        assert one.base_url == URL
        assert (one.origin is None) is (version == "0.1.0")
        assert (one.item is not None) is (one.kind == "Container")
    assert all(one.created_at for one in state.managed if one.kind == "Container")
    app = next(one for one in state.managed if one.name == "app")
    assert app.item is not None
    assert str(app.item.price) == "$4.00"


def test_the_state_of_subclasses_is_read() -> None:
    text = (RECORDED / "subclasses" / "0.2.0.json").read_text(encoding="utf-8")

    assert "Container" in {one.kind for one in read_export(text.encode()).managed}


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("dev", "shop/dev"),
        ("organization/shop/dev", "shop/dev"),
        ("acme/dev", "acme/shop/dev"),
        ("acme/shop/dev", "acme/shop/dev"),
    ],
)
def test_a_stack_has_one_name_in_every_folder(ref: str, name: str) -> None:
    full, empty = (read_export(text, ref, "shop") for text in (export(container()), b'{"deployment": {}}'))

    # The backend leaves out the project's name in the project's own folder.
    assert (full.name, full.project, full.ref) == (name, "shop", ref)
    assert (empty.name, empty.project, empty.ref) == (name, "shop", ref)


def test_the_stack_of_a_file_is_called_by_its_resources() -> None:
    state, empty = (read_export(text) for text in (export(container()), b'{"deployment": {}}'))

    # The organization is unknown, so `--stack` gets the name within the project.
    assert (state.name, state.project, state.ref) == ("shop/dev", "shop", "dev")
    assert (empty.name, empty.project) == ("an empty stack", "")


def container(**more: Any) -> dict[str, Any]:
    return {
        "urn": "urn:pulumi:dev::shop::stacks:index:Container::web",
        "type": "stacks:index:Container",
        "custom": True,
        "id": "usr-1-web",
        **more,
    }


def export(*resources: dict[str, Any]) -> bytes:
    return json.dumps({"deployment": {"resources": resources}}).encode()


@pytest.mark.parametrize(
    "inputs",
    [{"stacks:baseUrl": URL}, {"baseUrl": URL}, {"base_url": URL}],
    ids=lambda inputs: next(iter(inputs)),
)
def test_the_address_of_a_provider_is_that_of_its_resources(inputs: dict[str, str]) -> None:
    def provider(name: str, **given: Any) -> dict[str, Any]:
        urn = f"urn:pulumi:dev::shop::pulumi:providers:stacks::{name}"
        return {"urn": urn, "type": "pulumi:providers:stacks", "custom": True, "id": "1", **given}

    of = "urn:pulumi:dev::shop::pulumi:providers:stacks::{}::1"
    ours = container(provider=of.format("ours"))
    other = container(provider=of.format("other"), id="usr-1-api")

    state = read_export(export(provider("ours", inputs=inputs), provider("other"), ours, other))

    assert {one.id: one.base_url for one in state.managed} == {"usr-1-web": URL, "usr-1-api": None}


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}


def test_an_encrypted_value_is_not_read_as_text() -> None:
    [one] = read_export(export(container(outputs={"createdAt": SECRET, "origin": SECRET}))).managed

    assert (one.created_at, one.origin) == (None, None)
