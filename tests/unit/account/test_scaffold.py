"""`stacks-pulumi scaffold` on an emulated account; `tests/engine/test_account.py` runs the written program."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import stacks_pulumi
from stacks_pulumi import catalog
from stacks_pulumi.account.read import Belongings
from stacks_pulumi.account.takeover import FILES, Language, ScaffoldPlan, files, literal, plan, variables_of
from stacks_pulumi.api.models import (
    AllowedIp,
    Backup,
    Connection,
    Container,
    ExternalAccess,
    Listing,
    VpnClient,
)
from stacks_pulumi.cli import main
from stacks_pulumi.commands import _package, scaffold
from stacks_pulumi.commands._package import place, required
from stacks_pulumi.config import DEFAULT_BASE_URL
from stacks_pulumi.emulator import Emulator
from tests.support.golden import Golden
from tests.unit.account.conftest import Account

NASTY = 'he said "hi"\n\\ \'\'\' """ \u202e ${web.id} $$ {{x}} #: é'
KINDS = frozenset({"AllowedIp", "Connection", "PinnedBackup", "VpnClient"})


pytestmark = pytest.mark.usefixtures("key_in_environment")


@pytest.fixture
def full(accounts: Account) -> Account:
    """An account with one object of each kind."""
    accounts.emulator.load(
        [
            {"name": "web", "template": "nodejs", "allowed_ips": ["198.51.100.7"], "plan": "standard"},
            {"name": "data", "template": "postgresql", "backups": 2},
            {"name": "class", "template": "nginx-micro", "status": "stopped", "plan": "micro"},
            {"name": "1st", "template": "ubuntu", "additional_storage_tier": 3},
            {"name": "vpn", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
        ],
        [
            {"source": "web", "target": "data", "name": "db"},
            {"source": "web", "target": "1st", "name": "one"},
        ],
    )
    accounts.emulator.drift.allow_ip("web", "2001:DB8::/32", NASTY, "tcp")
    accounts.emulator.state.backups[1].pinned = True
    return accounts


def calls(source: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the arguments as written, by kind and resource name."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("stacks."):
            [name] = node.args
            assert isinstance(name, ast.Constant)
            found[ast.unparse(node.func).removeprefix("stacks."), str(name.value)] = {
                str(one.arg): ast.unparse(one.value) for one in node.keywords
            }
    return found


@pytest.mark.parametrize("language", FILES)
def test_a_program_declares_everything_that_can_be_adopted(
    language: Language, full: Account, tmp_path: Path, golden: Golden
) -> None:
    # A different file does not prevent the import.
    (tmp_path / "README.md").touch()
    words = ["--owned", "--out", str(tmp_path), "--language", language, "--project", "shop"]

    assert main(["scaffold", *words]) == 0

    written = {path.name for path in tmp_path.iterdir() if ".whl" not in path.name}
    assert written == {*FILES[language], "README.md"}
    for name in ("__main__.py", "Pulumi.yaml", "import.json"):
        if (tmp_path / name).exists():
            text = (tmp_path / name).read_text(encoding="utf-8")
            golden.text(f"scaffold-{language}-{name}.txt", text, {full.emulator.account: "ACCOUNT"})
    assert {request.method for request in full.emulator.requests} == {"GET"}


# The program's text is recorded above. These tools take seconds.
@pytest.mark.extra
def test_a_python_program_is_formatted_and_typed(full: Account, tmp_path: Path) -> None:
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "shop")]) == 0

    for command in (
        *(["ruff", "format", "--isolated", f"--line-length={width}", "--check"] for width in (60, 88, 120)),
        ["ruff", "check", "--isolated", "--select=E4,E7,E9,F,I,B,N"],
        ["mypy", "--strict", "--no-incremental"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command, "__main__.py"],
            # Outside this checkout, like a user's program.
            cwd=tmp_path / "shop",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["1e3", "0o17", "0x1F", "123", "2001-01-01", "off", "null", "12e5", "1.5"])
