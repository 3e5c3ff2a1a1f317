"""`stacks-pulumi account` with the stacks of a backend; the command `pulumi` is a script."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import _pulumi_cli
from stacks_pulumi._pulumi_cli import PulumiError
from stacks_pulumi.account import backend as stacks_backend
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.unit.account.conftest import Account
from tests.unit.account.test_account import owners

pytestmark = pytest.mark.usefixtures("key_in_environment")


FAKE_PULUMI = """#!{python}
import json, sys
words = sys.argv[1:]
data = json.load(open({data!r}))
if words[:2] == ["stack", "ls"]:
    assert words[2:4] == ["--json", "--all"] or words[2:4] == ["--json", "--project"], words
    rounds = open({data!r} + ".rounds", "a+")
    if rounds.tell() and "later" in data:
        json.dump(data["later"], open({data!r}, "w"))
        data = data["later"]
    print("once", file=rounds)
    tags = [words[i + 1] for i, word in enumerate(words) if word == "--tag"]
    print(json.dumps([one for one in data["stacks"] if not tags or tags[0] in one.get("tags", [])]))
elif words[:3] == ["stack", "export", "--stack"]:
    if words[3] not in data["exports"]:
        sys.exit("error: no stack named '" + words[3] + "' found")
    print(open(data["exports"][words[3]]).read())
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the backend: the list of stacks and their export files, now and at a later time."""

    def make(stacks: list[dict[str, Any]], exports: dict[str, str], /, **later: Any) -> None:
        data = tmp_path / "backend.json"
        said: dict[str, Any] = {"stacks": stacks, "exports": exports}
        if later:
            said["later"] = {**said, **later}
        data.write_text(json.dumps(said), encoding="utf-8")
        # The user has not logged in to a backend, which would be read without the command.
        monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
        script = tmp_path / "bin" / "pulumi"
        script.parent.mkdir(exist_ok=True)
        script.write_text(FAKE_PULUMI.format(python=sys.executable, data=str(data)), encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")

    return make


def test_the_backends_stacks_are_read_by_default(accounts: Account, backend: Any, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "api", "blog")])
    backend(
        [
            {"name": "dev", "tags": ["team=web"]},
            {"name": "organization/blog/dev"},
            {"name": "acme/shop/dev", "tags": ["team=web"]},
            {"name": "organization/empty/dev"},
        ],
        {
            "dev": accounts.export("a.json", accounts.container("web")),
            "organization/blog/dev": accounts.export("b.json", accounts.container("blog", project="blog")),
            "acme/shop/dev": accounts.export("c.json", accounts.container("api")),
            "organization/empty/dev": accounts.export("d.json"),
        },
    )
    file = accounts.budgets("budgets: [{tags: {team: web}, max_total: 7}]")

    data = accounts.report("--budgets", file, code=2)

    assert owners(data) == {
        "api": ("owned", ["acme/shop/dev"]),
        "blog": ("owned", ["blog/dev"]),
        "web": ("owned", ["shop/dev"]),
    }
    assert set(data["totals"]["stacks"]) == {"acme/shop/dev", "blog/dev", "empty/dev", "shop/dev"}
    assert data["limits"][0]["text"] == "the total is $8.00 at most, over the limit of $7.00"


def test_a_stack_that_cannot_be_exported_or_is_being_updated_leaves_no_orphans(
    accounts: Account, backend: Any
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    backend([{"name": "a/b/locked"}, {"name": "a/b/busy", "updateInProgress": True}], {})

    data = accounts.report(code=1)

    assert owners(data) == {"web": ("unknown", [])}
    assert data["unread"] == [
        {"stack": "a/b/locked", "error": "no stack named 'a/b/locked' found", "cause": "unread"},
        {
            "stack": "a/b/busy",
            "error": "an update is running: its new resources are not in the state yet",
            "cause": "locked",
        },
    ]


def test_without_pulumi_the_error_names_the_alternative(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["account"]) == 1

    assert (
        "pass files that `pulumi stack export` wrote, with --state FILE [pulumi-failed]"
        in capsys.readouterr().err
    )


def test_concurrent_creates_and_deletes_are_no_findings(accounts: Account, backend: Any) -> None:
    accounts.emulator.load(
        [{"name": name, "template": "nodejs"} for name in ("stays", "created", "deleted", "alone")]
    )
    rule = accounts.child("AllowedIp", "stays", "198.51.100.7")
    # The account is read between the exports: it contains containers that are deleted later, but not those created
    # later.
    before = (accounts.container("stays"), accounts.container("deleted"))
    after = (
        accounts.container("stays"),
        accounts.container("created"),
        accounts.container("too-late", created_at="2026-01-01T00:00:00Z"),
        rule,
    )
    first = {"name": "organization/shop/dev", "lastUpdate": "1"}
    removed = {"name": "organization/old/dev", "lastUpdate": "1"}
    backend(
        [first, removed],
        {
            "organization/shop/dev": accounts.export("before.json", *before),
            "organization/old/dev": accounts.export(
                "old.json", accounts.container("gone", project="old", created_at="x")
            ),
        },
        stacks=[{**first, "lastUpdate": "2"}],
        exports={"organization/shop/dev": accounts.export("after.json", *after)},
    )

    data = accounts.report("--children", "--fail-on", "orphans,missing", code=2)

    assert owners(data) == {
        "alone": ("orphan", []),
        "created": ("owned", ["shop/dev"]),
        "deleted": ("owned", ["shop/dev"]),
        "stays": ("owned", ["shop/dev"]),
    }
    assert data["missing"] == []
    assert data["failed"] == ["1 object in no stack (--fail-on orphans)"]


def test_an_update_that_begins_or_ends_meanwhile_leaves_no_orphans(accounts: Account, backend: Any) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    exports = {name: accounts.export("dev.json") for name in ("a/b/begins", "a/b/ends")}
    backend(
        [{"name": "a/b/begins"}, {"name": "a/b/ends", "updateInProgress": True}],
        exports,
        stacks=[{"name": "a/b/begins", "updateInProgress": True}, {"name": "a/b/ends"}],
    )

    data = accounts.report(code=1)

    assert owners(data) == {"web": ("unknown", [])}
    assert [one["stack"] for one in data["unread"]] == ["a/b/begins", "a/b/ends"]


def test_an_interrupted_create_that_only_the_first_read_has_leaves_no_orphan(
    accounts: Account, backend: Any
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    creating = {"type": "creating", "resource": accounts.container("web", id="", outputs={})}
    first = {"name": "organization/shop/dev", "lastUpdate": "1"}
    # Between the reads, a `refresh --clear-pending-creates` removed the operation from the state.
    backend(
        [first],
        {"organization/shop/dev": accounts.export("before.json", pending=(creating,))},
        stacks=[{**first, "lastUpdate": "2"}],
        exports={"organization/shop/dev": accounts.export("after.json")},
    )

    data = accounts.report("--fail-on", "orphans", code=2)

    assert owners(data) == {"web": ("interrupted", [])}
    [web] = data["containers"]
    assert web["command"] == "pulumi up --stack organization/shop/dev"


def test_a_stack_of_this_folder_keeps_its_name_when_it_is_empty(
    accounts: Account, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (accounts.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    monkeypatch.chdir(accounts.folder)
    backend([{"name": "dev"}], {"dev": accounts.export("dev.json")})
    file = accounts.budgets("budgets: [{stacks: [shop/dev], max_total: 7}, {projects: [shop], max_total: 7}]")

    assert set(accounts.report("--budgets", file)["totals"]["stacks"]) == {"shop/dev"}


def test_a_backend_without_stacks_is_reported(accounts: Account, backend: Any) -> None:
    backend([], {})

    assert "the backend has no stacks: check with `pulumi whoami -v`" in accounts.report()["notes"][0]


def test_no_output_is_a_backend_without_stacks(accounts: Account, backend: Any, tmp_path: Path) -> None:
    backend([], {})
    (tmp_path / "bin" / "pulumi").write_text("#!/bin/sh\n", encoding="utf-8")

    assert "the backend has no stacks" in accounts.report()["notes"][0]


def test_a_refused_key_is_reported_before_any_export(
    backend: Any, capsys: pytest.CaptureFixture[str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend([{"name": "a/b/dev"}], {})
    monkeypatch.setenv("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")
    monkeypatch.setenv("PATH", "")

    assert main(["account"]) == 1

    assert "the API key is not accepted" in capsys.readouterr().err


def test_many_exports_are_announced(accounts: Account, backend: Any) -> None:
    names = [f"a/b/s{number}" for number in range(9)]
    backend([{"name": name} for name in names], dict.fromkeys(names, accounts.export("dev.json")))

    assert main(["account"]) == 0

    assert accounts.capsys.readouterr().err == "reading 9 stacks of the backend\n"


def test_a_limit_of_time_is_one_for_all_stacks(
    accounts: Account, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview reads all stacks and must not wait for a command that hangs."""
    names = [f"a/b/s{number}" for number in range(9)]
    backend([{"name": name} for name in names], dict.fromkeys(names, accounts.export("dev.json")))
    asked: list[float] = []
    run = _pulumi_cli.run

    def timed(words: list[str], *, folder: Path | None, seconds: float) -> bytes:
        asked.append(seconds)
        return run(words, folder=folder)

    # The list takes 2 s, and the fourth export 6 s.
    monkeypatch.setattr(time, "monotonic", lambda: 0.0 if not asked else 2.0 if len(asked) < 5 else 8.0)
    monkeypatch.setattr(stacks_backend, "run", timed)
    monkeypatch.setattr(stacks_backend, "_AT_ONCE", 1)

    stacks = stacks_backend.from_backend(Path(), project="b", seconds=7.0)

    assert asked == [7.0] + [5.0] * 4
    assert [one.error for one in stacks.unread] == ["the timeout of --timeout was reached"] * 5
    assert "reading 9 stacks of the project b\n" in accounts.capsys.readouterr().err


