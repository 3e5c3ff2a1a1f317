"""What each built-in rule finds, and what becomes of a gate's own rules that fail."""

from __future__ import annotations

import datetime
import textwrap
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate.change import Finding, changes_of, pricer_of
from stacks_pulumi.gate.rules import findings, own_rules
from stacks_pulumi.gate.settings import Gate
from tests.support.saved_plans import (
    ADDRESS,
    BACKUP,
    CONNECTION,
    HIDDEN,
    PROVIDER,
    RANDOM,
    RESTORE,
    UNKNOWN,
    VPN,
    Saved,
    inputs,
    web,
)
from tests.unit.gate.conftest import MakeGate

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.timezone.utc)
REPLACED = ("delete-replaced", "replace", "create-replacement")


def found(gate: Gate, saved: Saved) -> list[Finding]:
    return list(findings(gate, changes_of(*saved.files, pricer_of(gate)), NOW))


def texts(gate: Gate, saved: Saved, rule: str) -> list[str]:
    return [one.text for one in found(gate, saved) if one.rule == rule]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("postgresql", "'web' is deleted, and with it its tables, its volumes and its backups"),
        ("new-thing", "its template is not in the catalogue, so it may have data"),
        (HIDDEN, "its template is not in the catalogue, so it may have data"),
        ("nodejs", None),
    ],
)
def test_the_deletion_of_a_container_destroys_its_data(
    make_gate: MakeGate, template: Any, words: str | None
) -> None:
    saved = Saved()
    saved.old("web", web(template=template))
    saved.plan("web", None, "delete")
    told = texts(make_gate(), saved, "destroys-data")
    assert bool(told) == (words is not None)
    assert words is None or words in told[0]


@pytest.mark.parametrize(
    ("tier", "size", "is_data"),
    [(1, None, True), (None, 10240 + 32768, True), (None, HIDDEN, True), (None, 10240, False)],
)
def test_additional_storage_is_data_whatever_the_template(
    make_gate: MakeGate, tier: int | None, size: Any, is_data: bool
) -> None:
    """The program may not say it: someone added it in the dashboard, and a refresh has seen that."""
    saved = Saved()
    saved.old("web", {**web(), "additionalStorageTier": tier}, outputs={"storageMb": size})
    saved.plan("web", None, "delete")
    data = "'web' is deleted, and with it what its additional storage has, its volumes and its backups"
    assert texts(make_gate(), saved, "destroys-data") == ([data] if is_data else [])


