from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from tests.support.previews import BUCKET, events, export, preview, step, web

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(sys.path)}
# A size that fits no tier costs $4 to $9.
PREVIEW = preview(
    step("create", "new", None, web("premium")),
    step("same", "kept", web(), web(), outputs={"storage_mb": 11_111}),
)


def cost(*arguments: str) -> int:
    return main(["cost", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "preview.json"
    path.write_bytes(PREVIEW)
    return str(path)


def test_a_file_is_priced(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(file) == 0

    assert "by +$10.00: from $4.00" in capsys.readouterr().out


def test_standard_input_is_priced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PREVIEW)))

    assert cost("--format", "json") == 0

    assert json.loads(capsys.readouterr().out)["source"] == "preview"


def test_markdown_carries_its_name(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(file, "--format", "markdown", "--name", "shop/dev") == 0

    assert capsys.readouterr().out.startswith("<!-- stacks-pulumi cost: shop/dev -->")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--max-total", "19"], 0),
        (["--max-total", "18.99"], 2),
        (["--max-total", "$18.99"], 2),
        (["--warn-total", "1"], 0),
        (["--max-increase", "9.99"], 2),
        (["--max-increase-pct", "250%"], 0),
        (["--max-increase-pct", "249"], 2),
        (["--strict"], 3),
    ],
)
def test_limits_set_the_exit_code(file: str, arguments: list[str], code: int) -> None:
    assert cost(file, *arguments) == code


@pytest.mark.parametrize("value", ["ten", "-1", "NaN", "Infinity", "", "1e30", "1000000000.01"])
def test_a_limit_that_is_no_number_is_refused(
    file: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        cost(file, f"--max-total={value}")

    assert "is not a number from 0 to 1,000,000,000" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["total", "increase", "increase-pct"])
def test_the_highest_limit_is_one(file: str, limit: str) -> None:
    assert cost(file, f"--max-{limit}=1e9") == 0


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(str(tmp_path / "none.json")) == 1

    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_not_from_pulumi_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Previewing update (dev):\n", encoding="utf-8")

    assert cost(str(path)) == 1

    error = capsys.readouterr().err
    assert "pass the output of one of these" in error
    assert error.count("\n") == 1


def test_the_account_takes_no_file(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cost(file, "--account") == 1

    assert (
        "--account and a file cannot be combined: remove one of them [invalid-argument]"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("option", ["--max-increase", "--warn-increase-pct"])
def test_an_account_has_no_increase_to_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    export = tmp_path / "export.json"
    export.write_text(json.dumps({"version": 3, "deployment": {"resources": []}}), encoding="utf-8")

    assert cost(str(export), option, "5") == 1

    assert f"{option} limits the increase, but this input describes no" in capsys.readouterr().err
    assert cost(str(export), "--max-total", "5") == 0


def test_pricing_a_file_imports_neither_pulumi_nor_http_nor_rich(file: str) -> None:
    program = (
        "import sys\n"
        "from stacks_pulumi.cli import main\n"
        f"main(['cost', {file!r}])\n"
        "heavy = {'pulumi', 'pulumi_policy', 'requests', 'rich', 'werkzeug'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_outputs_that_were_closed_before_the_start_are_no_error(file: str, closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m stacks_pulumi cost {shlex.quote(file)} {closed}"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_pipe_ends_without_a_message(file: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "stacks_pulumi", "cost", file]

    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False
        )
    finally:
        os.close(writing)

    # The exit code is not 0, because the command may be used as a gate whose result was not read.
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_terminal_that_cannot_show_a_sign_gets_another(file: str) -> None:
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "stacks_pulumi", "cost", file]

    done = subprocess.run(command, capture_output=True, env=environment, check=False)

    assert done.returncode == 0, done.stderr
    assert b"$4.00-$9.00" in done.stdout


@pytest.mark.parametrize(
    ("form", "steps", "code"),
    [
        (preview, [step("delete", "old", web(), retainOnDelete=True)], 2),
        (preview, [step("replace", "old", web(), web("premium"), retainOnDelete=True)], 2),
        (preview, [step("discard", "old", web())], 2),
        # The events do not show whether it is deleted with the other resource.
        (events, [step("delete", "old", web()), step("delete", "x", {}, None, BUCKET)], 2),
        (preview, [step("delete", "old", web()), step("delete", "x", {}, None, BUCKET)], 0),
        (preview, [step("update", "old", web(), web())], 0),
    ],
)
def test_a_container_that_stays_billed_outside_of_the_stack_blocks_if_that_is_asked_for(
    form: Any, steps: list[Any], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(form(*steps))

    assert cost(str(tmp_path / "file"), "--max-total", "100") == 0
    assert cost(str(tmp_path / "file"), "--max-total", "100", "--fail-on", "kept") == code

    out = capsys.readouterr().out
    assert ("containers leave this stack and its totals, but stay billed: 'old (leaves" in out) == (code == 2)


def test_only_a_preview_shows_what_leaves_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(export())

    assert cost(str(tmp_path / "file"), "--fail-on", "kept") == 1
    assert "--fail-on kept works only with a preview" in capsys.readouterr().err
