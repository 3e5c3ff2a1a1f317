"""The generated SDK for C#. It is compiled only if .NET is installed, which its language host and its packages need."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.hosts.plugin.wire import parsed
from stacks_pulumi.pricing.recognition import KINDS, NATIVE
from tests.support.languages import ROOT, examples
from tests.support.node import run

pytestmark = pytest.mark.timeout(1800)  # the code generators may have to be built

_PROJECT = """\
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net8.0</TargetFramework>
    <Nullable>enable</Nullable>
    <TreatWarningsAsErrors>false</TreatWarningsAsErrors>
  </PropertyGroup>
  <ItemGroup>
    <ProjectReference Include="{sdk}/StacksPulumi.Stacks.csproj" />
  </ItemGroup>
</Project>
"""


def test_each_kind_has_a_class_with_its_inputs_and_secrets(sdks: Callable[[str], Path]) -> None:
    sdk = sdks("dotnet")

    for kind in KINDS:
        text = (sdk / f"{kind}.cs").read_text(encoding="utf-8")
        resource = parsed()["resources"][f"{NATIVE}{kind}"]
        assert "namespace StacksPulumi.Stacks\n" in text
        assert set(re.findall(r'\[Input\("(\w+)"', text.partition("Args :")[2])) == set(
            resource["inputProperties"]
        )
        assert f'base("{NATIVE}{kind}"' in text
        secret = {name for name, it in resource["properties"].items() if it.get("secret")}
        assert (
            set(re.findall(r'"(\w+)",$', text.partition("AdditionalSecretOutputs")[2], re.MULTILINE))
            == secret
        )


def test_its_package_has_the_version_the_publisher_and_the_logo(sdks: Callable[[str], Path]) -> None:
    sdk = sdks("dotnet")

    package = (sdk / "StacksPulumi.Stacks.csproj").read_text(encoding="utf-8")
    assert f"<Version>{parsed()['version']}</Version>" in package
    assert f"<Authors>{parsed()['publisher']}</Authors>" in package
    assert (
        json.loads((sdk / "pulumi-plugin.json").read_text(encoding="utf-8"))["version"] == parsed()["version"]
    )
    assert (sdk / "logo.png").read_bytes() == (ROOT / "docs/images/logo.png").read_bytes()


def test_every_sample_compiles(sdks: Callable[[str], Path], tmp_path: Path) -> None:
    if shutil.which("dotnet") is None:
        pytest.skip("needs dotnet")
    sdk = sdks("dotnet")
    for kind, text in examples("csharp"):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "Program.cs").write_text(text, encoding="utf-8")
        (folder / "sample.csproj").write_text(_PROJECT.format(sdk=sdk), encoding="utf-8")
        run("dotnet", "build", "--nologo", cwd=folder)
