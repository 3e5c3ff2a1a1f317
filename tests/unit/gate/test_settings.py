"""A gate's folder is read completely, and an error names its line."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from openapi_schema_validator import OAS31Validator

from stacks_pulumi.broker import reader
from stacks_pulumi.broker.settings import AtMost, Free, Limits, schema
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import settings

TEXT = """\
version: 1
stacks: ["shop/*"]
packs:
  - {path: packs/spend, config: spend.json}
limits: {max_increase: 15, max_total: 40.50}
rules:
  destroys-data: approve
  restores-data: approve
  opens-access: refuse
  max-deletions: {limit: 3, otherwise: refuse}
  unpriced: refuse
own_rules: [rules.py]
free: {increase_per_day: 5}
approvers: allowed_signers
approver_limits:
  ann: {ceiling: 50, stacks: ["*/dev"], may_destroy: false}
two_approvals: [destroys-data]
other_than_author: false
record_expires: 12h
prices: prices.yaml
budgets: budgets.yaml
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a gate."""
    gate = tmp_path / "gate"
    (gate / "packs" / "spend").mkdir(parents=True)
    for name, text in (
        ("gate.yaml", TEXT),
        ("packs/spend/PulumiPolicy.yaml", "runtime: python\n"),
        ("spend.json", "{}"),
        ("rules.py", ""),
        ("allowed_signers", ""),
        ("prices.yaml", "prices: [{type: 'aws:*', price: free}]\n"),
        ("budgets.yaml", "budgets: [{max_total: 50}]\n"),
    ):
        (gate / name).write_text(text)
    return gate


def test_a_folder_is_read_whole(folder: Path) -> None:
    gate = settings.read_gate(folder)

    assert gate.source == str(folder)
    assert gate.packs == (settings.GatePack(folder / "packs" / "spend", folder / "spend.json"),)
    assert gate.file.limits == Limits(max_increase=Decimal(15), max_total=Decimal("40.50"))
    assert gate.file.rules.opens_access == "refuse"
    assert gate.file.rules.max_deletions == AtMost(limit=3, otherwise="refuse")
    assert gate.own_rules == (folder / "rules.py",)
    assert gate.file.free == Free(increase_per_day=Decimal(5))
    assert gate.signers == folder / "allowed_signers"
    assert gate.file.record_expires == datetime.timedelta(hours=12)
    assert gate.file.two_approvals == ["destroys-data"]
    assert gate.prices is not None
    assert gate.budgets is not None
    assert gate.file.serves("shop/prod")
    assert not gate.file.serves("other/prod")
    ann = gate.file.approver_limits["ann"]
    assert (ann.ceiling, ann.may_destroy, ann.covers("shop/dev"), ann.covers("shop/prod")) == (
        Decimal(50),
        False,
        True,
        False,
    )


def test_what_is_left_out_is_the_strict_choice(folder: Path) -> None:
    (folder / "gate.yaml").write_text("version: 1\n")

    gate = settings.read_gate(folder)

    assert gate.file.free is None
    assert (gate.file.rules.destroys_data, gate.file.rules.restores_data, gate.file.rules.opens_access) == (
        "approve",
    ) * 3
    assert gate.file.rules.unpriced == "refuse"
    assert gate.file.record_expires == datetime.timedelta(hours=24)


@pytest.mark.parametrize(
    ("before", "after", "line", "problem"),
    [
        ("version: 1", "verson: 1", 1, "its version is missing: write `version: 1`"),
        ("version: 1", "version: 2", 1, "version is '2', and must be 1"),
        (
            "max_increase: 15",
            "max_increas: 15",
            5,
            "there is no setting max_increas; did you mean max_increase?",
        ),
        (
            "max_increase: 15",
            "max_increase: lots",
            5,
            "max_increase is 'lots', and must be a number of US dollars",
        ),
        (
            "max_increase: 15",
            "max_increase: -1",
            5,
            "max_increase is '-1', and must be a number of US dollars",
        ),
        (
            "max_increase: 15",
            "max_increase: NaN",
            5,
            "max_increase is 'NaN', and must be a number of US dollars",
        ),
        (
            "restores-data: approve",
            "restores-data: free",
            8,
            "restores-data is 'free', and must be approve or refuse",
        ),
        (
            "restores-data",
            "restores_data",
            8,
            "there is no setting restores_data; did you mean restores-data?",
        ),
        (
            "destroys-data: approve",
            "destroys-data: {backup_within_hours: 24, otherwise: approve}",
            7,
            "a newer backup no longer exempts a deletion: write `destroys-data: approve`",
        ),
        ("free:", "project_settings: [main]\nfree:", 13, "because its code has no key: remove this setting"),
        ("free:", "platform: rules.py\nfree:", 13, "does not read a platform file: remove this setting"),
        ("limit: 3, ", "", 10, "limit is missing: it must be a whole number"),
        ("{increase_per_day: 5}", "", 13, "free is empty: write a value, or leave it out"),
        ("{increase_per_day: 5}", "5", 13, "free is '5', and must be settings (increase_per_day, code)"),
        ('["*/dev"]', "[]", 16, "stacks is empty: write a value, or leave it out"),
        ("may_destroy: false", "may_destroy: perhaps", 16, "must be true or false"),
        ("[destroys-data]", "destroys-data", 17, "two_approvals is 'destroys-data', and must be a list"),
        (
            "12h",
            "1 day",
            19,
            "record_expires is '1 day', and must be a time such as 30m, 4h or 2d, at most 90 days",
        ),
        ("12h", "91d", 19, "at most 90 days"),
        ("packs/spend", "../packs", 4, "../packs is outside the gate's folder"),
        ("packs/spend", "/etc", 4, "/etc is outside the gate's folder"),
        ("packs/spend", ".", 4, ". is outside the gate's folder"),
        ("packs/spend", "packs/spent", 4, "there is no folder packs/spent"),
        ("config: spend.json", "config: packs", 4, "there is no file packs"),
        ("rules.py", "rule.py", 12, "there is no file rule.py"),
        ("approvers: allowed_signers", "approvers: signers", 14, "there is no file signers"),
        ("prices: prices.yaml", "prices: p.yaml", 20, "there is no file p.yaml"),
        ("free:", "Rules:", 13, "Rules occurs twice"),
        ("free: {", "free: [", 13, "it is not YAML"),
    ],
)
def test_an_error_names_its_line(folder: Path, before: str, after: str, line: int, problem: str) -> None:
    assert before in TEXT
    (folder / "gate.yaml").write_text(TEXT.replace(before, after, 1))

    with pytest.raises(ConfigError) as caught:
        settings.read_gate(folder)

    assert f"gate.yaml, line {line}: " in str(caught.value)
    assert problem in str(caught.value)
    assert caught.value.code == "invalid-file"


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "spend.json").unlink()
    (folder / "spend.json").symlink_to("../elsewhere.json")

    with pytest.raises(ConfigError, match=r"line 4: spend\.json is outside the gate's folder"):
        settings.read_gate(folder)


def test_a_folder_without_settings_names_the_command_that_writes_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no gate\.yaml: `stacks-pulumi gate init DIR` writes one"):
        settings.read_gate(tmp_path)


def _git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@contextlib.contextmanager
def of_ref(folder: Path, ref: str) -> Iterator[settings.Gate]:
    """Yield the gate of a folder whose settings name a git ref."""
    (folder / "gate.yaml").write_text(f"version: 1\nrules_ref: '{ref}'\n")
    with settings.opened(folder) as gate:
        yield gate


def refused(folder: Path, ref: str, reason: str) -> None:
    """Check that the gate of a git ref is not read, and that the error contains the reason."""
    with pytest.raises(ConfigError, match=reason), of_ref(folder, ref):
        pass


def committed(repository: Path, branch: str = "main") -> None:
    """Make a repository of a folder, and commit its files."""
    _git(repository, "init", "-q", "-b", branch)
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "The gate")


def lenient(folder: Path) -> Path:
    """Make another gate, without limits."""
    folder.mkdir()
    (folder / "gate.yaml").write_text("version: 1\n")
    (folder / "allowed_signers").write_text("")
    return folder


def test_a_gate_of_a_git_ref_is_not_that_of_the_working_tree(folder: Path, tmp_path: Path) -> None:
    committed(tmp_path)
    (folder / "gate.yaml").write_text("version: 1\n")

    with of_ref(folder, "main") as gate:
        assert gate.file.limits.max_increase == Decimal(15)
        assert gate.packs[0].path == gate.folder / "packs" / "spend"
        assert (gate.packs[0].path / "PulumiPolicy.yaml").is_file()
        assert gate.source.startswith(f"{folder} of main, commit ")
        extracted = gate.folder
    assert not extracted.exists()


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_nobody_replaces_a_gate_by_a_tag_or_a_branch_of_the_name_of_its_ref(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    """For `origin/main`, git prefers a tag or a branch of that name, and an author can push both."""
    committed(tmp_path)
    _git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")
    _git(tmp_path, "tag", "v1")
    (folder / "gate.yaml").write_text("version: 1\n")
    _git(tmp_path, "commit", "-qam", "No rules")
    _git(tmp_path, kind, "origin/main")
    refused(folder, "origin/main", "write the full name")

    _git(tmp_path, "remote", "add", "origin", "https://example.com")
    for ref in ("origin/main", "refs/remotes/origin/main", "v1", "origin/main^{commit}"):
        with of_ref(folder, ref) as gate:
            assert gate.file.limits.max_increase == Decimal(15)


@pytest.mark.parametrize("ref", ["origin/main", "refs/remotes/origin/main", "origin/main~0", "origin"])
@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_a_ref_that_was_not_fetched_is_not_a_tag_of_that_whole_name(
    folder: Path, tmp_path: Path, ref: str, kind: str
) -> None:
    """A clone of one branch does not contain other branches, but may contain every tag."""
    _git(tmp_path, "init", "-q", "-b", "change")
    _git(tmp_path, "remote", "add", "origin", "https://example.com")
    (folder / "gate.yaml").write_text("version: 1\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "No rules")
    _git(tmp_path, kind, "refs/remotes/origin" if ref == "origin" else "refs/remotes/origin/main")
    refused(folder, ref, r"has no refs/remotes/origin.*: fetch it")


def test_a_name_with_a_sign_that_git_gives_no_meaning_there_is_compared_whole(
    folder: Path, tmp_path: Path
) -> None:
    committed(tmp_path, "gate@2")
    (folder / "gate.yaml").write_text("version: 1\n")
    _git(tmp_path, "checkout", "-q", "-b", "change")
    _git(tmp_path, "commit", "-qam", "No rules")
    with of_ref(folder, "gate@2") as gate:
        assert gate.file.limits.max_increase == Decimal(15)
    _git(tmp_path, "tag", "gate@2")
    refused(folder, "gate@2", "write the full name of one of them")


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_nobody_replaces_a_gate_by_a_name_that_looks_like_its_commit(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    committed(tmp_path)
    words = ["git", "-C", str(tmp_path), "rev-parse", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    with of_ref(folder, commit[:8]) as gate:
        assert gate.file.limits.max_increase == Decimal(15)
    (folder / "gate.yaml").write_text("version: 1\n")
    _git(tmp_path, "commit", "-qam", "No rules")
    _git(tmp_path, kind, commit[:8])
    refused(folder, commit[:8], "write the full name of one of them")
    with of_ref(folder, commit) as gate:
        assert gate.file.limits.max_increase == Decimal(15)


def test_a_gate_of_a_git_ref_has_no_links(folder: Path, tmp_path: Path) -> None:
    (folder / "spend.json").unlink()
    (folder / "spend.json").symlink_to("../elsewhere.json")
    committed(tmp_path)

    refused(folder, "main", r"spend\.json, which is neither a file nor a folder")


def test_a_repository_that_the_author_made_up_is_not_read(folder: Path, tmp_path: Path) -> None:
    committed(tmp_path)
    # The folder itself looks like a repository, with a different gate on its branch main.
    other = lenient(tmp_path / "other")
    committed(other)
    shutil.copytree(other / ".git", folder, dirs_exist_ok=True)
    _git(other, "config", "--file", str(folder / "config"), "core.worktree", str(other))
    found = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--show-toplevel"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == str(other), "git no longer takes such a folder for a repository"

    with of_ref(folder, "main") as gate:
        assert gate.file.limits.max_increase == Decimal(15)


@pytest.mark.parametrize("link", [False, True])
def test_a_submodule_of_the_author_is_no_repository_of_a_gate(
    folder: Path, tmp_path: Path, *, link: bool
) -> None:
    committed(tmp_path)
    clone = lenient(tmp_path / "lenient")
    committed(clone)

    def use(place: Path) -> None:
        shutil.rmtree(place)
        if link:
            place.symlink_to("lenient")
        else:
            clone.rename(place)

    # A clone next to the files of a repository is not part of the repository.
    with of_ref(clone, "main") as gate:
        assert gate.file.limits.max_increase is None
    use(folder)
    _git(tmp_path, "rm", "-rq", "--cached", folder.name)
    _git(tmp_path, "-c", "advice.addEmbeddedRepo=false", "add", folder.name)
    refused(folder, "main", "can choose its content")


def test_a_link_of_the_working_tree_leads_to_no_other_gate(folder: Path, tmp_path: Path) -> None:
    lenient(tmp_path / "lenient")
    committed(tmp_path)
    shutil.rmtree(folder)
    folder.symlink_to("lenient")

    with of_ref(folder, "main") as gate:
        assert gate.file.limits.max_increase == Decimal(15)


def test_a_folder_outside_of_a_repository_has_no_ref(folder: Path) -> None:
    refused(folder, "main", "is not in a git repository")


@pytest.mark.parametrize("ref", ["--output=x", "HEAD", "1234567"])
def test_a_ref_that_is_missing_is_an_error(folder: Path, tmp_path: Path, ref: str) -> None:
    _git(tmp_path, "init", "-q")

    refused(folder, ref, rf"no commit has this name: fetch it or commit first \({ref}\)")
    assert not (folder / "x").exists()


def test_the_schema_accepts_what_is_read() -> None:
    validator = OAS31Validator(json.loads(json.dumps(schema())))

    assert validator.is_valid(yaml.safe_load(TEXT))
    assert not validator.is_valid(yaml.safe_load(TEXT.replace("max_increase", "max_increas")))
    assert not validator.is_valid(yaml.safe_load(TEXT.replace("opens-access: refuse", "opens-access: never")))
    assert not validator.is_valid(yaml.safe_load(TEXT.replace("12h", "1 day")))


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("4h", 14400), ("90d", 7776000)])
def test_a_time_is_read(text: str, seconds: int) -> None:
    assert reader.duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "0h", "4", "4 h", "-1h", "1w", "٣h", "91d", "999999d", "1h30m"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time such as 30m, 4h or 2d, at most 90 days"):
        reader.duration(text)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"# " + b"x" * 4_000_000, "it is longer than 4000000 bytes"), (b"\xff", "it is not UTF-8")],
)
def test_settings_that_cannot_be_read_say_why(folder: Path, content: bytes, reason: str) -> None:
    (folder / "gate.yaml").write_bytes(content)

    with pytest.raises(ConfigError, match=rf"gate\.yaml cannot be read: {reason} \["):
        settings.read_gate(folder)
