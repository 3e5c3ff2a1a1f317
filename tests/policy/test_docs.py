"""The documentation agrees with the policies."""

from __future__ import annotations

import ast
import datetime
import json
import re
from pathlib import Path

import pytest

from stacks_pulumi.policy import EXPOSURE, PLANS, SPEND
from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.options import Settings, configuration_of
from tests.support.packs import ROOT

PACKS = {"plans": PLANS, "spend": SPEND, "exposure": EXPOSURE}
PAGE = ROOT / "docs/policies.md"
OWN = ROOT / "docs/own-policy-pack.md"
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(file: Path, language: str) -> list[str]:
    return [text for kind, text in CODE.findall(file.read_text(encoding="utf-8")) if kind == language]


@pytest.mark.parametrize("file", [PAGE, *(ROOT / "policies" / pack / "README.md" for pack in PACKS)], ids=str)
def test_every_sample_configuration_is_valid(file: Path) -> None:
    samples = [json.loads(text) for text in blocks(file, "json")]

    assert samples
    for sample in samples:
        read = configuration_of(sample, datetime.date(2026, 12, 1), 366)
        assert read.problems == ()
        for policy, entry in read.policies.items():
            options = (
                {} if isinstance(entry, str) else {k: v for k, v in entry.items() if k != "enforcementLevel"}
            )
            assert Settings(rules()[policy].all_options, options).problems == []


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_has_three_lines_and_a_description(pack: str) -> None:
    folder = ROOT / "policies" / pack
    lines = [line for line in (folder / "__main__.py").read_text(encoding="utf-8").splitlines() if line]
    about = (folder / "PulumiPolicy.yaml").read_text(encoding="utf-8")

    assert len(lines) <= 3
    assert re.search(r'^description: "STACKS: .+\."$', about, re.MULTILINE)
    assert re.search(r"^version: \d+\.\d+\.\d+$", about, re.MULTILINE)


def test_the_tests_in_the_documentation_pass() -> None:
    [source] = [text for text in blocks(OWN, "python") if "def test_" in text]
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    space: dict[str, object] = {}
    exec(
        compile(source.replace('"policies/spend"', f"{str(ROOT / 'policies/spend')!r}"), str(OWN), "exec"),
        space,
    )

    assert len(names) == 2
    for name in names:
        test = space[name]
        assert callable(test)
        test()


def test_the_rule_in_the_documentation_works(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacks_pulumi.policy import StacksGuard
    from stacks_pulumi.policy.testing import UNKNOWN, PackTester, container

    [source] = [text for text in blocks(OWN, "python") if "no_wordpress_in_public" in text]
    guards: list[StacksGuard] = []

    def keep(guard: StacksGuard) -> None:
        guards.append(guard)

    monkeypatch.setattr(StacksGuard, "run", keep)
    exec(compile(source, str(OWN), "exec"), {})

    [guard] = guards
    pack = PackTester(guard)
    pack.preview(container("blog", "wordpress", external_access=True)).assert_blocked_by(
        "no-public-wordpress", "'blog'"
    )
    pack.preview(container("x", UNKNOWN, external_access=True)).assert_warned_by(
        "no-public-wordpress", "template"
    )
    assert pack.preview(container("blog", "wordpress")).of("no-public-wordpress") == ()
