from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stacks_pulumi.policy import CONTAINER, StacksGuard
from stacks_pulumi.policy.testing import (
    UNKNOWN,
    Outcome,
    PackTester,
    Resource,
    allowed_ip,
    container,
    pinned_backup,
    resource,
    vpn_client,
)
from tests.support.policy_cases import SOON


def preview(policy: str, *resources: Resource, tags: dict[str, str] | None = None, **config: Any) -> Outcome:
    return PackTester(StacksGuard("test", [policy]), {policy: config}, tags=tags).preview(*resources)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("0.0.0.0/0", "the whole internet"),
        ("::/0", "the whole internet"),
        ("128.0.0.0/1", "an IPv4 network of /1"),
        ("10.0.0.0/15", "an IPv4 network of /15"),
        ("198.51.100.7/8", "an IPv4 network of /8"),
        ("2000::/3", "an IPv6 network of /3"),
        ("2001:db8::/47", "an IPv6 network of /47"),
        ("::ffff:0.0.0.0/96", "the whole internet"),
        ("::ffff:10.0.0.0/104", "an IPv4 network of /8"),
        ("::ffff:0:0/90", "the whole internet"),
        ("everybody", "neither an address nor a network"),
        ("", "neither an address nor a network"),
    ],
)
def test_a_range_that_is_too_large_is_refused(address: str, what: str) -> None:
    preview("open-allowed-ip", allowed_ip("door", address)).assert_blocked_by("open-allowed-ip", what)


@pytest.mark.parametrize(
    "address", ["198.51.100.7", "10.1.0.0/16", "2001:db8::1", "2001:db8::/48", "::ffff:10.1.0.0/112"]
)
def test_a_narrow_range_is_allowed(address: str) -> None:
    preview("open-allowed-ip", allowed_ip("door", address)).assert_passes()


def test_one_service_may_be_open_to_all_addresses() -> None:
    preview(
        "open-allowed-ip", allowed_ip("door", "0.0.0.0/0", "http"), open_services=["http"]
    ).assert_passes()
    for service in ("both", "tcp", UNKNOWN):
        assert preview(
            "open-allowed-ip", allowed_ip("door", "0.0.0.0/0", service), open_services=["http"]
        ).blocked


def test_an_unknown_address_can_be_denied_at_preview() -> None:
    assert preview("open-allowed-ip", allowed_ip("door", UNKNOWN), unknown="deny").blocked


def test_no_message_contains_an_address() -> None:
    assert "10.20." not in str(preview("open-allowed-ip", allowed_ip("door", "10.20.0.0/9")))


@pytest.mark.parametrize("policy", ["protect-paid", "protect-data", "backup-required"])
def test_a_rule_can_be_for_stacks_with_a_tag(policy: str) -> None:
    database = container("db", "mysql", plan="premium")

    preview(policy, database, tags={"env": "dev"}, tag="env=prod").assert_passes()
    preview(policy, database, tags={"env": "prod"}, tag="env=prod").assert_warned_by(policy)


def test_templates_that_hold_data_can_be_named() -> None:
    preview("protect-data", container("files", "minio"), templates=["minio"]).assert_warned_by(
        "protect-data", "'files'"
    )
    preview("protect-data", container("db", "mysql"), templates=["minio"]).assert_passes()


def test_a_container_without_a_price_counts_as_expensive() -> None:
    preview("protect-paid", container("web", plan="colossal")).assert_warned_by(
        "protect-paid", "an unknown sum"
    )


def test_a_backup_is_matched_by_its_container() -> None:
    database = container("db", "mysql")

    preview("backup-required", database, pinned_backup("safe", of="db", container=UNKNOWN)).assert_passes()
    preview(
        "backup-required", database, pinned_backup("safe", of="other", container=UNKNOWN)
    ).assert_warned_by("backup-required", "'db'")