def test_a_replacement_destroys_data_and_a_retained_object_keeps_it(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("db", web(template="redis"))
    saved.plan("db", web("premium", template="redis"), *REPLACED)
    saved.old("kept", web(template="redis"), retainOnDelete=True)
    saved.plan("kept", None, "delete")
    assert texts(make_gate(), saved, "destroys-data") == [
        "'db' is replaced, and with it its keys and values, its volumes and its backups"
    ]


def backups(
    gate: Gate, *, created_at: str, on_delete: str = "unpin", status: str = "completed", other: str = "db"
) -> list[str]:
    """Return the findings if a backup's resource is deleted while another backup stays."""
    saved = Saved()
    saved.old("old", inputs("PinnedBackup", container="db", on_delete=on_delete), BACKUP)
    saved.plan("old", None, "delete", kind=BACKUP)
    young = inputs("PinnedBackup", container=other)
    saved.same("young", young, BACKUP, outputs={**young, "created_at": created_at, "status": status})
    return texts(gate, saved, "destroys-data")


def test_a_younger_backup_excuses_the_end_of_a_pin(make_gate: MakeGate) -> None:
    gate = make_gate("rules: {destroys-data: {backup_within_hours: 24, otherwise: refuse}}")
    assert backups(gate, created_at="2026-05-17T02:00:00Z") == []
    for made in ("2026-05-16T02:00:00Z", "2026-05-18T02:00:00Z", "yesterday", ""):
        assert backups(gate, created_at=made), made
    assert backups(gate, created_at="2026-05-17T02:00:00Z", other="web")
    assert backups(gate, created_at="2026-05-17T02:00:00Z", status="in_progress")
    assert backups(gate, created_at="2026-05-16T02:00:00Z", on_delete="keep") == []
    assert backups(make_gate(), created_at="2026-05-17T02:00:00Z")


def test_no_backup_excuses_the_end_of_its_container(make_gate: MakeGate) -> None:
    """The platform deletes the backups of a container with it (guide, "Delete Container")."""
    gate = make_gate("rules: {destroys-data: {backup_within_hours: 24, otherwise: refuse}}")
    saved = Saved()
    saved.old("db", web(template="redis"))
    saved.plan("db", None, "delete")
    young = inputs("PinnedBackup", container="usr-1-db")
    outputs = {**young, "created_at": "2026-05-17T11:00:00Z", "status": "completed"}
    saved.same("young", young, BACKUP, outputs=outputs)
    [finding] = found(gate, saved)
    assert (finding.rule, finding.action) == ("destroys-data", "refuse")


@pytest.mark.parametrize("steps", [("create",), ("update",), REPLACED])
def test_every_step_of_a_restore_but_its_removal_overwrites_data(
    make_gate: MakeGate, steps: tuple[str, ...]
) -> None:
    saved = Saved()
    if steps != ("create",):
        saved.old("back", inputs("BackupRestore", backup_id="7"), RESTORE)
    saved.plan("back", inputs("BackupRestore", backup_id="8"), *steps, kind=RESTORE)
    [text] = texts(make_gate(), saved, "restores-data")
    assert "puts backup 8 back" in text
    gone = Saved()
    gone.old("back", inputs("BackupRestore", backup_id="7"), RESTORE)
    gone.plan("back", None, "delete", kind=RESTORE)
    assert found(make_gate(), gone) == []


@pytest.mark.parametrize(
    ("before", "after", "opened"),
    [
        ({}, {"external_access": True}, True),
        ({"external_access": False}, {"external_access": True}, True),
        ({"external_access": False}, {"external_access": UNKNOWN}, True),
        ({"external_access": False}, {"external_access": HIDDEN}, True),
        ({"external_access": True}, {"external_access": True, "restart_triggers": ["1"]}, False),
        ({"external_access": True}, {"external_access": False}, False),
        ({}, {"restart_triggers": ["1"]}, False),
    ],
)
def test_external_access_that_is_turned_on_opens(
    make_gate: MakeGate, before: dict[str, Any], after: dict[str, Any], opened: bool
) -> None:
    saved = Saved()
    outputs = {**web(**before), **({"url": "web-1.example"} if before.get("external_access") else {})}
    saved.old("web", web(**before), outputs=outputs)
    saved.plan("web", web(**after), "update")
    assert bool(texts(make_gate(), saved, "opens-access")) == opened


def test_external_access_that_its_creation_did_not_reach_is_opened_by_the_next_update(
    make_gate: MakeGate,
) -> None:
    """The state has what the program wants, and no address."""
    given = web(external_access=True)
    saved = Saved()
    saved.old("web", given)
    saved.plan("web", given, "update")
    assert texts(make_gate(), saved, "opens-access") == ["'web' becomes reachable from outside"]


@pytest.mark.parametrize(
    ("outputs", "opened"),
    [
        ({"status": "running", "url": ""}, False),
        ({"status": "running"}, False),
        ({"status": "pending", "url": ""}, False),
        ({"status": "pending"}, True),
        ({"status": "running", "url": "web-1.example", "unfinished": True}, True),
        ({"status": "running", "external_access": HIDDEN}, True),
        ({"status": "running", "external_access": False, "url": "web-1.example"}, True),
    ],
)
def test_an_update_opens_where_the_state_does_not_say_that_it_is_open(
    make_gate: MakeGate, outputs: dict[str, Any], opened: bool
) -> None:
    """The provider asks the same function (`recognition.is_open`)."""
    given = web(external_access=True)
    saved = Saved()
    saved.old("web", given, outputs={**given, **outputs})
    saved.plan("web", {**given, "restart_triggers": ["1"]}, "update")
    assert bool(texts(make_gate(), saved, "opens-access")) == opened


def test_a_replacement_opens_again(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("web", web(external_access=True))
    saved.plan("web", web("premium", external_access=True), *REPLACED)
    assert texts(make_gate(), saved, "opens-access") == ["'web' becomes reachable from outside"]


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ({"ip_address": "0.0.0.0/1"}, "'me' lets in 0.0.0.0/1 (service type http)"),
        ({"ip_address": UNKNOWN}, "'me' lets in an address that is not known (service type http)"),
        ({"service_type": "both"}, "'me' lets in 198.51.100.7 (service type both)"),
        ({"revoke_auto_added": False}, "'me' lets in 198.51.100.7 (service type http)"),
        ({"container": UNKNOWN}, "'me' lets in 198.51.100.7 (service type http)"),
        ({"container": "usr-1-prod-db"}, "'me' lets in 198.51.100.7 (service type http)"),
        ({"description": "other"}, "'me' lets in 198.51.100.7 (service type http)"),
    ],
)
def test_an_address_that_changes_opens(make_gate: MakeGate, after: dict[str, Any], text: str) -> None:
    """Whatever changes, an update adds the entry again that someone has taken out."""
    address = {"ip_address": "198.51.100.7", "service_type": "http", "revoke_auto_added": True}
    given = inputs("AllowedIp", container="usr-1-web", **address)
    saved = Saved()
    saved.same("web", web())
    saved.old("me", given, ADDRESS)
    saved.plan("me", {**given, **after}, "update", kind=ADDRESS)
    again = ", also if it was taken out of the list since"
    # The program has the id alone, and an approver may not know whose it is.
    whose = "; its container is not known to be in this stack" if "container" in after else ""
    assert texts(make_gate(), saved, "opens-access") == [f"{text}{again}{whose}"]


