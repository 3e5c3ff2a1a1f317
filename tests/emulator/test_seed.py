"""The initial state of an emulator: from the seed file, a state file, or both, after any end of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import requests

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.drift import SeedError, SeedFile, read_seed
from tools.docs.platform_file import seed_schema_text as schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "stacks_pulumi" / "emulator" / "seed.schema.json"
PAGE = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
SEED = b"""{
  "containers": [
    {"name": "orders", "template": "nodejs", "allowed_ips": ["198.51.100.0/24"]},
    {"name": "orders-db", "template": "postgresql", "backups": 1},
    {"name": "door", "template": "stacks-vpn", "vpn_clients": ["laptop"]}
  ],
  "connections": [{"source": "orders", "target": "orders-db", "name": "primary-db"}]
}"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "seed.json"
    made.write_bytes(SEED)
    return made


def status(emulator: Emulator) -> int:
    """Return the status of a request with the first key."""
    key = {"Authorization": f"Bearer {emulator.key}"}
    return requests.get(f"{emulator.url}/containers", headers=key, timeout=60).status_code


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_it_starts_again_as_it_ended(
    *, kept: bool, seeded: bool, revoked: bool, end: str, file: Path, tmp_path: Path
) -> None:
    names: list[str] = []
    for run in range(3):
        emulator = Emulator(state_file=tmp_path / "state.json" if kept else None)
        emulator.start()
        is_first = run == 0 or not kept
        if seeded:
            assert emulator.begin_with(file) is is_first
        if revoked and is_first:
            assert status(emulator) == 200
            emulator.drift.revoke_key("default")
        names = ["door", "orders", "orders-db"] if seeded and (is_first or run < 2) else names
        assert sorted(one.name for one in emulator.state.containers.values()) == (
            [] if not seeded else ["door", "orders"] if kept and run == 2 else ["door", "orders", "orders-db"]
        )
        assert (status(emulator), emulator.is_key_revoked) == ((401, True) if revoked else (200, False))
        if seeded and run == 1:
            # Deleted objects do not come back.
            emulator.drift.delete("orders-db")
        if end == "stop" or not kept:
            emulator.stop()
        else:
            # As after a SIGKILL, nothing is written at the end. The server only releases its port.
            assert emulator._server is not None
            emulator._server.stop()