def test_a_backup_is_matched_by_the_id_of_a_container() -> None:
    there = container("db", "mysql", internal_host="usr-1-db")

    preview("backup-required", there, pinned_backup("safe", container="usr-1-db")).assert_passes()
    preview("backup-required", there, pinned_backup("safe", container="usr-1-web")).assert_warned_by(
        "backup-required"
    )


def test_an_unknown_id_matches_no_container() -> None:
    there = resource(CONTAINER, "db", template="mysql", internal_host=UNKNOWN)

    preview("backup-required", there, pinned_backup("safe", container=UNKNOWN)).assert_warned_by(
        "backup-required"
    )


def test_the_violation_is_on_the_container() -> None:
    [found] = preview("backup-required", container("db", "mysql"), container("web")).findings

    assert found.resource == "db"


DB = container("db", "mysql")
THERE = container("db", "mysql", internal_host="usr-1-db")


@pytest.mark.parametrize(
    "resources",
    [
        (DB, allowed_ip("a", "198.51.100.0/24", of="db", container="usr-1-db")),
        (THERE, allowed_ip("a", "198.51.100.0/24", container="usr-1-db")),
        (DB, allowed_ip("a", UNKNOWN, of="db")),
    ],
    ids=["changed", "unchanged", "address unknown"],
)
def test_external_access_that_is_not_managed_counts_as_open(resources: tuple[Resource, ...]) -> None:
    preview("no-public-database", *resources).assert_blocked_by(
        "no-public-database", "may have external access", "'a' is wider than"
    )


def test_what_to_add_is_said_for_a_program_in_yaml_too() -> None:
    open_one = container("db", "mysql", external_access=True)

    preview("protect-data", open_one).assert_warned_by("protect-data", "in YAML, options: {protect: true}")
    preview("no-unmanaged-access", open_one).assert_warned_by("no-unmanaged-access", "revokeAutoAdded: true")


@pytest.mark.parametrize("seen", [True, "unknown"])
def test_access_that_the_provider_saw_counts_although_the_program_does_not_set_it(seen: bool | str) -> None:
    there = container("db", "mysql", internal_host="usr-1-db", open_unmanaged=seen)

    preview("no-public-database", there).assert_blocked_by("no-public-database", "may have external access")
    preview("no-public-database", THERE).assert_passes()
    preview("no-unmanaged-access", there).assert_warned_by("no-unmanaged-access", "may have external access")


def test_a_database_that_may_be_adopted_counts_as_open_until_the_state_shows_it() -> None:
    adopted = container("db", "mysql", adopt="if_matching")
    there = container("db", "mysql", adopt="if_matching", internal_host="usr-1-db")
    closed = container("db", "mysql", adopt="if_matching", external_access=False)

    preview("no-public-database", adopted).assert_blocked_by("no-public-database", "may have external access")
    for one in (there, closed, container("db", "mysql", adopt="never")):
        preview("no-public-database", one).assert_passes()


@pytest.mark.parametrize("address", ["0.0.0.0", "0.0.0.0/32", "::", "::/128", "::ffff:0.0.0.0"])
def test_the_address_that_no_machine_has_counts_as_every_address(address: str) -> None:
    for policy, verb in (("no-public-database", "is wider than"), ("open-allowed-ip", "allows")):
        preview(policy, DB, allowed_ip("a", address, of="db")).assert_blocked_by(policy, f"'a' {verb}")


def test_a_single_address_of_a_database_with_unmanaged_access_passes() -> None:
    preview("no-public-database", DB, allowed_ip("a", "198.51.100.7", of="db")).assert_passes()


