"""The plugin's messages, in the spelling of the languages that it serves."""

from __future__ import annotations

import pytest

from stacks_pulumi.hosts.plugin.wire import in_camel_case, unknown_names


@pytest.mark.parametrize(
    ("python", "others"),
    [
        ("to replace it, set replace_on_change=True", "to replace it, set replaceOnChange: true"),
        ("backup_id is missing", "backupId is missing"),
        ("Write additional_storage_tier=3 here", "Write additionalStorageTier: 3 here"),
        ("to keep it, write name='web' here", "to keep it, write name: 'web' here"),
        (
            'write stacks.Container("web", ..., adopt="if_matching"): then',
            'write adopt: "if_matching" on the Container "web": then',
        ),
        (
            "set opts=pulumi.ResourceOptions(delete_before_replace=True)",
            "set the option deleteBeforeReplace: true",
        ),
        ("(opts=pulumi.ResourceOptions(aliases=[...]))", "(the option aliases: [...])"),
        (
            'custom_timeouts=pulumi.CustomTimeouts(create="30m") allows more time',
            'customTimeouts: {create: "30m"} allows more time',
        ),
        ("`get_vpn_config` downloads it", "`getVpnConfig` downloads it"),
    ],
)
def test_names_of_inputs_options_and_functions_are_respelt(python: str, others: str) -> None:
    assert in_camel_case(python) == others
    assert in_camel_case(others) == others


@pytest.mark.parametrize(
    "text",
    [
        "no container is reported as my_web=1 or some_name",
        "configure stacks:apiKey, or set STACKS_API_KEY",
        "GET https://api.example/containers?lines=100 failed (502)",
        "the_ip_address_of_a_user is no name of ours",
    ],
)
def test_other_names_are_not_changed(text: str) -> None:
    assert in_camel_case(text) == text


def test_an_unknown_name_is_told_with_the_nearest_or_all_that_there_are() -> None:
    def told(*known: str) -> dict[str, str]:
        return unknown_names(["pian"], known, "input", outputs={"url"})

    assert told("plan", "name") == {"pian": "unknown input pian; did you mean plan?"}
    assert told("zone", "name") == {"pian": "unknown input pian; the inputs are name, zone"}
    assert told() == {"pian": "unknown input pian; the inputs are none"}
