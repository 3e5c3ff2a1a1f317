"""Programs in TypeScript, with the generated SDK, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.examples import EXAMPLES
from tests.support.languages import examples, imports, lives, node_modules, project_file
from tests.support.node import run
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(1800)  # the language hosts may have to be built

QUICKSTART = EXAMPLES / "quickstart_typescript"
SHOP = """\
import * as stacks from "stacks-pulumi";

const database = new stacks.Container("database", { name: "orders-db", template: stacks.Template.Postgresql });
const app = new stacks.Container("app", { template: "nodejs", externalAccess: true });
const link = new stacks.Connection("link", { source: app.id, target: database.id, name: "primary-db" });
new stacks.AllowedIp("office", { container: app.id, ipAddress: "198.51.100.0/24", serviceType: "http" });

export const url = app.url;
export const price = database.monthlyPriceUsd;
export const status = stacks.getContainerOutput({ id: app.id }).status;
export const environment = link.environmentVariables;
"""


@pytest.fixture(scope="module")
def packages(sdks: Callable[[str], Path]) -> Path:
    """Return a folder of npm packages, with the generated one."""
    return node_modules(sdks("nodejs"))


@pytest.fixture
def typescript(stack: Stack, packages: Path, language_hosts: Path) -> Stack:
    """A stack whose program is in TypeScript."""
    (stack.folder / "node_modules").symlink_to(packages)
    stack.project(
        {"Pulumi.yaml": project_file("nodejs"), "package.json": '{"main": "index.ts"}'}, language_hosts
    )
    # The compiler checks the programs below once, not in each command.
    stack.env["PULUMI_NODEJS_TRANSPILE_ONLY"] = "true"
    return stack


def test_the_life_of_a_program(typescript: Stack, emulator: Emulator, language_hosts: Path) -> None:
    typescript.project({"index.ts": SHOP}, language_hosts)

    lives(typescript, emulator)


def test_an_import_writes_its_code(typescript: Stack, emulator: Emulator, language_hosts: Path) -> None:
    typescript.project({"index.ts": ""}, language_hosts)

    assert 'new stacks.Container("web"' in imports(typescript, emulator, "index.ts")


def test_an_import_of_a_key_leaves_the_links_of_other_children(
    typescript: Stack, emulator: Emulator, language_hosts: Path
) -> None:
    emulator.load([{"name": "web", "template": "nodejs"}])
    emulator.drift.set_external_access("web", enabled=True)
    emulator.drift.allow_ip("web", "198.51.100.7")
    web = f"{emulator.account}-web"
    ids = {"Container": web, "SshCertificate": f"{web}/ssh", "AllowedIp": f"{web}/198.51.100.7"}
    resources = [
        {"type": f"stacks:index:{kind}", "name": name, "id": id_}
        for name, (kind, id_) in zip(("web", "key", "office"), ids.items(), strict=True)
    ]
    typescript.project({"index.ts": "", "import.json": json.dumps({"resources": resources})}, language_hosts)

    typescript.cli("import", "--file", "import.json", "--yes", "--out", "index.ts")

    code = (typescript.folder / "index.ts").read_text(encoding="utf-8")
    assert code.count("container: web.id") == 2
    assert web not in code
    assert typescript.up(quiet_afterwards=False).changes == {}


@beyond_a_grant.PREVIEW
def test_the_quickstart(typescript: Stack, emulator: Emulator, language_hosts: Path, packages: Path) -> None:
    files = {name: (QUICKSTART / name).read_text(encoding="utf-8") for name in ("index.ts", "tsconfig.json")}
    typescript.project(files, language_hosts)

    run(packages / ".bin" / "tsc", cwd=typescript.folder)
    typescript.up()

    (app,) = (it for it in emulator.state.containers.values() if it.name == "orders")
    assert typescript.outputs() == {"url": app.url, "monthlyPriceUsd": 8}
    assert not app.env_pending, "the app was restarted and sees its database"
    typescript.set("protect", "true")
    typescript.up(quiet_afterwards=False)
    assert "protected" in typescript.destroy_fails().text
    typescript.set("protect", "false")
    typescript.up(quiet_afterwards=False)
    typescript.destroy()
    assert emulator.state.containers == {}


WORDS = """\
import * as pulumi from "@pulumi/pulumi";
import * as stacks from "stacks-pulumi";

