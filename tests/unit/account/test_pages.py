"""docs/account.md agrees with the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from stacks_pulumi.account.budgets import read_budgets
from stacks_pulumi.account.reconcile import Ownership
from stacks_pulumi.cli import main
from tools.docs.exports import Accounts

DOCS = Path(__file__).parents[3] / "docs"
ACCOUNT = (DOCS / "account.md").read_text(encoding="utf-8")


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
