"""A program in YAML is data only if it has nothing that runs code or reads what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.gate.program import own_code

PROGRAM = """\
name: shop
description: A shop
runtime: yaml
variables:
  words: {"fn::split": [",", "a,b"]}
resources:
  orders:
    type: stacks:index:Container
    properties:
      template: nodejs
      name: {"fn::join": ["-", ["orders", "${pulumi.stack}"]]}
    options: {protect: true, dependsOn: ["${cache}"]}
  cache:
    type: stacks:Container
    properties: {template: redis-micro}
  link:
    type: stacks:Connection
    properties: {source: "${orders.id}", target: usr-1-other}
outputs:
  url: ${orders.url}
"""


def found(folder: Path, text: str) -> str:
    """Return why a program may run code."""
    (folder / "Pulumi.yaml").write_text(text, encoding="utf-8")
    return own_code(folder)


def test_a_program_of_our_resources_is_data(tmp_path: Path) -> None:
    assert found(tmp_path, PROGRAM) == ""
    assert found(tmp_path, PROGRAM.replace("runtime: yaml", "runtime: {name: yaml}")) == ""
    assert found(tmp_path, "name: empty\nruntime: yaml\nresources:\n") == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("runtime: yaml", "runtime: python"),
        ("runtime: yaml", "runtime: {name: yaml, options: {compiler: ./run}}"),
        ("runtime: yaml", "runtime: yaml\nplugins: {providers: [{name: stacks, path: ./bin}]}"),
        ("runtime: yaml", "runtime: yaml\nPlugins: {providers: [{name: stacks, path: ./bin}]}"),
        ("runtime: yaml", "runtime: yaml\nbackend: {url: 'https://example.com'}"),
        ("runtime: yaml", "runtime: yaml\nconfig: {'stacks:baseUrl': {value: 'https://example.com'}}"),
        ("runtime: yaml", "runtime: yaml\nmain: other"),
        ("runtime: yaml", "runtime: yaml\ncomponents: {}"),
        ("runtime: yaml", "runtime: yaml\nRuntime: python"),
        ("runtime: yaml", "runtime: yaml\nruntime: python"),
        ("fn::split", "fn::readFile"),
        ("fn::split", "FN::READFILE"),
        ("fn::split", " fn::readFile"),
        ("fn::split", "fn::invoke"),
        ("fn::split", "fn::evil:index:run"),
        ("fn::split", "xfn::evil:run"),
        ("fn::split", "fn::stackReference"),
        ("fn::join", "fn::fileAsset"),
        ('{"fn::split": [",", "a,b"]}', '{"fn::split": [",", "a,b"], "fn::readFile": /etc/passwd}'),
        ('{"fn::split": [",", "a,b"]}', '{"fn::secret": {"fn::readFile": /etc/passwd}}'),
        ('"${cache}"', '{"fn::readFile": /etc/passwd}'),
        ("${orders.url}", "{a: [{'fn::readFile': /etc/passwd}]}"),
        ("stacks:Container", "evil:index:Thing"),
        ("stacks:Container", "pulumi:providers:stacks"),
        ("stacks:Container", "stacks:index:Container:more"),
        ("stacks:Container", "pulumi:pulumi:StackReference"),
        ("protect: true", "protect: false"),
        ("protect: true", "version: 9.9.9"),
        ("protect: true", "pluginDownloadURL: 'https://example.com'"),
        ("protect: true", "provider: ${cache}"),
        ("protect: true", "import: usr-1-orders"),
        ("protect: true", "aliases: [old]"),
        ("protect: true", "retainOnDelete: true"),
        ("    options:", "    get: {id: usr-1-orders}\n    options:"),
        ("    options:", "    defaultProvider: true\n    options:"),
        ("template: nodejs", "template: nodejs\n      adopt: if_matching"),
        ("template: nodejs", "template: nodejs\n      Adopt: if_matching"),
        ("template: nodejs", "<<: {adopt: if_matching}"),
        ('"${orders.id}"', '"${orders.id}-x"'),
        ('"${orders.id}"', '"${orders.name}"'),
        ('"${orders.id}"', '"${id}"'),
        # A variable can have a computed id.
        ('"${orders.id}"', '"${words.id}"'),
        ('"${orders.id}"', '{"fn::join": ["-", ["${orders.id}", "x"]]}'),
        ("source:", "Source: '${orders.url}', x:"),
        ("target: usr-1-other", "target: 'usr-1-${pulumi.stack}'"),
        ("template: nodejs", "template: &a nodejs"),
        ("template: nodejs", "template: !!python/object:os.system nodejs"),
        ("template: nodejs", "template: !!str nodejs"),
        ("template: nodejs", "template:\tnodejs"),
        ("template: nodejs", "template: nodejs # \u2028evil"),
        ("name: shop", "%YAML 1.1\n---\nname: shop"),
        ("template: nodejs", "restartTriggers: [{4dabf18193072939515e22adb298388d: x, uri: /etc/passwd}]"),
        ("${orders.url}", "{4dabf18193072939515e22adb298388d: x, path: /etc/passwd}"),
        ("url: ${orders.url}", "4dabf18193072939515e22adb298388d: x"),
        ("${orders.url}", "{'${words}': x}"),
        ("${orders.url}", "{'fn::toJSON': {'fn::select': 1, b: 2}}"),
        ("name: shop", "\ufeffname: shop"),
        ("outputs:\n", "...\n---\noutputs:\n"),
        ("outputs:\n", "outputs: [\n"),
        ("resources:\n", "resources: []\nresource:\n"),
        ("  cache:\n", "  ? [cache]\n  :\n"),
    ],
)
def test_what_is_not_listed_may_be_code(tmp_path: Path, before: str, after: str) -> None:
    assert before in PROGRAM

    assert found(tmp_path, PROGRAM.replace(before, after, 1))


@pytest.mark.parametrize(
    "name", ["Main.yaml", "Main.json", "main.yaml", "Pulumi.json", "Pulumi.yml", "PulumiPlugin.yaml"]
)
def test_another_file_may_be_the_program(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")

    assert found(tmp_path, PROGRAM) == f"{name} may be a part of the program"


def test_a_program_that_cannot_be_read_may_be_code(tmp_path: Path) -> None:
    assert own_code(tmp_path) == "Pulumi.yaml cannot be read"
    (tmp_path / "Pulumi.yaml").write_bytes(b"\xff\xfe")
    assert own_code(tmp_path) == "Pulumi.yaml cannot be read"
    assert found(tmp_path, "[" * 5000).startswith(
        "Pulumi.yaml: line 1, the program: it is nested more than 50"
    )
