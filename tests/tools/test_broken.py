"""The summary of the tests that broke with the newest Pulumi."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import broken

REPORT = """\
<testsuites><testsuite name="pytest">
<testcase classname="tests.engine.test_children" name="test_a" />
<testcase classname="tests.engine.test_children" name="test_b[up]">
  <failure message="AssertionError: assert 1 == 2&#10; more">the traceback</failure></testcase>
<testcase classname="tests.host.test_identity" name="test_c[native]"><error message="" /></testcase>
<testcase classname="tests.engine.test_typescript" name="test_d" />
<testcase classname="tests.unit.test_cli" name="test_e" />
<testcase classname="tests.unit.test_cli" name="test_f"><skipped message="not here" /></testcase>
</testsuite></testsuites>
"""


def test_the_summary_says_what_broke_on_each_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")

    broken.main([str(report)])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## 2 of 5 tests broke"
    assert "pulumi-policy " in lines[2]
    assert lines[6:9] == ["| dynamic | 2 | 1 |", "| native | 2 | 1 |", "| no host | 1 | 0 |"]
    assert lines[10:] == [
        "### dynamic",
        "",
        "- `tests/engine/test_children.py::test_b[up]`: `AssertionError: assert 1 == 2`",
        "",
        "### native",
        "",
        "- `tests/host/test_identity.py::test_c[native]`: `no message`",
    ]
