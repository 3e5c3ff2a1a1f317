"""Errors in the program."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import PREVIEW, WEB, Scenario, python
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
        "A required input is missing",
        "The program does not set it, or sets it to `None`, for instance from a configuration that has no such value. "
        "Nothing was sent.",
        "Set the input that the message names.",
        ("property template", "template is missing: set it"),
        program='web = stacks.Container("web", template=pulumi.Config().get("template"))',
        act=PREVIEW,
    ),
    Scenario(
        "invalid-input",
        "An input has an invalid value",
        "Every input is checked at preview, without a request to the API. All problems are reported together, each on "
        "its property.",
        "Correct the inputs. The page of each resource lists the possible values.",
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
        act=PREVIEW,
        both_sdks=True,
    ),
    Scenario(
        "invalid-id",
        "An id has the wrong form",
        "`get`, an import and a data function need the whole id. The id of a child resource begins with that of its "
        "container. Nothing was sent.",
        "Use the form that the message shows. `stacks-pulumi account --children` lists ids.",
        ("is not the id of a Connection, which has the form",),
        program='link = stacks.Connection.get("link", "usr-5e953f3b-web")',
        act=PREVIEW,
    ),
    Scenario(
        "declared-twice",
        "Two resources of the program manage one object",
        "Both would change it, and the removal of one would delete it for the other. Nothing was sent.",
        "Give one of them another name, or remove it. To rename a resource, keep one and add an alias "
        "([in your own programs](state.md#in-your-own-programs)).",
        ('two resources use the container name "web"', "'shop'", "'web'"),
        program=f'shop = stacks.Container("shop", name="web", template="nodejs")\n{WEB}',
        act=PREVIEW,
        both_sdks=True,
    ),
    Scenario(
        "replacement-refused",
        "A change that would destroy data is refused",
        "No API key can rename or resize a container, so the change would be a replacement: the container, its volumes "
        "and its backups would be deleted. It is refused at preview. With `replace_on_change=True` it is still refused "
        "for a value that was changed in the dashboard, and for a `PinnedBackup` with `backup_id`, which the new "
        "container does not have.",
        "To resize and keep the data, do it in the dashboard, run `pulumi refresh`, and write the new value into the "
        "program. A name or a template cannot change: write the old value. To replace the container anyway, set "
        "`replace_on_change=True`, and remove its `PinnedBackup`s with `backup_id`.",
        (
            "property plan",
            "plan would change from 'basic' to 'premium'",
            "destroys the container, its volumes and its backups",
            "pulumi refresh",
            "replace_on_change=True",
        ),
        program='db = stacks.Container("orders-db", template="postgresql", plan="premium")',
        act=PREVIEW,
        prepare=_made_before,
        account=frozenset({"orders-db"}),
        state=frozenset({"orders-db"}),
    ),
    Scenario(
        "no-import",
        "The resource cannot be imported or looked up",
        "Pulumi cannot import dynamic resources, and the API does not list past restores.",
        'Adopt an existing object with `adopt="if_matching"`, or import it with the '
        "[native plugin](native.md#import-a-container-that-was-made-by-hand).",
        ("'web' has the option import_", 'adopt="if_matching"'),
        program=(
            'web = stacks.Container("web", template="nodejs", '
            'opts=pulumi.ResourceOptions(import_="usr-5e953f3b-web"))'
        ),
        act=PREVIEW,
    ),
    Scenario(
        "value-not-known",
        "A data function got an output",
        "A plain data function answers immediately. The value of an output, or of a provider's key that is an output, "
        "is known only later.",
        "Call the form with `_output`, which waits for the value.",
        ("get_container: an argument is an output", "call get_container_output"),
        program=f"{WEB}\nfound = stacks.get_container(web.id)",
        act=PREVIEW,
    ),
    Scenario(
        "mocks",
        "The mocks of a unit test have no answer, or a wrong one",
        "In a unit test with mocks, a data function never calls the API: `Mocks.call` answers.",
        "Return an answer for the token in the message ([testing](testing.md)).",
        ("list_templates: the mocks have no answer", "stacks:index:list_templates"),
        program="",
        files={"test_shop.py": _MOCKED},
        act=python(
            "pytest -q --tb=no test_shop.py",
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
        "This version does not have the resource or the function",
        "The type or the function is misspelt, a newer version of the package wrote the state, or the program's SDK is "
        "newer than the plugin.",
        "Check the spelling, or install the version that the program or the state needs.",
        ("stacks has no resource 'stacks:index:Database'", "install a newer plugin"),
        program='db = pulumi.CustomResource("stacks:index:Database", "db", {})',
        act=PREVIEW,
        prepare=_native,
    ),
)
