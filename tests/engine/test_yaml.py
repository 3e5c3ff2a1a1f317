"""A program in YAML, with the native plugin, on the real engine and the real language host."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.languages import lives, names
from tests.support.snippets import snippets
from tests.support.stack import Stack

SHOP = """\
name: tests
runtime: yaml
resources:
  database:
    type: stacks:index:Container
    properties: {name: orders-db, template: postgresql}
  app:
    type: stacks:index:Container
    properties: {template: nodejs, externalAccess: true}
  link:
    type: stacks:index:Connection
    properties: {source: "${app.id}", target: "${database.id}", name: primary-db}
  office:
    type: stacks:index:AllowedIp
    properties: {container: "${app.id}", ipAddress: 198.51.100.0/24, serviceType: http}
variables:
  looked-up:
    fn::invoke:
      function: stacks:index:getContainer
      arguments: {id: "${app.id}"}
outputs:
  url: ${app.url}
  price: ${database.monthlyPriceUsd}
  status: ${looked-up.status}
  environment: ${link.environmentVariables}
"""


def test_the_life_of_a_program(stack: Stack, emulator: Emulator, yaml_language_host: Path) -> None:
    stack.yaml(SHOP, yaml_language_host)

    lives(stack, emulator)


@beyond_a_grant.PREVIEW
def test_a_mistake_is_reported_with_the_names_of_the_program(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    stack.yaml(SHOP.replace("ipAddress: 198.51.100.0/24", "ipAddress: 10.0.0.7/24"), yaml_language_host)
    failed = stack.up_fails()
    assert "property ipAddress" in failed.text
    assert "host bits set" in failed.text

    stack.yaml(SHOP.replace("externalAccess", "externalAcess"), yaml_language_host)
    assert "externalAcess" in stack.preview_fails().text


def test_a_container_made_by_hand_is_imported(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    emulator.load([{"name": "web", "template": "nodejs", "plan": "standard"}])
    program = """\
name: tests
runtime: yaml
resources:
  web:
    type: stacks:index:Container
    properties: {template: nodejs, plan: standard}
"""
    stack.yaml(f"{program}    options: {{import: {emulator.account}-web}}\n", yaml_language_host)

    assert stack.up(quiet_afterwards=False).changes == {"create": 1, "import": 1}
    stack.yaml(program, yaml_language_host)
    assert stack.up(quiet_afterwards=False).changes == {}
    stack.refresh()
    assert [it.method for it in emulator.requests if it.method != "GET"] == []


def test_the_program_in_the_documentation_runs(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    (page,) = (it.text for it in snippets("yaml") if "runtime: yaml\nplugins:" in it.text)
    program = yaml.safe_load(page)
    program["name"] = "tests"
    program["plugins"]["providers"][0]["path"] = str(Path(sys.prefix) / "bin")
    del program["resources"]["database"]["options"]  # a protected resource could not be destroyed at the end
    stack.yaml(yaml.safe_dump(program), yaml_language_host)

    assert stack.up(quiet_afterwards=False).changes == {"create": 4}
    assert stack.outputs()["url"].endswith(".stackshosting.cloud")
    assert names(emulator) == {"orders", "orders-db"}
    stack.destroy()