declare const text: string;
const output: pulumi.Output<string> = pulumi.output(text);
const db = new stacks.Container("db", { template: "postgresql", plan: "basic" });
new stacks.Container("new", { template: "a-new-template", plan: "a-new-plan" });
new stacks.Container("text", { template: text, plan: output });
new stacks.Container("copy", { template: db.template, plan: db.plan.apply(plan => plan ?? stacks.Plan.Basic) });
const backup = new stacks.PinnedBackup("before", { container: db.id });
new stacks.BackupRestore("number", { backupId: backup.backupId });
new stacks.BackupRestore("text", { backupId: "42" });
new stacks.BackupRestore("id", { backupId: backup.id });
"""

COMPLETIONS = """\
const ts = require("typescript");
const name = process.cwd() + "/completed.ts";
const text = `import * as stacks from "stacks-pulumi";
new stacks.Container("web", { template: "", plan: "" });`;
const host = {
    getScriptFileNames: () => [name],
    getScriptVersion: () => "1",
    getScriptSnapshot: file =>
        ts.ScriptSnapshot.fromString(file === name ? text : (ts.sys.readFile(file) ?? "")),
    getCurrentDirectory: () => process.cwd(),
    getCompilationSettings: () => ({ strict: true, module: 1, skipLibCheck: true }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
};
const service = ts.createLanguageService(host);
const words = property => {
    const at = text.indexOf(`${property}: "`) + property.length + 3;
    return service.getCompletionsAtPosition(name, at, {})?.entries.map(it => it.name) ?? [];
};
console.log(JSON.stringify({ template: words("template"), plan: words("plan") }));
"""


OWN_KEY = """\
import * as pulumi from "@pulumi/pulumi";
import * as stacks from "stacks-pulumi";

const apiKey = pulumi.secret(process.env.TEAM_KEY!);
const team = new stacks.Provider("team", { apiKey, baseUrl: process.env.TEAM_URL });
new stacks.Container("web", { template: "nodejs" }, { provider: team });
"""


def test_only_debug_output_has_the_key_of_a_provider_resource(
    typescript: Stack, emulator: Emulator, language_hosts: Path
) -> None:
    """Pulumi's SDK writes the key. If this test fails, correct SECURITY.md about `--debug`."""
    typescript.cli("config", "rm", "stacks:apiKey")
    typescript.env |= {"TEAM_KEY": emulator.key, "TEAM_URL": emulator.url}
    typescript.project({"index.ts": OWN_KEY}, language_hosts)

    said = {option: typescript.engine("preview", *option).text for option in ((), ("--debug",))}

    assert {option: emulator.key in text for option, text in said.items()} == {(): False, ("--debug",): True}


def test_known_words_are_completed(packages: Path) -> None:
    folder = packages.parent
    (folder / "completions.js").write_text(COMPLETIONS, encoding="utf-8")

    completed = json.loads(run("node", "completions.js", cwd=folder))

    assert set(completed["plan"]) == {"micro", "basic", "standard", "premium"}
    assert {"nodejs", "postgresql", "ubuntu-micro"} <= set(completed["template"])


def test_every_example_and_every_program_compiles_and_a_mistake_does_not(packages: Path) -> None:
    folder = packages.parent
    programs = {"shop": SHOP, "own_key": OWN_KEY, "words": WORDS}
    files = {f"{name}.ts": text for name, text in (*examples("typescript"), *programs.items())}
    line = "externalAccess: true"
    assert line in files["Container.ts"]
    # If the next line contains no mistake, the compiler reports this comment as an error.
    mistake = '// @ts-expect-error\nexternalAccess: "yes"'
    files["wrong.ts"] = files["Container.ts"].replace(line, mistake)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    options = {"strict": True, "noEmit": True, "target": "es2020", "module": "commonjs", "skipLibCheck": True}
    config = {"compilerOptions": options, "files": list(files)}
    (folder / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")

    run(packages / ".bin" / "tsc", cwd=folder)
