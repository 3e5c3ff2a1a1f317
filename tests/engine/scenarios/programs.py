"""Errors in the program."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import WEB, Scenario, preview, python
from tests.support.stack import Stack

__all__ = ["PROGRAMS"]

_MOCKED = """\
import pulumi
import stacks_pulumi as stacks


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return args.name, args.inputs

    def call(self, args):
        return {}


pulumi.runtime.set_mocks(Mocks())


def test_it_uses_a_known_template():
    assert "nodejs" in {template.name for template in stacks.list_templates()}
"""


def _made_before(_emulator: Emulator, stack: Stack) -> None:
    stack.program('db = stacks.Container("orders-db", template="postgresql")')
    stack.up(quiet_afterwards=False)


def _native(_emulator: Emulator, stack: Stack) -> None:
    stack.native()


PROGRAMS = (
    Scenario(
        "missing-input",
        ("property template", "template is missing: set it"),
        program='web = stacks.Container("web", template=pulumi.Config().get("template"))',
        act=preview,
    ),
    Scenario(
        "invalid-input",
        (
            "property name value {orders--db} has a problem: 'orders--db': two hyphens in a row are not allowed",
            "property additional_storage_tier value {2} has a problem: there is no tier 2",
            "property desired_status value {on} has a problem: 'on' is not one of running, stopped",
            "property external_access value {yes} has a problem: it is text, and true or false is needed",
            "property adopt value {always} has a problem: 'always' is not one of never, if_matching",
        ),
        program="""db = stacks.Container(
    "orders--db",
    template="postgresql",
    plan="basic",
    additional_storage_tier=2,
    desired_status="on",
    external_access="yes",
    adopt="always",
)""",
        act=preview,
        both_sdks=True,
    ),
    Scenario(
        "invalid-id",
        ("is not the id of a Connection, which has the form",),
        program='link = stacks.Connection.get("link", "usr-5e953f3b-web")',
        act=preview,
    ),
    Scenario(
        "declared-twice",
        ('two resources use the container name "web"', "'shop'", "'web'"),
        program=f'shop = stacks.Container("shop", name="web", template="nodejs")\n{WEB}',
        act=preview,
        both_sdks=True,
    ),
    Scenario(
        "replacement-refused",
        (
            "property plan",
            "plan would change from 'basic' to 'premium'",
            "destroys the container, its volumes and its backups",
            "pulumi refresh",
            "replace_on_change=True",
        ),
        program='db = stacks.Container("orders-db", template="postgresql", plan="premium")',
        act=preview,
        prepare=_made_before,
        account=frozenset({"orders-db"}),
        state=frozenset({"orders-db"}),
    ),
    Scenario(
        "no-import",
        ("'web' has the option import_", 'adopt="if_matching"'),
        program=(
            'web = stacks.Container("web", template="nodejs", '
            'opts=pulumi.ResourceOptions(import_="usr-5e953f3b-web"))'
        ),
        act=preview,
    ),
    Scenario(
        "value-not-known",
        ("get_container: an argument is an output", "call get_container_output"),
        program=f"{WEB}\nfound = stacks.get_container(web.id)",
        act=preview,
    ),
    Scenario(
        "mocks",
        ("list_templates: the mocks have no answer", "stacks:index:list_templates"),
        program="",
        files={"test_shop.py": _MOCKED},
        act=python(
            "-m",
            "pytest",
            "-q",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            "test_shop.py",
        ),
    ),
    Scenario(
        "unknown-type",
        ("stacks has no resource 'stacks:index:Database'", "install a newer plugin"),
        program='db = pulumi.CustomResource("stacks:index:Database", "db", {})',
        act=preview,
        prepare=_native,
    ),
)
