"""
One resource owns one object: the old half of a replacement is always deleted, even after a rename.

A rename with an alias deletes the old half under the old URN and creates the new half under the new one.
"""

from __future__ import annotations

from collections.abc import Callable

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.contents import contents, managed, writes
from tests.support.stack import Stack

FIXED = """
web = stacks.Container("web", template="nodejs", external_access=True)
sql = stacks.Container("sql", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
class Box(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("tests:index:Box", "box")
box = Box()
"""
RESOURCES = {
    "Container": '"{}", template="nodejs", name="{}", replace_on_change=True',
    "AllowedIp": '"{}", container=web, ip_address="{}"',
    "VpnClient": '"{}", container=vpn, name="{}"',
    "Connection": '"{}", source=web, target=sql, name="{}", restart_source=False',
    "PinnedBackup": '"{}", container=sql, triggers=["{}"]',
}
VALUES = {
    "Container": ("shop-one", "shop-two"),
    "AllowedIp": ("198.51.100.1", "198.51.100.2"),
    "VpnClient": ("laptop", "phone"),
    "Connection": ("first", "second"),
    "PinnedBackup": ("v1", "v2"),
}
FIRST = {
    "containers": ["shop-one", "sql", "vpn", "web"],
    "addresses": ["web 198.51.100.1"],
    "clients": ["vpn laptop"],
    "connections": ["web first"],
    "pinned": ["sql 1"],
}
SECOND = {
    "containers": ["shop-two", "sql", "vpn", "web"],
    "addresses": ["web 198.51.100.2"],
    "clients": ["vpn phone"],
    "connections": ["web second"],
    "pinned": ["sql 2"],
}
EMPTY: dict[str, list[str]] = {kind: [] for kind in FIRST}


def program(name: Callable[[str], str], value: int, opts: Callable[[str], str] = lambda _kind: "") -> str:
    """Return one resource of each kind, and their containers."""
    lines = [
        f"stacks.{kind}({text.format(name(kind), VALUES[kind][value])}{opts(kind)})"
        for kind, text in RESOURCES.items()
    ]
    return FIXED + "\n".join(lines) + "\n"


def renamed_and_moved() -> str:
    """Return the program with different values and names and in a component, with aliases to the first names."""

    def opts(kind: str) -> str:
        alias = f'pulumi.Alias(name="old-{kind}", parent=pulumi.ROOT_STACK_RESOURCE)'
        return f", opts=pulumi.ResourceOptions(parent=box, aliases=[{alias}])"

    return program("new-{}".format, 1, opts)


def test_the_old_half_is_deleted_when_the_urn_changes(stack: Stack, emulator: Emulator) -> None:
    stack.program(program("old-{}".format, 0))
    stack.up(quiet_afterwards=False)
    assert contents(emulator) == FIRST

    stack.program(renamed_and_moved())
    stack.up()
    assert contents(emulator) == SECOND
    assert stack.ids() == managed(emulator)

    stack.destroy()
    assert contents(emulator) == EMPTY


SIBLINGS = """
stacks.Container("a", name="web", template="nodejs")
stacks.Container("b", name="web", template="nodejs", adopt="if_matching")
"""


def test_a_target_cannot_adopt_what_another_resource_of_the_program_owns(
    stack: Stack, emulator: Emulator
) -> None:
    stack.program(SIBLINGS.splitlines()[1])
    stack.up(quiet_afterwards=False)
    urn = stack.resources()["a"]["urn"]

    stack.program(SIBLINGS)
    refused = [
        stack.preview_fails(),
        stack.up_fails("--target", urn.replace("::a", "::b")),
        stack.preview_fails("--target", urn),
    ]

    for result in refused:
        told = [line for line in result.errors if "'a'" in line and "'b'" in line and "web" in line]
        assert told, result.text
    assert set(stack.resources()) == {"a"}
    assert (contents(emulator)["containers"], writes(emulator)) == (["web"], ["containers.create"])


def test_an_address_that_is_unknown_at_preview_makes_no_container_unknown(
    stack: Stack, emulator: Emulator
) -> None:
    """External access is on, but was not turned on by this program: the check of a child sees an existing container."""
    web = 'web = stacks.Container("web", template="nodejs")\n'
    stack.program(web)
    stack.up(quiet_afterwards=False)
    emulator.drift.set_external_access("web", enabled=True)

    stack.program(
        web
        + 'other = stacks.Container("other", template="nodejs")\n'
        + 'stacks.AllowedIp("office", container=web, ip_address=other.id.apply(lambda _: "198.51.100.7"))\n'
    )
    stack.preview()
    stack.up(quiet_afterwards=False)

    assert contents(emulator)["addresses"] == ["web 198.51.100.7"]


def test_a_target_in_one_component_cannot_adopt_the_container_of_another_component(
    stack: Stack, emulator: Emulator
) -> None:
    """Both resources have the same name; only their parents differ."""
    component = """
    class Shop(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__(f"tests:shops:{name}", name)
            stacks.Container(
                "sql", template="postgresql", adopt="if_matching", opts=pulumi.ResourceOptions(parent=self)
            )

    Shop("north")
    """
    stack.program(component)
    stack.up(quiet_afterwards=False)

    stack.program(component + 'Shop("south")\n')
    refused = stack.up_fails("--target", "**shops:south**")

    assert any("declare the same Container (sql)" in line for line in refused.errors), refused.text
    assert emulator.calls("containers.create") == 1


def test_a_retained_container_is_kept_after_its_replacement_was_given_up(
    stack: Stack, emulator: Emulator
) -> None:
    """From then on, the engine treats the container as deleted and requests a new one in each `up`."""

    def program(template: str, more: str = "") -> str:
        return (
            f'stacks.Container("orders", template="{template}", replace_on_change=True{more},'
            " opts=pulumi.ResourceOptions(retain_on_delete=True))"
        )

    stack.program(program("postgresql"))
    stack.up(quiet_afterwards=False)
    stack.program(program("mysql"))
    (refused, *_) = stack.up_fails().errors
    assert "remove retain_on_delete: with that option the old one stays and is billed" in refused
    stack.program(program("postgresql"))
    assert stack.up_fails().errors[0] == refused

    stack.program(program("postgresql", ', adopt="if_matching"'))
    stack.up()

    assert stack.ids() == set(emulator.state.containers)
    assert emulator.calls("containers.create") == 1


@beyond_a_grant.OWN_KEY
def test_a_container_that_another_provider_has_adopted_is_not_deleted(
    stack: Stack, emulator: Emulator
) -> None:
    """The resource is renamed without an alias and moved to a different provider; each provider has its own process."""
    stack.set("team:apiKey", emulator.new_key())
    stack.program('stacks.Container("one", name="sql", template="postgresql")\n')
    stack.up(quiet_afterwards=False)
    made = list(emulator.state.containers.values())

    stack.program("""
    team = stacks.Provider("team", api_key=pulumi.Config("team").require_secret("apiKey"))
    opts = pulumi.ResourceOptions(provider=team)
    stacks.Container("two", name="sql", template="postgresql", adopt="if_matching", opts=opts)
    """)
    result = stack.up()

    assert any("was not deleted" in line for line in result.warnings), result.text
    assert list(emulator.state.containers.values()) == made
    stack.destroy()
    assert contents(emulator)["containers"] == []
