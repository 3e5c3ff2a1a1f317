"""Neither a project nor the environment chooses how the gate runs the engine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi._pulumi_cli import InputError, PulumiError
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import engine
from stacks_pulumi.gate import project as project_files
from stacks_pulumi.gate.engine import Engine
from stacks_pulumi.gate.settings import GatePack, strict
from tests.tools.fake_executables import executable

_ECHO = """\
#!/bin/sh
case "$*" in
"stack --show-name"*) echo organization/shop/prod ;;
"version"*) echo v3.259.0 ;;
"plugin ls"*) echo '[{"name": "random", "kind": "resource", "version": "4.16.0"}]' ;;
*) env ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a `pulumi` that prints its environment."""
    executable(tmp_path / "bin" / "pulumi", _ECHO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///state")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: {name: python}\n", encoding="utf-8")
    return folder


def test_the_engine_gets_only_variables_that_say_who_the_user_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "PULUMI_OPTION_IGNORE_PROTECT": "true",
        "PULUMI_CONTINUE_ON_ERROR": "true",
        "PULUMI_EXPERIMENTAL": "false",
        "PULUMI_DEBUG_PROVIDERS": "stacks:1234",
        "pulumi_neo": "true",
        "PULUMI_CONFIG_PASSPHRASE": "secret",
        "PULUMI_DIY_BACKEND_GZIP": "true",
        "STACKS_API_KEY": "a key",
        "AWS_REGION": "eu-central-1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    pulumi = engine.opened(project, None, None)

    assert (pulumi.stack, pulumi.runtime, pulumi.backend) == (
        "organization/shop/prod",
        "python",
        "file:///state",
    )
    passed = dict(line.split("=", 1) for line in pulumi.export().decode().splitlines() if "=" in line)
    assert passed["PULUMI_EXPERIMENTAL"] == "true"
    assert {name for name in passed if name.upper().startswith("PULUMI_")} == {
        "PULUMI_BACKEND_URL",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_DIY_BACKEND_GZIP",
        "PULUMI_EXPERIMENTAL",
        "PULUMI_SKIP_UPDATE_CHECK",
    }
    # A command that runs no program does not get the key.
    assert not any(name.startswith("STACKS_") for name in passed)
    assert passed["AWS_REGION"] == "eu-central-1"
    assert "secret" not in repr(pulumi)


def test_the_backend_is_that_of_the_login(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    (tmp_path / "credentials.json").write_text('{"current": "s3://bucket"}', encoding="utf-8")

    assert engine.opened(project, None, None).environment["PULUMI_BACKEND_URL"] == "s3://bucket"


@pytest.mark.parametrize(
    "setting",
    [
        "backend",
        "plugins",
        "packages",
        "options",
        "main",
        "stackConfigDir",
        "Backend",
        "PLUGINS",
        "stackconfigdir",
    ],
)
def test_a_setting_that_runs_other_code_is_refused_unless_the_gate_allows_it(setting: str) -> None:
    content: dict[str, Any] = {"name": "shop", "runtime": "yaml", setting: {}}
    (spelled,) = [name for name in project_files.REFUSED if name.casefold() == setting.casefold()]

    with pytest.raises(InputError, match=f"sets `{spelled}`, which can run other code or move the stack"):
        project_files.check(Path("Pulumi.yaml"), content, frozenset())

    project_files.check(Path("Pulumi.yaml"), content, frozenset({spelled}))


def test_a_program_in_yaml_has_no_compiler_unless_the_gate_allows_it() -> None:
    content = {"name": "shop", "runtime": {"name": "yaml", "options": {"compiler": "sh -c 'touch ran'"}}}

    with pytest.raises(InputError, match="sets `options`"):
        project_files.check(Path("Pulumi.yaml"), content, frozenset())

    project_files.check(Path("Pulumi.yaml"), content, frozenset({"options"}))


@pytest.mark.parametrize("config", ["other", b"other"])
def test_a_text_as_config_is_another_folder_for_the_settings(config: object) -> None:
    content = {"name": "shop", "runtime": "python", "config": config}

    with pytest.raises(InputError, match="sets `stackConfigDir`"):
        project_files.check(Path("Pulumi.yaml"), content, frozenset())

    project_files.check(Path("Pulumi.yaml"), {**content, "config": {}}, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "runtime: python\n!!binary cGx1Z2lucw==: {providers: [{name: stacks, path: evil}]}\n",
        "runtime: !!binary eWFtbA==\n",
        "runtime: {name: !!binary eWFtbA==, options: {compiler: ./run}}\n",
        "runtime: {name: yaml, !!binary b3B0aW9ucw==: {compiler: ./run}}\n",
    ],
)
def test_a_name_that_only_the_engine_reads_is_refused(project: Path, text: str) -> None:
    """The engine reads the first one as `plugins`."""
    (project / "Pulumi.yaml").write_text(f"name: shop\n{text}", encoding="utf-8")

    with pytest.raises(InputError, match="no plain text"):
        engine.opened(project, None, strict(project))


def test_a_project_that_cannot_be_read_is_refused(project: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a project"):
        project_files.check(project / "Pulumi.yaml", {}, frozenset())
    with pytest.raises(InputError, match=r"has no Pulumi\.yaml"):
        engine.opened(project.parent, None, None)


def test_environments_of_a_stack_are_refused_unless_the_gate_allows_them() -> None:
    project_files.check_stack({"config": {}}, frozenset())
    with pytest.raises(InputError, match="can change after the approval"):
        project_files.check_stack({"environment": ["shared"]}, frozenset())
    project_files.check_stack({"environment": ["shared"]}, frozenset({"environment"}))


@pytest.mark.parametrize("name", ["packageDeclarationVersion", "parameterization", "Environment", "<<"])
def test_the_settings_of_a_stack_are_no_declaration_of_a_package(name: str) -> None:
    """The language host for YAML would run the plugin that such a file names."""
    with pytest.raises(InputError, match="no setting of a stack"):
        project_files.check_stack({"config": {}, name: "1"}, frozenset({"environment"}))


@pytest.mark.parametrize(
    "text",
    [
        "config: {<<: {'stacks:baseUrl': 'https://evil.example'}}",
        "config:\n  <<: {'stacks:baseUrl': 'https://evil.example'}",
        "config: {!!binary c3RhY2tzOmJhc2VVcmw=: 'https://evil.example'}",
        "config: {'shop:a': &a b, 'shop:c': *a}",
        "config: {}\n--- \nconfig: {}",
    ],
)
def test_settings_of_a_stack_that_the_engine_reads_in_another_way_are_refused(
    tmp_path: Path, text: str
) -> None:
    """The key of `apply` would be sent to an address that the gate does not see."""
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="write plain values"):
        project_files.settings_in(file)


@pytest.mark.parametrize("names", [["stacks:config:baseUrl"], ["baseUrl", "stacks:baseUrl"]])
def test_a_key_of_the_configuration_in_two_spellings_is_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match="write it as PACKAGE:NAME"):
        project_files.check_stack({"config": dict.fromkeys(names, "1")}, frozenset())
    project_files.check_stack({"config": {"size": "1", "stacks:baseUrl": "1"}}, frozenset())


@pytest.mark.parametrize("name", ["name", "version", "pluginDownloadURL", "account"])
def test_a_key_of_our_package_that_only_the_engine_reads_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"'stacks:{name}', which this package does not have"):
        project_files.check_configuration(dict.fromkeys(["tests:name", "stacks:apiKey", f"stacks:{name}"]))
    project_files.check_configuration(dict.fromkeys(["tests:name", "stacks:apiKey", "stackshop:name"]))


def test_the_configuration_sets_no_tags_of_the_stack() -> None:
    """A budget or a policy may be for the stacks with a tag."""
    with pytest.raises(InputError, match="choose the stack's budgets and policies"):
        project_files.check_configuration(dict.fromkeys(["stacks:apiKey", "pulumi:tags"]))


def test_a_copy_of_a_program_has_nothing_that_may_run(project: Path, tmp_path: Path) -> None:
    """The engine starts plugins in the folder, and the language host takes files there for declarations of packages."""
    others = (
        "stacks.yaml",
        "main.json",
        "Pulumi.other.yaml",
        "grpc.py",
        "other.yml",
        "pulumi-facts.yml",
        "x/grpc.yml/a.py",
    )
    for name in (*others, "facts/platform.yml", "sdks/stacks.yaml", ".git/HEAD"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("packageDeclarationVersion: 1\n", encoding="utf-8")
    named = [
        "facts/platform.yml",
        "grpc.py",
        "pulumi-facts.yml",
        "stacks.yaml",
        "../project/other.yml",
        str(project / "other.yml"),
    ]
    settings = "".join(
        f"  tests:{number}: {name}\n" for number, name in enumerate(["stacks:platform", *named])
    )
    (project / "Pulumi.dev.yaml").write_text(f"config:\n{settings}", encoding="utf-8")

    copy, copies = engine.opened(project, "organization/shop/dev", None).copied(tmp_path / "copy")

    facts = Path("facts", "platform.yml")
    assert copies[project / facts] == copy.project / facts
    assert not (copy.project / facts).is_symlink()
    found = sorted(one.relative_to(copy.project).as_posix() for one in copy.project.rglob("*"))
    assert found == [".git", "Pulumi.dev.yaml", "Pulumi.yaml", "facts", "facts/platform.yml"]


def test_a_program_that_becomes_a_link_while_it_is_copied_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a link leads to can be changed after it was compared."""
    real, pulumi = shutil.copy, engine.opened(project, None, None)

    def swapped(file: Path, to: Path, **named: bool) -> None:
        text = file.read_text(encoding="utf-8")
        file.unlink()
        file.symlink_to("program.txt")
        real(file, to, **named)
        file.unlink()
        file.write_text(text, encoding="utf-8")

    monkeypatch.setattr(shutil, "copy", swapped)
    with pytest.raises(InputError, match="is a link"):
        pulumi.copied(tmp_path / "copy")