def test_a_name_that_yaml_reads_as_a_number_is_quoted(name: str) -> None:
    text = files(
        planned(Container(id="u", name=name, template="nodejs", status="running")), "yaml", "x", "u"
    )["Pulumi.yaml"]

    if name != "1.5":  # names that no container can have
        assert len(re.findall(f"(?m)^ +name: [\"']{name}[\"']$", text)) == 2
        assert len(re.findall(f"(?m)^  [\"']{name}[\"']:$", text)) == 1


def test_containers_are_chosen_by_name(full: Account, tmp_path: Path) -> None:
    arguments = ["--include", "W*", "--include", "data", "--include", "1*", "--exclude", "*st"]
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "shop"), *arguments]) == 0

    found = calls((tmp_path / "shop" / "__main__.py").read_text(encoding="utf-8"))
    assert [name for kind, name in found if kind == "Container"] == ["data", "web"]
    # The program uses the id of a connection's target, which it does not declare.
    assert found["Connection", "web-to-1st"]["target"] == repr(full.id("1st"))


def test_a_part_of_an_account_is_whole_without_the_sources_of_its_connections(full: Account) -> None:
    assert main(["scaffold", "--owned", "--out", str(full.folder / "data"), "--include", "data"]) == 0

    told = full.capsys.readouterr().out
    assert not told.startswith("Incomplete")
    assert "  connection db to data: it belongs to its source, web\n" in told


def test_an_empty_choice_is_an_error(full: Account, tmp_path: Path) -> None:
    arguments = ["--include", "web", "--exclude", "w*"]
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "shop"), *arguments]) == 1

    assert "choose none of the account's 5 containers" in full.capsys.readouterr().err
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        (["--exclude", "dta"], "did you mean data?"),
        (["--include", "dta"], "did you mean data?"),
        (["--exclude", "tmp-*"], "correct the pattern, or leave it out"),
        (["--exclude", "web,data"], "give --exclude once for each pattern"),
    ],
)
def test_a_pattern_that_no_name_matches_is_an_error(full: Account, option: list[str], hint: str) -> None:
    arguments = ["--include", "w*", "--exclude", "1ST", *option]
    assert main(["scaffold", "--owned", "--out", str(full.folder / "shop"), *arguments]) == 1

    assert full.capsys.readouterr().err == (
        f"stacks-pulumi scaffold: nothing was written, because no container of the account matches "
        f"{shlex.join(option)}: {hint} [not-found]\n"
    )
    assert not (full.folder / "shop").exists()


def test_a_program_without_resources_is_not_written(full: Account, tmp_path: Path) -> None:
    with full.emulator.platform.lock:
        for container in full.emulator.state.containers.values():
            container.name = f"a_{container.name}"

    assert main(["scaffold", "--owned", "--out", str(tmp_path / "shop")]) == 1
    assert "does not accept its name" in full.capsys.readouterr().err
    assert not (tmp_path / "shop").exists()


def test_the_requirements_are_those_of_the_installed_package(full: Account, tmp_path: Path) -> None:
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "shop")]) == 0

    known = place()
    assert known is not None
    assert known.is_local
    wheel = f"stacks_pulumi-{stacks_pulumi.__version__}-py3-none-any.whl"
    text = (tmp_path / "shop/requirements.txt").read_text(encoding="utf-8")
    assert text == f"# {wheel}.sha256 contains its SHA-256.\n./{wheel}\n"
    # Nothing is left to write, because everything exists.
    lock = (tmp_path / "shop/requirements.lock").read_text(encoding="utf-8")
    assert required(tmp_path / "shop", {}).files == {"requirements.lock": lock}


def test_a_place_that_is_not_known_is_left_out(full: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_package, "place", lambda: None)

    assert main(["scaffold", "--owned", "--out", str(full.folder / "shop")]) == 1

    assert (
        "the source of stacks-pulumi (requirements.txt): it was installed by its name"
        in full.capsys.readouterr().out
    )
    assert (full.folder / "shop/requirements.txt").read_text(encoding="utf-8") == _package.PLACE_UNKNOWN


