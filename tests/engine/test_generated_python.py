"""Programs in Python with the generated SDK on the real engine. The SDK can be installed together with this package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.languages import examples, imports, lives, project_file
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(1800)  # the language hosts may have to be built

LAYER = Path(__file__).parents[1] / "support" / "thin_layer.py"

SHOP = """\
import pulumi
import pulumi_stacks as stacks

database = stacks.Container("database", name="orders-db", template=stacks.Template.POSTGRESQL)
app = stacks.Container("app", template="nodejs", external_access=True)
link = stacks.Connection("link", source=app.id, target=database.id, name="primary-db")
stacks.AllowedIp("office", container=app.id, ip_address="198.51.100.0/24", service_type="http")

pulumi.export("url", app.url)
pulumi.export("price", database.monthly_price_usd)
pulumi.export("status", stacks.get_container_output(id=app.id).status)
pulumi.export("environment", link.environment_variables)
"""

MOCKED = """
import runpy
import sys

import pulumi

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", args.inputs

    def call(self, args):
        return {}

pulumi.runtime.set_all_config({"project:backupNumber": "42", "project:customerKey": "a key"})
for program in sys.argv[1:]:
    pulumi.runtime.set_mocks(Mocks())
    pulumi.runtime.test(lambda: runpy.run_path(program))()
"""


@pytest.fixture(scope="module")
def installed(sdks: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the SDK is installed."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", folder, sdks("python")], check=True)
    return folder


@pytest.fixture
def beside(stack: Stack, installed: Path) -> Stack:
    """A stack with the generated SDK next to its program. Because of the module path, its processes are not forked."""
    for it in installed.iterdir():
        (stack.folder / it.name).symlink_to(it)
    return stack


@pytest.fixture
def python(beside: Stack, language_hosts: Path) -> Stack:
    """A stack whose program uses the generated SDK, with the language host from `language_hosts`."""
    beside.project({"Pulumi.yaml": project_file("python")}, language_hosts)
    return beside


def test_the_life_of_a_program(python: Stack, emulator: Emulator, language_hosts: Path) -> None:
    python.project({}, language_hosts)
    (python.folder / "__main__.py").write_text(SHOP, encoding="utf-8")

    lives(python, emulator)


def test_an_import_writes_its_code(python: Stack, emulator: Emulator) -> None:
    code = imports(python, emulator, "__main__.py")

    assert "import pulumi_stacks as stacks" in code
    assert 'stacks.Container("web"' in code


def test_every_example_runs_on_mocks(installed: Path, tmp_path: Path) -> None:
    programs = {tmp_path / f"{kind}.py": text for kind, text in examples("python")}
    for program, text in programs.items():
        program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", MOCKED, *programs],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert programs
    assert done.returncode == 0, done.stderr


MOVED = """
app = stacks.Container("app", template="nodejs", external_access=True)
sql = stacks.Container("sql", template="postgresql")
stacks.Connection("link", source=app, target=sql, name="primary-db")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24")
pulumi.export("url", app.url)
"""
TEAM = """
url = pulumi.Config("stacks").require("baseUrl")
team = stacks.Provider("team-b", api_key=pulumi.Config().require_secret("apiKey"), base_url=url)
site = stacks.Container("site", template="nodejs", external_access=True, opts=pulumi.ResourceOptions(provider=team))
stacks.AllowedIp("home", container=site, ip_address="198.51.100.7")
"""


def thin(stack: Stack, source: str) -> None:
    """Use a program with the prototype for decision 18, which keeps the names of this package."""
    shutil.copy(LAYER, stack.folder / "layer.py")
    text = f"import pulumi\nimport layer as stacks\n\n{source}"
    (stack.folder / "__main__.py").write_text(text, encoding="utf-8")


@beyond_a_grant.OWN_KEY
def test_a_program_of_this_package_moves_to_a_thin_layer_on_the_sdk(
    beside: Stack, emulator: Emulator
) -> None:
    stack = beside
    stack.set("stacks:namePattern", "${name}-${stack}")
    stack.set("stacks:deleteChildrenWithContainer", "true")
    stack.program(MOVED)
    stack.up()
    before = stack.outputs()
    writes = [it.path for it in emulator.requests if it.method != "GET"]

    stack.native()
    thin(stack, MOVED)

    # The engine counts no change; only the types in the state differ.
    assert stack.up(quiet_afterwards=False).changes == {}
    assert stack.outputs() == before
    assert [it.path for it in emulator.requests if it.method != "GET"] == writes
    held = stack.resources()
    assert {it["type"].rpartition(":")[0] for it in held.values()} == {"stacks:index"}
    assert held["app"]["outputs"]["name"] == "app-dev", "the plugin applies the name pattern"
    assert held["office"]["deletedWith"] == held["app"]["urn"]
    assert held["link"]["deletedWith"] == held["app"]["urn"]

    other = emulator.new_account()
    stack.set("tests:apiKey", emulator.new_key(account=other))
    thin(stack, MOVED + TEAM)
    stack.up()
    assert stack.resources()["home"]["provider"] == stack.resources()["site"]["provider"]

    calls = len(emulator.requests)
    stack.destroy()
    deleted = [it.operation for it in emulator.requests[calls:] if it.method == "DELETE"]
    assert set(deleted) == {"containers.delete"}, "the children end with their containers"
    assert emulator.state.containers == {}