def test_a_command_gets_no_options_from_the_environment(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option in the environment could write an export with secrets into a file."""
    backend([{"name": "a/b/dev"}], {})
    script = tmp_path / "bin" / "pulumi"
    script.write_text("#!/bin/sh\nenv\n", encoding="utf-8")
    monkeypatch.setenv("PULUMI_OPTION_FILE", "leak.json")
    monkeypatch.setenv("STACKS_API_KEY", "a-key")
    monkeypatch.setenv("PULUMI_CONFIG", '{"stacks:apiKey": "a-key"}')
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "needed")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///x")

    given = _pulumi_cli.run(["stack", "ls"]).decode()

    assert "PULUMI_BACKEND_URL=file:///x" in given
    assert "PULUMI_CONFIG_PASSPHRASE=needed" in given
    assert not any(name in given for name in ("PULUMI_OPTION", "STACKS_", "a-key"))


def test_the_output_of_a_command_that_failed_is_no_reason(backend: Any, tmp_path: Path) -> None:
    """The output is a part of an export, which may contain secrets, even if the command was killed."""
    backend([{"name": "a/b/dev"}], {})
    script = tmp_path / "bin" / "pulumi"
    script.write_text(
        '#!/bin/sh\necho \'{"outputs": {"password": "hunter2"}}\'\nkill -9 $$\n', encoding="utf-8"
    )

    with pytest.raises(PulumiError, match=r"^it failed without a message \[pulumi-failed\]$"):
        _pulumi_cli.run(["stack", "export"])