@pytest.mark.parametrize("existing", ["__main__.py", "Pulumi.yaml", "import.json", "requirements.txt"])
def test_no_file_is_overwritten(existing: str, full: Account, tmp_path: Path) -> None:
    (tmp_path / existing).write_text("mine", encoding="utf-8")

    assert main(["scaffold", "--owned", "--out", str(tmp_path)]) == 1

    assert f"already has {existing}" in full.capsys.readouterr().err
    assert (tmp_path / existing).read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [existing]


@pytest.mark.parametrize("out", ["file", "file/below", "locked/below"])
def test_an_unwritable_folder_is_reported_first(
    out: str, full: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    (full.folder / "file").touch()
    (full.folder / "locked").mkdir()
    before = full.emulator.calls()
    # A test may run as root, who can write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "locked")

    assert main(["scaffold", "--owned", "--out", str(full.folder / out)]) == 1

    problem = "is a file, not a folder" if "file" in out else "no file can be written in"
    assert problem in full.capsys.readouterr().err
    assert full.emulator.calls() == before


def test_an_empty_folder_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scaffold", "--owned", "--out", ""])

    assert "the folder's name is empty" in capsys.readouterr().err


def test_a_list_with_a_row_that_cannot_be_read_is_left_out(full: Account, tmp_path: Path) -> None:
    full.emulator.faults.add(
        "vpn_clients.list", "answer", body={"data": [{"name": ".."}, {"name": "laptop"}]}
    )

    folder = tmp_path / "tak\x1ben"

    assert main(["scaffold", "--owned", "--out", str(folder)]) == 1

    full.emulator.faults.assert_none_left()
    told = full.capsys.readouterr().out
    assert told.startswith(
        "Incomplete: not everything could be read, so the program lacks the objects that the report lists.\n"
    )
    assert "the unreadable parts of vpn: the list of VPN clients is incomplete" in told
    assert "\x1b" not in told
    assert '"laptop"' in (folder / "__main__.py").read_text(encoding="utf-8")


# --- objects that a stack owns ---


def scaffolded(accounts: Account, *states: str, code: int = 0) -> str:
    words = [word for state in states for word in ("--state", state)]
    assert main(["scaffold", *words, "--out", str(accounts.folder / "taken")]) == code
    said = accounts.capsys.readouterr()
    return said.out if code == 0 or said.out else said.err


def test_what_a_stack_owns_is_left_out_with_its_owner(full: Account) -> None:
    rule = full.child("AllowedIp", "web", "198.51.100.7", container_created_at=full.created_at("web"))
    dev = full.export("dev.json", full.container("data"), rule)
    both = full.export("both.json", full.container("data", "prod"))

    told = scaffolded(full, dev, both)

    assert "  container data: a stack owns it: 'data' of shop/dev and 'data' of shop/prod\n" in told
    assert "AllowedIp 198.51.100.7 (Custom IP) of web: a stack owns it: '198.51.100.7' of shop/dev" in told
    assert "Compared with the exports in --state: an object that was added by hand to a stack's" in told
    found = calls((full.folder / "taken" / "__main__.py").read_text(encoding="utf-8"))
    assert ("Container", "web") in found
    assert ("Container", "data") not in found
    assert [name for kind, name in found if kind == "AllowedIp"] == ["web-2001-db8-32"]
    # A connection to a container of another stack uses the container's id.
    assert found["Connection", "web-to-data"]["target"] == repr(full.id("data"))


def test_what_a_stack_may_own_is_not_taken_over(full: Account) -> None:
    pending = {"type": "creating", "resource": full.container("web", id="")}
    untimed, resized = full.container("data"), full.container("class", created_at="2026-01-01T00:00:00Z")
    del untimed["outputs"]["created_at"]

    told = scaffolded(full, full.export("dev.json", untimed, resized, pending=(pending,)), code=1)

    assert told.startswith("Incomplete: ")
    assert "container web: shop/dev was creating such an object when it was interrupted: run `pulumi" in told
    assert "container data: it is not known whether a stack owns it (perhaps 'data' of shop/dev)" in told
    assert "container class: shop/dev has a resource with its id but a different creation time" in told
    found = calls((full.folder / "taken" / "__main__.py").read_text(encoding="utf-8"))
    assert [name for kind, name in found if kind == "Container"] == ["1st", "vpn"]


def test_nothing_is_taken_over_if_a_stack_cannot_be_read(full: Account) -> None:
    full.emulator.load([{"name": "sixth", "template": "nginx"}])
    (full.folder / "no.json").write_text("{}", encoding="utf-8")

    told = scaffolded(full, str(full.folder / "no.json"), code=1)

    assert "nothing can be adopted: container 1st: it is not known whether a stack owns it (" in told
    assert "; and 1 more (`stacks-pulumi account --children` shows all)" in told
    assert not (full.folder / "taken").exists()


@pytest.mark.parametrize(
    ("project", "stacks", "name"),
    [("shop", ("dev",), "dev-2"), ("shop", ("prod",), "dev"), ("other", ("dev",), "dev")],
)
def test_the_next_steps_make_a_stack_that_does_not_exist(
    full: Account, project: str, stacks: tuple[str, ...], name: str
) -> None:
    """In an existing stack, the new program would delete the stack's resources."""
    exports = [full.export(f"{stack}.json", full.container("data", stack)) for stack in stacks]
    words = [word for export in exports for word in ("--state", export)]

    assert main(["scaffold", *words, "--project", project, "--out", str(full.folder / "taken")]) == 0

    assert f"  pulumi stack init {name}\n" in full.capsys.readouterr().out


def test_the_reasons_begin_with_what_no_stack_owns(accounts: Account) -> None:
    owned = [f"web-{number}" for number in range(scaffold._SHOWN + 1)]
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in owned])
    accounts.emulator.load([{"name": "zz-broken", "template": "nodejs", "status": "error"}])
    state = accounts.export("dev.json", *(accounts.container(name) for name in owned))

    told = scaffolded(accounts, state, code=1)

    assert "nothing can be adopted: container zz-broken: " in told
    assert "; and 2 more (" in told


