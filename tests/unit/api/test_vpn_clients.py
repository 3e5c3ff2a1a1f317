from __future__ import annotations

from typing import Any

import pytest
import responses
from responses.matchers import json_params_matcher, query_param_matcher

from stacks_pulumi import errors
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api.vpn_clients import VpnClientsApi, risks_of
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Script, chain, data, ok, refusal

CONFIG = "[Interface]\nPrivateKey = x\n"


@pytest.mark.parametrize(
    "body",
    [
        ["laptop"],
        {"data": ["laptop"]},
        {"clients": [{"name": "laptop"}]},
        {"data": [{"name": "laptop"}]},
    ],
)
def test_list(client: StacksClient, http: responses.RequestsMock, body: Any) -> None:
    http.get(f"{URL}/containers/v/vpn-clients", json=body)

    assert client.vpn_clients.list("v") == (models.VpnClient(name="laptop"),)


def test_add(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/v/vpn-clients", json={"data": []})
    http.post(
        f"{URL}/containers/v/vpn-clients",
        json={"success": True, "data": {"name": "laptop", "ipAddress": "10.8.0.2"}},
        match=[json_params_matcher({"name": "laptop"})],
    )

    assert client.vpn_clients.add("v", "laptop") == models.VpnClient(name="laptop", ip_address="10.8.0.2")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (CONFIG, "text/plain"),
        (CONFIG, "application/octet-stream"),
        ('{"config": "[Interface]\\nPrivateKey = x\\n"}', "application/json"),
    ],
)
def test_config(client: StacksClient, http: responses.RequestsMock, body: str, kind: str) -> None:
    http.get(
        f"{URL}/containers/v/vpn-config",
        body=body,
        content_type=kind,
        match=[query_param_matcher({"client": "my laptop"})],
    )

    assert client.vpn_clients.config("v", "my laptop") == CONFIG


def test_remove(client: StacksClient, http: responses.RequestsMock) -> None:
    http.delete(f"{URL}/containers/v/vpn-clients/my%20laptop", json={"success": True})

    client.vpn_clients.remove("v", "my laptop")


@pytest.mark.parametrize("name", ["laptop", "Laptop"])
def test_a_taken_name_exists_already(clock: FakeClock, name: str) -> None:
    with pytest.raises(
        errors.ExistsError, match=r'add the VPN client ".*" to container v: it already exists \(id laptop\)'
    ):
        VpnClientsApi(chain(Script(vpn_clients__list=ok(["laptop"])), clock), clock).add("v", name)


@pytest.mark.parametrize("answer", [ok({"success": True, "message": "added"}), refusal(504)])
def test_fields_missing_in_the_answer_are_found_by_listing(clock: FakeClock, answer: Any) -> None:
    script = Script(vpn_clients__list=[ok(["default"]), ok(["default", "laptop"])], vpn_clients__add=answer)

    assert VpnClientsApi(chain(script, clock), clock).add("v", "laptop").name == "laptop"
    assert script.operations.count("vpn_clients.add") == 1


@pytest.mark.parametrize("before", [(), None])
def test_a_refused_repeat_leaves_the_outcome_unknown(clock: FakeClock, before: tuple[()] | None) -> None:
    script = Script(vpn_clients__list=ok(["odd"]), vpn_clients__add=[refusal(504), refusal(400)])

    with pytest.raises(errors.ServerError, match="the outcome of the request is unknown"):
        VpnClientsApi(chain(script, clock), clock).add("v", "laptop", before=before)


def test_a_removed_client_that_is_still_listed_is_waited_for(clock: FakeClock) -> None:
    laptop = {"name": "laptop"}
    script = Script(
        vpn_clients__list=[data([laptop]), data([laptop]), data([])],
        vpn_clients__remove=ok({"success": True}),
        vpn_clients__add=data(laptop),
    )
    nouns = VpnClientsApi(chain(script, clock), clock)
    nouns.remove("v", "Laptop")

    assert nouns.add("v", "laptop").name == "laptop"
    assert clock.now() >= 1004.0


def test_a_taken_name_is_not_waited_for_after_another_client_was_removed(clock: FakeClock) -> None:
    script = Script(vpn_clients__list=ok(["laptop", "phone"]), vpn_clients__remove=ok({"success": True}))
    nouns = VpnClientsApi(chain(script, clock), clock)
    nouns.remove("v", "phone")

    with pytest.raises(errors.ExistsError):
        nouns.add("v", "laptop")
    assert clock.now() == 1000.0


WHOLE = """[Interface]
PrivateKey = aGk=
Address = 10.13.13.2/24, fd00::2/64
DNS = 10.13.13.1
MTU = 1420

# the gateway
[PEER]  # only one
publickey=aGk=
PresharedKey = aGk=
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = 25
"""


@pytest.mark.parametrize("config", [WHOLE, WHOLE.replace("\n", "\r\n"), "\n" + WHOLE.rstrip("\n")])
def test_a_configuration_without_commands_has_no_risk(config: str) -> None:
    assert risks_of(config) == ""


@pytest.mark.parametrize(
    ("line", "risk"),
    [
        ("PostUp = id", "sets PostUp"),
        (" \tpOSTuP=id", "sets pOSTuP"),
        ("PreUp=id", "sets PreUp"),
        ("PreDown", "sets PreDown"),
        ("PostDown # = x", "sets PostDown"),
        ("SaveConfig = true", "sets SaveConfig"),
        ("Table = local", "sets Table"),
        ("FwMark = 254", "sets FwMark"),
        ("Unknown = 1", "sets Unknown"),
        ("[Interface] PostUp = id", "is not a known setting"),
        ("= id", "is not a known setting"),
        ("Post\0Up = id", "has control characters"),
        ("# hidden\rPostUp = id", "has control characters"),
        ("DNS = 1\vPostUp = id", "has control characters"),
        ("DNS = $(id)", "has characters that DNS does not need"),
        ("Address = 10.0.0.2 \\", "has characters that Address does not need"),
        ("PublicKey = aGk=", "sets PublicKey"),
    ],
)
def test_a_line_that_may_be_carried_out_is_named(line: str, risk: str) -> None:
    config = WHOLE.replace("MTU = 1420", line)

    assert risks_of(config).endswith(f"as root: line 5 {risk}")


def test_a_setting_before_the_first_section_is_a_risk() -> None:
    assert "line 1 sets Address" in risks_of("Address = 10.0.0.2\n" + WHOLE)


def test_many_risks_are_counted() -> None:
    assert risks_of(WHOLE + "PostUp=a\n" * 9).endswith(
        "line 14 sets PostUp, line 15 sets PostUp, line 16 sets PostUp and 6 more"
    )
