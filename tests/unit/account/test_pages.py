"""docs/account.md and docs/scaffold.md agree with the commands."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from stacks_pulumi.account.budgets import read_budgets
from stacks_pulumi.account.reconcile import Ownership
from stacks_pulumi.cli import main
from stacks_pulumi.commands import account, scaffold
from tests.support.exports import Accounts

DOCS = Path(__file__).parents[3] / "docs"
ACCOUNT = (DOCS / "account.md").read_text(encoding="utf-8")
SCAFFOLD = (DOCS / "scaffold.md").read_text(encoding="utf-8")


def options(module: ModuleType) -> list[str]:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return [action.option_strings[-1] for action in parser._actions if action.option_strings]


@pytest.mark.parametrize(
    ("page", "option"),
    [
        *((ACCOUNT, option) for option in options(account)),
        *((SCAFFOLD, option) for option in options(scaffold)),
    ],
    ids=lambda value: value if value.startswith("--") else "",
)
def test_every_option_is_described(page: str, option: str) -> None:
    assert option == "--help" or f"`{option}" in page


def test_every_field_of_the_json_is_described(
    accounts: Accounts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts.emulator.load([{"name": "web", "template": "stacks-vpn"}])
    gone = accounts.container("gone", created_at="x")
    dev = accounts.export("dev.json", accounts.container("web"), gone)
    main(["account", "--state", dev, "--state", str(tmp_path / "nope"), "--children", "--json"])
    data: dict[str, Any] = json.loads(capsys.readouterr().out)

    table = ACCOUNT[ACCOUNT.index("## JSON") :]
    [web], [missing], [unread] = data["containers"], data["missing"], data["unread"]
    for field in (*data, *data["totals"], *web, *web["owners"][0], *web["children"][0], *missing, *unread):
        assert f"`{field}`" in table, field


def test_every_ownership_and_every_exit_code_has_its_row() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| ", ACCOUNT, re.MULTILINE)) >= set(get_args(Ownership))
    table = ACCOUNT[ACCOUNT.index("| Exit code") :]
    assert re.findall(r"^\| (\d) \|", table[: table.index("\n\n")], re.MULTILINE) == ["0", "1", "2"]


def test_the_budgets_on_the_page_are_valid(tmp_path: Path) -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```$", ACCOUNT, re.MULTILINE | re.DOTALL)
    (tmp_path / "budgets.yaml").write_text(text, encoding="utf-8")

    found = read_budgets(tmp_path / "budgets.yaml")

    assert [budget.name for budget in found.budgets] == ["development", "shop", "team=web"]
