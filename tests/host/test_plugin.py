"""The gRPC calls of the native plugin: configuration, names, previews, functions, and its end."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2

import stacks_pulumi
from stacks_pulumi._identifiers import camel_case
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts.plugin.wire import parsed
from stacks_pulumi.pricing.recognition import KINDS, MARKER, NATIVE
from stacks_pulumi.resources._fields import CHANGED_OUTSIDE
from stacks_pulumi.resources._naming import DEFAULT_NAME
from stacks_pulumi.resources._resource import PARENT_IN_PROGRAM
from stacks_pulumi.resources._values import secret
from tests.chaos.account import holdings
from tests.support.clock import fast_clock
from tests.support.host import (
    SECRET,
    UNKNOWN,
    FakeEngine,
    Host,
    HostedResource,
    PluginHost,
    _to_dict,
    _to_struct,
)
from tests.support.waiting import until

pytestmark = pytest.mark.hosts("native")

ROOT = Path(__file__).resolve().parents[2]
URN = "urn:pulumi:dev::tests::stacks:index:Container::web"


@pytest.fixture(scope="module")
def offline() -> Iterator[Host]:
    """Start a plugin for all tests of calls that need no account and leave nothing behind."""
    host = PluginHost({})
    yield host
    assert host.stop() == ""


def check(host: Host, **options: Any) -> provider_pb2.CheckResponse:
    """Check a container that has only a template."""
    request = provider_pb2.CheckRequest(urn=URN, news=_to_struct({"template": "nodejs"}), **options)
    answer: provider_pb2.CheckResponse = host.stub.Check(request)
    return answer


def invoke(host: Host, token: str, **arguments: Any) -> dict[str, Any]:
    """Call a data function."""
    request = provider_pb2.InvokeRequest(tok=f"stacks:index:{token}", args=_to_struct(arguments))
    return _to_dict(getattr(host.stub.Invoke(request), "return"))


def failures(host: Host, urn: str = "", **settings: Any) -> list[str]:
    """Return the errors in the settings of a provider."""
    answer = host.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=_to_struct(settings)))
    return [failure.reason for failure in answer.failures]


def provider(name: str, project: str = "tests") -> str:
    """Return the URN of a provider."""
    return f"urn:pulumi:dev::{project}::pulumi:providers:stacks::{name}"


def test_it_reports_its_name_and_version(offline: Host) -> None:
    assert offline.stub.GetPluginInfo(empty_pb2.Empty()).version == stacks_pulumi.__version__
    schema = json.loads(offline.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert set(schema["resources"]) == {f"{NATIVE}{kind}" for kind in KINDS}


def test_it_loads_no_detector_of_character_sets() -> None:
    code = (
        "import sys\n"
        "from stacks_pulumi.hosts.plugin import servicer\n"
        "servicer._wait_for_the_end = lambda _servicer, ended: ended.put(None)\n"
        "servicer.main()\n"
        "import requests\n"
        "print('charset_normalizer.api' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout.split()[1:], done.stderr) == (["False"], "")


def test_the_schema_is_that_of_the_classes() -> None:
    done = subprocess.run(
        [sys.executable, "tools/schema.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_each_malformed_setting_is_reported(offline: Host) -> None:
    found = failures(
        offline,
        apiKey="sk_stacks_short",
        baseUrl="http://elsewhere.example",
        adopt="maybe",
        requestsPerMinute=0,
        baseURL="https://api.example",
    )

    expected = (
        "stacks:adopt must be one of never, if_matching [invalid-setting]",
        "the STACKS API key is malformed (its length after sk_stacks_ is 5",
        "unknown setting stacks:baseURL; did you mean stacks:baseUrl? `pulumi config rm stacks:baseURL` removes it",
        "stacks:baseUrl sends the API key in plain text",
        "stacks:requestsPerMinute must be a whole number",
    )
    assert len(found) == len(expected)
    for reason, start in zip(found, expected, strict=True):
        assert reason.startswith(start)
    assert "sk_stacks_short" not in "".join(found)


def test_a_wrong_setting_is_not_reported_on_another_one(offline: Host) -> None:
    (found,) = failures(offline, allowHttp="yes", baseUrl="http://127.0.0.1:7822/api/v1")
    assert found.startswith("stacks:allowHttp must be true or false")


def test_a_providers_key_is_always_a_secret(offline: Host) -> None:
    key = "sk_stacks_" + "0" * 64

    answer = offline.stub.CheckConfig(
        provider_pb2.CheckRequest(news=_to_struct({"apiKey": key, "adopt": "never"}))
    )
    unknown = offline.stub.CheckConfig(provider_pb2.CheckRequest(news=_to_struct({"apiKey": UNKNOWN})))

    assert _to_dict(answer.inputs) == {"apiKey": {**SECRET, "value": key}, "adopt": "never"}
    assert _to_dict(unknown.inputs) == {"apiKey": UNKNOWN}


def test_settings_of_programs_and_of_the_engine_are_accepted(offline: Host) -> None:
    assert (
        failures(
            offline,
            urn=provider("default_0_3_0"),
            version="1.0.0",
            pluginDownloadURL="https://plugins.example",
            __internal={},
            deleteChildrenWithContainer="true",
            region=None,
            baseUrl="http://emulator.example:7822",
            allowHttp=True,
        )
        == []
    )


@pytest.mark.parametrize(
    ("urn", "settings", "expected"),
    [
        (
            provider("default"),
            {"regoin": "x"},
            "unknown setting stacks:regoin; the settings are stacks:adopt, ",
        ),
        (
            provider("default"),
            {"baseUrls": UNKNOWN},
            "unknown setting stacks:baseUrls; did you mean stacks:baseUrl?",
        ),
        (provider("default"), {"account": "x"}, "unknown setting stacks:account; "),
        (provider("team"), {"apikey": "x"}, "unknown setting apikey; did you mean apiKey? (account team) ["),
        (
            provider("default_eu"),
            {"apikey": "x"},
            "unknown setting apikey; did you mean apiKey? (account default_eu) [",
        ),
        *(
            (
                provider(name),
                {"baseUrls": "x"},
                "unknown setting stacks:baseUrls; did you mean stacks:baseUrl?",
            )
            for name in (
                "default_0_3_0",
                "default_0_3_0_rc_1",
                "default_0_3_0_https_/plugins.example.com/stacks",
                "default_https_/plugins.example.com/stacks",
            )
        ),
        (
            provider("team"),
            {"deleteChildrenWithContainer": True},
            "unknown setting deleteChildrenWithContainer; ",
        ),
        (provider("default", "stacks"), {"region": "the program's own"}, None),
        (
            provider("default", "stacks"),
            {"baseURL": "x"},
            "unknown setting stacks:baseURL; did you mean stacks:baseUrl?",
        ),
        (
            provider("team"),
            {"apiKey": "short"},
            "the STACKS API key is malformed (it does not start with sk_stacks_): ",
        ),
    ],
)
def test_an_unknown_setting_is_an_error(
    offline: Host, urn: str, settings: dict[str, Any], expected: str | None
) -> None:
    found = failures(offline, urn, **settings)

    assert len(found) == (expected is not None)
    assert all(reason.startswith(str(expected)) for reason in found), found


def test_an_address_is_not_refused_while_http_may_be_allowed(offline: Host) -> None:
    assert failures(offline, baseUrl="http://emulator.example:7822", allowHttp=UNKNOWN) == []


def unknown_inputs(host: Host, kind: str, **inputs: Any) -> list[tuple[str, str]]:
    """Return a check's failures about names: pairs of property and reason."""
    request = provider_pb2.CheckRequest(urn=host.resource(kind).urn, news=_to_struct(inputs))
    found = [(it.property, it.reason) for it in host.stub.Check(request).failures]
    return [it for it in found if "unknown input" in it[1] or "is an output" in it[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_has_no_effect_is_an_error_with_the_nearest_name(offline: Host, kind: str) -> None:
    names = list(parsed()["resources"][f"{NATIVE}{kind}"]["inputProperties"])

    for name in names:
        wrong = f"{name}s"
        expected = f"unknown input {wrong}; did you mean {name}? [invalid-input]"
        # The engine prints the value of a property that a failure names, and the value may be a misspelt secret.
        assert unknown_inputs(offline, kind, **{wrong: UNKNOWN}) == [("", expected)]
    known = dict.fromkeys(names, UNKNOWN)
    assert unknown_inputs(offline, kind, **known, wrong=None, __defaults=[]) == []
    ((_, listed),) = unknown_inputs(offline, kind, qqq=1)
    assert listed == f"unknown input qqq; the inputs are {', '.join(sorted(names))} [invalid-input]"


def test_an_output_cannot_be_set(offline: Host) -> None:
    assert unknown_inputs(offline, "Container", url="x", externalAcess=True) == [
        ("", "unknown input externalAcess; did you mean externalAccess? [invalid-input]"),
        ("", "url is an output: it cannot be set [invalid-input]"),
    ]


@pytest.mark.parametrize("note", [DEFAULT_NAME, PARENT_IN_PROGRAM, CHANGED_OUTSIDE, MARKER])
def test_what_the_package_notes_beside_the_inputs_is_accepted(offline: Host, note: str) -> None:
    request = provider_pb2.CheckRequest(
        urn=URN, news=_to_struct({"name": "web", "template": "nodejs", camel_case(note): "x"})
    )

    assert [it.reason for it in offline.stub.Check(request).failures] == []


KIND = provider_pb2.PropertyDiff.Kind


@pytest.mark.parametrize(
    ("kind", "before", "after", "how"),
    [
        ("VpnClient", None, ["1"], KIND.ADD_REPLACE),
        ("VpnClient", ["1"], None, KIND.DELETE_REPLACE),
        ("VpnClient", ["1"], ["2"], KIND.UPDATE_REPLACE),
        ("SshCertificate", None, ["1"], KIND.ADD),
        ("SshCertificate", ["1"], None, KIND.DELETE),
        ("SshCertificate", ["1"], ["2"], KIND.UPDATE),
    ],
)
def test_a_difference_says_what_is_done_with_the_input(
    offline: Host, kind: str, before: Any, after: Any, how: Any
) -> None:
    resource = offline.resource(kind)
    given = (
        {"container": "usr-1-web", "name": "laptop"} if kind == "VpnClient" else {"container": "usr-1-web"}
    )
    resource.id, resource.outs = "usr-1-web/laptop", {**given, "rotate_triggers": before, MARKER: kind}

    answer = resource.diff({**given, "rotate_triggers": after, MARKER: kind})

    assert list(answer.diffs) == list(answer.detailedDiff) == ["rotateTriggers"]
    assert answer.detailedDiff["rotateTriggers"].kind == how


def test_what_an_earlier_check_returned_is_accepted(offline: Host) -> None:
    # With `ignoreChanges: ["*"]`, the engine passes all earlier inputs instead of the program's inputs.
    inputs = check(offline).inputs

    again = offline.stub.Check(provider_pb2.CheckRequest(urn=URN, olds=inputs, news=inputs))

    assert [it.reason for it in again.failures] == []


def test_a_child_is_checked_against_its_container_in_the_program(host: Host, emulator: Emulator) -> None:
    web, sql = host.resource("Container", "web"), host.resource("Container", "sql")
    web.up(name="web", template="nodejs", external_access=False)
    sql.up(name="sql", template="postgresql")
    host.stub.Cancel(empty_pb2.Empty())
    calls = emulator.calls()

    def found(kind: str, parent: HostedResource, **inputs: Any) -> dict[str, str]:
        return host.resource(kind, "child").check(container=parent.id, **inputs)

    # The plugin knows nothing about a container that this operation has not checked.
    assert found("VpnClient", web, name="laptop") == {}
    web.diff(web.checked(name="web", template="nodejs", external_access=False))
    sql.diff(sql.checked(name="sql", template="postgresql"))
    assert "VPN clients need the template" in found("VpnClient", web, name="laptop")["container"]
    assert "only a compute container has an SSH key" in found("SshCertificate", sql)["container"]
    assert found("SshCertificate", web) == {}
    assert (
        "external access is off: set externalAccess: true"
        in (found("AllowedIp", web, ip_address="198.51.100.7", service_type="http")["container"])
    )
    assert emulator.calls() == calls, "at preview there are no requests"


def test_another_key_or_address_never_replaces_a_provider(offline: Host) -> None:
    request = provider_pb2.DiffRequest(
        olds=_to_struct({"apiKey": "a", "version": "1"}), news=_to_struct({"apiKey": "b", "version": "2"})
    )

    answer = offline.stub.DiffConfig(request)

    assert (list(answer.diffs), list(answer.replaces)) == (["apiKey"], [])
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


@pytest.mark.parametrize(
    ("olds", "news"), [({}, {"adopt": "never"}), ({"adopt": "never"}, {})], ids=["added", "removed"]
)
def test_a_setting_that_is_added_or_removed_is_a_difference(
    offline: Host, olds: dict[str, str], news: dict[str, str]
) -> None:
    answer = offline.stub.DiffConfig(provider_pb2.DiffRequest(olds=_to_struct(olds), news=_to_struct(news)))

    assert list(answer.diffs) == ["adopt"]
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


def test_a_name_comes_from_state_then_autonaming_then_program(offline: Host) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    proposed = options(proposed_name="web-dev", mode=options.PROPOSE)

    assert _to_dict(check(offline).inputs)["name"] == "web"
    assert _to_dict(check(offline, autonaming=proposed).inputs)["name"] == "web-dev"
    kept = check(offline, autonaming=proposed, olds=_to_struct({"name": "former", "template": "nodejs"}))
    assert _to_dict(kept.inputs)["name"] == "former"


def test_an_input_that_the_program_marks_as_secret_is_returned_so(offline: Host) -> None:
    given = _to_struct({"name": "web", "template": "nodejs", "discountCode": secret("SPRING")})
    answers = (
        offline.stub.Check(provider_pb2.CheckRequest(urn=URN, news=given)).inputs,
        offline.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=given, preview=True)).properties,
        offline.stub.Update(
            provider_pb2.UpdateRequest(urn=URN, id="usr-1-web", olds=given, news=given, preview=True)
        ).properties,
    )

    # Otherwise, the engine removes the mark before each call.
    assert offline.accepts_secrets
    assert [_to_dict(answer)["discountCode"] for answer in answers] == [secret("SPRING")] * 3


