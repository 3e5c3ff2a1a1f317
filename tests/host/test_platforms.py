"""
The life of a stack on every reading of the guide: it works with the defaults, or with a file, or is refused by name.

`tests/chaos/platform_life.py` has the rules. Nothing that is billed is lost, and nothing foreign is deleted, on any.
All lives run once, many in parallel; each test checks those of one reading.
"""

from __future__ import annotations

import json
from concurrent import futures
from pathlib import Path
from typing import Final

import pytest

from tests.chaos import platform_table as table
from tests.chaos.platform_life import Life, Lived
from tests.support.platforms import NEED_A_FILE, READINGS, REFUSED

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.chaos, pytest.mark.extra]

TOGETHER: Final = 12
"""Lives that run in parallel, because most of their time is spent waiting."""


@pytest.fixture(scope="module")
def lived(host_kind: str, tmp_path_factory: pytest.TempPathFactory) -> table.All:
    """Live on every platform, and return what happened, by reading and by whether there was a file."""
    folder = tmp_path_factory.mktemp("platforms")

    def live(case: tuple[str, bool]) -> Lived:
        name, with_file = case
        file: Path | None = None
        if with_file:
            file = folder / f"{sorted(READINGS).index(name)}.yaml"
            # JSON is YAML.
            file.write_text(json.dumps(READINGS[name].as_json()), encoding="utf-8")
        return Life(READINGS[name], file, host_kind).run()

    cases = [(name, False) for name in READINGS] + [(name, True) for name in sorted(NEED_A_FILE)]
    with futures.ThreadPoolExecutor(TOGETHER) as pool:
        return dict(zip(cases, pool.map(live, cases), strict=True))


@pytest.mark.parametrize("name", READINGS)
def test_nothing_billed_is_lost_and_nothing_foreign_is_deleted(lived: table.All, name: str) -> None:
    assert lived[name, False].lost == []


@pytest.mark.parametrize("name", sorted(READINGS.keys() - REFUSED))
def test_nothing_is_left_or_done_again(lived: table.All, name: str) -> None:
    assert lived[name, False].wrongs == []


@pytest.mark.parametrize("name", sorted(READINGS.keys() - NEED_A_FILE - REFUSED))
def test_the_defaults_are_enough(lived: table.All, name: str) -> None:
    assert lived[name, False].messages == []


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_not_read_is_refused_by_name(lived: table.All, name: str) -> None:
    assert table.codes(lived[name, False])


@pytest.mark.parametrize("name", sorted(NEED_A_FILE))
def test_what_cannot_work_without_a_file_names_it_and_works_with_it(lived: table.All, name: str) -> None:
    assert (lived[name, True].wrongs, lived[name, True].messages) == ([], [])
    assert any("the platform file" in text or "a platform file" in text for text in lived[name, False].texts)


def test_the_documentation_shows_the_results(lived: table.All, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        table.BLOCK.write(table.render(lived))

    assert table.BLOCK.read() == table.render(lived), "run this file with --write-docs"
