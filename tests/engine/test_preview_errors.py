"""Errors that are known at preview fail the preview, on the real engine, before any change."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.contents import writes
from tests.support.stack import Stack, shows_traceback

WEB = 'web = stacks.Container("web", template="nodejs"{})\n'
VPN = 'vpn = stacks.Container("vpn", template="stacks-vpn")\n'
SQL = 'sql = stacks.Container("sql", template="postgresql")\n'


def test_an_import_is_refused_with_the_way_to_adopt(stack: Stack, emulator: Emulator) -> None:
    stack.program(WEB.format(', opts=pulumi.ResourceOptions(import_="usr-abc12345-web")'))

    result = stack.preview_fails()

    words = ("'web'", "import_", 'adopt="if_matching"', "[no-import]")
    assert any(all(word in line for word in words) for line in result.errors), result.text
    assert writes(emulator) == []


def test_a_malformed_setting_that_the_program_reads_is_shown_without_a_traceback(stack: Stack) -> None:
    stack.set("stacks:deleteChildrenWithContainer", "maybe")
    stack.program(
        'team = stacks.Provider("team", api_key="sk_stacks_" + "0" * 64)\n'
        + WEB.format(", external_access=True, opts=pulumi.ResourceOptions(provider=team)")
        + 'stacks.AllowedIp("office", container=web, ip_address="198.51.100.7")'
    )

    result = stack.preview_fails()

    assert any(
        "stacks:deleteChildrenWithContainer must be true or false" in line for line in result.errors
    ), result.text
    assert not shows_traceback(result.text)


def test_a_valid_program_that_looks_wrong_passes_the_preview(stack: Stack) -> None:
    stack.program(
        WEB.format("")
        + VPN
        + SQL
        + """
stacks.Container("Shop", template="nodejs")
stacks.Connection("link", source=web, target=sql)
stacks.VpnClient("laptop", container=vpn)
stacks.SshCertificate("key", container=web)
# Whether external access of an existing container is on is not known here.
stacks.AllowedIp("office", container="usr-abc12345-web", ip_address="198.51.100.7")
stacks.VpnClient("phone", container="usr-abc12345-gate")
"""
    )
    assert stack.preview().changes == {"create": 10}


def test_a_name_that_becomes_unknown_is_reported_at_preview(stack: Stack, emulator: Emulator) -> None:
    named = 'up = stacks.Container("up-stream", template="{}", replace_on_change=True)\n'
    stack.program(named.format("nodejs") + WEB.format(', name="down-stream"'))
    stack.up(quiet_afterwards=False)

    stack.program(
        named.format("python")
        + WEB.format(', name=up.ip_address.apply(lambda ip: "down-" + ip.replace(".", "-"))')
    )
    result = stack.engine("preview")

    told = [*result.errors, *result.warnings]
    assert any("name" in line and ("unknown" in line or "not known" in line) for line in told), result.text