def test_the_answer_to_a_secret_argument_is_secret(host: Host, emulator: Emulator) -> None:
    emulator.load([{"name": "web", "template": "nodejs"}])

    answer = invoke(host, "getContainer", id=secret(f"{emulator.account}-web"))

    assert answer["name"] == secret("web")


def test_a_secret_name_of_the_state_stays_one(offline: Host) -> None:
    kept = check(offline, olds=_to_struct({"name": secret("former"), "template": "nodejs"}))

    assert _to_dict(kept.inputs)["name"] == secret("former")


def test_the_default_name_includes_colons_of_the_resource_name(offline: Host) -> None:
    request = provider_pb2.CheckRequest(urn=f"{URN}::two", news=_to_struct({"template": "nodejs"}))

    (failure,) = offline.stub.Check(request).failures

    assert "'web::two'" in failure.reason


def test_a_long_name_is_shortened_unless_it_is_enforced(offline: Host) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    long = "a-very-long-name-of-a-container-1a2b3c4"

    proposed = check(offline, autonaming=options(proposed_name=long, mode=options.PROPOSE))
    enforced = check(offline, autonaming=options(proposed_name=long, mode=options.ENFORCE))

    name = _to_dict(proposed.inputs)["name"]
    assert name.startswith("a-very-long-name-of-a-con")
    assert len(name) == 32
    assert [failure.property for failure in enforced.failures] == ["name"]


