"""A new gate's folder has no mistakes, and `check` names each mistake in a folder."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.broker import signers
from stacks_pulumi.broker.folder import Folder
from stacks_pulumi.broker.settings import Limits
from stacks_pulumi.cli import main
from stacks_pulumi.commands import _package
from stacks_pulumi.commands._lock import INSTALL
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import checks, settings, start
from stacks_pulumi.policy.testing import PackTester, container
from tests.support.gate import signer


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a public key."""
    file = tmp_path_factory.mktemp("keys") / "ann"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub")


@pytest.fixture
def folder(tmp_path: Path, key: Path) -> Path:
    """Return a new gate's folder."""
    start.init(tmp_path / "gate", [("ann", key)])
    return tmp_path / "gate"


NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)


def found(folder: Path) -> list[str]:
    """Return the mistakes in a folder."""
    return list(checks.problems(settings.read_gate(folder), NOW))


def test_a_new_folder_has_no_mistake(folder: Path) -> None:
    assert found(folder) == []
    gate = settings.read_gate(folder)
    assert gate.file.limits == Limits(max_total=Decimal(40), max_increase=Decimal(15))
    assert [pack.path.name for pack in gate.packs] == ["guard"]
    assert signers.names_of(gate.signers) == {"ann"}
    assert gate.file.free is None


def test_a_new_folder_may_name_the_address_of_the_api(tmp_path: Path) -> None:
    with pytest.raises(StacksError, match="the address is not a valid API URL"):
        start.init(tmp_path / "gate", base_url="localhost:7822")
    assert not (tmp_path / "gate").exists()
    start.init(tmp_path / "gate", base_url="http://localhost:7822/api/v1")

    assert settings.read_gate(tmp_path / "gate").file.base_url == "http://localhost:7822/api/v1"


def test_the_packs_of_a_new_folder_refuse(folder: Path) -> None:
    tester = PackTester(folder / "packs" / "guard", json.loads((folder / "guard.json").read_text()))

    tester.preview(container("a"), container("b")).assert_passes()
    tester.preview(*(container(f"c{number}", plan="premium") for number in range(5))).assert_blocked_by(
        "monthly-budget"
    )


def test_no_file_is_overwritten_and_what_lacks_is_added(folder: Path, key: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "broker.account").unlink()
    (folder / "packs/guard/__main__.py").unlink()

    with pytest.raises(StacksError, match="already has a gate, and its files stay unchanged"):
        start.init(folder, [("bob", key)])
    # Existing settings name their own packs.
    assert start.init(folder) == ("broker.account",)
    assert {path for path in before if path.exists() and before[path] != path.read_bytes()} == {
        folder / "broker.account"
    }


def test_only_its_user_reads_a_new_folder_and_a_broker_takes_it(folder: Path) -> None:
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir()) if path.name != "packs"
    }

    assert {name: mode for name, mode in modes.items() if mode != 0o600} == {"gate": 0o700}
    with contextlib.closing(Folder(folder, SYSTEM_CLOCK)) as opened:
        assert opened.ledger.account == (folder / "broker.account").read_text(encoding="utf-8").strip()
        assert opened.settings().packs


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("*", None, "is not the name of one person"),
        ("ann smith", None, "'ann smith' has a space: write it as one word"),
        ("ann", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "contains no public SSH key"),
        ("ann", "", "contains no public SSH key"),
    ],
)
def test_nothing_is_written_for_a_wrong_approver(
    tmp_path: Path, key: Path, name: str, text: str | None, problem: str
) -> None:
    if text is not None:
        key = tmp_path / "key"
        key.write_text(text)

    with pytest.raises(StacksError, match=problem):
        start.init(tmp_path / "gate", [(name, key)], Decimal(1), Decimal(1))
    assert not (tmp_path / "gate").exists()


def test_a_new_folder_may_name_two_keys_of_one_person(tmp_path: Path, key: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPSVA9NM5k8vS7w2NWuWh8acO5jJXvSE8XJ3/R8X+lIo\n", encoding="utf-8"
    )
    approvers = ["--approver", f"ann={key}", "--approver", f"ann={other}"]

    assert main(["gate", "init", str(tmp_path / "gate"), *approvers]) == 0

    lines = (tmp_path / "gate/allowed_signers").read_text(encoding="utf-8").splitlines()
    assert [line.split()[3] for line in lines] == [one.read_text().split()[1] for one in (key, other)]
    assert found(tmp_path / "gate") == []