def test_clients_certificates_and_addresses_open_when_they_are_made(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("client", inputs("VpnClient", container="vpn", name="me"), "create", kind=VPN)
    saved.plan("me", inputs("AllowedIp", container="web", ip_address="198.51.100.7"), "create", kind=ADDRESS)
    assert len(texts(make_gate(), saved, "opens-access")) == 2


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (VPN, inputs("VpnClient", container="vpn", name="me", store_config=True)),
        (VPN.replace("VpnClient", "SshCertificate"), inputs("SshCertificate", container="web")),
    ],
)
def test_an_update_that_changes_nothing_reads_the_key_again(
    make_gate: MakeGate, kind: str, given: dict[str, Any]
) -> None:
    """The state may lack the key, or have the errors of a creation: then the update downloads it."""
    saved = Saved()
    saved.old("me", given, kind)
    saved.plan("me", given, "update", kind=kind)
    (text,) = texts(make_gate(), saved, "opens-access")
    assert text.startswith("'me' gives its holder access to")


@pytest.mark.parametrize(
    ("target", "made_from", "opened"),
    [
        ("usr-1-db", ["db"], False),
        ("usr-1-db", [], False),
        ("usr-1-foreign", ["db"], True),
        (UNKNOWN, ["new"], False),
        # The id of this one is known, so what is unknown is computed.
        (UNKNOWN, ["db"], True),
        (UNKNOWN, ["new", "db"], True),
        (UNKNOWN, ["new", "newer"], True),
        (UNKNOWN, [], True),
        (HIDDEN, ["new"], False),
        (HIDDEN, ["db"], True),
    ],
)
def test_a_connection_to_what_is_not_exactly_a_container_of_the_stack_opens(
    make_gate: MakeGate, target: Any, made_from: list[str], opened: bool
) -> None:
    saved = Saved()
    saved.same("web", web())
    urns = {"db": saved.same("db", web(template="redis"))}
    urns |= {name: saved.plan(name, web(template="redis"), "create") for name in ("new", "newer")}
    saved.plan(
        "link",
        inputs("Connection", source="usr-1-web", target=target, name="DB"),
        "create",
        kind=CONNECTION,
        propertyDependencies={"target": [urns[name] for name in made_from]},
    )
    assert any("'link'" in text for text in texts(make_gate(), saved, "opens-access")) == opened