def test_autonaming_takes_precedence_over_a_name_pattern(
    make_host: Callable[..., Host], emulator: Emulator
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    host = make_host({**config, "stacks:namePattern": "${name}-${stack}"})
    options = provider_pb2.CheckRequest.AutonamingOptions
    proposed = options(proposed_name="proposed", mode=options.PROPOSE)

    assert _to_dict(check(host).inputs)["name"] == "web-dev"
    assert _to_dict(check(host, autonaming=proposed).inputs)["name"] == "proposed"
    for note in ({}, {"namePattern": "${name}-${stack}"}):
        former = {"name": "former", "template": "nodejs", **note}
        kept = _to_dict(check(host, olds=_to_struct(former)).inputs)
        assert kept.items() >= former.items(), "a container keeps its name, and the note that it was shaped"
    request = provider_pb2.CheckRequest(urn=URN, news=_to_struct({"name": "mine", "template": "nodejs"}))
    assert _to_dict(host.stub.Check(request).inputs)["name"] == "mine"


def test_without_autonaming_a_name_is_needed(offline: Host) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions

    (failure,) = check(offline, autonaming=options(mode=options.DISABLE)).failures

    assert failure.property == "name"
    assert "set name" in failure.reason


def test_at_preview_only_outputs_are_unknown(host: Host, emulator: Emulator) -> None:
    request = provider_pb2.CreateRequest(urn=URN, properties=check(host).inputs, preview=True)

    foreseen = _to_dict(host.stub.Create(request).properties)

    assert host.supports_preview
    assert foreseen["template"] == "nodejs"
    assert foreseen["url"] == foreseen["internalHost"] == UNKNOWN
    assert "additionalStorageTier" not in foreseen
    assert "externalAccess" not in foreseen
    assert emulator.calls() == 0


def test_the_preview_of_an_update_shows_a_new_key_as_an_unknown_secret_without_a_request(
    host: Host, emulator: Emulator
) -> None:
    host.resource("Container", "web").up(name="web", template="nodejs")
    key = host.resource("SshCertificate", "key")
    key.up(container=f"{emulator.account}-web", rotate_triggers=["1"])
    before, state = emulator.calls(), host.to_struct("SshCertificate", key.outs)
    news = host.to_struct("SshCertificate", {**key.inputs, "rotate_triggers": ["2"]})
    request = provider_pb2.UpdateRequest(id=key.id, urn=key.urn, olds=state, news=news, preview=True)

    foreseen = _to_dict(host.stub.Update(request).properties)

    assert foreseen["privateKey"] == {**SECRET, "value": UNKNOWN}
    assert foreseen["rotateTriggers"] == ["2"]
    assert foreseen["origin"] == key.outs["origin"]
    assert emulator.calls() == before


def test_at_the_preview_of_a_creation_secrets_are_marked(offline: Host) -> None:
    client = offline.resource("VpnClient", "laptop")
    news = offline.to_struct("VpnClient", client.checked(container=UNKNOWN, name="laptop"))

    answer = offline.stub.Create(provider_pb2.CreateRequest(urn=client.urn, properties=news, preview=True))

    assert _to_dict(answer.properties)["config"] == {**SECRET, "value": UNKNOWN}


def test_a_data_function_uses_camel_case_names(host: Host, emulator: Emulator) -> None:
    host.resource("Container", "web").up(name="web", template="nodejs")
    id_ = f"{emulator.account}-web"

    found = invoke(host, "getContainer", id=id_)
    assert (found["id"], found["internalHost"]) == (id_, id_)
    assert len(invoke(host, "getLogs", containerId=id_, lines=2)["result"].splitlines()) == 2
    assert [row["name"] for row in invoke(host, "listContainers")["result"]] == ["web"]
    assert SECRET.items() <= invoke(host, "getSshCertificate", containerId=id_)["result"].items()


FAILED_CALLS: Final[list[tuple[str, dict[str, Any], str, str]]] = [
    ("getContainer", {}, "getContainer: id is missing: set it", "missing-input"),
    (
        "getLogs",
        {"containerId": "usr-1-web", "line": 2},
        "getLogs: unknown argument line; did you mean lines?",
        "invalid-input",
    ),
    (
        "listContainers",
        {"all": True},
        "listContainers: unknown argument all; the arguments are none [",
        "invalid-input",
    ),
    ("getContainer", {"id": "usr-1-none"}, "getContainer: ", "not-found"),
    ("getContainer", {"id": ""}, "getContainer: '' is not a valid id", "invalid-id"),
    ("getContainer", {"id": 5}, "getContainer: id is 5: it must be text", "invalid-input"),
    (
        "getLogs",
        {"containerId": "usr-1-web", "lines": "two"},
        "getLogs: lines is 'two': it must be a whole number",
        "invalid-input",
    ),
    (
        "getVpnConfig",
        {"containerId": "usr-1-web", "client": True},
        "getVpnConfig: client is True: it must be text",
        "invalid-input",
    ),
    ("restart", {}, "restart: stacks has no such function: check the name, or install", "unknown-type"),
    (
        "getContaner",
        {},
        "getContaner: stacks has no such function: did you mean getContainer?",
        "unknown-type",
    ),
]


def test_a_failed_data_function_has_a_reason(host: Host) -> None:
    for token, arguments, expected, code in FAILED_CALLS:
        with pytest.raises(grpc.RpcError) as failure:
            invoke(host, token, **arguments)

        message = str(failure.value.details())
        assert message.startswith(expected)
        assert message.endswith(f" [{code}]")
        assert "Traceback" not in message


IMPOSSIBLE_IMPORTS: Final = [
    ("Container", "usr-1-web", "Container usr-1-web does not exist in this account"),
    ("Container", "../web", "'../web' is not the id of a Container, which has the form usr-abc12345-web"),
    (
        "Connection",
        "abc",
        "'abc' is not the id of a Connection, which has the form <source id>/<connection id>",
    ),
    (
        "AllowedIp",
        "abc",
        "'abc' is not the id of an AllowedIp, which has the form <container id>/<address>",
    ),
    ("PinnedBackup", "usr-1-web/first", "PinnedBackup usr-1-web/first does not exist"),
    # After an import, the next `up` would restore a backup over newer data.
    ("BackupRestore", "1", "a BackupRestore cannot be imported or looked up"),
]


def test_an_impossible_import_has_a_reason(host: Host) -> None:
    for kind, id_, expected in IMPOSSIBLE_IMPORTS:
        request = provider_pb2.ReadRequest(id=id_, urn=host.resource(kind).urn)

        with pytest.raises(grpc.RpcError) as failure:
            host.stub.Read(request)

        assert str(failure.value.details()).startswith(expected)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("Cluster", "check the name, or install a newer plugin"),
        ("VPNClient", "did you mean stacks:index:VpnClient?"),
    ],
)
def test_an_unknown_type_is_an_error_that_names_it(offline: Host, kind: str, hint: str) -> None:
    urn = URN.replace("Container", kind)

    with pytest.raises(grpc.RpcError) as failure:
        offline.stub.Check(provider_pb2.CheckRequest(urn=urn))

    assert f"stacks has no resource 'stacks:index:{kind}': {hint}" in str(failure.value.details())


