"""A program in YAML, with the native plugin, on the real engine and the real language host."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(900)  # the language host may have to be built

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


def names(emulator: Emulator) -> set[str]:
    """What is in the account."""
    emulator.advance(1)
    return {container.name for container in emulator.state.containers.values()}


def test_a_program_lives_from_its_preview_to_its_end(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    stack.yaml(SHOP, yaml_language_host)

    preview = stack.preview()
    assert emulator.calls() == 0
    assert preview.changes == {"create": 5}

    assert stack.up().changes == {"create": 5}
    outputs = stack.outputs()
    assert outputs["url"].endswith(".stackshosting.cloud")
    assert (outputs["price"], outputs["status"], outputs["environment"]) == (4, "running", "[secret]")
    assert names(emulator) == {"app", "orders-db"}

    stack.refresh()
    # Without external access there is no allowed address either.
    emulator.drift.set_external_access("app", enabled=False)
    assert stack.refresh(drift=True).changes == {"update": 1, "delete": 1}
    mended = stack.up()
    assert (mended.steps("app"), mended.steps("office")) == (["update"], ["create"])
    stack.destroy()
    assert names(emulator) == set()


def test_a_mistake_is_reported_with_the_names_of_the_program(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    stack.yaml(SHOP.replace("ipAddress: 198.51.100.0/24", "ipAddress: 10.0.0.7/24"), yaml_language_host)
    failed = stack.up_fails()
    assert "property ipAddress" in failed.text
    assert "host bits set" in failed.text

    stack.yaml(SHOP.replace("externalAccess", "externalAcess"), yaml_language_host)
    assert "externalAcess" in stack.preview_fails().text


def test_what_was_made_by_hand_is_imported_into_a_program(
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
    assert stack.up().changes == {}
    stack.refresh()
    assert [it.method for it in emulator.requests if it.method != "GET"] == []
