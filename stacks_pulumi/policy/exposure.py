"""Rules about who may connect, and which containers must be protected."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from decimal import Decimal

from stacks_pulumi import catalog
from stacks_pulumi.policy.options import NEW_NAMES, Settings, choice, money, names, tag, whole
from stacks_pulumi.policy.rule import Deferred, Finding, NotApplicable, ResourceRule, StackRule, Violation
from stacks_pulumi.policy.spend import up_to
from stacks_pulumi.pricing.money import usd
from stacks_pulumi.pricing.recognition import Unknown
from stacks_pulumi.pricing.views import (
    AllowedIpView,
    BackupRestoreView,
    ChildView,
    ConnectionView,
    ContainerView,
    SshCertificateView,
    StackView,
    VpnClientView,
)

_HOLD_DATA = tuple(name for name, template in catalog.TEMPLATES.items() if template.data)
_TEMPLATES = names(
    "templates", "templates whose containers hold data", _HOLD_DATA, catalogue=catalog.TEMPLATES
)
_MIN_PREFIX = whole("min_prefix", "the shortest IPv4 prefix that is allowed for a database", 32, 32)
_MIN_PREFIX_V6 = whole("min_prefix_v6", "the shortest IPv6 prefix that is allowed for a database", 128, 128)
_TAG = tag("tag", "check only stacks with this tag, such as env=prod; unset: every stack")
# All IPv4 addresses in IPv6 notation.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_ANY = tuple(map(ipaddress.ip_address, ("0.0.0.0", "::", "::ffff:0.0.0.0")))  # noqa: S104  (nothing is bound)


def open_allowed_ip(allowed: AllowedIpView, settings: Settings) -> Iterator[Finding]:
    """Report an AllowedIp that allows a network wider than the limit, such as the whole internet."""
    address, service = allowed.ip_address, allowed.service_type
    if isinstance(service, str) and service in settings.names("open_services"):
        return
    if isinstance(address, Unknown):
        if settings["unknown"] == "defer":
            yield Deferred("ip_address")
        else:
            yield Violation(
                f"allowed address {allowed.name!r} is not known at preview, and this policy denies unknown values. "
                "Write it as a plain value, or set the option `unknown` to `defer`."
            )
        return
    try:
        network = ipaddress.ip_network(address or "", strict=False)
    except ValueError:
        yield Violation(f"allowed address {allowed.name!r} is neither an address nor a network: correct it.")
        return
    version, prefix = _size(network)
    least: int = settings["min_prefix" if version == 4 else "min_prefix_v6"]
    if prefix < least:
        what = "the whole internet" if prefix == 0 else f"an IPv{version} network of /{prefix}"
        yield Violation(
            f"allowed address {allowed.name!r} allows {what}; the widest allowed network is /{least}. List the "
            "networks that need access, or use a VpnClient."
        )


def _size(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[int, int]:
    """
    Return the IP version and the prefix length. An IPv4 network in IPv6 notation is treated as IPv4.

    0.0.0.0 without a prefix length is treated as all addresses: no machine has this address, and users often write it
    to mean all addresses.
    """
    if network.network_address in _ANY:
        return 4 if network.version == 4 or network.network_address in _MAPPED else 6, 0
    if isinstance(network, ipaddress.IPv6Network):
        if network.subnet_of(_MAPPED):
            return 4, network.prefixlen - _MAPPED.prefixlen
        if network.supernet_of(_MAPPED):
            return 4, 0
    return network.version, network.prefixlen


_PROTECT = (
    "Add opts=pulumi.ResourceOptions(protect=True); in YAML, options: {protect: true}. Pulumi then refuses to delete "
    "the container, except with --ignore-protect."
)

_REVOKE = "Add an AllowedIp with revoke_auto_added=True; in YAML, revokeAutoAdded: true."


def _in_scope(settings: Settings) -> bool:
    return settings["tag"] is None or settings.tagged(settings["tag"])


def _elsewhere(settings: Settings) -> NotApplicable:
    return NotApplicable(f"the stack has no tag {settings['tag']}")


def protect_paid(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """Report an expensive container that is not protected from deletion."""
    least, price = settings.money("min_usd"), container.price
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif not container.protect and least is not None and (price.high is None or price.high >= least):
        yield Violation(
            f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month and is not "
            f"protected; a container that costs {usd(least)} or more must be. {_PROTECT}"
        )


def _holds_data(container: ContainerView, settings: Settings) -> str:
    """
    Describe a container's data, for instance as `may hold data`; empty if the container holds no data.

    A container whose template is not in the catalogue is assumed to hold data if `templates` lists the template, or if
    `new_names` does not.
    """
    template = container.template
    if template is None or isinstance(template, Unknown):
        return "may hold data (template unknown)"
    if template in settings.names("templates"):
        what = catalog.TEMPLATES[template].data if template in catalog.TEMPLATES else ""
        return f"holds data: {what} ({container.kind})" if what else f"holds data ({container.kind})"
    if template in catalog.TEMPLATES or template in settings.names(NEW_NAMES):
        return ""
    return f"may hold data ({container.kind})"


def protect_data(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """
    Report a container that holds data and is not protected from deletion. Deleting it also deletes its volumes and
    backups.
    """
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif container.protect:
        return
    elif isinstance(container.template, Unknown):
        yield Deferred("template")
    elif holds := _holds_data(container, settings):
        yield Violation(
            f"container {container.name!r} {holds} and is not protected: deleting it deletes its volumes and all its "
            f"backups. {_PROTECT}"
        )


def backup_required(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report a container that holds data and has no pinned backup."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        holds = _holds_data(container, settings)
        if holds and not any(backup.belongs_to(container) for backup in stack.pinned_backups):
            yield Violation(
                f"container {container.name!r} {holds} and has no pinned backup in this stack. "
                "Add a PinnedBackup for it.",
                container.urn,
            )


def no_restore_over_data(restore: BackupRestoreView, settings: Settings) -> Iterator[Finding]:
    """Report every restore, because it replaces all data of a container."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    yield Violation(
        f"restore {restore.name!r} replaces all data of the backup's container, even if that container is protected. "
        "You cannot tell from a backup's number which container it belongs to. If this restore is intended, exempt it "
        "for a few days. Then remove the BackupRestore from the program; removing it does not undo the restore."
    )