def test_after_an_operation_it_serves_another_one(host: Host, emulator: Emulator) -> None:
    # As with PULUMI_DEBUG_PROVIDERS: declarations of one operation must not conflict with those of the next operation.
    assert host.resource("Container", "web").check(name="web", template="nodejs") == {}
    other = host.resource("Container", "renamed")
    assert "two resources declare the same" in other.check(name="web", template="nodejs")["name"]

    host.stub.Cancel(empty_pb2.Empty())
    host.stub.Attach(plugin_pb2.PluginAttach(address=host.engine.address))

    assert other.check(name="web", template="nodejs") == {}


def test_the_next_operation_uses_no_earlier_answers(host: Host, emulator: Emulator) -> None:
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs")
    assert web.read()
    emulator.drift.delete("web")
    assert web.read(), "one operation reads the list once"

    host.stub.Cancel(empty_pb2.Empty())

    assert not web.read()


def test_a_cancel_during_a_call_does_not_end_the_operation(host: Host, emulator: Emulator) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, boot_seconds=60)
    emulator.freeze()
    web, other = host.resource("Container", "web"), host.resource("Container", "renamed")
    creating = threading.Thread(target=web.create, args=(web.checked(name="web", template="nodejs"),))
    creating.start()
    until(lambda: holdings(emulator))

    host.stub.Cancel(empty_pb2.Empty())

    # The operation still knows its declared resources.
    assert "two resources declare the same" in other.check(name="web", template="nodejs")["name"]
    emulator.advance(60)
    creating.join()
    assert web.id == f"{emulator.account}-web"