def lists_without_data(full: Account, times: int | None) -> None:
    """Make the next lists of containers, or all of them, lack one container."""
    key = {"Authorization": f"Bearer {full.emulator.key}"}
    told = requests.get(f"{full.emulator.url}/containers", headers=key, timeout=60).json()
    told["data"] = [one for one in told["data"] if one["name"] != "data"]
    told["count"] -= 1
    full.emulator.faults.add("containers.list", "answer", body=told, times=times)


def test_nothing_is_taken_over_from_a_list_that_lacks_a_container_of_a_stack(full: Account) -> None:
    dev = full.export("dev.json", full.container("data"))
    lists_without_data(full, times=None)

    said = scaffolded(full, dev, code=1)

    assert f"it lacks {full.id('data')}, which exists" in said
    assert not (full.folder / "taken").exists()


def test_a_container_that_a_stack_creates_meanwhile_is_no_gap(full: Account) -> None:
    dev = full.export("dev.json", full.container("data"))
    lists_without_data(full, times=1)

    scaffolded(full, dev)

    found = calls((full.folder / "taken" / "__main__.py").read_text(encoding="utf-8"))
    assert ("Container", "data") not in found
    assert found["Connection", "web-to-data"]["target"] == repr(full.id("data"))


def test_a_backend_that_cannot_be_listed_is_an_error_with_the_way_out(
    full: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(full.folder))

    told = scaffolded(full, code=1)

    assert "the objects of the stacks are not known: `pulumi stack ls` failed" in told
    assert "--state FILE; or ignore the stacks (--owned)" in told
    assert not (full.folder / "taken").exists()


def test_a_broken_link_is_not_followed(full: Account, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "__main__.py").symlink_to(tmp_path / "elsewhere.py")

    assert main(["scaffold", "--owned", "--out", str(tmp_path / "out")]) == 1

    assert not (tmp_path / "elsewhere.py").exists()


def test_an_account_without_containers_is_reported(
    emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "x")]) == 1
    assert "there is nothing to adopt" in capsys.readouterr().err


# --- omitted objects ---


def running(name: str = "web", **more: Any) -> Container:
    return Container(
        **{
            "id": f"usr-1-{name}",
            "name": name,
            "template": "nodejs",
            "plan": "basic",
            "status": "running",
            **more,
        }
    )