def test_a_refused_file_leaves_a_state_that_takes_the_corrected_one(file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(SEED.replace(b"nodejs", b"nodjs"))
    emulator = Emulator(state_file=tmp_path / "state.json")
    with pytest.raises(Refusal):
        emulator.begin_with(wrong)
    emulator.stop()

    again = Emulator(state_file=tmp_path / "state.json")

    assert again.begin_with(file)
    assert len(again.state.containers) == 3


def test_after_a_reset_the_next_start_loads_the_file_again(file: Path, tmp_path: Path) -> None:
    first = Emulator(state_file=tmp_path / "state.json")
    first.begin_with(file)
    first.reset()
    first.stop()

    again = Emulator(state_file=tmp_path / "state.json")

    assert again.state.containers == {}
    assert again.begin_with(file)


def test_another_key_opens_an_account_whose_first_key_was_revoked(file: Path, tmp_path: Path) -> None:
    first = Emulator(state_file=tmp_path / "state.json")
    first.begin_with(file)
    first.drift.revoke_key("default")

    with Emulator(state_file=tmp_path / "state.json", key=f"sk_stacks_{'a' * 64}") as emulator:
        assert (status(emulator), emulator.is_key_revoked) == (200, False)
        assert emulator.account == first.account
        assert len(emulator.state.containers) == 3


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b'"nodejs"', b"7", 'containers[0] ("orders"), template: Expected `str`, got `int`'),
        (b'"backups"', b'"bakups"', 'containers[1] ("orders-db"): Object contains unknown field `bakups`'),
        (b'"name": "door", ', b"", "containers[2]: Object missing required field `name`"),
        (b'"source": "orders"', b'"source": 1', 'connections[0] ("primary-db"), source: Expected `str`'),
        (b'"containers"', b'"container"', "Object contains unknown field `container`"),
        (b'"connections"', b'"version": 2, "connections"', "version: Invalid enum value 2; it must be 1"),
        (
            b'"backups": 1',
            b'"status": "runing"',
            "containers[1] (\"orders-db\"), status: Invalid enum value 'runing'; the statuses are running, stopped",
        ),
        (b'"backups": 1', b'"backups": 1001', 'containers[1] ("orders-db"), backups: Expected `int` <= 1000'),
        (b'"backups": 1', b'"backups": -1', 'containers[1] ("orders-db"), backups: Expected `int` >= 0'),
        (SEED, b"{", "Input data was truncated"),
    ],
)
def test_an_error_of_the_format_names_row_and_name(before: bytes, after: bytes, said: str) -> None:
    with pytest.raises(SeedError) as caught:
        read_seed(SEED.replace(before, after, 1))

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"nodejs", b"nodjs", 'containers[0] ("orders"), template "nodjs": Unknown container template'),
        (b'"orders-db", "template"', b'"orders", "template"', 'containers[1] ("orders"): '),
        (b'"orders-db", "name"', b'"db", "name"', "connections[0] (\"primary-db\"): there is no 'db'"),
        (b'"backups": 1', b'"account": "usr-1"', "containers[1] (\"orders-db\"): there is no 'usr-1'"),
        (
            b'"198.51.100.0/24"',
            b'"192.0.2.1", "home"',
            'containers[0] ("orders"), allowed_ips[1] "home": Invalid IPv4',
        ),
    ],
)
def test_what_the_platform_refuses_names_row_and_name(
    before: bytes, after: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "seed.json").write_bytes(SEED.replace(before, after, 1))
    emulator = Emulator()

    with pytest.raises(Refusal) as caught:
        emulator.begin_with(tmp_path / "seed.json")

    assert str(caught.value.body["error"]).startswith(said)
    assert emulator.state.containers == {}


def test_the_file_itself_can_be_sent_to_a_running_emulator() -> None:
    with Emulator() as emulator:
        page = f"{emulator.page_url}_emulator"
        example = PAGE.partition("seed.json\n```json\n")[2].partition("```")[0]
        for _ in range(2):
            assert requests.post(f"{page}/reset", timeout=60).status_code == 200
            loaded = requests.post(f"{page}/load", example, timeout=60)
            assert (loaded.status_code, len(loaded.json()["ids"])) == (200, 4), loaded.text
        assert requests.get(f"{emulator.page_url}seed.schema.json", timeout=60).text == schema_text()
        refused = requests.post(f"{page}/load", '{"version": 2, "containers": []}', timeout=60)

        assert (refused.status_code, refused.json()["field"]) == (400, "version")


def test_a_second_account_may_have_the_same_names() -> None:
    with Emulator() as emulator:
        containers = [{"name": name, "template": "nodejs"} for name in ("web", "api")]
        connections = [{"source": "web", "target": "api", "name": "api"}]
        emulator.load(containers, connections)
        account = emulator.new_account()

        ids = emulator.load([{**one, "account": account} for one in containers], connections)

        made = [(it.source, it.target) for it in emulator.state.connections.values()]
        assert (ids[0], ids[1]) in made
        assert len(made) == 2


def test_the_page_has_a_file_that_loads_and_the_schema_is_that_of_the_format(tmp_path: Path) -> None:
    example = PAGE.partition("seed.json\n```json\n")[2].partition("```")[0]
    (tmp_path / "seed.json").write_text(example, encoding="utf-8")

    assert Emulator().begin_with(tmp_path / "seed.json")
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()
    described = json.loads(schema_text())
    assert described["$defs"]["SeedFile"]["properties"].keys() == set(SeedFile.__struct_encode_fields__)
    assert all(
        "description" in field
        for part in described["$defs"].values()
        for field in part["properties"].values()
    )
    assert msgspec.json.decode(example)["$schema"].endswith("seed.schema.json")
