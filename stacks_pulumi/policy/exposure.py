"""
Rules about who may connect, and which containers must be protected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from decimal import Decimal

from stacks_pulumi import catalog
from stacks_pulumi.policy.options import Settings, choice, money, names, tag, whole
from stacks_pulumi.policy.rule import Deferred, Finding, NotApplicable, ResourceRule, StackRule, Violation
from stacks_pulumi.policy.spend import up_to
from stacks_pulumi.pricing.money import usd
from stacks_pulumi.pricing.recognition import Unknown
from stacks_pulumi.pricing.views import AllowedIpView, ContainerView, StackView

_DATABASES = tuple(template for template in catalog.TEMPLATES if catalog.is_database(template))
_TEMPLATES = names(
    "templates", "templates whose containers hold data", _DATABASES, catalogue=catalog.TEMPLATES
)
_MIN_PREFIX = whole("min_prefix", "the shortest IPv4 prefix that is allowed for a database", 32, 32)
_MIN_PREFIX_V6 = whole("min_prefix_v6", "the shortest IPv6 prefix that is allowed for a database", 128, 128)
_TAG = tag("tag", "check only stacks with this tag, such as env=prod; unset for every stack")
# All IPv4 addresses in IPv6 notation.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def open_allowed_ip(allowed: AllowedIpView, settings: Settings) -> Iterator[Finding]:
    """An AllowedIp allows a network of limited size, not the whole internet."""
    address, service = allowed.ip_address, allowed.service_type
    if isinstance(service, str) and service in settings.names("open_services"):
        return
    if isinstance(address, Unknown):
        if settings["unknown"] == "defer":
            yield Deferred("ip_address")
        else:
            yield Violation(
                f"allowed address {allowed.name!r} is not known at preview, and unknown values are denied here. "
                "Write it as a plain value, or set unknown to defer."
            )
        return
    try:
        network = ipaddress.ip_network(address or "", strict=False)
    except ValueError:
        yield Violation(f"allowed address {allowed.name!r} is neither an address nor a network. Write one.")
        return
    version, prefix = _size(network)
    least: int = settings["min_prefix" if version == 4 else "min_prefix_v6"]
    if prefix < least:
        what = "the whole internet" if prefix == 0 else f"an IPv{version} network of /{prefix}"
        yield Violation(
            f"allowed address {allowed.name!r} lets in {what}; the widest network allowed here is /{least}. "
            "Name the networks that need it, or reach the container through a VpnClient."
        )


def _size(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[int, int]:
    """Return IP version and prefix length; an IPv4 network in IPv6 notation is treated as IPv4."""
    if isinstance(network, ipaddress.IPv6Network):
        if network.subnet_of(_MAPPED):
            return 4, network.prefixlen - _MAPPED.prefixlen
        if network.supernet_of(_MAPPED):
            return 4, 0
    return network.version, network.prefixlen


def _in_scope(settings: Settings) -> bool:
    return settings["tag"] is None or settings.tagged(settings["tag"])


def _elsewhere(settings: Settings) -> NotApplicable:
    return NotApplicable(f"the stack has no tag {settings['tag']}")


def protect_paid(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """An expensive container cannot be deleted by mistake."""
    least, price = settings.money("min_usd"), container.price
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif not container.protect and least is not None and (price.high is None or price.high >= least):
        yield Violation(
            f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month and is not protected; "
            f"from {usd(least)} on it should be. Add opts=pulumi.ResourceOptions(protect=True)."
        )


def protect_data(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """A container that holds data cannot be deleted by mistake: that also deletes its volumes and backups."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif container.protect:
        return
    elif isinstance(container.template, Unknown):
        yield Deferred("template")
    elif container.template in settings.names("templates"):
        yield Violation(
            f"container {container.name!r} holds data ({container.kind}) and is not protected: deleting it deletes "
            "its volumes and all its backups. Add opts=pulumi.ResourceOptions(protect=True)."
        )