def planned(container: Container, *others: Container, **has: Any) -> ScaffoldPlan:
    belongings = {container.id: Belongings(known=KINDS, **has)}
    return plan([container, *others], belongings)


def access(*entries: AllowedIp) -> ExternalAccess:
    return ExternalAccess(enabled=True, allowed_ips=Listing(entries))


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (running(status="error"), "adopting it would start it"),
        (running(status="deleting"), "it is deleting"),
        (running(template=None), "does not show its template"),
        (running("a_b"), "does not accept its name"),
        (running(name="two--hyphens"), "does not accept its name"),
    ],
)
def test_a_container_that_an_up_would_change_or_refuse_is_left_out(container: Container, reason: str) -> None:
    made = planned(container)

    assert made.declared == ()
    [left] = made.left_out
    assert reason in left.reason


def test_containers_whose_names_differ_only_in_case_are_omitted() -> None:
    web, other, api = running("web"), running("WEB"), running("api")

    program = plan([web, api], {}, [web, other, api])

    assert [one.name for one in program.declared] == ["api"]
    assert (
        "its name and another container's name differ only in upper and lower case"
        in program.left_out[0].reason
    )


def test_a_container_that_was_deleted_meanwhile_is_left_out() -> None:
    made = plan([running()], {"usr-1-web": Belongings()})

    assert [left.reason for left in made.left_out] == ["it was deleted while the account was read"]


@pytest.mark.parametrize(
    ("has", "reason"),
    [
        ({"access": access(AllowedIp(id="1", ip_address="Your house"))}, "not an address"),
        (
            {
                "access": access(
                    AllowedIp(id="1", ip_address="10.0.0.7"), AllowedIp(id="2", ip_address="10.0.0.7/32")
                )
            },
            "more than once",
        ),
        (
            {"access": access(AllowedIp(id="1", ip_address="10.0.0.7", description="  "))},
            "its description is blank",
        ),
        (
            {
                "access": access(
                    AllowedIp(id="1", ip_address="10.0.0.7"),
                    AllowedIp(
                        id="2", ip_address="192.0.2.1", description="placeholder while an entry is changed"
                    ),
                )
            },
            "a leftover entry",
        ),
        (
            {"access": access(AllowedIp(id="1", ip_address="10.0.0.7", description="Your IP (Auto-added)"))},
            "the platform added it",
        ),
        (
            {"access": access(AllowedIp(id="1", ip_address="10.0.0.7", service_type="udp"))},
            "service type 'udp' is unknown",
        ),
        ({"connections": (Connection(id="1", name="db"),)}, "which container is its target"),
        (
            {"connections": (Connection(id="1", name="db", target_name="nope"),)},
            "which container is its target",
        ),
        ({"connections": (Connection(id="1", target_name="other"),)}, "does not show its name"),
        ({"vpn_clients": (VpnClient(name="default"),)}, "created it with the container"),
        ({"vpn_clients": (VpnClient(name=".."),)}, "its name is blank or consists of dots"),
        ({"backups": (Backup(id=1, status="in_progress"),)}, "it is in_progress"),
    ],
)
def test_a_child_that_an_up_would_change_or_refuse_is_left_out(has: dict[str, Any], reason: str) -> None:
    made = planned(running(), running("other"), running("halted", status="stopped"), **has)

    assert {one.kind for one in made.declared} == {"Container"}
    assert {left.reason for left in made.left_out if reason in left.reason}


def test_what_belongs_to_a_container_that_is_stopped_is_declared() -> None:
    """The provider adopts an existing child as it is: only a new child needs a running container."""
    has = {
        "connections": (Connection(id="1", name="db", target_name="halted"),),
        "vpn_clients": (VpnClient(name="laptop"),),
    }

    made = planned(running(status="stopped"), running("halted", status="stopped"), **has)

    assert [one.kind for one in made.declared] == ["Container", "Container", "Connection", "VpnClient"]
    assert made.left_out == ()


def test_a_vpn_that_the_api_calls_by_its_type_is_declared_by_its_template() -> None:
    [declared] = planned(running(template="vpn", plan="vpn")).declared

    assert declared.inputs == {"name": "web", "template": "stacks-vpn", "adopt": "if_matching"}