@pytest.mark.real_processes
@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_creates_in_progress_are_rolled_back_when_the_engine_is_gone(
    make_host: Callable[..., Host], end: str
) -> None:
    with Emulator(boot_seconds=3600, clock=fast_clock()) as emulator:
        host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
        web = host.resource("Container", "web")
        inputs = web.checked(name="web", template="nodejs")
        creating = threading.Thread(target=_create, args=(web, inputs))
        creating.start()
        until(lambda: holdings(emulator))

        if end == "stdin":
            assert host.process.stdin is not None
            host.process.stdin.close()
        else:
            host.process.send_signal(getattr(signal, end))

        assert host.process.wait() == 0
        creating.join()
        assert holdings(emulator) == set()


@pytest.mark.real_processes
def test_queued_creates_do_not_start_when_the_engine_is_gone(make_host: Callable[..., Host]) -> None:
    with Emulator(boot_seconds=3600, clock=fast_clock()) as emulator:
        config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:maxConcurrency": "1"}
        host = make_host(config)
        creating = []
        for name in ("web-1", "web-2"):
            resource = host.resource("Container", name)
            inputs = resource.checked(name=name, template="nodejs")
            creating.append(threading.Thread(target=_create, args=(resource, inputs)))
        for thread in creating:
            thread.start()
        until(lambda: holdings(emulator))

        assert host.process.stdin is not None
        host.process.stdin.close()

        assert host.process.wait() == 0
        for thread in creating:
            thread.join()
        assert emulator.calls("containers.create") == 1
        assert holdings(emulator) == set()