def replaced(name: str, before: str, after: str) -> Callable[[Path], None]:
    """Return a change of a file in the folder."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1))

    return change


def added(name: str, text: str, settings_: str = "") -> Callable[[Path], None]:
    """Return a change that adds a file to the folder and lines to its settings."""

    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / "gate.yaml").write_text(f"{(folder / 'gate.yaml').read_text()}{settings_}")

    return change


def budgeted(text: str, settings_: str = "") -> Callable[[Path], None]:
    """Return a change that adds budgets over several stacks."""
    return added("budgets.yaml", f"{text}\n", f"budgets: budgets.yaml\n{settings_}")


DEV = budgeted("budgets: [{stacks: ['shop/dev*'], max_total: 1}]", "stacks: [shop/dev, shop/prod]\n")
ONE = 'ann namespaces="stacks-pulumi-gate" '


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (
            replaced("guard.json", "monthly-budget", "monthly-budge"),
            ["guard.json (pack packs/guard): the configuration has an entry 'monthly-budge'"],
        ),
        (
            replaced("guard.json", '"max_monthly_usd": 40', '"max_montly_usd": 40'),
            ["'max_montly_usd' is not an option"],
        ),
        (
            replaced("guard.json", '"min_prefix": 24', '"enforcementLevel": "mandatry"'),
            ["the level of 'open-allowed-ip' is 'mandatry'"],
        ),
        (
            replaced(
                "guard.json",
                '"min_prefix": 24',
                '"min_prefix": 24, "exempt": [{"name": "office", "reason": "a demonstration"}]',
            ),
            ["guard.json (pack packs/guard): ", "entry 1 needs a valid date in expires"],
        ),
        (
            added(
                "guard.json",
                '{"version": 2, "policies": {}, "exceptions": {"agreed": {"match": [{"policies": ["naming"]}]}}}',
            ),
            ["guard.json (pack packs/guard): ", "'agreed'"],
        ),
        (
            added(
                "guard.json",
                '{"version": 2, "policies": {}, "exceptions": {"agreed": {"match": [{"policies": ["monthly-budget"]}], '
                '"reason": "agreed", "expires": "2020-01-01"}}}',
            ),
            ["exception 'agreed' ended on 2020-01-01"],
        ),
        (
            replaced("packs/guard/__main__.py", "StacksGuard(", "StacksGard("),
            ["the pack packs/guard does not start: NameError"],
        ),
        (
            replaced(
                "packs/guard/__main__.py", "from stacks_pulumi", "raise SystemExit(3)\nfrom stacks_pulumi"
            ),
            ["the pack packs/guard does not start: SystemExit: 3"],
        ),
        (
            replaced("gate.yaml", "packs:\n  - {path: packs/guard, config: guard.json}\n", ""),
            ["the pack packs/guard is not used"],
        ),
        (
            added("budgets.yaml", "budgets: [{max_total: 1}]\n"),
            ["budgets.yaml is not used: write `budgets: budgets.yaml`"],
        ),
        (added("prices.yaml", "x"), ["prices.yaml is not used"]),
        (
            replaced("gate.yaml", ", max_total: 40", ""),
            ["no stack has a budget: write `limits: {max_total: USD}` or `budgets: FILE`"],
        ),
        (DEV, []),
        (
            added("rules.py", "RULES = []\n", "own_rules: [rules.py]\ntwo_approvals: [destroys-dat]\n"),
            [
                "two_approvals: there is no rule destroys-dat; did you mean destroys-data?",
                "two_approvals needs two people",
            ],
        ),
        (added("rules.py", "RULES = 1 / 0\n", "own_rules: [rules.py]\n"), ["ZeroDivisionError"]),
        (
            added(
                "rules.py",
                "def unpriced(changes): return []\nRULES = [unpriced]\n",
                "own_rules: [rules.py]\n",
            ),
            ["rules.py: the rule unpriced has the name of a built-in rule"],
        ),
        (added("x", "", 'harmless: ["*"]\n'), ["harmless: * matches every type"]),
        (added("x", "", 'harmless: ["[a-z]*:[!?]*"]\n'), ["harmless: [a-z]*:[!?]* matches every type"]),
        (
            added("x", "", 'harmless: ["*/*:*"]\n'),
            [
                "harmless: */*:* matches types of several providers, for instance aws:rds/instance:Instance and cloud"
            ],
        ),
        (added("x", "", 'harmless: ["random:*", "aws:iam/*", "pulumi-python:dynamic/acme:*"]\n'), []),
        (added("x", "", "base_url: stacks.example\n"), ["base_url is not a valid API URL"]),
        (added("x", "", "base_url: http://stacks.example/api\n"), ["base_url"]),
        (added("broker.account", "none\n"), ["broker.account does not contain the 16 digits of a broker"]),
        (budgeted("budgets: [{tags: {team: web}, max_total: 1}]"), ["selects stacks by tags"]),
        (
            budgeted("budgets: [{max_increase: 1}]"),
            ["limits an increase, but a broker enforces only totals"],
        ),
        (budgeted("covers: all\nbudgets: [{max_total: 1}]"), ["does not enforce `covers: all`: remove it"]),
        (lambda folder: (folder / "ledger.sqlite").chmod(0o644), ["other users can read", "chmod 600"]),
        (
            lambda folder: added(str(folder / "key"), "x", f"key: {{file: {folder}/key}}\n")(folder),
            ["other users can read the key"],
        ),
        (
            replaced("allowed_signers", 'namespaces="', 'valid-before="20261101",namespaces="'),
            ["no key in allowed_signers is valid now, so no change can be approved"],
        ),
        (
            added("x", "", "approver_limits: {bob: {ceiling: 5}}\n"),
            ["approver_limits: bob is not in allowed_signers, which lists ann"],
        ),
        (
            added("x", "", "stacks: [shop/prod]\napprover_limits: {ann: {stacks: ['*/dev']}}\n"),
            ["approver_limits: the pattern */dev of ann matches none of shop/prod"],
        ),
        (added("x", "", "stacks: ['shop/*']\napprover_limits: {ann: {stacks: ['*/dev']}}\n"), []),
        (added("x", "", "other_than_author: true\n"), ["other_than_author: ann is the only approver"]),
        (
            added("allowed_signers", "# no name\n"),
            ["allowed_signers lists no approver, so no change can be approved"],
        ),
        (
            replaced("allowed_signers", 'namespaces="', 'valid-before="tomorrow",namespaces="'),
            ['valid-before="tomorrow" is not a valid time: write it as valid-before="20271231"'],
        ),
        (
            replaced("allowed_signers", "ann", "*"),
            ["allowed_signers, line 1: * is not the name of one person"],
        ),
    ],
)
def test_a_mistake_is_named(folder: Path, change: Callable[[Path], None], problems: list[str]) -> None:
    change(folder)

    texts = found(folder)

    assert bool(texts) is bool(problems)
    for problem in problems:
        assert any(problem in text for text in texts), texts


def test_a_key_that_does_not_hold_now_is_told_and_may_stay(folder: Path, key: Path) -> None:
    one, line = folder / "allowed_signers", (folder / "allowed_signers").read_text()
    other = key.with_name("new")
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    new = (
        f'ann namespaces="stacks-pulumi-gate" {" ".join(other.with_suffix(".pub").read_text().split()[:2])}\n'
    )
    later = line.replace("namespaces", 'valid-after="202612010000Z",namespaces')
    one.write_text(new + line.replace("namespaces", 'valid-before="20261101",namespaces'))
    gate = settings.read_gate(folder)

    assert found(folder) == []
    assert list(checks.notes(gate, NOW)) == [
        "allowed_signers, line 2: this key of ann ended at 2026-11-01 00:00 UTC"
    ]
    one.write_text(new + later)
    assert list(checks.notes(gate, NOW)) == [
        "allowed_signers, line 2: this key of ann begins at 2026-12-01 00:00 UTC"
    ]
    assert list(checks.notes(gate, NOW + datetime.timedelta(days=10))) == []


def test_two_approvers_cannot_approve_their_own_changes_that_need_two(folder: Path) -> None:
    added("x", "", "two_approvals: [destroys-data]\nother_than_author: true\n")(folder)
    (folder / "allowed_signers").write_text(signer("ann") + signer("bob"))

    assert found(folder) == []
    assert list(checks.notes(settings.read_gate(folder), NOW)) == [
        (
            "two_approvals, other_than_author: ann and bob are the only approvers, so their own changes that need "
            "two people cannot be approved"
        )
    ]


@pytest.mark.parametrize("runtime", ["nodejs", "{name: python, options: {virtualenv: venv}}"])
def test_of_a_pack_that_this_python_cannot_run_the_exceptions_are_checked(folder: Path, runtime: str) -> None:
    replaced("packs/guard/PulumiPolicy.yaml", "runtime: python", f"runtime: {runtime}")(folder)
    assert found(folder) == []
    exception = '{"agreed": {"match": [{"policies": ["any"]}], "reason": "agreed", "expires": "2020-01-01"}}'
    (folder / "guard.json").write_text(f'{{"version": 2, "policies": {{}}, "exceptions": {exception}}}')

    (problem,) = found(folder)

    assert "exception 'agreed' ended on 2020-01-01" in problem


def test_a_stack_that_no_budget_covers_is_named(folder: Path) -> None:
    replaced("gate.yaml", ", max_total: 40", "")(folder)
    DEV(folder)

    assert found(folder) == ["no budget covers shop/prod: add one, or set limits.max_total in gate.yaml"]


def test_the_packs_run_without_the_keys_of_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STACKS_API_KEY", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.setenv(name, "secret")
    program = "import os\nfor name in os.environ:\n    assert os.environ[name] != 'secret', name\n"
    replaced("packs/guard/__main__.py", "from stacks_pulumi", f"{program}from stacks_pulumi")(folder)

    assert found(folder) == []


@pytest.mark.parametrize(
    "change",
    [
        added("x", "", "two_approvals: [destroy-data]\n"),
        added("x", "", "approver_limits: {Ann: {ceiling: 5}}\n"),
        added("x", "", 'harmless: ["*:*"]\n'),
        added("budgets.yaml", "budgets: []\n"),
        replaced("gate.yaml", "packs:\n  - {path: packs/guard, config: guard.json}", ""),
    ],
)
def test_a_setting_that_protects_nothing_is_a_mistake_of_the_plan_too(
    folder: Path, change: Callable[[Path], None]
) -> None:
    assert checks.of_settings(settings.read_gate(folder)) == ()

    change(folder)

    (problem,) = checks.of_settings(settings.read_gate(folder))
    assert problem in found(folder)


def test_two_people_may_be_asked_for_what_no_rule_of_the_settings_finds(folder: Path) -> None:
    added("x", "", "two_approvals: [never-free, no-owner, other-owner, unknown]\n")(folder)

    assert checks.of_settings(settings.read_gate(folder)) == ()


# --- The pipeline ---


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with a project in the folder `shop`, which is the current folder."""
    top = tmp_path / "repository"
    (top / ".git").mkdir(parents=True)
    (top / "shop").mkdir()
    (top / "shop/Pulumi.yaml").write_text("name: our-shop\nruntime: python\n", encoding="utf-8")
    monkeypatch.chdir(top / "shop")
    return top


