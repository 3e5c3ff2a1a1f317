"""Whatever text an answer has, no output of a command has a control character, or a command to a CI system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.chaos.wrong_types import OPERATIONS, Wrong, altered, texts
from tests.support.hostile import ALL, faults

pytestmark = pytest.mark.extra

COMMANDS = (
    ("logs", "app"),
    ("logs", "none"),
    ("backups", "data"),
    ("backups",),
    ("credentials", "data", "--show-secrets"),
    ("vpn-config", "net", "--show-secrets"),
    ("vpn-config", "net", "--client", "none", "--show-secrets"),
    ("account", "--children", "--live-prices"),
    ("cost", "--account", "--live-prices"),
    ("cost", "--account", "--format", "junit"),
    ("cost", "--account", "--format", "json"),
    ("scaffold", "--owned"),
)
HAS_JSON = frozenset({"logs", "backups", "credentials", "vpn-config", "account"})


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = tmp_path / "platform.yaml"
    platform.write_text("version: 1\nlists: {lag_seconds: 0}\n", encoding="utf-8")
    monkeypatch.setenv("STACKS_PLATFORM", str(platform))
    urn = f"urn:pulumi:dev::shop::pulumi-python:dynamic/stacks:Container::{ALL}"
    row = {
        "urn": urn,
        "custom": True,
        "id": "usr-gone",
        "type": "stacks:index:Container",
        "outputs": {"name": ALL},
    }
    state = {"version": 3, "deployment": {"manifest": {"time": ""}, "resources": [row]}}
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["plain", "json"])
def test_no_hostile_text_is_shown(
    words: tuple[str, ...],
    as_json: bool,
    emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    if as_json and words[0] not in HAS_JSON:
        pytest.skip("it has no --json")
    more = ["--json"] if as_json else []
    if words[0] == "account":
        more += ["--state", str(tmp_path / "state.json")]
    main(_words(words, more, tmp_path, "first"))
    asked = [name for name in OPERATIONS if emulator.calls(name)]
    capsys.readouterr()

    given = 0
    for operation in asked:
        for number, path in enumerate(texts(operation)):
            with altered(emulator, Wrong(operation, path, ALL)) as answers:
                main(_words(words, more, tmp_path, f"{operation}-{number}"))
            given += len(answers)
            shown = capsys.readouterr()
            # The engine does not read a JSON document of ours.
            out = shown.out.replace("<{%", "") if as_json or "json" in words else shown.out
            assert faults(out) + faults(shown.err) == [], (operation, path, shown)
            assert "Traceback" not in shown.err

    assert given


def _words(words: tuple[str, ...], more: list[str], folder: Path, name: str) -> list[str]:
    return [*words, *more, *(["--out", str(folder / name)] if words[0] == "scaffold" else [])]