def _create(resource: Any, inputs: dict[str, Any]) -> None:
    try:
        resource.create(inputs)
    except Exception as error:  # noqa: BLE001  (the thread ends with the plugin)
        del error


def price_at_the_end(host: Host) -> list[str]:
    """End the operation and return the lines about the stack itself."""
    before = len(host.engine.lines)
    host.stub.Cancel(empty_pb2.Empty())
    return [line.text for line in host.engine.lines[before:] if line.urn == "" and not line.ephemeral]


def test_a_preview_ends_with_the_price_of_what_was_checked(host: Host) -> None:
    for name, template in (("web", "nodejs"), ("sql", "postgresql"), ("other", UNKNOWN)):
        request = provider_pb2.CheckRequest(
            urn=URN.replace("::web", f"::{name}"), news=_to_struct({"template": template})
        )
        host.stub.Check(request)
        # The engine checks a replaced resource a second time.
        inputs = host.stub.Check(request).inputs
    host.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs, preview=True))

    assert price_at_the_end(host) == [
        "3 containers in this preview: $8.00 a month, plus 1 with an unknown price"
    ]
    assert price_at_the_end(host) == [], "the next operation is another one"


def test_the_price_names_the_account_of_an_explicit_provider(host: Host) -> None:
    host.stub.Configure(provider_pb2.ConfigureRequest(args=_to_struct(host.config), name="team-b"))
    inputs = check(host).inputs
    host.stub.Update(
        provider_pb2.UpdateRequest(urn=URN, id="usr-1-web", olds=inputs, news=inputs, preview=True)
    )

    assert price_at_the_end(host) == ["1 container in this preview: $4.00 a month (account team-b)"]


