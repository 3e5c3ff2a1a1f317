"""A recorded mutant is a readable line and is found after its code has moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove import recorded
from tests.prove.recorded import Recorded

LINE = "api/retry.py\tRetry.most\treturn «12 → 13»\tunit/api/test_retry.py::test_a ::test_b ..."
CODE = "class Retry:\n    def most(self):\n        return 12\n"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "package"
    (package / "api").mkdir(parents=True)
    monkeypatch.setattr(recorded, "PACKAGE", package)
    for name in ("_modules", "_text", "_mutations"):
        getattr(recorded, name).cache_clear()
    return package


def test_a_line_says_the_place_the_change_and_the_killers() -> None:
    (one,) = recorded.read(f"# a comment\n{LINE}\n")

    assert one == Recorded(
        "api/retry.py",
        "Retry.most",
        "return «12 → 13»",
        ("tests/unit/api/test_retry.py::test_a", "tests/unit/api/test_retry.py::test_b"),
        more=True,
    )
    assert str(one) == LINE


def test_new_mutants_are_added_to_a_file_which_keeps_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "mutants.txt"
    file.write_text(f"# a comment\n{LINE}\n", encoding="utf-8")
    first = "api/again.py\t-\tLIMIT = «5 → 6»\tunit/test_again.py::test_a"
    again = LINE.removesuffix(" ...")

    recorded.write(file, recorded.read(f"{again}\n{first}\n"))

    assert file.read_text(encoding="utf-8") == f"# a comment\n{first}\n{again}\n"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("api/retry.py", CODE),
        ("api/retry.py", f"import os\n\n\n{CODE}"),
        ("api/retry.py", CODE.replace("most", "at_most")),
        ("api/limits.py", CODE.replace("Retry", "Limits")),
    ],
    ids=["same place", "other line", "other function", "other file"],
)
def test_a_mutation_is_found_where_its_code_is_now(package: Path, file: str, code: str) -> None:
    (package / file).write_text(code, encoding="utf-8")

    found = recorded.found(*recorded.read(LINE))

    assert found is not None
    path, mutation = found
    assert path == package / file
    assert mutation.applied(code) == code.replace("12", "13")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("api/retry.py", CODE.replace("12", "6 * 2")),
        ("api/retry.py", CODE.replace("return 12", "if self:\n            return 12\n        return 12")),
        ("api/limits.py", CODE.replace("most", "at_most")),
    ],
    ids=["changed", "twice", "other function in another file"],
)
def test_a_mutation_whose_code_is_not_known_is_gone(package: Path, file: str, code: str) -> None:
    (package / file).write_text(code, encoding="utf-8")

    assert recorded.found(*recorded.read(LINE)) is None


def test_a_test_that_has_moved_has_its_new_name() -> None:
    here = "tests/prove/test_recorded.py::test_a_test_that_has_moved_has_its_new_name"

    assert recorded.present([here]) == [here]
    assert recorded.present([here.replace("prove/", "gone/"), "tests/gone/test_gone.py::test_gone"]) == [here]