@pytest.mark.parametrize("target", ["usr-2-other", UNKNOWN])
@pytest.mark.parametrize("own", [(), (DB,), (THERE,), (container("web", external_access=True),)])
def test_an_address_for_a_container_elsewhere_is_judged_once(target: Any, own: tuple[Resource, ...]) -> None:
    wide = allowed_ip("door", "198.51.100.0/24", container=target)

    [found] = preview("no-public-database", *own, wide).findings

    assert "is for a container that is not known to be in this stack" in found.message
    assert (found.resource, found.level) == ("door", "mandatory")
    preview("no-public-database", *own, allowed_ip("door", "198.51.100.7", container=target)).assert_passes()
    ended = [{"name": "door", "reason": "agreed", "expires": "2020-01-31"}]
    preview("no-public-database", *own, wide, exempt=ended).assert_blocked_by(
        "no-public-database", "Its exemption ended on 2020-01-31: agreed."
    )


def test_an_id_that_is_computed_from_another_container_is_not_that_containers() -> None:
    door = allowed_ip("door", "198.51.100.0/24", of="web", container="usr-1-orders")

    preview("no-public-database", container("web"), door).assert_blocked_by(
        "no-public-database", "a container that is not known to be in this stack"
    )
    for id_ in ("usr-1-WEB", "71", UNKNOWN):
        own = replace(door, properties={**door.properties, "container": id_})
        preview("no-public-database", container("web"), own).assert_passes()


def test_an_exempt_container_is_one_of_the_stack() -> None:
    exempt = [{"name": "db", "reason": "agreed", "expires": SOON}]
    wide = allowed_ip("db", "198.51.100.0/24", of="db")

    preview("no-public-database", DB, wide, exempt=exempt).assert_passes()
    preview("unmanaged-target", DB, wide, exempt=exempt).assert_passes()


@pytest.mark.parametrize(
    "template",
    ["minio", "storage-micro", "forgejo", "secrets-micro", "wordpress", "ghost", "picoclaw", "oracle"],
)
def test_a_template_with_data_is_known_as_such_and_an_unknown_one_may_hold_data(template: str) -> None:
    box = container("box", template, external_access=True)
    holds = "may hold data" if template == "oracle" else "holds data: "

    preview("protect-data", box).assert_warned_by("protect-data", holds)
    preview("backup-required", box).assert_warned_by("backup-required", holds)
    preview("no-public-database", box).assert_blocked_by("no-public-database", holds)


def test_an_unknown_template_that_is_named_as_new_holds_no_data_unless_it_is_listed() -> None:
    box = container("box", "proxy")

    preview("protect-data", box, new_names=["proxy"]).assert_passes()
    preview("protect-data", box, new_names=["proxy"], templates=["proxy"]).assert_warned_by("protect-data")


def test_a_site_is_for_everybody_by_http_and_its_database_is_not() -> None:
    def judged(template: str, service: str) -> Outcome:
        site = container("site", template, external_access=True)
        return preview("no-public-database", site, allowed_ip("all", "0.0.0.0/0", service, of="site"))

    judged("wordpress", "http").assert_passes()
    for template, service in (
        ("wordpress", "both"),
        ("wordpress", "tcp"),
        ("pocketbase", "http"),
        ("minio", "http"),
    ):
        judged(template, service).assert_blocked_by("no-public-database", "'all' is wider than")


@pytest.mark.parametrize(
    "child",
    [
        vpn_client("x", container="usr-2-vpn"),
        resource("SshCertificate", "x", container="usr-2-web"),
        resource("Connection", "x", source="usr-1-web", target="usr-2-db"),
        allowed_ip("x", "198.51.100.7", container=UNKNOWN),
    ],
    ids=lambda one: str(one.type),
)
def test_access_to_a_container_of_another_stack_is_named(child: Resource) -> None:
    web = container("web", internal_host="usr-1-web")
    outcome = preview("unmanaged-target", web, child)

    outcome.assert_warned_by(
        "unmanaged-target", "'x' gives access to a container that is not known to be in this stack"
    )
    exempt = [{"name": "x", "reason": "agreed", "expires": SOON}]
    preview("unmanaged-target", web, child, exempt=exempt).assert_passes()
    target = "target" if "target" in child.properties else "container"
    preview(
        "unmanaged-target", web, replace(child, properties={**child.properties, target: "usr-1-web"})
    ).assert_passes()
    unknown = replace(
        child, properties={**child.properties, target: UNKNOWN}, sources={target: ["db"], "source": ["web"]}
    )
    preview("unmanaged-target", DB, unknown).assert_passes()
    preview("unmanaged-target", container("web"), unknown).assert_warned_by("unmanaged-target")


