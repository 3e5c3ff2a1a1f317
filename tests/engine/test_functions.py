"""Data functions in a program that the real engine runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator, contents
from tests.support import beyond_a_grant
from tests.support.accounts import running
from tests.support.clock import fast_clock
from tests.support.sdk import oldest_sdk
from tests.support.stack import Stack

PROGRAM = """
app = stacks.Container("app", template="nodejs", external_access=True)
vpn = stacks.Container("vpn", template="stacks-vpn")
pulumi.export("status", stacks.get_container_output(app.id).status)
pulumi.export("logs", stacks.get_logs_output(app.id, 5))
pulumi.export("key", stacks.get_ssh_certificate_output(app.id))
pulumi.export("password", stacks.get_credentials_output(app.id).password)
pulumi.export("config", stacks.get_vpn_config_output(vpn.id))
pulumi.export("links", stacks.list_connections_output(app.id).apply(lambda found: len(found.outgoing)))
pulumi.export("credentials", stacks.get_credentials_output(app.id))
pulumi.export("container", stacks.get_container_output(app.id))
pulumi.export("targets", stacks.list_available_targets_output(app.id)["all"][0]["name"])
pulumi.export("backups", stacks.list_backups_output(app.id))
stacks.AllowedIp("host", container=app, ip_address=stacks.get_container_output(app.id)["ip_address"])
for number in range(3):
    pulumi.export(f"again-{number}", stacks.get_container_output(app.id).name)
"""


@beyond_a_grant.LOGS
@pytest.mark.parametrize("sdk", [pytest.param("oldest", marks=pytest.mark.extra), "installed"])
def test_functions_resolve_with_their_inputs_and_secrets_stay_secret(
    make_stack: Callable[..., Stack], emulator: Emulator, sdk: str
) -> None:
    # SDK versions split results into outputs and exports in different ways, so the test does not depend on this.
    stack = make_stack(emulator, python_path=oldest_sdk() if sdk == "oldest" else None)
    stack.program(PROGRAM)

    # No request is sent for a container that does not exist yet.
    stack.preview()
    assert emulator.calls() == 0

    stack.up(quiet_afterwards=False)

    # Equal calls from several places are one request.
    assert emulator.calls("containers.status") == 1
    shown = stack.outputs()
    assert (shown["status"], shown["again-2"]) == ("running", "app")
    assert "app" in shown["logs"]
    secret = {name: value for name, value in stack.outputs(secrets=True).items() if shown[name] == "[secret]"}
    assert secret.keys() == {"key", "password", "config", "links", "credentials"}
    assert shown["container"]["name"] == "app"
    assert shown["container"]["internal_host"] == shown["container"]["id"]
    assert (shown["targets"], shown["backups"]) == ("vpn", [])
    assert secret["credentials"]["password"] == secret["password"]
    state, app = emulator.state, emulator.state.container("app")
    key = contents.private_key(state, app)
    assert (key, contents.password(state, app)) == (secret["key"], secret["password"])
    # The oldest SDK writes secrets into its debug log. `said` contains this log; a user sees it only with `--debug`.
    for text in (stack.export(), stack.said() if sdk == "installed" else ""):
        assert key.splitlines()[1] not in text
        assert secret["password"] not in text
        assert "PrivateKey" not in text


@beyond_a_grant.LOGS
def test_a_program_that_waits_for_the_rate_limit_reports_it(make_stack: Callable[..., Stack]) -> None:
    with Emulator(rate_limit=2, rate_window=40, clock=fast_clock()) as emulator:
        app = running(emulator, "app")
        stack = make_stack(emulator)
        stack.program(
            f"""
            pulumi.export("lines", [len(stacks.get_logs("{app}", n).splitlines()) for n in (1, 2, 3)])
            """
        )

        result = stack.up(quiet_afterwards=False)

        assert stack.outputs() == {"lines": [1, 2, 3]}
        assert any(
            line.startswith("rate limit: ") and line.endswith(", 1 queued") for line in result.status_lines()
        )
        assert 429 not in {request.status for request in emulator.requests}
