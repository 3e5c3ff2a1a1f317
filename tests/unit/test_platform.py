"""The platform file: the facts about a platform that the guide does not state."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from stacks_pulumi import config
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.platform_file import UNKNOWN, PlatformFacts, parse, read, schema


def test_a_setting_that_is_missing_is_not_known() -> None:
    facts = parse("version: 1", "facts.yaml")

    assert facts == PlatformFacts() == UNKNOWN.facts
    assert facts.as_json() == {"version": 1}


def test_what_is_written_is_read_again_and_a_section_may_be_empty() -> None:
    text = "version: 1\nlists: {lag_seconds: 20}\ncontainers: {name_held_seconds: 45}\naccess:\nprices: {}\n"

    facts = parse(text, "facts.yaml")

    assert facts.as_json() == {
        "version": 1,
        "lists": {"lag_seconds": 20.0},
        "containers": {"name_held_seconds": 45.0},
    }


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "the version is missing: write `version: 1`"),
        ("[1]", 1, "the file needs settings: begin with `version: 1`"),
        ("&a [*a]", 1, "it is nested too deeply"),
        (
            "version: 1\na: &a [x, x, x, x]\n"
            + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnop")),
            2,
            "it has more than 10000 values",
        ),
        ("version: 2", 1, "version is '2', and must be 1"),
        ("version: 1\nvpn: 3", 2, "there is no setting vpn; the settings are version, lists"),
        (
            "version: 1\ncontainers:\n  name_held_seconds: 1e9",
            3,
            "name_held_seconds is '1e9', and must be a number from 0 to 86400",
        ),
    ],
)
def test_an_error_has_its_line(text: str, line: int, problem: str) -> None:
    """`gate.yaml` has the same reader; `tests/unit/gate/test_settings.py` tests the other errors."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "facts.yaml")

    assert caught.value.message.startswith(f"the platform file facts.yaml, line {line}: {problem}")


def test_a_key_in_the_wrong_place_is_not_printed() -> None:
    key = f"sk_stacks_{'a1' * 32}"

    with pytest.raises(ConfigError) as caught:
        parse(f"version: 1\nlists: {{lag_seconds: {key}}}", "facts.yaml")

    assert key not in str(caught.value)


def test_the_setting_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    file.write_text("version: 1\nlists: {lag_seconds: 20}")

    from_stack = config.load({"stacks:platform": str(file)}, {})
    from_environment = config.load({}, {"STACKS_PLATFORM": str(file)})

    assert from_stack.platform == from_environment.platform == read(file)
    assert read(file).facts.lists.lag_seconds == 20
    assert config.load({}, {}).platform is None


@pytest.mark.parametrize("special", ["/dev/zero", "pipe"])
def test_a_file_without_an_end_is_not_read(special: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "facts.yaml").symlink_to(special)

    with pytest.raises(ConfigError, match=r"facts\.yaml cannot be read: it is not a regular file"):
        read(tmp_path / "facts.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path} cannot be read: Is a directory"):
        config.load({"stacks:platform": str(tmp_path)}, {})


@pytest.mark.parametrize("last", [b"x", b"\xc3\xa9"])
def test_a_file_that_would_take_minutes_is_not_read(last: bytes, tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    file.write_bytes(b"version: 1\n#".ljust(200_000) + last)

    with pytest.raises(ConfigError, match="it is longer than 200000 bytes"):
        read(file)


def test_text_that_is_the_path_of_no_file_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stacks:platform does not exist") as error:
        config.load({"stacks:platform": str(tmp_path / "nowhere.yaml")}, {})

    assert "nowhere" not in str(error.value)


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text("version: 1\n", encoding="utf-8")
    first = read(path).facts

    assert read(path).facts is first
    path.write_text("version: 1\ncontainers: {name_held_seconds: 45}\n", encoding="utf-8")
    assert read(path).facts.containers.name_held_seconds == 45


def test_advice_names_the_file_if_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    file.write_text("version: 1")

    assert UNKNOWN.advice("a: b") == (
        "write it into a platform file, and set stacks:platform to the file's path: version: 1, a: b"
    )
    assert read(file).advice("a: b") == f"write it into the platform file {file}: a: b"


def test_the_schema_has_every_part() -> None:
    properties = schema()["$defs"]["PlatformFacts"]["properties"]

    assert set(properties) == set(PlatformFacts.__struct_fields__)


PROMPT = Path(__file__).parents[1] / "support/prompt-platform.yaml"
FIRST_READS = """
import sys, threading
from stacks_pulumi import platform_file

sys.setswitchinterval(1e-6)
start = threading.Barrier(12)

def read():
    start.wait()
    platform_file.read(sys.argv[1])

threads = [threading.Thread(target=read) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_functions_of_one_program_read_the_first_platform_file_at_the_same_time() -> None:
    """Two first conversions at the same time crash the interpreter (msgspec 0.22), so each needs a new process."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_READS, PROMPT], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