def test_what_was_only_looked_up_is_no_container_of_the_stack(make_gate: MakeGate) -> None:
    """Else a look-up of another stack's container in one change would make a connection to it free in the next."""
    saved = Saved()
    saved.same("web", web())
    saved.old("db", web(template="redis"), external=True)
    saved.plan("db", None, "discard")
    assert found(make_gate(), saved) == []
    given = inputs("Connection", source="usr-1-web", target="usr-1-db", name="DB")
    saved.plan("link", given, "create", kind=CONNECTION)
    assert [one.rule for one in found(make_gate(), saved)] == ["opens-access"]


def test_what_is_foreign_counts_as_the_worst_unless_it_is_listed(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("gone", {"length": 3}, RANDOM)
    saved.plan("gone", None, "delete", kind=RANDOM)
    saved.plan("new", {"length": 3}, "create", kind=RANDOM)
    saved.plan("provider", {"apiKey": HIDDEN}, "create", kind=PROVIDER)
    assert {(one.rule, one.action) for one in found(make_gate(), saved)} == {
        ("destroys-data", "approve"),
        ("opens-access", "approve"),
        ("unpriced", "refuse"),
    }
    listed = make_gate(
        "harmless: ['random:*']\nprices: prices.yaml",
        prices_yaml="prices: [{type: 'random:*', price: free}]",
    )
    assert found(listed, saved) == []
    # The list is for other providers, and never for ours.
    saved.old("db", web(template="redis"))
    saved.plan("db", None, "delete")
    everything = make_gate(
        "harmless: ['*']\nprices: prices.yaml", prices_yaml="prices: [{type: '*', price: free}]"
    )
    assert [one.rule for one in found(everything, saved)] == ["destroys-data"]


def test_our_marker_on_a_resource_of_another_package_is_no_evidence(make_gate: MakeGate) -> None:
    gate = make_gate("harmless: ['*']\nprices: prices.yaml", prices_yaml="prices: [{type: '*', price: free}]")
    saved = Saved()
    saved.plan(
        "it", {"stacksKind": "PinnedBackup", "size": "huge"}, "create", kind="aws:ec2/instance:Instance"
    )
    assert {one.rule for one in found(gate, saved)} == {"opens-access", "unpriced"}


def test_a_type_that_an_alias_changes_is_harmless_only_if_both_are(make_gate: MakeGate) -> None:
    gate = make_gate(
        "harmless: ['random:*']\nprices: prices.yaml", prices_yaml="prices: [{type: '*', price: free}]"
    )
    saved = Saved()
    old = saved.old("it", {"length": 3}, "aws:rds/instance:Instance")
    saved.plan("it", {"length": 4}, *REPLACED, kind=RANDOM, base={}, structuredAliases=[{"URN": old}])
    assert {one.rule for one in found(gate, saved)} == {"destroys-data", "opens-access"}


def test_deletions_and_replacements_are_counted(make_gate: MakeGate) -> None:
    gate = make_gate(
        "rules: {max-deletions: {limit: 1, otherwise: refuse}, max-replacements: {limit: 0, otherwise: approve}}"
    )
    saved = Saved()
    for name in ("one", "two"):
        saved.old(name, web())
        saved.plan(name, None, "delete")
    saved.old("three", web())
    saved.plan("three", web("premium"), *REPLACED)
    assert [(one.rule, one.action, one.text) for one in found(gate, saved)] == [
        (
            "max-deletions",
            "refuse",
            (
                "2 deletions, and 1 at most are usual: make fewer in one change, "
                "or raise the limit of max-deletions in gate.yaml"
            ),
        ),
        ("max-replacements", "approve", "1 replacement, and 0 at most are usual"),
    ]


def test_a_retained_object_counts_as_a_deletion_and_stays_billed(make_gate: MakeGate) -> None:
    gate = make_gate("rules: {max-deletions: {limit: 0, otherwise: refuse}}")
    saved = Saved()
    saved.old("web", web(), retainOnDelete=True)
    saved.plan("web", None, "delete")
    address = inputs("AllowedIp", container="web", ip_address="198.51.100.7")
    saved.old("me", address, ADDRESS, retainOnDelete=True)
    saved.plan("me", None, "delete", kind=ADDRESS)
    assert [(one.rule, one.action) for one in found(gate, saved)] == [
        ("keeps-billed", "refuse"),
        ("max-deletions", "refuse"),
    ]
    lenient = make_gate("rules: {keeps-billed: approve}")
    assert [(one.rule, one.action) for one in found(lenient, saved)] == [("keeps-billed", "approve")]


def test_a_price_without_an_upper_bound_is_refused_by_default(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("web", web("huge"), "create")
    [finding] = found(make_gate(), saved)
    assert (finding.rule, finding.action) == ("unpriced", "refuse")
    # What does not change is not this change's.
    old = Saved()
    old.same("web", web("huge"))
    assert found(make_gate(), old) == []


OWN = """
def no_premium(changes):
    print("this is not for the command's output")
    for change in changes:
        if change.kind == "Container" and change.after.get("plan") == "premium":
            yield change.refuse("premium is for production")

RULES = [no_premium]
"""


def test_a_rule_of_ones_own_sees_the_values(make_gate: MakeGate, capsys: pytest.CaptureFixture[str]) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=OWN)
    saved = Saved()
    saved.plan("web", web("premium"), "create")
    [finding] = found(gate, saved)
    assert (finding.rule, finding.action, finding.text) == (
        "no-premium",
        "refuse",
        "premium is for production",
    )
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in gate.folder.iterdir()) == ["allowed_signers", "gate.yaml", "own.py"]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('x')",
        "raise SystemExit(0)",
        "return None",
        "return True",
        "return ['fine']",
        "yield 1",
        "yield type('F', (), {'action': 'refuse'})()",
        "from stacks_pulumi.gate.rules import Finding; yield Finding('', 'allow', '', '')",
        "yield changes[0].approve('x'); raise KeyError('y')",
    ],
)
def test_a_rule_that_fails_refuses(make_gate: MakeGate, body: str) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=f"def broken(changes):\n    {body}\n\nRULES = [broken]\n")
    saved = Saved()
    saved.plan("web", web(), "create")
    [first, *_] = found(gate, saved)
    assert (first.rule, first.action) == ("broken", "refuse")
    assert "the rule in own.py failed" in first.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def", "cannot be run"),
        ("import nothing_of_this_name", "cannot be run"),
        ("raise SystemExit", "cannot be run"),
        ("", "needs a list RULES"),
        ("RULES = []", "needs a list RULES"),
        ("RULES = [1]", "needs a list RULES"),
        ("def a(c): ...\nRULES = [a, a]", "two rules of one name"),
    ],
)
def test_a_file_without_rules_refuses(make_gate: MakeGate, text: str, words: str) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=text)
    [finding] = found(gate, Saved())
    assert finding.action == "refuse"
    assert words in finding.text
    with pytest.raises(ConfigError, match=words):
        own_rules(gate.own_rules[0])


def test_the_example_in_the_documentation_of_rules_runs(tmp_path: Path) -> None:
    from stacks_pulumi.gate import rules

    example = (rules.__doc__ or "").partition("Python file:\n\n")[2].partition("\n\nAn unknown")[0]
    file = tmp_path / "own.py"
    file.write_text(textwrap.dedent(example))
    assert [rule.name for rule in own_rules(file)] == ["no-premium"]