def _pack(folder: Path, text: str) -> GatePack:
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text(text, encoding="utf-8")
    return GatePack(folder, None)


def test_a_pack_starts_through_a_script_where_the_language_host_cannot_start_it(
    project: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    plain = _pack(tmp_path / "plain pack", "runtime: python\n")
    others = [
        _pack(tmp_path / "environment", "runtime: {name: python, options: {virtualenv: venv}}\n"),
        _pack(tmp_path / "node", "runtime: nodejs\n"),
    ]
    pulumi = engine.opened(project, None, None)

    words = pulumi.pack_options([plain, *others], scratch)

    started = words[1::4]
    assert started[1:] == [str(pack.path) for pack in others]
    text = Path(started[0]).read_text(encoding="utf-8")
    assert f"cd '{plain.path}' && exec {sys.executable} -u -m pulumi.policy \"$1\" ." in text
    # Each pack has a configuration, because they belong together by their position.
    assert words[2::4] == ["--policy-pack-config"] * 3
    assert {Path(word).read_text(encoding="utf-8") for word in words[3::4]} == {"{}"}

    executable(tmp_path / "bin" / "pulumi-analyzer-policy-python")
    assert pulumi.pack_options([plain], scratch)[1] == str(plain.path)


def test_a_folder_that_is_no_pack_is_refused(project: Path, tmp_path: Path) -> None:
    pulumi = engine.opened(project, None, None)
    (tmp_path / "empty").mkdir()

    for pack in (GatePack(tmp_path / "empty", None), _pack(tmp_path / "wrong", "version: 1.0.0\n")):
        with pytest.raises(ConfigError, match="is not a policy pack"):
            pulumi.pack_options([pack], tmp_path)


def test_the_versions_are_those_of_what_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = engine.opened(project, None, None)
    executable(tmp_path / "bin" / "pulumi-resource-stacks", "#!/bin/sh\necho 0.3.0\n")

    before = pulumi.versions(["pulumi", "pulumi-python", "random", "stacks", "tls"])

    assert before["pulumi"] == "v3.259.0"
    assert before["plugin random"] == "4.16.0"
    assert before["plugin stacks"] == "0.3.0 on PATH"
    assert before["plugin tls"] == "not installed"
    # A plugin on PATH is taken before an installed one, and its content is compared.
    file = executable(tmp_path / "bin" / "pulumi-resource-random")
    first = pulumi.versions(["random"])
    file.write_text("#!/bin/sh\ntrue\n", encoding="utf-8")
    assert (
        len({before["plugin random"], first["plugin random"], pulumi.versions(["random"])["plugin random"]})
        == 3
    )
    # The name of a package is the author's.
    executable(tmp_path / "pulumi-resource-x" / "pulumi-resource-stacks", "#!/bin/sh\nexit 1\n")
    monkeypatch.chdir(tmp_path)
    assert pulumi.versions(["x/pulumi-resource-stacks", "random"]).keys() == first.keys()
    executable(tmp_path / "bin" / "pulumi-resource-stacks", "#!/bin/sh\nexit 1\n")
    with pytest.raises(PulumiError, match="does not start"):
        pulumi.versions(["stacks"])


def test_the_settings_of_a_stack_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("config:\n  a: yes\n  b: 010\n  c: 1:30\n  d: 2020-01-01\n", encoding="utf-8")

    assert project_files.settings_in(file) == {
        "config": {"a": "yes", "b": "010", "c": "1:30", "d": "2020-01-01"}
    }
    file.write_text("config: [1]\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no settings of a stack"):
        project_files.settings_in(file)


@pytest.mark.parametrize(
    "name", ["Pulumi.json", "Pulumi.yml", "pulumi.YAML", "Pulumi.prod.json", "Pulumi.prod.yml"]
)
def test_a_second_file_that_the_engine_may_read_instead_is_refused(project: Path, name: str) -> None:
    (project / "Pulumi.prod.yaml").write_text("config: {}\n", encoding="utf-8")
    (project / name).write_text(
        '{"name": "shop", "runtime": "python", "backend": {"url": "file:///tmp"}}', encoding="utf-8"
    )

    with pytest.raises(InputError, match="keep one, because the engine and the gate may read different ones"):
        engine.opened(project, None, None).configuration("v1:sealed")


def test_settings_in_json_are_refused(project: Path) -> None:
    pulumi = Engine(project, "python", "organization/shop/prod", "file://", {})
    (project / "Pulumi.prod.json").write_text("{}", encoding="utf-8")

    with pytest.raises(InputError, match="in YAML only"):
        pulumi.configuration()