@pytest.mark.parametrize("message", ["Handshake", "Attach"])
def test_lines_are_shown_by_the_engine_that_it_serves_last(host: Host, message: str) -> None:
    host.engine.stop()
    host.engine = FakeEngine()
    request = {
        "Handshake": provider_pb2.ProviderHandshakeRequest(engine_address=host.engine.address),
        "Attach": plugin_pb2.PluginAttach(address=host.engine.address),
    }
    getattr(host.stub, message)(request[message])
    host.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=check(host).inputs, preview=True))

    assert price_at_the_end(host) == ["1 container in this preview: $4.00 a month"]


def refuse_a_check(host: Host) -> None:
    """Check a container without its template, which is refused."""
    host.stub.Check(provider_pb2.CheckRequest(urn=URN.replace("::web", "::other"), news=_to_struct({})))


def refuse_a_child(host: Host) -> None:
    """Check a child with an unknown input, which is refused."""
    news = _to_struct({"container": UNKNOWN, "ipAdress": "198.51.100.7"})
    child = URN.replace("Container::web", "AllowedIp::office")
    host.stub.Check(provider_pb2.CheckRequest(urn=child, news=news))


def refuse_a_function(host: Host) -> None:
    """Call a function with an unknown argument, which fails."""
    with pytest.raises(grpc.RpcError, match="unknown argument"):
        host.stub.Invoke(provider_pb2.InvokeRequest(tok="stacks:index:getLogs", args=_to_struct({"x": 1})))