def _access(container: ContainerView, stack: StackView) -> str:
    """
    Return `has` or `may have` if a container has, or may have, external access; otherwise an empty string.

    If the program does not set external access, it stays unchanged. It may then be on in three cases: the provider has
    seen that it is on, the stack contains an allowed address for the container, or this operation may adopt the
    container. The API accepts an allowed address only if external access is on.
    """
    if container.external_access is None:
        listed = any(address.may_belong_to(container) for address in stack.allowed_ips)
        # The provider's settings may also cause an adoption; then only `adopts` shows it.
        may_adopt = container.adopt not in {None, "never"} or container.adopts is not None
        adopted = may_adopt and not isinstance(container.id, str)
        return "may have" if container.open_unmanaged or listed or adopted else ""
    if isinstance(container.external_access, Unknown):
        return "may have"
    return "has" if container.external_access else ""


def no_public_database(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report a container that holds data and has external access, unless it allows only single addresses."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        holds, access = _holds_data(container, settings), _access(container, stack)
        if not (holds and access):
            continue
        what = f"container {container.name!r} {holds}, and {access} external access"
        if not any(address.belongs_to(container) for address in stack.allowed_ips):
            yield Violation(
                f"{what}, and no AllowedIp of this stack limits who may connect. Set external_access to False and use "
                "a Connection or a VpnClient, or add an AllowedIp for one address.",
                container.urn,
            )
        for address in stack.allowed_ips:
            if address.belongs_to(container) and _too_wide(address, settings):
                # A site may be open to all visitors over HTTP, but not over TCP.
                if catalog.is_site(str(container.template)) and address.service_type == "http":
                    continue
                yield Violation(
                    f"{what}, and allowed address {address.name!r} is {_wider(settings)}. {_NARROWER}",
                    container.urn,
                )


def _open_elsewhere(child: ChildView, settings: Settings) -> Iterator[Finding]:
    if _in_scope(settings) and isinstance(child, AllowedIpView) and _too_wide(child, settings):
        yield Violation(
            f"allowed address {child.name!r} is for a container that is not known to be in this stack, so the "
            f"container may hold data. The address is {_wider(settings)}. {_NARROWER} {_AS_ID} If the container is in "
            "another stack, declare the address there, or exempt the address.",
            child.urn,
        )


_AS_ID = "If the container is in this stack, write its id and nothing else: x.id; in YAML, ${x.id}."
_NARROWER = "Write a narrower address as a plain value, or use a VpnClient."


def _wider(settings: Settings) -> str:
    return f"wider than /{settings['min_prefix']} (IPv6: /{settings['min_prefix_v6']}), or not known"


def _too_wide(address: AllowedIpView, settings: Settings) -> bool:
    """Return whether a network is wider than the settings allow; true if the address is unknown or malformed."""
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
    """Report a container that keeps the address which the API added automatically."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        access = _access(container, stack)
        listed = [address for address in stack.allowed_ips if address.belongs_to(container)]
        if not access or any(address.revoke_auto_added is True for address in listed):
            continue
        why = "its AllowedIps do not revoke" if listed else "it has no AllowedIp to revoke"
        yield Violation(
            f"container {container.name!r} {access} external access, and {why} the address that the API adds for the "
            f"machine that turned external access on. {_REVOKE}",
            container.urn,
        )


def unmanaged_target(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report only whether the stack is checked; `_access_elsewhere` reports the violations."""
    del stack
    if not _in_scope(settings):
        yield _elsewhere(settings)


_NOUNS = {
    AllowedIpView: "allowed address",
    VpnClientView: "VPN client",
    ConnectionView: "connection",
    SshCertificateView: "SSH certificate",
}


def _access_elsewhere(child: ChildView, settings: Settings) -> Iterator[Finding]:
    if _in_scope(settings):
        noun = _NOUNS[type(child)]
        yield Violation(
            f"{noun} {child.name!r} gives access to a container that is not known to be in this stack, so the policies "
            f"do not check that container. {_AS_ID} If it is in another stack, declare the {noun} there, or exempt it.",
            child.urn,
        )


RULES = (
    ResourceRule(
        "open-allowed-ip",
        "Allowed addresses must not open a container to the whole internet.",
        "mandatory",
        "critical",
        "List the networks that need access, or use a VPN.",
        options=(
            whole(
                "min_prefix",
                "the shortest IPv4 prefix that is allowed: 24 allows at most 256 addresses",
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
                "what to do if an address is not known at preview: defer (warn; the update decides) or deny",
                "defer",
                "deny",
            ),
        ),
        view=AllowedIpView,
        check=open_allowed_ip,
    ),
    ResourceRule(
        "protect-paid",
        "Expensive containers must be protected from accidental deletion.",
        "advisory",
        "medium",
        _PROTECT,
        options=(
            money("min_usd", "check containers that cost at least this much a month", Decimal(10)),
            _TAG,
        ),
        view=ContainerView,
        check=protect_paid,
    ),
    ResourceRule(
        "protect-data",
        "Containers that hold data must be protected from accidental deletion.",
        "advisory",
        "high",
        _PROTECT,
        options=(_TEMPLATES, _TAG),
        view=ContainerView,
        check=protect_data,
    ),
    StackRule(
        "backup-required",
        "Containers that hold data must have a pinned backup.",
        "advisory",
        "high",
        "Add a PinnedBackup for the container.",
        options=(_TEMPLATES, _TAG),
        check=backup_required,
    ),
    StackRule(
        "no-public-database",
        "Containers that hold data must limit external access to single addresses; sites may allow all addresses for "
        "HTTP.",
        "mandatory",
        "critical",
        "Turn external access off, or allow only single addresses.",
        options=(_TEMPLATES, _MIN_PREFIX, _MIN_PREFIX_V6, _TAG),
        check=no_public_database,
        elsewhere=_open_elsewhere,
        subjects=("Container", "AllowedIp"),
    ),
    StackRule(
        "no-unmanaged-access",
        "External access must be limited to addresses that the program lists.",
        "advisory",
        "medium",
        _REVOKE,
        options=(_TAG,),
        check=no_unmanaged_access,
    ),
    ResourceRule(
        "no-restore-over-data",
        "Restores must not replace the data of a container.",
        "mandatory",
        "critical",
        "If you want the restore, exempt it for a few days.",
        options=(_TAG,),
        view=BackupRestoreView,
        check=no_restore_over_data,
    ),
    StackRule(
        "unmanaged-target",
        "Allowed addresses, VPN clients, connections and certificates must refer to containers of the same stack.",
        "advisory",
        "medium",
        "Declare the resource in the stack of its container, or exempt it.",
        options=(_TAG,),
        check=unmanaged_target,
        elsewhere=_access_elsewhere,
        subjects=("AllowedIp", "VpnClient", "Connection", "SshCertificate"),
    ),
)
"""The rules in this module."""