@pytest.mark.parametrize("template", [*catalog.TEMPLATES, "cassandra"])
def test_what_may_hold_data_is_protected_and_said_to_be_closed(template: str) -> None:
    known = catalog.TEMPLATES.get(template)
    has_data = known is None or bool(known.data)

    [declared] = planned(running(template=template, plan=None, external_access=False)).declared

    # The requirements of the policies `protect-data` and `no-public-database`.
    assert (declared.protect, declared.inputs.get("external_access")) == (
        has_data,
        False if has_data else None,
    )
    assert has_data or template not in {"cassandra", "ghost", "minio", "postgresql", "secrets-micro"}


def test_every_resource_or_none_can_be_protected() -> None:
    both = [running(), running("data", template="postgresql")]

    assert [one.protect for one in plan(both, {}, protect="all").declared] == [True, True]
    assert [one.protect for one in plan(both, {}, protect="none").declared] == [False, False]


def test_names_that_differ_only_in_signs_stay_unique() -> None:
    made = planned(
        running(),
        access=access(*(AllowedIp(id=str(n), ip_address=text) for n, text in enumerate(("::1", "0:0:1::")))),
    )
    names = [one.name for one in made.declared if one.kind == "AllowedIp"]

    assert len(set(names)) == 2
    keys = yaml.safe_load(files(made, "yaml", "x", DEFAULT_BASE_URL)["Pulumi.yaml"])["resources"]
    assert len(keys) == 3


def test_the_default_base_url_is_not_written() -> None:
    assert "config" not in files(planned(running()), "python", "x", DEFAULT_BASE_URL)["Pulumi.yaml"]


# --- hostile text ---


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_literal_is_that_string_and_one_line(text: str) -> None:
    written = literal(text)

    assert ast.literal_eval(written) == text
    assert written.isprintable()


@given(st.lists(st.text(), max_size=8))
def test_identifiers_are_valid_unique_and_shadow_nothing(wishes: list[str]) -> None:
    import builtins
    import keyword

    names = {*wishes, "class", "print", "stacks", "pulumi", "match", "1", "a b", "a-b"}
    taken = set(variables_of(names).values())

    assert len(taken) == len(names)
    for name in taken:
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in {*dir(builtins), "pulumi", "stacks"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
@settings(max_examples=60)
def test_no_text_of_the_account_escapes_its_string(texts: list[str]) -> None:
    entries = [
        AllowedIp(id=str(number), ip_address=f"10.0.0.{number}", description=f"d{text}")
        for number, text in enumerate(texts)
    ]
    made = planned(
        running(), access=access(*entries), vpn_clients=tuple(VpnClient(name=f"c{text}") for text in texts)
    )

    written = files(made, "python", "x", DEFAULT_BASE_URL)
    found = calls(written["__main__.py"])
    assert len(found) == len(made.declared)
    told = {one["description"] for (kind, _), one in found.items() if kind == "AllowedIp"}
    assert told == {repr(f"d{text}") for text in texts}
    document = yaml.safe_load(files(made, "yaml", "x", DEFAULT_BASE_URL)["Pulumi.yaml"])
    assert len(document["resources"]) == len(made.declared)
    assert {
        one["properties"]["description"].replace("$$", "$")
        for one in document["resources"].values()
        if one["type"].endswith(":AllowedIp")
    } == {f"d{text}" for text in texts}


@pytest.mark.slow
@given(
    st.lists(
        st.text('ab"\\\n{}#é\u200b', max_size=12) | st.text("ab'#", max_size=9), min_size=20, max_size=20
    )
)
@settings(max_examples=15)
def test_the_formatter_changes_no_string(texts: list[str]) -> None:
    entries = [
        AllowedIp(id=str(number), ip_address=f"10.0.0.{number}", description=f"d{text}")
        for number, text in enumerate(texts)
    ]
    source = files(planned(running(), access=access(*entries)), "python", "x", DEFAULT_BASE_URL)[
        "__main__.py"
    ]

    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == source