@pytest.mark.parametrize("refuse", [refuse_a_check, refuse_a_child, refuse_a_function])
def test_a_preview_that_fails_shows_no_price(host: Host, refuse: Callable[[Host], None]) -> None:
    """The engine stops at the first error, so the price would cover only some of the program's containers."""
    inputs = check(host).inputs
    refuse(host)
    host.stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs, preview=True))

    assert price_at_the_end(host) == []


def test_an_up_shows_no_price(host: Host) -> None:
    check(host)

    assert price_at_the_end(host) == []


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("Container", "web", ["gone"]),
        ("AllowedIp", "web/198.51.100.0/24", ["web/192.0.2.1", "gone/198.51.100.0/24"]),
        ("VpnClient", "office/laptop", ["office/phone", "gone/laptop"]),
        ("PinnedBackup", "sql/1", ["sql/99", "gone/1"]),
        ("Connection", "web/{link}", ["web/other", "gone/{link}"]),
    ],
)
def test_a_question_whether_something_exists_is_answered(
    host: Host, emulator: Emulator, kind: str, there: str, absent: list[str]
) -> None:
    emulator.load(
        [
            {"name": "web", "template": "nodejs", "allowed_ips": ["198.51.100.0/24"]},
            {"name": "office", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
            {"name": "sql", "template": "postgresql", "backups": 1},
        ],
        [{"source": "web", "target": "sql", "name": "primary"}],
    )
    emulator.state.backups[1].pinned = True
    (link,) = emulator.state.connections

    def exists(id_: str, **state: Any) -> bool:
        # The engine generates a name.
        urn = f"urn:pulumi:dev::tests::stacks:index:{kind}::__exists__7"
        full = f"{emulator.account}-{id_.format(link=link)}"
        answer = host.stub.Read(provider_pb2.ReadRequest(id=full, urn=urn, inputs=_to_struct(state)))
        assert answer.id in {"", full}
        assert bool(answer.id) == bool(answer.properties.fields)
        return bool(answer.id)

    assert exists(there)
    # Text that the program adds to the id does not matter.
    assert exists(there, name="another", template="redis")
    assert [exists(id_) for id_ in absent] == [False] * len(absent)

    emulator.faults.add("containers.list", 500, times=None)
    emulator.faults.add("containers.status", 500, times=None)
    # There are already two reads without `gone`, which are new enough.
    with pytest.raises(grpc.RpcError, match="500"):
        exists(absent[-1].replace("gone", "lost"))
    emulator.faults.clear()