def backup_required(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """A container that holds data has a pinned backup."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        unknown = isinstance(container.template, Unknown)
        if not unknown and container.template not in settings.names("templates"):
            continue
        if any(backup.belongs_to(container) for backup in stack.pinned_backups):
            continue
        what = "may hold data (template unknown)" if unknown else f"holds data ({container.kind})"
        yield Violation(
            f"container {container.name!r} {what} and has no pinned backup in this stack. "
            f"Add stacks.PinnedBackup(..., container=...) for it.",
            container.urn,
        )


def no_public_database(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """A database that is reachable from outside allows single addresses only."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        unknown = isinstance(container.template, Unknown)
        if not unknown and container.template not in settings.names("templates"):
            continue
        if container.external_access is None or container.external_access is False:
            continue
        sure = container.external_access is True and not unknown
        what = f"container {container.name!r} {'is' if sure else 'may be'} a database with external access"
        if not any(address.belongs_to(container) for address in stack.allowed_ips):
            yield Violation(
                f"{what}, and no AllowedIp of this stack says who may connect. Set external_access to False and use a "
                "Connection or a VpnClient, or add an AllowedIp for one address.",
                container.urn,
            )
        for address in stack.allowed_ips:
            if address.may_belong_to(container) and _too_wide(address, settings):
                yield Violation(
                    f"{what}, and allowed address {address.name!r} lets in more than a network of "
                    f"/{settings['min_prefix']} (IPv6: /{settings['min_prefix_v6']}), or its value is not known. "
                    "Write a narrower address as a plain value, or use a VpnClient.",
                    container.urn,
                )


def _too_wide(address: AllowedIpView, settings: Settings) -> bool:
    """Return whether the network is larger than the settings allow; true for an unknown or malformed one."""
    try:
        network = ipaddress.ip_network(
            address.ip_address if isinstance(address.ip_address, str) else "", strict=False
        )
    except ValueError:
        return True
    version, prefix = _size(network)
    least: int = settings["min_prefix" if version == 4 else "min_prefix_v6"]
    return prefix < least


def no_unmanaged_access(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """External access is limited to addresses that the program lists."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        if container.external_access is None or container.external_access is False:
            continue
        listed = [address for address in stack.allowed_ips if address.belongs_to(container)]
        if any(address.revoke_auto_added is True for address in listed):
            continue
        has = "has" if container.external_access is True else "may have"
        why = "its AllowedIps keep" if listed else "there is no AllowedIp for it, so it keeps"
        yield Violation(
            f"container {container.name!r} {has} external access, and {why} the address that the API added by itself: "
            "that of the machine which turned external access on. Add an AllowedIp with revoke_auto_added=True.",
            container.urn,
        )


RULES = (
    ResourceRule(
        "open-allowed-ip",
        "No allowed address opens a container to the world.",
        "mandatory",
        "critical",
        "Name the networks that need access, or use a VPN.",
        options=(
            whole(
                "min_prefix",
                "the shortest IPv4 prefix that is allowed: 24 lets in at most 256 addresses",
                16,
                32,
            ),
            whole("min_prefix_v6", "the shortest IPv6 prefix that is allowed", 48, 128),
            names(
                "open_services",
                "service types that may be open to the whole internet, such as http for a public site",
                (),
                catalogue=("http", "tcp", "both"),
            ),
            choice(
                "unknown",
                "what a preview does with an unknown address: defer warns, and the update decides",
                "defer",
                "deny",
            ),
        ),
        view=AllowedIpView,
        check=open_allowed_ip,
    ),
    ResourceRule(
        "protect-paid",
        "Expensive containers are protected from deletion.",
        "advisory",
        "medium",
        "Add opts=pulumi.ResourceOptions(protect=True).",
        options=(
            money("min_usd", "the monthly price from which a container must be protected", Decimal(10)),
            _TAG,
        ),
        view=ContainerView,
        check=protect_paid,
    ),
    ResourceRule(
        "protect-data",
        "Containers that hold data are protected from deletion.",
        "advisory",
        "high",
        "Add opts=pulumi.ResourceOptions(protect=True).",
        options=(_TEMPLATES, _TAG),
        view=ContainerView,
        check=protect_data,
    ),
    StackRule(
        "backup-required",
        "Containers that hold data have a pinned backup.",
        "advisory",
        "high",
        "Add a PinnedBackup for the container.",
        options=(_TEMPLATES, _TAG),
        check=backup_required,
    ),
    StackRule(
        "no-public-database",
        "Databases with external access allow single addresses only.",
        "mandatory",
        "critical",
        "Turn external access off, or narrow its AllowedIps.",
        options=(_TEMPLATES, _MIN_PREFIX, _MIN_PREFIX_V6, _TAG),
        check=no_public_database,
    ),
    StackRule(
        "no-unmanaged-access",
        "External access is limited to addresses that the program lists.",
        "advisory",
        "medium",
        "Add an AllowedIp with revoke_auto_added=True.",
        options=(_TAG,),
        check=no_unmanaged_access,
    ),
)
"""The rules of this file."""