def test_a_backup_with_the_name_of_its_container_makes_no_exemption_ambiguous() -> None:
    exempt = [{"name": "db", "reason": "agreed", "expires": SOON}]
    backup = pinned_backup("db", of="db", container=UNKNOWN)

    preview(
        "monthly-budget", container("db", plan="premium"), backup, max_monthly_usd=5, exempt=exempt
    ).assert_passes()
    preview("max-resources", DB, backup, containers=0, exempt=exempt).assert_passes()


@pytest.mark.parametrize(
    ("container_id", "made_from", "is_ours"),
    [
        (UNKNOWN, ["web"], True),
        (UNKNOWN, ["web", "other"], False),
        (UNKNOWN, ["web", "random"], False),
        (UNKNOWN, [], False),
        # A preview does not show the id of a container that it changes.
        ("usr-00000000-web", ["web"], True),
        ("usr-00000000-WEB", ["web"], True),
        ("usr-00000000-data", ["web"], False),
        ("usr-00000000-my-web", ["web"], False),
        ("usr-00000000-web", ["web", "other"], False),
        ("usr-00000000-web", [], False),
    ],
)
def test_an_id_is_of_the_stack_only_if_it_is_exactly_that_of_a_container(
    container_id: Any, made_from: list[str], is_ours: bool
) -> None:
    door = allowed_ip("door", "198.51.0.0/16", "http", of="web")
    door = replace(
        door, properties={**door.properties, "container": container_id}, sources={"container": made_from}
    )
    stack = (
        container("web", "nginx", external_access=True),
        container("other", "nginx", external_access=False),
        resource("random:index/randomId:RandomId", "random"),
    )

    found = preview("unmanaged-target", *stack, door).of("unmanaged-target")
    assert [finding.resource for finding in found] == ([] if is_ours else ["door"])
    assert preview("no-public-database", *stack, door).blocked != is_ours


def test_an_unknown_id_is_not_that_of_a_container_whose_id_is_known() -> None:
    web = container("web", "nginx", external_access=True, id="usr-00000000-web")
    door = allowed_ip("door", "198.51.0.0/16", "http", of="web")

    preview("no-public-database", web, door).assert_passes()
    computed = replace(door, properties={**door.properties, "container": UNKNOWN})
    preview("no-public-database", web, computed).assert_blocked_by("no-public-database", "'door' is for a")


def test_an_address_of_another_container_is_refused_before_it_is_open() -> None:
    web = container("web", "nginx", external_access=True)
    door = allowed_ip("door", "198.51.0.0/16", of="data")
    exempt = [{"name": "door", "reason": "agreed", "expires": SOON}]

    pack = PackTester(StacksGuard("test", ["no-public-database"]))
    outcome = pack.update(web, door)
    outcome.assert_blocked_by("no-public-database", "a container that is not known to be in this stack")
    assert outcome.made == ("web",)
    # The violation is reported once.
    assert len(pack.preview(web, door).of("no-public-database")) == 1
    exempted = PackTester(
        StacksGuard("test", ["no-public-database"]), {"no-public-database": {"exempt": exempt}}
    )
    assert not exempted.update(web, door).blocked
    assert pack.update(web, allowed_ip("door", "198.51.0.0/16", "http", of="web")).made == ("web", "door")


def test_a_database_that_is_adopted_by_the_accounts_setting_counts_as_open() -> None:
    adopted = container("db", "mysql", adopts="usr-00000000-db")

    preview("no-public-database", adopted).assert_blocked_by("no-public-database", "may have external access")
    closed = replace(adopted, properties={**adopted.properties, "external_access": False})
    preview("no-public-database", closed).assert_passes()
