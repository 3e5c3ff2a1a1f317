"""docs/cost.md agrees with the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stacks_pulumi.cost.result import CostResult, result_of
from tests.support.previews import preview, step, web

PAGE = (Path(__file__).parents[3] / "docs" / "cost.md").read_text(encoding="utf-8")


def test_every_field_of_the_json_is_described() -> None:
    import datetime

    from stacks_pulumi.cost.build import report_of
    from stacks_pulumi.cost.report import rest_of_month
    from stacks_pulumi.cost.result import document_of

    rest = rest_of_month(datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc))
    data = document_of(CostResult(report_of(preview(step("create", "web", None, web()))), (), rest)).data

    table = PAGE[PAGE.index("## JSON") :]
    for field in (*data, *data["resources"][0]):
        assert f"`{field}`" in table, field


def test_every_exit_code_has_its_row_and_its_word() -> None:
    table = PAGE[PAGE.index("| Exit code") :]

    assert re.findall(r"^\| (\d) \|", table[: table.index("\n\n")], re.MULTILINE) == ["0", "1", "2", "3"]
    for word in ("ok", "incomplete", "blocked", "unknown"):
        assert f"`{word}`" in PAGE


def test_the_code_in_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "preview.json").write_bytes(preview(step("create", "web", None, web())))
    monkeypatch.chdir(tmp_path)

    space: dict[str, object] = {}
    exec(compile(source, "cost.md", "exec"), space)

    assert str(space["report"].planned) == "$4.00"  # type: ignore[attr-defined]  # (whatever the page made it)
    assert result_of(CostResult(space["report"])) == "ok"  # type: ignore[arg-type]  # (as above)