def test_a_workflow_is_of_the_project_and_names_its_own_files(repository: Path) -> None:
    assert main(["gate", "init", "gate", "--workflow", "github", "--stack", "live"]) == 0
    # The author of a change can write a different name into Pulumi.yaml.
    assert settings.read_gate(repository / "shop/gate").file.stacks == ["our-shop/*"]

    text = (repository / ".github/workflows/gate.yml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["name"] == "gate of our-shop"
    assert document["defaults"]["run"]["working-directory"] == "shop"
    assert document["jobs"]["plan"]["steps"][-1]["with"]["path"] == "shop/change"
    commands = [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]
    assert "stacks-pulumi gate plan --gate gate --out change/change.json -s live" in "".join(commands)
    (wheel,) = (repository / "shop").glob("*.whl")
    install = "".join(f"{line.format(lock='requirements.lock')}\n" for line in INSTALL)
    assert commands.count(install) == len(document["jobs"])
    lock = (repository / "shop/requirements.lock").read_text(encoding="utf-8")
    assert f"\n./{wheel.name}[broker,cli,policy] --hash=sha256:" in lock
    requirements = (repository / "shop/requirements.txt").read_text(encoding="utf-8")
    assert f"./{wheel.name}[policy,cli,broker]\n" in requirements
    assert [line for line in (text + requirements).splitlines() if "@" in line and "uses:" not in line] == []


@pytest.mark.parametrize("gate", ["gate", "https://broker.example.com:7823"])
@pytest.mark.parametrize(
    ("backend", "own"),
    [
        ("cloud", []),
        ("s3", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
        ("postgres", ["PGUSER", "PGPASSWORD"]),
    ],
)
def test_the_jobs_get_the_login_of_the_backend(
    repository: Path, backend: str, own: list[str], gate: str
) -> None:
    wanted = ["PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", *own] if own else ["PULUMI_ACCESS_TOKEN"]

    assert main(["gate", "init", gate, "--workflow", "github", "--backend", backend]) == 0

    text = (repository / ".github/workflows/gate.yml").read_text(encoding="utf-8")
    environments = [
        step["env"]
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
        if "STACKS_API_KEY" in step.get("env", {})
    ]
    assert len(environments) == 3
    for given in environments:
        assert {name: given[name] for name in wanted} == {
            name: f"${{{{ secrets.{name} }}}}" for name in wanted
        }
        assert given.keys() - {"BASE", "STACKS_API_KEY"} == set(wanted)
    assert ("PULUMI_ACCESS_TOKEN" in text) is (backend == "cloud")

    assert main(["gate", "init", gate, "--workflow", "gitlab", "--backend", backend]) == 0
    text = (repository / ".gitlab/gate.yml").read_text(encoding="utf-8")
    assert (
        f"{' and '.join((', '.join(wanted[:-1]), wanted[-1])) if own else wanted[0]} for the stack `prod`"
        in text
    )


@pytest.mark.parametrize("kind", ["github", "gitlab"])
@pytest.mark.parametrize(
    ("runtime", "more"), [("nodejs", ["npm ci"]), ("{name: nodejs}", ["npm ci"]), ("python", [])]
)
def test_a_pipeline_installs_the_packages_of_a_program_in_typescript(
    repository: Path, kind: str, runtime: str, more: list[str]
) -> None:
    (repository / "shop/Pulumi.yaml").write_text(f"name: our-shop\nruntime: {runtime}\n", encoding="utf-8")
    (repository / "shop/package-lock.json").write_text("{}\n", encoding="utf-8")

    assert main(["gate", "init", "gate", "--workflow", kind]) == 0

    text = (repository / f".{kind}{'/workflows' * (kind == 'github')}/gate.yml").read_text(encoding="utf-8")
    lines = [line.strip().removeprefix("- ").strip("'") for line in text.splitlines()]
    installs = [at for at, line in enumerate(lines) if line.startswith("pip install --require-hashes")]
    assert installs
    expected = [*(line.format(lock="requirements.lock") for line in INSTALL), *more]
    assert all(lines[at : at + len(expected)] == expected for at in installs)
    assert lines.count("npm ci") == len(installs) * len(more)
    assert ("shop/node_modules" in text) is (kind == "gitlab" and bool(more))


def test_the_pipeline_of_gitlab_is_included(repository: Path) -> None:
    assert main(["gate", "init", "../gate", "--workflow", "gitlab"]) == 0

    assert yaml.safe_load((repository / ".gitlab-ci.yml").read_text(encoding="utf-8")) == {
        "include": [{"local": ".gitlab/gate.yml"}]
    }
    document = yaml.safe_load((repository / ".gitlab/gate.yml").read_text(encoding="utf-8"))
    # For a short name, git fetches the tag, which the author of a change can push.
    fetches = [line for line in document["preview"]["script"] if line.startswith("git fetch")]
    assert fetches == ['git fetch origin "refs/heads/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME"']
    assert document[".gate"]["before_script"][0] == "cd shop"
    assert (
        document["apply"]["script"][-1]
        == "stacks-pulumi gate apply change/change.json --gate ../gate -s prod"
    )


def test_a_pipeline_of_gitlab_that_is_there_stays(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".gitlab-ci.yml").write_text("mine: {}\n", encoding="utf-8")
    (repository / "shop/requirements.txt").write_text("mine\n", encoding="utf-8")

    assert main(["gate", "init", "gate", "--workflow", "gitlab"]) == 0

    said = capsys.readouterr().out
    assert "include: [{local: .gitlab/gate.yml}]" in said
    assert "requirements.txt must install stacks-pulumi[policy,cli,broker]" in said
    assert (repository / ".gitlab-ci.yml").read_text(encoding="utf-8") == "mine: {}\n"
    assert (repository / "shop/requirements.txt").read_text(encoding="utf-8") == "mine\n"
    assert list((repository / "shop").glob("*.whl")) == []


@pytest.mark.parametrize(
    ("line", "is_said"),
    [
        ("./stacks_pulumi-0.4.0-py3-none-any.whl[policy,emulator,broker,cli]", False),
        ("stacks-pulumi[cli, policy, broker] @ git+https://git.example.com/it@abc", False),
        ("./stacks_pulumi-0.4.0-py3-none-any.whl[cli,policy]", True),
        ("# stacks-pulumi[policy,cli]", True),
    ],
)
def test_what_the_requirements_lack_is_said(
    line: str, is_said: bool, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "shop/requirements.txt").write_text(f"requests\n{line}\n", encoding="utf-8")

    assert main(["gate", "init", "gate", "--workflow", "gitlab"]) == 0

    assert ("must install" in capsys.readouterr().out) == is_said


@pytest.mark.parametrize(
    ("gate", "name", "problem"),
    [
        ("../../gate", "shop", "is not in the repository"),
        ("gate", "shop; rm", "cannot be written into a pipeline"),
        ("a gate", "shop", "cannot be written into a pipeline"),
    ],
)
def test_a_name_that_a_pipeline_cannot_have_is_refused(
    gate: str, name: str, problem: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "shop/Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n", encoding="utf-8")

    assert main(["gate", "init", gate, "--workflow", "github"]) == 1

    assert problem in capsys.readouterr().err
    assert [file.name for file in repository.rglob("*") if file.is_file()] == ["Pulumi.yaml"]


def test_a_pipeline_needs_what_installs_the_package(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_package, "place", lambda: None)

    assert main(["gate", "init", "gate", "--workflow", "github"]) == 1

    assert "shop/requirements.txt first" in capsys.readouterr().err
    assert [file.name for file in repository.rglob("*") if file.is_file()] == ["Pulumi.yaml"]


def test_nothing_is_written_if_a_workflow_is_there(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".github/workflows").mkdir(parents=True)
    (repository / ".github/workflows/gate.yml").write_text("mine: {}\n", encoding="utf-8")

    assert main(["gate", "init", "gate", "--workflow", "github"]) == 1

    said = capsys.readouterr().err
    assert "already has .github/workflows/gate.yml" in said
    assert "choose a different place" in said
    assert not (repository / "shop/gate").exists()


def test_with_the_address_of_a_broker_only_the_pipeline_is_written(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://broker.example.com:7823"
    assert main(["gate", "init", address]) == 1
    assert main(["gate", "init", address, "--workflow", "github", "--max-total", "7"]) == 1
    assert capsys.readouterr().err.count("because the broker has its own folder") == 2

    assert main(["gate", "init", address, "--workflow", "github"]) == 0

    text = (repository / ".github/workflows/gate.yml").read_text(encoding="utf-8")
    assert text.count(f"--gate {address}") == 5
    assert "stores no secret of STACKS" in text
    # For a folder, only the unprotected parts are reported.
    assert "can read the key" not in text
    assert "?@" not in text
    assert not (repository / "shop/gate").exists()
    assert sorted(file.name for file in repository.iterdir() if file.is_dir()) == [".git", ".github", "shop"]


def test_a_pipeline_is_added_to_a_gate_that_is_there(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", "init", "gate", "--max-total", "7"]) == 0
    before = {file: file.read_bytes() for file in (repository / "shop/gate").rglob("*") if file.is_file()}
    capsys.readouterr()

    assert main(["gate", "init", "gate", "--workflow", "github"]) == 0
    assert main(["gate", "init", "gate", "--workflow", "gitlab"]) == 0

    assert "Wrote gate.yaml" not in capsys.readouterr().out
    assert (repository / ".github/workflows/gate.yml").exists()
    assert (repository / ".gitlab/gate.yml").exists()
    assert {file: file.read_bytes() for file in before} == before


def test_settings_for_a_gate_that_is_there_are_refused(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", "init", "gate"]) == 0

    assert main(["gate", "init", "gate", "--workflow", "github", "--max-total", "7"]) == 1

    said = capsys.readouterr().err
    assert "gate already has a gate, and its files stay unchanged: change the limits in gate.yaml and" in said
    assert not (repository / ".github").exists()


def test_an_approver_for_a_gate_that_is_there_is_a_line_to_add(
    folder: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "allowed_signers").read_bytes()

    assert main(["gate", "init", str(folder), "--approver", f"bob={key}"]) == 1

    said = capsys.readouterr().err
    assert (folder / "allowed_signers").read_bytes() == before
    line = said.partition("add to allowed_signers: ")[2].partition(" [")[0]
    assert line.startswith('bob namespaces="stacks-pulumi-gate" ssh-')
    (folder / "allowed_signers").write_text(f"{line}\n", encoding="utf-8")
    assert found(folder) == []


def test_a_pipeline_needs_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert main(["gate", "init", "gate", "--workflow", "github"]) == 1

    assert "git init" in capsys.readouterr().err
