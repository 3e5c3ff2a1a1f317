"""The hosts' refusals about the key: an address from a different source, and a plain key in the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.hosts._grpc_call import HostError
from stacks_pulumi.hosts.dynamic import provider_for
from stacks_pulumi.hosts.plugin.servicer import Servicer
from stacks_pulumi.hosts.plugin.settings import is_key_secret

KEY = "sk_stacks_" + "0" * 64
SECRET, PLAIN = "config:\n  stacks:apiKey:\n    secure: v1:abc\n", f"config:\n  stacks:apiKey: {KEY}\n"
PROJECT = "name: tests\nruntime: yaml\n"
URN = "urn:pulumi:dev::tests::pulumi:providers:stacks::default"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "is_secret"),
    [
        ({"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": SECRET}, True),
        ({"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": PLAIN}, False),
        # The stack's file takes precedence over the project's.
        ({"Pulumi.yaml": PROJECT + PLAIN, "Pulumi.dev.yaml": SECRET}, True),
        ({"Pulumi.yaml": PROJECT + PLAIN}, False),
        ({"Pulumi.yaml": PROJECT + f"config:\n  stacks:apiKey: {{value: {KEY}}}\n"}, False),
        ({"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": "config:\n  stacks:apiKey: secure\n"}, False),
        ({"Pulumi.yaml": PROJECT + "stackConfigDir: stacks\n", "stacks/Pulumi.dev.yaml": PLAIN}, False),
        ({"Pulumi.yaml": PROJECT, "Pulumi.prod.yaml": PLAIN}, None),
        ({"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": "config: 1\n"}, None),
        ({"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": "[" * 5000}, None),
        ({}, None),
    ],
)
def test_the_files_of_the_stack_show_whether_its_key_is_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], is_secret: bool | None
) -> None:
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)

    assert is_key_secret("dev") is is_secret
    assert is_key_secret(None) is None


@pytest.mark.parametrize("host", ["dynamic", "native"])
def test_no_host_sends_the_environments_key_to_an_address_of_the_project(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("STACKS_API_KEY", KEY)
    address = "https://collector.test/api/v1"
    if host == "native":
        servicer, arguments = Servicer(), struct_pb2.Struct()
        arguments.update({"baseUrl": address})
        servicer.Configure(provider_pb2.ConfigureRequest(urn=URN, args=arguments), None)
        check = provider_pb2.CheckRequest(urn="urn:pulumi:dev::tests::stacks:index:Container::web")
        with pytest.raises(_RefusedError, match="the key in STACKS_API_KEY is not sent to"):
            servicer.Check(check, _Context())
    else:
        provider = provider_for("Container")
        provider.configure(ConfigureRequest(Config({"stacks:baseUrl": address}, "tests")))
        with pytest.raises(HostError, match="the key in STACKS_API_KEY is not sent to"):
            provider.check({}, {"template": "nodejs"})


class _RefusedError(Exception):
    pass


class _Context:
    """The context of a gRPC call that ends with an error."""

    def is_active(self) -> bool:
        return True

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        pass

    def abort(self, _code: Any, details: str) -> None:
        raise _RefusedError(details)


@pytest.mark.parametrize(
    ("files", "settings", "refusal"),
    [
        ({"Pulumi.dev.yaml": PLAIN}, {}, None),
        ({"Pulumi.dev.yaml": PLAIN}, {"requireSecretKey": "true"}, "the API key is stored in plain text"),
        # A key whose form is unknown counts as plain text.
        ({}, {"requireSecretKey": "true"}, "no configuration file of the stack shows that stacks:apiKey is"),
        ({"Pulumi.dev.yaml": SECRET}, {"requireSecretKey": "true"}, None),
        ({}, {"requireSecretKey": "false"}, None),
        ({"Pulumi.dev.yaml": PLAIN}, {"requireSecretKey": "yes"}, "must be true or false"),
    ],
)
def test_a_plugin_that_requires_a_secret_key_refuses_every_call_without_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    settings: dict[str, str],
    refusal: str | None,
) -> None:
    write(tmp_path, {"Pulumi.yaml": PROJECT, **files})
    monkeypatch.chdir(tmp_path)
    servicer, arguments = Servicer(), struct_pb2.Struct()
    arguments.update({"apiKey": KEY, **settings})
    servicer.Configure(provider_pb2.ConfigureRequest(urn=URN, args=arguments), None)
    news = struct_pb2.Struct()
    news.update({"template": "nodejs"})
    check = provider_pb2.CheckRequest(urn="urn:pulumi:dev::tests::stacks:index:Container::web", news=news)

    if refusal is None:
        assert list(servicer.Check(check, _Context()).failures) == []
        return
    for call in (
        lambda: servicer.Check(check, _Context()),
        lambda: servicer.Invoke(provider_pb2.InvokeRequest(tok="stacks:index:listContainers"), _Context()),
    ):
        with pytest.raises(_RefusedError, match=refusal) as refused:
            call()
        assert KEY not in str(refused.value)


def test_an_explicit_provider_is_not_measured_by_the_stacks_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"Pulumi.yaml": PROJECT, "Pulumi.dev.yaml": PLAIN})
    monkeypatch.chdir(tmp_path)
    servicer, arguments = Servicer(), struct_pb2.Struct()
    arguments.update({"apiKey": KEY, "requireSecretKey": "true"})
    urn = URN.replace("default", "team-b")

    servicer.Configure(provider_pb2.ConfigureRequest(urn=urn, name="team-b", args=arguments), None)

    check = provider_pb2.CheckRequest(urn="urn:pulumi:dev::tests::stacks:index:Container::web")
    assert [it.property for it in servicer.Check(check, _Context()).failures] == ["template"]
